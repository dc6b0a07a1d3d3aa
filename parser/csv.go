package parser

import (
	"bytes"
	"slices"
)

// maxColumns bounds the number of columns of a table that are examined.
const maxColumns = 64

// cells splits a row of a table (RFC 4180, also with semicolons or tabs) into cells. separator is 0
// if it is not known. The cells are valid until the next call. cells returns false if the line is
// not a row.
func (p *Parser) cells(line []byte, separator byte) (cells [][]byte, ok bool) {
	cells = p.table.cells[:0]
	buf := p.unquotedCells[:0]
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
		if len(cells) == maxColumns {
			return nil, false
		}
		cells = append(cells, cell)
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
	p.unquotedCells, p.table.cells = buf, cells
	return cells, true
}

// A table holds the information from the first line of a table about its rows.
type table struct {
	names     [][]byte // of the columns, if one is the name of a text
	separator byte
	time      int // index of the first column of a time
	cells     [][]byte
	ofTickets bool             // a column is specific to applications
	programs  [maxColumns]bool // the column is named for programs
	program   int              // number of the column in which the last row named the program of an MTA, from 1 on; 0: none
}

// namedRow returns a row whose columns have names as an object, so that its time, host and author
// are read as in any object. If no cell is quoted, cells beyond the number of columns belong to the
// last column. namedRow returns false if the line is not such a row.
func (p *Parser) namedRow(line []byte) (text []byte, ok bool) {
	t := &p.table
	if len(t.names) == 0 {
		return nil, false
	}
	cells, ok := p.cells(line, t.separator)
	if !ok || len(cells) != len(t.names) {
		separator := []byte{t.separator}
		if line[0] == '"' || bytes.Contains(line, []byte{t.separator, '"'}) {
			return nil, false
		}
		if cells = bytes.SplitN(line, separator, len(t.names)); len(cells) != len(t.names) {
			return nil, false
		}
	}
	if at := cells[t.time]; len(at) > headerWidth || bytes.IndexByte(at, '<') >= 0 || bytes.IndexByte(at, '[') >= 0 || bytes.IndexByte(at, '=') >= 0 {
		return nil, false // a plain line that holds commas
	}
	b := append(p.namedRowText[:0], '{')
	for i, cell := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), t.names[i]...), `":"`...)
		b = append(appendEscaped(b, cell), '"')
	}
	p.namedRowText = append(b, '}')
	return p.namedRowText, true
}

// isRow reports whether a line looks like a row of the table: a separator stands before the first
// blank, or before the first one after a time. A line with a header has a blank there.
func (t *table) isRow(line []byte) bool {
	_, n := scanStamp(line)
	i := bytes.IndexAny(line[n:], " "+string(t.separator))
	return i >= 0 && line[n+i] == t.separator
}

// csv returns a row of a table as a log line: the longest cell is the text, the cells before it
// precede it, separated by blanks, and the name of an MTA's program has the form that it has in a
// header. These cells must be times or single words: in any other text a stranger may have chosen
// where a cell begins. csv returns false if the line is not such a row.
func (p *Parser) csv(line []byte) (text []byte, ok bool) {
	cells, ok := p.cells(line, 0)
	if !ok {
		return nil, false
	}
	n, longest := len(cells), 0
	for i := range cells {
		if len(cells[i]) > len(cells[longest]) {
			longest = i
		}
	}
	text = cells[longest]
	beside, first := cells[:longest], 0
	if longest == 0 {
		if _, size := scanStamp(text); size == 0 {
			beside, first = cells[1:n], 1 // the text is the first cell and its time follows
		}
	}
	var program []byte // an MTA's; only the message follows it
	for i, cell := range beside {
		if p.table.ofTickets && !p.table.programs[first+i] {
			continue
		}
		if prog := p.programs.get(cell); prog.daemon != notPostfix || prog.exim {
			program, p.table.program = cell, first+i+1
		}
	}
	if p.table.ofTickets && program == nil {
		return nil, false
	}
	if i := p.table.program - first - 1; program == nil && i >= 0 && i < len(beside) && p.programs.get(beside[i]).author == another {
		program = beside[i]
	}
	p.row = p.row[:0]
	if longest == 0 { // times first
		slices.SortStableFunc(beside, func(a, b []byte) int {
			_, m := scanStamp(a)
			_, n := scanStamp(b)
			return min(n, 1) - min(m, 1)
		})
	}
	for _, cell := range beside {
		switch {
		case bytes.IndexByte(cell, ' ') >= 0 && !isStamp(cell):
			return nil, false
		case len(cell) == 0, program != nil && (allDigits(cell) && !isStamp(cell) || isLevel(cell) || bytes.EqualFold(cell, []byte("mail"))):
			// Empty, or a process id, a level or a facility beside the program.
		case !bytes.Equal(cell, program):
			p.row = append(append(p.row, cell...), ' ')
		}
	}
	if program != nil {
		p.row = append(append(p.row, program...), ": "...)
	}
	p.row = append(p.row, text...)
	return trimBreaks(p.row), true
}

// isStamp reports whether a cell is a time.
func isStamp(cell []byte) bool {
	_, n := scanStamp(cell)
	return n == len(cell)
}

// separated returns a line of a syslog template whose header has commas or semicolons in place of
// blanks, with blanks. It returns false if the line does not begin with a time and such a
// separator, or if the header does not name an MTA's program.
func (p *Parser) separated(line []byte) (text []byte, ok bool) {
	if head := line[:min(len(line), headerWidth)]; bytes.IndexByte(head, ';') < 0 && bytes.IndexByte(head, ',') < 0 {
		return nil, false
	}
	_, n := scanStamp(line)
	if n == 0 || n == len(line) || line[n] != ';' && line[n] != ',' {
		return nil, false
	}
	b := append(p.row[:0], line[:n]...)
	column := 0
	for separator, rest := line[n:n+1], line[n+1:]; ; {
		word, after, found := bytes.Cut(rest, separator)
		if !found || len(word) > 64 || !isTemplateWord(word) {
			return nil, false
		}
		b, rest = append(append(b, ' '), word...), after
		if column++; p.table.ofTickets && (column == maxColumns || !p.table.programs[column]) {
			continue
		}
		name, _, _ := bytes.Cut(word, []byte("["))
		name = bytes.TrimSuffix(name, []byte(":"))
		if prog := p.programs.get(name); prog.daemon != notPostfix || prog.exim {
			p.table.program = column
		} else if column != p.table.program || prog.author != another { // else another program's row
			continue
		}
		if word[len(word)-1] != ':' {
			b = append(b, ':')
		}
		p.row = append(append(b, ' '), bytes.TrimLeft(rest, " ")...)
		return p.row, true
	}
}

// isTemplateWord reports whether b may be a word of a template.
func isTemplateWord(b []byte) bool {
	for _, c := range b {
		if notInWord[c] {
			return false
		}
	}
	return true
}

var notInWord = func() (set [256]bool) {
	for _, c := range " \"'=(){}<>" {
		set[c] = true
	}
	return set
}()

// columns reads a line that may name the columns of a table: words separated by commas, semicolons
// or tabs. If a column is specific to applications, like a field beside an object's text, a row is
// believed only if it names an MTA's program in a column for programs (the column's name may be in
// any language: programme, Prozess). In other columns a visitor may have chosen the name.
func (p *Parser) columns(line []byte) {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	if len(line) == 0 || isDigit(line[0]) {
		return
	}
	separator := byte(0)
	for _, c := range line[:min(len(line), 1024)] {
		switch {
		case c == ',' || c == ';' || c == '\t':
			if separator != 0 && c != separator {
				return
			}
			separator = c
		case !nameByte[c] && c != ' ' && c != '"' && c < 0x80:
			return
		}
	}
	if separator == 0 {
		return
	}
	var o object
	hasTime := false
	t := &p.table
	t.names, t.separator, t.programs = t.names[:0], separator, [maxColumns]bool{}
	for name := range bytes.SplitSeq(line, []byte{separator}) {
		o.direct = true
		if name = bytes.Trim(name, "\" "); len(name) > 0 {
			o.field(name, []byte("x"), p)
			lower := bytes.ToLower(name)
			if n := len(t.names); n < maxColumns {
				t.programs[n] = bytes.Contains(lower, []byte("prog")) || bytes.Contains(lower, []byte("proc")) || bytes.Contains(lower, []byte("proz")) ||
					slices.Contains([]string{"ident", "tag", "syslogtag", "syslog_identifier", "app", "appname", "app_name", "application", "service", "unit", "daemon", "source", "component", "container"}, string(lower))
			}
			if !hasTime && (bytes.Contains(lower, []byte("time")) || bytes.Contains(lower, []byte("date")) || string(lower) == "ts") {
				hasTime, t.time = true, len(t.names)
			}
		}
		t.names = append(t.names, bytes.Clone(name))
	}
	if t.ofTickets = o.has(signAlien) || o.text == nil; o.text == nil || !hasTime || len(t.names) > maxColumns {
		t.names = t.names[:0] // it may be prose
	}
}

// spreadsheetTail cuts off the empty cells and the quote that a spreadsheet leaves at the end of a
// line.
func spreadsheetTail(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == ',' {
		n--
	}
	if len(b)-n >= 2 {
		b = b[:n]
	}
	if n := len(b); n > 1 && b[n-1] == '"' && b[n-2] == ')' {
		b = b[:n-1]
	}
	return b
}
