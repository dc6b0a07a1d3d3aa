package report_test

import (
	"os"
	"testing"

	"bouncelog/report"
	"bouncelog/store/sqlite"
)

// BenchmarkProblems looks for problems in the database BOUNCELOG_BENCH_DB.
func BenchmarkProblems(b *testing.B) {
	path := os.Getenv("BOUNCELOG_BENCH_DB")
	if path == "" {
		b.Skip("BOUNCELOG_BENCH_DB names no database")
	}
	db, err := sqlite.Open(b.Context(), path, sqlite.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for b.Loop() {
		r, err := report.Build(b.Context(), db, report.Options{Sections: []string{report.SectionProblems}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(r.Problems)), "problems")
	}
}
