package problem

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

// announcing returns an Announcer that logs what it announces.
func announcing(w io.Writer, db store.Store, o Thresholds) *Announcer {
	log := slog.New(slog.NewTextHandler(w, nil))
	a := NewAnnouncer(log, db, o)
	a.Announce = func(p *Problem) { log.Warn(table.Clean(p.Summary), "run", p.Scan) }
	return a
}

// A refusalLog is a made-up log in a database.
type refusalLog struct {
	t      *testing.T
	db     *sqlite.DB
	offset int64
	relay  string        // "": mx.x.example
	reason bounce.Reason // default: Blocklist
}

// newRefusalLog returns a made-up log in a new database, which is closed at the end of the test.
func newRefusalLog(t *testing.T) *refusalLog {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &refusalLog{t: t, db: db}
}

// refuse stores refusals that name a blocklist.
func (l *refusalLog) refuse(at time.Time, n int, detail string) {
	l.t.Helper()
	b := &store.Batch{}
	for range n {
		l.offset += 100
		b.Attempts = append(b.Attempts, store.Attempt{
			Delivery: bounce.Delivery{
				Source: "log", Offset: l.offset, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp", QueueID: fmt.Sprintf("%X", 0x10000+l.offset),
				Sender: "a@shop.example", SenderDomain: "shop.example", SenderKnown: true, Recipient: fmt.Sprintf("u%d@x.example", l.offset), RecipientDomain: "x.example",
				RelayHost: cmp.Or(l.relay, "mx.x.example"), RelayIP: "192.0.2.1", RelayPort: 25, Status: "bounced", Outcome: bounce.Hard, Code: 554,
				Response: "554 blocked \x1b[31m by " + detail,
			},
			Verdict: bounce.Verdict{Reason: cmp.Or(l.reason, bounce.Blocklist), Detail: detail, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause},
		})
	}
	b.Sources = []store.Source{{ID: "log", Path: "mail.log", Offset: l.offset + 1}}
	if err := storetest.Put(l.t.Context(), l.db, b); err != nil {
		l.t.Fatal(err)
	}
}

// TestAnnouncer holds that a problem is announced once: not again while it goes on,
// nor after a restart, but again when it comes back.
func TestAnnouncer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	open := func() *sqlite.DB {
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	l := &refusalLog{t: t, db: open()}
	defer func() { l.db.Close() }()
	var said bytes.Buffer
	w := announcing(&said, l.db, Thresholds{})
	look := func(want int, what string) {
		t.Helper()
		said.Reset()
		w.now = func() time.Time { return time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC) }
		w.next, w.asked = time.Time{}, time.Time{}
		w.Look(t.Context())
		w.Wait()
		if got := strings.Count(said.String(), "level=WARN"); got != want {
			t.Errorf("%s: %d announced, want %d\n%s", what, got, want, &said)
		}
		if strings.Contains(said.String(), "\x1b") {
			t.Errorf("%s: a control character was logged", what)
		}
	}
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	look(0, "empty")
	l.refuse(at, 3, "spamcop")
	look(1, "the first refusal")
	if !strings.Contains(said.String(), `run="bouncelog scan shop.example"`) {
		t.Errorf("no command in %s", &said)
	}
	look(0, "nothing new")
	l.refuse(at.Add(time.Hour), 3, "spamcop")
	look(0, "the same goes on")
	l.refuse(at.Add(2*time.Hour), 3, "barracuda\x1b[31m")
	look(1, "another list")

	l.db.Close()
	l.db = open()
	w = announcing(&said, l.db, Thresholds{})
	look(0, "after a restart")
	l.refuse(at.Add(20*time.Hour), 1, "spamcop")
	look(0, "it goes on after a restart")
	l.refuse(at.Add(80*time.Hour), 3, "spamcop")
	look(1, "it comes back after days")
	for i := range 30 {
		l.refuse(at.Add(80*time.Hour+time.Duration(i)*12*time.Hour), 1, "spamcop")
	}
	look(0, "it went on for weeks while nobody looked")

	l.refuse(at.Add(100*24*time.Hour), 3, "uceprotect")
	said.Reset()
	w.Look(t.Context())
	w.Wait()
	if said.Len() > 0 {
		t.Errorf("it looked twice in a minute: %s", &said)
	}
}

// TestAnnouncerToldToEnd holds that an announcement is not repeated, even if the process was told
// to end before it was noted.
func TestAnnouncerToldToEnd(t *testing.T) {
	l := newRefusalLog(t)
	l.refuse(time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), 20, "spamcop")
	for run, want := range []int{1, 0} {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		announced := 0
		a := NewAnnouncer(slog.New(slog.DiscardHandler), l.db, Thresholds{})
		a.now = func() time.Time { return time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC) }
		a.Announce = func(*Problem) { announced++; end() }
		a.Look(ctx)
		a.Wait()
		if announced != want {
			t.Errorf("run %d: %d announced, want %d", run+1, announced, want)
		}
	}
}

