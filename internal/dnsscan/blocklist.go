package dnsscan

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// A Blocklist is a DNS zone that lists addresses or domains (RFC 5782).
type Blocklist struct {
	Zone    string
	Domains bool   // lists domains, not addresses
	Terms   string // on what terms it may be asked
	codes   []blockCode
}

// A blockCode is the meaning of one answer of a list.
type blockCode struct{ answer, meaning string }

// Blocklists are the lists that are queried by default: few, used by large receivers and known to
// be maintained. docs/scan.md has their terms of use too.
func Blocklists() []Blocklist {
	return []Blocklist{
		{
			Zone: "zen.spamhaus.org", Terms: "free for low-volume use that is not commercial; not through public resolvers",
			codes: []blockCode{
				{"127.0.0.2", "SBL"},
				{"127.0.0.3", "CSS"},
				{"127.0.0.4", "XBL"},
				{"127.0.0.9", "DROP"},
				{"127.0.0.10", "PBL: an address that should not send mail itself"},
				{"127.0.0.11", "PBL: an address that should not send mail itself"},
			},
		},
		{Zone: "bl.spamcop.net", Terms: "free"},
		{
			Zone: "dbl.spamhaus.org", Domains: true, Terms: "free for low-volume use that is not commercial; not through public resolvers",
			codes: []blockCode{
				{"127.0.1.2", "spam"},
				{"127.0.1.4", "phishing"},
				{"127.0.1.5", "malware"},
				{"127.0.1.6", "botnet"},
				{"127.0.1.102", "a good domain that was abused"},
				{"127.0.1.103", "a good redirector that was abused"},
				{"127.0.1.104", "a good domain, abused for phishing"},
				{"127.0.1.105", "a good domain, abused for malware"},
				{"127.0.1.106", "a good domain, abused by a botnet"},
			},
		},
	}
}

// meaning returns the meaning of a list's answers.
func (l Blocklist) meaning(answers []netip.Addr) string {
	var list []string
	for _, ip := range answers {
		word := ip.String()
		for _, c := range l.codes {
			if c.answer == word {
				word += " (" + c.meaning + ")"
			}
		}
		list = append(list, word)
	}
	return some(list, 4)
}

// The ways to query a list.
const (
	listIPv4 = iota
	listIPv6
	listNames
)

type listKey struct {
	kind int
	zone string
}

// A listState is the result of a query for a list's test entries.
type listState struct {
	once  sync.Once
	works bool
	found []Finding
}

// The test entries that each list must have and must not have (RFC 5782 section 5).
var listTests = [...]struct{ listed, clean, kind string }{
	listIPv4:  {reverse(netip.MustParseAddr("127.0.0.2")), reverse(netip.MustParseAddr("127.0.0.1")), "IPv4 addresses"},
	listIPv6:  {reverse6("::ffff:127.0.0.2"), reverse6("::ffff:127.0.0.1"), "IPv6 addresses"},
	listNames: {"test.", "invalid.", "domains"},
}

// reverse6 is reverse for an IPv4 address mapped into IPv6.
func reverse6(s string) string {
	raw := netip.MustParseAddr(s).As16()
	var b strings.Builder
	for i := len(raw) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "%x.%x.", raw[i]&15, raw[i]>>4)
	}
	return b.String()
}

// listed queries a list about an entry. An answer outside 127.0.0.0/8 is no listing (RFC 5782
// section 2.1); one in 127.255.255.0/24 means that the list refuses to answer us.
func (s *scanner) listed(ctx context.Context, zone, entry string) (codes, others, refusals []netip.Addr, err error) {
	answer, err := s.ask(ctx, entry+zone, dns.TypeA)
	for _, rr := range answer.records {
		a, ok := rr.(*dns.A)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(a.A.To4())
		switch {
		case !ok:
		case !ip.IsLoopback():
			others = append(others, ip)
		case ip.As4()[1] == 255 && ip.As4()[2] == 255:
			refusals = append(refusals, ip)
		default:
			codes = append(codes, ip)
		}
	}
	return codes, others, refusals, err
}

