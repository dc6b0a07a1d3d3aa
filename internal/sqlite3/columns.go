package sqlite3

// SQLite hands over a row by some calls of C for each value, and they take longer than all
// that SQLite does for the row. An aggregate that makes one blob of thousands of rows takes
// a tenth of that.

/*
#include <stdint.h>
#include <stdlib.h>

// Of sqlite3.h, which comes with the driver.
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_value sqlite3_value;
typedef int64_t sqlite3_int64;
int sqlite3_auto_extension(void (*)(void));
int sqlite3_create_function_v2(sqlite3 *, const char *, int, int, void *,
	void (*)(sqlite3_context *, int, sqlite3_value **), void (*)(sqlite3_context *, int, sqlite3_value **),
	void (*)(sqlite3_context *), void (*)(void *));
const unsigned char *sqlite3_value_text(sqlite3_value *);
int sqlite3_value_bytes(sqlite3_value *);
int sqlite3_value_type(sqlite3_value *);
sqlite3_int64 sqlite3_value_int64(sqlite3_value *);
void *sqlite3_aggregate_context(sqlite3_context *, int);
void sqlite3_result_blob64(sqlite3_context *, const void *, uint64_t, void (*)(void *));
void sqlite3_result_error_nomem(sqlite3_context *);
void sqlite3_result_error_toobig(sqlite3_context *);
enum { OK = 0, INTEGER = 1, TEXT = 3, UTF8 = 1, DETERMINISTIC = 0x800 };

// The list of one group. It grows with realloc and is given away as the result.
struct list { int64_t *v; uint64_t n, room; };
enum { MOST = 1 << 26 }; // numbers: half a gigabyte

static void columns_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	struct list *l = sqlite3_aggregate_context(ctx, sizeof *l);
	int i;
	if (l == 0) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	if (l->n + argc > l->room) {
		uint64_t room = l->room == 0 ? 1024 : 2 * l->room;
		int64_t *v = room > MOST ? 0 : realloc(l->v, room * sizeof *v);
		if (v == 0) {
			if (room > MOST)
				sqlite3_result_error_toobig(ctx);
			else
				sqlite3_result_error_nomem(ctx);
			return;
		}
		l->v = v;
		l->room = room;
	}
	for (i = 0; i < argc; i++) {
		int64_t n = 0;
		switch (sqlite3_value_type(argv[i])) {
		case INTEGER:
			n = sqlite3_value_int64(argv[i]);
			break;
		case TEXT: {
			const unsigned char *p = sqlite3_value_text(argv[i]);
			int left = sqlite3_value_bytes(argv[i]);
			uint64_t h = 14695981039346656037u;
			for (; left > 0; left--)
				h = (h ^ *p++) * 1099511628211u;
			n = (int64_t)h;
		}
		}
		l->v[l->n++] = n;
	}
}

static void columns_final(sqlite3_context *ctx) {
	struct list *l = sqlite3_aggregate_context(ctx, 0);
	if (l != 0 && l->v != 0)
		sqlite3_result_blob64(ctx, l->v, l->n * sizeof *l->v, free);
}

static int wanted; // by the connection that is being opened

static int extend_columns(sqlite3 *db, char **err, const void *api) {
	if (!wanted)
		return OK;
	return sqlite3_create_function_v2(db, "columns", -1, UTF8 | DETERMINISTIC, 0, 0, columns_step, columns_final, 0);
}

static int install_columns(void) { return sqlite3_auto_extension((void (*)(void))extend_columns); }
static void want_columns(int yes) { wanted = yes; }
*/
import "C"

import (
	"database/sql/driver"
	"hash/fnv"
	"strings"
	"sync"
	"unsafe"
)

var installColumns = sync.OnceValue(func() error { return extended(int(C.install_columns())) })

// wantColumns says whether the next connection has the function columns. Hold opening.
func wantColumns(yes bool) { C.want_columns(C.int(bit(yes))) }

// TextHash is the number that columns makes of a text (64-bit FNV-1a).
func TextHash(s string) int64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return int64(h.Sum64())
}

// Batch is the number of rows to read at a time if there may be very many: a larger number allocates
// memory each time.
const Batch = 1 << 12

// Columns runs a statement that returns columns(a, b, …), an aggregate function that gathers its
// arguments of all rows, and calls fn for each of these rows. An integer is passed as it is, a text as
// its TextHash, NULL and anything else as 0. n is the number of arguments. v is valid until fn
// returns.
//
//	c.Columns(2, fn, "SELECT columns(id, at) FROM t WHERE id BETWEEN ? AND ?", 1, Batch)
func (c *Conn) Columns(n int, fn func(v []int64) error, sql string, args ...any) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Columns(n, func(v []int64, _ driver.Value) error { return fn(v) }, args...)
	return err
}

// Columns is Conn.Columns for a statement that may return another value after columns;
// fn gets it with every row. It says how many rows there were.
func (s *Stmt) Columns(n int, fn func(v []int64, other driver.Value) error, args ...any) (rows int, err error) {
	var list []int64
	var other driver.Value
	err = s.Each(func(row []driver.Value) error {
		if b, ok := row[0].([]byte); ok && len(b) > 0 {
			list = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8) // as C wrote it
		}
		other = row[len(row)-1]
		return nil
	}, args...)
	for ; err == nil && len(list) >= n; list = list[n:] {
		rows++
		err = fn(list[:n:n], other)
	}
	return rows, err
}

// Texts is Columns for a statement that returns, after columns, group_concat(x, char(1)):
// fn gets an x with each row. No x may be NULL or hold char(1).
func (c *Conn) Texts(n int, fn func(v []int64, text string) error, sql string, args ...any) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	var rest string
	first := true
	_, err = s.Columns(n, func(v []int64, all driver.Value) error {
		if first {
			rest, _ = all.(string)
			first = false
		}
		var text string
		text, rest, _ = strings.Cut(rest, "\x01")
		return fn(v, text)
	}, args...)
	return err
}
