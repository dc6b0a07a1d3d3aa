package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkImport and BenchmarkReport are the two whole ways of a log: into a
// database, and straight into a report. They read $BOUNCELOG_BENCH_LOG ('make
// profile' writes one) or a sample.
func BenchmarkImport(b *testing.B) {
	benchmarkLog(b, func(log string) []string {
		return []string{"--db", filepath.Join(b.TempDir(), "log.db"), "import", log}
	})
}

func BenchmarkReport(b *testing.B) {
	benchmarkLog(b, func(log string) []string { return []string{"report", log} })
}

func benchmarkLog(b *testing.B, args func(log string) []string) {
	log := os.Getenv("BOUNCELOG_BENCH_LOG")
	if log == "" {
		log = "../../testdata/postfix-rfc3164.log"
	}
	st, err := os.Stat(log)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(st.Size())
	b.ReportAllocs()
	for b.Loop() {
		var out, errs bytes.Buffer
		if status := run(b.Context(), args(log), nil, &out, &errs); status != 0 {
			b.Fatalf("exit status %d: %s", status, &errs)
		}
	}
}
