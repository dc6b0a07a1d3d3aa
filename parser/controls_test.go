package parser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// A second delivery line that differs from wrapSyslog in every field.
const (
	wrapOther     = "Nov 23 09:47:07 mx1 postfix/smtp[8]: 4028B461: to=<c@d.example>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to d.example[192.0.2.4]:25: Connection refused)"
	wrapOtherExim = "2026-11-23 09:47:07 1xVUtH-0005Li-2z == c@d.example R=dnslookup T=remote_smtp defer (111): Connection refused"
)

// colour marks each match of a word like grep --color=always (with the defaults of GREP_COLORS).
func colour(line, word string) string {
	return strings.ReplaceAll(line, word, "\x1b[01;31m\x1b[K"+word+"\x1b[m\x1b[K")
}

// TestTerminalSequences reads lines with terminal sequences: colours within an address, links,
// titles.
func TestTerminalSequences(t *testing.T) {
	for _, tt := range []struct{ name, line string }{
		{"grep --color, the address", colour(wrapSyslog, "a@b.example")},
		{"grep --color, some of it", colour(wrapSyslog, "b.ex")},
		{"grep --color, the queue id", colour(wrapSyslog, "4028B460")},
		{"grep --color, each letter", colour(wrapSyslog, "e")},
		{"grep --color, Exim", colour(wrapExim, "b.example")},
		{"a reset that xterm is told", strings.ReplaceAll(colour(wrapSyslog, "b.ex"), "\x1b[m", "\x1b(B\x1b[m")},
		{"24-bit colours", strings.ReplaceAll(colour(wrapSyslog, "a@b"), "\x1b[01;31m", "\x1b[38:2:255:0:0m")},
		{"a link", strings.ReplaceAll(wrapSyslog, "a@b.example>,", "\x1b]8;;mailto:a@b.example\x1b\\a@b.example\x1b]8;;\x07>,")},
		{"a title, from script(1)", "\x1b]0;root@mx1: ~\x07\x1b[?2004l" + wrapSyslog + "\x1b[?2004h"},
		{"the cursor", "\x1b[2K\x1b[1G" + wrapSyslog + "\x1b[0K"},
		{"within JSON", `{"log":"` + strings.ReplaceAll(strings.ReplaceAll(colour(wrapSyslog, "b.ex"), `"`, `\"`), "\x1b", `\u001b`) + `"}`},
	} {
		kind, r := parseLines(t, tt.line)
		if kind != Attempt || r.Deliveries[0].Recipient != "a@b.example" || r.Deliveries[0].Code != 550 {
			t.Errorf("%s: %v %+v", tt.name, kind, r.Deliveries)
		}
	}
}

