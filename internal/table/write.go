package table

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"
)

// A Format is a form of output.
type Format string

// The output formats.
const (
	FormatTable    Format = "table"
	FormatJSON     Format = "json"
	FormatNDJSON   Format = "ndjson"
	FormatCSV      Format = "csv"
	FormatTSV      Format = "tsv"
	FormatMarkdown Format = "markdown"
	FormatHTML     Format = "html"
)

// Formats lists all formats.
func Formats() []string {
	return []string{"table", "json", "ndjson", "csv", "tsv", "markdown", "html"}
}

// ParseFormat reads a format's name. The error names the valid ones.
func ParseFormat(s string) (Format, error) {
	for _, f := range Formats() {
		if s == f {
			return Format(f), nil
		}
	}
	return "", fmt.Errorf("%q is not a format (there are %s)", s, strings.Join(Formats(), ", "))
}

// FormatOf returns the format for the extension of a file name, or "".
func FormatOf(path string) Format {
	for ending, f := range map[string]Format{
		".json": FormatJSON, ".ndjson": FormatNDJSON, ".jsonl": FormatNDJSON, ".csv": FormatCSV, ".tsv": FormatTSV,
		".md": FormatMarkdown, ".html": FormatHTML, ".htm": FormatHTML, ".txt": FormatTable,
	} {
		if strings.HasSuffix(strings.ToLower(path), ending) {
			return f
		}
	}
	return ""
}

// A RowWriter writes the rows of one table in some format, each at once if the format allows.
type RowWriter struct {
	Format   Format
	Columns  []Column
	NoHeader bool
	OmitNil  bool // leave nil cells out of JSON objects
	Width    int  // of a text table; 0: any

	out   *bufio.Writer
	table Table
	n     int
}

// NewRowWriter returns a writer to w. Close it.
func NewRowWriter(w io.Writer, f Format, columns []Column) *RowWriter {
	return &RowWriter{Format: f, Columns: columns, out: bufio.NewWriter(w)}
}

// Row writes one row; its cells are those of a Table.
func (rw *RowWriter) Row(cells []any) error {
	if err := rw.start(); err != nil {
		return err
	}
	rw.n++
	switch rw.Format {
	case FormatCSV, FormatTSV:
		record := make([]string, len(cells))
		for i, c := range cells {
			record[i] = csvCell(c)
		}
		return writeRecord(rw.out, rw.separator(), record)
	case FormatJSON, FormatNDJSON:
		if rw.Format == FormatJSON && rw.n > 1 {
			rw.out.WriteString(",\n")
		}
		if err := rw.object(cells); err != nil {
			return err
		}
		if rw.Format == FormatNDJSON {
			return rw.out.WriteByte('\n')
		}
		return nil
	case FormatMarkdown:
		return writeMarkdownRow(rw.out, cells)
	case FormatHTML:
		return writeHTMLRow(rw.out, rw.Columns, cells)
	default:
		rw.table.Rows = append(rw.table.Rows, cells)
		return nil
	}
}

// separator returns the separator of CSV or TSV.
func (rw *RowWriter) separator() byte {
	if rw.Format == FormatTSV {
		return '\t'
	}
	return ','
}

// start writes what comes before the first row.
func (rw *RowWriter) start() error {
	if rw.n > 0 || rw.table.Columns != nil {
		return nil
	}
	rw.table.Columns = rw.Columns
	switch rw.Format {
	case FormatCSV, FormatTSV:
		if rw.NoHeader {
			return nil
		}
		record := make([]string, len(rw.Columns))
		for i, c := range rw.Columns {
			record[i] = csvCell(c.Name)
		}
		return writeRecord(rw.out, rw.separator(), record)
	case FormatJSON:
		_, err := rw.out.WriteString("[")
		return err
	case FormatMarkdown:
		return writeMarkdownHeader(rw.out, rw.Columns)
	case FormatHTML:
		return writeHTMLTableStart(rw.out, rw.Columns)
	}
	return nil
}

// object writes a row as a JSON object with the columns in their order.
func (rw *RowWriter) object(cells []any) error {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range cells {
		if c == nil && rw.OmitNil {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		key, err := MarshalJSON(rw.Columns[i].Name)
		if err != nil {
			return err
		}
		if v, ok := c.([]byte); ok {
			c = string(v)
		}
		value, err := MarshalJSON(c)
		if err != nil {
			return err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	_, err := rw.out.Write(b.Bytes())
	return err
}

// Close writes the rows that are still buffered, and the end of the format.
func (rw *RowWriter) Close() error {
	if err := rw.start(); err != nil {
		return err
	}
	switch rw.Format {
	case FormatJSON:
		rw.out.WriteString("]\n")
	case FormatHTML:
		rw.out.WriteString("</tbody></table>\n")
	case FormatTable:
		if err := rw.table.WriteText(rw.out, rw.Width, !rw.NoHeader); err != nil {
			return err
		}
	}
	return rw.out.Flush()
}

// MarshalJSON is json.Marshal with all characters escaped that act on a terminal (C1 controls,
// bidirectional overrides and others). A JSON reader gets the same text.
func MarshalJSON(v any) ([]byte, error) { return MarshalIndent(v, "") }

// MarshalIndent is MarshalJSON with each level indented by indent.
func MarshalIndent(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeHidden(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escapeHidden escapes invisible characters in JSON text. They occur only in strings.
func escapeHidden(raw []byte) []byte {
	var out []byte
	last := 0
	for i := 0; i < len(raw); {
		if raw[i] < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if r == 0x7f || Hidden(r) {
			out = append(out, raw[last:i]...)
			if r > 0xffff {
				r -= 0x10000
				out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			last = i + n
		}
		i += n
	}
	if last == 0 {
		return raw
	}
	return append(out, raw[last:]...)
}

var markdownEscaper = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "[", `\[`, "]", `\]`, "#", `\#`, "~", `\~`)

// Markdown returns a clean text with all characters escaped that are special in Markdown.
func Markdown(cell any) string { return markdownEscaper.Replace(text(cell)) }

func writeMarkdownHeader(w io.Writer, columns []Column) error {
	var b strings.Builder
	for _, c := range columns {
		b.WriteString("| " + Markdown(c.Name) + " ")
	}
	b.WriteString("|\n")
	for _, c := range columns {
		if c.Number {
			b.WriteString("|---:")
		} else {
			b.WriteString("|---")
		}
	}
	b.WriteString("|\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeMarkdownRow(w io.Writer, cells []any) error {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString("| " + Markdown(c) + " ")
	}
	b.WriteString("|\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeHTMLTableStart(w io.Writer, columns []Column) error {
	var b strings.Builder
	b.WriteString(`<table class="data"><thead><tr>`)
	for _, c := range columns {
		b.WriteString(cellTag("th", c) + html.EscapeString(Clean(c.Name)) + "</th>")
	}
	b.WriteString("</tr></thead><tbody>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeHTMLRow(w io.Writer, columns []Column, cells []any) error {
	var b strings.Builder
	b.WriteString("<tr>")
	for i, c := range cells {
		b.WriteString(cellTag("td", columns[i]) + html.EscapeString(text(c)) + "</td>")
	}
	b.WriteString("</tr>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func cellTag(tag string, c Column) string {
	switch {
	case c.Number:
		return "<" + tag + ` class="n">`
	case c.Flex:
		return "<" + tag + ` class="w">`
	}
	return "<" + tag + ` class="t">`
}
