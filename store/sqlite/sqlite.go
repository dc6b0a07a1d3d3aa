// Package sqlite keeps delivery attempts in one SQLite file.
//
// Repeated text is stored once, in dictionaries. An attempt is a row of small numbers whose rowid is
// its identity (source and offset). Delivered attempts and the others have a table each, since the
// others are few and queried most. The columns of some of these that reports read are copied into
// narrow tables. Rollups are written in the same transaction. The views are the public schema
// (docs/schema.md); the tables may change.
//
// One process writes. Readers have their own connections and see the last committed batch
// (write-ahead log), so readers and the writer do not wait for each other.
//
// The files form five floors. A file uses only declarations of files named before it, so this is
// the order to read them in. Reading and writing do not use each other:
//
//	values:  layout errors hash values sets pseudonym prepare
//	tables:  tables chunk rollup record dictionary address dictionaries
//	writing: ledger writer append
//	reading: finder pieces counting query reader count span attempts refusals delivered replies
//	         recipients queue coverage export
//	file:    files locks sqlite wal readers backup write notes open usersql describe check rejudge prune
//	         restore
//
// The files under "values" encode single values: bits, hashes, pseudonyms. Those under "tables" write
// rows, and convert texts to ids and back. Those under "writing" decide what an attempt changes, by
// the rules of the ledger. Those under "reading" answer the questions of a store.Reader. Those under
// "file" open, lock, migrate, check, prune and restore the database; a DB connects the floors.
//
// A batch is stored as follows: a store.Writer (write.go) begins a transaction; writer.append gives
// each attempt ids (dictionaries.go), a state (ledger.go) and cells of the rollups (rollup.go);
// package internal/sqlite3 hands the rows to SQLite and runs checkpoints in parallel.
package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Options say how a database is opened.
type Options struct {
	// ReadOnly opens an existing database for queries only. Nothing is created or migrated.
	ReadOnly bool
	// Temporary opens a private database that is deleted when it is closed; path is ignored.
	Temporary bool
	// BusyTimeout is how long to wait while another process writes; 0 means five seconds.
	BusyTimeout time.Duration
	// GiveWay, with ReadOnly, is how long to wait for a large write-ahead log to be reset. It
	// cannot be reset while queries overlap. 0: do not wait.
	GiveWay time.Duration
	// KeepMessageIDs stores the Message-ID of every attempt as text, not only of failed ones: about
	// 25 bytes each.
	KeepMessageIDs bool
	// Pseudonymize replaces the local parts of addresses by a keyed hash. It is set when the
	// database is created, and cannot be changed.
	Pseudonymize bool

	atRest     bool  // with ReadOnly: nobody writes, unless there is a log
	largestLog int64 // bytes; 0: the constant. For tests
	// For tests of migrations.
	migrations fs.FS
	version    int64
}

// A DB is a database. It implements store.Store.
type DB struct {
	dbFile
	opts Options
	dsn  string // for readers

	write  sync.Mutex // held by the writer
	w      *writer    // nil if ReadOnly
	open   bool       // a transaction is open, to which the next batch belongs
	broken error      // set if a temporary database, which has no journal, can store nothing more

	// Of a database open for writing; set by Open.
	files         files
	pseudonymized bool
	checkpoints   *sqlite3.Checkpointer

	// A temporary database has one connection for everything.
	single sync.RWMutex

	mu     sync.Mutex
	idle   []*sqlite3.Conn // unused connections of readers
	closed bool
}

// create creates an empty file with mode 0640 if there is none. SQLite gives its -wal and -shm
// files the same mode.
func (d *DB) create() error {
	if st, err := os.Stat(d.path); err == nil {
		if !st.Mode().IsRegular() && !st.IsDir() { // SQLite would leave a journal beside a device
			return fmt.Errorf("open %s: %w: not a regular file", d.path, store.ErrForeign)
		}
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

// uri returns the URI of the file with query parameters. The path is escaped, since it may
// contain spaces and "?", "#", "%".
func (d *DB) uri(query ...string) string {
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

// dial opens a connection and checks its settings, since SQLite silently ignores a misspelt
// parameter.
func (d *DB) dial(dsn string, want []pragma) (*sqlite3.Conn, error) {
	return d.dialAs(sqlite3.Open, dsn, want)
}

func (d *DB) dialAs(open func(dsn string) (*sqlite3.Conn, error), dsn string, want []pragma) (*sqlite3.Conn, error) {
	c, err := open(dsn)
	if err != nil {
		return nil, d.wrap("open", d.cannotOpen(err))
	}
	// SQLite checks the structure of each page when it reads it.
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
