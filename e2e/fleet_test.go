//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// lastDelivered is the one figure that SQLite and ClickHouse may tell differently: a file brings a recipient's last
// delivery up to date once a day, a server looks it up in the attempts (docs/fleet.md). Logs that are read again and again on the
// server, and once into the file, meet that lag.
var lastDelivered = regexp.MustCompile(`\n *"last_delivered": "[^"]*",?`)

// Agents are named on the server only: a file that one process fills has no --agent for each log.
var (
	agentOfSource = regexp.MustCompile(`("source": ")mx\d/`)
	agents        = regexp.MustCompile(`(?s),\n  "hosts": \[.*?\n  \]`)
)

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

// TestFleetHosts stores the logs of several hosts on two shards, with agents that are killed, that read what
// they had read in other parts, and two on one log at once: per domain the report is equal to
// what the generator wrote down, and all of it to SQLite's. BOUNCELOG_FLEET=5x580M makes it
// larger: five hosts of 580 MB, 2 million attempts.
func TestFleetHosts(t *testing.T) {
	hosts, size := 3, "3M"
	if n, s, found := strings.Cut(os.Getenv("BOUNCELOG_FLEET"), "x"); found {
		size = s
		if _, err := fmt.Sscan(n, &hosts); err != nil {
			t.Fatal(err)
		}
	}
	node := chnode.Start(t, 2)[0]
	bin, dir := program(t, "cmd/bouncelog"), t.TempDir()
	t.Setenv("BOUNCELOG_CONFIG", "/dev/null")
	file, server := filepath.Join(dir, "file.db"), "clickhouse://"+node.Address()+"/fleet?cluster="+chnode.Cluster
	importing := func(agent, log string) *exec.Cmd {
		return exec.CommandContext(t.Context(), bin, "import", "--agent", agent, "--db", server, log)
	}
	want := make(map[string]domainCount)
	var logs []string
	for i := range hosts {
		agent := fmt.Sprintf("mx%d", i+1)
		log := filepath.Join(dir, agent+".log")
		output(t, program(t, "bench/genlog"), "-host", agent, "-seed", fmt.Sprint(i+1), "-bytes", size, "-o", log, "-truth", log+".json")
		var truth struct {
			ByDomain []struct {
				Domain                    string
				Sent, Soft, Hard, Expired int // Hard does not include Expired
			} `json:"by_domain"`
		}
		raw, err := os.ReadFile(log + ".json")
		if err == nil {
			err = json.Unmarshal(raw, &truth)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range truth.ByDomain {
			sum := want[d.Domain]
			sum.Domain, sum.Delivered, sum.Soft, sum.Hard = d.Domain, sum.Delivered+d.Sent, sum.Soft+d.Soft, sum.Hard+d.Hard+d.Expired
			sum.Attempts += d.Sent + d.Soft + d.Hard + d.Expired
			want[d.Domain] = sum
		}
		whole, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for part := range 4 {
			end := len(whole)
			if part < 3 {
				end = bytes.LastIndexByte(whole[:len(whole)*(2*part+1)/7], '\n') + 1
			}
			if err := os.WriteFile(log, whole[:end], 0o600); err != nil {
				t.Fatal(err)
			}
			killed := importing(agent, log)
			if err := killed.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.Duration(1 + len(whole)>>25) // of a longer log some commits are made before
			kill := time.AfterFunc(late*time.Duration(50+70*part+30*i)*time.Millisecond, func() { killed.Process.Kill() })
			killed.Wait()
			kill.Stop()
			one, other := importing(agent, log), importing(agent, log)
			for _, cmd := range []*exec.Cmd{one, other} {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(one.Wait(), other.Wait()); err != nil {
				t.Fatal(err)
			}
		}
		logs = append(logs, log)
	}
	// One process reads all logs into the file. A second one would know the last delivery of a recipient
	// only up to a day late (store/sqlite/address.go), and so count more messages as waiting.
	output(t, bin, append([]string{"import", "--db", file}, logs...)...)
	attempts := 0
	for _, d := range want {
		attempts += d.Attempts
	}
	t.Logf("%d attempts of %d hosts", attempts, hosts)
	args := []string{"report", "--all", "--format", "json"}
	inFile, onServer := output(t, bin, append(args, "--db", file)...), output(t, bin, append(args, "--db", server)...)
	got := reported(t, onServer)
	for name, d := range got {
		got[name] = domainCount{Domain: d.Domain, Attempts: d.Attempts, Delivered: d.Delivered, Soft: d.Soft, Hard: d.Hard}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("per domain (-generator +ClickHouse):\n%.4000s", diff)
	}
	steady := func(report []byte) []string {
		report = agentOfSource.ReplaceAll(lastDelivered.ReplaceAll(report, nil), []byte("$1"))
		report = agents.ReplaceAll(report, nil)
		return strings.Split(string(moving.ReplaceAll(report, nil)), "\n")
	}
	if diff := cmp.Diff(steady(inFile), steady(onServer)); diff != "" {
		t.Errorf("the report (-SQLite +ClickHouse):\n%.4000s", diff)
	}
}
