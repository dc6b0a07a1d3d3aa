//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// expectedColumns are those of expected.tsv.
var expectedColumns = []string{"instance", "message_id", "id", "sender", "rcpt", "first", "final", "stage", "code", "enh", "dsn", "category", "text"}

// An expectation is one line of expected.tsv: the head of scenario.tsv says
// what its columns mean.
type expectation struct {
	instance, messageID, id, sender, rcpt, first, final, stage, code, enh, dsn, category, text string
}

func loadExpected(file string) (out []expectation, err error) {
	err = readLines(file, func(line string) error {
		c := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") {
			return nil
		}
		if len(c) != len(expectedColumns) {
			return fmt.Errorf("%d columns, want %d", len(c), len(expectedColumns))
		}
		out = append(out, expectation{c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11], c[12]})
		return nil
	})
	return out, err
}

// check compares the logs with what was expected. It prints a line for each
// mismatch and the sum.
func check(dir string) error {
	want, err := loadExpected(filepath.Join(dir, "expected.tsv"))
	if err != nil {
		return err
	}
	good, bad := 0, 0
	for _, in := range instances {
		for _, name := range in.logs {
			raw, err := os.ReadFile(filepath.Join(dir, "log", name))
			if err != nil {
				return err
			}
			lines := strings.Split(string(raw), "\n")
			r := read(lines)
			for _, e := range want {
				if e.instance != in.name {
					continue
				}
				problem := ""
				if e.stage == "inbound" {
					problem = e.inbound(in.kind, lines)
				} else {
					problem = e.outbound(r)
				}
				if problem == "" {
					good++
				} else {
					bad++
					fmt.Printf("MISMATCH %s %s %s: %s\n", name, e.id, e.rcpt, problem)
				}
			}
		}
	}
	fmt.Printf("%d as expected, %d not\n", good, bad)
	if bad > 0 {
		return fmt.Errorf("%d expectations are not met", bad)
	}
	return nil
}

// outbound says what is wrong with the deliveries to the recipient.
func (e *expectation) outbound(r reading) string {
	qids := map[string]bool{} // several after a filter or an alias
	for _, q := range r.qids[e.messageID] {
		qids[q] = true
	}
	if len(qids) == 0 {
		return "no queue id"
	}
	var first, final string
	var deciding event
	for _, ev := range r.events {
		switch {
		case !qids[ev.qid] || ev.what == "handoff" || ev.what == "removed" || ev.what == "probe":
			continue
		case ev.what == "expired" || ev.what == "frozen":
			if final == "soft" || ev.what == "frozen" && final == "hard" {
				final = ev.what
			}
			continue
		case !ev.isFor(e.rcpt):
			continue
		}
		if first == "" {
			first, deciding = ev.what, ev
		}
		final = ev.what
		if ev.gaveUp {
			final = "expired"
		}
	}
	if first == "" {
		return "no delivery line"
	}
	if p := e.judge(first, final, deciding.line); p != "" {
		return p
	}
	if e.dsn != "-" && deciding.dsn != e.dsn {
		return fmt.Sprintf("dsn is %s, want %s in: %.300s", deciding.dsn, e.dsn, deciding.line)
	}
	return ""
}

var pfClass = regexp.MustCompile(`: (?:\d\d\d )?([45])\.\d+\.\d+ `)

// inbound says what is wrong with the refusal of a message at the door.
func (e *expectation) inbound(kind string, lines []string) string {
	for _, l := range lines {
		got := "rejected"
		if kind == "postfix" {
			if !strings.Contains(l, "reject: ") && !strings.Contains(l, "hold: ") ||
				!strings.Contains(l, "from=<"+e.sender+">") ||
				!strings.Contains(l, "to=<"+e.rcpt+">") && !strings.Contains(l, "MAIL from") {
				continue
			}
			if e.dsn != "-" && !strings.Contains(l, e.dsn) {
				return "no " + e.dsn + " in: " + l
			}
			switch m := pfClass.FindStringSubmatch(l); {
			case strings.Contains(l, ": hold: "):
				got = "held"
			case m != nil && m[1] == "4":
				got = "tempfail"
			}
		} else {
			if !strings.Contains(l, "rejected ") || !strings.Contains(l, "<"+e.sender+">") {
				continue
			}
			if strings.Contains(l, "temporarily rejected") {
				got = "tempfail"
			}
		}
		return e.judge(got, got, l)
	}
	return "no reject line"
}

// judge compares the classes and the deciding line with what was expected.
func (e *expectation) judge(first, final, line string) string {
	var p []string
	if !slices.Contains(strings.Split(e.first, "|"), first) {
		p = append(p, fmt.Sprintf("first is %s, want %s", first, e.first))
	}
	if final != e.final {
		p = append(p, fmt.Sprintf("final is %s, want %s", final, e.final))
	}
	if !strings.Contains(line, e.text) {
		p = append(p, fmt.Sprintf("no text %q", e.text))
	}
	if e.first != "delivered" { // Exim says nothing of the remote answer there, unless told to
		if e.code != "-" && !regexp.MustCompile(`\b`+e.code+`(\W|$)`).MatchString(line) {
			p = append(p, "no code "+e.code)
		}
		if e.enh != "-" && !strings.Contains(line, e.enh) {
			p = append(p, "no enhanced code "+e.enh)
		}
	}
	if len(p) == 0 {
		return ""
	}
	return fmt.Sprintf("%s in: %.300s", strings.Join(p, "; "), line)
}
