package bounce

import (
	"slices"
	"testing"
)

// What is said about reasons is said once, here.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name string
		is   func(Reason) bool
		want []Reason
	}{
		{"NamesCause", Reason.NamesCause, []Reason{Blocklist, Reputation, AuthFailure, RDNSHelo}},
		{"HidesCause", Reason.HidesCause, []Reason{ContentSpam, Policy, Unknown}},
		{"AboutSender", Reason.AboutSender, []Reason{ContentSpam, Blocklist, Reputation, AuthFailure, RDNSHelo, Policy, Unknown}},
		{"RefusesSender", Reason.RefusesSender, []Reason{ContentSpam, Blocklist, Reputation, AuthFailure, RDNSHelo, SenderRejected, Policy, Unknown}},
		{"SparesAddress", Reason.SparesAddress, []Reason{RateLimited, Blocklist, Reputation, AuthFailure, RDNSHelo, SenderRejected, RelayDenied, TLS}},
		{"AboutAddress", Reason.AboutAddress, []Reason{UserUnknown, MailboxDisabled, BadAddress, DomainInvalid}},
		{"NoMailbox", Reason.NoMailbox, []Reason{UserUnknown, MailboxDisabled}},
	} {
		if got := Reasons(c.is); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if c.is(NoReason) {
			t.Errorf("%s holds for no reason at all", c.name)
		}
	}
	// No address is at fault for what is about the sender.
	for _, r := range Reasons(nil) {
		if r.AboutAddress() && (r.RefusesSender() || r.SparesAddress()) {
			t.Errorf("%s is about the address and about the sender", r)
		}
	}
}

// Databases store the numbers of reasons and outcomes.
func TestStoredNumbers(t *testing.T) {
	for i, word := range []string{
		"", "user_unknown", "mailbox_disabled", "mailbox_full", "recipient_restricted", "bad_address", "domain_invalid", "dns_routing",
		"connection", "expired", "greylisted", "rate_limited", "system_error", "message_too_large", "content_spam", "content_rejected",
		"blocklist", "reputation", "auth_failure", "rdns_helo", "sender_rejected", "relay_denied", "tls", "policy", "protocol_error", "unknown",
	} {
		if r, ok := ParseReason(word); !ok || int(r) != i {
			t.Errorf("%q is %d, but databases have it as %d: a new reason goes to the end", word, r, i)
		}
	}
	for i, word := range []string{"", "delivered", "soft", "hard", "handoff", "probe"} {
		if o, ok := ParseOutcome(word); !ok || int(o) != i {
			t.Errorf("%q is %d, but databases have it as %d: a new outcome goes to the end", word, o, i)
		}
	}
	if len(reasonNames) != NumReasons {
		t.Errorf("%d names of %d reasons", len(reasonNames), NumReasons)
	}
}
