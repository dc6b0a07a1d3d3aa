package problem_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/problem"
)

// TestUnproven holds which refusals of recipients who are not known to be valid are an incident: many with one reply,
// for hours, of a good part of the mail to a provider that usually takes it and still takes the rest.
func TestUnproven(t *testing.T) {
	const shop, relay = "orders@shop.example", "mx.sfr.fr"
	policy := mail{says: "554 5.0.0 Message refused by policy", stage: 0}
	spam := mail{says: "554 5.7.1 Message rejected: content looks like spam", stage: 0}
	taken := mail{outcome: good, code: 250}
	n := 0
	// once returns messages to somebody else each, one every gap.
	once := func(count int, at, gap time.Duration, domain string, m mail) (list []mail) {
		for i := range count {
			n++
			format := fmt.Sprintf("u%d-%%d@%s", n, domain)
			one := to(1, at+time.Duration(i)*gap, shop, format, relay)
			if m.outcome != good {
				one = refused(1, 1, at+time.Duration(i)*gap, shop, format, relay, m)
			}
			list = append(list, with(one, func(m *mail) { m.id = fmt.Sprint("O", n) })...)
		}
		return list
	}
	week := func(domain string) []mail { return once(70, 0, 2*time.Hour+20*time.Minute, domain, taken) }
	fault := func(m mail) []mail { return once(16, 7*day, 40*time.Minute, "sfr.fr", m) }
	half := once(16, 7*day+20*time.Minute, 40*time.Minute, "sfr.fr", taken)
	for _, test := range []struct {
		name  string
		mails []mail
		want  int // messages; 0: no incident
	}{
		{"half of the mail", join(week("sfr.fr"), fault(policy), half), 16},
		{"the same each day", join(week("sfr.fr"), once(60, day, 2*time.Hour+20*time.Minute, "sfr.fr", policy), fault(policy), half), 0},
		{"one mailing", join(week("sfr.fr"), once(16, 7*day, time.Minute, "sfr.fr", policy), once(16, 7*day+time.Second, time.Minute, "sfr.fr", taken)), 0},
		{"a tenth of the mail", join(week("sfr.fr"), fault(policy), once(144, 7*day, 4*time.Minute, "sfr.fr", taken)), 0},
		{"a few messages", join(week("sfr.fr"), once(8, 7*day, 80*time.Minute, "sfr.fr", policy), half), 0},
		{"without a past", join(fault(policy), half), 0},
		{"all mail", join(week("sfr.fr"), fault(policy)), 0},                                                                                 // report/unreached.go
		{"all mail to one domain", join(week("sfr.fr"), fault(policy), once(16, 7*day+20*time.Minute, 40*time.Minute, "neuf.fr", taken)), 0}, // report/parts.go
		{"several replies", join(week("sfr.fr"), slices.Concat(once(8, 7*day, 80*time.Minute, "sfr.fr", policy), once(8, 7*day+40*time.Minute, 80*time.Minute, "sfr.fr", mail{says: "550 5.7.1 Refused"})), half), 0},
		{"called spam, a few of many", join(week("sfr.fr"), once(9, 7*day, time.Hour, "sfr.fr", spam), half), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := slices.DeleteFunc(problemsOf(t, test.mails), func(p problem.Problem) bool { return p.Level == problem.Watch })
			if test.want == 0 && len(found) == 0 || len(found) == 1 && found[0].Messages == test.want && found[0].Level == problem.Likely {
				return
			}
			for i := range found {
				t.Errorf("found %s: %s", found[i].Level, found[i].Summary)
			}
			t.Errorf("want %d messages", test.want)
		})
	}
}
