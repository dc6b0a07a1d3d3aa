package problem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// namedOf is the minimum share of the refusals of an incident that must name its cause; higher:
// more incidents.
const namedOf = 0.25

// An incident is a set of refusals that probably have one cause.
type incident struct {
	level        string
	keys         []key
	forwarded    bool
	spam         bool     // forwarded mail, refused as spam (see forwarded.go)
	unrewritten  bool     // the senders of forwarded mail are not rewritten
	rewrote      bool     // they were before; if unrewritten
	own          int      // messages that were not forwarded but refused in the same way; if spam
	originals    []string // addresses from which spam was forwarded, as far as they were read
	allOriginals bool     // originals is complete
	unproven     bool     // few of the recipients are known to be valid: see unproven.go
	froms        []string // domains of others in the From: of the refused mail: see from.go

	refusals []*refusal // of the period, in the order of time; none: it is kept because it may join another
	all      []*refusal // since the onset, at least one
	past     []*refusal // of the same streams, before the onset
	samples  []sample
	expired  []expiry // mail that expired in the period: see findExpired

	began, until moment          // the first refusal (the onset), and the last
	lasted       moment          // the last refusal that is no stray; see Course
	histories    []int           // indexes of the histories with its deliveries
	unread       map[string]bool // providers that are in no history: see from

	before, onset, everybody *Tried // see Problem
	ongoing                  bool
	more                     bool              // more than taken were taken
	unknown                  bool              // whether it goes on is not known: see findLaterEnds
	taken                    []store.Delivered // of each message of its senders taken after the last refusal that is no stray, the first, in order
	otherKind                bool              // mail that was taken since is of another kind: see samekind.go
	endedAt                  moment            // when the first of them was taken, if they show that the incident has ended
	needed                   int64             // messages in a row that show the end: see Course.Needed
	origins                  []Origin          // see findOrigins
	others                   int               // sender domains without a refusal whose mail was taken in that time

	vagueKeys      []key    // keys of the vague incidents that joined it: see vague.go
	vagueProviders []string // the providers of those

	joined  []*incident     // incidents that become part of it: see merge
	senders map[string]bool // sender domains of refusals, including those of joined
}

func (in *incident) named() bool { return in.keys[0].what == namedStream }

// incidents makes incidents of the streams: of the named streams, of silent streams that stand out
// from their deliveries, and of the remaining refusals to valid recipients.
//
// Invariant: which refusals are one incident does not depend on the beginning of the period. So
// incidents are made of all refusals that were read. Those without a refusal in the period are
// dropped only when no other incident can join them any more. So one incident has the same onset,
// name and key on each of its days.
//
// histories are the deliveries that were read for them.
func (x *refusalSearch) incidents(ctx context.Context) (list []*incident, histories []store.History, err error) {
	named, err := x.namedIncidents(ctx)
	if err != nil {
		return nil, nil, err
	}
	if named, err = x.separated(ctx, x.related(named)); err != nil {
		return nil, nil, err
	}
	x.joinUnnamed(named)
	own, shared := x.weighed()
	wanted := x.histories(named, own, shared)
	histories, err = x.s.Delivered(ctx, wanted, deliveriesRead)
	if err != nil {
		return nil, nil, err
	}
	named = rejoin(named, histories, x.o.Quiet())
	silent, err := x.silentIncidents(ctx, own, shared, histories)
	if err != nil {
		return nil, nil, err
	}
	silent = slices.DeleteFunc(silent, func(s *incident) bool {
		return slices.ContainsFunc(named, func(in *incident) bool { return in.absorb(s, x.o.Window) })
	})
	found := slices.Concat(named, silent)
	x.claimAlike(found, histories)
	for _, in := range found {
		if len(in.refusals) > 0 || in.named() { // see joinProviders
			x.measure(in, histories)
		}
	}
	if found, err = x.joinVague(ctx, x.joinProviders(found, histories), histories); err != nil {
		return nil, nil, err
	}
	for _, in := range found {
		if in.spam && len(in.refusals) > 0 {
			if err := in.readOriginals(ctx, x.s); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := x.findLaterEnds(ctx, found, wanted, histories); err != nil {
		return nil, nil, err
	}
	if err := x.holdEnds(ctx, found, histories); err != nil {
		return nil, nil, err
	}
	if err := x.findSettled(ctx, found, histories); err != nil {
		return nil, nil, err
	}
	found = append(found, x.watched()...)
	return slices.DeleteFunc(found, func(in *incident) bool { return len(in.refusals) == 0 }), histories, nil
}

// related returns the incidents with a refusal in the period, and those that may become part of
// one: incidents of the same stream (see rejoin), bad reputations that began within a window of
// one (see joinProviders), and incidents within a window of the period that may name the cause of
// others (see vague.go). The deliveries of other incidents need not be read.
func (x *refusalSearch) related(list []*incident) []*incident {
	keys := map[key]bool{}
	var standing []moment // onsets
	for _, in := range list {
		if len(in.refusals) == 0 {
			continue
		}
		for _, k := range in.keys {
			keys[k] = true
		}
		if in.standing() {
			standing = append(standing, in.began)
		}
	}
	near := func(in *incident) bool {
		return in.standing() && slices.ContainsFunc(standing, func(t moment) bool { return t.sub(in.began).Abs() < x.o.Window })
	}
	names := func(in *incident) bool {
		ok, _ := in.nameable()
		return ok && len(in.all) >= largerBy && x.since.sub(in.until) < x.o.Window
	}
	return slices.DeleteFunc(list, func(in *incident) bool {
		return len(in.refusals) == 0 && !near(in) && !names(in) && !slices.ContainsFunc(in.keys, func(k key) bool { return keys[k] })
	})
}

// shownFirst returns the incidents, those with a refusal in the period first.
func shownFirst(list []*incident) []*incident {
	shown := func(in *incident) int { return min(len(in.refusals), 1) }
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *incident) int { return cmp.Compare(shown(b), shown(a)) })
	return list
}

