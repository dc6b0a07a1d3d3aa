package parser

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// A stampForm is a format of time stamps.
type stampForm uint8

const (
	stampNone    stampForm = iota
	stampRFC3164           // Nov 23 09:47:06, also with a fraction and with a year before or after the day
	stampISO               // 2026-11-23T09:47:06.746288+01:00 (RFC 3339, RFC 5424), also with a blank for the T
	stampExim              // 2026-11-23 09:47:06[.746][ +0100], the format of Exim
	stampUnix              // 1772409601.123456, also in seconds or milliseconds
	stampTAI64N            // @4000000067f3a1c02d9b1c5c (multilog)
	stampDay               // 23-10-2026 15:12:21, 10/23/2026, 3:12:21 PM
)

// A header is the part of a line before the MTA's message. The slices point into the line.
type header struct {
	form    stampForm
	stamp   []byte
	host    []byte
	program []byte // without the process id
	pid     []byte // of Postfix's programs; empty if the line has none
	message []byte

	id, rest  []byte // Exim's message id and the text after it, if the message begins with an id
	tail      int    // length of the line from the stamp on
	fields    bool   // the header is one of RFC 5424
	plain     bool   // the lines of a log have the stamp at this place: see clock.again
	container []byte // the prefix before the stamp, in the format of docker compose

	farForm  stampForm // of a stamp with a zone that precedes the stamp
	farStamp []byte
}

// A stamp holds the parts of a time stamp.
type stamp struct {
	unix       bool // sec is the Unix time
	year       int  // 0: missing
	month, day int
	other      int // the month of the same name in another language, or 0
	hour, min  int
	sec        int64
	nsec       int32
	zoned      bool
	offset     int       // seconds east of UTC
	name       *zoneName // the zone's name, if the stamp has one: see clock.zoneNamed

	second, fractionLen int // index of the end of the second in the text; length of the fraction
}

// splitHeader splits a line into its header and the message. It accepts, in any sensible order and
// number, the PRI part of syslog, stamps, and the prefixes of container tools. A line without a
// header is all message.
func splitHeader(line []byte, h *header) {
	*h = header{message: line}
	rest := line
	if len(rest) > 1 && rest[0] == '"' {
		rest = rest[1:]
	}
	for range 4 {
		rest = bytes.TrimLeft(rest, " \t")
		if i := octetCount(rest); i > 0 {
			rest = rest[i:]
		}
		if i := pri(rest); i > 0 {
			rest = rest[i:]
			if len(rest) > 2 && isDigit(rest[0]) && rest[1] == ' ' {
				if h.rfc5424(rest[2:]) {
					return
				}
			}
		}
		form, n := scanStamp(rest)
		if n == 0 {
			i := containerPrefix(rest)
			if i == 0 || h.form != stampNone {
				break
			}
			if h.container == nil {
				h.container = rest[:i]
			}
			rest = rest[i:]
			continue
		}
		h.tail = len(rest)
		if h.form != stampNone && zoned(h.form, h.stamp) {
			h.farForm, h.farStamp = h.form, h.stamp
		}
		h.form, h.stamp = form, rest[:n]
		rest = bytes.TrimLeft(rest[n:], " \t")
		if i := criPrefix(rest); i > 0 {
			rest = rest[i:]
			continue
		}
		if form == stampExim {
			if h.exim(rest) {
				return
			}
			if _, m := scanStamp(rest); m == 0 {
				h.hostProgram(rest)
				return
			}
		}
	}
	if h.form != stampNone {
		h.hostProgram(rest)
		return
	}
	h.stampless(rest)
}

// stampless reads a line without a time: the message alone, or with a program, or with a host and a
// program before it.
func (h *header) stampless(rest []byte) {
	h.message = rest
	tok := rest
	if i := bytes.IndexByte(rest, ' '); i >= 0 {
		tok = rest[:i]
	}
	if isProgramToken(tok) {
		h.hostProgram(rest)
		return
	}
	if len(tok) < len(rest) && !bytes.HasSuffix(tok, []byte(":")) {
		next := rest[len(tok)+1:]
		if i := bytes.IndexByte(next, ' '); i >= 0 && isProgramToken(next[:i]) && !bytes.ContainsAny(tok, "\"'=(){}<>[]") && !holdsClock(tok) {
			h.hostProgram(rest)
		}
	}
}

// isProgramToken reports whether tok is "program[pid]:" or "postfix/program:".
func isProgramToken(tok []byte) bool {
	if n := len(tok); n < 2 || tok[n-1] != ':' {
		return false
	}
	tok = tok[:len(tok)-1]
	if i := bytes.IndexByte(tok, '['); i > 0 {
		return tok[len(tok)-1] == ']' && allDigits(tok[i+1:len(tok)-1])
	}
	i := bytes.LastIndexByte(tok, '/')
	return i > 0 && postfixDaemon(string(tok[i+1:])) != notPostfix
}

