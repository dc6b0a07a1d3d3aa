package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// failures returns the condition of a query on rows of failure, restricted to the replies with
// these ids.
func (q *query) failures(c *sqlite3.Conn, replies []int64) (string, error) {
	where := q.where() + " AND " + in("a.reply", replies)
	_, spans, err := q.spans(c)
	if err != nil || len(spans) > 20 {
		return where, err
	}
	return where + inSpans(spans), nil
}

// Recipients yields the recipients with permanent failures.
func (r *reader) Recipients(ctx context.Context, f store.Filter, limit int) iter.Seq2[*store.Recipient, error] {
	return func(yield func(*store.Recipient, error) bool) {
		err := r.recipients(ctx, f, limit, func(x *store.Recipient) bool { return yield(x, nil) })
		if err != nil && err != errEnough {
			yield(nil, r.wrap("read recipients", err))
		}
	}
}

func (r *reader) recipients(ctx context.Context, f store.Filter, limit int, yield func(*store.Recipient) bool) error {
	c := r.take(ctx)
	defer c.Unlock()
	q, err := r.counting.query(c.Conn, f)
	if err != nil || q.nothing {
		return err
	}
	var permanent []int64
	err = c.Each(func(v []driver.Value) error {
		kind := num(v[1])
		if o := outcomeOf(kind); (o == bounce.Hard || o == bounce.Soft && num(v[2]) >= 500) && q.kinds(kind) {
			permanent = append(permanent, num(v[0]))
		}
		return nil
	}, "SELECT id, kind, code FROM reply ORDER BY id")
	if err != nil || len(permanent) == 0 {
		return err
	}
	table := q.faults()
	q.Outcomes, q.Reasons = nil, nil // the replies imply them
	where, err := q.failures(c.Conn, permanent)
	if err != nil {
		return err
	}
	t := newTexts(c.Conn)
	// whole yields recipients, with the texts of their last attempts.
	whole := func(list []rankedRecipient) error {
		texts, err := t.responses(list)
		for i := 0; i < len(list) && err == nil; i++ {
			for j, id := range list[i].lasts {
				list[i].Faults[j].Response = texts[id]
			}
			if !c.pause(func() bool { return yield(&list[i].Recipient) }) {
				err = errEnough
			}
		}
		return err
	}
	if limit <= 0 {
		return q.histories(t, table, where, whole)
	}
	// The number of failures of a recipient is known, but not how many remain since the last
	// delivery. So more recipients than limit are read, until no other can have as many.
	for n := limit + limit/4 + 20; ; n *= 4 {
		most, err := q.mostOften(c.Conn, table, where, n+1)
		if err != nil || len(most) == 0 {
			return err
		}
		part := most[:min(n, len(most))]
		ids := make([]int64, len(part))
		for i := range part {
			ids[i] = part[i].recipient
		}
		slices.Sort(ids)
		var list []rankedRecipient
		err = q.histories(t, table, where+" AND "+in("a.recipient", ids), func(part []rankedRecipient) error {
			list = append(list, part...)
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b rankedRecipient) int {
			return cmp.Or(compareOften(a.often, b.often), strings.Compare(a.Address, b.Address))
		})
		if n < len(most) && (len(list) < limit || compareOften(list[limit-1].often, most[n]) >= 0) {
			continue
		}
		return whole(list[:min(limit, len(list))])
	}
}

// An often is a recipient with the number of failures and the time of the last one.
type often struct{ recipient, rows, last int64 }

// compareOften sorts by the number of failures, largest first, then by the time of the last one,
// latest first.
func compareOften(a, b often) int {
	return cmp.Or(cmp.Compare(b.rows, a.rows), cmp.Compare(b.last, a.last))
}

type rankedRecipient struct {
	store.Recipient
	often
	lasts []int64 // ids of the last attempt of each fault
}

