package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Whatever is asked, and however many questions there are: JSON is one list, with an
// answer to each.
func TestExplainJSON(t *testing.T) {
	const line = "Nov 23 10:00:01 mx1 postfix/smtp[105]: 4A1B2C3D4E: to=<gone@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0.1/0/0.4/0.5, dsn=5.1.1, status=bounced (host mx.good.example[192.0.2.20] said: 550 5.1.1 no (in reply to RCPT TO command))"
	for _, c := range []struct {
		args    []string
		stdin   string
		answers int
	}{
		{[]string{"550"}, "", 1},
		{[]string{"5.7.1"}, "", 1},
		{[]string{"550", "5.7.26", "This mail is unauthenticated"}, "", 1},
		{[]string{line}, "", 1},
		{[]string{"some words"}, "", 1},
		{[]string{"-"}, "", 0},
		{[]string{"-"}, "550\n", 1},
		{[]string{"-"}, "550\n451 4.7.1 later\n\n" + line, 4},
		{[]string{"--input", "ndjson", "-"}, `{"code": 550}`, 1},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append([]string{"explain", "--format", "json"}, c.args...), strings.NewReader(c.stdin), &stdout, &stderr); status != 0 {
			t.Fatalf("%q: status %d, %s", c.args, status, &stderr)
		}
		var list []map[string]any
		if err := json.Unmarshal(stdout.Bytes(), &list); err != nil || len(list) != c.answers {
			t.Errorf("%q: %d answers, %v in\n%s", c.args, len(list), err, &stdout)
		}
	}
}

// A stage decides what a vague reply is about, whichever of its names it is given by.
func TestExplainStage(t *testing.T) {
	for _, stage := range []string{"eom", "EOM", "EOD", "eod"} {
		for _, args := range [][]string{{"--stage", stage, "550 the signature was rejected"}, {"--input", "ndjson", "-"}} {
			var stdout, stderr bytes.Buffer
			object := `{"response": "550 the signature was rejected", "stage": "` + stage + `"}`
			run(t.Context(), append([]string{"explain", "--format", "ndjson"}, args...), strings.NewReader(object), &stdout, &stderr)
			if !strings.Contains(stdout.String(), `"reason":"auth_failure"`) {
				t.Errorf("%s %q: %s%s", stage, args, &stdout, &stderr)
			}
		}
	}
}
