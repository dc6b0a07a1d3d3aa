package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A tally adds up groups by a number.
type tally struct {
	groups map[int64]*store.Tally
	texts  map[string]int64 // what has no number, or several
	room   []store.Tally    // for the next groups

	routes []store.Route // by byEnds, in place of groups: without their names
	ends   []ends        // of routes
}

// text is the number of a text, from 1.
func (t *tally) text(s string) int64 {
	if t.texts == nil {
		t.texts = make(map[string]int64)
	}
	if t.texts[s] == 0 {
		t.texts[s] = int64(len(t.texts) + 1)
	}
	return t.texts[s]
}

func (t *tally) group(key int64) *store.Tally {
	if t.routes != nil {
		return &t.routes[key].Tally
	}
	g := t.groups[key]
	if g == nil {
		if len(t.room) == 0 {
			t.room = make([]store.Tally, 256)
		}
		g, t.room = &t.room[0], t.room[1:]
		t.groups[key] = g
	}
	return g
}

func (t *tally) add(g *store.Tally, kind int64, n cell) {
	if r := reasonOf(kind); r != bounce.NoReason && (outcomeOf(kind) == bounce.Soft || outcomeOf(kind) == bounce.Hard) {
		if g.Reasons == nil {
			g.Reasons = make(map[bounce.Reason]int64, 1)
		}
		g.Reasons[r] += n.n
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
	case bounce.Probe:
		g.Probe += n.n
	}
	g.Messages += n.messages
}

// Totals counts the attempts that match f.
func (d *DB) Totals(ctx context.Context, f store.Filter) (store.Counts, error) {
	gs, err := d.groups(ctx, f, "")
	if err != nil || len(gs) == 0 {
		return store.Counts{}, err
	}
	return gs[0].Counts, nil
}

// Groups counts the attempts that match f, grouped. A message is counted where
// its first attempt stands; in groups by domain or relay, its first attempt to
// the domain.
func (d *DB) Groups(ctx context.Context, f store.Filter, by store.By) ([]store.Group, error) {
	switch by {
	case store.ByDomain, store.BySenderDomain, store.ByRelay, store.ByReason, store.ByRecipient, store.ByHost, store.ByDay, store.ByHour:
		return d.groups(ctx, f, by)
	case store.BySender, store.BySASLUser, store.ByClient:
		// Only of failures is it known who handed them in.
		gs, err := d.groups(ctx, f, by)
		return slices.DeleteFunc(gs, func(g store.Group) bool { return g.Key == "" && by != store.BySender }), err
	}
	return nil, fmt.Errorf("cannot group by %q", by)
}

func (d *DB) groups(ctx context.Context, f store.Filter, by store.By) ([]store.Group, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	// All that is read must be of one moment.
	if !d.opts.Temporary {
		if err := c.Exec("BEGIN"); err != nil {
			return nil, d.wrap("count", err)
		}
		defer c.Exec("COMMIT")
	}
	t, err := d.count(ctx, c, f, by)
	if err != nil || t == nil {
		return nil, d.wrap("count", err)
	}
	gs, err := t.named(c, by)
	return gs, d.wrap("count", err)
}

// A dimension is what a rollup is kept by.
type dimension string

const (
	byRoute  dimension = "route"
	bySender dimension = "sender"
	byOrigin dimension = "origin"
	byRows   dimension = ""
)

// dimension chooses the rollup that can answer, or the rows.
func (q *question) dimension(by store.By) dimension {
	switch by {
	case store.ByRecipient, store.BySender, store.BySASLUser, store.ByClient:
		return byRows
	}
	if q.narrow() {
		return byRows
	}
	var need []dimension
	if q.routes != nil || byDestination(by) {
		need = append(need, byRoute)
	}
	if q.senderDom != 0 || by == store.BySenderDomain {
		need = append(need, bySender)
	}
	if q.origins != nil || by == store.ByHost {
		need = append(need, byOrigin)
	}
	switch {
	case len(need) == 0:
		return byOrigin
	case len(need) == 1 && (by != store.ByHour || need[0].period() == hour):
		return need[0]
	}
	return byRows
}

