package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"bouncelog/internal/table"
	"bouncelog/report"
)

func writeMarkdown(w io.Writer, r *report.Report) error {
	var b bytes.Buffer
	b.WriteString("# bouncelog report\n\n")
	if r.Verdict != nil {
		fmt.Fprintf(&b, "**%s**\n\n", table.Markdown(r.Verdict.Sentence))
	}
	for _, f := range r.Header() {
		fmt.Fprintf(&b, "%s: %s  \n", table.Markdown(f.Label), table.Markdown(f.Value))
	}
	for _, s := range r.Parts(true) {
		fmt.Fprintf(&b, "\n## %s\n\n", table.Markdown(s.Title))
		for _, line := range s.Lead {
			fmt.Fprintf(&b, "%s\n\n", table.Markdown(line))
		}
		for i := range s.Cards {
			in := &s.Cards[i]
			fmt.Fprintf(&b, "### %s: %s\n\n", state(in), table.Markdown(table.Cut(in.Title, longest)))
			for _, f := range facts(r, in, true) {
				writeMarkdownFact(&b, f)
			}
			b.WriteByte('\n')
		}
		for i := range s.Over {
			fmt.Fprintf(&b, "%s\n\n", table.Markdown(over(r, &s.Over[i])))
			for _, f := range endedFacts(r, &s.Over[i]) {
				writeMarkdownFact(&b, f)
			}
		}
		tables := []*table.Table{s.Table}
		if len(s.Facts) > 0 {
			tables = []*table.Table{factsTable(s.Facts), s.Table}
		}
		for _, t := range tables {
			if t == nil || len(t.Rows) == 0 {
				continue
			}
			if err := t.WriteMarkdown(&b); err != nil {
				return err
			}
			b.WriteByte('\n')
		}
		if s.Empty != "" && len(s.Cards) == 0 && (s.Table == nil || len(s.Table.Rows) == 0) {
			fmt.Fprintf(&b, "%s\n\n", table.Markdown(s.Empty))
		}
		for _, n := range s.Notes {
			text := table.Markdown(n.Text)
			if n.Command != "" {
				text += " " + markdownCode(n.Command)
			}
			fmt.Fprintf(&b, "%s\n\n", text)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeMarkdownFact writes a fact as an item of a list.
func writeMarkdownFact(b *bytes.Buffer, f report.Fact) {
	text := table.Markdown(line(f))
	if isCommand(&f) {
		text = markdownCode(line(f))
	}
	fmt.Fprintf(b, "* %s: %s\n", table.Markdown(f.Label), text)
}

// markdownCode returns a command as code that can be copied. A command with characters that may end
// the code, or act if code is not supported, becomes text with all of them escaped.
func markdownCode(command string) string {
	if strings.ContainsAny(command, "`<>[]&|") {
		return table.Markdown(command)
	}
	return "`" + table.Clean(command) + "`"
}
