package report

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// The minimum number of earlier days from which the usual hours of a provider are derived.
const (
	usualLeast = 3 // days of the same kind: weekdays or days of the weekend
	usualAny   = 2 // days of any kind
)

// unreachedAtMost is the maximum number of providers to which mail is not delivered.
const unreachedAtMost = 20

// addUnreached adds to the problems the providers to which most mail is not delivered for a reason
// of theirs: those with the most such messages, except those that another problem explains at the
// same time. Of providers with little such mail it adds those that took some before and none for
// longer than usual. rows are all providers.
func (r *Report) addUnreached(ctx context.Context, s store.Reader, o Options, rows []ProviderRow) error {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b ProviderRow) int { return cmp.Compare(b.lost(), a.lost()) })
	explaining, found := r.Problems[:len(r.Problems):len(r.Problems)], []*unreachedFound{}
	explained := func(x *unreachedRow) bool { return known(x.Last).IsZero() || r.explain(explaining, x) }
	add := func(batch []*unreachedRow) error {
		for _, x := range batch {
			if len(found) == unreachedAtMost {
				break
			}
			if slices.ContainsFunc(found, func(y *unreachedFound) bool {
				return y.p.Ongoing && y.holds(r.routes, x) && !most(int(max(x.lost(), x.Failed, x.older)), y.p.Messages)
			}) {
				continue
			}
			p, after, err := r.unreached(ctx, s, o, x)
			if err == nil && p == nil {
				if err = r.returned(ctx, s, o, x); err == nil && !x.back.IsZero() {
					p, after, err = r.unreached(ctx, s, o, x)
				}
			}
			if err != nil {
				return err
			}
			if p == nil || x.little && explained(x) {
				continue
			}
			if one, err := r.ofOneSender(ctx, s, o, explaining, x, p); err != nil {
				return err
			} else if one {
				continue
			}
			found = addFound(r.routes, found, &unreachedFound{x, p, after})
		}
		return nil
	}
	var many, little, past []*unreachedRow
	served := r.routes.served(rows)
	for i := range rows {
		x := &unreachedRow{ProviderRow: &rows[i], name: rows[i].Provider, reasons: map[bounce.Reason]int64{}}
		switch {
		case x.mayGoOn():
			x.little, x.past = true, true
			past = append(past, x)
			continue
		case !slices.Contains(theirs, x.Reason) && x.Reason != bounce.Greylisted && x.Reason != bounce.Expired && !x.anyReason():
			continue
		case x.Reason == bounce.RateLimited || x.anyReason() || x.Reason == bounce.Greylisted || x.Mark != MarkFails && (x.Mark != MarkTakes || x.lost() < markLeast):
			if x.little = true; max(x.lost(), x.Failed, x.Soft) == 0 { // older messages may be tried
				continue
			}
		}
		if !x.little {
			many = append(many, x)
			continue
		}
		x.is(r.routes, served)
		little = append(little, x)
	}
	for _, x := range past {
		x.is(r.routes, served)
	}
	past, err := r.refusedBefore(ctx, s, o, past)
	if err != nil {
		return err
	}
	little = append(little, past...)
	for _, x := range r.parts(o.Filter.Since, rows, served) {
		x.is(r.routes, served)
		little = append(little, x)
	}
	slices.SortStableFunc(little, func(a, b *unreachedRow) int { return cmp.Or(cmp.Compare(b.lost(), a.lost()), b.size()-a.size()) })
	dead, err := r.died(ctx, s, o, little)
	if err != nil {
		return err
	}
	uncounted := dead
	for len(many) > 0 && len(found) < unreachedAtMost {
		var batch []*unreachedRow // providers whose mail is counted together, the first ones with that of dead
		for len(many) > 0 && len(batch) < unreachedAtMost {
			x := many[0]
			many = many[1:]
			x.is(r.routes, served)
			if x.Span, err = s.Span(ctx, x.failures(o)); err != nil {
				return err
			}
			if !explained(x) {
				batch = append(batch, x)
			}
		}
		if err := r.countBatch(ctx, s, o, slices.Concat(batch, uncounted)); err != nil {
			return err
		}
		uncounted = nil
		if err := add(batch); err != nil {
			return err
		}
	}
	if err := r.countBatch(ctx, s, o, uncounted); err != nil {
		return err
	}
	if err := add(dead); err != nil {
		return err
	}
	for _, x := range found {
		r.Problems = append(r.Problems, *x.p)
		if x.after.state != "" {
			r.unreachedAfter[x.p.ID] = x.after
		}
	}
	return nil
}

