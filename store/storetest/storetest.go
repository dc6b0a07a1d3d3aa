// Package storetest holds what every engine behind store.Store must do. An
// engine's own tests call Run; what is particular to it (its files, its
// recovery) they test themselves.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Run tests an engine. open makes a new, empty store that is closed by the test's
// cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"Empty", testEmpty},
		{"Counts", func(t *testing.T, s store.Store) { testCounts(t, s, 1) }},
		{"CountsOfWeeks", func(t *testing.T, s store.Store) { testCounts(t, s, 50) }},
		{"Attempts", testAttempts},
		{"Rejections", testRejections},
		{"Standing", testStanding},
		{"Refusals", testRefusals},
		{"Flows", testFlows},
		{"Announced", testAnnounced},
		{"Replay", testReplay},
		{"More", testMore},
		{"Ahead", testAhead},
		{"NoPosition", testNoPosition},
		{"State", testState},
		{"ReusedQueueID", testReusedQueueID},
		{"Repeated", testRepeated},
		{"TwoSources", testTwoSources},
		{"NewestFirst", testNewestFirst},
		{"Hostile", testHostile},
		{"Query", testQuery},
		{"Readers", testReaders},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendAll(t *testing.T, s store.Store, bs ...*store.Batch) {
	t.Helper()
	for _, b := range bs {
		must(t, s.Append(t.Context(), b))
	}
}

func totals(t *testing.T, s store.Store, f store.Filter) store.Counts {
	t.Helper()
	c, err := s.Totals(t.Context(), f)
	must(t, err)
	return c
}

func attempts(t *testing.T, s store.Store, f store.Filter) []store.Attempt {
	t.Helper()
	var out []store.Attempt
	for a, err := range s.Attempts(t.Context(), f) {
		must(t, err)
		out = append(out, a)
	}
	return out
}

func testEmpty(t *testing.T, s store.Store) {
	if got := totals(t, s, store.Filter{}); got != (store.Counts{}) {
		t.Errorf("Totals = %+v, want none", got)
	}
	first, last, err := s.Span(t.Context(), store.Filter{})
	must(t, err)
	if !first.IsZero() || !last.IsZero() {
		t.Errorf("Span = %v, %v, want zero times", first, last)
	}
	if got := attempts(t, s, store.Filter{Recipient: "nobody@nowhere.example"}); got != nil {
		t.Errorf("Attempts = %v, want none", got)
	}
	for _, by := range groupings {
		g, err := s.Groups(t.Context(), store.Filter{}, by)
		must(t, err)
		if len(g) != 0 {
			t.Errorf("Groups by %s = %v, want none", by, g)
		}
	}
	must(t, s.Append(t.Context(), &store.Batch{}))
	if _, err := s.Groups(t.Context(), store.Filter{}, "colour"); err == nil {
		t.Error("Groups by colour: no error")
	}
}

var groupings = []store.By{
	store.ByDomain, store.BySenderDomain, store.ByRelay, store.ByReason, store.ByRecipient,
	store.ByHost, store.ByDay, store.ByHour, store.BySender, store.BySASLUser, store.ByClient,
}

