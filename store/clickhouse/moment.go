package clickhouse

import (
	"context"
	"fmt"

	"bouncelog/store"
)

// A position is what is known of a source.
type position struct {
	store.Source
	seq, firstSeen uint64
	skipped        map[string]int64
}

// A moment is the positions of all logs at some time. A log moves for a day or two, until the next
// rotation, and the table keeps the last position of each day. So a question names only the
// positions of logs that have moved since some day, and takes the others from the table, where
// they stay as they are.
type moment struct {
	since uint64 // seq of the first position of that day
	moved []*position
}

// day is how many numbers (seq) a day has: see 00001_first.sql.
const day = 86_400_000 << 22

// now reads the positions that moved today. One that is written now may have the number of an
// hour ago.
func (d *DB) now(ctx context.Context) (*moment, error) {
	at, err := d.number(ctx)
	if err != nil {
		return nil, d.wrap("read", err)
	}
	m := &moment{since: (at - day/24) / day * day}
	m.moved, err = d.positions(ctx, fmt.Sprintf("id IN (SELECT id FROM source WHERE seq >= %d)", m.since))
	return m, err
}

// positions are those of some sources, in the order in which they were first seen. They come
// from one insert after another, each of which is seen as a whole or not at all.
func (d *DB) positions(ctx context.Context, of string) (list []*position, err error) {
	err = d.ask(ctx, "read", `SELECT id, x.1, x.2, oldest, x.4, x.5, x.6, x.7, x.8, x.9 FROM (
		SELECT id, argMax(tuple(position, seq, first_seen, path, state, first, last, counts, skipped), tuple(position, seq)) AS x, min(first_seen) AS oldest
		FROM source WHERE `+of+" GROUP BY id) ORDER BY oldest, id", func(scan func(to ...any) error) error {
		p := &position{}
		var first, last *int64
		var counts []int64
		if err := scan(&p.ID, &p.Offset, &p.seq, &p.firstSeen, &p.Path, &p.State, &first, &last, &counts, &p.skipped); err != nil {
			return err
		}
		p.First, p.Last = orZero(first), orZero(last)
		for i, to := range countsOf(&p.Source) {
			if i < len(counts) {
				*to = counts[i]
			}
		}
		list = append(list, p)
		return nil
	})
	return list, err
}

// of is the position of the source that a column names; 0: there is none.
func (m *moment) of(column string) string {
	var ids []string
	var offsets []int64
	for _, p := range m.moved {
		ids, offsets = append(ids, p.ID), append(offsets, p.Offset)
	}
	others := fmt.Sprintf("(SELECT (groupArray(id), groupArray(at)) FROM (SELECT id, max(position) AS at FROM source WHERE seq < %d GROUP BY id))", m.since)
	return fmt.Sprintf("transform(%s, CAST([%s], 'Array(String)'), CAST([%s], 'Array(Int64)'), transform(%[1]s, %[4]s.1, %[4]s.2, toInt64(0)))", column, quotes(ids), numbers(offsets), others)
}

// visible is the condition that a row of attempt is of the moment.
func (m *moment) visible() string { return "line < " + m.of("told_by") }

// below is the condition that a line of another table is of the moment.
func (m *moment) below() string { return "offset < " + m.of("source") }

// rank is the place of the source that an expression names in the order in which the sources
// were first seen. Sources that are seen later come behind.
func rank(source string) string {
	const all = "(SELECT groupArray(id) FROM (SELECT id FROM source GROUP BY id ORDER BY min(first_seen), id))"
	return "toInt64(transform(" + source + ", " + all + ", arrayEnumerate(" + all + "), 0))"
}

// nobody is the source of what is counted without one.
const nobody = ""

// countsOf are the counts of a source, in the order in which they are stored.
func countsOf(s *store.Source) []*int64 {
	return []*int64{&s.Lines, &s.Delivery, &s.Attempts, &s.Repeated, &s.Queue, &s.Rejected, &s.Skipped, &s.Unparsed, &s.Blank}
}

// number is one for what is written now: milliseconds since 1970, by the server's clock, << 22;
// later than any that was given out before.
func (d *DB) number(ctx context.Context) (uint64, error) {
	var ms int64
	if err := d.conn.QueryRow(ctx, "SELECT toUnixTimestamp64Milli(now64(3))").Scan(&ms); err != nil {
		return 0, err
	}
	for {
		last := d.lastNumber.Load()
		if n := max(uint64(ms)<<22, last+1); d.lastNumber.CompareAndSwap(last, n) {
			return n, nil
		}
	}
}
