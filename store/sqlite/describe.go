package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// An info holds properties of the tables and of the file.
type info struct {
	size          int64 // bytes, the write-ahead log included
	pragmas       map[string]string
	pseudonymized bool

	rows, addresses, replies, queued int64 // rows: attempts, hand-offs and probes
}

// Describe returns the size, the schema and the period of the database.
func (d *DB) Describe(ctx context.Context) ([]store.Fact, error) {
	i, err := d.info(ctx)
	if err != nil {
		return nil, d.wrap("describe", err)
	}
	r, err := d.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	span, err := r.Span(ctx, store.Filter{})
	if err != nil && !errors.Is(err, store.ErrDamaged) { // the other properties can be read
		return nil, err
	}
	var all store.Cell
	cells, err := r.Count(ctx, store.Filter{})
	if err != nil {
		return nil, err
	}
	for i := range cells {
		all = cells[i]
	}
	var facts []store.Fact
	fact := func(what string, value any) { facts = append(facts, store.Fact{What: what, Value: value}) }
	fact("database", d.path)
	fact("size", fmt.Sprintf("%.1f MB", float64(i.size)/1e6))
	fact("schema", fmt.Sprintf("%s (SQLite %s)", i.pragmas["user_version"], sqlite3.Version()))
	fact("attempts", all.Attempts)
	if n := all.Handoff + all.Probe; n > 0 {
		fact("hand-offs and probes", n)
	}
	fact("bytes per attempt", fmt.Sprintf("%.1f", float64(i.size)/float64(max(i.rows, 1))))
	if !span.IsZero() {
		fact("from", span.First)
		fact("to", span.Last)
	}
	fact("addresses", i.addresses)
	fact("distinct replies", i.replies)
	fact("recipients waiting", i.queued)
	if i.pseudonymized {
		fact("addresses are", "pseudonyms")
	}
	return facts, nil
}

// Pseudonymized reports whether local parts are stored as pseudonyms.
func (d *DB) Pseudonymized() bool { return d.pseudonymized }

func (d *DB) info(ctx context.Context) (*info, error) {
	c, done, err := d.readConn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	i := &info{pragmas: make(map[string]string)}
	for _, suffix := range [...]string{"", "-wal"} {
		if st, err := os.Stat(d.path + suffix); err == nil {
			i.size += st.Size()
		}
	}
	for _, name := range [...]string{"application_id", "auto_vacuum", "busy_timeout", "encoding", "foreign_keys", "freelist_count", "journal_mode", "page_count", "page_size", "synchronous", "user_version"} {
		v, err := c.One("PRAGMA " + name)
		if err != nil {
			return nil, err
		}
		i.pragmas[name] = fmt.Sprint(v)
	}
	pseudonym := int64(0)
	for _, q := range [...]struct {
		to  *int64
		sql string
	}{
		{&i.rows, "SELECT sum(n) FROM rollup_origin"},
		{&i.addresses, "SELECT count(*) FROM address"},
		{&i.replies, "SELECT count(*) FROM reply"},
		{&i.queued, "SELECT count(*) FROM pending"},
		{&pseudonym, "SELECT count(*) FROM meta WHERE key = 'pseudonym_key'"},
	} {
		if *q.to, err = c.Number(q.sql); err != nil {
			return nil, err
		}
	}
	i.pseudonymized = pseudonym > 0
	return i, nil
}

// Schema is the SQL of the tables, indexes and views.
func (d *DB) Schema(ctx context.Context) (string, error) {
	c, done, err := d.readConn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	var b strings.Builder
	err = c.Each(func(v []driver.Value) error {
		b.WriteString(str(v[0]))
		b.WriteString(";\n")
		return nil
	}, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'view', rowid")
	return b.String(), d.wrap("schema", err)
}
