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
	for r := NoReason; r <= Unknown; r++ {
		if r.AboutAddress() && (r.RefusesSender() || r.SparesAddress()) {
			t.Errorf("%s is about the address and about the sender", r)
		}
	}
}
