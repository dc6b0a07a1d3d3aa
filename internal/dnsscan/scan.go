// Package dnsscan checks the DNS records that receivers of mail look up about a sender: MX, SPF
// (RFC 7208), DKIM keys (RFC 6376, 8301, 8463), DMARC (RFC 7489, 9989), the names of the sending
// addresses, MTA-STS (RFC 8461), TLS reporting (RFC 8460), DANE (RFC 7672) and blocklists (RFC
// 5782). Each Finding says what is wrong, why receivers refuse mail for it, and which record to
// publish.
//
// An attacker may have chosen everything that comes from the DNS. The texts of a Finding are
// bounded in length, but not cleaned: the caller must clean them before it prints them.
package dnsscan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// A Level is the severity of a Finding.
type Level string

// The levels, the worst first.
const (
	Error   Level = "error"   // mail is refused for it
	Warning Level = "warning" // some refuse mail for it, or it will break
	Info    Level = "info"    // good to know
	OK      Level = "ok"      // looked at, and right
)

// Rank orders levels, the worst first.
func (l Level) Rank() int { return slices.Index([]Level{Error, Warning, Info, OK}, l) }

// A Check is the subject that a Finding belongs to.
type Check string

// The checks.
const (
	CheckDomain    Check = "domain"
	CheckMX        Check = "mx"
	CheckSPF       Check = "spf"
	CheckDKIM      Check = "dkim"
	CheckDMARC     Check = "dmarc"
	CheckPTR       Check = "ptr"
	CheckHELO      Check = "helo"
	CheckMTASTS    Check = "mta-sts"
	CheckTLSRPT    Check = "tls-rpt"
	CheckDANE      Check = "dane"
	CheckBlocklist Check = "blocklist"
)

// A Finding is one result of a check. docs/json.md documents its JSON, docs/scan.md its rules.
type Finding struct {
	Check     Check  `json:"check"`
	Level     Level  `json:"level"`
	Rule      string `json:"rule"`                // stable name of the finding, as spf-missing
	Domain    string `json:"domain,omitempty"`    // whose domain it is about
	IP        string `json:"ip,omitempty"`        // which sending address it is about
	What      string `json:"what"`                // the finding, in words
	Why       string `json:"why,omitempty"`       // why mail is refused for it
	Do        string `json:"do,omitempty"`        // what to do
	Record    string `json:"record,omitempty"`    // to publish, in the form of a zone file
	Reference string `json:"reference,omitempty"` // RFC and section
	// Unanswered: the DNS did not answer, so this could not be checked.
	Unanswered bool `json:"unanswered,omitempty"`
}

// Options say what to check. Only Client is required.
type Options struct {
	Client     *Client
	Selectors  []string    // of DKIM keys that must exist; none: common ones are tried
	HELO       string      // the name that the sending addresses say in HELO or EHLO
	Blocklists []Blocklist // none: blocklists are not asked
}

// The limits of one scan. A caller with more domains or addresses must scan several times.
const (
	DomainsAtMost = 200
	IPsAtMost     = 50
)

// Run checks domains that send mail and the addresses that send it. The domains must be in A-labels
// (RFC 5890). The findings are in the order of the domains, then of the addresses, the worst of
// each first. The error is that of Client.Err if the DNS is of no use at all, or the context's.
func Run(ctx context.Context, domains []string, ips []netip.Addr, o Options) ([]Finding, error) {
	if len(domains) > DomainsAtMost || len(ips) > IPsAtMost {
		return nil, fmt.Errorf("more than %d domains or %d addresses at once", DomainsAtMost, IPsAtMost)
	}
	s := &scanner{Client: o.Client, Options: o, lists: map[listKey]*listState{}}
	var tasks []func(ctx context.Context) []Finding
	task := func(domain string, ip netip.Addr, checks ...func(context.Context, *about)) {
		for _, check := range checks {
			tasks = append(tasks, func(ctx context.Context) []Finding {
				a := &about{domain: domain}
				if ip.IsValid() {
					a.ip = ip.String()
				}
				check(ctx, a)
				return a.found
			})
		}
	}
	for _, domain := range domains {
		domain = strings.ToLower(strings.TrimSuffix(domain, "."))
		a := &about{domain: domain}
		there := s.domain(ctx, a)
		if err := s.Client.Err(); err != nil {
			return nil, err
		}
		tasks = append(tasks, func(context.Context) []Finding { return a.found })
		if !there {
			continue
		}
		task(domain, netip.Addr{}, s.mx, s.spf, s.dkim, s.dmarc, s.mtaSTS, s.tlsRPT, s.listedDomain)
	}
	for _, ip := range ips {
		ip = ip.Unmap().WithZone("")
		if !Public(ip) {
			task("", ip, s.notPublic)
			continue
		}
		s.ips = append(s.ips, ip)
		task("", ip, s.ptr, s.listedIP)
	}

	results := make([][]Finding, len(tasks))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 2*DefaultConcurrency)
	for i, t := range tasks {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() == nil {
				results[i] = t(ctx)
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Client.Err(); err != nil {
		return nil, err
	}
	return sorted(append(slices.Concat(results...), s.listFindings()...)), nil
}

// ParseDomain parses the name of a domain that sends mail, in A-labels. It returns the name in
// lower case and without a final dot.
func ParseDomain(name string) (string, error) {
	domain := strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		return "", fmt.Errorf("%q is an address, not a domain", name)
	}
	if !askable(domain+".") || !strings.Contains(domain, ".") || strings.ContainsAny(domain, "/:,<>[]*?%") {
		return "", fmt.Errorf("%q is not a domain", name)
	}
	return domain, nil
}

