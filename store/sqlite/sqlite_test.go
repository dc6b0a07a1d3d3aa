package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

func open(t testing.TB, path string, o Options) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// reading returns a reader of a store, which is closed at the end of the test.
func reading(t testing.TB, s store.Store) store.Reader {
	t.Helper()
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()+"/log.db", Options{}) })
}

func TestTemporary(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, "", Options{Temporary: true}) })
}

// TestForgets closes a Writer of a temporary database, which clears the cached dictionaries, and
// then continues to append.
func TestForgets(t *testing.T) {
	d, want := open(t, "", Options{Temporary: true}), open(t, filepath.Join(t.TempDir(), "f.db"), Options{})
	tr := storetest.NewTraffic(1)
	for range 3 {
		b := tr.Batch(1000)
		storetest.Append(t, d, b)
		storetest.Append(t, want, b)
		must(t, storetest.Put(t.Context(), d)) // closes a Writer
		if n := d.w.addresses.known.n; n != 0 {
			t.Errorf("%d addresses are remembered", n)
		}
		if diff := cmp.Diff(totals(t, want), totals(t, d)); diff != "" {
			t.Errorf("-kept +forgotten:\n%s", diff)
		}
	}
	sound(t, d)
	must(t, d.Close())
	if _, err := d.Write(t.Context()); err == nil {
		t.Error("closed: no error")
	}
}

// sound fails the test if Check reports a problem.
func sound(t testing.TB, d *DB) {
	t.Helper()
	problems, err := d.Check(t.Context())
	must(t, err)
	for _, p := range problems {
		t.Error("check:", p)
	}
}

// same checks that two databases hold the same data, and that the second is sound.
func same(t testing.TB, want, got *DB) {
	t.Helper()
	if diff := cmp.Diff(totals(t, want), totals(t, got)); diff != "" {
		t.Errorf("Totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
		t.Errorf("rows (-want +got):\n%.3000s", diff)
	}
	sound(t, got)
}

// histories compares the stored history of each address with the attempts.
func histories(t testing.TB, d *DB) {
	t.Helper()
	n, err := d.w.c.Number(layoutSQL(`WITH delivered AS (SELECT recipient, min(at) AS first, max(at) AS last FROM delivery GROUP BY recipient),
			failed AS (SELECT a.recipient, max(a.at) AS last FROM failure AS a JOIN reply AS r ON r.id = a.reply WHERE r.kind < $UNCOUNTED GROUP BY a.recipient)
		SELECT count(*) FROM address AS a LEFT JOIN failing AS h ON h.id = a.id
			LEFT JOIN delivered AS d ON d.recipient = a.id LEFT JOIN failed AS f ON f.recipient = a.id
		WHERE max(a.first, 0) <> coalesce(d.first, 0) OR max(a.last, 0) NOT BETWEEN coalesce(d.last - $DAY_SECONDS, 0) AND coalesce(d.last, 0)
			OR f.last <> coalesce(d.last, 0) AND (h.at IS NOT NULL) <> (f.last > coalesce(d.last, 0))`))
	must(t, err)
	if n != 0 {
		t.Errorf("the histories of %d addresses are not those of the rows", n)
	}
}

func totals(t testing.TB, d *DB) store.Counts {
	t.Helper()
	return storetest.Totals(t, d, store.Filter{})
}

// ask calls fn with a Reader.
func ask(t testing.TB, d *DB, fn func(r store.Reader)) {
	t.Helper()
	r, err := d.Read(t.Context())
	must(t, err)
	fn(r)
	must(t, r.Close())
}

// attempts returns the attempts that match f.
func attempts(t testing.TB, d *DB, f store.Filter) (list []store.Attempt) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		for a, err := range r.Attempts(t.Context(), f, store.Page{}) {
			must(t, err)
			list = append(list, *a)
		}
	})
	return list
}

// countBy counts all attempts by one dimension.
func countBy(t testing.TB, d *DB, by store.Dimension) (list []store.Cell) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		var err error
		list, err = r.Count(t.Context(), store.Filter{}, by)
		must(t, err)
	})
	return list
}

// coverage returns the coverage of the logs.
func coverage(t testing.TB, d *DB) (c *store.Coverage) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		var err error
		c, err = r.Coverage(t.Context())
		must(t, err)
	})
	return c
}

func TestOpen(t *testing.T) {
	// The name holds every character that is special in a URI.
	path := filepath.Join(t.TempDir(), "a b?c#d%41&mode=memory.db")
	d := open(t, path, Options{})
	storetest.Append(t, d, storetest.NewTraffic(1).Batch(100))
	st, err := os.Stat(path)
	must(t, err)
	if got := st.Mode().Perm(); got != 0o640 {
		t.Errorf("mode %o, want 640", got)
	}
	info, err := d.info(t.Context())
	must(t, err)
	for name, want := range map[string]string{"journal_mode": "wal", "application_id": "1651401580", "user_version": fmt.Sprint(schemaVersion), "auto_vacuum": "2", "page_size": "8192"} {
		if info.pragmas[name] != want {
			t.Errorf("pragma %s = %s, want %s", name, info.pragmas[name], want)
		}
	}
	for name, want := range map[string]int64{"foreign_keys": 1, "synchronous": 1, "busy_timeout": 5000} {
		if got, err := d.w.c.Number("PRAGMA " + name); err != nil || got != want {
			t.Errorf("writer: pragma %s = %d, %v, want %d", name, got, err, want)
		}
	}
	if c := totals(t, d); info.rows != c.Attempts+c.Handoff+c.Probe || info.size == 0 {
		t.Errorf("Info = %+v", info)
	}
	schema, err := d.Schema(t.Context())
	must(t, err)
	if !strings.Contains(schema, "CREATE VIEW deliveries") {
		t.Errorf("Schema = %q", schema)
	}
	sound(t, d)
	must(t, d.Close())
	if err := storetest.Put(t.Context(), d, &store.Batch{}); err == nil {
		t.Error("append to a closed database: no error")
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the write-ahead log is still there after Close")
	}
	// Open it read-only.
	r := open(t, path, Options{ReadOnly: true})
	if got := totals(t, r); got.Attempts == 0 {
		t.Error("nothing to be read")
	}
	if err := storetest.Put(t.Context(), r, &store.Batch{}); err == nil {
		t.Error("append to a database opened for reading: no error")
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) > 3 {
		t.Errorf("files: %q", names)
	}
}