// testCounts compares every count under every filter with the model's. The traffic
// is that of slow times three hours.
func testCounts(t *testing.T, s store.Store, slow int) {
	tr := NewTraffic(1)
	tr.Hosts, tr.PerSecond = 2, 0.5/float64(slow)
	m := newModel()
	for range 6 {
		b := tr.Batch(2000)
		appendAll(t, s, b)
		m.append(b)
	}
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var soft, hard *event
	for i := range m.events {
		e := &m.events[i]
		if e.Outcome == bounce.Soft && soft == nil && i > len(m.events)/2 {
			soft = e
		}
		if e.Outcome == bounce.Hard && hard == nil && i > len(m.events)/3 {
			hard = e
		}
	}
	after := func(d time.Duration) time.Time { return start.Add(d * time.Duration(slow)) }
	filters := []store.Filter{
		{},
		{Since: after(2 * time.Hour)},
		{Until: after(90 * time.Minute)},
		{Since: after(37 * time.Minute), Until: after(37 * time.Minute).Add(11 * time.Second)},
		{Since: after(20 * time.Minute).Add(time.Nanosecond), Until: after(150 * time.Minute)},
		{Since: after(time.Hour), Until: after(time.Hour)},
		{Domain: "domain0.example"},
		{Domain: "domain0.example", Since: after(30 * time.Minute)},
		{Domain: "absent.example"},
		{SenderDomain: "sender0.example"},
		{SenderDomain: "sender1.example", Domain: "domain1.example"},
		{Relay: "domain0.example"},
		{Relay: "mx0.domain0.example"},
		{Relay: "ain0.example"},
		{Host: "mx2"},
		{Host: "mx1", Domain: "domain2.example"},
		{MTA: bounce.Postfix},
		{MTA: bounce.Exim},
		{Outcomes: []bounce.Outcome{bounce.Hard}},
		{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Delivered}},
		{Outcomes: []bounce.Outcome{bounce.Handoff, bounce.Probe}},
		{Reasons: []bounce.Reason{bounce.Expired, bounce.AuthFailure}},
		{Reasons: []bounce.Reason{bounce.Greylisted}, SenderDomain: "sender0.example"},
		{Recipient: strings.ToUpper(soft.Recipient)},
		{Recipient: hard.Recipient, Outcomes: []bounce.Outcome{bounce.Hard}},
		{QueueID: soft.QueueID},
		{QueueID: "0000000000"},
		{MessageID: hard.MessageID},
		{MessageID: soft.MessageID},
		{Recipient: soft.Recipient, Since: after(time.Hour)},
	}
	for _, f := range filters {
		if f.MessageID != "" {
			continue // what is kept of message ids is the engine's choice; see testAttempts
		}
		name := describe(f)
		want := m.groups(f, "")[""]
		if diff := gocmp.Diff(want.Counts, totals(t, s, f)); diff != "" {
			t.Errorf("Totals(%s) (-want +got):\n%s", name, diff)
		}
		compareGroups(t, s, m, f)
		first, last, err := s.Span(t.Context(), f)
		must(t, err)
		var wantFirst, wantLast time.Time
		for i := range m.events {
			if e := &m.events[i]; e.matches(f) {
				if wantFirst.IsZero() || e.Time.Before(wantFirst) {
					wantFirst = e.Time
				}
				if e.Time.After(wantLast) {
					wantLast = e.Time
				}
			}
		}
		if !first.Equal(wantFirst) || !last.Equal(wantLast) {
			t.Errorf("Span(%s) = %v, %v, want %v, %v", name, first, last, wantFirst, wantLast)
		}
	}
}

func describe(f store.Filter) string {
	var parts []string
	add := func(name, s string) {
		if s != "" {
			parts = append(parts, name+"="+s)
		}
	}
	if !f.Since.IsZero() {
		add("since", f.Since.Format(time.DateTime))
	}
	if !f.Until.IsZero() {
		add("until", f.Until.Format(time.DateTime))
	}
	add("domain", f.Domain)
	add("sender", f.SenderDomain)
	add("relay", f.Relay)
	add("host", f.Host)
	add("mta", string(f.MTA))
	for _, o := range f.Outcomes {
		add("outcome", o.String())
	}
	for _, r := range f.Reasons {
		add("reason", r.String())
	}
	add("recipient", f.Recipient)
	add("queue", f.QueueID)
	add("message", f.MessageID)
	return strings.Join(parts, " ")
}

// kept is what a store keeps of an attempt.
func kept(a store.Attempt) store.Attempt {
	d := &a.Delivery
	d.Delays, d.HasDelays, d.Size, d.ClientHost = [4]float64{}, false, 0, ""
	if d.SASLUser != "" {
		d.ClientIP = ""
	}
	d.Time = d.Time.Truncate(time.Second)
	if d.Outcome == bounce.Delivered {
		// The template is what is kept of a success, and neither a message id
		// nor who handed it in.
		d.Response, _ = bounce.Split(d.Response)
		d.MessageID, d.ClientIP, d.SASLUser = "", "", ""
	}
	return a
}

