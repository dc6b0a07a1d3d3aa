package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Span returns the times of the first and the last attempt that match f.
func (r *reader) Span(ctx context.Context, f store.Filter) (store.Span, error) {
	c := r.take(ctx)
	defer c.Unlock()
	q, err := r.counting.query(c.Conn, f)
	if err != nil || q.nothing {
		return store.Span{}, r.wrap("span", err)
	}
	var s ends
	if q.selective() {
		err = q.narrowEnds(c.Conn, &s)
	} else {
		err = r.ends(q, c.Conn, &s)
	}
	if err != nil || !s.any {
		return store.Span{}, r.wrap("span", err)
	}
	return store.Span{First: unix(s.lo), Last: unix(s.hi)}, nil
}

// ends are the times of the first and the last of some attempts.
type ends struct {
	lo, hi int64
	any    bool
}

// note takes the result of a statement that selects min(at), max(at).
func (s *ends) note(v []driver.Value) error {
	if v[0] == nil {
		return nil
	}
	if !s.any {
		s.lo, s.hi, s.any = num(v[0]), num(v[1]), true
	}
	s.lo, s.hi = min(s.lo, num(v[0])), max(s.hi, num(v[1]))
	return nil
}

// endsOf is the statement that selects the ends of some rows of a table.
const endsOf = "SELECT min(a.at), max(a.at) FROM %s AS a WHERE %s AND a.id BETWEEN ?3 AND ?4"

// tables returns the tables that can hold matching rows.
func (q *query) tables() (names []string) {
	delivered, failed := q.wants()
	if delivered {
		names = append(names, "delivery")
	}
	if failed {
		names = append(names, "failure")
	}
	return names
}

// narrowEnds reads all rows that may match.
func (q *query) narrowEnds(c *sqlite3.Conn, s *ends) error {
	deliveries, failures, err := q.spans(c)
	if err != nil {
		return err
	}
	for _, table := range q.tables() {
		spans := failures
		if table == "delivery" {
			spans = deliveries
		}
		if err := q.within(c, s.note, fmt.Sprintf(endsOf, table, q.where()), spans); err != nil {
			return err
		}
	}
	return nil
}

// end notes the ends of some matching rows, including the first or the last one, and reports
// whether there are any. It reads the pieces in the order of time, until no further one can hold
// the first or last row.
func (q *query) end(c *sqlite3.Conn, last bool, s *ends) (any bool, err error) {
	var tables []selection
	for _, table := range q.tables() {
		statement, err := c.Prepare(fmt.Sprintf(endsOf, table, q.where()))
		if err != nil {
			return false, err
		}
		defer statement.Close()
		tables = append(tables, selection{delivered: table == "delivery", stmt: statement})
	}
	all, err := q.inTime(c, last)
	if err != nil {
		return false, err
	}
	for i := range tables {
		tables[i].times = q.times(tables[i].delivered)
	}
	var found ends
	for _, p := range all {
		if found.any && (last && found.hi >= p.Until || !last && found.lo <= p.Since) {
			break
		}
		for _, x := range tables {
			if !x.reads(p) {
				continue
			}
			if err := x.stmt.Each(found.note, q.since, q.until, p.lo, p.hi); err != nil {
				return false, err
			}
		}
	}
	if !found.any {
		return false, nil
	}
	return true, s.note([]driver.Value{found.lo, found.hi})
}

// ends finds the first and the last period in a rollup, if one can answer, and in these periods the
// first and the last row.
func (r *reader) ends(q *query, c *sqlite3.Conn, s *ends) error {
	dim := q.dimension()
	// For all rows, and for up to an hour, no rollup is needed: the pieces tell their times.
	if dim == byRows || q.until-q.since <= hour || len(q.Outcomes) == 0 && len(q.Reasons) == 0 && q.routes == nil && q.senderDom == 0 && q.senders == nil && q.logins == nil && q.origins == nil {
		if any, err := q.end(c, false, s); err != nil || !any {
			return err
		}
		_, err := q.end(c, true, s)
		return err
	}
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
	periods := make(map[int64]bool, len(t.keys))
	for _, k := range t.keys {
		periods[k[0]] = true
	}
	list := sorted(periods)
	for _, last := range []bool{false, true} {
		for _, n := range list {
			part := *q
			part.since, part.until = max(q.since, n*dim.period()), min(q.until, (n+1)*dim.period())
			if any, err := part.end(c, last, s); err != nil {
				return err
			} else if any {
				break
			}
		}
		slices.Reverse(list)
	}
	return nil
}
