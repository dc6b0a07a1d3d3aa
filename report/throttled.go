package report

import (
	"context"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/problem"
	"bouncelog/store"
)

// When a provider that takes mail throttles it: it defers a large part of the usual mail for hours, far more
// than before. The deferrals that a burst of mail causes are over sooner, or the mail is more than usual.
const (
	throttledLeast = 20   // messages that failed at least once in the period
	throttledPart  = 0.1  // of the mail of the period: that of a day in which it begins or ends is less
	throttledShare = 0.4  // of the attempts of the provider's mail, while it lasts
	throttledUsual = 4    // times the usual share of the attempts
	throttledTimes = 2    // times as many messages as on the busiest day before are a burst
	throttledHours = 5    // with a deferral
	throttledDays  = 3    // with mail before it
	throttledNone  = 0.05 // share of deferred attempts that is usual anywhere
	throttledMany  = 10   // domains with throttledShare of the messages that are throttled, if the others are most
	throttledOver  = 10   // logarithm of the likelihood ratio of the usual share that shows the end
)

// throttling are the reasons of a server that takes mail later.
var throttling = []bounce.Reason{bounce.RateLimited, bounce.SystemError}

func throttles(c *store.Cell) (n int64) {
	for _, reason := range throttling {
		n += c.Reasons[reason]
	}
	return n
}

// widely reports whether a provider throttles most of its domains, by their messages, or many of them, and not a
// few that it defers more than the others.
func widely(cells []store.Cell) bool {
	domains := map[string]*store.Cell{}
	var all, some int64
	many := 0
	for i := range cells {
		c := domains[cells[i].Keys[0]]
		if c == nil {
			c = &store.Cell{}
			domains[cells[i].Keys[0]] = c
		}
		c.Add(&cells[i].Tally)
	}
	for _, c := range domains {
		all += c.Messages
		if float64(throttles(c)) >= throttledPart*float64(c.Attempts) {
			some += c.Messages
			many++
		}
	}
	return 2*some >= all || many >= throttledMany && float64(some) >= throttledShare*float64(all)
}

// partOut reports whether a part of a provider takes nothing at the time of the failures of a row.
func (r *Report) partOut(x *unreachedRow) bool {
	return slices.ContainsFunc(r.Problems, func(q problem.Problem) bool {
		return q.Unreached() && r.routes.Provider(q.Providers[0], "") == x.Provider && !q.Since.After(x.Last) && !x.First.After(q.Until)
	})
}

