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

// TestVague holds which refusals without a cause of their own are part of the incident that names
// the cause, and that the two stay apart if their mail, beginning or end differ.
func TestVague(t *testing.T) {
	const (
		shop   = "news@shop.example"
		office = "anna@office.example"
		club   = "board@club.example"
		google = "aspmx.l.google.com"
		yahoo  = "mta5.am0.yahoodns.net"
		small  = "mx.small.example"
	)
	said := func(text string) mail { return mail{says: text, stage: bounce.StageEOM} }
	dmarc := said("550 5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy")
	silent := said("550 5.7.1 Message refused")
	ptr := said("550 5.7.25 The IP address sending this message does not have a PTR record")
	greeting := mail{says: "554 IP=203.0.113.9 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to clarify.)", stage: bounce.StageConnect}
	listed := func(by string) mail {
		return said("554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using " + by)
	}
	all := func(of func(from string) []mail) []mail { return join(of(shop), of(office), of(club)) }
	week := all(func(from string) []mail {
		return join(regular(6, 7, from, from[:2]+"g%d@gmail.com", google), regular(6, 7, from, from[:2]+"y%d@yahoo.com", yahoo),
			regular(6, 7, from, from[:2]+"s%d@small.example", small))
	})
	week = with(week, func(m *mail) { m.id = fmt.Sprint(m.id, m.to) })
	at := func(relay string) string {
		return map[string]string{google: "g%d@gmail.com", yahoo: "y%d@yahoo.com", small: "s%d@small.example"}[relay]
	}
	refuse := func(when time.Duration, from, relay string, m mail) []mail {
		return with(refused(6, 6, 7*day+when, from, from[:2]+at(relay), relay, m), func(m *mail) { m.id = fmt.Sprint(m.id, m.to) })
	}
	take := func(when time.Duration, from, relay string) []mail {
		return with(to(6, 7*day+when, from, from[:2]+at(relay), relay), func(m *mail) { m.id = fmt.Sprint(m.id, m.to) })
	}
	type answer struct{ Cause, From, At string }
	host := func(name string, list []mail) []mail {
		return with(list, func(m *mail) { m.host = name })
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{
			"one of two mail hosts is refused, and the mail of the other taken",
			join(host("mx2", join(refuse(0, shop, google, dmarc), refuse(6*time.Hour, shop, yahoo, silent))), host("mx1", join(take(2*time.Hour, shop, yahoo), take(time.Hour, shop, google))), take(0, office, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com yahoodns.net"}},
		},
		{
			"the mail of the refused host is taken in between",
			join(host("mx2", join(refuse(0, shop, google, dmarc), take(2*time.Hour, shop, yahoo), refuse(6*time.Hour, shop, yahoo, silent))), take(0, office, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com"}, {"unknown", "shop.example", "yahoodns.net"}},
		},
		{
			"different mail hosts are refused",
			join(host("mx2", refuse(0, shop, google, dmarc)), host("mx3", refuse(6*time.Hour, shop, yahoo, silent)), take(2*time.Hour, shop, yahoo), take(0, office, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com"}, {"unknown", "shop.example", "yahoodns.net"}},
		},
		{
			"a provider that names no cause, from the hour in which DMARC fails at another",
			join(refuse(0, shop, google, dmarc), refuse(time.Hour, shop, yahoo, silent), take(0, office, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com yahoodns.net"}},
		},
		{
			"the one that names no cause is first",
			join(refuse(time.Hour, shop, google, dmarc), refuse(0, shop, yahoo, silent), take(0, office, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com yahoodns.net"}},
		},
		{
			"it took mail of the domain after DMARC failed at another",
			join(refuse(0, shop, google, dmarc), take(2*time.Hour, shop, yahoo), refuse(6*time.Hour, shop, yahoo, silent), take(0, office, yahoo)),
			[]answer{{"authentication", "shop.example", "google.com"}, {"unknown", "shop.example", "yahoodns.net"}},
		},
		{
			"another sender domain",
			join(refuse(0, shop, google, dmarc), refuse(0, office, yahoo, silent), take(0, shop, yahoo), take(0, office, google)),
			[]answer{{"authentication", "shop.example", "google.com"}, {"unknown", "office.example", "yahoodns.net"}},
		},
		{
			"it refuses on after DMARC passes again",
			join(refuse(0, shop, google, dmarc), refuse(time.Hour, shop, yahoo, silent), take(2*time.Hour, shop, google), take(26*time.Hour, shop, google),
				refuse(24*time.Hour, shop, yahoo, silent), refuse(36*time.Hour, shop, yahoo, silent), take(0, office, yahoo)),
			[]answer{{"authentication", "shop.example", "google.com"}, {"unknown", "shop.example", "yahoodns.net"}},
		},
		{
			"an address without a name, at a provider that calls its reputation bad",
			all(func(from string) []mail { return join(refuse(0, from, google, ptr), refuse(0, from, small, greeting)) }),
			[]answer{{"ip", "club.example office.example shop.example", "google.com small.example"}},
		},
		{
			"a bad reputation of one sender domain only",
			join(all(func(from string) []mail { return refuse(0, from, google, ptr) }), refuse(0, shop, small, greeting), take(0, office, small), take(0, club, small), take(0, office, small), take(time.Hour, club, small), take(time.Hour, office, small), take(2*time.Hour, club, small), take(2*time.Hour, office, small), take(3*time.Hour, office, small)),
			[]answer{{"ip", "club.example office.example shop.example", "google.com"}, {"reputation", "shop.example", "small.example"}},
		},
		{
			"a usual deferral of a provider that takes the other mail",
			join(all(func(from string) []mail {
				return join(refuse(0, from, small, ptr), take(2*time.Hour, from, google), refuse(4*time.Hour, from, small, ptr))
			}), with(to(1, 7*day+time.Hour, shop, "shg%d@gmail.com", google), func(m *mail) {
				m.outcome, m.code, m.says = bounce.Soft, 421, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address."
			})),
			[]answer{{"reputation", "shop.example", "google.com"}, {"ip", "club.example office.example shop.example", "small.example"}},
		},
		{
			"a listing, and a provider that names volume and complaints",
			all(func(from string) []mail {
				return join(refuse(0, from, small, listed("zen.spamhaus.org")), refuse(0, from, yahoo, said("421 4.7.0 [TSS04] Messages from 203.0.113.9 temporarily deferred due to unexpected volume or user complaints")))
			}),
			[]answer{{"ip", "club.example office.example shop.example", "small.example"}, {"reputation", "club.example office.example shop.example", "yahoodns.net"}},
		},
		{
			"one listing, named in three ways",
			all(func(from string) []mail {
				return join(refuse(0, from, google, listed("zen.spamhaus.org")), refuse(0, from, yahoo, listed("sbl.spamhaus.org")), refuse(0, from, small, listed("Spamhaus")))
			}),
			[]answer{{"ip", "club.example office.example shop.example", "google.com small.example yahoodns.net"}},
		},
		{
			"a list of domains beside a list of addresses, and two operators",
			all(func(from string) []mail {
				return join(refuse(0, from, google, listed("zen.spamhaus.org")), refuse(0, from, yahoo, listed("dbl.spamhaus.org")), refuse(0, from, small, listed("bl.spamcop.net")))
			}),
			[]answer{
				{"ip", "club.example office.example shop.example", "google.com"},
				{"ip", "club.example office.example shop.example", "small.example"},
				{"reputation", "club.example office.example shop.example", "yahoodns.net"},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsOf(t, join(week, test.mails)) {
				got = append(got, answer{p.Cause, strings.Join(p.SenderDomains, " "), strings.Join(p.Providers, " ")})
			}
			slices.SortFunc(got, func(a, b answer) int { return strings.Compare(a.At, b.At) })
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestVagueRest holds that the silent refusals of the same mail, too few to stand out, are part of the
// incident that names their cause.
func TestVagueRest(t *testing.T) {
	const shop, google, yahoo = "news@shop.example", "aspmx.l.google.com", "mta5.am0.yahoodns.net"
	week := join(regular(6, 7, shop, "g%d@gmail.com", google), with(regular(6, 7, shop, "y%d@yahoo.com", yahoo), func(m *mail) { m.id += "y" }))
	dmarc := mail{says: "550 5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy", stage: bounce.StageEOM}
	silent := mail{says: "550 5.7.1 Message refused", stage: bounce.StageEOM}
	host := func(name string, list []mail) []mail {
		return with(list, func(m *mail) { m.host, m.id = name, m.id+m.to })
	}
	found := problemsOf(t, join(week, host("mx2", join(refused(24, 24, 7*day, shop, "g%d@gmail.com", google, dmarc), refused(1, 1, 7*day+time.Hour, shop, "y%d@yahoo.com", yahoo, silent),
		refused(6, 6, 7*day+12*time.Hour, shop, "y%d@yahoo.com", yahoo, silent), refused(1, 1, 7*day+15*time.Hour, shop, "g%d@gmail.com", google, dmarc))),
		host("mx1", join(to(40, 7*day+2*time.Hour, shop, "y%d@yahoo.com", yahoo), to(4, 7*day+13*time.Hour, shop, "g%d@gmail.com", google)))))
	if len(found) != 1 || found[0].Messages != 32 {
		t.Errorf("%d incidents, the first with %d messages", len(found), found[0].Messages)
	}
}

// TestUnnamed holds that refusals without a named cause are part of the incident that names it if they occur
// with it only, though their recipients are not known to be valid and other mail of the sender domain passes.
func TestUnnamed(t *testing.T) {
	const (
		shop, office  = "news@shop.example", "anna@office.example"
		google, yahoo = "aspmx.l.google.com", "mta5.am0.yahoodns.net"
		hours         = 10
	)
	dmarc := mail{says: "550 5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy", stage: bounce.StageEOM}
	silent := mail{says: "554 5.7.9 Message not accepted for policy reasons.", stage: bounce.StageEOM}
	once := func(when time.Duration, from, format, relay string, m mail) (list []mail) { // an order an hour, each to somebody else
		for i := range hours {
			x := refused(1, 1, when+time.Duration(i)*time.Hour, from, fmt.Sprintf(format, int(when.Hours())*100+i), relay, m)
			list = append(list, with(x, func(m *mail) { m.id = fmt.Sprint(m.id, m.to) })...)
		}
		return list
	}
	took := mail{outcome: good, code: 250}
	week := join(regular(6, 7, shop, "g%d@gmail.com", google), with(regular(6, 7, shop, "y%d@yahoo.com", yahoo), func(m *mail) { m.id += "y" }))
	at := func(when time.Duration) []mail {
		return join(once(7*day, shop, "new%d@gmail.com", google, dmarc), once(7*day+time.Minute, shop, "other%d@gmail.com", google, took), once(when, shop, "new%d@yahoo.com", yahoo, silent), once(7*day+3*time.Minute, shop, "other%d@yahoo.com", yahoo, took))
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  int // messages of the incident
	}{
		{"with the refusals for DMARC", at(7*day + 2*time.Minute), 2 * hours},
		{"the same, and a few days before", join(at(7*day+2*time.Minute), once(3*day, shop, "new%d@yahoo.com", yahoo, silent)), hours},
		{"half a day later", at(7*day + 12*time.Hour), hours},
		{"other sender domains as well", join(at(7*day+2*time.Minute), once(7*day+4*time.Minute, office, "his%d@yahoo.com", yahoo, silent)), hours},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, p := range problemsOf(t, join(week, test.mails)) {
				got = append(got, p.Messages)
			}
			if diff := gocmp.Diff([]int{test.want}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
