package problem

import (
	"math"
	"time"
)

// A moment is a time in microseconds since 1970; 0: none. It has half the size of a time.Time, of
// which there may be millions. Unlike nanoseconds it does not end in 2262: a log can hold any
// timestamp.
type moment int64

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(t.UnixMicro())
}

// time returns the time in UTC, or the zero time for none.
func (m moment) time() (t time.Time) {
	if m != 0 {
		t = time.UnixMicro(int64(m)).UTC()
	}
	return t
}

// hour returns the start of the hour of m.
func (m moment) hour() time.Time { return m.time().Truncate(time.Hour) }

func (m moment) add(d time.Duration) moment { return m + moment(d/time.Microsecond) }

// sub returns m - o, or the longest Duration on overflow.
func (m moment) sub(o moment) time.Duration {
	const longest = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(min(max(int64(m-o), -longest), longest)) * time.Microsecond
}
