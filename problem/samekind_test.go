package problem_test

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestEndOfSameKind holds that other mail of the same sender domain than the refused mail shows no end.
func TestEndOfSameKind(t *testing.T) {
	const (
		office = "anna@shop.example"
		user   = "u%d@big.example"
		relay  = "mx.big.example"
	)
	spf := mail{says: "550 5.7.23 SPF validation failed", outcome: bounce.Hard}
	on := func(host string, list []mail) []mail { return with(list, func(m *mail) { m.host = host }) }
	verp := func(list []mail) []mail {
		return with(list, func(m *mail) { m.from = fmt.Sprintf("bounce+%s=big.example@shop.example", m.id) })
	}
	news := func(at time.Duration) []mail { return verp(refused(40, 40, at, "", user, relay, spf)) }
	for _, test := range []struct {
		name  string
		mails []mail
		ended string
	}{
		{"the newsletter is refused, and the letters of the office are taken since", join(news(day), to(30, day+2*time.Hour, office, user, relay)), ""},
		{"also of their own during that time", join(news(day), to(9, day, office, user, relay), to(30, day+2*time.Hour, office, user, relay)), ""},
		{"after two days without", join(news(day), to(90, day+2*time.Hour, office, user, relay), to(3, 4*day, "else@other.example", "e%d@else.example", "mx.else.example")), "no refusal since, and too little mail of the same host or sender to tell"},
		{"the next newsletter is taken", join(news(day), to(9, day+2*time.Hour, office, user, relay), verp(to(30, day+3*time.Hour, "", user, relay))), "30 messages taken since"},
		{"letters were refused as well", join(news(day), refused(9, 9, day+time.Minute, office, "v%d@big.example", relay, spf), to(30, day+2*time.Hour, office, user, relay)), "30 messages taken since"},
		{
			"all mail of one host is refused, and that of the other is taken",
			join(on("out2", refused(40, 40, day, office, user, relay, spf)), on("out1", to(40, day, office, user, relay)), on("out1", to(90, day+2*time.Hour, office, user, relay))), "",
		},
		{
			"the host's mail is taken again",
			join(on("out2", refused(40, 40, day, office, user, relay, spf)), on("out1", to(40, day, office, user, relay)), on("out2", to(90, day+2*time.Hour, office, user, relay))), "90 messages taken since",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := problemsOf(t, test.mails)
			if len(list) == 0 {
				t.Fatal("no problem")
			}
			if p := &list[0]; p.Ended != test.ended || p.Ongoing != (test.ended == "") || p.SendAgain() != !p.EndedAt.IsZero() {
				t.Errorf("%s: going on %t, ended %q at %v", p.Title, p.Ongoing, p.Ended, p.EndedAt)
			}
		})
	}
}
