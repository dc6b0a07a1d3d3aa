package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"bouncelog/store"
)

// Query runs one read-only statement. The server ensures that it changes nothing (readonly).
func (d *DB) Query(ctx context.Context, sql string) (store.Rows, error) {
	word := strings.ToUpper(strings.TrimLeft(sql, " \t\n\r("))
	if i := strings.IndexFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' }); i >= 0 {
		word = word[:i]
	}
	if !slices.Contains([]string{"SELECT", "WITH", "EXPLAIN", "SHOW", "DESCRIBE", "DESC"}, word) {
		return nil, fmt.Errorf("query: %w", errors.New("only SELECT, WITH, EXPLAIN, SHOW and DESCRIBE are allowed"))
	}
	if strings.IndexByte(sql, 0) >= 0 {
		return nil, errors.New("query: a NUL character")
	}
	rows, err := d.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 2})), sql)
	if err != nil {
		return nil, d.wrap("query", err)
	}
	r := &answer{d: d, rows: rows}
	for _, t := range rows.ColumnTypes() {
		r.to = append(r.to, reflect.New(t.ScanType()).Interface())
	}
	return r, nil
}

type answer struct {
	d    *DB
	rows driver.Rows
	to   []any
}

func (r *answer) Columns() []string { return r.rows.Columns() }

func (r *answer) Next() ([]any, error) {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return nil, r.d.wrap("query", err)
		}
		return nil, io.EOF
	}
	if err := r.rows.Scan(r.to...); err != nil {
		return nil, r.d.wrap("query", err)
	}
	out := make([]any, len(r.to))
	for i, to := range r.to {
		out[i] = plain(reflect.ValueOf(to).Elem())
	}
	return out, nil
}

func (r *answer) Close() error { return r.rows.Close() }

// plain converts a value to a type of store.Rows.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if t, ok := v.Interface().(time.Time); ok {
		return t.UTC().Format(time.RFC3339)
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n <= 1<<63-1 {
			return int64(n)
		}
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.String:
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

// Schema returns the SQL of the tables and views.
func (d *DB) Schema(ctx context.Context) (string, error) {
	list, err := d.texts(ctx, "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'goose%' ORDER BY engine = 'View', name")
	return strings.Join(list, ";\n") + ";\n", d.wrap("schema", err)
}
