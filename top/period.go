package top

import (
	"context"
	"time"

	"bouncelog/internal/when"
	"bouncelog/store"
)

// A period is what a screen counts, in whole seconds. It selects the attempts that "report --since"
// with the same words selects at the same moment; see [Options.period].
type period struct {
	since time.Time
	now   time.Time // the end of the second that runs: what the clock has reached
	until time.Time // not included: now, or later where lines are stamped ahead of the clock
}

// period returns the period of a window that ends at a moment, or the period of the options. It
// begins where the report begins: at the same time, rounded up to a second, as stores round it. The
// report's end is open; this end is after every attempt that is stored, so that a command can name
// it. ends is what is not counted any more, of a screen that is paused; zero: all counts.
func (o *Options) period(ctx context.Context, r store.Reader, window time.Duration, at, ends time.Time) (p period, err error) {
	if !o.Until.IsZero() {
		until := ceilSecond(o.Until)
		return period{since: ceilSecond(o.Since), now: until, until: until}, nil
	}
	since, err := when.ParseTime(spanShort(window), at.In(o.Location))
	if err != nil {
		return p, err
	}
	p.since = ceilSecond(since)
	p.now = at.In(o.Location).Truncate(time.Second).Add(time.Second)
	p.until = p.now
	if !ends.IsZero() {
		if ends.After(p.until) {
			p.until = ends
		}
		return p, nil
	}
	f := o.Filter
	f.Since = p.now
	ahead, err := r.Span(ctx, f)
	if !ahead.IsZero() {
		p.until = ahead.Last.In(o.Location).Truncate(time.Second).Add(time.Second)
	}
	return p, err
}

func ceilSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

func (p period) length() time.Duration { return p.now.Sub(p.since) }

func (p period) filter(f store.Filter) store.Filter {
	f.Since, f.Until = p.since, p.until
	return f
}

// leastCompared is the part of a window that the logs must cover, in it and in the one before, for
// a change to be shown.
const leastCompared = 0.25

// A comparison is a period and the one before it, which is as long and ends where the
// period begins, as far as the logs cover both: at the same distances from their
// beginnings.
type comparison struct {
	now, then period
	whole     bool // all of both
}

// comparison returns the compared periods if the logs cover them from first to last; nil: the logs
// cover too little. Logs that end shortly before the clock are those of a quiet server.
func (p period) comparison(first, last time.Time) *comparison {
	if first.IsZero() {
		return nil
	}
	past := p.since.Add(-p.length())
	from, to := time.Duration(0), p.length()
	if late := first.Sub(past); late > 0 {
		from = (late + time.Second - 1).Truncate(time.Second)
	}
	if p.now.Sub(last) >= silentAfter {
		to = min(to, last.Sub(p.since).Truncate(time.Second)+time.Second)
	}
	if to-from < time.Duration(leastCompared*float64(p.length())) {
		return nil
	}
	part := func(since time.Time) period {
		end := since.Add(to)
		return period{since: since.Add(from), now: end, until: end}
	}
	c := &comparison{now: part(p.since), then: part(past), whole: from == 0 && to == p.length()}
	if c.whole {
		c.now = p
	}
	return c
}

// words returns what is compared, if that is less than the whole window; short: of the window only.
func (c *comparison) words(now time.Time, loc *time.Location) (long, short string) {
	if c == nil || c.whole {
		return "", ""
	}
	ends := func(p period) string { return minute(p.since, now, loc) + "–" + minute(p.until, now, loc) }
	short = "change: of " + ends(c.now)
	return short + " against " + ends(c.then) + ", what the logs cover", short
}

// silentAfter is the age of the last line from which on the age is a warning.
const silentAfter = 10 * time.Minute
