package sqlite

import (
	"iter"
	"math/bits"
	"strconv"

	"bouncelog/internal/sqlite3"
)

// An idSet is a set of ids of a dictionary, which are small numbers, with one bit each. A map takes
// several times as long to query, and there may be half a million rows.
type idSet struct {
	words []uint64
	ranks []uint32 // number of ids in the words before; see ranked
}

// add adds an id. It ignores an id that no dictionary can have.
func (s *idSet) add(id int64) {
	if id <= 0 || id > maxID {
		return
	}
	w := int(id >> 6)
	for w >= len(s.words) {
		s.words = append(s.words, make([]uint64, max(len(s.words), 64))...)
	}
	s.words[w] |= 1 << (id & 63)
}

// ranked prepares the set for place, and returns the number of ids.
func (s *idSet) ranked() int {
	s.ranks = make([]uint32, len(s.words))
	n := 0
	for i, w := range s.words {
		s.ranks[i] = uint32(n)
		n += bits.OnesCount64(w)
	}
	return n
}

func (s *idSet) has(id int64) bool {
	w := uint64(id) >> 6
	return w < uint64(len(s.words)) && s.words[w]>>(id&63)&1 != 0
}

// index returns the number of smaller ids in the set; -1: id is not in the set.
func (s *idSet) index(id int64) int {
	if !s.has(id) {
		return -1
	}
	w := id >> 6
	return int(s.ranks[w]) + bits.OnesCount64(s.words[w]&(1<<(id&63)-1))
}

// all yields the ids in order.
func (s *idSet) all() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for i, w := range s.words {
			for ; w != 0; w &= w - 1 {
				if !yield(int64(i)<<6 | int64(bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// numbers are indexed by the ids of a dictionary; 0: none.
type numbers []int32

// set sets the number of an id.
func (n *numbers) set(id int64, to int32) {
	if more := int(id) + 1 - len(*n); more > 0 {
		*n = append(*n, make([]int32, more)...)
	}
	(*n)[id] = to
}

// of returns the number of an id. It is 0 for an id that does not exist, as in a damaged database.
func (n numbers) of(id int64) int32 {
	if id < 0 || id >= int64(len(n)) {
		return 0
	}
	return n[id]
}

// A byID holds a value for each of some ids.
type byID[V any] struct {
	ids  idSet
	list []V // sorted by id
}

// at returns the value of an id; the zero value for an id that is not in ids.
func (b *byID[V]) at(id int64) *V {
	if i := b.ids.index(id); i >= 0 {
		return &b.list[i]
	}
	return new(V)
}

// inBatches calls fn with ids as JSON for json_each, one batch at a time.
func inBatches[N int64 | uint64](ids iter.Seq[N], fn func(wanted string) error) error {
	var list []byte
	n := 0
	hand := func() error {
		if n == 0 {
			return nil
		}
		list[0] = '['
		wanted := string(append(list, ']'))
		list, n = list[:0], 0
		return fn(wanted)
	}
	for id := range ids {
		list = strconv.AppendInt(append(list, ','), int64(id), 10)
		if n++; n < sqlite3.Batch {
			continue
		}
		if err := hand(); err != nil {
			return err
		}
	}
	return hand()
}

// batches calls fn for each range of ids of a dictionary.
func batches(c *sqlite3.Conn, table string, fn func(lo, hi int64) error) error {
	last, err := c.Number("SELECT max(id) FROM " + table)
	last = min(last, maxID) // a damaged database may hold any id
	for lo := int64(0); err == nil && lo < last; lo += sqlite3.Batch {
		err = fn(lo+1, lo+sqlite3.Batch)
	}
	return err
}

// A window remembers the hashes seen last, and the number that each was first seen with. It holds
// between half of its size and all of it, in two hash tables: when the newer one is half full, the
// older one is cleared and becomes the newer. It stores 32 bits of a hash and its slot, so that one
// or two in a thousand million new hashes are taken for seen. An entry takes 16 bytes, a third of
// the memory of a map.
type window struct {
	now, old []windowEntry
	n, size  int // entries in now; the most in both
}

type windowEntry struct{ tag, with uint32 } // tag 0: unused

func newWindow(size int) *window {
	slots := 4
	for slots < size { // at most half of them are used
		slots *= 2
	}
	return &window{now: make([]windowEntry, slots), old: make([]windowEntry, slots), size: size}
}

func findEntry(entries []windowEntry, h uint64) *windowEntry {
	tag, mask := max(uint32(h>>32), 1), uint64(len(entries)-1)
	i := h & mask
	for entries[i].tag != tag && entries[i].tag != 0 {
		i = (i + 1) & mask
	}
	return &entries[i]
}

// see reports whether h was seen, and returns the number that it was first seen with; otherwise it
// adds h.
func (w *window) see(h uint64, n uint32) (seen bool, with uint32) {
	m := findEntry(w.now, h)
	if m.tag != 0 {
		return true, m.with
	}
	if old := findEntry(w.old, h); old.tag != 0 {
		seen, n = true, old.with
	}
	if w.n >= w.size/2 {
		w.now, w.old, w.n = w.old, w.now, 0
		clear(w.now)
		m = findEntry(w.now, h)
	}
	m.tag, m.with = max(uint32(h>>32), 1), n
	w.n++
	return seen, n
}

// A bloom filter holds hashes. has returns true for all hashes that were added, and for a few
// others. With 4 to 256 bits for each hash it takes a tenth of the memory of a map. Most hashes
// asked for are not in it.
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

// full reports whether the filter lets too many hashes through and can still grow.
func (b *bloom) full() bool { return b.n > len(b.bits)*8 && len(b.bits) < 1<<22 }
