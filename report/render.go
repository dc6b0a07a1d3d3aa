package report

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"bouncelog/store"
)

// WriteOptions say how a report is to look.
type WriteOptions struct {
	Width  int  // of a text report in columns; 0: any
	Colour bool // in a text report
	Wide   bool // all columns in a text report
}

// Write renders the report. CSV and TSV have room for one table: that of the
// only section asked for, or else the domains (or what the report is grouped
// by).
func (r *Report) Write(w io.Writer, f Format, o WriteOptions) error {
	switch f {
	case FormatJSON:
		raw, err := marshal(r, "  ")
		if err != nil {
			return err
		}
		_, err = w.Write(append(raw, '\n'))
		return err
	case FormatNDJSON:
		return r.writeNDJSON(w)
	case FormatCSV, FormatTSV:
		return r.writeSeparated(w, f)
	case FormatMarkdown:
		return r.writeMarkdown(w)
	case FormatHTML:
		return r.writeHTML(w)
	case FormatTable:
		return r.writeText(w, o)
	}
	return fmt.Errorf("%w: %q", ErrFormat, f)
}

// A section is a part of the report as a person reads it.
type section struct {
	name  string
	title string
	lead  []string // sentences before the table
	table *Table
	notes []string // sentences after it
}

func (r *Report) sections(wide bool) []section {
	var out []section
	if r.Totals != nil {
		out = append(out, r.totalsSection())
	}
	if r.Problems != nil {
		out = append(out, r.problemsSection())
	}
	if r.Domains != nil || r.Groups != nil {
		out = append(out, r.groupsSection(wide))
	}
	if r.Reasons != nil {
		out = append(out, r.reasonsSection())
	}
	if r.Recipients != nil {
		out = append(out, r.recipientsSection())
	}
	if r.Unparsed != nil {
		out = append(out, r.coverageSection())
	}
	return out
}

func (r *Report) time(t time.Time) string { return t.In(r.loc).Format("2006-01-02 15:04") }

// header says what the report covers.
func (r *Report) header() []string {
	var lines []string
	span := "no delivery attempts"
	if r.Period.First != nil && r.Period.Last != nil {
		span = "delivery attempts from " + r.time(*r.Period.First) + " to " + r.time(*r.Period.Last)
	}
	switch p := r.Period; {
	case p.Since != nil && p.Until != nil:
		lines = append(lines, fmt.Sprintf("Period %s to %s (%s): %s", r.time(*p.Since), r.time(*p.Until), r.loc, span))
	case p.Since != nil:
		lines = append(lines, fmt.Sprintf("Since %s (%s): %s", r.time(*p.Since), r.loc, span))
	case p.Until != nil:
		lines = append(lines, fmt.Sprintf("Until %s (%s): %s", r.time(*p.Until), r.loc, span))
	default:
		lines = append(lines, fmt.Sprintf("The whole period there is (%s): %s", r.loc, span))
	}
	paths := make([]string, 0, 4)
	for i, s := range r.Sources {
		if i == 3 && len(r.Sources) > 4 {
			paths = append(paths, fmt.Sprintf("and %d more", len(r.Sources)-i))
			break
		}
		paths = append(paths, s.Path)
	}
	if len(paths) > 0 {
		lines = append(lines, "Sources: "+strings.Join(paths, ", "))
	}
	return lines
}

