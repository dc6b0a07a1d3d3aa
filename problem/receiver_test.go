package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestReceiverAtFault holds which failures at a domain that took mail before are an incident of the
// receiver, and that nothing else is reported for them.
func TestReceiverAtFault(t *testing.T) {
	const gap = 20 * time.Minute
	others := spread(2*72, 15, 0, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	took := func(at time.Duration, n int) []mail {
		return spread(n, 1, at, gap, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"})
	}
	unknown := mail{says: "550 5.1.1 User unknown in virtual alias table", outcome: bounce.Hard, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	denied := mail{says: "554 5.7.1 <u1@partner.example>: Relay access denied", outcome: bounce.Hard, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	at := func(relay string, port uint16) func(*mail) { return func(m *mail) { m.relay, m.port = relay, port } }
	notFound := mail{says: "Host or domain name not found. Name service error for name=partner.example type=AAAA: Host not found", local: true, outcome: bounce.Hard, to: "partner.example"}
	unrouteable := mail{says: "Unrouteable address", local: true, exim: true, outcome: bounce.Hard, to: "partner.example"}
	full := mail{says: "552 5.2.2 <u1@partner.example>: Mailbox quota exceeded", outcome: bounce.Hard, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	fullFor := func(outcome bounce.Outcome, to string, n int, at time.Duration) []mail {
		m := full
		if m.outcome = outcome; outcome == bounce.Soft {
			m.says = "452 4.2.2 Mailbox is full"
		}
		m.to = to
		return spread(n, 1, at, gap, m)
	}
	hops := with(spread(6, 1, day, gap, full), func(m *mail) { m.says, m.stage = "554 5.4.6 Error: too many hops", bounce.StageEOM })
	turns := func(m mail) (all []mail) { // six recipients, refused and taken in turn
		for i := range 8 {
			n := time.Duration(i) * 2 * gap
			all = append(all, with(spread(3, 1, day+n, time.Minute, m), func(m *mail) { m.id += fmt.Sprint("R", i) })...)
			all = append(all, with(spread(3, 1, day+n+gap, time.Minute, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"}), func(m *mail) { m.id += fmt.Sprint("T", i) })...)
		}
		return all
	}
	says := func(outcome bounce.Outcome, reply string) mail {
		return mail{says: reply, outcome: outcome, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	}
	disabled := says(bounce.Soft, "451 4.7.1 Account temporarily suspended")
	other := func(m *mail) { m.to, m.id = strings.Replace(m.to, "partner", "second", 1), "O"+m.id }
	slow := func(m mail) []mail { return spread(12, 1, day, 30*time.Minute, m) }
	second := func(m *mail) {
		if m.outcome == bounce.Hard {
			m.relay, m.address = "mx2.partner.example", "192.0.2.2"
		}
	}
	quoted := func(m *mail) {
		m.says = "550 5.1.1 <" + m.to + ">: Recipient address rejected: undeliverable address: host mail.partner.example[192.0.2.9] said: 550 5.1.1 User unknown in virtual mailbox table (in reply to RCPT TO command)"
	}
	strangers := func(m *mail) { m.to, m.id = "x"+m.to, "X"+m.id }
	domains := func(n int, m mail) (all []mail) {
		for i := range n {
			m.to = fmt.Sprintf("p%d.example", i)
			m.says = strings.Replace(notFound.says, "partner.example", m.to, 1)
			all = append(all, spread(4, 1, day, gap, m)...)
			all = append(all, spread(4, 1, 0, gap, mail{outcome: good, code: 250, to: m.to, relay: "mx." + m.to})...)
		}
		return all
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  string // level, cause and title; "": nothing
	}{
		{"a user table that is lost", join(took(0, 12), spread(6, 1, day, gap, unknown)), "likely user_table: partner.example refuses recipients who took mail before as unknown: its user table may be at fault"},
		{"a user table that is lost and comes back", join(took(0, 12), spread(12, 1, day, gap, unknown), took(day+6*time.Hour, 12)), "likely user_table: partner.example refuses"},
		{"a user table that lost some mailboxes", join(took(0, 12), spread(6, 1, day, gap, unknown), with(took(day+10*time.Minute, 6), strangers)), ""},
		{"two people who left", join(took(0, 12), with(spread(6, 1, day, gap, unknown), func(m *mail) {
			if m.to > "u1@" {
				m.to = "u1@partner.example"
			}
		})), ""},
		{"a user table that is lost, behind a relay host that asks the server", join(with(join(took(0, 12), with(spread(6, 1, day, gap, unknown), quoted)), at("smtp.provider.example", 587))), "likely user_table: partner.example refuses recipients who took mail before as unknown: its user table may be at fault"},
		{"a relay host that calls recipients unknown itself", join(with(join(took(0, 12), spread(6, 1, day, gap, unknown)), at("smtp.provider.example", 587))), ""},
		{"dead addresses behind a relay host that asks the server", join(with(join(took(0, 12), with(spread(6, 1, day, gap, unknown), quoted), with(took(day+10*time.Minute, 6), strangers)), at("smtp.provider.example", 587))), ""},
		{"addresses that never took mail", join(took(0, 12), with(spread(9, 1, day, gap, unknown), strangers)), ""},
		{"a list with many dead addresses", join(took(0, 12), spread(3, 1, day, gap, unknown), with(spread(9, 1, day+10*time.Minute, gap, unknown), strangers)), ""},
		{"a domain that its server does not serve any more", join(took(0, 12), spread(6, 1, day, gap, denied)), "likely domain_not_hosted: partner.example refuses all mail as for a domain that is not its own, though it took mail before"},
		{"a domain that its server does not serve, in other words", join(took(0, 12), with(spread(6, 1, day, gap, denied), func(m *mail) { m.says = "550 5.1.2 domain not hosted here" })), "likely domain_not_hosted: "},
		{"a domain that its server serves again", join(took(0, 12), spread(6, 1, day, gap, denied), took(day+6*time.Hour, 12)), "likely domain_not_hosted: "},
		{"a domain whose server refuses some recipients as not its own", join(took(0, 12), spread(6, 1, day, gap, denied), with(took(day+10*time.Minute, 6), strangers)), ""},
		{"a domain that its server never served", join(took(0, 12), with(spread(9, 1, day, gap, denied), strangers)), ""},
		{"a domain that a server asks a login for", join(took(0, 12), with(spread(6, 1, day, gap, denied), func(m *mail) { m.says = "530 5.7.0 Authentication required" })), ""},
		{"a domain that a submission server refuses", join(took(0, 12), with(spread(6, 1, day, gap, denied), at("smtp.campus.example", 587))), "confirmed login: "},
		{"a domain that the relay host of all mail refuses", join(with(join(others, took(0, 12)), at("relay.campus.example", 25)), with(spread(6, 1, day, gap, denied), at("relay.campus.example", 25))), ""},
		{"a domain that has expired, by Postfix", join(took(0, 12), spread(5, 1, day, gap, notFound)), "likely domain_not_found: partner.example is not found in the DNS, though it took mail before"},
		{"a domain that has expired, by Exim", join(took(0, 12), spread(5, 1, day, gap, unrouteable)), "likely domain_not_found: partner.example is not found in the DNS"},
		{"a domain that has expired, by Exim, other recipients", join(took(0, 12), with(spread(5, 1, day, gap, unrouteable), strangers)), "likely domain_not_found: partner.example is not found in the DNS"},
		{"people who left, found by one newsletter", join(took(0, 12), spread(6, 1, day, time.Minute, unknown)), ""},
		{"a dead domain, found by one newsletter", join(took(0, 12), spread(6, 1, day, time.Minute, notFound)), ""},
		{"a domain that never took mail", spread(9, 1, day, gap, notFound), ""},
		{"a domain that is not found now and then", join(took(0, 90), with(spread(4, 1, day, gap, notFound), func(m *mail) { m.id = "N" + m.id })), ""},
		{"a domain of one's own that no router knows", join(with(took(0, 12), func(m *mail) { m.relay = "" }), spread(5, 1, day, gap, unrouteable)), "likely router: "},
		{"a store that is full", join(took(0, 12), spread(6, 1, day, gap, full)), "likely storage_full: partner.example says that the mailboxes of recipients who took mail before are full, and takes no mail: its storage may be full"},
		{"a store that is full and defers", join(took(0, 12), fullFor(bounce.Soft, "partner.example", 6, day)), "likely storage_full: "},
		{"a store that is full and has room again", join(took(0, 12), spread(6, 1, day, gap, full), took(day+6*time.Hour, 12)), "likely storage_full: "},
		{"two full mailboxes", join(took(0, 12), with(spread(6, 1, day, gap, full), func(m *mail) {
			if m.to > "u1@" {
				m.to = "u1@partner.example"
			}
		})), ""},
		{"full mailboxes while others take mail", join(took(0, 12), spread(6, 1, day, gap, full), with(took(day+10*time.Minute, 6), strangers)), ""},
		{"full mailboxes of a large provider", join(with(took(0, 12), func(m *mail) {
			m.to, m.relay = strings.Replace(m.to, "partner.example", "gmail.com", 1), "gmail-smtp-in.l.google.com"
		}),
			with(fullFor(bounce.Hard, "gmail.com", 6, day), func(m *mail) { m.relay = "gmail-smtp-in.l.google.com" })), ""},
		{"mailboxes that were full before, in a night without other mail", join(took(0, 12), with(join(fullFor(bounce.Soft, "partner.example", 4, day), fullFor(bounce.Soft, "partner.example", 4, day+4*time.Hour)), func(m *mail) { m.id = "W" + m.to }),
			with(took(day+10*time.Minute, 6), strangers)), ""},
		{"a mail loop of the receiver", join(took(0, 12), hops), "likely mail_refused: partner.example refuses all mail, though it took mail before: mail loop"},
		{"a mail loop of some recipients", join(took(0, 12), hops, with(took(day+10*time.Minute, 6), strangers)), ""},
		{"a loss of TLS that defers", join(took(0, 12), slow(says(bounce.Soft, "454 4.7.0 TLS not available due to local problem"))), "likely mail_refused: partner.example defers all mail, though it took mail before: no acceptable TLS"},
		{"a server that asks for TLS", join(took(0, 12), spread(6, 1, day, gap, says(bounce.Hard, "530 5.7.0 Must issue a STARTTLS command first"))), "likely mail_refused: partner.example refuses all mail, though it took mail before: it asks for TLS"},
		{"a user table that is lost and defers", join(took(0, 12), slow(says(bounce.Soft, "450 4.1.1 User unknown"))), "likely user_table: partner.example defers mail to recipients who took mail before as unknown"},
		{"a user table that defers for an hour", join(took(0, 12), spread(6, 1, day, gap, says(bounce.Soft, "450 4.1.1 User unknown"))), ""},
		{"mailboxes that are all disabled, and defer", join(took(0, 12), slow(says(bounce.Soft, "450 4.2.1 mailbox temporarily disabled"))), "likely user_table: partner.example defers "},
		{"a server that takes each address for a wrong one", join(took(0, 12), spread(6, 1, day, gap, says(bounce.Hard, "553 5.1.3 Invalid address"))), "likely mail_refused: partner.example refuses all mail, though it took mail before: malformed address"},
		{"a limit of size that refuses all mail", join(took(0, 12), slow(says(bounce.Hard, "552 5.3.4 Message size exceeds fixed limit"))), "likely mail_refused: partner.example refuses all mail, though it took mail before: message too large"},
		{"a few large messages", join(took(0, 12), spread(6, 1, day, time.Hour, says(bounce.Hard, "552 5.3.4 Message size exceeds fixed limit"))), ""},
		{"a scanner that finds a virus in all mail", join(took(0, 12), slow(says(bounce.Hard, "550 5.7.1 Message contains a virus or other harmful content"))), "likely mail_refused: partner.example refuses all mail, though it took mail before: content"},
		{"a relay host that says so of two domains", join(took(0, 12), with(took(0, 12), other), slow(disabled), with(slow(disabled), other)), ""},
		{"a scanner that finds a virus in some mail", join(took(0, 12), slow(says(bounce.Hard, "550 5.7.1 Message contains a virus or other harmful content")), with(took(day+10*time.Minute, 6), strangers)), ""},
		{"one of two servers that does not serve the domain", join(took(0, 12), turns(denied)), "likely domain_not_hosted: partner.example refuses part of the mail as for a domain that is not its own"},
		{"one of two servers, which is named", join(took(0, 12), with(turns(denied), second)), "likely domain_not_hosted: partner.example refuses part of the mail as for a domain that is not its own: mx2.partner.example refuses it"},
		{"one of two addresses of a name", join(took(0, 12), with(turns(denied), func(m *mail) { second(m); m.relay = "mx.partner.example" })), "likely domain_not_hosted: partner.example refuses part of the mail as for a domain that is not its own: 192.0.2.2 refuses it"},
		{"one of two servers without a user table", join(took(0, 12), turns(unknown)), "likely user_table: partner.example refuses part of the mail to recipients who take mail as unknown"},
		{"many domains that are not found", domains(6, notFound), "likely resolver: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range problemsOf(t, join(others, test.mails)) {
				if p.Level == problem.Watch {
					continue
				}
				got = append(got, fmt.Sprintf("%s %s: %s", p.Level, p.Cause, p.Title))
				if receiver := p.Cause == "user_table" || p.Cause == "storage_full" || p.Cause == "mail_refused" || strings.HasPrefix(p.Cause, "domain_not_"); receiver && !strings.HasSuffix(p.Title, "asks for TLS") != (p.WhoActs() == bounce.ScopeRemote) || p.Why == "" || p.FirstCheck == "" || strings.Contains(strings.ReplaceAll(p.FirstCheck, "NXDOMAIN", ""), "DOMAIN") || strings.Contains(p.FirstCheck, "NXp") || strings.Contains(p.FirstCheck, "{") || len(p.Evidence) == 0 || receiver == p.Homemade() {
					t.Errorf("%+v", p)
				}
			}
			if all := strings.Join(got, "\n"); !strings.HasPrefix(all, test.want) || (all == "") != (test.want == "") || len(got) > 1 {
				t.Errorf("%q, want %q", all, test.want)
			}
		})
	}
}

// TestReceiverWithoutMail holds that a domain without mail for longer than a window, as at a weekend,
// is one incident, and that it is two if it took mail in between.
func TestReceiverWithoutMail(t *testing.T) {
	const gap = 20 * time.Minute
	others := spread(5*72, 15, 0, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	took := func(at time.Duration) []mail {
		return spread(12, 1, at, gap, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"})
	}
	for cause, m := range map[string]mail{
		"domain_not_found":  {says: "Host or domain name not found. Name service error for name=partner.example type=AAAA: Host not found", local: true},
		"user_table":        {says: "550 5.1.1 User unknown", relay: "mx.partner.example", stage: bounce.StageRcpt},
		"domain_not_hosted": {says: "554 5.7.1 Relay access denied", relay: "mx.partner.example", stage: bounce.StageRcpt},
	} {
		m.outcome, m.to = bounce.Hard, "partner.example"
		pieces := join(took(0), spread(4, 1, day, gap, m), spread(4, 1, 2*day+6*time.Hour, gap, m))
		for want, mails := range map[int][]mail{1: pieces, 2: join(pieces, took(day+12*time.Hour))} {
			found := slices.DeleteFunc(problemsOf(t, join(others, mails)), func(p problem.Problem) bool { return p.Cause != cause })
			if len(found) != want || want == 1 && (found[0].Messages != 8 || !found[0].Since.Equal(begin.Add(day))) {
				t.Errorf("%s: %d incidents, want %d: %+v", cause, len(found), want, found)
			}
		}
	}
}

// TestReceiverCourse holds the figures and the end of an incident of the receiver, and that
// recipients who are unknown for more than three days are believed to be.
func TestReceiverCourse(t *testing.T) {
	const gap = 20 * time.Minute
	others := spread(6*72, 15, 0, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	took := func(at time.Duration, n int) []mail {
		return spread(n, 1, at, gap, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"})
	}
	unknown := mail{says: "550 5.1.1 User unknown", outcome: bounce.Hard, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	back := logOf(t, join(others, took(0, 12), spread(9, 1, day, gap, unknown), took(day+6*time.Hour, 12)))
	p := problemsIn(t, back, store.Filter{})[0]
	if p.Ongoing || !p.Since.Equal(begin.Add(day)) || !p.EndedAt.Equal(begin.Add(day+6*time.Hour)) || p.Messages != 9 || p.Returned != 9 || p.Valid() != 9 || p.Onset.Tried != 9 || p.Before.Tried != 12 || p.Effect != problem.EffectReturned {
		t.Errorf("%+v", p)
	}
	during := problemsIn(t, back, store.Filter{Since: begin, Until: begin.Add(day + 2*time.Hour)})
	if len(during) != 1 || !during[0].Ongoing || during[0].ID != p.ID || during[0].Messages != 6 {
		t.Errorf("%+v", during)
	}
	for hours, want := range map[int]string{2 * 24: "its user table may be at fault", 4 * 24: "their addresses are no longer valid"} {
		found := slices.DeleteFunc(problemsOf(t, join(others[:72+3*hours], took(0, 12), spread(hours, 1, day, time.Hour, unknown))), func(p problem.Problem) bool { return p.Cause != "user_table" })
		if len(found) != 1 || !found[0].Ongoing || found[0].ID != p.ID || found[0].Messages != hours || !strings.HasSuffix(found[0].Title, want) {
			t.Errorf("%d hours: %+v, want %q", hours, found, want)
			continue
		}
		if you := found[0].WhoActs() == bounce.ScopeSender; you != strings.Contains(found[0].FirstCheck, "Correct the old ones") {
			t.Errorf("%d hours: who acts: %v, check %q", hours, found[0].WhoActs(), found[0].FirstCheck)
		}
	}
	full := mail{says: "552 5.2.2 Mailbox quota exceeded", outcome: bounce.Hard, to: "partner.example", relay: "mx.partner.example", stage: bounce.StageRcpt}
	for _, p := range problemsOf(t, join(others, took(0, 12), spread(4*24, 1, day, time.Hour, full))) {
		if p.Cause == "storage_full" && (!p.Ongoing || p.Messages != 4*24 || p.WhoActs() != bounce.ScopeRemote) {
			t.Errorf("%+v", p)
		}
	}
}
