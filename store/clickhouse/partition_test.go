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

// TestPartitions checks that a query about failures reads no part with deliveries, and a query about
// deliveries none with failures.
func TestPartitions(t *testing.T) {
	d := open(t, chnode.Start(t, 1)[0], "")
	const delivered, failed = 30, 3
	b := &store.Batch{Sources: []store.Source{{ID: "log", Offset: 10_000}}}
	for i := range delivered + failed {
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(100 * i), Time: time.Unix(1772409600+int64(i), 0), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprint(i),
			Recipient: "rcpt@dest.example", RecipientDomain: "dest.example", Outcome: bounce.Delivered, Status: "sent",
		}}
		if i < failed {
			a.Outcome, a.Status, a.Code, a.Response = bounce.Hard, "bounced", 550, "no"
			a.Verdict = bounce.Verdict{Reason: bounce.UserUnknown, Rule: "user-unknown"}
		}
		b.Attempts = append(b.Attempts, a)
	}
	storetest.Append(t, d, b)
	x, err := d.Read(t.Context())
	must(t, err)
	defer x.Close()
	r := x.(*reader)
	for _, c := range []struct {
		f    store.Filter
		want uint64
	}{
		{store.Filter{}, delivered + failed},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}, delivered},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}}, failed},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered, bounce.Hard}}, delivered + failed},
		{store.Filter{Reasons: []bounce.Reason{bounce.UserUnknown}}, failed},
		{store.Filter{Reasons: []bounce.Reason{bounce.UserUnknown, bounce.NoReason}}, delivered + failed},
	} {
		var read uint64
		must(t, d.scan(t.Context(), "SELECT rows FROM (EXPLAIN ESTIMATE SELECT sum(at)"+r.from(append(conditions(&c.f), isAttempt))+")", func(scan func(to ...any) error) error {
			var rows uint64
			err := scan(&rows)
			if rows >= failed { // the other rows are those of the table of positions
				read += rows
			}
			return err
		}))
		if read != c.want {
			t.Errorf("%v %v: a query reads %d rows, want %d", c.f.Outcomes, c.f.Reasons, read, c.want)
		}
	}
}
