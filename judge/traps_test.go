package judge

import (
	"os"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// The same code has different meanings at different providers, and words that name a mechanism are
// not always about it.
func TestTraps(t *testing.T) {
	j := newJudge(t)
	const google, microsoft, yahoo = "gmail-smtp-in.l.google.com", "example-org.mail.protection.outlook.com", "mta5.am0.yahoodns.net"
	for _, c := range []struct {
		host, text string
		reason     bounce.Reason
		detail     string
		scope      bounce.Scope
		sure       bounce.Confidence
	}{
		{"", "550 5.7.27 refused", bounce.SenderRejected, "", bounce.ScopeSender, bounce.CodeOnly},
		{google, "550 5.7.27 refused", bounce.AuthFailure, "spf", bounce.ScopeSender, bounce.ProviderCode},
		{"", "550 5.7.30 refused", bounce.TLS, "", bounce.ScopeSender, bounce.CodeOnly},
		{google, "550 5.7.30 refused", bounce.AuthFailure, "dkim", bounce.ScopeSender, bounce.ProviderCode},
		{"", "550 5.7.29 refused", bounce.AuthFailure, "arc", bounce.ScopeSender, bounce.CodeOnly},
		{google, "421 4.7.29 refused", bounce.TLS, "", bounce.ScopeSender, bounce.ProviderCode},
		{"", "421 4.7.23 refused", bounce.AuthFailure, "spf", bounce.ScopeSender, bounce.CodeOnly},
		{google, "421 4.7.23 refused", bounce.RDNSHelo, "ptr", bounce.ScopeSender, bounce.ProviderCode},
		{"", "556 5.1.10 refused", bounce.DomainInvalid, "", bounce.ScopeRecipient, bounce.CodeOnly},
		{microsoft, "550 5.1.10 refused", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.ProviderCode},
		{"", "550 5.4.1 refused", bounce.Connection, "", bounce.ScopeRemote, bounce.CodeOnly},
		{microsoft, "550 5.4.1 Recipient address rejected: Access denied", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "535 5.7.9 refused", bounce.RelayDenied, "", bounce.ScopeSender, bounce.CodeOnly},
		{yahoo, "554 5.7.9 Message not accepted for policy reasons.", bounce.Policy, "", bounce.ScopeSender, bounce.ProviderCode},
		{yahoo, "550 5.7.9 the sender is unauthenticated", bounce.AuthFailure, "", bounce.ScopeSender, bounce.NamedCause},
		{google, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},
		{"mx1.titan.email", "550 5.4.6 Domain Daily Quota Exceeded", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},

		{"", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver", bounce.SystemError, "receiver-dnsbl-error", bounce.ScopeRemote, bounce.NamedCause},
		// Statements about the sender's mail to other mailboxes are not about this one.
		{"", "550 5.7.1 our system has detected an excessively high number of invalid recipients originating from your account.", bounce.Reputation, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 too high a percentage of unknown users from your network", bounce.Reputation, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421-4.7.28 Gmail has detected an unusual rate of mail originating from your SPF domain>", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 Error: exceeded unknown recipient count limit", bounce.Reputation, "", bounce.ScopeSender, bounce.NamedCause},
		// sendmail's greeting for a client that its access table refuses; Postfix's table of the addresses that it relays for.
		{"", "554 mx.example.org ESMTP not accepting messages", bounce.Policy, "", bounce.ScopeSender, bounce.GeneralText},
		{"", "550 5.1.0 <www-data@example.org>: Sender address rejected: User unknown in relay recipient table", bounce.SenderRejected, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550-5.7.1 From header is not in RFC 5322 format", bounce.ContentRejected, "", bounce.ScopeMessage, bounce.NamedCause},
		{"", "550 \"Reply-To:\" domain example.net does not accept mail", bounce.SenderRejected, "", bounce.ScopeSender, bounce.GeneralText},
		{"", "421 4.7.28 Gmail has detected this sender exceeded the quota for sending messages that have the same Message-ID:.", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},
		// A mechanism without a result, and a link about one.
		{"", "550 5.1.1 User unknown [SPF: none, DKIM: pass]", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "550 5.1.1 User unknown. For more information on DMARC see https://www.example.org/", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "554 blocked using zen.spamhaus.org (dkim=none)", bounce.Blocklist, "spamhaus-zen", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 rejected [SPF: none, DKIM: none]", bounce.AuthFailure, "", bounce.ScopeSender, bounce.GeneralText},
		{"", "550 refused by the virus scanner", bounce.ContentRejected, "", bounce.ScopeMessage, bounce.GeneralText},
		// SPF, DKIM and DMARC as advice, as a symbol of a spam filter, or in a failure of the
		// receiver's own check.
		{"", "550 5.7.1 Refused for poor reputation. Check SPF, DKIM and DMARC first.", bounce.Reputation, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "554 5.7.1 Your address is on our blocklist. Senders should publish SPF records.", bounce.Blocklist, "", bounce.ScopeSender, bounce.GeneralText},
		{"", "421 4.7.0 opendmarc: internal error", bounce.SystemError, "", bounce.ScopeRemote, bounce.NamedCause},
		{"", "452 4.3.1 OpenDKIM: out of memory", bounce.SystemError, "", bounce.ScopeRemote, bounce.NamedCause},
		{"", "451 4.7.1 Service unavailable - milter opendkim failed", bounce.SystemError, "", bounce.ScopeRemote, bounce.NamedCause},
		{"", "451 4.4.3 Temporary DNS error while checking SPF", bounce.AuthFailure, "temperror", bounce.ScopeRemote, bounce.NamedCause},
		{"", "451 4.7.5 DKIM key could not be retrieved: DNS timeout", bounce.AuthFailure, "temperror", bounce.ScopeRemote, bounce.NamedCause},
		{"", "550 5.7.24 SPF permerror: too many DNS lookups", bounce.AuthFailure, "spf", bounce.ScopeSender, bounce.NamedCause},
		{"", "421 4.7.28 unusual rate of mail originating from your SPF domain [example.org]", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "554 Transaction failed: Duplicate header 'DKIM-Signature'.", bounce.ContentRejected, "", bounce.ScopeMessage, bounce.NamedCause},
		{"", "550 5.7.1 Policy rejection on the target address", bounce.MailboxDisabled, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "421 4.7.0 this message is suspicious due to the nature of the content and/or the links within.", bounce.ContentSpam, "", bounce.ScopeMessage, bounce.NamedCause},
		{"", "421 4.7.0 this message is suspicious due to the very low reputation of the sending IP address.", bounce.Reputation, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "554 5.7.1 Sender address rejected: Blocked by this recipient", bounce.RecipientRestricted, "", bounce.ScopeRecipient, bounce.NamedCause},

		// Statements about a mechanism that did not fail, and advice beside another cause.
		{"", "550 5.7.1 SPF check skipped; message judged spam", bounce.ContentSpam, "", bounce.ScopeMessage, bounce.GeneralText},
		{"", "451 4.3.0 DKIM passed, SPF was not checked, mailbox database error", bounce.SystemError, "", bounce.ScopeRemote, bounce.NamedCause},
		{"", "550 5.7.1 SPF check skipped", bounce.Unknown, "", bounce.NoScope, bounce.CodeOnly},
		{"", "550 5.7.1 this domain must pass SPF", bounce.AuthFailure, "", bounce.ScopeSender, bounce.GeneralText},
		{"", "421 4.7.0 too many connections; make sure your domain has SPF and DKIM", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 refused, make sure your domain has SPF and DKIM", bounce.AuthFailure, "spf-dkim", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 SPF check failed. Please check your SPF record", bounce.AuthFailure, "spf", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.1.0 sender rejected: you are spoofing one of our own addresses", bounce.AuthFailure, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 this domain takes no longer used mail from itself (spoofing)", bounce.AuthFailure, "", bounce.ScopeSender, bounce.NamedCause},
		// A policy is not a cause; the text after it is.
		{"", "550 5.7.1 rejected by security policy - unable to verify the sender", bounce.SenderRejected, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 rejected by security policy - see our pages", bounce.Policy, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 <joe@example.org>: Recipient address rejected: you may not use this sender", bounce.SenderRejected, "", bounce.ScopeSender, bounce.GeneralText},
		// The owner of a list or a limit.
		{"", "550 5.7.1 sender a@example.net is blacklisted", bounce.SenderRejected, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550 5.7.1 sender's host [192.0.2.1] is blacklisted", bounce.Blocklist, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "451 4.7.1 account exceeded its hourly limit", bounce.RateLimited, "account-limit", bounce.ScopeSender, bounce.NamedCause},
		{"", "450 4.2.1 the recipient's account exceeded its hourly limit", bounce.RateLimited, "", bounce.ScopeSender, bounce.NamedCause},

		// Words in links, addresses and host names do not count.
		{"", "550 refused, see https://example.org/help/dmarc/spam/authentication", bounce.Unknown, "", bounce.NoScope, bounce.CodeOnly},
		{"", "550 5.1.1 <spf.dkim@blacklist.example>: User unknown", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		// A reply of several lines is one text.
		{"", `550-5.7.1 you are on our block\n550 5.7.1 list`, bounce.Blocklist, "", bounce.ScopeSender, bounce.NamedCause},
		{"", "550-5.7.1 the SPF 550-5.7.1 check 550 5.7.1 failed", bounce.AuthFailure, "spf", bounce.ScopeSender, bounce.NamedCause},
		// Accents, in any encoding of the log.
		{"", `550 Empf\303\244nger unbekannt`, bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", `550 Empf\344nger unbekannt`, bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "550 Empf\xe4nger unbekannt", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
		{"", "550 EMPFÄNGER UNBEKANNT", bounce.UserUnknown, "", bounce.ScopeRecipient, bounce.NamedCause},
	} {
		d := &bounce.Delivery{RelayHost: c.host, Response: c.text, Outcome: bounce.Hard}
		v := j.Verdict(d)
		if v.Reason != c.reason || v.Detail != c.detail || v.Scope != c.scope || v.Confidence != c.sure {
			t.Errorf("%s %q: %s %q %s %s by %s; want %s %q %s %s", c.host, c.text,
				v.Reason, v.Detail, v.Scope, v.Confidence, v.Rule, c.reason, c.detail, c.scope, c.sure)
		}
	}
}

func TestNoVerdict(t *testing.T) {
	j := newJudge(t)
	for _, d := range []bounce.Delivery{
		{Outcome: bounce.Delivered, Code: 250, Response: "250 user unknown, but taken"},
		{Outcome: bounce.Handoff, Response: "forwarded as 4ABC"},
		{Outcome: bounce.Probe, Status: "deliverable", Code: 250, Response: "250 2.1.5 Ok"},
		{Code: 250, Response: "250 2.0.0 Ok"},
	} {
		if v := j.Verdict(&d); v != (bounce.Verdict{}) {
			t.Errorf("%+v: %+v", d, v)
		}
	}
	d := bounce.Delivery{Outcome: bounce.Probe, Status: "undeliverable", Code: 550, Response: "550 5.1.1 User unknown"}
	if v := j.Verdict(&d); v.Reason != bounce.UserUnknown {
		t.Errorf("a probe that failed: %+v", v)
	}
	d = bounce.Delivery{Outcome: bounce.Hard, Status: "expired", Response: "returned to sender"}
	if v := j.Verdict(&d); v.Reason != bounce.Expired {
		t.Errorf("an expired message: %+v", v)
	}
}

// Statements about mechanisms that passed change no verdict. A guess weighs the words around them too.
func TestPassedMechanisms(t *testing.T) {
	j := newJudge(t)
	text, err := os.ReadFile("testdata/replies.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		reply := line[strings.LastIndexByte(line, '\t')+1:]
		want := j.Verdict(&bounce.Delivery{Code: 550, Response: reply})
		if want.Reason == bounce.AuthFailure || want.Confidence == bounce.Guess {
			continue
		}
		for _, aside := range []string{" (SPF=pass DKIM=pass DMARC=none)", " [spf:pass,dkim:pass]", "; SPF check passed", " d=example.org dkim:ok", " SPF result: pass"} {
			if v := j.Verdict(&bounce.Delivery{Code: 550, Response: reply + aside}); v.Reason != want.Reason && v.Confidence != bounce.Guess {
				t.Errorf("%q: %s by %s; without %q %s by %s", reply, v.Reason, v.Rule, aside, want.Reason, want.Rule)
			}
		}
	}
}
