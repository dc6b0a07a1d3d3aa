package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// madeOn is when and where a page was made: other in each run.
var madeOn = regexp.MustCompile(`Made <b>.*?</b> on [^<]*`)

// TestReportGolden holds the report of the sample logs, made by the whole pipeline, in
// every format against a file. UPDATE_GOLDEN=1 writes them; look at the difference.
func TestReportGolden(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	t.Setenv("BOUNCELOG_DB", filepath.Join(t.TempDir(), "none.db"))
	t.Chdir("../../testdata")
	for file, c := range map[string]struct {
		columns string
		args    string
	}{
		"report-80.txt":       {"80", ""},
		"report-pipe.txt":     {"", ""},
		"report-problems.txt": {"100", "--section problems"},
		"report-provider.tsv": {"", "--format tsv --by provider --all"},
		"report-problems.csv": {"", "--format csv --section problems"},
		"report.csv":          {"", "--format csv --all"},
		"report.html":         {"", "--format html"},
		"report.json":         {"", "--format json"},
		"report.md":           {"", "--format markdown"},
		"report.ndjson":       {"", "--format ndjson"},
	} {
		t.Setenv("COLUMNS", c.columns)
		args := append([]string{"report", "--year", "2026", "--tz", "UTC"}, strings.Fields(c.args)...)
		var stdout, stderr bytes.Buffer
		if status := run(context.Background(), append(args, "postfix-rfc3164.log", "exim-mainlog.log"), strings.NewReader(""), &stdout, &stderr); status != exitOK {
			t.Fatalf("%s: exit status %d\n%s", file, status, &stderr)
		}
		out := madeOn.ReplaceAll(stdout.Bytes(), []byte("Made <b>2026-11-24 08:00 UTC</b> on mx1"))
		path := filepath.Join("golden", file)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}
