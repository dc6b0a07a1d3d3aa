package sqlite

// This file holds all the C that is ours. A row handed to SQLite through its Go
// driver costs as much as SQLite's own work on it; here many go in one call.

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Of sqlite3.h, which comes with the driver.
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_value sqlite3_value;
typedef int64_t sqlite3_int64;
int sqlite3_auto_extension(void (*)(void));
int sqlite3_create_function_v2(sqlite3 *, const char *, int, int, void *,
	void (*)(sqlite3_context *, int, sqlite3_value **), void (*)(sqlite3_context *, int, sqlite3_value **),
	void (*)(sqlite3_context *), void (*)(void *));
sqlite3 *sqlite3_context_db_handle(sqlite3_context *);
const void *sqlite3_value_blob(sqlite3_value *);
const unsigned char *sqlite3_value_text(sqlite3_value *);
int sqlite3_value_bytes(sqlite3_value *);
int sqlite3_prepare_v2(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
int sqlite3_bind_parameter_count(sqlite3_stmt *);
int sqlite3_bind_int64(sqlite3_stmt *, int, sqlite3_int64);
int sqlite3_bind_null(sqlite3_stmt *, int);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, void (*)(void *));
int sqlite3_bind_blob(sqlite3_stmt *, int, const void *, int, void (*)(void *));
int sqlite3_step(sqlite3_stmt *);
int sqlite3_reset(sqlite3_stmt *);
int sqlite3_finalize(sqlite3_stmt *);
const char *sqlite3_errmsg(sqlite3 *);
int sqlite3_extended_errcode(sqlite3 *);
void sqlite3_result_error(sqlite3_context *, const char *, int);
void sqlite3_result_error_code(sqlite3_context *, int);
void sqlite3_result_int64(sqlite3_context *, sqlite3_int64);
void *sqlite3_aggregate_context(sqlite3_context *, int);
int sqlite3_value_type(sqlite3_value *);
sqlite3_int64 sqlite3_value_int64(sqlite3_value *);
void sqlite3_result_blob64(sqlite3_context *, const void *, uint64_t, void (*)(void *));
void sqlite3_result_error_nomem(sqlite3_context *);
void sqlite3_result_error_toobig(sqlite3_context *);
enum { OK = 0, MISMATCH = 20, DONE = 101, UTF8 = 1, DIRECTONLY = 0x80000, DETERMINISTIC = 0x800 };

// with_rows runs a statement with many rows of parameters: with_rows(statement,
// rows). Rows follow one another without a gap; a value is a byte that says what
// it is, and what it is: 'n'; 'i' and 8 bytes; 't' or 'b', 4 bytes of length and
// the text or blob. It returns the number of rows.
static void with_rows(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	sqlite3 *db = sqlite3_context_db_handle(ctx);
	const char *sql = (const char *)sqlite3_value_text(argv[0]);
	const char *p = sqlite3_value_blob(argv[1]);
	const char *end = p + sqlite3_value_bytes(argv[1]);
	sqlite3_stmt *s = 0;
	int rc = sqlite3_prepare_v2(db, sql, -1, &s, 0);
	int columns = rc == OK ? sqlite3_bind_parameter_count(s) : 0;
	sqlite3_int64 rows = 0;
	while (rc == OK && p < end) {
		int i;
		for (i = 1; i <= columns && rc == OK; i++) {
			char kind = p < end ? *p++ : 0;
			int64_t n = 0;
			uint32_t size = 0;
			if (kind == 'n') {
				rc = sqlite3_bind_null(s, i);
				continue;
			}
			if (kind == 'i' && end - p >= 8) {
				memcpy(&n, p, 8);
				p += 8;
				rc = sqlite3_bind_int64(s, i, n);
				continue;
			}
			if (end - p >= 4)
				memcpy(&size, p, 4);
			if ((kind != 't' && kind != 'b') || end - p < 4 || end - p - 4 < size) {
				sqlite3_finalize(s);
				sqlite3_result_error_code(ctx, MISMATCH);
				return;
			}
			p += 4;
			if (kind == 't')
				rc = sqlite3_bind_text(s, i, p, (int)size, 0);
			else
				rc = sqlite3_bind_blob(s, i, p, (int)size, 0);
			p += size;
		}
		if (rc != OK)
			break;
		rc = sqlite3_step(s);
		if (rc == DONE)
			rc = sqlite3_reset(s);
		if (columns == 0)
			break;
		rows++;
	}
	if (rc != OK) {
		int code = sqlite3_extended_errcode(db);
		sqlite3_result_error(ctx, sqlite3_errmsg(db), -1);
		sqlite3_result_error_code(ctx, code);
	} else
		sqlite3_result_int64(ctx, rows);
	sqlite3_finalize(s);
}

