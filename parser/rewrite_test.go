package parser

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// exports are formats of logs in which each line is changed, or the text before it removed, in the same way.
// program has the process id.
var exports = map[string]func(at, host, program, message string) string{
	"a table": func(at, host, program, message string) string {
		name, _, _ := strings.Cut(program, "[")
		return `"2026-11-23T` + at + `.000Z";"` + host + `";"` + name + `";"` + strings.ReplaceAll(message, `"`, `""`) + `"`
	},
	"a table with a time that is not quoted": func(at, host, program, message string) string {
		return "2026-11-23T" + at + "Z," + host + `,"` + program + ": " + strings.ReplaceAll(message, `"`, `""`) + `"`
	},
	"Fluent Bit": func(at, host, program, message string) string {
		return `[7] mail.0: [[1795427226.123456000, {}], {"log"=>"Nov 23 ` + at + " " + host + " " + program + ": " + message + `"}]`
	},
	"Fluentd": func(at, host, program, message string) string {
		text, _ := json.Marshal(message)
		name, _, _ := strings.Cut(program, "[")
		return "2026-11-23T" + at + "+00:00\tmail.info\t" + `{"host":"` + host + `","ident":"` + name + `","message":` + string(text) + "}"
	},
	"logfmt": func(at, host, program, message string) string {
		text, _ := json.Marshal("Nov 23 " + at + " " + host + " " + program + ": " + message)
		return "time=2026-11-23T" + at + "Z level=info msg=" + string(text)
	},
	"JSON after a header": func(at, host, program, message string) string {
		text, _ := json.Marshal("Nov 23 " + at + " " + host + " " + program + ": " + message)
		return "Nov 23 " + at + ` host7 fluentd[4]: {"log":` + string(text) + "}"
	},
	"a template": func(at, host, program, message string) string {
		return "2026-11-23T" + at + "Z;" + host + ";" + program + ";" + message
	},
	"typographic quotes": func(at, host, program, message string) string {
		return "\u201cNov 23 " + at + " " + host + " " + program + ": " + message + "\u201d"
	},
	"no-break spaces": func(at, host, program, message string) string {
		return strings.ReplaceAll("Nov 23 "+at+" "+host+" "+program+": "+message, " ", "\u00a0")
	},
	"tabs": func(at, host, program, message string) string {
		return "Nov 23 " + at + "\t" + host + "\t" + program + ":\t" + message
	},
	"cat -n": func(at, host, program, message string) string {
		return "     7\tNov 23 " + at + " " + host + " " + program + ": " + message
	},
	"svlogd": func(at, _, program, message string) string {
		return "2026-11-23_" + at + ".12345 " + program + ": " + message
	},
	"a web server": func(at, host, program, message string) string {
		return "[23/Nov/2026:" + at + " +0000] " + host + " " + program + ": " + message
	},
	"a bracketed one": func(at, _, program, message string) string {
		return "[2026-11-23 " + at + "] " + program + ": " + message
	},
	"short-full": func(at, host, program, message string) string {
		return "Mon 2026-11-23 " + at + " UTC " + host + " " + program + ": " + message
	},
	"UTF-16": func(at, host, program, message string) string {
		return wide("Nov 23 "+at+" "+host+" "+program+": "+message, 2, false)
	},
}

func forgetWay(p *Parser) {
	if p.lead.clear(); p.how == behindLead {
		p.how = unwrapped
	}
	p.rewriting, p.untabs, p.table.program = asWritten, false, 0
}