// TestForgedSequences lets a stranger choose a recipient with terminal sequences, without which the
// address names another mailbox. Exim shows them unchanged; only a quoted local part may hold them
// (RFC 5322 section 3.2.3: an atom has no control characters).
func TestForgedSequences(t *testing.T) {
	for _, seq := range []string{"\x1b[m", "\x1b[01;31m\x1b[K", "\x1b]0;x\x07", "\x1b]8;;\x1b\\", "\x1b(B", "\x1b", "\x1b[", "\x1b[<m", "\x1b[\"m", "\x1b]\"@x\x07", "\x1b[31", "\x1bc"} {
		for _, local := range []string{`"vic` + seq + `tim"`, `vic\` + strings.Join(strings.Split(seq, ""), `\`) + `tim`, `"victim` + seq + `"`, `"victim@bigmail.test: no` + seq + `"`} {
			for _, flag := range []string{"**", "=>"} {
				for _, bare := range []bool{false, true} {
					tail := ": 550 no"
					if flag == "=>" {
						tail = ` R=r T=t H=mx [192.0.2.1] C="250 OK"`
					}
					line := "2026-11-23 09:47:06 1xVUtG-0005Lh-1y " + flag + " " + eximShows(local+"@bigmail.test", bare) + tail
					kind, r := parseLines(t, line)
					if kind == Attempt && strings.TrimSuffix(meaning(r.Deliveries[0].Recipient), "\x00bigmail.test") == "victim" {
						t.Errorf("%q: %q", line, r.Deliveries[0].Recipient)
					}
				}
			}
		}
	}
}

// TestForgedBackspaces lets a stranger's text strike over the text before it: the quotes of an
// address in Exim's log, or the name of his own program.
func TestForgedBackspaces(t *testing.T) {
	for _, back := range []string{"\b", "\b ", "\b\b ", "x\b\b ", "_\b", "_\b_\b ", " \b ", "\b\b\b\b\b\b\b\b\b\b\b\b"} {
		for _, bare := range []bool{false, true} {
			line := "2026-11-23 09:47:06 1xVUtG-0005Lh-1y ** " + eximShows(`"`+back+`victim@bigmail.test: no"@evil.test`, bare) + " R=r T=t: SMTP error: 550 no"
			if kind, r := parseLines(t, line); kind == Attempt && strings.Contains(meaning(r.Deliveries[0].Recipient), "\x00bigmail.test") {
				t.Errorf("%q: %q", line, r.Deliveries[0].Recipient)
			}
		}
		for _, line := range []string{"Nov 23 09:47:06 mx1 form[3]: " + back + "postfix/smtp[7]: " + wrapBare, "form: " + back + wrapSyslog} {
			if kind, r := parseLines(t, line); kind == Attempt {
				t.Errorf("%q: %+v", line, r.Deliveries)
			}
		}
	}
}

// TestLinesWithin reads lines whose line feed was lost or became another character: on old Macs, in
// a terminal, in a file with a hole. Postfix prints no control characters (msg_text in
// msg_output.c), so they come from the transport.
func TestLinesWithin(t *testing.T) {
	quoted := func(s string) string { return strings.ReplaceAll(s, `"`, `\"`) }
	for _, sep := range []string{"\r", "\v", "\f", "\r\r", "\x00\x00\x00\x00\x00", "\r\v\r"} {
		for name, line := range map[string]string{
			"plain":      wrapSyslog + sep + wrapOther,
			"coloured":   colour(wrapSyslog, "b.ex") + sep + colour(wrapOther, "c@d"),
			"with a tag": "mail  | " + wrapSyslog + sep + "mail  | " + wrapOther,
			"ends":       sep + wrapSyslog + sep + wrapOther + sep,
			"between":    "Nov 23 09:47:06 mx1 postfix/qmgr[9]: 4028B460: from=<s@x.example>, size=9, nrcpt=1 (queue active)" + sep + wrapSyslog + sep + "Nov 23 09:47:07 mx1 postfix/qmgr[9]: 4028B460: removed" + sep + wrapOther,
		} {
			kind, r := parseLines(t, line)
			if kind != Attempt || len(r.Deliveries) != 2 || r.Deliveries[0].Recipient != "a@b.example" || r.Deliveries[1].Recipient != "c@d.example" ||
				r.Deliveries[0].Outcome != bounce.Hard || r.Deliveries[1].Outcome != bounce.Soft || r.Deliveries[0].Offset == r.Deliveries[1].Offset {
				t.Errorf("%s, %q: %v %+v", name, sep, kind, r.Deliveries)
			} else if name == "between" && (r.Deliveries[0].Sender != "s@x.example" || r.Deliveries[1].SenderKnown) {
				t.Errorf("%s, %q: %+v", name, sep, r.Deliveries)
			}
		}
	}
	removed := strings.Replace(wrapOther, wrapOther[strings.Index(wrapOther, "smtp["):], "postsuper[9]: 4028B460: removed", 1)
	kind, r := parseLines(t, wrapSyslog+"\r"+removed)
	if kind != Attempt || len(r.Deliveries) != 1 || r.End.Event != bounce.MessageRemoved {
		t.Errorf("an end: %v %+v %+v", kind, r.Deliveries, r.End)
	}
	if kind, r = parseLines(t, removed+"\r"+strings.ReplaceAll(removed, "B460", "B461")); kind != Unparsed || r.End.Event != "" {
		t.Errorf("two ends: %v %+v", kind, r.End)
	}
	// In JSON the character may be part of a reply, if the writer of the object does not escape
	// backslashes.
	for _, line := range []string{`{"log":"%s"}`, `time=2026-11-23T09:47:06Z msg="%s"`, `{"program":"postfix/smtp","message":"%s"}`} {
		for _, first := range []string{quoted(wrapSyslog), "Nov 23 09:47:06 mx1 postfix/cleanup[9]: 4028B460: message-id=<a", "Nov 23 09:47:06 mx1 sshd[9]: x"} {
			for _, sep := range []string{`\n`, `\r`, `\u000a`, `\f`, `\u0000`} {
				if kind, r = parseLines(t, strings.Replace(line, "%s", first+sep+quoted(wrapOther), 1)); kind != Unparsed {
					t.Errorf("%s behind %s: %v %+v", sep, first, kind, r.Deliveries)
				}
			}
		}
	}
}

// TestFrames reads a stream of messages with octet counts (RFC 6587 section 3.4.1) and without line
// feeds.
func TestFrames(t *testing.T) {
	frame := func(s string) string { return fmt.Sprintf("%d <22>%s", len(s)+4, s) }
	kind, r := parseLines(t, frame(wrapSyslog)+frame("Nov 23 09:47:06 mx1 postfix/qmgr[9]: 4028B460: removed")+frame(wrapOther))
	if kind != Attempt || len(r.Deliveries) != 2 || r.Deliveries[0].Recipient != "a@b.example" || !strings.HasSuffix(r.Deliveries[0].Response, "no such user") && r.Deliveries[0].Code != 550 || r.Deliveries[1].Recipient != "c@d.example" {
		t.Errorf("%v %+v", kind, r.Deliveries)
	}
	// A stream that is cut short is not a stream; the text after its last whole message is counted.
	if kind, r = parseLines(t, frame(wrapSyslog)+frame(wrapOther)[:150]); kind != Attempt && kind != Unparsed || len(r.Deliveries) > 0 && r.Deliveries[0].Recipient != "a@b.example" {
		t.Errorf("cut short: %v %+v", kind, r.Deliveries)
	}
	// Text that a stranger wrote into a message is not another message, whatever count precedes it.
	kind, r = parseLines(t, frame("Nov 23 09:47:06 mx1 sshd[9]: Invalid user x "+frame(wrapOther)))
	if kind != Unparsed {
		t.Errorf("forged: %v %+v", kind, r.Deliveries)
	}
}

// TestMisread reads lines in UTF-8 from a file in UTF-16 with a byte order mark.
func TestMisread(t *testing.T) {
	for _, big := range []bool{false, true} {
		var b strings.Builder
		text := wrapSyslog + "\n" + wrapOther + "\n\n"
		for i := 0; i+1 < len(text); i += 2 {
			one, two := rune(text[i]), rune(text[i+1])
			if big {
				b.WriteRune(one<<8 | two)
			} else {
				b.WriteRune(two<<8 | one)
			}
		}
		if kind, r := parseLines(t, b.String()); kind != Attempt || len(r.Deliveries) != 2 {
			t.Errorf("big endian %v: %v %+v", big, kind, r.Deliveries)
		}
	}
}

// TestForgedLinesWithin lets strangers put these characters into a line: into a recipient, which
// Exim shows unchanged, and into a user name, which another program logs. No delivery is made of
// such text; a line that holds one is not understood.
func TestForgedLinesWithin(t *testing.T) {
	for _, sep := range []string{"\r", "\v", "\f", "\x00", "\r\x00\r"} {
		for _, forged := range []string{wrapOther, wrapOtherExim, wrapOther[len("Nov 23 09:47:07 "):], `mail | ` + wrapOther} {
			for name, line := range map[string]string{
				"a recipient":    "2026-11-23 09:47:06 1xVUtG-0005Lh-1y ** x R=r T=t: no" + sep + forged + `@evil.test <"x R=r T=t: no` + sep + forged + `"@evil.test>: 550 no`,
				"closed quotes":  `2026-11-23 09:47:06 1xVUtG-0005Lh-1y ** x R=r T=t: "no"` + sep + forged + `@evil.test <"x R=r T=t: \"no\"` + sep + forged + `"@evil.test>: 550 no`,
				"another's user": "Nov 23 09:47:06 mx1 sshd[9]: Invalid user x" + sep + forged + " from 192.0.2.9 port 22",
				"another's JSON": `{"SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"mx1","__REALTIME_TIMESTAMP":"1795427226123456","MESSAGE":"x` + strings.NewReplacer("\r", `\r`, "\v", `\u000b`, "\f", `\f`, "\x00", `\u0000`).Replace(sep) + strings.ReplaceAll(forged, `"`, `\"`) + `"}`,
				"an own agent":   "Nov 23 09:47:06 mx1 postfix/my-agent[9]: note x" + sep + forged,
				"no header":      "x" + sep + forged,
			} {
				kind, r := parseLines(t, line)
				if kind != Unparsed {
					for _, d := range r.Deliveries {
						if d.Recipient == "c@d.example" {
							t.Errorf("%s, %q: %v %+v", name, line, kind, d)
						}
					}
					if kind != Attempt {
						t.Errorf("%s, %q: %v, want it not understood", name, line, kind)
					}
				}
			}
		}
	}
}

// wide writes each character in n bytes, like UTF-16 and UTF-32 for Latin letters.
func wide(s string, n int, big bool) string {
	var b strings.Builder
	for _, c := range s {
		pad := strings.Repeat("\x00", n-1)
		if big {
			b.WriteString(pad + string([]byte{byte(c)}))
		} else {
			b.WriteString(string([]byte{byte(c)}) + pad)
		}
	}
	return b.String()
}

// TestWide reads lines in UTF-16 and UTF-32 without a byte order mark, among lines in UTF-8.
func TestWide(t *testing.T) {
	for _, n := range []int{2, 4} {
		for _, big := range []bool{false, true} {
			for _, mark := range []string{"", "\ufeff"} {
				if mark != "" && big {
					mark = strings.Repeat("\x00", n-2) + "\xfe\xff"
				} else if mark != "" {
					mark = "\xff\xfe" + strings.Repeat("\x00", n-2)
				}
				text := wrapExim + "\n" + mark + wide(wrapSyslog+"\r\n"+strings.Replace(wrapExim, "no such user", "unbekannt f\u00fcr uns", 1)+"\n\n"+wrapOther+"\n", n, big) + wrapOther
				p := New(nil, Options{Location: time.UTC, Year: 2026})
				var r Result
				var got []string
				for i, line := range strings.Split(text, "\n") {
					kind := p.Parse([]byte(line), int64(i), &r)
					switch kind {
					case Attempt:
						got = append(got, r.Deliveries[0].Recipient)
						if i == 2 && r.Deliveries[0].Response != "550 5.1.1 unbekannt für uns" {
							t.Errorf("%d bytes: response %q", n, r.Deliveries[0].Response)
						}
					case Blank:
					default:
						t.Errorf("%d bytes, big endian %v: %v: %q", n, big, kind, line)
					}
				}
				if want := "a@b.example a@b.example a@b.example c@d.example c@d.example"; strings.Join(got, " ") != want {
					t.Errorf("%d bytes, big endian %v: %v", n, big, got)
				}
			}
		}
	}
	// Other widths are counted but not read.
	if kind, _ := parseLines(t, wide(wrapSyslog, 3, false)); kind != Unparsed {
		t.Errorf("three bytes: %v", kind)
	}
	if kind, _ := parseLines(t, wide(wrapSyslog[:60], 2, false)+wrapSyslog[60:]); kind != Unparsed {
		t.Errorf("some of it: %v", kind)
	}
}
