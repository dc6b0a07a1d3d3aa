package parser

import (
	"bytes"
	"slices"
	"time"

	"bouncelog/bounce"
)

// A line of an MTA may be inside a line of something else: a container's log driver, a journal,
// grep, a log shipper, a mail that quotes it. A line that no header in header.go fits is searched
// once more here, with one mechanism. At each place near the beginning where a line could begin,
// the parser looks for an inner line. The first one that an MTA wrote counts, with the nearest time
// and host before it, provided that the text before it is nothing but a wrapper. The regular
// expression wrapperGrammar (grammar.go) defines a wrapper.
//
// This must not let strangers forge deliveries. Programs other than the MTA also log strangers'
// text: a web server logs the requested address, sshd a user name. So a wrapper has no words of
// prose, no quotes and no equals sign, and if it names a program, the inner line begins directly
// after the program.

// logMain is alone, or nearly alone, on a line of an Exim in the foreground.
const (
	logMain    = "LOG: MAIN"
	maxConsole = 64
)

// again removes the same wrapper as on the line before. It returns false if that wrapper does not
// fit.
func (p *Parser) again(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	w := p.within
	switch p.how {
	case behindLead:
		switch p.lead.next {
		case ledObject:
			return p.againObject(line, r, offset)
		case ledProgram:
			return p.againProgram(line, r, offset)
		}
		rest, same := p.lead.cut(line, &p.lead.clock)
		if !same {
			return 0, false
		}
		p.enclose(w, &envelope{host: p.lead.host})
		w.clock.beside = p.lead.zoned
		message, same := w.stampAgain(rest)
		if p.lead.timed && !same {
			return 0, false
		}
		kind = w.parseAfter(message, rest, r, offset)
	case behindHeader:
		rest, same := p.stampAgain(line)
		if !same {
			return 0, false
		}
		h := &p.h
		prog := p.fastHeader(rest, h)
		if prog == nil || prog.daemon != notPostfix || prog.exim || len(h.program) == 0 {
			return 0, false
		}
		if prog.author == another {
			return 0, false
		}
		if rest, same = w.stampAgain(h.message); !same {
			return 0, false
		}
		p.over = time.Time{}
		p.enclose(w, &envelope{host: h.host})
		kind = w.parseAfter(rest, h.message, r, offset)
	case inObject:
		return p.openWhole(line, &envelope{}, r, offset)
	default:
		return 0, false
	}
	p.foreign = w.foreign
	return kind, kind != Skipped || w.h.form != stampNone && len(w.h.program) > 0
}

// openWhole reads a line that is nothing but an object. It returns false for any other line.
func (p *Parser) openWhole(line []byte, out *envelope, r *Result, offset int64) (kind Kind, ok bool) {
	if len(line) == 0 || line[0] != '{' && !beginsLogfmt(line) {
		return 0, false
	}
	var o object
	if !o.read(line, p) || o.size < len(line) {
		return 0, false
	}
	return p.open(&o, out, r, offset), true
}

// againObject reads an object behind the same lead as the previous one.
func (p *Parser) againObject(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	l := &p.lead
	rest, ok := l.cut(line, &p.clock)
	if !ok {
		return 0, false
	}
	out := envelope{host: l.host, vouched: l.vouched}
	if l.timed {
		out.moment = moment{form: p.clock.form, stamp: l.stamp, at: p.clock.now}
	}
	return p.openWhole(rest, &out, r, offset+int64(len(line)-len(rest)))
}