// refusedBefore returns the rows of which enough may have been refused in the period and on the days before for
// an incident.
func (r *Report) refusedBefore(ctx context.Context, s store.Reader, o Options, rows []*unreachedRow) ([]*unreachedRow, error) {
	f := o.Filter
	if len(rows) == 0 || f.Since.IsZero() {
		return nil, nil
	}
	since := f.Since
	if f.Until = dayOf(since); f.Until.Before(since) { // whole days are counted already
		f.Until = f.Until.AddDate(0, 0, 1)
	}
	f.Since, f.Outcomes = f.Until.Add(-afterAtMost), []bounce.Outcome{bounce.Soft, bounce.Hard}
	refused := map[*unreachedRow]int64{}
	err := r.count(ctx, s, f, rows, func(x *unreachedRow, c store.Cell) { refused[x] += c.Reasons[x.Reason] })
	return slices.DeleteFunc(rows, func(x *unreachedRow) bool { return refused[x]+x.lost() < markLeast }), err
}

// is sets name, to and the failures from the cells of the providers. A failed connection names no
// relay: the mail to the provider's domains belongs to the provider, too.
func (x *unreachedRow) is(routes *Routes, served *served) {
	x.failed, x.relayless = map[string]int64{}, map[string]int64{}
	count := func(c *store.Cell) {
		domain, n := ascii.Lower(c.Keys[0]), x.failuresOf(c)
		if x.failed[domain] += n; c.Keys[1] == "" {
			x.relayless[domain] += n
		}
	}
	if x.part != nil {
		for _, c := range x.part.cells {
			count(c)
		}
		if x.part.suffix != "" {
			x.to = routes.Part(x.part.suffix)
		}
		return
	}
	cells := served.cells[x.Provider]
	for i := range cells {
		count(&cells[i])
	}
	if !x.relay {
		return
	}
	domain := ""
	if len(cells) > 0 {
		domain = cells[0].Keys[0]
	}
	if domain != "" && served.shared[ascii.Lower(domain)] == nil && !slices.ContainsFunc(cells, func(c store.Cell) bool { return c.Keys[0] != domain }) {
		x.name = domain
		return
	}
	x.to = (&Routes{routes.usual, cells}).Destination(x.Provider)
}

// returned sets back if the provider took no mail for the minimum time of one that died, and took
// some again in the period. The row then describes the longest such time only.
func (r *Report) returned(ctx context.Context, s store.Reader, o Options, x *unreachedRow) (err error) {
	var since, began, back time.Time
	var longest time.Duration
	until, messages := len(x.hours), int64(0)
	for i := range x.hours { // in order: see unreachedCourse
		t, err := time.Parse(hourLayout, x.hours[i].Keys[0])
		if err != nil || known(t).IsZero() || !t.Before(r.End()) {
			continue
		}
		if x.hours[i].Delivered > 0 {
			few := x.part != nil && messages < problem.IncidentLeast // do not ask for each part
			if silent := t.Sub(began); !began.IsZero() && silent > longest && !t.Before(o.Filter.Since) && !few {
				longest, since, back, until = silent, began, t, i
			}
			began = time.Time{}
		}
		if n := x.failuresOf(&x.hours[i]); n > 0 && began.IsZero() {
			began, messages = t, x.hours[i].Messages
		} else if n > 0 {
			messages += x.hours[i].Messages
		}
	}
	if longest < problem.StallLeast {
		return nil
	}
	silent := *x
	silent.little, silent.back, silent.hours = true, back, x.hours[:until]
	if c := r.unreachedCourse(o, &silent); !c.mayBeDead(&silent, r.End()) {
		return nil
	}
	f := x.filter(o)
	f.Since, f.Until, f.Outcomes, f.Reasons = back, back.Add(time.Hour), []bounce.Outcome{bounce.Delivered}, nil
	first, err := s.Span(ctx, f)
	if err != nil {
		return err
	}
	f = x.failures(o)
	if since.After(f.Since) {
		f.Since = since
	}
	f.Until = first.First
	if x.Span, err = s.Span(ctx, f); err != nil || x.IsZero() {
		return err
	}
	x.little, x.back = true, first.First.UTC()
	f = x.filter(o)
	f.Since, f.Until, f.Outcomes, f.Reasons = x.First, x.back, nil, nil
	all, err := store.CountAll(ctx, s, f)
	if err != nil {
		return err
	}
	p := *x.ProviderRow
	p.Soft, p.Hard = all.Soft, all.Hard
	f = x.filter(o)
	f.Until = x.back
	if q, err := r.queueOf(ctx, s, f, x.First); err != nil {
		return err
	} else if q != nil {
		p.Failed, x.retried = int64(q.Waiting+q.GivenUp), q.Retried
	}
	x.ProviderRow = &p
	x.reasons = map[bounce.Reason]int64{}
	for reason, n := range all.Reasons {
		if slices.Contains(x.losing(), reason) {
			x.reasons[reason] = n
		}
	}
	for i := range x.hours[until:] {
		if t, err := time.Parse(hourLayout, x.hours[until+i].Keys[0]); err == nil && t.Before(r.End()) {
			x.taken += x.hours[until+i].Delivered
		}
	}
	x.hours = x.hours[:until]
	return nil
}

