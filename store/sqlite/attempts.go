package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A record is a row of delivery or failure.
type record struct {
	id, at                   int64
	queue                    driver.Value
	recipient, sender, route int64 // sender 0: not known
	reply, meta              int64
	text                     driver.Value
	message, line            int64 // line 0: the id says it
	client                   driver.Value
	words                    words // where the row was read with them
}

// Words are the texts of a failure that hardly repeat, read along with it: one
// by one would take three times as long.
type words struct {
	ok          bool
	rcpt        addressText
	sender      addressText
	left, right driver.Value // of the message id
	text        driver.Value
	original    int64
}

const (
	wordColumns = ", rl.local, rd.text, sl.local, sd.text, ml.left, mr.text, tx.text, og.address"
	wordTables  = ` LEFT JOIN address AS rl ON rl.id = a.recipient LEFT JOIN name AS rd ON rd.id = rl.domain
		LEFT JOIN address AS sl ON sl.id = a.sender LEFT JOIN name AS sd ON sd.id = sl.domain
		LEFT JOIN message_id AS ml ON ml.id = a.message LEFT JOIN name AS mr ON mr.id = ml.right
		LEFT JOIN text AS tx ON tx.id = iif(typeof(a.text) = 'integer', a.text, NULL) LEFT JOIN original AS og ON og.id = a.id`

	deliveryColumns = "a.id, a.at, a.queue, a.recipient, a.sender, a.route, a.reply, a.meta"
	failureColumns  = deliveryColumns + ", a.text, a.message, a.line, a.client"

	recordWidth = 12 // of failureColumns
)

func (r *record) scan(v []driver.Value) {
	*r = record{id: num(v[0]), at: num(v[1]), queue: v[2], recipient: num(v[3]), sender: num(v[4]), route: num(v[5]), reply: num(v[6]), meta: num(v[7])}
	if len(v) >= recordWidth {
		r.text, r.message, r.line, r.client = v[8], num(v[9]), num(v[10]), v[11]
	}
	if v := v[min(len(v), recordWidth):]; len(v) == 8 {
		r.words = words{ok: true, rcpt: makeAddress(v), sender: makeAddress(v[2:]), left: v[4], right: v[5], text: v[6], original: num(v[7])}
	}
}

// key is the place of a row among those of its second: where its line begins, and of
// those of one line the id.
func (r *record) key() int64 {
	if r.line != 0 {
		return r.line
	}
	return r.id
}

func compareRecords(a, b *record) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key(), b.key()), cmp.Compare(a.id, b.id))
}

// A cut is which of the rows are asked for.
type cut struct {
	limit  int // 0: all
	newest bool
	after  *record // id, at and line only; nil: from the start
}

// sql is the condition that a row comes after.
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

// order is the end of a statement that sorts rows of a table.
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

// A place is where in the table an attempt is.
type place struct{ id, line int64 } // line 0: the id says it

// placeOf finds where an attempt would be; sources are remembered ids.
func placeOf(c *sqlite3.Conn, ref store.Ref, sources map[string]int64) (p place, known bool, err error) {
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
		return place{id: int64(at)}, true, nil
	}
	// The first attempt of who expired may be in a log before.
	id, err := c.Number(layoutSQL("SELECT f.id FROM source AS s CROSS JOIN failure AS f ON f.id = (s.id << $OFFSET_BITS | ?1) + ?2 WHERE f.line = ?3 ORDER BY 1 DESC LIMIT 1"),
		ref.N-1, expiries.lo, int64(at))
	return place{id, int64(at)}, id != 0, err
}

// n tells apart what one line stands for: see store.Ref.
func (r *record) n() int64 {
	if r.line == 0 {
		return 0
	}
	return nOf(attemptID(r.id))
}

// nOf is store.Ref.N of an attempt that says that a pair expired.
func nOf(id attemptID) int64 { return 1 + attemptID(int64(id)-expiries.lo).offset() }

