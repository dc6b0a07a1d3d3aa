// Package storetest tests the behaviour required of every engine of store.Store. An engine's own
// tests call Run, and test its particular features (files, recovery) themselves.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
)

// Run tests an engine. open returns a new, empty store, and closes it in the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"Empty", testEmpty},
		{"Answers", testAnswers},
		{"ManyRecipients", testManyRecipients},
		{"Delivered", testDelivered},
		{"BreaksOff", testBreaksOff},
		{"Moment", testMoment},
		{"Nested", testNested},
		{"Notes", testNotes},
		{"Swaps", testSwaps},
		{"Replay", testReplay},
		{"Commit", testCommit},
		{"NoPosition", testNoPosition},
		{"State", testState},
		{"ReusedQueueID", testReusedQueueID},
		{"Ends", testEnds},
		{"Expired", testExpired},
		{"Untried", testUntried},
		{"Repeated", testRepeated},
		{"TwoSources", testTwoSources},
		{"NewestFirst", testNewestFirst},
		{"OneSecond", testOneSecond},
		{"Hostile", testHostile},
		{"Relays", testRelays},
		{"Query", testQuery},
		{"Readers", testReaders},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// testEnds ends messages by each kind of line about a whole message.
func testEnds(t *testing.T, s store.Store) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	offset := int64(0)
	next := func() int64 {
		offset += 100
		return offset
	}
	soft := func(queue, recipient string) store.Attempt {
		at = at.Add(time.Second)
		return store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: next(), Time: at, Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: queue, Delay: -1,
			Recipient: recipient + "@rcpt.example", RecipientDomain: "rcpt.example", Outcome: bounce.Soft, Status: "deferred", Response: "not now",
		}, Verdict: bounce.Verdict{Reason: bounce.Connection}}
	}
	end := func(queue string, event bounce.EndEvent) bounce.End {
		at = at.Add(time.Second)
		return bounce.End{Source: "log", Offset: next(), Time: at, Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: queue, Event: event, By: "root"}
	}
	position := func() []store.Source { return []store.Source{{ID: "log", Offset: next()}} }
	pending := func(want int64, when string) {
		t.Helper()
		if got := Totals(t, s, store.Filter{}); got.Pending != want || got.Hard+got.Expired+got.Recovered != 0 {
			t.Errorf("%s: %+v, want %d pending", when, got, want)
		}
		ask(t, s, func(r store.Reader) {
			if q, err := r.Queue(t.Context(), store.Filter{}, 0); err != nil || int64(len(q)) != want {
				t.Errorf("%s: %d are queued, %v, want %d", when, len(q), err, want)
			}
		})
	}
	first := &store.Batch{}
	for _, q := range []string{"1aaaaa-000001-AA", "1aaaaa-000002-AA", "1aaaaa-000003-AA", "1aaaaa-000004-AA"} {
		first.Attempts = append(first.Attempts, soft(q, "a"), soft(q, "b"))
	}
	first.Sources = position()
	Append(t, s, first)
	pending(8, "deferred")
	second := &store.Batch{Ends: []bounce.End{
		end("1aaaaa-000001-AA", bounce.MessageRemoved), end("1aaaaa-000002-AA", bounce.MessageFrozen),
		end("1aaaaa-000003-AA", bounce.MessageCompleted), end("1aaaaa-000009-AA", bounce.MessageRemoved),
	}}
	second.Sources = position()
	Append(t, s, second)
	pending(4, "removed and completed")
	Append(t, s, first, second) // a second time
	pending(4, "replayed")
	// Two attempts and an end between them, in one batch.
	third := &store.Batch{Attempts: []store.Attempt{soft("1aaaaa-000005-AA", "a")}}
	third.Ends = []bounce.End{end("1aaaaa-000005-AA", bounce.MessageDiscarded), end("1aaaaa-000002-AA", bounce.MessageThawed), end("1aaaaa-000002-AA", bounce.MessageRemoved)}
	third.Attempts = append(third.Attempts, soft("1aaaaa-000005-AA", "b"))
	third.Sources = position()
	Append(t, s, third)
	pending(3, "discarded between two attempts")
	ask(t, s, func(r store.Reader) {
		key := func(queue string) store.MessageKey {
			return store.MessageKey{Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: queue}
		}
		list, err := r.Ends(t.Context(), key("1aaaaa-000005-AA"), key("1aaaaa-000002-AA"), key("1aaaaa-000004-AA"))
		must(t, err)
		var got []string
		for _, e := range list {
			got = append(got, fmt.Sprint(e.QueueID, " ", e.Event, " by ", e.By))
		}
		want := []string{"1aaaaa-000002-AA frozen by root", "1aaaaa-000005-AA discarded by root", "1aaaaa-000002-AA thawed by root", "1aaaaa-000002-AA removed by root"}
		if !slices.Equal(got, want) {
			t.Errorf("Ends: %q, want %q", got, want)
		}
		if list, err := r.Ends(t.Context(), store.MessageKey{QueueID: "1aaaaa-000005-AA"}); err != nil || len(list) != 1 || list[0].Host != "mx1" || list[0].MTA != bounce.Exim || list[0].Instance != "exim" {
			t.Errorf("Ends of a queue id: %+v, %v", list, err)
		}
		for _, c := range []struct {
			f    store.Filter
			want int64
		}{
			{store.Filter{}, 1},
			{store.Filter{Host: "mx1", QueueID: "1aaaaa-000005-AA"}, 1},
			{store.Filter{Until: at.Add(-time.Minute)}, 0},
			{store.Filter{MTA: bounce.Postfix}, 0},
			{store.Filter{Domain: "rcpt.example"}, 0},
		} {
			if n, err := r.Discarded(t.Context(), c.f); err != nil || n != c.want {
				t.Errorf("Discarded(%s) = %d, %v, want %d", describe(c.f), n, err, c.want)
			}
		}
	})
}

