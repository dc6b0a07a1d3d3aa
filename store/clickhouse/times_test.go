package clickhouse

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestTimes checks that the times of deliveries read alone are those of the deliveries, in any
// order of periods.
func TestTimes(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d := open(t, node, "")
	tr := storetest.NewTraffic(17)
	tr.PerSecond = 0.01
	b := tr.Batch(3000)
	storetest.Append(t, d, b)
	s, err := d.Read(t.Context())
	must(t, err)
	defer s.Close()
	one := func(f store.Filter, p store.Page) (at time.Time) {
		t.Helper()
		for a, err := range s.Attempts(t.Context(), f, p) {
			must(t, err)
			at = a.Time
		}
		return at
	}
	domain := b.Attempts[0].RecipientDomain
	found := 0
	for i := range 60 {
		a := b.Attempts[(i*977)%len(b.Attempts)]
		f := store.Filter{Domain: domain, Outcomes: []bounce.Outcome{bounce.Delivered}, Since: a.Time, Until: a.Time.Add(time.Duration(1+i*i) * 10 * time.Minute)}
		for _, newest := range []bool{false, true} {
			want, got := one(f, store.Page{Limit: 1, Newest: newest}), one(f, store.Page{Limit: 1, Newest: newest, Times: true})
			if !got.Equal(want) {
				t.Errorf("from %s until %s, newest %v: %s, want %s", f.Since, f.Until, newest, got, want)
			}
			if !want.IsZero() {
				found++
			}
		}
	}
	if found < 30 {
		t.Errorf("%d of 120 found a delivery", found)
	}
}