// againProgram reads a line that begins with a program behind the same lead, with its time, as the previous
// one. As behind any header, the line of another program is not read in any other way, unless its message
// may be a line of an MTA.
func (p *Parser) againProgram(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	rest, ok := p.lead.cut(line, &p.clock)
	if !ok || isRequest(rest) {
		return 0, false
	}
	w := p.within
	inner := rest
	if n := len(w.host); n > 0 {
		if len(rest) <= n || rest[n] != ' ' || string(rest[:n]) != w.host {
			return 0, false
		}
		inner = rest[n+1:]
	}
	h := &w.h
	*h = header{}
	if !h.programMessage(inner) {
		return 0, false
	}
	switch prog := p.programs.get(h.program); {
	case prog.daemon != notPostfix || prog.exim:
		if !isProgramToken(inner[:max(0, bytes.IndexByte(inner, ' '))]) {
			return 0, false
		}
		p.enclose(w, &envelope{host: p.lead.host})
		w.over = p.clock.now
		w.clock.forget()
		w.clock.form = stampNone
		w.lead.clear()
		kind = w.parseAfter(rest, rest, r, offset)
		p.foreign = w.foreign
	case prog.author == another && !mayBegin(h):
		r.Time, r.Program = p.clock.now, prog.name
		p.foreign = false
		kind = unparsedDelivery(line)
	default:
		return 0, false
	}
	return kind, true
}

// enclose passes the wrapper's information to the parser of the inner lines.
func (p *Parser) enclose(w *Parser, out *envelope) {
	w.over, w.clock.beside, w.outerPID = time.Time{}, reference{}, out.pid
	w.inObject, w.vouched = p.inObject || out.object, p.vouched || out.vouched
	if len(out.host) > 0 && bytes.Equal(out.host, w.outerHost) {
		return
	}
	host := p.options.Host
	if isHostName(out.host) && !allDigits(out.host) {
		host = p.programs.get(out.host).name
	}
	if host != string(w.outerHost) {
		w.outerHost = []byte(host)
	}
}

// second searches a line that no known header fits for an inner line. The host and the program of
// its header are in p.h.
func (p *Parser) second(line []byte, r *Result, offset int64) Kind {
	h := &p.h
	if h.form != stampNone && len(h.program) > 0 && (!mayBegin(h) || p.programs.get(h.program).author == another && !isDigit(h.program[0])) { // but a queue id
		// A line of another program is not read in any other way.
		p.foreign = false
		return unparsedDelivery(line)
	}
	if p.depth == 0 && (hasPrefix(line, "__CURSOR=") || string(line) == "{") {
		p.how = inExport
		p.export.begin(len(line) == 1)
		return Skipped
	}
	if p.how == unwrapped && !p.onConsole && !mayHoldLine(line) {
		p.signless = true
		return Skipped
	}
	if hasPrefix(line, "data: {") { // journalctl -o json-sse
		return p.parse(line[len("data: "):], r, offset)
	}
	out := envelope{host: h.host}
	if kind := p.console(line, &out, r, offset); kind != Skipped {
		return kind
	}
	behind := len(h.program) > 0 && h.form != stampNone
	message := len(line) - len(h.message)
	kind, at := p.unwrap(line, &out, r, offset)
	if at < 0 && line[0] == '"' && p.depth < maxDepth {
		// One line of an indented object. The rest of the object is not known.
		o := object{signs: signMore}
		if i := closingQuote(line, 1); i > 0 && i+1 < len(line) && line[i+1] == ':' && o.read(line, p) {
			kind, at = p.open(&o, &out, r, offset), 0
		}
	}
	if at < 0 {
		return unparsedDelivery(line)
	}
	p.how, p.headless = unwrapped, false
	switch {
	case line[at] == '{' && at == 0:
		p.how = inObject
	case line[at] == '{' || beginsLogfmt(line[at:]): // the text before it decides who wrote it
		if p.authorBefore(line[:at], true) != another {
			p.learn(line, at, ledObject, &out)
		}
	case behind && at == message:
		p.how = behindHeader
	case at > 0 && p.within != nil && kind != Skipped && p.programBefore(line[:at]) == &noProgram:
		next := ledStamp
		if w := p.within; w.h.form == stampNone && len(w.h.program) > 0 && out.form != stampNone {
			next = ledProgram
		}
		p.learn(line, at, next, &out)
	}
	return kind
}

