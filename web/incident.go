package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// incidents lists the incidents, or shows one.
func (v *screen) incidents(ctx context.Context, r store.Reader, req *http.Request, id string) error {
	v.Name, v.Title = "incidents", "Incidents"
	v.Command = v.sel.command(v.o.Period, nil, "report", "--section", "verdict,problems")
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	all := rep.Incidents()
	if id != "" {
		for i := range all {
			if all[i].ID == id {
				if req.URL.Query().Has("rows") {
					v.Name, v.Title = "rows", all[i].Title
					return v.figureRows(ctx, r, req, rep, &all[i])
				}
				return v.incident(ctx, r, rep, &all[i])
			}
		}
		return mistakef(http.StatusNotFound, "There is no such incident in this period. A longer one may have it: %s", v.url(deep("incidents", id), "since", all30))
	}
	v.Phrases = rep.Verdict.Phrases
	v.Incidents = all
	l := v.incidentList(rep, all)
	l.Title = "All incidents"
	v.sorted(l, "state")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	return nil
}

const all30 = "30d"

// incidentList returns a list of incidents.
func (v *screen) incidentList(rep *report.Report, all []report.Incident) *list {
	l := &list{Name: "incidents", Title: "Incidents", Empty: "No incident in this period.", Columns: []table.Column{
		{Name: "state"},
		{Name: "incident", Flex: true},
		{Name: "since"},
		{Name: "until"},
		{Name: "messages", Number: true},
		{Name: "tried", Number: true},
		{Name: "returned", Number: true},
		{Name: "recipients", Number: true},
		{Name: "known valid", Number: true},
	}}
	sums := false
	for i := range all {
		in := &all[i]
		state := "ended"
		class := ""
		switch {
		case in.Level == problem.Watch:
			state = "watch"
		case in.IsBackground():
			state = "background"
		case in.Going() && in.Level == problem.Confirmed:
			state, class = "going on", "mark-refuses"
		case in.Going():
			state, class = "going on", "mark-fails"
		}
		to := v.url(deep("incidents", in.ID))
		tried := cell{}
		if in.Tried > 0 {
			tried = v.figureCell(rep, in, problem.FigureTried, in.Tried)
			sums = sums || tried.URL == ""
		}
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: state, Class: class},
			{Value: in.Title, URL: to},
			{Value: v.time(in.Since)},
			{Value: v.time(in.Until)},
			v.figureCell(rep, in, problem.FigureRefused, in.Refused),
			tried,
			v.figureCell(rep, in, problem.FigureReturned, in.Lost),
			v.figureCell(rep, in, problem.FigureRecipients, in.Recipients),
			v.figureCell(rep, in, problem.FigureValid, in.Valid),
		}})
	}
	if sums {
		l.Note = sumNote
	}
	return l
}

// sumNote says what a number of tried messages without a link counts.
const sumNote = "A number without a link is a sum: what was delivered in the same time is counted and not listed."

// incident shows one incident: its description, its course, the evidence down to the log line, the
// recipients, and the facts that would disprove it.
func (v *screen) incident(ctx context.Context, r store.Reader, rep *report.Report, in *report.Incident) error {
	v.Name, v.Title = "incident", in.Title
	v.Phrases = []report.Phrase{{Text: in.Title, Bad: in.Going() && !in.IsBackground()}}
	c := v.card(rep, in, 0)
	v.Incidents = []report.Incident{*in}
	c.URL, c.More, c.Evidence = "", nil, nil // the page itself shows them
	v.Cards = append(v.Cards, c)
	v.More = in.Command
	for _, x := range []struct{ title, text string }{{"Why", in.Why}, {"Other explanation", in.Otherwise}, {"What would disprove it", in.Disproved}} {
		if x.text != "" {
			v.Parts = append(v.Parts, part{Title: x.title, Lines: []string{x.text}})
		}
	}
	if in.Problem != nil {
		p := &rep.Problems[*in.Problem]
		v.Tables = append(v.Tables, v.evidenceList(rep, in, p))
		if l := v.courseList(rep, in, p); len(l.Rows) > 0 {
			v.Tables = append(v.Tables, l)
		}
		if len(p.Hours) > 0 {
			v.Tables = append(v.Tables, v.hoursList(rep, in, p))
		}
	}
	who := part{Title: "Scope"}
	for _, name := range in.Providers {
		who.Links = append(who.Links, anchor{"provider " + name, v.url(deep("providers", name))})
	}
	for _, name := range in.SenderDomains {
		who.Links = append(who.Links, anchor{"sender domain " + name, v.url("", "sender-domain", name)})
	}
	if len(who.Links) > 12 {
		who.Links = who.Links[:12]
	}
	if len(in.Addresses) > 0 && v.form == formJSON { // the card of the page has them
		who.Lines = append(who.Lines, "Our addresses, as the replies name them: "+strings.Join(in.Addresses, ", "))
	}
	v.Parts = append(v.Parts, who)
	v.Tables = append(v.Tables, v.othersList(rep, in))
	return nil
}

