package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// Limits on the number of rows too, since a log may be full of invented programs and lines.
const (
	maxPrograms = 2000 // programs in the counts of skipped lines, "(others)" included
	maxUnparsed = 1000 // unparsed lines
)

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
		return nil // all of it is stored already
	}

	events := b.Events()
	var name string
	var src *sourceState
	w.prepared = slices.Grow(w.prepared[:0], len(b.Attempts))[:len(b.Attempts)]
	for i := range b.Attempts {
		w.prepare(&b.Attempts[i], &w.prepared[i])
	}
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
		for len(events) > 0 && len(events[name]) > 0 && events[name][0].Offset < a.Offset {
			if err := w.event(src, &events[name][0]); err != nil {
				return err
			}
			events[name] = events[name][1:]
		}
		if err := w.attempt(src, a, &w.prepared[i]); err != nil {
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
	if len(w.addresses.added) >= maxNewAddresses {
		w.addresses.flushNew(&w.tables)
	}
	w.storeSources(b.Sources)
	w.storeMessages(b)
	if ahead == 0 && len(b.Sources) > 0 {
		return nil // no line was read, so there is nothing to count
	}
	for _, s := range b.Skipped {
		w.add("skipped", w.scrub(store.Clean(s.Program, store.MaxWord), nil), s.Lines, int64(maxPrograms-1))
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
		w.add("unparsed_line", int64(newAttemptID(src.num, u.Offset)), at, w.shape(store.Clean(u.Text, 1000)), int64(maxUnparsed))
	}
	for i := range b.Sources {
		s := w.sources[b.Sources[i].ID]
		s.position = max(s.position, b.Sources[i].Offset)
	}
	return nil
}

func (w *writer) attempt(src *sourceState, a *store.Attempt, p *prepared) error {
	// The attempts of a repeated line take ids that may belong to the next line.
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

	// Has the message been seen, and with this domain?
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
	w.rollups.count(c, n, firstToDomain)
	if a.MTA == bounce.Exim { // Postfix logs no deferral without an attempt
		w.noteDeferred(a, destinationKey{r.origin, domain, recipient}, r)
	}

	src.chunk.add(&w.tables, id, at, recipient, a.QueueID, p.message)
	var original any // its domain
	if a.OriginalRecipient != "" && a.OriginalRecipient != a.Recipient {
		if original, err = w.original(id, a.OriginalRecipient); err != nil {
			return err
		}
		// The call above may have moved the entry.
		if rcpt, err = w.address(p.recipient, a.Recipient, a.RecipientDomain); err != nil {
			return err
		}
	}

	if a.Outcome == bounce.Delivered {
		w.addresses.delivered(&w.tables, rcpt, at)
		var queue, sender any // they do not escape this block, so they are not allocated
		if n, ok := queueNumber(a.QueueID); ok {
			queue = n
		} else {
			queue = store.Clean(a.QueueID, store.MaxWord)
		}
		if a.SenderKnown {
			sender = senderID
		}
		var hash any
		if p.message != 0 {
			hash = p.message
		}
		w.insert.Add(id, at, queue, recipient, sender, route, r.id, meta, hash)
		if w.keepMessageIDs && a.MessageID != "" {
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
	if a.Warning != "" {
		w.add("warning", id, w.text(w.scrub(store.Clean(a.Warning, store.MaxName), w.secret.names(&a.Delivery))))
	}
	messageID, err := w.message(a.MessageID)
	if err != nil {
		return err
	}
	before := rcpt.lastBefore(at)
	if counts {
		w.addresses.failedAt(rcpt, at)
	}
	client := w.client(&a.Delivery)
	w.add("failure", id, at, queue, recipient, sender, route, r.id, meta, text, messageID, before, nil, client, number(p.message))
	w.addNarrow(c.kind, id, at, queue, recipient, sender, route, r.id, before, original)
	if a.Outcome == bounce.Soft && !seenPair {
		w.enqueue(message, queue, queuedRecipient{
			pair: id, last: id, tried: tried(a, r), recipient: recipient, address: p.recipient, arrived: arrival(&a.Delivery), first: c, route: route,
			sender: sender, message: messageID, hash: p.message, client: client, null: n.nulls,
		})
	}
	return nil
}

// original stores the original recipient, and returns the id of its domain's name.
func (w *writer) original(id int64, whole string) (any, error) {
	domain := ""
	if i := strings.LastIndexByte(whole, '@'); i >= 0 {
		domain = ascii.Lower(whole[i+1:])
	}
	a, err := w.address(w.hash.address(whole, domain), whole, domain)
	if err != nil {
		return nil, err
	}
	w.add("original", id, int64(a.id))
	return int64(a.domain), nil
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
		w.add("source", store.Clean(n.Path, 4096), n.Offset, n.State, first, last, n.Lines, n.Delivery,
			n.Attempts, n.Repeated, n.Queue, n.Rejected, n.Skipped, n.Unparsed, n.Blank, s.num)
	}
}

func (w *writer) storeMessages(b *store.Batch) {
	for i := range b.Opened {
		m := &b.Opened[i]
		w.add("open_message opened", store.Clean(m.Host, store.MaxName), store.Clean(string(m.MTA), store.MaxWord), store.Clean(m.Instance, store.MaxWord), store.Clean(m.QueueID, store.MaxWord), m.Time.Unix(),
			w.messageID(m.MessageID), store.Clean(w.secret.address(m.Sender), store.MaxName), bit(m.SenderKnown), m.Size,
			store.Clean(m.ClientHost, store.MaxName), store.Clean(m.ClientIP, store.MaxWord), w.login(m.SASLUser))
	}
	for _, m := range b.Closed {
		w.add("open_message closed", store.Clean(m.Host, store.MaxName), store.Clean(string(m.MTA), store.MaxWord), store.Clean(m.Instance, store.MaxWord), store.Clean(m.QueueID, store.MaxWord))
	}
	w.bulks["open_message opened"].Flush()
	w.bulks["open_message closed"].Flush() // closed after opened
}

// event stores an event of a message.
func (w *writer) event(src *sourceState, e *store.Event) error {
	if e.Offset < src.position {
		return nil
	}
	if e.Offset > maxOffset {
		return fmt.Errorf("offset %d is out of range", e.Offset)
	}
	if e.Expiry != nil {
		return w.expire(src.num, e.Expiry)
	}
	return w.end(src.num, e.End)
}
