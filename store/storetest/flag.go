package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// testRefusals holds Refusals against Rejections, and FailureTimes against both.
func testRefusals(t *testing.T, s store.Store) {
	tr := NewTraffic(5)
	for range 4 {
		appendAll(t, s, tr.Batch(1000))
	}
	type row struct {
		Source                string
		Offset                int64
		Time                  time.Time
		Recipient, Domain     string
		Sender                string
		Null                  bool
		RelayHost, RelayIP    string
		RelayPort             uint16
		Outcome               bounce.Outcome
		Code                  uint16
		Stage                 bounce.Stage
		Verdict               bounce.Verdict
		Response              string
		Before, After         time.Time
		MessageID, Originally string
	}
	compare := func(a, b row) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Recipient, b.Recipient))
	}
	messages, recipients := map[uint64]string{}, map[uint64]string{}
	for _, f := range []store.Filter{{}, {Outcomes: []bounce.Outcome{bounce.Hard}}, {Outcomes: []bounce.Outcome{bounce.Delivered}}, {Reasons: []bounce.Reason{bounce.UserUnknown, bounce.Greylisted}}, {Reasons: store.Suspect}, {Reasons: store.Suspect[2:5], Outcomes: []bounce.Outcome{bounce.Soft}}} {
		var got, want []row
		last := time.Time{}
		for r, err := range s.Refusals(t.Context(), f) {
			must(t, err)
			a, err := r.Attempt()
			must(t, err)
			if r.Time.Before(last) {
				t.Errorf("%v comes after %v", r.Time, last)
			}
			last = r.Time
			if id := a.QueueID + " " + a.Sender; messages[r.Message] == "" {
				messages[r.Message] = id
			} else if messages[r.Message] != id {
				t.Errorf("one key for the messages %q and %q", messages[r.Message], id)
			}
			if recipients[r.Recipient] == "" {
				recipients[r.Recipient] = a.Recipient
			} else if recipients[r.Recipient] != a.Recipient {
				t.Errorf("one key for the recipients %q and %q", recipients[r.Recipient], a.Recipient)
			}
			addresses, err := s.Recipients(t.Context(), []uint64{r.Recipient})
			must(t, err)
			responses, err := s.Responses(t.Context(), []int64{r.ID})
			must(t, err)
			if responses[0] != a.Response {
				t.Errorf("Responses = %q, want %q", responses[0], a.Response)
			}
			got = append(got, row{
				r.Source, r.Offset, r.Time, addresses[0], r.RecipientDomain, r.SenderDomain, r.NullSender, r.RelayHost, r.RelayIP, r.RelayPort,
				r.Outcome, r.Code, r.Stage, r.Verdict, a.Response, r.DeliveredBefore, r.DeliveredAfter, a.MessageID, a.OriginalRecipient,
			})
		}
		for r, err := range s.Rejections(t.Context(), f) {
			must(t, err)
			want = append(want, row{
				r.Source, r.Offset, r.Time, r.Recipient, r.RecipientDomain, r.SenderDomain, r.SenderKnown && r.Sender == "", r.RelayHost, r.RelayIP, r.RelayPort,
				r.Outcome, r.Code, r.Stage, r.Verdict, r.Response, r.DeliveredBefore, r.DeliveredAfter, r.MessageID, r.OriginalRecipient,
			})
		}
		slices.SortFunc(got, compare)
		slices.SortFunc(want, compare)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("Refusals(%s): %d, want %d (-want +got):\n%.3000s", describe(f), len(got), len(want), diff)
		}
	}

	domain := ""
	for r, err := range s.Refusals(t.Context(), store.Filter{Reasons: []bounce.Reason{bounce.UserUnknown}}) {
		must(t, err)
		domain = r.RecipientDomain
	}
	for _, f := range []store.Filter{
		{Reasons: []bounce.Reason{bounce.UserUnknown}},
		{Reasons: []bounce.Reason{bounce.UserUnknown, bounce.Greylisted}},
		{Reasons: []bounce.Reason{bounce.UserUnknown}, Domain: domain},
	} {
		testFailureTimes(t, s, f, recipients)
	}
}

func testFailureTimes(t *testing.T, s store.Store, f store.Filter, recipients map[uint64]string) {
	want := map[uint64]int{}
	var keys []uint64
	for r, err := range s.Refusals(t.Context(), f) {
		must(t, err)
		if want[r.Recipient]++; want[r.Recipient] == 1 && len(want)%2 == 1 {
			keys = append(keys, r.Recipient)
		}
	}
	times, err := s.FailureTimes(t.Context(), f, slices.Values(keys))
	must(t, err)
	if len(keys) == 0 || len(times) != len(keys) {
		t.Errorf("FailureTimes of %d recipients: %d", len(keys), len(times))
	}
	for _, k := range keys {
		if len(times[k]) != want[k] {
			t.Errorf("FailureTimes of %s: %d, want %d", recipients[k], len(times[k]), want[k])
		}
	}
}

