package report

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

const (
	unreachedAtMost = 20 // providers
	// unreachedChance is how improbable it has to be that as many messages were taken in a
	// row, did the provider still fail, for that to have ended.
	unreachedChance = 0.01
)

// theirs are the reasons of failures that are the receiving side's, where it was tried.
var theirs = bounce.Reasons(func(r bounce.Reason) bool {
	return r != bounce.Expired && judge.ReasonText(r).Scope == bounce.ScopeRemote
})

// addUnreached adds the providers that most mail does not get through to, for a reason that
// is theirs, to the problems: those with the most such messages, but for those that another
// problem is about at the same time. Of those with little such mail it adds the ones that took some,
// and none for a day and longer. rows are all providers.
func (r *Report) addUnreached(ctx context.Context, s store.Reader, o Options, rows []ProviderRow) error {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b ProviderRow) int { return cmp.Compare(b.lost(), a.lost()) })
	explaining, found := r.Problems[:len(r.Problems):len(r.Problems)], 0
	explained := func(x *unreachedRow) bool {
		return known(x.Last).IsZero() || slices.ContainsFunc(explaining, func(q problem.Problem) bool { return r.explains(&q, x) })
	}
	add := func(batch []*unreachedRow) error {
		if err := r.countBatch(ctx, s, o, batch); err != nil {
			return err
		}
		for _, x := range batch {
			if found == unreachedAtMost {
				break
			}
			p, after, err := r.unreached(ctx, s, o, x)
			if err != nil {
				return err
			}
			if p == nil || x.little && explained(x) {
				continue
			}
			r.Problems = append(r.Problems, *p)
			if after.state != "" {
				r.unreachedAfter[x.Provider] = after
			}
			found++
		}
		return nil
	}
	var little []*unreachedRow
	for len(rows) > 0 && found < unreachedAtMost {
		var batch []*unreachedRow // whose mail is counted at once
		for len(rows) > 0 && len(batch) < unreachedAtMost {
			x := &unreachedRow{ProviderRow: &rows[0]}
			rows = rows[1:]
			switch {
			case judge.ReasonText(x.Reason).Scope != bounce.ScopeRemote:
				continue
			case x.Mark != MarkFails && (x.Mark != MarkTakes || x.lost() < markLeast):
				if x.little = true; x.lost() > 0 {
					little = append(little, x)
				}
				continue
			}
			var err error
			if x.Span, err = s.Span(ctx, x.failures(o)); err != nil {
				return err
			}
			if !explained(x) {
				batch = append(batch, x)
			}
		}
		if err := add(batch); err != nil {
			return err
		}
	}
	dead, err := died(ctx, s, o, little)
	if err != nil {
		return err
	}
	return add(dead)
}

// An unreachedRow is a provider that most mail may not get through to.
type unreachedRow struct {
	*ProviderRow
	store.Span              // of its failures in the period
	little     bool         // too little mail to it is not delivered for an incident, unless it died
	takes      bool         // it took mail around the period
	hours      []store.Cell // around the period; see courseOf
	detail     string       // the commonest of its main reason in the period
	most       int64        // failures with it
}

const (
	deadAsked  = 500 // providers that took none in the period, which are asked for what they took before
	diedAtMost = 200 // providers whose course is followed, with what does not get through to them the most first
)

// died returns, of providers in the order of what is not delivered, those that took mail and may take none now.
func died(ctx context.Context, s store.Reader, o Options, rows []*unreachedRow) ([]*unreachedRow, error) {
	var ask []*unreachedRow
	may := map[*unreachedRow]bool{}
	for _, x := range rows {
		switch {
		case x.Delivered > 0:
			may[x] = x.lost() >= problem.IncidentLeast
		case len(ask) < deadAsked && !x.relay: // a relay that answers nobody has no name in the log
			ask = append(ask, x)
		}
	}
	if f := o.Filter; len(ask) > 0 && !f.Since.IsZero() {
		f.Until = dayOf(f.Since) // whole days are counted already
		f.Since = f.Until.Add(-afterAtMost)
		f.Outcomes = []bounce.Outcome{bounce.Delivered}
		if err := count(ctx, s, f, ask, func(x *unreachedRow, c store.Cell) { may[x] = may[x] || c.Delivered > 0 }); err != nil {
			return nil, err
		}
	}
	rows = slices.DeleteFunc(rows, func(x *unreachedRow) bool { return !may[x] || x.relay })
	return rows[:min(len(rows), diedAtMost)], nil
}

// filter selects its mail.
func (x *unreachedRow) filter(o Options) store.Filter {
	f := o.Filter
	if x.relay {
		f.Relay = x.Provider
	} else {
		f.Domain = x.Provider
	}
	return f
}

// failures selects the failures that are the provider's.
func (x *unreachedRow) failures(o Options) store.Filter {
	f := x.filter(o)
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	f, _ = f.Restrict(theirs)
	return f
}

// courseOf is f from before the period to its end or, of a past one, after it.
func (r *Report) courseOf(f store.Filter) store.Filter {
	if r.Past() {
		f.Until = r.End().Add(afterAtMost)
	}
	if !f.Since.IsZero() {
		f.Since = f.Since.Add(-afterAtMost)
	}
	f.Outcomes, f.Reasons = nil, nil
	return f
}

// countBatch counts the mail of some providers by hour, and their failures by detail.
func (r *Report) countBatch(ctx context.Context, s store.Reader, o Options, batch []*unreachedRow) error {
	course := r.courseOf(o.Filter)
	days := course // whole ones are counted already
	days.Outcomes = []bounce.Outcome{bounce.Delivered}
	if !days.Since.IsZero() {
		days.Since = dayOf(days.Since)
	}
	if !days.Until.IsZero() {
		days.Until = dayOf(days.Until).AddDate(0, 0, 1)
	}
	if err := count(ctx, s, days, batch, func(x *unreachedRow, c store.Cell) { x.takes = x.takes || c.Delivered > 0 }); err != nil {
		return err
	}
	for _, takes := range [...]bool{false, true} {
		f := course
		if !takes { // mostly: then the failures, a tenth of the rows, say it all
			f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
		}
		part := slices.DeleteFunc(slices.Clone(batch), func(x *unreachedRow) bool { return x.takes != takes })
		if err := count(ctx, s, f, part, func(x *unreachedRow, c store.Cell) { x.hours = append(x.hours, c) }, store.ByHour); err != nil {
			return err
		}
	}
	f := o.Filter
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Soft, bounce.Hard}, nil
	return count(ctx, s, f, batch, func(x *unreachedRow, c store.Cell) {
		if n := c.Reasons[x.Reason]; n > x.most || n == x.most && c.Keys[0] < x.detail {
			x.most, x.detail = n, c.Keys[0]
		}
	}, store.ByDetail)
}

// count counts the mail of some providers that f selects: of all domains at once, since each such
// question reads all rows (of 16 in 8.8 million attempts 8.3 s, of all together 0.6 s); of relays one by one.
func count(ctx context.Context, s store.Reader, f store.Filter, batch []*unreachedRow, add func(*unreachedRow, store.Cell), by ...store.Dimension) error {
	domains, all := map[string]*unreachedRow{}, f
	all.Domain, all.Domains = "", nil
	for _, x := range batch {
		if !x.relay {
			domains[ascii.Lower(x.Provider)] = x
			all.Domains = append(all.Domains, x.Provider)
			continue
		}
		f.Relay = x.Provider
		cells, err := s.Count(ctx, f, by...)
		if err != nil {
			return err
		}
		for _, c := range cells {
			add(x, c)
		}
	}
	if len(domains) == 0 {
		return nil
	}
	cells, err := s.Count(ctx, all, append(by, store.ByDomain)...)
	for _, c := range cells {
		if x := domains[c.Keys[len(by)]]; x != nil {
			add(x, c)
		}
	}
	return err
}

// explains reports whether q is about a provider, or an outage of ours that mail to it fails by,
// and neither is over before the other begins.
func (r *Report) explains(q *problem.Problem, x *unreachedRow) bool {
	in := r.incident(q)
	name := x.Provider
	return !in.IsBackground() && (slices.Contains(q.Providers, name) || q.Outage() && (slices.Contains(q.Domains, name) || slices.Contains(q.Hops(), name))) &&
		!q.Since.After(x.Last) && !x.First.After(q.Until)
}

// unreached sets out a provider that mail is not delivered to, and what became of that after
// the period; nil where it takes most again.
func (r *Report) unreached(ctx context.Context, s store.Reader, o Options, row *unreachedRow) (*problem.Problem, afterwards, error) {
	option := "--domain"
	if row.relay {
		option = "--relay"
	}
	c, err := r.unreachedCourse(ctx, s, o, row)
	if err != nil {
		return nil, afterwards{}, err
	}
	// Over all of the period most was taken: then most is lost since the failures began.
	if row.little {
		if !c.took || c.taken > 0 || c.messages < problem.IncidentLeast {
			return nil, afterwards{}, nil
		}
		if row.Span, err = s.Span(ctx, row.failures(o)); err != nil {
			return nil, afterwards{}, err
		}
	} else if row.Mark != MarkFails && (2*c.failures < row.Soft+row.Hard || float64(row.lost()) < markShare*float64(row.lost()+c.between)) {
		return nil, afterwards{}, nil
	}
	t := judge.VerdictText(bounce.Verdict{Reason: row.Reason, Detail: row.detail})
	u := problem.Unreached{
		Provider: row.Provider, Name: provider.Name(row.Provider), Reason: row.Reason, Detail: row.detail, Cause: t.Title, Why: t.Meaning, Command: o.command("report", option, row.Provider),
		FirstHeard: c.began, Since: row.First.UTC(), Until: row.Last.UTC(), Ongoing: c.taken == 0,
		Attempts: row.Soft + row.Hard, Lost: int(row.lost()), Returned: int(row.Hard), Tried: int(row.lost() + c.between),
		Share: float64(part(row.lost(), r.handled)), Died: c.took && c.since == 0, Failed: int(c.messages),
	}
	if len(t.Do) > 0 {
		u.Check = t.Do[0]
	}
	switch {
	case c.taken > 0:
		u.Ended, u.EndedAt = table.Count(c.taken, "message")+" taken since", c.ended
	case r.End().Sub(row.Last) >= o.Problems.Quiet():
		u.Ongoing, u.Ended = false, "no failure since, and too little mail to tell"
	}
	p := u.Problem()
	if row.little && p.Background {
		return nil, afterwards{}, nil
	}
	if !u.Ongoing {
		return &p, afterwards{}, nil
	}
	return &p, c.after, nil
}

// A course is how failures to a provider went on: when they began, how many messages were taken since the
// last of the period, where that shows that they are over, and the first of these; and
// what became of it after the period.
type course struct {
	took     bool      // mail was taken before them
	since    int64     // messages taken since the hour in which they began, to the last of them
	messages int64     // that were tried first since they began
	began    time.Time // the first failure of them, where that lies before the period; else zero
	between  int64     // messages taken from the first failure of them to the last
	failures int64     // in the period
	taken    int64
	ended    time.Time
	after    afterwards
}

// unreachedCourse follows a provider's mail hour by hour, from before the period to its end and,
// where the failures had not ended by then, after it.
func (r *Report) unreachedCourse(ctx context.Context, s store.Reader, o Options, row *unreachedRow) (c course, err error) {
	end, since := r.End(), o.Filter.Since
	f := r.courseOf(row.filter(o))
	share := float64(row.lost()) / float64(row.Delivered+row.lost()) // of it that fails
	cells := row.hours
	slices.SortFunc(cells, func(a, b store.Cell) int { return cmp.Compare(a.Keys[0], b.Keys[0]) })
	// Hours: of the first and the last failure, and of the first message taken since.
	var began, last, first time.Time
	taken := int64(0)
	over := func() bool {
		return row.little && taken > 0 || math.Pow(1-min(share, 0.9), float64(taken)) < unreachedChance
	}
	firstIn := func(hour time.Time, reasons []bounce.Reason, outcomes ...bounce.Outcome) (time.Time, error) {
		f := f
		f.Since, f.Until, f.Outcomes, f.Reasons = hour, hour.Add(time.Hour), outcomes, reasons
		span, err := s.Span(ctx, f)
		return span.First.UTC(), err
	}
	later := false // than the period
	for i := range cells {
		t, err := time.Parse(hourLayout, cells[i].Keys[0])
		if err != nil || known(t).IsZero() {
			continue // on no axis; see overTime
		}
		if !later && !t.Before(end) {
			if later = true; over() {
				break
			}
		}
		var failures int64
		for reason, n := range cells[i].Reasons {
			if slices.Contains(theirs, reason) {
				failures += n
			}
		}
		switch {
		case failures > 0:
			begins := last.IsZero() || over() || t.Sub(last) >= o.Problems.Quiet() || row.little && cells[i].Delivered > 0
			if begins {
				began, c.between, c.since, c.failures, c.messages, taken = t, 0, 0, 0, 0, 0
				c.took = c.took || cells[i].Delivered > 0
			}
			if !later {
				c.between += taken + cells[i].Delivered
				c.failures += failures
				c.messages += cells[i].Messages
				if !begins {
					c.since += taken + cells[i].Delivered
				}
			}
			last, taken = t, 0
		case cells[i].Delivered == 0:
		case last.IsZero():
			c.took = true
		default:
			c.took = true
			if taken == 0 {
				first = t
			}
			taken += cells[i].Delivered
		}
		if later && over() {
			break
		}
	}
	if began.Before(since) && !began.IsZero() {
		if c.began, err = firstIn(began, theirs, bounce.Soft, bounce.Hard); err != nil {
			return c, err
		}
	}
	switch {
	case !over():
		if limit := f.Until; !r.Past() || limit.Before(r.AsOf) {
			return c, nil
		}
		if r.AsOf.Sub(last) < o.Problems.Quiet() {
			c.after = afterwards{state: AfterGoingOn}
		} else {
			c.after = afterwards{AfterEnded, last}
		}
	case later && !first.Before(end):
		c.after.state = AfterEnded
		c.after.ended, err = firstIn(first, nil, bounce.Delivered)
	default:
		c.taken = taken
		c.ended, err = firstIn(first, nil, bounce.Delivered)
	}
	return c, err
}
