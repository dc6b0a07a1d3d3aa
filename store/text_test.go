package store

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "a\x00b", "\xff\xfe", "é\xc3", strings.Repeat("é", 40), "\x01\x05{brace}"} {
		f.Add(s, 16)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = limit&255 + 1
		got := Clean(s, limit)
		if strings.ToValidUTF8(got, "") != got || strings.ContainsAny(got, "\x00\x01\x02\x03\x04\x05") {
			t.Errorf("Clean(%q) = %q", s, got)
		}
		if len(got) > limit {
			t.Errorf("Clean(%q, %d) has %d bytes", s, limit, len(got))
		}
		if Clean(got, 1<<20) != got {
			t.Errorf("Clean is not done with %q", got)
		}
	})
}

// TestPlain puts each byte at each position.
func TestPlain(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte("\t\x7f"), n)[:n]
				b[at] = byte(c)
				if got, want := plain(string(b)), '\t' <= c && c <= '\x7f'; got != want {
					t.Fatalf("plain(%q) = %v", b, got)
				}
			}
		}
	}
}
