package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"bouncelog/store"
)

// A heldLock is an advisory lock of a process on some bytes of a file.
type heldLock struct {
	pid      int // 0: not known
	from, to int64
}

// locksOn lists the locks on a file from /proc/locks. It cannot open the file to query them:
// closing it would release all locks of this process on the file (fcntl(2)). It returns none
// without /proc, and on file systems whose device has another number there.
func locksOn(id fileID) []heldLock {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil
	}
	defer f.Close()
	major := id.dev>>8&0xfff | id.dev>>32&^uint64(0xfff)
	minor := id.dev&0xff | id.dev>>12&^uint64(0xff)
	want := fmt.Sprintf("%02x:%02x:%d", major, minor, id.ino)
	var locks []heldLock
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: POSIX  ADVISORY  READ 1234 08:01:5678 128 128
		w := strings.Fields(lines.Text())
		if len(w) != 8 || w[1] != "POSIX" || w[5] != want {
			continue
		}
		var l heldLock
		fmt.Sscan(w[4], &l.pid)
		fmt.Sscan(w[6], &l.from)
		if _, err := fmt.Sscan(w[7], &l.to); err != nil { // EOF: to the end of the file
			l.to = 1<<63 - 1
		}
		locks = append(locks, l)
	}
	return locks
}

// Locked bytes of the -shm file (https://www.sqlite.org/walformat.html).
const (
	lockRead = 123 // and the next 4: locked by a process that reads a snapshot
	lockOpen = 128 // locked by a process that has the database open
)

// strangersLog returns an error if a process writes to the write-ahead log beside the database at
// path without having that database open: it opened another file at this path and has not noticed
// that the file was replaced. To open the database now would apply that log to the wrong file.
func strangersLog(path string) error {
	f, err := filesOf(path)
	if err != nil || f.log == (fileID{}) || f.shm == (fileID{}) {
		return nil
	}
	stranger := func() int {
		users := make(map[int]bool)
		for _, l := range locksOn(f.db) {
			users[l.pid] = true
		}
		for _, l := range locksOn(f.shm) {
			if l.from <= lockOpen && lockOpen <= l.to && !users[l.pid] {
				return l.pid
			}
		}
		return 0
	}
	// /proc/locks is not a snapshot, so look twice. A process that opens a database locks the file
	// before the log.
	if pid := stranger(); pid != 0 && stranger() == pid {
		return fmt.Errorf("open %s: %w: process %d still writes to the file that was here before", path, store.ErrLocked, pid)
	}
	return nil
}

// readerOf names another process that reads the database: " by process 12 (sqlite3)"; empty if it
// is not known.
func (f *files) readerOf() string {
	for _, l := range locksOn(f.shm) {
		if l.to >= lockRead && l.from < lockOpen && l.ofOthers() {
			return " by " + l.process()
		}
	}
	return ""
}

// usedBy names another process that has the database at path open: ": process 12 (sqlite3)".
func usedBy(path string) string {
	id, err := idOf(path)
	if err != nil {
		return ""
	}
	for _, l := range locksOn(id) {
		if l.ofOthers() {
			return ": " + l.process()
		}
	}
	return ""
}

func (l heldLock) ofOthers() bool { return l.pid > 0 && l.pid != os.Getpid() }

func (l heldLock) process() string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", l.pid))
	return fmt.Sprintf("process %d (%s)", l.pid, strings.TrimSpace(string(name)))
}

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

// alone waits until no other process creates or migrates a database in the directory of path. Two
// such processes would wait for each other's locks and fail.
func alone(path string) (done func() error, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open directory of the database: %w", err)
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	return dir.Close, nil // closing unlocks it
}

// lockFile locks the database at path as SQLite does for exclusive access: no other process has it
// open or can open it until the file is closed. It returns nil if there is no such file. This
// process must not have it open either, since closing would release its own locks.
func lockFile(path string) (*os.File, error) {
	const pendingByte = 1 << 30 // this byte and the next 511 (https://www.sqlite.org/fileformat2.html#lock_byte_page)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: pendingByte, Len: 512})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		err = fmt.Errorf("restore: %w: another process has %s open%s", store.ErrLocked, path, usedBy(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
