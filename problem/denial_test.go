package problem_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// shop returns four days of mail to providers in turn, a message every six minutes, each to another
// recipient. One in fifty is unknown; answers returns another reply, or "" to take the message.
func shop(answers func(provider string, at time.Duration, n int) string) (list []mail) {
	relays := []string{"mx00.emig.gmx.net", "mx-ha03.web.de", "gmail-smtp-in.l.google.com", "mx01.t-online.de", "mx1.mail.icloud.com"}
	domains := []string{"gmx.de", "web.de", "gmail.com", "t-online.de", "icloud.com"}
	for i := range 4 * 240 {
		n, at := i%len(relays), time.Duration(i)*6*time.Minute
		m := mail{at: at, id: fmt.Sprint("S", i), from: "order@shop.example", to: fmt.Sprintf("u%d@%s", i, domains[n]), relay: relays[n], outcome: good, code: 250}
		says := answers(domains[n], at, i/len(relays))
		if says == "" && i/len(relays)%50 == 7*n {
			says = "550 5.1.1 no such user"
		}
		if says != "" {
			m.says, m.outcome, m.stage = says, bounce.Hard, bounce.StageRcpt
			if says[0] == '4' {
				m.outcome = bounce.Soft
			}
		}
		list = append(list, m)
	}
	return list
}

// between reports whether at lies in some hours of the third day.
func between(at time.Duration, from, to float64) bool {
	h := (at - 2*day).Hours()
	return h >= from && h < to
}

// TestDenial holds when an operator that calls recipients unknown is an incident of its own, though none of
// the recipients ever took mail.
func TestDenial(t *testing.T) {
	const unknown = "550 Requested action not taken: mailbox unavailable"
	of := func(share int, from, to float64, providers ...string) func(string, time.Duration, int) string {
		return func(name string, at time.Duration, n int) string {
			if between(at, from, to) && n%10 < share && (len(providers) == 0 || strings.Contains(strings.Join(providers, " "), name)) {
				return unknown
			}
			return ""
		}
	}
	for _, test := range []struct {
		name    string
		answers func(string, time.Duration, int) string
		title   string // "": nothing
		refused int
	}{
		{"all recipients of one provider", of(10, 2, 9, "t-online.de"), "T-Online calls all recipients unknown: its user table may be at fault", 14},
		{"all recipients of two providers of one operator", of(10, 2, 6, "gmx.de", "web.de"), "GMX and web.de call all recipients unknown: their user tables may be at fault", 16},
		{"a part of the recipients", of(4, 2, 22, "gmx.de", "web.de"), "GMX and web.de call many more recipients unknown than usual: their user tables may be at fault", 32},
		{"an old list of recipients", of(4, 2, 22), "", 0},
		{"a few recipients", of(10, 2, 4, "t-online.de"), "", 0},
		{"the usual share", of(0, 0, 0), "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := logOf(t, shop(test.answers))
			for name, f := range map[string]store.Filter{"all": {}, "the day": {Since: begin.Add(2 * day), Until: begin.Add(3 * day)}} {
				var got []problem.Problem
				for _, p := range problemsIn(t, log, f) {
					if p.Level != problem.Watch {
						got = append(got, p)
					}
				}
				if test.title == "" {
					if len(got) > 0 {
						t.Errorf("%s: %+v", name, got)
					}
					continue
				}
				if len(got) != 1 {
					t.Fatalf("%s: %d incidents: %+v", name, len(got), got)
				}
				p := &got[0]
				if more := p.Messages - test.refused; p.Title != test.title || p.Cause != "user_table" || p.WhoActs() != bounce.ScopeRemote || more < -2 || more > 2 || p.Returned != p.Messages {
					t.Errorf("%s: %+v", name, p)
				}
				if all := strings.Contains(p.Title, "all recipients"); all != (p.Onset.Tried == p.Messages) || p.Before == nil || 20*p.Before.Refused > p.Before.Tried || name == "all" && p.Ongoing {
					t.Errorf("%s: %+v %+v %+v", name, p.Onset, p.Before, p)
				}
			}
		})
	}
}