// test queries the test entries of a list, once.
func (s *scanner) test(ctx context.Context, l Blocklist, kind int) *listState {
	key := listKey{kind, l.Zone}
	s.mu.Lock()
	state := s.lists[key]
	if state == nil {
		state = &listState{}
		s.lists[key] = state
	}
	s.mu.Unlock()
	state.once.Do(func() {
		a := &about{}
		say := func(level Level, rule string, f Finding) {
			f.Domain, f.Reference = l.Zone, "RFC 5782 5"
			a.add(CheckBlocklist, level, rule, f)
			state.found = a.found
		}
		t := listTests[kind]
		clean, others, refused, err := s.listed(ctx, l.Zone, t.clean)
		if err == nil && len(clean) == 0 && len(others) == 0 && len(refused) == 0 {
			var listed []netip.Addr
			listed, others, refused, err = s.listed(ctx, l.Zone, t.listed)
			if err == nil && len(listed) > 0 && len(others) == 0 && len(refused) == 0 {
				state.works = true
				return
			}
		}
		switch {
		case err != nil:
			a.unanswered(CheckBlocklist, "blocklist-unanswered", err)
			for i := range a.found {
				a.found[i].Domain, a.found[i].Level = l.Zone, Info
				a.found[i].Why, a.found[i].Do = "Nothing can be said about listings there.", "Ask again later; if it stays so, the list is dead: leave it out."
			}
			state.found = a.found
		case len(refused) > 0:
			say(Info, "blocklist-refused", Finding{
				What: fmt.Sprintf("The blocklist %s does not answer questions through this resolver (%s): %s.", l.Zone, refused[0], refusal(refused[0])),
				Why:  "Nothing can be said about listings there.", Do: "Ask through a resolver of your own (--resolver), not a public one, and keep to the terms of the list.", Unanswered: true,
			})
		case len(clean) > 0 || len(others) > 0:
			say(Info, "blocklist-lists-all", Finding{
				What: fmt.Sprintf("The blocklist %s lists even what must never be listed: it is dead, or its zone was sold.", l.Zone),
				Why:  "Its answers mean nothing. A receiver who still asks it refuses all mail.", Do: "Leave it out.", Unanswered: true,
			})
		default:
			say(Info, "blocklist-dead", Finding{
				What: fmt.Sprintf("The blocklist %s does not know its own test entry for %s: it is dead, has moved, or lists no %s.", l.Zone, t.kind, t.kind),
				Why:  "Nothing can be said about listings there.", Do: "Leave it out.", Unanswered: true,
			})
		}
	})
	return state
}

// listFindings returns a finding for each list that does not work.
func (s *scanner) listFindings() []Finding {
	var all []Finding
	for _, l := range s.Blocklists {
		for kind := range listTests {
			if state := s.lists[listKey{kind, l.Zone}]; state != nil {
				all = append(all, state.found...)
			}
		}
	}
	return all
}

// refusal returns the meaning of an answer in 127.255.255.0/24, a convention that Spamhaus began.
func refusal(ip netip.Addr) string {
	switch ip.As4()[3] {
	case 252:
		return "the name of the list is misspelt"
	case 254:
		return "the resolver is a public one, or cannot be told whose it is"
	case 255:
		return "too many questions"
	}
	return "see the list's documentation"
}

func (s *scanner) listedIP(ctx context.Context, a *about) {
	ip := netip.MustParseAddr(a.ip)
	kind := listIPv4
	if !ip.Is4() {
		kind = listIPv6
	}
	s.askLists(ctx, a, kind, reverse(ip), a.ip)
}

func (s *scanner) listedDomain(ctx context.Context, a *about) {
	s.askLists(ctx, a, listNames, a.domain+".", a.domain)
}

// askLists queries all lists of a kind about one entry.
func (s *scanner) askLists(ctx context.Context, a *about, kind int, entry, name string) {
	var clear []string
	for _, l := range s.Blocklists {
		if l.Domains != (kind == listNames) {
			continue
		}
		state := s.test(ctx, l, kind)
		if !state.works {
			continue // listFindings says so, once
		}
		codes, _, refused, err := s.listed(ctx, l.Zone, entry)
		switch {
		case a.unanswered(CheckBlocklist, "blocklist-unanswered", err):
		case len(refused) > 0:
			a.add(CheckBlocklist, Info, "blocklist-refused", Finding{
				What: fmt.Sprintf("The blocklist %s does not say whether %s is listed (%s): %s.", l.Zone, name, refused[0], refusal(refused[0])), Unanswered: true, Reference: "RFC 5782 5",
				Do: "Ask through a resolver of your own (--resolver), not a public one, and keep to the terms of the list.",
			})
		case len(codes) > 0:
			text := ""
			if txts, _, err := s.txt(ctx, entry+l.Zone); err == nil && len(txts) > 0 {
				text = " It says: " + quote(txts[0]) + "."
			}
			a.add(CheckBlocklist, Error, "blocklist-listed", Finding{
				What: fmt.Sprintf("%s is listed by %s: %s.%s", name, l.Zone, l.meaning(codes), text),
				Why:  "Receivers that ask the list refuse the mail: 550 5.7.1, 554 5.7.1 blocked using " + l.Zone + ".",
				Do:   "Find out first what was sent (a stolen password, a broken form, a bad address list) and stop it; then ask the list to take the entry out, on its own site.", Reference: "RFC 5782 2.1",
			})
		default:
			clear = append(clear, l.Zone)
		}
	}
	if len(clear) > 0 {
		a.add(CheckBlocklist, OK, "blocklist-clear", Finding{What: fmt.Sprintf("%s is not listed by %s.", name, some(clear, 10))})
	}
}
