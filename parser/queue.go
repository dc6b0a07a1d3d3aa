package parser

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strings"
	"time"

	"bouncelog/bounce"
)

// defaultQueueBytes is what a Queue may take when nothing else is asked for:
// about 70,000 messages that are queued at the same time.
const defaultQueueBytes = 24 << 20

// A Key names a queued message.
type Key struct {
	Host     string
	MTA      bounce.MTA
	Instance string
	QueueID  string
}

// A Queue knows the messages that are queued now: what arrival lines, the
// queue manager and the like said of each, found by host, MTA and queue id.
// It is shared by all logs of a process, whose parsers must then run in turn:
// neither a Queue nor the parsers that share it are safe for concurrent use.
// Its memory is bounded; what has been known longest is forgotten first.
type Queue struct {
	max  int
	used int
	seed maphash.Seed

	heads  []int32    // hash chains; 0: empty
	chunks [][]queued // entries, numbered from 1
	n      int32      // entries ever made
	live   int        // entries in use
	free   int32      // chain of entries to be used again
	oldest int32
	newest int32

	bufs   [][]byte // to be used again
	dirty  []int32
	closed []Key

	untracked bool
}

const (
	chunkBits  = 10
	chunkLen   = 1 << chunkBits
	queuedSize = 176 // of a queued, with its place in the table
	maxField   = 1024
	keepBufs   = 256
)

// What is kept of a message as text.
const (
	fieldID = iota
	fieldMessageID
	fieldSender
	fieldClientHost
	fieldClientIP
	fieldSASL
	numFields
)

// A queued is what is known of one message. Its text stands in buf.
type queued struct {
	hash     uint64
	host     string
	instance string
	mta      bounce.MTA

	buf    []byte
	fields [numFields]struct{ off, n uint16 }
	time   int64
	size   int64

	self         int32 // its number
	next         int32 // in the hash chain, or of the unused
	older, newer int32

	senderKnown bool
	frozen      bool
	deferred    bool // an attempt was, or may have been before it was restored
	changed     bool // since the last call of Changes
	listed      bool // in Queue.dirty
	reported    bool // by Changes, as opened
	inUse       bool
}

// key is a Key whose queue id still lies in the line. Host and instance are
// lasting strings, the same ones line after line.
type key struct {
	hostHash uint64
	host     string
	instance string
	mta      bounce.MTA
	id       []byte
}

// NewQueue returns an empty queue that takes at most about maxBytes of
// memory; 0 means 24 MB.
func NewQueue(maxBytes int) *Queue {
	if maxBytes <= 0 {
		maxBytes = defaultQueueBytes
	}
	return &Queue{
		max:   max(maxBytes, 64<<10),
		seed:  maphash.MakeSeed(),
		heads: make([]int32, 256),
	}
}

// Restore takes in a message that an earlier process reported as opened. Call
// it before parsing, the message opened last first: each one is taken for
// older than those already known, and forgotten before them.
func (q *Queue) Restore(m bounce.Message) {
	e := q.begin(&key{q.hashString(m.Host), strings.Clone(m.Host), strings.Clone(m.Instance), m.MTA, []byte(m.QueueID)}, m.Time)
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

// Untracked ends the keeping of changes, for a process that stores none:
// Changes finds none from now on.
func (q *Queue) Untracked() {
	q.Changes(nil, nil)
	q.untracked = true
}

// Changes appends what has changed since the last call: to opened the
// messages learnt of or changed that are still queued, to closed those that
// left the queue (or were forgotten for want of memory) after having been
// given out as opened. A message that came and went in between is in neither.
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
		// A queue id that was used again is open, whatever came before.
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

// message makes a bounce.Message of an entry.
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

// client notes that a client hands in a message (smtpd), which begins it.
func (q *Queue) client(k *key, at time.Time, host, ip, sasl []byte) {
	if e := q.begin(k, at); e != nil {
		q.put(e, fieldClientHost, host)
		q.put(e, fieldClientIP, ip)
		q.put(e, fieldSASL, sasl)
		q.shrink()
	}
}

// messageID notes the Message-ID (cleanup). A message that has one already
// was another, whose queue id is used again.
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
	q.shrink()
}

