package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A question is a filter in terms of the tables.
type question struct {
	store.Filter
	since, until int64 // seconds; until is exclusive

	failedOnly bool // of recipients that took no mail ever
	nothing    bool // it names what the database does not hold
	domain     int64
	senderDom  int64
	routes     map[int64]bool // nil: any
	kinds      func(kind int64) bool
	origins    map[int64]bool
	recipients []int64
	queue      any
	messages   []int64

	names   numbers // see routeNames
	counted bool    // the rows of the table delivery, see countDelivered
}

const forever = 1 << 40 // past the year 36000

func (d *DB) question(c *sqlite3.Conn, f store.Filter) (*question, error) {
	q := &question{Filter: f, until: forever, since: -forever}
	if !f.Since.IsZero() {
		q.since = ceilSecond(f.Since)
	}
	if !f.Until.IsZero() {
		q.until = ceilSecond(f.Until)
	}
	var err error
	if f.Domain != "" {
		if q.domain, err = c.Number("SELECT min(id) FROM name WHERE text = ?", lower(f.Domain)); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || q.domain == 0
	}
	if f.SenderDomain != "" {
		if q.senderDom, err = c.Number("SELECT min(id) FROM name WHERE text = ?", lower(f.SenderDomain)); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || q.senderDom == 0
	}
	set := func(sql string, args ...any) (map[int64]bool, error) {
		m := make(map[int64]bool)
		err := c.Each(func(row []driver.Value) error {
			m[row[0].(int64)] = true
			return nil
		}, sql, args...)
		q.nothing = q.nothing || len(m) == 0
		return m, err
	}
	if f.Domain != "" || f.Relay != "" {
		relay := strings.TrimPrefix(lower(f.Relay), ".")
		q.routes, err = set(`SELECT r.id FROM route AS r LEFT JOIN name AS h ON h.id = r.host
			WHERE (?1 = 0 OR r.domain = ?1) AND (?2 = '' OR lower(h.text) = ?2 OR substr(lower(h.text), -length(?2) - 1) = '.' || ?2)`, q.domain, relay)
		if err != nil {
			return nil, err
		}
	}
	if f.Host != "" || f.MTA != "" {
		if q.origins, err = set("SELECT id FROM origin WHERE ?1 IN ('', host) AND ?2 IN ('', mta)", f.Host, string(f.MTA)); err != nil {
			return nil, err
		}
	}
	q.kinds = func(kind int64) bool {
		return (len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcomeOf(kind))) &&
			(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reasonOf(kind)))
	}
	if f.Recipient != "" {
		if q.recipients, err = d.findRecipients(c, f.Recipient); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.recipients) == 0
		if !q.nothing {
			n, err := c.Number("SELECT count(*) FROM address WHERE " + in("id", q.recipients) + " AND last > 0")
			if err != nil {
				return nil, err
			}
			q.failedOnly = n == 0
		}
	}
	if f.QueueID != "" {
		q.queue = queueValue(f.QueueID)
	}
	if f.MessageID != "" {
		id := clean(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"), maxName)
		left, right := id, ""
		if i := strings.LastIndexByte(id, '@'); i >= 0 {
			left, right = id[:i], id[i+1:]
		}
		err = c.Each(func(row []driver.Value) error {
			q.messages = append(q.messages, row[0].(int64))
			return nil
		}, "SELECT m.id FROM message_id AS m LEFT JOIN name AS n ON n.id = m.right WHERE m.left = ? AND coalesce(n.text, '') = ?", packHex(left), right)
		if err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.messages) == 0
	}
	return q, nil
}

func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// narrow reports whether the question is about a few attempts.
func (q *question) narrow() bool {
	return q.Recipient != "" || q.QueueID != "" || q.MessageID != ""
}

