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

// TestOneIncident holds that one incident has one onset, one title and one id on each of its days:
// in the report of each day on the next morning, and up to any moment.
func TestOneIncident(t *testing.T) {
	const (
		news = "news@shop.example"
		at   = "mx1.big-provider.example"
		mbx  = "user%d@big.example"
	)
	hard := func(says string) mail { return mail{says: says, outcome: bounce.Hard} }
	soft := func(says string) mail { return mail{says: says, outcome: bounce.Soft} }
	taken := mail{outcome: good, code: 250}
	spf := hard("550 5.7.23 SPF validation failed")
	reputation := hard("550 5.7.1 Your IP 203.0.113.25 has a bad reputation")
	owner := func(n int) string { return fmt.Sprintf("clerk@office%d.example", n) }
	// several returns messages of the sender domains first to last, which advance each day
	several := func(first, last, further, days int, m mail) (all []mail) {
		for d := range days {
			for n := first + d*further; n < last+d*further; n++ {
				all = append(all, daily(2, 8+d, 9+d, owner(n), fmt.Sprintf("u%d-%d-%%d@big.example", d, n), at, m)...)
			}
		}
		return with(all, func(m *mail) { m.at += 5 * time.Hour })
	}
	local := func(n, first, last int, says string) (all []mail) {
		for d := first; d < last; d++ {
			for i := range n {
				all = append(all, mail{
					at: time.Duration(d)*day + time.Duration(i)*23*time.Minute, id: fmt.Sprintf("L%d-%d", d, i), from: news, to: fmt.Sprintf("u%d@d%d.example", i, (i+d)%9),
					outcome: bounce.Soft, says: fmt.Sprintf(says, (i+d)%9), local: true,
				})
			}
		}
		return all
	}
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	for _, test := range []struct {
		name  string
		mails []mail
		days  [2]int // first day of the incident, and the day after its last
	}{
		{
			"one sender domain fails SPF at two providers, the second of which loses more the next morning",
			join(daily(12, 0, 8, news, mbx, at, taken), daily(9, 8, 9, news, "x%d@big.example", at, spf),
				with(daily(4, 8, 10, news, "y%d@other.example", "mx.other.example", spf), func(m *mail) { m.id += "O" }),
				with(daily(30, 8, 9, news, "z%d@other.example", "mx.other.example", spf), func(m *mail) { m.id, m.at = m.id+"Z", m.at+17*time.Hour })),
			[2]int{8, 10},
		},
		{"one sender domain fails SPF for four days", join(daily(12, 0, 8, news, mbx, at, taken), daily(12, 8, 12, news, "x%d@big.example", at, spf)), [2]int{8, 12}},
		{"each day some other sender domains fail SPF at one provider", join(daily(12, 0, 8, news, mbx, at, taken), several(0, 6, 1, 4, spf)), [2]int{8, 12}},
		{
			"each day fewer sender domains",
			join(daily(12, 0, 8, news, mbx, at, taken), several(0, 2, 0, 4, spf), several(2, 4, 0, 2, spf), several(4, 6, 0, 1, spf)),
			[2]int{8, 12},
		},
		{
			"a provider's own list one day, a bad reputation there the next",
			join(daily(12, 0, 8, news, mbx, "mx1.mail.protection.outlook.com", taken),
				daily(6, 8, 9, news, mbx, "mx1.mail.protection.outlook.com", hard("550 5.7.1 Unfortunately, messages from [203.0.113.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).")),
				with(daily(9, 9, 11, news, mbx, "mx1.mail.protection.outlook.com", soft("451 4.7.650 The mail server [203.0.113.25] has been temporarily rate limited due to IP reputation.")), func(m *mail) { m.at += 10 * time.Hour })),
			[2]int{8, 11},
		},
		{
			"SPF is named on the first day, DMARC on the next ones",
			join(daily(12, 0, 8, news, mbx, at, taken), daily(6, 8, 9, news, mbx, at, spf), daily(9, 9, 12, news, mbx, at, hard("550 5.7.1 rejected by DMARC policy"))),
			[2]int{8, 12},
		},
		{"a bad reputation at many providers", join(each(7, 12, 0, news, taken), each(7, 3, 8*day, news, reputation), with(each(2, 3, 9*day, news, reputation), func(m *mail) { m.id = "N" + m.id })), [2]int{8, 10}},
		{
			"no cause is named, for four days",
			join(daily(12, 0, 8, news, mbx, at, taken), daily(12, 8, 12, news, mbx, at, hard("550 5.7.1 Message refused"))),
			[2]int{8, 12},
		},
		{
			"no cause is named to several sender domains, each day fewer",
			join(daily(12, 0, 8, owner(1), mbx, at, taken), daily(12, 0, 8, owner(2), "v%d@big.example", at, taken), daily(12, 0, 8, owner(3), "w%d@big.example", at, taken),
				daily(12, 8, 9, owner(1), mbx, at, hard("550 5.7.1 Message refused")), daily(12, 8, 10, owner(2), "v%d@big.example", at, hard("550 5.7.1 Message refused")), daily(12, 8, 12, owner(3), "w%d@big.example", at, hard("550 5.7.1 Message refused"))),
			[2]int{8, 12},
		},
		{"the own filter is down for five days", join(daily(12, 0, 8, news, mbx, at, taken), local(20, 8, 13, "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused%.0d")), [2]int{8, 13}},
		{"no connection to anybody for five days", join(daily(12, 0, 8, news, mbx, at, taken), local(20, 8, 13, "connect to mx.d%d.example[192.0.2.9]:25: Connection timed out")), [2]int{8, 13}},
		{
			"an account floods for two days",
			join(func() (all []mail) {
				for d := range 7 {
					all = append(all, batch(20, d, 10, "550 5.1.1 User unknown", clerk)...)
				}
				return all
			}(), batch(600, 7, 3, "550 5.1.1 User unknown", clerk), batch(600, 8, 3, "550 5.1.1 User unknown", clerk)),
			[2]int{7, 9},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Other people's mail goes on, so that each day has an end.
			db := logOf(t, join(test.mails, daily(3, 0, test.days[1]+1, "else@other.example", "z%d@else.example", "mx.else.example", taken)))
			midnight := begin.Truncate(day)
			one := func(f store.Filter) string {
				var list []string
				for _, p := range problemsIn(t, db, f) {
					if p.Level != problem.Watch {
						list = append(list, fmt.Sprintf("%s since %s: %s", p.ID, p.Began().Format("2 Jan 15:04:05"), p.Title))
					}
				}
				slices.Sort(list)
				return strings.Join(list, "; ")
			}
			first := ""
			for d := test.days[0]; d < test.days[1]; d++ {
				since, until := midnight.Add(time.Duration(d)*day), midnight.Add(time.Duration(d+1)*day)
				got := one(store.Filter{Since: since, Until: until})
				if first == "" {
					first = got
				}
				if got == "" || strings.Contains(got, ";") || got != first {
					t.Errorf("day %d: %s, the first said: %s", d, got, first)
				}
				if all := one(store.Filter{Until: until}); all != got {
					t.Errorf("day %d: %s, of all up to then: %s", d, got, all)
				}
			}
		})
	}
}

