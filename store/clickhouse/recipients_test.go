package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestOneSecond checks that refusals of one second, and faults of a recipient in one second, are in
// the order of the log.
func TestOneSecond(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d := open(t, node, "")
	const recipients, faults = 4, 12
	b := &store.Batch{Sources: []store.Source{{ID: "log", Offset: 10_000}}}
	for i := range faults {
		for to := range recipients {
			b.Attempts = append(b.Attempts, store.Attempt{
				Delivery: bounce.Delivery{
					Source: "log", Offset: int64(100*i + to), Time: time.Unix(1772409600, 0), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%d.%d", i, to),
					Recipient: fmt.Sprintf("rcpt%d@dest.example", to), RecipientDomain: "dest.example", Outcome: bounce.Hard, Status: "bounced",
					Code: uint16(550 + 37*i%12), Response: "no",
				},
				Verdict: bounce.Verdict{Reason: bounce.UserUnknown, Rule: "user-unknown"},
			})
		}
	}
	storetest.Append(t, d, b)
	r, err := d.Read(t.Context())
	must(t, err)
	defer r.Close()
	for _, limit := range []int{0, recipients} {
		for x, err := range r.Recipients(t.Context(), store.Filter{}, limit) {
			must(t, err)
			for i, y := range x.Faults {
				if want := uint16(550 + 37*i%12); y.Code != want {
					t.Errorf("%s, limit %d: fault %d is a %d, want %d", x.Address, limit, i, y.Code, want)
				}
			}
		}
	}
	last := int64(-1)
	for x, err := range r.Refusals(t.Context(), store.Filter{}) {
		must(t, err)
		if x.Offset < last {
			t.Errorf("the refusal at %d comes after that at %d", x.Offset, last)
		}
		last = x.Offset
	}
}
