package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestOwnRefusals holds which refusals by a next hop of this side, and which messages that this server itself
// cannot send, are an outage.
func TestOwnRefusals(t *testing.T) {
	const gap = 6 * time.Minute
	const week = 7 * day
	filter := func(m mail) mail {
		m.relay, m.address, m.port = "127.0.0.1", "127.0.0.1", 10024
		return m
	}
	gateway := func(m mail) mail {
		m.relay, m.address, m.to = "ex01.office.local", "10.1.1.5", "office.example"
		return m
	}
	taken := mail{outcome: good, code: 250}
	banned := filter(mail{says: "554 5.7.0 Reject, id=26248-16 - BANNED: .docx", outcome: bounce.Hard, stage: bounce.StageEOM})
	virus := filter(mail{says: "554 5.7.0 Reject, id=26248-16 - INFECTED: Win.Trojan", outcome: bounce.Hard, stage: bounce.StageEOM})
	tooLarge := gateway(mail{says: "552 5.3.4 Message size exceeds fixed limit", outcome: bounce.Hard, stage: bounce.StageEOM})
	spam := gateway(mail{says: "550 5.7.1 Message rejected as spam by Content Filtering.", outcome: bounce.Hard, stage: bounce.StageEOM})
	lines := mail{says: "message has lines too long for transport", local: true, outcome: bounce.Hard, exim: true}
	away := mail{outcome: good, code: 250, relay: "mx.d%d.example"}
	limit := mail{says: "message is too big (transport limit = 100K)", local: true, outcome: bounce.Hard, exim: true}
	usual := func(m mail, days int) []mail { return spread(60*days, 15, 0, day/60, m) }
	trickle := func(m mail, n int) (list []mail) { // n messages a day, over the week
		for i := range 7 {
			list = append(list, spread(n, 15, time.Duration(i)*day+time.Hour, 10*time.Minute, m)...)
		}
		return list
	}
	by := func(from string, list []mail) []mail {
		return with(list, func(m *mail) { m.from, m.id = from, "F"+m.id })
	}
	ofMany := func(list []mail) []mail {
		return with(list, func(m *mail) { m.from = fmt.Sprintf("p%s@office.example", m.id) })
	}
	later := func(n int) func(*mail) { return func(m *mail) { m.at += time.Duration(n) * time.Minute } }
	filtered, received := usual(filter(taken), 7), usual(gateway(taken), 7)
	part := func(m, passes mail) []mail { // a third of the mail of six hours
		return join(spread(30, 15, week, 2*gap, m), with(spread(60, 15, week, gap, passes), later(3)))
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  string // "": no problem
	}{
		{
			"a filter that returns a third of the mail", join(filtered, part(banned, filter(taken))),
			"30 of 88 messages to 15 domains fail at this server's own content filter 127.0.0.1:10024, which refuses part of what it gets (content refused)",
		},
		{
			"the same, after a few each day", join(filtered, trickle(banned, 2), part(banned, filter(taken))),
			"30 of 88 messages to 15 domains fail at this server's own content filter 127.0.0.1:10024",
		},
		{
			"a gateway with a new limit of the size", join(received, part(tooLarge, gateway(taken))),
			"30 of 88 messages to office.example fail at the next hop of this server, ex01.office.local, which refuses part of what it gets (message too large)",
		},
		{
			"the same, of a twentieth of the mail", join(received, ofMany(spread(12, 15, week, 5*gap, tooLarge)), spread(240, 15, week, gap/4, gateway(taken))),
			"12 of 233 messages to office.example fail at the next hop of this server, ex01.office.local, which refuses part of what it gets (message too large)",
		},
		{
			"a program that writes long lines", join(by("erp@office.example", usual(taken, 7)), usual(taken, 7), by("erp@office.example", spread(20, 15, week, gap, lines)), spread(60, 15, week, gap, taken)),
			"20 of 20 messages of <erp@office.example> to 15 domains fail at this server itself, which cannot send it (lines too long)",
		},
		{
			"a program whose mail needs SMTPUTF8", join(by("erp@office.example", usual(taken, 7)), usual(taken, 7), spread(60, 15, week, gap, taken),
				by("erp@office.example", spread(20, 15, week, gap, mail{says: "SMTPUTF8 is required, but was not offered by host mx.d%d.example[192.0.2.7]", local: true, outcome: bounce.Hard, relay: "mx.d%d.example", stage: bounce.StageHelo}))),
			"20 of 20 messages of <erp@office.example> to 15 domains fail at this server itself, which cannot send it (SMTPUTF8 not offered)",
		},
		{
			"a limit of an own transport", join(usual(away, 7), ofMany(spread(12, 15, week, 5*gap, limit)), spread(240, 15, week, gap/4, away)),
			"12 of 233 messages to 12 domains fail at this server itself, by a limit of its own (message larger than an own limit)",
		},
		{"a filter that returns a third of the mail each day", join(filtered, trickle(banned, 30), part(banned, filter(taken))), ""},
		{"a few each day", join(filtered, trickle(banned, 3)), ""},
		{"a wave of viruses", join(filtered, part(virus, filter(taken))), ""},
		{
			"a gateway that calls most mail spam", join(received, spread(90, 15, week, 2*gap/3, spam), spread(60, 15, week, gap, gateway(taken))),
			"90 of 150 messages to office.example fail at this server's own content filter ex01.office.local, which refuses most of what it gets (judged spam)",
		},
		{"a wave of spam of strangers", join(received, with(join(spread(90, 15, week, 2*gap/3, spam), spread(60, 15, week, gap, gateway(taken))), func(m *mail) {
			if m.outcome != good {
				m.from = fmt.Sprintf("x%s@wave%d.example", m.id, len(m.id)%3)
			}
		})), ""},
		{"a few large messages", join(received, spread(6, 15, week, gap, tooLarge), spread(60, 15, week, gap, gateway(taken))), ""},
		{"large messages each day", join(received, ofMany(trickle(tooLarge, 8)), ofMany(spread(12, 15, week, 5*gap, tooLarge)), spread(240, 15, week, gap/4, gateway(taken))), ""},
		{"a twentieth of the mail, of one sender", join(received, spread(12, 15, week, 5*gap, tooLarge), spread(240, 15, week, gap/4, gateway(taken))), ""},
		{"one long message of each of many people", join(usual(taken, 7), ofMany(spread(12, 15, week, 5*gap, lines)), spread(240, 15, week, gap/4, taken)), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !found[0].Outage() || !strings.Contains(found[0].Summary, test.want)) {
				for _, p := range found {
					t.Errorf("found %s: %s", p.Cause, p.Summary)
				}
				t.Errorf("want %q", test.want)
			}
		})
	}
}