// sorted groups findings by domain or address, the worst first.
func sorted(found []Finding) []Finding {
	order := map[string]int{}
	subject := func(f Finding) string { return cmp.Or(f.Domain, f.IP) }
	for _, f := range found {
		if _, known := order[subject(f)]; !known {
			order[subject(f)] = len(order)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[subject(a)], order[subject(b)]), cmp.Compare(a.Level.Rank(), b.Level.Rank()))
	})
	return found
}

// A scanner is one run.
type scanner struct {
	*Client
	Options
	ips []netip.Addr // the public ones

	mu    sync.Mutex
	lists map[listKey]*listState // what the lists showed when asked about themselves
}

// about gathers the findings of one check of one domain or address.
type about struct {
	domain, ip string
	found      []Finding
}

// add adds a finding under the name of its rule.
func (a *about) add(check Check, level Level, rule string, f Finding) {
	f.Check, f.Level, f.Rule = check, level, rule
	f.Domain, f.IP = cmp.Or(f.Domain, a.domain), cmp.Or(f.IP, a.ip)
	f.What, f.Why, f.Do = short(f.What, 600), short(f.Why, 600), short(f.Do, 600)
	f.Record = short(f.Record, 1000)
	if len(a.found) < foundAtMost {
		a.found = append(a.found, f)
	}
}

const foundAtMost = 100 // findings of one check of one domain

// unanswered adds a finding that something could not be looked up. It reports whether err is such
// an error.
func (a *about) unanswered(check Check, rule string, err error) bool {
	var e *lookupError
	if !errors.As(err, &e) {
		return err != nil
	}
	a.add(check, Warning, rule, Finding{
		What: fmt.Sprintf("The %s record of %s could not be looked up: %s.", e.kind, e.name, e.why),
		Why:  "A receiver who meets the same answers with a temporary error (450, 451 4.4.3, 4.7.x), and the mail waits in the queue.",
		Do:   "Ask again, and ask another resolver. If only this name fails: look at the zone's name servers; SERVFAIL is often a DNSSEC signature that has run out.",

		Unanswered: true,
	})
	return true
}

// short cuts a text to at most n bytes.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// quote returns a text from the DNS for use in a sentence.
func quote(s string) string { return `"` + short(s, 120) + `"` }

// txtRecord is a TXT record in the form of a zone file (RFC 1035 section 5.1),
// in strings of at most 255 bytes. It is empty where the value holds what
// does not belong into a record of ours.
func txtRecord(name, value string) string {
	var b strings.Builder
	b.WriteString(name + ". TXT")
	for i := 0; i < len(value) || i == 0; i += 255 {
		b.WriteString(` "`)
		for _, c := range []byte(value[i:min(i+255, len(value))]) {
			if c < ' ' || c >= 0x7f {
				return ""
			}
			if c == '"' || c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
		b.WriteByte('"')
	}
	return b.String()
}

// Public reports whether an address can send mail on the internet.
func Public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip)
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// domain checks that a domain exists.
func (s *scanner) domain(ctx context.Context, a *about) bool {
	answer, err := s.ask(ctx, a.domain, dns.TypeSOA)
	if a.unanswered(CheckDomain, "domain-unanswered", err) {
		return askable(dns.Fqdn(a.domain))
	}
	if answer.none {
		a.add(CheckDomain, Error, "domain-missing", Finding{
			What:      "There is no domain " + a.domain + " (NXDOMAIN).",
			Why:       "Receivers refuse senders whose domain does not exist: 550 5.1.8, 450 4.1.8 Sender address rejected: Domain not found.",
			Do:        "Look at the spelling, the registration and the delegation of the domain, or send under another one.",
			Reference: "RFC 5321 4.1.1.2",
		})
		return false
	}
	return true
}

func (s *scanner) notPublic(_ context.Context, a *about) {
	a.add(CheckPTR, Info, "ip-private", Finding{
		What: a.ip + " is not an address of the public internet; there is nothing to look up.",
		Do:   "Give the address that receivers see, after any NAT.",
	})
}
