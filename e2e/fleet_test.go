//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
