package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// Parts returns the sections of the report, in order. It omits an empty section, unless
// Options.Sections names it. Wide sections have all columns and whole sentences.
func (r *Report) Parts(wide bool) []Section {
	var out []Section
	add := func(have, something bool, make func(wide bool) Section) {
		if have && (something || r.Named) {
			out = append(out, make(wide))
		}
	}
	add(r.Verdict != nil, true, r.verdictSection)
	add(r.Problems != nil && r.wants(SectionProblems), len(r.others()) > 0, r.problemsSection)
	add(r.Totals != nil && r.wants(SectionTotals), true, r.totalsSection)
	add(r.Providers != nil, len(r.Providers) > 0 && !IsProvider(r.By), r.providersSection)
	add(r.Changes != nil || r.Named && r.NoPrevious, true, r.changesSection)
	add(r.Domains != nil || r.Groups != nil, true, r.groupsSection)
	add(r.Reasons != nil, true, r.reasonsSection)
	add(r.Recipients != nil, len(r.Recipients) > 0, r.recipientsSection)
	add(r.Pending != nil, len(r.Pending) > 0, r.pendingSection)
	add(r.Senders != nil, r.Senders != nil && len(r.Senders.Senders)+len(r.Senders.SASLUsers)+len(r.Senders.Clients) > 0, r.sendersSection)
	add(r.Contradictions != nil, len(r.Contradictions) > 0, r.contradictionsSection)
	add(r.Timeline != nil, r.Named, r.timelineSection)
	add(r.Unparsed != nil, true, r.coverageSection)
	return out
}

// wants reports whether a section was asked for.
func (r *Report) wants(section string) bool {
	return len(r.asked) == 0 || slices.Contains(r.asked, section)
}

func (r *Report) minute(t time.Time) table.Minute { return table.Minute{Time: t.In(r.Location)} }

// Zone names the time zone of the report.
func (r *Report) Zone() string {
	if r.Location != time.Local {
		return r.Location.String()
	}
	at := r.AsOf
	if at.IsZero() {
		at = time.Now()
	}
	name, _ := at.In(r.Location).Zone()
	return name
}

// Interval formats two points in time, the second with its date only if that differs.
func (r *Report) Interval(a, b time.Time) string {
	from, to := r.minute(a), r.minute(b)
	if from.String() == to.String() {
		return from.String()
	}
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return from.String() + "–" + to.Format("15:04")
	}
	return from.String() + " – " + to.String()
}

// PeriodWords describes the requested period, whole days by their dates.
func (r *Report) PeriodWords() string {
	p := r.Period
	switch {
	case p.Since == nil && p.Until == nil:
		return "all data"
	case p.Until == nil:
		return "since " + r.minute(*p.Since).String()
	case p.Since == nil:
		return "until " + r.minute(*p.Until).String()
	}
	a, b := p.Since.In(r.Location), p.Until.In(r.Location)
	midnight := func(t time.Time) bool { return t.Hour()+t.Minute()+t.Second() == 0 }
	if !midnight(a) || !midnight(b) {
		return r.Interval(a, b)
	}
	first, last := a.Format(time.DateOnly), b.AddDate(0, 0, -1).Format(time.DateOnly)
	if first == last {
		return first
	}
	return first + " to " + last
}

// Header returns the subject of the report, and the age of its logs.
func (r *Report) Header() []Fact {
	const noAttempts = "no attempts"
	span := noAttempts
	if r.Period.First != nil && r.Period.Last != nil {
		span = r.Interval(*r.Period.First, *r.Period.Last)
		if r.Period.Since != nil || r.Period.Until != nil {
			span = "attempts " + span
		}
		if s, u := r.Period.Since, r.Period.Until; s != nil && u != nil && r.Period.First.Sub(*s) < time.Hour && u.Sub(*r.Period.Last) < time.Hour {
			span = "" // of the whole period
		}
	}
	switch {
	case r.Timeless && r.Period.Last != nil:
		span = "attempts until " + r.minute(*r.Period.Last).String() + ", some without a time"
	case r.Timeless:
		span = "attempts without a time"
	}
	words := strings.TrimSuffix(r.PeriodWords()+", "+span, ", ") + " " + r.Zone()
	switch {
	case span != noAttempts:
	case r.Period.Since == nil && r.Period.Until == nil:
		words = r.PeriodWords() + ", " + noAttempts
	default:
		words = r.PeriodWords() + " " + r.Zone() + ", " + noAttempts
	}
	facts := []Fact{{Label: "Period", Value: words}}
	if r.Filter != nil {
		facts = append(facts, Fact{Label: "Only", Value: table.Cut(r.Filter.String(), longest)})
	}
	if r.Filter.partly() && (r.Verdict != nil || r.Problems != nil || r.Providers != nil) {
		facts = append(facts, Fact{Label: "Verdicts", Value: "of all outcomes and reasons"})
	}
	if age := r.Age(); age != "" {
		facts = append(facts, Fact{Label: "Last line", Value: age})
	}
	paths := make([]string, 0, 4)
	for i, s := range r.Sources {
		if i == 3 && len(r.Sources) > 4 {
			paths = append(paths, fmt.Sprintf("and %d more", len(r.Sources)-i))
			break
		}
		paths = append(paths, table.Cut(s.Path, longest))
	}
	if len(paths) > 0 {
		facts = append(facts, Fact{Label: "Logs", Value: strings.Join(paths, ", ")})
	}
	return facts
}

