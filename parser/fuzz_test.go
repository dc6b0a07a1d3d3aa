package parser

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

// seeds are lines of every kind, from real logs and handwritten.
var seeds = []string{
	"",
	"\r",
	"Nov 23 14:19:29 mx1 postfix/smtpd[20452]: 4028B460: client=localhost[127.0.0.1]",
	"Nov 23 14:19:29 mx1 postfix/submission/smtpd[20452]: 4028B460: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=a, b",
	"Nov 23 14:19:29 mx1 postfix/cleanup[20463]: 4028B460: message-id=<ok.postfix@lab.test>",
	"Nov 23 14:19:29 mx1 postfix/qmgr[20175]: 4028B460: from=<ok@sender.test>, size=385, nrcpt=1 (queue active)",
	"Nov 23 14:19:29 mx1 postfix/qmgr[20175]: 4028B460: from=<>, status=expired, returned to sender",
	"Nov 23 14:19:29 mx1 postfix/qmgr[20175]: 4028B460: removed",
	"Nov 23 14:19:29 mx1 postfix/smtp[20467]: 4028B460: to=<ok@plain.test>, relay=mx.plain.test[127.10.0.1]:25, delay=0.46, delays=0.02/0.31/0.09/0.04, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 69F)",
	`Nov 23 14:19:29 mx1 postfix/smtp[20467]: E2B1A5AF: to=<"quoted user, x=<y>"@plain.test>, orig_to=<a@b>, relay=mx.plain.test[127.10.0.1]:25, conn_use=2, delay=0.04, delays=0.03/0/0.01/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)`,
	"Nov 23 14:19:29 mx1 postfix/smtp[1]: 4028B460: to=<a@b>, relay=mx.plain.test[127.10.0.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx.plain.test[127.10.0.1] said: 550 5.1.1 User unknown), to=<victim@plain.test>, relay=none, delay=0, dsn=2.0.0, status=sent (250 2.0.0 Ok (in reply to RCPT TO command))",
	"Nov 23 14:19:29 mx1 postfix/smtp[1]: 4028B460: to=<a@b>, relay=none, delay=1, status=deferred (delivery temporarily suspended: host x[::1]:25 refused to talk to me: 421-4.7.0 a 421 4.7.0 b)",
	"Nov 23 14:19:29 mx1 rsyslogd: x",
	"Nov 23 14:19:29 mx1 postfix/smtp[1]: message repeated 3 times: [ 4028B460: to=<a@b>, relay=none, delay=1, status=deferred (x)]",
	"Nov 23 14:19:30 mx1 last message repeated 2 times",
	"2026-11-23T14:19:28.989955+00:00 mx1 postfix-long/smtp[20424]: 4jY7Nx1nZjzPt: to=<a@b.c>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to b.c[192.0.2.1]:25: Connection timed out)",
	"<22>1 2026-11-23T14:19:28.989955+00:00 mx1 postfix/smtp 20424 - [a@1 b=\"]\"] \xef\xbb\xbf4jY7Nx1nZjzPt: to=<a@b.c>, relay=local, delay=1, status=sent (delivered to mailbox)",
	"2013 Jun 10 06:48:17.123 host postfix/smtp[31122]: 3bZLDu1V55z37Dv: removed",
	"mail-1  | Nov 23 14:19:29 mx1 postfix/local[1]: 4028B460: to=<a@b>, relay=local, delay=1, status=sent (forwarded as 4028B461)",
	"2026-11-23T14:19:28.989955Z stdout F Nov 23 14:19:29 mx1 postfix/anvil[1]: statistics: max",
	"482E4404AC8: to=<a@b>, relay=none, delay=1, status=undeliverable-but-not-cached (User unknown)",
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y <= ok@sender.test H=(client.lab.test) [127.0.0.1] P=esmtp S=379 id=ok.exim-default@lab.test",
	`2026-11-23 14:19:30 1xVUtG-0005Lh-1y => ok@plain.test R=dnslookup T=remote_smtp H=mx.plain.test [127.10.0.1] C="250 2.0.0 Ok: queued as 6A3A5B89FB"`,
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y Completed",
	`2026-11-23 14:19:30.985 +0100 [20627] 10HmbE-000000005vi-0000 => quoted user, x=<y>@plain.test <"quoted user, x=<y>"@plain.test> F=<ok-quoted@sender.test> P=<ok-quoted@sender.test> R=dnslookup T=remote_smtp S=448 H=mx.plain.test [127.10.0.1]:25 I=[127.0.0.1]:45022 L C="250 \"2.0.0\" Ok" QT=0.244s DT=1m0.019s`,
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y == x@hangconn.test R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.hangconn.test [127.10.0.1]: SMTP timeout after initial connection",
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y == grey@plain.test routing defer (-52): retry time not reached",
	`2026-11-23 14:19:30 1xVUtG-0005Lh-1y ** long@plain.test R=dnslookup T=remote_smtp H=mx.plain.test [127.10.0.1]: SMTP error from remote mail server after RCPT TO:<long@plain.test>: 550-5.7.1 line 1\n550-5.7.1 line \303\2742\n550 5.7.1 end`,
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y ** a@d: retry timeout exceeded",
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y => |/cmd 75 <pipe75@d> R=aliases T=address_pipe",
	"2026-11-23 14:19:30 1xVUtG-0005Lh-1y => :blackhole: <x@d> R=r1",
	"Nov 23 14:19:32 mx1 exim[21039]: [1/2] 2026-11-23 14:19:32 1xVUtH-0005Sy-38 ** long@plain.test R=dnslookup T=remote_smtp H=mx.plain.test [127.10.0.1]: SMTP error from remote mail server after DATA: 550",
	"Nov 23 14:19:32 mx1 exim[21039]: [2/2] x => y R=z",
}

