package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binaries is where the programs under test are built to.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bouncelog-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		flag.Set("test.parallel", "8") // the tests mostly wait
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

var built sync.Map // package: func() error

// program builds the program of a package of this module, once, and gives its
// file name.
func program(t testing.TB, pkg string) string {
	t.Helper()
	file := filepath.Join(binaries, filepath.Base(pkg))
	once, _ := built.LoadOrStore(pkg, sync.OnceValue(func() error {
		if out, err := exec.Command("go", "build", "-o", file, "bouncelog/"+pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return file
}

// output runs a program and gives its standard output. Any failure ends the
// test.
func output(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return stdout.Bytes()
}

func tail(b []byte) []byte {
	const most = 4000
	if len(b) > most {
		return b[len(b)-most:]
	}
	return b
}

// A domainCount is what is counted for one recipient domain: the columns that
// lab count writes and the keys of the report's JSON.
type domainCount struct {
	Domain                                                       string
	Attempts, Delivered, Soft, Hard, Recovered, Pending, Expired int
}

// reported reads the domains of a report in JSON.
func reported(t testing.TB, jsonReport []byte) map[string]domainCount {
	t.Helper()
	var r struct{ Domains []domainCount }
	if err := json.Unmarshal(jsonReport, &r); err != nil {
		t.Fatalf("report: %v in %.200s", err, jsonReport)
	}
	counts := map[string]domainCount{}
	for _, d := range r.Domains {
		if d.Attempts > 0 { // hand-offs and probes alone make an entry too
			counts[d.Domain] = d
		}
	}
	if len(counts) == 0 {
		t.Fatalf("the report has no domains: %.200s", jsonReport)
	}
	return counts
}

// counted reads what lab count wrote.
func counted(t testing.TB, tsv []byte) map[string]domainCount {
	t.Helper()
	counts := map[string]domainCount{}
	for i, line := range strings.Split(strings.TrimSpace(string(tsv)), "\n") {
		if i == 0 {
			continue
		}
		var d domainCount
		if n, err := fmt.Sscan(line, &d.Domain, &d.Attempts, &d.Delivered, &d.Soft, &d.Hard, &d.Recovered, &d.Pending, &d.Expired); n != 8 {
			t.Fatalf("%q: %v", line, err)
		}
		counts[d.Domain] = d
	}
	return counts
}
