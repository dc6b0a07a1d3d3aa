package table

import (
	"encoding/csv"
	"strings"
	"testing"
	"unicode"
)

// formulas are the characters that begin a formula in some spreadsheet, also as East
// Asian editions type them.
const formulas = "=+-@＝＋－＠﹦﹢﹣﹫−"

// startsFormula reports whether a spreadsheet may take a cell for a formula, quotes and
// blanks at its start aside.
func startsFormula(cell string) bool {
	cell = strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
	return cell != "" && strings.ContainsRune(formulas, []rune(cell)[0])
}

// cellsOf are the cells of a line as programs read it that separate at any of a set of
// characters: strictly (RFC 4180), and with no regard to quotes.
func cellsOf(t *testing.T, line, separators string) []string {
	t.Helper()
	list := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) })
	for _, s := range separators {
		r := csv.NewReader(strings.NewReader(line))
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = s, true, -1
		records, err := r.ReadAll()
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, record := range records {
			list = append(list, record...)
		}
	}
	return list
}

var hostileCSV = []string{
	"x;=cmd|'/C calc'!A0", ";=1", "a; =1", `a;"=1"`, `a;""=1`, "a;;=1", "a; ; =1", ";", "x;", "=1;=2", `";=1`, "＝1", "＋1", "－1", "＠SUM(1)", "﹦1", "﹢1", "﹣1", "﹫A", "−1",
	"a;＝1", " =1", "\t=1", "a;\t=1", "a;\r\n=1", "\u3000=1", "\u00a0=1", `"=1"`, "'=1", "a;b", "a|b", `say "no"; =1`, "-", "@", "+", "=",
	"550 5.7.1 no; -1 for you; @you", "a\x00;=1", "a;\u200b=1",
}

// No cell is a formula where a semicolon separates, as it does in most of Europe, nor
// where a comma does.
func TestCSVFormulas(t *testing.T) {
	columns := []Column{{Name: "before"}, {Name: "text"}, {Name: "after"}}
	for _, h := range hostileCSV {
		for _, row := range [][]any{{"good.example", h, "x"}, {h, h, h}, {"good.example", int64(12), h}, {h, nil, nil}} {
			got := rows(t, FormatCSV, func(w *RowWriter) { w.NoHeader = true }, columns, row)
			for _, cell := range cellsOf(t, got, ";") {
				if startsFormula(cell) {
					t.Errorf("%q: with a semicolon between cells, %q holds the formula %q", h, got, cell)
				}
			}
			record, err := csv.NewReader(strings.NewReader(got)).Read()
			if err != nil || len(record) != 3 {
				t.Fatalf("%q: %q, %v", got, record, err)
			}
			for _, cell := range record {
				if startsFormula(cell) {
					t.Errorf("%q: %q is a formula", h, cell)
				}
			}
			got = rows(t, FormatTSV, func(w *RowWriter) { w.NoHeader = true }, columns, row)
			for _, cell := range cellsOf(t, got, "\t") {
				if startsFormula(cell) {
					t.Errorf("%q: TSV: %q is a formula", h, cell)
				}
			}
		}
	}
}

// Every cell that some program would separate or trim stands in quotes; and what is read
// is what was written, marks of formulas aside.
func TestCSVQuotes(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "": `""`, "a,b": `"a,b"`, "a;b": `"a;b"`, "a|b": "a|b", `a"b`: `"a""b"`, " a": `" a"`, "a ": `"a "`, "a b": "a b",
		"=1": `'=1`, "a;=1": `"a;'=1"`, "a;-b": `"a;'-b"`, "a-b;c-d": `"a-b;c-d"`, "a,-b": `"a,-b"`, `\.`: `"\."`, "＝1": "'＝1",
	} {
		if got := rows(t, FormatCSV, func(w *RowWriter) { w.NoHeader = true }, []Column{{Name: "x"}}, []any{in}); got != want+"\n" {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
	if got := rows(t, FormatTSV, nil, []Column{{Name: "a"}, {Name: "b"}}, []any{"a,b;c", int64(-3)}); got != "a\tb\na,b;c\t-3\n" {
		t.Errorf("TSV %q", got)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range hostileCSV {
		f.Add(s, s)
	}
	columns := []Column{{Name: "a"}, {Name: "b"}}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 1000 {
			return
		}
		got := rows(t, FormatCSV, func(w *RowWriter) { w.NoHeader = true }, columns, []any{a, b})
		record, err := csv.NewReader(strings.NewReader(got)).Read()
		if err != nil || len(record) != 2 {
			t.Fatalf("%q: %q, %v", got, record, err)
		}
		for _, cell := range append(record, cellsOf(t, got, ";")...) {
			if startsFormula(cell) {
				t.Errorf("%q, %q: %q holds the formula %q", a, b, got, cell)
			}
		}
		if strings.ReplaceAll(record[0], "'", "") != strings.ReplaceAll(Clean(a), "'", "") {
			t.Errorf("%q is read as %q", a, record[0])
		}
	})
}
