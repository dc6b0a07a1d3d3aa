package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/metrics"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/store"
)

const (
	watchEvery    = time.Minute         // the least time between two searches
	watchShare    = 4                   // and so many times as long as the first took
	watchLongest  = 10 * time.Minute    // a search that takes longer is given up
	watchAsk      = 2 * time.Second     // and between two questions whether there is anything new
	watchBack     = 72 * time.Hour      // of the log that a search is about, at least
	watchFurthest = 14 * 24 * time.Hour // and at most, after a pause
	// announcedKept bounds what is remembered of what was announced.
	announcedKept = 10_000
	stampAhead    = 24 * time.Hour // of the present that a stamp is believed, at most
	seenKey       = ""             // in place of a problem's key
)

// A watcher announces new problems while a log is followed, each once: what it
// announced is kept in the database. It looks for them in a goroutine of its own, one
// search at a time, so that reading goes on meanwhile; the fields below search belong
// to the search while one runs.
type watcher struct {
	log  *slog.Logger
	db   store.Store
	flag problem.Thresholds

	metrics *metrics.Metrics // told how many problems there are; may be nil

	asked  time.Time     // when it was asked last whether there are any
	search chan struct{} // closed when the last search has ended; nil: there was none

	announced map[string]time.Time // until when each key of a problem was seen
	seen      time.Time            // refusals up to here have been looked at; kept with announced
	next      time.Time            // no search begins before
	now       func() time.Time
}

func newWatcher(log *slog.Logger, db store.Store, flag problem.Thresholds) *watcher {
	return &watcher{log: log, db: db, flag: flag, now: time.Now}
}

// look begins to look for new problems, where there are new refusals and the last
// search was a while ago; not while there is much to catch up with (behind, in bytes),
// nor while a search runs. It does not wait for the search. What keeps it from looking
// is logged, and is no reason to stop following.
func (w *watcher) look(ctx context.Context, behind int64) {
	if behind >= lagging || w.searching() || time.Now().Before(w.next) || time.Since(w.asked) < watchAsk {
		return
	}
	w.asked = time.Now()
	done := make(chan struct{})
	w.search = done
	go func() {
		defer close(done)
		began := time.Now()
		limited, cancel := context.WithTimeoutCause(ctx, watchLongest, errTooLong)
		defer cancel()
		searched, err := w.find(limited)
		failed := err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrLocked)
		if searched || failed {
			w.next = time.Now().Add(rest(time.Since(began)))
		}
		if failed {
			if limited.Err() != nil {
				err = context.Cause(limited)
			}
			w.log.Warn("cannot look for problems", "error", table.Clean(err.Error()))
		}
	}()
}

var errTooLong = fmt.Errorf("given up after %v", watchLongest)

// rest is how long no search begins after one that took so long.
func rest(took time.Duration) time.Duration { return max(watchEvery, watchShare*took) }

// searching reports whether a search runs.
func (w *watcher) searching() bool {
	if w.search == nil {
		return false
	}
	select {
	case <-w.search:
		return false
	default:
		return true
	}
}

// wait waits for the end of the search that runs, if one does.
func (w *watcher) wait() {
	if w.search != nil {
		<-w.search
	}
}

// announcedNote is under which key the database keeps what was announced: as JSON,
// until which Unix time each key of a problem was seen.
const announcedNote = "announced"

// remember reads what was announced.
func (w *watcher) remember(ctx context.Context, r store.Reader) error {
	note, err := r.Note(ctx, announcedNote)
	if err != nil {
		return err
	}
	seconds := map[string]int64{}
	if note != nil {
		if err := json.Unmarshal(note, &seconds); err != nil {
			return fmt.Errorf("read what was announced: %w", err)
		}
	}
	w.announced = map[string]time.Time{}
	for key, at := range seconds {
		w.announced[key] = time.Unix(at, 0).UTC()
	}
	w.seen = w.announced[seenKey]
	return nil
}

