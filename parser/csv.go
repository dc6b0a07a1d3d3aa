package parser

import "bytes"

// maxColumns bounds how many columns of a table are looked at.
const maxColumns = 64

// csv makes one line of a row of a table (RFC 4180, also with semicolons or tabs): the
// longest cell is the text, and the cells before it stand before it with blanks between
// them. These are times or single words: in anything else a stranger may have chosen where
// a cell begins. It reports false where the line is no such row.
func (p *Parser) csv(line []byte) (text []byte, ok bool) {
	var cells [maxColumns][]byte
	n, longest := 0, 0
	buf := p.unquotedCells[:0]
	separator := byte(0)
	for rest := line; ; {
		var cell []byte
		if len(rest) > 0 && rest[0] == '"' {
			at := len(buf)
			for rest = rest[1:]; ; {
				i := bytes.IndexByte(rest, '"')
				if i < 0 {
					return nil, false
				}
				buf, rest = append(buf, rest[:i]...), rest[i+1:]
				if len(rest) == 0 || rest[0] != '"' {
					break
				}
				buf, rest = append(buf, '"'), rest[1:]
			}
			cell = buf[at:]
		} else {
			i := bytes.IndexAny(rest, ",;\t\"")
			if separator != 0 {
				i = bytes.IndexByte(rest, separator)
			}
			if i < 0 {
				i = len(rest)
			}
			if cell, rest = rest[:i], rest[i:]; bytes.IndexByte(cell, '"') >= 0 {
				return nil, false
			}
		}
		if n == maxColumns {
			return nil, false
		}
		cells[n] = cell
		if len(cell) > len(cells[longest]) {
			longest = n
		}
		n++
		if len(rest) == 0 {
			break
		}
		if c := rest[0]; separator == 0 && (c == ',' || c == ';' || c == '\t') {
			separator = c
		}
		if rest[0] != separator {
			return nil, false
		}
		rest = rest[1:]
	}
	p.unquotedCells = buf
	p.row = p.row[:0]
	for _, cell := range cells[:longest] {
		if _, size := scanStamp(cell); size != len(cell) && bytes.IndexByte(cell, ' ') >= 0 {
			return nil, false
		}
		if len(cell) > 0 {
			p.row = append(append(p.row, cell...), ' ')
		}
	}
	p.row = append(p.row, cells[longest]...)
	return trimBreaks(p.row), true
}
