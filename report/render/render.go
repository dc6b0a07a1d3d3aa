// Package render prints what package report found: as text for a terminal, HTML,
// Markdown, JSON, CSV and TSV.
package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
)

// Options say how a report is to look.
type Options struct {
	Width  int  // of a text report in columns; 0: any
	Colour bool // in a text report
	Wide   bool // all columns in a text report
}

// ErrFormat says that there is no such output format.
var ErrFormat = errors.New("no such format")

// A view is a report with the words around its data.
type view struct {
	*report.Report
	wide bool // all columns
}

// Report writes the report. CSV and TSV have room for one table: that of the
// only section asked for, or else the domains (or what the report is grouped
// by).
func Report(w io.Writer, r *report.Report, f table.Format, o Options) error {
	v := &view{r, true}
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
		return v.writeSeparated(w, f)
	case table.FormatMarkdown:
		return v.writeMarkdown(w)
	case table.FormatHTML:
		return v.writeHTML(w)
	case table.FormatTable:
		v.wide = o.Wide
		return v.writeText(w, o)
	}
	return fmt.Errorf("%w: %q", ErrFormat, f)
}

// A section is a part of the report as a person reads it.
type section struct {
	name  string
	title string
	lead  []string // sentences before the table
	table *table.Table
	notes []string // sentences after it
}

// sections are the parts that there are, in their order. Those that say that
// there is nothing to say are left out, unless they were asked for by name.
func (v *view) sections() []section {
	var out []section
	add := func(have, something bool, make func() section) {
		if have && (something || v.Named) {
			out = append(out, make())
		}
	}
	add(v.Totals != nil, true, v.totalsSection)
	add(v.Problems != nil, true, v.problemsSection)
	add(v.Changes != nil || v.Named && v.NoPrevious, true, v.changesSection)
	add(v.Domains != nil || v.Groups != nil, true, v.groupsSection)
	add(v.Providers != nil, len(v.Providers) > 0 && v.By != store.ByRelay, v.providersSection)
	add(v.Reasons != nil, true, v.reasonsSection)
	add(v.Recipients != nil, len(v.Recipients) > 0, v.recipientsSection)
	add(v.Pending != nil, len(v.Pending) > 0, v.pendingSection)
	add(v.Senders != nil, v.Senders != nil && len(v.Senders.Senders)+len(v.Senders.SASLUsers)+len(v.Senders.Clients) > 0, v.sendersSection)
	add(v.Contradictions != nil, len(v.Contradictions) > 0, v.contradictionsSection)
	add(v.Timeline != nil, v.Named, v.timelineSection)
	add(v.Unparsed != nil, true, v.coverageSection)
	for i := range out {
		for j, line := range out[i].lead {
			out[i].lead[j] = table.Cut(line, longestLine)
		}
		for j, line := range out[i].notes {
			out[i].notes[j] = table.Cut(line, longestLine)
		}
	}
	return out
}

func (v *view) time(t time.Time) string { return t.In(v.Location).Format("2006-01-02 15:04") }

// header says what the report covers.
func (v *view) header() []string {
	var lines []string
	span := "no attempts"
	if v.Period.First != nil && v.Period.Last != nil {
		span = "attempts from " + v.time(*v.Period.First) + " to " + v.time(*v.Period.Last)
	}
	switch p := v.Period; {
	case p.Since != nil && p.Until != nil:
		lines = append(lines, fmt.Sprintf("Period %s to %s (%s)", v.time(*p.Since), v.time(*p.Until), v.Location), "There are "+span)
	case p.Since != nil:
		lines = append(lines, fmt.Sprintf("Since %s (%s): %s", v.time(*p.Since), v.Location, span))
	case p.Until != nil:
		lines = append(lines, fmt.Sprintf("Until %s (%s): %s", v.time(*p.Until), v.Location, span))
	default:
		lines = append(lines, fmt.Sprintf("The whole period there is (%s): %s", v.Location, span))
	}
	paths := make([]string, 0, 4)
	for i, s := range v.Sources {
		if i == 3 && len(v.Sources) > 4 {
			paths = append(paths, fmt.Sprintf("and %d more", len(v.Sources)-i))
			break
		}
		paths = append(paths, table.Cut(s.Path, longest))
	}
	if len(paths) > 0 {
		lines = append(lines, "Sources: "+strings.Join(paths, ", "))
	}
	return lines
}

