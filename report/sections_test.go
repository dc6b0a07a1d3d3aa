package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/problem"
)

// TestReasonsOfIncidents holds that a reason names each incident behind a tenth of its failures and
// more, with its number, and that most failures say who acts.
func TestReasonsOfIncidents(t *testing.T) {
	incident := func(title, cause string, n int64) problem.Problem {
		return problem.Problem{Level: problem.Confirmed, Title: title, Cause: cause, Reason: bounce.Connection, Reasons: map[bounce.Reason]int64{bounce.Connection: n}}
	}
	noise := incident("noise", "network", 100)
	noise.Background = true
	for _, c := range []struct {
		problems    []problem.Problem
		acts, words string
	}{
		{nil, "receiver", "Wait."},
		{[]problem.Problem{noise, incident("few", "network", 9)}, "receiver", "Wait."},
		{[]problem.Problem{incident("A", "provider", 30), incident("B", "network", 10)}, "receiver", `30 of 100: incident "A". 10 of 100: incident "B". The other 60: Wait.`},
		{[]problem.Problem{incident("B", "network", 50)}, "you", `50 of 100: incident "B". The other 50: Wait.`},
		{[]problem.Problem{incident("B", "network", 200)}, "you", `All: incident "B".`}, // the filter selects a part
	} {
		r := &Report{Problems: c.problems, Reasons: []ReasonCount{{Reason: bounce.Connection, Scope: bounce.ScopeRemote, Soft: 60, Hard: 40, Do: []string{"Wait."}}}}
		s := r.reasonsSection(true)
		if row := s.Table.Rows[0]; row[3] != c.acts || row[4] != c.words {
			t.Errorf("%v, want %s, %s", row, c.acts, c.words)
		}
	}
}

// TestProviderNames holds that the table of providers uses the names of the incidents, and that its
// data keep the domain, which --relay selects.
func TestProviderNames(t *testing.T) {
	r := &Report{ProviderTable: &ProviderTable{Rows: []ProviderRow{{Provider: "outlook.com"}, {Provider: "one.example"}}}, Providers: []Group{{Key: "outlook.com"}, {Key: "one.example"}}}
	for wide, want := range map[bool]string{true: "Microsoft (outlook.com)", false: "Microsoft"} {
		s := r.providersSection(wide)
		if got := s.Table.Rows[0][0]; got != want {
			t.Errorf("wide %v: %v", wide, got)
		}
		if got := s.Table.Rows[1][0]; got != "one.example" {
			t.Errorf("wide %v: %v", wide, got)
		}
		if got := s.Data.Rows[0][0]; got != "outlook.com" {
			t.Errorf("data: %v", got)
		}
	}
}

// TestPeriodWithoutMail holds that the header names the zone of a period, and not of its attempts if there
// are none.
func TestPeriodWithoutMail(t *testing.T) {
	day, next := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		period ReportPeriod
		want   string
	}{
		{ReportPeriod{}, "all data, no attempts"},
		{ReportPeriod{Since: &day, Until: &next}, "2026-11-22 UTC, no attempts"},
	} {
		if got := (&Report{Location: time.UTC, Period: test.period}).Header()[0].Value; got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestSendersThatAreLogins holds that a login with the numbers of the sender of its name has no row of its
// own, except in the data.
func TestSendersThatAreLogins(t *testing.T) {
	a, b := SenderCount{Key: "a@shop.example", Soft: 2, Hard: 30, Share: 0.6}, SenderCount{Key: "b@shop.example", Hard: 1}
	c := b
	c.Hard = 2 // it sends as others too
	r := &Report{Senders: &Senders{Senders: []SenderCount{a, b}, SASLUsers: []SenderCount{a, c}}, Lists: []List{{Section: SectionSenders, Shown: 4, Total: 9, More: "all"}}}
	s := r.sendersSection(true)
	var got []string
	for _, row := range s.Table.Rows {
		got = append(got, fmt.Sprintf("%v %v %v %v", row[:4]...))
	}
	if want := []string{"sender = login a@shop.example 2 30", "sender b@shop.example 0 1", "login b@shop.example 0 2"}; strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%q, want %q", got, want)
	}
	if len(s.Data.Rows) != 4 || s.Data.Rows[0][0] != "sender" {
		t.Errorf("data: %v", s.Data.Rows)
	}
	if len(s.Lead) != 1 {
		t.Errorf("%q", s.Lead)
	}
	if s.Notes[0].Text != "4 of 9 senders, logins and clients shown. All:" {
		t.Errorf("%q", s.Notes)
	}
}

// TestRecipientsNotListed holds that the list of invalid recipients says how many addresses failed and are
// not listed.
func TestRecipientsNotListed(t *testing.T) {
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	build := mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 7 { // with the scope of the sender
			add(time.Duration(i)*time.Minute, "shop.example", "partner.example", bounce.Hard, bounce.UserUnknown)
		}
	})
	r := build(Options{Sections: []string{SectionRecipients}})
	s := r.recipientsSection(true)
	if len(s.Table.Rows) != 0 || len(s.Notes) != 1 || !strings.HasPrefix(s.Notes[0].Text, "Not listed: 7 addresses ") || s.Notes[0].Command != "bouncelog suppress --why-not" {
		t.Errorf("%v, %q", s.Table.Rows, s.Notes)
	}
}

