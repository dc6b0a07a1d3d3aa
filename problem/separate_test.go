package problem_test

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

// TestSeparate holds that two sender domains that fail authentication from one day on are one incident
// as long as they go on or end together, and two once one of them gets its mail through.
func TestSeparate(t *testing.T) {
	const (
		shop   = "news@shop.example"
		club   = "board@club.example"
		google = "aspmx.l.google.com"
		other  = "mx.other.example"
	)
	spf := mail{says: "550 5.7.26 SPF check failed", outcome: bounce.Hard}
	taken := mail{outcome: good, code: 250}
	// mails returns four messages a day at google for the days from to to.
	mails := func(from string, since, until int, m mail) []mail {
		return with(daily(4, since, until, from, from[:2]+"%d@gmail.com", google, m), func(m *mail) { m.id += from })
	}
	week := join(mails(shop, 0, 7, taken), mails(club, 0, 7, taken))
	type answer struct {
		From    string
		Refused int
		Ongoing bool
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{"both go on", join(mails(shop, 7, 10, spf), mails(club, 7, 10, spf)), []answer{{"club.example shop.example", 24, true}}},
		{
			"both end together", join(mails(shop, 7, 9, spf), mails(club, 7, 9, spf), mails(shop, 9, 11, taken), mails(club, 9, 11, taken)),
			[]answer{{"club.example shop.example", 16, false}},
		},
		{
			"one is mended, the other goes on", join(mails(shop, 7, 8, spf), mails(club, 7, 11, spf), mails(shop, 8, 11, taken)),
			[]answer{{"club.example", 16, true}, {"shop.example", 4, false}},
		},
		{
			"one sends no more", join(mails(shop, 7, 8, spf), mails(club, 7, 10, spf)),
			[]answer{{"club.example shop.example", 16, true}},
		},
		{
			"one is mended, and another provider always took it",
			join(mails(shop, 7, 8, spf), mails(club, 7, 11, spf), with(daily(4, 8, 11, shop, "o%d@other.example", other, taken), func(m *mail) { m.id += "o" })),
			[]answer{{"club.example shop.example", 20, true}},
		},
		{
			"both are mended, one after the other", join(mails(shop, 7, 8, spf), mails(club, 7, 9, spf), mails(shop, 8, 11, taken), mails(club, 9, 11, taken)),
			[]answer{{"club.example", 8, false}, {"shop.example", 4, false}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsOf(t, join(week, test.mails)) {
				if p.Level == "confirmed" {
					got = append(got, answer{strings.Join(p.SenderDomains, " "), p.Messages, p.Ongoing})
				}
				if p.Ended != "" && p.EndedAt.Before(p.Until) {
					t.Errorf("%s: ended %v, refused until %v", p.Title, p.EndedAt, p.Until.Add(time.Second))
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