// Headline is the report in a line, fit for a subject: no text of a log is in
// it.
func Headline(r *report.Report) string {
	line := (&view{Report: r}).periodWords()
	if t := r.Totals; t != nil {
		line += fmt.Sprintf(": %d hard, %d soft, %d delivered", t.Hard, t.Soft, t.Delivered)
	}
	n := int64(0)
	for i := range r.Problems {
		if r.Problems[i].Level != problem.Watch {
			n++
		}
	}
	if n > 0 {
		line += ", " + table.Count(n, "problem")
	}
	return line
}

// periodWords name the period, a whole day or days by their dates.
func (v *view) periodWords() string {
	since, until := v.Period.Since, v.Period.Until
	if since == nil || until == nil {
		since, until = v.Period.First, v.Period.Last
		if since == nil || until == nil {
			return "nothing logged"
		}
		return v.time(*since) + " to " + v.time(*until)
	}
	a, b := since.In(v.Location), until.In(v.Location)
	if a.Hour()+a.Minute()+a.Second()+b.Hour()+b.Minute()+b.Second() > 0 {
		return v.time(a) + " to " + v.time(b)
	}
	first, last := a.Format(time.DateOnly), b.AddDate(0, 0, -1).Format(time.DateOnly)
	if first == last {
		return first
	}
	return first + " to " + last
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func (v *view) totalsSection() section {
	t := v.Totals
	s := section{name: report.SectionTotals, title: "Totals", table: &table.Table{
		Columns: []table.Column{{Name: "count", Number: true}, {Name: "what"}, {Name: "meaning", Flex: true}},
	}}
	row := func(n int64, what, meaning string) { s.table.Rows = append(s.table.Rows, []any{n, what, meaning}) }
	row(t.Attempts, "attempts", "delivery attempts, of "+table.Count(t.Messages, "message"))
	row(t.Delivered, "delivered", percent(t.DeliveredRate)+" of the attempts")
	row(t.Soft, "soft", percent(t.SoftRate)+" of the attempts; the MTA tries again")
	row(t.Hard, "hard", percent(t.HardRate)+" of the attempts; returned to the sender")
	row(t.Recovered, "recovered", "recipients deferred at first, delivered later")
	row(t.Pending, "pending", "recipients deferred, still queued when last seen")
	row(t.Expired, "expired", "recipients given up when the queue lifetime ended (hard)")
	if n := t.NotificationSoft + t.NotificationHard; n > 0 {
		row(n, "null sender", fmt.Sprintf("our own notifications: %d soft, %d hard, counted above", t.NotificationSoft, t.NotificationHard))
	}
	if t.Soft5xx > 0 {
		row(t.Soft5xx, "soft 5xx", "refused for good, yet queued: often a 554 greeting")
	}
	if t.Handoff > 0 {
		row(t.Handoff, "hand-offs", "to a filter, alias or own instance; not counted above")
	}
	if t.Probe > 0 {
		row(t.Probe, "probes", "address verification; not counted above")
	}
	if p := t.Previous; p != nil {
		s.notes = append(s.notes, "Against the period before: "+strings.Join([]string{
			against("attempts", t.Attempts, p.Attempts), against("delivered", t.Delivered, p.Delivered),
			against("soft", t.Soft, p.Soft), against("hard", t.Hard, p.Hard),
		}, ", ")+".")
	}
	if t.Uncounted != 0 {
		s.notes = append(s.notes, fmt.Sprintf("Mail was logged while this was counted: domains and totals differ by %s.", table.Count(max(t.Uncounted, -t.Uncounted), "attempt")))
	}
	return s
}

// against says how a count compares with that of the period before.
func against(what string, now, then int64) string {
	switch {
	case then == 0:
		return fmt.Sprintf("%s %d (none before)", what, now)
	case now == then:
		return fmt.Sprintf("%s %d (as before)", what, now)
	}
	return fmt.Sprintf("%s %d (%+.0f %%, %d before)", what, now, 100*(float64(now)/float64(then)-1), then)
}

func (v *view) changesSection() section {
	s := section{name: report.SectionChanges, title: "New, worse, solved: against the period before"}
	switch {
	case v.Changes == nil:
		s.lead = []string{"There is nothing to compare with: give a period (-d yesterday) that has one before it in the database."}
		return s
	case len(v.Changes) == 0:
		s.lead = []string{"Nothing beyond chance."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{
		{Name: "change"},
		{Name: "of", Minor: true},
		{Name: "which", Flex: true},
		{Name: "failed", Number: true},
		{Name: "before", Number: true},
		{Name: "hard", Number: true, Minor: true},
		{Name: "main reason"},
	}}
	for _, c := range v.Changes {
		s.table.Rows = append(s.table.Rows, []any{c.Change, c.Kind, c.Key, c.Failed, c.Before, c.Hard, c.Reason.String()})
	}
	return s
}

func (v *view) problemsSection() section {
	s := section{name: report.SectionProblems, title: "Problems: probably not the recipients' fault"}
	if len(v.Problems) == 0 {
		s.lead = []string{"None found."}
		return s
	}
	shown := v.Problems[:min(len(v.Problems), problemsShown)]
	checked := map[string]bool{}
	for i, p := range shown {
		if i > 0 {
			s.lead = append(s.lead, "")
		}
		s.lead = append(s.lead, problemLines(&p, v.time, checked)...)
	}
	if more := len(v.Problems) - len(shown); more > 0 {
		s.lead = append(s.lead, "", fmt.Sprintf("and %d more, in --format json", more))
	}
	return s
}

const problemsShown = 20

func (v *view) groupsSection() section {
	groups := v.Domains
	title := "By recipient domain"
	column := "domain"
	if v.By != store.ByDomain {
		groups, title, column = v.Groups, "By "+strings.ReplaceAll(string(v.By), "-", " "), string(v.By)
	}
	s := section{name: report.SectionDomains, title: title}
	if len(groups) == 0 {
		s.lead = []string{"No delivery attempts."}
		return s
	}
	if failuresOnly(v.By) {
		s.lead = []string{"Failed attempts only: what was delivered is not known by this."}
		s.table = &table.Table{Columns: []table.Column{{Name: column, Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "main reason"}}}
	} else {
		s.table = countsTable(column, v.wide)
	}
	for _, g := range groups {
		s.table.Rows = append(s.table.Rows, v.groupRow(&g, len(s.table.Columns)))
	}
	if v.MoreGroups > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--all)", v.MoreGroups))
	}
	if v.By == store.ByRelay {
		s.notes = append(s.notes, providerNote)
	}
	return s
}

