package top

import (
	"context"
	"errors"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// Options say what is shown and where it comes from.
type Options struct {
	// Read and Watch are those of a store.Store and a store.Watcher.
	Read  func(context.Context) (store.Reader, error)
	Watch func(context.Context) (version func() (int64, error), stop func(), err error)
	// Behind returns the number of unread bytes of a followed log; nil: a database.
	Behind func() int64
	// News returns the last event of a followed log while it is new, and whether something is wrong
	// with the log; nil: a database.
	News func() (text string, bad bool)
	// Left returns when lines that were read disappeared from a followed log, because it was
	// rotated or truncated; zero: never. nil: a database.
	Left    func() time.Time
	Explain func(*bounce.Delivery) judge.Explanation
	Now     func() time.Time // nil: time.Now
	// Work returns the CPU time of this process, which measures the cost of a question; nil: the
	// store works elsewhere, and the time until an answer counts.
	Work func() time.Duration

	Location   *time.Location
	Filter     store.Filter // without a period
	Thresholds problem.Thresholds
	Name       string // of the followed log; "": a database

	Commands CommandWords

	View   string        // one of Views; "": providers
	Window time.Duration // one of Windows; 0: an hour
	// Since and Until are a period instead of the window up to now; zero: none.
	Since, Until time.Time
	Open         []string // what is opened at first, one upon another, as provider=NAME: see Opens
	Only         string   // the filter of the page that is opened
	Sort         string   // the heading of the column that sorts its rows; "": the worst first
	All          bool     // of Once: all rows of the table and nothing else
	Colour       bool
}

// CommandWords are the words of the command line that copied commands repeat, quoted for a shell.
type CommandWords struct {
	DB         []string // select the database, where it is not the usual one
	Rerun      []string // select the same attempts
	Zone       []string // say how times are written, and where the configuration is
	Rules      []string // name rules of one's own
	Thresholds []string // are those of problems
	Files      []string // are logs instead of a database
}

// onlyWords returns what a filter selects, in words.
func onlyWords(f *store.Filter) string {
	var words []string
	for _, x := range [...]struct{ what, value string }{
		{"to ", f.Domain}, {"from ", f.SenderDomain}, {"at ", f.Relay}, {"on ", f.Host}, {"", string(f.MTA)},
	} {
		if x.value != "" {
			words = append(words, x.what+x.value)
		}
	}
	return strings.Join(words, ", ")
}

// ErrSort means that Options.Sort is no column of the page that is shown.
var ErrSort = errors.New("unknown column")

// ErrOpen means that Options.Open names something that cannot be opened there.
var ErrOpen = errors.New("cannot be opened")

func (o *Options) complete() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Work == nil {
		began := time.Now()
		o.Work = func() time.Duration { return time.Since(began) }
	}
	if o.Location == nil {
		o.Location = time.Local
	}
}