// testUntried appends deferrals without an attempt in every situation: after an attempt for the
// same message and recipient, for another message to the recipient, for another recipient in the
// domain, and for a destination never tried.
func testUntried(t *testing.T, s store.Store) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	offset := int64(0)
	attempt := func(queue, recipient string, o bounce.Outcome, v bounce.Verdict) store.Attempt {
		at, offset = at.Add(time.Minute), offset+100
		_, domain, _ := strings.Cut(recipient, "@")
		d := bounce.Delivery{
			Source: "log", Offset: offset, Time: at, Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: queue, Delay: -1,
			Recipient: recipient, RecipientDomain: domain, RelayHost: "mx." + domain, Outcome: o, Status: o.String(), Response: "because of " + v.Rule,
		}
		return store.Attempt{Delivery: d, Verdict: v}
	}
	soft := func(queue, recipient string, reason bounce.Reason, rule string) store.Attempt {
		return attempt(queue, recipient, bounce.Soft, bounce.Verdict{Reason: reason, Scope: bounce.ScopeSender, Rule: rule, Confidence: bounce.NamedCause})
	}
	untried := func(queue, recipient string) store.Attempt {
		a := soft(queue, recipient, bounce.Connection, "not-tried")
		a.Untried, a.Local, a.RelayHost = true, true, ""
		return a
	}
	want := map[string]string{} // rule by queue id and offset
	var batches []*store.Batch
	take := func(rule string, a store.Attempt) {
		want[fmt.Sprint(a.QueueID, " at ", a.Offset)] = rule
		batches = append(batches, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: a.Offset + 50}}})
	}
	take("not-tried", untried("q0", "a@x.example")) // no attempt is known
	take("slow", soft("q1", "a@x.example", bounce.RateLimited, "slow"))
	take("slow", untried("q1", "a@x.example")) // the same recipient of the message
	take("slow", untried("q2", "b@x.example")) // the domain
	take("slow", untried("q0", "a@x.example")) // the recipient
	take("not-tried", untried("q3", "c@y.example"))
	full := soft("q4", "c@x.example", bounce.MailboxFull, "full")
	full.Scope = bounce.ScopeRecipient
	take("full", full)
	take("full", untried("q5", "c@x.example"))
	take("slow", untried("q6", "d@x.example")) // a full mailbox does not affect other recipients
	take("slow", untried("q1", "a@x.example"))
	take("grey", soft("q2", "b@x.example", bounce.Greylisted, "grey"))
	take("grey", untried("q2", "b@x.example"))
	take("slow", untried("q1", "a@x.example"))
	take("grey", untried("q6", "d@x.example"))
	take("", attempt("q4", "c@x.example", bounce.Delivered, bounce.Verdict{}))
	take("not-tried", untried("q7", "c@x.example"))
	take("not-tried", untried("q7", "d@x.example"))
	take("slow", untried("q1", "a@x.example")) // by its own message
	take("slow", untried("q8", "a@x.example")) // by its own address
	other := untried("q9", "a@x.example")
	other.Host = "mx2"
	take("not-tried", other)
	model := memory.Open()
	for _, b := range batches {
		Append(t, model, b)
		Append(t, s, b)
	}
	asWanted(t, model, s, store.Filter{})
	asWanted(t, model, s, store.Filter{Reasons: []bounce.Reason{bounce.RateLimited}})
	ask(t, s, func(r store.Reader) {
		for a, err := range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
			must(t, err)
			if k := fmt.Sprint(a.QueueID, " at ", a.Offset); a.Rule != want[k] || a.Untried != (a.Response == "because of not-tried") {
				t.Errorf("%s: rule %q, untried %v, want %q", k, a.Rule, a.Untried, want[k])
			}
		}
		queue, err := r.Queue(t.Context(), store.Filter{Recipients: []string{"a@x.example", "b@x.example"}, Host: "mx1"}, 0)
		must(t, err)
		var got []string
		for _, q := range queue {
			got = append(got, fmt.Sprint(q.QueueID, " ", q.Rule, " ", q.Untried))
		}
		slices.Sort(got)
		if want := []string{"q0 slow true", "q1 slow false", "q2 grey false", "q8 slow true"}; !slices.Equal(got, want) {
			t.Errorf("Queue: %q, want %q", got, want)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns a Reader that is closed in the test's cleanup.
func read(t testing.TB, s store.Store) store.Reader {
	t.Helper()
	r, err := s.Read(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

// ask calls fn with a Reader.
func ask(t testing.TB, s store.Store, fn func(r store.Reader)) {
	t.Helper()
	r, err := s.Read(t.Context())
	must(t, err)
	fn(r)
	must(t, r.Close())
}

// Totals returns the counts of the attempts that f selects.
func Totals(t testing.TB, s store.Store, f store.Filter) (c store.Counts) {
	t.Helper()
	ask(t, s, func(r store.Reader) {
		cells, err := r.Count(t.Context(), f)
		must(t, err)
		for i := range cells {
			c = cells[i].Counts
		}
	})
	return c
}

// asWanted fails the test if s and want answer differently.
func asWanted(t testing.TB, want, s store.Store, f store.Filter) {
	t.Helper()
	ask(t, want, func(w store.Reader) {
		ask(t, s, func(g store.Reader) { Same(t, w, g, f) })
	})
}

func testEmpty(t *testing.T, s store.Store) {
	Append(t, s, &store.Batch{})
	asWanted(t, memory.Open(), s, store.Filter{})
	asWanted(t, memory.Open(), s, store.Filter{Recipients: []string{"nobody@nowhere.example"}})
	ask(t, s, func(r store.Reader) {
		if _, err := r.Count(t.Context(), store.Filter{}, "colour"); err == nil {
			t.Error("Count by colour: no error")
		}
		if _, err := r.Count(t.Context(), store.Filter{}, store.ByDay, store.ByHour, store.ByHost, store.ByReason); err == nil {
			t.Error("Count by four dimensions: no error")
		}
		found, err := r.Lookup(t.Context())
		must(t, err)
		if len(found) != 0 {
			t.Errorf("Lookup of nothing found %v", found)
		}
	})
}

// testAnswers asks every question with many filters, and compares the answers with those of
// store/memory. Stored are some quiet days, followed by an hour of much mail: a day holds many cells
// of few attempts, and an hour few cells of many. With -short, as for the race detector, it asks with
// every eighth filter.
func testAnswers(t *testing.T, s store.Store) {
	tr := NewTraffic(1)
	tr.Hosts = 2
	want := memory.Open()
	var all []store.Attempt
	var busy time.Time // the hour begins
	for i := range 6 {
		tr.PerSecond = 0.005
		if i >= 3 {
			tr.PerSecond = 0.5
		}
		b := tr.Batch(1000)
		Append(t, want, b)
		Append(t, s, b)
		if all = append(all, b.Attempts...); i == 3 {
			busy = b.Attempts[0].Time.Truncate(time.Second)
		}
	}
	var soft, hard *store.Attempt
	for i := range all {
		a := &all[i]
		if a.Outcome == bounce.Soft && soft == nil && i > len(all)/2 {
			soft = a
		}
		if a.Outcome == bounce.Hard && hard == nil && i > len(all)/3 {
			hard = a
		}
	}
	start := all[0].Time.Truncate(24 * time.Hour)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	if days, last := busy.Sub(start)/(24*time.Hour), all[len(all)-1].Time.Sub(busy); days < 2 || last > 2*time.Hour {
		t.Fatalf("%d days, then %s", days, last)
	}
	for i, f := range []store.Filter{
		{},
		{Since: after(33 * time.Hour)},
		{Since: busy},
		{Until: after(30 * time.Hour)},
		{Until: busy.Add(7 * time.Minute)},
		{Since: busy.Add(17 * time.Minute), Until: busy.Add(17*time.Minute + 11*time.Second)},
		{Since: after(17 * time.Hour).Add(time.Nanosecond), Until: after(54 * time.Hour)},
		{Since: busy, Until: busy},
		{Domain: "domain0.example"},
		{Domain: "domain0.example", Since: after(25 * time.Hour)},
		{Domain: "absent.example"},
		{SenderDomain: "sender0.example"},
		{SenderDomain: "sender1.example", Domain: "domain1.example"},
		{Senders: []string{strings.ToUpper(soft.Sender), hard.Sender, "nobody@absent.example"}},
		{Senders: []string{soft.Sender}, SenderDomain: soft.SenderDomain, Reasons: store.Faults, Since: after(50 * time.Hour)},
		{Senders: []string{"nobody@absent.example"}},
		{Logins: []string{"user1", "user3", "nobody"}},
		{Logins: []string{"user2"}, Reasons: store.Suspect, Since: after(50 * time.Hour)},
		{Logins: []string{"user2"}, Reasons: store.Faults, SenderDomain: soft.SenderDomain},
		{Logins: []string{"user1"}, Outcomes: []bounce.Outcome{bounce.Delivered}},
		{Logins: []string{"nobody"}},
		{Domains: []string{"domain0.example", "DOMAIN1.example", "nowhere.example"}},
		{Domain: "domain2.example", Domains: []string{"domain1.example"}},
		{Domains: []string{"nowhere.example"}},
		{Relay: "domain0.example"},
		{Relay: "mx0.domain0.example"},
		{Relay: "ain0.example"},
		{To: &store.Destination{Relays: []string{"domain0.example", "mx1.domain1.example"}, Domains: []string{"DOMAIN0.example", "domain2.example"}}},
		{To: &store.Destination{Domains: []string{"domain1.example", ""}}},
		{To: &store.Destination{Relays: []string{"domain2.example"}}, Outcomes: []bounce.Outcome{bounce.Soft}},
		{To: &store.Destination{}},
		{RelayIP: hard.RelayIP},
		{RelayIP: soft.RelayIP, Outcomes: []bounce.Outcome{bounce.Delivered}},
		{RelayIP: hard.RelayIP, Relay: hard.RelayHost, Domain: hard.RecipientDomain},
		{RelayIP: "2001:db8::25"},
		{Host: "mx2"},
		{Host: "mx1", Domain: "domain2.example"},
		{MTA: bounce.Postfix},
		{MTA: bounce.Exim},
		{Outcomes: []bounce.Outcome{bounce.Hard}},
		{Outcomes: []bounce.Outcome{bounce.Delivered}},
		{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Delivered}},
		{Outcomes: []bounce.Outcome{bounce.Handoff, bounce.Probe}},
		{Reasons: []bounce.Reason{bounce.Expired, bounce.AuthFailure}},
		{Reasons: []bounce.Reason{bounce.Greylisted}, SenderDomain: "sender0.example"},
		{Reasons: store.Suspect},
		{Reasons: store.Suspect[2:5], Outcomes: []bounce.Outcome{bounce.Soft}},
		{Reasons: store.Faults},
		{Recipients: []string{strings.ToUpper(soft.Recipient)}},
		{Recipients: []string{"nobody@absent.example", soft.Recipient, hard.Recipient}, Outcomes: []bounce.Outcome{bounce.Hard}},
		{QueueID: soft.QueueID},
		{QueueID: "0000000000"},
		{MessageID: hard.MessageID},
		{MessageID: "<" + soft.MessageID + ">"},
		{MessageID: "absent@example"},
		{Original: "ALIAS@domain0.example"},
		{Original: "alias@domain1.example", Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}},
		{Original: "alias@absent.example"},
		{Recipients: []string{soft.Recipient}, Since: after(50 * time.Hour)},
	} {
		if testing.Short() && i%8 != 0 {
			continue
		}
		asWanted(t, want, s, f)
		if t.Failed() {
			return
		}
	}
}

// testManyRecipients filters by more recipients than a statement lists.
func testManyRecipients(t *testing.T, s store.Store) {
	tr := NewTraffic(4)
	want := memory.Open()
	var list []string
	for range 4 {
		b := tr.Batch(1500)
		Append(t, want, b)
		Append(t, s, b)
		for i := range b.Attempts {
			if a := &b.Attempts[i]; i%4 == 0 {
				list = append(list, a.Recipient)
			}
		}
	}
	for _, f := range []store.Filter{
		{Recipients: list},
		{Recipients: list, Reasons: store.Faults},
		{Recipients: list, Reasons: store.Suspect, Outcomes: []bounce.Outcome{bounce.Hard}},
		{Recipients: list[:20], Reasons: store.Faults[:1], Domain: "domain0.example"},
	} {
		asWanted(t, want, s, f)
	}
}

// testDelivered compares Delivered with Attempts: all deliveries if there is room, otherwise all
// deliveries of the time reported as covered. All engines must cover the same time.
func testDelivered(t *testing.T, s store.Store) {
	tr, other := NewTraffic(6), NewTraffic(7)
	other.Source = "other"
	model := memory.Open()
	for i := range 6 {
		b := tr.Batch(4000)
		b.Sources[0].First = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		Append(t, s, b)
		Append(t, model, b)
		if i%2 == 0 {
			b := other.Batch(2500) // without the time of its first line
			Append(t, s, b)
			Append(t, model, b)
		}
	}
	r := read(t, s)
	span, err := r.Span(t.Context(), store.Filter{})
	must(t, err)
	middle := span.First.Add(span.Last.Sub(span.First) / 2).Truncate(time.Second)
	type row struct {
		Ref    store.Ref
		Time   time.Time
		Sender string
	}
	compare := func(a, b row) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Ref.Source, b.Ref.Source), cmp.Compare(a.Ref.Offset, b.Ref.Offset))
	}
	delivered := attempts(t, r, store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}, store.Page{})
	i := slices.IndexFunc(delivered, func(a store.Attempt) bool { return a.RelayHost != "" })
	domain, relay := delivered[i].RecipientDomain, delivered[i].RelayHost
	for _, test := range []struct {
		name    string
		limit   int
		streams []store.Stream
	}{
		{"all", 1 << 30, []store.Stream{{Domains: []string{domain}, Span: span, Around: []time.Time{middle}}}},
		{"by relay", 1 << 30, []store.Stream{{Relays: []string{relay}, Span: span, Around: []time.Time{span.First, span.Last}}}},
		{"by suffix", 1 << 30, []store.Stream{{Relays: []string{"example"}, Span: store.Span{First: middle, Last: span.Last}, Around: []time.Time{middle}}}},
		{"little room", 13000, []store.Stream{{Relays: []string{"example"}, Span: span, Around: []time.Time{middle}}, {Domains: []string{domain}, Span: span, Around: []time.Time{span.Last}}}},
		{"some room", 15000, []store.Stream{
			{Relays: []string{"example"}, Span: span, Around: []time.Time{middle.Add(-10 * time.Minute), middle.Add(20 * time.Minute)}},
			{Domains: []string{domain}, Span: store.Span{First: middle, Last: span.Last}, Around: []time.Time{middle.Add(time.Minute), span.Last}},
			{Domains: []string{strings.ToUpper(domain)}, Relays: []string{relay}, Span: span, Around: []time.Time{span.First}},
		}},
		{"nobody", 13000, []store.Stream{{Relays: []string{"nobody.test"}, Span: span, Around: []time.Time{middle}}}},
	} {
		histories, err := r.Delivered(t.Context(), test.streams, test.limit)
		must(t, err)
		if len(histories) != len(test.streams) {
			t.Fatalf("%s: %d histories of %d streams", test.name, len(histories), len(test.streams))
		}
		wanted, err := read(t, model).Delivered(t.Context(), test.streams, test.limit)
		must(t, err)
		for i, h := range histories {
			f := test.streams[i]
			if d := diff(wanted[i].Covered, h.Covered); d != "" {
				t.Errorf("%s, stream %d: covered (-want +got):\n%s", test.name, i, d)
			}
			var got, want []row
			for _, d := range h.Deliveries {
				got = append(got, row{d.Ref(), d.Time, d.SenderDomain})
			}
			in := func(a *store.Attempt) bool {
				return slices.ContainsFunc(f.Domains, func(name string) bool { return strings.EqualFold(name, a.RecipientDomain) }) || slices.ContainsFunc(f.Relays, func(name string) bool {
					return a.RelayHost == name || strings.HasSuffix(a.RelayHost, "."+name)
				})
			}
			for j := range delivered {
				a := &delivered[j]
				if in(a) && slices.ContainsFunc(h.Covered, func(p store.Span) bool { return !a.Time.Before(p.First) && !a.Time.After(p.Last) }) {
					want = append(want, row{a.Ref(), a.Time, a.SenderDomain})
				}
			}
			slices.SortFunc(got, compare)
			slices.SortFunc(want, compare)
			if d := diff(want, got); d != "" {
				t.Errorf("%s, stream %d: %d deliveries, want %d (-want +got):\n%s", test.name, i, len(got), len(want), d)
			}
			if len(h.Covered) == 0 && i == 0 {
				t.Errorf("%s: nothing was covered", test.name)
			}
			whole := len(h.Covered) == 1 && !h.Covered[0].First.After(f.First) && !h.Covered[0].Last.Before(f.Last)
			if test.limit == 1<<30 && !whole || test.name == "little room" && whole && i == 0 {
				t.Errorf("%s, stream %d: the whole was covered: %v (%v)", test.name, i, whole, h.Covered)
			}
		}
	}
}

