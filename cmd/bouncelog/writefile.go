package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const newFileMode fs.FileMode = 0o640

// maxLinks is the number of symbolic links that are followed, as in Linux (path_resolution(7)).
const maxLinks = 40

// writeFile calls print with a writer whose text becomes the content of the file at
// path.
//
// A regular file is written under another name and renamed: it is replaced as a whole if
// print succeeds, and stays as it was if anything fails. It keeps its mode, owner and
// group; if owner or group cannot be kept, nothing is written. A new file gets mode 0640.
// Symbolic links are followed and stay; the file that a dangling link names is created.
// A device, a named pipe or a socket is written to directly, since a rename would replace
// it by a file.
//
// A symbolic link of another user than root, also of a parent directory, and a file of
// another user in a sticky directory that all may write to, such as /tmp, are errors that
// are fs.ErrPermission.
func writeFile(ctx context.Context, path string, print func(w io.Writer) error) error {
	there, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	target, old, err := followLinks(path)
	switch {
	case err != nil:
		return err
	case there != nil && there.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EISDIR}
	case there != nil && !there.Mode().IsRegular():
		return writeInto(ctx, path, there.Mode(), print)
	case there != nil && (old == nil || !os.SameFile(there, old)):
		// A link of /proc to an open file whose name is gone.
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("the file has no name any more")}
	}
	return replaceFile(target, old, print)
}

// followLinks resolves all symbolic links of path and returns the resulting path with what exists
// there (nil: nothing yet). Every link is checked, also those in place of a parent directory.
func followLinks(path string) (target string, info fs.FileInfo, err error) {
	dir, rest := "", path
	for links := 0; ; {
		if strings.HasPrefix(rest, "/") {
			dir = cmp.Or(dir, "/")
		}
		rest = strings.TrimLeft(rest, "/")
		name, below, more := strings.Cut(rest, "/")
		here := dir + name
		info, err := os.Lstat(here)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return dir + rest, nil, nil // where a parent is missing, it cannot be written
		case err != nil:
			return "", nil, err
		case info.Mode().Type() == fs.ModeSymlink || !more:
			if err := ofStranger(here, info); err != nil {
				return "", nil, err
			}
		}
		switch {
		case info.Mode().Type() == fs.ModeSymlink:
			if links++; links > maxLinks {
				return "", nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			link, err := os.Readlink(here)
			if err != nil {
				return "", nil, err
			}
			if strings.HasPrefix(link, "/") {
				dir = ""
			}
			if rest = link; more {
				rest += "/" + below
			}
		case !more || strings.Trim(below, "/") == "":
			return dir + rest, info, nil
		default:
			dir, rest = here+"/", below
		}
	}
}

// ofStranger returns an error if another user may have placed info at path to redirect the output:
// a link by anyone but root, or a file in a sticky, world-writable directory that does not belong
// to the directory's owner. The kernel has such rules for opening files (proc(5):
// fs.protected_symlinks, protected_fifos, protected_regular); they do not cover a link that is
// read, nor a rename.
func ofStranger(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner == uint32(os.Geteuid()) {
		return nil
	}
	if info.Mode().Type() == fs.ModeSymlink {
		if owner == 0 {
			return nil
		}
		return refused(fmt.Errorf("write %s: %w: the link belongs to another user", path, fs.ErrPermission), "name the file that it leads to")
	}
	dir, _ := filepath.Split(path)
	parent, err := os.Stat(dir + ".")
	if err != nil {
		return err
	}
	if parent.Mode()&fs.ModeSticky == 0 || parent.Mode().Perm()&0o002 == 0 || owner == parent.Sys().(*syscall.Stat_t).Uid {
		return nil
	}
	return refused(fmt.Errorf("write %s: %w: it belongs to another user, in a directory that all may write to", path, fs.ErrPermission), "write to a directory of your own")
}

func refused(err error, hint string) error {
	return &exitError{status: exitFailed, err: err, hint: hint}
}

// replaceFile writes a file beside path and renames it to path. Old is the existing file, or nil.
func replaceFile(path string, old fs.FileInfo, print func(w io.Writer) error) error {
	dir, _ := filepath.Split(path)
	f, err := os.CreateTemp(dir+".", ".bouncelog-*")
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		e.Path = path // and not the name beside it
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = keepAttributes(f, old)
	if err == nil {
		err = print(f)
	}
	if err == nil {
		err = f.Sync() // before the rename: a crash must not leave an empty file
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// keepAttributes gives f the owner, group and mode of old, or those of a new file if old is nil.
// Access control lists and other extended attributes are not kept.
func keepAttributes(f *os.File, old fs.FileInfo) error {
	if old == nil {
		return f.Chmod(newFileMode)
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	// Only what differs: some file systems know neither owners nor modes.
	was, is := old.Sys().(*syscall.Stat_t), now.Sys().(*syscall.Stat_t)
	if was.Uid != is.Uid || was.Gid != is.Gid {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return refused(fmt.Errorf("keep the owner and group of %s: %w", old.Name(), err), "run it as the owner of the file or as root, or remove the file first")
		}
	}
	if old.Mode() == now.Mode() {
		return nil
	}
	return f.Chmod(old.Mode()) // after Chown, which may clear bits
}

// writeInto writes to what exists at path and is not a regular file.
func writeInto(ctx context.Context, path string, mode fs.FileMode, print func(w io.Writer) error) error {
	type opened struct {
		w   io.WriteCloser
		err error
	}
	open := make(chan opened, 1)
	go func() {
		var o opened
		if mode.Type() == fs.ModeSocket {
			o.w, o.err = net.Dial("unix", path)
		} else {
			// Waits for a reader, where it is a named pipe.
			o.w, o.err = os.OpenFile(path, os.O_WRONLY|syscall.O_NOCTTY, 0)
		}
		open <- o
	}()
	var w io.WriteCloser
	select {
	case <-ctx.Done():
		return ctx.Err() // the program ends, and the opening with it
	case o := <-open:
		if o.err != nil {
			return o.err
		}
		w = o.w
	}
	return errors.Join(print(w), w.Close())
}
