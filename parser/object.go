package parser

import (
	"bytes"
	"slices"
	"time"
)

// open reads the text of an object if the object is believed.
func (p *Parser) open(o *object, outer *envelope, r *Result, offset int64) Kind {
	author := o.who()
	if !o.believed(author) {
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
	out.object, out.vouched = true, outer.vouched || p.vouched || o.has(signVouched) || author == mailServer
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

// believed reports whether a mail server wrote the text of an object; by is the author according to the
// names in the object. If no name identifies the author, the object must have one text as its whole subject: its
// other fields must be ones that log libraries and shippers write. If the text's own name is common
// in forms, all of them must be fields that every such program writes.
func (o *object) believed(by author) bool {
	switch {
	case o.text == nil || o.doubt:
		return false
	case by == nobody:
		return o.rank == rankOfRaw && o.has(signStored) || !o.has(signAlien) && (o.has(signShipped) || !o.has(signPath)) && (o.rank > rankOfForm || !o.has(signMore))
	}
	return by == mailServer
}

// refused returns the kind of an object that is not believed.
func (o *object) refused() Kind {
	if o.elsewhere != nil {
		return Unparsed
	}
	return unparsedDelivery(o.text)
}

// openText reads a text of an object with the given envelope. The text may hold control characters.
func (p *Parser) openText(text []byte, out *envelope, r *Result, offset int64) Kind {
	text = trimSpace(text)
	if hasControl(text) {
		o := *out // a copy, because the closure moves it to the heap
		return p.inside().controlled(text, r, offset, func(line []byte, r *Result, offset int64) Kind {
			return p.openLine(line, &o, r, offset)
		})
	}
	return p.openLine(text, out, r, offset)
}

// oneLine returns the first line of an escaped text. A program that logs a line as an object has
// one line. Text after it is a stranger's "\n", in objects that do not escape quotes and
// backslashes. lost reports whether that text holds a delivery.
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

// openLine reads the line in an object with the given envelope.
func (p *Parser) openLine(text []byte, out *envelope, r *Result, offset int64) Kind {
	w := p.inside()
	p.enclose(w, out)
	if w.clock.sameStart(text) {
		return w.parse(text, r, offset)
	}
	if rest, same := w.stampAgain(text); same {
		return w.parseAfter(rest, text, r, offset)
	}
	named := p.programs.get(out.program)
	known := named.daemon != notPostfix || named.exim
	if known && len(text) > 0 && alnum[text[0]] {
		_, n := scanStamp(text)
		if n == 0 && !isProgramToken(text[:max(0, bytes.IndexByte(text, ' '))]) { // messages of the journal have no header
			if !p.timed(w, out) {
				return Unparsed
			}
			return w.bare(named, text, r, offset)
		}
	}
	h := &w.h
	if len(out.program) > 0 && !known && !p.beginsAtOnce(text, h) {
		return unparsedDelivery(text) // a forwarder's own message
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
				return unparsedDelivery(text) // any application may have logged it: no author is named
			}
			return w.bare(&noProgram, text, r, offset)
		}
	}
	return w.parse(text, r, offset)
}

// beginsAtOnce reports whether an MTA's line may begin directly at the start of the message of a
// program that is not an MTA. It overwrites h.
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

// An object holds the relevant fields of a line that is JSON or logfmt (names and values). Fields
// of nested objects for time, host and author count as its own. Texts of a nested object count as
// its own only if an exporter wraps nothing else.
type object struct {
	envelope   // its time, host and program
	authors    // of its text
	signs      // for and against a log line
	candidates // its texts
	fragment   // the text, if it is a piece of a line
	place      // of the current field

	size   int  // its length in bytes in the line
	exact  bool // the text is exactly as logged, without escapes
	valued bool // a text or a time has been read
}

// signs tell a log line from an application's record. They do not depend on the order of the fields.
type signs uint8

const (
	signMore    signs = 1 << iota // a field that not every logger writes
	signAlien                     // a field that applications write and shippers do not
	signPath                      // a "path" that may be a request's
	signShipped                   // a field that a shipper's input writes beside a path
	signStored                    // the text's name is used only by log stores, beside the fields that they extracted from it
	signVouched                   // a host or a file is named after a mail server
)

