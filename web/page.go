package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// A screenKind is a kind of screen, by the first element of its path.
type screenKind struct {
	path     string
	tab, key string // name and key in the navigation; "": it has no entry
	show     func(*screen, context.Context, store.Reader, *http.Request, string) error
	// deep: a second element of the path names one of the things of the page, each with its own.
	deep bool
	// linked: a link for one sender domain shows the page. It does not if the page draws on other
	// senders' mail, names logins and clients, or is about the logs.
	linked bool
}

// screens are all kinds of screens, in the order of the navigation.
var screens = []screenKind{
	{path: "", tab: "Now", key: "n", show: (*screen).now, linked: true},
	{path: "incidents", tab: "Incidents", key: "i", show: (*screen).incidents, deep: true, linked: true},
	{path: "providers", tab: "Providers", key: "p", show: (*screen).providers, deep: true, linked: true},
	{path: "domains", tab: "Domains", key: "d", show: (*screen).domains, deep: true, linked: true},
	{path: "queue", tab: "Queue", key: "w", show: (*screen).queue, linked: true},
	{path: "replies", tab: "Replies", key: "r", show: (*screen).replies, linked: true},
	{path: "senders", tab: "Senders", key: "s", show: (*screen).senders},
	{path: "suppress", tab: "Suppress", key: "u", show: (*screen).suppress},
	{path: "tls", tab: "TLS", key: "t", show: (*screen).tls},
	{path: "log", tab: "Log", key: "l", show: (*screen).log},
	{path: "trace", show: (*screen).trace, linked: true},
	{path: "attempts", show: (*screen).attempts, deep: true, linked: true},
}

// allows reports whether a scope includes a kind of screen.
func (in scope) allows(k *screenKind) bool { return in.domain == "" || k.linked }

// Tabs returns the entries of the navigation.
func (v *screen) Tabs() (tabs []tab) {
	first, _, _ := strings.Cut(v.path, "/")
	for i := range screens {
		if k := &screens[i]; k.tab != "" && v.scope.allows(k) {
			tabs = append(tabs, tab{k.tab, v.url(k.path, "outcome", "", "reason", "", "domain", "", "relay", ""), k.key, first == k.path && v.Name != "error"})
		}
	}
	return tabs
}

// A builder builds pages, and keeps them and the reports that they share.
type builder struct {
	o         Options
	templates *template.Template
	searching chan struct{} // one turn for each report that may query the store
	building  chan struct{} // one turn for each page that may
	waiting   atomic.Int32  // pages and reports that wait for a turn
	pages     *cache[[]byte]
	reports   *cache[datedReport]
}

// screen parses a request. It returns an empty screen and its builder.
func (x *builder) screen(r *http.Request, in scope, path, form string) (v *screen, build func(context.Context) error, err error) {
	first, rest, deep := strings.Cut(path, "/")
	if path == "now" { // now.csv, now.json
		first = ""
	}
	i := slices.IndexFunc(screens, func(k screenKind) bool { return k.path == first && in.allows(&k) })
	if i < 0 || deep && (rest == "" || !screens[i].deep) {
		return nil, nil, mistakef(http.StatusNotFound, "There is no page of this name.")
	}
	q := r.URL.Query()
	sel, err := x.o.selection(q)
	if err != nil {
		return nil, nil, err
	}
	if in.domain != "" {
		sel.filter.SenderDomain = in.domain
		sel.words.Del("sender-domain")
	}
	v = &screen{o: &x.o, scope: in, sel: sel, path: path, form: form, Reload: sel.open && x.o.Watch != nil && in.domain == "" && form == formHTML, extra: url.Values{}}
	for _, key := range append([]string{"after", "page", "table"}, extraKeys...) {
		if word := q.Get(key); word != "" {
			v.extra.Set(key, word)
		}
	}
	return v, func(ctx context.Context) error {
		return x.ask(ctx, x.building, func(ctx context.Context, reader store.Reader) error { return screens[i].show(v, ctx, reader, r, rest) })
	}, nil
}

// cacheKey returns everything that determines a screen, except the stored data.
func cacheKey(v *screen) string {
	return strings.Join([]string{v.scope.base, v.path, v.form, v.sel.words.Encode(), v.extra.Encode()}, "\x00")
}

// wantsFresh reports whether the request comes from a page that was told of new data.
func wantsFresh(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }

// ask runs queries to the store: in turn, and within buildTime.
func (x *builder) ask(ctx context.Context, turns chan struct{}, questions func(context.Context, store.Reader) error) error {
	done, err := x.turn(ctx, turns)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	reader, err := x.o.Read(ctx)
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
func (x *builder) page(r *http.Request, in scope, path, form string) ([]byte, error) {
	asked, _, err := x.screen(r, in, path, form)
	if err != nil {
		return nil, err
	}
	w := want{fresh: wantsFresh(r), aged: asked.Reload}
	switch {
	case form != formHTML: // there is no preview of CSV and JSON
	case w.fresh:
		w.most = toldTime
	default:
		w.most = firstTime
	}
	p, err := x.pages.get(r.Context(), cacheKey(asked), w, func(ctx context.Context, now moment, hurry bool) ([]byte, moment, error) {
		v, build, err := x.screen(r, in, path, form) // parsed again, since the page may have waited
		if err != nil {
			return nil, now, err
		}
		if v.ofReport() {
			made := *v // the report may still be in work when the page goes on with the one before
			kept, err := x.reports.get(ctx, reportKey(v), want{fresh: !hurry, renewed: !hurry, aged: v.Reload}, func(ctx context.Context, now moment, _ bool) (datedReport, moment, error) {
				return x.makeReport(ctx, &made, now)
			})
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
			err = x.render(&b, v, now)
		}
		return b.Bytes(), now, err
	})
	if errors.Is(err, errInWork) {
		return x.preview(r, in, path)
	}
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

// render renders a screen as HTML.
func (x *builder) render(to *bytes.Buffer, v *screen, now moment) error {
	v.Version = now.number
	v.Facts = append(v.Facts, report.Fact{Label: "As of", Value: v.sel.now.Format(time.DateTime)})
	return x.templates.ExecuteTemplate(to, "screen.tmpl", v)
}

// errPreview comes with a page that is served while the requested one is being built.
var errPreview = errors.New("a preview")

// preview returns a page in place of one that is being built, with errPreview. Of the first screen
// it has everything but the search for incidents, if that takes no longer than firstTime; of other
// screens, and otherwise, only the frame.
func (x *builder) preview(r *http.Request, in scope, path string) ([]byte, error) {
	v, _, err := x.screen(r, in, path, formHTML)
	if err != nil {
		return nil, err
	}
	frame := func(v *screen, now moment) ([]byte, error) {
		var b bytes.Buffer
		v.Preview = true
		err := x.render(&b, v, now)
		return b.Bytes(), err
	}
	var page []byte
	if path == "" {
		p, err := x.pages.get(r.Context(), cacheKey(v)+"\x00preview", want{most: firstTime}, func(ctx context.Context, now moment, _ bool) ([]byte, moment, error) {
			v, _, err := x.screen(r, in, path, formHTML)
			if err == nil {
				err = x.ask(ctx, x.building, v.beforeSearch)
			}
			if err != nil {
				return nil, now, err
			}
			page, err := frame(v, now)
			return page, now, err
		})
		if err != nil && !errors.Is(err, errInWork) {
			return nil, err
		}
		if err == nil {
			page = p.value
		}
	}
	if page == nil {
		v.Name, v.Title, v.Phrases = "preview", "In work", phrases("This page is being made")
		if page, err = frame(v, moment{version: x.pages.versions.now()}); err != nil {
			return nil, err
		}
	}
	return bytes.Replace(page, []byte(agedMark), []byte(previewNote(wantsFresh(r), r.URL.RequestURI())), 1), errPreview
}

// previewNote returns the note of a preview. A page that htmx renews asks for the page itself again;
// the browser asks for any other (see servePage).
func previewNote(renews bool, url string) string {
	url = template.HTMLEscapeString(url)
	again := ""
	if renews {
		again = fmt.Sprintf(` hx-get="%s" hx-trigger="load delay:%s" hx-target="#main" hx-select="#main" hx-swap="outerMorph"`, url, previewAgain)
	}
	return `<p class="aged"` + again + `>The page <a href="` + url + `">loads again</a> by itself until it is complete.</p>`
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

// makeReport builds the shared report of a screen.
func (x *builder) makeReport(ctx context.Context, v *screen, now moment) (d datedReport, of moment, err error) {
	err = x.ask(ctx, x.searching, func(ctx context.Context, r store.Reader) error {
		d.sel = v.sel
		d.rep, err = v.report(ctx, r)
		return err
	})
	return d, now, err
}

// errBusy reports that too many pages wait already.
var errBusy = errors.New("too many pages are being made; try again in a few seconds")

// turn waits until a page or a report may query the store.
func (x *builder) turn(ctx context.Context, turns chan struct{}) (done func(), err error) {
	if x.waiting.Add(1) > waitAtMost {
		x.waiting.Add(-1)
		return nil, errBusy
	}
	defer x.waiting.Add(-1)
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
