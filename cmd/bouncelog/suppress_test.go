package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A handLog writes lines of Postfix or Exim, by hand and one at a time.
type handLog struct {
	exim bool
	day  time.Time
	n    int
	b    strings.Builder

	login, sender string // of the messages from now on; "": the log does not say
}

// from sets who hands in the messages that follow, and under which sender.
func (l *handLog) from(login, sender string) { l.login, l.sender = login, sender }

// Where mail goes.
const (
	toStore  = "us.example[private/dovecot-lmtp]"
	toHub    = "exchange.us.example[10.0.0.9]:25"
	toFilter = "127.0.0.1[127.0.0.1]:10024"
	toISP    = "smtp.isp.example[192.0.2.200]:25"
	toISP587 = "smtp.isp.example[192.0.2.200]:587"
)

// mx is the mail exchanger of an address's domain.
func mx(to string) string {
	_, domain, _ := strings.Cut(to, "@")
	return "mx." + domain + "[192.0.2.20]:25"
}

// line writes what happened at "15:04:05", or "2 15:04:05" on the second day: to whom,
// over which relay, and what was answered; "" is a delivery. An answer that begins with a
// digit is the relay's, any other the MTA's own.
func (l *handLog) line(clock, to, relay, answer string) {
	day, clock, ok := strings.Cut(clock, " ")
	if !ok {
		day, clock = "1", day
	}
	n := 0
	fmt.Sscan(day, &n)
	at := l.day.AddDate(0, 0, n-1).Format("2006-01-02 ") + clock
	l.n++
	if l.exim {
		l.eximLine(at, to, relay, answer)
		return
	}
	t, _ := time.Parse(time.DateTime, at)
	if l.login != "" {
		fmt.Fprintf(&l.b, "%s mx1 postfix/submission/smtpd[101]: 4A1B2C%04X: client=pc.example[192.0.2.77], sasl_method=PLAIN, sasl_username=%s\n"+
			"%[1]s mx1 postfix/qmgr[102]: 4A1B2C%04[2]X: from=<%[4]s>, size=1000, nrcpt=1 (queue active)\n", t.Format("Jan _2 15:04:05"), l.n, l.login, l.sender)
	}
	agent, dsn, status := "smtp", "2.0.0", "sent"
	switch {
	case relay == toStore:
		agent = "lmtp"
	case relay == "local" || relay == "virtual" || relay == "error":
		agent = relay
	}
	text := "250 2.0.0 Ok"
	switch {
	case relay == "error":
		relay = "none"
		fallthrough
	case answer != "" && (answer[0] < '0' || answer[0] > '9'):
		dsn, status, text = "5.1.1", "bounced", answer
	case answer != "":
		host, _, _ := strings.Cut(relay, "]")
		dsn, status, text = "5.1.1", "bounced", "host "+host+"] said: "+answer+" (in reply to RCPT TO command)"
	}
	fmt.Fprintf(&l.b, "%s mx1 postfix/%s[104]: 4A1B2C%04X: to=<%s>, relay=%s, delay=1, delays=0.1/0/0.4/0.5, dsn=%s, status=%s (%s)\n",
		t.Format("Jan _2 15:04:05"), agent, l.n, to, relay, dsn, status, text)
}

func (l *handLog) eximLine(at, to, relay, answer string) {
	if l.login != "" {
		fmt.Fprintf(&l.b, "%s 1vZ1%02d-00000000%03d-1aZ1 <= %s H=pc.example [192.0.2.77] P=esmtpsa A=plain:%s S=1000\n", at, l.n%100, l.n, l.sender, l.login)
	}
	mark, how := "=>", " R=dnslookup T=remote_smtp"
	switch relay {
	case toStore:
		how = " R=virtual T=dovecot_lmtp"
	case "local":
		how = " R=localuser T=local_delivery"
	case "none":
		how = ""
	default:
		host, rest, _ := strings.Cut(relay, "[")
		address, port, _ := strings.Cut(rest, "]")
		how += " H=" + host + " [" + address + "]" + strings.TrimSuffix(port, ":25")
	}
	switch {
	case answer == "":
		how += ` C="250 OK"`
	case answer[0] < '0' || answer[0] > '9':
		mark, how = "**", strings.TrimSuffix(how, " T=local_delivery")+": "+answer
	default:
		mark, how = "**", how+": SMTP error from remote mail server after RCPT TO:<"+to+">: "+answer
	}
	fmt.Fprintf(&l.b, "%s 1vZ1%02d-00000000%03d-1aZ1 %s %s%s\n", at, l.n%100, l.n, mark, to, how)
}

