package sqlite

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
)

// The rollups count attempts by kind and by one of: day and route, day and sender's domain, hour
// and logging host. rollup_total is the rollup by route without the day. They are written in the
// same transaction as the rows and always agree with them: rollupSQL computes a rollup from the
// rows, and "db check" compares.

// A cellPlace determines the cell of each rollup in which an attempt is counted.
type cellPlace struct {
	at     int64 // Unix time
	route  int64 // id in the table route
	sender int64 // id in the table name, of the sender's domain; 0: the sender is not known
	origin int64 // id in the table origin
	kind   int64 // see kindOf
}

// A cell holds the counts in one row of a rollup.
type cell struct {
	n        int64 // attempts
	messages int64 // whose first attempt (by route: first to the domain) is in the cell
	pairs    int64 // by outcome: recovered by an attempt in the cell, still pending after one, expired, or discarded
	nulls    int64 // attempts with the null sender
	retry    int64 // soft attempts whose reply was a 5xx
}

// cells are the counts that a transaction adds to one rollup.
type cells struct {
	places map[cellKey]int
	list   []keyedCell
}

type keyedCell struct {
	key cellKey
	cell
}

func newCells() cells { return cells{places: make(map[cellKey]int)} }

func (c *cells) add(key cellKey, n cell) {
	i, known := c.places[key]
	if !known {
		c.places[key] = len(c.list)
		c.list = append(c.list, keyedCell{key, n})
		return
	}
	x := &c.list[i]
	x.n += n.n
	x.messages += n.messages
	x.pairs += n.pairs
	x.nulls += n.nulls
	x.retry += n.retry
}

// take returns the cells sorted by key, as in the table, and clears c. The result is valid until
// the next add.
func (c *cells) take() []keyedCell {
	list := c.list
	slices.SortFunc(list, func(a, b keyedCell) int { return cmp.Compare(a.key, b.key) })
	clear(c.places)
	c.list = list[:0]
	return list
}

// rollups are the counts that a transaction adds to the rollups.
type rollups struct{ route, sender, origin, total cells }

func newRollups() rollups { return rollups{newCells(), newCells(), newCells(), newCells()} }

// count adds an attempt to the rollups. In the rollup by route, firstToDomain replaces n.messages.
func (r *rollups) count(c cellPlace, n cell, firstToDomain int64) {
	r.sender.add(newCellKey(c.at/day, c.sender, c.kind), n)
	r.origin.add(newCellKey(c.at/hour, c.origin, c.kind), n)
	n.messages = firstToDomain
	r.route.add(newCellKey(c.at/day, c.route, c.kind), n)
}

// flush adds the counts to the tables.
func (r *rollups) flush(t *tables) {
	for _, c := range r.route.take() {
		t.addCell("rollup_route", c)
		r.total.add(c.key.total(), c.cell)
	}
	for _, c := range r.sender.take() {
		t.addCell("rollup_sender", c)
	}
	for _, c := range r.origin.take() {
		t.addCell("rollup_origin", c)
	}
	for _, c := range r.total.take() {
		t.addCell("rollup_total", c)
	}
}

func (t *tables) addCell(rollup string, c keyedCell) {
	t.add(rollup, int64(c.key), c.n, c.messages, c.pairs, c.nulls, c.retry)
}

var dimensions = [...]dimension{byRoute, bySender, byOrigin}

// period returns the length of a cell's period in seconds.
func (d dimension) period() int64 {
	if d == byOrigin {
		return hour
	}
	return day
}

// rollupSQL returns SQL that computes a rollup from the rows. "db check" compares its result with
// the rollup. Pruning and reclassifying rebuild the rollup from it.
func rollupSQL(dim dimension, condition string) string {
	x := map[dimension]string{
		byRoute:  "a.route",
		bySender: "coalesce((SELECT domain FROM address WHERE id = a.sender), 0)",
		byOrigin: "r.origin",
	}[dim]
	first := flagFirst
	if dim == byRoute {
		first = flagFirstToDomain
	}
	one := func(table, pairs string) string {
		return fmt.Sprintf(`SELECT (a.at / %d << $PERIOD_SHIFT) | (%s << $DIM_SHIFT) | r.kind AS key, (a.meta & %d) / %d AS messages, %s AS pairs,
				coalesce(a.sender = (SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1), 0) AS nulls,
				r.kind >> $REASON_BITS = $SOFT AND coalesce(r.code, 0) >= 500 AS retry
			FROM %s AS a JOIN reply AS r ON r.id = a.reply WHERE %s`,
			dim.period(), x, first, first, pairs, table, condition)
	}
	return layoutSQL("SELECT key, count(*) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM (" +
		one("delivery", fmt.Sprintf("(a.meta & %d) / %d", flagRecovered, flagRecovered)) +
		" UNION ALL " +
		one("failure", "CASE r.kind >> $REASON_BITS WHEN $SOFT THEN EXISTS (SELECT 1 FROM pair WHERE id = a.id AND state = $STATE_PENDING) WHEN $HARD THEN r.kind & $REASON_MASK = $EXPIRED WHEN $HANDOFF THEN r.disposal IS '"+string(bounce.Discarded)+"' ELSE 0 END") +
		") GROUP BY key")
}

// totalSQL adds up rollup_route over all days.
var totalSQL = layoutSQL("SELECT key & $TOTAL_MASK AS key, sum(n) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM rollup_route GROUP BY 1")

// sumTotals rebuilds rollup_total.
func (t *tables) sumTotals() error {
	return t.c.Exec("DELETE FROM rollup_total; INSERT INTO rollup_total " + totalSQL)
}

// A dimension names a rollup by the values that it counts by.
type dimension string

const (
	byRoute  dimension = "route"
	bySender dimension = "sender"
	byOrigin dimension = "origin"
	byRows   dimension = ""
)

// periodsOf returns the periods of a rollup: the first one, and the one after the last.
func periodsOf(c *sqlite3.Conn, table string) (lo, hi int64, err error) {
	first, err := c.Number("SELECT coalesce(min(key), 0) FROM " + table)
	if err != nil {
		return 0, 0, err
	}
	last, err := c.Number("SELECT coalesce(max(key), 0) FROM " + table)
	return cellKey(first).period(), cellKey(last).period() + 1, err
}

// eachCell calls fn with the cells of a rollup from period lo to before hi: those with some ids,
// which it looks up one by one, or all if ids is nil.
func eachCell(c *sqlite3.Conn, table string, lo, hi int64, ids []int64, fn func(key cellKey, v []int64)) error {
	s, err := c.Prepare("SELECT columns(key, n, messages, pairs, nulls, retry) FROM (SELECT * FROM " + table + " WHERE key >= ? AND key < ? ORDER BY key LIMIT ?)")
	if err != nil {
		return err
	}
	defer s.Close()
	between := func(from, to cellKey) error {
		for {
			n, err := s.Columns(6, func(v []int64, _ driver.Value) error {
				from = cellKey(v[0])
				fn(from, v)
				return nil
			}, int64(from), int64(to), sqlite3.Batch)
			if err != nil || n < sqlite3.Batch {
				return err
			}
			from++
		}
	}
	if ids == nil {
		return between(newCellKey(lo, 0, 0), newCellKey(hi, 0, 0))
	}
	for ; lo < hi; lo++ {
		for _, id := range ids {
			if err := between(newCellKey(lo, id, 0), newCellKey(lo, id+1, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}
