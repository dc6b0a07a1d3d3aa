package storetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Same compares two stores that should hold the same attempts. It asks both the same questions
// about the attempts that f selects, and fails the test where the answers differ.
func Same(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	same(t, want, got, f, groupings...)
}

// SameRows asks each kind of question, and counts in two ways only. It is for tests of which
// attempts are visible: a server takes milliseconds for each question.
func SameRows(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	same(t, want, got, f, []store.Dimension{store.ByHost, store.ByReason}, []store.Dimension{store.ByDomain})
}

func same(t testing.TB, want, got store.Reader, f store.Filter, groupings ...[]store.Dimension) {
	t.Helper()
	sameSpan(t, want, got, f)
	for _, by := range groupings {
		sameCount(t, want, got, f, by...)
	}
	apart, all := periods(t, want, f)
	for i, by := range groupings[max(len(groupings)-5, 0):] {
		samePeriods(t, want, got, f, [][]store.Span{apart, all}[i%2], by...)
	}
	sameNewest(t, want, got, f)
	sameDiscarded(t, want, got, f)
	sameReplies(t, want, got, f)
	sameAttempts(t, want, got, f)
	sameRefusals(t, want, got, f)
	sameRecipients(t, want, got, f)
	sameQueue(t, want, got, f)
}

var groupings = [][]store.Dimension{
	{},
	{store.ByDomain},
	{store.BySenderDomain},
	{store.ByRelay},
	{store.ByReason},
	{store.ByDetail},
	{store.ByRecipient},
	{store.ByHost},
	{store.ByDay},
	{store.ByHour},
	{store.BySender},
	{store.BySASLUser},
	{store.ByClient},
	{store.ByDomain, store.ByRelay},
	{store.ByRelay, store.ByDay},
	{store.ByReason, store.ByHour},
	{store.BySenderDomain, store.ByDomain},
	{store.ByHost, store.ByReason},
	{store.ByDomain, store.ByDetail},
	{store.BySender, store.BySASLUser, store.ByClient},
	{store.ByDay, store.BySenderDomain, store.ByReason},
}

// diff compares two values; it is fast if they are equal.
func diff(want, got any, o ...gocmp.Option) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	d := gocmp.Diff(want, got, o...)
	return d[:min(len(d), 3000)]
}

func sameSpan(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	w, err := want.Span(t.Context(), f)
	must(t, err)
	g, err := got.Span(t.Context(), f)
	must(t, err)
	if w != g {
		t.Errorf("Span(%s) = %v, want %v", describe(f), g, w)
	}
}

func sameCount(t testing.TB, want, got store.Reader, f store.Filter, by ...store.Dimension) {
	t.Helper()
	cells := func(r store.Reader) map[[store.MaxDimensions]string]store.Tally {
		list, err := r.Count(t.Context(), f, by...)
		must(t, err)
		return byKeys(t, list)
	}
	if d := diff(cells(want), cells(got)); d != "" {
		t.Errorf("Count(%s, %s) (-want +got):\n%s", describe(f), by, d)
	}
}

func byKeys(t testing.TB, list []store.Cell) map[[store.MaxDimensions]string]store.Tally {
	t.Helper()
	m := make(map[[store.MaxDimensions]string]store.Tally)
	for _, c := range list {
		if _, twice := m[c.Keys]; twice {
			t.Errorf("a count has %q twice", c.Keys)
		}
		m[c.Keys] = c.Tally
	}
	return m
}

// periods returns periods that follow each other, with gaps and without; one that holds all of them;
// and one that holds nothing.
func periods(t testing.TB, r store.Reader, f store.Filter) (apart, all []store.Span) {
	t.Helper()
	s, err := r.Span(t.Context(), store.Filter{Since: f.Since, Until: f.Until})
	must(t, err)
	if s.IsZero() { // nothing matches
		s = store.Span{First: f.Since, Last: f.Since.Add(10 * time.Hour)}
	}
	part := func(first, last time.Duration) store.Span { // tenths
		d := s.Last.Sub(s.First) / 10
		return store.Span{First: s.First.Add(first * d).Truncate(time.Second), Last: s.First.Add(last*d - 1).Truncate(time.Second)}
	}
	apart = []store.Span{part(7, 9), part(1, 3), part(4, 6), part(6, 7), {First: s.Last.AddDate(1, 0, 0), Last: s.Last.AddDate(1, 0, 1)}}
	return apart, append(slices.Clone(apart), s, part(2, 8))
}

