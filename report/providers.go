package report

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/store"
)

// Groupings that only reports have, not stores. In a report, store.ByRelay is another name for
// ByProvider.
const (
	ByProvider  store.Dimension = "provider"   // the operator of the relays
	ByRelayHost store.Dimension = "relay-host" // the name of each relay
)

// IsProvider reports whether a report groups by provider.
func IsProvider(by store.Dimension) bool { return by == ByProvider || by == store.ByRelay }

const (
	blocksLeast = 3   // refusals
	blocksShare = 0.5 // of all attempts, and lost of the mail: it blocks us
)

// The search for the relays of domains that reached none in the period.
const (
	silentAsked = 500                 // domains, those with the most attempts
	relaysFor   = 14 * 24 * time.Hour // before the period
)

// countRoutes counts the attempts that f selects by domain and relay. A domain whose attempts reached no relay has an
// empty cell with the relay that took most of its mail in the days before: all domains of a host that is down fail
// together.
func countRoutes(ctx context.Context, s store.Reader, f store.Filter) ([]store.Cell, error) {
	routes, err := s.Count(ctx, f, store.ByDomain, store.ByRelay)
	if err != nil || f.Since.IsZero() || f.Relay != "" || f.RelayIP != "" {
		return routes, err
	}
	reached := map[string]bool{}
	for i := range routes {
		if routes[i].Keys[1] != "" {
			reached[routes[i].Keys[0]] = true
		}
	}
	silent := slices.DeleteFunc(slices.Clone(routes), func(c store.Cell) bool { return c.Keys[0] == "" || reached[c.Keys[0]] })
	if len(silent) == 0 {
		return routes, nil
	}
	slices.SortFunc(silent, func(a, b store.Cell) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Keys[0], b.Keys[0]))
	})
	f.Domain, f.Domains = "", nil
	for i := range silent[:min(len(silent), silentAsked)] {
		f.Domains = append(f.Domains, silent[i].Keys[0])
	}
	f.Until = dayOf(f.Since) // whole days are counted already
	f.Since, f.Outcomes, f.Reasons = f.Until.Add(-relaysFor), []bounce.Outcome{bounce.Delivered}, nil
	before, err := s.Count(ctx, f, store.ByDomain, store.ByRelay)
	for domain, most := range usualProviders(before).most {
		routes = append(routes, store.Cell{Keys: [store.MaxDimensions]string{domain, most.Keys[1]}})
	}
	return routes, err
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

// Stated returns the routes that f selects without the guesses among their reasons: words that no
// rule knows name no cause, and a provider is judged by its routes. A guess that the provider
// refused the sender counts as unknown, another as no reason.
func Stated(ctx context.Context, s store.Reader, f store.Filter, routes []store.Cell) ([]store.Cell, error) {
	f.Guesses, f.NoHistory = true, true
	guesses := map[[store.MaxDimensions]string]map[bounce.Reason]int64{}
	for x, err := range s.Refusals(ctx, f) {
		if err != nil {
			return nil, err
		}
		route := [store.MaxDimensions]string{x.RecipientDomain, x.RelayHost}
		if guesses[route] == nil {
			guesses[route] = map[bounce.Reason]int64{}
		}
		guesses[route][x.Reason]++
	}
	if len(guesses) == 0 {
		return routes, nil
	}
	routes = slices.Clone(routes)
	for i := range routes {
		of := guesses[routes[i].Keys]
		if of == nil {
			continue
		}
		reasons := maps.Clone(routes[i].Reasons)
		for reason, n := range of {
			n = min(n, reasons[reason])
			reasons[reason] -= n
			if reason.RefusesSender() {
				reasons[bounce.Unknown] += n
			} else {
				reasons[bounce.NoReason] += n
			}
		}
		maps.DeleteFunc(reasons, func(_ bounce.Reason, n int64) bool { return n == 0 })
		routes[i].Reasons = reasons
	}
	return routes, nil
}

// byProviders returns the routes by provider, and the providers that are known from a relay.
func byProviders(routes []store.Cell) (groups []store.Cell, relays map[string]bool) {
	u := usualProviders(routes)
	return merged(routes, u.provider), u.relays(routes)
}

// providers returns the routes by provider.
func providers(routes []store.Cell) []store.Cell {
	return merged(routes, usualProviders(routes).provider)
}

// merged adds up the routes with the same key.
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

// refused counts the failures with a reason about us.
func refused(reasons map[bounce.Reason]int64) (n int64) {
	for r, count := range reasons {
		if r.RefusesSender() {
			n += count
		}
	}
	return n
}

// RoutesOf builds Routes from cells counted by domain and relay.
func RoutesOf(cells []store.Cell) *Routes { return &Routes{usualProviders(cells), cells} }

// Provider returns the provider of an attempt from the recipient's domain and the relay. If relay
// is "", the attempt reached none, and counts with the provider of most mail to the domain.
func (x *Routes) Provider(domain, relay string) string {
	return x.usual.provider(&store.Cell{Keys: [store.MaxDimensions]string{domain, relay}})
}

// WaitsFor returns the provider that a queued recipient waits for; without a relay and a domain, the
// agent that is to deliver the mail.
func (x *Routes) WaitsFor(q *store.Queued) string {
	return cmp.Or(x.Provider(q.RecipientDomain, q.RelayHost), q.Agent)
}

// Destination returns a selection of the attempts of a provider: by its relays, with as few
// suffixes of their names as possible, and by the domains whose mail it receives, for attempts that
// reached no relay. If name is no provider but a domain, it selects the mail to the domain.
func (x *Routes) Destination(name string) *store.Destination {
	to := &store.Destination{}
	isProvider := slices.ContainsFunc(x.cells, func(c store.Cell) bool { return x.Provider(c.Keys[0], c.Keys[1]) == name })
	for i := range x.cells {
		domain, host := x.cells[i].Keys[0], x.cells[i].Keys[1]
		switch {
		case isProvider && x.Provider(domain, host) != name, !isProvider && domain != name:
		case host == "":
			to.Domains = append(to.Domains, domain)
		default:
			for isProvider { // the shortest suffix of the same provider
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

// relays returns the providers whose relays have another name than the recipients' domain.
func (u *usual) relays(routes []store.Cell) map[string]bool {
	found := map[string]bool{}
	for i := range routes {
		if r := &routes[i]; r.Keys[1] != "" {
			if p := u.provider(r); p != r.Keys[0] {
				found[p] = true
			}
		}
	}
	return found
}
