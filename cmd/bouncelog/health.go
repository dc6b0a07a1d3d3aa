package main

import (
	"errors"
	"log/slog"
	"time"

	"bouncelog/internal/metrics"
	"bouncelog/store"
)

const (
	mindEvery = time.Second // between two checks
	mindAgain = time.Hour   // between two warnings of the same trouble
)

// A minder checks the database that the daemon writes to and logs what threatens it.
type minder struct {
	log     *slog.Logger
	guard   store.Guard      // nil: of an engine that needs none
	metrics *metrics.Metrics // may be nil
	checked time.Time
	trouble string    // the last one that was logged; "": none
	at      time.Time // when it was logged
}

func newMinder(log *slog.Logger, db store.Store) *minder {
	guard, _ := db.(store.Guard)
	return &minder{log: log, guard: guard}
}

func (m *minder) pseudonymized() bool { return m.guard != nil && m.guard.Pseudonymized() }

// look logs trouble when it begins, once an hour while it lasts, and when it is over. It returns
// store.ErrReplaced if this database has been replaced.
func (m *minder) look() error {
	if m.guard == nil || time.Since(m.checked) < mindEvery {
		return nil
	}
	m.checked = time.Now()
	err := m.guard.Trouble()
	m.metrics.Trouble(err != nil)
	switch {
	case errors.Is(err, store.ErrReplaced):
		return err
	case err == nil:
		if m.trouble != "" {
			m.log.Info("the trouble with the database is over", "was", m.trouble)
		}
		m.trouble = ""
	case m.trouble == "" || time.Since(m.at) >= mindAgain:
		m.trouble, m.at = cleanError(err), time.Now()
		m.log.Warn(m.trouble)
	}
	return nil
}
