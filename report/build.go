package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// Build builds a report from s; all of it is of the moment of s. Errors are those of s, or name an
// unknown section or sort key.
func Build(ctx context.Context, s store.Reader, o Options) (*Report, error) {
	if o.By == "" {
		o.By = store.ByDomain
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Sort == "" {
		o.Sort = "failed"
		if o.By == store.ByDay || o.By == store.ByHour {
			o.Sort = "key"
		}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	wanted := func(section string) bool {
		return len(o.Sections) == 0 || slices.Contains(o.Sections, section)
	}

	r := &Report{Location: o.Location, By: o.By, Filter: only(o.Filter), Named: len(o.Sections) > 0, Live: o.Live, Now: o.Now, asked: o.Sections, command: o.problemsCommand(), bySender: o.bySender}
	read, err := s.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	sources := read.Sources
	r.Sources = make([]SourceCount, 0, len(sources))
	for _, src := range sources {
		r.Sources = append(r.Sources, SourceCount{
			Path: src.Path, Source: src.ID, First: optional(src.First), Last: optional(src.Last),
			Lines: src.Lines, Attempts: src.Attempts,
		})
	}
	slices.SortStableFunc(r.Sources, func(a, b SourceCount) int {
		return cmp.Or(given(a.First).Compare(given(b.First)), strings.Compare(a.Path, b.Path))
	})
	// If one host is selected, the logs end with those of its agent.
	own := func(src store.Source) bool { return o.Filter.Host != "" && agentOf(src.ID) == o.Filter.Host }
	several := slices.ContainsFunc(sources, own)
	for _, src := range sources {
		if src.Last.After(r.AsOf) && (!several || own(src)) {
			r.AsOf = src.Last
		}
	}
	if o.Filter.Host == "" {
		if r.Hosts, err = hosts(ctx, s, o, sources); err != nil {
			return nil, err
		}
	}
	span, err := s.Span(ctx, o.Filter)
	if err != nil {
		return nil, err
	}
	r.Period = ReportPeriod{Since: optional(o.Filter.Since), Until: optional(o.Filter.Until), First: optional(known(span.First)), Last: optional(known(span.Last))}
	r.Timeless = !span.First.IsZero() && known(span.First).IsZero()
	r.hostHours = sync.OnceValues(func() (map[string][]Point, error) { return hostsOverTime(ctx, s) })
	r.hours = sync.OnceValues(func() ([]Point, error) { return ofAllHosts(r.hostHours()) })
	r.selected = r.hours
	if r.Filter != nil {
		f := Judged(o.Filter)
		f.Since, f.Until = time.Time{}, time.Time{}
		r.selected = sync.OnceValues(func() ([]Point, error) { return overTime(ctx, s, f, store.ByHour) })
	}
	r.gaps = sync.OnceValues(func() ([]Gap, error) { return r.allGaps(o.Filter, sources) })

	if r.NoVerdict, err = r.noVerdict(ctx, s, o, sources); err != nil {
		return nil, err
	}
	if err := r.build(ctx, s, o, read, wanted); err != nil {
		return nil, err
	}
	return r, nil
}

// build fills in the sections, several in parallel.
func (r *Report) build(ctx context.Context, s store.Reader, o Options, read *store.Coverage, wanted func(string) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The verdicts on providers need the problems too.
	problems := wanted(SectionProblems) || wanted(SectionVerdict) || wanted(SectionProviders)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context, store.Reader, Options, func(string) bool) error{
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) error {
			return r.buildCounts(ctx, s, o, read.Sources, wanted)
		},
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
			if problems {
				find := problem.Find
				if o.Rows {
					find = problem.FindRows
				}
				r.Problems, err = find(ctx, s, Judged(o.Filter), o.Problems)
				for i := range r.Problems {
					p := &r.Problems[i]
					if p.Scan == problem.ScanFlagged {
						p.Scan = o.command(append([]string{"scan", "--flagged"}, o.RerunProblems...)...)
					} else if words, ok := strings.CutPrefix(p.Scan, "bouncelog report "); ok {
						o := o
						if !p.EndedAt.IsZero() && p.EndedAt.Before(o.Filter.Since) { // the period has only retries of its mail
							o = o.from(p.Began())
						}
						p.Scan = o.command(append([]string{"report"}, strings.Fields(words)...)...)
					}
				}
			}
			return err
		},
		r.buildStanding,
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
			if wanted(SectionSenders) {
				r.Senders, err = r.senders(ctx, s, o)
			}
			return err
		},
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) error {
			return r.buildCoverage(ctx, s, o, read, wanted)
		},
	} {
		wg.Go(func() {
			if err := part(ctx, s, o, wanted); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if wanted(SectionPending) {
		var err error
		if r.Pending, err = r.pending(ctx, s, o); err != nil {
			return err
		}
	}
	order := append(Sections(), ListUnknown)
	slices.SortStableFunc(r.Lists, func(a, b List) int {
		return cmp.Compare(slices.Index(order, a.Section), slices.Index(order, b.Section))
	})
	if !problems {
		return nil
	}
	o.Filter = Judged(o.Filter)
	r.unreachedAfter = map[string]afterwards{}
	if err := r.addUnreached(ctx, s, o, r.judged.Rows); err != nil {
		return err
	}
	if err := r.addThrottled(ctx, s, o, r.judged.Rows); err != nil {
		return err
	}
	shown := wanted(SectionVerdict) || wanted(SectionProblems)
	if shown {
		if err := r.lookAround(ctx, s, o); err != nil {
			return err
		}
	}
	if o.NoWarnings {
		r.dropWarnings()
	}
	r.orderProblems()
	r.markPartly()
	if !shown {
		r.Problems = nil
	}
	if !wanted(SectionVerdict) {
		return nil
	}
	return r.buildVerdict(ctx, s, o)
}

// dropWarnings takes the MTA's warnings off the evidence of all problems, also of those before and after the period.
func (r *Report) dropWarnings() {
	for _, list := range [...][]problem.Problem{r.Problems, r.before, r.later} {
		for i := range list {
			for j := range list[i].Evidence {
				list[i].Evidence[j].Warning = ""
			}
		}
	}
}

// buildCounts fills in the sections that come from the counts by route.
func (r *Report) buildCounts(ctx context.Context, s store.Reader, o Options, sources []store.Source, wanted func(string) bool) (err error) {
	f := o.Filter
	if wanted(SectionTotals) || wanted(SectionVerdict) || wanted(SectionProblems) || wanted(SectionProviders) {
		t, err := totals(ctx, s, f)
		if err != nil {
			return err
		}
		all := t
		if r.Filter != nil {
			if all, err = totals(ctx, s, store.Filter{Since: f.Since, Until: f.Until}); err != nil {
				return err
			}
		}
		r.messages, r.handled = *all.Messages, all.Delivered+all.Hard+all.Pending
		if wanted(SectionTotals) || wanted(SectionVerdict) {
			r.Totals = t
		}
	}
	byProvider := wanted(SectionProviders) || wanted(SectionVerdict)
	judged := byProvider || wanted(SectionProblems) || wanted(SectionDomains) && IsProvider(o.By) // a verdict on each provider is needed
	var routes []store.Cell                                                                       // by domain and relay
	if judged || wanted(SectionChanges) {
		if routes, err = countRoutes(ctx, s, f); err != nil {
			return err
		}
	}
	if judged || wanted(SectionTotals) || wanted(SectionPending) {
		if r.waits, err = r.queue(ctx, s, Judged(f), routes); err != nil {
			return err
		}
	}
	if r.Totals != nil && r.waits.known && !r.Filter.partly() {
		r.Totals.Waiting = &r.waits.total
	}
	stated := routes
	if judged {
		if stated, err = Stated(ctx, s, f, routes); err != nil {
			return err
		}
	}
	groups, relays := byProviders(stated)
	if judged {
		if err := r.judge(ctx, s, f, stated, groups, relays); err != nil {
			return err
		}
	}
	var then []store.Cell
	if wanted(SectionTotals) || wanted(SectionChanges) || byProvider {
		if then, err = r.compare(ctx, s, o, sources, routes, wanted); err != nil {
			return err
		}
	}
	if wanted(SectionDomains) {
		counted := routes
		if IsProvider(o.By) {
			counted = stated
		}
		byKey, err := r.groups(ctx, s, o, counted)
		if err != nil {
			return err
		}
		rows, more := r.sortedGroups(byKey, o)
		r.note(o, List{Section: SectionDomains, Shown: len(rows), Total: len(rows) + more})
		if o.By == store.ByDomain {
			r.Domains = rows
		} else {
			r.Groups = rows
		}
	}
	if byProvider {
		p := o
		p.By, p.Sort, p.Top = ByProvider, "failed", lesser(o.Top)
		rows, more := r.sortedGroups(groups, p)
		if r.Comparison == nil || !r.Comparison.Whole() {
			then = nil // it has another length
		}
		if then != nil {
			past := f
			past.Since, past.Until = r.Comparison.PreviousSince, r.Comparison.PreviousUntil
			if then, err = Stated(ctx, s, past, then); err != nil {
				return err
			}
			then = providers(then)
		}
		var waits map[string]int64
		if r.waits.known && !r.Filter.partly() {
			waits = r.waits.provider
		}
		r.ProviderTable = providerTable(groups, relays, then, p.Top, r.judged.marks(), waits)
		if !ofMessages(f) {
			r.ProviderTable.dropMessages()
		}
		if wanted(SectionProviders) {
			if waits != nil {
				for i := range rows {
					n := waits[rows[i].Key]
					rows[i].Waiting = &n
				}
			}
			r.Providers = rows
			r.note(o, List{Section: SectionProviders, Shown: len(rows), Total: len(rows) + more})
		}
	}
	return nil
}

// judge fills in the subjects of verdicts, as they were at the end of the period, regardless of a
// filter by outcome or reason. routes, groups and relays are of the mail that f selects.
func (r *Report) judge(ctx context.Context, s store.Reader, f store.Filter, routes, groups []store.Cell, relays map[string]bool) (err error) {
	if r.Filter.partly() {
		if routes, err = countRoutes(ctx, s, Judged(f)); err != nil {
			return err
		}
		if routes, err = Stated(ctx, s, Judged(f), routes); err != nil {
			return err
		}
		groups, relays = byProviders(routes)
	}
	r.routes = RoutesOf(routes)
	if groups, err = r.pendingThen(ctx, s, Judged(f), routes, groups); err != nil {
		return err
	}
	r.judged = providerTable(groups, relays, nil, 0, nil, nil)
	return nil
}

// buildStanding fills in the reasons and the recipients.
func (r *Report) buildStanding(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
	if wanted(SectionReasons) {
		if r.Reasons, err = reasons(ctx, s, o.Filter); err != nil {
			return err
		}
		if err := lastTemporary(ctx, s, o.Filter, r.Reasons); err != nil {
			return err
		}
	}
	if wanted(SectionRecipients) {
		if err := r.recipients(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

// buildCoverage fills in the coverage and the contradictory replies.
func (r *Report) buildCoverage(ctx context.Context, s store.Reader, o Options, read *store.Coverage, wanted func(string) bool) (err error) {
	f := o.Filter
	var replies []store.Reply
	if wanted(SectionContradictions) || wanted(SectionUnparsed) {
		if replies, err = s.Replies(ctx, f); err != nil {
			return err
		}
	}
	if wanted(SectionContradictions) {
		r.Contradictions = r.contradictions(o, replies)
	}
	if wanted(SectionTimeline) {
		if r.Timeline, err = r.timeline(ctx, s, f, o.Days); err != nil {
			return err
		}
		if _, past, _, ok := r.comparable(f, read.Sources, nil); ok {
			by := store.ByHour
			if r.ByDay {
				by = store.ByDay
			}
			if r.TimelineBefore, err = overTime(ctx, s, past, by); err != nil {
				return err
			}
		}
	}
	if wanted(SectionUnparsed) {
		gaps, err := r.gaps()
		if err != nil {
			return err
		}
		r.Unparsed, err = r.coverage(read, o, gapsWithin(gaps, f.Since, f.Until), replies)
		return err
	}
	return nil
}

func (r *Report) groups(ctx context.Context, s store.Reader, o Options, routes []store.Cell) ([]store.Cell, error) {
	switch o.By {
	case store.ByRelay, ByProvider:
		return providers(routes), nil
	case ByRelayHost:
		return s.Count(ctx, o.Filter, store.ByRelay)
	case store.ByDomain:
		if routes != nil { // counted already
			return merged(routes, func(r *store.Cell) string { return r.Keys[0] }), nil
		}
	case store.BySender, store.BySASLUser, store.ByClient:
		groups, err := s.Count(ctx, o.Filter, o.By)
		groups = slices.DeleteFunc(groups, func(c store.Cell) bool { return c.Keys[0] == "" })
		for i := range groups {
			if groups[i].Keys[0] == nullSender {
				groups[i].Keys[0] = ""
			}
		}
		return groups, err
	}
	return s.Count(ctx, o.Filter, o.By)
}

func (r *Report) timeline(ctx context.Context, s store.Reader, f store.Filter, days bool) ([]Point, error) {
	if r.Period.Last == nil {
		return []Point{}, nil
	}
	r.ByDay = days || r.Period.First == nil || r.Period.Last.Sub(*r.Period.First) > hourly
	if r.ByDay {
		return overTime(ctx, s, f, store.ByDay)
	}
	return overTime(ctx, s, f, store.ByHour)
}

const hourly = 8 * 24 * time.Hour // maximum length of a timeline by the hour

// sortedGroups returns the groups with attempts, in order. more is the number of groups that Top
// omits.
func (r *Report) sortedGroups(groups []store.Cell, o Options) (rows []Group, more int) {
	// Omitted groups need no texts.
	list := make([]*store.Cell, 0, len(groups))
	for i := range groups {
		if g := &groups[i]; g.Attempts+g.Pending > 0 { // others have only hand-offs and probes
			list = append(list, g)
		}
	}
	key := func(g *store.Cell) int64 {
		switch o.Sort {
		case "hard":
			return g.Hard
		case "soft":
			return g.Soft
		case "delivered":
			return g.Delivered
		case "attempts":
			return g.Attempts
		case "pending":
			return g.Pending
		case "expired":
			return g.Expired
		case "recovered":
			return g.Recovered
		case "messages":
			if o.By == store.ByRecipient {
				return Recipients(&g.Counts)
			}
			return g.Messages
		}
		return g.Hard + g.Soft
	}
	order := func(a, b *store.Cell) int {
		if o.Sort == "key" {
			return strings.Compare(a.Keys[0], b.Keys[0])
		}
		return cmp.Or(cmp.Compare(key(b), key(a)), cmp.Compare(b.Hard, a.Hard),
			cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Keys[0], b.Keys[0]))
	}
	var blocking map[string]bool
	if IsProvider(o.By) {
		blocking = r.judged.blocking()
	}
	if byFailed := order; blocking != nil && o.Sort == "failed" { // providers that block us
		order = func(a, b *store.Cell) int {
			return cmp.Or(cmp.Compare(bit(blocking[b.Keys[0]]), bit(blocking[a.Keys[0]])), byFailed(a, b))
		}
	}
	slices.SortFunc(list, order)
	if o.Top > 0 && len(list) > o.Top {
		more = len(list) - o.Top
		if o.By == store.ByDay || o.By == store.ByHour {
			list = list[more:] // keep the newest
		} else {
			list = list[:o.Top]
		}
	}
	messages := ofMessages(o.Filter) && o.By != store.ByReason // a message has a reason for some of its recipients only
	rows = make([]Group, 0, len(list))
	for _, g := range list {
		row := Group{Key: g.Keys[0], Counts: counts(&g.Tally, messages), Recipients: Recipients(&g.Counts)}
		if o.By == store.ByRecipient && messages {
			row.Messages = &row.Recipients // the store counts a message with its first recipient
		}
		if o.By == store.ByDomain {
			row.Domain = row.Key
		}
		row.Reason, row.Refused = mainReason(g.Reasons), refused(g.Reasons)
		row.Blocks = blocking[row.Key]
		for reason, n := range g.Reasons {
			if row.Reasons == nil {
				row.Reasons = make(map[string]int64, len(g.Reasons))
			}
			row.Reasons[reason.String()] = n
		}
		rows = append(rows, row)
	}
	return rows, more
}

func reasons(ctx context.Context, s store.Reader, f store.Filter) ([]ReasonCount, error) {
	groups, err := s.Count(ctx, f, store.ByReason)
	if err != nil {
		return nil, err
	}
	rows := []ReasonCount{}
	for _, g := range groups {
		if g.Soft+g.Hard == 0 {
			continue
		}
		reason, ok := bounce.ParseReason(g.Keys[0])
		if !ok {
			return nil, fmt.Errorf("the store knows a reason %q that this program does not", g.Keys[0])
		}
		t := judge.ReasonText(reason)
		rows = append(rows, ReasonCount{Reason: reason, Scope: t.Scope, Soft: g.Soft, Hard: g.Hard, Meaning: t.Meaning, Do: slices.Clone(t.Do)})
	}
	slices.SortFunc(rows, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Soft+b.Hard, a.Soft+a.Hard), cmp.Compare(b.Hard, a.Hard), cmp.Compare(a.Reason, b.Reason))
	})
	return rows, nil
}

func (r *Report) recipients(ctx context.Context, s store.Reader, o Options) error {
	f, ok := o.Filter.Restrict(store.Faults)
	f.Outcomes = []bounce.Outcome{bounce.Hard}
	r.Recipients = []Recipient{}
	if !ok || len(o.Filter.Outcomes) > 0 && !slices.Contains(o.Filter.Outcomes, bounce.Hard) {
		return nil
	}
	f.Undelivered = true
	n := 0
	if o.Top > 0 && !r.Named { // among other sections all rows would cost more than the others together
		n = 3*o.Top + 20 // a rule may show that some are not about the address
	}
	var all []store.Recipient
	for h, err := range s.Recipients(ctx, f, n) {
		if err != nil {
			return err
		}
		all = append(all, *h)
	}
	d, err := doubtsOf(ctx, s, f, all)
	if err != nil {
		return err
	}
	seen := len(all)
	for i := range all {
		if x, ok := suppression(&all[i], 1, d); ok {
			r.Recipients = append(r.Recipients, Recipient{x.Recipient, x.Failures, x.Reason, x.Since, x.Last, x.LastDelivered, x.Response})
		}
	}
	slices.SortFunc(r.Recipients, func(a, b Recipient) int {
		return cmp.Or(cmp.Compare(b.Hard, a.Hard), b.Last.Compare(a.Last), strings.Compare(a.Recipient, b.Recipient))
	})
	l := List{Section: SectionRecipients, Total: len(r.Recipients), Least: n > 0 && seen == n}
	if l.LeftOut = seen - l.Total; l.LeftOut > 0 {
		l.WhyNot = o.command("suppress", "--why-not")
	}
	if o.Top > 0 && len(r.Recipients) > o.Top {
		r.Recipients = r.Recipients[:o.Top]
	}
	l.Shown = len(r.Recipients)
	r.note(o, l)
	return nil
}

// markPartly lowers the best mark of the providers of incidents that go on at the end of the
// period.
func (r *Report) markPartly() {
	if r.ProviderTable == nil {
		return
	}
	hit := map[string]bool{}
	for _, in := range r.Incidents() {
		if in.Ongoing && !in.IsBackground() {
			for _, name := range in.Providers {
				hit[name] = true
				if in.Stuck { // it may have the name of a domain
					hit[r.routes.Provider(name, "")] = true
				}
			}
		}
	}
	for i := range r.ProviderTable.Rows {
		if row := &r.ProviderTable.Rows[i]; row.Mark == MarkTakes && hit[row.Provider] {
			row.Mark = MarkPartly
		}
	}
}
