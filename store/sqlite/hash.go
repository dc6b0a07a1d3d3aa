package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"strings"
)

// A hasher is a keyed 64-bit hash. The key is made with the database and kept
// in it, so that nobody can choose addresses that collide.
type hasher struct{ a, b uint64 }

func newHasher(key []byte) hasher {
	var k [16]byte
	copy(k[:], key)
	return hasher{binary.LittleEndian.Uint64(k[:8]) | 1, binary.LittleEndian.Uint64(k[8:]) | 1}
}

func newKey() []byte {
	k := make([]byte, 32)
	rand.Read(k) // never fails
	return k
}

// add folds s into h. The length goes in too, so that ("ab", "c") and
// ("a", "bc") differ.
func (k hasher) add(h uint64, s string) uint64 { return addTo(k, h, s) }

func addTo[S string | []byte](k hasher, h uint64, s S) uint64 {
	n := len(s)
	h ^= uint64(n) * 0x9e3779b97f4a7c15
	switch {
	case n >= 8:
		end := s[n-8:] // what is left at the end is taken with some of what went in
		for len(s) > 8 {
			h = k.mix(h, word(s))
			s = s[8:]
		}
		return k.mix(h, word(end))
	case n >= 4:
		return k.mix(h, half(s)|half(s[n-4:])<<32)
	case n > 0:
		return k.mix(h, uint64(s[0])|uint64(s[n/2])<<8|uint64(s[n-1])<<16)
	}
	return k.mix(h, 0)
}

// word and half are the first 8 and 4 bytes: one load each.
func word[S string | []byte](s S) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func half[S string | []byte](s S) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// address is the hash of an address and its domain.
func (k hasher) address(whole, domain string) uint64 {
	h := k.add(10, whole)
	if domain == "" || !strings.HasSuffix(whole, domain) {
		h = k.add(h, domain)
	}
	return h
}

// route is the hash of a recipient's domain and a relay.
func (k hasher) route(domain, host, ip string, port uint16) uint64 {
	return k.num(k.add(k.add(k.add(11, domain), host), ip), uint64(port))
}

func (k hasher) num(h, n uint64) uint64 { return k.mix(h, n) }

func (k hasher) mix(h, w uint64) uint64 {
	hi, lo := bits.Mul64(h^w^k.a, k.b^bits.RotateLeft64(w, 32))
	return hi ^ lo ^ h
}

// A cache maps hashes to small values in bounded memory: once it holds max
// entries it is emptied and starts again.
type cache[V any] struct {
	entries []entry[V]
	n       int
	max     int
	// partial is set once something may be missing that was stored: what is
	// not found has to be looked up.
	partial bool
	// asStored is set once the hashes are those of what is stored: what the log wrote
	// in another way has to be looked up.
	asStored bool
	lookUps  int // what was not found and had to be looked up
}

// mayLack reports that what is not found may be stored all the same. Exact says that
// it would be stored as the log has it.
func (c *cache[V]) mayLack(exact bool) bool { return c.partial || c.asStored && !exact }

type entry[V any] struct {
	key uint64 // 0: free
	val V
}

func newCache[V any](max int, partial bool) *cache[V] {
	return &cache[V]{entries: make([]entry[V], 256), max: max, partial: partial}
}

// get returns a pointer that is good until the next put, nil where h is
// missing.
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

// grow makes room for so many entries.
func (c *cache[V]) grow(n int) {
	size := len(c.entries)
	for n > size/4*3 {
		size *= 2
	}
	if size == len(c.entries) {
		return
	}
	old := c.entries
	c.entries = make([]entry[V], size)
	for i := range old {
		if old[i].key != 0 {
			*c.slot(old[i].key) = old[i]
		}
	}
}

// full reports that the next put will empty the cache.
func (c *cache[V]) full() bool { return c.n >= c.max }

func (c *cache[V]) empty() {
	clear(c.entries)
	c.n = 0
}

// slot is where h stands, or would.
func (c *cache[V]) slot(h uint64) *entry[V] {
	h = max(h, 1)
	mask := uint64(len(c.entries) - 1)
	i := h & mask
	for c.entries[i].key != h && c.entries[i].key != 0 {
		i = (i + 1) & mask
	}
	return &c.entries[i]
}

// A window remembers the hashes that were seen recently, each with the number
// that it was first seen with: at least the last half of its size, at most all
// of it. Of a hash it keeps its place and half of its bits: of a thousand million
// new ones it takes one or two for known.
type window struct {
	now, old []mark
	n, size  int // in now; at most
}

type mark struct{ tag, with uint32 } // tag 0: free

func newWindow(size int) *window {
	slots := 4
	for slots < size { // at most half of them are taken
		slots *= 2
	}
	return &window{now: make([]mark, slots), old: make([]mark, slots), size: size}
}

func findMark(marks []mark, h uint64) *mark {
	tag, mask := max(uint32(h>>32), 1), uint64(len(marks)-1)
	i := h & mask
	for marks[i].tag != tag && marks[i].tag != 0 {
		i = (i + 1) & mask
	}
	return &marks[i]
}

// see reports whether h was there, and with which number; else it adds it.
func (w *window) see(h uint64, n uint32) (seen bool, with uint32) {
	m := findMark(w.now, h)
	if m.tag != 0 {
		return true, m.with
	}
	if old := findMark(w.old, h); old.tag != 0 {
		seen, n = true, old.with
	}
	if w.n >= w.size/2 {
		w.now, w.old, w.n = w.old, w.now, 0
		clear(w.now)
		m = findMark(w.now, h)
	}
	m.tag, m.with = max(uint32(h>>32), 1), n
	w.n++
	return seen, n
}

// A bloom filter for what may be pending.
type bloom struct {
	bits []uint64
	n    int
}

func newBloom(entries int) *bloom {
	size := 1 << 16 // words: 512 KiB, 4 M bits
	for size*64 < entries*16 && size < 1<<22 {
		size *= 2
	}
	return &bloom{bits: make([]uint64, size)}
}

func (b *bloom) add(h uint64) {
	m := uint64(len(b.bits)*64 - 1)
	for range 3 {
		b.bits[(h&m)/64] |= 1 << (h & 63)
		h = bits.RotateLeft64(h, 21) * 0x9e3779b97f4a7c15
	}
	b.n++
}

func (b *bloom) has(h uint64) bool {
	m := uint64(len(b.bits)*64 - 1)
	for range 3 {
		if b.bits[(h&m)/64]&(1<<(h&63)) == 0 {
			return false
		}
		h = bits.RotateLeft64(h, 21) * 0x9e3779b97f4a7c15
	}
	return true
}

// full reports that the filter lets too much through.
func (b *bloom) full() bool { return b.n > len(b.bits)*8 && len(b.bits) < 1<<22 }
