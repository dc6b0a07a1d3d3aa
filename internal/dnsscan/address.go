package dnsscan

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

const whyPTR = "Gmail, Yahoo, Microsoft, T-Online and many others refuse addresses without a fitting name: 550 5.7.25, 550 5.7.1, 554 5.7.1, 421 4.7.0."

// genericName matches names that providers give to addresses of customers.
var genericName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[.-])(dyn|dynamic|dhcp|dsl|adsl|vdsl|pool|dialup|dial|ppp|cable|cust|customer|client|static|broadband|unassigned)[0-9]*([.-]|$)`)
})

// ptr checks the PTR name of a sending address, and the name that the server itself gives.
func (s *scanner) ptr(ctx context.Context, a *about) {
	ip := netip.MustParseAddr(a.ip)
	names, answer, err := s.names(ctx, ip)
	if a.unanswered(CheckPTR, "ptr-unanswered", err) {
		return
	}
	host := strings.TrimSuffix(s.HELO, ".")
	if host == "" {
		host = "mail.example.com"
	}
	record := reverse(ip) + arpa(ip) + ". PTR " + host + "."
	if len(names) == 0 {
		f := Finding{
			What: "The address " + a.ip + " has no name (PTR).", Why: whyPTR,
			Do:     "Have the provider of the address set it (often in its panel) to the name that the server sends in HELO.",
			Record: record, Reference: "RFC 1912 2.1, RFC 5321 4.1.1.1",
		}
		if len(answer.aliases) > 0 {
			f.What = fmt.Sprintf("The name (PTR) of the address %s is looked for at %s (CNAME), and is not there.", a.ip, answer.aliases[len(answer.aliases)-1])
		}
		a.add(CheckPTR, Error, "ptr-missing", f)
		s.helo(ctx, a, ip, nil)
		return
	}
	const namesAtMost = 10
	var confirmed, not []string
	for _, name := range names[:min(len(names), namesAtMost)] {
		ips, _, err := s.addresses(ctx, name)
		if err != nil {
			if !askable(dns.Fqdn(name)) {
				not = append(not, name)
				continue
			}
			a.unanswered(CheckPTR, "ptr-unanswered", err)
			continue
		}
		if slices.Contains(ips, ip) {
			confirmed = append(confirmed, name)
		} else {
			not = append(not, name)
		}
	}
	if len(names) > 1 {
		a.add(CheckPTR, Warning, "ptr-several", Finding{
			What: fmt.Sprintf("The address %s has %d names (PTR): %s.", a.ip, len(names), some(names, 3)), Why: "Receivers take any one of them, and one that does not fit is enough to be refused.",
			Do: "Leave the one that the server says in HELO.", Reference: "RFC 1912 2.1",
		})
	}
	switch {
	case len(confirmed) > 0:
		a.add(CheckPTR, OK, "ptr-ok", Finding{What: fmt.Sprintf("The address %s is named %s, and that name leads back to it.", a.ip, some(confirmed, 3))})
		if name := confirmed[0]; genericName().MatchString(name) || holdsAddress(name, ip) {
			a.add(CheckPTR, Warning, "ptr-generic", Finding{
				What: fmt.Sprintf("The name %s of the address %s looks like that of a customer's line.", short(name, 100), a.ip), Why: "Many receivers take no mail from such addresses: 550 5.7.1, 554 5.7.1 Dynamic/generic hostname.",
				Do: "Give it a name of your own, and that name the address.", Record: record, Reference: "RFC 1912 2.1",
			})
		}
	case len(not) > 0:
		kind := "A"
		if !ip.Is4() {
			kind = "AAAA"
		}
		f := Finding{
			What: fmt.Sprintf("The address %s is named %s (PTR), but that name does not lead back to it.", a.ip, some(not, 3)), Why: whyPTR,
			Do:        "Give the name the address, or the address another name.",
			Reference: "RFC 1912 2.1, RFC 8601 3",
		}
		if askable(not[0] + ".") {
			f.Record = not[0] + ". " + kind + " " + a.ip
		}
		a.add(CheckPTR, Error, "ptr-not-confirmed", f)
	}
	s.helo(ctx, a, ip, confirmed)
}

// holdsAddress reports whether a name contains the address, as generated names do.
func holdsAddress(name string, ip netip.Addr) bool {
	if !ip.Is4() {
		return false
	}
	b := ip.As4()
	for _, sep := range []string{"-", ".", "_"} {
		there := fmt.Sprintf("%d%s%d%s%d%s%d", b[0], sep, b[1], sep, b[2], sep, b[3])
		back := fmt.Sprintf("%d%s%d%s%d%s%d", b[3], sep, b[2], sep, b[1], sep, b[0])
		if strings.Contains(name, there) || strings.Contains(name, back) {
			return true
		}
	}
	return false
}

// helo checks the name that the server gives in HELO and EHLO.
func (s *scanner) helo(ctx context.Context, a *about, ip netip.Addr, confirmed []string) {
	name := strings.ToLower(strings.TrimSuffix(s.HELO, "."))
	if name == "" {
		f := Finding{
			What: "What name the server says in HELO is not to be seen in the DNS.",
			Do:   "Give it with --helo to have it checked: smtp_helo_name or myhostname (Postfix), primary_hostname (Exim).", Reference: "RFC 5321 4.1.1.1",
		}
		if len(confirmed) > 0 {
			f.Do = fmt.Sprintf("It should be %s. %s", confirmed[0], f.Do)
		}
		a.add(CheckHELO, Info, "helo-not-given", f)
		return
	}
	why := "Receivers refuse a HELO that is no name of a host: 504 5.5.2, 550 5.7.1 Helo command rejected."
	do := "Set smtp_helo_name (Postfix) or primary_hostname (Exim) to the full name of the host."
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || !strings.Contains(name, ".") || !askable(name+".") || strings.HasSuffix(name, ".local") || strings.HasSuffix(name, ".localdomain") {
		a.add(CheckHELO, Error, "helo-not-a-name", Finding{
			What: fmt.Sprintf("The server says %s in HELO, which is not a full name.", quote(name)), Why: why, Do: do, Reference: "RFC 5321 2.3.5, 4.1.1.1",
		})
		return
	}
	ips, _, err := s.addresses(ctx, name)
	if a.unanswered(CheckHELO, "helo-unanswered", err) {
		return
	}
	s.heloSPF(ctx, a, ip, name)
	kind := "A"
	if !ip.Is4() {
		kind = "AAAA"
	}
	switch {
	case len(ips) == 0:
		a.add(CheckHELO, Error, "helo-no-address", Finding{
			What: fmt.Sprintf("The name %s, which the server says in HELO, has no address.", name), Why: why,
			Do: "Give it one.", Record: name + ". " + kind + " " + a.ip, Reference: "RFC 5321 2.3.5",
		})
	case !slices.Contains(ips, ip):
		a.add(CheckHELO, Warning, "helo-other-address", Finding{
			What: fmt.Sprintf("The name %s, which the server says in HELO, has not the address %s.", name, a.ip), Why: "Some receivers compare the two: 550 5.7.1, 450 4.7.1.",
			Do: "Let HELO, PTR and the address record be one name.", Record: name + ". " + kind + " " + a.ip, Reference: "RFC 5321 4.1.4",
		})
	default:
		a.add(CheckHELO, OK, "helo-ok", Finding{What: fmt.Sprintf("The name %s, which the server says in HELO, has the address %s.", name, a.ip)})
	}
}
