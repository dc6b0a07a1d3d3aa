package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeSMTP takes one message and hands over what was said.
func fakeSMTP(t *testing.T) (address string, said chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	said = make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		var all strings.Builder
		in := bufio.NewScanner(c)
		in.Buffer(nil, 1<<20)
		answer := func(s string) { c.Write([]byte(s + "\r\n")) }
		answer("220 test ESMTP")
		data := false
		for in.Scan() {
			line := in.Text()
			all.WriteString(line + "\n")
			switch {
			case data && line == ".":
				data = false
				answer("250 taken")
			case data:
			case strings.HasPrefix(line, "EHLO"):
				answer("250 test")
			case line == "DATA":
				data = true
				answer("354 go on")
			case line == "QUIT":
				answer("221 bye")
				said <- all.String()
				return
			default:
				answer("250 ok")
			}
		}
		said <- all.String()
	}()
	return l.Addr().String(), said
}

// The report goes to an SMTP server where one is named, and what a log holds
// stays out of its headers.
func TestMailBySMTP(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	line := "Nov 23 10:00:02 mx1 postfix/smtp[104]: 4A1B2C3D4E: to=<a@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, " +
		"status=bounced (host mx.good.example[192.0.2.20] said: 550 5.1.1 no\\r\\nBcc: evil@example.com\r\nBcc: evil@example.com)\n"
	if err := os.WriteFile(log, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	address, said := fakeSMTP(t)
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), []string{
		"report", "--year", "2026", "--tz", "UTC", "--mail-to", "one@shop.example,two@shop.example",
		"--mail-from", "report@shop.example", "--smtp", address, log,
	}, strings.NewReader(""), &stdout, &stderr)
	if status != 0 || stdout.Len() > 0 {
		t.Fatalf("status %d, stdout %q, stderr %s", status, &stdout, &stderr)
	}
	var session string
	select {
	case session = <-said:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was sent")
	}
	for _, want := range []string{"MAIL FROM:<report@shop.example>", "RCPT TO:<one@shop.example>", "RCPT TO:<two@shop.example>"} {
		if !strings.Contains(session, want) {
			t.Errorf("%q was not said:\n%.2000s", want, session)
		}
	}
	if strings.Contains(session, "RCPT TO:<evil") {
		t.Error("a log chose a recipient")
	}
	_, body, _ := strings.Cut(session, "DATA\n")
	m, err := mail.ReadMessage(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Bcc") != "" || !strings.Contains(m.Header.Get("Subject"), "1 hard") {
		t.Errorf("header: %v", m.Header)
	}
	for _, l := range strings.Split(body, "\n") {
		if len(l) > 998 { // RFC 5322 2.1.1
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

// A server that is not there is named, and the status is that of a failure.
func TestMailNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), []string{"report", "--mail-to", "a@shop.example", "--mail-from", "b@shop.example", "--smtp", address, log}, strings.NewReader(""), &stdout, &stderr)
	if status != exitFailed || !strings.Contains(stderr.String(), "the report was not sent: ") {
		t.Errorf("status %d, %s", status, &stderr)
	}
}

// A bare name is a user of this machine; what could mean more, to sendmail or in a
// header, is no address.
func TestParseAddresses(t *testing.T) {
	for in, want := range map[string][]string{
		"root":                    {"root"},
		"j.r_d+x-1":               {"j.r_d+x-1"},
		"root, ops , 1":           {"root", "ops", "1"},
		"root,a@shop.example":     {"root", "<a@shop.example>"},
		"a@b.example,c@d.example": {"<a@b.example>", "<c@d.example>"},
		`"A, B" <a@b.example>`:    {`"A, B" <a@b.example>`},
		strings.Repeat("a", 64):   {strings.Repeat("a", 64)},
	} {
		got, err := parseAddresses(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", " ", ",", "root,", ",root", "root,,ops", "-oQ/tmp", "-root", "root,-t", "|/bin/sh", "/var/spool/x", ":include:/etc/passwd", "root;id", "$(id)", "`id`",
		"root\tx", "root x", `"root"`, "root@", "@", "@x.example", "r%x", "r!x", "r=x", "r/x", "\u00fcser", "fran\u212a", "root\n", "root\nBcc: x@y.example", "root\r\nBcc: x", "root\x00",
		"\nroot", "a@b.example\r\nBcc: c@d.example", "root\u0085", "root\u2028x", strings.Repeat("a", 65), "root <", "<root>", "root (x)", "Bcc: root",
	} {
		if got, err := parseAddresses(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, s := range []string{"root", "root, a@b.example", "-t", "root\nBcc: x", `"A" <a@b.example>`, "=?utf-8?q?=0d=0aBcc:?= <a@b.example>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseAddresses(s)
		if err != nil {
			return
		}
		for _, a := range list {
			if a == "" || a[0] == '-' || strings.ContainsAny(a, "\r\n\x00") {
				t.Errorf("%q holds %q", s, a)
			}
			if again, err := parseAddresses(a); err != nil || len(again) != 1 || again[0] != a {
				t.Errorf("%q holds %q, which is %q, %v", s, a, again, err)
			}
		}
	})
}
