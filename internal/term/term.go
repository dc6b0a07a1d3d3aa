// Package term knows whether output goes to a terminal, how wide it is and
// whether colour is wanted there.
package term

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// foldWidth is at how many columns sentences are folded at most.
const foldWidth = 100

// descriptor is what an *os.File has, and what writes to one may have.
type descriptor interface{ Fd() uintptr }

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(descriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is the number of columns of w: $COLUMNS, else what the terminal says; 0 where
// there is no terminal, so that nothing need be cut.
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

// Size is the number of columns and lines of w: $COLUMNS and $LINES, else what the
// terminal says, else those of the VT100, 80 and 24.
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

// Fold is the number of columns at which sentences are folded.
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
