package clickhouse

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"bouncelog/bounce"
	"bouncelog/store"
)

// deliveryTimes caches the times of the deliveries to some domains. A report asks for the
// deliveries to a domain around each of its refusals, a thousand times and more. A query costs the
// server at least 10 ms, so one query per domain reads whole days.
type deliveryTimes struct {
	mu    sync.Mutex
	of    map[deliveriesTo]*deliveredAt
	total int
}

type deliveriesTo struct {
	domain, host string
	mta          bounce.MTA
}

// deliveredAt holds sorted times, from since until before until.
type deliveredAt struct {
	since, until int64
	at           []int64
}

// timesAtMost is how many times are read by one query, and how many are cached before the cache is
// cleared; 8 bytes each.
const timesAtMost = 2 << 20

// timeOf yields the first or last time of a span as an attempt.
func timeOf(s store.Span, last bool, err error) iter.Seq2[*store.Attempt, error] {
	return func(yield func(*store.Attempt, error) bool) {
		a := &store.Attempt{Delivery: bounce.Delivery{Time: s.First, Outcome: bounce.Delivered}}
		if last {
			a.Time = s.Last
		}
		if err != nil || !s.IsZero() {
			yield(a, err)
		}
	}
}

// span returns the times of the first and the last delivery if f selects deliveries to a domain in
// a period; known is false for other filters.
func (t *deliveryTimes) span(ctx context.Context, r *reader, f store.Filter) (s store.Span, known bool, err error) {
	to := deliveriesTo{f.Domain, f.Host, f.MTA}
	if f.Domain == "" || f.Since.IsZero() || f.Until.IsZero() || !slices.Equal(f.Outcomes, []bounce.Outcome{bounce.Delivered}) ||
		f.SenderDomain != "" || len(f.Senders) > 0 || len(f.Logins) > 0 || f.Relay != "" || f.RelayIP != "" || f.To != nil || len(f.Reasons) > 0 || len(f.Recipients) > 0 || f.QueueID != "" || f.MessageID != "" || f.Original != "" {
		return s, false, nil
	}
	since, until := ceil(f.Since), ceil(f.Until)
	if since < 0 || until <= since {
		return s, until <= since, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x, err := t.cover(ctx, r, to, since/86400*86400, (until+86399)/86400*86400)
	if err != nil || x == nil {
		return s, false, err
	}
	first, _ := slices.BinarySearch(x.at, since)
	last, _ := slices.BinarySearch(x.at, until)
	if first < last {
		s = store.Span{First: unix(x.at[first]), Last: unix(x.at[last-1])}
	}
	return s, true, nil
}

// cover reads the missing times from since until before until; nil: there are too many.
func (t *deliveryTimes) cover(ctx context.Context, r *reader, to deliveriesTo, since, until int64) (*deliveredAt, error) {
	if t.total > timesAtMost {
		t.of, t.total = nil, 0
	}
	if t.of == nil {
		t.of = make(map[deliveriesTo]*deliveredAt)
	}
	x := t.of[to]
	if x == nil {
		x = &deliveredAt{since: since, until: since}
		t.of[to] = x
	}
	for _, missing := range [][2]int64{{since, x.since}, {x.until, until}} {
		if missing[0] >= missing[1] {
			continue
		}
		w := conditions(&store.Filter{Domain: to.domain, Host: to.host, MTA: to.mta, Outcomes: []bounce.Outcome{bounce.Delivered}})
		w.add(fmt.Sprintf("at >= %d", missing[0]), fmt.Sprintf("at < %d", missing[1]))
		n := 0
		err := r.d.ask(ctx, "span", fmt.Sprintf("SELECT at%s LIMIT %d", r.from(w), timesAtMost), func(scan func(to ...any) error) error {
			var at int64
			err := scan(&at)
			x.at = append(x.at, at)
			n++
			return err
		})
		t.total += n
		if err != nil || n == timesAtMost {
			delete(t.of, to)
			return nil, err
		}
		slices.Sort(x.at)
	}
	x.since, x.until = min(x.since, since), max(x.until, until)
	return x, nil
}
