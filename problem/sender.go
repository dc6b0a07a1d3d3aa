package problem

import (
	"context"
	"math"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A refused sender is a sender domain from which receivers accept no mail, for any recipient: the
// domain does not exist, has no MX record, or fails a callout. A single receiver may have a rule
// against a sender. Refusals by several unrelated receivers, of most of the sender's mail, are an
// incident.

const (
	senderProviders = 3   // providers that refuse the sender, at least; higher: fewer incidents
	senderMessages  = 5   // messages refused in a window, at least; higher: fewer incidents
	senderShare     = 0.5 // of the messages of the sender domain, or of those to the domains that refuse it, that were refused or taken in that time; higher: fewer incidents
	senderCore      = 0.9 // of the refusals, in the shortest time that holds so many, are compared with the other mail: a single one, days later, would compare with all mail until then; higher: fewer incidents
	sendersAsked    = 200 // sender domains whose other mail is counted to the second; the mail of the others is counted by whole days, so a few incidents are found a day later
	spreadProviders = 5   // providers that each refuse a few messages for the same cause, to count as one incident; higher: fewer such incidents
)

// countsSender reports whether the refusal of a sender counts: the mail was written here, a
// receiver refused it, and the refusal is permanent or lasted longer than greylisting.
func (x *refusalSearch) countsSender(from *store.Refusal, r *refusal) bool {
	cause, _ := causeOf(from, x.o.Valid)
	relay := cause != "" || r.smarthost && r.noRelay // the relay host's own rule about permitted senders
	return !r.Forwarded && r.SenderDomain != "" && r.Code != 0 && !relay && !delayed(from)
}

// isRefusedSender reports whether refusals of one sender domain are an incident: they are most of its
// mail, or most of its mail to many domains that took mail before.
func (x *refusalSearch) isRefusedSender(ctx context.Context, in *incident) (bool, error) {
	counts := countTraits(in.all)
	providers := len(providersOf(counts))
	if providers < senderProviders || mostInWindow(in.all, x.o.Window) < senderMessages {
		return false, nil
	}
	most, err := x.refusedMostly(ctx, in.keys[0].sender, in.all, nil)
	if most || err != nil || providers < spreadProviders || !mostlyValid(in.all) {
		return most, err
	}
	return x.refusedMostly(ctx, in.keys[0].sender, in.all, domainsOfTraits(counts))
}

// mostlyValid reports whether most of the refused recipients are known to be valid.
func mostlyValid(refusals []*refusal) bool {
	var seen counter
	valid := seen.count(refusals, validRecipient)
	return 2*valid > seen.count(refusals, anyRecipient)
}

// joinFew adds to incidents of several refused senders those with too little mail to be an incident
// by themselves, if the same providers refuse most of it at the same time.
func (x *refusalSearch) joinFew(ctx context.Context, list, few []*incident) error {
	for _, in := range list {
		if in.keys[0].reason != bounce.SenderRejected || len(in.senders) < SendersNamed {
			continue
		}
		all := providersOf(countTraits(in.all))
		for i, f := range few {
			if f == nil || f.began.sub(in.until) >= x.o.Window || in.began.sub(f.began) >= x.o.Window || !subset(providersOf(countTraits(f.all)), all) {
				continue
			}
			most, err := x.refusedMostly(ctx, f.keys[0].sender, f.all, nil)
			if err != nil {
				return err
			}
			if most {
				f.senders = map[string]bool{f.keys[0].sender: true}
				in.began = min(in.began, f.began)
				in.join(f)
				few[i] = nil
			}
		}
		in.takeOver()
	}
	return nil
}

// refusedMostly reports whether refusals, in the order of time, are a large share of the mail of
// their sender domain that was refused or taken in that time, at some domains or (nil) at all. Mail
// that failed for another reason does not count: a provider that looks the sender domain up may call
// that a DNS error of its own.
func (x *refusalSearch) refusedMostly(ctx context.Context, sender string, refusals []*refusal, domains []string) (bool, error) {
	f := x.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	if domains != nil {
		f.Domain, f.Domains = "", domains
	}
	refusals = core(refusals)
	since, until := refusals[0].at.time(), refusals[len(refusals)-1].at.time()
	var seen counter
	takenMost := float64(seen.count(refusals, anyMessage)) * (1/senderShare - 1)
	if x.sendersAsked++; x.sendersAsked > sendersAsked {
		if domains != nil {
			return false, nil
		}
		taken, err := x.takenOn(ctx, f, sender, dayOf(since), dayOf(until))
		return float64(taken) <= takenMost, err
	}
	f.Since, f.Until, f.SenderDomain = since, until.Add(time.Second), sender
	c, err := store.CountAll(ctx, x.s, f)
	return float64(c.Messages) <= takenMost, err
}

// core returns the refusals, in the order of time, of the shortest time that holds senderCore of them.
func core(refusals []*refusal) []*refusal {
	n := int(math.Ceil(senderCore * float64(len(refusals))))
	best := 0
	for i := range len(refusals) - n + 1 {
		if refusals[i+n-1].at.sub(refusals[i].at) < refusals[best+n-1].at.sub(refusals[best].at) {
			best = i
		}
	}
	return refusals[best : best+n]
}

// takenOn counts the messages of a sender domain that were taken on the days first to last. f selects
// deliveries. One query counts all sender domains.
func (x *refusalSearch) takenOn(ctx context.Context, f store.Filter, sender string, first, last int) (n int64, err error) {
	if x.taken == nil {
		f.Since = dayTime(dayOf(f.Since) - int(x.o.Past/(24*time.Hour)))
		if x.f.Since.IsZero() {
			f.Since = time.Time{}
		}
		cells, err := x.s.Count(ctx, f, store.BySenderDomain, store.ByDay)
		if err != nil {
			return 0, err
		}
		x.taken = map[string]map[int]int64{}
		for i := range cells {
			day, err := time.Parse(time.DateOnly, cells[i].Keys[1])
			if err != nil {
				continue
			}
			taken := x.taken[cells[i].Keys[0]]
			if taken == nil {
				taken = map[int]int64{}
				x.taken[cells[i].Keys[0]] = taken
			}
			taken[dayOf(day)] += cells[i].Messages
		}
	}
	for day := first; day <= last; day++ {
		n += x.taken[sender][day]
	}
	return n, nil
}
