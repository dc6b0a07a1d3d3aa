// Package web is the dashboard: it shows the contents of the store as pages, each also as CSV and
// JSON. A page is built in one place (a [screen]) and rendered from there. The package only reads,
// through store.Reader. Pages work without a script; live.js adds keys, copying and live figures.
//
// Every text of a log is untrusted. It becomes HTML only through html/template, CSV and JSON only
// through package table.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// Options configure the dashboard.
type Options struct {
	// Read returns a Reader of the current data. It is called once for each page.
	Read func(context.Context) (store.Reader, error)
	// Watch is the Watch of a store.Watcher; nil: pages do not reload themselves.
	Watch func(context.Context) (version func() (int64, error), stop func(), err error)
	// Explain explains a pasted reply or log line, as 'bouncelog explain' does.
	Explain func(string) (*bounce.Delivery, judge.Explanation, error)
	Judge   *judge.Judge

	Location   *time.Location     // time zone of days and times; nil: time.Local
	Period     string             // what a page without a period shows: 24h, 7d, all, or a period as of --day; "": 24h
	Thresholds problem.Thresholds // of incidents
	Now        func() time.Time   // nil: time.Now

	// Hosts are the host names, without a port, that the dashboard accepts beside localhost,
	// 127.0.0.1 and ::1. Others are refused: a foreign page's name server could have directed the
	// browser here (DNS rebinding).
	Hosts []string
	// Token is the token that the first visitor must present ("?token="); "": anyone who can
	// connect may read.
	Token string
	// Key signs the links for one sender domain; nil: no links.
	Key []byte
	Log *slog.Logger // for errors; nil: none
}

// The limits of any request.
const (
	buildTime     = 10 * time.Minute // for the queries to the store
	answerTime    = 40 * time.Second // maximum wait of a reader; what it waits for is built to the end
	toldTime      = 25 * time.Second // maximum wait of a page that was told of new data
	firstTime     = 3 * time.Second  // maximum wait for the first build of a page; then its preview is served
	previewAgain  = 5 * time.Second  // then a preview asks for the page again
	searchAtOnce  = 2                // reports that query the store at the same time
	buildsAtOnce  = 3                // pages that do
	waitAtMost    = 64               // pages and reports that wait for a turn
	queryAtMost   = 8 << 10          // bytes of the query of a URL
	rowsAtMost    = 100_000          // rows of CSV and JSON
	pagesAtMost   = 64               // pages in the cache
	keptBytes     = 32 << 20         // total size of the pages in the cache
	reportsAtMost = 8                // reports in the cache, shared by several pages each
	// HeaderAtMost is the value for http.Server.MaxHeaderBytes.
	HeaderAtMost = 16 << 10
)

// A mistake is an error in the request; its text is shown.
type mistake struct {
	status int
	text   string
}

func (m *mistake) Error() string { return m.text }

func mistakef(status int, format string, a ...any) error {
	return &mistake{status, fmt.Sprintf(format, a...)}
}
