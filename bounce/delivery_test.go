package bounce

import (
	"testing"
	"time"
)

func TestArrived(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 10, 0, time.UTC)
	for _, tt := range []struct {
		d    Delivery
		want time.Time
	}{
		{Delivery{Time: at, Delay: 10}, at.Add(-10 * time.Second)},
		{Delivery{Time: at, Delay: -1}, time.Time{}},
		{Delivery{Delay: 10}, time.Time{}},
	} {
		if got := tt.d.Arrived(); !got.Equal(tt.want) {
			t.Errorf("%v, %v s: %v, want %v", tt.d.Time, tt.d.Delay, got, tt.want)
		}
	}
}
