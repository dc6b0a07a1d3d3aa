//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		walls []time.Duration
		want  float64
	}{
		{[]time.Duration{3 * time.Second}, 3},
		{[]time.Duration{9 * time.Second, time.Second, 2 * time.Second}, 2},
		{[]time.Duration{4 * time.Second, time.Second, 2 * time.Second, 9 * time.Second}, 3},
	} {
		s := &subject{}
		for _, w := range tt.walls {
			s.runs = append(s.runs, result{wall: w})
		}
		if got := s.median(); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.walls, got, tt.want)
		}
	}
}

func TestMeasure(t *testing.T) {
	b := &bench{options: options{dir: t.TempDir()}, env: os.Environ()}
	r, err := b.measure(&subject{before: "echo >there", command: "test -e there && yes | head -c 1000000"})
	if err != nil {
		t.Fatal(err)
	}
	if r.wall <= 0 || r.peak <= 0 {
		t.Errorf("measured %+v", r)
	}
	// What is told to stop may take its time to do so.
	r, err = b.measure(&subject{command: `trap 'sleep 0.3; exit' TERM; echo so far >&2; while :; do sleep 0.01; done`, until: "so far"})
	if err != nil || r.wall <= 0 || r.wall > 250*time.Millisecond {
		t.Errorf("measured %+v, %v", r, err)
	}
	// A stand-in that counts the attempts in a database as query does.
	if err := os.WriteFile(filepath.Join(b.dir, "bouncelog"), []byte("#!/bin/sh\ncat $2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.logs = map[string]logFile{"log": {attempts: 7}}
	r, err = b.measure(&subject{before: "rm -f db", command: "echo 7 >db", readers: "cat db", input: "log", db: "db"})
	if err != nil || r.size != 2 || r.reports < 4 {
		t.Errorf("measured %+v, %v", r, err)
	}

	for want, s := range map[string]*subject{
		"exit status 3: no":           {command: "echo no >&2; exit 3"},
		"exit status 4":               {before: "exit 4", command: "true"},
		`did not say "so far"`:        {command: "echo almost >&2", until: "so far"},
		"stored 6 attempts":           {before: "rm -f db", command: "echo 6 >db", input: "log", db: "db"},
		"stored 0 attempts":           {before: "echo 7 >db", command: "true", input: "log", db: "db"},
		"the reader: exit status 5":   {before: "rm -f db", command: "echo 7 >db", readers: "true the reader; exit 5", input: "log", db: "db"},
		"exit status 6: the importer": {before: "rm -f db", command: "echo the importer >&2; exit 6", readers: "cat db", input: "log", db: "db"},
	} {
		if _, err := b.measure(s); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "true the reader; exit 5", "the reader"), want) {
			t.Errorf("%q: a failure gives %v, want %s", s.command, err, want)
		}
	}
}

