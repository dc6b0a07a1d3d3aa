package report

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

// The figures of headline and evidence cover the same window: "of" appears only if the deliveries
// read cover all refusals.
func TestOneWindow(t *testing.T) {
	r := &Report{messages: 1000}
	p := problem.Problem{Level: problem.Confirmed, Messages: 33, Onset: &problem.Tried{Refused: 14, Tried: 601}}
	if in := r.incident(&p); in.Figures() != "33 messages" {
		t.Error(in.Figures())
	}
	p.Onset = &problem.Tried{Refused: 33, Tried: 601}
	if in := r.incident(&p); in.Figures() != "33 of 601 messages" {
		t.Error(in.Figures())
	}
	// Between one refusal and itself no other mail was tried.
	p.Messages, p.Onset = 1, &problem.Tried{Refused: 1, Tried: 1}
	if in := r.incident(&p); in.Figures() != "1 message" {
		t.Error(in.Figures())
	}
	p.Messages, p.Onset = 3, &problem.Tried{Refused: 3, Tried: 3}
	if in := r.incident(&p); in.Figures() != "all 3 messages" {
		t.Error(in.Figures())
	}
}

// TestExpiredInHeadline holds that the sentence of the verdict says how many messages were returned if
// some of them expired, since the title does not tell.
func TestExpiredInHeadline(t *testing.T) {
	for _, test := range []struct {
		p    problem.Problem
		want string
	}{
		{problem.Problem{Messages: 105, Returned: 102, Expired: 102}, "105 messages, 102 returned"},
		{problem.Problem{Messages: 20, Returned: 4, Expired: 1}, "20 messages, 4 returned"},
		{problem.Problem{Messages: 20, Returned: 4}, "20 messages"},
	} {
		r := &Report{messages: 1000}
		in := r.incident(&test.p)
		if got := in.harm(); got != test.want {
			t.Errorf("%q, not %q", got, test.want)
		}
	}
}

func TestOrder(t *testing.T) {
	day := 24 * time.Hour
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	r := &Report{Problems: []problem.Problem{
		{Summary: "ended, much lost", Level: problem.Confirmed, Reason: bounce.Blocklist, Since: at, Until: at.Add(day), Returned: 900, Messages: 900},
		{Summary: "watch", Level: problem.Watch, Ongoing: true, Since: at, Until: at, Returned: 2000, Messages: 2000},
		{Summary: "little lost", Level: problem.Confirmed, Reason: bounce.Blocklist, Ongoing: true, Since: at, Until: at.Add(day), Returned: 3, Messages: 30},
		{Summary: "none lost, known recipients", Level: problem.Confirmed, Reason: bounce.Reputation, Ongoing: true, Messages: 30, Since: at, Until: at.Add(day), ValidRecipients: []string{"a", "b"}},
		{Summary: "much waits", Level: problem.Confirmed, Reason: bounce.Reputation, Ongoing: true, Messages: 1700, Waiting: 1700, Since: at, Until: at.Add(day)},
		{Summary: "none lost", Level: problem.Likely, Reason: bounce.Reputation, Ongoing: true, Messages: 20, Since: at, Until: at.Add(day)},
		{Summary: "much lost over days", Level: problem.Likely, Reason: bounce.Policy, Ongoing: true, Since: at, Until: at.Add(10 * day), Returned: 100, Messages: 100},
	}}
	r.orderProblems()
	want := []string{"much waits", "much lost over days", "little lost", "none lost, known recipients", "none lost", "ended, much lost", "watch"}
	for i, p := range r.Problems {
		if p.Summary != want[i] {
			t.Errorf("%d. is %q, want %q", i, p.Summary, want[i])
		}
	}
}

func TestSilence(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var hours []Point
	for h := range 20 * 24 { // ten an hour by day, none by night
		p := Point{Time: start.Add(time.Duration(h) * time.Hour)}
		if hour := p.Time.Hour(); hour >= 8 && hour < 20 {
			p.Delivered = 10
			hours = append(hours, p)
		}
	}
	last := start.Add(20*24*time.Hour - 4*time.Hour) // 20:00
	for _, c := range []struct {
		name   string
		now    time.Time
		until  time.Time
		live   bool
		silent bool
	}{
		{"a night", last.Add(12 * time.Hour), time.Time{}, true, false},
		{"a morning", last.Add(16 * time.Hour), time.Time{}, true, true},
		{"a log that is not written any more", last.Add(16 * time.Hour), time.Time{}, false, false},
		{"a period that ends before the log does", last.Add(16 * time.Hour), last.Add(-time.Hour), true, false},
		{"a period that ends a day later", last.Add(100 * time.Hour), last.Add(25 * time.Hour), true, true},
		{"no clock", time.Time{}, time.Time{}, true, false},
	} {
		all := func() ([]Point, error) { return hours, nil }
		r := &Report{AsOf: last, hours: all, selected: all}
		s, err := r.silence(Options{Now: c.now, Live: c.live, Filter: store.Filter{Until: c.until}})
		if err != nil || (s != nil) != c.silent {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}

// TestSilenceOfSelection holds that the usual number of attempts in a silence is that of the selected mail,
// that shares of all mail are named as such, and which command shows how far the logs were read.
func TestSilenceOfSelection(t *testing.T) {
	start, build := filtered(t)
	o := Options{Filter: store.Filter{Since: start}, Live: true, Now: start.Add(40 * time.Hour), Positions: "bouncelog db info"}
	for domain, want := range map[string]string{"": "Silent: about 1004 attempts would", "small.example": "Silent: about 41 attempts of this selection would"} {
		o.Filter.Domain = domain
		r := build(o)
		s := r.verdictSection(true)
		i := slices.IndexFunc(s.Notes, func(n Note) bool { return strings.HasPrefix(n.Text, "Silent") })
		if i < 0 || !strings.HasPrefix(s.Notes[i].Text, want) || s.Notes[i].Command != o.Positions {
			t.Errorf("%q: %q, want %q", domain, s.Notes, want)
		}
		if words := r.WholeWords(); (words != "") != (domain != "") {
			t.Errorf("%q: %q", domain, words)
		}
	}
}

func TestMainReason(t *testing.T) {
	for _, c := range []struct {
		reasons map[bounce.Reason]int64
		want    bounce.Reason
	}{
		{nil, bounce.NoReason},
		{map[bounce.Reason]int64{bounce.Expired: 3}, bounce.Expired},
		{map[bounce.Reason]int64{bounce.Expired: 25, bounce.Reputation: 25}, bounce.Reputation},
		{map[bounce.Reason]int64{bounce.Expired: 90, bounce.Greylisted: 2}, bounce.Greylisted},
		{map[bounce.Reason]int64{bounce.Connection: 23, bounce.Reputation: 23}, bounce.Reputation},
		{map[bounce.Reason]int64{bounce.MailboxFull: 1, bounce.UserUnknown: 1}, bounce.UserUnknown},
		{map[bounce.Reason]int64{bounce.Connection: 4, bounce.Reputation: 3}, bounce.Connection},
	} {
		for range 20 { // maps have no order
			if got := mainReason(c.reasons); got != c.want {
				t.Fatalf("%v: %v, want %v", c.reasons, got, c.want)
			}
		}
	}
}

func TestComparable(t *testing.T) {
	day := func(d, h int) time.Time { return time.Date(2026, 11, d, h, 0, 0, 0, time.UTC) }
	r := &Report{Location: time.UTC}
	f := store.Filter{Since: day(16, 0), Until: day(23, 0)}
	for _, c := range []struct {
		name        string
		first, last time.Time
		hours       int // 0: not comparable
		since       time.Time
		gaps        []Gap
	}{
		{"all of both", day(1, 0), day(25, 0), 168, day(16, 0), nil},
		{"a week before of two days", day(14, 0), day(25, 0), 48, day(21, 0), nil},
		{"and this week is not over", day(14, 0), day(22, 12), 36, day(21, 0), nil},
		{"a minute is missing", day(9, 0).Add(time.Minute), day(25, 0), 168, day(16, 0), nil},
		{"nothing before", day(16, 0), day(25, 0), 0, time.Time{}, nil},
		{"nothing at all", time.Time{}, time.Time{}, 0, time.Time{}, nil},
		{"a gap in this week", day(1, 0), day(25, 0), 160, day(16, 0), []Gap{{From: day(18, 8), To: day(18, 16)}}},
		{"a gap in the week before, known to the second", day(1, 0), day(25, 0), 160, day(16, 0), []Gap{{From: day(11, 8).Add(-time.Second), To: day(11, 16).Add(time.Second)}}},
		{"a gap in both", day(1, 0), day(25, 0), 156, day(16, 0), []Gap{{From: day(11, 8), To: day(11, 16)}, {From: day(18, 12), To: day(18, 20)}}},
		{"a gap from before the week on", day(1, 0), day(25, 0), 150, day(16, 0), []Gap{{From: day(8, 12), To: day(9, 18)}}},
		{"a gap from one week to the other", day(1, 0), day(25, 0), 152, day(16, 0), []Gap{{From: day(15, 16), To: day(16, 8)}}},
		{"a gap that is elsewhere", day(1, 0), day(25, 0), 168, day(16, 0), []Gap{{From: day(23, 0), To: day(24, 0)}}},
		{"a gap that leaves nothing", day(1, 0), day(25, 0), 0, time.Time{}, []Gap{{From: day(16, 0), To: day(23, 0)}}},
	} {
		now, then, got, ok := r.comparable(f, []store.Source{{First: c.first, Last: c.last}}, c.gaps)
		if ok != (c.hours > 0) {
			t.Errorf("%s: %v", c.name, ok)
			continue
		}
		if !ok {
			continue
		}
		if got.Covered != c.hours || !now.Since.Equal(c.since) || now.Until.Sub(now.Since) != then.Until.Sub(then.Since) || now.Since.Sub(then.Since) != 7*24*time.Hour {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if _, _, _, ok := r.comparable(store.Filter{Since: day(16, 0)}, []store.Source{{First: day(1, 0), Last: day(25, 0)}}, nil); ok {
		t.Error("an open period has none before it")
	}
}

// For any number of omitted rows, the columns add up to the total.
func TestProviderTableAddsUp(t *testing.T) {
	var routes, then []store.Cell
	for i := range 60 {
		x := store.Cell{Keys: [store.MaxDimensions]string{fmt.Sprintf("d%d.example", i), fmt.Sprintf("mx.p%d.example", i)}}
		n := int64(i * 7 % 50)
		x.Delivered, x.Soft, x.Hard, x.Pending, x.Messages = n, int64(i%3), int64(i%5), int64(i%2), n+int64(i%5)
		x.Attempts = x.Delivered + x.Soft + x.Hard
		x.Reasons = map[bounce.Reason]int64{bounce.Policy: x.Hard, bounce.Connection: x.Soft}
		routes = append(routes, x)
		x.Keys[0] = fmt.Sprintf("d%d.example", i+20)
		x.Keys[1] = fmt.Sprintf("mx.p%d.example", i+20)
		then = append(then, x)
	}
	for _, top := range []int{0, 1, 10, 100} {
		p := providerTable(providers(routes), nil, then, top, nil, nil)
		var sum ProviderRow
		for i := range p.Rows {
			sum.add(&p.Rows[i])
			if p.Rows[i].Messages < markLeast && p.Rows[i].Mark != "" {
				t.Errorf("a verdict on %d messages", p.Rows[i].Messages)
			}
		}
		for _, x := range []*ProviderRow{p.Small, p.Rest} {
			if x != nil {
				sum.add(x)
			}
		}
		if sum != p.Total {
			t.Errorf("top %d: %+v, want %+v", top, sum, p.Total)
		}
		var attempts, before int64
		for i := range routes {
			attempts += routes[i].Attempts
			before += then[i].Hard
		}
		if p.Total.Attempts != attempts || p.Total.RefusedBefore != before || p.Total.Delivered+p.Total.Soft+p.Total.Hard != attempts {
			t.Errorf("top %d: %+v, want %d attempts, %d refused before", top, p.Total, attempts, before)
		}
	}
}

func TestChangesName(t *testing.T) {
	r := &Report{Changes: []Change{{Change: ChangeNew, Kind: "provider", Key: "outlook.com"}, {Change: ChangeNew, Kind: "domain", Key: "outlook.com"}}}
	s := r.changesSection(false)
	for i, want := range []string{"Microsoft", "outlook.com"} {
		if s.Table.Rows[i][2] != want || s.Data.Rows[i][2] != "outlook.com" {
			t.Errorf("%v, %v", s.Table.Rows[i], s.Data.Rows[i])
		}
	}
}

// TestOwnHopIsNoProvider holds that mail that reached no relay does not count with a hop of one's
// own that took other mail to its domain.
func TestOwnHopIsNoProvider(t *testing.T) {
	route := func(domain, relay string, delivered, soft, handoff int64) store.Cell {
		c := store.Cell{Keys: [store.MaxDimensions]string{domain, relay}}
		c.Attempts, c.Delivered, c.Soft, c.Handoff = delivered+soft, delivered, soft, handoff
		return c
	}
	out := route("open.example", "mx.host.example", 9, 0, 0)
	for _, c := range []struct {
		name   string
		routes []store.Cell
		want   string // provider of mail that reached no relay
	}{
		{"filter on loopback", []store.Cell{out, route("dead.example", "127.0.0.1", 0, 0, 20)}, "dead.example"},
		{"filter that refuses some", []store.Cell{out, route("dead.example", "::1", 0, 8, 20)}, "dead.example"},
		{"filter in the own network", []store.Cell{out, route("dead.example", "10.1.2.3", 20, 0, 0)}, "dead.example"},
		{"socket", []store.Cell{out, route("dead.example", "private/scan", 20, 0, 0)}, "dead.example"},
		{"own instance that has a name", []store.Cell{out, route("dead.example", "out.us.example", 0, 0, 20)}, "dead.example"},
		{"its own relay, too", []store.Cell{out, route("dead.example", "127.0.0.1", 0, 9, 20), route("dead.example", "mx.host.example", 2, 0, 0)}, "host.example"},
		{"filter alone", []store.Cell{route("dead.example", "127.0.0.1", 0, 0, 20)}, "dead.example"},
		{"smarthost in the own network", []store.Cell{route("open.example", "10.1.2.3", 9, 0, 0), route("dead.example", "10.1.2.3", 20, 0, 0)}, "10.1.2.3"},
	} {
		if got := RoutesOf(append(c.routes, route("dead.example", "", 0, 5, 0))).Provider("dead.example", ""); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestListSenders holds that an incident of more sender domains than its title names has the command
// that lists them, for the same logs.
func TestListSenders(t *testing.T) {
	o := Options{Rerun: []string{"--day", "yesterday", "/var/log/mail.log"}}
	r := &Report{bySender: o.bySender}
	for n, want := range map[int]string{3: "", 4: "bouncelog report --section domains --by sender-domain --reason auth_failure --all --day yesterday /var/log/mail.log"} {
		in := r.incident(&problem.Problem{Reason: bounce.AuthFailure, SenderDomains: make([]string, n)})
		if in.ListSenders != want {
			t.Errorf("%d sender domains: %q", n, in.ListSenders)
		}
	}
}

// TestOriginWords holds that the origins of a partial incident are named by what tells them apart.
func TestOriginWords(t *testing.T) {
	for _, test := range []struct {
		origins []problem.Origin
		want    string
		one     string // of the sentence of the verdict
	}{
		{nil, "", ""},
		{[]problem.Origin{{Host: "mx1", Instance: "out1", Address: "203.0.113.7", Refused: 61, Tried: 63}, {Host: "mx1", Instance: "out2", Address: "203.0.113.8", Refused: 1, Tried: 121}}, "203.0.113.7 (out1) is deferred, 61 of 63; 203.0.113.8 (out2) delivers, 120 of 121", ""},
		{[]problem.Origin{{Host: "mx1", Instance: "postfix", Address: "203.0.113.7", Refused: 3, Tried: 3}, {Host: "mx2", Instance: "postfix", Tried: 9}}, "203.0.113.7 (mx1) is deferred, 3 of 3; mx2 delivers, 9 of 9", ", all sent by mx1"},
	} {
		in := Incident{Effect: problem.EffectDeferred, Origins: test.origins}
		if got := in.OriginWords(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
		if got := in.sentBy(); got != test.one {
			t.Errorf("%q, want %q", got, test.one)
		}
	}
}

// TestRefusesMail holds that a provider refuses mail, not attempts: retries of mail that it took in the end
// are no refusals of mail.
func TestRefusesMail(t *testing.T) {
	for _, test := range []struct {
		name                           string
		delivered, soft, hard, pending int64
		want                           string
	}{
		{"all returned", 0, 0, 100, 0, MarkRefuses},
		{"most returned", 12, 0, 100, 0, MarkRefuses},
		{"all queued", 0, 300, 0, 100, MarkRefuses},
		{"only retries of older mail", 0, 300, 0, 0, MarkRefuses},
		{"deferred often, and taken", 600, 2116, 13, 0, MarkTakes},
		{"deferred often, and a part taken so far", 60, 2116, 0, 40, MarkTakes},
	} {
		x := store.Cell{Keys: [store.MaxDimensions]string{"d.example", "mx.d.example"}}
		x.Delivered, x.Soft, x.Hard, x.Pending, x.Attempts, x.Messages = test.delivered, test.soft, test.hard, test.pending, test.delivered+test.soft+test.hard, 600
		x.Reasons = map[bounce.Reason]int64{bounce.Reputation: test.soft + test.hard}
		table := providerTable(providers([]store.Cell{x}), nil, nil, 0, nil, nil)
		if got := table.Rows[0].Mark; got != test.want || table.blocking()["d.example"] != (got == MarkRefuses) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
