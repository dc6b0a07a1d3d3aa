package report

import (
	"testing"
)

func TestChange(t *testing.T) {
	for _, c := range []struct {
		now, before int64
		traffic     float64
		want        string
	}{
		{4, 0, 1, ""},
		{5, 0, 1, ChangeNew},
		{10, 8, 1, ""}, // chance
		{12, 5, 1, ""}, // twice as many, but few
		{40, 10, 1, ChangeWorse},
		{40, 20, 2, ""}, // twice the traffic
		{0, 4, 1, ""},
		{0, 20, 1, ChangeSolved},
		{1, 100, 1, ChangeSolved},
		{50, 100, 1, ""}, // better, not solved
		{0, 20, 0.1, ""}, // hardly anything was sent
		{0, 0, 1, ""},
	} {
		if got := change(c.now, c.before, c.traffic); got != c.want {
			t.Errorf("change(%d, %d, %g) = %q, want %q", c.now, c.before, c.traffic, got, c.want)
		}
	}
}
