package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A batchWriter is a store.Writer.
type batchWriter struct{ d *DB }

// Write returns a Writer. Another process may write too, between two transactions.
func (d *DB) Write(context.Context) (store.Writer, error) {
	x := batchWriter{d}
	return x, x.do("write", func(*writer) error { return nil })
}

// do calls fn with the writer.
func (x batchWriter) do(what string, fn func(*writer) error) error {
	d := x.d
	d.write.Lock()
	defer d.write.Unlock()
	if d.opts.Temporary {
		// Its one connection would show a Reader what is not committed.
		if d.w == nil || !d.w.open {
			d.single.Lock()
		}
		defer func() {
			if d.w == nil || !d.w.open {
				d.single.Unlock()
			}
		}()
	}
	if d.w == nil {
		if d.opts.ReadOnly {
			return fmt.Errorf("%s: %s: opened for reading only", what, d.path)
		}
		return errClosed
	}
	return d.wrap(what, fn(d.w))
}

// Append takes in a batch. A source's position says what of it is stored already:
// attempts before it are left out, so a batch may be appended again, and a batch
// whose sources all stand behind what is stored changes nothing.
func (x batchWriter) Append(ctx context.Context, b *store.Batch) error {
	return x.do("store", func(w *writer) error {
		return w.transact(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.append(b)
		})
	})
}

// Commit ends the transaction and waits for that.
func (x batchWriter) Commit(ctx context.Context) error {
	return x.do("store", func(w *writer) error {
		if !w.open {
			return w.broken
		}
		return w.transact(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.commit()
		})
	})
}

// Rollback takes the transaction back.
func (x batchWriter) Rollback() error {
	return x.do("roll back", func(w *writer) error {
		if !w.open {
			return nil
		}
		return w.undo(nil)
	})
}