// TestDenialOfDomains holds that an operator that calls the recipients of its business domains unknown is an
// incident, though each domain gets a message or two, and its other mail is taken.
func TestDenialOfDomains(t *testing.T) {
	list := shop(func(string, time.Duration, int) string { return "" })
	for i := range 4 * 72 {
		at := time.Duration(i) * 20 * time.Minute
		domain := fmt.Sprintf("firm%d.example", i%60)
		m := mail{at: at, id: fmt.Sprint("T", i), from: "order@shop.example", to: "office@" + domain, relay: fmt.Sprintf("firm%d-example.mail.protection.outlook.com", i%60), outcome: good, code: 250}
		if between(at, 4, 16) {
			m.says, m.outcome, m.stage = "550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors", bounce.Hard, bounce.StageRcpt
		}
		list = append(list, m)
		m = mail{at: at + time.Minute, id: fmt.Sprint("C", i), from: "order@shop.example", to: fmt.Sprintf("u%d@outlook.com", i), relay: "outlook-com.olc.protection.outlook.com", outcome: good, code: 250}
		list = append(list, m)
	}
	log := logOf(t, list)
	var got []string
	for _, p := range problemsIn(t, log, store.Filter{Since: begin.Add(2 * day), Until: begin.Add(3 * day)}) {
		if p.Level != problem.Watch {
			got = append(got, fmt.Sprintf("%s, %d messages, %s acts", p.Title, p.Messages, p.WhoActs()))
		}
	}
	if want := "[Microsoft calls all recipients of some of its domains unknown: its user table may be at fault, 36 messages, remote acts]"; fmt.Sprint(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestDenialBounds holds that a denial begins and ends with its first and its last refusal, however few of them lie in
// the hours of its ends, and is one incident.
func TestDenialBounds(t *testing.T) {
	relays := [...]string{"gmail-smtp-in.l.google.com", "mx00.emig.gmx.net", "mx01.t-online.de"}
	domains := [...]string{"gmail.com", "gmx.de", "t-online.de"}
	for _, test := range []struct {
		name     string
		from, to float64 // hours of the third day
		all      bool    // it takes nothing
	}{
		{"a few minutes of the last hour", 9.75, 11.15, false},
		{"a few minutes of both hours", 9.9, 12.1, false},
		{"less than an hour of two", 9.7, 10.5, false},
		{"over midnight", 15.8, 17.1, false},
		{"all of some hours", 9.4, 12.7, true},
		{"all of an issue, two hours that are found one by one", 1.725, 2.99, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list []mail
			var first, last time.Duration
			want := 0
			for i := range 4 * 24 * 60 {
				n, at := i%len(relays), time.Duration(i)*time.Minute
				if test.from < 3 { // a message a minute to each, for three hours a day
					at = time.Duration(i/(3*3*60))*day + time.Duration(i/3%(3*60))*time.Minute
					if at >= 4*day {
						break
					}
				}
				m := mail{at: at, id: fmt.Sprint("S", i), from: "order@shop.example", to: fmt.Sprintf("u%d@%s", i, domains[n]), relay: relays[n], outcome: good, code: 250}
				if n == 0 && between(at, test.from, test.to) && (test.all || i%9 < 6) {
					m.says, m.outcome, m.stage = "550 5.1.1 The email account that you tried to reach does not exist.", bounce.Hard, bounce.StageRcpt
					first, last = cmp.Or(first, at), at
					want++
				}
				list = append(list, m)
			}
			log := logOf(t, list)
			var got []problem.Problem
			for _, p := range problemsIn(t, log, store.Filter{Since: begin.Add(2 * day), Until: begin.Add(4 * day)}) {
				if p.Level != problem.Watch {
					got = append(got, p)
				}
			}
			if len(got) != 1 || !strings.Contains(got[0].Why, " it called 0 of ") || got[0].Messages != want || !got[0].Began().Equal(begin.Add(first)) || !got[0].Until.Equal(begin.Add(last)) {
				t.Errorf("want %d messages, %s to %s: %d incidents", want, begin.Add(first), begin.Add(last), len(got))
				for _, p := range got {
					t.Errorf("%d messages, %s to %s: %s", p.Messages, p.Began(), p.Until, p.Title)
				}
			}
		})
	}
}