// Age returns the time of the newest line and, for logs that are still written, its age; "" if it
// is not known.
func (r *Report) Age() string {
	v := r.Verdict
	if v == nil || v.Newest == nil {
		return ""
	}
	words := r.minute(*v.Newest).String()
	if r.Live {
		words += ", " + AgeWords(*v.Newest, r.Now)
	}
	return words
}

// longest is the number of characters at which a remote text in a table is cut; JSON has the whole
// text.
const longest = 1000

func (r *Report) verdictSection(wide bool) Section {
	v := r.Verdict
	s := Section{Name: SectionVerdict, Title: "Verdict", Cards: v.Act}
	if v.More > 0 {
		s.say("", "Further incidents going on, see below: %d.", v.More)
	}
	if v.Ahead > 0 {
		s.say("", "The newest line lies %s in the future: a clock or the time zone (--tz) is wrong. Whether the log is silent is not known.", when.Span(time.Duration(v.Ahead)*time.Second))
	}
	if n := v.Silence; n != nil {
		words := "Silent:"
		if n.Expected > 0 {
			words += fmt.Sprintf(" about %s%s would be usual in that time.", table.Count(n.Expected, "attempt"), r.SelectedWords())
		}
		s.say(n.Command, "%s Is the log still written, and still read? Compare its size with the position that was read:", words)
	}
	for i, g := range v.Gaps {
		if i == gapsTold {
			s.say("", "Further gaps, see the log coverage: %d.", len(v.Gaps)-i)
			break
		}
		s.say("", "No log: %s, about %s%s would be usual.", r.Interval(g.From, g.To), table.Count(g.Expected, "attempt"), r.SelectedWords())
	}
	for _, g := range v.HostGaps {
		s.say("", "No log of %s: %s, about %s would be usual; others log meanwhile.", table.Cut(g.Host, 64), r.Interval(g.From, g.To), table.Count(g.Expected, "attempt"))
	}
	for i, h := range v.SilentHosts {
		if i == hostsShown {
			s.say("", "Further silent hosts: %d.", len(v.SilentHosts)-i)
			break
		}
		usual := ""
		if h.Expected > 0 {
			usual = fmt.Sprintf(" Usual in that time: about %s.", table.Count(h.Expected, "attempt"))
		}
		s.say("", "Host %s: nothing since %s (%s).%s Is bouncelog running there?", table.Cut(h.Name, 64), r.minute(*h.Newest), h.Quiet(), usual)
	}
	s.Over = v.Ended[:min(len(v.Ended), EndedShown)]
	if more := len(v.Ended) - len(s.Over); more > 0 {
		s.say("", "Further ended incidents, see below: %d.", more)
	}
	for i := range v.Later[:min(len(v.Later), EndedShown)] {
		in := &v.Later[i]
		words := r.laterWords(in)
		s.say(in.Command, "%s: %s (since %s). Check first: %s Run:", strings.ToUpper(words[:1])+words[1:], table.Cut(in.Title, longest), r.Clock(in.Since), table.Cut(in.Check, longest))
	}
	if b := v.Background; b != nil {
		s.say(b.Command, "Background: %s refused at %s, %s of all mail%s. Run:", table.Count(int64(b.Messages), "message"), table.Count(int64(b.Providers), "provider"), b.Share, r.WholeWords())
	}
	return s
}

// SelectedWords says that a number of attempts is of those that the filter selects; "" without a filter.
func (r *Report) SelectedWords() string {
	if r.Filter.Selects() {
		return " of this selection"
	}
	return ""
}

// WholeWords says that a share of all mail is not that of the mail that the filter selects; "" without
// a filter.
func (r *Report) WholeWords() string {
	if r.Filter.Selects() {
		return " (without the filter)"
	}
	return ""
}

const (
	EndedShown = 3 // ended incidents in the verdict
	hostsShown = 5
	gapsTold   = 3
)

// others returns the problems without a card in the verdict.
func (r *Report) others() (list []int) {
	shown := map[int]bool{}
	if r.Verdict != nil {
		for _, in := range slices.Concat(r.Verdict.Act, r.Verdict.Ended[:min(len(r.Verdict.Ended), EndedShown)]) {
			if in.Problem != nil {
				shown[*in.Problem] = true
			}
		}
	}
	for i := range r.Problems {
		if !shown[i] {
			list = append(list, i)
		}
	}
	return list
}

const problemsShown = 20

