package report

import (
	"testing"

	"bouncelog/bounce"
	"bouncelog/store"
)

func TestOnly(t *testing.T) {
	for _, c := range []struct {
		filter   store.Filter
		want     string
		refusals bool
	}{
		{store.Filter{}, "", true},
		{store.Filter{Domain: "a.example"}, "recipients at a.example", true},
		{store.Filter{SenderDomain: "b.example", Host: "mx1", MTA: bounce.Exim}, "senders at b.example, host mx1, MTA exim", true},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}}, "outcome soft or hard", true},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}, "outcome delivered", false},
		{store.Filter{Reasons: []bounce.Reason{bounce.MailboxFull}, Relay: "mx.example"}, "relays at mx.example, reason mailbox_full", false},
		{store.Filter{Reasons: []bounce.Reason{bounce.MailboxFull, bounce.Blocklist}}, "reason mailbox_full or blocklist", true},
	} {
		o := only(c.filter)
		got := ""
		if o != nil {
			got = o.String()
		}
		if got != c.want || o.refusals() != c.refusals {
			t.Errorf("%q, %v; want %q, %v", got, o.refusals(), c.want, c.refusals)
		}
	}
}
