package web

import (
	"context"
	"fmt"
	"net/http"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// log shows which logs were read, how late, and which lines were not understood.
func (v *screen) log(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "log", "Log", phrases("Log coverage")
	v.Command = v.sel.command(v.o.Period, nil, "report", "--section", "unparsed")
	v.More = "bouncelog db info"
	rep, err := report.Build(ctx, r, v.options(0, report.SectionUnparsed))
	if err != nil {
		return err
	}
	c := rep.Unparsed
	if !rep.AsOf.IsZero() {
		v.Facts = append(v.Facts, report.Fact{Label: "Last line", Value: v.time(rep.AsOf), Note: when.Span(v.sel.now.Sub(rep.AsOf)) + " ago"})
	}
	for _, f := range []report.Fact{
		{Label: "lines", Value: c.Lines, Note: "read in all"},
		{Label: "delivery", Value: c.Delivery, Note: "delivery attempts"},
		{Label: "queue", Value: c.Queue, Note: "arrival, queue, removal"},
		{Label: "rejected", Value: c.Rejected, Note: "mail refused by this server"},
		{Label: "not about deliveries", Value: c.Skipped},
		{Label: "not understood", Value: c.Unparsed, Note: "looked like a delivery"},
		{Label: "blank", Value: c.Blank},
	} {
		v.Figures = append(v.Figures, number{Fact: f})
	}
	logs := &list{Name: "logs", Title: "Logs", Empty: "No log was read.", Columns: []table.Column{{Name: "log", Flex: true}, {Name: "first line"}, {Name: "last line"}, {Name: "age"}, {Name: "lines", Number: true}, {Name: "attempts", Number: true}}}
	for _, s := range rep.Sources {
		x := row{Cells: []cell{{Value: s.Path}, {}, {}, {}, {Value: s.Lines}, {Value: s.Attempts}}}
		if s.First != nil && s.Last != nil {
			x.Cells[1].Value, x.Cells[2].Value, x.Cells[3].Value = v.time(*s.First), v.time(*s.Last), when.Span(v.sel.now.Sub(*s.Last))
		}
		logs.Rows = append(logs.Rows, x)
	}
	v.sorted(logs, "")
	v.paged(logs)
	gaps := &list{Name: "gaps", Title: "Gaps: hours without an attempt where many are usual", Empty: "None.", Columns: []table.Column{{Name: "from"}, {Name: "until"}, {Name: "attempts expected", Number: true}, {Name: "between", Flex: true}}}
	for _, g := range c.Gaps {
		between := ""
		if len(g.Rotation) == 2 {
			between = g.Rotation[0] + " and " + g.Rotation[1]
		}
		gaps.Rows = append(gaps.Rows, row{Cells: []cell{{Value: v.time(g.From)}, {Value: v.time(g.To)}, {Value: g.Expected}, {Value: between}}})
	}
	sample := &list{Name: "not_understood", Title: "Delivery lines not understood", Empty: "None.", Columns: []table.Column{{Name: "log"}, {Name: "byte", Number: true}, {Name: "line", Flex: true}}}
	for _, u := range c.Sample {
		sample.Rows = append(sample.Rows, row{Cells: []cell{{Value: u.Source}, {Value: u.Offset}, {Value: u.Text}}})
	}
	v.cut(sample, 50)
	replies := &list{Name: "unknown_replies", Title: "Replies without a known cause", Empty: "None.", Columns: []table.Column{{Name: "attempts", Number: true}, {Name: "guess"}, {Name: "reply", Flex: true}}}
	for _, u := range c.Reasons {
		replies.Rows = append(replies.Rows, row{Cells: []cell{figure(u.Attempts, v.rows("reply", replyID(u.Text), "outcome", failedWords)), {Value: u.Guess.String()}, {Value: u.Text}}})
	}
	programs := &list{Name: "programs", Title: "Other lines, by program", Empty: "None.", Columns: []table.Column{{Name: "program", Flex: true}, {Name: "lines", Number: true}}}
	for _, p := range c.Programs {
		programs.Rows = append(programs.Rows, row{Cells: []cell{{Value: p.Program}, {Value: p.Lines}}})
	}
	v.cut(programs, 25)
	hosts, err := v.hostList(ctx, r, rep)
	if err != nil {
		return err
	}
	if hosts != nil {
		v.Tables = append(v.Tables, hosts)
	}
	v.Tables = append(v.Tables, logs, gaps, sample, replies, programs)
	if n := c.Repeated; n > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("%s stood in \"message repeated n times\".", table.Count(n, "attempt")))
	}
	return nil
}