// note keeps what was announced.
func (w *watcher) note(ctx context.Context) error {
	n, ok := w.db.(store.Noter)
	if !ok {
		return nil // it is announced again after a restart
	}
	seconds := make(map[string]int64, len(w.announced))
	for key, at := range w.announced {
		seconds[key] = at.Unix()
	}
	note, err := json.Marshal(seconds)
	if err != nil {
		return err
	}
	return n.SetNote(ctx, announcedNote, note)
}

// find looks for new problems, and reports whether there was anything to search.
func (w *watcher) find(ctx context.Context) (searched bool, err error) {
	r, err := w.db.Read(ctx)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if w.announced == nil {
		if err := w.remember(ctx, r); err != nil {
			return false, err
		}
	}
	// A stamp beyond tomorrow is a clock that was wrong: it must not end all alarms
	// until then.
	limit := w.now().Add(stampAhead)
	w.bound(limit)
	fresh := store.Filter{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}, Reasons: problem.Searched(), Until: limit}
	if !w.seen.IsZero() {
		fresh.Since = w.seen.Add(time.Second)
	} else if all, err := r.Span(ctx, store.Filter{Until: limit}); err != nil || all.IsZero() {
		return false, err
	} else {
		fresh.Since = all.Last.Add(-watchBack)
	}
	refused, err := r.Span(ctx, fresh)
	if err != nil {
		return false, err
	}
	newest := refused.Last
	if newest.IsZero() {
		if w.now().Sub(w.seen) >= w.flag.Quiet() {
			w.count(nil) // what there was is over
		}
		return false, nil
	}

	since := newest.Add(-watchBack)
	if paused := w.seen.Add(-w.flag.Quiet()); !w.seen.IsZero() && paused.Before(since) { // what went on during a pause is not new
		since = paused
	}
	if furthest := newest.Add(-watchFurthest); since.Before(furthest) {
		since = furthest
	}
	problems, err := problem.Find(ctx, r, store.Filter{Since: since, Until: limit}, w.flag)
	if err != nil {
		return true, err
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
		for _, key := range slices.Concat(append(escalations(p), p.Keys())...) {
			if at, ok := w.announced[key]; !ok || p.Until.After(at) {
				w.announced[key] = p.Until
			}
		}
	}
	w.seen = newest
	w.announced[seenKey] = newest
	w.forget(newest)
	if err := r.Close(); err != nil {
		return true, err
	}
	return true, w.note(ctx)
}

// bound forgets what was seen after limit.
func (w *watcher) bound(limit time.Time) {
	maps.DeleteFunc(w.announced, func(_ string, at time.Time) bool { return at.After(limit) })
	if w.seen.After(limit) {
		w.seen = time.Time{}
	}
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

// known reports whether a problem was announced, and has gone on since, and no more is
// to be said of it: it reaches the same providers, no recipients known to be valid that
// it did not reach before, and not ten times as much a day.
func (w *watcher) known(p *problem.Problem) bool {
	more := escalations(p)
	for i, key := range p.Keys() {
		at, ok := w.announced[key]
		if ok && p.Began().Sub(at) < w.flag.Quiet() && !slices.ContainsFunc(more[i], func(key string) bool {
			_, ok := w.announced[key]
			return !ok
		}) {
			return true
		}
	}
	return false
}

// placesNoted is how many providers of one problem are told apart.
const placesNoted = 20

// escalations are, for each key of a problem, the keys of what it has come to. A small
// server that refuses now and then must not mute the alarm for a large one.
func escalations(p *problem.Problem) [][]string {
	list := make([][]string, len(p.Keys()))
	days := max(int(p.Until.Sub(p.Since)/(24*time.Hour))+1, 1)
	for i, key := range p.Keys() {
		for _, name := range p.Providers[:min(len(p.Providers), placesNoted)] {
			list[i] = append(list[i], key+"\tat "+name)
		}
		if p.Valid() > 0 {
			list[i] = append(list[i], key+"\tvalid")
		}
		for size := 10; size <= p.Messages/days && size > 0; size *= 10 {
			list[i] = append(list[i], fmt.Sprintf("%s\tsize %d", key, size))
		}
	}
	return list
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