// number is a count with its noun.
func number(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func (r *Report) totalsSection() section {
	t := r.Totals
	s := section{name: SectionTotals, title: "Totals", table: &Table{
		Columns: []Column{{Name: "count", Number: true}, {Name: "what"}, {Name: "meaning", Flex: true}},
	}}
	row := func(n int64, what, meaning string) { s.table.Rows = append(s.table.Rows, []any{n, what, meaning}) }
	row(t.Attempts, "attempts", "delivery attempts, of "+number(t.Messages, "message"))
	row(t.Delivered, "delivered", "")
	row(t.Soft, "soft", percent(t.SoftRate)+" of the attempts; the MTA tries again")
	row(t.Hard, "hard", percent(t.HardRate)+" of the attempts; returned to the sender")
	row(t.Recovered, "recovered", "recipients deferred at first, delivered later")
	row(t.Pending, "pending", "recipients deferred, still queued when last seen")
	row(t.Expired, "expired", "recipients given up when the queue lifetime ended (in hard)")
	if n := t.NotificationSoft + t.NotificationHard; n > 0 {
		row(n, "of our own notifications", fmt.Sprintf("null sender: %d soft, %d hard, in the numbers above", t.NotificationSoft, t.NotificationHard))
	}
	if t.Soft5xx > 0 {
		row(t.Soft5xx, "soft with a 5xx reply", "refused for good, but queued: often a 554 greeting, silent for days")
	}
	if t.Handoff > 0 {
		row(t.Handoff, "hand-offs", "to a filter, an alias or an instance of one's own; not counted above")
	}
	if t.Probe > 0 {
		row(t.Probe, "probes", "address verification; not counted above")
	}
	if p := t.Previous; p != nil {
		s.notes = append(s.notes, fmt.Sprintf("The period before: %d attempts, %d delivered, %d soft, %d hard.", p.Attempts, p.Delivered, p.Soft, p.Hard))
	}
	return s
}

func (r *Report) problemsSection() section {
	s := section{name: SectionProblems, title: "Problems: probably not the recipients' fault"}
	if len(r.Problems) == 0 {
		s.lead = []string{"None found."}
		return s
	}
	shown := r.Problems[:min(len(r.Problems), problemsShown)]
	checked := map[string]bool{}
	for i, p := range shown {
		if i > 0 {
			s.lead = append(s.lead, "")
		}
		s.lead = append(s.lead, p.text(r.time, checked)...)
	}
	if more := len(r.Problems) - len(shown); more > 0 {
		s.lead = append(s.lead, "", fmt.Sprintf("and %d more, in --format json", more))
	}
	return s
}

const problemsShown = 20

func (r *Report) groupsSection(wide bool) section {
	groups := r.Domains
	title := "By recipient domain"
	column := "domain"
	if r.By != store.ByDomain {
		groups, title, column = r.Groups, "By "+strings.ReplaceAll(string(r.By), "-", " "), string(r.By)
	}
	s := section{name: SectionDomains, title: title}
	if len(groups) == 0 {
		s.lead = []string{"No delivery attempts."}
		return s
	}
	s.table = &Table{Columns: []Column{
		{Name: column, Flex: true},
		{Name: "attempts", Number: true},
		{Name: "delivered", Number: true},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "recovered", Number: true},
		{Name: "pending", Number: true},
		{Name: "expired", Number: true},
		{Name: "main reason"},
	}}
	if wide {
		s.table.Columns = append(s.table.Columns, Column{Name: "messages", Number: true})
	}
	for _, g := range groups {
		key := g.Key
		if key == "" {
			key = "(none)"
		}
		row := []any{key, g.Attempts, g.Delivered, g.Soft, g.Hard, g.Recovered, g.Pending, g.Expired, g.Reason.String()}
		if wide {
			row = append(row, g.Messages)
		}
		s.table.Rows = append(s.table.Rows, row)
	}
	if r.moreGroups > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--all)", r.moreGroups))
	}
	return s
}

func (r *Report) reasonsSection() section {
	s := section{name: SectionReasons, title: "Reasons, and what to do"}
	if len(r.Reasons) == 0 {
		s.lead = []string{"No failures."}
		return s
	}
	s.table = &Table{Columns: []Column{
		{Name: "reason"},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "who acts"},
		{Name: "what to do", Flex: true},
	}}
	for _, x := range r.Reasons {
		s.table.Rows = append(s.table.Rows, []any{x.Reason.String(), x.Soft, x.Hard, x.Scope.String(), strings.Join(x.Do[:min(1, len(x.Do))], "")})
	}
	return s
}

func (r *Report) recipientsSection() section {
	s := section{name: SectionRecipients, title: "Recipients to act on: the address itself is at fault"}
	if len(r.Recipients) == 0 {
		s.lead = []string{"None."}
		return s
	}
	s.table = &Table{Columns: []Column{{Name: "recipient", Flex: true}, {Name: "hard", Number: true}, {Name: "reason"}}}
	for _, x := range r.Recipients {
		s.table.Rows = append(s.table.Rows, []any{x.Recipient, x.Hard, x.Reason.String()})
	}
	if r.moreRecipient > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--all)", r.moreRecipient))
	}
	return s
}

func (r *Report) coverageSection() section {
	c := r.Unparsed
	s := section{name: SectionUnparsed, title: "What was read"}
	s.lead = append(s.lead, fmt.Sprintf("%s: %d with delivery attempts, %d about queued messages, %d about mail refused by this server, %d not about deliveries, %d blank, %d looked like a delivery and were not understood.",
		number(c.Lines, "line"), c.Delivery, c.Queue, c.Rejected, c.Skipped, c.Blank, c.Unparsed))
	if c.Repeated > 0 {
		s.lead = append(s.lead, fmt.Sprintf("%d attempts stood in lines like \"message repeated 2 times\".", c.Repeated))
	}
	if len(c.Sample) > 0 {
		s.table = &Table{Columns: []Column{{Name: "source", Flex: true}, {Name: "offset", Number: true}, {Name: "not understood", Flex: true}}}
		for _, u := range c.Sample {
			s.table.Rows = append(s.table.Rows, []any{u.Source, u.Offset, u.Text})
		}
	}
	for _, u := range c.Reasons {
		s.notes = append(s.notes, fmt.Sprintf("No rule knows this reply (%s): %s", number(u.Attempts, "time"), Cut(u.Text, 200)))
	}
	return s
}

