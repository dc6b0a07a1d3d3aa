package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A cache keeps the newest value of each key: a page in one of its forms, or the report that
// several pages are made of. It owns two promises:
//
//   - A value that is kept never keeps its reader waiting: it is served while nothing was stored;
//     else another one is made, and where that is not ready in patience the reader gets the
//     old one. A page says its moment, and one that is older than keptFor its age; its live part
//     then asks for the new one (see serveEvents, agedNote).
//   - However many readers there are, a value is made once at a time, and then not again for
//     keptTimes as long as that took, or restMost where that is less.
//
// Who was told that something was stored gets a value that was begun since, and waits for it.
//
// It is hard because makers and readers come and go independently: a value that replaces
// a kept one is made to the end, the first of its key only while somebody waits for it, or has
// waited as long as a reader may.
//
// Measured on 10 million attempts while follow wrote (docs/dashboard.md): a page that is kept
// takes a processor for less than 1 ms; making one up to some seconds.
type cache[T any] struct {
	versions *versions
	most     int             // keys
	size     func(T) int     // of a value, in bytes, of which keptBytes are kept; nil: they are small
	ctx      context.Context // of all making
	end      context.CancelFunc
	all      sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry[T]
}

const (
	keptFor      = time.Minute // an older value is not served where age matters, nor without its age
	keptTimes    = 10
	restMost     = 30 * time.Second // with a build it fits into the time for an answer
	patience     = 50 * time.Millisecond
	patienceIdle = time.Second // where nobody asked for keptFor
)

// An entry is what there is of one key.
type entry[T any] struct {
	kept *made[T] // nil: none yet
	next *made[T] // in the making; nil: none
	used time.Time
}

// made is a value that is made, or in the making.
type made[T any] struct {
	began  time.Time
	enough time.Time // until when a reader of an older value waits for it

	done    chan struct{} // closed when the rest is set
	value   T
	of      moment
	err     error
	ended   time.Time
	waiting int // readers, while it is made; under the cache's lock
	cancel  context.CancelFunc
}

// A moment is the state of what is stored that a value is of, at the least: what is newer in it
// does no harm.
type moment struct {
	version
	at time.Time
}

// fresh reports whether nothing was stored since, and no age in words is wrong yet.
func (m moment) fresh(now version) bool {
	return now.known && m.version == now && time.Since(m.at) < keptFor
}

// versions says which version of what is stored is the newest.
type versions struct {
	watch watch

	mu     sync.Mutex
	number func() (int64, error) // nil: not known yet
	stop   func()
	file   int
}

// A version is that of a database.
type version struct {
	file   int // counts the databases that had its place
	number int64
	known  bool
}

// watch is Options.Watch.
type watch func(context.Context) (version func() (int64, error), stop func(), err error)

// now is the newest version.
func (v *versions) now() version {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.number == nil {
		if v.watch == nil {
			return version{file: v.file}
		}
		number, stop, err := v.watch(context.Background())
		if err != nil {
			return version{file: v.file}
		}
		v.number, v.stop = number, stop
	}
	n, err := v.number()
	if err != nil { // the database was replaced: what is kept is of the old one
		v.stop()
		v.number, v.stop = nil, nil
		v.file++
		return version{file: v.file}
	}
	return version{v.file, n, true}
}

// close lets go of the store.
func (v *versions) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stop != nil {
		v.stop()
	}
	v.watch, v.number, v.stop = nil, nil, nil
}

func newCache[T any](v *versions, most int, size func(T) int) *cache[T] {
	c := &cache[T]{versions: v, most: most, size: size, entries: map[string]*entry[T]{}}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// A maker makes a value of what is stored now, and says the moment that it is of: now, or an
// earlier one where a reader waits for the first of its key (hurry).
type maker[T any] func(ctx context.Context, now moment, hurry bool) (T, moment, error)

// What a reader asks for.
type want struct {
	fresh bool // for who was told that something was stored
	aged  bool // a value of any age will do
}

// get returns the value of a key, made by make where there is none that will do.
func (c *cache[T]) get(ctx context.Context, key string, w want, build maker[T]) (*made[T], error) {
	asked := time.Now()
	for {
		kept, next, rest := c.look(key, asked, w, build)
		if next == nil && rest == 0 {
			return kept, nil
		}
		if next == nil { // it was made a moment ago
			wait := time.NewTimer(rest)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return nil, ctx.Err()
			}
			continue
		}
		var enough <-chan time.Time
		if kept != nil && !w.fresh {
			enough = time.After(time.Until(next.enough))
		}
		select {
		case <-next.done:
			c.leave(next, kept)
			switch {
			case next.err == nil && w.fresh && next.began.Before(asked):
				continue // it may be of before what was stored
			case errors.Is(next.err, context.Canceled) && ctx.Err() == nil && c.ctx.Err() == nil:
				continue // all who waited had left
			}
			return next, next.err
		case <-enough:
			c.leave(next, kept)
			return kept, nil
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				c.leave(next, kept)
			} // else it stays in the making, as if he waited
			return nil, ctx.Err()
		}
	}
}