func TestWrite(t *testing.T) {
	b := &bench{options: options{bytes: "100M", rounds: 1, out: filepath.Join(t.TempDir(), "RESULTS.md")}}
	b.logs = map[string]logFile{postfixLog: {bytes: 100e6, lines: 2e6, attempts: 1e6}}
	took := func(s float64) []result {
		wall := time.Duration(s * float64(time.Second))
		return []result{{wall: wall, cpu: 2 * wall, peak: 8 << 20, size: 53e6, reports: 9}}
	}
	grep := &subject{name: "grep -c", command: "grep -c x", input: postfixLog, runs: took(0.5)}
	rows := &subject{name: "sqlite3", command: "sqlite3 x", input: postfixLog, runs: took(1.5)}
	ours := &subject{name: "bouncelog import", command: "bouncelog", input: postfixLog, limits: []*subject{grep, rows}, runs: took(4)}
	peer := &subject{name: "peer", command: "peer", input: postfixLog, limits: []*subject{grep}, runs: took(40)}
	left := &subject{name: "left out", command: "left", input: postfixLog}
	b.sections = []section{
		{title: "log", columns: compared, subjects: []*subject{grep, rows, ours, peer}},
		{
			title: "lines", columns: slices.Concat(milliseconds, []column{perMillion, lineRate, perAttempt, reports, than("of ours", ours), than("of none", left)}),
			subjects: []*subject{ours, {name: "readers", readers: "cat", input: postfixLog, runs: took(6)}},
		},
		{title: "nothing", subjects: []*subject{left}},
		{title: "more", flag: "-more"},
	}
	b.choose(regexp.MustCompile(""))
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(b.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"`go run ./bench/run -bytes 100M -rounds 1`",
		"| | wall s | from - to | CPU s | MB/s | peak MB | of the limit | of our import | rounds |\n|---|---|---|---|---|---|---|---|---|\n",
		"| bouncelog import | 4.00 | 4.00 - 4.00 | 8.00 | 25 | 8 | 2.0 |  | 1 |\n",
		"| peer | 40.00 | 40.00 - 40.00 | 80.00 | 2 | 8 | 80.0 | 10.0 | 1 |\n",
		"| log: bouncelog import | 4000.0 | 4000.0 - 4000.0 | 4.00 | 500000 | 53.0 |  |  |  |\n",
		"| readers | 6000.0 | 6000.0 - 6000.0 | 6.00 | 333333 | 53.0 | 9 | 1.5 |  |\n",
		"## more\n\nNot measured: it takes `-more`.\n",
		"- lines: readers: ``\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "## nothing") {
		t.Error("a section of which nothing was measured")
	}
}

// TestRun measures everything but the peers, which come from the network, on
// logs that are too small to tell anything.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("the sqlite3 shell is not installed")
	}
	t.Chdir("../..")
	t.Setenv("BUILDFLAGS", "-ldflags=-w") // what the tests of commands have compiled
	o := options{bytes: "1M", big: "2M", rows: "10K", rounds: 1, out: filepath.Join(t.TempDir(), "RESULTS.md"), dir: t.TempDir(), only: "bouncelog|sqlite3|: (grep|gzip|wc)"}
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	// In each row the figures that must be there, none of them 0.
	const figure = `[0-9.]*[1-9][0-9.]*`
	for _, want := range []string{
		`bouncelog import \| F \| F - F \| F \| F \| F \| F \|  \| 1`,
		`bouncelog import, 0 MB \| F \| F - F \| F \| F \| F \| F \| F \| 1`,
		`bouncelog import, 2 MB \| F \| F - F \| F \| F \| F \| F \| F \| 1`,
		`Exim log: bouncelog import \| F \| F - F \| F \| F \| F \| F \| F \| 1`,
		`bouncelog follow \| F \| F - F \| F \| F \| F \| F \| F \| F \| 1`,
		`bouncelog import, four readers \| F \| F - F \| F \| F \| F \| F \| F \| 1`,
		`bouncelog import, into many\.db \| F \| F - F \| F \| F \| F \| F \| F \| 1`,
		`bouncelog trace \| F \| F - F \| F \| F \| \S+ \| 1`,
		`bouncelog report --section problems \| F \| F - F \| F \| F \| \S+ \| 1`,
		`bouncelog version \| F \| F - F \| F \| 20`,
		`bouncelog report --section totals \| F \| F - F \| F \| 20`,
	} {
		row := regexp.MustCompile(`(?m)^\| ` + strings.ReplaceAll(want, "F", figure) + ` \|$`)
		if !row.Match(page) {
			t.Errorf("no row %s in\n%s", want, page)
			return
		}
	}
	for _, want := range []string{`It holds [1-9]\d{4} attempts, those of big\.log [2-9] times`, `\(attempts: [1-9]\d*\)`, `\(\d{8} bytes\)`} {
		if !regexp.MustCompile(want).Match(page) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "Not measured") {
		t.Errorf("something was not measured:\n%s", page)
	}
}
