package problem_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// queued returns the attempts of a message that is deferred some times, and then expires.
func queued(m mail, tries int, gap time.Duration) (list []mail) {
	m.outcome = bounce.Soft
	for range tries {
		list = append(list, m)
		m.at += gap
	}
	m.outcome, m.reason, m.says, m.local, m.relay = bounce.Hard, bounce.Expired, "", false, ""
	return append(list, m)
}

// TestRefusalsExpire holds that mail which expires because a provider refused it counts as returned
// on the day on which it expires, even if it was last refused on the day before. Mail that expires
// for another reason does not count.
func TestRefusalsExpire(t *testing.T) {
	midnight := begin.Truncate(day)
	const reputation = " 4.7.0 Our system has detected a very low reputation of the sending IP address 203.0.113.26"
	type figures struct {
		Messages, Returned, Waiting int
		Effect                      string
	}
	for _, test := range []struct {
		name, code string
		effect     string // until mail is returned
	}{
		{"4xx", "421", problem.EffectDeferred},
		{"a 5xx greeting, deferred", "554", problem.EffectRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			mails := spread(400, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "else.example", relay: "mx.else.example"})
			for d := range 4 {
				for i := range 5 { // the first two of a day expire at 0:30 and 2:30, and were last refused on the day before
					mails = append(mails, queued(mail{
						at: time.Duration(1+d)*day - 7*time.Hour - 30*time.Minute + time.Duration(i)*2*time.Hour, id: fmt.Sprintf("W%d-%d", d, i), from: "news@shop.example",
						to: fmt.Sprintf("u%d@big.example", i), relay: "mx.big.example", says: test.code + reputation,
					}, 40, 3*time.Hour)...)
				}
				mails = append(mails, queued(mail{
					at: time.Duration(1+d) * day, id: fmt.Sprintf("X%d", d), from: "news@shop.example", to: "u@gone.example", local: true,
					says: "connect to mx.gone.example[192.0.2.8]:25: Connection timed out",
				}, 40, 3*time.Hour)...)
			}
			db := logOf(t, mails)
			for d, want := range map[int]figures{
				2: {10, 0, 10, test.effect},
				6: {18, 5, 15, problem.EffectRefused}, // 3 of the first day, which are returned, and 15 others
				7: {13, 5, 10, problem.EffectRefused},
			} {
				f := store.Filter{Since: midnight.Add(time.Duration(d) * day), Until: midnight.Add(time.Duration(d+1) * day)}
				var got []figures
				for _, p := range problemsIn(t, db, f) {
					if p.Reason == bounce.Reputation {
						got = append(got, figures{p.Messages, p.Returned, p.Waiting, p.Effect})
						if p.Expired != p.Returned { // one recipient each
							t.Errorf("day %d: %d expired", d, p.Expired)
						}
					}
				}
				if diff := gocmp.Diff([]figures{want}, got); diff != "" {
					t.Errorf("day %d: -want +got:\n%s", d, diff)
				}
			}
		})
	}
}

// TestExpiredIsNotDelayed holds that mail which expired was not only late, although its recipients
// took other mail soon after each deferral.
func TestExpiredIsNotDelayed(t *testing.T) {
	for name, test := range map[string]struct {
		m      mail
		reason bounce.Reason
	}{
		"refused by the provider": {mail{relay: "mx.big.example", says: "421 4.7.0 Our system has detected a very low reputation of the sending IP address 203.0.113.26"}, bounce.Reputation},
		"failed on this side":     {mail{local: true, says: "TLS is required, but was not offered by host mx.big.example[192.0.2.77]"}, bounce.TLS},
	} {
		t.Run(name, func(t *testing.T) {
			mails := spread(300, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "else.example", relay: "mx.else.example"})
			for i := range 6 {
				m := test.m
				m.at, m.id, m.from, m.to = day+time.Duration(i)*time.Hour, fmt.Sprintf("W%d", i), "news@shop.example", fmt.Sprintf("u%d@big.example", i)
				for try, x := range queued(m, 2, 12*time.Hour) {
					mails = append(mails, x)
					x.at, x.id, x.outcome, x.says, x.code, x.local, x.relay, x.reason = x.at+time.Hour, fmt.Sprintf("D%d-%d", i, try), good, "", 250, false, "mx.big.example", bounce.NoReason
					mails = append(mails, x)
				}
			}
			found := slices.DeleteFunc(problemsOf(t, mails), func(p problem.Problem) bool { return p.Reason != test.reason })
			if len(found) != 1 || found[0].Returned != 6 || found[0].Waiting != 0 || found[0].Background || found[0].Effect == problem.EffectDelayed {
				t.Errorf("%+v", found)
			}
		})
	}
}

// TestOutageWaits holds that mail of an outage that expired does not wait.
func TestOutageWaits(t *testing.T) {
	mails := spread(300, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "else.example", relay: "mx.else.example"})
	mails = append(mails, spread(24, 1, 0, time.Hour, mail{outcome: good, code: 250, to: "partner.example", relay: "mx.partner.example"})...)
	for d := range 6 {
		mails = append(mails, queued(mail{
			at: time.Duration(1+d)*day + 5*time.Hour, id: fmt.Sprintf("W%d", d), from: "clerk@office.example", to: fmt.Sprintf("u%d@partner.example", d), local: true,
			says: "TLS is required, but was not offered by host mx.partner.example[192.0.2.77]",
		}, 40, 3*time.Hour)...)
	}
	db, midnight := logOf(t, mails), begin.Truncate(day)
	f := store.Filter{Since: midnight.Add(6 * day), Until: midnight.Add(7 * day)}
	found := slices.DeleteFunc(problemsIn(t, db, f), func(p problem.Problem) bool { return p.Cause != "tls_policy" })
	if len(found) != 1 || found[0].Messages != 6 || found[0].Returned != 1 || found[0].Waiting != 5 {
		t.Errorf("%+v", found)
	}
}
