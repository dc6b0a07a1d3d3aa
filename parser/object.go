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
	if o.exact {
		return p.openText(text, &out, r, offset)
	}
	text = trimSpace(text)
	line, lost := p.oneLine(text)
	if lost {
		return Unparsed
	}
	kind := p.openText(line, &out, r, offset)
	if kind == Skipped && len(line) < len(text) {
		return unparsedDelivery(text) // its fields are on both sides of a line break
	}
	return kind
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

// authors are the authors that the fields of an object give for its text.
type authors [5]author

// If there are several names, the most exact one that gives an author decides.
const (
	ofEngine = iota // the container that an engine names; its program is a tag
	ofProgram
	ofContainer
	ofUnit // also pods
	ofApplication
)

// name adds a name of a rank.
func (a *authors) name(rank int, name []byte, p *Parser) {
	prog := p.programs.get(name)
	is := prog.author
	if rank <= ofUnit && (prog.daemon != notPostfix || prog.exim) {
		is = mailServer
	}
	a[rank] = max(a[rank], is)
}

// who returns the author according to all names.
func (a *authors) who() author {
	for _, is := range a {
		if is != nobody {
			return is
		}
	}
	return nobody
}

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

// beside reads a field of the object itself, beside its text, that is not one of the fields of
// every log library. A field that neither a shipper nor an exporter is known to write is an
// application's: the address in a form, the customer of a ticket. v is the value, or the beginning of
// an object or a list; a text "{" is no object, since strangers write texts. beside reports whether
// the value is used.
func (o *object) beside(key, v []byte, isObject bool, p *Parser) (used bool) {
	if isOfJournal(key) {
		return false
	}
	var buf [32]byte
	name, dot := buf[:0], false
	for i, c := range key {
		if c == '.' && !dot && i > 0 {
			dot = true
			if isShippersObject(string(name)) {
				if used = string(key) == "log.file.path"; used {
					o.vouch(v, p)
				}
				return used
			}
		}
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != '_' && c != '.' && c != '-' && c != '@' && c != ' ' && len(name) < len(buf) {
			name = append(name, c)
		}
	}
	switch string(name) {
	case "path":
		if o.direct { // a file's path for Logstash, else Vector's field beside "source_type"
			o.add(signPath, len(v) == 0 || v[0] != '/' || !bytes.Contains(v, []byte("log")))
			return true
		}
		fallthrough
	case "file", "filename", "filepath", "logname", "loggroup", "loggroupname", "logstream", "logstreamname", "image", "imagename", "job":
		o.vouch(v, p)
		return true
	case "sourcetype":
		o.signs |= signShipped
	case "total", "maxscore":
		o.add(signAlien, string(o.parent) != "hits") // of Elasticsearch
	case "status": // of Datadog
		o.add(signAlien, !isLevel(v))
		return true
	case "useragent", "http", "url", "headers": // of Logstash's input, which writes them as objects
		o.add(signAlien, !isObject)
	default:
		o.add(signAlien, o.direct && !isShippersField(string(name)) && !(isObject && isShippersObject(string(name))))
	}
	return false
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