// hostProgram reads "host program[pid]: message"; the host, the pid or both may be missing. It
// returns false if there is no program; everything after the host is then the message.
func (h *header) hostProgram(rest []byte) bool {
	// FreeBSD's syslogd -v writes <facility.level> before or after the host.
	rest = levelTag(rest)
	h.host = nil
	i := bytes.IndexByte(rest, ' ')
	if i < 0 {
		i = len(rest)
	}
	if bytes.IndexByte(rest[:i], '"') >= 0 { // JSON without a blank
		h.id, h.program, h.message = nil, nil, rest
		return false
	}
	if i > 0 && rest[i-1] != ':' {
		if h.host = rest[:i]; isLevel(h.host) {
			h.host = nil
		}
		for i < len(rest) && rest[i] == ' ' {
			i++
		}
		rest = rest[i:]
	}
	return h.programMessage(rest)
}

// programMessage reads "program[pid]: message".
func (h *header) programMessage(rest []byte) bool {
	if len(rest) > 0 && rest[0] == '<' {
		rest = levelTag(rest)
	}
	h.id, h.program, h.pid, h.message = nil, nil, nil, rest
	if len(rest) > 0 && rest[0] == '{' {
		return false // JSON
	}
	for i, c := range rest {
		switch {
		case c > '[' || c > ' ' && c < ':':
		case c == '[':
			j := i + 1
			for j < len(rest) && isDigit(rest[j]) {
				j++
			}
			if j+1 < len(rest) && rest[j] == ']' && rest[j+1] == ':' {
				h.program, h.pid = rest[:i], rest[i+1:j]
				h.message = rest[j+2:]
				h.afterColon()
				return true
			}
			return false
		case c == ':':
			if i > 0 && (i+1 == len(rest) || rest[i+1] == ' ') {
				h.program = rest[:i]
				h.message = rest[i+1:]
				h.afterColon()
				return true
			}
		case c <= ' ':
			return false
		}
	}
	return false
}

// afterColon skips the blank after "program[pid]:" and Solaris' message id ("[ID 197553 mail.info]
// ").
func (h *header) afterColon() {
	if len(h.message) > 0 && (h.message[0] == ' ' || h.message[0] == '\t') {
		h.message = h.message[1:]
	}
	if len(h.message) > 4 && h.message[0] == '[' && string(h.message[:4]) == "[ID " {
		if i := bytes.IndexByte(h.message, ']'); i > 0 && i < 40 {
			h.message = bytes.TrimPrefix(h.message[i+1:], []byte(" "))
		}
	}
}

// isLevel reports whether b is a severity, which some loggers write in place of the host: "INFO",
// "warning", "mail.info", AIX' "mail:info" (RFC 5424 section 6.2.1 lists the severities).
func isLevel(b []byte) bool {
	for i := len(b) - 1; i > 0; i-- {
		if b[i] == '.' || b[i] == ':' {
			b = b[i+1:]
			break
		}
	}
	if len(b) < 3 || len(b) > 9 {
		return false
	}
	var word [9]byte
	for i, c := range b {
		word[i] = c | 0x20
	}
	return isLevelName(word[:len(b)])
}

// isLevelName reports whether b is the name of a severity in lower case.
func isLevelName(b []byte) bool {
	switch string(b) {
	case "debug", "info", "notice", "warn", "warning", "err", "error", "crit", "critical", "alert", "emerg", "fatal":
		return true
	}
	return false
}

func levelTag(b []byte) []byte {
	if len(b) > 4 && b[0] == '<' {
		if i := bytes.IndexByte(b, '>'); i > 0 && i < 24 && i+1 < len(b) && b[i+1] == ' ' && bytes.IndexByte(b[:i], '.') > 0 {
			return b[i+2:]
		}
	}
	return b
}

// exim reads the text after the time in Exim's own log: "[pid] " (log selector +pid) and the
// message. It returns false if the line more likely has a host and a program, because other
// programs use the same format of stamps.
func (h *header) exim(rest []byte) bool {
	msg := rest
	if len(msg) > 2 && msg[0] == '[' {
		i := 1
		for i < len(msg) && isDigit(msg[i]) {
			i++
		}
		if i > 1 && i+1 < len(msg) && msg[i] == ']' && msg[i+1] == ' ' {
			msg = msg[i+2:]
		}
	}
	h.message = msg
	var ok bool
	if h.id, h.rest, ok = eximID(msg); ok {
		return true
	}
	// "host program[pid]: ". In Exim's own messages an equals sign, a colon or a bracket comes
	// earlier, or the second word is not of this form.
	i := 0
	for i < len(msg) && msg[i] > ' ' && msg[i] != '=' && msg[i] != ':' && msg[i] != '(' && msg[i] != '<' {
		i++
	}
	if i == 0 || i == len(msg) || msg[i] != ' ' {
		return true
	}
	next := msg[i+1:]
	if j := bytes.IndexByte(next, ' '); j > 0 {
		next = next[:j]
	}
	return !isProgramToken(next)
}

