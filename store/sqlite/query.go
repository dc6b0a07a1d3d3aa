package sqlite

import (
	"cmp"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A query is a filter translated to ids of the tables.
type query struct {
	store.Filter
	since, until int64 // seconds; until is exclusive

	failedOnly bool    // only recipients that never accepted mail
	nothing    bool    // the filter names something that the database does not hold
	domains    []int64 // of the recipient
	senderDom  int64
	inDomain   []int64        // the senders of senderDom, if they are few and were looked up
	senders    []int64        // nil: any
	logins     []int64        // nil: any
	replies    []int64        // nil: any
	routes     map[int64]bool // nil: any
	kinds      func(kind int64) bool
	origins    map[int64]bool
	recipients []int64
	queue      any
	message    int64   // secret.messageHash; 0: any
	originals  []int64 // attempts with the original recipient; nil: any

	anyone bool // the caller filters by recipient

	counting *counting
	held     *heldDays // see narrow; nil: not known
}

const forever = 1 << 40 // past the year 36000

// query translates a filter to ids of the tables.
func (k *counting) query(c *sqlite3.Conn, f store.Filter) (*query, error) {
	f.Relay = strings.TrimPrefix(f.Relay, ".")
	none := false
	if len(f.Logins) > 0 {
		only, ok := failedOnly(f)
		f, none = only, !ok
	}
	q := &query{Filter: f, until: forever, since: -forever, counting: k}
	if !f.Since.IsZero() {
		q.since = ceilSecond(f.Since)
	}
	if !f.Until.IsZero() {
		q.until = ceilSecond(f.Until)
	}
	var err error
	if q.domains, q.senderDom, err = k.namesAsked(c, f); err != nil {
		return nil, err
	}
	anywhere := len(f.RecipientDomains()) == 0
	q.nothing = none || !anywhere && len(q.domains) == 0 || f.SenderDomain != "" && q.senderDom == 0
	set := func(sql string, args ...any) (map[int64]bool, error) {
		m := make(map[int64]bool)
		err := c.Each(func(row []driver.Value) error {
			m[row[0].(int64)] = true
			return nil
		}, sql, args...)
		q.nothing = q.nothing || len(m) == 0
		return m, err
	}
	if !q.nothing && (!anywhere || f.Relay != "" || f.RelayIP != "" || f.To != nil) {
		if q.routes, err = k.routesOf(c, q); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.routes) == 0
	}
	if f.Host != "" || f.MTA != "" {
		if q.origins, err = set("SELECT id FROM origin WHERE ?1 IN ('', host) AND ?2 IN ('', mta)", f.Host, string(f.MTA)); err != nil {
			return nil, err
		}
	}
	q.kinds = func(kind int64) bool {
		return (len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcomeOf(kind))) &&
			(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reasonOf(kind)))
	}
	if len(f.Reasons) > 0 && !q.nothing {
		replies, err := k.replyKinds(c)
		if err != nil {
			return nil, err
		}
		q.nothing = true
		for kind := range replies.kinds {
			q.nothing = q.nothing && !q.kinds(kind)
		}
	}
	if len(f.Senders) > 0 {
		if q.senders, err = findRecipients(c, f.Senders); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.senders) == 0
	}
	if len(f.Logins) > 0 {
		list, err := json.Marshal(f.Logins)
		if err != nil {
			return nil, err
		}
		logins, err := set("SELECT l.id FROM login AS l WHERE l.user IN (SELECT value FROM json_each(?))", string(list))
		if err != nil {
			return nil, err
		}
		q.logins = sorted(logins)
	}
	if len(f.Recipients) > 0 {
		if q.recipients, err = findRecipients(c, f.Recipients); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.recipients) == 0
		if len(q.recipients) > 0 && len(q.recipients) <= few {
			n, err := c.Number("SELECT count(*) FROM address WHERE " + in("id", q.recipients) + " AND last > 0")
			if err != nil {
				return nil, err
			}
			q.failedOnly = n == 0
		}
	}
	if f.QueueID != "" {
		q.queue = queueValue(f.QueueID)
	}
	if f.MessageID != "" {
		secret, _, err := readSecret(c)
		if err != nil {
			return nil, err
		}
		q.message = secret.messageHash(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"))
		q.nothing = q.nothing || q.message == 0
	}
	if f.Original != "" {
		addresses, err := findRecipients(c, []string{f.Original})
		if err != nil {
			return nil, err
		}
		q.originals = []int64{}
		if err := c.Each(func(row []driver.Value) error {
			q.originals = append(q.originals, row[0].(int64))
			return nil
		}, "SELECT id FROM original WHERE "+in("address", addresses)); err != nil {
			return nil, err
		}
		q.nothing = q.nothing || len(q.originals) == 0
	}
	return q, nil
}

