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

// place returns the number of smaller ids in the set; -1: id is not in the set.
func (s *idSet) place(id int64) int {
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
	if i := b.ids.place(id); i >= 0 {
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