// count adds up what matches f by number; nil: nothing does.
func (d *DB) count(ctx context.Context, c *sqlite3.Conn, f store.Filter, by store.By) (*tally, error) {
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, err
	}
	t := &tally{groups: make(map[int64]*store.Tally)}
	if q.since >= q.until {
		return nil, nil
	}
	dim := q.dimension(by)
	if dim == byRows {
		err = q.countRows(ctx, c, t, by)
	} else {
		// Whole periods come from the rollup, the rest from the rows.
		lo, hi, period := q.since, q.until, dim.period()
		if lo != -forever {
			lo = (lo + period - 1) / period * period
		} else {
			lo = 0
		}
		if hi != forever {
			hi = hi / period * period
		}
		if lo >= hi {
			err = q.countRows(ctx, c, t, by)
		} else {
			err = q.countCells(ctx, c, t, by, dim, lo/period, hi/period)
			for _, edge := range [...]span{{q.since, lo}, {hi, q.until}} {
				if err == nil && edge.lo < edge.hi && edge.lo != -forever {
					part := *q
					part.since, part.until = edge.lo, edge.hi
					err = part.countRows(ctx, c, t, by)
				}
			}
		}
	}
	return t, err
}

// countCells adds up the periods from lo to hi.
func (q *question) countCells(ctx context.Context, c *sqlite3.Conn, t *tally, by store.By, dim dimension, lo, hi int64) error {
	allowed := map[dimension]map[int64]bool{byRoute: q.routes, byOrigin: q.origins}[dim]
	routes, err := q.routeNames(c, t, by)
	if err != nil {
		return err
	}
	hi = min(hi, maxPeriod+1)
	table := "rollup_" + string(dim)
	if dim == byRoute && by != store.ByDay && q.since == -forever && q.until == forever {
		table, lo, hi = "rollup_total", 0, 1 // whose keys are without a period
	}
	n := 0
	// One group is asked for many times in a row or not at all.
	var lastKey int64 = -1
	var last *store.Tally
	one := func(v []int64) error {
		n++
		key := cellKey(v[0])
		lo = v[0] + 1
		period, id, kind := key.period(), key.id(), key.kind()
		if allowed != nil && !allowed[id] || dim == bySender && q.senderDom != 0 && id != q.senderDom || !q.kinds(kind) {
			return nil
		}
		k := int64(0)
		switch by {
		case store.ByDomain, store.ByRelay, byEnds:
			k = int64(routes.of(id))
		case store.BySenderDomain, store.ByHost:
			k = id
		case store.ByReason:
			k = int64(reasonOf(kind))
		case store.ByDay:
			k = period * dim.period() / day
		case store.ByHour:
			k = period
		}
		if k != lastKey {
			lastKey, last = k, t.group(k)
		}
		t.add(last, kind, cell{v[1], v[2], v[3], v[4], v[5]})
		return nil
	}
	lo, hi = int64(newCellKey(lo, 0, 0)), int64(newCellKey(hi, 0, 0))
	for {
		read := n
		err := c.Columns(6, one, "SELECT columns(key, n, messages, pairs, nulls, retry) FROM (SELECT * FROM "+table+" WHERE key >= ? AND key < ? ORDER BY key LIMIT ?)", lo, hi, int64(sqlite3.Batch))
		if err != nil || n-read < sqlite3.Batch {
			return err
		}
	}
}

