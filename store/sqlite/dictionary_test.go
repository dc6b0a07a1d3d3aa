package sqlite

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"bouncelog/store"
)

// TestCache compares a cache with a map, using hashes that collide.
func TestCache(t *testing.T) {
	const most = 1000
	c, want := newCache[int](most, false), make(map[uint64]int)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		h := uint64(r.IntN(3000)) * 256 // a start slot for one hash in 256
		got := c.get(h)
		v, known := want[h]
		if known != (got != nil) || known && *got != v {
			t.Fatalf("get %d: %v, want %d, %v", h, got, v, known)
		}
		if known {
			continue
		}
		if c.full() != (len(want) == most) {
			t.Fatalf("full = %v with %d entries", c.full(), len(want))
		}
		if c.full() {
			clear(want)
		}
		if p := c.put(h, i); *p != i {
			t.Fatalf("put %d: %d", i, *p)
		}
		want[h] = i
		if c.n != len(want) || c.partial != (i >= most) && c.partial {
			t.Fatalf("%d entries, want %d; partial %v", c.n, len(want), c.partial)
		}
	}
	if !c.partial || !c.mayLack(true) {
		t.Error("what was emptied is not partial")
	}
	c.empty()
	if c.n != 0 || c.get(256) != nil {
		t.Error("an empty cache holds something")
	}
	whole := newCache[int](most, false)
	if whole.mayLack(false) || whole.mayLack(true) {
		t.Error("a cache that holds all may lack something")
	}
	whole.asStored = true
	if !whole.mayLack(false) || whole.mayLack(true) {
		t.Error("what is written in another way than it is stored may be lacking, and no other")
	}
}

// TestDictionary finds the rows of a dictionary again after its cache was cleared, including rows
// with the same upper bits of the hash.
func TestDictionary(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	w := d.w
	hash := func(id int64) uint64 { return uint64(id%3)<<60 | uint64(id) }
	must(t, w.c.Exec("BEGIN"))
	for id := int64(1); id <= 30; id++ {
		got, err := w.names.newID()
		must(t, err)
		if got != id {
			t.Fatalf("id %d, want %d", got, id)
		}
		w.add("name", id, "name")
		w.names.addKey(hash(id), id)
		keep(&w.dictionaries, &w.names, hash(id), id)
	}
	w.names.flushKeys(&w.tables)
	if len(w.names.keys) != 0 {
		t.Errorf("%d keys wait", len(w.names.keys))
	}
	for id := int64(1); id <= 30; id++ {
		if p := w.names.get(hash(id)); p == nil || *p != id {
			t.Errorf("%d is not remembered: %v", id, p)
		}
		var asked []int64
		found, err := w.names.lookUp(&w.tables, hash(id), func(candidate int64) (bool, error) {
			asked = append(asked, candidate)
			return candidate == id, nil
		})
		must(t, err)
		if found != id || slices.ContainsFunc(asked, func(other int64) bool { return other%3 != id%3 }) {
			t.Errorf("%d is found as %d, of %d", id, found, asked)
		}
	}
	mine := errors.New("mine")
	if _, err := w.names.lookUp(&w.tables, hash(1), func(int64) (bool, error) { return false, mine }); err != mine {
		t.Errorf("error %v, want that of the function", err)
	}
	if found, err := w.names.lookUp(&w.tables, 5<<60, func(int64) (bool, error) { return true, nil }); found != 0 || err != nil {
		t.Errorf("a hash that no row has is found as %d, %v", found, err)
	}
	must(t, w.names.reset(w.c))
	if w.names.next != 31 || w.names.get(hash(1)) != nil || !w.names.known.partial {
		t.Errorf("after a reset the next id is %d, partial %v", w.names.next, w.names.known.partial)
	}
	w.names.next = maxID
	if id, err := w.names.newID(); id != maxID || err != nil {
		t.Errorf("the last id is %d, %v", id, err)
	}
	if id, err := w.names.newID(); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("one too many: %d, %v", id, err)
	}
	must(t, w.c.Exec("ROLLBACK"))
	must(t, w.reset())
}
