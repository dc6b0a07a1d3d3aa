package problem

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortByTime(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		list := make([]*refusal, n)
		for i := range list {
			list[i] = &refusal{at: moment(rnd.IntN(20)), offset: int64(i)}
			if n%3 == 0 {
				list[i].at = moment(i % (n/3 + 1)) // a few lists in order
			}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b *refusal) int { return cmp.Compare(a.at, b.at) })
		if sortByTime(list); !slices.Equal(list, want) {
			t.Fatalf("%d refusals are not in the order of a stable sort", n)
		}
	}
}
