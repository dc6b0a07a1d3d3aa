package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Count counts the attempts that match f by some dimensions. A message is counted in the cell of
// its first attempt; by domain or relay, in the cell of its first attempt to each domain.
func (r *reader) Count(ctx context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	if len(by) > store.MaxDimensions {
		return nil, fmt.Errorf("count: %d dimensions, at most %d", len(by), store.MaxDimensions)
	}
	for _, dim := range by {
		if !slices.Contains(dimensionsKnown, dim) {
			return nil, fmt.Errorf("count: cannot count by %q", dim)
		}
	}
	c := r.take(ctx)
	defer c.Unlock()
	t, err := r.count(c.Conn, f, by)
	if err != nil || t == nil {
		return nil, r.wrap("count", err)
	}
	cells, err := t.named(c.Conn)
	return cells, r.wrap("count", err)
}

var dimensionsKnown = []store.Dimension{
	store.ByDomain, store.BySenderDomain, store.ByRelay, store.ByReason, store.ByDetail, store.ByRecipient, store.ByHost,
	store.ByDay, store.ByHour, store.BySender, store.BySASLUser, store.ByClient,
}

// byDestination reports whether a dimension describes the destination of the mail.
func byDestination(by store.Dimension) bool { return by == store.ByDomain || by == store.ByRelay }

// byHandover reports whether a dimension describes the sender or client that handed in a message.
// These are known of failed attempts only.
func byHandover(by store.Dimension) bool {
	return by == store.BySender || by == store.BySASLUser || by == store.ByClient
}

// A point is a combination of values of the dimensions, as numbers.
type point [store.MaxDimensions]int64

// A tally adds up cells.
type tally struct {
	by    []store.Dimension
	keys  []point
	cells []store.Cell // in the order of keys; Keys and Reasons are not set
	index map[point]int32
	// Reasons are kept by cell. A cell has few of them, so searching a list takes a third of the
	// time of a map.
	reasons [][]reasonCount

	lastKey point // the last key looked up: consecutive rows often have the same one
	last    int32

	// If all dimensions describe the destination, the route determines the cell.
	routes  bool
	byRoute numbers // cell by route, starting at 1; 0: not looked up yet

	minus bool // subtract instead of add

	ends          *routeEnds
	details       numbers          // by reply, the first reply with the same detail
	hosts, logins map[int64]int64  // the first id of each name
	clients       map[int64]string // clients stored as text, by their hash
}

func (r *reader) newTally(c *sqlite3.Conn, by []store.Dimension) (*tally, error) {
	t := &tally{by: by, index: make(map[point]int32), last: -1, routes: len(by) > 0}
	destination := false
	for _, dim := range by {
		t.routes = t.routes && byDestination(dim)
		destination = destination || byDestination(dim)
	}
	var err error
	if slices.Contains(by, store.ByHost) {
		if t.hosts, err = firstOfEach(c, "SELECT id, host FROM origin ORDER BY id"); err != nil {
			return nil, err
		}
	}
	if slices.Contains(by, store.BySASLUser) {
		if t.logins, err = firstOfEach(c, "SELECT id, user FROM login ORDER BY id"); err != nil {
			return nil, err
		}
	}
	if slices.Contains(by, store.ByDetail) {
		if t.details, err = detailsOf(c); err != nil {
			return nil, err
		}
	}
	if destination {
		t.ends, err = r.counting.routes(c)
	}
	return t, err
}

// firstOfEach maps each id of a dictionary to the first id with the same text. It is for
// dictionaries in which a text may occur more than once.
func firstOfEach(c *sqlite3.Conn, sql string) (map[int64]int64, error) {
	ids, first := make(map[int64]int64), make(map[string]int64)
	err := c.Each(func(v []driver.Value) error {
		id, text := num(v[0]), str(v[1])
		if first[text] == 0 {
			first[text] = id
		}
		ids[id] = first[text]
		return nil
	}, sql)
	return ids, err
}

// detailsOf maps each reply to the first reply with the same detail; 0: no detail.
func detailsOf(c *sqlite3.Conn) (numbers, error) {
	var ids numbers
	first := make(map[string]int32)
	err := batches(c, "reply", func(lo, hi int64) error {
		return c.Texts(1, func(v []int64, detail string) error {
			if first[detail] == 0 {
				first[detail] = int32(v[0])
			}
			ids.set(v[0], first[detail])
			return nil
		}, "SELECT columns(id), group_concat(detail, char(1)) FROM reply WHERE id BETWEEN ? AND ? AND detail <> ''", lo, hi)
	})
	return ids, err
}

