package clickhouse

import (
	"context"
	"fmt"

	"bouncelog/store"
)

// A position is the stored state of a source.
type position struct {
	store.Source
	seq, firstSeen uint64
	skipped        map[string]int64
}

// A moment holds the positions of all logs at some time. A log moves for a day or two, until the
// next rotation, and the table keeps the last position of each day. So a query lists only the
// positions of logs that moved on or after some day. It reads the others from the table, where they
// no longer change.
type moment struct {
	since uint64 // seq of the first position of the day
	moved []*position
}

// day is the number of sequence numbers (seq) in a day: see 00001_first.sql.
const day = 86_400_000 << 22

// now reads the positions that moved today. A position being written now may have a sequence number
// from up to an hour ago.
func (d *DB) now(ctx context.Context) (*moment, error) {
	at, err := d.number(ctx)
	if err != nil {
		return nil, d.wrap("read", err)
	}
	m := &moment{since: (at - day/24) / day * day}
	m.moved, err = d.positions(ctx, fmt.Sprintf("id IN (SELECT id FROM source WHERE seq >= %d)", m.since))
	return m, err
}

// positions returns the positions of some sources, in the order in which the sources were first
// seen. Each insert of positions is visible completely or not at all.
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

// of returns an expression for the position of the source in a column; 0: there is none.
func (m *moment) of(column string) string {
	var ids []string
	var offsets []int64
	for _, p := range m.moved {
		ids, offsets = append(ids, p.ID), append(offsets, p.Offset)
	}
	others := fmt.Sprintf("(SELECT (groupArray(id), groupArray(at)) FROM (SELECT id, max(position) AS at FROM source WHERE seq < %d GROUP BY id))", m.since)
	return fmt.Sprintf("transform(%s, CAST([%s], 'Array(String)'), CAST([%s], 'Array(Int64)'), transform(%[1]s, %[4]s.1, %[4]s.2, toInt64(0)))", column, quotes(ids), numbers(offsets), others)
}

// visible returns the condition that a row of attempt belongs to the moment.
func (m *moment) visible() string { return "line < " + m.of("told_by") }

// below returns the condition that a row of another table belongs to the moment.
func (m *moment) below() string { return "offset < " + m.of("source") }

// ranked is an expression for the array of all sources, in the order in which they were first seen.
const ranked = "(SELECT groupArray(id) FROM (SELECT id FROM source GROUP BY id ORDER BY min(first_seen), id))"

// rank returns an expression for the place of a source in this order, from 1 on.
func rank(source string) string {
	return "toInt64(transform(" + source + ", " + ranked + ", arrayEnumerate(" + ranked + "), 0))"
}

// nobody is the source of counts that belong to no source.
const nobody = ""

// countsOf returns the counts of a source, in the order in which they are stored.
func countsOf(s *store.Source) []*int64 {
	return []*int64{&s.Lines, &s.Delivery, &s.Attempts, &s.Repeated, &s.Queue, &s.Rejected, &s.Skipped, &s.Unparsed, &s.Blank}
}

// number returns a sequence number: milliseconds since 1970 by the server's clock, << 22. It is
// greater than all returned before.
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
