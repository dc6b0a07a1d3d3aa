package bounce

import "testing"

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
	b.ReportAllocs()
	s := "550 5.1.1 <no.body@example.com>: Recipient address rejected: User unknown in local recipient table"
	var t, a []byte
	for b.Loop() {
		t, a = AppendSplit(t[:0], a[:0], s)
	}
}