func (r *Report) writeText(w io.Writer, o WriteOptions) error {
	bold := func(s string) string { return s }
	if o.Colour {
		bold = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, bold("bouncelog report"))
	for _, line := range r.header() {
		fmt.Fprintln(&b, Clean(line))
	}
	for _, s := range r.sections(o.Wide) {
		fmt.Fprintf(&b, "\n%s\n", bold(s.title))
		for _, line := range s.lead {
			fold(&b, Clean(line), o.Width)
		}
		if s.table != nil {
			if err := s.table.writeText(&b, o.Width, true); err != nil {
				return err
			}
		}
		for _, line := range s.notes {
			fold(&b, Clean(line), o.Width)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// fold writes a sentence in lines of at most width columns.
func fold(b *bytes.Buffer, sentence string, width int) {
	column := 0
	for i, word := range strings.Fields(sentence) {
		n := len([]rune(word))
		if i > 0 && width > 0 && column+1+n > width {
			b.WriteString("\n  ")
			column = 2
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteByte('\n')
}

func (r *Report) writeMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# bouncelog report\n\n")
	for _, line := range r.header() {
		fmt.Fprintf(&b, "%s  \n", markdown(line))
	}
	for _, s := range r.sections(true) {
		fmt.Fprintf(&b, "\n## %s\n\n", markdown(s.title))
		for _, line := range s.lead {
			if line != "" {
				fmt.Fprintf(&b, "%s\n\n", markdown(line))
			}
		}
		if s.table != nil {
			if err := writeMarkdownHeader(&b, s.table.Columns); err != nil {
				return err
			}
			for _, row := range s.table.Rows {
				if err := writeMarkdownRow(&b, row); err != nil {
					return err
				}
			}
			b.WriteByte('\n')
		}
		for _, line := range s.notes {
			fmt.Fprintf(&b, "%s\n\n", markdown(line))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

const htmlHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>bouncelog report</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em auto; max-width: 75em; padding: 0 1em }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin-top: 2em }
div { overflow-x: auto }
table { border-collapse: collapse }
th, td { text-align: left; padding: .25em .9em .25em 0; border-bottom: 1px solid #8884; vertical-align: top; overflow-wrap: anywhere }
.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal }
</style></head><body>
`

func (r *Report) writeHTML(w io.Writer) error {
	var b bytes.Buffer
	escape := func(s string) string { return html.EscapeString(Clean(s)) }
	b.WriteString(htmlHead + "<h1>bouncelog report</h1>\n<p>")
	for i, line := range r.header() {
		if i > 0 {
			b.WriteString("<br>")
		}
		b.WriteString(escape(line))
	}
	b.WriteString("</p>\n")
	for _, s := range r.sections(true) {
		fmt.Fprintf(&b, "<h2>%s</h2>\n", escape(s.title))
		for _, line := range s.lead {
			fmt.Fprintf(&b, "<p>%s</p>\n", escape(line))
		}
		if s.table != nil {
			b.WriteString("<div>")
			if err := writeHTMLTableStart(&b, s.table.Columns); err != nil {
				return err
			}
			for _, row := range s.table.Rows {
				if err := writeHTMLRow(&b, s.table.Columns, row); err != nil {
					return err
				}
			}
			b.WriteString("</tbody></table></div>\n")
		}
		for _, line := range s.notes {
			fmt.Fprintf(&b, "<p>%s</p>\n", escape(line))
		}
	}
	b.WriteString("</body></html>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// writeNDJSON writes an object a row, each with the name of its section.
func (r *Report) writeNDJSON(w io.Writer) error {
	var b bytes.Buffer
	row := func(section string, v any) error {
		raw, err := MarshalJSON(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, `{"section":%q,%s`+"\n", section, raw[1:])
		return nil
	}
	var errs []error
	if r.Totals != nil {
		errs = append(errs, row(SectionTotals, r.Totals))
	}
	for _, x := range r.Problems {
		errs = append(errs, row(SectionProblems, x))
	}
	for _, x := range r.Domains {
		errs = append(errs, row(SectionDomains, x))
	}
	for _, x := range r.Groups {
		errs = append(errs, row(string(r.By), x))
	}
	for _, x := range r.Reasons {
		errs = append(errs, row(SectionReasons, x))
	}
	for _, x := range r.Recipients {
		errs = append(errs, row(SectionRecipients, x))
	}
	if r.Unparsed != nil {
		errs = append(errs, row(SectionUnparsed, r.Unparsed))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) writeSeparated(w io.Writer, f Format) error {
	sections := r.sections(true)
	var one *section
	for i := range sections {
		if len(sections) == 1 || sections[i].name == SectionDomains {
			one = &sections[i]
		}
	}
	if one == nil {
		return fmt.Errorf("%w: %s has room for one section, and %d were asked for", ErrFormat, f, len(sections))
	}
	table := one.table
	if table == nil {
		table = &Table{Columns: []Column{{Name: string(r.By)}}}
	}
	rw := NewRowWriter(w, f, table.Columns)
	for _, row := range table.Rows {
		if err := rw.Row(row); err != nil {
			return err
		}
	}
	return rw.Close()
}
