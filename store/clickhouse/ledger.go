package clickhouse

import (
	"cmp"
	"hash/maphash"
	"maps"
	"math"
	"slices"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A ledger derives the state of messages from attempts, by the rules of package store/memory. It
// holds the stored attempts of the messages in a batch, and for deferrals without an attempt the
// last deferrals at their destinations. Its rows depend only on the log up to their line, so they
// are the same however the log is divided into batches.
type ledger struct {
	sources   map[string]*position // of the batches, by id
	committed map[string]int64     // stored positions when the ledger was created
	recalled  map[uint64]bool      // digests of the keys already read from the database
	seq       uint64               // of the next row
	rows      []*row
	pending   map[messageKey]map[string][]*pair // by message and recipient
	deferred  map[placeKey]bounce.Verdict       // of the last attempt deferred there, if none was delivered there since
	placed    map[placeKey]bool                 // destinations of attempts appended since the ledger was created
	seen      map[uint64]bool                   // messages, and messages to a domain
}

// A messageKey identifies a message by its queue id, until the id is reused.
type messageKey struct{ host, mta, instance, queue string }

// A pair is a pending pair: its first soft failure and its last attempt; if no attempt was made,
// its last deferral.
type pair struct{ first, last *row }

// A placeKey is a domain, or a recipient in it, to which an MTA delivers.
type placeKey struct{ host, mta, instance, domain, recipient string }

func (r *row) places() (recipient, domain placeKey) {
	domain = placeKey{r.Host, r.MTA, r.Instance, r.RecipientDomain, ""}
	recipient = domain
	recipient.recipient = r.Recipient
	return recipient, domain
}

func (r *row) messageKey() messageKey { return messageKey{r.Host, r.MTA, r.Instance, r.QueueID} }

// enqueue adds a pending pair.
func (l *ledger) enqueue(q *pair) {
	k := q.first.messageKey()
	if l.pending[k] == nil {
		l.pending[k] = make(map[string][]*pair)
	}
	l.pending[k][q.first.Recipient] = append(l.pending[k][q.first.Recipient], q)
}

// remove removes the pairs of a row's message and recipient for which over returns true.
func (l *ledger) remove(r *row, over func(q *pair) bool) {
	if of := l.pending[r.messageKey()]; of[r.Recipient] != nil {
		of[r.Recipient] = slices.DeleteFunc(of[r.Recipient], over)
	}
}

func newLedger(seq uint64) *ledger {
	return &ledger{
		seq: seq, sources: make(map[string]*position), committed: make(map[string]int64), recalled: make(map[uint64]bool),
		pending: make(map[messageKey]map[string][]*pair), deferred: make(map[placeKey]bounce.Verdict), placed: make(map[placeKey]bool), seen: make(map[uint64]bool),
	}
}

// offset returns the position of a source.
func (l *ledger) offset(id string) int64 {
	if p := l.sources[store.Clean(id, store.MaxWord)]; p != nil {
		return p.Offset
	}
	return 0
}

// began returns the moment at which the ledger was created, with its sources only.
func (l *ledger) began() *moment {
	m := &moment{since: math.MaxUint64}
	for _, id := range slices.Sorted(maps.Keys(l.committed)) {
		m.moved = append(m.moved, &position{Source: store.Source{ID: id, Offset: l.committed[id]}})
	}
	return m
}

const (
	delivered = "delivered"
	soft      = "soft"
	hard      = "hard"
)

func (r *row) counts() bool { return r.Outcome == delivered || r.Outcome == soft || r.Outcome == hard }

// slack is the largest difference, in seconds, between two arrival times of one message. An arrival
// time is a logged time minus a rounded delay, and a clock may have been set. A queue id is reused
// for the same recipient much later.
const slack = 600

// sameMessage reports whether two attempts with the same queue id belong to one message.
func sameMessage(a, b *row) bool {
	x, y := a.attempt().Arrived(), b.attempt().Arrived()
	if x.IsZero() || y.IsZero() {
		return true
	}
	diff := x.Unix() - y.Unix()
	return max(diff, -diff) <= slack
}

// stored adds a stored row of a message. Rows are added in the order of the log.
func (l *ledger) stored(r *row) {
	switch {
	case r.Outcome == ended:
		l.remove(r, func(q *pair) bool { return q.first.Source == r.Source && q.first.Offset == r.Offset })
	case r.Outcome == soft && r.Pair:
		l.enqueue(&pair{r, r})
	case r.Outcome == soft && r.PairOffset >= 0:
		for _, q := range l.pending[r.messageKey()][r.Recipient] {
			if q.first.Source == r.PairSource && q.first.Offset == r.PairOffset && (!r.Untried || q.last.Untried) {
				q.last = r
			}
		}
	}
	if r.counts() {
		message, domain := r.message()
		l.seen[message], l.seen[domain] = true, true
	}
}

// message returns digests of the message of a row, and of the message with its domain.
func (r *row) message() (message, domain uint64) {
	type sent struct {
		messageKey
		sender, domain string
		known          bool
	}
	x := sent{r.messageKey(), r.Sender, "", r.SenderKnown}
	message = digest(x)
	x.domain = "@" + r.RecipientDomain
	return message, digest(x)
}

// digest returns a hash of a key, for sets that are kept during a whole commit. The texts of the
// keys would keep the log that they are part of in memory (some 20 MB for 50,000 attempts).
func digest[K comparable](key K) uint64 { return maphash.Comparable(seed, key) }

var seed = maphash.MakeSeed()

// write adds a row.
func (l *ledger) write(r *row) {
	r.Precedence = math.MaxUint64 - l.seq
	l.seq++
	l.rows = append(l.rows, r)
}

// over adds a row that ends a pair, as logged by a line.
func (l *ledger) over(q *pair, source string, line int64) {
	e := *q.first
	e.Outcome, e.ToldBy, e.Line = ended, source, line
	l.write(&e)
}

// append adds a batch.
func (l *ledger) append(b *store.Batch) {
	events := b.Events()
	ends := make(map[string]int64) // position after the batch, by source
	for i := range b.Sources {
		ends[b.Sources[i].ID] = b.Sources[i].Offset
	}
	for i := range b.Attempts {
		a := &b.Attempts[i]
		if a.Offset < l.offset(a.Source) {
			continue
		}
		for list := events[a.Source]; len(list) > 0 && list[0].Offset < a.Offset; list = events[a.Source] {
			l.event(&list[0])
			events[a.Source] = list[1:]
		}
		// A repeated line may reach past the position.
		l.attempt(rowOf(a, min(a.Offset, ends[a.Source]-1)))
	}
	for _, id := range slices.Sorted(maps.Keys(events)) {
		for i := range events[id] {
			l.event(&events[id][i])
		}
	}
}

// event applies a line about a whole message.
func (l *ledger) event(e *store.Event) {
	if e.Expiry != nil {
		l.expire(e.Expiry)
	} else {
		l.end(e.End)
	}
}

// attempt applies an attempt.
func (l *ledger) attempt(r *row) {
	r.N = 0
	if r.counts() {
		var q *pair
		for _, x := range l.pending[r.messageKey()][r.Recipient] {
			if sameMessage(x.first, r) {
				q = x
			}
		}
		if r.Untried {
			l.inherit(r, q)
		}
		switch {
		case q != nil && r.Outcome == soft:
			r.PairSource, r.PairOffset = q.first.PairSource, q.first.PairOffset
			if !r.Untried || q.last.Untried {
				q.last = r
			}
		case q != nil:
			l.over(q, r.ToldBy, r.Line)
			l.remove(r, func(x *pair) bool { return x == q })
			r.Pair = r.Outcome == delivered
		case r.Outcome == soft:
			r.Pair, r.PairSource, r.PairOffset = true, r.Source, r.Offset
			l.enqueue(&pair{r, r})
		}
		if r.Outcome == hard {
			r.Pair = r.Reason == bounce.Expired.String()
		}
		if q == nil {
			message, domain := r.message()
			r.First, r.ToDomain = !l.seen[message], !l.seen[domain]
			l.seen[message], l.seen[domain] = true, true
		}
	}
	l.write(r)
	l.place(r, false)
}

// inherit gives a deferral without an attempt the verdict of the last attempt.
func (l *ledger) inherit(r *row, q *pair) {
	if q != nil && !q.last.Untried {
		r.setVerdict(q.last.verdict())
		return
	}
	recipient, domain := r.places()
	v, known := l.deferred[recipient]
	if !known {
		v, known = l.deferred[domain]
	}
	if known {
		r.setVerdict(v)
	}
}

// place records that an attempt was deferred, or delivered. A recalled row is older than the rows
// appended to the ledger. Postfix logs no deferral without an attempt.
func (l *ledger) place(r *row, recalled bool) {
	if r.MTA != string(bounce.Exim) {
		return
	}
	note := func(k placeKey) {
		switch {
		case recalled && l.placed[k]:
			return
		case r.Outcome == delivered:
			delete(l.deferred, k)
		default:
			l.deferred[k] = r.verdict()
		}
		l.placed[k] = l.placed[k] || !recalled
	}
	recipient, domain := r.places()
	switch {
	case r.Outcome == delivered:
		note(recipient)
		note(domain)
	case r.Outcome == soft && !r.Untried:
		note(recipient)
		if r.Scope != bounce.ScopeRecipient.String() {
			note(domain)
		}
	}
}

// of removes and returns the pairs of a message, in the order of their first attempts.
func (l *ledger) of(host string, mta bounce.MTA, instance, queue string) (list []*pair) {
	k := messageKey{host, string(mta), instance, queue}
	for _, pairs := range l.pending[k] {
		list = append(list, pairs...)
	}
	delete(l.pending, k)
	slices.SortFunc(list, func(a, b *pair) int {
		return cmp.Or(cmp.Compare(b.first.Precedence, a.first.Precedence), cmp.Compare(a.first.Recipient, b.first.Recipient))
	})
	return list
}

// end ends the pairs of a message that left the queue. They are no longer pending; the log does not
// say how they ended.
func (l *ledger) end(x *bounce.End) {
	if x.Offset < l.offset(x.Source) {
		return
	}
	switch x.Event {
	case bounce.MessageRemoved, bounce.MessageDiscarded, bounce.MessageCompleted:
	default:
		return
	}
	for _, q := range l.of(store.Clean(x.Host, store.MaxWord), x.MTA, store.Clean(x.Instance, store.MaxName), store.Clean(x.QueueID, store.MaxWord)) {
		l.over(q, store.Clean(x.Source, store.MaxWord), x.Offset)
	}
}

// expire ends the pairs of a message at the end of its queue lifetime. Each becomes a hard failure
// at the destination of its last attempt.
func (l *ledger) expire(x *bounce.Expiry) {
	if x.Offset < l.offset(x.Source) {
		return
	}
	for _, q := range l.of(store.Clean(x.Host, store.MaxWord), x.MTA, store.Clean(x.Instance, store.MaxName), store.Clean(x.QueueID, store.MaxWord)) {
		l.over(q, store.Clean(x.Source, store.MaxWord), x.Offset)
		first, last := q.first, q.last
		r := rowOf(&store.Attempt{
			Delivery: bounce.Delivery{
				Source: x.Source, Offset: x.Offset, Time: x.Time, Host: x.Host, MTA: x.MTA, Instance: x.Instance, Agent: x.Agent,
				QueueID: x.QueueID, MessageID: first.MessageID, Sender: first.Sender, SenderDomain: first.SenderDomain, SenderKnown: first.SenderKnown,
				Recipient: first.Recipient, RecipientDomain: first.RecipientDomain,
				RelayHost: last.RelayHost, RelayIP: last.RelayIP, RelayPort: last.RelayPort,
				ClientIP: first.ClientIP, SASLUser: first.SASLUser,
				Status: x.Status, Outcome: bounce.Hard, Local: true, Delay: -1,
			},
			Verdict: expired,
			N:       1 + first.Offset,
		}, x.Offset)
		r.Pair = true
		l.write(r)
	}
}

// expired is the verdict on an expired message.
var expired = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}
