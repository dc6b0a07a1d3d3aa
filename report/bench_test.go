package report_test

import (
	"os"
	"testing"

	"bouncelog/report"
	"bouncelog/store/sqlite"
)

// BenchmarkBuild builds the report, and each section of it, from the database BOUNCELOG_BENCH_DB.
func BenchmarkBuild(b *testing.B) {
	path := os.Getenv("BOUNCELOG_BENCH_DB")
	if path == "" {
		b.Skip("BOUNCELOG_BENCH_DB names no database")
	}
	db, err := sqlite.Open(b.Context(), path, sqlite.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	build := func(name string, sections ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := func() (*report.Report, error) {
					r, err := db.Read(b.Context())
					if err != nil {
						return nil, err
					}
					defer r.Close()
					return report.Build(b.Context(), r, report.Options{Sections: sections, Top: 20})
				}()
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	build("all")
	for _, section := range report.Sections() {
		build(section, section)
	}
}