func (r *Report) problemsSection(wide bool) Section {
	s := Section{Name: SectionProblems, Title: "Problems", Empty: "None found."}
	state := func(in *Incident) string {
		switch {
		case in.Level == problem.Watch:
			return problem.Watch
		case in.noise:
			return "background"
		case in.Going():
			return "going on"
		}
		return "ended"
	}
	s.Data = &table.Table{Columns: []table.Column{
		{Name: "level"},
		{Name: "state"},
		{Name: "problem", Flex: true},
		{Name: "since"},
		{Name: "until"},
		{Name: "messages", Number: true},
		{Name: "tried", Number: true},
		{Name: "returned", Number: true},
		{Name: "recipients", Number: true},
		{Name: "valid", Number: true},
		{Name: "sender domains"},
		{Name: "providers"},
		{Name: "our addresses"},
		{Name: "reply"},
		{Name: "check first"},
		{Name: "run"},
		{Name: "first in period"},
		{Name: "ended"},
		{Name: "ended after"}, // the end of an incident within a gap of the log is between the two
	}}
	list := r.Incidents()
	for i := range list {
		in := &list[i]
		var tried, ended, endedAfter any
		if in.Tried > 0 {
			tried = in.Tried
		}
		if !in.Going() {
			ended = r.minute(in.End())
			if !in.EndedAfter.IsZero() {
				endedAfter = r.minute(in.EndedAfter)
			}
		}
		s.Data.Rows = append(s.Data.Rows, []any{
			in.Level, state(in), in.Title, r.minute(in.Since), r.minute(in.Until), in.Refused, tried, in.Lost, in.Recipients, in.Valid,
			strings.Join(in.SenderDomains, " "), strings.Join(in.Providers, " "), strings.Join(in.Addresses, " "), in.Reply, in.Check, in.Command,
			r.minute(r.Problems[i].Since), ended, endedAfter,
		})
	}
	if r.Verdict == nil {
		s.Cards = list[:min(len(list), problemsShown)]
		if more := len(list) - len(s.Cards); more > 0 {
			s.say("", "%d of %d shown; --format json has all.", len(s.Cards), len(list))
		}
		return s
	}
	s.Title = "Other problems"
	s.Table = &table.Table{Columns: []table.Column{
		{Name: "state"}, {Name: "problem", Flex: true}, {Name: "messages", Number: true}, {Name: "valid", Number: true, Minor: true}, {Name: "since"}, {Name: "last refusal", Minor: true},
	}}
	earlier, states := false, map[string]bool{}
	others := r.others()
	for _, i := range others[:min(len(others), problemsShown)] {
		in := &list[i]
		states[state(in)] = true
		s.Table.Rows = append(s.Table.Rows, []any{state(in), in.Title, in.Refused, in.Valid, r.minute(in.Since), r.minute(in.Until)})
		earlier = earlier || in.Earlier
	}
	if states["background"] {
		s.say("", "Background: few messages, as on every server and every day.")
	}
	if states[problem.Watch] {
		s.say("", "Watch: refused without a named cause, and too few messages to tell whose fault it is.")
	}
	if earlier {
		s.say("", "The number of messages is that of this period, also if a problem began earlier.")
	}
	if len(others) > 0 {
		shown := ""
		if len(others) > problemsShown {
			shown = fmt.Sprintf("%d of %d shown. ", problemsShown, len(others))
		}
		s.say(r.command, "%sReplies and checks:", shown)
	}
	return s
}

func (r *Report) totalsSection(wide bool) Section {
	t := r.Totals
	s := Section{Name: SectionTotals, Title: "Totals"}
	fact := func(n int64, what, meaning string) { s.Facts = append(s.Facts, Fact{what, n, meaning}) }
	part := r.Period.Since != nil || r.Past()
	fact(t.Attempts, "attempts", t.messagesWords(part))
	fact(t.Delivered, "delivered", table.Share(t.DeliveredRate).String()+" of the attempts")
	fact(t.Soft, "soft", table.Share(t.SoftRate).String()+" of the attempts; the MTA tries again")
	fact(t.Hard, "hard", table.Share(t.HardRate).String()+" of the attempts; returned to the sender")
	fact(t.Recovered, "recovered", "recipients deferred at first, delivered later")
	deferred := "recipients deferred, still queued when last seen"
	if part {
		deferred = "recipients first deferred in this period, queued at the logs' end"
	}
	fact(t.Pending, "pending", deferred)
	if n := t.Waiting; n != nil && part {
		at := "at the logs' end"
		if r.Past() {
			at = r.AtEnd()
		}
		fact(*n, "waiting", "recipients whose mail was queued "+at+", whenever deferred")
	}
	fact(t.Expired, "expired", "recipients given up when the queue lifetime ended")
	if n := t.NotificationSoft + t.NotificationHard; n > 0 {
		fact(n, "null sender", fmt.Sprintf("our own notifications: %d soft, %d hard (counted above)", t.NotificationSoft, t.NotificationHard))
	}
	if t.Soft5xx > 0 {
		fact(t.Soft5xx, "soft 5xx", "a 5xx reply, yet queued: often a 554 greeting")
	}
	if t.Handoff > 0 {
		fact(t.Handoff, "hand-offs", "to a filter, alias or own host (not counted above)")
	}
	if t.Discarded > 0 {
		fact(t.Discarded, "discarded", "by a filter or a rule of yours: nobody gets them (not counted above)")
	}
	if t.Probe > 0 {
		fact(t.Probe, "probes", "address verification (not counted above)")
	}
	if c := r.Comparison; c != nil {
		s.say("", "Previous period: %s. %s", strings.Join([]string{
			against("attempts", c.Counts.Attempts, c.Before.Attempts), against("delivered", c.Counts.Delivered, c.Before.Delivered),
			against("soft", c.Counts.Soft, c.Before.Soft), against("hard", c.Counts.Hard, c.Before.Hard),
		}, ", "), r.comparedWords())
	}
	return s
}

