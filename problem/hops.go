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

// hopsAsked is how many relays, those that took most, are asked of each time whether they are
// this side's own. What is left takes little; it counts as others'.
const hopsAsked = 20

// atOthers reports whether a failed attempt was at a server of others.
func atOthers(t *store.Traits) bool {
	return !judge.OwnRelay(t.RelayHost) && (t.RelayIP == "" || !judge.OwnRelay(t.RelayIP)) && !ownDetail(t.Detail)
}

// ownDetail reports whether the detail of a verdict says that mail did not leave this side
// (docs/reasons.md).
func ownDetail(detail string) bool { return strings.HasPrefix(detail, "own-") }

// A taken is what one relay took.
type taken struct {
	relay string
	n     int64
}

// takenByOthers returns the relays, by their names, among those that took cells which are
// servers of others: what a mail store, a filter or an agent of this side takes got nowhere.
// Keys[at] names the relay; f selected the cells.
//
// Invariant: a name alone does not say whose a relay is, since Postfix logs a local LMTP server
// under a name of this host (relay=mail.example.com[private/dovecot-lmtp]). So one delivery of
// each such relay is read, once in a search.
func (w *outageSearch) takenByOthers(ctx context.Context, f store.Filter, cells []store.Cell, at int) (map[string]bool, error) {
	return w.mostTakenByOthers(ctx, f, cells, at, math.MaxInt64)
}

// mostTakenByOthers returns those of these relays that took most, more than enough together:
// mostly one is read then, not hopsAsked, which halves the time of the search.
func (w *outageSearch) mostTakenByOthers(ctx context.Context, f store.Filter, cells []store.Cell, at int, enough int64) (map[string]bool, error) {
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
	others := make(map[string]bool, len(list))
	sum := int64(0)
	for i, x := range list {
		if sum > enough {
			break
		}
		if i >= hopsAsked {
			others[x.relay] = true
			sum += x.n
			continue
		}
		own, known := w.own[x.relay]
		if !known {
			var err error
			if own, err = w.ownRelay(ctx, f, x.relay); err != nil {
				return nil, err
			}
			if len(w.own) < setSize {
				w.own[x.relay] = own
			}
		}
		if others[x.relay] = !own; !own {
			sum += x.n
		}
	}
	return others, nil
}

// ownRelay reports whether a delivery that f selects to a relay went to a server of this side.
func (w *outageSearch) ownRelay(ctx context.Context, f store.Filter, relay string) (bool, error) {
	f.Relay, f.Outcomes, f.Reasons = relay, []bounce.Outcome{bounce.Delivered}, nil
	for a, err := range w.s.Attempts(ctx, f, store.Page{Limit: 1, Newest: true}) {
		if err != nil {
			return false, err
		}
		return judge.OwnServer(&a.Delivery), nil
	}
	return false, nil
}

// refusing returns the parts of a run at one host each that refuses to relay the mail to
// unrelated domains and takes next to none: a relay host, for which mail exchangers of others
// are no cause. One that takes mail meanwhile is a provider that some domains have left.
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

// unserved returns the parts of a run at one domain each that this server takes itself for the
// destination of while it never delivered a message to it: many messages to several
// recipients, none of whom has a mailbox here.
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

// namesOwnHop reports whether the hop that most of some failures name stands in this side's
// configuration, and not in an MX record: it is an address, or a name that is used in private
// networks only. "localhost" is the MX of parked domains.
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