// namesAsked returns the ids of the recipients' domains in f that are stored, and of the sender's
// domain; 0: not stored.
func (k *counting) namesAsked(c *sqlite3.Conn, f store.Filter) (domains []int64, sender int64, err error) {
	asked := f.RecipientDomains()
	if len(asked) == 0 && f.SenderDomain == "" {
		return nil, 0, nil
	}
	find, err := k.finder(c)
	if err != nil {
		return nil, 0, err
	}
	if f.SenderDomain != "" {
		if sender, err = find.name(ascii.Lower(f.SenderDomain)); err != nil {
			return nil, 0, err
		}
	}
	for _, name := range asked {
		id, err := find.name(ascii.Lower(name))
		if err != nil {
			return nil, 0, err
		}
		if id != 0 {
			domains = append(domains, id)
		}
	}
	return domains, sender, nil
}

// routesOf returns the routes to a domain and to relays.
func (k *counting) routesOf(c *sqlite3.Conn, q *query) (map[int64]bool, error) {
	ends, err := k.routes(c)
	if err != nil {
		return nil, err
	}
	var relays idSet
	if q.Relay != "" {
		if err := k.relaysBelow(c, q.Relay, &relays); err != nil {
			return nil, err
		}
	}
	var to, unreached idSet
	if q.To != nil {
		for _, relay := range q.To.Relays {
			if err := k.relaysBelow(c, relay, &to); err != nil {
				return nil, err
			}
		}
		find, err := k.finder(c)
		if err != nil {
			return nil, err
		}
		for _, name := range q.To.Domains {
			id, err := find.name(ascii.Lower(name))
			if err != nil {
				return nil, err
			}
			unreached.add(id)
		}
	}
	var hosts idSet
	if q.RelayIP != "" {
		if err := c.Each(func(row []driver.Value) error {
			hosts.add(num(row[0]))
			return nil
		}, "SELECT id FROM route WHERE ip = ?1", ipValue(q.RelayIP)); err != nil {
			return nil, err
		}
	}
	found := make(map[int64]bool)
	one := func(id int64) {
		relay := int64(ends.relays.of(id))
		if q.Relay != "" && !relays.has(relay) || q.RelayIP != "" && !hosts.has(id) {
			return
		}
		if q.To == nil || to.has(relay) || relay == 0 && unreached.has(int64(ends.domains.of(id))) {
			found[id] = true
		}
	}
	for _, domain := range q.domains {
		for id := range ends.to(domain) {
			one(id)
		}
	}
	if len(q.domains) == 0 {
		for id := range ends.domains {
			one(int64(id))
		}
	}
	return found, nil
}

// relaysBelow adds the relay names that end with a suffix.
func (k *counting) relaysBelow(c *sqlite3.Conn, suffix string, to *idSet) error {
	names, err := k.relayNames(c)
	suffix = ascii.Lower(strings.TrimPrefix(suffix, "."))
	for _, name := range names {
		if isRelay(name.text, suffix) {
			to.add(name.id)
		}
	}
	return err
}