// against compares a count with that of the previous period, in words.
func against(what string, now, then int64) string {
	switch {
	case then == 0 && now == 0:
		return what + " 0 (as before)"
	case then == 0:
		return fmt.Sprintf("%s %d (none before)", what, now)
	case now == then:
		return fmt.Sprintf("%s %d (as before)", what, now)
	}
	if times := float64(now) / float64(then); times >= 10 {
		return fmt.Sprintf("%s %d (%.0f times, %d before)", what, now, times, then)
	}
	change := math.Round(100 * (float64(now)/float64(then) - 1))
	return fmt.Sprintf("%s %d (%+.0f %%, %d before)", what, now, change+0, then) // -0 becomes 0
}

// comparedWords names the compared part of the period, if that is not the whole.
func (r *Report) comparedWords() string {
	c := r.Comparison
	if c == nil || c.Whole() {
		return ""
	}
	length := func(hours int) string {
		if hours%24 == 0 && hours > 24 {
			return fmt.Sprintf("%d days", hours/24)
		}
		return table.Count(int64(hours), "hour")
	}
	without := ""
	for i, g := range c.Without {
		switch {
		case i == 0:
			without = ", without " + r.Interval(g.From, g.To)
		case i == gapsTold:
			without += fmt.Sprintf(" and %d more", len(c.Without)-i)
		case i < gapsTold:
			without += ", " + r.Interval(g.From, g.To)
		}
	}
	return fmt.Sprintf("Compared: the %s of %s that the logs cover in both periods, %s with %s%s.",
		length(c.Covered), length(c.Hours), r.Interval(c.Since, c.Until), r.Interval(c.PreviousSince, c.PreviousUntil), without)
}

func (r *Report) changesSection(wide bool) Section {
	s := Section{Name: SectionChanges, Title: "Changes since the previous period", Empty: "No significant changes."}
	s.Table = &table.Table{Columns: []table.Column{
		{Name: "change"},
		{Name: "of", Minor: true},
		{Name: "which", Flex: true},
		{Name: "recipients", Number: true},
		{Name: "before", Number: true},
		{Name: "hard", Number: true, Minor: true},
		{Name: "main reason"},
	}}
	// The fourth column is an older name of the last but one.
	s.Data = &table.Table{Columns: []table.Column{
		{Name: "change"}, {Name: "of"}, {Name: "which"}, {Name: "messages"}, {Name: "before"}, {Name: "hard"}, {Name: "main reason"}, {Name: "recipients"}, {Name: "recipients before"},
	}}
	if r.Changes == nil {
		s.Empty = "No previous period to compare with: give a period (-d yesterday) whose previous one is in the logs."
		return s
	}
	for _, c := range r.Changes {
		s.Data.Rows = append(s.Data.Rows, []any{c.Change, c.Kind, c.Key, c.Messages, c.MessagesBefore, c.Hard, c.Reason.String(), c.Recipients, c.RecipientsBefore})
		name := c.Key
		if c.Kind == "provider" {
			name = provider.Name(c.Key)
		}
		s.Table.Rows = append(s.Table.Rows, []any{c.Change, c.Kind, name, c.Recipients, c.RecipientsBefore, c.Hard, c.Reason.String()})
	}
	s.note(r.List(SectionChanges))
	for _, c := range r.Changes {
		if c.Mail != nil {
			s.say("", "Of the deferrals, %d are mail from <%s> to <%s>: stop the program that sends it, if it repeats itself.", c.Mail.Attempts, c.Mail.Sender, c.Mail.Recipient)
		}
	}
	if slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Kind == "total" }) {
		s.say("", "A total has numbers of attempts in place of recipients: deliveries and returns, or deferrals.")
	}
	if words := r.comparedWords(); words != "" && (wide || r.Named) {
		s.say("", "%s", words)
	}
	return s
}

// say adds a note.
func (s *Section) say(command, format string, a ...any) {
	s.Notes = append(s.Notes, Note{fmt.Sprintf(format, a...), command})
}

// Words returns how much of a list is shown: "20 of 746".
func (l *List) Words() string {
	if l.Least {
		return fmt.Sprintf("%d of at least %d", l.Shown, l.Total)
	}
	return fmt.Sprintf("%d of %d", l.Shown, l.Total)
}

// note adds how many rows a cut list has, and how to see them.
func (s *Section) note(l *List) {
	if l == nil || !l.Cut() {
		return
	}
	s.say(l.More, "%s shown. All:", l.Words())
}