func samePeriods(t testing.TB, want, got store.Reader, f store.Filter, list []store.Span, by ...store.Dimension) {
	t.Helper()
	for _, list := range [][]store.Span{nil, list} {
		w, err := store.CountEach(t.Context(), want, f, list, by...)
		must(t, err)
		g, err := store.CountPeriods(t.Context(), got, f, list, by...)
		must(t, err)
		if len(w) != len(list) || len(g) != len(list) {
			t.Fatalf("CountPeriods(%s, %s): %d and %d answers for %d periods", describe(f), by, len(w), len(g), len(list))
		}
		for i := range list {
			if d := diff(byKeys(t, w[i]), byKeys(t, g[i])); d != "" {
				t.Errorf("CountPeriods(%s, %s), %v (-want +got):\n%s", describe(f), by, list[i], d)
			}
		}
	}
}

// sameNewest asks for some relays in some periods, for all together, and for a relay that there is not.
func sameNewest(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	_, list := periods(t, want, f)
	cells, err := want.Count(t.Context(), f, store.ByRelay)
	must(t, err)
	slices.SortFunc(cells, func(a, b store.Cell) int { return strings.Compare(a.Keys[0], b.Keys[0]) })
	visits := []store.Visit{{Relay: "none.example", Span: list[0]}}
	for _, p := range list {
		visits = append(visits, store.Visit{Any: true, Span: p})
	}
	for i := range min(len(cells), 12) {
		for _, p := range list {
			visits = append(visits, store.Visit{Relay: cells[i].Keys[0], Span: p})
		}
	}
	for _, visits := range [][]store.Visit{nil, visits} {
		w := make([]*store.Attempt, len(visits))
		for i, v := range visits {
			for a, err := range want.Attempts(t.Context(), f.Within(v.Span), store.Page{Newest: true}) {
				must(t, err)
				if v.Any || a.RelayHost == v.Relay {
					k := kept(*a)
					w[i] = &k
					break
				}
			}
		}
		g, err := store.NewestAt(t.Context(), got, f, visits)
		must(t, err)
		for i, a := range g {
			if a != nil {
				k := kept(*a)
				g[i] = &k
			}
		}
		if d := diff(w, g); d != "" {
			t.Errorf("NewestAt(%s, %v) (-want +got):\n%s", describe(f), visits, d)
		}
	}
}

func sameDiscarded(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	w, err := want.Discarded(t.Context(), f)
	must(t, err)
	g, err := got.Discarded(t.Context(), f)
	must(t, err)
	if w != g {
		t.Errorf("Discarded(%s) = %d, want %d", describe(f), g, w)
	}
}

func sameReplies(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	counts := func(r store.Reader) map[store.Reply]int64 {
		list, err := r.Replies(t.Context(), f)
		must(t, err)
		m := make(map[store.Reply]int64)
		for _, x := range list {
			n := x.Attempts
			x.Attempts = 0
			m[x] += n
		}
		return m
	}
	if d := diff(counts(want), counts(got)); d != "" {
		t.Errorf("Replies(%s) (-want +got):\n%s", describe(f), d)
	}
}

// kept returns the part of an attempt that every store keeps.
func kept(a store.Attempt) store.Attempt {
	d := &a.Delivery
	d.Delays, d.HasDelays, d.Size, d.ClientHost = [4]float64{}, false, 0, ""
	if d.SASLUser != "" {
		d.ClientIP = ""
	}
	if d.Outcome == bounce.Delivered {
		d.Response, d.MessageID, d.ClientIP, d.SASLUser, d.Warning = "", "", "", "", ""
	}
	return a
}

func attempts(t testing.TB, r store.Reader, f store.Filter, p store.Page) []store.Attempt {
	t.Helper()
	var out []store.Attempt
	for a, err := range r.Attempts(t.Context(), f, p) {
		must(t, err)
		out = append(out, kept(*a))
	}
	return out
}

