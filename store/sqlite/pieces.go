package sqlite

import (
	"cmp"
	"database/sql/driver"
	"slices"

	"bouncelog/internal/sqlite3"
)

// A piece is a run of rows, and the time that they are of.
type piece struct {
	span
	since, until int64
	read         bool
}

// pieces are the chunks, and for each source the rows that are in none yet.
func pieces(c *sqlite3.Conn) ([]*piece, error) {
	var all []*piece
	ends := make(map[int64]*piece) // the last of each source
	err := c.Columns(4, func(v []int64) error {
		all = append(all, &piece{span: span{v[0], v[1]}, since: v[2], until: v[3]})
		return nil
	}, "SELECT columns(id, last, since, until) FROM chunk INDEXED BY chunk_time")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	for _, p := range all {
		ends[attemptID(p.lo).source()] = p
	}
	return all, c.Each(func(v []driver.Value) error {
		n := num(v[0])
		p := &piece{span: attemptsOf(n), since: -forever, until: forever}
		if v[1] != nil && v[2] != nil {
			p.since, p.until = num(v[1]), num(v[2])
		}
		if end := ends[n]; end != nil {
			p.lo, p.since = end.hi+1, end.since
		}
		all = append(all, p)
		return nil
	}, "SELECT id, first, last FROM source")
}

// during is how many pieces there are of a stretch of time.
func during(all []*piece, time span) (n int) {
	for _, p := range all {
		if p.since < time.hi && p.until >= time.lo {
			n++
		}
	}
	return n
}
