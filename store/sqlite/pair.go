package sqlite

import (
	"cmp"
	"database/sql/driver"
	"math"
	"math/bits"
	"slices"

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

// Cells are what a transaction adds to one rollup.
type cells struct{ *cache[keyedCell] }

type keyedCell struct {
	key int64
	cell
}

func newCells() cells { return cells{newCache[keyedCell](math.MaxInt, false)} }

func (c cells) add(key int64, n cell) {
	h := bits.RotateLeft64(uint64(key)*0x9e3779b97f4a7c15, 32) // no two keys have the same
	x := c.get(h)
	if x == nil {
		c.put(h, keyedCell{key, n})
		return
	}
	x.n += n.n
	x.messages += n.messages
	x.pairs += n.pairs
	x.nulls += n.nulls
	x.retry += n.retry
}

// sorted are the cells in the order of their keys.
func (c cells) sorted() []keyedCell {
	list := make([]keyedCell, 0, c.n)
	for i := range c.entries {
		if c.entries[i].key != 0 {
			list = append(list, c.entries[i].val)
		}
	}
	slices.SortFunc(list, func(a, b keyedCell) int { return cmp.Compare(a.key, b.key) })
	return list
}

// count adds to the three rollups. messages counts the message where it was
// first seen; by route where it was first seen at the domain.
func (w *writer) count(c where, n cell, firstToDomain int64) {
	w.senderCells.add(rollupKey(c.at/day, c.sender, c.kind), n)
	w.originCells.add(rollupKey(c.at/hour, c.origin, c.kind), n)
	n.messages = firstToDomain
	w.routeCells.add(rollupKey(c.at/day, c.route, c.kind), n)
}

// A waiting is a message and a recipient that met a soft failure and has not
// ended: a row of the table pending, and what else is asked of it.
type waiting struct {
	pair, last int64 // ids of its first and of its last soft attempt
	recipient  int64
	arrived    int64 // when the message came into the queue; 0: not known
	first      where // of the first attempt
	stored     bool  // the row is there
	changed    bool  // and not up to date
}

// A message's waiting recipients.
type waitingMessage struct {
	queue any // see queueValue
	pairs []waiting
}

// maxWaiting bounds the messages of which the waiting recipients are remembered.
const maxWaiting = 1 << 14

func (w *writer) messageHash(queue string, origin int64) uint64 {
	return w.hash.num(w.hash.add(30, queue), uint64(origin))
}

// loadPending makes the filter that tells most attempts that nobody of their
// message waits.
func (w *writer) loadPending() error {
	n, err := w.c.number("SELECT count(*) FROM pending")
	if err != nil {
		return err
	}
	w.pending = newBloom(int(2 * n))
	return w.c.each(func(row []driver.Value) error {
		w.pending.add(w.messageHash(queueText(row[0]), row[1].(int64)))
		return nil
	}, "SELECT queue, origin FROM pending")
}

// waitingOf finds who waits of a message; nil: nobody. It is good until the next
// call.
func (w *writer) waitingOf(hash uint64, queue string, origin int64) (*waitingMessage, error) {
	if !w.pending.has(hash) {
		return nil, nil
	}
	if m := w.waiting[hash]; m != nil {
		return m, nil
	}
	m := &waitingMessage{queue: queueValue(queue)}
	err := w.flushTables("failure")
	if err == nil {
		err = w.c.each(func(row []driver.Value) error {
			p := waiting{pair: num(row[0]), last: num(row[1]), recipient: num(row[2]), arrived: num(row[3]), stored: true}
			p.first = where{at: num(row[4]), route: num(row[5]), kind: num(row[7]), origin: origin}
			m.pairs = append(m.pairs, p)
			return w.senderDomain(&m.pairs[len(m.pairs)-1].first, row[6])
		}, `SELECT p.pair, p.last, p.recipient, p.arrived, f.at, f.route, f.sender, r.kind
			FROM pending AS p JOIN failure AS f ON f.id = p.pair JOIN reply AS r ON r.id = f.reply
			WHERE p.queue = ? AND p.origin = ?`, m.queue, origin)
	}
	if err != nil || len(m.pairs) == 0 {
		return nil, err
	}
	w.waiting[hash] = m
	return m, nil
}

// slack is how far two arrival times of one message may lie apart, in seconds:
// both are a logged time less a rounded delay, and clocks are set. A queue id is
// used again for the same recipient much later.
const slack = 600

// meet looks for what waits for an attempt, notes what became of it, and reports
// whether there is one.
func (w *writer) meet(hash uint64, id, recipient int64, a *store.Attempt, r *reply) (bool, error) {
	m, err := w.waitingOf(hash, a.QueueID, r.origin)
	if err != nil || m == nil {
		return false, err
	}
	arrived := arrival(&a.Delivery)
	found := -1
	for i := range m.pairs {
		p := &m.pairs[i]
		if p.recipient == recipient && (p.arrived == 0 || arrived == 0 || max(p.arrived-arrived, arrived-p.arrived) <= slack) {
			found = i // else another message with the same queue id
		}
	}
	if found < 0 {
		return false, nil
	}
	p := &m.pairs[found]
	if a.Outcome == bounce.Soft {
		p.last, p.changed = id, true
		return true, nil
	}
	state := hard
	switch {
	case a.Outcome == bounce.Delivered:
		state = recovered
	case reasonOf(r.kind) == bounce.Expired:
		state = expired
	}
	if err := w.end(m, p, state, id); err != nil {
		return false, err
	}
	m.pairs = slices.Delete(m.pairs, found, found+1)
	if len(m.pairs) == 0 {
		delete(w.waiting, hash)
	}
	return true, nil
}

// wait notes that an attempt was the first of a recipient that now waits.
func (w *writer) wait(hash uint64, id, recipient int64, d *bounce.Delivery, c where) {
	m := w.waiting[hash]
	if m == nil {
		m = &waitingMessage{queue: queueValue(d.QueueID)}
		w.waiting[hash] = m
		w.pending.add(hash)
	}
	m.pairs = append(m.pairs, waiting{pair: id, last: id, recipient: recipient, arrived: arrival(d), first: c})
}

// arrival is when a message came into the queue, 0 where that is not known.
func arrival(d *bounce.Delivery) int64 {
	if t := d.Arrived(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// end ends what waits.
func (w *writer) end(m *waitingMessage, p *waiting, state int, id int64) error {
	w.count(p.first, cell{pairs: -1}, 0)
	if !p.stored {
		return w.add("pair", p.pair, int64(state), id)
	}
	err := w.c.run("UPDATE pair SET state = ?, ended = ? WHERE id = ?", state, id, p.pair)
	if err == nil {
		err = w.c.run("DELETE FROM pending WHERE queue = ? AND recipient = ? AND pair = ?", m.queue, p.recipient, p.pair)
	}
	return err
}

// flushWaiting stores who waits.
func (w *writer) flushWaiting() error {
	for _, m := range w.waiting {
		for i := range m.pairs {
			p := &m.pairs[i]
			var err error
			switch {
			case !p.stored:
				if err = w.add("pair", p.pair, int64(pending), nil); err == nil {
					err = w.c.run("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?)", m.queue, p.recipient, p.pair, p.first.origin, number(p.arrived), p.last)
				}
			case p.changed:
				err = w.c.run("UPDATE pending SET last = ? WHERE queue = ? AND recipient = ? AND pair = ?", p.last, m.queue, p.recipient, p.pair)
			}
			if err != nil {
				return err
			}
			p.stored, p.changed = true, false
		}
	}
	if len(w.waiting) > maxWaiting {
		clear(w.waiting)
	}
	return w.flushTables("pair")
}

// senderDomain fills in the domain of a sender's address.
func (w *writer) senderDomain(p *where, sender driver.Value) error {
	id, ok := sender.(int64)
	if !ok {
		return nil
	}
	if i := id - w.newBase; i >= 0 {
		p.sender = int64(w.fresh[i].domain)
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
		return bit(w.fresh[i].local == "" && int64(w.fresh[i].domain) == empty), err
	}
	// One table at a time: a join with parameters would be planned anew for each.
	domain, err := w.c.number("SELECT iif(local = '', domain, 0) FROM address WHERE id = ?", id)
	if err != nil || domain == 0 {
		return 0, err
	}
	return w.c.number("SELECT text = '' FROM name WHERE id = ?", domain)
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
	hash := w.messageHash(e.QueueID, origin)
	m, err := w.waitingOf(hash, e.QueueID, origin)
	if err != nil || m == nil {
		return err
	}
	if err := w.flushTables("failure"); err != nil {
		return err
	}
	d := bounce.Delivery{
		Host: e.Host, MTA: e.MTA, Instance: e.Instance, Agent: e.Agent, QueueID: e.QueueID,
		Status: e.Status, Outcome: bounce.Hard, Local: true,
	}
	var p prepared
	w.take(&d, &p)
	at := e.Time.Unix()
	for i := range m.pairs {
		x := &m.pairs[i]
		r, err := w.reply(p.reply, &d, expiredVerdict, p.template, p.provider)
		if err != nil {
			return err
		}
		if err := w.end(m, x, expired, firstExpiry+x.pair); err != nil {
			return err
		}
		// It went where it was tried last, and what else is known stands with
		// its first attempt.
		route, err := w.c.number("SELECT route FROM failure WHERE id = ?", x.last)
		if err != nil {
			return err
		}
		var sender, message, before, client any
		err = w.c.each(func(row []driver.Value) error {
			sender, message, before, client = row[0], row[1], row[2], row[3]
			return errStop
		}, "SELECT sender, message, before, client FROM failure WHERE id = ?", x.pair)
		if err != nil {
			return err
		}
		if route == 0 {
			route = x.first.route
		}
		c := where{at: at, route: route, sender: x.first.sender, origin: origin, kind: r.kind}
		n := cell{n: 1, pairs: bit(reasonOf(r.kind) == bounce.Expired)}
		if n.nulls, err = w.isNull(sender); err != nil {
			return err
		}
		w.count(c, n, 0)
		err = w.c.run("INSERT INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, ?, ?, ?, ?)",
			firstExpiry+x.pair, at, m.queue, x.recipient, sender, route, r.id, message, before, src.num<<offsetBits|e.Offset, client)
		if err != nil {
			return err
		}
	}
	delete(w.waiting, hash)
	return nil
}

// expiredVerdict is the judgement on Postfix's "status=expired".
var expiredVerdict = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}