// testBreaksOff stops iterations early.
func testBreaksOff(t *testing.T, s store.Store) {
	Append(t, s, NewTraffic(2).Batch(1000))
	r := read(t, s)
	n := 0
	for range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
		if n++; n == 5 {
			break
		}
	}
	for range r.Refusals(t.Context(), store.Filter{}) {
		if n++; n == 10 {
			break
		}
	}
	for range r.Recipients(t.Context(), store.Filter{}, 0) {
		if n++; n == 15 {
			break
		}
	}
	if n != 15 {
		t.Errorf("broke off after %d, want 15", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range r.Attempts(ctx, store.Filter{}, store.Page{}) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	must(t, r.Close())
}

// testMoment checks that a Reader's answers do not change when more is stored. An engine may let
// Append wait for the Reader.
func testMoment(t *testing.T, s store.Store) {
	tr := NewTraffic(9)
	want := memory.Open()
	b := tr.Batch(500)
	Append(t, want, b)
	Append(t, s, b)
	r, err := s.Read(t.Context())
	must(t, err)
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		for range 5 {
			if err := Put(t.Context(), s, tr.Batch(200)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-begun
	ask(t, want, func(w store.Reader) {
		for range 3 {
			var wg sync.WaitGroup
			for _, f := range []store.Filter{{}, {Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}}, {Domain: "domain0.example"}} {
				wg.Go(func() {
					sameSpan(t, w, r, f)
					sameCount(t, w, r, f)
					sameCount(t, w, r, f, store.ByDomain, store.ByRelay)
					sameReplies(t, w, r, f)
					sameQueue(t, w, r, f)
				})
			}
			wg.Wait()
		}
		Same(t, w, r, store.Filter{})
	})
	must(t, r.Close())
	must(t, <-done)
	if got := Totals(t, s, store.Filter{}); got.Attempts <= 500 {
		t.Errorf("%d attempts, want what was stored meanwhile too", got.Attempts)
	}
}

// testNested asks several questions at once, and within iterations.
func testNested(t *testing.T, s store.Store) {
	Append(t, s, NewTraffic(2).Batch(2000))
	r := read(t, s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n := 0
			for x, err := range r.Refusals(t.Context(), store.Filter{}) {
				if err != nil {
					t.Error(err)
					return
				}
				found, err := r.Lookup(t.Context(), x.Ref())
				if err != nil || len(found) != 1 || found[0] == nil || found[0].Recipient != x.Recipient {
					t.Errorf("Lookup of %v found %v, %v", x.Ref(), found, err)
					return
				}
				for a, err := range r.Attempts(t.Context(), store.Filter{Recipients: []string{x.Recipient}}, store.Page{Limit: 2}) {
					if err != nil || a.Recipient != x.Recipient {
						t.Errorf("Attempts of %s yields %v, %v", x.Recipient, a, err)
						return
					}
				}
				if n++; n == 20 {
					return
				}
			}
		})
	}
	wg.Wait()
	must(t, r.Close())
}

