package sqlite

import (
	"fmt"
	"testing"

	"bouncelog/store"
)

// TestManySources checks that one source above the limit evicts one other source from memory, and
// not all of them. Otherwise logs written in turn would be read again each time.
func TestManySources(t *testing.T) {
	d, err := Open(t.Context(), "", Options{Temporary: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.withWriter("append", func(w *writer) error {
		for i := range sourcesKept + 10 {
			clear(w.inBatch)
			id := fmt.Sprintf("log %d", i)
			if _, err := w.source(id, &store.Source{ID: id}); err != nil {
				return err
			}
		}
		if n := len(w.sources); n != sourcesKept {
			t.Errorf("%d sources are kept of %d, want %d", n, sourcesKept+10, sourcesKept)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMayHold(t *testing.T) {
	filter := make([]byte, 500)
	for id := range int64(500) {
		addKey(filter, recipientKey(id))
	}
	strangers := 0
	for id := range int64(500) {
		if !mayHold(filter, recipientKey(id)) {
			t.Errorf("recipient %d is not found", id)
		}
		if mayHold(filter, recipientKey(1000+id)) {
			strangers++
		}
	}
	if strangers > 25 {
		t.Errorf("%d of 500 strangers are let through", strangers)
	}
	if mayHold(nil, 1) || mayHold([]byte{}, 1) {
		t.Error("something is held where there is no filter")
	}
}
