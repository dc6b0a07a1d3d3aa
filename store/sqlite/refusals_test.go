package sqlite

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestManyWords checks that answers are the same when a flood has created so many replies, routes
// and traits that they are scanned and read in parts.
func TestManyWords(t *testing.T) {
	defer func(replies int64, words, batch, traits int) {
		repliesInSQL, wordsAtOnce, refusalsBatch, traitsKnown = replies, words, batch, traits
	}(repliesInSQL, wordsAtOnce, refusalsBatch, traitsKnown)
	repliesInSQL, wordsAtOnce, refusalsBatch, traitsKnown = 1, 1, 7, 3

	want, got := memory.Open(), open(t, t.TempDir()+"/log.db", Options{})
	traffic := storetest.NewTraffic(1)
	traffic.Hosts, traffic.PerSecond = 2, 0.5
	for range 6 {
		b := traffic.Batch(1000)
		for i := range b.Attempts {
			if a := &b.Attempts[i]; a.RelayHost != "" {
				a.RelayHost = fmt.Sprintf("mx%d.many.example", i)
			}
		}
		storetest.Append(t, want, b)
		storetest.Append(t, got, b)
	}
	a, b := reading(t, want), reading(t, got)
	span, err := a.Span(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	middle := span.First.Add(span.Last.Sub(span.First) / 2).Truncate(time.Second)
	n := 0
	for _, f := range []store.Filter{
		{},
		{Since: middle},
		{Reasons: store.Suspect},
		{Reasons: store.Suspect, Since: middle},
		{Reasons: []bounce.Reason{bounce.UserUnknown, bounce.DNSRouting}},
		{Outcomes: []bounce.Outcome{bounce.Hard}, Until: middle},
		{Relay: "many.example"},
		{Relay: "many.example", Reasons: store.Suspect, Since: middle},
	} {
		storetest.Same(t, a, b, f)
		for _, err := range b.Refusals(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n < 10*refusalsBatch {
		t.Errorf("%d refusals are not many", n)
	}
}
