package top

import (
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// A view is a table that the keys 1 to 6 choose.
type view int

const (
	viewProviders view = iota
	viewDomains
	viewReasons
	viewSenders
	viewQueue
	viewReplies
)

var viewNames = [...]string{"providers", "domains", "reasons", "senders", "queue", "replies"}

// A kind is what a page shows.
type kind int

const (
	pageTable      kind = iota // one of the views
	pageReplies                // replies of one place
	pageRecipients             // who got them
	pageMessage                // the trace of one message
	pageText                   // text that needs no store: an explanation, an incident, help
)

// A place is what a page is limited to. Empty fields select everything.
type place struct {
	provider string
	domain   string
	sender   string // "<>": the null sender
	reason   bounce.Reason
	reply    bool   // only this template
	template string // replyKey of it
	waits    string // for whom queued mail waits
	escaped  bool   // the names above are as drawn, of a command: see place.is

	host, queueID string // of one message
	recipient     string // of it, at whom the trace opens
}

// is reports whether two names are the same for a place. A command line has names as they are
// drawn: characters that no terminal may get are escapes there, and two names that are drawn alike
// are one.
func (p *place) is(name, other string) bool {
	return name == other || p.escaped && plain(name) == plain(other)
}

// A question is what a screen asks the store. Equal questions have the same answer while nothing is
// stored.
type question struct {
	kind   kind
	view   view
	place  place
	window time.Duration
}

// An answer is the data of one screen, as a value.
type answer struct {
	question
	stamp
	period      period
	compared    *comparison // what change compares; nil: the logs cover too little
	asked       time.Time
	held        time.Time // when it was known the last time that nothing was stored since
	first, last time.Time // lines of the logs
	rates       rates
	table       tableData
	recent      []failure // the newest, the newest first: the tail
	lines       []string
}

// A column of figures or words between the name and the last words of a row.
type column struct {
	name  string
	width int
	words bool // text, at the left
	least int  // columns that the screen must have to show it
}

type tableData struct {
	name    string // of the first column
	words   string // of the last
	columns []column
	key     int // the place of the column that a small screen has at least
	rows    []row
	note    string
	empty   string
	// nameFirst means that names are worth more room than the last words.
	nameFirst bool
}

// A row is one line of a table.
type row struct {
	mark   string // report.MarkRefuses, …
	name   string
	cells  []cell
	words  string
	says   string // the reasons and replies of all that it counts, as far as known, in lower case; "": it has no failure
	reason bounce.Reason
	last   *store.Attempt // the last failure; nil: not known
	place  place          // where Enter leads
}

// A cell is a figure, or words; n sorts it.
type cell struct {
	n    int64
	text string // instead of n
}

// A failure is one of the newest, with the values that the tail groups it by.
type failure struct {
	*store.Attempt
	provider, template string
}

// has reports whether a filter's word is in what a row of any table would say of it.
func (x *failure) has(word string) bool {
	for _, text := range [...]string{x.provider, provider.Name(x.provider), x.RecipientDomain, x.Sender, x.Reason.String(), replyText(x.Attempt)} {
		if contains(text, word) {
			return true
		}
	}
	return false
}

// A fold is a group of failures with one outcome and one answer of one provider: one line of the
// tail.
type fold struct {
	*failure // the last
	n        int
}

// rates are the attempts in steps of time, the oldest first. The first step began before the window
// did, and counts only what is in the window; the last step is not over.
type rates struct {
	end                   time.Time // of the last step
	step                  time.Duration
	whole                 int // steps in a window
	delivered, soft, hard []int64
}

// at moves rates on to now: if nothing was stored since, nothing was tried.
func (r rates) at(now time.Time) rates {
	if r.step <= 0 || now.Before(r.end) {
		return r
	}
	n := min(int(now.Sub(r.end)/r.step)+1, len(r.delivered))
	shift := func(list []int64) []int64 { return append(slices.Clone(list[n:]), make([]int64, n)...) }
	r.end = r.end.Add(time.Duration(int64(now.Sub(r.end)/r.step)+1) * r.step)
	r.delivered, r.soft, r.hard = shift(r.delivered), shift(r.soft), shift(r.hard)
	return r
}

// course returns the steps that are drawn: as many as the window has, so not the first if that is
// incomplete.
func (r rates) course(counts []int64) []int64 { return counts[max(len(counts)-r.whole, 0):] }

// leastRated is the shortest time for the mean of a rate: a few attempts in some seconds are not
// hundreds a minute.
const leastRated = time.Minute

// recent returns the number of steps for the mean of a rate: the last twelfth of the window, but at
// least leastRated, and the step that is not over.
func (r rates) recent() int {
	least := int((leastRated+r.step-1)/max(r.step, 1)) + 1
	return min(max((len(r.delivered)+10)/12+1, least), len(r.delivered))
}

// perMinute returns the mean of the recent steps, over the time that has passed and that the logs,
// from first to last, cover. known is false if they cover less than leastRated.
func (r rates) perMinute(counts []int64, now, first, last time.Time) (mean float64, known bool) {
	n := r.recent()
	began := r.end.Add(-time.Duration(n) * r.step)
	if n == 0 || last.IsZero() || last.Before(began) {
		return 0, false
	}
	if first.After(began) {
		began = first
	}
	if now.Sub(began) < leastRated {
		return 0, false
	}
	sum := int64(0)
	for _, c := range counts[len(counts)-n:] {
		sum += c
	}
	return float64(sum) / now.Sub(began).Minutes(), true
}

// windows are the lengths that + and - choose between.
var windows = []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// stepOf returns the step of a window's rates: up to four hours a sixtieth, else an hour, which a
// store counts without reading attempts.
func stepOf(window time.Duration) time.Duration {
	if window >= 24*time.Hour {
		return time.Hour
	}
	return max(window/60, time.Second)
}

// A stamp is the version of the stored data when a question was asked. Versions belong to one
// opening of the store: after another opening the same number may mean other data.
type stamp struct {
	opened  int
	version int64
	known   bool // there is one
}

// replyKeyAtMost is how much of a reply identifies it, in characters.
const replyKeyAtMost = 500

// replyKey identifies a reply by its template, in a place and on a command line.
func replyKey(template string) string { return table.Cut(table.Clean(template), replyKeyAtMost) }

// both returns the counts of the two compared periods.
type both[T any] struct{ now, then []T }
