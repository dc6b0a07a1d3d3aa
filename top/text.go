package top

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/store"
)

// textAtMost is how much of a remote server's text is used, in bytes: no screen shows more.
const textAtMost = 2000

// clean is table.Clean with tabs as escapes: a name with a tab differs from one with a blank.
func clean(s string) string { return table.Clean(strings.ReplaceAll(s, "\t", `\t`)) }

// plain makes a stranger's text fit for one line of a screen: clean, and as escapes too
//   - what terminals count differently, so that every one of them sees the width that [width]
//     counts: marks that stack on a letter (one is kept), variation selectors, skin tones and
//     the letters that flags are made of;
//   - what is written from right to left: where a terminal orders it (UAX #9) it takes the
//     figures beside it along.
func plain(s string) string {
	if len(s) > textAtMost {
		s = strings.ToValidUTF8(s[:textAtMost], "")
	}
	s = clean(s)
	odd := func(r rune) bool { return r >= 0x300 }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	marks := 1 // at the beginning there is no letter for a mark to stand on
	for _, r := range s {
		switch {
		case 0xfe00 <= r && r <= 0xfe0f, 0x1f3fb <= r && r <= 0x1f3ff, 0x1f1e6 <= r && r <= 0x1f1ff, 0xe0100 <= r && r <= 0xe01ef, leftward(r):
			fmt.Fprintf(&b, `\u%04x`, r)
			marks = 0
		case unicode.In(r, unicode.M):
			if marks++; marks == 1 && unicode.In(r, unicode.Mn) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
			marks = 0
		}
	}
	if s = b.String(); ansi.StringWidth(s) == ansi.StringWidthWc(s) {
		return s
	}
	// Letters that some terminals join (Hangul's single ones): none is left.
	b.Reset()
	for _, r := range s {
		if odd(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// leftward reports whether a character is in a block that Unicode keeps for scripts from right
// to left (DerivedBidiClass.txt: the default is R or AL).
func leftward(r rune) bool {
	return 0x590 <= r && r <= 0x8ff || 0xfb1d <= r && r <= 0xfdff || 0xfe70 <= r && r <= 0xfeff || 0x10800 <= r && r <= 0x10fff || 0x1e800 <= r && r <= 0x1efff
}

// width returns the number of columns of a plain text.
func width(s string) int { return ansi.StringWidthWc(s) }

// fit makes a plain text exactly n columns wide: cut with an ellipsis, or filled up.
func fit(s string, n int) string {
	if n <= 0 {
		return ""
	}
	w := width(s)
	if w > n {
		s = ansi.TruncateWc(s, n, "…")
		w = width(s)
	}
	return s + strings.Repeat(" ", max(n-w, 0))
}

// right is fit with the text at the right.
func right(s string, n int) string {
	if w := width(s); w < n {
		return strings.Repeat(" ", n-w) + s
	}
	return fit(s, n)
}

// wrap folds a plain text at blanks into lines of at most n columns. A longer word is broken. A
// text that fits is not changed.
func wrap(s string, n int) (lines []string) {
	if s = strings.TrimLeft(s, " "); width(s) <= n {
		return []string{s}
	}
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && width(line)+1+width(word) <= n {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for line = word; width(line) > n && n > 1; {
			head := ansi.TruncateWc(line, n, "")
			lines, line = append(lines, head), line[len(head):]
		}
	}
	return append(lines, line)
}

// bars are the heights of a sparkline, from nothing to its highest.
var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws counts in n columns, each the mean of as many counts, or of one more if n does
// not divide them. A value above zero is drawn higher than zero.
func sparkline(counts []int64, n int) string {
	if n <= 0 || len(counts) == 0 {
		return ""
	}
	n = min(n, len(counts))
	sums, parts, most := make([]float64, n), make([]float64, n), 0.0
	for i, c := range counts {
		at := i * n / len(counts)
		sums[at] += float64(c)
		parts[at]++
	}
	for i := range sums {
		sums[i] /= parts[i]
		most = max(most, sums[i])
	}
	line := make([]rune, n)
	for i, c := range sums {
		line[i] = bars[0]
		if c > 0 {
			line[i] = bars[1+int(c*float64(len(bars)-2)/most)]
		}
	}
	return string(line)
}

// number formats a count; in thousands (k) or millions (M) if it does not fit in n columns.
func number(c int64, n int) string {
	s := strconv.FormatInt(c, 10)
	for _, unit := range []struct {
		by   int64
		name string
	}{{1000, "k"}, {1000_000, "M"}, {1000_000_000, "G"}} {
		if len(s) <= n {
			break
		}
		s = strconv.FormatInt(c/unit.by, 10) + unit.name
	}
	return s
}

// spanShort formats a length of time as the options write it.
func spanShort(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

// clock formats a time of day, with the date if it is not today.
func clock(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("01-02 15:04")
}

// minute is clock without the seconds.
func minute(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("01-02 15:04")
}

// contains reports whether a text contains a word in lower case, as it is or as it is drawn.
func contains(text, word string) bool {
	return strings.Contains(strings.ToLower(text), word) || strings.Contains(word, `\`) && strings.Contains(strings.ToLower(plain(text)), word)
}

// replyText returns a reply in one line, beginning with its code; the reason in brackets if nothing
// was answered.
func replyText(a *store.Attempt) string {
	if a.Response == "" {
		return reasonText(a.Reason)
	}
	if a.Code == 0 || bounce.ReplyCode(a.Response) != 0 {
		return a.Response
	}
	code := codes(a.Code, a.Enhanced)
	if _, enhanced, ok := strings.Cut(code, " "); ok && strings.HasPrefix(a.Response, enhanced) {
		code, _, _ = strings.Cut(code, " ")
	}
	return code + " " + a.Response
}

func codes(code uint16, enhanced bounce.EnhancedCode) string {
	s := ""
	if code != 0 {
		s = strconv.Itoa(int(code))
	}
	if enhanced != 0 {
		s = strings.TrimSpace(s + " " + enhanced.String())
	}
	return cmp.Or(s, "no code")
}

// folds wraps lines at the width of the screen, each further line as far in as the first.
func folds(text []string, n int) (out []string) {
	for _, t := range text {
		t = plain(t)
		in := len(t) - len(strings.TrimLeft(t, " "))
		in = min(in, n/2)
		for _, l := range wrap(t, n-in) {
			out = append(out, strings.Repeat(" ", in)+l)
		}
	}
	return out
}

func reasonText(r bounce.Reason) string {
	if r == bounce.NoReason {
		return ""
	}
	return "(" + judge.ReasonText(r).Title + ")"
}