// findRecipients finds the addresses that equal a but for case.
func (d *DB) findRecipients(c *sqlite3.Conn, a string) (ids []int64, err error) {
	secret, _, err := readSecret(c)
	if err != nil {
		return nil, err
	}
	a = clean(a, 2*maxName)
	local, domain := a, ""
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		local, domain = a[:i], lower(a[i+1:])
	}
	locals := []string{local}
	if secret.pseudonym != nil { // either the address or what stands for it
		locals = append(locals, secret.local(local))
	}
	lo, hi := dictKeys(secret.hash.add(0, domain))
	dom, err := c.Number(layoutSQL("SELECT n.id FROM name_key AS k JOIN name AS n ON n.id = k.key & $MAX_ID WHERE k.key BETWEEN ? AND ? AND n.text = ?"), int64(lo), int64(hi), domain)
	if err != nil || dom == 0 {
		return nil, err
	}
	for _, local := range locals {
		lo, hi := dictKeys(secret.folded(local, dom))
		err = c.Each(func(row []driver.Value) error {
			if strings.EqualFold(row[1].(string), local) && row[2] == dom {
				ids = append(ids, row[0].(int64))
			}
			return nil
		}, layoutSQL(`SELECT a.id, a.local, a.domain FROM address_key AS k JOIN address AS a ON a.id = k.key & $MAX_ID WHERE k.key BETWEEN ? AND ?`), int64(lo), int64(hi))
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// A span is a range of ids, both ends included.
type span struct{ lo, hi int64 }

// spans finds the runs of ids that may hold what is asked for, by the chunks' times
// and filters. What no chunk covers yet is included.
func (q *question) spans(c *sqlite3.Conn) ([]span, error) {
	if q.since == -forever && q.until == forever && len(q.recipients) == 0 && q.queue == nil {
		return []span{{0, math.MaxInt64}}, nil
	}
	type run struct {
		span
		in bool
	}
	var runs []run
	var keys [][]uint64 // one of each must be in a chunk
	if len(q.recipients) > 0 {
		var any []uint64
		for _, r := range q.recipients {
			any = append(any, recipientKey(r))
		}
		keys = append(keys, any)
	}
	if q.queue != nil {
		keys = append(keys, []uint64{queueKey(q.QueueID)})
	}
	var err error
	if keys == nil {
		err = c.Columns(3, func(v []int64) error {
			runs = append(runs, run{span{v[0], v[1]}, v[2] != 0})
			return nil
		}, "SELECT columns(id, last, since < ? AND until >= ?) FROM chunk INDEXED BY chunk_time", q.until, q.since)
	} else {
		err = c.Each(func(row []driver.Value) error {
			filter, _ := row[3].([]byte)
			in := num(row[2]) != 0
			for _, any := range keys {
				in = in && slices.ContainsFunc(any, func(key uint64) bool { return mayHold(filter, key) })
			}
			runs = append(runs, run{span{num(row[0]), num(row[1])}, in})
			return nil
		}, "SELECT id, last, since < ?1 AND until >= ?2, iif(since < ?1 AND until >= ?2, bits, NULL) FROM chunk", q.until, q.since)
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.lo, b.lo) })
	if err != nil {
		return nil, err
	}
	var spans []span
	ends := make(map[int64]int64) // of each source
	for i, r := range runs {
		source := attemptID(r.lo).source()
		ends[source] = r.hi
		if !r.in {
			continue
		}
		if i+1 < len(runs) && attemptID(runs[i+1].lo).source() == source {
			r.hi = runs[i+1].lo - 1 // no row lies between
		}
		spans = append(spans, r.span)
	}
	err = c.Each(func(row []driver.Value) error {
		num := row[0].(int64)
		rest := attemptsOf(num)
		rest.lo = max(rest.lo, ends[num]+1)
		spans = append(spans, rest)
		return nil
	}, "SELECT id FROM source")
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	// Neighbours become one.
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].hi+1 >= s.lo {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out, err
}

// A row of delivery or failure.
type record struct {
	id, at                       int64
	queue                        driver.Value
	recipient, sender, route     int64 // sender 0: not known
	reply, meta                  int64
	text                         driver.Value
	message, before, after, line int64
	client                       driver.Value
	pending                      bool  // a pair whose first soft attempt this is, still pending
	words                        words // where the row was read with them
}

