package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	applicationID = 0x626e636c // "bncl"
	schemaVersion = 1
)

// Open opens the database at path. It creates the database if it is missing, unless opts.ReadOnly
// is set.
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
	d := &DB{dbFile: dbFile{path}, opts: opts}
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
		// Readers share a file beside the database, which this user may not create. Nobody writes
		// the database, so it can be read without that file.
		version, err = d.firstReader("mode", "ro", "_query_only", "1", "_mutex", "no", "immutable", "1")
	}
	if err != nil {
		return err
	}
	// A database is created, with all its tables, in one transaction.
	if version == 0 {
		return fmt.Errorf("open %s: %w: another process is making it, or did not finish", d.path, store.ErrLocked)
	}
	if version < d.opts.version {
		return fmt.Errorf("open %s: the database has schema %d and this bouncelog reads %d: open it once for writing", d.path, version, d.opts.version)
	}
	return nil
}

// atRest reports whether the database file is complete, with nothing in a write-ahead log.
func (d *DB) atRest() bool {
	st, err := os.Stat(d.path + "-wal")
	return errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0
}

func (d *DB) openWriter(ctx context.Context) error {
	c, err := d.dialWriter(ctx)
	if err != nil {
		return err
	}
	if err := d.startWriter(c); err != nil {
		return err
	}
	if c, err = d.dial(d.uri("mode", "rw", "_synchronous", "NORMAL", "_mutex", "no"), nil); err != nil {
		return err
	}
	d.checkpoints = sqlite3.NewCheckpointer(c)
	if err := d.w.q.Checkpoint(d.checkpoints); err != nil {
		return d.wrap("open", err)
	}
	if d.files, err = filesOf(d.path); err != nil {
		return d.wrap("open", err)
	}
	// Deleted data is overwritten: it may be a person's name.
	return d.wrap("open", d.w.c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d; PRAGMA secure_delete = ON", restingLog)))
}

// dialWriter opens the connection that writes. It takes the lock only if the database has to be
// created or migrated.
func (d *DB) dialWriter(ctx context.Context) (*sqlite3.Conn, error) {
	if err := d.create(); err != nil {
		return nil, err
	}
	if err := strangersLog(d.path); err != nil {
		return nil, err
	}
	// SQLite would open the file read-only, and fail at the first write.
	if err := syscall.Access(d.path, 2); err != nil { // 2: W_OK
		return nil, fmt.Errorf("open %s for writing: %w", d.path, err)
	}
	d.dsn = d.uri("mode", "ro", "_query_only", "1", "_mutex", "no")
	dsn := d.uri("mode", "rw", "_journal_mode", "WAL", "_foreign_keys", "1", "_synchronous", "NORMAL", "_cache_size", "-16384", "_mutex", "no")
	want := []pragma{
		{"journal_mode", "wal"},
		{"foreign_keys", int64(1)},
		{"synchronous", int64(1)},
		{"auto_vacuum", int64(2)},
		{"busy_timeout", d.opts.BusyTimeout.Milliseconds()},
	}
	// The file must be known to be a bouncelog database before anything is written to it.
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
		if version, err = d.fileVersion(); err != nil { // another process may have been faster
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

// openTemporary opens SQLite's own temporary database. It is in memory, moves to an unnamed file
// when it grows, and is deleted when its connection is closed.
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

// startWriter sets the writer of a connection.
func (d *DB) startWriter(c *sqlite3.Conn) (err error) {
	if d.w, err = newWriter(c, d.opts.Pseudonymize, d.opts.KeepMessageIDs); err != nil {
		c.Close()
		return d.wrap("open", err)
	}
	d.pseudonymized = d.w.pseudonym != nil
	return nil
}

// pageSize is the page size of a new database, in bytes; it never changes. An import is a tenth
// faster than with SQLite's 4 KiB, since half as many pages are written to the log and from there
// to the file, with two calls each. Larger pages gain nothing more.
const pageSize = "PRAGMA page_size = 8192; "

// format turns an empty file into a database without tables.
func (d *DB) format() error {
	c, err := d.dial(d.uri("mode", "rw"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return d.wrap("make", c.Exec(pageSize+"PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = WAL"))
}

// fileVersion returns the schema version of the file, on a connection of its own.
func (d *DB) fileVersion() (int64, error) {
	c, err := d.dial(d.uri("mode", "rw"), nil)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return d.version(c)
}

// version reads the version of the schema; 0: the database is empty. The error is ErrForeign or
// ErrNewer for a database that this program cannot read.
func (d *DB) version(c *sqlite3.Conn) (int64, error) {
	// Read everything at one moment, since another process may be creating the database.
	if err := c.Exec("BEGIN"); err != nil {
		return 0, d.wrap("open", err)
	}
	defer c.Exec("COMMIT")
	app, err := c.Number("PRAGMA application_id")
	if err != nil {
		return 0, d.wrap("open", err)
	}
	version, err := c.Number("PRAGMA user_version")
	if err != nil {
		return 0, d.wrap("open", err)
	}
	if app == 0 && version == 0 {
		// goose creates its table before ours.
		tables, err := c.Number("SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT IN ('goose_db_version', 'sqlite_sequence')")
		if err != nil {
			return 0, d.wrap("open", err)
		}
		if tables == 0 {
			return 0, nil
		}
	}
	switch {
	case app != applicationID:
		return 0, fmt.Errorf("open %s: %w", d.path, store.ErrForeign)
	case version > d.opts.version:
		return 0, fmt.Errorf("open %s: %w: it has schema %d, this one knows %d", d.path, store.ErrNewer, version, schemaVersion)
	}
	return version, nil
}

// firstReader opens the first connection for reading and returns the schema version.
func (d *DB) firstReader(query ...string) (version int64, err error) {
	d.dsn = d.uri(query...)
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

// keepCopy copies the database before a migration.
func (d *DB) keepCopy(ctx context.Context, version int64) error {
	to := fmt.Sprintf("%s.schema-%d", d.path, version)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	c, err := d.dial(d.uri("mode", "rw"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return d.backup(ctx, c, to)
}

// migrate updates the schema. It is called only if the schema is out of date, since goose takes
// longer than opening the database.
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

// Close closes the database. The write-ahead log is moved into the file, unless another process has
// the database open.
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
	if d.w == nil || !d.open || !d.opts.Temporary { // otherwise a Writer holds it
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
		// In this case SQLite does not move the log into the file. The old file may have been moved
		// away to be kept, and is complete only with the contents of the log.
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