func (r *Report) groupsSection(wide bool) Section {
	groups, title, column := r.Domains, "By recipient domain", "domain"
	if r.By != store.ByDomain {
		groups, title, column = r.Groups, "By "+strings.ReplaceAll(string(r.By), "-", " "), string(r.By)
	}
	s := Section{Name: SectionDomains, Title: title, Empty: "No delivery attempts."}
	failures := r.By == store.BySender || r.By == store.BySASLUser || r.By == store.ByClient
	text := func(s string) any {
		if s == "" {
			return "(none)"
		}
		return s
	}
	// One list defines the columns and their cells.
	type cell struct {
		table.Column
		of func(*Group) any
	}
	cells := []cell{{table.Column{Name: column, Flex: true}, func(g *Group) any { return text(g.Key) }}}
	number := func(name string, minor bool, of func(*Group) int64) {
		cells = append(cells, cell{table.Column{Name: name, Number: true, Minor: minor}, func(g *Group) any { return of(g) }})
	}
	if failures {
		s.Lead = []string{"Failed attempts only: deliveries are not counted by this."}
		number("soft", false, func(g *Group) int64 { return g.Soft })
		number("hard", false, func(g *Group) int64 { return g.Hard })
	} else {
		number("attempts", false, func(g *Group) int64 { return g.Attempts })
		number("delivered", false, func(g *Group) int64 { return g.Delivered })
		number("soft", false, func(g *Group) int64 { return g.Soft })
		number("hard", false, func(g *Group) int64 { return g.Hard })
		number("recovered", true, func(g *Group) int64 { return g.Recovered })
		number("pending", true, func(g *Group) int64 { return g.Pending })
		number("expired", true, func(g *Group) int64 { return g.Expired })
	}
	cells = append(cells, cell{table.Column{Name: "main reason"}, func(g *Group) any { return g.Reason.String() }})
	if wide && !failures {
		cells = append(cells, cell{table.Column{Name: "messages", Number: true}, func(g *Group) any {
			if g.Messages == nil {
				return nil
			}
			return *g.Messages
		}})
	}
	if IsProvider(r.By) {
		number("refused", false, func(g *Group) int64 { return g.Refused })
		cells = append(cells, cell{table.Column{Name: "blocks us"}, func(g *Group) any {
			if !g.Blocks {
				return ""
			}
			return table.Share(float64(g.Refused) / float64(g.Attempts))
		}})
	}
	if wide && !failures {
		number("recipients", false, func(g *Group) int64 { return g.Recipients })
	}
	s.Table = &table.Table{}
	for _, c := range cells {
		s.Table.Columns = append(s.Table.Columns, c.Column)
	}
	for i := range groups {
		row := make([]any, len(cells))
		for j, c := range cells {
			row[j] = c.of(&groups[i])
		}
		s.Table.Rows = append(s.Table.Rows, row)
	}
	s.note(r.List(SectionDomains))
	if IsProvider(r.By) {
		s.say("", "%s", providerNote)
	}
	return s
}

const providerNote = "Refused: failures for a reason that lies with the sender or is not named (blocklist, reputation, authentication, rDNS or HELO, sender, spam, policy, unknown). --by relay-host lists single hosts."

func (r *Report) providersSection(wide bool) Section {
	s := Section{Name: SectionProviders, Title: "Providers", Empty: "No delivery attempts."}
	s.Data = &table.Table{Columns: []table.Column{
		{Name: "provider"},
		{Name: "attempts"},
		{Name: "soft"},
		{Name: "hard"},
		{Name: "failed"},
		{Name: "refused"},
		{Name: "main reason"},
		{Name: "blocks us"},
		{Name: "delivered"},
		{Name: "waiting"},
		{Name: "messages"},
		{Name: "before"},
		{Name: "verdict"},
		{Name: "recipients"},
	}}
	t := r.ProviderTable
	if t == nil {
		t = &ProviderTable{}
	}
	marked := map[string]*ProviderRow{}
	for i := range t.Rows {
		marked[t.Rows[i].Provider] = &t.Rows[i]
	}
	for _, g := range r.Providers {
		var before, messages any
		mark := ""
		if p := marked[g.Key]; p != nil {
			mark = p.Mark
			if t.Compared {
				before = p.RefusedBefore
			}
		}
		if g.Messages != nil {
			messages = *g.Messages
		}
		waiting := g.Pending
		if g.Waiting != nil {
			waiting = *g.Waiting
		}
		blocks := ""
		if g.Blocks {
			blocks = "yes"
		}
		s.Data.Rows = append(s.Data.Rows, []any{
			g.Key, g.Attempts, g.Soft, g.Hard, table.Share(float64(g.Soft+g.Hard) / float64(max(g.Attempts, 1))), g.Refused, g.Reason.String(), blocks,
			g.Delivered, waiting, messages, before, mark, g.Recipients,
		})
	}
	columns := t.Columns()
	if t.Compared {
		columns[len(columns)-1].Minor = true
	}
	s.Table = &table.Table{Columns: append(columns, table.Column{Name: "main reason", Minor: true}, table.Column{Name: "verdict"})}
	for name, p := range t.Lines() {
		if p == &t.Total && len(s.Table.Rows) < 2 {
			break
		}
		if known := provider.Name(p.Provider); p.Provider != "" && known != name {
			if wide { // incidents use the first name, --relay the second
				known += " (" + name + ")"
			}
			name = known
		}
		cells := []any{name, p.Attempts, p.Delivered, p.Soft, p.Waiting, p.Hard, p.Refused}
		if t.Compared {
			cells = append(cells, p.RefusedBefore)
		}
		s.Table.Rows = append(s.Table.Rows, append(cells, p.Reason.String(), p.Mark))
	}
	s.note(r.List(SectionProviders))
	if wide || r.Named {
		s.say("", "No verdict below %d messages. %s", markLeast, providerNote)
	}
	return s
}

