package sqlite

import (
	"iter"
	"sync"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/sqlite3"
)

// counting caches contents of whole tables for counting. They are read once per Reader, since most
// callers count several times.
type counting struct {
	sync.Mutex
	ends    *routeEnds
	replies *replyKinds
	waiting *map[int64]bool // see firstsPending
	parts   *[]*piece
	secret  *secret
	relays  *[]relayName
}

// once returns a value, and reads it on the first call.
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

// routeEnds are the names of the recipient's domain and of the relay, by route; 0: none.
type routeEnds struct {
	domains, relays numbers
	// The routes to each domain are a list: first is the last route, by domain, and next the route
	// before, by route; 0: none.
	first, next numbers
}

// to yields the routes to a domain.
func (e *routeEnds) to(domain int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for id := e.first.of(domain); id != 0 && yield(int64(id)); id = e.next.of(int64(id)) {
		}
	}
}

// routes reads the ends of all routes.
func (k *counting) routes(c *sqlite3.Conn) (*routeEnds, error) {
	return once(k, &k.ends, func() (*routeEnds, error) {
		ends := new(routeEnds)
		return ends, batches(c, "route", func(lo, hi int64) error {
			return c.Columns(3, func(v []int64) error {
				ends.domains.set(v[0], int32(v[1]))
				ends.relays.set(v[0], int32(v[2]))
				if 0 < v[1] && v[1] <= maxID { // a damaged database may hold any id
					ends.next.set(v[0], ends.first.of(v[1]))
					ends.first.set(v[1], int32(v[0]))
				}
				return nil
			}, "SELECT columns(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
		})
	})
}

// A relayName is the name of a relay, in lower case.
type relayName struct {
	id   int64
	text string
}

// relayNames reads the names of all relays. The search for outages asks some hundred questions by
// relay, for each of which SQLite scanned all names (0.35 s of a report on 1.5 million attempts).
func (k *counting) relayNames(c *sqlite3.Conn) ([]relayName, error) {
	ends, err := k.routes(c)
	if err != nil {
		return nil, err
	}
	all, err := once(k, &k.relays, func() (*[]relayName, error) {
		var relays idSet
		for _, id := range ends.relays {
			relays.add(int64(id))
		}
		all := new([]relayName)
		return all, batches(c, "name", func(lo, hi int64) error {
			return c.Texts(1, func(v []int64, name string) error {
				if relays.has(v[0]) {
					*all = append(*all, relayName{v[0], ascii.Lower(name)})
				}
				return nil
			}, "SELECT columns(id), group_concat(text, char(1)) FROM name WHERE id BETWEEN ? AND ?", lo, hi)
		})
	})
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// A replyKind is the part of a reply needed for counting. It is small, as there may be millions.
type replyKind struct {
	kind, origin int32
	known        bool // the reply exists
	retry        bool
	discarded    bool
}

// replyKinds are the kinds of all replies, and the id of the null sender.
type replyKinds struct {
	list  []replyKind // by id
	kinds map[int64]bool
	null  int64
}

// of returns the kind of a reply. known is false for an id that does not exist, as in a damaged
// database.
func (k *replyKinds) of(id int64) (r replyKind) {
	if 0 <= id && id < int64(len(k.list)) {
		r = k.list[id]
	}
	return r
}

func (k *counting) replyKinds(c *sqlite3.Conn) (*replyKinds, error) {
	return once(k, &k.replies, func() (*replyKinds, error) {
		last, err := c.Number("SELECT coalesce(max(id), 0) FROM reply")
		if err != nil {
			return nil, err
		}
		all := &replyKinds{list: make([]replyKind, min(max(last, 0), maxID)+1), kinds: make(map[int64]bool)} // a damaged database may hold any id
		err = batches(c, "reply", func(lo, hi int64) error {
			return c.Columns(5, func(v []int64) error {
				all.kinds[v[1]] = true
				all.list[v[0]] = replyKind{int32(v[1]), int32(v[2]), true, outcomeOf(v[1]) == bounce.Soft && v[3] >= 500, v[4] != 0}
				return nil
			}, "SELECT columns(id, kind, origin, coalesce(code, 0), coalesce(disposal, '') = '"+string(bounce.Discarded)+"') FROM reply WHERE id BETWEEN ? AND ?", lo, min(hi, int64(len(all.list)-1)))
		})
		if err == nil {
			all.null, err = c.Number("SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1")
		}
		return all, err
	})
}

// finder returns a finder. Its secret is read once.
func (k *counting) finder(c *sqlite3.Conn) (*finder, error) {
	s, err := once(k, &k.secret, func() (*secret, error) {
		s, _, err := readSecret(c)
		return &s, err
	})
	if err != nil {
		return nil, err
	}
	return &finder{c: c, secret: *s, domains: make(map[string]int64)}, nil
}

// firstsPending returns the first attempts of pending pairs.
func (k *counting) firstsPending(c *sqlite3.Conn) (*map[int64]bool, error) {
	return once(k, &k.waiting, func() (*map[int64]bool, error) {
		all := make(map[int64]bool)
		return &all, c.Columns(1, func(v []int64) error {
			all[v[0]] = true
			return nil
		}, "SELECT columns(pair) FROM pending")
	})
}

// pieces returns the pieces of all rows, the expiries first. Callers must not change them.
func (k *counting) pieces(c *sqlite3.Conn) ([]*piece, error) {
	all, err := once(k, &k.parts, func() (*[]*piece, error) {
		all, err := readExpiries(c)
		if err != nil {
			return nil, err
		}
		others, err := readPieces(c)
		all = append(all, others...)
		return &all, err
	})
	if err != nil {
		return nil, err
	}
	return *all, nil
}
