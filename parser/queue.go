package parser

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strings"
	"time"

	"bouncelog/bounce"
)

// defaultQueueBytes is the default limit of a Queue's memory: about 70,000 messages that are queued
// at the same time.
const defaultQueueBytes = 24 << 20

// A Key names a queued message.
type Key struct {
	Host     string
	MTA      bounce.MTA
	Instance string
	QueueID  string
}

// A Queue holds the information that arrival lines, the queue manager and other lines gave about
// the currently queued messages. It finds a message by host, MTA and queue id. All logs of a
// process share one Queue, and their parsers must then run in turn: neither a Queue nor the parsers
// that share it are safe for concurrent use. Its memory is bounded; the oldest entries are dropped
// first.
type Queue struct {
	max  int
	used int
	seed uint64 // of the hashes

	heads  []int32    // hash chains; 0: empty
	chunks [][]queued // entries, numbered from 1
	n      int32      // number of entries ever made
	live   int        // number of entries in use
	free   int32      // chain of entries for reuse
	oldest int32
	newest int32

	bufs   [][]byte // for reuse
	dirty  []int32
	closed []Key

	logs      int32  // number of parsers that share the queue
	several   bool   // there were messages of more than one host, MTA or instance
	last      origin // of the last message, until then
	hops      hops
	untracked bool
}

// An origin is what logged a message.
type origin struct {
	host, instance string
	mta            bounce.MTA
}

const (
	chunkBits  = 10
	chunkLen   = 1 << chunkBits
	queuedSize = 176 // of a queued, with its slot in the table
	maxField   = 1024
	keepBufs   = 256
)

// key is a Key of one log, whose queue id is still in the line. The strings host and instance remain
// valid and are the same for every line.
type key struct {
	log      int32 // of the parser
	host     string
	instance string
	mta      bounce.MTA
	id       []byte
}

// NewQueue returns an empty queue whose memory is limited to about maxBytes; 0 means 24 MB.
func NewQueue(maxBytes int) *Queue {
	if maxBytes <= 0 {
		maxBytes = defaultQueueBytes
	}
	return &Queue{
		max:   max(maxBytes, 64<<10),
		seed:  maphash.String(maphash.MakeSeed(), ""),
		heads: make([]int32, 256),
	}
}

// Restore adds a message that an earlier process reported as opened. Call it before parsing, newest
// message first: each one counts as older than the messages already added and is dropped before
// them.
func (q *Queue) Restore(m bounce.Message) {
	e := q.begin(&key{0, strings.Clone(m.Host), strings.Clone(m.Instance), m.MTA, []byte(m.QueueID)}, m.Time)
	if e == nil {
		return
	}
	q.set(e, fieldMessageID, []byte(m.MessageID))
	if m.SenderKnown {
		e.senderKnown = q.set(e, fieldSender, []byte(m.Sender))
	}
	q.set(e, fieldClientHost, []byte(m.ClientHost))
	q.set(e, fieldClientIP, []byte(m.ClientIP))
	q.set(e, fieldSASL, []byte(m.SASLUser))
	e.size, e.frozen, e.deferred = m.Size, m.Frozen, true
	e.changed, e.reported = false, true
	q.unlink(e)
	e.older, e.newer = 0, q.oldest
	if q.oldest != 0 {
		q.at(q.oldest).older = e.self
	} else {
		q.newest = e.self
	}
	q.oldest = e.self
	q.shrink()
}

// Untracked stops the recording of changes, for a process that does not store them: Changes finds
// none from now on.
func (q *Queue) Untracked() {
	q.Changes(nil, nil)
	q.untracked = true
}

// Changes appends the changes since the last call. opened receives the new or changed messages that
// are still queued. closed receives the messages that left the queue (or were dropped to save
// memory) after they had been reported as opened. A message that arrived and left between two calls
// is in neither.
func (q *Queue) Changes(opened []bounce.Message, closed []Key) ([]bounce.Message, []Key) {
	first := len(opened)
	for _, i := range q.dirty {
		e := q.at(i)
		e.listed = false
		if !e.inUse || !e.changed {
			continue
		}
		e.changed, e.reported = false, true
		m := q.message(e)
		opened = append(opened, m)
	}
	q.dirty = q.dirty[:0]
	if len(q.closed) > 0 {
		// A reused queue id is open, even if an earlier message was closed.
		again := make(map[Key]bool)
		for _, m := range opened[first:] {
			again[Key{m.Host, m.MTA, m.Instance, m.QueueID}] = true
		}
		for _, k := range q.closed {
			if !again[k] {
				closed = append(closed, k)
			}
		}
		clear(q.closed)
		q.closed = q.closed[:0]
	}
	return opened, closed
}

