package web

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A cache keeps the newest value of each key: a page in one of its forms, or the report that
// several pages share. It keeps two promises:
//
//   - A kept value never delays its reader. It is served while nothing was stored. Otherwise a new
//     value is built; if that takes longer than patience, the reader gets the old one. A page
//     states its moment and, if it is older than keptFor, its age; its live part then requests the
//     new page (see hub.serve, agedNote). A value that is requested again and again is built
//     again before it is a minute old: without that, one request a minute for CSV waited for the
//     search for incidents (2.5 s of 10 million attempts).
//   - However many readers there are, a value is built once at a time, and then not again for
//     keptTimes the duration of that build, or for restMost if that is less. After a longer build
//     the pause is as long as the build.
//
// A reader who was told of new data waits for a value whose build began after that. A reader may
// limit its wait (want.most): it then gets the kept value, or errInWork if there is none.
//
// It is hard because builds and readers come and go independently. A value that replaces a kept
// one is always built to the end. The first value of a key is built only while a reader waits for
// it, or after a reader has waited for its maximum time.
//
// Measured on 10 million attempts while follow wrote (docs/dashboard.md): a kept page takes less
// than 1 ms of CPU time; building one takes up to some seconds.
type cache[T any] struct {
	versions *versions
	most     int             // number of keys
	size     func(T) int     // size of a value in bytes, limited to keptBytes in sum; nil: values are small
	ctx      context.Context // context of all builds
	end      context.CancelFunc
	all      sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry[T]
}

const (
	// An older value is not served without stating its age. If its age matters, it is not served at all,
	// unless it took longer to build: clients that ask again after its end have to find it.
	keptFor      = time.Minute
	renewedAfter = keptFor / 2 // a value that is still requested is built again before it is too old
	keptTimes    = 10
	restMost     = 30 * time.Second // after a build that takes no longer than this
	patience     = 50 * time.Millisecond
	patienceIdle = time.Second // if there was no request for keptFor
)

// An entry holds the values of one key.
type entry[T any] struct {
	kept   *made[T] // nil: none yet
	next   *made[T] // value that is being built; nil: none
	failed *made[T] // first value that could not be built, until a reader who left too early is told; nil: none
	used   time.Time
}

// made is a value that was built, or is being built.
type made[T any] struct {
	began  time.Time
	enough time.Time // until then a reader of an older value waits for this one

	done    chan struct{} // closed when the rest is set
	value   T
	of      moment
	err     error
	ended   time.Time
	waiting int  // number of waiting readers; under the cache's lock
	late    bool // a reader did not wait for it, and will ask again; under the cache's lock
	cancel  context.CancelFunc
}

// A moment is the minimum state of the store that a value shows; newer data in it does no harm.
type moment struct {
	version
	at time.Time
}

// fresh reports whether nothing was stored since and every age in words is still right.
func (m moment) fresh(now version) bool {
	return now.known && m.version == now && time.Since(m.at) < keptFor
}

// versions finds the newest version of the store.
type versions struct {
	watch watch

	mu     sync.Mutex
	number func() (int64, error) // nil: not known yet
	stop   func()
	file   int
}

// A version identifies a state of a database.
type version struct {
	file   int // number of the database among those at the same path
	number int64
	known  bool
}

// watch is the type of Options.Watch.
type watch func(context.Context) (version func() (int64, error), stop func(), err error)

// now returns the newest version.
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
		v.file++ // a value of an unknown version may be of a database that was there before
	}
	n, err := v.number()
	if err != nil { // the database was replaced: kept values are of the old one
		v.stop()
		v.number, v.stop = nil, nil
		v.file++
		return version{file: v.file}
	}
	return version{v.file, n, true}
}

// close releases the store.
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

// A maker builds a value from the store as it is now, and returns its moment: now, or an earlier
// one if hurry is set, that is, if a reader waits for the first value of its key.
type maker[T any] func(ctx context.Context, now moment, hurry bool) (T, moment, error)

// A want holds the requirements of a reader.
type want struct {
	fresh   bool // the reader was told that something was stored
	aged    bool // any age is acceptable
	renewed bool // none that is to be built again soon

	most time.Duration // maximum wait; 0: until the context ends
}

// errInWork reports that the first value of a key is being built.
var errInWork = errors.New("in work")

// get returns the value of a key, and builds it if no acceptable value exists.
func (c *cache[T]) get(ctx context.Context, key string, w want, build maker[T]) (*made[T], error) {
	asked, again := time.Now(), false
	var late <-chan time.Time
	if w.most > 0 {
		late = time.After(w.most)
	}
	for {
		kept, next, rest := c.look(key, asked, w, build)
		if next == nil && rest == 0 {
			return kept, kept.err
		}
		if next == nil { // it has just been built
			wait := time.NewTimer(rest)
			select {
			case <-wait.C:
			case <-late:
				wait.Stop()
				return kept, nil
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
				continue // it may be older than the stored data
			case next.err == nil && !again && next.of.file != c.versions.now().file:
				again = true // the database was replaced meanwhile
				continue
			case errors.Is(next.err, context.Canceled) && ctx.Err() == nil && c.ctx.Err() == nil:
				continue // all waiting readers had left
			}
			return next, next.err
		case <-enough:
			c.leave(next, kept)
			return kept, nil
		case <-late:
			if kept == nil { // the value stays in work, as if the reader waited
				c.mu.Lock()
				next.late = true
				c.mu.Unlock()
				return nil, errInWork
			}
			c.leave(next, kept)
			return kept, nil
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				c.leave(next, kept)
			} else { // the value stays in work
				c.mu.Lock()
				next.late = true
				c.mu.Unlock()
			}
			return nil, ctx.Err()
		}
	}
}

// look returns the kept value and the value in work; the caller must call leave for the latter. If
// no value is in work and rest is zero, the kept one is acceptable, or has the error of its build.
// After rest the value may be built again.
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
	if failed := e.failed; failed != nil {
		if e.failed = nil; time.Since(failed.ended) < keptFor {
			return failed, nil, 0
		}
	}
	wait := patience
	if asked.Sub(e.used) >= keptFor {
		wait = patienceIdle
	}
	e.used = asked
	if e.kept != nil && (e.kept.of.file != now.file || !w.aged && time.Since(e.kept.of.at) >= keptFor+e.kept.ended.Sub(e.kept.began)) {
		e.kept = nil
	}
	if kept = e.kept; kept != nil {
		took := kept.ended.Sub(kept.began)
		rest = min(keptTimes*took, max(restMost, took)) - time.Since(kept.ended)
		old := time.Since(kept.of.at) >= renewedAfter
		if kept.of.fresh(now) && !(old && w.renewed) || w.fresh && !kept.began.Before(asked) {
			if old && e.next == nil && rest <= 0 {
				e.next = c.begin(key, e, now, false, build)
			}
			return kept, nil, 0
		}
		if e.next == nil && rest > 0 {
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

// begin starts to build a value. The caller holds the lock.
func (c *cache[T]) begin(key string, e *entry[T], now version, hurry bool, build maker[T]) *made[T] {
	p := &made[T]{began: time.Now(), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(c.ctx)
	p.cancel = cancel
	if ctx.Err() != nil { // closed: all.Wait may have returned
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
		} else if e.kept == nil && p.late {
			e.failed = p
		} else if e.kept == nil && c.entries[key] == e {
			delete(c.entries, key)
		}
		close(p.done)
	})
	return p
}

// leave ends a reader's wait. The first value of a key is abandoned when no reader waits for it.
func (c *cache[T]) leave(p, kept *made[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waiting--; p.waiting == 0 && kept == nil {
		p.cancel()
	}
}

// makeRoom drops the least recently requested values until most keys and keptBytes are left. The
// caller holds the lock.
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

// close stops all builds.
func (c *cache[T]) close() {
	c.mu.Lock()
	c.end()
	clear(c.entries)
	c.mu.Unlock()
	c.all.Wait()
}
