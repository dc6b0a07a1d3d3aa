package judge

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// A lesson is a text with the reason that it means. A literal of a rule weighs less than a reply.
type lesson struct {
	features []uint32
	reason   bounce.Reason
	weight   float64
}

// lessons returns what a guesser learns from: the literals and examples of the rules, and
// testdata/replies.tsv.
func lessons(t *testing.T, j *Judge) (list []lesson) {
	t.Helper()
	s := j.scratch.New().(*scratch)
	add := func(d *bounce.Delivery, reason bounce.Reason, weight float64) {
		list = append(list, lesson{j.featuresOf(s, d), reason, weight})
	}
	for i := range j.rules {
		r := &j.rules[i]
		for _, y := range r.Yes {
			add(&bounce.Delivery{Response: y, Outcome: bounce.Hard}, r.Reason, 1)
		}
		if r.Tier != TierText && r.Tier != TierGeneral && r.Tier != TierHostText {
			continue
		}
		for _, l := range r.Any {
			if l = strings.Trim(l, "|"); len(l) >= 8 { // a shorter one means little without the rule's other conditions
				add(&bounce.Delivery{Response: l, Outcome: bounce.Hard}, r.Reason, 0.5)
			}
		}
	}
	for _, r := range readReplies(t) {
		add(&r.delivery, r.reason, 1)
	}
	return list
}

// featuresOf returns the features of a reply.
func (j *Judge) featuresOf(s *scratch, d *bounce.Delivery) []uint32 {
	template, _ := bounce.Split(d.Response)
	q := j.query(s, template, j.aboutOf(d))
	return j.appendFeatures(nil, &q)
}

// train learns a guesser: multinomial logistic regression by stochastic gradient descent (Duchi,
// Hazan and Singer 2011). In each step some features are left out, so that no word decides alone.
// Features of a single lesson are not learned: they double the size, and by folds they gain nothing.
func train(list []lesson) guesser {
	const (
		epochs   = 15
		rate     = 0.3
		decay    = 0.002 // towards weights of 0
		left     = 0.3   // share of features that are left out
		smallest = 1e-3  // keeps the first steps finite
	)
	count := map[uint32]int{}
	for _, l := range list {
		for _, f := range l.features {
			count[f]++
		}
	}
	maps.DeleteFunc(count, func(_ uint32, n int) bool { return n < 2 })
	features := slices.Sorted(maps.Keys(count))
	place := make(map[uint32]int, len(features))
	for i, f := range features {
		place[f] = i
	}
	type weights [guessReasons]float64
	w, slope := make([]weights, len(features)+1), make([]weights, len(features)+1)
	random := rand.New(rand.NewPCG(1, 2))
	order := random.Perm(len(list))
	for range epochs {
		random.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for _, i := range order {
			l := &list[i]
			used := []int{len(features)}
			for _, f := range l.features {
				if k, ok := place[f]; ok && random.Float64() >= left {
					used = append(used, k)
				}
			}
			var p weights
			for _, k := range used {
				for r := range p {
					p[r] += w[k][r]
				}
			}
			most, all := slices.Max(p[:]), 0.0
			for r := range p {
				p[r] = math.Exp(p[r] - most)
				all += p[r]
			}
			for r := range p {
				p[r] /= all
			}
			p[l.reason]--
			for _, k := range used {
				for r := range p {
					g := l.weight*p[r] + decay*w[k][r]
					slope[k][r] += g * g
					w[k][r] -= rate * g / (math.Sqrt(slope[k][r]) + smallest)
				}
			}
		}
	}
	b := binary.LittleEndian.AppendUint64(nil, sumOf(list))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(features)))
	for _, f := range features {
		b = binary.LittleEndian.AppendUint32(b, f)
	}
	for k := range w {
		for _, x := range w[k] {
			b = append(b, byte(int8(max(-127, min(127, math.Round(x/guessUnit))))))
		}
	}
	return guesser(b)
}

// sumOf returns the sum of the training texts that a guesser carries.
func sumOf(list []lesson) uint64 {
	h := fnv.New64a()
	for _, l := range list {
		h.Write([]byte{byte(l.reason), byte(l.weight * 2)})
		for _, f := range l.features {
			h.Write(binary.LittleEndian.AppendUint32(nil, f))
		}
	}
	return h.Sum64()
}

const maxGuesser = 200_000 // bytes

// The weights are not compared: their last bits depend on the processor.
func TestGuesserTrained(t *testing.T) {
	const out = "guess.bin"
	j := newJudge(t)
	list := lessons(t, j)
	if *update {
		g := train(list)
		t.Logf("%d texts, %d features, %d bytes", len(list), g.len(), len(g))
		if err := os.WriteFile(out, []byte(g), 0o644); err != nil {
			t.Fatal(err)
		}
		builtinGuesser = g // for the tests that follow
		return
	}
	if got := binary.LittleEndian.Uint64([]byte(builtinGuesser)); got != sumOf(list) {
		t.Fatalf("%s is not learned from these rules and replies; run go generate ./judge", out)
	}
	if len(builtinGuesser) > maxGuesser {
		t.Errorf("%s has %d bytes, more than %d", out, len(builtinGuesser), maxGuesser)
	}
}
