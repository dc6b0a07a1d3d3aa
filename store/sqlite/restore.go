package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bouncelog/store"
)

// Restore replaces the database at path, which may be damaged or missing, by a copy made by Backup.
// It keeps the old database and returns its new name; empty: there was none. It first checks the
// copy (DB.Check). If any process has the database at path open, the error is store.ErrLocked.
//
// A write-ahead log belongs to the file for which it was written. Beside another file, SQLite would
// apply it as the last commits and damage that file. So the log is moved away with its database.
func Restore(ctx context.Context, path, from string) (kept string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	done, err := alone(path)
	if err != nil {
		return "", err
	}
	defer done()
	old, err := lockFile(path)
	if err != nil {
		return "", err
	}
	defer old.Close() // Close accepts a nil *os.File

	fresh := path + ".restored"
	os.Remove(fresh)
	defer os.Remove(fresh)
	if err := copySound(ctx, from, path, fresh); err != nil {
		return "", err
	}
	like := filepath.Dir(path)
	if old != nil {
		like = path
	}
	if err := ownedLike(fresh, like); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}

	// In this order, no database ever lies beside the log of another.
	undo := func() error { return nil }
	move := func(from, to string) error {
		if err := os.Rename(from, to); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return errors.Join(err, undo())
		}
		before := undo
		undo = func() error { return errors.Join(os.Rename(to, from), before()) }
		return nil
	}
	name := path + ".before-" + time.Now().UTC().Format("20060102T150405.000Z")
	err = move(path, name)
	if err == nil {
		err = move(path+"-wal", name+"-wal")
	}
	if err == nil {
		if err = os.Remove(path + "-shm"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = move(fresh, path)
	}
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	if old != nil {
		kept = name
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	return kept, err
}

// copySound copies the database at from to a new file, if it is sound.
func copySound(ctx context.Context, from, path, to string) error {
	a, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	if b, err := os.Stat(path); err == nil && os.SameFile(a, b) {
		return fmt.Errorf("restore: %s is the database itself", from)
	}
	d, err := Open(ctx, from, Options{ReadOnly: true, atRest: true})
	if err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	defer d.Close()
	problems, err := d.Check(ctx)
	if err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("the copy %s: %w: %s", from, store.ErrDamaged, strings.Join(problems[:min(len(problems), 3)], "; "))
	}
	return d.Backup(ctx, to)
}

// ownedLike gives a file the owner and group of another file, if they differ.
func ownedLike(path, other string) error {
	a, err := os.Stat(path)
	if err != nil {
		return err
	}
	b, err := os.Stat(other)
	if err != nil {
		return err
	}
	if b.Mode().IsRegular() {
		if err := os.Chmod(path, b.Mode().Perm()); err != nil {
			return err
		}
	}
	is, want := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	if is.Uid == want.Uid && is.Gid == want.Gid || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(want.Uid), int(want.Gid))
}