// rfc5424 reads a syslog message (RFC 5424 section 6) from the field after the version.
func (h *header) rfc5424(rest []byte) bool {
	i := bytes.IndexByte(rest, ' ')
	if i <= 0 {
		return false
	}
	form, n := stampNone, 0
	if string(rest[:i]) != "-" {
		if form, n = scanStamp(rest[:i]); n != i || form != stampISO {
			return false
		}
	}
	if !h.afterStamp(rest[i+1:]) {
		return false
	}
	if n > 0 {
		h.form, h.stamp, h.tail, h.fields = form, rest[:n], len(rest), true
	}
	return true
}

// afterStamp reads the fields of RFC 5424 that follow the stamp.
func (h *header) afterStamp(rest []byte) bool {
	var field [4][]byte // HOSTNAME APP-NAME PROCID MSGID
	for i := range field {
		j := bytes.IndexByte(rest, ' ')
		if j <= 0 {
			return false
		}
		field[i], rest = rest[:j], rest[j+1:]
		if string(field[i]) == "-" {
			field[i] = nil
		}
	}
	// Structured data: "-" or [id name="value" …]…; quotes and brackets in values are escaped
	// (section 6.3).
	if len(rest) > 0 && rest[0] == '-' {
		rest = rest[1:]
	} else {
		for len(rest) > 0 && rest[0] == '[' {
			quoted, end := false, -1
			for i := 1; i < len(rest) && end < 0; i++ {
				switch c := rest[i]; {
				case c == '\\' && quoted:
					i++
				case c == '"':
					quoted = !quoted
				case c == ']' && !quoted:
					end = i
				}
			}
			if end < 0 {
				return false
			}
			rest = rest[end+1:]
		}
	}
	h.id, h.host, h.program, h.pid = nil, field[0], field[1], field[2]
	rest = bytes.TrimPrefix(rest, []byte(" "))
	h.message = bytes.TrimPrefix(rest, []byte("\xef\xbb\xbf"))
	return true
}

// pri returns the length of syslog's PRI part ("<22>"), or 0.
func pri(b []byte) int {
	if len(b) < 3 || b[0] != '<' {
		return 0
	}
	i := 1
	for i < len(b) && i < 4 && isDigit(b[i]) {
		i++
	}
	if i > 1 && i < len(b) && b[i] == '>' {
		return i + 1
	}
	return 0
}

// octetCount returns the length of the octet count before a syslog message ("123 ", RFC 6587
// section 3.4.1), or 0.
func octetCount(b []byte) int {
	i := 0
	for i < len(b) && i < 7 && isDigit(b[i]) {
		i++
	}
	if i > 0 && i+1 < len(b) && b[i] == ' ' && pri(b[i+1:]) > 0 {
		return i + 1
	}
	return 0
}

// containerPrefix returns the length of "name  | ", the prefix of docker compose, or 0.
func containerPrefix(b []byte) int {
	const longest = 80
	i := 0
	for i < len(b) && i < longest && b[i] > ' ' && b[i] != '|' && b[i] != '<' && b[i] != '=' && b[i] != ':' {
		i++
	}
	if i == 0 {
		return 0
	}
	for i < len(b) && i < longest && b[i] == ' ' {
		i++
	}
	if i < len(b) && b[i] == '|' {
		return i + 1
	}
	return 0
}

// criPrefix returns the length of "stdout F ", which container runtimes write after their stamp, or
// 0. The text after it may be empty.
func criPrefix(b []byte) int {
	if len(b) >= 8 && b[0] == 's' && (string(b[:7]) == "stdout " || string(b[:7]) == "stderr ") &&
		(b[7] == 'F' || b[7] == 'P') && (len(b) == 8 || b[8] == ' ') {
		return min(9, len(b))
	}
	return 0
}

// scanStamp recognises a stamp at the start of b and returns its form and length, or 0.
func scanStamp(b []byte) (stampForm, int) {
	if len(b) < 10 {
		return stampNone, 0
	}
	switch c := b[0]; {
	case c == '@':
		if _, n := parseTAI64N(b); n > 0 {
			return stampTAI64N, n
		}
	case c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80:
		if _, n := parseStamp(b, stampRFC3164); n > 0 {
			return stampRFC3164, n
		}
	case isDigit(c):
		if b[4] == '-' || b[4] == '/' {
			if len(b) > 10 && b[10] == 'T' {
				if _, n := parseStamp(b, stampISO); n > 0 {
					return stampISO, n
				}
			} else if _, n := parseStamp(b, stampExim); n > 0 {
				return stampExim, n
			}
			return stampNone, 0
		}
		if b[4] == ' ' || b[1] >= 0x80 || b[2] >= 0x80 {
			if _, n := parseStamp(b, stampRFC3164); n > 0 {
				return stampRFC3164, n
			}
		}
		if c := b[2]; c == '-' || c == '.' || c == '/' || c == ' ' || b[1] < '0' {
			if _, n := parseStamp(b, stampDay); n > 0 {
				return stampDay, n
			}
		}
		if _, n := parseStamp(b, stampUnix); n > 0 {
			return stampUnix, n
		}
	}
	return stampNone, 0
}

// parseStamp reads a stamp of the given form at the start of b; n is its length, or 0 if there is
// none.
func parseStamp(b []byte, form stampForm) (st stamp, n int) {
	switch form {
	case stampRFC3164:
		return parseRFC3164(b)
	case stampISO, stampExim:
		return parseISO(b, form)
	case stampUnix:
		return parseUnix(b)
	case stampTAI64N:
		return parseTAI64N(b)
	case stampDay:
		return parseDay(b)
	}
	return st, 0
}

// parseRFC3164 reads "[YYYY ]Mmm [d]d[ YYYY] hh:mm:ss[.fraction][ zone][ YYYY[ zone]]".
func parseRFC3164(b []byte) (st stamp, n int) {
	i := 0
	if len(b) > 5 && isDigit(b[0]) && b[1] < 0x80 && b[2] < 0x80 {
		y, ok := digits(b[:4])
		if !ok || b[4] != ' ' || !isYear(y) { // else the number of a line
			return st, 0
		}
		st.year = y
		i = 5
	}
	if len(b) < i+12 {
		return st, 0
	}
	m := 3
	if b[i+3] == ' ' {
		st.month = month(b[i : i+3])
	}
	if st.month == 0 {
		var months [2]int
		months, m = localMonth(b[i:])
		if st.month, st.other = months[0], months[1]; st.month == 0 {
			return st, 0
		}
	}
	i += m + 1
	if i+10 > len(b) {
		return st, 0
	}
	if b[i] == ' ' {
		i++
	}
	if !isDigit(b[i]) {
		return st, 0
	}
	st.day = int(b[i] - '0')
	i++
	if isDigit(b[i]) {
		st.day = st.day*10 + int(b[i]-'0')
		i++
	}
	if b[i] == ',' || b[i] == '.' { // "Nov 23, 2026 @ 09:47:06.000", the format of Kibana
		i++
	}
	if st.day == 0 || st.day > 31 || i+9 > len(b) || b[i] != ' ' {
		return st, 0
	}
	i++
	if st.year == 0 && len(b) > i+5 && isDigit(b[i+3]) && b[i+4] == ' ' {
		y, ok := digits(b[i : i+4])
		if !ok {
			return st, 0
		}
		st.year = y
		i += 5
		if b[i] == '@' && i+2 < len(b) && b[i+1] == ' ' {
			i += 2
		}
	}
	j := st.clockTime(b[i:])
	if j == 0 {
		return st, 0
	}
	st.second = i + 8
	i += j
	i += st.zoneName(b[i:])
	// asctime(3) and date(1) put the year at the end, before or after a zone.
	if st.year == 0 && len(b) >= i+5 && b[i] == ' ' && (len(b) == i+5 || b[i+5] == ' ' || b[i+5] == ']') {
		if y, ok := digits(b[i+1 : i+5]); ok && isYear(y) {
			st.year = y
			if i += 5; st.name == nil {
				i += st.zone(b[i:])
			}
		}
	}
	return st, i
}

// isYear reports whether a number without any mark may be a year.
func isYear(n int) bool { return n >= 1970 && n < 2100 }

// parseDay reads a date with the day before or after the month: "23-10-2026 15:12:21", "23.10.2026,
// 15:12:21", "10/23/2026, 3:12:21 PM", "23/Oct/2026:15:12:21 +0000", "23 Oct 2026 15:12:21 +0000".
// It rejects a date with slashes or hyphens in which either number may be the month.
func parseDay(b []byte) (st stamp, n int) {
	var part [3]int
	sep := byte(0)
	i := 0
	named := false
	for k := range part {
		first := i
		if k == 1 && i+3 < len(b) && !isDigit(b[i]) {
			part[k] = month(b[i:])
			named = part[k] > 0
			i += 3
		}
		for i < len(b) && i < first+4 && isDigit(b[i]) {
			part[k] = part[k]*10 + int(b[i]-'0')
			i++
		}
		if i == first || i == len(b) || k < 2 && !named && i > first+2 || k == 2 && i != first+4 {
			return st, 0
		}
		if k < 2 {
			if sep == 0 {
				sep = b[i]
			}
			if b[i] != sep || sep != '-' && sep != '.' && sep != '/' && sep != ' ' {
				return st, 0
			}
			i++
		}
	}
	if sep == ' ' && !named {
		return st, 0
	}
	st.day, st.month, st.year = part[0], part[1], part[2]
	either := sep != '.' && !named
	if either && st.month > 12 {
		st.day, st.month = st.month, st.day
	} else if either && st.day <= 12 && st.day != st.month {
		return st, 0
	}
	if st.month == 0 || st.month > 12 || st.day == 0 || st.day > 31 || st.year == 0 {
		return st, 0
	}
	if b[i] == ',' {
		i++
	}
	if i+9 > len(b) || b[i] != ' ' && (b[i] != ':' || !named) {
		return st, 0
	}
	i++
	var clock [8]byte
	text := b[i:]
	if text[1] == ':' { // an hour of one digit
		copy(clock[1:], text[:min(7, len(text))])
		clock[0] = '0'
		text = clock[:]
		i--
	}
	st.second = i + 8
	if st.clockTime(text[:min(8, len(text))]) == 0 {
		return st, 0
	}
	i += 8
	st.fractionLen = st.fraction(b[i:])
	i += st.fractionLen
	i += st.half(b[i:])
	if named {
		i += st.zone(b[i:])
	}
	return st, i
}

