package sqlite

import (
	"database/sql/driver"
	"errors"
	"maps"
	"slices"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// The ledger turns attempts into the state of messages and recipients. These are all its
// rules; storetest's model states them once more, in the plainest code, and every engine is
// held against that. The order is that in which lines were read.
//
// A message is known by its origin (logging host, MTA, instance), its queue id and its
// envelope sender, since short queue ids are used again. Attempts are those that count:
// delivered, soft and hard; hand-offs and probes change nothing here.
//
//   - First of message: an attempt of a message that was not seen before. Messages counts
//     these. First of message to a domain: the same for the message and the recipient's
//     domain; what is grouped by domain or relay counts these. The last 65,536 to 131,072
//     messages are remembered (window); an attempt that matches a queued pair is of a
//     message that was seen, however long ago.
//   - Pair: a message and a recipient, from its first soft attempt on. Its id is that of
//     this attempt. It matches a later attempt with the same origin, queue id and recipient
//     whose arrival in the queue is the same but for slack, or not known.
//   - Pending: a pair that no attempt has ended. It is counted at its first attempt, and
//     another soft attempt changes nothing but the last one and its route; a deferral
//     without an attempt (Untried) not even that, once there was an attempt.
//   - Recovered: a delivery ended the pair. It is counted at the delivery, and no longer
//     at the first attempt.
//   - Expired: a hard attempt with this reason ended the pair, or an Expiry (Postfix's
//     "status=expired", which names no recipient) ended all pairs of the message. Then a
//     failure is added for each, where it was tried last. A hard attempt with this reason that ends no pair counts as expired too.
//   - Untried: a deferral without an attempt has the verdict of the last attempt of its
//     pair; where there is none, of the last that was deferred at the recipient, or else
//     at the domain, and not delivered there since (see ledger.deferred).
//   - Hard: any other hard attempt ended the pair.
//   - Removed, discarded, completed: an End ended all pairs of the message. Nothing is
//     added; they are pending no longer.
//   - Known before: the time of the last delivery to the recipient (whatever the message)
//     is kept with each failure. Address.go has the history of recipients.
//   - Stored before: an attempt, expiry or end before its source's position changes nothing.

// endStates is the state of the pairs that are pending when a message ends.
var endStates = map[bounce.EndEvent]int{
	bounce.MessageRemoved:   removed,
	bounce.MessageDiscarded: discarded,
	bounce.MessageCompleted: completed,
}

// A queuedRecipient is a pair that is pending: a row of the table pending, and what of its
// failures is asked for when it ends.
type queuedRecipient struct {
	pair, last int64     // ids of its first and of its last soft attempt; the last deferral where none was an attempt
	tried      int64     // id of the reply to the last; 0: none was an attempt
	recipient  int64     // id of the address
	address    uint64    // the hash by which dictionaries remember it; 0: not known
	arrived    int64     // Unix time at which the message came into the queue; 0: not known
	first      cellPlace // of the first attempt, where it is counted as pending
	route      int64     // of the last attempt

	// What the failure that an expiry adds takes over from the first attempt.
	sender, message, client any
	hash                    int64 // of the message id; see secret.messageHash
	null                    int64 // 1: the sender is the null reverse-path

	stored  bool // there is a row
	changed bool // and the row is out of date
}

// A queuedMessage is the pending pairs of a message. It is kept when none is left: to know
// that spares a look into the database.
type queuedMessage struct {
	queue any // see queueValue
	pairs []queuedRecipient
}

// maxQueued is how many queued messages are remembered; the rest is read again when it is
// asked for.
const maxQueued = 1 << 14

// slack is how far two arrival times of one message may lie apart, in seconds:
// both are a logged time less a rounded delay, and clocks are set. A queue id is
// used again for the same recipient much later.
const slack = 600

// seenWindow is how many messages are remembered as seen.
const seenWindow = 1 << 17

// A ledger holds the state of messages, and counts by it.
type ledger struct {
	dictionaries
	rollups rollups

	seen        *window                   // messages, and messages at a domain, that were seen last
	maybeQueued *bloom                    // of messages, by queuedHash: nobody of one that is not in it is pending
	queued      map[uint64]*queuedMessage // by queuedHash; forgotten ones are read again
	deferred    map[destination]int64     // reply of the last attempt that was deferred there, and not delivered since
}

// reset forgets everything that is not in the database.
func (l *ledger) reset() error {
	if err := l.dictionaries.reset(); err != nil {
		return err
	}
	l.rollups = newRollups()
	l.seen = newWindow(seenWindow)
	l.queued = make(map[uint64]*queuedMessage)
	return errors.Join(l.loadQueued(), l.loadDeferred())
}

func (l *ledger) queuedHash(queue string, origin int64) uint64 {
	return l.hash.num(l.hash.add(30, queue), uint64(origin))
}

// arrival is when a message came into the queue, 0 where that is not known.
func arrival(d *bounce.Delivery) int64 {
	if t := d.Arrived(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// firstSeen reports, as 1 or 0, whether a message has not been seen before, and
// not at this domain. Most messages go to one domain: it stands with the
// message.
func (l *ledger) firstSeen(message uint64, sender, domain int64) (first, toDomain int64) {
	m := l.hash.num(message, uint64(sender))
	seen, firstDomain := l.seen.see(m, uint32(domain))
	switch {
	case !seen:
		return 1, 1
	case firstDomain == uint32(domain):
		return 0, 0
	}
	seen, _ = l.seen.see(l.hash.num(m, uint64(domain)), 0)
	return 0, 1 - bit(seen)
}

// queuedOf finds the pending pairs of a message; nil: there are none. The result is good
// until the next call.
func (l *ledger) queuedOf(hash uint64, queue string, origin int64) (*queuedMessage, error) {
	if !l.maybeQueued.has(hash) {
		return nil, nil
	}
	if m := l.queued[hash]; m != nil {
		return m, nil
	}
	m := &queuedMessage{queue: own(queueValue(queue))}
	c := l.reading("failure", "reply", "pending")
	err := c.Each(func(row []driver.Value) error {
		p := queuedRecipient{pair: num(row[0]), last: num(row[1]), recipient: num(row[2]), arrived: num(row[3]), stored: true}
		p.first = cellPlace{at: num(row[4]), route: num(row[5]), kind: num(row[6]), origin: origin}
		p.sender, p.message, p.client, p.hash = row[7], row[8], row[9], num(row[10])
		m.pairs = append(m.pairs, p)
		return nil
	}, `SELECT p.pair, p.last, p.recipient, p.arrived, f.at, f.route, r.kind, f.sender, f.message, f.client, f.message_hash
		FROM pending AS p JOIN failure AS f ON f.id = p.pair JOIN reply AS r ON r.id = f.reply
		WHERE p.queue = ? AND p.origin = ?`, m.queue, origin)
	for i := range m.pairs {
		p := &m.pairs[i]
		if err == nil {
			err = l.senderOf(p)
		}
		if err == nil {
			err = c.Each(func(row []driver.Value) error {
				p.route, p.tried = num(row[0]), num(row[1])
				return sqlite3.ErrStop
			}, "SELECT route, reply FROM failure WHERE id = ?", p.last)
		}
		if err == nil && p.tried != 0 {
			var try driver.Value
			if try, err = c.One("SELECT last_try FROM reply WHERE id = ?", p.tried); try != nil {
				p.tried = 0
			}
		}
		if p.route == 0 { // pruned
			p.route = p.first.route
		}
	}
	if err != nil {
		return nil, err
	}
	l.queued[hash] = m
	return m, nil
}

// senderOf fills in the domain of the sender, and whether it is the null
// reverse-path. One table at a time: a join with parameters would be planned
// anew for each.
func (l *ledger) senderOf(p *queuedRecipient) error {
	id, ok := p.sender.(int64)
	if !ok {
		return nil
	}
	var local string
	if n := l.addresses.waiting(id); n != nil {
		p.first.sender, local = int64(n.domain), n.local
	} else {
		err := l.reading("address").Each(func(row []driver.Value) error {
			p.first.sender, local = num(row[0]), str(row[1])
			return sqlite3.ErrStop
		}, "SELECT domain, local FROM address WHERE id = ?", id)
		if err != nil {
			return err
		}
	}
	if local != "" {
		return nil
	}
	empty, err := l.name("")
	p.null = bit(p.first.sender == empty)
	return err
}

// matchQueued finds the pair that an attempt belongs to, updates its state, and reports
// whether there was one.
func (l *ledger) matchQueued(hash uint64, id, recipient, route int64, a *store.Attempt, r *reply) (bool, error) {
	m, err := l.queuedOf(hash, a.QueueID, r.origin)
	if err != nil || m == nil {
		return false, err
	}
	found := m.find(recipient, &a.Delivery)
	if found < 0 {
		return false, nil
	}
	p := &m.pairs[found]
	if a.Outcome == bounce.Soft {
		if !a.Untried || p.tried == 0 {
			p.last, p.tried, p.route, p.changed = id, tried(a, r), route, true
		}
		return true, nil
	}
	state := hard
	switch {
	case a.Outcome == bounce.Delivered:
		state = recovered
	case reasonOf(r.kind) == bounce.Expired:
		state = expired
	}
	l.settle(m, p, state, id)
	m.pairs = slices.Delete(m.pairs, found, found+1)
	return true, nil
}

// find finds the pair that an attempt belongs to; -1: there is none.
func (m *queuedMessage) find(recipient int64, d *bounce.Delivery) int {
	arrived, found := arrival(d), -1
	for i := range m.pairs {
		p := &m.pairs[i]
		if p.recipient == recipient && (p.arrived == 0 || arrived == 0 || max(p.arrived-arrived, arrived-p.arrived) <= slack) {
			found = i // else it is another message with the same queue id
		}
	}
	return found
}

// tried is the reply to a deferral that was an attempt; 0: it was none.
func tried(a *store.Attempt, r *reply) int64 {
	if a.Untried {
		return 0
	}
	return r.id
}

// A destination is a domain, or a recipient in it, to which an origin delivers.
type destination struct{ origin, domain, recipient int64 } // recipient 0: the domain

// maxDeferred is how many destinations are remembered.
const maxDeferred = 1 << 16

// noteDeferred notes that an attempt was deferred, or delivered.
func (l *ledger) noteDeferred(a *store.Attempt, at destination, r *reply) {
	domain := destination{at.origin, at.domain, 0}
	switch {
	case a.Outcome == bounce.Delivered && len(l.deferred) > 0:
		delete(l.deferred, at)
		delete(l.deferred, domain)
	case a.Outcome == bounce.Soft && !a.Untried:
		l.noteDeferral(at, r.id, a.Scope)
	}
}

func (l *ledger) noteDeferral(at destination, reply int64, s bounce.Scope) {
	if len(l.deferred) >= maxDeferred {
		clear(l.deferred)
	}
	l.deferred[at] = reply
	if s != bounce.ScopeRecipient {
		l.deferred[destination{at.origin, at.domain, 0}] = reply
	}
}

// loadDeferred reads the destinations at which Exim deferred pending pairs.
func (l *ledger) loadDeferred() error {
	l.deferred = make(map[destination]int64)
	return l.c.Each(func(row []driver.Value) error {
		s, _ := bounce.ParseScope(str(row[4]))
		l.noteDeferral(destination{num(row[0]), num(row[1]), num(row[2])}, num(row[3]), s)
		return nil
	}, `SELECT p.origin, t.domain, p.recipient, r.id, r.scope FROM pending AS p CROSS JOIN origin AS o ON o.id = p.origin AND o.mta = ?
		CROSS JOIN failure AS f ON f.id = p.last JOIN reply AS r ON r.id = f.reply AND r.last_try IS NULL JOIN route AS t ON t.id = f.route
		ORDER BY f.at, f.id`, string(bounce.Exim))
}

// lastTry finds the reply to the last attempt before a deferral that was none; 0: none is
// known.
func (l *ledger) lastTry(a *store.Attempt, p *prepared) (reply int64, err error) {
	origin, err := l.origin(a.Host, a.MTA, a.Instance)
	if err != nil {
		return 0, err
	}
	rcpt, err := l.address(p.recipient, a.Recipient, a.RecipientDomain)
	if err != nil {
		return 0, err
	}
	at := destination{origin, int64(rcpt.domain), int64(rcpt.id)}
	m, err := l.queuedOf(l.queuedHash(a.QueueID, origin), a.QueueID, origin)
	if err != nil {
		return 0, err
	}
	if m != nil {
		if i := m.find(at.recipient, &a.Delivery); i >= 0 && m.pairs[i].tried != 0 {
			return m.pairs[i].tried, nil
		}
	}
	if reply := l.deferred[at]; reply != 0 {
		return reply, nil
	}
	return l.deferred[destination{at.origin, at.domain, 0}], nil
}

// enqueue adds a pair of which an attempt was the first.
func (l *ledger) enqueue(hash uint64, queue any, p queuedRecipient) {
	m := l.queued[hash]
	p.client = own(p.client)
	if m == nil {
		m = &queuedMessage{queue: own(queue)}
		l.queued[hash] = m
		l.maybeQueued.add(hash)
	}
	m.pairs = append(m.pairs, p)
}

// settle ends a pair by the attempt with this id. Remove it from m afterwards.
func (l *ledger) settle(m *queuedMessage, p *queuedRecipient, state int, id int64) {
	l.rollups.count(p.first, cell{pairs: -1}, 0)
	if !p.stored {
		l.add("pair", p.pair, int64(state), id)
		return
	}
	l.add("pair end", int64(state), id, p.pair)
	l.add("pending end", m.queue, p.recipient, p.pair)
}

// expiredVerdict is the judgement on Postfix's "status=expired".
var expiredVerdict = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}

// end stores how a message ended, by a line of a source, and ends its pending pairs if it left
// the queue.
func (l *ledger) end(source int64, e *bounce.End) error {
	origin, err := l.origin(e.Host, e.MTA, e.Instance)
	if err != nil {
		return err
	}
	id := int64(newAttemptID(source, e.Offset))
	l.add("message_end", id, unixTime(e.Time), origin, queueValue(e.QueueID), store.Clean(string(e.Event), store.MaxWord), null(l.by(e.By)))
	state, over := endStates[e.Event]
	if !over {
		return nil
	}
	m, err := l.queuedOf(l.queuedHash(e.QueueID, origin), e.QueueID, origin)
	if err != nil || m == nil {
		return err
	}
	for i := range m.pairs {
		l.settle(m, &m.pairs[i], state, id)
	}
	m.pairs = nil
	return nil
}

// expire ends the pending pairs of a message, by a line of a source: each recipient gets a row.
func (l *ledger) expire(source int64, e *bounce.Expiry) error {
	origin, err := l.origin(e.Host, e.MTA, e.Instance)
	if err != nil {
		return err
	}
	hash := l.queuedHash(e.QueueID, origin)
	m, err := l.queuedOf(hash, e.QueueID, origin)
	if err != nil || m == nil {
		return err
	}
	a := store.Attempt{Delivery: bounce.Delivery{
		Host: e.Host, MTA: e.MTA, Instance: e.Instance, Agent: e.Agent, QueueID: e.QueueID,
		Status: e.Status, Outcome: bounce.Hard, Local: true,
	}}
	var p prepared
	l.prepare(&a, &p)
	at := unixTime(e.Time)
	for i := range m.pairs {
		x := &m.pairs[i]
		r, err := l.reply(p.reply, &a.Delivery, expiredVerdict, p.template, attempted)
		if err != nil {
			return err
		}
		id := int64(attemptID(x.pair).expiry())
		l.settle(m, x, expired, id)
		// It went where it was tried last.
		l.rollups.count(cellPlace{at: at, route: x.route, sender: x.first.sender, origin: origin, kind: r.kind},
			cell{n: 1, pairs: bit(reasonOf(r.kind) == bounce.Expired), nulls: x.null}, 0)
		rcpt, err := l.recipientOf(x)
		if err != nil {
			return err
		}
		l.add("failure", id, at, m.queue, x.recipient, x.sender, x.route, r.id, int64(0), nil, x.message, rcpt.lastBefore(at), int64(newAttemptID(source, e.Offset)), x.client, number(x.hash))
		l.addresses.failedAt(rcpt, at)
	}
	m.pairs = nil
	return nil
}

// recipientOf is the recipient of a pair. The pointer is good until the next call.
func (l *ledger) recipientOf(p *queuedRecipient) (*address, error) {
	if p.address != 0 {
		if a := l.addresses.get(p.address); a != nil {
			return a, nil
		}
	}
	text, err := newTexts(l.reading("address", "name")).address(p.recipient)
	if err != nil {
		return nil, err
	}
	return l.address(l.hash.address(text.whole, text.domain), text.whole, text.domain)
}

// flushQueued writes the pairs that are pending.
func (l *ledger) flushQueued() {
	for _, m := range l.queued {
		for i := range m.pairs {
			p := &m.pairs[i]
			switch {
			case !p.stored:
				l.add("pair", p.pair, int64(pending), nil)
				l.add("pending", m.queue, p.recipient, p.pair, p.first.origin, number(p.arrived), p.last)
			case p.changed:
				l.add("pending last", p.last, m.queue, p.recipient, p.pair)
			}
			p.stored, p.changed = true, false
		}
	}
	if len(l.queued) > maxQueued {
		maps.DeleteFunc(l.queued, func(_ uint64, m *queuedMessage) bool { return len(m.pairs) == 0 })
	}
	if len(l.queued) > maxQueued {
		clear(l.queued)
	}
}

// loadQueued makes the filter that says of most attempts that no pair of their message is
// pending.
func (l *ledger) loadQueued() error {
	n, err := l.c.Number("SELECT count(*) FROM pending")
	if err != nil {
		return err
	}
	l.maybeQueued = newBloom(int(2 * n))
	return l.c.Each(func(row []driver.Value) error {
		l.maybeQueued.add(l.queuedHash(queueText(row[0]), row[1].(int64)))
		return nil
	}, "SELECT queue, origin FROM pending")
}