// testNotes checks that a note is stored unchanged.
func testNotes(t *testing.T, s store.Store) {
	noter, ok := s.(store.Noter)
	if !ok {
		t.Skip("keeps no notes")
	}
	for _, want := range [][]byte{nil, []byte(`{"a \u001b'\"": 1}`), []byte("b"), {}} {
		if want != nil {
			must(t, noter.SetNote(t.Context(), "one", want))
			must(t, noter.SetNote(t.Context(), "another", []byte("x")))
		}
		got, err := noter.Note(t.Context(), "one")
		must(t, err)
		if string(got) != string(want) || got == nil != (want == nil) {
			t.Errorf("Note = %q, want %q", got, want)
		}
	}
}

// testSwaps checks that concurrent changes of a note build on each other.
func testSwaps(t *testing.T, s store.Store) {
	swapper, ok := s.(store.Swapper)
	if !ok {
		t.Skip("shares no notes")
	}
	swap := func(old, new string, want bool) {
		t.Helper()
		var from []byte
		if old != "" {
			from = []byte(old)
		}
		if got, err := swapper.SwapNote(t.Context(), "shared", from, []byte(new)); err != nil || got != want {
			t.Errorf("SwapNote(%q, %q) = %v, %v", old, new, got, err)
		}
	}
	swap("0", "1", false)
	swap("", "0", true)
	swap("", "1", false)
	swap("1", "2", false)
	swap("0", "0", true)
	const each = 20
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for n := 0; n < each; {
				old, err := swapper.Note(t.Context(), "shared")
				count, atoi := strconv.Atoi(string(old))
				done, swapErr := swapper.SwapNote(t.Context(), "shared", old, []byte(strconv.Itoa(count+1)))
				if err := errors.Join(err, atoi, swapErr); err != nil {
					t.Error(err)
					return
				}
				if done {
					n++
				}
			}
		})
	}
	wg.Wait()
	if got, err := swapper.Note(t.Context(), "shared"); err != nil || string(got) != strconv.Itoa(3*each) {
		t.Errorf("%q, %v after %d swaps", got, err, 3*each)
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
	for _, name := range f.RecipientDomains() {
		add("domain", name)
	}
	add("sender", f.SenderDomain)
	add("senders", strings.Join(f.Senders, "+"))
	add("logins", strings.Join(f.Logins, "+"))
	add("relay", f.Relay)
	add("relay ip", f.RelayIP)
	if f.To != nil {
		add("to", strings.Join(append(slices.Clone(f.To.Relays), f.To.Domains...), "+"))
	}
	add("host", f.Host)
	add("mta", string(f.MTA))
	for _, o := range f.Outcomes {
		add("outcome", o.String())
	}
	for _, r := range f.Reasons {
		add("reason", r.String())
	}
	for _, r := range f.Recipients[:min(len(f.Recipients), 3)] {
		add("recipient", r)
	}
	add("queue", f.QueueID)
	add("message", f.MessageID)
	return strings.Join(parts, " ")
}

