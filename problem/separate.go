package problem

import (
	"context"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// This file separates incidents that merge joined since they began together, but that do not end
// together: two sender domains fail DMARC on one day, and the record of one is mended while the other
// is refused for two more days. Joined, the mail that the first one gets through would end both.

const (
	separatedAtMost = 20            // subjects of an incident; with more, no single one is the subject
	separatedAsked  = 100           // queries for the mail of subjects in one search
	separatedLeast  = 2 * time.Hour // time from the last refusal of a subject to the last one of another
)

// separated returns the incidents; in place of one whose subjects do not end together, one for each
// end.
func (x *refusalSearch) separated(ctx context.Context, list []*incident) (out []*incident, err error) {
	asked := 0
	for _, in := range list {
		var groups []*incident
		for parts := x.subjects(in); len(parts) > 0; {
			last := parts[0].until
			for _, p := range parts {
				last = max(last, p.until)
			}
			var ended, on []*incident
			for _, p := range parts {
				is := false
				if last.sub(p.until) >= separatedLeast && asked < separatedAsked {
					asked++
					if is, err = x.tookAgain(ctx, p, last); err != nil {
						return nil, err
					}
				}
				if is {
					ended = append(ended, p)
				} else {
					on = append(on, p)
				}
			}
			for _, p := range on[1:] {
				on[0].join(p)
			}
			on[0].takeOver()
			groups = append(groups, on[0])
			parts = ended
		}
		if len(groups) < 2 {
			groups = []*incident{in}
		}
		out = append(out, groups...)
	}
	return out, nil
}

// subjects returns the parts of an incident with one sender domain each, in the order of their
// onsets, or nil if they cannot be separated.
func (x *refusalSearch) subjects(in *incident) (parts []*incident) {
	if !in.named() || in.forwarded || in.standing() || len(in.keys) < 2 || len(in.senders) > separatedAtMost {
		return nil
	}
	bySender := map[string]*incident{}
	for _, k := range in.keys {
		if k.sender == "" {
			return nil
		}
		p := bySender[k.sender]
		if p == nil {
			p = &incident{level: in.level, senders: map[string]bool{k.sender: true}}
			bySender[k.sender] = p
			parts = append(parts, p)
		}
		p.keys = append(p.keys, k)
	}
	places := map[store.Ref]*incident{} // of the samples
	for _, s := range in.samples {
		places[s.ref()] = nil
	}
	for _, r := range in.all {
		p := bySender[r.SenderDomain]
		if p == nil {
			return nil
		}
		p.all = append(p.all, r)
		if _, ok := places[r.ref()]; ok {
			places[r.ref()] = p
		}
	}
	for _, r := range in.past {
		if p := bySender[r.SenderDomain]; p != nil {
			p.past = append(p.past, r)
		}
	}
	for _, s := range in.samples {
		if p := places[s.ref()]; p != nil {
			p.samples = append(p.samples, s)
		}
	}
	parts = slices.DeleteFunc(parts, func(p *incident) bool { return len(p.all) == 0 })
	for _, p := range parts {
		p.began, p.until = p.all[0].at, p.all[len(p.all)-1].at
		p.refusals = between(p.all, x.since, x.until)
	}
	slices.SortStableFunc(parts, byOnset)
	return parts
}

// tookAgain reports whether the providers of a part of an incident took takenBefore messages of its
// senders after its last refusal and before the last one of all.
func (x *refusalSearch) tookAgain(ctx context.Context, p *incident, last moment) (bool, error) {
	var h store.Stream
	from(&h, p.all)
	f := x.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	f.Since, f.Until, f.SenderDomain = p.until.time().Add(time.Second), last.time(), p.all[0].SenderDomain
	if len(h.Relays) > 0 {
		f.To = &store.Destination{Relays: h.Relays}
	} else {
		f.Domain, f.Domains = "", h.Domains
	}
	c, err := store.CountAll(ctx, x.s, f)
	return c.Messages >= takenBefore, err
}
