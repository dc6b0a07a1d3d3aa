package judge

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"bouncelog/bounce"
)

func TestExplain(t *testing.T) {
	j := newJudge(t)
	for _, c := range []struct {
		name    string
		d       bounce.Delivery
		outcome bounce.Outcome
		reason  bounce.Reason
		title   string
		want    []string // substrings of the explanation
		link    string
	}{
		{
			"code",
			bounce.Delivery{Code: 550},
			bounce.Hard, bounce.Unknown, "mailbox unavailable, or refused",
			[]string{"RFC 5321", "SPF, DKIM and DMARC", "blocklist", "the text after it says who has to act", "a mail server that gets this gives up"},
			"",
		},
		{
			"554",
			bounce.Delivery{Code: 554},
			bounce.Hard, bounce.Unknown, "transaction failed",
			[]string{"SPF, DKIM and DMARC of the sender domain first", "As a greeting"},
			"",
		},
		{
			"code and enhanced code",
			bounce.Delivery{Code: 550, Enhanced: bounce.Enhanced(5, 7, 23)},
			bounce.Hard, bounce.AuthFailure, "SPF validation failed",
			[]string{"RFC 7372", "You:"},
			"",
		},
		{
			"enhanced code",
			bounce.Delivery{Enhanced: bounce.Enhanced(4, 2, 2)},
			bounce.Soft, bounce.MailboxFull, "mailbox full",
			[]string{"RFC 3463 3.3", "keeps the message"},
			"",
		},
		{"success", bounce.Delivery{Code: 250}, bounce.Delivered, bounce.NoReason, "done", []string{"it worked"}, ""},
		{"go on", bounce.Delivery{Code: 354}, bounce.NoOutcome, bounce.NoReason, "send the message", []string{"goes on with the dialogue"}, ""},
		{"not in the table", bounce.Delivery{Code: 459 + 30}, bounce.Soft, bounce.Unknown, "failed for now", []string{"Wait"}, ""},
		{"no code at all", bounce.Delivery{Code: 12}, bounce.NoOutcome, bounce.Unknown, "cause not named", nil, ""},
		{
			"no IPv6 route",
			bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", Local: true, Outcome: bounce.Soft, Response: "connect to mx.far.example[2001:db8::25]:25: Network is unreachable"},
			bounce.Soft, bounce.Connection, "no IPv6 route",
			[]string{"ip -6 route", "inet_protocols = ipv4", "disable_ipv6", "You:"},
			"",
		},
		{
			"a certificate, checked by whom is not logged",
			bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Local: true, Outcome: bounce.Soft, Response: "Server certificate not verified"},
			bounce.Soft, bounce.TLS, "certificate not accepted",
			[]string{"smtp_tls_policy_maps", "MTA-STS", "smtp_tls_CAfile", "The certificate is theirs; the check is yours"},
			"",
		},
		{
			"a certificate, checked by the own policy",
			bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Local: true, Outcome: bounce.Soft, TLS: "secure:encrypt!", Response: "Server certificate not verified"},
			bounce.Soft, bounce.TLS, "certificate not accepted",
			[]string{"The TLS level was secure: your own policy"},
			"",
		},
		{
			"a certificate, checked by DANE",
			bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Local: true, Outcome: bounce.Soft, TLS: "dane:encrypt!", Response: "Server certificate not verified"},
			bounce.Soft, bounce.TLS, "certificate not accepted",
			[]string{"The TLS level was dane: the receiver publishes TLSA records", "The receiving side"},
			"",
		},
		{
			"TLSA records",
			bounce.Delivery{MTA: bounce.Postfix, Agent: "smtp", Local: true, Outcome: bounce.Soft, RecipientDomain: "far.example", Response: "TLSA lookup error for mx.far.example:25"},
			bounce.Soft, bounce.TLS, "DANE: TLSA records not usable",
			[]string{"TLSA _25._tcp.", "resolver", "The receiving side"},
			"",
		},
		{
			"text",
			bounce.Delivery{Response: "550-5.7.26 Unauthenticated email from example.org is not accepted due to domain's\n550 5.7.26 DMARC policy. https://support.google.com/mail/?p=DmarcRejection a1b2 - gsmtp"},
			bounce.Hard, bounce.AuthFailure, "authentication failed",
			[]string{"Here it is DMARC", "The text names the cause"},
			"https://support.google.com/mail/answer/81126",
		},
		{
			"provider",
			bounce.Delivery{Response: "550 5.7.1 refused", RelayHost: "mxs.mail.ru", Outcome: bounce.Hard},
			bounce.Hard, bounce.Unknown, "delivery not authorised, message refused",
			[]string{"has given up"},
			"https://postmaster.mail.ru/",
		},
		{
			"list",
			bounce.Delivery{Code: 554, Response: "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"},
			bounce.Hard, bounce.Blocklist, "on a blocklist",
			[]string{"Spamhaus"},
			"https://check.spamhaus.org/",
		},
		{
			"receiver's fault",
			bounce.Delivery{Code: 554, Response: "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver"},
			bounce.Hard, bounce.SystemError, "server trouble",
			[]string{"you are not listed", "The receiving side"},
			"",
		},
		{
			"the MTA's own",
			bounce.Delivery{Response: "connect to mx.example.org[192.0.2.1]:25: Connection timed out", Local: true, Outcome: bounce.Soft, Status: "deferred"},
			bounce.Soft, bounce.Connection, "no connection",
			[]string{"outgoing port 25", "tries again"},
			"",
		},
		{
			"a hostile link",
			bounce.Delivery{Response: "550 5.7.1 refused, see https://evil.example/x\x1b[31m"},
			bounce.Hard, bounce.Unknown, "delivery not authorised, message refused",
			nil, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := j.Explain(&c.d)
			if x.Outcome != c.outcome || x.Verdict.Reason != c.reason || x.Title != c.title {
				t.Errorf("%s, %s, %q; want %s, %s, %q", x.Outcome, x.Verdict.Reason, x.Title, c.outcome, c.reason, c.title)
			}
			all := strings.Join(append([]string{x.Title, x.Meaning, x.Turn, x.Retry, x.Also, x.RFC, x.Sure}, x.Do...), "\n")
			for _, w := range c.want {
				if !strings.Contains(all, w) {
					t.Errorf("%q is not in\n%s", w, all)
				}
			}
			if c.link != "" && !slices.Contains(x.Links, c.link) {
				t.Errorf("links %q, want %s among them", x.Links, c.link)
			}
			if strings.Contains(all+strings.Join(x.Links, ""), "evil") || strings.Contains(all, "\x1b") {
				t.Errorf("the remote's own text is in\n%s", all)
			}
		})
	}
}

