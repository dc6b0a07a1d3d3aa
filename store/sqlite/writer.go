package sqlite

import (
	"errors"
	"math"
	"strings"

	"bouncelog/internal/sqlite3"
)

// And in number: a log may be full of invented ones.
const (
	maxPrograms = 2000 // that skipped lines are counted by, "(others)" included
	maxUnparsed = 1000 // lines that were not understood
)

// Sizes of the caches: together they stay below 64 MiB.
const (
	maxAddresses = 1 << 19 * 3 / 4
	maxNames     = 1 << 17 * 3 / 4
	maxRoutes    = 1 << 18 * 3 / 4
	maxReplies   = 1 << 16 * 3 / 4
	maxTexts     = 1 << 14 * 3 / 4
	maxMessages  = 1 << 14 * 3 / 4
	seenWindow   = 1 << 17
)

// A writer is the write side of a database: the connection that writes, and what is
// remembered of what it has written, so that an attempt asks the database nothing as a
// rule. One goroutine at a time uses it: the one that holds DB.write. (The queue's
// goroutine has its own part: see sqlite3.Queue.)
//
// A transaction that fails is rolled back, and reset then makes all of this anew from the
// database, but for the first group and the bulks.
type writer struct {
	d      *DB
	c      *sqlite3.Conn  // use it by way of reading, where tables are read
	q      *sqlite3.Queue // of c
	secret                // the keys of hashes and pseudonyms: never change

	open   bool  // a transaction is open, which the next batch belongs to
	broken error // of a temporary database, which has no journal: why nothing more can be stored

	prepared []prepared // of the batch that is being appended

	insert *sqlite3.Bulk              // into delivery: bulks["delivery"]
	bulks  map[string]*sqlite3.Bulk   // what writes, by name: a table, or a table and a verb
	tables map[string][]*sqlite3.Bulk // the same by table

	// Dictionaries. Their rows are written before the rows that refer to them, or
	// together with those.
	names     dictionary[int64]   // id
	routes    dictionary[int64]   // id
	replies   dictionary[reply]   //
	addresses dictionary[address] //
	texts     dictionary[int64]   // id; 0: seen once, and not a row yet. Forgotten ones become another row
	messages  dictionary[int64]   // id of the message id. Forgotten ones become another row
	logins    dictionary[int64]   // id. Forgotten ones become another row
	origins   map[[3]string]int64 // id by host, MTA and instance
	kinds     map[int64]bool      // in the table

	// Recipients' histories: see address.go.
	newAddresses []newAddress            // not in the table yet, in the order of their ids
	firstNew     int64                   // id of newAddresses[0]
	dirty        map[uint32]dirtyHistory // by the address's id; no new ones

	// The ledger: see ledger.go.
	sources     map[string]*source        // by store.Source.ID; forgotten ones are read again
	inBatch     map[string]bool           // the sources whose position this batch holds
	seen        *window                   // messages, and messages at a domain, that were seen last
	maybeQueued *bloom                    // of messages, by queuedHash: nobody of one that is not in it is pending
	queued      map[uint64]*queuedMessage // by queuedHash; forgotten ones are read again
	deferred    map[destination]int64     // reply of the last attempt that was deferred there, and not delivered since

	// What this transaction adds to the rollups.
	routeCells, senderCells, originCells, totalCells cells
}

func newWriter(d *DB, c *sqlite3.Conn) (*writer, error) {
	const unlimited = math.MaxInt64 // the ids have 64 bits wherever they are kept
	w := &writer{
		d: d, c: c,
		names:     dictionary[int64]{table: "name", rows: "names", most: maxID, room: maxNames},
		routes:    dictionary[int64]{table: "route", rows: "routes", most: maxID, room: maxRoutes},
		replies:   dictionary[reply]{table: "reply", rows: "replies", most: maxID, room: maxReplies},
		addresses: dictionary[address]{table: "address", rows: "addresses", most: maxID, room: maxAddresses},
		texts:     dictionary[int64]{table: "text", most: unlimited, room: maxTexts},
		messages:  dictionary[int64]{table: "message_id", most: unlimited, room: maxMessages},
		logins:    dictionary[int64]{table: "login", most: unlimited, room: maxMessages},
	}
	err := w.start()
	if err != nil {
		c.Close()
		return nil, d.wrap("open", err)
	}
	d.secret = w.secret
	return w, nil
}

