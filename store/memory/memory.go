// Package memory keeps delivery attempts in memory, with the simplest code. It is the specification
// of a store's counts: which attempt is the first of its message, which pairs are recovered,
// pending or expired, and when a recipient accepted mail before and after a failure. Other engines
// are compared with it; tests use it.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A DB is a store in memory.
type DB struct {
	mu     sync.Mutex
	l      *ledger
	moment *moment // of l; nil: not computed yet
	notes  map[string][]byte
	closed bool
}

var (
	_ store.Store = (*DB)(nil)
	_ store.Noter = (*DB)(nil)
)

// Open returns an empty store.
func Open() *DB { return &DB{l: newLedger(), notes: make(map[string][]byte)} }

var errClosed = errors.New("the store is closed")

// Write returns a Writer.
func (d *DB) Write(context.Context) (store.Writer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	return &writer{d: d}, nil
}

// A writer keeps batches until they are committed.
type writer struct {
	d       *DB
	batches []store.Batch
}

func (w *writer) Resume(context.Context) (*store.Resume, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.d.closed {
		return nil, errClosed
	}
	m := w.d.now()
	out := &store.Resume{Sources: slices.Clone(m.sources), Messages: slices.Clone(m.messages)}
	slices.Reverse(out.Messages)
	return out, nil
}

func (w *writer) Append(ctx context.Context, b *store.Batch) error {
	err := ctx.Err()
	if err == nil {
		err = b.CheckPositions()
	}
	if err != nil {
		w.batches = nil
		return err
	}
	w.batches = append(w.batches, b.Clone()) // the caller may reuse the lists
	return nil
}

func (w *writer) Commit(ctx context.Context) error {
	batches := w.batches
	w.batches = nil
	if err := ctx.Err(); err != nil {
		return err
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.d.closed {
		return errClosed
	}
	w.d.moment = nil
	for i := range batches {
		w.d.l.append(&batches[i])
	}
	return nil
}

func (w *writer) Rollback() error {
	w.batches = nil
	return nil
}

func (w *writer) Close() error { return w.Rollback() }

// Read returns a Reader of the last commit.
func (d *DB) Read(context.Context) (store.Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	return &reader{d.now()}, nil
}

// now returns the stored data. The caller holds the lock.
func (d *DB) now() *moment {
	if d.moment == nil {
		d.moment = d.l.now()
	}
	return d.moment
}

// Note returns the value of a key.
func (d *DB) Note(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notes[key]), nil
}

// SetNote sets the value of a key.
func (d *DB) SetNote(_ context.Context, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes[key] = slices.Clone(value)
	return nil
}

// SwapNote replaces an old value of a key.
func (d *DB) SwapNote(_ context.Context, key string, old, new []byte) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.notes[key]; (now == nil) != (old == nil) || !bytes.Equal(now, old) {
		return false, nil
	}
	d.notes[key] = slices.Clone(new)
	return true, nil
}

// Close closes the store. Its Readers stay usable.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// An event is an attempt with its effect on its message and its recipient.
type event struct {
	store.Attempt
	source int // index of the source, in the order of first use

	// pair: the attempt counts for the state of its (message, recipient) pair. Delivered: a soft
	// failure came before. Soft: this is the first attempt of a pending pair. Hard: the message
	// expired.
	pair bool
	// The first attempt of its message, and of its message to this domain.
	first, toDomain bool
	before, after   time.Time // deliveries to the recipient of a failure: see store.Refusal
}

// A ledger holds all attempts, and the state of messages and recipients.
type ledger struct {
	events    []event
	sources   []store.Source
	index     map[string]int // of sources
	messages  []bounce.Message
	skipped   map[string]int64
	unparsed  []store.Unparsed
	ends      []bounce.End
	pending   map[pairKey][]*queued
	deferred  map[placeKey]int       // the last attempt deferred there, if none was delivered there since
	seen      map[string]bool        // messages, and messages to a domain
	failures  map[string][]int       // by recipient
	delivered map[string][]time.Time // by recipient, in the order in which lines were read
}

