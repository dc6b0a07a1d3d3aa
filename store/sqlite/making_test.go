package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"bouncelog/store"
)

// TestReadWhileMade checks that a database without its tables is reported as locked, not as damaged
// or as another schema.
func TestReadWhileMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.db")
	made := &DB{file: file{path}}
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
