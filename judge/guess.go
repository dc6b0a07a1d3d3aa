package judge

import (
	_ "embed"
	"math"
	"slices"
	"unicode/utf8"

	"bouncelog/bounce"
)

// A guesser guesses the reason of a reply that no rule knows, by logistic regression on its words.
// It is trained on the texts that rules know (train_test.go). docs/reasons.md shows how often it is
// right.
//
// Layout: a sum of the training texts, 8 bytes; the number of features, 4 bytes; the features in
// ascending order, 4 bytes each; their weights, one signed byte for each reason; the weights of the
// reasons themselves. Numbers are little-endian.
type guesser string

//go:embed guess.bin
var builtinGuesser guesser

// guessRule stands for the rule of a guess.
const guessRule = "guess"

const (
	guessHeader   = 12
	guessReasons  = bounce.NumReasons
	guessUnit     = 1.0 / 16 // a weight of 1 in the file
	maxFeatures   = 128      // of one reply
	stemLetters   = 5
	firstIdeogram = 0x2e80 // from here on a letter is a word
)

// The least probabilities of a guess.
const (
	guessLeast      = 0.6
	guessNamesCause = 0.8 // of a reason that bounce.Reason.NamesCause is true for
)

// guess returns the reason that the words of a reply suggest, if it is probable enough, and another
// one than that of the rule that decides without it (-1: none). A guess replaces only a rule
// for a code, and none of the user's rules. There is no guess for the words of this server, because
// whose fault a failure is must not depend on a guess.
func (j *Judge) guess(q *query, rule int32) (bounce.Reason, bool) {
	if q.facts&(factLocal|ownHop) != 0 || rule >= 0 && (j.compiled[rule].user || j.rules[rule].Tier < TierCode) {
		return bounce.NoReason, false
	}
	q.s.features = j.appendFeatures(q.s.features[:0], q)
	reason, p := j.guesser.reason(q.s.features)
	least := guessLeast
	if reason.NamesCause() {
		least = guessNamesCause
	}
	switch {
	case p < least, reason == bounce.Unknown, rule >= 0 && reason == j.rules[rule].Reason:
		return bounce.NoReason, false
	case reason == bounce.Greylisted && q.code >= 500, reason == bounce.Expired && q.code < 500: // a delay is a 4xx, and who gives up says 5xx
		return bounce.NoReason, false
	}
	return reason, true
}

// reason returns the most probable reason and its probability.
func (g guesser) reason(features []uint32) (best bounce.Reason, p float64) {
	n := g.len()
	var sum [guessReasons]int32
	g.add(&sum, n)
	for _, f := range features {
		if i, ok := g.find(f); ok {
			g.add(&sum, i)
		}
	}
	for r, v := range sum {
		if v > sum[best] {
			best = bounce.Reason(r)
		}
	}
	all := 0.0
	for _, v := range sum {
		all += math.Exp(float64(v-sum[best]) * guessUnit)
	}
	return best, 1 / all
}

func (g guesser) len() int { return int(g.uint32(guessHeader - 4)) }

func (g guesser) feature(i int) uint32 { return g.uint32(guessHeader + 4*i) }

func (g guesser) uint32(at int) uint32 {
	return uint32(g[at]) | uint32(g[at+1])<<8 | uint32(g[at+2])<<16 | uint32(g[at+3])<<24
}

func (g guesser) find(f uint32) (i int, ok bool) {
	lo, hi := 0, g.len()
	for lo < hi {
		if i = (lo + hi) / 2; g.feature(i) < f {
			lo = i + 1
		} else {
			hi = i
		}
	}
	return lo, lo < g.len() && g.feature(lo) == f
}

// add adds the weights of feature i.
func (g guesser) add(sum *[guessReasons]int32, i int) {
	at := guessHeader + 4*g.len() + guessReasons*i
	for r := range sum {
		sum[r] += int32(int8(g[at+r]))
	}
}

// appendFeatures appends the features of a reply, each once: its words, their first letters, the
// concepts that it holds, its codes.
func (j *Judge) appendFeatures(list []uint32, q *query) []uint32 {
	add := func(f featureSum) {
		if len(list) < maxFeatures && !slices.Contains(list, uint32(f)) {
			list = append(list, uint32(f))
		}
	}
	if q.code != 0 {
		add(newFeature('c').number(uint32(q.code)))
	}
	for _, e := range q.enhanced {
		if e != 0 {
			add(newFeature('e').number(enhancedRest(e)))
			break
		}
	}
	for i := range q.s.said {
		if q.s.said[i] != 0 {
			add(newFeature('k').text(j.concepts[i].ID))
		}
	}
	word, letters := newFeature('w'), 0
	end := func() {
		if letters > 0 {
			add(word)
		}
		word, letters = newFeature('w'), 0
	}
	for t := q.s.f.text; len(t) > 0; {
		r, n := utf8.DecodeRune(t)
		switch {
		case r <= rune(foldURL): // a token
			end()
			add(word.bytes(t[:n]))
		case r >= firstIdeogram:
			end()
			add(word.bytes(t[:n]))
		case r >= 'a' && r <= 'z' || r >= utf8.RuneSelf:
			word = word.bytes(t[:n])
			if letters++; letters == stemLetters {
				add(word ^ 1)
			}
		default:
			end()
		}
		t = t[n:]
	}
	end()
	return list
}

// A featureSum is the number of a feature: a hash of its kind and its text (FNV-1a).
type featureSum uint32

func newFeature(kind byte) featureSum { return featureSum(2166136261).byte(kind) }

func (f featureSum) byte(b byte) featureSum { return (f ^ featureSum(b)) * 16777619 }

func (f featureSum) bytes(b []byte) featureSum {
	for _, c := range b {
		f = f.byte(c)
	}
	return f
}

func (f featureSum) text(s string) featureSum {
	for i := range len(s) {
		f = f.byte(s[i])
	}
	return f
}

func (f featureSum) number(n uint32) featureSum {
	return f.byte(byte(n)).byte(byte(n >> 8)).byte(byte(n >> 16)).byte(byte(n >> 24))
}
