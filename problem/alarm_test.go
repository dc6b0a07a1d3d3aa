package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// regular returns one message a day to each of n recipients, for the given days.
func regular(n, days int, from, format, relay string) (list []mail) {
	for d := range days {
		for i := range n {
			list = append(list, mail{
				at: time.Duration(d)*day + time.Duration(i)*17*time.Minute, id: fmt.Sprintf("G%s%d%d", from[:1], d, i),
				from: from, to: fmt.Sprintf(format, i), relay: relay, outcome: good, code: 250,
			})
		}
	}
	return list
}

// each returns messages to each of some providers, with the given number of recipients, over some
// hours.
func each(providers, people int, at time.Duration, from string, m mail) (list []mail) {
	for i := range providers {
		list = append(list, refused(people, people, at+time.Duration(i)*7*time.Minute, from, fmt.Sprintf("u%%d@d%d.example", i), fmt.Sprintf("mx.d%d.example", i), m)...)
	}
	return with(list, func(x *mail) { x.id = fmt.Sprint(x.id, x.to, at) })
}

func with(list []mail, change func(*mail)) []mail {
	for i := range list {
		change(&list[i])
	}
	return list
}

// TestAlarms holds the level, cause, senders and providers of problems, for real and for apparent
// failures of authentication.
func TestAlarms(t *testing.T) {
	const (
		news   = "news@shop.example"
		office = "anna@office.example"
		club   = "board@club.example"
		users  = "user%d@big.example"
		relay  = "mx1.big-provider.example"
	)
	const silent = "550 5.7.1 Message refused"
	said := func(text string) mail { return mail{says: text, stage: bounce.StageEOM} }
	week := func(from string) []mail { return regular(12, 7, from, users, relay) }
	type answer struct{ Level, Cause, From, At string }
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{
			"one sender domain at one provider",
			join(week(news), week(office), refused(6, 6, 7*day, news, users, relay, said(silent)), regular(12, 8, office, users, relay)),
			[]answer{{"likely", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"one sender domain at several providers is its authentication",
			join(week(news), regular(12, 7, news, "x%d@other.example", "mx.other.example"),
				refused(6, 6, 7*day, news, users, relay, said(silent)), refused(6, 6, 7*day+time.Hour, news, "x%d@other.example", "mx.other.example", said("554 5.7.1 Rejected"))),
			[]answer{{"likely", "authentication", "shop.example", "big-provider.example other.example"}},
		},
		{
			"all sender domains at one provider are its address",
			join(week(news), week(office), week(club), refused(6, 6, 7*day, news, users, relay, said(silent)), refused(6, 6, 7*day, office, users, relay, said(silent)), refused(6, 6, 7*day, club, users, relay, said(silent))),
			[]answer{{"likely", "ip", "club.example office.example shop.example", "big-provider.example"}},
		},
		{
			"all sender domains at one provider, each too few",
			func() (all []mail) {
				for i := range 8 {
					from := fmt.Sprintf("%c@s%d.example", 'a'+i, i)
					all = join(all, regular(6, 7, from, users, relay), with(refused(1, 1, 7*day+time.Duration(i)*time.Hour, from, users, relay, said(silent)), func(m *mail) { m.to = fmt.Sprintf(users, i%6) }))
				}
				return all
			}(),
			[]answer{{"likely", "ip", "s0.example s1.example s2.example s3.example s4.example s5.example s6.example s7.example", "big-provider.example"}},
		},
		{
			"a few unrelated refusals of some sender domains, while others' mail is taken",
			func() (all []mail) {
				for i := range 10 {
					from := fmt.Sprintf("%c@s%d.example", 'a'+i, i)
					all = join(all, regular(12, 7, from, users, relay))
					if i < 3 {
						all = join(all, with(refused(1, 1, 7*day+time.Duration(i)*12*time.Minute, from, users, relay, said("554 5.7.1 <user@big.example>: Recipient address rejected: Access denied")), func(m *mail) { m.to = fmt.Sprintf(users, i) }))
					} else {
						all = join(all, with(to(1, 7*day+time.Duration(i)*2*time.Minute, from, users, relay), func(m *mail) { m.id += from }))
					}
				}
				return join(all, with(regular(12, 1, news, users, relay), func(m *mail) { m.at, m.id = m.at+7*day+time.Hour, "N"+m.id }))
			}(),
			[]answer{{"watch", "unknown", "s0.example s1.example s2.example", "big-provider.example"}},
		},
		{
			"refused before a sender is named: the address",
			join(week(news), week(office), refused(6, 6, 7*day, news, users, relay, mail{says: "554 mx1.big-provider.example", stage: bounce.StageConnect, outcome: bounce.Soft}), regular(12, 8, office, users, relay)),
			[]answer{{"likely", "ip", "shop.example", "big-provider.example"}},
		},
		{
			"a newsletter judged spam at one provider",
			join(week(news), refused(12, 1, 7*day, news, users, relay, said("554 5.7.1 Spam message rejected"))),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"leavers whose list bounces 5.7.1",
			join(week(news), refused(12, 12, 7*day, news, users, relay, said("550 5.7.1 no such user"))),
			nil,
		},
		{
			"a receiver whose resolver the list refuses",
			join(week(news), refused(12, 12, 7*day, news, users, relay, said("554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org; Error: open resolver; https://www.spamhaus.org/returnc/pub/192.0.2.1"))),
			nil,
		},
		{
			"a smarthost's 2xx proves nothing",
			with(join(week(news), refused(12, 12, 7*day, news, users, relay, said(silent))), func(m *mail) { m.relay, m.port = "smtp.smarthost.example", 587 }),
			nil,
		},
		{
			"who refuses behind a smarthost is told by the text",
			with(join(week(news), refused(12, 12, 7*day, news, users, relay, said("550 host gmail-smtp-in.l.google.com[142.250.1.26] said: 550-5.7.26 This mail has been blocked because the sender is unauthenticated."))), func(m *mail) { m.relay, m.port = "smtp.smarthost.example", 587 }),
			[]answer{{"confirmed", "authentication", "shop.example", "google.com"}},
		},
		{
			"a stranger at port 25 quotes a large provider",
			join(week(news), refused(6, 6, 7*day, news, "x%d@evil.example", "mx.evil.example", said("550 5.7.1 host gmail-smtp-in.l.google.com[142.250.1.26] said: 550-5.7.26 This mail has been blocked because the sender is unauthenticated."))),
			[]answer{{"confirmed", "authentication", "shop.example", "evil.example"}},
		},
		{
			"a smarthost at port 25, that all mail goes through, quotes one",
			with(join(week(news), refused(6, 6, 7*day, news, users, relay, said("550 5.7.1 host gmail-smtp-in.l.google.com[142.250.1.26] said: 550-5.7.26 This mail has been blocked because the sender is unauthenticated."))), func(m *mail) { m.relay = "out.relay.example" }),
			[]answer{{"confirmed", "authentication", "shop.example", "google.com"}},
		},
		{
			"mail that was forwarded",
			join(week(news), with(refused(6, 6, 7*day, "someone@elsewhere.example", users, relay, said("550 5.7.23 SPF validation failed")), func(m *mail) { m.original = "me@shop.example" })),
			[]answer{{"watch", "authentication", "elsewhere.example", "big-provider.example"}},
		},
		{
			"mail that was forwarded with a rewritten sender",
			join(week(news), refused(6, 6, 7*day, "SRS0=ab12=cd=elsewhere.example=someone@shop.example", users, relay, said("550 5.7.1 rejected by DMARC policy"))),
			[]answer{{"watch", "authentication", "shop.example", "big-provider.example"}},
		},
		{
			"forwarded spam that spoils the reputation",
			join(week(news), with(refused(6, 6, 7*day, "someone@elsewhere.example", users, relay, said("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address")), func(m *mail) { m.original, m.to = "me@shop.example", "user1@big.example" })),
			[]answer{{"likely", "forwarding", "", "big-provider.example"}},
		},
		{
			"forwarded spam that spoils it for our own mail, too",
			join(week(news), with(refused(6, 6, 7*day, "someone@elsewhere.example", users, relay, said("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address")), func(m *mail) { m.original = "me@shop.example" }),
				refused(6, 6, 7*day+time.Hour, news, users, relay, said("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address"))),
			[]answer{{"confirmed", "reputation", "elsewhere.example shop.example", "big-provider.example"}},
		},
		{
			"a provider's own list beside its reputation is one refusal",
			join(regular(12, 7, news, users, "mx1.mail.protection.outlook.com"),
				refused(6, 6, 7*day, news, users, "mx1.mail.protection.outlook.com", said("550 5.7.1 Unfortunately, messages from [203.0.113.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).")),
				refused(6, 6, 7*day+2*time.Hour, news, users, "mx1.mail.protection.outlook.com", said("451 4.7.650 The mail server [203.0.113.25] has been temporarily rate limited due to IP reputation."))),
			[]answer{{"confirmed", "reputation", "shop.example", "outlook.com"}},
		},
		{
			"a public list beside a provider's reputation is another cause",
			join(regular(12, 7, news, users, "mx1.mail.protection.outlook.com"),
				refused(6, 6, 7*day, news, users, "mx1.mail.protection.outlook.com", said("550 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using Spamhaus ZEN")),
				refused(6, 6, 7*day+2*time.Hour, news, users, "mx1.mail.protection.outlook.com", said("451 4.7.650 The mail server [203.0.113.25] has been temporarily rate limited due to IP reputation."))),
			[]answer{{"confirmed", "ip", "shop.example", "outlook.com"}, {"confirmed", "reputation", "shop.example", "outlook.com"}},
		},
		{
			"a provider's own list, which some replies do not name, is one refusal",
			join(week(news), refused(6, 6, 7*day, news, users, relay, said("550 5.7.1 Your IP 203.0.113.25 has a bad reputation")), refused(6, 6, 7*day+2*time.Hour, news, users, relay, said(silent))),
			[]answer{{"confirmed", "reputation", "shop.example", "big-provider.example"}},
		},
		{
			"a bad reputation at many providers, a few messages each",
			join(week(news), each(6, 3, 7*day, news, said("550 5.7.1 Your IP 203.0.113.25 has a bad reputation"))),
			[]answer{{"confirmed", "reputation", "shop.example", "d0.example d1.example d2.example d3.example d4.example d5.example"}},
		},
		{
			"a bad reputation at many providers, little of their mail",
			join(each(6, 40, day-time.Hour, news, mail{outcome: good, code: 250}), each(6, 1, day, news, said("550 5.7.1 Your IP 203.0.113.25 has a bad reputation")), each(6, 40, 2*day, news, mail{outcome: good, code: 250})),
			[]answer{
				{"confirmed", "reputation", "shop.example", "d0.example"},
				{"confirmed", "reputation", "shop.example", "d1.example"},
				{"confirmed", "reputation", "shop.example", "d2.example"},
				{"confirmed", "reputation", "shop.example", "d3.example"},
				{"confirmed", "reputation", "shop.example", "d4.example"},
				{"confirmed", "reputation", "shop.example", "d5.example"},
			},
		},
		{
			"a sender domain that does not exist, a few messages at each of many providers",
			join(week(office), each(4, 3, 7*day, news, said("553 5.1.8 <news@shop.example>: Sender address rejected: Domain not found"))),
			[]answer{{"confirmed", "sender", "shop.example", "d0.example d1.example d2.example d3.example"}},
		},
		{
			"a sender domain that does not exist, which some call its SPF",
			join(each(4, 3, 7*day, news, said("553 5.1.8 <news@shop.example>: Sender address rejected: Domain not found")), with(each(2, 2, 7*day+time.Hour, news, said("550 5.7.23 SPF validation failed")), func(m *mail) { m.to, m.relay = "x"+m.to[:strings.IndexByte(m.to, '@')]+"@big.example", relay })),
			[]answer{{"confirmed", "sender", "shop.example", "big-provider.example d0.example d1.example d2.example d3.example"}},
		},
		{
			"a sender that one provider has a rule against",
			refused(12, 12, 7*day, news, users, relay, said("550 5.7.1 Sender address rejected: Access denied")),
			nil,
		},
		{
			"a sender that some of many receivers refuse",
			join(each(20, 3, time.Hour, news, mail{outcome: good, code: 250}), each(4, 3, 0, news, said("550 5.7.1 Sender address rejected: Access denied")), each(4, 3, 5*time.Hour, news, said("550 5.7.1 Sender address rejected: Access denied"))),
			nil,
		},
		{
			"callouts that fail for an hour",
			join(each(6, 3, 0, news, mail{says: "450 4.1.8 Sender address rejected: Domain not found", outcome: bounce.Soft}), with(each(6, 3, time.Hour, news, mail{outcome: good, code: 250}), func(m *mail) { m.id += "again" })),
			nil,
		},
		{
			"forwarded mail of senders that do not exist",
			with(each(6, 3, 0, "x@forged.example", said("553 5.1.8 Sender address rejected: Domain not found")), func(m *mail) { m.original = "me@shop.example" }),
			nil,
		},
		{
			"no cause named, at many providers, to a few people each",
			join(each(8, 2, 0, news, mail{outcome: good, code: 250}), each(8, 2, 7*day, news, said(silent)), week(office)),
			[]answer{{"likely", "authentication", "shop.example", "d0.example d1.example d2.example d3.example d4.example d5.example d6.example d7.example"}},
		},
		{
			"a newsletter that some of many providers take for spam, a few people each",
			join(each(40, 3, 0, news, mail{outcome: good, code: 250}), each(8, 2, 7*day, news, said("554 5.7.1 Spam message rejected")), with(each(40, 3, 7*day, news, mail{outcome: good, code: 250}), func(m *mail) { m.to, m.at, m.id = "y"+m.to, 7*day+(m.at-7*day)/6, "Y"+m.id })),
			[]answer{
				{"watch", "unknown", "shop.example", "d0.example"},
				{"watch", "unknown", "shop.example", "d1.example"},
				{"watch", "unknown", "shop.example", "d2.example"},
				{"watch", "unknown", "shop.example", "d3.example"},
				{"watch", "unknown", "shop.example", "d4.example"},
				{"watch", "unknown", "shop.example", "d5.example"},
				{"watch", "unknown", "shop.example", "d6.example"},
				{"watch", "unknown", "shop.example", "d7.example"},
			},
		},
		{
			"forwarded mail that is refused as spam",
			join(week(news), with(refused(12, 12, 7*day, "someone@elsewhere.example", users, relay, said("550 5.7.1 This message is likely unsolicited mail")), func(m *mail) { m.original, m.to = "me@shop.example", "user1@big.example" })),
			[]answer{{"likely", "forwarding", "", "big-provider.example"}},
		},
		{
			"some forwarded mail that is refused as spam",
			join(week(news), regular(120, 8, office, users, relay), with(refused(6, 6, 7*day, "someone@elsewhere.example", users, relay, said("550 5.7.1 This message is likely unsolicited mail")), func(m *mail) {
				m.original, m.to, m.at = "me@shop.example", "user1@big.example", 7*day+4*(m.at-7*day)*60
			})),
			nil,
		},
		{
			"forwarded mail that is refused as spam, as own mail is",
			join(week(news), with(refused(12, 12, 7*day, "someone@elsewhere.example", users, relay, said("550 5.7.1 This message is likely unsolicited mail")), func(m *mail) { m.original, m.to = "me@shop.example", "user1@big.example" }),
				refused(6, 6, 7*day, news, users, relay, said("550 5.7.1 This message is likely unsolicited mail"))),
			[]answer{{"likely", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"greylisting that never passes",
			join(week(news), func() (all []mail) {
				for try := range 20 {
					all = append(all, with(refused(12, 12, 7*day+time.Duration(try)*time.Hour, news, users, relay, mail{says: "450 4.2.0 Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/big.example.html", outcome: bounce.Soft}), func(m *mail) {
						m.id = "R" + m.to
					})...)
				}
				return all
			}()),
			nil,
		},
		{
			"greylisting that does not say so",
			join(week(news), with(refused(12, 12, 7*day, news, users, relay, mail{says: "451 4.7.1 Please try again later", outcome: bounce.Soft}), func(m *mail) { m.id = "R" + m.to }),
				with(refused(12, 12, 7*day+20*time.Minute, news, users, relay, mail{outcome: good, code: 250}), func(m *mail) { m.id = "R" + m.to })),
			nil,
		},
		{
			"a hosted filter: the customer decides",
			join(regular(12, 7, news, "u%d@one.example", "eu-smtp-inbound-1.mimecast.com"), regular(12, 7, news, "u%d@two.example", "eu-smtp-inbound-2.mimecast.com"),
				refused(2, 2, 7*day, news, "u%d@one.example", "eu-smtp-inbound-1.mimecast.com", said("554 5.7.1 Email rejected due to security policies")),
				refused(2, 2, 7*day+time.Hour, news, "u%d@two.example", "eu-smtp-inbound-1.mimecast.com", said("554 5.7.1 Email rejected due to security policies"))),
			[]answer{{"watch", "unknown", "shop.example", "mimecast.com"}, {"watch", "unknown", "shop.example", "mimecast.com"}},
		},
		{
			"a hosted filter: one customer refuses all",
			join(regular(12, 7, news, "u%d@one.example", "mx0a-001.pphosted.com"), regular(12, 8, news, "u%d@two.example", "mx0a-002.pphosted.com"),
				refused(6, 6, 7*day, news, "u%d@one.example", "mx0a-001.pphosted.com", said(silent))),
			[]answer{{"likely", "unknown", "shop.example", "pphosted.com"}},
		},
		{
			"a hosted domain: the host refuses by greeting, whose name is not logged, and by reply",
			join(regular(12, 7, news, "x%d@hosted.example", relay), week(news),
				refused(6, 6, 7*day, news, users, relay, said(silent)),
				with(refused(6, 6, 7*day+time.Hour, news, "x%d@hosted.example", "", mail{says: silent, stage: bounce.StageConnect, outcome: bounce.Soft}), func(m *mail) { m.id = "H" + m.to }),
				with(refused(6, 6, 7*day+2*time.Hour, news, "x%d@hosted.example", "", mail{says: silent, stage: bounce.StageConnect, outcome: bounce.Soft}), func(m *mail) { m.id = "H" + m.to })),
			[]answer{{"likely", "ip", "shop.example", "big-provider.example"}},
		},
		{
			"a log that starts inside the fault",
			join(refused(12, 12, 0, news, users, relay, said(silent)), regular(12, 3, office, users, relay)),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"the least there can be: three who took mail, refused in two messages",
			join(to(3, 0, news, users, relay), refused(3, 2, day, news, users, relay, said(silent))),
			[]answer{{"likely", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"two are too few",
			join(to(3, 0, news, users, relay), refused(2, 2, day, news, users, relay, said(silent))),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"low volume: a message a week",
			func() (all []mail) {
				for i := range 4 {
					all = append(all, to(1, time.Duration(i)*7*day, news, users, relay)...)
				}
				return append(all, refused(1, 1, 28*day, news, users, relay, said(silent))...)
			}(),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"some are always refused there",
			func() (all []mail) {
				for d := range 28 {
					at := time.Duration(d) * day
					all = join(all, to(20, at, news, users, relay), with(refused(1, 1, at+12*time.Hour, news, users, relay, said(silent)), func(m *mail) { m.to = fmt.Sprintf(users, d%20) }))
				}
				return all
			}(),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"several sending addresses, one of them listed",
			join(week(news), refused(2, 2, 7*day, news, users, relay, said("554 5.7.1 Service unavailable; Client host [203.0.113.26] blocked using zen.spamhaus.org")), to(12, 7*day, news, users, relay)),
			[]answer{{"confirmed", "ip", "shop.example", "big-provider.example"}},
		},
		{
			"one message tried at several hosts",
			join(week(news), func() (all []mail) {
				for i, host := range []string{"mx1", "mx2", "mx3", "mx4"} {
					all = append(all, refused(6, 1, 7*day+time.Duration(i)*time.Minute, news, users, host+".big-provider.example", said(silent))...)
				}
				return with(all, func(m *mail) { m.id = "ONE" })
			}()),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"one recipient's own filter",
			join(week(news), with(refused(9, 9, 7*day, news, users, relay, said(silent)), func(m *mail) { m.to = "user0@big.example" })),
			[]answer{{"watch", "unknown", "shop.example", "big-provider.example"}},
		},
		{
			"the null sender",
			join(week(news), with(refused(12, 12, 7*day, news, users, relay, said("550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy")), func(m *mail) { m.nullFrom = true })),
			nil,
		},
		{
			"a domain list is about the domain",
			join(week(news), refused(1, 1, 7*day, news, users, relay, said("550 5.7.1 Service unavailable, MailFrom domain is listed in Spamhaus. To request removal from this list see https://www.spamhaus.org/query/lookup/ (S8002)"))),
			[]answer{{"confirmed", "reputation", "shop.example", "big-provider.example"}},
		},
		{
			"two sender domains fail authentication at one provider on one day: one thing",
			join(refused(3, 3, 0, news, users, relay, said("550 5.7.26 DMARC")), refused(3, 3, time.Hour, office, users, relay, said("550 5.7.26 unauthenticated sender: DMARC"))),
			[]answer{{"confirmed", "authentication", "office.example shop.example", "big-provider.example"}},
		},
		{
			"two sender domains fail authentication at two providers: two things",
			join(refused(3, 3, 0, news, users, relay, said("550 5.7.26 unauthenticated, DMARC")), refused(3, 3, time.Hour, office, "x%d@other.example", "mx.other.example", said("550 5.7.23 SPF validation failed"))),
			[]answer{{"confirmed", "authentication", "shop.example", "big-provider.example"}, {"confirmed", "authentication", "office.example", "other.example"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsOf(t, test.mails) {
				got = append(got, answer{p.Level, p.Cause, strings.Join(p.SenderDomains, " "), strings.Join(p.Providers, " ")})
				if p.Why == "" || p.Scan == "" || len(p.Evidence) == 0 || p.Addresses == nil || p.ValidBefore == nil || p.ValidRecipients == nil {
					t.Errorf("incomplete: %+v", p)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCourse holds when a problem began, how it goes on, and the counts of tried messages.
func TestCourse(t *testing.T) {
	const (
		news  = "news@shop.example"
		users = "user%d@big.example"
		relay = "mx1.big-provider.example"
	)
	silent := mail{says: "550 5.7.1 Message refused"}
	before := regular(12, 7, news, users, relay)
	fault := refused(12, 12, 7*day, news, users, relay, silent)
	later := refused(12, 12, 7*day+20*time.Hour, news, users, relay, silent)
	fixed := with(regular(12, 1, news, users, relay), func(m *mail) { m.at, m.id = m.at+8*day, "F"+m.id })
	onset := begin.Add(7 * day)

	t.Run("goes on", func(t *testing.T) {
		ps := problemsOf(t, join(before, fault))
		if len(ps) != 1 {
			t.Fatalf("%d problems", len(ps))
		}
		p := ps[0]
		if !p.Ongoing || p.Ended != "" || !p.FirstHeard.IsZero() || !p.Since.Equal(onset) {
			t.Errorf("ongoing %v, ended %q, first heard %v, since %v", p.Ongoing, p.Ended, p.FirstHeard, p.Since)
		}
		if p.Before == nil || p.Onset == nil || p.Before.Refused != 0 || p.Before.Tried != 84 || p.Onset.Refused != 12 || p.Onset.Tried != 12 {
			t.Errorf("before %+v, since %+v; want 0 of 84, 12 of 12", p.Before, p.Onset)
		}
	})
	t.Run("ended", func(t *testing.T) {
		p := problemsOf(t, join(before, fault, later, fixed))[0]
		if p.Ongoing || !p.EndedAt.Equal(begin.Add(8*day)) || p.Ended != "12 messages taken since" {
			t.Errorf("ongoing %v, ended %v %q", p.Ongoing, p.EndedAt, p.Ended)
		}
		if p.Attempts != 24 || p.Onset.Refused != 24 || p.Onset.Tried != 24 || len(p.ValidRecipients) != 12 || len(p.ValidBefore) != 12 {
			t.Errorf("%d attempts, since %+v, %d and %d valid", p.Attempts, p.Onset, len(p.ValidRecipients), len(p.ValidBefore))
		}
	})
	s := logOf(t, join(before, fault, later, fixed))
	t.Run("a period inside it", func(t *testing.T) {
		ps := problemsIn(t, s, store.Filter{Since: onset.Add(10 * time.Hour), Until: onset.Add(22 * time.Hour)})
		if len(ps) != 1 {
			t.Fatalf("%d problems", len(ps))
		}
		p := ps[0]
		if p.Level != problem.Likely || p.Attempts != 12 || !p.FirstHeard.Equal(onset) || !p.Since.Equal(onset.Add(20*time.Hour)) || !p.Ongoing {
			t.Errorf("%s, %d attempts, first heard %v, since %v, ongoing %v", p.Level, p.Attempts, p.FirstHeard, p.Since, p.Ongoing)
		}
	})
	t.Run("a period before it, and after", func(t *testing.T) {
		for _, f := range []store.Filter{{Until: onset}, {Since: onset.Add(22 * time.Hour)}} {
			if ps := problemsIn(t, s, f); len(ps) != 0 {
				t.Errorf("%v to %v: %+v", f.Since, f.Until, ps)
			}
		}
	})
	t.Run("only those said to be unknown outside of the period", func(t *testing.T) {
		s := logOf(t, join(before, refused(12, 12, 6*day+12*time.Hour, news, users, relay, mail{says: "550 5.1.1 User unknown"}), fault))
		if ps := problemsIn(t, s, store.Filter{Since: onset}); len(ps) != 0 {
			t.Errorf("%+v", ps)
		}
	})
	t.Run("a fault on top of what is always refused", func(t *testing.T) {
		var always []mail
		for d := range 21 {
			always = join(always, to(20, time.Duration(d)*day, news, users, relay))
			if d < 20 {
				always = join(always, refused(1, 1, time.Duration(d)*day+10*time.Hour, news, users, relay, silent))
			}
		}
		ps := problemsOf(t, join(always, refused(12, 12, 20*day+2*time.Hour, news, users, relay, silent)))
		if len(ps) == 0 || ps[0].Level != problem.Likely || !ps[0].Since.Equal(begin.Add(20*day+2*time.Hour)) || ps[0].Attempts != 12 || ps[0].Before.Refused != 20 {
			t.Errorf("%+v", ps[0])
		}
	})
	t.Run("addresses", func(t *testing.T) {
		p := problemsOf(t, refused(3, 3, 0, news, users, relay, mail{says: "554 5.7.1 Client host [203.0.113.26] blocked using zen.spamhaus.org; see 192.0.2.1 and 127.0.0.2, 10.0.0.1"}))[0]
		if diff := gocmp.Diff([]string{"203.0.113.26"}, p.Addresses); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if want := "bouncelog scan shop.example --ip 203.0.113.26"; p.Scan != want {
			t.Errorf("scan = %q, want %q", p.Scan, want)
		}
	})
	t.Run("the address of a relay that takes mail", func(t *testing.T) {
		taken := with(to(60, 0, news, "u%d@other.example", "mx.other.example"), func(m *mail) { m.address = "203.0.113.77" })
		s := logOf(t, join(taken, refused(3, 3, day, news, users, relay, mail{says: "554 5.7.1 Client host [203.0.113.77] blocked using zen.spamhaus.org; see 203.0.113.26"})))
		for _, f := range []store.Filter{{}, {Since: begin.Add(day)}} { // also if mail was taken before the period
			p := problemsIn(t, s, f)[0]
			if diff := gocmp.Diff([]string{"203.0.113.26"}, p.Addresses); diff != "" {
				t.Errorf("from %v: -want +got:\n%s", f.Since, diff)
			}
		}
	})
	t.Run("a name that a shell would take apart", func(t *testing.T) {
		p := problemsOf(t, refused(1, 1, 0, "x@$(reboot).example", users, relay, mail{reason: bounce.Blocklist, detail: "spamcop", code: 554}))[0]
		if p.Scan != "bouncelog explain 554" {
			t.Errorf("scan = %q", p.Scan)
		}
	})
}

// TestHostileNames holds that invented names do not fill the memory and break nothing.
func TestHostileNames(t *testing.T) {
	var mails []mail
	for i := range 12_000 {
		mails = append(mails, mail{
			at: time.Duration(i) * time.Second, id: fmt.Sprintf("H%d", i), from: fmt.Sprintf("a@d%d.example\x1b[31m", i), to: fmt.Sprintf("u@r%d.example", i),
			relay: fmt.Sprintf("mx.p%d.example", i), outcome: bounce.Hard, reason: bounce.AuthFailure, code: 550,
		})
	}
	ps := problemsOf(t, mails)
	if len(ps) == 0 || len(ps) > 10_000 {
		t.Errorf("%d problems", len(ps))
	}
}

// TestDelays holds that deferrals which retries solved soon are background, even if those of a few
// messages a day go on for days.
func TestDelays(t *testing.T) {
	const (
		users, relay = "user%d@yahoo.com", "mta5.am0.yahoodns.net"
		says         = "421 4.7.0 [TSS04] Messages from 203.0.113.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1"
	)
	senders := []string{"anna@club.example", "boss@office.example", "news@shop.example"}
	var usual []mail
	for _, from := range senders {
		usual = append(usual, regular(5, 8, from, users, relay)...)
	}
	// Four messages on each of five days are deferred, then delivered if after is not 0.
	delayed := func(perDay int, after func(i int) time.Duration) (all []mail) {
		for d := 3; d < 8; d++ {
			for i := range perDay {
				m := mail{
					at: time.Duration(d)*day + time.Duration(i)*20*time.Minute, id: fmt.Sprintf("T%d-%d", d, i), from: senders[i%3],
					to: fmt.Sprintf("late%d-%d@yahoo.com", d, i), relay: relay, outcome: bounce.Soft, says: says, stage: bounce.StageMail,
				}
				all = append(all, m)
				if a := after(i); a != 0 {
					m.at, m.outcome, m.code, m.says = m.at+a, good, 250, ""
					all = append(all, m)
				}
			}
		}
		return all
	}
	always := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	for _, test := range []struct {
		name       string
		mails      []mail
		background bool
	}{
		{"delivered after minutes", delayed(4, always(7*time.Minute)), true},
		{"delivered after three hours", delayed(4, always(3*time.Hour)), true},
		{"delivered a day later", delayed(4, always(day)), false},
		{"not delivered", delayed(4, always(0)), false},
		{"half of them not delivered", delayed(8, func(i int) time.Duration { return time.Duration(i%2) * time.Hour }), false},
		{"one a day not delivered", delayed(4, func(i int) time.Duration { return time.Duration(min(i, 1)) * time.Hour }), true},
		{"many a day", delayed(40, always(7*time.Minute)), false},
	} {
		found := false
		for _, p := range problemsOf(t, join(usual, test.mails)) {
			if p.Level == problem.Confirmed {
				found = true
				if p.Background != test.background {
					t.Errorf("%s: %s: background: %v", test.name, p.Title, p.Background)
				}
			}
		}
		if !found {
			t.Errorf("%s: no incident", test.name)
		}
	}
}
