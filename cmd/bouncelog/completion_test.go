package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// suggestions are what the shells offer after words, the last of which is begun.
func suggestions(t *testing.T, words ...string) []string {
	t.Helper()
	var out, stderr bytes.Buffer
	if status := run(t.Context(), append([]string{"__complete"}, words...), strings.NewReader(""), &out, &stderr); status != 0 {
		t.Fatalf("%q: status %d, %s", words, status, &stderr)
	}
	list := strings.Split(strings.TrimSpace(out.String()), "\n")
	return list[:len(list)-1] // the last is a directive
}

// TestCompletion holds that the shells know the values of options, and that the
// commands take each of them.
func TestCompletion(t *testing.T) {
	log := t.TempDir() + "/mail.log"
	if err := os.WriteFile(log, fmt.Appendf(nil, deliveryLine, 1, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		command, option string
		least           int
		rest            []string
	}{
		{"report", "--format", 7, []string{log}},
		{"report", "--by", 12, []string{log}},
		{"report", "--sort", 10, []string{log}},
		{"report", "--section", 13, []string{log}},
		{"report", "--mta", 2, []string{log}},
		{"report", "--outcome", 5, []string{log}},
		{"report", "--reason", 20, []string{log}},
		{"report", "--day", 6, []string{log}},
		{"report", "-d", 6, []string{log}},
		{"report", "--since", 4, []string{log}},
		{"report", "--fail-on", 4, []string{log}},
		{"parse", "--format", 8, []string{log}},
		{"suppress", "--format", 10, []string{log}},
		{"explain", "--format", 3, []string{"550", "5.1.1"}},
	} {
		values := suggestions(t, test.command, test.option, "")
		if len(values) < test.least {
			t.Errorf("%s %s: only %q", test.command, test.option, values)
		}
		for _, v := range values {
			var out, stderr bytes.Buffer
			args := append([]string{test.command, test.option, v}, test.rest...)
			if status := run(t.Context(), args, strings.NewReader(""), &out, &stderr); status == exitUsage {
				t.Errorf("%q is offered and not taken: %s", args, &stderr)
			}
		}
	}
	for _, test := range []struct {
		words []string
		want  []string
	}{
		{[]string{"report", "--section", "verdict,pro"}, []string{"verdict,problems", "verdict,providers"}},
		{[]string{"report", "--section", "problems,pro"}, []string{"problems,providers"}},
		{[]string{"scan", "--fail-on", ""}, []string{"error", "warning"}},
		{[]string{"report", "--mta", "e"}, []string{"exim"}},
	} {
		if got := suggestions(t, test.words...); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.words, got, test.want)
		}
	}
}
