package problem

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
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// How often problems are looked for, and in what.
const (
	askEvery      = 2 * time.Second     // between two questions whether there are new refusals, at least
	searchEvery   = time.Minute         // between two searches, at least
	searchRest    = 4                   // times as long as a search took, none begins
	searchLongest = 10 * time.Minute    // after which a search is given up
	noteWithin    = 5 * time.Second     // after which it is given up to note what was announced
	searchBack    = 72 * time.Hour      // before the newest refusal, at least
	furthestBack  = 14 * 24 * time.Hour // at most, after a pause
	stampAhead    = 24 * time.Hour      // of the present that a stamp is believed
)

// What is remembered of what was announced.
const (
	announcedNote = "announced" // the note's key; JSON: the Unix time of the last refusal, by key or escalation
	seenKey       = ""          // in place of a key: up to when refusals have been looked at
	lookedKey     = "\tlooked"  // in place of a key: Announcer.looked
	announcedKept = 10_000      // keys and escalations, the latest
	placesNoted   = 5           // providers of one key that are told apart, beside those that everybody knows
	keysNoted     = 20          // keys of one problem
	atOnce        = 10          // problems of one search that are announced one by one
	placeMark     = "\tat "     // between a key and a provider in an escalation
)

// An Announcer looks for new problems that are no background while logs are followed, and
// announces each once: what it announced is kept in the database (store.Noter). It announces
// a problem again when it reaches another provider (of those that not everybody knows,
// placesNoted at most), recipients known to be valid for the first time, or ten times as many
// messages a day; and when it comes back after Thresholds.Quiet.
//
// Look and Wait are for one goroutine. A search runs in one of its own, one at a time, so
// that reading goes on meanwhile; announced and seen belong to the search while one runs.
type Announcer struct {
	// Announce is called with each problem to announce, by the search, up to atOnce times: Log
	// counts the others. Count is called
	// with the number of problems of each level that go on; it may be nil.
	Announce func(p *Problem)
	Count    func(level string, n int)
	Log      *slog.Logger // for what keeps it from searching

	db store.Store
	o  Thresholds

	asked  time.Time     // when it was last asked whether there are new refusals
	search chan struct{} // closed when the last search has ended; nil: there was none
	next   time.Time     // no search begins before

	announced map[string]time.Time // the last refusal of each announced key and escalation
	seen      time.Time            // of the newest refusal that was looked at, at most the present; kept with announced
	looked    int64                // refusals when it was last searched; kept with announced, so that no restart searches in vain
	now       func() time.Time
}

// NewAnnouncer returns an Announcer for the problems in db.
func NewAnnouncer(log *slog.Logger, db store.Store, o Thresholds) *Announcer {
	return &Announcer{Log: log, db: db, o: o, now: time.Now}
}

// Look begins to look for new problems, where there are new refusals and the last search was
// a while ago, and returns at once. What keeps it from looking is logged.
func (a *Announcer) Look(ctx context.Context) {
	if a.searching() || time.Now().Before(a.next) || time.Since(a.asked) < askEvery {
		return
	}
	a.asked = time.Now()
	done := make(chan struct{})
	a.search = done
	go func() {
		defer close(done)
		began := time.Now()
		limited, cancel := context.WithTimeoutCause(ctx, searchLongest, errTooLong)
		defer cancel()
		searched, err := a.find(limited)
		failed := err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrLocked)
		if searched || failed {
			a.next = time.Now().Add(rest(time.Since(began)))
		}
		if failed {
			if limited.Err() != nil {
				err = context.Cause(limited)
			}
			a.Log.Warn("cannot look for problems", "error", table.Clean(err.Error()))
		}
	}()
}

var errTooLong = fmt.Errorf("given up after %v", searchLongest)

// rest returns the time after a search in which no other begins; took is how long it took.
func rest(took time.Duration) time.Duration { return max(searchEvery, searchRest*took) }