// A slowStore delays queries for refusals until it is told to answer.
type slowStore struct {
	*sqlite.DB
	asked  chan struct{} // gets a value for each query
	answer chan struct{} // closed: answer
}

func (s *slowStore) Read(ctx context.Context) (store.Reader, error) {
	r, err := s.DB.Read(ctx)
	return &slowReader{r, s}, err
}

type slowReader struct {
	store.Reader
	*slowStore
}

func (s *slowReader) Close() error { return s.Reader.Close() }

func (s *slowReader) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	return func(yield func(*store.Refusal, error) bool) {
		s.asked <- struct{}{}
		select {
		case <-s.answer:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		for r, err := range s.Reader.Refusals(ctx, f) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// TestAnnouncerHoldsNothingUp holds that Look returns at once during a search, that only one search
// runs at a time, and that a search ends when told to.
func TestAnnouncerHoldsNothingUp(t *testing.T) {
	l := newRefusalLog(t)
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	l.refuse(at, 3, "spamcop")
	slow := &slowStore{DB: l.db, asked: make(chan struct{}, 100), answer: make(chan struct{})}
	said := &bytes.Buffer{} // read only while no search runs
	w := announcing(said, slow, Thresholds{})
	look := func(ctx context.Context) {
		t.Helper()
		returned := make(chan struct{})
		go func() {
			w.Look(ctx)
			close(returned)
		}()
		select {
		case <-returned:
		case <-time.After(20 * time.Second):
			t.Fatal("the search holds up who follows")
		}
	}
	look(t.Context())
	<-slow.asked // the search has begun
	l.refuse(at.Add(time.Minute), 1, "spamcop")
	for range 3 {
		w.asked = time.Time{}
		look(t.Context())
	}
	if n := len(slow.asked); n > 0 {
		t.Errorf("%d more searches were begun beside it", n)
	}
	close(slow.answer)
	w.Wait()
	if got := strings.Count(said.String(), "level=WARN"); got != 1 {
		t.Errorf("%d announced, want 1:\n%s", got, said)
	}

	// A search ends with its context; that is no error.
	slow.answer = make(chan struct{})
	for len(slow.asked) > 0 {
		<-slow.asked
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.asked, w.next = time.Time{}, time.Time{}
	look(ctx)
	<-slow.asked
	cancel()
	w.Wait()
	if got := strings.Count(said.String(), "level=WARN"); got != 1 {
		t.Errorf("an end that was asked for is told:\n%s", said)
	}
}

// A long search is followed by a longer rest.
func TestAnnouncerRests(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Minute, 15 * time.Second: time.Minute, 2 * time.Minute: 8 * time.Minute,
	} {
		if got := rest(took); got != want {
			t.Errorf("after %v it rests %v, want %v", took, got, want)
		}
	}
}

// TestAnnouncerIsNotMuted holds that neither a small server nor a wrong clock mutes the alarm for a
// problem that reaches other providers.
func TestAnnouncerIsNotMuted(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		first  func(l *refusalLog)
		second func(l *refusalLog)
	}{
		{"another provider", func(l *refusalLog) { l.refuse(at, 3, "spamcop") }, func(l *refusalLog) {
			l.relay = "mx.large.example"
			l.refuse(at.Add(time.Hour), 5, "spamcop")
		}},
		{"ten times as much", func(l *refusalLog) { l.refuse(at, 3, "spamcop") }, func(l *refusalLog) { l.refuse(at.Add(time.Hour), 57, "spamcop") }},
		{"a burst behind a trickle", func(l *refusalLog) {
			for i := range 12 {
				l.refuse(at.Add(time.Duration(i-11)*6*time.Hour), 2, "spamcop")
			}
		}, func(l *refusalLog) { l.refuse(at.Add(time.Hour), 60, "spamcop") }},
		{"a refusal from the future", func(l *refusalLog) {
			l.refuse(at, 3, "barracuda")
			l.refuse(at.AddDate(40, 0, 0), 3, "spamcop")
		}, func(l *refusalLog) { l.refuse(at.Add(time.Hour), 3, "spamcop") }},
		{"a refusal less than a day ahead", func(l *refusalLog) { l.refuse(at.Add(25*time.Hour), 3, "barracuda") }, func(l *refusalLog) { l.refuse(at.Add(time.Hour), 3, "spamcop") }},
		{"a host whose clock is late", func(l *refusalLog) { l.refuse(at.Add(2*time.Hour), 3, "barracuda") }, func(l *refusalLog) { l.refuse(at, 3, "spamcop") }},
	} {
		for _, restarted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, restarted %t", test.name, restarted), func(t *testing.T) {
				l := newRefusalLog(t)
				var said bytes.Buffer
				var w *Announcer
				for i, change := range []func(*refusalLog){test.first, test.second, func(*refusalLog) {}} {
					change(l)
					said.Reset()
					if restarted || w == nil {
						w = announcing(&said, l.db, Thresholds{})
					}
					w.now = func() time.Time { return at.Add(2 * time.Hour) }
					w.next, w.asked = time.Time{}, time.Time{}
					w.Look(t.Context())
					w.Wait()
					if got, want := strings.Count(said.String(), "level=WARN"), []int{1, 1, 0}[i]; got != want {
						t.Errorf("search %d: %d announced, want %d\n%s", i, got, want, &said)
					}
				}
			})
		}
	}
}