// absorb adds a silent incident to this named one, and reports whether it did. It does if the same
// providers refuse the same senders in that time, some of the messages without a cause, or other senders
// with the same replies.
func (in *incident) absorb(silent *incident, window time.Duration) bool {
	counts, own := countTraits(silent.all), countTraits(in.all)
	if in.level != Confirmed || silent.began.sub(in.until) >= window || in.began.sub(silent.until) >= window ||
		float64(len(in.all)) < namedOf*float64(len(in.all)+len(silent.all)) ||
		!subset(providersOf(counts), providersOf(own)) || !subset(sendersOf(counts), sendersOf(own)) && !subset(templatesOf(counts), templatesOf(own)) {
		return false
	}
	in.join(silent)
	in.began = min(in.began, silent.began)
	in.takeOver()
	return true
}

// subset reports whether all names of a list are in the sorted list of.
func subset(list, of []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { _, found := slices.BinarySearch(of, s); return !found })
}

// claimAlike adds to each incident without a named cause, or of mail called spam, the unclaimed refusals
// with the same reply by the same provider in its time and a window after it, if their sender domain had
// no mail taken there meanwhile: they are too few to stand out.
func (x *refusalSearch) claimAlike(list []*incident, histories []store.History) {
	type place struct{ provider, domain string }
	at := map[place][]*stream{}
	for _, s := range sorted(x.silent) {
		k := place{s.key.provider, s.key.domain}
		at[k] = append(at[k], s)
	}
	for _, in := range list {
		if in.named() && !in.content() || len(in.histories) == 0 {
			continue
		}
		taken := in.firstTaken(histories)
		templates := templatesOf(countTraits(in.all))
		var places []place
		for _, k := range in.keys {
			if p := (place{k.provider, k.domain}); p.provider != "" && !slices.Contains(places, p) {
				places = append(places, p)
			}
		}
		n := len(in.all)
		for _, p := range places {
			for _, s := range at[p] {
				end := in.until.add(x.o.Window)
				if t, ok := taken[s.key.sender]; ok {
					end = min(end, t)
				}
				if end <= in.until {
					continue
				}
				alike := slices.DeleteFunc(slices.Clone(between(s.refusals, in.began, end)), func(r *refusal) bool {
					_, same := slices.BinarySearch(templates, r.Template)
					return !same
				})
				in.all = append(in.all, claim(alike, stretch{since: in.began, until: end})...)
			}
		}
		if len(in.all) == n {
			continue
		}
		sortByTime(in.all)
		in.until = in.all[len(in.all)-1].at
		in.refusals = between(in.all, x.since, x.until)
	}
}

