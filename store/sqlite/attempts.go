package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A cut is the part of the selected rows that a page needs.
type cut struct {
	limit  int // 0: all
	newest bool
	after  *record // only id, at and line are set; nil: from the start
}

// sql returns the condition that a row comes after p.after.
func (p *cut) sql(key string) string {
	if p.after == nil {
		return ""
	}
	than := ">"
	if p.newest {
		than = "<"
	}
	a := p.after
	return fmt.Sprintf(" AND (a.at %[1]s %[2]d OR a.at = %[2]d AND (%[3]s %[1]s %[4]d OR %[3]s = %[4]d AND a.id %[1]s %[5]d))", than, a.at, key, a.key(), a.id)
}

// order returns the ORDER BY and LIMIT of a statement.
func (p *cut) order(table, key string) string {
	down := ""
	if p.newest {
		down = " DESC"
	}
	s := fmt.Sprintf(" ORDER BY %[1]s.at%[3]s, %[2]s%[3]s, %[1]s.id%[3]s", table, key, down)
	if p.limit > 0 {
		s += fmt.Sprintf(" LIMIT %d", p.limit)
	}
	return s
}

// sort sorts rows in the order of the page.
func (p *cut) sort(rows []record) {
	slices.SortFunc(rows, func(a, b record) int {
		if p.newest {
			return compareRecords(&b, &a)
		}
		return compareRecords(&a, &b)
	})
}

// A rowPlace is the position of an attempt in its table.
type rowPlace struct{ id, line int64 } // line 0: the id tells the line

// placeOf returns the place of an attempt. sources caches the ids of sources.
func placeOf(c *sqlite3.Conn, ref store.Ref, sources map[string]int64) (p rowPlace, known bool, err error) {
	source, known := sources[ref.Source]
	if !known {
		if source, err = c.Number("SELECT id FROM source WHERE name = ?", ref.Source); err != nil {
			return p, false, err
		}
		sources[ref.Source] = source
	}
	if source == 0 || ref.Offset < 0 || ref.Offset > maxOffset {
		return p, false, nil
	}
	at := newAttemptID(source, ref.Offset)
	if ref.N == 0 {
		return rowPlace{id: int64(at)}, true, nil
	}
	// An expired pair may have begun in an earlier log.
	id, err := c.Number(layoutSQL("SELECT f.id FROM source AS s CROSS JOIN failure AS f ON f.id = (s.id << $OFFSET_BITS | ?1) + ?2 WHERE f.line = ?3 ORDER BY 1 DESC LIMIT 1"),
		ref.N-1, expiries.lo, int64(at))
	return rowPlace{id, int64(at)}, id != 0, err
}

// records yields the matching rows, sorted by time.
func (r *reader) records(q *query, c *sqlite3.Conn, p cut, yield func(*record) error) error {
	if q.nothing {
		return nil
	}
	if err := q.findSenders(c); err != nil {
		return err
	}
	delivered, failed := q.wants()
	where := q.where()
	const none, failureKey, each = ", NULL AS text, NULL AS message, NULL AS line, NULL AS client", "coalesce(a.line, a.id)", " AND a.id BETWEEN ?3 AND ?4"
	fromDelivery := func(within string) string {
		return "SELECT " + deliveryColumns + none + " FROM delivery AS a WHERE " + where + p.sql("a.id") + within
	}
	fromFailure := func(within string) string {
		return "SELECT " + failureColumns + " FROM failure AS a WHERE " + where + p.sql(failureKey) + within
	}
	// failures selects the rows of failure whose ids are within, sorted. If there are no deliveries
	// it reads their texts too, after sorting, since there may be twenty times as many rows as the
	// page needs.
	failures := func(within string) string {
		order := p.order("a", failureKey)
		if delivered {
			return fromFailure(within) + order
		}
		if p.limit <= 0 {
			order += " LIMIT -1" // without a limit SQLite drops the order
		}
		return "SELECT " + failureColumns + wordColumns + " FROM (SELECT a.id FROM failure AS a WHERE " + where + p.sql(failureKey) + within + order +
			") AS w CROSS JOIN failure AS a ON a.id = w.id" + wordTables
	}
	if !q.selective() {
		var selects []selection
		if delivered {
			selects = append(selects, selection{sql: fromDelivery(each) + p.order("a", "a.id"), delivered: true})
		}
		if failed {
			selects = append(selects, selection{sql: failures(each)})
		}
		if done, err := r.inPieces(q, c, &p, selects, yield); done || err != nil {
			return err
		}
	}
	inDeliveries, inFailures, err := q.spans(c)
	if err != nil {
		return err
	}
	if !q.selective() {
		// SQLite sorts the rows, and uses a file if they do not fit in memory.
		one := func(v []driver.Value) error {
			var r record
			r.scan(v)
			return yield(&r)
		}
		switch {
		case delivered && failed:
			return q.once(c, one, "SELECT * FROM ("+fromDelivery(inSpans(inDeliveries))+" UNION ALL "+fromFailure(inSpans(inFailures))+") AS b"+p.order("b", "coalesce(b.line, b.id)"), q.since, q.until)
		case delivered:
			return q.once(c, one, fromDelivery(inSpans(inDeliveries))+p.order("a", "a.id"), q.since, q.until)
		}
		return q.once(c, one, failures(inSpans(inFailures)), q.since, q.until)
	}
	var all []record
	one := func(v []driver.Value) error {
		var r record
		r.scan(v)
		all = append(all, r)
		return nil
	}
	if delivered {
		if err := q.within(c, one, fromDelivery(each), inDeliveries); err != nil {
			return err
		}
	}
	if failed {
		if err := q.within(c, one, failures(each), inFailures); err != nil {
			return err
		}
	}
	p.sort(all)
	if p.limit > 0 {
		all = all[:min(len(all), p.limit)]
	}
	for i := range all {
		if err := yield(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// heldAtMost is how many rows are sorted in memory here, at a third of a kilobyte each.
var heldAtMost = 50_000 // a variable for tests

// inPieces yields the rows that some statements select, sorted by time, one piece at a time. It
// yields a row as soon as no later piece can hold an earlier one, since most callers want one page
// or stop early: the first deliveries of each of ten accounts among 9.6 million attempts take 0.9
// s, and 9 s if SQLite sorts everything. If it would have to hold too many rows, as for a log that
// is not in order, it returns done = false, and p is the rest.
func (r *reader) inPieces(q *query, c *sqlite3.Conn, p *cut, selects []selection, yield func(*record) error) (done bool, err error) {
	all, err := q.inTime(c, p.newest)
	if err != nil {
		return false, err
	}
	for i := range selects {
		x := &selects[i]
		if x.stmt, err = c.Prepare(x.sql); err != nil {
			return false, err
		}
		defer x.stmt.Close()
		x.times = q.times(x.delivered)
	}
	var rows []record
	one := func(v []driver.Value) error {
		var r record
		r.scan(v)
		rows = append(rows, r)
		return nil
	}
	left := cmp.Or(p.limit, math.MaxInt)
	// flush yields the rows that come before a piece; nil: all rows.
	flush := func(next *piece) error {
		for len(rows) > 0 && (next == nil || p.newest && rows[0].at > next.Until || !p.newest && rows[0].at < next.Since) {
			first := rows[0]
			rows = rows[1:]
			left--
			if p.after = &first; p.limit > 0 {
				p.limit = left
			}
			if err := yield(&first); err != nil {
				return err
			}
		}
		return nil
	}
	for _, piece := range all {
		if err := flush(piece); err != nil || left == 0 {
			return true, err
		}
		for _, x := range selects {
			if !x.reads(piece) {
				continue
			}
			if err := x.stmt.Each(one, q.since, q.until, piece.lo, piece.hi); err != nil {
				return false, err
			}
		}
		p.sort(rows)
		if rows = rows[:min(len(rows), left)]; len(rows) > heldAtMost {
			return false, nil
		}
	}
	return true, flush(nil)
}

// spansInSQL is the largest number of spans in a condition. Each source has at least one span.
// Without the condition a table is read completely for each question about an hour: the suppression
// list of one day, from 10.2 million attempts of 48 logs, was stopped after 40 s, when it had used
// 7.7 s of CPU; with the condition it takes 4.3 s.
const spansInSQL = 200

// inSpans returns the condition that the id of a row is in one of the spans. If there are too many
// spans it is empty.
func inSpans(spans []span) string {
	if len(spans) > spansInSQL {
		return ""
	}
	var within []string
	for _, s := range spans {
		within = append(within, fmt.Sprintf("a.id BETWEEN %d AND %d", s.lo, s.hi))
	}
	return " AND (" + strings.Join(within, " OR ") + ")"
}

// Attempts yields single attempts, sorted by time.
func (r *reader) Attempts(ctx context.Context, f store.Filter, p store.Page) iter.Seq2[*store.Attempt, error] {
	return func(yield func(*store.Attempt, error) bool) {
		err := r.attempts(ctx, f, p, yield)
		if err != nil && err != errEnough {
			yield(nil, r.wrap("read attempts", err))
		}
	}
}

func (r *reader) attempts(ctx context.Context, f store.Filter, p store.Page, yield func(*store.Attempt, error) bool) error {
	c := r.take(ctx)
	defer c.Unlock()
	part := cut{limit: p.Limit, newest: p.Newest}
	if p.After != (store.Ref{}) {
		at, _, err := placeOf(c.Conn, p.After, make(map[string]int64))
		if err != nil {
			return err
		}
		part.after = &record{at: p.After.Time, id: at.id, line: at.line}
	}
	q, err := r.counting.query(c.Conn, f)
	if err != nil {
		return err
	}
	if part.after != nil && part.newest {
		q.until = min(q.until, part.after.at+1)
	} else if part.after != nil {
		q.since = max(q.since, part.after.at)
	}
	var x store.Attempt
	if p.Times && p.Limit == 1 && part.after == nil && !q.selective() && !q.nothing {
		// A suppression list asks this 2,000 times; to read one row as text takes as long as to find
		// its time among those of a chunk.
		var s ends
		any, err := q.end(c.Conn, p.Newest, &s)
		if err != nil || !any {
			return err
		}
		if x.Time = unix(s.lo); p.Newest {
			x.Time = unix(s.hi)
		}
		c.pause(func() bool { return yield(&x, nil) })
		return nil
	}
	t := newTexts(c.Conn)
	return r.records(q, c.Conn, part, func(row *record) error {
		if err := t.fill(row, &x); err != nil {
			return err
		}
		if q.message != 0 { // the text of a delivery need not be stored
			x.MessageID = store.Clean(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"), store.MaxName)
		}
		if !c.pause(func() bool { return yield(&x, nil) }) {
			return errEnough
		}
		return nil
	})
}

// Lookup finds the attempts that refs name.
func (r *reader) Lookup(ctx context.Context, refs ...store.Ref) ([]*store.Attempt, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	c := r.take(ctx)
	defer c.Unlock()
	list, err := lookup(c.Conn, refs)
	return list, r.wrap("look up attempts", err)
}

const (
	selectFailure  = "SELECT " + failureColumns + " FROM failure AS a WHERE a.id = ?"
	lookupFailure  = "SELECT " + failureColumns + wordColumns + " FROM json_each(?) AS w CROSS JOIN failure AS a ON a.id = w.value" + wordTables
	lookupDelivery = "SELECT " + deliveryColumns + " FROM json_each(?) AS w CROSS JOIN delivery AS a ON a.id = w.value"
)

func lookup(c *sqlite3.Conn, refs []store.Ref) ([]*store.Attempt, error) {
	found := make(map[rowPlace]*store.Attempt, len(refs))
	places := make([]rowPlace, len(refs))
	var ids []int64
	sources := make(map[string]int64)
	for i, ref := range refs {
		p, known, err := placeOf(c, ref, sources)
		if err != nil {
			return nil, err
		}
		if places[i] = p; known {
			ids = append(ids, p.id)
		}
	}
	slices.Sort(ids)
	t := newTexts(c)
	for _, sql := range [...]string{lookupFailure, lookupDelivery} {
		var rows []record
		err := inBatches(slices.Values(ids), func(wanted string) error {
			return c.Each(func(v []driver.Value) error {
				var row record
				row.scan(v)
				rows = append(rows, row)
				return nil
			}, sql, wanted)
		})
		if err != nil {
			return nil, err
		}
		for i := range rows {
			x := new(store.Attempt)
			if err := t.fill(&rows[i], x); err != nil {
				return nil, err
			}
			found[rowPlace{rows[i].id, rows[i].line}] = x
		}
		if len(found) == len(ids) {
			break
		}
	}
	list := make([]*store.Attempt, len(refs))
	for i := range refs {
		list[i] = found[places[i]]
	}
	return list, nil
}
