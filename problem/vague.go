package problem

import (
	"context"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// This file joins vague incidents to the incident that names their cause. A missing DKIM signature
// is "DMARC" to one provider and "policy" to the next; a missing PTR record is a bad reputation to a
// provider that names nothing better. If both begin to refuse the same mail at the same time, it is
// one incident.

// addressShare is the minimum share of the mail of all senders that a provider refuses if it judges
// the sending address; higher: fewer vague incidents join one about the address.
const addressShare = 0.25

// vague reports whether an incident's replies name no cause, or none that can be checked: a bad
// reputation, or a blocklist without a name.
func (in *incident) vague() bool {
	switch {
	case in.forwarded || in.spam:
		return false
	case !in.named():
		return in.level == Likely
	}
	k := in.keys[0]
	return in.standing() || k.reason == bounce.Blocklist && k.detail == ""
}

// nameable reports whether vague incidents may join this one: it is no background, and names a cause
// in the records or the domain of a sender (bySender), or in the sending address.
func (in *incident) nameable() (ok, bySender bool) {
	var seen counter
	if !in.named() || in.forwarded || in.spam || in.level != Confirmed || seen.count(in.all, anyMessage) < IncidentLeast {
		return false, false
	}
	switch k := in.keys[0]; k.reason {
	case bounce.AuthFailure, bounce.SenderRejected:
		return true, true
	case bounce.RDNSHelo:
		return true, false
	case bounce.Blocklist:
		return k.detail != "" && !isDomainList(k.detail), false
	}
	return false, false
}

// joinVague joins each vague incident to the first incident, in the order of their onsets, that
// names its cause. All are measured already.
func (x *refusalSearch) joinVague(ctx context.Context, list []*incident, histories []store.History) ([]*incident, error) {
	inOrder := slices.Clone(list)
	slices.SortStableFunc(inOrder, byOnset)
	joined := map[*incident]bool{}
	var grown []*incident
	for _, v := range inOrder {
		if !v.vague() {
			continue
		}
		var in *incident
		for _, named := range inOrder {
			is, err := x.namesCauseOf(ctx, named, v, histories)
			if err != nil {
				return nil, err
			}
			if is {
				in = named
				break
			}
		}
		if in == nil {
			continue
		}
		in.join(v)
		in.began = min(in.began, v.began)
		in.vagueKeys = append(in.vagueKeys, v.keys...)
		in.vagueProviders = append(in.vagueProviders, providersOf(countTraits(v.all))...)
		joined[v] = true
		if !slices.Contains(grown, in) {
			grown = append(grown, in)
		}
	}
	for _, in := range grown {
		in.takeOver()
		x.claimRest(in)
		x.measure(in, histories)
	}
	return slices.DeleteFunc(list, func(in *incident) bool { return joined[in] }), nil
}

// claimRest adds to an incident the unclaimed refusals, in its time, of the silent streams that joined it.
func (x *refusalSearch) claimRest(in *incident) {
	for _, k := range in.vagueKeys {
		s := x.silent[k]
		if s == nil {
			continue
		}
		rest := claim(s.refusals, stretch{since: in.began, until: in.until})
		in.all = append(in.all, rest...)
		in.refusals = append(in.refusals, between(rest, x.since, x.until)...)
	}
	sortByTime(in.all)
	sortByTime(in.refusals)
}

// namesCauseOf reports whether an incident names the cause of a vague one: they concern the same
// mail, began together, and have not ended apart.
func (x *refusalSearch) namesCauseOf(ctx context.Context, in, v *incident, histories []store.History) (bool, error) {
	ok, bySender := in.nameable()
	if !ok {
		return false, nil
	}
	at := providersOf(countTraits(in.all))
	for _, name := range providersOf(countTraits(v.all)) {
		if slices.Contains(at, name) { // it names two causes: see also absorb
			return false, nil
		}
	}
	same := true // the senders of v are senders of in
	for s := range v.senders {
		same = same && in.senders[s]
	}
	switch {
	case bySender && (v.named() || !same):
		return false, nil
	case !bySender && (len(v.senders) < 2 && !same || v.others >= len(v.senders)): // it is about the senders
		return false, nil
	case in.keys[0].reason == bounce.Blocklist && slices.ContainsFunc(v.all, func(r *refusal) bool { return r.Reason == bounce.Reputation }): // volume, complaints
		return false, nil
	case !bySender && !refusesAddress(in, v, histories):
		return false, nil
	case (!in.ongoing || !v.ongoing) && in.until.sub(v.until).Abs() >= x.o.Window:
		return false, nil
	}
	first, later := in, v
	if v.began < in.began {
		first, later = v, in
	}
	read, known := covered(later.histories, histories, later.began.time())
	if !known || read.First.After(first.began.time()) || later.began.sub(first.began) >= x.o.Window {
		return false, nil
	}
	if !later.takenSince(first.began, histories) {
		return true, nil
	}
	return x.ofOneOrigin(ctx, first, later, histories)
}

// refusesAddress reports whether the providers of a vague incident refuse so much of the mail of all
// senders, from its onset until the end of either incident, that they judge the sending address.
func refusesAddress(in, v *incident, histories []store.History) bool {
	read, known := covered(v.histories, histories, v.began.time())
	if !known {
		return false
	}
	var all []store.Delivered
	for _, i := range v.histories {
		all = append(all, histories[i].Deliveries...)
	}
	span := store.Span{First: v.began.time(), Last: max(in.until, v.until).time()}
	if read.Last.Before(span.Last) {
		span.Last = read.Last
	}
	t := tried(span, v.compared(v.all), all)
	return float64(t.Refused) >= addressShare*float64(t.Tried)
}

// vagueAsked is the maximum number of pairs of incidents in one search whose origins are looked up.
const vagueAsked = 20

// ofOneOrigin reports whether one of several mail hosts, or instances of an MTA, sent the mail of both
// incidents, and not the mail that the provider of the later one took since the earlier one began.
func (x *refusalSearch) ofOneOrigin(ctx context.Context, first, later *incident, histories []store.History) (bool, error) {
	if x.originsAsked++; x.originsAsked > vagueAsked {
		return false, nil
	}
	var refs []store.Ref
	for _, in := range [...]*incident{first, later} {
		for _, i := range some(len(in.all)) {
			refs = append(refs, in.all[i].ref())
		}
	}
	refused := len(refs)
	refs = append(refs, later.takenFrom(first.began, histories)...)
	if len(refs) > originMessages {
		return false, nil
	}
	found, err := x.s.Lookup(ctx, refs...)
	if err != nil {
		return false, err
	}
	var host, instance string
	known, taken := false, 0
	for i, a := range found {
		switch {
		case a == nil:
		case i >= refused:
			if a.Host == host && a.Instance == instance {
				taken++
			}
		case !known:
			host, instance, known = a.Host, a.Instance, true
		case a.Host != host || a.Instance != instance:
			return false, nil
		}
	}
	return known && taken < takenBefore, nil
}

// isVague reports whether refusals with these traits came from a vague incident.
func (in *incident) isVague(c traitCount) bool {
	return c.stream != nil && slices.Contains(in.vagueKeys, c.stream.key)
}

// vagueText says which providers name no cause or another one, or returns "".
func (in *incident) vagueText() string {
	list := slices.Compact(slices.Sorted(slices.Values(in.vagueProviders)))
	if len(list) == 0 {
		return ""
	}
	names := nameSome(provider.Names(list), "", "others")
	verb, pronoun := " names", "it"
	if len(list) > 1 {
		verb, pronoun = " name", "they"
	}
	return strings.Join([]string{" ", names, verb, " no cause or another one; ", pronoun, " began to refuse the same mail at the same time."}, "")
}
