package report

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// mailLog stores a log from start on. mails adds its attempts, in the order of time. build builds
// reports from it.
func mailLog(t *testing.T, start time.Time, mails func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason))) (build func(Options) *Report) {
	s := memory.Open()
	b := new(store.Batch)
	mails(func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason) {
		n := len(b.Attempts)
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(100 * n), Time: start.Add(at), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%X", 0xA00000+n),
			Sender: "a@" + sender, SenderDomain: sender, SenderKnown: true, Recipient: fmt.Sprintf("u%d@%s", n%40, domain), RecipientDomain: domain,
			RelayHost: "mx." + domain, RelayIP: "192.0.2.1", RelayPort: 25, Outcome: outcome, Status: "sent", Code: 250, Response: "250 ok", Delay: -1,
		}}
		if outcome != bounce.Delivered {
			a.Status, a.Code, a.Stage, a.Response = "bounced", 550, bounce.StageEOM, "550 5.7.1 refused: "+reason.String()
			a.Verdict = bounce.Verdict{Reason: reason, Scope: bounce.ScopeSender, Rule: "test"}
			if reason == bounce.AuthFailure {
				a.Detail = "spf"
			}
		}
		b.Attempts = append(b.Attempts, a)
	})
	last := b.Attempts[len(b.Attempts)-1]
	n := int64(len(b.Attempts))
	b.Sources = []store.Source{{ID: "log", Path: "/var/log/mail.log", Offset: last.Offset + 100, First: start, Last: last.Time, Lines: n, Delivery: n, Attempts: n}}
	storetest.Append(t, s, b)
	return func(o Options) *Report {
		t.Helper()
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		o.Location = time.UTC
		rep, err := Build(t.Context(), r, o)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
}

// filtered has a day of mail: a small provider refuses one sender domain from noon on, and a large
// one refuses a message of others now and then.
func filtered(t *testing.T) (start time.Time, build func(Options) *Report) {
	start = time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	return start, mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 24 * 60 {
			at := time.Duration(i) * time.Minute
			sender := fmt.Sprintf("s%d.example", i%9)
			if i%160 == 5 {
				add(at, sender, "large.example", bounce.Hard, bounce.Reputation)
			} else {
				add(at, sender, "large.example", bounce.Delivered, 0)
			}
			switch {
			case i%20 != 0:
			case i < 720:
				add(at, "shop.example", "small.example", bounce.Delivered, 0)
			case i%40 == 0:
				add(at, "shop.example", "small.example", bounce.Soft, bounce.AuthFailure)
			default:
				add(at, "shop.example", "small.example", bounce.Hard, bounce.AuthFailure)
			}
			if i%97 == 0 {
				add(at, sender, "fine.example", bounce.Hard, bounce.UserUnknown)
			}
		}
	})
}