// TestOpenIsQuick checks that opening an up-to-date database does not run goose, which takes longer
// than everything else together.
func TestOpenIsQuick(t *testing.T) {
	path := t.TempDir() + "/log.db"
	must(t, open(t, path, Options{}).Close())
	must(t, open(t, path, Options{migrations: unreadable{}, version: schemaVersion}).Close())
	if d, err := Open(t.Context(), t.TempDir()+"/new.db", Options{migrations: unreadable{}, version: schemaVersion}); err == nil {
		d.Close()
		t.Error("a new database was made without reading a migration")
	}
}

// unreadable is a file system that cannot be read.
type unreadable struct{}

func (unreadable) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		must(t, os.WriteFile(dir+"/"+name, []byte(content), 0o600))
		return dir + "/" + name
	}
	newer := dir + "/newer.db"
	d := open(t, newer, Options{})
	must(t, d.w.c.Exec("PRAGMA user_version = 99"))
	d.Close()
	foreign := dir + "/foreign.db"
	c, err := sqlite3.Open("file:" + foreign)
	must(t, err)
	must(t, c.Exec("CREATE TABLE theirs (a)"))
	c.Close()
	for _, test := range []struct {
		name, path string
		readOnly   bool
		want       error
	}{
		{"missing", dir + "/absent.db", true, store.ErrMissing},
		{"no directory", dir + "/absent/log.db", false, os.ErrNotExist},
		{"text", file("text", strings.Repeat("this is a mail log\n", 100)), false, store.ErrForeign},
		{"text, read", file("text2", strings.Repeat("this is a mail log\n", 100)), true, store.ErrForeign},
		{"foreign", foreign, false, store.ErrForeign},
		{"foreign, read", foreign, true, store.ErrForeign},
		{"newer", newer, false, store.ErrNewer},
		{"newer, read", newer, true, store.ErrNewer},
		{"directory", dir, false, nil},
	} {
		before, _ := os.ReadFile(test.path)
		d, err := Open(t.Context(), test.path, Options{ReadOnly: test.readOnly})
		if err == nil {
			d.Close()
			t.Errorf("%s: opened", test.name)
			continue
		}
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %q is not %q", test.name, err, test.want)
		}
		if !strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: error %q does not name the file", test.name, err)
		}
		if after, _ := os.ReadFile(test.path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", test.name)
		}
	}
	if _, err := os.Stat(dir + "/absent.db"); err == nil {
		t.Error("opening for reading made a database")
	}
	// An empty file is a database without tables.
	sound(t, open(t, file("empty", ""), Options{}))
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root, permissions do not hold: a read-only mount would be needed")
	}
	dir := t.TempDir() + "/ro"
	must(t, os.Mkdir(dir, 0o500))
	d, err := Open(t.Context(), dir+"/log.db", Options{})
	if err == nil {
		d.Close()
		if os.Getuid() != 0 {
			t.Error("made a database in a directory that cannot be written to")
		}
		return
	}
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("error = %v, want permission denied", err)
	}
}

func TestLocked(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{BusyTimeout: 30 * time.Millisecond})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(100))
	before := totals(t, d)
	other, err := sqlite3.Open("file:" + path)
	must(t, err)
	defer other.Close()
	must(t, other.Exec("BEGIN IMMEDIATE"))
	b := tr.Batch(100)
	for range 2 {
		if err := storetest.Put(t.Context(), d, b); !errors.Is(err, store.ErrLocked) {
			t.Fatalf("Append = %v, want ErrLocked", err)
		}
	}
	// Readers are not affected.
	if got := totals(t, d); got != before {
		t.Errorf("Totals = %+v, want %+v", got, before)
	}
	must(t, other.Exec("ROLLBACK"))
	storetest.Append(t, d, b)
	if got := totals(t, d); got.Attempts <= before.Attempts {
		t.Errorf("%d attempts, want more than %d", got.Attempts, before.Attempts)
	}
	sound(t, d)
}

// TestDialLocked checks that opening takes the lock only if there is a setting to change.
func TestDialLocked(t *testing.T) {
	path := t.TempDir() + "/log.db"
	must(t, open(t, path, Options{}).Close())
	other, err := sqlite3.Open("file:" + path)
	must(t, err)
	defer other.Close()
	for _, begin := range []string{"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		must(t, other.Exec(begin))
		d := &DB{dbFile: dbFile{path}, opts: Options{migrations: migrations, version: schemaVersion}}
		c, err := d.dialWriter(t.Context())
		if err != nil {
			t.Errorf("%s: %v", begin, err)
		} else {
			must(t, c.Close())
		}
		sound(t, open(t, path, Options{ReadOnly: true}))
		must(t, other.Exec("ROLLBACK"))
	}
	sound(t, open(t, path, Options{}))
}

// TestOthersWrite lets another process store batches between the commits of a Writer, then appends
// a batch that does not fit. The Writer must clear its cached dictionaries and lose nothing that
// was committed.
func TestOthersWrite(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d, other, alone := open(t, path, Options{}), open(t, path, Options{}), open(t, t.TempDir()+"/alone.db", Options{})
	tr, others := storetest.NewTraffic(1), storetest.NewTraffic(2)
	others.Source = "another"
	w, err := d.Write(t.Context())
	must(t, err)
	for range 4 {
		b, theirs := tr.Batch(100), others.Batch(100)
		must(t, w.Append(t.Context(), b))
		must(t, w.Commit(t.Context()))
		storetest.Append(t, other, theirs)
		storetest.Append(t, alone, b, theirs)
	}
	must(t, w.Close())
	if diff := cmp.Diff(totals(t, alone), totals(t, d)); diff != "" {
		t.Errorf("Totals (-undisturbed +others):\n%s", diff)
	}
	sound(t, d)

	before := totals(t, d)
	pages, err := d.w.c.Number("PRAGMA page_count")
	must(t, err)
	must(t, d.w.c.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+4)))
	b := tr.Batch(3000)
	if err := storetest.Put(t.Context(), d, b); !errors.Is(err, store.ErrFull) {
		t.Errorf("error = %v, want ErrFull", err)
	}
	if got := totals(t, d); got != before {
		t.Errorf("Totals = %+v, want %+v", got, before)
	}
	must(t, d.w.c.Exec("PRAGMA max_page_count = 1000000"))
	storetest.Append(t, d, b)
	sound(t, d)
}

