package table

import (
	"bufio"
	"strings"
	"unicode"
	"unicode/utf8"
)

// csvCell returns a cell for CSV and TSV: clean, and with an apostrophe before text that a
// spreadsheet would take for a formula. Numbers are not changed.
func csvCell(cell any) string {
	s := text(cell)
	switch cell.(type) {
	case string, []byte:
		return markFormulas(s)
	}
	return s
}

// markFormulas puts an apostrophe before a formula sign at the start of the cell and after each
// semicolon. Spreadsheets set to most European languages separate cells there, also within quotes
// that follow another separator.
func markFormulas(s string) string {
	if !strings.ContainsAny(s, formulaSigns) {
		return s
	}
	var b strings.Builder
	for part := range strings.SplitAfterSeq(s, ";") {
		// Some programs trim blanks, and a doubled quote is an empty text to those that
		// separate here.
		inner := strings.TrimLeftFunc(part, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
		if r, _ := utf8.DecodeRuneInString(inner); inner != "" && strings.ContainsRune(formulaSigns, r) {
			b.WriteByte('\'')
		}
		b.WriteString(part)
	}
	return b.String()
}

// formulaSigns begin a formula. Those beyond ASCII do so in East Asian editions, or are converted
// to the ASCII ones.
const formulaSigns = "=+-@" +
	"\uff1d\uff0b\uff0d\uff20" + // full width
	"\ufe66\ufe62\ufe63\ufe6b" + // small
	"\u2212" // minus sign

// writeRecord writes a line of CSV (RFC 4180, but ending with LF only) or, if the separator is a
// tab, of TSV. In CSV a cell is quoted if it holds a character that some program takes for a
// separator.
func writeRecord(w *bufio.Writer, separator byte, record []string) error {
	special := "\"\t\r\n"
	if separator == ',' {
		special += ",;"
	}
	for i, cell := range record {
		if i > 0 {
			w.WriteByte(separator)
		}
		quoted := strings.ContainsAny(cell, special) || strings.TrimSpace(cell) != cell ||
			cell == "" && len(record) == 1 || // else an empty line, which readers skip
			cell == `\.` // the end of the data, to PostgreSQL
		if !quoted {
			w.WriteString(cell)
			continue
		}
		w.WriteByte('"')
		w.WriteString(strings.ReplaceAll(cell, `"`, `""`))
		w.WriteByte('"')
	}
	return w.WriteByte('\n')
}
