package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// damageCommands are commands that answer from a database, each with what it prints for a
// database that is sound.
func damageCommands() [][]string {
	return [][]string{
		{"report", "--all", "--format", "json"},
		{"report", "--by", "sender-domain", "--format", "csv"},
		{"report", "--by", "recipient", "--format", "csv"},
		{"suppress", "--format", "csv"},
		{"trace", "x100@else.example", "--format", "csv"},
		{"trace", "4A000000000B", "--format", "csv"},
		{"query", "--format", "csv", "select * from deliveries order by source, offset, recipient"},
		{"query", "--format", "csv", "select * from domains order by domain"},
		{"query", "--format", "csv", "select * from daily order by 1, 2, 3, 4, 5"},
		{"query", "--format", "csv", "select * from recipients order by recipient"},
		{"db", "info"},
	}
}

// TestDamage damages some bytes of a database at random, many times, and asks: no command
// panics, few print anything else with status 0, and 'db check' finds nearly all of that. 15
// databases, or as many as BOUNCELOG_DAMAGES says.
func TestDamage(t *testing.T) {
	n := 15
	if s := os.Getenv("BOUNCELOG_DAMAGES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		t.Skip("short")
	}
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	writeLog(t, log, 0, 2500)
	bouncelog(t, exitOK, "import", "--db", db, log)
	sound, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	clock := regexp.MustCompile(`(?m)^.*seconds".*$`)
	ask := func(args []string) (status int, out string) {
		var stdout, stderr bytes.Buffer
		status = run(context.WithoutCancel(t.Context()), append(args, "--db", db), strings.NewReader(""), &stdout, &stderr)
		return status, clock.ReplaceAllString(stdout.String(), "")
	}
	var want []string
	for _, args := range damageCommands() {
		status, out := ask(args)
		if status != exitOK {
			t.Fatalf("%q: status %d", args, status)
		}
		want = append(want, out)
	}
	silent, told, unseen, checkFinds := 0, 0, 0, 0
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		raw := bytes.Clone(sound)
		first, bytesHit := 0, 1+r.IntN(50)
		for j := range bytesHit {
			at := r.IntN(len(raw))
			if j == 0 {
				first = at
			} else if i%2 == 0 {
				at = min(first+j, len(raw)-1) // a run, or here and there
			}
			raw[at] ^= byte(1 + r.IntN(255))
		}
		if err := os.WriteFile(db, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(db + "-wal")
		os.Remove(db + "-shm")
		var other []string
		complaints := 0
		for c, args := range damageCommands() {
			status, out := ask(args)
			switch {
			case status != exitOK:
				complaints++
			case out != want[c]:
				a, b := firstDifference(want[c], out)
				other = append(other, fmt.Sprintf("%.60q: %.160q, not %.160q", args, b, a))
			}
		}
		found, what := ask([]string{"db", "check"})
		if found != exitOK {
			checkFinds++
		}
		switch {
		case len(other) > 0:
			silent++
			if found == exitOK {
				unseen++
				t.Logf("database %d, %d bytes: other answers, and db check finds nothing:\n%s", i, bytesHit, strings.Join(other, "\n"))
			} else if testing.Verbose() {
				t.Logf("database %d: %d commands complain; %.300q; db check: %.200q", i, complaints, other[0], what)
			}
		case complaints > 0:
			told++
		}
	}
	// Nothing else in the database says what a queue id was, and 1 of 50 recipients passes a filter.
	if silent > 1+n/10 || unseen > 1+n/50 {
		t.Errorf("too many")
	}
	t.Logf("%d databases: %d with other answers and status 0, of which db check finds all but %d; %d complain and answer nothing else; db check finds damage in %d",
		n, silent, unseen, told, checkFinds)
}

func firstDifference(a, b string) (string, string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return strings.TrimSpace(x[i]), strings.TrimSpace(y[i])
		}
	}
	return fmt.Sprint(len(x), " lines"), fmt.Sprint(len(y), " lines")
}
