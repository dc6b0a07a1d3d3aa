package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"

	"bouncelog/bounce"
)

// Control characters in a line usually come from its transport: from a terminal that the line was
// copied from, from UTF-16, or from a changed line feed. Postfix writes none (msg_text in
// msg_output.c replaces them). Exim writes them in one place only: a quoted local part of a
// recipient or a sender may hold any of them (an atom may not, read_local_part in parse.c), and
// Exim's own log shows them unchanged. Other programs may also show a stranger's. So
//
//   - terminal sequences are removed from the whole line. A line of Exim with a quoted address is
//     then not understood, because without them it may name another mailbox;
//   - a second line inside a line is read only after one of a Postfix program. After any other it
//     is not understood.

// hasControl reports whether b holds an ASCII control character or a tab. It runs on every line,
// and few lines have any, so it adds eight bytes at a time: the highest bit of a byte is then 0
// below 0x20, and from 0xa0 on, where there is a carry, so that only text in ASCII is decided
// without a second look. This takes 0.5 instructions for each byte; without a carry it takes one.
func hasControl(b []byte) bool {
	const add, high = 0x6060606060606060, 0x8080808080808080
	if len(b) >= 8 {
		all := binary.LittleEndian.Uint64(b[len(b)-8:]) + add
		rest := b
		for ; len(rest) > 64; rest = rest[64:] {
			w := (*[64]byte)(rest)
			all &= (binary.LittleEndian.Uint64(w[:]) + add) & (binary.LittleEndian.Uint64(w[8:]) + add) &
				(binary.LittleEndian.Uint64(w[16:]) + add) & (binary.LittleEndian.Uint64(w[24:]) + add) &
				(binary.LittleEndian.Uint64(w[32:]) + add) & (binary.LittleEndian.Uint64(w[40:]) + add) &
				(binary.LittleEndian.Uint64(w[48:]) + add) & (binary.LittleEndian.Uint64(w[56:]) + add)
		}
		for ; len(rest) > 16; rest = rest[16:] {
			w := (*[16]byte)(rest)
			all &= (binary.LittleEndian.Uint64(w[:]) + add) & (binary.LittleEndian.Uint64(w[8:]) + add)
		}
		if len(rest) > 8 {
			all &= binary.LittleEndian.Uint64(rest) + add
		}
		if all&high == high {
			return false
		}
	}
	return indexControl(b) >= 0
}

// indexControl returns the index of the first ASCII control character or tab in b, or -1. In a word, the
// first byte whose highest bit is set by the subtraction and was not set before is below 0x20.
func indexControl(b []byte) int {
	const blanks, high = 0x2020202020202020, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if x = (x - blanks) &^ x & high; x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] < ' ' {
			return i
		}
	}
	return -1
}

// isBreak reports whether c may stand in place of a line feed: CR of old Macs and of terminals, VT
// and FF, NUL of a hole in a file, LF of a text from JSON, RS of a sequence of JSON texts (RFC
// 7464).
func isBreak(c byte) bool { return c >= '\n' && c <= '\r' || c == 0 || c == 0x1e }

// controlled reads a line with control characters. It calls read with a line that has none, or only
// those without meaning.
func (p *Parser) controlled(line []byte, r *Result, offset int64, read func([]byte, *Result, int64) Kind) Kind {
	nul, isWide := bytes.IndexByte(line, 0) >= 0, false
	if nul {
		var text []byte
		if text, isWide = p.narrow(line); isWide {
			line = text
		}
	}
	sequences := false
	if bytes.IndexByte(line, 0x1b) >= 0 {
		if text, ok := p.plainText(line); ok {
			line, sequences = text, true
		}
	}
	if bytes.IndexByte(line, '\b') >= 0 {
		line, sequences = p.struckOver(line), true
	}
	kind := p.several(line, r, offset, read)
	if sequences && kind == Attempt && quotesExim(line, r) {
		r.Deliveries, kind = r.Deliveries[:0], Unparsed
	}
	if nul && (kind == Skipped || kind == Blank) {
		text := line
		if !isWide {
			text = bytes.ReplaceAll(line, []byte{0}, nil)
		}
		if holdsDelivery(text) || !isWide && holdsDelivery(ofLatin1(text)) {
			kind = Unparsed
		}
	}
	return kind
}

// ofLatin1 converts text from ISO 8859-1, which is UTF-16 without its NULs, to UTF-8.
func ofLatin1(b []byte) (text []byte) {
	for _, c := range b {
		text = utf8.AppendRune(text, rune(c))
	}
	return text
}