// firstTaken returns when the first message of each sender domain was taken after the onset, as far as
// the deliveries were read.
func (in *incident) firstTaken(histories []store.History) map[string]moment {
	first := map[string]moment{}
	for _, i := range in.histories {
		for _, d := range histories[i].Deliveries {
			at := momentOf(d.Time)
			if t, ok := first[d.SenderDomain]; at >= in.began && (!ok || at < t) {
				first[d.SenderDomain] = at
			}
		}
	}
	return first
}

// joinProviders joins the incidents of a bad reputation, in the order of their onsets, that began
// within a window of one another at many providers, each of which refuses a good part of the mail.
// These providers judge the sending address. Incidents whose deliveries were not read, since there
// are too many, join as well.
func (x *refusalSearch) joinProviders(list []*incident, histories []store.History) []*incident {
	var same, unread []*incident
	for _, in := range list {
		if in.level != Confirmed || !in.standing() {
			continue
		}
		if in.onset == nil {
			unread = append(unread, in)
			continue
		}
		around := store.Span{First: in.began.add(-x.o.Window / 2).time(), Last: in.until.add(x.o.Window / 2).time()}
		if t := tried(around, in.all, in.deliveries(histories)); float64(t.Refused) >= x.o.Share*float64(t.Tried) {
			same = append(same, in)
		}
	}
	slices.SortStableFunc(same, byOnset)
	for len(same) > 0 {
		n := slices.IndexFunc(same, func(in *incident) bool { return in.began.sub(same[0].began) >= x.o.Window })
		if n < 0 {
			n = len(same)
		}
		if first := same[0]; n >= spreadProviders {
			joined := map[*incident]bool{}
			for _, in := range slices.Concat(same[1:n], unread) {
				if d := in.began.sub(first.began); d >= 0 && d < x.o.Window {
					first.join(in)
					joined[in] = true
				}
			}
			first.takeOver()
			x.measure(first, histories)
			gone := func(in *incident) bool { return joined[in] }
			list, unread = slices.DeleteFunc(list, gone), slices.DeleteFunc(unread, gone)
		}
		same = same[n:]
	}
	return list
}

// byOnset orders incidents by their onsets.
func byOnset(a, b *incident) int {
	if a.began != b.began {
		return cmp.Compare(a.began, b.began)
	}
	return strings.Compare(a.keys[0].String(), b.keys[0].String())
}

// namedIncidents makes incidents of the named streams.
func (x *refusalSearch) namedIncidents(ctx context.Context) (list []*incident, err error) {
	for _, s := range sorted(x.named) {
		if s.key.reason == bounce.ContentRejected { // see content.go
			continue
		}
		for _, part := range splitByGap(s.refusals, x.o.Quiet()) {
			if s.key.forwarded && s.key.reason == bounce.AuthFailure {
				rewrote := true
				i, j, err := x.unrewritten(ctx, part)
				if err == nil && i == j {
					i, j, rewrote, err = x.unusual(ctx, part)
				}
				if err != nil {
					return nil, err
				}
				if i < j {
					list = append(list, x.lostRewriting(s, slices.Clip(part[i:j]), rewrote))
					part = slices.Concat(part[:i], part[j:])
				}
			}
			if len(part) == 0 {
				continue
			}
			byProvider := splitByProvider(part, x.o.Window)
			for _, part := range byProvider {
				in := x.incident(Confirmed, s, part)
				if len(byProvider) > 1 {
					in.keepProviders()
				}
				list = append(list, in)
			}
		}
	}
	var named, few []*incident
	for _, in := range shownFirst(list) { // queries to the store are limited
		k := in.keys[0]
		if k.forwarded {
			in.forwarded, in.level = true, Watch // forwarding is at fault, not this mail
		}
		is := k.reason.NamesCause()
		switch {
		case in.unrewritten:
			in.spam, in.level = true, Likely
		case is:
			in.markForwardedSpam()
		case k.reason == bounce.SenderRejected:
			if is, err = x.isRefusedSender(ctx, in); !is {
				few = append(few, in)
			}
		default:
			is, err = x.isForwardedSpam(ctx, in)
		}
		if err != nil {
			return nil, err
		}
		if is {
			named = append(named, in)
		}
	}
	spam, err := x.contentIncidents(ctx)
	if err != nil {
		return nil, err
	}
	named = merge(append(named, spam...), x.o.Window, false)
	return named, x.joinFew(ctx, named, few)
}