const (
	deadAsked  = 500 // providers that took no mail in the period, for which earlier deliveries are looked up
	diedAtMost = 200 // providers whose course is followed, those with the most undelivered mail
)

// died returns the providers that took mail and may take none now. rows are in the order of
// undelivered mail.
func (r *Report) died(ctx context.Context, s store.Reader, o Options, rows []*unreachedRow) ([]*unreachedRow, error) {
	var ask []*unreachedRow
	may := map[*unreachedRow]bool{}
	for _, x := range rows {
		switch {
		case x.Delivered > 0:
			may[x] = max(x.lost(), x.Failed) >= problem.IncidentLeast
		case len(ask) < deadAsked:
			ask = append(ask, x)
		}
	}
	if f := o.Filter; len(ask) > 0 && !f.Since.IsZero() {
		f.Until = dayOf(f.Since) // whole days are counted already
		f.Since = f.Until.Add(-afterAtMost)
		f.Outcomes = []bounce.Outcome{bounce.Delivered}
		if err := r.count(ctx, s, f, ask, func(x *unreachedRow, c store.Cell) { may[x] = may[x] || c.Delivered > 0 }); err != nil {
			return nil, err
		}
	}
	rows = slices.DeleteFunc(rows, func(x *unreachedRow) bool { return !may[x] })
	rows = rows[:min(len(rows), diedAtMost)]
	return r.pausing(ctx, s, o, rows)
}

// pausing returns the rows whose provider took no mail for longer than StallLeast in the period. Others did
// not die: see mayBeDead and returned. Their mail of the weeks around the period is not counted by the hour
// (of a day among 10.2 million attempts that took 4.0 of 13.9 s, for three large providers).
func (r *Report) pausing(ctx context.Context, s store.Reader, o Options, rows []*unreachedRow) ([]*unreachedRow, error) {
	f := o.Filter
	if len(rows) == 0 {
		return rows, nil
	}
	if f.Since.IsZero() || r.End().Sub(f.Since) > daysCounted {
		return r.failingDays(ctx, s, o, rows)
	}
	f.Since, f.Outcomes = f.Since.Truncate(time.Hour).Add(-problem.StallLeast), []bounce.Outcome{bounce.Delivered}
	took := map[*unreachedRow][]store.Cell{}
	if err := r.count(ctx, s, f, rows, func(x *unreachedRow, c store.Cell) { took[x] = append(took[x], c) }, store.ByHour); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(x *unreachedRow) bool {
		var last time.Time
		for _, c := range byHour(took[x]) {
			t, err := time.Parse(hourLayout, c.Keys[0])
			if err != nil || known(t).IsZero() || !t.Before(r.End()) {
				continue
			}
			if last.IsZero() && !t.Before(o.Filter.Since) || !last.IsZero() && t.Sub(last) > problem.StallLeast {
				return false
			}
			last = t
		}
		return !last.IsZero() && r.End().Sub(last) <= problem.StallLeast
	}), nil
}

// dayFailing is the minimum difference between the shares of messages that failed on the worst and on the best
// day of a provider that took no mail for StallLeast: half of it if that was at midnight.
var dayFailing = problem.StallLeast.Hours() / 24 / 2

// daysCounted is the longest period whose mail pausing counts by the hour.
const daysCounted = 7 * 24 * time.Hour

// failingDays returns the rows whose provider may have taken no mail for longer than StallLeast, by the shares
// of failures on its days, which are counted already. (With all of 10.2 million attempts, to count the hours of
// the large providers took 5 of 14 s.)
func (r *Report) failingDays(ctx context.Context, s store.Reader, o Options, rows []*unreachedRow) ([]*unreachedRow, error) {
	type rowDay struct {
		x   *unreachedRow
		day string
	}
	f := o.Filter
	f.Outcomes, f.Reasons = nil, nil
	days := map[rowDay]*store.Tally{}
	err := r.count(ctx, s, f, rows, func(x *unreachedRow, c store.Cell) {
		k := rowDay{x, c.Keys[0]}
		if days[k] == nil {
			days[k] = &store.Tally{}
		}
		days[k].Add(&c.Tally)
	}, store.ByDay)
	shares := map[*unreachedRow][]float64{}
	for k, t := range days {
		shares[k.x] = append(shares[k.x], float64(failedRecipients(&t.Counts))/float64(max(t.Messages, 1)))
	}
	return slices.DeleteFunc(rows, func(x *unreachedRow) bool {
		list := shares[x]
		return len(list) > 1 && slices.Max(list)-slices.Min(list) < dayFailing
	}), err
}

// filter returns a filter for the mail to the provider.
func (x *unreachedRow) filter(o Options) store.Filter {
	f := o.Filter
	if x.to != nil {
		f.To = x.to
	} else {
		f.Domain = x.name
	}
	return f
}

