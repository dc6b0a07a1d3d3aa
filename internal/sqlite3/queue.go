package sqlite3

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
)

// A Queue runs statements of one connection in its own goroutine, in the order in which they were
// added, while the caller prepares more rows. Any other use of the connection must first wait until
// all have run (Conn.Settle).
//
// If a statement fails, its transaction is rolled back at once, since other writers wait for its end,
// and later statements are dropped until Settle has returned the error. (A database
// without a journal cannot roll back: see Checkpoint.)
type Queue struct {
	c       *Conn
	version *Stmt
	seen    driver.Value // PRAGMA data_version: changes when another connection commits
	writes  chan write
	rows    *Stmt          // with_rows
	spare   chan []byte    // buffers to be used again
	pending sync.WaitGroup // writes that have not run

	checkpoints *Checkpointer // nil: none
	patience    int64         // PRAGMA busy_timeout, where there are checkpoints
	logged      int           // bytes committed since a checkpoint was started, about

	mu  sync.Mutex
	err error // of the first write that failed since Settle
}

// A write is a statement, with rows of parameters or without.
type write struct {
	sql  string
	rows []byte // nil: none; see with_rows
}

const (
	begin  = "BEGIN IMMEDIATE"
	commit = "COMMIT"

	// writesAhead is how many writes may wait.
	writesAhead = 16
	// writeSize is at how many bytes rows are handed over.
	writeSize = 128 << 10
)

// ErrChanged says that another connection has committed since the last Begin or Noticed.
var ErrChanged = errors.New("another connection has written")

// NewQueue starts the queue of a connection of OpenWriter. Conn.Close ends it.
func NewQueue(c *Conn) (*Queue, error) {
	q := &Queue{c: c, writes: make(chan write, writesAhead), spare: make(chan []byte, writesAhead)}
	var err error
	if q.rows, err = c.Prepare("SELECT with_rows(?, ?)"); err != nil {
		return nil, err
	}
	if q.version, err = c.Prepare("PRAGMA data_version"); err != nil {
		return nil, err
	}
	c.queue = q
	go q.work()
	return q, nil
}

// Checkpoint makes k checkpoint the log as it grows. From then on a failed transaction is rolled back.
func (q *Queue) Checkpoint(k *Checkpointer) (err error) {
	q.checkpoints = k
	q.patience, err = q.c.Number("PRAGMA busy_timeout")
	return err
}

// Begin adds the beginning of a transaction that writes. The next Settle returns ErrChanged if another
// connection has committed since the previous transaction.
func (q *Queue) Begin() { q.add(write{sql: begin}) }

// Commit adds the commit of the transaction.
func (q *Queue) Commit() { q.add(write{sql: commit}) }

// Failed returns the error of the statements that have run, which Settle will return.
func (q *Queue) Failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Notice returns ErrChanged if another connection has committed since the last call of Notice or Begin.
func (q *Queue) Notice() error {
	if err := q.settle(); err != nil {
		return err
	}
	return q.notice()
}

func (q *Queue) work() {
	for w := range q.writes {
		if q.Failed() == nil {
			if err := q.run(&w); err != nil {
				q.fail(err)
			}
		}
		if w.rows != nil {
			select {
			case q.spare <- w.rows[:0]:
			default:
			}
		}
		q.pending.Done()
	}
}

func (q *Queue) run(w *write) error {
	if w.rows != nil {
		q.logged += len(w.rows)
		q.rows.args[0].Value, q.rows.args[1].Value = w.sql, w.rows
		return q.rows.exec(context.Background(), q.rows.args)
	}
	if err := q.c.exec(context.Background(), w.sql); err != nil {
		return err
	}
	switch w.sql {
	case begin:
		return q.notice()
	case commit:
		if q.checkpoints == nil {
			break
		}
		q.catchUp()
		if q.logged += commitWeight; q.logged >= checkpointAfter {
			q.logged = 0
			q.checkpoints.start()
		}
	}
	return nil
}

func (q *Queue) notice() error {
	before := q.seen
	err := q.version.Each(func(row []driver.Value) error {
		q.seen = row[0]
		return ErrStop
	})
	if err == nil && q.seen != before {
		err = ErrChanged
	}
	return err
}

func (q *Queue) fail(err error) {
	if q.checkpoints != nil && q.c.InTransaction() {
		q.c.exec(context.Background(), "ROLLBACK")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

func (q *Queue) add(w write) {
	q.pending.Add(1)
	q.writes <- w
}

func (q *Queue) settle() error {
	q.pending.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.err
	q.err = nil
	return err
}

func (q *Queue) close() error {
	close(q.writes)
	err := errors.Join(q.version.Close(), q.rows.Close())
	if q.checkpoints == nil {
		return err
	}
	return errors.Join(err, q.checkpoints.close())
}