// silentIncidents makes incidents of the faults of silent streams: first of streams of one sender
// domain, then of shared streams with the remaining refusals.
func (x *refusalSearch) silentIncidents(ctx context.Context, own, shared []*stream, histories []store.History) (list []*incident, err error) {
	for _, s := range slices.Concat(own, shared) {
		if s.history < 0 || s.history >= len(histories) {
			continue
		}
		if s.key.what == sharedStream {
			s.refusals = slices.DeleteFunc(s.refusals, func(r *refusal) bool { return r.claimed })
		}
		for _, f := range x.faultsOf(s, &histories[s.history]) {
			if s.key.what == sharedStream && s.key.sender != "" && s.key.provider == "" { // the history is of the refusing providers
				if most, err := x.refusedMostly(ctx, s.key.sender, between(s.refusals, f.since, f.until+1), nil); err != nil {
					return nil, err
				} else if !most {
					continue
				}
			}
			if s.key.what == sharedStream && s.key.sender == "" && !isShared(between(s.refusals, f.since, f.until+1), &histories[s.history]) {
				continue
			}
			if f.unproven {
				if takes, err := x.takesPart(ctx, s, between(s.refusals, f.since, f.until+1)); err != nil {
					return nil, err
				} else if !takes {
					continue
				}
			}
			if claimed := claim(s.refusals, f); len(claimed) > 0 {
				in := x.incident(Likely, s, claimed)
				in.histories, in.unproven = []int{s.history}, f.unproven
				list = append(list, in)
			}
		}
	}
	return merge(list, x.o.Window, true), nil
}

const (
	sharedSenders = 0.5 // of the sender domains that write to a provider in a stretch, at least, are refused if one fault refuses several; higher: fewer incidents
	sharedAlike   = 10  // or messages with the same reply, at least: one of several sending addresses is refused; higher: fewer incidents
)

// isShared reports whether refusals of several sender domains at one provider, in the order of time, may
// have one cause. Otherwise they are a few refusals of unrelated messages, by rules of recipients or for
// what the messages say.
func isShared(refusals []*refusal, h *store.History) bool {
	refused := map[string]bool{}
	alike := map[string]map[uint64]bool{} // messages by template
	for _, r := range refusals {
		refused[r.SenderDomain] = true
		if alike[r.Template] == nil {
			alike[r.Template] = map[uint64]bool{}
		}
		if alike[r.Template][r.message] = true; len(alike[r.Template]) >= sharedAlike {
			return true
		}
	}
	since, until := refusals[0].at, refusals[len(refusals)-1].at
	senders := maps.Clone(refused)
	for i := range h.Deliveries {
		if at := momentOf(h.Deliveries[i].Time); at >= since && at <= until {
			senders[h.Deliveries[i].SenderDomain] = true
		}
	}
	return float64(len(refused)) >= sharedSenders*float64(len(senders))
}

// faultsOf finds the stretches in which a stream's refusals stand out from its deliveries.
func (x *refusalSearch) faultsOf(s *stream, h *store.History) (found []stretch) {
	if len(s.refusals) < x.o.Recipients {
		return nil
	}
	if s.key.what == sharedStream { // other streams may have claimed its refusals
		counts := countTraits(s.refusals)
		least, of := spreadProviders, providersOf
		switch {
		case s.key.sender == "":
			least, of = 2, sendersOf
		case s.key.provider != "":
			of = domainsOfTraits
		}
		if len(of(counts)) < least {
			return nil
		}
	}
	for _, span := range h.Covered {
		t := timeline{x.o, s.refusals, eventsIn(span, s.refusals, h.Deliveries, s.key.sender), span}
		found = append(found, t.faults()...)
	}
	return found
}

// claim claims the unclaimed refusals of a stretch, and returns them.
func claim(refusals []*refusal, f stretch) (list []*refusal) {
	for _, r := range refusals {
		if r.at >= f.since && r.at <= f.until && !r.claimed {
			r.claimed = true
			list = append(list, r)
		}
	}
	return list
}

// incident makes an incident of some refusals of a stream, both in the order of time.
func (x *refusalSearch) incident(level string, s *stream, refusals []*refusal) *incident {
	in := &incident{
		level: level, keys: []key{s.key}, refusals: between(refusals, x.since, x.until), all: refusals,
		began: refusals[0].at, until: refusals[len(refusals)-1].at,
	}
	in.past = between(s.refusals, in.began.add(-x.o.Past)+1, in.began)
	for _, e := range s.samples {
		if at := momentOf(e.Time); at >= in.began && at <= in.until && x.inPeriod(at) {
			in.samples = append(in.samples, e)
		}
	}
	return in
}

