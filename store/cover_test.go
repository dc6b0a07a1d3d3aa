package store_test

import (
	"testing"
	"time"

	"bouncelog/store"
)

// TestCoverManySources checks that the deliveries around a time are covered even if many hosts log
// at the same time, each into its own pieces, within four times the limit.
func TestCoverManySources(t *testing.T) {
	at := time.Unix(1_772_000_000, 0).UTC()
	for _, test := range []struct {
		sources int
		covered bool
	}{{1, true}, {4, true}, {5, true}, {12, true}, {19, true}, {100, false}} {
		var pieces []*store.Piece
		for range test.sources {
			for i := range int64(20) {
				pieces = append(pieces, &store.Piece{Since: at.Unix() + 600*(i-10), Until: at.Unix() + 600*(i-9) - 1})
			}
		}
		streams := []store.Stream{{Span: store.Span{First: at.Add(-time.Hour), Last: at.Add(time.Hour)}, Around: []time.Time{at.Add(time.Minute)}}}
		spans := store.Cover(streams, pieces, 80_000)[0]
		if got := len(spans) == 1 && !spans[0].First.After(at) && !spans[0].Last.Before(at.Add(9*time.Minute)); got != test.covered {
			t.Errorf("%d sources: covered %v", test.sources, spans)
		}
		read := 0
		for _, p := range pieces {
			if p.Read {
				read++
			}
		}
		if read > 4*80_000/store.PieceRows {
			t.Errorf("%d sources: %d pieces are read", test.sources, read)
		}
	}
}
