package parser

import (
	"testing"

	"bouncelog/bounce"
)

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
		if got := joinReply(tt.in); got != tt.want {
			t.Errorf("joinReply(%q) = %q, want %q", tt.in, got, tt.want)
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
		code, enh, _ := Reply(tt.in)
		if code != tt.code || enh.String() != tt.enhanced {
			t.Errorf("Reply(%q) = %d %v, want %d %s", tt.in, code, enh, tt.code, tt.enhanced)
		}
	}
	// The two readings of an enhanced code agree.
	for _, s := range []string{"5.1.1", "5.7.509", "2.0.0", "4.999.999", "5.1", "5.1.", "5..1", "6.1.1", "5.1.1000", "5.1.1 x"} {
		e, n := leadingEnhanced(s)
		want, ok := bounce.ParseEnhanced(s)
		if n == len(s) && (!ok || e != want) || n == 0 && ok {
			t.Errorf("%q: %v (%d), want %v", s, e, n, want)
		}
	}
}

func TestNormal(t *testing.T) {
	tests := []struct{ in, address, domain string }{
		{"", "", ""},
		{"local", "local", ""},
		{"Local@Example.ORG", "Local@example.org", "example.org"},
		{"a@b@Example.ORG", "a@b@example.org", "example.org"},
		{`"a@b"@x.example`, `"a@b"@x.example`, "x.example"},
		{"a@", "a@", ""},
		{"a@[192.0.2.1]", "a@[192.0.2.1]", "[192.0.2.1]"},
		{"Ü@BÜCHER.Example", "Ü@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"ü@x.example", "ü@x.example", "x.example"},
		{"a@\xff\xfe.Example", "a@\xff\xfe.example", "\xff\xfe.example"},
	}
	for _, tt := range tests {
		if address, domain := normal(tt.in); address != tt.address || domain != tt.domain {
			t.Errorf("normal(%q) = %q, %q; want %q, %q", tt.in, address, domain, tt.address, tt.domain)
		}
	}
}