func TestDamaged(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	storetest.Append(t, d, storetest.NewTraffic(1).Batch(3000))
	root, err := d.w.c.Number("SELECT pgno FROM dbstat WHERE name = 'delivery' AND pagetype = 'leaf' LIMIT 1 OFFSET 3")
	if err != nil { // built without dbstat
		root, err = d.w.c.Number("SELECT rootpage FROM sqlite_schema WHERE name = 'delivery'")
	}
	must(t, err)
	size, err := d.w.c.Number("PRAGMA page_size")
	must(t, err)
	must(t, d.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), (root-1)*size)
	must(t, err)
	must(t, f.Close())
	d = open(t, path, Options{})
	var found error
	r, err := d.Read(t.Context())
	must(t, err)
	for _, err := range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
		if err != nil {
			found = err
		}
	}
	must(t, r.Close())
	if !errors.Is(found, store.ErrDamaged) {
		t.Errorf("reading a damaged page: %v, want ErrDamaged", found)
	}
	problems, err := d.Check(t.Context())
	if len(problems) == 0 {
		t.Errorf("Check found nothing (%v)", err)
	}
	// The batches already stored are still there.
	if got := totals(t, d); got.Attempts < 2500 {
		t.Errorf("Totals = %+v", got)
	}
}

// TestFull fills a small file system.
func TestFull(t *testing.T) {
	dir := t.TempDir() + "/small"
	must(t, os.Mkdir(dir, 0o755))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a tmpfs (%v): run as root", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	d := open(t, dir+"/log.db", Options{})
	defer d.Close()
	tr := storetest.NewTraffic(1)
	for range 100 {
		before := totals(t, d)
		b := tr.Batch(500)
		err := storetest.Put(t.Context(), d, b)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("Append = %v, want ErrFull", err)
		}
		if got := totals(t, d); got != before {
			t.Errorf("Totals = %+v, want %+v as before", got, before)
		}
		sound(t, d)
		// With space available again, the same batch is stored.
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"))
		storetest.Append(t, d, b)
		sound(t, d)
		return
	}
	t.Fatal("the file system never was full")
}

// dump returns the rollup tables as text, with ids replaced by names.
func dump(t testing.TB, d *DB) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for name, sql := range map[string]string{
		"route": `SELECT group_concat(x, char(10)) FROM (SELECT (c.key >> $PERIOD_SHIFT) || ' ' || n.text || ' ' || coalesce(h.text, '') || ' ' || coalesce(r.ip, '') || ' ' || (c.key & $KIND_MASK) || ': ' ||
			c.n || ' ' || c.messages || ' ' || c.pairs || ' ' || c.nulls || ' ' || c.retry AS x FROM rollup_route AS c JOIN route AS r ON r.id = c.key >> $DIM_SHIFT & $MAX_ID
			JOIN name AS n ON n.id = r.domain LEFT JOIN name AS h ON h.id = r.host ORDER BY x)`,
		"deliveries": `SELECT group_concat(x, char(10)) FROM (SELECT time || ' ' || coalesce(queue_id, '') || ' ' || recipient || ' ' || offset || ' ' || outcome || ' ' || response || ' ' || coalesce(message_id, '') AS x
			FROM deliveries ORDER BY x)`,
	} {
		c, done, err := d.readConn(t.Context())
		must(t, err)
		v, err := c.One(layoutSQL(sql))
		done()
		must(t, err)
		out[name] = str(v)
	}
	return out
}

// TestReopen closes and opens the database between batches, and expects the same contents as in a
// database that stayed open.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	whole := open(t, dir+"/whole.db", Options{})
	tr, again := storetest.NewTraffic(1), storetest.NewTraffic(1)
	tr.PerSecond, again.PerSecond = 0.003, 0.003 // days
	for i := range 20 {
		storetest.Append(t, whole, tr.Batch(300))
		d := open(t, dir+"/parts.db", Options{})
		storetest.Append(t, d, again.Batch(300))
		if i == 10 {
			sound(t, d)
		}
		histories(t, d)
		must(t, d.Close())
	}
	parts := open(t, dir+"/parts.db", Options{ReadOnly: true})
	same(t, whole, parts)
	sound(t, whole)
	histories(t, whole)
}

// TestSmallCaches makes every cache overflow repeatedly.
func TestSmallCaches(t *testing.T) {
	dir := t.TempDir()
	whole, small := open(t, dir+"/whole.db", Options{}), open(t, dir+"/small.db", Options{})
	tr, again := storetest.NewTraffic(1), storetest.NewTraffic(1)
	tr.PerSecond, again.PerSecond = 0.003, 0.003 // days
	for range 10 {
		storetest.Append(t, whole, tr.Batch(500))
		w := small.w
		for _, max := range []*int{&w.names.known.max, &w.routes.known.max, &w.replies.known.max, &w.addresses.known.max, &w.texts.known.max, &w.messages.known.max} {
			*max = 20
		}
		storetest.Append(t, small, again.Batch(500))
	}
	same(t, whole, small)
	histories(t, small)
	n, err := small.w.c.Number("SELECT count(*) - count(DISTINCT domain || ' ' || local) FROM address")
	must(t, err)
	if n != 0 {
		t.Errorf("%d addresses are there twice", n)
	}
}

