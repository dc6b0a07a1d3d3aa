package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`# a comment
retain = "365d" # and one behind
"top" = 20
wide = true
limit = 0.5
list = [
  "a",
  "b",
]
when = 2026-11-23
mixed = ["a", 1]

[follow]
source = ["/var/log/mail.log"]
text = """
top = 1
"""
[empty]
[report]
db.file = "x"
page = { format = "html", deep = { x = 1 } }
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{[]string{"retain"}, "365d", 2, 0},
		{[]string{"top"}, int64(20), 3, 0},
		{[]string{"wide"}, true, 4, 0},
		{[]string{"limit"}, 0.5, 5, 0},
		{[]string{"list"}, []string{"a", "b"}, 6, 0},
		{[]string{"when"}, nil, 10, 0},
		{[]string{"mixed"}, nil, 11, 0},
		{[]string{"follow", ""}, nil, 13, 0},
		{[]string{"follow", "source"}, []string{"/var/log/mail.log"}, 14, 0},
		{[]string{"follow", "text"}, "top = 1\n", 15, 0},
		{[]string{"empty", ""}, nil, 18, 0},
		{[]string{"report", ""}, nil, 19, 0},
		{[]string{"report", "db", "file"}, "x", 20, 0},
		{[]string{"report", "page", ""}, nil, 21, 0},
		{[]string{"report", "page", "format"}, "html", 21, 0},
		{[]string{"report", "page", "deep", ""}, nil, 21, 0},
		{[]string{"report", "page", "deep", "x"}, int64(1), 21, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
	}{
		{"\na = [", 2},
		{"a = 1\nb = 2\na = 3", 3},
		{"a = 1\n[a]", 2},
		{"\n\n[[follow]]\nx = 1", 3},
		{"a = \"\x00\"", 1},
		{"a = '\xff'", 1},
		{"a = " + strings.Repeat("[", 100_000), 1},
		{"a = 1 b = 2", 1},
		{"= 1", 1},
		{"#" + strings.Repeat("x", MaxFile), 0},
	} {
		_, err := Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.20q: error %v, want an *Error", c.text, err)
		} else if e.Line != c.line {
			t.Errorf("%.20q: line %d (%v), want %d", c.text, e.Line, err, c.line)
		}
	}
}

// TestReadBounded holds that a file without an end is not read without an end.
func TestReadBounded(t *testing.T) {
	if _, err := Read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Whatever stands in the file, reading it ends, and each setting has a name and
// a line that is there.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "a = 1", "[a]\nb = [\"x\"]", "a.b.c = {d = {e = 1}}", "[[a]]", "\"\" = 1", "a = '''\n\n'''\nb = 1", "a=inf\nb=0x1f\nc=1979-05-27T07:32:00Z",
		"[a]\n[a.b]\n[a]", "\r\na = 1\r\n", "a = [ # c\n]", "\xef\xbb\xbfa = 1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Parse(text)
		if err != nil {
			if list != nil {
				t.Fatal("settings beside an error")
			}
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, s := range list {
			if len(s.Path) == 0 || s.Line < 1 || s.Line > lines {
				t.Fatalf("%+v of %d lines", s, lines)
			}
		}
	})
}

// A file of rules holds arrays of tables; each element's values are its own.
func TestParseArrays(t *testing.T) {
	list, err := ParseArrays([]byte(`since = "2026"
[[rule]]
id = "a"
any = ["x", "y"]
[[rule]]
id = "b"
[rule.below]
deep = 1
[[provider]]
id = "p"
[other]
x = "y"
`), 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{[]string{"since"}, "2026", 1, 0},
		{[]string{"rule", ""}, nil, 2, 1},
		{[]string{"rule", "id"}, "a", 3, 1},
		{[]string{"rule", "any"}, []string{"x", "y"}, 4, 1},
		{[]string{"rule", ""}, nil, 5, 2},
		{[]string{"rule", "id"}, "b", 6, 2},
		{[]string{"rule", "below", ""}, nil, 7, 2},
		{[]string{"rule", "below", "deep"}, int64(1), 8, 2},
		{[]string{"provider", ""}, nil, 9, 1},
		{[]string{"provider", "id"}, "p", 10, 1},
		{[]string{"other", ""}, nil, 11, 0},
		{[]string{"other", "x"}, "y", 12, 0},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if _, err := ParseArrays([]byte("[[a.b]]\n"), 1000); err == nil {
		t.Error("an array of tables below a table is taken")
	}
	if _, err := ParseArrays([]byte("a = 1\n"), 3); err == nil {
		t.Error("a file longer than the bound is taken")
	}
}