// TestAnnouncedSize holds that a problem is announced again only when it refuses ten times as fast as
// when it was announced last, not when its number reaches a round figure, nor after its end.
func TestAnnouncedSize(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	subject := key{what: namedStream, reason: bounce.Blocklist, detail: "spamcop"}
	for _, test := range []struct {
		name string
		// first and second are the messages refused up to the two searches; after and later, the
		// times of the last refusals, counted from the onset.
		first, second int
		after, later  time.Duration
		ended, valid  bool // at the second search
		want          int  // announcements of the second search
	}{
		{"six, then eleven", 6, 11, 10 * time.Minute, 20 * time.Hour, false, false, 0},
		{"the first hour, then a day at less an hour", 57, 579, time.Hour - 1, 23 * time.Hour, false, false, 0},
		{"within the first hour", 3, 300, time.Minute, 50 * time.Minute, false, false, 0},
		{"ten times as fast", 6, 600, 10 * time.Minute, 9 * time.Hour, false, false, 1},
		{"ten times as fast, of some days", 40, 1600, 48 * time.Hour, 60 * time.Hour, false, false, 1},
		{"as fast as before, of some days", 40, 400, 48 * time.Hour, 400 * time.Hour, false, false, 0},
		{"less than one a day, then more", 3, 60, 96 * time.Hour, 108 * time.Hour, false, false, 1},
		{"valid recipients", 6, 7, 10 * time.Minute, time.Hour, false, true, 1},
		{"valid recipients after its end", 6, 7, 10 * time.Minute, time.Hour, true, true, 0},
		{"ten times as fast, and ended", 6, 600, 10 * time.Minute, 9 * time.Hour, true, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 0
			a := NewAnnouncer(slog.New(slog.DiscardHandler), nil, Thresholds{})
			a.Announce = func(*Problem) { n++ }
			a.announced = map[string]time.Time{}
			p := Problem{Since: at, Until: at.Add(test.after), Ongoing: true, Messages: test.first, keys: []key{subject}}
			search := func(want int, what string) {
				t.Helper()
				n = 0
				a.take([]Problem{p}, p.Until)
				if n != want {
					t.Errorf("%s: %d announced, want %d", what, n, want)
				}
			}
			search(1, "the first search")
			p.Until, p.Messages, p.Ongoing = at.Add(test.later), test.second, !test.ended
			if test.valid {
				p.ValidRecipients = []string{"u@x.example"}
			}
			search(test.want, "the second")
			search(0, "the third")
		})
	}
}

// TestSize holds that a burst behind a trickle is growth, and that retries of the same messages are not.
func TestSize(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	hours := func(refused ...int) (list []Hour) {
		for i, n := range refused {
			list = append(list, Hour{at.Add(time.Duration(i) * time.Hour), n})
		}
		return list
	}
	before := SizeOf(3, at, at.Add(10*time.Minute), hours(3))
	for _, test := range []struct {
		name     string
		messages int
		hours    []Hour
		grew     bool
	}{
		{"a trickle", 12, hours(3, 1, 1, 1, 1, 1, 1, 1, 1, 1), false},
		{"a burst", 42, hours(3, 1, 1, 1, 1, 1, 1, 1, 1, 31), true},
		{"retries", 30, hours(3, 6, 9, 12, 15, 18, 21, 24, 27, 30), false},
		{"the same rate", 30, hours(3, 3, 3, 3, 3, 3, 3, 3, 3, 3), false},
	} {
		now := SizeOf(test.messages, at, at.Add(9*time.Hour+10*time.Minute), test.hours)
		if now.Grew(before) != test.grew || parseSize(now.String()) != now {
			t.Errorf("%s: %v, %v", test.name, now, now.Grew(before))
		}
		if most := now.Most(before); most.Grew(before) != test.grew || now.Grew(most) {
			t.Errorf("%s: as announced: %v", test.name, most)
		}
	}
}

