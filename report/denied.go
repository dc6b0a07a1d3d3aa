package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/problem"
)

// denied doubts the refusals of an operator of mailboxes in a time in which it calls many more recipients
// unknown than usual, whether or not they took mail before; see problem.Denial.
func (d doubts) denied(e *evidence, claims []*claim) error {
	operators := map[string][]string{} // of a domain
	unknowns := problem.Unknowns{}
	seen := map[string]bool{} // answers about an address at a time
	for _, c := range claims {
		if c.relay != "" {
			continue
		}
		names, known := operators[c.domain]
		if !known {
			names = e.operators(c.domain)
			operators[c.domain] = names
		}
		for _, at := range c.times() {
			if key := fmt.Sprint(ascii.Lower(c.Address), at.Unix()); !seen[key] {
				seen[key] = true
				for _, name := range names {
					unknowns.Add(name, at)
				}
			}
		}
	}
	denials, err := unknowns.Denials(e.ctx, e.s, e.f)
	for _, x := range denials {
		names := strings.Join(provider.Names(x.Providers), ", ")
		for _, c := range claims {
			if !d.has(c) && !c.FirstSince.Before(x.Since) && !c.Fault.Last.After(x.Until) && slices.ContainsFunc(operators[c.domain], func(p string) bool { return slices.Contains(x.Providers, p) }) {
				d.add(c, fmt.Sprintf("%s called %d of %d recipients unknown at that time, and %d of %d before and after: its user table may have been at fault",
					names, x.Refused, x.Refused+x.Taken, x.UsualRefused, x.UsualRefused+x.UsualTaken))
			}
		}
	}
	return err
}

// operators returns the providers of the servers of others that the mail of a domain was sent to.
func (e *evidence) operators(domain string) []string {
	set := map[string]bool{}
	for relay := range e.servers[domain] {
		if name := provider.OfHost(relay); relay != "" && !judge.OwnRelay(relay) && name != e.relay {
			set[name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
