package sqlite3

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file opens a connection that writes to a new database, with a table t (a, b).
func file(t testing.TB) (c *Conn, path string) {
	t.Helper()
	path = t.TempDir() + "/t.db"
	c, err := OpenWriter("file:" + path + "?_journal_mode=WAL")
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.Exec("CREATE TABLE t (a INTEGER PRIMARY KEY, b)"))
	return c, path
}

func rowsOf(t testing.TB, c *Conn, sql string, args ...any) (all []string) {
	t.Helper()
	must(t, c.Each(func(row []driver.Value) error {
		all = append(all, fmt.Sprintf("%v", row))
		return nil
	}, sql, args...))
	return all
}

func TestConn(t *testing.T) {
	c, _ := file(t)
	must(t, c.Run("INSERT INTO t VALUES (?, ?)", 1, "one"))
	must(t, c.Run("INSERT INTO t VALUES (?, ?)", uint32(2), nil))
	must(t, c.Run("INSERT INTO t VALUES (?, ?)", int64(3), []byte{0, 1}))
	if got, want := rowsOf(t, c, "SELECT * FROM t ORDER BY a"), []string{"[1 one]", "[2 <nil>]", "[3 [0 1]]"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	if n, err := c.Number("SELECT max(a) FROM t"); n != 3 || err != nil {
		t.Errorf("Number = %d, %v", n, err)
	}
	if n, err := c.Number("SELECT b FROM t WHERE a = 2"); n != 0 || err != nil {
		t.Errorf("Number of NULL = %d, %v", n, err)
	}
	if v, err := c.One("SELECT a FROM t WHERE a = 9"); v != nil || err != nil {
		t.Errorf("One of no row = %v, %v", v, err)
	}
	seen := 0
	must(t, c.Each(func([]driver.Value) error {
		seen++
		return ErrStop
	}, "SELECT a FROM t"))
	if seen != 1 {
		t.Errorf("%d rows after ErrStop, want 1", seen)
	}
	mine := errors.New("mine")
	if err := c.Once(func([]driver.Value) error { return mine }, "SELECT a FROM t"); err != mine {
		t.Errorf("error %v, want that of the function", err)
	}
	if err := c.Exec("SELECT nonsense"); err == nil || !FromSQLite(err) || KindOf(err) != nil {
		t.Errorf("error %v of kind %v", err, KindOf(err))
	}
	if err := c.Run("SELECT nonsense, ?", 1); err == nil || !strings.Contains(err.Error(), "SELECT nonsense") {
		t.Errorf("error %v does not say of what", err)
	}
	must(t, c.Exec("BEGIN"))
	if !c.InTransaction() {
		t.Error("no transaction after BEGIN")
	}
	must(t, c.Exec("ROLLBACK"))
	if c.InTransaction() {
		t.Error("a transaction after ROLLBACK")
	}
}

// TestUnder ends a statement that would run for hours.
func TestUnder(t *testing.T) {
	c, _ := file(t)
	const endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i % ? = 0"
	ctx, cancel := context.WithCancel(t.Context())
	done := c.Under(ctx)
	if c.Context() != ctx {
		t.Error("another context")
	}
	rows := 0
	err := c.Each(func([]driver.Value) error {
		if rows++; rows == 3 {
			cancel()
		}
		return nil
	}, endless, 100)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if err := c.Run("INSERT INTO t VALUES (1, 1)"); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: error %v", err)
	}
	done()
	must(t, c.Run("INSERT INTO t VALUES (1, 1)"))
}

func TestPlain(t *testing.T) {
	for _, open := range []func(string) (*Conn, error){OpenPlain, Open, OpenWriter} {
		c, err := open("file:?mode=memory")
		must(t, err)
		defer c.Close()
	}
	functions := func(open func(string) (*Conn, error)) string {
		c, err := open("file:?mode=memory")
		must(t, err)
		defer c.Close()
		return strings.Join(rowsOf(t, c, "SELECT DISTINCT name FROM pragma_function_list WHERE name IN ('columns', 'with_rows') ORDER BY name"), "")
	}
	if got := functions(OpenPlain); got != "" {
		t.Errorf("a plain connection has %s", got)
	}
	if got := functions(Open); got != "[columns]" {
		t.Errorf("a connection has %s", got)
	}
	if got := functions(OpenWriter); got != "[columns][with_rows]" {
		t.Errorf("a connection that writes has %s", got)
	}
}

