package judge

import (
	"cmp"
	"slices"
)

// A matcher finds all literals of a set in a text in one pass (Aho and Corasick 1975). Its states
// are numbered in breadth-first order, so that the children of a state are adjacent.
type matcher struct {
	label []byte  // the byte that leads to a state
	first []int32 // its first child; its last child is first of the next state minus one
	fail  []int32 // the state of the longest proper suffix
	out   []int32 // the literal that ends here, or -1
	next  []int32 // the next state along fail with a literal, or 0
	root  [256]int32
}

// newMatcher returns a matcher. literals must be distinct and not empty; they are numbered in their
// order.
func newMatcher(literals []string) *matcher {
	order := make([]int32, len(literals))
	total := 1
	for i, l := range literals {
		order[i] = int32(i)
		total += len(l)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(literals[a], literals[b]) })
	m := &matcher{
		label: make([]byte, 1, total), first: make([]int32, 0, total+1), fail: make([]int32, 1, total),
		out: make([]int32, 1, total), next: make([]int32, 1, total),
	}
	type span struct{ lo, hi, depth int32 } // the literals under a state
	spans := make([]span, 1, total)
	spans[0] = span{0, int32(len(order)), 0}
	m.out[0] = -1
	for s := 0; s < len(spans); s++ {
		sp := spans[s]
		m.first = append(m.first, int32(len(spans)))
		lo := sp.lo
		if lo < sp.hi && len(literals[order[lo]]) == int(sp.depth) {
			m.out[s] = order[lo]
			lo++
		}
		for lo < sp.hi {
			c := literals[order[lo]][sp.depth]
			hi := lo + 1
			for hi < sp.hi && literals[order[hi]][sp.depth] == c {
				hi++
			}
			child := int32(len(spans))
			spans = append(spans, span{lo, hi, sp.depth + 1})
			m.label = append(m.label, c)
			m.out = append(m.out, -1)
			m.fail = append(m.fail, 0)
			m.next = append(m.next, 0)
			if s == 0 {
				m.root[c] = child
			}
			lo = hi
		}
	}
	m.first = append(m.first, int32(len(spans)))
	// The fail state of a state is nearer to the root, so it is known when the children are
	// visited.
	for s := range int32(len(spans)) {
		for child := m.first[s]; child < m.first[s+1]; child++ {
			if s != 0 {
				m.fail[child] = m.step(m.fail[s], m.label[child])
			}
			if f := m.fail[child]; m.out[f] >= 0 {
				m.next[child] = f
			} else {
				m.next[child] = m.next[f]
			}
		}
	}
	return m
}

// step returns the state after s and c.
func (m *matcher) step(s int32, c byte) int32 {
	for s != 0 {
		for child, end := m.first[s], m.first[s+1]; child < end; child++ {
			if m.label[child] == c {
				return child
			}
		}
		s = m.fail[s]
	}
	return m.root[c]
}

// find calls found with each literal in text and the index of its end.
func (m *matcher) find(text []byte, found func(literal int32, end int)) {
	s := int32(0)
	for i, c := range text {
		s = m.step(s, c)
		t := s
		if m.out[t] < 0 {
			t = m.next[t]
		}
		for t != 0 {
			found(m.out[t], i+1)
			t = m.next[t]
		}
	}
}

// A bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset      { return make(bitset, (n+63)/64) }
func (b bitset) has(i int32) bool { return b[i>>6]&(1<<(i&63)) != 0 }
func (b bitset) add(i int32)      { b[i>>6] |= 1 << (i & 63) }
