package parser

import (
	"strconv"
	"testing"
	"time"
)

// TestHeader reads the same delivery under every known header.
func TestHeader(t *testing.T) {
	const msg = "4028B460: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, line    string
		host, program string
		time          string // RFC 3339; empty: none
	}{
		{"RFC 3164", "Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"RFC 3164, padded day", "Nov  3 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-03T08:47:06Z"},
		{"RFC 3164, day of one digit", "Nov 3 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-03T08:47:06Z"},
		{"RFC 3164, fraction", "Nov 23 09:47:06.746288 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06.746288Z"},
		{"RFC 3164, year first", "2013 Jun 10 06:48:17.123 mx1 postfix/smtp[31122]: " + msg, "mx1", "postfix/smtp", "2013-06-10T04:48:17.123Z"},
		{"RFC 3164, year behind the day", "Jun 10 2013 06:48:17 mx1 postfix/smtp[31122]: " + msg, "mx1", "postfix/smtp", "2013-06-10T04:48:17Z"},
		{"PRI", "<22>Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"RFC 3339", "2026-11-23T09:47:06.746288+01:00 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06.746288Z"},
		{"RFC 3339, nanoseconds and Z", "2026-11-23T09:47:06.746288123Z mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T09:47:06.746288123Z"},
		{"RFC 3339, whole seconds, west", "2026-11-23T09:47:06-05:30 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T15:17:06Z"},
		{"journalctl -o short-iso", "2026-11-23T09:47:06+0100 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"journalctl -o short-unix", "1772409601.123456 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-03-02T00:00:01.123456Z"},
		{"ISO 8601 without a zone", "2026-11-23T09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"ISO 8601 with a blank", "2026-11-23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"RFC 5424", "<22>1 2026-11-23T09:47:06.746288+01:00 mx1 postfix/smtp 20469 - - " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06.746288Z"},
		{"RFC 5424, structured data and BOM", `<22>1 2026-11-23T09:47:06Z mx1 postfix/smtp 20469 ID47 [a@32473 k="\"]" l="x"][b@32473] ` + "\xef\xbb\xbf" + msg, "mx1", "postfix/smtp", "2026-11-23T09:47:06Z"},
		{"RFC 5424, no time and no host", "<22>1 - - postfix/smtp 20469 - - " + msg, "", "postfix/smtp", ""},
		{"no process id", "Nov 23 09:47:06 mx1 postfix/smtp: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"no host", "Nov 23 09:47:06 postfix/smtp[20469]: " + msg, "", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"no host and no process id", "Nov 23 09:47:06 postfix/smtp: " + msg, "", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"no time", "mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", ""},
		{"program only", "postfix/smtp[20469]: " + msg, "", "postfix/smtp", ""},
		{"program only, no process id", "postfix/smtp: " + msg, "", "postfix/smtp", ""},
		{"message only", msg, "", "", ""},
		{"instance", "Nov 23 09:47:06 node postfix-239.58.50.50/smtp[20469]: " + msg, "node", "postfix-239.58.50.50/smtp", "2026-11-23T08:47:06Z"},
		{"service", "Nov 23 09:47:06 node postfix/polite/smtp[20469]: " + msg, "node", "postfix/polite/smtp", "2026-11-23T08:47:06Z"},
		{"docker compose", "mail-postfix-1  | Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"docker -t", "2026-11-23T08:47:06.123456789Z Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06.123456789Z"},
		{"container runtime", "2026-11-23T08:47:06.123456789Z stdout F Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06.123456789Z"},
		{"FreeBSD, syslogd -v", "Nov 23 09:47:06 <mail.info> mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"Solaris", "Nov 23 09:47:06 mx1 postfix/smtp[20469]: [ID 197553 mail.info] " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"spreadsheet", `"Nov 23 09:47:06 mx1 postfix/smtp[20469]: ` + msg + `",,,,,,`, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"CRLF", "Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg + "\r", "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"leading NUL, a hole in the file", "\x00\x00\x00Nov 23 09:47:06 mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"host with an IPv6 address", "Nov 23 09:47:06 2001:db8::1 postfix/smtp[20469]: " + msg, "2001:db8::1", "postfix/smtp", "2026-11-23T08:47:06Z"},
		{"leap second", "2016-12-31T23:59:60Z mx1 postfix/smtp[20469]: " + msg, "mx1", "postfix/smtp", "2017-01-01T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := New(nil, Options{Location: berlin, Modified: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)})
			// The second reading takes the fast path.
			for range 2 {
				var r Result
				kind := p.Parse([]byte(tt.line), 0, &r)
				if kind != Attempt {
					t.Fatalf("%v, want an attempt", kind)
				}
				d := r.Deliveries[0]
				if d.Recipient != "a@b.example" || d.QueueID != "4028B460" || d.Response != "x" {
					t.Errorf("read %+v", d)
				}
				if d.Host != tt.host || r.Program != tt.program {
					t.Errorf("host %q, program %q; want %q, %q", d.Host, r.Program, tt.host, tt.program)
				}
				got := ""
				if !d.Time.IsZero() {
					got = d.Time.Format(time.RFC3339Nano)
				}
				if got != tt.time || !r.Time.Equal(d.Time) {
					t.Errorf("time %s (%v), want %s", got, r.Time, tt.time)
				}
			}
		})
	}
}

// TestEximHeader does the same for Exim, which writes its own stamp into the message.
func TestEximHeader(t *testing.T) {
	const msg = `1xVUtG-0005Lh-1y => a@b.example R=dnslookup T=remote_smtp H=mx [192.0.2.1] C="250 x"`
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, line    string
		host, program string
		time          string
	}{
		{"mainlog", "2026-11-23 09:47:09 " + msg, "", "exim", "2026-11-23T08:47:09Z"},
		{"millisec", "2026-11-23 09:47:09.720 " + msg, "", "exim", "2026-11-23T08:47:09.72Z"},
		{"tz", "2026-11-23 09:47:09 +0200 " + msg, "", "exim", "2026-11-23T07:47:09Z"},
		{"millisec, tz, pid", "2026-11-23 09:47:09.720 -0500 [20516] " + msg, "", "exim", "2026-11-23T14:47:09.72Z"},
		{"pid", "2026-11-23 09:47:09 [20516] " + msg, "", "exim", "2026-11-23T08:47:09Z"},
		{"syslog, own stamp", "Nov 23 09:47:10 mx1 exim[20573]: 2026-11-23 09:47:09 " + msg, "mx1", "exim", "2026-11-23T08:47:09Z"},
		{"syslog, own stamp of another zone (timezone = UTC)", "Nov 23 09:47:10 mx1 exim[20573]: 2026-11-23 08:47:09 " + msg, "mx1", "exim", "2026-11-23T08:47:10Z"},
		{"syslog, own stamp of another year", "Nov 23 09:47:10 mx1 exim[20573]: 2019-11-23 09:47:09.250 " + msg, "mx1", "exim", "2019-11-23T08:47:09.25Z"},
		{"syslog, own stamp with a zone", "Nov 23 09:47:10 mx1 exim[20573]: 2026-11-23 08:47:09.500 +0000 [7] " + msg, "mx1", "exim", "2026-11-23T08:47:09.5Z"},
		{"syslog with a zone, own stamp without", "2026-11-23T08:47:10.5Z mx1 exim[20573]: 2026-11-23 09:47:09 " + msg, "mx1", "exim", "2026-11-23T08:47:10.5Z"},
		{"syslog, no own stamp", "Nov 23 09:47:10 mx1 exim4[20573]: " + msg, "mx1", "exim4", "2026-11-23T08:47:10Z"},
		{"syslog, no own stamp, pid", "Nov 23 09:47:10 mx1 exim4[20573]: [20573] " + msg, "mx1", "exim4", "2026-11-23T08:47:10Z"},
		{"syslog, the only part", "Nov 23 09:47:10 mx1 exim[20573]: [1/1] 2026-11-23 09:47:09 " + msg, "mx1", "exim", "2026-11-23T08:47:09Z"},
		{"docker compose", "exim-1  | 2026-11-23 09:47:09 " + msg, "", "exim", "2026-11-23T08:47:09Z"},
		{"message only", msg, "", "exim", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := New(nil, Options{Location: berlin, Modified: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)})
			for range 2 {
				var r Result
				kind := p.Parse([]byte(tt.line), 0, &r)
				if kind != Attempt {
					t.Fatalf("%v, want an attempt", kind)
				}
				d := r.Deliveries[0]
				if d.Recipient != "a@b.example" || d.QueueID != "1xVUtG-0005Lh-1y" || d.Response != "250 x" {
					t.Errorf("read %+v", d)
				}
				if d.Host != tt.host || r.Program != tt.program {
					t.Errorf("host %q, program %q; want %q, %q", d.Host, r.Program, tt.host, tt.program)
				}
				got := ""
				if !d.Time.IsZero() {
					got = d.Time.Format(time.RFC3339Nano)
				}
				if got != tt.time {
					t.Errorf("time %s, want %s", got, tt.time)
				}
			}
		})
	}
}

func TestDigits(t *testing.T) {
	for _, s := range []string{"", "0", "7", "12345678", "123456789", "1772409600007919000", "00000009", "1234567x", "x2345678", "123456:8", "12345678/", "1234 678", "\xb12345678", "99999999", "999999999999999999"} {
		n, ok := digits([]byte(s))
		want, err := strconv.Atoi(s)
		if s == "" {
			err = nil
		}
		if ok != (err == nil) || ok && n != want {
			t.Errorf("%q: %d %v, want %d %v", s, n, ok, want, err)
		}
	}
}
