package top

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
)

// incidents holds the incidents that are going on, and those that ended.
type incidents struct {
	stamp
	asked    time.Time
	of       period
	period   time.Duration
	sentence string
	empty    bool // there was no mail, or it is not read yet
	bad      bool // the sentence is no good news, or most of our mail is refused, by one provider or in all, or nothing was delivered
	list     []incident
	more     int
}

// An incident with the log lines that are its evidence.
type incident struct {
	report.Incident
	id       string
	reason   bounce.Reason
	evidence []problem.Evidence
}

// incidentPeriod is the shortest period that is searched for incidents.
const incidentPeriod = 24 * time.Hour

// incidents asks for the verdict of the last day, or of the window if that is longer.
func (a *asker) incidents(ctx context.Context, r store.Reader, window time.Duration, now time.Time) (out *incidents, err error) {
	out = &incidents{asked: now, period: max(window, incidentPeriod)}
	if out.of, err = a.o.period(ctx, r, out.period, now, a.ends); err != nil {
		return nil, err
	}
	if !a.o.Until.IsZero() { // what began before the period goes on in it
		now = a.o.Until
		if earlier := now.Add(-out.period); earlier.Before(out.of.since) {
			out.of.since = earlier
		}
	}
	rep, err := report.Build(ctx, r, report.Options{
		Filter: out.of.filter(a.o.Filter), Location: a.o.Location, Top: 8, Sections: []string{report.SectionVerdict}, Problems: a.o.Thresholds, Now: now, Live: true,
		Rerun: slices.Concat(a.o.Commands.DB, a.o.Commands.Rerun, []string{"--since", spanShort(out.period)}, a.o.Commands.Files), RerunProblems: a.o.Commands.Thresholds,
	})
	if err != nil {
		return nil, err
	}
	v := rep.Verdict
	out.sentence, out.more = v.Sentence, v.More
	out.bad, out.empty = v.Status == report.StatusIncident || v.Status == report.StatusSilent, v.Status == report.StatusEmpty || v.Status == report.StatusUnknown
	if t := rep.ProviderTable; t != nil && !out.bad {
		refuse := 0
		for i := range t.Rows {
			if t.Rows[i].Mark == report.MarkRefuses {
				refuse++
			}
		}
		words := ""
		switch all := &t.Total; { // of many that are each too small for a mark
		case refuse == 1:
			words = "1 provider refuses most of our mail. "
		case refuse > 1:
			words = fmt.Sprintf("%d%s providers refuse most of our mail. ", refuse, map[bool]string{true: " or more"}[refuse == len(t.Rows) && t.Rest != nil])
		case all.Attempts > 0 && all.Delivered == 0:
			words = "Nothing was delivered. "
		case 2*all.Refused > all.Attempts:
			words = "Most attempts were refused. "
		}
		out.sentence, out.bad = words+out.sentence, words != ""
	}
	for i := range v.Act {
		in := incident{Incident: v.Act[i], id: v.Act[i].ID}
		if in.Problem != nil {
			in.evidence, in.reason = rep.Problems[*in.Problem].Evidence, rep.Problems[*in.Problem].Reason
		}
		out.list = append(out.list, in)
	}
	return out, nil
}

// command returns the command that reports the incidents.
func (in *incidents) command(c *CommandWords) string {
	line := []string{"report", "--section=verdict,problems", "--all"}
	return c.withThresholds().of(in.of, line...)
}