func sameAttempts(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	for _, newest := range []bool{false, true} { // an engine may find a single time in another way
		p := store.Page{Limit: 1, Newest: newest, Times: true}
		var times [2][]time.Time
		for i, r := range [...]store.Reader{want, got} {
			for a, err := range r.Attempts(t.Context(), f, p) {
				must(t, err)
				times[i] = append(times[i], a.Time)
			}
		}
		if d := diff(times[0], times[1]); d != "" {
			t.Fatalf("time of one attempt, newest %v, of %+v (-want +got):\n%s", newest, f, d)
		}
	}
	t.Helper()
	sameResponses(t, want, got, f)
	all := attempts(t, want, f, store.Page{})
	if d := diff(all, attempts(t, got, f, store.Page{})); d != "" {
		t.Errorf("Attempts(%s), of %d (-want +got):\n%s", describe(f), len(all), d)
		return
	}
	if len(all) == 0 {
		return
	}
	// The same in pages, and newest first.
	for _, newest := range []bool{false, true} {
		var pages []store.Attempt
		p := store.Page{Limit: 1 + len(all)/3, Newest: newest}
		if newest {
			p.Limit = 1 + len(all)/2
		}
		for ; ; p.After = pages[len(pages)-1].Ref() {
			page := attempts(t, got, f, p)
			if len(page) > p.Limit {
				t.Fatalf("Attempts(%s): a page of %d, at most %d", describe(f), len(page), p.Limit)
			}
			if pages = append(pages, page...); len(page) < p.Limit {
				break
			}
		}
		if newest {
			slices.Reverse(pages)
		}
		if d := diff(all, pages); d != "" {
			t.Errorf("Attempts(%s), newest %v, by pages (-want +got):\n%s", describe(f), newest, d)
		}
	}
	// Look up some of them by Ref.
	var refs []store.Ref
	var named []store.Attempt
	for i := 0; i < len(all); i += 1 + len(all)/20 {
		refs = append(refs, all[i].Ref())
		named = append(named, all[i])
	}
	refs = append(refs, store.Ref{Time: refs[0].Time, Source: refs[0].Source, Offset: 1 << 39}, store.Ref{Source: "absent"})
	found, err := got.Lookup(t.Context(), refs...)
	must(t, err)
	if len(found) != len(refs) || found[len(found)-1] != nil || found[len(found)-2] != nil {
		t.Fatalf("Lookup of %d found %v", len(refs), found)
	}
	var list []store.Attempt
	for _, a := range found[:len(found)-2] {
		if a == nil {
			t.Fatalf("Lookup does not find what Attempts(%s) names", describe(f))
		}
		list = append(list, kept(*a))
	}
	if d := diff(named, list); d != "" {
		t.Errorf("Lookup (-want +got):\n%s", d)
	}
}

// sameResponses compares the responses to deliveries, or their templates.
func sameResponses(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	if len(f.Outcomes) > 0 && !slices.Contains(f.Outcomes, bounce.Delivered) {
		return
	}
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	answered := make(map[store.Ref]string)
	for a, err := range want.Attempts(t.Context(), f, store.Page{Limit: 200}) {
		must(t, err)
		answered[a.Ref()] = a.Response
	}
	for a, err := range got.Attempts(t.Context(), f, store.Page{Limit: 200}) {
		must(t, err)
		response := answered[a.Ref()]
		if template, _ := bounce.Split(response); a.Response != response && a.Response != template {
			t.Errorf("Attempts(%s): response %q, want %q or its template", describe(f), a.Response, response)
		}
	}
}

type refusal struct {
	Ref           store.Ref
	Traits        store.Traits
	Recipient     string
	Before, After time.Time
}

func refusals(t testing.TB, r store.Reader, f store.Filter) (list []refusal, messages map[store.Ref]uint64) {
	t.Helper()
	messages = make(map[store.Ref]uint64)
	last := time.Time{}
	for x, err := range r.Refusals(t.Context(), f) {
		must(t, err)
		if x.Time.Before(last) {
			t.Errorf("Refusals(%s): %v comes after %v", describe(f), x.Time, last)
		}
		last = x.Time
		list = append(list, refusal{x.Ref(), *x.Traits, x.Recipient, x.DeliveredBefore, x.DeliveredAfter})
		messages[x.Ref()] = x.Message
	}
	slices.SortFunc(list, func(a, b refusal) int { return a.Ref.Compare(b.Ref) })
	return list, messages
}

