package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"bouncelog/store"
)

// TestReadWhileMade: who reads a database that another process is making waits until its
// tables are there, and says that it is locked where they do not come.
func TestReadWhileMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.db")
	made := &DB{path: path}
	if err := made.create(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{ReadOnly: true, BusyTimeout: whileMade}); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("a database without tables: %v", err)
	}
	opened := make(chan error)
	go func() {
		r, err := Open(t.Context(), path, Options{ReadOnly: true, BusyTimeout: time.Hour})
		if err == nil {
			err = r.Close()
		}
		opened <- err
	}()
	w, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
