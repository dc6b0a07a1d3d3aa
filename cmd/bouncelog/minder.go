package main

import (
	"errors"
	"log/slog"
	"time"

	"bouncelog/internal/metrics"
	"bouncelog/store"
)

const (
	mindEvery = time.Second // the files of the database are looked at
	mindAgain = time.Hour   // and the same trouble is told again
)

// A minder checks the database that the daemon writes to and logs what threatens it.
type minder struct {
	log     *slog.Logger
	guard   store.Guard      // nil: of an engine that needs none
	metrics *metrics.Metrics // may be nil
	asked   time.Time
	told    string // the trouble that was told last; empty: there is none
	at      time.Time
}

func newMinder(log *slog.Logger, db store.Store) *minder {
	guard, _ := db.(store.Guard)
	return &minder{log: log, guard: guard}
}

func (m *minder) pseudonymized() bool { return m.guard != nil && m.guard.Pseudonymized() }

// look logs trouble when it begins, once an hour while it lasts, and when it is over. It returns
// store.ErrReplaced if this database has been replaced.
func (m *minder) look() error {
	if m.guard == nil || time.Since(m.asked) < mindEvery {
		return nil
	}
	m.asked = time.Now()
	err := m.guard.Trouble()
	m.metrics.Trouble(err != nil)
	switch {
	case errors.Is(err, store.ErrReplaced):
		return err
	case err == nil:
		if m.told != "" {
			m.log.Info("the trouble with the database is over", "was", m.told)
		}
		m.told = ""
	case m.told == "" || time.Since(m.at) >= mindAgain:
		m.told, m.at = cleanError(err), time.Now()
		m.log.Warn(m.told)
	}
	return nil
}
