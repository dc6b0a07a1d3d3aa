package parser

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A paste is the beginning of a delivery line that a mail program or a terminal broke at its width:
// the line ends within the delivery, and the next lines have no header.
//
// No other lines are joined. A line that syslog has cut is longer than such a width, and a header
// follows it. Where a stranger could choose the next line, the previous one would have to be a line
// of Postfix or Exim that ends where neither ends a line.
type paste struct {
	text   []byte
	marks  []byte // of a quotation, before each piece
	last   int    // index of the last piece
	width  int    // of the first piece
	hard   bool   // a word was broken, or may have been
	blank  bool   // the last piece ended with a blank
	pieces int

	unclear bool // a break was within an address, and it is not known what was there

	// A line that ends a paste may be a delivery itself. Whichever of the two is
	// not understood is then counted with the next line that reports nothing.
	owed int
	lost []byte // the last text that was not understood
}

const (
	widest    = 250 // in bytes, of a piece
	narrowest = 30
	maxPieces = 32
)

// beginPaste checks a line that reports nothing, and reports whether it is the first piece of a
// paste.
func (p *Parser) beginPaste(line []byte) bool {
	marks := len(line) - len(bytes.TrimLeft(line, "> |"))
	if len(line) < narrowest || len(line) > widest || !p.breaksOff(line[marks:]) {
		return false
	}
	t := &p.paste
	t.text, t.marks, t.last = append(t.text[:0], line...), append(t.marks[:0], line[:marks]...), marks
	t.width, t.hard, t.blank, t.unclear, t.pieces = len(line), false, p.blankEnd, false, 1
	return true
}

// breaksOff reports whether a line has a header and ends within a delivery: for Postfix between the
// program and the status, for Exim after the message id or within the first address. A longer line
// of Exim is already an attempt.
func (p *Parser) breaksOff(line []byte) bool {
	var h header
	if splitHeader(line, &h); h.form == stampNone {
		return false
	}
	if h.id == nil {
		h.id, h.rest, _ = eximID(h.message)
	}
	if h.id != nil {
		return len(h.rest) < 2 || eximFlag(h.rest) != "" && (len(h.rest) < 4 || endsInAddress(line))
	}
	if d := p.programs.get(h.program).daemon; d != deliveryAgent && d != qmgrDaemon && d != cleanupDaemon {
		return false
	}
	if id := bytes.TrimSuffix(h.message, []byte(":")); allAlnum(id) {
		return len(h.message) == 0 || len(id) >= 5 && !logWord(id)
	}
	_, rest, ok := queueID(h.message)
	return ok && (hasPrefix(rest, "to=<") && !bytes.Contains(rest, []byte("status=")) || hasPrefix(rest, "from=<") && rest[len(rest)-1] == ',')
}

// join appends a line, and reports whether it is another piece of the paste.
func (t *paste) join(line []byte, blank bool) bool {
	piece, ok := bytes.CutPrefix(line, bytes.TrimRight(t.marks, " "))
	if piece = bytes.TrimLeft(piece, " \t"); !ok || len(piece) == 0 || len(line) > widest || t.pieces == maxPieces ||
		piece[0] == '{' || piece[0] == '>' && len(t.marks) > 0 {
		return false
	}
	isBegun := bytes.HasSuffix(t.text, []byte("]:")) && t.pieces == 1 // after the program
	if _, _, isID := eximID(piece); isID || mayBeLine(piece) && !(isBegun && isBare(piece, new(header))) {
		return false
	}
	indented := len(piece) < len(line)-len(t.marks)
	spaced := t.blank || indented || t.wordEnds(piece)
	t.unclear = t.unclear || t.inQuotes() || t.isUnclear(piece, spaced)
	if spaced {
		t.text = append(t.text, ' ')
	}
	t.last = len(t.text)
	t.text = append(t.text, piece...)
	t.blank = blank
	t.pieces++
	return true
}