func sameRefusals(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	w, wantMessages := refusals(t, want, f)
	g, gotMessages := refusals(t, got, f)
	if d := diff(w, g); d != "" {
		t.Errorf("Refusals(%s), of %d (-want +got):\n%s", describe(f), len(w), d)
	}
	f.Own = true // an engine may leave out other refusals
	own := func(list []refusal) (own []refusal) {
		for _, x := range list {
			if store.MayBeOwn(x.Traits.Code, &x.Traits.Verdict) {
				own = append(own, x)
			}
		}
		return own
	}
	g, _ = refusals(t, got, f)
	if d := diff(own(w), own(g)); d != "" {
		t.Errorf("Refusals(%s), the sending side's own (-want +got):\n%s", describe(f), d)
	}
	f.Own, f.Known = false, true // the same
	known := func(list []refusal) (known []refusal) {
		for _, x := range list {
			if !x.Before.IsZero() {
				known = append(known, x)
			}
		}
		return known
	}
	g, _ = refusals(t, got, f)
	if d := diff(known(w), known(g)); d != "" {
		t.Errorf("Refusals(%s), of recipients who took mail before (-want +got):\n%s", describe(f), d)
	}
	f.Known, f.Guesses = false, true
	var guesses []refusal
	for _, x := range w {
		if x.Traits.Confidence == bounce.Guess {
			guesses = append(guesses, x)
		}
	}
	g, _ = refusals(t, got, f)
	if d := diff(guesses, g); d != "" {
		t.Errorf("Refusals(%s), guesses (-want +got):\n%s", describe(f), d)
	}
	f.Guesses, f.NoHistory = false, true // an engine may leave out the deliveries
	bare := func(list []refusal) []refusal {
		list = slices.Clone(list)
		for i := range list {
			list[i].Before, list[i].After = time.Time{}, time.Time{}
		}
		return list
	}
	g, _ = refusals(t, got, f)
	if d := diff(bare(w), bare(g)); d != "" {
		t.Errorf("Refusals(%s), without history (-want +got):\n%s", describe(f), d)
	}
	one := make(map[uint64]uint64)
	for ref, m := range wantMessages {
		if g := gotMessages[ref]; one[m] == 0 {
			one[m] = g
		} else if one[m] != g {
			t.Errorf("Refusals(%s): two hashes of one message", describe(f))
		}
	}
	distinct := make(map[uint64]bool)
	for _, g := range one {
		distinct[g] = true
	}
	if len(distinct) != len(one) {
		t.Errorf("Refusals(%s): %d hashes of %d messages", describe(f), len(distinct), len(one))
	}
}

func recipients(t testing.TB, r store.Reader, f store.Filter, limit int) (map[string]store.Recipient, []string) {
	t.Helper()
	all := make(map[string]store.Recipient)
	var order []string
	for x, err := range r.Recipients(t.Context(), f, limit) {
		must(t, err)
		if _, twice := all[x.Address]; twice {
			t.Errorf("Recipients(%s): %q comes twice", describe(f), x.Address)
		}
		for _, y := range x.Faults {
			if y.Response == "" && y.Reason != bounce.Expired {
				t.Errorf("Recipients(%s): %s: no response", describe(f), x.Address)
			}
		}
		one := *x
		one.Faults = slices.Clone(x.Faults)
		all[x.Address] = one
		order = append(order, x.Address)
	}
	return all, order
}

func sameRecipients(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	for _, f.Undelivered = range []bool{false, true} {
		limits := []int{0, 3}
		if f.Undelivered {
			limits = []int{0, 1}
		}
		for _, limit := range limits {
			w, wantOrder := recipients(t, want, f, limit)
			g, gotOrder := recipients(t, got, f, limit)
			for address, x := range g {
				y, ok := w[address]
				// The time may be up to a day early if no failure came in between.
				if early := y.LastDelivered.Sub(x.LastDelivered); ok && !x.LastDelivered.IsZero() && early >= 0 && early <= 24*time.Hour {
					x.LastDelivered = y.LastDelivered
					g[address] = x
				}
			}
			if d := diff(w, g); d != "" {
				t.Errorf("Recipients(%s, %d), undelivered %v (-want +got):\n%s", describe(f), limit, f.Undelivered, d)
			}
			if d := diff(wantOrder, gotOrder); limit > 0 && d != "" {
				t.Errorf("Recipients(%s, %d), undelivered %v: order (-want +got):\n%s", describe(f), limit, f.Undelivered, d)
			}
		}
	}
}

func sameQueue(t testing.TB, want, got store.Reader, f store.Filter) {
	t.Helper()
	list := func(r store.Reader, f store.Filter, limit int) []store.Queued {
		list, err := r.Queue(t.Context(), f, limit)
		must(t, err)
		for i := range list {
			list[i].Attempt = kept(list[i].Attempt)
		}
		return list
	}
	standing := f // recipients still queued, whenever deferred first
	standing.QueuedBefore, standing.Since, standing.Until = f.Until, time.Time{}, time.Time{}
	for _, f := range []store.Filter{f, standing} {
		for _, limit := range []int{0, 2} {
			w, g := list(want, f, limit), list(got, f, limit)
			if len(w) == 0 && len(g) == 0 {
				continue
			}
			if d := diff(w, g); d != "" {
				t.Errorf("Queue(%s, %d) (-want +got):\n%s", describe(f), limit, d)
			}
		}
	}
}
