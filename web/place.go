package web

import (
	"context"
	"net/http"
	"slices"

	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// providers lists the providers, or shows one.
func (v *screen) providers(ctx context.Context, r store.Reader, _ *http.Request, name string) error {
	if name != "" {
		return v.provider(ctx, r, name)
	}
	v.Name, v.Title, v.Phrases = "providers", "Providers", phrases("Providers, worst first")
	v.Command = v.sel.command(v.o.Period, nil, "report", "--by", "relay", "--section", "providers", "--all")
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	l := v.providerList(rep, 0)
	l.Title = "All providers"
	v.sorted(l, "refused")
	if v.form != formHTML && l.Sum != nil {
		l.Sum = nil
	}
	v.paged(l)
	v.Tables = append(v.Tables, l)
	v.Notes = append(v.Notes, "A provider answers for all domains whose mail its relays take. Below 20 messages there is no verdict. The rows add up to the last.")
	return nil
}

// provider shows one provider: the incidents that go on there, its relays, its domains and its
// replies.
func (v *screen) provider(ctx context.Context, r store.Reader, name string) error {
	v.Name, v.Title, v.Phrases = "provider", name, phrases(name)
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	routes, cells, err := v.routes(ctx, r)
	if err != nil {
		return err
	}
	var mine []store.Cell
	var all store.Tally
	for i := range cells {
		if c := &cells[i]; routes.Provider(c.Keys[0], c.Keys[1]) == name {
			mine = append(mine, *c)
			all.Add(&c.Tally)
		}
	}
	v.tallies(&all, "provider", name)
	if page := provider.Page(name); page != "" {
		v.Parts = append(v.Parts, part{Title: "Its own pages", Links: []anchor{{name + " for senders", page}}})
	}
	f := v.sel.filter
	f.To = routes.Destination(name)
	v.Command = queryCommand("SELECT relay_host, recipient_domain, outcome, reason, count(*) AS attempts FROM deliveries", &f, "GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC")
	if err := v.course(ctx, r, f, all.Attempts); err != nil {
		return err
	}
	if err := v.replyLists(ctx, r, f, 15, "provider", name); err != nil {
		return err
	}
	if err := v.sendersTo(ctx, r, f, deep("providers", name), "provider", name); err != nil {
		return err
	}
	for _, by := range []struct {
		at          int
		name, title string
		column, key string
	}{{0, "domains", "Domains behind it", "domain", "domain"}, {1, "relays", "Its relays", "relay", "relay-host"}} {
		names, of := merge(mine, func(c *store.Cell) string { return c.Keys[by.at] })
		l := &list{Name: by.name, Title: by.title, Columns: groupColumns(by.column), Empty: "None."}
		for _, n := range names {
			to := v.url(deep("domains", n))
			if by.at == 1 {
				to = v.rows("relay-host", n)
			}
			if n == "" {
				l.Rows = append(l.Rows, v.groupRow([]string{localNames, noRelay}[by.at], "", of[n], "provider", name, "none", by.column))
				continue
			}
			l.Rows = append(l.Rows, v.groupRow(n, to, of[n], by.key, n, "provider", name))
		}
		v.cut(l, 25)
		v.Tables = append(v.Tables, l)
	}
	v.incidentsHere(rep, func(p *problem.Problem) bool { return p.Concerns(name) })
	return nil
}

// incidentsHere shows the incidents that concern a place: cards of those that go on, and a list of
// those that ended. The list is the first on a page, and the last elsewhere, since the first list is
// the CSV of the place.
func (v *screen) incidentsHere(rep *report.Report, here func(*problem.Problem) bool) {
	v.Incidents = []report.Incident{}
	var ended []report.Incident
	for _, in := range rep.Incidents() {
		switch {
		case in.IsBackground() || !here(&rep.Problems[*in.Problem]):
		case in.Going():
			v.Incidents = append(v.Incidents, in)
			v.Cards = append(v.Cards, v.card(rep, &in, 0))
		default:
			ended = append(ended, in)
		}
	}
	v.Incidents = append(v.Incidents, ended...)
	if len(ended) == 0 {
		return
	}
	l := v.incidentList(rep, ended)
	l.Name, l.Title = "ended", "Ended incidents"
	v.cut(l, 10)
	if v.form == formHTML {
		v.Tables = append([]*list{l}, v.Tables...)
	} else {
		v.Tables = append(v.Tables, l)
	}
}

// sendersTo lists the sender domains of the mail to a place, each with a link to the place for its
// mail. f and pairs select the place.
func (v *screen) sendersTo(ctx context.Context, r store.Reader, f store.Filter, page string, pairs ...string) error {
	if f.SenderDomain != "" {
		return nil
	}
	cells, err := r.Count(ctx, f, store.BySenderDomain)
	if err != nil {
		return err
	}
	names, of := merge(cells, func(c *store.Cell) string { return c.Keys[0] })
	l := &list{Name: "sender_domains", Title: "Sender domains", Columns: groupColumns("sender domain"), Empty: "None."}
	for _, n := range names {
		if n == "" {
			l.Rows = append(l.Rows, v.groupRow(noSender, "", of[n], append(slices.Clone(pairs), "none", "sender")...))
			continue
		}
		l.Rows = append(l.Rows, v.groupRow(n, v.url(page, "sender-domain", n), of[n], append(slices.Clone(pairs), "sender-domain", n)...))
	}
	v.cut(l, 15)
	v.Tables = append(v.Tables, l)
	return nil
}

// tallies shows the counts of a place.
func (v *screen) tallies(t *store.Tally, pairs ...string) {
	of := func(n int64) string {
		if t.Attempts == 0 {
			return ""
		}
		return table.Share(float64(n)/float64(t.Attempts)).String() + " of the attempts"
	}
	to := func(n int64, more ...string) string {
		return figure(n, v.rows(append(slices.Clone(pairs), more...)...)).URL
	}
	v.Figures = append(v.Figures,
		number{report.Fact{Label: "attempts", Value: t.Attempts, Note: "for " + table.Count(report.Recipients(&t.Counts), "recipient")}, to(t.Attempts, "outcome", countedWords)},
		number{report.Fact{Label: "delivered", Value: t.Delivered, Note: of(t.Delivered)}, to(t.Delivered, "outcome", "delivered")},
		number{report.Fact{Label: "soft", Value: t.Soft, Note: of(t.Soft)}, to(t.Soft, "outcome", "soft")},
		number{report.Fact{Label: "hard", Value: t.Hard, Note: of(t.Hard)}, to(t.Hard, "outcome", "hard")},
		number{report.Fact{Label: "waiting", Value: t.Pending, Note: "still queued when last seen"}, v.waiting(t.Pending, pairs...).URL},
		number{report.Fact{Label: "recovered", Value: t.Recovered, Note: "deferred, later delivered"}, to(t.Recovered, "end", recovered)})
	if v.form == formJSON { // figures have no links in JSON
		v.Parts = append(v.Parts, part{Title: "Attempts", Links: []anchor{{"all", v.rows(append(slices.Clone(pairs), "outcome", countedWords)...)}, {"failed", to(1, "outcome", failedWords)}, {"hard", to(1, "outcome", "hard")}}})
	}
}

// hoursOf is the maximum number of attempts of a place that are counted by the hour. A store keeps
// counts of a place only by the day: counting 4 million attempts by the hour took 9 s of CPU time.
const hoursOf = 200_000

// course draws a place over time; n is its number of attempts.
func (v *screen) course(ctx context.Context, r store.Reader, f store.Filter, n int64) error {
	if v.form != formHTML {
		return nil
	}
	o := v.options(0, report.SectionTimeline)
	o.Filter, o.Days = f, n > hoursOf
	rep, err := report.Build(ctx, r, o)
	if err != nil {
		return err
	}
	v.Trend = render.NewTrend(rep)
	return nil
}

// domains lists the recipient domains, or shows one.
func (v *screen) domains(ctx context.Context, r store.Reader, _ *http.Request, name string) error {
	if name != "" {
		return v.domain(ctx, r, ascii.Lower(name))
	}
	v.Name, v.Title, v.Phrases = "domains", "Domains", phrases("Recipient domains, most failures first")
	v.Command = v.sel.command(v.o.Period, nil, "report", "--section", "domains", "--all")
	cells, err := r.Count(ctx, v.sel.filter, store.ByDomain)
	if err != nil {
		return err
	}
	names, of := merge(cells, func(c *store.Cell) string { return c.Keys[0] })
	l := &list{Name: "domains", Title: "All domains", Columns: groupColumns("domain"), Empty: "No mail in this period."}
	for _, n := range names {
		if n == "" {
			l.Rows = append(l.Rows, v.groupRow(localNames, "", of[n], "none", "domain"))
			continue
		}
		l.Rows = append(l.Rows, v.groupRow(n, v.url(deep("domains", n)), of[n], "domain", n))
	}
	v.sorted(l, "")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	return nil
}

func (v *screen) domain(ctx context.Context, r store.Reader, name string) error {
	v.Name, v.Title, v.Phrases = "domain", name, phrases(name)
	v.Command = v.sel.command(v.o.Period, []string{"domain"}, "report", "--domain", name)
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	f := v.sel.filter
	f.Domain = name
	cells, err := r.Count(ctx, f, store.ByRelay)
	if err != nil {
		return err
	}
	names, of := merge(cells, func(c *store.Cell) string { return c.Keys[0] })
	var all store.Tally
	providers := map[string]bool{name: true} // mail that reached no relay may count to the domain itself
	for i := range cells {
		all.Add(&cells[i].Tally)
		if host := cells[i].Keys[0]; host != "" {
			providers[provider.OfHost(host)] = true
		}
	}
	v.tallies(&all, "domain", name)
	if err := v.course(ctx, r, f, all.Attempts); err != nil {
		return err
	}
	if err := v.replyLists(ctx, r, f, 15, "domain", name); err != nil {
		return err
	}
	l := &list{Name: "relays", Title: "Its relays", Columns: groupColumns("relay"), Empty: "None."}
	for _, n := range names {
		if n == "" {
			l.Rows = append(l.Rows, v.groupRow(noRelay, "", of[n], "domain", name, "none", "relay"))
			continue
		}
		l.Rows = append(l.Rows, v.groupRow(n, v.url(deep("providers", provider.OfHost(n))), of[n], "domain", name, "relay-host", n))
	}
	v.cut(l, 25)
	v.Tables = append(v.Tables, l)
	if err := v.sendersTo(ctx, r, f, deep("domains", name), "domain", name); err != nil {
		return err
	}
	people := &list{Name: "recipients", Title: "Recipients with permanent failures", Empty: "None.", Columns: []table.Column{{Name: "recipient", Flex: true}, {Name: "failures", Number: true}, {Name: "last delivered"}, {Name: "last reply", Flex: true}}}
	if v.scope.domain == "" {
		for x, err := range r.Recipients(ctx, f, 25) {
			if err != nil {
				return err
			}
			n, last := int64(0), &x.Faults[0]
			for i := range x.Faults {
				n += x.Faults[i].Attempts
				if x.Faults[i].Last.After(last.Last) {
					last = &x.Faults[i]
				}
			}
			to := v.url("trace", "q", x.Address)
			people.Rows = append(people.Rows, row{URL: to, Cells: []cell{{Value: x.Address, URL: to}, figure(n, v.permanent(x.Address, "domain", name)), {Value: v.time(x.LastDelivered)}, {Value: last.Response}}})
		}
		v.Tables = append(v.Tables, people)
	}
	v.incidentsHere(rep, func(p *problem.Problem) bool {
		return slices.Contains(p.Domains, name) || slices.ContainsFunc(p.Providers, func(at string) bool { return p.Unreached() && providers[at] })
	})
	return nil
}

// providerList returns the table of providers, in rows that add up.
func (v *screen) providerList(rep *report.Report, top int) *list {
	l := &list{Name: "providers", Title: "Providers", Empty: "No mail in this period."}
	t := rep.ProviderTable
	if t == nil {
		t = &report.ProviderTable{}
	}
	if top > 0 {
		t = t.First(top)
	}
	l.Columns = t.Columns()
	if !t.Compared && v.form != formHTML { // a program gets the same columns of every period
		l.Columns = append(l.Columns, table.Column{Name: "before", Number: true})
	}
	l.Columns = append(l.Columns, table.Column{Name: "main reason"})
	// pairs select the mail of a row; nil: no page can select it
	line := func(p *report.ProviderRow, name string, pairs []string) row {
		to := func(more ...string) string {
			if pairs == nil {
				return ""
			}
			return v.rows(append(slices.Clone(pairs), more...)...)
		}
		delivered := figure(p.Delivered, to("outcome", "delivered"))
		delivered.Bar = share(p.Delivered, p.Soft, p.Hard)
		refused := figure(p.Refused, to("outcome", failedWords, "reason", suspect))
		if p.Refused > 0 && p.Mark == report.MarkRefuses {
			refused.Class = "bad"
		}
		wait := cell{Value: p.Waiting}
		if p.Waiting == 0 || pairs != nil {
			of := pairs
			if rep.Past() {
				of = append([]string{"deferred", "end"}, pairs...)
			}
			wait = v.queuedCell(p.Waiting, of...)
		}
		first := cell{Value: name, Class: "mark-" + p.Mark}
		x := row{Cells: []cell{first, figure(p.Attempts, to("outcome", countedWords)), delivered, figure(p.Soft, to("outcome", "soft")), wait, figure(p.Hard, to("outcome", "hard")), refused}}
		if t.Compared {
			x.Cells = append(x.Cells, cell{Value: p.RefusedBefore, Class: "zero"})
		} else if v.form != formHTML {
			x.Cells = append(x.Cells, cell{})
		}
		x.Cells = append(x.Cells, cell{Value: p.Reason.String()})
		if len(pairs) > 0 {
			x.URL = v.url(deep("providers", p.Provider))
			x.Cells[0].URL = x.URL
		}
		return x
	}
	for name, p := range t.Lines() {
		switch {
		case p == &t.Total:
			if len(l.Rows) > 0 {
				x := line(p, name, []string{})
				x.Class = "sum"
				l.Sum = &x
			}
		case p == t.Small || p == t.Rest:
			x := line(p, name, nil)
			x.Class = "rest"
			l.Rows = append(l.Rows, x)
		case name == "": // local names
			l.Rows = append(l.Rows, line(p, name, []string{"none", "provider"}))
		default:
			l.Rows = append(l.Rows, line(p, name, []string{"provider", name}))
		}
	}
	if top > 0 {
		l.More = &anchor{"all providers", v.url("providers")}
	}
	return l
}
