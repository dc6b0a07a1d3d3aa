package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"bouncelog/bounce"
)

// open reads the text that an object carries. An object of a web request, or one with another
// text that holds another delivery, is not understood: one of the texts is a stranger's.
func (p *Parser) open(o *object, outer *envelope, r *Result, offset int64) Kind {
	out := o.envelope
	if outer.form != stampNone {
		nearest := out
		if out.moment = outer.moment; nearest.form != stampNone {
			out.prefer(&nearest.moment)
		}
	}
	if out.host == nil {
		out.host = outer.host
	}
	kind := p.openText(o.text, &out, r, offset)
	for i, t := range o.more[:o.count] {
		var another Result
		other := p.openText(t.text, &out, &another, offset+int64(i)+1)
		if other != Attempt || kind != Attempt || !alike(another.Deliveries, r.Deliveries) {
			o.lost = true
		}
	}
	if o.lost || o.request && (kind == Attempt || kind == Expiry || r.End.Event != "") {
		r.Deliveries, r.End, kind = r.Deliveries[:0], bounce.End{}, Unparsed
	}
	return kind
}

// alike reports whether all of some are about the same as one of all.
func alike(some, all []bounce.Delivery) bool {
	for i := range some {
		if !slices.ContainsFunc(all, func(d bounce.Delivery) bool {
			return d.QueueID == some[i].QueueID && d.Recipient == some[i].Recipient && d.Status == some[i].Status
		}) {
			return false
		}
	}
	return true
}

// openText reads a text of an object with the given envelope.
func (p *Parser) openText(text []byte, out *envelope, r *Result, offset int64) Kind {
	text = trimSpace(text)
	if hasControl(text) {
		o := *out // what the function holds is made elsewhere
		return p.inside().controlled(text, r, offset, func(line []byte, r *Result, offset int64) Kind {
			return p.openLine(line, &o, r, offset)
		})
	}
	return p.openLine(text, out, r, offset)
}

// trimSpace cuts blanks and control characters off both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	return trimBreaks(b)
}