// All links lead to web pages.
func TestLinks(t *testing.T) {
	j := newJudge(t)
	check := func(where, s string) {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !strings.Contains(u.Host, ".") || u.Scheme != "https" && u.Scheme != "http" {
			t.Errorf("%s: %q is no link", where, s)
		}
	}
	for _, p := range j.providers {
		for _, s := range p.Pages {
			check(p.ID, s)
		}
	}
	for d, s := range detailPages {
		check(d, s)
	}
	for r := range j.Rules() {
		if strings.HasPrefix(r.Seen, "http") {
			s, _, _ := strings.Cut(r.Seen, ",")
			check(r.ID, s)
		}
	}
}

// TestRetryAfterReturn holds that no explanation of a returned message says that the queue tries it
// again, whatever its cause.
func TestRetryAfterReturn(t *testing.T) {
	check := func(name, retry string) {
		if text := retryText(bounce.Hard, true, retry, 5); strings.Contains(text, "queue") && !strings.Contains(text, "4xx") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for r := range reasonTexts {
		check(bounce.Reason(r).String(), reasonTexts[r].Retry)
	}
	for detail, text := range detailTexts {
		check(detail, text.Retry)
	}
	x := newJudge(t).Explain(&bounce.Delivery{
		MTA: bounce.Postfix, Agent: "smtp", RelayHost: "mx.far.example", RelayIP: "192.0.2.1", Outcome: bounce.Hard, Code: 554, Response: "554 5.7.1 Greylisted, come back later",
	})
	if strings.Contains(x.Turn, "by itself") {
		t.Errorf("greylisted and returned: %s", x.Turn)
	}
}
