package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// offsetBits is the number of bits of an offset in a sort key: logs have at most 16 TB each, and
// there are at most a million.
const offsetBits = 44

// pieces returns the runs of attempts for store.Cover. They depend only on the lines of a log, so
// they are the same as in every other engine. The rows are sorted by one number, which holds the rank
// of the log and the offset. A window function sorts by both: for 10.2 million attempts it took 4.6 s
// of CPU and 760 MB, not 1.8 s and 165 MB. The list is read once.
func (r *reader) pieces(ctx context.Context) ([]*store.Piece, error) {
	r.mu.Lock()
	cover := r.cover
	r.mu.Unlock()
	if cover == nil {
		var err error
		if cover, err = r.readPieces(ctx); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.cover = cover
		r.mu.Unlock()
	}
	all := make([]*store.Piece, len(cover))
	for i, p := range cover { // Cover writes to them
		all[i] = &p
	}
	return all, nil
}

func (r *reader) readPieces(ctx context.Context) (all []store.Piece, err error) {
	last := make(map[string]*store.Piece)
	rows := r.from(where{isAttempt, "n = 0"})
	first := "(SELECT (groupArray(rank), groupArray(until - rows)) FROM (SELECT " + rank("source") + " AS rank, count() AS rows, sum(rows) OVER (ORDER BY rank) AS until" + rows + " GROUP BY rank))" // the number of each log's first row
	sql := fmt.Sprintf("SELECT %[6]s[rank], min(at), max(at), count() FROM (SELECT at, key, rowNumberInAllBlocks() AS number FROM (SELECT at, toUInt64(bitShiftLeft(%[1]s, %[2]d)) + offset AS key%[3]s ORDER BY key)) GROUP BY bitShiftRight(key, %[2]d) AS rank, intDiv(number - transform(rank, %[4]s.1, %[4]s.2, 0), %[5]d) AS piece ORDER BY rank, piece",
		rank("source"), offsetBits, rows, first, store.PieceRows, ranked)
	err = r.d.ask(ctx, "deliveries", sql, func(scan func(to ...any) error) error {
		var source string
		var rows uint64
		var p store.Piece
		if err := scan(&source, &p.Since, &p.Until, &rows); err != nil {
			return err
		}
		if rows == store.PieceRows {
			last[source] = &p
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sources, err := r.sources(ctx)
	for _, s := range sources {
		all = append(all, *store.NewPiece(&s, last[s.ID]))
	}
	return all, err
}

// Delivered lists the deliveries of some streams.
func (r *reader) Delivered(ctx context.Context, streams []store.Stream, limit int) ([]store.History, error) {
	if len(streams) == 0 {
		return nil, nil
	}
	pieces, err := r.pieces(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]store.History, len(streams))
	relays, domains := make(map[string][]int), make(map[string][]int)
	var wanted where
	for i, covered := range store.Cover(streams, pieces, limit) {
		out[i].Covered = covered
		s := &streams[i]
		var in, when []string
		for _, name := range s.Relays {
			name = strings.TrimPrefix(ascii.Lower(name), ".")
			relays[name] = append(relays[name], i)
		}
		if len(s.Relays) > 0 {
			in = append(in, underRelays(s.Relays))
		}
		for _, name := range s.Domains {
			name = ascii.Lower(name)
			domains[name] = append(domains[name], i)
			in = append(in, "recipient_domain = "+quote(name))
		}
		for _, p := range covered {
			when = append(when, fmt.Sprintf("at BETWEEN %d AND %d", p.First.Unix(), p.Last.Unix()))
		}
		if len(in) > 0 && len(when) > 0 {
			wanted.add(where{strings.Join(in, " OR "), strings.Join(when, " OR ")}.String())
		}
	}
	if len(wanted) == 0 {
		return out, nil
	}
	var of []int // the streams of a delivery
	sql := "SELECT toString(source), offset, at, " + messageHash + ", sender_domain, recipient_domain, lower(relay_host)" + r.from(where{"outcome = 'delivered'", "(" + strings.Join(wanted, ") OR (") + ")"}) +
		" ORDER BY at, " + rank("source") + ", offset"
	return out, r.d.ask(ctx, "deliveries", sql, func(scan func(to ...any) error) error {
		var d store.Delivered
		var at int64
		var domain, relay string
		if err := scan(&d.Source, &d.Offset, &at, &d.Message, &d.SenderDomain, &domain, &relay); err != nil {
			return err
		}
		d.Time = unix(at)
		of = append(of[:0], domains[domain]...)
		for rest, more := relay, true; more; _, rest, more = strings.Cut(rest, ".") {
			of = append(of, relays[rest]...)
		}
		slices.Sort(of)
		for _, i := range slices.Compact(of) {
			h := &out[i]
			if slices.ContainsFunc(h.Covered, func(p store.Span) bool { return !d.Time.Before(p.First) && !d.Time.After(p.Last) }) {
				h.Deliveries = append(h.Deliveries, d)
			}
		}
		return nil
	})
}