// courseList shows how much was refused before an incident and since.
func (v *screen) courseList(rep *report.Report, in *report.Incident, p *problem.Problem) *list {
	l := &list{Name: "course", Title: "Before and after", Columns: []table.Column{{Name: "stretch", Flex: true}, {Name: "from"}, {Name: "until"}, {Name: "refused", Number: true}, {Name: "tried", Number: true}, {Name: "share", Number: true}}}
	last := "refusal"
	if p.Unreached() || p.Outage() {
		last = "failure" // no reply refused it
	}
	from := "from its beginning to its last " + last
	if p.Onset != nil && p.Onset.Since.After(in.Since) {
		from = "in this period, to its last " + last
	}
	for _, t := range []struct {
		name           string
		t              *problem.Tried
		refused, tried problem.Figure
	}{{"before it began", p.Before, problem.FigureBeforeRefused, problem.FigureBefore}, {from, p.Onset, problem.FigureTriedRefused, problem.FigureTried}} {
		if t.t != nil {
			l.Rows = append(l.Rows, row{Cells: []cell{
				{Value: t.name},
				{Value: v.time(t.t.Since)},
				{Value: v.time(t.t.Until)},
				v.figureCell(rep, in, t.refused, t.t.Refused), v.figureCell(rep, in, t.tried, t.t.Tried),
				{Value: table.Share(float64(t.t.Refused) / float64(max(t.t.Tried, 1)))},
			}})
		}
	}
	switch {
	case p.Unreached():
		l.Note = "Mail to this provider, once for each recipient: what waits or was returned, of all that was tried. " + sumNote
	case p.Outage():
		l.Note = sumNote
	default:
		l.Note = "Messages of the same senders to the same providers, as far as deliveries were read."
	}
	return l
}

// evidenceList shows the log lines that an incident is known from.
func (v *screen) evidenceList(rep *report.Report, in *report.Incident, p *problem.Problem) *list {
	l := &list{Name: "evidence", Plain: true, Title: "Evidence in the log", Columns: []table.Column{{Name: "time"}, {Name: "reply", Flex: true}}}
	for _, e := range p.Evidence {
		to := v.attemptURL(store.Ref{Time: e.Time.Unix(), Source: e.Source, Offset: e.Offset})
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{{Value: v.time(e.Time), URL: to}, {Value: e.Text, URL: to}}})
	}
	if in.Warning != "" {
		l.Columns = append(l.Columns, table.Column{Name: "logged just before", Flex: true})
		for i, e := range p.Evidence {
			l.Rows[i].Cells = append(l.Rows[i].Cells, cell{Value: e.Warning})
		}
	}
	if to := v.figureURL(rep, in, problem.FigureAttempts, int(p.Attempts)); to != "" {
		l.More = &anchor{"all " + table.Text(p.Attempts) + " failed attempts", to}
	}
	return l
}

// hoursList shows the failed attempts of an incident by the hour.
func (v *screen) hoursList(rep *report.Report, in *report.Incident, p *problem.Problem) *list {
	l := &list{Name: "hours", Plain: true, Title: "Course by the hour", Columns: []table.Column{{Name: "hour"}, {Name: "refused", Number: true}}}
	for _, h := range p.Hours {
		n := v.figureCell(rep, in, problem.FigureAttempts, h.Refused, "hour", h.Time.UTC().Format(time.RFC3339))
		l.Rows = append(l.Rows, row{Cells: []cell{{Value: v.time(h.Time)}, n}})
	}
	if v.form == formHTML && len(l.Rows) > perPage {
		l.Note = fmt.Sprintf("The last %d of %d hours.", perPage, len(l.Rows))
		l.Rows = l.Rows[len(l.Rows)-perPage:]
	}
	return l
}

// othersList shows incidents that began or ended at about the time at which this one began.
func (v *screen) othersList(rep *report.Report, in *report.Incident) *list {
	l := &list{Name: "others", Title: "Other changes within a day of its onset", Empty: "No other incident began or ended then.", Columns: []table.Column{{Name: "incident", Flex: true}, {Name: "began"}, {Name: "last refusal"}}}
	all := rep.Incidents()
	for i := range all {
		x := &all[i]
		if x.ID == in.ID || x.Since.Sub(in.Since).Abs() > day && x.Until.Sub(in.Since).Abs() > day {
			continue
		}
		to := v.url(deep("incidents", x.ID))
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{{Value: x.Title, URL: to}, {Value: v.time(x.Since)}, {Value: v.time(x.Until)}}})
		if len(l.Rows) == 10 {
			break
		}
	}
	return l
}

// card returns an incident with links to its page and to its log lines.
func (v *screen) card(rep *report.Report, in *report.Incident, number int) incidentCard {
	c := incidentCard{Card: render.NewCard(rep, in, number), URL: v.url(deep("incidents", in.ID))}
	c.Linked = v.linkedFacts(rep, in, c.Facts)
	if in.Problem != nil {
		for i, e := range rep.Problems[*in.Problem].Evidence {
			if i < 3 {
				c.Evidence = append(c.Evidence, anchor{rep.Clock(e.Time), v.attemptURL(store.Ref{Time: e.Time.Unix(), Source: e.Source, Offset: e.Offset})})
			}
		}
	}
	return c
}