// look returns the value that is kept, and the one in the making, which leave is called for;
// neither in the making and no rest: the kept one will do. After rest it may be made anew.
func (c *cache[T]) look(key string, asked time.Time, w want, build maker[T]) (kept, next *made[T], rest time.Duration) {
	now := c.versions.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		e = &entry[T]{}
		c.makeRoom(c.most - 1)
		c.entries[key] = e
	}
	wait := patience
	if asked.Sub(e.used) >= keptFor {
		wait = patienceIdle
	}
	e.used = asked
	if e.kept != nil && (e.kept.of.file != now.file || !w.aged && time.Since(e.kept.of.at) >= keptFor) {
		e.kept = nil
	}
	if kept = e.kept; kept != nil {
		if kept.of.fresh(now) || w.fresh && !kept.began.Before(asked) {
			return kept, nil, 0
		}
		if rest = min(keptTimes*kept.ended.Sub(kept.began), restMost) - time.Since(kept.ended); e.next == nil && rest > 0 {
			if !w.fresh {
				rest = 0
			}
			return kept, nil, rest
		}
	}
	if e.next == nil {
		e.next = c.begin(key, e, now, kept == nil && !w.fresh, build)
		e.next.enough = e.next.began.Add(wait)
	}
	e.next.waiting++
	return kept, e.next, 0
}

// begin begins to make a value. Lock first.
func (c *cache[T]) begin(key string, e *entry[T], now version, hurry bool, build maker[T]) *made[T] {
	p := &made[T]{began: time.Now(), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(c.ctx)
	p.cancel = cancel
	if ctx.Err() != nil { // closed: all.Wait may be over
		p.err = ctx.Err()
		close(p.done)
		return p
	}
	c.all.Go(func() {
		defer cancel()
		value, of, err := build(ctx, moment{now, p.began}, hurry)
		c.mu.Lock()
		defer c.mu.Unlock()
		p.value, p.of, p.err, p.ended = value, of, err, time.Now()
		if e.next = nil; err == nil {
			e.kept = p
			c.makeRoom(c.most)
		} else if e.kept == nil && c.entries[key] == e {
			delete(c.entries, key)
		}
		close(p.done)
	})
	return p
}

// leave says that a reader waits no longer. The first value of its key is given up when
// nobody waits for it.
func (c *cache[T]) leave(p, kept *made[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waiting--; p.waiting == 0 && kept == nil {
		p.cancel()
	}
}

// makeRoom lets go of the values that were asked for longest ago, until there are most keys and
// keptBytes. Lock first.
func (c *cache[T]) makeRoom(most int) {
	for {
		oldest, since, bytes := "", time.Time{}, 0
		for key, e := range c.entries {
			if c.size != nil && e.kept != nil {
				bytes += c.size(e.kept.value)
			}
			if e.next == nil && (oldest == "" || e.used.Before(since)) {
				oldest, since = key, e.used
			}
		}
		if len(c.entries) <= most && bytes <= keptBytes || oldest == "" {
			return
		}
		delete(c.entries, oldest)
	}
}

// close ends all making.
func (c *cache[T]) close() {
	c.mu.Lock()
	c.end()
	clear(c.entries)
	c.mu.Unlock()
	c.all.Wait()
}

// cacheKey is what a screen depends on beside what is stored.
func cacheKey(v *screen) string {
	return strings.Join([]string{v.scope.base, v.path, v.form, v.sel.words.Encode(), v.extra.Encode()}, "\x00")
}

// wantsFresh reports whether a request is one of a page that was told of something new.
func wantsFresh(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }
