package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A source is what is remembered of a row of that table.
type source struct {
	num      int64
	position int64     // stored
	last     attemptID // highest stored
	chunk    *chunk
}

// Append stores a batch. A source's position says what of it is stored already:
// attempts before it are left out, so a batch may be appended again, and a batch
// whose sources all stand behind what is stored changes nothing.
func (d *DB) Append(ctx context.Context, b *store.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.write.Lock()
	defer d.write.Unlock()
	if d.opts.Temporary {
		d.single.Lock()
		defer d.single.Unlock()
	}
	if d.w == nil {
		if d.opts.ReadOnly {
			return fmt.Errorf("append: %s: opened for reading only", d.path)
		}
		return errClosed
	}
	return d.wrap("store", d.w.transact(func() error { return d.w.append(b) }, b.More, b.Ahead))
}

// transact runs f in a transaction, and in the same as what came before where
// that was said to go on. Ahead says not to wait until it has been committed. What
// is remembered of the dictionaries is forgotten where it fails.
func (w *writer) transact(f func() error, more, ahead bool) error {
	if w.broken != nil {
		return w.broken
	}
	last := w.open || w.ahead // others depend on this
	err := overtaken(w.q.Failed())
	if err == nil && !w.open {
		err = w.begin()
	}
	if err == nil {
		err = f()
	}
	if err == nil && !more {
		err = w.commit(ahead)
	}
	if err == nil {
		return nil
	}
	err = w.undo(overtaken(err))
	if last {
		err = fmt.Errorf("%w: %w", store.ErrTakenBack, err)
	}
	return err
}

