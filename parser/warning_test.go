package parser

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// warningsOf parses a log and returns the warning of each attempt.
func warningsOf(t *testing.T, log string) (list []string) {
	t.Helper()
	p := New(nil, Options{Location: time.UTC, Year: 2026, Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)})
	var r Result
	offset := int64(0)
	for line := range strings.Lines(log) {
		if kind := p.Parse([]byte(strings.TrimSuffix(line, "\n")), offset, &r); kind == Unparsed {
			t.Errorf("not understood: %s", line)
		}
		for i := range r.Deliveries {
			list = append(list, r.Deliveries[i].Warning)
		}
		offset += int64(len(line))
	}
	return list
}

const (
	tried    = "Nov 28 14:05:09 mx1 postfix/%s: 4F2C9A0B1C: to=<jo@dest.example>, relay=%s, delay=1.2, delays=0.1/0/0.6/0.5, dsn=4.3.0, status=%s (%s)\n"
	nextTry  = "Nov 28 14:05:10 mx1 postfix/%s: 5A0B0C0D0E: to=<ed@other.example>, relay=%s, delay=1.2, delays=0.1/0/0.6/0.5, dsn=4.3.0, status=%s (%s)\n"
	refused  = "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused"
	noRelay  = "none"
	deferred = "deferred"
)

