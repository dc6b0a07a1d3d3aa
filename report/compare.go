package report

import (
	"context"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Whole reports whether both periods are compared completely.
func (c *Comparison) Whole() bool { return c.Covered == c.Hours }

// hourSlack is how much of the first or last hour may be missing.
const hourSlack = 15 * time.Minute

// leastCompared is the minimum time that both periods must cover for a comparison.
const leastCompared = time.Hour

// leaveOut removes the hours of the gaps of both periods from the parts. An hour in which a gap
// leaves at most a quarter of an hour of mail is removed too.
func (c *Comparison) leaveOut(gaps []Gap) {
	for _, g := range gaps {
		hit := false
		for _, since := range []time.Time{c.Since, c.PreviousSince} {
			from := (g.From.Sub(since) + hourSlack).Truncate(time.Hour)
			to := (g.To.Sub(since) - hourSlack + time.Hour - 1).Truncate(time.Hour)
			var left [][2]time.Duration
			for _, p := range c.parts {
				for _, x := range [][2]time.Duration{{p[0], min(p[1], from)}, {max(p[0], to), p[1]}} {
					if x[0] < x[1] {
						left = append(left, x)
					}
				}
			}
			if to > 0 && from < c.Until.Sub(c.Since) {
				c.parts, hit = left, true
			}
		}
		if hit {
			c.Without = append(c.Without, g)
		}
	}
	covered := time.Duration(0)
	for _, p := range c.parts {
		covered += p[1] - p[0]
	}
	c.Covered = int(covered / time.Hour)
}

// count counts the compared part of f, which selects one of the two periods.
func (c *Comparison) count(ctx context.Context, s store.Reader, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	var all []store.Cell
	places := map[[store.MaxDimensions]string]int{}
	begin := f.Since
	for _, p := range c.parts {
		f.Since, f.Until = begin.Add(p[0]), begin.Add(p[1])
		cells, err := s.Count(ctx, f, by...)
		if err != nil || len(c.parts) == 1 {
			return cells, err
		}
		for i := range cells {
			at, known := places[cells[i].Keys]
			if !known {
				at = len(all)
				places[cells[i].Keys] = at
				all = append(all, store.Cell{Keys: cells[i].Keys})
			}
			all[at].Add(&cells[i].Tally)
		}
	}
	return all, nil
}

// total counts the whole compared part of f.
func (c *Comparison) total(ctx context.Context, s store.Reader, f store.Filter) (t store.Tally, err error) {
	cells, err := c.count(ctx, s, f)
	for i := range cells {
		t.Add(&cells[i].Tally)
	}
	return t, err
}

// comparable returns the parts of the period of f and of the previous one that sources cover,
// without gaps. ok is false if there is no such part or f is open at an end.
func (r *Report) comparable(f store.Filter, sources []store.Source, gaps []Gap) (now, then store.Filter, c Comparison, ok bool) {
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
	// The offsets from the start of each period are whole hours, since the counts are kept by the
	// hour.
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
		Hours: int(whole / time.Hour), parts: [][2]time.Duration{{0, to - from}},
	}
	c.leaveOut(gaps)
	return now, then, c, c.Covered > 0
}

// compare fills in the comparison with the previous period, and returns the routes of that period.
// routes are those of the whole period.
func (r *Report) compare(ctx context.Context, s store.Reader, o Options, sources []store.Source, routes []store.Cell, wanted func(string) bool) (then []store.Cell, err error) {
	r.NoPrevious = wanted(SectionChanges)
	gaps, err := r.gaps()
	if err != nil {
		return nil, err
	}
	now, past, c, ok := r.comparable(o.Filter, sources, gaps)
	if !ok {
		return nil, nil
	}
	was, err := c.total(ctx, s, past)
	if err != nil || was.Attempts == 0 {
		return nil, err
	}
	is, err := c.total(ctx, s, now)
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
	if then, err = c.count(ctx, s, past, store.ByDomain, store.ByRelay); err != nil {
		return nil, err
	}
	if !wanted(SectionChanges) {
		return then, nil
	}
	if !c.Whole() {
		if routes, err = c.count(ctx, s, now, store.ByDomain, store.ByRelay); err != nil {
			return nil, err
		}
	}
	reasons, err := c.count(ctx, s, now, store.ByReason)
	if err != nil {
		return nil, err
	}
	reasonsThen, err := c.count(ctx, s, past, store.ByReason)
	if err != nil {
		return nil, err
	}
	if r.Filter.partly() { // the traffic is all mail: see Judged
		if is, err = c.total(ctx, s, Judged(now)); err != nil {
			return nil, err
		}
		if was, err = c.total(ctx, s, Judged(past)); err != nil {
			return nil, err
		}
	}
	traffic := float64(Recipients(&is.Counts)) / float64(max(Recipients(&was.Counts), 1))
	found := changes(tallies(routes, reasons), tallies(then, reasonsThen), traffic)
	if r.Filter == nil {
		hours, err := r.hours()
		if err != nil {
			return nil, err
		}
		totals := totalChanges(hours, &c, traffic, found)
		for i := range totals {
			if totals[i].Key != totalDeferrals {
				continue
			}
			deferred := now
			deferred.Outcomes = []bounce.Outcome{bounce.Soft}
			cells, err := c.count(ctx, s, deferred, store.BySender, store.ByRecipient)
			if err != nil {
				return nil, err
			}
			totals[i].findMail(cells)
		}
		found = append(totals, found...)
	}
	r.Changes = cut(r, o, SectionChanges, o.Top, found)
	return then, nil
}