// weighed returns the silent streams that reach the thresholds of recipients and messages, or have suddenly many
// refusals of other recipients (see unproven.go), the most striking first: the streams of one sender domain, and shared
// streams of at least two.
func (x *refusalSearch) weighed() (own, shared []*stream) {
	var seen counter
	enough := func(list []*refusal) bool {
		return len(list) >= x.o.Recipients && seen.count(list, validRecipient) >= x.o.Recipients && seen.count(list, anyMessage) >= x.o.Messages
	}
	together, members := map[key]*stream{}, map[key]int{}
	for _, s := range sorted(x.silent) {
		sortByTime(s.refusals)
		if enough(s.refusals) || x.sudden(s.refusals) {
			own = append(own, s)
		}
		groups := []key{{what: sharedStream, provider: s.key.provider, domain: s.key.domain}, {what: sharedStream, sender: s.key.sender}}
		if provider.IsFilter(s.key.provider) {
			groups = append(groups, key{what: sharedStream, sender: s.key.sender, provider: s.key.provider})
		}
		for _, k := range groups {
			all := together[k]
			if all == nil {
				all = newStream(k)
				together[k] = all
			}
			members[k]++
			all.refusals = append(all.refusals, s.refusals...)
			all.samples = append(all.samples, s.samples...)
		}
	}
	for _, s := range sorted(together) {
		least := 2
		if s.key.sender != "" {
			least = spreadProviders // providers, or customers of one
		}
		if members[s.key] >= least {
			if sortByTime(s.refusals); enough(s.refusals) || s.key.provider != "" && x.sudden(s.refusals) {
				shared = append(shared, s)
			}
		}
	}
	return mostStriking(own, x.o.Past), mostStriking(shared, x.o.Past)
}

// mostStriking returns up to streamsWeighed streams, the most striking first.
func mostStriking(list []*stream, past time.Duration) []*stream {
	score := make(map[*stream]float64, len(list))
	for _, s := range list {
		_, score[s] = densest(s.refusals, past)
	}
	slices.SortStableFunc(list, func(a, b *stream) int { return cmp.Compare(score[b], score[a]) })
	return list[:min(len(list), streamsWeighed)]
}

// timesAround is the number of times around which the deliveries of one history are read
// first.
const timesAround = 8

// histories returns the deliveries to read, the most important first: for the silent streams, whose
// faults depend on them, then for the named incidents. Streams of one provider share a history.
func (x *refusalSearch) histories(named []*incident, own, shared []*stream) (wanted []store.Stream) {
	type place struct{ provider, domain, sender string }
	index := map[place]int{}
	for _, s := range slices.Concat(own, shared) {
		since := s.refusals[0].at.add(-x.o.Past).time()
		k := place{s.key.provider, s.key.domain, ""}
		if k.provider == "" {
			k.sender = s.key.sender
		}
		i, ok := index[k]
		if !ok {
			if len(index) >= streamsWeighed {
				continue
			}
			h := store.Stream{Span: store.Span{First: since, Last: x.last.time()}}
			switch {
			case k.domain != "":
				h.Domains = []string{k.domain}
			case k.provider != "":
				h.Relays = []string{k.provider}
			case len(from(&h, s.refusals)) > 0:
				continue
			}
			i = len(wanted)
			index[k] = i
			wanted = append(wanted, h)
		}
		s.history = i
		h := &wanted[i]
		if since.Before(h.First) {
			h.First = since
		}
		f, _ := densest(s.refusals, x.o.Past)
		for _, at := range [...]moment{f.since, f.until, s.refusals[len(s.refusals)-1].at} {
			t := at.time()
			if len(h.Around) < timesAround && !slices.Contains(h.Around, t) {
				h.Around = append(h.Around, t)
			}
		}
	}
	for _, in := range shownFirst(named) {
		h := store.Stream{Span: store.Span{First: in.began.add(-x.o.Past).time(), Last: x.last.time()}, Around: []time.Time{in.began.time(), in.until.time()}}
		if len(wanted) < 2*streamsWeighed {
			in.unread = from(&h, in.all)
			in.histories = []int{len(wanted)}
			wanted = append(wanted, h)
		}
	}
	return wanted
}

