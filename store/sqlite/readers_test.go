package sqlite

import (
	"path/filepath"
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestWatch checks that the version changes when another process stores something, and not when one
// only reads.
func TestWatch(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "test.db")
	w, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := Open(ctx, path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	version, stop, err := r.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ask := func() int64 {
		n, err := version()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := ask()
	reader, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Coverage(ctx); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != before {
		t.Errorf("version %d after reading, was %d", got, before)
	}
	if err := storetest.Put(ctx, w, &store.Batch{Sources: []store.Source{{ID: "a", Path: "/var/log/mail.log", Lines: 1, Blank: 1}}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got == before {
		t.Errorf("version %d as before, though something was stored", got)
	}
}