// message returns an entry as a bounce.Message.
func (q *Queue) message(e *queued) bounce.Message {
	text := string(e.buf)
	sender, _ := normal(e.field(text, fieldSender))
	return bounce.Message{
		Host: e.host, MTA: e.mta, Instance: e.instance, QueueID: e.field(text, fieldID),
		Time:      time.Unix(e.time, 0).UTC(),
		MessageID: e.field(text, fieldMessageID),
		Sender:    sender, SenderKnown: e.senderKnown,
		Size:       e.size,
		Frozen:     e.frozen,
		ClientHost: e.field(text, fieldClientHost), ClientIP: e.field(text, fieldClientIP),
		SASLUser: e.field(text, fieldSASL),
	}
}

// client records the client that submits a message (smtpd); the message begins here.
func (q *Queue) client(k *key, at time.Time, host, ip, sasl []byte) {
	if e := q.begin(k, at); e != nil {
		q.put(e, fieldClientHost, host)
		q.put(e, fieldClientIP, ip)
		q.put(e, fieldSASL, sasl)
		q.shrink()
	}
}

// messageID records the Message-ID (cleanup). If the entry already has one, the queue id has been
// reused for another message.
func (q *Queue) messageID(k *key, at time.Time, id []byte) {
	e, exact := q.find(k)
	fresh := e != nil && e.fields[fieldMessageID].n == 0 && !e.senderKnown
	switch {
	case fresh && !exact:
		q.adopt(e, k)
	case !fresh:
		if e = q.begin(k, at); e == nil {
			return
		}
	}
	q.set(e, fieldMessageID, id)
	q.comesFrom(e)
	q.shrink()
}

// active records the queue manager's line at each activation of a message. A sender or size
// different from the known one means another message.
func (q *Queue) active(k *key, at time.Time, sender []byte, size int64) {
	e, exact := q.find(k)
	if e != nil && e.senderKnown {
		if e.size == size && e.is(fieldSender, sender) {
			return
		}
		if exact {
			e = nil
		}
	}
	if e == nil {
		if e = q.begin(k, at); e == nil {
			return
		}
	} else if !exact {
		q.adopt(e, k)
	}
	e.senderKnown = q.set(e, fieldSender, sender)
	e.size = size
	q.touch(e) // a null sender changes no field
	q.shrink()
}

// arrival records all fields of Exim's "<=" line.
func (q *Queue) arrival(k *key, at time.Time, a *arrival) {
	e := q.begin(k, at)
	if e == nil {
		return
	}
	e.senderKnown = q.put(e, fieldSender, a.sender)
	q.put(e, fieldMessageID, a.messageID)
	q.put(e, fieldClientHost, a.host)
	q.put(e, fieldClientIP, a.ip)
	q.put(e, fieldSASL, a.user)
	e.size = a.size
	q.comesFrom(e)
	q.shrink()
}

// An arrival holds the fields of Exim's "<=" line.
type arrival struct {
	sender, messageID, host, ip, user []byte
	size                              int64
}

// freeze records whether a message is frozen or held in the queue.
func (q *Queue) freeze(e *queued, frozen bool) {
	if e.frozen != frozen {
		e.frozen = frozen
		q.touch(e)
	}
}

// remove drops a message that left the queue.
func (q *Queue) remove(k *key) {
	if e, _ := q.find(k); e != nil {
		q.drop(e)
	}
}

// join adds the fields of the delivery's message, e, to the delivery. text is a copy of e's text. A
// delivery may give the arrival time of its message (arrived, Unix time, accurate to slack seconds;
// 0: unknown). Such a delivery is not joined to a message that was known long before: that message
// had the same queue id, and its end was not logged.
func (q *Queue) join(d *bounce.Delivery, e *queued, text string, arrived, slack float64) {
	if arrived > 0 && arrived-slack > float64(e.time) {
		q.drop(e)
		return
	}
	if d.Outcome == bounce.Soft {
		e.deferred = true
	}
	d.Instance = e.instance
	d.MessageID = e.field(text, fieldMessageID)
	if e.senderKnown && !d.SenderKnown {
		d.Sender, d.SenderDomain = normal(e.field(text, fieldSender))
		d.SenderKnown = true
	}
	if e.size != 0 {
		d.Size = e.size
	}
	d.ClientHost, d.ClientIP, d.SASLUser = e.field(text, fieldClientHost), e.field(text, fieldClientIP), e.field(text, fieldSASL)
}

// KnowHops adds the addresses of hops that an earlier process found (see Hops).
func (q *Queue) KnowHops(list []string) {
	q.hops.know(list)
	q.several = q.several || len(q.hops.known) > 0
}

