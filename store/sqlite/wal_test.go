package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

// A new reader waits for a large log that is being written, and for no other.
func TestGiveWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	log := path + "-wal"
	const day = 24 * time.Hour
	giveWay(t.Context(), path, day) // no log
	if err := os.WriteFile(log, []byte("small"), 0o600); err != nil {
		t.Fatal(err)
	}
	giveWay(t.Context(), path, day)
	if err := os.Truncate(log, yieldingLog); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(log, old, old); err != nil {
		t.Fatal(err)
	}
	giveWay(t.Context(), path, day) // a daemon that was killed left it

	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(log, now, now); err != nil {
		t.Fatal(err)
	}
	giveWay(t.Context(), path, 0) // waiting is off
	ended, stop := context.WithCancel(t.Context())
	stop()
	giveWay(ended, path, day)
	done := make(chan struct{})
	go func() {
		defer close(done)
		giveWay(t.Context(), path, day)
		if st, err := os.Stat(log); err != nil || st.Size() >= yieldingLog {
			t.Errorf("it went on beside %v (%v)", st, err)
		}
	}()
	if err := os.Truncate(log, 0); err != nil {
		t.Error(err)
	}
	<-done
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
