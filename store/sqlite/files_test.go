package sqlite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// TestStrangersLog opens a database whose write-ahead log is written by a process that has another
// file open.
func TestStrangersLog(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("no /proc/locks")
	}
	dir := t.TempDir()
	path, other := dir+"/log.db", dir+"/other.db"
	x := open(t, other, Options{})
	storetest.Append(t, x, storetest.NewTraffic(2).Batch(3000))
	want := totals(t, x)
	must(t, x.Close())
	d := open(t, path, Options{})
	storetest.Append(t, d, storetest.NewTraffic(1).Batch(3000))
	must(t, os.Rename(other, path))
	for _, o := range []Options{{}, {ReadOnly: true}} {
		if x, err := Open(t.Context(), path, o); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "stood here before") {
			t.Errorf("%+v: %v", o, err)
			if x != nil {
				x.Close()
			}
		}
	}
	must(t, d.Close()) // it has noticed the replacement
	x = open(t, path, Options{})
	sound(t, x)
	if got := totals(t, x); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestReadersBoundTheLog commits beside an idle reader. The log must grow to its limit and no
// further, the error must name the reason, and commits must succeed again once the reader has
// ended.
func TestReadersBoundTheLog(t *testing.T) {
	path := t.TempDir() + "/log.db"
	const bound = 24 << 20
	d := open(t, path, Options{largestLog: bound})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(500))
	reader := open(t, path, Options{ReadOnly: true})
	r, err := reader.Read(t.Context())
	must(t, err)
	w, err := d.Write(t.Context())
	must(t, err)
	var refused *store.Batch
	for range 3000 {
		b := tr.Batch(100)
		if err = w.Append(t.Context(), b); err != nil {
			refused = b
			break
		}
		must(t, w.Commit(t.Context()))
	}
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "while somebody reads") {
		t.Fatalf("Append beside a reader that rests: %v", err)
	}
	if n := d.files.logSize(); n < bound || n > bound+8<<20 {
		t.Errorf("the log has %d bytes, its bound is %d", n, bound)
	}
	must(t, r.Close())
	must(t, w.Append(t.Context(), refused))
	must(t, w.Commit(t.Context()))
	if n := d.files.logSize(); n > 8<<20 {
		t.Errorf("the log has %d bytes after the reader", n)
	}
	must(t, w.Close())
	sound(t, d)
}

// TestReadersFollowOneAnother runs overlapping readers without a gap. The log must be reset all the
// same.
func TestReadersFollowOneAnother(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(500))
	reader := open(t, path, Options{ReadOnly: true})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last store.Reader
		for stopped := false; !stopped; {
			select {
			case <-stop:
				stopped = true
			default:
			}
			r, err := reader.Read(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if last != nil {
				last.Close()
			}
			last = r
		}
		last.Close()
	}()
	var largest int64
	for range 700 {
		storetest.Append(t, d, tr.Batch(100))
		largest = max(largest, d.files.logSize())
	}
	close(stop)
	<-done
	if largest > 160<<20 {
		t.Errorf("the log grew to %d bytes", largest)
	}
	t.Logf("%d bytes", largest)
}
