package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// tables collects new rows by table, and hands them to SQLite many at a time. One goroutine at a
// time uses it. (The queue's goroutine has its own part: see sqlite3.Queue.)
type tables struct {
	c *sqlite3.Conn  // use it through reading to read tables
	q *sqlite3.Queue // of c

	insert  *sqlite3.Bulk              // for delivery: bulks["delivery"]
	bulks   map[string]*sqlite3.Bulk   // by name: a table, or a table and a verb
	byTable map[string][]*sqlite3.Bulk // the same by table
}

func newTables(c *sqlite3.Conn) (t tables, err error) {
	t.c = c
	t.q, err = sqlite3.NewQueue(c)
	if err == nil {
		t.makeBulks()
	}
	return t, err
}

// makeBulks makes the bulk for each table.
func (t *tables) makeBulks() {
	t.bulks = make(map[string]*sqlite3.Bulk)
	for table, columns := range insertTables {
		t.bulks[table] = t.q.NewInsert(table, columns, "")
	}
	for _, rollup := range [...]string{"rollup_route", "rollup_sender", "rollup_origin", "rollup_total"} {
		t.bulks[rollup] = t.q.NewInsert(rollup, 6, addToCell)
	}
	for name, sql := range laterSQL {
		t.bulks[name] = t.q.NewBulk(sql, strings.Count(sql, "?"))
	}
	t.insert = t.bulks["delivery"]
	t.byTable = make(map[string][]*sqlite3.Bulk)
	for name, b := range t.bulks {
		table, _, _ := strings.Cut(name, " ")
		t.byTable[table] = append(t.byTable[table], b)
	}
}

// insertTables are the tables whose new rows are collected, with their number of columns.
var insertTables = map[string]int{
	"delivery": 9, "failure": 14, "refusal": 9, "fault": 5, "delivery_message": 2, "original": 2, "warning": 2, "pair": 3, "pending": 6, "login": 2, "text": 2,
	"name": 2, "name_key": 1, "route": 5, "route_key": 1, "reply": 20, "reply_key": 1, "message_id": 3, "address": 5, "address_key": 1,
}

// laterSQL are statements that run later, like the inserts of insertTables.
var laterSQL = map[string]string{
	"message_end":     "INSERT OR IGNORE INTO message_end VALUES (?, ?, ?, ?, ?, ?)",
	"kind":            "INSERT OR IGNORE INTO kind VALUES (?, ?, ?)",
	"chunk":           "INSERT INTO chunk VALUES (?, ?, ?, ?, ?)",
	"pair end":        "UPDATE pair SET state = ?, ended = ? WHERE id = ?",
	"pending last":    "UPDATE pending SET last = ? WHERE queue = ? AND recipient = ? AND pair = ?",
	"pending end":     "DELETE FROM pending WHERE queue = ? AND recipient = ? AND pair = ?",
	"recovery":        "INSERT OR IGNORE INTO recovery VALUES (?, ?)",
	"address history": "UPDATE address SET first = ?, last = ? WHERE id = ?",
	"failing":         "INSERT OR REPLACE INTO failing VALUES (?, ?)",
	"failing end":     "DELETE FROM failing WHERE id = ?",
	"source": `UPDATE source SET path = ?, position = ?, state = ?, first = ?, last = ?, lines = ?, delivery = ?,
		attempts = ?, repeated = ?, queue = ?, rejected = ?, skipped = ?, unparsed = ?, blank = ? WHERE id = ?`,
	"skipped": `WITH s (program, lines, most) AS (VALUES (?, ?, ?)) INSERT INTO skipped
		SELECT iif(EXISTS (SELECT 1 FROM skipped AS k WHERE k.program = s.program) OR (SELECT count(*) FROM skipped) < s.most, s.program, '(others)'), s.lines
		FROM s WHERE true ON CONFLICT DO UPDATE SET lines = lines + excluded.lines`,
	"unparsed_line":       "INSERT OR IGNORE INTO unparsed_line SELECT ?, ?, ? WHERE (SELECT count(*) FROM unparsed_line) < ?",
	"open_message opened": "INSERT OR REPLACE INTO open_message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	"open_message closed": "DELETE FROM open_message WHERE host = ? AND mta = ? AND instance = ? AND queue_id = ?",
}

