package top

import (
	"context"
	"testing"
	"time"

	"bouncelog/store"
)

// A counter counts the questions of a Reader.
type counter struct {
	store.Reader
	counts int
}

func (c *counter) Count(ctx context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	c.counts++
	return c.Reader.Count(ctx, f, by...)
}

// TestRates holds that a step that is over is asked for once, that the steps add up to
// the table, and that they still do after an older log came late.
func TestRates(t *testing.T) {
	half := sampleLog()[:len(sampleLog())/2]
	for _, window := range []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour} {
		o := options(t, nil)
		a := &asker{o: &o}
		ask := func(log string, now time.Time) (ans *answer, counts int) {
			t.Helper()
			r, err := stored(t, log).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c := &counter{Reader: r}
			if ans, err = a.ask(t.Context(), c, question{kind: pageTable, window: window}, now); err != nil {
				t.Fatal(err)
			}
			sum, rows := int64(0), int64(0)
			for i := range ans.rates.delivered {
				sum += ans.rates.delivered[i] + ans.rates.soft[i] + ans.rates.hard[i]
			}
			for _, x := range ans.table.rows {
				rows += x.cells[0].n
			}
			if sum != rows {
				t.Errorf("%s: the steps add up to %d, the table to %d", window, sum, rows)
			}
			return ans, c.counts
		}
		_, first := ask(half, now)
		_, second := ask(half, now.Add(time.Second))
		if second > 5 || window < 24*time.Hour && first < 50 {
			t.Errorf("%s: %d counts at first, then %d", window, first, second)
		}
		ask(sampleLog(), now.Add(2*time.Second)) // half of the steps have grown
	}
}

// TestRatesPass moves rates on while nothing is stored.
func TestRatesPass(t *testing.T) {
	r := rates{end: now, step: time.Minute, whole: 60, delivered: []int64{1, 2, 3}, soft: []int64{4, 5, 6}, hard: []int64{7, 8, 9}}
	if got := r.at(now.Add(-time.Second)); got.delivered[2] != 3 || !got.end.Equal(now) {
		t.Errorf("before its end: %v", got)
	}
	got := r.at(now.Add(61 * time.Second))
	if got.delivered[0] != 3 || got.delivered[1] != 0 || got.hard[0] != 9 || !got.end.Equal(now.Add(2*time.Minute)) {
		t.Errorf("two steps later: %v", got)
	}
	if got := r.at(now.Add(240 * time.Hour)); got.soft[0] != 0 || !got.end.After(now.Add(240*time.Hour)) {
		t.Errorf("ten days later: %v", got)
	}
}

// TestPerMinute holds what a rate is the mean of: the last twelfth of the window, the step
// that runs, and no time that the logs do not cover.
func TestPerMinute(t *testing.T) {
	counts := make([]int64, 61)
	for i := range counts {
		counts[i] = 12
	}
	counts[54] = 1000 // before the last twelfth
	r := rates{end: now, step: time.Minute, whole: 60, delivered: counts}
	for _, c := range []struct {
		what        string
		now         time.Time
		first, last time.Duration // before now
		want        string
	}{
		{"the step has passed", now, 5 * time.Hour, 0, "12/min"},
		{"half of it has", now.Add(-30 * time.Second), 5 * time.Hour, 0, "13/min"}, // 72 in 5.5 minutes
		{"the logs began two minutes ago", now, 2 * time.Minute, 0, "36/min"},
		{"the logs began a minute ago", now, time.Minute, 0, "72/min"},
		{"the logs began less than a minute ago", now, 59 * time.Second, 0, "–"},
		{"the logs ended before", now, 5 * time.Hour, 7 * time.Minute, "–"},
	} {
		if got := perMinute(r.perMinute(counts, c.now, now.Add(-c.first), now.Add(-c.last))); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if got := perMinute(r.perMinute(counts, now, time.Time{}, time.Time{})); got != "–" {
		t.Errorf("without a line: %s", got)
	}
	if got := perMinute(rates{}.perMinute(nil, now, now, now)); got != "–" {
		t.Errorf("without a step: %s", got)
	}
}