// TestFilteredVerdict holds that the verdict, the problems and the marks of providers are those of
// all attempts, regardless of a filter by outcome or reason.
func TestFilteredVerdict(t *testing.T) {
	start, build := filtered(t)
	day := store.Filter{Since: start, Until: start.Add(24 * time.Hour)}
	with := func(outcomes []bounce.Outcome, reasons ...bounce.Reason) store.Filter {
		f := day
		f.Outcomes, f.Reasons = outcomes, reasons
		return f
	}
	type judged struct {
		Status, Sentence string
		Titles           []string
		Figures          []string
		Background       *Background
		Marks            map[string]string
		Alarms           int
	}
	of := func(r *Report) (j judged) {
		j = judged{Status: r.Verdict.Status, Sentence: r.Verdict.Sentence, Background: r.Verdict.Background, Marks: map[string]string{}, Alarms: r.Alarms()}
		for _, in := range r.Incidents() {
			j.Titles = append(j.Titles, in.Title)
			j.Figures = append(j.Figures, fmt.Sprintf("%s, %v of all", in.Figures(), in.Share))
		}
		for _, p := range r.ProviderTable.Rows {
			if p.Hard > 0 { // present with each filter
				j.Marks[p.Provider] = p.Mark
			}
		}
		return j
	}
	want := of(build(Options{Filter: day}))
	if want.Status != StatusIncident || want.Background == nil || want.Marks["small.example"] == "" {
		t.Fatalf("%+v", want)
	}
	for _, f := range []store.Filter{
		with([]bounce.Outcome{bounce.Hard}),
		with([]bounce.Outcome{bounce.Soft, bounce.Hard}),
		with([]bounce.Outcome{bounce.Hard}, bounce.AuthFailure, bounce.Reputation, bounce.UserUnknown),
	} {
		got := of(build(Options{Filter: f}))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported()); diff != "" {
			t.Errorf("%s (-all +filtered):\n%s", only(f), diff)
		}
	}
	want.Marks = nil
	for _, f := range []store.Filter{
		with([]bounce.Outcome{bounce.Soft}), with([]bounce.Outcome{bounce.Delivered}), with([]bounce.Outcome{bounce.Handoff}),
		with(nil, bounce.UserUnknown), with(nil, bounce.MailboxFull),
	} {
		r := build(Options{Filter: f})
		got := of(r)
		got.Marks = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-all +filtered):\n%s", only(f), diff)
		}
		for _, p := range r.ProviderTable.Rows {
			if p.Provider == "large.example" && p.Mark != MarkTakes {
				t.Errorf("%s: large.example %s", only(f), p.Mark)
			}
		}
	}
	// A filter by sender does not change the size of a large provider.
	f := day
	f.SenderDomain = "s5.example"
	if v := build(Options{Filter: f}).Verdict; v.Status != StatusQuiet || v.Background == nil {
		t.Errorf("%s: %s", v.Status, v.Sentence)
	}
}

// TestNoVerdict holds that nothing to judge is not a good verdict: the logs do not cover the
// period, or the filter selects nothing. A period without mail is different.
func TestNoVerdict(t *testing.T) {
	start, build := filtered(t)
	const day = 24 * time.Hour
	for _, c := range []struct {
		name     string
		f        store.Filter
		now      time.Duration // time since the start; 0: the log is no longer written
		status   string
		sentence string
	}{
		{"all", store.Filter{}, 0, StatusIncident, ""},
		{"before the logs", store.Filter{Since: start.Add(-2 * day), Until: start.Add(-day)}, day, StatusUnknown, "No verdict: the logs begin at 2026-05-04 00:00, after this period."},
		{"after the logs", store.Filter{Since: start.Add(2 * day), Until: start.Add(3 * day)}, 3 * day, StatusSilent, "The log is silent since 2026-05-04 23:59 (2 d 0 h). No verdict: the logs end at 2026-05-04 23:59, before this period."},
		{"a period to come", store.Filter{Since: start.Add(2 * day), Until: start.Add(3 * day)}, day, StatusUnknown, "No verdict: the period has not begun."},
		{"a minute that nothing was logged in yet", store.Filter{Since: start.Add(day), Until: start.Add(2 * day)}, day + time.Minute, StatusEmpty, "No delivery attempts in this period."},
		{"a domain that is nowhere", store.Filter{Domain: "typo.example"}, day, StatusUnknown, "No verdict: no delivery attempts match the filter, in this period or another."},
		{"an hour without mail to a domain", store.Filter{Domain: "fine.example", Since: start.Add(10 * time.Minute), Until: start.Add(time.Hour)}, day, StatusEmpty, "No delivery attempts match the filter in this period."},
		{"no discarded mail, and other mail is judged", store.Filter{Outcomes: []bounce.Outcome{bounce.Handoff}}, 0, StatusIncident, ""},
	} {
		o := Options{Filter: c.f}
		if c.now > 0 {
			o.Live, o.Now = true, start.Add(c.now)
		}
		r := build(o)
		if r.Verdict.Status != c.status || c.sentence != "" && r.Verdict.Sentence != c.sentence {
			t.Errorf("%s: %s: %s", c.name, r.Verdict.Status, r.Verdict.Sentence)
		}
		if (r.NoVerdict != "") != (c.status == StatusUnknown || c.status == StatusSilent) {
			t.Errorf("%s: no verdict: %q", c.name, r.NoVerdict)
		}
	}
}

