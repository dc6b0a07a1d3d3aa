package sqlite

import (
	"context"
	"database/sql/driver"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Queue lists the recipients of messages that are still queued.
func (r *reader) Queue(ctx context.Context, f store.Filter, limit int) ([]store.Queued, error) {
	c := r.take(ctx)
	defer c.Unlock()
	list, err := r.queued(c.Conn, f, limit)
	return list, r.wrap("list the queue", err)
}

func (r *reader) queued(c *sqlite3.Conn, f store.Filter, limit int) ([]store.Queued, error) {
	q, err := r.counting.query(c, f)
	if err != nil || q.nothing {
		return nil, err
	}
	if limit <= 0 {
		limit = -1
	}
	before := int64(forever)
	if !f.QueuedBefore.IsZero() {
		before = ceilSecond(f.QueuedBefore)
	}
	type found struct {
		record
		arrived, first int64
	}
	var list []found
	// Sorting before the join reads few rows of failure for a short list. Pairs without an arrival
	// time come last.
	err = q.once(c, func(v []driver.Value) error {
		x := found{arrived: num(v[recordWidth]), first: num(v[recordWidth+1])}
		x.scan(v[:recordWidth])
		list = append(list, x)
		return nil
	}, "SELECT "+failureColumns+`, w.arrived, f.at
		FROM (SELECT pair, last, arrived FROM pending ORDER BY arrived IS NULL, arrived, pair LIMIT -1) AS w
		CROSS JOIN failure AS f ON f.id = w.pair CROSS JOIN failure AS a ON a.id = w.last
		WHERE f.at < ?3 AND `+q.where()+" LIMIT ?4", q.since, q.until, before, int64(limit))
	if err != nil {
		return nil, err
	}
	t := newTexts(c)
	out := make([]store.Queued, len(list))
	for i := range list {
		x := &out[i]
		if err := t.fill(&list[i].record, &x.Attempt); err != nil {
			return nil, err
		}
		x.FirstSoft = unix(list[i].first)
		if list[i].arrived != 0 {
			x.Arrived = unix(list[i].arrived)
		}
	}
	return out, nil
}
