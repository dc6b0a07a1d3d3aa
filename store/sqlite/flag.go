package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// messageKey stands for a message: its queue id and sender, since short queue ids
// are used again.
func messageKey(queue driver.Value, sender int64) uint64 {
	h := chunkHash.num(3, uint64(sender))
	if n, ok := queue.(int64); ok {
		return chunkHash.num(h, uint64(n))
	}
	return chunkHash.add(h, str(queue))
}

// Refusals yields the failed attempts that match f in the order of time.
func (d *DB) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	return func(yield func(*store.Refusal, error) bool) {
		c, done, err := d.reader()
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		err = d.refusals(ctx, c, f, func(r *store.Refusal) bool { return yield(r, nil) })
		if err != nil && err != errEnough {
			yield(nil, d.wrap("read refusals", err))
		}
	}
}

func (d *DB) refusals(ctx context.Context, c *conn, f store.Filter, yield func(*store.Refusal) bool) error {
	var outcomes []bounce.Outcome
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		if len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, o) {
			outcomes = append(outcomes, o)
		}
	}
	if f.Outcomes = outcomes; outcomes == nil {
		return nil
	}
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return err
	}
	spans, err := q.spans(c)
	if err != nil {
		return err
	}
	within := ""
	if len(spans) <= 20 {
		for _, s := range append(spans, span{firstExpiry, -1}) {
			within += fmt.Sprintf("a.id BETWEEN %d AND %d OR ", s.lo, s.hi)
		}
		within = " AND (" + strings.TrimSuffix(within, " OR ") + ")"
	}
	if err := c.exec("PRAGMA cache_size = -16384"); err != nil { // recipients are looked up all over the file
		return err
	}
	t := newTexts(c)
	var (
		r record
		x store.Refusal
	)
	x.Attempt = func() (store.Attempt, error) {
		var whole store.Rejection
		err := t.fill(&r, &whole)
		return whole.Attempt, err
	}
	n := 0
	return q.once(c, func(v []driver.Value) error {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r = record{
			id: num(v[0]), at: num(v[1]), queue: v[2], recipient: num(v[3]), sender: num(v[4]), route: num(v[5]), reply: num(v[6]), meta: num(v[7]),
			text: v[8], message: num(v[9]), before: num(v[10]), after: num(v[11]), line: num(v[12]),
		}
		last, first, original := num(v[13]), num(v[14]), num(v[15])
		reply, err := t.reply(r.reply)
		if err != nil {
			return err
		}
		where := r.id
		if r.line != 0 {
			where = r.line
		}
		source, err := t.source(where >> offsetBits)
		if err != nil {
			return err
		}
		x = store.Refusal{
			Source: source, Offset: where & maxOffset,
			Time: time.Unix(r.at, 0).UTC(), Message: messageKey(r.queue, r.sender), Recipient: uint64(r.recipient), RecipientDomain: str(v[16]),
			RelayHost: str(v[17]), RelayIP: ipText(v[18]), RelayPort: uint16(num(v[19])),
			Outcome: reply.d.Outcome, Code: reply.d.Code, Stage: reply.d.Stage, Template: reply.d.Response, Verdict: reply.v,
			Address: str(v[22]), Attempt: x.Attempt,
		}
		if x.RecipientDomain != "" {
			x.Address += "@" + x.RecipientDomain
		}
		if r.sender != 0 {
			local := str(v[20])
			x.SenderDomain, x.NullSender = str(v[21]), local == "" && v[21] == ""
			x.Forwarded = len(local) > 5 && (strings.EqualFold(local[:4], "SRS0") || strings.EqualFold(local[:4], "SRS1")) && strings.IndexByte("=+-", local[4]) >= 0
		}
		if original != 0 {
			o, err := t.address(original)
			if err != nil {
				return err
			}
			x.Forwarded = x.Forwarded || o.domain != x.RecipientDomain
		}
		// As in texts.fill.
		switch {
		case r.before != 0:
			x.DeliveredBefore = time.Unix(r.before, 0).UTC()
		case first == 0 && last > 0 && last < r.at:
			x.DeliveredBefore = time.Unix(last, 0).UTC()
		case first != 0 && first < r.at:
			x.DeliveredBefore = time.Unix(first, 0).UTC()
		}
		switch {
		case r.after != 0:
			x.DeliveredAfter = time.Unix(r.after, 0).UTC()
		case last > r.at:
			x.DeliveredAfter = time.Unix(last, 0).UTC()
		}
		if !yield(&x) {
			return errEnough
		}
		return nil
	}, "SELECT "+columns+`, a.text, a.message, a.before, (SELECT min(at) FROM recovery WHERE recipient = a.recipient AND at >= a.at), a.line,
		rl.last, hy.first, og.address, rd.text, rh.text, ro.ip, ro.port, sl.local, sd.text, rl.local FROM failure AS a
		LEFT JOIN route AS ro ON ro.id = a.route LEFT JOIN name AS rh ON rh.id = ro.host
		LEFT JOIN address AS sl ON sl.id = a.sender LEFT JOIN name AS sd ON sd.id = sl.domain
		LEFT JOIN address AS rl ON rl.id = a.recipient LEFT JOIN name AS rd ON rd.id = rl.domain LEFT JOIN history AS hy ON hy.id = a.recipient
		LEFT JOIN original AS og ON og.id = a.id WHERE `+q.where()+within+" ORDER BY a.at, a.id", q.since, q.until)
}