func failuresOnly(by store.By) bool {
	return by == store.BySender || by == store.BySASLUser || by == store.ByClient
}

// countsTable has the columns of whatever is counted in full. The first nine
// are those of every release.
func countsTable(column string, wide bool) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Name: column, Flex: true},
		{Name: "attempts", Number: true},
		{Name: "delivered", Number: true},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "recovered", Number: true, Minor: true},
		{Name: "pending", Number: true, Minor: true},
		{Name: "expired", Number: true, Minor: true},
		{Name: "main reason"},
	}}
	if wide {
		t.Columns = append(t.Columns, table.Column{Name: "messages", Number: true})
	}
	if column == string(store.ByRelay) {
		t.Columns = append(t.Columns, table.Column{Name: "refused", Number: true}, table.Column{Name: "blocks us"})
	}
	return t
}

func (v *view) groupRow(g *report.Group, columns int) []any {
	key := g.Key
	if key == "" {
		key = "(none)"
	}
	if failuresOnly(v.By) && columns == 4 {
		return []any{key, g.Soft, g.Hard, g.Reason.String()}
	}
	row := []any{key, g.Attempts, g.Delivered, g.Soft, g.Hard, g.Recovered, g.Pending, g.Expired, g.Reason.String()}
	if columns == 10 || columns == 12 {
		row = append(row, g.Messages)
	}
	if columns > 10 {
		blocks := ""
		if g.Blocks {
			blocks = percent(float64(g.Refused) / float64(g.Attempts))
		}
		row = append(row, g.Refused, blocks)
	}
	return row
}

const providerNote = "A provider is the registered domain of the relay. Refused: for a reason that lies with us or is not named (blocklist, reputation, authentication, policy, spam, unknown). Who refuses half of what we send and more stands first. --by relay-host shows single hosts."

