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

// TestGapsOfSelection holds that what would be usual in a gap is of the mail that a report selects.
func TestGapsOfSelection(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	hours := func(n int64) (list []Point) {
		for h := range 5 * 24 {
			if h < 80 || h >= 90 {
				list = append(list, Point{Time: begin.Add(time.Duration(h) * time.Hour), Delivered: n})
			}
		}
		return list
	}
	all := hours(30)
	for _, test := range []struct {
		of   []Point
		want int64 // attempts; 0: no gap
	}{{all, 300}, {hours(2), 20}, {hours(1), 10}, {nil, 0}} {
		var got int64
		for _, g := range gaps(all, test.of, nil) {
			got += g.Expected
		}
		if got != test.want {
			t.Errorf("%d hours with mail: %d attempts would be usual, want %d", len(test.of), got, test.want)
		}
	}
}