// Hops returns the sorted addresses of the relays that pass mail on to another host or instance of
// their log, or hand it back, if some were found since the last call; otherwise nil.
func (q *Queue) Hops() []string { return q.hops.found() }

// passOn reports whether a delivery of the message e to another server was one to a hop, so that the
// message continues under another queue id.
func (q *Queue) passOn(e *queued, d *bounce.Delivery, reply string) bool {
	if !e.inUse || d.RelayIP == "" {
		return false
	}
	if q.hops.handsBack(e, d.RelayIP) {
		e.passed = true
		return true
	}
	if !q.several {
		return false
	}
	c, ok := claimOf(e, d.RelayIP, reply)
	if !ok {
		return false
	}
	h := q.hash([]byte(c.id))
	for i := q.heads[h&uint64(len(q.heads)-1)]; i != 0; {
		next := q.at(i)
		i = next.next
		if next.hash == h && q.continues(next, &c) {
			e.passed = true
			return true
		}
	}
	q.hops.keep(h, c)
	known := q.hops.known[c.relay]
	e.passed = e.passed || known
	return known
}

// comesFrom finds the delivery that a new message comes from, if that was logged before.
func (q *Queue) comesFrom(next *queued) {
	if login := q.hops.comesBack(next); login != "" && next.fields[fieldSASL].n == 0 {
		q.set(next, fieldSASL, []byte(login))
	}
	if len(q.hops.claimed) == 0 {
		return
	}
	if c, ok := q.hops.claimed[next.hash]; ok && q.continues(next, &c) {
		delete(q.hops.claimed, next.hash)
	}
}

// continues reports whether next is the message that a delivery claims to have become. It gives next
// the login that submitted the message: only the first host saw it.
func (q *Queue) continues(next *queued, c *claim) bool {
	if !q.hops.proves(next, c) {
		return false
	}
	if next.fields[fieldSASL].n == 0 && c.login != "" {
		q.set(next, fieldSASL, []byte(c.login))
	}
	return true
}

// get returns the message of an expiry.
func (q *Queue) get(k *key) (m bounce.Message, ok bool) {
	e, _ := q.find(k)
	if e == nil {
		return m, false
	}
	return q.message(e), true
}

func (q *Queue) at(i int32) *queued {
	i--
	return &q.chunks[i>>chunkBits][i&(chunkLen-1)]
}

// hash hashes a queue id. The MTA makes the queue ids, so nobody can choose them to collide.
func (q *Queue) hash(id []byte) uint64 {
	const m = 0x9e3779b97f4a7c15
	h, whole := q.seed, id
	var last uint64
	if n := len(id); n >= 8 {
		for ; len(id) > 8; id = id[8:] {
			h = (h ^ binary.LittleEndian.Uint64(id)) * m
			h ^= h >> 32
		}
		last = binary.LittleEndian.Uint64(whole[n-8:])
	} else {
		for _, c := range id {
			last = last<<8 | uint64(c)
		}
	}
	h = (h ^ last) * m
	return h ^ h>>29
}

// find looks up a message. It prefers the same instance but also finds the queue id under another
// one, because a service may log under its own name (syslog_name=postfix-submission in master.cf).
func (q *Queue) find(k *key) (e *queued, exact bool) {
	return q.lookup(k, q.hash(k.id))
}

func (q *Queue) lookup(k *key, h uint64) (e *queued, exact bool) {
	for i := q.heads[h&uint64(len(q.heads)-1)]; i != 0; {
		c := q.at(i)
		if c.hash == h && c.mta == k.mta && c.host == k.host && c.is(fieldID, k.id) {
			if c.instance == k.instance {
				return c, true
			}
			e = c
		}
		i = c.next
	}
	return e, false
}

