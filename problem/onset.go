package problem

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bouncelog/store"
)

// This file finds the onset of a named incident. A small server that refuses a message now and
// then, or a few odd refusals at a large provider, are not the fault that refuses all mail there
// days later. They must not change the onset and the figures of that fault.

const (
	// largerBy is the factor in messages a day from which refusals are a new fault (escalations of
	// an Announcer also use ten).
	largerBy = 10
	// takenBefore is the number of messages taken by a provider, while another already refused,
	// that shows a later start of the fault at that provider.
	takenBefore = 3
	// onsetMoved is the minimum time from the first refusal of all to the onset of the fault, if they
	// differ; lower: the onset also moves over a fault that began slowly.
	onsetMoved = 2 * time.Hour
)

// splitByProvider splits refusals of a named stream, in the order of time, by provider. A provider
// starts a new part if it began later and refuses at least largerBy times as many messages a day,
// and on some day, as all providers before it. Most streams stay one part.
func splitByProvider(refusals []*refusal, window time.Duration) [][]*refusal {
	groups := map[string][]*refusal{}
	for _, r := range refusals {
		groups[r.provider] = append(groups[r.provider], r)
	}
	if len(groups) == 1 {
		return [][]*refusal{refusals}
	}
	inOrder := slices.SortedFunc(maps.Values(groups), func(a, b []*refusal) int {
		return cmp.Or(cmp.Compare(a[0].at, b[0].at), cmp.Compare(a[0].provider, b[0].provider))
	})
	seen := map[uint64]bool{} // messages refused before the group began
	n := 0                    // number of earlier refusals
	began := inOrder[0][0].at // start of the last part
	part := map[string]int{}  // part of each provider
	last := 0
	for _, g := range inOrder {
		for ; refusals[n].at < g[0].at; n++ {
			seen[refusals[n].message] = true
		}
		if g[0].at.sub(began) >= window {
			days := float64(g[0].at.sub(refusals[0].at)) / float64(window)
			if most := mostInWindow(g, window); most >= largerBy && float64(most) >= largerBy*float64(len(seen))/days {
				last++
				began = g[0].at
			}
		}
		part[g[0].provider] = last
	}
	parts := make([][]*refusal, last+1)
	for _, r := range refusals {
		i := part[r.provider]
		parts[i] = append(parts[i], r)
	}
	return parts
}

// firstFrom returns the index of the first refusal at or after t.
func firstFrom(refusals []*refusal, t moment) int {
	i, _ := slices.BinarySearchFunc(refusals, t, func(r *refusal, t moment) int { return cmp.Compare(r.at, t) })
	return i
}

// mostInWindow returns the greatest number of refused messages in one of the consecutive windows
// from the first refusal on.
func mostInWindow(refusals []*refusal, window time.Duration) (most int) {
	var seen counter
	for len(refusals) > 0 {
		n := firstFrom(refusals, refusals[0].at.add(window))
		most = max(most, seen.count(refusals[:n], anyMessage))
		refusals = refusals[n:]
	}
	return most
}

// keepProviders drops the data of an incident about providers without one of its refusals.
func (in *incident) keepProviders() {
	own := map[string]bool{}
	for _, p := range providersOf(countTraits(in.all)) {
		own[p] = true
	}
	in.past = slices.DeleteFunc(slices.Clone(in.past), func(r *refusal) bool { return !own[r.provider] })
	in.samples = slices.DeleteFunc(in.samples, func(s sample) bool { return !own[s.provider] })
}

// rejoin joins named incidents of one stream that splitByProvider split if almost no mail of their
// senders was taken at the later one's providers while the earlier one went on. Those providers
// would have refused mail from the beginning too, had any been sent.
func rejoin(list []*incident, histories []store.History, quiet time.Duration) (out []*incident) {
	index := map[key][]*incident{}
	for _, in := range list {
		earlier := in.continues(index, histories, quiet)
		if earlier != nil {
			earlier.join(in)
			earlier.takeOver()
		} else {
			out = append(out, in)
			for _, k := range in.keys {
				index[k] = append(index[k], in)
			}
		}
	}
	return out
}

// continues returns the earlier incident of the same stream that in continues, or nil.
func (in *incident) continues(index map[key][]*incident, histories []store.History, quiet time.Duration) *incident {
	for _, k := range in.keys {
		for _, earlier := range index[k] {
			if in.began >= earlier.began && in.began.sub(earlier.until) < quiet && !in.takenSince(earlier.began, histories) {
				return earlier
			}
		}
	}
	return nil
}

// takenSince reports whether the providers of the incident took takenBefore messages of its senders
// between t and its onset, or whether that is not known.
func (in *incident) takenSince(t moment, histories []store.History) bool {
	return len(in.histories) == 0 || len(in.takenFrom(t, histories)) >= takenBefore
}

// takenFrom returns a delivery of each message of the incident's senders that its providers took between
// t and its onset.
func (in *incident) takenFrom(t moment, histories []store.History) (list []store.Ref) {
	taken := map[uint64]bool{}
	for _, i := range in.histories {
		for _, d := range histories[i].Deliveries {
			if at := momentOf(d.Time); at >= t && at < in.began && in.senders[d.SenderDomain] && !taken[d.Message] {
				taken[d.Message] = true
				list = append(list, d.Ref())
			}
		}
	}
	return list
}

// moveOnset moves the onset of a named incident to the point where its refusals stand out from its
// deliveries, if only few were refused before. Those then belong to its past.
func (x *refusalSearch) moveOnset(in *incident, own []store.Delivered, read store.Span) {
	span := store.Span{First: in.began.time(), Last: in.until.time()}
	if read.Last.Before(span.Last) {
		span.Last = read.Last
	}
	events := eventsIn(span, in.compared(in.all), own, "")
	i, j := steepest(events)
	if i == 0 {
		return
	}
	var now weight
	onset := moment(0)
	for _, e := range events[i:j] {
		now.add(e)
		if e.refused && onset == 0 {
			onset = e.at
		}
	}
	past := store.Span{First: read.First, Last: onset.time().Add(-time.Second)}
	if since := in.began.add(-x.o.Past).time(); since.After(past.First) {
		past.First = since
	}
	share := func(t *Tried) float64 { return (float64(t.Refused) + priorMessages) / (float64(t.Tried) + 1) }
	larger := func(rate float64) bool { return float64(now.refused) >= largerBy*rate*float64(now.messages) }
	rate := share(tried(past, in.compared(slices.Concat(in.past, in.all)), own))
	if onset.sub(in.began) < onsetMoved || now.refused < largerBy || rate >= x.o.Share || !larger(rate) {
		return
	}
	// A partial fault takes some messages in a row. It is not a new one if the past was without it.
	if first := tried(store.Span{First: in.began.time(), Last: past.Last}, in.compared(in.all), own); first.Refused >= IncidentLeast && !larger(share(first)) {
		return
	}
	n := firstFrom(in.all, onset)
	in.past = append(slices.Clip(in.past), in.all[:n]...)
	in.began, in.all, in.refusals = onset, in.all[n:], between(in.refusals, onset, x.until)
	in.samples = slices.DeleteFunc(in.samples, func(s sample) bool { return momentOf(s.Time) < onset })
}