// failures returns a filter for the failures on the provider's side.
func (x *unreachedRow) failures(o Options) store.Filter {
	f := x.filter(o)
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	f, _ = f.Restrict(x.theirs())
	return f
}

// courseOf returns f from before the period to its end; for a past period, to a time after it.
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
	days := course // whole days are counted already
	days.Outcomes = []bounce.Outcome{bounce.Delivered}
	if !days.Since.IsZero() {
		days.Since = dayOf(days.Since)
	}
	if !days.Until.IsZero() {
		days.Until = dayOf(days.Until).AddDate(0, 0, 1)
	}
	if err := r.count(ctx, s, days, batch, func(x *unreachedRow, c store.Cell) { x.takes = x.takes || c.Delivered > 0 }); err != nil {
		return err
	}
	failures, deliveries := course, course
	failures.Outcomes, deliveries.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}, []bounce.Outcome{bounce.Delivered}
	takes := slices.DeleteFunc(slices.Clone(batch), func(x *unreachedRow) bool { return !x.takes }) // mostly few; failures are a tenth of the rows
	hours := func(x *unreachedRow, c store.Cell) { x.hours = append(x.hours, c) }
	if err := r.count(ctx, s, failures, batch, hours, store.ByHour); err != nil {
		return err
	}
	if err := r.count(ctx, s, deliveries, takes, hours, store.ByHour); err != nil {
		return err
	}
	for _, x := range batch {
		x.hours = byHour(x.hours)
	}
	f := o.Filter
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Soft, bounce.Hard}, nil
	return r.count(ctx, s, f, batch, func(x *unreachedRow, c store.Cell) {
		for reason, n := range c.Reasons {
			if slices.Contains(x.losing(), reason) {
				x.reasons[reason] += n
			}
		}
		if n := c.Reasons[x.Reason]; n > x.most || n == x.most && c.Keys[0] < x.detail {
			x.most, x.detail = n, c.Keys[0]
		}
	}, store.ByDetail)
}

// byHour sorts cells by hour, their first key, and adds up those of one hour.
func byHour(cells []store.Cell) (hours []store.Cell) {
	slices.SortFunc(cells, func(a, b store.Cell) int { return cmp.Compare(a.Keys[0], b.Keys[0]) })
	for i := range cells {
		if n := len(hours); n > 0 && hours[n-1].Keys[0] == cells[i].Keys[0] {
			hours[n-1].Add(&cells[i].Tally)
		} else {
			hours = append(hours, cells[i])
		}
	}
	return hours
}

// count counts the mail of some providers that f selects. It counts all domains in one query and all
// other providers in another, since each query reads all rows (16 queries on 8.8 million attempts
// 8.3 s, one for all 0.6 s).
func (r *Report) count(ctx context.Context, s store.Reader, f store.Filter, batch []*unreachedRow, add func(*unreachedRow, store.Cell), by ...store.Dimension) error {
	domains, others, to := map[string][]*unreachedRow{}, map[string][]*unreachedRow{}, &store.Destination{}
	all := f
	all.Domain, all.Domains = "", nil
	for _, x := range batch {
		if x.to == nil {
			domains[ascii.Lower(x.name)] = append(domains[ascii.Lower(x.name)], x)
			all.Domains = append(all.Domains, x.name)
			continue
		}
		others[x.Provider] = append(others[x.Provider], x)
		to.Relays, to.Domains = append(to.Relays, x.to.Relays...), append(to.Domains, x.to.Domains...)
	}
	if len(others) > 0 {
		f.To = to
		cells, err := s.Count(ctx, f, append(by[:len(by):len(by)], store.ByDomain, store.ByRelay)...)
		if err != nil {
			return err
		}
		for _, c := range cells {
			domain, relay := c.Keys[len(by)], c.Keys[len(by)+1]
			for _, x := range others[r.routes.Provider(domain, relay)] {
				if x.part == nil || r.routes.within(x.part, domain, relay) {
					add(x, c)
				}
			}
		}
	}
	if len(domains) == 0 {
		return nil
	}
	cells, err := s.Count(ctx, all, append(by[:len(by):len(by)], store.ByDomain)...)
	for _, c := range cells {
		for _, x := range domains[c.Keys[len(by)]] {
			add(x, c)
		}
	}
	return err
}

// explain reports whether other problems explain a provider's failures: a problem about the provider
// at the same time, or outages of ours that have half of the failures. A problem of some senders' own
// does so if it has half of the failures: the provider takes others' mail meanwhile.
func (r *Report) explain(by []problem.Problem, x *unreachedRow) bool {
	var all, ours int64
	for domain, n := range x.failed {
		all += n
		for i := range by {
			if q := &by[i]; q.Outage() && !r.background(q) {
				ours += q.FailedTo(domain, x.theirs())
			}
		}
	}
	return ours > 0 && 2*ours >= all || slices.ContainsFunc(by, func(q problem.Problem) bool {
		var its int64
		for _, reason := range x.theirs() {
			its += q.Reasons[reason]
		}
		return (q.At(x.Provider) || q.At(x.name)) && (!q.OfSenders() || 2*its >= all) && !r.background(&q) && !q.Since.After(x.Last) && !x.First.After(q.Until)
	})
}