// learn makes the text before index at of the line the lead of the next lines.
func (p *Parser) learn(line []byte, at int, next ledText, out *envelope) {
	l := &p.lead
	if !l.learn(p.line, len(p.line)-len(line)+at, next, p) || next == ledProgram && !l.timed || next == ledStamp && l.timed && p.within.h.form == stampNone {
		l.clear()
		return
	}
	p.how, l.host, l.vouched = behindLead, append(l.host, out.host...), out.vouched
}

// unwrap removes one wrapper and reads the inner line, which begins at index at; at is negative if
// there is none.
func (p *Parser) unwrap(line []byte, out *envelope, r *Result, offset int64) (kind Kind, at int) {
	if p.depth == maxDepth {
		return Skipped, -1
	}
	stampEnd := 0
	start := true
	var last moment // the last one found, which may be the line's own
	for i := 0; i < len(line) && i < maxWrapper; i++ {
		c := line[i]
		if !start || c == ' ' {
			start = c == ' ' || c == ':' || c == '|' || c == '>' || c == ']' || c == '}' || c == '-'
			continue
		}
		rest := line[i:]
		start = (c == '#' || c == '/') && i < 2 || c == '+' || c == '-' || c == '>' || c == '|' || c == '[' && i == 0
		if c == '{' || beginsLogfmt(rest) {
			if kind, ok := p.objects(line, i, out, &last, r, offset); ok {
				return kind, i
			}
		}
		form, n := scanStamp(rest)
		if n > 0 {
			if i >= stampEnd {
				if last.form != stampNone {
					out.prefer(&last)
				}
				stampEnd = i + n
				last.form, last.stamp = form, rest[:n]
			}
		} else if i < stampEnd {
			continue
		}
		if i == 0 && n > 0 || n > 0 && n < len(rest) && rest[n] == ']' || !beginsLine(rest, n) {
			continue
		}
		h := &p.h
		splitHeader(rest, h)
		prog, bare := p.programs.get(h.program), false
		if prog.daemon == notPostfix && !prog.exim {
			switch {
			case n > 0 && h.form == stampExim && h.id != nil: // Exim's own log
			case n > 0 && prog.agent != "" && isBare(h.message, &p.unit): // journalctl -o with-unit
			case n > 0 && len(h.program) > 0 && bytes.HasSuffix(line[:i], []byte(": ")): // a header after a header
			case n > 0, bytes.HasSuffix(line[:i], []byte(": ")), !isBare(rest, h), isOfRequest(last.stamp):
				continue // text of another program
			default:
				prog, bare = p.programBefore(line[:i]), true
				if before := bytes.TrimRight(line[:i], " |,;"); prog == &noProgram && len(before) > 0 &&
					(before[len(before)-1] == ':' || line[i-1] == ' ' && alnum[before[len(before)-1]] && len(before) == i-1) {
					return Skipped, -1 // after another program or a word: it may be in a sentence
				}
			}
		}
		words := line[:i]
		if h.form == stampNone {
			words = line[:i+len(h.host)] // the host may be another word
		}
		if !isWrapper(line[:i], &p.shapes) || isProse(words) || isRequest(rest) || bytes.ContainsAny(h.host, "\"'=(){}<>") {
			return Skipped, -1
		}
		who := p.authorBefore(line[:i], false)
		if who == another || bare && prog == &noProgram && who == nobody && p.inObject && !p.vouched ||
			p.table.ofTickets && (who == nobody || !slices.Contains(p.table.programs[:], true)) && bytes.ContainsAny(line[:i], ",;") {
			return Skipped, -1
		}
		if h.form == stampNone && last.form == stampNone && holdsClock(line[:i]) {
			return Skipped, -1 // it looks like a time but is not one
		}
		if last.form != stampNone && n == 0 {
			out.prefer(&last)
		}
		w := p.inside()
		p.enclose(w, out)
		if h.form != stampNone {
			w.clock.beside = p.reference(&out.moment)
		} else if !p.timed(w, out) {
			return Unparsed, i
		}
		if bare {
			return w.bare(prog, rest, r, offset), i
		}
		return w.parse(rest, r, offset), i
	}
	return Skipped, -1
}

// objects reads the objects that make up the line from index i on. It returns false if there are
// none.
func (p *Parser) objects(line []byte, i int, out *envelope, last *moment, r *Result, offset int64) (kind Kind, ok bool) {
	before := bytes.TrimSuffix(line[:i], []byte("["))
	if !isWrapper(before, &p.shapes) || isProse(before) {
		return 0, false
	}
	var o object
	if !o.read(line[i:], p) {
		return 0, false
	}
	if last.form != stampNone {
		out.prefer(last)
	}
	if isRequest(line[i+o.size:]) {
		return 0, false
	}
	switch p.authorBefore(before, true) {
	case another:
		return o.refused(), true
	case mailServer:
		out.vouched = true
	}
	if before = bytes.TrimRight(before, " \t"); len(before) > 0 && before[len(before)-1] != ':' {
		out.host = nil // no program follows: it is the tag of a shipper
	}
	kind = p.open(&o, out, r, offset+int64(i))
	if i += o.size; holdsDelivery(line[i:]) {
		// It is after a quote that may be part of a reply, if the writer of the object does not
		// escape quotes.
		r.Deliveries, r.End, kind = r.Deliveries[:0], bounce.End{}, Unparsed
	}
	return kind, true
}

// authorBefore returns the author that the words before an inner line name. A word after a time is
// the host, except directly before an object, where it is a shipper's tag. A word with a colon
// directly before the line is the name of a file.
func (p *Parser) authorBefore(b []byte, isObject bool) author {
	who, hostNext := nobody, false
	for len(b) > 0 {
		if _, n := scanStamp(b); n > 0 {
			b, hostNext = b[n:], true
			continue
		}
		if b[0] == '{' {
			end := bytes.IndexByte(b, '}')
			if end < 0 {
				return another
			}
			who = max(who, p.labels(b[1:end]))
			b = b[end+1:]
			continue
		}
		if _, n := scanStamp(b[1:]); n > 0 && !alnum[b[0]] {
			b = b[1:]
			continue
		}
		if n := pri(b); n > 0 {
			b = b[n:]
			continue
		}
		n := 0
		for n < len(b) && b[n] > ' ' && b[n] != '|' && b[n] != ',' && b[n] != ';' && b[n] != '{' {
			n++
		}
		if n == 0 {
			b = b[1:]
			continue
		}
		word := b[:n]
		b = b[n:]
		plain := isHostName(word)
		switch {
		case isLogger(word):
			if authorOf(string(word)) != mailServer {
				return another
			}
			who, hostNext = mailServer, false
		case isLevel(word) && bytes.IndexByte(word, '.') < 0: // the name of a logger follows
			hostNext = false
		case plain && isZoneOrDay(word):
		case len(b) == 0 && !isObject && (word[n-1] == ':' || word[n-1] == '-'):
		case hostNext && plain && (len(bytes.TrimRight(b, " ")) > 0 || !isObject):
			hostNext = false
		case bytes.ContainsFunc(word, isWordRune):
			hostNext = false
			if name, _, isProcess := bytes.Cut(word, []byte("[")); isProcess && len(name) > 0 {
				word = name
			}
			who = max(who, p.programs.get(bytes.TrimRight(word, ":")).author)
		}
	}
	return who
}

// isLogger reports whether a word is the name of a logger with a level, which libraries write
// before a message: "production.INFO:", "INFO:shop.forms:". A facility of syslog is not one (RFC
// 5424 section 6.2.1).
func isLogger(word []byte) bool {
	name, isEnd := bytes.CutSuffix(word, []byte(":"))
	if level, logger, ok := bytes.Cut(name, []byte(":")); isEnd && ok && isLevelName(bytes.ToLower(level)) {
		return len(logger) > 0 && !allDigits(logger)
	}
	name, level, ok := bytes.Cut(name, []byte("."))
	if !ok || !isLevelName(bytes.ToLower(level)) {
		return false
	}
	switch string(name) {
	case "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp":
		return false
	}
	return len(name) != len("local0") || !bytes.HasPrefix(name, []byte("local")) || !isDigit(name[5])
}

