package sqlite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestReplaced removes and replaces a database and its log while it is open for writing. Nothing
// more may be stored, and the replacement must stay sound.
func TestReplaced(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.db")
	x := open(t, other, Options{})
	storetest.Append(t, x, storetest.NewTraffic(2).Batch(3000))
	must(t, x.Close())
	for what, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"all removed": func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
		"replaced": func(path string) error {
			return exec.Command("sh", "-c", fmt.Sprintf("cp %s %s.new && mv %[2]s.new %[2]s", other, path)).Run()
		},
		"moved away":  func(path string) error { return os.Rename(path, path+".kept") },
		"log removed": func(path string) error { return os.Remove(path + "-wal") },
		"directory":   func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".kept") },
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", "log.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o755))
			d := open(t, path, Options{})
			tr := storetest.NewTraffic(1)
			storetest.Append(t, d, tr.Batch(1000))
			must(t, d.Trouble())
			w, err := d.Write(t.Context())
			must(t, err)
			must(t, w.Append(t.Context(), tr.Batch(1000))) // not committed
			must(t, replace(path))
			if err := d.Trouble(); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Trouble: %v", err)
			}
			if err := w.Commit(t.Context()); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Commit: %v", err)
			}
			if err := w.Append(t.Context(), tr.Batch(1000)); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Append: %v", err)
			}
			must(t, errors.Join(w.Close(), d.Close()))
			kept := path + ".kept"
			if what == "directory" {
				kept = filepath.Dir(path) + ".kept/log.db"
				must(t, os.Mkdir(filepath.Dir(path), 0o755))
			}
			if _, err := os.Stat(kept); err == nil {
				k := open(t, kept, Options{})
				sound(t, k)
				if n := totals(t, k).Attempts; n == 0 {
					t.Error("what was moved away has lost what it held")
				}
				must(t, k.Close())
			}
			d = open(t, path, Options{})
			sound(t, d)
			switch n := totals(t, d).Attempts; {
			case what == "replaced" && n == 0, what != "replaced" && what != "log removed" && n != 0, what == "log removed" && n == 0:
				t.Errorf("%d attempts", n)
			}
			storetest.Append(t, d, storetest.NewTraffic(3).Batch(1000))
			sound(t, d)
		})
	}
}
