package render

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"bouncelog/internal/table"
	"bouncelog/report"
)

// foldAt is the column at which sentences without a given width are folded.
const foldAt = 100

// labelWidth is the width of the labels of facts.
const labelWidth = 15

func writeText(w io.Writer, r *report.Report, o Options) error {
	bold := func(s string) string { return s }
	if o.Colour {
		bold = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	}
	width := o.Width
	if width <= 0 {
		width = foldAt
	}
	var b bytes.Buffer
	if r.Verdict != nil {
		for i, line := range folded(table.Clean(r.Verdict.Sentence), width) {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(bold(line))
		}
		b.WriteString("\n\n")
	} else {
		fmt.Fprintln(&b, bold("bouncelog report"))
	}
	for _, f := range r.Header() {
		writeFact(&b, f, width)
	}
	for _, s := range r.Parts(o.Wide || o.Width == 0) {
		if s.Name != report.SectionVerdict {
			fmt.Fprintf(&b, "\n%s\n", bold(s.Title))
		} else if len(s.Cards) == 0 && len(s.Lead)+len(s.Over)+len(s.Notes) > 0 {
			b.WriteByte('\n')
		}
		for _, line := range s.Lead {
			fold(&b, line, width)
		}
		for i := range s.Cards {
			in := &s.Cards[i]
			if i > 0 || s.Name == report.SectionVerdict {
				b.WriteByte('\n')
			}
			lines := folded(state(in)+": "+table.Clean(table.Cut(in.Title, longest)), width)
			for j, line := range lines {
				if j > 0 {
					line = "  " + line
				}
				b.WriteString(bold(line) + "\n")
			}
			for _, f := range facts(r, in, o.Wide || s.Name == report.SectionProblems) {
				writeFact(&b, f, width)
			}
		}
		if len(s.Cards) > 0 && len(s.Notes)+len(s.Over) > 0 {
			b.WriteByte('\n')
		}
		for i := range s.Over {
			fold(&b, over(r, &s.Over[i]), width)
			for _, f := range endedFacts(r, &s.Over[i]) {
				writeFact(&b, f, width)
			}
		}
		if len(s.Facts) > 0 {
			t := factsTable(s.Facts)
			if err := t.WriteText(&b, o.Width, false); err != nil {
				return err
			}
		}
		switch t := s.Table; {
		case t == nil && s.Empty != "" && len(s.Cards) == 0, t != nil && len(t.Rows) == 0 && s.Empty != "":
			fold(&b, s.Empty, width)
		case t != nil && len(t.Rows) > 0:
			if err := t.WriteText(&b, o.Width, true); err != nil {
				return err
			}
		}
		for _, n := range s.Notes {
			fold(&b, n.Text, width)
			if n.Command != "" {
				b.WriteString("  " + table.Clean(n.Command) + "\n")
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeFact writes a label and its value, in as many lines as needed; a command is not folded.
func writeFact(b *bytes.Buffer, f report.Fact, width int) {
	lines := []string{table.Clean(line(f))}
	if !isCommand(&f) {
		lines = folded(lines[0], width-labelWidth)
	}
	for i, line := range lines {
		label := ""
		if i == 0 {
			label = f.Label + ":"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s%s", labelWidth, label, line), " ") + "\n")
	}
}

// fold writes a sentence in lines of at most width columns.
func fold(b *bytes.Buffer, sentence string, width int) {
	for i, line := range folded(table.Clean(table.Cut(sentence, longest)), width-2) {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(line + "\n")
	}
}

// pointInTime matches a date with an optional time of day; a line does not break within it.
var pointInTime = regexp.MustCompile(`\b\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?\b`)

// folded splits a clean text into lines of at most width columns; a longer word has a line of its
// own.
func folded(text string, width int) (lines []string) {
	column, start := 0, true
	var b strings.Builder
	for word := range strings.FieldsSeq(pointInTime.ReplaceAllStringFunc(text, func(s string) string { return strings.ReplaceAll(s, " ", "\x00") })) {
		n := len([]rune(word))
		if !start && column+1+n > width {
			lines = append(lines, b.String())
			b.Reset()
			column, start = 0, true
		}
		if !start {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(strings.ReplaceAll(word, "\x00", " "))
		column += n
		start = false
	}
	return append(lines, b.String())
}
