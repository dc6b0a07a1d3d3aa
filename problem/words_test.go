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
