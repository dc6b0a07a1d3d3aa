// Package render prints what package report found: as text for a terminal, HTML,
// Markdown, JSON, CSV and TSV. One file is one format; all of them print the same
// sections (report.Section).
//
// The templates and the style sheet of the HTML page are components that other pages
// can use too: see [Components] and [StyleSheet].
package render

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
)

// Options say how a report is to look.
type Options struct {
	// Width is how many columns a text report has; 0: nothing is cut, and sentences
	// are folded at 100.
	Width  int
	Colour bool   // in a text report
	Wide   bool   // all columns and whole sentences in a text report
	Mail   bool   // an HTML page for mail programs, which show no drawings
	Host   string // that makes the page, to be shown on it with Report.Now
	Made   string // the command that makes the page, to be shown on it
}

// ErrFormat says that there is no such output format.
var ErrFormat = errors.New("no such format")

// ErrNoTable says that a section cannot be written as one table.
var ErrNoTable = errors.New("no table")

// Report writes the report. CSV and TSV have room for one table: that of the only
// section asked for, or else the domains (or what the report is grouped by).
func Report(w io.Writer, r *report.Report, f table.Format, o Options) error {
	switch f {
	case table.FormatJSON:
		raw, err := table.MarshalIndent(r, "  ")
		if err != nil {
			return err
		}
		_, err = w.Write(append(raw, '\n'))
		return err
	case table.FormatNDJSON:
		return writeNDJSON(w, r)
	case table.FormatCSV, table.FormatTSV:
		return writeSeparated(w, r, f)
	case table.FormatMarkdown:
		return writeMarkdown(w, r)
	case table.FormatHTML:
		return writeHTML(w, r, o)
	case table.FormatTable:
		return writeText(w, r, o)
	}
	return fmt.Errorf("%w: %q", ErrFormat, f)
}

// longest is to how many characters a text is cut that a stranger chose; JSON has it
// whole.
const longest = 1000

// state is what a card is headed with.
func state(in *report.Incident) string {
	level := table.Clean(table.Cut(strings.ToUpper(in.Level), 20))
	if in.Level != problem.Watch && in.IsBackground() {
		level = "BACKGROUND"
	}
	if in.Level != problem.Watch && !in.Going() {
		return level + ", ended"
	}
	return level
}

// facts are what a card says, in the order in which all formats say it. Detail adds
// what the level and the cause rest on.
func facts(r *report.Report, in *report.Incident, detail bool) []report.Fact {
	var list []report.Fact
	add := func(label string, value any, note string) {
		if value != "" {
			list = append(list, report.Fact{Label: label, Value: value, Note: note})
		}
	}
	add("Since", r.Clock(in.Since), r.Course(in))
	before := ""
	if in.BeforeTried > 0 {
		before = fmt.Sprintf("before: %d of %d", in.Before, in.BeforeTried)
	}
	label := "Refused"
	if in.Stuck || in.Problem != nil && r.Problems[*in.Problem].Outage() {
		label = "Not delivered" // nobody refused it
	}
	add(label, in.Figures(), before)
	if in.Share > 0 {
		add("Of all mail", in.Share, returned(in.Lost))
	}
	if in.Recipients > 0 {
		valid := ""
		if in.Valid > 0 || in.Problem == nil || !r.Problems[*in.Problem].Outage() { // behind a relay host nobody is known
			valid = fmt.Sprintf("%d known to be valid", in.Valid)
		}
		add("Recipients", in.Recipients, valid)
	}
	add("Our addresses", strings.Join(in.Addresses, ", "), "")
	add("Sample reply", table.Cut(in.Reply, longest), "")
	add("Warning", table.Cut(in.Warning, longest), "logged just before")
	if detail || in.Level == problem.Likely {
		add("Why", in.Why, "")
	}
	add("Check first", in.Check, "")
	if detail {
		add("Or else", in.Otherwise, "")
		add("Disproved by", in.Disproved, "")
	}
	add("Run", in.Command, "")
	return list
}

func returned(messages int) string {
	if messages == 1 {
		return "1 returned to its sender"
	}
	return fmt.Sprintf("%d returned to their senders", messages)
}

// line is a fact's value and note in one.
func line(f report.Fact) string {
	text := table.Text(f.Value)
	if f.Note != "" {
		text += ", " + f.Note
	}
	return text
}

// over is an incident that has ended in a sentence.
func over(r *report.Report, in *report.Incident) string {
	return fmt.Sprintf("Ended %s: %s (since %s, %s).", r.Clock(in.End()), table.Cut(in.Title, longest), r.Clock(in.Since), in.Figures())
}

// factsTable is the table of facts for formats that have room for tables only.
func factsTable(facts []report.Fact) *table.Table {
	t := &table.Table{Columns: []table.Column{{Name: "count", Number: true}, {Name: "what"}, {Name: "meaning", Flex: true}}}
	for _, f := range facts {
		t.Rows = append(t.Rows, []any{f.Value, f.Label, f.Note})
	}
	return t
}

// steps are the points of a timeline without holes, in at most columns steps from
// start to end.
func steps(points []report.Point, start, end time.Time, step time.Duration, n int) []report.Point {
	list := make([]report.Point, n)
	for i := range list {
		list[i].Time = start.Add(time.Duration(i) * step)
	}
	for _, p := range points {
		i := int(p.Time.Sub(start) / step)
		if p.Time.Before(start) || i < 0 || i >= n || p.Time.After(end) {
			continue
		}
		list[i].Delivered += p.Delivered
		list[i].Soft += p.Soft
		list[i].Hard += p.Hard
	}
	return list
}
