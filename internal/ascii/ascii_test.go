package ascii

import (
	"strings"
	"testing"
)

func TestLower(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "@[`{": "@[`{", "aBZ[A@z": "abz[a@z", "fran\u212a@X.example": "fran\u212a@x.example", "\u017fÜ\u0130I": "\u017fÜ\u0130i", "\xc3A\xff": "\xc3a\xff",
	} {
		if got := Lower(in); got != want {
			t.Errorf("Lower(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzLower(f *testing.F) {
	f.Add("Fran\u212a@X")
	f.Fuzz(func(t *testing.T, s string) {
		got := Lower(s)
		if len(got) != len(s) || Lower(got) != got || Lower(strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, strings.ToValidUTF8(s, "?"))) != Lower(strings.ToValidUTF8(s, "?")) {
			t.Errorf("Lower(%q) = %q", s, got)
		}
	})
}
