package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestUsageGroups holds that a grouped help names every option and fits a screen of 50
// lines and 100 columns.
func TestUsageGroups(t *testing.T) {
	for _, name := range []string{"report", "top", "notify", "follow", "scan", "suppress", "serve"} {
		t.Run(name, func(t *testing.T) { testUsageGroups(t, name) })
	}
}

// TestUsageFits holds that each help text fits that screen.
func TestUsageFits(t *testing.T) {
	t.Setenv("BOUNCELOG_DB", "/var/lib/bouncelog/bouncelog.db")
	for _, cmd := range configurable(newRoot()) {
		var b bytes.Buffer
		cmd.SetOut(&b)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) > 50 {
			t.Errorf("%s: %d lines", cmd.CommandPath(), len(lines))
		}
		for _, l := range lines {
			if n := len([]rune(l)); n > 100 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, l)
			}
		}
	}
}

func testUsageGroups(t *testing.T, name string) {
	t.Setenv("BOUNCELOG_DB", "/var/lib/bouncelog/bouncelog.db")
	root := newRoot()
	cmd, _, err := root.Find([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetArgs([]string{name, "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("{recipients,messages,share,chance,window,past,valid}",
		"recipients --problem-messages --problem-share --problem-chance --problem-window --problem-past --problem-valid").Replace(b.String())
	missing := func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && !strings.Contains(strings.NewReplacer(",", " ", "\n", " ").Replace(text), "--"+f.Name+" ") {
			t.Errorf("--%s is in no group", f.Name)
		}
	}
	cmd.LocalFlags().VisitAll(missing)
	cmd.InheritedFlags().VisitAll(missing)
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) > 50 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > 100 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}