// testReplay stores batches a second time, in part and as a whole.
func testReplay(t *testing.T, s store.Store) {
	tr := NewTraffic(4)
	var bs []*store.Batch
	for i := range 5 {
		b := tr.Batch(500)
		b.Skipped = []store.Skipped{{Program: "dovecot", Lines: int64(i + 1)}}
		b.Unparsed = []store.Unparsed{{Source: "log", Offset: b.Attempts[3].Offset + 1, Text: "postfix/smtp: what?"}}
		bs = append(bs, b)
	}
	Append(t, s, bs[0], bs[1], bs[2])
	want := snapshot(t, s)
	Append(t, s, bs[0], bs[2], bs[1], bs[2])
	if diff := gocmp.Diff(want, snapshot(t, s)); diff != "" {
		t.Fatalf("a replay changed something (-before +after):\n%s", diff)
	}
	// A batch that begins with attempts already stored.
	both := &store.Batch{
		Attempts: slices.Concat(bs[2].Attempts, bs[3].Attempts),
		Expiries: slices.Concat(bs[2].Expiries, bs[3].Expiries),
		Sources:  bs[3].Sources,
		Skipped:  bs[3].Skipped,
		Unparsed: slices.Concat(bs[2].Unparsed, bs[3].Unparsed),
	}
	Append(t, s, both, bs[4])
	m := memory.Open()
	Append(t, m, bs...)
	asWanted(t, m, s, store.Filter{})
	c, err := read(t, s).Coverage(t.Context())
	must(t, err)
	if diff := gocmp.Diff([]store.Skipped{{Program: "dovecot", Lines: 15}}, c.Skipped); diff != "" {
		t.Errorf("Skipped (-want +got):\n%s", diff)
	}
	if len(c.Unparsed) != 5 {
		t.Errorf("%d unparsed lines, want 5", len(c.Unparsed))
	}
}

// snapshot returns many answers of a store for comparison.
func snapshot(t *testing.T, s store.Store) map[string]any {
	t.Helper()
	m := map[string]any{"totals": Totals(t, s, store.Filter{})}
	ask(t, s, func(r store.Reader) {
		m["attempts"] = len(attempts(t, r, store.Filter{}, store.Page{}))
		for _, by := range groupings {
			cells, err := r.Count(t.Context(), store.Filter{}, by...)
			must(t, err)
			slices.SortFunc(cells, func(a, b store.Cell) int { return slices.Compare(a.Keys[:], b.Keys[:]) })
			m[fmt.Sprint(by)] = cells
		}
		c, err := r.Coverage(t.Context())
		must(t, err)
		m["sources"], m["skipped"], m["unparsed"] = c.Sources, c.Skipped, c.Unparsed
		from, err := writerOf(t, s).Resume(t.Context())
		must(t, err)
		m["queued"] = from.Messages
		if diff := gocmp.Diff(c.Sources, from.Sources); diff != "" {
			t.Errorf("Coverage and Resume name different sources:\n%s", diff)
		}
	})
	return m
}

