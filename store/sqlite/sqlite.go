// Package sqlite keeps delivery attempts in one SQLite file.
//
// Repeated text is kept once, in dictionaries; an attempt is a row of small
// numbers whose rowid is its identity (source and offset). Delivered attempts
// and the others stand in tables of their own, since the others are few and
// asked for most; what reports ask of some of them stands again in narrow tables.
// Rollups are kept in the same transaction. The views are the public schema
// (docs/schema.md); the tables may change.
//
// One process writes. Readers have connections of their own and see the last
// committed batch (write-ahead log), so neither waits for the other.
//
// The way of a batch: a store.Writer prepares its attempts, writer.append gives what
// they name its ids (write.go, dictionaries.go, address.go) and its state (ledger.go), counts it
// (rollup.go), and package internal/sqlite3 hands the rows to SQLite and makes checkpoints
// beside that. How integers are packed is in layout.go.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	applicationID = 0x626e636c // "bncl"
	schemaVersion = 1
)

// Options say how a database is opened.
type Options struct {
	// ReadOnly opens an existing database for questions only. Nothing is
	// created and nothing migrated.
	ReadOnly bool
	// Temporary makes a private database that vanishes when it is closed;
	// path is ignored.
	Temporary bool
	// BusyTimeout is how long to wait for another process's write; 0 means
	// five seconds.
	BusyTimeout time.Duration
	// GiveWay is how long to wait, where ReadOnly, for a write-ahead log that has
	// grown large to begin anew: it cannot while questions overlap. 0: not at all.
	GiveWay time.Duration
	// KeepMessageIDs keeps the message id of every attempt, not only of
	// those that failed: about 25 bytes more for each.
	KeepMessageIDs bool
	// Pseudonymize replaces the local parts of addresses by a keyed hash.
	// It counts when the database is made, and stays so.
	Pseudonymize bool

	atRest     bool  // where ReadOnly: nobody writes, unless there is a log
	largestLog int64 // bytes; 0: the constant. For tests
	// For tests of the way from one schema to the next.
	migrations fs.FS
	version    int64
}

// A DB is a database. It implements store.Store.
type DB struct {
	file
	opts Options
	dsn  string // of a reader

	write  sync.Mutex // held by who writes
	w      *writer    // nil where ReadOnly
	open   bool       // a transaction is open, which the next batch belongs to
	broken error      // of a temporary database, which has no journal: why nothing more can be stored

	// Of what is open for writing, set by Open.
	files         files
	pseudonymized bool
	checkpoints   *sqlite3.Checkpointer

	// A temporary database has one connection for all.
	single sync.RWMutex

	mu     sync.Mutex
	idle   []*sqlite3.Conn // readers at rest
	closed bool
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
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s: %w", d.path, store.ErrMissing)
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
	if d.w, err = newWriter(c, d.opts); err != nil {
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

// create makes an empty file with mode 0640 where there is none. SQLite gives its
// -wal and -shm files the same mode.
func (d *DB) create() error {
	if _, err := os.Stat(d.path); err == nil {
		return nil
	}
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("create %s: %w (%w)", d.path, store.ErrFull, err)
	case err != nil:
		return fmt.Errorf("create database: %w", err)
	}
	return f.Close()
}

// address is the file's URI with query parameters. The path is escaped: it may
// hold spaces and "?", "#", "%".
func (d *DB) address(query ...string) string {
	path := d.path
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	q := url.Values{"_busy_timeout": {fmt.Sprint(d.opts.BusyTimeout.Milliseconds())}}
	for i := 0; i < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

type pragma struct {
	name string
	want any
}

// dial opens a connection and reads back what was asked of it: a misspelt
// parameter is ignored in silence.
func (d *DB) dial(dsn string, want []pragma) (*sqlite3.Conn, error) {
	return d.dialAs(sqlite3.Open, dsn, want)
}

func (d *DB) dialAs(open func(dsn string) (*sqlite3.Conn, error), dsn string, want []pragma) (*sqlite3.Conn, error) {
	c, err := open(dsn)
	if err != nil {
		return nil, d.wrap("open", d.cannotOpen(err))
	}
	// The form of each page is looked at when it is read.
	if err := c.Exec("PRAGMA cell_size_check = ON"); err != nil {
		c.Close()
		return nil, d.wrap("open", err)
	}
	for _, p := range want {
		got, err := c.One("PRAGMA " + p.name)
		if err == nil && got != p.want {
			err = fmt.Errorf("pragma %s is %v, not %v", p.name, got, p.want)
		}
		if err != nil {
			c.Close()
			return nil, d.wrap("open", err)
		}
	}
	return c, nil
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

// atRest tells whether all there is stands in the database file itself.
func (d *DB) atRest() bool {
	st, err := os.Stat(d.path + "-wal")
	return errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0
}

// version reads the schema's version, and refuses what is not ours; 0 is
// an empty database.
func (d *DB) version(c *sqlite3.Conn) (int64, error) {
	// All of one moment: somebody may be making the database.
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
		// goose makes its table before it makes ours.
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

// reader takes a connection whose statements end with ctx; give it back by done.
func (d *DB) reader(ctx context.Context) (c *sqlite3.Conn, done func(), err error) {
	if d.opts.Temporary {
		d.single.RLock()
		if d.w == nil {
			d.single.RUnlock()
			return nil, nil, errClosed
		}
		c, err := d.w.c.Share()
		if err != nil {
			d.single.RUnlock()
			return nil, nil, d.wrap("read", err)
		}
		c.Under(ctx)
		return c, func() {
			c.Close()
			d.single.RUnlock()
		}, nil
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, nil, errClosed
	}
	if n := len(d.idle); n > 0 {
		c, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	if c == nil {
		if c, err = d.dial(d.dsn, nil); err != nil {
			return nil, nil, err
		}
	}
	whole := c.Under(ctx)
	return c, func() {
		whole()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed || len(d.idle) >= 4 {
			c.Close()
			return
		}
		d.idle = append(d.idle, c)
	}, nil
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
