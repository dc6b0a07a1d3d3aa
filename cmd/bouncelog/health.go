package main

import (
	"errors"
	"log/slog"
	"time"

	"bouncelog/internal/metrics"
	"bouncelog/store"
)

const (
	checkEvery = time.Second // between two checks
	warnEvery  = time.Hour   // between two warnings of the same trouble
)

// health checks the database that the daemon writes to, and logs trouble with it.
type health struct {
	log     *slog.Logger
	guard   store.Guard      // nil: of an engine that needs none
	metrics *metrics.Metrics // may be nil
	checked time.Time
	trouble string    // the last one that was logged; "": none
	at      time.Time // when it was logged
}

func newHealth(log *slog.Logger, db store.Store) *health {
	guard, _ := db.(store.Guard)
	return &health{log: log, guard: guard}
}

func (h *health) pseudonymized() bool { return h.guard != nil && h.guard.Pseudonymized() }

// check logs trouble when it begins, once an hour while it lasts, and when it is over. It returns
// store.ErrReplaced if this database has been replaced.
func (h *health) check() error {
	if h.guard == nil || time.Since(h.checked) < checkEvery {
		return nil
	}
	h.checked = time.Now()
	err := h.guard.Trouble()
	h.metrics.Trouble(err != nil)
	switch {
	case errors.Is(err, store.ErrReplaced):
		return err
	case err == nil:
		if h.trouble != "" {
			h.log.Info("the trouble with the database is over", "was", h.trouble)
		}
		h.trouble = ""
	case h.trouble == "" || time.Since(h.at) >= warnEvery:
		h.trouble, h.at = cleanError(err), time.Now()
		h.log.Warn(h.trouble)
	}
	return nil
}
