package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bouncelog/store"
)

// TestReadWhileMade checks that a database without its tables is reported as locked, not as damaged
// or as another schema.
func TestReadWhileMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.db")
	made := &DB{dbFile: dbFile{path}}
	if err := made.create(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("a database without tables: %v", err)
	}
	w, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// TestNoFile checks that a device or named pipe is not opened, and that no file is left beside it.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{path}
	device := filepath.Join(dir, "device")
	if err := syscall.Mknod(device, syscall.S_IFCHR|0o600, 1<<8|3); err == nil { // as /dev/null; needs root
		paths = append(paths, device)
	}
	for _, path := range paths {
		for _, o := range []Options{{}, {ReadOnly: true}} {
			if db, err := Open(t.Context(), path, o); !errors.Is(err, store.ErrForeign) {
				t.Errorf("%s, %+v: %v", path, o, err)
				if err == nil {
					db.Close()
				}
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(paths) {
		t.Errorf("left: %v, %v", left, err)
	}
}
