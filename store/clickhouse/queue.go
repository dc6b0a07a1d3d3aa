package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"bouncelog/store"
)

// Queue lists the recipients of pending pairs. For each pair that no row ends it takes the last
// attempt, or if none was made the last deferral; f must match that row.
func (r *reader) Queue(ctx context.Context, f store.Filter, limit int) ([]store.Queued, error) {
	const columns = messageColumns + ", recipient, pair_source, pair_offset"
	const pair = "PARTITION BY " + columns
	w := append(conditions(&f), "place = 1")
	if !f.QueuedBefore.IsZero() {
		w.add(fmt.Sprintf("first_at < %d", ceil(f.QueuedBefore)))
	}
	sql := "SELECT " + rowColumns + ", first_at, first_delay, " + rank("pair_source") + " FROM (SELECT *, row_number() OVER (" + pair + ` ORDER BY untried, precedence) AS place,
			argMax(at, precedence) OVER (` + pair + `) AS first_at, argMax(delay, precedence) OVER (` + pair + `) AS first_delay
		` + r.from(where{"outcome = 'soft'", "(" + columns + ") IN (SELECT " + columns + r.from(where{"outcome IN ('soft', 'ended')", "pair_offset >= 0"}) + " GROUP BY " + columns + " HAVING countIf(outcome = 'ended') = 0)"}) + ") WHERE " + w.String()
	type waiting struct {
		store.Queued
		rank   int64
		offset int64
	}
	var all []waiting
	var x, first row
	err := r.d.ask(ctx, "queue", sql, func(scan func(to ...any) error) error {
		var rank int64
		if err := scan(append(x.targets(), &first.At, &first.Delay, &rank)...); err != nil {
			return err
		}
		q := waiting{store.Queued{Attempt: *x.attempt(), FirstSoft: unix(first.At)}, rank, x.PairOffset}
		if at := first.attempt().Arrived(); !at.IsZero() {
			q.Arrived = at.Truncate(time.Second)
		}
		all = append(all, q)
		return nil
	})
	slices.SortFunc(all, func(a, b waiting) int {
		if a.Arrived.IsZero() != b.Arrived.IsZero() {
			return map[bool]int{true: 1, false: -1}[a.Arrived.IsZero()]
		}
		return cmp.Or(a.Arrived.Compare(b.Arrived), cmp.Compare(a.rank, b.rank), cmp.Compare(a.offset, b.offset))
	})
	list := []store.Queued{}
	for _, q := range all {
		if list = append(list, q.Queued); len(list) == limit {
			break
		}
	}
	return list, err
}
