package sqlite

import (
	"database/sql/driver"
	"strings"
	"sync"
)

// A queue runs the statements of the connection that writes in a goroutine of
// its own, in their order, while more rows are made ready. Whoever uses the
// connection in another way waits first until all have run (conn.settle).
type queue struct {
	jobs    chan job
	waiting sync.WaitGroup // jobs that have not run
	mu      sync.Mutex
	err     error // of the first that failed; what followed was left out
}

// A job is some rows for one statement.
type job struct {
	b    *bulk
	args []driver.NamedValue
	n    int // rows
}

// queued bounds the jobs that wait: some thousand rows.
const queued = 64

func newQueue() *queue {
	q := &queue{jobs: make(chan job, queued)}
	go func() {
		for j := range q.jobs {
			if q.failed() == nil {
				if err := j.run(); err != nil {
					q.mu.Lock()
					q.err = err
					q.mu.Unlock()
				}
			}
			select {
			case j.b.spare <- j.args:
			default:
			}
			q.waiting.Done()
		}
	}()
	return q
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

func (j job) run() error {
	b := j.b
	if b.many != nil && j.n == bulkRows {
		return b.many.exec(j.args)
	}
	for i := range j.n {
		for k := range b.columns {
			b.one.args[k].Value = j.args[i*b.columns+k].Value
		}
		if err := b.one.exec(b.one.args); err != nil {
			return err
		}
	}
	return nil
}

// A bulk collects rows for one statement and runs it with many at a time.
type bulk struct {
	q         *queue
	many, one *stmt // many is nil where a statement takes one row
	columns   int
	args      []driver.NamedValue // of the rows that are waiting
	n         int                 // how many these are
	spare     chan []driver.NamedValue
}

const bulkRows = 64

// newBulk makes a bulk that runs sql, a statement with one parameter a column.
func newBulk(c *conn, q *queue, sql string) (*bulk, error) {
	one, err := c.stmt(sql)
	if err != nil {
		return nil, err
	}
	b := &bulk{q: q, one: one, columns: len(one.args), spare: make(chan []driver.NamedValue, queued)}
	b.renew()
	return b, nil
}

// newInsert makes a bulk that adds rows to a table. Nothing of it can fail for
// one row only, so SQLite need not be ready to take back a part.
func newInsert(c *conn, q *queue, table string, columns int) (*bulk, error) {
	insert, row := "INSERT OR FAIL INTO "+table+" VALUES ", "(?"+strings.Repeat(",?", columns-1)+")"
	b, err := newBulk(c, q, insert+row)
	if err == nil {
		b.many, err = c.stmt(insert + row + strings.Repeat(","+row, bulkRows-1))
	}
	return b, err
}

func (b *bulk) renew() {
	select {
	case b.args = <-b.spare:
	default:
		b.args = make([]driver.NamedValue, bulkRows*b.columns)
		for i := range b.args {
			b.args[i].Ordinal = i + 1
		}
	}
	b.n = 0
}

// next returns the values of the next row, to be filled in.
func (b *bulk) next() []driver.NamedValue {
	i := b.n * b.columns
	b.n++
	return b.args[i : i+b.columns]
}

// add adds a row. The values are int64, string, []byte or nil.
func (b *bulk) add(values ...any) {
	row := b.next()
	for i, v := range values {
		row[i].Value = v
	}
	b.flushFull()
}

func (b *bulk) flushFull() {
	if b.n == bulkRows {
		b.flush()
	}
}

// flush hands over the rows that are waiting.
func (b *bulk) flush() {
	if b.n == 0 {
		return
	}
	b.q.waiting.Add(1)
	b.q.jobs <- job{b, b.args, b.n}
	b.renew()
}
