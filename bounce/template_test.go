package bounce

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func FuzzSplit(f *testing.F) {
	for _, c := range splitCases {
		f.Add(c.in)
	}
	f.Add("{addr} {brace} {x} {{n}} \\344\\ \\33")
	f.Add("::1 1::2:3 :: a:b::c http://[::1]/x?y=z https:// / @ @@ <@> <> =@=")
	f.Add("\x00\xff{\x1f \x7f 550")
	f.Fuzz(func(t *testing.T, s string) {
		template, args := Split(s)
		if got := Join(template, args); got != s {
			t.Fatalf("Join(Split(%q)) = %q (template %q, arguments %q)", s, got, template, args)
		}
	})
}

// FuzzSplitShort holds the short cuts of the splitter against the long way.
func FuzzSplitShort(f *testing.F) {
	for _, c := range splitCases {
		f.Add(c.in)
	}
	for _, s := range shortCases {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { sameSplit(t, s) })
}

func sameSplit(t *testing.T, s string) {
	t.Helper()
	template, args := Split(s)
	long := splitter{in: s, long: true}
	long.run()
	if template != string(long.t) || args != string(long.a) {
		t.Fatalf("Split(%q):\n got %q, %q\nwant %q, %q", s, template, args, long.t, long.a)
	}
}

// shortCases are what the short cuts must not take for prose or for numbers.
var shortCases = []string{
	"queued as abcdefgh. queued as abc. queued as abcde: id abcdefg id abcde.",
	"message id=abcdefgh. (id=abcde) id= abcdef",
	"1234567890123456 Saved 12345678901234567 Saved, 123456789012345 Saved 1234 12345",
	"queued as 12345678 id 1234 id 12345",
	"550 250 550 5.1.1 x 250. 821 RFC 5321 53210",
	"a. b: c.: d:: .e :f g.h i:j ::1 dead:beef::1 dead: beef. 1. 2: k..",
	"\\303\\274ber \\nabc\\303 \\r\\t x\\ y\\12 queued as \\303abcdefg",
	"abcdefghijklmnop AbCdEfGhIjKlMnOp AbCdEfGhIjKlMnO. ABCDefghIJKLmnopQRST.",
	"a=b. user=\"x\" user \"y\", {a} {} <b> <c d> } ) ] 'x' `y` *z* w! v?",
	"a1 b2c3 d4e5f6 SBL123 x12345 12345x ABCDEF12 aaaaaaaaaa1",
	"m\u00fcller. \xff\xfe. a\x00b \x7f.",
}

// TestSplitShort is FuzzSplitShort over real replies, and over what the rules
// name.
func TestSplitShort(t *testing.T) {
	replies := append([]string(nil), shortCases...)
	for _, c := range splitCases {
		replies = append(replies, c.in)
	}
	rules, err := os.ReadFile("../judge/rules.toml")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile(`"([^"\\]|\\.)*"`).FindAllString(string(rules), -1)
	if len(examples) < 1000 {
		t.Fatalf("only %d texts in the rules", len(examples))
	}
	for _, quoted := range examples {
		if s, err := strconv.Unquote(quoted); err == nil {
			replies = append(replies, s)
		}
	}
	for _, s := range replies {
		sameSplit(t, s)
		for i := range s { // cut anywhere, too
			sameSplit(t, s[i:])
			sameSplit(t, s[:i])
		}
	}
}

