package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// failures is a question's condition on rows of failure: only soft and hard
// ones, and of those only the replies whose ids are given.
func (q *question) failures(c *sqlite3.Conn, replies []int64) (string, error) {
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

// faults is the table to read recipients' failures from: the narrow one where it
// holds what is asked for and what that depends on.
func (q *question) faults() string {
	if covers(store.Faults, q.Reasons) && q.routes == nil && q.senderDom == 0 && q.queue == nil && q.messages == nil {
		return "fault"
	}
	return "failure"
}

// Replies counts the failed attempts that match f by what was answered.
func (d *DB) Replies(ctx context.Context, f store.Filter, want func(*store.Reply) bool) ([]store.Reply, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := d.question(c, f)
	if err != nil || q.nothing {
		return nil, d.wrap("count replies", err)
	}
	wanted := make(map[int64]store.Reply)
	err = c.Each(func(row []driver.Value) error {
		var t replyText
		t.scan(row)
		r := store.Reply{
			MTA: t.d.MTA, Status: t.d.Status, Outcome: t.d.Outcome, Code: t.d.Code, Enhanced: t.d.Enhanced,
			Stage: t.d.Stage, Local: t.d.Local, Template: t.d.Response, Verdict: t.v,
		}
		if (r.Outcome == bounce.Soft || r.Outcome == bounce.Hard) && want(&r) {
			wanted[num(row[18])] = r
		}
		return nil
	}, selectReply)
	if err != nil || len(wanted) == 0 {
		return nil, d.wrap("count replies", err)
	}
	where, err := q.failures(c, sorted(wanted))
	if err != nil {
		return nil, d.wrap("count replies", err)
	}
	var out []store.Reply
	err = q.once(c, func(v []driver.Value) error {
		r := wanted[num(v[0])]
		r.Attempts = num(v[1])
		out = append(out, r)
		return ctx.Err()
	}, "SELECT a.reply, count(*) FROM failure AS a WHERE "+where+" GROUP BY a.reply", q.since, q.until)
	return out, d.wrap("count replies", err)
}

// Histories yields the recipients with permanent failures.
func (d *DB) Histories(ctx context.Context, f store.Filter, n int) iter.Seq2[store.History, error] {
	return func(yield func(store.History, error) bool) {
		err := d.histories(ctx, f, n, func(h store.History) error {
			if !yield(h, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield(store.History{}, d.wrap("read histories", err))
		}
	}
}

func (d *DB) histories(ctx context.Context, f store.Filter, n int, yield func(store.History) error) error {
	c, done, err := d.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	q, err := d.question(c, f)
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
	where, err := q.failures(c, permanent)
	if err != nil {
		return err
	}
	if n > 0 {
		most, err := q.mostOften(ctx, c, table, where, n)
		if err != nil || len(most) == 0 {
			return err
		}
		where += " AND " + in("a.recipient", most)
	}

	t := newTexts(c)
	var h store.History
	var recipient int64
	lasts := make(map[int64]int64) // reply -> index in h.Faults
	ids := []int64{}               // of the last attempt of each fault
	flush := func() error {
		if recipient == 0 {
			return nil
		}
		for i := range h.Faults {
			last, err := t.attempt(ids[i])
			if err != nil {
				return err
			}
			h.Faults[i].Response = last.Response
		}
		return yield(h)
	}
	err = q.once(c, func(v []driver.Value) error {
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
			last, err := d.lastDelivered(c, a.whole)
			if err != nil {
				return err
			}
			h = store.History{Recipient: a.whole, RecipientDomain: a.domain}
			if last = max(last, a.last, num(v[4])); last > 0 {
				h.LastDelivered = time.Unix(last, 0).UTC()
			}
		}
		at := time.Unix(num(v[3]), 0).UTC()
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
		if at.After(h.LastDelivered) {
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
// the latest, in the order of their numbers.
func (q *question) mostOften(ctx context.Context, c *sqlite3.Conn, table, where string, n int) ([]int64, error) {
	rows, err := c.Number("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", countedAtMost+1)
	if err != nil {
		return nil, err
	}
	if rows > countedAtMost { // SQLite moves to a file what does not fit in memory
		var most []int64
		err := q.once(c, func(v []driver.Value) error {
			most = append(most, num(v[0]))
			return ctx.Err()
		}, fmt.Sprintf("SELECT a.recipient, count(*), max(a.at) FROM %s AS a WHERE %s GROUP BY a.recipient ORDER BY 2 DESC, 3 DESC, 1 LIMIT %d", table, where, n), q.since, q.until)
		slices.Sort(most)
		return most, err
	}
	type often struct{ rows, last int64 }
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
			counts[recipient] = o
		}
		o.rows++
		o.last = max(o.last, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	most := make([]int64, 0, len(counts))
	for id := range counts {
		most = append(most, id)
	}
	slices.SortFunc(most, func(a, b int64) int {
		x, y := counts[a], counts[b]
		return cmp.Or(cmp.Compare(y.rows, x.rows), cmp.Compare(y.last, x.last), cmp.Compare(a, b))
	})
	most = most[:min(n, len(most))]
	slices.Sort(most)
	return most, nil
}

// lastDelivered is when a recipient was delivered to last, however the letters
// of the address were written; 0: never.
func (d *DB) lastDelivered(c *sqlite3.Conn, address string) (last int64, err error) {
	ids, err := d.findRecipients(c, address)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		known, err := c.Number("SELECT last FROM address WHERE id = ?", id)
		if err != nil {
			return 0, err
		}
		again, err := c.Number("SELECT max(at) FROM recovery WHERE recipient = ?", id)
		if err != nil {
			return 0, err
		}
		last = max(last, known, again)
	}
	return last, nil
}
