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
	"bouncelog/report/render"
	"bouncelog/store"
)

// options returns the options for a report with the given sections.
func (v *screen) options(top int, sections ...string) report.Options {
	o := report.Options{
		Filter: v.sel.filter, Location: v.server.o.Location, Top: top, Sections: sections, Problems: v.server.o.Thresholds,
		Now: v.sel.now, Live: v.sel.open, NoWarnings: v.scope.domain != "",
	}
	words := strings.Fields(v.sel.command(v.server.o.Period, nil))
	o.Rerun = words[1:] // without the program's name
	o.Positions = "bouncelog db info"
	return o
}

// now builds the first screen: the verdict, and the five questions below it.
func (v *screen) now(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title = "now", "Now"
	v.Command = v.sel.command(v.server.o.Period, nil, "report")
	rep, err := v.report(ctx, r)
	if err != nil {
		return err
	}
	v.verdict(rep)
	v.freshness(ctx, r, rep)
	if v.Trend = render.NewTrend(rep); v.form != formHTML {
		v.Trend = nil
	}
	v.Tables = append(v.Tables, v.providerList(rep, 8))
	queue, err := v.queued(ctx, r)
	if err != nil {
		return err
	}
	ages := v.ageList(queue, shortBuckets, 6)
	if _, fact, _, err := v.givenUp(ctx, r, queue); err != nil {
		return err
	} else if fact != nil {
		ages.Note = strings.TrimSpace(ages.Note + " " + fact.Label + " " + table.Text(fact.Value) + ".")
	}
	v.Tables = append(v.Tables, ages, v.changeList(rep))
	return nil
}

// verdict shows the sentence of the verdict and the incidents.
func (v *screen) verdict(rep *report.Report) {
	verdict := rep.Verdict
	v.Verdict = verdict
	v.Phrases = verdict.Phrases
	if len(v.Phrases) == 0 {
		v.Phrases = phrases(verdict.Sentence)
	}
	if verdict.Newest == nil {
		v.Notes = append(v.Notes, "The daemon reads the log: systemctl enable --now bouncelog. Or read one that is there: bouncelog import /var/log/mail.log.")
	}
	v.Incidents = []report.Incident{}
	for i := range verdict.Act {
		v.Cards = append(v.Cards, v.card(rep, &verdict.Act[i], i+1))
	}
	for i := range verdict.Ended[:min(len(verdict.Ended), report.EndedShown)] {
		c := v.card(rep, &verdict.Ended[i], len(verdict.Act)+i+1)
		if c.Pages, c.More = nil, nil; !verdict.Ended[i].Remains { // its page has the rest
			c.Check, c.Command, c.ListSenders = "", "", ""
		}
		v.Over = append(v.Over, c)
	}
	if n := verdict.More + max(len(verdict.Ended)-report.EndedShown, 0); n > 0 {
		v.Notes = append(v.Notes, table.Count(int64(n), "further incident")+": see Incidents.")
	}
	if b := verdict.Background; b != nil {
		v.Notes = append(v.Notes, fmt.Sprintf("Background, as every day: %s refused at %s, %s of all mail%s. See Incidents.",
			table.Count(int64(b.Messages), "message"), table.Count(int64(b.Providers), "provider"), b.Share, rep.WholeWords()))
	}
	if s := verdict.Silence; s != nil {
		text := "Nothing was logged for " + when.Span(time.Duration(s.Seconds)*time.Second)
		if s.Expected > 0 {
			text += fmt.Sprintf(", in which about %s would be usual", table.Count(s.Expected, "attempt"))
			if rep.Filter.Selects() {
				text += " of this selection"
			}
		}
		v.Notes = append(v.Notes, text+". Is the log still written, and still read? See Log.")
	}
	if n := len(verdict.SilentHosts); n > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("Silent hosts: %d of %d. See Log.", n, len(rep.Hosts)))
	}
}

// card returns an incident with links to its page and to its log lines.
func (v *screen) card(rep *report.Report, in *report.Incident, number int) incidentCard {
	c := incidentCard{Card: render.NewCard(rep, in, number), URL: v.url(deep("incidents", in.ID))}
	c.Linked = v.linkedFacts(rep, in, c.Facts)
	if in.Problem != nil {
		for i, e := range rep.Problems[*in.Problem].Evidence {
			if i < 3 {
				c.Evidence = append(c.Evidence, anchor{rep.Clock(e.Time), v.attemptURL(store.Ref{Time: e.Time.Unix(), Source: e.Source, Offset: e.Offset})})
			}
		}
	}
	return c
}

// freshness shows how current and complete the data is.
func (v *screen) freshness(ctx context.Context, r store.Reader, rep *report.Report) {
	if t := rep.Verdict.Newest; t != nil {
		age := report.AgeWords(*t, v.sel.now)
		if v.sel.now.Sub(*t) > 24*time.Hour {
			age = v.time(*t).String()
		}
		v.Facts = append(v.Facts, report.Fact{Label: "Last line", Value: age})
	}
	if t := rep.Totals; t != nil && t.Attempts > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Attempts", Value: t.Attempts}, report.Fact{Label: "Delivered", Value: table.Share(t.DeliveredRate)})
	}
	if v.scope.domain != "" {
		return
	}
	read, err := r.Coverage(ctx)
	if err != nil {
		return // the page is useful without it
	}
	var known, not int64
	for _, s := range read.Sources {
		known, not = known+s.Delivery, not+s.Unparsed
	}
	if known+not > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Not understood", Value: fmt.Sprintf("%.2f %%", 100*float64(not)/float64(known+not)), Note: "of the delivery lines"})
	}
}

// figure returns a number with a link to its rows.
func figure(n int64, url string) cell {
	if n == 0 {
		return cell{Value: n, Class: "zero"}
	}
	return cell{Value: n, URL: url}
}

// rows returns the URL of the attempts that a number counts.
func (v *screen) rows(pairs ...string) string { return v.url("attempts", pairs...) }

// Outcomes in a URL: of failures, and of all attempts except hand-offs and probes.
const (
	failedWords  = "soft,hard"
	countedWords = "delivered,soft,hard"
)

// suspect is the word for the reasons of refusals on our side or without a named reason. It keeps
// the URLs short.
const suspect = "refused"

// suspects are the reasons that suspect stands for.
var suspects = bounce.Reasons(bounce.Reason.RefusesSender)

// marks are the symbols of a provider's mark.
var marks = map[string]string{report.MarkRefuses: "✖ ", report.MarkFails: "▲ ", report.MarkPartly: "◐ ", report.MarkTakes: "● "}

// providerList returns the table of providers, in rows that add up.
func (v *screen) providerList(rep *report.Report, top int) *list {
	l := &list{Name: "providers", Title: "Who refuses us", Empty: "No mail in this period.", Columns: []table.Column{
		{Name: "provider", Flex: true},
		{Name: "attempts", Number: true},
		{Name: "delivered", Number: true},
		{Name: "soft", Number: true},
		{Name: "waiting", Number: true},
		{Name: "hard", Number: true},
		{Name: "refused", Number: true},
		{Name: "before", Number: true},
		{Name: "main reason"},
	}}
	t := rep.ProviderTable
	if t == nil {
		return l
	}
	if top > 0 {
		t = t.First(top)
	}
	if !t.Compared && v.form == formHTML { // the previous period is unknown
		l.Columns = slices.Delete(l.Columns, 7, 8)
	}
	// pairs select the mail of a row; nil: no page can select it
	line := func(p *report.ProviderRow, name string, pairs []string) row {
		to := func(more ...string) string {
			if pairs == nil {
				return ""
			}
			return v.rows(append(slices.Clone(pairs), more...)...)
		}
		delivered := figure(p.Delivered, to("outcome", "delivered"))
		delivered.Bar = share(p.Delivered, p.Soft, p.Hard)
		refused := figure(p.Refused, to("outcome", failedWords, "reason", suspect))
		if p.Refused > 0 && p.Mark == report.MarkRefuses {
			refused.Class = "bad"
		}
		wait := cell{Value: p.Waiting}
		if p.Waiting == 0 || pairs != nil {
			of := pairs
			if rep.Past() {
				of = append([]string{"deferred", "end"}, pairs...)
			}
			wait = v.queuedCell(p.Waiting, of...)
		}
		first := cell{Value: name, Class: "mark-" + p.Mark}
		x := row{Cells: []cell{first, figure(p.Attempts, to("outcome", countedWords)), delivered, figure(p.Soft, to("outcome", "soft")), wait, figure(p.Hard, to("outcome", "hard")), refused}}
		if t.Compared {
			x.Cells = append(x.Cells, cell{Value: p.RefusedBefore, Class: "zero"})
		} else if v.form != formHTML {
			x.Cells = append(x.Cells, cell{})
		}
		x.Cells = append(x.Cells, cell{Value: p.Reason.String()})
		if len(pairs) > 0 {
			x.URL = v.url(deep("providers", p.Provider))
			x.Cells[0].URL = x.URL
		}
		return x
	}
	for i := range t.Rows {
		pairs := []string{"provider", t.Rows[i].Provider}
		if t.Rows[i].Provider == "" { // local names
			pairs = []string{"none", "provider"}
		}
		l.Rows = append(l.Rows, line(&t.Rows[i], t.Rows[i].Provider, pairs))
	}
	if t.Small != nil {
		x := line(t.Small, table.Count(int64(t.Small.Providers), "provider")+" with few messages", nil)
		x.Class = "rest"
		l.Rows = append(l.Rows, x)
	}
	if t.Rest != nil {
		x := line(t.Rest, table.Count(int64(t.Rest.Providers), "other provider"), nil)
		x.Class = "rest"
		l.Rows = append(l.Rows, x)
	}
	if len(l.Rows) > 0 {
		x := line(&t.Total, "All", []string{})
		x.Class = "sum"
		l.Sum = &x
	}
	if top > 0 {
		l.More = &anchor{"all providers", v.url("providers")}
	}
	return l
}

func (v *screen) changeList(rep *report.Report) *list {
	l := &list{Name: "changes", Title: "Changes since the previous period", Empty: "No significant changes.", Columns: []table.Column{
		{Name: "change"}, {Name: "of", Minor: true}, {Name: "which", Flex: true}, {Name: "recipients", Number: true}, {Name: "before", Number: true}, {Name: "main reason"}, {Name: "failed attempts", Number: true},
	}}
	if f := &v.sel.filter; rep.NoPrevious && (f.Since.IsZero() || f.Until.IsZero()) {
		l.Empty = "A period that goes on, or has no start, is not compared."
		l.More = &anchor{"yesterday", v.url("", "day", "yesterday")}
	} else if rep.NoPrevious {
		l.Empty = "Nothing is known of the period before."
	}
	if len(rep.Changes) > 0 {
		l.Note = "Recipients whose mail failed, each once, however often it was tried; for a reason, those to whom mail was returned."
	}
	for i, c := range rep.Changes {
		if i == 8 {
			break
		}
		to, behind := "", ""
		switch c.Kind {
		case "domain":
			to, behind = v.url(deep("domains", c.Key)), v.rows("domain", c.Key, "outcome", failedWords)
		case "provider":
			to, behind = v.url(deep("providers", c.Key)), v.rows("provider", c.Key, "outcome", failedWords)
		case "reason":
			to, behind = v.url("replies", "reason", c.Key), v.rows("reason", c.Key, "outcome", failedWords)
		}
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: c.Change}, {Value: c.Kind}, {Value: c.Key, URL: to}, {Value: c.Recipients}, {Value: c.RecipientsBefore}, {Value: c.Reason.String()}, figure(c.Failed, behind),
		}})
	}
	return l
}

// The age buckets in minutes, as in qshape(1): up to 5, 10, … and older.
var (
	allBuckets   = []int{5, 10, 20, 40, 80, 160, 320, 640, 1280}
	shortBuckets = []int{5, 20, 80, 320, 1280}
)

// queuedAtMost is the maximum number of queued recipients that are read.
const queuedAtMost = 20_000

// waitsFor returns the provider that a queued recipient waits for.
func waitsFor(q *store.Queued, routes *report.Routes) string {
	return firstWord(routes.Provider(q.RecipientDomain, q.RelayHost), q.Agent)
}

func since(q *store.Queued) time.Time {
	if q.Arrived.IsZero() {
		return q.FirstSoft
	}
	return q.Arrived
}

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
		list[i] = waiter{all[i], waitsFor(&all[i], routes)}
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
		at := 1 + bucketOf(buckets, v.sel.now.Sub(since(&all[i].Queued)))
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
	v.Command = v.sel.command(v.server.o.Period, []string{"since", "until", "day"}, "report", "--section", "pending", "--all")
	all, err := v.queued(ctx, r)
	if err != nil {
		return err
	}
	whom, bucket, host, lacks := v.extra.Get("q"), v.extra.Get("bucket"), v.extra.Get("relay-host"), lacking[v.extra.Get("none")].ok
	v.Facts = append(v.Facts, report.Fact{Label: "Recipients", Value: len(all)})
	if len(all) > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Oldest", Value: when.Span(v.sel.now.Sub(since(&all[0].Queued)))})
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
		age := v.sel.now.Sub(since(&q.Queued))
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
			at[i] = since(&all[i].Queued).Add(life)
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

// reply returns the reply in one line.
func reply(a *store.Attempt) string {
	var b strings.Builder
	if code := strconv.Itoa(int(a.Code)); strings.HasPrefix(a.Response, code) {
		return a.Response
	} else if a.Code != 0 {
		b.WriteString(code + " ")
	}
	if a.Enhanced != 0 && !strings.HasPrefix(a.Response, a.Enhanced.String()) {
		b.WriteString(a.Enhanced.String() + " ")
	}
	b.WriteString(a.Response)
	return b.String()
}
