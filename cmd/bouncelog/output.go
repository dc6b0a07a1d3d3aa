package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/report/render"
)

// output holds the options about the format and the destination of a command's result.
type output struct {
	format   string
	file     string
	noHeader bool
}

// flags adds --format and -o. The formats are those that the command supports.
func (o *output) flags(cmd *cobra.Command, standard string) {
	cmd.Flags().StringVar(&o.format, "format", "", "table, json, ndjson, csv, tsv, markdown or html (default: "+standard+", or by -o)")
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "write to `FILE`, replaced as a whole; mode and owner stay, links are followed")
}

// form returns the format to write.
func (o *output) form(standard table.Format) (table.Format, error) {
	if o.format != "" {
		f, err := table.ParseFormat(o.format)
		if err != nil {
			return "", usageErrorf("", "--format: %w", err)
		}
		return f, nil
	}
	if f := table.FormatOf(o.file); f != "" {
		return f, nil
	}
	return standard, nil
}

// write calls print with the writer of the result. writeFile says what happens to the file of -o.
func (o *output) write(cmd *cobra.Command, print func(w io.Writer) error) error {
	if o.file == "" || o.file == "-" {
		return print(cmd.OutOrStdout())
	}
	if isFile(o.file, cmd.OutOrStdout()) { // /dev/stdout
		return print(cmd.OutOrStdout())
	}
	return writeFile(cmd.Context(), o.file, print)
}

// isFile reports whether path is the file that w writes to.
func isFile(path string, w io.Writer) bool {
	f, ok := w.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return false
	}
	a, err := os.Stat(path)
	if err != nil {
		return false
	}
	b, err := f.Stat()
	return err == nil && os.SameFile(a, b)
}

// look returns the width and the colours for text that is written to w.
func look(w io.Writer) render.Options {
	return render.Options{Width: term.Width(w), Colour: term.Colour(w)}
}

// labelled writes a label and, from column indent on, a text folded to width columns. An empty text
// is not written.
func labelled(w *bufio.Writer, width, indent int, label, text string) {
	text = strings.TrimSpace(table.Clean(text))
	if text == "" {
		return
	}
	if indent > 0 {
		fmt.Fprintf(w, "%-*s", indent, label)
	}
	column := indent
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i > 0 && column+1+n > width:
			w.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		case i > 0:
			w.WriteByte(' ')
			column++
		}
		w.WriteString(word)
		column += n
	}
	w.WriteByte('\n')
}

func cleanError(err error) string { return table.Clean(err.Error()) }

func cleanPath(path string) string { return table.Clean(path) }
