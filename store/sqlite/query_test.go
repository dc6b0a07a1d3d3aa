package sqlite

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestRareDomains asks about domains that get mail on some days only, of which only these days are
// read.
func TestRareDomains(t *testing.T) {
	want, got := memory.Open(), open(t, "", Options{Temporary: true})
	traffic := storetest.NewTraffic(11)
	traffic.PerSecond = 0.1
	for range 8 {
		b := traffic.Batch(chunkRows)
		storetest.Append(t, want, b)
		storetest.Append(t, got, b)
	}
	w, g := reading(t, want), reading(t, got)
	all, err := w.Span(t.Context(), store.Filter{})
	must(t, err)
	middle := all.First.Add(all.Last.Sub(all.First) / 2).Truncate(time.Second)
	domains, err := w.Count(t.Context(), store.Filter{}, store.ByDomain)
	must(t, err)
	slices.SortFunc(domains, func(a, b store.Cell) int {
		return cmp.Or(cmp.Compare(a.Attempts, b.Attempts), cmp.Compare(a.Keys[0], b.Keys[0]))
	})
	narrowed, less := 0, 0
	for i, cell := range domains[:min(len(domains), 30)] {
		f := store.Filter{Domain: cell.Keys[0]}
		switch i % 4 {
		case 1:
			f.Outcomes = []bounce.Outcome{bounce.Delivered}
		case 2:
			f.Outcomes, f.Until = []bounce.Outcome{bounce.Soft, bounce.Hard}, middle
		case 3:
			f.Since = middle
		}
		storetest.Same(t, w, g, f)
		c := g.(*reader).take(t.Context())
		q, err := g.(*reader).counting.query(c.Conn, f)
		must(t, err)
		list, err := q.inTime(c.Conn, false)
		must(t, err)
		pieces, err := q.counting.pieces(c.Conn)
		must(t, err)
		c.Unlock()
		if q.held != nil {
			narrowed++
			if len(list) < during(pieces, span{q.since, q.until}) {
				less++
			}
		}
	}
	t.Log(narrowed, less)
	if narrowed < 10 || less < 5 {
		t.Errorf("the days of %d domains were looked up, and spared pieces for %d: this tests too little", narrowed, less)
	}
}
