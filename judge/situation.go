package judge

import (
	"strings"

	"bouncelog/bounce"
)

// facts are what is known of an attempt beside the words and codes of its
// reply: who spoke, and to whom. The same words mean another thing, and another
// has to act, where the next hop is this server's own.
type facts uint32

// The facts that rules ask for in "when" and "unless", by name in factNames.
const (
	factLocal       facts = 1 << iota // the MTA's own words; no remote server spoke
	factRemote                        // a remote server's reply
	factHere                          // a delivery agent of this host: local, virtual, pipe, an Exim transport that is no SMTP
	factRouter                        // Exim: the address reached no transport
	factLMTP                          // handed on by LMTP (RFC 2033), as to a mail store of one's own
	factLoopback                      // the next hop is this host
	factPrivate                       // the next hop has an address of a private network, or is a socket
	factSubmission                    // the next hop's port is none that mail exchangers listen on: a smarthost's
	factWrapper                       // that port is 465, where TLS comes first (RFC 8314 3.3)
	factSameName                      // the name that was not found is the recipient's domain
	factTheirName                     // it is below the recipient's domain, or above it: one of its mail exchangers
	factOwnName                       // it is another: the next hop that one's own configuration names
	factGivenUp                       // the MTA gave up
	factForwarded                     // the mail was for an address in another domain and sent on
	factPassedOn                      // the reply passes on what a server with a public address said
	factIPv6                          // the MTA's own words about a host with a public IPv6 address
	factNamesSender                   // the reply names the sender's address, and neither the recipient's nor a recipient
)

var factNames = [...]string{
	"local", "remote", "here", "router", "lmtp", "loopback", "private", "submission", "port-465",
	"same-name", "their-name", "own-name", "given-up", "forwarded", "passed-on", "ipv6",
	"names-sender",
}

// ownHop are the facts that say that the next hop is this server's own.
const ownHop = factHere | factLMTP | factLoopback | factPrivate