func (r *Report) reasonsSection(wide bool) Section {
	s := Section{Name: SectionReasons, Title: "Reasons", Empty: "No failures.", Table: &table.Table{Columns: []table.Column{
		{Name: "reason"},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "who acts"},
		{Name: "what to do", Flex: true},
	}}}
	s.Data = &table.Table{Columns: s.Table.Columns} // with the words of the JSON
	for i := range r.Reasons {
		x := &r.Reasons[i]
		do := strings.Join(x.Do[:min(1, len(x.Do))], "")
		if wide {
			do = strings.Join(x.Do, " ")
		}
		if len(x.Last) > 0 {
			do = "Last temporary failure: " + counted(x.Last) + "."
		}
		scope, incidents, others := r.behind(x)
		if others == 0 {
			do = "" // the incident has its own check
		}
		if do != "" && incidents != "" {
			rest := "The other: "
			if others > 1 {
				rest = fmt.Sprintf("The other %d: ", others)
			}
			do = rest + do
		}
		do = strings.TrimSpace(incidents + " " + do)
		s.Table.Rows = append(s.Table.Rows, []any{x.Reason.String(), x.Soft, x.Hard, judge.WhoActs(scope), do})
		s.Data.Rows = append(s.Data.Rows, []any{x.Reason.String(), x.Soft, x.Hard, scope.String(), do})
	}
	return s
}

// behindShare is the minimum share of the failures of a reason to name their incident.
const behindShare = 0.1

// titleInTable is the number of characters at which the title of an incident in a table is cut.
const titleInTable = 200

// behind returns the incidents behind a considerable part of the failures of a reason, in words, and
// who acts on most of these failures. others is the number of the other failures.
func (r *Report) behind(x *ReasonCount) (scope bounce.Scope, words string, others int64) {
	all, list := x.Soft+x.Hard, []string{}
	others = all
	scope = x.Scope
	for i := range r.Problems {
		p := &r.Problems[i]
		n := min(p.Reasons[x.Reason], all) // a filter may select a part of the incident
		if p.Background || p.Level == problem.Watch || float64(n) < behindShare*float64(all) {
			continue
		}
		if 2*n >= all {
			scope = p.WhoActs()
		}
		words := fmt.Sprintf("%d of %d", n, all)
		if n == all {
			words = "All"
		}
		others = max(others-n, 0) // incidents may share failures
		list = append(list, words+": incident \""+table.Cut(p.Title, titleInTable)+"\".")
	}
	return scope, strings.Join(list, " "), others
}

// counted lists the counts, the largest first.
func counted(n map[string]int64) string {
	keys := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		if n[a] != n[b] {
			return int(min(max(n[b]-n[a], -1), 1))
		}
		return strings.Compare(a, b)
	})
	for i, key := range keys {
		keys[i] = fmt.Sprintf("%s (%d)", key, n[key])
	}
	return strings.Join(keys, ", ")
}

func (r *Report) recipientsSection(wide bool) Section {
	s := Section{Name: SectionRecipients, Title: "Invalid recipients", Empty: "None.", Table: &table.Table{Columns: []table.Column{
		{Name: "recipient", Flex: true}, {Name: "hard", Number: true}, {Name: "reason"}, {Name: "since", Minor: true}, {Name: "last delivered", Minor: true},
	}}}
	for _, x := range r.Recipients {
		var delivered any = "never"
		if x.LastDelivered != nil {
			delivered = r.minute(*x.LastDelivered)
		}
		s.Table.Rows = append(s.Table.Rows, []any{x.Recipient, x.Hard, x.Reason.String(), r.minute(x.Since), delivered})
	}
	l := r.List(SectionRecipients)
	s.note(l)
	if l != nil && l.LeftOut > 0 {
		least := ""
		if l.Least {
			least = "at least "
		}
		s.say(l.WhyNot, "Not listed: %s%s whose failure may be a fault of the domain, of a relay or of this side. The grounds:", least, table.Count(int64(l.LeftOut), "address"))
	}
	return s
}

func (r *Report) pendingSection(wide bool) Section {
	s := Section{Name: SectionPending, Title: "Still in the queue, oldest first", Empty: "No message is known to be queued.", Table: &table.Table{Columns: []table.Column{
		{Name: "waiting"}, {Name: "recipient", Flex: true}, {Name: "queue id", Minor: true}, {Name: "last try", Minor: true}, {Name: "reason"}, {Name: "last reply", Flex: true},
	}}}
	asOf := r.queueTime()
	for i := range r.Pending {
		p := &r.Pending[i]
		text := p.Response
		if p.Code >= 500 {
			text = "(5xx, yet queued) " + text
		}
		if p.Frozen {
			text = "(frozen) " + text
		}
		s.Table.Rows = append(s.Table.Rows, []any{when.Span(asOf.Sub(p.Since())), p.Recipient, p.QueueID, r.minute(p.LastTry), p.Reason.String(), table.Cut(text, longest)})
	}
	s.note(r.List(SectionPending))
	if len(r.Pending) > 0 {
		of := "the end of the logs"
		if asOf.Before(r.AsOf) {
			of = "the end of the period"
		}
		s.say("", "The mail that waited at %s, %s, whenever it was deferred first.", r.minute(asOf), of)
	}
	return s
}

