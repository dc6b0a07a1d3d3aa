package parser

import (
	"bytes"
	"unicode/utf8"
)

// A rewriting is a way in which a line that no other step understands is changed before it is read once
// more. All lines of a log that was exported, copied or printed need the same one, so the parser tries the
// one of the last such line first. A line of a template with semicolons then takes 0.09 of the instructions,
// one of Fluent Bit 0.12, one with typographic quotes 0.16, one of a table 0.43.
type rewriting uint8

const (
	asWritten   rewriting = iota // none
	ofRow                        // a row of a table (csv)
	ofRecord                     // a record of Fluent Bit's
	ofTemplate                   // a template with separators in place of blanks (separated)
	ofString                     // a string (unquote)
	ofProcessor                  // a word processor (typewritten)
	ofLowBytes                   // UTF-16 that was read in the wrong way (misread)
	ofHighBytes
)

// rewritingsOf returns the first and the last rewriting that a cheap test does not exclude for a line.
func rewritingsOf(line []byte) (first, last rewriting) {
	first, last = ofTemplate, ofTemplate
	if bytes.IndexByte(line, '"') >= 0 && line[0] != '{' {
		first = ofRow
	}
	if mayBeQuoted(line) {
		last = ofHighBytes
	}
	return first, last
}

// rewrite changes a line in one way. It returns false if the line does not have the form for it.
func (p *Parser) rewrite(how rewriting, line []byte) (text []byte, ok bool) {
	switch how {
	case ofRow:
		return p.csv(line)
	case ofRecord:
		return p.record(line)
	case ofTemplate:
		return p.separated(line)
	case ofString:
		return p.unquote(line)
	case ofProcessor:
		return p.typewritten(line)
	case ofLowBytes, ofHighBytes:
		return p.misread(line, how == ofHighBytes)
	}
	return nil, false
}

// rewrittenAgain reads a line that has the form for the rewriting of the last line. It returns false for any
// other line, and for one with a delivery that is not understood in this way.
func (p *Parser) rewrittenAgain(line []byte, r *Result, offset int64) (kind Kind, ok bool) {
	if len(line) == 0 {
		return 0, false
	}
	if first, last := rewritingsOf(line); p.rewriting < first || p.rewriting > last {
		return 0, false
	}
	text, ok := p.rewrite(p.rewriting, line)
	if !ok {
		return 0, false
	}
	kind = p.whole(text, r, offset)
	if kind == Unparsed || kind == Skipped && p.headless || (kind == Skipped || kind == Queued) && holdsDelivery(line) {
		r.reset()
		return 0, false
	}
	p.foreign = false // a line of another program has been read in all ways
	return kind, true
}

// otherwise reads a line that was not understood once more: as a row of a table, as a string,
// without the blanks and marks of word processors. It counts a delivery in anything that is not a
// wrapper's text.
func (p *Parser) otherwise(kind Kind, line []byte, r *Result, offset int64) Kind {
	first, last := ofLowBytes, ofHighBytes // the only ones that change a line without any sign
	if !p.signless {
		first, last = rewritingsOf(line)
	} else if line[0] < utf8.RuneSelf {
		last = asWritten
	}
	for how := first; how <= last; how++ {
		if how >= ofTemplate && !p.foreign {
			continue
		}
		text, ok := p.rewrite(how, line)
		if !ok {
			continue
		}
		k := p.whole(text, r, offset)
		if k == Skipped && p.foreign || (k == Skipped || k == Queued) && kind == Unparsed && !holdsDelivery(text) {
			continue // else a delivery in other cells would be lost
		}
		if kind = k; k != Unparsed {
			p.rewriting, p.misfits = how, 0
			return kind
		}
	}
	if kind == Skipped {
		p.columns(line)
	}
	if kind == Skipped && (p.within != nil && p.isForeign(r.Program) && holdsDelivery(line) || Encoding(line) != "") {
		kind = Unparsed
	}
	return kind
}

// untabbed reads a line. If it is not understood, untabbed reads it once more with blanks for its tabs. If
// the previous line was understood only then, these come first, but for tabs that may be part of an address
// or a text.
func (p *Parser) untabbed(line []byte, r *Result, offset int64) Kind {
	at := bytes.IndexByte(line[:min(len(line), maxTab)], '\t')
	if at < 0 {
		return p.parse(line, r, offset)
	}
	if p.untabs && isHeaderTab(line, at) {
		if kind := p.blankTabs(line, at, r, offset); kind != Unparsed && (kind != Skipped || !p.foreign || !holdsDelivery(line)) {
			return kind
		}
		r.reset()
	}
	kind := p.parse(line, r, offset)
	if p.untabs = false; kind == Unparsed || kind == Skipped && p.foreign && !p.consumed {
		kind = p.blankTabs(line, at, r, offset)
		p.untabs = kind != Unparsed && (kind != Skipped || !p.foreign || p.consumed)
	}
	return kind
}

// maxTab bounds the index of the first tab that untabbed replaces.
const maxTab = 128

// isHeaderTab reports whether the tabs of a line, the first of which is at index at, end before what
// strangers write begins.
func isHeaderTab(line []byte, at int) bool {
	for {
		n := bytes.IndexByte(line[at+1:], '\t')
		if n < 0 {
			break
		}
		at += n + 1
	}
	if at >= maxTab {
		return false
	}
	for _, c := range [...]byte{'<', '"', '=', '@', '{'} {
		if bytes.IndexByte(line[:at], c) >= 0 {
			return false
		}
	}
	return true
}

// blankTabs reads a line with blanks for its tabs, the first of which is at index at.
func (p *Parser) blankTabs(line []byte, at int, r *Result, offset int64) Kind {
	p.blanks = append(p.blanks[:0], line...)
	for i := at; i < len(line); i++ {
		if p.blanks[i] = ' '; i+1 == len(line) {
			break
		}
		n := bytes.IndexByte(line[i+1:], '\t')
		if n < 0 {
			break
		}
		i += n
	}
	return p.parse(p.blanks, r, offset)
}
