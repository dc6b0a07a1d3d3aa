// Package term reports whether output goes to a terminal, how wide that is and whether colour is
// wanted.
package term

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// foldWidth is the greatest width at which sentences are folded, in columns.
const foldWidth = 100

// descriptor is implemented by *os.File and by writers that write to one.
type descriptor interface{ Fd() uintptr }

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(descriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the number of columns of w: $COLUMNS, else the terminal's; 0 if w is no terminal,
// so that nothing is cut.
func Width(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := w.(descriptor); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// IsInput reports whether r is a terminal.
func IsInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Size returns the number of columns and lines of w: $COLUMNS and $LINES, else the terminal's, else
// 80 and 24.
func Size(w io.Writer) (columns, lines int) {
	columns, lines = 80, 24
	if f, ok := w.(descriptor); ok {
		if c, l, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && l > 0 {
			columns, lines = c, l
		}
	}
	for _, x := range []struct {
		name string
		to   *int
	}{{"COLUMNS", &columns}, {"LINES", &lines}} {
		if n, err := strconv.Atoi(os.Getenv(x.name)); err == nil && n > 0 {
			*x.to = n
		}
	}
	return columns, lines
}

// Fold returns the width at which sentences are folded, in columns.
func Fold(w io.Writer) int {
	if n := Width(w); n > 0 {
		return min(n, foldWidth)
	}
	return foldWidth
}

// Colour reports whether w may be coloured: a terminal that is not dumb, and no
// NO_COLOR (https://no-color.org).
func Colour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(w)
}
