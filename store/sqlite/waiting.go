package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"bouncelog/store"
)

// selectFailure reads a failure as record.scan wants it.
const selectFailure = "SELECT " + columns + ", a.text, a.message, a.before, NULL, a.line, NULL, a.client FROM failure AS a"

// Waiting lists the recipients of messages that are still queued.
func (d *DB) Waiting(ctx context.Context, f store.Filter, n int) ([]store.Waiting, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, d.wrap("list what waits", err)
	}
	if n <= 0 {
		n = -1
	}
	type found struct {
		record
		arrived, first int64
	}
	var list []found
	// Sorted first, so that a short list needs few rows of failure. Who says
	// not when it arrived comes last.
	err = q.once(c, func(v []driver.Value) error {
		var x found
		x.scan(v[:15], true)
		x.arrived, x.first = num(v[15]), num(v[16])
		list = append(list, x)
		return ctx.Err()
	}, "SELECT "+columns+`, a.text, a.message, a.before, NULL, a.line, NULL, a.client, w.arrived, f.at
		FROM (SELECT pair, last, arrived FROM pending ORDER BY arrived IS NULL, arrived, pair LIMIT -1) AS w
		CROSS JOIN failure AS f ON f.id = w.pair CROSS JOIN failure AS a ON a.id = w.last
		WHERE f.at < ?3 AND `+q.where()+" LIMIT ?4", int64(-forever), int64(forever), q.until, int64(n))
	if err != nil {
		return nil, d.wrap("list what waits", err)
	}
	t := newTexts(c)
	out := make([]store.Waiting, len(list))
	for i := range list {
		var x store.Rejection
		if err := t.fill(&list[i].record, &x); err != nil {
			return nil, d.wrap("list what waits", err)
		}
		out[i] = store.Waiting{Attempt: x.Attempt, FirstSoft: time.Unix(list[i].first, 0).UTC()}
		if list[i].arrived != 0 {
			out[i].Arrived = time.Unix(list[i].arrived, 0).UTC()
		}
	}
	return out, nil
}