// A pairKey is a queue id and a recipient. It identifies a pair until the queue id is reused.
type pairKey struct{ host, mta, instance, queue, recipient string }

// queued is a pending pair: its first soft failure and its last attempt; if no attempt was made,
// its last deferral.
type queued struct{ first, last int }

// A placeKey is a domain, or a recipient in it, to which an MTA delivers.
type placeKey struct{ host, mta, instance, domain, recipient string }

func placesOf(d *bounce.Delivery) (recipient, domain placeKey) {
	domain = placeKey{d.Host, string(d.MTA), d.Instance, d.RecipientDomain, ""}
	recipient = domain
	recipient.recipient = d.Recipient
	return recipient, domain
}

func newLedger() *ledger {
	return &ledger{
		index: make(map[string]int), skipped: make(map[string]int64), pending: make(map[pairKey][]*queued), deferred: make(map[placeKey]int),
		seen: make(map[string]bool), failures: make(map[string][]int), delivered: make(map[string][]time.Time),
	}
}

// append adds a batch. Lines before the position of their source are left out, so a batch may be
// appended twice.
func (l *ledger) append(b *store.Batch) {
	behind, ahead := 0, 0
	for i := range b.Sources {
		at := l.position(b.Sources[i].ID)
		switch {
		case b.Sources[i].Offset < at:
			behind++
		case b.Sources[i].Offset > at || at == 0:
			ahead++
		}
	}
	if behind > 0 && ahead == 0 {
		return // all of it is stored already
	}
	for i := range b.Sources {
		if id := b.Sources[i].ID; l.find(id) == nil {
			l.index[id] = len(l.sources)
			l.sources = append(l.sources, store.Source{ID: store.Clean(id, store.MaxWord)})
		}
	}
	events := b.Events()
	for i := range b.Attempts {
		a := &b.Attempts[i]
		if a.Offset < l.position(a.Source) {
			continue
		}
		for list := events[a.Source]; len(list) > 0 && list[0].Offset < a.Offset; list = events[a.Source] {
			l.event(&list[0])
			events[a.Source] = list[1:]
		}
		l.attempt(a)
	}
	for _, id := range slices.Sorted(maps.Keys(events)) {
		for i := range events[id] {
			l.event(&events[id][i])
		}
	}
	l.queue(b)
	if ahead > 0 || len(b.Sources) == 0 {
		for _, s := range b.Skipped {
			l.skipped[store.Clean(s.Program, store.MaxWord)] += s.Lines
		}
		for _, u := range b.Unparsed {
			if u.Offset >= l.position(u.Source) {
				u.Text = store.Clean(u.Text, 1000)
				l.unparsed = append(l.unparsed, u)
			}
		}
	}
	for _, s := range b.Sources {
		if to := l.find(s.ID); s.Offset >= to.Offset {
			s.ID, s.Path, s.First, s.Last = to.ID, store.Clean(s.Path, 4096), whole(s.First), whole(s.Last)
			*to = s
		}
	}
}

func (l *ledger) find(id string) *store.Source {
	if i, known := l.index[id]; known {
		return &l.sources[i]
	}
	return nil
}

func (l *ledger) position(id string) int64 {
	if s := l.find(id); s != nil {
		return s.Offset
	}
	return 0
}

// queue updates the queued messages; those opened last are at the end.
func (l *ledger) queue(b *store.Batch) {
	key := func(m *bounce.Message) store.MessageKey {
		return store.MessageKey{Host: m.Host, MTA: m.MTA, Instance: m.Instance, QueueID: m.QueueID}
	}
	for _, m := range b.Opened {
		m.Time = whole(m.Time)
		if i := slices.IndexFunc(l.messages, func(o bounce.Message) bool { return key(&o) == key(&m) }); i >= 0 {
			l.messages = slices.Delete(l.messages, i, i+1)
		}
		l.messages = append(l.messages, m)
	}
	for _, k := range b.Closed {
		l.messages = slices.DeleteFunc(l.messages, func(m bounce.Message) bool { return key(&m) == k })
	}
}

func counts(o bounce.Outcome) bool { return o == bounce.Delivered || failed(o) }

