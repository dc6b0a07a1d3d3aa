package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

var errClosed = errors.New("the database is closed")

// errStrayReply is returned for an attempt whose reply is missing or has another outcome. Readers
// detect such damage only in the rows that they read; Check looks for all of it.
var errStrayReply = fmt.Errorf("%w: an attempt has a reply that is not its own", store.ErrDamaged)

// errorNames maps errors of SQLite to errors that callers tell apart.
var errorNames = map[error]error{
	sqlite3.ErrBusy:     store.ErrLocked,
	sqlite3.ErrLocked:   store.ErrLocked,
	sqlite3.ErrFull:     store.ErrFull,
	sqlite3.ErrReadOnly: fs.ErrPermission,
	sqlite3.ErrCorrupt:  store.ErrDamaged,
	sqlite3.ErrNotADB:   store.ErrForeign,
}

// A dbFile is the path of a database, for errors.
type dbFile struct{ path string }

// wrap adds the operation to an error, and the matching error of package store.
func (f dbFile) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if !sqlite3.FromSQLite(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	kind := errorNames[sqlite3.KindOf(err)]
	if kind == fs.ErrPermission {
		if err := syscall.Access(f.path, 2); errors.Is(err, syscall.EROFS) { // 2: W_OK
			kind = err
		}
	}
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("%s: %s: %w", what, f.path, err)
	}
	return fmt.Errorf("%s: %s: %w (%w)", what, f.path, kind, err)
}

// cannotOpen adds the operating system's reason, which SQLite omits.
func (f dbFile) cannotOpen(err error) error {
	if sqlite3.KindOf(err) == sqlite3.ErrCantOpen {
		if opened, oserr := os.Open(f.path); oserr != nil {
			return oserr
		} else {
			opened.Close()
		}
	}
	return err
}

// errMissingRow returns an error for a reference to a missing row.
func errMissingRow(table string, id int64) error {
	return fmt.Errorf("%w: row %d of %s is missing", store.ErrDamaged, id, table)
}
