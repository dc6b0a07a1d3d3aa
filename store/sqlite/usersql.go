package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

var (
	errReadOnly = errors.New("only SELECT, WITH, VALUES and EXPLAIN are allowed")
	errOne      = errors.New("more than one statement")
)

// oneQuestion returns an error unless sql is exactly one read statement. The driver silently runs
// only the first of several statements, and crashes if there is none.
func oneQuestion(sql string) error {
	if strings.IndexByte(sql, 0) >= 0 {
		return errors.New("a NUL character")
	}
	rest := skipBlank(sql)
	word := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') }); i >= 0 {
		word = rest[:i]
	}
	if !slices.Contains([]string{"SELECT", "WITH", "VALUES", "EXPLAIN"}, strings.ToUpper(word)) {
		return errReadOnly
	}
	for rest != "" {
		c := rest[0]
		switch c {
		case ';':
			if strings.Trim(skipBlank(rest), "; \t\n\f\r") != "" {
				return errOne
			}
			return nil
		case '\'', '"', '`', '[':
			if c == '[' {
				c = ']'
			}
			i := strings.IndexByte(rest[1:], c)
			if i < 0 {
				return nil // SQLite will report the error
			}
			rest = rest[i+2:]
			continue
		case '-', '/':
			if r := skipBlank(rest); len(r) < len(rest) {
				rest = r
				continue
			}
		}
		rest = rest[1:]
	}
	return nil
}

// skipBlank skips text that SQLite ignores: space, comments, empty statements and the
// byte order mark.
func skipBlank(s string) string {
	for {
		was := len(s)
		s = strings.TrimLeft(strings.TrimPrefix(s, "\uFEFF"), " \t\n\f\r;")
		if strings.HasPrefix(s, "--") {
			i := strings.IndexByte(s, '\n')
			if i < 0 {
				return ""
			}
			s = s[i+1:]
		} else if strings.HasPrefix(s, "/*") {
			i := strings.Index(s[2:], "*/")
			if i < 0 {
				return ""
			}
			s = s[i+4:]
		}
		if len(s) == was {
			return s
		}
	}
}

type queryRows struct {
	s    *sqlite3.Stmt
	r    driver.Rows
	row  []driver.Value
	file dbFile
	done func()
}

// Query runs one read-only statement on the public views.
func (d *DB) Query(ctx context.Context, sql string) (store.Rows, error) {
	if err := oneQuestion(sql); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	c, done, err := d.plainReader(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.Prepare(sql)
	if err != nil {
		done()
		return nil, d.wrap("query", err)
	}
	r := &queryRows{s: s, file: d.dbFile, done: done}
	if !s.ReadOnly() {
		return nil, errors.Join(fmt.Errorf("query: %w", errReadOnly), r.Close())
	}
	if r.r, err = s.Query(make([]any, s.Parameters())...); err != nil {
		return nil, errors.Join(d.wrap("query", err), r.Close())
	}
	r.row = make([]driver.Value, len(r.r.Columns()))
	return r, nil
}

func (r *queryRows) Columns() []string { return r.r.Columns() }

func (r *queryRows) Next() ([]any, error) {
	err := r.r.Next(r.row)
	if err != nil {
		if err != io.EOF {
			err = r.file.wrap("query", err)
		}
		return nil, err
	}
	out := make([]any, len(r.row))
	for i, v := range r.row {
		out[i] = v
		switch v := v.(type) {
		case []byte:
			out[i] = append([]byte(nil), v...)
		case bool:
			out[i] = bit(v)
		case time.Time:
			out[i] = v.Format(time.RFC3339)
		}
	}
	return out, nil
}

// Close ends the statement.
func (r *queryRows) Close() error {
	if r.done == nil {
		return nil
	}
	var err error
	if r.r != nil {
		err = r.r.Close()
	}
	err = errors.Join(err, r.s.Close())
	r.done()
	r.done = nil
	return err
}
