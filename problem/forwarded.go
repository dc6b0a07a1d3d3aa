package problem

import (
	"context"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Forwarded spam is mail that others wrote, that was forwarded from here, and that a provider
// refuses: for a bad reputation, or as spam. No record of the senders mends that, a filter
// before forwarding does. Every forwarder has some spam refused each day: as spam, it is an
// incident only where it is much of the mail to that provider.

const (
	forwardedMessages = 5    // that are refused as spam in a window, at least; higher: fewer incidents
	forwardedOwn      = 0.25 // of them: so many of the own messages may be refused as spam at the same provider; lower: fewer incidents
)

// markForwardedSpam marks an incident of a bad reputation in which all that was refused is
// forwarded mail: what others wrote is judged, not what is sent from here.
func (in *incident) markForwardedSpam() {
	own := func(r *refusal) bool { return !r.Forwarded }
	if in.all[0].Reason != bounce.Reputation || len(in.all) < 2 || slices.ContainsFunc(in.all, own) {
		return
	}
	in.forwarded, in.spam, in.level = true, true, Likely
	in.keys[0].forwarded = true
}

// isForwardedSpam reports whether the forwarded mail that a provider refuses as spam is an
// incident, and marks it so.
func (x *refusalSearch) isForwardedSpam(ctx context.Context, in *incident) (bool, error) {
	var seen counter
	n := seen.count(in.all, anyMessage)
	if mostInWindow(in.all, x.o.Window) < forwardedMessages {
		return false, nil
	}
	at := in.keys[0].provider
	var own []*refusal
	for _, s := range sorted(x.silent) {
		if s.key.provider != at {
			continue
		}
		for _, r := range s.refusals {
			if r.at >= in.began && r.at <= in.until {
				own = append(own, r)
			}
		}
	}
	in.own = seen.count(own, anyMessage)
	if float64(in.own) > forwardedOwn*float64(n) {
		return false, nil
	}
	f := x.f
	f.Outcomes, f.Reasons = nil, nil
	f.Since, f.Until, f.Relay = in.began.time(), in.until.time().Add(time.Second), at
	cells, err := x.s.Count(ctx, f)
	if err != nil {
		return false, err
	}
	if len(cells) > 0 && float64(n) < x.o.Share*float64(cells[0].Messages) {
		return false, nil
	}
	in.forwarded, in.spam, in.level = true, true, Likely
	return true, nil
}

// readOriginals reads the addresses that some of the refused mail was forwarded from.
func (in *incident) readOriginals(ctx context.Context, s store.Reader) error {
	var refs []store.Ref
	for _, i := range some(len(in.all)) {
		r := in.all[i].sampled()
		refs = append(refs, r.ref())
	}
	texts, err := s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	in.allOriginals = len(refs) == len(in.all)
	for _, a := range texts {
		switch {
		case a == nil || a.OriginalRecipient == "":
			in.allOriginals = false
		case !slices.Contains(in.originals, a.OriginalRecipient):
			in.originals = append(in.originals, a.OriginalRecipient)
		}
	}
	return nil
}
