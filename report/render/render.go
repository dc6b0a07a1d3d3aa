// Package render prints the result of package report: as text for a terminal, HTML, Markdown, JSON,
// CSV and TSV. Each file is one format; all print the same sections (report.Section).
//
// The templates and the style sheet of the HTML page are components that other pages can use too:
// see [Components] and [StyleSheet].
package render

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/report"
)

// Options select the layout of a report.
type Options struct {
	// Width is the width of a text report in columns; 0: nothing is cut, and sentences are folded
	// at 100.
	Width  int
	Colour bool   // in a text report
	Wide   bool   // all columns and whole sentences in a text report
	Mail   bool   // an HTML page for mail clients, which show no drawings
	Host   string // host that makes the page, shown on it with Report.Now
	Made   string // command that makes the page, shown on it
}

// ErrFormat reports an unknown output format.
var ErrFormat = errors.New("no such format")

// ErrNoTable reports a section that cannot be written as one table.
var ErrNoTable = errors.New("no table")

// Report writes the report. CSV and TSV have room for one table: the only requested section, or
// else the domains (or other groups).
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

// longest is the number of characters at which a remote text is cut; JSON has the whole text.
const longest = 1000

// state returns the heading of a card.
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

// facts returns the facts of a card, in the order of all formats. detail adds the grounds of the
// level and of the cause.
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
	if in.Sent != nil {
		list = append(list, sentFact(in.Sent))
	}
	add(in.Label(), in.Figures(), before)
	if q := in.Queue; q != nil {
		list := []string{fmt.Sprintf("%d waiting", q.Waiting)}
		if q.Waiting > 0 {
			list[0] += ", the oldest since " + r.Clock(q.Oldest)
		}
		if q.GivenUp > 0 {
			list = append(list, fmt.Sprintf("%d given up, the first %s", q.GivenUp, r.Clock(q.FirstLost)))
		}
		add("In all", table.Count(int64(q.Waiting+q.GivenUp), "message")+" since it began", strings.Join(list, "; "))
	}
	if in.Share > 0 {
		add("Of all mail", in.Share.String()+r.WholeWords(), fate(in))
	}
	if in.Recipients > 0 {
		valid := ""
		if in.Valid > 0 || in.Problem == nil || !r.Problems[*in.Problem].Outage() { // behind a relay host no recipient is known
			valid = fmt.Sprintf("%d known to be valid", in.Valid)
		}
		add("Recipients", in.Recipients, valid)
	}
	if n := len(in.SenderDomains); in.ListSenders != "" {
		add("Senders", table.Count(int64(n), "sender domain"), "")
	}
	add("Sender", in.SenderWords(), "")
	add("Sent from", in.OriginWords(), "")
	add("Our addresses", strings.Join(in.Addresses, ", "), "")
	add("Sample reply", table.Cut(in.Reply, longest), "")
	add("Warning", table.Cut(in.Warning, longest), "logged just before")
	if detail || in.Level == problem.Likely {
		add("Why", in.Why, "")
	}
	add("Who acts", judge.WhoActs(in.Scope), "")
	add("Check first", in.Check, "")
	if detail {
		add("Or else", in.Otherwise, "")
		add("Disproved by", in.Disproved, "")
	}
	add("Run", in.Command, "")
	if len(in.ListSenders) <= longest { // half a command would be another command
		add("List senders", in.ListSenders, "")
	}
	return list
}

// sentFact is the mail of a flood.
func sentFact(s *problem.Sent) report.Fact {
	least, of := "", " since it began"
	if s.Least {
		least = "at least "
	}
	if s.Domains {
		of += ", from all addresses of its sender domains"
	}
	return report.Fact{Label: "Sent", Value: "mail to " + least + table.Count(s.Recipients, "recipient") + of, Note: fmt.Sprintf("%d delivered, %d returned, %d waiting", s.Delivered, s.Returned, s.Waiting)}
}

// isCommand reports whether a fact is a command, which is not broken.
func isCommand(f *report.Fact) bool { return f.Label == "Run" || f.Label == "List senders" }

// fate returns how many messages of an incident were returned, and how many may be.
func fate(in *report.Incident) string {
	words := fmt.Sprintf("%d returned to their senders", in.Lost)
	if in.Lost == 1 {
		words = "1 returned to its sender"
	}
	if in.Earlier && in.Queue != nil { // which counts the earlier ones, too
		words += " in this period"
	}
	if in.Waiting > 0 {
		words += fmt.Sprintf(", %d waiting", in.Waiting)
	}
	return words
}

// line joins a fact's value and note.
func line(f report.Fact) string {
	text := table.Text(f.Value)
	if f.Note != "" {
		text += ", " + f.Note
	}
	return text
}

// named reports whether the sentence of the verdict names an ended incident.
func named(r *report.Report, in *report.Incident) bool {
	told := r.Verdict.NamedEnded()
	return told != nil && told.ID == in.ID
}

// endedFacts returns the reply to an ended incident and what to do, if the verdict names it or its cause remains.
func endedFacts(r *report.Report, in *report.Incident) (list []report.Fact) {
	if !in.Remains && !named(r, in) {
		return nil
	}
	if in.Sent != nil {
		list = append(list, sentFact(in.Sent))
	}
	for _, f := range [...]report.Fact{
		{Label: "Sample reply", Value: table.Cut(in.Reply, longest)},
		{Label: "Who acts", Value: judge.WhoActs(in.Scope)},
		{Label: "Check first", Value: table.Cut(in.Check, longest)},
		{Label: "Run", Value: in.Command},
	} {
		if f.Value != "" {
			list = append(list, f)
		}
	}
	return list
}

// over describes an ended incident in a sentence.
func over(r *report.Report, in *report.Incident) string {
	sender := ""
	if in.Sender != nil {
		sender = "; " + in.SenderWords()
	}
	lost := ""
	if in.Lost > 0 && in.Sent == nil {
		if lost = "; " + fate(in); in.SendAgain {
			lost += "; send the returned mail again"
		}
	}
	if named(r, in) { // the headline has its title and figures
		return fmt.Sprintf("The incident named above: since %s, %s%s%s.", r.Clock(in.Since), r.Course(in), lost, sender)
	}
	return fmt.Sprintf("Ended %s: %s (since %s, %s%s%s).", r.EndWords(in), table.Cut(in.Title, longest), r.Clock(in.Since), in.Figures(), lost, sender)
}

// factsTable returns the facts as a table, for formats with tables only.
func factsTable(facts []report.Fact) *table.Table {
	t := &table.Table{Columns: []table.Column{{Name: "count", Number: true}, {Name: "what"}, {Name: "meaning", Flex: true}}}
	for _, f := range facts {
		t.Rows = append(t.Rows, []any{f.Value, f.Label, f.Note})
	}
	return t
}

// steps returns the points of a timeline without holes, in at most columns steps from start to end.
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
