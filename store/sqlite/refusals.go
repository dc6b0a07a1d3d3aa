package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// messageKey identifies a message: its queue id, as returned by the SQL function ints, and its
// sender, since short queue ids are reused.
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
	original          int32 // id of its domain; 0: no original recipient
}

// refusalsSorted is how many rows are read at once and sorted in memory here. More rows are sorted
// by SQLite and read in parts.
const refusalsSorted = 600_000

// These limits bound the memory during a flood, in which each of refusalsSorted rows may have a
// reply and a route of its own. Without them 1,000,000 refusals that all differ took 595 MB. They
// are variables for tests.
var (
	wordsAtOnce   = 100_000 // distinct replies and routes whose texts are read at once
	refusalsBatch = 50_000  // rows of a part, where not all are yielded at once
	traitsKnown   = 100_000 // traits kept in memory
)

// Refusals yields the failed attempts that match f, sorted by time.
func (r *reader) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	return func(yield func(*store.Refusal, error) bool) {
		err := r.refusals(ctx, f, func(x *store.Refusal) bool { return yield(x, nil) })
		if err != nil && err != errEnough {
			yield(nil, r.wrap("read refusals", err))
		}
	}
}

func (r *reader) refusals(ctx context.Context, f store.Filter, yield func(*store.Refusal) bool) error {
	f, ok := failedOnly(f)
	if !ok {
		return nil
	}
	c := r.take(ctx)
	defer c.Unlock()
	q, err := r.counting.query(c.Conn, f)
	if err != nil || q.nothing {
		return err
	}
	var wanted *idSet // recipients, if there are too many to list in SQL
	if len(q.recipients) > few {
		q.anyone, wanted = true, new(idSet)
		for _, id := range q.recipients {
			wanted.add(id)
		}
	}
	table, original := "failure", originalDomain
	if f.Guesses {
		err := c.Each(func(v []driver.Value) error {
			q.replies = append(q.replies, num(v[0]))
			return nil
		}, "SELECT id FROM reply WHERE confidence = ? ORDER BY id", bounce.Guess.String())
		if err != nil || len(q.replies) == 0 {
			return err
		}
	}
	if covers(store.Suspect, f.Reasons) && q.logins == nil {
		table, original = "refusal", "a.original"
		if len(f.Reasons) == len(store.Suspect) && len(f.Outcomes) == 2 {
			q.Outcomes, q.Reasons = nil, nil // the table holds only these
		}
	}
	_, spans, err := q.spans(c.Conn)
	if err != nil {
		return err
	}
	row := []string{"a.id", layoutSQL("a.at << $ID_BITS | a.reply"), "a.queue", layoutSQL("a.recipient << $ID_BITS | coalesce(a.sender, 0)"), layoutSQL("coalesce(a.before, 0) << $ID_BITS | a.route"), original}
	from := " FROM " + table + " AS a WHERE " + q.where()
	if f.Known {
		from += knownBefore
	}
	scan := func(v []int64) refusalRow {
		return refusalRow{
			id: v[0], message: messageKey(v[2], v[3]&maxID), at: v[1] >> idBits, before: seconds(v[4] >> idBits),
			recipient: int32(v[3] >> idBits), sender: int32(v[3] & maxID), route: int32(v[4] & maxID), reply: int32(v[1] & maxID),
			original: int32(v[5]),
		}
	}
	t := &traits{texts: newTexts(c.Conn), known: make(map[traitsKey]*store.Traits)}
	if len(q.recipients) > 0 && q.faults() == "fault" {
		rows, err := faultRows(c.Conn, q, spans, wanted, row, scan)
		if err != nil {
			return err
		}
		return r.yieldRefusals(ctx, c, t, rows, yield)
	}
	some, n := q.Own || f.Known || q.since != -forever, int64(0) // then most rows of the table are not selected
	if !some {
		if n, err = c.Number("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", refusalsSorted+1); err != nil {
			return err
		}
	}
	if some || n <= refusalsSorted {
		rows, err := r.refusalRows(c, q, spans, n, wanted, row, from, scan)
		if err == nil {
			return r.yieldInParts(ctx, c, t, rows, yield)
		}
		if err != errMany {
			return err
		}
	}
	rows, values := make([]refusalRow, 0, refusalsBatch), make([]int64, len(row))
	err = q.once(c.Conn, func(v []driver.Value) error {
		queue := v[2]
		if text, ok := queue.(string); ok {
			queue = sqlite3.TextHash(text)
		}
		for i := range v {
			values[i] = num(v[i])
		}
		values[2] = num(queue)
		if x := scan(values); wanted == nil || wanted.has(int64(x.recipient)) {
			rows = append(rows, x)
		}
		if len(rows) < cap(rows) {
			return nil
		}
		err := r.yieldRefusals(ctx, c, t, runs{rows}, yield)
		rows = rows[:0]
		return err
	}, "SELECT "+strings.Join(row, ", ")+from+inSpans(spans)+" ORDER BY a.at, a.id", q.since, q.until)
	if err != nil {
		return err
	}
	return r.yieldRefusals(ctx, c, t, runs{rows}, yield)
}

