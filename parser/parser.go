// Package parser reads the lines that Postfix and Exim log. It splits a line into the syslog header
// and the MTA's message, makes a [bounce.Delivery] of each line that reports a delivery attempt,
// and joins it by queue id with the information that other lines gave about the message.
//
// # How a line is read
//
//	line           Lines (document.go) splits a line that is a JSON document into several
//	 |  Parse        removes blanks at the end, and the marks of spreadsheets and quoted strings
//	 |               at both ends (csv.go, quoting.go); most lines need no such step (isPlain)
//	 |  whole        removes terminal sequences, decodes UTF-16, splits several lines in one
//	 |               (controls.go); most lines have none of these
//	 |  parse        in a wrapped log: tries the wrapping of the previous line (wrapper.go); before all
//	 |               that, in a log whose lines are all changed in one way: that change (rewrite.go)
//	 v
//	header.go        stamp, host, program, message; clock.go converts the stamp to a time
//	 |               (fastProgram if the time and the host are those of an earlier line, fastHeader
//	 |               if only the second differs; lead.go: the text before the stamp is the same)
//	 v
//	message          by program:
//	 +- postfix.go   "QUEUEID: to=<…>, … status=… (…)": an Attempt;
//	 |               other lines with a queue id go into the Queue (queue.go);
//	 |               a warning waits for the attempt that it belongs to (warning.go)
//	 +- exim.go      "ID => …", "ID ** …", "ID == …": an Attempt; parts.go joins the
//	 |               parts of a long one, eximaddress.go finds the end of the address
//	 +- neither      second (wrapper.go): does it hold an inner line, with or without (bare.go) a
//	                 header? object.go: in JSON? (members.go reads names and values, outline.go if
//	                 only values differ from the previous object)
//	                 author.go and fields.go: did a mail server write it, or an application?
//	                 A second Parser reads the inner line from the top, with the time and the
//	                 host of its wrapper (envelope.go).
//
// A line that is not understood is read once more as HTML (html.go) or in other forms (rewrite.go). A
// line that ends within a delivery is joined with the next ones if these have no header (paste.go); a
// delivery that is broken before its beginning is counted.
// A line that is encoded as a whole is named and not read (encoding.go). A line that no step reads
// is Skipped, or Unparsed if it holds a delivery all the same (holds.go). The journal's export
// format and indented JSON, in which an entry takes many lines, are read before all that
// (export.go, pretty.go). [Parser.End] returns the unfinished entries at the end of a source.
//
// Lines are read from left to right: nothing in a reply, a recipient, a sender or a subject is
// taken for a field of the line.
//
// The regular expressions in grammar.go specify the messages of Postfix and Exim and the wrappers.
// At run time, the scanners in postfix.go and exim.go read the messages; fuzz tests compare them
// with the grammar. The wrappers' grammar itself runs, once for each form of a wrapper.
//
// # How attempts are counted
//
// The MTA decides the outcome, not the digit of a reply.
//
// Postfix: sent is delivered; deferred and SOFTBOUNCE (soft_bounce) are soft; bounced is hard;
// deliverable and undeliverable are probes (address verification). A hand-off is "forwarded as", or
// mail passed to a content filter or another MTA on this machine, because the mail continues under
// another queue id. Such mail goes by SMTP to 127.0.0.1 or ::1; by LMTP to these addresses on ports
// 10000 to 10999 or with the reply "queued as"; or by pipe(8) to a service named like a filter.
// LMTP to a socket or any other port ends in a mail store and is a delivery. Mail passed to another
// host or instance of the same log, or to a filter of the own network that hands it back, is a
// hand-off, too (hop.go). A filter's refusal or deferral is an outcome like any other. Mail for
// discard(8), or for an alias of /dev/null, is delivered in the MTA's words, with the disposal
// discarded: nobody receives it.
//
// Exim: =>, -> and >> are delivered, to files and pipes too, and discarded if an alias or a filter
// names :blackhole: or /dev/null; ** is hard; == is soft, even if only the retry time was not
// reached. *> is a probe: with -N nothing is delivered. An automatic reply (=> >address) is a
// hand-off, because it has a message id of its own. SMTP to 127.0.0.1 or ::1 is a hand-off too,
// unless port, transport name or reply show a mail store behind LMTP.
package parser

import (
	"bytes"
	"strings"
	"time"

	"bouncelog/bounce"
)

