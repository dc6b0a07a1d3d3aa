package web

import (
	"bytes"
	"context"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// The forms of a screen.
const (
	formHTML = "html"
	formCSV  = "csv"
	formJSON = "json"
)

// A screen is one page with its whole content, from which HTML, CSV and JSON are made.
type screen struct {
	Name      string
	Title     string // title of the window
	Phrases   []report.Phrase
	Facts     []report.Fact // below the heading
	Cards     []incidentCard
	Over      []incidentCard // ended incidents, in short
	Figures   []number
	Trend     *render.Trend
	Tables    []*list
	Parts     []part // prose
	Notes     []string
	Search    string // text of the search
	Command   string
	More      string // second command for the same data
	Verdict   *report.Verdict
	Incidents []report.Incident // of Cards and Over, for JSON
	Reload    bool              // the page reloads when something was stored
	Version   int64             // version of the store, if Reload

	server *Server
	scope  scope
	sel    *selection
	rep    *report.Report // report of the screen, if several screens share it
	path   string         // without the base and the extension
	extra  url.Values
	form   string
}

// A number is a count with its meaning and a link.
type number struct {
	report.Fact
	URL string
}

// A part is prose with its own heading.
type part struct {
	Title string
	Lines []string
	Facts []report.Fact // labelled sentences
	Links []anchor
	Code  string
}

type anchor struct{ Name, URL string }

// An incidentCard is an incident with a link to its page.
type incidentCard struct {
	render.Card
	URL      string
	Linked   []linkedFact // Facts
	Evidence []anchor
}

// A list is a table whose cells may be links.
type list struct {
	Name, Title string
	Columns     []table.Column
	Rows        []row
	Sum         *row
	Note        string
	Empty       string
	More        *anchor
	Sorts       map[string]string // by column: URL of the page sorted by it
	Sorted      string
	Next, First *anchor
	Heat        bool // numbers are shaded by their size
	Plain       bool // the first column names the row, and no text is bold
}

// A row is one line of a list. URL is the link of the whole row.
type row struct {
	Cells []cell
	URL   string
	Class string
}

// A cell is a value with an optional link.
type cell struct {
	Value any
	URL   string
	Class string
	Bar   []bar
	Heat  int // 0 to 9
}

// A bar is a part of a drawing, in percent of its width.
type bar struct{ Class, X, W string }

// builders build the screens, by the first element of their path.
var builders = map[string]func(*screen, context.Context, store.Reader, *http.Request, string) error{
	"":          (*screen).now,
	"incidents": (*screen).incidents,
	"providers": (*screen).providers,
	"domains":   (*screen).domains,
	"queue":     (*screen).queue,
	"trace":     (*screen).trace,
	"replies":   (*screen).replies,
	"senders":   (*screen).senders,
	"tls":       (*screen).tls,
	"suppress":  (*screen).suppress,
	"log":       (*screen).log,
	"attempts":  (*screen).attempts,
}

// screen parses a request. It returns an empty screen and its builder.
func (s *Server) screen(r *http.Request, in scope, path, form string) (v *screen, build func(context.Context) error, err error) {
	first, rest, deep := strings.Cut(path, "/")
	if path == "now" { // now.csv, now.json
		first = ""
	}
	show := builders[first]
	if show == nil || deep && rest == "" || deep && !slices.Contains([]string{"incidents", "providers", "domains", "attempts"}, first) || !in.allows(first) {
		return nil, nil, mistakef(http.StatusNotFound, "There is no page of this name.")
	}
	q := r.URL.Query()
	sel, err := s.selection(q)
	if err != nil {
		return nil, nil, err
	}
	if in.domain != "" {
		sel.filter.SenderDomain = in.domain
		sel.words.Del("sender-domain")
	}
	v = &screen{server: s, scope: in, sel: sel, path: path, form: form, Reload: sel.open && s.o.Watch != nil && in.domain == "" && form == formHTML, extra: url.Values{}}
	for _, key := range append([]string{"after", "page", "table"}, extraKeys...) {
		if word := q.Get(key); word != "" {
			v.extra.Set(key, word)
		}
	}
	return v, func(ctx context.Context) error {
		return s.ask(ctx, func(ctx context.Context, reader store.Reader) error { return show(v, ctx, reader, r, rest) })
	}, nil
}

// ask runs queries to the store: in turn, and within buildTime.
func (s *Server) ask(ctx context.Context, questions func(context.Context, store.Reader) error) error {
	done, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	reader, err := s.o.Read(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := questions(ctx, reader); err != nil {
		if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
			return cause
		}
		return err
	}
	return nil
}

// page returns a screen in a form, from the cache or newly built.
func (s *Server) page(r *http.Request, in scope, path, form string) ([]byte, error) {
	asked, _, err := s.screen(r, in, path, form)
	if err != nil {
		return nil, err
	}
	p, err := s.pages.get(r.Context(), cacheKey(asked), want{fresh: wantsFresh(r), aged: asked.Reload}, func(ctx context.Context, now moment, hurry bool) ([]byte, moment, error) {
		v, build, err := s.screen(r, in, path, form) // parsed again, since the page may have waited
		if err != nil {
			return nil, now, err
		}
		if v.ofReport() {
			made := *v // the report may still be in work when the page goes on with the one before
			kept, err := s.reports.get(ctx, reportKey(v), want{fresh: !hurry, renewed: !hurry, aged: v.Reload}, made.makeReport)
			if err != nil {
				return nil, now, err
			}
			v.rep, v.sel, now = kept.value.rep, kept.value.sel, kept.of
		}
		if err := build(ctx); err != nil {
			return nil, now, err
		}
		var b bytes.Buffer
		switch form {
		case formCSV:
			err = v.writeCSV(&b, v.extra.Get("table"))
		case formJSON:
			err = v.writeJSON(&b)
		default:
			v.Version = now.number
			v.Facts = append(v.Facts, report.Fact{Label: "As of", Value: v.sel.now.Format(time.DateTime)})
			err = s.templates.ExecuteTemplate(&b, "screen.tmpl", v)
		}
		return b.Bytes(), now, err
	})
	if err != nil {
		return nil, err
	}
	if form != formHTML {
		return p.value, nil
	}
	note := ""
	if age := time.Since(p.of.at); age >= keptFor {
		note = agedNote(age, r.URL.RequestURI())
	}
	return bytes.Replace(p.value, []byte(agedMark), []byte(note), 1), nil
}

// agedMark is the placeholder in a page for its age, which is inserted when the page is served. No
// log text can contain it: its "<" would be escaped.
const agedMark = "<!--aged-->"

// agedNote returns a note with the age of a page, which requests the new one.
func agedNote(age time.Duration, url string) string {
	url = template.HTMLEscapeString(url)
	return `<p class="aged" hx-get="` + url + `" hx-trigger="load" hx-target="#main" hx-select="#main" hx-swap="outerMorph">` + when.Span(age.Truncate(time.Second)) +
		` old; <a href="` + url + `">a newer page</a> is being made.</p>`
}

// A datedReport is a report with its selection.
type datedReport struct {
	rep *report.Report
	sel *selection
}

// ofReport reports whether the screen uses the report that several screens share: it contains the
// search for incidents, which costs more than the rest.
func (v *screen) ofReport() bool {
	first, _, deep := strings.Cut(v.path, "/")
	return first == "" || first == "now" || first == "incidents" || first == "providers" || first == "domains" && deep
}

// reportKey returns everything that determines the shared report, except the stored data.
func reportKey(v *screen) string { return v.scope.base + "\x00" + v.sel.words.Encode() }

// makeReport builds the shared report.
func (v *screen) makeReport(ctx context.Context, now moment, _ bool) (d datedReport, of moment, err error) {
	err = v.server.ask(ctx, func(ctx context.Context, r store.Reader) error {
		d.sel = v.sel
		d.rep, err = v.report(ctx, r)
		return err
	})
	return d, now, err
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

func phrases(text string) []report.Phrase { return []report.Phrase{{Text: text}} }

// Base returns the prefix of the URLs of all pages.
func (v *screen) Base() string { return v.scope.base }

// url returns the URL of a page about the same attempts. Pairs are additional keys and values; ""
// removes a key. The keys of a period are replaced as a whole. A trace covers all attempts of its
// period, since it could not show the end of a message without them.
func (v *screen) url(path string, pairs ...string) string {
	q := url.Values{}
	for key, list := range v.sel.words {
		if path != "trace" || !slices.Contains([]string{"domain", "relay", "outcome", "reason"}, key) {
			q[key] = list
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		switch key, value := pairs[i], pairs[i+1]; {
		case value == "":
			delete(q, key)
		case key == "since" || key == "day":
			for _, other := range selectKeys[:3] {
				delete(q, other)
			}
			q[key] = []string{value}
		case key == "outcome" || key == "reason":
			q[key] = strings.Split(value, ",")
		default:
			q[key] = []string{value}
		}
	}
	u := v.scope.base + "/" + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	return u
}

// deep returns a path with a name in it, which may contain any characters.
func deep(path, name string) string { return path + "/" + url.PathEscape(name) }

// extraKeys are the keys of a URL that do not select attempts. The pages of one list keep them.
var extraKeys = []string{"q", "sort", "bucket", "provider", "reply", "sender", "recipient", "permanent", "answer", "relay-host", "login", "client", "tls", "none", "end", "deferred", "rows", "hour"}

// self returns the URL of this page with other keys beside its selection.
func (v *screen) self(pairs ...string) string {
	var with []string
	for _, key := range extraKeys {
		if word := v.extra.Get(key); word != "" {
			with = append(with, key, word)
		}
	}
	return v.url(escapePath(v.path), append(with, pairs...)...)
}

// escapePath escapes the elements of a path from a URL.
func escapePath(path string) string {
	first, rest, ok := strings.Cut(path, "/")
	if !ok {
		return first
	}
	return first + "/" + url.PathEscape(rest)
}

// URL returns the URL of this page.
func (v *screen) URL() string {
	if page := v.extra.Get("page"); page != "" {
		return v.self("page", page)
	}
	return v.self("after", v.extra.Get("after"))
}

// Form returns the URL of this page in another form.
func (v *screen) Form(form string) string {
	u := v.self()
	path, query, ok := strings.Cut(u, "?")
	if strings.HasSuffix(path, "/") {
		path += "now"
	}
	path += "." + form
	if ok {
		path += "?" + query
	}
	return path
}

// A tab is an entry of the navigation.
type tab struct {
	Name, URL, Key string
	Here           bool
}

// Tabs returns the entries of the navigation, one for each screen.
func (v *screen) Tabs() (tabs []tab) {
	for _, t := range []struct{ path, name, key string }{
		{"", "Now", "n"},
		{"incidents", "Incidents", "i"},
		{"providers", "Providers", "p"},
		{"domains", "Domains", "d"},
		{"queue", "Queue", "w"},
		{"replies", "Replies", "r"},
		{"senders", "Senders", "s"},
		{"suppress", "Suppress", "u"},
		{"tls", "TLS", "t"},
		{"log", "Log", "l"},
	} {
		if v.scope.allows(t.path) {
			first, _, _ := strings.Cut(v.path, "/")
			tabs = append(tabs, tab{t.name, v.url(t.path, "outcome", "", "reason", "", "domain", "", "relay", ""), t.key, first == t.path && v.Name != "error"})
		}
	}
	return tabs
}

// Periods returns the selectable periods; none if the page does not use one.
func (v *screen) Periods() (tabs []tab) {
	if slices.Contains([]string{"error", "attempt", "incident", "rows", "queue"}, v.Name) {
		return nil
	}
	standard := v.server.o.Period
	if v.Name == "trace" { // see screen.trace
		standard = all
	}
	now := v.sel.period(standard)
	known := false
	for _, p := range []struct{ key, word, name string }{{"since", "1h", "1 h"}, {"since", "24h", "24 h"}, {"day", "yesterday", "yesterday"}, {"since", "7d", "7 d"}, {"since", "30d", "30 d"}, {"since", all, "all"}} {
		tabs = append(tabs, tab{Name: p.name, URL: v.self(p.key, p.word), Here: p.word == now})
		known = known || p.word == now
	}
	if !known {
		tabs = append(tabs, tab{Name: now, URL: v.self(), Here: true})
	}
	return tabs
}

// Filters returns the other filters, each with the URL of the page without it.
func (v *screen) Filters() (tabs []tab) {
	if slices.Contains([]string{"error", "attempt", "incident", "rows"}, v.Name) {
		return nil
	}
	for _, key := range selectKeys[3:] {
		if words := v.sel.words[key]; len(words) > 0 {
			tabs = append(tabs, tab{Name: strings.ReplaceAll(key, "-", " ") + ": " + strings.Join(words, ", "), URL: v.self(key, "")})
		}
	}
	return tabs
}

// Scoped returns the sender domain to which the page is limited; "": none.
func (v *screen) Scoped() string { return v.scope.domain }

// Expires returns the expiry of a link.
func (v *screen) Expires() string {
	return v.scope.until.In(v.server.o.Location).Format("2006-01-02 15:04")
}

// Zone returns the time zone of the page.
func (v *screen) Zone() string { return (&report.Report{Location: v.server.o.Location}).Zone() }

// time returns a point in time as a cell.
func (v *screen) time(t time.Time) table.Minute { return table.Minute{Time: t.In(v.server.o.Location)} }

// writeCSV writes the list with a name; "": the first.
func (v *screen) writeCSV(w io.Writer, name string) error {
	for _, l := range v.Tables {
		if name == "" || l.Name == name {
			rw := table.NewRowWriter(w, table.FormatCSV, l.Columns)
			for _, r := range l.Rows {
				if err := rw.Row(r.values()); err != nil {
					return err
				}
			}
			return rw.Close()
		}
	}
	if name == "" {
		return nil
	}
	names := make([]string, len(v.Tables))
	for i, l := range v.Tables {
		names[i] = l.Name
	}
	return mistakef(http.StatusNotFound, "There is no such table; there are %s.", strings.Join(names, ", "))
}

func (r *row) values() []any {
	out := make([]any, len(r.Cells))
	for i := range r.Cells {
		out[i] = r.Cells[i].Value
	}
	return out
}

// An object is a JSON object that keeps the order of its keys.
type object []struct {
	key   string
	value any
}

func (o *object) add(key string, value any) {
	*o = append(*o, struct {
		key   string
		value any
	}{key, value})
}

// MarshalJSON encodes the object.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := table.MarshalJSON(e.key)
		if err != nil {
			return nil, err
		}
		value, err := table.MarshalJSON(e.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// key converts the name of a column or a fact into a JSON key.
func key(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "_") }

// jsonValue returns a cell's value for JSON; a point in time becomes a timestamp.
func jsonValue(value any) any {
	switch x := value.(type) {
	case table.Minute:
		if x.IsZero() {
			return nil
		}
		return x.UTC()
	case []byte:
		return string(x)
	case string:
		return strings.ToValidUTF8(x, "\ufffd")
	}
	return value
}

func facts(list []report.Fact) (o object) {
	for _, f := range list {
		if f.Note == "" {
			o.add(key(f.Label), jsonValue(f.Value))
			continue
		}
		o.add(key(f.Label), object{{"value", jsonValue(f.Value)}, {"note", f.Note}})
	}
	return o
}

// writeJSON writes the whole screen.
func (v *screen) writeJSON(w io.Writer) error {
	var o object
	o.add("screen", v.Name)
	o.add("title", sentence(v.Phrases))
	if v.scope.domain == "" { // commands are not for the holder of a link
		o.add("command", v.Command)
	}
	o.add("as_of", v.sel.now.UTC())
	period := object{}
	for _, end := range []struct {
		key string
		t   time.Time
	}{{"since", v.sel.filter.Since}, {"until", v.sel.filter.Until}} {
		if !end.t.IsZero() {
			period.add(end.key, end.t.UTC())
		}
	}
	o.add("period", period)
	if v.Verdict != nil {
		o.add("verdict", v.Verdict)
	} else if v.Incidents != nil {
		o.add("incidents", v.Incidents)
	}
	list := slices.Clone(v.Facts)
	for _, n := range v.Figures {
		list = append(list, n.Fact)
	}
	if len(list) > 0 {
		o.add("facts", facts(list))
	}
	for _, p := range v.Parts {
		var one object
		if p.Code != "" {
			one.add("text", strings.ToValidUTF8(p.Code, "\ufffd"))
		}
		if len(p.Lines) > 0 {
			one.add("words", p.Lines)
		}
		one = append(one, facts(p.Facts)...)
		for _, a := range p.Links {
			one.add(key(a.Name), a.URL)
		}
		o.add(key(p.Title), one)
	}
	tables := object{}
	for _, l := range v.Tables {
		rows := make([]object, 0, len(l.Rows))
		for _, r := range l.Rows {
			var one object
			for i := range r.Cells {
				if value := jsonValue(r.Cells[i].Value); value != nil {
					one.add(key(l.Columns[i].Name), value)
				}
			}
			if r.URL != "" {
				one.add("url", r.URL)
			}
			rows = append(rows, one)
		}
		tables.add(l.Name, rows)
		if l.Next != nil {
			o.add("next_"+l.Name, l.Next.URL)
		}
	}
	o.add("tables", tables)
	if len(v.Notes) > 0 {
		o.add("notes", v.Notes)
	}
	raw, err := table.MarshalIndent(o, "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

func sentence(list []report.Phrase) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.Text)
	}
	return b.String()
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

// markOf returns the symbol for a class, if the text has none.
func markOf(class string) string {
	if name, ok := strings.CutPrefix(class, "mark-"); ok {
		return marks[name]
	}
	return ""
}
