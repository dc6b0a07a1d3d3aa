//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bouncelog/internal/chnode"
)

// TestFleet runs the commands of docs/fleet.md as they stand there against a real node.
func TestFleet(t *testing.T) {
	doc, err := os.ReadFile("../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\n(export BOUNCELOG_DB=.*?)```\n").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/fleet.md has no commands")
	}
	node := chnode.Start(t, 1)[0]
	// The engine of the tests has no users but its own.
	script := strings.ReplaceAll(string(block[1]), "bouncelog@127.0.0.1:9000", "default@"+node.Address())
	script = strings.ReplaceAll(script, "BOUNCELOG_DB_PASSWORD=choose-one", "BOUNCELOG_DB_PASSWORD=")
	bin := filepath.Dir(program(t, "cmd/bouncelog"))
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "BOUNCELOG_CONFIG=/dev/null", "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"98 delivery attempts", "171 delivery attempts", // of each log
		"269  attempts", // in the report over both
		"mx1/", "mx2/",  // the logs of db info
		"mx2   delivered", // the query
		"the database is sound",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in what the commands print:\n%s", want, out)
		}
	}
}

// moving is what differs between two reports of the same attempts: how old the newest line
// is, and where the database is.
var moving = regexp.MustCompile(`"(age_)?seconds": \d+|--db [^ "]+`)

// TestFleetSame holds that ClickHouse answers as SQLite does, to the row, over a generated
// log with incidents: imported by each, and shipped in the middle and read on.
func TestFleetSame(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	bin, dir := program(t, "cmd/bouncelog"), t.TempDir()
	t.Setenv("BOUNCELOG_CONFIG", "/dev/null")
	log, file := filepath.Join(dir, "mail.log"), filepath.Join(dir, "file.db")
	imported, shipped := "clickhouse://"+node.Address()+"/imported", "clickhouse://"+node.Address()+"/shipped"
	output(t, program(t, "bench/genlog"), "-bytes", "20M", "-rate", "200000", "-o", log)
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.LastIndexByte(whole[:len(whole)/2], '\n') + 1
	read := func(size int, dbs ...string) {
		t.Helper()
		if err := os.WriteFile(log, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		for _, db := range dbs {
			output(t, bin, "import", "--agent", "mx1", "--db", db, log)
		}
	}
	same := func(want, got string) {
		t.Helper()
		for _, args := range [][]string{
			{"report", "--all", "--format", "json"},
			{"report", "--all", "--by", "host", "--format", "json"},
			{"report", "--since", "2026-03-02T01:00", "--until", "2026-03-02T02:00", "--format", "json"},
			{"suppress"},
		} {
			var answers [2]string
			for i, db := range []string{want, got} {
				answers[i] = moving.ReplaceAllString(string(output(t, bin, append(args, "--db", db)...)), "")
			}
			if diff := cmp.Diff(strings.Split(answers[0], "\n"), strings.Split(answers[1], "\n")); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%.4000s", strings.Join(args, " "), got, diff)
			}
		}
	}
	read(half, file)
	for range 2 {
		output(t, bin, "db", "ship", "--agent", "mx1", "--db", file, "--to", shipped)
		same(file, shipped)
	}
	read(len(whole), file, imported, shipped)
	same(file, imported)
	same(file, shipped)
}
