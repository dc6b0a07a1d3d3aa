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
