package problem_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

// A mail is one delivery attempt of a made-up log.
type mail struct {
	at       time.Duration // since the start of the log
	id       string
	from, to string
	relay    string
	address  string // of the relay; "": 192.0.2.1
	outcome  bounce.Outcome
	reason   bounce.Reason
	detail   string
	guess    bool // reason is a guess
	code     uint16
	nullFrom bool
	says     string // the reply to judge, in place of reason, detail and code
	stage    bounce.Stage
	port     uint16 // 0: 25
	original string // address before forwarding
	local    bool   // says holds the MTA's own words, and there is no code; before DATA, no host is named
	agent    string // "": smtp
	exim     bool
	login    string // login of the submitter
	client   string // client of a submitter without a login
	warns    string // the MTA's warning just before
	host     string // "": mx1
	instance string // "": postfix
}

var begin = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	good = bounce.Delivered
)

// logOf stores a made-up log in a database.
func logOf(t *testing.T, mails []mail) store.Store {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, "", sqlite.Options{Temporary: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	mails = slices.Clone(mails)
	slices.SortStableFunc(mails, func(a, b mail) int { return cmp.Compare(a.at, b.at) })
	b := &store.Batch{}
	arrived := map[string]time.Duration{} // of messages, a second before their first attempt
	for i, m := range mails {
		if _, again := arrived[m.id]; !again {
			arrived[m.id] = m.at - time.Second
		}
		a := store.Attempt{
			Delivery: bounce.Delivery{
				Source: "test", Offset: int64(i) * 1000, Time: begin.Add(m.at), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
				QueueID: m.id, Sender: m.from, SenderDomain: domain(m.from), SenderKnown: true,
				Recipient: m.to, RecipientDomain: domain(m.to), OriginalRecipient: m.original, RelayHost: m.relay, RelayIP: "192.0.2.1", RelayPort: 25, Stage: m.stage,
				Outcome: m.outcome, Code: m.code, Delay: (m.at - arrived[m.id]).Seconds(), Status: map[bounce.Outcome]string{good: "sent", bounce.Soft: "deferred", bounce.Hard: "bounced"}[m.outcome],
				Response: fmt.Sprintf("%d said %s %s", m.code, m.reason, m.detail),
			},
		}
		a.Host, a.Instance = cmp.Or(m.host, a.Host), cmp.Or(m.instance, a.Instance)
		a.SASLUser, a.ClientIP, a.Warning = m.login, m.client, m.warns
		if m.port != 0 {
			a.RelayPort = m.port
		}
		if m.nullFrom {
			a.Sender, a.SenderDomain = "", ""
		}
		if m.address != "" {
			a.RelayIP = m.address
		}
		if m.agent != "" {
			a.Agent = m.agent
		}
		if m.exim {
			a.MTA, a.Instance, a.Agent = bounce.Exim, "", ""
		}
		if m.relay == "" {
			a.RelayIP, a.RelayPort = "", 0
		}
		switch {
		case m.outcome == good:
		case m.local:
			if a.Response, a.Code, a.Local = m.says, 0, true; m.stage < bounce.StageData {
				a.RelayHost, a.RelayIP, a.RelayPort = "", "", 0
			}
			a.Verdict = j.Verdict(&a.Delivery)
		case m.says != "":
			a.Response = m.says
			code, err := strconv.ParseUint(m.says[:3], 10, 16)
			if err != nil {
				t.Fatalf("%q bears no reply code", m.says)
			}
			a.Code = uint16(code)
			a.Verdict = j.Verdict(&a.Delivery)
		default:
			a.Verdict = bounce.Verdict{Reason: m.reason, Detail: m.detail, Rule: "test", Scope: judge.ReasonText(m.reason).Scope, Confidence: bounce.NamedCause}
			if m.guess {
				a.Confidence = bounce.Guess
			}
		}
		b.Attempts = append(b.Attempts, a)
	}
	n := int64(len(mails))
	b.Sources = []store.Source{{ID: "test", Path: "mail.log", Offset: n * 1000, Lines: n, Delivery: n, Attempts: n}}
	if err := storetest.Put(ctx, db, b); err != nil {
		t.Fatal(err)
	}
	return db
}

// problemsIn returns the problems of a period.
func problemsIn(t *testing.T, s store.Store, f store.Filter) []problem.Problem {
	t.Helper()
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := problem.FindRows(t.Context(), r, f, problem.Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		checkRows(t, r, &found[i])
	}
	return found
}

// checkRows holds that the rows behind each figure of a problem are as many as the figure says, and
// are attempts of its kind.
func checkRows(t *testing.T, r store.Reader, p *problem.Problem) {
	t.Helper()
	want := map[problem.Figure]int{
		problem.FigureAttempts: int(p.Attempts), problem.FigureRefused: p.Messages, problem.FigureReturned: p.Returned,
		problem.FigureRecipients: p.Recipients, problem.FigureValid: p.Valid(),
	}
	sums := p.Homemade() || p.WhoActs() == bounce.ScopeRemote || p.Cause == "mail_refused" || p.Cause == "user_table" // the store counts the other mail
	if p.Before != nil && !sums {
		want[problem.FigureBefore], want[problem.FigureBeforeRefused] = p.Before.Tried, p.Before.Refused
	}
	if p.Onset != nil && !sums {
		want[problem.FigureTried], want[problem.FigureTriedRefused] = p.Onset.Tried, p.Onset.Refused
	}
	for f, ended := range map[problem.Figure]string{problem.FigureTaken: "taken since", problem.FigureReached: "reached since"} {
		if strings.HasSuffix(p.Ended, ended) {
			n := 0
			if _, err := fmt.Sscan(p.Ended, &n); err != nil {
				t.Fatal(err)
			}
			want[f] = n
		}
	}
	for f, n := range want {
		refs := p.Rows(f)
		if len(refs) != n {
			t.Errorf("%s: %d rows of %s, not %d", p.Title, len(refs), f, n)
		}
		found, err := r.Lookup(t.Context(), refs...)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[store.Ref]bool{}
		for i, a := range found {
			switch {
			case a == nil:
				t.Errorf("%s: %s: no attempt %v", p.Title, f, refs[i])
				continue
			case seen[refs[i]]:
				t.Errorf("%s: %s: %v twice", p.Title, f, refs[i])
			case f == problem.FigureTaken && a.Outcome != bounce.Delivered, f == problem.FigureReturned && a.Outcome != bounce.Hard:
				t.Errorf("%s: %s: an attempt is %s", p.Title, f, a.Outcome)
			case f == problem.FigureAttempts && (a.Time.Before(p.Since.Truncate(time.Second)) && p.Cause != "flood" || a.Time.After(p.Until) && p.Cause != "flood"):
				t.Errorf("%s: %s: an attempt at %s is out of the period", p.Title, f, a.Time)
			}
			seen[refs[i]] = true
		}
	}
}

func problemsOf(t *testing.T, mails []mail) []problem.Problem {
	t.Helper()
	return problemsIn(t, logOf(t, mails), store.Filter{})
}

func domain(address string) string {
	for i := range len(address) {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return ""
}

// to returns deliveries to n recipients, one message each.
func to(n int, at time.Duration, from, format, relay string) (list []mail) {
	for i := range n {
		list = append(list, mail{at: at + time.Duration(i)*time.Minute, id: fmt.Sprintf("D%v%d", at, i), from: from, to: fmt.Sprintf(format, i), relay: relay, outcome: good, code: 250})
	}
	return list
}

// refused returns refusals of n recipients in the given number of messages.
func refused(n, messages int, at time.Duration, from, format, relay string, m mail) (list []mail) {
	for i := range n {
		m.at, m.id, m.from, m.to, m.relay = at+time.Duration(i)*time.Minute, fmt.Sprintf("R%v%d", at, i%messages), from, fmt.Sprintf(format, i), relay
		if m.outcome == bounce.NoOutcome {
			m.outcome = bounce.Hard
		}
		list = append(list, m)
	}
	return list
}

func join(lists ...[]mail) (all []mail) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func TestProblems(t *testing.T) {
	const (
		from  = "news@shop.example"
		users = "user%d@big.example"
		relay = "mx1.big-provider.example"
	)
	policy := mail{reason: bounce.Policy, code: 550}
	type finding struct {
		Level, Cause string
		Reason       bounce.Reason
		Attempts     int64
		Valid        int
	}
	for _, test := range []struct {
		name  string
		mails []mail
		want  []finding
	}{
		{"nothing", to(5, 0, from, users, relay), nil},
		{
			"one line that names a blocklist is enough",
			refused(1, 1, 0, from, users, relay, mail{reason: bounce.Blocklist, detail: "spamhaus-zen", code: 554}),
			[]finding{{problem.Confirmed, "ip", bounce.Blocklist, 1, 0}},
		},
		{
			"a listing is one incident, whoever sends and whoever refuses",
			join(
				refused(4, 4, 0, from, users, relay, mail{reason: bounce.Blocklist, detail: "spamhaus-zen", code: 554}),
				refused(4, 4, time.Hour, "anna@office.example", "x%d@other.example", "mx.other.example", mail{reason: bounce.Blocklist, detail: "spamhaus-zen", code: 554}),
			),
			[]finding{{problem.Confirmed, "ip", bounce.Blocklist, 8, 0}},
		},
		{
			"two listings of the same kind a week apart are two incidents",
			join(
				refused(2, 2, 0, from, users, relay, mail{reason: bounce.Blocklist, detail: "spamcop", code: 554}),
				refused(2, 2, 7*day, from, users, relay, mail{reason: bounce.Blocklist, detail: "spamcop", code: 554}),
			),
			[]finding{{problem.Confirmed, "ip", bounce.Blocklist, 2, 0}, {problem.Confirmed, "ip", bounce.Blocklist, 2, 0}},
		},
		{
			"authentication, with recipients known to be valid",
			join(to(3, 0, from, users, relay), refused(3, 3, 2*day, from, users, relay, mail{reason: bounce.AuthFailure, detail: "dmarc", code: 550})),
			[]finding{{problem.Confirmed, "authentication", bounce.AuthFailure, 3, 3}},
		},
		{
			"a receiver whose resolver the list refuses is no listing",
			refused(5, 5, 0, from, users, relay, mail{reason: bounce.Blocklist, detail: "receiver-dnsbl-error", code: 554}), nil,
		},
		{
			"repeated refusals without a cause, to valid recipients, new",
			join(to(10, 0, from, users, relay), refused(5, 3, 2*day, from, users, relay, policy)),
			[]finding{{problem.Likely, "unknown", bounce.Policy, 5, 5}},
		},
		{
			"the same within one hour",
			join(to(10, 0, from, users, relay), refused(5, 3, 30*time.Minute, from, users, relay, policy)),
			[]finding{{problem.Likely, "unknown", bounce.Policy, 5, 5}},
		},
		{
			"one newsletter judged spam",
			join(to(10, 0, from, users, relay), refused(5, 1, 2*day, from, users, relay, mail{reason: bounce.ContentSpam, code: 554})),
			[]finding{{problem.Watch, "unknown", bounce.ContentSpam, 5, 5}},
		},
		{"guesses at a blocklist name none", refused(5, 5, 0, from, users, relay, mail{reason: bounce.Blocklist, guess: true, code: 554}), nil},
		{
			"guesses at a blocklist, to valid recipients, are refusals without a cause",
			join(to(10, 0, from, users, relay), refused(5, 3, 2*day, from, users, relay, mail{reason: bounce.Blocklist, guess: true, code: 554})),
			[]finding{{problem.Likely, "unknown", bounce.Unknown, 5, 5}},
		},
		{
			"a guess that a mailbox is gone does not make it invalid",
			join(
				to(10, 0, from, users, relay),
				refused(5, 5, day, from, users, relay, mail{reason: bounce.UserUnknown, guess: true, code: 550}),
				refused(5, 3, 2*day, from, users, relay, policy),
			),
			[]finding{{problem.Likely, "unknown", bounce.Unknown, 10, 5}},
		},
		{
			"a guess of a reason that is not the sender's hides nothing",
			join(to(10, 0, from, users, relay), refused(5, 5, day, from, users, relay, mail{reason: bounce.MailboxDisabled, guess: true, code: 550})),
			[]finding{{problem.Likely, "unknown", bounce.Unknown, 5, 5}},
		},
		{
			"addresses never delivered to",
			refused(5, 5, 2*day, from, users, relay, policy), nil,
		},
		{
			"leavers",
			join(to(10, 0, from, users, relay), refused(5, 5, 2*day, from, users, relay, mail{reason: bounce.UserUnknown, code: 550})), nil,
		},
		{
			"known to be unknown in between",
			join(
				to(5, 0, from, users, relay),
				refused(5, 5, day, from, users, relay, mail{reason: bounce.UserUnknown, code: 550}),
				refused(5, 5, 2*day, from, users, relay, policy),
			), nil,
		},
		{
			"a log that starts inside the fault has nothing to compare with",
			join(refused(5, 5, 0, from, users, relay, policy), to(5, day, "other@office.example", users, relay)),
			[]finding{{problem.Watch, "unknown", bounce.Policy, 5, 5}},
		},
		{
			"greylisting",
			join(to(5, 0, from, users, relay), refused(5, 5, day, from, users, relay, mail{outcome: bounce.Soft, reason: bounce.Greylisted, code: 450})), nil,
		},
		{
			"our own notifications",
			join(to(5, 0, from, users, relay), refused(5, 5, day, "", users, relay, mail{nullFrom: true, reason: bounce.Reputation, code: 550})), nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []finding
			for _, p := range problemsOf(t, test.mails) {
				got = append(got, finding{p.Level, p.Cause, p.Reason, p.Attempts, len(p.ValidRecipients)})
				if p.Summary == "" || p.FirstCheck == "" || p.OtherExplanation == "" || p.DisprovedBy == "" || p.Scan == "" || len(p.Evidence) == 0 {
					t.Errorf("incomplete: %+v", p)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestValidRecipients holds the valid recipients of several problems, whose order of refusals
// differs from the order of first deliveries.
func TestValidRecipients(t *testing.T) {
	names := []string{"ann", "ben", "cora", "dan", "eve", "fred"}
	var mails []mail
	for i, name := range names {
		mails = append(mails, mail{at: time.Duration(i) * time.Minute, id: "A" + name, from: "a@s.example", to: name + "@b.example", relay: "mx.b.example", outcome: good})
	}
	for i, name := range []string{"fred", "ann", "dan", "cora", "eve"} {
		m := mail{
			at: day + time.Duration(i)*time.Minute, id: "B" + name, from: "a@s.example", to: name + "@b.example", relay: "mx.b.example",
			outcome: bounce.Hard, reason: bounce.AuthFailure, detail: "dkim", code: 550,
		}
		if i%2 == 1 {
			m.reason, m.detail = bounce.Blocklist, "spamcop"
		}
		mails = append(mails, m)
	}
	got := map[string][]string{}
	for _, p := range problemsOf(t, mails) {
		got[p.Detail] = p.ValidRecipients
		if diff := gocmp.Diff(p.ValidRecipients, p.ValidBefore); diff != "" {
			t.Errorf("%s: valid and valid before: %s", p.Detail, diff)
		}
	}
	want := map[string][]string{
		"dkim":    {"dan@b.example", "eve@b.example", "fred@b.example"},
		"spamcop": {"ann@b.example", "cora@b.example"},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
