package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// batch returns n messages on a day, each to one of many domains (%d in to). One in refuse messages
// is refused with a reply.
func batch(n, day, refuse int, says string, m mail) (list []mail) {
	for i := range n {
		x := m
		x.at = time.Duration(day)*24*time.Hour + time.Duration(i)*20*time.Second
		x.id = fmt.Sprintf("B%s%d-%d", m.from, day, i)
		x.to, x.relay = fmt.Sprintf("user%d@d%d.example", i, i%150), fmt.Sprintf("mx.d%d.example", i%150)
		if strings.Contains(m.from, "%d") {
			x.from = fmt.Sprintf(m.from, i%40)
		}
		x.outcome, x.code = good, 250
		if refuse > 0 && i%refuse == 0 {
			x.outcome, x.says = bounce.Hard, says
		}
		list = append(list, x)
	}
	return list
}

// TestFloods holds which accounts are reported as flooding.
func TestFloods(t *testing.T) {
	const unknown, spam, listed = "550 5.1.1 User unknown", "554 5.7.1 Spam message rejected", "554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org"
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	usual := func(m mail, days int) (all []mail) {
		for d := range days {
			all = append(all, batch(20, d, 10, unknown, m)...)
		}
		return all
	}
	newsletter := mail{from: "news@shop.example", login: "news"}
	// The other mail of the clerk's domain has a few invalid addresses, and far exceeds a flood.
	others := func(from, to int) (all []mail) {
		for d := from; d < to; d++ {
			all = append(all, with(batch(2000, d, 200, unknown, mail{from: "sales@office.example", login: "sales@office.example"}), func(m *mail) { m.id = "S" + m.id })...)
		}
		return all
	}
	filtered := mail{from: clerk.from, client: "127.0.0.1"} // a filter hides its login
	for _, test := range []struct {
		name  string
		mails []mail
		want  []string // accounts, with their days
	}{
		{"a stolen password", join(usual(clerk, 7), batch(600, 7, 3, unknown, clerk)), []string{"<clerk@office.example> 7"}},
		{"a stolen password of an account that sends much, so far", join(func() (all []mail) {
			for d := range 7 {
				all = append(all, batch(100, d, 50, unknown, clerk)...)
			}
			return all
		}(), batch(320, 7, 3, unknown, clerk)), []string{"<clerk@office.example> 7"}},
		{"with senders that are not the account's own", join(usual(clerk, 7), batch(600, 7, 3, unknown, mail{from: "x@forged%d.example", login: "clerk@office.example"})), []string{"<clerk@office.example> 7"}},
		{"over two days", join(usual(clerk, 7), batch(600, 7, 3, unknown, clerk), batch(600, 8, 3, unknown, clerk)), []string{"<clerk@office.example> 7"}},
		{"refused as spam, and a part to nobody", join(usual(clerk, 7), batch(600, 7, 5, unknown, clerk), batch(600, 7, 3, spam, with([]mail{clerk}, func(m *mail) { m.from = "clerk2@office.example" })[0])), []string{"<clerk@office.example> 7"}},
		{"a form on this server", join(usual(mail{from: "www@office.example", client: "127.0.0.1"}, 7), batch(600, 7, 3, unknown, mail{from: "www@office.example", client: "127.0.0.1"})), []string{"<www@office.example> 7"}},
		{"a script on this server", join(usual(mail{from: "www@office.example"}, 7), batch(600, 7, 3, unknown, mail{from: "www@office.example"})), []string{"<www@office.example> 7"}},
		{"notifications of this server", join(usual(clerk, 7), with(batch(600, 7, 3, unknown, mail{}), func(m *mail) { m.nullFrom = true })), nil},
		{"behind a filter, among much other mail", join(usual(filtered, 7), with(others(0, 8), func(m *mail) { m.login, m.client = "", "127.0.0.1" }), batch(600, 7, 3, unknown, filtered)), []string{"<clerk@office.example> 7"}},
		{"a computer with a virus, with senders of this side", join(usual(clerk, 7), with(batch(1000, 7, 2, unknown, mail{from: "staff%d@office.example", client: "192.168.1.20"}), func(m *mail) { m.id = "V" + m.id })), []string{"192.168.1.20 7"}},
		{"the same with few senders", join(usual(clerk, 7), with(batch(1000, 7, 2, unknown, mail{client: "192.168.1.20"}), func(m *mail) { m.from = fmt.Sprintf("staff%d@office.example", len(m.to)%3) })), []string{"<staff1@office.example> 7", "<staff2@office.example> 7", "<staff0@office.example> 7"}},
		{"one account behind a mail server of this network", join(usual(mail{from: clerk.from, client: "192.168.1.20"}, 7), func() (all []mail) {
			for d := range 8 {
				all = append(all, with(batch(100, d, 50, unknown, mail{from: "staff%d@office.example", client: "192.168.1.20"}), func(m *mail) { m.id = "V" + m.id })...)
			}
			return all
		}(), batch(600, 7, 3, unknown, mail{from: clerk.from, client: "192.168.1.20"})), []string{"<clerk@office.example> 7"}},
		{"through this network, of no sender", join(usual(clerk, 7), with(batch(600, 7, 3, unknown, mail{client: "192.168.1.20"}), func(m *mail) { m.nullFrom = true })), nil},
		{"a stolen password, among much other mail of the domain", join(usual(clerk, 7), others(0, 8), batch(600, 7, 3, unknown, clerk)), []string{"<clerk@office.example> 7"}},
		{"the same of a day and a half", join(usual(clerk, 2), others(0, 2), batch(600, 1, 2, unknown, clerk)), []string{"<clerk@office.example> 1"}},
		{"a newsletter once a month, among other mail", join(others(0, 31), with(batch(3000, 30, 12, unknown, newsletter), func(m *mail) { m.from = "news@office.example" })), nil},
		{"the same of two days", join(others(0, 2), with(batch(3000, 1, 12, unknown, newsletter), func(m *mail) { m.from = "news@office.example" })), nil},
		{"a new employee's first day, with an old address book", join(others(0, 8), batch(400, 7, 7, unknown, clerk)), nil},
		{"the same of a day and a half", join(others(0, 2), batch(400, 1, 7, unknown, clerk)), nil},
		{"no more mail than usual, among other mail, to addresses that are gone", join(others(0, 8), func() (all []mail) {
			for d := range 7 {
				all = append(all, batch(200, d, 0, "", clerk)...)
			}
			return all
		}(), batch(200, 7, 3, unknown, clerk)), nil},
		{"a stranger's mail that is forwarded", join(usual(mail{from: "a@else.example", client: "198.51.100.7"}, 7), batch(600, 7, 3, unknown, mail{from: "a@else.example", client: "198.51.100.7"})), nil},
		{"a newsletter with few invalid addresses", join(usual(newsletter, 7), batch(3000, 7, 25, unknown, newsletter)), nil},
		{"a newsletter that is judged spam", join(usual(newsletter, 7), batch(1500, 7, 3, spam, newsletter)), nil},
		{"the same volume while the address is listed", join(usual(newsletter, 7), batch(3000, 7, 3, listed, newsletter)), nil},
		{"a list that is always that bad", join(batch(600, 0, 3, unknown, newsletter), batch(600, 3, 3, unknown, newsletter), batch(600, 6, 3, unknown, newsletter), batch(600, 7, 3, unknown, newsletter)), nil},
		{"too short a past", join(usual(clerk, 2), batch(600, 2, 3, unknown, clerk)), nil},
		{"too short a past, and mostly returned", join(usual(clerk, 2), batch(400, 2, 2, unknown, clerk)), []string{"<clerk@office.example> 2"}},
		{"no past, mostly refused as spam, and a part to nobody", join(batch(600, 0, 4, unknown, clerk), batch(400, 0, 1, spam, with([]mail{clerk}, func(m *mail) { m.from = "clerk2@office.example" })[0])), []string{"<clerk@office.example> 0"}},
		{"no past, mostly refused as spam", batch(600, 0, 1, spam, clerk), nil},
		{"no past, and slowly", with(batch(200, 0, 2, unknown, clerk), func(m *mail) { m.at *= 20 }), nil},
		{"no more mail than usual, to addresses that are gone", join(func() (all []mail) {
			for d := range 7 {
				all = append(all, batch(200, d, 0, "", clerk)...)
			}
			return all
		}(), batch(200, 7, 3, unknown, clerk)), nil},
		{"a mailing to an old list, mostly taken", join(usual(newsletter, 7), batch(1500, 7, 7, unknown, newsletter)), nil},
		{"hardly anything", join(usual(clerk, 7), batch(112, 7, 4, unknown, clerk)), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range problemsOf(t, test.mails) {
				if p.Cause != "flood" {
					continue
				}
				account := strings.Fields(p.Title)[2]
				got = append(got, fmt.Sprintf("%s %d", account, p.Began().Sub(begin.Truncate(24*time.Hour))/(24*time.Hour)))
				if p.Level != problem.Likely || p.FirstCheck == "" || p.Scan == "" || len(p.Evidence) == 0 || p.Outage() || p.Onset != nil { // the total mail of the account is not known
					t.Errorf("incomplete: %+v", p)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestFloodOfAList holds that a flood that may also be a mailing to an old list is reported as
// both: all its invalid addresses have one sender domain.
func TestFloodOfAList(t *testing.T) {
	const unknown, spam, list = "550 5.1.1 User unknown", "554 5.7.1 Spam message rejected", "a mailing to an old list, or a stolen password"
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	for _, test := range []struct {
		name  string
		flood []mail
		want  bool
	}{
		{"invalid addresses", batch(600, 7, 3, unknown, clerk), true},
		{"senders of many domains", batch(600, 7, 3, unknown, mail{from: "x@forged%d.example", login: "clerk@office.example"}), false},
		{"a part refused as spam", join(batch(600, 7, 3, unknown, clerk), batch(60, 7, 3, spam, with([]mail{clerk}, func(m *mail) { m.from = "boss@office.example" })[0])), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mails []mail
			for d := range 7 {
				mails = append(mails, batch(20, d, 10, unknown, clerk)...)
			}
			found := false
			for _, p := range problemsOf(t, join(mails, test.flood)) {
				if p.Cause == "flood" {
					found = true
					if got := strings.Contains(p.Title, list); got != test.want {
						t.Errorf("%q: told as a list: %v, want %v", p.Title, got, test.want)
					}
				}
			}
			if !found {
				t.Error("no flood is found")
			}
		})
	}
}

// TestFloodEnds holds that one or two messages with timestamps ahead do not end a flood. Some hours
// of other mail without it do, whatever other mail of the account is returned then; a shorter pause
// does not.
func TestFloodEnds(t *testing.T) {
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	const unknown = "550 5.1.1 User unknown"
	flood := batch(400, 0, 2, unknown, clerk) // lasts 133 minutes
	later := func(n int, at time.Duration) []mail {
		return with(batch(n, 0, 1, unknown, clerk), func(m *mail) { m.id, m.at = fmt.Sprint(at, m.id), m.at+at })
	}
	others := func(n int, at time.Duration) []mail {
		return to(n, at, "else@other.example", "u%d@else.example", "mx.else.example")
	}
	for _, test := range []struct {
		name  string
		mails []mail
		going bool
	}{
		{"nothing", nil, true},
		{"one message more than a day later", others(1, 40*time.Hour), true},
		{"two", others(2, 40*time.Hour), true},
		{"three", others(3, 40*time.Hour), false},
		{"forty", others(40, 40*time.Hour), false},
		{"other mail for three hours", others(160, 3*time.Hour), true},
		{"other mail for six hours", others(340, 3*time.Hour), false},
		{"a dead address in the fifth hour", join(others(340, 3*time.Hour), later(1, 7*time.Hour)), false},
		{"more of it in the fifth hour", join(others(340, 3*time.Hour), later(20, 7*time.Hour)), true},
	} {
		found := problemsOf(t, join(flood, test.mails))
		if len(found) != 1 || found[0].Cause != "flood" || found[0].Ongoing != test.going {
			t.Errorf("%s: %+v", test.name, found)
		}
	}
}

// TestFloodLasts holds that a flood lasts while more mail is returned than usual. It does not begin
// with one invalid address hours before, nor end with one hours later or with those of the next
// day.
func TestFloodLasts(t *testing.T) {
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	const unknown = "550 5.1.1 User unknown"
	flood := batch(600, 7, 3, unknown, clerk) // lasts 200 minutes
	var usual []mail
	for d := range 7 {
		usual = append(usual, batch(20, d, 10, unknown, clerk)...)
	}
	before := with(batch(2, 7, 1, unknown, clerk), func(m *mail) { m.id, m.at = "B"+m.id, m.at-6*time.Hour })
	later := with(batch(2, 7, 1, unknown, clerk), func(m *mail) { m.id, m.at = "L"+m.id, m.at+6*time.Hour })
	goes := with(batch(30, 7, 1, unknown, clerk), func(m *mail) { m.id, m.at = "G"+m.id, m.at+6*time.Hour })
	for _, test := range []struct {
		name  string
		mails []mail
		want  time.Duration // end, after the start of the flood
	}{
		{"nothing later", nil, 597 * 20 * time.Second},
		{"two dead addresses before", before, 597 * 20 * time.Second},
		{"two dead addresses", later, 597 * 20 * time.Second},
		{"more of it", goes, 6*time.Hour + 29*20*time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, p := range problemsOf(t, join(usual, test.mails, flood)) {
				if b := begin.Add(7 * day); p.Began().Before(b) || p.Began().After(b.Add(time.Minute)) {
					t.Errorf("%s began at %s, want %s", p.Title, p.Began(), b)
				}
				if got := p.Until.Sub(begin.Add(7 * day)); p.Cause != "flood" || got != test.want {
					t.Errorf("%s ended after %s, want %s", p.Title, got, test.want)
				}
			}
			// In a later period, the usual mail is no flood.
			if found := problemsIn(t, logOf(t, join(usual, flood, later)), store.Filter{Since: begin.Add(7*day + 5*time.Hour)}); len(found) != 0 {
				t.Errorf("after the end: %+v", found)
			}
		})
	}
}

// TestFloodLeft holds that a flood's mail is named for as long as it waits and is tried, on later days too,
// and no longer when it was delivered, returned or removed; and that mail that the account sent later
// is none of it.
func TestFloodLeft(t *testing.T) {
	const rate = "421 4.7.28 an unusual rate of unsolicited mail originating from your IP address [203.0.113.25]"
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	var usual []mail
	for d := range 7 {
		usual = append(usual, batch(20, d, 10, "550 5.1.1 User unknown", clerk)...)
	}
	flood := batch(600, 7, 3, "550 5.1.1 User unknown", clerk)
	mails := func(id string, n int, at, until, gap time.Duration, outcome bounce.Outcome) (all []mail) {
		for ; at < until; at += gap {
			all = join(all, with(refused(n, n, at, clerk.from, "victim%d@gmail.com", "gmail-smtp-in.l.google.com", mail{says: rate, outcome: outcome, login: clerk.login}), func(m *mail) { m.id = id + m.to }))
		}
		return all
	}
	waits := func(n int, until time.Duration) []mail {
		return mails("W", n, 7*day+time.Hour, until, 2*time.Hour, bounce.Soft)
	}
	taken := func(n int, at time.Duration) []mail {
		return with(mails("W", n, at, at+1, day, good), func(m *mail) { m.says, m.code, m.login = "", 250, "" })
	}
	others := daily(48, 0, 11, "else@other.example", "z%d@else.example", "mx.else.example", mail{outcome: good, code: 250})
	for _, test := range []struct {
		name    string
		mails   []mail
		waiting int // 0: no problem
	}{
		{"it waits", waits(30, 10*day), 30},
		{"a part was delivered on that day", join(waits(30, 10*day), taken(10, 9*day-time.Minute)), 20},
		{"it was delivered on the day before", join(waits(30, 8*day-time.Hour), taken(30, 8*day-time.Minute)), 0},
		{"it was removed", waits(30, 8*day-time.Hour), 0},
		{"two messages", waits(2, 10*day), 0},
		{"it was returned", join(waits(30, 8*day+time.Hour), mails("W", 30, 8*day+2*time.Hour, 8*day+3*time.Hour, day, bounce.Hard)), 0},
		{"the owner's mail of that day", mails("O", 30, 8*day+time.Hour, 9*day, 2*time.Hour, bounce.Soft), 0},
	} {
		waiting := 0
		for _, p := range problemsIn(t, logOf(t, join(usual, flood, others, test.mails)), store.Filter{Since: begin.Truncate(day).Add(9 * day), Until: begin.Truncate(day).Add(10 * day)}) {
			if p.Cause != "flood" {
				continue
			}
			if waiting = p.Waiting; p.Ongoing || p.Background || !strings.Contains(p.Ended, fmt.Sprintf("%d recipients waits", waiting)) || !p.EndedAt.Before(begin.Add(8*day)) {
				t.Errorf("%s: %+v", test.name, p)
			}
		}
		if waiting != test.waiting {
			t.Errorf("%s: %d wait, want %d", test.name, waiting, test.waiting)
		}
	}
}

// TestFloodEffects holds that refusals of a flood's own messages are its effect: no incident of
// their own, nor a part of one. An incident of others' mail at the same provider says so. A public
// listing is about the sending address and remains an incident.
func TestFloodEffects(t *testing.T) {
	const (
		unknown = "550 5.1.1 User unknown"
		rate    = "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address [203.0.113.25]. To protect our users from spam, mail sent from your IP has been temporarily rate limited."
		spam    = "550 5.7.1 Spam message rejected"
		listed  = "554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org"
		users   = "user%d@gmail.com"
		relay   = "gmail-smtp-in.l.google.com"
	)
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	var usual []mail
	for d := range 7 {
		usual = append(usual, batch(20, d, 10, unknown, clerk)...)
	}
	usual = join(usual, regular(12, 8, "news@shop.example", users, relay))
	flood := batch(600, 7, 3, unknown, clerk) // lasts 200 minutes
	deferred := func(n int, at time.Duration, says, from, login string) []mail {
		return with(refused(n, n, at, from, "victim%d@gmail.com", relay, mail{says: says, outcome: bounce.Soft, login: login}), func(m *mail) { m.id = from + m.id })
	}
	own := deferred(150, 7*day, rate, clerk.from, clerk.login)
	retried := with(deferred(150, 7*day, rate, clerk.from, clerk.login), func(m *mail) { m.at += 5 * time.Hour })
	early := func() (all []mail) { // a delay a day, before the flood
		for d := range 7 {
			at := time.Duration(d)*day + 12*time.Hour
			all = join(all, deferred(1, at, rate, "news@shop.example", "news"), with(to(1, at+10*time.Minute, "news@shop.example", "victim%d@gmail.com", relay), func(m *mail) { m.id = fmt.Sprint("E", d) }))
		}
		return all
	}()
	type incident struct {
		Cause, Senders string
		Began          time.Duration
		Beside         bool // Why names the flood
	}
	stolen := incident{"flood", "office.example", 7 * day, true}
	for _, test := range []struct {
		name  string
		mails []mail
		want  []incident
	}{
		{"its deferrals", join(own, retried), []incident{stolen}},
		{"with single delays before", join(own, retried, early), []incident{stolen}},
		{"its refusals as spam", deferred(150, 7*day, spam, clerk.from, clerk.login), []incident{stolen}},
		{
			"others' mail too", join(own, retried, deferred(40, 7*day+30*time.Minute, rate, "anna@club.example", "anna")),
			[]incident{stolen, {"reputation", "club.example", 7*day + 30*time.Minute, true}},
		},
		{
			"another account's mail from the same domain", join(own, deferred(40, 7*day+30*time.Minute, rate, "boss@office.example", "boss")),
			[]incident{stolen, {"reputation", "office.example", 7*day + 30*time.Minute, true}},
		},
		{
			"others' mail days before", join(own, deferred(40, 2*day, rate, "anna@club.example", "anna")),
			[]incident{stolen, {"reputation", "club.example", 2 * day, false}},
		},
		{"a public listing", join(own, deferred(40, 7*day+30*time.Minute, listed, clerk.from, clerk.login)), []incident{stolen, {"ip", "office.example", 7*day + 30*time.Minute, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := logOf(t, join(usual, flood, test.mails))
			var got []incident
			for _, p := range problemsIn(t, db, store.Filter{}) {
				if !p.Background {
					got = append(got, incident{p.Cause, strings.Join(p.SenderDomains, " "), p.Began().Sub(begin).Truncate(time.Hour / 2), strings.Contains(p.Why, "flood")})
				}
			}
			if diff := gocmp.Diff(test.want, got, cmpopts.SortSlices(func(a, b incident) bool { return a.Cause == "flood" })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// Retries of its messages on the next day are no incident either.
			for _, p := range problemsIn(t, db, store.Filter{Since: begin.Add(7*day + 4*time.Hour + 30*time.Minute)}) {
				if !p.Background && p.Cause == "reputation" && !strings.Contains(strings.Join(p.SenderDomains, " "), "club") {
					t.Errorf("after the flood: %s, %d messages", p.Title, p.Messages)
				}
			}
		})
	}
}

// TestFloodOfUnknownSubmitter holds that a program of this host is blamed for a flood only if the log has who
// submitted other mail.
func TestFloodOfUnknownSubmitter(t *testing.T) {
	const unknown = "550 5.1.1 User unknown"
	form := mail{from: "www@office.example"}
	var usual, others []mail
	for d := range 7 {
		usual = append(usual, batch(20, d, 10, unknown, form)...)
		others = append(others, batch(20, d, 10, unknown, mail{from: "clerk@office.example", login: "clerk"})...)
	}
	flood := batch(600, 7, 3, unknown, form)
	for name, test := range map[string]struct {
		mails []mail
		blame bool
	}{
		"with logins":    {join(usual, others, flood), true},
		"without smtpd":  {join(usual, flood), false},
		"others unknown": {join(usual, with(slices.Clone(others), func(m *mail) { m.login = "" }), flood), false},
	} {
		found := slices.DeleteFunc(problemsOf(t, test.mails), func(p problem.Problem) bool { return p.Cause != "flood" })
		if len(found) != 1 || strings.Contains(found[0].Title, "program on this server") != test.blame || strings.Contains(found[0].FirstCheck, "smtpd") == test.blame {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
