package parser

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// wrap breaks a line at a width: between words, or anywhere.
func wrap(line string, width int, words bool) (lines []string) {
	for len(line) > width {
		at := width
		if words {
			at = strings.LastIndexByte(line[:width+1], ' ')
		}
		lines = append(lines, line[:at])
		if line = line[at:]; words {
			line = line[1:]
		}
	}
	return append(lines, line)
}

// TestPaste reads lines that a mail program or a terminal has broken at its width.
func TestPaste(t *testing.T) {
	const other = "Nov 23 09:47:08 mx1 postfix/smtp[8]: 4028B461: to=<o@b.example>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (later)"
	const defer2 = "2026-11-23 09:47:06 1xVUtG-0005Lh-1y == a@b.example R=dnslookup T=remote_smtp defer (110): Connection timed out"
	for _, width := range []int{60, 66, 72, 78, 80, 90} {
		for _, words := range []bool{true, false} {
			for _, marks := range []string{"", "> ", "    "} {
				name := fmt.Sprintf("%d, words %v, %q", width, words, marks)
				p := New(nil, Options{Location: time.UTC, Year: 2026})
				var r Result
				var got []string
				n, unparsed := 0, 0
				take := func(kind Kind) {
					if kind == Unparsed {
						unparsed++
					}
					for _, d := range r.Deliveries {
						got = append(got, fmt.Sprint(d.Recipient, " ", d.Outcome))
						if d.Recipient == "a@b.example" && d.MTA == "postfix" && words && d.Response != "550 5.1.1 <a@b.example>: no such user" {
							t.Errorf("%s: %q", name, d.Response)
						}
					}
				}
				for _, line := range []string{wrapSyslog, other, wrapSyslog} {
					for _, piece := range wrap(line, width, words) {
						take(p.Parse([]byte(marks+piece), int64(1000*n), &r))
						n++
					}
				}
				for {
					kind, _, ok := p.End(int64(1000*n), &r)
					if !ok {
						break
					}
					take(kind)
				}
				want := "a@b.example hard, o@b.example soft, a@b.example hard"
				if strings.Join(got, ", ") != want || unparsed != 0 {
					t.Errorf("%s: %q, %d not understood", name, got, unparsed)
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		lines []string
		kinds []Kind
	}{
		{"a header follows", []string{wrapSyslog[:70], other, "x"}, []Kind{Queued, Attempt, Unparsed}},
		{"nothing follows", []string{wrapSyslog[:70], "", ""}, []Kind{Queued, Unparsed, Blank}},
		{"other words", []string{wrapSyslog[:70], "hello there", "x", other, "x"}, []Kind{Queued, Queued, Queued, Attempt, Unparsed}},
		{"two", []string{wrapSyslog[:70], wrapSyslog[:70], wrapSyslog[70:]}, []Kind{Queued, Queued, Attempt}},
		{"Exim", []string{defer2[:39], defer2[40:80], defer2[81:], wrapExim, "x"}, []Kind{Queued, Queued, Queued, Attempt, Skipped}},
		{"a longer line than a width", []string{strings.Replace(wrapSyslog, "a@b", strings.Repeat("a", 250)+"@b", 1)[:300], "b.example>, relay=none, delay=1, status=sent (x)"}, []Kind{Unparsed, Skipped}},
		{"an address with blanks", []string{`Nov 23 09:47:06 mx1 postfix/smtp[7]: 4028B460: to=<"a b`, `c"@b.example>, relay=none, delay=1, dsn=2.0.0, status=sent (x)`}, []Kind{Queued, Unparsed}},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, line := range tt.lines {
			if kind := p.Parse([]byte(line), int64(1000*i), &r); kind != tt.kinds[i] {
				t.Errorf("%s: line %d: %v, want %v", tt.name, i, kind, tt.kinds[i])
			}
		}
	}
}

// TestPasteWidths breaks lines at every width: the pieces never form another recipient, and no
// delivery vanishes.
func TestPasteWidths(t *testing.T) {
	lines := []string{
		"Nov 23 09:47:05 mx1 postfix/qmgr[6]: 4028B460: from=<s@shop.example>, size=1234, nrcpt=1 (queue active)",
		wrapSyslog,
		"2026-11-23 09:47:06 1xVUtG-0005Lh-1y == a@b.example R=dnslookup T=remote_smtp defer (110): Connection timed out",
		"2026-11-23 09:47:07 1xVUtG-0005Lh-1z => carla <carla+news@mail.example> R=local_user T=maildir_home",
		"2026-11-23 09:47:08 1xVUtG-0005Lh-20 ** dora@c.example <list@mail.example> R=dnslookup T=remote_smtp: all hosts have been failing",
		"2026-11-23 09:47:09 1xVUtG-0005Lh-20 Completed",
	}
	want := map[string]bool{"a@b.example": true, "carla+news@mail.example": true, "dora@c.example": true}
	for width := 52; width < 140; width++ {
		for _, words := range []bool{true, false} {
			p := New(nil, Options{Location: time.UTC, Year: 2026})
			var r Result
			attempts, unparsed := 0, 0
			take := func(kind Kind) {
				if kind == Unparsed {
					unparsed++
					if strings.Contains(string(r.Text), "qmgr") {
						t.Errorf("%d, words %v: not understood: %q", width, words, r.Text)
					}
				}
				for _, d := range r.Deliveries {
					if attempts++; !want[d.Recipient] || d.SenderKnown && d.Sender != "s@shop.example" {
						t.Errorf("%d, words %v: %s from %q", width, words, d.Recipient, d.Sender)
					}
				}
			}
			n := 0
			for _, line := range lines {
				for _, piece := range wrap(line, width, words) {
					take(p.Parse([]byte(piece), int64(1000*n), &r))
					n++
				}
			}
			for {
				kind, _, ok := p.End(int64(1000*n), &r)
				if !ok {
					break
				}
				take(kind)
			}
			if attempts+unparsed < 4 || words && unparsed > 0 {
				t.Errorf("%d, words %v: %d attempts, %d not understood", width, words, attempts, unparsed)
			}
		}
	}
}

// TestBrokenAnywhere breaks lines at every width, within words and between them, with and without
// an indent, the marks of editors, shells and boxes, and blank lines. A delivery is read or counted as
// not understood, wherever its line is broken, and has no other recipient.
func TestBrokenAnywhere(t *testing.T) {
	const (
		delivery = "4A1B2C3D4E: to=<someone@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.46, delays=0.02/0.31/0.09/0.04, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))"
		failure  = "1xVUtG-0005Lh-1y ** someone@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<someone@example.com>: 550 5.1.1 User unknown"
		other    = "Nov 23 09:47:00 mail.example.org postfix/anvil[1]: statistics: max"
	)
	for _, line := range []string{
		delivery, "Nov 23 09:47:06 mail.example.org postfix/smtp[20467]: " + delivery,
		"2026-11-23T09:47:06.123456+01:00 mail postfix/submission/smtp[20467]: " + delivery,
		"2026-11-23T09:47:06+01:00 [1:mail1:postfix/lmtp] " + delivery, "postfix-mailcow-1  | Nov 23 09:47:06 mail postfix/smtp[20467]: " + delivery,
		"2026-11-23 09:47:06 " + failure, "Nov 23 09:47:06 mail.example.org exim[20467]: 2026-11-23 09:47:06 " + failure,
	} {
		for width := 40; width < 140; width++ {
			for _, way := range []struct {
				words, blank bool
				indent, end  string
			}{
				{},
				{words: true},
				{words: true, indent: "    "},
				{indent: "  "},
				{blank: true},
				{words: true, blank: true},
				{end: "\\"},
				{end: "="},
				{indent: "\u21aa "},
				{indent: "-> "},
				{indent: "... "},
				{indent: ">"},
				{indent: "\u2502 ", end: " \u2502"},
				{words: true, indent: "\u00a0\u00a0"},
				{end: "\r"},
			} {
				lines := []string{other}
				rest := line
				for len(rest) > width {
					at := width
					if i := strings.LastIndexByte(rest[:width+1], ' '); way.words && i > len(way.indent) {
						at = i
					}
					lines, rest = append(lines, rest[:at]+way.end), rest[at:]
					if way.blank {
						lines = append(lines, "")
					}
					if way.words {
						rest = strings.TrimPrefix(rest, " ")
					}
					rest = way.indent + rest
				}
				lines = append(lines, rest, other)
				p := New(nil, Options{Location: time.UTC, Year: 2026})
				var r Result
				found := 0
				count := func(kind Kind) {
					if kind == Attempt || kind == Unparsed {
						found++
					}
					for _, d := range r.Deliveries {
						if d.Recipient != "someone@example.com" {
							t.Errorf("%v, width %d: recipient %q:\n%s", way, width, d.Recipient, strings.Join(lines, "\n"))
						}
					}
				}
				for i, l := range lines {
					count(p.Parse([]byte(l), int64(i), &r))
				}
				for {
					kind, _, ok := p.End(int64(len(lines)), &r)
					if !ok {
						break
					}
					count(kind)
				}
				if found == 0 {
					t.Errorf("%v, width %d: the delivery vanishes:\n%s", way, width, strings.Join(lines, "\n"))
				}
			}
		}
	}
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	for i, l := range []string{other, "the field to=<recipient> and", "the field dsn=5.1.1 of a line with", other, "status=bounced", "in the list: 1xVUtG-0005Lh-1y", "and * as well"} {
		if kind := p.Parse([]byte(l), int64(i), &r); kind != Skipped {
			t.Errorf("%s: got %v, want %v", l, kind, Skipped)
		}
	}
}
