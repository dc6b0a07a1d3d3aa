package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// Delivered lists what was delivered in some streams: of each the deliveries that are
// nearest to its times, by whole seconds, while there is room.
func (r *reader) Delivered(ctx context.Context, streams []store.Stream, limit int) ([]store.History, error) {
	out := make([]store.History, len(streams))
	for i := range streams {
		h, err := r.history(ctx, &streams[i], max(limit, 0))
		if err != nil {
			return nil, err
		}
		out[i] = h
		limit -= len(h.Deliveries)
	}
	return out, nil
}

func (r *reader) history(ctx context.Context, s *store.Stream, limit int) (h store.History, err error) {
	if s.First.After(s.Last) {
		return h, nil
	}
	in := "0"
	if len(s.Domains) > 0 {
		folded := make([]string, len(s.Domains))
		for i, name := range s.Domains {
			folded[i] = ascii.Lower(name)
		}
		in = "recipient_domain IN (" + quotes(folded) + ")"
	}
	for _, name := range s.Relays {
		in += " OR " + underRelay("lower(relay_host)", ascii.Lower(name))
	}
	var around []int64
	for _, t := range s.Around {
		around = append(around, t.Unix())
	}
	w := where{"outcome = 'delivered'", in, fmt.Sprintf("at BETWEEN %d AND %d", ceil(s.First), s.Last.Unix())}
	sql := "SELECT at, " + messageHash + ", sender_domain, arrayMin(t -> abs(at - t), CAST([" + numbers(around) + "], 'Array(Int64)')) AS distance" + r.from(w) +
		fmt.Sprintf(" ORDER BY distance LIMIT %d", int64(limit)+1)
	var reach uint64 // what is nearer is covered
	whole := true
	var distances []uint64
	err = r.ask(ctx, "deliveries", sql, func(scan func(to ...any) error) error {
		var d store.Delivered
		var at int64
		var distance uint64
		if err := scan(&at, &d.Message, &d.SenderDomain, &distance); err != nil {
			return err
		}
		d.Time = unix(at)
		if len(h.Deliveries) == limit {
			whole, reach = false, distance
			return nil
		}
		h.Deliveries = append(h.Deliveries, d)
		distances = append(distances, distance)
		return nil
	})
	if err != nil {
		return h, err
	}
	if whole {
		h.Covered = []store.Span{s.Span}
	} else {
		n, _ := slices.BinarySearch(distances, reach)
		h.Deliveries = h.Deliveries[:n]
		for _, at := range s.Around {
			near := time.Duration(reach)*time.Second - time.Second
			span := store.Span{First: unix(at.Unix()).Add(-near), Last: unix(at.Unix()).Add(near)}
			if span.First.Before(s.First) {
				span.First = s.First
			}
			if span.Last.After(s.Last) {
				span.Last = s.Last
			}
			if !span.First.After(span.Last) {
				h.Covered = append(h.Covered, span)
			}
		}
		h.Covered = merged(h.Covered)
	}
	slices.SortStableFunc(h.Deliveries, func(a, b store.Delivered) int { return a.Time.Compare(b.Time) })
	return h, nil
}

// merged makes one of spans that overlap.
func merged(spans []store.Span) (out []store.Span) {
	slices.SortFunc(spans, func(a, b store.Span) int { return a.First.Compare(b.First) })
	for _, s := range spans {
		if n := len(out); n > 0 && !s.First.After(out[n-1].Last) {
			if s.Last.After(out[n-1].Last) {
				out[n-1].Last = s.Last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}
