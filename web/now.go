package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// now builds the first screen: the verdict, and the five questions below it.
func (v *screen) now(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title = "now", "Now"
	v.Command = v.sel.command(v.o.Period, nil, "report")
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	v.verdict(rep)
	v.freshness(ctx, r, rep)
	if v.Trend = render.NewTrend(rep); v.form != formHTML {
		v.Trend = nil
	}
	v.Tables = append(v.Tables, v.providerList(rep, 8))
	queue, err := v.queued(ctx, r)
	if err != nil {
		return err
	}
	ages := v.ageList(queue, shortBuckets, 6)
	if _, fact, _, err := v.givenUp(ctx, r, queue); err != nil {
		return err
	} else if fact != nil {
		ages.Note = strings.TrimSpace(ages.Note + " " + fact.Label + " " + table.Text(fact.Value) + ".")
	}
	v.Tables = append(v.Tables, ages, v.changeList(rep))
	return nil
}

// beforeSearch builds the preview of the first screen: totals, the course and the queue, without the
// search for incidents and what depends on it.
func (v *screen) beforeSearch(ctx context.Context, r store.Reader) error {
	v.Name, v.Title, v.Phrases = "now", "Now", phrases("The search for incidents is not finished")
	v.Command = v.sel.command(v.o.Period, nil, "report")
	rep, err := report.Build(ctx, r, v.options(0, report.SectionTotals, report.SectionTimeline))
	if err != nil {
		return err
	}
	v.freshness(ctx, r, rep)
	v.Trend = render.NewTrend(rep)
	queue, err := v.queued(ctx, r)
	if err != nil {
		return err
	}
	v.Tables = append(v.Tables, v.ageList(queue, shortBuckets, 6))
	return nil
}

// verdict shows the sentence of the verdict and the incidents.
func (v *screen) verdict(rep *report.Report) {
	verdict := rep.Verdict
	v.Verdict = verdict
	v.Phrases = verdict.Phrases
	if len(v.Phrases) == 0 {
		v.Phrases = phrases(verdict.Sentence)
	}
	if verdict.Newest == nil {
		v.Notes = append(v.Notes, "The daemon reads the log: systemctl enable --now bouncelog. Or read one that is there: bouncelog import /var/log/mail.log.")
	}
	v.Incidents = []report.Incident{}
	for i := range verdict.Act {
		v.Cards = append(v.Cards, v.card(rep, &verdict.Act[i], i+1))
	}
	for i := range verdict.Ended[:min(len(verdict.Ended), report.EndedShown)] {
		c := v.card(rep, &verdict.Ended[i], len(verdict.Act)+i+1)
		if c.Pages, c.More = nil, nil; !verdict.Ended[i].Remains { // its page has the rest
			c.Check, c.Command, c.ListSenders = "", "", ""
		}
		v.Over = append(v.Over, c)
	}
	if n := verdict.More + max(len(verdict.Ended)-report.EndedShown, 0); n > 0 {
		v.Notes = append(v.Notes, table.Count(int64(n), "further incident")+": see Incidents.")
	}
	if b := verdict.Background; b != nil {
		v.Notes = append(v.Notes, fmt.Sprintf("Background, as every day: %s refused at %s, %s of all mail%s. See Incidents.",
			table.Count(int64(b.Messages), "message"), table.Count(int64(b.Providers), "provider"), b.Share, rep.WholeWords()))
	}
	if s := verdict.Silence; s != nil {
		text := "Nothing was logged for " + when.Span(time.Duration(s.Seconds)*time.Second)
		if s.Expected > 0 {
			text += fmt.Sprintf(", in which about %s%s would be usual", table.Count(s.Expected, "attempt"), rep.SelectedWords())
		}
		v.Notes = append(v.Notes, text+". Is the log still written, and still read? See Log.")
	}
	if n := len(verdict.SilentHosts); n > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("Silent hosts: %d of %d. See Log.", n, len(rep.Hosts)))
	}
}

// freshness shows how current and complete the data is.
func (v *screen) freshness(ctx context.Context, r store.Reader, rep *report.Report) {
	if t := rep.AsOf; !t.IsZero() {
		age := report.AgeWords(t, v.sel.now)
		if v.sel.now.Sub(t) > 24*time.Hour {
			age = v.time(t).String()
		}
		v.Facts = append(v.Facts, report.Fact{Label: "Last line", Value: age})
	}
	if t := rep.Totals; t != nil && t.Attempts > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Attempts", Value: t.Attempts}, report.Fact{Label: "Delivered", Value: table.Share(t.DeliveredRate)})
	}
	if v.scope.domain != "" {
		return
	}
	read, err := r.Coverage(ctx)
	if err != nil {
		return // the page is useful without it
	}
	var known, not int64
	for _, s := range read.Sources {
		known, not = known+s.Delivery, not+s.Unparsed
	}
	if known+not > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Not understood", Value: fmt.Sprintf("%.2f %%", 100*float64(not)/float64(known+not)), Note: "of the delivery lines"})
	}
}

func (v *screen) changeList(rep *report.Report) *list {
	l := &list{Name: "changes", Title: "Changes since the previous period", Empty: "No significant changes.", Columns: []table.Column{
		{Name: "change"}, {Name: "of", Minor: true}, {Name: "which", Flex: true}, {Name: "recipients", Number: true}, {Name: "before", Number: true}, {Name: "main reason"}, {Name: "failed attempts", Number: true},
	}}
	if f := &v.sel.filter; rep.NoPrevious && (f.Since.IsZero() || f.Until.IsZero()) {
		l.Empty = "A period that goes on, or has no start, is not compared."
		l.More = &anchor{"yesterday", v.url("", "day", "yesterday")}
	} else if rep.NoPrevious {
		l.Empty = "Nothing is known of the period before."
	}
	if len(rep.Changes) > 0 {
		l.Note = "Recipients whose mail failed, each once, however often it was tried; for a reason, those to whom mail was returned."
	}
	for i, c := range rep.Changes {
		if i == 8 {
			break
		}
		to, behind := "", ""
		switch c.Kind {
		case "domain":
			to, behind = v.url(deep("domains", c.Key)), v.rows("domain", c.Key, "outcome", failedWords)
		case "provider":
			to, behind = v.url(deep("providers", c.Key)), v.rows("provider", c.Key, "outcome", failedWords)
		case "reason":
			to, behind = v.url("replies", "reason", c.Key), v.rows("reason", c.Key, "outcome", failedWords)
		}
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: c.Change}, {Value: c.Kind}, {Value: c.Key, URL: to}, {Value: c.Recipients}, {Value: c.RecipientsBefore}, {Value: c.Reason.String()}, figure(c.Failed, behind),
		}})
	}
	return l
}
