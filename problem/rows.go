package problem

import (
	"cmp"
	"slices"

	"bouncelog/store"
)

// A Figure is a number of a problem that counts rows of the store.
type Figure string

// The figures.
const (
	FigureAttempts      Figure = "attempts"       // Problem.Attempts
	FigureRefused       Figure = "refused"        // Problem.Messages
	FigureReturned      Figure = "returned"       // Problem.Returned
	FigureRecipients    Figure = "recipients"     // Problem.Recipients
	FigureValid         Figure = "valid"          // Problem.ValidRecipients
	FigureTried         Figure = "tried"          // Problem.Onset.Tried
	FigureTriedRefused  Figure = "tried-refused"  // Problem.Onset.Refused
	FigureBefore        Figure = "before"         // Problem.Before.Tried
	FigureBeforeRefused Figure = "before-refused" // Problem.Before.Refused
	FigureTaken         Figure = "taken"          // messages taken since, of Problem.Ended
	FigureReached       Figure = "reached"        // recipients reached since, of Problem.Ended
)

// rowsKept is the number of rows that a search keeps for all its figures, 64 bytes each. Of more,
// the older ones of a figure, and those of the later incidents, are left out.
const rowsKept = 100_000

// A row is an attempt behind a figure.
type row struct {
	store.Ref
	message, recipient uint64 // the same for all rows of a message, and of a recipient
	hard               bool
	valid              bool // the recipient is known to be valid
	taken              bool
}

// rows are the attempts behind the figures of a problem, each list in the order of time. A list is
// nil if its figure counts no rows: some figures are sums of the store.
type rows struct {
	failures      []row // failed attempts of the period
	expired       []row // mail that expired in the period
	before, onset []row // one for each message of Problem.Before and Problem.Onset
	taken         []row // one for each message
	reached       []row // failed attempts of the recipients reached since
}

// keepRows leaves the rows of a search that there is room for.
func keepRows(found []Problem) {
	left := rowsKept
	for i := range found {
		x := &found[i].rows
		for _, list := range [...]*[]row{&x.failures, &x.expired, &x.onset, &x.before, &x.taken, &x.reached} {
			if n := len(*list); n > left {
				*list = slices.Clone((*list)[n-left:])
			}
			left -= len(*list)
		}
	}
}

// A choice selects rows of a list: those for which ok returns true (nil: all), and of each value of
// of one (nil: all).
type choice struct {
	list []row
	of   func(*row) uint64
	ok   func(*row) bool
}

// choice returns the rows of a figure.
func (p *Problem) choice(f Figure) choice {
	message := func(r *row) uint64 { return r.message }
	recipient := func(r *row) uint64 { return r.recipient }
	refused := func(r *row) bool { return !r.taken }
	switch x := &p.rows; f {
	case FigureAttempts:
		return choice{list: x.failures}
	case FigureRefused:
		return choice{x.failures, message, nil}
	case FigureReturned:
		all := slices.Concat(x.failures, x.expired)
		slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(a.Time, b.Time) })
		return choice{all, message, func(r *row) bool { return r.hard }}
	case FigureRecipients:
		return choice{x.failures, recipient, nil}
	case FigureValid:
		return choice{x.failures, recipient, func(r *row) bool { return r.valid }}
	case FigureTried:
		return choice{list: x.onset}
	case FigureTriedRefused:
		return choice{x.onset, nil, refused}
	case FigureBefore:
		return choice{list: x.before}
	case FigureBeforeRefused:
		return choice{x.before, nil, refused}
	case FigureTaken:
		return choice{list: x.taken}
	case FigureReached:
		return choice{x.reached, recipient, nil}
	}
	return choice{}
}

// HasRows reports whether Rows returns the rows of a figure that is not 0.
func (p *Problem) HasRows(f Figure) bool { return len(p.choice(f).list) > 0 }

// Rows returns the refs of the attempts that a figure counts, one for each message, recipient or
// attempt, the newest first. It returns nil if the rows were not kept (see FindRows) or the figure
// is a sum of the store. It returns fewer than the figure says beyond rowsKept.
func (p *Problem) Rows(f Figure) (refs []store.Ref) {
	c, seen := p.choice(f), map[uint64]bool{}
	for i := range slices.Backward(c.list) {
		r := &c.list[i]
		if c.ok != nil && !c.ok(r) {
			continue
		}
		if c.of != nil {
			if seen[c.of(r)] {
				continue
			}
			seen[c.of(r)] = true
		}
		refs = append(refs, r.Ref)
	}
	return refs
}

func (r *refusal) row() row {
	return row{
		Ref: r.ref(), message: r.message, recipient: r.recipient,
		hard: r.hard, valid: r.took,
	}
}

func takenRow(d *store.Delivered) row { return row{Ref: d.Ref(), message: d.Message, taken: true} }

// rowsOf returns the rows of an incident. histories are those that measure was called with.
func (x *refusalSearch) rowsOf(in *incident, histories []store.History) (out rows) {
	for _, r := range in.refusals {
		out.failures = append(out.failures, r.row())
	}
	for i := range in.expired {
		out.expired = append(out.expired, in.expired[i].row())
	}
	if in.onset == nil && len(in.taken) == 0 {
		return out
	}
	own := in.deliveries(histories)
	tried := func(t *Tried, refusals []*refusal) (list []row) {
		if t == nil {
			return nil
		}
		refusals = in.compared(refusals)
		for _, e := range eventsIn(store.Span{First: t.Since, Last: t.Until}, refusals, own, "") {
			if e.refused {
				list = append(list, refusals[e.of].row())
			} else {
				list = append(list, takenRow(&own[-1-e.of]))
			}
		}
		return list
	}
	out.onset = tried(in.onset, slices.Concat(in.past, in.all))
	out.before = tried(in.before, in.past)
	if in.endedAt != 0 {
		for i := range in.taken {
			out.taken = append(out.taken, takenRow(&in.taken[i]))
		}
	}
	return out
}

// rows returns the rows of an outage that measure was called with, as far as its figures count rows:
// the mail tried beside it and before is a sum of the store.
func (x *outage) rows(last moment) (out rows) {
	valid := x.provesAddresses()
	var failures, reached []row
	for i := range x.period {
		a := &x.period[i]
		failures = append(failures, row{Ref: a.ref, message: a.message, recipient: a.recipient, hard: a.hard(), valid: valid && a.address != ""})
	}
	until := x.run[len(x.run)-1].at
	for i := range x.run {
		if a := &x.run[i]; a.after > until && a.after <= last {
			reached = append(reached, row{Ref: a.ref, message: a.message, recipient: a.recipient})
		}
	}
	var expired []row
	for i := range x.expired {
		expired = append(expired, x.expired[i].row())
	}
	return rows{failures: failures, expired: expired, reached: reached}
}