func sortAttempts(as []store.Attempt) {
	slices.SortStableFunc(as, func(a, b store.Attempt) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Recipient, b.Recipient))
	})
}

func testAttempts(t *testing.T, s store.Store) {
	tr := NewTraffic(2)
	m := newModel()
	for range 3 {
		b := tr.Batch(1000)
		appendAll(t, s, b)
		m.append(b)
	}
	var withMessage store.Attempt
	for _, e := range m.events {
		if e.Outcome == bounce.Hard && e.MessageID != "" && e.Reason != bounce.Expired {
			withMessage = e.Attempt
		}
	}
	for _, f := range []store.Filter{
		{},
		{Outcomes: []bounce.Outcome{bounce.Soft}},
		{Domain: "domain0.example"},
		{Recipient: "RCPT.0@domain0.example"},
		{QueueID: m.events[1234].QueueID},
		{Since: m.events[500].Time, Until: m.events[1000].Time},
		{MessageID: withMessage.MessageID, Outcomes: []bounce.Outcome{bounce.Hard}},
		{MessageID: "<" + withMessage.MessageID + ">", Outcomes: []bounce.Outcome{bounce.Hard}},
	} {
		got := attempts(t, s, f)
		if !slices.IsSortedFunc(got, func(a, b store.Attempt) int { return a.Time.Compare(b.Time) }) {
			t.Errorf("Attempts(%s) are not in the order of time", describe(f))
		}
		f.MessageID = strings.Trim(f.MessageID, "<>")
		var want []store.Attempt
		for _, e := range m.events {
			if e.matches(f) {
				want = append(want, kept(e.Attempt))
			}
		}
		for _, list := range [][]store.Attempt{got, want} {
			for i := range list {
				if list[i].Status == "expired" {
					list[i].Verdict = bounce.Verdict{Reason: list[i].Reason}
				}
			}
			sortAttempts(list)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			if len(diff) > 3000 {
				diff = diff[:3000] + "…"
			}
			t.Errorf("Attempts(%s): %d, want %d (-want +got):\n%s", describe(f), len(got), len(want), diff)
		}
	}
	n := 0
	for range s.Attempts(t.Context(), store.Filter{}) {
		if n++; n == 5 {
			break
		}
	}
	if n != 5 {
		t.Errorf("broke off after %d attempts, want 5", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Attempts(ctx, store.Filter{}) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

func testRejections(t *testing.T, s store.Store) {
	tr := NewTraffic(3)
	m := newModel()
	for range 4 {
		b := tr.Batch(1000)
		appendAll(t, s, b)
		m.append(b)
	}
	type row struct {
		Time          time.Time
		Offset        int64
		Recipient     string
		Reason        string
		Before, After time.Time
	}
	compare := func(a, b row) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Recipient, b.Recipient))
	}
	for _, f := range []store.Filter{{}, {Since: m.events[1000].Time}, {Outcomes: []bounce.Outcome{bounce.Hard}}, {Outcomes: []bounce.Outcome{bounce.Delivered}}} {
		var got, want []row
		for r, err := range s.Rejections(t.Context(), f) {
			must(t, err)
			got = append(got, row{r.Time, r.Offset, r.Recipient, r.Reason.String(), r.DeliveredBefore, r.DeliveredAfter})
		}
		for _, e := range m.events {
			if e.matches(f) && (e.Outcome == bounce.Soft || e.Outcome == bounce.Hard) {
				want = append(want, row{e.Time, e.Offset, e.Recipient, e.Reason.String(), e.before, e.after})
			}
		}
		slices.SortFunc(got, compare)
		slices.SortFunc(want, compare)
		if diff := gocmp.Diff(want, got); diff != "" {
			if len(diff) > 3000 {
				diff = diff[:3000] + "…"
			}
			t.Errorf("Rejections(%s): %d, want %d (-want +got):\n%s", describe(f), len(got), len(want), diff)
		}
	}
}

