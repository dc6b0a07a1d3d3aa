package report

import (
	"testing"
	"time"
)

func TestAgeWords(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		newest time.Duration // before now
		want   string
		ahead  time.Duration
	}{
		{5 * time.Minute, "5 min ago", 0},
		{0, "0 s ago", 0},
		{-30 * time.Second, "0 s ago", 0}, // the skew of two clocks
		{-time.Minute, "1 min in the future", time.Minute},
		{-2 * time.Hour, "2 h 0 min in the future", 2 * time.Hour},
	} {
		at := now.Add(-c.newest)
		if got := AgeWords(at, now); got != c.want || ahead(at, now) != c.ahead {
			t.Errorf("%v: %q, %v", c.newest, got, ahead(at, now))
		}
	}
}