// TestCutLines parses a line and then each beginning of it, alone and with a letter after it. The
// parser remembers the header of the previous line, and a cut line has the same beginning.
func TestCutLines(t *testing.T) {
	for _, line := range []string{
		"Nov 23 09:47:06 mx1 postfix/smtp[7]: 4A1: to=<a@b.example>, relay=none, delay=1, dsn=4.0.0, status=deferred (x)",
		"2026-11-23T09:47:06.123456+01:00 pm postfix/smtp[7]: 4A1: to=<a@b.example>, relay=none, delay=1, dsn=4.0.0, status=deferred (x)",
		"Nov 23 09:47:06 PM mx1 postfix/smtp[7]: 4A1: to=<a@b.example>, relay=none, delay=1, dsn=4.0.0, status=deferred (x)",
		"2026-11-23 09:47:06.123 +0100 1tAbCd-0001Xy-9Z == a@b.example R=r T=t defer (110): x",
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for n := range len(line) {
			for _, behind := range []string{"", "P", "A", " ", "p", "+"} {
				p.Parse([]byte(line), int64(n), &r)
				p.Parse([]byte(line[:n]+behind), int64(n), &r)
				p.Parse([]byte(line[:n]+" "+behind), int64(n), &r)
			}
		}
	}
}

// FuzzParse looks for lines that are read wrongly whatever their meaning. It parses two lines, so
// that the second meets the state that the first left.
func FuzzParse(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i*7+3)%len(seeds)]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		q := NewQueue(0)
		p := New(q, Options{Location: time.UTC, Modified: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Source: "s"})
		var r Result
		for _, line := range [][]byte{first, second, first} {
			buf := bytes.Clone(line)
			kind := p.Parse(buf, 7, &r)
			checkResult(t, kind, &r, len(line))
			// Nothing may point into the reader's buffer.
			before := cloneDeliveries(r.Deliveries)
			opened, _ := q.Changes(nil, nil)
			for i := range buf {
				buf[i] = 0xff
			}
			if diff := cmp.Diff(before, append([]bounce.Delivery{}, r.Deliveries...)); diff != "" {
				t.Errorf("%q: the delivery changed with the buffer:\n%s", line, diff)
			}
			for _, m := range opened {
				if strings.ContainsRune(m.Sender+m.QueueID, utf8.RuneError) && !bytes.ContainsRune(line, utf8.RuneError) && utf8.Valid(line) {
					t.Errorf("%q: the queue points into the buffer: %+v", line, m)
				}
			}
		}
	})
}