// TestFilteredFigures holds that deliveries count a provider's mail from the same senders. If a
// filter selects less of it, that figure is omitted.
func TestFilteredFigures(t *testing.T) {
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	build := mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 24 * 60 {
			at := time.Duration(i) * time.Minute
			outcome, reason := bounce.Delivered, bounce.NoReason
			if i > 720 {
				outcome, reason = bounce.Hard, bounce.AuthFailure
			}
			add(at, "shop.example", "large.example", outcome, reason)
			if i%10 == 3 {
				add(at, "shop.example", "part.large.example", outcome, reason)
			}
		}
	})
	for _, c := range []struct {
		name    string
		f       store.Filter
		figures string
		before  int // number of tried messages
	}{
		{"all", store.Filter{}, "all 791 messages", 793},
		{"provider", store.Filter{Relay: "large.example"}, "all 791 messages", 793},
		{"sender domain", store.Filter{SenderDomain: "shop.example"}, "all 791 messages", 793},
		{"domain that is a part of the provider's", store.Filter{Domain: "part.large.example"}, "72 messages", 0},
		{"one relay of the provider", store.Filter{Relay: "mx.part.large.example"}, "72 messages", 0},
		{"host", store.Filter{Host: "mx1"}, "791 messages", 0},
	} {
		v := build(Options{Filter: c.f}).Verdict
		if len(v.Act) != 1 {
			t.Errorf("%s: %s", c.name, v.Sentence)
			continue
		}
		if in := &v.Act[0]; in.Figures() != c.figures || in.BeforeTried != c.before {
			t.Errorf("%s: %s, before %d", c.name, in.Figures(), in.BeforeTried)
		}
	}
}

// Hand-offs and probes alone give no verdict.
func TestNoVerdictOfHandoffs(t *testing.T) {
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	build := mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 48 * 60 {
			at := time.Duration(i) * time.Minute
			add(at, "shop.example", "filter.example", bounce.Handoff, bounce.NoReason)
			add(at, "shop.example", "checked.example", bounce.Probe, bounce.NoReason)
			if i < 24*60 {
				add(at, "shop.example", "large.example", bounce.Delivered, bounce.NoReason)
			}
		}
	})
	const none = "No verdict: the filter selects hand-offs and probes only, in this period and any other."
	for _, c := range []struct {
		name, sentence string
		f              store.Filter
	}{
		{"relay", none, store.Filter{Relay: "filter.example"}},
		{"relay, in a period", none, store.Filter{Relay: "filter.example", Since: start, Until: start.Add(time.Hour)}},
		{"domain that is probed", none, store.Filter{Domain: "checked.example"}},
		{"domain with mail in another period", "No delivery attempts match the filter in this period.", store.Filter{SenderDomain: "shop.example", Since: start.Add(30 * time.Hour)}},
		{"all mail of that period", "No delivery attempts in this period.", store.Filter{Since: start.Add(30 * time.Hour)}},
	} {
		for _, section := range []string{"", SectionTotals} {
			o := Options{Filter: c.f}
			if section != "" {
				o.Sections = []string{section}
			}
			r := build(o)
			if (r.NoVerdict != "") != (c.sentence == none) {
				t.Errorf("%s: no verdict: %q", c.name, r.NoVerdict)
			}
			if section == "" && r.Verdict.Sentence != c.sentence {
				t.Errorf("%s: %s", c.name, r.Verdict.Sentence)
			}
		}
	}
}

