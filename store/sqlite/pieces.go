package sqlite

import (
	"cmp"
	"database/sql/driver"
	"slices"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A piece is a store.Piece and the span of its rows: a chunk, or the rows of a source that are in
// no chunk yet.
type piece struct {
	span
	store.Piece
}

// source returns the source of the rows.
func (p *piece) source() int64 { return attemptID(p.lo).source() }

// open reports whether the rows are in no chunk yet.
func (p *piece) open() bool { return !p.expiries() && p.hi == attemptsOf(p.source()).hi }

// expiries reports whether the rows are expiries, which only failure holds.
func (p *piece) expiries() bool { return p.lo < 0 }

// within reports whether a row of the piece may lie in one of some sorted spans of time.
func (p *piece) within(times []span) bool {
	i, _ := slices.BinarySearchFunc(times, p.Since, func(t span, since int64) int { return cmp.Compare(t.hi-1, since) })
	return i < len(times) && times[i].lo <= p.Until
}

// readPieces returns the chunks in the order of their rows, then for each source the rows that are
// in no chunk yet.
func readPieces(c *sqlite3.Conn) ([]*piece, error) {
	var all []*piece
	ends := make(map[int64]*piece) // the last chunk of each source
	err := c.Columns(4, func(v []int64) error {
		all = append(all, &piece{span{v[0], v[1]}, store.Piece{Since: v[2], Until: v[3]}})
		return nil
	}, "SELECT columns(id, last, since, until) FROM chunk INDEXED BY chunk_time")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(a.lo, b.lo) })
	for _, p := range all {
		ends[p.source()] = p
	}
	return all, c.Each(func(v []driver.Value) error {
		n := num(v[0])
		p := &piece{span: attemptsOf(n)}
		var whole *store.Piece
		if end := ends[n]; end != nil {
			p.lo, whole = end.hi+1, &end.Piece
		}
		p.Piece = *store.NewPiece(&store.Source{First: when(v[1]), Last: when(v[2])}, whole)
		all = append(all, p)
		return nil
	}, "SELECT id, first, last FROM source ORDER BY id")
}

// expiryRows is the number of expiries in a piece.
const expiryRows = 256

// readExpiries returns the expiries in pieces, in the order of their rows. They are in no chunk, but
// nearly in the order of time, since most messages expire at the same age. To read all of 41,802 for
// each question about a few minutes took 2 ms, and a suppression list asks 200.
func readExpiries(c *sqlite3.Conn) (all []*piece, err error) {
	rows := 0
	for lo, n := expiries.lo, sqlite3.Batch; n == sqlite3.Batch && err == nil; {
		n = 0
		err = c.Columns(2, func(v []int64) error {
			if rows%expiryRows == 0 {
				all = append(all, &piece{span{v[0], v[0]}, store.Piece{Since: v[1], Until: v[1]}})
			}
			p := all[len(all)-1]
			p.hi, p.Since, p.Until = v[0], min(p.Since, v[1]), max(p.Until, v[1])
			rows++
			n++
			lo = v[0] + 1
			return nil
		}, "SELECT columns(id, at) FROM (SELECT id, at FROM failure WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)", lo, expiries.hi, sqlite3.Batch)
	}
	return all, err
}

// during returns the number of pieces in a time span.
func during(all []*piece, time span) (n int) {
	for _, p := range all {
		if p.Since < time.hi && p.Until >= time.lo {
			n++
		}
	}
	return n
}
