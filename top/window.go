package top

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/report/render"
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

// Limits of a question.
const (
	recentAtMost = 500    // failures that the tail and the last words are taken from
	readAtMost   = 5_000  // failures that are read for replies and recipients of a place
	queuedAtMost = 20_000 // recipients of the queue
	traceAtMost  = 500    // attempts of a message
)

// An asker asks a store. It keeps the counts of past steps, and nothing else.
type asker struct {
	o     *Options
	steps map[int64][3]int64 // delivered, soft and hard by the step's begin
	step  time.Duration

	opened int       // the opening of the store that steps are of
	ends   time.Time // what is not counted any more, of a screen that is paused; zero: all counts
}

var failedOutcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}

// ask answers one question at a time.
func (a *asker) ask(ctx context.Context, r store.Reader, q question, now time.Time) (*answer, error) {
	ans := &answer{question: q, held: now}
	if !a.o.Until.IsZero() {
		now = a.o.Until
	}
	ans.asked = now
	read, err := r.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	for i := range read.Sources {
		s := &read.Sources[i]
		if !s.First.IsZero() && (ans.first.IsZero() || s.First.Before(ans.first)) {
			ans.first = s.First
		}
		if s.Last.After(ans.last) {
			ans.last = s.Last
		}
	}
	if ans.period, err = a.periodOf(ctx, r, q.window, now); err != nil {
		return nil, err
	}
	ans.compared = ans.period.comparison(ans.first, ans.last)
	f := ans.period.filter(a.o.Filter)
	failed := f
	failed.Outcomes = failedOutcomes
	total := int64(-1)
	switch q.kind {
	case pageTable:
		recent, err := attempts(ctx, r, failed, recentAtMost)
		if err != nil {
			return nil, err
		}
		ans.recent = failuresOf(recent)
		if total, err = a.view(ctx, r, f, ans, recent); err != nil {
			return nil, err
		}
	case pageReplies, pageRecipients:
		if q.place.waits != "" {
			err = a.waiting(ctx, r, f, ans)
			break
		}
		list, cut, err := a.failures(ctx, r, f, q.place)
		if err != nil {
			return nil, err
		}
		if q.kind == pageReplies {
			ans.table = repliesOf(list, q.place, now, a.o.Location)
		} else {
			ans.table = recipientsOf(list, q.place, now, a.o.Location)
		}
		if cut {
			ans.table.note = fmt.Sprintf("the newest %d failures", readAtMost)
		}
	case pageMessage:
		err = a.message(ctx, r, ans)
	}
	if err != nil {
		return nil, err
	}
	ans.rates, err = a.rates(ctx, r, ans.period, total)
	return ans, err
}

// attempts returns the newest attempts that match f, the newest first. It searches the end of the
// period first, since a store may read all attempts of a period for its newest: 20 ms against 250
// for the newest 500 of 86,000 failures.
func attempts(ctx context.Context, r store.Reader, f store.Filter, limit int) (list []store.Attempt, err error) {
	since := f.Since
	for part := time.Minute; ; part *= 8 {
		list = list[:0]
		if f.Since = f.Until.Add(-part); f.Since.Before(since) {
			f.Since = since
		}
		for x, err := range r.Attempts(ctx, f, store.Page{Limit: limit, Newest: true}) {
			if err != nil {
				return nil, err
			}
			list = append(list, *x)
		}
		if len(list) == limit || !f.Since.After(since) {
			return list, nil
		}
	}
}

// rates counts the steps of a period up to now. A step that is over is counted once, unless the sum
// shows that something older was stored since; total -1: the sum is not known.
func (a *asker) rates(ctx context.Context, r store.Reader, p period, total int64) (rates, error) {
	step := stepOf(p.length())
	if a.step != step || a.steps == nil {
		a.step, a.steps = step, map[int64][3]int64{}
	}
	for at := range a.steps {
		if at < p.since.Unix() {
			delete(a.steps, at)
		}
	}
	count := func(since, until time.Time) ([3]int64, error) {
		return countStep(ctx, r, period{since: since, until: until}.filter(a.o.Filter))
	}
	ahead := int64(0) // of the clock
	if p.until.After(p.now) {
		n, err := count(p.now, p.until)
		if err != nil {
			return rates{}, err
		}
		ahead = n[0] + n[1] + n[2]
	}
	for again := false; ; again = true {
		out, sum := rates{step: step, whole: max(int(p.length()/step), 1)}, ahead
		var hours map[int64][3]int64 // of the steps from the first one that is not known
		for at := p.since.Truncate(step); at.Before(p.now); at = at.Add(step) {
			out.end = at.Add(step)
			n, known := a.steps[at.Unix()]
			if !known {
				since, until := at, out.end
				if since.Before(p.since) {
					since = p.since
				}
				if until.After(p.now) {
					until = p.now
				}
				var err error
				switch {
				case step < time.Hour || at.Before(p.since):
					n, err = count(since, until)
				case hours == nil:
					hours, err = countHours(ctx, r, period{since: since, until: p.now}.filter(a.o.Filter))
					fallthrough
				default:
					n = hours[at.Unix()]
				}
				if err != nil {
					return rates{}, err
				}
				if !at.Before(p.since) && p.now.Sub(at) > 2*step { // the last two may still grow
					a.steps[at.Unix()] = n
				}
			}
			out.delivered, out.soft, out.hard = append(out.delivered, n[0]), append(out.soft, n[1]), append(out.hard, n[2])
			sum += n[0] + n[1] + n[2]
		}
		if total < 0 || sum == total || again {
			return out, nil
		}
		clear(a.steps)
	}
}

