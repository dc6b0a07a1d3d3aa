package problem

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bouncelog/store"
)

// This file decides when refusals stand out, with pure functions of refusals, deliveries and
// Thresholds. The chance of a stretch is the probability of its number of refusals, given the past.
// A stretch is a fault if its chance is small and if enough of the mail and of the recipients known
// to be valid is refused.

// The constants of the statistics. bench/problem measures the effect of a change.
const (
	faultRate     = 0.25 // assumed share of refused messages in a fault, to find where it begins and ends; lower: longer stretches
	usualRateMost = 0.05 // maximum share of refused messages that is usual, for the same; higher: shorter stretches
	shortPast     = 20   // messages; a shorter past without refusals is weighed by recipients
	eventWeight   = 3    // recipients of one message that count at most, since they are refused together
	priorMessages = 0.5  // refused messages assumed for a past without any
	priorWeight   = 0.3  // the same for recipients: three who took mail and are then all refused are just enough
)

// An event is a message that was delivered or refused. A message that was refused for any recipient
// is refused.
type event struct {
	at         moment
	last       moment // its last refusal; 0: delivered
	refused    bool
	recipients int // refused; or else delivered
	// of is the index of its last refusal or, if it was delivered, -1 minus that of its first
	// delivery.
	of int
}

// eventsIn returns the events of refusals and deliveries in a span of time, in order. Only
// deliveries of the given sender domain count; "": all.
func eventsIn(p store.Span, refusals []*refusal, deliveries []store.Delivered, sender string) []event {
	var events []event
	since, until := momentOf(p.First), momentOf(p.Last)
	within := func(r *refusal) bool { return r.at >= since && r.at <= until }
	n := 0
	for _, r := range refusals {
		if within(r) {
			n++
		}
	}
	index := make(map[uint64]int, n) // index of the event, by message, from 1
	type pair struct{ message, recipient uint64 }
	counted := make(map[pair]bool, n)
	for i, r := range refusals {
		if !within(r) {
			continue
		}
		if index[r.message] == 0 {
			events = append(events, event{at: r.at, refused: true})
			index[r.message] = len(events)
		}
		e := &events[index[r.message]-1]
		e.last, e.of = r.at, i
		if p := (pair{r.message, r.recipient}); !counted[p] {
			counted[p] = true
			e.recipients++
		}
	}
	for i := range deliveries {
		d := &deliveries[i]
		if sender != "" && d.SenderDomain != sender {
			continue
		}
		at := momentOf(d.Time)
		if at < since || at > until {
			continue
		}
		n := index[d.Message]
		if n == 0 {
			events = append(events, event{at: at, of: -1 - i})
			n = len(events)
			index[d.Message] = n
		}
		if !events[n-1].refused {
			events[n-1].recipients++
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

// A stretch is the time from the first to the last refusal of a part of a timeline.
type stretch struct {
	since, until moment
	unproven     bool // too few of the recipients are known to be valid: see unproven.go
}

// A timeline holds the deliveries and refusals of a stream in a span of time that was read.
type timeline struct {
	o        Thresholds
	refusals []*refusal // all refusals of the stream, including those outside the span
	events   []event
	span     store.Span
}

// faults returns the stretches in which refusals are a fault, in order.
func (t *timeline) faults() []stretch {
	found := t.search(0, len(t.events), faultsPerStream)
	for i := range found {
		found[i].until = t.lastOf(found[i])
	}
	return found
}

// search looks for faults in events[lo:hi]: in the part where refusals stand out most, then before
// and after it.
func (t *timeline) search(lo, hi, depth int) []stretch {
	i, j := steepest(t.events[lo:hi])
	if i == j || depth == 0 {
		return nil
	}
	i, j = i+lo, j+lo
	f, ok := t.isFault(i, j, float64(len(t.events))/float64(j-i))
	if !ok {
		f, ok = t.faultyWindow(lo, hi)
	}
	if !ok {
		return nil
	}
	end := j
	for end < hi && t.events[end].at <= f.until {
		end++
	}
	start := i
	for start > lo && t.events[start-1].at >= f.since {
		start--
	}
	return slices.Concat(t.search(lo, start, depth-1), []stretch{f}, t.search(end, hi, depth-1))
}

// lastOf returns the time of the last refusal of a fault. That may be a later refusal of a message
// in the fault. If the events end with the fault, it is the last refusal before a pause of
// Thresholds.Quiet, since later deliveries are not known.
func (t *timeline) lastOf(f stretch) moment {
	in := map[uint64]bool{}
	until := f.until
	open := t.events[len(t.events)-1].at <= f.until
	end := momentOf(t.span.Last)
	for _, r := range t.refusals {
		switch {
		case r.at < f.since:
		case r.at <= f.until:
			in[r.message] = true
		case in[r.message], open && r.at > end && r.at.sub(until) < t.o.Quiet():
			until = r.at
		}
	}
	return until
}

// steepest returns the events[i:j] in which refusals stand out most: the greatest sum of
// log-likelihood ratios of faultRate against the usual share here. It is empty if no event is
// refused.
func steepest(events []event) (i, j int) {
	refused := 0
	for _, e := range events {
		if e.refused {
			refused++
		}
	}
	if refused == 0 {
		return 0, 0
	}
	usual := min(float64(refused)/float64(len(events)+1), usualRateMost)
	up, down := math.Log(faultRate/usual), math.Log((1-faultRate)/(1-usual))
	var h heaviest
	for k, e := range events {
		if e.refused {
			h.add(k, k+1, up)
		} else {
			h.add(k, k+1, down)
		}
	}
	return h.from, h.to
}

// A heaviest finds the part [from:to] of a sequence whose weights have the greatest sum. It is empty if no sum is
// greater than 0.
type heaviest struct {
	from, to int
	weight   float64 // of the part

	start int     // of the part that ends with the items so far
	sum   float64 // its weight; a weight between two items is added to it directly
}

// add adds the items [from:to], in order.
func (h *heaviest) add(from, to int, weight float64) {
	if h.sum <= 0 {
		h.sum, h.start = 0, from
	}
	if h.sum += weight; h.sum > h.weight {
		h.from, h.to, h.weight = h.start, to, h.sum
	}
}

// isFault reports whether events[i:j] are a fault, and returns its stretch. tries is the number of
// stretches from which this one was picked; the chance is multiplied by it.
func (t *timeline) isFault(i, j int, tries float64) (f stretch, ok bool) {
	var now, past weight
	for _, e := range t.events[i:j] {
		now.add(e)
		if e.refused {
			if f.since == 0 {
				f.since = e.at
			}
			f.until = max(f.until, e.last)
		}
	}
	if now.refused < t.o.Messages || float64(now.refused) < t.o.Share*float64(now.messages) {
		return f, false
	}
	for k := i - 1; k >= 0 && f.since.sub(t.events[k].at) < t.o.Past; k-- {
		past.add(t.events[k])
	}
	chance := 0.0
	if t.o.Chance < 1 {
		if past.messages == past.refused { // the log may begin inside the fault
			return f, false
		}
		chance = tries * tail(now.refused, now.messages, (float64(past.refused)+priorMessages)/(float64(past.messages)+1))
		if past.messages < shortPast && past.refused == 0 {
			// A few messages prove little, but their recipients do.
			chance = min(chance, tail(now.refusedRecipients, now.recipients, priorWeight/(float64(past.recipients)+1)))
		}
		if chance >= t.o.Chance {
			return f, false
		}
	}
	if t.enough(f) {
		return f, true
	}
	f.unproven = true
	return f, chance < unprovenChance && past.messages >= unprovenPast && float64(now.refused) >= unprovenShare*float64(now.messages) && f.until.sub(f.since) >= unprovenLasts && t.alike(f)
}

// enough reports whether some window of a stretch has Thresholds.Recipients known to be valid
// before the stretch, and Thresholds.Messages.
func (t *timeline) enough(f stretch) bool {
	recipients, messages := map[uint64]int{}, map[uint64]int{} // number of refusals in the window
	count := func(set map[uint64]int, value uint64, by int) {
		if set[value] += by; set[value] == 0 {
			delete(set, value)
		}
	}
	change := func(r *refusal, by int) {
		count(messages, r.message, by)
		if r.before != 0 && r.before < f.since {
			count(recipients, r.recipient, by)
		}
	}
	first := -1 // first index of the window
	for i, r := range t.refusals {
		if r.at < f.since || r.at > f.until {
			continue
		}
		if first < 0 {
			first = i
		}
		change(r, 1)
		for r.at.sub(t.refusals[first].at) >= t.o.Window {
			change(t.refusals[first], -1)
			first++
		}
		if len(recipients) >= t.o.Recipients && len(messages) >= t.o.Messages {
			return true
		}
	}
	return false
}

// A weight counts events and their recipients, at most eventWeight of one message.
type weight struct{ messages, refused, recipients, refusedRecipients int }

func (w *weight) add(e event) {
	n := min(e.recipients, eventWeight)
	w.messages++
	w.recipients += n
	if e.refused {
		w.refused++
		w.refusedRecipients += n
	}
}

// faultyWindow looks in events[lo:hi] for a whole window that is a fault by itself. It finds a
// fault that evenly refuses a part of the mail; the steepest stretch of such a fault is too short
// to prove anything. Consecutive windows are one stretch.
func (t *timeline) faultyWindow(lo, hi int) (f stretch, ok bool) {
	events := t.events
	windows := 1 + float64(events[len(events)-1].at.sub(events[0].at))/float64(t.o.Window)
	i := lo
	for j := lo; j < hi; j++ {
		for events[j].at.sub(events[i].at) >= t.o.Window {
			i++
		}
		if !events[j].refused {
			continue
		}
		if one, is := t.isFault(i, j+1, windows); is {
			if !ok {
				f, ok = one, true
			}
			f.until = one.until
		} else if ok && events[j].at.sub(f.until) >= t.o.Window {
			break
		}
	}
	return f, ok
}

// tail returns the binomial tail: the probability of at least k successes in n trials with
// probability p each.
func tail(k, n int, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	term := math.Exp(lg(n) - lg(k) - lg(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += term
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
		if term < sum*1e-9 && float64(i) > float64(n)*p {
			break
		}
	}
	return min(sum, 1)
}

// densest returns the stretch with the densest refusals of recipients known to be valid or, without any, of all,
// compared with past, and by how much it stands out; 0: none is valid. It guesses the place of a fault before the
// deliveries are read.
func densest(refusals []*refusal, past time.Duration) (f stretch, score float64) {
	span := max(refusals[len(refusals)-1].at.sub(refusals[0].at), past)
	usual := float64(span) / float64(len(refusals)) / 4
	proven := slices.ContainsFunc(refusals, func(r *refusal) bool { return r.valid })
	var h heaviest
	for i, r := range refusals {
		if i > 0 {
			h.sum -= float64(r.at.sub(refusals[i-1].at)) / usual
		}
		weight := 0.0
		if r.valid || !proven {
			weight = 1
		}
		h.add(i, i+1, weight)
	}
	if f = (stretch{since: refusals[h.from].at, until: refusals[max(h.to, 1)-1].at}); proven {
		score = h.weight
	}
	return f, score
}
