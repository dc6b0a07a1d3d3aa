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

// hopsRead is how many deliveries are read at once to find one to each of hopsAsked relays:
// of relays that take equally much, 72 show each once on average.
const hopsRead = 100

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
// took the mail of cells. Mail taken by a mail store, a filter or an agent of this side has not
// left. Keys[at] names the relay; f selected the cells.
//
// Invariant: a name alone does not say whose a relay is, since Postfix logs a local LMTP server
// under a name of this host (relay=mail.example.com[private/dovecot-lmtp]). So one delivery of
// each such relay is read, once in a search (see ownRelays).
func (w *outageSearch) takenByOthers(ctx context.Context, f store.Filter, cells []store.Cell, at int) (map[string]bool, error) {
	return w.mostTakenByOthers(ctx, f, cells, at, math.MaxInt64)
}

// mostTakenByOthers returns those of the relays that took most, more than enough together. Mostly
// it reads one delivery then, not hopsAsked, which halves the time of the search.
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
		if _, known := w.own[x.relay]; !known {
			if err := w.ownRelays(ctx, f, list[i:min(len(list), hopsAsked)], enough-sum); err != nil {
				return nil, err
			}
		}
		own := w.own[x.relay]
		if others[x.relay] = !own; !own {
			sum += x.n
		}
	}
	return others, nil
}

// ownRelays finds out whether the newest delivery that f selects to each of some relays went to a
// server of this side: of those, in their order, that took more than enough together.
// All are asked for at once: a report of 10 million attempts had 631 such questions.
func (w *outageSearch) ownRelays(ctx context.Context, f store.Filter, list []taken, enough int64) error {
	if len(w.own) > setSize {
		clear(w.own)
	}
	var asked []string
	for _, x := range list {
		own, known := w.own[x.relay]
		if !known {
			w.own[x.relay] = false
			asked = append(asked, x.relay)
		}
		if !own {
			enough -= x.n
		}
		if enough < 0 {
			break
		}
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	for left := -1; len(asked) > 0 && len(asked) != left; {
		left = len(asked)
		f.To = &store.Destination{Relays: slices.Clone(asked)}
		for a, err := range w.s.Attempts(ctx, f, store.Page{Limit: hopsRead, Newest: true}) {
			if err != nil {
				return err
			}
			asked = slices.DeleteFunc(asked, func(relay string) bool {
				it := store.AtRelay(a.RelayHost, relay)
				if it {
					w.own[relay] = judge.OwnServer(&a.Delivery)
				}
				return it
			})
			if len(asked) == 0 {
				break
			}
		}
	}
	return nil
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