// labels returns the author that the labels of a stream name: app="mail", pod="mail-0".
func (p *Parser) labels(b []byte) author {
	var o object
	for len(b) > 0 {
		label, rest, _ := bytes.Cut(b, []byte(","))
		key, value, _ := bytes.Cut(label, []byte("="))
		o.field(bytes.TrimSpace(key), bytes.Trim(value, " \""), p)
		b = rest
	}
	return o.authors.who()
}

// timed sets the time of the next inner line to its wrapper's time. It returns false if that time
// is invalid.
func (p *Parser) timed(w *Parser, out *envelope) bool {
	if !out.at.IsZero() {
		w.over = out.at
		return true
	}
	if out.form == stampNone {
		w.over = p.over // the wrapper around this one may have the time
		return true
	}
	h := header{form: out.form, stamp: out.stamp, plain: true}
	p.clock.beside = p.reference(&out.moment)
	ok := p.clock.read(&h)
	p.clock.beside = reference{}
	if ok {
		w.over = p.clock.now
	}
	return ok
}

// labelled reads a message of an MTA's program that begins with another program's label: a level, a
// mark, a container's prefix, or a second header. The message is in p.h.
//
// Postfix and Exim also log strangers' text ("warning: header Subject: …", "input=…"). So a label
// must be one that neither of them writes: JSON, marks and numbers, or a level other than the words
// that begin diagnostics ("warning: ", "error: "). A delivery after any other single word is not
// understood.
func (p *Parser) labelled(prog *program, r *Result, offset int64) Kind {
	msg := p.h.message
	if p.depth == maxDepth || len(msg) < 2 || beginsProse(msg) || isDiagnostic(msg) {
		return Skipped
	}
	object := bytes.TrimLeft(bytes.TrimPrefix(msg, []byte("@cee:")), " ") // rsyslog's mmjsonparse
	isJSON := len(object) > 0 && object[0] == '{' && (prog.exim || len(object) < len(msg))
	if !isJSON && !holdsDelivery(msg) {
		return Skipped
	}
	if _, ok := syslogPart(msg); ok {
		return Unparsed // Postfix writes no parts, and Exim's have already been read
	}
	if isJSON {
		var last moment
		if kind, ok := p.objects(object, 0, &envelope{host: p.h.host, program: []byte(prog.name), moment: moment{form: stampUnix, at: r.Time}}, &last, r, offset); ok {
			return kind
		}
		return Unparsed
	}
	if prog.exim {
		msg = bytes.TrimPrefix(msg, []byte("LOG: MAIN ")) // in the foreground: see console
	}
	if i := bytes.IndexByte(msg[:min(len(msg), 16)], '>'); i > 0 && msg[0] == '<' && isLevel(msg[1:i]) {
		msg = msg[i+1:]
	}
	var inner header
	words, start := 0, len(p.h.message)-len(msg)
	for i := 0; i < len(msg) && i < maxWrapper; {
		rest := msg[i:]
		splitHeader(rest, &inner)
		within := p.programs.get(inner.program)
		whole := inner.form != stampNone && (within.daemon != notPostfix || within.exim || inner.id != nil) ||
			i > 0 && len(inner.program) > 0 && (within.daemon != notPostfix || within.exim)
		_, n := scanStamp(rest)
		if begins := n > 0 || i == 0 || msg[i-1] == ' '; begins && (whole || i+start > 0 && isBare(rest, &inner)) {
			switch {
			case !isWrapper(msg[:i], &p.shapes) || words != 1 && isProse(msg[:i]):
				return Skipped
			case words > 0:
				return Unparsed
			case whole:
				w := p.inside()
				p.enclose(w, &envelope{host: p.h.host})
				return w.parse(rest, r, offset)
			}
			h := &p.h
			h.message, h.id = rest, nil
			return p.message(prog, h, r, offset)
		}
		if n == 0 {
			for n < len(rest) && rest[n] > ' ' {
				n++
			}
			if word := bytes.Trim(rest[:n], "<>[]:-"); len(word) > 1 && isWord(word) && !isLevel(word) && string(word) != "stdout" && string(word) != "stderr" {
				words++
			}
		}
		for i += max(n, 1); i < len(msg) && msg[i] == ' '; {
			i++
		}
	}
	if msg[0] >= 0x80 { // no MTA's message begins with such a byte: it may be a no-break space
		return Unparsed
	}
	return Skipped
}