// ints is an aggregate: it makes one list of the arguments of all rows. NULL is 0, of a
// text it is a hash (see textHash). The list goes to where lend says, and the result is
// how many numbers it has; where there is no room for it, the result is a blob.
struct list { int64_t *v; uint64_t n, room; int lent; };
enum { MOST = 1 << 26 };
static __thread int64_t *lent; // for one list
static __thread uint64_t lent_room;

static void lend(int64_t *v, uint64_t room) {
	lent = v;
	lent_room = room;
}

static void ints_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	struct list *l = sqlite3_aggregate_context(ctx, sizeof *l);
	int i;
	if (l != 0 && l->v == 0 && lent != 0) {
		l->v = lent;
		l->room = lent_room;
		l->lent = 1;
		lent = 0;
	}
	if (l != 0 && l->n + argc > l->room && l->room < MOST) {
		uint64_t room = l->room == 0 ? 1024 : 2 * l->room;
		int64_t *v = realloc(l->lent ? 0 : l->v, room * sizeof *v);
		if (v != 0) {
			if (l->lent)
				memcpy(v, l->v, l->n * sizeof *v);
			l->v = v;
			l->room = room;
			l->lent = 0;
		}
	}
	if (l == 0 || l->n + argc > l->room) {
		if (l != 0 && l->room >= MOST)
			sqlite3_result_error_toobig(ctx);
		else
			sqlite3_result_error_nomem(ctx);
		return;
	}
	for (i = 0; i < argc; i++) {
		int64_t n = 0;
		switch (sqlite3_value_type(argv[i])) {
		case 1:
			n = sqlite3_value_int64(argv[i]);
			break;
		case 3: {
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

static void ints_final(sqlite3_context *ctx) {
	struct list *l = sqlite3_aggregate_context(ctx, 0);
	if (l != 0 && l->lent)
		sqlite3_result_int64(ctx, (sqlite3_int64)l->n);
	else if (l != 0 && l->v != 0)
		sqlite3_result_blob64(ctx, l->v, l->n * sizeof *l->v, free);
}

enum { PROBES = 5 }; // with 8 bits a key: 1 in 50 lets a stranger through

// may_hold(bits, key...) tells whether one of the keys may be in a filter: see probe,
// which this repeats, since a trace asks thousands of filters.
static void may_hold(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	const unsigned char *bits = sqlite3_value_blob(argv[0]);
	uint64_t size = 8 * (uint64_t)sqlite3_value_bytes(argv[0]); // in bits
	int i, n, found = 0;
	for (i = 1; i < argc && !found && size > 0; i++) {
		uint64_t key = (uint64_t)sqlite3_value_int64(argv[i]);
		for (n = 0, found = 1; n < PROBES && found; n++) {
			uint64_t low = (uint32_t)key * size, high = (key >> 32) * size + (low >> 32);
			found = bits[high >> 35] >> (high >> 32) % 8 & 1;
			key = (high << 32 | (uint32_t)low) ^ key * 0x9e3779b97f4a7c15u;
		}
	}
	sqlite3_result_int64(ctx, found);
}

// Only the connection that writes has with_rows: SQL of others shall not run other SQL.
static __thread int wanted;

static int extend(sqlite3 *db, char **err, const void *api) {
	int rc = sqlite3_create_function_v2(db, "ints", -1, UTF8 | DETERMINISTIC, 0, 0, ints_step, ints_final, 0);
	if (rc == OK)
		rc = sqlite3_create_function_v2(db, "may_hold", -1, UTF8 | DETERMINISTIC, 0, may_hold, 0, 0, 0);
	if (!wanted || rc != OK)
		return rc;
	return sqlite3_create_function_v2(db, "with_rows", 2, UTF8 | DIRECTONLY, 0, with_rows, 0, 0, 0);
}

static int install(void) { return sqlite3_auto_extension((void (*)(void))extend); }
static void want(int yes) { wanted = yes; }
*/
import "C"

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

// chunkProbes is how many bits of a filter stand for a key.
const chunkProbes = C.PROBES

var install = sync.OnceValue(func() error {
	if rc := C.install(); rc != 0 {
		return fmt.Errorf("cannot extend SQLite: error %d", int(rc))
	}
	return nil
})

// dialWithRows opens a connection that knows the function with_rows.
func dialWithRows(dsn string) (*conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.want(1)
	defer C.want(0)
	return dial(dsn)
}

// appendValue appends a value as with_rows reads it: an int64, a string, a []byte
// or nil.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case int64:
		return binary.NativeEndian.AppendUint64(append(b, 'i'), uint64(v))
	case string:
		return append(binary.NativeEndian.AppendUint32(append(b, 't'), uint32(len(v))), v...)
	case []byte:
		return append(binary.NativeEndian.AppendUint32(append(b, 'b'), uint32(len(v))), v...)
	}
	panic("sqlite: a value that is no int64, string, []byte or nil") // not which one: the values need no memory of their own then
}

// textHash is the number that ints makes of a text (FNV-1a).
func textHash(s string) int64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return int64(h.Sum64())
}