// add queues a row of a table, or a run of one of laterSQL.
//
// A read of a table sees only flushed rows. A caller that reads a table therefore takes the
// connection from reading, which flushes them. Without that, a row of a dictionary is stored twice,
// or a pair is not found.
func (t *tables) add(name string, values ...any) { t.bulks[name].Add(values...) }

// reading returns the connection for reading these tables.
func (t *tables) reading(tables ...string) *sqlite3.Conn {
	for _, table := range tables {
		for _, b := range t.byTable[table] {
			b.Flush()
		}
	}
	return t.c
}

const addToCell = `ON CONFLICT DO UPDATE SET n = n + excluded.n, messages = messages + excluded.messages,
	pairs = pairs + excluded.pairs, nulls = nulls + excluded.nulls, retry = retry + excluded.retry`

// flush hands all collected rows to the queue.
func (t *tables) flush() {
	for _, b := range t.bulks {
		b.Flush()
	}
}

// discard drops all collected rows.
func (t *tables) discard() {
	for _, b := range t.bulks {
		b.Discard()
	}
}

// A narrow table repeats the columns that a report needs of the failures with some reasons. A row
// of failure is three times as wide, and most failures have other reasons.
type narrow struct {
	table   string
	columns string // of failure
	reasons []bounce.Reason
}

var narrows = [...]narrow{
	{"refusal", "id, at, queue, recipient, sender, route, reply, before, " + originalDomain, store.Suspect},
	{"fault", "id, at, recipient, reply, before", store.Faults},
}

// originalDomain is the domain of the original recipient of a failure a.
const originalDomain = "(SELECT x.domain FROM original AS o JOIN address AS x ON x.id = o.address WHERE o.id = a.id)"

// narrowOf returns the narrow table for failures of a kind; empty: none.
func narrowOf(kind int64) string {
	if o := outcomeOf(kind); o != bounce.Soft && o != bounce.Hard {
		return ""
	}
	for i := range narrows {
		if slices.Contains(narrows[i].reasons, reasonOf(kind)) {
			return narrows[i].table
		}
	}
	return ""
}

// narrowSQL selects the rows that the table must hold.
func (n *narrow) narrowSQL() string {
	var kinds []string
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		for _, r := range n.reasons {
			kinds = append(kinds, fmt.Sprint(kindOf(o, r)))
		}
	}
	return "SELECT " + n.columns + " FROM failure AS a WHERE reply IN (SELECT id FROM reply WHERE kind IN (" + strings.Join(kinds, ",") + "))"
}

// addNarrow adds a failure to its narrow table, if there is one.
func (t *tables) addNarrow(kind, id, at int64, queue any, recipient int64, sender any, route, reply int64, before, original any) {
	switch narrowOf(kind) {
	case "refusal":
		t.add("refusal", id, at, queue, recipient, sender, route, reply, before, original)
	case "fault":
		t.add("fault", id, at, recipient, reply, before)
	}
}

// fillNarrow rebuilds the narrow tables.
func (t *tables) fillNarrow() error {
	for i := range narrows {
		n := &narrows[i]
		if err := t.c.Exec("DELETE FROM " + n.table + "; INSERT INTO " + n.table + " " + n.narrowSQL()); err != nil {
			return err
		}
	}
	return nil
}

// covers reports whether all reasons asked for are in a list. It is false for an empty asked, which
// means all reasons.
func covers(list, asked []bounce.Reason) bool {
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(r bounce.Reason) bool { return !slices.Contains(list, r) })
}