func TestCheckFinds(t *testing.T) {
	for _, damage := range []string{
		"UPDATE rollup_route SET n = n + 1 WHERE key = (SELECT min(key) FROM rollup_route)",
		"DELETE FROM rollup_total",
		"UPDATE rollup_total SET n = n - 1 WHERE key = (SELECT min(key) FROM rollup_total)",
		"DELETE FROM rollup_sender WHERE key = (SELECT max(key) FROM rollup_sender)",
		"UPDATE rollup_origin SET pairs = pairs - 1",
		"DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery)",
		"PRAGMA foreign_keys = OFF; DELETE FROM route WHERE id = 3",
		"DELETE FROM address WHERE id = 1",
		"DELETE FROM name_key WHERE key & $MAX_ID = 1",
		"DELETE FROM pending",
		"UPDATE pair SET state = $STATE_PENDING WHERE state = 1",
		"DELETE FROM text",
		"UPDATE warning SET text = 99999",
		"UPDATE source SET position = 5",
		"DELETE FROM failure WHERE id = (SELECT min(id) FROM pair)",
		"DELETE FROM refusal WHERE id = (SELECT max(id) FROM refusal)",
		"UPDATE fault SET recipient = recipient + 1 WHERE id = (SELECT min(id) FROM fault)",
		"INSERT INTO fault SELECT id, at, recipient, reply, before FROM refusal LIMIT 1",
		"UPDATE refusal SET original = 1 WHERE original IS NULL",
		"UPDATE message_end SET origin = 99 WHERE id = (SELECT min(id) FROM message_end)",
		"UPDATE message_end SET id = (77 << $OFFSET_BITS) | 1 WHERE id = (SELECT min(id) FROM message_end)",
	} {
		d := open(t, "", Options{Temporary: true})
		tr := storetest.NewTraffic(1)
		tr.PerSecond = 0.003 // days
		storetest.Append(t, d, tr.Batch(2000))
		tr = storetest.NewTraffic(2)
		tr.Source, tr.PerSecond = "second", 1
		storetest.Append(t, d, tr.Batch(2000))
		sound(t, d)
		must(t, d.w.c.Exec(layoutSQL(damage)))
		problems, err := d.Check(t.Context())
		must(t, err)
		if len(problems) == 0 {
			t.Errorf("Check does not notice: %s", damage)
		}
	}
}

