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
	if ans.period, err = a.o.period(ctx, r, q.window, now, a.ends); err != nil {
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
		if ans.place.waits != waitsAll && !ans.place.is(ans.place.waits, routes.WaitsFor(q)) {
			continue
		}
		age := ans.period.now.Sub(q.Since())
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