// openLine reads a line that an object with the given envelope carries.
func (p *Parser) openLine(text []byte, out *envelope, r *Result, offset int64) Kind {
	w := p.inside()
	p.enclose(w, out)
	named := p.programs.get(out.program)
	known := named.daemon != notPostfix || named.exim
	passed := known || len(out.program) == 0 || out.container || passesOn().Match(out.program)
	if _, same := w.clock.again(text); same && passed {
		return w.parse(text, r, offset)
	}
	if known && len(text) > 0 && alnum[text[0]] {
		if _, n := scanStamp(text); n == 0 { // the journal's messages have no header
			if !p.timed(w, out) {
				return Unparsed
			}
			return w.bare(named, text, r, offset)
		}
	}
	h := &w.h
	if !passed || len(out.program) > 0 && !known && !p.beginsAtOnce(text, h) {
		// Another program's words, which a stranger may have chosen.
		if holdsDelivery(text) {
			return Unparsed
		}
		return Skipped
	}
	splitHeader(text, h)
	if h.form == stampNone {
		if !p.timed(w, out) {
			return Unparsed
		}
	} else {
		w.clock.beside = p.reference(&out.moment)
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

// passesOn is the name of a program that passes on the lines of others: an engine of
// containers, or a container by its id or the MTA it is named after.
var passesOn = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^[0-9a-f]{12,64}$|docker|podman|conmon|containerd|mail|postfix|exim|smtp`)
})

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

// An object is a line that is JSON, or of names and values (logfmt), as far as it is of
// use. Objects within are read as if their fields were its own.
type object struct {
	envelope
	namedText

	more    [7]namedText // of the same rank or a lower one
	count   int
	lost    bool // another text holds another delivery
	request bool // it is about a request to a web server
	size    int  // how many bytes of the line it takes
	direct  bool // the field that is read stands at the top level, or in event.original
}

// A namedText is a text of an object, and the rank of the name that it stands under.
type namedText struct {
	text []byte
	rank int
}

// usual is added to the rank of the names under which shippers put the message of an object.
// Beside that, no other text is a line of the log: it may be a request's or a reply's.
const usual = 8

// beside reports whether t is a text beside the message.
func (o *object) beside(t namedText) bool { return o.rank > usual && t.rank < usual }

// maxNested bounds how deep in an object others are read.
const maxNested = 8

// read takes an object apart. Strings with escapes are undone into p.scratch. It
// reports false where there is no text.
func (o *object) read(b []byte, p *Parser) bool {
	o.size = len(b)
	p.room(len(b))
	depth := 0
	var top []byte // the last name at the top level
scan:
	for i := 0; i < len(b); {
		switch b[i] {
		case '{':
			if depth++; depth > maxNested {
				break scan
			}
			i++
		case '}':
			i++
			if depth--; depth <= 0 {
				o.size = i
				break scan
			}
		case '"':
			end := closingQuote(b, i+1)
			if end < 0 {
				break scan
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
				break scan
			}
			if depth <= 1 {
				top = key
			}
			o.direct = depth <= 1 || depth == 2 && isOriginal(top, key)
			start := i
			if b[i] == '"' {
				if end = closingQuote(b, i+1); end < 0 {
					break scan
				}
				start, i = i+1, end+1
				o.field(key, b[start:end], p)
			} else if b[i] == '-' || isDigit(b[i]) {
				for i < len(b) && (isDigit(b[i]) || b[i] == '.' || b[i] == '-') {
					i++
				}
				o.direct = false // "line" may be a number
				o.field(key, b[start:i], p)
			} else if b[i] == '[' && i+1 < len(b) && (b[i+1] == ' ' || isDigit(b[i+1])) {
				if v := p.bytesOf(b[i:]); v != nil {
					o.field(key, v, p)
				}
			}
		default:
			i++
		}
	}
	return o.choose(p)
}

// isOriginal reports event.original and log.original of the Elastic Common Schema.
func isOriginal(top, key []byte) bool {
	return string(key) == "original" && (string(top) == "event" || string(top) == "log")
}

// bytesOf is a list of numbers as a string of JSON: so the journal writes a text that is no
// UTF-8 (systemd's "Journal JSON Format").
func (p *Parser) bytesOf(list []byte) []byte {
	at, n := len(p.scratch), 0
	for i, c := range list {
		switch {
		case isDigit(c) && n < 256:
			n = n*10 + int(c-'0')
		case (c == ',' || c == ']') && isDigit(list[i-1]) && n < 256:
			if n == '\\' {
				p.scratch = append(p.scratch, '\\')
			}
			p.scratch, n = append(p.scratch, byte(n)), 0
		case c != '[' && c != ' ':
			return nil // strings: the field was given twice
		}
		if c == ']' {
			break
		}
	}
	return p.scratch[at:len(p.scratch):len(p.scratch)]
}

// readLogfmt takes a line apart that is nothing but names and values: NAME=VALUE and
// NAME="VALUE", with the escapes of JSON, and blanks between them.
func (o *object) readLogfmt(b []byte, p *Parser) bool {
	o.size, o.direct = len(b), true
	p.room(len(b))
	for i := 0; i < len(b); {
		start := i
		for i < len(b) && nameByte[b[i]] {
			i++
		}
		if i == start || i == len(b) || b[i] != '=' {
			return false
		}
		key := b[start:i]
		i++
		if start = i; i < len(b) && b[i] == '"' {
			end := closingQuote(b, i+1)
			if end < 0 {
				return false
			}
			start, i = i+1, end+1
			o.field(key, b[start:end], p)
		} else {
			for i < len(b) && b[i] != ' ' {
				if b[i] == '"' || b[i] == '=' {
					return false
				}
				i++
			}
			o.field(key, b[start:i], p)
		}
		if i < len(b) && b[i] != ' ' {
			return false
		}
		for i < len(b) && b[i] == ' ' {
			i++
		}
	}
	return o.choose(p)
}

// nameByte are the bytes of a name in logfmt.
var nameByte = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum[c] || c == '_' || c == '.' || c == '@' || c == '-'
	}
	return t
}()

// beginsLogfmt reports what may be a name and a value.
func beginsLogfmt(b []byte) bool {
	i := 0
	for i < len(b) && i < 32 && nameByte[b[i]] {
		i++
	}
	return i > 0 && i+1 < len(b) && b[i] == '=' && b[i+1] != '<' && b[i+1] != ' '
}

// room makes room for the texts out of n bytes. Scratch never grows below, so that slices
// of it stay.
func (p *Parser) room(n int) {
	if p.scratch = p.scratch[:0]; cap(p.scratch) < n+64 {
		p.scratch = make([]byte, 0, n+64)
	}
}

// choose takes the text for the line: one that holds a delivery before one that holds none.
// Further texts are kept where they hold another delivery. It reports false where there is
// no text.
func (o *object) choose(p *Parser) bool {
	more := o.more[:o.count]
	o.count = 0
	if len(more) > 0 {
		holds := holdsDelivery(o.text)
		for _, t := range more {
			switch {
			case holdsDelivery(t.text):
				if !holds && !o.beside(t) {
					o.text, holds = t.text, true
					continue
				}
				o.more[o.count] = t
				o.count++
			case !holds && !o.beside(t) && !mayHoldLine(o.text) && mayHoldLine(t.text):
				o.text = t.text
			}
		}
	}
	o.text = unescapeJSON(o.text, &p.scratch)
	more = o.more[:o.count]
	o.count = 0
	for _, t := range more {
		t.text = trimSpace(unescapeJSON(t.text, &p.scratch))
		switch text := trimSpace(o.text); {
		case bytes.HasSuffix(text, t.text):
		case bytes.HasSuffix(t.text, text) && !o.beside(t):
			o.text = t.text // the same with its header
		default:
			o.more[o.count] = t
			o.count++
		}
	}
	return o.text != nil
}

// closingQuote is the index of the quote that ends the JSON string whose first byte is
// at i, or -1.
func closingQuote(b []byte, i int) int {
	for {
		// Most strings are shorter than it takes to call IndexByte.
		const ones, quotes, high = 0x0101010101010101, 0x2222222222222222, 0x8080808080808080
		for n := 0; n < 3 && i+8 <= len(b); n++ {
			x := binary.LittleEndian.Uint64(b[i:]) ^ quotes
			if x = (x - ones) &^ x & high; x != 0 {
				i += bits.TrailingZeros64(x) / 8
				goto found
			}
			i += 8
		}
		if j := bytes.IndexByte(b[i:], '"'); j >= 0 {
			i += j
		} else {
			return -1
		}
	found:
		if b[i-1] != '\\' {
			return i
		}
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
	case "text", "body", "content", "payload", "event", "stringvalue":
		o.line(1, v)
	case "msg", "_msg", "short_message":
		o.line(2, v)
	case "message", "MESSAGE", "@message", "textpayload", "syslogmessage":
		o.line(3, v)
	case "line", "log", "full_message":
		o.line(4, v)
	case "_raw", "raw", "rawmsg", "original", "event.original", "full_log":
		o.line(5, v)
	case "time", "timestamp", "@timestamp", "ts", "date", "datetime", "_time", "timereported", "timegenerated", "eventtime", "DATE", "ISODATE":
		if o.form == stampNone {
			o.time(v, p)
		}
	case "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP":
		o.form, o.at = stampNone, time.Time{} // more exact than any other
		o.unix(v, p)
	case "_HOSTNAME", "hostname", "host", "HOSTNAME", "HOST", "computer":
		if plainLocal(v) {
			o.host = v
		}
	case "SYSLOG_IDENTIFIER", "programname", "ident", "_application_name", "app-name", "appname", "app_name", "program", "PROGRAM", "processname":
		o.program = v
	case "CONTAINER_ID", "CONTAINER_NAME", "container_id", "container_name":
		o.container = true
	case "method", "request_method", "verb", "request", "uri", "user_agent":
		o.request = true
	case "syslog_identifier", "syslogtag":
		o.program, _, _ = bytes.Cut(bytes.TrimSuffix(v, []byte(":")), []byte("["))
	default:
		// "Message", "eventTime", "TimeGenerated"
		if n := len(key); n >= 3 && n <= len(foldable) && key[n-1] >= 'a' {
			var lower [len(foldable)]byte
			folded := false
			for i, c := range key {
				if c-'A' < 26 {
					c, folded = c|0x20, true
				}
				lower[i] = c
			}
			if folded {
				o.field(lower[:n], v, p)
			}
		}
	}
}

// foldable is as long as the longest name that is also known with capitals in it.
const foldable = "syslogmessage"

// line takes a text in, as it stands in JSON.
func (o *object) line(rank int, v []byte) {
	t := namedText{v, rank}
	if o.direct && rank > 1 {
		t.rank += usual
	}
	if t.rank > o.rank {
		o.namedText, t = t, o.namedText
	}
	if len(t.text) == 0 {
		return
	}
	if o.count < len(o.more) {
		o.more[o.count] = t
		o.count++
	} else {
		o.lost = o.lost || holdsDelivery(t.text)
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
		o.form, o.stamp, o.at = p.clock.form, v, p.clock.now
		return
	}
	if form, n := scanStamp(v); n > 0 {
		o.form, o.stamp = form, v[:n]
		if form == stampISO {
			p.clock.read(&header{form: form, stamp: o.stamp, plain: true}) // for the next one
		}
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
		o.form, o.at = stampUnix, p.clock.now
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