// isRelay reports whether a name equals relay or is a subdomain of it.
func isRelay(name, relay string) bool {
	above, ok := strings.CutSuffix(name, relay)
	return ok && (above == "" || strings.HasSuffix(above, "."))
}

// quote returns a text as an SQL string literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// selective reports whether the filter selects only a few attempts.
func (q *query) selective() bool {
	return len(q.Recipients) > 0 || q.QueueID != "" || q.MessageID != "" || q.Original != ""
}

// few is the number of ids up to which a statement lists them.
const few = 500

// spans returns the ranges of ids of delivery and of failure that may hold matching rows, according
// to the times and filters of the chunks. Rows that are not in a chunk yet are included.
func (q *query) spans(c *sqlite3.Conn) (delivered, failed []span, err error) {
	filtered := q.queue != nil || q.message != 0 || 0 < len(q.recipients) && len(q.recipients) <= few
	if !filtered {
		if err := q.narrow(c); err != nil {
			return nil, nil, err
		}
	}
	if q.since == -forever && q.until == forever && !filtered && q.held == nil {
		return []span{{0, math.MaxInt64}}, []span{{expiries.lo, math.MaxInt64}}, nil
	}
	all, err := q.counting.pieces(c)
	if err != nil {
		return nil, nil, err
	}
	if filtered {
		filters, err := q.filtered(c)
		delivered = joined(all, func(p *piece) bool { return filters[p.lo] })
		return delivered, append([]span{expiries}, delivered...), err
	}
	of := func(delivered bool) []span {
		x := selection{delivered: delivered, times: q.times(delivered)}
		return joined(all, x.reads)
	}
	return of(true), of(false), nil
}

// filtered returns the first ids of the chunks that may hold a row for the message or the
// recipients of the query, according to their filters.
func (q *query) filtered(c *sqlite3.Conn) (map[int64]bool, error) {
	var keys [][]uint64 // a chunk must hold one key of each list
	if n := len(q.recipients); 0 < n && n <= few {
		var any []uint64
		for _, r := range q.recipients {
			any = append(any, recipientKey(r))
		}
		keys = append(keys, any)
	}
	if q.queue != nil {
		keys = append(keys, []uint64{queueKey(q.QueueID)})
	}
	if q.message != 0 {
		keys = append(keys, []uint64{messageHashKey(q.message)})
	}
	in := make(map[int64]bool)
	return in, c.Each(func(row []driver.Value) error {
		filter, _ := row[1].([]byte)
		for _, any := range keys {
			if !slices.ContainsFunc(any, func(key uint64) bool { return mayHold(filter, key) }) {
				return nil
			}
		}
		in[num(row[0])] = true
		return nil
	}, "SELECT id, bits FROM chunk WHERE since < ?1 AND until >= ?2", q.until, q.since)
}

