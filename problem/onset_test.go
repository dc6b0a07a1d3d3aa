package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

// daily returns n messages a day to as many recipients, for the days from to to, with the outcome
// of m.
func daily(n, from, to int, sender, format, relay string, m mail) (list []mail) {
	for d := from; d < to; d++ {
		for i := range n {
			x := m
			x.at = time.Duration(d)*day + time.Duration(i)*11*time.Minute
			x.id, x.from, x.to, x.relay = fmt.Sprintf("D%s%s%d-%d", format[:2], relay, d, i), sender, fmt.Sprintf(format, i), relay
			list = append(list, x)
		}
	}
	return list
}

// TestOnset holds that an incident begins when its own providers begin to refuse mail, however long
// a small server has refused some mail for the same reason; and that title, course and evidence
// come from the same refusals.
func TestOnset(t *testing.T) {
	const (
		news  = "news@shop.example"
		large = "aspmx.l.google.com"
		small = "mx.small.example"
	)
	taken := mail{outcome: good, code: 250}
	spf := mail{says: "550 5.7.26 SPF check failed", outcome: bounce.Hard}
	listed := mail{says: "554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org", outcome: bounce.Hard}
	type answer struct {
		At     string
		Day    int // day of the onset
		Before string
		Onset  string
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{
			"a small server that always refuses, then a large provider",
			join(daily(1, 0, 10, news, "u%d@small.example", small, spf), daily(50, 0, 9, news, "u%d@gmail.com", large, taken), daily(50, 9, 10, news, "u%d@gmail.com", large, spf)),
			[]answer{{"google.com", 9, "0 of 450", "50 of 50"}, {"small.example", 0, "", "10 of 10"}},
		},
		{
			"the same with a blocklist",
			join(daily(1, 0, 10, news, "u%d@small.example", small, listed), daily(50, 0, 9, news, "u%d@gmail.com", large, taken), daily(50, 9, 10, news, "u%d@gmail.com", large, listed)),
			[]answer{{"google.com", 9, "0 of 450", "50 of 50"}, {"small.example", 0, "", "10 of 10"}},
		},
		{
			"two small servers are one incident",
			join(daily(1, 0, 10, news, "u%d@small.example", small, spf), daily(1, 4, 10, news, "u%d@tiny.example", "mx.tiny.example", spf)),
			[]answer{{"small.example tiny.example", 0, "", "16 of 16"}},
		},
		{
			"a large provider that was not mailed before: it began with the small one",
			join(daily(1, 0, 10, news, "u%d@small.example", small, spf), daily(50, 9, 10, news, "u%d@gmail.com", large, spf)),
			[]answer{{"google.com small.example", 0, "", "60 of 60"}},
		},
		{
			"a few at the provider itself, then all",
			join(daily(50, 0, 9, news, "u%d@gmail.com", large, taken), daily(1, 1, 9, news, "odd%d@gmail.com", large, spf), daily(50, 9, 10, news, "u%d@gmail.com", large, spf)),
			[]answer{{"google.com", 9, "8 of 458", "50 of 50"}},
		},
		{
			"one of the evening before, then all",
			join(daily(50, 0, 9, news, "u%d@gmail.com", large, taken), with(daily(1, 8, 9, news, "odd%d@gmail.com", large, spf), func(m *mail) { m.at += 3*time.Hour + time.Minute }), daily(50, 9, 10, news, "u%d@gmail.com", large, spf)),
			[]answer{{"google.com", 9, "1 of 451", "50 of 50"}},
		},
		{
			"a quarter of the mail, and a row of it is taken",
			join(daily(50, 0, 9, news, "u%d@gmail.com", large, taken),
				with(daily(50, 9, 12, news, "w%d@gmail.com", large, spf), func(m *mail) {
					if n := m.at % day / (11 * time.Minute); n%4 > 0 || m.at < 10*day && n > 12 {
						*m = mail{at: m.at, id: m.id, from: m.from, to: m.to, relay: m.relay, outcome: good, code: 250}
					}
				})),
			[]answer{{"google.com", 9, "0 of 450", "30 of 149"}},
		},
		{
			"as many at the next provider days later",
			join(daily(20, 0, 6, news, "u%d@gmail.com", large, spf), daily(20, 0, 3, news, "u%d@other.example", "mx.other.example", taken), daily(20, 3, 6, news, "u%d@other.example", "mx.other.example", spf)),
			[]answer{{"google.com other.example", 0, "", "180 of 240"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsOf(t, test.mails) {
				a := answer{At: strings.Join(p.Providers, " "), Day: int(p.Began().Sub(begin) / day)}
				if p.Before != nil && p.Before.Tried > 0 {
					a.Before = fmt.Sprintf("%d of %d", p.Before.Refused, p.Before.Tried)
				}
				if p.Onset != nil {
					a.Onset = fmt.Sprintf("%d of %d", p.Onset.Refused, p.Onset.Tried)
					if p.Onset.Refused != p.Messages {
						t.Errorf("%d messages in the headline, %d in the course", p.Messages, p.Onset.Refused)
					}
				}
				refused := 0
				for _, h := range p.Hours {
					refused += h.Refused
				}
				if refused != int(p.Attempts) {
					t.Errorf("%d attempts, %d by the hour", p.Attempts, refused)
				}
				for _, e := range p.Evidence {
					if e.Time.Before(p.Since) || e.Time.After(p.Until) {
						t.Errorf("evidence of %v in a problem from %v to %v", e.Time, p.Since, p.Until)
					}
					from := test.mails[slices.IndexFunc(test.mails, func(m mail) bool { return begin.Add(m.at).Equal(e.Time) && m.outcome != good })]
					if !strings.Contains(a.At, "google") && strings.Contains(from.relay, "google") {
						t.Errorf("evidence of %s in a problem at %s", from.relay, a.At)
					}
				}
				got = append(got, a)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
