package sqlite

import (
	"iter"
	"math/bits"
	"strconv"

	"bouncelog/internal/sqlite3"
)

// An idSet is a set of ids of a dictionary, which are small numbers: a bit for each.
// A map takes several times as long to ask, and there may be half a million rows.
type idSet struct {
	words []uint64
	ranks []uint32 // how many are in the words before; see ranked
}

// add takes in an id; one that no dictionary can have is left out.
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

// ranked makes the set ready for place, and says how many are in it.
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

// place is how many smaller ids are in the set; -1: id is not.
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

// Numbers are kept by the ids of a dictionary; 0: none.
type numbers []int32

// set sets that of an id.
func (n *numbers) set(id int64, to int32) {
	if more := int(id) + 1 - len(*n); more > 0 {
		*n = append(*n, make([]int32, more)...)
	}
	(*n)[id] = to
}

// of is 0 also for an id that is not there, as in a damaged database.
func (n numbers) of(id int64) int32 {
	if id < 0 || id >= int64(len(n)) {
		return 0
	}
	return n[id]
}

// A byID holds something for each of some ids.
type byID[V any] struct {
	ids  idSet
	list []V // in the order of the ids
}

// at is what is held for an id; one that was not named has the zero value.
func (b *byID[V]) at(id int64) *V {
	if i := b.ids.place(id); i >= 0 {
		return &b.list[i]
	}
	return new(V)
}

// inBatches calls fn with ids for json_each, a batch at a time.
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

// batches calls fn for each run of so many ids that a dictionary may have.
func batches(c *sqlite3.Conn, table string, fn func(lo, hi int64) error) error {
	last, err := c.Number("SELECT max(id) FROM " + table)
	last = min(last, maxID) // a damaged one may hold any
	for lo := int64(0); err == nil && lo < last; lo += sqlite3.Batch {
		err = fn(lo+1, lo+sqlite3.Batch)
	}
	return err
}
