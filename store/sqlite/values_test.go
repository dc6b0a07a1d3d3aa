package sqlite

import (
	"math"
	"testing"

	"bouncelog/store"
)

func TestPack(t *testing.T) {
	for _, s := range []string{"", "A", "ABCD", "ABCDE", "00000", "0000000000000F", "0123456789ABCD", "0123456789ABCDE", "abcdef", "ABCDEG", "4ZyXwv1Tz0zKjq", "1tgTHm-0008RQ-4q", "-1", "é"} {
		if got := queueText(queueValue(s)); got != s {
			t.Errorf("queue id %q came back as %q", s, got)
		}
	}
	for _, s := range []string{"", "deadbeef", "deadbeefe", "DEADBEEF", "0123456789abcdef", "x", "é"} {
		if got := messageText(packHex(s), nil); got != s {
			t.Errorf("message id %q came back as %q", s, got)
		}
	}
	for _, x := range []float64{-1, 0, 0.01, 0.95, 9.9, 99.99, 100, 101, 3600, 432000} {
		if got := delayOf(delayCode(x)); got != x {
			t.Errorf("delay %v came back as %v", x, got)
		}
	}
	for _, x := range []float64{0, 0.004, 0.005, 0.49499, 99.99, 99.994, 99.995, 99.999, 100, 100.49, 100.5, 1e8 + .5, 1e9, 1e12, math.Inf(1), math.NaN(), math.Inf(-1)} {
		if got, want := delayOf(delayCode(x)), store.RoundDelay(x); got != want {
			t.Errorf("delay %v came back as %v, want %v", x, got, want)
		}
	}
}
