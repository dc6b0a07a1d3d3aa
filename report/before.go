package report

import (
	"context"
	"slices"

	"bouncelog/problem"
	"bouncelog/store"
)

// lookBefore finds the incidents that ended within a time without a log from which the period begins:
// it has no refusal of theirs, and no period before it tells their end.
func (r *Report) lookBefore(ctx context.Context, s store.Reader, o Options) error {
	gaps, err := r.gaps()
	since := o.Filter.Since
	if err != nil || since.IsZero() {
		return err
	}
	i := slices.IndexFunc(gaps, func(g Gap) bool { return !g.From.After(since) && !g.To.Before(since) && g.To.Before(r.End()) })
	if i < 0 {
		return nil
	}
	f := o.Filter
	f.Since, f.Until = gaps[i].From.Add(-o.Problems.Quiet()), r.End()
	found, err := problem.Find(ctx, s, f, o.Problems)
	r.before = slices.DeleteFunc(found, func(p problem.Problem) bool {
		over := !p.Ongoing && !p.Until.After(gaps[i].From) && !p.EndedAt.Before(gaps[i].To)
		return !over || p.Background || slices.ContainsFunc(r.Problems, func(q problem.Problem) bool { return q.Continues(&p) && !q.Background })
	})
	return err
}
