package table

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rows(t *testing.T, f Format, set func(*RowWriter), columns []Column, table ...[]any) string {
	t.Helper()
	var b bytes.Buffer
	w := NewRowWriter(&b, f, columns)
	if set != nil {
		set(w)
	}
	for _, row := range table {
		if err := w.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRowWriter(t *testing.T) {
	columns := []Column{{Name: "domain"}, {Name: "hard", Number: true}}
	table := [][]any{{"a.example", int64(12)}, {"=HYPERLINK(1)", int64(-3)}, {"<b>|\x1b[1m", nil}}
	for _, test := range []struct {
		format Format
		set    func(*RowWriter)
		want   string
	}{
		{FormatCSV, nil, "domain,hard\na.example,12\n'=HYPERLINK(1),-3\n<b>|\\x1b[1m,\n"},
		{FormatCSV, func(w *RowWriter) { w.NoHeader = true }, "a.example,12\n'=HYPERLINK(1),-3\n<b>|\\x1b[1m,\n"},
		{FormatTSV, nil, "domain\thard\na.example\t12\n'=HYPERLINK(1)\t-3\n<b>|\\x1b[1m\t\n"},
		{FormatJSON, nil, `[{"domain":"a.example","hard":12},` + "\n" + `{"domain":"=HYPERLINK(1)","hard":-3},` + "\n" + `{"domain":"<b>|\u001b[1m","hard":null}]` + "\n"},
		{FormatNDJSON, func(w *RowWriter) { w.OmitNil = true }, `{"domain":"a.example","hard":12}` + "\n" + `{"domain":"=HYPERLINK(1)","hard":-3}` + "\n" + `{"domain":"<b>|\u001b[1m"}` + "\n"},
		{FormatMarkdown, nil, "| domain | hard |\n|---|---:|\n| a.example | 12 |\n| =HYPERLINK(1) | -3 |\n| &lt;b&gt;\\|\\\\x1b\\[1m |  |\n"},
		{FormatHTML, nil, `<table class="data"><thead><tr><th class="t">domain</th><th class="n">hard</th></tr></thead><tbody>` + "\n" +
			`<tr><td class="t">a.example</td><td class="n">12</td></tr>` + "\n" + `<tr><td class="t">=HYPERLINK(1)</td><td class="n">-3</td></tr>` + "\n" +
			`<tr><td class="t">&lt;b&gt;|\x1b[1m</td><td class="n"></td></tr>` + "\n</tbody></table>\n"},
	} {
		if diff := cmp.Diff(test.want, rows(t, test.format, test.set, columns, table...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.format, diff)
		}
	}
}

func TestRowWriterText(t *testing.T) {
	got := rows(t, FormatTable, func(w *RowWriter) { w.Width = 30 },
		[]Column{{Name: "domain", Flex: true}, {Name: "hard", Number: true}},
		[]any{"a-very-long-domain-name-indeed.example", int64(12)}, []any{"b.example", int64(3)})
	for i, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if n := len([]rune(line)); n > 30 {
			t.Errorf("line %d is %d wide: %q", i, n, line)
		}
	}
	if !strings.Contains(got, "a-very-long-domain-name…") || !strings.Contains(got, "b.example") {
		t.Errorf("got:\n%s", got)
	}
}

// Whatever a cell holds, nothing acts on a terminal or breaks out of its
// place.
func TestHostileCells(t *testing.T) {
	hostile := []string{
		"\x1b]0;owned\a", "\u202egpj.exe", "</td><script>alert(1)</script>", `"><img src=x>`, "=cmd|' /C calc'!A0",
		"+1", "-1", "@SUM(A1)", "a\r\nb", "| a | b |", "`code`", "\xff\xfe", strings.Repeat("x", 10_000), "'; drop table x; --",
	}
	columns := []Column{{Name: "text"}}
	for _, h := range hostile {
		for _, f := range Formats() {
			got := rows(t, Format(f), nil, columns, []any{h})
			for _, r := range got {
				if r != '\n' && r != '\t' && (r < 0x20 || Hidden(r) || r == 0x7f) {
					t.Errorf("%s: %q lets %U through", f, h[:min(len(h), 40)], r)
				}
			}
			switch Format(f) {
			case FormatHTML:
				if strings.Contains(got, "<script") || strings.Contains(got, "<img") {
					t.Errorf("HTML lets markup through: %s", got)
				}
			case FormatCSV:
				if line := strings.Split(got, "\n")[1]; strings.ContainsAny(strings.TrimPrefix(line, `"`)[:1], "=+-@") {
					t.Errorf("CSV cell starts with a formula: %q", line)
				}
			case FormatJSON:
				var v []map[string]string
				if err := json.Unmarshal([]byte(got), &v); err != nil {
					t.Errorf("not JSON: %v: %s", err, got)
				} else if h[0] != 0xff && v[0]["text"] != h {
					t.Errorf("JSON is %q, want %q", v[0]["text"], h)
				}
			}
		}
	}
}

// TestTableBounded holds that one long cell does not blow up all the others,
// which are padded to its width.
func TestTableBounded(t *testing.T) {
	var b bytes.Buffer
	rw := NewRowWriter(&b, FormatTable, []Column{{Name: "a"}, {Name: "b"}})
	for i := range 1000 {
		cell := "short"
		if i == 500 {
			cell = strings.Repeat("long ", 20_000)
		}
		if err := rw.Row([]any{cell, cell}); err != nil {
			t.Fatal(err)
		}
	}
	if err := rw.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 4<<20 {
		t.Errorf("the table has %d bytes", b.Len())
	}
}