// testReplay stores batches again, in part and as a whole.
func testReplay(t *testing.T, s store.Store) {
	tr := NewTraffic(4)
	var bs []*store.Batch
	for i := range 5 {
		b := tr.Batch(500)
		b.Skipped = []store.Skipped{{Program: "dovecot", Lines: int64(i + 1)}}
		b.Unparsed = []store.Unparsed{{Source: "log", Offset: b.Attempts[3].Offset + 1, Text: "postfix/smtp: what?"}}
		bs = append(bs, b)
	}
	appendAll(t, s, bs[0], bs[1], bs[2])
	want := snapshot(t, s)
	appendAll(t, s, bs[0], bs[2], bs[1], bs[2])
	if diff := gocmp.Diff(want, snapshot(t, s)); diff != "" {
		t.Fatalf("a replay changed something (-before +after):\n%s", diff)
	}
	// A batch that begins with what is stored already.
	both := &store.Batch{
		Attempts: slices.Concat(bs[2].Attempts, bs[3].Attempts),
		Expiries: slices.Concat(bs[2].Expiries, bs[3].Expiries),
		Sources:  bs[3].Sources,
		Skipped:  bs[3].Skipped,
		Unparsed: slices.Concat(bs[2].Unparsed, bs[3].Unparsed),
	}
	appendAll(t, s, both, bs[4])
	m := newModel()
	for _, b := range bs {
		m.append(b)
	}
	if diff := gocmp.Diff(m.groups(store.Filter{}, "")[""].Counts, totals(t, s, store.Filter{})); diff != "" {
		t.Errorf("Totals (-want +got):\n%s", diff)
	}
	skipped, err := s.Skipped(t.Context())
	must(t, err)
	if diff := gocmp.Diff([]store.Skipped{{Program: "dovecot", Lines: 15}}, skipped); diff != "" {
		t.Errorf("Skipped (-want +got):\n%s", diff)
	}
	unparsed, err := s.Unparsed(t.Context())
	must(t, err)
	if len(unparsed) != 5 {
		t.Errorf("%d unparsed lines, want 5", len(unparsed))
	}
}

// snapshot is everything that can be asked of a store.
func snapshot(t *testing.T, s store.Store) map[string]any {
	t.Helper()
	m := map[string]any{"totals": totals(t, s, store.Filter{}), "attempts": len(attempts(t, s, store.Filter{}))}
	for _, by := range groupings {
		g, err := s.Groups(t.Context(), store.Filter{}, by)
		must(t, err)
		slices.SortFunc(g, func(a, b store.Group) int { return cmp.Compare(a.Key, b.Key) })
		m[string(by)] = g
	}
	var err error
	m["sources"], err = s.Sources(t.Context())
	must(t, err)
	m["skipped"], err = s.Skipped(t.Context())
	must(t, err)
	m["unparsed"], err = s.Unparsed(t.Context())
	must(t, err)
	var open []bounce.Message
	for x, err := range s.OpenMessages(t.Context()) {
		must(t, err)
		open = append(open, x)
	}
	m["open"] = open
	return m
}

// compareGroups holds what is counted, in every grouping, against the model.
func compareGroups(t *testing.T, s store.Store, m *model, f store.Filter) {
	t.Helper()
	name := describe(f)
	for _, by := range groupings {
		got, err := s.Groups(t.Context(), f, by)
		must(t, err)
		have := make(map[string]store.Group)
		for _, g := range got {
			if _, twice := have[g.Key]; twice {
				t.Errorf("Groups(%s, %s): %q comes twice", name, by, g.Key)
			}
			have[g.Key] = g
		}
		want := m.groups(f, by)
		if reflect.DeepEqual(want, have) {
			continue // gocmp takes long to say so
		}
		if diff := gocmp.Diff(want, have); diff != "" {
			if len(diff) > 2000 {
				diff = diff[:2000] + "…"
			}
			t.Errorf("Groups(%s, %s) (-want +got):\n%s", name, by, diff)
		}
	}
}

