package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"bouncelog/store"
)

// A position is what is known of a source.
type position struct {
	store.Source
	seq, firstSeen uint64
	skipped        map[string]int64
}

// A moment is what a Reader sees: the positions of all logs at some time.
type moment struct {
	positions []*position // in the order in which they were first seen
	byID      map[string]*position

	visible string // the condition that a row of attempt is of the moment
	rank    string // of a row's log in the order of logs
}

// now reads the positions. They come from one insert after another, each of which is
// seen as a whole or not at all.
func (d *DB) now(ctx context.Context) (*moment, error) {
	rows, err := d.conn.Query(ctx, `SELECT id, x.1, x.2, oldest, x.4, x.5, x.6, x.7, x.8, x.9 FROM (
		SELECT id, argMax(tuple(position, seq, first_seen, path, state, first, last, counts, skipped), tuple(position, seq)) AS x, min(first_seen) AS oldest
		FROM source GROUP BY id)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := &moment{byID: make(map[string]*position)}
	for rows.Next() {
		p := &position{}
		var first, last *int64
		var counts []int64
		if err := rows.Scan(&p.ID, &p.Offset, &p.seq, &p.firstSeen, &p.Path, &p.State, &first, &last, &counts, &p.skipped); err != nil {
			return nil, err
		}
		p.First, p.Last = orZero(first), orZero(last)
		for i, to := range countsOf(&p.Source) {
			if i < len(counts) {
				*to = counts[i]
			}
		}
		m.positions = append(m.positions, p)
		m.byID[p.ID] = p
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(m.positions, func(a, b *position) int {
		return cmp.Or(cmp.Compare(a.firstSeen, b.firstSeen), cmp.Compare(a.ID, b.ID))
	})
	m.conditions()
	return m, nil
}

// conditions writes down what a moment selects.
func (m *moment) conditions() {
	if len(m.positions) == 0 {
		m.visible, m.rank = "0", "0"
		return
	}
	ids, offsets, ranks := make([]string, 0, len(m.positions)), []int64{}, []int64{}
	for i, p := range m.positions {
		ids, offsets, ranks = append(ids, p.ID), append(offsets, p.Offset), append(ranks, int64(i))
	}
	list := "[" + quotes(ids) + "]"
	m.visible = fmt.Sprintf("%s < %s", "line", m.of("told_by", list, offsets, 0))
	m.rank = m.of("source", list, ranks, -1)
}

// of is the number of the source that a column names.
func (m *moment) of(column, list string, numbered []int64, other int64) string {
	return fmt.Sprintf("transform(toString(%s), %s, CAST([%s], 'Array(Int64)'), toInt64(%d))", column, list, numbers(numbered), other)
}

// below is the condition that a line of a table is of the moment.
func (m *moment) below(source, offset string) string {
	if len(m.positions) == 0 {
		return "0"
	}
	var ids []string
	var offsets []int64
	for _, p := range m.positions {
		ids, offsets = append(ids, p.ID), append(offsets, p.Offset)
	}
	return offset + " < " + m.of(source, "["+quotes(ids)+"]", offsets, 0)
}

// offset is the position of a source.
func (m *moment) offset(id string) int64 {
	if p := m.byID[store.Clean(id, store.MaxWord)]; p != nil {
		return p.Offset
	}
	return 0
}

// sources are the sources, in the order in which they were first seen.
func (m *moment) sources() (list []store.Source) {
	for _, p := range m.positions {
		if p.ID != nobody {
			list = append(list, p.Source)
		}
	}
	return list
}

// nobody is the source of what is counted without one.
const nobody = ""

// countsOf are the counts of a source, in the order in which they are stored.
func countsOf(s *store.Source) []*int64 {
	return []*int64{&s.Lines, &s.Delivery, &s.Attempts, &s.Repeated, &s.Queue, &s.Rejected, &s.Skipped, &s.Unparsed, &s.Blank}
}

// next is a number for what is written now: later than any that was seen.
func next(after uint64) uint64 {
	return max(uint64(time.Now().UnixMilli())<<22, after+1)
}
