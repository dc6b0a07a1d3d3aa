package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"
)

// open reads the text that an object carries, where it is believed.
func (p *Parser) open(o *object, outer *envelope, r *Result, offset int64) Kind {
	if !o.believed() {
		return o.refused()
	}
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
	if out.program == nil {
		out.program = outer.program
	}
	out.object, out.vouched = true, outer.vouched || p.vouched || o.vouched || o.who() == mailServer
	text := o.text
	at := criText(text)
	if cut := o.cut && !o.last || at > 0 && text[at-2] == 'P'; cut || len(p.pieces.begun) > 0 {
		stream := slices.Concat(o.stream, []byte(" "), o.container)
		var kind Kind
		var ok bool
		if text, kind, ok = p.pieces.join(stream, text, at, len(text), cut); !ok {
			r.Time, r.Program = p.Last(), ""
			return kind
		}
	}
	if !hasControl(text) {
		return p.openLine(trimSpace(text), &out, r, offset)
	}
	if !o.exact {
		var lost bool
		if text, lost = p.oneLine(trimSpace(text)); lost {
			return Unparsed
		}
	}
	return p.openText(text, &out, r, offset)
}

// believed reports whether the text of an object is a line that a mail server wrote: if a name
// in the object says so. If none says who wrote it, the object has one text, which is all that
// it is about: nothing stands beside it but what loggers of lines and shippers write, and beside
// a text under a name that is mostly that of a form's field, nothing but what all of them write.
func (o *object) believed() bool {
	switch {
	case o.text == nil || o.doubt:
		return false
	case o.who() == nobody:
		return o.rank == rankOfRaw && o.stored || !o.alien && (o.shipped || !o.path) && (o.rank > rankOfForm || !o.more)
	}
	return o.who() == mailServer
}

// refused is the kind of an object that is not believed.
func (o *object) refused() Kind {
	if o.elsewhere != nil {
		return Unparsed
	}
	return unparsedDelivery(o.text)
}

// unparsedDelivery is the kind of a text that is not believed.
func unparsedDelivery(text []byte) Kind {
	if holdsDelivery(text) {
		return Unparsed
	}
	return Skipped
}

// openText reads a text of an object with the given envelope, which may hold control characters.
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

