package sqlite

import "math/bits"

// A window remembers the hashes seen last, and the number that each was first seen with. It holds
// between half of its size and all of it, in two hash tables: when the newer one is half full, the
// older one is cleared and becomes the newer. It stores 32 bits of a hash and its slot, so that one
// or two in a thousand million new hashes are taken for seen. An entry takes 16 bytes, a third of
// the memory of a map.
type window struct {
	now, old []mark
	n, size  int // entries in now; the most in both
}

type mark struct{ tag, with uint32 } // tag 0: unused

func newWindow(size int) *window {
	slots := 4
	for slots < size { // at most half of them are used
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

// see reports whether h was seen, and returns the number that it was first seen with; otherwise it
// adds h.
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
