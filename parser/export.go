package parser

import (
	"bytes"
	"encoding/binary"
)

// An export is an entry of several lines: an indented JSON object (pretty.go), or an entry of the
// journal in the export format (systemd's "Journal Export Formats", journalctl -o export). That
// format has a line for each field, and an empty line at the end. A binary field has only its name
// on a line; its size in eight bytes, little-endian, that many bytes, and a line feed follow.
//
// The sizes are obeyed to the byte: a stranger may have chosen these bytes, with line feeds and
// text that looks like another entry in them.
type export struct {
	object
	known []byte // the fields of the object are parts of it

	key   []byte // of the current binary field, or nil
	size  []byte // the bytes of its size read so far
	left  uint64 // number of its bytes still to come
	value []byte // its bytes read so far, at most maxJoined

	pretty bool   // it is JSON
	level  int    // depth of the next line in the object
	top    []byte // the last name at its top level with an object or a list as its value
}

// maxFieldOfBytes is larger than any field that journald stores (DATA_SIZE_MAX), in bytes. If a
// field was cut short, text is read as a size, which is larger than this.
const maxFieldOfBytes = 1 << 30

// begin clears the previous entry.
func (e *export) begin(pretty bool) {
	*e = export{known: e.known[:0], size: e.size[:0], value: e.value[:0], pretty: pretty, object: object{exact: !pretty}}
}

// holds reports whether the entry has a text.
func (e *export) holds() bool { return e.text != nil || e.elsewhere != nil }

// exportEntry reads the text of the entry and clears the entry.
func (p *Parser) exportEntry(r *Result, offset int64) Kind {
	e := &p.export
	if e.pretty {
		p.room(len(e.known))
		e.choose(p)
	}
	kind := p.open(&e.object, &envelope{}, r, offset)
	if kind == Unparsed {
		if r.Text = e.text; e.elsewhere != nil {
			r.Text = e.elsewhere
		}
	}
	e.begin(e.pretty)
	return kind
}

// exported reads one line. The line that ends an entry is read as the log line in it; the others
// are Skipped. exported returns false if the line is not part of an entry.
func (p *Parser) exported(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	e := &p.export
	kind = Skipped
	switch {
	case e.pretty:
		if kind, ok = p.prettyLine(trimSpace(line), r, offset); !ok {
			return p.exportEnds(line, r, offset), true
		}
	case e.key != nil:
		p.blanks = append(append(p.blanks[:0], line...), '\n')
		end := e.bytes(p.blanks)
		if e.left > maxFieldOfBytes {
			e.key = nil
			return p.exportEnds(line, r, offset), true
		}
		if end {
			e.take(e.key, e.value, p)
			e.key = nil
		}
	case len(line) == 0 && e.text != nil:
		return p.exportEntry(r, offset), true
	case len(line) == 0:
		kind = Blank
		e.begin(false)
	default:
		key, value, isText := bytes.Cut(line, []byte("="))
		if !isField(key) {
			return p.exportEnds(line, r, offset), true
		}
		if string(key) == "__CURSOR" && isText && e.text != nil {
			// The previous entry lacks its empty line.
			return p.exportEntry(r, offset), true
		}
		if isText {
			e.take(key, value, p)
		} else {
			e.key, e.size, e.left, e.value = bytes.Clone(key), e.size[:0], 0, e.value[:0]
		}
	}
	if kind == Skipped || kind == Blank {
		r.Time, r.Program = p.Last(), ""
	}
	return kind, true
}

// exportEnds reads a line that is not part of an entry, together with the entry that it interrupts.
func (p *Parser) exportEnds(line []byte, r *Result, offset int64) Kind {
	kind, broken := Blank, p.export.holds()
	if broken {
		kind = p.exportEntry(r, offset)
	}
	p.how = unwrapped
	if !broken {
		return p.Parse(line, offset, r)
	}
	var another Result
	return r.merge(kind, &another, p.Parse(line, offset, &another))
}

// bytes adds bytes to a binary field, and reports whether they end the field.
func (e *export) bytes(b []byte) (end bool) {
	const sizeLen = 8
	if n := min(sizeLen-len(e.size), len(b)); n > 0 {
		e.size, b = append(e.size, b[:n]...), b[n:]
		if len(e.size) < sizeLen {
			return false
		}
		e.left = binary.LittleEndian.Uint64(e.size)
	}
	n := int(min(uint64(len(b)), e.left))
	e.value = append(e.value, b[:min(n, maxJoined-len(e.value))]...)
	e.left -= uint64(n)
	return e.left == 0 && len(b) > n // the line feed
}

// take adds a field to the entry. If a sender gave it twice, the first one counts.
func (e *export) take(key, v []byte, p *Parser) {
	switch string(key) {
	case "MESSAGE":
		if e.text == nil {
			e.text, e.rank = e.keep(v), rankOfMessage
		}
	case "SYSLOG_IDENTIFIER":
		if e.program == nil {
			e.field(key, e.keep(v), p)
		}
	case "CONTAINER_NAME", "CONTAINER_ID", "CONTAINER_PARTIAL_MESSAGE", "_COMM", "_SYSTEMD_UNIT", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "_HOSTNAME", "_PID":
		e.field(key, e.keep(v), p)
	}
}

// keep copies a part of a line.
func (e *export) keep(v []byte) []byte {
	at := len(e.known)
	e.known = append(e.known, v...)
	return e.known[at:len(e.known):len(e.known)]
}

// isField reports whether key is the name of a field of the journal.
func isField(key []byte) bool {
	for _, c := range key {
		if c-'A' >= 26 && !isDigit(c) && c != '_' {
			return false
		}
	}
	return len(key) > 0 && len(key) <= 64
}
