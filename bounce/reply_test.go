package bounce

import "testing"

func TestJoinReply(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"550 5.1.1 no such user", "550 5.1.1 no such user"},
		{"550-5.7.26 a 550-5.7.26 b 550 5.7.26 c", "550 5.7.26 a b c"},
		{"550-a 550-b 550 c", "550 a b c"},
		{"550-5.7.1 a 550-5.7.2 b 550 5.7.1 c", "550 5.7.1 a 5.7.2 b c"},
		{"550-5.7.1  a  550-5.7.1 550 5.7.1", "550 5.7.1  a"},
		{"550-5.7.1 a 551-b 550 5.7.1 c", "550 5.7.1 a 551-b c"},
		{"550-5.7.1 a 550 5.7.1 c 550 d", "550 5.7.1 a c 550 d"},
		{"550-5.7.1 cut he", "550 5.7.1 cut he"},
		{"550-", "550"},
		{"250 ok 250-x", "250 ok 250-x"},
		{"850-x 850 y", "850-x 850 y"},
	}
	for _, tt := range tests {
		if got := JoinReply(tt.in); got != tt.want {
			t.Errorf("JoinReply(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestReply(t *testing.T) {
	tests := []struct {
		in       string
		code     uint16
		enhanced string
	}{
		{"550 5.1.1 no", 550, "5.1.1"},
		{"550-5.7.26 no", 550, "5.7.26"},
		{"550 5.1.1", 550, "5.1.1"},
		{"550", 550, ""},
		{"550 5.1 no", 550, ""},
		{"550 5.1.1.1 no", 550, ""},
		{"550 5.1.1234 no", 550, ""},
		{"550 3.1.1 no", 550, ""},
		{"550 #5.1.1 no", 550, ""},
		{"5500 5.1.1", 0, ""},
		{"150 x", 0, ""},
		{"600 x", 0, ""},
		{"no", 0, ""},
		{"", 0, ""},
	}
	for _, tt := range tests {
		code, enh, _ := ParseReply(tt.in)
		if code != tt.code || enh.String() != tt.enhanced {
			t.Errorf("ParseReply(%q) = %d %v, want %d %s", tt.in, code, enh, tt.code, tt.enhanced)
		}
	}
	// A code at the start of a text, and a text that is a code.
	for _, s := range []string{"5.1.1", "5.7.509", "2.0.0", "4.999.999", "5.1", "5.1.", "5..1", "6.1.1", "5.1.1000", "5.1.1 x", "5.1.1. x", "5.1.1.", "5.1.1.2", "5.1.1x", "5.1.1:"} {
		e, n := LeadingEnhanced(s)
		want, ok := ParseEnhanced(s)
		if ok != (n == len(s)) || ok && e != want || n > 0 && e.String() != s[:n] {
			t.Errorf("%q: %v (%d), want %v", s, e, n, want)
		}
	}
}

// FuzzJoinReply holds that joining the lines of a reply makes it no longer
// and keeps its code, and that a reply of one line stays as it is.
func FuzzJoinReply(f *testing.F) {
	for _, s := range []string{
		"550-5.7.26 a 550-5.7.26 b 550 5.7.26 c", "550 5.1.1 x", "550-", "550- 550", "550-5.7.1 550-5.7.1 550 5.7.1", "421-4.7.0 a 550 b 421 c 421 d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := JoinReply(s)
		if len(got) > len(s) {
			t.Fatalf("%q became %q", s, got)
		}
		if ReplyCode(s) != ReplyCode(got) || ReplyEnhanced(s) != 0 && ReplyEnhanced(s) != ReplyEnhanced(got) {
			t.Fatalf("%q became %q: code %d %v, then %d %v", s, got, ReplyCode(s), ReplyEnhanced(s), ReplyCode(got), ReplyEnhanced(got))
		}
		if len(s) > 3 && s[3] != '-' && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
