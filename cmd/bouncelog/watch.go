package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/metrics"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/store"
)

const (
	watchEvery    = time.Minute         // the least time between two searches
	watchAsk      = 2 * time.Second     // and between two questions whether there is anything new
	watchBack     = 72 * time.Hour      // of the log that a search is about, at least
	watchFurthest = 14 * 24 * time.Hour // and at most, after a pause
	// announcedKept bounds what is remembered of what was announced.
	announcedKept = 10_000
	seenKey       = "" // in place of a problem's key
)

// A watcher announces new problems while a log is followed, each once: what it
// announced is kept in the database.
type watcher struct {
	log  *slog.Logger
	db   store.Store
	flag problem.Thresholds

	metrics *metrics.Metrics // told how many problems there are; may be nil

	announced map[string]time.Time // until when each key of a problem was seen
	seen      time.Time            // refusals up to here have been looked at; kept with announced
	searched  time.Time            // when
	asked     time.Time            // when it was asked last whether there are any
}

func newWatcher(log *slog.Logger, db store.Store, flag problem.Thresholds) *watcher {
	return &watcher{log: log, db: db, flag: flag}
}

// look looks for new problems, where there are new refusals and the last search is
// a minute ago; not while there is much to catch up with (behind, in bytes). What keeps it from looking is logged, and is no reason to stop
// following.
func (w *watcher) look(ctx context.Context, behind int64) {
	if behind >= lagging || time.Since(w.searched) < watchEvery || time.Since(w.asked) < watchAsk {
		return
	}
	w.asked = time.Now()
	err := w.search(ctx)
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrLocked) {
		w.searched = time.Now() // not again at once
		w.log.Warn("cannot look for problems", "error", table.Clean(err.Error()))
	}
}

func (w *watcher) search(ctx context.Context) error {
	if w.announced == nil {
		var err error
		if w.announced, err = w.db.Announced(ctx); err != nil {
			return err
		}
		w.seen = w.announced[seenKey]
	}
	fresh := store.Filter{Reasons: store.Suspect}
	if !w.seen.IsZero() {
		fresh.Since = w.seen.Add(time.Second)
	} else if _, last, err := w.db.Span(ctx, store.Filter{}); err != nil || last.IsZero() {
		return err
	} else {
		fresh.Since = last.Add(-watchBack)
	}
	var newest time.Time
	for r, err := range w.db.Refusals(ctx, fresh) {
		if err != nil {
			return err
		}
		newest = r.Time
	}
	if newest.IsZero() {
		if time.Since(w.seen) >= w.flag.Quiet() {
			w.count(nil) // what there was is over
		}
		return nil
	}
	w.searched = time.Now()

	since := newest.Add(-watchBack)
	if paused := w.seen.Add(-w.flag.Quiet()); !w.seen.IsZero() && paused.Before(since) { // what went on during a pause is not new
		since = paused
	}
	if furthest := newest.Add(-watchFurthest); since.Before(furthest) {
		since = furthest
	}
	problems, err := problem.Find(ctx, w.db, store.Filter{Since: since}, w.flag, true)
	if err != nil {
		return err
	}
	w.count(slices.DeleteFunc(slices.Clone(problems), func(p problem.Problem) bool { return newest.Sub(p.Until) >= w.flag.Quiet() }))
	for i := range problems {
		p := &problems[i]
		if p.Level == problem.Watch || newest.Sub(p.Until) >= w.flag.Quiet() {
			continue
		}
		if !w.known(p) {
			w.announce(p)
		}
		for _, key := range p.Keys() {
			if at, ok := w.announced[key]; !ok || p.Until.After(at) {
				w.announced[key] = p.Until
			}
		}
	}
	w.seen = newest
	w.announced[seenKey] = newest
	w.forget(newest)
	return w.db.Announce(ctx, w.announced)
}

// count shows how many problems of each level go on.
func (w *watcher) count(going []problem.Problem) {
	n := map[string]int{problem.Confirmed: 0, problem.Likely: 0, problem.Watch: 0}
	for i := range going {
		n[going[i].Level]++
	}
	for level, n := range n {
		w.metrics.Problems(level, n)
	}
}

// known tells whether a problem was announced, and has gone on since.
func (w *watcher) known(p *problem.Problem) bool {
	return slices.ContainsFunc(p.Keys(), func(key string) bool {
		at, ok := w.announced[key]
		return ok && p.Began().Sub(at) < w.flag.Quiet()
	})
}

func (w *watcher) announce(p *problem.Problem) {
	w.log.Warn(strings.ToUpper(p.Level[:1])+p.Level[1:]+" problem: "+table.Clean(p.Summary),
		"since", p.Began().Format(time.RFC3339), "messages", p.Messages, "recipients", p.Recipients, "valid", len(p.ValidRecipients),
		"cause", p.Cause, "check", table.Clean(p.FirstCheck), "run", table.Clean(p.Scan))
}

// forget drops what was seen last so long ago that it would be a new problem, the
// oldest first where there is too much.
func (w *watcher) forget(now time.Time) {
	maps.DeleteFunc(w.announced, func(_ string, at time.Time) bool { return now.Sub(at) >= watchFurthest })
	if n := len(w.announced) - announcedKept; n > 0 {
		keys := slices.SortedFunc(maps.Keys(w.announced), func(a, b string) int { return w.announced[a].Compare(w.announced[b]) })
		for _, key := range keys[:n] {
			delete(w.announced, key)
		}
	}
}
