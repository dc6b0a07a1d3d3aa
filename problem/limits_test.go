package problem

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestLimits holds that a flood of refusals with all values different does not hide later refusals,
// and what is still counted beyond the limits.
func TestLimits(t *testing.T) {
	defer func(refusals, traits int) { refusalsKept, traitsKept = refusals, traits }(refusalsKept, traitsKept)
	refusalsKept, traitsKept = 4*slabSize, 100
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	const n = 10*slabSize + 17
	s := memory.Open()
	b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
	for i := range n {
		name := fmt.Sprintf("d%d.example", i)
		v := bounce.Verdict{Reason: bounce.Blocklist, Detail: "spamhaus-zen", Scope: bounce.ScopeSender}
		if i == n-1 {
			v.Detail = "spamcop"
		}
		b.Attempts = append(b.Attempts, store.Attempt{Verdict: v, Delivery: bounce.Delivery{
			Source: "test", Offset: int64(i), Time: begin.Add(time.Duration(i) * time.Second), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@shop.example",
			SenderDomain: "shop.example", SenderKnown: true, Recipient: "b@" + name, RecipientDomain: name, RelayHost: "mx." + name, RelayIP: "192.0.2.1", RelayPort: 25,
			Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 no",
		}})
	}
	storetest.Append(t, s, b)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// The oldest are not read, or are dropped if that is cheaper.
	for _, f := range []store.Filter{{}, {Since: begin.Add(time.Minute)}, {SenderDomain: "shop.example"}} {
		limits(t, r, f, begin.Add((n-2)*time.Second))
	}
}