// addThrottled adds to the problems the providers that throttle, except those that another problem explains.
func (r *Report) addThrottled(ctx context.Context, s store.Reader, o Options, rows []ProviderRow) error {
	var list []*unreachedRow
	var served *served
	for i := range rows {
		p := &rows[i]
		if p.Mark != MarkTakes || p.Failed < throttledLeast || float64(p.Failed) < throttledPart*float64(p.Messages) || !slices.Contains(throttling, p.Reason) {
			continue
		}
		if served == nil {
			served = r.routes.served(rows)
		}
		if !widely(served.cells[p.Provider]) {
			continue
		}
		x := &unreachedRow{ProviderRow: p, name: p.Provider, reasons: map[bounce.Reason]int64{}}
		x.is(r.routes, served)
		span, err := s.Span(ctx, x.throttled(o.Filter))
		if err != nil {
			return err
		}
		if x.Span = span; !known(x.Last).IsZero() && !r.explain(r.Problems, x) && !r.partOut(x) {
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := r.countBatch(ctx, s, o, list); err != nil {
		return err
	}
	for _, x := range list {
		c := r.throttlingOf(o, x)
		if !c.is() || !c.last.Before(r.End()) || c.last.Add(time.Hour).Before(o.Filter.Since) {
			continue
		}
		p, after, err := r.throttled(ctx, s, o, x, &c)
		if err != nil {
			return err
		}
		r.Problems = append(r.Problems, p)
		if after.state != "" {
			r.unreachedAfter[p.ID] = after
		}
	}
	return nil
}

// throttled returns f limited to the deferrals of a provider that throttles.
func (x *unreachedRow) throttled(f store.Filter) store.Filter {
	f = x.filter(Options{Filter: f})
	f, _ = f.Restrict(throttling)
	f.Outcomes = []bounce.Outcome{bounce.Soft}
	return f
}

// A throttle is a time in which a provider throttles, and the time before.
type throttle struct {
	began, last     time.Time // the hours of the first and the last deferral until the end of the period
	until           time.Time // the hour of the last deferral
	deferred, taken int64     // attempts
	hours           int       // with a deferral
	busiest         int64     // messages of the busiest day
	before          unthrottled
	ended           bool
	after           string // AfterGoingOn: it goes on at the end of the logs
}

// An unthrottled is the time before a throttle.
type unthrottled struct {
	deferred, taken int64 // attempts
	days            int   // with mail
	busiest         int64 // messages of the busiest day
}

func (c *throttle) share() float64 { return float64(c.deferred) / float64(max(c.deferred+c.taken, 1)) }

func (c *throttle) usualShare() float64 {
	return float64(c.before.deferred) / float64(max(c.before.deferred+c.before.taken, 1))
}

// is reports whether the provider throttles.
func (c *throttle) is() bool {
	return c.hours >= throttledHours && c.share() >= throttledShare && c.before.days >= throttledDays && c.before.taken >= throttledLeast &&
		c.share() >= throttledUsual*c.usualShare() && c.busiest <= throttledTimes*c.before.busiest
}

// throttlingOf returns the last time until the end of the period in which a provider throttled: from where
// deferrals begin to be more likely with an even chance than with the usual one, to where the opposite has
// become as certain as throttledOver.
func (r *Report) throttlingOf(o Options, x *unreachedRow) (found throttle) {
	failed, took := math.Log(0.5/throttledNone), math.Log(0.5/(1-throttledNone))
	var sum, peak float64
	var now, best throttle // now until the hour, best until the peak
	var all unthrottled
	day, messages := "", int64(0)
	for i := range x.hours { // in order
		cell := &x.hours[i]
		t, err := time.Parse(hourLayout, cell.Keys[0])
		if err != nil || known(t).IsZero() {
			continue
		}
		later := !t.Before(r.End())
		if later && now.began.IsZero() {
			break
		}
		if d := t.In(r.Location).Format(time.DateOnly); d != day {
			day, messages = d, 0
			all.days++
		}
		n := throttles(cell)
		if now.began.IsZero() && n > 0 {
			now, peak = throttle{began: t, before: all}, 0
		}
		messages += cell.Messages
		all.taken, all.deferred, all.busiest = all.taken+cell.Delivered, all.deferred+n, max(all.busiest, messages)
		if now.began.IsZero() {
			continue
		}
		sum += float64(n)*failed + float64(cell.Delivered)*took
		if n > 0 {
			now.until = t
		}
		if !later {
			now.taken, now.deferred, now.busiest = now.taken+cell.Delivered, now.deferred+n, max(now.busiest, messages)
			if n > 0 {
				now.hours, now.last = now.hours+1, t
			}
		}
		if sum > peak {
			peak, best = sum, now
		}
		if sum > 0 && peak-sum < throttledOver {
			continue
		}
		if best.ended = true; best.is() {
			found = best
		}
		if later {
			return found
		}
		sum, now, best = 0, throttle{}, throttle{}
	}
	if !best.is() {
		return found
	}
	if r.Past() && !r.courseOf(o.Filter).Until.Before(r.AsOf) {
		best.after = AfterGoingOn
	}
	return best
}

// throttled describes a provider that throttles.
func (r *Report) throttled(ctx context.Context, s store.Reader, o Options, x *unreachedRow, c *throttle) (p problem.Problem, after afterwards, err error) {
	option, name := x.command()
	t := problem.Throttled{
		Provider: x.name, Name: provider.Name(x.name), Reason: x.Reason, Command: o.command("report", option, name),
		Ongoing: true, Waiting: int(x.Waiting), Share: c.share(), Usual: c.usualShare(),
	}
	f := x.throttled(o.Filter)
	f.Since, f.Until = c.began, c.last.Add(time.Hour)
	if f.Until.After(r.End()) {
		f.Until = r.End()
	}
	whole, err := s.Span(ctx, f)
	if err != nil {
		return p, after, err
	}
	if whole.First.Before(o.Filter.Since) {
		t.FirstHeard, f.Since = whole.First.UTC(), o.Filter.Since
	}
	span, err := s.Span(ctx, f)
	if err != nil {
		return p, after, err
	}
	t.Since, t.Until = span.First.UTC(), span.Last.UTC()
	deferred, err := s.Count(ctx, f, store.BySender) // counted by sender, a message belongs to each period in which it failed
	if err != nil {
		return p, after, err
	}
	for i := range deferred {
		t.Deferred += int(deferred[i].Messages)
		t.Attempts += deferred[i].Attempts
	}
	evidence, err := evidenceOf(ctx, s, f)
	if err != nil {
		return p, after, err
	}
	f.Outcomes, f.Reasons = nil, nil
	all, err := store.CountAll(ctx, s, f)
	if err != nil {
		return p, after, err
	}
	t.Tried = t.Deferred + int(max(all.Delivered-all.Recovered, 0)+all.Hard)
	t.Waiting = min(t.Waiting, t.Deferred)
	x.First = t.Since
	returned, err := x.lostByThem(ctx, s, o)
	if err != nil {
		return p, after, err
	}
	t.Returned = int(returned)
	after.state = c.after
	if c.ended {
		if t.EndedAt, err = x.endOf(ctx, s, o, c.until); err != nil {
			return p, after, err
		}
		if t.Ongoing = !t.EndedAt.Before(r.End()); t.Ongoing {
			after, t.EndedAt = afterwards{state: AfterEnded, ended: t.EndedAt}, time.Time{}
		}
	}
	p = t.Problem()
	p.Evidence = evidence
	return p, after, nil
}

// endOf returns the time of the first delivery after the last deferral, which is in an hour.
func (x *unreachedRow) endOf(ctx context.Context, s store.Reader, o Options, hour time.Time) (time.Time, error) {
	f := x.throttled(o.Filter)
	f.Since, f.Until = hour, hour.Add(time.Hour)
	last, err := s.Span(ctx, f)
	if err != nil {
		return time.Time{}, err
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	f.Since, f.Until = last.Last.Add(time.Second), time.Time{}
	first, err := s.Span(ctx, f)
	return first.First.UTC(), err
}
