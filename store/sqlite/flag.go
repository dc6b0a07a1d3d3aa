package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// messageKey stands for a message: its queue id, as the function ints has it, and its
// sender, since short queue ids are used again.
func messageKey(queue, sender int64) uint64 {
	return chunkHash.num(chunkHash.num(3, uint64(sender)), uint64(queue))
}

// A refusalRow is a row of refusal or failure.
type refusalRow struct {
	id                int64
	message           uint64
	at                int64
	before            seconds
	recipient, sender int32
	route, reply      int32
	original          int32 // id of the domain; 0: no original recipient
}

// What is read and put in order at once; more is put in order by SQLite, and read
// by and by.
const (
	refusalsSorted = 600_000
	refusalsBatch  = 50_000
)

// Refusals yields the failed attempts that match f in the order of time.
func (d *DB) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	return func(yield func(*store.Refusal, error) bool) {
		err := d.refusals(ctx, f, func(r *store.Refusal) bool { return yield(r, nil) })
		if err != nil && err != errEnough {
			yield(nil, d.wrap("read refusals", err))
		}
	}
}

func (d *DB) refusals(ctx context.Context, f store.Filter, yield func(*store.Refusal) bool) error {
	var outcomes []bounce.Outcome
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		if len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, o) {
			outcomes = append(outcomes, o)
		}
	}
	if f.Outcomes = outcomes; outcomes == nil {
		return nil
	}
	c, done, err := d.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return err
	}
	table, original := "failure", originalDomain
	if covers(store.Suspect, f.Reasons) {
		table, original = "refusal", "a.original"
		if len(f.Reasons) == len(store.Suspect) && len(outcomes) == 2 {
			q.Outcomes, q.Reasons = nil, nil // that is what the table holds
		}
	}
	spans, err := q.spans(c)
	if err != nil {
		return err
	}
	row := []string{"a.id", layoutSQL("a.at << $ID_BITS | a.reply"), "a.queue", layoutSQL("a.recipient << $ID_BITS | coalesce(a.sender, 0)"), layoutSQL("coalesce(a.before, 0) << $ID_BITS | a.route"), original}
	from := " FROM " + table + " AS a WHERE " + q.where()
	scan := func(v []int64) refusalRow {
		return refusalRow{
			id: v[0], message: messageKey(v[2], v[3]&maxID), at: v[1] >> idBits, before: seconds(v[4] >> idBits),
			recipient: int32(v[3] >> idBits), sender: int32(v[3] & maxID), route: int32(v[4] & maxID), reply: int32(v[1] & maxID),
			original: int32(v[5]),
		}
	}
	n, err := c.Number("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", refusalsSorted+1)
	if err != nil {
		return err
	}
	t := &alike{texts: newTexts(c), numbers: make(map[likeness]int)}
	if n <= refusalsSorted {
		rows, err := d.refusalRows(ctx, c, q, table, append(spans, expiries), n, row, from, scan)
		if err != nil {
			return err
		}
		return d.yieldRefusals(ctx, t, rows, yield)
	}
	ordered, done, err := d.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	rows, values := make([]refusalRow, 0, refusalsBatch), make([]int64, len(row))
	err = q.once(ordered, func(v []driver.Value) error {
		queue := v[2]
		if text, ok := queue.(string); ok {
			queue = sqlite3.TextHash(text)
		}
		for i := range v {
			values[i] = num(v[i])
		}
		values[2] = num(queue)
		if rows = append(rows, scan(values)); len(rows) < cap(rows) {
			return nil
		}
		err := d.yieldRefusals(ctx, t, runs{rows}, yield)
		rows = rows[:0]
		return err
	}, "SELECT "+strings.Join(row, ", ")+from+inSpans(append(spans, expiries))+" ORDER BY a.at, a.id", q.since, q.until)
	if err != nil {
		return err
	}
	return d.yieldRefusals(ctx, t, runs{rows}, yield)
}

