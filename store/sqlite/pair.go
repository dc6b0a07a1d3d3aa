package sqlite

import (
	"database/sql/driver"

	"bouncelog/bounce"
	"bouncelog/store"
)

// States of a pair.
const (
	pending = iota
	recovered
	expired
	hard
)

// A where is the place of an attempt in the rollups.
type where struct {
	at                          int64
	route, sender, origin, kind int64 // sender is a domain
}

// Seconds.
const (
	hour = 60 * 60
	day  = 24 * hour
)

const periodShift, dimShift = 34, 10

func rollupKey(period, dim, kind int64) int64 {
	return max(period, 0)<<periodShift | dim<<dimShift | kind
}

// count adds to the three rollups. messages counts the message where it was
// first seen; by route where it was first seen at the domain.
func (w *writer) count(c where, n cell, firstToDomain int64) {
	add := func(m map[int64]*cell, period, dim int64, n cell) {
		key := rollupKey(period, dim, c.kind)
		x := m[key]
		if x == nil {
			x = new(cell)
			m[key] = x
		}
		x.n += n.n
		x.messages += n.messages
		x.pairs += n.pairs
		x.nulls += n.nulls
		x.retry += n.retry
	}
	add(w.senderCells, c.at/day, c.sender, n)
	add(w.originCells, c.at/hour, c.origin, n)
	n.messages = firstToDomain
	add(w.routeCells, c.at/day, c.route, n)
}

func (w *writer) pairHash(queue string, recipient int64) uint64 {
	return w.hash.num(w.hash.add(30, queue), uint64(recipient))
}

// loadPending makes the filter that tells most attempts that no pair of theirs
// is pending.
func (w *writer) loadPending() error {
	n, err := w.c.number("SELECT count(*) FROM pending")
	if err != nil {
		return err
	}
	w.pending = newBloom(int(2 * n))
	return w.c.each(func(row []driver.Value) error {
		w.pending.add(w.pairHash(queueText(row[0]), row[1].(int64)))
		return nil
	}, "SELECT queue, recipient FROM pending")
}

// slack is how far two arrival times of one message may lie apart, in seconds:
// both are a logged time less a rounded delay, and clocks are set. A queue id is
// used again for the same recipient much later.
const slack = 600

// meet looks for the pending pair of an attempt, notes what became of it, and
// reports whether there is one.
func (w *writer) meet(id int64, queue any, recipient int64, a *store.Attempt, r *reply, c where) (bool, error) {
	var arrived int64
	t := a.Arrived()
	if !t.IsZero() {
		arrived = t.Unix()
	}
	// One table at a time: a join with parameters would be planned anew for
	// each.
	var pair int64
	err := w.c.each(func(row []driver.Value) error {
		if when, ok := row[1].(int64); ok && !t.IsZero() && max(when-arrived, arrived-when) > slack {
			return nil // another message with the same queue id
		}
		pair = row[0].(int64)
		return nil
	}, "SELECT pair, arrived FROM pending WHERE queue = ? AND recipient = ? AND origin = ?", queue, recipient, c.origin)
	if err != nil || pair == 0 {
		return false, err
	}
	if a.Outcome == bounce.Soft {
		return true, w.c.run("UPDATE pending SET last = ? WHERE queue = ? AND recipient = ? AND pair = ?", id, queue, recipient, pair)
	}
	if err := w.flushTables("failure", "pair"); err != nil {
		return false, err
	}
	p := where{origin: c.origin}
	var first int64
	err = w.c.each(func(row []driver.Value) error {
		p.at, p.route, first = row[0].(int64), row[1].(int64), row[3].(int64)
		return w.senderDomain(&p, row[2])
	}, "SELECT at, route, sender, reply FROM failure WHERE id = ?", pair)
	if err == nil {
		p.kind, err = w.c.number("SELECT kind FROM reply WHERE id = ?", first)
	}
	if err != nil {
		return false, err
	}
	state := hard
	switch {
	case a.Outcome == bounce.Delivered:
		state = recovered
	case reasonOf(r.kind) == bounce.Expired:
		state = expired
	}
	if err := w.end(pair, p, state, id); err != nil {
		return false, err
	}
	return true, w.c.run("DELETE FROM pending WHERE queue = ? AND recipient = ? AND pair = ?", queue, recipient, pair)
}

