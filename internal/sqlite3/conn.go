// Package sqlite3 is the floor under an engine that keeps much in SQLite: connections
// and statements without database/sql, which costs half of the speed; rows written many
// at a time beside the caller (Queue, Bulk); columns of integers read many rows at a time
// (Conn.Columns); checkpoints beside the writer (Checkpointer); errors by their kind.
//
// It knows nothing of what the database holds. All C of ours is in columns.go (out of SQLite)
// and bulk.go (into it).
//
//	          Conn ── Stmt                    one goroutine at a time
//	           │
//	Bulk ── Queue ── goroutine ── SQLite      rows in the order in which they were handed over
//	           │
//	      Checkpointer ── goroutine           a connection of its own
package sqlite3

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	driver3 "github.com/mattn/go-sqlite3"
)

// Version is that of SQLite.
func Version() string {
	v, _, _ := driver3.Version()
	return v
}

// A Conn is a connection. One goroutine at a time may use it. Values are those of package
// database/sql/driver: int64, float64, string, []byte, nil; arguments may be int and
// uint32 too.
type Conn struct {
	c     *driver3.SQLiteConn
	ctx   context.Context // of the statements that are run now; see Under
	prep  map[string]*Stmt
	queue *Queue // nil: none
	share bool   // the driver's connection is another Conn's
}

// A Stmt is a prepared statement. Its rows and arguments are used again by the next call.
type Stmt struct {
	c    *Conn
	s    *driver3.SQLiteStmt
	args []driver.NamedValue
	row  []driver.Value
}

// ErrStop ends Each, and other functions that call one for each row, without an error.
var ErrStop = errors.New("stop")

// Open opens a connection; dsn is a URI as the driver takes it. SQL on it may use the
// function columns (see Conn.Columns).
func Open(dsn string) (*Conn, error) { return open(dsn, true, false) }

// OpenWriter is Open for a connection that a Queue will use: SQL on it may use the function
// with_rows, which runs other SQL.
func OpenWriter(dsn string) (*Conn, error) { return open(dsn, true, true) }

// OpenPlain opens a connection for SQL of others: it has no function of ours. Columns takes
// memory without a bound.
func OpenPlain(dsn string) (*Conn, error) { return open(dsn, false, false) }

// opening is locked while a connection with its own set of functions is opened. (A connection that
// other code opens with the driver at that time may get these functions too.)
var opening sync.Mutex

func open(dsn string, columns, rows bool) (*Conn, error) {
	if err := errors.Join(installColumns(), installRows()); err != nil {
		return nil, err
	}
	opening.Lock()
	defer opening.Unlock()
	wantColumns(columns)
	wantRows(rows)
	c, err := (&driver3.SQLiteDriver{}).Open(dsn)
	wantColumns(false)
	wantRows(false)
	if err != nil {
		return nil, err
	}
	return newConn(c.(*driver3.SQLiteConn)), nil
}

// extended is the error of adding a function to each connection that will be opened.
func extended(code int) error {
	if code != 0 {
		return fmt.Errorf("cannot extend SQLite: error %d", code)
	}
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newConn(c *driver3.SQLiteConn) *Conn {
	return &Conn{c: c, ctx: context.Background(), prep: make(map[string]*Stmt)}
}

// Share returns a Conn with statements of its own on the same connection of SQLite, whose
// mutex must be on. Closing it closes the statements.
func (c *Conn) Share() (*Conn, error) {
	if err := c.Settle(); err != nil {
		return nil, err
	}
	s := newConn(c.c)
	s.share = true
	return s, nil
}

// Under has the statements run from now on end with ctx's error when ctx ends. Call the
// function that it returns when they are done.
func (c *Conn) Under(ctx context.Context) (done func()) {
	before := c.ctx
	c.ctx = ctx
	return func() { c.ctx = before }
}

// Context is that of Under.
func (c *Conn) Context() context.Context { return c.ctx }

// Settle waits until all that was handed to the connection's Queue has run, and returns
// the first error since the last call. Every other use of the connection does so first.
func (c *Conn) Settle() error {
	if c.queue == nil {
		return nil
	}
	return c.queue.settle()
}

// Close ends the connection's queue and closes it.
func (c *Conn) Close() error {
	err := c.Settle()
	if c.queue != nil {
		err = errors.Join(err, c.queue.close())
		c.queue = nil
	}
	for _, s := range c.prep {
		s.s.Close()
	}
	clear(c.prep)
	if c.share {
		return err
	}
	return errors.Join(err, c.c.Close())
}

// InTransaction reports whether a transaction is open.
func (c *Conn) InTransaction() bool { return !c.c.AutoCommit() }

// Prepare prepares a statement; close it.
func (c *Conn) Prepare(sql string) (*Stmt, error) {
	if err := c.Settle(); err != nil {
		return nil, err
	}
	return c.prepare(sql)
}

// prepare prepares a statement while the queue may run.
func (c *Conn) prepare(sql string) (*Stmt, error) {
	s, err := c.c.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, sql[:min(len(sql), 2000)])
	}
	st := &Stmt{c: c, s: s.(*driver3.SQLiteStmt), args: make([]driver.NamedValue, s.NumInput())}
	for i := range st.args {
		st.args[i].Ordinal = i + 1
	}
	return st, nil
}