// start reads what the database holds, and makes the keys of a new one.
func (w *writer) start() (err error) {
	if w.q, err = sqlite3.NewQueue(w.c); err != nil {
		return err
	}
	w.makeBulks()
	if err := w.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	w.secret, err = makeSecret(w.c, w.d.opts.Pseudonymize)
	if err == nil {
		err = w.reset()
	}
	if err == nil {
		if err = w.q.Notice(); err == sqlite3.ErrChanged { // by what was read now
			err = w.c.Exec("COMMIT")
		}
	}
	if err != nil {
		w.c.Exec("ROLLBACK")
	}
	return err
}

// reset forgets everything that is not in the database.
func (w *writer) reset() error {
	for _, b := range w.bulks {
		b.Discard()
	}
	err := errors.Join(w.names.reset(w.c), w.routes.reset(w.c), w.replies.reset(w.c), w.addresses.reset(w.c),
		w.texts.reset(w.c), w.messages.reset(w.c), w.logins.reset(w.c))
	if err != nil {
		return err
	}
	w.origins = make(map[[3]string]int64)
	w.kinds = make(map[int64]bool)
	w.newAddresses, w.firstNew = w.newAddresses[:0], w.addresses.next
	w.dirty = make(map[uint32]dirtyHistory)
	w.sources = make(map[string]*source)
	w.inBatch = make(map[string]bool)
	w.seen = newWindow(seenWindow)
	w.queued = make(map[uint64]*queuedMessage)
	w.routeCells, w.senderCells, w.originCells, w.totalCells = newCells(), newCells(), newCells(), newCells()
	return errors.Join(w.loadQueued(), w.loadDeferred())
}

// makeBulks makes what writes to each table.
func (w *writer) makeBulks() {
	w.bulks = make(map[string]*sqlite3.Bulk)
	for table, columns := range insertTables {
		w.bulks[table] = w.q.NewInsert(table, columns, "")
	}
	for _, rollup := range [...]string{"rollup_route", "rollup_sender", "rollup_origin", "rollup_total"} {
		w.bulks[rollup] = w.q.NewInsert(rollup, 6, addToCell)
	}
	for name, sql := range laterSQL {
		w.bulks[name] = w.q.NewBulk(sql, strings.Count(sql, "?"))
	}
	w.insert = w.bulks["delivery"]
	w.tables = make(map[string][]*sqlite3.Bulk)
	for name, b := range w.bulks {
		table, _, _ := strings.Cut(name, " ")
		w.tables[table] = append(w.tables[table], b)
	}
}

// insertTables are the tables whose new rows are gathered, with their number of
// columns.
var insertTables = map[string]int{
	"delivery": 9, "failure": 14, "refusal": 9, "fault": 5, "delivery_message": 2, "original": 2, "pair": 3, "pending": 6, "login": 2, "text": 2,
	"name": 2, "name_key": 1, "route": 5, "route_key": 1, "reply": 20, "reply_key": 1, "message_id": 3, "address": 5, "address_key": 1,
}

// laterSQL are statements that may run in a while, as those of insertTables do.
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

// add adds a row to a table, or runs one of laterSQL, by and by.
//
// A read of a table sees only the rows that were flushed to it: whoever reads a table
// takes the connection from reading, which flushes them. Who forgets it stores a row of a
// dictionary twice, or loses sight of a pair.
func (w *writer) add(name string, values ...any) { w.bulks[name].Add(values...) }

// reading returns the connection for reads of these tables.
func (w *writer) reading(tables ...string) *sqlite3.Conn {
	for _, t := range tables {
		for _, b := range w.tables[t] {
			b.Flush()
		}
	}
	return w.c
}
