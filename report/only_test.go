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
		partly bool // the verdicts cover more
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

// TestCommandOnce holds that a command contains each option once: its own words take precedence.
func TestCommandOnce(t *testing.T) {
	o := Options{Rerun: []string{"--db", "mail.db", "--domain", "a.example", "--reason", "spam,policy", "-d", "2026-11-22"}, RerunReport: []string{"--redact"}}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"report", "--domain", "a.example"}, "bouncelog report --domain a.example --redact --db mail.db --reason spam,policy -d 2026-11-22"},
		{[]string{"report", "--reason", "connection"}, "bouncelog report --reason connection --redact --db mail.db --domain a.example -d 2026-11-22"},
		{[]string{"scan", "--flagged"}, "bouncelog scan --flagged --db mail.db --domain a.example --reason spam,policy -d 2026-11-22"},
	} {
		if got := o.command(c.words...); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
