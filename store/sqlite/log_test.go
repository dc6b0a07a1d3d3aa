package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whoever asks waits for a large log that is being written to, and for no other.
func TestGiveWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	log := path + "-wal"
	d := &DB{path: path, opts: Options{GiveWay: 24 * time.Hour}}
	d.giveWay(t.Context()) // no log
	if err := os.WriteFile(log, []byte("small"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.giveWay(t.Context())
	if err := os.Truncate(log, yieldingLog); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(log, old, old); err != nil {
		t.Fatal(err)
	}
	d.giveWay(t.Context()) // a daemon that was killed left it

	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(log, now, now); err != nil {
		t.Fatal(err)
	}
	(&DB{path: path}).giveWay(t.Context()) // it was not asked to
	ended, stop := context.WithCancel(t.Context())
	stop()
	d.giveWay(ended)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.giveWay(t.Context())
		if st, err := os.Stat(log); err != nil || st.Size() >= yieldingLog {
			t.Errorf("it went on beside %v (%v)", st, err)
		}
	}()
	if err := os.Truncate(log, 0); err != nil {
		t.Error(err)
	}
	<-done
}
