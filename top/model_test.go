package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"bouncelog/store"
)

// refusals are n refusals of a provider, one every few seconds up to a moment.
func refusals(s *script, n int, every time.Duration, until time.Time, name string) {
	for i := range n {
		s.mail(until.Add(-time.Duration(n-1-i)*every), "news@shop.test", fmt.Sprintf("r%d@%s", i, name), "mx."+name+"[192.0.2.40]:25", "bounced", "5.7.1",
			"host mx."+name+"[192.0.2.40] said: 550 5.7.1 refused by "+name+" (in reply to end of DATA command)", 1)
	}
}

// TestPausedIsOneMoment holds that all that is asked while the screen is paused is of the
// moment at which it was paused: another window, another table, an opened place and the
// incidents. What was stored since counts nowhere, and no rate is higher for it.
func TestPausedIsOneMoment(t *testing.T) {
	s := &script{}
	s.mail(now.Add(-40*24*time.Hour), "news@shop.test", "old@firma.example", outlook, "sent", "2.6.0", "250 2.6.0 Queued", 1)
	refusals(s, 240, 15*time.Second, now, "before.example")
	early := stored(t, s.b.String())
	refusals(s, 1200, 3*time.Second, now.Add(time.Hour), "after.example")
	late := stored(t, s.b.String())
	at, db := now, early
	o := options(t, nil)
	o.Now = func() time.Time { return at }
	o.Read = func(ctx context.Context) (store.Reader, error) { return db.Read(ctx) }
	paused, live := opened(t, o, 120, 40), opened(t, o, 120, 40)
	paused.keys("p")
	rows := func(m *model) string {
		return m.lines()[1] + "\n" + strings.Join(cellsOf(m.s.page().rows()), "\n")
	}
	step := func(m *model, keys string, later bool) string {
		at, db = now, early
		if later {
			at, db = now.Add(time.Hour), late
		}
		m.keys(keys)
		return rows(m)
	}
	for _, keys := range []string{"-", "-", "+", "2", "3", "4", "6", "enter", "enter", "esc", "1", "+", "enter", "1", "+", "+", "-", "-", "-"} {
		want := step(live, keys, false)
		got := step(paused, keys, true)
		if got != want {
			t.Fatalf("paused, after %q:\n%s\nwant\n%s", keys, got, want)
		}
		if strings.Contains(paused.text(), "after.example") {
			t.Fatalf("paused, after %q, what was stored since:\n%s", keys, paused.text())
		}
	}
	if a, b := paused.d.incidents, live.d.incidents; a.of != b.of || a.sentence != b.sentence || len(a.list) != len(b.list) {
		t.Errorf("incidents of %v (%s), want %v (%s)", a.of, a.sentence, b.of, b.sentence)
	}
	at, db = now.Add(time.Hour+time.Minute), late
	if paused.keys("p"); !strings.Contains(paused.text(), "after.example") {
		t.Errorf("going on:\n%s", paused.text())
	}
}

// A disk is a place for databases, of which each connection counts the changes from 1, as
// SQLite's data_version may.
type disk struct {
	db      store.Store // nil: there is none
	changes int64
}

var errGone = errors.New("there is no database")

func (x *disk) read(ctx context.Context) (store.Reader, error) {
	if x.db == nil {
		return nil, errGone
	}
	return x.db.Read(ctx)
}

func (x *disk) watch(context.Context) (func() (int64, error), func(), error) {
	if x.db == nil {
		return nil, nil, errGone
	}
	of := x.db
	return func() (int64, error) {
		if x.db != of {
			return 0, errGone
		}
		return 1 + x.changes, nil
	}, func() {}, nil
}