// maxRepeated is the largest believed number in a syslog daemon's "message repeated n times".
const maxRepeated = 1000

// end reports the end of a message as a whole.
func (p *Parser) end(k *key, event bounce.EndEvent, by []byte, r *Result, offset int64) {
	e, _ := p.queue.find(k)
	if event == bounce.MessageCompleted && e != nil && !e.deferred {
		// Nothing was deferred: the attempts are complete.
		p.queue.drop(e)
		return
	}
	r.End = bounce.End{
		Source: p.source, Offset: offset, Time: r.Time,
		Host: k.host, MTA: k.mta, Instance: k.instance, QueueID: string(k.id),
		Event: event,
	}
	if len(by) > 0 {
		r.End.By = string(by[:min(len(by), maxField)])
	}
	if e == nil {
		return
	}
	r.End.Instance = e.instance
	switch event {
	case bounce.MessageFrozen:
		p.queue.freeze(e, true)
	case bounce.MessageThawed:
		p.queue.freeze(e, false)
	case bounce.MessageCompleted, bounce.MessageRemoved:
		p.queue.drop(e)
	}
}

// copyLine makes the only copy of a delivery line, together with what is known about the message.
// The delivery's strings are parts of it. e is nil if nothing is known.
func (p *Parser) copyLine(k *key, msg []byte) (line, known string, e *queued) {
	n := len(msg)
	if e, _ = p.queue.find(k); e != nil {
		n += len(e.buf)
	}
	if p.text.Cap()-p.text.Len() < n {
		p.text.Reset()
		p.text.Grow(max(n, textSize))
	}
	at := p.text.Len()
	p.text.Write(msg)
	if e != nil {
		p.text.Write(e.buf)
	}
	s := p.text.String()[at:]
	return s[:len(msg)], s[len(msg):], e
}

// textSize is the size in bytes of one allocation for the texts of about a dozen deliveries.
// Keeping one of them keeps the whole allocation.
const textSize = 4 << 10

// A Parser reads the lines of one source in their order. It is not safe for
// concurrent use, and parsers that share a Queue must run in turn.
type Parser struct {
	queue    *Queue
	source   string
	clock    clock
	programs programs

	h    header
	host string          // of the previous line
	log  int32           // its number in the queue
	text strings.Builder // of the deliveries; written bytes are never overwritten

	// unquoted reports whether Postfix has shown an address without its necessary quotes, as it
	// does before version 3.5 (and with info_log_address_format = internal).
	unquoted bool

	line     []byte // the current line, without the blanks at its end
	blankEnd bool   // it had blanks at its end
	foreign  bool   // its header names no program of an MTA
	headless bool   // it is text without a stamp
	signless bool   // mayHoldLine excludes it

	flushLeft bool // lines begin with a stamp: see continues
	resumed   bool // flushLeft is an assumption, since no such line has been read yet
	parts     parts
	pieces    pieces
	warnings  warnings
	paste     paste
	loose     looseText

	// The search for inner lines (wrapper.go): the parser of the inner lines, the last line's
	// wrapping, and the wrapper's information.
	within             *Parser
	options            Options
	depth              int
	how                wrapping
	rewriting          rewriting // of the last line that was understood only then
	misfits            int       // lines in a row that were not understood then
	untabs             bool      // the last line with tabs was understood only with blanks for them
	consumed           bool      // the line is one object, like the previous one
	lead               lead
	over               time.Time // instead of the line's own time, if not zero
	outerHost          []byte
	outerPID           []byte
	table              table
	inObject, vouched  bool // an object encloses the line; its wrapper names a mail server
	shapes             shapes
	unit               header // used by unwrap
	onConsole          bool   // the previous line was LOG: MAIN
	consolePID         []byte
	scratch            []byte // a text from JSON
	outline            outline
	export             export
	blanks, uncoloured []byte
	struck             []byte // a line without struck-over characters
	wide               []byte // a line in UTF-16, converted to UTF-8
	untagged           []byte // a line in HTML without its tags
	unescaped          []byte // the same without its character references
	unescaping         bool
	unquotedCells, row []byte // of a table
	namedRowText       []byte // a row of it, as an object
	plainer            []byte // a line without quotes, with ordinary blanks
	recordText         []byte // a record of Fluent Bit's, as an object

	// The previous delivery line, to which "last message repeated" refers.
	repeat     string
	repeatProg *program
}