// routeNames are, by route, the numbers of what routes are grouped by.
func (q *question) routeNames(c *sqlite3.Conn, t *tally, by store.By) (numbers, error) {
	if q.names != nil || !byDestination(by) {
		return q.names, nil
	}
	t.ends = make([]ends, 1)
	places := make(map[ends]int32)
	err := batches(c, "route", func(lo, hi int64) error {
		return c.Columns(3, func(v []int64) error {
			e := ends{int32(v[1]), int32(v[2])}
			switch by {
			case store.ByDomain:
				q.names.set(v[0], e.domain)
			case store.ByRelay:
				q.names.set(v[0], e.relay)
			default:
				at, known := places[e]
				if !known {
					at = int32(len(t.ends))
					places[e] = at
					t.ends = append(t.ends, e)
				}
				q.names.set(v[0], at)
			}
			return nil
		}, "SELECT columns(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if by == byEnds {
		t.routes = make([]store.Route, len(t.ends))
	}
	return q.names, err
}

func (q *question) countRows(ctx context.Context, c *sqlite3.Conn, t *tally, by store.By) error {
	routes, err := q.routeNames(c, t, by)
	if err != nil {
		return err
	}
	type replyNumbers struct {
		kind, origin int64
		retry        bool
	}
	replies := make(map[int64]replyNumbers)
	err = c.Each(func(v []driver.Value) error {
		kind := num(v[1])
		replies[num(v[0])] = replyNumbers{kind, num(v[2]), outcomeOf(kind) == bounce.Soft && num(v[3]) >= 500}
		return nil
	}, "SELECT id, kind, origin, code FROM reply")
	if err != nil {
		return err
	}
	null, err := c.Number("SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1")
	if err != nil {
		return err
	}
	texts := newTexts(c)
	domains := make(map[int64]int64)
	flag := int64(flagFirst)
	if q.routes != nil || byDestination(by) {
		flag = flagFirstToDomain
	}
	if !q.narrow() && byDestination(by) {
		err := q.countDelivered(c, flag, func(route, reply int64, n cell) {
			t.add(t.group(int64(routes.of(route))), replies[reply].kind, n)
		})
		if err != nil {
			return err
		}
		failed := *q
		failed.counted = true
		q = &failed
	}
	handedIn := by == store.BySender || by == store.BySASLUser || by == store.ByClient
	if handedIn {
		failed := *q
		failed.counted = true
		q = &failed
	}
	type message struct {
		group, origin int64
		queue         driver.Value
	}
	seen := make(map[message]bool)
	return q.records(c, false, func(r *record) error {
		p := replies[r.reply]
		switch by {
		case store.BySender:
			if r.sender == 0 {
				return nil
			}
		case store.BySASLUser:
			if num(r.client) <= 0 {
				return nil
			}
		case store.ByClient:
			if r.client == nil || num(r.client) > 0 {
				return nil
			}
		}
		x := cell{n: 1}
		var k int64
		switch by {
		case store.ByDomain, store.ByRelay, byEnds:
			k = int64(routes.of(r.route))
		case store.BySenderDomain:
			var ok bool
			if k, ok = domains[r.sender]; !ok && r.sender != 0 {
				var err error
				if k, err = c.Number("SELECT domain FROM address WHERE id = ?", r.sender); err != nil {
					return err
				}
				remember(domains, r.sender, k)
			}
		case store.ByHost:
			k = p.origin
		case store.ByReason:
			k = int64(reasonOf(p.kind))
		case store.ByRecipient:
			k = r.recipient
		case store.BySender:
			k = r.sender
		case store.BySASLUser, store.ByClient:
			user, ip, err := texts.client(r.client)
			if err != nil {
				return err
			}
			k = t.text(user + ip)
		case store.ByDay:
			k = r.at / day
		case store.ByHour:
			k = r.at / hour
		}
		switch o := outcomeOf(p.kind); {
		case o == bounce.Handoff || o == bounce.Probe:
		case q.narrow() || handedIn:
			// Few rows: the messages can be told apart.
			if m := (message{k, p.origin, r.queue}); !seen[m] {
				seen[m] = true
				x.messages = 1
			}
		case r.meta&flag != 0:
			x.messages = 1
		}
		switch outcomeOf(p.kind) {
		case bounce.Delivered:
			x.pairs = r.meta & flagRecovered / flagRecovered
		case bounce.Soft:
			x.pairs = bit(r.pending)
		case bounce.Hard:
			x.pairs = bit(reasonOf(p.kind) == bounce.Expired)
		}
		x.nulls = bit(r.sender != 0 && r.sender == null)
		x.retry = bit(p.retry)
		t.add(t.group(k), p.kind, x)
		return nil
	})
}

// FailedBy counts the failed attempts by who sent them and who handed them in.
func (d *DB) FailedBy(ctx context.Context, f store.Filter) (senders, users, clients []store.Group, err error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, nil, nil, d.wrap("count senders", err)
	}
	if _, failed := q.wants(); !failed || q.messages != nil || q.since >= q.until {
		return nil, nil, nil, nil
	}
	kinds := make(map[int64]int64)
	err = c.Each(func(v []driver.Value) error {
		if o := outcomeOf(num(v[1])); o == bounce.Soft || o == bounce.Hard {
			kinds[num(v[0])] = num(v[1])
		}
		return nil
	}, "SELECT id, kind FROM reply")
	if err != nil {
		return nil, nil, nil, d.wrap("count senders", err)
	}
	spans, err := q.spans(c)
	if err != nil {
		return nil, nil, nil, d.wrap("count senders", err)
	}
	var tallies [3]tally
	for i := range tallies {
		tallies[i].groups = make(map[int64]*store.Tally)
	}
	const text = 1 << 62 // and part of its hash: a client that is no number
	var texted bool
	clientOf := func(hash int64) int64 { return text | hash&(text-1) }
	clientTexts := make(map[int64]string) // of tallies[2]
	spans = append(spans, expiries)
	from := "FROM failure AS a WHERE " + q.where()
	err = q.scanColumns(c, spans, []string{"a.reply", "a.sender", "a.client", "typeof(a.client) = 'text'"}, from, func(v []int64) error {
		kind, ok := kinds[v[0]]
		if !ok {
			return nil
		}
		add := func(t *tally, key int64) { t.add(t.group(key), kind, cell{n: 1}) }
		if sender := v[1]; sender != 0 {
			add(&tallies[0], sender)
		}
		switch client := v[2]; {
		case v[3] != 0:
			texted = true
			add(&tallies[2], clientOf(client))
		case client > 0:
			add(&tallies[1], client)
		case client < 0:
			add(&tallies[2], client)
		}
		return nil
	})
	if texted && err == nil {
		err = q.within(c, func(v []driver.Value) error {
			clientTexts[clientOf(sqlite3.TextHash(str(v[0])))] = str(v[0])
			return nil
		}, "SELECT DISTINCT a.client "+from+" AND typeof(a.client) = 'text' AND a.id BETWEEN ?3 AND ?4", spans)
	}
	if err != nil {
		return nil, nil, nil, d.wrap("count senders", err)
	}
	texts := newTexts(c)
	addresses, err := addressesOf(c, sorted(tallies[0].groups))
	if err == nil {
		senders, err = tallies[0].list(func(id int64) (string, error) { return addresses[id], nil })
	}
	if err == nil {
		users, err = tallies[1].list(func(id int64) (string, error) {
			user, _, err := texts.client(id)
			return user, err
		})
	}
	if err == nil {
		clients, err = tallies[2].list(func(id int64) (string, error) {
			if id > 0 {
				return clientTexts[id], nil
			}
			return ipText(-1 - id), nil
		})
	}
	return senders, users, clients, d.wrap("count senders", err)
}

// list gives the groups their keys; those that turn out to have the same become one.
func (t *tally) list(keyOf func(int64) (string, error)) ([]store.Group, error) {
	out := make([]store.Group, 0, len(t.groups))
	places := make(map[string]int, len(t.groups))
	for _, k := range sorted(t.groups) {
		key, err := keyOf(k)
		if err != nil {
			return nil, err
		}
		g := t.groups[k]
		if i, known := places[key]; known {
			out[i].Add(g)
			continue
		}
		places[key] = len(out)
		out = append(out, store.Group{Key: key, Tally: *g})
	}
	return out, nil
}

// countDelivered counts the rows of the table delivery by route and reply, in SQLite:
// to hand over each row takes longer.
func (q *question) countDelivered(c *sqlite3.Conn, flag int64, add func(route, reply int64, n cell)) error {
	delivered, _ := q.wants()
	if q.nothing || !delivered {
		return nil
	}
	spans, err := q.spans(c)
	if err != nil {
		return err
	}
	return q.within(c, func(v []driver.Value) error {
		add(num(v[0]), num(v[1]), cell{n: num(v[2]), messages: num(v[3]), pairs: num(v[4])})
		return nil
	}, fmt.Sprintf("SELECT a.route, a.reply, count(*), sum(a.meta & %d <> 0), sum(a.meta & %d <> 0) FROM delivery AS a WHERE %s AND a.id BETWEEN ?3 AND ?4 GROUP BY 1, 2",
		flag, flagRecovered, q.where()), spans)
}

// named lists the groups by what they were grouped by.
func (t *tally) named(c *sqlite3.Conn, by store.By) ([]store.Group, error) {
	words := make(map[int64]string, len(t.texts))
	for text, k := range t.texts {
		words[k] = text
	}
	texts := newTexts(c)
	var names map[int64]string
	if by == store.ByDomain || by == store.BySenderDomain || by == store.ByRelay {
		var err error
		if names, err = namesOf(c, sorted(t.groups)); err != nil {
			return nil, err
		}
	}
	return t.list(func(k int64) (string, error) {
		switch by {
		case store.ByDomain, store.BySenderDomain, store.ByRelay:
			return names[k], nil
		case store.ByHost:
			host, err := c.One("SELECT host FROM origin WHERE id = ?", k)
			return str(host), err
		case store.ByReason:
			return bounce.Reason(k).String(), nil
		case store.ByRecipient, store.BySender:
			a, err := texts.address(k)
			return a.whole, err
		case store.BySASLUser, store.ByClient:
			return words[k], nil
		case store.ByDay:
			return time.Unix(k*day, 0).UTC().Format(time.DateOnly), nil
		case store.ByHour:
			return time.Unix(k*hour, 0).UTC().Format("2006-01-02T15:00Z"), nil
		}
		return "", nil
	})
}

// namesOf reads the names with these numbers, which are in order.
func namesOf(c *sqlite3.Conn, ids []int64) (map[int64]string, error) {
	return textsOf(c, ids, "SELECT columns(n.id), group_concat(n.text, char(1)) FROM json_each(?) AS w CROSS JOIN name AS n ON n.id = w.value")
}

// addressesOf reads the addresses with these numbers.
func addressesOf[N int64 | uint64](c *sqlite3.Conn, ids []N) (map[N]string, error) {
	return textsOf(c, ids, `SELECT columns(a.id), group_concat(iif(n.text = '', a.local, a.local || '@' || n.text), char(1)) FROM json_each(?) AS w
		CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain`)
}

func textsOf[N int64 | uint64](c *sqlite3.Conn, ids []N, sql string) (map[N]string, error) {
	all := make(map[N]string, len(ids))
	return all, inBatches(slices.Values(ids), func(wanted string) error {
		return c.Texts(1, func(v []int64, text string) error {
			all[N(v[0])] = text
			return nil
		}, sql, wanted)
	})
}

// Span is the time of the first and the last attempt that match f.
func (d *DB) Span(ctx context.Context, f store.Filter) (first, last time.Time, err error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return first, last, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return first, last, d.wrap("span", err)
	}
	lo, hi := int64(forever), int64(-forever)
	note := func(r *record) error {
		lo, hi = min(lo, r.at), max(hi, r.at)
		return nil
	}
	if q.dimension("") == byRows {
		err = q.records(c, false, note)
	} else {
		err = q.spanByPeriod(ctx, c, note)
	}
	if err != nil || hi == -forever {
		return first, last, d.wrap("span", err)
	}
	return time.Unix(lo, 0).UTC(), time.Unix(hi, 0).UTC(), nil
}

