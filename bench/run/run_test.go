//go:build linux

package main

import (
	"os"
	"path/filepath"
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
	b := &bench{dir: t.TempDir(), env: os.Environ()}
	if err := os.WriteFile(filepath.Join(b.dir, "old.db-wal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := b.measure(&subject{command: "test ! -e old.db-wal && yes | head -c 1000000", fresh: []string{"old.db"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.wall <= 0 || r.peak <= 0 {
		t.Errorf("measured %+v", r)
	}
	if _, err := b.measure(&subject{command: "echo no >&2; exit 3"}); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("a failure gives %v", err)
	}
}

func TestWrite(t *testing.T) {
	b := &bench{dir: t.TempDir(), logSize: map[string]int64{postfixLog: 100e6}}
	file := filepath.Join(b.dir, "RESULTS.md")
	took := func(s float64) []result {
		return []result{{wall: time.Duration(s * float64(time.Second)), peak: 8 << 20}}
	}
	err := b.write(file, []*subject{
		{group: "log", name: "grep -c", command: "grep -c x", input: postfixLog, runs: took(0.5)},
		{group: "log", name: "sqlite3", command: "sqlite3 x", input: postfixLog, runs: took(1.5)},
		{group: "log", name: "bouncelog import", command: "bouncelog", input: postfixLog, limits: []string{"log: grep -c", "log: sqlite3"}, runs: took(4)},
		{group: "log", name: "peer", command: "peer", input: postfixLog, limits: []string{"log: grep -c"}, runs: took(40)},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| bouncelog import | 4.00 | 4.00 - 4.00 | 0.00 | 25 | 8 | 2.0 |  |\n",
		"| peer | 40.00 | 40.00 - 40.00 | 0.00 | 2 | 8 | 80.0 | 10.0 |\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
