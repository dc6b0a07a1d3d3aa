package problem

import (
	"context"
	"maps"
	"slices"
	"time"

	"bouncelog/store"
)

// If one of several mail hosts has no network or no resolver, the mail of the others goes out, so that not
// all mail fails. Its own mail does. The failures that were read do not name their host; a burst of them
// tells where to look.

// hostBurst is the number of times that the messages that begin to fail in an hour exceed those of a
// usual hour in a burst; lower: the hosts of more failures are looked up.
const hostBurst = 5

// ofOneHost replaces the outages of a cause that are of one mail host by those of its mail alone, and adds
// those that the mail of others hides.
func (w *outageSearch) ofOneHost(ctx context.Context, cause string, all []*outage) ([]*outage, error) {
	if len(w.hosts) < 2 || w.f.Host != "" {
		return all, nil
	}
	burst := w.burst(w.causes[cause])
	if !unrelated(burst) {
		return all, nil
	}
	texts, err := w.lookUp(ctx, burst)
	if err != nil {
		return nil, err
	}
	n, named := map[string]int{}, 0
	for _, a := range texts {
		if a != nil {
			n[a.Host]++
			named++
		}
	}
	host, most := most(n)
	if named == 0 || float64(most) < outageOneSource*float64(named) {
		return all, nil
	}
	own := *w
	own.f.Host = host
	own.causes, own.theirs, own.limits, own.own, own.took, own.reached = map[string][]failure{}, map[string][]lapse{}, limitCount{}, map[string]bool{}, nil, newReached(own.f)
	if err := own.read(ctx); err != nil {
		return nil, err
	}
	found, err := own.outages(ctx, cause)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(x *outage) bool { return float64(x.arrived) > outageThrough*float64(len(x.run)) })
	// Other hosts may have no mail that goes out: then nothing does.
	found = slices.DeleteFunc(found, func(x *outage) bool {
		return slices.ContainsFunc(all, func(y *outage) bool { return y.arrived == 0 && x.isPartOf(y) })
	})
	for _, x := range found {
		x.host, x.search = host, &own
		all = slices.DeleteFunc(all, func(y *outage) bool {
			return y.arrived > 0 && y.run[0].at <= lastOf(x.run) && lastOf(y.run) >= x.run[0].at
		})
	}
	return append(all, found...), nil
}

// isPartOf reports whether the failures of x are failures of y.
func (x *outage) isPartOf(y *outage) bool {
	of := map[store.Ref]bool{}
	for i := range y.run {
		of[y.run[i].ref] = true
	}
	n := 0
	for i := range x.run {
		if of[x.run[i].ref] {
			n++
		}
	}
	return float64(n) >= outageOneSource*float64(len(x.run))
}

// burst returns the first failures of the messages that begin to fail in hours with many more of them than
// usual.
func (w *outageSearch) burst(list []failure) (burst []failure) {
	var first []failure
	seen, n := map[uint64]bool{}, map[time.Time]int{}
	for _, x := range list {
		if (x.evidence == silent || x.evidence == notFound) && !seen[x.message] {
			seen[x.message] = true
			first = append(first, x)
			n[x.at.hour()]++
		}
	}
	if len(first) < outageMany {
		return nil
	}
	counts := slices.Sorted(maps.Values(n)) // without the hours of none
	hours := max(int(w.last.sub(max(w.from, w.first))/time.Hour)+1, len(counts))
	usual := 0
	if i := hours/2 - (hours - len(counts)); i >= 0 && i < len(counts) {
		usual = counts[i]
	}
	for _, x := range first {
		if n[x.at.hour()] >= max(outageMany, hostBurst*usual) {
			burst = append(burst, x)
		}
	}
	return burst
}
