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

// claimSuffix makes the name of the file that a daemon locks of the database's. It stays
// when nobody holds it: whoever removed it would take it from one who has just opened it.
// SQLite's own locks are on the database itself; a lock of ours there would meet them.
const claimSuffix = ".follow"

// A Claim keeps a second daemon away from a database. The kernel ends it with the
// process, however that ends (flock(2)).
type Claim struct{ f *os.File }

// TakeClaim claims the database at path, which need not be there yet; its directory must.
// Where another process holds the claim the error is store.ErrFollowed and names it. On
// a file system without locks the error is errors.ErrUnsupported.
func TakeClaim(path string) (*Claim, error) {
	path = realPath(path)
	name := path + claimSuffix
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o640)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
		// Another user's; to lock it is enough. Where there is none, it is said why none can be made.
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
	// For the message above only: it may fail.
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Claim{f}, nil
}

// Name is the file that is locked.
func (c *Claim) Name() string { return c.f.Name() }

// Release ends the claim.
func (c *Claim) Release() error { return c.f.Close() }
