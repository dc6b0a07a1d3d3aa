package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"bouncelog/store"
)

// A conn is a driver connection without database/sql, which costs half of the
// speed.
type conn struct {
	c     *sqlite3.SQLiteConn
	prep  map[string]*stmt
	queue *queue  // of the connection that writes; nil: none
	room  []int64 // see collect
}

// settle waits for what the queue still has to run. It comes before every other
// use of the connection.
func (c *conn) settle() error {
	if c.queue == nil {
		return nil
	}
	return c.queue.settle()
}

// A stmt is a prepared statement. Its rows and arguments are used again by the
// next call.
type stmt struct {
	s    *sqlite3.SQLiteStmt
	args []driver.NamedValue
	row  []driver.Value
}

func dial(dsn string) (*conn, error) {
	if err := install(); err != nil {
		return nil, err
	}
	c, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{c: c.(*sqlite3.SQLiteConn), prep: make(map[string]*stmt)}, nil
}

func (c *conn) close() error {
	err := c.settle()
	if c.queue != nil {
		err = errors.Join(err, c.queue.close())
		c.queue = nil
	}
	c.forget()
	return errors.Join(err, c.c.Close())
}

// forget drops the prepared statements.
func (c *conn) forget() {
	for _, s := range c.prep {
		s.s.Close()
	}
	clear(c.prep)
}

// stmt prepares a statement, once.
func (c *conn) stmt(sql string) (*stmt, error) {
	if s := c.prep[sql]; s != nil {
		return s, nil
	}
	s, err := c.prepare(sql)
	if err == nil {
		c.prep[sql] = s
	}
	return s, err
}

func (c *conn) prepare(sql string) (*stmt, error) {
	if err := c.settle(); err != nil {
		return nil, err
	}
	s, err := c.c.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, sql)
	}
	st := &stmt{s: s.(*sqlite3.SQLiteStmt)}
	st.args = make([]driver.NamedValue, s.NumInput())
	for i := range st.args {
		st.args[i].Ordinal = i + 1
	}
	return st, nil
}

// exec runs SQL of one or more statements.
func (c *conn) exec(sql string) error {
	if err := c.settle(); err != nil {
		return err
	}
	_, err := c.c.ExecContext(context.Background(), sql, nil)
	return err
}

// run runs a prepared statement that returns no row.
func (c *conn) run(sql string, args ...any) error {
	s, err := c.stmt(sql)
	if err == nil {
		err = c.settle()
	}
	if err != nil {
		return err
	}
	s.bind(args)
	return s.exec(s.args)
}

func (c *conn) each(fn func(row []driver.Value) error, sql string, args ...any) error {
	s, err := c.stmt(sql)
	if err == nil {
		err = c.settle()
	}
	if err != nil {
		return err
	}
	return s.each(fn, args...)
}

// one returns the first value of the first row, nil where there is none.
func (c *conn) one(sql string, args ...any) (v driver.Value, err error) {
	err = c.each(func(row []driver.Value) error {
		v = row[0]
		return errStop
	}, sql, args...)
	return v, err
}

// number is one for integers; NULL and no row are 0.
func (c *conn) number(sql string, args ...any) (int64, error) {
	v, err := c.one(sql, args...)
	n, _ := v.(int64)
	return n, err
}

var errStop = errors.New("stop")

// exec runs the statement with these arguments, by way of Query: it resets, binds
// and steps in one call of C, where Exec makes one for each argument.
func (s *stmt) exec(args []driver.NamedValue) error {
	rows, err := s.s.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	return rows.Close()
}

func (s *stmt) bind(args []any) {
	if len(args) != len(s.args) {
		panic(fmt.Sprintf("sqlite: %d arguments for %d parameters", len(args), len(s.args)))
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

func (s *stmt) each(fn func(row []driver.Value) error, args ...any) error {
	s.bind(args)
	rows, err := s.s.QueryContext(context.Background(), s.args)
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
		if err := fn(s.row); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// wrap says what was being done and gives errors that callers tell apart their
// names.
func (d *DB) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	var kind error
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		kind = store.ErrLocked
	case sqlite3.ErrFull:
		kind = store.ErrFull
	case sqlite3.ErrReadonly, sqlite3.ErrPerm:
		kind = fs.ErrPermission
		if err := syscall.Access(d.path, 2); errors.Is(err, syscall.EROFS) { // 2: W_OK
			kind = err
		}
	case sqlite3.ErrCorrupt:
		kind = store.ErrDamaged
	case sqlite3.ErrNotADB:
		kind = store.ErrForeign
	case sqlite3.ErrIoErr:
		// A write that comes back short is a full disk too.
		if e.SystemErrno.Is(errNoSpace) || strings.Contains(e.Error(), "disk I/O error: no space") {
			kind = store.ErrFull
		}
	}
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("%s: %s: %w", what, d.path, err)
	}
	return fmt.Errorf("%s: %s: %w (%w)", what, d.path, kind, err)
}