// New returns a parser of one source. If the queue is nil, the parser creates its own.
func New(q *Queue, o Options) *Parser {
	if q == nil {
		q = NewQueue(0)
	}
	p := &Parser{queue: q, source: o.Source, options: o, outerHost: []byte(o.Host), programs: programs{mailServers: o.MailServers}}
	p.resumed = !o.Last.IsZero()
	p.flushLeft = p.resumed
	q.logs++
	p.log = q.logs
	p.clock.init(o)
	return p
}

// inside returns the parser of the inner lines. It has its own clock and host, so that its fast
// path for repeated headers works.
func (p *Parser) inside() *Parser {
	if p.within == nil {
		w := New(p.queue, p.options)
		w.log = p.log
		w.depth = p.depth + 1
		p.within = w
	}
	return p.within
}

// Last returns the time of the last line that had one, UTC, or the zero time. It is the value of
// Options.Last when reading is resumed.
func (p *Parser) Last() time.Time {
	var last time.Time
	if p.clock.known {
		last = p.clock.last()
	}
	if p.within != nil {
		if t := p.within.Last(); t.After(last) {
			return t
		}
	}
	return last
}

// Parse reads one line without its line feed. The line begins at offset. The result is stored in r.
// The caller may overwrite the line after the call.
func (p *Parser) Parse(line []byte, offset int64, r *Result) Kind {
	r.reset()
	if !p.waits() && isPlain(line) {
		p.blankEnd = false
		return p.after(p.parseAfter(nil, line, r, offset), line, r, offset)
	}
	if p.how == inExport {
		if kind, ok := p.exported(line, r, offset); ok {
			return kind
		}
	}
	if len(line) > len("2026-11-23T") && (line[0] == '{' || line[10] == 'T') { // possibly of a container
		whole, kind, ok := p.pieces.whole(line)
		if !ok {
			r.Time, r.Program = p.Last(), ""
			return kind
		}
		line = whole
	}
	if len(p.paste.text) > 0 {
		return p.pasted(line, r, offset)
	}
	n := len(line)
	for n > 0 && line[n-1] <= ' ' {
		n--
	}
	p.blankEnd = n < len(line) && line[n] == ' '
	if line = line[:n]; n > 2 && endsCopied(line[n-2], line[n-1]) {
		line = trimCopied(line)
		n = len(line)
	}
	if n > 0 && (line[0] <= ' ' || p.resumed || !p.flushLeft && line[0] != '{') && p.continues(line) {
		r.Time, r.Program = p.Last(), ""
		p.headless, p.consumed = true, false
		return p.unread(unparsedDelivery(line), line, r)
	}
	if n > 0 && (line[0] == ' ' || line[0] == '\t') {
		if text := bytes.TrimLeft(line, " \t"); text[0] == '"' && closingQuote(text, 1) == len(bytes.TrimSuffix(text, []byte(",")))-1 {
			line, n = text, len(text) // a string in a list
		}
	}
	if p.rewriting != asWritten {
		if kind, ok := p.rewrittenAgain(line, r, offset); ok {
			p.misfits = 0
			return p.after(kind, line, r, offset)
		}
		if p.misfits++; p.misfits == patience {
			p.rewriting = asWritten // a few such lines in another log
		}
	}
	kind := Skipped
	isRow := false
	if len(p.table.names) > 0 {
		var row []byte
		if row, isRow = p.namedRow(line); isRow {
			kind = p.whole(row, r, offset)
		}
	}
	if kind != Skipped {
		p.consumed = true // its columns have named its author
	} else if isRow && !p.headless && !holdsDelivery(line) {
		p.foreign = false
	} else if n > 1 && (line[0] == '"' || line[n-1] == ',' || line[n-1] == '"' && line[n-2] == ')') {
		kind = p.quoted(line, r, offset)
	} else if p.table.ofTickets && p.table.isRow(line) { // only its columns may say who wrote it: see otherwise
		p.foreign, p.consumed = true, false
		r.Time, r.Program = p.Last(), ""
		kind = unparsedDelivery(line)
	} else {
		kind = p.whole(line, r, offset)
	}
	return p.after(kind, line, r, offset)
}

// waits reports whether the previous lines say how the next one is read, or whether it is not known
// yet how lines begin.
func (p *Parser) waits() bool {
	return p.how == inExport || p.rewriting != asWritten || len(p.pieces.begun)+len(p.paste.text)+len(p.table.names) > 0 || p.table.ofTickets || !p.flushLeft || p.resumed
}

