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

// errStrayReply is an attempt whose reply is not there, or is one of another outcome. Readers
// see such damage by the way; Check looks for all of it.
var errStrayReply = fmt.Errorf("%w: an attempt has a reply that is not its own", store.ErrDamaged)

// errorNames are the errors that callers tell apart, by what SQLite says.
var errorNames = map[error]error{
	sqlite3.ErrBusy:     store.ErrLocked,
	sqlite3.ErrLocked:   store.ErrLocked,
	sqlite3.ErrFull:     store.ErrFull,
	sqlite3.ErrReadOnly: fs.ErrPermission,
	sqlite3.ErrCorrupt:  store.ErrDamaged,
	sqlite3.ErrNotADB:   store.ErrForeign,
}

// wrap says what was being done and gives errors that callers tell apart their names.
func (d *DB) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if !sqlite3.FromSQLite(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	kind := errorNames[sqlite3.KindOf(err)]
	if kind == fs.ErrPermission {
		if err := syscall.Access(d.path, 2); errors.Is(err, syscall.EROFS) { // 2: W_OK
			kind = err
		}
	}
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("%s: %s: %w", what, d.path, err)
	}
	return fmt.Errorf("%s: %s: %w (%w)", what, d.path, kind, err)
}

// cannotOpen adds the operating system's reason, which SQLite leaves out.
func (d *DB) cannotOpen(err error) error {
	if sqlite3.KindOf(err) == sqlite3.ErrCantOpen {
		if f, oserr := os.Open(d.path); oserr != nil {
			return oserr
		} else {
			f.Close()
		}
	}
	return err
}
