package problem

import (
	"context"
	"math"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

const (
	// settledAfter is the time without a refusal after which an incident may be settled; lower:
	// deferrals that return are more often called ended in between.
	settledAfter = 6 * time.Hour
	// settledOthers is the number of messages that were never refused and were taken since, at least.
	settledOthers = 3
	// settledAsked is the number of recipients, of those who took no mail since, who are looked up.
	settledAsked = 20
)

// findSettled ends the incidents of deferrals whose mail was all taken. Of other incidents, a few
// messages taken show little, since they may be other mail than the refused (see Course).
func (x *refusalSearch) findSettled(ctx context.Context, list []*incident, histories []store.History) error {
	for _, in := range list {
		if !in.ongoing || len(in.refusals) == 0 || len(in.unread) > 0 || in.spam || len(in.taken) == 0 {
			continue
		}
		read, ok := covered(in.histories, histories, in.until.time())
		if !ok || !in.lulled(in.deliveries(histories), min(momentOf(read.Last), x.last)) {
			continue
		}
		waits, err := x.waits(ctx, in)
		if err != nil {
			return err
		}
		if !waits {
			in.ongoing, in.endedAt = false, momentOf(in.taken[0].Time)
		}
	}
	return nil
}

// lulled reports whether an incident has only deferrals, no earlier time without a refusal was as long
// as the present one, and the messages taken since, retried ones and others, are more than chance. last
// is the time up to which the deliveries own were read.
func (in *incident) lulled(own []store.Delivered, last moment) bool {
	longest, refused := settledAfter, map[uint64]bool{}
	for i, r := range in.all {
		if r.hard || r.Code >= 500 {
			return false
		}
		if refused[r.message] = true; i > 0 {
			longest = max(longest, r.at.sub(in.all[i-1].at))
		}
	}
	if last.sub(in.until) <= longest {
		return false
	}
	during, since, others := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{} // messages; others were not refused
	for i := range own {
		m := own[i].Message
		switch t := momentOf(own[i].Time); {
		case t < in.began || t > last:
		case t <= in.until:
			during[m] = true
		default:
			since[m] = true
			if !refused[m] {
				others[m] = true
			}
		}
	}
	share := min(float64(len(in.all))/float64(len(in.all)+len(during)), 0.9) // of the attempts; as in Course.Needed
	return len(others) >= settledOthers && math.Pow(1-share, float64(len(since))) < endChance
}

// waits reports whether mail of an incident may still wait: a recipient took no mail and got no other
// answer since, such as that the mailbox is full.
func (x *refusalSearch) waits(ctx context.Context, in *incident) (bool, error) {
	last := map[uint64]*refusal{} // by recipient
	for _, r := range in.all {
		if r.reached {
			continue
		}
		if last[r.recipient] == nil && len(last) == settledAsked {
			return true, nil
		}
		last[r.recipient] = r
	}
	if len(last) == 0 {
		return false, nil
	}
	var refs []store.Ref
	for _, r := range last {
		refs = append(refs, r.ref())
	}
	refused, err := x.s.Lookup(ctx, refs...) // a refusal keeps no address of such a recipient
	if err != nil {
		return false, err
	}
	open := map[uint64]bool{}
	f := x.f
	f.Since, f.Until, f.Outcomes, f.Reasons = in.began.time(), x.last.time().Add(time.Second), []bounce.Outcome{bounce.Soft, bounce.Hard}, nil
	f.Recipients = nil
	for _, a := range refused {
		if a == nil {
			return true, nil
		}
		f.Recipients = append(f.Recipients, a.Recipient)
		open[x.hash(a.Recipient)] = true
	}
	for a, err := range x.s.Attempts(ctx, f, store.Page{}) {
		if err != nil {
			return false, err
		}
		if k := x.hash(a.Recipient); open[k] && momentOf(a.Time) > last[k].at {
			delete(open, k)
		}
	}
	return len(open) > 0, nil
}
