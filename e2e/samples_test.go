package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The report on each sample log must count what was counted by other means.
func TestSamples(t *testing.T) {
	logs, err := filepath.Glob("../testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no sample logs: %v", err)
	}
	for _, log := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(log), ".log"), func(t *testing.T) {
			expected, err := os.ReadFile(strings.TrimSuffix(log, ".log") + ".expected.tsv")
			if err != nil {
				t.Fatal(err)
			}
			got := reported(t, output(t, program(t, "cmd/bouncelog"), "report", "--all", "--format", "json", log))
			if diff := cmp.Diff(counted(t, expected), got); diff != "" {
				t.Errorf("-counted by hand +reported\n%s", diff)
			}
		})
	}
}

// A log that is read in several goes, because it has grown or the program was
// ended, must give what it gives in one: also for the messages that were in the
// queue at that moment.
func TestSamplesInterrupted(t *testing.T) {
	const stops = 8
	logs, err := filepath.Glob("../testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no sample logs: %v", err)
	}
	for _, log := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(log), ".log"), func(t *testing.T) {
			t.Parallel()
			whole, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			want := imported(t, whole)
			var stages [][][]byte // where reading is interrupted
			for i := 1; i < stops; i++ {
				stages = append(stages, [][]byte{whole[:bytes.LastIndexByte(whole[:len(whole)*i/stops], '\n')+1]})
			}
			// Also before and behind the line that tells the sender of a
			// notification, which comes after the one with its Message-ID.
			if i := bytes.Index(whole, []byte(": from=<>, size=")); i >= 0 {
				line := bytes.LastIndexByte(whole[:i], '\n') + 1
				stages = append(stages, [][]byte{whole[:line], whole[:i+bytes.IndexByte(whole[i:], '\n')+1]})
			}
			for _, s := range stages {
				if diff := cmp.Diff(want, imported(t, append(s, whole)...)); diff != "" {
					t.Errorf("interrupted at byte %d: -one go +several\n%.3000s", len(s[len(s)-1]), diff)
				}
			}
		})
	}
}

// imported gives what is stored of a log after it was read at each of its
// stages.
func imported(t *testing.T, stages ...[]byte) []string {
	t.Helper()
	bouncelog := program(t, "cmd/bouncelog")
	dir := t.TempDir()
	db, log := filepath.Join(dir, "import.db"), filepath.Join(dir, "mail.log")
	for _, text := range stages {
		if err := os.WriteFile(log, text, 0o644); err != nil {
			t.Fatal(err)
		}
		output(t, bouncelog, "--db", db, "import", log)
	}
	out := output(t, bouncelog, "--db", db, "query", "--format", "ndjson",
		"select offset, time, queue_id, message_id, sender, recipient, status, outcome, reason from deliveries order by offset, recipient")
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
