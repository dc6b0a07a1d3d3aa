package problem

import (
	"context"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Mail called spam: a provider refuses a newsletter, or what a stolen password sends, for what it
// says. Each server has a few such refusals every day, which name no cause that concerns its other
// mail. Many at once, of a good part of a sender domain's mail to a provider, are an incident, and
// the reply is its cause: it says nothing against the addresses, so they need not be known to be
// valid.

const (
	contentMessages = 10  // messages of one sender domain called spam at one provider in a window, at least; higher: fewer incidents
	contentAsked    = 100 // streams whose other mail is counted; the mail of others stays without a named cause
)

// contentIncidents takes mail called spam out of the silent streams and makes incidents of it.
func (x *refusalSearch) contentIncidents(ctx context.Context) (list []*incident, err error) {
	asked := 0
	for _, s := range sorted(x.silent) {
		spam := newStream(key{what: namedStream, reason: bounce.ContentSpam, sender: s.key.sender, provider: s.key.provider, domain: s.key.domain})
		for _, r := range s.refusals {
			if r.Reason == bounce.ContentSpam {
				spam.refusals = append(spam.refusals, r)
				spam.templates[r.Template] = true
			}
		}
		if len(spam.refusals) < contentMessages {
			continue
		}
		for _, e := range s.samples {
			if spam.templates[e.template] {
				spam.samples = append(spam.samples, e)
			}
		}
		for _, part := range splitByGap(spam.refusals, x.o.Quiet()) {
			if mostInWindow(part, x.o.Window) < contentMessages || asked >= contentAsked {
				continue
			}
			asked++
			most, err := x.callsSpam(ctx, spam.key, part)
			if err != nil {
				return nil, err
			}
			if most {
				for _, r := range part {
					r.claimed = true
				}
				list = append(list, x.incident(Confirmed, spam, part))
			}
		}
		s.refusals = slices.DeleteFunc(s.refusals, func(r *refusal) bool { return r.claimed })
	}
	return list, nil
}

// callsSpam reports whether refusals are a good part of the messages of a stream in their time.
func (x *refusalSearch) callsSpam(ctx context.Context, k key, refusals []*refusal) (bool, error) {
	f := x.f
	f.Outcomes, f.Reasons, f.SenderDomain = nil, nil, k.sender
	f.Since, f.Until = refusals[0].at.time(), refusals[len(refusals)-1].at.time().Add(time.Second)
	if k.domain != "" {
		f.Domain = k.domain
	} else {
		f.Relay = k.provider
	}
	c, err := store.CountAll(ctx, x.s, f)
	var seen counter
	return float64(seen.count(refusals, anyMessage)) >= x.o.Share*float64(c.Messages), err
}
