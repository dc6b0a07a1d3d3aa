package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// start is the start of the log in a test.
var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// A fixture is a made-up log in a store, with the destinations.
type fixture struct {
	t      *testing.T
	db     *memory.DB
	now    time.Time
	offset int64
	to     []*recorder
	log    bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, db: memory.Open(), now: start, to: []*recorder{{name: "one"}}}
}

// A recorder records its events, and fails if err is set.
type recorder struct {
	name string
	told []*Event
	err  error
	hook func(*Event)
}

func (r *recorder) ID() string     { return r.name }
func (r *recorder) String() string { return r.name }

func (r *recorder) Send(_ context.Context, e *Event) error {
	if r.hook != nil {
		r.hook(e)
	}
	if r.err != nil {
		return r.err
	}
	r.told = append(r.told, e)
	return nil
}

// kinds returns the kinds of the events since the last call.
func (r *recorder) kinds() string {
	var list []string
	for _, e := range r.told {
		list = append(list, e.Kind)
	}
	r.told = nil
	return strings.Join(list, " ")
}

func (f *fixture) notifier() *Notifier {
	f.t.Helper()
	var to []Destination
	for _, r := range f.to {
		to = append(to, r)
	}
	n, err := New(f.db, Options{To: to, Location: time.UTC, Host: "mx1.example", Log: slog.New(slog.NewTextHandler(&f.log, nil)), Now: func() time.Time { return f.now }})
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// mail logs messages from a sender domain, one per minute from at, refused with the reply, if one
// is given.
func (f *fixture) mail(at time.Time, n int, from, provider, reply string) {
	f.t.Helper()
	b := &store.Batch{}
	for i := range n {
		f.offset += 100
		a := store.Attempt{
			Delivery: bounce.Delivery{
				Source: "log", Offset: f.offset, Time: at.Add(time.Duration(i) * time.Minute), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
				QueueID: fmt.Sprintf("%X", 0x10000+f.offset), Sender: "a@" + from, SenderDomain: from, SenderKnown: true,
				Recipient: fmt.Sprintf("u%d@%s", i%10, provider), RecipientDomain: provider, RelayHost: "mx." + provider, RelayIP: "192.0.2.1", RelayPort: 25,
				Status: "sent", Outcome: bounce.Delivered, Code: 250, Response: "250 ok",
			},
		}
		if reply != "" {
			a.Status, a.Outcome, a.Code, a.Response = "bounced", bounce.Hard, 554, reply
			a.Verdict = bounce.Verdict{Reason: bounce.Blocklist, Detail: "spamcop", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
		}
		b.Attempts = append(b.Attempts, a)
		f.now = a.Time.Add(time.Minute)
	}
	b.Sources = []store.Source{{ID: "log", Path: "mail.log", Offset: f.offset + 1, First: start, Last: f.now}}
	if err := storetest.Put(f.t.Context(), f.db, b); err != nil {
		f.t.Fatal(err)
	}
}

// once looks and delivers like one run of the command.
func (f *fixture) once() {
	f.t.Helper()
	f.with(f.notifier())
}

func (f *fixture) with(n *Notifier) {
	f.t.Helper()
	if err := n.Look(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	if _, _, err := n.Deliver(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) want(what, kinds string) {
	f.t.Helper()
	for _, r := range f.to {
		if got := r.kinds(); got != kinds {
			f.t.Errorf("%s: %s was told %q, want %q\n%s", what, r.name, got, kinds, &f.log)
		}
	}
}

const listed = "554 5.7.1 blocked by spamcop"

// TestOnce holds that each destination gets one event when an incident begins and one when it is
// over, from whichever process; and again when the incident comes back.
func TestOnce(t *testing.T) {
	f := newFixture(t)
	f.to = append(f.to, &recorder{name: "two"})
	f.once()
	f.want("an empty database", "")
	f.mail(start, 40, "shop.example", "x.example", "")
	f.once()
	f.want("mail that is taken", "")
	f.mail(start.Add(time.Hour), 30, "shop.example", "x.example", listed)
	f.once()
	e := f.to[0].told
	f.want("refusals", Began)
	if len(e) > 0 {
		if in := e[0].Facts; in == nil || in.Refused != 30 || !in.Since.Equal(start.Add(time.Hour)) || in.Check == "" || in.Command == "" || in.Share <= 0 ||
			!strings.Contains(e[0].Details, "bouncelog scan") || !strings.Contains(e[0].Details, "30 messages") {
			t.Errorf("told: %+v\n%s", in, e[0].Details)
		}
	}
	f.once()
	f.want("nothing new, after a restart", "")
	follow := f.notifier()
	f.with(follow)
	f.mail(start.Add(3*time.Hour), 5, "shop.example", "x.example", listed)
	f.with(follow)
	f.want("it goes on", "")
	f.mail(start.Add(5*time.Hour), 30, "shop.example", "x.example", "")
	f.with(follow)
	f.want("its mail is taken again", Ended)
	f.once()
	f.with(follow)
	f.want("it was told that it is over", "")

	f.mail(start.Add(8*time.Hour), 30, "shop.example", "x.example", listed)
	f.once()
	f.want("it comes back", Began)
	f.mail(start.Add(10*time.Hour), 40, "shop.example", "x.example", "")
	f.mail(start.Add(12*time.Hour), 30, "shop.example", "x.example", listed)
	f.mail(start.Add(14*time.Hour), 40, "shop.example", "x.example", "")
	f.once()
	f.want("it flickers", "")
	f.now = start.Add(60 * 24 * time.Hour)
	f.once()
	f.want("the log is silent: nothing ends", "")
	f.mail(start.Add(12*time.Hour+50*time.Hour), 3, "other.example", "y.example", "")
	f.once()
	f.want("no refusal for two days", Ended)
	f.mail(start.Add(20*24*time.Hour), 30, "shop.example", "x.example", listed)
	f.once()
	f.want("weeks later", Began)
}

// TestNoise holds that neither the usual background nor an old log causes an event.
func TestNoise(t *testing.T) {
	f := newFixture(t)
	f.mail(start, 300, "shop.example", "x.example", "")
	f.mail(start.Add(6*time.Hour), 2, "shop.example", "x.example", listed)
	f.once()
	f.want("two refusals among many", "")

	f = newFixture(t)
	f.mail(start, 2, "shop.example", "x.example", listed)
	f.once()
	f.want("two messages", "")
	f.mail(start.Add(time.Minute), 1, "shop.example", "x.example", listed)
	f.once()
	f.want("the third", Began)

	f = newFixture(t)
	f.mail(start, 40, "shop.example", "x.example", listed)
	f.now = start.Add(30 * 24 * time.Hour)
	f.once()
	f.want("an old log", "")
}

// TestGrew holds that the growth of an incident is reported, but only a few times.
func TestGrew(t *testing.T) {
	f := newFixture(t)
	f.mail(start, 10, "shop.example", "x.example", "")
	f.mail(start.Add(time.Hour), 4, "shop.example", "x.example", listed)
	f.once()
	f.want("a few", Began)
	f.mail(start.Add(2*time.Hour), 120, "shop.example", "x.example", listed)
	f.once()
	if e := f.to[0].told; len(e) != 1 || !slices.Equal(e[0].Changes, []Change{{"messages", 4, 124, 1, 3}}) || !strings.HasPrefix(e[0].Text, "Incident grows from 4 messages in 1 h to 124 in 3 h: x.example refuses") {
		t.Errorf("told %+v", e)
	}
	f.want("ten times as much", Grew)
	for i := range 5 {
		f.mail(start.Add(time.Duration(4+i)*time.Hour), 2, "shop.example", fmt.Sprintf("p%d.example", i), listed)
		f.once()
	}
	if e := f.to[0].told; len(e) != 1 || !slices.Equal(e[0].Changes, []Change{{Of: "providers", From: 1, To: 2}}) {
		t.Errorf("told %+v", e)
	}
	f.want("one provider after the other", Grew)
}

// TestGrown holds that an incident grew in messages only if it refuses ten times as fast, and that
// less than a day is not told as a day.
func TestGrown(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, last int           // messages at the begin and now
		after       time.Duration // from the onset to the event before
		later       time.Duration // from the onset to now
		want        []Change
	}{
		{"the first hour, then a day at less an hour", 57, 579, time.Hour - 1, 23 * time.Hour, nil},
		{"within the first hour", 3, 300, time.Minute, 50 * time.Minute, nil},
		{"ten times as fast after the first hour", 6, 600, 10 * time.Minute, 9 * time.Hour, []Change{{"messages", 6, 600, 1, 10}}},
		{"less than a day, then some days", 3, 600, 10*time.Hour - 1, 50*time.Hour - 1, []Change{{"messages", 3, 600, 10, 50}}},
		{"some days", 40, 400, 48*time.Hour - 1, 96*time.Hour - 1, nil},
		{"some days, ten times as fast", 40, 1600, 48*time.Hour - 1, 96*time.Hour - 1, []Change{{Of: "messages_per_day", From: 20, To: 400}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &report.Incident{Since: start, Until: start.Add(test.after), Refused: test.first, Ongoing: true}
			s := &told{}
			s.event(Began, &finding{incident: in}, moment{describe: func(*report.Incident) string { return "" }})
			in.Until, in.Refused = start.Add(test.later), test.last
			if got := s.grown(in); !slices.Equal(got, test.want) {
				t.Errorf("grown %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestRetry holds that a failed event is retried later with growing delays, only to the
// destinations that failed, and finally given up.
func TestRetry(t *testing.T) {
	f := newFixture(t)
	broken := &recorder{name: "broken", err: errors.New("it answers \x1b[31m500")}
	f.to = append(f.to, broken)
	f.mail(start, 30, "shop.example", "x.example", listed)
	n := f.notifier()
	if err := n.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	tries := 0
	broken.hook = func(*Event) { tries++ }
	began := f.now
	for f.now.Sub(began) < 3*time.Hour {
		failed, next, err := n.Deliver(t.Context())
		if err != nil || failed != 1 || !next.After(f.now) || next.Sub(f.now) > lastRetry {
			t.Fatalf("failed %d, next %v, %v", failed, next, err)
		}
		if failed, again, _ := n.Deliver(t.Context()); failed != 0 || !again.Equal(next) {
			t.Fatal("it is tried again at once")
		}
		f.now = next
		n = f.notifier() // also over a restart
	}
	if tries < 5 || tries > 12 {
		t.Errorf("%d tries in three hours", tries)
	}
	if got := f.to[0].kinds(); got != Began {
		t.Errorf("the other was told %q", got)
	}
	broken.err = nil
	f.with(n)
	if got := broken.kinds(); got != Began {
		t.Errorf("in the end it was told %q", got)
	}
	if strings.Contains(f.log.String(), "\x1b") {
		t.Errorf("a control character was logged: %q", &f.log)
	}

	// The event is given up after a day.
	broken.err = errors.New("gone")
	f.mail(start.Add(5*time.Hour), 40, "shop.example", "x.example", "")
	f.once()
	f.now = f.now.Add(giveUp)
	f.with(n)
	broken.err = nil
	f.with(n)
	if got := broken.kinds(); got != "" || !strings.Contains(f.log.String(), "given up") {
		t.Errorf("after a day it was told %q\n%s", got, &f.log)
	}
}

// TestTwoProcesses holds that only one of two processes sends an event, also while the other is
// sending, and that another process takes over from a dead one.
func TestTwoProcesses(t *testing.T) {
	f := newFixture(t)
	f.mail(start, 30, "shop.example", "x.example", listed)
	one, two := f.notifier(), f.notifier()
	for _, n := range []*Notifier{one, two} {
		if err := n.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.to[0].hook = func(*Event) {
		f.to[0].hook = nil
		if failed, next, err := two.Deliver(t.Context()); failed != 0 || next.IsZero() || err != nil {
			t.Errorf("the second: failed %d, next %v, %v", failed, next, err)
		}
	}
	f.with(one)
	f.with(two)
	f.want("two processes", Began)

	// A process killed between the claim and the note: the event is retried later, with the same
	// id.
	f.mail(start.Add(5*time.Hour), 40, "shop.example", "x.example", "")
	var id string
	func() {
		defer func() { recover() }()
		f.to[0].hook = func(e *Event) { id = e.ID; panic("killed") }
		f.with(one)
	}()
	f.to[0].hook = nil
	f.with(two)
	f.want("somebody may be at it", "")
	f.now = f.now.Add(claimFor)
	f.with(two)
	if told := f.to[0].told; len(told) != 1 || told[0].ID != id {
		t.Errorf("told %v, want the id %s again", told, id)
	}
}

// TestLook holds the events of the course of an incident, look by look.
func TestLook(t *testing.T) {
	const hour = time.Hour
	in := func(key string, since, until time.Duration, refused int, ongoing, noise bool) finding {
		return finding{
			keys: strings.Split(key, "+"), noise: noise,
			incident: &report.Incident{ID: key, Level: problem.Confirmed, Title: key, Since: start.Add(since), Until: start.Add(until), Refused: refused, Ongoing: ongoing, Providers: []string{"x"}},
		}
	}
	type step struct {
		at    time.Duration // time of the newest line
		found []finding
		want  string
	}
	for name, steps := range map[string][]step{
		"two that are one": {
			{1 * hour, []finding{in("a", 0, hour, 5, true, false)}, "began"},
			{2 * hour, []finding{in("a", 0, hour, 5, true, false), in("b", hour, 2*hour, 5, true, false)}, "began"},
			{3 * hour, []finding{in("a+b", 0, 3*hour, 12, true, false)}, "ended into a"},
			{9 * hour, []finding{in("a+b", 0, 3*hour, 12, false, false)}, "ended"},
			{10 * hour, []finding{in("a", 0, 3*hour, 12, false, false), in("b", 0, 3*hour, 12, false, false)}, ""},
		},
		"one that had ended, and one that goes on": {
			{1 * hour, []finding{in("a", 0, hour, 5, true, false)}, "began"},
			{9 * hour, []finding{in("a", 0, hour, 5, false, false), in("b", 8*hour, 9*hour, 5, true, false)}, "ended began"},
			{10 * hour, []finding{in("a+b", 0, 10*hour, 12, true, false)}, ""},
			{20 * hour, []finding{in("a+b", 0, 10*hour, 12, false, false)}, "ended"},
		},
		"a lucky hour is no end": {
			{40 * hour, []finding{in("a", 0, 39*hour, 100, true, false)}, "began"},
			{42 * hour, []finding{in("a", 0, 40*hour, 100, false, false)}, ""},
			{44 * hour, []finding{in("a", 0, 44*hour, 102, true, false)}, ""},
			{51 * hour, []finding{in("a", 0, 44*hour, 102, false, false)}, "ended"},
		},
		"one of which noise is left": {
			{1 * hour, []finding{in("a", 0, hour, 5, true, false)}, "began"},
			{20 * hour, []finding{in("a", 0, 20*hour, 6, true, true)}, ""},
			{40 * hour, []finding{in("a", 0, 40*hour, 7, true, true)}, ""},
			{69 * hour, []finding{in("a", 0, 68*hour, 8, true, true)}, "ended"},
			{90 * hour, []finding{in("a", 0, 90*hour, 9, true, true)}, ""},
			{95 * hour, []finding{in("a", 0, 95*hour, 60, true, false)}, "began"},
		},
		"one that is not found any more": {
			{1 * hour, []finding{in("a", 0, hour, 5, true, false)}, "began"},
			{48 * hour, nil, ""},
			{49 * hour, nil, "ended"},
			{60 * hour, nil, ""},
			{61 * hour, []finding{in("a", 61*hour, 61*hour, 5, true, false)}, "began"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &state{}
			for _, step := range steps {
				at := start.Add(step.at)
				events := s.look(step.found, moment{now: at, newest: at, quiet: 48 * hour, describe: func(*report.Incident) string { return "" }})
				var kinds []string
				for _, e := range events {
					kind := e.Kind
					if e.MergedInto != "" {
						i := slices.IndexFunc(s.Incidents, func(x *told) bool { return x.ID == e.MergedInto })
						kind += " into " + s.Incidents[i].Keys[0]
						if e.Group == e.MergedInto {
							t.Errorf("%s is merged into itself", e.Group)
						}
					}
					kinds = append(kinds, kind)
				}
				if got := strings.Join(kinds, " "); got != step.want {
					t.Errorf("after %v: %q, want %q", step.at, got, step.want)
				}
				// As after a restart.
				note, err := json.Marshal(s)
				if err == nil {
					s, err = parseState(note)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestAhead holds that a timestamp ahead of the clock hides nothing.
func TestAhead(t *testing.T) {
	f := newFixture(t)
	n := f.notifier()
	f.mail(start, 30, "shop.example", "x.example", "")
	now := f.now
	f.mail(start.Add(23*time.Hour), 1, "other.example", "y.example", "")
	f.now = now
	f.with(n)
	f.want("mail is taken", "")
	f.mail(now, 30, "shop.example", "x.example", "554 blocked by spamcop")
	f.with(n)
	f.want("refused, with stamps before the newest", "began")
}

// TestBounded holds that neither hostile names nor very many incidents make large events or many
// events.
func TestBounded(t *testing.T) {
	f := newFixture(t)
	for i := range 40 {
		f.mail(start.Add(time.Duration(i)*time.Minute), 30, fmt.Sprintf("s%d.example\x1b[31m\r\nBcc: x@evil.example\u202e<script>", i), fmt.Sprintf("p%d.example", i),
			"554 =?utf-8?q?=0d=0aBcc:?= \x1b]0;evil\a\r\nBcc: y@evil.example"+strings.Repeat("x", 20000))
	}
	f.once()
	told := f.to[0].told
	if len(told) == 0 || len(told) > atOnce {
		t.Fatalf("%d told at once", len(told))
	}
	ids := map[string]bool{}
	for _, e := range told {
		body, err := json.Marshal(e)
		if err != nil || len(body) > bodyAtMost {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		for _, s := range append(append(strings.Split(e.Details, "\n"), e.Text, e.Subject()), factTexts(e)...) {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e }) {
				t.Errorf("a control character in %q", s)
			}
		}
		if strings.Contains(e.Subject(), "=?") || len([]rune(e.Subject())) > 200 {
			t.Errorf("subject %q", e.Subject())
		}
		if ids[e.ID] || len(e.ID) != 24 {
			t.Errorf("id %q", e.ID)
		}
		ids[e.ID] = true
	}
}

func factTexts(e *Event) []string {
	if e.Facts == nil {
		return nil
	}
	in := e.Facts
	return slices.Concat([]string{in.Title, in.Short, in.Reply, in.Check, in.Why, in.Command}, in.SenderDomains, in.Providers)
}

// outage logs a message to a domain in each hour. From began to ended each waits, and is tried every
// hour. A server that does not answer has no name in the log. outage looks at some times, and returns
// the events with their times.
func (f *fixture) outage(domain string, began, ended time.Time, looks ...time.Time) (told string) {
	f.t.Helper()
	add := func(b *store.Batch, at time.Time, id int) {
		f.offset += 100
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: f.offset, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
			QueueID: fmt.Sprintf("%X", 0xB00000+id), Sender: "a@shop.example", SenderDomain: "shop.example", SenderKnown: true,
			Recipient: fmt.Sprintf("u%d@%s", id%10, domain), RecipientDomain: domain, RelayHost: "mail." + domain, RelayIP: "192.0.2.1", RelayPort: 25,
			Status: "sent", Outcome: bounce.Delivered, Code: 250, Response: "250 ok",
		}}
		if !at.Before(began) && at.Before(ended) {
			a.RelayHost, a.RelayIP, a.RelayPort, a.Local, a.Code = "", "", 0, true, 0
			a.Status, a.Outcome, a.Response = "deferred", bounce.Soft, "connect to mail."+domain+"[192.0.2.1]:25: Connection timed out"
			a.Verdict = bounce.Verdict{Reason: bounce.Connection, Scope: bounce.ScopeRemote, Rule: "test"}
		}
		b.Attempts = append(b.Attempts, a)
	}
	var waiting []int
	id := 0
	for at := start; len(looks) > 0; at = at.Add(time.Hour) {
		f.mail(at, 5, "shop.example", "fine.example", "")
		b := &store.Batch{}
		for _, old := range waiting {
			add(b, at, old)
		}
		id++
		add(b, at.Add(time.Minute), id)
		if waiting = append(waiting, id); at.Before(began) || !at.Before(ended) {
			waiting = nil
		}
		f.now = at.Add(6 * time.Minute)
		b.Sources = []store.Source{{ID: "log", Path: "mail.log", Offset: f.offset + 1, First: start, Last: f.now}}
		if err := storetest.Put(f.t.Context(), f.db, b); err != nil {
			f.t.Fatal(err)
		}
		if !at.Before(looks[0]) {
			looks = looks[1:]
			f.once()
			for _, e := range f.to[0].told {
				told += fmt.Sprintf("%s %s %s %s; ", at.Format("02 15"), e.Kind, e.Group, e.Facts.Short)
			}
			f.to[0].told = nil
		}
	}
	return told
}

// TestDied holds that a server that takes no mail for 54 hours, and then takes all that waited, is told
// once when it begins and once when it is over, whatever the domain of its host is called.
func TestDied(t *testing.T) {
	for _, domain := range []string{"dead.example", "dead.hoster.example"} {
		f := newFixture(t)
		began := start.AddDate(0, 0, 6)
		ended := began.Add(54 * time.Hour)
		var looks []time.Time
		for at := began.Add(6 * time.Hour); at.Before(ended.Add(48 * time.Hour)); at = at.Add(6 * time.Hour) {
			looks = append(looks, at)
		}
		told := f.outage(domain, began, ended, looks...)
		list := strings.Split(strings.TrimSuffix(told, "; "), "; ")
		if len(list) != 2 || !strings.HasPrefix(list[0], "08 15 began ") || !strings.HasPrefix(list[1], "10 21 ended ") ||
			list[0][len("08 15 began "):] != list[1][len("10 21 ended "):] || !strings.HasSuffix(list[0], " "+domain+" does not take our mail") {
			t.Errorf("told: %q", list)
		}
	}
}
