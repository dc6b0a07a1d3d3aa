package top

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"bouncelog/internal/hostile"
)

// sgr are the only escape sequences of a frame: bold, reverse and colours.
var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// harmful says what of a frame could act on a terminal, or be wider there than here; ""
// where nothing.
func harmful(frame string, columns int) string {
	frame = sgr.ReplaceAllString(frame, "")
	if what := hostile.Unclean(frame); what != "" {
		return what
	}
	for l := range strings.Lines(frame) {
		l = strings.TrimSuffix(l, "\n")
		if a, b := ansi.StringWidth(l), ansi.StringWidthWc(l); a != b || a != columns {
			return fmt.Sprintf("a line of %d columns for some terminals, %d for others, where there are %d: %q", a, b, columns, l)
		}
	}
	return ""
}

// TestHostileFrames opens everything there is in a log full of hostile texts: nothing of them
// acts on the terminal, and each line is as wide as the screen by every way to count.
func TestHostileFrames(t *testing.T) {
	var log strings.Builder
	for i, s := range hostile.Texts {
		log.WriteString(hostile.Lines(i, s))
	}
	o := options(t, stored(t, log.String()))
	o.Window = 24 * time.Hour
	o.Name = hostile.Texts[0]
	o.complete()
	s, err := o.state(100, 200) // so that every row is drawn
	if err != nil {
		t.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: t.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	settle(m, m.Init())
	drawn, copied := 0, 0
	look := func(where string) {
		t.Helper()
		drawn++
		for _, width := range []int{100, 61} {
			s.width = width
			if what := harmful(frame(m.s, m.d, lookColours), width); what != "" {
				t.Fatalf("%s has %s", where, what)
			}
		}
		s.width = 100
		e := s.press(keyPress{name: "c"}, m.d)
		if what := hostile.Unclean(e.copy); what != "" {
			t.Fatalf("%s: the command that is copied has %s: %q", where, what, e.copy)
		}
		if e.copy != "" {
			copied++
		}
		if what := harmful(frame(m.s, m.d, lookColours), 100); what != "" {
			t.Fatalf("%s, after c, has %s", where, what)
		}
	}
	// walk opens each row, and each row of that.
	var walk func(where string, deep int)
	walk = func(where string, deep int) {
		if deep > 0 {
			s.height = 30
		}
		look(where)
		n := len(s.page().rows())
		if deep > 0 {
			n = min(n, 1)
		}
		for i := range n {
			p := s.page()
			p.move(i, 0, p.rows())
			at := len(s.stack)
			s.height = 30
			for _, key := range []string{"enter", "e", "t"} {
				if settle(m, m.send(key)); len(s.stack) > at {
					if key == "enter" && deep < 3 {
						walk(fmt.Sprintf("%s › row %d", where, i), deep+1)
					} else {
						look(fmt.Sprintf("%s › row %d › %s", where, i, key))
					}
					s.stack = s.stack[:at]
				}
			}
		}
	}
	for i, name := range Views() {
		settle(m, m.send(string(rune('1'+i))))
		if len(s.page().rows()) < 2 {
			t.Errorf("%s has only %d rows: the test is broken", name, len(s.page().rows()))
		}
		s.height = 200
		walk(name, 0)
	}
	if drawn < 500 || copied < 500 {
		t.Errorf("only %d frames were drawn, and %d commands copied", drawn, copied)
	}
	for _, text := range hostile.Texts {
		settle(m, m.send("/"))
		m.Update(tea.PasteMsg{Content: text})
		if what := harmful(frame(m.s, m.d, lookColours), 100); what != "" {
			t.Fatalf("with %q as the filter a frame has %s", text, what)
		}
		settle(m, m.send("esc"))
	}
}

// TestHostileTerminal draws the same on an emulated terminal: what it shows is the frame,
// cell by cell.
func TestHostileTerminal(t *testing.T) {
	var log strings.Builder
	for i, s := range hostile.Texts {
		log.WriteString(hostile.Lines(i, s))
	}
	o := options(t, stored(t, log.String()))
	o.Window = 24 * time.Hour
	x := start(t, o, 132, 50)
	for i, name := range Views() {
		var b bytes.Buffer
		o.View = name
		if err := Once(t.Context(), &b, o, 132, 50); err != nil {
			t.Fatal(err)
		}
		x.press(string(rune('1' + i)))
		x.await("the frame of "+name, func(screen string) bool { return screen == b.String() })
	}
	x.quit()
}

// TestPlain holds that a text is as wide by every way to count, and short.
func TestPlain(t *testing.T) {
	for _, s := range append(hostile.Texts, "é", "❤️", "🇩🇪", "👍🏽", "1️⃣", "한국어", "日本", "a\u0301\u0301\u0301", "\u0301", "ก็็็็", "नि", "ﷺ", "\u1100\u1161", "✊🏻x") {
		p := plain(s)
		if a, b := ansi.StringWidth(p), ansi.StringWidthWc(p); a != b {
			t.Errorf("plain(%.50q) = %.100q: %d columns or %d", s, p, a, b)
		}
		if what := hostile.Unclean(p); what != "" {
			t.Errorf("plain(%.50q) has %s", s, what)
		}
		for n := range 12 {
			if f := fit(p, n); width(f) != n {
				t.Errorf("fit(%.50q, %d) = %q: %d columns", p, n, f, width(f))
			}
			if n > 1 {
				for _, l := range wrap(p[:min(len(p), 200)], n) {
					if width(l) > n {
						t.Errorf("wrap(%.50q, %d) has %q", p, n, l)
					}
				}
			}
		}
	}
	// What is written from right to left moves what stands beside it.
	for _, s := range []string{"\u05d0\u05d1 1", "\u0627\u0644\u0628", "\u0661\u0662", "\ufefb", "\U0001e900", "\U00010840", "\u07c0", "\u08a0"} {
		if p := plain(s); !strings.HasPrefix(p, `\u`) || strings.ContainsFunc(p, func(r rune) bool { return r > 0x7f }) {
			t.Errorf("plain(%q) = %q", s, p)
		}
	}
	if got := plain("Müller 日本 a\u0301"); got != "Müller 日本 a\u0301" {
		t.Errorf("a harmless text is %q", got)
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		counts []int64
		n      int
		want   string
	}{
		{nil, 5, ""},
		{[]int64{0, 0, 0}, 3, "▁▁▁"},
		{[]int64{0, 1, 1000}, 3, "▁▂█"},
		{[]int64{1, 1, 2, 2, 4, 4}, 3, "▃▅█"},
		{[]int64{1, 2}, 5, "▅█"},
		{[]int64{3, 3, 3, 3, 3}, 3, "███"}, // two, two and one
	} {
		if got := sparkline(c.counts, c.n); got != c.want {
			t.Errorf("sparkline(%v, %d) = %s, want %s", c.counts, c.n, got, c.want)
		}
	}
}

// TestHostileListing prints all rows of each table of the same log, in full: nothing of them
// acts on the terminal, and each is one line.
func TestHostileListing(t *testing.T) {
	var log strings.Builder
	for i, s := range hostile.Texts {
		log.WriteString(hostile.Lines(i, s))
	}
	db := stored(t, log.String())
	for _, name := range Views() {
		for _, text := range []string{"", "!" + hostile.Texts[0]} {
			o := options(t, db)
			o.Window, o.View, o.All, o.Only = 24*time.Hour, name, true, text
			m := opened(t, o, 80, 24)
			var b bytes.Buffer
			if err := Once(t.Context(), &b, o, 80, 24); err != nil {
				t.Fatal(err)
			}
			if what := hostile.Unclean(strings.ReplaceAll(b.String(), "\n", "")); what != "" {
				t.Errorf("%s has %s", name, what)
			}
			if got, want := strings.Count(b.String(), "\n"), 2+max(len(m.s.page().rows()), 1); got != want {
				t.Errorf("%s has %d lines, want %d", name, got, want)
			}
		}
	}
}
