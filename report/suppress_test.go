package report

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestSuppressionDoubts holds that neither a fault of our own nor one that other mail contradicts
// puts an address on the list, and that spared addresses are listed with the reason.
func TestSuppressionDoubts(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	n := int64(0)
	attempt := func(to string, after time.Duration, change func(*store.Attempt)) store.Attempt {
		n++
		domain := to[strings.LastIndexByte(to, '@')+1:]
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: n * 100, Time: at.Add(after), MTA: bounce.Exim, Host: "mx1", QueueID: fmt.Sprint("Q", n), Sender: "a@sender.example",
			SenderDomain: "sender.example", SenderKnown: true, Recipient: to, RecipientDomain: domain, RelayHost: "mx." + domain, RelayIP: "192.0.2.1", RelayPort: 25,
			Status: "delivered", Outcome: bounce.Delivered, Code: 250, Response: "250 ok",
		}}
		if change != nil {
			a.Outcome, a.Status, a.Local, a.Code, a.RelayHost, a.RelayIP, a.RelayPort = bounce.Hard, "failed", true, 0, "", "", 0
			a.Response, a.Verdict = "Unrouteable address", bounce.Verdict{Reason: bounce.DomainInvalid, Scope: bounce.ScopeRecipient, Rule: "test"}
			change(&a)
		}
		return a
	}
	gone := func(*store.Attempt) {}
	unknown := func(a *store.Attempt) {
		a.Response, a.Reason = "Unknown user", bounce.UserUnknown
	}
	said := func(a *store.Attempt) {
		a.Local, a.Code, a.RelayHost, a.RelayIP, a.RelayPort = false, 550, "mx.remote.example", "192.0.2.9", 25
		a.Response, a.Reason = "550 5.1.1 no such user", bounce.UserUnknown
	}
	unanswered := func(a *store.Attempt) {
		a.Outcome, a.Status, a.Response, a.Reason, a.Scope = bounce.Soft, "deferred", "Host lookup did not complete", bounce.DNSRouting, bounce.ScopeRemote
	}
	failing := func(at time.Duration, taken bool) (list []store.Attempt) { // the resolver fails for five domains
		for i := range 5 {
			to := fmt.Sprintf("u@r%d.example", i)
			if list = append(list, attempt(to, at+time.Duration(i)*time.Minute, unanswered)); taken {
				list = append(list, attempt(to, at+time.Hour+time.Duration(i)*time.Minute, nil))
			}
		}
		return list
	}
	moved := func(relay string, from, n int, gap time.Duration) (list []store.Attempt) { // deliveries to a domain
		for i := range n {
			a := attempt(fmt.Sprintf("x%d@firm.example", i), time.Duration(from+i)*gap, nil)
			a.RelayHost = relay
			list = append(list, a)
		}
		return list
	}
	refusedBy := func(relay string) func(*store.Attempt) {
		return func(a *store.Attempt) { said(a); a.RelayHost = relay }
	}
	replied := func(reason bounce.Reason, reply string) func(*store.Attempt) {
		return func(a *store.Attempt) {
			if a.Response, a.Reason = reply, reason; reply[0] == '5' {
				a.Local, a.Code, a.RelayHost = false, 550, "mx."+a.RecipientDomain
			}
		}
	}
	var many []store.Attempt
	var names []string
	for i := range 6 {
		many = append(many, attempt(fmt.Sprintf("u@d%d.example", i), time.Duration(i)*time.Minute, gone))
		names = append(names, fmt.Sprintf("u@d%d.example", i))
	}
	for _, test := range []struct {
		name string
		log  []store.Attempt
		want []string
		why  string // a word of the reason for the spared ones
	}{
		{"a domain that is not found while the DNS does not answer for others", append(failing(time.Hour, true), attempt("u@gone.example", time.Hour+90*time.Second, gone)), nil, "did not answer"},
		{"a domain that is not found, too, when the DNS answers", append(failing(time.Hour, true), attempt("u@gone.example", time.Hour+90*time.Second, gone), attempt("u@gone.example", 5*time.Hour, gone)), []string{"u@gone.example"}, ""},
		{"a domain that is not found beside some whose DNS never answers", append(failing(time.Hour, false), attempt("u@gone.example", time.Hour+90*time.Second, gone)), []string{"u@gone.example"}, ""},
		{"one address alone, by a server to which the domain has just moved", slices.Concat(moved("old.firm.example", 0, 5, time.Hour), moved("new.firm.example", 6, 5, time.Hour), []store.Attempt{attempt("u@firm.example", 6*time.Hour+time.Minute, refusedBy("new.firm.example"))}), nil, "less than three days"},
		{"the same, to a large provider of mailboxes", slices.Concat(moved("old.firm.example", 0, 5, time.Hour), moved("aspmx.l.google.com", 6, 5, time.Hour), []store.Attempt{attempt("u@firm.example", 6*time.Hour+time.Minute, refusedBy("alt1.aspmx.l.google.com"))}), nil, "less than three days"},
		{"one address alone, days after the domain moved", slices.Concat(moved("old.firm.example", 0, 5, time.Hour), moved("new.firm.example", 6, 90, time.Hour), []store.Attempt{attempt("u@firm.example", 81*time.Hour, refusedBy("new.firm.example"))}), []string{"u@firm.example"}, ""},
		{"one address alone, at one of two servers", slices.Concat(moved("mx1.firm.example", 0, 5, time.Hour), moved("mx2.firm.example", 6, 5, time.Hour), moved("mx1.firm.example", 12, 5, time.Hour), []store.Attempt{attempt("u@firm.example", 6*time.Hour+time.Minute, refusedBy("mx2.firm.example"))}), []string{"u@firm.example"}, ""},
		{"a domain that is not there", []store.Attempt{attempt("x@ok.example", 0, nil), attempt("u@gone.example", time.Hour, gone)}, []string{"u@gone.example"}, ""},
		{"a domain that took mail for another", []store.Attempt{attempt("x@firm.example", 0, nil), attempt("u@firm.example", time.Hour, gone)}, nil, "domain took mail"},
		{"a domain that took mail, in other letters", []store.Attempt{attempt("x@FIRM.example", 0, nil), attempt("u@firm.example", time.Hour, gone)}, nil, "domain took mail"},
		{"a domain that mail comes from", []store.Attempt{attempt("x@ok.example", 0, nil), attempt("u@sender.example", time.Hour, gone)}, nil, "mail of its domain"},
		{"our own server denies a mailbox that it filled", []store.Attempt{attempt("u@firm.example", 0, nil), attempt("u@firm.example", time.Hour, unknown)}, nil, "this server itself"},
		{"our own server denies a mailbox that it never had", []store.Attempt{attempt("x@firm.example", 0, nil), attempt("u@firm.example", time.Hour, unknown)}, nil, "only this server itself"},
		{"the domain's server says that the mailbox is gone", []store.Attempt{attempt("u@firm.example", 0, nil), attempt("u@firm.example", time.Hour, refusedBy("mx2.firm.example"))}, []string{"u@firm.example"}, ""},
		{"a server that never took mail of a domain that others serve", []store.Attempt{attempt("x@firm.example", 0, nil), attempt("u@firm.example", time.Hour, refusedBy("old.host.example"))}, nil, "your route"},
		{"such a server, for days", []store.Attempt{attempt("x@firm.example", 0, nil), attempt("u@firm.example", time.Hour, refusedBy("new.host.example")), attempt("u@firm.example", 80*time.Hour, refusedBy("new.host.example"))}, []string{"u@firm.example"}, ""},
		{"a server that refuses to relay to it", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.RelayDenied, "554 5.7.1 <u@firm.example>: Relay access denied"))}, nil, "of its server or of this side"},
		{"a reply that no rule knows", []store.Attempt{attempt("u@firm.example", time.Hour, func(a *store.Attempt) { said(a); a.Confidence = bounce.Guess })}, nil, "guess"},
		{"a mailbox that is closed for a while", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.MailboxDisabled, "550 5.2.1 <u@firm.example>: account suspended for the moment, please try again later"))}, nil, "for a time"},
		{"the same in another language", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.MailboxDisabled, "550 5.2.1 Postfach vorübergehend gesperrt"))}, nil, "for a time"},
		{"a mailbox that is closed", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.MailboxDisabled, "550 5.2.1 account suspended"))}, []string{"u@firm.example"}, ""},
		{"a typing error, in the words of a later try", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 no such user, please check the address and try again"))}, []string{"u@firm.example"}, ""},
		{"an address that forwards to a missing one", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 <old.chief@mail.example>: Recipient address rejected: User unknown"))}, nil, "another address"},
		{"the same, bare", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 User unknown: chief@firm.example"))}, nil, "another address"},
		{"the same address, as the server writes it", []store.Attempt{attempt("u+tag@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 <U@store.firm.example>: User unknown"))}, []string{"u+tag@firm.example"}, ""},
		{"an address, and the words of a log behind it", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 User unknown), to=<x@firm.example>, relay=none, status=sent (250 Ok"))}, []string{"u@firm.example"}, ""},
		{"an address that forwards, within a sentence", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.10 Recipient chief@firm.example not found"))}, nil, "another address"},
		{"an address, and whom to ask", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 User unknown. Contact postmaster@firm.example"))}, []string{"u@firm.example"}, ""},
		{"an address, and one who forwards to it", []store.Attempt{attempt("u@firm.example", time.Hour, replied(bounce.UserUnknown, "550 5.1.1 <u@firm.example> unknown (for list@firm.example)"))}, []string{"u@firm.example"}, ""},
		{"a domain that takes no mail, beside one that is not found", []store.Attempt{attempt("u@null.example", 0, replied(bounce.DomainInvalid, "Domain null.example does not accept mail (nullMX)")), attempt("u@gone.example", time.Minute, gone)}, []string{"u@gone.example", "u@null.example"}, ""},
		{"many domains at once, and nothing gets out", many, nil, "6 domains"},
		{"many domains at once, and mail gets out long before and after", append(slices.Clone(many), attempt("x@ok.example", -time.Hour, nil), attempt("x@ok.example", time.Hour, nil)), nil, "6 domains"},
		{"many domains at once, while mail gets out", append(slices.Clone(many), attempt("x@ok.example", -time.Minute, nil), attempt("x@ok.example", 2*time.Minute, nil), attempt("x@ok.example", 6*time.Minute, nil)), names, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := readerOf(t, slices.Clone(test.log))
			list, err := Suppressions(t.Context(), r, store.Filter{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range list.Suppress {
				got = append(got, list.Suppress[i].Recipient)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("suppressed %q, want %q", got, test.want)
			}
			if test.why != "" && len(list.Spared) == 0 {
				t.Error("it is not listed why")
			}
			for _, s := range list.Spared {
				if !strings.Contains(s.Why, test.why) {
					t.Errorf("%s: %q", s.Recipient, s.Why)
				}
			}
		})
	}
}

// TestSuppressionPeriod holds that a domain that took mail before the period does not count as
// missing.
func TestSuppressionPeriod(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	var log []store.Attempt
	for i, to := range []string{"x@firm.example", "u@firm.example", "u@gone.example"} {
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(i), Time: at.AddDate(0, 0, i), MTA: bounce.Exim, Host: "mx1", QueueID: fmt.Sprint("Q", i), Sender: "a@sender.example", SenderDomain: "sender.example", SenderKnown: true,
			Recipient: to, RecipientDomain: to[2:], Outcome: bounce.Hard, Status: "failed", Local: true, Response: "Unrouteable address",
		}, Verdict: bounce.Verdict{Reason: bounce.DomainInvalid, Scope: bounce.ScopeRecipient, Rule: "test"}}
		if i == 0 {
			a.Outcome, a.Status, a.Local, a.RelayHost, a.Code, a.Response, a.Verdict = bounce.Delivered, "delivered", false, "mx."+a.RecipientDomain, 250, "250 ok", bounce.Verdict{}
		}
		log = append(log, a)
	}
	r := readerOf(t, log)
	list, err := Suppressions(t.Context(), r, store.Filter{Since: at.Add(time.Hour)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Suppress) != 1 || list.Suppress[0].Recipient != "u@gone.example" || len(list.Spared) != 1 || !strings.Contains(list.Spared[0].Why, "before the period") {
		t.Errorf("%+v", list)
	}
}

// readerOf stores the attempts of a log and returns a reader of them.
func readerOf(t *testing.T, log []store.Attempt) store.Reader {
	t.Helper()
	s := memory.Open()
	storetest.Append(t, s, &store.Batch{Attempts: log, Sources: []store.Source{{ID: "log"}}})
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// An askedReader counts the questions that a server would be asked.
type askedReader struct {
	store.Reader
	n int
}

func (r *askedReader) Count(ctx context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	r.n++
	return r.Reader.Count(ctx, f, by...)
}

func (r *askedReader) Attempts(ctx context.Context, f store.Filter, p store.Page) iter.Seq2[*store.Attempt, error] {
	r.n++
	return r.Reader.Attempts(ctx, f, p)
}

func (r *askedReader) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	r.n++
	return r.Reader.Refusals(ctx, f)
}

func (r *askedReader) CountPeriods(ctx context.Context, f store.Filter, periods []store.Span, by ...store.Dimension) ([][]store.Cell, error) {
	r.n++
	return store.CountPeriods(ctx, r.Reader, f, periods, by...)
}

func (r *askedReader) NewestAt(ctx context.Context, f store.Filter, visits []store.Visit) ([]*store.Attempt, error) {
	r.n++
	return store.NewestAt(ctx, r.Reader, f, visits)
}

// TestSuppressionQuestions holds that many domains that were not found, each at another time and while
// the DNS did not answer for others, cost few questions.
func TestSuppressionQuestions(t *testing.T) {
	asked := func(domains int) int {
		at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
		var log []store.Attempt
		add := func(domain string, after time.Duration, o bounce.Outcome, v bounce.Verdict) {
			a := store.Attempt{Delivery: bounce.Delivery{
				Source: "log", Offset: int64(len(log)), Time: at.Add(after), MTA: bounce.Exim, Host: "mx1", QueueID: fmt.Sprint("Q", len(log)), Sender: "a@sender.example", SenderDomain: "sender.example", SenderKnown: true,
				Recipient: "u@" + domain, RecipientDomain: domain, Outcome: o, Local: true, Response: "Unrouteable address",
			}, Verdict: v}
			if o == bounce.Delivered {
				a.Local, a.RelayHost, a.RelayIP, a.RelayPort = false, "mx."+domain, "192.0.2.1", 25
			}
			log = append(log, a)
		}
		for i := range domains {
			after := time.Duration(i) * 20 * time.Minute
			for j := range 3 {
				add(fmt.Sprintf("r%d.example", j), after, bounce.Delivered, bounce.Verdict{})
				add(fmt.Sprintf("r%d.example", j), after+time.Minute, bounce.Soft, bounce.Verdict{Reason: bounce.DNSRouting, Scope: bounce.ScopeRemote, Rule: "test"})
			}
			add(fmt.Sprintf("gone%d.example", i), after+2*time.Minute, bounce.Hard, bounce.Verdict{Reason: bounce.DomainInvalid, Scope: bounce.ScopeRecipient, Rule: "test"})
		}
		r := readerOf(t, log)
		x := &askedReader{Reader: r}
		list, err := Suppressions(t.Context(), x, store.Filter{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Spared) != domains {
			t.Errorf("%d of %d domains are doubted", len(list.Spared), domains)
		}
		return x.n
	}
	if few, many := asked(10), asked(70); many > few+4 {
		t.Errorf("70 domains cost %d questions, 10 domains %d", many, few)
	}
}
