package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// Figures of a provider that takes no mail, which this package reads from the store.
const (
	figureWaiting = problem.Figure("waiting")  // Queue.Waiting
	figureGivenUp = problem.Figure("given-up") // Queue.GivenUp
	figureStuck   = problem.Figure("stuck")    // both
)

// figureTitles has the heading of the rows behind each figure.
var figureTitles = map[problem.Figure]string{
	problem.FigureAttempts: "Failed attempts", problem.FigureRefused: "Refused messages", problem.FigureReturned: "Messages returned to their senders",
	problem.FigureRecipients: "Recipients", problem.FigureValid: "Recipients known to be valid",
	problem.FigureTried: "Messages tried since it began", problem.FigureTriedRefused: "Messages refused since it began",
	problem.FigureBefore: "Messages tried before it began", problem.FigureBeforeRefused: "Messages refused before it began",
	problem.FigureTaken: "Messages taken since", problem.FigureReached: "Recipients reached since",
	figureWaiting: "Waiting mail", figureGivenUp: "Mail given up", figureStuck: "Mail not delivered since it began",
}

// figureURL returns the URL of the rows behind a figure of an incident; "": the figure is 0, or a sum
// of the store without rows. more are further pairs of its query.
func (v *screen) figureURL(rep *report.Report, in *report.Incident, f problem.Figure, n int, more ...string) string {
	if n == 0 || in.Problem == nil {
		return ""
	}
	p := &rep.Problems[*in.Problem]
	if n == p.Messages && p.Onset != nil && p.Onset.Refused == n && (f == problem.FigureTried || f == problem.FigureTriedRefused) && !p.HasRows(f) {
		f = problem.FigureRefused // the same messages
	}
	switch {
	case p.Unreached() && f == problem.FigureAttempts:
		return v.rows("provider", p.Providers[0], "outcome", failedWords, "reason", "")
	case p.Throttled(): // its messages were delivered later
		return ""
	case p.Unreached() && f == problem.FigureReturned:
		return v.rows("provider", p.Providers[0], "outcome", "hard", "reason", "")
	case !p.HasRows(f) && !(p.Unreached() && slices.Contains([]problem.Figure{problem.FigureRefused, figureWaiting, figureGivenUp, figureStuck}, f)):
		return ""
	}
	return v.url(deep("incidents", in.ID), append([]string{"rows", string(f)}, more...)...)
}

// figureCell returns a figure of an incident with a link to its rows.
func (v *screen) figureCell(rep *report.Report, in *report.Incident, f problem.Figure, n int, more ...string) cell {
	return figure(int64(n), v.figureURL(rep, in, f, n, more...))
}

// figureRows shows the rows behind a figure of an incident: an attempt for each message, recipient or
// attempt that it counts.
func (v *screen) figureRows(ctx context.Context, r store.Reader, req *http.Request, rep *report.Report, in *report.Incident) error {
	f := problem.Figure(req.URL.Query().Get("rows"))
	title, known := figureTitles[f]
	if !known || in.Problem == nil {
		return mistakef(http.StatusNotFound, "There are no such rows of an incident.")
	}
	p := &rep.Problems[*in.Problem]
	refs := p.Rows(f)
	if p.Unreached() {
		var err error
		if refs, err = v.undelivered(ctx, r, p, f); err != nil {
			return err
		}
	}
	if word := v.extra.Get("hour"); word != "" {
		hour, err := time.Parse(time.RFC3339, word)
		if err != nil {
			return mistakef(http.StatusBadRequest, "There is no such hour.")
		}
		refs = slices.DeleteFunc(refs, func(ref store.Ref) bool { return !time.Unix(ref.Time, 0).UTC().Truncate(time.Hour).Equal(hour) })
		title += " of the hour from " + table.Text(v.time(hour))
	}
	if p.Unreached() || p.Outage() {
		title = strings.NewReplacer("Refused messages", "Messages not delivered", "refused", "not delivered").Replace(title)
	}
	v.Phrases = phrases(title)
	v.Command = v.sel.command(v.o.Period, nil, "report", "--section", "problems")
	v.Facts = append(v.Facts, report.Fact{Label: "Rows", Value: len(refs)})
	v.Parts = append(v.Parts, part{Title: "Of the incident", Links: []anchor{{in.Title, v.url(deep("incidents", in.ID))}}})
	l := v.attemptList()
	switch f {
	case problem.FigureAttempts:
	case problem.FigureRecipients, problem.FigureValid, problem.FigureReached:
		l.Title += ", one for each recipient"
	default:
		l.Title += ", one for each message"
	}
	refs = pageOf(v, l, refs)
	found, err := r.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	for _, a := range found {
		if a != nil && (v.scope.domain == "" || a.SenderDomain == v.scope.domain) { // else it was pruned, or a link does not show it
			l.Rows = append(l.Rows, v.attemptRow(a))
		}
	}
	v.Tables = append(v.Tables, l)
	return nil
}

