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
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// failures is a query's condition on rows of failure: only soft and hard
// ones, and of those only the replies whose ids are given.
func (q *query) failures(c *sqlite3.Conn, replies []int64) (string, error) {
	where := q.where() + " AND " + in("a.reply", replies)
	spans, err := q.spans(c)
	if err != nil || len(spans) > 20 {
		return where, err
	}
	// What expired has negative ids.
	within := "a.id < 0"
	for _, s := range spans {
		within += fmt.Sprintf(" OR a.id BETWEEN %d AND %d", s.lo, s.hi)
	}
	return where + " AND (" + within + ")", nil
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
	q.Outcomes, q.Reasons = nil, nil // that is said by the replies
	where, err := q.failures(c.Conn, permanent)
	if err != nil {
		return err
	}
	t := newTexts(c.Conn)
	// whole yields a recipient, with the texts of its last attempts.
	whole := func(x *store.Recipient, lasts []int64) error {
		for i := range x.Faults {
			var err error
			if x.Faults[i].Response, err = t.failureResponse(lasts[i]); err != nil {
				return err
			}
		}
		if !c.pause(func() bool { return yield(x) }) {
			return errEnough
		}
		return nil
	}
	if limit <= 0 {
		return q.histories(t, table, where, whole)
	}
	// Who has the most failures is known, how many are left of them since the last
	// delivery is not: so some more are read, until no other can have as many.
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
		var list []ranked
		err = q.histories(t, table, where+" AND "+in("a.recipient", ids), func(x *store.Recipient, lasts []int64) error {
			list = append(list, rank(x, lasts))
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b ranked) int {
			return cmp.Or(compareOften(a.often, b.often), strings.Compare(a.Address, b.Address))
		})
		if n < len(most) && (len(list) < limit || compareOften(list[limit-1].often, most[n]) >= 0) {
			continue
		}
		for i := range list[:min(limit, len(list))] {
			if err := whole(&list[i].Recipient, list[i].lasts); err != nil {
				return err
			}
		}
		return nil
	}
}

// Often is how many failures a recipient has, and when the last was.
type often struct{ recipient, rows, last int64 }

// compareOften sorts the most often, and of equals the latest, to the front.
func compareOften(a, b often) int {
	return cmp.Or(cmp.Compare(b.rows, a.rows), cmp.Compare(b.last, a.last))
}

type ranked struct {
	store.Recipient
	often
	lasts []int64 // ids of the last attempt of each fault
}

func rank(x *store.Recipient, lasts []int64) ranked {
	r := ranked{Recipient: *x, lasts: slices.Clone(lasts)}
	for i := range x.Faults {
		r.rows += x.Faults[i].Attempts
		r.last = max(r.last, x.Faults[i].Last.Unix())
	}
	return r
}

// histories yields the recipients of the failures that a condition selects, with the id
// of the last attempt of each fault in place of its response.
func (q *query) histories(t *texts, table, where string, yield func(x *store.Recipient, lasts []int64) error) error {
	find, err := newFinder(t.c)
	if err != nil {
		return err
	}
	var h store.Recipient
	var recipient int64
	lasts := make(map[int64]int64) // reply -> index in h.Faults
	ids := []int64{}               // of the last attempt of each fault
	flush := func() error {
		if recipient == 0 || len(h.Faults) == 0 {
			return nil
		}
		return yield(&h, ids)
	}
	err = q.once(t.c, func(v []driver.Value) error {
		if num(v[0]) != recipient {
			if err := flush(); err != nil {
				return err
			}
			recipient = num(v[0])
			clear(lasts)
			ids = ids[:0]
			a, err := t.address(recipient)
			if err != nil {
				return err
			}
			last, err := find.lastDelivered(a.whole)
			if err != nil {
				return err
			}
			h = store.Recipient{Address: a.whole, Domain: a.domain}
			if last = max(last, a.last, num(v[4])); last > 0 {
				h.LastDelivered = unix(last)
			}
		}
		at := unix(num(v[3]))
		since := at.After(h.LastDelivered)
		if q.Undelivered && !since {
			return nil
		}
		i, known := lasts[num(v[1])]
		if !known {
			r, err := t.reply(num(v[1]))
			if err != nil {
				return err
			}
			i = int64(len(h.Faults))
			lasts[num(v[1])] = i
			ids = append(ids, 0)
			h.Faults = append(h.Faults, store.Fault{
				Outcome: r.d.Outcome, Code: r.d.Code, Enhanced: r.d.Enhanced, Local: r.d.Local, Verdict: r.v, First: at,
			})
		}
		x := &h.Faults[i]
		x.Attempts++
		x.Last, ids[i] = at, num(v[2])
		if since {
			if x.Since++; x.Since == 1 {
				x.FirstSince = at
			}
		}
		return nil
	}, "SELECT a.recipient, a.reply, a.id, a.at, max(a.before) OVER (PARTITION BY a.recipient) FROM "+table+" AS a WHERE "+where+" ORDER BY a.recipient, a.at, a.id", q.since, q.until)
	if err != nil {
		return err
	}
	return flush()
}

// countedAtMost are so many rows that counting them by recipient takes little memory.
const countedAtMost = 2_000_000

// mostOften finds the n recipients with the most rows, of equals those whose last is
// the latest.
func (q *query) mostOften(c *sqlite3.Conn, table, where string, n int) ([]often, error) {
	rows, err := c.Number("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", countedAtMost+1)
	if err != nil {
		return nil, err
	}
	if rows > countedAtMost { // SQLite moves to a file what does not fit in memory
		var most []often
		err := q.once(c, func(v []driver.Value) error {
			most = append(most, often{num(v[0]), num(v[1]), num(v[2])})
			return nil
		}, fmt.Sprintf("SELECT a.recipient, count(*), max(a.at) FROM %s AS a WHERE %s GROUP BY a.recipient ORDER BY 2 DESC, 3 DESC, 1 LIMIT %d", table, where, n), q.since, q.until)
		return most, err
	}
	counts := make(map[int64]*often)
	var room []often // for the next
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
