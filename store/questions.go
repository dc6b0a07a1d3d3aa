package store

import (
	"context"
	"maps"
	"slices"
)

// CountAll counts all attempts that match f together. Its errors are those of r.
func CountAll(ctx context.Context, r Reader, f Filter) (t Tally, err error) {
	cells, err := r.Count(ctx, f)
	for i := range cells {
		t.Add(&cells[i].Tally)
	}
	return t, err
}

// A PeriodReader is a Reader that answers a question about several periods by one query, since each
// query costs it a round trip. The functions of the same names use it. A Reader that wraps another
// one passes both methods on.
type PeriodReader interface {
	Reader
	CountPeriods(ctx context.Context, f Filter, periods []Span, by ...Dimension) ([][]Cell, error)
	NewestAt(ctx context.Context, f Filter, visits []Visit) ([]*Attempt, error)
}

// CountPeriods counts as Reader.Count does, in each of some periods in place of Since and Until. The
// answers are in the order of the periods. Its errors are those of r.
func CountPeriods(ctx context.Context, r Reader, f Filter, periods []Span, by ...Dimension) ([][]Cell, error) {
	if p, ok := r.(PeriodReader); ok {
		return p.CountPeriods(ctx, f, periods, by...)
	}
	return CountEach(ctx, r, f, periods, by...)
}

// CountEach counts as CountPeriods does, by a query for each period.
func CountEach(ctx context.Context, r Reader, f Filter, periods []Span, by ...Dimension) ([][]Cell, error) {
	out := make([][]Cell, len(periods))
	for i, p := range periods {
		var err error
		if out[i], err = r.Count(ctx, f.Within(p), by...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A Visit is a relay, by its host name as logged, in a period.
type Visit struct {
	Relay string
	Any   bool // all relays together; Relay is not used
	Span
}

// visitsRead is how many attempts are read at once to find one at each of some relays: of twenty
// relays that take equally much, 72 show each once on average.
const visitsRead = 100

// NewestAt returns the newest attempt that f selects at each of some relays, in a period of the
// relay's in place of Since and Until; nil: there is none. The answers are in the order of the
// visits. Its errors are those of r.
func NewestAt(ctx context.Context, r Reader, f Filter, visits []Visit) ([]*Attempt, error) {
	if p, ok := r.(PeriodReader); ok {
		return p.NewestAt(ctx, f, visits)
	}
	out := make([]*Attempt, len(visits))
	of := make(map[Span]map[string][]int)
	for i, v := range visits {
		if v.Any {
			for a, err := range r.Attempts(ctx, f.Within(v.Span), Page{Limit: 1, Newest: true}) {
				if err != nil {
					return nil, err
				}
				newest := *a
				out[i] = &newest
			}
			continue
		}
		if of[v.Span] == nil {
			of[v.Span] = make(map[string][]int)
		}
		of[v.Span][v.Relay] = append(of[v.Span][v.Relay], i)
	}
	for span, left := range of { // back from the end of each period, until all its relays are met
		part, p := f.Within(span), Page{Limit: visitsRead, Newest: true}
		for n := visitsRead; n == visitsRead && len(left) > 0; {
			n = 0
			if f.To == nil && left[""] == nil { // "" is an attempt that reached no relay
				part.To = &Destination{Relays: slices.Collect(maps.Keys(left))}
			}
			for a, err := range r.Attempts(ctx, part, p) {
				if err != nil {
					return nil, err
				}
				n++
				p.After = a.Ref()
				for _, i := range left[a.RelayHost] {
					newest := *a
					out[i] = &newest
				}
				delete(left, a.RelayHost)
			}
		}
	}
	return out, nil
}
