package parser

import (
	"bytes"
	"encoding/binary"
)

// An export is an entry that takes several lines: a JSON object, indented (pretty.go), or
// one of the journal in the export format (systemd's "Journal Export Formats", journalctl -o
// export): a line for each field, and an empty line. A field of bytes that are no text has its name alone on a line; then
// follow its size in eight bytes, little-endian, that many bytes, and a line feed.
//
// The sizes are heeded to the byte: a stranger may have chosen such bytes, with line
// feeds and what looks like another entry in them.
type export struct {
	object
	known []byte // that the fields of the object are parts of

	key   []byte // of the field of bytes that is read, or nil
	size  []byte // its size, as far as it has come
	left  uint64 // how many of its bytes are still to come
	value []byte // those that have come, maxJoined at most

	pretty bool   // it is JSON
	level  int    // how deep in the object the next line stands
	top    []byte // the last name at its top level that an object or a list stands under
}

// maxFieldOfBytes is more than journald stores in a field (DATA_SIZE_MAX). Text that is
// read as a size, since a field was cut short, is larger.
const maxFieldOfBytes = 1 << 30

// begin forgets the entry before.
func (e *export) begin(pretty bool) {
	*e = export{known: e.known[:0], size: e.size[:0], value: e.value[:0], pretty: pretty, object: object{exact: !pretty}}
}

// holds reports an entry that has a text.
func (e *export) holds() bool { return e.text != nil || e.elsewhere != nil }

// exportEntry reads the text of the entry, and forgets it.
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

// exported takes a line in, whole. The one that ends an entry is read as the line of
// the log that the entry carries; the others are Skipped. It reports false where the
// line is of no entry.
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
			// The entry before lacks its empty line.
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

// exportEnds reads a line that is of no entry, together with what the entry that it breaks
// off has said.
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

// bytes takes in some of a field of bytes, and reports whether that was its end.
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

// take takes in a field of the entry. Where a sender gave it twice, the first counts.
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

// keep copies what stands in a line.
func (e *export) keep(v []byte) []byte {
	at := len(e.known)
	e.known = append(e.known, v...)
	return e.known[at:len(e.known):len(e.known)]
}

// isField reports the name of a field of the journal.
func isField(key []byte) bool {
	for _, c := range key {
		if c-'A' >= 26 && !isDigit(c) && c != '_' {
			return false
		}
	}
	return len(key) > 0 && len(key) <= 64
}
