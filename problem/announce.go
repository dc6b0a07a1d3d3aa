package problem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// How often the search runs, and how far it looks.
const (
	askEvery      = 2 * time.Second     // minimum between two queries for new refusals
	searchEvery   = time.Minute         // minimum between two searches
	searchRest    = 4                   // times the duration of a search must pass before the next
	searchLongest = 10 * time.Minute    // timeout of a search
	noteWithin    = 5 * time.Second     // timeout to note what was announced
	searchBack    = 72 * time.Hour      // minimum period searched before the newest refusal
	furthestBack  = 14 * 24 * time.Hour // maximum period searched, after a pause
	stampAhead    = 24 * time.Hour      // maximum by which a timestamp may lie ahead of the present
)

// The note of what was announced.
const (
	announcedNote = "announced" // the note's key; JSON: the Unix time of the last refusal, by key or escalation
	seenKey       = ""          // in place of a key: the time up to which refusals were examined
	lookedKey     = "\tlooked"  // in place of a key: Announcer.looked
	announcedKept = 10_000      // maximum number of keys and escalations, the latest
	placesNoted   = 5           // maximum number of small providers (see isSmall) of one key that are distinguished
	keysNoted     = 20          // maximum number of keys of one problem
	atOnce        = 10          // maximum number of problems of one search that are announced singly
	placeMark     = "\tat "     // between a key and a provider in an escalation
	sizeMark      = "\tsize "   // between a key and the Size at which it was announced
)

// An Announcer looks for new problems, except background, while logs are followed, and announces
// each once. The database (store.Noter) keeps what was announced. A problem is announced again when
// it reaches another provider (at most placesNoted small ones), or valid recipients for the first
// time, or when it refuses ten times as fast as when it was announced last (Size.Grew), unless it
// has ended, or when it comes back after Thresholds.Quiet.
//
// Only one goroutine may call Look and Wait. A search runs in its own goroutine, one at a time, so
// that reading continues. While a search runs, only the search may use announced and seen.
type Announcer struct {
	// Announce is called by the search for each problem to announce, up to atOnce times; Log gets
	// the number of the others. Count is called with the number of ongoing problems of each level;
	// it may be nil.
	Announce func(p *Problem)
	Count    func(level string, n int)
	Log      *slog.Logger // for errors of a search

	db store.Store
	o  Thresholds

	asked  time.Time     // time of the last query for new refusals
	search chan struct{} // closed when the last search has ended; nil: no search so far
	next   time.Time     // earliest start of the next search

	announced map[string]time.Time // time of the last refusal, by announced key or escalation
	seen      time.Time            // time of the newest examined refusal, at most the present; kept with announced
	looked    int64                // number of refusals at the last search; kept with announced, so that a restart does not repeat a search
	now       func() time.Time
}

// NewAnnouncer returns an Announcer for the problems in db.
func NewAnnouncer(log *slog.Logger, db store.Store, o Thresholds) *Announcer {
	return &Announcer{Log: log, db: db, o: o, now: time.Now}
}

// Look starts a search if there are new refusals and the last search was a while ago. It returns at
// once, and logs errors.
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

// rest returns the minimum time from the end of a search to the next; took is the duration of the
// search.
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

// Wait waits for the end of a running search.
func (a *Announcer) Wait() {
	if a.search != nil {
		<-a.search
	}
}

