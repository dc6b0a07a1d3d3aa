package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bouncelog/store"
)

// periods cuts a list of periods, which may overlap, at each of their ends, so that one question
// can ask about all of them.
type periods struct {
	bounds []int64         // first seconds of the parts, and the second after the last one; ascending
	of     map[int64][]int // indexes of the periods that hold a part, by its first second
	since  []int64         // first seconds of the parts that a period holds; ascending
	days   []int64         // of these parts, since 1970
}

func newPeriods(list []store.Span) *periods {
	p := &periods{of: make(map[int64][]int)}
	for _, s := range list {
		if since, until := s.First.Unix(), s.Last.Unix()+1; since < until {
			p.bounds = append(p.bounds, since, until)
		}
	}
	slices.Sort(p.bounds)
	p.bounds = slices.Compact(p.bounds)
	for n, since := range p.bounds {
		for i, s := range list {
			if s.First.Unix() <= since && since <= s.Last.Unix() {
				p.of[since] = append(p.of[since], i)
			}
		}
		if p.of[since] == nil {
			continue
		}
		p.since = append(p.since, since)
		for day := since / 86400; day <= (p.bounds[n+1]-1)/86400 && len(p.days) <= daysListed; day++ {
			p.days = append(p.days, day)
		}
	}
	p.days = slices.Compact(p.days)
	return p
}

// daysListed is the number of days up to which a question lists the days of its periods.
const daysListed = 1000

// part returns an expression for the first second of the part that holds a row.
func (p *periods) part() string { return "toInt64(roundDown(at, [" + numbers(p.bounds) + "]))" }

// where returns the conditions that a period holds a row. Partitions of other days are not read.
func (p *periods) where() where {
	if len(p.since) == 0 {
		return where{"0"}
	}
	w := where{fmt.Sprintf("at >= %d", p.bounds[0]), fmt.Sprintf("at < %d", p.bounds[len(p.bounds)-1]), p.part() + " IN (" + numbers(p.since) + ")"}
	if len(p.days) <= daysListed {
		w.add("intDiv(at, 86400) IN (" + numbers(p.days) + ")")
	}
	return w
}

// NewestAt returns the newest attempt at each of some relays.
func (r *reader) NewestAt(ctx context.Context, f store.Filter, visits []store.Visit) ([]*store.Attempt, error) {
	out := make([]*store.Attempt, len(visits))
	for _, all := range [...]bool{false, true} {
		var part []store.Visit
		var at []int
		for i, v := range visits {
			if v.Any == all {
				part, at = append(part, v), append(at, i)
			}
		}
		list, err := r.newestAt(ctx, f, part, all)
		if err != nil {
			return nil, err
		}
		for i, a := range list {
			out[at[i]] = a
		}
	}
	return out, nil
}

// newestAt answers NewestAt for visits of which all or none are of all relays. It finds the keys of
// the rows first, since most columns are needed of few rows.
func (r *reader) newestAt(ctx context.Context, f store.Filter, visits []store.Visit, all bool) ([]*store.Attempt, error) {
	out := make([]*store.Attempt, len(visits))
	spans, relays := make([]store.Span, len(visits)), make([]string, len(visits))
	of := make(map[string][]int) // visits by relay
	for i, v := range visits {
		spans[i] = v.Span
		if !all {
			relays[i] = v.Relay
		}
		of[relays[i]] = append(of[relays[i]], i)
	}
	slices.Sort(relays)
	p := newPeriods(spans)
	if len(p.since) == 0 {
		return out, nil
	}
	w := append(conditions(f.Always()), isAttempt)
	relay := "''"
	if !all {
		w.add("relay_host IN (" + quotes(slices.Compact(relays)) + ")")
		relay = "toString(relay_host)"
	}
	type candidate struct {
		since int64
		key   string
	}
	newest := make([]candidate, len(visits))
	sql := "SELECT " + relay + " AS relay, " + p.part() + " AS part, toString(argMax((" + pageKey + "), (at, " + rank("source") + ", offset, n)))" + r.from(append(slices.Clip(w), p.where()...)) + " GROUP BY relay, part"
	err := r.d.ask(ctx, "newest attempts", sql, func(scan func(to ...any) error) error {
		var relay string
		var x candidate
		if err := scan(&relay, &x.since, &x.key); err != nil {
			return err
		}
		for _, i := range of[relay] {
			if slices.Contains(p.of[x.since], i) && (newest[i].key == "" || newest[i].since < x.since) {
				newest[i] = x
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, x := range newest {
		if x.key != "" {
			keys = append(keys, x.key)
		}
	}
	if len(keys) == 0 {
		return out, nil
	}
	slices.Sort(keys)
	w.add("(" + pageKey + ") IN (" + strings.Join(slices.Compact(keys), ",") + ")")
	for a, err := range r.page(ctx, w, "at, rank, offset, n, precedence DESC", 0) {
		if err != nil {
			return nil, err
		}
		relay := a.RelayHost
		if all {
			relay = ""
		}
		for _, i := range of[relay] {
			if v := &visits[i]; !a.Time.Before(v.First) && a.Time.Unix() <= v.Last.Unix() {
				one := *a
				out[i] = &one
			}
		}
	}
	return out, nil
}