func TestWarnings(t *testing.T) {
	attempt := func(process, relay, status, text string) string {
		return fmt.Sprintf(tried, process, relay, status, text)
	}
	other := func(process, relay, status, text string) string {
		return fmt.Sprintf(nextTry, process, relay, status, text)
	}
	warns := func(at, process, text string) string {
		return "Nov 28 " + at + " mx1 postfix/" + process + ": " + text + "\n"
	}
	const unavailable, unknown = "mail transport unavailable", "unknown mail transport error"
	noQmgr := "warning: connect to transport private/amavis: Connection refused"
	exim := func(text string) string { return "2026-11-28 14:05:09 1wXyZa-000001-Ab " + text + "\n" }
	for _, test := range []struct {
		name, log string
		want      []string
	}{
		{"transport", warns("14:05:01", "qmgr[98]", noQmgr) + attempt("error[99]", noRelay, deferred, unavailable), []string{"postfix/qmgr: " + noQmgr}},
		{"transport, as long as it is left alone", warns("14:04:10", "qmgr[98]", noQmgr) + attempt("retry[99]", noRelay, deferred, unavailable), []string{"postfix/qmgr: " + noQmgr}},
		{"transport that dies", warns("14:05:08", "lmtp[97]", "fatal: open database /etc/postfix/sasl.db: No such file or directory") +
			warns("14:05:09", "master[1]", "warning: process /usr/lib/postfix/sbin/lmtp pid 97 exit status 1") +
			warns("14:05:09", "qmgr[98]", "warning: transport lmtp failure -- see a previous warning/fatal/panic logfile record for the problem description") +
			attempt("error[99]", noRelay, deferred, unknown), []string{"postfix/lmtp: fatal: open database /etc/postfix/sasl.db: No such file or directory"}},
		{
			"table", warns("14:05:08", "trivial-rewrite[97]", "warning: hash:/etc/postfix/transport is unavailable. open database /etc/postfix/transport.db: No such file or directory") +
				warns("14:05:08", "trivial-rewrite[97]", "warning: hash:/etc/postfix/transport lookup error for \"*\"") +
				attempt("retry[99]", noRelay, deferred, "address resolver failure"),
			[]string{"postfix/trivial-rewrite: warning: hash:/etc/postfix/transport is unavailable. open database /etc/postfix/transport.db: No such file or directory"},
		},
		{"filter", warns("14:05:09", "smtp[811]", "warning: smtp_connect_addr: bind 198.51.100.7: Address not available") +
			attempt("smtp[811]", noRelay, deferred, refused), []string{"postfix/smtp: warning: smtp_connect_addr: bind 198.51.100.7: Address not available"}},
		{
			"TLS policy", warns("14:05:09", "smtp[811]", "warning: TLS policy lookup error for dest.example/mx.dest.example: client TLS configuration problem") +
				attempt("smtp[811]", noRelay, deferred, "TLS policy lookup error: client TLS configuration problem"),
			[]string{"postfix/smtp: warning: TLS policy lookup error for dest.example/mx.dest.example: client TLS configuration problem"},
		},
		{
			"login", warns("14:05:09", "smtp[811]", "warning: SASL authentication failure: No worthy mechs found") +
				attempt("smtp[811]", "relay.isp.example[192.0.2.9]:587", deferred, "SASL authentication failed; server relay.isp.example[192.0.2.9] said: 535 5.7.8 no"),
			[]string{"postfix/smtp: warning: SASL authentication failure: No worthy mechs found"},
		},
		{
			"disk", warns("14:05:09", "local[811]", "warning: maildir access problem for UID/GID=1000/1000: create maildir file /srv/mail/jo/tmp/1.mx1: No space left on device") +
				attempt("local[811]", "local", deferred, "maildir delivery failed: create maildir file /srv/mail/jo/tmp/1.mx1: No space left on device"),
			[]string{"postfix/local: warning: maildir access problem for UID/GID=1000/1000: create maildir file /srv/mail/jo/tmp/1.mx1: No space left on device"},
		},
		{
			"resolver", warns("14:05:09", "smtp[811]", "warning: open /etc/resolv.conf: Permission denied") +
				attempt("smtp[811]", noRelay, deferred, "Host or domain name not found. Name service error for name=dest.example type=MX: Host not found, try again"),
			[]string{"postfix/smtp: warning: open /etc/resolv.conf: Permission denied"},
		},
		{
			"command", warns("14:05:09", "pipe[812]", "fatal: pipe_command: execvp /usr/local/bin/archive: No such file or directory") +
				attempt("pipe[811]", "archive", deferred, "Command died with status 1: \"/usr/local/bin/archive\""),
			[]string{"postfix/pipe: fatal: pipe_command: execvp /usr/local/bin/archive: No such file or directory"},
		},
		{"another process of a command", warns("14:05:09", "pipe[812]", "fatal: x") + attempt("pipe[811]", "archive", deferred, "mail system configuration error"), []string{""}},
		{
			"two recipients and the next message", warns("14:05:09", "smtp[811]", "warning: no worth") + attempt("smtp[811]", noRelay, deferred, refused) +
				attempt("smtp[811]", noRelay, deferred, refused) + other("smtp[811]", noRelay, deferred, refused) + attempt("smtp[811]", noRelay, deferred, refused),
			[]string{"postfix/smtp: warning: no worth", "postfix/smtp: warning: no worth", "", ""},
		},
		{"a delivery in between", warns("14:05:09", "smtp[811]", "warning: x") + attempt("smtp[811]", "mx[192.0.2.1]:25", "sent", "250 ok") + other("smtp[811]", noRelay, deferred, refused), []string{"", ""}},
		{
			"repeated", warns("14:05:09", "smtp[811]", "warning: x") + attempt("smtp[811]", noRelay, deferred, refused) + "Nov 28 14:05:12 mx1 last message repeated 2 times\n",
			[]string{"postfix/smtp: warning: x", "postfix/smtp: warning: x", "postfix/smtp: warning: x"},
		},
		{
			"journal", `{"__REALTIME_TIMESTAMP":"1795874709000000","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"811","MESSAGE":"warning: x"}` + "\n" +
				`{"__REALTIME_TIMESTAMP":"1795874709000000","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"811","MESSAGE":"4F2C9A0B1C: to=<jo@dest.example>, relay=none, delay=1.2, delays=0.1/0/0.6/0.5, dsn=4.3.0, status=deferred (` + refused + `)"}` + "\n",
			[]string{"postfix/smtp: warning: x"},
		},
		{
			"RFC 5424", "<20>1 2026-11-28T14:05:09Z mx1 postfix/smtp 811 - - warning: x\n" +
				"<22>1 2026-11-28T14:05:09Z mx1 postfix/smtp 811 - - 4F2C9A0B1C: to=<jo@dest.example>, relay=none, delay=1.2, delays=0.1/0/0.6/0.5, dsn=4.3.0, status=deferred (" + refused + ")\n",
			[]string{"postfix/smtp: warning: x"},
		},

		{"another process", warns("14:05:09", "smtp[812]", "warning: x") + attempt("smtp[811]", noRelay, deferred, refused), []string{""}},
		{"another process, with the same message", warns("14:05:09", "smtp[812]", "warning: x") + attempt("smtp[812]", noRelay, deferred, refused) + attempt("smtp[811]", noRelay, deferred, refused), []string{"postfix/smtp: warning: x", ""}},
		{"another host", strings.Replace(warns("14:05:09", "smtp[811]", "warning: x"), "mx1", "mx2", 1) + attempt("smtp[811]", noRelay, deferred, refused), []string{""}},
		{"another instance", strings.Replace(warns("14:05:09", "qmgr[98]", noQmgr), "postfix/", "postfix-in/", 1) + attempt("error[99]", noRelay, deferred, unavailable), []string{""}},
		{"no process id", warns("14:05:09", "smtp", "warning: x") + attempt("smtp", noRelay, deferred, refused), []string{""}},
		{"old", warns("14:03:01", "smtp[811]", "warning: x") + attempt("smtp[811]", noRelay, deferred, refused), []string{""}},
		{"old, of a transport", warns("14:03:01", "qmgr[98]", noQmgr) + attempt("error[99]", noRelay, deferred, unavailable), []string{""}},
		{"a fault of another daemon", warns("14:05:08", "local[97]", "fatal: x") + attempt("error[99]", noRelay, deferred, unavailable), []string{""}},
		{"about clients", warns("14:05:08", "smtpd[97]", "warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: x") + attempt("error[99]", noRelay, deferred, unavailable), []string{""}},
		{"a host that did not answer before", warns("14:05:08", "qmgr[97]", noQmgr) + attempt("error[99]", noRelay, deferred, "delivery temporarily suspended: connect to mx.dest.example[192.0.2.1]:25: Connection timed out"), []string{""}},
		{"the remote's own refusal", warns("14:05:09", "smtp[811]", "warning: host mx.dest.example[192.0.2.1]:25 offered null AUTH mechanism list") +
			attempt("smtp[811]", "mx.dest.example[192.0.2.1]:25", "bounced", "host mx.dest.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"), []string{""}},
		{"another process about a remote server", warns("14:05:09", "smtp[812]", "warning: non-ESMTP response from mx.evil.example[203.0.113.9]:25: 220 the disk of mx1 is full") +
			attempt("error[99]", noRelay, deferred, unknown), []string{""}},
		{"a remote server's text in a table's words", warns("14:05:09", "smtp[812]", "warning: non-ESMTP response from mx.evil.example[203.0.113.9]:25: 220 hash:/etc/aliases is unavailable. x") +
			attempt("error[99]", noRelay, deferred, unknown), []string{""}},
		{"a header that header_checks warns of", "Nov 28 14:05:09 mx1 postfix/cleanup[811]: 4F2C9A0B1C: warning: header Subject: x from local; from=<> to=<jo@dest.example>\n" + attempt("smtp[811]", noRelay, deferred, refused), []string{""}},

		{
			"Exim: TLS", exim("H=mx.dest.example [192.0.2.9]: TLS session: (SSL_connect): error:0A000152 unsafe legacy renegotiation disabled") +
				exim("== jo@dest.example R=dnslookup T=remote_smtp defer (-38) H=mx.dest.example [192.0.2.9]: failure while setting up TLS session"),
			[]string{"exim: H=mx.dest.example [192.0.2.9]: TLS session: (SSL_connect): error:0A000152 unsafe legacy renegotiation disabled"},
		},
		{
			"Exim: panic", exim("Tainted filename for search: '/etc/virtual/dest.example'") + exim("== jo@dest.example R=virtual defer (-1): failed to open file"),
			[]string{"exim: Tainted filename for search: '/etc/virtual/dest.example'"},
		},
		{
			"Exim: panic without an id", "2026-11-28 14:05:07 Failed to get write lock for /var/spool/exim/db/retry.lockfile: timed out\n" + exim("== jo@dest.example R=local T=maildir defer (28): No space left on device"),
			[]string{"exim: Failed to get write lock for /var/spool/exim/db/retry.lockfile: timed out"},
		},
		{
			"Exim: warning, by syslog", "Nov 28 14:05:09 mx1 exim[12]: Warning: no server certificate\nNov 28 14:05:09 mx1 exim[12]: 1wXyZa-000001-Ab == jo@dest.example R=local T=maildir defer (28): No space left on device\n",
			[]string{"exim: Warning: no server certificate"},
		},
		{"Exim: another message", strings.Replace(exim("failed to expand x"), "000001", "000002", 1) + exim("== jo@dest.example R=local T=maildir defer (28): No space left on device"), []string{""}},
		{"Exim: old", "2026-11-28 14:05:01 Failed to get write lock\n" + exim("== jo@dest.example R=local T=maildir defer (28): No space left on device"), []string{""}},
		{"Exim: another host's words", exim("H=mx1.dest.example [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<jo@dest.example>: 450 ]: TLS session: x") +
			exim("== jo@dest.example R=dnslookup T=remote_smtp defer (111): Connection refused"), []string{""}},
		{"Exim: a client", "2026-11-28 14:05:07 H=client.evil.example [203.0.113.9]: TLS session: the disk of mx1 is full\n" + exim("== jo@dest.example R=local T=maildir defer (28): No space left on device"), []string{""}},
		{"Exim: not tried", exim("failed to expand x") + exim("== jo@dest.example R=dnslookup T=remote_smtp defer (-53): retry time not reached for any host"), []string{""}},
	} {
		if got := warningsOf(t, test.log); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
			t.Errorf("%s: warnings %q, want %q", test.name, got, test.want)
		}
	}
}

