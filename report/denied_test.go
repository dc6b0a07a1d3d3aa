package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestSuppressionDenials holds that the recipients whom an operator of mailboxes calls unknown in a time in
// which it takes far less of its usual mail are not suppressed, though they never took mail.
func TestSuppressionDenials(t *testing.T) {
	at := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	relays := [...]string{"mx00.emig.gmx.net", "mx-ha03.web.de", "gmail-smtp-in.l.google.com", "mx01.t-online.de"}
	domains := [...]string{"gmx.de", "web.de", "gmail.com", "t-online.de"}
	for _, test := range []struct {
		name  string
		share int // of ten messages, unknown
		hours int // on the third day
		at    string
		spare bool
	}{
		{"all of one operator", 10, 4, "gmx.de web.de", true},
		{"a part of one operator's", 4, 18, "gmx.de web.de", true},
		{"a part of all", 4, 18, "gmx.de web.de gmail.com t-online.de", false},
		{"all of one operator, for days", 10, 76, "gmx.de web.de", false},
		{"the usual ones", 0, 0, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log []store.Attempt
			refused, usual := map[string]bool{}, map[string]bool{}
			for i := range 6 * 240 {
				n := i % len(relays)
				a := store.Attempt{Delivery: bounce.Delivery{
					Source: "log", Offset: int64(i) * 100, Time: at.Add(time.Duration(i) * 6 * time.Minute), MTA: bounce.Postfix, Host: "mx1", QueueID: fmt.Sprint("Q", i), Sender: "order@shop.example", SenderDomain: "shop.example", SenderKnown: true,
					Recipient: fmt.Sprintf("u%d@%s", i, domains[n]), RecipientDomain: domains[n], RelayHost: relays[n], RelayIP: "192.0.2.1", RelayPort: 25, Status: "sent", Outcome: bounce.Delivered, Code: 250, Response: "250 ok",
				}}
				since := a.Time.Sub(at.AddDate(0, 0, 2))
				now := since >= 0 && since < time.Duration(test.hours)*time.Hour && i/len(relays)%10 < test.share && strings.Contains(test.at, domains[n])
				if now || i/len(relays)%50 == 7*n {
					a.Outcome, a.Status, a.Code, a.Stage, a.Response = bounce.Hard, "bounced", 550, bounce.StageRcpt, "550 5.1.1 no such user"
					a.Verdict = bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient, Rule: "test"}
					if now {
						refused[a.Recipient] = true
					} else if since < -24*time.Hour || since > 96*time.Hour {
						usual[a.Recipient] = true
					}
				}
				log = append(log, a)
			}
			r := readerOf(t, log)
			list, err := Suppressions(t.Context(), r, store.Filter{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, x := range list.Suppress {
				delete(usual, x.Recipient)
				if refused[x.Recipient] {
					n++
				}
			}
			if len(usual) > 0 {
				t.Errorf("not suppressed: %v", usual)
			}
			if test.spare != (n == 0) && len(refused) > 0 || !test.spare && n < len(refused) {
				t.Errorf("%d of %d are suppressed", n, len(refused))
			}
			for _, x := range list.Spared {
				if refused[x.Recipient] && !strings.Contains(x.Why, "recipients unknown at that time") {
					t.Errorf("%s: %q", x.Recipient, x.Why)
				}
			}
		})
	}
}
