package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"bouncelog/store"
)

// A fileID identifies the file at a path; zero: none.
type fileID struct{ dev, ino uint64 }

// idOf returns the file at path. It returns an error for a file that cannot be examined.
func idOf(path string) (fileID, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fileID{}, nil
	}
	if err != nil {
		return fileID{}, err
	}
	s := st.Sys().(*syscall.Stat_t)
	return fileID{uint64(s.Dev), uint64(s.Ino)}, nil
}

// files identifies the files of an open database. SQLite keeps writing to its open files whatever
// their names lead to: silently to a deleted file, or to the write-ahead log beside another
// database. So the DB checks the names before each transaction and each commit, which costs two
// calls of stat.
type files struct {
	path         string // of the database without symbolic links; -wal and -shm are beside it
	db, log, shm fileID
}

// realPath returns path without symbolic links, since one database may have several names.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// filesOf returns the files of the open database at path.
func filesOf(path string) (f files, err error) {
	f.path = realPath(path)
	for _, one := range [...]struct {
		id     *fileID
		suffix string
	}{{&f.db, ""}, {&f.log, "-wal"}, {&f.shm, "-shm"}} {
		if *one.id, err = idOf(f.path + one.suffix); err != nil {
			return files{}, err
		}
	}
	return f, nil
}

// replaced returns store.ErrReplaced if path leads to another file than when the database was
// opened, or if the write-ahead log is another file. If it cannot tell, it returns nil.
func (f *files) replaced(path string) error {
	if f.db == (fileID{}) {
		return nil
	}
	switch id, err := idOf(path); {
	case err != nil:
		return nil
	case id == (fileID{}):
		return fmt.Errorf("%s: %w: there is no such file any more", path, store.ErrReplaced)
	case id != f.db:
		return fmt.Errorf("%s: %w: another file has taken its place", path, store.ErrReplaced)
	}
	if f.log == (fileID{}) {
		return nil
	}
	if id, err := idOf(f.path + "-wal"); err == nil && id != f.log {
		return fmt.Errorf("%s: %w: its write-ahead log was", path, store.ErrReplaced)
	}
	return nil
}

// removeLog removes the database's own write-ahead log and its index, if they are left beside the
// file that replaced the database.
func (f *files) removeLog() error {
	var err error
	for _, one := range [...]struct {
		id     fileID
		suffix string
	}{{f.log, "-wal"}, {f.shm, "-shm"}} {
		if id, e := idOf(f.path + one.suffix); e == nil && id == one.id && id != (fileID{}) {
			err = errors.Join(err, os.Remove(f.path+one.suffix))
		}
	}
	return err
}

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
		return fmt.Errorf("open %s: %w: process %d still writes for the file that stood here before", path, store.ErrLocked, pid)
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
