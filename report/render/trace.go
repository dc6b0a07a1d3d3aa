package render

import (
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/report"
	"bouncelog/store"
)

// Trace describes some attempts in words (see report.Trace) and, at the end of a message, the end
// of each recipient. Its result is clean: no remote text acts on a terminal.
func Trace(attempts []store.Attempt, ends []bounce.End, loc *time.Location) string {
	var b strings.Builder
	say := func(parts ...string) { b.WriteString(table.Clean(strings.Join(parts, "")) + "\n") }
	endings := report.Endings(attempts, ends)
	message, explained := store.MessageKey{}, map[string]bool{}
	for i := range attempts {
		a := &attempts[i]
		if key := a.MessageKey(); key != message {
			message = key
			say("message ", a.QueueID, report.Origin(a))
		}
		say("  ", when.Stamp(a.Time.In(loc), "2006-01-02 15:04:05"), "  ", report.Sentence(a))
		if a.Outcome != bounce.Delivered && a.Response != "" {
			say("      ", a.Response)
		}
		if a.Warning != "" {
			say("      the log said just before: ", a.Warning)
		}
		if a.Reason != bounce.NoReason {
			t := judge.AttemptText(&a.Delivery, a.Verdict)
			words, turn := a.Reason.String()+": "+t.Meaning+" "+strings.Join(t.Do, " "), judge.Turn(&a.Delivery, a.Verdict)
			if !explained[words+turn] {
				explained[words+turn] = true // once is enough
				say("      ", words)
				say("      who acts: ", turn)
			}
		}
		if e := endings[i]; e != nil {
			say("  in the end: <", a.Recipient, "> ", e.Words)
		}
	}
	if len(attempts) > 0 {
		return b.String()
	}
	for i := range ends {
		e := &ends[i]
		if key := store.EndedMessage(e); key != message {
			message = key
			say("message ", e.QueueID, report.Origin(&store.Attempt{Delivery: bounce.Delivery{Host: e.Host}}))
		}
		t := judge.ExplainLine(judge.EndLine(e.Event))
		say("  ", when.Stamp(e.Time.In(loc), "2006-01-02 15:04:05"), "  ", t.Title)
		say("      ", t.Meaning)
	}
	return b.String()
}