// from adds the providers of refusals to a history, at most historyProviders, those with the most
// refusals first. It returns the others.
func from(h *store.Stream, refusals []*refusal) (unread map[string]bool) {
	type place struct {
		name    string
		noRelay bool
	}
	n := map[place]int{}
	for _, c := range countTraits(refusals) {
		n[place{c.provider, c.noRelay}] += c.n
	}
	places := slices.SortedFunc(maps.Keys(n), func(a, b place) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a.name, b.name)) })
	read := places[:min(len(places), historyProviders)]
	for _, p := range read {
		if p.noRelay {
			h.Domains = append(h.Domains, p.name)
		} else {
			h.Relays = append(h.Relays, p.name)
		}
	}
	unread = map[string]bool{}
	for _, p := range places[len(read):] {
		unread[p.name] = true
	}
	return unread
}

// compared returns the refusals at the providers whose deliveries were read. They stand for all: a
// share of refused messages counts refusals and deliveries of the same providers.
func (in *incident) compared(refusals []*refusal) []*refusal {
	if len(in.unread) == 0 {
		return refusals
	}
	return slices.DeleteFunc(slices.Clone(refusals), func(r *refusal) bool { return in.unread[r.provider] })
}

// measure counts the messages before the onset of an incident, during it and after its last
// refusal, and decides whether it goes on.
func (x *refusalSearch) measure(in *incident, histories []store.History) {
	in.ongoing = x.end.sub(in.until) < x.o.Quiet()
	if len(in.histories) == 0 {
		return
	}
	if read, ok := covered(in.histories, histories, in.began.time()); ok && in.named() && !in.forwarded {
		x.moveOnset(in, in.deliveries(histories), read)
	}
	own, senders := in.deliveries(histories), in.senders
	began, until := in.began.time(), in.until.time()
	others := map[string]bool{}
	for _, i := range in.histories {
		for _, d := range histories[i].Deliveries {
			if d.SenderDomain != "" && !senders[d.SenderDomain] && !d.Time.Before(began) && !d.Time.After(until) {
				others[d.SenderDomain] = true
			}
		}
	}
	in.others = len(others)
	if read, ok := covered(in.histories, histories, began); ok {
		since := began.Add(-x.o.Past)
		if read.First.After(since) {
			since = read.First
		}
		if from := x.from.time(); from.After(since) {
			since = from
		}
		if until := began.Add(-time.Second); since.Before(until) {
			in.before = tried(store.Span{First: since, Last: until}, in.compared(in.past), own) // other senders' refusals came later
		}
		if read.Last.Before(until) {
			until = read.Last
		}
		span, refused := store.Span{First: began, Last: until}, in.compared(slices.Concat(in.past, in.all))
		in.onset = tried(span, refused, own)
		var all []store.Delivered
		for _, i := range in.histories {
			all = append(all, histories[i].Deliveries...)
		}
		in.everybody = tried(span, refused, all)
	}
	if read, ok := covered(in.histories, histories, in.until.time()); ok {
		x.findEnd(in, own, in.compared(in.all), momentOf(read.Last))
	}
}

// deliveries returns the deliveries of the incident's senders, and records these senders.
func (in *incident) deliveries(histories []store.History) (own []store.Delivered) {
	in.senders = map[string]bool{}
	for _, c := range countTraits(in.all) {
		in.senders[c.SenderDomain] = true
	}
	for _, i := range in.histories {
		for _, d := range histories[i].Deliveries {
			if in.senders[d.SenderDomain] {
				own = append(own, d)
			}
		}
	}
	return own
}

// tried counts the messages of a span of time.
func tried(p store.Span, refusals []*refusal, deliveries []store.Delivered) *Tried {
	t := &Tried{Since: p.First, Until: p.Last}
	for _, e := range eventsIn(p, refusals, deliveries, "") {
		t.Tried++
		if e.refused {
			t.Refused++
		}
	}
	return t
}

