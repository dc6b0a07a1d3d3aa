package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"bouncelog/store"
)

// claimSuffix is added to the path of a database for the file that a daemon locks. The file is
// never removed: to remove it could take it from a process that has just opened it. The database
// itself cannot be locked instead, as that would conflict with SQLite's own locks.
const claimSuffix = ".follow"

// A Claim keeps other daemons away from a database. The kernel releases it when the process ends,
// in whatever way (flock(2)).
type Claim struct{ f *os.File }

// TakeClaim claims the database at path. The database need not exist, its directory must. If
// another process holds the claim, the error is store.ErrFollowed and names the process. On a file
// system without locks the error is errors.ErrUnsupported.
func TakeClaim(path string) (*Claim, error) {
	path = realPath(path)
	name := path + claimSuffix
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o640)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
		// The file may belong to another user; opening it for reading is enough for a lock. If
		// there is none, the error of creating it is returned.
		if other, e := os.Open(name); e == nil {
			f, err = other, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", path, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		who := "another process"
		text, _ := io.ReadAll(io.LimitReader(f, 20))
		if pid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 31); err == nil {
			who = fmt.Sprintf("process %d", pid)
		}
		f.Close()
		return nil, fmt.Errorf("%s: %w: %s", path, store.ErrFollowed, who)
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOSYS):
		f.Close()
		return nil, fmt.Errorf("claim %s: %w (%w)", path, errors.ErrUnsupported, err)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("claim %s: %w", path, err)
	}
	// The content is only for the message above, so errors are ignored.
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Claim{f}, nil
}

// Name returns the name of the locked file.
func (c *Claim) Name() string { return c.f.Name() }

// Release releases the claim.
func (c *Claim) Release() error { return c.f.Close() }