// knownBefore is the condition that the recipient took mail before the attempt. A delivery that was
// stored later, from an older log, is known from the address only. See history.around.
const knownBefore = " AND (a.before IS NOT NULL OR (SELECT first FROM address WHERE id = a.recipient) BETWEEN 1 AND a.at)"

// faultRows reads the rows of failure that the query selects in the table fault. That table is a
// third as wide, and few of its rows are for the recipients in the filter.
func faultRows(c *sqlite3.Conn, q *query, spans []span, wanted *idSet, row []string, scan func([]int64) refusalRow) (runs, error) {
	var ids []int64
	err := q.scanColumns(c, spans, []string{"a.id", "a.recipient"}, "FROM fault AS a WHERE "+q.where(), func(v []int64) error {
		if wanted == nil || wanted.has(v[1]) {
			ids = append(ids, v[0])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([]refusalRow, 0, len(ids))
	err = inBatches(slices.Values(ids), func(list string) error {
		return c.Columns(len(row), func(v []int64) error {
			rows = append(rows, scan(v))
			return nil
		}, "SELECT columns("+strings.Join(row, ", ")+") FROM json_each(?) AS w CROSS JOIN failure AS a ON a.id = w.value", list)
	})
	slices.SortFunc(rows, func(a, b refusalRow) int { return inOrder(&a, &b) })
	return runs{rows}, err
}

// errMany reports that there are more than refusalsSorted rows.
var errMany = errors.New("too many rows to be put in order at once")

// refusalRows reads the selected rows, half of the table on each of two connections. n is the number
// of rows of the table; 0: not known. If more than refusalsSorted are selected it returns errMany.
func (r *reader) refusalRows(c turn, q *query, spans []span, n int64, wanted *idSet, row []string, from string, scan func([]int64) refusalRow) (runs, error) {
	all, err := r.counting.pieces(c.Conn)
	if err != nil {
		return nil, err
	}
	middle := int64(0)
	if len(all) > 0 {
		all = slices.SortedFunc(slices.Values(all), func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
		middle = all[len(all)/2].lo
	}
	left := new(atomic.Int64)
	left.Store(refusalsSorted)
	var halves [2]runs
	read := func(half int, part span) func(c *sqlite3.Conn) error {
		return func(c *sqlite3.Conn) (err error) {
			halves[half], err = refusalRuns(c, q, clipSpans(spans, part), n-n/2, left, wanted, row, from, scan)
			return err
		}
	}
	err = r.together(c, read(0, span{math.MinInt64, middle - 1}), read(1, span{middle, math.MaxInt64}))
	if errors.Is(err, errMany) {
		return nil, errMany
	}
	return slices.Concat(halves[0], halves[1]), err
}

// clipSpans returns the parts of spans that lie in another span.
func clipSpans(spans []span, in span) (out []span) {
	for _, s := range spans {
		if s.lo, s.hi = max(s.lo, in.lo), min(s.hi, in.hi); s.lo <= s.hi {
			out = append(out, s)
		}
	}
	return out
}

// runsAtMost is the number of sorted runs from which the rows are sorted as a whole instead of
// merged.
const runsAtMost = 4

// refusalRuns reads rows, about n of them; 0: not known. It returns
// errMany once left, which all callers share, is used up.
func refusalRuns(c *sqlite3.Conn, q *query, spans []span, n int64, left *atomic.Int64, wanted *idSet, row []string, from string, scan func([]int64) refusalRow) (runs, error) {
	rows := make([]refusalRow, 0, n)
	var ends []int // ends of sorted runs: the rows of a log are mostly in order
	err := q.scanColumns(c, spans, row, from, func(v []int64) error {
		x := scan(v)
		if wanted != nil && !wanted.has(int64(x.recipient)) {
			return nil
		}
		if left.Add(-1) < 0 {
			return errMany
		}
		rows = append(rows, x)
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

// runs are a few sorted lists of rows.
type runs [][]refusalRow

// all yields the rows of all runs, sorted.
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

// A history is a recipient with the deliveries to it.
type history struct {
	name        string  // the local part, until named is set
	named       bool    // name is the whole address
	last, first int64   // times of deliveries, 0: none
	recovered   []int64 // sorted
}

// readPeople reads the deliveries to the recipients of some rows.
func readPeople(c *sqlite3.Conn, people *byID[history]) error {
	return inBatches(people.ids.all(), func(wanted string) error {
		return c.Texts(3, func(v []int64, local string) error {
			p := people.at(v[0])
			p.name, p.last, p.first = local, max(v[1], 0), max(v[2], 0)
			return nil
		}, "SELECT columns(a.id, a.last, a.first), group_concat(a.local, char(1)) FROM json_each(?) AS w CROSS JOIN address AS a ON a.id = w.value", wanted)
	})
}

// readRecoveries reads the times of the first deliveries after failures.
func readRecoveries(c *sqlite3.Conn, people *byID[history]) error {
	return inBatches(people.ids.all(), func(wanted string) error {
		var times []int64 // times of one recipient are consecutive
		return c.Columns(2, func(v []int64) error {
			p := people.at(v[0])
			times = append(times, v[1])
			p.recovered = times[len(times)-len(p.recovered)-1 : len(times) : len(times)]
			return nil
		}, "SELECT columns(r.recipient, r.at) FROM json_each(?) AS w CROSS JOIN recovery AS r ON r.recipient = w.value", wanted)
	})
}

// around returns the last delivery before the attempt and the first one after it, among those known;
// 0: none. See store.Refusal.
func (p *history) around(r *refusalRow) (before, after int64) {
	note := func(at int64) {
		if at != 0 && at <= r.at {
			before = max(before, at)
		}
		if at != 0 && at >= r.at && (after == 0 || at < after) {
			after = at
		}
	}
	note(int64(r.before))
	note(p.first)
	note(p.last)
	next, _ := slices.BinarySearch(p.recovered, r.at)
	for _, at := range p.recovered[max(next-1, 0):min(next+1, len(p.recovered))] {
		note(at)
	}
	return before, after
}

// A senderText is the address of a sender.
type senderText struct {
	id        int32 // of its domain
	domain    string
	null, srs bool
}

// refusalSenders reads the senders of some rows.
func refusalSenders(c *sqlite3.Conn, rows runs) (*byID[senderText], error) {
	// An unknown sender has the number 0.
	senders := newByID[senderText](rows, func(r *refusalRow) int32 { return r.sender })
	domains := make(map[string]string) // one copy of each text
	note := func(v []driver.Value) error {
		local, domain := str(v[1]), str(v[2])
		if known, ok := domains[domain]; ok {
			domain = known
		} else {
			domains[domain] = domain
		}
		srs := store.Rewritten(local)
		*senders.at(num(v[0])) = senderText{int32(num(v[3])), domain, local == "" && v[2] == "", srs}
		return nil
	}
	return senders, inBatches(senders.ids.all(), func(wanted string) error {
		return c.Each(note, "SELECT a.id, a.local, n.text, n.id FROM json_each(?) AS w CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain", wanted)
	})
}

// A refusalRoute holds the names of a route.
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

// A refusalReply is the part of a reply that Traits need. It is a quarter of the size of a
// replyText, and there may be one for each row.
type refusalReply struct {
	known    bool
	outcome  bounce.Outcome
	code     uint16
	stage    bounce.Stage
	untried  bool
	template string
	verdict  bounce.Verdict
}

// refusalReplies reads the replies of some rows.
func refusalReplies(c *sqlite3.Conn, rows runs) (*byID[refusalReply], error) {
	replies := newByID[refusalReply](rows, func(r *refusalRow) int32 { return r.reply })
	words := make(map[string]string) // rules and details: one copy of each text
	word := func(v driver.Value) string {
		s := str(v)
		if known, ok := words[s]; ok {
			return known
		}
		return remember(words, s, s)
	}
	note := func(v []driver.Value) error {
		x := replies.at(num(v[0]))
		x.known = true
		x.outcome, x.verdict.Reason = outcomeOf(num(v[1])), reasonOf(num(v[1]))
		x.code, x.template = uint16(num(v[2])), str(v[4])
		x.stage, _ = bounce.ParseStage(str(v[3]))
		x.verdict.Detail, x.verdict.Rule = word(v[5]), word(v[7])
		x.verdict.Scope, _ = bounce.ParseScope(str(v[6]))
		x.verdict.Confidence, _ = bounce.ParseConfidence(str(v[8]))
		_, x.untried = v[9].(int64)
		return nil
	}
	err := inBatches(replies.ids.all(), func(wanted string) error {
		return c.Each(note, `SELECT r.id, r.kind, r.code, r.stage, r.template, r.detail, r.scope, r.rule, r.confidence, r.last_try
			FROM json_each(?) AS w CROSS JOIN reply AS r ON r.id = w.value`, wanted)
	})
	for id := range replies.ids.all() {
		if err == nil && !replies.at(id).known {
			err = errMissingRow("reply", id)
		}
	}
	return replies, err
}

// A traitsKey identifies the Traits of a refusal by ids.
type traitsKey struct {
	source, route, reply, domain int32 // domain is that of the sender
	null, forwarded              bool
}

// traits caches the first traitsKnown distinct store.Traits, which refusals share. Later refusals
// have their own, a third of a kilobyte each, for as long as the caller uses them.
type traits struct {
	*texts
	known map[traitsKey]*store.Traits
}

// of returns the traits with a key, or allocates them.
func (t *traits) of(k traitsKey) (x *store.Traits, known bool) {
	if x := t.known[k]; x != nil {
		return x, true
	}
	x = new(store.Traits)
	if len(t.known) < traitsKnown {
		t.known[k] = x
	}
	return x, false
}

// yieldInParts calls yieldRefusals for all rows at once, or for refusalsBatch rows at a time if the
// rows have more than wordsAtOnce replies or routes.
func (r *reader) yieldInParts(ctx context.Context, c turn, t *traits, rows runs, yield func(*store.Refusal) bool) error {
	var replies, routes idSet
	for _, list := range rows {
		for i := range list {
			replies.add(int64(list[i].reply))
			routes.add(int64(list[i].route))
		}
	}
	if replies.ranked()+routes.ranked() <= wordsAtOnce {
		return r.yieldRefusals(ctx, c, t, rows, yield)
	}
	part := make([]refusalRow, 0, refusalsBatch)
	for row := range rows.all() {
		if part = append(part, *row); len(part) < cap(part) {
			continue
		}
		if err := r.yieldRefusals(ctx, c, t, runs{part}, yield); err != nil {
			return err
		}
		part = part[:0]
	}
	return r.yieldRefusals(ctx, c, t, runs{part}, yield)
}

// yieldRefusals reads the texts of rows and yields the refusals.
func (r *reader) yieldRefusals(ctx context.Context, c turn, t *traits, rows runs, yield func(*store.Refusal) bool) error {
	var senders *byID[senderText]
	var routes *byID[refusalRoute]
	people := newByID[history](rows, func(r *refusalRow) int32 { return r.recipient })
	err := r.together(c,
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
	replies, err := refusalReplies(c.Conn, rows)
	if err != nil {
		return err
	}
	lines, err := expiryLines(c.Conn, rows)
	if err != nil {
		return err
	}
	sources := make(map[int64]string) // names by number
	for _, list := range rows {
		for i := range list {
			line := attemptID(list[i].id)
			if line.expired() {
				line = lines[line]
			}
			if _, known := sources[line.source()]; !known {
				if sources[line.source()], err = t.source(line.source()); err != nil {
					return err
				}
			}
		}
	}
	time := func(at int64) (t time.Time) {
		if at != 0 {
			t = unix(at)
		}
		return t
	}
	var x store.Refusal
	one := func(row *refusalRow) bool {
		line := attemptID(row.id)
		x.N = 0
		if line.expired() {
			x.N, line = nOf(line), lines[line]
		}
		sender, route := senders.at(int64(row.sender)), routes.at(int64(row.route))
		forwarded := sender.srs || row.original != 0 && row.original != route.domain
		var known bool
		x.Traits, known = t.of(traitsKey{int32(line.source()), row.route, row.reply, sender.id, sender.null, forwarded})
		if !known {
			reply := replies.at(int64(row.reply))
			*x.Traits = store.Traits{
				Source: sources[line.source()], SenderDomain: sender.domain, NullSender: sender.null, RecipientDomain: route.domainAs, Forwarded: forwarded,
				RelayHost: route.host, RelayIP: route.ip, RelayPort: route.port,
				Outcome: reply.outcome, Code: reply.code, Stage: reply.stage, Untried: reply.untried, Template: reply.template, Verdict: reply.verdict,
			}
		}
		history := people.at(int64(row.recipient))
		if !history.named {
			history.name, history.named = join(history.name, route.domainAs), true
		}
		x.Offset, x.Time, x.Message, x.Recipient = line.offset(), unix(row.at), row.message, history.name
		before, after := history.around(row)
		x.DeliveredBefore, x.DeliveredAfter = time(before), time(after)
		return yield(&x)
	}
	// Everything is read, so the connection is free while the caller iterates.
	n := 0
	if !c.pause(func() bool {
		for row := range rows.all() {
			if n++; n%1024 == 0 && ctx.Err() != nil || !one(row) {
				return false
			}
		}
		return true
	}) {
		return cmp.Or(ctx.Err(), errEnough)
	}
	return nil
}

// expiryLines returns the lines that expired the pairs of some rows.
func expiryLines(c *sqlite3.Conn, rows runs) (map[attemptID]attemptID, error) {
	var ids []int64
	for _, list := range rows {
		for i := range list {
			if attemptID(list[i].id).expired() {
				ids = append(ids, list[i].id)
			}
		}
	}
	lines := make(map[attemptID]attemptID, len(ids))
	return lines, inBatches(slices.Values(ids), func(wanted string) error {
		return c.Columns(2, func(v []int64) error {
			lines[attemptID(v[0])] = attemptID(v[1])
			return nil
		}, "SELECT columns(a.id, a.line) FROM json_each(?) AS w CROSS JOIN failure AS a ON a.id = w.value", wanted)
	})
}

// newByID makes room for the ids that of returns for some rows.
func newByID[V any](rows runs, of func(*refusalRow) int32) *byID[V] {
	b := new(byID[V])
	for _, list := range rows {
		for i := range list {
			b.ids.add(int64(of(&list[i])))
		}
	}
	b.list = make([]V, b.ids.ranked())
	return b
}