// half reads " PM", "PM" or the Spanish " p. m." and returns its length, or 0. A lower-case word
// directly before the program is a host.
func (st *stamp) half(b []byte) int {
	n := 0
	for _, blank := range [...]string{" ", "\u202f", "\u00a0"} { // the second one is CLDR's
		if hasPrefix(b, blank) {
			n = len(blank)
		}
	}
	if len(b) < n+2 || b[n]|0x20 != 'a' && b[n]|0x20 != 'p' || st.hour < 1 || st.hour > 12 {
		return 0
	}
	word, first := n, b[n]
	for _, rest := range [...]string{"m", ".m.", ". m.", ".\u00a0m."} {
		if end := word + 1 + len(rest); len(b) >= end && strings.EqualFold(string(b[word+1:end]), rest) {
			n = end
		}
	}
	if n == word || n < len(b) && strings.IndexByte(" \t,;]\"|", b[n]) < 0 {
		return 0
	}
	if program, _, _ := bytes.Cut(b[min(n+1, len(b)):], []byte(" ")); first >= 'a' && isProgramToken(program) {
		return 0
	}
	if st.hour %= 12; first|0x20 == 'p' {
		st.hour += 12
	}
	return n
}

// zone reads " +0100" or " CET" and returns its length, or 0.
func (st *stamp) zone(b []byte) int {
	if n := st.zoneName(b); n > 0 {
		return n
	}
	if len(b) < 6 || b[0] != ' ' || b[1] != '+' && b[1] != '-' || len(b) > 6 && alnum[b[6]] {
		return 0
	}
	n, ok := digits(b[2:6])
	if !ok || n > 2359 || n%100 > 59 {
		return 0
	}
	st.zoned, st.offset = true, n/100*3600+n%100*60
	if b[1] == '-' {
		st.offset = -st.offset
	}
	return 6
}

// zoneName reads " CET" and returns its length, or 0.
func (st *stamp) zoneName(b []byte) int {
	name, n := scanZoneName(b)
	if n > 0 {
		st.name, st.offset, st.zoned = name, name.offset, !name.ambiguous
	}
	return n
}

// A zoneName is the abbreviated name of a zone with its meaning.
type zoneName struct {
	name      string
	offset    int // seconds east of UTC
	ambiguous bool
}

// scanZoneName reads a blank and the name of a zone after it; n is the length of both, or 0. An
// unknown word counts as a zone if a host and a program follow it, or nothing.
func scanZoneName(b []byte) (name *zoneName, n int) {
	if len(b) < 4 || b[0] != ' ' || b[1]-'A' >= 26 {
		return nil, 0
	}
	for n = 2; n < len(b) && n < 7 && b[n]-'A' < 26; n++ {
	}
	if n < 4 || n > 5 || n < len(b) && b[n] != ' ' && b[n] != ']' && b[n] != '"' {
		return nil, 0
	}
	if name = zoneNames[string(b[1:n])]; name != nil {
		return name, n
	}
	host, rest, _ := bytes.Cut(b[min(n+1, len(b)):], []byte(" "))
	program, _, _ := bytes.Cut(rest, []byte(" "))
	if n == len(b) || isHostName(host) && isProgramToken(program) {
		return &zoneName{ambiguous: true}, n
	}
	return nil, 0
}

// zoneNames are the abbreviations in use in the tz database. Abbreviations of zones on several
// continents are ambiguous.
var zoneNames = func() map[string]*zoneName {
	m := map[string]*zoneName{"CST": {name: "CST", ambiguous: true}, "IST": {name: "IST", ambiguous: true}}
	for minutes, names := range map[int]string{
		0: "UTC GMT WET", 60: "CET BST WEST WAT", 120: "CEST EET CAT SAST", 180: "EEST MSK EAT IDT", 300: "PKT", 420: "WIB",
		480: "HKT AWST SGT WITA", 540: "JST KST WIT", 570: "ACST", 600: "AEST", 630: "ACDT", 660: "AEDT", 720: "NZST", 780: "NZDT",
		-150: "NDT", -180: "ADT BRT", -210: "NST", -240: "AST EDT", -300: "EST CDT", -360: "MDT", -420: "MST PDT", -480: "PST AKDT",
		-540: "AKST HDT", -600: "HST", -660: "SST",
	} {
		for _, name := range strings.Fields(names) {
			m[name] = &zoneName{name: name, offset: minutes * 60}
		}
	}
	return m
}()

