package problem_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestUnownedDomains holds that two sender domains that are refused at once are two problems, each announced.
func TestUnownedDomains(t *testing.T) {
	var mails []mail
	for _, from := range []string{"info@a.example", "info@b.example", "info@office.example"} {
		last := mail{says: "550 5.7.60 SMTP; Client does not have permissions to send as this sender", outcome: bounce.Hard, stage: bounce.StageEOM}
		if from == "info@office.example" {
			last = mail{outcome: good, code: 250}
		}
		mails = append(mails, with(join(spread(60, 15, 0, 20*time.Minute, mail{outcome: good, code: 250}), spread(30, 15, day, 20*time.Minute, last)), func(m *mail) {
			m.id, m.from, m.relay, m.port = from+m.id, from, "smtp.relay.example", 587
		})...)
	}
	found := problemsOf(t, join(mails))
	if len(found) != 2 || found[0].ID == found[1].ID || slices.Equal(found[0].Keys(), found[1].Keys()) {
		for _, p := range found {
			t.Errorf("%s %v: %s", p.ID, p.Keys(), p.Summary)
		}
		t.Error("want two problems")
	}
}

// TestUnowned holds when refusals of one sender domain's mail at the relay host, or by this server itself, are an
// outage of that domain, and that it goes on while other mail passes.
func TestUnowned(t *testing.T) {
	const gap = 20 * time.Minute
	of := func(from string, list []mail) []mail {
		return with(list, func(m *mail) {
			m.id = from + m.id
			if m.from = from; !m.local && m.relay == "" {
				m.relay, m.port = "smtp.relay.example", 587
			}
		})
	}
	taken := mail{outcome: good, code: 250}
	notOwned := mail{says: "553 5.7.1 <info@solar.example>: Sender address rejected: not owned by user office", outcome: bounce.Hard, stage: bounce.StageMail}
	sendAs := mail{says: "550 5.7.60 SMTP; Client does not have permissions to send as this sender", outcome: bounce.Hard, stage: bounce.StageEOM}
	limit := mail{says: "Domain solar.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.", local: true, exim: true, outcome: bounce.Hard}
	before := join(of("info@solar.example", spread(60, 15, 0, gap, taken)), of("info@office.example", spread(60, 15, 0, gap, taken)))
	others := of("info@office.example", spread(60, 15, day, 10*time.Minute, taken))
	const at = " fail at the relay host smtp.relay.example:587, which does not accept the sender's address"
	for _, test := range []struct {
		name  string
		mails []mail
		want  string // "": no problem
	}{
		{"an address that the account does not own", join(before, others, of("info@solar.example", spread(30, 15, day, gap, notOwned))), "30 of 30 messages of solar.example to 15 domains" + at},
		{"another wording", join(before, others, of("info@solar.example", spread(30, 15, day, gap, sendAs))), "30 of 30 messages of solar.example to 15 domains" + at},
		{"a limit of this server for one customer", join(before, others, of("info@solar.example", spread(30, 15, day, gap, limit))), "30 of 30 messages of solar.example to 15 domains fail at a limit or suspension of the sending account"},
		{
			"a limit of this server, up to which mail passes", join(before, of("info@office.example", spread(60, 15, day, 10*time.Minute, taken)), of("info@solar.example", spread(10, 10, day, 2*time.Minute, limit)), of("shop@solar.example", spread(3, 3, day+time.Minute, 4*time.Minute, taken)), of("news@solar.example", spread(30, 15, day+time.Hour, gap, limit))),
			"40 of 43 messages of solar.example to 15 domains fail at a limit or suspension of the sending account",
		},
		{"one address of a domain", join(before, others, of("shop@solar.example", spread(12, 15, day, gap, sendAs)), of("info@solar.example", spread(24, 15, day+time.Minute, gap/2, taken))), ""},
		{"few messages to strangers", join(before, others, with(of("info@solar.example", spread(6, 6, day, gap, sendAs)), func(m *mail) { m.to = "new." + m.id[len(m.id)-1:] + ".example" })), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || found[0].Cause != "account" || !found[0].Ongoing || !found[0].Since.Equal(begin.Add(day)) || !strings.HasPrefix(found[0].Summary, test.want)) {
				for _, p := range found {
					t.Errorf("found %s, since %s, going on: %t: %s", p.Cause, p.Since, p.Ongoing, p.Summary)
				}
				t.Errorf("want %q", test.want)
			}
		})
	}
}