// responses reads the responses of the last attempts.
func (t *texts) responses(list []rankedRecipient) (map[int64]string, error) {
	var ids []int64
	for i := range list {
		ids = append(ids, list[i].lasts...)
	}
	slices.Sort(ids)
	var rows []record
	err := inBatches(slices.Values(ids), func(list string) error {
		return t.c.Each(func(v []driver.Value) error {
			var row record
			row.scan(v)
			rows = append(rows, row)
			return nil
		}, lookupFailure, list)
	})
	all := make(map[int64]string, len(rows))
	var x store.Attempt
	for i := 0; i < len(rows) && err == nil; i++ {
		err = t.fill(&rows[i], &x)
		all[rows[i].id] = x.Response
	}
	return all, err
}

// historyRows is how many rows of recipients are converted to text at once.
const historyRows = 1 << 14

// lineOf is an expression for the id of the line of a failure. That of an expired pair differs from
// the failure's own.
const lineOf = "CASE WHEN a.id < 0 THEN (SELECT line FROM failure WHERE id = a.id) ELSE a.id END"

// histories yields the recipients of the failures that a condition selects, in parts. In place of
// the response of a fault it sets the id of the last attempt.
func (q *query) histories(t *texts, table, where string, yield func([]rankedRecipient) error) error {
	type row struct{ recipient, reply, id, at, before int64 }
	rows := make([]row, 0, historyRows)
	var list []rankedRecipient // the last recipient may have more rows
	// Indexes of the faults of the list's last recipient: by reply, and by the fields that tell
	// faults apart.
	replies, faults := make(map[int64]int), make(map[store.Fault]int)
	flush := func(end bool) error {
		var ids idSet
		for i := range rows {
			ids.add(rows[i].recipient)
		}
		people, err := deliveredTo(t.c, slices.Collect(ids.all()))
		if err != nil {
			return err
		}
		for _, x := range rows {
			if n := len(list); n == 0 || list[n-1].recipient != x.recipient {
				a := people[x.recipient]
				if a == nil {
					return errMissingRow("address", x.recipient)
				}
				h := rankedRecipient{Recipient: store.Recipient{Address: a.whole, Domain: a.domain}, often: often{recipient: x.recipient}}
				if last := max(a.last, x.before); last > 0 {
					h.LastDelivered = unix(last)
				}
				list = append(list, h)
				clear(replies)
				clear(faults)
			}
			h := &list[len(list)-1]
			at := unix(x.at)
			since := at.After(h.LastDelivered)
			if q.Undelivered && !since {
				continue
			}
			i, known := replies[x.reply]
			if !known {
				r, err := t.reply(x.reply)
				if err != nil {
					return err
				}
				// Other wording, or the same reply to another host, is another row.
				fault := store.Fault{Outcome: r.d.Outcome, Code: r.d.Code, Enhanced: r.d.Enhanced, Local: r.d.Local, Verdict: r.v}
				if i, known = faults[fault]; !known {
					i = len(h.Faults)
					faults[fault] = i
					fault.First = at
					h.lasts, h.Faults = append(h.lasts, 0), append(h.Faults, fault)
				}
				replies[x.reply] = i
			}
			h.rows++
			h.last = max(h.last, x.at)
			f := &h.Faults[i]
			f.Attempts++
			f.Last, h.lasts[i] = at, x.id
			if since {
				if f.Since++; f.Since == 1 {
					f.FirstSince = at
				}
			}
		}
		rows = rows[:0]
		ready := list
		if !end {
			ready = list[:len(list)-1]
		}
		list = slices.Clone(list[len(ready):])
		return yield(slices.DeleteFunc(ready, func(h rankedRecipient) bool { return len(h.Faults) == 0 }))
	}
	err := q.once(t.c, func(v []driver.Value) error {
		rows = append(rows, row{num(v[0]), num(v[1]), num(v[2]), num(v[3]), num(v[4])})
		if len(rows) < cap(rows) {
			return nil
		}
		return flush(false)
	}, "SELECT a.recipient, a.reply, a.id, a.at, max(a.before) OVER (PARTITION BY a.recipient) FROM "+table+" AS a WHERE "+where+" ORDER BY a.recipient, a.at, "+lineOf+", a.id", q.since, q.until)
	if err != nil {
		return err
	}
	return flush(true)
}

