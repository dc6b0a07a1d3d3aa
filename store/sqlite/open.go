package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"

	"github.com/pressly/goose/v3"
)

// Open opens the database at path, and makes it where it is missing, unless
// opts.ReadOnly.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.largestLog == 0 {
		opts.largestLog = largestLog
	}
	if opts.migrations == nil {
		opts.migrations, opts.version = migrations, schemaVersion
	}
	opts.migrations = layoutFS{opts.migrations}
	d := &DB{file: file{path}, opts: opts}
	var err error
	switch {
	case opts.Temporary:
		d.path = "temporary database"
		err = d.openTemporary()
	case opts.ReadOnly:
		giveWay(ctx, d.path, opts.GiveWay)
		err = d.openReadOnly()
	default:
		err = d.openWriter(ctx)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *DB) openReadOnly() error {
	if st, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s: %w", d.path, store.ErrMissing)
	} else if err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return fmt.Errorf("open %s: %w: not a regular file", d.path, store.ErrForeign)
	}
	if err := strangersLog(d.path); err != nil {
		return err
	}
	var version int64
	err := fs.ErrPermission
	if !d.opts.atRest || !d.atRest() {
		version, err = d.firstReader("mode", "ro", "_query_only", "1", "_mutex", "no")
	}
	if errors.Is(err, fs.ErrPermission) && d.atRest() {
		// Readers share a file beside the database, which this user may not
		// make. Nobody writes, so it can be read without.
		version, err = d.firstReader("mode", "ro", "_query_only", "1", "_mutex", "no", "immutable", "1")
	}
	if err != nil {
		return err
	}
	// It is made, with all its tables, in one transaction.
	if version == 0 {
		return fmt.Errorf("open %s: %w: another process is making it, or did not finish", d.path, store.ErrLocked)
	}
	if version < d.opts.version {
		return fmt.Errorf("open %s: the database has schema %d and this bouncelog reads %d: open it once for writing", d.path, version, d.opts.version)
	}
	return nil
}

