// Package provider says who answers for a recipient: the provider that hosts a
// domain, told by the name of the relay. It also reads the host
// whose answer a reply passes on.
package provider

import (
	"net/netip"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"

	"golang.org/x/net/publicsuffix"
)

// Of names who answered for the recipient of an attempt: the provider that the relay
// belongs to (google.com for every gmail-smtp-in.l.google.com), so that a hosted
// domain counts with its host. A relay that is known by its address only is that
// address. Without a relay it is the recipient's domain.
func Of(d *bounce.Delivery) string {
	if d.RelayHost == "" {
		return d.RecipientDomain
	}
	return OfHost(d.RelayHost)
}

// OfHost names the provider that a host belongs to: the registered domain of its
// name, where several are one provider the best known of them. An address is itself.
func OfHost(host string) string {
	host = ascii.Lower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(strings.TrimPrefix(host, "ipv6:")); err == nil {
		return strings.TrimPrefix(host, "ipv6:")
	}
	domain := registered(host)
	if one, ok := families[domain]; ok {
		return one
	}
	return domain
}

// registered is the domain below a public suffix that a host is in. Suffixes that a
// company opens to its customers (eu-west-1.amazonaws.com) do not count: the company
// answers.
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

// families maps a registered domain to the one that its provider is known by.
var families = map[string]string{
	"gmail.com": "google.com", "googlemail.com": "google.com",
	// Consumer (olc.protection.outlook.com), business (mail.protection.outlook.com)
	// and DANE (mx.microsoft) are edges of one provider.
	"hotmail.com": "outlook.com", "mx.microsoft": "outlook.com", "office365.us": "outlook.com",
	"aol.com": "yahoodns.net", "yahoo.com": "yahoodns.net",
	"gmx.com": "gmx.net", "gmx.de": "gmx.net",
	"mac.com": "icloud.com", "me.com": "icloud.com",
	"yandex.com": "yandex.ru", "yandex.net": "yandex.ru",
	"zoho.com.au": "zoho.com", "zoho.com.cn": "zoho.com", "zoho.eu": "zoho.com", "zoho.in": "zoho.com", "zoho.jp": "zoho.com", "zohomail.com": "zoho.com",
}

// filters are the hosted mail filters. Each customer decides what its filter refuses,
// so the recipient's domain counts and not the filter.
var filters = []string{
	"antispamcloud.com", "barracudanetworks.com", "cudaops.com", "fireeyecloud.com", "gpphosted.com", "hornetsecurity.com",
	"iphmx.com", "mailcontrol.com", "messagelabs.com", "mimecast-offshore.com", "mimecast.co.za", "mimecast.com", "mxlogic.net",
	"ppe-hosted.com", "pphosted.com", "retarus.com", "sophos.com", "spamexperts.com", "spamexperts.eu", "symanteccloud.com", "trendmicro.com", "trendmicro.eu",
}

// IsFilter reports whether a provider is a hosted mail filter.
func IsFilter(provider string) bool { return slices.Contains(filters, provider) }

// Submits reports whether a relay's port is one that mail exchangers do not listen
// on: mail is handed to a smarthost there.
func Submits(port uint16) bool {
	switch port {
	case 0, 24, 25:
		return false
	}
	return true
}

// NamedHost is the host whose answer a smarthost passes on, as Postfix and Exim
// write it: "host mx.example.com[192.0.2.1] said: 550 …".
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
