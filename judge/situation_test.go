package judge

import (
	"strings"
	"testing"

	"bouncelog/bounce"
)

// The same words have another meaning if the next hop is this server's own.
func TestOwnSide(t *testing.T) {
	j := newJudge(t)
	const (
		refused  = "connect to relay.example[%]:10025: Connection refused"
		notFound = "Host or domain name not found. Name service error for name=% type=A: Host not found"
	)
	for _, c := range []struct {
		name   string
		d      bounce.Delivery
		reason bounce.Reason
		scope  bounce.Scope
		detail string
	}{
		{"a public host", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "192.0.2.1", 1)}, bounce.Connection, bounce.ScopeRemote, ""},
		{"loopback", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "127.0.0.1", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnHop},
		{"loopback, IPv6", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "::1", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnHop},
		{"a private address", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "172.31.0.9", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnHop},
		{"no private address", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "172.32.0.9", 1)}, bounce.Connection, bounce.ScopeRemote, ""},
		{"a unique local address", bounce.Delivery{Agent: "smtp", Local: true, Response: strings.Replace(refused, "%", "fd12::1", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnHop},
		{"no IPv6 route", bounce.Delivery{Agent: "smtp", Local: true, Response: "connect to mx.far.example[2001:db8::25]:25: Network is unreachable"}, bounce.Connection, bounce.ScopeSender, "own-network"},
		{"no IPv6 route, Exim", bounce.Delivery{MTA: bounce.Exim, Agent: "remote_smtp", RelayHost: "mx.far.example", RelayIP: "2001:db8::25", Local: true, Response: "Network is unreachable"}, bounce.Connection, bounce.ScopeSender, "own-network"},
		{"no IPv4 route, perhaps a router's word", bounce.Delivery{Agent: "smtp", Local: true, Response: "connect to mx.far.example[192.0.2.1]:25: Network is unreachable"}, bounce.Connection, bounce.ScopeRemote, ""},
		{"their IPv6 route", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "2001:db8::1", Code: 451, Response: "451 4.4.1 connect to store[2001:db8::25]:25: Network is unreachable"}, bounce.Connection, bounce.ScopeRemote, ""},
		{"a certificate that the own policy checks", bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Stage: bounce.StageTLS, Local: true, Response: "Server certificate not verified"}, bounce.TLS, bounce.ScopeSender, "certificate"},
		{"the same, Exim", bounce.Delivery{MTA: bounce.Exim, Agent: "remote_smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Stage: bounce.StageTLS, Local: true, Response: "TLS session: (certificate verification failed): certificate invalid"}, bounce.TLS, bounce.ScopeSender, "certificate"},
		{"a certificate of the own filter", bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "filter", RelayIP: "10.0.0.1", Stage: bounce.StageTLS, Local: true, Response: "Server certificate not trusted"}, bounce.TLS, bounce.ScopeSender, detailOwnHop},
		{"records that the receiver publishes", bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", Local: true, RecipientDomain: "far.example", Response: "TLSA lookup error for mx.far.example:25"}, bounce.TLS, bounce.ScopeRemote, "dane"},
		{"the same, Exim", bounce.Delivery{MTA: bounce.Exim, Agent: "remote_smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Local: true, Response: "DANE error: tlsa lookup DEFER"}, bounce.TLS, bounce.ScopeRemote, "dane"},
		{"a policy that the receiver publishes", bounce.Delivery{Agent: "smtp", RelayHost: "relay.isp.example", RelayIP: "192.0.2.1", Code: 451, Response: "451 4.4.8 the MX hosts of far.example fail MTA-STS validation"}, bounce.TLS, bounce.ScopeRemote, "mta-sts"},
		{"LMTP", bounce.Delivery{Agent: "lmtp", Local: true, Response: strings.Replace(refused, "%", "192.0.2.1", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnStore},
		{"suspended", bounce.Delivery{Agent: "error", Local: true, Response: "delivery temporarily suspended: " + strings.Replace(refused, "%", "10.1.2.3", 1)}, bounce.Connection, bounce.ScopeSender, detailOwnHop},
		{"their loopback", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Code: 451, Response: "451 4.3.0 connect to 127.0.0.1[127.0.0.1]:10024: Connection refused"}, bounce.Connection, bounce.ScopeRemote, ""},
		{"their disk", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Code: 452, Response: "452 4.3.1 Insufficient system storage"}, bounce.SystemError, bounce.ScopeRemote, ""},
		{"own disk", bounce.Delivery{Agent: "virtual", RelayHost: "virtual", Local: true, Response: "error writing file: No space left on device"}, bounce.SystemError, bounce.ScopeSender, detailOwnHost},
		{"own filter speaks", bounce.Delivery{Agent: "smtp", RelayHost: "127.0.0.1", RelayIP: "127.0.0.1", RelayPort: 10024, Code: 451, Response: "451 4.5.0 internal error"}, bounce.SystemError, bounce.ScopeSender, detailOwnHop},
		{"own store knows no mailbox", bounce.Delivery{Agent: "lmtp", RelayHost: "store", Code: 550, Response: "550 5.1.1 <joe@us.example> User unknown"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnMailbox},
		{"own store by its address", bounce.Delivery{Agent: "smtp", RelayHost: "exchange.us.example", RelayIP: "10.1.2.3", RelayPort: 25, Code: 550, Response: "550 5.1.10 Recipient not found"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnRelay},
		{"own store, quota", bounce.Delivery{Agent: "lmtp", RelayHost: "store", Code: 552, Response: "552 5.2.2 <joe@us.example> Quota exceeded (mailbox for user is full)"}, bounce.MailboxFull, bounce.ScopeRecipient, DetailOwnQuota},
		{"others' quota", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", RelayPort: 25, Code: 552, Response: "552 5.2.2 <joe@far.example> Quota exceeded (mailbox for user is full)"}, bounce.MailboxFull, bounce.ScopeRecipient, ""},
		{"Exim's store", bounce.Delivery{MTA: bounce.Exim, Agent: "dovecot_lmtp", Code: 550, Response: "550 5.1.1 <joe@us.example> User doesn't exist"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnMailbox},
		{"own filter passes on what a server said", bounce.Delivery{Agent: "smtp", RelayHost: "127.0.0.1", RelayIP: "127.0.0.1", RelayPort: 10024, Code: 550, Response: "550 5.1.1 <joe@far.example>: Recipient address rejected: undeliverable address: host mx.far.example[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command)"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"own filter passes on what the own store said", bounce.Delivery{Agent: "smtp", RelayHost: "127.0.0.1", RelayIP: "127.0.0.1", RelayPort: 10024, Code: 550, Response: "550 5.1.1 <joe@us.example>: Recipient address rejected: undeliverable address: host store[10.1.2.3] said: 550 5.1.1 User unknown (in reply to RCPT TO command)"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnRelay},
		{"own table", bounce.Delivery{Agent: "local", RelayHost: "local", Local: true, Response: `unknown user: "joe"`}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnTable},
		{"own table, error(8)", bounce.Delivery{Agent: "error", Local: true, Response: "User unknown in virtual mailbox table"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnTable},
		{"Exim's own table", bounce.Delivery{MTA: bounce.Exim, Local: true, Response: "Unknown user"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailOwnTable},
		{"a smarthost's own word", bounce.Delivery{Agent: "smtp", RelayHost: "smtp.isp.example", RelayIP: "192.0.2.1", RelayPort: 587, Code: 550, Response: "550 5.1.1 <joe@far.example>: Recipient address rejected: User unknown in local recipient table"}, bounce.UserUnknown, bounce.ScopeRecipient, DetailSmarthost},
		{"a smarthost passes on what a server said", bounce.Delivery{MTA: bounce.Exim, Agent: "smarthost_smtp", RelayHost: "smtp.isp.example", RelayIP: "192.0.2.1", RelayPort: 587, Code: 550, Response: "550-Callout failed: host mx.far.example [192.0.2.7]: 550 5.1.1 no such user\\n550 recipient verification failed"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"the recipient's server", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", RelayPort: 25, Code: 550, Response: "550 5.1.1 no such user"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"the sender's server does not answer a callout", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "joe@far.example", Outcome: bounce.Soft, Code: 450, Response: "450 4.1.7 <me@us.example>: Sender address rejected: unverified address: connect to mail.us.example[203.0.113.25]:25: Connection timed out"}, bounce.SenderRejected, bounce.ScopeSender, "callout"},
		{"a callout is under way", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "joe@far.example", Outcome: bounce.Soft, Code: 450, Response: "450 4.1.7 <me@us.example>: Sender address rejected: unverified address: Address verification in progress"}, bounce.SystemError, bounce.ScopeRemote, ""},
		{"the sender is unknown", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "joe@far.example", Code: 550, Response: "550 5.1.1 we asked your server: <me@us.example> user unknown"}, bounce.SenderRejected, bounce.ScopeSender, "callout"},
		{"both are named", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "joe@far.example", Code: 550, Response: "550 5.1.1 from me@us.example to joe@far.example: user unknown"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"a message to oneself", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "me@us.example", Code: 550, Response: "550 5.1.1 me@us.example: user unknown"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"the sender and a recipient", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Sender: "me@us.example", Recipient: "joe@far.example", Code: 550, Response: "550 5.1.1 Recipient unknown, message from me@us.example"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"own filter refuses", bounce.Delivery{Agent: "smtp", RelayHost: "127.0.0.1", RelayIP: "127.0.0.1", RelayPort: 10024, Code: 554, Response: "554 5.7.0 Reject, id=01234-05 - spam"}, bounce.ContentSpam, bounce.ScopeMessage, DetailContentFilter},
		{"own milter refuses", bounce.Delivery{Agent: "cleanup", Local: true, Response: "Spam message rejected"}, bounce.ContentSpam, bounce.ScopeMessage, DetailContentFilter},
		{"a remote filter refuses", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Code: 554, Response: "554 5.7.1 Spam message rejected"}, bounce.ContentSpam, bounce.ScopeMessage, ""},
		{"a loop at home", bounce.Delivery{Agent: "smtp", RelayHost: "127.0.0.1", RelayIP: "127.0.0.1", RelayPort: 25, Code: 554, Response: "554 5.4.6 Too many hops"}, bounce.DNSRouting, bounce.ScopeSender, detailOwnLoop},
		{"a loop elsewhere", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Code: 554, Response: "554 5.4.6 Too many hops"}, bounce.DNSRouting, bounce.ScopeRemote, detailLoop},

		{"the recipient's domain", bounce.Delivery{Agent: "smtp", RecipientDomain: "typo.example", Local: true, Response: strings.Replace(notFound, "%", "Typo.example", 1)}, bounce.DomainInvalid, bounce.ScopeRecipient, ""},
		{"its mail exchanger", bounce.Delivery{Agent: "smtp", RecipientDomain: "typo.example", Local: true, Response: strings.Replace(notFound, "%", "mx1.typo.example", 1)}, bounce.DNSRouting, bounce.ScopeRemote, ""},
		{"another name", bounce.Delivery{Agent: "smtp", RecipientDomain: "right.example", Local: true, Response: strings.Replace(notFound, "%", "relay.isp.example", 1)}, bounce.DNSRouting, bounce.ScopeSender, detailOwnRoute},
		{"a container", bounce.Delivery{Agent: "lmtp", RecipientDomain: "us.example", Local: true, Response: strings.Replace(notFound, "%", "store.us.example", 1)}, bounce.DNSRouting, bounce.ScopeSender, detailOwnRoute},
		{"no recipient known", bounce.Delivery{Local: true, Response: strings.Replace(notFound, "%", "typo.example", 1)}, bounce.DomainInvalid, bounce.ScopeRecipient, ""},

		{"Exim's own router", bounce.Delivery{MTA: bounce.Exim, RecipientDomain: "typo.example", Local: true, Response: "Unrouteable address"}, bounce.DomainInvalid, bounce.ScopeRecipient, "unrouteable"},
		{"a greeting that refuses an address", bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx03.t-online.de", RelayIP: "192.0.2.1", RelayPort: 25, Stage: bounce.StageConnect, Code: 554, Response: "554 IP=192.0.2.9 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)"}, bounce.Reputation, bounce.ScopeSender, "t-online"},
		{"the same, of another server", bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", RelayPort: 25, Stage: bounce.StageConnect, Code: 554, Response: "554 IP=192.0.2.9 - go away"}, bounce.Reputation, bounce.ScopeSender, ""},
		{"a remote Exim", bounce.Delivery{MTA: bounce.Exim, Agent: "remote_smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Code: 550, Response: "550 Unrouteable address"}, bounce.UserUnknown, bounce.ScopeRecipient, ""},
		{"own loop", bounce.Delivery{Agent: "smtp", Local: true, Response: "mail for us.example loops back to myself"}, bounce.DNSRouting, bounce.ScopeSender, "own-loop"},
		{"port 465", bounce.Delivery{Agent: "smtp", RelayHost: "smtp.isp.example", RelayIP: "192.0.2.1", RelayPort: 465, Local: true, Response: "lost connection with smtp.isp.example[192.0.2.1] while receiving the initial server greeting"}, bounce.Connection, bounce.ScopeSender, "wrapper-mode"},
		{"port 25", bounce.Delivery{Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", RelayPort: 25, Local: true, Response: "lost connection with mx.far.example[192.0.2.1] while receiving the initial server greeting"}, bounce.Connection, bounce.ScopeRemote, ""},
	} {
		c.d.Outcome = bounce.Soft
		tpl, v := j.Judge(&c.d)
		if v.Reason != c.reason || v.Scope != c.scope || v.Detail != c.detail {
			t.Errorf("%s: %s %s %q by %s, want %s %s %q", c.name, v.Reason, v.Scope, v.Detail, v.Rule, c.reason, c.scope, c.detail)
		}
		// The stored fields suffice to judge the attempt again.
		stored := bounce.Delivery{
			MTA: c.d.MTA, Agent: c.d.Agent, Code: c.d.Code, Enhanced: c.d.Enhanced, Stage: c.d.Stage, Outcome: c.d.Outcome,
			Local: c.d.Local, Response: c.d.Response,
		}
		if again := j.Again(&stored, tpl.Situation); again != v {
			t.Errorf("%s: %+v from what is stored (%q), %+v at first", c.name, again, tpl.Situation, v)
		}
	}
}

// Each fact has a name, and parsing a situation reverses writing it.
func TestSituation(t *testing.T) {
	j := newJudge(t)
	for i, name := range factNames {
		if f, ok := parseFact(name); !ok || f != 1<<i || f.String() != name {
			t.Errorf("%s: %v, %t", name, f, ok)
		}
	}
	if 1<<(len(factNames)-1) != factNamesSender {
		t.Errorf("%d names of facts", len(factNames))
	}
	for _, host := range []string{"", "gmail-smtp-in.l.google.com", "mx.unknown.example"} {
		for _, f := range []facts{0, factLocal, factLocal | factLoopback | factOwnName, factForwarded} {
			class := j.class(host)
			if gotClass, gotFacts := j.parseSituation(j.situation(class, f)); gotClass != class || gotFacts != f {
				t.Errorf("%q %s: %q is read as %d %s", host, f, j.situation(class, f), gotClass, gotFacts)
			}
		}
	}
}

// Every detail of a rule that needs texts has them, and details about this server's own side have
// actions.
func TestDetails(t *testing.T) {
	j := newJudge(t)
	used := map[string]bool{
		detailOwnHost: true, detailOwnHop: true, detailOwnStore: true, detailOwnRoute: true,
		DetailOwnTable: true, DetailOwnMailbox: true, DetailOwnQuota: true, DetailOwnRelay: true, DetailSmarthost: true, DetailContentFilter: true, // set by ownSide
	}
	for r := range j.Rules() {
		used[r.Detail] = true
		if OwnDetail(r.Detail) && r.Scope != bounce.ScopeSender && r.Detail != "own-limit" {
			t.Errorf("%s: %s with scope %s", r.ID, r.Detail, r.Scope)
		}
	}
	for detail, words := range detailTexts {
		if !used[detail] && !strings.HasPrefix(detail, "spamhaus") {
			t.Errorf("no rule gives the detail %s", detail)
		}
		if OwnDetail(detail) && (words.Title == "" || len(words.Do) == 0) {
			t.Errorf("%s: a title and what to do are needed", detail)
		}
	}
	for detail := range used {
		if OwnDetail(detail) && detailText(detail).Meaning == "" {
			t.Errorf("no words for the detail %s", detail)
		}
	}
}

func BenchmarkFacts(b *testing.B) {
	d := bounce.Delivery{Agent: "smtp", Outcome: bounce.Hard, RelayHost: "mx.far.example", RelayIP: "192.0.2.1", RelayPort: 25, Code: 550, Response: "550 5.1.1 no such user"}
	b.ReportAllocs()
	for b.Loop() {
		factsOf(&d)
	}
}
