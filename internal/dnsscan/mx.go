package dnsscan

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const whySenderMX = "Receivers ask whether an answer could be delivered to the sender, and refuse where it could not: 550 5.1.8, 550 5.7.27 (RFC 7505 4.2), 450 4.1.8."

// mx checks the mail exchangers of a domain: bounces of its own mail go there.
func (s *scanner) mx(ctx context.Context, a *about) {
	answer, err := s.ask(ctx, a.domain, dns.TypeMX)
	if a.unanswered(CheckMX, "mx-unanswered", err) {
		return
	}
	var hosts []string
	null := false
	for _, rr := range answer.records {
		if mx, ok := rr.(*dns.MX); ok {
			host := strings.ToLower(strings.TrimSuffix(mx.Mx, "."))
			null = null || host == ""
			if host != "" {
				hosts = append(hosts, host)
			}
		}
	}
	switch {
	case null && len(hosts) > 0:
		a.add(CheckMX, Error, "mx-null-and-others", Finding{
			What: a.domain + " says with a null MX that it takes no mail, and names mail servers besides.",
			Why:  whySenderMX, Do: "Remove the record \"MX 0 .\", or all the others.", Reference: "RFC 7505 3",
		})
	case null:
		a.add(CheckMX, Warning, "mx-null", Finding{
			What: a.domain + " says with a null MX that it takes no mail. Mail that it sends cannot be answered, nor returned.",
			Why:  whySenderMX, Do: "Send under a domain that takes mail, or publish the MX of a server that takes its bounces.",
			Record: a.domain + ". MX 10 mail." + a.domain + ".", Reference: "RFC 7505 4.2",
		})
		return
	case len(hosts) == 0:
		ips, _, err := s.addresses(ctx, a.domain)
		if a.unanswered(CheckMX, "mx-unanswered", err) {
			return
		}
		if len(ips) == 0 {
			a.add(CheckMX, Error, "mx-missing", Finding{
				What: a.domain + " has neither an MX record nor an address: it takes no mail.",
				Why:  whySenderMX, Do: "Name the server that takes its mail and its bounces.",
				Record: a.domain + ". MX 10 mail." + a.domain + ".", Reference: "RFC 5321 5.1",
			})
			return
		}
		a.add(CheckMX, Warning, "mx-implicit", Finding{
			What: fmt.Sprintf("%s has no MX record; mail goes to its address %s instead.", a.domain, ips[0]),
			Why:  "Some receivers take that for a domain without mail, and it breaks when the address becomes a web server's.",
			Do:   "Name the server that takes its mail.", Record: a.domain + ". MX 10 " + a.domain + ".", Reference: "RFC 5321 5.1",
		})
		hosts = []string{a.domain}
	}

	const hostsAtMost = 20
	good := 0
	for _, host := range hosts[:min(len(hosts), hostsAtMost)] {
		if s.mxHost(ctx, a, host) {
			good++
		}
	}
	if len(hosts) > 0 && good == 0 {
		a.add(CheckMX, Error, "mx-unreachable", Finding{
			What: "None of the mail servers of " + a.domain + " has an address: it takes no mail.", Why: whySenderMX,
			Do: "Give the MX hosts addresses, or name other ones.", Reference: "RFC 5321 5.1",
		})
	}
	if good > 0 {
		a.add(CheckMX, OK, "mx-ok", Finding{What: fmt.Sprintf("Mail for %s goes to %s.", a.domain, some(hosts, 3))})
	}
	s.dane(ctx, a, answer.validated, hosts[:min(len(hosts), hostsAtMost)])
}

// mxHost checks one mail server, and reports whether it has an address.
func (s *scanner) mxHost(ctx context.Context, a *about, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		a.add(CheckMX, Error, "mx-address", Finding{
			What: "The MX of " + a.domain + " is the address " + host + ". An MX must be a name.", Why: whySenderMX,
			Do:     "Give the address a name, and name that in the MX.",
			Record: "mail." + a.domain + ". A " + host + "\n" + a.domain + ". MX 10 mail." + a.domain + ".", Reference: "RFC 5321 5.1, RFC 1035 3.3.9",
		})
		return false
	}
	ips, answer, err := s.addresses(ctx, host)
	if a.unanswered(CheckMX, "mx-unanswered", err) {
		return true // not known to be bad
	}
	if len(answer.aliases) > 0 {
		a.add(CheckMX, Warning, "mx-cname", Finding{
			What: fmt.Sprintf("The MX %s of %s is an alias (CNAME) of %s.", host, a.domain, answer.aliases[len(answer.aliases)-1]),
			Why:  "An MX must name a host that has addresses itself; some servers send no mail to an alias.",
			Do:   "Name the host itself in the MX.", Record: a.domain + ". MX 10 " + answer.aliases[len(answer.aliases)-1] + ".", Reference: "RFC 2181 10.3, RFC 5321 5.1",
		})
	}
	if len(ips) == 0 {
		a.add(CheckMX, Warning, "mx-no-address", Finding{
			What: fmt.Sprintf("The MX %s of %s has no address.", host, a.domain), Why: whySenderMX,
			Do: "Give it an A or AAAA record, or take it out of the MX.", Reference: "RFC 5321 5.1",
		})
		return false
	}
	inside := 0
	for _, ip := range ips {
		if !Public(ip) {
			inside++
		}
	}
	if inside > 0 {
		a.add(CheckMX, Warning, "mx-private", Finding{
			What: fmt.Sprintf("The MX %s of %s has an address that is not of the public internet: %s.", host, a.domain, ips[0]),
			Why:  whySenderMX, Do: "Publish the public address.", Reference: "RFC 5321 5.1",
		})
	}
	return inside < len(ips)
}

// some returns the first n entries of a list as text.
func some(list []string, n int) string {
	if len(list) <= n {
		return short(strings.Join(list, ", "), 300)
	}
	return short(strings.Join(list[:n], ", "), 300) + fmt.Sprintf(" and %d more", len(list)-n)
}
