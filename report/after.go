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

// lookAround finds the course of the problems that went on at the end of a past period: a report of
// yesterday is read today. One search over a period that begins before the end of this one serves
// all problems. In the morning after the period it also finds the problems that are going on then,
// and those whose end no report told yet.
func (r *Report) lookAround(ctx context.Context, s store.Reader, o Options) error {
	going := func(p *problem.Problem) bool { return p.Ongoing && p.Level != problem.Watch && !p.Unreached() }
	r.after = map[int]afterwards{}
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Unreached() {
			r.after[i] = r.unreachedAfter[p.ID]
		}
	}
	asked := slices.DeleteFunc(slices.Clone(r.Problems), func(p problem.Problem) bool { return !going(&p) })
	morning, err := r.morning(o)
	if err != nil {
		return err
	}
	told, err := r.told(o, morning)
	if err != nil || !morning && told.IsZero() && (!r.Past() || len(asked) == 0) {
		return err
	}
	f := o.Filter
	f.Since, f.Until = r.End().Add(-o.Problems.Quiet()), r.End().Add(afterAtMost)
	if before := told.Add(-o.Problems.Quiet()); !told.IsZero() && before.Before(f.Since) {
		f.Since = before
	}
	whole := f.Until.After(r.AsOf) // up to the end of the logs
	find := func() ([]problem.Problem, error) { return problem.FindAgain(ctx, s, f, o.Problems, asked) }
	if morning || !told.IsZero() {
		find = func() ([]problem.Problem, error) { return problem.Find(ctx, s, f, o.Problems) }
	}
	found, err := find()
	if err != nil {
		return err
	}
	named := func(p *problem.Problem, state func(*problem.Problem) bool) bool {
		return slices.ContainsFunc(r.Problems, func(q problem.Problem) bool { return state(&q) && !q.Background && q.Continues(p) })
	}
	if morning {
		r.later = slices.DeleteFunc(slices.Clone(found), func(p problem.Problem) bool {
			return !going(&p) || p.Background || named(&p, going)
		})
	}
	if !told.IsZero() {
		ended := slices.DeleteFunc(slices.Clone(found), func(p problem.Problem) bool {
			return p.Ongoing || p.Level == problem.Watch || p.Background || !p.Until.Before(o.Filter.Since) ||
				named(&p, func(q *problem.Problem) bool { return q.Level != problem.Watch })
		})
		if ended, err = goingThen(ctx, s, o, told, ended); err != nil {
			return err
		}
		for i := range ended {
			if ended[i].Untried() { // not known to have ended
				r.later = append(r.later, ended[i])
			} else {
				r.before = append(r.before, ended[i])
			}
		}
	}
	for i := range r.Problems {
		p := &r.Problems[i]
		if !going(p) || !r.Past() {
			continue
		}
		var same *problem.Problem // the one that lasts longest
		for j := range found {
			q := &found[j]
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
				p.Ongoing, p.Ended, p.EndedAt = false, same.Ended, same.EndedAt.UTC()
				continue
			}
			r.after[i] = afterwards{AfterEnded, end.UTC(), same.Until}
		case whole:
			r.after[i] = afterwards{state: AfterGoingOn}
		}
	}
	return nil
}

// morning reports whether this may be the report of a morning: the logs end at most a day after the
// period; or shortly before its end, as those of a server without mail at night.
func (r *Report) morning(o Options) (bool, error) {
	if r.Past() {
		return r.AsOf.Sub(r.End()) <= laterAtMost, nil
	}
	if until := o.Filter.Until; !o.Live || until.IsZero() || o.Now.Before(until) {
		return false, nil
	}
	silence, err := r.silence(o)
	return silence == nil && !r.AsOf.Before(o.Filter.Since), err
}

// told returns the time up to which the report of the period before knew the logs: as long after that
// period as this report after its own; or the beginning of the time without a log from which the period
// begins. It returns zero if there is no such report, or if the morning after the period is over.
func (r *Report) told(o Options, morning bool) (time.Time, error) {
	gaps, err := r.gaps()
	since := o.Filter.Since
	if err != nil || since.IsZero() {
		return time.Time{}, err
	}
	i := slices.IndexFunc(gaps, func(g Gap) bool { return !g.From.After(since) && !g.To.Before(since) && g.To.Before(r.End()) })
	switch {
	case i >= 0:
		return gaps[i].From, nil
	case morning && r.Past():
		return since.Add(r.AsOf.Sub(r.End())), nil
	case morning:
		if late := o.Now.Sub(o.Filter.Until); late <= laterAtMost {
			return since.Add(late), nil
		}
		return since, nil
	}
	return time.Time{}, nil
}

// goingThen returns those of some ended incidents that a report which knew the logs up to a time called
// going on.
func goingThen(ctx context.Context, s store.Reader, o Options, at time.Time, ended []problem.Problem) ([]problem.Problem, error) {
	if len(ended) == 0 {
		return nil, nil
	}
	f := o.Filter
	f.Since, f.Until = at.Add(-o.Problems.Quiet()), at
	then, err := problem.FindAgain(ctx, s, f, o.Problems, ended)
	return slices.DeleteFunc(ended, func(p problem.Problem) bool {
		return !slices.ContainsFunc(then, func(q problem.Problem) bool {
			return q.Ongoing && q.Level != problem.Watch && !q.Background && q.Continues(&p)
		})
	}), err
}