// testMore stores batches that are said to be followed by more.
func testMore(t *testing.T, s store.Store) {
	tr := NewTraffic(6)
	tr.PerSecond = 0.2
	m := newModel()
	for i := range 6 {
		b := tr.Batch(300)
		b.More = i%3 < 2
		appendAll(t, s, b)
		m.append(b)
		if b.More {
			continue
		}
		compareGroups(t, s, m, store.Filter{})
	}
}

// testAhead appends batches that are not waited for, some of them prepared; the
// last is.
func testAhead(t *testing.T, s store.Store) {
	tr := NewTraffic(6)
	tr.PerSecond = 0.2
	m := newModel()
	for i := range 12 {
		b := tr.Batch(300)
		b.More, b.Ahead = i%3 == 1, i < 11
		if i%2 == 0 {
			s.Prepare(b)
		}
		appendAll(t, s, b)
		m.append(b)
	}
	compareGroups(t, s, m, store.Filter{})
}

func testNoPosition(t *testing.T, s store.Store) {
	b := NewTraffic(5).Batch(10)
	b.Sources = nil
	if err := s.Append(t.Context(), b); err == nil {
		t.Error("attempts without the position of their source were stored")
	}
	if got := totals(t, s, store.Filter{}); got.Attempts != 0 {
		t.Errorf("%d attempts are stored, want 0", got.Attempts)
	}
}

