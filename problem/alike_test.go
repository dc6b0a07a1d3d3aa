package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
)

// TestAlike holds that the refusals of one provider with the same reply are one incident, also those of a
// sender domain that wrote too little to stand out, unless other mail of it is taken meanwhile.
func TestAlike(t *testing.T) {
	const relay = "mx.partner.example"
	senders := []string{"anna@nord.example", "news@shop.example", "board@verein.example"}
	say := func(n int, from int, at time.Duration, outcome bounce.Outcome, says string) (list []mail) {
		for i := range n {
			list = append(list, mail{
				at: 8*day + at + time.Duration(i)*20*time.Minute, id: fmt.Sprint("A", from, at, i), from: senders[from], to: fmt.Sprintf("u%d@partner.example", i%6), relay: relay,
				outcome: outcome, code: 250, says: says, stage: bounce.StageEOM,
			})
		}
		return list
	}
	var week []mail
	for i, from := range senders {
		week = join(week, with(regular(6, 7, from, "u%d@partner.example", relay), func(m *mail) { m.id += fmt.Sprint(i) }))
	}
	const (
		policy = "550 5.7.1 Message rejected due to local policy"
		spam   = "554 5.7.1 Message rejected: scored as spam by our filter"
	)
	for _, test := range []struct {
		name       string
		mails      []mail
		title      string
		messages   int
		tried      int
		firstCheck string
	}{
		{"a few of a third sender domain", join(say(8, 0, 0, bounce.Hard, policy), say(6, 1, time.Minute, bounce.Hard, policy), say(2, 2, 2*time.Hour, bounce.Hard, policy)), "partner.example refuses nord.example, shop.example and verein.example: no cause named", 16, 16, "Ask the postmaster of the receiver"},
		{"a last one hours later", join(say(8, 0, 0, bounce.Hard, policy), say(6, 1, time.Minute, bounce.Hard, policy), say(1, 2, 9*time.Hour, bounce.Hard, policy)), "partner.example refuses nord.example, shop.example and verein.example: no cause named", 15, 15, "Ask the postmaster of the receiver"},
		{"mail of the third is taken", join(say(8, 0, 0, bounce.Hard, policy), say(6, 1, time.Minute, bounce.Hard, policy), say(2, 2, 2*time.Hour, bounce.Hard, policy), say(4, 2, time.Minute, good, "")), "partner.example refuses nord.example and shop.example: no cause named", 14, 14, "Ask the postmaster of the receiver"},
		{"all are called spam", join(say(8, 0, 0, bounce.Hard, spam), say(6, 1, time.Minute, bounce.Hard, spam), say(2, 2, 2*time.Hour, bounce.Hard, spam)), "partner.example refuses nord.example, shop.example and verein.example: called spam", 16, 16, "What all this mail has in common"},
		{"one is called spam often", join(say(14, 0, 0, bounce.Hard, spam), say(6, 1, time.Minute, bounce.Hard, spam), say(2, 2, 2*time.Hour, bounce.Hard, spam)), "partner.example refuses nord.example, shop.example and verein.example: called spam", 22, 22, "Whose messages these are"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, join(week, test.mails))
			if len(found) == 0 {
				t.Fatal("no incident")
			}
			p := found[0]
			if p.Title != test.title || p.Messages != test.messages || p.Onset == nil || p.Onset.Tried != test.tried || !strings.HasPrefix(p.FirstCheck, test.firstCheck) {
				t.Errorf("%q, %d messages, %v, check %q", p.Title, p.Messages, p.Onset, p.FirstCheck)
			}
		})
	}
}

// TestHostedFilter holds that a sender domain that a hosted filter refuses at few recipients of many of its
// customers is one incident, but not if the filter takes most of its mail.
func TestHostedFilter(t *testing.T) {
	const relay = "eu-smtp-inbound-1.mimecast.com"
	mails := func(from string, at time.Duration, n int, refused func(int) bool) (list []mail) {
		for i := range n {
			m := mail{at: at + time.Duration(i)*40*time.Minute, id: fmt.Sprint("H", from, at, i), from: from, to: fmt.Sprintf("%s%d@customer%d.example", from[:4], i%2, i%10), relay: relay, outcome: good, code: 250}
			if refused(i) {
				m.outcome, m.says, m.stage = bounce.Hard, "554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554", bounce.StageEOM
			}
			list = append(list, m)
		}
		return list
	}
	none, all := func(int) bool { return false }, func(int) bool { return true }
	var week []mail
	for d := range 7 {
		week = join(week, mails("news@shop.example", time.Duration(d)*day, 20, none), mails("anna@nord.example", time.Duration(d)*day, 20, none))
	}
	for _, test := range []struct {
		name    string
		refused func(int) bool
		want    int
	}{
		{"all of its mail", all, 1},
		{"one message in twenty", func(i int) bool { return i == 7 }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, join(week, mails("news@shop.example", 8*day, 20, test.refused), mails("anna@nord.example", 8*day, 20, none)))
			n := 0
			for _, p := range found {
				if p.Level == problem.Likely {
					n++
				}
			}
			if n != test.want || n == 1 && (found[0].Title != "Mimecast refuses shop.example: no cause named" || found[0].Messages != 20 || len(found) != 1) {
				t.Errorf("%d incidents, of %d problems, the first: %q, %d messages", n, len(found), found[0].Title, found[0].Messages)
			}
		})
	}
}
