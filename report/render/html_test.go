package render

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
)

// TestLinked holds that an address in a reply is a link only if it is shown completely and hides
// nothing, and that no character of the reply is lost.
func TestLinked(t *testing.T) {
	for _, c := range []struct {
		reply string
		links []string
	}{
		{"550 see https://help.example/a?b=c#d.", []string{"https://help.example/a?b=c#d"}},
		{"550 see (https://help.example) or https://two.example/x;", []string{"https://help.example", "https://two.example/x"}},
		{"550 https://help.example/%20a,b - gsmtp", []string{"https://help.example/%20a,b"}},
		{"550 <https://help.example/>", []string{"https://help.example/"}},
		{"550 http://help.example/", nil},
		{"550 https://bank.example@evil.example/", nil},
		{"550 https://bank.example:443@evil.example/", nil},
		{"550 https://evil.example:8443/", nil},
		{"550 https://evil.example\\@bank.example/", nil},
		{"550 https://192.0.2.1/", nil},
		{"550 https://b\u0430nk.example/", nil},
		{"550 https://xn--bnk-6cd.example/", []string{"https://xn--bnk-6cd.example/"}},
		{"550 javascript:https//x https:/x https://", nil},
		{"550 https://help.example/\u202egnp", nil},
		{"550 " + strings.Repeat("x ", longest/2-12) + "https://help.example/longer", nil},
	} {
		var links []string
		text := ""
		for _, p := range linked(c.reply) {
			text += p.Name
			if p.URL != "" {
				links = append(links, p.URL)
				if p.URL != p.Name {
					t.Errorf("%q is shown as %q", p.URL, p.Name)
				}
			}
		}
		if !slices.Equal(links, c.links) || text != clean(c.reply) {
			t.Errorf("%.80q: links %q in %.80q", c.reply, links, text)
		}
	}
}

// TestSums holds that the report, and not its name, tells whether a row of the providers is a sum.
func TestSums(t *testing.T) {
	r := fullReport(store.ByDomain)
	r.ProviderTable.Rows[0].Provider = "outlook.com" // "Microsoft (outlook.com)"
	sections := r.Parts(true)
	s := sections[slices.IndexFunc(sections, func(s report.Section) bool { return s.Name == report.SectionProviders })]
	var page bytes.Buffer
	if err := Report(&page, r, table.FormatHTML, Options{}); err != nil {
		t.Fatal(err)
	}
	for i, class := range []string{"", "", "rest", "rest", "sum"} {
		row := `<tr role="row"`
		if class != "" {
			row += ` class="` + class + `"`
		}
		if row += `><td role="cell" class="wide name" data-label="provider">` + s.Table.Rows[i][0].(string) + "<"; !strings.Contains(page.String(), row) {
			t.Errorf("no %s", row)
		}
	}
}

// TestPartly holds that only a step that the report does not cover completely is shown as
// incomplete.
func TestPartly(t *testing.T) {
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	at := func(day int, hours float64) time.Time {
		return start.AddDate(0, 0, day).Add(time.Duration(hours * float64(time.Hour)))
	}
	for _, c := range []struct {
		name     string
		from, to time.Time
		want     []bool
	}{
		{"whole days", at(0, 0), at(3, 0), []bool{false, false, false}},
		{"a log that ends minutes before midnight", time.Time{}, at(2, 23.9), []bool{false, false, false}},
		{"today", time.Time{}, at(2, 8), []bool{false, false, true}},
		{"three days to now", at(0, 8), at(2, 8), []bool{true, false, true}},
		{"the logs end a day early", at(0, 0), at(2, 0), []bool{false, false, true}},
		{"nothing is known", time.Time{}, time.Time{}, []bool{false, false, false}},
	} {
		a := &axis{start: start, step: 24 * time.Hour, from: c.from, to: c.to}
		for i, want := range c.want {
			if got := a.partly(i); got != want {
				t.Errorf("%s: day %d is not complete: %t", c.name, i, got)
			}
		}
	}
}