// testCommit appends several batches before a commit. All of them become visible together, or none.
func testCommit(t *testing.T, s store.Store) {
	tr := NewTraffic(6)
	tr.PerSecond = 0.2
	m := memory.Open()
	w, err := s.Write(t.Context())
	must(t, err)
	var batches []*store.Batch
	temporary := false // the engine cannot roll back a part
	for i := range 9 {
		b := tr.Batch(200)
		must(t, w.Append(t.Context(), b))
		if batches = append(batches, b); i%3 < 2 {
			continue
		}
		must(t, w.Commit(t.Context()))
		Append(t, m, batches...)
		batches = nil
		asWanted(t, m, s, store.Filter{})
	}
	must(t, w.Commit(t.Context())) // an empty commit

	lost := tr.Batch(200)
	must(t, w.Append(t.Context(), lost))
	temporary = w.Rollback() != nil
	if !temporary {
		asWanted(t, m, s, store.Filter{})
		bad := NewTraffic(5).Batch(10)
		bad.Sources = nil
		must(t, w.Append(t.Context(), lost))
		if err := w.Append(t.Context(), bad); err == nil {
			t.Error("attempts without the position of their source were taken")
		}
		must(t, w.Commit(t.Context())) // nothing is left
		asWanted(t, m, s, store.Filter{})
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, w.Append(t.Context(), lost))
		if err := w.Commit(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		asWanted(t, m, s, store.Filter{})
		must(t, w.Append(t.Context(), lost))
		must(t, w.Commit(t.Context()))
		Append(t, m, lost)
		asWanted(t, m, s, store.Filter{})
		must(t, w.Append(t.Context(), tr.Batch(100)))
	}
	if err := w.Close(); err != nil && !temporary {
		t.Error(err)
	}
	asWanted(t, m, s, store.Filter{})
}

