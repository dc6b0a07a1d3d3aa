package bounce

import "testing"

// The same code means different things at different providers, and words that
// name a mechanism are not always about it.
func TestTraps(t *testing.T) {
	j := newJudge(t)
	const google, microsoft, yahoo = "gmail-smtp-in.l.google.com", "example-org.mail.protection.outlook.com", "mta5.am0.yahoodns.net"
	for _, c := range []struct {
		host, text string
		reason     Reason
		detail     string
		scope      Scope
		sure       Confidence
	}{
		{"", "550 5.7.27 refused", SenderRejected, "", ScopeSender, CodeOnly},
		{google, "550 5.7.27 refused", AuthFailure, "spf", ScopeSender, ProviderCode},
		{"", "550 5.7.30 refused", TLS, "", ScopeSender, CodeOnly},
		{google, "550 5.7.30 refused", AuthFailure, "dkim", ScopeSender, ProviderCode},
		{"", "550 5.7.29 refused", AuthFailure, "arc", ScopeSender, CodeOnly},
		{google, "421 4.7.29 refused", TLS, "", ScopeSender, ProviderCode},
		{"", "421 4.7.23 refused", AuthFailure, "spf", ScopeSender, CodeOnly},
		{google, "421 4.7.23 refused", RDNSHelo, "ptr", ScopeSender, ProviderCode},
		{"", "556 5.1.10 refused", DomainInvalid, "", ScopeRecipient, CodeOnly},
		{microsoft, "550 5.1.10 refused", UserUnknown, "", ScopeRecipient, ProviderCode},
		{"", "550 5.4.1 refused", Connection, "", ScopeRemote, CodeOnly},
		{microsoft, "550 5.4.1 Recipient address rejected: Access denied", UserUnknown, "", ScopeRecipient, NamedCause},
		{"", "535 5.7.9 refused", RelayDenied, "", ScopeSender, CodeOnly},
		{yahoo, "554 5.7.9 Message not accepted for policy reasons.", Policy, "", ScopeSender, ProviderCode},
		{yahoo, "550 5.7.9 the sender is unauthenticated", AuthFailure, "", ScopeSender, NamedCause},
		{google, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", RateLimited, "", ScopeSender, NamedCause},
		{"mx1.titan.email", "550 5.4.6 Domain Daily Quota Exceeded", RateLimited, "", ScopeSender, NamedCause},

		{"", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver", SystemError, "receiver-dnsbl-error", ScopeRemote, NamedCause},
		{"", "421 4.7.28 unusual rate of mail originating from your SPF domain [example.org]", RateLimited, "", ScopeSender, NamedCause},
		{"", "554 Transaction failed: Duplicate header 'DKIM-Signature'.", ContentRejected, "", ScopeMessage, NamedCause},
		{"", "550 5.7.1 Policy rejection on the target address", MailboxDisabled, "", ScopeRecipient, NamedCause},
		{"", "421 4.7.0 this message is suspicious due to the nature of the content and/or the links within.", ContentSpam, "", ScopeMessage, NamedCause},
		{"", "421 4.7.0 this message is suspicious due to the very low reputation of the sending IP address.", Reputation, "", ScopeSender, NamedCause},
		{"", "554 5.7.1 Sender address rejected: Blocked by this recipient", RecipientRestricted, "", ScopeRecipient, NamedCause},

		// Words in links do not count, nor in addresses and host names.
		{"", "550 refused, see https://example.org/help/dmarc/spam/authentication", Unknown, "", NoScope, CodeOnly},
		{"", "550 5.1.1 <spf.dkim@blacklist.example>: User unknown", UserUnknown, "", ScopeRecipient, NamedCause},
		// A reply of several lines is one text.
		{"", `550-5.7.1 you are on our block\n550 5.7.1 list`, Blocklist, "", ScopeSender, NamedCause},
		{"", "550-5.7.1 the SPF 550-5.7.1 check 550 5.7.1 failed", AuthFailure, "spf", ScopeSender, NamedCause},
		// Accents, in whatever encoding they were logged.
		{"", `550 Empf\303\244nger unbekannt`, UserUnknown, "", ScopeRecipient, NamedCause},
		{"", `550 Empf\344nger unbekannt`, UserUnknown, "", ScopeRecipient, NamedCause},
		{"", "550 Empf\xe4nger unbekannt", UserUnknown, "", ScopeRecipient, NamedCause},
		{"", "550 EMPFÄNGER UNBEKANNT", UserUnknown, "", ScopeRecipient, NamedCause},
	} {
		d := &Delivery{RelayHost: c.host, Response: c.text, Outcome: Hard}
		v := j.Verdict(d)
		if v.Reason != c.reason || v.Detail != c.detail || v.Scope != c.scope || v.Confidence != c.sure {
			t.Errorf("%s %q: %s %q %s %s by %s; want %s %q %s %s", c.host, c.text,
				v.Reason, v.Detail, v.Scope, v.Confidence, v.Rule, c.reason, c.detail, c.scope, c.sure)
		}
	}
}

func TestNoVerdict(t *testing.T) {
	j := newJudge(t)
	for _, d := range []Delivery{
		{Outcome: Delivered, Code: 250, Response: "250 user unknown, but taken"},
		{Outcome: Handoff, Response: "forwarded as 4ABC"},
		{Outcome: Probe, Status: "deliverable", Code: 250, Response: "250 2.1.5 Ok"},
		{Code: 250, Response: "250 2.0.0 Ok"},
	} {
		if v := j.Verdict(&d); v != (Verdict{}) {
			t.Errorf("%+v: %+v", d, v)
		}
	}
	d := Delivery{Outcome: Probe, Status: "undeliverable", Code: 550, Response: "550 5.1.1 User unknown"}
	if v := j.Verdict(&d); v.Reason != UserUnknown {
		t.Errorf("a probe that failed: %+v", v)
	}
	d = Delivery{Outcome: Hard, Status: "expired", Response: "returned to sender"}
	if v := j.Verdict(&d); v.Reason != Expired {
		t.Errorf("an expired message: %+v", v)
	}
}
