package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// The age buckets in minutes, as in qshape(1): up to 5, 10, … and older.
var (
	allBuckets   = []int{5, 10, 20, 40, 80, 160, 320, 640, 1280}
	shortBuckets = []int{5, 20, 80, 320, 1280}
)

// queuedAtMost is the maximum number of queued recipients that are read.
const queuedAtMost = 20_000

// A waiter is a queued recipient with the provider that it waits for.
type waiter struct {
	store.Queued
	whom string
}

// queued reads the current queue. It ignores the period, since the longest waiting mail was first
// deferred before it. With deferred=end it reads the queue at the end of a past period.
func (v *screen) queued(ctx context.Context, r store.Reader) (_ []waiter, err error) {
	f := v.sel.filter
	f.Since, f.Until = time.Time{}, time.Time{}
	var all []store.Queued
	if v.extra.Get("deferred") == "end" {
		rep, err := v.report(ctx, r)
		if err != nil {
			return nil, err
		}
		if all, err = rep.QueueThen(ctx, r); err != nil {
			return nil, err
		}
	} else if all, err = r.Queue(ctx, f, queuedAtMost); err != nil {
		return nil, err
	}
	routes, _, err := v.routes(ctx, r)
	if err != nil {
		return nil, err
	}
	list := make([]waiter, len(all))
	for i := range all {
		list[i] = waiter{all[i], routes.WaitsFor(&all[i])}
	}
	return list, nil
}

func bucketOf(buckets []int, age time.Duration) int {
	for i, b := range buckets {
		if age <= time.Duration(b)*time.Minute {
			return i
		}
	}
	return len(buckets)
}

// bucketName returns the name of a bucket in a URL: its lower and upper age in minutes.
func bucketName(buckets []int, i int) string {
	from, to := "0", ""
	if i > 0 {
		from = strconv.Itoa(buckets[i-1])
	}
	if i < len(buckets) {
		to = strconv.Itoa(buckets[i])
	}
	return from + "-" + to
}

// inBucket reports whether an age lies in the named bucket.
func inBucket(name string, age time.Duration) bool {
	from, to, _ := strings.Cut(name, "-")
	a, _ := strconv.Atoi(from)
	b, err := strconv.Atoi(to)
	return (a == 0 || age > time.Duration(a)*time.Minute) && (err != nil || age <= time.Duration(b)*time.Minute)
}

// ageList returns the queue by provider and age.
func (v *screen) ageList(all []waiter, buckets []int, top int) *list {
	l := &list{Name: "ages", Title: "Queue by age in minutes", Empty: "The queue is empty, according to the log.", Heat: true, Columns: []table.Column{{Name: "waits for", Flex: true}, {Name: "all", Number: true}}}
	for _, b := range buckets {
		l.Columns = append(l.Columns, table.Column{Name: strconv.Itoa(b), Number: true})
	}
	l.Columns = append(l.Columns, table.Column{Name: "older", Number: true})
	counts, sums, most := map[string][]int64{}, make([]int64, len(buckets)+2), int64(1)
	var names []string
	for i := range all {
		name := all[i].whom
		if counts[name] == nil {
			counts[name] = make([]int64, len(buckets)+2)
			names = append(names, name)
		}
		at := 1 + bucketOf(buckets, v.sel.now.Sub(all[i].Since()))
		for _, n := range []int{0, at} {
			counts[name][n]++
			sums[n]++
		}
		most = max(most, counts[name][at])
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a][0] != counts[b][0] {
			return int(counts[b][0] - counts[a][0])
		}
		return strings.Compare(a, b)
	})
	// pairs select the recipients of a row; nil: no page can select them
	line := func(name string, n []int64, pairs []string) row {
		x := row{Cells: []cell{{Value: name}}}
		if len(pairs) > 0 {
			x.URL = v.url("queue", pairs...)
			x.Cells[0].URL = x.URL
		}
		for i, k := range n {
			url := ""
			if pairs != nil {
				url = v.url("queue", pairs...)
				if i > 0 {
					url = v.url("queue", append(slices.Clone(pairs), "bucket", bucketName(buckets, i-1))...)
				}
			}
			c := figure(k, url)
			if i > 0 && k > 0 && len(pairs) > 0 {
				c.Heat = 1 + int(8*k/most)
			}
			x.Cells = append(x.Cells, c)
		}
		return x
	}
	for i, name := range names {
		if top > 0 && i == top && len(names) > top+1 {
			rest := make([]int64, len(buckets)+2)
			for _, other := range names[i:] {
				for k, n := range counts[other] {
					rest[k] += n
				}
			}
			x := line(table.Count(int64(len(names)-i), "other"), rest, nil)
			x.Class = "rest"
			l.Rows = append(l.Rows, x)
			break
		}
		l.Rows = append(l.Rows, line(name, counts[name], []string{"q", name}))
	}
	if len(names) > 1 {
		x := line("All", sums, []string{})
		x.Class = "sum"
		l.Sum = &x
	}
	if v.Name != "queue" && len(all) > 0 {
		l.More = &anchor{table.Count(int64(len(all)), "recipient"), v.url("queue")}
	}
	if len(all) == queuedAtMost {
		l.Note = fmt.Sprintf("The %d that wait longest are counted; there are more.", queuedAtMost)
	}
	return l
}

