package report

import (
	"context"
	"slices"
	"time"

	"bouncelog/problem"
	"bouncelog/store"
)

// afterAtMost is how far after the period the search for the end of an incident goes.
const afterAtMost = 14 * 24 * time.Hour

// laterAtMost is how long after the period the logs end, at most, if incidents are named that are none of
// the period: the report of yesterday is read in the morning.
const laterAtMost = 24 * time.Hour

// An afterwards is the course of an incident after the period; see Incident.After.
type afterwards struct {
	state string
	ended time.Time
	last  time.Time // the last refusal before it; zero: that of the period
}

// lookAfter finds the course of the problems that went on at the end of a past period: a report of
// yesterday is read today. One search over a period that begins before the end of this one serves
// all problems. In the morning after the period it also finds the problems that are going on then.
func (r *Report) lookAfter(ctx context.Context, s store.Reader, o Options) error {
	going := func(p *problem.Problem) bool { return p.Ongoing && p.Level != problem.Watch && !p.Unreached() }
	r.after = map[int]afterwards{}
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Unreached() {
			r.after[i] = r.unreachedAfter[p.Providers[0]]
		}
	}
	asked := slices.DeleteFunc(slices.Clone(r.Problems), func(p problem.Problem) bool { return !going(&p) })
	morning := r.Past() && r.AsOf.Sub(r.End()) <= laterAtMost
	if !r.Past() || len(asked) == 0 && !morning {
		return nil
	}
	f := o.Filter
	f.Since, f.Until = r.End().Add(-o.Problems.Quiet()), r.End().Add(afterAtMost)
	whole := f.Until.After(r.AsOf) // up to the end of the logs
	find := func() ([]problem.Problem, error) { return problem.FindAgain(ctx, s, f, o.Problems, asked) }
	if morning {
		find = func() ([]problem.Problem, error) { return problem.Find(ctx, s, f, o.Problems) }
	}
	later, err := find()
	if err != nil {
		return err
	}
	if morning {
		r.later = slices.DeleteFunc(slices.Clone(later), func(p problem.Problem) bool {
			return !going(&p) || p.Background || slices.ContainsFunc(r.Problems, func(q problem.Problem) bool { return going(&q) && !q.Background && q.Continues(&p) })
		})
	}
	for i := range r.Problems {
		p := &r.Problems[i]
		if !going(p) {
			continue
		}
		var same *problem.Problem // the one that lasts longest
		for j := range later {
			q := &later[j]
			if q.Began().Before(r.End()) && !q.Until.Before(p.Until) && (same == nil || q.Until.After(same.Until)) && q.Continues(p) {
				same = q
			}
		}
		switch {
		case same == nil:
		case !same.Ongoing:
			end := same.EndedAt
			if end.IsZero() {
				end = same.Until
			}
			if end.Before(r.End()) { // the proof of its end came after the period
				p.Ongoing, p.Ended, p.EndedAt = false, same.Ended, end.UTC()
				continue
			}
			r.after[i] = afterwards{AfterEnded, end.UTC(), same.Until}
		case whole:
			r.after[i] = afterwards{state: AfterGoingOn}
		}
	}
	return nil
}
