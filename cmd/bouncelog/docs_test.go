package main

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"bouncelog/internal/dnsscan"
	"bouncelog/notify"
	"bouncelog/report"
)

const commandsDoc = "../../docs/commands.md"

// TestCommandsDoc holds that docs/commands.md is the help texts, whole.
func TestCommandsDoc(t *testing.T) {
	t.Setenv("BOUNCELOG_DB", "/var/lib/bouncelog/bouncelog.db")
	var b bytes.Buffer
	b.WriteString("# Commands\n\nWhat `bouncelog help COMMAND` prints. Results go to standard output, all else to\nstandard error; see [exit status](exit-status.md).\n")
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" && c.HasParent() && c.Parent().Name() == "completion" {
			return
		}
		b.WriteString("\n## " + c.CommandPath() + "\n\n```\n")
		var help bytes.Buffer
		c.SetOut(&help)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.TrimSpace(help.String()) + "\n```\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && c.Name() != "completion" {
				walk(sub)
			}
		}
	}
	root := newRoot()
	root.InitDefaultHelpCmd()
	root.InitDefaultHelpFlag()
	walk(root)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(commandsDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(commandsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/commands.md is out of step with the help texts; run 'make golden' (-doc +help):\n%s", diff)
	}
}

// TestJSONReportDoc holds that each key of the report is documented.
func TestJSONReportDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	n := 0
	var keys func(reflect.Type)
	keys = func(v reflect.Type) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			keys(v.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[v] || !strings.HasPrefix(v.PkgPath(), "bouncelog/") {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			f := v.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			keys(f.Type)
			if name == "" {
				continue
			}
			if n++; !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("the key %q of %s is not documented", name, v)
			}
		}
	}
	keys(reflect.TypeFor[report.Report]())
	if n < 100 {
		t.Errorf("found only %d keys: the test is broken", n)
	}
}

// TestNotifyDoc holds that each key and each kind of an event is documented.
func TestNotifyDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/notify.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{notify.Began, notify.Grew, notify.Ended, notify.More, notify.Test}
	for f := range reflect.TypeFor[notify.Event]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("%q is not documented", name)
		}
	}
}

// TestExitStatusDoc holds that each exit status is documented, and no other.
func TestExitStatusDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/exit-status.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(doc), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		documented[n] = true
	}
	for _, status := range []int{exitOK, exitFailed, exitPartly, exitCondition, exitUnknown, exitMissing, exitLocked, exitForeign, exitUsage, exitInterrupted} {
		if !documented[status] {
			t.Errorf("exit status %d is not documented", status)
		}
		delete(documented, status)
	}
	for status := range documented {
		t.Errorf("exit status %d is documented, and there is no such", status)
	}
}

// TestJSONDoc holds that each key of an attempt and of a finding is documented.
func TestJSONDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, c := range attemptColumns() {
		names = append(names, c.Name)
	}
	finding := reflect.TypeFor[dnsscan.Finding]()
	for i := range finding.NumField() {
		name, _, _ := strings.Cut(finding.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("the key %q is not documented", name)
		}
	}
}