// Close takes back what was not committed. A temporary database will mostly be asked
// from now on: what is remembered of the dictionaries, some forty megabytes, is
// forgotten.
func (x batchWriter) Close() error {
	err := x.do("close", func(w *writer) error {
		if w.open {
			return w.undo(nil)
		}
		if w.d.opts.Temporary {
			return w.reset()
		}
		return nil
	})
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// transact runs f in the transaction that is open, or in a new one, and leaves it open.
// Where it fails all of the transaction is taken back, and what is remembered of the
// dictionaries is forgotten.
func (w *writer) transact(f func() error) error {
	if w.broken != nil {
		return w.broken
	}
	err := w.q.Failed()
	if err == nil && !w.open {
		err = w.begin()
	}
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	return w.undo(err)
}

// begin begins a transaction, and forgets what is remembered of the dictionaries if
// another process has written since the last: an import beside the daemon.
func (w *writer) begin() error {
	if err := w.d.ready(); err != nil {
		return err
	}
	for range 10 {
		w.q.Begin()
		w.open = true
		err := w.c.Settle()
		if !errors.Is(err, sqlite3.ErrChanged) {
			return err
		}
		if err := w.reset(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: others write to it all the time", store.ErrLocked)
}

// commit ends the transaction and waits for that.
func (w *writer) commit() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.d.files.replaced(w.d.path); err != nil {
		return err
	}
	w.q.Commit()
	err := w.c.Settle()
	w.open = err != nil
	return err
}

// undo rolls the transaction back because of err.
func (w *writer) undo(err error) error {
	first := w.c.Settle() // what was still to be written is taken back too
	if first != nil && !errors.Is(err, first) {
		err = errors.Join(first, err)
	}
	w.open = false
	if w.d.opts.Temporary {
		w.broken = errors.Join(errHalf, err) // it has no journal that could undo anything
		return w.broken
	}
	if w.c.InTransaction() {
		w.c.Exec("ROLLBACK")
	}
	err = errors.Join(err, w.reset())
	if sqlite3.KindOf(err) == sqlite3.ErrFull {
		w.q.Cut(0) // a large log may be what fills the disk
	}
	return err
}

// errHalf is why a temporary database takes nothing more.
var errHalf = errors.New("a part of a batch cannot be taken back")

func (w *writer) append(b *store.Batch) error {
	clear(w.inBatch)
	behind, ahead := 0, 0
	for i := range b.Sources {
		s, err := w.source(b.Sources[i].ID, &b.Sources[i])
		if err != nil {
			return err
		}
		switch {
		case b.Sources[i].Offset < s.position:
			behind++
		case b.Sources[i].Offset > s.position || s.position == 0:
			ahead++
		}
	}
	if behind > 0 && ahead == 0 {
		return nil // all of it is stored
	}

	events := eventsOf(b)
	var name string
	var src *source
	ps := w.prepare(b)
	if err := w.preload(); err != nil {
		return err
	}
	for i := range b.Attempts {
		a := &b.Attempts[i]
		if src == nil || a.Source != name {
			var err error
			if src, err = w.source(a.Source, nil); err != nil {
				return err
			}
			name = a.Source
		}
		if a.Offset < src.position {
			continue
		}
		for len(events) > 0 && len(events[name]) > 0 && events[name][0].offset < a.Offset {
			if err := w.event(src, &events[name][0]); err != nil {
				return err
			}
			events[name] = events[name][1:]
		}
		if err := w.attempt(src, a, &ps[i]); err != nil {
			return err
		}
	}
	for name, es := range events {
		src, err := w.source(name, nil)
		if err != nil {
			return err
		}
		for i := range es {
			if err := w.event(src, &es[i]); err != nil {
				return err
			}
		}
	}
	if len(w.newAddresses) >= maxNewAddresses {
		w.flushAddresses()
	}
	w.storeSources(b.Sources)
	w.storeMessages(b)
	if ahead == 0 && len(b.Sources) > 0 {
		return nil // nothing was read: there is nothing to be counted
	}
	for _, s := range b.Skipped {
		w.add("skipped", w.scrub(clean(s.Program, maxWord), nil), s.Lines, int64(maxPrograms-1))
	}
	for _, u := range b.Unparsed {
		src, err := w.source(u.Source, nil)
		if err != nil {
			return err
		}
		if u.Offset < src.position {
			continue
		}
		var at any
		if !u.Time.IsZero() {
			at = u.Time.Unix()
		}
		w.add("unparsed_line", int64(newAttemptID(src.num, u.Offset)), at, w.shape(clean(u.Text, 1000)), int64(maxUnparsed))
	}
	for i := range b.Sources {
		s := w.sources[b.Sources[i].ID]
		s.position = max(s.position, b.Sources[i].Offset)
	}
	return nil
}

var errNoPosition = errors.New("a batch holds an attempt of a source whose position it does not hold")

// A source is what the writer remembers of a row of the table source.
type source struct {
	num      int64
	position int64     // stored
	last     attemptID // highest stored
	chunk    *chunk
}

// source finds a source by store.Source.ID, and adds it if it is new. From is nil for a
// source that the batch must hold.
func (w *writer) source(id string, from *store.Source) (*source, error) {
	if from == nil && !w.inBatch[id] {
		return nil, fmt.Errorf("%w: %q", errNoPosition, id)
	}
	w.inBatch[id] = true
	if s := w.sources[id]; s != nil {
		return s, nil
	}
	name := clean(id, maxWord)
	var s source
	err := w.reading("source").Each(func(row []driver.Value) error {
		s.num, s.position = row[0].(int64), row[1].(int64)
		return sqlite3.ErrStop
	}, "SELECT id, position FROM source WHERE name = ?", name)
	if err != nil {
		return nil, err
	}
	if s.num == 0 {
		last, err := w.c.Number("SELECT max(id) FROM source")
		if err != nil {
			return nil, err
		}
		if last >= maxSources {
			return nil, fmt.Errorf("%w: too many sources (%d)", store.ErrTooMany, last)
		}
		s.num = last + 1
		if err := w.c.Run("INSERT INTO source (id, name, path, position, state) VALUES (?, ?, '', 0, '')", s.num, name); err != nil {
			return nil, err
		}
		s.last = newAttemptID(s.num, 0) - 1
		s.chunk = new(chunk)
	} else if err := w.resume(&s); err != nil {
		return nil, err
	}
	for k := range w.sources {
		if len(w.sources) < sourcesKept {
			break
		}
		if !w.inBatch[k] { // its chunk, if it is not full, is read again by resume
			delete(w.sources, k)
		}
	}
	w.sources[id] = &s
	return &s, nil
}

func (w *writer) attempt(src *source, a *store.Attempt, p *prepared) error {
	// The attempts of a line that stands for many take ids that the next line may ask for.
	next := max(newAttemptID(src.num, a.Offset), src.last+1)
	if a.Offset < 0 || a.Offset > maxOffset || next.source() != src.num {
		return fmt.Errorf("offset %d of %q is out of range", a.Offset, a.Source)
	}
	src.last = next
	id, at := int64(next), unixTime(a.Time)

	route, err := w.route(p.route, &a.Delivery)
	if err != nil {
		return err
	}
	lastTry := int64(attempted)
	if a.Untried {
		if lastTry, err = w.lastTry(a, p); err != nil {
			return err
		}
	}
	r, err := w.reply(p.reply, &a.Delivery, a.Verdict, p.template, lastTry)
	if err != nil {
		return err
	}
	var senderID, senderDomain int64
	if a.SenderKnown {
		s, err := w.address(p.sender, a.Sender, a.SenderDomain)
		if err != nil {
			return err
		}
		senderID, senderDomain = int64(s.id), int64(s.domain)
	}
	rcpt, err := w.address(p.recipient, a.Recipient, a.RecipientDomain)
	if err != nil {
		return err
	}
	recipient, domain := int64(rcpt.id), int64(rcpt.domain)
	c := cellPlace{at: at, route: route, sender: senderDomain, origin: r.origin, kind: r.kind}

	// Has the message been seen, and at this domain?
	message, seenPair := w.queuedHash(a.QueueID, r.origin), false
	counts := a.Outcome == bounce.Delivered || a.Outcome == bounce.Soft || a.Outcome == bounce.Hard
	if counts {
		if seenPair, err = w.matchQueued(message, id, recipient, route, a, r); err != nil {
			return err
		}
	}
	var first, firstToDomain int64
	if counts && !seenPair {
		first, firstToDomain = w.firstSeen(message, senderID, domain)
	}
	meta := delayCode(a.Delay)<<flagBits | firstToDomain<<1 | first
	if seenPair && a.Outcome == bounce.Delivered {
		meta |= flagRecovered
	}

	n := cell{n: 1, messages: first}
	if a.SenderKnown && a.Sender == "" {
		n.nulls = 1
	}
	n.retry = bit(r.retry)
	switch {
	case seenPair && a.Outcome == bounce.Delivered,
		!seenPair && a.Outcome == bounce.Soft,
		a.Outcome == bounce.Hard && reasonOf(r.kind) == bounce.Expired,
		a.Outcome == bounce.Handoff && a.Disposal == bounce.Discarded:
		n.pairs = 1
	}
	w.count(c, n, firstToDomain)
	if a.MTA == bounce.Exim { // Postfix logs no deferral without an attempt
		w.noteDeferred(a, destination{r.origin, domain, recipient}, r)
	}

	src.chunk.add(w, id, at, recipient, a.QueueID, p.message)
	var original any // its domain
	if a.OriginalRecipient != "" && a.OriginalRecipient != a.Recipient {
		if original, err = w.original(id, a.OriginalRecipient); err != nil {
			return err
		}
		// That may have moved the entry.
		if rcpt, err = w.address(p.recipient, a.Recipient, a.RecipientDomain); err != nil {
			return err
		}
	}

	if a.Outcome == bounce.Delivered {
		w.delivered(rcpt, at)
		var queue, sender any // they do not leave this block: no memory is needed for them
		if n, ok := queueNumber(a.QueueID); ok {
			queue = n
		} else {
			queue = clean(a.QueueID, maxWord)
		}
		if a.SenderKnown {
			sender = senderID
		}
		var hash any
		if p.message != 0 {
			hash = p.message
		}
		w.insert.Add(id, at, queue, recipient, sender, route, r.id, meta, hash)
		if w.d.opts.KeepMessageIDs && a.MessageID != "" {
			m, err := w.message(a.MessageID)
			if err != nil {
				return err
			}
			w.add("delivery_message", id, m)
		}
		return nil
	}

	queue := queueValue(a.QueueID)
	var text, sender any
	if a.SenderKnown {
		sender = senderID
	}
	if p.template.Text != a.Response {
		text = w.text(w.shorten(&a.Delivery, p))
	}
	messageID, err := w.message(a.MessageID)
	if err != nil {
		return err
	}
	var before any
	if rcpt.last != 0 && rcpt.last <= seconds(at) {
		before = int64(rcpt.last)
	}
	if counts {
		failed := rcpt.failed
		rcpt.failed = max(failed, seconds(at))
		if failed == 0 {
			w.noteAddress(rcpt, false, true)
		}
	}
	client := w.client(&a.Delivery)
	w.add("failure", id, at, queue, recipient, sender, route, r.id, meta, text, messageID, before, nil, client, number(p.message))
	w.addNarrow(c.kind, id, at, queue, recipient, sender, route, r.id, before, original)
	if a.Outcome == bounce.Soft && !seenPair {
		w.enqueue(message, queue, queuedRecipient{
			pair: id, last: id, tried: tried(a, r), recipient: recipient, arrived: arrival(&a.Delivery), first: c, route: route,
			sender: sender, message: messageID, hash: p.message, before: before, client: client, null: n.nulls,
		})
	}
	return nil
}

// original stores the recipient before aliasing, and returns the id of its domain's name.
func (w *writer) original(id int64, whole string) (any, error) {
	domain := ""
	if i := strings.LastIndexByte(whole, '@'); i >= 0 {
		domain = lower(whole[i+1:])
	}
	a, err := w.address(w.hash.address(whole, domain), whole, domain)
	if err != nil {
		return nil, err
	}
	w.add("original", id, int64(a.id))
	return int64(a.domain), nil
}

// flush hands all that the transaction has gathered to the queue. It runs once, before the
// commit.
func (w *writer) flush() error {
	w.flushAddresses()
	w.flushKeys()
	w.flushQueued()
	for _, id := range sorted(w.dirty) {
		t := w.dirty[id]
		if t.delivered {
			w.add("address history", orNever(t.first), orNever(t.stored), int64(id))
		}
		switch {
		case t.failing && t.failed != 0:
			w.add("failing", int64(id), int64(t.failed))
		case t.failing:
			w.add("failing end", int64(id))
		}
	}
	clear(w.dirty)
	w.addCells()
	for _, b := range w.bulks {
		b.Flush()
	}
	if w.maybeQueued.full() {
		return w.loadQueued()
	}
	return nil
}

func (w *writer) storeSources(ss []store.Source) {
	for i := range ss {
		n, s := &ss[i], w.sources[ss[i].ID]
		if n.Offset < s.position {
			continue
		}
		var first, last any
		if !n.First.IsZero() {
			first = n.First.Unix()
		}
		if !n.Last.IsZero() {
			last = n.Last.Unix()
		}
		w.add("source", clean(n.Path, 4096), n.Offset, n.State, first, last, n.Lines, n.Delivery,
			n.Attempts, n.Repeated, n.Queue, n.Rejected, n.Skipped, n.Unparsed, n.Blank, s.num)
	}
}

func (w *writer) storeMessages(b *store.Batch) {
	for i := range b.Opened {
		m := &b.Opened[i]
		w.add("open_message opened", clean(m.Host, maxName), clean(string(m.MTA), maxWord), clean(m.Instance, maxWord), clean(m.QueueID, maxWord), m.Time.Unix(),
			w.messageID(m.MessageID), clean(w.secret.address(m.Sender), maxName), bit(m.SenderKnown), m.Size,
			clean(m.ClientHost, maxName), clean(m.ClientIP, maxWord), w.login(m.SASLUser))
	}
	for _, m := range b.Closed {
		w.add("open_message closed", clean(m.Host, maxName), clean(string(m.MTA), maxWord), clean(m.Instance, maxWord), clean(m.QueueID, maxWord))
	}
	w.bulks["open_message opened"].Flush()
	w.bulks["open_message closed"].Flush() // after those
}
