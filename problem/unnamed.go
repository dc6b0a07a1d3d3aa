package problem

import (
	"slices"

	"bouncelog/store"
)

// A provider that refuses mail for failing DMARC need not say so: Yahoo says "policy reasons", whatever the
// policy is. Its refusals of a sender domain belong to the incident that names the cause if they occur only in
// its time. Their recipients need not be known to be valid, and other mail of the domain may pass: one of several
// programs that send it does not sign.

// unnamedWithin is the time before the first and after the last refusal that names the cause in which a refusal
// without one may belong to it; higher: more do.
const unnamedWithin = operatorWithin

// joinUnnamed adds to each incident about the records or the domain of a sender the refusals of the same sender
// domain without a named cause, by other providers, that occur in its time and hardly ever at another.
func (x *refusalSearch) joinUnnamed(list []*incident) {
	silent := sorted(x.silent)
	for _, in := range list {
		if ok, bySender := in.nameable(); !ok || !bySender || len(in.senders) > separatedAtMost {
			continue
		}
		named := providersOf(countTraits(in.all))
		time := store.Span{First: in.began.add(-unnamedWithin).time(), Last: in.until.add(unnamedWithin).time()}
		for _, s := range silent {
			if _, found := slices.BinarySearch(named, s.key.provider); found || !in.senders[s.key.sender] || len(s.refusals) < IncidentLeast {
				continue
			}
			sortByTime(s.refusals)
			for _, template := range templatesOf(countTraits(s.refusals)) {
				if same := x.onlyIn(time, in, s, template); same != nil {
					v := x.incident(Likely, s, claim(same, stretch{since: same[0].at, until: same[len(same)-1].at}))
					v.keys = nil // one of the incident's own stays its subject
					in.join(v)
					in.began = min(in.began, v.began)
					in.vagueKeys, in.vagueProviders = append(in.vagueKeys, s.key), append(in.vagueProviders, s.key.provider)
				}
			}
		}
		in.takeOver()
	}
}

// onlyIn returns the unclaimed refusals of a stream with one reply in the time of an incident if they begin and
// end with it, are far more than at other times (Thresholds.Chance), and fewer messages of other sender domains are
// refused so by the same provider meanwhile. It returns nil otherwise.
func (x *refusalSearch) onlyIn(time store.Span, in *incident, s *stream, template string) (same []*refusal) {
	var seen counter
	since, until := momentOf(time.First), momentOf(time.Last)
	var elsewhere []*refusal
	for _, r := range s.refusals {
		switch {
		case r.Template != template:
		case r.at < since || r.at > until:
			elsewhere = append(elsewhere, r)
		case !r.claimed:
			same = append(same, r)
		}
	}
	n, lasts := seen.count(same, anyMessage), until.sub(since)
	read := x.last.sub(max(x.from, x.first))
	if n < IncidentLeast || n < risenTimes*mostInWindow(elsewhere, x.o.Window) || read-lasts < x.o.Window || same[0].at.sub(in.began) >= x.o.Window || in.until.sub(same[len(same)-1].at) >= x.o.Window ||
		tail(n, n+seen.count(elsewhere, anyMessage), float64(lasts)/float64(read)) >= x.o.Chance {
		return nil
	}
	others := 0
	for k, o := range x.silent {
		if k.provider == s.key.provider && k.domain == s.key.domain && !in.senders[k.sender] {
			others += seen.count(slices.DeleteFunc(slices.Clone(o.refusals), func(r *refusal) bool { return r.Template != template || r.at < since || r.at > until }), anyMessage)
		}
	}
	if others >= n {
		return nil
	}
	return same
}
