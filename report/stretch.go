package report

import (
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A stretch holds the refusals between two deliveries to the same place, a domain or a smarthost: a
// time without a delivery.
type stretch struct {
	refusals  []refusal // in the order of time
	addresses map[*store.Recipient]bool
	domains   map[string]bool
	took      int // addresses that took mail before
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

// atDomain reports whether a domain refused so many addresses in a stretch that the addresses are
// probably not at fault.
func (x *stretch) atDomain() bool {
	return len(x.addresses) >= refusedTogether || x.took >= leftTogether
}

// atRelay reports whether a smarthost refused so many domains in a stretch that the domains are
// probably not at fault.
func (x *stretch) atRelay() bool { return len(x.domains) >= relayDomains }

// stretches returns the claims whose first and last refusal lie in one doubted stretch, each with
// that stretch. f selects the place, and many reports whether it refused too many. Refusals are
// believed if they last for days, or if they are a burst with deliveries near it: before and after
// it or, if none of the addresses took mail before, on one side. A place that fails for an hour has
// no such delivery near each of its refusals.
func (e *evidence) stretches(claims []*claim, f store.Filter, many func(*stretch) bool) (map[*claim]*stretch, error) {
	var list []refusal
	for _, c := range claims {
		for _, at := range c.times() {
			list = append(list, refusal{at, c})
		}
	}
	slices.SortFunc(list, func(a, b refusal) int { return a.at.Compare(b.at) })
	doubted := map[*claim]*stretch{}
	// Invariant: no refusal in the list is older than the last delivery found.
	for len(list) > 0 && e.looked < lookedAtMost {
		// Deliveries are looked up only if there are enough refusals for a doubt.
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
		if !at.IsZero() { // too little was refused before it
			list = after(list, at)
			continue
		}
		// The stretch ends with the next delivery. The search for it goes a little beyond the last
		// refusal.
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

// after returns the refusals after a delivery, from a list in the order of time.
func after(list []refusal, delivered time.Time) []refusal {
	i := slices.IndexFunc(list, func(r refusal) bool { return r.at.After(delivered) })
	if i < 0 {
		return nil
	}
	return list[i:]
}

// delivery returns the time of the first delivery in [from, until) that f selects, or of the last;
// zero if there is none.
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
