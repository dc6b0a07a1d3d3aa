package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// pieces returns the runs of attempts for store.Cover. They depend only on the lines of a log, so
// they are the same as in every other engine.
func (r *reader) pieces(ctx context.Context) ([]*store.Piece, error) {
	last := make(map[string]*store.Piece)
	var all []*store.Piece
	sql := fmt.Sprintf("SELECT toString(source), min(at), max(at), count() FROM (SELECT source, at, %s AS rank, intDiv(row_number() OVER (PARTITION BY source ORDER BY offset, precedence DESC) - 1, %d) AS piece",
		rank("source"), store.PieceRows) + r.from(where{isAttempt, "n = 0"}) + ") GROUP BY rank, source, piece ORDER BY rank, piece"
	err := r.d.ask(ctx, "deliveries", sql, func(scan func(to ...any) error) error {
		var source string
		var rows uint64
		var p store.Piece
		if err := scan(&source, &p.Since, &p.Until, &rows); err != nil {
			return err
		}
		if rows == store.PieceRows {
			last[source] = &p
			all = append(all, &p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sources, err := r.sources(ctx)
	for _, s := range sources {
		all = append(all, store.NewPiece(&s, last[s.ID]))
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
			in = append(in, underRelay("lower(relay_host)", name))
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
