package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestStages holds that the title and the check of a provider's judgement of the sending address name its
// own blocklist and the bad reputation, if one follows the other.
func TestStages(t *testing.T) {
	const relay = "shop-example.mail.protection.outlook.com"
	mails := func(at time.Duration, outcome bounce.Outcome, says string) (list []mail) {
		for i := range 12 {
			m := mail{at: at + time.Duration(i)*10*time.Minute, id: fmt.Sprint("M", at, i), from: fmt.Sprintf("news@shop%d.example", i%4), to: fmt.Sprintf("u%d@outlook.com", i), relay: relay, outcome: outcome, says: says, stage: bounce.StageRcpt}
			if list = append(list, m); outcome == bounce.Soft { // it is tried again and again
				for range 3 {
					m.at += 3 * time.Minute
					list = append(list, m)
				}
			}
		}
		return list
	}
	listed := mails(0, bounce.Hard, "550 5.7.1 Unfortunately, messages from [203.0.113.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).")
	later := func(at time.Duration) []mail {
		return mails(at, bounce.Soft, "451 4.7.650 The mail server [203.0.113.25] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)")
	}
	for _, test := range []struct {
		name        string
		mails       []mail
		title, asks string
	}{
		{"its own list", listed, ": listed on its own blocklist", "remove"},
		{"a bad reputation", later(0), ": bad reputation", "Volume"},
		{"its own list, then a bad reputation", join(listed, later(5*time.Hour)), ": listed on its own blocklist, then bad reputation", "remove"},
		{"both in turn", join(listed, later(5*time.Minute)), ": bad reputation", "Volume"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if len(found) != 1 || !strings.HasSuffix(found[0].Title, test.title) || !strings.Contains(found[0].FirstCheck, test.asks) {
				t.Errorf("%d incidents, the first: %q, %q", len(found), found[0].Title, found[0].FirstCheck)
			}
			if n := len(found[0].NamedReasons()); n != len(found[0].Reasons) {
				t.Errorf("%d reasons to list the senders of, want %d", n, len(found[0].Reasons))
			}
		})
	}
}

// TestChecksOfDetails holds that the first check is that of the detail if all replies have one.
func TestChecksOfDetails(t *testing.T) {
	const (
		reputation = "554 5.7.1 Your IP has a bad reputation"
		dynamic    = "550 5.7.1 [203.0.113.25] The IP you're using to send mail is not authorized to send email directly to our servers. Please use the SMTP relay at your service provider instead."
	)
	for _, test := range []struct {
		name, relay, says, other string
		every                    int // one in so many replies is other
		asks                     string
	}{
		{"an address that T-Online does not know", "mx00.t-online.de", "554 IP=203.0.113.25 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to clarify.)", "", 0, "Write to tosa@rx.t-online.de"},
		{"a dynamic address", "gmail-smtp-in.l.google.com", dynamic, "", 0, "Send through a smarthost"},
		{"a dynamic address and a bad reputation", "gmail-smtp-in.l.google.com", dynamic, reputation, 2, "Volume"},
		{"a dynamic address, and a few of a bad reputation", "gmail-smtp-in.l.google.com", dynamic, reputation, 6, "Send through a smarthost"},
		{"Microsoft's own list", "shop-example.mail.protection.outlook.com", "550 5.7.606 Access denied, banned sending IP [203.0.113.25]. To request removal from this list please visit https://sender.office.com/", "", 0, "https://sender.office.com/"},
		{"Microsoft's reputation", "shop-example.mail.protection.outlook.com", "451 4.7.650 The mail server [203.0.113.25] has been temporarily rate limited due to IP reputation. (S775)", "", 0, "Volume"},
		{"the PBL", "mx.dest.example", "550 5.7.1 Service unavailable; client [203.0.113.25] blocked using pbl.spamhaus.org", "", 0, "Send through a smarthost"},
		{"the SBL", "mx.dest.example", "550 5.7.1 Service unavailable; client [203.0.113.25] blocked using sbl.spamhaus.org", "", 0, "The list's own look-up page"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mails []mail
			for i := range 12 {
				m := mail{at: time.Duration(i) * 10 * time.Minute, id: fmt.Sprint("M", i), from: fmt.Sprintf("news@shop%d.example", i%4), to: fmt.Sprintf("u%d@dest.example", i), relay: test.relay, outcome: bounce.Hard, says: test.says, stage: bounce.StageConnect}
				if test.other != "" && i%test.every == 1 {
					m.says = test.other
				}
				mails = append(mails, m)
			}
			if found := problemsOf(t, mails); len(found) != 1 || !strings.Contains(found[0].FirstCheck, test.asks) {
				t.Errorf("%d incidents, the first: %q", len(found), found[0].FirstCheck)
			}
		})
	}
}