// oneLine is the first line of a text that was escaped: who writes the object of a line into a log
// has one line. What follows was a stranger's "\n", where quotes and backslashes are not escaped.
// It reports whether a delivery stands there.
func (p *Parser) oneLine(text []byte) (line []byte, lost bool) {
	i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && isBreak(byte(r)) })
	if i < 0 {
		return text, false
	}
	if text[i] == 0 {
		if _, isWide := p.narrow(text); isWide {
			return text, false
		}
	}
	return text[:i], holdsDelivery(text[i:])
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
	if _, same := w.clock.again(text); same {
		return w.parse(text, r, offset)
	}
	if known && len(text) > 0 && alnum[text[0]] {
		_, n := scanStamp(text)
		if n == 0 && !isProgramToken(text[:max(0, bytes.IndexByte(text, ' '))]) { // the journal's messages have no header
			if !p.timed(w, out) {
				return Unparsed
			}
			return w.bare(named, text, r, offset)
		}
	}
	h := &w.h
	if len(out.program) > 0 && !known && !p.beginsAtOnce(text, h) {
		return unparsedDelivery(text) // words of what passes lines on
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
			if !out.vouched {
				return unparsedDelivery(text) // any application may have logged it: it names nobody
			}
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

// An object is a line that is JSON, or of names and values (logfmt), as far as it is of
// use. Of the objects within, the fields that say when, where and who are read as if they were
// its own; their texts are its own where the object within is all that an exporter wraps.
type object struct {
	envelope
	authors

	text  []byte
	rank  int // of the name that the text stands under
	texts [7][]byte
	count int

	elsewhere     []byte // what holds a delivery and is no text
	doubt         bool   // which text is the line is not clear
	more          bool   // a field that not every logger writes
	alien         bool   // a field that an application writes, and no shipper
	path, shipped bool   // a "path" that may be a request's; what a shipper's input writes beside one
	stored        bool   // a name that only log stores give a text, beside what they found in it
	vouched       bool   // a host or a file is named after a mail server
	size          int    // how many bytes of the line it takes
	stream        []byte // "stdout"
	container     []byte // its id, or its name
	cut, last     bool   // the text is a piece of a line; the last one
	exact         bool   // the text is as it was logged, with nothing escaped
	direct        bool   // the field that is read is the object's own
	parent        []byte // the name of the object within in which it stands
}

// Ranks of the names of texts: of the raw line, what else an object says was made of it.
const (
	rankOfForm = iota + 1 // "text", "body": also names of fields that visitors fill
	rankOfMessage
	rankOfRaw
)

// maxNested bounds how deep in an object others are read.
const maxNested = 8

// read takes an object apart. It reports false where there is no text.
func (o *object) read(b []byte, p *Parser) bool {
	return o.members(b, p) && o.text != nil && o.choose(p)
}

// members reads the fields of an object of JSON, or of one in logfmt.
func (o *object) members(b []byte, p *Parser) bool {
	if b[0] == '{' || b[0] == '"' {
		return o.readJSON(b, p)
	}
	return o.readLogfmt(b, p)
}

// readJSON takes an object of JSON apart. Strings with escapes are undone into p.scratch.
func (o *object) readJSON(b []byte, p *Parser) bool {
	o.size = len(b)
	p.room(len(b))
	depth := 0
	var names [maxNested + 1][]byte  // the last name at each depth
	own := [maxNested + 1]bool{true} // the fields at each depth are the object's own
	i := 0
scan:
	for i < len(b) {
		switch b[i] {
		case '{':
			if depth++; depth > maxNested {
				break scan
			}
			names[depth], own[depth] = nil, depth == 1 || own[depth-1] && isExporter(names[depth-1])
			i++
		case '}':
			i++
			if depth--; depth <= 0 {
				o.size = i
				return true
			}
		case '"':
			end := closingQuote(b, i+1)
			if end < 0 {
				break scan
			}
			key := b[i+1 : end]
			if len(key) > len(foldable) {
				o.search(key)
			}
			for i = end + 1; i < len(b) && b[i] == ' '; i++ {
			}
			if i == len(b) || b[i] != ':' { // a string in a list
				if string(names[depth]) == "values" && own[depth] {
					o.value(key, p)
				} else {
					o.other(key)
				}
				continue
			}
			for i++; i < len(b) && b[i] == ' '; i++ {
			}
			if i == len(b) {
				break scan
			}
			names[depth] = key
			o.direct, o.parent = own[depth], nil
			if depth > 1 {
				o.parent = names[depth-1]
				o.direct = o.direct || own[depth-1] && isMember(o.parent, key)
			}
			start := i
			switch c := b[i]; {
			case c == '"':
				if end = closingQuote(b, i+1); end < 0 {
					break scan
				}
				start, i = i+1, end+1
				o.field(key, b[start:end], p)
			case c == '-' || isDigit(c):
				for i < len(b) && (isDigit(b[i]) || b[i] == '.' || b[i] == '-') {
					i++
				}
				o.field(key, b[start:i], p)
			case c == '[' && i+1 < len(b) && (b[i+1] == ' ' || isDigit(b[i+1])):
				if own[depth] && b[i+1] == ' ' && !isExporter(key) {
					o.beside(key, b[i:i+1], p)
				}
				if v := p.bytesOf(b[i:]); v != nil {
					o.field(key, v, p)
				}
			case own[depth] && !isExporter(key):
				o.beside(key, b[i:i+1], p)
			}
		default:
			i++
		}
	}
	o.search(b[min(i, len(b)):])
	return true
}

// isExporter reports the name of an object that a tool wraps round each object that it
// exports, or a list of these: Elasticsearch's, Splunk's, those of Google Cloud, CloudWatch, Loki and
// OpenTelemetry.
func isExporter(name []byte) bool {
	switch string(name) {
	case "_source", "result", "results", "jsonPayload", "events", "entries", "logEvents", "hits", "records", "Records", "resourceLogs", "scopeLogs", "logRecords", "streams", "values":
		return true
	}
	return false
}

// isMember reports a text that stands in an object of its own: event.original and log.original
// of the Elastic Common Schema, body.stringValue of OpenTelemetry.
func isMember(parent, key []byte) bool {
	switch string(parent) {
	case "event", "log":
		return string(key) == "original"
	case "body", "Body":
		return string(key) == "stringValue"
	}
	return false
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
	return true
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

// choose takes the text for the line: the raw one, or the longest, which the others are parts
// of. An object with two texts is about something else: a form, a request, a remark on what
// somebody sent. It reports false where there is no text.
func (o *object) choose(p *Parser) bool {
	o.text = trimSpace(unescapeJSON(o.text, &p.scratch))
	for _, t := range o.texts[:o.count] {
		t = trimSpace(unescapeJSON(t, &p.scratch))
		switch {
		case isEnd(t, o.text):
		case isEnd(o.text, t):
			o.text = t // the same with its header
		default:
			o.differs(t, o.rank < rankOfRaw)
		}
	}
	o.count = 0
	if o.elsewhere != nil && !o.doubt {
		t := trimSpace(unescapeJSON(o.elsewhere, &p.scratch))
		o.doubt = !isEnd(t, o.text) && !isEnd(o.text, t)
	}
	return o.text != nil
}

// isEnd reports whether part is the beginning or the end of a text.
func isEnd(part, text []byte) bool {
	return len(part) > 0 && (bytes.HasSuffix(text, part) || bytes.HasPrefix(text, part))
}

// differs takes in a text that is no part of the one for the line.
func (o *object) differs(t []byte, doubt bool) {
	if holdsDelivery(t) {
		o.elsewhere, doubt = t, true
	}
	o.doubt = o.doubt || doubt
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
// the time and the host; and who wrote it.
func (o *object) field(key, v []byte, p *Parser) {
	switch string(key) {
	case "text", "body", "content", "payload", "event":
		o.line(rankOfForm, v)
		return
	case "message", "MESSAGE", "@message", "msg", "_msg", "log", "line", "short_message", "full_message", "textpayload", "syslogmessage", "logmessage", "logentry", "stringvalue", "@m", "@mt", "messagetemplate":
		o.line(rankOfMessage, v)
		return
	case "_raw", "raw", "rawmsg", "original", "event.original", "full_log":
		o.stored = o.stored || string(key) != "raw" && (string(key) != "original" || isMember(o.parent, key))
		o.line(rankOfRaw, v)
		return
	case "time", "timestamp", "@timestamp", "ts", "date", "datetime", "_time", "_messagetime", "timereported", "timegenerated", "eventtime", "dt", "DATE", "ISODATE":
		if o.form == stampNone {
			o.time(v, p)
		}
	case "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP":
		o.form, o.at = stampNone, time.Time{} // more exact than any other
		o.unix(v, p)
	case "_HOSTNAME", "hostname", "host", "HOSTNAME", "HOST", "computer":
		if plainLocal(v) {
			o.host = v
			first, _, _ := bytes.Cut(v, []byte("."))
			o.vouch(first, p)
		}
	case "SYSLOG_IDENTIFIER", "programname", "ident", "_program", "sourcename", "_application_name", "application_name", "app-name", "appname", "app_name", "program", "PROGRAM", "processname", "process.name":
		o.wrote(ofProgram, v, p)
	case "tag":
		if len(v) == 0 || v[len(v)-1] != ':' {
			o.wrote(ofApplication, v, p)
			break
		}
		fallthrough // of syslog
	case "syslog_identifier", "syslogtag", "syslog-tag":
		name, _, _ := bytes.Cut(bytes.TrimSuffix(v, []byte(":")), []byte("["))
		o.wrote(ofProgram, name, p)
	case "CONTAINER_NAME":
		o.wrote(ofEngine, v, p)
	case "container_name", "_container_name", "container", "containername", "container.name":
		o.wrote(ofContainer, v, p)
	case "_COMM", "_EXE", "_SYSTEMD_UNIT", "UNIT", "unit", "pod", "pod_name", "podname", "pod.name":
		o.wrote(ofUnit, v, p)
	case "app", "application", "service", "service_name", "servicename", "service.name", "component", "target":
		o.wrote(ofApplication, v, p)
	case "logger", "logger_name", "loggername", "log.logger", "channel":
		o.wrote(ofApplication, v, p)
		o.alien = true
	case "name":
		switch string(o.parent) {
		case "host":
			o.field([]byte("hostname"), v, p)
		case "process":
			o.wrote(ofProgram, v, p)
		case "container":
			o.wrote(ofContainer, v, p)
		case "pod":
			o.wrote(ofUnit, v, p)
		case "app", "application", "service":
			o.wrote(ofApplication, v, p)
		case "": // a logger's, or a visitor's: it vouches for nobody
			if o.alien = true; p.programs.get(v).author == another {
				o.authors[ofApplication] = another
			}
		default:
			o.other(v)
		}
	case "method", "request_method", "verb", "request", "uri", "user_agent":
		if o.parent == nil { // it is about a request, and a web server's; else the shipper's
			o.authors[ofApplication] = another
		}
		o.other(v)
	case "stream":
		o.stream = v
	case "CONTAINER_ID", "container_id", "docker_id":
		o.container = v
	case "logtag", "_p":
		o.cut = string(v) == "P"
	case "CONTAINER_PARTIAL_MESSAGE", "partial_message":
		o.cut = string(v) == "true"
	case "partial_last":
		o.last = string(v) == "true"
	case "level":
		if len(v) > 1 && allDigits(v) && o.direct { // severities have one digit; those of libraries are 10, 30, 200
			o.alien = true
		}
	case "pid", "procid":
		o.pid = v
	case "severity", "severitytext", "facility", "priority", "pri", "source", "sourcetype", "index":
	default:
		if string(key) == "_PID" {
			o.pid = v
		}
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
				return
			}
		}
		if o.other(v); o.direct || string(o.parent) == "file" || string(o.parent) == "image" {
			o.beside(key, v, p)
		}
		return
	}
	if len(v) > maxStamp+16 {
		o.search(v)
	}
}

// value takes in a member of a pair of Loki's: the time in nanoseconds, the text.
func (o *object) value(v []byte, p *Parser) {
	if allDigits(v) {
		o.unix(v, p)
		return
	}
	o.direct = true
	o.field([]byte("line"), v, p)
}

// wrote takes in a name of who wrote the text.
func (o *object) wrote(rank int, name []byte, p *Parser) {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = bytes.ReplaceAll(name, []byte(`\/`), []byte("/")) // as PHP writes it
	}
	if rank == ofProgram && !bytes.HasPrefix(o.program, name) { // "postfix/smtp" says more than "postfix"
		o.program = name
	}
	if rank < ofApplication && rank != ofProgram && o.container == nil {
		o.container = name
	}
	o.name(rank, name, p)
}

