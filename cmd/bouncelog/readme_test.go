package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadme holds that what the README shows is what the commands print.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	t.Setenv("COLUMNS", "88")
	t.Setenv("NO_COLOR", "1")
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?ms)^```\n\\$ bouncelog ([^\n]*)\n(.*?)^```$")
	found := 0
	got := example.ReplaceAllStringFunc(string(raw), func(block string) string {
		found++
		m := example.FindStringSubmatch(block)
		var stdout, stderr bytes.Buffer
		if status := run(context.Background(), strings.Fields(m[1]), strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Errorf("bouncelog %s: exit status %d\n%s", m[1], status, &stderr)
		}
		return "```\n$ bouncelog " + m[1] + "\n" + stdout.String() + "```"
	})
	if found == 0 {
		t.Fatal("found no example in README.md: the test is broken")
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("README.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(raw), got); diff != "" {
		t.Errorf("README.md is out of step; run 'make golden' (-README +run):\n%s", diff)
	}
}