// isPlain reports whether a line begins with a month or a year, is no piece of a container's line, ends
// with nothing that has to be cut off, and holds no control characters, as nearly all lines of a log:
// Parse then tries nothing else. With this test, a line of Postfix takes 0.95 of the instructions that it
// takes without.
func isPlain(line []byte) bool {
	n := len(line)
	if n <= shortestStamp {
		return false
	}
	switch last := line[n-1]; last {
	case ',', '"', '>', 'M', '$':
		if before := line[n-2]; last == ',' || last == '"' && before == ')' || endsCopied(before, last) {
			return false
		}
	case ' ':
		return false
	}
	if first := line[0]; isDigit(first) {
		if line[4] != '-' {
			return false
		}
		if at := criText(line); at > 0 && line[at-2] != 'F' {
			return false
		}
	} else if first|0x20-'a' >= 26 {
		return false
	}
	return !hasControl(line)
}

// after returns the kind of a line that was read as the given kind, together with what is looked for
// in all lines: a delivery that was not understood, or that the line breaks off.
func (p *Parser) after(kind Kind, line []byte, r *Result, offset int64) Kind {
	switch {
	case kind == Attempt:
		if showsMarkup(r.Deliveries) {
			r.Deliveries, kind = r.Deliveries[:0], Unparsed
		}
	case p.consumed: // an object whose fields have all been read
	case kind == Unparsed || kind == Skipped && p.foreign:
		kind = p.otherwise(kind, line, r, offset)
	}
	if p.repeatProg != nil && kind != Attempt && r.Repeated == 0 {
		p.repeatProg = nil
	}
	if (len(p.h.message) < shortMessage || kind == Unparsed || p.how != unwrapped) && mayBreakOff(kind, line) && p.beginPaste(line) {
		p.loose.clear()
		return Queued
	} else if p.paste.owed > 0 && (kind == Skipped || kind == Blank) {
		p.paste.owed--
		kind, r.Text = Unparsed, p.paste.lost
	}
	if p.headless || len(p.loose.text) > 0 || len(p.h.message) < shortMessage {
		kind = p.unread(kind, line, r)
	}
	return kind
}

// End returns the unfinished entries at the end of a source: the last entry of a journal's export,
// or a line of Exim without its last part. kind is the kind of the line that was read last, which
// was counted as the kind was. Call it until ok is false.
func (p *Parser) End(offset int64, r *Result) (kind, was Kind, ok bool) {
	r.reset()
	if p.how == inExport && p.export.holds() {
		return p.exportEntry(r, offset), Skipped, true
	}
	if len(p.paste.text) > 0 {
		return p.endPaste(r, offset), Queued, true
	}
	if p.paste.owed > 0 {
		p.paste.owed--
		r.Time, r.Text = p.Last(), p.paste.lost
		return Unparsed, Queued, true
	}
	if p.pieces.end() {
		r.Time = p.Last()
		return Unparsed, Skipped, true
	}
	for i := range p.parts.begun {
		if b := &p.parts.begun[i]; b.next > 0 {
			if b.next = 0; holdsDelivery(b.text) {
				r.Time, r.Program = p.Last(), b.program
				return Unparsed, Queued, true
			}
		}
	}
	if p.within != nil {
		return p.within.End(offset, r)
	}
	return 0, 0, false
}

// continues reports whether a line continues the previous one: it begins with a blank, in a log
// whose lines begin with a stamp. Exim writes the headers of a rejected message into its reject log
// in this way, folded as the sender folded them. In such a line, every byte but the blank may be a
// stranger's.
//
// If reading begins in the middle of a log, it is not known how its lines begin. Until a line shows
// it, a line that begins with a blank counts as a continuation.
func (p *Parser) continues(line []byte) bool {
	if c := line[0]; c == ' ' || c == '\t' {
		return p.flushLeft
	}
	if !p.flushLeft || p.resumed {
		form, n := scanStamp(line)
		p.flushLeft = p.flushLeft && !p.resumed || n > 0 && form != stampUnix && form != stampDay
		p.resumed = false
	}
	return false
}