// other takes in the value of a field that not every logger writes and that is no text.
func (o *object) other(v []byte) {
	o.more = true
	o.alien = o.alien || string(o.parent) == "body" // a form; a log's has its text alone (isMember)
	o.search(v)
}

// vouch takes in what may be named after a mail server, but does not say who wrote the text.
func (o *object) vouch(name []byte, p *Parser) {
	o.vouched = o.vouched || p.programs.get(name).author == mailServer
}

// search looks for a delivery in what is no text.
func (o *object) search(v []byte) {
	const shortest = len("to=<status=")
	if len(v) < shortest || !holdsDelivery(v) {
		return
	}
	o.doubt = o.doubt || o.elsewhere != nil && !bytes.Equal(o.elsewhere, v)
	o.elsewhere = v
}

// foldable is as long as the longest name that is also known with capitals in it.
const foldable = "messagetemplate"

// line takes a text in, as it stands in JSON. The name of a file and a number are none, nor is
// what stands in an object within.
func (o *object) line(rank int, v []byte) {
	isNone := len(v) == 0 || v[0] == '/' && bytes.IndexByte(v, ' ') < 0 || allDigits(v)
	switch {
	case isNone:
	case !o.direct:
		o.other(v)
	case o.rank == 0:
		o.text, o.rank = v, rank
	case o.count == len(o.texts):
		o.differs(v, true)
	case rank > o.rank:
		o.texts[o.count], o.text, o.rank = o.text, v, rank
		o.count++
	default:
		o.texts[o.count] = v
		o.count++
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
			c, ok := hexRune(v[i+1 : i+5])
			if !ok {
				b = append(b, '\\', 'u')
				continue
			}
			i += 4
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, v[i])
		}
	}
	*buf = b
	return b[at:]
}

// hexRune is the character that hexadecimal digits name.
func hexRune(digits []byte) (r rune, ok bool) {
	for _, c := range digits {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20-'a' < 6:
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