// beginsProse reports whether a message begins with two plain words, as most do ("connect from").
// isProse takes any beginning of such a message that ends after these words for prose.
func beginsProse(msg []byte) bool {
	i := 0
	for range 2 {
		start := i
		for i < len(msg) && msg[i]-'a' < 26 {
			i++
		}
		if i < start+2 || i+1 >= len(msg) || msg[i] != ' ' || isLevelName(msg[start:i]) {
			return false
		}
		i++
	}
	return msg[i]|0x20-'a' < 26 // else the second word may be a month
}

// isDiagnostic reports whether a message begins like a Postfix diagnostic (msg(3)) or like the line
// that Postfix logs for each TLS session ("Trusted TLS connection established to").
func isDiagnostic(msg []byte) bool {
	i := bytes.IndexByte(msg[:min(len(msg), 16)], ' ')
	if i < 1 {
		return false
	}
	return msg[i-1] == ':' && logWord(msg[:i-1]) || hasPrefix(msg[i:], " TLS connection established ")
}

// isWord reports whether b consists of letters and punctuation without digits; names of containers
// have digits.
func isWord(b []byte) bool {
	for _, c := range b {
		if isDigit(c) || c == '.' && isLevel(b) {
			return false
		}
	}
	return true
}

// bare reads a message without a header.
func (p *Parser) bare(prog *program, text []byte, r *Result, offset int64) Kind {
	p.line = text
	h := &p.h
	*h = header{message: text, pid: p.outerPID}
	h.id, h.rest, _ = eximID(text)
	if prog.daemon != notPostfix {
		h.id = nil
	}
	p.names(h)
	r.Time, r.Program = p.now(), prog.name
	kind := p.message(prog, h, r, offset)
	if kind == Skipped && holdsDelivery(text) {
		kind = Unparsed
	}
	return kind
}

// now returns the time of the current line.
func (p *Parser) now() time.Time {
	if !p.over.IsZero() {
		return p.over
	}
	return p.clock.now
}

// programBefore returns the MTA's program that the end of a wrapper names, as in
// "[1:mail1:postfix/lmtp] ", or noProgram.
func (p *Parser) programBefore(prefix []byte) *program {
	prefix = bytes.TrimRight(prefix, " ])}>|:,;")
	if i := len(prefix) - len(lastDigits(prefix)) - 1; i > 0 && prefix[i] == '[' {
		prefix = prefix[:i]
	}
	for i := len(prefix) - 1; i >= 0 && len(prefix)-i < 64; i-- {
		switch prefix[i] {
		case ' ', ':', '[', '(', '{', '|', '"', ',', ';':
			prefix = prefix[i+1:]
			i = 0
		}
	}
	if len(prefix) > 0 && len(prefix) < 64 {
		if prog := p.programs.get(prefix); prog.daemon != notPostfix || prog.exim {
			return prog
		}
	}
	return &noProgram
}

