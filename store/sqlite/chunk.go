package sqlite

import (
	"database/sql/driver"
	"math/bits"
)

// A chunk is a run of attempts of one source. Its filter says which recipients
// and queue ids are not in it, so that the trace of one needs no index over
// every row.
type chunk struct {
	first, last, since, until int64
	rows                      int
	keys                      keySet // of recipients and queue ids
}

// A keySet holds different keys.
type keySet struct {
	slots []uint64 // 0: free
	list  []uint64
}

// slots for the two keys of each row: at most half of them are taken.
const chunkSlots = 4 * chunkRows

func (s *keySet) add(key uint64) {
	if s.slots == nil {
		s.slots = make([]uint64, chunkSlots)
	}
	i := key % chunkSlots
	for s.slots[i] != 0 && s.slots[i] != key {
		i = (i + 1) % chunkSlots
	}
	if s.slots[i] == 0 {
		s.slots[i] = key
		s.list = append(s.list, key)
	}
}

func (s *keySet) empty() {
	clear(s.slots)
	s.list = s.list[:0]
}

const chunkRows = 4096

func (c *chunk) add(w *writer, id, at, recipient int64, queue string) {
	if c.rows == 0 {
		c.first, c.since, c.until = id, at, at
	}
	c.rows++
	c.last, c.since, c.until = id, min(c.since, at), max(c.until, at)
	c.keys.add(recipientKey(recipient))
	c.keys.add(queueKey(queue))
	if c.rows < chunkRows {
		return
	}
	size := len(c.keys.list) // bytes: 8 bits a key
	filter := make([]byte, size)
	for _, k := range c.keys.list {
		addKey(filter, k)
	}
	c.rows = 0
	c.keys.empty()
	w.add("chunk", c.first, c.last, c.since, c.until, filter)
}

// The keys of a filter need no secret: at worst a trace reads a few rows more.
var chunkHash = hasher{0x2545f4914f6cdd1d, 0xd6e8feb86659fd93}

// None is 0, see keySet.
func recipientKey(id int64) uint64 { return max(chunkHash.num(1, uint64(id)), 1) }
func queueKey(queue string) uint64 { return max(chunkHash.add(2, queue), 1) }

// chunkProbes is how many bits of a filter stand for a key: with 8 bits a key, 1 in 50
// that is not in the chunk may seem to be.
const chunkProbes = 5

// probes are the bits of a key in a filter of so many bytes.
func probes(key uint64, size int) (at [chunkProbes]uint64) {
	for i := range at {
		hi, lo := bits.Mul64(key, uint64(size)*8)
		at[i] = hi
		key = lo ^ key*0x9e3779b97f4a7c15
	}
	return at
}

// addKey adds a key to a filter.
func addKey(filter []byte, key uint64) {
	for _, n := range probes(key, len(filter)) {
		filter[n/8] |= 1 << (n % 8)
	}
}

// mayHold reports whether a key may be in a filter.
func mayHold(filter []byte, key uint64) bool {
	if len(filter) == 0 {
		return false
	}
	for _, n := range probes(key, len(filter)) {
		if filter[n/8]>>(n%8)&1 == 0 {
			return false
		}
	}
	return true
}

// resume reads back what a source's next rows must be seen with: its chunk that
// is not full yet, and which messages were seen last.
func (w *writer) resume(s *source) error {
	w.flushTables("delivery", "failure", "route", "chunk")
	ids := attemptsOf(s.num)
	s.last = attemptID(ids.lo) - 1
	for _, table := range [...]string{"delivery", "failure"} {
		last, err := w.c.Number("SELECT max(id) FROM "+table+" WHERE id BETWEEN ? AND ?", ids.lo, ids.hi)
		if err != nil {
			return err
		}
		s.last = max(s.last, attemptID(last))
	}
	done, err := w.c.Number("SELECT last FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1", ids.lo, ids.hi)
	if err != nil {
		return err
	}
	s.chunk = new(chunk)
	err = w.c.Each(func(row []driver.Value) error {
		s.chunk.add(w, row[0].(int64), row[1].(int64), row[2].(int64), queueText(row[3]))
		return nil
	}, `SELECT id, at, recipient, queue FROM delivery WHERE id BETWEEN ?1 AND ?2
		UNION ALL SELECT id, at, recipient, queue FROM failure WHERE id BETWEEN ?1 AND ?2 ORDER BY id`, max(ids.lo, done+1), ids.hi)
	if err != nil {
		return err
	}
	return w.c.Each(func(row []driver.Value) error {
		sender, _ := row[2].(int64)
		w.firstSeen(w.messageHash(queueText(row[1]), row[0].(int64)), sender, row[3].(int64))
		return nil
	}, layoutSQL(`SELECT r.origin, a.queue, a.sender, t.domain FROM (
			SELECT id, queue, sender, route, reply FROM delivery WHERE id BETWEEN ?1 AND ?2
			UNION ALL SELECT id, queue, sender, route, reply FROM failure WHERE id BETWEEN ?1 AND ?2
			ORDER BY id DESC LIMIT ?3) AS a
		JOIN reply AS r ON r.id = a.reply AND r.kind < $UNCOUNTED JOIN route AS t ON t.id = a.route`), ids.lo, ids.hi, seenWindow/4)
}
