package problem_test

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestMostly holds which incidents name one sender, login or client.
func TestMostly(t *testing.T) {
	const (
		news  = "newsletter@shop.example"
		yahoo = "mta5.am0.yahoodns.net"
		slow  = "421 4.7.0 [TSS04] Messages from 203.0.113.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
		spam  = "550 5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam, this message has been blocked."
	)
	// letters returns messages of one sender that are refused from the first day on, one a minute.
	letters := func(n int, from, relay string, m mail) (list []mail) {
		for i := range n {
			m.at, m.id, m.from, m.to, m.relay = 7*day+time.Duration(i)*time.Minute, fmt.Sprintf("L%s%d", from, i), from, fmt.Sprintf("r%d@yahoo.com", i), relay
			list = append(list, m)
		}
		return list
	}
	deferred := mail{says: slow, outcome: bounce.Soft, stage: bounce.StageMail}
	returned := mail{says: spam, outcome: bounce.Hard, stage: bounce.StageEOM}
	of := func(login string, m mail) mail { m.login = login; return m }
	by := func(client string, m mail) mail { m.client = client; return m }
	week := join(regular(12, 7, news, "u%d@yahoo.com", yahoo), regular(12, 8, "anna@office.example", "u%d@yahoo.com", yahoo))
	for _, test := range []struct {
		name  string
		mails []mail
		want  []*problem.Mostly
	}{
		{"a newsletter that is slowed down", join(letters(90, news, yahoo, deferred), letters(10, "anna@office.example", yahoo, deferred)), []*problem.Mostly{{Address: news, Messages: 90, Of: 100}}},
		{"a newsletter called spam", join(letters(90, news, yahoo, returned), letters(2, "anna@office.example", yahoo, returned)), []*problem.Mostly{{Address: news, Messages: 90, Of: 90}}},
		{"several senders", join(letters(40, news, yahoo, deferred), letters(30, "anna@office.example", yahoo, deferred)), []*problem.Mostly{nil}},
		{
			"one login, several senders",
			join(letters(40, news, yahoo, of("mailer", deferred)), letters(40, "shop@shop.example", yahoo, of("mailer", deferred)), letters(5, "anna@office.example", yahoo, of("anna", deferred))),
			[]*problem.Mostly{{Login: "mailer", Messages: 80, Of: 85}},
		},
		{
			"one of several clients, several senders",
			join(letters(40, news, yahoo, by("192.0.2.50", returned)), letters(40, "shop@shop.example", yahoo, by("192.0.2.50", returned)), letters(60, "mail@shop.example", yahoo, mail{outcome: good, code: 250}), letters(6, "mail@shop.example", "mx.else.example", by("192.0.2.51", mail{says: "550 5.1.1 User unknown", outcome: bounce.Hard, stage: bounce.StageRcpt}))),
			[]*problem.Mostly{{Client: "192.0.2.50", Messages: 80, Of: 80}},
		},
		{
			"the only client",
			join(letters(40, news, yahoo, by("192.0.2.50", returned)), letters(40, "shop@shop.example", yahoo, by("192.0.2.50", returned)), letters(60, "mail@shop.example", yahoo, mail{outcome: good, code: 250}), letters(6, "mail@shop.example", "mx.else.example", by("192.0.2.50", mail{says: "550 5.1.1 User unknown", outcome: bounce.Hard, stage: bounce.StageRcpt}))),
			[]*problem.Mostly{nil},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []*problem.Mostly
			for _, p := range problemsIn(t, logOf(t, join(week, test.mails)), store.Filter{Since: begin.Add(7*day - time.Hour)}) {
				if !p.Background {
					got = append(got, p.Sender)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
