package sqlite

import (
	"strings"

	"bouncelog/internal/sqlite3"
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