func TestPrune(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{KeepMessageIDs: true})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.02 // days
	for range 20 {
		storetest.Append(t, d, tr.Batch(1000))
	}
	var span store.Span
	ask(t, d, func(r store.Reader) {
		var err error
		span, err = r.Span(t.Context(), store.Filter{})
		must(t, err)
	})
	cut := span.First.Add(span.Last.Sub(span.First) / 2)
	day := cut.Truncate(24 * time.Hour)
	keep := storetest.Totals(t, d, store.Filter{Since: day})
	size := fileSize(t, d, path)

	removed, err := d.Prune(t.Context(), cut)
	must(t, err)
	if removed < 5000 {
		t.Errorf("removed %d attempts", removed)
	}
	sound(t, d)
	// Pairs pending since before the prune are no longer counted.
	got := totals(t, d)
	if diff := cmp.Diff(keep, got); diff != "" {
		t.Errorf("Totals (-since the day +left):\n%s", diff)
	}
	if left := fileSize(t, d, path); left > size*3/4 {
		t.Errorf("%d bytes are left of %d", left, size)
	}
	// The source is kept, and more of it can be appended.
	sources := coverage(t, d).Sources
	if len(sources) != 1 {
		t.Errorf("Sources = %+v", sources)
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
	if removed, err = d.Prune(t.Context(), span.Last.Add(1000*time.Hour)); err != nil || removed == 0 {
		t.Errorf("Prune of all = %d, %v", removed, err)
	}
	sound(t, d)
	if got := totals(t, d); got != (store.Counts{}) {
		t.Errorf("Totals = %+v, want none", got)
	}
	for _, table := range []string{"address", "name", "route", "reply", "text", "message_id", "pair", "pending", "recovery", "failing", "original", "warning", "delivery_message", "chunk"} {
		if n, err := d.w.c.Number("SELECT count(*) FROM " + table); err != nil || n != 0 {
			t.Errorf("%s: %d rows are left (%v)", table, n, err)
		}
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

// TestPruneOfTwoLogs prunes a database written from two logs in turn, so that rows were inserted
// between others and have moved. No copy of a pruned name may be left in free space of a page.
func TestPruneOfTwoLogs(t *testing.T) {
	for _, size := range [...]int{1, 3, 10, 40} { // rows of one log in a commit
		path := t.TempDir() + "/log.db"
		d := open(t, path, Options{})
		var offsets [2]int64
		n := 0
		add := func(at time.Time, name string) {
			for log := range offsets {
				id := fmt.Sprintf("log%d", log)
				var b store.Batch
				for range size {
					n++
					offsets[log] += 200
					who := fmt.Sprintf("%s%06d", name, n)
					a := store.Attempt{Delivery: bounce.Delivery{
						Source: id, Offset: offsets[log], Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp", QueueID: fmt.Sprintf("%X", n),
						Sender: who + "s@sender.example", SenderDomain: "sender.example", SenderKnown: true, Recipient: who + "@rcpt.example", RecipientDomain: "rcpt.example",
						MessageID: "<" + who + "m@sender.example>", SASLUser: who + "u", RelayHost: "mx.rcpt.example", RelayIP: "192.0.2.25", RelayPort: 25,
						Outcome: bounce.Hard, Status: "bounced", Code: 550, Response: "550 no " + who + strings.Repeat(" and more", n%30),
						Warning: "postfix/local: warning: no /home/" + who,
					}}
					a.Reason, a.Template = bounce.UserUnknown, bounce.TemplateOf(&a.Delivery)
					b.Attempts = append(b.Attempts, a)
					b.Unparsed = append(b.Unparsed, store.Unparsed{Source: id, Offset: offsets[log] + 100, Time: at, Text: "what is to=<" + who + ">" + strings.Repeat(" and more", n%50)})
					b.Opened = append(b.Opened, bounce.Message{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: fmt.Sprintf("O%X", n), Time: at, Sender: who + "o@sender.example"})
					if n%3 > 0 {
						b.Closed = append(b.Closed, store.MessageKey{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: fmt.Sprintf("O%X", max(1, n-7*size))})
					}
				}
				b.Sources = []store.Source{{ID: id, Offset: offsets[log] + 200}}
				storetest.Append(t, d, &b)
			}
		}
		day := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
		for n < 600 {
			add(day, "zqn")
		}
		for n < 800 {
			add(day.AddDate(0, 0, 4), "stays")
		}
		removed, err := d.Prune(t.Context(), day.AddDate(0, 0, 2))
		must(t, err)
		if removed < 600 {
			t.Errorf("removed %d attempts", removed)
		}
		sound(t, d)
		d.Close()
		content, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Contains(content, []byte("stays000")) {
			t.Error("nothing is left")
		}
		found := regexp.MustCompile(`.{0,20}zqn[0-9]{6}.{0,20}`).FindAll(content, -1)
		if len(found) > 0 {
			t.Errorf("%d rows in a commit: %d pruned names are left, as %q", size, len(found), found[0])
		}
	}
}

// TestStrayTimes stores, between other attempts, some with the times of a wrong clock, as older
// versions did. Check must name them, and removing them must leave the same contents as without
// them.
func TestStrayTimes(t *testing.T) {
	dir := t.TempDir()
	d, without := open(t, dir+"/log.db", Options{}), open(t, dir+"/without.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.02
	stray := int64(0)
	for i := range 8 {
		b := tr.Batch(500)
		storetest.Append(t, without, b)
		s := storetest.NewTraffic(uint64(100 + i)).Batch(50)
		for j := range s.Attempts {
			a := &s.Attempts[j]
			a.Time = [...]time.Time{
				time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1989, 12, 31, 23, 0, 0, 0, time.UTC), time.Now().Add(72 * time.Hour),
				time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
			}[j%5]
			a.Source, a.QueueID = fmt.Sprintf("stray%d", i), fmt.Sprintf("%05X", 0xE0000+i*100+j)
			// The stray attempts share recipients with the others.
			a.Recipient, a.RecipientDomain = b.Attempts[j].Recipient, b.Attempts[j].RecipientDomain
		}
		stray += int64(len(s.Attempts))
		s.Expiries, s.Ends = nil, nil
		s.Sources[0].ID = fmt.Sprintf("stray%d", i)
		s.Sources[0].Last = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
		storetest.Append(t, d, s)
		storetest.Append(t, d, b)
	}
	problems, err := d.Check(t.Context())
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0], "before 1990 or after tomorrow") || !strings.Contains(problems[0], fmt.Sprint(": ", stray)) {
		t.Errorf("Check: %q, %v", problems, err)
	}
	removed, err := d.PruneStrayTimes(t.Context(), time.Now())
	if err != nil || removed != stray {
		t.Errorf("PruneStrayTimes = %d, %v, want %d", removed, err, stray)
	}
	sound(t, d)
	histories(t, d)
	for _, s := range coverage(t, d).Sources {
		if s.Last.After(time.Now()) {
			t.Errorf("%s: the last line is of %v", s.ID, s.Last)
		}
	}
	ask(t, d, func(r store.Reader) {
		span, err := r.Span(t.Context(), store.Filter{})
		if err != nil || span.First.Year() != 2026 || span.Last.After(time.Now()) {
			t.Errorf("Span: %v, %v", span, err)
		}
	})
	if a, b := totals(t, without), totals(t, d); a.Attempts != b.Attempts || a.Delivered != b.Delivered || a.Hard != b.Hard {
		t.Errorf("%+v, without strays %+v", b, a)
	}
	for table, sql := range map[string]string{
		"deliveries": "SELECT max(last) FROM address", "recoveries": "SELECT max(at) FROM recovery", "failures": "SELECT max(at) FROM failing", "chunks": "SELECT max(until) FROM chunk",
	} {
		if n, err := d.w.c.Number(sql); err != nil || n >= latest(time.Now()) {
			t.Errorf("%s: up to %d, %v", table, n, err)
		}
	}
	if removed, err = d.PruneStrayTimes(t.Context(), time.Now()); err != nil || removed != 0 {
		t.Errorf("once more: %d, %v", removed, err)
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

func fileSize(t testing.TB, d *DB, path string) int64 {
	t.Helper()
	if !d.w.q.Cut(0) {
		t.Fatal("the write-ahead log is in use")
	}
	st, err := os.Stat(path)
	must(t, err)
	return st.Size()
}

func TestRejudge(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 1
	for range 5 {
		storetest.Append(t, d, tr.Batch(1000))
	}
	before := totals(t, d)
	judged := 0
	judge := func(d *bounce.Delivery, _ string) bounce.Verdict {
		judged++
		if strings.Contains(d.Response, "Greylisted") {
			return bounce.Verdict{Reason: bounce.RateLimited, Detail: "new", Scope: bounce.ScopeRemote, Rule: "test", Confidence: bounce.ProviderCode}
		}
		if strings.Contains(d.Response, "retry timeout") {
			return bounce.Verdict{Reason: bounce.Unknown}
		}
		return bounce.Verdict{Reason: bounce.Policy}
	}
	changed, err := d.Rejudge(t.Context(), judge)
	must(t, err)
	if changed == 0 || judged > 200 {
		t.Errorf("changed %d, judged %d", changed, judged)
	}
	sound(t, d)
	after := totals(t, d)
	if after.Expired >= before.Expired {
		t.Errorf("Expired = %d, was %d", after.Expired, before.Expired)
	}
	after.Expired = before.Expired
	if after != before {
		t.Errorf("Totals = %+v, want %+v", after, before)
	}
	var names []string
	for _, g := range countBy(t, d, store.ByReason) {
		names = append(names, g.Keys[0])
	}
	slices.Sort(names)
	if want := []string{"", "expired", "policy", "rate_limited", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("reasons %q, want %q", names, want)
	}
	if changed, err = d.Rejudge(t.Context(), judge); err != nil || changed != 0 {
		t.Errorf("the second time: %d, %v", changed, err)
	}
	// A deferral without an attempt takes the verdict of the attempt before it.
	n, err := d.w.c.Number("SELECT count(*) FROM reply AS r JOIN reply AS l ON l.id = r.last_try WHERE r.rule IS l.rule AND r.detail IS 'new'")
	must(t, err)
	if n == 0 {
		t.Error("no deferral without an attempt has the new verdict")
	}
	if n, err = d.w.c.Number("SELECT count(*) FROM reply AS r JOIN reply AS l ON l.id = r.last_try WHERE r.kind <> l.kind OR r.rule IS NOT l.rule"); err != nil || n != 0 {
		t.Errorf("%d deferrals without an attempt have another verdict than the attempt before, %v", n, err)
	}
	// Later attempts get the new verdict too.
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

// TestRejudgeSituation checks that Rejudge uses the stored situation.
func TestRejudgeSituation(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	a := store.Attempt{
		Delivery: bounce.Delivery{
			Source: "log", Time: time.Unix(1e9, 0), QueueID: "1", Recipient: "a@b.example", RecipientDomain: "b.example", RelayHost: "mx.b.example",
			Outcome: bounce.Soft, Response: "not now",
		},
		Template: bounce.Template{Text: "not now", Situation: "behind a filter"},
	}
	storetest.Append(t, d, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: 10}}})
	var got string
	_, err := d.Rejudge(t.Context(), func(_ *bounce.Delivery, situation string) bounce.Verdict {
		got = situation
		return bounce.Verdict{}
	})
	must(t, err)
	if got != a.Template.Situation {
		t.Errorf("judged in the situation %q, want %q", got, a.Template.Situation)
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(2000))
	want := totals(t, d)
	// The writer is in the middle of a batch.
	must(t, d.w.c.Exec("BEGIN IMMEDIATE; DELETE FROM delivery"))
	must(t, d.Backup(t.Context(), dir+"/copy.db"))
	must(t, d.w.c.Exec("ROLLBACK"))
	if err := d.Backup(t.Context(), dir+"/copy.db"); err == nil {
		t.Error("a backup was overwritten")
	}
	c := open(t, dir+"/copy.db", Options{ReadOnly: true})
	sound(t, c)
	if got := totals(t, c); got != want {
		t.Errorf("Totals of the backup = %+v, want %+v", got, want)
	}
	names, _ := filepath.Glob(dir + "/*.part*")
	if len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestPseudonyms(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{Pseudonymize: true})
	tr := storetest.NewTraffic(1)
	var bs []*store.Batch
	for range 3 {
		bs = append(bs, tr.Batch(500))
		storetest.Append(t, d, bs[len(bs)-1])
	}
	d.Close()
	// Pseudonymize was set when the database was created, and still applies.
	d = open(t, path, Options{})
	bs = append(bs, tr.Batch(500))
	storetest.Append(t, d, bs[3])
	n := make(map[string]int) // attempts by recipient
	for _, b := range bs {
		for _, a := range b.Attempts {
			n[a.Recipient]++
		}
	}
	for r, want := range n {
		if want < 5 {
			continue
		}
		names := make(map[string]bool)
		got := 0
		for _, a := range attempts(t, d, store.Filter{Recipients: []string{r}}) {
			if a.Status != "expired" {
				got++
			}
			names[a.Recipient] = true
			if strings.Contains(a.Response, r) {
				t.Errorf("%s stands in %q", r, a.Response)
			}
		}
		if got != want || len(names) != 1 || names[r] {
			t.Errorf("%s: %d attempts as %v, want %d", r, got, names, want)
		}
		for name := range names {
			if c := storetest.Totals(t, d, store.Filter{Recipients: []string{name}}); c.Attempts == 0 {
				t.Errorf("%s cannot be asked for: %+v", name, c)
			}
		}
	}
	sound(t, d)
	d.Close()
	content, err := os.ReadFile(path)
	must(t, err)
	if i := bytes.Index(content, []byte("rcpt.")); i >= 0 {
		t.Errorf("a local part stands in the file: %q", content[max(i-20, 0):i+20])
	}
}