func testState(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 1, 2, 3, 0, time.UTC)
	src := store.Source{
		ID: "a", Path: "/var/log/mail.log", Offset: 1000, State: `{"inode":12}`, First: at, Last: at.Add(time.Hour),
		Lines: 12, Delivery: 3, Attempts: 3, Repeated: 1, Queue: 2, Rejected: 1, Skipped: 4, Unparsed: 1, Blank: 1,
	}
	msg := func(q string) bounce.Message {
		return bounce.Message{
			Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: q, Time: at, MessageID: q + "@example", Sender: "a@example",
			SenderKnown: true, Size: 1234, ClientHost: "client.example", ClientIP: "192.0.2.1", SASLUser: "a",
		}
	}
	appendAll(t, s,
		&store.Batch{
			Sources:  []store.Source{src},
			Opened:   []bounce.Message{msg("A"), msg("B"), msg("C")},
			Skipped:  []store.Skipped{{Program: "dovecot", Lines: 3}, {Lines: 1}},
			Unparsed: []store.Unparsed{{Source: "a", Offset: 77, Time: at, Text: "strange"}},
		})
	second := src
	second.Offset, second.Path, second.Lines = 2000, "/var/log/mail.log.1", 20
	changed := msg("A")
	changed.Size = 99
	appendAll(t, s, &store.Batch{
		Sources: []store.Source{second, {ID: "b", Path: "x", Offset: 5}},
		Opened:  []bounce.Message{changed},
		Closed:  []store.MessageKey{{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: "B"}},
		Skipped: []store.Skipped{{Program: "dovecot", Lines: 2}},
	})
	got := snapshot(t, s)
	want := map[string]any{
		"sources":  []store.Source{second, {ID: "b", Path: "x", Offset: 5}},
		"open":     []bounce.Message{changed, msg("C")},
		"skipped":  []store.Skipped{{Program: "dovecot", Lines: 5}, {Lines: 1}},
		"unparsed": []store.Unparsed{{Source: "a", Offset: 77, Time: at, Text: "strange"}},
	}
	for k, w := range want {
		if diff := gocmp.Diff(w, got[k]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	// A file that was renamed while nothing was written to it.
	second.Path = "/var/log/mail.log.2"
	appendAll(t, s, &store.Batch{Sources: []store.Source{second}})
	sources, err := s.Sources(t.Context())
	must(t, err)
	if diff := gocmp.Diff(second, sources[0]); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	// A position never goes back.
	back := src
	back.Offset = 500
	appendAll(t, s, &store.Batch{Sources: []store.Source{back}})
	sources, err = s.Sources(t.Context())
	must(t, err)
	if sources[0].Offset != 2000 {
		t.Errorf("position went back to %d", sources[0].Offset)
	}
}

// A line for tests that write their own.
func line(offset int64, at time.Time, queue, rcpt string, o bounce.Outcome, delay float64) store.Attempt {
	a := store.Attempt{Delivery: bounce.Delivery{
		Source: "log", Offset: offset, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp", QueueID: queue,
		Sender: "s@sender.example", SenderDomain: "sender.example", SenderKnown: true, Recipient: rcpt, RecipientDomain: "rcpt.example",
		RelayHost: "mx.rcpt.example", RelayIP: "192.0.2.25", RelayPort: 25, Outcome: o, Delay: delay,
	}}
	switch o {
	case bounce.Delivered:
		a.Status, a.Code, a.Response = "sent", 250, "250 Ok"
	case bounce.Soft:
		a.Status, a.Code, a.Response = "deferred", 451, "451 later"
		a.Reason = bounce.Greylisted
	case bounce.Hard:
		a.Status, a.Code, a.Response = "bounced", 550, "550 no"
		a.Reason = bounce.UserUnknown
	}
	return a
}

func batch(end int64, as ...store.Attempt) *store.Batch {
	return &store.Batch{Attempts: as, Sources: []store.Source{{ID: "log", Offset: end}}}
}

// testReusedQueueID tells two messages with the same short queue id apart by
// when they arrived.
func testReusedQueueID(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	appendAll(t, s,
		batch(1000, line(0, at, "ABCDEF12345", "a@rcpt.example", bounce.Soft, 1)),
		// The same message, an hour later.
		batch(2000, line(1000, at.Add(time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Soft, 3601)),
		// Another one: it arrived a second ago.
		batch(3000, line(2000, at.Add(2*time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Delivered, 1)),
	)
	if got, want := totals(t, s, store.Filter{}), (store.Counts{Attempts: 3, Delivered: 1, Soft: 2, Pending: 1, Messages: 1}); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	// Now the first.
	appendAll(t, s, batch(4000, line(3000, at.Add(3*time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Delivered, 3*3600+1.4)))
	if got, want := totals(t, s, store.Filter{}), (store.Counts{Attempts: 4, Delivered: 2, Soft: 2, Recovered: 1, Messages: 1}); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	// An expiry of a message that nothing is known of.
	b := batch(5000)
	b.Expiries = []bounce.Expiry{{Source: "log", Offset: 4000, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: "0000", Status: "expired"}}
	appendAll(t, s, b)
	if got := totals(t, s, store.Filter{}); got.Expired != 0 {
		t.Errorf("Expired = %d, want 0", got.Expired)
	}
}

// testRepeated has a line that stands for more attempts than it is long.
func testRepeated(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var as []store.Attempt
	for i := range int64(300) {
		as = append(as, line(100+i, at, "ABCDEF12345", "a@rcpt.example", bounce.Soft, 1))
	}
	appendAll(t, s, batch(250, as...))
	appendAll(t, s, batch(400, line(250, at, "ABCDEF12346", "b@rcpt.example", bounce.Delivered, 1), line(300, at, "ABCDEF12347", "c@rcpt.example", bounce.Soft, 1)))
	if got := totals(t, s, store.Filter{}); got.Soft != 301 || got.Delivered != 1 || got.Pending != 2 {
		t.Errorf("Totals = %+v, want 301 soft, 1 delivered, 2 pending", got)
	}
}

func testTwoSources(t *testing.T, s store.Store) {
	a, b := NewTraffic(6), NewTraffic(7)
	a.Source, b.Source = "one", "two"
	m := newModel()
	for range 3 {
		x, y := a.Batch(300), b.Batch(200)
		// Both in one batch, interleaved.
		both := &store.Batch{Sources: append(x.Sources, y.Sources...), Expiries: append(x.Expiries, y.Expiries...)}
		for i := range max(len(x.Attempts), len(y.Attempts)) {
			if i < len(x.Attempts) {
				both.Attempts = append(both.Attempts, x.Attempts[i])
			}
			if i < len(y.Attempts) {
				both.Attempts = append(both.Attempts, y.Attempts[i])
			}
		}
		appendAll(t, s, both)
		m.append(x)
		m.append(y)
	}
	want, got := m.groups(store.Filter{}, "")[""].Counts, totals(t, s, store.Filter{})
	if got.Attempts != want.Attempts || got.Delivered != want.Delivered || got.Soft != want.Soft {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	sources, err := s.Sources(t.Context())
	must(t, err)
	if len(sources) != 2 || sources[0].ID != "one" || sources[1].ID != "two" {
		t.Errorf("Sources = %+v", sources)
	}
}

// testNewestFirst reads the younger log before the older: whether a recipient is
// known to be valid must come out all the same.
func testNewestFirst(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	young := batch(1000,
		line(0, at.Add(48*time.Hour), "ABCDEF00001", "a@rcpt.example", bounce.Hard, 1),
		line(500, at.Add(49*time.Hour), "ABCDEF00002", "b@rcpt.example", bounce.Delivered, 1))
	old := batch(1000,
		line(0, at, "ABCDEF00003", "a@rcpt.example", bounce.Delivered, 1),
		line(500, at.Add(time.Hour), "ABCDEF00004", "b@rcpt.example", bounce.Hard, 1))
	old.Sources[0].ID = "old"
	for i := range old.Attempts {
		old.Attempts[i].Source = "old"
	}
	appendAll(t, s, young, old)
	known := make(map[string][2]bool)
	for r, err := range s.Rejections(t.Context(), store.Filter{}) {
		must(t, err)
		known[r.Recipient] = [2]bool{!r.DeliveredBefore.IsZero(), !r.DeliveredAfter.IsZero()}
	}
	want := map[string][2]bool{"a@rcpt.example": {true, false}, "b@rcpt.example": {false, true}}
	if diff := gocmp.Diff(want, known); diff != "" {
		t.Errorf("delivered before, after (-want +got):\n%s", diff)
	}
}

// testHostile stores what an attacker might put into a log. It must come back as
// valid UTF-8, without NUL and of bounded length; all else unchanged.
func testHostile(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	texts := []string{
		"", "plain", "a\x00b", "\xff\xfe", "é\xc3", strings.Repeat("x", 1<<20), strings.Repeat("{", 3000), "{addr}{id}{n}{", "'; DROP TABLE delivery; --",
		"\x01\x02\x03\x04\x05", "\x05parts", "<script>", "=cmd|' /C calc'!A0", "\u202eabc", "{brace}", "550 5.1.1 <a@rcpt.example>: a@rcpt.example mx.rcpt.example 192.0.2.25",
		"550 \x1b[31m red \r\n two", "%s %d %!", strings.Repeat("é", 40000),
	}
	var as []store.Attempt
	for i, x := range texts {
		for j, o := range []bounce.Outcome{bounce.Delivered, bounce.Soft, bounce.Hard} {
			a := line(int64(i*1000+j*200), at.Add(time.Duration(i)*time.Second), x, "a@rcpt.example", o, 1)
			a.Response = x
			as = append(as, a)
			b := line(int64(i*1000+j*200+100), at.Add(time.Duration(i)*time.Second), x, x, o, -1)
			b.Host, b.Instance, b.Agent, b.Status, b.MessageID, b.OriginalRecipient = x, x, x, x, x, x
			b.Sender, b.SenderDomain, b.RecipientDomain, b.RelayHost, b.RelayIP, b.Response = x, x, x, x, x, x
			b.Detail, b.Rule = x, x
			as = append(as, b)
		}
	}
	appendAll(t, s, batch(1<<20, as...))
	got := attempts(t, s, store.Filter{})
	if len(got) != len(as) {
		t.Fatalf("%d attempts, want %d", len(got), len(as))
	}
	sortAttempts(got)
	byOffset := make(map[int64]store.Attempt)
	for _, a := range got {
		byOffset[a.Offset] = a
		for _, x := range []string{a.Host, a.Instance, a.Agent, a.Status, a.MessageID, a.Sender, a.Recipient, a.OriginalRecipient, a.RelayHost, a.RelayIP, a.Response, a.Detail, a.Rule} {
			if strings.ToValidUTF8(x, "") != x || strings.ContainsAny(x, "\x00\x01\x02\x03\x04\x05") || len(x) > 16<<10 {
				t.Errorf("%.40q (%d bytes) came back", x, len(x))
			}
		}
	}
	for i, x := range texts {
		if len(x) > 1000 || strings.ToValidUTF8(x, "") != x || strings.ContainsAny(x, "\x00\x01\x02\x03\x04\x05") {
			continue
		}
		for j := 1; j < 3; j++ {
			if a := byOffset[int64(i*1000+j*200)]; a.Response != x {
				t.Errorf("response %q came back as %q", x, a.Response)
			}
		}
	}
	// What can be stored can be asked for.
	for _, x := range texts {
		for range s.Attempts(t.Context(), store.Filter{Recipient: x, QueueID: x, MessageID: x, Domain: x, Relay: x, SenderDomain: x, Host: x}) {
		}
		if _, err := s.Totals(t.Context(), store.Filter{Domain: x, Relay: x, SenderDomain: x, Host: x}); err != nil {
			t.Errorf("Totals of %.40q: %v", x, err)
		}
	}
}

func testQuery(t *testing.T, s store.Store) {
	appendAll(t, s, NewTraffic(8).Batch(500))
	rows, err := s.Query(t.Context(), "SELECT outcome, count(*) AS n, NULL AS absent, 1.5 AS half FROM deliveries GROUP BY outcome ORDER BY outcome")
	must(t, err)
	if diff := gocmp.Diff([]string{"outcome", "n", "absent", "half"}, rows.Columns()); diff != "" {
		t.Errorf("Columns (-want +got):\n%s", diff)
	}
	n := int64(0)
	for {
		row, err := rows.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		n += row[1].(int64)
		if row[2] != nil || row[3] != 1.5 {
			t.Errorf("row = %v", row)
		}
	}
	must(t, rows.Close())
	c := totals(t, s, store.Filter{})
	if want := c.Attempts + c.Handoff + c.Probe; n != want {
		t.Errorf("%d deliveries, want %d", n, want)
	}
	for _, bad := range []string{
		"DELETE FROM deliveries", "CREATE TABLE x (a)", "INSERT INTO meta VALUES (1, 2)", "PRAGMA user_version = 7", "SELEC", "SELECT nothing FROM deliveries",
		"ATTACH '/tmp/x' AS x", "-- a", "/* a", ";;", "SELECT 1; SELECT 2", "SELECT 1;;; -- a\nDELETE FROM meta", "SELECT 1\x00", "/* a */ ATTACH ':memory:' AS x", "BEGIN IMMEDIATE", "VACUUM", "",
	} {
		rows, err := s.Query(t.Context(), bad)
		if err == nil {
			_, err = rows.Next()
			rows.Close()
			if err == io.EOF {
				err = nil
			}
		}
		if err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	// A question that takes for ever can be broken off.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	rows, err = s.Query(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
	if err == nil {
		_, err = rows.Next()
		rows.Close()
	}
	if err == nil {
		t.Error("an endless query ended")
	}
}

// testReaders asks while another goroutine stores: every answer must be one that was true
// after some batch.
func testReaders(t *testing.T, s store.Store) {
	tr := NewTraffic(9)
	var bs []*store.Batch
	valid := map[int64]bool{0: true}
	m := newModel()
	for range 30 {
		b := tr.Batch(100)
		bs = append(bs, b)
		m.append(b)
		valid[m.groups(store.Filter{}, "")[""].Attempts] = true
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	errs := make(chan error, 4)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				g, err := s.Groups(context.Background(), store.Filter{}, store.ByDomain)
				n := int64(0)
				for _, x := range g {
					n += x.Attempts
				}
				if err == nil && !valid[n] {
					err = fmt.Errorf("saw %d attempts, which never were", n)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for _, b := range bs {
		if err := s.Append(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
	select {
	case err := <-errs:
		t.Error(err)
	default:
	}
}