// searching reports whether a search runs.
func (a *Announcer) searching() bool {
	if a.search == nil {
		return false
	}
	select {
	case <-a.search:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the search that runs, if one does.
func (a *Announcer) Wait() {
	if a.search != nil {
		<-a.search
	}
}

// remember reads what was announced.
func (a *Announcer) remember(ctx context.Context, r store.Reader) error {
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
	a.looked = seconds[lookedKey]
	delete(seconds, lookedKey)
	a.announced = map[string]time.Time{}
	for key, at := range seconds {
		a.announced[key] = time.Unix(at, 0).UTC()
	}
	a.seen = a.announced[seenKey]
	return nil
}

// note keeps what was announced, though the process is told to end meanwhile: what was said must
// not be said again after a restart.
func (a *Announcer) note(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	n, ok := a.db.(store.Noter)
	if !ok {
		return nil // it is announced again after a restart
	}
	seconds := make(map[string]int64, len(a.announced))
	for key, at := range a.announced {
		seconds[key] = at.Unix()
	}
	seconds[lookedKey] = a.looked
	note, err := json.Marshal(seconds)
	if err != nil {
		return err
	}
	return n.SetNote(ctx, announcedNote, note)
}

// find looks for new problems, and reports whether there was anything to search.
func (a *Announcer) find(ctx context.Context) (searched bool, err error) {
	r, err := a.db.Read(ctx)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if a.announced == nil {
		if err := a.remember(ctx, r); err != nil {
			return false, err
		}
	}
	// A stamp beyond tomorrow is a clock that was wrong. One before that is searched, but
	// hides nothing: what is new is known by the number of refusals, not by their stamps,
	// since hosts' clocks differ.
	now := a.now()
	limit := now.Add(stampAhead)
	a.bound(now)
	fresh := store.Filter{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}, Reasons: Searched(), Until: limit}
	last := a.seen
	if last.IsZero() {
		all, err := r.Span(ctx, store.Filter{Until: limit})
		if err != nil || all.IsZero() {
			return false, err
		}
		last = earlier(all.Last, now)
	}
	fresh.Since = last.Add(-searchBack).Truncate(time.Hour) // whole hours are counted at once
	refused, err := store.CountAll(ctx, r, fresh)
	if err != nil {
		return false, err
	}
	if refused.Attempts == 0 || refused.Attempts == a.looked {
		if now.Sub(a.seen) >= a.o.Quiet() {
			a.count(nil) // what there was is over
		}
		return false, nil
	}
	span, err := r.Span(ctx, fresh)
	if err != nil {
		return false, err
	}
	newest := earlier(span.Last, now)

	since := newest.Add(-searchBack)
	if paused := a.seen.Add(-a.o.Quiet()); !a.seen.IsZero() && paused.Before(since) { // what went on during a pause is not new
		since = paused
	}
	if furthest := newest.Add(-furthestBack); since.Before(furthest) {
		since = furthest
	}
	problems, err := Find(ctx, r, store.Filter{Since: since, Until: limit}, a.o)
	if err != nil {
		return true, err
	}
	fresh.Since = newest.Add(-searchBack).Truncate(time.Hour) // as the next look asks
	if refused, err = store.CountAll(ctx, r, fresh); err != nil {
		return true, err
	}
	a.looked = refused.Attempts
	a.take(problems, newest)
	closed := r.Close()
	return true, errors.Join(a.note(ctx), closed)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Take announces what is new among the problems that another search found, as Look does with
// its own: so that one process searches once. newest is the time up to which the log was
// searched. It is for the goroutine that searches; Look is not called then.
func (a *Announcer) Take(ctx context.Context, r store.Reader, problems []Problem, newest time.Time) error {
	if a.announced == nil {
		if err := a.remember(ctx, r); err != nil {
			return err
		}
	}
	now := a.now()
	a.bound(now)
	newest = earlier(newest, now)
	before := maps.Clone(a.announced)
	a.take(problems, newest)
	before[seenKey] = newest // it is kept with what changes next
	if maps.EqualFunc(before, a.announced, time.Time.Equal) {
		return nil
	}
	return a.note(ctx)
}

// take announces what is new among problems that were found.
func (a *Announcer) take(problems []Problem, newest time.Time) {
	a.count(slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return newest.Sub(p.Until) >= a.o.Quiet() }))
	places := map[string]int{} // of small servers, by key
	for at := range a.announced {
		if key, name, ok := strings.Cut(at, placeMark); ok && isSmall(name) {
			places[key]++
		}
	}
	n := 0
	for i := range problems {
		p := &problems[i]
		if newest.Sub(p.Until) >= a.o.Quiet() {
			continue
		}
		all := escalations(p, a.announced, places)
		if !p.Background && !a.known(p, all) {
			if n++; n <= atOnce {
				a.Announce(p)
			}
		}
		for _, key := range slices.Concat(append(all, p.noted())...) {
			// What is background now may be what is left of a problem that was announced: that goes on.
			if at, ok := a.announced[key]; !ok && !p.Background || ok && p.Until.After(at) {
				a.announced[key] = earlier(p.Until, newest)
			}
		}
	}
	if n > atOnce {
		a.Log.Warn(fmt.Sprintf("%d more problems began or grew", n-atOnce), "run", "bouncelog report --section problems")
	}
	a.seen = newest
	a.announced[seenKey] = newest
	a.forget(newest)
}

