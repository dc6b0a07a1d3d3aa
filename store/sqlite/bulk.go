package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync"

	"bouncelog/store"
)

// A queue runs the statements of the connection that writes in a goroutine of
// its own, in their order, while more rows are made ready. Whoever uses the
// connection in another way waits first until all have run (conn.settle).
type queue struct {
	c       *conn
	rows    *stmt // with_rows
	version *stmt
	seen    driver.Value // PRAGMA data_version: changes when another process writes
	jobs    chan job
	spare   chan []byte
	waiting sync.WaitGroup // jobs that have not run

	checkpoints *checkpointer // nil: a temporary database
	logged      int           // bytes committed since one was started, about

	mu  sync.Mutex
	err error // of the first that failed; what followed was left out
}

// A job is a statement, with rows or without parameters.
type job struct {
	sql  string
	rows []byte
}

const (
	begin  = "BEGIN IMMEDIATE"
	commit = "COMMIT"

	queued    = 16        // bounds the jobs that wait
	jobLength = 128 << 10 // bytes of rows at which a job is handed over
)

func newQueue(c *conn) (*queue, error) {
	q := &queue{c: c, jobs: make(chan job, queued), spare: make(chan []byte, queued)}
	var err error
	if q.rows, err = c.stmt("SELECT with_rows(?, ?)"); err != nil {
		return nil, err
	}
	if q.version, err = c.stmt("PRAGMA data_version"); err != nil {
		return nil, err
	}
	go q.work()
	return q, nil
}

func (q *queue) work() {
	for j := range q.jobs {
		if q.failed() == nil {
			if err := q.do(j); err != nil {
				q.fail(err)
			}
		}
		if j.rows != nil {
			select {
			case q.spare <- j.rows[:0]:
			default:
			}
		}
		q.waiting.Done()
	}
}

func (q *queue) do(j job) error {
	if j.rows != nil {
		q.logged += len(j.rows)
		q.rows.args[0].Value, q.rows.args[1].Value = j.sql, j.rows
		return q.rows.exec(q.rows.args)
	}
	if _, err := q.c.c.ExecContext(context.Background(), j.sql, nil); err != nil {
		return err
	}
	switch j.sql {
	case begin:
		return q.notice()
	case commit:
		if q.checkpoints == nil {
			break
		}
		q.checkpoints.catchUp()
		if q.logged += commitWeight; q.logged >= checkpointAfter {
			q.logged = 0
			q.checkpoints.start()
		}
	}
	return nil
}

// notice returns store.ErrOvertaken where another process has written since it was
// last asked, an import beside the daemon: what is remembered of the dictionaries
// does not hold.
func (q *queue) notice() error {
	before := q.seen
	err := q.version.each(func(row []driver.Value) error {
		q.seen = row[0]
		return errStop
	})
	if err == nil && q.seen != before {
		err = store.ErrOvertaken
	}
	return err
}

// fail has what follows left out. The transaction ends at once: others wait for it.
func (q *queue) fail(err error) {
	if q.checkpoints != nil && !q.c.c.AutoCommit() {
		q.c.c.ExecContext(context.Background(), "ROLLBACK", nil)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

// add has a job done, in its turn.
func (q *queue) add(j job) {
	q.waiting.Add(1)
	q.jobs <- j
}

func (q *queue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// settle waits until all has run and returns the first error since it was last
// called.
func (q *queue) settle() error {
	q.waiting.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.err
	q.err = nil
	return err
}

// close ends the queue, when all has run.
func (q *queue) close() error {
	close(q.jobs)
	if q.checkpoints == nil {
		return nil
	}
	return q.checkpoints.close()
}

// A bulk collects rows for one statement and runs it with many at a time.
type bulk struct {
	q    *queue
	sql  string
	rows []byte // see with_rows
}

// newInsert makes a bulk that adds rows to a table. Nothing of it can fail for
// one row only, so SQLite need not be ready to take back a part.
func newInsert(q *queue, table string, columns int) *bulk {
	return &bulk{q: q, sql: "INSERT OR FAIL INTO " + table + " VALUES (?" + strings.Repeat(",?", columns-1) + ")"}
}

// add adds a row. The values are int64, string, []byte or nil.
func (b *bulk) add(values ...any) {
	if b.rows == nil {
		select {
		case b.rows = <-b.q.spare:
		default:
			b.rows = make([]byte, 0, jobLength+jobLength/8)
		}
	}
	for _, v := range values {
		b.rows = appendValue(b.rows, v)
	}
	if len(b.rows) >= jobLength {
		b.flush()
	}
}

// flush hands over the rows that are waiting.
func (b *bulk) flush() {
	if len(b.rows) == 0 {
		return
	}
	b.q.add(job{b.sql, b.rows})
	b.rows = nil
}