// deliveredTo reads some addresses, with the last delivery to each, ignoring case.
func deliveredTo(c *sqlite3.Conn, ids []int64) (map[int64]*addressText, error) {
	type mailbox struct {
		domain int64
		local  string
	}
	people, boxes, lasts := make(map[int64]*addressText, len(ids)), make(map[int64]mailbox, len(ids)), make(map[mailbox]int64)
	read := func(ids []int64) error {
		return inBatches(slices.Values(ids), func(wanted string) error {
			err := c.Texts(3, func(v []int64, local string) error {
				box := mailbox{v[1], ascii.Lower(local)}
				people[v[0]], boxes[v[0]] = &addressText{whole: local}, box
				lasts[box] = max(lasts[box], v[2])
				return nil
			}, "SELECT columns(a.id, a.domain, a.last), group_concat(a.local, char(1)) FROM json_each(?) AS w CROSS JOIN address AS a ON a.id = w.value", wanted)
			if err != nil {
				return err
			}
			return c.Columns(2, func(v []int64) error {
				lasts[boxes[v[0]]] = max(lasts[boxes[v[0]]], v[1])
				return nil
			}, "SELECT columns(r.recipient, r.at) FROM json_each(?) AS w CROSS JOIN recovery AS r ON r.recipient = w.value", wanted)
		})
	}
	if err := read(ids); err != nil {
		return nil, err
	}
	var names idSet
	for _, box := range boxes {
		names.add(box.domain)
	}
	domains, err := namesOf(c, slices.Collect(names.all()))
	if err != nil {
		return nil, err
	}
	addresses := make([]string, 0, len(people))
	for id, a := range people {
		a.domain = domains[boxes[id].domain]
		a.whole = join(a.whole, a.domain)
		addresses = append(addresses, a.whole)
	}
	same, err := findRecipients(c, addresses)
	if err == nil {
		err = read(slices.DeleteFunc(same, func(id int64) bool { return people[id] != nil }))
	}
	for id, a := range people {
		a.last = lasts[boxes[id]]
	}
	return people, err
}

// countedAtMost is the largest number of rows that are counted by recipient in memory.
const countedAtMost = 2_000_000

// mostOften finds the n recipients with the most rows; among equals, those with the latest last
// row.
func (q *query) mostOften(c *sqlite3.Conn, table, where string, n int) ([]often, error) {
	rows, err := c.Number("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", countedAtMost+1)
	if err != nil {
		return nil, err
	}
	if rows > countedAtMost { // SQLite uses a file if they do not fit in memory
		var most []often
		err := q.once(c, func(v []driver.Value) error {
			most = append(most, often{num(v[0]), num(v[1]), num(v[2])})
			return nil
		}, fmt.Sprintf("SELECT a.recipient, count(*), max(a.at) FROM %s AS a WHERE %s GROUP BY a.recipient ORDER BY 2 DESC, 3 DESC, 1 LIMIT %d", table, where, n), q.since, q.until)
		return most, err
	}
	counts := make(map[int64]*often)
	var room []often // memory for the next ones
	everywhere := []span{{math.MinInt64, math.MaxInt64}}
	err = q.scanColumns(c, everywhere, []string{"a.recipient", "a.at"}, "FROM "+table+" AS a WHERE "+where, func(v []int64) error {
		recipient, at := v[0], v[1]
		o := counts[recipient]
		if o == nil {
			if len(room) == 0 {
				room = make([]often, 1024)
			}
			o, room = &room[0], room[1:]
			o.recipient = recipient
			counts[recipient] = o
		}
		o.rows++
		o.last = max(o.last, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	most := make([]often, 0, len(counts))
	for _, o := range counts {
		most = append(most, *o)
	}
	slices.SortFunc(most, func(a, b often) int { return cmp.Or(compareOften(a, b), cmp.Compare(a.recipient, b.recipient)) })
	return most[:min(n, len(most))], nil
}