func cloneDeliveries(ds []bounce.Delivery) []bounce.Delivery {
	out := append([]bounce.Delivery{}, ds...)
	for i := range out {
		d := &out[i]
		for _, s := range []*string{
			&d.QueueID, &d.Recipient, &d.Sender, &d.MessageID, &d.Response, &d.RelayHost, &d.RelayIP,
			&d.Host, &d.Instance, &d.Agent, &d.Status, &d.OriginalRecipient, &d.ClientHost, &d.ClientIP, &d.SASLUser,
		} {
			*s = strings.Clone(*s)
		}
	}
	return out
}

// checkResult checks the conditions that hold for every line.
func checkResult(t *testing.T, kind Kind, r *Result, length int) {
	t.Helper()
	if (kind == Attempt) != (len(r.Deliveries) > 0) {
		t.Fatalf("%v with %d deliveries", kind, len(r.Deliveries))
	}
	if kind == Expiry && (r.Expiry.Message == nil || r.Expiry.QueueID == "" || r.Expiry.Status == "") {
		t.Fatalf("expiry without a message: %+v", r.Expiry)
	}
	if n := len(r.Deliveries); n > max(1, length) {
		t.Fatalf("%d deliveries of a line of %d bytes, repeated %d", n, length, r.Repeated)
	}
	last := int64(6)
	for _, d := range r.Deliveries {
		if d.Offset <= last || d.Offset > 7+int64(length) {
			t.Fatalf("at %d behind %d, of %d bytes", d.Offset, last, length)
		}
		last = d.Offset
		if d.Source != "s" || d.QueueID == "" || d.Status == "" || d.Outcome == bounce.NoOutcome || d.MTA == "" {
			t.Fatalf("incomplete: %+v", d)
		}
		if !strings.HasSuffix(d.Recipient, d.RecipientDomain) || d.SenderKnown && !strings.HasSuffix(d.Sender, d.SenderDomain) {
			t.Fatalf("address and domain differ: %+v", d)
		}
		if !d.SenderKnown && d.Sender != "" || d.Delay < 0 && d.Delay != -1 || d.Code != 0 && (d.Code < 200 || d.Code > 599) {
			t.Fatalf("inconsistent: %+v", d)
		}
		if d.Local && d.Code != 0 {
			t.Fatalf("a reply code without a remote: %+v", d)
		}
	}
}

// FuzzHeader checks that no header is longer than its line, and that the fast path for a repeated
// stamp returns the same as the normal one.
func FuzzHeader(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var h header
		splitHeader(line, &h)
		if n := len(h.stamp) + len(h.host) + len(h.program) + len(h.message); n > len(line) {
			t.Fatalf("%q: %d bytes of %d", line, n, len(line))
		}
		o := Options{Location: time.UTC, Year: 2026}
		var fresh, again Result
		p := New(nil, o)
		k1 := p.Parse(line, 7, &fresh)
		host := p.host
		p.loose.clear() // two lines may hold a delivery together
		k2 := p.Parse(line, 7, &again)
		if k1 == Skipped && k2 == Skipped && bytes.ContainsAny(line, "\t\x1b") {
			return // another program's line: the name of its program does not matter
		}
		if bytes.Contains(line, []byte(": [")) || bytes.Contains(line, []byte("LOG: MAIN")) || bytes.IndexFunc(line, func(c rune) bool { return isBreak(byte(c)) && c < ' ' }) >= 0 {
			return // parts of a line, lines of a console and lines within a line depend on each other
		}
		if k1 != k2 && !bytes.Contains(line, []byte(" message repeated ")) {
			t.Fatalf("%q: %v, then %v", line, k1, k2)
		}
		if !fresh.Time.Equal(again.Time) || fresh.Program != again.Program || p.how == unwrapped && host != p.host {
			t.Fatalf("%q: %v %q %q, then %v %q %q", line, fresh.Time, fresh.Program, host, again.Time, again.Program, p.host)
		}
	})
}

