package problem

import (
	"context"
	"maps"
	"slices"
	"time"

	"bouncelog/bounce"
)

// If one of several mail exchangers of a domain, or one of the servers behind its name, lost its table
// of mailboxes or of domains, the domain refuses and takes the mail to the same recipients in turn. That
// is one partial lapse, and no lapse for each time without a delivery.

// partialTurns is the minimum number of times that a domain refuses mail in a partial lapse, with
// deliveries to the refused recipients in between; higher: fewer such incidents. Of two, one may be a
// recipient who left.
const partialTurns = 3

// findPartial finds the partial lapses among the refusals of recipients who took mail before, by domain.
// It removes the refusals of a partial lapse from the map.
func (w *outageSearch) findPartial(ctx context.Context, valid map[string][]validRefusal) error {
	asked := 0
	for _, domain := range slices.Sorted(maps.Keys(valid)) {
		list := valid[domain]
		var rest []validRefusal
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].at.Sub(list[n-1].at) < w.o.Window {
				n++
			}
			part := list[:n]
			list = list[n:]
			l := w.alternating(part)
			if l == nil || asked >= domainsAsked {
				rest = append(rest, part...)
				continue
			}
			asked++
			f := w.during(l.run)
			f.Domain, f.Domains = domain, nil
			c, err := w.total(ctx, f)
			if err != nil {
				return err
			}
			cause, err := w.causeOfLapse(ctx, l.run)
			if err != nil {
				return err
			}
			if n := messagesOf(l.run); cause == "" || c.Delivered < int64(partialTurns-1) || float64(n) < w.o.Share*float64(c.Messages) {
				rest = append(rest, part...)
				continue
			}
			w.theirs[cause] = append(w.theirs[cause], *l)
		}
		valid[domain] = rest
	}
	w.dropFew(valid)
	return nil
}

// alternating returns the lapse of refusals, in the order of time, between which the refused recipients
// took mail, or nil.
func (w *outageSearch) alternating(list []validRefusal) *lapse {
	list = slices.DeleteFunc(slices.Clone(list), func(r validRefusal) bool {
		cause := lapseCauses[r.failure.Reason]
		return cause != causeTable && cause != causeHosted
	})
	if len(list) == 0 {
		return nil
	}
	first, last := list[0].at, list[len(list)-1].at
	if last.Sub(first) < theirsLasts {
		return nil
	}
	within := func(t time.Time) bool { return t.After(first) && t.Before(last) }
	var taken []time.Time
	again := map[uint64]bool{} // recipients who took mail in between
	for _, r := range list {
		for _, t := range [...]time.Time{r.before, r.after} {
			if within(t) {
				taken = append(taken, t)
				again[r.recipient] = true
			}
		}
	}
	slices.SortFunc(taken, time.Time.Compare)
	l := lapse{partial: true}
	turns := 0
	for _, r := range list {
		if !again[r.recipient] && r.failure.Reason != bounce.RelayDenied {
			continue // this one may have left
		}
		l.run = append(l.run, r.failure)
		n, _ := slices.BinarySearchFunc(taken, r.at, time.Time.Compare)
		if turns == 0 || n > 0 {
			turns++
		}
		taken = taken[n:]
	}
	if len(again) < w.o.Recipients || turns < partialTurns || messagesOf(l.run) < outageMessages {
		return nil
	}
	return &l
}

// refusingHost names the one host that refused the mail of a partial lapse, by its name or its address,
// if that took no mail of the domain meanwhile; else "".
func (w *outageSearch) refusingHost(ctx context.Context, run []failure) (string, error) {
	host, ip := run[0].RelayHost, run[0].RelayIP
	for i := range run {
		if run[i].RelayHost != host {
			host = ""
		}
		if run[i].RelayIP != ip {
			ip = ""
		}
	}
	for _, name := range [...]string{host, ip} {
		if name == "" {
			continue
		}
		f := w.during(run)
		f.Domain, f.Domains, f.Outcomes = run[0].RecipientDomain, nil, []bounce.Outcome{bounce.Delivered}
		if name == host {
			f.Relay = name
		} else {
			f.RelayIP = name
		}
		c, err := w.total(ctx, f)
		if err != nil {
			return "", err
		}
		if c.Delivered == 0 {
			return name, nil
		}
	}
	return "", nil
}
