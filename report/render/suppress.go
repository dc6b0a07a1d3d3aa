package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
)

// Formats that only a suppression list has.
const (
	FormatList    table.Format = "list"    // one address a line
	FormatPostfix table.Format = "postfix" // access(5) map, for check_recipient_access
	FormatExim    table.Format = "exim"    // file for Exim's lsearch lookup
)

var (
	suppressColumns = []table.Column{
		{Name: "recipient", Flex: true},
		{Name: "reason"},
		{Name: "failures", Number: true},
		{Name: "since"},
		{Name: "last"},
		{Name: "last_delivered"},
		{Name: "code", Number: true},
		{Name: "enhanced"},
		{Name: "response", Flex: true},
	}
	sparedColumns = []table.Column{
		{Name: "recipient", Flex: true},
		{Name: "why", Flex: true},
		{Name: "reason"},
		{Name: "failures", Number: true},
		{Name: "last"},
		{Name: "last_delivered"},
		{Name: "response", Flex: true},
	}
)

func orNil(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

func suppressionCells(s *report.Suppression) []any {
	var code any
	if s.Code != 0 {
		code = int(s.Code)
	}
	return []any{s.Recipient, s.Reason.String(), s.Failures, s.Since, s.Last, orNil(s.LastDelivered), code, s.Enhanced.String(), s.Response}
}

func sparedCells(s *report.Spared) []any {
	return []any{s.Recipient, s.Why, s.Reason.String(), s.Failures, s.Last, orNil(s.LastDelivered), s.Response}
}

// A SuppressOptions selects the layout of a suppression list.
type SuppressOptions struct {
	Options
	WhyNot   bool           // the spared instead of the suppressed
	Spared   int            // maximum number of spared addresses below the table; 0: all
	Location *time.Location // time zone of a table; nil: time.Local
	NoHeader bool
}

// Suppressions writes the list. left is the number of addresses omitted from a format for other
// programs (list, postfix, exim), because they contain characters that could break it; JSON and CSV
// have them.
func Suppressions(w io.Writer, l *report.SuppressionList, f table.Format, o SuppressOptions) (left int, err error) {
	switch f {
	case FormatList, FormatPostfix, FormatExim:
		return suppressMap(w, l, f, o)
	case table.FormatTable:
		return 0, suppressTable(w, l, o)
	case table.FormatJSON:
		var v any = l
		if o.WhyNot {
			v = struct {
				Spared []report.Spared `json:"spared"`
			}{l.Spared}
		}
		raw, err := table.MarshalIndent(v, "  ")
		if err != nil {
			return 0, err
		}
		_, err = w.Write(append(raw, '\n'))
		return 0, err
	case table.FormatNDJSON:
		return 0, suppressNDJSON(w, l, o)
	}
	columns := suppressColumns
	if o.WhyNot {
		columns = sparedColumns
	}
	rw := table.NewRowWriter(w, f, columns)
	rw.NoHeader = o.NoHeader
	for i := range l.Suppress {
		if !o.WhyNot {
			if err := rw.Row(suppressionCells(&l.Suppress[i])); err != nil {
				return 0, err
			}
		}
	}
	for i := range l.Spared {
		if o.WhyNot {
			if err := rw.Row(sparedCells(&l.Spared[i])); err != nil {
				return 0, err
			}
		}
	}
	return 0, rw.Close()
}

func suppressNDJSON(w io.Writer, l *report.SuppressionList, o SuppressOptions) error {
	b := bufio.NewWriter(w)
	row := func(list string, v any) error {
		raw, err := table.MarshalJSON(v)
		if err == nil {
			_, err = fmt.Fprintf(b, `{"list":%q,%s`+"\n", list, raw[1:])
		}
		return err
	}
	for i := range l.Suppress {
		if !o.WhyNot {
			if err := row("suppress", &l.Suppress[i]); err != nil {
				return err
			}
		}
	}
	for i := range l.Spared {
		if err := row("spared", &l.Spared[i]); err != nil {
			return err
		}
	}
	return b.Flush()
}

// plainAddress returns an address as a key of a map, with A to Z in lower case. ok is false for an
// address that a program which reads a map or a list of addresses could take for another, or for
// more than one, because it contains:
//   - anything but ASCII: Postfix folds the case of its keys as Unicode does, so U+212A
//     KELVIN SIGN becomes k;
//   - blanks, quotes, colons, commas, control characters, #;
//   - wildcards and characters of patterns, lists and variables: those of Exim's lsearch*@,
//     wildlsearch and address lists; at the start also any punctuation, which Postfix's regexp
//     and pcre tables take for the delimiter of a pattern;
//   - % and !, which route mail from the local part in old address syntax.
func plainAddress(a string) (plain string, ok bool) {
	a = ascii.Lower(a)
	local, domain, ok := strings.Cut(a, "@")
	if !ok || local == "" || !alphanumeric(local[0]) || strings.IndexFunc(local, func(r rune) bool {
		return !(r < utf8.RuneSelf && alphanumeric(byte(r)) || strings.ContainsRune(".-_+='&/", r))
	}) >= 0 {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || !alphanumeric(label[0]) && label[0] != '_' || strings.IndexFunc(label, func(r rune) bool {
			return !(r < utf8.RuneSelf && alphanumeric(byte(r)) || r == '-' || r == '_')
		}) >= 0 {
			return "", false
		}
	}
	return a, true
}

// alphanumeric reports whether c is a letter in lower case or a digit.
func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func suppressMap(w io.Writer, l *report.SuppressionList, f table.Format, o SuppressOptions) (left int, err error) {
	b := bufio.NewWriter(w)
	if !o.NoHeader {
		switch f {
		case FormatPostfix:
			b.WriteString("# For check_recipient_access; run postmap on it. Made by bouncelog suppress.\n")
		case FormatExim:
			b.WriteString("# For a lookup of type lsearch. Made by bouncelog suppress.\n")
		}
	}
	seen := make(map[string]bool)
	address := func(a string) string {
		plain, ok := plainAddress(a)
		if !ok {
			left++
			return ""
		}
		if seen[plain] { // differs only in case
			return ""
		}
		seen[plain] = true
		return plain
	}
	if o.WhyNot {
		for i := range l.Spared {
			if a := address(l.Spared[i].Recipient); a != "" {
				b.WriteString(a + "\n")
			}
		}
		return left, b.Flush()
	}
	for i := range l.Suppress {
		s := &l.Suppress[i]
		a := address(s.Recipient)
		if a == "" {
			continue
		}
		since := s.Since.UTC().Format(time.DateOnly)
		switch f {
		case FormatPostfix:
			fmt.Fprintf(b, "%s 550 5.1.1 not mailed any more: %s since %s\n", a, s.Reason, since)
		case FormatExim:
			fmt.Fprintf(b, "%s: %s since %s\n", a, s.Reason, since)
		default:
			b.WriteString(a + "\n")
		}
	}
	return left, b.Flush()
}

func suppressTable(w io.Writer, l *report.SuppressionList, o SuppressOptions) error {
	loc := o.Location
	if loc == nil {
		loc = time.Local
	}
	stamp := func(t *time.Time) any {
		if t == nil {
			return "never"
		}
		return when.Stamp(t.In(loc), "2006-01-02 15:04")
	}
	b := bufio.NewWriter(w)
	bold := func(s string) string {
		if o.Colour {
			return "\x1b[1m" + s + "\x1b[0m"
		}
		return s
	}
	if !o.WhyNot {
		fmt.Fprintf(b, "%s\n", bold("Suppress: "+table.Count(int64(len(l.Suppress)), "address")))
		if len(l.Suppress) > 0 {
			t := &table.Table{Columns: []table.Column{{Name: "recipient", Flex: true}, {Name: "reason"}, {Name: "failures", Number: true}, {Name: "since"}, {Name: "last delivered"}}}
			for i := range l.Suppress {
				s := &l.Suppress[i]
				t.Rows = append(t.Rows, []any{s.Recipient, s.Reason.String(), s.Failures, stamp(&s.Since), stamp(s.LastDelivered)})
			}
			if err := t.WriteText(b, o.Width, true); err != nil {
				return err
			}
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintf(b, "%s\n", bold("Kept despite a 5xx: "+table.Count(int64(len(l.Spared)), "address")))
	shown := l.Spared
	if !o.WhyNot && o.Spared > 0 && len(shown) > o.Spared {
		shown = shown[:o.Spared]
	}
	if len(shown) > 0 {
		t := &table.Table{Columns: []table.Column{{Name: "recipient", Flex: true}, {Name: "failures", Number: true}, {Name: "last delivered"}, {Name: "why not", Flex: true}}}
		for i := range shown {
			s := &shown[i]
			t.Rows = append(t.Rows, []any{s.Recipient, s.Failures, stamp(s.LastDelivered), s.Why})
		}
		if err := t.WriteText(b, o.Width, true); err != nil {
			return err
		}
	}
	if more := len(l.Spared) - len(shown); more > 0 {
		fmt.Fprintf(b, "%d of %d shown. All: --why-not\n", len(shown), len(l.Spared))
	}
	return b.Flush()
}
