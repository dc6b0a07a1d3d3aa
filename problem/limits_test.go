package problem

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestLimits holds that a flood of refusals with all values different does not hide later refusals,
// and what is still counted beyond the limits.
func TestLimits(t *testing.T) {
	defer func(refusals, traits int) { refusalsKept, traitsKept = refusals, traits }(refusalsKept, traitsKept)
	refusalsKept, traitsKept = 4*slabSize, 100
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	const n = 10*slabSize + 17
	s := memory.Open()
	b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
	for i := range n {
		name := fmt.Sprintf("d%d.example", i)
		v := bounce.Verdict{Reason: bounce.Blocklist, Detail: "spamhaus-zen", Scope: bounce.ScopeSender}
		if i == n-1 {
			v.Detail = "spamcop"
		}
		b.Attempts = append(b.Attempts, store.Attempt{Verdict: v, Delivery: bounce.Delivery{
			Source: "test", Offset: int64(i), Time: begin.Add(time.Duration(i) * time.Second), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@shop.example",
			SenderDomain: "shop.example", SenderKnown: true, Recipient: "b@" + name, RecipientDomain: name, RelayHost: "mx." + name, RelayIP: "192.0.2.1", RelayPort: 25,
			Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 no",
		}})
	}
	storetest.Append(t, s, b)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// The oldest are not read, or are dropped if that is cheaper.
	for _, f := range []store.Filter{{}, {Since: begin.Add(time.Minute)}, {SenderDomain: "shop.example"}} {
		limits(t, r, f, begin.Add((n-2)*time.Second))
	}
}

// TestInventedSenders holds that invented sender domains, more than there are streams, hide no incident that comes later
// or between them.
func TestInventedSenders(t *testing.T) {
	defer func(streams int) { streamsKept = streams }(streamsKept)
	streamsKept = 200
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for name, every := range map[string]int{"behind them": 0, "between them": 60} {
		s := memory.Open()
		b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
		refuse := func(sender, to string) {
			i := len(b.Attempts)
			b.Attempts = append(b.Attempts, store.Attempt{
				Verdict: bounce.Verdict{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause},
				Delivery: bounce.Delivery{
					Source: "test", Offset: int64(i), Time: begin.Add(time.Duration(i) * time.Second), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@" + sender,
					SenderDomain: sender, SenderKnown: true, Recipient: fmt.Sprintf("b%d@%s", i, to), RecipientDomain: to, RelayHost: "mx." + to, RelayIP: "192.0.2.1", RelayPort: 25,
					Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 SPF",
				},
			})
		}
		for i := range 5*streamsKept + 10 {
			refuse(fmt.Sprintf("d%d.example", i), "evil.example")
			if every > 0 && i%every == 0 {
				refuse("shop.example", "x.example")
			}
		}
		for range 5 {
			refuse("shop.example", "x.example")
		}
		storetest.Append(t, s, b)
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(found, func(p Problem) bool {
			return slices.Contains(p.SenderDomains, "shop.example") && slices.Contains(p.Providers, "x.example") && p.Level == Confirmed
		}) {
			t.Errorf("%s: nothing of the incident in %d problems", name, len(found))
		}
	}
}

// limits runs TestLimits with a filter.
func limits(t *testing.T, r store.Reader, f store.Filter, until time.Time) {
	t.Helper()
	found, err := Find(t.Context(), r, f, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*Problem{}
	for i := range found {
		got[found[i].Detail] = &found[i]
	}
	last, many := got["spamcop"], got["spamhaus-zen"]
	if last == nil || many == nil || len(found) != 2 {
		t.Fatalf("%d problems: %+v", len(found), found)
	}
	if last.Messages != 1 || len(last.Evidence) != 1 || last.Evidence[0].Text != "550 no" {
		t.Errorf("the last: %d messages, evidence %v", last.Messages, last.Evidence)
	}
	if many.Messages < refusalsKept/2 || many.Messages >= refusalsKept || !many.Until.Equal(until) {
		t.Errorf("%d messages until %v: not the newest", many.Messages, many.Until)
	}
	if len(many.SenderDomains) != 1 || len(many.Providers) > traitsKept {
		t.Errorf("senders %v, %d providers", many.SenderDomains, len(many.Providers))
	}
}
