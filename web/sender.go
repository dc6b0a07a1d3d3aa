package web

import (
	"context"
	"net/http"
	"strings"

	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/store"
)

// senders shows the senders of failed mail: by domain, address, login and client.
func (v *screen) senders(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "senders", "Senders", phrases("Senders of failed mail")
	v.Command = v.sel.command(v.o.Period, nil, "report", "--by", "sender-domain", "--section", "domains", "--all")
	v.More = v.sel.command(v.o.Period, nil, "report", "--section", "senders", "--all")
	cells, err := r.Count(ctx, v.sel.filter, store.BySenderDomain)
	if err != nil {
		return err
	}
	names, of := merge(cells, func(c *store.Cell) string { return c.Keys[0] })
	l := &list{Name: "sender_domains", Title: "By sender domain", Columns: groupColumns("sender domain"), Empty: "No mail in this period."}
	for _, n := range names {
		if n == "" {
			l.Rows = append(l.Rows, v.groupRow(noSender, "", of[n], "none", "sender"))
			continue
		}
		l.Rows = append(l.Rows, v.groupRow(n, v.url("", "sender-domain", n), of[n], "sender-domain", n))
	}
	v.sorted(l, "")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	rep, err := report.Build(ctx, r, v.options(15, report.SectionSenders))
	if err != nil {
		return err
	}
	s := rep.Senders
	if s == nil || v.extra.Get("page") != "" {
		return nil
	}
	for _, x := range []struct {
		name, title, column, key string
		rows                     []report.SenderCount
	}{
		{"senders", "By envelope sender, failed attempts", "sender", "sender", s.Senders},
		{"logins", "By login (SASL)", "login", "login", s.SASLUsers},
		{"clients", "By client address", "client", "client", s.Clients},
	} {
		l := &list{Name: x.name, Title: x.title, Empty: "None known.", Columns: []table.Column{
			{Name: x.column, Flex: true}, {Name: "failed", Number: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "share of hard", Number: true}, {Name: "main reason"},
		}}
		for _, c := range x.rows {
			key := strings.ReplaceAll(c.Key, "\x00", "")
			class := ""
			if c.StandsOut() {
				class = "mark-fails"
			}
			l.Rows = append(l.Rows, row{URL: v.rows(x.key, key, "outcome", failedWords), Cells: []cell{
				{Value: c.Key, URL: v.rows(x.key, key, "outcome", failedWords), Class: class},
				figure(c.Failed, v.rows(x.key, key, "outcome", failedWords)), figure(c.Soft, v.rows(x.key, key, "outcome", "soft")),
				figure(c.Hard, v.rows(x.key, key, "outcome", "hard")),
				{Value: table.Share(c.Share)},
				{Value: c.Reason.String()},
			}})
		}
		if s.Since != nil {
			l.Note = "With very many failures only those since " + v.time(*s.Since).String() + " are counted by sender."
		}
		v.Tables = append(v.Tables, l)
	}
	return nil
}

// suppress shows the addresses to suppress, and those that are spared.
func (v *screen) suppress(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "suppress", "Suppress", phrases("Suppression list")
	v.Command = v.sel.command(v.o.Period, nil, "suppress")
	v.More = v.sel.command(v.o.Period, nil, "suppress", "--why-not")
	found, err := report.Suppressions(ctx, r, v.sel.filter, 1)
	if err != nil {
		return err
	}
	l := &list{Name: "suppress", Title: "Addresses to suppress", Empty: "No address is to be suppressed in this period.", Columns: []table.Column{
		{Name: "recipient", Flex: true}, {Name: "reason"}, {Name: "failures", Number: true}, {Name: "since"}, {Name: "last"}, {Name: "last delivered"}, {Name: "reply", Flex: true},
	}}
	delivered := func(x *report.Suppression) table.Minute {
		if x.LastDelivered == nil {
			return table.Minute{}
		}
		return v.time(*x.LastDelivered)
	}
	for i := range found.Suppress {
		x := &found.Suppress[i]
		to := v.url("trace", "q", x.Recipient)
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{{Value: x.Recipient, URL: to}, {Value: x.Reason.String()}, figure(x.Failures, v.faults(x)), {Value: v.time(x.Since)}, {Value: v.time(x.Last)}, {Value: delivered(x)}, {Value: x.Response}}})
	}
	n := len(l.Rows)
	v.sorted(l, "")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	spared := &list{Name: "spared", Title: "Kept despite a permanent failure", Empty: "None.", Columns: []table.Column{{Name: "recipient", Flex: true}, {Name: "why", Flex: true}, {Name: "reason"}, {Name: "failures", Number: true}, {Name: "last"}, {Name: "reply", Flex: true}}}
	for i := range found.Spared {
		if v.form == formHTML && i == 25 {
			spared.Note = "The first 25 of " + table.Count(int64(len(found.Spared)), "address") + "; CSV (table=spared) and JSON have all."
			break
		}
		x := &found.Spared[i]
		to := v.url("trace", "q", x.Recipient)
		spared.Rows = append(spared.Rows, row{URL: to, Cells: []cell{{Value: x.Recipient, URL: to}, {Value: x.Why}, {Value: x.Reason.String()}, figure(x.Failures, v.permanent(x.Recipient)), {Value: v.time(x.Last)}, {Value: x.Response}}})
	}
	v.Tables = append(v.Tables, spared)
	v.Facts = append(v.Facts, report.Fact{Label: "To be suppressed", Value: n}, report.Fact{Label: "Spared", Value: len(found.Spared)})
	v.Notes = append(v.Notes, "This page suppresses nothing. The command makes a list or a map for Postfix or Exim; read it before you use it.")
	return nil
}

// faults returns the URL of the failures for which an address is to be suppressed: of its own faults
// since the last delivery, without those that are doubted.
func (v *screen) faults(x *report.Suppression) string {
	pairs := []string{"recipient", x.Recipient, "outcome", "hard", "permanent", ofAddress, "since", x.Since.In(v.o.Location).Format("2006-01-02T15:04:05"), "answer", strings.Join(x.Answers, ",")}
	if u := v.sel.filter.Until; !u.IsZero() {
		pairs = append(pairs, "until", u.In(v.o.Location).Format("2006-01-02T15:04:05"))
	}
	return v.rows(pairs...)
}
