package sqlite

import (
	"math/bits"

	"bouncelog/store"
)

// A chunk is a run of attempts of one source. Its Bloom filter rules out recipients, queue ids and
// Message-IDs, so that tracing one of them needs no index on every row.
type chunk struct {
	first, last, since, until int64
	rows                      int
	keys                      map[uint64]struct{} // of recipients, queue ids and Message-IDs
}

// chunkRows is the number of attempts in a chunk.
const chunkRows = store.PieceRows

// add adds an attempt, and stores the chunk once it is full.
func (c *chunk) add(t *tables, id, at, recipient int64, queue string, message int64) {
	if c.keys == nil {
		c.keys = make(map[uint64]struct{}) // most of many sources have few rows
	}
	if c.rows == 0 {
		c.first, c.since, c.until = id, at, at
	}
	c.rows++
	c.last, c.since, c.until = id, min(c.since, at), max(c.until, at)
	c.keys[recipientKey(recipient)] = struct{}{}
	c.keys[queueKey(queue)] = struct{}{}
	if message != 0 {
		c.keys[messageHashKey(message)] = struct{}{}
	}
	if c.rows < chunkRows {
		return
	}
	size := len(c.keys) // in bytes: 8 bits a key
	filter := make([]byte, size)
	for k := range c.keys {
		addKey(filter, k)
	}
	c.rows = 0
	clear(c.keys)
	t.add("chunk", c.first, c.last, c.since, c.until, filter)
}

// The hash for the filters has no secret key: keys that collide only make a trace read more rows.
var chunkHash = hasher{0x2545f4914f6cdd1d, 0xd6e8feb86659fd93}

func recipientKey(id int64) uint64     { return chunkHash.num(1, uint64(id)) }
func queueKey(queue string) uint64     { return chunkHash.add(2, queue) }
func messageHashKey(hash int64) uint64 { return chunkHash.num(4, uint64(hash)) }

// chunkProbes is the number of bits of a filter for each key. With 8 bits of filter a key, 1 in 50
// keys outside the chunk is found in the filter.
const chunkProbes = 5

// probes returns the bits of a key in a filter of size bytes.
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
