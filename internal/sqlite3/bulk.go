package sqlite3

// Rows of parameters reach SQLite in one call for many, not in one for each row. The other
// way is an INSERT of many rows whose parameters the driver binds: each value then needs
// memory of its own and is copied twice more. Measured on an import of a log of 1 GB, 128 to
// 256 rows an INSERT: 12 to 17 % more CPU time for the whole import (3.10 s to 3.47–3.6 s),
// with fewer rows 20 % more.

/*
#include <stdint.h>
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
enum { OK = 0, MISMATCH = 20, DONE = 101, UTF8 = 1, DIRECTONLY = 0x80000 };

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

static int wanted; // by the connection that is being opened

static int extend_rows(sqlite3 *db, char **err, const void *api) {
	if (!wanted)
		return OK;
	return sqlite3_create_function_v2(db, "with_rows", 2, UTF8 | DIRECTONLY, 0, with_rows, 0, 0, 0);
}

static int install_rows(void) { return sqlite3_auto_extension((void (*)(void))extend_rows); }
static void want_rows(int yes) { wanted = yes; }
*/
import "C"

import (
	"encoding/binary"
	"strings"
	"sync"
)

var installRows = sync.OnceValue(func() error { return extended(int(C.install_rows())) })

// wantRows says whether the next connection has the function with_rows. Hold opening.
func wantRows(yes bool) { C.want_rows(C.int(bit(yes))) }

// A Bulk gathers rows of parameters for one statement and has its Queue run it with many
// at a time. A read sees only rows that were flushed before.
type Bulk struct {
	q       *Queue
	sql     string
	columns int
	rows    []byte // that wait; see with_rows
}

// NewInsert returns a Bulk that adds rows to a table. on is the end of the statement, such as
// "ON CONFLICT DO NOTHING". A row that SQLite refuses does not undo those before it: the caller's
// transaction ends with the error.
func (q *Queue) NewInsert(table string, columns int, on string) *Bulk {
	// OR FAIL: SQLite keeps no journal for undoing a part of the statement.
	return q.NewBulk("INSERT OR FAIL INTO "+table+" VALUES (?"+strings.Repeat(",?", columns-1)+") "+on, columns)
}

// NewBulk returns a Bulk that runs a statement with the given number of parameters.
func (q *Queue) NewBulk(sql string, columns int) *Bulk {
	return &Bulk{q: q, sql: sql, columns: columns}
}

// Add adds a row; see Flush. The values are int64, string, []byte or nil, and are copied.
func (b *Bulk) Add(values ...any) {
	if len(values) != b.columns {
		panic("sqlite3: wrong number of values")
	}
	if b.rows == nil {
		select {
		case b.rows = <-b.q.spare:
		default:
			b.rows = make([]byte, 0, writeSize+writeSize/8)
		}
	}
	for _, v := range values {
		b.rows = appendValue(b.rows, v)
	}
	if len(b.rows) >= writeSize {
		b.Flush()
	}
}

// Flush adds the collected rows to the queue.
func (b *Bulk) Flush() {
	if len(b.rows) == 0 {
		return
	}
	b.q.add(write{b.sql, b.rows})
	b.rows = nil
}

// Discard drops the rows that wait.
func (b *Bulk) Discard() { b.rows = b.rows[:0] }

// appendValue appends a value as with_rows reads it.
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
	panic("sqlite3: a value that is no int64, string, []byte or nil") // not which one: the values need no memory of their own then
}