// narrow converts a line from UTF-16 or UTF-32 to UTF-8: a line of characters of two or four bytes,
// exactly one of which is not NUL, in any byte order. The bytes of the line feeds are at its ends.
// narrow returns false for any other line.
func (p *Parser) narrow(line []byte) (text []byte, ok bool) {
	const nul = "\x00"
	line = bytes.Trim(line, nul)
	if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
		line = bytes.TrimLeft(line[2:], nul)
	}
	size := 1
	for size < len(line) && line[size] == 0 {
		size++
	}
	if len(line) > 1 && size != 2 && size != 4 {
		return nil, false
	}
	b := slices.Grow(p.wide[:0], len(line)+1)
	for i := 0; i < len(line); i += size {
		c := line[i]
		if c == 0 || i+1 < len(line) && line[i+1] != 0 {
			return nil, false
		}
		for k := i + 2; k < len(line) && k < i+size; k++ { // UTF-32
			if line[k] != 0 {
				return nil, false
			}
		}
		if c < utf8.RuneSelf {
			b = b[:len(b)+1]
			b[len(b)-1] = c
		} else {
			b = utf8.AppendRune(b, rune(c))
		}
	}
	p.wide = b
	return bytes.TrimRight(b, "\r "), true
}

// plainText removes the terminal sequences (ECMA-48) from a line: colours, cursor movements,
// character sets, titles and links. It returns false if the line holds an escape character that
// begins none of these, or a quoted one, which is part of an address.
func (p *Parser) plainText(line []byte) (plain []byte, ok bool) {
	b := p.uncoloured[:0]
	for i := 0; i < len(line); {
		next := bytes.IndexByte(line[i:], 0x1b)
		if next < 0 {
			b = append(b, line[i:]...)
			break
		}
		b = append(b, line[i:i+next]...)
		i += next
		n := sequence(line[i:])
		if n == 0 || i > 0 && line[i-1] == '\\' {
			return nil, false
		}
		i += n
	}
	p.uncoloured = b
	return bytes.TrimRight(b, " \r"), true
}

// struckOver removes the characters that printers strike over: a character struck over by itself,
// for bold type, or an underscore struck over by any character. Any other backspace stays, because
// a stranger could use it to delete a quote or his own program's name.
func (p *Parser) struckOver(line []byte) []byte {
	b := p.struck[:0]
	for i, c := range line {
		if c == '\b' && len(b) > 0 {
			under, n := utf8.DecodeLastRune(b)
			if over, _ := utf8.DecodeRune(line[i+1:]); over == under || under == '_' && over != '\b' {
				b = b[:len(b)-n]
				continue
			}
		}
		b = append(b, c)
	}
	p.struck = b
	return b
}

// maxSequence bounds the length of a terminal sequence in bytes.
const maxSequence = 512

// sequence returns the length of the terminal sequence at the start of b, or 0. A sequence holds no
// quote, no angle bracket and no backslash, because its removal would then change where the parts
// of the line begin and end.
func sequence(b []byte) int {
	b = b[:min(len(b), maxSequence)]
	if len(b) < 2 {
		return 0
	}
	switch c := b[1]; {
	case c == '[': // CSI, parameters, a letter
		i := 2
		for i < len(b) && (isDigit(b[i]) || b[i] == ';' || b[i] == ':' || b[i] == '?') {
			i++
		}
		if i < len(b) && b[i]|0x20-'a' < 26 {
			return i + 1
		}
	case c == ']': // OSC, text, BEL or ST
		for i := 2; i < len(b); i++ {
			switch b[i] {
			case 0x07:
				return i + 1
			case 0x1b:
				if i+1 < len(b) && b[i+1] == '\\' {
					return i + 2
				}
				return 0
			case '"', '<', '>', '\\':
				return 0
			}
		}
	case c == '(' || c == ')': // a character set
		if len(b) > 2 && alnum[b[2]] {
			return 3
		}
	case isDigit(c) || c == '=' || c == '>' || c >= '`' && c <= '~':
		return 2
	}
	return 0
}

// quotesExim reports whether the line is an attempt of Exim and names a quoted address.
func quotesExim(line []byte, r *Result) bool {
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.MTA != bounce.Exim {
			continue
		}
		if isQuoted(d.Recipient) {
			return true
		}
		for s := string(line); ; {
			at := nextParent(s, 0)
			if at < 0 {
				break
			}
			if s = s[at+2:]; isQuoted(s) {
				return true
			}
		}
	}
	return false
}