// ofOneSender reports whether all mail that a provider did not take in an incident is of one sender domain
// which other problems are about at the same time. Such mail does not tell whether the provider takes that
// of others.
func (r *Report) ofOneSender(ctx context.Context, s store.Reader, o Options, others []problem.Problem, x *unreachedRow, p *problem.Problem) (bool, error) {
	about := func(sender string) bool {
		return slices.ContainsFunc(others, func(q problem.Problem) bool {
			return q.OfSenders() && (sender == "" || slices.Contains(q.SenderDomains, sender)) && !q.Since.After(p.Until) && !p.Began().After(q.Until) && !r.background(&q)
		})
	}
	if !about("") {
		return false, nil
	}
	f := x.failures(o)
	f.Since = p.Began()
	// The first failures tell of most providers that they refuse several sender domains (20 counts on 10.2
	// million attempts: 1.5 s).
	first := ""
	for a, err := range s.Attempts(ctx, f, store.Page{Limit: sendersSought}) {
		if err != nil {
			return false, err
		}
		sender := ascii.Lower(a.SenderDomain)
		if first = cmp.Or(first, sender); sender == "" || sender != first || !about(sender) {
			return false, nil
		}
	}
	senders, err := s.Count(ctx, f, store.BySenderDomain)
	return len(senders) == 1 && senders[0].Keys[0] != "" && about(ascii.Lower(senders[0].Keys[0])), err
}

// sendersSought is the number of failures of which ofOneSender reads the senders before it counts all.
const sendersSought = 50

// background reports whether a problem is background.
func (r *Report) background(p *problem.Problem) bool {
	in := r.incident(p)
	return in.IsBackground()
}

// lostByThem counts the messages of a row that were returned for a reason on the provider's side.
func (x *unreachedRow) lostByThem(ctx context.Context, s store.Reader, o Options) (int64, error) {
	if x.Hard == 0 {
		return 0, nil
	}
	f := x.filter(o)
	f.Outcomes, f.Since = []bounce.Outcome{bounce.Hard}, x.First
	f, _ = f.Restrict(x.losing())
	c, err := store.CountAll(ctx, s, f)
	return min(c.Hard, x.Hard), err
}

// command returns the arguments of the command that lists the failures of a row. Those that reached no
// relay are selected by the domain with the most of them.
func (x *unreachedRow) command() (option, name string) {
	switch {
	case x.to == nil:
		return "--domain", x.name
	case x.part != nil && x.part.domain != "":
		return "--domain", x.part.domain
	}
	var all, none int64
	for domain, n := range x.failed {
		all += n
		m := x.relayless[domain]
		if none += m; m > x.relayless[name] || m == x.relayless[name] && m > 0 && domain < name {
			name = domain
		}
	}
	if 2*none > all {
		return "--domain", name
	}
	return "--relay", x.name
}