// parseISO reads "YYYY-MM-DDThh:mm:ss[.fraction][zone]". With stampExim, a blank replaces the T
// (svlogd writes "_"), and a numeric zone or a zone's name may follow after a blank. Slashes may
// replace the hyphens.
func parseISO(b []byte, form stampForm) (st stamp, n int) {
	if len(b) < 19 || b[4] != '-' && b[4] != '/' || b[7] != b[4] || (form == stampISO) != (b[10] == 'T') || b[10] != 'T' && b[10] != ' ' && b[10] != '_' {
		return st, 0
	}
	var ok1, ok2, ok3 bool
	st.year, ok1 = digits(b[:4])
	st.month, ok2 = digits(b[5:7])
	st.day, ok3 = digits(b[8:10])
	if !ok1 || !ok2 || !ok3 || st.year == 0 || st.month == 0 || st.month > 12 || st.day == 0 || st.day > 31 {
		return st, 0
	}
	i := st.clockTime(b[11:])
	if i == 0 {
		return st, 0
	}
	n = 11 + i
	st.second = 19
	zone := b[n:]
	if form == stampExim {
		if name := st.zoneName(zone); name > 0 { // journalctl -o short-full
			return st, n + name
		}
	}
	blank := 0
	if form == stampExim && len(zone) > 3 && zone[0] == ' ' {
		zone, blank = zone[1:], 1
	}
	if len(zone) == 0 {
		return st, n
	}
	switch zone[0] {
	case 'Z':
		if form == stampISO {
			st.zoned = true
			n++
		}
	case '+', '-':
		// +01:00 (RFC 3339), +0100 (Exim, journalctl), +01
		z := zone[1:]
		w := 0
		if len(z) >= 5 && z[2] == ':' {
			if m, ok := digits(z[3:5]); ok && m < 60 {
				st.offset, w = m*60, 5
			}
		} else if len(z) >= 4 {
			if m, ok := digits(z[2:4]); ok && m < 60 {
				st.offset, w = m*60, 4
			}
		}
		if w == 0 && len(z) >= 2 && (form == stampISO || len(z) == 2 || z[2] == ' ') {
			w = 2 // also journalctl -o short-full, for a zone without a name
		}
		hh, ok := 0, false
		if w > 0 {
			hh, ok = digits(z[:2])
		}
		if !ok || hh > 23 || w < len(z) && (alnum[z[w]] || z[w] == '.' || z[w] == '-' || z[w] == '+') {
			st.offset = 0
			return st, n
		}
		st.offset += hh * 3600
		if zone[0] == '-' {
			st.offset = -st.offset
		}
		st.zoned = true
		n += blank + 1 + w
	}
	return st, n
}

// parseUnix reads "1772409601.123456", the format of journalctl -o short-unix, and whole seconds or
// milliseconds.
func parseUnix(b []byte) (st stamp, n int) {
	for n < len(b) && n < 14 && isDigit(b[n]) {
		st.sec = st.sec*10 + int64(b[n]-'0')
		n++
	}
	st.unix = true
	switch {
	case n == 13 && st.sec >= earliest*1000:
		st.nsec = int32(st.sec%1000) * 1_000_000
		st.sec /= 1000
	case n < 9 || n > 10 || n < len(b) && b[n] != '.' && st.sec < earliest:
		return st, 0
	case n < len(b) && b[n] == '.':
		n += st.fraction(b[n:])
	}
	if n < len(b) && b[n] != ' ' && b[n] != '\t' {
		return st, 0
	}
	return st, n
}

// parseTAI64N reads "@", the TAI64 seconds and the nanoseconds, the format of multilog and s6-log.
// Like these programs, it takes TAI to be ten seconds ahead of UTC.
func parseTAI64N(b []byte) (st stamp, n int) {
	const size = len("@4000000067f3a1c02d9b1c5c")
	var raw [12]byte
	if len(b) < size || len(b) > size && b[size] != ' ' {
		return st, 0
	}
	if _, err := hex.Decode(raw[:], b[1:size]); err != nil {
		return st, 0
	}
	sec, nsec := binary.BigEndian.Uint64(raw[:]), binary.BigEndian.Uint32(raw[8:])
	if sec>>32 != 1<<30 || nsec >= 1_000_000_000 {
		return st, 0
	}
	st.unix, st.sec, st.nsec = true, int64(sec-1<<62)-10, int32(nsec)
	return st, size
}

// clockTime reads "hh:mm:ss[.fraction][ PM]" and returns its length, or 0. A leap second (RFC 3339
// section 5.6) is allowed.
func (st *stamp) clockTime(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0
	}
	h, ok1 := digits(b[:2])
	m, ok2 := digits(b[3:5])
	s, ok3 := digits(b[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0
	}
	st.hour, st.min, st.sec = h, m, int64(s)
	st.fractionLen = st.fraction(b[8:])
	n := 8 + st.fractionLen
	return n + st.half(b[n:])
}

// fraction reads ".123456" (or ",123") and returns its length, or 0.
func (st *stamp) fraction(b []byte) int {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || !isDigit(b[1]) {
		return 0
	}
	i, scale := 1, int32(100_000_000)
	for i < len(b) && isDigit(b[i]) {
		st.nsec += int32(b[i]-'0') * scale
		scale /= 10
		if i++; i > 40 {
			break
		}
	}
	return i
}