func (s *signs) add(sign signs, is bool) {
	if is {
		*s |= sign
	}
}

func (s signs) has(sign signs) bool { return s&sign != 0 }

// candidates are the texts of an object. The method choose selects the line among them.
type candidates struct {
	text   []byte
	rank   int // of the name of the text's field
	others [7][]byte
	count  int

	elsewhere []byte // a value that holds a delivery but is not a text
	doubt     bool   // it is not clear which text is the line
}

// A fragment is the information that log drivers give about a piece of a line.
type fragment struct {
	stream    []byte // "stdout"
	container []byte // the container's id or name
	cut, last bool   // the text is a piece of a line; it is the last piece
}

// A place says where in an object a field is.
type place struct {
	direct bool   // it is the object's own
	parent []byte // the name of the nested object that holds it
}

// Ranks of the names of texts, from other texts that an object holds up to the raw line.
const (
	rankOfForm = iota + 1 // "text", "body": also names of form fields that visitors fill in
	rankOfMessage
	rankOfRaw
)

// read parses an object. It returns false if it has no text.
func (o *object) read(b []byte, p *Parser) bool {
	return o.members(b, p) && o.text != nil && o.choose(p)
}

// members reads the fields of an object in JSON or logfmt.
func (o *object) members(b []byte, p *Parser) bool {
	if b[0] == '{' || b[0] == '"' {
		return p.outline.read(o, b, p) || o.readJSON(b, p)
	}
	return o.readLogfmt(b, p)
}

// readJSON parses an object in JSON, and makes the outline for the next ones of it. Strings with
// escapes are unescaped into p.scratch.
func (o *object) readJSON(b []byte, p *Parser) bool {
	o.size = len(b)
	p.room(len(b))
	b = p.outline.begin(b)
	depth := 0
	var names [maxNested + 1][]byte  // the last name at each depth
	own := [maxNested + 1]bool{true} // the fields at each depth are the object's own
	var earlier, unused signs        // of the fields before this one; of those whose values are not used
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
				o.signs |= earlier
				if p.outline.learning && i == len(b) && o.elsewhere == nil && !o.doubt {
					p.outline.next.signs = unused
					p.outline.finish()
				}
				return true
			}
		case '"':
			start, end := i+1, closingQuote(b, i+1)
			if end < 0 {
				break scan
			}
			earlier, o.signs = earlier|o.signs, 0
			key := b[start:end]
			if len(key) > len(foldable) {
				o.search(key)
			}
			for i = end + 1; i < len(b) && b[i] == ' '; i++ {
			}
			var m member
			if i < len(b) && b[i] == ':' {
				for i++; i < len(b) && b[i] == ' '; i++ {
				}
				if i == len(b) {
					break scan
				}
				names[depth] = key
				o.place = place{direct: own[depth]}
				if depth > 1 {
					o.parent = names[depth-1]
					o.direct = o.direct || own[depth-1] && isMember(o.parent, key)
				}
				switch c := b[i]; {
				case c == '"':
					if end = closingQuote(b, i+1); end < 0 {
						break scan
					}
					m = member{place: o.place, key: key, start: i + 1, end: end}
					i = end + 1
					o.valued = false
					m.used = o.field(key, b[m.start:end], p)
					m.valued = o.valued
				case c == '-' || isDigit(c):
					m = member{place: o.place, key: key, start: i, end: endOfNumber(b, i)}
					i = m.end
					o.valued = false
					m.used = o.field(key, b[m.start:i], p)
					m.valued = o.valued
				case c == '[' && i+1 < len(b) && (b[i+1] == ' ' || isDigit(b[i+1])):
					if own[depth] && b[i+1] == ' ' && !isExporter(key) {
						o.beside(key, b[i:i+1], false, p)
					}
					if v := p.bytesOf(b[i:]); v != nil {
						p.outline.learning = false
						o.field(key, v, p)
					}
				case own[depth] && !isExporter(key):
					o.beside(key, b[i:i+1], c == '{', p)
				}
			} else if string(names[depth]) == "values" && own[depth] { // a string in a list
				m = member{start: start, end: end, used: true, valued: true}
				o.value(key, p)
			} else {
				o.other(key)
			}
			if !m.used {
				unused |= o.signs
			}
			if p.outline.learning && m.end > 0 {
				p.outline.next.members = append(p.outline.next.members, m)
			}
		default:
			i++
		}
	}
	o.signs |= earlier
	o.search(b[min(i, len(b)):])
	return true
}

