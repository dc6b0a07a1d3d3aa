package clickhouse

import (
	"fmt"
	"sync"
	"testing"

	"bouncelog/internal/chnode"
)

// TestSwapOnce swaps a note from one version in many goroutines at once. One must win, and no
// reader may ever see the rows of the others.
func TestSwapOnce(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d := open(t, node, "")
	for version := range 20 {
		var old []byte
		if version > 0 {
			var err error
			old, _, err = d.latestNote(t.Context(), "key")
			must(t, err)
		}
		var wg sync.WaitGroup
		won := make(chan int, 8)
		for i := range 8 {
			wg.Go(func() {
				done, err := d.SwapNote(t.Context(), "key", old, fmt.Appendf(nil, "%d of %d", version, i))
				if err != nil {
					t.Error(err)
				}
				if done {
					won <- i
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("version %d: %d have won", version, len(won))
		}
		if value, _, err := d.latestNote(t.Context(), "key"); err != nil || string(value) != fmt.Sprintf("%d of %d", version, <-won) {
			t.Fatalf("version %d: %q, %v", version, value, err)
		}
	}
	var rows, versions uint64
	must(t, d.conn.QueryRow(t.Context(), "SELECT count(), uniqExact(version) FROM shared_note").Scan(&rows, &versions))
	if rows != versions || versions != 20 {
		t.Errorf("%d rows of %d versions", rows, versions)
	}
}
