package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/problem"
	"bouncelog/store"
)

// partShare is the minimum share of the mail to the domains of a part that goes to the hosts of the part.
// Lower: the domains have other hosts at the provider, which take mail meanwhile.
const partShare = 0.9

// partsAtMost is the maximum number of parts of providers whose course is followed, those with the largest
// share of failures.
const partsAtMost = 20

// host returns the relay of an attempt or, if it reached none, the relay of most mail to the domain; "":
// not known.
func (x *Routes) host(domain, relay string) string {
	if most := x.usual.most[domain]; relay == "" && most != nil {
		return most.Keys[1]
	}
	return relay
}

// Part returns a selection of the attempts of a part of a provider: by the suffix of its hosts, and by the
// domains whose mail it receives, for attempts that reached no relay.
func (x *Routes) Part(suffix string) *store.Destination {
	to := &store.Destination{Relays: []string{suffix}}
	for domain, most := range x.usual.most {
		if store.AtRelay(most.Keys[1], suffix) {
			to.Domains = append(to.Domains, domain)
		}
	}
	slices.Sort(to.Domains)
	return to
}

// DestinationOf returns a selection of the attempts of a provider that a problem is about, or of a part of
// it.
func (x *Routes) DestinationOf(p *problem.Problem) *store.Destination {
	if p.Part != "" {
		return x.Part(p.Part)
	}
	return x.Destination(p.Providers[0])
}

// A route is a recipient domain and a relay; "": none was reached.
type route struct{ domain, relay string }

func (p *partOf) add(c *store.Cell) {
	p.cells = append(p.cells, c)
	p.domains[ascii.Lower(c.Keys[0])] += c.Attempts
}

// partsOf returns the parts of a provider, the larger ones first: the suffixes of the names of its hosts,
// as logged, below which are all hosts of some domains; and the domains without such a suffix of their own.
func (x *Routes) partsOf(name string, cells []store.Cell) (list []*partOf) {
	domains, suffixes := map[string]*partOf{}, map[string]*partOf{}
	part := func(of map[string]*partOf, suffix, domain string) *partOf {
		p := of[suffix+domain]
		if p == nil {
			p = &partOf{suffix: suffix, domain: domain, domains: map[string]int64{}}
			of[suffix+domain] = p
			list = append(list, p)
		}
		return p
	}
	for i := range cells {
		c := &cells[i]
		for host := ascii.Lower(x.host(c.Keys[0], c.Keys[1])); host != ""; {
			_, parent, ok := strings.Cut(host, ".")
			if !ok || provider.OfHost(parent) != name { // host is the shortest suffix: the whole provider
				break
			}
			part(suffixes, host, "").add(c)
			host = parent
		}
		part(domains, "", ascii.Lower(c.Keys[0])).add(c)
	}
	if len(domains) < 2 {
		return nil
	}
	own := map[string]bool{} // domains that are all of a suffix
	list = slices.DeleteFunc(list, func(p *partOf) bool {
		if p.suffix == "" {
			return false
		}
		var all, here int64
		for domain, n := range p.domains {
			here += n
			for _, c := range domains[domain].cells {
				all += c.Attempts
			}
		}
		_, parent, _ := strings.Cut(p.suffix, ".")
		up := len(cells) // cells of the next larger part
		if suffixes[parent] != nil {
			up = len(suffixes[parent].cells)
		}
		if len(p.cells) == up || float64(here) < partShare*float64(all) {
			return true
		}
		if len(p.domains) == 1 {
			for domain := range p.domains {
				p.domain = domain
				own[domain] = true
			}
		}
		return false
	})
	list = slices.DeleteFunc(list, func(p *partOf) bool { return p.suffix == "" && own[p.domain] })
	slices.SortStableFunc(list, func(a, b *partOf) int { return len(b.domains) - len(a.domains) })
	return list
}

// part returns the part of a provider that is a domain, with its mail to other providers.
func (d *sharedDomain) part(domain string) *partOf {
	p := &partOf{domain: domain, domains: map[string]int64{}}
	for _, c := range d.cells {
		p.add(c)
	}
	return p
}