// wordEnds reports whether there was a blank between two words at the break. Postfix's fields have
// blanks only after a comma or a colon. A reply and Exim's fields have them anywhere: there the
// result depends on whether a word was broken before.
func (t *paste) wordEnds(next []byte) bool {
	end := t.text[len(t.text)-1]
	to := bytes.Index(t.text, []byte(": to="))
	switch {
	case end == ',' || end == ':':
		return true
	case to > 0 && !bytes.Contains(t.text[to:], []byte(" (")):
		word := t.text[bytes.LastIndexByte(t.text, ' ')+1:]
		isStatus := next[0] == '(' && bytes.HasPrefix(word, []byte("status="))
		t.hard = t.hard || !isStatus
		return isStatus
	case to < 0 && t.pieces == 1 && endsInAddress(t.text):
		_, isDeferral := cutDefer(string(next))
		t.hard = bytes.LastIndexByte(t.text, '<') > bytes.LastIndexByte(t.text, ' ') ||
			next[0] != '<' && next[0] != '(' && !isDeferral && fieldName(string(next)) == 0
	}
	return !t.hard && (t.pieces == 1 || len(t.text)-t.last != t.width-len(t.marks))
}

// endsInAddress reports whether a line of Exim ends with or within the address after its arrow, or
// within the one in brackets after a name.
func endsInAddress(line []byte) bool {
	i := bytes.LastIndexByte(line, ' ')
	if i > 0 && hasPrefix(line[i+1:], "<") {
		i = bytes.LastIndexByte(line[:i], ' ')
	}
	return i > 3 && line[i-3] == ' ' && eximFlag(line[i-2:i+1]) != ""
}

// inQuotes reports whether the last piece ends in a quoted address, which may hold blanks.
func (t *paste) inQuotes() bool {
	to := bytes.Index(t.text, []byte(`: to=<"`))
	return to > 0 && !bytes.Contains(t.text[to:], []byte(">,"))
}

// isUnclear reports whether the break before a piece is within an address, and the text at the break
// may not be of the address: a mark of an editor, a hyphen, an indent.
func (t *paste) isUnclear(next []byte, spaced bool) bool {
	const field = "to=<" // and orig_to=<
	end, plain := t.text[len(t.text)-1], func(c byte) bool { return alnum[c] || c == '.' || c == '@' || c == '_' }
	if end == '>' && next[0] == '>' || next[0] == '.' && (len(next) == 1 || !alnum[next[1]]) {
		return true
	}
	if to := bytes.LastIndex(t.text, []byte(field)); to >= 0 {
		address := t.text[to+len(field):]
		if bytes.IndexByte(address, '>') >= 0 {
			return false
		}
		return spaced || len(address) > 0 && !plain(end) || !plain(next[0]) && !hasPrefix(next, ">,")
	}
	if t.pieces > 1 {
		return false
	}
	return next[0] >= 0x80 || next[0] == '>' || endsInAddress(t.text) && (!plain(end) && end != '>' || !spaced && !plain(next[0]))
}

// ended reports whether the text is a complete line of Postfix.
func (t *paste) ended() bool {
	return t.text[len(t.text)-1] == ')' && bytes.Contains(t.text, []byte(": to=")) && bytes.Contains(t.text, []byte(", status="))
}

// pasted reads a line after the beginning of a paste: another piece of it, or a separate line
// together with the paste that it ends.
func (p *Parser) pasted(line []byte, r *Result, offset int64) Kind {
	t := &p.paste
	if len(line) > 0 && t.join(trimBreaks(line), line[len(line)-1] == ' ') {
		r.Time, r.Program = p.Last(), ""
		if !t.ended() {
			return Queued
		}
		return p.endPaste(r, offset)
	}
	switch p.endPaste(r, offset) {
	case Queued:
		return p.Parse(line, offset, r)
	case Unparsed:
		t.owed++
		return p.Parse(line, offset, r)
	}
	var another Result
	kind := p.Parse(line, offset, &another)
	if kind == Unparsed {
		t.owed, t.lost = t.owed+1, append(t.lost[:0], line...)
		return Attempt
	}
	return r.merge(Attempt, &another, kind)
}

// endPaste reads the paste and clears it. A paste that forms a line of the kind Queued counts as
// that line.
func (p *Parser) endPaste(r *Result, offset int64) (kind Kind) {
	t := &p.paste
	t.lost = append(t.lost[:0], t.text...)
	t.text = t.text[:0]
	kind = p.whole(t.lost, r, offset)
	if kind == Attempt && !t.unclear || kind == Queued && t.pieces > 1 && !holdsDelivery(t.lost) {
		return kind
	}
	r.reset()
	r.Text = t.lost
	return Unparsed
}

// A looseText is the text of the last lines without a header, joined without blanks. If a text is
// broken at a width before a delivery begins, no line of it tells that the next ones belong to it.
// It is not read, but its delivery is counted as not understood.
type looseText struct {
	text  []byte
	begun bool   // it holds the beginning of a recipient
	joint []byte // what add examines: the last bytes of the text and a line
}

