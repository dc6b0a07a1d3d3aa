// Package parser reads the lines that Postfix and Exim log: it takes a line
// apart into the syslog header and the MTA's message, and makes a
// [bounce.Delivery] of each line that reports a delivery attempt, joined by
// queue id with what other lines said of the message.
//
// # How a line is read
//
//	line           Entries (document.go) makes several of one that is a document of JSON
//	 |  Parse        cuts blanks off the end, and what a spreadsheet or a string has at its
//	 |               ends (csv.go, quoting.go)
//	 |  whole        takes terminal sequences off, reads UTF-16, parts lines that stand in one
//	 |               (controls.go); most lines have none of that
//	 |  parse        of a wrapped log: tries the wrapping of the line before (wrapper.go)
//	 v
//	header.go        stamp, host, program, message; clock.go makes a time of the stamp
//	 |               (fastHeader, where all but the second is as in the line before)
//	 v
//	message          by the program:
//	 +- postfix.go   "QUEUEID: to=<…>, … status=… (…)": an Attempt
//	 |               what else is about a queue id goes into the Queue (queue.go);
//	 |               a warning waits for the attempt that it belongs to (warning.go)
//	 +- exim.go      "ID => …", "ID ** …", "ID == …": an Attempt; parts.go joins the
//	 |               parts of a long one, eximaddress.go finds the end of the address
//	 +- nobody's     second (wrapper.go): is a line within it? object.go: in JSON?
//	                 author.go and fields.go: did a mail server write it, or an application?
//	                 The line within is read so from the top, by a Parser of its own.
//
// A line that is not understood is read once more as HTML (html.go) and otherwise; one that ends within
// a delivery is joined with the next ones, where these have no header (paste.go); one that is encoded as a whole is named and not read (encoding.go). A line
// that nobody takes is Skipped; one that holds a delivery all the same (holdsDelivery) is
// Unparsed. The journal's export format and indented JSON, an entry of which is
// many lines, are read before all that (export.go, pretty.go). [Parser.End] tells what a
// source that ends leaves unfinished.
//
// Lines are read from the left: nothing that stands in a reply, a recipient,
// a sender or a subject is taken for a field of the line.
//
// The regular expressions in grammar.go are the specification: of Postfix's and
// Exim's messages, and of what may stand before a line within. The scanners in
// postfix.go and exim.go are what runs; fuzz tests hold them against the
// grammar. The wrappers' grammar runs, once for each form of a wrapper.
//
// # How attempts are counted
//
// The MTA decides the outcome, not the digit of a reply.
//
// Postfix: sent is delivered; deferred and SOFTBOUNCE (soft_bounce) are soft;
// bounced is hard; deliverable and undeliverable are probes (address
// verification). These are hand-offs, since the mail goes on under another
// queue id: "forwarded as", and mail taken by a content filter or another MTA
// on this machine, that is: SMTP to 127.0.0.1 or ::1; LMTP to these on ports
// 10000 to 10999 or answered "queued as"; pipe(8) to a service named like a
// filter. LMTP to a socket or any other port is a store, and a delivery. What
// a filter refuses or defers is an outcome like any other. What discard(8) takes, or an
// alias leads to /dev/null, is delivered in the MTA's words, with the disposal discarded:
// nobody gets it.
//
// Exim: =>, -> and >> are delivered, to files and pipes too, and discarded where an alias or
// a filter names :blackhole: or /dev/null; ** is hard; == is soft, also where only the
// retry time was not reached. *> is a probe: with -N nothing is delivered. An
// automatic reply (=> >address) is a hand-off: it goes its way under a message
// id of its own. So is SMTP to 127.0.0.1 or ::1, unless port, transport name
// or answer show a mail store behind LMTP.
package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"path"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
)

// A Kind says what a line is about.
type Kind uint8

// The kinds of lines. Together they account for every line.
const (
	// Blank lines hold nothing.
	Blank Kind = iota
	// Attempt lines report delivery attempts: Result.Deliveries has them.
	Attempt
	// Expiry lines end a message's life in the queue: Result.Expiry.
	Expiry
	// Queued lines tell of a queued message (arrival, removal, notification,
	// one of several mail exchangers that failed), but not of an outcome.
	Queued
	// Reject lines tell of mail that was refused before it was queued.
	Reject
	// Skipped lines are about something else.
	Skipped
	// Unparsed lines look like a delivery and are not understood.
	Unparsed
)

// maxRepeated is the largest number of repetitions believed of a syslog
// daemon's "message repeated n times".
const maxRepeated = 1000

