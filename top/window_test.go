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
	r := rates{end: now, step: time.Minute, delivered: []int64{1, 2, 3}, soft: []int64{4, 5, 6}, hard: []int64{7, 8, 9}}
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
	if f := r.perMinute(r.delivered, now); f != 3 {
		t.Errorf("%g a minute in the last minute, want 3", f)
	}
}
