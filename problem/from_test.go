package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestOtherFrom holds that refused mail whose From: domain is not the sender domain is called so: the
// records of the sender domain are right, and the check is about From:.
func TestOtherFrom(t *testing.T) {
	const list, users, relay = "list-bounces@club.example", "user%d@big.example", "mx1.big-provider.example"
	taken := join(regular(12, 7, list, users, relay), regular(12, 8, list, users, relay))
	said := func(texts ...string) (all []mail) {
		for i := range 12 {
			all = append(all, mail{at: 7*day + time.Duration(i)*time.Minute, id: fmt.Sprintf("L%d", i), from: list, to: fmt.Sprintf(users, i), relay: relay, outcome: bounce.Hard, says: texts[i%len(texts)], stage: bounce.StageEOM})
		}
		return all
	}
	const (
		google    = "550-5.7.26 Unauthenticated email from bank.example.org is not accepted due to domain's DMARC policy. Please contact the administrator of bank.example.org domain if this was a legitimate mail."
		microsoft = "550 5.7.509 Access denied, sending domain BANK.EXAMPLE.ORG does not pass DMARC verification and has a DMARC policy of reject. [AM0EUR02FT099.eop-EUR02.mx1.big-provider.example 2026-11-24T10:12:13.114Z 08DE2AB23FEC]"
		own       = "550-5.7.26 Unauthenticated email from club.example is not accepted due to domain's DMARC policy."
		subdomain = "550 5.7.1 <member@mail.club.example>: rejected, DMARC policy of mail.club.example"
	)
	for _, test := range []struct {
		name  string
		mails []mail
		want  string // what is refused, in the title
	}{
		{"one domain", said(google, microsoft), "refuses mail with a From: of bank.example.org, sent on by club.example: DMARC does not pass"},
		{"a reply with the address of the author", said("550 5.7.1 Message from anna@bank.example.org rejected by its DMARC policy"), "refuses mail with a From: of bank.example.org, sent on by club.example: DMARC does not pass"},
		{"a reply that names no domain comes first", said("550 5.7.9 DMARC does not pass", google), "refuses mail with a From: of bank.example.org, sent on by club.example: DMARC does not pass"},
		{"several domains", said(google, strings.ReplaceAll(google, "bank.example.org", "post.example.net")), "refuses mail with a From: of bank.example.org and post.example.net, sent on by club.example: "},
		{"many domains", said(google, strings.ReplaceAll(google, "bank.example.org", "a.example.net"), strings.ReplaceAll(google, "bank.example.org", "b.example.com"), strings.ReplaceAll(google, "bank.example.org", "c.example.edu")), "refuses mail with a From: of a.example.net, b.example.com and others, sent on by club.example: "},
		{"the sender domain", said(own), "refuses club.example: DMARC does not pass"},
		{"a subdomain of the sender domain", said(subdomain), "refuses club.example: DMARC does not pass"},
		{"no domain", said("550 5.7.1 Message rejected due to DMARC policy"), "refuses club.example: DMARC does not pass"},
		{"the receiver's own domain", said("550 5.7.1 Message to user1@big.example rejected by mx1.big-provider.example, DMARC policy"), "refuses club.example: DMARC does not pass"},
		{"mostly the sender domain", said(own, own, google), "refuses club.example: DMARC does not pass"},
		{"another domain whose SPF does not pass", said("550 5.7.23 SPF validation failed: bank.example.org does not permit this sender"), "refuses club.example: SPF does not pass"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, join(taken, test.mails))
			if len(found) != 1 || !strings.Contains(found[0].Title, test.want) {
				t.Fatalf("%d incidents, the first: %q, want %q", len(found), found[0].Title, test.want)
			}
			p := &found[0]
			other := strings.Contains(test.want, "From:")
			if other == strings.Contains(p.Scan, " scan ") || other != strings.Contains(p.FirstCheck, "From:") || other != (len(p.FromDomains) > 0) || other != strings.Contains(p.Summary, "with a From: of") {
				t.Errorf("%q, %q, %q", p.Scan, p.FirstCheck, p.Summary)
			}
			named := func(d string) bool { return strings.Contains(strings.ToLower(p.Evidence[0].Text), d) }
			if other && !slices.ContainsFunc(p.FromDomains, named) {
				t.Errorf("%q names none of %q", p.Evidence[0].Text, p.FromDomains)
			}
		})
	}
}

// TestSampleOfCause holds that the sample of an incident that names its cause is a reply that names it, on
// each of its days, though another provider names none.
func TestSampleOfCause(t *testing.T) {
	const news, users = "news@shop.example", "user%d@p%d.example"
	var mails []mail
	for i := range 200 {
		at := time.Duration(i) * 10 * time.Minute // 33 hours
		for n, says := range [...]string{"550 5.7.26 DMARC does not pass", "550 5.7.9 Message not accepted for policy reasons"} {
			if n == 1 && i%3 > 0 { // so that the second day has a sample of the 64th
				continue
			}
			to := fmt.Sprintf(users, i, n)
			mails = append(mails,
				mail{at: at, id: fmt.Sprintf("T%d.%d", n, i), from: news, to: to, relay: fmt.Sprintf("mx.p%d.example", n), outcome: good, code: 250},
				mail{at: 7*day + at, id: fmt.Sprintf("R%d.%d", n, i), from: news, to: to, relay: fmt.Sprintf("mx.p%d.example", n), outcome: bounce.Hard, says: says, stage: bounce.StageEOM})
		}
	}
	s := logOf(t, mails)
	for d := range 2 {
		f := store.Filter{Since: begin.Add(7*day + time.Duration(d)*(day+time.Minute)), Until: begin.Add(8*day + time.Duration(d)*day)}
		found := problemsIn(t, s, f)
		if len(found) != 1 || !strings.Contains(found[0].Evidence[0].Text, "DMARC") {
			t.Errorf("day %d: %d incidents, the first: %+v", d, len(found), found[0].Evidence)
		}
	}
}

// TestReaders holds that one post to a list that several providers refuse for many readers is an incident.
func TestReaders(t *testing.T) {
	const list = "list-bounces@club.example"
	relay := func(provider int) string { return fmt.Sprintf("mx.provider%d.example", provider) }
	address := func(i, providers int) string { return fmt.Sprintf("reader%d@home%d.example", i, i%providers) }
	for _, test := range []struct {
		name               string
		readers, providers int
		want               bool
	}{
		{"many readers of several providers", 12, 4, true},
		{"many readers of one provider", 12, 1, false},
		{"a few readers of several providers", 6, 4, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mails []mail
			for d := range 8 {
				for post := range 10 {
					m := mail{at: time.Duration(d)*day + time.Duration(post)*time.Hour, id: fmt.Sprintf("P%d-%d", d, post), from: list, outcome: good, code: 250}
					if d == 7 && post == 3 {
						m.outcome, m.code, m.stage = bounce.Hard, 550, bounce.StageEOM
						m.says = "550-5.7.26 Unauthenticated email from bank.example.org is not accepted due to domain's DMARC policy."
					}
					for i := range test.readers {
						m.to, m.relay = address(i, test.providers), relay(i%test.providers)
						mails = append(mails, m)
					}
				}
			}
			found := slices.DeleteFunc(problemsOf(t, mails), func(p problem.Problem) bool { return p.Background })
			if got := len(found) == 1 && found[0].Messages == 1 && found[0].Recipients == test.readers; got != test.want {
				t.Errorf("found %+v", found)
			}
		})
	}
}
