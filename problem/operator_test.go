package problem_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
)

// TestOneOperator holds that two providers of one operator that begin to refuse for a bad reputation at the
// same time are one incident with one end; a refusal at one of them many hours before is none of it.
func TestOneOperator(t *testing.T) {
	for _, c := range []struct {
		name     string
		relays   []string
		early    time.Duration // before the other
		want     int
		messages int
	}{
		{"one operator", []string{"mx01.emig.gmx.net", "mx-ha03.web.de"}, 0, 1, 24},
		{"many hours apart", []string{"mx01.emig.gmx.net", "mx-ha03.web.de"}, 10 * time.Hour, 2, 12},
		{"two operators", []string{"mx01.emig.gmx.net", "mx02.t-online.de"}, 0, 2, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mails []mail
			for i, relay := range c.relays {
				to := func(n int) string { return fmt.Sprintf("u%d@c%d.example", n%9, i) }
				for n := range 150 {
					at := time.Duration(n) * time.Hour / 2
					refused := at >= day && at < day+12*time.Hour
					if i == 0 {
						refused = at >= day-c.early && at < day+12*time.Hour-c.early
					}
					m := mail{at: at + time.Duration(i)*time.Minute, id: fmt.Sprintf("O%d-%d", i, n), from: fmt.Sprintf("a@s%d.example", n%3), to: to(n), relay: relay, outcome: good, code: 250}
					if refused {
						m.outcome, m.code, m.reason = bounce.Hard, 554, bounce.Reputation
						if n%2 == 1 {
							continue
						}
					}
					mails = append(mails, m)
				}
			}
			slices.SortFunc(mails, func(a, b mail) int { return int(a.at - b.at) })
			found := slices.DeleteFunc(problemsOf(t, mails), func(p problem.Problem) bool { return p.Reason != bounce.Reputation })
			if len(found) != c.want || found[0].Messages != c.messages || found[0].Ongoing {
				t.Errorf("%d incidents, want %d: %+v", len(found), c.want, found)
			}
		})
	}
}
