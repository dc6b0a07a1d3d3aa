package report

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

const (
	unreachedAtMost = 20 // providers
	// unreachedChance is how improbable it has to be that as many messages were taken in a
	// row, did the provider still fail, for that to have ended.
	unreachedChance = 0.01
)

// theirs are the reasons of failures that are the receiving side's, where it was tried.
var theirs = bounce.Reasons(func(r bounce.Reason) bool {
	return r != bounce.Expired && judge.ReasonText(r).Scope == bounce.ScopeRemote
})

// addUnreached adds the providers that most mail does not get through to, for a reason that
// is theirs, to the problems: those with the most such messages, but for those that another
// problem is about at the same time. rows are all providers.
func (r *Report) addUnreached(ctx context.Context, s store.Reader, o Options, rows []ProviderRow) error {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b ProviderRow) int { return cmp.Compare(b.lost(), a.lost()) })
	found := len(r.Problems)
	for i := range rows {
		row := &rows[i]
		if row.Mark != MarkFails && (row.Mark != MarkTakes || row.lost() < markLeast) || judge.ReasonText(row.Reason).Scope != bounce.ScopeRemote {
			continue
		}
		p, after, err := r.unreached(ctx, s, o, row)
		if err != nil {
			return err
		}
		if p == nil || slices.ContainsFunc(r.Problems[:found], func(q problem.Problem) bool { return r.explains(&q, p) }) {
			continue
		}
		r.Problems = append(r.Problems, *p)
		if after.state != "" {
			r.unreachedAfter[row.Provider] = after
		}
		if len(r.Problems)-found == unreachedAtMost {
			break
		}
	}
	return nil
}

// explains reports whether q is about the provider that p is about, or an outage of ours that
// mail to it fails by, and neither is over before the other begins.
func (r *Report) explains(q, p *problem.Problem) bool {
	in := r.incident(q)
	name := p.Providers[0]
	return !in.IsBackground() && (slices.Contains(q.Providers, name) || q.Outage() && (slices.Contains(q.Domains, name) || slices.Contains(q.Hops(), name))) &&
		!q.Since.After(p.Until) && !p.Since.After(q.Until)
}

// unreached sets out a provider that mail is not delivered to, and what became of that after
// the period; nil where no failure has a time.
func (r *Report) unreached(ctx context.Context, s store.Reader, o Options, row *ProviderRow) (*problem.Problem, afterwards, error) {
	f := o.Filter
	option := "--domain"
	if row.relay {
		option, f.Relay = "--relay", row.Provider
	} else {
		f.Domain = row.Provider
	}
	failed := f
	failed.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	failed, _ = failed.Restrict(theirs)
	span, err := s.Span(ctx, failed)
	if err != nil || known(span.Last).IsZero() {
		return nil, afterwards{}, err
	}
	c, err := r.unreachedCourse(ctx, s, o, f, float64(row.lost())/float64(row.Delivered+row.lost()))
	if err != nil {
		return nil, afterwards{}, err
	}
	// Over all of the period most was taken: then most is lost since the failures began.
	if row.Mark != MarkFails && (2*c.failures < row.Soft+row.Hard || float64(row.lost()) < markShare*float64(row.lost()+c.between)) {
		return nil, afterwards{}, nil
	}
	most, err := commonestVerdict(ctx, s, failed, row.Reason)
	if err != nil {
		return nil, afterwards{}, err
	}
	t := judge.VerdictText(most)
	u := problem.Unreached{
		Provider: row.Provider, Name: provider.Name(row.Provider), Reason: row.Reason, Detail: most.Detail, Cause: t.Title, Why: t.Meaning, Command: o.command("report", option, row.Provider),
		FirstHeard: c.began, Since: span.First.UTC(), Until: span.Last.UTC(), Ongoing: c.taken == 0,
		Attempts: row.Soft + row.Hard, Lost: int(row.lost()), Returned: int(row.Hard), Tried: int(row.lost() + c.between),
	}
	if len(t.Do) > 0 {
		u.Check = t.Do[0]
	}
	switch {
	case c.taken > 0:
		u.Ended, u.EndedAt = table.Count(c.taken, "message")+" taken since", c.ended
	case r.End().Sub(span.Last) >= o.Problems.Quiet():
		u.Ongoing, u.Ended = false, "no failure since, and too little mail to tell"
	}
	p := u.Problem()
	if !u.Ongoing {
		return &p, afterwards{}, nil
	}
	return &p, c.after, nil
}

