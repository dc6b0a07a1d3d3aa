package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestRewriting holds when refusals of forwarded mail mean that this server no longer rewrites its senders.
func TestRewriting(t *testing.T) {
	const gap = 6 * time.Minute
	const week = 7 * day
	forward := func(list []mail, rewritten bool) []mail { // mail of strangers to alumni, forwarded to Google
		n := 0
		return with(list, func(m *mail) {
			n++
			m.id, m.original, m.relay = "F"+m.id, fmt.Sprintf("a%d@alumni.example", n%6), "gmail-smtp-in.l.google.com"
			if m.from = fmt.Sprintf("s%d@home%d.example", n, n%20); rewritten {
				m.from = fmt.Sprintf("SRS0=ab1c=QZ=home%d.example=s%d@alumni.example", n%20, n)
			}
		})
	}
	refused := mail{says: "550 5.7.26 Your email has been blocked because the sender is unauthenticated", outcome: bounce.Hard, stage: bounce.StageEOM, to: "gmail.com"}
	taken := mail{outcome: good, code: 250, to: "gmail.com"}
	few := func(rewritten bool) (list []mail) { // two a day
		for i := range 7 {
			list = append(list, forward(spread(2, 1, time.Duration(i)*day+time.Hour, time.Hour, refused), rewritten)...)
		}
		return list
	}
	usual := forward(spread(300, 1, 0, week/300, taken), true)
	several := func(list []mail) []mail { // at four providers
		n := 0
		return with(list, func(m *mail) {
			if host := []string{"gmail-smtp-in.l.google.com", "mx.d1.example", "mx.d2.example", "mx.d3.example"}[n%4]; host[0] != 'g' {
				m.relay, m.to = host, host[3:]
			}
			n++
		})
	}
	plain := forward(spread(300, 1, 0, week/300, taken), false)
	t.Run("goes on", func(t *testing.T) { // for longer than the log before
		past := join(forward(spread(150, 1, 0, 4*day/150, taken), true), few(false)[:8])
		for days := 1; days <= 6; days++ {
			var found []string
			for _, p := range problemsOf(t, join(past, forward(spread(25*days, 1, 4*day+14*time.Hour, day/25, refused), false))) {
				found = append(found, fmt.Sprintf("%s, %d since %s", p.Cause, p.Messages, p.Began().Sub(begin)))
			}
			if want := fmt.Sprintf("rewriting, %d since 110h0m0s", 25*days); !slices.Contains(found, want) {
				t.Errorf("after %d days found %q, want %s", days, found, want)
			}
		}
	})
	for _, test := range []struct {
		name  string
		mails []mail
		found bool
	}{
		{"senders that are rewritten no more, none refused before", join(usual, forward(spread(30, 1, week, gap, refused), false)), true},
		{"the same, at several providers", join(usual, several(forward(spread(30, 1, week, gap, refused), false))), true},
		{"many refusals at several providers, of senders that never were rewritten", join(plain, few(false), several(forward(spread(30, 1, week, gap, refused), false))), true},
		{"many refusals at one provider, of senders that never were rewritten", join(plain, few(false), forward(spread(30, 1, week, gap, refused), false)), false},
		{"many refusals each day", join(plain, several(forward(spread(250, 1, 0, 40*time.Minute, refused), false))), false},
		{"many refusals of the mail of one sender domain", join(usual, with(forward(spread(30, 1, week, gap, refused), false), func(m *mail) { m.from = "news@shop.example" })), false},
		{"senders that are rewritten no more", join(usual, few(true), forward(spread(30, 1, week, gap, refused), false)), true},
		{"many refusals of senders that are rewritten", join(usual, few(true), forward(spread(30, 1, week, gap, refused), true)), false},
		{"senders that never were rewritten", join(few(false), forward(spread(30, 1, week, gap, refused), false)), false},
		{"a few without it", join(usual, few(true), forward(spread(6, 1, week, gap, refused), false)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			n := 0
			for _, p := range found {
				if p.Cause == "rewriting" {
					n++
					if p.Level != "likely" || p.Messages != 30 || !p.Homemade() || !strings.HasPrefix(p.Title, "forwarded mail, whose senders are "+map[bool]string{true: "not", false: "no longer"}[strings.Contains(test.name, "never")]+" rewritten (SRS), is refused at "+map[bool]string{true: "many providers", false: "Google"}[strings.Contains(test.name, "several")]) || !p.Since.Equal(begin.Add(week)) {
						t.Errorf("%s, %d messages since %s: %s", p.Level, p.Messages, p.Since, p.Title)
					}
				}
			}
			if want := map[bool]int{true: 1}[test.found]; n != want {
				t.Errorf("found %d, want %d", n, want)
			}
		})
	}
}