// A warning's text is partly a stranger's: it is bounded and forges nothing.
func TestWarningBounds(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 5000), strings.Repeat("x", 1<<20), "\x1b[31m" + strings.Repeat("\xff", 400)} {
		log := "Nov 28 14:05:09 mx1 postfix/smtp[811]: warning: " + text + "\n" + fmt.Sprintf(tried, "smtp[811]", noRelay, deferred, refused)
		got := warningsOf(t, log)
		if len(got) != 1 || len(got[0]) > maxWarning+len("postfix/smtp: ") || got[0] == "" || utf8.ValidString(text) && !utf8.ValidString(got[0]) {
			t.Errorf("warning of %.20q: %q", text, got)
		}
	}
	// Only the last warnings are known, however many there are.
	var log strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&log, "Nov 28 14:05:09 mx1 postfix/smtp[%d]: warning: %d\n", 1000+i, i)
	}
	for _, pid := range []int{1999, 1984, 1983} {
		fmt.Fprintf(&log, tried, fmt.Sprintf("smtp[%d]", pid), noRelay, deferred, refused)
	}
	if got := warningsOf(t, log.String()); fmt.Sprint(got) != "[postfix/smtp: warning: 999 postfix/smtp: warning: 984 ]" {
		t.Errorf("warnings %q", got)
	}
}

// Parsers of several logs that run in turn, chunk by chunk, find the same as a parser that reads
// each log at once.
func TestWarningsInTurn(t *testing.T) {
	q := NewQueue(0)
	var r Result
	a, b := New(q, Options{Location: time.UTC, Year: 2026, Source: "a"}), New(q, Options{Location: time.UTC, Year: 2026, Source: "b"})
	attempt := fmt.Sprintf(tried, "smtp[811]", noRelay, deferred, refused)
	for i, p := range []*Parser{a, b} {
		p.Parse(fmt.Appendf(nil, "Nov 28 14:05:09 mx1 postfix/smtp[811]: warning: %d", i), 0, &r)
	}
	for i, p := range []*Parser{a, b} {
		p.Parse([]byte(strings.TrimSpace(attempt)), 100, &r)
		if want := fmt.Sprintf("postfix/smtp: warning: %d", i); len(r.Deliveries) != 1 || r.Deliveries[0].Warning != want {
			t.Errorf("%+v, want the warning %q", r.Deliveries, want)
		}
	}
}
