package problem_test

import (
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestRelayHost holds which failures at the relay host are an outage of this side, and its cause.
func TestRelayHost(t *testing.T) {
	const gap = 4 * time.Minute
	relay := func(m mail) mail {
		m.relay = "smtp.relay.example"
		return m
	}
	taken := relay(mail{outcome: good, code: 250})
	submitted := func(m mail) mail {
		m = relay(m)
		m.port = 587
		return m
	}
	before := spread(60, 15, 0, gap, taken)
	mixed := join(spread(6, 6, day, time.Minute, taken), spread(40, 15, day+10*time.Minute, 2*time.Minute, relay(mail{says: "450 4.7.1 Error: hourly message limit of 100 exceeded for office, try again later", outcome: bounce.Soft})),
		spread(6, 6, day+time.Hour, time.Second, taken))
	for _, test := range []struct {
		name  string
		mails []mail
		cause string // "": no problem
		words string
	}{
		{
			"senders that the account does not own", join(spread(60, 15, 0, gap, submitted(mail{outcome: good, code: 250})), spread(30, 15, day, gap, submitted(mail{says: "553 5.7.1 <clerk@office.example>: Sender address rejected: not owned by user office", outcome: bounce.Hard}))),
			"account", "Nothing goes out: 30 of 30 messages to 15 domains fail at the relay host smtp.relay.example:587, which does not accept the sender's address",
		},
		{
			"senders that the account does not own, without a port", join(before, spread(30, 15, day, gap, relay(mail{says: "553 5.7.1 <clerk@office.example>: Sender address rejected: not owned by user office", outcome: bounce.Hard}))),
			"account", "fail at the relay host smtp.relay.example, which does not accept the sender's address",
		},
		{
			"a relay host that does not take mail from this address", join(spread(60, 15, 0, gap, submitted(mail{outcome: good, code: 250})), spread(30, 15, day, gap, submitted(mail{says: "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", outcome: bounce.Hard, stage: bounce.StageMail}))),
			"relay", "Nothing goes out: 30 of 30 messages to 15 domains fail at the relay host smtp.relay.example:587, which takes none: bad reputation",
		},
		{
			"a login from an address that is not permitted", join(spread(60, 15, 0, gap, submitted(mail{outcome: good, code: 250})), spread(30, 15, day, gap, submitted(mail{says: "525 5.7.13 Unauthorized IP address", outcome: bounce.Soft, stage: bounce.StageAuth}))),
			"login", "fail at the login to the relay host smtp.relay.example:587",
		},
		{
			"a sender that is blocked for spam", join(spread(60, 15, 0, gap, submitted(mail{outcome: good, code: 250})), spread(30, 15, day, gap, submitted(mail{says: "550 5.1.8 Access denied, bad outbound sender", outcome: bounce.Hard, stage: bounce.StageEOM}))),
			"account", "Nothing goes out: 30 of 30 messages to 15 domains fail at the relay host smtp.relay.example:587, which has blocked the sender for outgoing spam",
		},
		{
			"a suspended account", join(before, spread(30, 15, day, gap, relay(mail{says: "451 4.7.1 Account temporarily suspended due to unusual activity", outcome: bounce.Soft}))),
			"account", "30 of 30 messages to 15 domains fail at a limit or suspension of the sending account at smtp.relay.example",
		},
		{
			"an account suspended for spam", join(before, spread(30, 15, day, gap, submitted(mail{says: "550 5.7.1 Message rejected: account office has been suspended for sending spam", outcome: bounce.Hard}))),
			"account", "30 of 30 messages to 15 domains fail at a limit or suspension of the sending account at smtp.relay.example:587",
		},
		{
			"a quota that is used up", join(before, spread(30, 15, day, gap, relay(mail{says: "554 5.4.5 Monthly sending quota of 10000 messages exceeded", outcome: bounce.Hard}))),
			"account", "Nothing goes out: 30 of 30",
		},
		{"an hourly limit, with mail taken in each hour", join(before, mixed), "account", "40 of 46 messages to 15 domains fail at a limit or suspension of the sending account"},
		{
			"a relay host that is broken, in the hour of the last delivery", join(before, spread(10, 10, day, time.Second, taken), spread(30, 15, day+10*time.Minute, time.Minute, relay(mail{says: "451 4.3.0 Temporary lookup failure", outcome: bounce.Soft}))),
			"relay", "Nothing goes out: 30 of 30 messages to 15 domains fail at the relay host smtp.relay.example, which takes none: server trouble",
		},
		{"a relay host that takes some", join(before, spread(30, 15, day, gap, relay(mail{says: "451 4.3.0 Temporary lookup failure", outcome: bounce.Soft})), spread(30, 15, day+time.Minute, gap, taken)), "", ""},
		{"one domain beyond the relay host", join(before, spread(30, 1, day, gap, relay(mail{says: "451 4.3.0 Temporary lookup failure", outcome: bounce.Soft}))), "", ""},
		{"a provider of many domains that most mail goes to", with(join(before, spread(30, 15, day, gap, relay(mail{says: "451 4.7.1 Account temporarily suspended due to unusual activity", outcome: bounce.Soft}))), func(m *mail) { m.relay = "aspmx.l.google.com" }), "", ""},
		{"a server that takes a part of the mail", join(spread(60, 15, 0, gap, mail{outcome: good, code: 250, relay: "mx.d%d.example"}), spread(30, 15, day, gap, relay(mail{says: "451 4.7.1 Account temporarily suspended due to unusual activity", outcome: bounce.Soft}))), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if test.cause == "" {
				if len(found) != 0 {
					t.Errorf("found %q", found[0].Summary)
				}
				return
			}
			if len(found) != 1 || found[0].Cause != test.cause || !found[0].Outage() || !strings.Contains(found[0].Summary, test.words) {
				for _, p := range found {
					t.Errorf("%s: %s", p.Cause, p.Summary)
				}
				t.Errorf("want one problem, %s: %s", test.cause, test.words)
			}
		})
	}
}