func TestKeepMessageIDs(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{KeepMessageIDs: true})
	b := storetest.NewTraffic(1).Batch(300)
	storetest.Append(t, d, b)
	for _, a := range b.Attempts {
		n := 0
		for _, x := range attempts(t, d, store.Filter{MessageID: a.MessageID}) {
			if x.MessageID == a.MessageID && x.Recipient == a.Recipient {
				n++
			}
		}
		if n == 0 {
			t.Fatalf("%s of %s is not found", a.MessageID, a.Recipient)
		}
	}
	sound(t, d)
}

// TestMessageHash finds every attempt of a message by its Message-ID: in full chunks, in a partial
// one, and after the database was reopened.
func TestMessageHash(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	want := make(map[string]int)
	var ids []string
	for range 3 {
		b := tr.Batch(chunkRows / 2)
		for i := range b.Attempts {
			id := b.Attempts[i].MessageID
			if want[id]++; i%500 == 0 {
				ids = append(ids, id)
			}
		}
		storetest.Append(t, d, b)
		must(t, d.Close())
		d = open(t, path, Options{})
		for _, id := range ids {
			n := 0
			for _, a := range attempts(t, d, store.Filter{MessageID: id}) {
				if a.MessageID != id {
					t.Errorf("an attempt of %q instead of %q", a.MessageID, id)
				}
				if a.Status != "expired" {
					n++
				}
			}
			if n != want[id] {
				t.Errorf("%d attempts of %q, want %d", n, id, want[id])
			}
		}
	}
	sound(t, d)
}

// TestEndsAndTLS reads the ends of messages and the TLS results from the views.
func TestEndsAndTLS(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.2
	ends, tls := make(map[string]int64), make(map[string]int64)
	for range 3 {
		b := tr.Batch(3000)
		storetest.Append(t, d, b)
		for _, e := range b.Ends {
			ends[string(e.Event)]++
		}
		for i := range b.Attempts {
			if x := b.Attempts[i].TLS; x != "" {
				tls[x]++
			}
		}
	}
	read := func(sql string) map[string]int64 {
		got := make(map[string]int64)
		must(t, d.w.c.Each(func(row []driver.Value) error {
			got[str(row[0])] = num(row[1])
			return nil
		}, sql))
		return got
	}
	if got := read("SELECT event, count(*) FROM message_ends GROUP BY 1"); len(ends) != 4 || !maps.Equal(got, ends) {
		t.Errorf("ends %v, want %v", got, ends)
	}
	if got := read("SELECT tls, count(*) FROM deliveries WHERE tls IS NOT NULL GROUP BY 1"); len(tls) != 3 || !maps.Equal(got, tls) {
		t.Errorf("TLS results %v, want %v", got, tls)
	}
	states := read("SELECT 'state ' || state, count(*) FROM pair GROUP BY 1")
	for _, state := range []int{removed, discarded, completed} {
		if states[fmt.Sprint("state ", state)] == 0 {
			t.Errorf("no pair of state %d: %v", state, states)
		}
	}
	sound(t, d)
}

