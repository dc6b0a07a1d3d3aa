package report

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

const (
	waitedAsked = 500     // maximum number of providers for which the mail waiting at the end of a past period is looked up
	waitedRead  = 200_000 // maximum number of failed attempts read for that, of the period and queueLifetime before it
)

// waiting returns Totals.Waiting. Of a past period it derives the number from the failed attempts of
// queueLifetime: the mail of a recipient waits from a deferral until it is given up or, as far as
// deferrals tell, until the recipient takes mail; or until the message leaves the queue in another way.
func (r *Report) waiting(ctx context.Context, s store.Reader, f store.Filter) (*int64, error) {
	if len(f.Reasons)+len(f.Outcomes) > 0 {
		return nil, nil
	}
	end := r.End()
	if !r.Past() {
		f.Since = time.Time{} // the queue has no start
		all, err := store.CountAll(ctx, s, f)
		return &all.Pending, err
	}
	f.Since, f.Until = end.Add(-queueLifetime), end
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	all, err := store.CountAll(ctx, s, f)
	if err != nil || all.Soft+all.Hard > waitedRead {
		return nil, err
	}
	waits, ended := map[pair]store.Ref{}, map[pair]bool{}
	for x, err := range s.Refusals(ctx, f) { // in the order of time
		if err != nil {
			return nil, err
		}
		p := pairOf(x)
		taken := !x.DeliveredAfter.IsZero() && x.DeliveredAfter.Before(end)
		ended[p] = ended[p] || x.Outcome == bounce.Hard // the last deferral, of the same second, may follow
		if waits[p] = x.Ref(); ended[p] || taken {
			delete(waits, p)
		}
	}
	n := int64(len(waits))
	for refs := range slices.Chunk(slices.Collect(maps.Values(waits)), waitedAtOnce) {
		left, err := leftBefore(ctx, s, end, refs)
		if err != nil {
			return nil, err
		}
		n -= left
	}
	return &n, nil
}

// waitedAtOnce is the number of attempts whose messages are looked up together.
const waitedAtOnce = 1000

// leftBefore returns the number of attempts whose message had left the queue at a time: it was
// removed or discarded, or nothing of it was left.
func leftBefore(ctx context.Context, s store.Reader, end time.Time, refs []store.Ref) (n int64, err error) {
	found, err := s.Lookup(ctx, refs...)
	if err != nil {
		return 0, err
	}
	attempts := map[store.MessageKey]int64{}
	for _, a := range found {
		if a != nil {
			attempts[messageOf(a)]++
		}
	}
	ends, err := s.Ends(ctx, slices.Collect(maps.Keys(attempts))...)
	if err != nil {
		return 0, err
	}
	for _, e := range ends {
		switch e.Event {
		case bounce.MessageRemoved, bounce.MessageDiscarded, bounce.MessageCompleted:
			if k := (store.MessageKey{Host: e.Host, MTA: e.MTA, Instance: e.Instance, QueueID: e.QueueID}); e.Time.Before(end) {
				n += attempts[k]
				delete(attempts, k)
			}
		}
	}
	return n, nil
}

// waitedThen returns the groups by provider with Pending as of the end of a past period. A store
// counts the mail that waits now; mail delivered or given up since is no longer in that count. It
// looks this up only if it may change a verdict, that is, if most of the mail may have waited.
func (r *Report) waitedThen(ctx context.Context, s store.Reader, f store.Filter, routes, groups []store.Cell) ([]store.Cell, error) {
	var ask []*store.Cell
	groups = slices.Clone(groups)
	for i := range groups {
		g := &groups[i]
		most := g.Soft - g.Recovered + g.Hard
		if g.Soft-g.Recovered > g.Pending && float64(most) >= markShare*float64(g.Delivered+most) {
			ask = append(ask, g)
		}
	}
	if !r.Past() || len(ask) == 0 {
		return groups, nil
	}
	slices.SortStableFunc(ask, func(a, b *store.Cell) int { return cmp.Compare(b.Soft, a.Soft) })
	asked := map[string]*store.Cell{}
	for _, g := range ask[:min(len(ask), waitedAsked)] {
		asked[g.Keys[0]] = g
	}
	u, domains := usualProviders(routes), map[string]bool{}
	for i := range routes {
		if asked[u.provider(&routes[i])] != nil {
			domains[routes[i].Keys[0]] = true
		}
	}
	since := f.Since
	if !since.IsZero() {
		f.Since = since.Add(-queueLifetime)
	}
	if f.Domain == "" {
		f.Domains = slices.Sorted(maps.Keys(domains))
	}
	f.Outcomes, f.NoHistory = []bounce.Outcome{bounce.Soft, bounce.Hard}, true
	waiting, older, read := map[pair]*store.Cell{}, map[pair]bool{}, 0
	for x, err := range s.Refusals(ctx, f) { // in the order of time
		if err != nil {
			return nil, err
		}
		if read++; read > waitedRead {
			return groups, nil
		}
		p := pairOf(x)
		switch {
		case x.Outcome == bounce.Hard:
			delete(waiting, p)
			older[p] = true // the last deferral, of the same second, may follow
		case x.Time.Before(since):
			older[p] = true
		case !older[p]: // counted in the period of its first attempt
			if g := asked[u.provider(&store.Cell{Keys: [store.MaxDimensions]string{x.RecipientDomain, x.RelayHost}})]; g != nil {
				waiting[p] = g
			}
		}
	}
	then := map[*store.Cell]int64{}
	for _, g := range waiting {
		then[g]++
	}
	for g, n := range then {
		if n -= g.Recovered; n > g.Pending {
			r.handled += n - g.Pending
			g.Pending = n
		}
	}
	return groups, nil
}