// remember reads the note of what was announced.
func (a *Announcer) remember(ctx context.Context) error {
	var note []byte
	if n, ok := a.db.(store.Noter); ok {
		var err error
		if note, err = n.Note(ctx, announcedNote); err != nil {
			return err
		}
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

// note writes the note of what was announced, even if the process is told to end: an announcement
// must not be repeated after a restart.
func (a *Announcer) note(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	n, ok := a.db.(store.Noter)
	if !ok {
		return nil // the problem is announced again after a restart
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

// find looks for new problems, and reports whether it searched.
func (a *Announcer) find(ctx context.Context) (searched bool, err error) {
	if a.announced == nil {
		if err := a.remember(ctx); err != nil {
			return false, err
		}
	}
	r, err := a.db.Read(ctx)
	if err != nil {
		return false, err
	}
	defer r.Close()
	// A timestamp beyond tomorrow comes from a wrong clock. One before that is searched but hides
	// nothing: the number of refusals tells what is new, not their timestamps, since the clocks of
	// hosts differ.
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
	fresh.Since = last.Add(-searchBack).Truncate(time.Hour) // whole hours are counted already
	refused, err := store.CountAll(ctx, r, fresh)
	if err != nil {
		return false, err
	}
	if refused.Attempts == 0 || refused.Attempts == a.looked {
		if now.Sub(a.seen) >= a.o.Quiet() {
			a.count(nil) // all earlier problems are over
		}
		return false, nil
	}
	span, err := r.Span(ctx, fresh)
	if err != nil {
		return false, err
	}
	newest := earlier(span.Last, now)

	since := newest.Add(-searchBack)
	if paused := a.seen.Add(-a.o.Quiet()); !a.seen.IsZero() && paused.Before(since) { // problems that went on during a pause are not new
		since = paused
	}
	if furthest := newest.Add(-furthestBack); since.Before(furthest) {
		since = furthest
	}
	problems, err := Find(ctx, r, store.Filter{Since: since, Until: limit}, a.o)
	if err != nil {
		return true, err
	}
	fresh.Since = newest.Add(-searchBack).Truncate(time.Hour) // the filter of the next Look
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

// Take announces the new problems among those that another search found, as Look does for its own,
// so that a process searches only once. newest is the time up to which the log was searched. The
// searching goroutine calls Take, and does not call Look.
func (a *Announcer) Take(ctx context.Context, problems []Problem, newest time.Time) error {
	if a.announced == nil {
		if err := a.remember(ctx); err != nil {
			return err
		}
	}
	now := a.now()
	a.bound(now)
	newest = earlier(newest, now)
	before := maps.Clone(a.announced)
	a.take(problems, newest)
	before[seenKey] = newest // written with the next change
	if maps.EqualFunc(before, a.announced, time.Time.Equal) {
		return nil
	}
	return a.note(ctx)
}

// take announces the new problems among those that were found.
func (a *Announcer) take(problems []Problem, newest time.Time) {
	a.count(slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return newest.Sub(p.Until) >= a.o.Quiet() }))
	places := map[string]int{} // number of small servers, by key
	sizes := map[string]Size{} // when it was announced last, by key
	for at := range a.announced {
		if key, name, ok := strings.Cut(at, placeMark); ok && isSmall(name) {
			places[key]++
		}
		if key, text, ok := strings.Cut(at, sizeMark); ok {
			sizes[key] = parseSize(text).Most(sizes[key])
		}
	}
	n := 0
	for i := range problems {
		p := &problems[i]
		if newest.Sub(p.Until) >= a.o.Quiet() {
			continue
		}
		now, all := SizeOf(p.Messages, p.Since, p.Until, p.Hours), escalations(p, a.announced, places)
		told := !p.Background && !a.known(p, now, all, sizes)
		if told {
			if n++; n <= atOnce {
				a.Announce(p)
			}
		}
		for i, key := range p.noted() {
			size, sized := sizes[key]
			goesOn, most := sized && p.Began().Sub(a.announced[key]) < a.o.Quiet(), now
			if goesOn {
				most = now.Most(size)
			}
			if !goesOn || told || most.Hours == 1 && !p.Background {
				delete(a.announced, key+sizeMark+size.String())
				sizes[key], size = most, most
			}
			all[i] = append(all[i], key+sizeMark+size.String())
		}
		for _, key := range slices.Concat(append(all, p.noted())...) {
			// A background problem may be the remainder of an announced problem, which then goes
			// on.
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

// bound limits all noted times to now, and drops those that a wrong clock produced (stampAhead).
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

// count reports the number of ongoing problems of each level. Background counts as watch: it raises
// no alarm.
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

// noted returns the keys by which a problem is recognised later: those of its beginning. They are
// limited, so that thousands of invented names do not displace the keys of other problems.
func (p *Problem) noted() []string {
	keys := p.Keys()
	return keys[:min(len(keys), keysNoted)]
}

// known reports whether a problem was announced under one of its keys, has gone on since, and has
// neither a new escalation (see escalations) nor grown from sizes to now. A problem that has ended
// does not escalate: retries that are accepted show that its recipients are valid.
func (a *Announcer) known(p *Problem, now Size, more [][]string, sizes map[string]Size) bool {
	isNew := func(key string) bool {
		_, ok := a.announced[key]
		return !ok
	}
	for i, key := range p.noted() {
		at, ok := a.announced[key]
		if !ok || p.Began().Sub(at) >= a.o.Quiet() {
			continue
		}
		size, sized := sizes[key]
		grew := sized && now.Grew(size)
		if !p.Ongoing || !grew && !slices.ContainsFunc(more[i], isNew) {
			return true
		}
	}
	return false
}

// A Size is the number of messages that a problem refused in a number of hours, at least one.
type Size struct {
	Messages int `json:"messages"`
	Hours    int `json:"hours"`          // from the first refusal to the last, rounded up
	Peak     int `json:"peak,omitempty"` // messages of the busiest hour; 0: not known
}

// SizeOf returns the size of a problem that refused n messages from since to until, and whose
// refused attempts by hour are hours.
func SizeOf(n int, since, until time.Time, hours []Hour) Size {
	s := Size{Messages: n, Hours: int(until.Sub(since)/time.Hour) + 1}
	attempts := 0
	for _, h := range hours {
		s.Peak = max(s.Peak, h.Refused)
		attempts += h.Refused
	}
	if attempts > n { // a retry of a message is no message
		s.Peak = (s.Peak*n + attempts - 1) / attempts
	}
	return s
}

// atLeast reports whether s has at least so many times the messages an hour of before.
func (s Size) atLeast(times int, before Size) bool {
	return s.Messages*before.Hours >= times*before.Messages*s.Hours
}

// Most returns s or t, the one with more messages an hour, with the higher peak of both.
func (s Size) Most(t Size) Size {
	peak := max(s.Peak, t.Peak)
	if !s.atLeast(1, t) {
		s = t
	}
	s.Peak = peak
	return s
}

// Grew reports whether a problem refuses ten times as fast as before, on average (see Faster) or in
// its busiest hour: the average alone would hide a burst behind a long trickle.
func (s Size) Grew(before Size) bool {
	return s.Faster(before) || s.Hours > 1 && before.Peak > 0 && s.Peak >= 10*before.Peak
}

// Faster reports whether a problem refuses ten times as many messages an hour as before, and not in
// its first hour: a problem is announced after a few messages, which say nothing of its rate.
func (s Size) Faster(before Size) bool {
	before.Messages = max(before.Messages, 1)
	return s.Hours > 1 && s.atLeast(10, before)
}

// String returns the text that parseSize reads.
func (s Size) String() string { return fmt.Sprintf("%d/%d/%d", s.Messages, s.Hours, s.Peak) }

// parseSize reads a size in a note. A number alone, of an old note, is that of a day.
func parseSize(text string) (s Size) {
	messages, rest, _ := strings.Cut(text, "/")
	hours, peak, _ := strings.Cut(rest, "/")
	s.Messages, _ = strconv.Atoi(messages)
	s.Hours, _ = strconv.Atoi(cmp.Or(hours, "24"))
	s.Peak, _ = strconv.Atoi(peak)
	return s
}

// escalations returns the escalations of a problem for each noted key, except its size: its
// providers, and whether valid recipients are refused. A small server that refuses now and then
// must not mute the alarm for a large one. Many small servers that refuse one after the other must
// not be announced singly.
func escalations(p *Problem, announced map[string]time.Time, places map[string]int) [][]string {
	keys := p.noted()
	list := make([][]string, len(keys))
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
	}
	return list
}

// isSmall reports whether a provider is not a well-known one.
func isSmall(name string) bool { return provider.Name(name) == name }

// forget drops keys last seen so long ago that they would be a new problem, and the oldest beyond
// announcedKept.
func (a *Announcer) forget(now time.Time) {
	maps.DeleteFunc(a.announced, func(_ string, at time.Time) bool { return now.Sub(at) >= furthestBack })
	if n := len(a.announced) - announcedKept; n > 0 {
		keys := slices.SortedFunc(maps.Keys(a.announced), func(x, y string) int { return a.announced[x].Compare(a.announced[y]) })
		for _, key := range keys[:n] {
			delete(a.announced, key)
		}
	}
}
