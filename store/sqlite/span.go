package sqlite

import (
	"context"
	"database/sql/driver"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Span is from the first to the last attempt that matches f.
func (r *reader) Span(ctx context.Context, f store.Filter) (store.Span, error) {
	c := r.take(ctx)
	defer c.Unlock()
	q, err := newQuestion(c.Conn, f)
	if err != nil || q.nothing {
		return store.Span{}, r.d.wrap("span", err)
	}
	var s ends
	dim := q.dimension()
	if dim == byRows {
		_, err = q.ends(c.Conn, &s)
	} else {
		err = r.endsByPeriod(q, c.Conn, dim, &s)
	}
	if err != nil || !s.any {
		return store.Span{}, r.d.wrap("span", err)
	}
	return store.Span{First: unix(s.lo), Last: unix(s.hi)}, nil
}

// Ends are the times of the first and the last of some attempts.
type ends struct {
	lo, hi int64
	any    bool
}

// ends notes those of the rows that match, if there are any.
func (q *question) ends(c *sqlite3.Conn, s *ends) (any bool, err error) {
	spans, err := q.spans(c)
	if err != nil {
		return false, err
	}
	note := func(v []driver.Value) error {
		if v[0] == nil {
			return nil
		}
		if !s.any {
			s.lo, s.hi, s.any = num(v[0]), num(v[1]), true
		}
		s.lo, s.hi, any = min(s.lo, num(v[0])), max(s.hi, num(v[1])), true
		return nil
	}
	delivered, failed := q.wants()
	if delivered {
		err = q.within(c, note, "SELECT min(a.at), max(a.at) FROM delivery AS a WHERE "+q.where()+" AND a.id BETWEEN ?3 AND ?4", spans)
	}
	if failed && err == nil {
		err = q.within(c, note, "SELECT min(a.at), max(a.at) FROM failure AS a WHERE "+q.where()+" AND a.id BETWEEN ?3 AND ?4", append(spans, expiries))
	}
	return any, err
}

// endsByPeriod finds the first and the last period in a rollup, and reads their
// rows.
func (r *reader) endsByPeriod(q *question, c *sqlite3.Conn, dim dimension, s *ends) error {
	by := store.ByHour
	if dim.period() == day {
		by = store.ByDay
	}
	t, err := r.newTally(c, []store.Dimension{by})
	if err != nil {
		return err
	}
	lo, hi := max(q.since, 0)/dim.period(), min(q.until, 1<<41)/dim.period()+1
	if err := q.countCells(c, t, dim, lo, hi); err != nil {
		return err
	}
	read := func(period int64) (bool, error) {
		part := *q
		part.since, part.until = max(q.since, period*dim.period()), min(q.until, (period+1)*dim.period())
		return part.ends(c, s)
	}
	periods := make(map[int64]bool, len(t.keys))
	for _, k := range t.keys {
		periods[k[0]] = true
	}
	list := sorted(periods)
	for _, n := range list {
		if any, err := read(n); err != nil || any {
			if err != nil {
				return err
			}
			break
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if any, err := read(list[i]); err != nil || any {
			return err
		}
	}
	return nil
}
