package web

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// marks are the symbols of a provider's mark.
var marks = map[string]string{report.MarkRefuses: "✖ ", report.MarkFails: "▲ ", report.MarkPartly: "◐ ", report.MarkTakes: "● "}

// markOf returns the symbol for a class, if the text has none.
func markOf(class string) string {
	if name, ok := strings.CutPrefix(class, "mark-"); ok {
		return marks[name]
	}
	return ""
}

// perPage is the number of rows of a list on a page.
const perPage = 50

// paged limits a list to the rows of the page; page counts from 1. CSV and JSON have all rows.
func (v *screen) paged(l *list) {
	if v.form != formHTML {
		l.Rows = l.Rows[:min(len(l.Rows), rowsAtMost)]
		return
	}
	n, _ := strconv.Atoi(v.extra.Get("page"))
	n = min(max(n, 1), (len(l.Rows)+perPage-1)/perPage)
	n = max(n, 1)
	total := len(l.Rows)
	from, to := (n-1)*perPage, min(n*perPage, total)
	l.Rows = l.Rows[from:to]
	if to < total {
		l.Next = &anchor{"next " + strconv.Itoa(min(perPage, total-to)), v.self("page", strconv.Itoa(n+1))}
	}
	if n > 1 {
		l.First = &anchor{"first page", v.self()}
	}
	if total > perPage {
		l.Note = strings.TrimSpace(l.Note + " " + strconv.Itoa(from+1) + " to " + strconv.Itoa(to) + " of " + table.Count(int64(total), "row") + ".")
	}
}

// sorted sorts a list by the requested column, the largest numbers first, and sets the URLs of the
// other orders.
func (v *screen) sorted(l *list, standard string) {
	l.Sorted = standard
	want := v.extra.Get("sort")
	l.Sorts = map[string]string{}
	for i, c := range l.Columns {
		l.Sorts[c.Name] = v.self("sort", c.Name, "page", "")
		if c.Name != want || c.Name == standard {
			continue
		}
		l.Sorted = c.Name
		slices.SortStableFunc(l.Rows, func(a, b row) int {
			return compare(a.Cells[i].Value, b.Cells[i].Value)
		})
	}
}

// compare orders two cells of a column: the largest numbers and times first.
func compare(a, b any) int {
	number := func(x any) (float64, bool) {
		switch n := x.(type) {
		case int:
			return float64(n), true
		case int64:
			return float64(n), true
		case table.Share:
			return float64(n), true
		case float64:
			return n, true
		case table.Minute:
			return float64(n.Unix()), !n.IsZero()
		}
		return 0, false
	}
	x, okX := number(a)
	y, okY := number(b)
	switch {
	case okX && okY && x > y, okX && !okY && b == nil:
		return -1
	case okX && okY && x < y, okY && !okX && a == nil:
		return 1
	case okX || okY:
		return 0
	}
	return strings.Compare(table.Text(a), table.Text(b))
}

// share returns a bar with the shares of delivered, deferred and returned mail.
func share(delivered, soft, hard int64) (bars []bar) {
	all, left := float64(delivered+soft+hard), 0.0
	for _, p := range []struct {
		class string
		n     int64
	}{{"delivered", delivered}, {"soft", soft}, {"hard", hard}} {
		if p.n > 0 {
			w := 100 * float64(p.n) / all
			bars = append(bars, bar{p.class, percent(left), percent(w)})
			left += w
		}
	}
	return bars
}