// pageOf returns the refs of the page of a list.
func pageOf(v *screen, l *list, refs []store.Ref) []store.Ref {
	size := perPage
	if v.form != formHTML {
		size = attemptsAtMost
	}
	n, _ := strconv.Atoi(v.extra.Get("page"))
	n = max(min(n, (len(refs)+size-1)/size), 1)
	from, to := (n-1)*size, min(n*size, len(refs))
	if to < len(refs) {
		l.Next = &anchor{"next " + strconv.Itoa(min(size, len(refs)-to)), v.self("page", strconv.Itoa(n+1))}
	}
	if n > 1 {
		l.First = &anchor{"first page", v.self()}
	}
	if len(refs) > size {
		l.Note = fmt.Sprintf("%d to %d of %s.", from+1, to, table.Count(int64(len(refs)), "row"))
	}
	return refs[from:to]
}

// undeliveredRead is the maximum number of attempts that are read for the mail that a provider does
// not take.
const undeliveredRead = 100_000

// undelivered returns the mail to a provider that takes none: the last attempt of each recipient of
// a message that waits, and the failures by which mail was given up, the newest first.
func (v *screen) undelivered(ctx context.Context, r store.Reader, p *problem.Problem, figure problem.Figure) ([]store.Ref, error) {
	if figure != problem.FigureRefused && p.Queue == nil {
		return nil, nil
	}
	routes, _, err := v.routes(ctx, r)
	if err != nil {
		return nil, err
	}
	f := v.sel.filter
	f.To, f.Outcomes, f.Reasons = routes.DestinationOf(p), []bounce.Outcome{bounce.Delivered, bounce.Soft, bounce.Hard}, nil
	if figure != problem.FigureRefused {
		f.Since = p.Began()
	}
	since := f.Since
	if !since.IsZero() {
		f.Since = since.Add(-report.QueueLifetime)
	}
	u := report.NewUndelivered[store.Pair]()
	var refs []store.Ref
	for a, err := range r.Attempts(ctx, f, store.Page{Limit: undeliveredRead}) {
		if err != nil {
			return nil, err
		}
		u.Add(a.Pair(), a.Outcome, a.Time, a.Ref())
		if a.Outcome == bounce.Hard && !a.Time.Before(since) && figure != figureWaiting {
			refs = append(refs, a.Ref())
		}
	}
	for _, w := range u.Waiting {
		if figure != figureGivenUp && !w.First.Before(since) {
			refs = append(refs, w.Last)
		}
	}
	slices.SortFunc(refs, func(a, b store.Ref) int { return b.Compare(a) })
	return refs, nil
}

// linkedFacts returns the facts of an incident with links from its numbers to their rows.
func (v *screen) linkedFacts(rep *report.Report, in *report.Incident, facts []report.Fact) []linkedFact {
	if in.Problem == nil {
		return nil
	}
	p := &rep.Problems[*in.Problem]
	to := func(f problem.Figure, n int) numberLink { return numberLink{n, v.figureURL(rep, in, f, n)} }
	list := make([]linkedFact, len(facts))
	for i, f := range facts {
		var value, note []numberLink
		switch f.Label {
		case "Since":
			taken := problem.FigureTaken
			if p.Outage() {
				taken = problem.FigureReached
			}
			if n, ok := leadingNumber(in.Ended); ok {
				note = append(note, to(taken, n))
			}
		case in.Label():
			value = append(value, to(problem.FigureRefused, in.Refused))
			if in.Tried != in.Refused {
				value = append(value, to(problem.FigureTried, in.Tried))
			}
			note = append(note, to(problem.FigureBeforeRefused, in.Before), to(problem.FigureBefore, in.BeforeTried))
		case "In all":
			value = append(value, to(figureStuck, in.Queue.Waiting+in.Queue.GivenUp))
			note = append(note, to(figureWaiting, in.Queue.Waiting), to(figureGivenUp, in.Queue.GivenUp))
		case "Of all mail":
			note = append(note, to(problem.FigureReturned, in.Lost))
		case "Recipients":
			value = append(value, to(problem.FigureRecipients, in.Recipients))
			note = append(note, to(problem.FigureValid, in.Valid))
		}
		list[i] = linkedFact{f.Label, linkNumbers(f.Value, value), linkNumbers(f.Note, note)}
	}
	return list
}

// leadingNumber returns the number at the beginning of a text.
func leadingNumber(s string) (int, bool) {
	word, _, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(word)
	return n, err == nil
}

// A numberLink is a number in a text, and where it leads.
type numberLink struct {
	n   int
	URL string
}

// linkNumbers splits a text into its numbers with links and the text between them. links are in the
// order of the text; one whose number is not found is left out.
func linkNumbers(value any, links []numberLink) (list []anchor) {
	text := render.CellText(value)
	add := func(a anchor) {
		if a.Name != "" {
			list = append(list, a)
		}
	}
	for _, l := range links {
		number := render.CellText(value)
		if _, is := value.(int); !is {
			number = strconv.Itoa(l.n)
		}
		at := wordIn(text, number)
		if at < 0 {
			continue
		}
		before, end := text[:at], at+len(number)
		add(anchor{Name: before})
		add(anchor{number, l.URL})
		text = text[end:]
	}
	add(anchor{Name: text})
	return list
}

// wordIn returns the index of a number in a text that is not a part of a longer word, time or number;
// -1: it has none.
func wordIn(text, number string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], number)
		if i < 0 {
			return -1
		}
		at := from + i
		end := at + len(number)
		if (at == 0 || text[at-1] == ' ') && (end == len(text) || strings.IndexByte(" ,;", text[end]) >= 0) {
			return at
		}
		from = end
	}
}