// findEnd decides whether an incident has ended, from the deliveries of its senders since its onset
// and the refusals between them, up to the time to which the deliveries were read.
func (x *refusalSearch) findEnd(in *incident, own []store.Delivered, refusals []*refusal, read moment) {
	own = slices.Clone(own)
	slices.SortStableFunc(own, func(a, b store.Delivered) int { return a.Time.Compare(b.Time) })
	var c Course
	seen, last := map[uint64]bool{}, min(read, x.last)
	in.lasted = in.until // if no refusal is among those read
	fail := func(before moment) {
		for ; len(refusals) > 0 && refusals[0].at < before; refusals = refusals[1:] {
			if c.Failed(); !c.Stray() {
				in.lasted = refusals[0].at
			}
		}
	}
	for i := range own {
		t := momentOf(own[i].Time)
		if t < in.began || t > last {
			continue
		}
		fail(t)
		if !seen[own[i].Message] {
			seen[own[i].Message] = true
			c.Took(1)
		}
	}
	fail(in.until + 1)
	if len(in.unread) > 0 { // other providers may refuse mail
		in.lasted = in.until
	}
	if in.taken = in.takenAfter(own, last); len(in.taken) == 0 {
		return
	}
	in.needed = c.Needed()
	in.ongoing = in.ongoing && int64(len(in.taken)) < in.needed
	if !in.ongoing {
		in.endedAt = momentOf(in.taken[0].Time)
	}
}

// takenAfter returns the first delivery of each message that was taken after an incident's last
// refusal that is no stray, up to a time.
func (in *incident) takenAfter(own []store.Delivered, last moment) (list []store.Delivered) {
	seen := map[uint64]bool{}
	for i := range own {
		if t := momentOf(own[i].Time); t > in.lasted && t <= last && !seen[own[i].Message] {
			seen[own[i].Message] = true
			list = append(list, own[i])
		}
	}
	return list
}

// covered returns the span around t that was read in all of the given histories.
func covered(indexes []int, histories []store.History, t time.Time) (p store.Span, ok bool) {
	for n, i := range indexes {
		found := false
		for _, span := range histories[i].Covered {
			if t.Before(span.First) || t.After(span.Last) {
				continue
			}
			found = true
			if n == 0 || span.First.After(p.First) {
				p.First = span.First
			}
			if n == 0 || span.Last.Before(p.Last) {
				p.Last = span.Last
			}
		}
		if !found {
			return p, false
		}
	}
	return p, len(indexes) > 0
}

// watched makes incidents, by provider, of the refusals to valid recipients that no incident
// claims.
func (x *refusalSearch) watched() (list []*incident) {
	rest := map[key]*stream{}
	for _, s := range sorted(x.silent) {
		k := key{what: watchedRest, provider: s.key.provider, domain: s.key.domain}
		all := rest[k]
		if all == nil {
			all = newStream(k)
			rest[k] = all
		}
		for _, r := range s.refusals {
			if r.valid && !r.claimed {
				all.refusals = append(all.refusals, r)
			}
		}
		if len(all.samples) < samplesKept {
			all.samples = append(all.samples, s.samples...)
		}
	}
	for _, s := range sorted(rest) {
		sortSamples(s.samples)
		for _, part := range splitByGap(s.refusals, x.o.Quiet()) {
			in := x.incident(Watch, s, part)
			in.ongoing = x.end.sub(in.until) < x.o.Quiet()
			list = append(list, in)
		}
	}
	return list
}

// operatorWithin is the time within which providers of one operator begin to refuse for one reputation.
// Higher: single refusals at one of them, hours before, are taken for the onset.
const operatorWithin = 3 * time.Hour

// A common is a provider, the operator of several, or a sender domain that two incidents may share.
type common struct {
	provider, operator, sender string
	standing                   bool          // see incident.standing
	content                    bounce.Reason // see content.go
}

// commonOf returns the values that an incident may share with others: its providers, the operators that
// judge the sending address for several providers and, if bySender is set, its sender domains.
func (in *incident) commonOf(counts []traitCount, bySender bool) (list []common) {
	standing, content := in.standing(), bounce.NoReason
	if in.content() {
		content = in.keys[0].reason
	}
	for _, p := range providersOf(counts) {
		list = append(list, common{provider: p, standing: standing, content: content})
		if operator := provider.Operator(p); standing && operator != "" {
			list = append(list, common{operator: operator, standing: true})
		}
	}
	if standing {
		return list
	}
	if bySender || content != bounce.NoReason || in.all[0].Reason == bounce.AuthFailure || in.all[0].Reason == bounce.SenderRejected { // may be one faulty record, or one newsletter
		for _, s := range sendersOf(counts) {
			list = append(list, common{sender: s, content: content})
		}
	}
	return list
}

// merge joins incidents that are the same (see sameAs), until no two are.
func merge(list []*incident, window time.Duration, bySender bool) []*incident {
	for { // two incidents that have grown may now share a value
		n := len(list)
		if list = mergeOnce(list, window, bySender); len(list) == n {
			return list
		}
	}
}