type reasonCount struct {
	reason bounce.Reason
	n      int64
}

// A fact holds the values of the dimensions for an attempt or a cell of a rollup.
type fact struct {
	route, senderDomain, origin, kind, at  int64
	recipient, sender, user, client, reply int64
}

// cell returns the index of the cell for a fact.
func (t *tally) cell(f *fact) int32 {
	if t.routes {
		if at := t.byRoute.of(f.route); at > 0 {
			return at - 1
		}
	}
	var k point
	for i, dim := range t.by {
		switch dim {
		case store.ByDomain:
			k[i] = int64(t.ends.domains.of(f.route))
		case store.ByRelay:
			k[i] = int64(t.ends.relays.of(f.route))
		case store.BySenderDomain:
			k[i] = f.senderDomain
		case store.ByHost:
			k[i] = t.hosts[f.origin]
		case store.ByReason:
			k[i] = int64(reasonOf(f.kind))
		case store.ByDetail:
			k[i] = int64(t.details.of(f.reply))
		case store.ByRecipient:
			k[i] = f.recipient
		case store.BySender:
			k[i] = f.sender
		case store.BySASLUser:
			k[i] = t.logins[f.user]
		case store.ByClient:
			k[i] = f.client
		case store.ByDay:
			k[i] = f.at / day
		case store.ByHour:
			k[i] = f.at / hour
		}
	}
	if k == t.lastKey && t.last >= 0 && !t.routes {
		return t.last
	}
	at, known := t.index[k]
	if !known {
		at = int32(len(t.keys))
		t.index[k] = at
		t.keys = append(t.keys, k)
		t.cells = append(t.cells, store.Cell{})
		t.reasons = append(t.reasons, nil)
	}
	t.lastKey, t.last = k, at
	if t.routes && 0 < f.route && f.route <= maxID {
		t.byRoute.set(f.route, at+1)
	}
	return at
}

func (t *tally) add(at int32, kind int64, n cell) {
	if t.minus {
		n = cell{-n.n, -n.messages, -n.pairs, -n.nulls, -n.retry}
	}
	g := &t.cells[at].Tally
	if r := reasonOf(kind); r != bounce.NoReason && isFailed(outcomeOf(kind)) {
		i := slices.IndexFunc(t.reasons[at], func(x reasonCount) bool { return x.reason == r })
		if i < 0 {
			i = len(t.reasons[at])
			t.reasons[at] = append(t.reasons[at], reasonCount{reason: r})
		}
		t.reasons[at][i].n += n.n
	}
	switch outcomeOf(kind) {
	case bounce.Delivered:
		g.Attempts += n.n
		g.Delivered += n.n
		g.Recovered += n.pairs
	case bounce.Soft:
		g.Attempts += n.n
		g.Soft += n.n
		g.Pending += n.pairs
		g.NullSoft += n.nulls
		g.Soft5xx += n.retry
	case bounce.Hard:
		g.Attempts += n.n
		g.Hard += n.n
		g.Expired += n.pairs
		g.NullHard += n.nulls
	case bounce.Handoff:
		g.Handoff += n.n
		g.Discarded += n.pairs
	case bounce.Probe:
		g.Probe += n.n
	}
	g.Messages += n.messages
}

// named sets the keys of the cells and leaves out empty cells.
func (t *tally) named(c *sqlite3.Conn) ([]store.Cell, error) {
	n := 0
	for i := range t.cells {
		if t.cells[i].Counts != (store.Counts{}) {
			for _, x := range t.reasons[i] {
				if x.n == 0 { // all subtracted
					continue
				}
				if t.cells[i].Reasons == nil {
					t.cells[i].Reasons = make(map[bounce.Reason]int64, len(t.reasons[i]))
				}
				t.cells[i].Reasons[x.reason] = x.n
			}
			t.cells[n], t.keys[n] = t.cells[i], t.keys[i]
			n++
		}
	}
	cells, keys := t.cells[:n], t.keys[:n]
	for i, dim := range t.by {
		name, err := t.names(c, dim, func(yield func(int64) bool) {
			for _, k := range keys {
				if !yield(k[i]) {
					return
				}
			}
		})
		if err != nil {
			return nil, err
		}
		for j := range cells {
			cells[j].Keys[i] = name(keys[j][i])
		}
	}
	if !slices.Contains(t.by, store.BySenderDomain) {
		return cells, nil
	}
	// The null sender and an unknown sender have no domain.
	index := make(map[[store.MaxDimensions]string]int, len(cells))
	n = 0
	for i := range cells {
		if at, known := index[cells[i].Keys]; known {
			cells[at].Add(&cells[i].Tally)
			continue
		}
		index[cells[i].Keys] = n
		cells[n] = cells[i]
		n++
	}
	return cells[:n], nil
}

