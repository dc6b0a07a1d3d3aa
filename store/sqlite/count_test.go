package sqlite

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestCountEdges checks counts of a period that begins and ends within days, both when rows are
// added and when rows are subtracted.
func TestCountEdges(t *testing.T) {
	tr := storetest.NewTraffic(7)
	tr.Hosts, tr.PerSecond = 1, 0.2
	want, got := store.Store(memory.Open()), store.Store(open(t, "", Options{Temporary: true}))
	var first, last time.Time
	for range 20 {
		b := tr.Batch(2000)
		if first.IsZero() {
			first = b.Attempts[0].Time
		}
		last = b.Attempts[len(b.Attempts)-1].Time
		for _, s := range []store.Store{want, got} {
			storetest.Append(t, s, b)
		}
	}
	w, err := want.Read(t.Context())
	must(t, err)
	defer w.Close()
	g, err := got.Read(t.Context())
	must(t, err)
	defer g.Close()
	count := func(r store.Reader, f store.Filter, by ...store.Dimension) []store.Cell {
		cells, err := r.Count(t.Context(), f, by...)
		must(t, err)
		slices.SortFunc(cells, func(a, b store.Cell) int {
			return cmp.Or(strings.Compare(a.Keys[0], b.Keys[0]), strings.Compare(a.Keys[1], b.Keys[1]))
		})
		return cells
	}
	taken, added := 0, 0
	for n := range 12 {
		i := 2*n + n%2
		f := store.Filter{Since: first.Add(time.Duration(i) * time.Hour).Truncate(time.Second)}
		if i%3 > 0 {
			f.Until = last.Add(-time.Duration(5*i%24) * time.Hour)
		}
		if i%5 == 2 { // within one day
			f.Since = f.Since.Truncate(24 * time.Hour).Add(time.Duration(n) * time.Hour)
			f.Until = f.Since.Truncate(24 * time.Hour).Add(23*time.Hour + 1)
		}
		if i%4 == 0 {
			f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
		}
		for _, by := range [][]store.Dimension{{}, {store.ByDomain}, {store.ByDomain, store.ByRelay}, {store.BySenderDomain}, {store.ByReason}, {store.ByDay}} {
			if d := gocmp.Diff(count(w, f, by...), count(g, f, by...)); d != "" {
				t.Fatalf("from %v to %v by %v (-want +got):\n%s", f.Since, f.Until, by, d)
			}
		}
		c := g.(*reader).take(t.Context())
		all, err := g.(*reader).counting.pieces(c.Conn)
		c.Unlock()
		must(t, err)
		begins := f.Since.Truncate(24 * time.Hour)
		if at := f.Since.Unix(); during(all, span{begins.Unix(), at}) < during(all, span{at, begins.Add(24 * time.Hour).Unix()}) {
			taken++
		} else {
			added++
		}
	}
	if taken < 3 || added < 3 {
		t.Errorf("rows are taken off %d times, added %d times: this tests too little", taken, added)
	}
}
