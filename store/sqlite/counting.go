package sqlite

import (
	"database/sql/driver"
	"sync"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
)

// A counting is what counting reads of whole tables, once for a Reader: who counts
// mostly does so again.
type counting struct {
	sync.Mutex
	ends    *routeEnds
	replies *replyKinds
	waiting *map[int64]bool // see firstsPending
}

// once reads something where it was not read yet.
func once[T any](k *counting, at **T, read func() (*T, error)) (*T, error) {
	k.Lock()
	defer k.Unlock()
	if *at != nil {
		return *at, nil
	}
	x, err := read()
	if err == nil {
		*at = x
	}
	return x, err
}

// Route ends are the names of the recipient's domain and of the relay, by route; 0: none.
type routeEnds struct{ domains, relays numbers }

// routes reads the ends of all routes.
func (k *counting) routes(c *sqlite3.Conn) (*routeEnds, error) {
	return once(k, &k.ends, func() (*routeEnds, error) {
		ends := new(routeEnds)
		return ends, batches(c, "route", func(lo, hi int64) error {
			return c.Columns(3, func(v []int64) error {
				ends.domains.set(v[0], int32(v[1]))
				ends.relays.set(v[0], int32(v[2]))
				return nil
			}, "SELECT columns(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
		})
	})
}

// A replyKind is what counts of a reply.
type replyKind struct {
	kind, origin int64
	retry        bool
	discarded    bool
}

// Reply kinds are those of all replies, and the id of the null sender.
type replyKinds struct {
	of   map[int64]replyKind
	null int64
}

func (k *counting) replyKinds(c *sqlite3.Conn) (*replyKinds, error) {
	return once(k, &k.replies, func() (*replyKinds, error) {
		all := &replyKinds{of: make(map[int64]replyKind)}
		err := c.Each(func(v []driver.Value) error {
			kind := num(v[1])
			all.of[num(v[0])] = replyKind{kind, num(v[2]), outcomeOf(kind) == bounce.Soft && num(v[3]) >= 500, str(v[4]) == string(bounce.Discarded)}
			return nil
		}, "SELECT id, kind, origin, code, disposal FROM reply")
		if err == nil {
			all.null, err = c.Number("SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1")
		}
		return all, err
	})
}

// firstsPending are the first attempts of who is still tried.
func (k *counting) firstsPending(c *sqlite3.Conn) (*map[int64]bool, error) {
	return once(k, &k.waiting, func() (*map[int64]bool, error) {
		all := make(map[int64]bool)
		return &all, c.Columns(1, func(v []int64) error {
			all[v[0]] = true
			return nil
		}, "SELECT columns(pair) FROM pending")
	})
}
