package sqlite

import (
	"context"
	"database/sql/driver"
	"strconv"

	"bouncelog/store"
)

// byRouteID groups by the number of the route.
const byRouteID store.By = "route"

// byDestination tells whether groups are of where mail went.
func byDestination(by store.By) bool {
	return by == store.ByDomain || by == store.ByRelay || by == byRouteID
}

// Routes counts the attempts that match f by domain and relay. Routes of other
// addresses of the same relay count together.
func (d *DB) Routes(ctx context.Context, f store.Filter) ([]store.Route, error) {
	groups, err := d.groups(ctx, f, byRouteID)
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	byID := make(map[int64]*store.Group, len(groups))
	for i := range groups {
		id, err := strconv.ParseInt(groups[i].Key, 10, 64)
		if err != nil {
			return nil, err
		}
		byID[id] = &groups[i]
	}
	c, done, err := d.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	type ends struct{ domain, relay string }
	seen := make(map[ends]int, len(groups))
	var out []store.Route
	err = c.each(func(v []driver.Value) error {
		g := byID[num(v[0])]
		if g == nil {
			return nil
		}
		e := ends{str(v[1]), str(v[2])}
		i, known := seen[e]
		if !known {
			seen[e] = len(out)
			out = append(out, store.Route{Domain: e.domain, Relay: e.relay, Counts: g.Counts, Reasons: g.Reasons})
			return nil
		}
		out[i].Counts = sum(out[i].Counts, g.Counts)
		for r, n := range g.Reasons {
			out[i].Reasons[r] += n
		}
		return nil
	}, "SELECT r.id, d.text, h.text FROM route AS r JOIN name AS d ON d.id = r.domain LEFT JOIN name AS h ON h.id = r.host")
	return out, d.wrap("count routes", err)
}
