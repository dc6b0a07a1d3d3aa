package sqlite

import (
	"os"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// BenchmarkFlag asks what the search for problems asks, of BOUNCELOG_BENCH_DB.
func BenchmarkFlag(b *testing.B) {
	path := os.Getenv("BOUNCELOG_BENCH_DB")
	if path == "" {
		b.Skip("BOUNCELOG_BENCH_DB names no database")
	}
	d := open(b, path, Options{ReadOnly: true})
	first, last, err := d.Span(b.Context(), store.Filter{})
	must(b, err)
	b.Run("refusals", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = 0
			for _, err := range d.Refusals(b.Context(), store.Filter{Reasons: []bounce.Reason{bounce.AuthFailure, bounce.Policy, bounce.Reputation, bounce.Blocklist, bounce.ContentSpam, bounce.Unknown}}) {
				must(b, err)
				n++
			}
		}
		b.ReportMetric(float64(n), "rows")
	})
	b.Run("flow", func(b *testing.B) {
		n := 0
		for b.Loop() {
			h, err := d.FlowHistories(b.Context(), []store.Flow{{Relays: []string{"icloud.com"}, Since: first, Until: last, Around: []time.Time{first.Add(last.Sub(first) / 2)}}}, 200_000)
			must(b, err)
			n = len(h[0].Deliveries)
		}
		b.ReportMetric(float64(n), "rows")
	})
}
