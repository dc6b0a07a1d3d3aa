package render

import (
	"fmt"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
)

// problemLines is a problem as a person reads it, in lines. The first check is left out
// where it has been said.
func problemLines(p *problem.Problem, clock func(time.Time) string, checked map[string]bool) []string {
	lines := []string{
		strings.ToUpper(p.Level) + ": " + p.Summary,
		fmt.Sprintf("%s to %s%s: %s, %s, %s (%d known to be valid)", clock(p.Since), clock(p.Until), course(p, clock),
			table.Count(p.Attempts, "attempt"), table.Count(int64(p.Messages), "message"), table.Count(int64(p.Recipients), "recipient"), p.Valid()),
	}
	if b, o := p.Before, p.Onset; p.Level != problem.Watch && o != nil && o.Tried > 1 {
		line := ""
		if b != nil && b.Tried > 0 {
			line = fmt.Sprintf("%d of %d messages refused until %s, ", b.Refused, b.Tried, clock(p.Began()))
		}
		since := "since"
		if line == "" {
			since = "messages refused since " + clock(p.Began())
		}
		lines = append(lines, fmt.Sprintf("%s%d of %d %s", line, o.Refused, o.Tried, since))
	}
	if len(p.Evidence) > 0 {
		lines = append(lines, "They say: "+table.Cut(p.Evidence[0].Text, 150))
	}
	if p.Level == problem.Watch {
		return lines
	}
	lines = append(lines, "Why: "+p.Why)
	if len(p.Addresses) > 0 {
		lines = append(lines, "Named as ours: "+strings.Join(p.Addresses, ", "))
	}
	if !checked[p.FirstCheck] {
		checked[p.FirstCheck] = true
		lines = append(lines, "Check first: "+p.FirstCheck)
	}
	return append(lines, "Run: "+p.Scan)
}

// course says how a problem goes on or ended.
func course(p *problem.Problem, clock func(time.Time) string) string {
	s := ""
	if !p.FirstHeard.IsZero() {
		s = ", first heard of " + clock(p.FirstHeard)
	}
	switch {
	case p.Ongoing:
		return s + ", still going on"
	case !p.EndedAt.IsZero():
		return s + ", ended " + clock(p.EndedAt) + " (" + p.Ended + ")"
	case p.Ended != "":
		return s + ", " + p.Ended
	}
	return s
}
