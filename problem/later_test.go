package problem

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestEndBeyondHistories holds that an incident has ended if its mail is taken since, and goes on if
// it is not, although the deliveries that are read for all incidents together end before.
func TestEndBeyondHistories(t *testing.T) {
	defer func(n int) { deliveriesRead = n }(deliveriesRead)
	deliveriesRead = 4096
	spf := bounce.Verdict{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
	unknown := bounce.Verdict{Reason: bounce.Unknown, Scope: bounce.ScopeSender, Rule: "test"}
	for _, test := range []struct {
		name    string
		taken   int  // messages taken in a row after the last refusal
		partly  bool // every other message is taken while the incident goes on
		ongoing bool
	}{
		{"its mail is taken since", 12, false, false},
		{"nothing is taken since", 0, false, true},
		{"one message is taken since", 1, false, true},
		{"every other message was taken before, and one since", 1, true, true},
		{"every other message was taken before, and thirty since", 30, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
			hours := 44
			for h := range hours {
				at := time.Duration(h) * time.Hour
				for i := range 900 { // other people's mail
					l.add(at+time.Duration(i)*time.Second, "a@other.example", fmt.Sprintf("u%d@else.example", i), "mx.else.example")
				}
				for i := range 10 { // another incident, which stands out more: a provider that refuses other senders
					a := l.add(at+15*time.Minute+time.Duration(i)*time.Second, fmt.Sprintf("a@s%d.example", i), fmt.Sprintf("v%d@busy.example", i), "mx.busy.example")
					if h >= 20 {
						refuse(a, "550 no", unknown)
					}
				}
				to := fmt.Sprintf("w%d@big.example", h)
				switch {
				case h >= 12 && h < 24:
					refuse(l.add(at+16*time.Minute, "a@shop.example", to, "mx.big.example"), "550 SPF", spf)
					if test.partly {
						l.add(at+17*time.Minute, "a@shop.example", to, "mx.big.example")
					}
				case h < 12, h == 30 && test.taken > 0:
					n := 1
					if h == 30 {
						n = test.taken
					}
					for i := range n {
						l.add(at+18*time.Minute+time.Duration(i)*time.Second, "a@shop.example", to, "mx.big.example")
					}
				}
			}
			found := l.problems(t)
			for _, p := range found {
				if p.Reason == bounce.AuthFailure {
					if p.Ongoing != test.ongoing {
						t.Errorf("%s: going on %t, ended %q", p.Title, p.Ongoing, p.Ended)
					}
					return
				}
			}
			t.Errorf("not found among %d problems", len(found))
		})
	}
}

// TestForwardedSpamEnds holds that forwarded spam has ended when the provider takes what the same
// address forwards, whoever wrote it.
func TestForwardedSpamEnds(t *testing.T) {
	spam := bounce.Verdict{Reason: bounce.ContentSpam, Scope: bounce.ScopeMessage, Rule: "test", Confidence: bounce.NamedCause}
	for original, ongoing := range map[string]bool{"office@shop.example": false, "else@shop.example": true} {
		l := shortLog{begin: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
		forward := func(h, i int, from string) *store.Attempt {
			a := l.add(time.Duration(h)*time.Hour+time.Duration(i)*time.Minute, fmt.Sprintf("a@w%d-%d.example", h, i), "me@big.example", "mx.big.example")
			a.OriginalRecipient = from
			return a
		}
		for h := range 40 {
			switch {
			case h >= 20 && h < 24:
				for i := range 10 {
					refuse(forward(h, i, "office@shop.example"), "550 spam", spam)
				}
			case h < 20:
				forward(h, 0, "office@shop.example")
			default:
				forward(h, 0, original)
			}
		}
		found := l.problems(t)
		if len(found) != 1 || found[0].Level != Likely || found[0].Ongoing != ongoing {
			t.Errorf("%s is taken: %d problems, of which going on %t, ended %q", original, len(found), found[0].Ongoing, found[0].Ended)
		}
	}
}