// The proof that an incident is over may come days after the period in which it ended.
func TestEndedInPeriod(t *testing.T) {
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	build := mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 5 * 24 * 6 {
			at := time.Duration(i) * 10 * time.Minute
			add(at, "shop.example", "large.example", bounce.Delivered, 0)
			if i >= 6 && i < 24 {
				add(at+time.Second, "shop.example", "small.example", bounce.Hard, bounce.AuthFailure)
			}
		}
	})
	const want = "No incident is going on. The last: small.example refuses shop.example: SPF does not pass, all 18 messages, ended 2026-05-04 03:50."
	v := build(Options{Filter: store.Filter{Since: start, Until: start.Add(24 * time.Hour)}}).Verdict
	if v.Status != StatusEnded || v.Sentence != want || v.Going+v.Over > 0 {
		t.Errorf("%s: %s", v.Status, v.Sentence)
	}
}

// The worst incident comes first, then findings that hide others. An ended incident is named if
// there is no other finding.
func TestHeadline(t *testing.T) {
	newest := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ours := Incident{Title: "a refuses b", Ours: true, Ongoing: true, Since: newest}
	theirs := Incident{Title: "c takes no mail", Ongoing: true, Since: newest}
	over := Incident{Title: "d refuses e", Ongoing: true, After: AfterEnded, AfterEnded: newest, Since: newest}
	silence := &Silence{Since: newest, Seconds: 7200}
	for _, c := range []struct {
		name           string
		v              Verdict
		line, sentence string
	}{
		{"ours, and a silence", Verdict{Going: 1, Act: []Incident{ours}, Silence: silence}, "1 incident going on: a refuses b; log silent for 2 h 0 min", "1 incident is going on: a refuses b, since 12:00, 0 messages. The log is silent since 2026-05-04 12:00 (2 h 0 min)."},
		{"theirs, and a silence", Verdict{Going: 1, Act: []Incident{theirs}, Silence: silence}, "log silent for 2 h 0 min; 1 incident going on: c takes no mail", "The log is silent since 2026-05-04 12:00 (2 h 0 min). 1 incident is going on: c takes no mail, since 12:00, 0 messages."},
		{"one that ended since", Verdict{Going: 1, Over: 1, Act: []Incident{over}}, "1 incident ended since: d refuses e", ""},
		{"one of each", Verdict{Going: 2, Over: 1, Act: []Incident{ours, over}}, "1 incident going on: a refuses b; 1 incident ended since", ""},
		{"others', and one of ours that ended", Verdict{Going: 1, Act: []Incident{theirs}, Ended: []Incident{over, ours}}, "1 incident going on: c takes no mail; 2 incidents ended, the worst of ours: a refuses b", "1 incident is going on: c takes no mail, since 12:00, 0 messages. Ended time unknown: a refuses b, 0 messages."},
		{"a gap", Verdict{Status: StatusQuiet, Gaps: []Gap{{From: newest, To: newest.Add(time.Hour)}, {From: newest.Add(3 * time.Hour), To: newest.Add(4 * time.Hour)}}}, "no incident; no log for 2 h 0 min", ""},
		{"none", Verdict{Status: StatusQuiet}, "no incident", ""},
		{"some that ended", Verdict{Ended: []Incident{over, ours}}, "2 incidents ended, the worst: d refuses e", "No incident is going on. 2 ended. The worst: d refuses e, 0 messages, ended 12:00."},
		{"one that ended", Verdict{Ended: []Incident{over}}, "1 incident ended: d refuses e", "No incident is going on. The last: d refuses e, 0 messages, ended 12:00."},
	} {
		r := &Report{Location: time.UTC, AsOf: newest, Now: newest.Add(2 * time.Hour), Verdict: &c.v, judged: &ProviderTable{Total: ProviderRow{Attempts: 9}}, Problems: []problem.Problem{}}
		if got := r.Headline(); got != "all data: "+c.line {
			t.Errorf("%s: %s", c.name, got)
		}
		if c.v.say(r); c.sentence != "" && c.v.Sentence != c.sentence {
			t.Errorf("%s: %s", c.name, c.v.Sentence)
		}
	}
}