// isExporter reports whether an object or a list of this name is the wrapper that an export tool
// puts round each exported object: Elasticsearch, Splunk, Google Cloud, CloudWatch, Loki,
// OpenTelemetry.
func isExporter(name []byte) bool {
	switch string(name) {
	case "_source", "result", "results", "jsonPayload", "events", "entries", "logEvents", "hits", "records", "Records", "resourceLogs", "scopeLogs", "logRecords", "streams", "values":
		return true
	}
	return false
}

// isMember reports whether a member of a nested object is a text: event.original and log.original
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

// bytesOf returns a list of numbers as a JSON string. The journal writes a text that is not UTF-8
// as such a list (systemd's "Journal JSON Format").
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
			return nil // strings: the field occurred twice
		}
		if c == ']' {
			break
		}
	}
	return p.scratch[at:len(p.scratch):len(p.scratch)]
}

// readLogfmt parses a line that is nothing but names and values: NAME=VALUE and NAME="VALUE", with
// the escapes of JSON, and blanks between them.
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

// nameByte is the set of bytes in a logfmt name.
var nameByte = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum[c] || c == '_' || c == '.' || c == '@' || c == '-'
	}
	return t
}()

// beginsLogfmt reports whether b may begin with a name and a value.
func beginsLogfmt(b []byte) bool {
	i := 0
	for i < len(b) && i < 32 && nameByte[b[i]] {
		i++
	}
	return i > 0 && i+1 < len(b) && b[i] == '=' && b[i+1] != '<' && b[i+1] != ' '
}

// room allocates p.scratch for the texts of n input bytes. Later calls append within that capacity,
// so that slices of it stay valid.
func (p *Parser) room(n int) {
	if p.scratch = p.scratch[:0]; cap(p.scratch) < n+64 {
		p.scratch = make([]byte, 0, n+64)
	}
}