// queue shows the waiting mail, by provider and age and by recipient.
func (v *screen) queue(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "queue", "Queue", phrases("Queue")
	v.Command = v.sel.command(v.o.Period, []string{"since", "until", "day"}, "report", "--section", "pending", "--all")
	all, err := v.queued(ctx, r)
	if err != nil {
		return err
	}
	whom, bucket, host, lacks := v.extra.Get("q"), v.extra.Get("bucket"), v.extra.Get("relay-host"), lacking[v.extra.Get("none")].ok
	v.Facts = append(v.Facts, report.Fact{Label: "Recipients", Value: len(all)})
	if len(all) > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Oldest", Value: when.Span(v.sel.now.Sub(all[0].Since()))})
	}
	lost, first, note, err := v.givenUp(ctx, r, all)
	if err != nil {
		return err
	}
	if first != nil {
		v.Facts = append(v.Facts, *first)
	}
	if whom == "" {
		v.Tables = append(v.Tables, v.ageList(all, allBuckets, 40))
	}
	l := &list{Name: "recipients", Title: "Queued recipients", Empty: "The queue is empty, according to the log.", Columns: []table.Column{
		{Name: "recipient", Flex: true}, {Name: "age"}, {Name: "given up"}, {Name: "last try", Minor: true}, {Name: "waits for"}, {Name: "reason"}, {Name: "reply", Flex: true}, {Name: "queue id"},
	}}
	if whom != "" {
		l.Title += " for " + whom
		v.Notes = append(v.Notes, "Only what waits for "+whom+" is shown.")
	}
	if host != "" {
		v.Facts = append(v.Facts, report.Fact{Label: "Only", Value: "relay host " + host})
	}
	if v.extra.Get("deferred") == "end" {
		v.Facts = append(v.Facts, report.Fact{Label: "Only", Value: "queued at the end of the period"})
	}
	if v.extra.Get("deferred") == "period" {
		v.Facts = append(v.Facts, report.Fact{Label: "Only", Value: "first deferred in the period"})
	}
	for i := range all {
		q := &all[i]
		age := v.sel.now.Sub(q.Since())
		if whom != "" && q.whom != whom {
			continue
		}
		if host != "" && ascii.Lower(q.RelayHost) != ascii.Lower(host) {
			continue
		}
		if bucket != "" && !inBucket(bucket, age) || lacks != nil && !lacks(&q.Attempt) {
			continue
		}
		if f := &v.sel.filter; v.extra.Get("deferred") == "period" && (q.FirstSoft.Before(f.Since) || !f.Until.IsZero() && !q.FirstSoft.Before(f.Until)) {
			continue
		}
		to := v.attemptURL(q.Ref())
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: q.Recipient, URL: v.url("trace", "q", q.Recipient)},
			{Value: when.Span(age)},
			{Value: v.time(lost[i])},
			{Value: v.time(q.Time), URL: to},
			{Value: q.whom, URL: v.url(deep("providers", q.whom))},
			{Value: q.Reason.String()},
			{Value: reply(&q.Attempt)},
			{Value: q.QueueID, URL: v.url("trace", "q", q.QueueID)},
		}})
	}
	if v.form != formHTML && v.Tables != nil {
		v.Tables = append([]*list{l}, v.Tables...) // CSV holds the recipients
	} else {
		v.Tables = append(v.Tables, l)
	}
	v.paged(l)
	if note != "" {
		v.Notes = append(v.Notes, note)
	}
	return nil
}