func percent(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// A paired row is a row with its list, for the template.
type paired struct {
	List *list
	Row  any
}

func pair(l *list, r any) paired { return paired{l, r} }

// Lead returns the index of the column that names a row.
func (l *list) Lead() int {
	if l.Plain {
		return 0
	}
	for i, c := range l.Columns {
		if c.Flex {
			return i
		}
	}
	return 0
}

// parts splits the name of a reason where a line may break.
func parts(reason any) []string { return strings.SplitAfter(render.CellText(reason), "_") }

// figure returns a number with a link to its rows.
func figure(n int64, url string) cell {
	if n == 0 {
		return cell{Value: n, Class: "zero"}
	}
	return cell{Value: n, URL: url}
}

// rows returns the URL of the attempts that a number counts.
func (v *screen) rows(pairs ...string) string { return v.url("attempts", pairs...) }

// Outcomes in a URL: of failures, and of all attempts except hand-offs and probes.
const (
	failedWords  = "soft,hard"
	countedWords = "delivered,soft,hard"
)

const day = 24 * time.Hour

// routes returns the provider of each attempt in the selection, for all outcomes. cells are the
// selection counted by domain and relay.
func (v *screen) routes(ctx context.Context, r store.Reader) (routes *report.Routes, cells []store.Cell, err error) {
	f := v.sel.filter
	f.Outcomes, f.Reasons = nil, nil
	cells, err = r.Count(ctx, f, store.ByDomain, store.ByRelay)
	routes = report.RoutesOf(cells)
	if f = v.sel.filter; err == nil && len(f.Outcomes)+len(f.Reasons) > 0 {
		cells, err = r.Count(ctx, f, store.ByDomain, store.ByRelay)
	}
	return routes, cells, err
}

// The names of rows without a name.
const (
	localNames = "(local names)"
	noRelay    = "no relay reached"
	noSender   = "not known, or the null sender"
)

// groupColumns returns the columns of a list of places.
func groupColumns(first string) []table.Column {
	return []table.Column{
		{Name: first, Flex: true},
		{Name: "attempts", Number: true},
		{Name: "delivered", Number: true},
		{Name: "soft", Number: true},
		{Name: "hard", Number: true},
		{Name: "waiting", Number: true},
		{Name: "main reason"},
	}
}

// groupRow returns the row of one place; pairs select its attempts.
func (v *screen) groupRow(name, to string, t *store.Tally, pairs ...string) row {
	with := func(more ...string) string { return v.rows(append(append([]string{}, pairs...), more...)...) }
	delivered := figure(t.Delivered, with("outcome", "delivered"))
	delivered.Bar = share(t.Delivered, t.Soft, t.Hard)
	reason, n := bounce.NoReason, int64(0)
	for x, k := range t.Reasons {
		if k > n || k == n && x < reason {
			reason, n = x, k
		}
	}
	return row{URL: to, Cells: []cell{
		{Value: name, URL: to},
		figure(t.Attempts, with("outcome", countedWords)), delivered, figure(t.Soft, with("outcome", "soft")), figure(t.Hard, with("outcome", "hard")),
		v.waiting(t.Pending, pairs...),
		{Value: reason.String(), URL: v.reasonURL(reason, pairs...)},
	}}
}

// waiting returns the number of waiting recipients, counted at the place of their first deferral,
// with a link to them. pairs select their attempts.
func (v *screen) waiting(n int64, pairs ...string) cell {
	return v.queuedCell(n, append([]string{"deferred", "period"}, pairs...)...)
}

// queuedCell returns a number of recipients in the queue, whenever they were deferred first, with a link
// to them.
func (v *screen) queuedCell(n int64, pairs ...string) cell {
	with := slices.Clone(pairs)
	for i := 0; i < len(with); i += 2 {
		if with[i] == "provider" {
			with[i] = "q"
		}
	}
	return figure(n, v.url("queue", with...))
}

func (v *screen) reasonURL(r bounce.Reason, pairs ...string) string {
	if r == bounce.NoReason {
		return ""
	}
	return v.rows(append(append([]string{}, pairs...), "outcome", failedWords, "reason", r.String())...)
}

// merge adds up cells by key, without those that have no attempts. The most failures come first.
func merge(cells []store.Cell, key func(*store.Cell) string) (names []string, of map[string]*store.Tally) {
	of = map[string]*store.Tally{}
	for i := range cells {
		c := &cells[i]
		if c.Attempts+c.Pending == 0 {
			continue
		}
		k := key(c)
		if of[k] == nil {
			of[k] = &store.Tally{}
			names = append(names, k)
		}
		of[k].Add(&c.Tally)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := of[a], of[b]
		switch {
		case x.Soft+x.Hard != y.Soft+y.Hard:
			return int(y.Soft + y.Hard - x.Soft - x.Hard)
		case x.Attempts != y.Attempts:
			return int(y.Attempts - x.Attempts)
		}
		return strings.Compare(a, b)
	})
	return names, of
}

// cut keeps the first rows of a list on a page.
func (v *screen) cut(l *list, n int) {
	if v.form == formHTML && len(l.Rows) > n {
		l.Note = strings.TrimSpace(l.Note + " The first " + table.Count(int64(n), "row") + " of " + table.Text(len(l.Rows)) + "; CSV and JSON have all.")
		l.Rows = l.Rows[:n]
	}
}

// permanent returns the URL of the permanent failures of a recipient: hard, or soft despite a 5xx.
func (v *screen) permanent(address string, pairs ...string) string {
	return v.rows(append([]string{"recipient", address, "outcome", failedWords, "permanent", "all"}, pairs...)...)
}

// options returns the options for a report with the given sections.
func (v *screen) options(top int, sections ...string) report.Options {
	o := report.Options{
		Filter: v.sel.filter, Location: v.o.Location, Top: top, Sections: sections, Problems: v.o.Thresholds,
		Now: v.sel.now, Live: v.sel.open, NoWarnings: v.scope.domain != "",
	}
	words := strings.Fields(v.sel.command(v.o.Period, nil))
	o.Rerun = words[1:] // without the program's name
	o.Positions = "bouncelog db info"
	return o
}

// report returns the shared report.
func (v *screen) report(ctx context.Context, r store.Reader) (*report.Report, error) {
	if v.rep != nil {
		return v.rep, nil
	}
	o := v.options(0, report.SectionVerdict, report.SectionTotals, report.SectionProblems, report.SectionProviders, report.SectionChanges, report.SectionTimeline)
	o.Rows = true
	return report.Build(ctx, r, o)
}
