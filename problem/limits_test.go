package problem

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// A shortLog is a log of attempts by one server, for tests of limits.
type shortLog struct {
	begin time.Time
	store.Batch
}

// add adds a delivery to a relay. The pointer is valid until the next call.
func (l *shortLog) add(at time.Duration, sender, to, relay string) *store.Attempt {
	i := len(l.Attempts)
	_, senderDomain, _ := strings.Cut(sender, "@")
	_, domain, _ := strings.Cut(to, "@")
	l.Attempts = append(l.Attempts, store.Attempt{Delivery: bounce.Delivery{
		Source: "test", Offset: int64(i), Time: l.begin.Add(at), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1),
		Sender: sender, SenderDomain: senderDomain, SenderKnown: true, Recipient: to, RecipientDomain: domain, RelayHost: relay, RelayIP: "192.0.2.1", RelayPort: 25,
		Outcome: bounce.Delivered, Code: 250, Status: "sent", Response: "250 ok",
	}})
	return &l.Attempts[i]
}

// refuse makes a hard bounce of an attempt.
func refuse(a *store.Attempt, says string, v bounce.Verdict) {
	a.Outcome, a.Code, a.Status, a.Response, a.Verdict = bounce.Hard, 550, "bounced", says, v
}

// read stores the log. The test closes the Reader.
func (l *shortLog) read(t *testing.T) store.Reader {
	t.Helper()
	s := memory.Open()
	l.Sources = []store.Source{{ID: "test"}}
	storetest.Append(t, s, &l.Batch)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// problems finds the problems of the log.
func (l *shortLog) problems(t *testing.T) []Problem {
	t.Helper()
	found, err := Find(t.Context(), l.read(t), store.Filter{}, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLimits holds that a flood of refusals with all values different does not hide later refusals,
// and what is still counted beyond the limits.
func TestLimits(t *testing.T) {
	defer func(refusals, traits int) { refusalsKept, traitsKept = refusals, traits }(refusalsKept, traitsKept)
	refusalsKept, traitsKept = 4*slabSize, 100
	l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	const n = 10*slabSize + 17
	for i := range n {
		name := fmt.Sprintf("d%d.example", i)
		v := bounce.Verdict{Reason: bounce.Blocklist, Detail: "spamhaus-zen", Scope: bounce.ScopeSender}
		if i == n-1 {
			v.Detail = "spamcop"
		}
		refuse(l.add(time.Duration(i)*time.Second, "a@shop.example", "b@"+name, "mx."+name), "550 no", v)
	}
	r := l.read(t)
	// The oldest are not read, or are dropped if that is cheaper.
	for _, f := range []store.Filter{{}, {Since: l.begin.Add(time.Minute)}, {SenderDomain: "shop.example"}} {
		limits(t, r, f, l.begin.Add((n-2)*time.Second))
	}
}

// TestInventedSenders holds that invented sender domains, more than there are streams, hide no incident that comes later
// or between them.
func TestInventedSenders(t *testing.T) {
	defer func(streams int) { streamsKept = streams }(streamsKept)
	streamsKept = 200
	spf := bounce.Verdict{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
	for name, every := range map[string]int{"behind them": 0, "between them": 60} {
		l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
		refused := func(sender, to string) {
			i := len(l.Attempts)
			refuse(l.add(time.Duration(i)*time.Second, "a@"+sender, fmt.Sprintf("b%d@%s", i, to), "mx."+to), "550 SPF", spf)
		}
		for i := range 5*streamsKept + 10 {
			refused(fmt.Sprintf("d%d.example", i), "evil.example")
			if every > 0 && i%every == 0 {
				refused("shop.example", "x.example")
			}
		}
		for range 5 {
			refused("shop.example", "x.example")
		}
		found := l.problems(t)
		if !slices.ContainsFunc(found, func(p Problem) bool {
			return slices.Contains(p.SenderDomains, "shop.example") && slices.Contains(p.Providers, "x.example") && p.Level == Confirmed
		}) {
			t.Errorf("%s: nothing of the incident in %d problems", name, len(found))
		}
	}
}

// TestManySendersBehindLimits holds that many sender domains that begin to fail at once, at the same
// providers and for the same reason, are one incident, also behind more traits than are kept.
func TestManySendersBehindLimits(t *testing.T) {
	defer func(traits int) { traitsKept = traits }(traitsKept)
	traitsKept = 500
	const senders = 120
	l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	refused := func(at time.Duration, sender, to, relay string, v bounce.Verdict) {
		refuse(l.add(at, "a@"+sender, fmt.Sprintf("b%d@%s", len(l.Attempts), to), relay), "550 refused", v)
	}
	for i := range traitsKept + 100 { // spam that a server forwards
		to := fmt.Sprintf("d%d.example", i)
		refused(time.Duration(i)*time.Minute, "shop.example", to, "mx."+to, bounce.Verdict{Reason: bounce.ContentSpam, Scope: bounce.ScopeMessage, Rule: "test", Confidence: bounce.NamedCause})
	}
	for i := range 5 * senders {
		provider := fmt.Sprintf("mx%d.p%d.example", i%4, (i+i/senders)%3)
		refused(24*time.Hour+time.Duration(i)*time.Minute, fmt.Sprintf("c%d.example", i%senders), fmt.Sprintf("k%d.example", i), provider,
			bounce.Verdict{Reason: bounce.AuthFailure, Detail: "dkim", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause})
	}
	found := l.problems(t)
	found = slices.DeleteFunc(found, func(p Problem) bool { return p.Level != Confirmed })
	if len(found) != 1 || len(found[0].SenderDomains) != senders || len(found[0].Providers) != 3 || found[0].Messages != 5*senders {
		t.Errorf("%d incidents: %+v", len(found), found)
	}
}

// limits runs TestLimits with a filter.
func limits(t *testing.T, r store.Reader, f store.Filter, until time.Time) {
	t.Helper()
	found, err := Find(t.Context(), r, f, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*Problem{}
	for i := range found {
		got[found[i].Detail] = &found[i]
	}
	last, many := got["spamcop"], got["spamhaus-zen"]
	if last == nil || many == nil || len(found) != 2 {
		t.Fatalf("%d problems: %+v", len(found), found)
	}
	if last.Messages != 1 || len(last.Evidence) != 1 || last.Evidence[0].Text != "550 no" {
		t.Errorf("the last: %d messages, evidence %v", last.Messages, last.Evidence)
	}
	if many.Messages < refusalsKept/2 || many.Messages >= refusalsKept || !many.Until.Equal(until) {
		t.Errorf("%d messages until %v: not the newest", many.Messages, many.Until)
	}
	if len(many.SenderDomains) != 1 || len(many.Providers) > 2*traitsKept {
		t.Errorf("senders %v, %d providers", many.SenderDomains, len(many.Providers))
	}
}

// TestManyRefusedSenders holds that more sender domains than are counted one by one are one incident
// if receivers take no mail from them, and that domains whose other mail is taken are not in it.
func TestManyRefusedSenders(t *testing.T) {
	const senders = sendersAsked + 60
	l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	send := func(at time.Duration, sender, provider string, refused bool) {
		a := l.add(at, "a@"+sender, fmt.Sprintf("b%d@%s", len(l.Attempts), provider), "mx."+provider)
		if refused {
			refuse(a, "550 domain not found", bounce.Verdict{Reason: bounce.SenderRejected, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause})
		}
	}
	for i := range 20 * senders {
		sender, round := fmt.Sprintf("c%03d.example", i%senders), i/senders
		at := time.Duration(round)*4*time.Hour + time.Duration(i%senders)*time.Second
		if i%senders < 20 && round != 12 { // little mail, of which one message is refused
			continue
		}
		send(at, sender, fmt.Sprintf("p%d.example", round%3), round >= 10)
		if i%senders >= senders-5 { // three others take mail of the last ones
			for n := range 3 {
				send(at+time.Second, sender, fmt.Sprintf("fine%d.example", n), false)
			}
		}
	}
	found := l.problems(t)
	if len(found) != 1 || len(found[0].SenderDomains) != senders-5 || found[0].Messages != 10*(senders-25)+20 {
		t.Errorf("%d incidents: %+v", len(found), found)
	}
}

// TestFloodAmongReturns holds that more returned mail of other accounts than is read does not hide a
// flood later on the day.
func TestFloodAmongReturns(t *testing.T) {
	defer func(attempts int) { floodAttempts = attempts }(floodAttempts)
	floodAttempts = 300
	l := shortLog{begin: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	mail := func(login string, at time.Duration, n, every int) {
		for i := range n {
			domain := fmt.Sprintf("d%d.example", i%50)
			a := l.add(at+time.Duration(i)*20*time.Second, login, fmt.Sprintf("u%d@%s", i, domain), "mx."+domain)
			if a.SASLUser = login; i%every == 0 {
				refuse(a, "550 5.1.1 no such user", bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient})
			}
		}
	}
	for day := range 8 {
		at := time.Duration(day) * 24 * time.Hour
		mail("sales@office.example", at, 1000, 2)
		if day < 7 {
			mail("clerk@office.example", at+8*time.Hour, 20, 10)
		} else {
			mail("clerk@office.example", at+8*time.Hour, 600, 3)
		}
	}
	found := l.problems(t)
	if i := slices.IndexFunc(found, func(p Problem) bool { return p.Cause == causeFlood }); i < 0 || found[i].Messages != 200 {
		t.Errorf("no flood of 200 messages among %d problems", len(found))
	}
}