// quoted reads a line with a quote or an empty cell at one end: a row of a table, a string, or a
// line from a spreadsheet.
func (p *Parser) quoted(line []byte, r *Result, offset int64) Kind {
	if line[0] == '"' {
		isJSON := bytes.Contains(line, []byte(`\u00`)) || bytes.Contains(line, []byte(`\"`))
		for _, how := range [...]rewriting{ofRow, ofString} {
			if isJSON {
				how = ofString
			}
			if text, ok := p.rewrite(how, line); ok {
				kind := p.whole(text, r, offset)
				if how == ofRow && (kind == Attempt || kind == Queued) {
					p.rewriting, p.misfits = how, 0
				}
				return kind
			}
		}
	}
	first, second := spreadsheetTail(line), line
	if p.how == behindLead && p.lead.next == ledObject {
		first, second = second, first // the quote is the last value's
	}
	if len(first) != len(second) {
		if kind := p.whole(first, r, offset); p.consumed || kind != Unparsed && (kind != Skipped || !p.foreign) {
			return kind
		}
	}
	return p.whole(second, r, offset)
}

// isForeign reports whether a program is not an MTA's.
func (p *Parser) isForeign(name string) bool {
	prog := p.programs.get([]byte(name))
	return prog.daemon == notPostfix && !prog.exim
}

// whole reads a line that does not end with a blank.
func (p *Parser) whole(line []byte, r *Result, offset int64) Kind {
	if len(line) > 0 && line[0] == '{' {
		// Control characters in JSON are always escaped (RFC 8259 section 7), so a line that was
		// understood is not searched for others.
		if kind := p.parse(line, r, offset); p.consumed || kind != Skipped && kind != Unparsed || !hasControl(line) {
			return kind
		}
	}
	if hasControl(line) {
		return p.controlled(line, r, offset, p.untabbed)
	}
	if len(line) > 6 && isDigit(line[0]) && line[4] != '-' && (line[2] == ' ' || line[3] == ' ' || line[4] == ' ' || line[5] == ' ') {
		if kind, ok := p.frames(line, r, offset); ok {
			return kind
		}
	}
	return p.parse(line, r, offset)
}

// parse reads a line without the blanks at its end.
func (p *Parser) parse(line []byte, r *Result, offset int64) Kind {
	return p.parseAfter(nil, line, r, offset)
}

// parseAfter reads a line. rest is the text after its stamp if stampAgain has read the stamp, else nil.
func (p *Parser) parseAfter(rest, line []byte, r *Result, offset int64) Kind {
	p.consumed, p.headless, p.signless = false, false, false
	if p.how != unwrapped {
		if kind, ok := p.again(line, r, offset); ok {
			p.consumed = p.how == inObject || p.how == behindLead && p.lead.next == ledObject
			return kind
		}
	}
	p.line = line
	h := &p.h
	impossible := false
	var prog *program
	if rest == nil {
		prog = p.sameHeader(line, h)
	}
	if prog == nil {
		prog = p.sameMinute(rest, line, h)
	}
	if prog == nil {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		if line = bytes.TrimLeft(line, "\x00 \t\r"); len(line) == 0 {
			r.Program = ""
			r.Time = p.Last()
			return Blank
		}
		splitHeader(line, h)
		p.headless = h.form == stampNone && line[0] != '{'
		if p.isAnothers(h) {
			r.Time, r.Program = p.Last(), ""
			p.foreign = false
			return unparsedDelivery(line)
		}
		if h.form != stampNone {
			h.plain = p.lead.learn(p.line, len(p.line)-h.tail, ledHeader, p)
			if p.lead.fields = h.fields; p.how == behindLead {
				p.how = unwrapped
			}
		}
		impossible = !p.readTime(h)
		r.Doubted = p.clock.doubted
		prog = p.names(h)
	}
	r.Time = p.clock.now
	if p.depth > 0 {
		r.Time = p.now()
	} else if h.form == stampNone {
		r.Time = p.Last()
	}
	r.Program = prog.name
	kind := p.message(prog, h, r, offset)
	if p.foreign = prog.daemon == notPostfix && !prog.exim; p.foreign && kind == Skipped {
		kind = p.second(line, r, offset)
	} else if kind == Skipped && len(h.program) > 0 {
		if !isSession(h.message) {
			kind = p.labelled(prog, r, offset)
		}
		if kind == Skipped && p.joined(h, kind) {
			kind = Unparsed
		}
	} else if (kind == Attempt || kind == Queued) && p.joined(h, kind) {
		r.Deliveries, r.End = r.Deliveries[:0], bounce.End{}
		kind = Unparsed
	}
	if impossible && kind == Attempt {
		r.Deliveries = r.Deliveries[:0]
		kind = Unparsed // its time is not known
	}
	if (kind == Unparsed || p.foreign && kind == Skipped) && !p.unescaping {
		if text, ok := p.textOfHTML(line); ok {
			p.unescaping = true
			kind = p.parse(text, r, offset)
			p.unescaping = false
		}
	}
	return kind
}