// TestSameWay reads logs in these formats with a parser that remembers how it read the previous line, and
// with one that does not. A log has lines of other programs, other hosts, and plain lines.
func TestSameWay(t *testing.T) {
	for name, export := range exports {
		lines := [][]byte{}
		attempts := 0
		for i, at := range []string{"09:47:06", "09:47:06", "09:47:07", "09:47:09", "09:48:01", "09:48:01", "09:47:59"} {
			lines = append(
				lines,
				[]byte(export(at, "mx1", "postfix/qmgr[7]", "4A1B2C3D4E: from=<s@x.example>, size=9, nrcpt=1 (queue active)")),
				[]byte(export(at, "mx1", "postfix/smtp[7]", wrapBare)),
				[]byte(export(at, "mx1", "postfix/smtpd[7]", "connect from x.example[192.0.2.3]")),
				[]byte(export(at, "mx1", "dovecot[7]", "imap-login: Login: user=<a@b.example>, method=PLAIN")),
				[]byte(export(at, "mx1", "nginx[7]", wrapBare)),
				[]byte(export(at, "mx1", "nginx[7]", "GET / "+wrapSyslog)),
				[]byte(export(at, "mx1", "postfix/lmtp[8]", wrapBare)),
				[]byte(export(at, "mx2", "postfix/smtp[9]", wrapBare)),
				[]byte(export(at, "mx1", "postfix/anvil[9]", "statistics: max connection rate 1/60s")),
			)
			if i%2 == 0 && name != "cat -n" { // after these, a line that begins with a blank continues another one
				lines = append(lines, []byte("Nov 23 "+at+" mx3 postfix/smtp[7]: "+wrapBare), []byte("Nov 23 "+at+" mx3 nginx: "+wrapBare))
				attempts++
			}
			attempts += 3
		}
		t.Run(name, func(t *testing.T) {
			o := Options{Location: time.UTC, Year: 2026, Modified: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
			p, without := New(nil, o), New(nil, o)
			found := 0
			for i, line := range lines {
				var got, want Result
				kind, wantKind := p.Parse(line, int64(i), &got), without.Parse(line, int64(i), &want)
				for q := without; q != nil; q = q.within {
					forgetWay(q)
				}
				if kind != wantKind || len(got.Deliveries) != len(want.Deliveries) {
					t.Fatalf("%d: %s: got %v, want %v", i, line, kind, wantKind)
				}
				for k := range got.Deliveries {
					found++
					if got.Deliveries[k] != want.Deliveries[k] {
						t.Errorf("%d: %s:\ngot  %+v\nwant %+v", i, line, got.Deliveries[k], want.Deliveries[k])
					}
				}
			}
			if found != attempts {
				t.Errorf("got %d attempts, want %d", found, attempts)
			}
		})
	}
}

// TestNumberedLines reads numbers of lines that could be years.
func TestNumberedLines(t *testing.T) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	for _, number := range []string{"   999", "  1000", "  1999", "  2025"} {
		if kind := p.Parse([]byte(number+"\tNov 23 09:47:06 mx1 postfix/smtp[7]: "+wrapBare), 0, &r); kind != Attempt || r.Time.Year() != 2026 {
			t.Errorf("%s: got %v at %v", number, kind, r.Time)
		}
	}
}

// TestStrayRow checks that a plain log is read as fast as before after a row of a table in it.
func TestStrayRow(t *testing.T) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	row := exports["a table"]("09:47:06", "mx1", "postfix/smtp", wrapBare)
	for i, line := range append([]string{row}, slices.Repeat([]string{wrapSyslog}, patience)...) {
		if kind := p.Parse([]byte(line), int64(i), &r); kind != Attempt {
			t.Errorf("%d: got %v, want an attempt", i, kind)
		}
	}
	if p.rewriting != asWritten {
		t.Errorf("got %v, want no change of the next lines", p.rewriting)
	}
}

// TestBlanked compares the replacement of no-break spaces, eight bytes at a time, with bytes.Map.
func TestBlanked(t *testing.T) {
	for _, text := range []string{
		"", "a", "\u00a0", "abcdefgh", "abcdefg\u00a0", "abcdefgh\u00a0", "\u00a0abcdefgh", "a\u00a0\u00a0b\u00a0", strings.Repeat("word\u00a0", 20), strings.Repeat("twelve words\u00a0", 9) + "x",
		"gr\u00fc\u00dfe\u00a0an\u00a0alle", "\u2003abc\u00a0d\u202fe", "\u00e2\u00a0x",
	} {
		want := strings.Map(func(r rune) rune {
			if isWideBlank(r) {
				return ' '
			}
			return r
		}, text)
		if got := string(appendBlanked(nil, []byte(text))); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
