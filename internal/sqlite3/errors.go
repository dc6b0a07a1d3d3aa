package sqlite3

import (
	"errors"
	"strings"
	"syscall"

	driver3 "github.com/mattn/go-sqlite3"
)

// Kinds of errors of SQLite; see KindOf. ErrChanged is one of a Queue.
var (
	ErrBusy     = errors.New("locked by another connection") // SQLITE_BUSY
	ErrLocked   = errors.New("locked by this process")       // SQLITE_LOCKED
	ErrFull     = errors.New("no space left")                // SQLITE_FULL, or SQLITE_IOERR for want of space
	ErrReadOnly = errors.New("read-only")                    // SQLITE_READONLY, SQLITE_PERM
	ErrCorrupt  = errors.New("malformed")                    // SQLITE_CORRUPT
	ErrNotADB   = errors.New("not a database")               // SQLITE_NOTADB
	ErrCantOpen = errors.New("cannot be opened")             // SQLITE_CANTOPEN
)

// KindOf returns the one of the errors above that an error of SQLite is; nil for any other error.
func KindOf(err error) error {
	var e driver3.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code {
	case driver3.ErrBusy:
		return ErrBusy
	case driver3.ErrLocked:
		return ErrLocked
	case driver3.ErrFull:
		return ErrFull
	case driver3.ErrReadonly, driver3.ErrPerm:
		return ErrReadOnly
	case driver3.ErrCorrupt:
		return ErrCorrupt
	case driver3.ErrNotADB:
		return ErrNotADB
	case driver3.ErrCantOpen:
		return ErrCantOpen
	case driver3.ErrIoErr:
		// A write that comes back short is a full disk too.
		if e.SystemErrno.Is(syscall.ENOSPC) || strings.Contains(e.Error(), "disk I/O error: no space") {
			return ErrFull
		}
	}
	return nil
}

// FromSQLite reports whether SQLite said so.
func FromSQLite(err error) bool {
	var e driver3.Error
	return errors.As(err, &e)
}