// several reads the lines inside one line.
func (p *Parser) several(line []byte, r *Result, offset int64, read func([]byte, *Result, int64) Kind) (kind Kind) {
	start := 0
	for start < len(line) && isBreak(line[start]) {
		start++
	}
	end := nextLine(line, start)
	if end == len(line) {
		return read(line[start:], r, offset+int64(start))
	}
	var another Result
	for to := r; start < len(line); to = &another {
		to.reset()
		k := read(trimBreaks(line[start:end]), to, offset+int64(start))
		cut := k == Attempt && line[start+len(trimBreaks(line[start:end]))-1] != ')' // Postfix ends each line with it
		if end < len(line) && (cut || p.programs.get([]byte(to.Program)).daemon == notPostfix) {
			// The text after the break may be part of this line. It is not taken for another one.
			to.reset()
			if k = read(line[start:], to, offset+int64(start)); holdsDelivery(line[end:]) {
				k = Unparsed
			}
			end = len(line)
		}
		if to == r {
			kind = k
		} else {
			kind = r.merge(kind, to, k)
		}
		if start = end; start < len(line) {
			end = nextLine(line, start)
		}
	}
	if kind == Unparsed {
		r.Deliveries, r.End = r.Deliveries[:0], bounce.End{}
	}
	return kind
}

// frames reads a stream of syslog messages, each after its octet count, without line feeds between
// them. It returns false if the line does not consist of complete messages. The counts come from
// the sender and are obeyed to the byte, because a message may hold text that looks like another
// one.
func (p *Parser) frames(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	n := 0
	for rest := line; len(rest) > 0; n++ {
		_, size := frame(rest)
		if size == 0 {
			return 0, false
		}
		rest = rest[size:]
	}
	if n < 2 {
		return 0, false
	}
	var another Result
	to := r
	for rest := line; len(rest) > 0; to = &another {
		message, size := frame(rest)
		to.reset()
		k := p.parse(trimBreaks(message), to, offset+int64(len(line)-len(rest)))
		if to == r {
			kind = k
		} else {
			kind = r.merge(kind, to, k)
		}
		rest = rest[size:]
	}
	return kind, true
}

// frame returns the syslog message after an octet count at the start of b, and the length of both,
// or 0.
func frame(b []byte) (message []byte, size int) {
	at := octetCount(b)
	if at == 0 {
		return nil, 0
	}
	n, _ := digits(b[:at-1])
	if n > len(b)-at {
		return nil, 0
	}
	return b[at : at+n], at + n
}

// misread decodes ASCII text in which each two bytes were read as one character of UTF-16, with the
// first byte as its high or its low byte. Such lines were appended in UTF-8 to a file in UTF-16.
func (p *Parser) misread(line []byte, high bool) (text []byte, ok bool) {
	if len(line) == 0 || line[0] < 0xc0 {
		return nil, false
	}
	b := p.wide[:0]
	for rest := line; len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		one, two := byte(c), byte(c>>8)
		if high {
			one, two = two, one
		}
		if c > 0xffff || !isText(one) || !isText(two) {
			return nil, false
		}
		b, rest = append(b, one, two), rest[n:]
	}
	p.wide = b
	return trimBreaks(b), true
}

// isText reports whether c is an ASCII character that a text may hold.
func isText(c byte) bool { return c >= ' ' && c < 0x7f || c >= '\t' && c <= '\r' }

// nextLine returns the end of the line that begins at start: the index where another line begins,
// or the length.
func nextLine(line []byte, start int) int {
	for i := start; i < len(line); i++ {
		n := indexControl(line[i:])
		if n < 0 {
			break
		}
		if i += n; !isBreak(line[i]) {
			continue
		}
		for i < len(line) && isBreak(line[i]) {
			i++
		}
		if i == len(line) {
			break
		}
		end := i
		for end < len(line) && !isBreak(line[end]) {
			end++
		}
		if mayBeLine(line[i:end]) || holdsDelivery(line[i:end]) {
			return i
		}
		i = end - 1
	}
	return len(line)
}

// mayBeLine reports whether text begins like a line of an MTA.
func mayBeLine(text []byte) bool {
	text = text[:min(len(text), maxWrapper)]
	var h header
	splitHeader(text, &h)
	if h.form != stampNone || len(h.program) > 0 {
		return true
	}
	return isBare(text, &h)
}
