package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrintedCommands holds that the commands in a report work as printed, whatever was
// selected: they are taken apart by a shell, and each lists what the report left out.
func TestPrintedCommands(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	log, db := filepath.Join(dir, "the postmaster's $log.log"), filepath.Join(dir, "a db.db")
	raw, err := os.ReadFile("../../testdata/postfix-rfc3164.log")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BOUNCELOG_DB", filepath.Join(dir, "none.db"))
	call := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); status != exitOK {
			t.Fatalf("%q: exit status %d\n%s", args, status, &stderr)
		}
		return stdout.String()
	}
	call("import", "--db", db, "--year", "2026", "--tz", "UTC", log)
	type list struct {
		Section, More string
		Total, Shown  int
	}
	ran := 0
	for _, args := range [][]string{
		{"--year", "2026", "--tz", "UTC", log},
		{"--year", "2026", "--tz", "UTC", "-d", "2026-11-23", "--sender-domain", "sender.test", log},
		{"--year", "2026", "--tz", "UTC", "--since", "2026-11-23 14:44:30", "--outcome", "soft,hard", log},
		{"--db", db, "--tz", "UTC", "--by", "recipient", "--sort", "hard"},
		{"--db", db, "--tz", "UTC", "-d", "2026-11-22 to 2026-11-24", "--by", "provider", "--problem-messages", "3"},
	} {
		var r struct {
			Verdict struct {
				Background, Silence *struct{ Command string }
			}
			Lists []list
		}
		if err := json.Unmarshal([]byte(call(append([]string{"report", "--top", "3", "--format", "json"}, args...)...)), &r); err != nil {
			t.Fatal(err)
		}
		check := func(command string) []string {
			t.Helper()
			out, err := exec.Command("sh", "-c", `printf '%s\n' `+strings.TrimPrefix(command, "bouncelog ")).Output()
			if err != nil || !strings.HasPrefix(command, "bouncelog ") {
				t.Fatalf("%s: %v", command, err)
			}
			ran++
			return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		}
		if b := r.Verdict.Background; b != nil {
			call(check(b.Command)...)
		}
		if s := r.Verdict.Silence; s != nil {
			call(check(s.Command)...)
		}
		for _, l := range r.Lists {
			if l.Shown >= l.Total {
				continue
			}
			var all struct{ Lists []list }
			if err := json.Unmarshal([]byte(call(append(check(l.More), "--format", "json")...)), &all); err != nil {
				t.Fatal(err)
			}
			if len(all.Lists) != 1 || all.Lists[0].Section != l.Section || all.Lists[0].Total != l.Total || all.Lists[0].Shown != l.Total {
				t.Errorf("%s\nshows %+v, and the report spoke of %+v", l.More, all.Lists, l)
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were run", ran)
	}
}