// sameHeader reads the header of a line that begins like an earlier one (sameStart). It returns nil for
// any other header.
func (p *Parser) sameHeader(line []byte, h *header) *program {
	c := &p.clock
	if !c.sameStart(line) {
		return nil
	}
	if c.beside.known || c.nsec != 0 {
		c.refine()
	}
	if h.form = c.form; h.form == stampExim {
		return p.fastExim(line[len(c.start):], h)
	}
	h.host = c.host
	return p.fastProgram(line[len(c.start):], h)
}

// sameMinute reads the header of a line that has the minute of the previous one. It returns nil for any
// other header. rest is as in parseAfter.
func (p *Parser) sameMinute(rest, line []byte, h *header) *program {
	if rest == nil {
		var ok bool
		if rest, ok = p.stampAgain(line); !ok {
			return nil
		}
	}
	if len(p.clock.start) == 0 && p.lead.empty() {
		p.clock.keepStart(line, rest, p.host)
	}
	return p.fastHeader(rest, h)
}

// isAnothers reports whether a header names another program's container before its stamp.
func (p *Parser) isAnothers(h *header) bool {
	before := h.container
	if len(h.program) == 0 && len(h.host) > 0 && h.host[0] == '[' {
		before = h.host
	}
	return len(before) > 0 && p.programs.get(before).author == another
}

// readTime reads the stamp of a header. It returns false for a stamp without a valid time, which
// then counts as none.
func (p *Parser) readTime(h *header) bool {
	beside := p.clock.beside
	if h.farForm != stampNone {
		p.clock.beside = p.reference(&moment{form: h.form, stamp: h.stamp, farForm: h.farForm, farStamp: h.farStamp})
	}
	ok := p.clock.read(h)
	p.clock.beside = beside
	if !ok {
		h.form = stampNone
	}
	return ok
}

// joined reports whether another delivery line follows a message, with its header but without a
// line feed between them. This happens if files are concatenated and one lacks its last line feed.
// Between the two there may be a blank or another separator, but after a delivery of Postfix only
// where its reply may have ended, and not after a message that may quote anybody. If a server sends
// such a reply, its line is not understood and never counts as two deliveries.
func (p *Parser) joined(h *header, kind Kind) bool {
	if h.id != nil {
		return p.joinedExim(h, kind)
	}
	msg := h.message
	for at := 1 + shortestStamp + len(": to="); at < len(msg); at++ { // the earliest possible index
		i := bytes.IndexByte(msg[at:], '<')
		if i < 0 {
			break
		}
		if at += i; string(msg[at-5:at]) == ": to=" && p.anotherBegins(h, kind, at-5) {
			return true
		}
	}
	return false
}

// joinedExim is joined for a message of Exim, in which it searches for the first hyphen of a message id
// and the arrow after the id.
func (p *Parser) joinedExim(h *header, kind Kind) bool {
	msg := h.message
	const before, after = len("1xVUtL"), len("0005ru-2B =>")
	if len(msg) <= 1+shortestStamp+before+after {
		return false
	}
	hyphens := msg[:len(msg)-after]
	for at := 1 + shortestStamp + before; at < len(hyphens); at++ {
		i := bytes.IndexByte(hyphens[at:], '-')
		if i < 0 {
			break
		}
		if at += i; msg[at+7] != '-' && (at+12 >= len(msg) || msg[at+12] != '-') {
			continue // as in looksEximID
		}
		if _, rest, ok := eximID(msg[at-before:]); ok && len(rest) > 1 && eximFlag(rest) != "" && p.anotherBegins(h, kind, at-before) {
			return true
		}
	}
	return false
}

// shortestStamp is the length of a time with the blank after it.
const shortestStamp = len("Nov 23 09:47:06 ")