// localMonth reads the name of a month in any language of strftime(3), up to the blank before the
// day; n is its length.
func localMonth(b []byte) (months [2]int, n int) {
	n = bytes.IndexByte(b[:min(len(b), 14)], ' ')
	if n < 2 || n+3 > len(b) || !isDigit(b[n+1]) && (b[n+1] != ' ' || !isDigit(b[n+2])) {
		return months, 0
	}
	name := b[:n]
	if name[n-1] == '.' {
		name = name[:n-1]
	}
	var lower [14]byte
	for i, c := range name {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return monthNames[string(lower[:len(name)])], n
}

// monthNames are the abbreviated names of the months in the locales of glibc (%b) and in CLDR, in
// lower case and without a full stop. Some names mean different months in different languages
// ("lip" is June in Croatian and July in Polish): clock.read decides. The function month reads the
// names of the C locale.
var monthNames = func() map[string][2]int {
	m := map[string][2]int{}
	add := func(name string, month int) {
		switch months := m[name]; {
		case months[0] == 0:
			m[name] = [2]int{month}
		case months[0] != month && months[1] == 0:
			m[name] = [2]int{months[0], month}
		}
	}
	for _, names := range [...]string{
		"jan feb mar apr may jun jul aug sep oct nov dec",                      // en, lower case
		"jan feb mär apr mai jun jul aug sep okt nov dez",                      // de
		"jän feb mrz apr mai jun jul aug sep okt nov dez",                      // de_AT, old de
		"jan feb mäe abr mee jun jul aug sep okt nov dez",                      // lb
		"janv févr mars avril mai juin juil août sept oct nov déc",             // fr
		"janv f\xe9vr m\xe4r avr mai juin juil ao\xfbt sept oct nov d\xe9c",    // ISO 8859-1
		"ene feb mar abr may jun jul ago sep oct nov dic",                      // es
		"xan feb mar abr mai xuñ xul ago set out nov dec",                      // gl
		"xin feb mar abr may xun xul ago set och pay avi",                      // ast
		"gen feb mar apr mag giu lug ago set ott nov dic",                      // it
		"zen fev mar avr mai jug lui avo set otu nov dic",                      // fur
		"jan fev mar abr mai jun jul ago set out nov dez",                      // pt
		"gen febr març abr maig juny jul ag set oct nov des",                   // ca
		"gen feb març abr mai junh jul ago set oct nov dec",                    // oc
		"ian feb mar apr mai iun iul aug sep oct nov dec",                      // ro
		"jan feb mrt apr mei jun jul aug sep okt nov dec",                      // nl
		"jan feb mrt apr mei jun jul aug sept okt nov des",                     // af
		"jan feb mar apr maj jun jul aug sep okt nov dec",                      // sv, da, bs
		"jan feb mars april mai juni juli aug sep okt nov des",                 // nb, nn, fo
		"jan feb mar apr maí jún júl ágú sep okt nóv des",                      // is
		"tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu", // fi
		"tammik helmik maalisk huhtik toukok kesäk heinäk elok syysk lokak marrask jouluk",
		"jaan veebr märts apr mai juuni juuli aug sept okt nov dets",  // et
		"ođđj guov njuk cuoŋ mies geas suoi borg čakč golg skáb juov", // se
		"janv febr marts apr maijs jūn jūl aug sept okt nov dec",      // lv
		"jan feb mar apr mai jūn jūl aug sep okt nov dec",
		"saus vas kov bal geg birž liep rugp rugs spal lapkr gruodž", // lt
		"sau vas kov bal geg bir lie rgp rgs spa lap gruod",
		"sty lut mar kwi maj cze lip sie wrz paź lis gru",  // pl
		"jan feb měr apr mej jun jul awg sep okt now dec",  // hsb, dsb
		"led úno bře dub kvě čen čec srp zář říj lis pro",  // cs
		"jan feb mar apr máj jún júl aug sep okt nov dec",  // sk
		"jan feb mar apr maj jun jul avg sep okt nov dec",  // sl, sr in Latin letters
		"sij velj ožu tra svi lip srp kol ruj lis stu pro", // hr
		"sij vel ožu tra svi lip srp kol ruj lis stu pro",
		"jan febr márc ápr máj jún júl aug szept okt nov dec", // hu
		"jan shk mar pri maj qer kor gsh sht tet nën dhj",     // sq
		"jan shk mar pri maj qer korr gush sht tet nën dhj",
		"oca şub mar nis may haz tem ağu eyl eki kas ara",               // tr
		"çil sib ada nîs gul hez tîr teb îlo cot mij kan",               // ku
		"yan fev mar apr may iyn iyl avq sen okt noy dek",               // az
		"yan fev mar apr may iyn iyl avg sen okt noy dek",               // uz
		"ýan few mar apr maý iýun iýul awg sen okt noý dek",             // tk
		"urt ots mar api mai eka uzt abu ira urr aza abe",               // eu
		"ean feabh márta aib beal meith iúil lún mfómh dfómh samh noll", // ga
		"faoi gearr màrt gibl cèit ògmh iuch lùna sult dàmh samh dùbh",  // gd
		"ion chw maw ebr mai meh gor aws med hyd tac rha",               // cy
		"gen cʼhw meu ebr mae eve gou eos gwe her du ker",               // br
		"jan fra mar apr mej ġun lul aww set ott nov diċ",               // mt
		"jan feb mar apr maj jun jul aŭg sep okt nov dec",               // eo
		"jan feb mar apr mei jun jul agu sep okt nov des",               // id
		"jan feb mac apr mei jun jul ogo sep okt nov dis",               // ms
		"jan feb mac apr mei jun jul ago sep okt nov des",               // sw
		"ene peb mar abr may hun hul ago set okt nob dis",               // fil
		"th01 th02 th03 th04 th05 th06 th07 th08 th09 th10 th11 th12",   // vi
		"ιαν φεβ μαρ απρ μάι ιούν ιούλ αύγ σεπ οκτ νοέ δεκ",             // el
		"ιαν φεβ μάρ απρ μαΐ ιουν ιουλ αυγ σεπ οκτ νοε δεκ",
		"янв фев мар апр мая июн июл авг сен окт ноя дек", // ru
		"янв февр марта апр май июня июля авг сент окт нояб дек",
		"яну фев март апр май юни юли авг сеп окт ное дек", // bg
		"січ лют бер кві тра чер лип сер вер жов лис гру",  // uk
		"січ лют бер квіт трав черв лип серп вер жовт лист груд",
		"сту лют сак кра май чэр ліп жні вер кас ліс сне", // be
		"сту лют сак кра мая чэр ліп жні вер кас ліс сне",
		"јан феб мар апр мај јун јул авг сеп окт нов дец", // sr
		"јан фев мар апр мај јун јул авг сеп окт ное дек", // mk
		"қаң ақп нау сәу мам мау шіл там қыр қаз қар жел", // kk
		"гый фев мар апр май июн июл авг сен окт ноя дек", // tt
		"1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",          // ja, zh
		"1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월",          // ko
	} {
		for i, name := range strings.Fields(names) {
			add(name, i+1)
			_, n := utf8.DecodeRuneInString(name)
			if first := strings.ToUpper(name[:n]); n > 1 && utf8.ValidString(name) && len(first) == n {
				add(first+name[n:], i+1)
			}
		}
	}
	return m
}()

func month(b []byte) int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if b[0] == names[i] && b[1] == names[i+1] && b[2] == names[i+2] {
			return i/3 + 1
		}
	}
	return 0
}

