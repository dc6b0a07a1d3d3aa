package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

func (f *files) logSize() int64 {
	st, err := os.Stat(f.path + "-wal")
	if err != nil {
		return 0
	}
	return st.Size()
}
