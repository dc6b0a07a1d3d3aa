// Package provider names the provider that answered for a recipient, from the name of the relay. It
// also reads the host whose answer a reply passes on.
package provider

import (
	"net/netip"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"

	"golang.org/x/net/publicsuffix"
)

// Of names who answered for the recipient of an attempt: the provider of the relay (google.com for
// every gmail-smtp-in.l.google.com), so that a hosted domain counts with its host. A relay known
// only by its address is that address. Without a relay it is the recipient's domain.
func Of(d *bounce.Delivery) string {
	if d.RelayHost == "" {
		return d.RecipientDomain
	}
	return OfHost(d.RelayHost)
}

// OfHost returns the provider of a host: the registered domain of its name, or the best known
// domain of a provider that has several. An address is returned as it is.
func OfHost(host string) string {
	host = ascii.Lower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(strings.TrimPrefix(host, "ipv6:")); err == nil {
		return strings.TrimPrefix(host, "ipv6:")
	}
	domain := registered(host)
	if p, ok := places[domain]; ok {
		return p.name
	}
	return domain
}

// registered returns the registered domain of a host, the label below the public suffix. Suffixes
// that a company opens to its customers (eu-west-1.amazonaws.com) do not count as public: the
// company answers.
func registered(host string) string {
	suffix, icann := publicsuffix.PublicSuffix(host)
	for !icann {
		_, parent, ok := strings.Cut(suffix, ".")
		if !ok {
			break // a top-level domain that is not on the list
		}
		suffix, icann = publicsuffix.PublicSuffix(parent)
	}
	name := strings.TrimSuffix(strings.TrimSuffix(host, suffix), ".")
	if name == "" {
		return host
	}
	return name[strings.LastIndexByte(name, '.')+1:] + "." + suffix
}

// places are the indexes in Table, by registered domain.
var places = func() map[string]place {
	m := make(map[string]place)
	for i := range Table {
		for _, list := range Table[i].Domains {
			for _, domain := range list {
				m[domain] = place{list[0], &Table[i]}
			}
		}
	}
	return m
}()

type place struct {
	name  string
	known *Known
}

// IsFilter reports whether a provider is a hosted mail filter. Each of its customers decides what
// is refused, so failures count for the recipient's domain and not for the filter.
func IsFilter(provider string) bool {
	p, ok := places[provider]
	return ok && p.known.Filter
}

// Name returns the usual name of a provider: "Microsoft" for outlook.com. Without one it is the
// domain.
func Name(provider string) string {
	p, ok := places[provider]
	if !ok || p.known.Name == "" || p.known.Domains[0][0] != p.name {
		return provider
	}
	name, _, _ := strings.Cut(p.known.Name, " (")
	name, _, _ = strings.Cut(name, ",")
	return name
}

// Names returns the names of some providers, in their order.
func Names(providers []string) []string {
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = Name(p)
	}
	return names
}

// Is reports whether a provider has this ID in Table.
func Is(provider, id string) bool {
	p, ok := places[provider]
	return ok && id != "" && p.known.ID == id
}

// Operator returns the ID in Table of the operator of a provider; "" if none is known, or if it is a filter.
func Operator(provider string) string {
	if p, ok := places[provider]; ok && !p.known.Filter {
		return p.known.ID
	}
	return ""
}

// Page returns the address of the page that a provider publishes for senders; "" if none is known.
func Page(provider string) string {
	if p, ok := places[provider]; ok && len(p.known.Pages) > 0 {
		return p.known.Pages[0]
	}
	return ""
}

// Submits reports whether a relay's port is for submission: mail is handed to a smarthost there,
// and no mail exchanger listens on it.
func Submits(port uint16) bool {
	switch port {
	case 0, 24, 25:
		return false
	}
	return true
}

// NamedHost returns the host whose answer a smarthost passes on, as Postfix and Exim write it:
// "host mx.example.com[192.0.2.1] said: 550 …".
func NamedHost(response string) string {
	before, _, ok := strings.Cut(response, " said: ")
	if !ok {
		before, _, ok = strings.Cut(response, "]: ") // Exim: "host mx.example.com [192.0.2.1]: 550 …"
	}
	if !ok {
		return ""
	}
	words := strings.Fields(before)
	i := len(words) - 1
	for ; i > 0; i-- {
		if words[i-1] == "host" {
			break
		}
	}
	if i <= 0 {
		return ""
	}
	host, _, _ := strings.Cut(words[i], "[")
	host = ascii.Lower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return ""
	}
	return host
}
