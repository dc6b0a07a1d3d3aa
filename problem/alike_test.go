package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
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