// covers tells whether all that is asked for is in a list; nothing asked for is
// everything.
func covers(list, asked []bounce.Reason) bool {
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(r bounce.Reason) bool { return !slices.Contains(list, r) })
}

// inSpans is the condition that a row is in one of the spans; of many, none is
// looked for.
func inSpans(spans []span) string {
	if len(spans) > 20 {
		return ""
	}
	var within []string
	for _, s := range spans {
		within = append(within, fmt.Sprintf("a.id BETWEEN %d AND %d", s.lo, s.hi))
	}
	return " AND (" + strings.Join(within, " OR ") + ")"
}

// refusalRows reads rows, each half of the table by a reader of its own.
func (d *DB) refusalRows(ctx context.Context, c *sqlite3.Conn, q *question, table string, spans []span, n int64, row []string, from string, scan func([]int64) refusalRow) (runs, error) {
	middle, err := c.Number("SELECT id FROM "+table+" ORDER BY id LIMIT 1 OFFSET ?", n/2)
	if err != nil {
		return nil, err
	}
	var halves [2]runs
	read := func(half int, part span) func(c *sqlite3.Conn) error {
		return func(c *sqlite3.Conn) (err error) {
			halves[half], err = refusalRuns(ctx, c, q, within(spans, part), n-n/2, row, from, scan)
			return err
		}
	}
	err = d.together(c, read(0, span{math.MinInt64, middle - 1}), read(1, span{middle, math.MaxInt64}))
	return slices.Concat(halves[0], halves[1]), err
}

// within are the parts of spans that are in another.
func within(spans []span, in span) (out []span) {
	for _, s := range spans {
		if s.lo, s.hi = max(s.lo, in.lo), min(s.hi, in.hi); s.lo <= s.hi {
			out = append(out, s)
		}
	}
	return out
}

// runsAtMost are merged; where there are more, the rows are sorted.
const runsAtMost = 4

// refusalRuns reads at most n rows.
func refusalRuns(ctx context.Context, c *sqlite3.Conn, q *question, spans []span, n int64, row []string, from string, scan func([]int64) refusalRow) (runs, error) {
	rows := make([]refusalRow, 0, n)
	var ends []int // of runs that are in order, as each log mostly is
	err := q.scanColumns(c, spans, row, from, func(v []int64) error {
		rows = append(rows, scan(v))
		if n := len(rows); n > 1 && inOrder(&rows[n-1], &rows[n-2]) < 0 {
			ends = append(ends, n-1)
		}
		return nil
	})
	if len(ends) >= runsAtMost {
		slices.SortFunc(rows, func(a, b refusalRow) int { return inOrder(&a, &b) })
		ends = nil
	}
	var list runs
	start := 0
	for _, end := range append(ends, len(rows)) {
		if start < end {
			list = append(list, rows[start:end])
		}
		start = end
	}
	return list, err
}

func inOrder(a, b *refusalRow) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

// Runs are a few lists of rows that are in order.
type runs [][]refusalRow

// all yields the rows in order.
func (r runs) all() iter.Seq[*refusalRow] {
	return func(yield func(*refusalRow) bool) {
		left := slices.Clone(r)
		for {
			least := -1
			for i := range left {
				if len(left[i]) > 0 && (least < 0 || inOrder(&left[i][0], &left[least][0]) < 0) {
					least = i
				}
			}
			if least < 0 || !yield(&left[least][0]) {
				return
			}
			left[least] = left[least][1:]
		}
	}
}

// A person is what is known of a recipient by now.
type person struct {
	last, first int64   // deliveries, 0: none
	recovered   []int64 // in order
}

// readPeople reads the deliveries of the recipients of some rows.
func readPeople(c *sqlite3.Conn, people *byID[person]) error {
	return inBatches(people.ids.all(), func(wanted string) error {
		return c.Columns(3, func(v []int64) error {
			p := people.at(v[0])
			p.last, p.first = max(v[1], 0), max(v[2], 0)
			return nil
		}, "SELECT columns(a.id, a.last, a.first) FROM json_each(?) AS w CROSS JOIN address AS a ON a.id = w.value", wanted)
	})
}

// readRecoveries reads when they took mail again after a failure.
func readRecoveries(c *sqlite3.Conn, people *byID[person]) error {
	return inBatches(people.ids.all(), func(wanted string) error {
		var times []int64 // those of one recipient follow one another
		return c.Columns(2, func(v []int64) error {
			p := people.at(v[0])
			times = append(times, v[1])
			p.recovered = times[len(times)-len(p.recovered)-1 : len(times) : len(times)]
			return nil
		}, "SELECT columns(r.recipient, r.at) FROM json_each(?) AS w CROSS JOIN recovery AS r ON r.recipient = w.value", wanted)
	})
}

// before and after are the last delivery before at and the first after it, as in
// texts.fill; 0: none.
func (p *person) before(r *refusalRow) int64 {
	if r.before == 0 && p.first < r.at {
		return p.first
	}
	return int64(r.before)
}

func (p *person) after(at int64) int64 {
	if i, _ := slices.BinarySearch(p.recovered, at); i < len(p.recovered) {
		return p.recovered[i]
	}
	if p.last > at {
		return p.last
	}
	return 0
}

// A senderText is what is asked of a sender.
type senderText struct {
	id        int32 // of the domain
	domain    string
	null, srs bool
}

// refusalSenders reads the senders of some rows.
func refusalSenders(c *sqlite3.Conn, rows runs) (*byID[senderText], error) {
	// None has the number 0.
	senders := newByID[senderText](rows, func(r *refusalRow) int32 { return r.sender })
	domains := make(map[string]string) // each text once
	note := func(v []driver.Value) error {
		local, domain := str(v[1]), str(v[2])
		if known, ok := domains[domain]; ok {
			domain = known
		} else {
			domains[domain] = domain
		}
		srs := len(local) > 5 && (strings.EqualFold(local[:4], "SRS0") || strings.EqualFold(local[:4], "SRS1")) && strings.IndexByte("=+-", local[4]) >= 0
		*senders.at(num(v[0])) = senderText{int32(num(v[3])), domain, local == "" && v[2] == "", srs}
		return nil
	}
	return senders, inBatches(senders.ids.all(), func(wanted string) error {
		return c.Each(note, "SELECT a.id, a.local, n.text, n.id FROM json_each(?) AS w CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain", wanted)
	})
}

// A refusalRoute is what is asked of a route.
type refusalRoute struct {
	routeText
	domain   int32
	domainAs string
}

// refusalRoutes reads the routes of some rows.
func refusalRoutes(c *sqlite3.Conn, rows runs) (*byID[refusalRoute], error) {
	routes := newByID[refusalRoute](rows, func(r *refusalRow) int32 { return r.route })
	note := func(v []driver.Value) error {
		*routes.at(num(v[0])) = refusalRoute{routeText{str(v[3]), ipText(v[4]), uint16(num(v[5]))}, int32(num(v[1])), str(v[2])}
		return nil
	}
	return routes, inBatches(routes.ids.all(), func(wanted string) error {
		return c.Each(note, `SELECT r.id, r.domain, d.text, h.text, r.ip, r.port FROM json_each(?) AS w CROSS JOIN route AS r ON r.id = w.value
			JOIN name AS d ON d.id = r.domain LEFT JOIN name AS h ON h.id = r.host`, wanted)
	})
}

// A likeness is what refusals may have in common.
type likeness struct {
	source, route, reply, domain int32 // domain is the sender's
	null, forwarded              bool
}

// An alike numbers the likenesses.
type alike struct {
	*texts
	numbers map[likeness]int
	last    int
}

func (a *alike) number(l likeness) int {
	n, known := a.numbers[l]
	if !known {
		a.last++
		n = a.last
		if len(a.numbers) >= refusalsSorted {
			clear(a.numbers)
		}
		a.numbers[l] = n
	}
	return n
}

