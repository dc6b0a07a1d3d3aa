package tailer

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (m identity) Equal(o identity) bool { return m.String() == o.String() }

func TestIdentity(t *testing.T) {
	var m identity
	m.setHead([]byte(join(numbered(1, 3))))
	m.tail = digestOf([]byte("the end\n"))
	m.open, m.base, m.seq = true, 4096, 3
	m.inode, m.cursor = "fe01:2a", "s=1;i=2 %"
	got, err := parseIdentity(m.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.String(), got.String()); diff != "" {
		t.Error(diff)
	}
	if len(got.ends) != 3 || !got.open || got.base != 4096 || got.seq != 3 || got.inode != m.inode || got.cursor != m.cursor {
		t.Errorf("got %+v", got)
	}
}

func TestParseIdentityErrors(t *testing.T) {
	for _, s := range []string{
		"", "v2", "v1 head=0:0123456789abcdef", "v1 head=2000:0123456789abcdef", "v1 head=3:xyz", "v1 tail=5000:0123456789abcdef",
		"v1 base=-1", "v1 base=x", "v1 ends=3", "v1 ends=" + strings.Repeat("3:01234567,", 20), "v1 cursor=%zz", "v1 seq=x",
	} {
		if m, err := parseIdentity(s); err == nil {
			t.Errorf("parseIdentity(%q) = %v, want an error", s, &m)
		}
	}
	if _, err := parseIdentity("v1 new=thing tail=3:0123456789abcdef"); err != nil {
		t.Errorf("a word of a newer program: %v", err)
	}
}

func FuzzParseIdentity(f *testing.F) {
	var m identity
	m.setHead([]byte("a\nb\n"))
	m.tail = digestOf([]byte("b\n"))
	f.Add(m.String())
	f.Add("v1 base=12 head=3:0123456789abcdef ends=1:00000000,3:01234567 tail=1:0123456789abcdef open=1 inode=1%3A2 cursor=s%3D1 seq=4")
	f.Add("v1")
	f.Add("v1 head=")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseIdentity(s)
		if err != nil {
			return
		}
		again, err := parseIdentity(m.String())
		if err != nil {
			t.Fatalf("%q: its own form %q: %v", s, m.String(), err)
		}
		if m.String() != again.String() {
			t.Fatalf("%q: got %q, want %q", s, again.String(), m.String())
		}
		// Whatever it says, it must not match everything, nor panic.
		m.sameHead([]byte("x\ny\nz"))
		m.sameHead(nil)
	})
}

func TestSameHead(t *testing.T) {
	known := "first line\nsecond line\nthird line\n"
	for _, test := range []struct {
		name, head string
		want       bool
	}{
		{"the same", known, true},
		{"longer", known + "fourth\n", true},
		{"shorter by a line", "first line\nsecond line\n", true},
		{"shorter, within a line", "first line\nsecond li", true},
		{"one line", "first line\n", true},
		{"other second line", "first line\nsecond LINE\n", false},
		{"other short second line", "first line\nx\n", false},
		{"other third line, as long", "first line\nsecond line\nTHIRD line\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m identity
			m.setHead([]byte(known))
			if got := m.sameHead([]byte(test.head)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Two logs that begin alike and whose last lines have the same length and the same
// long end, as replies are: what tells them apart stands at the lines' beginnings.
func TestSameEnds(t *testing.T) {
	dir := t.TempDir()
	reply := strings.Repeat(" said: 550 5.1.1 the same long reply of the same host", 20)
	head := join(numbered(1, 20))
	for _, length := range []int{130, 600, 1000} {
		one, other := filepath.Join(dir, "one.log"), filepath.Join(dir, "other.log")
		var first, second []string
		for i := range 100 {
			first = append(first, fmt.Sprintf("Nov 23 09:00:00 mx1 a%08d%s", i, reply[:length]))
			second = append(second, fmt.Sprintf("Nov 23 09:00:00 mx1 b%08d%s", i, reply[:length]))
		}
		write(t, one, head+join(first))
		write(t, other, head+join(second))
		_, pos := mustRead(t, nil, one)
		got, _ := mustRead(t, pos, other)
		sameLines(t, got, append(numbered(1, 20), second...))
	}
}

// The end that is remembered begins at a line's beginning, is neither short nor
// long, and ends where it shall.

// The end that is remembered begins at a line's beginning, and is neither short nor
// long.
func TestEndOf(t *testing.T) {
	long := strings.Repeat("x", 3*tailMax)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"one short line", "a\n", "a\n"},
		{"short lines", strings.Repeat("a line\n", 100), strings.Repeat("a line\n", (tailMin+6)/7)},
		{"a line of some length", "first\n" + long[:tailMin] + "\n", long[:tailMin] + "\n"},
		{"a long line", "first\n" + long[:tailMax-1] + "\n", long[:tailMax-1] + "\n"},
		{"a line that is too long", "first\n" + long + "\n", long[:tailMax-1] + "\n"},
		{"a short line behind one that is too long", long + "\na\n", long[:tailMax-3] + "\na\n"},
		{"a last line without end", "first\n" + long[:200], long[:200]},
	} {
		if got := endOf([]byte(test.text)); string(got) != test.want {
			t.Errorf("%s: %d bytes %.20q, want %d bytes %.20q", test.name, len(got), got, len(test.want), test.want)
		}
	}
}
