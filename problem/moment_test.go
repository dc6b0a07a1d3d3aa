package problem_test

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestAnyStamp holds that no timestamp, however far off, stops the search.
func TestAnyStamp(t *testing.T) {
	for _, year := range []int{1, 1677, 1969, 2099, 2262, 2263, 3000, 9999, 10000} {
		s := memory.Open()
		var list []store.Attempt
		for i, at := range []time.Time{begin, time.Date(year, 4, 12, 0, 0, 0, 0, time.UTC)} {
			for j, v := range []bounce.Verdict{
				{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender},
				{Reason: bounce.Policy, Scope: bounce.ScopeSender},
				{Reason: bounce.Connection, Detail: "own-hop", Scope: bounce.ScopeSender},
			} {
				list = append(list, store.Attempt{Verdict: v, Delivery: bounce.Delivery{
					Source: "test", Offset: int64(10*i + j), Time: at, MTA: bounce.Postfix, Agent: "smtp", QueueID: string(rune('A' + 10*i + j)), Sender: "a@shop.example",
					SenderDomain: "shop.example", SenderKnown: true, Recipient: "b@big.example", RecipientDomain: "big.example", RelayHost: "mx.big.example", RelayIP: "192.0.2.1", RelayPort: 25,
					Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 no",
				}})
			}
		}
		storetest.Append(t, s, &store.Batch{Attempts: list, Sources: []store.Source{{ID: "test"}}})
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []store.Filter{{}, {Since: begin}, {Until: begin.Add(30 * day)}} {
			if _, err := problem.Find(t.Context(), r, f, problem.Thresholds{}); err != nil {
				t.Errorf("the year %d: %v", year, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
