package bounce

import (
	"strings"
	"testing"
)

// What is taken from a refusal for the client's address and for a selector, and
// what not.
func TestNamed(t *testing.T) {
	for _, test := range []struct{ reply, ips, selectors string }{
		{"550-5.7.26 SPF [shop.test] with ip: [203.0.113.25] = did not pass", "203.0.113.25", ""},
		{"550-5.7.25 [2001:db8::25] The IP address sending this message does not have a PTR record", "2001:db8::25", ""},
		{"554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.example", "203.0.113.9", ""},
		{"554 5.7.1 Service unavailable; client [IPv6:2001:db8::9] blocked", "2001:db8::9", ""},
		{"550 5.7.606 Access denied, banned sending IP [203.0.113.9].", "203.0.113.9", ""},
		{"550 SC-001 mail from 203.0.113.9 was rejected", "203.0.113.9", ""},
		{"550 Your IP: 203.0.113.9. Go away", "203.0.113.9", ""},
		{"550 see https://lists.example/lookup?ip=203.0.113.9", "203.0.113.9", ""},
		// The relay itself, addresses inside, and what is no address.
		{"550 mx.example [198.51.100.7] says no", "", ""},
		{"550 from [10.0.0.1], [127.0.0.1], [fe80::1], [192.168.1.1]", "", ""},
		{"550 5.7.1 version 8.14.4.1 [1.2.3] ip: 1.2.3.4.5 ip: 1.2.3.456", "", ""},
		{"550 5.7.20 no key for signature, mail2026._domainkey.shop.test", "", "mail2026"},
		{`550 DKIM: selector "s1" of shop.test has no key`, "", "s1"},
		{"550 DKIM failed (d=shop.test; s=brevo1; a=rsa-sha256)", "", "brevo1"},
		{"550 see https://mail.example/?s=1&p=2 and the selectors", "", ""},
		{"550 selector ../../../etc/passwd", "", ""},
		// Written close to other words.
		{"550-5.7.26 SPF [shop.test] with ip: [203.0.113.8].To best protect our users", "203.0.113.8", ""},
		{"554 5.7.0 Blocked - see https://ipcheck.example/?ip=203.0.113.108", "203.0.113.108", ""},
		{"554 IP=203.0.113.1 - A problem occurred. (Ask your postmaster)", "203.0.113.1", ""},
		{"421 4.7.0 [TSS04] Messages from 203.0.113.5 temporarily deferred - 4.16.55.1", "203.0.113.5", ""},
		{"421 4.7.0 [TSS04] Messages from 203.0.113.5 temporarily deferred - 4.16.55.1; see https://postmaster.example/codes", "203.0.113.5", ""},
		{"550 blocked - 203.0.113.5; see https://postmaster.example/codes", "203.0.113.5", ""},
		// A smarthost passes on another host's answer: that host, and its client.
		{"550 5.7.1 host mx.cust.test[203.0.113.9] said: 550 5.7.26 SPF check failed for shop.test", "", ""},
		{"550 5.7.1 host mx.cust.test[203.0.113.9] said: 550 5.7.25 [203.0.113.40] has no PTR record", "", ""},
		{"550 SMTP error from remote mail server after RCPT TO: host mx.cust.test [203.0.113.9]: 550 203.0.113.40 is listed", "", ""},
	} {
		template, args := Split(test.reply)
		var ips []string
		for _, a := range NamedAddresses(Template{Text: template, Args: args}, "198.51.100.7") {
			ips = append(ips, a.String())
		}
		if got := strings.Join(ips, " "); got != test.ips {
			t.Errorf("%s: the addresses %q, want %q", test.reply, got, test.ips)
		}
		if got := strings.Join(NamedSelectors(test.reply), " "); got != test.selectors {
			t.Errorf("%s: the selectors %q, want %q", test.reply, got, test.selectors)
		}
	}
}
