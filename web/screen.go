package web

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
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
	Preview   bool              // served while the page is being built

	o     *Options
	scope scope
	sel   *selection
	rep   *report.Report // report of the screen, if several screens share it
	path  string         // without the base and the extension
	extra url.Values
	form  string
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

// Periods returns the selectable periods; none if the page does not use one.
func (v *screen) Periods() (tabs []tab) {
	if slices.Contains([]string{"error", "attempt", "incident", "rows", "queue"}, v.Name) {
		return nil
	}
	standard := v.o.Period
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
	return v.scope.until.In(v.o.Location).Format("2006-01-02 15:04")
}

// Zone returns the time zone of the page.
func (v *screen) Zone() string { return (&report.Report{Location: v.o.Location}).Zone() }

// time returns a point in time as a cell.
func (v *screen) time(t time.Time) table.Minute { return table.Minute{Time: t.In(v.o.Location)} }

// A linkedFact is a fact of an incident whose numbers are links.
type linkedFact struct {
	Label       string
	Value, Note []anchor // URL "": text
}