// Words are the texts of a failure that hardly repeat, read along with it: one
// by one would take three times as long.
type words struct {
	ok          bool
	rcpt        addressText
	left, right driver.Value // of the message id
	text        driver.Value
	original    int64
}

const (
	wordColumns = ", rl.local, rd.text, rl.last, rl.first, ml.left, mr.text, tx.text, og.address"
	wordTables  = ` LEFT JOIN address AS rl ON rl.id = a.recipient LEFT JOIN name AS rd ON rd.id = rl.domain
		LEFT JOIN message_id AS ml ON ml.id = a.message LEFT JOIN name AS mr ON mr.id = ml.right
		LEFT JOIN text AS tx ON tx.id = iif(typeof(a.text) = 'integer', a.text, NULL) LEFT JOIN original AS og ON og.id = a.id`
)

const columns = "a.id, a.at, a.queue, a.recipient, a.sender, a.route, a.reply, a.meta"

func (r *record) scan(v []driver.Value, failed bool) {
	n := func(v driver.Value) int64 { i, _ := v.(int64); return i }
	*r = record{id: n(v[0]), at: n(v[1]), queue: v[2], recipient: n(v[3]), sender: n(v[4]), route: n(v[5]), reply: n(v[6]), meta: n(v[7])}
	if failed {
		r.text, r.message, r.before, r.after, r.line, r.pending, r.client = v[8], n(v[9]), n(v[10]), n(v[11]), n(v[12]), v[13] != nil, v[14]
	}
	if len(v) > 15 {
		r.words = words{ok: true, rcpt: makeAddress(v[15:]), left: v[19], right: v[20], text: v[21], original: n(v[22])}
	}
}

func in(column string, ids []int64) string {
	var b strings.Builder
	b.WriteString(column + " IN (")
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, id)
	}
	return b.String() + ")"
}

// wants reports which tables can hold what is asked for.
func (q *question) wants() (delivered, failed bool) {
	delivered, failed = true, true
	if len(q.Outcomes) > 0 {
		delivered = slices.Contains(q.Outcomes, bounce.Delivered)
		failed = !delivered || len(q.Outcomes) > 1
	}
	if len(q.Reasons) > 0 && !slices.Contains(q.Reasons, bounce.NoReason) {
		delivered = false
	}
	return delivered && !q.failedOnly, failed
}

// where is the condition on a row of either table.
func (q *question) where() string {
	cond := []string{"a.at >= ?1 AND a.at < ?2"}
	if q.routes != nil {
		if len(q.routes) <= 500 {
			cond = append(cond, in("a.route", sorted(q.routes)))
		} else {
			relay := strings.ReplaceAll(strings.TrimPrefix(lower(q.Relay), "."), "'", "''")
			cond = append(cond, fmt.Sprintf(`a.route IN (SELECT r.id FROM route AS r LEFT JOIN name AS h ON h.id = r.host WHERE (%[1]d = 0 OR r.domain = %[1]d)
				AND ('%[2]s' = '' OR lower(h.text) = '%[2]s' OR substr(lower(h.text), -length('%[2]s') - 1) = '.%[2]s'))`, q.domain, relay))
		}
	}
	if q.senderDom != 0 {
		cond = append(cond, fmt.Sprintf("a.sender IN (SELECT id FROM address WHERE domain = %d)", q.senderDom))
	}
	var replies []string
	if q.origins != nil {
		replies = append(replies, in("origin", sorted(q.origins)))
	}
	if len(q.Outcomes) > 0 {
		var ids []int64
		for _, o := range q.Outcomes {
			ids = append(ids, int64(o))
		}
		replies = append(replies, in(layoutSQL("kind >> $REASON_BITS"), ids))
	}
	if len(q.Reasons) > 0 {
		var ids []int64
		for _, r := range q.Reasons {
			ids = append(ids, int64(r))
		}
		replies = append(replies, in(layoutSQL("kind & $REASON_MASK"), ids))
	}
	if len(replies) > 0 {
		cond = append(cond, "a.reply IN (SELECT id FROM reply WHERE "+strings.Join(replies, " AND ")+")")
	}
	if len(q.recipients) > 0 {
		cond = append(cond, in("a.recipient", q.recipients))
	}
	switch v := q.queue.(type) {
	case int64:
		cond = append(cond, fmt.Sprintf("a.queue = %d", v))
	case string:
		cond = append(cond, "a.queue = '"+strings.ReplaceAll(v, "'", "''")+"'")
	}
	return strings.Join(cond, " AND ")
}