// yieldRefusals puts rows into words, as far as they are asked for.
func (d *DB) yieldRefusals(ctx context.Context, t *alike, rows runs, yield func(*store.Refusal) bool) error {
	var senders *byID[senderText]
	var routes *byID[refusalRoute]
	people := newByID[person](rows, func(r *refusalRow) int32 { return r.recipient })
	err := d.together(t.c,
		func(c *sqlite3.Conn) error { return readPeople(c, people) },
		func(c *sqlite3.Conn) (err error) {
			if senders, err = refusalSenders(c, rows); err == nil {
				routes, err = refusalRoutes(c, rows)
			}
			if err == nil {
				err = readRecoveries(c, people)
			}
			return err
		})
	if err != nil {
		return err
	}
	replies := newByID[*replyText](rows, func(r *refusalRow) int32 { return r.reply })
	source, sourceNum := "", int64(-1)
	var x store.Refusal
	var r *refusalRow
	x.Attempt = func() (store.Attempt, error) { return t.attempt(r.id) }
	time := func(at int64) (t time.Time) {
		if at != 0 {
			t = unix(at)
		}
		return t
	}
	for r = range rows.all() {
		known := replies.at(int64(r.reply))
		if *known == nil {
			text, err := t.reply(int64(r.reply))
			if err != nil {
				return err
			}
			*known = &text
		}
		reply := *known
		where := attemptID(r.id)
		if where.expired() {
			line, err := t.c.Number("SELECT line FROM failure WHERE id = ?", r.id)
			if err != nil {
				return err
			}
			where = attemptID(line)
		}
		if num := where.source(); num != sourceNum {
			if source, err = t.source(num); err != nil {
				return err
			}
			sourceNum = num
		}
		route, person := routes.at(int64(r.route)), people.at(int64(r.recipient))
		x.ID, x.Source, x.Offset = r.id, source, where.offset()
		x.Time, x.Message, x.Recipient = unix(r.at), r.message, uint64(r.recipient)
		x.RecipientDomain = route.domainAs
		x.RelayHost, x.RelayIP, x.RelayPort = route.host, route.ip, route.port
		x.Outcome, x.Code, x.Stage, x.Template, x.Verdict = reply.d.Outcome, reply.d.Code, reply.d.Stage, reply.d.Response, reply.v
		sender := senders.at(int64(r.sender))
		x.SenderDomain, x.NullSender, x.Forwarded = sender.domain, sender.null, sender.srs || r.original != 0 && r.original != route.domain
		x.Alike = t.number(likeness{int32(where.source()), r.route, r.reply, sender.id, sender.null, x.Forwarded})
		x.DeliveredBefore, x.DeliveredAfter = time(person.before(r)), time(person.after(r.at))
		if !yield(&x) {
			return errEnough
		}
	}
	return nil
}

func unix(at int64) time.Time { return time.Unix(at, 0).UTC() }

// attempt reads all there is of a failed attempt.
func (t *texts) attempt(id int64) (store.Attempt, error) {
	var r record
	var x store.Rejection
	err := t.c.Each(func(v []driver.Value) error {
		r.scan(v, true)
		return sqlite3.Stop
	}, selectFailure+" WHERE a.id = ?", id)
	if err != nil {
		return store.Attempt{}, err
	}
	err = t.fill(&r, &x)
	return x.Attempt, err
}

// Responses are what was answered to some refusals, in their order.
func (d *DB) Responses(ctx context.Context, ids []int64) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(ids))
	t := newTexts(c)
	err = c.Each(func(v []driver.Value) error {
		reply, err := t.reply(num(v[1]))
		if err != nil {
			return err
		}
		text := reply.d.Response
		if v[2] != nil {
			text = str(v[2])
			if parts, ok := strings.CutPrefix(text, "\x05"); ok {
				text = rebuild(reply.d.Response, parts)
			}
			if strings.ContainsAny(text, "\x01\x02\x03\x04") {
				var d bounce.Delivery
				if d, err = t.parties(num(v[3]), num(v[4]), num(v[5])); err != nil {
					return err
				}
				text = lengthen(text, &d)
			}
		}
		list[num(v[0])] = text
		return nil
	}, `SELECT w.key, a.reply, iif(typeof(a.text) = 'integer', (SELECT text FROM text WHERE id = a.text), a.text), a.recipient, a.sender, a.route
		FROM json_each(?) AS w CROSS JOIN failure AS a ON a.id = w.value`, string(wanted))
	return list, d.wrap("read replies", err)
}