func TestKindOf(t *testing.T) {
	dir := t.TempDir()
	c, path := file(t)
	must(t, os.WriteFile(dir+"/text", bytes.Repeat([]byte("no database\n"), 1000), 0o600))
	for _, test := range []struct {
		dsn, sql string
		want     error
	}{
		{"file:" + dir + "/text", "SELECT * FROM sqlite_schema", ErrNotADB},
		{"file:" + dir + "/absent?mode=ro", "SELECT * FROM sqlite_schema", ErrCantOpen},
		{"file:" + path + "?mode=ro", "INSERT INTO t VALUES (7, 7)", ErrReadOnly},
		{"file:" + path + "?_busy_timeout=1", "BEGIN IMMEDIATE", ErrBusy},
	} {
		if test.want == ErrBusy {
			must(t, c.Exec("BEGIN IMMEDIATE"))
		}
		other, err := Open(test.dsn)
		if err == nil {
			err = other.Exec(test.sql)
			other.Close()
		}
		if KindOf(err) != test.want {
			t.Errorf("%s of %s: %v, of kind %v, want %v", test.sql, test.dsn, err, KindOf(err), test.want)
		}
	}
	must(t, c.Exec("ROLLBACK"))
	pages, err := c.Number("PRAGMA page_count")
	must(t, err)
	must(t, c.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)))
	if err := c.Run("INSERT INTO t VALUES (8, zeroblob(1000000))"); KindOf(err) != ErrFull {
		t.Errorf("full: %v, of kind %v", err, KindOf(err))
	}
	if KindOf(errors.New("another")) != nil || KindOf(nil) != nil || FromSQLite(nil) {
		t.Error("an error that is not of SQLite has a kind")
	}
}

