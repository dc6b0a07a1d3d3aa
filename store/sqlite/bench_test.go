package sqlite

import (
	"os"
	"testing"
	"time"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

// BenchmarkAppend stores batches as an import does, and reports attempts per second and bytes per
// attempt.
func BenchmarkAppend(b *testing.B) {
	for _, temporary := range []bool{false, true} {
		name := "file"
		if temporary {
			name = "temporary"
		}
		b.Run(name, func(b *testing.B) {
			path := b.TempDir() + "/log.db"
			d, err := Open(b.Context(), path, Options{Temporary: temporary})
			must(b, err)
			tr := storetest.NewTraffic(1)
			rows := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch := tr.Batch(20_000)
				rows += len(batch.Attempts)
				b.StartTimer()
				storetest.Append(b, d, batch)
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			must(b, d.Close())
			if st, err := os.Stat(path); err == nil {
				b.ReportMetric(float64(st.Size())/float64(rows), "bytes/row")
			}
		})
	}
}

// BenchmarkAsk runs the queries of a report on BOUNCELOG_BENCH_DB, or on a million attempts.
func BenchmarkAsk(b *testing.B) {
	var d *DB
	if path := os.Getenv("BOUNCELOG_BENCH_DB"); path != "" {
		d = open(b, path, Options{ReadOnly: true})
	} else {
		d = open(b, b.TempDir()+"/log.db", Options{})
		tr := storetest.NewTraffic(1)
		for range 50 {
			storetest.Append(b, d, tr.Batch(20_000))
		}
	}
	r, err := d.Read(b.Context())
	must(b, err)
	defer r.Close()
	span, err := r.Span(b.Context(), store.Filter{})
	must(b, err)
	first, last := span.First, span.Last
	var someone store.Ref
	for x, err := range r.Refusals(b.Context(), store.Filter{Since: last.Add(-time.Hour)}) {
		must(b, err)
		if !x.DeliveredBefore.IsZero() {
			someone = x.Ref()
		}
	}
	found, err := r.Lookup(b.Context(), someone)
	must(b, err)
	day := store.Filter{Since: last.Add(-24*time.Hour - 17*time.Minute), Until: last.Add(-17 * time.Minute)}
	half := store.Filter{Since: first.Add(last.Sub(first)/3 + 7*time.Minute), Until: last.Add(-7 * time.Minute)}
	report := func(f store.Filter) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				for _, by := range [][]store.Dimension{{}, {store.ByDomain}, {store.ByRelay}, {store.ByReason}, {store.ByDay}} {
					_, err := r.Count(b.Context(), f, by...)
					must(b, err)
				}
			}
		}
	}
	b.Run("report", report(store.Filter{}))
	b.Run("report-day", report(day))
	b.Run("report-two-thirds", report(half))
	trace := func(f store.Filter) func(b *testing.B) {
		return func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = 0
				for _, err := range r.Attempts(b.Context(), f, store.Page{}) {
					must(b, err)
					n++
				}
			}
			b.ReportMetric(float64(n), "rows")
		}
	}
	b.Run("trace-recipient", trace(store.Filter{Recipients: []string{found[0].Recipient}}))
	b.Run("trace-queue-id", trace(store.Filter{QueueID: found[0].QueueID}))
	b.Run("trace-message-id", trace(store.Filter{MessageID: found[0].MessageID}))
	b.Run("refusals", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = 0
			for _, err := range r.Refusals(b.Context(), store.Filter{Reasons: store.Suspect}) {
				must(b, err)
				n++
			}
		}
		b.ReportMetric(float64(n), "rows")
	})
	b.Run("delivered", func(b *testing.B) {
		n := 0
		for b.Loop() {
			h, err := r.Delivered(b.Context(), []store.Stream{{Relays: []string{"icloud.com"}, Span: span, Around: []time.Time{first.Add(last.Sub(first) / 2)}}}, 200_000)
			must(b, err)
			n = len(h[0].Deliveries)
		}
		b.ReportMetric(float64(n), "rows")
	})
}
