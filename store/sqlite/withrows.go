package sqlite

// This file holds all the C that is ours. A row handed to SQLite through its Go
// driver costs as much as SQLite's own work on it; here many go in one call.

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
	void (*)(sqlite3_context *, int, sqlite3_value **), void *, void *, void (*)(void *));
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

// Only the connection that writes has it: SQL of others shall not run other SQL.
static __thread int wanted;

static int extend(sqlite3 *db, char **err, const void *api) {
	if (!wanted)
		return OK;
	return sqlite3_create_function_v2(db, "with_rows", 2, UTF8 | DIRECTONLY, 0, with_rows, 0, 0, 0);
}

static int install(void) { return sqlite3_auto_extension((void (*)(void))extend); }
static void want(int yes) { wanted = yes; }
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
)

var installRows = sync.OnceValue(func() error {
	if rc := C.install(); rc != 0 {
		return fmt.Errorf("cannot extend SQLite: error %d", int(rc))
	}
	return nil
})

// dialWithRows opens a connection that knows the function with_rows.
func dialWithRows(dsn string) (*conn, error) {
	if err := installRows(); err != nil {
		return nil, err
	}
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
	panic(fmt.Sprintf("sqlite: a value of type %T", v))
}