func (r *Report) sendersSection(wide bool) Section {
	s := Section{Name: SectionSenders, Title: "Failures by sender, login and client", Empty: "No failures of a known sender."}
	s.Table = &table.Table{Columns: []table.Column{
		{Name: "by"}, {Name: "who", Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "of all hard", Number: true}, {Name: "main reason"},
	}}
	s.Data = &table.Table{Columns: s.Table.Columns} // without rows of both a sender and its login
	if r.Senders.Since != nil {
		s.Lead = append(s.Lead, "Since "+r.minute(*r.Senders.Since).String()+" only; --section senders counts the whole period.")
	}
	for _, part := range []struct {
		by   string
		rows []SenderCount
	}{{"sender", r.Senders.Senders}, {"login", r.Senders.SASLUsers}, {"client", r.Senders.Clients}} {
		rows := part.rows
		if !wide && !r.Named {
			rows = rows[:min(len(rows), sendersShown)]
		}
		for i := range rows {
			x := &rows[i]
			cells := []any{part.by, x.Key, x.Soft, x.Hard, table.Share(x.Share), x.Reason.String()}
			s.Data.Rows = append(s.Data.Rows, cells)
			if same := slices.IndexFunc(s.Table.Rows, func(row []any) bool { return row[0] == "sender" && slices.Equal(row[1:], cells[1:]) }); part.by == "login" && same >= 0 {
				s.Table.Rows[same][0] = "sender = login"
				continue
			}
			s.Table.Rows = append(s.Table.Rows, slices.Clone(cells))
			if x.StandsOut() && len(part.rows) > 1 {
				s.Lead = append(s.Lead, fmt.Sprintf("The %s %s has %s of all returned mail (%d). If that is not its usual share of the mail, look for a stolen password, an abused form or a bad list.", part.by, table.Cut(x.Key, 80), table.Share(x.Share), x.Hard))
			}
		}
	}
	if l := r.List(SectionSenders); l != nil {
		shown := *l
		if shown.Shown = len(s.Data.Rows); shown.Cut() {
			s.say(shown.More, "%s senders, logins and clients shown. All:", shown.Words())
		}
	}
	return s
}

const sendersShown = 3 // of each kind, unless the section is asked for

func (r *Report) contradictionsSection(wide bool) Section {
	s := Section{Name: SectionContradictions, Title: "Contradictory replies", Empty: "None.", Table: &table.Table{Columns: []table.Column{
		{Name: "attempts", Number: true}, {Name: "what"}, {Name: "reply", Flex: true},
	}}}
	for _, c := range r.Contradictions {
		for _, x := range c.Replies {
			s.Table.Rows = append(s.Table.Rows, []any{x.Attempts, c.Kind, table.Cut(x.Text, longest)})
		}
		s.say("", "%s (%s): %s", c.Kind, table.Count(c.Attempts, "attempt"), c.Meaning)
	}
	s.note(r.List(SectionContradictions))
	return s
}

func (r *Report) timelineSection(wide bool) Section {
	s := Section{Name: SectionTimeline, Title: "Over time", Empty: "No delivery attempts.", Table: &table.Table{Columns: []table.Column{
		{Name: "time"}, {Name: "delivered", Number: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true},
	}}}
	for _, p := range r.Timeline {
		s.Table.Rows = append(s.Table.Rows, []any{r.PointTime(p.Time), p.Delivered, p.Soft, p.Hard})
	}
	return s
}

// PointTime formats the time of a point of the timeline.
func (r *Report) PointTime(t time.Time) string {
	if r.ByDay {
		return t.Format(time.DateOnly) // days are UTC days
	}
	return r.minute(t).String()
}

func (r *Report) coverageSection(wide bool) Section {
	c := r.Unparsed
	s := Section{Name: SectionUnparsed, Title: "Log coverage"}
	files := table.Count(int64(c.Files), "log")
	if c.First != nil && c.Last != nil {
		files += ", " + r.Interval(*c.First, *c.Last)
	}
	if c.Rotations > 0 {
		files += ", " + table.Count(int64(c.Rotations), "rotation")
	}
	fact := func(label string, n int64, note string) { s.Facts = append(s.Facts, Fact{label, n, note}) }
	fact("lines", c.Lines, files)
	fact("delivery", c.Delivery, "with delivery attempts")
	fact("queue", c.Queue, "about queued messages")
	fact("inbound rejects", c.Rejected, "mail that this server refused")
	programs := make([]string, 0, programsShown)
	if wide {
		for _, p := range c.Programs[:min(len(c.Programs), programsShown)] {
			name := p.Program
			if name == "" {
				name = "(no program)"
			}
			programs = append(programs, fmt.Sprintf("%s %d", name, p.Lines))
		}
	}
	if more := len(c.Programs) - len(programs); more > 0 && len(programs) > 0 {
		programs = append(programs, fmt.Sprintf("and %d more", more))
	}
	fact("other programs", c.Skipped, strings.Join(programs, ", "))
	fact("blank", c.Blank, "")
	fact("not understood", c.Unparsed, "looked like a delivery")
	if c.Repeated > 0 {
		fact("repeated", c.Repeated, `attempts in lines like "message repeated 2 times"`)
	}
	if n := len(r.Hosts); n > 0 {
		note := ""
		if h := &r.Hosts[0]; h.Newest != nil {
			note = fmt.Sprintf("the newest line of %s is the oldest: %s", table.Cut(h.Name, 64), r.minute(*h.Newest))
		}
		fact("hosts", int64(n), note)
	}
	for _, g := range c.Gaps {
		where := ""
		if len(g.Rotation) == 2 {
			where = fmt.Sprintf(", between %s and %s", g.Rotation[0], g.Rotation[1])
		}
		s.Lead = append(s.Lead, fmt.Sprintf("Silent %s%s: about %s would be usual. Is a log missing?", r.Interval(g.From, g.To), where, table.Count(g.Expected, "attempt")))
	}
	s.Table = &table.Table{Columns: []table.Column{{Name: "source", Flex: true}, {Name: "offset", Number: true}, {Name: "not understood", Flex: true}}}
	for _, u := range c.Sample {
		s.Table.Rows = append(s.Table.Rows, []any{u.Source, u.Offset, table.Cut(u.Text, longest)})
	}
	s.note(r.List(SectionUnparsed))
	for _, u := range c.Reasons {
		guess := ""
		if u.Guess != bounce.NoReason {
			guess = "; a guess: " + u.Guess.String()
		}
		s.say("", "No rule matches this reply (%s%s): %s", table.Count(u.Attempts, "time"), guess, table.Cut(u.Text, longest))
	}
	s.note(r.List(ListUnknown))
	return s
}

