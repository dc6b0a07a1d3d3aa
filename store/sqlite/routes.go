package sqlite

import (
	"context"
	"slices"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// byEnds groups by recipient's domain and relay.
const byEnds store.By = "route"

// Ends are the numbers of the names of a domain and a relay; 0: none.
type ends struct{ domain, relay int32 }

// byDestination tells whether groups are of where mail went.
func byDestination(by store.By) bool {
	return by == store.ByDomain || by == store.ByRelay || by == byEnds
}

// Routes counts the attempts that match f by domain and relay. Routes of other
// addresses of the same relay count together.
func (d *DB) Routes(ctx context.Context, f store.Filter) ([]store.Route, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	// All that is read must be of one moment.
	if !d.opts.Temporary {
		if err := c.Exec("BEGIN"); err != nil {
			return nil, d.wrap("count routes", err)
		}
		defer c.Exec("COMMIT")
	}
	out, err := d.routes(ctx, c, f)
	return out, d.wrap("count routes", err)
}

func (d *DB) routes(ctx context.Context, c *sqlite3.Conn, f store.Filter) ([]store.Route, error) {
	t, err := d.count(ctx, c, f, byEnds)
	if err != nil || t == nil {
		return nil, err
	}
	var used idSet
	out := t.routes[:0]
	for i, e := range t.ends {
		if t.routes[i].Counts == (store.Counts{}) {
			continue
		}
		t.ends[len(out)] = e
		out = append(out, t.routes[i])
		used.add(int64(e.domain))
		used.add(int64(e.relay))
	}
	names, err := namesOf(c, slices.Collect(used.all()))
	for i := range out {
		e := t.ends[i]
		out[i].Domain, out[i].Relay = names[int64(e.domain)], names[int64(e.relay)]
	}
	return out, err
}
