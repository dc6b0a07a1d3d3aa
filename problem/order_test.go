package problem

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		hits := make([]*hit, n)
		for i := range hits {
			hits[i] = &hit{at: moment(rnd.IntN(20)), offset: int64(i)}
			if n%3 == 0 {
				hits[i].at = moment(i % (n/3 + 1)) // a few lists in order
			}
		}
		want := slices.Clone(hits)
		slices.SortStableFunc(want, func(a, b *hit) int { return cmp.Compare(a.at, b.at) })
		if inOrder(hits); !slices.Equal(hits, want) {
			t.Fatalf("%d hits are not in the order of a stable sort", n)
		}
	}
}