var splitCases = []struct{ in, template string }{
	{"250 2.0.0 Ok: queued as 4BxYzKLmno", "250 2.0.0 Ok: queued as {id}"},
	{"250 2.0.0 Ok: queued as BCDFGHJKLM", "250 2.0.0 Ok: queued as {id}"},
	{"250 2.0.0 <joe@example.org> PEmENYVBWqtjaxxSQAdmzF Saved", "250 2.0.0 <{addr}> {id} Saved"},
	{"554 5.2.2 STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "554 5.2.2 STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded"},
	{"250 OK id=1xVQdg-0005Lh-1R", "250 OK id={id}"},
	{"550 5.1.1 <no.body@example.com>: Recipient address rejected: User unknown in local recipient table", "550 5.1.1 <{addr}>: Recipient address rejected: User unknown in local recipient table"},
	{"550 5.1.1 <nobody>... User unknown", "550 5.1.1 <{addr}>... User unknown"},
	{"unknown user: \"joe\"", "unknown user: \"{addr}\""},
	{"550-5.7.26 [192.0.2.1] fails 550-5.7.26 https://support.google.com/mail/answer/81126#authentication a640c23a62f3a-b0345f2e1d0si1234567a12.345 - gsmtp", "550-5.7.26 [{ip}] fails 550-5.7.26 https://support.google.com/mail/answer/81126#authentication {id} - gsmtp"},
	{`550-5.1.1 one\n550 5.1.1 two three`, `550-5.1.1 one\n550 5.1.1 two three`},
	{"550-one 550 two, 450 messages", "550-one 550 two, {n} messages"},
	{"554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7", "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{ip}"},
	{"421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - {ip}"},
	{"451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719) [DB5PEPF00014B9C.eurprd02.prod.outlook.com 2026-11-23T09:18:38.123Z 08DE29C5A0B1C2D3]", "451 4.7.500 Server busy. Please try again later from [{ip}]. ({id}) [{host} {id}:{n}:{n}Z {id}]"},
	{"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient x.y@example.com not found by SMTP address lookup", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {addr} not found by SMTP address lookup"},
	{"connect to mx1.example.com[2001:db8::25]:25: Connection timed out", "connect to {host}[{ip}]:{n}: Connection timed out"},
	{"Host or domain name not found. Name service error for name=mx.example.com type=MX: Host not found, try again", "Host or domain name not found. Name service error for name={host} type=MX: Host not found, try again"},
	{"rejected.See http://www.openspf.net/Why?s=mfrom;id=a@b.example;ip=192.0.2.1;r=mx", "rejected.See http://www.openspf.net/Why?s=mfrom;id={id};ip={ip};r=mx"},
	{"550 {brace} is not a token", "550 {brace}brace} is not a token"},
	{`550 5.1.1 <\320\275\320\265@utf8.test>: \320\275\320\265`, `550 5.1.1 <{addr}>: \320\275\320\265`},
	{"message size 3221 exceeds size limit 1000 of server mx.example.com[192.0.2.17]", "message size {n} exceeds size limit {n} of server {host}[{ip}]"},
	{"554 mx.example.com ESMTP not accepting (OFR_506) IB607 12:34:56", "554 {host} ESMTP not accepting (OFR_506) IB607 {n}:{n}:{n}"},
	{"For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=192.0.2.1&r=1MxAbC12dEf", "For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v={ip}&r={id}"},
	{"blocked: see spamhaus.org/query/ip/2001:db8::1.", "blocked: see spamhaus.org/query/ip/{ip}."},
	{"ip=192.0.2.1:25, IPv6:2001:db8::7", "ip={ip}:{n}, IPv6:{ip}"},
	{"mail to user@example.com. Bye", "mail to {addr}. Bye"},
}

func TestSplit(t *testing.T) {
	for _, c := range splitCases {
		got, args := Split(c.in)
		if got != c.template {
			t.Errorf("Split(%q):\n got %q\nwant %q", c.in, got, c.template)
		}
		if back := Join(got, args); back != c.in {
			t.Errorf("Join(%q, %q) = %q, want %q", got, args, back, c.in)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, set := range []struct {
		name    string
		replies []string
	}{
		{"accepted", []string{
			"250 2.0.0 OK  1772409641 819e1c8a83de-aa69b4fc4bd4.01411095 - gsmtp",
			"250 2.0.0 OK  1772409642 2121ec2892e0-d4ce6ce687d6.64104462 - gsmtp",
			"250 2.6.0 <1c935db8d876126b78c324d1@mail.example.net> [InternalId=1082127955130792, Hostname=AM0PR079901921.eurprd03.prod.outlook.com] 23711 bytes in 0.214, 108.026 KB/sec Queued mail for delivery -> 250 2.1.5",
			"250 2.0.0 <hans.mueller@example.net> a6KVDlmTpWkZ3wMAfg9k1Q Saved",
			"250 2.0.0 Ok: queued as 6A6614FDA0",
			"250 Requested mail action okay, completed: id=1MfvTrXZfGZ54ddy0D-0RiHcWfq7G7ZsXrv9",
			"250 ok dirdel",
			"250 OK id=1xVQdg-0005Lh-1R",
			"delivered to maildir",
		}},
		{"failed", []string{
			"550 5.1.1 <no.body@example.com>: Recipient address rejected: User unknown in local recipient table",
			"452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp 819e1c8a83de-aa69b4fc4bd4si1234567a12.345 - gsmtp",
			"450 4.2.0 <jonas@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html",
			"connect to mx1.example.com[192.0.2.25]:25: Connection timed out",
			"450 4.7.1 Greylisting in action, please come back later",
			"550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=192.0.2.1&r=1MxAbC12dEf",
		}},
	} {
		b.Run(set.name, func(b *testing.B) {
			b.ReportAllocs()
			var t, a []byte
			for b.Loop() {
				for _, r := range set.replies {
					t, a = AppendSplit(t[:0], a[:0], r)
				}
			}
		})
	}
}

func TestOpening(t *testing.T) {
	for _, c := range []struct{ response, want string }{
		{"250 2.0.0 Ok: queued as 4XyZabc", "250 2.0.0 Ok: queued as"},
		{"250 2.0.0 Ok: queued as ABCDEFGH", "250 2.0.0 Ok: queued as"},
		{"250 2.0.0 OK  1700000000 a1-2002abc.12 - gsmtp", "250 2.0.0 OK"},
		{"250 2.6.0 <a@b.example> [InternalId=1, Hostname=H.example] 1 bytes Queued", "250 2.6.0"},
		{"250 OK id=1rXyZ0-000abc-DE", "250 OK"},
		{"250 Message accepted for delivery.", "250 Message accepted for delivery."},
		{"250 ok dirdel", "250 ok dirdel"},
		{"250 Queued by mx.example.com", "250 Queued by"},
		{"delivered via dovecot service (mail delivered)", "delivered via dovecot service (mail delivered)"},
		{"delivered to mailbox", "delivered to mailbox"},
		{"250 2.0.0 <a@b.example> Rq1sJ5 Saved", "250 2.0.0"},
		{"250", "250"},
		{"", ""},
		{"sent to dead::beef", "sent to"},
	} {
		if got := Opening(c.response); got != c.want {
			t.Errorf("Opening(%q) = %q, want %q", c.response, got, c.want)
		}
		template, _ := Split(c.response)
		if got := Opening(template); got != c.want {
			t.Errorf("Opening of the template %q = %q, want %q", template, got, c.want)
		}
	}
}

func BenchmarkOpening(b *testing.B) {
	for b.Loop() {
		Opening("250 2.0.0 OK  1700000000 a1-2002abc.12 - gsmtp")
	}
}