// both returns the counts of the two compared periods.
type both[T any] struct{ now, then []T }

// countStep counts what was delivered, soft and hard.
func countStep(ctx context.Context, r store.Reader, f store.Filter) (n [3]int64, err error) {
	cells, err := r.Count(ctx, f)
	for i := range cells {
		c := &cells[i]
		n[0], n[1], n[2] = n[0]+c.Delivered, n[1]+c.Soft, n[2]+c.Hard
	}
	return n, err
}

// countHours counts the same by hour, in one question.
func countHours(ctx context.Context, r store.Reader, f store.Filter) (map[int64][3]int64, error) {
	cells, err := r.Count(ctx, f, store.ByHour)
	hours := make(map[int64][3]int64, len(cells))
	for i := range cells {
		c := &cells[i]
		if t, err := time.Parse("2006-01-02T15:04Z", c.Keys[0]); err == nil {
			hours[t.Unix()] = [3]int64{c.Delivered, c.Soft, c.Hard}
		}
	}
	return hours, err
}

// view fills the table of a view, and returns the number of attempts in it; -1: not known.
func (a *asker) view(ctx context.Context, r store.Reader, f store.Filter, ans *answer, recent []store.Attempt) (total int64, err error) {
	c := ans.compared
	cells := func(f store.Filter, by []store.Dimension) ([]store.Cell, error) {
		list, err := r.Count(ctx, f, by...)
		if err == nil && ans.view == viewProviders {
			return report.Stated(ctx, r, f, list)
		}
		return list, err
	}
	count := func(by ...store.Dimension) (now []store.Cell, b *both[store.Cell], err error) {
		if now, err = cells(f, by); err != nil || c == nil {
			return now, nil, err
		}
		b = &both[store.Cell]{now: now}
		if !c.whole {
			if b.now, err = cells(c.now.filter(f), by); err != nil {
				return nil, nil, err
			}
		}
		b.then, err = cells(c.then.filter(f), by)
		return now, b, err
	}
	switch ans.view {
	case viewProviders, viewDomains:
		now, compared, err := count(store.ByDomain, store.ByRelay)
		if err != nil {
			return 0, err
		}
		for i := range now {
			total += now[i].Attempts
		}
		queued, err := a.queue(ctx, r, ans.period)
		if err != nil {
			return 0, err
		}
		ans.table = places(now, compared, ans.view, recent, queued)
		if len(queued) == queuedAtMost {
			ans.table.note = "wait: " + longestQueued
		}
		return total, nil
	case viewReasons:
		now, compared, err := count(store.ByReason)
		if err != nil {
			return 0, err
		}
		ans.table = reasonsTable(now, compared, recent)
	case viewSenders:
		now, compared, err := count(store.BySender)
		if err != nil {
			return 0, err
		}
		ans.table = sendersTable(now, compared, recent)
	case viewQueue:
		list, err := a.queue(ctx, r, ans.period)
		if err != nil {
			return 0, err
		}
		routes, err := routesOf(ctx, r, f)
		if err != nil {
			return 0, err
		}
		ans.table = queueTable(list, routes, ans.period.now)
		ans.table.note = a.queueNote(len(list))
	case viewReplies:
		now, err := r.Replies(ctx, f)
		if err != nil {
			return 0, err
		}
		var compared *both[store.Reply]
		if c != nil {
			compared = &both[store.Reply]{now: now}
			if !c.whole {
				if compared.now, err = r.Replies(ctx, c.now.filter(f)); err != nil {
					return 0, err
				}
			}
			if compared.then, err = r.Replies(ctx, c.then.filter(f)); err != nil {
				return 0, err
			}
		}
		ans.table = repliesTable(now, compared, recent)
	}
	return -1, nil
}

// queue returns what is queued now and was first deferred before a period's end. A message that has
// left the queue since is missing: a store keeps no queue of the past.
func (a *asker) queue(ctx context.Context, r store.Reader, p period) ([]store.Queued, error) {
	f := a.o.Filter
	f.QueuedBefore = p.until
	return r.Queue(ctx, f, queuedAtMost)
}

// routesOf returns the provider that attempts without a relay count for, as in the table of
// providers.
func routesOf(ctx context.Context, r store.Reader, f store.Filter) (*report.Routes, error) {
	cells, err := r.Count(ctx, f, store.ByDomain, store.ByRelay)
	return report.RoutesOf(cells), err
}

// waiting returns the recipients that wait for one provider.
func (a *asker) waiting(ctx context.Context, r store.Reader, f store.Filter, ans *answer) error {
	list, err := a.queue(ctx, r, ans.period)
	if err != nil {
		return err
	}
	routes, err := routesOf(ctx, r, f)
	if err != nil {
		return err
	}
	t := tableData{name: "recipient", words: "last words", empty: "nothing waits any more", nameFirst: true, columns: []column{
		{name: "age", width: 10, words: true}, {name: "last try", width: 8, words: true}, {name: "reason", width: 15, words: true, least: 100},
	}}
	for i := range list {
		q := &list[i]
		if ans.place.waits != waitsAll && !ans.place.is(ans.place.waits, waitsFor(q, routes)) {
			continue
		}
		age := ans.period.now.Sub(queuedSince(q))
		x := row{name: q.Recipient, says: q.Reason.String(), cells: []cell{{n: int64(age), text: when.Span(age)}, {n: q.Time.Unix(), text: clock(q.Time, ans.asked, a.o.Location)}, {text: q.Reason.String()}}}
		x.setLast(&q.Attempt)
		x.place.host, x.place.queueID, x.place.recipient = q.Host, q.QueueID, q.Recipient
		t.rows = append(t.rows, x)
	}
	t.widen("last try")
	t.note = a.queueNote(len(list))
	ans.table = t
	return nil
}

// longestQueued returns the part of a queue that is too long to be read as a whole.
var longestQueued = fmt.Sprintf("the %d that wait longest", queuedAtMost)

// queueNote returns which part of the queue a table shows.
func (a *asker) queueNote(n int) string {
	var notes []string
	if !a.o.Until.IsZero() {
		notes = append(notes, "deferred by the end of the period and still queued")
	}
	if n == queuedAtMost {
		notes = append(notes, longestQueued)
	}
	return strings.Join(notes, ", ")
}

// failures returns the newest failures of a place in a period, the newest first; cut: there may be
// more.
func (a *asker) failures(ctx context.Context, r store.Reader, f store.Filter, p place) (list []store.Attempt, cut bool, err error) {
	failed := f
	failed.Outcomes = failedOutcomes
	of := func(*store.Attempt) bool { return true }
	switch {
	case p.escaped && p.provider != "": // no filter of a store knows escapes: all are read, and most left out
		routes, err := routesOf(ctx, r, f)
		if err != nil {
			return nil, false, err
		}
		of = func(x *store.Attempt) bool { return p.is(p.provider, routes.Provider(x.RecipientDomain, x.RelayHost)) }
	case p.escaped && p.domain != "":
		of = func(x *store.Attempt) bool { return p.is(p.domain, x.RecipientDomain) }
	case p.escaped && p.sender != "":
	case p.provider != "":
		routes, err := routesOf(ctx, r, f)
		if err != nil {
			return nil, false, err
		}
		failed.To = routes.Destination(p.provider)
	case p.domain != "":
		failed.Domain = p.domain
	case p.sender != "" && p.sender != "<>":
		// A local part may have an @ too (RFC 5321, section 4.1.2).
		if at := strings.LastIndexByte(p.sender, '@'); at >= 0 && f.SenderDomain == "" {
			failed.SenderDomain = p.sender[at+1:]
		}
	case p.reason != bounce.NoReason:
		g, ok := failed.Restrict([]bounce.Reason{p.reason})
		if !ok {
			return nil, false, nil
		}
		failed = g
	}
	if list, err = attempts(ctx, r, failed, readAtMost); err != nil {
		return nil, false, err
	}
	cut = len(list) == readAtMost
	list = slices.DeleteFunc(list, func(x store.Attempt) bool {
		return !of(&x) || p.sender != "" && !p.is(p.sender, senderOf(&x)) || p.reply && !p.is(p.template, replyKey(templateOf(&x)))
	})
	return list, cut, nil
}

// message returns all events of one message.
func (a *asker) message(ctx context.Context, r store.Reader, ans *answer) error {
	f := store.Filter{Host: ans.place.host}
	list, err := report.Trace(ctx, r, f, ans.place.queueID, traceAtMost)
	if err != nil {
		return err
	}
	cut := len(list) == traceAtMost && ans.place.recipient != ""
	if cut {
		f.Recipients = []string{ans.place.recipient}
		if list, err = report.Trace(ctx, r, f, ans.place.queueID, traceAtMost); err != nil {
			return err
		}
	}
	ends, err := report.Ends(ctx, r, list)
	if err != nil {
		return err
	}
	ans.lines = strings.Split(strings.TrimSuffix(render.Trace(list, ends, a.o.Location), "\n"), "\n")
	if cut {
		ans.lines = slices.Insert(ans.lines, 0, fmt.Sprintf("there are %d attempts or more; those to <%s> are", traceAtMost, table.Clean(ans.place.recipient)))
	}
	if len(list) == 0 {
		ans.lines = []string{"nothing is known of " + table.Clean(ans.place.queueID) + " any more"}
	}
	return nil
}
