package problem

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/judge"
	"bouncelog/store"
)

// hopsAsked is the maximum number of relays, in the order of accepted mail, that one call checks
// for being on this side. The other relays take little mail; they count as others'.
const hopsAsked = 20

// atOthers reports whether a failed attempt was at a server of others.
func atOthers(t *store.Traits) bool {
	return !judge.OwnRelay(t.RelayHost) && (t.RelayIP == "" || !judge.OwnRelay(t.RelayIP)) && !judge.OwnDetail(t.Detail)
}

// A taken is the number of messages that one relay took.
type taken struct {
	relay string
	n     int64
}

// takenByOthers returns, by name, those relays that are servers of others among the relays that
// took the mail of the cells of each period. Mail taken by a mail store, a filter or an agent of
// this side has not left. Keys[at] names the relay; f selected the cells.
//
// Invariant: a name alone does not say whose a relay is, since Postfix logs a local LMTP server
// under a name of this host (relay=mail.example.com[private/dovecot-lmtp]). So one delivery of
// each such relay is read, once in a search.
func (w *outageSearch) takenByOthers(ctx context.Context, f store.Filter, periods []store.Span, counts [][]store.Cell, at int) ([]map[string]bool, error) {
	lists := make([][]taken, len(counts))
	if len(w.own) > setSize {
		clear(w.own)
	}
	var visits []store.Visit
	for i, cells := range counts {
		lists[i] = takenBy(cells, at)
		visits = w.visits(visits, periods[i], lists[i], math.MaxInt64)
	}
	if err := w.ownRelays(ctx, f, visits); err != nil {
		return nil, err
	}
	out := make([]map[string]bool, len(counts))
	for i, list := range lists {
		out[i], _ = w.others(list, math.MaxInt64)
	}
	return out, nil
}

// mostTakenByOthers returns those of the relays in the time of f that took most, more than enough
// together. Mostly it reads one delivery then, not hopsAsked, which halves the time of the search.
func (w *outageSearch) mostTakenByOthers(ctx context.Context, f store.Filter, cells []store.Cell, at int, enough int64) (map[string]bool, error) {
	if len(w.own) > setSize {
		clear(w.own)
	}
	list := takenBy(cells, at)
	period := store.Span{First: f.Since, Last: w.last.time()}
	if !f.Until.IsZero() {
		period.Last = f.Until.Add(-1).Truncate(time.Second)
	}
	for {
		others, missing := w.others(list, enough)
		if !missing {
			return others, nil
		}
		if err := w.ownRelays(ctx, f, w.visits(nil, period, list, enough)); err != nil {
			return nil, err
		}
	}
}

// takenBy counts the messages that each relay took, those that took most first. Keys[at] names the
// relay.
func takenBy(cells []store.Cell, at int) []taken {
	sums := map[string]int64{}
	for i := range cells {
		if c := &cells[i]; c.Delivered > 0 {
			sums[c.Keys[at]] += c.Delivered
		}
	}
	list := make([]taken, 0, len(sums))
	for relay, n := range sums {
		if !judge.OwnRelay(relay) {
			list = append(list, taken{relay, n})
		}
	}
	slices.SortFunc(list, func(a, b taken) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.relay, b.relay)) })
	return list
}

// others returns the first relays of a list that are servers of others and took more than enough
// together. It reports whether one is missing since it has not been asked about.
func (w *outageSearch) others(list []taken, enough int64) (others map[string]bool, missing bool) {
	others = make(map[string]bool, len(list))
	sum := int64(0)
	for i, x := range list {
		if sum > enough {
			break
		}
		own, known := w.own[x.relay]
		if !known && i < hopsAsked {
			return nil, true
		}
		if others[x.relay] = !own || i >= hopsAsked; others[x.relay] {
			sum += x.n
		}
	}
	return others, false
}

// visits adds the relays to ask about: of those in a list, in its order, that took more than enough
// together in a period, the ones not asked about so far.
func (w *outageSearch) visits(visits []store.Visit, period store.Span, list []taken, enough int64) []store.Visit {
	for _, x := range list[:min(len(list), hopsAsked)] {
		own, known := w.own[x.relay]
		if !known {
			w.own[x.relay] = false
			visits = append(visits, store.Visit{Relay: x.relay, Span: period})
		}
		if !own {
			enough -= x.n
		}
		if enough < 0 {
			break
		}
	}
	return visits
}

// ownRelays finds out whether the newest delivery that f selects to each of some relays went to a
// server of this side.
func (w *outageSearch) ownRelays(ctx context.Context, f store.Filter, visits []store.Visit) error {
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	list, err := store.NewestAt(ctx, w.s, f, visits)
	for i, a := range list {
		w.own[visits[i].Relay] = a != nil && judge.OwnServer(&a.Delivery)
	}
	return err
}

// refusing returns the parts of a run that are each at one host that refuses to relay mail to
// unrelated domains and takes almost none. Such a host is a relay host; MX hosts of others do not
// behave so. A host that takes mail in that time is a provider that some domains have left.
func (w *outageSearch) refusing(ctx context.Context, run []failure) (parts [][]failure, err error) {
	hosts := map[string][]failure{}
	for _, x := range run {
		host := ascii.Lower(x.RelayHost)
		hosts[host] = append(hosts[host], x)
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		list := hosts[host]
		if !unrelated(list) {
			continue
		}
		f := w.during(list)
		f.Relay = host
		c, err := w.total(ctx, f)
		if err != nil {
			return nil, err
		}
		if float64(c.Delivered) <= outageThrough*float64(len(list)) {
			parts = append(parts, list)
		}
	}
	return parts, nil
}

// unserved returns the parts of a run that are each at one domain for which this server considers
// itself the destination although it never delivered a message to it. The part has many messages to
// several recipients, none of whom has a mailbox here.
func (w *outageSearch) unserved(ctx context.Context, run []failure) (parts [][]failure, err error) {
	domains := map[string][]failure{}
	for _, x := range run {
		domain := ascii.Lower(x.RecipientDomain)
		domains[domain] = append(domains[domain], x)
	}
	asked := 0
	for _, domain := range slices.Sorted(maps.Keys(domains)) {
		list := domains[domain]
		recipients := map[uint64]bool{}
		for i := range list {
			recipients[list[i].recipient] = true
		}
		if domain == "" || messagesOf(list) < outageMany || len(recipients) < w.o.Recipients {
			continue
		}
		if asked++; asked > domainsAsked {
			break
		}
		f := w.f
		f.Outcomes, f.Reasons, f.Since, f.Until, f.Domain = nil, nil, time.Time{}, time.Time{}, domain
		c, err := w.total(ctx, f)
		if err != nil {
			return nil, err
		}
		if c.Delivered == 0 {
			parts = append(parts, list)
		}
	}
	return parts, nil
}

// namesOwnHop reports whether the hop that most of some failures name comes from this side's
// configuration, and not from an MX record: it is an address, or a name for private networks.
// "localhost" is the MX of parked domains.
func namesOwnHop(texts []*store.Attempt) bool {
	at, _, _ := hops(texts)
	if len(at) == 0 {
		return false
	}
	host := ascii.Lower(at[0].host)
	switch host[strings.LastIndexByte(host, '.')+1:] {
	case host, "local", "internal", "intranet", "private", "lan", "home", "corp", "localdomain": // RFC 6762 appendix G
		return host != "localhost"
	}
	return strings.HasSuffix(host, ".home.arpa") || net.ParseIP(host) != nil
}
