package bounce

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// NamedAddresses returns the IP addresses that a remote server's reply names as those of its
// client, in their order: public ones, each once. It leaves out the relay's own address, the
// address of a host whose answer the reply passes on and all addresses in that answer (its client
// was the relay, not this server), and versions that look like an address (Yahoo's "- 4.16.55.1", also before "; see …").
func NamedAddresses(t Template, relayIP string) (list []netip.Addr) {
	relay, _ := netip.ParseAddr(relayIP)
	text, args := t.Text, t.Args
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return list
		}
		before := text[:i]
		text = text[i:]
		token := LeadingToken(text)
		if token == "" || token == TokenBrace {
			text = text[max(1, len(token)):]
			continue
		}
		var arg string
		arg, args, _ = strings.Cut(args, " ")
		text = text[len(token):]
		if token != TokenIP {
			continue
		}
		if strings.HasPrefix(text, "] said: ") || strings.HasSuffix(before, " [") && strings.HasPrefix(text, "]: ") {
			return list
		}
		a, err := netip.ParseAddr(arg)
		if err != nil || strings.HasSuffix(before, "- ") && (text == "" || text[0] == ';' && len(list) > 0) || strings.HasSuffix(before, "ersion ") {
			continue
		}
		a = a.Unmap().WithZone("")
		if a.IsGlobalUnicast() && !a.IsPrivate() && a != relay.Unmap() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
}

// NamedDomains returns the domains and hosts that a reply names outside URLs, also those of addresses, in
// their order: in lower case, each once.
func NamedDomains(t Template) (list []string) {
	text, args := t.Text, t.Args
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return list
		}
		text = text[i:]
		token := LeadingToken(text)
		text = text[max(1, len(token)):]
		if token == "" || token == TokenBrace {
			continue
		}
		var arg string
		arg, args, _ = strings.Cut(args, " ")
		if token != TokenHost && token != TokenAddr {
			continue
		}
		name := strings.ToLower(strings.TrimRight(arg[strings.LastIndexByte(arg, '@')+1:], ".>"))
		if IsHostName(name) && strings.Contains(name, ".") && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
}

// selectorInReply matches DKIM selectors as replies name them.
var selectorInReply = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b([a-z0-9](?:[a-z0-9_-]{0,60}[a-z0-9])?)\._domainkey\.|\bselector[ =:]{1,3}["'<]?([a-z0-9](?:[a-z0-9._-]{0,60}[a-z0-9])?)|(?:^|[\s(;,])s=([a-z0-9](?:[a-z0-9._-]{0,60}[a-z0-9])?)\b`)
})

// NamedSelectors lists the DKIM selectors (RFC 6376 3.1) that a reply names,
// lower case, ten at most.
func NamedSelectors(response string) (list []string) {
	for _, m := range selectorInReply().FindAllStringSubmatch(response[:min(len(response), 2000)], 10) {
		for _, s := range m[1:] {
			if s = strings.ToLower(s); s != "" && !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list
}
