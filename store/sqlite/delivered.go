package sqlite

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Delivered lists the deliveries of some streams.
func (r *reader) Delivered(ctx context.Context, asked []store.Stream, limit int) ([]store.History, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	c := r.take(ctx)
	defer c.Unlock()
	out, err := r.delivered(c, asked, limit)
	return out, r.wrap("read deliveries", err)
}

func (r *reader) delivered(c turn, asked []store.Stream, limit int) ([]store.History, error) {
	all, err := readPieces(c.Conn) // Cover marks the ones to read
	if err != nil {
		return nil, err
	}
	which := make([]*store.Piece, len(all))
	for i, p := range all {
		which[i] = &p.Piece
	}
	out := make([]store.History, len(asked))
	read := make([][]span, len(asked)) // time spans that are covered
	for i, covered := range store.Cover(asked, which, limit) {
		out[i].Covered = covered
		for _, s := range covered {
			read[i] = append(read[i], span{s.First.Unix(), s.Last.Unix()})
		}
	}
	var found []deliveryRow
	var routes *streamRoutes
	err = r.together(c,
		func(c *sqlite3.Conn) (err error) {
			found, err = readDeliveries(c, all)
			return err
		},
		func(c *sqlite3.Conn) (err error) {
			routes, err = readStreamRoutes(c, asked)
			return err
		})
	if err != nil {
		return nil, err
	}
	var senders idSet
	n := 0
	for _, x := range found {
		if len(routes.of(x.route)) > 0 {
			senders.add(int64(x.sender))
			found[n] = x
			n++
		}
	}
	found = found[:n]
	domains, err := textsOf(c.Conn, slices.Collect(senders.all()), `SELECT columns(a.id), group_concat(n.text, char(1)) FROM json_each(?) AS w
		CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain`)
	if err != nil {
		return nil, err
	}
	sources, t := make(map[int64]string), newTexts(c.Conn)
	for i := range found {
		n := found[i].id.source()
		if _, known := sources[n]; known {
			continue
		}
		if sources[n], err = t.source(n); err != nil {
			return nil, err
		}
	}
	each := func(do func(f int, x *deliveryRow)) {
		for i := range found {
			x := &found[i]
			for _, f := range routes.of(x.route) {
				if slices.ContainsFunc(read[f], func(s span) bool { return s.lo <= x.at && x.at <= s.hi }) {
					do(f, x)
				}
			}
		}
	}
	size := make([]int, len(asked))
	each(func(f int, _ *deliveryRow) { size[f]++ })
	for f, n := range size {
		out[f].Deliveries = make([]store.Delivered, 0, n)
	}
	each(func(f int, x *deliveryRow) {
		out[f].Deliveries = append(out[f].Deliveries, store.Delivered{Source: sources[x.id.source()], Offset: x.id.offset(), Time: unix(x.at), Message: x.message, SenderDomain: domains[int64(x.sender)]})
	})
	return out, nil
}

// A deliveryRow is a row of delivery.
type deliveryRow struct {
	id            attemptID
	at            int64
	message       uint64
	sender, route int32
}

// readDeliveries reads the deliveries of the pieces that Cover marked.
func readDeliveries(c *sqlite3.Conn, all []*piece) (found []deliveryRow, err error) {
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	var spans []span
	pieces := 0
	for _, s := range all {
		if !s.Read {
			continue
		}
		pieces++
		if n := len(spans); n > 0 && spans[n-1].hi+1 >= s.lo {
			spans[n-1].hi = max(spans[n-1].hi, s.hi)
		} else {
			spans = append(spans, s.span)
		}
	}
	found = make([]deliveryRow, 0, pieces*chunkRows)
	q := query{since: -forever, until: forever}
	return found, q.scanColumns(c, spans, []string{"a.id", "a.at", "a.queue", layoutSQL("coalesce(a.sender, 0) << $ID_BITS | a.route")}, "FROM delivery AS a WHERE "+q.where(), func(v []int64) error {
		sender, route := v[3]>>idBits, v[3]&maxID
		found = append(found, deliveryRow{attemptID(v[0]), v[1], messageKey(v[2], sender), int32(sender), int32(route)})
		return nil
	})
}

// streamRoutes maps routes to streams. There may be many routes, but few sets of streams.
type streamRoutes struct {
	sets   [][]int
	unions map[[2]int32]int32
	set    numbers // by route
}

func (r *streamRoutes) of(route int32) []int { return r.sets[r.set.of(int64(route))] }

// with returns the set with the streams of both sets.
func (r *streamRoutes) with(a, b int32) int32 {
	switch {
	case a == b || b == 0:
		return a
	case a == 0:
		return b
	}
	n, known := r.unions[[2]int32{a, b}]
	if !known {
		list := slices.Concat(r.sets[a], r.sets[b])
		slices.Sort(list)
		n = int32(len(r.sets))
		r.sets = append(r.sets, slices.Compact(list))
		r.unions[[2]int32{a, b}] = n
	}
	return n
}

func readStreamRoutes(c *sqlite3.Conn, streams []store.Stream) (*streamRoutes, error) {
	r := &streamRoutes{sets: [][]int{nil}, unions: make(map[[2]int32]int32)}
	relays, domains := make(map[string]int32), make(map[string]int32)
	for i, f := range streams {
		r.sets = append(r.sets, []int{i})
		n := int32(len(r.sets) - 1)
		for _, name := range f.Relays {
			relays[ascii.Lower(name)] = r.with(relays[ascii.Lower(name)], n)
		}
		for _, name := range f.Domains {
			domains[ascii.Lower(name)] = r.with(domains[ascii.Lower(name)], n)
		}
	}
	var hosts, ends numbers // by name: the streams of a relay, and of a recipient's domain
	err := batches(c, "name", func(lo, hi int64) error {
		return c.Texts(1, func(v []int64, name string) error {
			name = ascii.Lower(name)
			if set := domains[name]; set != 0 {
				ends.set(v[0], set)
			}
			for rest, more := name, true; more; _, rest, more = strings.Cut(rest, ".") {
				if set := relays[rest]; set != 0 {
					hosts.set(v[0], r.with(hosts.of(v[0]), set))
				}
			}
			return nil
		}, "SELECT columns(id), group_concat(text, char(1)) FROM name WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if err != nil {
		return nil, err
	}
	return r, batches(c, "route", func(lo, hi int64) error {
		return c.Columns(3, func(v []int64) error {
			if set := r.with(ends.of(v[1]), hosts.of(v[2])); set != 0 {
				r.set.set(v[0], set)
			}
			return nil
		}, "SELECT columns(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
	})
}
