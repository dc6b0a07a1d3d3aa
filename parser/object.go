package parser

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// open reads the text that an object carries.
func (p *Parser) open(o *object, outer *envelope, r *Result, offset int64) Kind {
	out := o.envelope
	if outer.form != stampNone && (out.form == stampNone || !out.zoned() && outer.zoned()) {
		out.form, out.stamp, out.at, out.hasZone = outer.form, outer.stamp, outer.at, outer.hasZone
	}
	if out.host == nil {
		out.host = outer.host
	}
	text := trimSpace(o.text)
	if hasControl(text) {
		return p.inside().controlled(text, r, offset, func(line []byte, r *Result, offset int64) Kind {
			return p.openText(line, &out, r, offset)
		})
	}
	return p.openText(text, &out, r, offset)
}

// trimSpace cuts blanks and control characters off both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	return trimBreaks(b)
}

// openText reads a line that an object with the given envelope carries.
func (p *Parser) openText(text []byte, out *envelope, r *Result, offset int64) Kind {
	w := p.inside()
	p.enclose(w, out)
	if _, same := w.clock.again(text); same {
		if len(w.clock.zone) == 0 && w.clock.form != stampUnix && out.zoned() && !p.timed(w, out) {
			return Unparsed
		}
		return w.parse(text, r, offset)
	}
	named := p.programs.get(out.program)
	known := named.daemon != notPostfix || named.exim
	if known && len(text) > 0 && alnum[text[0]] {
		if _, n := scanStamp(text); n == 0 { // the journal's messages have no header
			if !p.timed(w, out) {
				return Unparsed
			}
			return w.bare(named, text, r, offset)
		}
	}
	h := &w.h
	if len(out.program) > 0 && !known && !p.beginsAtOnce(text, h) {
		// Another program's words, which a stranger may have chosen.
		if holdsDelivery(text) {
			return Unparsed
		}
		return Skipped
	}
	splitHeader(text, h)
	if h.form == stampNone || out.zoned() && !zoned(h.form, h.stamp) {
		if !p.timed(w, out) {
			return Unparsed
		}
	}
	if prog := p.programs.get(h.program); prog.daemon == notPostfix && !prog.exim {
		if known {
			return w.bare(named, text, r, offset)
		}
		if h.form == stampNone && isBare(text, h) {
			return w.bare(&noProgram, text, r, offset)
		}
	}
	return w.parse(text, r, offset)
}

// beginsAtOnce reports whether a line of an MTA's may stand at the very beginning of
// what a program that is none says. The header is used.
func (p *Parser) beginsAtOnce(text []byte, h *header) bool {
	if *h = (header{message: text}); mayBegin(h) {
		return true
	}
	i := bytes.IndexByte(text[:min(len(text), 128)], ' ')
	if i < 0 || !isProgramToken(text[:i]) {
		return false
	}
	h.programMessage(text)
	prog := p.programs.get(h.program)
	return prog.daemon != notPostfix || prog.exim
}

// An object is a line that is JSON, as far as it is of use. Objects within are
// read as if their fields were its own.
type object struct {
	envelope
	text []byte
	rank int // of the name that text stands under
}

// maxNested bounds how deep in an object others are read.
const maxNested = 4

// read takes an object apart. Strings with escapes are undone into p.scratch. It
// reports false where there is no text.
func (o *object) read(b []byte, p *Parser) bool {
	if p.scratch = p.scratch[:0]; cap(p.scratch) < len(b)+64 {
		p.scratch = make([]byte, 0, len(b)+64) // never grows below, so that slices of it stay
	}
	depth := 0
	for i := 0; i < len(b); {
		switch b[i] {
		case '{':
			if depth++; depth > maxNested {
				return o.text != nil
			}
			i++
		case '}':
			if depth--; depth == 0 {
				return o.text != nil
			}
			i++
		case '"':
			end := closingQuote(b, i+1)
			if end < 0 {
				return o.text != nil
			}
			key := b[i+1 : end]
			for i = end + 1; i < len(b) && b[i] == ' '; i++ {
			}
			if i == len(b) || b[i] != ':' {
				continue // a string in a list
			}
			for i++; i < len(b) && b[i] == ' '; i++ {
			}
			if i == len(b) {
				return o.text != nil
			}
			start := i
			if b[i] == '"' {
				if end = closingQuote(b, i+1); end < 0 {
					return o.text != nil
				}
				start, i = i+1, end+1
				o.field(key, b[start:end], p)
			} else if b[i] == '-' || isDigit(b[i]) {
				for i < len(b) && (isDigit(b[i]) || b[i] == '.' || b[i] == '-') {
					i++
				}
				o.field(key, b[start:i], p)
			}
		default:
			i++
		}
	}
	return o.text != nil
}

// closingQuote is the index of the quote that ends the JSON string whose first byte is
// at i, or -1.
func closingQuote(b []byte, i int) int {
	for {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		i += j
		n := i // of the first of the backslashes before it
		for b[n-1] == '\\' {
			n--
		}
		if (i-n)%2 == 0 {
			return i
		}
		i++
	}
}

// field takes in a field with its value as it stands in JSON: the text, under the
// names that log shippers give it, of which the raw line says more than the message;
// the time, the host and the program.
func (o *object) field(key, v []byte, p *Parser) {
	switch string(key) {
	case "short_message":
		o.line(1, v, p)
	case "msg":
		o.line(2, v, p)
	case "message", "MESSAGE":
		o.line(3, v, p)
	case "line", "log", "full_message":
		o.line(4, v, p)
	case "_raw", "rawmsg":
		o.line(5, v, p)
	case "time", "timestamp", "@timestamp", "ts", "date", "_time", "timereported", "timegenerated", "eventTime":
		if o.form == stampNone {
			o.time(v, p)
		}
	case "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP":
		o.form, o.at = stampNone, time.Time{} // more exact than any other
		o.unix(v, p)
	case "_HOSTNAME", "hostname", "host", "HOSTNAME":
		if plainLocal(v) {
			o.host = v
		}
	case "SYSLOG_IDENTIFIER", "programname", "ident", "_application_name", "app-name", "appname", "app_name", "program", "syslog_identifier":
		o.program = v
	}
}

// line takes a text in, unless there is one of a better rank.
func (o *object) line(rank int, v []byte, p *Parser) {
	if rank > o.rank {
		o.rank = rank
		o.text = unescapeJSON(v, &p.scratch)
	}
}

// time reads the value of a field that has the time.
func (o *object) time(v []byte, p *Parser) {
	// Most are of the minute of the one before.
	at := len(p.scratch)
	p.scratch = append(append(p.scratch, v[:min(len(v), maxStamp+16)]...), " x"...)
	_, same := p.clock.again(p.scratch[at:])
	p.scratch = p.scratch[:at]
	if same {
		o.form, o.at, o.hasZone = p.clock.form, p.clock.now, len(p.clock.zone) > 0
		return
	}
	if form, n := scanStamp(v); n > 0 {
		o.form, o.stamp = form, v[:n]
	} else if allDigits(v) || len(v) > 10 && v[10] == '.' && allDigits(v[:10]) && allDigits(v[11:]) {
		o.unix(v, p)
	}
}

// unix reads the seconds, milliseconds or microseconds since 1970.
func (o *object) unix(v []byte, p *Parser) {
	if o.form != stampNone || len(v) < 10 || len(v) > 20 {
		return
	}
	sec, ok1 := digits(v[:10])
	nsec, ok2 := 0, true
	if rest := bytes.TrimPrefix(v[10:], []byte(".")); len(rest) > 0 {
		rest = rest[:min(len(rest), 9)]
		nsec, ok2 = digits(rest)
		for range 9 - len(rest) {
			nsec *= 10
		}
	}
	if ok1 && ok2 && p.clock.take(int64(sec), int32(nsec), true) {
		o.form, o.at, o.hasZone = stampUnix, p.clock.now, true
	}
}

// unescapeJSON undoes the escapes of a JSON string (RFC 8259 section 7). Tabs and
// backspaces become blanks.
func unescapeJSON(v []byte, buf *[]byte) []byte {
	next := bytes.IndexByte(v, '\\')
	if next < 0 {
		return v
	}
	if next == len(v)-2 && v[next+1] == 'n' {
		return v[:next] // the line end alone, as docker has it
	}
	at := len(*buf)
	b := *buf
	for i := 0; i < len(v); i++ {
		if next = bytes.IndexByte(v[i:], '\\'); next < 0 || i+next+1 == len(v) {
			b = append(b, v[i:]...)
			break
		}
		b = append(b, v[i:i+next]...)
		i += next
		i++
		switch v[i] {
		case 'n', 'f':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't', 'b':
			b = append(b, ' ')
		case 'u':
			if i+4 >= len(v) {
				return append(b, v[i-1:]...)[at:]
			}
			n, err := strconv.ParseUint(string(v[i+1:i+5]), 16, 16)
			if err != nil {
				b = append(b, '\\', 'u')
				continue
			}
			i += 4
			b = utf8.AppendRune(b, rune(n))
		default:
			b = append(b, v[i])
		}
	}
	*buf = b
	return b[at:]
}
