package report

import (
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A stretch is the refusals between two deliveries to the same place, a domain or a
// smarthost: a time in which it took nothing.
type stretch struct {
	refusals  []refusal // in the order of time
	addresses map[*store.Recipient]bool
	domains   map[string]bool
	took      int // of the addresses, those that took mail before
}

// A refusal is one of the two known times of a claim.
type refusal struct {
	at time.Time
	*claim
}

func (x *stretch) add(r refusal) {
	if x.addresses == nil {
		x.addresses, x.domains = map[*store.Recipient]bool{}, map[string]bool{}
	}
	if !x.addresses[r.Recipient] && !r.LastDelivered.IsZero() {
		x.took++
	}
	x.refusals = append(x.refusals, r)
	x.addresses[r.Recipient], x.domains[r.domain] = true, true
}

// atDomain reports whether a domain refused too many in a stretch for faults of their own.
func (x *stretch) atDomain() bool {
	return len(x.addresses) >= refusedTogether || x.took >= leftTogether
}

// atRelay reports whether a smarthost refused too many domains in a stretch.
func (x *stretch) atRelay() bool { return len(x.domains) >= relayDomains }

// stretches returns the claims whose first and last refusal fall into one stretch that is
// not believed, each with that stretch. The place is what f selects, and many reports
// whether it refused too many. Believed is what lasts for days, and a burst of refusals
// with deliveries near it: before and after it or, where none of the addresses took mail
// before, on one side. A place that fails for an hour has no such delivery beside each of
// its refusals.
func (e *evidence) stretches(claims []*claim, f store.Filter, many func(*stretch) bool) (map[*claim]*stretch, error) {
	var list []refusal
	for _, c := range claims {
		for _, at := range c.times() {
			list = append(list, refusal{at, c})
		}
	}
	slices.SortFunc(list, func(a, b refusal) int { return a.at.Compare(b.at) })
	doubted := map[*claim]*stretch{}
	// Invariant: no refusal of the list came before the last delivery that was found.
	for len(list) > 0 && e.looked < lookedAtMost {
		// Deliveries are asked for only where enough was refused for a doubt.
		var x stretch
		n := 0
		for n < len(list) && !many(&x) {
			x.add(list[n])
			n++
		}
		if !many(&x) {
			break
		}
		e.looked++
		at, err := e.delivery(f, list[0].at, list[n-1].at.Add(time.Second), true)
		if err != nil {
			return nil, err
		}
		if !at.IsZero() { // before it too little was refused
			list = after(list, at)
			continue
		}
		// The stretch ends with the next delivery, which is looked for a little beyond the last refusal.
		next, err := e.delivery(f, list[n-1].at, list[len(list)-1].at.Add(nearby+time.Second), false)
		if err != nil {
			return nil, err
		}
		rest := list[n:]
		for len(rest) > 0 && (next.IsZero() || rest[0].at.Before(next)) {
			x.add(rest[0])
			rest = rest[1:]
		}
		first, last := list[0].at, x.refusals[len(x.refusals)-1].at
		if list = rest; !next.IsZero() {
			list = after(rest, next)
		}
		if last.Sub(first) >= refusedForDays {
			continue
		}
		if last.Sub(first) <= nearby {
			before, err := e.delivery(f, first.Add(-nearby), first, true)
			if err != nil {
				return nil, err
			}
			sides := 0
			if !before.IsZero() {
				sides++
			}
			if !next.IsZero() && next.Sub(last) <= nearby {
				sides++
			}
			if sides == 2 || sides == 1 && x.took == 0 {
				continue
			}
		}
		times := map[*claim]int{}
		for _, r := range x.refusals {
			if times[r.claim]++; times[r.claim] == 2 {
				doubted[r.claim] = &x
			}
		}
	}
	return doubted, nil
}

// after is the refusals after a delivery, of some in the order of time.
func after(list []refusal, delivered time.Time) []refusal {
	i := slices.IndexFunc(list, func(r refusal) bool { return r.at.After(delivered) })
	if i < 0 {
		return nil
	}
	return list[i:]
}

// delivery is the time of the first delivery that f selects from one moment on and before
// another, or of the last; zero: there is none.
func (e *evidence) delivery(f store.Filter, from, until time.Time, last bool) (time.Time, error) {
	f.Host, f.MTA, f.Outcomes, f.Since, f.Until = e.f.Host, e.f.MTA, []bounce.Outcome{bounce.Delivered}, from, until
	for a, err := range e.s.Attempts(e.ctx, f, store.Page{Limit: 1, Newest: last, Times: true}) {
		if err != nil {
			return time.Time{}, err
		}
		return a.Time, nil
	}
	return time.Time{}, nil
}
