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
	waitedAsked = 500     // maximum number of providers whose waiting mail is looked up, if that of all is too much
	waitedRead  = 200_000 // maximum number of failed attempts read for that, of QueueLifetime
)

// waitsThen returns the mail of f that waited at the end of a past period, the oldest first, from the
// failed attempts of QueueLifetime: the mail of a recipient waits from a deferral until it is given up
// or, as far as deferrals tell, until the recipient takes mail; or until the message leaves the queue in
// another way. known is false if that is too much to read.
func (r *Report) waitsThen(ctx context.Context, s store.Reader, f store.Filter) (list []*Wait, known bool, err error) {
	end := r.End()
	f.Since, f.Until = end.Add(-QueueLifetime), end
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	all, err := store.CountAll(ctx, s, f)
	if err != nil || all.Soft+all.Hard > waitedRead {
		return nil, false, err
	}
	u := NewUndelivered[pair]()
	for x, err := range s.Refusals(ctx, f) { // in the order of time
		if err != nil {
			return nil, false, err
		}
		p := pairOf(x)
		u.Add(p, x.Outcome, x.Time, x.Ref())
		if taken := !x.DeliveredAfter.IsZero() && x.DeliveredAfter.Before(end); taken {
			delete(u.Waiting, p)
		} else if w := u.Waiting[p]; w != nil {
			w.domain, w.relay = x.RecipientDomain, x.RelayHost
		}
	}
	list = slices.SortedFunc(maps.Values(u.Waiting), func(a, b *Wait) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	kept := list[:0]
	for part := range slices.Chunk(list, waitedAtOnce) {
		refs := make([]store.Ref, len(part))
		for i := range part {
			refs[i] = part[i].Last
		}
		left, err := leftBefore(ctx, s, end, refs)
		if err != nil {
			return nil, false, err
		}
		for i := range part {
			if !left[i] {
				kept = append(kept, part[i])
			}
		}
	}
	return kept, true, nil
}

// queue returns the mail of f that waits at the end of the period. A store counts the mail that waits
// now; see waitsThen for a past period. routes are of the mail of the period.
func (r *Report) queue(ctx context.Context, s store.Reader, f store.Filter, routes []store.Cell) (*queue, error) {
	q, u := &queue{known: true, provider: map[string]int64{}}, usualProviders(routes)
	if !r.Past() {
		since := f.Since
		f.Since = time.Time{} // the queue has no start
		cells, err := routes, error(nil)
		if !since.IsZero() || r.Filter.partly() || cells == nil {
			cells, err = s.Count(ctx, f, store.ByDomain, store.ByRelay)
		}
		for i := range cells {
			if n := cells[i].Pending; n > 0 {
				q.total += n
				q.provider[u.provider(&cells[i])] += n
			}
		}
		return q, err
	}
	var err error
	if q.list, q.known, err = r.waitsThen(ctx, s, f); err != nil || !q.known {
		return q, err
	}
	q.total, q.pending = int64(len(q.list)), map[string]int64{}
	for _, w := range q.list {
		name := u.provider(&store.Cell{Keys: [store.MaxDimensions]string{w.domain, w.relay}})
		q.provider[name]++
		if !w.First.Before(f.Since) { // counted in the period of its first attempt
			q.pending[name]++
		}
	}
	return q, nil
}

// waitedAtOnce is the number of attempts whose messages are looked up together.
const waitedAtOnce = 1000

// leftBefore reports for some attempts whether their message had left the queue at a time: it was
// removed or discarded, or nothing of it was left.
func leftBefore(ctx context.Context, s store.Reader, end time.Time, refs []store.Ref) ([]bool, error) {
	found, err := s.Lookup(ctx, refs...)
	if err != nil {
		return nil, err
	}
	messages := map[store.MessageKey]bool{} // value: it had left
	for _, a := range found {
		if a != nil {
			messages[a.MessageKey()] = false
		}
	}
	ends, err := s.Ends(ctx, slices.Collect(maps.Keys(messages))...)
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		switch e.Event {
		case bounce.MessageRemoved, bounce.MessageDiscarded, bounce.MessageCompleted:
			if e.Time.Before(end) {
				messages[store.EndedMessage(&e)] = true
			}
		}
	}
	left := make([]bool, len(refs))
	for i, a := range found {
		left[i] = a != nil && messages[a.MessageKey()]
	}
	return left, nil
}

// queueTime returns the time of the list of waiting mail: the end of the period, unless its queue is not
// known.
func (r *Report) queueTime() time.Time {
	if r.waits != nil && r.waits.known && !r.Filter.partly() {
		return r.End()
	}
	return r.AsOf
}

// pendingThen returns the groups by provider with Pending as of the end of a past period. A store
// counts the mail that waits now; mail delivered or given up since is no longer in that count. If the
// queue of all is not known, it looks up that of the providers whose verdict may change, those to which
// most of the mail may have waited.
func (r *Report) pendingThen(ctx context.Context, s store.Reader, f store.Filter, routes, groups []store.Cell) ([]store.Cell, error) {
	if !r.Past() {
		return groups, nil
	}
	groups = slices.Clone(groups)
	then := r.waits
	if !then.known {
		var ask []*store.Cell
		for i := range groups {
			g := &groups[i]
			if most := g.Soft - g.Recovered + g.Hard; g.Soft-g.Recovered > g.Pending && float64(most) >= markShare*float64(g.Delivered+most) {
				ask = append(ask, g)
			}
		}
		if len(ask) == 0 {
			return groups, nil
		}
		slices.SortStableFunc(ask, func(a, b *store.Cell) int { return cmp.Compare(b.Soft, a.Soft) })
		asked, u, domains := map[string]bool{}, usualProviders(routes), map[string]bool{}
		for _, g := range ask[:min(len(ask), waitedAsked)] {
			asked[g.Keys[0]] = true
		}
		for i := range routes {
			if asked[u.provider(&routes[i])] {
				domains[routes[i].Keys[0]] = true
			}
		}
		if f.Domain == "" {
			f.Domains = slices.Sorted(maps.Keys(domains))
		}
		var err error
		if then, err = r.queue(ctx, s, f, routes); err != nil || !then.known {
			return groups, err
		}
	}
	for i := range groups {
		if g := &groups[i]; then.pending[g.Keys[0]] > g.Pending {
			r.handled += then.pending[g.Keys[0]] - g.Pending
			g.Pending = then.pending[g.Keys[0]]
		}
	}
	return groups, nil
}