// anotherBegins reports whether a message holds the header of another line, whose queue id is at
// index at.
func (p *Parser) anotherBegins(h *header, kind Kind, at int) bool {
	msg, isExim := h.message, h.id != nil
	for i := max(1, at-128); i+shortestStamp <= at; i++ {
		if c := msg[i]; !isDigit(c) && c-'A' >= 26 {
			continue
		}
		end := bytes.TrimRight(msg[:i], " \t,;|")
		last := byte(' ')
		if n := len(end); n > 1 && end[n-1] == '"' && (n == i || isExim) { // else it may begin a quotation
			last = end[n-2]
		} else if n > 0 {
			last = end[n-1]
		}
		if len(end) < i && (kind == Skipped || kind == Attempt && !isExim && last != ')') ||
			!alnum[last] && last < 0x80 && last != ')' && last != ']' && last != '>' && last != '.' {
			continue
		}
		if _, n := scanStamp(msg[i:]); n > 0 {
			var h header
			splitHeader(msg[i:], &h)
			prog := p.programs.get(h.program)
			return h.form == stampExim || prog.daemon != notPostfix || prog.exim
		}
	}
	return false
}

// names looks up the host and the program of a header.
func (p *Parser) names(h *header) *program {
	if len(h.host) == 0 {
		h.host = p.outerHost
	}
	if p.host != string(h.host) {
		p.host = p.programs.get(h.host).name
		p.clock.start = p.clock.start[:0]
	}
	return p.programs.get(h.program)
}

// fastHeader is splitHeader for a line of the same minute as the previous line, as are nearly all
// lines of a busy log: stampAgain has returned rest. It returns nil if the header differs otherwise.
func (p *Parser) fastHeader(rest []byte, h *header) *program {
	h.form = p.clock.form
	if p.lead.fields {
		if !h.afterStamp(rest) {
			return nil
		}
		return p.names(h)
	}
	if i := criPrefix(rest); i > 0 {
		rest = rest[i:]
		if _, n := scanStamp(rest); n > 0 || len(rest) == 0 || rest[0]|0x20-'a' >= 26 {
			return nil // the last stamp counts, and its lead is not known
		}
	}
	if h.form == stampExim {
		return p.fastExim(rest, h)
	}
	n := len(p.host)
	if n == 0 || len(rest) < n+2 || rest[n] != ' ' || string(rest[:n]) != p.host {
		if !h.hostProgram(rest) {
			return nil
		}
		return p.names(h)
	}
	h.host = rest[:n]
	return p.fastProgram(rest[n+1:], h)
}

// fastExim reads the text after a time in the format of Exim's own log. It returns nil if the line has a
// host and a program.
func (p *Parser) fastExim(rest []byte, h *header) *program {
	h.host, h.program = nil, nil
	if !h.exim(rest) {
		if n := len(p.host); n > 0 && len(rest) > n && rest[n] == ' ' && string(rest[:n]) == p.host {
			h.host = rest[:n]
			return p.fastProgram(rest[n+1:], h)
		}
		return nil
	}
	if len(p.host)+len(p.outerHost) == 0 {
		return &noProgram
	}
	return p.names(h)
}

// fastProgram reads the rest of a header after the host. It returns nil if that is none.
func (p *Parser) fastProgram(rest []byte, h *header) *program {
	if i := bytes.IndexByte(rest[:min(len(rest), 64)], '['); i > 0 {
		if prog := p.programs.known(rest[:i]); prog != nil {
			after := rest[i+1:]
			n := leadingDigits(after)
			if msg := after[n:]; len(msg) > 3 && msg[0] == ']' && msg[1] == ':' && msg[2] == ' ' && msg[3] != '[' {
				h.id, h.program, h.pid, h.message = nil, rest[:i], after[:n], msg[3:]
				return prog
			}
		}
	}
	if !h.programMessage(rest) {
		return nil
	}
	return p.names(h)
}

// message reads the text after the header.
func (p *Parser) message(prog *program, h *header, r *Result, offset int64) Kind {
	msg := h.message
	if len(msg) > 1 && (msg[0] == 'm' && msg[1] == 'e' || msg[0] == 'l' && msg[1] == 'a') {
		if n, inner, ok := repeated(msg); ok {
			return p.repeatedMessage(prog, h, n, inner, r, offset)
		}
	}
	switch {
	case prog.daemon != notPostfix:
		return p.postfix(prog, h, r, offset)
	case prog.exim:
		return p.exim(prog, h, r, offset)
	case prog.name == "":
		return p.bareMessage(h, r, offset)
	case prog.agent != "" && prog.author != another:
		// A custom delivery agent, under any name.
		if _, rest, ok := queueID(msg); ok && hasPrefix(rest, "to=<") {
			own := *prog
			own.daemon = deliveryAgent
			return p.postfix(&own, h, r, offset)
		}
	}
	return Skipped
}

