package problem

import (
	"context"
	"math"
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
	rewritingRead     = 1000 // refusals of forwarded mail whose senders are read, the newest
	rewritingTimes    = 2    // times as many messages in a window as before, at least; higher: fewer incidents
	rewritingRate     = 4    // times the usual rate, at which refusals of forwarded mail stand out; higher: shorter incidents
	rewritingDays     = 5    // days of the log of which the usual number is known, at least: most are weekdays; lower: more incidents
	rewritingAt       = 3    // providers that refuse it, at least, if no sender is known to have been rewritten; higher: fewer incidents
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

// unrewritten returns the refusals[i:j] of forwarded mail that fails authentication since this server no longer
// rewrites its senders (SRS): many more than before, of strangers, while the senders of those before were
// rewritten. It reads the newest.
func (x *refusalSearch) unrewritten(ctx context.Context, refusals []*refusal) (i, j int, err error) {
	senders := map[string]bool{}
	for _, r := range refusals {
		senders[r.SenderDomain] = true
	}
	if len(senders) < outageDomains || mostInWindow(refusals, x.o.Window) < outageMany {
		return 0, 0, nil
	}
	skipped := max(len(refusals)-rewritingRead, 0)
	refs := make([]store.Ref, 0, len(refusals)-skipped)
	for _, r := range refusals[skipped:] {
		refs = append(refs, r.ref())
	}
	texts, err := x.s.Lookup(ctx, refs...)
	if err != nil {
		return 0, 0, err
	}
	events := make([]event, len(texts))
	for k, a := range texts {
		events[k] = event{refused: a != nil && !store.Rewritten(a.Sender)}
	}
	i, j = steepest(events)
	rewritten, plain := 0, 0
	for _, e := range events[:i] {
		if e.refused {
			plain++
		} else {
			rewritten++
		}
	}
	clear(senders)
	for k := i; k < j; k++ {
		if r := refusals[skipped+k]; events[k].refused {
			senders[r.SenderDomain] = true
		}
	}
	if rewritten < outageMessages || plain > rewritten || len(senders) < outageDomains {
		return 0, 0, nil
	}
	i, j = skipped+i, skipped+j
	if n := mostInWindow(refusals[i:j], x.o.Window); n < outageMany || n < rewritingTimes*mostInWindow(refusals[:i], x.o.Window) {
		return 0, 0, nil
	}
	return i, j, nil
}

// unusual returns the refusals[i:j] of forwarded mail of strangers that fails authentication, many more than
// before, where no refused mail of before had a rewritten sender: a server that rewrites all senders has next to
// none refused. rewrote reports whether mail that was delivered before had such senders; if not, several
// providers have to refuse, since a wave of forged mail is mostly refused at one.
func (x *refusalSearch) unusual(ctx context.Context, refusals []*refusal) (i, j int, rewrote bool, err error) {
	if i, j = x.densestForwarded(refusals); i == j {
		return 0, 0, false, nil
	}
	n, before := mostInWindow(refusals[i:j], x.o.Window), mostInWindow(refusals[:i], x.o.Window)
	senders, providers := map[string]bool{}, map[string]bool{}
	for _, r := range refusals[i:j] {
		senders[r.SenderDomain], providers[r.provider] = true, true
	}
	if n < outageMany || n < rewritingTimes*before || len(senders) < outageDomains {
		return 0, 0, false, nil
	}
	var refs []store.Ref
	for _, k := range some(j - i) {
		refs = append(refs, refusals[i+k].ref())
	}
	texts, err := x.s.Lookup(ctx, refs...)
	if err != nil {
		return 0, 0, false, err
	}
	for _, a := range texts {
		if a != nil && store.Rewritten(a.Sender) {
			return 0, 0, false, nil
		}
	}
	f := x.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	f.Since, f.Until = refusals[i].at.add(-x.o.Past).time(), refusals[i].at.time()
	taken, rewritten := 0, 0
	var first moment
	for a, err := range x.s.Attempts(ctx, f, store.Page{Limit: rewritingRead, Newest: true}) {
		if err != nil {
			return 0, 0, false, err
		}
		taken++
		first = momentOf(a.Time)
		if store.Rewritten(a.Sender) {
			rewritten++
		}
	}
	rewrote = rewritten >= outageMessages
	switch {
	case taken == 0, taken < rewritingRead && refusals[i].at.sub(first) < x.o.Window: // the log may begin inside
		return 0, 0, false, nil
	case !rewrote && (n < risenTimes*before || len(providers) < rewritingAt):
		return 0, 0, false, nil
	}
	return i, j, rewrote, nil
}

// densestForwarded returns the refusals[i:j] that stand out most from the usual number of a day: the smallest
// median of the days of the log up to the last, or up to an earlier one, since most of a short log may be of the
// incident.
func (x *refusalSearch) densestForwarded(refusals []*refusal) (i, j int) {
	if len(refusals) < outageMany {
		return 0, 0
	}
	last := refusals[len(refusals)-1].at
	days := make([]int, max(1, int(last.sub(max(x.first, last.add(-x.o.Past)))/(24*time.Hour))))
	for _, r := range refusals {
		if day := int(last.sub(r.at) / (24 * time.Hour)); day < len(days) {
			days[day]++
		}
	}
	median := math.MaxInt
	for n := len(days); n >= min(len(days), rewritingDays); n-- { // the last days first in the list
		until := slices.Sorted(slices.Values(days[len(days)-n:]))
		median = min(median, until[n/2])
	}
	usual := (float64(median) + priorMessages) / float64(24*time.Hour)
	var h heaviest
	for k, r := range refusals {
		if k > 0 {
			h.sum -= (rewritingRate - 1) * usual * float64(r.at.sub(refusals[k-1].at))
		}
		h.add(k, k+1, math.Log(rewritingRate))
	}
	return h.from, h.to
}

// lostRewriting makes the incident of mail whose senders are not rewritten. rewrote: they were before.
func (x *refusalSearch) lostRewriting(s *stream, refusals []*refusal, rewrote bool) *incident {
	in := x.incident(Likely, s, refusals)
	in.unrewritten, in.rewrote, in.keys[0].detail = true, rewrote, "unrewritten"
	in.past = nil // those were rewritten, or few
	return in
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