// TestInventedSenders holds that invented sender domains, more than there are streams, hide no incident that comes later
// or between them.
func TestInventedSenders(t *testing.T) {
	defer func(streams int) { streamsKept = streams }(streamsKept)
	streamsKept = 200
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for name, every := range map[string]int{"behind them": 0, "between them": 60} {
		s := memory.Open()
		b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
		refuse := func(sender, to string) {
			i := len(b.Attempts)
			b.Attempts = append(b.Attempts, store.Attempt{
				Verdict: bounce.Verdict{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause},
				Delivery: bounce.Delivery{
					Source: "test", Offset: int64(i), Time: begin.Add(time.Duration(i) * time.Second), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@" + sender,
					SenderDomain: sender, SenderKnown: true, Recipient: fmt.Sprintf("b%d@%s", i, to), RecipientDomain: to, RelayHost: "mx." + to, RelayIP: "192.0.2.1", RelayPort: 25,
					Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 SPF",
				},
			})
		}
		for i := range 5*streamsKept + 10 {
			refuse(fmt.Sprintf("d%d.example", i), "evil.example")
			if every > 0 && i%every == 0 {
				refuse("shop.example", "x.example")
			}
		}
		for range 5 {
			refuse("shop.example", "x.example")
		}
		storetest.Append(t, s, b)
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
		if err != nil {
			t.Fatal(err)
		}
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
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	s := memory.Open()
	b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
	refuse := func(at time.Duration, sender, to, relay string, v bounce.Verdict) {
		i := len(b.Attempts)
		b.Attempts = append(b.Attempts, store.Attempt{Verdict: v, Delivery: bounce.Delivery{
			Source: "test", Offset: int64(i), Time: begin.Add(at), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@" + sender,
			SenderDomain: sender, SenderKnown: true, Recipient: fmt.Sprintf("b%d@%s", i, to), RecipientDomain: to, RelayHost: relay, RelayIP: "192.0.2.1", RelayPort: 25,
			Outcome: bounce.Hard, Code: 550, Status: "bounced", Response: "550 refused",
		}})
	}
	for i := range traitsKept + 100 { // spam that a server forwards
		to := fmt.Sprintf("d%d.example", i)
		refuse(time.Duration(i)*time.Minute, "shop.example", to, "mx."+to, bounce.Verdict{Reason: bounce.ContentSpam, Scope: bounce.ScopeMessage, Rule: "test", Confidence: bounce.NamedCause})
	}
	for i := range 5 * senders {
		provider := fmt.Sprintf("mx%d.p%d.example", i%4, (i+i/senders)%3)
		refuse(24*time.Hour+time.Duration(i)*time.Minute, fmt.Sprintf("c%d.example", i%senders), fmt.Sprintf("k%d.example", i), provider,
			bounce.Verdict{Reason: bounce.AuthFailure, Detail: "dkim", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause})
	}
	storetest.Append(t, s, b)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
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
	begin := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	s := memory.Open()
	b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
	send := func(at time.Duration, sender, provider string, refused bool) {
		i := len(b.Attempts)
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "test", Offset: int64(i), Time: begin.Add(at), MTA: bounce.Postfix, Agent: "smtp", QueueID: fmt.Sprintf("%X", i+1), Sender: "a@" + sender,
			SenderDomain: sender, SenderKnown: true, Recipient: fmt.Sprintf("b%d@%s", i, provider), RecipientDomain: provider, RelayHost: "mx." + provider, RelayIP: "192.0.2.1", RelayPort: 25,
			Outcome: bounce.Delivered, Code: 250, Status: "sent", Response: "250 ok",
		}}
		if refused {
			a.Outcome, a.Code, a.Status, a.Response = bounce.Hard, 550, "bounced", "550 domain not found"
			a.Verdict = bounce.Verdict{Reason: bounce.SenderRejected, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
		}
		b.Attempts = append(b.Attempts, a)
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
	storetest.Append(t, s, b)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || len(found[0].SenderDomains) != senders-5 || found[0].Messages != 10*(senders-25)+20 {
		t.Errorf("%d incidents: %+v", len(found), found)
	}
}

// TestFloodAmongReturns holds that more returned mail of other accounts than is read does not hide a
// flood later on the day.
func TestFloodAmongReturns(t *testing.T) {
	defer func(attempts int) { floodAttempts = attempts }(floodAttempts)
	floodAttempts = 300
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	s := memory.Open()
	b := &store.Batch{Sources: []store.Source{{ID: "test"}}}
	mail := func(login string, at time.Time, n, refuse int) {
		for i := range n {
			domain := fmt.Sprintf("d%d.example", i%50)
			a := store.Attempt{Delivery: bounce.Delivery{
				Source: "test", Offset: int64(len(b.Attempts)), Time: at.Add(time.Duration(i) * 20 * time.Second), MTA: bounce.Postfix, Agent: "smtp",
				QueueID: fmt.Sprintf("%X", len(b.Attempts)+1), Sender: login, SenderDomain: "office.example", SenderKnown: true, SASLUser: login,
				Recipient: fmt.Sprintf("u%d@%s", i, domain), RecipientDomain: domain, RelayHost: "mx." + domain, RelayIP: "192.0.2.1", RelayPort: 25,
				Outcome: bounce.Delivered, Code: 250, Status: "sent", Response: "250 OK",
			}}
			if i%refuse == 0 {
				a.Outcome, a.Code, a.Status, a.Response = bounce.Hard, 550, "bounced", "550 5.1.1 no such user"
				a.Verdict = bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient}
			}
			b.Attempts = append(b.Attempts, a)
		}
	}
	for day := range 8 {
		at := begin.AddDate(0, 0, day)
		mail("sales@office.example", at, 1000, 2)
		if day < 7 {
			mail("clerk@office.example", at.Add(8*time.Hour), 20, 10)
		} else {
			mail("clerk@office.example", at.Add(8*time.Hour), 600, 3)
		}
	}
	storetest.Append(t, s, b)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := Find(t.Context(), r, store.Filter{}, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(found, func(p Problem) bool { return p.Cause == causeFlood }); i < 0 || found[i].Messages != 200 {
		t.Errorf("no flood of 200 messages among %d problems", len(found))
	}
}
