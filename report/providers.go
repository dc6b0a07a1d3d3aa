package report

import (
	"slices"

	"bouncelog/bounce"
	"bouncelog/store"
)

// ByRelayHost groups by the name of each relay; store.ByRelay, in a report, by
// provider.
const ByRelayHost store.By = "relay-host"

// refusals are the reasons that mean a provider does not want mail from here,
// whoever it is for.
var refusals = []bounce.Reason{
	bounce.Blocklist, bounce.Reputation, bounce.AuthFailure, bounce.RDNSHelo, bounce.SenderRejected,
	bounce.ContentSpam, bounce.Policy, bounce.Unknown,
}

const (
	blocksLeast = 3   // refusals
	blocksShare = 0.5 // of all attempts: it blocks us
)

// usual maps a domain to the provider that most of its mail goes to: where no
// relay was reached, the mail counts with it.
type usual map[string]string

func usualProviders(routes []store.Route) usual {
	u, most := usual{}, map[string]int64{}
	for i := range routes {
		if r := &routes[i]; r.Relay != "" && (r.Attempts > most[r.Domain] || u[r.Domain] == "") {
			most[r.Domain] = r.Attempts
			u[r.Domain] = Provider(&bounce.Delivery{RelayHost: r.Relay, RecipientDomain: r.Domain})
		}
	}
	return u
}

func (u usual) of(r *store.Route) string {
	if r.Relay == "" {
		if p := u[r.Domain]; p != "" {
			return p
		}
	}
	return Provider(&bounce.Delivery{RelayHost: r.Relay, RecipientDomain: r.Domain})
}

// providers are the routes by provider.
func providers(routes []store.Route) []store.Group {
	return merged(routes, usualProviders(routes).of)
}

// merged adds up the routes that have the same key.
func merged(routes []store.Route, keyOf func(*store.Route) string) []store.Group {
	places := map[string]int{}
	var groups []store.Group
	for i := range routes {
		r := &routes[i]
		key := keyOf(r)
		at, known := places[key]
		if !known {
			at = len(groups)
			places[key] = at
			groups = append(groups, store.Group{Key: key, Reasons: map[bounce.Reason]int64{}})
		}
		g := &groups[at]
		g.Attempts += r.Attempts
		g.Delivered += r.Delivered
		g.Soft += r.Soft
		g.Hard += r.Hard
		g.Recovered += r.Recovered
		g.Pending += r.Pending
		g.Expired += r.Expired
		g.Messages += r.Messages
		for reason, n := range r.Reasons {
			g.Reasons[reason] += n
		}
	}
	return groups
}

// refused counts the failures that are about us.
func refused(reasons map[bounce.Reason]int64) (n int64) {
	for _, r := range refusals {
		n += reasons[r]
	}
	return n
}

// blocks tells whether a provider refuses most of what we send to it.
func (g *Group) blocks() bool {
	return g.Refused >= blocksLeast && float64(g.Refused) >= blocksShare*float64(g.Attempts)
}

// blockedFirst moves the providers that block us before the others.
func blockedFirst(rows []Group) {
	slices.SortStableFunc(rows, func(a, b Group) int {
		switch {
		case a.blocks() && !b.blocks():
			return -1
		case b.blocks() && !a.blocks():
			return 1
		}
		return 0
	})
}
