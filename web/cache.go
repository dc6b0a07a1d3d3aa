package web

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A cache keeps the screens that were made last, so that many tabs cost no more than
// one, and a page that took long is not made again and again beside a mail server. A
// screen is good for a minute while nothing was stored; else for ten times as long as
// it took to make, so that a page takes a tenth of one processor at most. Who was told
// that something was stored gets one that was made since.
//
// Measured on 1.1 million attempts: a page made anew takes a processor for 1 to 230 ms,
// some up to 1.4 s; one that is kept for 1 to 35, for its HTML (BenchmarkPages).
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
	version func() (int64, error) // nil: not known yet
	stop    func()
}

const (
	keptAtMost = 64
	keptFor    = time.Minute
	keptTimes  = 10
)

// An entry is one screen, or the making of it.
type entry struct {
	made    chan struct{} // closed when it is made
	view    *screen
	err     error
	version int64
	known   bool // the version is
	at      time.Time
	took    time.Duration
}

// now is the version of what is stored. Lock first.
func (c *cache) now(watch func(context.Context) (func() (int64, error), func(), error)) (int64, bool) {
	if watch == nil {
		return 0, false
	}
	if c.version == nil {
		version, stop, err := watch(context.Background())
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

// get returns the screen of a key, or makes it; one at a time for each key.
func (c *cache) get(ctx context.Context, s *Server, key string, fresh bool, build func() (*screen, error)) (*screen, error) {
	for {
		c.mu.Lock()
		version, known := c.now(s.o.Watch)
		e := c.entries[key]
		if e != nil {
			select {
			case <-e.made:
				age := time.Since(e.at)
				same := known && e.known && e.version == version
				if e.err == nil && age < keptFor && (same || !fresh && age < keptTimes*e.took) {
					c.mu.Unlock()
					return e.view, nil
				}
				delete(c.entries, key)
				e = nil
			default:
			}
		}
		if e == nil {
			break
		}
		c.mu.Unlock()
		select { // somebody makes it already
		case <-e.made:
			if e.err == nil {
				return e.view, nil
			}
			// It failed for who asked for it, perhaps because they left.
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.mu.Lock()
			if c.entries[key] == e {
				delete(c.entries, key)
			}
			c.mu.Unlock()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e := &entry{made: make(chan struct{}), at: time.Now()}
	// The version is that before the store is asked: what is newer in it does no harm.
	e.version, e.known = c.now(s.o.Watch)
	if c.entries == nil {
		c.entries = map[string]*entry{}
	}
	if len(c.entries) >= keptAtMost {
		oldest := ""
		for k, x := range c.entries {
			if oldest == "" || x.at.Before(c.entries[oldest].at) {
				oldest = k
			}
		}
		delete(c.entries, oldest)
	}
	c.entries[key] = e
	c.mu.Unlock()
	e.view, e.err = build()
	e.took = time.Since(e.at)
	close(e.made)
	return e.view, e.err
}

func (c *cache) close() {
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
