package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A cache keeps the pages that were made last, as HTML. It owns two promises:
//
//   - A page that is kept never keeps its reader waiting: it is served while nothing was
//     stored; else another one is made, and where that is not ready within patience the
//     reader gets the old one, which says its moment and is keptFor old at most. The live
//     part of the page then asks for the new one (see serveEvents).
//   - However many readers there are, a page is made once at a time, and then not again for
//     keptTimes as long as that took, or restMost where that is less: so one page takes a tenth of a
//     processor beside a mail server.
//
// Who was told that something was stored gets a page that was begun since, and waits for it.
//
// It is hard because makers and readers come and go independently: a page that replaces
// a kept one is made to the end, the first of its key only while somebody waits for it.
//
// Measured on 10.4 million attempts while follow wrote (docs/dashboard.md): a page that is
// kept takes a processor for less than 1 ms; making one 1 to 2400.
type cache struct {
	watch watch
	ctx   context.Context // of all making
	end   context.CancelFunc
	all   sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry
	version func() (int64, error) // nil: not known yet
	stop    func()
}

// watch is Options.Watch.
type watch func(context.Context) (version func() (int64, error), stop func(), err error)

const (
	keptAtMost = 64
	keptFor    = time.Minute
	keptTimes  = 10
	restMost   = 15 * time.Second
	patience   = 50 * time.Millisecond
)

// An entry is what there is of one page.
type entry struct {
	kept *page // nil: none yet
	next *page // in the making; nil: none
}

// A page is made, or in the making.
type page struct {
	began   time.Time
	version int64 // of what is stored, before the store was asked: what is newer in it does no harm
	known   bool  // the version is

	made    chan struct{} // closed when the rest is set
	html    []byte
	err     error
	took    time.Duration
	waiting int // readers, while it is made; under the cache's lock
	cancel  context.CancelFunc
}

func newCache(w watch) *cache {
	c := &cache{watch: w, entries: map[string]*entry{}}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// now is the version of what is stored. Lock first.
func (c *cache) now() (version int64, known bool) {
	if c.watch == nil || c.ctx.Err() != nil {
		return 0, false
	}
	if c.version == nil {
		version, stop, err := c.watch(c.ctx)
		if err != nil {
			return 0, false
		}
		c.version, c.stop = version, stop
	}
	n, err := c.version()
	if err != nil { // the database was replaced: what is kept is of the old one
		c.stop()
		c.version, c.stop = nil, nil
		clear(c.entries)
		return 0, false
	}
	return n, true
}

// A maker makes a page of what is stored now; version is that of what is stored.
type maker func(ctx context.Context, version int64) ([]byte, error)

// get returns the page of a key, made by maker where there is none that will do; fresh: for
// who was told that something was stored.
func (c *cache) get(ctx context.Context, key string, fresh bool, build maker) ([]byte, error) {
	asked := time.Now()
	for {
		kept, next, rest := c.look(key, asked, fresh, build)
		if next == nil && rest == 0 {
			return kept.html, nil
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
		if kept != nil && !fresh {
			enough = time.After(patience)
		}
		select {
		case <-next.made:
			c.leave(next, kept)
			switch {
			case next.err == nil && fresh && next.began.Before(asked):
				continue // it may be of before what was stored
			case errors.Is(next.err, context.Canceled) && ctx.Err() == nil && c.ctx.Err() == nil:
				continue // all who waited had left
			}
			return next.html, next.err
		case <-enough:
			c.leave(next, kept)
			return kept.html, nil
		case <-ctx.Done():
			c.leave(next, kept)
			return nil, ctx.Err()
		}
	}
}

// look returns the page that is kept, and the one in the making, which leave is called for;
// neither in the making and no rest: the kept one will do. After rest it may be made anew.
func (c *cache) look(key string, asked time.Time, fresh bool, build maker) (kept, next *page, rest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	version, known := c.now()
	e := c.entries[key]
	if e == nil {
		e = &entry{}
		c.makeRoom()
		c.entries[key] = e
	}
	if e.kept != nil && time.Since(e.kept.began) >= keptFor {
		e.kept = nil
	}
	if kept = e.kept; kept != nil {
		if known && kept.known && kept.version == version || fresh && !kept.began.Before(asked) {
			return kept, nil, 0
		}
		if rest = min(keptTimes*kept.took, restMost) - time.Since(kept.began); e.next == nil && rest > 0 {
			if !fresh {
				rest = 0
			}
			return kept, nil, rest
		}
	}
	if e.next == nil {
		e.next = c.begin(key, e, version, known, build)
	}
	e.next.waiting++
	return kept, e.next, 0
}

// begin begins to make a page. Lock first.
func (c *cache) begin(key string, e *entry, version int64, known bool, build maker) *page {
	p := &page{began: time.Now(), version: version, known: known, made: make(chan struct{})}
	ctx, cancel := context.WithCancel(c.ctx)
	p.cancel = cancel
	if ctx.Err() != nil { // closed: all.Wait may be over
		p.err = ctx.Err()
		close(p.made)
		return p
	}
	c.all.Go(func() {
		defer cancel()
		html, err := build(ctx, version)
		c.mu.Lock()
		defer c.mu.Unlock()
		p.html, p.err, p.took = html, err, time.Since(p.began)
		if e.next = nil; err == nil {
			e.kept = p
		} else if e.kept == nil && c.entries[key] == e {
			delete(c.entries, key)
		}
		close(p.made)
	})
	return p
}

// leave says that a reader waits no longer. The first page of its key is given up when
// nobody waits for it.
func (c *cache) leave(p, kept *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waiting--; p.waiting == 0 && kept == nil {
		p.cancel()
	}
}

// makeRoom lets go of the oldest page where there are keptAtMost. Lock first.
func (c *cache) makeRoom() {
	if len(c.entries) < keptAtMost {
		return
	}
	oldest, since := "", time.Time{}
	for key, e := range c.entries {
		if e.next != nil || e.kept == nil {
			continue
		}
		if oldest == "" || e.kept.began.Before(since) {
			oldest, since = key, e.kept.began
		}
	}
	delete(c.entries, oldest)
}

// changed reports whether something was stored since a version, as far as that is known.
func (c *cache) changed(since int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	version, known := c.now()
	return !known || version != since
}

// close ends all making and lets go of the store.
func (c *cache) close() {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	c.all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
		c.version, c.stop = nil, nil
	}
	clear(c.entries)
}

// cacheKey is what a screen depends on beside what is stored.
func cacheKey(v *screen) string {
	q := v.sel.words.Encode()
	return strings.Join([]string{v.scope.base, v.path, v.form, q, v.extra.Encode()}, "\x00")
}

// wantsFresh reports whether a request is one of a page that was told of something new.
func wantsFresh(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }
