package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

func TestChange(t *testing.T) {
	for _, c := range []struct {
		now, before int64
		traffic     float64
		want        string
	}{
		{4, 0, 1, ""},
		{5, 0, 1, ChangeNew},
		{10, 8, 1, ""}, // chance
		{12, 5, 1, ""}, // twice as many, but few
		{40, 10, 1, ChangeWorse},
		{40, 20, 2, ""}, // twice the traffic
		{0, 4, 1, ""},
		{0, 20, 1, ChangeSolved},
		{1, 100, 1, ChangeSolved},
		{50, 100, 1, ""},    // better, not solved
		{0, 20, 0.1, ""},    // almost no mail was sent
		{716, 799, 0.3, ""}, // fewer, of less mail
		{70, 60, 20, ""},    // more, of more mail
		{0, 0, 1, ""},
	} {
		if got := change(c.now, c.before, c.traffic); got != c.want {
			t.Errorf("change(%d, %d, %g) = %q, want %q", c.now, c.before, c.traffic, got, c.want)
		}
	}
}

// TestChanges holds that changes count recipients, however often each was tried, and are large
// enough to act on.
func TestChanges(t *testing.T) {
	cell := func(key string, c store.Counts, reason bounce.Reason) store.Cell {
		c.Attempts = c.Delivered + c.Soft + c.Hard
		x := store.Cell{Keys: [store.MaxDimensions]string{key, "mx." + key}, Tally: store.Tally{Counts: c, Reasons: map[bounce.Reason]int64{reason: c.Soft + c.Hard}}}
		return x
	}
	base := cell("fine.example", store.Counts{Delivered: 1000, Hard: 40}, bounce.UserUnknown)
	for _, c := range []struct {
		name      string
		now, then store.Counts
		reason    bounce.Reason
		want      string // change of the domain
	}{
		{"one recipient, tried often", store.Counts{Soft: 13, Pending: 1}, store.Counts{}, bounce.Connection, ""},
		{"many recipients that wait", store.Counts{Soft: 13, Pending: 13}, store.Counts{}, bounce.Connection, "new 13"},
		{"many that took it later", store.Counts{Delivered: 13, Soft: 30, Recovered: 13}, store.Counts{Delivered: 10}, bounce.Connection, ""},
		{"some that took it later", store.Counts{Delivered: 13, Soft: 30, Recovered: 13, Hard: 5}, store.Counts{Delivered: 10}, bounce.Connection, "new 18"},
		{"a small part of the mail", store.Counts{Delivered: 900, Hard: 30}, store.Counts{Delivered: 900, Hard: 5}, bounce.UserUnknown, ""},
		{"a tenth of the mail", store.Counts{Delivered: 270, Hard: 30}, store.Counts{Delivered: 300, Hard: 5}, bounce.UserUnknown, "worse 30"},
		{"solved", store.Counts{Delivered: 30}, store.Counts{Hard: 30}, bounce.Policy, "solved 0"},
		{"solved, of much mail", store.Counts{Delivered: 500}, store.Counts{Delivered: 500, Hard: 30}, bounce.Policy, ""},
	} {
		now, then := tallies([]store.Cell{base, cell("a.example", c.now, c.reason)}, nil), tallies([]store.Cell{base, cell("a.example", c.then, c.reason)}, nil)
		got := ""
		for _, x := range changes(now, then, 1) {
			if x.Kind == "domain" && x.Key == "a.example" {
				got = fmt.Sprint(x.Change, " ", x.Recipients)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestChangesByReason holds that the change of a reason counts the recipients to whom mail was
// returned for it.
func TestChangesByReason(t *testing.T) {
	routes := []store.Cell{{Keys: [store.MaxDimensions]string{"fine.example", "mx.fine.example"}, Tally: store.Tally{Counts: store.Counts{Attempts: 1100, Delivered: 1000, Hard: 100}}}}
	reason := func(r bounce.Reason, soft, hard, messages int64) store.Cell {
		return store.Cell{Keys: [store.MaxDimensions]string{r.String()}, Tally: store.Tally{Counts: store.Counts{Attempts: soft + hard, Soft: soft, Hard: hard, Messages: messages}}}
	}
	var got []string
	for _, c := range changes(tallies(routes, []store.Cell{
		reason(bounce.AuthFailure, 0, 14, 2), reason(bounce.Greylisted, 90, 0, 90), reason(bounce.ContentSpam, 0, 6, 6),
	}), tallies(routes, nil), 1) {
		got = append(got, fmt.Sprint(c.Change, " ", c.Key, " ", c.Recipients))
	}
	if want := "new auth_failure 14"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestChangesOfProviders holds that failures at a provider are reported once.
func TestChangesOfProviders(t *testing.T) {
	cell := func(domain, relay string, hard int64) store.Cell {
		return store.Cell{Keys: [store.MaxDimensions]string{domain, relay}, Tally: store.Tally{Counts: store.Counts{Attempts: 20 + hard, Delivered: 20, Hard: hard}, Reasons: map[bounce.Reason]int64{bounce.Policy: hard}}}
	}
	for _, c := range []struct {
		routes []store.Cell
		want   string
	}{
		{[]store.Cell{cell("a.example", "mx1.mail.example", 20)}, "domain a.example 20"},
		{[]store.Cell{cell("a.example", "mx1.mail.example", 20), cell("b.example", "mx2.mail.example", 0)}, "domain a.example 20"},
		{[]store.Cell{cell("a.example", "mx1.mail.example", 20), cell("b.example", "mx2.mail.example", 9)}, "provider mail.example 29"},
		{[]store.Cell{cell("a.example", "mx1.mail.example", 20), cell("b.example", "mx2.mail.example", 9), cell("a.example", "mx.other.example", 7)}, "provider mail.example 29, domain a.example 27"},
	} {
		then := slices.Clone(c.routes)
		for i := range then {
			then[i].Hard, then[i].Reasons = 0, nil
		}
		var got []string
		for _, x := range changes(tallies(c.routes, nil), tallies(then, nil), 1) {
			got = append(got, fmt.Sprint(x.Kind, " ", x.Key, " ", x.Recipients))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestTotalChanges holds that a total that is many times its usual is a change: not a Monday after a
// Sunday, nor deferrals that a provider explains.
func TestTotalChanges(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	point := func(day int, delivered, soft int64) Point {
		return Point{Time: begin.Add(time.Duration(24*day+12) * time.Hour), Delivered: delivered, Soft: soft}
	}
	week := []Point{point(0, 500, 30), point(1, 500, 20), point(2, 500, 40), point(3, 500, 30), point(4, 500, 30), point(5, 100, 10), point(6, 100, 20)}
	for _, x := range []struct {
		name  string
		last  Point // of day 7
		other []Change
		want  string
	}{
		{"a Monday", point(7, 550, 60), nil, ""},
		{"a flood that is taken", point(7, 3500, 60), nil, "deliveries 3500 100"},
		{"a flood that is deferred", point(7, 550, 6000), nil, "deferrals 6000 20"},
		{"both", point(7, 1800, 6000), nil, "deliveries 1800 100, deferrals 6000 20"},
		{"of a provider", point(7, 550, 6000), []Change{{Kind: "provider", Change: ChangeWorse, Failed: 5900, Before: 10}}, ""},
	} {
		c := &Comparison{Since: begin.Add(7 * 24 * time.Hour), Until: begin.Add(8 * 24 * time.Hour), Before: Counts{Delivered: 100, Soft: 20}, Counts: Counts{Delivered: x.last.Delivered, Soft: x.last.Soft}}
		var got []string
		if early := totalChanges(append(slices.Clone(week[5:]), x.last), c, 5, nil); len(early) != 0 {
			t.Errorf("%s, in a new log: %v", x.name, early)
		}
		for _, c := range totalChanges(append(slices.Clone(week), x.last), c, float64(x.last.Delivered)/100, x.other) {
			got = append(got, fmt.Sprint(c.Key, " ", c.Recipients, " ", c.RecipientsBefore))
		}
		if strings.Join(got, ", ") != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

// TestDeferralsOfOne holds that deferrals that are mostly mail of one sender to one recipient name both.
func TestDeferralsOfOne(t *testing.T) {
	cell := func(from, to string, soft int64) store.Cell {
		return store.Cell{Keys: [store.MaxDimensions]string{from, to}, Tally: store.Tally{Counts: store.Counts{Attempts: soft, Soft: soft}, Reasons: map[bounce.Reason]int64{bounce.RateLimited: soft}}}
	}
	for _, x := range []struct {
		name string
		most store.Cell
		want string
	}{
		{"one mailbox", cell("nagios@nord.example", "admin@a.example", 5000), "nagios@nord.example admin@a.example 5000 rate_limited"},
		{"many", cell("nagios@nord.example", "admin@a.example", 2000), ""},
		{"notifications", cell("<>", "admin@a.example", 5000), ""},
		{"of no known sender", cell("", "admin@a.example", 5000), ""},
	} {
		c, got := Change{Kind: "total", Key: totalDeferrals, Recipients: 6000, RecipientsBefore: 20}, ""
		c.findMail([]store.Cell{cell("a@nord.example", "b@b.example", 10), x.most, cell("a@nord.example", "c@b.example", 20)})
		if c.Mail != nil {
			got = fmt.Sprint(c.Mail.Sender, " ", c.Mail.Recipient, " ", c.Mail.Attempts, " ", c.Reason)
		}
		if got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}