func zoned(form stampForm, b []byte) bool {
	switch {
	case form == stampUnix:
		return true
	case form == stampRFC3164 && len(b) <= len("Nov 23 09:47:06"):
		return false
	case b[len(b)-1] == 'Z':
		return true
	}
	st, _ := parseStamp(b, form)
	return st.zoned || st.unix
}

// holdsClock reports whether b holds text that looks like a time of day: "25:00:00".
func holdsClock(b []byte) bool {
	for i := 0; i+8 <= len(b); i++ {
		if b[i+2] == ':' && b[i+5] == ':' && isDigit(b[i+1]) && isDigit(b[i+3]) && isDigit(b[i+4]) && isDigit(b[i+6]) && isDigit(b[i+7]) {
			return true
		}
	}
	return false
}

// isZoneOrDay reports whether a word is the short name of a time zone or a weekday, or any other
// word of at most five capitals.
func isZoneOrDay(word []byte) bool {
	switch string(word) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	for _, c := range word {
		if c-'A' >= 26 {
			return false
		}
	}
	return len(word) <= 5
}

// longestStamp is longer than an RFC 3339 stamp with nanoseconds, an offset and a blank.
const longestStamp = 40

// earliest is the first moment of 1990 in Unix time: no log still in use is older.
const earliest = 631152000

// eximID reads a message id at the start of a message: 16 characters
// (6-6-2), or 23 (6-11-4) since Exim 4.97.
func eximID(msg []byte) (id, rest []byte, ok bool) {
	if len(msg) < 16 || msg[6] != '-' {
		return nil, nil, false
	}
	n := 16
	if msg[13] == '-' {
		id := (*[16]byte)(msg)
		if notAlnum[id[0]]|notAlnum[id[1]]|notAlnum[id[2]]|notAlnum[id[3]]|notAlnum[id[4]]|notAlnum[id[5]]|
			notAlnum[id[7]]|notAlnum[id[8]]|notAlnum[id[9]]|notAlnum[id[10]]|notAlnum[id[11]]|notAlnum[id[12]]|
			notAlnum[id[14]]|notAlnum[id[15]] != 0 {
			return nil, nil, false
		}
	} else {
		n = 23
		if len(msg) < n || msg[18] != '-' || !allAlnum(msg[:6]) || !allAlnum(msg[7:18]) || !allAlnum(msg[19:n]) {
			return nil, nil, false
		}
	}
	if len(msg) == n {
		return msg, nil, true
	}
	if msg[n] != ' ' {
		return nil, nil, false
	}
	return msg[:n], msg[n+1:], true
}
