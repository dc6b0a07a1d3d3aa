package problem

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestBackground holds which daily refusals raise no alarm.
func TestBackground(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	end := at.Add(24 * time.Hour)
	senders := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("s%d.example", i))
		}
		return list
	}
	for _, c := range []struct {
		name  string
		p     Problem
		onset *Tried
		sent  int64 // messages to the provider
		want  bool
	}{
		{"a few of many to a large provider", Problem{Reason: bounce.Reputation, Messages: 9, SenderDomains: senders(7)}, nil, 900, true},
		{"one domain whose mail is all refused", Problem{Reason: bounce.AuthFailure, Messages: 6, SenderDomains: senders(1)}, &Tried{Refused: 6, Tried: 6}, 900, false},
		{"one domain with few refusals of much mail", Problem{Reason: bounce.AuthFailure, Messages: 6, SenderDomains: senders(1)}, &Tried{Refused: 6, Tried: 400}, 900, true},
		{"many a day", Problem{Reason: bounce.Reputation, Messages: 30, SenderDomains: senders(20)}, nil, 9000, false},
		{"an eighth of the mail to a provider", Problem{Reason: bounce.Reputation, Messages: 20, SenderDomains: senders(15)}, nil, 150, false},
		{"all mail of everybody in an hour, at a provider that gets much", Problem{Reason: bounce.AuthFailure, Messages: 13, SenderDomains: senders(10), Everybody: &Tried{Refused: 13, Tried: 14}}, &Tried{Refused: 13, Tried: 14}, 900, false},
		{"three of three senders, at a provider that takes others' mail in a short log", Problem{Reason: bounce.Reputation, Messages: 3, SenderDomains: senders(3), Everybody: &Tried{Refused: 3, Tried: 50}}, &Tried{Refused: 3, Tried: 3}, 40, true},
		{"the same senders in a few messages, of everybody's little mail", Problem{Reason: bounce.Reputation, Messages: 3, SenderDomains: senders(2), Everybody: &Tried{Refused: 3, Tried: 14}}, &Tried{Refused: 3, Tried: 12}, 14, true},
		{"one refusal at a small provider", Problem{Reason: bounce.Reputation, Messages: 1, SenderDomains: senders(1)}, &Tried{Refused: 1, Tried: 1}, 1, true},
		{"the same on a small server", Problem{Reason: bounce.Reputation, Messages: 1, SenderDomains: senders(1)}, &Tried{Refused: 1, Tried: 1}, 1, true},
		{"one refusal on a small server, of a sender whose mail is taken there", Problem{Reason: bounce.Reputation, Messages: 1, SenderDomains: senders(1), Ongoing: true, Before: &Tried{Tried: 240}}, &Tried{Refused: 1, Tried: 1}, 11, true},
		{"two, and none was taken since", Problem{Reason: bounce.AuthFailure, Messages: 2, SenderDomains: senders(1), Ongoing: true, Before: &Tried{Tried: 240}}, &Tried{Refused: 2, Tried: 2}, 11, true},
		{"two, and mail was taken since", Problem{Reason: bounce.AuthFailure, Messages: 2, SenderDomains: senders(1), Before: &Tried{Tried: 240}}, &Tried{Refused: 2, Tried: 2}, 11, true},
		{"one of a sender who sends little", Problem{Reason: bounce.Reputation, Messages: 1, SenderDomains: senders(1), Ongoing: true, Before: &Tried{Tried: 5}}, &Tried{Refused: 1, Tried: 1}, 11, true},
		{"a new listing on a small server", Problem{Reason: bounce.Blocklist, Messages: 1, SenderDomains: senders(1), Ongoing: true, Before: &Tried{Tried: 240}}, &Tried{Refused: 1, Tried: 1}, 11, true},
		{"a listing is about all mail", Problem{Reason: bounce.Blocklist, Messages: 1, SenderDomains: senders(1), Ongoing: true}, &Tried{Refused: 1, Tried: 1}, 1, true},
		{"a listing of which these senders hear now and then", Problem{Reason: bounce.Blocklist, Messages: 2, SenderDomains: senders(2), Ongoing: true, Before: &Tried{Refused: 5, Tried: 11}}, &Tried{Refused: 2, Tried: 3}, 3, true},
		{"a listing that is new to them", Problem{Reason: bounce.Blocklist, Messages: 2, SenderDomains: senders(2), Ongoing: true, Before: &Tried{Tried: 11}}, &Tried{Refused: 2, Tried: 3}, 3, true},
		{"three messages on a small server", Problem{Reason: bounce.Reputation, Messages: 3, SenderDomains: senders(1), Ongoing: true}, &Tried{Refused: 3, Tried: 3}, 3, false},
		{"one so far today, of an incident of yesterday", Problem{Reason: bounce.Blocklist, Messages: 1, SenderDomains: senders(1), Ongoing: true, FirstHeard: at.Add(-5 * time.Hour)}, &Tried{Refused: 40, Tried: 41}, 1, false},
		{"one so far today, of one now and then", Problem{Reason: bounce.Reputation, Messages: 1, SenderDomains: senders(1), Ongoing: true, FirstHeard: at.Add(-240 * time.Hour)}, &Tried{Refused: 25, Tried: 71, Since: at.Add(-240 * time.Hour), Until: at}, 1, true},
		{"one so far today, of one in a day or two", Problem{Reason: bounce.Blocklist, Messages: 1, SenderDomains: senders(1), Ongoing: true, FirstHeard: at.Add(-130 * time.Hour)}, &Tried{Refused: 7, Tried: 7, Since: at.Add(-130 * time.Hour), Until: at}, 1, true},
		{"one so far today, and one yesterday", Problem{Reason: bounce.Blocklist, Messages: 1, SenderDomains: senders(1), Ongoing: true, FirstHeard: at.Add(-5 * time.Hour)}, &Tried{Refused: 2, Tried: 2}, 1, true},
		{"a likely problem has thresholds of its own", Problem{Level: Likely, Messages: 4, SenderDomains: senders(1)}, nil, 900, false},
		{"the last two of half of the mail, by a fault of the receiver", Problem{Level: Likely, Cause: causeHosted, Messages: 2, SenderDomains: senders(1), FirstHeard: at.Add(-72 * time.Hour)}, &Tried{Refused: 30, Tried: 62, Since: at.Add(-72 * time.Hour), Until: at}, 900, false},
		{"the last two of half of the mail of one sender", Problem{Level: Likely, Cause: causeUnknown, Messages: 2, SenderDomains: senders(1), FirstHeard: at.Add(-72 * time.Hour)}, &Tried{Refused: 30, Tried: 62, Since: at.Add(-72 * time.Hour), Until: at}, 900, true},
		{"a likely problem of two messages", Problem{Level: Likely, Messages: 2, SenderDomains: senders(1)}, nil, 900, true},
	} {
		p := c.p
		if p.Level == "" {
			p.Level = Confirmed
		}
		p.Providers, p.Since, p.Until, p.Onset = []string{"big.example"}, at, end, c.onset
		got, err := p.isBackground(&usualMail{sent: map[string]int64{"big.example": c.sent}, span: store.Span{First: at, Last: end}})
		if got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	for _, c := range []struct {
		name string
		u    Unreached
		want bool
	}{
		{"a dead domain that some messages a day go to", Unreached{Lost: 20, Share: 0.02}, true},
		{"a provider that most of a small server's mail goes to", Unreached{Lost: 20, Share: 0.6}, false},
		{"much mail to a provider that takes none", Unreached{Lost: 21, Share: 0.02}, false},
		{"what does not leave this side", Unreached{Lost: 20, Share: 0.02, Detail: "own-relay"}, false},
		{"two messages", Unreached{Lost: 2, Share: 0.6}, true},
	} {
		c.u.Since, c.u.Until = at, end
		if p := c.u.Problem(); p.Background != c.want {
			t.Errorf("%s: %v", c.name, p.Background)
		}
	}
}
