package render

import (
	"strings"
	"testing"
	"time"

	"bouncelog/report"
)

// TestOver holds that an ended incident says how much of its mail was returned, and that it has to be sent
// again unless it was a flood or spam.
func TestOver(t *testing.T) {
	r := &report.Report{Location: time.UTC, Verdict: &report.Verdict{}}
	for _, c := range []struct {
		in   report.Incident
		want string
	}{
		{report.Incident{Title: "T", Lost: 28, SendAgain: true}, "; 28 returned to their senders; send the returned mail again)."},
		{report.Incident{Title: "T", Lost: 1, Waiting: 2, SendAgain: true}, "; 1 returned to its sender, 2 waiting; send the returned mail again)."},
		{report.Incident{Title: "T", Lost: 28}, "; 28 returned to their senders)."},
		{report.Incident{Title: "T", SendAgain: true}, ", 0 messages)."},
	} {
		if got := over(r, &c.in); !strings.HasSuffix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestEndedFacts holds that the ended incident which the verdict names shows the reply and what to do, and another
// one only if its cause remains.
func TestEndedFacts(t *testing.T) {
	first := report.Incident{ID: "a", Reply: "554 locked", Check: "Ask the support.", Command: "bouncelog report"}
	second := first
	second.ID = "b"
	remaining := second
	remaining.Remains = true
	r := &report.Report{Location: time.UTC, Verdict: &report.Verdict{Ended: []report.Incident{first, second}}}
	for _, c := range []struct {
		in   *report.Incident
		want string
	}{
		{&first, "Sample reply, Who acts, Check first, Run"},
		{&second, ""},
		{&remaining, "Sample reply, Who acts, Check first, Run"},
	} {
		var labels []string
		for _, f := range endedFacts(r, c.in) {
			labels = append(labels, f.Label)
		}
		if got := strings.Join(labels, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", c.in.ID, got, c.want)
		}
	}
}
