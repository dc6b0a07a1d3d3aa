package sqlite

import (
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// The ledger derives the state of messages and recipients from attempts. These are all its
// rules. Package store/memory states them again in the simplest code, and every engine is
// compared with it. Attempts are taken in the order in which their lines were read.
//
// A message is identified by its origin (logging host, MTA, instance), its queue id and its
// envelope sender, since short queue ids are reused. Attempts are those that count:
// delivered, soft and hard. Hand-offs and probes change nothing here.
//
//   - First of message: an attempt of a message that was not seen before. Messages counts
//     these. First of message to a domain: the same for the message and the recipient's
//     domain; counts by domain or relay count these. The last 65,536 to 131,072 messages
//     are remembered (window). An attempt that matches a pending pair belongs to a message
//     that was seen, however long ago.
//   - Pair: a message and a recipient, from its first soft attempt on. Its id is the id of
//     that attempt. It matches a later attempt with the same origin, queue id and recipient
//     if the arrival times differ by at most slack or one of them is not known.
//   - Pending: a pair that no attempt has ended. It is counted at its first attempt.
//     Another soft attempt changes only its last attempt and route. A deferral without an
//     attempt (Untried) changes neither once there was an attempt.
//   - Recovered: a delivery ended the pair. It is counted at the delivery, and no longer
//     at the first attempt.
//   - Expired: a hard attempt with this reason ended the pair, or an Expiry (Postfix's
//     "status=expired", which names no recipient) ended all pairs of the message. An Expiry
//     adds a failure for each pair, with the route of its last attempt. A hard attempt with
//     this reason that ends no pair counts as expired too.
//   - Untried: a deferral without an attempt has the verdict of the last attempt of its
//     pair. If there is none, it has the verdict of the last attempt that was deferred for
//     the recipient, or else for the domain, with no delivery there since (see
//     ledger.deferred).
//   - Hard: any other hard attempt ended the pair.
//   - Removed, discarded, completed: an End ended all pairs of the message. Nothing is
//     added; the pairs are no longer pending.
//   - Known before: the time of the last delivery to the recipient, of any message, is
//     stored with each failure. The history of recipients is in address.go.
//   - Stored before: an attempt, expiry or end before the position of its source changes
//     nothing.

// endStates maps an event that ends a message to the state of its pending pairs.
var endStates = map[bounce.EndEvent]int{
	bounce.MessageRemoved:   removed,
	bounce.MessageDiscarded: discarded,
	bounce.MessageCompleted: completed,
}

// A queuedRecipient is a pending pair: a row of the table pending, and the columns of its first
// failure that are needed when the pair ends.
type queuedRecipient struct {
	pair, last int64     // ids of its first and of its last soft attempt, or of the last deferral if none was an attempt
	tried      int64     // id of the reply to the last attempt; 0: no attempt was made
	recipient  int64     // id of the address
	address    uint64    // its hash in dictionaries; 0: not known
	arrived    int64     // Unix time of arrival in the queue; 0: not known
	first      cellPlace // of the first attempt, which is counted there as pending
	route      int64     // of the last attempt

	// The failure added by an expiry copies these from the first attempt.
	sender, message, client any
	hash                    int64 // of the Message-ID; see secret.messageHash
	null                    int64 // 1: the sender is the null reverse-path

	stored  bool // there is a row in the table
	changed bool // the row is out of date
}

// A queuedMessage is the pending pairs of a message. It is kept even without pairs, which saves a
// query for each later attempt.
type queuedMessage struct {
	queue any // see queueValue
	pairs []queuedRecipient
}

// maxQueued is how many queued messages are kept in memory. The others are read again when needed.
const maxQueued = 1 << 14

// slack is the largest difference, in seconds, between two arrival times of one message. An arrival
// time is a logged time minus a rounded delay, and a clock may have been set. A queue id is reused
// for the same recipient much later.
const slack = 600

// seenWindow is how many messages are remembered as seen.
const seenWindow = 1 << 17

// A ledger holds the state of messages and updates the counts.
type ledger struct {
	dictionaries
	rollups rollups

	seen        *window                   // messages, and messages to a domain, seen last
	maybeQueued *bloom                    // queuedHash of messages: a message not in the filter has no pending pair
	queued      map[uint64]*queuedMessage // by queuedHash; missing ones are read again
	deferred    map[destinationKey]int64  // the reply to the last attempt deferred there, if none was delivered there since
}

// reset clears the ledger, and reads again what the database holds.
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

// arrival returns the time at which a message arrived in the queue; 0: not known. It follows from
// the time and the delay as they are stored, so it is the same in a copy of the database.
func arrival(d *bounce.Delivery) int64 {
	stored := bounce.Delivery{Time: d.Time.Truncate(time.Second), Delay: store.RoundDelay(d.Delay)}
	if t := stored.Arrived(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// firstSeen returns 1 if a message has not been seen before, and 1 if it has not been seen with
// this domain; otherwise 0. Most messages go to one domain, so the window keeps the first domain
// with the message.
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

// queuedOf returns the pending pairs of a message; nil: there are none. The result is valid until
// the next call.
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

// senderOf sets the domain of the sender, and whether it is the null sender. It queries one table
// at a time: a join with parameters would be planned again for each call.
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

// matchQueued finds the pair of an attempt, updates its state, and reports whether there was one.
func (l *ledger) matchQueued(hash uint64, id, recipient, route int64, a *store.Attempt, r *replyRow) (bool, error) {
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

// find returns the index of the pair of an attempt; -1: there is none.
func (m *queuedMessage) find(recipient int64, d *bounce.Delivery) int {
	arrived, found := arrival(d), -1
	for i := range m.pairs {
		p := &m.pairs[i]
		if p.recipient == recipient && (p.arrived == 0 || arrived == 0 || max(p.arrived-arrived, arrived-p.arrived) <= slack) {
			found = i // otherwise it is another message with the same queue id
		}
	}
	return found
}

// tried returns the id of the reply to a soft attempt; 0: the deferral was no attempt.
func tried(a *store.Attempt, r *replyRow) int64 {
	if a.Untried {
		return 0
	}
	return r.id
}

// A destinationKey is a domain, or a recipient in it, to which an origin delivers.
type destinationKey struct{ origin, domain, recipient int64 } // recipient 0: the domain

// maxDeferred is how many destinations are kept in memory.
const maxDeferred = 1 << 16

// noteDeferred records that an attempt was deferred or delivered.
func (l *ledger) noteDeferred(a *store.Attempt, at destinationKey, r *replyRow) {
	domain := destinationKey{at.origin, at.domain, 0}
	switch {
	case a.Outcome == bounce.Delivered && len(l.deferred) > 0:
		delete(l.deferred, at)
		delete(l.deferred, domain)
	case a.Outcome == bounce.Soft && !a.Untried:
		l.noteDeferral(at, r.id, a.Scope)
	}
}

func (l *ledger) noteDeferral(at destinationKey, reply int64, s bounce.Scope) {
	if len(l.deferred) >= maxDeferred {
		clear(l.deferred)
	}
	l.deferred[at] = reply
	if s != bounce.ScopeRecipient {
		l.deferred[destinationKey{at.origin, at.domain, 0}] = reply
	}
}

// loadDeferred reads the destinations at which Exim deferred pending pairs.
func (l *ledger) loadDeferred() error {
	l.deferred = make(map[destinationKey]int64)
	return l.c.Each(func(row []driver.Value) error {
		s, _ := bounce.ParseScope(str(row[4]))
		l.noteDeferral(destinationKey{num(row[0]), num(row[1]), num(row[2])}, num(row[3]), s)
		return nil
	}, `SELECT p.origin, t.domain, p.recipient, r.id, r.scope FROM pending AS p CROSS JOIN origin AS o ON o.id = p.origin AND o.mta = ?
		CROSS JOIN failure AS f ON f.id = p.last JOIN reply AS r ON r.id = f.reply AND r.last_try IS NULL JOIN route AS t ON t.id = f.route
		ORDER BY f.at, f.id`, string(bounce.Exim))
}

// lastTry finds the reply to the last attempt before a deferral without an attempt; 0: not known.
func (l *ledger) lastTry(a *store.Attempt, p *prepared) (reply int64, err error) {
	origin, err := l.origin(a.Host, a.MTA, a.Instance)
	if err != nil {
		return 0, err
	}
	rcpt, err := l.address(p.recipient, a.Recipient, a.RecipientDomain)
	if err != nil {
		return 0, err
	}
	at := destinationKey{origin, int64(rcpt.domain), int64(rcpt.id)}
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
	return l.deferred[destinationKey{at.origin, at.domain, 0}], nil
}

// enqueue adds a pair with its first attempt.
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

// end stores the end of a message, as logged by a source, and ends the pending pairs of the message
// if it left the queue.
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

// expire ends the pending pairs of a message, as logged by a source. It adds a failure for each
// recipient.
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
		// The failure counts for the route of the last attempt.
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

// recipientOf returns the recipient of a pair. The pointer is valid until the next call.
func (l *ledger) recipientOf(p *queuedRecipient) (*addressRow, error) {
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

// flushQueued writes the pending pairs.
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

// loadQueued builds the filter that rules out a pending pair for most attempts.
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
