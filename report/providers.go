package report

import (
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/store"
)

// Groupings of a report that no store knows. store.ByRelay is another name for
// ByProvider in a report.
const (
	ByProvider  store.Dimension = "provider"   // who runs the relays
	ByRelayHost store.Dimension = "relay-host" // the name of each relay
)

// IsProvider reports whether a report is by provider.
func IsProvider(by store.Dimension) bool { return by == ByProvider || by == store.ByRelay }

const (
	blocksLeast = 3   // refusals
	blocksShare = 0.5 // of all attempts: it blocks us
)

// usual maps a domain to the provider that most of its mail goes to: where no
// relay was reached, the mail counts with it. A hop of one's own is none, such as a content
// filter, unless all mail leaves by it.
type usual struct {
	most map[string]*store.Cell // by domain
	of   map[string]string      // provider by relay
}

func usualProviders(routes []store.Cell) *usual {
	u := &usual{make(map[string]*store.Cell, len(routes)/2), make(map[string]string, len(routes)/4)}
	direct := slices.ContainsFunc(routes, func(r store.Cell) bool { return r.Delivered > 0 && !judge.OwnRelay(r.Keys[1]) })
	for i := range routes {
		r := &routes[i]
		own := r.Keys[1] == "" || r.Attempts == 0 && r.Handoff > 0 || direct && judge.OwnRelay(r.Keys[1])
		if !own {
			if most := u.most[r.Keys[0]]; most == nil || r.Attempts > most.Attempts {
				u.most[r.Keys[0]] = r
			}
		}
	}
	return u
}

func (u *usual) provider(r *store.Cell) string {
	if r.Keys[1] == "" {
		most := u.most[r.Keys[0]]
		if most == nil {
			return r.Keys[0]
		}
		r = most
	}
	p, known := u.of[r.Keys[1]]
	if !known {
		p = provider.OfHost(r.Keys[1])
		u.of[r.Keys[1]] = p
	}
	return p
}

// byProviders returns the routes by provider, and which of these are known by a relay.
func byProviders(routes []store.Cell) (groups []store.Cell, relays map[string]bool) {
	u := usualProviders(routes)
	return merged(routes, u.provider), u.relays(routes)
}

// providers are the routes by provider.
func providers(routes []store.Cell) []store.Cell {
	return merged(routes, usualProviders(routes).provider)
}

// merged adds up the routes that have the same key.
func merged(routes []store.Cell, keyOf func(*store.Cell) string) []store.Cell {
	places := make(map[string]int32, len(routes)/2)
	of := make([]int32, len(routes))
	for i := range routes {
		key := keyOf(&routes[i])
		at, known := places[key]
		if !known {
			at = int32(len(places))
			places[key] = at
		}
		of[i] = at
	}
	groups := make([]store.Cell, len(places))
	for key, at := range places {
		groups[at].Keys[0] = key
	}
	for i := range routes {
		groups[of[i]].Add(&routes[i].Tally)
	}
	return groups
}

// refused counts the failures that are about us.
func refused(reasons map[bounce.Reason]int64) (n int64) {
	for r, count := range reasons {
		if r.RefusesSender() {
			n += count
		}
	}
	return n
}

// blocks reports whether a provider refuses most of what we send to it.
func blocks(refused, attempts int64) bool {
	return refused >= blocksLeast && float64(refused) >= blocksShare*float64(attempts)
}

// Routes know to which provider an attempt counts in the tables of a report.
type Routes struct {
	usual *usual
	cells []store.Cell
}

// RoutesOf learns that from cells that are counted by domain and relay.
func RoutesOf(cells []store.Cell) *Routes { return &Routes{usualProviders(cells), cells} }

// Provider is the provider of an attempt to a recipient's domain and a relay; "": it
// reached none, and counts with the provider that most mail to the domain goes to.
func (x *Routes) Provider(domain, relay string) string {
	return x.usual.provider(&store.Cell{Keys: [store.MaxDimensions]string{domain, relay}})
}

// Destination selects what counts to a provider: by its relays, as few suffixes of their names
// as will do, and by the domains whose mail goes to it where no relay was reached.
func (x *Routes) Destination(name string) *store.Destination {
	to := &store.Destination{}
	for i := range x.cells {
		domain, host := x.cells[i].Keys[0], x.cells[i].Keys[1]
		switch {
		case x.Provider(domain, host) != name:
		case host == "":
			to.Domains = append(to.Domains, domain)
		default:
			for { // the shortest name that still is this provider
				_, parent, ok := strings.Cut(host, ".")
				if !ok || provider.OfHost(parent) != name || !strings.Contains(parent, ".") && parent != name {
					break
				}
				host = parent
			}
			if !slices.Contains(to.Relays, host) {
				to.Relays = append(to.Relays, host)
			}
		}
	}
	slices.Sort(to.Relays)
	slices.Sort(to.Domains)
	return to
}
