package report

import (
	"testing"

	"bouncelog/bounce"
	"bouncelog/store"
)

func TestOnly(t *testing.T) {
	for _, c := range []struct {
		filter store.Filter
		want   string
		partly bool // verdicts are about more
	}{
		{store.Filter{}, "", false},
		{store.Filter{Domain: "a.example"}, "recipients at a.example", false},
		{store.Filter{SenderDomain: "b.example", Host: "mx1", MTA: bounce.Exim}, "senders at b.example, host mx1, MTA exim", false},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Soft, bounce.Hard}}, "outcome soft or hard", true},
		{store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}, "outcome delivered", true},
		{store.Filter{Reasons: []bounce.Reason{bounce.MailboxFull}, Relay: "mx.example"}, "relays at mx.example, reason mailbox_full", true},
		{store.Filter{Reasons: []bounce.Reason{bounce.MailboxFull, bounce.Blocklist}}, "reason mailbox_full or blocklist", true},
	} {
		o := only(c.filter)
		got := ""
		if o != nil {
			got = o.String()
		}
		if got != c.want || o.partly() != c.partly {
			t.Errorf("%q, %v; want %q, %v", got, o.partly(), c.want, c.partly)
		}
	}
}