// joined returns the spans of the expiries and chunks that in selects, and those of all rows in no chunk yet.
// Spans with no row between them are joined, since each span runs a statement.
func joined(all []*piece, in func(*piece) bool) []span {
	var spans []span
	for i, p := range all { // expiries and chunks in the order of their rows, then the others
		s := p.span
		if !p.open() {
			if !in(p) {
				continue
			}
			if next := i + 1; next < len(all) && all[next].source() == p.source() {
				s.hi = all[next].lo - 1
			}
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].hi+1 >= s.lo {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

// heldDays are the days, as sorted spans of time, on which the tables hold attempts to the routes
// of a query.
type heldDays struct{ delivered, failed []span }

// narrow looks up the days on which there are attempts to the routes of the query, unless that
// takes longer than to read the rows. Most domains get mail on few days: to find that there was no
// delivery to a domain took 0.4 s among 8.9 million deliveries, and takes 1 ms.
func (q *query) narrow(c *sqlite3.Conn) error {
	if q.held != nil || q.routes == nil || q.selective() {
		return nil
	}
	all, err := q.counting.pieces(c)
	if err != nil {
		return err
	}
	lo, hi, err := periodsOf(c, "rollup_route")
	lo, hi = max(lo, q.since/day), min(hi, q.until/day+1)
	if err != nil || (hi-lo)*int64(len(q.routes)) > int64(during(all, span{q.since, q.until})) {
		return err
	}
	delivered, failed := make(map[int64]bool), make(map[int64]bool)
	err = eachCell(c, "rollup_route", lo, hi, sorted(q.routes), func(key cellKey, _ []int64) {
		switch kind := key.kind(); {
		case !q.kinds(kind):
		case outcomeOf(kind) == bounce.Delivered:
			delivered[key.period()] = true
		default:
			failed[key.period()] = true
		}
	})
	times := func(days map[int64]bool) (list []span) {
		for _, n := range sorted(days) {
			if at := len(list) - 1; at >= 0 && list[at].hi == n*day {
				list[at].hi += day
				continue
			}
			list = append(list, span{n * day, (n + 1) * day})
		}
		return list
	}
	q.held = &heldDays{times(delivered), times(failed)}
	return err
}

// times returns the spans of time in which a table may hold matching rows.
func (q *query) times(delivered bool) []span {
	switch {
	case q.held == nil:
		return []span{{q.since, q.until}}
	case delivered:
		return cutTo(q.held.delivered, span{q.since, q.until})
	}
	return cutTo(q.held.failed, span{q.since, q.until})
}

// cutTo returns the parts of sorted spans that lie in another span.
func cutTo(spans []span, whole span) (out []span) {
	for _, s := range spans {
		if s.lo, s.hi = max(s.lo, whole.lo), min(s.hi, whole.hi); s.lo < s.hi {
			out = append(out, s)
		}
	}
	return out
}

// A selection is a statement that reads one table in a span of ids.
type selection struct {
	sql       string
	delivered bool // the table is delivery
	stmt      *sqlite3.Stmt
	times     []span // of matching rows
}

// reads reports whether a piece may hold matching rows of the table.
func (x *selection) reads(p *piece) bool { return !(x.delivered && p.expiries()) && p.within(x.times) }

// inTime returns the pieces that may hold matching rows, sorted by time, or from the last if last
// is true. Pieces without stored times come first.
func (q *query) inTime(c *sqlite3.Conn, last bool) ([]*piece, error) {
	all, err := q.counting.pieces(c)
	if err == nil {
		err = q.narrow(c)
	}
	if err != nil {
		return nil, err
	}
	var list []*piece
	deliveries, failures := selection{delivered: true, times: q.times(true)}, selection{times: q.times(false)}
	delivered, failed := q.wants()
	for _, p := range all {
		if p.open() {
			tail := *p
			tail.Since, tail.Until = -forever, forever
			list = append(list, &tail)
		} else if delivered && deliveries.reads(p) || failed && failures.reads(p) {
			list = append(list, p)
		}
	}
	if last {
		slices.SortFunc(list, func(a, b *piece) int { return cmp.Compare(b.Until, a.Until) })
	} else {
		slices.SortFunc(list, func(a, b *piece) int { return cmp.Compare(a.Since, b.Since) })
	}
	return list, nil
}

// in returns the condition that a column is one of some ids.
func in(column string, ids []int64) string {
	list := idList(ids)
	if len(ids) > few {
		return column + " IN (SELECT value FROM json_each('" + list + "'))"
	}
	return column + " IN (" + list[1:len(list)-1] + ")"
}

// findSenders looks up the senders of the domain in the filter, unless there are many. Otherwise a
// statement that runs for each piece would scan all addresses each time.
func (q *query) findSenders(c *sqlite3.Conn) error {
	if q.senderDom == 0 {
		return nil
	}
	err := c.Columns(1, func(v []int64) error {
		q.inDomain = append(q.inDomain, v[0])
		return nil
	}, "SELECT columns(id) FROM (SELECT id FROM address WHERE domain = ? LIMIT ?)", q.senderDom, few+1)
	if len(q.inDomain) > few {
		q.inDomain = nil
	}
	return err
}

// wants reports which tables can hold matching rows.
func (q *query) wants() (delivered, failed bool) {
	delivered, failed = true, true
	if len(q.Outcomes) > 0 {
		delivered = slices.Contains(q.Outcomes, bounce.Delivered)
		failed = !delivered || len(q.Outcomes) > 1
	}
	if len(q.Reasons) > 0 && !slices.Contains(q.Reasons, bounce.NoReason) {
		delivered = false
	}
	return delivered && !q.failedOnly, failed
}

// ofReplies returns the condition on a row of reply; empty: none.
func (q *query) ofReplies() string {
	var replies []string
	if q.origins != nil {
		replies = append(replies, in("origin", sorted(q.origins)))
	}
	if len(q.Outcomes) > 0 {
		var ids []int64
		for _, o := range q.Outcomes {
			ids = append(ids, int64(o))
		}
		replies = append(replies, in(layoutSQL("kind >> $REASON_BITS"), ids))
	}
	if len(q.Reasons) > 0 {
		var ids []int64
		for _, r := range q.Reasons {
			ids = append(ids, int64(r))
		}
		replies = append(replies, in(layoutSQL("kind & $REASON_MASK"), ids))
	}
	if q.Own { // store.MayBeOwn
		replies = append(replies, fmt.Sprintf("(coalesce(code, 0) = 0 OR coalesce(detail, '') <> '' OR %s IN (%d, %d))", layoutSQL("kind & $REASON_MASK"), bounce.RelayDenied, bounce.RateLimited))
	}
	return strings.Join(replies, " AND ")
}

// inReplies returns the condition that a row's reply satisfies cond.
func inReplies(cond string) string { return "a.reply IN (SELECT id FROM reply WHERE " + cond + ")" }

// inTimes is the condition on the time of a row. Its two parameters are the times of the query.
const inTimes = "a.at >= ?1 AND a.at < ?2"

// where returns the condition on a row of either table.
func (q *query) where() string {
	cond := []string{inTimes}
	if q.routes != nil {
		cond = append(cond, in("a.route", sorted(q.routes)))
	}
	if len(q.senders) > 0 {
		cond = append(cond, in("a.sender", q.senders))
	}
	if len(q.logins) > 0 {
		cond = append(cond, in("a.client", q.logins))
	}
	if len(q.replies) > 0 {
		cond = append(cond, in("a.reply", q.replies))
	}
	if len(q.inDomain) > 0 {
		cond = append(cond, in("a.sender", q.inDomain))
	} else if q.senderDom != 0 {
		cond = append(cond, fmt.Sprintf("a.sender IN (SELECT id FROM address WHERE domain = %d)", q.senderDom))
	}
	if replies := q.ofReplies(); replies != "" {
		cond = append(cond, inReplies(replies))
	}
	if len(q.recipients) > 0 && !q.anyone {
		cond = append(cond, in("a.recipient", q.recipients))
	}
	if q.message != 0 {
		cond = append(cond, fmt.Sprintf("a.message_hash = %d", q.message))
	}
	if q.originals != nil {
		cond = append(cond, in("a.id", q.originals))
	}
	switch v := q.queue.(type) {
	case int64:
		cond = append(cond, fmt.Sprintf("a.queue = %d", v))
	case string:
		cond = append(cond, "a.queue = "+quote(v))
	}
	return strings.Join(cond, " AND ")
}

// repliesInSQL is the largest number of replies that a statement which runs once per batch of rows
// may scan. A flood can create any number of replies. Above the limit they are scanned once for all
// batches, since otherwise the time grows with the square of the flood: problem.Find among
// 1,000,000 refusals that all differ took 54 s of CPU, and takes 5.6 s with this limit and with
// replies read in batches.
var repliesInSQL int64 = 20_000 // a variable for tests

// withoutReplies removes the condition by reply from a statement and returns the replies that it
// selects. If it returns nil, the condition was left in.
func (q *query) withoutReplies(c *sqlite3.Conn, from string) (rest string, wanted *idSet, err error) {
	cond := q.ofReplies()
	if cond == "" || !strings.Contains(from, inReplies(cond)) {
		return from, nil, nil
	}
	last, err := c.Number("SELECT coalesce(max(id), 0) FROM reply")
	if err != nil || last <= repliesInSQL {
		return from, nil, err
	}
	wanted = new(idSet)
	err = batches(c, "reply", func(lo, hi int64) error {
		return c.Columns(1, func(v []int64) error {
			wanted.add(v[0])
			return nil
		}, "SELECT columns(id) FROM reply WHERE id BETWEEN ? AND ? AND "+cond, lo, hi)
	})
	return strings.Replace(from, inReplies(cond), "1", 1), wanted, err
}

// scanColumns calls Conn.Columns for the rows of one table whose ids are in some spans, in the
// order of the spans, one batch at a time. from is the statement from "FROM" on: the table as a, a
// condition, and two parameters for the times of the query. Fewer columns are faster, so numbers
// that fit into one column are packed.
func (q *query) scanColumns(c *sqlite3.Conn, spans []span, columns []string, from string, fn func(v []int64) error) error {
	from, replies, err := q.withoutReplies(c, from)
	if err != nil {
		return err
	}
	if q.since == -forever && q.until == forever {
		from = strings.Replace(from, inTimes, "1", 1) // saves a tenth of the scan
	}
	if replies != nil {
		n, all := len(columns), fn
		columns = append(slices.Clip(columns), "a.reply")
		fn = func(v []int64) error {
			if !replies.has(v[n]) {
				return nil
			}
			return all(v[:n])
		}
	}
	var inner, outer []string
	for i, column := range columns {
		inner = append(inner, fmt.Sprintf("%s AS c%d", column, i))
		outer = append(outer, fmt.Sprintf("c%d", i))
	}
	s, err := c.Prepare("SELECT columns(" + strings.Join(outer, ", ") + "), max(id) FROM (SELECT " + strings.Join(inner, ", ") + ", a.id " + from +
		" AND a.id BETWEEN ?3 AND ?4 ORDER BY a.id LIMIT ?5)")
	if err != nil {
		return err
	}
	defer s.Close()
	for _, sp := range spans {
		for lo, n := sp.lo, sqlite3.Batch; n == sqlite3.Batch; {
			n, err = s.Columns(len(columns), func(v []int64, last driver.Value) error {
				lo = num(last) + 1
				return fn(v)
			}, q.since, q.until, lo, sp.hi, sqlite3.Batch)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// within runs a statement for each span.
func (q *query) within(c *sqlite3.Conn, fn func([]driver.Value) error, sql string, spans []span) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, sp := range spans {
		if err := s.Each(fn, q.since, q.until, sp.lo, sp.hi); err != nil {
			return err
		}
	}
	return nil
}

// once runs a statement without keeping it prepared.
func (q *query) once(c *sqlite3.Conn, fn func([]driver.Value) error, sql string, args ...any) error {
	return c.Once(fn, sql, args...)
}

// errEnough ends a query when the caller stops iterating.
var errEnough = errors.New("enough")

// faults returns the table to read recipients' failures from: the narrow one if it has all the rows
// and columns needed.
func (q *query) faults() string {
	if covers(store.Faults, q.Reasons) && q.routes == nil && q.senderDom == 0 && q.senders == nil && q.logins == nil && q.queue == nil && q.message == 0 && q.originals == nil {
		return "fault"
	}
	return "failure"
}

// failedOnly restricts f to failed attempts; ok is false if f selects none of them.
func failedOnly(f store.Filter) (only store.Filter, ok bool) {
	var outcomes []bounce.Outcome
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		if len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, o) {
			outcomes = append(outcomes, o)
		}
	}
	f.Outcomes = outcomes
	return f, outcomes != nil
}
