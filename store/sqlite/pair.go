package sqlite

import (
	"cmp"
	"database/sql/driver"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
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

// Cells are what a transaction adds to one rollup.
type cells struct{ *cache[keyedCell] }

type keyedCell struct {
	key cellKey
	cell
}

func newCells() cells { return cells{newCache[keyedCell](math.MaxInt, false)} }

func (c cells) add(key cellKey, n cell) {
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

// appendSorted appends the cells in the order of their keys.
func (c cells) appendSorted(list []keyedCell) []keyedCell {
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
	w.senderCells.add(newCellKey(c.at/day, c.sender, c.kind), n)
	w.originCells.add(newCellKey(c.at/hour, c.origin, c.kind), n)
	n.messages = firstToDomain
	w.routeCells.add(newCellKey(c.at/day, c.route, c.kind), n)
}

// A waiting is a message and a recipient that met a soft failure and has not
// ended: a row of the table pending, and what else is asked of it.
type waiting struct {
	pair, last int64 // ids of its first and of its last soft attempt
	recipient  int64
	arrived    int64 // when the message came into the queue; 0: not known
	first      where // of the first attempt
	route      int64 // of the last

	// What a row that ends it takes over from the first attempt.
	sender, message, before, client any
	null                            int64 // 1: the sender is the null reverse-path

	stored  bool // the row is there
	changed bool // and not up to date
}

// A message's waiting recipients. None are left where it has ended: to know that
// spares a look into the database.
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
	n, err := w.c.Number("SELECT count(*) FROM pending")
	if err != nil {
		return err
	}
	w.pending = newBloom(int(2 * n))
	return w.c.Each(func(row []driver.Value) error {
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
	m := &waitingMessage{queue: own(queueValue(queue))}
	w.flushTables("failure", "reply", "pending", "pending_last", "pending_end")
	err := w.c.Each(func(row []driver.Value) error {
		p := waiting{pair: num(row[0]), last: num(row[1]), recipient: num(row[2]), arrived: num(row[3]), stored: true}
		p.first = where{at: num(row[4]), route: num(row[5]), kind: num(row[6]), origin: origin}
		p.sender, p.message, p.before, p.client = row[7], row[8], row[9], row[10]
		m.pairs = append(m.pairs, p)
		return nil
	}, `SELECT p.pair, p.last, p.recipient, p.arrived, f.at, f.route, r.kind, f.sender, f.message, f.before, f.client
		FROM pending AS p JOIN failure AS f ON f.id = p.pair JOIN reply AS r ON r.id = f.reply
		WHERE p.queue = ? AND p.origin = ?`, m.queue, origin)
	for i := range m.pairs {
		p := &m.pairs[i]
		if err == nil {
			err = w.senderOf(p)
		}
		if err == nil {
			p.route, err = w.c.Number("SELECT route FROM failure WHERE id = ?", p.last)
		}
		if p.route == 0 { // pruned
			p.route = p.first.route
		}
	}
	if err != nil {
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
func (w *writer) meet(hash uint64, id, recipient, route int64, a *store.Attempt, r *reply) (bool, error) {
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
		p.last, p.route, p.changed = id, route, true
		return true, nil
	}
	state := hard
	switch {
	case a.Outcome == bounce.Delivered:
		state = recovered
	case reasonOf(r.kind) == bounce.Expired:
		state = expired
	}
	w.end(m, p, state, id)
	m.pairs = slices.Delete(m.pairs, found, found+1)
	return true, nil
}

// wait notes that an attempt was the first of a recipient that now waits.
func (w *writer) wait(hash uint64, queue any, p waiting) {
	m := w.waiting[hash]
	p.client = own(p.client)
	if m == nil {
		m = &waitingMessage{queue: own(queue)}
		w.waiting[hash] = m
		w.pending.add(hash)
	}
	m.pairs = append(m.pairs, p)
}

// own copies a text, which else would hold on to all the lines that were read with
// it.
func own(v any) any {
	if s, ok := v.(string); ok {
		return strings.Clone(s)
	}
	return v
}

// arrival is when a message came into the queue, 0 where that is not known.
func arrival(d *bounce.Delivery) int64 {
	if t := d.Arrived(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// end ends what waits.
func (w *writer) end(m *waitingMessage, p *waiting, state int, id int64) {
	w.count(p.first, cell{pairs: -1}, 0)
	if !p.stored {
		w.add("pair", p.pair, int64(state), id)
		return
	}
	w.add("pair_end", int64(state), id, p.pair)
	w.add("pending_end", m.queue, p.recipient, p.pair)
}

// flushWaiting stores who waits.
func (w *writer) flushWaiting() {
	for _, m := range w.waiting {
		for i := range m.pairs {
			p := &m.pairs[i]
			switch {
			case !p.stored:
				w.add("pair", p.pair, int64(pending), nil)
				w.add("pending", m.queue, p.recipient, p.pair, p.first.origin, number(p.arrived), p.last)
			case p.changed:
				w.add("pending_last", p.last, m.queue, p.recipient, p.pair)
			}
			p.stored, p.changed = true, false
		}
	}
	if len(w.waiting) > maxWaiting {
		maps.DeleteFunc(w.waiting, func(_ uint64, m *waitingMessage) bool { return len(m.pairs) == 0 })
	}
	if len(w.waiting) > maxWaiting {
		clear(w.waiting)
	}
}

// senderOf fills in the domain of the sender, and whether it is the null
// reverse-path. One table at a time: a join with parameters would be planned
// anew for each.
func (w *writer) senderOf(p *waiting) error {
	id, ok := p.sender.(int64)
	if !ok {
		return nil
	}
	var local string
	if i := id - w.newBase; i >= 0 {
		p.first.sender, local = int64(w.fresh[i].domain), w.fresh[i].local
	} else {
		w.flushTables("address")
		err := w.c.Each(func(row []driver.Value) error {
			p.first.sender, local = num(row[0]), str(row[1])
			return sqlite3.Stop
		}, "SELECT domain, local FROM address WHERE id = ?", id)
		if err != nil {
			return err
		}
	}
	if local != "" {
		return nil
	}
	empty, err := w.name("")
	p.null = bit(p.first.sender == empty)
	return err
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
	a := store.Attempt{Delivery: bounce.Delivery{
		Host: e.Host, MTA: e.MTA, Instance: e.Instance, Agent: e.Agent, QueueID: e.QueueID,
		Status: e.Status, Outcome: bounce.Hard, Local: true,
	}}
	var p prepared
	w.d.take(&a, &p)
	at := unixTime(e.Time)
	for i := range m.pairs {
		x := &m.pairs[i]
		r, err := w.reply(p.reply, &a.Delivery, expiredVerdict, p.template)
		if err != nil {
			return err
		}
		id := int64(attemptID(x.pair).expiry())
		w.end(m, x, expired, id)
		// It went where it was tried last.
		w.count(where{at: at, route: x.route, sender: x.first.sender, origin: origin, kind: r.kind},
			cell{n: 1, pairs: bit(reasonOf(r.kind) == bounce.Expired), nulls: x.null}, 0)
		w.add("failure", id, at, m.queue, x.recipient, x.sender, x.route, r.id, int64(0), nil, x.message, x.before, int64(newAttemptID(src.num, e.Offset)), x.client)
	}
	m.pairs = nil
	return nil
}

// expiredVerdict is the judgement on Postfix's "status=expired".
var expiredVerdict = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}