func testNoPosition(t *testing.T, s store.Store) {
	b := NewTraffic(5).Batch(10)
	b.Sources = nil
	if err := Put(t.Context(), s, b); err == nil {
		t.Error("attempts without the position of their source were stored")
	}
	if got := Totals(t, s, store.Filter{}); got.Attempts != 0 {
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
	Append(t, s,
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
	Append(t, s, &store.Batch{
		Sources: []store.Source{second, {ID: "b", Path: "x", Offset: 5}},
		Opened:  []bounce.Message{changed},
		Closed:  []store.MessageKey{{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: "B"}},
		Skipped: []store.Skipped{{Program: "dovecot", Lines: 2}},
	})
	got := snapshot(t, s)
	want := map[string]any{
		"sources":  []store.Source{second, {ID: "b", Path: "x", Offset: 5}},
		"queued":   []bounce.Message{changed, msg("C")},
		"skipped":  []store.Skipped{{Program: "dovecot", Lines: 5}, {Lines: 1}},
		"unparsed": []store.Unparsed{{Source: "a", Offset: 77, Time: at, Text: "strange"}},
	}
	for k, w := range want {
		if diff := gocmp.Diff(w, got[k]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	// A file that was renamed, with no new lines.
	second.Path = "/var/log/mail.log.2"
	Append(t, s, &store.Batch{Sources: []store.Source{second}})
	sources := snapshot(t, s)["sources"].([]store.Source)
	if diff := gocmp.Diff(second, sources[0]); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	// A position never moves back.
	back := src
	back.Offset = 500
	Append(t, s, &store.Batch{Sources: []store.Source{back}})
	sources = snapshot(t, s)["sources"].([]store.Source)
	if sources[0].Offset != 2000 {
		t.Errorf("position went back to %d", sources[0].Offset)
	}
}

// line returns an attempt for tests that define their own.
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

// testReusedQueueID distinguishes two messages with the same short queue id by their arrival times.
func testReusedQueueID(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	Append(t, s,
		batch(1000, line(0, at, "ABCDEF12345", "a@rcpt.example", bounce.Soft, 1)),
		// The same message, an hour later.
		batch(2000, line(1000, at.Add(time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Soft, 3601)),
		// Another message: it arrived a second ago.
		batch(3000, line(2000, at.Add(2*time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Delivered, 1)),
	)
	if got, want := Totals(t, s, store.Filter{}), (store.Counts{Attempts: 3, Delivered: 1, Soft: 2, Pending: 1, Messages: 1}); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	// The first message again.
	Append(t, s, batch(4000, line(3000, at.Add(3*time.Hour), "ABCDEF12345", "a@rcpt.example", bounce.Delivered, 3*3600+1.4)))
	if got, want := Totals(t, s, store.Filter{}), (store.Counts{Attempts: 4, Delivered: 2, Soft: 2, Recovered: 1, Messages: 1}); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	// An expiry of an unknown message.
	b := batch(5000)
	b.Expiries = []bounce.Expiry{{Source: "log", Offset: 4000, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: "0000", Status: "expired"}}
	Append(t, s, b)
	if got := Totals(t, s, store.Filter{}); got.Expired != 0 {
		t.Errorf("Expired = %d, want 0", got.Expired)
	}
}

// testExpired delivers other mail to a recipient while a message is queued, and again on the day
// when it expires.
func testExpired(t *testing.T, s store.Store) {
	at := func(minutes int) time.Time {
		return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
	}
	expired := batch(3000)
	expired.Expiries = []bounce.Expiry{{Source: "log", Offset: 2000, Time: at(20), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: "ABCDEF12345", Status: "expired"}}
	Append(t, s,
		batch(1000, line(0, at(0), "ABCDEF12345", "a@rcpt.example", bounce.Soft, 1)),
		batch(2000, line(1000, at(10), "ABCDEF12346", "a@rcpt.example", bounce.Delivered, 1)),
		expired,
		batch(4000, line(3000, at(30), "ABCDEF12347", "a@rcpt.example", bounce.Delivered, 1)))
	r := read(t, s)
	for x, err := range r.Refusals(t.Context(), store.Filter{Reasons: []bounce.Reason{bounce.Expired}}) {
		must(t, err)
		if !x.DeliveredBefore.Equal(at(10)) || !x.DeliveredAfter.Equal(at(30)) {
			t.Errorf("delivered %v before and %v after, want %v and %v", x.DeliveredBefore, x.DeliveredAfter, at(10), at(30))
		}
	}
	for x, err := range r.Recipients(t.Context(), store.Filter{Undelivered: true}, 0) {
		must(t, err)
		t.Errorf("%s took mail after the message expired", x.Address)
	}
}

// testRepeated appends a line with more attempts than bytes.
func testRepeated(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var as []store.Attempt
	for i := range int64(300) {
		as = append(as, line(100+i, at, "ABCDEF12345", "a@rcpt.example", bounce.Soft, 1))
	}
	Append(t, s, batch(250, as...))
	Append(t, s, batch(400, line(250, at, "ABCDEF12346", "b@rcpt.example", bounce.Delivered, 1), line(300, at, "ABCDEF12347", "c@rcpt.example", bounce.Soft, 1)))
	if got := Totals(t, s, store.Filter{}); got.Soft != 301 || got.Delivered != 1 || got.Pending != 2 {
		t.Errorf("Totals = %+v, want 301 soft, 1 delivered, 2 pending", got)
	}
}

func testTwoSources(t *testing.T, s store.Store) {
	a, b := NewTraffic(6), NewTraffic(7)
	a.Source, b.Source = "one", "two"
	m := memory.Open()
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
		Append(t, s, both)
		Append(t, m, both)
	}
	asWanted(t, m, s, store.Filter{})
	from, err := writerOf(t, s).Resume(t.Context())
	must(t, err)
	sources := from.Sources
	if len(sources) != 2 || sources[0].ID != "one" || sources[1].ID != "two" {
		t.Errorf("Sources = %+v", sources)
	}
}

// testNewestFirst reads the newer log before the older one. Deliveries before and after a failure
// must be found all the same.
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
	Append(t, s, young, old)
	known := make(map[string][2]bool)
	for r, err := range read(t, s).Refusals(t.Context(), store.Filter{}) {
		must(t, err)
		known[r.Recipient] = [2]bool{!r.DeliveredBefore.IsZero(), !r.DeliveredAfter.IsZero()}
	}
	want := map[string][2]bool{"a@rcpt.example": {true, false}, "b@rcpt.example": {false, true}}
	if diff := gocmp.Diff(want, known); diff != "" {
		t.Errorf("delivered before, after (-want +got):\n%s", diff)
	}
}

// testOneSecond stores the logs of two hosts one after the other, some lines twice. In both, recipients
// fail and take mail in the same seconds. The answers do not depend on which log was stored first.
func testOneSecond(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	of := func(source string, end int64, as ...store.Attempt) *store.Batch {
		b := batch(end, as...)
		b.Sources[0].ID = source
		for i := range b.Attempts {
			a := &b.Attempts[i]
			a.Source, a.Host, a.Response = source, source, fmt.Sprintf("%s of %s at %d", a.Response, source, a.Offset)
		}
		return b
	}
	sec := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	one := []*store.Batch{
		of("one", 1000,
			line(0, sec(0), "A1", "early@rcpt.example", bounce.Delivered, 1),
			line(100, sec(10), "A2", "same@rcpt.example", bounce.Delivered, 1),
			line(200, sec(10), "A3", "failed@rcpt.example", bounce.Hard, 1),
			line(300, sec(10), "A4", "twice@rcpt.example", bounce.Hard, 1),
			line(400, sec(20), "A5", "twice@rcpt.example", bounce.Delivered, 1),
			line(500, sec(20), "A6", "twice@rcpt.example", bounce.Hard, 1)),
		of("one", 2000,
			line(1000, sec(60), "A7", "same@rcpt.example", bounce.Delivered, 1),
			line(1050, sec(60), "A8", "early@rcpt.example", bounce.Delivered, 1),
			line(1100, sec(0), "A10", "late@rcpt.example", bounce.Delivered, 1),
			line(1150, sec(60), "A11", "late@rcpt.example", bounce.Delivered, 1),
			line(1200, sec(60), "A9", "last@rcpt.example", bounce.Hard, 1)),
	}
	two := []*store.Batch{
		of("two", 1000,
			line(0, sec(5), "B1", "last@rcpt.example", bounce.Hard, 1),
			line(100, sec(10), "B2", "same@rcpt.example", bounce.Hard, 1),
			line(200, sec(10), "B3", "failed@rcpt.example", bounce.Delivered, 1)),
		of("two", 2000,
			line(1000, sec(30), "B4", "early@rcpt.example", bounce.Hard, 1),
			line(1100, sec(60), "B5", "last@rcpt.example", bounce.Hard, 1)),
	}
	wait := of("two", 3000)
	wait.Expiries = []bounce.Expiry{{Source: "two", Offset: 2500, Time: sec(60), Host: "two", MTA: bounce.Postfix, Instance: "postfix", QueueID: "B6", Status: "expired"}}
	two = append(two, of("two", 2500,
		line(2000, sec(50), "B6", "gone@rcpt.example", bounce.Soft, 1),
		line(2200, sec(60), "B8", "gone@rcpt.example", bounce.Hard, 1)), wait)
	// Both sources are seen first, so their order is known.
	late := of("two", 4000, line(3500, sec(30), "B7", "late@rcpt.example", bounce.Hard, 1))
	all := slices.Concat([]*store.Batch{of("one", 0), of("two", 0)}, two, one, two[:1], one[1:], []*store.Batch{late})
	m := memory.Open()
	Append(t, m, all...)
	Append(t, s, all...)
	asWanted(t, m, s, store.Filter{})
	type seconds struct{ before, after int }
	got := make(map[string][]seconds)
	since := func(x time.Time) int {
		if x.IsZero() {
			return -1
		}
		return int(x.Sub(at) / time.Second)
	}
	for x, err := range read(t, s).Refusals(t.Context(), store.Filter{Outcomes: []bounce.Outcome{bounce.Hard}}) {
		must(t, err)
		name, _, _ := strings.Cut(x.Recipient, "@")
		got[name] = append(got[name], seconds{since(x.DeliveredBefore), since(x.DeliveredAfter)})
	}
	want := map[string][]seconds{
		"same": {{10, 10}}, "failed": {{10, 10}}, "twice": {{-1, 20}, {20, 20}}, "early": {{0, 60}}, "late": {{0, 60}},
		"last": {{-1, -1}, {-1, -1}, {-1, -1}}, "gone": {{-1, -1}, {-1, -1}},
	}
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(seconds{})); diff != "" {
		t.Errorf("delivered before, after (-want +got):\n%s", diff)
	}
	faults := make(map[string][]string)
	for x, err := range read(t, s).Recipients(t.Context(), store.Filter{Recipients: []string{"last@rcpt.example", "gone@rcpt.example"}}, 0) {
		must(t, err)
		for _, y := range x.Faults {
			faults[x.Address] = append(faults[x.Address], fmt.Sprintf("%d %s", y.Attempts, y.Response))
		}
	}
	last := map[string][]string{"last@rcpt.example": {"3 550 no of two at 1100"}, "gone@rcpt.example": {"1 550 no of two at 2200", "1 "}}
	if diff := gocmp.Diff(last, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// testHostile stores texts that an attacker might put into a log. They must be returned as valid
// UTF-8, without NUL and with limited length, otherwise unchanged.
func testHostile(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	texts := []string{
		"", "plain", "a\x00b", "\xff\xfe", "é\xc3", strings.Repeat("x", 1<<20), strings.Repeat("{", 3000), "{addr}{id}{n}{", "'; DROP TABLE delivery; --",
		"\x01\x02\x03\x04\x05", "\x05parts", "<script>", "=cmd|' /C calc'!A0", "\u202eabc", "{brace}", "550 5.1.1 <a@rcpt.example>: a@rcpt.example mx.rcpt.example 192.0.2.25",
		"550 \x1b[31m red \r\n two", "%s %d %!", strings.Repeat("é", 40000), "x" + strings.Repeat("é", 40000), strings.Repeat("\x00", 40000), strings.Repeat("x\xff", 40000),
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
			b.Detail, b.Rule, b.Warning = x, x, x
			as = append(as, b)
		}
	}
	Append(t, s, batch(1<<20, as...))
	r := read(t, s)
	var got []store.Attempt
	for a, err := range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
		must(t, err)
		got = append(got, *a)
	}
	if len(got) != len(as) {
		t.Fatalf("%d attempts, want %d", len(got), len(as))
	}
	byOffset := make(map[int64]store.Attempt)
	for _, a := range got {
		byOffset[a.Offset] = a
		for _, x := range []string{a.Host, a.Instance, a.Agent, a.Status, a.MessageID, a.Sender, a.Recipient, a.OriginalRecipient, a.RelayHost, a.RelayIP, a.Response, a.Detail, a.Rule, a.Warning} {
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
	// Every stored text can be used in a filter.
	for _, x := range texts {
		for range r.Attempts(t.Context(), store.Filter{Recipients: []string{x}, QueueID: x, MessageID: x, Domain: x, Relay: x, SenderDomain: x, Host: x}, store.Page{}) {
		}
		if _, err := r.Count(t.Context(), store.Filter{Domain: x, Relay: x, SenderDomain: x, Host: x}); err != nil {
			t.Errorf("Count of %.40q: %v", x, err)
		}
	}
	to := store.Filter{To: &store.Destination{Relays: slices.Repeat(texts, 20), Domains: texts}}
	if _, err := r.Count(t.Context(), to); err != nil {
		t.Errorf("Count of all texts as relays: %v", err)
	}
}

// testRelays selects attempts by many names of relays, some of which are patterns in other
// languages.
func testRelays(t *testing.T, s store.Store) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	hosts := []string{"", "mx.rcpt.example", "MX.Rcpt.example", "mxxrcpt.example", "a.mx.rcpt.example", "amx.rcpt.example", "mx.rcpt.example.", "rcpt.example", "[192.0.2.25]", "2", "(", "mx|rcpt", "rcpt", "mx%", "mx_rcpt.example", `\`, "x\n", "é.example", "mx.rcpt.example\nx"}
	var as []store.Attempt
	for i, host := range hosts {
		a := line(int64(i*100), at.Add(time.Duration(i)*time.Second), fmt.Sprint("Q", i), "a@rcpt.example", bounce.Hard, 1)
		a.RelayHost = host
		as = append(as, a)
	}
	Append(t, s, batch(1<<20, as...))
	var many []string // names of no relay
	for i := range 3000 {
		many = append(many, fmt.Sprintf("mx%d.%s.example", i, strings.Repeat("x", i%60)))
	}
	ask(t, s, func(r store.Reader) {
		for _, name := range append([]string{".rcpt.example", "RCPT.EXAMPLE", ".*", ".+", "[2]", "[0-9]", "mx.", "mx.rcpt.exampl.", "^", "$", `\\`, "x", strings.Repeat("x", 2*store.MaxName), "\xff", "\x00", "it's"}, hosts[1:]...) {
			for _, f := range []store.Filter{{Relay: name}, {To: &store.Destination{Relays: append(slices.Clip(many), name)}}} {
				var want, got []string
				for _, host := range hosts {
					if store.AtRelay(host, name) {
						want = append(want, host)
					}
				}
				for a, err := range r.Attempts(t.Context(), f, store.Page{}) {
					must(t, err)
					got = append(got, a.RelayHost)
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("%.40q, in a list %v (-want +got):\n%s", name, f.To != nil, diff)
				}
			}
		}
	})
}

func testQuery(t *testing.T, s store.Store) {
	sql, ok := s.(store.SQL)
	if !ok {
		t.Skip("is not asked in SQL")
	}
	Append(t, s, NewTraffic(8).Batch(500))
	rows, err := sql.Query(t.Context(), "SELECT outcome, count(*) AS n, NULL AS absent, 1.5 AS half FROM deliveries GROUP BY outcome ORDER BY outcome")
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
	c := Totals(t, s, store.Filter{})
	if want := c.Attempts + c.Handoff + c.Probe; n != want {
		t.Errorf("%d deliveries, want %d", n, want)
	}
	for _, bad := range []string{
		"DELETE FROM deliveries", "CREATE TABLE x (a)", "INSERT INTO meta VALUES (1, 2)", "PRAGMA user_version = 7", "SELEC", "SELECT nothing FROM deliveries",
		"ATTACH '/tmp/x' AS x", "-- a", "/* a", ";;", "SELECT 1; SELECT 2", "SELECT 1;;; -- a\nDELETE FROM meta", "SELECT 1\x00", "/* a */ ATTACH ':memory:' AS x", "BEGIN IMMEDIATE", "VACUUM", "",
	} {
		rows, err := sql.Query(t.Context(), bad)
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
	// An endless query can be cancelled.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	rows, err = sql.Query(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
	if err == nil {
		_, err = rows.Next()
		rows.Close()
	}
	if err == nil {
		t.Error("an endless query ended")
	}
}

// testReaders queries while another goroutine appends: every answer must be correct for the state
// after some batch.
func testReaders(t *testing.T, s store.Store) {
	tr := NewTraffic(9)
	var bs []*store.Batch
	valid := map[int64]bool{0: true}
	m := memory.Open()
	for range 30 {
		b := tr.Batch(100)
		bs = append(bs, b)
		Append(t, m, b)
		valid[Totals(t, m, store.Filter{}).Attempts] = true
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
				err := func() error {
					r, err := s.Read(context.Background())
					if err != nil {
						return err
					}
					defer r.Close()
					seen := int64(-1)
					for _, by := range [][]store.Dimension{{store.ByDomain}, {}, {store.ByRecipient}} {
						cells, err := r.Count(context.Background(), store.Filter{}, by...)
						if err != nil {
							return err
						}
						n := int64(0)
						for _, x := range cells {
							n += x.Attempts
						}
						if !valid[n] {
							return fmt.Errorf("saw %d attempts, which never were", n)
						}
						if seen >= 0 && n != seen {
							return fmt.Errorf("one Reader saw %d attempts and then %d", seen, n)
						}
						seen = n
					}
					return nil
				}()
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for _, b := range bs {
		if err := Put(t.Context(), s, b); err != nil {
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
