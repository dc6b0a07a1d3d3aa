package store

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// PieceRows is the number of attempts in a Piece.
const PieceRows = 4096

// A Piece is a run of PieceRows attempts of one source in the order of their lines, or the attempts
// left at the end of a source. Since and Until are its times in Unix seconds, both included. The
// piece at the end of a source reaches from the beginning of the piece before it, or of the source,
// to the last line.
type Piece struct {
	Since, Until int64
	Read         bool // set by Cover: the piece is to be read
}

// NewPiece returns the piece for the end of a source. last is the last full piece; nil: none.
func NewPiece(s *Source, last *Piece) *Piece {
	p := &Piece{Since: math.MinInt64 / 2, Until: math.MaxInt64 / 2}
	if !s.First.IsZero() && !s.Last.IsZero() {
		p.Since, p.Until = s.First.Unix(), s.Last.Unix()
	}
	if last != nil {
		p.Since = last.Since
	}
	return p
}

// Cover chooses the pieces that Reader.Delivered reads, so that all engines read the same ones. For
// each time of each stream it takes the pieces before and after that time, as far as rows allows.
// Each piece holds deliveries of all streams. So about as many rows are read as may be returned,
// and a rare stream is covered as far as these rows go. pieces are in the order of the sources and
// their lines, with the ends of the sources last. Cover returns the completely covered spans of
// each stream.
func Cover(streams []Stream, pieces []*Piece, rows int) [][]Span {
	byEnd := slices.Clone(pieces)
	slices.SortStableFunc(byEnd, func(a, b *Piece) int { return cmp.Compare(b.Until, a.Until) })
	byStart := slices.Clone(pieces)
	slices.SortStableFunc(byStart, func(a, b *Piece) int { return cmp.Compare(a.Since, b.Since) })
	left := max(rows/PieceRows, 1)
	// Sources written at the same time each have a piece for that time, and all of them have to be
	// read to cover it. With many sources up to four times as many rows are read.
	if most := 4 * together(streams, pieces); most > left {
		left = min(most, 4*left)
	}
	share := max(left/4, 1) // of one side of one time
	out := make([][]Span, len(streams))
	for i := range streams {
		since, until := streams[i].First.Unix(), streams[i].Last.Unix()
		type span struct{ lo, hi int64 }
		var read []span
		for _, around := range streams[i].Around {
			t, lo, hi := around.Unix(), since, until
			take := func(p *Piece, mine *int) bool {
				if !p.Read && (*mine >= share || left == 0) {
					return false
				}
				if !p.Read {
					p.Read = true
					*mine++
					left--
				}
				return true
			}
			n := 0
			for _, p := range byEnd {
				if p.Since <= t && p.Until >= since && p.Since <= until && !take(p, &n) {
					lo = max(lo, p.Until+1)
					break
				}
			}
			n = 0
			for _, p := range byStart {
				if p.Until >= t && p.Until >= since && p.Since <= until && !take(p, &n) {
					hi = min(hi, p.Since-1)
					break
				}
			}
			if lo <= hi {
				read = append(read, span{lo, hi})
			}
		}
		slices.SortFunc(read, func(a, b span) int { return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi)) })
		merged := read[:0]
		for _, s := range read {
			if n := len(merged); n > 0 && merged[n-1].hi+1 >= s.lo {
				merged[n-1].hi = max(merged[n-1].hi, s.hi)
			} else {
				merged = append(merged, s)
			}
		}
		for _, s := range merged {
			out[i] = append(out[i], Span{First: time.Unix(s.lo, 0).UTC(), Last: time.Unix(s.hi, 0).UTC()})
		}
	}
	return out
}

// together returns the number of pieces that include the first time of the first stream.
func together(streams []Stream, pieces []*Piece) (n int) {
	if len(streams) == 0 || len(streams[0].Around) == 0 {
		return 0
	}
	t := streams[0].Around[0].Unix()
	for _, p := range pieces {
		if p.Since <= t && t <= p.Until {
			n++
		}
	}
	return n
}
