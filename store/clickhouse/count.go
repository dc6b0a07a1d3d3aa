package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// dimensions maps each dimension to an expression on a row: text, or a number for a time.
var dimensions = map[store.Dimension]string{
	store.ByDomain:       "recipient_domain",
	store.BySenderDomain: "sender_domain",
	store.ByRelay:        "toString(relay_host)",
	store.ByReason:       "toString(reason)",
	store.ByDetail:       "toString(detail)",
	store.ByRecipient:    "recipient",
	store.ByHost:         "toString(host)",
	store.ByDay:          "toString(toInt64(floor(at / 86400)))",
	store.ByHour:         "toString(toInt64(floor(at / 3600)))",
	store.BySender:       "if(sender_known AND sender = '', '<>', sender)",
	store.BySASLUser:     "sasl_user",
	store.ByClient:       "if(sasl_user = '', client_ip, '')",
}

// handovers are the dimensions known of failed attempts only.
var handovers = []store.Dimension{store.BySender, store.BySASLUser, store.ByClient}

// keyOf returns the key of a cell from the value of a dimension.
func keyOf(by store.Dimension, value string) string {
	var n int64
	switch by {
	case store.ByDay:
		fmt.Sscan(value, &n)
		return time.Unix(n*86400, 0).UTC().Format(time.DateOnly)
	case store.ByHour:
		fmt.Sscan(value, &n)
		return time.Unix(n*3600, 0).UTC().Format("2006-01-02T15:00Z")
	}
	return value
}

// Count counts the attempts that match f.
func (r *reader) Count(ctx context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	c, err := newCount(f, by)
	if err != nil {
		return nil, err
	}
	cells := c.tallies()
	err = r.count(ctx, c, "toInt64(0)", func(int64) []*tallies { return []*tallies{cells} })
	return cells.list, err
}

// CountPeriods counts in each of some periods, by one question unless distinct messages are counted.
func (r *reader) CountPeriods(ctx context.Context, f store.Filter, list []store.Span, by ...store.Dimension) ([][]store.Cell, error) {
	c, err := newCount(*f.Always(), by)
	if err != nil {
		return nil, err
	}
	if c.apart {
		return store.CountEach(ctx, r, f, list, by...)
	}
	p := newPeriods(list)
	c.add(p.where()...)
	cells := make([]*tallies, len(list))
	for i := range cells {
		cells[i] = c.tallies()
	}
	if len(p.since) > 0 {
		err = r.count(ctx, c, p.part(), func(part int64) (of []*tallies) {
			for _, i := range p.of[part] {
				of = append(of, cells[i])
			}
			return of
		})
	}
	out := make([][]store.Cell, len(list))
	for i := range list {
		out[i] = cells[i].list
	}
	return out, err
}

// A count is a question of Count.
type count struct {
	where
	by          []store.Dimension
	keys        [store.MaxDimensions]string // expressions
	apart       bool                        // the distinct messages of each cell are counted
	destination bool                        // a message counts once for each domain
	delivered   bool                        // only deliveries are counted
	all         bool                        // deliveries and other attempts are counted
}

func newCount(f store.Filter, by []store.Dimension) (*count, error) {
	if len(by) > store.MaxDimensions {
		return nil, fmt.Errorf("count: %d dimensions, at most %d", len(by), store.MaxDimensions)
	}
	c := &count{
		by: by, keys: [store.MaxDimensions]string{"''", "''", "''"},
		destination: f.Domain != "" || len(f.Domains) > 0 || f.Relay != "" || f.RelayIP != "" || f.To != nil,
		delivered:   slices.Equal(f.Outcomes, []bounce.Outcome{bounce.Delivered}),
	}
	handover := false
	for i, dim := range by {
		c.keys[i] = dimensions[dim]
		if c.keys[i] == "" {
			return nil, fmt.Errorf("count: cannot count by %q", dim)
		}
		handover = handover || slices.Contains(handovers, dim)
		c.destination = c.destination || dim == store.ByDomain || dim == store.ByRelay
	}
	withEnds := f
	withEnds.Outcomes = nil
	c.where = conditions(&withEnds)
	if len(f.Outcomes) > 0 {
		outcomes := words(f.Outcomes)
		if slices.Contains(f.Outcomes, bounce.Soft) {
			outcomes = append(outcomes, ended)
		}
		c.add("outcome IN (" + quotes(outcomes) + ")")
	}
	if handover {
		c.add("outcome IN ('soft', 'hard', 'ended')")
	}
	c.all = len(f.Outcomes) == 0 && len(f.Reasons) == 0 && !handover
	c.apart = handover || len(f.Recipients) > 0 || f.QueueID != "" || f.MessageID != "" || f.Original != ""
	return c, nil
}

