package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
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