// active notes what the queue manager says at each activation of a message.
// Another sender or size than before is another message.
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

// arrival notes everything at once, as Exim's "<=" does.
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
	q.shrink()
}

// An arrival is what Exim's "<=" says.
type arrival struct {
	sender, messageID, host, ip, user []byte
	size                              int64
}

// freeze notes that a message is held in the queue, or is no longer.
func (q *Queue) freeze(e *queued, frozen bool) {
	if e.frozen != frozen {
		e.frozen = frozen
		q.touch(e)
	}
}

// remove forgets a message that left the queue.
func (q *Queue) remove(k *key) {
	if e, _ := q.find(k); e != nil {
		q.drop(e)
	}
}

// join adds to a delivery what is known of its message, e, whose text has been
// copied into text. A delivery that says when the message arrived (arrived,
// Unix time, give or take slack seconds; 0: it does not) is not joined to a
// message that was known long before: that one bore the same queue id and its
// end was not seen.
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

// get finds a message for an expiry.
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

// hash is a hash of host and queue id. Queue ids are the MTA's own making, so
// that nobody can choose them to collide.
func (q *Queue) hash(k *key) uint64 {
	const m = 0x9e3779b97f4a7c15
	h, id := k.hostHash, k.id
	var last uint64
	if n := len(id); n >= 8 {
		for ; len(id) > 8; id = id[8:] {
			h = (h ^ binary.LittleEndian.Uint64(id)) * m
			h ^= h >> 32
		}
		last = binary.LittleEndian.Uint64(k.id[n-8:])
	} else {
		for _, c := range id {
			last = last<<8 | uint64(c)
		}
	}
	h = (h ^ last) * m
	return h ^ h>>29
}

func (q *Queue) hashString(s string) uint64 { return maphash.String(q.seed, s) }

// find looks a message up. It prefers the very instance, but finds the queue
// id under another too: a service may log under a name of its own
// (syslog_name=postfix-submission in master.cf).
func (q *Queue) find(k *key) (e *queued, exact bool) {
	return q.lookup(k, q.hash(k))
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

// begin makes a new, empty entry for k, in place of the one there may be. It
// returns nil where k cannot be kept.
func (q *Queue) begin(k *key, at time.Time) *queued {
	if len(k.id) == 0 || len(k.id) > 64 || len(k.host) > maxField || len(k.instance) > maxField {
		return nil
	}
	reported := false
	h := q.hash(k)
	if e, exact := q.lookup(k, h); exact {
		// The store knows it under the same key: what comes is a change.
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
	e.self, e.hash, e.time, e.inUse, e.listed, e.reported = i, h, at.Unix(), true, listed, reported
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

// put gives a field of a new entry its value.
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

// adopt gives an entry that another service of the same Postfix began to the
// instance that keeps the queue.
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

// close tells the next call of Changes that e is gone, if that matters.
func (q *Queue) close(e *queued) {
	if !e.reported || q.untracked {
		return
	}
	id := e.fields[fieldID]
	q.closed = append(q.closed, Key{e.host, e.mta, e.instance, string(e.buf[id.off : id.off+id.n])})
}

// drop forgets an entry.
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

// unlink takes an entry out of the order of age.
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

// release puts an entry's buffer aside for another one.
func (q *Queue) release(e *queued) {
	q.used -= cap(e.buf)
	if cap(e.buf) > 0 && cap(e.buf) <= maxField && len(q.bufs) < keepBufs {
		q.bufs = append(q.bufs, e.buf[:0])
	}
	e.buf = nil
}

// shrink forgets the oldest entries until the bound is kept.
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

// set gives a field its value; it reports false where that is too long to be
// kept.
func (q *Queue) set(e *queued, field int, v []byte) bool {
	if len(v) > maxField {
		return false
	}
	if e.is(field, v) {
		return true
	}
	if e.fields[field].n > 0 {
		// Leave the old value out.
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

// is reports whether a field has the value v.
func (e *queued) is(field int, v []byte) bool {
	f := e.fields[field]
	return bytes.Equal(e.buf[f.off:f.off+f.n], v)
}

// field is a field's value in a copy of the entry's buffer.
func (e *queued) field(text string, field int) string {
	f := e.fields[field]
	return text[f.off : f.off+f.n]
}