// TestTitleByHarm holds that a title first names the place with the most mail lost in the first hour,
// then with the most refused mail, and limits the number of names.
func TestTitleByHarm(t *testing.T) {
	const spf = "550 5.7.23 SPF validation failed"
	at := func(provider string, n int, outcome bounce.Outcome) []mail {
		return with(refused(n, n, time.Hour, "news@shop.example", "u%d@"+provider, "mx."+provider, mail{says: spf, outcome: outcome}), func(m *mail) { m.id = provider + m.id })
	}
	for _, test := range []struct {
		mails []mail
		want  string
	}{
		{join(at("a.example", 2, bounce.Hard), at("b.example", 9, bounce.Hard)), "b.example and a.example refuse shop.example"},
		{join(at("a.example", 9, bounce.Soft), at("b.example", 3, bounce.Hard), at("c.example", 9, bounce.Soft)), "b.example, a.example and c.example refuse shop.example"},
		{join(at("a.example", 2, bounce.Hard), at("b.example", 2, bounce.Soft), at("c.example", 3, bounce.Hard), at("d.example", 9, bounce.Hard)), "d.example, c.example and others refuse shop.example"},
	} {
		found := problemsOf(t, test.mails)
		if len(found) != 1 || found[0].Short != test.want {
			t.Errorf("%+v, want %s", found, test.want)
		}
	}
}

