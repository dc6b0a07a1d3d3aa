package problem

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/store"
)

// A relay host (a smarthost) takes the mail of this server to all others. If it takes none of the mail
// that it took before, nothing goes out, whatever its reply says: see the evidence relayed. What its
// replies say decides the cause.

// The newest attempts tell whether there is a relay host; without one, the search asks nothing more.
const (
	hopsRead  = 100 // attempts read for that; higher: seen in logs with more mail to own mailboxes
	hopsNoted = 20  // attempts at servers of others that are enough
)

// nextHops are the relays of others that the newest attempts went to.
type nextHops struct {
	hosts map[string]bool // by name; true: at a port for submission
	n     int             // attempts
}

// note notes the relay of an attempt.
func (x *nextHops) note(d *bounce.Delivery) {
	if d.RelayHost == "" || judge.OwnRelay(d.RelayHost) || judge.OwnServer(d) {
		return
	}
	if x.hosts == nil {
		x.hosts = map[string]bool{}
	}
	host := ascii.Lower(d.RelayHost)
	x.hosts[host] = x.hosts[host] || provider.Submits(d.RelayPort)
	x.n++
}

// findRelayHosts finds the failures at relay hosts that are due to this side: the times in which such a
// host takes next to nothing of what it took before, and the limits of this side's account that it
// names.
func (w *outageSearch) findRelayHosts(ctx context.Context) error {
	for _, host := range slices.Sorted(maps.Keys(w.relays.hosts)) {
		submits := w.relays.hosts[host]
		if !submits && (len(w.relays.hosts) > 1 || provider.Page(provider.OfHost(host)) != "") || w.f.Relay != "" && !store.AtRelay(host, w.f.Relay) {
			continue
		}
		if !submits {
			only, err := w.takesMost(ctx, host)
			if err != nil {
				return err
			}
			if !only {
				continue
			}
		}
		if err := w.readRelayHost(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// takesMost reports whether a host took nearly all mail to others.
func (w *outageSearch) takesMost(ctx context.Context, host string) (bool, error) {
	f := w.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	if w.from != 0 {
		f.Since = w.from.add(-w.o.Past).time()
	}
	cells, err := w.s.Count(ctx, f, store.ByRelay)
	if err != nil {
		return false, err
	}
	others, err := w.mostTakenByOthers(ctx, f, cells, 0, math.MaxInt64)
	if err != nil {
		return false, err
	}
	var all, here int64
	for i := range cells {
		if c := &cells[i]; others[c.Keys[0]] {
			all += c.Delivered
			if ascii.Lower(c.Keys[0]) == host {
				here += c.Delivered
			}
		}
	}
	return all > 0 && float64(here) >= outageOneSource*float64(all), nil
}

// readRelayHost reads the failures at a relay host.
func (w *outageSearch) readRelayHost(ctx context.Context, host string) error {
	f := w.f
	f.Since, f.Relay, f.Outcomes = w.from.time(), host, []bounce.Outcome{bounce.Soft, bounce.Hard}
	var list, limits []failure
	for r, err := range w.s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		if r.Code == 0 || r.NullSender || r.Untried || quotesAnother(r.Template) {
			continue
		}
		if cause, _ := causeOf(r, w.o.Valid); cause != "" {
			continue
		}
		x := w.failureOf(r, relayed, provider.OfHost(r.RecipientDomain))
		if r.Reason == bounce.RateLimited && limitsAccount(r.Template) {
			x.evidence = stated
			limits = append(limits, x)
			continue
		}
		if len(list) == failuresKept {
			list = append(list[:0], list[failuresKept/2:]...)
		}
		list = append(list, x)
	}
	w.addFailures(causeAccount, limits)
	list, err := w.withoutUnowned(ctx, host, list)
	if err != nil {
		return err
	}
	of := w.f
	of.Relay = host
	runs, err := w.untakenBy(ctx, of, list)
	if err != nil {
		return err
	}
	for _, run := range runs {
		most := mostSaid(run)
		switch valid := newOutage(causeRelay, run).valid; {
		case !unrelated(run) || len(valid) < w.o.Recipients:
		case most.Reason == bounce.SenderRejected || suspends(most.Template):
			w.addFailures(causeAccount, run)
		default:
			w.addFailures(causeRelay, run)
		}
	}
	return nil
}

// addFailures adds failures with a cause to those that were read.
func (w *outageSearch) addFailures(cause string, list []failure) {
	if len(list) == 0 {
		return
	}
	all := slices.Concat(w.causes[cause], list)
	slices.SortStableFunc(all, func(a, b failure) int { return cmp.Compare(a.at, b.at) })
	w.causes[cause] = all
}

// untakenBy returns the runs of failures in which next to nothing that f selects was taken, as by a relay host: those of
// whole hours, and, before and after these and in the last hour, those up to the nearest delivery.
func (w *outageSearch) untakenBy(ctx context.Context, f store.Filter, list []failure) (runs [][]failure, err error) {
	if len(list) < outageMessages {
		return nil, nil
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	if w.from != 0 {
		f.Since = w.from.add(-w.o.Past).hour() // whole hours are counted already
	}
	cells, err := w.s.Count(ctx, f, store.ByHour)
	if err != nil {
		return nil, err
	}
	taken, failed := map[string]int64{}, map[string]int64{} // by hour
	first := ""                                             // the hour of the first delivery
	for i := range cells {
		if k := cells[i].Keys[0]; cells[i].Delivered > 0 {
			taken[k] = cells[i].Delivered
			if first == "" || k < first {
				first = k
			}
		}
	}
	if first == "" {
		return nil, nil
	}
	for i := range list {
		failed[hourKey(list[i].at.time())]++
	}
	flows := func(hour time.Time) bool {
		k := hourKey(hour)
		return float64(taken[k]) > outageThrough*float64(failed[k])
	}
	// One of a list is the failures of an hour with deliveries, or of hours without any in between.
	parts := split(list, func(a, b *failure) bool {
		from, to := a.at.hour(), b.at.hour()
		if from.Equal(to) {
			return false
		}
		for t := from; !t.After(to); t = t.Add(time.Hour) {
			if flows(t) || t.Sub(from) > w.o.Window {
				return true
			}
		}
		return false
	})
	flowing := func(part []failure) bool { return flows(part[0].at.hour()) }
	// edge returns the failures of an hour with deliveries that are before the first of these, or after
	// the last.
	edge := func(part []failure, after bool) ([]failure, error) {
		f := f
		f.Since, f.Until = part[0].at.hour(), part[0].at.hour().Add(time.Hour)
		span, err := w.s.Span(ctx, f)
		return slices.DeleteFunc(slices.Clone(part), func(x failure) bool {
			t := x.at.time()
			return after && !t.After(span.Last) || !after && !t.Before(span.First)
		}), err
	}
	last := len(parts) - 1
	for i := max(len(parts)-runsKept, 0); i <= last; i++ {
		var before, within, after []failure
		switch {
		case flowing(parts[i]) && i < last: // its edges are with its neighbours
			continue
		case flowing(parts[i]):
			before, err = edge(parts[i], true)
		default:
			within = parts[i]
			if i > 0 && flowing(parts[i-1]) {
				before, err = edge(parts[i-1], true)
			}
			if err == nil && i < last && flowing(parts[i+1]) {
				after, err = edge(parts[i+1], false)
			}
		}
		if err != nil {
			return nil, err
		}
		runs = append(runs, slices.Concat(before, within, after))
	}
	return slices.DeleteFunc(runs, func(run []failure) bool { return len(run) == 0 || hourKey(run[0].at.time()) < first }), nil
}

// mostSaid returns the failure with the most frequent verdict of a run.
func mostSaid(run []failure) (most *failure) {
	type verdict struct {
		reason bounce.Reason
		detail string
	}
	n := map[verdict]int{}
	for i := range run {
		v := verdict{run[i].Reason, run[i].Detail}
		n[v]++
		if most == nil || n[v] > n[verdict{most.Reason, most.Detail}] {
			most = &run[i]
		}
	}
	return most
}

// suspends reports whether a reply says that an account is suspended.
func suspends(template string) bool {
	text := strings.ToLower(template)
	holds := func(w string) bool { return strings.Contains(text, w) }
	return (holds("account") || holds("user ")) && slices.ContainsFunc([]string{"suspend", "disabled", "deactivated", "locked", "compromised", "credit"}, holds)
}

// senderKind are the words for a relay host that refuses the sender's addresses.
var senderKind = outageKind{
	place:            "at the relay host {hop}, which does not accept the sender's address",
	firstCheck:       "The sender addresses that the account at the relay host may use: add the domain or the address there, or log in with the account that owns it (Postfix: smtp_sasl_password_maps, smtp_sender_dependent_authentication; Exim: client authenticators). Then send again what was returned.",
	otherExplanation: "The account was replaced, or its provider began to check the addresses.", disprovedBy: "Mail of the same senders that the relay host takes.",
}

// blockedKind are the words for a relay host that blocked the sender for spam.
var blockedKind = outageKind{
	place:            "at the relay host {hop}, which has blocked the sender for outgoing spam",
	firstCheck:       "Whose mail it was: a stolen password, a form or a forwarder that sent much just before (bouncelog report --section senders). Change the password, end the sessions of the account, remove its forwarding rules; then lift the block (Microsoft 365: Defender portal, Restricted entities). Do not send the returned mail again unseen: it may be that spam.",
	otherExplanation: "A newsletter that recipients called spam.", disprovedBy: "Mail of the same senders that the relay host takes.",
}

// refusesKind are the words for a relay host that takes no mail for another reason.
var refusesKind = outageKind{
	place:            "at the relay host {hop}, which takes none: {what}",
	firstCheck:       "What the reply asks for; then the account at the relay host (in its panel, or with its provider), and what changed here: the address, the login, the programs that send.",
	otherExplanation: "The relay host itself is broken.", disprovedBy: "Mail that the relay host takes meanwhile.",
}

// relayedKind returns the outageKind of an outage whose evidence is that the relay host takes nothing.
func (x *outage) relayedKind() outageKind {
	most := mostSaid(x.run)
	switch {
	case most.Detail == judge.DetailOutboundSpam:
		return blockedKind
	case most.Reason == bounce.SenderRejected:
		return senderKind
	case x.cause == causeAccount:
		return outageKinds[causeAccount]
	}
	k := refusesKind
	k.place = strings.Replace(k.place, "{what}", judge.VerdictText(bounce.Verdict{Reason: most.Reason, Detail: most.Detail}).Title, 1)
	return k
}

// coversAtRelay reports whether a problem is an outage at the relay host that refused all mail of
// another problem, in its time.
func (p *Problem) coversAtRelay(other *Problem) bool {
	return p.Outage() && p.relay != "" && p.relay == other.relay && !other.Since.Before(p.Began()) && !other.Until.After(p.Until)
}