// bareMessage reads a message without a program's name, as log shippers store it, or a line of
// Exim's own log.
func (p *Parser) bareMessage(h *header, r *Result, offset int64) Kind {
	if h.form == stampExim && h.id == nil {
		r.Program = "exim"
		return p.exim(&noProgram, h, r, offset)
	}
	if h.id == nil {
		h.id, h.rest, _ = eximID(h.message)
	}
	if isOfRequest(h.stamp) {
		return Skipped
	}
	if h.id != nil {
		r.Program = "exim"
		return p.exim(&noProgram, h, r, offset)
	}
	_, rest, ok := queueID(h.message)
	if !ok {
		return Skipped
	}
	var prog program
	switch {
	case hasPrefix(rest, "to="):
		prog.daemon = deliveryAgent
	case hasPrefix(rest, "from=<"), string(rest) == "removed":
		prog.daemon = qmgrDaemon
	case hasPrefix(rest, "client="):
		prog.daemon = smtpdDaemon
	case hasPrefix(rest, "message-id="):
		prog.daemon = cleanupDaemon
	case hasPrefix(rest, "uid="):
		prog.daemon = pickupDaemon
	case hasPrefix(rest, "sender "), hasPrefix(rest, "postmaster "):
		prog.daemon = bounceDaemon
	case isReject(rest):
		return Reject
	default:
		return Skipped
	}
	return p.postfix(&prog, h, r, offset)
}

// repeatedMessage reads a line with which a syslog daemon replaces n equal ones. Without an inner
// message it repeats the previous line.
func (p *Parser) repeatedMessage(prog *program, h *header, n int, inner []byte, r *Result, offset int64) Kind {
	r.Repeated = n
	if inner == nil {
		if p.repeatProg == nil {
			return Skipped
		}
		prog, inner = p.repeatProg, []byte(p.repeat)
	}
	h.message, h.id = inner, nil
	if kind := p.message(prog, h, r, offset); kind != Attempt {
		return kind
	}
	if n < 1 || n > maxRepeated || n > len(h.message) {
		r.Deliveries = r.Deliveries[:0]
		return Unparsed
	}
	for i := 1; i < n; i++ {
		d := r.Deliveries[0]
		d.Offset = offset + int64(i)
		r.Deliveries = append(r.Deliveries, d)
	}
	return Attempt
}

// repeated reads "message repeated n times: [ inner]" (rsyslog) and "last
// message repeated n times" (the BSD syslogd and others; inner is nil).
func repeated(msg []byte) (n int, inner []byte, ok bool) {
	rest, inline := cutPrefix(msg, "message repeated ")
	if !inline {
		if rest, ok = cutPrefix(msg, "last message repeated "); !ok {
			return 0, nil, false
		}
	}
	i := 0
	for i < len(rest) && i < 9 && isDigit(rest[i]) {
		n = n*10 + int(rest[i]-'0')
		i++
	}
	if i < len(rest) && isDigit(rest[i]) {
		n = 1 << 30 // more than any log has
		for i < len(rest) && isDigit(rest[i]) {
			i++
		}
	}
	if i == 0 {
		return 0, nil, false
	}
	rest, ok = bytes.CutPrefix(rest[i:], []byte(" time"))
	if !ok {
		return 0, nil, false
	}
	rest = bytes.TrimPrefix(rest, []byte("s"))
	if !inline {
		return n, nil, len(rest) == 0
	}
	rest, ok = cutPrefix(rest, ": [")
	if !ok {
		return 0, nil, false
	}
	rest = bytes.TrimPrefix(rest, []byte(" "))
	if repeatedAgain(rest) {
		return 0, nil, false
	}
	return n, bytes.TrimSuffix(rest, []byte("]")), true
}

// repeatedAgain reports whether b is a repetition within a repetition. No daemon writes one, and it
// would let a line recurse.
func repeatedAgain(b []byte) bool {
	return hasPrefix(b, "message repeated ") || hasPrefix(b, "last message repeated ")
}
