package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A writer is the write side of a database: it appends batches, and caches dictionaries, messages
// and sources. It is built in floors, each of which uses only the floors before it: tables write
// rows; dictionaries give ids to texts; the ledger keeps the state of messages; and sources are
// here. One goroutine at a time uses it: the one that holds DB.write.
//
// A failed transaction is rolled back. reset then reads everything except the tables and the secret
// again from the database.
type writer struct {
	ledger

	keepMessageIDs bool       // see Options.KeepMessageIDs
	prepared       []prepared // of the batch that is being appended

	sources map[string]*sourceState // by store.Source.ID; missing ones are read again
	inBatch map[string]bool         // sources whose position the batch holds
}

// newWriter returns the writer of a connection. In a new database it creates the keys. If it fails,
// the caller still has to close the connection.
func newWriter(c *sqlite3.Conn, pseudonymize, keepMessageIDs bool) (*writer, error) {
	t, err := newTables(c)
	if err != nil {
		return nil, err
	}
	w := &writer{ledger: ledger{dictionaries: newDictionaries(t)}, keepMessageIDs: keepMessageIDs}
	if err := w.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	w.secret, err = makeSecret(w.c, pseudonymize)
	if err == nil {
		err = w.reset()
	}
	if err == nil {
		if err = w.q.Notice(); err == sqlite3.ErrChanged { // the reads above have seen the change
			err = w.c.Exec("COMMIT")
		}
	}
	if err != nil {
		w.c.Exec("ROLLBACK")
		return nil, err
	}
	return w, nil
}

// reset clears the writer, and reads again what the database holds.
func (w *writer) reset() error {
	w.discard()
	w.sources = make(map[string]*sourceState)
	w.inBatch = make(map[string]bool)
	return w.ledger.reset()
}

var errNoPosition = errors.New("a batch holds an attempt of a source whose position it does not hold")

// A sourceState is the cached part of a row of the table source.
type sourceState struct {
	num      int64
	position int64     // as stored
	last     attemptID // highest stored
	chunk    *chunk
}

// source finds a source by store.Source.ID, and adds it if it is new. from is nil for a source that
// must be in the batch already.
func (w *writer) source(id string, from *store.Source) (*sourceState, error) {
	if from == nil && !w.inBatch[id] {
		return nil, fmt.Errorf("%w: %q", errNoPosition, id)
	}
	w.inBatch[id] = true
	if s := w.sources[id]; s != nil {
		return s, nil
	}
	name := store.Clean(id, store.MaxWord)
	var s sourceState
	err := w.reading("source").Each(func(row []driver.Value) error {
		s.num, s.position = row[0].(int64), row[1].(int64)
		return sqlite3.ErrStop
	}, "SELECT id, position FROM source WHERE name = ?", name)
	if err != nil {
		return nil, err
	}
	if s.num == 0 {
		last, err := w.c.Number("SELECT max(id) FROM source")
		if err != nil {
			return nil, err
		}
		if last >= maxSources {
			return nil, fmt.Errorf("%w: too many sources (%d)", store.ErrTooMany, last)
		}
		s.num = last + 1
		if err := w.c.Run("INSERT INTO source (id, name, path, position, state) VALUES (?, ?, '', 0, '')", s.num, name); err != nil {
			return nil, err
		}
		s.last = newAttemptID(s.num, 0) - 1
		s.chunk = new(chunk)
	} else if err := w.resume(&s); err != nil {
		return nil, err
	}
	for k := range w.sources {
		if len(w.sources) < sourcesKept {
			break
		}
		if !w.inBatch[k] { // its partial chunk is read again by resume
			delete(w.sources, k)
		}
	}
	w.sources[id] = &s
	return &s, nil
}

// flush hands all collected rows to the queue. It runs once per transaction, before the commit.
func (w *writer) flush() error {
	w.dictionaries.flush()
	w.flushQueued()
	w.addresses.flushHistories(&w.tables)
	w.rollups.flush(&w.tables)
	w.tables.flush()
	if w.maybeQueued.full() {
		return w.loadQueued()
	}
	return nil
}

// resume reads the state that a source's next rows depend on: the partial chunk, and the messages
// seen last.
func (w *writer) resume(s *sourceState) error {
	c := w.reading("delivery", "failure", "route", "chunk")
	ids := attemptsOf(s.num)
	s.last = attemptID(ids.lo) - 1
	for _, table := range [...]string{"delivery", "failure"} {
		last, err := c.Number("SELECT max(id) FROM "+table+" WHERE id BETWEEN ? AND ?", ids.lo, ids.hi)
		if err != nil {
			return err
		}
		s.last = max(s.last, attemptID(last))
	}
	done, err := c.Number("SELECT last FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1", ids.lo, ids.hi)
	if err != nil {
		return err
	}
	s.chunk = new(chunk)
	err = c.Each(func(row []driver.Value) error {
		s.chunk.add(&w.tables, row[0].(int64), row[1].(int64), row[2].(int64), queueText(row[3]), num(row[4]))
		return nil
	}, `SELECT id, at, recipient, queue, message_hash FROM delivery WHERE id BETWEEN ?1 AND ?2
		UNION ALL SELECT id, at, recipient, queue, message_hash FROM failure WHERE id BETWEEN ?1 AND ?2 ORDER BY id`, max(ids.lo, done+1), ids.hi)
	if err != nil {
		return err
	}
	return c.Each(func(row []driver.Value) error {
		sender, _ := row[2].(int64)
		w.firstSeen(w.queuedHash(queueText(row[1]), row[0].(int64)), sender, row[3].(int64))
		return nil
	}, layoutSQL(`SELECT r.origin, a.queue, a.sender, t.domain FROM (
			SELECT id, queue, sender, route, reply FROM delivery WHERE id BETWEEN ?1 AND ?2
			UNION ALL SELECT id, queue, sender, route, reply FROM failure WHERE id BETWEEN ?1 AND ?2
			ORDER BY id DESC LIMIT ?3) AS a
		JOIN reply AS r ON r.id = a.reply AND r.kind < $UNCOUNTED JOIN route AS t ON t.id = a.route`), ids.lo, ids.hi, seenWindow/4)
}

// sourcesKept is the number of sources whose partial chunk is kept in memory, at up to 150 kB each.
// For any other source, up to a whole chunk is read again.
const sourcesKept = 1024