// TestOwnBlocklist holds that a title names a provider's own blocklist as the table of reasons does.
func TestOwnBlocklist(t *testing.T) {
	const s3140 = "550 5.7.1 Unfortunately, messages from [203.0.113.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140)."
	found := problemsOf(t, refused(12, 12, time.Hour, "news@shop.example", "u%d@big.example", "mx1.mail.protection.outlook.com", mail{says: s3140}))
	if len(found) != 1 || found[0].Reason != bounce.Blocklist || found[0].Title != "Microsoft refuses shop.example: listed on its own blocklist" {
		t.Errorf("%+v", found)
	}
}

// TestManyProviders holds that a listing at any number of providers ends when their mail is taken
// again, and goes on when it is not.
func TestManyProviders(t *testing.T) {
	const news = "news@shop.example"
	taken := mail{outcome: good, code: 250}
	listed := mail{says: "550 5.7.1 Service unavailable; client [203.0.113.25] blocked using zen.spamhaus.org", outcome: bounce.Hard}
	for _, test := range []struct {
		providers  int
		of         string // refused and tried messages; "": not all providers are compared
		after      []mail
		wantGoesOn bool
	}{
		{20, "40 of 40", each(20, 1, 9*day, news, taken), false},
		{60, "120 of 120", each(60, 1, 9*day, news, taken), false},
		{60, "120 of 120", nil, true},
		{300, "", each(300, 1, 10*day, news, taken), false},
		{300, "", to(3, 10*day, "else@other.example", "u%d@else.example", "mx.else.example"), true},
	} {
		found := problemsOf(t, join(each(test.providers, 1, 0, news, taken), each(test.providers, 2, 8*day, news, listed), test.after))
		if len(found) != 1 || found[0].Ongoing != test.wantGoesOn || found[0].Messages != 2*test.providers {
			t.Fatalf("%d providers: %+v", test.providers, found)
		}
		of := found[0].Onset
		if of == nil || of.Refused > of.Tried || test.of != "" && test.of != fmt.Sprintf("%d of %d", of.Refused, of.Tried) || test.of == "" && of.Refused == found[0].Messages {
			t.Errorf("%d providers: %+v of the messages", test.providers, of)
		}
		if before := found[0].Before; before == nil || before.Refused != 0 || before.Tried == 0 {
			t.Errorf("%d providers: before: %+v", test.providers, before)
		}
	}
}

// TestTitleStays holds that a title does not change once the first hour is over, whichever place has
// the most harm later.
func TestTitleStays(t *testing.T) {
	at := func(provider string, n int, at time.Duration) []mail {
		return with(refused(n, n, at, "news@shop.example", "u%d@"+provider, "mx."+provider, mail{says: "550 5.7.23 SPF validation failed", outcome: bounce.Hard}), func(m *mail) { m.id = fmt.Sprint(provider, at, m.id) })
	}
	s := logOf(t, join(at("a.example", 1, 0), at("b.example", 2, 10*time.Minute), at("d.example", 30, 3*time.Hour), at("c.example", 9, 5*time.Hour), at("a.example", 9, 7*time.Hour)))
	want := "b.example and a.example refuse shop.example"
	for h := 1; h < 12; h++ {
		found := problemsIn(t, s, store.Filter{Until: begin.Add(time.Duration(h) * time.Hour)})
		if h > 3 {
			want = "b.example, a.example and d.example refuse shop.example"
		}
		if h > 5 {
			want = "b.example, a.example and others refuse shop.example"
		}
		if len(found) != 1 || found[0].Short != want {
			t.Errorf("after %d hours: %+v, want %s", h, found, want)
		}
	}
}