func (v *view) providersSection() section {
	s := section{name: report.SectionProviders, title: "By provider"}
	if len(v.Providers) == 0 {
		s.lead = []string{"No delivery attempts."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{
		{Name: "provider", Flex: true},
		{Name: "attempts", Number: true},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "failed", Number: true},
		{Name: "refused", Number: true},
		{Name: "main reason"},
		{Name: "blocks us"},
	}}
	for _, g := range v.Providers {
		blocks := ""
		if g.Blocks {
			blocks = "yes"
		}
		s.table.Rows = append(s.table.Rows, []any{g.Key, g.Attempts, g.Soft, g.Hard, percent(float64(g.Soft+g.Hard) / float64(max(g.Attempts, 1))), g.Refused, g.Reason.String(), blocks})
	}
	if v.MoreProviders > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--by relay --all)", v.MoreProviders))
	}
	if v.wide || v.Named {
		s.notes = append(s.notes, providerNote)
	}
	return s
}

func (v *view) reasonsSection() section {
	s := section{name: report.SectionReasons, title: "Reasons, and what to do"}
	if len(v.Reasons) == 0 {
		s.lead = []string{"No failures."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{
		{Name: "reason"},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "who acts"},
		{Name: "what to do", Flex: true},
	}}
	for _, x := range v.Reasons {
		s.table.Rows = append(s.table.Rows, []any{x.Reason.String(), x.Soft, x.Hard, x.Scope.String(), strings.Join(x.Do[:min(1, len(x.Do))], "")})
	}
	return s
}