// names returns a function that names the values of a dimension.
func (t *tally) names(c *sqlite3.Conn, by store.Dimension, values func(func(int64) bool)) (func(int64) string, error) {
	distinct := func() []int64 {
		var set idSet
		for v := range values {
			set.add(v)
		}
		return slices.Collect(set.all())
	}
	called := func(all map[int64]string, err error) (func(int64) string, error) {
		return func(v int64) string { return all[v] }, err
	}
	switch by {
	case store.ByDomain, store.BySenderDomain, store.ByRelay:
		return called(namesOf(c, distinct()))
	case store.ByDetail:
		return called(textsOf(c, distinct(), "SELECT columns(r.id), group_concat(r.detail, char(1)) FROM json_each(?) AS w CROSS JOIN reply AS r ON r.id = w.value"))
	case store.ByRecipient:
		return called(addressesOf(c, distinct()))
	case store.BySender:
		all, err := addressesOf(c, distinct())
		return func(v int64) string {
			if v != 0 && all[v] == "" {
				return nullSender
			}
			return all[v]
		}, err
	case store.BySASLUser:
		return called(textsOf(c, distinct(), "SELECT columns(l.id), group_concat(l.user, char(1)) FROM json_each(?) AS w CROSS JOIN login AS l ON l.id = w.value"))
	case store.ByClient:
		return func(v int64) string {
			switch {
			case v > 0:
				return t.clients[v]
			case v < 0:
				return ipText(-1 - v)
			}
			return ""
		}, nil
	case store.ByHost:
		hosts := make(map[int64]string)
		return called(hosts, c.Each(func(v []driver.Value) error {
			hosts[num(v[0])] = str(v[1])
			return nil
		}, "SELECT id, host FROM origin"))
	case store.ByReason:
		return func(v int64) string { return bounce.Reason(v).String() }, nil
	case store.ByDay:
		return func(v int64) string { return time.Unix(v*day, 0).UTC().Format(time.DateOnly) }, nil
	}
	return func(v int64) string { return time.Unix(v*hour, 0).UTC().Format("2006-01-02T15:00Z") }, nil
}

// nullSender is the key of the null sender in store.BySender.
const nullSender = "<>"

// dimension selects the rollup that can answer the query, or the rows.
func (q *query) dimension(by ...store.Dimension) dimension {
	if q.selective() || len(q.senders) > 0 || len(q.logins) > 0 {
		return byRows
	}
	route, sender, origin, hourly := q.routes != nil, q.senderDom != 0, q.origins != nil, false
	for _, dim := range by {
		switch {
		case dim == store.ByRecipient || dim == store.ByDetail || byHandover(dim):
			return byRows
		case byDestination(dim):
			route = true
		case dim == store.BySenderDomain:
			sender = true
		case dim == store.ByHost:
			origin = true
		case dim == store.ByHour:
			hourly = true
		}
	}
	need := byOrigin
	n := 0
	for dim, asked := range map[dimension]bool{byRoute: route, bySender: sender, byOrigin: origin} {
		if asked {
			need = dim
			n++
		}
	}
	if n > 1 || hourly && need.period() != hour {
		return byRows
	}
	return need
}

