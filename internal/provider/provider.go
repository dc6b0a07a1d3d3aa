// Package provider says who answers for a recipient: the provider that hosts a
// domain, told by the name of the relay. It also reads the hosts and addresses
// that a reply names.
package provider

import (
	"net/netip"
	"slices"
	"strings"

	"bouncelog/bounce"
)

// Of is who answered for a recipient: the Registered domain of the
// relay (google.com for every gmail-smtp-in.l.google.com), so that company
// domains count with the provider that hosts them; without a relay the
// recipient's domain.
func Of(d *bounce.Delivery) string {
	if d.RelayHost == "" || strings.HasPrefix(d.RelayHost, "[") || d.RelayHost == d.RelayIP {
		return d.RecipientDomain
	}
	return Registered(d.RelayHost)
}

// Registered is the domain that a host's owner Registered, as far as that can be
// told without the list of public suffixes.
func Registered(host string) string {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	n := 2
	if len(labels) > 2 && len(labels[len(labels)-1]) == 2 && len(labels[len(labels)-2]) <= 3 {
		n = 3 // example.co.uk, example.ne.jp
	}
	return strings.Join(labels[max(0, len(labels)-n):], ".")
}

// filters are the hosted mail filters: what is refused there is each customer's
// own decision, so the recipient's domain counts and not the filter.
var filters = []string{
	"antispamcloud.com", "barracudanetworks.com", "cudaops.com", "fireeyecloud.com", "gpphosted.com", "hornetsecurity.com",
	"iphmx.com", "mailcontrol.com", "messagelabs.com", "mimecast-offshore.com", "mimecast.co.za", "mimecast.com", "mxlogic.net",
	"ppe-hosted.com", "pphosted.com", "retarus.com", "sophos.com", "spamexperts.com", "spamexperts.eu", "symanteccloud.com", "trendmicro.com", "trendmicro.eu",
}

func IsFilter(provider string) bool { return slices.Contains(filters, provider) }

// Submits tells whether a relay's port is one that mail exchangers do not listen
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
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return ""
	}
	return host
}

// OwnAddresses are the IP addresses of ours that a reply names: public ones that
// are not the relay's. What follows a dash is a version (Yahoo's "- 4.16.55.1").
func OwnAddresses(response, relayIP string) (list []string) {
	before := ""
	for word := range strings.FieldsSeq(response) {
		dash := before == "-"
		before = word
		word = strings.Trim(word, "[]()<>{},;.:'\"")
		if _, rest, ok := strings.Cut(word, "["); ok {
			word, _, _ = strings.Cut(rest, "]")
		}
		a, err := netip.ParseAddr(strings.TrimPrefix(word, "IPv6:"))
		if err != nil || dash {
			continue
		}
		a = a.Unmap().WithZone("")
		if a.IsGlobalUnicast() && !a.IsPrivate() && a.String() != relayIP && !slices.Contains(list, a.String()) {
			list = append(list, a.String())
		}
	}
	return list
}