// TestRelayHostCourse holds that an outage at the relay host begins after the last mail that it took,
// and ends when it takes mail again.
func TestRelayHostCourse(t *testing.T) {
	const gap = 4 * time.Minute
	taken := mail{outcome: good, code: 250, relay: "smtp.relay.example"}
	refused := mail{says: "451 4.7.1 Account temporarily suspended due to unusual activity", outcome: bounce.Soft, relay: "smtp.relay.example"}
	s := logOf(t, join(spread(60, 15, 0, gap, taken), spread(40, 15, day, time.Minute, taken), spread(60, 15, day+40*time.Minute, gap, refused), spread(30, 15, day+6*time.Hour+10*time.Minute, gap, taken)))
	p := problemsIn(t, s, store.Filter{})[0]
	if !p.Since.Equal(begin.Add(day+40*time.Minute)) || p.Ongoing || !p.EndedAt.Equal(begin.Add(day+6*time.Hour+10*time.Minute)) || p.Effect != problem.EffectDelayed && p.Effect != problem.EffectNotDelivered {
		t.Errorf("since %v, ongoing %v, ended %v", p.Since, p.Ongoing, p.EndedAt)
	}
	ps := problemsIn(t, s, store.Filter{Since: begin.Add(day + 3*time.Hour), Until: begin.Add(day + 4*time.Hour)})
	if len(ps) != 1 || !ps[0].Ongoing || !ps[0].FirstHeard.Equal(begin.Add(day+40*time.Minute)) {
		t.Errorf("a period inside it: %+v", ps)
	}
}

// TestLimitSender holds that an outage at a limit of the account names the sender of most of the mail.
func TestLimitSender(t *testing.T) {
	taken := mail{outcome: good, code: 250, relay: "smtp.relay.example"}
	limit := mail{says: "450 4.7.1 Error: hourly message limit of 100 exceeded for office, try again later", outcome: bounce.Soft, relay: "smtp.relay.example"}
	news := func(m *mail) { m.from = "news@office.example" }
	p := problemsOf(t, join(spread(60, 15, 0, time.Minute, taken), with(spread(40, 15, day, time.Minute, limit), news)))[0]
	if p.Sender == nil || p.Sender.Address != "news@office.example" || p.Sender.Messages != 40 {
		t.Errorf("sender %+v of %q", p.Sender, p.Summary)
	}
}
