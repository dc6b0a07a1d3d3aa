package report

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestFutureStamp holds that a timestamp with a five-digit year does not break a report: it is in
// no hour, and the others are.
func TestFutureStamp(t *testing.T) {
	var list []store.Attempt
	for i, at := range []time.Time{time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		list = append(list, store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(i), Time: at, MTA: bounce.Postfix, QueueID: string(rune('A' + i)), Recipient: "a@b.example", RecipientDomain: "b.example", Outcome: bounce.Delivered, Status: "sent",
		}})
	}
	r := readerOf(t, list)
	points, err := overTime(t.Context(), r, store.Filter{}, store.ByHour)
	if err != nil || len(points) != 1 {
		t.Errorf("%d points, %v; want 1", len(points), err)
	}
}