func failed(o bounce.Outcome) bool { return o == bounce.Soft || o == bounce.Hard }

func keyOf(d *bounce.Delivery) pairKey {
	return pairKey{d.Host, string(d.MTA), d.Instance, d.QueueID, d.Recipient}
}

// slack is the largest difference, in seconds, between two arrival times of one message. An arrival
// time is a logged time minus a rounded delay, and a clock may have been set. A queue id is reused
// for the same recipient much later.
const slack = 600

// sameMessage reports whether two attempts with the same queue id belong to one message.
func sameMessage(a, b *bounce.Delivery) bool {
	x, y := a.Arrived(), b.Arrived()
	if x.IsZero() || y.IsZero() {
		return true
	}
	diff := x.Unix() - y.Unix()
	return max(diff, -diff) <= slack
}

// event applies a line about a whole message.
func (l *ledger) event(e *store.Event) {
	if e.Expiry != nil {
		l.expire(e.Expiry)
	} else {
		l.end(e.End)
	}
}

// attempt adds an attempt.
func (l *ledger) attempt(a *store.Attempt) {
	e := event{Attempt: cleaned(a), source: l.index[a.Source]}
	i, k := len(l.events), keyOf(&e.Delivery)
	if counts(e.Outcome) {
		found := -1
		for j, q := range l.pending[k] {
			if sameMessage(&l.events[q.first].Delivery, &e.Delivery) {
				found = j
			}
		}
		if e.Untried {
			last := -1
			if found >= 0 {
				last = l.pending[k][found].last
			}
			l.inherit(&e, last)
		}
		switch {
		case found >= 0 && e.Outcome == bounce.Soft:
			if q := l.pending[k][found]; !e.Untried || l.events[q.last].Untried {
				q.last = i
			}
		case found >= 0:
			l.events[l.pending[k][found].first].pair = false
			l.pending[k] = slices.Delete(l.pending[k], found, found+1)
			e.pair = e.Outcome == bounce.Delivered
		case e.Outcome == bounce.Soft:
			e.pair = true
			l.pending[k] = append(l.pending[k], &queued{i, i})
		}
		if e.Outcome == bounce.Hard {
			e.pair = e.Reason == bounce.Expired
		}
		if found < 0 {
			message := strings.Join([]string{e.Host, string(e.MTA), e.Instance, e.QueueID, e.Sender, fmt.Sprint(e.SenderKnown)}, "\x00")
			domain := message + "\x00@" + e.RecipientDomain
			e.first, e.toDomain = !l.seen[message], !l.seen[domain]
			l.seen[message], l.seen[domain] = true, true
		}
	}
	l.events = append(l.events, e)
	l.history(i)
	l.place(i)
}

// inherit gives a deferral without an attempt the verdict of the last attempt. last is the last
// deferral of its pair; -1: there is none.
func (l *ledger) inherit(e *event, last int) {
	recipient, domain := placesOf(&e.Delivery)
	if last < 0 || l.events[last].Untried {
		var known bool
		if last, known = l.deferred[recipient]; !known {
			last, known = l.deferred[domain]
		}
		if !known {
			return
		}
	}
	e.Verdict = l.events[last].Verdict
}

// place records where an attempt was deferred, and removes the record after a delivery. Postfix
// logs no deferral without an attempt.
func (l *ledger) place(i int) {
	e := &l.events[i]
	if e.MTA != bounce.Exim {
		return
	}
	recipient, domain := placesOf(&e.Delivery)
	switch {
	case e.Outcome == bounce.Delivered:
		delete(l.deferred, recipient)
		delete(l.deferred, domain)
	case e.Outcome == bounce.Soft && !e.Untried:
		l.deferred[recipient] = i
		if e.Scope != bounce.ScopeRecipient {
			l.deferred[domain] = i
		}
	}
}

// history updates the recipient's history.
func (l *ledger) history(i int) {
	e := &l.events[i]
	switch {
	case e.Outcome == bounce.Delivered:
		l.delivered[e.Recipient] = append(l.delivered[e.Recipient], e.Time)
		for _, j := range l.failures[e.Recipient] {
			l.events[j].took(e.Time)
		}
	case failed(e.Outcome):
		for _, at := range l.delivered[e.Recipient] {
			e.took(at)
		}
		l.failures[e.Recipient] = append(l.failures[e.Recipient], i)
	}
}

