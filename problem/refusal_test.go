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
				list[i].at = moment(i % (n/3 + 1)) // a few sorted lists
			}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b *refusal) int { return cmp.Compare(a.at, b.at) })
		if sortByTime(list); !slices.Equal(list, want) {
			t.Fatalf("%d refusals are not in the order of a stable sort", n)
		}
	}
}

func TestWhyWatched(t *testing.T) {
	for _, c := range []struct {
		valid int
		want  string
	}{
		{1, "1 recipient known to be valid was refused in 1 message, but one message may be judged spam."},
		{2, "2 recipients known to be valid were refused in 1 message, but one message may be judged spam."},
	} {
		in := &incident{level: Watch, keys: []key{{}}}
		p := &Problem{Messages: 1, ValidRecipients: make([]string, c.valid), ValidBefore: make([]string, c.valid)}
		if got := in.why(p, spread{}, "", Thresholds{Recipients: 1, Messages: 2}); got != c.want {
			t.Errorf("%d: %s", c.valid, got)
		}
	}
}
