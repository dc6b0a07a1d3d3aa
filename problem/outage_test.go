package problem_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// spread returns n messages, one every gap since at, to the given number of domains, with the
// outcome of m. %d in its text and relay is the domain's number.
func spread(n, domains int, at, gap time.Duration, m mail) (list []mail) {
	for i := range n {
		x := m
		x.at = at + time.Duration(i)*gap
		x.id = fmt.Sprintf("S%d-%d-%s%v", int(at.Minutes()), i, m.to, m.local)
		x.from = fmt.Sprintf("clerk%d@office.example", i%4)
		x.to = fmt.Sprintf("u%d@d%d.example", i%7, i%domains)
		if m.to != "" {
			x.to = fmt.Sprintf("u%d@%s", i%9, m.to)
		}
		if strings.Contains(x.says, "%d") {
			x.says = fmt.Sprintf(x.says, i%domains)
		}
		if strings.Contains(x.relay, "%d") {
			x.relay = fmt.Sprintf(x.relay, i%domains)
		}
		list = append(list, x)
	}
	return list
}

// TestOutages holds which faults are reported as ours, with their level and place.
func TestOutages(t *testing.T) {
	const gap = 4 * time.Minute
	own := func(says string) mail { return mail{says: says, local: true, outcome: bounce.Soft} }
	taken := mail{outcome: good, code: 250, relay: "mx.d%d.example"}
	before := spread(60, 15, 0, gap, taken)
	one := func(m *mail) { m.to, m.id = strings.Replace(m.to, "d0.example", "client.example", 1), "C"+m.id } // a domain that never took mail
	old := func(list []mail) []mail {
		// To as many other domains.
		return with(list, func(m *mail) { m.to, m.id = strings.Replace(m.to, "@d", "@old", 1), "O"+m.id })
	}
	over := mail{says: "552 5.2.2 <boss@office.example> Quota exceeded (mailbox for user is full)", agent: "lmtp", relay: "mail.office.example", address: "private/dovecot-lmtp", outcome: bounce.Hard, to: "office.example"}
	mailbox := func(list []mail) []mail { // to one mailbox
		return with(list, func(m *mail) { m.to, m.id = "boss@office.example", "M"+m.id })
	}
	inner := mail{outcome: good, code: 250, relay: "ex01.office.local", address: "10.1.1.5", to: "office.example"} // a mail server in the own network
	refusing := func(says string) mail {
		m := inner
		m.says, m.outcome, m.code = says, bounce.Hard, 0
		return m
	}
	refusal := "connect to mx.d%d.example[192.0.2.7]:25: Connection timed out"
	notices := func(again time.Duration) []mail { // to as many forged senders
		return with(spread(80, 40, day, 10*time.Second, own(refusal)), func(m *mail) {
			m.to, m.id, m.nullFrom = strings.Replace(m.to, "u", "n"+m.id, 1), "N"+m.id, true
			m.to, m.at = strings.Replace(m.to, "@d", "@forged", 1), m.at+again
		})
	}
	type answer struct{ Level, Cause, Words string }
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{
			"a content filter that is down", join(before, spread(30, 15, day, gap, own("connect to 127.0.0.1[127.0.0.1]:10024: Connection refused"))),
			[]answer{{"confirmed", "next_hop", "Nothing goes out: 30 of 30 messages to 15 domains fail at the next hop of this server, 127.0.0.1:10024 (connection refused)"}},
		},
		{
			"a gateway's mail server that wants a login now", join(spread(60, 1, 0, gap, inner), spread(30, 1, day, gap, refusing("530 5.7.57 Client not authenticated to send mail.")), spread(30, 1, day+4*time.Hour, gap, inner)),
			[]answer{{"confirmed", "next_hop", "30 of 30 messages to office.example fail at the next hop of this server, ex01.office.local (login refused or missing)"}},
		},
		{
			"a resolver that does not find TLSA records", join(before, with(spread(40, 10, day, gap, own("TLSA lookup error for mx.d%d.example:25")), func(m *mail) { m.stage = bounce.StageTLS }), with(spread(40, 5, day, gap, taken), func(m *mail) { m.to, m.id = strings.Replace(m.to, "@d", "@p", 1), "P"+m.id })),
			[]answer{{"likely", "tls_policy", "40 of 40 messages to 10 domains fail at the DNS look-up of TLSA records (DANE)"}},
		},
		{
			"a resolver that does not answer", join(before, spread(30, 15, day, gap, own("Host or domain name not found. Name service error for name=d%d.example type=MX: Host not found, try again"))),
			[]answer{{"likely", "resolver", "Nothing goes out: 30 of 30"}},
		},
		{
			"port 25 closed, while mail goes to the same hosts in turn", join(before, spread(32*8, 8, day, gap, own(refusal))),
			[]answer{{"likely", "network", "Nothing goes out: 256 of 256 messages to 8 domains fail on the way out"}},
		},
		{
			"port 25 closed, in a log that begins with it", spread(30, 15, 0, gap, own(refusal)),
			[]answer{{"likely", "network", "(connection timed out)"}},
		},
		{
			"port 25 closed, while mail is delivered to mailboxes", join(spread(30, 15, day, gap, own(refusal)), spread(30, 1, day, gap, mail{outcome: good, to: "office.example", relay: ""})),
			[]answer{{"likely", "network", "Nothing goes out: 30 of 30 messages to 15 domains fail on the way out"}},
		},
		{
			"port 25 closed, while a mail store with the name of a host takes mail", join(before, spread(30, 15, day, gap, own(refusal)), spread(90, 1, day, gap/3, mail{outcome: good, code: 250, to: "office.example", relay: "mail.office.example", address: "private/dovecot-lmtp", agent: "lmtp"})),
			[]answer{{"likely", "network", "Nothing goes out: 30 of 30 messages to 15 domains fail on the way out"}},
		},
		{
			"port 25 closed, while a mail store in the own network takes mail", join(before, spread(30, 15, day, gap, own(refusal)), spread(90, 1, day, gap/3, mail{outcome: good, code: 250, to: "office.example", relay: "172.22.1.250", address: "172.22.1.250", agent: "lmtp", port: 24})),
			[]answer{{"likely", "network", "Nothing goes out: 30 of 30 messages to 15 domains fail on the way out"}},
		},
		{
			"port 25 closed, while an agent and a filter take mail", join(before, spread(30, 15, day, gap, own(refusal)), spread(90, 1, day, gap/3, mail{outcome: good, to: "office.example", relay: "dovecot", agent: "pipe"}), spread(90, 1, day, gap/3, mail{outcome: good, code: 250, to: "shop.example", relay: "filter.office.example", address: "10.1.2.3"})),
			[]answer{{"likely", "network", "Nothing goes out: 30 of 30 messages to 15 domains fail on the way out"}},
		},
		{
			"port 25 closed for 40 minutes", join(before, spread(10, 10, day, gap, own(refusal)), spread(60, 15, day+40*time.Minute, gap, taken)),
			[]answer{{"likely", "network", "Nothing goes out: 10 of 10"}},
		},
		{
			"a relay host that is down", join(before, spread(30, 15, day, gap, own("connect to smtp.relay.example[192.0.2.40]:587: Connection refused"))),
			[]answer{{"likely", "relay", "at the relay host smtp.relay.example:587 (connection refused)"}},
		},
		{
			"a relay host at port 25 that took all mail before", join(spread(60, 15, 0, gap, mail{outcome: good, relay: "out.relay.example"}), spread(30, 15, day, gap, own("connect to out.relay.example[192.0.2.40]:25: Connection timed out"))),
			[]answer{{"likely", "relay", "at the relay host out.relay.example (connection timed out)"}},
		},
		{
			"a password that has changed", join(before, spread(30, 15, day, gap, mail{says: "535 5.7.8 Error: authentication failed", outcome: bounce.Soft, relay: "smtp.relay.example", port: 587})),
			[]answer{{"confirmed", "login", "at the login to the relay host smtp.relay.example:587"}},
		},
		{
			"an account that has reached its hourly limit at the relay host", join(before, spread(30, 15, day, gap, mail{says: "451 4.7.1 The account office has exceeded its hourly limit", outcome: bounce.Soft, relay: "smtp.relay.example", port: 587})),
			[]answer{{"confirmed", "account", "at a limit or suspension of the sending account"}},
		},
		{
			"an account that has reached its sending limit at the relay host", join(before, spread(30, 15, day, gap, mail{says: "550 5.7.0 Sending limit reached for your account", outcome: bounce.Hard, relay: "smtp.relay.example", port: 587})),
			[]answer{{"confirmed", "account", "at a limit or suspension of the sending account"}},
		},
		{
			"too many connections to the relay host", join(before, spread(30, 15, day, gap, mail{says: "421 4.7.0 Connection limit exceeded: too many connections from your host", outcome: bounce.Soft, relay: "smtp.relay.example", port: 587})),
			nil,
		},
		{
			"the same, on port 25 of the host of all mail", join(with(slices.Clone(before), func(m *mail) { m.relay = "smtp.relay.example" }), spread(30, 15, day, gap, mail{says: "450 4.7.1 Error: hourly message limit of 100 exceeded for office, try again later", outcome: bounce.Soft, relay: "smtp.relay.example"})),
			[]answer{{"confirmed", "account", "at a limit or suspension of the sending account"}},
		},
		{
			"a receiver that limits what it takes of us", join(before, spread(30, 1, day, gap, mail{says: "451 4.7.1 You have exceeded your hourly limit", outcome: bounce.Soft, relay: "mx.busy.example"})),
			nil,
		},
		{
			"a relay host at port 25 that relays nothing", join(before, spread(30, 15, day, gap, mail{says: "554 5.7.1 <u@d%d.example>: Relay access denied", outcome: bounce.Hard, relay: "mx-relay.campus.example"})),
			[]answer{{"likely", "login", "30 of 30 messages to 15 domains fail at the relay host mx-relay.campus.example, which does not relay mail of this server (relay access denied)"}},
		},
		{
			"strangers' servers at port 25 that speak of a login in reply to RCPT TO", join(before, spread(30, 15, day, gap, mail{says: "535 5.7.8 Error: authentication failed", outcome: bounce.Soft, relay: "mx.d%d.example", stage: bounce.StageRcpt})),
			nil,
		},
		{
			"a transport to an address for one domain", join(spread(60, 15, 0, gap, taken), with(spread(14, 1, day, gap, own("connect to 192.168.40.9[192.168.40.9]:25: No route to host")), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "next_hop", "14 of 14 messages to client.example fail at the next hop of this server, 192.168.40.9 (no route to host)"}},
		},
		{
			"a transport to an address for one domain, and a few messages", join(spread(60, 15, 0, gap, taken), with(spread(4, 1, day, gap, own("connect to 192.168.40.9[192.168.40.9]:25: No route to host")), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "next_hop", "4 of 4 messages to client.example fail at the next hop of this server, 192.168.40.9 (no route to host)"}},
		},
		{
			"a transport for one domain that took mail, and a few of very many messages", join(spread(400, 15, day, gap/40, taken), spread(8, 1, 0, gap, mail{outcome: good, code: 250, to: "client.example", relay: "mail.client.example"}), with(spread(4, 1, day, 4*time.Minute, own("connect to 192.168.40.9[192.168.40.9]:25: No route to host")), func(m *mail) { m.to, m.id = strings.Replace(m.to, "d0.example", "client.example", 1), "C"+m.id })),
			[]answer{{"confirmed", "next_hop", "4 of 4 messages to client.example fail at the next hop of this server, 192.168.40.9 (no route to host)"}},
		},
		{
			"a transport to a host of the own network for one domain, and a few messages", join(spread(60, 15, 0, gap, taken), with(spread(4, 1, day, gap, own("connect to exchange.client.lan[192.168.40.9]:25: Connection refused")), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "next_hop", "4 of 4 messages to client.example fail at the next hop of this server, exchange.client.lan (connection refused)"}},
		},
		{
			"a customer's domain that is in no table, and a few messages", join(spread(60, 15, 0, gap, taken), with(spread(6, 1, day, 2*gap, mail{says: "mail for client.example loops back to myself", local: true, outcome: bounce.Hard}), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "loop", "6 of 6 messages to client.example fail in a loop"}},
		},
		{
			"a customer's domain that is in no table", join(spread(60, 15, 0, gap, taken), with(spread(14, 1, day, gap, mail{says: "mail for client.example loops back to myself", local: true, outcome: bounce.Hard}), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "loop", "14 of 14 messages to client.example fail in a loop"}},
		},
		{
			"a TLS policy for one domain", join(spread(60, 15, 0, gap, taken), with(spread(14, 1, day, gap, mail{says: "TLS is required, but was not offered by host mx.client.example[192.0.2.9]", local: true, outcome: bounce.Soft, relay: "mx.client.example"}), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "tls_policy", "14 of 14 messages to client.example fail at the TLS policy of this server"}},
		},
		{
			"a TLS policy of Exim for one domain that took mail", join(spread(60, 15, 0, gap, taken), spread(8, 1, 0, gap, mail{outcome: good, code: 250, to: "client.example", relay: "mail.client.example"}), spread(4, 1, day, gap, mail{says: "a TLS session is required, but the server did not offer TLS support", local: true, exim: true, outcome: bounce.Soft, to: "client.example", relay: "mail.client.example"}), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "tls_policy", "4 of 4 messages to client.example fail at the TLS policy of this server (did not offer tls support)"}},
		},
		{
			"a policy of DANE of Exim for one domain that publishes nothing", join(spread(60, 15, 0, gap, taken), with(spread(14, 1, day, gap, mail{says: "DANE error: mx.client.example lookup not DNSSEC", local: true, exim: true, outcome: bounce.Soft, relay: "mx.client.example"}), one), spread(60, 15, day, gap, taken)),
			[]answer{{"confirmed", "tls_policy", "14 of 14 messages to client.example fail at the TLS policy of this server"}},
		},
		{
			"a domain that took mail and whose certificate has expired, by Exim", join(spread(60, 15, 0, gap, taken), spread(8, 1, 0, gap, mail{outcome: good, code: 250, to: "client.example", relay: "mail.client.example"}), spread(14, 1, day, gap, mail{says: "TLS session: (SSL_connect): error:0A000086:SSL routines::certificate verify failed", local: true, exim: true, outcome: bounce.Hard, to: "client.example", relay: "mail.client.example"}), spread(60, 15, day, gap, taken)),
			[]answer{{"likely", "tls_policy", "14 of 14 messages to client.example fail in the TLS session (certificate verify failed)"}},
		},
		{
			"a domain that took mail and with which TLS fails, by Postfix", join(spread(60, 15, 0, gap, taken), spread(8, 1, 0, gap, mail{outcome: good, code: 250, to: "client.example", relay: "mail.client.example"}), spread(14, 1, day, gap, mail{says: "Cannot start TLS: handshake failure", local: true, outcome: bounce.Soft, to: "client.example", relay: "mail.client.example"}), spread(60, 15, day, gap, taken)),
			[]answer{{"likely", "tls_policy", "14 of 14 messages to client.example fail in the TLS session (handshake failure)"}},
		},
		{
			"TLS that fails at several domains that took mail, a message or two to each", join(spread(60, 15, 0, gap, taken), old(spread(14, 7, 0, gap, taken)), old(spread(14, 7, day, gap, mail{says: "Cannot start TLS: handshake failure", local: true, outcome: bounce.Soft})), spread(60, 15, day, gap, taken)),
			[]answer{{"likely", "tls_policy", "14 of 14 messages to 7 domains fail in the TLS session (handshake failure)"}},
		},
		{
			"TLS that fails at a domain with much mail and at two with little", join(spread(60, 15, 0, gap, taken), old(spread(14, 3, 0, gap, taken)), old(spread(8, 1, day, gap, mail{says: "Cannot start TLS: handshake failure", local: true, outcome: bounce.Soft})),
				with(spread(2, 2, day+10*gap, gap, mail{says: "Cannot start TLS: handshake failure", local: true, outcome: bounce.Soft}), func(m *mail) {
					m.to = strings.NewReplacer("@d0", "@old1", "@d1", "@old2").Replace(m.to)
				}), spread(60, 15, day, gap, taken)),
			[]answer{{"likely", "tls_policy", "10 of 10 messages to 3 domains fail in the TLS session (handshake failure)"}},
		},
		{
			"a domain of others among one's own", join(spread(60, 15, 0, gap, taken), with(spread(14, 1, day, gap, mail{says: "unknown user: \"u@client.example\"", local: true, agent: "virtual", outcome: bounce.Hard}), one), spread(60, 15, day, gap, taken)),
			[]answer{{"likely", "router", "14 of 14 messages to client.example fail at this server itself, which takes itself for the domain's destination"}},
		},
		{
			"no IPv6 route, while mail gets out by IPv4", join(spread(120, 15, day, gap/2, taken), with(spread(30, 3, day, gap, own("connect to mx.d%d.example[2001:db8::25]:25: Network is unreachable")), func(m *mail) { m.to, m.id = "v"+m.to, "V"+m.id; m.to = strings.Replace(m.to, "@d", "@six", 1) })),
			[]answer{{"likely", "network", "messages to 3 domains fail on the way out: this server has no IPv6 route (network is unreachable)"}},
		},
		{
			"no route at all", join(before, spread(30, 15, day, gap, own("connect to mx.d%d.example[192.0.2.7]:25: Network is unreachable"))),
			[]answer{{"likely", "network", "Nothing goes out: 30 of 30 messages to 15 domains fail on the way out: this server has no route to the receivers (network is unreachable)"}},
		},
		{
			"certificates that nobody trusts any more", join(before, spread(30, 15, day, gap, mail{says: "Server certificate not trusted", local: true, outcome: bounce.Soft, relay: "mx.d%d.example"})),
			[]answer{{"likely", "tls_policy", "Nothing goes out: 30 of 30 messages to 15 domains fail in the TLS session, at every receiver (certificate not trusted)"}},
		},
		{
			"a resolver that says NXDOMAIN to Exim, of domains that took mail for others", join(before, with(spread(12, 12, day, gap, mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard}), func(m *mail) { m.to = "new-" + m.to })),
			[]answer{{"likely", "resolver", "12 of 12 messages to 12 domains fail at the DNS look-up"}},
		},
		{
			"addresses that lost their last letter", join(before, with(spread(30, 12, day, gap, mail{says: "Host or domain name not found. Name service error for name=d%d.exampl type=A: Host not found", local: true, outcome: bounce.Hard}), func(m *mail) { m.to = strings.TrimSuffix(m.to, "e") })),
			[]answer{{"likely", "addresses", "30 messages to addresses in 12 domains that do not exist and never took mail: the addresses are corrupted before they reach this server"}},
		},
		{
			"a resolver that says NXDOMAIN of domains that took mail", join(before, spread(30, 15, day, gap, mail{says: "Host or domain name not found. Name service error for name=d%d.example type=A: Host not found", local: true, outcome: bounce.Hard})),
			[]answer{{"likely", "resolver", "30 of 30 messages to 15 domains fail at the DNS look-up"}},
		},
		{
			"a mail store that is down", spread(30, 1, day, gap, mail{says: "connect to mx1.office.example[private/store]: No such file or directory", local: true, agent: "lmtp", outcome: bounce.Soft, to: "office.example"}),
			[]answer{{"confirmed", "mail_store", "Nothing is delivered: 30 of 30 messages to office.example fail at the mail store"}},
		},
		{
			"a full disk", join(spread(20, 1, day, gap, mail{outcome: good, to: "other.example"}), spread(10, 1, day, gap, mail{says: "cannot update mailbox /var/mail/u: No space left on device", local: true, agent: "local", outcome: bounce.Soft, to: "office.example"})),
			[]answer{{"confirmed", "host", "10 of 10 messages to office.example fail at this server itself (no space left on device)"}},
		},
		{
			"a next hop whose name is misspelt", join(before, spread(30, 15, day, gap, mail{says: "Host or domain name not found. Name service error for name=smpt.relay.example type=A: Host not found", local: true, outcome: bounce.Hard})),
			[]answer{{"confirmed", "route", "at a next hop that is not found, smpt.relay.example (host not found)"}},
		},
		{
			"a domain of our own that is in no table", join(spread(20, 1, 0, gap, mail{outcome: good, to: "office.example"}), spread(20, 1, day, gap, mail{says: "mail for office.example loops back to myself", local: true, outcome: bounce.Hard, to: "office.example"})),
			[]answer{{"confirmed", "loop", "in a loop"}},
		},
		{
			"a router that is gone", join(spread(20, 1, 0, gap, mail{outcome: good, to: "office.example"}), spread(20, 1, day, gap, mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard, to: "office.example"})),
			[]answer{{"likely", "router", "this server's own routing"}},
		},

		{
			"a domain that moved away and is in a table of this server, among other mail", join(spread(200, 15, 0, gap, taken), spread(20, 1, 0, gap, mail{outcome: good, to: "moved.example", agent: "lmtp"}), spread(20, 1, day, gap, mail{says: "unknown user", local: true, agent: "virtual", outcome: bounce.Hard, to: "moved.example"}), spread(200, 15, day, gap, taken)),
			[]answer{{"likely", "router", "20 of 20 messages to moved.example fail in this server's own routing, for recipients who took mail before"}},
		},

		{
			"a mailbox of this server that is full", join(spread(200, 15, 0, gap, taken), mailbox(spread(30, 1, 0, gap, mail{outcome: good, to: "office.example"})), mailbox(spread(20, 1, day, gap, over)), spread(200, 15, day, gap, taken)),
			[]answer{{"confirmed", "own_quota", "20 of 20 messages to office.example fail because of the quota"}},
		},
		{
			"a mailbox of this server that is full, among very much mail", join(mailbox(spread(30, 1, 0, gap, mail{outcome: good, to: "office.example"})), mailbox(spread(20, 1, day, gap, over)), spread(4000, 15, day, gap/200, taken)),
			[]answer{{"watch", "own_quota", "20 of 20 messages to office.example fail because of the quota"}},
		},
		{
			"notifications to forged senders", join(spread(60, 15, 0, gap, taken), notices(0), notices(time.Hour), notices(2*time.Hour), spread(90, 15, day, gap, taken)),
			[]answer{{"likely", "notifications", "80 notifications of this server to 40 domains reach no server, and wait"}},
		},
		{"notifications that were removed", join(spread(60, 15, 0, gap, taken), notices(0), notices(time.Hour), notices(2*time.Hour), spread(200, 15, day, gap, taken)), nil},
		{"notifications that are delivered soon", join(spread(60, 15, 0, gap, taken), notices(0), with(notices(10*time.Minute), func(m *mail) { m.outcome, m.local, m.says = good, false, "" }), spread(60, 15, day, gap, taken)), nil},
		{"a mailbox of this server that was always full", join(spread(200, 15, 0, gap, taken), mailbox(spread(20, 1, day, gap, over)), spread(200, 15, day, gap, taken)), nil},
		{"a full mailbox of this server that got a few messages", join(spread(200, 15, 0, gap, taken), mailbox(spread(30, 1, 0, gap, mail{outcome: good, to: "office.example"})), mailbox(spread(5, 1, day, gap, over)), spread(200, 15, day, gap, taken)), nil},

		{"one domain that is down", join(before, spread(30, 1, day, gap, own("connect to mx.d0.example[192.0.2.7]:25: Connection timed out")), spread(30, 15, day, gap, taken)), nil},
		{"one domain that is down at night", join(before, spread(30, 1, day, gap, own("connect to mx.d0.example[192.0.2.7]:25: Connection timed out"))), nil},
		{"one provider that is down", join(before, spread(30, 15, day, gap, own("connect to mx%d.bigmail.example[192.0.2.7]:25: Connection timed out"))), nil},
		{"dead domains that are tried again and again", join(func() (all []mail) {
			for try := range 30 { // other mail is delivered only by day
				all = append(all, with(spread(6, 6, 10*time.Hour+time.Duration(try)*30*time.Minute, time.Second, own("connect to mx.dead%d.example[192.0.2.7]:25: Connection timed out")), func(m *mail) {
					m.to = strings.Replace(m.to, "@d", "@dead", 1)
					m.id = "D" + m.to
				})...)
			}
			return all
		}(), spread(60, 15, 9*time.Hour, 2*time.Minute, taken)), nil},
		{"dead domains among living ones", join(spread(200, 15, 0, gap, taken), spread(12, 12, 0, time.Hour, own("connect to mx.dead%d.example[192.0.2.7]:25: Connection timed out"))), nil},
		{"parked domains whose MX is localhost", join(spread(200, 15, 0, gap, taken), spread(2, 2, 0, 3*time.Hour, own("connect to localhost[127.0.0.1]:25: Connection refused"))), nil},
		{"a filter that was started again", join(spread(5, 5, day, time.Second, own("connect to 127.0.0.1[127.0.0.1]:10024: Connection refused")), spread(5, 5, day+5*time.Minute, time.Second, taken)), nil},
		{"two messages", spread(2, 2, 0, gap, own(refusal)), nil},
		{"greylisted everywhere", spread(30, 15, 0, gap, mail{says: "450 4.7.1 Greylisted, come back in 300 seconds", outcome: bounce.Soft, relay: "mx.d%d.example"}), nil},
		{"domains that left a provider which takes the mail of others", join(spread(60, 15, 0, gap, taken), spread(12, 6, day, gap, mail{says: "554 5.7.1 <u@d%d.example>: Relay access denied", outcome: bounce.Hard, relay: "mx.hoster.example"}), with(spread(30, 15, day, gap, mail{outcome: good, code: 250, relay: "mx.hoster.example"}), func(m *mail) { m.to = "x" + m.to })), nil},
		{"a relay host whose reply is guessed to refuse relaying", join(before, spread(30, 15, day, gap, mail{reason: bounce.RelayDenied, guess: true, code: 554, outcome: bounce.Hard, relay: "mx-relay.campus.example"})), nil},
		{"four domains that left a provider", join(before, spread(12, 4, day, gap, mail{says: "554 5.7.1 <u@d%d.example>: Relay access denied", outcome: bounce.Hard, relay: "mx.hoster.example"})), nil},
		{"one parked domain whose MX is localhost, and a daily report to it", join(spread(200, 15, 0, gap, taken), with(spread(14, 1, 0, time.Hour, own("connect to localhost[127.0.0.1]:25: Connection refused")), one), spread(60, 15, day, gap, taken)), nil},
		{"a parked domain whose MX is an address of this network", join(spread(200, 15, 0, gap, taken), with(spread(6, 1, 0, time.Hour, own("connect to mx.client.example[192.168.0.1]:25: Connection refused")), one)), nil},
		{"a domain that loops, and one person who writes there", join(spread(200, 15, 0, gap, taken), with(spread(6, 1, 0, time.Hour, mail{says: "mail for client.example loops back to myself", local: true, outcome: bounce.Hard}), func(m *mail) { m.to, m.id = "x@client.example", "C"+m.id })), nil},
		{"addresses of one's own that are not there", join(before, spread(20, 1, 0, gap, mail{outcome: good, to: "client.example"}), with(spread(14, 1, day, gap, mail{says: "unknown user: \"x@client.example\"", local: true, agent: "virtual", outcome: bounce.Hard}), func(m *mail) { m.to = "x" + strings.Replace(m.to, "d0.example", "client.example", 1) })), nil},
		{"IPv6 that fails first, and the mail is taken soon after", join(spread(120, 15, day, gap/2, taken), spread(30, 15, day, gap, own("connect to mx.d%d.example[2001:db8::25]:25: Network is unreachable")), with(spread(30, 15, day+5*time.Minute, gap, taken), func(m *mail) {
			m.id = strings.Replace(m.id, fmt.Sprintf("S%d", int((day+5*time.Minute).Minutes())), fmt.Sprintf("S%d", int(day.Minutes())), 1)
		})), nil},
		{"certificates of some that are not trusted", join(spread(120, 15, day, gap/2, taken), with(spread(12, 6, day, 2*gap, mail{says: "Server certificate not trusted", local: true, outcome: bounce.Soft, relay: "mx.d%d.example"}), func(m *mail) { m.to, m.id = strings.Replace(m.to, "@d", "@t", 1), "T"+m.id })), nil},
		{"TLS that fails with a few domains that took mail, a message or two to each", join(spread(60, 15, 0, gap, taken), old(spread(14, 3, 0, gap, taken)), old(spread(6, 3, day, gap, mail{says: "Cannot start TLS: handshake failure", local: true, outcome: bounce.Soft})), spread(60, 15, day, gap, taken)), nil},
		{"a domain with which TLS fails now and then", join(spread(60, 15, 0, gap, taken), spread(60, 1, day, gap/2, mail{outcome: good, code: 250, to: "client.example", relay: "mail.client.example"}), with(spread(14, 1, day, gap, mail{says: "TLS session: (SSL_connect): error:0A000126:SSL routines::unexpected eof while reading", local: true, exim: true, outcome: bounce.Soft, to: "client.example", relay: "mail.client.example"}), func(m *mail) { m.id = "T" + m.id }), spread(60, 15, day, gap, taken)), nil},
		{"a list with addresses at domains that never were, by Exim", join(spread(120, 15, 0, gap, taken), with(spread(40, 40, day, gap, mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard}), func(m *mail) { m.to = strings.Replace(m.to, "@d", "@typo", 1) })), nil},
		{"two people who left", join(spread(40, 1, 0, gap, mail{outcome: good, to: "office.example"}), with(spread(4, 1, day, gap, mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard, to: "office.example"}), func(m *mail) { m.to = "u1@office.example" }), spread(40, 1, day, gap, mail{outcome: good, to: "office.example"})), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsOf(t, test.mails) {
				if p.Level == problem.Watch && p.Reason == bounce.Unknown { // refused without a cause: no outage
					continue
				}
				a := answer{p.Level, p.Cause, p.Summary}
				if n := len(got); n < len(test.want) && strings.Contains(p.Summary, test.want[n].Words) {
					a.Words = test.want[n].Words
				}
				got = append(got, a)
				if p.Why == "" || p.FirstCheck == "" || len(p.Evidence) == 0 || !p.Outage() || p.Title == "" || len(p.Keys()) == 0 || p.Providers == nil {
					t.Errorf("incomplete: %+v", p)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOutageCourse holds when an outage began, the counts of tried messages, and that it ends.
func TestOutageCourse(t *testing.T) {
	const gap = 4 * time.Minute
	taken := mail{outcome: good, code: 250, relay: "mx.d%d.example"}
	down := mail{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", local: true, outcome: bounce.Soft}
	warned := spread(30, 15, day, gap, down)
	warned[2].warns = "postfix/smtp: warning: no route"
	s := logOf(t, join(spread(60, 15, 0, gap, taken), warned, spread(60, 15, day+3*time.Hour, gap, taken)))
	p := problemsIn(t, s, store.Filter{})[0]
	if len(p.Evidence) != 1 || p.Evidence[0].Warning != "postfix/smtp: warning: no route" || !p.Evidence[0].Time.Equal(begin.Add(day+2*gap)) {
		t.Errorf("evidence %+v, want the one with the warning", p.Evidence)
	}
	if p.Ongoing || !p.EndedAt.Equal(begin.Add(day+3*time.Hour)) || !p.Since.Equal(begin.Add(day)) {
		t.Errorf("since %v, ongoing %v, ended %v", p.Since, p.Ongoing, p.EndedAt)
	}
	if p.Before == nil || p.Before.Refused != 0 || p.Before.Tried != 60 || p.Onset.Refused != 30 || p.Onset.Tried != 30 {
		t.Errorf("before %+v, since %+v; want 0 of 60, 30 of 30", p.Before, p.Onset)
	}
	ps := problemsIn(t, s, store.Filter{Since: begin.Add(day + time.Hour), Until: begin.Add(day + 2*time.Hour)})
	if len(ps) != 1 || !ps[0].Ongoing || !ps[0].FirstHeard.Equal(begin.Add(day)) || ps[0].Attempts != 15 || ps[0].Level != problem.Confirmed {
		t.Errorf("a period inside it: %+v", ps)
	}
	if ps := problemsIn(t, s, store.Filter{Since: begin.Add(day + 3*time.Hour)}); len(ps) != 0 {
		t.Errorf("a period after it: %+v", ps)
	}
}

// TestNoRouteGoesOn holds that mail delivered by IPv4 does not prove that the IPv6 route is back;
// mail to the recipients of the failed mail does.
func TestNoRouteGoesOn(t *testing.T) {
	const gap = 4 * time.Minute
	six := func(m *mail) { m.to, m.id = strings.Replace(m.to, "@d", "@six", 1), "V"+m.id }
	failed := with(spread(30, 3, day, gap, mail{says: "connect to mx.d%d.example[2001:db8::25]:25: Network is unreachable", local: true, outcome: bounce.Soft}), six)
	four := spread(60, 15, day+2*time.Hour+time.Minute, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	if p := problemsOf(t, join(failed, four))[0]; !p.Ongoing {
		t.Errorf("ended by mail that went elsewhere: %q", p.Ended)
	}
	again := with(spread(30, 3, day+3*time.Hour, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), six)
	if p := problemsOf(t, join(failed, four, again))[0]; p.Ongoing {
		t.Error("goes on though its recipients are reached")
	}
}

// A countingReader counts the calls of Count and CountPeriods.
type countingReader struct {
	store.Reader
	counts int
}

func (r *countingReader) Count(ctx context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	r.counts++
	return r.Reader.Count(ctx, f, by...)
}

func (r *countingReader) CountPeriods(ctx context.Context, f store.Filter, periods []store.Span, by ...store.Dimension) ([][]store.Cell, error) {
	r.counts++
	return store.CountPeriods(ctx, r.Reader, f, periods, by...)
}

func (r *countingReader) NewestAt(ctx context.Context, f store.Filter, visits []store.Visit) ([]*store.Attempt, error) {
	return store.NewestAt(ctx, r.Reader, f, visits)
}

// TestOutageQuestions holds that a server whose connections fail all day long, while other mail is
// delivered, costs no more queries than one whose connections fail once.
func TestOutageQuestions(t *testing.T) {
	asked := func(bursts int) int {
		var mails []mail
		for i := range bursts {
			at := day + time.Duration(i)*20*time.Minute
			down := spread(8, 8, at, 10*time.Second, mail{says: "connect to mx.d%d.example[192.0.2.7]:25: Connection timed out", local: true, outcome: bounce.Soft})
			later := spread(8, 8, at, 10*time.Second, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
			for i := range later {
				later[i].at += 10 * time.Minute
			}
			mails = join(mails, down, later)
			other := mail{at: at - time.Minute, id: fmt.Sprintf("R%d", i), from: "clerk@office.example", to: "kim@pine.example", relay: "mx.pine.example", outcome: bounce.Soft, says: "450 4.7.1 Service temporarily refused by policy"}
			again := other
			again.at, again.outcome, again.says, again.code = at+30*time.Second, good, "", 250
			mails = append(mails, other, again)
		}
		r, err := logOf(t, mails).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		counting := &countingReader{Reader: r}
		found, err := problem.Find(t.Context(), counting, store.Filter{}, problem.Thresholds{})
		if err != nil || slices.ContainsFunc(found, func(p problem.Problem) bool { return p.Outage() }) {
			t.Fatalf("%d bursts: %+v, %v", bursts, found, err)
		}
		return counting.counts
	}
	if once, often := asked(1), asked(40); often != once {
		t.Errorf("the store is asked to count %d times for 40 bursts, %d times for one", often, once)
	}
}

// TestDeniedQuestions holds that a server with very many domains, whose mailboxes are all denied,
// is reported as one outage, without a query for each domain.
func TestDeniedQuestions(t *testing.T) {
	const domains = 400
	taken := mail{outcome: good}
	gone := mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard}
	r, err := logOf(t, join(spread(domains, domains, 0, time.Minute, taken), spread(domains, domains, day, time.Minute, gone))).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	counting := &countingReader{Reader: r}
	found, err := problem.Find(t.Context(), counting, store.Filter{}, problem.Thresholds{})
	if err != nil || len(found) != 1 || found[0].Cause != "router" {
		t.Fatalf("%+v, %v", found, err)
	}
	if counting.counts > 150 {
		t.Errorf("the store is asked to count %d times for %d domains", counting.counts, domains)
	}
}

// TestOutageExpires holds that mail which expires because of an outage of this side counts as
// returned, on the day on which it expires, and mail that expires for another reason does not.
func TestOutageExpires(t *testing.T) {
	for cause, says := range map[string]string{
		"tls_policy": "TLS is required, but was not offered by host mx.partner.example[192.0.2.77]",
		"next_hop":   "connect to 10.1.2.3[10.1.2.3]:10024: Connection refused",
	} {
		mails := spread(300, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "else.example", relay: "mx.else.example"})
		mails = append(mails, spread(24, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"})...)
		wait := func(id, to, says string, at time.Duration) {
			for try := range 40 {
				mails = append(mails, mail{at: at + time.Duration(try)*3*time.Hour, id: id, from: "clerk@office.example", to: to, says: says, local: true, outcome: bounce.Soft})
			}
			mails = append(mails, mail{at: at + 40*3*time.Hour, id: id, from: "clerk@office.example", to: to, outcome: bounce.Hard, reason: bounce.Expired})
		}
		for d := range 4 {
			for i := range 5 {
				wait(fmt.Sprintf("W%d-%d", d, i), fmt.Sprintf("u%d@partner.example", i), says, time.Duration(1+d)*day+time.Duration(i)*time.Hour)
			}
			wait(fmt.Sprintf("X%d", d), "u@gone.example", "connect to mx.gone.example[192.0.2.8]:25: Connection timed out", time.Duration(1+d)*day)
		}
		db := logOf(t, mails)
		midnight := begin.Truncate(day)
		for d, want := range map[int]int{5: 0, 6: 5, 7: 5} {
			f := store.Filter{Since: midnight.Add(time.Duration(d) * day), Until: midnight.Add(time.Duration(d+1) * day)}
			found := slices.DeleteFunc(problemsIn(t, db, f), func(p problem.Problem) bool { return p.Cause != cause })
			if len(found) != 1 || found[0].Returned != want {
				t.Errorf("%s, day %d: want %d returned: %+v", cause, d, want, found)
			}
		}
	}
}

// TestOutageOfFewDomains holds that the messages tried in an outage of few domains are those to these
// domains.
func TestOutageOfFewDomains(t *testing.T) {
	mails := spread(400, 15, 0, 10*time.Minute, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	for _, domain := range []string{"nord.example", "shop.example"} {
		mails = append(mails, spread(40, 1, 0, 20*time.Minute, mail{outcome: good, to: domain, agent: "virtual"})...)
		mails = append(mails, spread(20, 1, 2*day, 7*time.Minute, mail{to: domain, local: true, agent: "virtual", outcome: bounce.Soft, says: "maildir delivery failed: create maildir file /var/mail/x: No space left on device"})...)
	}
	found := slices.DeleteFunc(problemsIn(t, logOf(t, mails), store.Filter{}), func(p problem.Problem) bool { return p.Level == problem.Watch })
	if len(found) != 1 || found[0].Onset.Refused != 40 || found[0].Onset.Tried != 40 || found[0].Before == nil || found[0].Before.Tried != 80 {
		t.Errorf("%+v", found)
	}
}

// TestOutageOfSelection holds that an outage among the mail to one domain does not say that nothing goes
// out at all.
func TestOutageOfSelection(t *testing.T) {
	log := logOf(t, join(spread(60, 15, 0, 4*time.Minute, mail{outcome: good, code: 250, relay: "mx.d%d.example"}),
		spread(90, 3, day, 4*time.Minute, mail{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", local: true, outcome: bounce.Soft})))
	for _, test := range []struct {
		filter store.Filter
		want   string
	}{
		{store.Filter{}, "Nothing goes out: mail to d0.example, d1.example and d2.example fails at the next hop"},
		{store.Filter{Domain: "d1.example"}, "mail to d1.example fails at the next hop"},
		{store.Filter{SenderDomain: "office.example"}, "mail to d0.example, d1.example and d2.example fails at the next hop"},
	} {
		list := problemsIn(t, log, test.filter)
		if len(list) != 1 || !strings.HasPrefix(list[0].Title, test.want) {
			t.Errorf("%+v: %+v, want %s", test.filter, list, test.want)
		}
	}
}

// TestOutageEnd holds which mail shows that an outage has ended, and since when.
func TestOutageEnd(t *testing.T) {
	const gap = 4 * time.Minute
	others := spread(8*60, 15, 0, gap*3/2, mail{outcome: good, code: 250, relay: "mx.d%d.example"}) // up to day+24h
	busy := spread(120, 15, day+23*time.Hour, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	partner := func(n int, at time.Duration, m mail) []mail {
		m.to, m.relay = "partner.example", "mx.partner.example"
		return spread(n, 1, at, 10*gap, m)
	}
	took, unknown := mail{outcome: good, code: 250}, mail{says: "550 5.1.1 User unknown", outcome: bounce.Hard, stage: bounce.StageRcpt}
	loop := func(back time.Duration) (list []mail) { // each message is tried every hour until then, once more later, and delivered
		m := mail{to: "client.example", says: "mail for client.example loops back to myself", local: true, outcome: bounce.Soft}
		for i, x := range spread(12, 1, day, 10*gap, m) {
			last := back + time.Duration(i)*time.Minute
			for ; x.at < last; x.at += time.Hour {
				list = append(list, x)
			}
			x.at = last
			list = append(list, x)
			x.at, x.outcome, x.says, x.local, x.agent = last+time.Second, good, "delivered to maildir", false, "virtual"
			list = append(list, x)
		}
		return list
	}
	resolver := spread(30, 15, day, gap, mail{says: "Host or domain name not found. Name service error for name=d%d.example type=MX: Host not found", local: true, outcome: bounce.Hard})
	elsewhere := with(spread(20, 10, day+2*time.Hour+time.Minute, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), func(m *mail) { m.to = "other." + m.to; m.to = strings.Replace(m.to, "@d", "@e", 1) })
	list := func(n int, at time.Duration, m mail) []mail { // beside other mail of the domain
		m.to, m.agent = "office.example", "pipe"
		return with(spread(n, 1, at, 10*gap, m), func(m *mail) { m.id, m.to = "P"+m.id, "list-"+m.to })
	}
	office := spread(240, 1, 0, 12*time.Minute, mail{to: "office.example", outcome: good, code: 250, agent: "virtual"}) // up to day+24h
	died := mail{says: "Command died with status 1: \"/usr/lib/mailman3/bin/mailman\"", local: true, outcome: bounce.Hard}
	large := func(n int, at time.Duration, m mail) []mail {
		return with(spread(n, 15, at, gap, m), func(m *mail) { m.id, m.to = "L"+m.id, "x"+m.to })
	}
	broken := mail{says: "lost connection with mx.d%d.example[192.0.2.7] while sending message body", local: true, stage: bounce.StageEOM, outcome: bounce.Soft, relay: "mx.d%d.example"}
	for _, test := range []struct {
		name  string
		cause string
		mails []mail
		ended time.Duration // 0: goes on
		words string
	}{
		{"a domain that takes two messages again", "user_table", join(others, partner(12, 0, took), partner(9, day, unknown), partner(2, day+10*time.Hour, took), busy), day + 10*time.Hour, "2 recipients reached since"},
		{"a domain that takes one", "user_table", join(others, partner(12, 0, took), partner(9, day, unknown), partner(1, day+10*time.Hour, took), busy), 0, ""},
		{"a loop whose mail is all delivered", "loop", join(others, loop(day+12*time.Hour), busy), day + 12*time.Hour, "all its mail was delivered since"},
		{"a loop whose mail was delivered just now", "loop", join(others, loop(day+22*time.Hour), busy[:60]), 0, ""},
		{"a loop with mail that waits", "loop", slices.DeleteFunc(join(others, loop(day+12*time.Hour), busy), func(m mail) bool {
			return m.agent == "virtual" && strings.HasPrefix(m.to, "u3@")
		}), 0, ""},
		{"lists that take two posts again", "host", join(office, list(12, 0, took), list(12, day, died), list(2, day+10*time.Hour, took)), day + 10*time.Hour, "2 recipients reached since"},
		{"lists that take one", "host", join(office, list(12, 0, took), list(12, day, died), list(1, day+10*time.Hour, took)), 0, ""},
		{"large mail that all but two recipients get", "network", join(others, spread(240, 15, day, gap/8, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), large(30, day, broken), large(1, day+time.Hour, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), large(28, day+5*time.Hour, mail{outcome: good, code: 250, relay: "mx.d%d.example"})), day + 5*time.Hour, "27 recipients reached since"},
		{"a resolver that answers again", "resolver", join(spread(60, 15, 0, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), resolver, elsewhere, spread(60, 15, day+5*time.Hour, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})), day + 2*time.Hour + time.Minute, ""},
	} {
		found := slices.DeleteFunc(problemsOf(t, test.mails), func(p problem.Problem) bool { return p.Cause != test.cause })
		if len(found) != 1 {
			t.Errorf("%s: %d incidents, want one", test.name, len(found))
			continue
		}
		p := found[0]
		if p.Ongoing != (test.ended == 0) || test.ended != 0 && (p.EndedAt.Sub(begin.Add(test.ended)).Abs() > time.Hour || !strings.Contains(p.Ended, test.words)) {
			t.Errorf("%s: going on %t, ended %v, %q", test.name, p.Ongoing, p.EndedAt, p.Ended)
		}
	}
}