// console reads the output of an Exim in the foreground (exim -v, -bdf with debugging): the process
// id and "LOG: MAIN", and on the next line the message with the process id in place of the message
// id. Without the process id the line belongs to no message.
func (p *Parser) console(line []byte, out *envelope, r *Result, offset int64) Kind {
	if i := bytes.Index(line[max(0, len(line)-maxConsole):], []byte(logMain)); i >= 0 {
		before := bytes.TrimRight(line[:max(0, len(line)-maxConsole)+i], " ")
		pid := lastDigits(before)
		if head := before[:len(before)-len(pid)]; len(head) > 0 && head[len(head)-1] != ' ' {
			pid = nil // of a time
		}
		if isWrapper(line[:len(before)-len(pid)], &p.shapes) {
			p.onConsole, p.consolePID = true, append(p.consolePID[:0], pid...)
			return Queued
		}
	}
	if !p.onConsole {
		return p.unannounced(line)
	}
	if len(p.consolePID) == 0 {
		p.onConsole = false
		for i := 0; i+3 < len(line) && i < maxWrapper; i++ {
			if flag := eximFlag(line[i:]); flag != "" && (i == 0 || bytes.HasSuffix(line[:i], []byte("  "))) && isWrapper(line[:i], &p.shapes) {
				if flag == "<=" {
					return Queued
				}
				return Unparsed
			}
		}
		return Skipped
	}
	i := bytes.Index(line[:min(len(line), maxWrapper)], p.consolePID)
	if i < 0 || i > 0 && line[i-1] != ' ' || !isWrapper(line[:i], &p.shapes) {
		return p.unannounced(line)
	}
	id, rest := line[i:i+len(p.consolePID)], line[i+len(p.consolePID):]
	rest, ok := cutPrefix(rest, "   ")
	if !ok || len(rest) < 3 || eximFlag(rest) == "" && string(rest) != "Completed" {
		return Skipped
	}
	p.onConsole = false
	out.host = nil // the host may be the process id
	for j := range line[:i] {
		if form, n := scanStamp(line[j:i]); n > 0 {
			out.prefer(&moment{form: form, stamp: line[j : j+n]})
			break
		}
	}
	w := p.inside()
	p.enclose(w, out)
	if !p.timed(w, out) {
		return Unparsed
	}
	h := &w.h
	*h = header{message: line[i:], id: id, rest: rest}
	w.names(h)
	r.Time, r.Program = w.now(), "exim"
	return w.exim(&noProgram, h, r, offset)
}

// unannounced counts a delivery that an Exim in the foreground printed without its LOG: MAIN: that
// line was filtered out, is in another log, or another process wrote in between.
func (p *Parser) unannounced(line []byte) Kind {
	if i := consoleFlag(line); i >= 0 && isWrapper(line[:i], &p.shapes) && !isProse(line[:i]) {
		return Unparsed
	}
	return Skipped
}

// consoleFlag returns the index of the process id before "   ==" and the like, the output of an
// Exim in the foreground, or -1. It searches for the last character of the flag, since most lines have
// many blanks: this takes half the instructions.
func consoleFlag(line []byte) int {
	const blanks = "   "
	first := -1
	window := line[:max(0, min(len(line)-2, maxWrapper+1))]
	for _, last := range [...]byte{'>', '*', '='} { // of a flag
		for i := len("1") + len(blanks) + 1; i < len(window); i++ {
			next := bytes.IndexByte(window[i:], last)
			if next < 0 {
				break
			}
			i += next
			at := i - 1 - len(blanks)
			if line[i+1] != ' ' || string(line[at:i-1]) != blanks || !isDigit(line[at-1]) || first >= 0 && at > first {
				continue
			}
			if flag := eximFlag(line[i-1:]); flag != "" && flag != "<=" {
				first = at
			}
		}
	}
	if first < 0 {
		return -1
	}
	return first - len(lastDigits(line[:first]))
}

// mayHoldLine reports, by a cheap test, whether a line may hold an MTA's line.
func mayHoldLine(line []byte) bool {
	if i := bytes.IndexByte(line, '{'); i >= 0 && i < maxWrapper {
		return true // JSON may escape the characters of the next tests
	}
	for b := line; ; {
		i := bytes.IndexByte(b, 'x')
		if i < 0 {
			break
		}
		if i >= 6 && string(b[i-6:i]) == "postfi" || i > 0 && b[i-1] == 'e' && hasPrefix(b[i:], "xim") {
			return true
		}
		b = b[i+1:]
	}
	return holdsSign(line) || holdsEscapes(line) || consoleFlag(line) >= 0 ||
		bytes.Contains(line[max(0, len(line)-maxConsole):], []byte(logMain))
}

