// Package table prints rows of cells as text, JSON, CSV, TSV, Markdown and HTML. A remote server
// may have chosen the text of a cell: every writer makes it harmless for its format.
package table

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"bouncelog/internal/when"
)

// A Table is rows of cells under named columns. A cell is nil, a string, a
// []byte, an int, int64, float64, bool, a Share, a Minute or a time.Time; its
// text need not be clean, every writer cleans what it writes.
type Table struct {
	Columns []Column
	Rows    [][]any
}

// A Column is one column of a Table.
type Column struct {
	Name   string
	Number bool // set to the right
	Flex   bool // may be cut to make the table fit the width
	Minor  bool // may be left out of a text table that does not fit
}

// A Share is a fraction from 0 to 1. Its text is a percentage.
type Share float64

func (s Share) String() string { return fmt.Sprintf("%.1f %%", 100*float64(s)) }

// A Minute is a time whose text is its date and time to the minute, in its own location.
type Minute struct{ time.Time }

func (m Minute) String() string {
	if m.IsZero() {
		return ""
	}
	return when.Stamp(m.Time, "2006-01-02 15:04")
}

// Optional returns s as a cell, or nil (no value) if it is empty.
func Optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Text returns a cell as text for people: clean, on one line.
func Text(cell any) string { return text(cell) }

func text(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case string:
		return Clean(v)
	case []byte:
		return Clean(string(v))
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case Share:
		return v.String()
	case Minute:
		return v.String()
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.Format(time.RFC3339)
	}
	panic(fmt.Sprintf("table: a cell of type %T", cell))
}

const (
	minFlex     = 12 // columns: a flexible column is not cut below this
	comfortable = 20 // minor columns give way before a flexible one is cut to less
)

// maxCell is how wide a cell of a table may be, in columns, if nothing else cuts
// it: all the other cells of its column are padded to the widest.
const maxCell = 1000

// WriteText writes the table as text, at most width columns wide if cutting the flexible columns is
// enough; 0: no limit.
func (t *Table) WriteText(w io.Writer, width int, header bool) error {
	rows := make([][]string, 0, len(t.Rows)+1)
	names := make([]string, len(t.Columns))
	if header {
		for i, c := range t.Columns {
			names[i] = Clean(c.Name)
		}
	}
	rows = append(rows, names)
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, c := range row {
			if cells[i] = text(c); len(cells[i]) > maxCell {
				cells[i] = Cut(cells[i], maxCell)
			}
		}
		rows = append(rows, cells)
	}
	columns := fit(t.Columns, rows, width)

	align := make([]tw.Align, len(columns))
	for i, c := range columns {
		align[i] = tw.AlignLeft
		if c.Number {
			align[i] = tw.AlignRight
		}
	}
	var b bytes.Buffer
	tab := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{
				Separators: tw.SeparatorsNone,
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: "  ", Overwrite: true}),
	)
	if header {
		tab.Header(rows[0])
	} else if len(t.Rows) == 0 {
		return nil
	}
	if err := tab.Bulk(rows[1:]); err != nil {
		return err
	}
	if err := tab.Render(); err != nil {
		return err
	}
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

// trimLines removes the blanks at the ends of lines.
func trimLines(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		out = append(out, bytes.TrimRight(line, " \n")...)
		out = append(out, '\n')
	}
	return out
}

// fit makes the rows at most width columns wide: it leaves out minor columns,
// the last first, until the rest could fit, then cuts the cells of the flexible
// ones, the widest first. It returns the columns that are left.
func fit(columns []Column, rows [][]string, width int) []Column {
	if width <= 0 {
		return columns
	}
	columns = slices.Clone(columns)
	widths := make([]int, len(columns))
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], twwidth.Width(row[i]))
		}
	}
	least := func() (n int) {
		n = 2 * (len(widths) - 1)
		for i, c := range columns {
			if c.Flex {
				n += min(widths[i], max(minFlex, min(widths[i]-4, comfortable)))
			} else {
				n += widths[i]
			}
		}
		return n
	}
	for i := len(columns) - 1; i >= 0 && least() > width; i-- {
		if columns[i].Minor {
			columns = slices.Delete(columns, i, i+1)
			widths = slices.Delete(widths, i, i+1)
			for j := range rows {
				rows[j] = slices.Delete(rows[j], i, i+1)
			}
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for total > width {
		widest := -1
		for i, c := range columns {
			if c.Flex && widths[i] > minFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		less := min(total-width, widths[widest]-minFlex)
		widths[widest] -= less
		total -= less
		for _, row := range rows {
			row[widest] = cutWidth(row[widest], widths[widest])
		}
	}
	return columns
}

// cutWidth cuts s to at most n columns of a terminal. A wide character takes two.
func cutWidth(s string, n int) string {
	for k := n; twwidth.Width(s) > n && k > 0; k-- {
		s = Cut(s, k)
	}
	return s
}

// WriteMarkdown writes the table as Markdown.
func (t *Table) WriteMarkdown(w io.Writer) error {
	if err := writeMarkdownHeader(w, t.Columns); err != nil {
		return err
	}
	for _, row := range t.Rows {
		if err := writeMarkdownRow(w, row); err != nil {
			return err
		}
	}
	return nil
}

// WriteHTML writes the table as HTML.
func (t *Table) WriteHTML(w io.Writer) error {
	if err := writeHTMLTableStart(w, t.Columns); err != nil {
		return err
	}
	for _, row := range t.Rows {
		if err := writeHTMLRow(w, t.Columns, row); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "</tbody></table>")
	return err
}

// Count returns a number with its noun, in the plural if necessary.
func Count(n int64, noun string) string {
	if n != 1 && strings.HasSuffix(noun, "ss") {
		noun += "e"
	}
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
