package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestFloodOfOneMailbox holds that much more mail than usual of one sender to one mailbox, which its provider
// defers, is a fault of this side, whether it waits still or was delivered; and that the usual mail of a
// sender, the mail of many senders to one mailbox, and that of one sender to many mailboxes are none.
func TestFloodOfOneMailbox(t *testing.T) {
	const limit = "450-4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered."
	one := func(id string, n int, at time.Duration, change func(i int, m *mail)) (list []mail) {
		for i := range n {
			m := mail{
				id: fmt.Sprint(id, i), at: at + time.Duration(i)*20*time.Second, from: "nagios@shop.example", to: "admin@gmail.com",
				relay: "gmail-smtp-in.l.google.com", outcome: bounce.Soft, says: limit,
			}
			if change != nil {
				change(i, &m)
			}
			list = append(list, m)
		}
		return list
	}
	taken := func(i int, m *mail) { m.outcome, m.says, m.code = good, "", 250 }
	daily := func(n int, change func(int, *mail)) (list []mail) {
		for d := range 8 {
			list = append(list, one(fmt.Sprint("D", d, "-"), n, time.Duration(d)*day, change)...)
		}
		return list
	}
	others := spread(10*24, 15, 0, time.Hour, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	flood := func(change func(int, *mail)) []mail {
		return join(one("F", 300, 8*day, change), one("F", 300, 8*day+2*time.Hour, change))
	}
	for _, test := range []struct {
		name    string
		mails   []mail
		want    bool
		waiting int
		ongoing bool
	}{
		{"it waits", join(daily(2, taken), flood(nil)), true, 300, true},
		{"it was delivered", join(daily(2, taken), flood(nil), one("F", 300, 8*day+4*time.Hour, taken)), true, 0, false},
		{"a log that begins with it", with(flood(nil), func(m *mail) { m.at -= 8 * day }), true, 300, false},
		{"the usual mail", join(daily(300, nil), flood(nil)), false, 0, false},
		{"a few messages", one("F", 40, 8*day, nil), false, 0, false},
		{"many senders", flood(func(i int, m *mail) { m.from = fmt.Sprintf("u%d@shop.example", i%30) }), false, 0, false},
		{"many mailboxes", flood(func(i int, m *mail) { m.to = fmt.Sprintf("u%d@gmail.com", i%30) }), false, 0, false},
		{"many notifications to a forged sender", flood(func(i int, m *mail) { m.nullFrom = true }), false, 0, false},
	} {
		last := spread(1, 1, 8*day+4*time.Hour+2*time.Hour, time.Hour, mail{outcome: good, code: 250, to: "z.example", relay: "mx.z.example"})
		var log []mail
		for _, m := range join(others, test.mails, last) {
			if m.at <= last[0].at {
				log = append(log, m)
			}
		}
		var found *problem.Problem
		for _, p := range problemsIn(t, logOf(t, log), store.Filter{}) {
			if p.Cause == "mailbox_flood" {
				found = &p
			}
		}
		switch {
		case (found != nil) != test.want:
			t.Errorf("%s: %+v", test.name, found)
		case found == nil:
		case found.Messages != 300 || found.Attempts != 600 || found.Waiting != test.waiting || found.Ongoing != test.ongoing || found.WhoActs() != bounce.ScopeSender || !found.Homemade() || found.Background ||
			found.Title != "the sender <nagios@shop.example> floods the mailbox <admin@gmail.com>" || strings.Join(found.Providers, " ") != "google.com":
			t.Errorf("%s: %+v", test.name, found)
		}
	}
}
