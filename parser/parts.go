package parser

import (
	"bytes"
	"slices"
)

// A part is one of several lines into which Exim splits a line that is too long for syslog
// (write_syslog in log.c): "[2/5] text", or "[2\\5] text" if the previous part ended at a line
// feed.
type part struct {
	n, of    int
	linefeed bool
	text     []byte
}

// syslogPart reads the number of a part.
func syslogPart(msg []byte) (p part, ok bool) {
	if len(msg) < 6 || msg[0] != '[' {
		return p, false
	}
	i := 1
	for i < len(msg) && i < 5 && isDigit(msg[i]) {
		p.n = p.n*10 + int(msg[i]-'0')
		i++
	}
	if i == 1 || i >= len(msg) || msg[i] != '/' && msg[i] != '\\' {
		return p, false
	}
	p.linefeed = msg[i] == '\\'
	first := i + 1
	for i++; i < len(msg) && i < 12 && isDigit(msg[i]); i++ {
		p.of = p.of*10 + int(msg[i]-'0')
	}
	if i == first || i+1 >= len(msg) || msg[i] != ']' || msg[i+1] != ' ' || p.n < 1 || p.n > p.of {
		return p, false
	}
	p.text = msg[i+2:]
	return p, true
}

// parts keeps the beginnings of lines until their last part comes. The parts of one process come in
// order, those of several processes interleaved.
//
// The memory is bounded: maxBegun lines of maxJoined bytes. A line whose end does not come is
// counted as not understood when its slot is needed, or when its process logs another line.
type parts struct {
	begun []begun
}

// A begun line waits for its next part.
type begun struct {
	host, program string
	pid           []byte
	next          int
	text          []byte
}

const (
	maxBegun  = 16
	maxJoined = 64 << 10
)

// join adds a part. With the last part it returns the whole line, which is valid until the next
// call; else it returns nil and the kind of this line.
func (ps *parts) join(p *Parser, prog *program, part *part) (whole []byte, kind Kind) {
	pid := p.pid(part.text)
	at := -1
	for i := range ps.begun {
		if b := &ps.begun[i]; b.host == p.host && b.program == prog.name && bytes.Equal(b.pid, pid) {
			at = i
		}
	}
	kind = Queued
	if part.n == 1 {
		if at < 0 && len(ps.begun) < maxBegun {
			ps.begun = append(ps.begun, begun{})
			at = len(ps.begun) - 1
		} else if at < 0 {
			at = 0
		}
		b := &ps.begun[at]
		if b.next > 0 && holdsDelivery(b.text) {
			kind = Unparsed // for the line whose end did not come
		}
		if part.of > 1 {
			*b = begun{host: p.host, program: prog.name, pid: append(b.pid[:0], pid...), next: 2, text: append(b.text[:0], part.text...)}
			b.text = append(b.text, p.blank()...)
			return nil, kind
		}
		b.next = 0
		return part.text, kind
	}
	if at < 0 || ps.begun[at].next != part.n || len(ps.begun[at].text)+len(part.text) > maxJoined {
		return nil, Queued // the beginning is in another log and was counted there
	}
	b := &ps.begun[at]
	if part.linefeed && len(b.text) > 0 && b.text[len(b.text)-1] != ' ' {
		b.text = append(b.text, ' ')
	}
	b.text = append(b.text, part.text...)
	b.next++
	if part.n < part.of {
		b.text = append(b.text, p.blank()...)
		return nil, Queued
	}
	b.next = 0
	return b.text, Queued
}

// lost reports whether the process that logged this message, which is not a part, has an unfinished
// line that holds a delivery. It drops the line.
func (ps *parts) lost(p *Parser, prog *program, message []byte) bool {
	for i := range ps.begun {
		b := &ps.begun[i]
		if b.next == 0 || len(b.pid) == 0 || b.host != p.host || b.program != prog.name {
			continue
		}
		if _, ok := syslogPart(message); ok || !bytes.Equal(b.pid, p.ownPID(message)) {
			continue
		}
		b.next = 0
		return holdsDelivery(b.text)
	}
	return false
}

// ownPID returns the process id before a message that is not a part.
func (p *Parser) ownPID(message []byte) []byte {
	head := p.line[:max(0, len(p.line)-len(message))]
	return lastDigits(head[:max(0, bytes.LastIndex(head, []byte("]: ")))])
}

// pid returns the process id before a message that ends the line.
func (p *Parser) pid(message []byte) []byte {
	head := p.line[:max(0, len(p.line)-len(message))]
	head = head[:max(0, bytes.LastIndex(head, []byte("]: [")))]
	return lastDigits(head)
}

// blank returns the blank that was cut off at the end of the line, if there was one.
func (p *Parser) blank() []byte {
	if p.blankEnd {
		return []byte(" ")
	}
	return nil
}

// dockerCut is the length at which docker cuts a line, in bytes of its text.
const dockerCut = 16 << 10

// pieces are the lines that a container engine has cut. Kubernetes (CRI) marks a piece with "P" in
// place of "F". In docker's json-file, a piece has dockerCut bytes and no line feed at the end of
// "log". Other objects have a field for it. The next piece is not read as a separate line, because
// a stranger may have chosen the place of the cut. A line has at most maxJoined bytes, and at most
// maxBegun streams have an unfinished line.
type pieces struct {
	begun []piece
}

// A piece is the beginning of a line, with the header of its first record.
type piece struct {
	stream []byte // distinguishes the streams of containers; empty: none has begun
	text   []byte
	lost   bool // it holds a delivery that is too long
}

// whole adds a line. It returns the whole line, which is valid until the next call. If this line is
// a piece and more pieces follow, ok is false and kind is the kind of this line.
func (ps *pieces) whole(line []byte) (whole []byte, kind Kind, ok bool) {
	const docker = `{"log":"`
	if line[0] == '{' && len(ps.begun) == 0 && (len(line) < dockerCut || !hasPrefix(line, docker)) {
		return line, 0, true // not a piece, and not after one
	}
	if hasPrefix(line, docker) {
		at := len(docker)
		end := closingQuote(line, at)
		if end < 0 || !bytes.Contains(line[end:], []byte(`"stream":"std`)) {
			return line, 0, true
		}
		stream := []byte("out")
		if bytes.Contains(line[end:], []byte(`"stream":"stderr"`)) {
			stream = []byte("err")
		}
		return ps.join(stream, line, at, end, end-at >= dockerCut && !bytes.HasSuffix(line[at:end], []byte(`\n`)))
	}
	if at := criText(line); at > 0 {
		tag := bytes.TrimSuffix(line[:at], []byte(" ")) // without a text, the blank may be missing
		n := len(tag)
		return ps.join(tag[n-5:n-2], line, at, len(line), tag[n-1] == 'P')
	}
	return line, 0, true
}

// criText returns the index of the text of a record in the format of Kubernetes, or 0.
func criText(line []byte) int {
	if len(line) > 10 && line[10] == 'T' {
		at := bytes.IndexByte(line[:min(len(line), longestStamp)], ' ') + 1
		if n := criPrefix(line[at:]); n > 0 {
			return at + n
		}
	}
	return 0
}

// join adds a record of a stream, with its text from at to end. more reports whether another piece
// follows.
func (ps *pieces) join(stream, line []byte, at, end int, more bool) (whole []byte, kind Kind, ok bool) {
	i := slices.IndexFunc(ps.begun, func(b piece) bool { return bytes.Equal(b.stream, stream) })
	switch {
	case i < 0 && !more:
		return line, 0, true
	case i < 0:
		if i = slices.IndexFunc(ps.begun, func(b piece) bool { return len(b.stream) == 0 }); i < 0 && len(ps.begun) < maxBegun {
			i = len(ps.begun)
			ps.begun = append(ps.begun, piece{})
		}
		if i = max(i, 0); ps.begun[i].end() { // this piece takes its slot
			kind = Unparsed
		} else {
			kind = Skipped
		}
		b := &ps.begun[i]
		b.stream, b.text = append(b.stream[:0], stream...), append(b.text[:0], line[:end]...)
		return nil, kind, false
	}
	b := &ps.begun[i]
	switch {
	case more && holdsDelivery(line[at:end]):
		return nil, Unparsed, false // counted separately, even if many pieces follow one another
	case len(b.text)+len(line) > maxJoined:
		b.lost = b.lost || holdsDelivery(b.text) || holdsDelivery(line[at:end])
	default:
		b.text = append(b.text, line[at:end]...)
	}
	if more {
		return nil, Skipped, false
	}
	whole = append(b.text, line[end:]...)
	lost := b.lost
	b.forget()
	if lost {
		return nil, Unparsed, false
	}
	return whole, 0, true
}

func (b *piece) forget() { b.stream, b.text, b.lost = b.stream[:0], b.text[:0], false }

// end drops a line whose last piece has not come, and reports whether it holds a delivery, or the
// beginning of a delivery line of Postfix.
func (b *piece) end() bool {
	const to = ": to="
	i := bytes.Index(b.text, []byte(to))
	holds := b.lost || holdsDelivery(b.text) || i >= 0 && bracket(b.text[i+len(to):]) > 0
	b.forget()
	return holds
}

// end drops all lines whose last pieces have not come, and reports whether one holds a delivery.
func (ps *pieces) end() bool {
	holds := false
	for i := range ps.begun {
		holds = ps.begun[i].end() || holds
	}
	return holds
}