// FailureTimes says when the recipients failed as f selects.
func (d *DB) FailureTimes(ctx context.Context, f store.Filter, recipients []uint64) (map[uint64][]time.Time, error) {
	c, done, err := d.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, d.wrap("read failures", err)
	}
	spans, err := q.spans(c)
	if err != nil {
		return nil, d.wrap("read failures", err)
	}
	wanted, err := json.Marshal(recipients)
	if err != nil {
		return nil, err
	}
	list := make([][2]int64, 0, len(spans))
	for _, s := range spans {
		list = append(list, [2]int64{s.lo, s.hi})
	}
	within, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	times := make(map[uint64][]time.Time)
	n := 0
	err = q.once(c, func(v []driver.Value) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		recipient := uint64(num(v[0]))
		times[recipient] = append(times[recipient], time.Unix(num(v[1]), 0).UTC())
		return nil
	}, `SELECT a.recipient, a.at FROM json_each(?3) AS s CROSS JOIN failure AS a ON a.id BETWEEN s.value ->> 0 AND s.value ->> 1
		WHERE `+q.where()+" AND a.recipient IN (SELECT value FROM json_each(?4))", q.since, q.until, string(within), string(wanted))
	return times, d.wrap("read failures", err)
}

// A piece is a run of rows, and the time that they are of.
type piece struct {
	span
	since, until int64
	read         bool
}

// pieces are the chunks, and for each source the rows that are in none yet.
func pieces(c *conn) ([]*piece, error) {
	var all []*piece
	ends := make(map[int64]*piece) // the last of each source
	err := c.each(func(v []driver.Value) error {
		p := &piece{span: span{num(v[0]), num(v[1])}, since: num(v[2]), until: num(v[3])}
		ends[p.lo>>offsetBits] = p
		all = append(all, p)
		return nil
	}, "SELECT id, last, since, until FROM chunk ORDER BY id")
	if err != nil {
		return nil, err
	}
	return all, c.each(func(v []driver.Value) error {
		n := num(v[0])
		p := &piece{span: span{n << offsetBits, n<<offsetBits | maxOffset}, since: -forever, until: forever}
		if v[1] != nil && v[2] != nil {
			p.since, p.until = num(v[1]), num(v[2])
		}
		if end := ends[n]; end != nil {
			p.lo, p.since = end.hi+1, end.since
		}
		all = append(all, p)
		return nil
	}, "SELECT id, first, last FROM source")
}

// A flow is a store.Flow in terms of the tables.
type flow struct {
	since, until int64
	around       []int64
	read         []span // of time
}

