package parser

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// exportEntry returns an entry of the journal in the format of journalctl -o export.
func exportEntry(cursor int, program, message string) string {
	return fmt.Sprintf("__CURSOR=s=0123456789abcdef;i=%x\n__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=12345678\n_BOOT_ID=0123456789abcdef\n"+
		"PRIORITY=6\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=77\n%s\n_HOSTNAME=mx1\n_TRANSPORT=syslog\n\n",
		cursor, 1795427226123456+cursor*1_000_000, program, message)
}

// exportBytes returns a binary field.
func exportBytes(key, value string) string {
	return key + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value
}

// readExport reads a text line by line.
func readExport(text string) (attempts []bounce.Delivery, kinds [Unparsed + 1]int) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	for i, line := range strings.Split(text, "\n") {
		kind := p.Parse([]byte(line), int64(i), &r)
		kinds[kind]++
		if kind == Attempt {
			attempts = append(attempts, r.Deliveries...)
		}
	}
	return attempts, kinds
}

// TestExport reads entries with text fields and binary fields.
func TestExport(t *testing.T) {
	const bounced = "4028B460: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))"
	text := exportEntry(0, "postfix/qmgr", "MESSAGE=4028B460: from=<s@x.example>, size=5, nrcpt=1 (queue active)") +
		exportEntry(1, "postfix/smtp", "MESSAGE="+bounced) +
		exportEntry(2, "exim", "MESSAGE=1xVUtG-0005Lh-1y ** c@d.example: Unrouteable address") +
		exportEntry(3, "postfix/smtp", exportBytes("MESSAGE", strings.Replace(bounced, "no (in", "\xe4\n no (in", 1))) +
		exportEntry(4, "sshd", "MESSAGE=Invalid user x from 192.0.2.9")
	attempts, kinds := readExport(text)
	if len(attempts) != 3 || kinds[Unparsed] != 0 {
		t.Fatalf("%d attempts, kinds %v", len(attempts), kinds)
	}
	for i, d := range attempts {
		if want := time.UnixMicro(1795427226123456 + int64(i+1)*1_000_000).UTC(); !d.Time.Equal(want) || d.Host != "mx1" {
			t.Errorf("at %v on %q, want %v on mx1", d.Time, d.Host, want)
		}
		if d.Outcome != bounce.Hard {
			t.Errorf("%+v", d)
		}
	}
	if d := attempts[0]; d.Sender != "s@x.example" || d.Code != 550 {
		t.Errorf("%+v", d)
	}
	if d := attempts[2]; d.Code != 550 || d.Stage != bounce.StageRcpt {
		t.Errorf("of bytes: %+v", d)
	}
}

// TestExportForged checks that bytes of a stranger's choice never form an entry, whatever their
// content and length. Ten bytes are a special case, because their size begins with a line feed.
func TestExportForged(t *testing.T) {
	forged := exportEntry(9, "postfix/smtp", "MESSAGE=4028B460: to=<victim@b.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)")
	for _, value := range []string{
		"x\n\n" + forged, "\n\n" + forged + "\n\n" + forged, "\n", "0123456789", strings.Repeat("\n", 10), "\n" + strings.Repeat("x", maxJoined) + "\n\n" + forged,
	} {
		text := exportEntry(0, "sshd", exportBytes("MESSAGE", value)) + exportEntry(1, "postfix/smtp", "MESSAGE=4028B461: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)")
		attempts, _ := readExport(text)
		if len(attempts) != 1 || attempts[0].Recipient != "a@b.example" {
			t.Errorf("%.60q: %+v", value, attempts)
		}
	}
	// Another program's message with a stranger's text is not an entry either.
	attempts, kinds := readExport(exportEntry(0, "sshd", "MESSAGE=Invalid user 4028B460: to=<victim@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (no) from 192.0.2.9"))
	if len(attempts) != 0 || kinds[Unparsed] != 1 {
		t.Errorf("%+v, kinds %v", attempts, kinds)
	}
}

// TestExportBroken reads entries without the empty line at their end, and lines after a field that
// was cut short.
func TestExportBroken(t *testing.T) {
	entry := func(i int, to string) string {
		return exportEntry(i, "postfix/smtp", "MESSAGE=4028B461: to=<"+to+">, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)")
	}
	open := func(i int, to string) string { return strings.TrimSuffix(entry(i, to), "\n") }
	const line = "Nov 23 09:47:07 mx1 postfix/smtp[7]: 4028B462: to=<z@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no empty line between", open(0, "a@b.example") + open(1, "b@b.example") + entry(2, "c@b.example"), "a@b.example b@b.example c@b.example"},
		{"a line of another form", open(0, "a@b.example") + line + line, "a@b.example z@b.example z@b.example"},
		{"a field of bytes cut short, entries", "__CURSOR=a\nMESSAGE\n" + entry(1, "b@b.example") + entry(2, "c@b.example"), "b@b.example c@b.example"},
		{"a field of bytes cut short, lines", "__CURSOR=a\nMESSAGE\n" + line + line, "z@b.example z@b.example"},
		{"a later field cut short", open(0, "a@b.example") + "_CMDLINE\n" + line, "a@b.example z@b.example"},
	} {
		var got []string
		attempts, _ := readExport(tt.text)
		for _, d := range attempts {
			got = append(got, d.Recipient)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}
