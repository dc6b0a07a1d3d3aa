package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
)

// incidents lists the incidents, or shows one.
func (v *screen) incidents(ctx context.Context, r store.Reader, _ *http.Request, id string) error {
	v.Name, v.Title = "incidents", "Incidents"
	v.Command = v.sel.command(v.server.o.Period, nil, "report", "--section", "verdict,problems")
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	all := rep.Incidents()
	if id != "" {
		for i := range all {
			if all[i].ID == id {
				return v.incident(ctx, r, rep, &all[i])
			}
		}
		return mistakef(http.StatusNotFound, "There is no such incident in this period. A longer one may have it: %s", v.url(deep("incidents", id), "since", all30))
	}
	v.Phrases = rep.Verdict.Phrases
	v.Incidents = all
	l := &list{Name: "incidents", Title: "All incidents", Empty: "No incident in this period.", Columns: []table.Column{
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
			tried.Value = in.Tried
		}
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: state, Class: class},
			{Value: in.Title, URL: to},
			{Value: v.time(in.Since)},
			{Value: v.time(in.Until)},
			{Value: in.Refused, URL: to},
			tried,
			{Value: in.Lost},
			{Value: in.Recipients},
			{Value: in.Valid},
		}})
	}
	v.sorted(l, "state")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	return nil
}

const all30 = "30d"

// behind returns the URL of the attempts of an incident, as far as a selection can express it.
func (v *screen) behind(rep *report.Report, in *report.Incident) string {
	pairs := []string{"outcome", failedWords, "since", in.Since.In(v.server.o.Location).Format("2006-01-02T15:04:05")}
	if len(in.Providers) == 1 {
		pairs = append(pairs, "provider", in.Providers[0])
	}
	if len(in.SenderDomains) == 1 {
		pairs = append(pairs, "sender-domain", in.SenderDomains[0])
	}
	if in.Problem != nil {
		reason := suspect
		if r := rep.Problems[*in.Problem].Reason; !slices.Contains(suspects, r) { // nobody refused it
			reason = r.String()
		}
		pairs = append(pairs, "reason", reason)
	}
	return v.rows(pairs...)
}

// evidence returns attempts of a problem. A report has none of a provider that nothing reaches: the
// last are read.
func (v *screen) evidence(ctx context.Context, r store.Reader, p *problem.Problem) ([]problem.Evidence, error) {
	list := p.Evidence
	if len(list) > 0 || !p.Unreached() {
		return list, nil
	}
	routes, _, err := v.routes(ctx, r)
	if err != nil {
		return nil, err
	}
	f := v.sel.filter
	f.To, f.Outcomes, f.Reasons = routes.Destination(p.Providers[0]), []bounce.Outcome{bounce.Soft, bounce.Hard}, []bounce.Reason{p.Reason}
	for a, err := range r.Attempts(ctx, f, store.Page{Limit: 3, Newest: true}) {
		if err != nil {
			return nil, err
		}
		list = append(list, problem.Evidence{Source: a.Source, Offset: a.Offset, Time: a.Time, Text: a.Response})
	}
	return list, nil
}