// TestColumns reads lists of all lengths, of values of every type.
func TestColumns(t *testing.T) {
	c, _ := file(t)
	var got [][]int64
	read := func(sql string) {
		t.Helper()
		got = nil
		must(t, c.Columns(2, func(v []int64) error {
			got = append(got, slices.Clone(v))
			return nil
		}, sql))
	}
	read("SELECT columns(column1, column2) FROM (VALUES (1, -1), (NULL, 'abc'), (9223372036854775807, ''), (x'00', 1.5))")
	want := [][]int64{{1, -1}, {0, TextHash("abc")}, {math.MaxInt64, TextHash("")}, {0, 0}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("columns = %v, want %v", got, want)
	}
	if read("SELECT columns(1, 1) FROM t WHERE false"); got != nil {
		t.Errorf("columns of no row = %v", got)
	}
	for _, n := range []int{1, 511, 512, 513, Batch, 3*Batch + 1} {
		read(fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT columns(i, i * i) FROM n", n-1))
		for i, v := range got {
			if v[0] != int64(i) || v[1] != int64(i*i) {
				t.Fatalf("of %d: row %d = %v", n, i, v)
			}
		}
		if len(got) != n {
			t.Errorf("%d rows, want %d", len(got), n)
		}
	}
	// One while another's rows are walked.
	must(t, c.Columns(1, func(v []int64) error {
		read("SELECT columns(column1, column1) FROM (VALUES (3), (4))")
		if !slices.EqualFunc(got, [][]int64{{3, 3}, {4, 4}}, slices.Equal) || v[0] != 1 {
			t.Errorf("columns within columns = %v, of %v", got, v)
		}
		return nil
	}, "SELECT columns(1)"))
	mine := errors.New("mine")
	if err := c.Columns(1, func([]int64) error { return mine }, "SELECT columns(1)"); err != mine {
		t.Errorf("error %v, want that of the function", err)
	}
	s, err := c.Prepare("SELECT columns(a), max(a) FROM (SELECT 5 AS a UNION ALL SELECT ?)")
	must(t, err)
	defer s.Close()
	n, err := s.Columns(1, func(v []int64, other driver.Value) error {
		if other != int64(7) {
			t.Errorf("the other value is %v", other)
		}
		return nil
	}, 7)
	if n != 2 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestTexts(t *testing.T) {
	c, _ := file(t)
	must(t, c.Exec("INSERT INTO t VALUES (3, ''), (5, 'a,b'), (9, 'ä'), (200000, '')"))
	var got []string
	must(t, c.Texts(2, func(v []int64, text string) error {
		got = append(got, fmt.Sprint(v, text))
		return nil
	}, "SELECT columns(a, -a), group_concat(b, char(1)) FROM (SELECT * FROM t ORDER BY a)"))
	if want := []string{"[3 -3]", "[5 -5]a,b", "[9 -9]ä", "[200000 -200000]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBulk writes values of every type, in numbers on either side of what is handed over
// at once.
func TestBulk(t *testing.T) {
	c, path := file(t)
	q, err := NewQueue(c)
	must(t, err)
	k, err := Open("file:" + path)
	must(t, err)
	must(t, q.Checkpoint(NewCheckpointer(k)))
	must(t, c.Exec("PRAGMA wal_autocheckpoint = 0"))
	insert := q.NewInsert("t", 2, "ON CONFLICT DO UPDATE SET b = b || excluded.b")
	remove := q.NewBulk("DELETE FROM t WHERE a = ?", 1)
	if err := q.Notice(); err != nil && err != ErrChanged { // the first time it knows nothing
		t.Fatal(err)
	}
	q.Begin()
	const n = 20_000 // some 300 KB
	for i := range int64(n) {
		insert.Add(i, fmt.Sprint("t", i))
	}
	insert.Add(int64(n), nil)
	insert.Add(int64(n+1), []byte{1, 0, 2})
	insert.Add(int64(n+2), "")
	insert.Add(int64(n+3), strings.Repeat("x", 3*writeSize))
	insert.Add(int64(7), "+")
	insert.Flush()
	remove.Add(int64(8))
	remove.Flush()
	q.Commit()
	must(t, c.Settle())
	for sql, want := range map[string]string{
		"SELECT count(*), count(b) FROM t":                 fmt.Sprintf("[%d %d]", n+3, n+2),
		"SELECT b FROM t WHERE a = 7":                      "[t7+]",
		"SELECT b FROM t WHERE a = 19999":                  "[t19999]",
		"SELECT typeof(b), hex(b) FROM t WHERE a = 20001":  "[blob 010002]",
		"SELECT typeof(b), b FROM t WHERE a = 20002":       "[text ]",
		"SELECT length(b) FROM t WHERE a = 20003":          fmt.Sprintf("[%d]", 3*writeSize),
		"SELECT count(*) FROM t WHERE a < 9 AND b IS NULL": "[0]",
		"SELECT count(*) FROM t WHERE b <> 't' || a":       "[4]",
	} {
		if got := rowsOf(t, c, sql); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if !q.Cut(0) {
		t.Error("the log cannot be cut")
	}
	if st, err := os.Stat(path + "-wal"); err != nil || st.Size() != 0 {
		t.Errorf("the log after Cut: %v, %v", st.Size(), err)
	}
	if err := q.Notice(); err != nil {
		t.Errorf("a cut of one's own is taken for a commit of another connection: %v", err)
	}
}

// TestBulkSeesOnlyFlushed holds the rule of Bulk: a read sees what was flushed.
func TestBulkSeesOnlyFlushed(t *testing.T) {
	c, _ := file(t)
	q, err := NewQueue(c)
	must(t, err)
	b := q.NewInsert("t", 2, "")
	count := func() int64 {
		n, err := c.Number("SELECT count(*) FROM t")
		must(t, err)
		return n
	}
	b.Add(int64(1), nil)
	if n := count(); n != 0 {
		t.Errorf("%d rows before Flush", n)
	}
	b.Flush()
	if n := count(); n != 1 {
		t.Errorf("%d rows after Flush, want 1", n)
	}
	b.Add(int64(2), nil)
	b.Discard()
	b.Flush()
	if n := count(); n != 1 {
		t.Errorf("%d rows after Discard, want 1", n)
	}
	for _, values := range [][]any{{int64(1)}, {int64(1), 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was taken", values)
				}
			}()
			b.Add(values...)
		}()
		b.Discard()
	}
}

// TestQueueFails has a write fail: the transaction is rolled back, what follows is left
// out, and the error is said once.
func TestQueueFails(t *testing.T) {
	c, path := file(t)
	q, err := NewQueue(c)
	must(t, err)
	k, err := Open("file:" + path)
	must(t, err)
	must(t, q.Checkpoint(NewCheckpointer(k)))
	if err := q.Notice(); err != nil && err != ErrChanged {
		t.Fatal(err)
	}
	b := q.NewInsert("t", 2, "")
	q.Begin()
	b.Add(int64(1), "first")
	b.Flush()
	b.Add(int64(1), "again")
	b.Flush()
	b.Add(int64(2), "after")
	b.Flush()
	q.Commit()
	err = c.Settle()
	if err == nil || !strings.Contains(err.Error(), "UNIQUE") {
		t.Errorf("error %v, want a violated constraint", err)
	}
	if err := c.Settle(); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	if c.InTransaction() {
		t.Error("the transaction goes on")
	}
	if got := rowsOf(t, c, "SELECT * FROM t"); got != nil {
		t.Errorf("rows %q", got)
	}
	q.Begin()
	b.Add(int64(3), "later")
	b.Flush()
	q.Commit()
	must(t, c.Settle())
	if got := rowsOf(t, c, "SELECT * FROM t"); !slices.Equal(got, []string{"[3 later]"}) {
		t.Errorf("rows %q", got)
	}
}

// TestQueueChanged has another connection write between two transactions.
func TestQueueChanged(t *testing.T) {
	c, path := file(t)
	q, err := NewQueue(c)
	must(t, err)
	if err := q.Notice(); err != nil && err != ErrChanged { // the first time it knows nothing
		t.Fatal(err)
	}
	must(t, q.Notice())
	must(t, c.Exec("INSERT INTO t VALUES (1, 'mine')"))
	must(t, q.Notice())
	other, err := Open("file:" + path)
	must(t, err)
	defer other.Close()
	must(t, other.Exec("INSERT INTO t VALUES (2, 'theirs')"))
	q.Begin()
	if err := c.Settle(); !errors.Is(err, ErrChanged) {
		t.Errorf("error %v, want ErrChanged", err)
	}
}

func TestBackup(t *testing.T) {
	c, _ := file(t)
	must(t, c.Exec("INSERT INTO t VALUES (1, 'one')"))
	to, err := Open("file:" + t.TempDir() + "/copy.db")
	must(t, err)
	defer to.Close()
	must(t, to.Backup(c))
	if got := rowsOf(t, to, "SELECT * FROM t"); !slices.Equal(got, []string{"[1 one]"}) {
		t.Errorf("rows %q", got)
	}
}

// FuzzRows hands with_rows any bytes: it takes them for rows or says what is wrong.
func FuzzRows(f *testing.F) {
	f.Add(appendValue(appendValue(nil, int64(1)), "text"))
	f.Add(appendValue(appendValue(nil, []byte{1}), nil))
	f.Add([]byte("i1234567"))
	f.Add([]byte("t\xff\xff\xff\xffabc"))
	f.Fuzz(func(t *testing.T, rows []byte) {
		c, err := OpenWriter("file:?mode=memory")
		must(t, err)
		defer c.Close()
		must(t, c.Exec("CREATE TABLE t (a, b)"))
		_, err = c.One("SELECT with_rows('INSERT INTO t VALUES (?, ?)', ?)", rows)
		n, e := c.Number("SELECT count(*) FROM t")
		must(t, e)
		if err == nil && len(rows) > 0 && n == 0 {
			t.Errorf("%q: no row and no error", rows)
		}
	})
}
