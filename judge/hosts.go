package judge

import (
	"slices"
	"strings"

	"bouncelog/internal/provider"
)

// A hostNode is a label of a host name in a tree that starts at the last label.
type hostNode struct {
	under map[string]*hostNode
	class uint16 // 0: no rule ends here
}

// A hostClass is a set of relays that no rule distinguishes: those with the same longest suffix
// among the rules' and providers' names.
type hostClass struct {
	suffix   string
	names    []int32 // the numbers of the rules' host names that match here
	provider int     // index into Judge.providers, -1: none
}

func (c *hostClass) has(n int32) bool { return slices.Contains(c.names, n) }

// builtinProviders are the providers that rules can name.
func builtinProviders() (list []Provider) {
	for i := range provider.Table {
		if k := &provider.Table[i]; k.ID != "" {
			list = append(list, Provider{ID: k.ID, Name: k.Name, Hosts: k.Hosts(), Pages: k.Pages})
		}
	}
	return list
}

// hostTree builds the tree of the host names in rules and providers, and numbers the names in
// rules.
func (j *Judge) hostTree() {
	names := map[string]int32{}
	j.hostNames = names
	number := func(name string) int32 {
		n, ok := names[name]
		if !ok {
			n = int32(len(names))
			names[name] = n
		}
		return n
	}
	suffixes := map[string][]int32{}
	providerOf := map[string]int{}
	for i, p := range j.providers {
		n := number(p.ID)
		for _, h := range p.Hosts {
			suffixes[h] = append(suffixes[h], n)
			if _, ok := providerOf[h]; !ok {
				providerOf[h] = i
			}
		}
	}
	for i := range j.rules {
		for _, h := range j.rules[i].Host {
			if n := number(h); strings.Contains(h, ".") && !slices.Contains(suffixes[h], n) {
				suffixes[h] = append(suffixes[h], n)
			}
		}
	}
	j.classes = []hostClass{{provider: -1}}
	j.classOf = map[string]uint16{}
	order := make([]string, 0, len(suffixes))
	for s := range suffixes {
		order = append(order, s)
	}
	slices.Sort(order)
	for _, s := range order {
		c := hostClass{suffix: s, provider: -1}
		for rest := s; ; {
			c.names = append(c.names, suffixes[rest]...)
			if p, ok := providerOf[rest]; ok && c.provider < 0 {
				c.provider = p
			}
			_, up, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			rest = up
		}
		n := &j.hosts
		for rest := s; rest != ""; {
			label := rest
			if i := strings.LastIndexByte(rest, '.'); i >= 0 {
				label, rest = rest[i+1:], rest[:i]
			} else {
				rest = ""
			}
			if n.under == nil {
				n.under = map[string]*hostNode{}
			}
			if n.under[label] == nil {
				n.under[label] = &hostNode{}
			}
			n = n.under[label]
		}
		n.class = uint16(len(j.classes))
		j.classOf[s] = n.class
		j.classes = append(j.classes, c)
	}
}

// class returns the class of a relay.
func (j *Judge) class(host string) (class uint16) {
	host = strings.TrimSuffix(host, ".")
	n := &j.hosts
	var buf [64]byte
	for host != "" && n.under != nil {
		label := host
		if i := strings.LastIndexByte(host, '.'); i >= 0 {
			label, host = host[i+1:], host[:i]
		} else {
			host = ""
		}
		next, ok := n.under[label]
		if !ok { // possibly a capital letter: host names are logged in any case
			b := append(buf[:0], label[:min(len(label), len(buf))]...)
			for i, c := range b {
				if c >= 'A' && c <= 'Z' {
					b[i] = c | 0x20
				}
			}
			if next, ok = n.under[string(b)]; !ok {
				break
			}
		}
		n = next
		if n.class != 0 {
			class = n.class
		}
	}
	return class
}

// Provider returns the class of a relay's host name that rules use: its longest suffix, at a label,
// among the names of rules and providers, or "".
func (j *Judge) Provider(relayHost string) string { return j.classes[j.class(relayHost)].suffix }

// ProviderInfo returns the provider of a relay. ok is false if the relay belongs to no known
// provider.
func (j *Judge) ProviderInfo(relayHost string) (p Provider, ok bool) {
	if i := j.classes[j.class(relayHost)].provider; i >= 0 {
		return j.providers[i], true
	}
	return Provider{}, false
}
