package report

import (
	"bytes"
	"errors"
	"fmt"
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

// sections are the parts that there are, in their order. Those that say that
// there is nothing to say are left out, unless they were asked for by name.
func (r *Report) sections(wide bool) []section {
	var out []section
	add := func(have, something bool, make func() section) {
		if have && (something || r.asked) {
			out = append(out, make())
		}
	}
	add(r.Totals != nil, true, r.totalsSection)
	add(r.Problems != nil, true, r.problemsSection)
	add(r.Changes != nil || r.asked && r.changesWanted, true, r.changesSection)
	add(r.Domains != nil || r.Groups != nil, true, func() section { return r.groupsSection(wide) })
	add(r.Providers != nil, len(r.Providers) > 0 && r.By != store.ByRelay, func() section { return r.providersSection(wide) })
	add(r.Reasons != nil, true, r.reasonsSection)
	add(r.Recipients != nil, len(r.Recipients) > 0, r.recipientsSection)
	add(r.Pending != nil, len(r.Pending) > 0, r.pendingSection)
	add(r.Senders != nil, r.Senders != nil && len(r.Senders.Senders)+len(r.Senders.SASLUsers)+len(r.Senders.Clients) > 0, func() section { return r.sendersSection(wide) })
	add(r.Contradictions != nil, len(r.Contradictions) > 0, r.contradictionsSection)
	add(r.Timeline != nil, r.asked, r.timelineSection)
	add(r.Unparsed != nil, true, func() section { return r.coverageSection(wide) })
	for i := range out {
		for j, line := range out[i].lead {
			out[i].lead[j] = Cut(line, longestLine)
		}
		for j, line := range out[i].notes {
			out[i].notes[j] = Cut(line, longestLine)
		}
	}
	return out
}

func (r *Report) time(t time.Time) string { return t.In(r.loc).Format("2006-01-02 15:04") }

// header says what the report covers.
func (r *Report) header() []string {
	var lines []string
	span := "no attempts"
	if r.Period.First != nil && r.Period.Last != nil {
		span = "attempts from " + r.time(*r.Period.First) + " to " + r.time(*r.Period.Last)
	}
	switch p := r.Period; {
	case p.Since != nil && p.Until != nil:
		lines = append(lines, fmt.Sprintf("Period %s to %s (%s)", r.time(*p.Since), r.time(*p.Until), r.loc), "There are "+span)
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
		paths = append(paths, Cut(s.Path, longest))
	}
	if len(paths) > 0 {
		lines = append(lines, "Sources: "+strings.Join(paths, ", "))
	}
	return lines
}

// Headline is the report in a line, fit for a subject: no text of a log is in
// it.
func (r *Report) Headline() string {
	line := r.periodWords()
	if t := r.Totals; t != nil {
		line += fmt.Sprintf(": %d hard, %d soft, %d delivered", t.Hard, t.Soft, t.Delivered)
	}
	n := int64(0)
	for i := range r.Problems {
		if r.Problems[i].Level != Watch {
			n++
		}
	}
	if n > 0 {
		line += ", " + number(n, "problem")
	}
	return line
}

// periodWords name the period, a whole day or days by their dates.
func (r *Report) periodWords() string {
	since, until := r.Period.Since, r.Period.Until
	if since == nil || until == nil {
		since, until = r.Period.First, r.Period.Last
		if since == nil || until == nil {
			return "nothing logged"
		}
		return r.time(*since) + " to " + r.time(*until)
	}
	a, b := since.In(r.loc), until.In(r.loc)
	if a.Hour()+a.Minute()+a.Second()+b.Hour()+b.Minute()+b.Second() > 0 {
		return r.time(a) + " to " + r.time(b)
	}
	first, last := a.Format(time.DateOnly), b.AddDate(0, 0, -1).Format(time.DateOnly)
	if first == last {
		return first
	}
	return first + " to " + last
}

// number is a count with its noun.
func number(n int64, noun string) string {
	if n != 1 && strings.HasSuffix(noun, "ss") {
		noun += "e"
	}
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
		s.notes = append(s.notes, fmt.Sprintf("Mail was logged while this was counted: domains and totals differ by %s.", number(max(t.Uncounted, -t.Uncounted), "attempt")))
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

func (r *Report) changesSection() section {
	s := section{name: SectionChanges, title: "New, worse, solved: against the period before"}
	switch {
	case r.Changes == nil:
		s.lead = []string{"There is nothing to compare with: give a period (-d yesterday) that has one before it in the database."}
		return s
	case len(r.Changes) == 0:
		s.lead = []string{"Nothing beyond chance."}
		return s
	}
	s.table = &Table{Columns: []Column{
		{Name: "change"},
		{Name: "of", Minor: true},
		{Name: "which", Flex: true},
		{Name: "failed", Number: true},
		{Name: "before", Number: true},
		{Name: "hard", Number: true, Minor: true},
		{Name: "main reason"},
	}}
	for _, c := range r.Changes {
		s.table.Rows = append(s.table.Rows, []any{c.Change, c.Kind, c.Key, c.Failed, c.Before, c.Hard, c.Reason.String()})
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
	if failuresOnly(r.By) {
		s.lead = []string{"Failed attempts only: what was delivered is not known by this."}
		s.table = &Table{Columns: []Column{{Name: column, Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "main reason"}}}
	} else {
		s.table = countsTable(column, wide)
	}
	for _, g := range groups {
		s.table.Rows = append(s.table.Rows, r.groupRow(&g, len(s.table.Columns)))
	}
	if r.moreGroups > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--all)", r.moreGroups))
	}
	if r.By == store.ByRelay {
		s.notes = append(s.notes, providerNote)
	}
	return s
}

func failuresOnly(by store.By) bool {
	return by == store.BySender || by == store.BySASLUser || by == store.ByClient
}

// countsTable has the columns of whatever is counted in full. The first nine
// are those of every release.
func countsTable(column string, wide bool) *Table {
	t := &Table{Columns: []Column{
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
		t.Columns = append(t.Columns, Column{Name: "messages", Number: true})
	}
	if column == string(store.ByRelay) {
		t.Columns = append(t.Columns, Column{Name: "refused", Number: true}, Column{Name: "blocks us"})
	}
	return t
}

func (r *Report) groupRow(g *Group, columns int) []any {
	key := g.Key
	if key == "" {
		key = "(none)"
	}
	if failuresOnly(r.By) && columns == 4 {
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

func (r *Report) providersSection(wide bool) section {
	s := section{name: SectionProviders, title: "By provider"}
	if len(r.Providers) == 0 {
		s.lead = []string{"No delivery attempts."}
		return s
	}
	s.table = &Table{Columns: []Column{
		{Name: "provider", Flex: true},
		{Name: "attempts", Number: true},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "failed", Number: true},
		{Name: "refused", Number: true},
		{Name: "main reason"},
		{Name: "blocks us"},
	}}
	for _, g := range r.Providers {
		blocks := ""
		if g.Blocks {
			blocks = "yes"
		}
		s.table.Rows = append(s.table.Rows, []any{g.Key, g.Attempts, g.Soft, g.Hard, percent(float64(g.Soft+g.Hard) / float64(max(g.Attempts, 1))), g.Refused, g.Reason.String(), blocks})
	}
	if r.moreProviders > 0 {
		s.notes = append(s.notes, fmt.Sprintf("and %d more (--by relay --all)", r.moreProviders))
	}
	if wide || r.asked {
		s.notes = append(s.notes, providerNote)
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
	s.table = &Table{Columns: []Column{{Name: "recipient", Flex: true}, {Name: "hard", Number: true}, {Name: "reason"}, {Name: "since", Minor: true}, {Name: "last delivered", Minor: true}}}
	for _, x := range r.Recipients {
		delivered := "never"
		if x.LastDelivered != nil {
			delivered = r.time(*x.LastDelivered)
		}
		s.table.Rows = append(s.table.Rows, []any{x.Recipient, x.Hard, x.Reason.String(), r.time(x.Since), delivered})
	}
	if r.moreRecipients {
		s.notes = append(s.notes, "and more ('bouncelog suppress' lists all of them)")
	}
	return s
}

func (r *Report) pendingSection() section {
	s := section{name: SectionPending, title: "Still queued, the longest first, and what it waits for"}
	if len(r.Pending) == 0 {
		s.lead = []string{"Nothing is known to be queued."}
		return s
	}
	s.table = &Table{Columns: []Column{
		{Name: "waiting"}, {Name: "recipient", Flex: true}, {Name: "queue id", Minor: true}, {Name: "last try", Minor: true}, {Name: "reason"}, {Name: "last reply", Flex: true},
	}}
	for i := range r.Pending {
		p := &r.Pending[i]
		text := p.Response
		if p.Code >= 500 {
			text = "(5xx, yet queued) " + text
		}
		s.table.Rows = append(s.table.Rows, []any{Span(r.asOf.Sub(p.since())), p.Recipient, p.QueueID, r.time(p.LastTry), p.Reason.String(), Cut(text, longest)})
	}
	s.notes = []string{"As of " + r.time(r.asOf) + ", the end of the logs. What left the queue by hand (postsuper -d, exim -Mrm) is not logged as ended and may stand here still."}
	return s
}

// Span is a length of time in words, in the one or two units that say most.
func Span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d/time.Minute%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// longest is to how many characters a text is cut that a stranger chose and
// that is shown beside others; JSON has it whole.
const longest = 300

// longestLine is that of a sentence, whatever is quoted in it.
const longestLine = 1000

func (r *Report) sendersSection(wide bool) section {
	s := section{name: SectionSenders, title: "Whose mail failed: senders, logins, clients"}
	s.table = &Table{Columns: []Column{
		{Name: "by"}, {Name: "who", Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "of all hard", Number: true}, {Name: "main reason"},
	}}
	if r.Senders.Since != nil {
		s.lead = append(s.lead, "Since "+r.time(*r.Senders.Since)+" only; --section senders counts the whole period.")
	}
	for _, part := range []struct {
		by   string
		rows []SenderCount
	}{{"sender", r.Senders.Senders}, {"login", r.Senders.SASLUsers}, {"client", r.Senders.Clients}} {
		rows := part.rows
		if !wide && !r.asked {
			rows = rows[:min(len(rows), sendersShown)]
		}
		for i := range rows {
			x := &rows[i]
			s.table.Rows = append(s.table.Rows, []any{part.by, x.Key, x.Soft, x.Hard, percent(x.Share), x.Reason.String()})
			if x.standsOut() && len(part.rows) > 1 {
				s.lead = append(s.lead, fmt.Sprintf("The %s %s has %s of all that was returned (%d): a stolen password, a broken form, a bad list?", part.by, Cut(x.Key, 80), percent(x.Share), x.Hard))
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

func (r *Report) contradictionsSection() section {
	s := section{name: SectionContradictions, title: "Replies that contradict themselves or the queue"}
	if len(r.Contradictions) == 0 {
		s.lead = []string{"None."}
		return s
	}
	s.table = &Table{Columns: []Column{{Name: "attempts", Number: true}, {Name: "what"}, {Name: "reply", Flex: true}}}
	for _, c := range r.Contradictions {
		for _, x := range c.Replies {
			s.table.Rows = append(s.table.Rows, []any{x.Attempts, c.Kind, Cut(x.Text, longest)})
		}
		s.notes = append(s.notes, fmt.Sprintf("%s (%s): %s", c.Kind, number(c.Attempts, "attempt"), c.Meaning))
	}
	return s
}

func (r *Report) timelineSection() section {
	s := section{name: SectionTimeline, title: "Over time"}
	s.table = &Table{Columns: []Column{{Name: "time"}, {Name: "delivered", Number: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}}}
	for _, p := range r.Timeline {
		s.table.Rows = append(s.table.Rows, []any{r.pointTime(p), p.Delivered, p.Soft, p.Hard})
	}
	return s
}

func (r *Report) pointTime(p Point) string {
	if r.byDay {
		return p.Time.Format(time.DateOnly) // days are those of UTC
	}
	return r.time(p.Time)
}

func (r *Report) coverageSection(wide bool) section {
	c := r.Unparsed
	s := section{name: SectionUnparsed, title: "What was read, and what was not understood"}
	files := fmt.Sprintf("%s (whole, whatever the period): %s", number(int64(c.Files), "log"), number(c.Lines, "line"))
	if c.First != nil && c.Last != nil {
		files += " from " + r.time(*c.First) + " to " + r.time(*c.Last)
	}
	if c.Rotations > 0 {
		files += ", " + number(int64(c.Rotations), "rotation") + " seen"
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
		s.lead = append(s.lead, fmt.Sprintf("Silent from %s to %s%s: about %s would have been usual. Is a log missing?", r.time(g.From), r.time(g.To), where, number(g.Expected, "attempt")))
	}
	if wide && len(c.Programs) > 0 {
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
		s.table = &Table{Columns: []Column{{Name: "source", Flex: true}, {Name: "offset", Number: true}, {Name: "not understood", Flex: true}}}
		for _, u := range c.Sample {
			s.table.Rows = append(s.table.Rows, []any{u.Source, u.Offset, Cut(u.Text, longest)})
		}
	}
	for _, u := range c.Reasons {
		s.notes = append(s.notes, fmt.Sprintf("No rule knows this reply (%s): %s", number(u.Attempts, "time"), Cut(u.Text, 200)))
	}
	return s
}

const programsShown = 12

func (r *Report) writeText(w io.Writer, o WriteOptions) error {
	bold := func(s string) string { return s }
	if o.Colour {
		bold = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, bold("bouncelog report"))
	for _, line := range r.header() {
		fold(&b, Clean(line), o.Width)
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
	for _, x := range r.Changes {
		errs = append(errs, row(SectionChanges, x))
	}
	for _, x := range r.Domains {
		errs = append(errs, row(SectionDomains, x))
	}
	for _, x := range r.Groups {
		errs = append(errs, row(string(r.By), x))
	}
	for _, x := range r.Providers {
		errs = append(errs, row(SectionProviders, x))
	}
	for _, x := range r.Reasons {
		errs = append(errs, row(SectionReasons, x))
	}
	for _, x := range r.Recipients {
		errs = append(errs, row(SectionRecipients, x))
	}
	for _, x := range r.Pending {
		errs = append(errs, row(SectionPending, x))
	}
	if r.Senders != nil {
		errs = append(errs, row(SectionSenders, r.Senders))
	}
	for _, x := range r.Contradictions {
		errs = append(errs, row(SectionContradictions, x))
	}
	for _, x := range r.Timeline {
		errs = append(errs, row(SectionTimeline, x))
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
		table = &Table{Columns: []Column{{Name: one.name}}}
		if one.name == SectionDomains {
			table = countsTable(string(r.By), true)
		}
	}
	rw := NewRowWriter(w, f, table.Columns)
	for _, row := range table.Rows {
		if err := rw.Row(row); err != nil {
			return err
		}
	}
	return rw.Close()
}