const (
	maxLoose = 2 << 10 // bytes
	// shortMessage is the length in bytes of a message that may end within the beginning of a
	// delivery: "4A1B2C3D4E: to", "1tAbCd-0001Xy-9Z *".
	shortMessage = 32
)

// begin keeps the text of a line with a header if the line may end before a delivery begins.
func (l *looseText) begin(line, message []byte) {
	l.clear()
	if len(message) < shortMessage && len(line) <= widest {
		l.text = append(l.text, line...)
	}
}

// add adds a line without a header. It returns the text if the line completes the parts of a
// delivery, with or without a blank before it, and with or without the marks at the break.
func (l *looseText) add(line []byte) (text []byte, holds bool) {
	const status = "status="
	line = bytes.TrimLeft(line, "> |\t")
	if len(line) > widest {
		l.clear()
		return nil, false
	}
	n := len(l.text)
	if n > maxLoose {
		n, l.begun = 0, false
	}
	before, after := len(trimMark(l.text[:n])), trimIndent(line)
	for i, way := range [...]struct {
		n    int
		line []byte
	}{{before, after}, {before, line}, {n, after}, {n, line}} {
		if i&1 == 0 && len(after) == len(line) || i < 2 && before == n {
			continue // the same as without marks
		}
		for _, between := range [...]string{" ", ""} {
			first := max(0, way.n-shortMessage)
			b := append(append(append(l.joint[:0], l.text[first:way.n]...), between...), way.line...)
			l.joint = b
			l.begun = l.begun || beginsRecipient(b)
			if l.begun && bytes.Contains(b[max(0, way.n-first-len(status)):], []byte(status)) || holdsDelivery(b) {
				holds = true
			}
		}
	}
	text = append(l.text[:n], line...)
	if l.text = text; holds {
		l.clear()
	}
	return text, holds
}

// beginsRecipient reports whether b holds "to=<", also with an escape.
func beginsRecipient(b []byte) bool {
	const to = "to="
	for {
		i := bytes.Index(b, []byte(to))
		if i < 0 || bracket(b[i+len(to):]) > 0 {
			return i >= 0
		}
		b = b[i+len(to):]
	}
}

// clear forgets the text.
func (l *looseText) clear() { l.text, l.begun = l.text[:0], false }

// isMark reports whether a character may mark a break: of a shell, an editor, a box of a terminal,
// quoted-printable text.
func isMark(r rune) bool {
	return r >= 0x80 && !unicode.IsLetter(r) || r < 0x80 && strings.IndexByte(" \\=|$-+>.", byte(r)) >= 0
}

// trimMark cuts off the mark at the end of a line: one character, and the blanks around it.
func trimMark(b []byte) []byte {
	b = bytes.TrimRight(b, " ")
	if r, n := utf8.DecodeLastRune(b); isMark(r) {
		b = bytes.TrimRight(b[:len(b)-n], " ")
	}
	return b
}

// trimIndent cuts off the mark at the start of a line, and the blanks after it.
func trimIndent(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimLeftFunc(b, func(r rune) bool { return r != ' ' && r != '=' && isMark(r) }), " ")
}

// unread returns the kind of a line of the given kind together with the lines before it: Unparsed
// if they hold a delivery that was broken before its beginning.
func (p *Parser) unread(kind Kind, line []byte, r *Result) Kind {
	switch {
	case kind == Blank: // the text goes on after it
	case kind != Skipped && kind != Queued || p.consumed:
		p.loose.clear()
	case !p.headless:
		p.loose.begin(line, p.h.message)
	default:
		if text, holds := p.loose.add(line); holds {
			r.Text, kind = text, Unparsed
		}
	}
	return kind
}

// mayBreakOff is a cheap test for breaksOff of the kind and the end of a line.
func mayBreakOff(kind Kind, line []byte) bool {
	n := len(line)
	switch kind {
	case Unparsed:
		return true
	case Skipped: // ends after the program, or after or within the queue id, which is the whole message
		if n == 0 || !alnum[line[n-1]] {
			return n > 0 && line[n-1] == ':'
		}
		i := bytes.LastIndexByte(line, ' ') - 1
		return i > 0 && line[i] == ':' && bytes.Index(line, []byte(": ")) == i
	case Queued:
		return n > 5 && (line[n-3] == '-' || line[n-5] == '-')
	}
	return false
}