// took notes a delivery to the recipient of a failure.
func (e *event) took(at time.Time) {
	if !at.After(e.Time) && at.After(e.before) {
		e.before = at
	}
	if !at.Before(e.Time) && (e.after.IsZero() || at.Before(e.after)) {
		e.after = at
	}
}

// end ends the pairs of a message that left the queue. They are no longer pending; the log does not
// say how they ended.
func (l *ledger) end(x *bounce.End) {
	if x.Offset < l.position(x.Source) {
		return
	}
	l.ends = append(l.ends, *x)
	switch x.Event {
	case bounce.MessageRemoved, bounce.MessageDiscarded, bounce.MessageCompleted:
	default:
		return
	}
	for k, list := range l.pending {
		if k.host == x.Host && k.mta == string(x.MTA) && k.instance == x.Instance && k.queue == x.QueueID {
			for _, q := range list {
				l.events[q.first].pair = false
			}
			delete(l.pending, k)
		}
	}
}

// expire ends the pairs of a message at the end of its queue lifetime. Each becomes a hard failure
// at the destination of its last attempt.
func (l *ledger) expire(x *bounce.Expiry) {
	if x.Offset < l.position(x.Source) {
		return
	}
	var ended []*queued
	for k, list := range l.pending {
		if k.host == x.Host && k.mta == string(x.MTA) && k.instance == x.Instance && k.queue == x.QueueID {
			ended = append(ended, list...)
			delete(l.pending, k)
		}
	}
	slices.SortFunc(ended, func(a, b *queued) int { return cmp.Compare(a.first, b.first) })
	for _, q := range ended {
		first, last := &l.events[q.first], l.events[q.last]
		first.pair = false
		e := event{source: l.index[x.Source], pair: true}
		e.Attempt = store.Attempt{
			Delivery: bounce.Delivery{
				Source: x.Source, Offset: x.Offset, Time: whole(x.Time), Host: x.Host, MTA: x.MTA, Instance: x.Instance, Agent: x.Agent,
				QueueID: x.QueueID, MessageID: first.MessageID, Sender: first.Sender, SenderDomain: first.SenderDomain, SenderKnown: first.SenderKnown,
				Recipient: first.Recipient, RecipientDomain: first.RecipientDomain,
				RelayHost: last.RelayHost, RelayIP: last.RelayIP, RelayPort: last.RelayPort,
				ClientHost: first.ClientHost, ClientIP: first.ClientIP, SASLUser: first.SASLUser,
				Status: x.Status, Outcome: bounce.Hard, Local: true, Delay: -1,
			},
			Verdict: expired,
			N:       1 + first.Offset,
		}
		l.events = append(l.events, e)
		l.history(len(l.events) - 1)
	}
}

// expired is the verdict on an expired message.
var expired = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "status-expired", Confidence: bounce.NamedCause}

// whole returns a time without its fraction of a second.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(t.Unix(), 0).UTC()
}

// cleaned returns an attempt as it is stored.
func cleaned(a *store.Attempt) store.Attempt {
	c := *a
	c.Time, c.N, c.Template = whole(a.Time), 0, bounce.Template{}
	c.Delay = store.RoundDelay(a.Delay)
	for _, s := range []*string{&c.Host, &c.Agent, &c.Status, &c.QueueID, &c.RelayIP, &c.ClientIP, &c.Detail, &c.Rule, &c.TLS} {
		*s = store.Clean(*s, store.MaxWord)
	}
	for _, s := range []*string{&c.Instance, &c.MessageID, &c.Sender, &c.SenderDomain, &c.Recipient, &c.RecipientDomain, &c.OriginalRecipient, &c.RelayHost, &c.ClientHost, &c.SASLUser, &c.Warning} {
		*s = store.Clean(*s, store.MaxName)
	}
	c.Response = store.Clean(c.Response, store.MaxResponse)
	return c
}
