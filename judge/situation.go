package judge

import (
	"strings"

	"bouncelog/bounce"
)

// facts are known about an attempt besides the words and codes of its reply: who sent the reply,
// and to whom. If the next hop is this server's own, the same words have another meaning, and
// somebody else has to act.
type facts uint32

// The facts in the conditions "when" and "unless" of rules; factNames has their names.
const (
	factLocal       facts = 1 << iota // the MTA's own words, not a remote server's
	factRemote                        // a remote server's reply
	factHere                          // a delivery agent of this host: local, virtual, pipe, an Exim transport other than SMTP
	factRouter                        // Exim: the address did not reach a transport
	factLMTP                          // handed on by LMTP (RFC 2033), usually to an own mail store
	factLoopback                      // the next hop is this host
	factPrivate                       // the next hop has an address of a private network, or is a socket
	factSubmission                    // the next hop's port is one that mail exchangers do not use: a smarthost
	factWrapper                       // that port is 465, on which TLS comes first (RFC 8314 section 3.3)
	factSameName                      // the name that was not found is the recipient's domain
	factTheirName                     // that name is below or above the recipient's domain: one of its mail exchangers
	factOwnName                       // that name is another one: the next hop in this server's configuration
	factGivenUp                       // the MTA gave up
	factForwarded                     // the mail was for an address in another domain and was forwarded
	factPassedOn                      // the reply quotes the reply of a server with a public address
	factIPv6                          // the MTA's own words about a host with a public IPv6 address
	factNamesSender                   // the reply names the sender's address, but not the recipient's and not the word "recipient"
)

var factNames = [...]string{
	"local", "remote", "here", "router", "lmtp", "loopback", "private", "submission", "port-465",
	"same-name", "their-name", "own-name", "given-up", "forwarded", "passed-on", "ipv6",
	"names-sender",
}

// ownHop are the facts that mean that the next hop is this server's own.
const ownHop = factHere | factLMTP | factLoopback | factPrivate