const programsShown = 12

// Headline returns the report in one line, for the subject of a mail: the worst incident by its
// title.
func (r *Report) Headline() string {
	period := r.PeriodWords()
	if r.Period.Since == nil && r.Period.Until == nil && r.Period.First != nil && r.Period.Last != nil {
		period = r.Interval(*r.Period.First, *r.Period.Last)
	}
	if r.Filter != nil {
		period += ", only " + forSubject(r.Filter.String())
	}
	var parts []string
	say := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	v := r.Verdict
	silence := func() {
		if v.Silence != nil {
			say("log silent for %s", when.Span(time.Duration(v.Silence.Seconds)*time.Second))
		}
	}
	if v != nil && r.NoVerdict != "" {
		say("no verdict, %s", r.NoVerdict)
	}
	later := func() {
		words := table.Count(int64(len(v.Later)), "incident") + " " + r.laterWords(&v.Later[0])
		if !v.cameBack() {
			words += ": " + forSubject(v.Later[0].Title)
		} else if len(v.Later) == 1 {
			words = "came back after the period"
		}
		say("%s", words)
	}
	if v != nil {
		if !v.oursFirst() {
			silence()
		}
		if v.laterFirst(r) {
			later()
		}
		if n := v.Going - v.Over; n > 0 {
			at := ""
			if r.Past() && slices.ContainsFunc(v.Act, func(in Incident) bool { return in.After == "" }) {
				at = " at its end"
			}
			worst := ": "
			if n > 1 {
				worst = ", worst: "
			}
			say("%s going on%s%s%s", table.Count(int64(n), "incident"), at, worst, forSubject(v.Act[0].Title))
		}
		if v.oursFirst() {
			silence()
		}
		// At most one ended incident is named: if no incident goes on, or if it is one of ours (see
		// oursEnded).
		named := v.Going > v.Over
		ended := func(n int, since, word, title string) {
			words := table.Count(int64(n), "incident") + " ended" + since
			if !named {
				if n > 1 {
					words += ", " + word
				}
				words += ": " + forSubject(title)
				named = true
			}
			say("%s", words)
		}
		if v.Over > 0 {
			ended(v.Over, " since", "the worst", v.Act[0].Title)
		}
		if n := len(v.Ended); n > 0 {
			worst, word := &v.Ended[0], "the worst"
			if ours := v.oursEnded(); ours != nil {
				worst, word, named = ours, "the worst of ours", false
			}
			ended(n, "", word, worst.Title)
		}
		switch {
		case v.Status == StatusQuiet && v.laterFirst(r):
			say("no incident in the period")
		case v.Status == StatusQuiet:
			say("no incident")
		}
		if n := len(v.EndedBefore); n > 0 {
			say("%s ended since the last report: %s", table.Count(int64(n), "incident"), forSubject(v.EndedBefore[0].Title))
		}
		if len(v.Later) > 0 && !v.laterFirst(r) {
			later()
		}
	} else if n := r.Alarms(); n > 0 {
		say("%s", table.Count(int64(n), "problem"))
	}
	if v != nil && len(v.Gaps) > 0 {
		say("no log for %s", when.Span(v.missing()))
	}
	if t := r.Totals; t != nil {
		say("%d hard, %d soft, %d delivered", t.Hard, t.Soft, t.Delivered)
	}
	if v != nil && v.Silence == nil && v.Newest != nil && r.Live {
		say("last line %s", AgeWords(*v.Newest, r.Now))
	}
	return strings.TrimSuffix(strings.ReplaceAll(period, "–", "-")+": "+strings.Join(parts, "; "), ": ")
}

// forSubject makes a text safe for a header: it breaks up what a client would decode as an encoded
// word (RFC 2047).
func forSubject(s string) string {
	return strings.ReplaceAll(table.Clean(table.Cut(s, 100)), "=?", "= ?")
}

// Alarms returns the number of alarms: confirmed or likely problems that are no background and, as
// in the verdict, go on according to the logs.
func (r *Report) Alarms() (n int) {
	for _, in := range r.Incidents() {
		n += bit(!in.IsBackground() && in.Going())
	}
	return n
}