// TestTake holds that problems from another search are announced once too, and that Take and Look
// each know the announcements of the other.
func TestTake(t *testing.T) {
	l := newRefusalLog(t)
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	var said bytes.Buffer
	restart := func() *Announcer {
		a := announcing(&said, l.db, Thresholds{})
		a.now = func() time.Time { return at.Add(72 * time.Hour) }
		return a
	}
	a := restart()
	check := func(want int, what string) {
		t.Helper()
		if got := strings.Count(said.String(), "level=WARN"); got != want {
			t.Errorf("%s: %d announced, want %d\n%s", what, got, want, &said)
		}
		said.Reset()
	}
	take := func(newest time.Time) {
		t.Helper()
		r, err := l.db.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
		if err == nil {
			err = a.Take(t.Context(), found, newest)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l.refuse(at, 3, "spamcop")
	take(at)
	check(1, "the first refusal")
	take(at.Add(time.Minute))
	check(0, "the same")
	a = restart()
	take(at.Add(2 * time.Minute))
	check(0, "after a restart")
	a = restart()
	a.Look(t.Context())
	a.Wait()
	check(0, "a search of its own")
	l.refuse(at.Add(time.Hour), 3, "barracuda")
	take(at.Add(time.Hour))
	check(1, "another list")
	take(at.Add(71 * time.Hour))
	check(0, "both are over")
}

// TestAnnouncerBackground holds that background is not announced, and that an incident is announced
// neither for each small server that it reaches nor again.
func TestAnnouncerBackground(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	const minute = time.Minute
	small := func(i int) string { return fmt.Sprintf("mx.d%d.example", i) }
	for _, test := range []struct {
		name        string
		looks       int
		refuse      func(l *refusalLog, look int)
		least, most int // number of announcements
	}{
		{"a message at each of many small domains, with a list for each", 3, func(l *refusalLog, look int) {
			for i := range 100 {
				l.relay = small(100*look + i)
				l.refuse(at.Add(time.Duration(100*look+i)*minute), 1, fmt.Sprintf("list%d", 100*look+i))
			}
		}, 0, 0},
		{"a bad reputation at each of some small domains", 1, func(l *refusalLog, _ int) {
			l.reason = bounce.Reputation
			for i := range 4 {
				l.relay = small(i)
				l.refuse(at.Add(time.Duration(i)*minute), 2, "")
			}
		}, 0, 0},
		{"a message at a large provider", 1, func(l *refusalLog, _ int) {
			l.relay = "gmail-smtp-in.l.google.com"
			l.refuse(at, 1, "spamhaus-zen")
		}, 0, 0},
		{"five messages at a domain, which names the list", 3, func(l *refusalLog, look int) {
			if look == 0 {
				l.refuse(at, 5, "spamhaus-zen")
			}
			l.refuse(at.Add(time.Duration(look)*minute), 1, "spamhaus-zen")
		}, 1, 1},
		{"what was background has become an incident, and is background again", 4, func(l *refusalLog, look int) {
			l.refuse(at.Add(time.Duration(look)*40*time.Hour), []int{2, 1, 1, 1}[look], "spamhaus-zen")
		}, 1, 1},
		{"a list that one small domain after the other asks, and a large provider in the end", 60, func(l *refusalLog, look int) {
			if l.relay = small(look); look == 59 {
				l.relay = "gmail-smtp-in.l.google.com"
			}
			l.refuse(at.Add(time.Duration(look)*minute), 5, "spamhaus-zen")
		}, 6, 7},
		{"very many lists at once", 2, func(l *refusalLog, _ int) {
			for i := range 30 {
				l.relay = small(i)
				l.refuse(at.Add(time.Duration(i)*minute), 3, fmt.Sprintf("list%d", i))
			}
		}, atOnce + 1, atOnce + 1},
		{"a bad reputation at very many small domains", 3, func(l *refusalLog, look int) {
			l.reason = bounce.Reputation
			for i := range 600 {
				l.relay = small(i)
				l.refuse(at.Add(time.Duration(look)*minute+time.Duration(i)*time.Second), 3, "")
			}
		}, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newRefusalLog(t)
			var said bytes.Buffer
			for look := range test.looks {
				test.refuse(l, look)
				w := announcing(&said, l.db, Thresholds{}) // each time like after a restart
				w.now = func() time.Time { return at.Add(200 * time.Hour) }
				w.Look(t.Context())
				w.Wait()
			}
			if got := strings.Count(said.String(), "level=WARN"); got < test.least || got > test.most {
				t.Errorf("%d announced, want %d to %d\n%.2000s", got, test.least, test.most, &said)
			}
		})
	}
}