// mergeOnce joins each incident to the first earlier one that is the same.
func mergeOnce(list []*incident, window time.Duration, bySender bool) (out []*incident) {
	slices.SortStableFunc(list, byOnset)
	index := map[common][]*incident{}
	for _, in := range list {
		counts := countTraits(in.all)
		in.senders = map[string]bool{}
		for _, c := range counts {
			in.senders[c.SenderDomain] = true
		}
		if !in.mergeable() {
			out = append(out, in)
			continue
		}
		shared := in.commonOf(counts, bySender)
		earlier := find(index, shared, in, window)
		if earlier != nil {
			earlier.join(in)
		} else {
			earlier = in
			out = append(out, in)
		}
		for _, k := range shared {
			if !slices.Contains(index[k], earlier) {
				index[k] = append(index[k], earlier)
			}
		}
	}
	for _, in := range out {
		in.takeOver()
	}
	return out
}

// mergeable reports whether an incident may be the same as another. Forwarded mail is excluded; a
// public listing and a missing name are one stream each already.
func (in *incident) mergeable() bool {
	reason := in.all[0].Reason
	return !in.forwarded && (!in.named() || reason == bounce.AuthFailure || reason == bounce.SenderRejected || in.standing() || in.content())
}

// content reports whether an incident is of mail that is refused for what it is: see content.go.
func (in *incident) content() bool {
	return in.named() && ofContent(in.keys[0].reason) && !in.forwarded
}

// standing reports whether an incident is one provider's own judgement of the sending address: its
// reputation there, or the provider's own list. These are the same refusal in two wordings.
func (in *incident) standing() bool {
	return in.named() && in.keys[0].reason == bounce.Reputation
}

// find returns the first incident that is the same as in, among those that share a value with it.
func find(index map[common][]*incident, shared []common, in *incident, window time.Duration) *incident {
	for _, k := range shared {
		for _, earlier := range index[k] {
			if k.operator != "" && in.began.sub(earlier.began) >= operatorWithin {
				continue
			}
			if earlier.sameAs(in, window) && !earlier.apart(in) {
				return earlier
			}
		}
	}
	return nil
}

// sameAs reports whether a later incident that shares a value with this one is the same. It is if
// it began within a window of this one; or if it began before this one ended and this one has so
// many sender domains that no single domain is the subject.
func (in *incident) sameAs(later *incident, window time.Duration) bool {
	if in.standing() && later.began.sub(in.until) < window {
		return true
	}
	return later.began.sub(in.began) < window || later.began <= in.until && len(in.senders) >= SendersNamed
}

// apart reports whether two incidents name different causes for different sender domains.
func (in *incident) apart(other *incident) bool {
	if !in.named() || !other.named() || in.keys[0].reason == other.keys[0].reason {
		return false
	}
	for sender := range other.senders {
		if in.senders[sender] {
			return false
		}
	}
	return true
}

// join makes a later incident part of this one. See takeOver.
func (in *incident) join(later *incident) {
	maps.Copy(in.senders, later.senders)
	for _, k := range later.keys {
		if !slices.Contains(in.keys, k) {
			in.keys = append(in.keys, k)
		}
	}
	in.joined = append(in.joined, later)
	for _, i := range later.histories {
		if !slices.Contains(in.histories, i) {
			in.histories = append(in.histories, i)
		}
	}
	if in.unread == nil {
		in.unread = map[string]bool{}
	}
	maps.Copy(in.unread, later.unread)
	in.unproven = in.unproven && later.unproven
	in.until = max(in.until, later.until)
}

// takeOver moves the refusals and samples of the joined incidents into this one, all at once: there
// may be hundreds of joined incidents.
func (in *incident) takeOver() {
	if len(in.joined) == 0 {
		return
	}
	var refusals, all, past int
	for _, j := range in.joined {
		refusals, all, past = refusals+len(j.refusals), all+len(j.all), past+len(j.past)
	}
	in.refusals, in.past = slices.Grow(in.refusals, refusals), slices.Grow(in.past, past)
	in.all = append(make([]*refusal, 0, len(in.all)+all), in.all...)
	for _, j := range in.joined {
		in.refusals = append(in.refusals, j.refusals...)
		in.all = append(in.all, j.all...)
		in.past = append(in.past, j.past...)
		in.samples = append(in.samples, j.samples...)
	}
	in.joined = nil
	sortByTime(in.refusals)
	sortByTime(in.all)
	sortByTime(in.past)
	sortSamples(in.samples)
}