// notFound is what the DNS said of a domain, as Postfix words it.
func notFound(to string) string {
	_, domain, _ := strings.Cut(to, "@")
	return "Host or domain name not found. Name service error for name=" + domain + " type=A: Host not found"
}

const (
	saidUnknown      = "550 5.1.1 User unknown"
	saidUnknownTable = "550 5.1.1 Recipient address rejected: User unknown in local recipient table"
	unrouteable      = "Unrouteable address"
	passedOn         = "550 5.1.1 Recipient address rejected: undeliverable address: host mx.far.example[192.0.2.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command)"
	passedOnStore    = "550 5.1.1 Recipient address rejected: undeliverable address: host store[10.0.0.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command)"
)

// each calls do for n addresses at a domain, a minute apart.
func each(n int, domain string, hour int, do func(clock, to string)) {
	for i := range n {
		do(fmt.Sprintf("%02d:%02d:00", hour+i/60, i%60), fmt.Sprintf("u%d@%s", i, domain))
	}
}

// TestSuppressByLogs reads logs from the line to the list: an address is on it only where
// a server of others, or the DNS, stated its fault, and nothing shows that one's own side
// was broken. Every other address is listed with why.
func TestSuppressByLogs(t *testing.T) {
	const postfix, exim = 1, 2
	for _, c := range []struct {
		name string
		mta  int // postfix, exim; 0: both
		log  func(l *handLog)
		want []string // suppressed
		why  string   // stands in the reason of each other address
	}{
		{"an unknown user beside other mail", 0, func(l *handLog) {
			l.line("09:00:00", "ann@firm.example", mx("@firm.example"), "")
			l.line("09:05:00", "joe@firm.example", mx("@firm.example"), saidUnknown)
			l.line("09:10:00", "ann@firm.example", mx("@firm.example"), "")
		}, []string{"joe@firm.example"}, ""},
		{"an unknown user at a domain that was not mailed before", 0, func(l *handLog) {
			l.line("09:05:00", "joe@firm.example", mx("@firm.example"), saidUnknown)
		}, []string{"joe@firm.example"}, ""},
		{"a mailbox that took mail and was closed", 0, func(l *handLog) {
			l.line("09:00:00", "joe@firm.example", mx("@firm.example"), "")
			l.line("2 09:00:00", "ann@firm.example", mx("@firm.example"), "")
			l.line("2 09:05:00", "joe@firm.example", mx("@firm.example"), "550 5.2.1 The email account is disabled")
			l.line("2 09:06:00", "ann@firm.example", mx("@firm.example"), "")
		}, []string{"joe@firm.example"}, ""},
		{"a newsletter: many unknown users, and others take it", 0, func(l *handLog) {
			each(6, "firm.example", 9, func(clock, to string) {
				l.line(clock, to, mx(to), saidUnknown)
				l.line(clock, "ok"+to, mx(to), "")
			})
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example", "u3@firm.example", "u4@firm.example", "u5@firm.example"}, ""},
		{"dead addresses after one that took it", 0, func(l *handLog) {
			l.line("08:59:00", "ann@firm.example", mx("@firm.example"), "")
			each(4, "firm.example", 9, func(clock, to string) { l.line(clock, to, mx(to), saidUnknown) })
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example", "u3@firm.example"}, ""},
		{"dead addresses at a domain that took more the evening before", 0, func(l *handLog) {
			each(5, "firm.example", 20, func(clock, to string) { l.line(clock, "ok"+to, mx(to), "") })
			each(4, "firm.example", 9, func(clock, to string) { l.line("2 "+clock, to, mx(to), saidUnknown) })
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example", "u3@firm.example"}, ""},
		{"a domain that refuses everybody for weeks", 0, func(l *handLog) {
			for day := 1; day < 22; day += 7 {
				each(4, "firm.example", 9, func(clock, to string) { l.line(fmt.Sprint(day, " ", clock), to, mx(to), saidUnknown) })
			}
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example", "u3@firm.example"}, ""},
		{"refused at once, and the domain takes other mail right after", 0, func(l *handLog) {
			each(5, "firm.example", 9, func(clock, to string) { l.line(clock, to, mx(to), saidUnknown) })
			l.line("09:08:00", "ann@firm.example", mx("@firm.example"), "")
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example", "u3@firm.example", "u4@firm.example"}, ""},
		{"dead addresses at a provider of mailboxes that is mailed seldom", 0, func(l *handLog) {
			l.line("08:00:00", "ann@gmail.com", mx("@gmail.com"), "")
			for i := range 4 {
				l.line(fmt.Sprintf("%02d:00:00", 9+i), fmt.Sprintf("u%d@gmail.com", i), mx("@gmail.com"), saidUnknown)
			}
			l.line("15:00:00", "ann@gmail.com", mx("@gmail.com"), "")
		}, []string{"u0@gmail.com", "u1@gmail.com", "u2@gmail.com", "u3@gmail.com"}, ""},
		{"refused before and after the domain took mail of others", 0, func(l *handLog) {
			each(3, "firm.example", 8, func(clock, to string) { l.line(clock, to, mx(to), "") })
			each(3, "firm.example", 11, func(clock, to string) { l.line(clock, to, mx(to), saidUnknown) })
			l.line("15:00:00", "ann@firm.example", mx("@firm.example"), "")
			each(3, "firm.example", 16, func(clock, to string) { l.line(clock, to, mx(to), saidUnknown) })
			l.line("19:00:00", "ann@firm.example", mx("@firm.example"), "")
		}, []string{"u0@firm.example", "u1@firm.example", "u2@firm.example"}, ""},
		{"a typing error in a domain", postfix, func(l *handLog) {
			l.line("09:00:00", "joe@firmm.example", "none", notFound("@firmm.example"))
		}, []string{"joe@firmm.example"}, ""},
		{"a typing error in a domain that no router takes", exim, func(l *handLog) {
			l.line("08:00:00", "joe@firm.example", mx("@firm.example"), "")
			l.line("09:00:00", "joe@firmm.example", "none", unrouteable)
		}, []string{"joe@firmm.example"}, ""},
		{"dead domains in a mailing, while others take it", postfix, func(l *handLog) {
			l.line("09:00:00", "ann@firm.example", mx("@firm.example"), "")
			for i := range 4 {
				to := fmt.Sprintf("joe@dead%d.example", i)
				l.line(fmt.Sprintf("09:00:%02d", 10+i), to, "none", notFound(to))
			}
			l.line("09:01:00", "bob@other.example", mx("@other.example"), "")
		}, []string{"joe@dead0.example", "joe@dead1.example", "joe@dead2.example", "joe@dead3.example"}, ""},
		{"a dead domain with many readers", postfix, func(l *handLog) {
			l.line("08:59:00", "ann@firm.example", mx("@firm.example"), "")
			each(4, "dead.example", 9, func(clock, to string) { l.line(clock, to, "none", notFound(to)) })
			l.line("09:05:00", "ann@firm.example", mx("@firm.example"), "")
		}, []string{"u0@dead.example", "u1@dead.example", "u2@dead.example", "u3@dead.example"}, ""},
		{"a domain that takes no mail", postfix, func(l *handLog) {
			l.line("09:00:00", "joe@parked.example", "none", "Domain parked.example does not accept mail (nullMX)")
		}, []string{"joe@parked.example"}, ""},
		{"a smarthost passes on what the domain's server said", 0, func(l *handLog) {
			each(4, "one.example", 9, func(clock, to string) { l.line(clock, to, toISP, "") })
			l.line("10:00:00", "ann@two.example", toISP, "")
			l.line("10:01:00", "bob@three.example", toISP, "")
			l.line("10:02:00", "joe@far.example", toISP, passedOn)
		}, []string{"joe@far.example"}, ""},
		{"a smarthost knows an address, and takes other mail for the domain", 0, func(l *handLog) {
			l.line("10:00:00", "ann@two.example", toISP, "")
			l.line("10:01:00", "bob@three.example", toISP, "")
			l.line("10:02:00", "joe@far.example", toISP, saidUnknown)
			l.line("10:05:00", "eve@far.example", toISP, "")
		}, []string{"joe@far.example"}, ""},
		{"an internal gateway passes on what the domain's server said", 0, func(l *handLog) {
			l.line("10:02:00", "joe@far.example", "gw.us.example[10.0.0.2]:25", passedOn)
		}, []string{"joe@far.example"}, ""},

		{"a store that lost its user table", 0, func(l *handLog) {
			each(8, "us.example", 9, func(clock, to string) { l.line(clock, to, toStore, "") })
			each(12, "us.example", 9, func(clock, to string) {
				l.line("2 "+clock, to, toStore, "550 5.1.1 <"+to+"> User doesn't exist: "+to)
			})
		}, nil, "your own mail store"},
		{"a store that lost its user table, in mailboxes that took nothing before", 0, func(l *handLog) {
			each(2, "us.example", 9, func(clock, to string) { l.line(clock, to, toStore, saidUnknown) })
			l.line("10:00:00", "ann@us.example", toStore, "")
		}, nil, "your own mail store"},
		{"one mailbox that a store does not know, in a domain that it takes mail for", 0, func(l *handLog) {
			l.line("09:00:00", "ann@us.example", toStore, "")
			l.line("10:00:00", "joe@us.example", toStore, saidUnknown)
		}, nil, "a domain of your own"},
		{"one mailbox that a store does not know", 0, func(l *handLog) {
			l.line("09:00:00", "ann@firm.example", mx("@firm.example"), "")
			l.line("10:00:00", "joe@us.example", toStore, saidUnknown)
		}, []string{"joe@us.example"}, ""},
		{"an own domain that is hosted elsewhere", 0, func(l *handLog) {
			l.from("ann@us.example", "ann@us.example")
			l.line("09:00:00", "ann@us.example", mx("@us.example"), "")
			l.line("09:05:00", "joe@us.example", mx("@us.example"), saidUnknown)
			l.line("09:10:00", "ann@us.example", mx("@us.example"), "")
		}, nil, "a domain of your own"},
		{"a login that is named after an address at a provider of mailboxes", 0, func(l *handLog) {
			l.from("ann@gmail.com", "ann@gmail.com")
			l.line("09:05:00", "joe@gmail.com", mx("@gmail.com"), saidUnknown)
		}, []string{"joe@gmail.com"}, ""},
		{"a login that sends in the name of another domain", 0, func(l *handLog) {
			l.from("ann@us.example", "ann@firm.example")
			l.line("09:05:00", "joe@firm.example", mx("@firm.example"), saidUnknown)
		}, []string{"joe@firm.example"}, ""},
		{"a store in the local network", 0, func(l *handLog) {
			l.line("09:00:00", "joe@us.example", toHub, "")
			l.line("2 09:00:00", "joe@us.example", toHub, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found")
		}, nil, "your own content filter, gateway"},
		{"one address, at a filter on this host", 0, func(l *handLog) {
			l.line("09:00:00", "joe@far.example", toFilter, saidUnknownTable)
		}, nil, "your own content filter"},
		{"a filter on this host", 0, func(l *handLog) {
			each(3, "far.example", 9, func(clock, to string) { l.line(clock, to, toFilter, saidUnknownTable) })
		}, nil, "your own content filter"},
		{"a gateway that asks the own store", 0, func(l *handLog) {
			each(2, "us.example", 9, func(clock, to string) {
				l.line(clock, to, "gw.us.example[10.0.0.2]:25", passedOnStore)
			})
		}, nil, "your own content filter, gateway"},
		{"a foreign domain in mydestination", postfix, func(l *handLog) {
			l.line("09:00:00", "joe@gmail.com", "local", `unknown user: "joe"`)
		}, nil, "mydestination"},
		{"a foreign domain in virtual_mailbox_domains", postfix, func(l *handLog) {
			l.line("09:00:00", "joe@gmail.com", "virtual", `unknown user: "joe@gmail.com"`)
			l.line("09:01:00", "ann@yahoo.com", "error", "User unknown in virtual mailbox table")
		}, nil, "virtual_mailbox_domains"},
		{"a foreign domain in local_domains", exim, func(l *handLog) {
			l.line("09:00:00", "joe@gmail.com", "local", "Unknown user")
		}, nil, "local_domains"},
		{"a mailbox of one's own that took mail", postfix, func(l *handLog) {
			l.line("09:00:00", "joe@us.example", "local", "")
			l.line("2 09:00:00", "joe@us.example", "local", `unknown user: "joe"`)
		}, nil, "this server itself"},
		{"a smarthost that takes ten domains for its own", 0, func(l *handLog) {
			for i := range 10 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i), to, toISP, "")
				l.line(fmt.Sprintf("2 09:%02d:00", i), to, toISP, saidUnknownTable)
			}
		}, nil, "your smarthost"},
		{"a smarthost beside a store that takes far more, known by its address", 0, func(l *handLog) {
			each(40, "us.example", 8, func(clock, to string) { l.line(clock, to, toStore, "") })
			for i := range 4 {
				l.line(fmt.Sprintf("09:%02d:00", i), fmt.Sprintf("joe@d%d.example", i), "192.0.2.200[192.0.2.200]:25", "")
				l.line(fmt.Sprintf("2 09:%02d:00", i), fmt.Sprintf("eve@d%d.example", i), "192.0.2.200[192.0.2.200]:25", saidUnknownTable)
			}
		}, nil, "your smarthost"},
		{"a smarthost on the submission port", 0, func(l *handLog) {
			l.line("09:00:00", "joe@far.example", toISP587, saidUnknownTable)
		}, nil, "your smarthost"},
		{"a smarthost that failed for a while", 0, func(l *handLog) {
			for i := range 5 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i), to, toISP, "")
				l.line(fmt.Sprintf("2 09:%02d:00", i), to, toISP, saidUnknownTable)
				l.line(fmt.Sprintf("2 14:%02d:00", i), "x"+to, toISP, "")
			}
		}, nil, "your smarthost"},
		{"a smarthost that knows nobody for two hours, in domains that it takes mail for before and after", 0, func(l *handLog) {
			for i := range 5 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i), to, toISP, "")
				l.line(fmt.Sprintf("2 %02d:%02d:00", 10+i*25/60, i*25%60), "new"+to, toISP, saidUnknown)
				l.line(fmt.Sprintf("2 14:%02d:00", i), to, toISP, "")
			}
		}, nil, "of 5 domains"},
		{"dead addresses in a mailing over a smarthost", 0, func(l *handLog) {
			for i := range 5 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i), to, toISP, "")
				l.line(fmt.Sprintf("09:%02d:20", i), "new"+to, toISP, saidUnknown)
				l.line(fmt.Sprintf("09:%02d:40", i), "other"+to, toISP, "")
			}
		}, []string{"newjoe@d0.example", "newjoe@d1.example", "newjoe@d2.example", "newjoe@d3.example", "newjoe@d4.example"}, ""},
		{"a resolver that finds nothing", postfix, func(l *handLog) {
			for i := range 16 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i), to, "none", notFound(to))
			}
		}, nil, "resolver"},
		{"a resolver that finds nothing, slowly, beside mail to the own store", postfix, func(l *handLog) {
			for i := range 8 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("%02d:%02d:00", 9+i*20/60, i*20%60), to, "none", notFound(to))
				l.line(fmt.Sprintf("%02d:%02d:30", 9+i*20/60, i*20%60), "ann@us.example", toStore, "")
			}
		}, nil, "resolver"},
		{"a resolver that finds nothing for an hour", postfix, func(l *handLog) {
			l.line("08:59:00", "ann@firm.example", mx("@firm.example"), "")
			for i := range 6 {
				to := fmt.Sprintf("joe@d%d.example", i)
				l.line(fmt.Sprintf("09:%02d:00", i*9), to, "none", notFound(to))
			}
			l.line("10:00:00", "ann@firm.example", mx("@firm.example"), "")
		}, nil, "resolver"},
		{"routers that take nothing", exim, func(l *handLog) {
			for i := range 3 {
				l.line(fmt.Sprintf("09:%02d:00", i*9), fmt.Sprintf("joe@d%d.example", i), "none", unrouteable)
			}
		}, nil, "resolver"},
		{"a domain of one's own that no router takes", exim, func(l *handLog) {
			each(5, "us.example", 9, func(clock, to string) { l.line(clock, to, "none", unrouteable) })
		}, nil, "routers"},
		{"a domain that took mail and is not found now", postfix, func(l *handLog) {
			l.line("09:00:00", "ann@firm.example", mx("@firm.example"), "")
			l.line("2 09:00:00", "joe@firm.example", "none", notFound("@firm.example"))
		}, nil, "its domain took mail"},
		{"twenty of twenty at a domain within ten minutes", 0, func(l *handLog) {
			for i := range 20 {
				l.line(fmt.Sprintf("09:%02d:%02d", i/2, i%2*30), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), saidUnknown)
			}
		}, nil, "user table"},
		{"many addresses at a domain that took less the evening before", 0, func(l *handLog) {
			each(2, "firm.example", 20, func(clock, to string) { l.line(clock, "ok"+to, mx(to), "") })
			each(9, "firm.example", 9, func(clock, to string) { l.line("2 "+clock, to, mx(to), saidUnknown) })
		}, nil, "user table"},
		{"all of a domain that took mail before", 0, func(l *handLog) {
			each(4, "firm.example", 9, func(clock, to string) {
				l.line(clock, to, mx(to), "")
				l.line("2 "+clock, to, mx(to), saidUnknown)
			})
		}, nil, "user table"},
		{"a domain that moves for an hour: users known to be good and new ones", 0, func(l *handLog) {
			for i := range 4 {
				l.line(fmt.Sprintf("09:%02d:00", i*13), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), "")
			}
			for i := range 9 {
				l.line(fmt.Sprintf("2 11:%02d:00", i*6), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), saidUnknown)
			}
			l.line("2 15:51:00", "u0@firm.example", mx("@firm.example"), "")
		}, nil, ""},
		{"a domain that moves for an hour: users that were not mailed before", 0, func(l *handLog) {
			l.line("07:50:00", "ann@firm.example", mx("@firm.example"), "")
			for i := range 12 {
				l.line(fmt.Sprintf("11:%02d:00", i*4), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), saidUnknown)
			}
			l.line("13:40:00", "ann@firm.example", mx("@firm.example"), "")
		}, nil, "took no mail"},
		{"a domain that moves for an hour, right between mail that it takes", 0, func(l *handLog) {
			l.line("10:58:00", "ann@firm.example", mx("@firm.example"), "")
			for i := range 8 {
				l.line(fmt.Sprintf("11:%02d:00", i*7), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), saidUnknown)
			}
			l.line("11:55:00", "ann@firm.example", mx("@firm.example"), "")
		}, nil, "took no mail"},
		{"a domain that moves, to the end of the log", 0, func(l *handLog) {
			each(20, "firm.example", 20, func(clock, to string) { l.line(clock, "ok"+to, mx(to), "") })
			for i := range 9 {
				l.line(fmt.Sprintf("2 11:%02d:00", i*6), fmt.Sprintf("u%d@firm.example", i), mx("@firm.example"), saidUnknown)
			}
		}, nil, "no mail since"},
		{"both mailboxes of a domain that took mail before", 0, func(l *handLog) {
			each(2, "firm.example", 9, func(clock, to string) {
				l.line(clock, to, mx(to), "")
				l.line("2 "+clock, to, mx(to), saidUnknown)
			})
		}, nil, "user table"},
		{"all of a domain, which takes mail again", 0, func(l *handLog) {
			each(4, "firm.example", 9, func(clock, to string) {
				l.line(clock, to, mx(to), "")
				l.line("2 "+clock, to, mx(to), saidUnknown)
			})
			l.line("2 15:00:00", "ann@firm.example", mx("@firm.example"), "")
		}, nil, "user table"},
	} {
		for _, mta := range []int{postfix, exim} {
			if c.mta != 0 && c.mta != mta {
				continue
			}
			t.Run(fmt.Sprint(c.name, " ", []string{"", "Postfix", "Exim"}[mta]), func(t *testing.T) {
				t.Parallel()
				l := &handLog{exim: mta == exim, day: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
				c.log(l)
				lines := strings.SplitAfter(l.b.String(), "\n")
				slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:min(len(a), 19)], b[:min(len(b), 19)]) })
				if mta == postfix { // the name of the month sorts, the day is one digit or two
					lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
				}
				log := filepath.Join(t.TempDir(), "mail.log")
				if err := os.WriteFile(log, []byte(strings.Join(lines, "")), 0o600); err != nil {
					t.Fatal(err)
				}
				var stdout, stderr bytes.Buffer
				args := []string{"suppress", "--year", "2026", "--tz", "UTC", "--format", "json", log}
				if status := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); status != 0 {
					t.Fatalf("status %d, %s", status, &stderr)
				}
				var list struct {
					Suppress, Spared []struct{ Recipient, Why string }
				}
				if err := json.Unmarshal(stdout.Bytes(), &list); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, x := range list.Suppress {
					got = append(got, x.Recipient)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("suppressed %q, want %q; spared %+v\n%s", got, c.want, list.Spared, strings.Join(lines, ""))
				}
				if c.want == nil && len(list.Spared) == 0 {
					t.Errorf("no address is listed with why\n%s", strings.Join(lines, ""))
				}
				for _, x := range list.Spared {
					if !strings.Contains(x.Why, c.why) || x.Why == "" {
						t.Errorf("%s: %q, want %q in it", x.Recipient, x.Why, c.why)
					}
				}
			})
		}
	}
}

// TestSuppressSelected holds that what speaks against a fault counts also where it is not
// selected: one domain of many that a broken resolver does not find.
func TestSuppressSelected(t *testing.T) {
	l := &handLog{day: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	for i := range 5 {
		to := fmt.Sprintf("joe@d%d.example", i)
		l.line(fmt.Sprintf("09:%02d:00", i), to, "none", notFound(to))
	}
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, []byte(l.b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, selection := range [][]string{{"--domain", "d3.example"}, {"--reason", "domain_invalid"}, {"--outcome", "hard", "--domain", "d4.example"}} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"suppress", "--year", "2026", "--format", "list", log}, selection...)
		if status := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); status != 0 || stdout.Len() != 0 {
			t.Errorf("%q: status %d, %s%s", selection, status, &stdout, &stderr)
		}
	}
}
