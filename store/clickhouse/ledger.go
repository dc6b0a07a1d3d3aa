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

// A ledger says what attempts mean for their messages, as package store/memory does. It
// knows what was stored of the messages that a batch is about, and of the places at which
// mail without an attempt was deferred before. Its rows are a function of the log up to
// their line: however the log is cut into batches, they come out the same.
type ledger struct {
	sources   map[string]*position // of the batches, by their ids
	committed map[string]int64     // their positions when it began
	recalled  map[uint64]bool      // what was asked for
	seq       uint64               // of the next row
	rows      []*row
	pending   map[messageKey]map[string][]*pair // by recipient
	deferred  map[placeKey]bounce.Verdict       // of the last attempt there, deferred and not delivered since
	placed    map[placeKey]bool                 // where attempts were made since it began
	seen      map[uint64]bool                   // messages, and messages to a domain
}

// A messageKey is a queue id: of one message, until the id is used again.
type messageKey struct{ host, mta, instance, queue string }

// A pair is still tried: its first soft failure, and the last that was an attempt; where
// none was, the last.
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

// enqueue adds a pair that is pending.
func (l *ledger) enqueue(q *pair) {
	k := q.first.messageKey()
	if l.pending[k] == nil {
		l.pending[k] = make(map[string][]*pair)
	}
	l.pending[k][q.first.Recipient] = append(l.pending[k][q.first.Recipient], q)
}

// remove takes out the pairs of a row's message and recipient of which that is true.
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

// offset is the position of a source.
func (l *ledger) offset(id string) int64 {
	if p := l.sources[store.Clean(id, store.MaxWord)]; p != nil {
		return p.Offset
	}
	return 0
}

// began is the moment at which it began, as far as its sources go.
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

// slack is how far two arrival times of one message may lie apart, in seconds: both
// are a logged time less a rounded delay, and clocks are set. A queue id is used again
// for the same recipient much later.
const slack = 600

// sameMessage reports whether two attempts with one queue id are of one message.
func sameMessage(a, b *row) bool {
	x, y := a.attempt().Arrived(), b.attempt().Arrived()
	if x.IsZero() || y.IsZero() {
		return true
	}
	diff := x.Unix() - y.Unix()
	return max(diff, -diff) <= slack
}

// stored takes in what is stored of a message, in the order of the log.
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

// message names the message of a row, and the message to its domain.
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

// digest stands for a key in sets that are kept for a whole commit: the texts of a key would
// hold the log in memory that they were read from (of 50,000 attempts some 20 MB).
func digest[K comparable](key K) uint64 { return maphash.Comparable(seed, key) }

var seed = maphash.MakeSeed()

// write keeps a row.
func (l *ledger) write(r *row) {
	r.Precedence = math.MaxUint64 - l.seq
	l.seq++
	l.rows = append(l.rows, r)
}

// over ends a pair, since a line says so.
func (l *ledger) over(q *pair, source string, line int64) {
	e := *q.first
	e.Outcome, e.ToldBy, e.Line = ended, source, line
	l.write(&e)
}

// append takes in a batch.
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
		// A line that was repeated may reach past the position.
		l.attempt(rowOf(a, min(a.Offset, ends[a.Source]-1)))
	}
	for _, id := range slices.Sorted(maps.Keys(events)) {
		for i := range events[id] {
			l.event(&events[id][i])
		}
	}
}

// event takes in what a line says of a message as a whole.
func (l *ledger) event(e *store.Event) {
	if e.Expiry != nil {
		l.expire(e.Expiry)
	} else {
		l.end(e.End)
	}
}

// attempt takes in an attempt.
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

// place notes where an attempt was deferred, or delivered; one that was recalled is older
// than those that the ledger took in. Postfix logs no deferral without an attempt.
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

// of takes out the pairs of a message, in the order of their first attempts.
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

// end ends the pairs of a message that has left the queue: they are pending no longer, and
// nothing is known of how they ended.
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

// expire ends the pairs of a message whose time in the queue has run out: each becomes
// a hard failure where it was tried last.
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

// expired is the judgement on a message that expired.
var expired = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}