// choose selects the text for the line: the raw one, or the longest one that contains the others.
// An object with two different texts is not a log line but a form, a request, or a comment on
// somebody's message. It returns false if there is no text.
func (o *object) choose(p *Parser) bool {
	o.text = trimSpace(unescapeJSON(o.text, &p.scratch))
	for _, t := range o.others[:o.count] {
		t = trimSpace(unescapeJSON(t, &p.scratch))
		switch {
		case isEnd(t, o.text):
		case isEnd(o.text, t):
			o.text = t // the same text with its header
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

// isEnd reports whether part is the beginning or the end of text.
func isEnd(part, text []byte) bool {
	return len(part) > 0 && (bytes.HasSuffix(text, part) || bytes.HasPrefix(text, part))
}

// differs notes a text that is not part of the chosen text.
func (o *object) differs(t []byte, doubt bool) {
	if holdsDelivery(t) {
		o.elsewhere, doubt = t, true
	}
	o.doubt = o.doubt || doubt
}

// field reads a field with its unparsed JSON value: the text, under the names that log shippers use
// (the raw line takes precedence over the message); the time and the host; the author. It reports
// whether the value is used. If it is not, it is only searched for a delivery.
func (o *object) field(key, v []byte, p *Parser) (used bool) {
	switch string(key) {
	case "text", "body", "content", "payload", "event":
		o.line(rankOfForm, v)
		return true
	case "message", "MESSAGE", "@message", "msg", "_msg", "log", "line", "short_message", "full_message", "textpayload", "syslogmessage", "logmessage", "logentry", "stringvalue", "@m", "@mt", "messagetemplate":
		o.line(rankOfMessage, v)
		return true
	case "_raw", "raw", "rawmsg", "original", "event.original", "full_log":
		o.add(signStored, string(key) != "raw" && (string(key) != "original" || isMember(o.parent, key)))
		o.line(rankOfRaw, v)
		return true
	case "time", "timestamp", "@timestamp", "ts", "date", "datetime", "_time", "_messagetime", "timereported", "timegenerated", "eventtime", "dt", "DATE", "ISODATE":
		if o.valued = true; o.form == stampNone {
			o.time(v, p)
		}
	case "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP":
		o.form, o.at, o.valued = stampNone, time.Time{}, true // more exact than the other times
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
		o.signs |= signAlien
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
		case "": // a logger or a visitor: it does not vouch for the author
			if o.signs |= signAlien; p.programs.get(v).author == another {
				o.authors[ofApplication] = another
			}
		default:
			o.other(v)
		}
	case "method", "request_method", "verb", "request", "uri", "user_agent":
		if o.parent == nil { // it describes a request to a web server; else the field is the shipper's
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
		o.add(signAlien, len(v) > 1 && allDigits(v) && o.direct) // syslog severities have one digit; library levels are 10, 30, 200
	case "pid", "procid":
		o.pid = v
	case "__CURSOR": // journald makes it, and it is long: a program cannot put a delivery into it
		o.signs |= signMore
		return true
	case "severity", "severitytext", "facility", "priority", "pri", "source", "sourcetype", "index":
		o.search(v)
		return false
	default:
		if string(key) == "_PID" {
			o.pid = v
			used = true
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
				return o.field(lower[:n], v, p) || used
			}
		}
		if o.other(v); o.direct || string(o.parent) == "file" || string(o.parent) == "image" {
			used = o.beside(key, v, false, p) || used
		}
		return used
	}
	if len(v) > maxStamp+16 {
		o.search(v)
	}
	return true
}

// value reads one member of a Loki pair: the time in nanoseconds, or the text.
func (o *object) value(v []byte, p *Parser) {
	if allDigits(v) {
		o.unix(v, p)
		return
	}
	o.direct = true
	o.field([]byte("line"), v, p)
}

// wrote notes a name that may identify the author of the text.
func (o *object) wrote(rank int, name []byte, p *Parser) {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = bytes.ReplaceAll(name, []byte(`\/`), []byte("/")) // PHP escapes the slash
	}
	if rank == ofProgram && !bytes.HasPrefix(o.program, name) { // "postfix/smtp" is more exact than "postfix"
		o.program = name
	}
	if rank < ofApplication && rank != ofProgram && o.container == nil {
		o.container = name
	}
	o.name(rank, name, p)
}

// other reads the value of a field that is not a text and that not every log library writes.
func (o *object) other(v []byte) {
	o.signs |= signMore
	o.add(signAlien, string(o.parent) == "body") // a form's; a log's "body" holds only its text (isMember)
	o.search(v)
}

// vouch notes a name that may be a mail server's but does not identify the author of the text.
func (o *object) vouch(name []byte, p *Parser) {
	o.add(signVouched, p.programs.get(name).author == mailServer)
}

// search looks for a delivery in a value that is not a text.
func (o *object) search(v []byte) {
	const shortest = len("to=<status=")
	if len(v) < shortest || !holdsDelivery(v) {
		return
	}
	o.doubt = o.doubt || o.elsewhere != nil && !bytes.Equal(o.elsewhere, v)
	o.elsewhere = v
}

// foldable is the longest field name that is also known with capitals.
const foldable = "messagetemplate"

// line reads a text with its unparsed JSON value. File names, numbers and the texts of nested
// objects are not lines.
func (o *object) line(rank int, v []byte) {
	o.valued = true
	isNone := len(v) == 0 || v[0] == '/' && bytes.IndexByte(v, ' ') < 0 || allDigits(v)
	switch {
	case isNone:
	case !o.direct:
		o.other(v)
	case o.rank == 0:
		o.text, o.rank = v, rank
	case o.count == len(o.others):
		o.differs(v, true)
	case rank > o.rank:
		o.others[o.count], o.text, o.rank = o.text, v, rank
		o.count++
	default:
		o.others[o.count] = v
		o.count++
	}
}

// time reads the value of a time field.
func (o *object) time(v []byte, p *Parser) {
	// Most times are in the same minute as the previous one.
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
			p.clock.read(&header{form: form, stamp: o.stamp, plain: true}) // for the next line
		}
	} else if allDigits(v) || len(v) > 10 && v[10] == '.' && allDigits(v[:10]) && allDigits(v[11:]) {
		o.unix(v, p)
	}
}

// unix reads seconds, milliseconds or microseconds since 1970.
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