// isProse reports whether b fits the grammar of wrappers but may be text of a person or a stranger:
// two plain words in a row, three in all, or two words or the last word before a colon. After a
// time in the format of Exim's own log, any word but a level is prose: Exim logs there the texts of
// access control lists (log_message, logwrite), which often quote a header.
func isProse(b []byte) bool {
	own, words, row, colon := false, 0, 0, false
	for n := 0; len(b) > 0; b = b[n:] {
		var form stampForm
		if form, n = scanStamp(b); n > 0 {
			own, row = own || form == stampExim, 0
			continue
		}
		plain := true
		for n = 0; n < len(b) && b[n] > ' '; n++ {
			plain = plain && (b[n]|0x20-'a' < 26 || b[n] >= 0x80 || b[n] == ':' || b[n] == ',')
		}
		if n == 0 {
			n = 1
			continue
		}
		word := bytes.TrimRight(b[:n], ":,")
		colon = b[n-1] == ':'
		switch {
		case !plain:
			row = 0
		case own && colon, len(word) > 1 && !isLevel(word) && (own || !isZoneOrDay(word)):
			words++
			row++
			if own || row > 1 {
				return true
			}
		}
	}
	return words > 2 || words == 2 && colon || row > 0 && colon
}

// isRequest reports whether b holds the end of a web server's line, which has the name of a user
// before it: ` [23/Nov/2026:09:47:06 +0000] "GET `.
func isRequest(b []byte) bool {
	for {
		i := bytes.Index(b, []byte("] \""))
		if i < 0 {
			return false
		}
		if at := bytes.LastIndexByte(b[:i], '['); at >= 0 {
			if _, n := scanStamp(b[at+1:]); at+1+n == i {
				return true
			}
		}
		b = b[i+1:]
	}
}

// isOfRequest reports whether a time is in the format of web servers (23/Nov/2026:09:47:06 +0000).
// A line after such a time must name its program.
func isOfRequest(stamp []byte) bool {
	return len(stamp) > 11 && stamp[11] == ':' && stamp[2] == '/'
}

// shapes caches the forms of wrappers that the grammar has accepted, so that the grammar runs once
// per form and not once per line. A form counts a run of letters or digits as one character; the
// grammar does not distinguish them.
type shapes struct {
	known [4][64]byte
	size  [4]int
	next  int
}

// fitsWrapper matches b with the grammar, which has quotation marks and equals signs between braces only.
// With a test for these, a line of Fluentd's files takes 0.08 of the instructions.
func fitsWrapper(b []byte) bool {
	after := b[bytes.LastIndexByte(b, '}')+1:]
	return bytes.IndexByte(after, '"') < 0 && bytes.IndexByte(after, '=') < 0 && wrapperGrammar().Match(b)
}

// isWrapper reports whether b is nothing but a wrapper or empty.
func isWrapper(b []byte, s *shapes) bool {
	if len(b) == 0 {
		return true
	}
	var form [64]byte
	n, last := 0, byte(0)
	for _, c := range b {
		switch {
		case isDigit(c):
			c = '0'
		case c|0x20-'a' < 26 || c >= 0x80:
			c = 'a'
		}
		if c == last && (c == '0' || c == 'a' || c == ' ') {
			continue
		}
		last = c
		if n == len(form) {
			return fitsWrapper(b)
		}
		form[n] = c
		n++
	}
	for i := range s.known {
		if s.size[i] == n && string(s.known[i][:n]) == string(form[:n]) {
			return true
		}
	}
	if !fitsWrapper(b) {
		return false
	}
	s.known[s.next], s.size[s.next] = form, n
	s.next = (s.next + 1) % len(s.known)
	return true
}