// unreached describes a provider to which mail is not delivered, and its course after the period.
// It returns nil if the provider takes most mail again.
func (r *Report) unreached(ctx context.Context, s store.Reader, o Options, row *unreachedRow) (*problem.Problem, afterwards, error) {
	c := r.unreachedCourse(o, row)
	if row.little {
		if c.taken > 0 && row.back.IsZero() || !c.mayBeDead(row, r.End()) {
			return nil, afterwards{}, nil
		}
		if row.back.IsZero() {
			var err error
			if row.Span, err = s.Span(ctx, row.failures(o)); err != nil {
				return nil, afterwards{}, err
			}
		}
	}
	all := row.Soft + row.Hard
	began, err := row.restrict(ctx, s, o, c.began)
	if err != nil {
		return nil, afterwards{}, err
	}
	// Most mail of the whole period was taken; then most must be lost since the failures began.
	if !row.little && row.Mark != MarkFails && (2*c.failures < all || float64(row.lost()) < markShare*float64(row.lost()+c.between)) {
		return nil, afterwards{}, nil
	}
	reason := row.meant()
	if reason == bounce.Expired { // it is not known why
		return nil, afterwards{}, nil
	}
	t := judge.VerdictText(bounce.Verdict{Reason: reason, Detail: row.detail})
	option, name := row.command()
	returned, err := row.lostByThem(ctx, s, o)
	if err != nil {
		return nil, afterwards{}, err
	}
	lost := max(row.undelivered()-(row.Hard-returned), returned)
	if lost == 0 && c.taken > 0 && row.back.IsZero() { // all was delivered later: see Report.returned
		return nil, afterwards{}, nil
	}
	u := c.unreached(row)
	u.Provider, u.Name, u.Detail, u.Cause, u.Why, u.Command = row.subject(), row.title(), row.detail, t.Title, t.Meaning, o.command("report", option, name)
	u.FirstHeard, u.Since, u.Until = began, row.First.UTC(), row.Last.UTC()
	u.Attempts, u.Reasons, u.Lost, u.Returned, u.Waiting, u.Tried = row.Soft+row.Hard, row.reasons, int(lost), int(returned), int(row.pending), int(lost+c.between)
	u.Share, u.Retried = float64(part(lost, r.handled)), row.retried
	u.Late = !row.back.IsZero() && row.lost() == 0
	if len(t.Do) > 0 {
		u.Check = t.Do[0]
	}
	older := int64(0) // messages of earlier days
	if !u.Died && c.taken == 0 && !began.IsZero() && r.waits.known {
		older = r.waits.provider[row.Provider] - row.pending
	}
	if u.Died && c.taken == 0 {
		tried, err := row.messages(ctx, s, o)
		if err != nil {
			return nil, afterwards{}, err
		}
		older = tried - lost
		if u.Queue, err = r.queueOf(ctx, s, row.filter(o), cmp.Or(began, u.Since)); err != nil {
			return nil, afterwards{}, err
		}
		if u.Queue != nil {
			u.Retried = u.Queue.Retried
		}
	}
	if n := int(older); n > 0 {
		u.Lost, u.Tried, u.Waiting, u.Older = u.Lost+n, u.Tried+n, u.Waiting+n, n
		u.Share = float64(part(lost+older, r.handled+older))
	}
	if row.little && !u.Dead() {
		return nil, afterwards{}, nil
	}
	if !c.first.IsZero() {
		f := r.courseOf(row.filter(o))
		f.Since, f.Until, f.Outcomes = c.first, c.first.Add(time.Hour), []bounce.Outcome{bounce.Delivered}
		first, err := s.Span(ctx, f)
		if err != nil {
			return nil, afterwards{}, err
		}
		if c.ended = first.First.UTC(); c.after.state == AfterEnded {
			c.after.ended = c.ended
		}
	}
	switch {
	case c.taken > 0:
		u.Ended, u.EndedAt = table.Count(c.taken, "message")+" taken since", c.ended
	case r.End().Sub(row.Last) >= o.Problems.Quiet():
		u.Ongoing, u.Ended = false, "no failure since, and too little mail to tell"
	}
	if least := row.recipientsLeast(); least > 0 { // since the onset
		f := row.failures(o)
		if !began.IsZero() {
			f.Since = began
		}
		recipients, err := s.Count(ctx, f, store.ByRecipient)
		if err != nil || len(recipients) < least {
			return nil, afterwards{}, err
		}
	}
	p := u.Problem()
	f := row.failures(o)
	f.Since, f.Reasons = row.First, []bounce.Reason{row.Reason}
	if p.Evidence, err = evidenceOf(ctx, s, f); err != nil {
		return nil, afterwards{}, err
	}
	if !u.Ongoing {
		return &p, afterwards{}, nil
	}
	return &p, c.after, nil
}

// evidenceShown is the number of attempts that are the evidence of a problem of this package.
const evidenceShown = 3

// evidenceOf returns the last attempts of a selection as evidence, the earliest first.
func evidenceOf(ctx context.Context, s store.Reader, f store.Filter) ([]problem.Evidence, error) {
	list := []problem.Evidence{}
	for a, err := range s.Attempts(ctx, f, store.Page{Limit: evidenceShown, Newest: true}) {
		if err != nil {
			return nil, err
		}
		list = append(list, problem.Evidence{Source: a.Source, Offset: a.Offset, Time: a.Time, Text: a.Response, Warning: a.Warning})
	}
	slices.Reverse(list)
	return list, nil
}

// messages counts the messages that failed in the period, whenever they were first tried. It counts by
// sender, since other counts hold a message in the period of its first attempt.
func (x *unreachedRow) messages(ctx context.Context, s store.Reader, o Options) (n int64, err error) {
	f := x.filter(o)
	f.Outcomes, f.Since = []bounce.Outcome{bounce.Soft, bounce.Hard}, x.First
	f, _ = f.Restrict(x.losing())
	cells, err := s.Count(ctx, f, store.BySender)
	for i := range cells {
		n += cells[i].Messages
	}
	return n, err
}

