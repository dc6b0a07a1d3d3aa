package sqlite

import "math/bits"

// A window remembers the hashes that were seen last, each with the number that it was first
// seen with: at least half of its size, at most all of it. It is two hash tables: the older
// is emptied and becomes the younger when that is half full. Of a hash it keeps 32 bits and
// the place: of a thousand million new ones it takes one or two for seen. 16 bytes for each
// are a third of what a map takes.
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

// see reports whether h was seen, and with which number first; otherwise it adds it.
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

// A bloom filter holds hashes: has is true for all that were added, and for a few others.
// In 4 to 256 bits of room for each it takes a tenth of a map, of which most questions miss.
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

// full reports whether the filter lets too much through, and could be larger.
func (b *bloom) full() bool { return b.n > len(b.bits)*8 && len(b.bits) < 1<<22 }
