package problem

import (
	"context"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A shop writes to each recipient once, so none of them is known to be valid. If a provider that took nearly all of
// its mail refuses a good part of it for hours, with one reply that names no cause, the usual mail is the evidence.
// A list of bad addresses looks different: they are unknown, and a mailing to them is over soon. A provider, or a
// part of one, that refuses all mail is found as such (report/unreached.go).

// The thresholds of refusals of recipients who are not known to be valid. A higher value means fewer incidents.
const (
	unprovenMessages = contentMessages // with the same reply in a window
	unprovenShare    = denialShare     // of the messages of the same time
	unprovenPast     = denialSent      // messages before
	unprovenChance   = denialChance    // probability of so many at the usual share; lower: fewer incidents
	unprovenLasts    = waitsLast       // from the first to the last: a mailing takes less
	unprovenTaken    = 0.1             // of the messages to the same domains that are taken meanwhile
	unprovenDays     = 3               // windows that were read, at least, to compare with
)

// alike reports whether a stretch of refusals has enough messages with one reply.
func (t *timeline) alike(f stretch) bool {
	return mostInWindow(mostAlike(between(t.refusals, f.since, f.until+1)), t.o.Window) >= unprovenMessages
}

// mostAlike returns the refusals with the most frequent reply that does not call the mail spam (see content.go).
func mostAlike(list []*refusal) (alike []*refusal) {
	var others []traitCount
	for _, c := range countTraits(list) {
		if c.Reason != bounce.ContentSpam {
			others = append(others, c)
		}
	}
	template := commonest(others, func(c traitCount) string { return c.Template })
	for _, r := range list {
		if template != "" && r.Template == template {
			alike = append(alike, r)
		}
	}
	return alike
}

// sudden reports whether refusals with one reply, in the order of time, are enough without recipients known to be
// valid, and so much more than at other times that the deliveries are worth reading.
func (x *refusalSearch) sudden(list []*refusal) bool {
	read := x.last.sub(max(x.from, x.first))
	if len(list) < unprovenMessages || read < unprovenDays*x.o.Window {
		return false
	}
	var seen counter
	alike := mostAlike(list)
	all := seen.count(alike, anyMessage)
	for _, part := range splitByGap(alike, x.o.Quiet()) {
		lasts := part[len(part)-1].at.sub(part[0].at) + x.o.Window
		if mostInWindow(part, x.o.Window) >= unprovenMessages && tail(seen.count(part, anyMessage), all, float64(lasts)/float64(read)) < unprovenChance {
			return true
		}
	}
	return false
}

// takesPart reports whether the provider of a stream takes other mail to the domains of some refusals, in the order
// of time, meanwhile.
func (x *refusalSearch) takesPart(ctx context.Context, s *stream, refusals []*refusal) (bool, error) {
	if s.key.provider == "" {
		return false, nil
	}
	var seen counter
	f := x.mailTo(s.key.provider, s.key.domain)
	f.Outcomes, f.Since, f.Until = []bounce.Outcome{bounce.Delivered}, refusals[0].at.time(), refusals[len(refusals)-1].at.time().Add(time.Second)
	if s.key.sender != "" {
		f.SenderDomain = s.key.sender
	}
	if s.key.domain == "" && f.Domain == "" {
		f.Domains = domainsOfTraits(countTraits(refusals))
	}
	c, err := store.CountAll(ctx, x.s, f)
	n := float64(seen.count(refusals, anyMessage))
	return float64(c.Messages) >= unprovenTaken*(n+float64(c.Messages)), err
}
