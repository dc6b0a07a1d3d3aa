package parser

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lines calls f for each line of r with its offset, in blocks of 256 KiB like the reader of files.
func lines(r io.Reader, f func(line []byte, offset int64)) error {
	buf := make([]byte, 0, 256<<10)
	var offset int64
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			f(rest[:i], offset)
			offset += int64(i) + 1
			rest = rest[i+1:]
		}
		if len(rest) == cap(buf) {
			buf = make([]byte, len(rest), 2*cap(buf))
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if err == io.EOF {
			if len(rest) > 0 {
				f(rest, offset)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// BenchmarkLog parses the log named by $BOUNCELOG_BENCH_LOG, of any size:
//
//	BOUNCELOG_BENCH_LOG=mail.log go test -run '^$' -bench Log -benchtime 3x ./parser
func BenchmarkLog(b *testing.B) {
	name := os.Getenv("BOUNCELOG_BENCH_LOG")
	if name == "" {
		b.Skip("$BOUNCELOG_BENCH_LOG names no log")
	}
	fi, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(fi.Size())
	b.ReportAllocs()
	for range b.N {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		p := New(nil, Options{Location: time.UTC, Modified: fi.ModTime()})
		var r Result
		var kinds [Unparsed + 1]int
		var senders int
		err = lines(f, func(line []byte, offset int64) {
			kind := p.Parse(line, offset, &r)
			kinds[kind]++
			if kind == Attempt && r.Deliveries[0].SenderKnown {
				senders++
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.Logf("attempts %d, with sender %d, expiries %d, unparsed %d", kinds[Attempt], senders, kinds[Expiry], kinds[Unparsed])
		b.ReportMetric(float64(kinds[Attempt]), "attempts")
	}
}

func benchmarkLine(b *testing.B, lines ...string) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	size := 0
	bs := make([][]byte, len(lines))
	for i, l := range lines {
		bs[i] = []byte(l)
		size += len(l)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range bs {
			p.Parse(l, 0, &r)
		}
	}
}

func BenchmarkNoise(b *testing.B) {
	benchmarkLine(b, "Mar  2 00:00:00 mx1 dovecot: imap-login: Login: user=<vera@example.org>, method=PLAIN, rip=192.0.2.58, lip=203.0.113.25, mpid=19289, TLS, session=<2Y9IdXV7XP34FZHj>")
}

func BenchmarkHeader(b *testing.B) {
	for _, l := range []string{
		"Mar  2 00:00:00 mx1 postfix/anvil[1]: x",
		"2026-03-02T00:00:00.123456+01:00 mx1 postfix/anvil[1]: x",
		"<22>1 2026-03-02T00:00:00.123456+01:00 mx1 postfix/anvil 1 - - x",
	} {
		b.Run(strings.Fields(l)[0], func(b *testing.B) { benchmarkLine(b, l) })
	}
}

func BenchmarkPostfixMessage(b *testing.B) {
	benchmarkLine(
		b,
		"Mar  2 00:00:01 mx1 postfix/smtpd[6582]: 41CD2222223: client=unknown[192.0.2.128], sasl_method=PLAIN, sasl_username=greta@example.org",
		"Mar  2 00:00:01 mx1 postfix/cleanup[29062]: 41CD2222223: message-id=<22ec4cd7b457a0623782b7543883e90e@example.org>",
		"Mar  2 00:00:01 mx1 postfix/qmgr[24182]: 41CD2222223: from=<greta@example.org>, size=1904, nrcpt=1 (queue active)",
		"Mar  2 00:00:01 mx1 postfix/smtp[5468]: 41CD2222223: to=<jonas@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.95, delays=0.28/0.01/0.5/0.16, dsn=2.0.0, status=sent (250 2.0.0 OK  1772409601 2121ec2892e0-d4ce6ce687d6.64104462 - gsmtp)",
		"Mar  2 00:00:01 mx1 postfix/qmgr[24182]: 41CD2222223: removed",
	)
}

func BenchmarkPostfixDelivery(b *testing.B) {
	benchmarkLine(b, "Mar  2 00:00:01 mx1 postfix/smtp[5468]: 41CD2222223: to=<jonas@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.95, delays=0.28/0.01/0.5/0.16, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 <jonas@example.com>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))")
}

func BenchmarkEximDelivery(b *testing.B) {
	benchmarkLine(b, `2026-03-02 00:00:01 1xVUtL-0005ru-2B => jonas@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1] X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes C="250 2.0.0 Ok: queued as 6A6614FDA0"`)
}

func BenchmarkEximFailure(b *testing.B) {
	benchmarkLine(b, `2026-03-02 00:00:01 1xVUtL-0005ru-2B ** jonas@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<jonas@example.com>: 550 5.1.1 <jonas@example.com>: Recipient address rejected: User unknown`)
}

func BenchmarkEximMessage(b *testing.B) {
	benchmarkLine(
		b,
		`2026-03-02 00:00:01 1xVUtL-0005ru-2B <= greta@example.org H=(client.example.org) [192.0.2.128] P=esmtpsa X=TLS1.3:AES:256 CV=no A=plain_login:greta S=1904 id=22ec4cd7b457a0623782b7543883e90e@example.org`,
		`2026-03-02 00:00:01 1xVUtL-0005ru-2B => jonas@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1] C="250 2.0.0 Ok: queued as 6A6614FDA0"`,
		`2026-03-02 00:00:01 1xVUtL-0005ru-2B Completed`,
	)
}

// hostile returns lines of n bytes that are slow in a naive parser.
func hostile(n int) map[string]string {
	const pf = "Nov 23 09:47:06 mx1 postfix/smtp[1]: 4028B460: "
	const ex = "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "
	const failed = ex + "** a@b R=r T=t H=h [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b>: "
	fill := func(head, s string) string { return head + strings.Repeat(s, (n-len(head))/len(s)) }
	return map[string]string{
		"to":                 fill(pf, "to=<"),
		"to_quoted":          fill(pf+`to=<"`, `\"`),
		"to_angles":          fill(pf+"to=<", ">, "),
		"to_orig":            fill(pf, "to=<a>, orig_to=<"),
		"to_blanks":          fill(pf+"to=<", " "),
		"fields":             fill(pf+"to=<a>, relay=none, ", "delay=1, "),
		"status":             fill(pf+"to=<a>, relay=none, delay=1, ", "status=sent ("),
		"parens":             fill(pf+"to=<a>, relay=none, delay=1, status=sent ", "("),
		"in_reply_to":        fill(pf+"to=<a>, relay=none, delay=1, status=deferred (host a[b] said: 450 ", " (in reply to "),
		"lines":              fill(pf+"to=<a>, relay=none, delay=1, status=deferred (host a[b] said: 450-", " 450-"),
		"from":               fill("Nov 23 09:47:06 mx1 postfix/qmgr[1]: 4028B460: from=<", ">, size"),
		"client":             fill("Nov 23 09:47:06 mx1 postfix/smtpd[1]: 4028B460: client=", ", sasl_username"),
		"spaces":             fill("Nov 23 09:47:06", " "),
		"only_spaces":        fill("", " "),
		"brackets":           fill("<22>1 - - - - - ", "["),
		"host":               fill("Nov 23 09:47:06 ", "x"),
		"pipes":              fill("", "a | "),
		"repeated":           fill("Nov 23 09:47:06 mx1 postfix/smtp[1]: ", "message repeated 2 times: [ "),
		"utf8_domain":        fill(pf+"to=<a@", "\u00fc"),
		"exim_parents":       fill(ex+"=> a", " <"),
		"exim_quoted_parent": fill(ex+"=> a", ` <"`),
		"exim_ancestors":     fill(ex+"=> a", " (x"),
		"exim_words":         fill(ex+"=> a", " x"),
		"exim_pipe":          fill(ex+"=> |a", " <a> "),
		"exim_fields":        fill(ex+"=> a@b", " R=x"),
		"exim_hosts":         fill(ex+"=> a@b", " H=x ["),
		"exim_bare_hosts":    fill(ex+"=> a@b", " H=x"),
		"exim_quotes":        fill(ex+"=> a@b", ` C="\"`),
		"exim_senders":       fill(ex+"=> a@b", ` F=<"\"`),
		"exim_lines":         fill(failed+"450-", `\n450-`),
		"exim_octal":         fill(failed+"450 ", `\303`),
		"exim_defer":         fill(ex+"== a@b defer (1): x", " H=x ["),
		"exim_arrival":       fill(ex+"<= a@b", " H=x"),
		"exim_arrival_helo":  fill(ex+"<= a@b H=", "([x"),
		"exim_arrival_dn":    fill(ex+"<= a@b", ` DN="\"`),
		"exim_old_host":      fill(failed+"host ", "[]: "),
	}
}

// BenchmarkHostile shows that the cost of a line is linear in its length: longer lines have the
// same rate as shorter ones.
func BenchmarkHostile(b *testing.B) {
	for _, n := range []int{64 << 10, 1 << 20} {
		for name, line := range hostile(n) {
			b.Run(name+"/"+strconv.Itoa(n>>10)+"K", func(b *testing.B) { benchmarkLine(b, line) })
		}
	}
}

// TestHostile gives each hostile line of a megabyte ten seconds. A linear parser takes a few
// hundredths of a second, any other one minutes.
func TestHostile(t *testing.T) {
	for name, line := range hostile(1 << 20) {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		start := time.Now()
		for range 2 {
			p.Parse([]byte(line), 0, &r)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: two lines of 1 MB took %v", name, took)
		}
	}
}