func TestPack(t *testing.T) {
	for _, s := range []string{"", "A", "ABCD", "ABCDE", "00000", "0000000000000F", "0123456789ABCD", "0123456789ABCDE", "abcdef", "ABCDEG", "4ZyXwv1Tz0zKjq", "1tgTHm-0008RQ-4q", "-1", "é"} {
		if got := queueText(queueValue(s)); got != s {
			t.Errorf("queue id %q came back as %q", s, got)
		}
	}
	for _, s := range []string{"", "deadbeef", "deadbeefe", "DEADBEEF", "0123456789abcdef", "x", "é"} {
		if got := messageText(packHex(s), nil); got != s {
			t.Errorf("message id %q came back as %q", s, got)
		}
	}
	for _, x := range []float64{-1, 0, 0.01, 0.95, 9.9, 99.99, 100, 101, 3600, 432000} {
		if got := delayOf(delayCode(x)); got != x {
			t.Errorf("delay %v came back as %v", x, got)
		}
	}
	for _, x := range []float64{0, 0.004, 0.005, 0.49499, 99.99, 99.994, 99.995, 99.999, 100, 100.49, 100.5, 1e8 + .5, 1e9, 1e12, math.Inf(1), math.NaN(), math.Inf(-1)} {
		if got, want := delayOf(delayCode(x)), store.RoundDelay(x); got != want {
			t.Errorf("delay %v came back as %v, want %v", x, got, want)
		}
	}
}

// FuzzResponse stores a response and reads it back, through Go and through the view.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <user@example.org>: User unknown", "450 {brace} {addr} 192.0.2.1", "{", "}", "a {id} b", "\x05a", "4.2.0 mx.example.org[192.0.2.25]", "s@sender.example  x",
		"550-5.7.1 [192.0.2.1      12] Our system 550-5.7.1 e9e14a558f8ab-1f0 - gsmtp", "a\x00\x01\xff",
		strings.Repeat("{", 2339) + "abcde{brace", // its template is cut within a token
		strings.Repeat("x ", 8191) + "77",         // the same
	} {
		f.Add(s)
	}
	d, err := Open(context.Background(), "", Options{Temporary: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	offset := int64(0)
	f.Fuzz(func(t *testing.T, s string) {
		offset += 10
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: offset, Time: time.Unix(1772409600, 0), QueueID: fmt.Sprint(offset), Outcome: bounce.Soft,
			Sender: "s@sender.example", SenderDomain: "sender.example", SenderKnown: true,
			Recipient: "user@example.org", RecipientDomain: "example.org", RelayHost: "mx.example.org", RelayIP: "192.0.2.25", Response: s,
		}}
		storetest.Append(t, d, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: offset + 10}}})
		want := store.Clean(s, store.MaxResponse)
		for _, x := range attempts(t, d, store.Filter{QueueID: a.QueueID}) {
			if x.Response != want {
				t.Errorf("%q came back as %q", want, x.Response)
			}
		}
		rows, err := d.Query(t.Context(), "SELECT response FROM deliveries WHERE offset = "+fmt.Sprint(offset))
		must(t, err)
		defer rows.Close()
		row, err := rows.Next()
		must(t, err)
		if row[0] != want {
			t.Errorf("the view has %q for %q", row[0], want)
		}
	})
}