func parseFact(s string) (facts, bool) {
	for i, name := range factNames {
		if s == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// factsOf finds the facts of a failed attempt.
func factsOf(d *bounce.Delivery) (f facts) {
	local := d.Local || d.Code == 0 && bounce.ReplyCode(d.Response) == 0 && d.Stage <= bounce.StageConnect
	if local {
		f |= factLocal
	} else {
		f |= factRemote
	}
	if d.Outcome == bounce.Hard {
		f |= factGivenUp
	}
	if d.OriginalRecipient != "" {
		if i := strings.LastIndexByte(d.OriginalRecipient, '@'); i >= 0 && !strings.EqualFold(d.OriginalRecipient[i+1:], d.RecipientDomain) {
			f |= factForwarded
		}
	}
	switch d.Agent {
	case "local", "virtual", "pipe", "maildrop":
		f |= factHere
	case "smtp", "error", "retry":
	case "lmtp":
		f |= factLMTP
	case "":
		if local && d.MTA == bounce.Exim {
			f |= factRouter
		}
	default:
		switch {
		case strings.Contains(d.Agent, "lmtp"):
			f |= factLMTP
		case d.MTA == bounce.Exim && local && d.RelayHost == "" && d.RelayIP == "" && !strings.Contains(d.Agent, "smtp"):
			f |= factHere
		}
	}
	address := d.RelayIP
	if local && address == "" {
		address = addressIn(d.Response)
	}
	if address == "" {
		address = d.RelayHost
	}
	f |= hopFacts(address)
	if local && f&ownHop == 0 && strings.IndexByte(address, ':') >= 0 {
		f |= factIPv6
	}
	switch d.RelayPort {
	case 0, 24, 25:
	case 465:
		f |= factWrapper | factSubmission
	default:
		f |= factSubmission
	}
	if local {
		f |= nameFacts(d, f)
	} else {
		if f&(ownHop|factSubmission) != 0 && passesOn(d.Response) {
			f |= factPassedOn
		}
		if namesSender(d) {
			f |= factNamesSender
		}
	}
	return f
}

// namesSender reports whether a reply speaks of the sender's address alone. A server that
// asks the sender's (a callout) and passes its answer on says that a user is unknown there.
func namesSender(d *bounce.Delivery) bool {
	return d.Sender != "" && strings.IndexByte(d.Response, '@') >= 0 && strings.Contains(d.Response, d.Sender) &&
		(d.Recipient == "" || !strings.Contains(d.Response, d.Recipient)) && !strings.Contains(d.Response, "ecipient")
}

// passesOn reports whether a reply passes on what another server said, as Postfix
// (reject_unverified_recipient, smtpd_proxy_filter) and Exim (a callout) write it: "host
// name[address] said: 550 …", "host name [address]: 550 …". The address has to be public.
func passesOn(reply string) bool {
	_, said, ok := strings.Cut(reply, "host ")
	if !ok {
		return false
	}
	name, said, ok := strings.Cut(said, "[")
	if !ok || len(name) > 256 || strings.Count(name, " ") > 1 {
		return false
	}
	address, said, ok := strings.Cut(said, "]")
	if !ok || !strings.HasPrefix(said, " said: ") && !strings.HasPrefix(said, ": ") {
		return false
	}
	return hopFacts(address) == 0 && strings.ContainsAny(address, ".:")
}

// addressIn is the address in Postfix's own words for a next hop, "connect to
// name[address]:25: …", or the path of a socket; "" where there is none.
func addressIn(words string) string {
	i := strings.IndexByte(words[:min(len(words), 512)], '[')
	if i < 0 {
		return ""
	}
	j := strings.IndexByte(words[i:], ']')
	if j < 0 {
		return ""
	}
	return words[i+1 : i+j]
}

// hopFacts says whether an address is of this host or a private network (RFC
// 1918, 3927, 4193, 6598), or the path of a socket. Anything else has no facts.
func hopFacts(a string) facts {
	if a == "" {
		return 0
	}
	if strings.IndexByte(a, '/') > 0 || a[0] == '/' {
		return factPrivate
	}
	if strings.IndexByte(a, ':') >= 0 {
		switch {
		case a == "::1" || strings.HasPrefix(a, "::ffff:127."):
			return factLoopback
		case len(a) > 4 && (a[0]|0x20) == 'f' && ((a[1]|0x20) == 'c' || (a[1]|0x20) == 'd' || (a[1]|0x20) == 'e' && strings.IndexByte("89abAB", a[2]) >= 0):
			return factPrivate
		}
		return 0
	}
	var n [2]int
	i := 0
	for k := range n {
		start := i
		for i < len(a) && isDigit(a[i]) && i < start+3 {
			n[k] = n[k]*10 + int(a[i]-'0')
			i++
		}
		if i == start || i == len(a) || a[i] != '.' {
			if strings.EqualFold(a, "localhost") {
				return factLoopback
			}
			return 0
		}
		i++
	}
	switch {
	case n[0] == 127:
		return factLoopback
	case n[0] == 10, n[0] == 192 && n[1] == 168, n[0] == 172 && n[1]&0xf0 == 16, n[0] == 169 && n[1] == 254, n[0] == 100 && n[1]&0xc0 == 64:
		return factPrivate
	}
	return 0
}

// nameFacts compares the name that could not be looked up with the recipient's
// domain.
func nameFacts(d *bounce.Delivery, f facts) facts {
	name := ""
	for _, before := range [...]string{" name=", "look up host ", "lookup of host \"", "TLSA lookup error for "} {
		if _, after, ok := strings.Cut(d.Response[:min(len(d.Response), 1024)], before); ok {
			end := strings.IndexAny(after, " \":)")
			if end < 0 {
				end = len(after)
			}
			name = strings.TrimSuffix(after[:end], ".")
			break
		}
	}
	switch {
	case name == "" || d.RecipientDomain == "" && f&factLMTP == 0:
		return 0
	case strings.EqualFold(name, d.RecipientDomain):
		return factSameName
	case f&factLMTP == 0 && (under(name, d.RecipientDomain) || under(d.RecipientDomain, name) && strings.IndexByte(name, '.') > 0):
		return factTheirName
	}
	return factOwnName
}

// under reports whether a name is below a domain.
func under(name, domain string) bool {
	n := len(name) - len(domain)
	return n > 1 && name[n-1] == '.' && strings.EqualFold(name[n:], domain)
}

// String names the facts, in their order.
func (f facts) String() string {
	var b strings.Builder
	for i, name := range factNames {
		if f&(1<<i) != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(name)
		}
	}
	return b.String()
}

// situation writes what a verdict rests on beside the template and the codes:
// the class of the relay's name and those of the facts that a rule asks for. It
// goes to the store with the template, so that the rules of a later day can be
// applied to what is stored.
func (j *Judge) situation(class uint16, f facts) string {
	suffix := j.classes[class].suffix
	if f == 0 {
		return suffix
	}
	return suffix + " " + f.String()
}

// parseSituation is the inverse.
func (j *Judge) parseSituation(s string) (class uint16, f facts) {
	suffix, names, _ := strings.Cut(s, " ")
	class = j.class(suffix)
	for name := range strings.SplitSeq(names, ",") {
		fact, _ := parseFact(name)
		f |= fact
	}
	return class, f
}

// The details of verdicts about one's own side.
const (
	detailOwnHost  = "own-host"  // the MTA's own words: disk, permissions, configuration, a command
	detailOwnHop   = "own-hop"   // the next hop is on this host or in its network
	detailOwnStore = "own-store" // the next hop is a mail store
	detailOwnRoute = "own-route" // the name of the next hop is in one's own configuration
	detailOwnLoop  = "own-loop"  // the mail comes back to this server
	detailLoop     = "loop"      // another server says that the mail is in a loop

	detailUnrouteable = "unrouteable" // no router of Exim took the address

	detailCertificate = "certificate" // the receiver's, which a policy of one's own or of theirs has checked

	detailNotTried = "not-tried" // no host was contacted: the reason is that of an attempt before

	// Of a mailbox that is said not to be there. Whether it is, no other server was asked;
	// the address may still be wrong, so its scope stays the recipient.
	DetailOwnTable   = "own-table"   // by the MTA itself
	DetailOwnMailbox = "own-mailbox" // by a mail store of one's own
	DetailOwnRelay   = "own-relay"   // by a filter, a gateway or a relay of one's own, for itself
	DetailSmarthost  = "smarthost"   // by a relay that mail is handed to, for itself

	// The scope stays the message's: what a filter says is right, as a rule. Only many such
	// refusals are a fault of one's own (package problem).
	detailContentFilter = "content-filter" // one's own content filter refuses the message
)

// ownSide turns a verdict about the other side into one about this server where
// there is no other side: the MTA speaks of itself, or the next hop is its own. What
// such a one says of a mailbox is told apart from what the recipient's server says.
func ownSide(v *bounce.Verdict, f facts) {
	if v.Reason.AboutAddress() {
		switch {
		case f&factLocal != 0:
			if v.Reason.NoMailbox() {
				v.Detail = orElse(v.Detail, DetailOwnTable)
			}
		case f&factPassedOn != 0:
		case f&factLMTP != 0:
			v.Detail = orElse(v.Detail, DetailOwnMailbox)
		case f&ownHop != 0:
			v.Detail = orElse(v.Detail, DetailOwnRelay)
		case f&factSubmission != 0:
			v.Detail = orElse(v.Detail, DetailSmarthost)
		}
		return
	}
	switch v.Reason {
	case bounce.SystemError:
		if f&factLocal != 0 && f&ownHop == 0 {
			v.Scope, v.Detail = bounce.ScopeSender, orElse(v.Detail, detailOwnHost)
			return
		}
	case bounce.ContentSpam, bounce.ContentRejected:
		if f&(ownHop|factLocal) != 0 && f&factPassedOn == 0 {
			v.Detail = orElse(v.Detail, detailContentFilter)
		}
		return
	case bounce.Policy:
		if f&ownHop != 0 && f&factPassedOn == 0 {
			v.Detail = orElse(v.Detail, detailContentFilter)
		}
		return
	case bounce.Connection, bounce.DNSRouting, bounce.TLS, bounce.ProtocolError, bounce.Unknown:
	default:
		return
	}
	switch {
	case v.Detail == detailLoop && f&(ownHop|factLocal) != 0:
		v.Detail = detailOwnLoop
	case f&ownHop == 0:
		return
	case v.Reason == bounce.TLS && !ownDetail(v.Detail):
		v.Detail = ""
	}
	switch {
	case f&factHere != 0:
		v.Detail = orElse(v.Detail, detailOwnHost)
	case f&factLMTP != 0:
		v.Detail = orElse(v.Detail, detailOwnStore)
	default:
		v.Detail = orElse(v.Detail, detailOwnHop)
	}
	v.Scope = bounce.ScopeSender
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// OtherServer reports whether an attempt went to a server of others, and not to a mail
// store, a filter, a relay or an agent of one's own, or to a smarthost by its port.
func OtherServer(d *bounce.Delivery) bool {
	return (d.RelayHost != "" || d.RelayIP != "") && factsOf(d)&(ownHop|factSubmission) == 0
}

// OwnServer reports whether an attempt went to a mail store, a filter, a relay or an agent of
// one's own.
func OwnServer(d *bounce.Delivery) bool { return factsOf(d)&ownHop != 0 }

// OwnRelay reports whether the name of a relay, as logged, is none of another's server:
// there is none, it has no dot, or it is an address of this host or a private network.
func OwnRelay(host string) bool {
	return !strings.ContainsAny(host, ".:") || hopFacts(host) != 0
}

// NamesDNS reports whether an MTA's own words for a domain that is not there name an
// answer of the DNS. That no router took an address says less.
func NamesDNS(words string) bool {
	for _, w := range [...]string{"ame service error", "MX", "ost lookup", "lookup of host", "no SMTP service", "look up host"} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}