// testFlows holds what was delivered in a flow against Attempts: all of it where
// there is room, and where there is not, all of the time that is said to be read.
func testFlows(t *testing.T, s store.Store) {
	tr := NewTraffic(6)
	for range 6 {
		appendAll(t, s, tr.Batch(4000))
	}
	first, last, err := s.Span(t.Context(), store.Filter{})
	must(t, err)
	middle := first.Add(last.Sub(first) / 2).Truncate(time.Second)
	type row struct {
		Time   time.Time
		Sender string
	}
	compare := func(a, b row) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Sender, b.Sender)) }
	var domain, relay string
	var delivered []store.Attempt
	for a, err := range s.Attempts(t.Context(), store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}) {
		must(t, err)
		delivered = append(delivered, a)
	}
	for _, a := range delivered {
		if a.RelayHost != "" {
			domain, relay = a.RecipientDomain, a.RelayHost
			break
		}
	}
	for _, test := range []struct {
		name  string
		rows  int
		flows []store.Flow
		whole bool
	}{
		{"all", 1 << 30, []store.Flow{{Domains: []string{domain}, Since: first, Until: last, Around: []time.Time{middle}}}, true},
		{"by relay", 1 << 30, []store.Flow{{Relays: []string{relay}, Since: first, Until: last, Around: []time.Time{first, last}}}, true},
		{"by suffix", 1 << 30, []store.Flow{{Relays: []string{"example"}, Since: middle, Until: last, Around: []time.Time{middle}}}, true},
		{"little room", 5000, []store.Flow{{Relays: []string{"example"}, Since: first, Until: last, Around: []time.Time{middle}}, {Domains: []string{domain}, Since: first, Until: last, Around: []time.Time{last}}}, false},
		{"nobody", 5000, []store.Flow{{Relays: []string{"nobody.test"}, Since: first, Until: last, Around: []time.Time{middle}}}, false},
	} {
		histories, err := s.FlowHistories(t.Context(), test.flows, test.rows)
		must(t, err)
		if len(histories) != len(test.flows) {
			t.Fatalf("%s: %d histories of %d flows", test.name, len(histories), len(test.flows))
		}
		for i, h := range histories {
			f := test.flows[i]
			var got, want []row
			for _, d := range h.Deliveries {
				got = append(got, row{d.Time, d.SenderDomain})
			}
			in := func(a *store.Attempt) bool {
				for _, name := range f.Relays {
					if a.RelayHost == name || len(a.RelayHost) > len(name) && a.RelayHost[len(a.RelayHost)-len(name)-1:] == "."+name {
						return true
					}
				}
				return slices.Contains(f.Domains, a.RecipientDomain)
			}
			for j := range delivered {
				a := &delivered[j]
				if in(a) && slices.ContainsFunc(h.Read, func(p store.Period) bool { return !a.Time.Before(p.Since) && !a.Time.After(p.Until) }) {
					want = append(want, row{a.Time, a.SenderDomain})
				}
			}
			slices.SortFunc(got, compare)
			slices.SortFunc(want, compare)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s, flow %d: %d deliveries, want %d (-want +got):\n%.2000s", test.name, i, len(got), len(want), diff)
			}
			if len(h.Read) == 0 && i == 0 {
				t.Errorf("%s: nothing was read", test.name)
			}
			if whole := len(h.Read) == 1 && !h.Read[0].Since.After(f.Since) && !h.Read[0].Until.Before(f.Until); whole != test.whole {
				t.Errorf("%s, flow %d: the whole was read: %v, want %v (%v)", test.name, i, whole, test.whole, h.Read)
			}
		}
	}
}

// testAnnounced holds that what was announced is kept as it is.
func testAnnounced(t *testing.T, s store.Store) {
	got, err := s.Announced(t.Context())
	must(t, err)
	if len(got) != 0 {
		t.Errorf("Announced = %v in an empty store", got)
	}
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for _, want := range []map[string]time.Time{{"": at, "a \x1b'\"": at.Add(time.Hour)}, {"b": at}, {}} {
		must(t, s.Announce(t.Context(), want))
		got, err := s.Announced(t.Context())
		must(t, err)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