// spanByPeriod finds the first and the last period in the rollup, and reads their
// rows.
func (q *question) spanByPeriod(ctx context.Context, c *sqlite3.Conn, note func(*record) error) error {
	t := &tally{groups: make(map[int64]*store.Tally)}
	dim := q.dimension("")
	by, period := store.ByHour, dim.period()
	if period == day {
		by = store.ByDay
	}
	lo, hi := max(q.since, 0)/period, min(q.until, 1<<41)/period+1
	if err := q.countCells(ctx, c, t, by, dim, lo, hi); err != nil {
		return err
	}
	periods := sorted(t.groups)
	read := func(n int64) (any bool, err error) {
		part := *q
		part.since, part.until = max(q.since, n*period), min(q.until, (n+1)*period)
		spans, err := part.spans(c)
		if err != nil {
			return false, err
		}
		ends := func(v []driver.Value) error {
			if v[0] == nil {
				return nil
			}
			any = true
			if err := note(&record{at: num(v[0])}); err != nil {
				return err
			}
			return note(&record{at: num(v[1])})
		}
		delivered, failed := part.wants()
		if delivered {
			err = part.within(c, ends, "SELECT min(a.at), max(a.at) FROM delivery AS a WHERE "+part.where()+" AND a.id BETWEEN ?3 AND ?4", spans)
		}
		if failed && err == nil {
			err = part.within(c, ends, "SELECT min(a.at), max(a.at) FROM failure AS a WHERE "+part.where()+" AND a.id BETWEEN ?3 AND ?4", append(spans, expiries))
		}
		return any, err
	}
	for _, n := range periods {
		if any, err := read(n); err != nil || any {
			if err != nil {
				return err
			}
			break
		}
	}
	for _, n := range slices.Backward(periods) {
		if any, err := read(n); err != nil || any {
			return err
		}
	}
	return nil
}

// Sources lists every source ever read.
func (d *DB) Sources(ctx context.Context) ([]store.Source, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []store.Source
	err = c.Each(func(v []driver.Value) error {
		out = append(out, store.Source{
			ID: str(v[0]), Path: str(v[1]), Offset: num(v[2]), State: str(v[3]), First: when(v[4]), Last: when(v[5]),
			Lines: num(v[6]), Delivery: num(v[7]), Attempts: num(v[8]), Repeated: num(v[9]), Queue: num(v[10]),
			Rejected: num(v[11]), Skipped: num(v[12]), Unparsed: num(v[13]), Blank: num(v[14]),
		})
		return nil
	}, "SELECT name, path, position, state, first, last, lines, delivery, attempts, repeated, queue, rejected, skipped, unparsed, blank FROM source ORDER BY id")
	return out, d.wrap("list sources", err)
}

func when(v driver.Value) time.Time {
	n, ok := v.(int64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// OpenMessages yields the messages that were still queued when the last batch
// was stored.
func (d *DB) OpenMessages(ctx context.Context) iter.Seq2[bounce.Message, error] {
	return func(yield func(bounce.Message, error) bool) {
		c, done, err := d.reader(ctx)
		if err != nil {
			yield(bounce.Message{}, err)
			return
		}
		defer done()
		err = c.Each(func(v []driver.Value) error {
			if !yield(bounce.Message{
				Host: str(v[0]), MTA: bounce.MTA(str(v[1])), Instance: str(v[2]), QueueID: str(v[3]), Time: when(v[4]),
				MessageID: str(v[5]), Sender: str(v[6]), SenderKnown: num(v[7]) != 0, Size: num(v[8]),
				ClientHost: str(v[9]), ClientIP: str(v[10]), SASLUser: str(v[11]),
			}, nil) {
				return sqlite3.Stop
			}
			return ctx.Err()
		}, `SELECT host, mta, instance, queue_id, at, message_id, sender, sender_known, size, client_host, client_ip, sasl_user
			FROM open_message ORDER BY id DESC`)
		if err != nil {
			yield(bounce.Message{}, d.wrap("read open messages", err))
		}
	}
}

// Skipped counts the lines that are not about deliveries, by program.
func (d *DB) Skipped(ctx context.Context) ([]store.Skipped, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []store.Skipped
	err = c.Each(func(v []driver.Value) error {
		out = append(out, store.Skipped{Program: str(v[0]), Lines: num(v[1])})
		return nil
	}, "SELECT program, lines FROM skipped ORDER BY lines DESC, program")
	return out, d.wrap("list skipped lines", err)
}

// Unparsed lists the kept sample of lines that were not understood.
func (d *DB) Unparsed(ctx context.Context) ([]store.Unparsed, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []store.Unparsed
	err = c.Each(func(v []driver.Value) error {
		out = append(out, store.Unparsed{Source: str(v[0]), Offset: attemptID(num(v[1])).offset(), Time: when(v[2]), Text: str(v[3])})
		return nil
	}, layoutSQL("SELECT s.name, u.id, u.at, u.text FROM unparsed_line AS u JOIN source AS s ON s.id = u.id >> $OFFSET_BITS ORDER BY u.id"))
	return out, d.wrap("list unparsed lines", err)
}