// begin begins a transaction. After a commit that is not waited for it does not
// wait either; else it forgets what is remembered of the dictionaries if another
// process has written since.
func (w *writer) begin() error {
	for range 10 {
		w.q.Begin()
		w.open = true
		if w.ahead {
			return nil
		}
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

// commit ends the transaction, if there is one, and waits for that unless it may
// run ahead.
func (w *writer) commit(ahead bool) error {
	if w.open {
		if err := w.flush(); err != nil {
			return err
		}
		w.q.Commit()
	}
	w.open, w.ahead = false, ahead
	if ahead {
		return nil
	}
	return overtaken(w.c.Settle())
}

// overtaken gives an error of the queue the name by which callers know it.
func overtaken(err error) error {
	if errors.Is(err, sqlite3.ErrChanged) {
		return store.ErrOvertaken
	}
	return err
}

// undo takes the transaction back because of err.
func (w *writer) undo(err error) error {
	first := overtaken(w.c.Settle()) // what was still to be written is taken back too
	if first != nil && !errors.Is(err, first) {
		err = errors.Join(first, err)
	}
	w.open, w.ahead = false, false
	if w.d.opts.Temporary {
		w.broken = err // it has no journal that could undo anything
		return err
	}
	if w.c.InTransaction() {
		w.c.Exec("ROLLBACK")
	}
	return errors.Join(err, w.reset())
}

// Filled says that a temporary database will mostly be asked from now on: what is
// remembered of the dictionaries, some forty megabytes, is forgotten.
func (d *DB) Filled() error {
	d.write.Lock()
	defer d.write.Unlock()
	d.single.Lock()
	defer d.single.Unlock()
	if d.w == nil {
		return errClosed
	}
	err := d.w.commit(false)
	if err == nil {
		err = d.w.reset()
	}
	return d.wrap("store", err)
}

// A prepared attempt has been taken apart as far as that is possible without
// the database.
type prepared struct {
	recipient, sender, route, reply uint64 // hashes
	template                        bounce.Template
}

// A preparation is what Prepare made of the attempts of a batch.
type preparation struct {
	of   *DB // nil: Append has used it
	list []prepared
}

// Prepare takes the attempts of a batch apart.
func (d *DB) Prepare(b *store.Batch) {
	p, ok := b.Prepared.(*preparation)
	if !ok {
		p = new(preparation)
		b.Prepared = p
	}
	n := len(b.Attempts)
	p.of, p.list = d, slices.Grow(p.list[:0], n)[:n]
	for i := range b.Attempts {
		d.take(&b.Attempts[i], &p.list[i])
	}
}

// preparation is what was prepared of b, or is now.
func (d *DB) preparation(b *store.Batch) []prepared {
	p, ok := b.Prepared.(*preparation)
	if !ok || p.of != d || len(p.list) != len(b.Attempts) {
		d.Prepare(b)
		p = b.Prepared.(*preparation)
	}
	p.of = nil
	return p.list
}

func (d *DB) take(a *store.Attempt, p *prepared) {
	k := d.secret.hash
	p.recipient = k.address(a.Recipient, a.RecipientDomain)
	if a.SenderKnown {
		p.sender = k.address(a.Sender, a.SenderDomain)
	}
	p.route = k.route(a.RecipientDomain, a.RelayHost, a.RelayIP, a.RelayPort)

	p.template = a.Template
	if p.template.Text == "" {
		p.template = bounce.TemplateOf(&a.Delivery)
	}
	if d.secret.pseudonym != nil {
		p.template.Text = d.secret.scrub(p.template.Text)
	}
	h := k.add(k.add(12, p.template.Text), a.Host)
	h = k.add(k.add(k.add(k.add(h, string(a.MTA)), a.Instance), a.Agent), a.Status)
	h = k.num(h, uint64(a.Outcome)<<56|uint64(a.Stage)<<48|uint64(a.Code)<<32|uint64(a.Enhanced))
	h = k.num(h, uint64(bit(a.Local)))
	p.reply = k.add(h, p.template.Situation)
}

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

	expiries := make(map[string][]*bounce.Expiry)
	for i := range b.Expiries {
		e := &b.Expiries[i]
		expiries[e.Source] = append(expiries[e.Source], e)
	}
	for _, es := range expiries {
		slices.SortStableFunc(es, func(a, b *bounce.Expiry) int { return cmp.Compare(a.Offset, b.Offset) })
	}

	var name string
	var src *source
	ps := w.d.preparation(b)
	if err := w.remember(); err != nil {
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
		for len(expiries) > 0 && len(expiries[name]) > 0 && expiries[name][0].Offset < a.Offset {
			if err := w.expire(src, expiries[name][0]); err != nil {
				return err
			}
			expiries[name] = expiries[name][1:]
		}
		if err := w.attempt(src, a, &ps[i]); err != nil {
			return err
		}
	}
	for name, es := range expiries {
		src, err := w.source(name, nil)
		if err != nil {
			return err
		}
		for _, e := range es {
			if err := w.expire(src, e); err != nil {
				return err
			}
		}
	}
	if len(w.fresh) >= freshAtMost {
		w.flushAddresses()
	}
	w.storeSources(b.Sources)
	w.storeMessages(b)
	if ahead == 0 && len(b.Sources) > 0 {
		return nil // nothing was read: there is nothing to be counted
	}
	for _, s := range b.Skipped {
		w.add("skipped", clean(s.Program, maxWord), s.Lines, int64(maxPrograms-1))
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
		w.add("unparsed", int64(newAttemptID(src.num, u.Offset)), at, w.scrub(clean(u.Text, 1000)), int64(maxUnparsed))
	}
	for i := range b.Sources {
		s := w.sources[b.Sources[i].ID]
		s.position = max(s.position, b.Sources[i].Offset)
	}
	return nil
}

var errNoPosition = errors.New("a batch holds an attempt of a source whose position it does not hold")

// source finds a source, and makes it where the batch brings it.
func (w *writer) source(id string, from *store.Source) (*source, error) {
	if from == nil && !w.inBatch[id] {
		return nil, fmt.Errorf("%w: %q", errNoPosition, id)
	}
	w.inBatch[id] = true
	if s := w.sources[id]; s != nil {
		return s, nil
	}
	name := clean(id, maxWord)
	w.flushTables("source")
	var s source
	err := w.c.Each(func(row []driver.Value) error {
		s.num, s.position = row[0].(int64), row[1].(int64)
		return sqlite3.Stop
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
	if len(w.sources) >= 256 {
		// A chunk that is not full is read again when its source goes on.
		for k := range w.sources {
			if !w.inBatch[k] {
				delete(w.sources, k)
			}
		}
	}
	w.sources[id] = &s
	return &s, nil
}

func (w *writer) attempt(src *source, a *store.Attempt, p *prepared) error {
	// A line that stands for many may reach into the next: take the next free id.
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
	r, err := w.reply(p.reply, &a.Delivery, a.Verdict, p.template)
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
	c := where{at: at, route: route, sender: senderDomain, origin: r.origin, kind: r.kind}

	// Has the message been seen, and at this domain?
	message, seenPair := w.messageHash(a.QueueID, r.origin), false
	counts := a.Outcome == bounce.Delivered || a.Outcome == bounce.Soft || a.Outcome == bounce.Hard
	if counts {
		if seenPair, err = w.meet(message, id, recipient, route, a, r); err != nil {
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
		a.Outcome == bounce.Hard && reasonOf(r.kind) == bounce.Expired:
		n.pairs = 1
	}
	w.count(c, n, firstToDomain)

	src.chunk.add(w, id, at, recipient, a.QueueID)
	var original any // its domain
	if a.OriginalRecipient != "" && a.OriginalRecipient != a.Recipient {
		if original, err = w.original(id, a.OriginalRecipient); err != nil {
			return err
		}
		// Adding that may have moved the entry.
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
		w.insert.Add(id, at, queue, recipient, sender, route, r.id, meta)
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
	w.add("failure", id, at, queue, recipient, sender, route, r.id, meta, text, messageID, before, nil, client)
	w.addNarrow(c.kind, id, at, queue, recipient, sender, route, r.id, before, original)
	if a.Outcome == bounce.Soft && !seenPair {
		w.wait(message, queue, waiting{
			pair: id, last: id, recipient: recipient, arrived: arrival(&a.Delivery), first: c, route: route,
			sender: sender, message: messageID, before: before, client: client, null: n.nulls,
		})
	}
	return nil
}

// firstSeen reports, as 1 or 0, whether a message has not been seen before, and
// not at this domain. Most messages go to one domain: it stands with the
// message.
func (w *writer) firstSeen(message uint64, sender, domain int64) (first, toDomain int64) {
	m := w.hash.num(message, uint64(sender))
	seen, firstDomain := w.seen.see(m, uint32(domain))
	switch {
	case !seen:
		return 1, 1
	case firstDomain == uint32(domain):
		return 0, 0
	}
	seen, _ = w.seen.see(w.hash.num(m, uint64(domain)), 0)
	return 0, 1 - bit(seen)
}

// delivered brings the recipient's history up to date.
func (w *writer) delivered(rcpt *address, time int64) {
	at := seconds(time)
	note := rcpt.kept == 0 || at >= rcpt.kept+day || at < rcpt.last // a log read after a younger one
	rcpt.last = max(rcpt.last, at)
	if rcpt.first == 0 || at < rcpt.first {
		rcpt.first = at
	}
	failed := rcpt.failed
	if failed != 0 {
		w.add("recovery", int64(rcpt.id), time)
		note = true
		if at >= failed { // else of an older log
			rcpt.failed = 0
		}
	}
	if note {
		rcpt.kept = rcpt.last
		w.noteAddress(rcpt, true, rcpt.failed != failed)
	}
}

// original stores the recipient before aliasing, and returns the number of the domain.
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

// shorten makes of a response what the row and its template do not say; the
// view puts it back.
func (w *writer) shorten(a *bounce.Delivery, p *prepared) string {
	response := w.scrub(clean(a.Response, maxResponse))
	short, mark := response, ""
	if t, args := clean(p.template.Text, maxResponse), p.template.Args; rebuild(t, args) == response {
		short, mark = args, "\x05"
	}
	for _, r := range [...]struct{ old, mark string }{{a.Recipient, "\x01"}, {a.RelayHost, "\x02"}, {a.RelayIP, "\x03"}, {a.Sender, "\x04"}} {
		if len(r.old) > 3 && len(r.old) <= maxWord && w.scrub(clean(r.old, maxName)) == r.old {
			short = strings.ReplaceAll(short, r.old, r.mark)
		}
	}
	return mark + short
}

// rebuild puts the parts of a response into the places of its template, as the
// view deliveries does it.
func rebuild(template, parts string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(template, '{')
		if i < 0 {
			b.WriteString(template)
			return b.String()
		}
		b.WriteString(template[:i])
		template = template[i:]
		end := strings.IndexByte(template, '}') + 1
		if strings.HasPrefix(template, "{brace}") {
			b.WriteByte('{')
		} else {
			var part string
			part, parts, _ = strings.Cut(parts, " ")
			b.WriteString(part)
		}
		if end == 0 {
			return b.String() // not a template of Split
		}
		template = template[end:]
	}
}

// flush writes what was gathered in the transaction.
func (w *writer) flush() error {
	w.flushAddresses()
	w.flushKeys()
	w.flushWaiting()
	for _, id := range sorted(w.touched) {
		t := w.touched[id]
		if t.delivered {
			w.add("delivered", orNever(t.first), orNever(t.kept), int64(id))
		}
		switch {
		case t.failing && t.failed != 0:
			w.add("failing", int64(id), int64(t.failed))
		case t.failing:
			w.add("failing_end", int64(id))
		}
	}
	clear(w.touched)
	w.addCells()
	for _, b := range w.bulks {
		b.Flush()
	}
	if w.pending.full() {
		return w.loadPending()
	}
	return nil
}

// freshAtMost is how many new addresses wait, about: one that is used again meanwhile
// is written once.
const freshAtMost = 4096

// flushAddresses stores the new addresses, with what is known of them by now.
func (w *writer) flushAddresses() {
	for i := range w.fresh {
		f := &w.fresh[i]
		w.add("address", int64(f.id), int64(f.domain), f.local, orNever(f.first), orNever(f.last))
		if f.failed != 0 {
			w.touched[f.id] = touched{address: f.address, failing: true}
		}
	}
	w.fresh = w.fresh[:0]
	w.newBase = w.addressID
	w.flushTables("address")
}

// flushKeys stores the keys of new rows of the dictionaries. In order, and many
// at a time, since each may belong into another page.
func (w *writer) flushKeys() {
	for table, keys := range w.keys {
		slices.Sort(keys)
		for _, k := range keys {
			w.add(table+"_key", int64(k))
		}
		w.keys[table] = keys[:0]
		w.flushTables(table + "_key")
	}
}

// never stands for the time of a last delivery where there is none. It takes as
// much room as a time, so that the row need not grow.
const never = -1 << 31

func orNever(at seconds) int64 {
	if at == 0 {
		return never
	}
	return int64(at)
}

func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func sorted[K int64 | uint32, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
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
		w.add("opened", clean(m.Host, maxName), clean(string(m.MTA), maxWord), clean(m.Instance, maxWord), clean(m.QueueID, maxWord), m.Time.Unix(),
			clean(m.MessageID, maxName), clean(m.Sender, maxName), bit(m.SenderKnown), m.Size,
			clean(m.ClientHost, maxName), clean(m.ClientIP, maxWord), clean(m.SASLUser, maxName))
	}
	for _, m := range b.Closed {
		w.add("closed", clean(m.Host, maxName), clean(string(m.MTA), maxWord), clean(m.Instance, maxWord), clean(m.QueueID, maxWord))
	}
	w.flushTables("opened", "closed")
}