// Options say what is known of a source before it is read.
type Options struct {
	// Year overrules the inference for the first line without a year; 0
	// means that it is inferred.
	Year int
	// Location is that of stamps without a zone; nil means time.Local.
	Location *time.Location
	// Modified is when the source was last written to: no line in it is
	// younger (a day's slack is given). The zero time, or one to come, means
	// now.
	Modified time.Time
	// Now is the present: a stamp more than a day later counts as none. The
	// zero time means that of the machine.
	Now time.Time
	// Last is the time of the last line read before, when reading is
	// resumed; the zero time means that it begins at the start.
	Last time.Time
	// Source goes into Delivery.Source and Expiry.Source.
	Source string
	// Host is that of lines that name none, such as those of Exim's own log.
	Host string
	// MailServers are names that a wrapper may have for a mail server, or patterns of them as in
	// path.Match: what stands behind such a name was written by one.
	MailServers []string
}

// A Result is what Parse makes of a line.
type Result struct {
	// Time of the line, UTC. A line without a stamp has that of the line
	// before it; it is zero where there is none.
	Time time.Time
	// Doubted reports a stamp that is not believed: later than now and a day, or
	// before 1990. Time is then that of a line without a stamp.
	Doubted bool
	// Program that logged the line ("postfix/smtp"); empty where the line
	// does not say.
	Program string
	// Deliveries are the attempts reported, for the kind Attempt: one, as many as a
	// syslog daemon says it left out, or those of several lines that stand in this
	// one. Each has an offset of its own. The slice is reused by
	// the next call of Parse; the strings in it stay.
	Deliveries []bounce.Delivery
	// Text is what is not understood, for the kind Unparsed, where the line only ends it:
	// the text of an object over several lines. It holds until the next call.
	Text []byte
	// Repeated is n, if the line says that a line is repeated n times.
	Repeated int
	// Expiry is set for the kind Expiry.
	Expiry bounce.Expiry
	// End is set where a line of the kind Queued, or a line that stands in one of
	// another kind, says what became of a message as a whole, else its Event is empty. The completion of a message of which
	// nothing was deferred is not told. The strings are copies.
	End bounce.End
}

// reset makes room for what the next line says.
func (r *Result) reset() {
	r.Deliveries = r.Deliveries[:0]
	r.Repeated = 0
	r.Doubted = false
	r.Text = nil
	if r.End.Event != "" {
		r.End = bounce.End{}
	}
}

// merge adds what another line says that stands in the same line, and returns the kind
// of both. What one result cannot say of two lines, it says of neither: the line is not
// understood.
func (r *Result) merge(kind Kind, o *Result, other Kind) Kind {
	if r.Time.IsZero() {
		r.Time = o.Time
	}
	r.Program, r.Doubted, r.Repeated = o.Program, r.Doubted || o.Doubted, r.Repeated+o.Repeated
	tells := func(k Kind) bool { return k == Attempt || k == Expiry }
	switch {
	case kind == Unparsed || other == Unparsed || r.End.Event != "" && o.End.Event != "":
		kind = Unparsed
	case kind == Attempt && other == Attempt:
		for _, d := range o.Deliveries {
			// The place of an attempt is its identity.
			d.Offset = max(d.Offset, r.Deliveries[len(r.Deliveries)-1].Offset+1)
			r.Deliveries = append(r.Deliveries, d)
		}
	case tells(kind) && tells(other):
		kind = Unparsed
	case tells(other):
		r.Deliveries, r.Expiry = append(r.Deliveries, o.Deliveries...), o.Expiry
		kind = other
	case !tells(kind) && (other == Reject || other == Queued && kind != Reject || kind == Blank):
		kind = other
	}
	if o.End.Event != "" {
		r.End = o.End
	}
	if kind == Unparsed {
		r.Deliveries, r.End = r.Deliveries[:0], bounce.End{}
	}
	return kind
}