// count adds up the attempts that match f, with dimensions as numbers. It returns nil if none can
// match.
func (r *reader) count(c *sqlite3.Conn, f store.Filter, by []store.Dimension) (*tally, error) {
	q, err := r.counting.query(c, f)
	if err != nil || q.nothing || q.since >= q.until {
		return nil, err
	}
	t, err := r.newTally(c, by)
	if err != nil {
		return nil, err
	}
	dim := q.dimension(by...)
	if dim == byRows {
		return t, r.countRows(q, c, t)
	}
	// The rollup counts whole periods. For a period that is only partly selected, either the
	// selected rows are added, or the whole period is taken from the rollup and the other rows are
	// subtracted, whichever is fewer rows.
	period := dim.period()
	lo, hi := int64(0), q.until
	var edges []edge
	var all []*piece
	if q.since != -forever || hi != forever {
		if all, err = r.counting.pieces(c); err != nil {
			return nil, err
		}
	}
	around := func(asked, other span) (whole bool) {
		if asked.lo < asked.hi {
			whole = other.lo >= period && during(all, other) < during(all, asked)
			if whole {
				asked = other
			}
			edges = append(edges, edge{asked, whole})
		}
		return whole
	}
	if q.since != -forever {
		lo = (q.since + period - 1) / period * period
	}
	if hi != forever {
		hi = hi / period * period
	}
	before, after := span{lo - period, q.since}, span{q.until, hi + period}
	if lo > hi { // within one period
		if hi < period || during(all, before)+during(all, after) >= during(all, span{q.since, q.until}) {
			return t, r.countRows(q, c, t)
		}
		lo, hi = hi, lo
		edges = []edge{{before, true}, {after, true}}
	} else {
		if q.since != -forever && around(span{q.since, lo}, before) {
			lo -= period
		}
		if q.until != forever && around(span{hi, q.until}, after) {
			hi += period
		}
	}
	if lo < hi {
		if err := q.countCells(c, t, dim, lo/period, hi/period); err != nil {
			return nil, err
		}
	}
	for _, e := range edges {
		part := *q
		part.since, part.until, t.minus = e.lo, e.hi, e.minus
		if err := r.countRows(&part, c, t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// An edge is a time span whose rows are added or subtracted.
type edge struct {
	span
	minus bool
}

// countCells adds up the cells of a rollup from period lo to before hi.
func (q *query) countCells(c *sqlite3.Conn, t *tally, dim dimension, lo, hi int64) error {
	allowed := map[dimension]map[int64]bool{byRoute: q.routes, byOrigin: q.origins}[dim]
	hi = min(hi, maxPeriod+1)
	table := "rollup_" + string(dim)
	if dim == byRoute && !slices.Contains(t.by, store.ByDay) && q.since == -forever && q.until == forever {
		table, lo, hi = "rollup_total", 0, 1 // its keys have no period
	}
	one := func(key cellKey, v []int64) {
		period, id, kind := key.period(), key.id(), key.kind()
		if allowed != nil && !allowed[id] || dim == bySender && q.senderDom != 0 && id != q.senderDom || !q.kinds(kind) {
			return
		}
		f := fact{kind: kind, at: period * dim.period()}
		switch dim {
		case byRoute:
			f.route = id
		case bySender:
			f.senderDomain = id
		case byOrigin:
			f.origin = id
		}
		t.add(t.cell(&f), kind, cell{v[1], v[2], v[3], v[4], v[5]})
	}
	if allowed != nil {
		from, to, err := periodsOf(c, table)
		if err != nil {
			return err
		}
		if lo, hi := max(lo, from), min(hi, to); (hi-lo)*int64(len(allowed)) <= cellsSought {
			return eachCell(c, table, lo, hi, sorted(allowed), one)
		}
	}
	return eachCell(c, table, lo, hi, nil, one)
}

// cellsSought is how many cells are looked up one by one before the whole rollup is scanned
// instead. A scan of 17 days with 9,000 routes takes 69 ms.
const cellsSought = 2000

// countRows adds up the rows.
func (r *reader) countRows(q *query, c *sqlite3.Conn, t *tally) error {
	delivered, failed := q.wants()
	known, err := r.counting.replyKinds(c)
	if err != nil {
		return err
	}
	null := known.null
	handover := slices.ContainsFunc(t.by, byHandover)
	flag := int64(flagFirst)
	if q.routes != nil || slices.ContainsFunc(t.by, byDestination) {
		flag = flagFirstToDomain
	}
	deliveries, failures, err := q.spans(c)
	if err != nil {
		return err
	}
	bySenderDomain, senderDomains := slices.Contains(t.by, store.BySenderDomain), make(map[int64]int64)
	if delivered && (t.routes || len(t.by) == 0) && !q.selective() {
		delivered = false
		err := q.countDelivered(c, deliveries, flag, func(route, reply int64, n cell) {
			t.add(t.cell(&fact{route: route}), int64(known.of(reply).kind), n)
		})
		if err != nil {
			return err
		}
	}
	// If there are few rows, or senders or clients are counted, messages are told apart one by one.
	type message struct {
		cell, origin int32
		queue        int64
	}
	var seen map[message]bool
	if q.selective() || handover {
		seen = make(map[message]bool)
	}
	var waiting map[int64]bool
	columns := []string{
		layoutSQL("a.route << $ID_BITS | a.reply"), layoutSQL("coalesce(a.sender, 0) << $ID_BITS | a.recipient"),
		layoutSQL("max(a.at, 0) << $FLAG_BITS | (a.meta & (1 << $FLAG_BITS) - 1)"), "a.queue",
	}
	deliveryColumns := len(columns)
	texted := false // a client is stored as text
	row := func(v []int64) error {
		p := known.of(v[0] & maxID)
		o := outcomeOf(int64(p.kind))
		if ofDelivery := len(v) == deliveryColumns; !p.known || ofDelivery != (o == bounce.Delivered) {
			return errStrayReply // rows of delivery have no further columns
		}
		if handover && !isFailed(o) {
			return nil
		}
		f := fact{route: v[0] >> idBits, reply: v[0] & maxID, origin: int64(p.origin), kind: int64(p.kind), at: v[2] >> flagBits, sender: v[1] >> idBits, recipient: v[1] & maxID}
		if bySenderDomain && f.sender != 0 {
			var known bool
			if f.senderDomain, known = senderDomains[f.sender]; !known {
				var err error
				if f.senderDomain, err = c.Number("SELECT domain FROM address WHERE id = ?", f.sender); err != nil {
					return err
				}
				remember(senderDomains, f.sender, f.senderDomain)
			}
		}
		if len(v) > 5 {
			switch client := v[5]; {
			case v[6] != 0:
				texted = true
				f.client = clientOf(client)
			case client > 0:
				f.user = client
			default:
				f.client = client
			}
		}
		at := t.cell(&f)
		meta := v[2] & (1<<flagBits - 1)
		x := cell{n: 1, nulls: bit(f.sender != 0 && f.sender == null), retry: bit(p.retry)}
		switch {
		case o == bounce.Handoff || o == bounce.Probe:
		case seen != nil:
			if m := (message{at, p.origin, v[3]}); !seen[m] {
				seen[m] = true
				x.messages = 1
			}
		case meta&flag != 0:
			x.messages = 1
		}
		switch o {
		case bounce.Delivered:
			x.pairs = bit(meta&flagRecovered != 0)
		case bounce.Soft:
			x.pairs = bit(waiting[v[4]])
		case bounce.Hard:
			x.pairs = bit(reasonOf(int64(p.kind)) == bounce.Expired)
		case bounce.Handoff:
			x.pairs = bit(p.discarded)
		}
		t.add(at, int64(p.kind), x)
		return nil
	}
	if delivered && !handover {
		all := *q
		all.Outcomes = nil // the table holds one outcome only
		if err := all.scanColumns(c, deliveries, columns, "FROM delivery AS a WHERE "+all.where(), row); err != nil {
			return err
		}
	}
	if !failed {
		return nil
	}
	firsts, err := r.counting.firstsPending(c)
	if err != nil {
		return err
	}
	waiting = *firsts
	columns = append(columns, "a.id")
	if handover {
		columns = append(columns, "a.client", "typeof(a.client) = 'text'")
	}
	from := "FROM failure AS a WHERE " + q.where()
	if err := q.scanColumns(c, failures, columns, from, row); err != nil || !texted {
		return err
	}
	t.clients = make(map[int64]string)
	return q.within(c, func(v []driver.Value) error {
		t.clients[clientOf(sqlite3.TextHash(str(v[0])))] = str(v[0])
		return nil
	}, "SELECT DISTINCT a.client "+from+" AND typeof(a.client) = 'text' AND a.id BETWEEN ?3 AND ?4", failures)
}

// clientOf returns a number for a client stored as text: a part of its hash.
func clientOf(hash int64) int64 {
	const text = 1 << 62
	return text | hash&(text-1)
}

// countDelivered counts the rows of the table delivery by route and reply. It reads one number of
// each row. Grouping by SQLite would need its sorter.
func (q *query) countDelivered(c *sqlite3.Conn, spans []span, flag int64, add func(route, reply int64, n cell)) error {
	column := fmt.Sprintf("(a.route << %d) | (a.reply << 2) | ((a.meta & %d <> 0) << 1) | (a.meta & %d <> 0)", idBits+2, flag, flagRecovered)
	return q.scanColumns(c, spans, []string{column}, "FROM delivery AS a WHERE "+q.where(), func(v []int64) error {
		add(v[0]>>(idBits+2), v[0]>>2&maxID, cell{n: 1, messages: v[0] >> 1 & 1, pairs: v[0] & 1})
		return nil
	})
}
