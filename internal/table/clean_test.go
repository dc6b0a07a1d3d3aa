package table

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"550 5.1.1 no such user", "550 5.1.1 no such user"},
		{"boîte aux lettres désactivée", "boîte aux lettres désactivée"},
		{"пользователь не найден", "пользователь не найден"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"bell\a", `bell\x07`},
		{"nul\x00", `nul\x00`},
		{"del\x7f", `del\x7f`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"override \u202egpj.exe", `override \u202egpj.exe`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"latin \xe4 1", `latin \xe4 1`},
		{"two\nlines\r", `two\nlines\x0d`},
		{"tab\there", "tab here"},
		{"line\u2028separator", `line\u2028separator`},
		{"tag \U000e0041", `tag \ue0041`},
	} {
		if got := Clean(test.in); got != test.want {
			t.Errorf("Clean(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"exactly ten", 11, "exactly ten"},
		{"longer than that", 7, "longer…"},
		{"äöüäöü", 4, "äöü…"},
		{"any", 0, "any"},
	} {
		if got := Cut(test.in, test.n); got != test.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

// FuzzClean holds that nothing of a text acts on a terminal, whatever it is,
// and that what is clean stays as it is.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "plain", "\x1b]0;title\a", "\u202e\u2066", "\xff\xfe\x00", "\xc2\x9b", strings.Repeat("ä", 20)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || Hidden(r) {
				t.Fatalf("Clean(%q) = %q holds %U", s, got, r)
			}
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean(%q) = %q, and cleaned again %q", s, got, again)
		}
	})
}

// TestShellWord holds that a shell gives back the word, and does nothing else.
func TestShellWord(t *testing.T) {
	for _, word := range []string{"plain", "", "two words", "it's", `"`, "$(touch owned)", "`id`", "a;b", "a\nb", "-n", "*", "~", "a&b", `back\slash`, "ä"} {
		out, err := exec.Command("sh", "-c", "printf %s "+ShellWord(word)).Output()
		if err != nil {
			t.Skip("no shell: ", err)
		}
		if string(out) != word && word != "-n" {
			t.Errorf("%q became %q", word, out)
		}
	}
}