// end notes what became of a message as a whole.
func (p *Parser) end(k *key, event bounce.EndEvent, by []byte, r *Result, offset int64) {
	e, _ := p.queue.find(k)
	if event == bounce.MessageCompleted && e != nil && !e.deferred {
		// Nothing was waiting: the attempts have said it all.
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

// copyLine makes the one copy of a delivery line that the delivery's strings
// are parts of, together with what is known of the message; e is nil if that
// is nothing.
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

// textSize is how much memory is asked for at a time for the texts of
// deliveries: a dozen of them. Whoever keeps one keeps as much.
const textSize = 4 << 10

// first makes room for the first delivery.
func (r *Result) first() *bounce.Delivery {
	if cap(r.Deliveries) == 0 {
		r.Deliveries = make([]bounce.Delivery, 0, 4)
	}
	r.Deliveries = r.Deliveries[:1]
	r.Deliveries[0] = bounce.Delivery{}
	return &r.Deliveries[0]
}

// A Parser reads the lines of one source in their order. It is not safe for
// concurrent use, and parsers that share a Queue must run in turn.
type Parser struct {
	queue    *Queue
	source   string
	clock    clock
	programs programs

	h        header
	host     string // of the line before
	hostHash uint64
	text     strings.Builder // of the deliveries; what it holds is never written to again

	// Postfix has shown an address that needs quotes without them, as it does
	// before version 3.5 (and with info_log_address_format = internal).
	unquoted bool

	line     []byte // that is read, without the blanks at its end
	blankEnd bool   // it had one
	foreign  bool   // no program of an MTA's is named in its header

	flushLeft bool // lines begin with a stamp: see continues
	resumed   bool // and that is supposed, since none has been read yet
	parts     parts
	pieces    pieces
	warnings  warnings
	paste     paste

	// The second chance (wrapper.go): the parser of the lines within, how the
	// last one was found, and what it is told of its wrapper.
	within             *Parser
	options            Options
	depth              int
	how                wrapping
	consumed           bool // the line is one object, as the one before was
	prefix             []byte
	over               time.Time // instead of the line's own time, if not zero
	outerHost          []byte
	outerPID           []byte
	table              table
	inObject, vouched  bool // an object encloses the line; what encloses it names a mail server
	shapes             shapes
	unit               header // used by unwrap
	onConsole          bool   // the line before was LOG: MAIN
	consolePID         []byte
	scratch            []byte // of a text out of JSON
	export             export
	blanks, uncoloured []byte
	struck             []byte // a line without what is struck over
	wide               []byte // of a line in UTF-16, in UTF-8
	untagged           []byte // a line in HTML without its tags
	unescaped          []byte // and without its character references
	unescaping         bool
	unquotedCells, row []byte // of a table
	namedRowText       []byte // a row of it as an object
	plainer            []byte // a line without quotes, in plain blanks
	recordText         []byte // a record of Fluent Bit's, as an object

	// The delivery line before, which "last message repeated" refers to.
	repeat     string
	repeatProg *program
}

// New returns a parser of one source. The queue may be nil: then it has one
// of its own.
func New(q *Queue, o Options) *Parser {
	if q == nil {
		q = NewQueue(0)
	}
	p := &Parser{queue: q, source: o.Source, options: o, outerHost: []byte(o.Host), programs: programs{mailServers: o.MailServers}}
	p.resumed = !o.Last.IsZero()
	p.flushLeft = p.resumed
	p.hostHash = q.hashString("") // until a line names the host; Exim's own log never does
	p.clock.init(o)
	return p
}

// Last is the time of the last line that had one, UTC, or the zero time. It
// is what Options.Last wants when reading is resumed.
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

// Parse reads one line, given without its line feed, that begins at offset.
// What it finds goes into r. The line may be overwritten after the call.
func (p *Parser) Parse(line []byte, offset int64, r *Result) Kind {
	r.reset()
	if p.how == inExport {
		if kind, ok := p.exported(line, r, offset); ok {
			return kind
		}
	}
	if len(line) > len("2026-11-23T") && (line[0] == '{' || line[10] == 'T') { // of a container's, maybe
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
	if n > 0 && (line[0] <= ' ' || !p.flushLeft || p.resumed) && p.continues(line) {
		r.Time, r.Program = p.Last(), ""
		if holdsDelivery(line) {
			return Unparsed
		}
		return Skipped
	}
	if n > 0 && (line[0] == ' ' || line[0] == '\t') {
		if text := bytes.TrimLeft(line, " \t"); text[0] == '"' && closingQuote(text, 1) == len(bytes.TrimSuffix(text, []byte(",")))-1 {
			line, n = text, len(text) // a string in a list
		}
	}
	kind := Skipped
	if len(p.table.names) > 0 {
		if row, ok := p.namedRow(line); ok {
			kind = p.whole(row, r, offset)
		}
	}
	if kind != Skipped {
		p.consumed = true // its columns have said who wrote it
	} else if n > 1 && (line[0] == '"' || line[n-1] == ',' || line[n-1] == '"' && line[n-2] == ')') {
		kind = p.quoted(line, r, offset)
	} else {
		kind = p.whole(line, r, offset)
	}
	switch {
	case kind == Attempt:
		if showsMarkup(r.Deliveries) {
			r.Deliveries, kind = r.Deliveries[:0], Unparsed
			if text, ok := p.unvis(line); ok {
				kind = p.whole(text, r, offset)
			}
			if kind != Attempt || showsMarkup(r.Deliveries) {
				r.Deliveries, kind = r.Deliveries[:0], Unparsed
			}
		}
	case p.consumed: // an object, of which every field was looked at
	case kind == Unparsed || kind == Skipped && p.foreign:
		kind = p.otherwise(kind, line, r, offset)
	}
	if p.repeatProg != nil && kind != Attempt && r.Repeated == 0 {
		p.repeatProg = nil
	}
	if mayBreakOff(kind, line) && p.beginPaste(line) {
		kind = Queued
	} else if p.paste.owed > 0 && (kind == Skipped || kind == Blank) {
		p.paste.owed--
		kind, r.Text = Unparsed, p.paste.lost
	}
	return kind
}

// continues reports a line that continues the line before: one that begins with a blank
// in a log whose lines begin with a stamp. Exim writes the headers of a message that it
// rejects into its reject log so, folded as the sender folded them: of such a line, every
// byte but the blank may be a stranger's.
//
// Of a log that is read on after its beginning it is not known how its lines begin. Until
// one shows it, a line that begins with a blank continues another.
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

// quoted reads a line with a quote or an empty cell at one of its ends: a row of a table, a
// string, what a spreadsheet left of a line.
func (p *Parser) quoted(line []byte, r *Result, offset int64) Kind {
	if line[0] == '"' {
		isJSON := bytes.Contains(line, []byte(`\u00`)) || bytes.Contains(line, []byte(`\"`))
		for _, read := range [...]func([]byte) ([]byte, bool){p.csv, p.unquote} {
			if isJSON {
				read = p.unquote
			}
			if text, ok := read(line); ok {
				return p.whole(text, r, offset)
			}
		}
	}
	if cut := spreadsheetTail(line); len(cut) < len(line) {
		if kind := p.whole(cut, r, offset); kind != Unparsed && (kind != Skipped || !p.foreign) {
			return kind
		}
	}
	return p.whole(line, r, offset)
}

// otherwise reads a line once more that was not understood: as a row of a table, as a
// string, without the blanks and marks of word processors. It counts a delivery in what is
// no text of a wrapper.
func (p *Parser) otherwise(kind Kind, line []byte, r *Result, offset int64) Kind {
	again := func(text []byte, ok bool) bool {
		if !ok {
			return false
		}
		k := p.whole(text, r, offset)
		if k == Skipped && p.foreign || (k == Skipped || k == Queued) && kind == Unparsed && !holdsDelivery(text) {
			return false // or what is not understood stands in other cells
		}
		kind = k
		return k != Unparsed
	}
	quoted := bytes.IndexByte(line, '"') >= 0 && line[0] != '{'
	if quoted && (again(p.csv(line)) || again(p.record(line))) || p.foreign && (again(p.separated(line)) || again(p.unvis(line))) ||
		p.foreign && mayBeQuoted(line) && (again(p.unquote(line)) || again(p.typewritten(line)) || again(p.misread(line, false)) || again(p.misread(line, true))) {
		return kind
	}
	if kind == Skipped {
		p.columns(line)
	}
	if kind == Skipped && (p.within != nil && p.isForeign(r.Program) && holdsDelivery(line) || Encoding(line) != "") {
		kind = Unparsed
	}
	return kind
}

// isForeign reports the name of a program that is none of an MTA's.
func (p *Parser) isForeign(name string) bool {
	prog := p.programs.get([]byte(name))
	return prog.daemon == notPostfix && !prog.exim
}

// whole reads a line that ends without a blank.
func (p *Parser) whole(line []byte, r *Result, offset int64) Kind {
	if len(line) > 0 && line[0] == '{' {
		// JSON has no control characters but escaped ones (RFC 8259 section 7): what is
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

// untabbed reads a line, and where it is not understood, once more with blanks for its
// tabs.
func (p *Parser) untabbed(line []byte, r *Result, offset int64) Kind {
	kind := p.parse(line, r, offset)
	if (kind == Unparsed || kind == Skipped && p.foreign) && bytes.IndexByte(line[:min(len(line), 128)], '\t') >= 0 {
		p.blanks = append(p.blanks[:0], line...)
		for i, c := range p.blanks {
			if c == '\t' {
				p.blanks[i] = ' '
			}
		}
		kind = p.parse(p.blanks, r, offset)
	}
	return kind
}

// parse reads a line without the blanks at its end.
func (p *Parser) parse(line []byte, r *Result, offset int64) Kind {
	p.consumed = false
	if p.how != unwrapped {
		if kind, ok := p.again(line, r, offset); ok {
			p.consumed = p.how == inObject
			return kind
		}
	}
	p.line = line
	h := &p.h
	impossible := false
	prog := p.fastHeader(line, h)
	if prog == nil {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		if line = bytes.TrimLeft(line, "\x00 \t\r"); len(line) == 0 {
			r.Program = ""
			r.Time = p.Last()
			return Blank
		}
		splitHeader(line, h)
		if p.isAnothers(h) {
			r.Time, r.Program = p.Last(), ""
			p.foreign = false
			return unparsedDelivery(line)
		}
		impossible = !p.readTime(h)
		r.Doubted = p.clock.doubted
		prog = p.names(h)
	}
	r.Time = p.clock.now
	if p.depth > 0 {
		r.Time = p.now()
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
		kind = Unparsed // when it was is not known
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

// isAnothers reports a header that names another program's container before its stamp.
func (p *Parser) isAnothers(h *header) bool {
	before := h.container
	if len(h.program) == 0 && len(h.host) > 0 && h.host[0] == '[' {
		before = h.host
	}
	return len(before) > 0 && p.programs.get(before).author == another
}

// readTime reads the stamp of a header. It reports false for one that names no time, which is
// then none.
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

// joined reports a message behind which another delivery's line stands, with its header and
// without the line feed between, as where files are joined of which one lacks its last. Between
// them there may be a blank or what separates words: behind a delivery of Postfix' only where
// its reply may have ended, and not behind a message that may quote anybody. A server that
// replies so makes its line one that is not understood, never two deliveries.
func (p *Parser) joined(h *header, kind Kind) bool {
	msg, sign := h.message, byte('<')
	if h.id != nil {
		sign = '-'
	}
	for at := 1 + shortestStamp + len(": to="); at < len(msg); at++ { // it stands there at the earliest
		i := bytes.IndexByte(msg[at:], sign)
		if i < 0 {
			break
		}
		at += i
		if h.id == nil {
			if string(msg[at-5:at]) == ": to=" && p.anotherBegins(h, kind, at-5) {
				return true
			}
		} else if looksEximID(msg[at-6:]) {
			if _, rest, ok := eximID(msg[at-6:]); ok && len(rest) > 1 && eximFlag(rest) != "" && p.anotherBegins(h, kind, at-6) {
				return true
			}
		}
	}
	return false
}

// shortestStamp is that of a time with the blank behind it.
const shortestStamp = len("Nov 23 09:47:06 ")

// anotherBegins reports a header within a message, of the line whose queue id is at.
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

// names looks the host and the program of a header up.
func (p *Parser) names(h *header) *program {
	if len(h.host) == 0 {
		h.host = p.outerHost
	}
	if p.host != string(h.host) {
		p.host = p.programs.get(h.host).name
		p.hostHash = p.queue.hashString(p.host)
	}
	return p.programs.get(h.program)
}

// fastHeader is splitHeader for a line of the same second as the line before,
// as nearly all lines of a busy log are. It returns nil where there is more to
// it.
func (p *Parser) fastHeader(line []byte, h *header) *program {
	rest, ok := p.clock.again(line)
	if !ok {
		return nil
	}
	h.form = p.clock.form
	if h.form == stampExim {
		h.host, h.program = nil, nil
		if !h.exim(rest) {
			return nil
		}
		return p.names(h)
	}
	n := len(p.host)
	if n == 0 || len(rest) < n+2 || rest[n] != ' ' || string(rest[:n]) != p.host {
		if !h.hostProgram(rest) {
			return nil
		}
		return p.names(h)
	}
	h.host = rest[:n]
	rest = rest[n+1:]
	if i := bytes.IndexByte(rest[:min(len(rest), 64)], '['); i > 0 {
		if prog := p.programs.known(rest[:i]); prog != nil {
			pid := i + 1
			i = pid + leadingDigits(rest[pid:])
			if i+3 < len(rest) && rest[i] == ']' && rest[i+1] == ':' && rest[i+2] == ' ' && rest[i+3] != '[' {
				h.id, h.pid = nil, rest[pid:i]
				h.message = rest[i+3:]
				return prog
			}
		}
	}
	if !h.programMessage(rest) {
		return nil
	}
	return p.names(h)
}

// message looks at the text after the header.
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
		// A delivery agent of somebody's own making, under any name.
		if _, rest, ok := queueID(msg); ok && hasPrefix(rest, "to=<") {
			own := *prog
			own.daemon = deliveryAgent
			return p.postfix(&own, h, r, offset)
		}
	}
	return Skipped
}

// bareMessage reads a message without the name of a program, as log shippers
// keep it, or a line of Exim's own log.
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

// repeatedMessage reads a line with which a syslog daemon stands in for n
// equal ones. Without an inner message it is the line before that is meant.
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
		n = 1 << 30 // more than anybody counts
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

// repeatedAgain reports a repetition within a repetition, which nobody writes
// and which would let a line recurse.
func repeatedAgain(b []byte) bool {
	return hasPrefix(b, "message repeated ") || hasPrefix(b, "last message repeated ")
}

func isDigit(c byte) bool { return c-'0' < 10 }

// leadingDigits counts the digits at the start of b.
func leadingDigits(b []byte) int {
	n := 0
	if len(b) >= 8 {
		// Of a digit, XOR leaves 0 to 9: only from 10 on does the sum, or the
		// byte itself, have its highest bit set. A carry spoils but the bytes
		// behind the first that is no digit.
		x := binary.LittleEndian.Uint64(b) ^ 0x3030303030303030
		if x = (x + 0x7676767676767676 | x) & 0x8080808080808080; x != 0 {
			return bits.TrailingZeros64(x) / 8
		}
		n = 8
	}
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

// hasPrefix is bytes.HasPrefix for a constant, which the compiler then compares
// by words.
func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// cutPrefix is bytes.CutPrefix for a constant.
func cutPrefix(b []byte, prefix string) (after []byte, found bool) {
	if hasPrefix(b, prefix) {
		return b[len(prefix):], true
	}
	return b, false
}

// A program is what the name of the program that logged a line says.
type program struct {
	name     string
	instance string // of Postfix: what stands before the first slash
	agent    string // what stands after the last slash; empty where it is none of Postfix's
	daemon   daemon
	exim     bool
	author   author
}

// programs keeps what is known of the few names that nearly all lines bear: a
// cache of fixed size.
type programs struct {
	slots       [256]*program
	mailServers []string
}

// known returns the program of that name, if it is in the cache.
func (c *programs) known(name []byte) *program {
	if p := c.slots[slot(name)]; p != nil && p.name == string(name) {
		return p
	}
	return nil
}

// get returns the program of that name.
func (c *programs) get(name []byte) *program {
	if len(name) == 0 {
		return &noProgram
	}
	if p := c.known(name); p != nil {
		return p
	}
	p := newProgram(string(name))
	if p.author == another && slices.ContainsFunc(c.mailServers, func(pattern string) bool {
		is, _ := path.Match(pattern, p.name)
		return is
	}) {
		p.author = mailServer
	}
	if len(name) <= 255 {
		c.slots[slot(name)] = p
	}
	return p
}

// slot is a hash of a name: of its length and its last eight bytes, by which
// Postfix's programs differ.
func slot(name []byte) uint8 {
	n := len(name)
	h := uint64(n)
	if n >= 8 {
		h ^= binary.LittleEndian.Uint64(name[n-8:])
	} else {
		for _, c := range name {
			h = h<<8 ^ uint64(c)
		}
	}
	return uint8(h * 0x9e3779b97f4a7c15 >> 56)
}

var noProgram program

// newProgram knows the program by its name. Postfix's programs log as
// "syslog_name/program", where the syslog name is "postfix", with a service's
// own ("postfix/submission/smtpd") or another instance's ("postfix-out").
func newProgram(name string) *program {
	if strings.ContainsAny(name, "\"'=(){}<>\\|\u00a0") {
		return &program{name: name, author: authorOf(name)} // some of a wrapper
	}
	p := &program{name: name, exim: isEximProgram(name), author: authorOf(name)}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		p.agent = name[i+1:]
		p.daemon = postfixDaemon(p.agent)
		p.instance, _, _ = strings.Cut(name, "/")
	} else if p.daemon = postfixDaemon(name); p.daemon != notPostfix || strings.Contains(name, "postfix") {
		p.agent, p.instance = name, name
		if p.daemon != notPostfix {
			p.instance = "" // a shipper has cut the syslog name off
		}
	}
	return p
}