// bound has nothing be seen after now, and forgets what a wrong clock noted (stampAhead).
func (a *Announcer) bound(now time.Time) {
	limit := now.Add(stampAhead)
	maps.DeleteFunc(a.announced, func(_ string, at time.Time) bool { return at.After(limit) })
	for key, at := range a.announced {
		a.announced[key] = earlier(at, now)
	}
	if a.seen = earlier(a.seen, now); a.announced[seenKey].IsZero() {
		a.seen = time.Time{}
	}
}

// count reports how many problems of each level go on. Background counts as watched: no alarm
// depends on it.
func (a *Announcer) count(going []Problem) {
	if a.Count == nil {
		return
	}
	n := map[string]int{Confirmed: 0, Likely: 0, Watch: 0}
	for i := range going {
		level := going[i].Level
		if going[i].Background {
			level = Watch
		}
		n[level]++
	}
	for level, n := range n {
		a.Count(level, n)
	}
}

// noted are the keys by which a problem is known again: those of its beginning. Thousands of invented
// names must not push out what was announced of others.
func (p *Problem) noted() []string {
	keys := p.Keys()
	return keys[:min(len(keys), keysNoted)]
}

// known reports whether a problem was announced by one of its keys, has gone on since, and
// has not come to more (see escalations).
func (a *Announcer) known(p *Problem, more [][]string) bool {
	for i, key := range p.noted() {
		at, ok := a.announced[key]
		if ok && p.Began().Sub(at) < a.o.Quiet() && !slices.ContainsFunc(more[i], func(key string) bool {
			_, ok := a.announced[key]
			return !ok
		}) {
			return true
		}
	}
	return false
}

// escalations returns, for each noted key of a problem, what it has come to: its providers, whether
// valid recipients are refused, and how many messages a day, by powers of ten. A small server
// that refuses now and then must not mute the alarm for a large one; and what many small ones refuse
// one after the other must not be announced with each of them.
func escalations(p *Problem, announced map[string]time.Time, places map[string]int) [][]string {
	keys := p.noted()
	list := make([][]string, len(keys))
	days := max(int(p.Until.Sub(p.Since)/(24*time.Hour))+1, 1)
	for i, key := range keys {
		small := places[key]
		for _, name := range p.Providers {
			at := key + placeMark + name
			if _, told := announced[at]; !told && isSmall(name) {
				if small++; small > placesNoted {
					continue
				}
			}
			list[i] = append(list[i], at)
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

// isSmall reports whether a provider is none that everybody knows.
func isSmall(name string) bool { return provider.Name(name) == name }

// forget drops what was seen last so long ago that it would be a new problem, and the oldest
// where there is more than announcedKept.
func (a *Announcer) forget(now time.Time) {
	maps.DeleteFunc(a.announced, func(_ string, at time.Time) bool { return now.Sub(at) >= furthestBack })
	if n := len(a.announced) - announcedKept; n > 0 {
		keys := slices.SortedFunc(maps.Keys(a.announced), func(x, y string) int { return a.announced[x].Compare(a.announced[y]) })
		for _, key := range keys[:n] {
			delete(a.announced, key)
		}
	}
}
