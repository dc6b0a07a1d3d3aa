package problem_test

import (
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestBrokenOff holds when connections that break off while the message is sent are a fault of this side.
func TestBrokenOff(t *testing.T) {
	const gap = 6 * time.Minute
	taken := mail{outcome: good, code: 250, relay: "mx.d%d.example"}
	broken := mail{says: "conversation with mx.d%d.example[192.0.2.7] timed out while sending message body", local: true, stage: bounce.StageEOM, outcome: bounce.Soft, relay: "mx.d%d.example"}
	lost := mail{says: "Remote host closed connection in response to sending data block", local: true, stage: bounce.StageEOM, outcome: bounce.Soft, relay: "mx.d%d.example", exim: true}
	small := with(spread(60, 15, day, gap, taken), func(m *mail) { m.at, m.id = m.at+time.Minute, "T"+m.id })
	large := func(list []mail) []mail { // to other recipients of the same domains
		return with(list, func(m *mail) { m.to = "x" + m.to })
	}
	many := with(spread(300, 15, day, 2*time.Minute, taken), func(m *mail) { m.at, m.id = m.at+time.Minute, "M"+m.id })
	before := join(spread(60, 15, 0, gap, taken), large(spread(60, 15, 0, gap, taken)))
	again := func(list []mail) (all []mail) { // each message for two hours
		for i := range 6 {
			all = append(all, with(append([]mail{}, list...), func(m *mail) { m.at += time.Duration(i) * 20 * time.Minute })...)
		}
		return all
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  string // "": no problem
	}{
		{"large messages that no receiver gets", join(before, small, again(large(spread(20, 15, day, gap, broken)))), "20 of 56 messages to 15 domains fail while the message is sent: connections to many receivers break off after DATA"},
		{"the same with Exim", join(before, small, again(large(spread(20, 15, day, gap, lost)))), "20 of 56 messages to 15 domains fail while the message is sent"},
		{"some large messages among many small ones, for ten hours", join(before, many, again(large(spread(24, 12, day, 25*time.Minute, broken)))), "24 of 324 messages to 12 domains fail while the message is sent"},
		{"too few of them", join(before, many, again(large(spread(12, 12, day, 50*time.Minute, broken)))), ""},
		{"one receiver that breaks off", join(before, small, again(large(spread(20, 1, day, gap, broken)))), ""},
		{"large messages that pass soon", join(before, small, large(spread(20, 15, day, gap, broken)), with(large(spread(20, 15, day, gap, taken)), func(m *mail) { m.at += 5 * time.Minute })), ""},
		{"the same every day", join(before, again(large(spread(12, 12, 0, gap, broken))), small, again(large(spread(20, 15, day, gap, broken)))), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !found[0].Outage() || found[0].Cause != "network" || !strings.Contains(found[0].Summary, test.want)) {
				for _, p := range found {
					t.Errorf("found %s: %s", p.Cause, p.Summary)
				}
				t.Errorf("want %q", test.want)
			}
		})
	}
}