// TestDatabaseGoesAndComes holds that the screen is of the database that is there: after it
// was away, after another one has its place, and after it could not be read for a moment,
// though nobody writes to it and its version is the one that was seen before.
func TestDatabaseGoesAndComes(t *testing.T) {
	other := &script{}
	refusals(other, 60, 30*time.Second, now, "other.example")
	first, second := stored(t, sampleLog()), stored(t, other.b.String())
	x := &disk{db: first}
	at, broken := now, false
	o := options(t, nil)
	o.Now = func() time.Time { return at }
	o.Watch = x.watch
	o.Read = func(ctx context.Context) (store.Reader, error) {
		if broken {
			return nil, errGone
		}
		return x.read(ctx)
	}
	m := opened(t, o, 120, 40)
	tick := func(seconds int) {
		for range seconds {
			at = at.Add(time.Second)
			settle(m, func() tea.Msg { return tickMsg(at) })
		}
	}
	expect := func(what string, want ...string) {
		t.Helper()
		for _, w := range want {
			if s := m.text(); strings.HasPrefix(w, "!") == strings.Contains(s, strings.TrimPrefix(w, "!")) {
				t.Errorf("%s: %q:\n%s", what, w, s)
			}
		}
	}
	expect("at first", "outlook.com", "Microsoft refuses", "! no database")
	x.db = nil
	tick(2)
	expect("away", "✖ there is no database")
	x.db = first
	tick(3)
	expect("back", "outlook.com", "! no database")
	broken = true
	settle(m, m.send("2"))
	expect("not readable", "✖ there is no database")
	broken = false
	settle(m, m.send("1"))
	tick(3)
	expect("readable", "! no database")
	x.db = second
	tick(3)
	expect("another one", "other.example", "!outlook.com", "!Microsoft refuses", "! no database")
	sum := int64(0)
	for _, n := range m.s.page().ans.rates.hard {
		sum += n
	}
	if sum != 60 {
		t.Errorf("the rates add up to %d refusals of 60", sum)
	}
}

// TestReading holds that nothing is said of incidents while a log is read from its beginning,
// and that they are those of all of it then.
func TestReading(t *testing.T) {
	log := sampleLog()
	db := stored(t, log[:len(log)/2])
	left := int64(5 << 20)
	o := options(t, nil)
	o.View = "reasons" // a table without a row
	o.Name, o.Behind = "mail.log", func() int64 { return left }
	o.Read = func(ctx context.Context) (store.Reader, error) { return db.Read(ctx) }
	m := opened(t, o, 100, 24)
	m.keys("up", "enter")
	if s := m.text(); !strings.Contains(s, "reading, 5 MB to go") || !strings.Contains(s, "○ reading the log") || strings.Contains(s, "●") && strings.Contains(s, "incident.") {
		t.Errorf("half of the log:\n%s", s)
	}
	m.keys("1")
	db, left = stored(t, log), 0
	settle(m, func() tea.Msg { return tickMsg(now) })
	if s := m.text(); !strings.Contains(s, "✖ Microsoft refuses") || strings.Contains(s, "reading") {
		t.Errorf("all of it:\n%s", s)
	}
	left = 5 << 20 // a burst later hides no incident
	settle(m, func() tea.Msg { return tickMsg(now) })
	if s := m.text(); !strings.Contains(s, "✖ Microsoft refuses") || !strings.Contains(s, "reading, 5 MB") {
		t.Errorf("behind again:\n%s", s)
	}
}

// TestAsOf holds that the age of the last line and the rates are those of the moment up to
// which they are known, and that the head says up to when the table is, where that is not now.
func TestAsOf(t *testing.T) {
	o := options(t, stored(t, sampleLog()))
	at, version := now, int64(1)
	o.Now = func() time.Time { return at }
	o.Watch = func(context.Context) (func() (int64, error), func(), error) {
		return func() (int64, error) { return version, nil }, func() {}, nil
	}
	m := opened(t, o, 80, 24)
	rates := m.lines()[1]
	at = now.Add(20 * time.Second)
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24}) // a frame is drawn before an answer comes
	look := m.look()
	if l := m.lines(); !strings.HasPrefix(l[0], "● last line 30 s ago ") || !strings.HasSuffix(l[0], "window 1h to 14:31:07  14:31:27") || l[1] != rates {
		t.Errorf("not known since:\n%s", m.text())
	}
	settle(m, look)
	if l := m.lines(); !strings.HasPrefix(l[0], "● last line 50 s ago ") || !strings.HasSuffix(l[0], "window 1h to 14:31:07  14:31:27") {
		t.Errorf("nothing was stored:\n%s", m.text())
	}
	at, version = now.Add(40*time.Second), 2
	settle(m, func() tea.Msg { return tickMsg(at) })
	if l := m.lines(); !strings.HasPrefix(l[0], "● last line 1 min ago ") && !strings.HasPrefix(l[0], "● last line 1 min 10 s ago ") || strings.Contains(l[0], " to ") {
		t.Errorf("asked again:\n%s", m.text())
	}
}