// plan chooses what to read: for each time of each flow the pieces next to it,
// back and on, while there are rows left of those that may be read.
func plan(flows []*flow, all []*piece, rows int) {
	byEnd := slices.Clone(all)
	slices.SortFunc(byEnd, func(a, b *piece) int { return cmp.Compare(b.until, a.until) })
	byStart := slices.Clone(all)
	slices.SortFunc(byStart, func(a, b *piece) int { return cmp.Compare(a.since, b.since) })
	left := max(rows/chunkRows, 1)
	share := max(left/4, 1) // of one side of one time
	for _, f := range flows {
		for _, t := range f.around {
			lo, hi := f.since, f.until
			take := func(s *piece, mine *int) bool {
				if !s.read && (*mine >= share || left == 0) {
					return false
				}
				if !s.read {
					s.read = true
					*mine++
					left--
				}
				return true
			}
			n := 0
			for _, s := range byEnd {
				if s.since <= t && s.until >= f.since && s.since <= f.until && !take(s, &n) {
					lo = max(lo, s.until+1)
					break
				}
			}
			n = 0
			for _, s := range byStart {
				if s.until >= t && s.until >= f.since && s.since <= f.until && !take(s, &n) {
					hi = min(hi, s.since-1)
					break
				}
			}
			if lo <= hi {
				f.read = append(f.read, span{lo, hi})
			}
		}
		slices.SortFunc(f.read, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
		out := f.read[:0]
		for _, s := range f.read {
			if n := len(out); n > 0 && out[n-1].hi+1 >= s.lo {
				out[n-1].hi = max(out[n-1].hi, s.hi)
			} else {
				out = append(out, s)
			}
		}
		f.read = out
	}
}

// FlowHistories reads what was delivered in each flow.
func (d *DB) FlowHistories(ctx context.Context, flows []store.Flow, rows int) ([]store.FlowHistory, error) {
	if len(flows) == 0 {
		return nil, nil
	}
	c, done, err := d.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := d.flowHistories(ctx, c, flows, rows)
	return out, d.wrap("read deliveries", err)
}

func (d *DB) flowHistories(ctx context.Context, c *conn, asked []store.Flow, rows int) ([]store.FlowHistory, error) {
	flows := make([]*flow, len(asked))
	for i, a := range asked {
		f := &flow{since: a.Since.Unix(), until: a.Until.Unix()}
		for _, t := range a.Around {
			f.around = append(f.around, t.Unix())
		}
		flows[i] = f
	}
	all, err := pieces(c)
	if err != nil {
		return nil, err
	}
	plan(flows, all, rows)
	routes, err := flowRoutes(c, asked)
	if err != nil {
		return nil, err
	}
	out := make([]store.FlowHistory, len(asked))
	for i, f := range flows {
		for _, s := range f.read {
			out[i].Read = append(out[i].Read, store.Period{Since: time.Unix(s.lo, 0).UTC(), Until: time.Unix(s.hi, 0).UTC()})
		}
	}
	ids := make([]int64, 0, len(routes))
	for id := range routes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	var spans [][2]int64
	for _, s := range all {
		if !s.read {
			continue
		}
		if n := len(spans); n > 0 && spans[n-1][1]+1 >= s.lo {
			spans[n-1][1] = max(spans[n-1][1], s.hi)
		} else {
			spans = append(spans, [2]int64{s.lo, s.hi})
		}
	}
	where, err := json.Marshal(spans)
	if err != nil {
		return nil, err
	}
	t := newTexts(c)
	n := 0
	return out, c.each(func(v []driver.Value) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		at, sender := num(v[0]), num(v[2])
		var x store.FlowDelivery
		for _, i := range routes[num(v[3])] {
			if !slices.ContainsFunc(flows[i].read, func(s span) bool { return s.lo <= at && at <= s.hi }) {
				continue
			}
			if x.Time.IsZero() {
				x = store.FlowDelivery{Time: time.Unix(at, 0).UTC(), Message: messageKey(v[1], sender)}
				if sender != 0 {
					s, err := t.address(sender)
					if err != nil {
						return err
					}
					x.SenderDomain = s.domain
				}
			}
			out[i].Deliveries = append(out[i].Deliveries, x)
		}
		return nil
	}, `SELECT a.at, a.queue, a.sender, a.route FROM json_each(?1) AS s CROSS JOIN delivery AS a
		ON a.id BETWEEN s.value ->> 0 AND s.value ->> 1 WHERE a.route IN (SELECT value FROM json_each(?2))`, string(where), string(wanted))
}

// flowRoutes finds the routes of each flow.
func flowRoutes(c *conn, flows []store.Flow) (map[int64][]int, error) {
	relays, domains := make(map[string][]int), make(map[string][]int)
	for i, f := range flows {
		for _, name := range f.Relays {
			relays[lower(name)] = append(relays[lower(name)], i)
		}
		for _, name := range f.Domains {
			domains[lower(name)] = append(domains[lower(name)], i)
		}
	}
	byHost, byDomain := make(map[int64][]int), make(map[int64][]int)
	var ids []int64
	err := c.each(func(v []driver.Value) error {
		id, name := num(v[0]), lower(str(v[1]))
		if of := domains[name]; of != nil {
			byDomain[id] = of
			ids = append(ids, id)
		}
		for rest, more := name, true; more; _, rest, more = strings.Cut(rest, ".") {
			if of := relays[rest]; of != nil {
				byHost[id] = append(byHost[id], of...)
				ids = append(ids, id)
			}
		}
		return nil
	}, "SELECT id, text FROM name")
	if err != nil {
		return nil, err
	}
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	routes := make(map[int64][]int)
	return routes, c.each(func(v []driver.Value) error {
		of := slices.Concat(byDomain[num(v[1])], byHost[num(v[2])])
		slices.Sort(of)
		if of = slices.Compact(of); len(of) > 0 {
			routes[num(v[0])] = of
		}
		return nil
	}, `WITH w AS MATERIALIZED (SELECT value FROM json_each(?1)) SELECT id, domain, host FROM route
		WHERE host IN (SELECT value FROM w) OR domain IN (SELECT value FROM w)`, string(wanted))
}