// stmt prepares a statement, once.
func (c *Conn) stmt(sql string) (*Stmt, error) {
	if s := c.prep[sql]; s != nil {
		return s, c.Settle()
	}
	s, err := c.Prepare(sql)
	if err == nil {
		c.prep[sql] = s
	}
	return s, err
}

// Exec runs SQL of one or more statements, which are not kept.
func (c *Conn) Exec(sql string) error {
	if err := c.Settle(); err != nil {
		return err
	}
	return c.exec(c.ctx, sql)
}

func (c *Conn) exec(ctx context.Context, sql string) error {
	_, err := c.c.ExecContext(ctx, sql, nil)
	return err
}

// Run runs a statement that returns no row. It stays prepared.
func (c *Conn) Run(sql string, args ...any) error {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	s.bind(args)
	return s.exec(c.ctx, s.args)
}

// Each calls fn with the rows of a statement, which stays prepared. A row, and the blobs in
// it, hold until fn returns. Fn may return ErrStop.
func (c *Conn) Each(fn func(row []driver.Value) error, sql string, args ...any) error {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	return s.Each(fn, args...)
}

// Once is Each for a statement that will hardly be run again: it does not stay prepared.
func (c *Conn) Once(fn func(row []driver.Value) error, sql string, args ...any) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Each(fn, args...)
}

// One returns the first value of the first row, nil where there is none.
func (c *Conn) One(sql string, args ...any) (v driver.Value, err error) {
	err = c.Each(func(row []driver.Value) error {
		v = row[0]
		return ErrStop
	}, sql, args...)
	return v, err
}

// Number is One for integers; NULL and no row are 0.
func (c *Conn) Number(sql string, args ...any) (int64, error) {
	v, err := c.One(sql, args...)
	n, _ := v.(int64)
	return n, err
}

// Close closes the statement.
func (s *Stmt) Close() error { return s.s.Close() }

// Parameters is the number of the statement's parameters.
func (s *Stmt) Parameters() int { return len(s.args) }

// ReadOnly reports whether the statement changes nothing.
func (s *Stmt) ReadOnly() bool { return s.s.Readonly() }

// exec runs the statement with these arguments, by way of Query: it resets, binds and
// steps in one call of C, where Exec makes one for each argument.
func (s *Stmt) exec(ctx context.Context, args []driver.NamedValue) error {
	rows, err := s.s.QueryContext(ctx, args)
	if err != nil {
		return err
	}
	return rows.Close()
}

func (s *Stmt) bind(args []any) {
	if len(args) != len(s.args) {
		panic(fmt.Sprintf("sqlite3: %d arguments for %d parameters", len(args), len(s.args)))
	}
	for i, v := range args {
		switch v := v.(type) {
		case int:
			s.args[i].Value = int64(v)
		case uint32:
			s.args[i].Value = int64(v)
		default:
			s.args[i].Value = v
		}
	}
}

// Query runs the statement; close the rows.
func (s *Stmt) Query(args ...any) (driver.Rows, error) {
	s.bind(args)
	return s.s.QueryContext(s.c.ctx, s.args)
}

// Each is Conn.Each.
func (s *Stmt) Each(fn func(row []driver.Value) error, args ...any) error {
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		switch err := rows.Next(s.row); {
		case err == io.EOF:
			return rows.Close()
		case err != nil:
			return err
		}
		if err := fn(s.row); err == ErrStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Backup copies all of from into c, an empty database, in one step: between steps, a
// write would start it over.
func (c *Conn) Backup(from *Conn) error {
	b, err := c.c.Backup("main", from.c, "main")
	if err != nil {
		return err
	}
	for {
		done, err := b.Step(-1)
		if err != nil && slices.Contains([]error{ErrBusy, ErrLocked}, KindOf(err)) && from.ctx.Err() == nil {
			continue
		}
		if !done && err == nil {
			if err = from.ctx.Err(); err == nil {
				continue
			}
		}
		return errors.Join(err, b.Finish())
	}
}
