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
		ends[attemptID(p.lo).source()] = p
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

// during returns the number of pieces in a time span.
func during(all []*piece, time span) (n int) {
	for _, p := range all {
		if p.Since < time.hi && p.Until >= time.lo {
			n++
		}
	}
	return n
}