func (v *view) recipientsSection() section {
	s := section{name: report.SectionRecipients, title: "Recipients to act on: the address itself is at fault"}
	if len(v.Recipients) == 0 {
		s.lead = []string{"None."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{{Name: "recipient", Flex: true}, {Name: "hard", Number: true}, {Name: "reason"}, {Name: "since", Minor: true}, {Name: "last delivered", Minor: true}}}
	for _, x := range v.Recipients {
		delivered := "never"
		if x.LastDelivered != nil {
			delivered = v.time(*x.LastDelivered)
		}
		s.table.Rows = append(s.table.Rows, []any{x.Recipient, x.Hard, x.Reason.String(), v.time(x.Since), delivered})
	}
	if v.MoreRecipients {
		s.notes = append(s.notes, "and more ('bouncelog suppress' lists all of them)")
	}
	return s
}

func (v *view) pendingSection() section {
	s := section{name: report.SectionPending, title: "Still queued, the longest first, and what it waits for"}
	if len(v.Pending) == 0 {
		s.lead = []string{"Nothing is known to be queued."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{
		{Name: "waiting"}, {Name: "recipient", Flex: true}, {Name: "queue id", Minor: true}, {Name: "last try", Minor: true}, {Name: "reason"}, {Name: "last reply", Flex: true},
	}}
	for i := range v.Pending {
		p := &v.Pending[i]
		text := p.Response
		if p.Code >= 500 {
			text = "(5xx, yet queued) " + text
		}
		s.table.Rows = append(s.table.Rows, []any{when.Span(v.AsOf.Sub(p.Since())), p.Recipient, p.QueueID, v.time(p.LastTry), p.Reason.String(), table.Cut(text, longest)})
	}
	s.notes = []string{"As of " + v.time(v.AsOf) + ", the end of the logs. What left the queue by hand (postsuper -d, exim -Mrm) is not logged as ended and may stand here still."}
	return s
}

// longest is to how many characters a text is cut that a stranger chose and
// that is shown beside others; JSON has it whole.
const longest = 300

// longestLine is that of a sentence, whatever is quoted in it.
const longestLine = 1000

func (v *view) sendersSection() section {
	s := section{name: report.SectionSenders, title: "Whose mail failed: senders, logins, clients"}
	s.table = &table.Table{Columns: []table.Column{
		{Name: "by"}, {Name: "who", Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "of all hard", Number: true}, {Name: "main reason"},
	}}
	if v.Senders.Since != nil {
		s.lead = append(s.lead, "Since "+v.time(*v.Senders.Since)+" only; --section senders counts the whole period.")
	}
	for _, part := range []struct {
		by   string
		rows []report.SenderCount
	}{{"sender", v.Senders.Senders}, {"login", v.Senders.SASLUsers}, {"client", v.Senders.Clients}} {
		rows := part.rows
		if !v.wide && !v.Named {
			rows = rows[:min(len(rows), sendersShown)]
		}
		for i := range rows {
			x := &rows[i]
			s.table.Rows = append(s.table.Rows, []any{part.by, x.Key, x.Soft, x.Hard, percent(x.Share), x.Reason.String()})
			if x.StandsOut() && len(part.rows) > 1 {
				s.lead = append(s.lead, fmt.Sprintf("The %s %s has %s of all that was returned (%d): a stolen password, a broken form, a bad list?", part.by, table.Cut(x.Key, 80), percent(x.Share), x.Hard))
			}
		}
	}
	if len(s.table.Rows) == 0 {
		s.table = nil
		s.lead = []string{"No failures of a known sender."}
	}
	return s
}

const sendersShown = 3 // of each kind, unless the section is asked for

func (v *view) contradictionsSection() section {
	s := section{name: report.SectionContradictions, title: "Replies that contradict themselves or the queue"}
	if len(v.Contradictions) == 0 {
		s.lead = []string{"None."}
		return s
	}
	s.table = &table.Table{Columns: []table.Column{{Name: "attempts", Number: true}, {Name: "what"}, {Name: "reply", Flex: true}}}
	for _, c := range v.Contradictions {
		for _, x := range c.Replies {
			s.table.Rows = append(s.table.Rows, []any{x.Attempts, c.Kind, table.Cut(x.Text, longest)})
		}
		s.notes = append(s.notes, fmt.Sprintf("%s (%s): %s", c.Kind, table.Count(c.Attempts, "attempt"), c.Meaning))
	}
	return s
}

func (v *view) timelineSection() section {
	s := section{name: report.SectionTimeline, title: "Over time"}
	s.table = &table.Table{Columns: []table.Column{{Name: "time"}, {Name: "delivered", Number: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}}}
	for _, p := range v.Timeline {
		s.table.Rows = append(s.table.Rows, []any{v.pointTime(p), p.Delivered, p.Soft, p.Hard})
	}
	return s
}

func (v *view) pointTime(p report.Point) string {
	if v.ByDay {
		return p.Time.Format(time.DateOnly) // days are those of UTC
	}
	return v.time(p.Time)
}

func (v *view) coverageSection() section {
	c := v.Unparsed
	s := section{name: report.SectionUnparsed, title: "What was read, and what was not understood"}
	files := fmt.Sprintf("%s (whole, whatever the period): %s", table.Count(int64(c.Files), "log"), table.Count(c.Lines, "line"))
	if c.First != nil && c.Last != nil {
		files += " from " + v.time(*c.First) + " to " + v.time(*c.Last)
	}
	if c.Rotations > 0 {
		files += ", " + table.Count(int64(c.Rotations), "rotation") + " seen"
	}
	s.lead = append(s.lead, files+".")
	s.lead = append(s.lead, fmt.Sprintf("Of these %d with delivery attempts, %d about queued messages, %d about mail that we refused (inbound: no bounces of ours), %d not about deliveries, %d blank, %d that looked like a delivery and were not understood.",
		c.Delivery, c.Queue, c.Rejected, c.Skipped, c.Blank, c.Unparsed))
	if c.Repeated > 0 {
		s.lead = append(s.lead, fmt.Sprintf("%d attempts stood in lines like \"message repeated 2 times\".", c.Repeated))
	}
	for _, g := range c.Gaps {
		where := ""
		if len(g.Rotation) == 2 {
			where = fmt.Sprintf(", between %s and %s", g.Rotation[0], g.Rotation[1])
		}
		s.lead = append(s.lead, fmt.Sprintf("Silent from %s to %s%s: about %s would have been usual. Is a log missing?", v.time(g.From), v.time(g.To), where, table.Count(g.Expected, "attempt")))
	}
	if v.wide && len(c.Programs) > 0 {
		var parts []string
		for _, p := range c.Programs[:min(len(c.Programs), programsShown)] {
			name := p.Program
			if name == "" {
				name = "(no program)"
			}
			parts = append(parts, fmt.Sprintf("%s %d", name, p.Lines))
		}
		s.lead = append(s.lead, "Not about deliveries: "+strings.Join(parts, ", ")+".")
	}
	if len(c.Sample) > 0 {
		s.table = &table.Table{Columns: []table.Column{{Name: "source", Flex: true}, {Name: "offset", Number: true}, {Name: "not understood", Flex: true}}}
		for _, u := range c.Sample {
			s.table.Rows = append(s.table.Rows, []any{u.Source, u.Offset, table.Cut(u.Text, longest)})
		}
	}
	for _, u := range c.Reasons {
		s.notes = append(s.notes, fmt.Sprintf("No rule knows this reply (%s): %s", table.Count(u.Attempts, "time"), table.Cut(u.Text, 200)))
	}
	return s
}

const programsShown = 12

func (v *view) writeText(w io.Writer, o Options) error {
	bold := func(s string) string { return s }
	if o.Colour {
		bold = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, bold("bouncelog report"))
	for _, line := range v.header() {
		fold(&b, table.Clean(line), o.Width)
	}
	for _, s := range v.sections() {
		fmt.Fprintf(&b, "\n%s\n", bold(s.title))
		for _, line := range s.lead {
			fold(&b, table.Clean(line), o.Width)
		}
		if s.table != nil {
			if err := s.table.WriteText(&b, o.Width, true); err != nil {
				return err
			}
		}
		for _, line := range s.notes {
			fold(&b, table.Clean(line), o.Width)
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

func (v *view) writeMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# bouncelog report\n\n")
	for _, line := range v.header() {
		fmt.Fprintf(&b, "%s  \n", table.Markdown(line))
	}
	for _, s := range v.sections() {
		fmt.Fprintf(&b, "\n## %s\n\n", table.Markdown(s.title))
		for _, line := range s.lead {
			if line != "" {
				fmt.Fprintf(&b, "%s\n\n", table.Markdown(line))
			}
		}
		if s.table != nil {
			if err := s.table.WriteMarkdown(&b); err != nil {
				return err
			}
			b.WriteByte('\n')
		}
		for _, line := range s.notes {
			fmt.Fprintf(&b, "%s\n\n", table.Markdown(line))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeNDJSON writes an object a row, each with the name of its section.
func writeNDJSON(w io.Writer, r *report.Report) error {
	var b bytes.Buffer
	row := func(section string, v any) error {
		raw, err := table.MarshalJSON(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, `{"section":%q,%s`+"\n", section, raw[1:])
		return nil
	}
	var errs []error
	if r.Totals != nil {
		errs = append(errs, row(report.SectionTotals, r.Totals))
	}
	for _, x := range r.Problems {
		errs = append(errs, row(report.SectionProblems, x))
	}
	for _, x := range r.Changes {
		errs = append(errs, row(report.SectionChanges, x))
	}
	for _, x := range r.Domains {
		errs = append(errs, row(report.SectionDomains, x))
	}
	for _, x := range r.Groups {
		errs = append(errs, row(string(r.By), x))
	}
	for _, x := range r.Providers {
		errs = append(errs, row(report.SectionProviders, x))
	}
	for _, x := range r.Reasons {
		errs = append(errs, row(report.SectionReasons, x))
	}
	for _, x := range r.Recipients {
		errs = append(errs, row(report.SectionRecipients, x))
	}
	for _, x := range r.Pending {
		errs = append(errs, row(report.SectionPending, x))
	}
	if r.Senders != nil {
		errs = append(errs, row(report.SectionSenders, r.Senders))
	}
	for _, x := range r.Contradictions {
		errs = append(errs, row(report.SectionContradictions, x))
	}
	for _, x := range r.Timeline {
		errs = append(errs, row(report.SectionTimeline, x))
	}
	if r.Unparsed != nil {
		errs = append(errs, row(report.SectionUnparsed, r.Unparsed))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (v *view) writeSeparated(w io.Writer, f table.Format) error {
	sections := v.sections()
	var one *section
	for i := range sections {
		if len(sections) == 1 || sections[i].name == report.SectionDomains {
			one = &sections[i]
		}
	}
	if one == nil {
		return fmt.Errorf("%w: %s has room for one section, and %d were asked for", ErrFormat, f, len(sections))
	}
	t := one.table
	if t == nil {
		t = &table.Table{Columns: []table.Column{{Name: one.name}}}
		if one.name == report.SectionDomains {
			t = countsTable(string(v.By), true)
		}
	}
	rw := table.NewRowWriter(w, f, t.Columns)
	for _, row := range t.Rows {
		if err := rw.Row(row); err != nil {
			return err
		}
	}
	return rw.Close()
}