// records yields the rows that match, in the order of time where sort is set.
func (q *question) records(c *sqlite3.Conn, sort bool, yield func(*record) error) error {
	if q.nothing {
		return nil
	}
	delivered, failed := q.wants()
	delivered = delivered && !q.counted
	where := q.where()
	var all []record
	keep := yield
	if sort && q.narrow() {
		keep = func(r *record) error {
			all = append(all, *r)
			return nil
		}
	}
	var r record
	one := func(isFailure bool) func(v []driver.Value) error {
		return func(v []driver.Value) error {
			r.scan(v, isFailure)
			return keep(&r)
		}
	}
	fromDelivery := "SELECT " + columns + " FROM delivery AS a WHERE " + where
	if q.messages != nil {
		fromDelivery = "SELECT " + columns + " FROM delivery_message AS m JOIN delivery AS a ON a.id = m.id WHERE " + in("m.message", q.messages) + " AND " + where
	}
	more, tables, after := "", "", "NULL"
	if sort {
		after = "(SELECT min(at) FROM recovery WHERE recipient = a.recipient AND at >= a.at)"
	}
	if sort && !delivered {
		more, tables = wordColumns, wordTables
	}
	fromFailure := "SELECT " + columns + `, a.text, a.message, a.before, ` + after + `, a.line, p.id, a.client` + more + ` FROM failure AS a
		LEFT JOIN pair AS p ON p.id = a.id AND p.state = ` + fmt.Sprint(pending) + tables + ` WHERE ` + where
	if q.messages != nil {
		fromFailure += " AND " + in("a.message", q.messages)
	}
	spans, err := q.spans(c)
	if err != nil {
		return err
	}
	const each = " AND a.id BETWEEN ?3 AND ?4"
	if sort && !q.narrow() {
		// SQLite sorts, and moves to a file what does not fit in memory.
		within := ""
		if len(spans) <= 20 {
			for _, s := range spans {
				within += fmt.Sprintf("a.id BETWEEN %d AND %d OR ", s.lo, s.hi)
			}
			within = " AND (" + within + "a.id < 0)"
		}
		switch {
		case delivered && failed:
			return q.once(c, one(true), "SELECT "+columns+", NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM delivery AS a WHERE "+where+within+
				" UNION ALL "+fromFailure+within+" ORDER BY 2, 1", q.since, q.until)
		case delivered:
			return q.once(c, one(false), fromDelivery+within+" ORDER BY a.at, a.id", q.since, q.until)
		default:
			return q.once(c, one(true), fromFailure+within+" ORDER BY a.at, a.id", q.since, q.until)
		}
	}
	if delivered {
		if q.messages != nil {
			err = q.once(c, one(false), fromDelivery, q.since, q.until)
		} else {
			err = q.within(c, one(false), fromDelivery+each, spans)
		}
		if err != nil {
			return err
		}
	}
	if failed {
		if q.messages != nil {
			err = q.once(c, one(true), fromFailure, q.since, q.until)
		} else {
			err = q.within(c, one(true), fromFailure+each, append(spans, expiries))
		}
		if err != nil {
			return err
		}
	}
	if all != nil {
		slices.SortFunc(all, func(a, b record) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return compareIDs(a, b)
		})
		for i := range all {
			if err := yield(&all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareIDs(a, b record) int {
	x, y := a.id, b.id
	if a.line != 0 {
		x = a.line
	}
	if b.line != 0 {
		y = b.line
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// scanColumns is Conn.Columns for the rows of one table whose ids are in some spans, in the
// order of the spans, a batch at a time: from is the statement from "FROM" on, with
// the table as a, a condition, and two parameters of the question's times. The fewer
// columns, the faster: numbers that have room in one go together.
func (q *question) scanColumns(c *sqlite3.Conn, spans []span, columns []string, from string, fn func(v []int64) error) error {
	var inner, outer []string
	for i, column := range columns {
		inner = append(inner, fmt.Sprintf("%s AS c%d", column, i))
		outer = append(outer, fmt.Sprintf("c%d", i))
	}
	s, err := c.Prepare("SELECT columns(" + strings.Join(outer, ", ") + "), max(id) FROM (SELECT " + strings.Join(inner, ", ") + ", a.id " + from +
		" AND a.id BETWEEN ?3 AND ?4 ORDER BY a.id LIMIT ?5)")
	if err != nil {
		return err
	}
	defer s.Close()
	for _, sp := range spans {
		for lo, n := sp.lo, sqlite3.Batch; n == sqlite3.Batch; {
			n, err = s.Columns(len(columns), func(v []int64, last driver.Value) error {
				lo = num(last) + 1
				return fn(v)
			}, q.since, q.until, lo, sp.hi, sqlite3.Batch)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// batches calls fn for each run of so many ids that a dictionary may have.
func batches(c *sqlite3.Conn, table string, fn func(lo, hi int64) error) error {
	last, err := c.Number("SELECT max(id) FROM " + table)
	last = min(last, maxID) // a damaged one may hold any
	for lo := int64(0); err == nil && lo < last; lo += sqlite3.Batch {
		err = fn(lo+1, lo+sqlite3.Batch)
	}
	return err
}

// within runs a statement for each span.
func (q *question) within(c *sqlite3.Conn, fn func([]driver.Value) error, sql string, spans []span) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, sp := range spans {
		if err := s.Each(fn, q.since, q.until, sp.lo, sp.hi); err != nil {
			return err
		}
	}
	return nil
}

// once runs a statement that will hardly be asked again.
func (q *question) once(c *sqlite3.Conn, fn func([]driver.Value) error, sql string, args ...any) error {
	return c.Once(fn, sql, args...)
}

// errEnough ends a question whose caller wants no more.
var errEnough = errors.New("enough")

// Attempts yields single attempts in the order of time.
func (d *DB) Attempts(ctx context.Context, f store.Filter) iter.Seq2[store.Attempt, error] {
	return func(yield func(store.Attempt, error) bool) {
		for r, err := range d.rejections(ctx, f) {
			if !yield(r.Attempt, err) {
				return
			}
		}
	}
}

// Rejections yields the failed attempts in the order of time.
func (d *DB) Rejections(ctx context.Context, f store.Filter) iter.Seq2[store.Rejection, error] {
	var outcomes []bounce.Outcome
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		if len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, o) {
			outcomes = append(outcomes, o)
		}
	}
	if outcomes == nil {
		return func(func(store.Rejection, error) bool) {}
	}
	f.Outcomes = outcomes
	return d.rejections(ctx, f)
}

func (d *DB) rejections(ctx context.Context, f store.Filter) iter.Seq2[store.Rejection, error] {
	return func(yield func(store.Rejection, error) bool) {
		c, done, err := d.reader(ctx)
		if err != nil {
			yield(store.Rejection{}, err)
			return
		}
		defer done()
		q, err := d.question(c, f)
		if err == nil {
			t := newTexts(c)
			err = q.records(c, true, func(r *record) error {
				var x store.Rejection
				if err := t.fill(r, &x); err != nil {
					return err
				}
				if !yield(x, nil) {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && err != errEnough {
			yield(store.Rejection{}, d.wrap("read attempts", err))
		}
	}
}
