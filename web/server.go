package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/report/render"
	"bouncelog/store"
)

// A Server is the dashboard as an http.Handler.
type Server struct {
	builder
	assets   assets
	live     *hub
	versions *versions // of the store
	tokens   *sessions // nil: no token is needed
	handler  http.Handler
}

// New returns a dashboard.
func New(o Options) (*Server, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Period == "" {
		o.Period = "24h"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{versions: &versions{watch: o.Watch}}
	s.o, s.searching, s.building = o, make(chan struct{}, searchAtOnce), make(chan struct{}, buildsAtOnce)
	s.live = newHub(o.Watch, s.versions, o.Log)
	s.pages, s.reports = newCache(s.versions, pagesAtMost, func(page []byte) int { return len(page) }), newCache[datedReport](s.versions, reportsAtMost, nil)
	if _, err := s.o.selection(nil); err != nil {
		return nil, fmt.Errorf("the period of a page: %w", err)
	}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	s.templates, err = render.Components().Funcs(template.FuncMap{"text": render.CellText, "asset": s.assets.url, "pair": pair, "mark": markOf, "parts": parts, "aged": func() template.HTML { return agedMark }}).ParseFS(files, "html/*.tmpl")
	if err != nil {
		return nil, err
	}
	if o.Token != "" {
		s.tokens = newSessions(o.Token)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{name}", s.assets.serve)
	mux.HandleFunc("GET /events", s.live.serve)
	mux.HandleFunc("GET /link/{token}/{path...}", s.serveLink)
	mux.HandleFunc("GET /{path...}", func(w http.ResponseWriter, r *http.Request) { s.servePage(w, r, scope{}, r.PathValue("path")) })
	protected := http.NewCrossOriginProtection().Handler(onlyRead(s.tokens.admit(mux)))
	s.handler = s.guard(protected)
	return s, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the streams of live pages and releases the store.
func (s *Server) Close() {
	s.live.close()
	s.pages.close()
	s.reports.close()
	s.versions.close()
}

// Warm builds the first page before the first request.
func (s *Server) Warm(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	if _, err = s.page(r, scope{}, "", formHTML); errors.Is(err, errPreview) {
		return nil // the page is built to the end
	}
	return err
}

// policy lets a page load its style, script and fonts from here, and submit its forms here.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard sets the headers of every response, including refusals, and refuses foreign host names.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		if !s.ours(r.Host) {
			http.Error(w, "bouncelog does not answer to this name; see --host", http.StatusMisdirectedRequest)
			return
		}
		if len(r.URL.RawQuery) > queryAtMost {
			http.Error(w, "the query is too long", http.StatusRequestURITooLong)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether the dashboard accepts a host name.
func (s *Server) ours(host string) bool {
	name := strings.ToLower(hostname(host))
	switch name {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	for _, one := range s.o.Hosts {
		if strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

// hostname returns a Host header without its port and brackets.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1) {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// onlyRead refuses requests that are not reads.
func onlyRead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "bouncelog only answers questions", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// servePage serves a screen in the form of the path's extension.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request, in scope, path string) {
	path, form := strings.TrimSuffix(path, "/"), formHTML
	for _, f := range []string{formCSV, formJSON} {
		if base, ok := strings.CutSuffix(path, "."+f); ok {
			path, form = base, f
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	r = r.WithContext(ctx)
	page, err := s.page(r, in, path, form)
	switch {
	case errors.Is(err, errPreview):
		if !wantsFresh(r) {
			w.Header().Set("Refresh", strconv.Itoa(int(previewAgain.Seconds())))
		}
	case err != nil:
		s.fail(w, r, in, err)
		return
	}
	switch form {
	case formCSV:
		name, _, _ := strings.Cut(path, "/") // name of an existing screen
		w.Header().Set("Content-Disposition", `attachment; filename="`+firstWord(name, "now")+`.csv"`)
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	case formJSON:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	w.Write(page)
}

// serveLink serves a page in the scope of a link.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) {
	in, err := readLink(s.o.Key, r.PathValue("token"), s.o.Now())
	if err != nil {
		http.Error(w, errLink.Error(), http.StatusForbidden)
		return
	}
	s.servePage(w, r, in, r.PathValue("path"))
}

// fail answers with an error. Mistakes of the request are shown in full; internal errors go to the
// log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, in scope, err error) {
	status, text := http.StatusInternalServerError, "The page could not be made. The log of 'bouncelog serve' says why."
	var m *mistake
	switch {
	case errors.As(err, &m):
		status, text = m.status, m.text
	case errors.Is(err, errBusy):
		status, text = http.StatusServiceUnavailable, errBusy.Error()
		w.Header().Set("Retry-After", "5")
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusServiceUnavailable, fmt.Sprintf("This takes longer than %s. Ask for a shorter period, or in half a minute for the page again: it is still being made.", answerTime)
		w.Header().Set("Retry-After", "30")
	case errors.Is(err, context.Canceled):
		return // the client has left
	case errors.Is(err, store.ErrMissing):
		status, text = http.StatusServiceUnavailable, "There is no database yet. 'bouncelog follow' or 'bouncelog import' makes one."
	case errors.Is(err, store.ErrAway):
		status, text = http.StatusServiceUnavailable, "The database does not answer. Try again."
	case errors.Is(err, store.ErrLocked):
		status, text = http.StatusServiceUnavailable, "The database is locked by another process. Try again."
	}
	if status == http.StatusInternalServerError {
		s.o.Log.Error("a page could not be made", "path", table.Clean(r.URL.Path), "error", table.Clean(err.Error()))
	}
	if !strings.Contains(r.Header.Get("Accept"), "html") {
		http.Error(w, table.Clean(text), status)
		return
	}
	view := &screen{Name: "error", Title: http.StatusText(status), o: &s.o, scope: in, Notes: []string{text}}
	view.sel, _ = s.o.selection(nil)
	view.Phrases = phrases(http.StatusText(status))
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, "screen.tmpl", view); err != nil {
		http.Error(w, table.Clean(text), status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