// parties are those whom a response may name.
func (t *texts) parties(recipient, sender, route int64) (d bounce.Delivery, err error) {
	rcpt, err := t.address(recipient)
	if err != nil {
		return d, err
	}
	d.Recipient = rcpt.whole
	if sender != 0 {
		s, err := t.address(sender)
		if err != nil {
			return d, err
		}
		d.Sender = s.whole
	}
	r, err := t.route(route)
	d.RelayHost, d.RelayIP = r.host, r.ip
	return d, err
}

// Recipients are the addresses of the recipients of some refusals, in their order.
func (d *DB) Recipients(ctx context.Context, recipients []uint64) ([]string, error) {
	if len(recipients) == 0 {
		return nil, nil
	}
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	addresses, err := addressesOf(c, recipients)
	list := make([]string, len(recipients))
	for i, id := range recipients {
		list[i] = addresses[id]
	}
	return list, d.wrap("read addresses", err)
}

// FailureTimes says when the recipients failed as f selects.
func (d *DB) FailureTimes(ctx context.Context, f store.Filter, recipients iter.Seq[uint64]) (map[uint64][]time.Time, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, d.wrap("read failures", err)
	}
	spans, err := q.spans(c)
	if err != nil {
		return nil, d.wrap("read failures", err)
	}
	table := q.faults()
	var wanted idSet
	for r := range recipients {
		wanted.add(int64(r))
	}
	times := make(map[uint64][]time.Time)
	err = q.scanColumns(c, spans, []string{layoutSQL("a.at << $ID_BITS | a.recipient")}, "FROM "+table+" AS a WHERE "+q.where(), func(v []int64) error {
		if r := v[0] & maxID; wanted.has(r) {
			times[uint64(r)] = append(times[uint64(r)], unix(v[0]>>idBits))
		}
		return nil
	})
	return times, d.wrap("read failures", err)
}

// A piece is a run of rows, and the time that they are of.
type piece struct {
	span
	since, until int64
	read         bool
}

// pieces are the chunks, and for each source the rows that are in none yet.
func pieces(c *sqlite3.Conn) ([]*piece, error) {
	var all []*piece
	ends := make(map[int64]*piece) // the last of each source
	err := c.Columns(4, func(v []int64) error {
		all = append(all, &piece{span: span{v[0], v[1]}, since: v[2], until: v[3]})
		return nil
	}, "SELECT columns(id, last, since, until) FROM chunk INDEXED BY chunk_time")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	for _, p := range all {
		ends[attemptID(p.lo).source()] = p
	}
	return all, c.Each(func(v []driver.Value) error {
		n := num(v[0])
		p := &piece{span: attemptsOf(n), since: -forever, until: forever}
		if v[1] != nil && v[2] != nil {
			p.since, p.until = num(v[1]), num(v[2])
		}
		if end := ends[n]; end != nil {
			p.lo, p.since = end.hi+1, end.since
		}
		all = append(all, p)
		return nil
	}, "SELECT id, first, last FROM source")
}

// A flow is a store.Flow in terms of the tables.
type flow struct {
	since, until int64
	around       []int64
	read         []span // of time
}