// ints runs a statement that returns the function ints, and calls fn for each of its
// rows of so many columns. A row handed over by itself takes longer than all that SQLite
// does for it.
func (c *conn) ints(columns int, fn func(v []int64) error, sql string, args ...any) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer s.s.Close()
	_, err = c.collect(s, columns, func(v []int64, _ driver.Value) error { return fn(v) }, args...)
	return err
}

// roomFor is how many numbers most lists have at most.
const roomFor = 8 * batch

// collect runs a statement that returns the function ints and, perhaps, another value. It
// calls fn for each row with both, and says how many rows there were.
func (c *conn) collect(s *stmt, columns int, fn func(v []int64, other driver.Value) error, args ...any) (n int, err error) {
	room := c.room // memory that is used again need not be found, and is near
	if room == nil {
		room = make([]int64, roomFor)
	}
	c.room = nil
	defer func() { c.room = room }()
	var list []int64
	var other driver.Value
	err = lending(room, func() error {
		return s.each(func(v []driver.Value) error {
			switch v := v[0].(type) {
			case int64:
				list = room[:v]
			case []byte:
				list = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(v))), len(v)/8) // as C wrote it
			}
			other = v[len(v)-1]
			return nil
		}, args...)
	})
	for ; err == nil && len(list) >= columns; list = list[columns:] {
		n++
		err = fn(list[:columns], other)
	}
	return n, err
}

// lending runs f with room for a list of the function ints.
func lending(room []int64, f func() error) error {
	var pinned runtime.Pinner
	pinned.Pin(&room[0])
	defer pinned.Unpin()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.lend((*C.int64_t)(&room[0]), C.uint64_t(len(room)))
	defer C.lend(nil, 0)
	return f()
}

// intsWithin is ints for the rows of one table whose ids are in some spans, in the
// order of the spans, a batch at a time: from is the statement from "FROM" on, with
// the table as a, a condition, and two parameters of the question's times. The fewer
// columns, the faster: numbers that have room in one go together.
func (q *question) intsWithin(c *conn, spans []span, columns []string, from string, fn func(v []int64) error) error {
	var inner, outer []string
	for i, column := range columns {
		inner = append(inner, fmt.Sprintf("%s AS c%d", column, i))
		outer = append(outer, fmt.Sprintf("c%d", i))
	}
	s, err := c.prepare("SELECT ints(" + strings.Join(outer, ", ") + "), max(id) FROM (SELECT " + strings.Join(inner, ", ") + ", a.id " + from +
		" AND a.id BETWEEN ?3 AND ?4 ORDER BY a.id LIMIT ?5)")
	if err != nil {
		return err
	}
	defer s.s.Close()
	for _, sp := range spans {
		for lo, n := sp.lo, batch; n == batch; {
			n, err = c.collect(s, len(columns), func(v []int64, last driver.Value) error {
				lo = num(last) + 1
				return fn(v)
			}, q.since, q.until, lo, sp.hi, batch)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// texts is ints for a statement that returns, after it, group_concat(X, char(1)): a
// text for each row. What is stored holds no char(1), see clean.
func (c *conn) texts(columns int, fn func(v []int64, text string) error, sql string, args ...any) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer s.s.Close()
	var rest string
	first := true
	_, err = c.collect(s, columns, func(v []int64, all driver.Value) error {
		if first {
			rest, first = str(all), false
		}
		var text string
		text, rest, _ = strings.Cut(rest, "\x01")
		return fn(v, text)
	}, args...)
	return err
}

// A batch is how many rows are handed over at once where there may be very many. More
// need new memory each time.
const batch = 1 << 12

// batches calls fn for each run of so many ids that a dictionary may have.
func (c *conn) batches(table string, fn func(lo, hi int64) error) error {
	last, err := c.number("SELECT max(id) FROM " + table)
	last = min(last, maxID) // a damaged one may hold any
	for lo := int64(0); err == nil && lo < last; lo += batch {
		err = fn(lo+1, lo+batch)
	}
	return err
}