// A course is how failures to a provider went on: when they began, how many messages were taken since the
// last of the period, where that shows that they are over, and the first of these; and
// what became of it after the period.
type course struct {
	began    time.Time // the first failure of them, where that lies before the period; else zero
	between  int64     // messages taken from the first failure of them to the last
	failures int64     // in the period
	taken    int64
	ended    time.Time
	after    afterwards
}

// unreachedCourse follows the mail that f selects hour by hour, from before the period to its
// end and, where the failures had not ended by then, after it; share is how much of it fails.
func (r *Report) unreachedCourse(ctx context.Context, s store.Reader, o Options, f store.Filter, share float64) (c course, err error) {
	end := r.End()
	if r.Past() {
		f.Until = end.Add(afterAtMost)
	}
	since := f.Since
	if !since.IsZero() {
		f.Since = since.Add(-afterAtMost)
	}
	f.Outcomes, f.Reasons = nil, nil
	cells, err := s.Count(ctx, f, store.ByHour)
	if err != nil {
		return c, err
	}
	slices.SortFunc(cells, func(a, b store.Cell) int { return cmp.Compare(a.Keys[0], b.Keys[0]) })
	// Hours: of the first and the last failure, and of the first message taken since.
	var began, last, first time.Time
	taken := int64(0)
	over := func() bool { return math.Pow(1-min(share, 0.9), float64(taken)) < unreachedChance }
	firstIn := func(hour time.Time, reasons []bounce.Reason, outcomes ...bounce.Outcome) (time.Time, error) {
		f := f
		f.Since, f.Until, f.Outcomes, f.Reasons = hour, hour.Add(time.Hour), outcomes, reasons
		span, err := s.Span(ctx, f)
		return span.First.UTC(), err
	}
	later := false // than the period
	for i := range cells {
		t, err := time.Parse(hourLayout, cells[i].Keys[0])
		if err != nil || known(t).IsZero() {
			continue // on no axis; see overTime
		}
		if !later && !t.Before(end) {
			if later = true; over() {
				break
			}
		}
		var failures int64
		for reason, n := range cells[i].Reasons {
			if slices.Contains(theirs, reason) {
				failures += n
			}
		}
		switch {
		case failures > 0:
			if last.IsZero() || over() || t.Sub(last) >= o.Problems.Quiet() {
				began, c.between, c.failures, taken = t, 0, 0, 0
			}
			if !later {
				c.between += taken + cells[i].Delivered
				c.failures += failures
			}
			last, taken = t, 0
		case last.IsZero() || cells[i].Delivered == 0:
		default:
			if taken == 0 {
				first = t
			}
			taken += cells[i].Delivered
		}
		if later && over() {
			break
		}
	}
	if began.Before(since) && !began.IsZero() {
		if c.began, err = firstIn(began, theirs, bounce.Soft, bounce.Hard); err != nil {
			return c, err
		}
	}
	switch {
	case !over():
		if limit := f.Until; !r.Past() || limit.Before(r.AsOf) {
			return c, nil
		}
		if r.AsOf.Sub(last) < o.Problems.Quiet() {
			c.after = afterwards{state: AfterGoingOn}
		} else {
			c.after = afterwards{AfterEnded, last}
		}
	case later && !first.Before(end):
		c.after.state = AfterEnded
		c.after.ended, err = firstIn(first, nil, bounce.Delivered)
	default:
		c.taken = taken
		c.ended, err = firstIn(first, nil, bounce.Delivered)
	}
	return c, err
}

// commonestVerdict returns the commonest verdict with a reason.
func commonestVerdict(ctx context.Context, s store.Reader, f store.Filter, reason bounce.Reason) (bounce.Verdict, error) {
	f.Reasons = []bounce.Reason{reason}
	replies, err := s.Replies(ctx, f)
	if err != nil {
		return bounce.Verdict{}, err
	}
	n := map[bounce.Verdict]int64{}
	for i := range replies {
		v := replies[i].Verdict
		v.Rule, v.Confidence = "", 0
		n[v] += replies[i].Attempts
	}
	most := bounce.Verdict{Reason: reason, Scope: judge.ReasonText(reason).Scope}
	for v, attempts := range n {
		if attempts > n[most] || attempts == n[most] && v.Detail < most.Detail {
			most = v
		}
	}
	return most, nil
}