// TestEndWithinGap holds that the table of problems has both bounds of an end within a gap of the log.
func TestEndWithinGap(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 11, day, 10, 0, 0, 0, time.UTC) }
	r := &Report{Location: time.UTC, Problems: []problem.Problem{{Level: problem.Confirmed, Since: at(20), Until: at(21), EndedAt: at(25), Ended: "3 messages taken since"}}}
	for _, gap := range []bool{false, true} {
		want := ""
		r.gaps = func() ([]Gap, error) { return nil, nil }
		if gap {
			want = "2026-11-21 10:00"
			r.gaps = func() ([]Gap, error) { return []Gap{{From: at(22), To: at(24)}}, nil }
		}
		s := r.problemsSection(true)
		i := slices.IndexFunc(s.Data.Columns, func(c table.Column) bool { return c.Name == "ended after" })
		row := s.Data.Rows[0]
		if table.Text(row[i]) != want || table.Text(row[i-1]) != "2026-11-25 10:00" {
			t.Errorf("gap %v: %v", gap, row[i-1:])
		}
	}
}

// TestMissing holds that the verdict says for how long there is no log of the period.
func TestMissing(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC) }
	r := &Report{Location: time.UTC, judged: &ProviderTable{Total: ProviderRow{Attempts: 1}}}
	v := &Verdict{Gaps: []Gap{{From: at(1), To: at(2)}, {From: at(10), To: at(13)}}}
	v.say(r)
	if want := "No incident. Nothing was refused on our account. No log for at least 4 h 0 min."; v.Sentence != want {
		t.Errorf("%s, want %s", v.Sentence, want)
	}
}

// TestCameBack holds that the verdict does not tell the title of an ended incident twice if it came back
// after the period, and gives no figures of a time beside the period. It begins with another incident that goes on
// since then.
func TestCameBack(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 11, day, 10, 0, 0, 0, time.UTC) }
	last := Incident{ID: "a", Title: "A fails", Refused: 42, Since: at(23), Until: at(25), EndedAt: at(25), Earlier: true}
	back, other := last, last
	back.Refused, back.Until, other.ID, other.Title = 127, at(26), "b", "B fails"
	for _, c := range []struct {
		later Incident
		want  string
	}{
		{back, "No incident is going on. The last: A fails, 42 messages in this period, ended 2026-11-25 10:00. It came back after the period, last seen 2026-11-26 10:00."},
		{other, "After the period: B fails, since 2026-11-23 10:00. Ended in the period: A fails, 42 messages in this period, ended 2026-11-25 10:00."},
	} {
		r := &Report{Location: time.UTC, judged: &ProviderTable{Total: ProviderRow{Attempts: 1}}}
		v := &Verdict{Ended: []Incident{last}, Later: []Incident{c.later}}
		v.say(r)
		if v.Sentence != c.want {
			t.Errorf("%s\nwant %s", v.Sentence, c.want)
		}
	}
}

// TestAgainst holds the words of a comparison of two counts.
func TestAgainst(t *testing.T) {
	for _, c := range []struct {
		now, then int64
		want      string
	}{
		{0, 0, "soft 0 (as before)"},
		{5, 0, "soft 5 (none before)"},
		{5, 5, "soft 5 (as before)"},
		{12, 10, "soft 12 (+20 %, 10 before)"},
		{999, 1000, "soft 999 (+0 %, 1000 before)"},
		{99, 10, "soft 99 (+890 %, 10 before)"},
		{6405, 23, "soft 6405 (278 times, 23 before)"},
	} {
		if got := against("soft", c.now, c.then); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestFrom holds that a command about an earlier time has that time in place of the period.
func TestFrom(t *testing.T) {
	o := Options{Location: time.UTC, Rerun: []string{"--db", "x.db", "-d", "2026-11-26", "--domain", "a.example"}}
	got := o.from(time.Date(2026, 11, 24, 2, 10, 0, 0, time.UTC)).command("report", "--by", "sasl-user")
	if want := "bouncelog report --by sasl-user --since 2026-11-24 --db x.db --domain a.example"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestDropWarnings holds that no problem keeps a warning, whichever period it is of: it may concern the mail of others.
func TestDropWarnings(t *testing.T) {
	one := func() []problem.Problem {
		return []problem.Problem{{Evidence: []problem.Evidence{{Text: "550 no", Warning: "fatal: open /home/hans/secret.db"}}}}
	}
	r := &Report{Problems: one(), before: one(), later: one()}
	r.dropWarnings()
	for _, list := range [...][]problem.Problem{r.Problems, r.before, r.later} {
		if e := list[0].Evidence[0]; e.Warning != "" || e.Text != "550 no" {
			t.Errorf("%+v", e)
		}
	}
}
