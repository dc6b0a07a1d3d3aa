package problem

import (
	"context"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Forwarded spam is mail written by others and forwarded from here that a provider refuses for a
// bad reputation, or as spam. No DNS record of the senders helps; a filter before forwarding does.
// Every forwarder has some spam refused each day, so mail refused as spam is an incident only if it
// is a large share of the mail to the provider.

const (
	forwardedMessages = 5    // messages refused as spam in a window, at least; higher: fewer incidents
	forwardedOwn      = 0.25 // of them: maximum of own messages refused as spam at the same provider; lower: fewer incidents
)

// markForwardedSpam marks an incident of a bad reputation in which all refused mail was forwarded:
// the receiver judges mail written by others, not mail sent from here.
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

// readOriginals reads the addresses from which some of the refused mail was forwarded.
func (in *incident) readOriginals(ctx context.Context, s store.Reader) error {
	var refs []store.Ref
	for _, i := range some(len(in.all)) {
		refs = append(refs, in.all[i].ref())
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
