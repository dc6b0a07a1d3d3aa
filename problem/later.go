package problem

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// findLaterEnds decides whether incidents go on if the histories do not tell. Of a server with much
// mail, or with many incidents, they hold a part of the deliveries (see deliveriesRead) and may end
// before the log does. Forwarded spam has new senders each day, and histories do not tell which
// deliveries were forwarded. findLaterEnds reads the deliveries of each such incident by themselves.
// wanted are the streams of the histories.
func (x *refusalSearch) findLaterEnds(ctx context.Context, list []*incident, wanted []store.Stream, histories []store.History) error {
	var open []*incident
	for _, in := range list {
		read, ok := covered(in.histories, histories, in.until.time())
		if in.ongoing && len(in.refusals) > 0 && len(in.histories) > 0 && (!ok || momentOf(read.Last) < x.last || in.spam) {
			open = append(open, in)
		}
	}
	slices.SortStableFunc(open, func(a, b *incident) int { return cmp.Compare(len(b.refusals), len(a.refusals)) })
	for i, in := range open {
		if i >= endsRead {
			in.unknown = true
			continue
		}
		from := in.began
		if read, ok := covered(in.histories, histories, in.until.time()); ok && !in.spam {
			from = momentOf(read.Last) + 1
		}
		own, since, err := x.readTaken(ctx, in, wanted, from, store.Page{Limit: endRead, Newest: true})
		if err != nil {
			return err
		}
		// Between refusals whose time was not read, mail may have been taken.
		refusals := slices.DeleteFunc(slices.Clone(in.compared(in.all)), func(r *refusal) bool {
			_, ok := covered(in.histories, histories, r.at.time())
			return r.at < since && (!ok || in.spam)
		})
		for _, d := range in.deliveries(histories) {
			if momentOf(d.Time) < since && !in.spam {
				own = append(own, d)
			}
		}
		x.findEnd(in, own, refusals, x.last)
		if in.ongoing || since == from {
			continue
		}
		in.more = true
		first, _, err := x.readTaken(ctx, in, wanted, in.lasted+1, store.Page{Limit: firstRead})
		if err != nil {
			return err
		}
		for i := range first {
			in.endedAt = min(in.endedAt, momentOf(first[i].Time))
		}
	}
	return nil
}

// readTaken reads a page of the deliveries of an incident's senders to its providers since a time; of
// forwarded spam, of those that the same addresses forwarded. It returns the time since which they are
// complete, if the newest were read.
func (x *refusalSearch) readTaken(ctx context.Context, in *incident, wanted []store.Stream, from moment, page store.Page) (list []store.Delivered, since moment, err error) {
	since = from
	seed := maphash.MakeSeed()
	read := func(f store.Filter) error {
		n := 0
		for a, err := range x.s.Attempts(ctx, f, page) {
			if err != nil {
				return err
			}
			if n++; n == page.Limit {
				since = max(since, momentOf(a.Time))
			}
			if in.spam || in.senders[a.SenderDomain] {
				list = append(list, store.Delivered{Source: a.Source, Offset: a.Offset, Time: a.Time, SenderDomain: a.SenderDomain, Message: messageHash(a, seed)})
			}
		}
		return nil
	}
	f := x.f
	f.Since, f.Until, f.Outcomes, f.Reasons = from.time(), x.last.time().Add(time.Second), []bounce.Outcome{bounce.Delivered}, nil
	to, domains := &store.Destination{}, []string(nil)
	for _, i := range in.histories {
		to.Relays = append(to.Relays, wanted[i].Relays...)
		domains = append(domains, wanted[i].Domains...)
	}
	if in.spam {
		for _, f.Original = range in.originals {
			f.To = to
			if err := read(f); err != nil {
				return nil, since, err
			}
		}
		return list, since, nil
	}
	if len(in.senders) == 1 {
		for sender := range in.senders {
			f.SenderDomain = sender
		}
	}
	if len(to.Relays) > 0 {
		f := f
		f.To = to
		if err := read(f); err != nil {
			return nil, since, err
		}
	}
	if len(domains) > 0 {
		f.Domain, f.Domains = "", domains
		if err := read(f); err != nil {
			return nil, since, err
		}
	}
	if page.Newest {
		list = slices.DeleteFunc(list, func(d store.Delivered) bool { return momentOf(d.Time) < since })
	}
	return list, since, nil
}
