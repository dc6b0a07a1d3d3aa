package parser

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

func forgetLead(p *Parser) {
	p.lead = lead{}
	if p.clock.forget(); p.how == behindLead {
		p.how = unwrapped
	}
}

// leads are the formats of leads, in which %s is a second, an underscore a digit of a number.
var leads = []string{
	"2026-11-23T09:47:%s.12345678_Z stdout F ", "2026-11-23T09:47:%sZ ", "postfix-1  | ", "postfix-1  | 2026-11-23T10:47:%s.5+01:00 ",
	"[pod/mail-_/postfix] 2026-11-23T09:47:%s.1Z ", "mail-_ postfix ", "2026-11-23T09:47:%s.123Z mail/postfix/3f2a7_ ", "mail.log:1_7:", "mail.log.1_:17:", "<2_>", "1_3 <22>",
	"> ", "\xef\xbb\xbf", "\"", "1795427226.1_ mail ",
}

// unled are the same for text that is no lead of the next line: two times, a time without a second,
// another program.
var unled = []string{"k_s  | ", "2026-11-23 09:47:%s mail ", "2026-11-23T09:47:%sZ 2026-11-23T09:47:%sZ ", "    1_\t"}

// led returns a line with a lead of the given format.
func led(format, inner, second string, n int) []byte {
	lead := bytes.ReplaceAll([]byte(format), []byte("_"), fmt.Append(nil, n%10))
	return bytes.ReplaceAll(append(lead, inner...), []byte("%s"), []byte(second))
}

// TestLead compares the lines of a log with and without the lead of the previous line.
func TestLead(t *testing.T) {
	for i, format := range slices.Concat(leads, unled) {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		p.Parse(led(format, "Nov 23 09:47:%s mx1 postfix/smtp[7]: "+wrapBare, "06", 1), 0, &r)
		if _, ok := p.lead.cut(led(format, "Nov 23 09:47:%s mx1 dovecot: x", "07", 1), &p.lead.clock); ok && !p.lead.empty() != (i < len(leads)) {
			t.Errorf("%q: the next line has the same lead: %v", format, ok)
		}
		for _, inner := range []string{
			"Nov 23 09:47:%s mx1 postfix/smtp[7]: " + wrapBare, "Nov 23 09:47:%s mx1 postfix/smtpd[7]: connect from x[192.0.2.1]", "Nov 23 09:47:%s mx1 dovecot: x",
			"2026-11-23T09:47:%s.7+00:00 mx1 postfix/smtp[7]: " + wrapBare, "2026-11-23 09:47:%s 1xVUtG-0005Lh-1y ** a@b.example R=r T=t: 550 no", "postfix/smtp[7]: " + wrapBare, wrapBare,
		} {
			var lines [][]byte
			for n, second := range []string{"06", "06", "07", "09", "08", "10", "10", "60", "5x", "11"} {
				lines = append(lines, led(format, inner, second, n))
			}
			sameWithout(t, forgetLead, lines...)
		}
	}
}

// TestLeadNumbers checks which numbers in a lead may differ from line to line.
func TestLeadNumbers(t *testing.T) {
	for _, tt := range []struct {
		lead, next string
		want       bool
	}{
		{"<22>", "<19>", true},
		{"<22>", "<9>", true},
		{"151 <22>", "98 <22>", true},
		{"151 <22>", " <22>", false},
		{"mail.log:118:", "mail.log:119:", true},
		{"mail.log.1:118:", "mail.log.2:118:", false},
		{"mail-0 postfix ", "mail-1 postfix ", false},
		{"k8s | ", "k9s | ", false},
		{"[7] ", "[x] ", false},
		{"7 <22>", "8 <22>", true},
	} {
		var l lead
		if got := l.learn([]byte(tt.lead+"x"), len(tt.lead), ledHeader, New(nil, Options{})); !got {
			t.Fatalf("%q: not learnt", tt.lead)
		}
		if _, got := l.cut([]byte(tt.next+"x"), &l.clock); got != tt.want {
			t.Errorf("%q after %q: got %v, want %v", tt.next, tt.lead, got, tt.want)
		}
	}
}

// FuzzLead compares the results with and without leads.
func FuzzLead(f *testing.F) {
	for i, format := range slices.Concat(leads, unled) {
		f.Add(format, "Nov 23 09:47:%s mx1 postfix/smtp[7]: "+wrapBare, i%3 == 0)
		f.Add(format, seeds[i%len(seeds)], true)
	}
	f.Fuzz(func(t *testing.T, format, inner string, back bool) {
		a, b := led(format, inner, "06", 1), led(format, inner, "17", 2)
		if back {
			a, b = b, a
		}
		sameWithout(t, forgetLead, a, b, a, b, []byte("Nov 23 09:47:17 mx1 postfix/smtpd[7]: x"), b, a)
	})
}