// end ends a pending pair, whose first attempt stands at p in the rollups.
func (w *writer) end(pair int64, p where, state int, id int64) error {
	w.count(p, cell{pairs: -1}, 0)
	return w.c.run("UPDATE pair SET state = ?, ended = ? WHERE id = ?", state, id, pair)
}

// senderDomain fills in the domain of a sender's address.
func (w *writer) senderDomain(p *where, sender driver.Value) error {
	id, ok := sender.(int64)
	if !ok {
		return nil
	}
	if i := id - w.newBase; i >= 0 {
		p.sender = w.fresh[i].domain
		return nil
	}
	var err error
	p.sender, err = w.c.number("SELECT domain FROM address WHERE id = ?", id)
	return err
}

// isNull reports, as 1 or 0, whether a sender is the null reverse-path.
func (w *writer) isNull(sender any) (int64, error) {
	id, ok := sender.(int64)
	if !ok {
		return 0, nil
	}
	if i := id - w.newBase; i >= 0 {
		empty, err := w.name("")
		return bit(w.fresh[i].local == "" && w.fresh[i].domain == empty), err
	}
	return w.c.number("SELECT a.local = '' AND n.text = '' FROM address AS a JOIN name AS n ON n.id = a.domain WHERE a.id = ?", id)
}

// expire ends what is pending of a message: each recipient gets a row.
func (w *writer) expire(src *source, e *bounce.Expiry) error {
	if e.Offset < src.position {
		return nil
	}
	origin, err := w.origin(e.Host, e.MTA, e.Instance)
	if err != nil {
		return err
	}
	if err := w.flushTables("failure", "pair"); err != nil {
		return err
	}
	type row struct {
		pair, recipient, route int64
		sender, message        any
		first                  where
	}
	var rows []row
	err = w.c.each(func(v []driver.Value) error {
		r := row{pair: v[0].(int64), recipient: v[1].(int64), route: v[2].(int64), sender: v[3], message: v[4]}
		r.first = where{at: v[5].(int64), route: v[6].(int64), kind: v[7].(int64), origin: origin}
		if err := w.senderDomain(&r.first, v[3]); err != nil {
			return err
		}
		rows = append(rows, r)
		return nil
	}, `SELECT p.pair, p.recipient, coalesce(l.route, f.route), f.sender, f.message, f.at, f.route, r.kind
		FROM pending AS p JOIN failure AS f ON f.id = p.pair LEFT JOIN failure AS l ON l.id = p.last JOIN reply AS r ON r.id = f.reply
		WHERE p.queue = ? AND p.origin = ?`, queueValue(e.QueueID), origin)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	if err := w.c.run("DELETE FROM pending WHERE queue = ? AND origin = ?", queueValue(e.QueueID), origin); err != nil {
		return err
	}
	d := bounce.Delivery{
		Host: e.Host, MTA: e.MTA, Instance: e.Instance, Agent: e.Agent, QueueID: e.QueueID,
		Status: e.Status, Outcome: bounce.Hard, Local: true,
	}
	var p prepared
	w.take(&d, &p)
	at := e.Time.Unix()
	for _, x := range rows {
		r, err := w.reply(p.reply, &d, expiredVerdict, p.template, p.provider)
		if err != nil {
			return err
		}
		if err := w.end(x.pair, x.first, expired, firstExpiry+x.pair); err != nil {
			return err
		}
		c := where{at: at, route: x.route, sender: x.first.sender, origin: origin, kind: r.kind}
		n := cell{n: 1, pairs: bit(reasonOf(r.kind) == bounce.Expired)}
		if n.nulls, err = w.isNull(x.sender); err != nil {
			return err
		}
		w.count(c, n, 0)
		before, err := w.c.one("SELECT before FROM failure WHERE id = ?", x.pair)
		if err == nil {
			err = w.c.run("INSERT INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, ?, ?, ?)",
				firstExpiry+x.pair, at, queueValue(e.QueueID), x.recipient, x.sender, x.route, r.id, x.message, before, src.num<<offsetBits|e.Offset)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expiredVerdict is the judgement on Postfix's "status=expired".
var expiredVerdict = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}