// TestPartial holds that an incident of one of several sending addresses does not end whenever mail
// of another is taken for a while, and ends soon once nothing is refused.
func TestPartial(t *testing.T) {
	const (
		news   = "news@shop.example"
		onset  = 7 * day
		fixed  = onset + 44*time.Hour
		listed = "550 5.7.1 Our system has detected a very low reputation of the sending IP address 203.0.113.26"
	)
	// One message of others each 4 minutes, all the time.
	var taken []mail
	for i := range int((fixed + 40*time.Hour) / (4 * time.Minute)) {
		taken = append(taken, mail{at: time.Duration(i) * 4 * time.Minute, id: fmt.Sprint("T", i), from: news, to: fmt.Sprintf("u%d@big.example", i%90), relay: "mx.big.example", outcome: good, code: 250})
	}
	batches := func(every time.Duration, outcome bounce.Outcome) (all []mail) {
		for at, n := onset, 0; at < fixed; at, n = at+every, n+1 {
			all = join(all, with(refused(8, 8, at+time.Second, news, fmt.Sprintf("b%d-%%d@big.example", n), "mx.big.example", mail{says: listed, outcome: outcome}), func(m *mail) { m.id = fmt.Sprint(m.id, n) }))
		}
		return all
	}
	local := func(every time.Duration) (all []mail) {
		for at, i := onset, 0; at < fixed; at, i = at+every, i+1 {
			all = append(all, mail{at: at + time.Second, id: fmt.Sprint("L", i), from: news, to: fmt.Sprintf("u%d@d%d.example", i, i%9), outcome: bounce.Soft, says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", local: true})
		}
		return all
	}
	for _, test := range []struct {
		name   string
		failed []mail
		from   time.Duration // since the onset, of the first look
		ends   int           // times that it seems to have ended while it goes on: the first pause is like no other
		within time.Duration // from the last failure until it has ended
	}{
		{"a newsletter each 8 hours", batches(8*time.Hour, bounce.Hard), time.Hour, 1, 38 * time.Hour},
		{"a newsletter each 2 hours", batches(2*time.Hour, bounce.Hard), time.Hour, 1, 22 * time.Hour},
		{"deferred", batches(2*time.Hour, bounce.Soft), time.Hour, 1, 22 * time.Hour},
		{"a message now and then", batches(20*time.Minute, bounce.Hard), time.Hour, 1, 4 * time.Hour},
		{"the filter of one of two instances", local(45 * time.Minute), 4 * time.Hour, 0, 8 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := logOf(t, join(taken, test.failed))
			going := func(at time.Duration) bool {
				var found []problem.Problem
				for _, p := range problemsIn(t, s, store.Filter{Since: begin.Add(at - 3*day), Until: begin.Add(at)}) {
					if p.Level == problem.Confirmed {
						found = append(found, p)
					}
				}
				if len(found) != 1 {
					t.Fatalf("%v after the onset: %+v", at-onset, found)
				}
				return found[0].Ongoing
			}
			ends, was := 0, true
			for at := onset + test.from; at < fixed; at += 30 * time.Minute {
				is := going(at)
				if was && !is {
					ends++
				}
				was = is
			}
			if ends > test.ends {
				t.Errorf("it ended %d times while it went on", ends)
			}
			if going(fixed + test.within) {
				t.Errorf("it goes on %v after its last failure", test.within)
			}
		})
	}
}

// TestSettled holds that deferrals have ended in the evening of a day if all their mail was delivered and
// a few other messages were taken since; not if a message waits or was returned, and not in a pause as
// long as an earlier one.
func TestSettled(t *testing.T) {
	const (
		news  = "news@shop.example"
		onset = 8*day + 9*time.Hour
		limit = "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address"
	)
	taken := mail{outcome: good, code: 250}
	// limited holds 200 messages, of which two of three are deferred once, over the hours from on.
	limited := func(id string, from, over time.Duration) (all []mail) {
		for i := range 200 {
			m := mail{at: from + time.Duration(i)*over/200, id: fmt.Sprint(id, i), from: news, to: fmt.Sprintf("%s%d@big.example", strings.ToLower(id), i), relay: "mx.big.example", outcome: good, code: 250}
			if i%9 > 5 || i/9%2 == 0 { // runs of nine messages, so that pauses are usual
				first := m
				first.outcome, first.says, first.code = bounce.Soft, limit, 421
				all = append(all, first)
				m.at += 20 * time.Minute
			}
			all = append(all, m)
		}
		return all
	}
	since := func(n int) []mail { // after the last message of limited
		return with(daily(n, 8, 9, news, "s%d@big.example", "mx.big.example", taken), func(m *mail) { m.id, m.at = "S"+m.id, onset+10*time.Hour+m.at%day/4 })
	}
	one := func(outcome bounce.Outcome) []mail {
		return []mail{{at: onset + 3*time.Hour, id: "ONE", from: news, to: "one@big.example", relay: "mx.big.example", outcome: outcome, says: limit, code: 421}}
	}
	for _, test := range []struct {
		name  string
		mails []mail
		until time.Duration
		ends  bool
	}{
		{"all was delivered, and other mail is taken", join(limited("L", onset, 8*time.Hour), since(10)), onset + 22*time.Hour, true},
		{"only an hour has passed", join(limited("L", onset, 8*time.Hour), since(10)), onset + 9*time.Hour, false},
		{"hardly any other mail", join(limited("L", onset, 8*time.Hour), since(2)), onset + 22*time.Hour, false},
		{"a message waits", join(limited("L", onset, 8*time.Hour), one(bounce.Soft), since(10)), onset + 22*time.Hour, false},
		{
			"a message found a full mailbox then", join(limited("L", onset, 8*time.Hour), one(bounce.Soft), since(10),
				[]mail{{at: onset + 4*time.Hour, id: "ONE", from: news, to: "one@big.example", relay: "mx.big.example", outcome: bounce.Soft, says: "452 4.2.2 mailbox full", code: 452}}),
			onset + 22*time.Hour, true,
		},
		{"a message was returned", join(limited("L", onset, 8*time.Hour), one(bounce.Hard), since(10)), onset + 22*time.Hour, false},
		{"the pause of the night before was as long", join(limited("E", onset-day, 8*time.Hour), limited("L", onset, 8*time.Hour), since(10)), onset + 22*time.Hour, false},
	} {
		mails := join(test.mails, daily(12, 0, 8, news, "u%d@big.example", "mx.big.example", taken), daily(3, 0, 12, "else@other.example", "z%d@else.example", "mx.else.example", taken))
		found := problemsIn(t, logOf(t, mails), store.Filter{Until: begin.Add(test.until)})
		if len(found) != 1 || found[0].Ongoing == test.ends || found[0].Background {
			t.Errorf("%s: %+v, want one that has ended: %v", test.name, found, test.ends)
		}
	}
}

// TestStaysNamed holds that an incident of a small server stays one on days with a single message while all
// mail is refused, and that its strays of a day after its end are background.
func TestStaysNamed(t *testing.T) {
	const news = "news@shop.example"
	taken, listed := mail{outcome: good, code: 250}, mail{says: "554 5.7.1 Service unavailable; client [203.0.113.25] blocked using zen.spamhaus.org", outcome: bounce.Hard}
	var mails []mail
	for d, n := range []int{2, 2, 3, 1, 1, 1} {
		mails = join(mails, daily(n, 8+d, 9+d, news, "u%d@big.example", "mx.big.example", listed))
	}
	mails = join(mails, daily(2, 0, 8, news, "u%d@big.example", "mx.big.example", taken), daily(20, 14, 17, news, "u%d@big.example", "mx.big.example", taken),
		with(daily(1, 15, 16, news, "s%d@big.example", "mx.big.example", listed), func(m *mail) { m.id, m.at = "S"+m.id, m.at+11*time.Hour }),
		daily(20, 0, 17, "else@other.example", "z%d@else.example", "mx.else.example", taken))
	s := logOf(t, mails)
	midnight := begin.Truncate(day)
	for d := 9; d < 16; d++ {
		found := problemsIn(t, s, store.Filter{Since: midnight.Add(time.Duration(d) * day), Until: midnight.Add(time.Duration(d+1) * day)})
		named := slices.ContainsFunc(found, func(p problem.Problem) bool { return !p.Background && p.Level == problem.Confirmed })
		if named != (d < 14) {
			t.Errorf("day %d: named %v: %+v", d, named, found)
		}
	}
}

// TestStrays holds that a few refusals long before or long after an incident neither move its end nor
// keep it from ending, that more of them are a relapse, and that a complete incident has ended when
// two messages were taken.
func TestStrays(t *testing.T) {
	const (
		news  = "news@shop.example"
		onset = 8*day + time.Hour
	)
	taken := mail{outcome: good, code: 250}
	listed := mail{says: "550 5.7.1 Service unavailable; client [203.0.113.25] blocked using zen.spamhaus.org", outcome: bounce.Hard}
	n := 0
	some := func(count int, at, every time.Duration, m mail) (all []mail) {
		for i := range count {
			n++
			m.at, m.id, m.from, m.to, m.relay = at+time.Duration(i)*every, fmt.Sprint("S", n), news, fmt.Sprintf("u%d@big.example", i%60), "mx.big.example"
			all = append(all, m)
		}
		return all
	}
	usual := some(700, day, 14*time.Minute, taken)
	// A block of three hours, mended, then mail and strays on each day.
	mended := func(perDay, strays int) (all []mail) {
		all = some(90, onset, 2*time.Minute, listed)
		for d := range 7 {
			at := onset + 4*time.Hour + time.Duration(d)*day
			all = join(all, some(perDay, at, 10*time.Hour/time.Duration(perDay), taken))
			if d > 0 {
				all = join(all, some(strays, at+time.Minute+time.Second, 10*time.Hour/time.Duration(strays), listed))
			}
		}
		return all
	}
	for _, test := range []struct {
		name  string
		mails []mail
		looks []time.Duration // times of the report, of the day before each
		ended time.Duration   // 0: it goes on
	}{
		{"three strays a day", mended(200, 3), []time.Duration{onset + day, onset + 30*time.Hour, onset + 2*day, onset + 4*day, onset + 7*day}, onset + 4*time.Hour},
		{"one stray a day in 2000", mended(2000, 1), []time.Duration{onset + 30*time.Hour, onset + 2*day, onset + 4*day}, onset + 4*time.Hour},
		{
			"a stray before the block",
			join(some(1, onset-4*time.Hour, 0, listed), some(200, onset-4*time.Hour+time.Minute, time.Minute, taken), some(120, onset, 2*time.Minute, listed), some(90, onset+5*time.Hour, 4*time.Minute, taken)),
			[]time.Duration{onset + 6*time.Hour, onset + 12*time.Hour},
			onset + 5*time.Hour,
		},
		{
			"a block follows a block, all mail refused",
			join(mended(200, 1), some(9, onset+7*day, time.Minute, listed)),
			[]time.Duration{onset + 7*day + 20*time.Minute},
			0,
		},
		{
			"a small block follows a large block, all mail refused",
			join(some(300, onset, time.Minute, listed), some(200, onset+6*time.Hour, time.Minute, taken), some(10, onset+day, time.Minute, listed)),
			[]time.Duration{onset + day + 20*time.Minute},
			0,
		},
		{
			"a small block follows a large block, mended",
			join(some(300, onset, time.Minute, listed), some(200, onset+6*time.Hour, time.Minute, taken), some(10, onset+day, time.Minute, listed), some(2, onset+26*time.Hour, time.Minute, taken)),
			[]time.Duration{onset + 27*time.Hour},
			onset + 26*time.Hour,
		},
		{
			"a third of the mail refused again",
			join(mended(200, 1), some(90, onset+7*day+time.Second, 2*time.Minute, taken), some(45, onset+7*day, 4*time.Minute, listed)),
			[]time.Duration{onset + 7*day + 2*time.Hour},
			0,
		},
		{"one message taken", join(some(300, onset, time.Minute, listed), some(1, onset+6*time.Hour, time.Minute, taken)), []time.Duration{onset + 8*time.Hour}, 0},
		{"two messages taken", join(some(300, onset, time.Minute, listed), some(2, onset+6*time.Hour, time.Minute, taken)), []time.Duration{onset + 8*time.Hour}, onset + 6*time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := logOf(t, join(usual, test.mails))
			for _, at := range test.looks {
				found := problemsIn(t, s, store.Filter{Since: begin.Add(at - day), Until: begin.Add(at)})
				if len(found) != 1 {
					t.Fatalf("%v after the onset: %+v", at-onset, found)
				}
				if over := test.ended != 0 && test.ended < at-day; found[0].Background != over {
					t.Errorf("%v after the onset: background %v, want %v", at-onset, found[0].Background, over)
				}
				p := found[0]
				if p.Ongoing != (test.ended == 0) || !p.Ongoing && !p.EndedAt.Equal(begin.Add(test.ended)) {
					t.Errorf("%v after the onset: goes on: %v, ended %v: %s", at-onset, p.Ongoing, p.EndedAt, p.Ended)
				}
			}
		})
	}
}
