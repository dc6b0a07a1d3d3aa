package parser

import "bytes"

// prettyLine reads a line, without the blanks round it, of an indented JSON object with one member
// per line. journalctl -o json-pretty, jq and cloud tools write this format. Members of nested
// objects are read as members of the object itself, except those in a list, in which each object is
// an entry of its own. The line that ends the object is read as the log line in it; the others are
// Skipped. prettyLine returns false if the line is not part of an object.
func (p *Parser) prettyLine(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	e := &p.export
	line = trimBreaks(bytes.TrimSuffix(line, []byte(",")))
	if len(line) == 0 {
		return Blank, true
	}
	end := line[len(line)-1]
	switch c := line[0]; {
	case len(line) == 1 && (c == '{' || c == '}' || c == ']'):
		if c == ']' && e.key != nil {
			e.level--
			p.prettyMember(e.key, e.value)
			e.key = nil
			e.level++
		}
		if e.level--; c != '{' && e.level >= 0 {
			break
		}
		if c != '{' {
			p.how = unwrapped
		}
		if e.level = 0; e.holds() {
			return p.exportEntry(r, offset), true
		}
		e.begin(true)
	case c == '"':
		i := closingQuote(line, 1)
		if i < 0 {
			return 0, false
		}
		key, value := line[1:i], trimSpace(line[i+1:])
		if len(value) > 0 { // else it is a string in a list
			if value[0] != ':' || len(value) == 1 {
				return 0, false
			}
			value = trimSpace(value[1:])
		}
		if len(value) == 0 || holdsDelivery(key) {
			p.prettyMember(nil, key)
		}
		switch {
		case len(value) == 0:
		case len(value) == 1 && (end == '{' || end == '['):
			if (e.level == 0 || e.level == 1 && isExporter(e.top)) && !isExporter(key) && string(key) != "MESSAGE" {
				e.direct = true
				e.beside(key, value, end == '{', p)
			}
			e.level++
			if e.level == 1 {
				e.top = bytes.Clone(key)
			}
			if e.key = nil; end == '[' {
				e.key, e.value = bytes.Clone(key), e.value[:0]
			}
		case value[0] == '"' && closingQuote(value, 1) == len(value)-1:
			p.prettyMember(key, value[1:len(value)-1])
		case isScalar(value):
			p.prettyMember(key, value)
		}
	case isScalar(line): // in a list: possibly of the bytes of a text
		if n, isByte := digits(line); isByte && n < 256 && e.key != nil && len(e.value) < maxJoined {
			if n == '\\' {
				e.value = append(e.value, '\\')
			}
			e.value = append(e.value, byte(n))
		}
	default:
		return 0, false
	}
	return Skipped, true
}

// prettyMember adds a member to the object if there is room.
func (p *Parser) prettyMember(key, v []byte) {
	e := &p.export
	if len(v) == 0 {
		return
	}
	if len(e.known)+len(v) > maxJoined {
		e.differs(bytes.Clone(v), false)
		return
	}
	p.room(len(v))
	if e.direct, e.parent = e.level == 0, nil; e.level > 0 {
		e.parent = e.top
		e.direct = e.level == 1 && (isExporter(e.top) || isMember(e.top, key))
	}
	e.field(key, e.keep(v), p)
}

// isScalar reports whether b is a number, true, false or null.
func isScalar(b []byte) bool {
	switch string(b) {
	case "true", "false", "null":
		return true
	}
	for _, c := range b {
		if !isDigit(c) && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return false
		}
	}
	return isDigit(b[len(b)-1])
}
