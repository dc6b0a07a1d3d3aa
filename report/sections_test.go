package report

import (
	"testing"
	"time"

	"bouncelog/bounce"
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