// plan chooses what to read: for each time of each flow the pieces next to it,
// back and on, while there are rows left of those that may be read.
func plan(flows []*flow, all []*piece, rows int) {
	byEnd := slices.Clone(all)
	slices.SortFunc(byEnd, func(a, b *piece) int { return cmp.Compare(b.until, a.until) })
	byStart := slices.Clone(all)
	slices.SortFunc(byStart, func(a, b *piece) int { return cmp.Compare(a.since, b.since) })
	left := max(rows/chunkRows, 1)
	share := max(left/4, 1) // of one side of one time
	for _, f := range flows {
		for _, t := range f.around {
			lo, hi := f.since, f.until
			take := func(s *piece, mine *int) bool {
				if !s.read && (*mine >= share || left == 0) {
					return false
				}
				if !s.read {
					s.read = true
					*mine++
					left--
				}
				return true
			}
			n := 0
			for _, s := range byEnd {
				if s.since <= t && s.until >= f.since && s.since <= f.until && !take(s, &n) {
					lo = max(lo, s.until+1)
					break
				}
			}
			n = 0
			for _, s := range byStart {
				if s.until >= t && s.until >= f.since && s.since <= f.until && !take(s, &n) {
					hi = min(hi, s.since-1)
					break
				}
			}
			if lo <= hi {
				f.read = append(f.read, span{lo, hi})
			}
		}
		slices.SortFunc(f.read, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
		out := f.read[:0]
		for _, s := range f.read {
			if n := len(out); n > 0 && out[n-1].hi+1 >= s.lo {
				out[n-1].hi = max(out[n-1].hi, s.hi)
			} else {
				out = append(out, s)
			}
		}
		f.read = out
	}
}

// FlowHistories reads what was delivered in each flow.
func (d *DB) FlowHistories(ctx context.Context, flows []store.Flow, rows int) ([]store.FlowHistory, error) {
	if len(flows) == 0 {
		return nil, nil
	}
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := d.flowHistories(ctx, c, flows, rows)
	return out, d.wrap("read deliveries", err)
}

func (d *DB) flowHistories(ctx context.Context, c *sqlite3.Conn, asked []store.Flow, rows int) ([]store.FlowHistory, error) {
	flows := make([]*flow, len(asked))
	for i, a := range asked {
		f := &flow{since: a.Since.Unix(), until: a.Until.Unix()}
		for _, t := range a.Around {
			f.around = append(f.around, t.Unix())
		}
		flows[i] = f
	}
	all, err := pieces(c)
	if err != nil {
		return nil, err
	}
	plan(flows, all, rows)
	out := make([]store.FlowHistory, len(asked))
	for i, f := range flows {
		for _, s := range f.read {
			out[i].Read = append(out[i].Read, store.Period{Since: time.Unix(s.lo, 0).UTC(), Until: time.Unix(s.hi, 0).UTC()})
		}
	}
	var found []flowRow
	var routes *flowRoutes
	err = d.together(c,
		func(c *sqlite3.Conn) (err error) {
			found, err = readFlowRows(ctx, c, all)
			return err
		},
		func(c *sqlite3.Conn) (err error) {
			routes, err = readFlowRoutes(c, asked)
			return err
		})
	if err != nil {
		return nil, err
	}
	var senders idSet
	n := 0
	for _, x := range found {
		if len(routes.of(x.route)) > 0 {
			senders.add(int64(x.sender))
			found[n] = x
			n++
		}
	}
	found = found[:n]
	domains, err := textsOf(c, slices.Collect(senders.all()), `SELECT columns(a.id), group_concat(n.text, char(1)) FROM json_each(?) AS w
		CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain`)
	if err != nil {
		return nil, err
	}
	each := func(do func(f int, x *flowRow)) {
		for i := range found {
			x := &found[i]
			for _, f := range routes.of(x.route) {
				if slices.ContainsFunc(flows[f].read, func(s span) bool { return s.lo <= x.at && x.at <= s.hi }) {
					do(f, x)
				}
			}
		}
	}
	size := make([]int, len(flows))
	each(func(f int, _ *flowRow) { size[f]++ })
	for f, n := range size {
		out[f].Deliveries = make([]store.FlowDelivery, 0, n)
	}
	each(func(f int, x *flowRow) {
		out[f].Deliveries = append(out[f].Deliveries, store.FlowDelivery{Time: unix(x.at), Message: x.message, SenderDomain: domains[int64(x.sender)]})
	})
	return out, nil
}

// A flowRow is a row of delivery.
type flowRow struct {
	at            int64
	message       uint64
	sender, route int32
}

// readFlowRows reads the deliveries of the pieces that are to be read.
func readFlowRows(ctx context.Context, c *sqlite3.Conn, all []*piece) (found []flowRow, err error) {
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	var spans []span
	pieces := 0
	for _, s := range all {
		if !s.read {
			continue
		}
		pieces++
		if n := len(spans); n > 0 && spans[n-1].hi+1 >= s.lo {
			spans[n-1].hi = max(spans[n-1].hi, s.hi)
		} else {
			spans = append(spans, s.span)
		}
	}
	found = make([]flowRow, 0, pieces*chunkRows)
	q := question{since: -forever, until: forever}
	return found, q.scanColumns(c, spans, []string{"a.at", "a.queue", layoutSQL("coalesce(a.sender, 0) << $ID_BITS | a.route")}, "FROM delivery AS a WHERE "+q.where(), func(v []int64) error {
		sender, route := v[2]>>idBits, v[2]&maxID
		found = append(found, flowRow{v[0], messageKey(v[1], sender), int32(sender), int32(route)})
		return nil
	})
}

// Flow routes tell which flows a route is of. There may be many routes, and there are
// few sets of flows.
type flowRoutes struct {
	sets   [][]int
	unions map[[2]int32]int32
	set    numbers // by route
}

func (r *flowRoutes) of(route int32) []int { return r.sets[r.set.of(int64(route))] }

// with is the set that holds the flows of both.
func (r *flowRoutes) with(a, b int32) int32 {
	switch {
	case a == b || b == 0:
		return a
	case a == 0:
		return b
	}
	n, known := r.unions[[2]int32{a, b}]
	if !known {
		list := slices.Concat(r.sets[a], r.sets[b])
		slices.Sort(list)
		n = int32(len(r.sets))
		r.sets = append(r.sets, slices.Compact(list))
		r.unions[[2]int32{a, b}] = n
	}
	return n
}

func readFlowRoutes(c *sqlite3.Conn, flows []store.Flow) (*flowRoutes, error) {
	r := &flowRoutes{sets: [][]int{nil}, unions: make(map[[2]int32]int32)}
	relays, domains := make(map[string]int32), make(map[string]int32)
	for i, f := range flows {
		r.sets = append(r.sets, []int{i})
		n := int32(len(r.sets) - 1)
		for _, name := range f.Relays {
			relays[lower(name)] = r.with(relays[lower(name)], n)
		}
		for _, name := range f.Domains {
			domains[lower(name)] = r.with(domains[lower(name)], n)
		}
	}
	var hosts, ends numbers // by name: the sets of a relay, of a recipient's domain
	err := batches(c, "name", func(lo, hi int64) error {
		return c.Texts(1, func(v []int64, name string) error {
			name = fold(name)
			if set := domains[name]; set != 0 {
				ends.set(v[0], set)
			}
			for rest, more := name, true; more; _, rest, more = strings.Cut(rest, ".") {
				if set := relays[rest]; set != 0 {
					hosts.set(v[0], r.with(hosts.of(v[0]), set))
				}
			}
			return nil
		}, "SELECT columns(id), group_concat(text, char(1)) FROM name WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if err != nil {
		return nil, err
	}
	return r, batches(c, "route", func(lo, hi int64) error {
		return c.Columns(3, func(v []int64) error {
			if set := r.with(ends.of(v[1]), hosts.of(v[2])); set != 0 {
				r.set.set(v[0], set)
			}
			return nil
		}, "SELECT columns(id, domain, host) FROM route WHERE id BETWEEN ? AND ?", lo, hi)
	})
}