// The default time after which an MTA gives up: Postfix's maximal_queue_lifetime and
// bounce_queue_lifetime, and the retry rule in Exim's default configuration.
var lifetimes = []struct {
	mta  bounce.MTA
	name string
	life time.Duration
}{{bounce.Postfix, "Postfix", 5 * day}, {bounce.Exim, "Exim", 4 * day}}

// expiriesLooked is the number of expired messages whose age is looked up.
const expiriesLooked = 20

// givenUp returns when each queued message will be given up: at the age at which mail was given up
// in the last 30 days, or else at the default age. first is the next time; nil: none lies ahead.
func (v *screen) givenUp(ctx context.Context, r store.Reader, all []waiter) (at []time.Time, first *report.Fact, note string, err error) {
	if len(all) == 0 {
		return nil, nil, "", nil
	}
	seen, err := v.expiries(ctx, r)
	if err != nil {
		return nil, nil, "", err
	}
	at = make([]time.Time, len(all))
	var next time.Time
	for _, x := range lifetimes {
		life, words := cmp.Or(seen[x.mta], x.life), "%s gives mail up at an age of %s, unless it is configured otherwise; the log of the last 30 days has no such case."
		if seen[x.mta] != 0 {
			words = "%s gives mail up at an age of about %s, as the log of the last 30 days shows."
		}
		used := false
		for i := range all {
			if all[i].MTA != x.mta {
				continue
			}
			used = true
			at[i] = all[i].Since().Add(life)
			if at[i].After(v.sel.now) && (next.IsZero() || at[i].Before(next)) {
				next = at[i]
			}
		}
		if used {
			note += " " + fmt.Sprintf(words, x.name, when.Span(life))
		}
	}
	if !next.IsZero() {
		first = &report.Fact{Label: "First given up", Value: v.time(next)}
	}
	return at, first, strings.TrimSpace(note), nil
}

// expiries returns the age at which each MTA gave mail up. For Postfix it is the least age seen,
// since Postfix checks periodically and so exceeds its limit. For Exim it is the largest, since
// Exim counts from the first failure of the host, which may be older than the message.
func (v *screen) expiries(ctx context.Context, r store.Reader) (map[bounce.MTA]time.Duration, error) {
	f := v.sel.filter
	f.Since, f.Until, f.Outcomes, f.Reasons = v.sel.now.Add(-30*day), time.Time{}, []bounce.Outcome{bounce.Hard}, []bounce.Reason{bounce.Expired}
	var ended []store.Attempt
	for a, err := range r.Attempts(ctx, f, store.Page{Newest: true, Limit: expiriesLooked}) {
		if err != nil {
			return nil, err
		}
		if a.QueueID != "" && a.Status != "force-expired" {
			ended = append(ended, *a)
		}
	}
	found := map[bounce.MTA]time.Duration{}
	for i := range ended {
		e := &ended[i]
		f := store.Filter{Since: e.Time.Add(-30 * day), Until: e.Time.Add(time.Second), Host: e.Host, MTA: e.MTA, QueueID: e.QueueID, Recipients: []string{e.Recipient}}
		for a, err := range r.Attempts(ctx, f, store.Page{Newest: true, Limit: 2}) { // Postfix logs the age with the previous try
			if err != nil {
				return nil, err
			}
			age := e.Time.Sub(a.Arrived())
			if !a.Arrived().IsZero() && age > 0 && (found[e.MTA] == 0 || (age < found[e.MTA]) == (e.MTA == bounce.Postfix)) {
				found[e.MTA] = age
			}
		}
	}
	return found, nil
}
