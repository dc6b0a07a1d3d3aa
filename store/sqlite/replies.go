package sqlite

import (
	"context"
	"database/sql/driver"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Replies counts the failed attempts that match f by reply.
func (r *reader) Replies(ctx context.Context, f store.Filter) ([]store.Reply, error) {
	f, ok := failedOnly(f)
	if !ok {
		return nil, nil
	}
	c := r.take(ctx)
	defer c.Unlock()
	out, err := r.replies(c.Conn, f)
	return out, r.wrap("count replies", err)
}

func (r *reader) replies(c *sqlite3.Conn, f store.Filter) ([]store.Reply, error) {
	q, err := r.counting.query(c, f)
	if err != nil || q.nothing {
		return nil, err
	}
	_, spans, err := q.spans(c)
	if err != nil {
		return nil, err
	}
	last, err := c.Number("SELECT max(id) FROM reply")
	if err != nil {
		return nil, err
	}
	counts := make([]int64, min(max(last, 0), maxID)+1)
	err = q.scanColumns(c, spans, []string{"a.reply"}, "FROM failure AS a WHERE "+q.where(), func(v []int64) error {
		if 0 <= v[0] && v[0] < int64(len(counts)) {
			counts[v[0]]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []store.Reply
	err = c.Each(func(row []driver.Value) error {
		id := num(row[18])
		if id < 0 || id >= int64(len(counts)) || counts[id] == 0 {
			return nil
		}
		var t replyText
		t.scan(row)
		out = append(out, store.Reply{
			MTA: t.d.MTA, Status: t.d.Status, Outcome: t.d.Outcome, Code: t.d.Code, Enhanced: t.d.Enhanced,
			Stage: t.d.Stage, Local: t.d.Local, Untried: t.d.Untried, Template: t.d.Response, Verdict: t.v, Attempts: counts[id],
		})
		return nil
	}, selectReply)
	return out, err
}