// parts returns the parts of providers that may take no mail while the rest of the provider takes all. since is
// the begin of the period, rows are the providers, served their mail.
// A domain whose mail several providers receive is a part of the one that receives most of it.
func (r *Report) parts(since time.Time, rows []ProviderRow, served *served) (list []*unreachedRow) {
	older, pending := map[route]int64{}, map[route]int64{}
	known := r.Past() && r.waits.known
	if known {
		for _, w := range r.waits.list {
			if older[route{w.domain, w.relay}]++; !w.First.Before(since) { // counted in the period of its first attempt
				pending[route{w.domain, w.relay}]++
			}
		}
	}
	least := 0.0 // share of the messages that fail in the shortest incident, outside the busiest hours
	if hours := r.End().Sub(since).Hours(); !since.IsZero() && hours > 0 {
		least = problem.DeadLeast.Hours() * 2 / 3 / hours
	}
	for i := range rows {
		whole := &rows[i]
		if max(whole.lost(), whole.Failed, whole.Soft) < problem.PartLeast || whole.Delivered == 0 {
			continue
		}
		for _, p := range r.routes.partsOf(whole.Provider, served.cells[whole.Provider]) {
			if shared := served.shared[p.domain]; p.suffix == "" && shared != nil {
				if shared.most != whole.Provider {
					continue
				}
				p = shared.part(p.domain)
			}
			x := &unreachedRow{ProviderRow: &ProviderRow{}, name: cmp.Or(p.suffix, p.domain), part: p, little: true, reasons: map[bounce.Reason]int64{}}
			all := store.Cell{Keys: [store.MaxDimensions]string{whole.Provider}}
			for _, c := range p.cells {
				all.Add(&c.Tally)
				all.Pending += max(0, pending[route{c.Keys[0], c.Keys[1]}]-c.Pending)
				x.older += older[route{c.Keys[0], c.Keys[1]}]
			}
			if rows := providerTable([]store.Cell{all}, nil, nil, 0, nil, nil).Rows; len(rows) > 0 {
				x.ProviderRow = &rows[0]
			}
			if !known && !since.IsZero() { // as many may wait
				x.older = x.Soft
			}
			if n := max(x.lost(), x.Failed, x.older); problem.PartFails(n, x.failing()) && float64(n) >= least*float64(x.Messages) && (slices.Contains(theirs, x.Reason) || x.anyReason()) {
				list = append(list, x)
			}
		}
	}
	share := func(x *unreachedRow) float64 {
		return float64(max(x.lost(), x.Failed, x.older)) / float64(max(x.Messages, 1))
	}
	slices.SortStableFunc(list, func(a, b *unreachedRow) int { return cmp.Compare(share(b), share(a)) })
	return list[:min(len(list), partsAtMost)]
}

// within reports whether an attempt belongs to a part of a provider.
func (x *Routes) within(p *partOf, domain, relay string) bool {
	if p.suffix == "" {
		return ascii.Lower(domain) == p.domain
	}
	return store.AtRelay(x.host(domain, relay), p.suffix)
}

// described returns what a problem says of a part, of which messages were first tried in some hours; nil: the
// row is a whole provider.
func (x *unreachedRow) described(hours int) *problem.Part {
	if x.part == nil {
		return nil
	}
	return &problem.Part{Of: x.Provider, Name: provider.Name(x.Provider), Hosts: x.part.suffix, Domains: len(x.part.domains), Failing: x.failing(), Hours: hours}
}

// failing counts the domains of a part whose mail fails.
func (x *unreachedRow) failing() int {
	fails := map[string]bool{}
	for _, c := range x.part.cells {
		if x.failuresOf(c) > 0 {
			fails[ascii.Lower(c.Keys[0])] = true
		}
	}
	return len(fails)
}

// size returns the number of recipient domains of a part; a whole provider is larger than its parts.
func (x *unreachedRow) size() int {
	if x.part == nil {
		return math.MaxInt32
	}
	return len(x.part.domains)
}

// subject returns the provider, or what is the same of a part each day: its only domain, or its hosts.
func (x *unreachedRow) subject() string {
	if x.part != nil {
		return cmp.Or(x.part.domain, x.part.suffix)
	}
	return x.name
}

// title returns the common name of a provider, a domain that is a part of one, or the hosts of a part with
// the name of the provider.
func (x *unreachedRow) title() string {
	switch {
	case x.part == nil:
		return provider.Name(x.name)
	case x.part.domain == "":
		return x.part.suffix + " (" + provider.Name(x.Provider) + ")"
	}
	return x.part.domain
}

// An unreachedFound is a provider to which mail is not delivered, or a part of one, with its problem.
type unreachedFound struct {
	x     *unreachedRow
	p     *problem.Problem
	after afterwards
}

// holds reports whether x is a part of y.
func (y *unreachedFound) holds(routes *Routes, x *unreachedRow) bool {
	switch {
	case x.part == nil || x.Provider != y.x.Provider:
		return false
	case y.x.part == nil:
		return true
	}
	c := x.part.cells[0]
	return len(x.part.domains) < len(y.x.part.domains) && routes.within(y.x.part, c.Keys[0], c.Keys[1])
}

// partMost is the minimum share of the failures of a provider that are those of a part, if the part alone
// fails. Lower: the rest fails, too.
const partMost = 0.75

// most reports whether the part has most of some failures.
func most(failed, of int) bool { return float64(failed) >= partMost*float64(of) }

// addFound adds z to the others. A provider or a part that takes mail, or took some after these failures
// began, gives way to a smaller part that has most of its failures, and a part to one that has all of them.
// Otherwise the smaller part gives way, unless it alone goes on.
func addFound(routes *Routes, found []*unreachedFound, z *unreachedFound) []*unreachedFound {
	for i, y := range found {
		if !y.holds(routes, z.x) {
			continue
		}
		takes := !y.p.Ongoing || y.x.part != nil && z.p.Messages >= y.p.Messages || y.p.Onset.Refused < y.p.Onset.Tried || y.p.Began().Sub(z.p.Began()) >= problem.StallLeast
		switch {
		case takes && most(z.p.Messages, y.p.Messages) && (z.p.Ongoing || !y.p.Ongoing):
			found[i] = z
			return found
		case y.p.Ongoing || !z.p.Ongoing:
			return found
		}
	}
	return append(found, z)
}