func parseFact(s string) (facts, bool) {
	for i, name := range factNames {
		if s == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// factsOf returns the facts of a failed attempt.
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

// namesSender reports whether a reply is only about the sender's address. A server that verifies
// the sender with the sender's server (a callout) quotes the reply that a user is unknown there.
func namesSender(d *bounce.Delivery) bool {
	return d.Sender != "" && strings.IndexByte(d.Response, '@') >= 0 && strings.Contains(d.Response, d.Sender) &&
		(d.Recipient == "" || !strings.Contains(d.Response, d.Recipient)) && !strings.Contains(d.Response, "ecipient")
}

// passesOn reports whether a reply quotes another server's reply in the format of Postfix
// (reject_unverified_recipient, smtpd_proxy_filter) or Exim (a callout): "host name[address] said:
// 550 …", "host name [address]: 550 …". The address must be public.
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

// addressIn returns the address in Postfix's own words about a next hop, "connect to
// name[address]:25: …", or the path of a socket, or "".
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

// hopFacts returns the facts of an address of this host or of a private network (RFC 1918, 3927,
// 4193, 6598), or of the path of a socket. Any other address has no facts.
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

// nameFacts compares the name whose look-up failed with the recipient's domain.
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

// String returns the names of the facts, in their order.
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

// situation encodes the inputs of a verdict besides the template and the codes: the class of the
// relay's name and the facts in conditions of rules. It is stored with the template, so that later
// rules can be applied to stored replies.
func (j *Judge) situation(class uint16, f facts) string {
	suffix := j.classes[class].suffix
	if f == 0 {
		return suffix
	}
	return suffix + " " + f.String()
}

// parseSituation is the inverse of situation.
func (j *Judge) parseSituation(s string) (class uint16, f facts) {
	suffix, names, _ := strings.Cut(s, " ")
	class = j.class(suffix)
	for name := range strings.SplitSeq(names, ",") {
		fact, _ := parseFact(name)
		f |= fact
	}
	return class, f
}

// The details of verdicts about this server's own side.
const (
	detailOwnHost  = "own-host"  // the MTA's own words: disk, permissions, configuration, a command
	detailOwnHop   = "own-hop"   // the next hop is on this host or in its network
	detailOwnStore = "own-store" // the next hop is a mail store
	detailOwnRoute = "own-route" // the name of the next hop is in this server's configuration
	detailOwnLoop  = "own-loop"  // the mail returns to this server
	detailLoop     = "loop"      // another server reports a mail loop

	detailUnrouteable = "unrouteable" // no router of Exim accepted the address

	detailCertificate = "certificate" // the receiver's; a policy of this server or of the receiver required the check

	detailNotTried = "not-tried" // no host was contacted: the reason is that of a previous attempt

	// A mailbox is reported missing or full, but no other server was asked. The address may still be wrong,
	// so the scope stays the recipient. These details say who reported it.
	DetailOwnTable   = "own-table"   // the MTA itself
	DetailOwnMailbox = "own-mailbox" // an own mail store
	DetailOwnRelay   = "own-relay"   // an own filter, gateway or relay, about its own mailboxes
	DetailOwnQuota   = "own-quota"   // the MTA itself or an own mail store: the mailbox is full
	DetailSmarthost  = "smarthost"   // a relay for outgoing mail, about its own mailboxes

	DetailOutboundSpam = "outbound-spam" // the relay host blocked the sender, an account of its own, for spam

	DetailDANE = "dane" // TLSA records that are not found, or that the host does not fit

	// The scope stays the message's, because a filter is usually right. Only many such refusals are
	// a fault of this server (package problem).
	DetailContentFilter = "content-filter" // this server's own content filter, or another next hop of its own, refuses the message
)

// ownSide changes a verdict about the other side into one about this server if there is no other
// side: the reply is the MTA's own, or the next hop is this server's own. The detail distinguishes
// such a reply about a mailbox from one of the recipient's server.
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
	case bounce.MailboxFull:
		if f&(factLocal|factLMTP) != 0 && f&factPassedOn == 0 {
			v.Detail = orElse(v.Detail, DetailOwnQuota)
		}
		return
	case bounce.SystemError:
		if f&factLocal != 0 && f&ownHop == 0 {
			v.Scope, v.Detail = bounce.ScopeSender, orElse(v.Detail, detailOwnHost)
			return
		}
	case bounce.ContentSpam, bounce.ContentRejected:
		if f&(ownHop|factLocal) != 0 && f&factPassedOn == 0 {
			v.Detail = orElse(v.Detail, DetailContentFilter)
		}
		return
	case bounce.Policy, bounce.MessageTooLarge, bounce.SenderRejected, bounce.RecipientRestricted:
		if f&ownHop != 0 && f&factPassedOn == 0 {
			v.Detail = orElse(v.Detail, DetailContentFilter)
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
	case v.Reason == bounce.TLS && !OwnDetail(v.Detail):
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

// OtherServer reports whether an attempt went to another party's server, and not to an own mail
// store, filter, relay or agent, nor to a smarthost (by its port).
func OtherServer(d *bounce.Delivery) bool {
	return (d.RelayHost != "" || d.RelayIP != "") && factsOf(d)&(ownHop|factSubmission) == 0
}

// OwnServer reports whether an attempt went to an own mail store, filter, relay or agent.
func OwnServer(d *bounce.Delivery) bool { return factsOf(d)&ownHop != 0 }

// OwnRelay reports whether a relay's logged name is not that of another party's server: it is
// empty, has no dot, or is an address of this host or a private network.
func OwnRelay(host string) bool {
	return !strings.ContainsAny(host, ".:") || hopFacts(host) != 0
}

// NamesDNS reports whether an MTA's own words about a missing domain name a DNS answer. The message
// that no router accepted an address is less exact.
func NamesDNS(words string) bool {
	for _, w := range [...]string{"ame service error", "MX", "ost lookup", "lookup of host", "no SMTP service", "look up host"} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}

// NullMX reports whether an MTA's own words say that a domain declares to take no mail (RFC 7505).
func NullMX(words string) bool {
	return strings.Contains(words, "nullMX") || strings.Contains(words, "indicated no SMTP service")
}