// restrict sets the first failure of a row to that of the course that began in an hour. It takes
// earlier failures of the period off the row; mail that waits is of the course. It returns the first
// failure if that lies before the period, else zero.
func (x *unreachedRow) restrict(ctx context.Context, s store.Reader, o Options, hour time.Time) (time.Time, error) {
	earlier := hour.Before(o.Filter.Since)
	if hour.IsZero() || !earlier && !hour.After(x.First) {
		return time.Time{}, nil
	}
	f := x.failures(o)
	f.Since = hour
	if end := hour.Add(time.Hour); f.Until.IsZero() || end.Before(f.Until) {
		f.Until = end
	}
	span, err := s.Span(ctx, f)
	switch {
	case err != nil:
		return time.Time{}, err
	case earlier && span.First.Before(o.Filter.Since):
		return span.First.UTC(), nil
	case !span.First.After(x.First):
		return time.Time{}, nil
	}
	x.First = span.First
	f = x.filter(o)
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Soft, bounce.Hard}, nil
	f.Until = x.First
	before, err := store.CountAll(ctx, s, f)
	if err != nil {
		return time.Time{}, err
	}
	p := *x.ProviderRow
	p.Soft -= before.Soft
	p.Hard -= before.Hard
	x.ProviderRow = &p
	for reason, n := range before.Reasons {
		if x.reasons[reason] -= n; x.reasons[reason] <= 0 {
			delete(x.reasons, reason)
		}
	}
	return time.Time{}, nil
}

// queueOf returns the mail that f selects and that was not taken since a time: what waits at the end
// of the period, and what was given up until then. It returns nil if there is too much to count.
func (r *Report) queueOf(ctx context.Context, s store.Reader, f store.Filter, since time.Time) (*problem.Queue, error) {
	f.Since, f.Outcomes, f.Reasons, f.NoHistory = since, []bounce.Outcome{bounce.Soft, bounce.Hard}, nil, true
	u, retried, read := NewUndelivered[pair](), map[pair]bool{}, 0
	q := &problem.Queue{}
	for x, err := range s.Refusals(ctx, f) { // in the order of time
		if err != nil {
			return nil, err
		}
		if read++; read > waitedRead {
			return nil, nil
		}
		p := pairOf(x)
		if w := u.Waiting[p]; w != nil && !x.Untried && x.Time.Sub(w.First) >= problem.GreylistingMost {
			retried[p] = true
		}
		if x.Outcome == bounce.Hard && q.FirstLost.IsZero() {
			q.FirstLost = x.Time.UTC()
		}
		u.Add(p, x.Outcome, x.Time, x.Ref())
	}
	q.Waiting, q.GivenUp, q.Retried = len(u.Waiting), len(u.ended), len(retried)
	for _, w := range u.Waiting {
		if q.Oldest.IsZero() || w.First.Before(q.Oldest) {
			q.Oldest = w.First
		}
	}
	return q, nil
}

// A course is the course of failures to a provider: when they began, whether they ended, and how
// they continued after the period.
type course struct {
	took     bool  // mail was taken before the failures
	since    int64 // messages taken from the hour in which the failures began to the last failure
	messages int64 // messages first tried since the failures began
	hours    int   // in which they were first tried
	usual    habit
	began    time.Time // the hour of the first failure
	last     time.Time // the hour of the last failure of the period
	first    time.Time // the hour of the first message taken since, if any was
	between  int64     // messages taken from the first failure to the last
	failures int64     // in the period
	taken    int64
	ended    time.Time
	after    afterwards
}

// mayBeDead reports whether a provider may be dead (see problem.Unreached.Dead) according to its counts by the
// hour until the end of the period: by the longest time that its failures may have lasted. Most providers with
// little mail are not, and no question about them follows (on a log of 13 hours 350 questions less, 1.0 s).
func (c *course) mayBeDead(x *unreachedRow, end time.Time) bool {
	if x.past && c.messages < markLeast {
		return false
	}
	u := c.unreached(x)
	u.Since, u.Until = c.began, c.last.Add(time.Hour)
	if !x.back.IsZero() {
		end = x.back.Add(time.Hour)
	}
	if end.Sub(c.began) >= problem.GreylistingMost {
		u.Retried = math.MaxInt
	}
	return c.messages >= problem.IncidentLeast && u.Dead()
}

// unreached describes a provider as far as its counts by the hour tell.
func (c *course) unreached(x *unreachedRow) problem.Unreached {
	return problem.Unreached{
		Part: x.described(c.hours), Reason: x.meant(), AtOnce: x.Reason == bounce.Expired, Ongoing: c.taken == 0, Died: c.took && c.since == 0, Failed: int(c.messages), Usual: c.usual.hours, UsualMessages: int(c.usual.messages), UsualLeast: int(c.usual.least), UsualAlike: c.usual.alike,
	}
}