// incident shows one incident: its description, its course, the evidence down to the log line, the
// recipients, and the facts that would disprove it.
func (v *screen) incident(ctx context.Context, r store.Reader, rep *report.Report, in *report.Incident) error {
	v.Name, v.Title = "incident", in.Title
	v.Phrases = []report.Phrase{{Text: in.Title, Bad: in.Going() && !in.IsBackground()}}
	c := v.card(rep, in, 0)
	v.Incidents = []report.Incident{*in}
	c.URL, c.More = "", nil // the page itself shows them
	v.Cards = append(v.Cards, c)
	v.More = in.Command
	for _, x := range []struct{ title, text string }{{"Why", in.Why}, {"Other explanation", in.Otherwise}, {"What would disprove it", in.Disproved}} {
		if x.text != "" {
			v.Parts = append(v.Parts, part{Title: x.title, Lines: []string{x.text}})
		}
	}
	span := &list{Name: "course", Title: "Before and after", Columns: []table.Column{{Name: "stretch", Flex: true}, {Name: "from"}, {Name: "until"}, {Name: "refused", Number: true}, {Name: "tried", Number: true}, {Name: "share", Number: true}}}
	if in.Problem != nil {
		p := &rep.Problems[*in.Problem]
		evidence, err := v.evidence(ctx, r, p)
		if err != nil {
			return err
		}
		last := "refusal"
		if p.Unreached() || p.Outage() {
			last = "failure" // no reply refused it
		}
		from := "from its beginning to its last " + last
		if p.Onset != nil && p.Onset.Since.After(in.Since) {
			from = "in this period, to its last " + last
		}
		for _, t := range []struct {
			name string
			t    *problem.Tried
		}{{"before it began", p.Before}, {from, p.Onset}} {
			if t.t != nil {
				span.Rows = append(span.Rows, row{Cells: []cell{{Value: t.name}, {Value: v.time(t.t.Since)}, {Value: v.time(t.t.Until)}, {Value: t.t.Refused}, {Value: t.t.Tried}, {Value: table.Share(float64(t.t.Refused) / float64(max(t.t.Tried, 1)))}}})
			}
		}
		if len(span.Rows) > 0 {
			span.Note = "Messages of the same senders to the same providers, as far as deliveries were read."
			if p.Unreached() {
				span.Note = "Mail to this provider, once for each recipient: what waits or was returned, of all that was tried."
			}
			v.Tables = append(v.Tables, span)
		}
		l := &list{Name: "evidence", Plain: true, Title: "Evidence in the log", Columns: []table.Column{{Name: "time"}, {Name: "reply", Flex: true}}}
		for _, e := range evidence {
			to := v.attemptURL(store.Ref{Time: e.Time.Unix(), Source: e.Source, Offset: e.Offset})
			l.Rows = append(l.Rows, row{URL: to, Cells: []cell{{Value: v.time(e.Time), URL: to}, {Value: e.Text, URL: to}}})
		}
		if in.Warning != "" {
			l.Columns = append(l.Columns, table.Column{Name: "logged just before", Flex: true})
			for i, e := range evidence {
				l.Rows[i].Cells = append(l.Rows[i].Cells, cell{Value: e.Warning})
			}
		}
		l.More = &anchor{"all " + last + "s of its time and place", v.behind(rep, in)}
		v.Tables = append([]*list{l}, v.Tables...)
		if len(p.Hours) > 0 {
			hours := &list{Name: "hours", Plain: true, Title: "Course by the hour", Columns: []table.Column{{Name: "hour"}, {Name: "refused", Number: true}}}
			for _, h := range p.Hours {
				hours.Rows = append(hours.Rows, row{Cells: []cell{{Value: v.time(h.Time)}, {Value: h.Refused}}})
			}
			if v.form == formHTML && len(hours.Rows) > perPage {
				hours.Note = fmt.Sprintf("The last %d of %d hours.", perPage, len(hours.Rows))
				hours.Rows = hours.Rows[len(hours.Rows)-perPage:]
			}
			v.Tables = append(v.Tables, hours)
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
	if len(in.Addresses) > 0 {
		who.Lines = append(who.Lines, "Our addresses, as the replies name them: "+strings.Join(in.Addresses, ", "))
	}
	v.Parts = append(v.Parts, who)
	// Other changes began at about the same time.
	other := &list{Name: "others", Title: "Other changes within a day of its onset", Empty: "No other incident began or ended then.", Columns: []table.Column{{Name: "incident", Flex: true}, {Name: "began"}, {Name: "last refusal"}}}
	all := rep.Incidents()
	for i := range all {
		x := &all[i]
		if x.ID == in.ID || x.Since.Sub(in.Since).Abs() > day && x.Until.Sub(in.Since).Abs() > day {
			continue
		}
		to := v.url(deep("incidents", x.ID))
		other.Rows = append(other.Rows, row{URL: to, Cells: []cell{{Value: x.Title, URL: to}, {Value: v.time(x.Since)}, {Value: v.time(x.Until)}}})
		if len(other.Rows) == 10 {
			break
		}
	}
	v.Tables = append(v.Tables, other)
	return nil
}
