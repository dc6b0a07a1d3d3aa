package sqlite

import (
	"database/sql/driver"
	"fmt"
	"slices"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A dictionary gives ids to the rows of a table, and finds rows by a hash of their contents. It
// caches the rows used last, and looks up others in the table X_key (see dictKey). A dictionary
// without such a table stores forgotten rows again.
//
// It belongs to the writer: a rollback resets it.
type dictionary[V any] struct {
	table string
	rows  string // what the rows are called in an error
	most  int64  // largest id
	room  int    // largest number of rows in known

	known *cache[V] // by hash
	next  int64     // the id of the next new row
	keys  []dictKey // keys of new rows that are not in X_key yet
}

// reset clears the dictionary, and reads again what the database holds.
func (d *dictionary[V]) reset(c *sqlite3.Conn) error {
	last, err := c.Number("SELECT max(id) FROM " + d.table)
	d.next, d.keys = last+1, d.keys[:0]
	d.known = newCache[V](d.room, last > 0)
	return err
}

// get returns the cached value of the row with this hash, or nil. The pointer is valid until the
// next add.
func (d *dictionary[V]) get(h uint64) *V { return d.known.get(h) }

// newID takes the id of a new row.
func (d *dictionary[V]) newID() (int64, error) {
	if d.next > d.most {
		return 0, fmt.Errorf("%w: too many %s (%d)", store.ErrTooMany, d.rows, d.next-1)
	}
	d.next++
	return d.next - 1, nil
}

// addKey queues the key of a new row for flushKeys.
func (d *dictionary[V]) addKey(h uint64, id int64) { d.keys = append(d.keys, newDictKey(h, id)) }

// lookUp finds a row that is not cached. It calls is with the ids of the rows with this hash until
// is returns true, and returns that id; 0: none.
func (d *dictionary[V]) lookUp(t *tables, h uint64, is func(id int64) (bool, error)) (found int64, err error) {
	d.known.lookUps++
	if d.table != "address" { // new addresses are in addressDictionary.added, and cached
		t.bulks[d.table].Flush()
	}
	lo, hi := dictKeys(h)
	err = t.c.Each(func(row []driver.Value) error {
		id := row[0].(int64) & maxID
		ok, err := is(id)
		if ok {
			found = id
			return sqlite3.ErrStop
		}
		return err
	}, "SELECT key FROM "+d.table+"_key WHERE key BETWEEN ? AND ?", int64(lo), int64(hi))
	return found, err
}

// flushKeys stores the keys of new rows: sorted and many at a time, since each may belong to
// another page.
func (d *dictionary[V]) flushKeys(t *tables) {
	slices.Sort(d.keys)
	for _, k := range d.keys {
		t.add(d.table+"_key", int64(k))
	}
	d.keys = d.keys[:0]
	t.bulks[d.table+"_key"].Flush()
}

// rowsALookUp is the number of rows per look-up at which a dictionary is read completely. One
// look-up takes as long as reading some twenty rows in order.
const rowsALookUp = 100

// due reports whether a dictionary should be read completely.
func due[V any](d *dictionary[V]) bool {
	return d.known.partial && int64(d.known.lookUps)*rowsALookUp >= d.next && fits(d)
}

// fits reports whether the cache has room for the dictionary as it grows.
func fits[V any](d *dictionary[V]) bool { return d.next <= int64(d.known.max)/4*3 }

// readAll reads a dictionary. columns are those of Conn.Texts: as many integers as numbers says, and
// a text. row returns the hash and the cached value of a row.
func readAll[V any](c *sqlite3.Conn, d *dictionary[V], numbers int, columns string, row func(v []int64, text string) (uint64, V)) error {
	d.known.partial, d.known.lookUps, d.known.asStored = false, 0, true
	d.known.grow(int(d.next))
	return batches(c, d.table, func(lo, hi int64) error {
		return c.Texts(numbers, func(v []int64, text string) error {
			if h, val := row(v, text); d.known.get(h) == nil {
				d.known.put(h, val)
			}
			return nil
		}, "SELECT "+columns+" FROM "+d.table+" WHERE id BETWEEN ? AND ?", lo, hi)
	})
}

// A cache maps hashes to small values in bounded memory. Once it holds max entries, it is cleared.
// (A Go map takes 1.5 times the memory and twice the time; an attempt does six look-ups.)
type cache[V any] struct {
	entries []cacheEntry[V] // a hash table with open addressing; its length is a power of two
	n       int             // entries in use
	max     int
	// partial: a stored row may be missing from the cache, so a row that is not found has to be
	// looked up.
	partial bool
	// asStored is set once the hashes are those of the stored texts. A text that is stored in
	// another form than in the log has to be looked up.
	asStored bool
	lookUps  int // rows that were not found and were looked up
}

type cacheEntry[V any] struct {
	key uint64 // 0: free
	val V
}

func newCache[V any](max int, partial bool) *cache[V] {
	return &cache[V]{entries: make([]cacheEntry[V], 256), max: max, partial: partial}
}

// mayLack reports whether a row missing from the cache may be stored. exact reports that the text
// is stored as it is in the log.
func (c *cache[V]) mayLack(exact bool) bool { return c.partial || c.asStored && !exact }

// get returns a pointer that is valid until the next put; nil: h is missing.
func (c *cache[V]) get(h uint64) *V {
	if e := c.slot(h); e.key != 0 {
		return &e.val
	}
	return nil
}

// put adds h, which must be missing.
func (c *cache[V]) put(h uint64, v V) *V {
	if c.full() {
		c.empty()
		c.partial = true
	}
	c.grow(c.n + 1)
	c.n++
	e := c.slot(h)
	e.key, e.val = max(h, 1), v
	return &e.val
}

// grow makes room for n entries.
func (c *cache[V]) grow(n int) {
	size := len(c.entries)
	for n > size/4*3 {
		size *= 2
	}
	if size == len(c.entries) {
		return
	}
	old := c.entries
	c.entries = make([]cacheEntry[V], size)
	for i := range old {
		if old[i].key != 0 {
			*c.slot(old[i].key) = old[i]
		}
	}
}

// full reports whether the next put clears the cache.
func (c *cache[V]) full() bool { return c.n >= c.max }

func (c *cache[V]) empty() {
	clear(c.entries)
	c.n = 0
}

// slot returns the entry of h, or the free one for it.
func (c *cache[V]) slot(h uint64) *cacheEntry[V] {
	h = max(h, 1)
	mask := uint64(len(c.entries) - 1)
	i := h & mask
	for c.entries[i].key != h && c.entries[i].key != 0 {
		i = (i + 1) & mask
	}
	return &c.entries[i]
}
