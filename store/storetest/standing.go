package storetest

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// The questions of the report's sections: routes, replies, histories, what
// waits. Each is compared with the model's answer.
func testStanding(t *testing.T, s store.Store) {
	tr := NewTraffic(3)
	tr.Hosts, tr.PerSecond = 2, 0.05
	m := newModel()
	for range 4 {
		b := tr.Batch(1500)
		appendAll(t, s, b)
		m.append(b)
	}
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, f := range []store.Filter{
		{},
		{Since: start.Add(11 * time.Hour)},
		{Since: start.Add(7*time.Hour + 7*time.Minute), Until: start.Add(31 * time.Hour)},
		{Until: start.Add(25 * time.Hour)},
		{Domain: "domain0.example"},
		{Domain: "absent.example"},
		{Host: "mx1"},
		{SenderDomain: "sender0.example", Relay: "domain1.example"},
		{Outcomes: []bounce.Outcome{bounce.Hard}, Reasons: []bounce.Reason{bounce.UserUnknown, bounce.MailboxDisabled}},
		{Outcomes: []bounce.Outcome{bounce.Delivered}},
	} {
		name := describe(f)
		compareRoutes(t, s, m, f, name)
		compareReplies(t, s, m, f, name)
		compareHistories(t, s, m, f, name)
		compareFailedBy(t, s, f, name)
		compareWaiting(t, s, m, f, name)
	}
}

func compareRoutes(t *testing.T, s store.Store, m *model, f store.Filter, name string) {
	t.Helper()
	want := map[string]store.Route{}
	for k, g := range m.groups(f, byRouteOfModel) {
		r := store.Route{Tally: g.Tally}
		r.Domain, r.Relay = cutRoute(k)
		want[k] = r
	}
	list, err := s.Routes(t.Context(), f)
	must(t, err)
	got := map[string]store.Route{}
	for _, r := range list {
		k := r.Domain + "\x00" + r.Relay
		if _, twice := got[k]; twice {
			t.Errorf("Routes(%s): %q comes twice", name, k)
		}
		got[k] = r
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("Routes(%s) (-want +got):\n%.2000s", name, diff)
	}
}

func failed(e *event) bool { return e.Outcome == bounce.Soft || e.Outcome == bounce.Hard }

func compareReplies(t *testing.T, s store.Store, m *model, f store.Filter, name string) {
	t.Helper()
	type key struct {
		template string
		outcome  bounce.Outcome
		code     uint16
	}
	greeted := func(o bounce.Outcome, reason bounce.Reason) bool {
		return o == bounce.Soft || reason == bounce.UserUnknown
	}
	want := map[key]int64{}
	for i := range m.events {
		if e := &m.events[i]; failed(e) && e.matches(f) && greeted(e.Outcome, e.Reason) {
			template, _ := bounce.Split(e.Response)
			want[key{template, e.Outcome, e.Code}]++
		}
	}
	list, err := s.Replies(t.Context(), f, func(r *store.Reply) bool { return greeted(r.Outcome, r.Reason) })
	must(t, err)
	got := map[key]int64{}
	for _, r := range list {
		got[key{r.Template, r.Outcome, r.Code}] += r.Attempts
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("Replies(%s) (-want +got):\n%.2000s", name, diff)
	}
}

// compareFailedBy holds FailedBy against Groups.
func compareFailedBy(t *testing.T, s store.Store, f store.Filter, name string) {
	t.Helper()
	senders, users, clients, err := s.FailedBy(t.Context(), f)
	must(t, err)
	for by, list := range map[store.By][]store.Group{store.BySender: senders, store.BySASLUser: users, store.ByClient: clients} {
		groups, err := s.Groups(t.Context(), f, by)
		must(t, err)
		want, got := map[string]store.Group{}, map[string]store.Group{}
		for _, g := range groups {
			if g.Soft+g.Hard > 0 {
				want[g.Key] = store.Group{Key: g.Key, Tally: store.Tally{Counts: store.Counts{Attempts: g.Attempts, Soft: g.Soft, Hard: g.Hard}, Reasons: g.Reasons}}
			}
		}
		for _, g := range list {
			got[g.Key] = g
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("FailedBy(%s) by %s (-want +got):\n%.2000s", name, by, diff)
		}
	}
}

