package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

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

// TestReadWhileMade checks that a database without its tables is reported as locked, not as damaged
// or as another schema.
func TestReadWhileMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.db")
	made := &DB{dbFile: dbFile{path}}
	if err := made.create(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("a database without tables: %v", err)
	}
	w, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// TestNoFile checks that a device or named pipe is not opened, and that no file is left beside it.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{path}
	device := filepath.Join(dir, "device")
	if err := syscall.Mknod(device, syscall.S_IFCHR|0o600, 1<<8|3); err == nil { // as /dev/null; needs root
		paths = append(paths, device)
	}
	for _, path := range paths {
		for _, o := range []Options{{}, {ReadOnly: true}} {
			if db, err := Open(t.Context(), path, o); !errors.Is(err, store.ErrForeign) {
				t.Errorf("%s, %+v: %v", path, o, err)
				if err == nil {
					db.Close()
				}
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(paths) {
		t.Errorf("left: %v, %v", left, err)
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