// FuzzPostfixDiff compares the scanner of delivery agents' messages with the grammar.
func FuzzPostfixDiff(f *testing.F) {
	for _, s := range seeds {
		if _, msg, ok := strings.Cut(s, "]: "); ok {
			f.Add(msg)
		}
	}
	f.Fuzz(func(t *testing.T, msg string) {
		var got postfixFields
		id, rest, ok := queueID([]byte(msg))
		gotOK := ok && bytes.HasPrefix(rest, []byte("to=")) && got.scan(string(rest))
		wantID, want, wantOK := referencePostfix(msg)
		if gotOK != wantOK {
			t.Fatalf("%q: scanner %v, grammar %v", msg, gotOK, wantOK)
		}
		if !gotOK {
			return
		}
		if got != want || string(id) != wantID {
			t.Fatalf("%q:\nscanner %+v\ngrammar %+v", msg, got, want)
		}
		var d bounce.Delivery
		d.Agent = "local"
		got.reply(&d)
		reply, stage, remote := referenceReply(got.text)
		if got.status == "sent" && strings.HasPrefix(got.text, "delivery temporarily suspended: ") {
			return
		}
		if remote != !d.Local {
			t.Fatalf("%q: scanner remote %v, grammar %v", got.text, !d.Local, remote)
		}
		if remote && (stage != d.Stage || bounce.JoinReply(reply) != d.Response || bounce.ReplyCode(reply) != d.Code) {
			t.Fatalf("%q:\nscanner %v %d %q\ngrammar %v %q", got.text, d.Stage, d.Code, d.Response, stage, reply)
		}
	})
}

// FuzzEximDiff compares the scanner of Exim's lines with the grammar: if a line matches the
// grammar, both read the same.
func FuzzEximDiff(f *testing.F) {
	for _, s := range seeds {
		for _, flag := range []string{"=>", "->", "**", "=="} {
			if _, msg, ok := strings.Cut(s, " "+flag+" "); ok {
				f.Add(flag, msg)
			}
		}
	}
	f.Fuzz(func(t *testing.T, flag, s string) {
		if flag != "**" && flag != "==" {
			flag = "=>"
		}
		want, ok := referenceExim(flag, s)
		if !ok || len(want.parent) > maxParent/2 {
			return // the scanner bounds the search for its end
		}
		if strings.HasSuffix(s, "=") || strings.HasPrefix(want.router, "3D") {
			return // quoted-printable text is not understood
		}
		if i := strings.Index(s, " <"); i >= 0 {
			if tops, ok := quotedTops(s, i); !ok || len(tops) > 0 {
				return // FuzzForge checks these
			}
		}
		var got eximFields
		if !got.scan(flag, s) {
			t.Fatalf("%s %q: not understood by the scanner", flag, s)
		}
		// Times may follow the message, and the system's message may precede it.
		if flag != "=>" {
			got.queueTime, got.deliveryTime, want.queueTime, want.deliveryTime = "", "", "", ""
			want.message, got.message, got.strerror = "", "", ""
		}
		if flag == "==" && got.errno > 0 {
			// The grammar takes the system's message and the fields after it for the message.
			want.size, want.sender, want.hasSender, want.confirmation = got.size, got.sender, got.hasSender, got.confirmation
			want.router, want.transport = got.router, got.transport
		}
		if got.host == "" && want.host != "" || flag == "==" {
			want.host, want.ip, want.port, got.host, got.ip, got.port = "", "", 0, "", "", 0
		}
		if got != want {
			t.Fatalf("%s %q:\nscanner %+v\ngrammar %+v", flag, s, got, want)
		}
	})
}

// FuzzUnprint checks that reversing Exim's escapes never makes a text longer.
func FuzzUnprint(f *testing.F) {
	for _, s := range []string{`550-a\n550 b`, `\303\274`, `\303`, `\\n`, `a\`, `\777`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := unprint(s); len(got) > len(s) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
