package report

import (
	"context"
	"time"

	"bouncelog/store"
)

// A Comparison sets the period against the one before it. Both are compared as far
// as the logs cover them, hour by hour: a week whose predecessor is covered for two
// days is compared by those two days of each.
type Comparison struct {
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until"`
	PreviousSince time.Time `json:"previous_since"`
	PreviousUntil time.Time `json:"previous_until"`
	// Hours of the previous period, and those of them that are compared.
	Hours   int    `json:"hours"`
	Covered int    `json:"covered_hours"`
	Counts  Counts `json:"counts"` // of Since to Until
	Before  Counts `json:"previous"`
}

// Whole reports whether all of both periods is compared.
func (c *Comparison) Whole() bool { return c.Covered == c.Hours }

// hourSlack is how much of its first or last hour may be missing.
const hourSlack = 15 * time.Minute

// leastCompared is how much of a period must be covered, in both, to say anything.
const leastCompared = time.Hour

// comparable are the parts of the period of f and of the one before that sources
// cover; ok is false where there is no such part or f is open at an end.
func (r *Report) comparable(f store.Filter, sources []store.Source) (now, then store.Filter, c Comparison, ok bool) {
	past, closed := before(f, r.Location)
	if !closed {
		return f, f, c, false
	}
	var first, last time.Time
	for _, s := range sources {
		if !s.First.IsZero() && (first.IsZero() || s.First.Before(first)) {
			first = s.First
		}
		if s.Last.After(last) {
			last = s.Last
		}
	}
	// Offsets from the beginning of either period, in whole hours: the counts are
	// kept by the hour.
	from, to := time.Duration(0), min(f.Until.Sub(f.Since), past.Until.Sub(past.Since))
	whole := to
	for _, p := range []store.Filter{f, past} {
		if late := first.Sub(p.Since); late >= time.Hour {
			from = max(from, (late - hourSlack + time.Hour - 1).Truncate(time.Hour))
		}
		if p.Until.Sub(last) >= time.Hour {
			to = min(to, (last.Sub(p.Since) + hourSlack).Truncate(time.Hour))
		}
	}
	if first.IsZero() || to-from < leastCompared {
		return f, past, c, false
	}
	now, then = f, past
	if from > 0 || to < whole {
		now.Since, now.Until = f.Since.Add(from), f.Since.Add(to)
		then.Since, then.Until = past.Since.Add(from), past.Since.Add(to)
	}
	c = Comparison{
		Since: now.Since.UTC(), Until: now.Until.UTC(), PreviousSince: then.Since.UTC(), PreviousUntil: then.Until.UTC(),
		Hours: int(whole / time.Hour), Covered: int((to - from) / time.Hour),
	}
	return now, then, c, true
}

// compare fills in what tells the period from the one before, and returns the
// routes of then; routes are those of the whole period.
func (r *Report) compare(ctx context.Context, s store.Reader, o Options, sources []store.Source, routes []store.Cell, wanted func(string) bool) (then []store.Cell, err error) {
	r.NoPrevious = wanted(SectionChanges)
	now, past, c, ok := r.comparable(o.Filter, sources)
	if !ok {
		return nil, nil
	}
	was, err := store.CountAll(ctx, s, past)
	if err != nil || was.Attempts == 0 {
		return nil, err
	}
	is, err := store.CountAll(ctx, s, now)
	if err != nil {
		return nil, err
	}
	c.Counts, c.Before = counts(&is, ofMessages(now)), counts(&was, ofMessages(past))
	r.Comparison, r.NoPrevious = &c, false
	if r.Totals != nil {
		r.Totals.Previous = &c.Before
	}
	if !wanted(SectionChanges) && !wanted(SectionProviders) && !wanted(SectionVerdict) {
		return nil, nil
	}
	if then, err = s.Count(ctx, past, store.ByDomain, store.ByRelay); err != nil {
		return nil, err
	}
	if !wanted(SectionChanges) {
		return then, nil
	}
	if !now.Since.Equal(o.Filter.Since) || !now.Until.Equal(o.Filter.Until) {
		if routes, err = s.Count(ctx, now, store.ByDomain, store.ByRelay); err != nil {
			return nil, err
		}
	}
	reasons, err := s.Count(ctx, now, store.ByReason)
	if err != nil {
		return nil, err
	}
	reasonsThen, err := s.Count(ctx, past, store.ByReason)
	if err != nil {
		return nil, err
	}
	if r.Filter.partly() { // traffic is all mail: see Judged
		if is, err = store.CountAll(ctx, s, Judged(now)); err != nil {
			return nil, err
		}
		if was, err = store.CountAll(ctx, s, Judged(past)); err != nil {
			return nil, err
		}
	}
	traffic := float64(Recipients(&is.Counts)) / float64(max(Recipients(&was.Counts), 1))
	r.Changes = cut(r, o, SectionChanges, o.Top, changes(tallies(routes, reasons), tallies(then, reasonsThen), traffic))
	return then, nil
}