// begin makes a new, empty entry for k and replaces an existing one. It returns nil if k is too
// long to be kept.
func (q *Queue) begin(k *key, at time.Time) *queued {
	if len(k.id) == 0 || len(k.id) > 64 || len(k.host) > maxField || len(k.instance) > maxField {
		return nil
	}
	reported := false
	h := q.hash(k.id)
	if e, exact := q.lookup(k, h); exact {
		// The store knows the message under the same key, so the new one is a change.
		reported = e.reported
		e.reported = false
		q.drop(e)
	}
	i := q.free
	if i != 0 {
		q.free = q.at(i).next
	} else {
		if int(q.n)>>chunkBits == len(q.chunks) {
			q.chunks = append(q.chunks, make([]queued, chunkLen))
		}
		q.n++
		i = q.n
	}
	e := q.at(i)
	listed := e.listed
	*e = queued{}
	e.self, e.log, e.hash, e.time, e.inUse, e.listed, e.reported = i, k.log, h, at.Unix(), true, listed, reported
	if !q.several {
		if o := (origin{k.host, k.instance, k.mta}); o != q.last {
			q.several = q.last != origin{}
			q.last = o
		}
	}
	e.host, e.mta, e.instance = k.host, k.mta, k.instance
	if n := len(q.bufs); n > 0 {
		e.buf = q.bufs[n-1][:0]
		q.bufs = q.bufs[:n-1]
	} else {
		e.buf = make([]byte, 0, 128)
	}
	q.used += cap(e.buf)
	q.used += queuedSize + len(e.host) + len(e.instance)
	q.live++
	if q.live > len(q.heads) {
		q.grow()
	}
	head := &q.heads[e.hash&uint64(len(q.heads)-1)]
	e.next, *head = *head, i
	e.older = q.newest
	if q.newest != 0 {
		q.at(q.newest).newer = i
	} else {
		q.oldest = i
	}
	q.newest = i
	q.put(e, fieldID, k.id)
	q.touch(e)
	return e
}

// put sets a field of a new entry.
func (q *Queue) put(e *queued, field int, v []byte) bool {
	if len(v) > maxField {
		return false
	}
	before := cap(e.buf)
	e.fields[field].off, e.fields[field].n = uint16(len(e.buf)), uint16(len(v))
	e.buf = append(e.buf, v...)
	if cap(e.buf) != before {
		q.used += cap(e.buf) - before
	}
	return true
}

// touch marks an entry as changed.
func (q *Queue) touch(e *queued) {
	if q.untracked {
		return
	}
	e.changed = true
	if !e.listed {
		e.listed = true
		q.dirty = append(q.dirty, e.self)
	}
}

// adopt moves an entry that another service of the same Postfix began to the instance that owns the
// queue.
func (q *Queue) adopt(e *queued, k *key) {
	if e.instance == k.instance || len(k.instance) > maxField {
		return
	}
	q.close(e)
	e.reported = false
	q.used += len(k.instance) - len(e.instance)
	e.instance = k.instance
	q.touch(e)
}

// close makes the next call of Changes report e as closed, if e was reported as opened.
func (q *Queue) close(e *queued) {
	if !e.reported || q.untracked {
		return
	}
	id := e.fields[fieldID]
	q.closed = append(q.closed, Key{e.host, e.mta, e.instance, string(e.buf[id.off : id.off+id.n])})
}

// drop removes an entry.
func (q *Queue) drop(e *queued) {
	q.close(e)
	i := e.self
	p := &q.heads[e.hash&uint64(len(q.heads)-1)]
	for *p != i {
		p = &q.at(*p).next
	}
	*p = e.next
	q.unlink(e)
	q.used -= queuedSize + len(e.host) + len(e.instance)
	q.release(e)
	q.live--
	e.host, e.instance = "", ""
	e.inUse, e.changed = false, false
	e.next = q.free
	q.free = i
}

// unlink removes an entry from the list by age.
func (q *Queue) unlink(e *queued) {
	if e.older != 0 {
		q.at(e.older).newer = e.newer
	} else {
		q.oldest = e.newer
	}
	if e.newer != 0 {
		q.at(e.newer).older = e.older
	} else {
		q.newest = e.older
	}
}

// release keeps an entry's buffer for reuse.
func (q *Queue) release(e *queued) {
	q.used -= cap(e.buf)
	if cap(e.buf) > 0 && cap(e.buf) <= maxField && len(q.bufs) < keepBufs {
		q.bufs = append(q.bufs, e.buf[:0])
	}
	e.buf = nil
}

// shrink drops the oldest entries until the memory is within the limit.
func (q *Queue) shrink() {
	for q.used > q.max && q.live > 1 {
		q.drop(q.at(q.oldest))
	}
}

// grow doubles the table.
func (q *Queue) grow() {
	q.used += 4 * len(q.heads)
	q.heads = make([]int32, 2*len(q.heads))
	for i := q.oldest; i != 0; {
		e := q.at(i)
		head := &q.heads[e.hash&uint64(len(q.heads)-1)]
		e.next, *head = *head, i
		i = e.newer
	}
}

// set sets a field; it returns false if the value is too long to be kept.
func (q *Queue) set(e *queued, field int, v []byte) bool {
	if len(v) > maxField {
		return false
	}
	if e.is(field, v) {
		return true
	}
	if e.fields[field].n > 0 {
		// Remove the old value.
		old, fields := bytes.Clone(e.buf), e.fields
		e.buf = e.buf[:0]
		for i, f := range fields {
			if i != field {
				q.put(e, i, old[f.off:f.off+f.n])
			}
		}
	}
	q.touch(e)
	return q.put(e, field, v)
}
