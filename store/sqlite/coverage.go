package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Resume returns the positions at which reading resumes.
func (r *reader) Resume(ctx context.Context) (*store.Resume, error) {
	c := r.take(ctx)
	defer c.Unlock()
	sources, err := readSources(c.Conn)
	if err != nil {
		return nil, r.wrap("read positions", err)
	}
	out := &store.Resume{Sources: sources}
	err = c.Each(func(v []driver.Value) error {
		out.Messages = append(out.Messages, bounce.Message{
			Host: str(v[0]), MTA: bounce.MTA(str(v[1])), Instance: str(v[2]), QueueID: str(v[3]), Time: when(v[4]),
			MessageID: str(v[5]), Sender: str(v[6]), SenderKnown: num(v[7]) != 0, Size: num(v[8]),
			ClientHost: str(v[9]), ClientIP: str(v[10]), SASLUser: str(v[11]),
		})
		return nil
	}, `SELECT host, mta, instance, queue_id, at, message_id, sender, sender_known, size, client_host, client_ip, sasl_user
		FROM open_message ORDER BY id DESC`)
	return out, r.wrap("read queued messages", err)
}

// Coverage returns the counts of lines by kind.
func (r *reader) Coverage(ctx context.Context) (*store.Coverage, error) {
	c := r.take(ctx)
	defer c.Unlock()
	out := new(store.Coverage)
	var err error
	if out.Sources, err = readSources(c.Conn); err != nil {
		return nil, r.wrap("list sources", err)
	}
	err = c.Each(func(v []driver.Value) error {
		out.Skipped = append(out.Skipped, store.Skipped{Program: str(v[0]), Lines: num(v[1])})
		return nil
	}, "SELECT program, lines FROM skipped ORDER BY lines DESC, program")
	if err != nil {
		return nil, r.wrap("list skipped lines", err)
	}
	err = c.Each(func(v []driver.Value) error {
		out.Unparsed = append(out.Unparsed, store.Unparsed{Source: str(v[0]), Offset: attemptID(num(v[1])).offset(), Time: when(v[2]), Text: str(v[3])})
		return nil
	}, layoutSQL("SELECT s.name, u.id, u.at, u.text FROM unparsed_line AS u JOIN source AS s ON s.id = u.id >> $OFFSET_BITS ORDER BY u.id"))
	return out, r.wrap("list unparsed lines", err)
}

// Ends lists the ends of messages.
func (r *reader) Ends(ctx context.Context, messages ...store.MessageKey) ([]bounce.End, error) {
	c := r.take(ctx)
	defer c.Unlock()
	var list []bounce.End
	for _, m := range messages {
		err := c.Each(func(v []driver.Value) error {
			list = append(list, bounce.End{
				Source: str(v[0]), Offset: attemptID(num(v[1])).offset(), Time: when(v[2]), Host: str(v[5]), MTA: bounce.MTA(str(v[6])), Instance: str(v[7]),
				QueueID: m.QueueID, Event: bounce.EndEvent(str(v[3])), By: str(v[4]),
			})
			return nil
		}, layoutSQL(`SELECT s.name, e.id, e.at, e.event, e.by, o.host, o.mta, o.instance FROM message_end AS e JOIN origin AS o ON o.id = e.origin JOIN source AS s ON s.id = e.id >> $OFFSET_BITS
			WHERE e.queue = ? AND (? = '' OR o.host = ? AND o.mta = ? AND o.instance = ?)`), queueValue(m.QueueID), string(m.MTA), m.Host, string(m.MTA), m.Instance)
		if err != nil {
			return nil, r.wrap("read what became of messages", err)
		}
	}
	slices.SortStableFunc(list, func(a, b bounce.End) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset))
	})
	return list, nil
}

// Discarded counts the messages that a filter discarded as a whole.
func (r *reader) Discarded(ctx context.Context, f store.Filter) (int64, error) {
	if !f.OfMessages() {
		return 0, nil
	}
	c := r.take(ctx)
	defer c.Unlock()
	q, err := r.counting.query(c.Conn, f)
	if err != nil || q.nothing {
		return 0, r.wrap("count what was discarded", err)
	}
	where := "event = '" + string(bounce.MessageDiscarded) + "' AND at >= ? AND at < ?"
	args := []any{q.since, q.until}
	if q.origins != nil {
		where += " AND " + in("origin", sorted(q.origins))
	}
	if q.queue != nil {
		where, args = where+" AND queue = ?", append(args, q.queue)
	}
	n, err := c.Number("SELECT count(*) FROM message_end WHERE "+where, args...)
	return n, r.wrap("count what was discarded", err)
}

func readSources(c *sqlite3.Conn) ([]store.Source, error) {
	var list []store.Source
	err := c.Each(func(v []driver.Value) error {
		list = append(list, store.Source{
			ID: str(v[0]), Path: str(v[1]), Offset: num(v[2]), State: str(v[3]), First: when(v[4]), Last: when(v[5]),
			Lines: num(v[6]), Delivery: num(v[7]), Attempts: num(v[8]), Repeated: num(v[9]), Queue: num(v[10]),
			Rejected: num(v[11]), Skipped: num(v[12]), Unparsed: num(v[13]), Blank: num(v[14]),
		})
		return nil
	}, "SELECT name, path, position, state, first, last, lines, delivery, attempts, repeated, queue, rejected, skipped, unparsed, blank FROM source ORDER BY id")
	return list, err
}
