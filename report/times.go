package report

import (
	"context"
	"maps"
	"slices"
	"time"

	"bouncelog/internal/when"
	"bouncelog/store"
)

// hourLayout is the layout of the keys of store.ByHour.
const hourLayout = "2006-01-02T15:04Z"

// overTime counts by hour or by day (UTC), in order.
func overTime(ctx context.Context, s store.Reader, f store.Filter, by store.Dimension) ([]Point, error) {
	groups, err := s.Count(ctx, f, by)
	if err != nil {
		return nil, err
	}
	return points(groups, by), nil
}

// hostsOverTime counts all attempts by logging host and hour.
func hostsOverTime(ctx context.Context, s store.Reader) (map[string][]Point, error) {
	cells, err := s.Count(ctx, store.Filter{}, store.ByHour, store.ByHost)
	if err != nil {
		return nil, err
	}
	groups, hosts := map[string][]store.Cell{}, map[string][]Point{}
	for i := range cells {
		groups[cells[i].Keys[1]] = append(groups[cells[i].Keys[1]], cells[i])
	}
	for host, cells := range groups {
		if list := points(cells, store.ByHour); len(list) > 0 {
			hosts[host] = list
		}
	}
	return hosts, nil
}

// ofAllHosts adds up the attempts of all hosts by hour, in order.
func ofAllHosts(hosts map[string][]Point, err error) ([]Point, error) {
	all := map[time.Time]Point{}
	for _, list := range hosts {
		for _, p := range list {
			was := all[p.Time]
			all[p.Time] = Point{p.Time, was.Delivered + p.Delivered, was.Soft + p.Soft, was.Hard + p.Hard}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Point) int { return a.Time.Compare(b.Time) }), err
}

// points returns the counts of groups by hour or day, in order.
func points(groups []store.Cell, by store.Dimension) []Point {
	layout := hourLayout
	if by == store.ByDay {
		layout = time.DateOnly
	}
	points := make([]Point, 0, len(groups))
	for _, g := range groups {
		t, err := time.Parse(layout, g.Keys[0])
		if err != nil {
			continue // a five-digit year is a wrong timestamp: it is on no axis, but in the totals
		}
		if known(t).IsZero() {
			continue
		}
		points = append(points, Point{t, g.Delivered, g.Soft, g.Hard})
	}
	slices.SortFunc(points, func(a, b Point) int { return a.Time.Compare(b.Time) })
	return points
}

// known returns t, or zero if no line has that time.
func known(t time.Time) time.Time {
	if !when.Known(t) {
		return time.Time{}
	}
	return t
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// given is the inverse of optional.
func given(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// End returns the time up to which the report has data: the end of its period, or the last line of
// the logs if that is earlier.
func (r *Report) End() time.Time {
	if u := r.Period.Until; u != nil && u.Before(r.AsOf) {
		return *u
	}
	return r.AsOf
}

// Past reports whether the logs go on after the period.
func (r *Report) Past() bool { return r.End().Before(r.AsOf) }