// For a part of the outcomes, the delivered share is meaningless.
func TestTrendOfPart(t *testing.T) {
	for _, c := range []struct {
		only *report.Only
		want bool
	}{
		{nil, true},
		{&report.Only{Domain: "a.example"}, true},
		{&report.Only{Outcomes: []bounce.Outcome{bounce.Hard}}, false},
		{&report.Only{Reasons: []bounce.Reason{bounce.Policy}}, false},
	} {
		r := fullReport(store.ByDomain)
		r.Filter = c.only
		var b bytes.Buffer
		if err := Report(&b, r, table.FormatHTML, Options{}); err != nil {
			t.Fatal(err)
		}
		page := b.String()[strings.Index(b.String(), "<figure class=\"trend\">"):]
		if got := strings.Contains(page, "class=\"share"); got != c.want || strings.Count(page, "class=\"number\"") == 0 {
			t.Errorf("%v: share: %v", c.only, got)
		}
	}
}

func TestOrigin(t *testing.T) {
	at := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		hosts []report.Host
		now   time.Time
		want  []report.Fact
	}{
		{nil, at, []report.Fact{{Label: "Made", Value: "2026-11-29 08:00 UTC", Note: "on mx1"}}},
		{[]report.Host{{Name: "a"}, {Name: "b"}}, at, []report.Fact{{Label: "Report of", Value: "a, b"}, {Label: "Made", Value: "2026-11-29 08:00 UTC", Note: "on mx1"}}},
		{[]report.Host{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}, time.Time{}, []report.Fact{{Label: "Report of", Value: "a, b, c, and 2 more"}}},
		{nil, time.Time{}, nil},
	} {
		if got := origin(&report.Report{Hosts: c.hosts, Now: c.now, Location: time.UTC}, "mx1"); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestBreaks holds where a line may break, and that no character is lost.
func TestBreaks(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"bob@mx1.example", []string{"bob@mx1.example"}},
		{"clara.rossi172@post.example", []string{"clara.rossi172@", "post.example"}},
		{"to <clara.rossi172@mx.post.example> at mx.example", []string{"to <clara.rossi172@", "mx", ".post.example> at mx.example"}},
		{"in1.mail.provider.example", []string{"in1", ".mail", ".provider.example"}},
		{"techhill205.example", []string{"techhill205", ".example"}},
		{"/var/log/mail.log", []string{"/var/log/mail.log"}},
		{"a misconfiguration.", []string{"a misconfiguration."}},
		{"mx.post.example[192.0.2.9]:25", []string{"mx", ".post", ".example", "[192.0.2.9]:25"}},
		{"x  " + strings.Repeat("y", 30) + "@", []string{"x  " + strings.Repeat("y", 30) + "@"}},
		{"." + strings.Repeat("\u00e9", 12) + ".@.a", []string{"." + strings.Repeat("\u00e9", 12) + ".@", ".a"}},
	} {
		if got := breaks(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

// TestHeld holds where a line may not break: within points in time and short names with a hyphen.
func TestHeld(t *testing.T) {
	for text, want := range map[string][]string{
		"listed by spamhaus-zen, since (2026-11-23 10:00), 3 messages": {"spamhaus-zen,", "(2026-11-23 10:00),"},
		"ended 2026-11-23: none":                       {"2026-11-23:"},
		"at mail-in." + strings.Repeat("x", 30) + " -": nil,
	} {
		var got []string
		all := ""
		for _, p := range held(text) {
			if all += p.Text; p.Whole {
				got = append(got, p.Text)
			}
		}
		if !slices.Equal(got, want) || all != text {
			t.Errorf("%q: %q held in %q", text, got, all)
		}
	}
}

// TestFate holds that the returned messages of an incident that began earlier are told from those of its
// whole queue.
func TestFate(t *testing.T) {
	for _, c := range []struct {
		in   report.Incident
		want string
	}{
		{report.Incident{Lost: 1}, "1 returned to its sender"},
		{report.Incident{Lost: 5, Waiting: 15, Earlier: true}, "5 returned to their senders, 15 waiting"},
		{report.Incident{Lost: 5, Waiting: 15, Earlier: true, Queue: &problem.Queue{Waiting: 15, GivenUp: 8}}, "5 returned to their senders in this period, 15 waiting"},
	} {
		if got := fate(&c.in); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