func (c *count) tallies() *tallies {
	return &tallies{index: make(map[[store.MaxDimensions]string]int), by: c.by}
}

// count counts each cell by outcome and reason, and adds the counts up to the tallies of a part, the
// value of an expression. A pair is pending if its first failure is selected and the row that ended it is
// not. These two rows have the same key except for the outcome, so no join is needed.
func (r *reader) count(ctx context.Context, c *count, part string, of func(part int64) []*tallies) error {
	first := "first"
	if c.destination {
		first = "to_domain"
	}
	const failures, none = "countIf(sender_known AND sender = ''), countIf(code >= 500), countIf(disposal = 'discarded')", "toUInt64(0), toUInt64(0), toUInt64(0)"
	list := part + " AS part, " + c.keys[0] + " AS k1, " + c.keys[1] + " AS k2, " + c.keys[2] + " AS k3"
	cells := func(columns string, w where) string {
		return "SELECT " + list + ", outcome, reason, count(), countIf(pair), countIf(" + first + "), " + columns + r.from(w) + " GROUP BY part, k1, k2, k3, outcome, reason"
	}
	var sql string
	switch {
	case c.delivered:
		sql = cells(none, c.where)
	case c.all: // of deliveries the columns of failures are not read: they are half of the cost
		sql = cells(none, append(slices.Clip(c.where), "outcome = 'delivered'")) + " UNION ALL " + cells(failures, append(slices.Clip(c.where), isUndelivered))
	default:
		sql = cells(failures, c.where)
	}
	err := r.d.ask(ctx, "count", sql, func(scan func(to ...any) error) error {
		var at int64
		var x counted
		var k [store.MaxDimensions]string
		if err := scan(&at, &k[0], &k[1], &k[2], &x.outcome, &x.reason, &x.n, &x.pairs, &x.messages, &x.null, &x.code5, &x.discarded); err != nil {
			return err
		}
		if c.apart {
			x.messages = 0
		}
		for _, t := range of(at) {
			x.add(&t.at(k).Tally)
		}
		return nil
	})
	if err != nil || !c.apart {
		return err
	}
	sql = "SELECT " + list + ", uniqExact(" + messageColumns + ")" + r.from(append(c.where, "outcome IN ('delivered', 'soft', 'hard')")) + " GROUP BY part, k1, k2, k3"
	return r.d.ask(ctx, "count messages", sql, func(scan func(to ...any) error) error {
		var at int64
		var n uint64
		var k [store.MaxDimensions]string
		if err := scan(&at, &k[0], &k[1], &k[2], &n); err != nil || n == 0 {
			return err
		}
		for _, t := range of(at) {
			t.at(k).Messages = int64(n)
		}
		return nil
	})
}

// tallies are the cells of a count.
type tallies struct {
	by    []store.Dimension
	list  []store.Cell
	index map[[store.MaxDimensions]string]int
}

func (t *tallies) at(k [store.MaxDimensions]string) *store.Cell {
	for i, dim := range t.by {
		k[i] = keyOf(dim, k[i])
	}
	i, known := t.index[k]
	if !known {
		i = len(t.list)
		t.index[k] = i
		t.list = append(t.list, store.Cell{Keys: k})
	}
	return &t.list[i]
}

// counted holds the numbers of rows of one outcome and reason.
type counted struct {
	outcome, reason                            string
	n, pairs, messages, null, code5, discarded uint64
}

func (x *counted) add(t *store.Tally) {
	n, pairs := int64(x.n), int64(x.pairs)
	switch x.outcome {
	case ended:
		t.Pending -= n
		return
	case delivered:
		t.Delivered += n
		t.Recovered += pairs
	case soft:
		t.Soft += n
		t.Pending += pairs
		t.NullSoft += int64(x.null)
		t.Soft5xx += int64(x.code5)
	case hard:
		t.Hard += n
		t.Expired += pairs
		t.NullHard += int64(x.null)
	case bounce.Handoff.String():
		t.Handoff += n
		t.Discarded += int64(x.discarded)
		return
	case bounce.Probe.String():
		t.Probe += n
		return
	default:
		return
	}
	t.Attempts += n
	t.Messages += int64(x.messages)
	if reason, ok := bounce.ParseReason(x.reason); ok && reason != bounce.NoReason && x.outcome != delivered {
		if t.Reasons == nil {
			t.Reasons = make(map[bounce.Reason]int64)
		}
		t.Reasons[reason] += n
	}
}