func (d *DB) openWriter(ctx context.Context) error {
	c, err := d.dialWriter(ctx)
	if err != nil {
		return err
	}
	if err := d.startWriter(c); err != nil {
		return err
	}
	if c, err = d.dial(d.address("mode", "rw", "_synchronous", "NORMAL", "_mutex", "no"), nil); err != nil {
		return err
	}
	d.checkpoints = sqlite3.NewCheckpointer(c)
	if err := d.w.q.Checkpoint(d.checkpoints); err != nil {
		return d.wrap("open", err)
	}
	if d.files, err = filesOf(d.path); err != nil {
		return d.wrap("open", err)
	}
	// What is deleted is overwritten: it may be somebody's name.
	return d.wrap("open", d.w.c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d; PRAGMA secure_delete = ON", restingLog)))
}

// dialWriter opens the connection that writes. It asks for the lock only where the
// database has to be made or migrated.
func (d *DB) dialWriter(ctx context.Context) (*sqlite3.Conn, error) {
	if err := d.create(); err != nil {
		return nil, err
	}
	if err := strangersLog(d.path); err != nil {
		return nil, err
	}
	// SQLite would open it for reading only, and say so at the first write.
	if err := syscall.Access(d.path, 2); err != nil { // 2: W_OK
		return nil, fmt.Errorf("open %s for writing: %w", d.path, err)
	}
	d.dsn = d.address("mode", "ro", "_query_only", "1", "_mutex", "no")
	dsn := d.address("mode", "rw", "_journal_mode", "WAL", "_foreign_keys", "1", "_synchronous", "NORMAL", "_cache_size", "-16384", "_mutex", "no")
	want := []pragma{
		{"journal_mode", "wal"},
		{"foreign_keys", int64(1)},
		{"synchronous", int64(1)},
		{"auto_vacuum", int64(2)},
		{"busy_timeout", d.opts.BusyTimeout.Milliseconds()},
	}
	// Whose file it is must be known before anything is written to it.
	version, err := d.fileVersion()
	if err != nil {
		return nil, err
	}
	if version < d.opts.version {
		done, err := alone(d.path)
		if err != nil {
			return nil, err
		}
		defer done()
		if version, err = d.fileVersion(); err != nil { // another process may have been first
			return nil, err
		}
		if 0 < version && version < d.opts.version {
			if err := d.keepCopy(ctx, version); err != nil {
				return nil, err
			}
		}
	}
	if version < d.opts.version {
		if version == 0 {
			if err := d.format(); err != nil {
				return nil, err
			}
		}
		if err := d.migrate(ctx, dsn+"&_locking_mode=EXCLUSIVE"); err != nil {
			return nil, err
		}
	}
	return d.dialAs(sqlite3.OpenWriter, dsn, want)
}

// openTemporary opens SQLite's own temporary database: it lives in memory,
// moves to an unnamed file when it grows, and is gone with its connection.
func (d *DB) openTemporary() error {
	c, err := d.dialAs(sqlite3.OpenWriter, "file:?_foreign_keys=1&_cache_size=-16384", []pragma{{"foreign_keys", int64(1)}})
	if err != nil {
		return err
	}
	err = c.Exec(pageSize + "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")
	files, globErr := fs.Glob(d.opts.migrations, "migrations/*.sql")
	err = errors.Join(err, globErr)
	for _, name := range files {
		if err == nil {
			var text []byte
			if text, err = fs.ReadFile(d.opts.migrations, name); err == nil {
				err = c.Exec(string(text))
			}
		}
	}
	if err != nil {
		c.Close()
		return d.wrap("make", err)
	}
	return d.startWriter(c)
}

// startWriter makes the writer of a connection.
func (d *DB) startWriter(c *sqlite3.Conn) (err error) {
	if d.w, err = newWriter(c, d.opts.Pseudonymize, d.opts.KeepMessageIDs); err != nil {
		c.Close()
		return d.wrap("open", err)
	}
	d.pseudonymized = d.w.pseudonym != nil
	return nil
}

// pageSize is that of a new database, which keeps it. An import is a tenth quicker
// than with SQLite's 4 KiB: half as many pages are written to the log, and from there
// to the file, by two calls each. Larger ones gain nothing more.
const pageSize = "PRAGMA page_size = 8192; "

// format makes a database, without tables, of an empty file.
func (d *DB) format() error {
	c, err := d.dial(d.address("mode", "rw"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return d.wrap("make", c.Exec(pageSize+"PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = WAL"))
}

// fileVersion is version of the file as it is now.
func (d *DB) fileVersion() (int64, error) {
	c, err := d.dial(d.address("mode", "rw"), nil)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return d.version(c)
}

// alone waits until nobody else makes or migrates a database in the directory of
// path: two that do would wait for each other's locks in vain.
func alone(path string) (done func() error, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open directory of the database: %w", err)
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	return dir.Close, nil // which unlocks it
}

// firstReader opens the database for questions and says what schema it has.
func (d *DB) firstReader(query ...string) (version int64, err error) {
	d.dsn = d.address(query...)
	c, err := d.dial(d.dsn, []pragma{{"query_only", int64(1)}, {"busy_timeout", d.opts.BusyTimeout.Milliseconds()}})
	if err != nil {
		return 0, err
	}
	if version, err = d.version(c); err != nil {
		c.Close()
		return 0, err
	}
	d.idle = append(d.idle, c)
	return version, nil
}

// keepCopy keeps the database as it was before it is migrated.
func (d *DB) keepCopy(ctx context.Context, version int64) error {
	to := fmt.Sprintf("%s.schema-%d", d.path, version)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	c, err := d.dial(d.address("mode", "rw"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return d.backup(ctx, c, to)
}

// migrate brings the schema up to date. It is called only where it is not:
// goose takes longer than opening the database does.
func (d *DB) migrate(ctx context.Context, dsn string) error {
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return d.wrap("migrate", err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	dir, err := fs.Sub(d.opts.migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return d.wrap("migrate", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return d.wrap("migrate", err)
	}
	return nil
}

// Close closes the database. What the write-ahead log holds goes into the file,
// unless somebody else has it open.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	for _, c := range d.idle {
		c.Close()
	}
	d.idle = nil
	d.mu.Unlock()

	d.write.Lock()
	defer d.write.Unlock()
	if d.w == nil || !d.open || !d.opts.Temporary { // else a Writer holds it
		d.single.Lock()
	}
	defer d.single.Unlock()
	if d.w == nil {
		return nil
	}
	var err error
	if d.open && !d.opts.Temporary {
		err = d.undo(nil)
	}
	w := d.w
	d.w = nil
	replaced := d.files.replaced(d.path) != nil
	if replaced {
		// SQLite leaves everything as it is then. The file may have been moved away to be
		// kept: it is whole with what the log holds.
		w.q.Cut(0)
	}
	if err = errors.Join(err, w.c.Close()); replaced {
		err = errors.Join(err, d.files.removeLog())
	}
	return d.wrap("close", err)
}

var _ interface {
	store.Store
	store.Swapper
	store.Pruner
	store.StrayTimePruner
	store.Rejudger
	store.Checker
	store.QuickChecker
	store.Backuper
	store.Describer
	store.SQL
	store.Guard
} = (*DB)(nil)
