package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestIncidents takes logs of Postfix and Exim, each with one fault of the sending side or
// with what looks like one, through the whole program: what the report says of them, that it
// says so once, and that it raises no alarm where there is none.
func TestIncidents(t *testing.T) {
	const (
		minute = time.Minute
		gap    = 4 * time.Minute
		noHost = "Host or domain name not found. Name service error for name=%s type=MX: Host not found"
	)
	type want struct{ level, cause, title, check string }
	bouncedAt := func(agent, relay, dsn, says string) func(m *message) {
		return func(m *message) { m.agent, m.relay, m.dsn, m.status, m.says = agent, relay, dsn, "bounced", says }
	}
	deferredAt := func(agent, relay, dsn, says string) func(m *message) {
		return func(m *message) { m.agent, m.relay, m.dsn, m.status, m.says = agent, relay, dsn, "deferred", says }
	}
	notFound := func(m *message) {
		domain := m.to[strings.IndexByte(m.to, '@')+1:]
		bouncedAt("smtp", "none", "5.4.4", fmt.Sprintf(noHost, domain))(m)
	}
	forwarded := func(from string) func(m *message) {
		return func(m *message) {
			m.original = from
			bouncedAt("smtp", "gmail-smtp-in.l.google.com[192.0.2.26]:25", "5.7.1", "host gmail-smtp-in.l.google.com[192.0.2.26] said: 550 5.7.1 [203.0.113.5] Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked. (in reply to end of DATA command)")(m)
		}
	}
	toSlow := func(m *message, i int) {
		m.to, m.relay = fmt.Sprintf("u%d@slow.example", i%9), "mx.slow.example[192.0.2.7]:25"
	}
	gmail := func(m *message) { m.relay = "gmail-smtp-in.l.google.com[192.0.2.26]:25" }
	through := func(m *message) {
		m.relay, m.says = "127.0.0.1[127.0.0.1]:10024", "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4cX"
	}
	amavis := bouncedAt("smtp", "127.0.0.1[127.0.0.1]:10024", "5.7.0", "host 127.0.0.1[127.0.0.1] said: 554 5.7.0 Reject, id=01234-05 - spam (in reply to end of DATA command)")
	stored := func(m *message) {
		m.agent, m.relay, m.says = "lmtp", "mx1.office.example[private/dovecot-lmtp]", "250 2.0.0 <x> Saved"
	}
	denied := bouncedAt("lmtp", "mx1.office.example[private/dovecot-lmtp]", "5.1.1", "host mx1.office.example[private/dovecot-lmtp] said: 550 5.1.1 <x@office.example> User doesn't exist: x@office.example (in reply to RCPT TO command)")
	virtual := func(m *message) { m.agent, m.relay, m.says = "virtual", "virtual", "delivered to maildir" }
	unknown := func(m *message) {
		bouncedAt("virtual", "virtual", "5.1.1", fmt.Sprintf("unknown user: %q", m.to))(m)
	}
	smarthost := deferredAt("smtp", "smtp.relay.example[192.0.2.40]:587", "4.7.8", "SASL authentication failed; server smtp.relay.example[192.0.2.40] said: 535 5.7.8 Error: authentication failed")
	morning := messages(60, 0, gap, domains(12))
	for _, test := range []struct {
		name string
		log  []string
		want []want // ongoing incidents, or those that ended, the watched ones aside
	}{
		{
			"domains that took mail are not found, while other mail gets out",
			postfix(morning, messages(30, 5*time.Hour, gap, domains(10), notFound), messages(60, 5*time.Hour, gap/2, func(m *message, i int) { m.to = fmt.Sprintf("u%d@e%d.example", i%7, i%9) })),
			[]want{{"likely", "resolver", "the resolver does not find domains that take mail", "dig d0.example MX"}},
		},
		{
			"domains that took mail are not found, and nothing gets out",
			postfix(morning, messages(30, 5*time.Hour, gap, domains(10), notFound)),
			[]want{{"likely", "resolver", "Nothing goes out", "The resolver of this server"}},
		},
		{
			"a provider that takes nothing any more, and took more before",
			postfix(messages(60, 0, gap, toSlow), messages(30, 5*time.Hour, gap, toSlow, deferredAt("smtp", "mx.slow.example[192.0.2.7]:25", "4.4.2", "conversation with mx.slow.example[192.0.2.7] timed out while receiving the initial server greeting")), messages(90, 4*time.Hour, gap/2, domains(12))),
			[]want{{"likely", "provider", "slow.example does not take our mail", ""}},
		},
		{
			"a sender domain that many providers refuse, a few messages each",
			postfix(morning, messages(36, 5*time.Hour, gap, domains(12), func(m *message) {
				m.from = "info@shop.example"
				bouncedAt("smtp", m.relay, "5.1.8", "host "+strings.TrimSuffix(m.relay, ":25")+" said: 553 5.1.8 <info@shop.example>: Sender address rejected: Domain not found (in reply to MAIL FROM command)")(m)
			})),
			[]want{{"confirmed", "sender", "d0.example, d1.example and others refuse shop.example: the sender's address is not accepted", "The sender domain in the DNS"}},
		},
		{
			"mailboxes that took mail are denied by virtual(8)",
			postfix(messages(40, 0, gap, within("office.example", 8), virtual), messages(30, 5*time.Hour, gap, within("office.example", 8), unknown)),
			[]want{{"likely", "mail_store", "denies mailboxes that took mail before", "postmap -q"}},
		},
		{
			"half of the mailboxes are denied by the store, by LMTP",
			postfix(messages(60, 0, gap, within("office.example", 12), stored), messages(30, 5*time.Hour, gap, within("office.example", 6), denied), messages(20, 5*time.Hour, gap, func(m *message, i int) { m.to = fmt.Sprintf("u%d@office.example", 6+i%6) }, stored)),
			[]want{{"likely", "mail_store", "denies mailboxes that took mail before", "doveadm user"}},
		},
		{
			"mailboxes are denied for a while and then take mail again",
			postfix(messages(60, 0, gap, within("office.example", 12), stored), messages(6, 5*time.Hour, gap, within("office.example", 4), denied), messages(60, 6*time.Hour, gap, within("office.example", 12), stored)),
			[]want{{"likely", "mail_store", "denies mailboxes that took mail before", ""}},
		},
		{
			"a content filter that refuses everything",
			postfix(messages(60, 0, gap, domains(12), through), messages(60, minute, gap, domains(12)), messages(30, 5*time.Hour, gap, domains(10), amavis)),
			[]want{{"likely", "next_hop", "own content filter 127.0.0.1:10024, which refuses most", "log and configuration of the content filter"}},
		},
		{
			"mailboxes that took mail are denied by local(8)",
			postfix(messages(40, 0, gap, within("office.example", 8), func(m *message) { m.agent, m.relay, m.says = "local", "local", "delivered to mailbox" }),
				messages(30, 5*time.Hour, gap, within("office.example", 8), bouncedAt("local", "local", "5.1.1", `unknown user: "kim"`))),
			[]want{{"likely", "mail_store", "denies mailboxes that took mail before", "local_recipient_maps"}},
		},
		{
			"mailboxes that took mail are denied by a store in a container",
			postfix(messages(40, 0, gap, within("office.example", 8), func(m *message) { m.agent, m.relay, m.says = "lmtp", "dovecot[172.22.1.250]:24", "250 2.0.0 <x> Saved" }),
				messages(30, 5*time.Hour, gap, within("office.example", 8), bouncedAt("lmtp", "dovecot[172.22.1.250]:24", "5.1.1", "host dovecot[172.22.1.250] said: 550 5.1.1 <x@office.example> User doesn't exist: x@office.example (in reply to RCPT TO command)"))),
			[]want{{"likely", "mail_store", "dovecot:24, which denies mailboxes", "doveadm user"}},
		},
		{
			"a content filter by LMTP that refuses everything",
			postfix(messages(60, 0, gap, domains(12), func(m *message) { through(m); m.agent = "lmtp" }), messages(60, minute, gap, domains(12)),
				messages(30, 5*time.Hour, gap, domains(10), func(m *message) { amavis(m); m.agent = "lmtp" })),
			[]want{{"likely", "next_hop", "own content filter 127.0.0.1:10024, which refuses most", "log and configuration of the content filter"}},
		},
		{
			"a content filter that is down",
			postfix(messages(60, 0, gap, domains(12), through), messages(60, minute, gap, domains(12)), messages(30, 5*time.Hour, gap, domains(10), deferredAt("smtp", "none", "4.4.1", "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused"))),
			[]want{{"confirmed", "next_hop", "127.0.0.1:10024 (connection refused)", "ss -ltnp"}},
		},
		{
			"a content filter that fails inside",
			postfix(messages(60, 0, gap, domains(12), through), messages(60, minute, gap, domains(12)), messages(30, 5*time.Hour, gap, domains(10), deferredAt("smtp", "127.0.0.1[127.0.0.1]:10024", "4.5.0", "host 127.0.0.1[127.0.0.1] said: 451 4.5.0 Error in processing, id=01234-05, virus_scan FAILED (in reply to end of DATA command)"))),
			[]want{{"confirmed", "next_hop", "127.0.0.1:10024", "What the reply says"}},
		},
		{
			"forwarded spam that is refused as spam",
			postfix(messages(60, 0, gap, domains(12), gmail), messages(30, 5*time.Hour, gap, func(m *message, i int) {
				m.from, m.to = fmt.Sprintf("win%d@lottery%d.example", i, i), "kim@gmail.com"
			}, forwarded("info@client.example")), messages(30, 5*time.Hour, gap, domains(12), gmail)),
			[]want{{"likely", "forwarding", "forwarded", "filter spam before"}},
		},
		{
			"a loop through our own MX",
			postfix(morning, messages(20, 5*time.Hour, gap, within("office.example", 8), bouncedAt("smtp", "127.0.0.1[127.0.0.1]:25", "5.4.6", "host 127.0.0.1[127.0.0.1] said: 554 5.4.6 Too many hops (in reply to end of DATA command)"))),
			[]want{{"confirmed", "loop", "in a loop", "mydestination"}},
		},
		{
			"a password that has changed",
			postfix(morning, messages(30, 5*time.Hour, gap, domains(10), smarthost)),
			[]want{{"confirmed", "login", "smtp.relay.example:587", "password"}},
		},
		{
			"Exim: the smarthost's name is not found",
			exim(messages(60, 0, gap, domains(12)), messages(30, 5*time.Hour, gap, domains(10), func(m *message) {
				m.status, m.says = "bounced", `lookup of host "smpt.relay.example" failed in smarthost router`
			})),
			[]want{{"confirmed", "route", "smpt.relay.example", "typing error"}},
		},
		{
			"Exim: a router that is gone",
			exim(messages(40, 0, gap, within("office.example", 8), func(m *message) { m.agent = "local_delivery" }), messages(30, 5*time.Hour, gap, within("office.example", 8), func(m *message) { m.status, m.says = "bounced", "Unrouteable address" })),
			[]want{{"likely", "router", "this server's own routing", "exim -bt"}},
		},
		{
			"Exim: domains that took mail are not found",
			exim(morning, messages(30, 5*time.Hour, gap, domains(10), func(m *message) { m.status, m.says = "bounced", "Unrouteable address" }), messages(60, 5*time.Hour, gap/2, func(m *message, i int) {
				m.to, m.relay = fmt.Sprintf("u%d@e%d.example", i%7, i%9), fmt.Sprintf("mx.e%d.example [192.0.2.%d]", i%9, 90+i%9)
			})),
			[]want{{"likely", "resolver", "the resolver does not find domains that take mail", "dig d0.example MX"}},
		},
		{
			"Exim: the look-up of domains that took mail fails",
			exim(morning, messages(30, 5*time.Hour, gap, domains(10), func(m *message) { m.status, m.agent, m.says = "deferred", "dns", "host lookup did not complete" })),
			[]want{{"likely", "resolver", "Nothing goes out", "The resolver of this server"}},
		},
		{
			"Exim: mailboxes that took mail are denied by the store",
			exim(messages(40, 0, gap, within("office.example", 8), func(m *message) { m.agent = "dovecot_lmtp" }), messages(30, 5*time.Hour, gap, within("office.example", 8), func(m *message) {
				m.status, m.agent = "bounced", "dovecot_lmtp"
				m.says = "LMTP error after RCPT TO:<" + m.to + ">: 550 5.1.1 <" + m.to + "> User doesn't exist: " + m.to
			})),
			[]want{{"likely", "mail_store", "denies mailboxes that took mail before", "doveadm user"}},
		},
		{
			"Exim: the spam scanner's host is down",
			exim(messages(60, 0, gap, domains(12)), messages(30, 5*time.Hour, gap, domains(10), func(m *message) {
				m.status, m.agent, m.relay, m.says = "deferred", "filter_smtp", "127.0.0.1 [127.0.0.1]:10024", "Connection refused"
			})),
			[]want{{"confirmed", "next_hop", "127.0.0.1", "ss -ltnp"}},
		},

		// No alarm.
		{"domains that never took mail are not found", postfix(morning, messages(30, 0, gap, func(m *message, i int) { m.to = fmt.Sprintf("u%d@gone%d.example", i, i) }, notFound)), nil},
		{"one domain that took mail has expired", postfix(morning, messages(30, 5*time.Hour, gap, within("d1.example", 4), notFound), messages(60, 5*time.Hour, gap/2, domains(12))), nil},
		{"six known domains have expired, among much mail", postfix(messages(600, 0, minute, domains(100)), messages(6, 0, 90*minute, func(m *message, i int) { m.to = fmt.Sprintf("u1@d%d.example", i) }, notFound)), nil},
		{"known domains are found by the next try", postfix(morning, messages(4, 5*time.Hour, gap, domains(4), deferredAt("smtp", "none", "4.4.3", "Host or domain name not found. Name service error for name=d1.example type=MX: Host not found, try again")), messages(60, 5*time.Hour, gap/2, domains(12))), nil},
		{"people who left", postfix(messages(60, 0, gap, within("office.example", 12), stored), messages(9, 5*time.Hour, gap, within("office.example", 3), denied), messages(60, 5*time.Hour, gap, func(m *message, i int) { m.to = fmt.Sprintf("u%d@office.example", 3+i%9) }, stored)), nil},
		{"mailboxes that never were", postfix(messages(60, 0, gap, within("office.example", 12), virtual), messages(60, 0, gap, func(m *message, i int) { m.to = fmt.Sprintf("x%d@office.example", i) }, unknown)), nil},
		{"a content filter that refuses spam every day", postfix(messages(60, 0, gap, domains(12), through), messages(60, minute, gap, domains(12)), messages(12, 0, 20*minute, domains(12), amavis)), nil},
		{"a content filter that refuses one sender", postfix(messages(60, 0, gap, domains(12), through), messages(60, minute, gap, domains(12)), messages(4, 3*time.Hour, gap, domains(1), amavis)), nil},
		{"some forwarded messages are judged spam", postfix(messages(200, 0, gap/2, domains(12), gmail), messages(3, 0, time.Hour, func(m *message, i int) {
			m.from, m.to = fmt.Sprintf("win%d@lottery%d.example", i, i), "kim@gmail.com"
		}, forwarded("info@client.example"))), nil},
		{"other people's loop", postfix(morning, messages(2, 5*time.Hour, gap, within("round.example", 2), bouncedAt("smtp", "mx.round.example[192.0.2.9]:25", "5.4.6", "host mx.round.example[192.0.2.9] said: 554 5.4.6 Too many hops (in reply to end of DATA command)"))), nil},
		{"Exim: addresses that never were", exim(messages(60, 0, gap, domains(12)), messages(30, 0, gap, func(m *message, i int) {
			m.to, m.status, m.says = fmt.Sprintf("u%d@gone%d.example", i, i), "bounced", "Unrouteable address"
		})), nil},
		{"Exim: two people who left", exim(messages(60, 0, gap, within("office.example", 12), func(m *message) { m.agent = "local_delivery" }), messages(4, 3*time.Hour, gap, within("office.example", 2), func(m *message) { m.status, m.says = "bounced", "Unrouteable address" })), nil},
		{"Exim: a customer's domains are gone, one after another", exim(messages(400, 0, gap/2, domains(12)), messages(6, 0, 2*time.Hour, domains(3), func(m *message) { m.status, m.says = "bounced", "Unrouteable address" })), nil},
		{"Exim: mail that waits for its retry time", exim(messages(60, 0, gap, domains(12)), messages(30, 3*time.Hour, gap, domains(10), func(m *message) { m.status, m.says = "deferred", "retry time not reached for any host" })), nil},
		{"greylisting everywhere", postfix(messages(30, 0, gap, domains(12), deferredAt("smtp", "mx.example.net[192.0.2.9]:25", "4.7.1", "host mx.example.net[192.0.2.9] said: 450 4.7.1 Greylisted, try again in 300 seconds (in reply to RCPT TO command)")), messages(30, 6*minute, gap, domains(12))), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "mail.log")
			if err := os.WriteFile(file, []byte(strings.Join(test.log, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := bouncelog(t, exitOK, "report", "--format", "json", "--year", "2026", "--tz", "UTC", file)
			var rep struct {
				Verdict struct {
					Sentence   string
					Act, Ended []struct {
						Level, Title, Check, Command string
						Recipients, Valid            int
						Problem                      *int
					}
				}
				Problems []struct{ Cause, Summary string }
			}
			if err := json.Unmarshal([]byte(out), &rep); err != nil {
				t.Fatal(err)
			}
			var got []want
			for _, in := range slices.Concat(rep.Verdict.Act, rep.Verdict.Ended) {
				w := want{level: in.Level, title: in.Title, check: in.Check}
				if in.Problem != nil {
					w.cause = rep.Problems[*in.Problem].Cause
				}
				if in.Command == "" || strings.Contains(in.Title, "{") {
					t.Errorf("incomplete: %+v", in)
				}
				got = append(got, w)
			}
			ok := len(got) == len(test.want)
			for i := range min(len(got), len(test.want)) {
				w, g := test.want[i], got[i]
				ok = ok && w.level == g.level && w.cause == g.cause && strings.Contains(g.title, w.title) && strings.Contains(g.check, w.check)
			}
			if !ok {
				t.Errorf("%s\ngot  %+v\nwant %+v\nproblems %+v", rep.Verdict.Sentence, got, test.want, rep.Problems)
			}
		})
	}
}

// A message of a made-up log, with one attempt.
type message struct {
	at           time.Duration
	from, to     string
	original     string
	agent, relay string
	dsn          string
	status       string // sent, deferred, bounced
	says         string
}

// messages makes n messages, one every gap from a time on, that go as is said: by
// func(*message), or func(*message, int) with the message's number.
func messages(n int, at, gap time.Duration, how ...any) (list []message) {
	for i := range n {
		m := message{at: at + time.Duration(i)*gap, from: fmt.Sprintf("clerk%d@office.example", i%4), agent: "smtp", dsn: "2.0.0", status: "sent", says: "250 2.0.0 Ok"}
		for _, f := range how {
			switch f := f.(type) {
			case func(*message):
				f(&m)
			case func(*message, int):
				f(&m, i)
			}
		}
		list = append(list, m)
	}
	return list
}

// domains sends to some people at n domains, each with a mail exchanger of its own.
func domains(n int) func(*message, int) {
	return func(m *message, i int) {
		m.to = fmt.Sprintf("u%d@d%d.example", i%5, i%n)
		m.relay = fmt.Sprintf("mx.d%d.example[192.0.2.%d]:25", i%n, 50+i%n)
	}
}

// within sends to n people at a domain.
func within(domain string, n int) func(*message, int) {
	return func(m *message, i int) { m.to = fmt.Sprintf("u%d@%s", i%n, domain) }
}

var incidentsBegin = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

func inOrder(parts [][]message) []message {
	all := slices.Concat(parts...)
	slices.SortStableFunc(all, func(a, b message) int { return cmp.Compare(a.at, b.at) })
	return all
}

// postfix writes messages as Postfix does.
func postfix(parts ...[]message) (log []string) {
	for i, m := range inOrder(parts) {
		at := incidentsBegin.Add(m.at).Format(time.Stamp)
		original := ""
		if m.original != "" {
			original = fmt.Sprintf(" orig_to=<%s>,", m.original)
		}
		log = append(
			log,
			fmt.Sprintf("%s mx1 postfix/qmgr[100]: %X: from=<%s>, size=1200, nrcpt=1 (queue active)", at, 0xA000000+i, m.from),
			fmt.Sprintf("%s mx1 postfix/%s[101]: %X: to=<%s>,%s relay=%s, delay=1, delays=0.2/0/0.3/0.5, dsn=%s, status=%s (%s)", at, m.agent, 0xA000000+i, m.to, original, cmp.Or(m.relay, "mx.example.net[192.0.2.9]:25"), m.dsn, m.status, m.says),
		)
		if m.status != "deferred" {
			log = append(log, fmt.Sprintf("%s mx1 postfix/qmgr[100]: %X: removed", at, 0xA000000+i))
		}
	}
	return log
}

// exim writes messages as Exim does.
func exim(parts ...[]message) (log []string) {
	for i, m := range inOrder(parts) {
		at := incidentsBegin.Add(m.at).Format(time.DateTime)
		id := fmt.Sprintf("1abc%02d-000%03d-%02d", i/1000, i%1000, i%97)
		log = append(log, fmt.Sprintf("%s %s <= %s H=(pc) [203.0.113.40] P=esmtp S=1200", at, id, m.from))
		host := m.relay
		if name, ip, ok := strings.Cut(host, "["); ok && !strings.HasSuffix(name, " ") {
			ip, _, _ = strings.Cut(ip, "]")
			host = name + " [" + ip + "]"
		}
		switch m.status {
		case "sent":
			if m.agent == "smtp" {
				log = append(log, fmt.Sprintf("%s %s => %s R=dnslookup T=remote_smtp H=%s C=\"250 Ok\"", at, id, m.to, host))
			} else {
				log = append(log, fmt.Sprintf("%s %s => %s <%s> R=local_user T=%s", at, id, m.to[:strings.IndexByte(m.to, '@')], m.to, m.agent))
			}
			log = append(log, fmt.Sprintf("%s %s Completed", at, id))
		case "deferred":
			switch m.agent {
			case "smtp":
				log = append(log, fmt.Sprintf("%s %s == %s R=dnslookup T=remote_smtp defer (-53): %s", at, id, m.to, m.says))
			case "dns":
				log = append(log, fmt.Sprintf("%s %s == %s R=dnslookup defer (-1): %s", at, id, m.to, m.says))
			default:
				log = append(log, fmt.Sprintf("%s %s == %s R=filter T=%s defer (111) H=%s: %s", at, id, m.to, m.agent, host, m.says))
			}
		default:
			to := m.to + ":"
			if m.agent != "smtp" {
				to = fmt.Sprintf("%s <%s> R=local_user T=%s:", m.to[:strings.IndexByte(m.to, '@')], m.to, m.agent)
			}
			log = append(log, fmt.Sprintf("%s %s ** %s %s", at, id, to, m.says), fmt.Sprintf("%s %s Completed", at, id))
		}
	}
	return log
}
