package main

import (
	"log/slog"
	"strings"
	"time"

	"bouncelog/internal/metrics"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/store"
)

// newAnnouncer returns an announcer that logs new problems as warnings and counts those that are
// going on in m, which may be nil.
func newAnnouncer(log *slog.Logger, db store.Store, o problem.Thresholds, m *metrics.Metrics) *problem.Announcer {
	a := problem.NewAnnouncer(log, db, o)
	a.Count = m.Problems
	a.Announce = func(p *problem.Problem) {
		text := strings.ToUpper(p.Level[:1]) + p.Level[1:] + " problem"
		facts := []any{
			"since", p.Began().Format(time.RFC3339), "messages", p.Messages, "recipients", p.Recipients, "valid", len(p.ValidRecipients),
			"cause", p.Cause, "check", table.Clean(p.FirstCheck), "run", table.Clean(p.Scan),
		}
		if !p.Ongoing {
			text += ", ended"
			facts = append(facts, "ended", table.Clean(p.Ended))
		}
		log.Warn(text+": "+table.Clean(table.Cut(p.Title, 500)), facts...)
	}
	return a
}
