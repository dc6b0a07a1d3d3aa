package sqlite

import (
	"context"
	"slices"

	"bouncelog/bounce"
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
	c, done, err := d.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	// All that is read must be of one moment.
	if !d.opts.Temporary {
		if err := c.exec("BEGIN"); err != nil {
			return nil, d.wrap("count routes", err)
		}
		defer c.exec("COMMIT")
	}
	out, err := d.routes(ctx, c, f)
	return out, d.wrap("count routes", err)
}

func (d *DB) routes(ctx context.Context, c *conn, f store.Filter) ([]store.Route, error) {
	t, err := d.count(ctx, c, f, byRouteID)
	if err != nil || t == nil || len(t.groups) == 0 {
		return nil, err
	}
	type ends struct{ domain, relay int64 } // numbers of names; 0: none
	seen := make(map[ends]int, len(t.groups))
	where := make([]ends, 0, len(t.groups))
	out := make([]store.Route, 0, len(t.groups))
	var used idSet
	one := func(v []int64) error {
		g := t.groups[v[0]]
		if g == nil {
			return nil
		}
		e := ends{v[1], v[2]}
		i, known := seen[e]
		if !known {
			seen[e] = len(out)
			where = append(where, e)
			used.add(e.domain)
			used.add(e.relay)
			out = append(out, store.Route{Counts: g.Counts, Reasons: g.Reasons})
			return nil
		}
		out[i].Counts = sum(out[i].Counts, g.Counts)
		out[i].Reasons = sumReasons(out[i].Reasons, g.Reasons)
		return nil
	}
	err = c.batches("route", func(lo, hi int64) error {
		return c.ints(3, one, "SELECT ints(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if err != nil {
		return nil, err
	}
	names, err := namesOf(c, slices.Collect(used.all()))
	for i, e := range where {
		out[i].Domain, out[i].Relay = names[e.domain], names[e.relay]
		if out[i].Reasons == nil {
			out[i].Reasons = map[bounce.Reason]int64{}
		}
	}
	return out, err
}