// unreachedCourse follows a provider's mail by the hour, from before the period to its end. If the
// failures had not ended by then, it goes on after the period.
func (r *Report) unreachedCourse(o Options, row *unreachedRow) (c course) {
	end := r.End()
	share := float64(row.lost()) / float64(max(row.Delivered+row.lost(), 1)) // share of the provider's mail that fails
	cells := row.hours
	// The hours of the last failure, of the last of the period, and of the first message taken since.
	var last, lastIn, first time.Time
	var lull problem.Course
	over := func() bool { return row.little && lull.Since() > 0 || lull.Over() }
	later := false // after the period
	var taking []taken
	for i := range cells {
		t, err := time.Parse(hourLayout, cells[i].Keys[0])
		if err != nil || known(t).IsZero() {
			continue // not on the time axis; see overTime
		}
		if !later && !t.Before(end) {
			if later = true; over() {
				break
			}
		}
		if cells[i].Delivered > 0 {
			taking = append(taking, taken{t, cells[i].Messages})
		}
		failures := row.failuresOf(&cells[i])
		switch {
		case later && row.little && !last.IsZero() && cells[i].Delivered > 0: // over, even if some failed in that hour
			first = t
			lull.Took(cells[i].Delivered)
		case failures > 0:
			paused := last.IsZero() || t.Sub(last) >= o.Problems.Quiet()
			begins := paused || over() || row.little && cells[i].Delivered > 0
			if begins {
				lull.Failed()
			}
			if paused {
				lull = problem.Course{}
			}
			if begins && !later {
				c.began, c.between, c.since, c.failures, c.messages, c.hours = t, 0, 0, 0, 0, 0
				c.took = c.took || cells[i].Delivered > 0
			}
			if !later {
				lastIn = t
				c.between += lull.Since() + cells[i].Delivered
				c.failures += failures
				if c.messages += cells[i].Messages; cells[i].Messages > 0 {
					c.hours++
				}
				if !begins {
					c.since += lull.Since() + cells[i].Delivered
				}
			}
			lull.Mixed(cells[i].Delivered, share)
			last = t
		case cells[i].Delivered == 0:
		case last.IsZero():
			c.took = c.took || !later
		default:
			c.took = c.took || !later
			if lull.Since() == 0 {
				first = t
			}
			lull.Took(cells[i].Delivered)
		}
		if later && over() {
			break
		}
	}
	c.last, c.usual = lastIn, r.usualHours(taking, c.began, lastIn)
	switch {
	case !row.back.IsZero():
		c.taken, c.ended = row.taken, row.back
	case !over():
		if limit := r.courseOf(o.Filter).Until; !r.Past() || limit.Before(r.AsOf) {
			return c
		}
		if r.AsOf.Sub(last) < o.Problems.Quiet() {
			c.after = afterwards{state: AfterGoingOn}
		} else {
			c.after = afterwards{state: AfterEnded, ended: last}
		}
	case later && !first.Before(end):
		c.after.state, c.first = AfterEnded, first
	default:
		c.taken, c.first = lull.Since(), first
	}
	return c
}

// A taken is an hour in which mail was taken, and the number of messages that were first tried in it.
type taken struct {
	at       time.Time
	messages int64
}

// A habit is the usual mail of a provider in the time of a silence. Its zero value: not known.
type habit struct {
	hours    int   // that have a delivery: the smallest number on an earlier day
	messages int64 // the largest number on an earlier day
	least    int64 // the smallest
	days     int   // earlier days
	alike    bool  // usualLeast days of the same kind are known, and no other counts
}

func (u *habit) add(hours int, messages int64) {
	if u.days++; u.days == 1 {
		u.hours, u.least = hours, messages
	}
	u.hours, u.least, u.messages = min(u.hours, hours), min(u.least, messages), max(u.messages, messages)
}

// usualHours returns the usual mail of a provider in a silence: that of earlier days from the same
// hour to the same hour. The hours are those after the first and until the last of the silence.
// Weekdays are compared with weekdays, days of the weekend with such days, if enough are known; a
// silence over midnight has two days. taking are in order. A silence of a day or more has no usual
// mail.
func (r *Report) usualHours(taking []taken, first, last time.Time) habit {
	if len(taking) == 0 || last.Sub(first) >= 24*time.Hour {
		return habit{}
	}
	first, last = first.In(r.Location), last.In(r.Location)
	alike, all := habit{alike: true}, habit{}
	for ago := 1; ; ago++ {
		from, to := first.AddDate(0, 0, -ago), last.AddDate(0, 0, -ago)
		if from.Before(taking[0].at) { // not known whether mail was sent
			break
		}
		hours, messages := 0, int64(0)
		for _, t := range taking {
			if t.at.After(from) && !t.at.After(to) {
				hours++
				messages += t.messages
			}
		}
		all.add(hours, messages)
		if weekend(from) == weekend(first) && weekend(to) == weekend(last) {
			alike.add(hours, messages)
		}
	}
	switch {
	case alike.days >= usualLeast:
		return alike
	case all.days >= usualAny:
		return all
	}
	return habit{}
}

// weekend reports whether t is on a Saturday or Sunday.
func weekend(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }
