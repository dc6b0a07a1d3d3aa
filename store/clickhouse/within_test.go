package clickhouse

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestWithin reads pages of attempts of many days, and compares them with those of the reference
// engine.
func TestWithin(t *testing.T) {
	d, want := open(t, chnode.Start(t, 1)[0], ""), memory.Open()
	const days = 40
	at := time.Date(2026, 3, 2, 23, 59, 58, 0, time.UTC)
	b := &store.Batch{Sources: []store.Source{{ID: "log", Offset: 100_000}}}
	for i := range 3 * days { // three a day: two of one second, and one in the last second of the day before
		b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(100 * i), Time: at.AddDate(0, 0, i/3).Add(time.Duration(i%3) * time.Second), Host: fmt.Sprint("mx", i%2), MTA: bounce.Postfix, QueueID: fmt.Sprint("Q", i), Status: "sent",
			Recipient: "rcpt@dest.example", RecipientDomain: "dest.example", RelayHost: "mx.dest.example", Outcome: bounce.Delivered,
		}})
	}
	stray := b.Attempts[0]
	stray.Time, stray.Offset, stray.QueueID = time.Time{}, 90_000, "stray"
	b.Attempts = append(b.Attempts, stray)
	storetest.Append(t, d, b)
	storetest.Append(t, want, b)
	g, err := d.Read(t.Context())
	must(t, err)
	defer g.Close()
	w, err := want.Read(t.Context())
	must(t, err)
	defer w.Close()
	page := func(r store.Reader, f store.Filter, p store.Page) (list []store.Ref) {
		for a, err := range r.Attempts(t.Context(), f, p) {
			must(t, err)
			list = append(list, a.Ref())
		}
		return list
	}
	middle := b.Attempts[50].Ref()
	for _, f := range []store.Filter{{}, {Host: "mx1"}, {Host: "nobody"}, {Since: at.AddDate(0, 0, 2)}, {Until: at.AddDate(0, 0, 30)}, {Since: at, Until: at.AddDate(0, 0, 1)}, {Since: at.AddDate(1, 0, 0)}, {Since: at.AddDate(0, 0, 1), Until: at}} {
		for _, newest := range []bool{false, true} {
			for _, after := range []store.Ref{{}, middle} {
				for _, limit := range []int{1, 3, 5, 70, 1000} {
					p := store.Page{Limit: limit, Newest: newest, After: after}
					if got, want := page(g, f, p), page(w, f, p); !slices.Equal(got, want) {
						t.Errorf("%+v %+v: %d attempts %v, want %d %v", f, p, len(got), got, len(want), want)
					}
				}
			}
		}
	}
}

// TestWindows checks that the windows of a page hold all of its times, each once, and begin with a day.
func TestWindows(t *testing.T) {
	const day = 86400
	stored := interval{100, 100*day + 7}
	for _, c := range []struct {
		f    store.Filter
		p    store.Page
		want []interval
	}{
		{store.Filter{}, store.Page{Newest: true}, []interval{{100 * day, 100*day + 7}, {96 * day, 100*day - 1}, {80 * day, 96*day - 1}, {100, 80*day - 1}}},
		{store.Filter{}, store.Page{}, []interval{{100, day - 1}, {day, 5*day - 1}, {5 * day, 21*day - 1}, {21 * day, 100*day + 7}}},
		{store.Filter{Since: time.Unix(99*day, 0), Until: time.Unix(99*day+100, 5)}, store.Page{Newest: true}, []interval{{99 * day, 99*day + 100}}},
		{store.Filter{Since: time.Unix(200*day, 0)}, store.Page{}, nil},
		{store.Filter{}, store.Page{Newest: true, After: store.Ref{Time: 2 * day}}, []interval{{2 * day, 2 * day}, {100, 2*day - 1}}},
		{store.Filter{}, store.Page{After: store.Ref{Time: 99 * day}}, []interval{{99 * day, 100*day - 1}, {100 * day, 100*day + 7}}},
	} {
		if got := stored.windows(&c.f, c.p); !slices.Equal(got, c.want) {
			t.Errorf("%+v %+v: %v, want %v", c.f, c.p, got, c.want)
		}
	}
	if got := (&interval{-62135596800, -1}).windows(&store.Filter{}, store.Page{Newest: true}); len(got) != 4 || got[0] != (interval{-day, -1}) || got[3][0] != -62135596800 {
		t.Errorf("before 1970: %v", got)
	}
}