func compareHistories(t *testing.T, s store.Store, m *model, f store.Filter, name string) {
	t.Helper()
	type fault struct {
		attempts, since int64
		first, last     time.Time
		firstSince      time.Time
	}
	type history struct {
		delivered time.Time
		faults    map[string]fault
	}
	want := map[string]history{}
	for i := range m.events {
		e := &m.events[i]
		if !failed(e) || !e.matches(f) || e.Outcome == bounce.Soft && e.Code < 500 {
			continue
		}
		h, known := want[e.Recipient]
		if !known {
			h.faults = map[string]fault{}
			for r, times := range m.delivered {
				for _, at := range times {
					if strings.EqualFold(r, e.Recipient) && at.After(h.delivered) {
						h.delivered = at
					}
				}
			}
		}
		k := e.Outcome.String() + " " + e.Reason.String()
		x := h.faults[k]
		if x.first.IsZero() || e.Time.Before(x.first) {
			x.first = e.Time
		}
		if e.Time.After(x.last) {
			x.last = e.Time
		}
		x.attempts++
		if e.Time.After(h.delivered) {
			if x.since++; x.firstSince.IsZero() || e.Time.Before(x.firstSince) {
				x.firstSince = e.Time
			}
		}
		h.faults[k] = x
		want[e.Recipient] = h
	}
	got := map[string]history{}
	var order []string
	for h, err := range s.Histories(t.Context(), f, 0) {
		must(t, err)
		if _, twice := got[h.Recipient]; twice {
			t.Errorf("Histories(%s): %q comes twice", name, h.Recipient)
		}
		x := history{h.LastDelivered, map[string]fault{}}
		for _, y := range h.Faults {
			k := y.Outcome.String() + " " + y.Reason.String()
			z := x.faults[k]
			z.attempts += y.Attempts
			z.since += y.Since
			if z.firstSince.IsZero() || !y.FirstSince.IsZero() && y.FirstSince.Before(z.firstSince) {
				z.firstSince = y.FirstSince
			}
			if z.first.IsZero() || y.First.Before(z.first) {
				z.first = y.First
			}
			if y.Last.After(z.last) {
				z.last = y.Last
			}
			x.faults[k] = z
			if y.Outcome == bounce.Hard && y.Response == "" && y.Reason != bounce.Expired {
				t.Errorf("Histories(%s): %s: no response", name, h.Recipient)
			}
		}
		got[h.Recipient] = x
		order = append(order, h.Recipient)
	}
	// The last delivery may be a day early where no failure came since.
	for r, h := range got {
		if w, ok := want[r]; ok && h.delivered != w.delivered && !h.delivered.After(w.delivered) && w.delivered.Sub(h.delivered) <= 24*time.Hour && !h.delivered.IsZero() {
			later := false
			for k, x := range w.faults {
				later = later || x.last.After(h.delivered) && x.since != h.faults[k].since
			}
			if !later {
				h.delivered = w.delivered
				got[r] = h
			}
		}
	}
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(history{}, fault{})); diff != "" {
		t.Errorf("Histories(%s) (-want +got):\n%.2000s", name, diff)
	}
	if len(order) < 3 {
		return
	}
	var top []int64
	for h, err := range s.Histories(t.Context(), f, 2) {
		must(t, err)
		n := int64(0)
		for _, x := range h.Faults {
			n += x.Attempts
		}
		top = append(top, n)
	}
	var all []int64
	for _, h := range want {
		n := int64(0)
		for _, x := range h.faults {
			n += x.attempts
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b int64) int { return cmp.Compare(b, a) })
	slices.SortFunc(top, func(a, b int64) int { return cmp.Compare(b, a) })
	if diff := gocmp.Diff(all[:2], top); diff != "" {
		t.Errorf("Histories(%s, 2) (-want +got):\n%s", name, diff)
	}
}

func compareWaiting(t *testing.T, s store.Store, m *model, f store.Filter, name string) {
	t.Helper()
	type waiting struct {
		recipient, queue string
		last, first      time.Time
	}
	less := func(a, b waiting) int {
		return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.recipient, b.recipient), a.first.Compare(b.first))
	}
	want := []waiting{}
	any := f
	any.Since, any.Until = time.Time{}, time.Time{}
	for _, firsts := range m.pending {
		for _, i := range firsts {
			first, last := &m.events[i], &m.events[m.last[i]]
			if last.matches(any) && (f.Until.IsZero() || first.Time.Before(f.Until)) {
				want = append(want, waiting{first.Recipient, first.QueueID, last.Time, first.Time})
			}
		}
	}
	list, err := s.Waiting(t.Context(), f, 0)
	must(t, err)
	got := []waiting{}
	for i, w := range list {
		got = append(got, waiting{w.Recipient, w.QueueID, w.Time, w.FirstSoft})
		if i > 0 && !w.Arrived.IsZero() && w.Arrived.Before(list[i-1].Arrived) {
			t.Errorf("Waiting(%s): %v after %v", name, w.Arrived, list[i-1].Arrived)
		}
		if w.Outcome != bounce.Soft || w.Response == "" {
			t.Errorf("Waiting(%s): %s, %q", name, w.Outcome, w.Response)
		}
	}
	slices.SortFunc(want, less)
	slices.SortFunc(got, less)
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(waiting{})); diff != "" {
		t.Errorf("Waiting(%s) (-want +got):\n%.2000s", name, diff)
	}
	if len(list) > 1 {
		one, err := s.Waiting(t.Context(), f, 1)
		must(t, err)
		if len(one) != 1 || one[0].Recipient != list[0].Recipient || one[0].QueueID != list[0].QueueID {
			t.Errorf("Waiting(%s, 1) = %v, want the first of %d", name, one, len(list))
		}
	}
}