// records yields the rows that match, in the order of time.
func (q *question) records(c *sqlite3.Conn, p cut, yield func(*record) error) error {
	if q.nothing {
		return nil
	}
	delivered, failed := q.wants()
	where := q.where()
	spans, err := q.spans(c)
	if err != nil {
		return err
	}
	more, tables, none := "", "", ", NULL AS text, NULL AS message, NULL AS line, NULL AS client"
	if !delivered {
		more, tables = wordColumns, wordTables
	}
	const failureKey = "coalesce(a.line, a.id)"
	fromDelivery := "SELECT " + deliveryColumns + none + " FROM delivery AS a WHERE " + where + p.sql("a.id")
	fromFailure := "SELECT " + failureColumns + more + " FROM failure AS a" + tables + " WHERE " + where + p.sql(failureKey)
	if !q.narrow() {
		// SQLite sorts, and moves to a file what does not fit in memory.
		within := inSpans(append(spans, expiries))
		one := func(v []driver.Value) error {
			var r record
			r.scan(v)
			return yield(&r)
		}
		switch {
		case delivered && failed:
			return q.once(c, one, "SELECT * FROM ("+fromDelivery+within+" UNION ALL "+fromFailure+within+") AS b"+p.order("b", "coalesce(b.line, b.id)"), q.since, q.until)
		case delivered:
			return q.once(c, one, fromDelivery+within+p.order("a", "a.id"), q.since, q.until)
		}
		return q.once(c, one, fromFailure+within+p.order("a", failureKey), q.since, q.until)
	}
	var all []record
	one := func(v []driver.Value) error {
		var r record
		r.scan(v)
		all = append(all, r)
		return nil
	}
	spans = append(spans, expiries)
	const each = " AND a.id BETWEEN ?3 AND ?4"
	if delivered {
		if err := q.within(c, one, fromDelivery+each, spans); err != nil {
			return err
		}
	}
	if failed {
		if err := q.within(c, one, fromFailure+each, spans); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b record) int {
		if p.newest {
			return compareRecords(&b, &a)
		}
		return compareRecords(&a, &b)
	})
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

// inSpans is the condition that a row is in one of the spans; of many, none is
// looked for.
func inSpans(spans []span) string {
	if len(spans) > 20 {
		return ""
	}
	var within []string
	for _, s := range spans {
		within = append(within, fmt.Sprintf("a.id BETWEEN %d AND %d", s.lo, s.hi))
	}
	return " AND (" + strings.Join(within, " OR ") + ")"
}

// Attempts yields single attempts in the order of time.
func (r *reader) Attempts(ctx context.Context, f store.Filter, p store.Page) iter.Seq2[*store.Attempt, error] {
	return func(yield func(*store.Attempt, error) bool) {
		err := r.attempts(ctx, f, p, yield)
		if err != nil && err != errEnough {
			yield(nil, r.d.wrap("read attempts", err))
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
	q, err := newQuestion(c.Conn, f)
	if err != nil {
		return err
	}
	if part.after != nil && part.newest {
		q.until = min(q.until, part.after.at+1)
	} else if part.after != nil {
		q.since = max(q.since, part.after.at)
	}
	t := newTexts(c.Conn)
	var x store.Attempt
	return q.records(c.Conn, part, func(row *record) error {
		if err := t.fill(row, &x); err != nil {
			return err
		}
		if q.message != 0 { // of a delivery the text need not be kept
			x.MessageID = clean(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"), maxName)
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
	return list, r.d.wrap("look up attempts", err)
}

const (
	selectFailure  = "SELECT " + failureColumns + " FROM failure AS a WHERE a.id = ?"
	lookupFailure  = "SELECT " + failureColumns + wordColumns + " FROM json_each(?) AS w CROSS JOIN failure AS a ON a.id = w.value" + wordTables
	lookupDelivery = "SELECT " + deliveryColumns + " FROM json_each(?) AS w CROSS JOIN delivery AS a ON a.id = w.value"
)

func lookup(c *sqlite3.Conn, refs []store.Ref) ([]*store.Attempt, error) {
	found := make(map[place]*store.Attempt, len(refs))
	places := make([]place, len(refs))
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
			found[place{rows[i].id, rows[i].line}] = x
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

// failureResponse is the response of a failure.
func (t *texts) failureResponse(id int64) (string, error) {
	var row record
	err := t.c.Each(func(v []driver.Value) error {
		row.scan(v)
		return sqlite3.ErrStop
	}, selectFailure, id)
	if err != nil {
		return "", err
	}
	var x store.Attempt
	err = t.fill(&row, &x)
	return x.Response, err
}

func isFailed(o bounce.Outcome) bool { return o == bounce.Soft || o == bounce.Hard }