// TestReadOnlyPlace checks that a user without write permission on the database and its directory
// can read a database that nobody writes to.
func TestReadOnlyPlace(t *testing.T) {
	if os.Geteuid() == 0 {
		if os.Getenv("BOUNCELOG_READ") == "" {
			asNobody(t)
			return
		}
	}
	path := os.Getenv("BOUNCELOG_READ")
	if path == "" {
		dir := t.TempDir()
		path = filepath.Join(dir, "test.db")
		makeAtRest(t, path)
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o755) })
	}
	db, err := Open(context.Background(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	coverage(t, db)
}

func makeAtRest(t *testing.T, path string) {
	t.Helper()
	db, err := Open(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
}

// asNobody runs TestReadOnlyPlace again as a user to whom file permissions apply.
func asNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bouncelog-readonly-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "test.db")
	makeAtRest(t, path)
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	test := filepath.Join(dir, "sqlite.test")
	if err := os.WriteFile(test, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(test, "-test.run", "^TestReadOnlyPlace$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "BOUNCELOG_READ="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestTwoWriters checks that an import and the daemon may write side by side: each of two open
// databases stores what the other has not stored.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	one, two := open(t, path, Options{}), open(t, path, Options{})
	for i := range 20 {
		db, source := one, "daemon"
		if i%2 == 1 {
			db, source = two, "import"
		}
		b := &store.Batch{Sources: []store.Source{{ID: source, Path: source, Offset: int64(i+1) * 1000, Lines: 1, Delivery: 1, Attempts: 1}}}
		b.Attempts = append(b.Attempts, store.Attempt{
			Delivery: bounce.Delivery{
				Source: source, Offset: int64(i) * 1000, Time: time.Unix(1_790_000_000+int64(i), 0), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix",
				Agent: "smtp", QueueID: fmt.Sprintf("A%09d", i), Recipient: fmt.Sprintf("u%d@d%d.example", i, i), RecipientDomain: fmt.Sprintf("d%d.example", i),
				RelayHost: fmt.Sprintf("mx.d%d.example", i), Status: "bounced", Outcome: bounce.Hard, Code: 550, Response: fmt.Sprintf("550 refusal of the kind %c", 'a'+i), Delay: 1,
			},
			Verdict: bounce.Verdict{Reason: bounce.Policy, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.CodeOnly},
		})
		storetest.Append(t, db, b)
	}
	problems, err := one.Check(t.Context())
	must(t, err)
	if len(problems) > 0 {
		t.Fatalf("the check finds %q", problems)
	}
	groups := countBy(t, two, store.ByDomain)
	if len(groups) != 20 {
		t.Errorf("%d domains are stored, want 20", len(groups))
	}
}

// TestBounded stores more programs and unparsed lines than the database keeps.
func TestBounded(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	const batches, each = 5, 600
	for i := range int64(batches) {
		b := &store.Batch{Sources: []store.Source{{ID: "s", Offset: (i + 1) * each}}}
		for j := range int64(each) {
			n := i*each + j
			b.Skipped = append(b.Skipped, store.Skipped{Program: fmt.Sprint("invented", n), Lines: 2}, store.Skipped{Program: "postfix/smtpd", Lines: 1})
			b.Unparsed = append(b.Unparsed, store.Unparsed{Source: "s", Offset: n, Text: fmt.Sprint("line ", n)})
		}
		storetest.Append(t, d, b)
	}
	c := coverage(t, d)
	skipped, unparsed := c.Skipped, c.Unparsed
	lines := make(map[string]int64)
	for _, s := range skipped {
		lines[s.Program] = s.Lines
	}
	const programs = 2000 - 2 // without "(others)" and postfix/smtpd
	if len(skipped) != 2000 || lines["postfix/smtpd"] != batches*each || lines["(others)"] != 2*(batches*each-programs) {
		t.Errorf("%d programs, %d lines of postfix/smtpd, %d of others", len(skipped), lines["postfix/smtpd"], lines["(others)"])
	}
	if len(unparsed) != 1000 {
		t.Errorf("%d lines that were not understood, want 1000", len(unparsed))
	}
	sound(t, d)
}

func TestMayHold(t *testing.T) {
	filter := make([]byte, 500)
	for id := range int64(500) {
		addKey(filter, recipientKey(id))
	}
	strangers := 0
	for id := range int64(500) {
		if !mayHold(filter, recipientKey(id)) {
			t.Errorf("recipient %d is not found", id)
		}
		if mayHold(filter, recipientKey(1000+id)) {
			strangers++
		}
	}
	if strangers > 25 {
		t.Errorf("%d of 500 strangers are let through", strangers)
	}
	if mayHold(nil, 1) || mayHold([]byte{}, 1) {
		t.Error("something is held where there is no filter")
	}
}

// TestCheckpoints stores many small batches. Without checkpoints between them the write-ahead log
// would grow to many times this size.
func TestCheckpoints(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	var largest int64
	for range 1000 {
		storetest.Append(t, d, tr.Batch(20))
		st, err := os.Stat(path + "-wal")
		must(t, err)
		largest = max(largest, st.Size())
	}
	if largest > 100<<20 {
		t.Errorf("the write-ahead log grew to %d bytes", largest)
	}
	t.Logf("%d bytes", largest)
	sound(t, d)
}

// TestAcceptedReplies stores responses of accepted mail with the same beginning. They must share
// one row, even after the database was reopened.
func TestAcceptedReplies(t *testing.T) {
	path := t.TempDir() + "/log.db"
	n := int64(0)
	batch := func(responses ...string) *store.Batch {
		b := new(store.Batch)
		for _, r := range responses {
			n++
			b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
				Source: "a", Offset: n, Time: time.Unix(1.7e9+n, 0), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%05X", n),
				Recipient: "a@b.example", RecipientDomain: "b.example", Outcome: bounce.Delivered, Status: "sent", Response: r,
			}})
		}
		b.Sources = []store.Source{{ID: "a", Offset: n + 1}}
		return b
	}
	d := open(t, path, Options{})
	storetest.Append(t, d, batch("250 2.0.0 Ok: queued as 4XyZ1a", "250 2.0.0 Ok: queued as ABCDEF", "250 2.0.0 Ok: queued as 4XyZ1a by x1", "250 ok"))
	must(t, d.Close())
	d = open(t, path, Options{})
	storetest.Append(t, d, batch("250 2.0.0 Ok: queued as 9A8B7C", "250 ok"))
	var got []string
	for _, a := range attempts(t, d, store.Filter{}) {
		got = append(got, a.Response)
	}
	const queued = "250 2.0.0 Ok: queued as {id}"
	if diff := cmp.Diff([]string{queued, queued, queued, "250 ok", queued, "250 ok"}, got); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	rows, err := d.w.c.Number("SELECT count(*) FROM reply")
	must(t, err)
	if rows != 2 {
		t.Errorf("%d rows of replies, want 2", rows)
	}
}

// TestWaitingOwnsItsTexts stores a soft failure whose queue id and client are substrings of a long
// line. The ledger must copy them, so that it does not keep the line in memory.
func TestWaitingOwnsItsTexts(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	line := strings.Repeat("1rXyZ0-000abc-DE 2001:db8::7 ", 1000)
	storetest.Append(t, d, &store.Batch{
		Attempts: []store.Attempt{{Delivery: bounce.Delivery{
			Source: "a", Time: time.Unix(1.7e9, 0), Host: "mx1", MTA: bounce.Exim, QueueID: line[:16], ClientIP: line[17:28],
			Recipient: "a@b.example", RecipientDomain: "b.example", Outcome: bounce.Soft, Code: 450, Response: "450 later",
		}}},
		Sources: []store.Source{{ID: "a", Offset: 1}},
	})
	held := func(v any) bool {
		s, ok := v.(string)
		if !ok || s == "" {
			t.Errorf("%v is no text", v)
		}
		at := func(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }
		return at(s) >= at(line) && at(s) < at(line)+uintptr(len(line))
	}
	if len(d.w.queued) != 1 {
		t.Fatalf("%d messages wait, want 1", len(d.w.queued))
	}
	for _, m := range d.w.queued {
		if held(m.queue) || held(m.pairs[0].client) {
			t.Error("a part of the line is remembered")
		}
	}
}

// TestSpans checks that consecutive chunks are read as one span: each span runs a statement, and
// some statements are slow to start.
func TestSpans(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	b := storetest.NewTraffic(1).Batch(12 * chunkRows)
	storetest.Append(t, d, b)
	c, done, err := d.readConn(t.Context())
	must(t, err)
	defer done()
	n := len(b.Attempts)
	q, err := new(counting).query(c, store.Filter{Since: b.Attempts[n/4].Time, Until: b.Attempts[3*n/4].Time})
	must(t, err)
	spans, err := q.spans(c)
	must(t, err)
	if all, err := c.Number("SELECT count(*) FROM chunk"); err != nil || all < 10 || len(spans) > 2 {
		t.Errorf("%d spans of %d chunks; %v", len(spans), all, err)
	}
}
