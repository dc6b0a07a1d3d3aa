package memory

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// A moment is the stored data at one time. It does not change.
type moment struct {
	events    []event // sorted by time
	sources   []store.Source
	messages  []bounce.Message
	skipped   []store.Skipped
	unparsed  []store.Unparsed
	ends      []bounce.End
	queue     [][2]event // first and last attempt of each pending pair
	delivered map[string][]time.Time
}

// now copies the stored data.
func (l *ledger) now() *moment {
	m := &moment{
		events: slices.Clone(l.events), sources: slices.Clone(l.sources), messages: slices.Clone(l.messages),
		unparsed: slices.Clone(l.unparsed), ends: slices.Clone(l.ends), delivered: make(map[string][]time.Time),
	}
	slices.SortStableFunc(m.events, func(a, b event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.source, b.source), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.N, b.N))
	})
	for program, n := range l.skipped {
		m.skipped = append(m.skipped, store.Skipped{Program: program, Lines: n})
	}
	slices.SortFunc(m.skipped, func(a, b store.Skipped) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), strings.Compare(a.Program, b.Program))
	})
	for _, list := range l.pending {
		for _, q := range list {
			m.queue = append(m.queue, [2]event{l.events[q.first], l.events[q.last]})
		}
	}
	slices.SortFunc(m.queue, func(a, b [2]event) int {
		x, y := a[0].Arrived(), b[0].Arrived()
		if x.IsZero() != y.IsZero() {
			return map[bool]int{true: 1, false: -1}[x.IsZero()]
		}
		return cmp.Or(cmp.Compare(x.Unix(), y.Unix()), cmp.Compare(a[0].source, b[0].source), cmp.Compare(a[0].Offset, b[0].Offset))
	})
	for recipient, times := range l.delivered {
		folded := ascii.Lower(recipient)
		m.delivered[folded] = append(m.delivered[folded], times...)
	}
	return m
}

type reader struct{ *moment }

func (r *reader) Close() error { return nil }

// Ends lists the ends of messages.
func (r *reader) Ends(_ context.Context, messages ...store.MessageKey) (list []bounce.End, err error) {
	for _, e := range r.ends {
		if slices.Contains(messages, store.EndedMessage(&e)) || slices.Contains(messages, store.MessageKey{QueueID: e.QueueID}) {
			e.Time = e.Time.Truncate(time.Second).UTC()
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b bounce.End) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset))
	})
	return list, nil
}

// Discarded counts the messages that were discarded as a whole.
func (r *reader) Discarded(_ context.Context, f store.Filter) (n int64, err error) {
	if !f.OfMessages() {
		return 0, nil
	}
	for i := range r.ends {
		e := &r.ends[i]
		at := whole(e.Time)
		if e.Event == bounce.MessageDiscarded && (f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until)) &&
			(f.Host == "" || e.Host == f.Host) && (f.MTA == "" || e.MTA == f.MTA) && (f.QueueID == "" || e.QueueID == f.QueueID) {
			n++
		}
	}
	return n, nil
}

func (r *reader) Coverage(context.Context) (*store.Coverage, error) {
	return &store.Coverage{Sources: slices.Clone(r.sources), Skipped: slices.Clone(r.skipped), Unparsed: slices.Clone(r.unparsed)}, nil
}

// matches reports whether a filter selects an event, apart from its recipient.
func (e *event) matches(f *store.Filter) bool {
	return (f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Domain == "" && len(f.Domains) == 0 || slices.ContainsFunc(f.RecipientDomains(), func(name string) bool { return e.RecipientDomain == ascii.Lower(name) })) &&
		(f.SenderDomain == "" || e.SenderKnown && e.SenderDomain == ascii.Lower(f.SenderDomain)) &&
		(len(f.Senders) == 0 || e.SenderKnown && slices.ContainsFunc(f.Senders, func(a string) bool { return ascii.Lower(e.Sender) == ascii.Lower(a) })) &&
		(len(f.Logins) == 0 || (e.Outcome == bounce.Soft || e.Outcome == bounce.Hard) && slices.Contains(f.Logins, e.SASLUser)) &&
		(f.Relay == "" || store.AtRelay(e.RelayHost, f.Relay)) && (f.RelayIP == "" || e.RelayIP == f.RelayIP) &&
		(f.To == nil || e.goesTo(f.To)) &&
		(f.Host == "" || e.Host == f.Host) && (f.MTA == "" || e.MTA == f.MTA) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, e.Outcome)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, e.Reason)) &&
		(f.QueueID == "" || e.QueueID == f.QueueID) &&
		(f.Original == "" || ascii.Lower(e.OriginalRecipient) == ascii.Lower(f.Original)) &&
		(f.MessageID == "" || e.MessageID != "" && e.MessageID == store.Clean(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"), store.MaxName))
}

// goesTo reports whether the event went to a destination.
func (e *event) goesTo(to *store.Destination) bool {
	if e.RelayHost == "" {
		return slices.ContainsFunc(to.Domains, func(name string) bool { return e.RecipientDomain == ascii.Lower(name) })
	}
	return slices.ContainsFunc(to.Relays, func(name string) bool { return store.AtRelay(e.RelayHost, name) })
}

// selected yields the events that a filter selects, sorted by time.
func (r *reader) selected(f store.Filter) iter.Seq[*event] {
	recipients := make(map[string]bool)
	for _, address := range f.Recipients {
		recipients[ascii.Lower(address)] = true
	}
	return func(yield func(*event) bool) {
		for i := range r.events {
			e := &r.events[i]
			if e.matches(&f) && (len(recipients) == 0 || recipients[ascii.Lower(e.Recipient)]) && !yield(e) {
				return
			}
		}
	}
}

// failures yields the soft and hard failures that a filter selects.
func (r *reader) failures(f store.Filter) iter.Seq[*event] {
	return func(yield func(*event) bool) {
		for e := range r.selected(f) {
			if failed(e.Outcome) && !yield(e) {
				return
			}
		}
	}
}

func (r *reader) Span(_ context.Context, f store.Filter) (s store.Span, err error) {
	for e := range r.selected(f) {
		if s.First.IsZero() {
			s.First = e.Time
		}
		s.Last = e.Time
	}
	return s, nil
}

// key returns the value of an event in a dimension.
func (e *event) key(by store.Dimension) (string, bool) {
	switch by {
	case store.BySender:
		if e.SenderKnown && e.Sender == "" {
			return "<>", true
		}
		return e.Sender, true
	case store.BySASLUser:
		return e.SASLUser, true
	case store.ByClient:
		if e.SASLUser != "" {
			return "", true
		}
		return e.ClientIP, true
	case store.ByDomain:
		return e.RecipientDomain, true
	case store.BySenderDomain:
		return e.SenderDomain, true
	case store.ByRelay:
		return e.RelayHost, true
	case store.ByReason:
		return e.Reason.String(), true
	case store.ByDetail:
		return e.Detail, true
	case store.ByRecipient:
		return e.Recipient, true
	case store.ByHost:
		return e.Host, true
	case store.ByDay:
		return e.Time.Format(time.DateOnly), true
	case store.ByHour:
		return e.Time.Format("2006-01-02T15:00Z"), true
	}
	return "", false
}

func (r *reader) Count(_ context.Context, f store.Filter, by ...store.Dimension) ([]store.Cell, error) {
	if len(by) > store.MaxDimensions {
		return nil, fmt.Errorf("count: %d dimensions, at most %d", len(by), store.MaxDimensions)
	}
	handover, destination := false, f.Domain != "" || len(f.Domains) > 0 || f.Relay != "" || f.RelayIP != "" || f.To != nil
	for _, dim := range by {
		if _, known := new(event).key(dim); !known {
			return nil, fmt.Errorf("count: cannot count by %q", dim)
		}
		handover = handover || dim == store.BySender || dim == store.BySASLUser || dim == store.ByClient
		destination = destination || dim == store.ByDomain || dim == store.ByRelay
	}
	// Messages are told apart one by one if the filter selects few attempts, or if the dimension is
	// known of failed attempts only.
	apart := handover || len(f.Recipients) > 0 || f.QueueID != "" || f.MessageID != "" || f.Original != ""
	var cells []store.Cell
	index := make(map[[store.MaxDimensions]string]int)
	seen := make(map[string]bool)
	for e := range r.selected(f) {
		if handover && !failed(e.Outcome) {
			continue
		}
		var keys [store.MaxDimensions]string
		for i, dim := range by {
			keys[i], _ = e.key(dim)
		}
		at, known := index[keys]
		if !known {
			at = len(cells)
			index[keys] = at
			cells = append(cells, store.Cell{Keys: keys})
		}
		add(&cells[at].Tally, e)
		if !counts(e.Outcome) {
			continue
		}
		first := e.first
		switch {
		case apart:
			message := strings.Join([]string{fmt.Sprint(at), e.Host, string(e.MTA), e.Instance, e.QueueID}, "\x00")
			first = !seen[message]
			seen[message] = true
		case destination:
			first = e.toDomain
		}
		if first {
			cells[at].Messages++
		}
	}
	return cells, nil
}

// add counts an event, but not its message.
func add(t *store.Tally, e *event) {
	pair, null := int64(0), int64(0)
	if e.pair {
		pair = 1
	}
	if e.SenderKnown && e.Sender == "" {
		null = 1
	}
	switch e.Outcome {
	case bounce.Delivered:
		t.Delivered++
		t.Recovered += pair
	case bounce.Soft:
		t.Soft++
		t.Pending += pair
		t.NullSoft += null
		if e.Code >= 500 {
			t.Soft5xx++
		}
	case bounce.Hard:
		t.Hard++
		t.Expired += pair
		t.NullHard += null
	case bounce.Handoff:
		t.Handoff++
		if e.Disposal == bounce.Discarded {
			t.Discarded++
		}
	case bounce.Probe:
		t.Probe++
	}
	if counts(e.Outcome) {
		t.Attempts++
	}
	if failed(e.Outcome) && e.Reason != bounce.NoReason {
		if t.Reasons == nil {
			t.Reasons = make(map[bounce.Reason]int64)
		}
		t.Reasons[e.Reason]++
	}
}

func (r *reader) Replies(_ context.Context, f store.Filter) ([]store.Reply, error) {
	var list []store.Reply
	index := make(map[store.Reply]int)
	for e := range r.failures(f) {
		template, _ := bounce.Split(e.Response)
		k := store.Reply{
			MTA: e.MTA, Status: e.Status, Outcome: e.Outcome, Code: e.Code, Enhanced: e.Enhanced,
			Stage: e.Stage, Local: e.Local, Untried: e.Untried, Template: template, Verdict: e.Verdict,
		}
		at, known := index[k]
		if !known {
			at = len(list)
			index[k] = at
			list = append(list, k)
		}
		list[at].Attempts++
	}
	return list, nil
}

func (r *reader) Attempts(ctx context.Context, f store.Filter, p store.Page) iter.Seq2[*store.Attempt, error] {
	return func(yield func(*store.Attempt, error) bool) {
		list := slices.Collect(r.selected(f))
		if p.Newest {
			slices.Reverse(list)
		}
		if p.After != (store.Ref{}) {
			list = list[slices.IndexFunc(append(list, nil), func(e *event) bool { return e == nil || r.comesAfter(e, p) }):]
		}
		if p.Limit > 0 {
			list = list[:min(len(list), p.Limit)]
		}
		for _, e := range list {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			a := e.Attempt
			if !yield(&a, nil) {
				return
			}
		}
	}
}

// comesAfter reports whether an event comes after the attempt after which a page begins.
func (r *reader) comesAfter(e *event, p store.Page) bool {
	source := slices.IndexFunc(r.sources, func(s store.Source) bool { return s.ID == p.After.Source })
	c := cmp.Or(cmp.Compare(e.Time.Unix(), p.After.Time), cmp.Compare(e.source, source), cmp.Compare(e.Offset, p.After.Offset), cmp.Compare(e.N, p.After.N))
	if p.Newest {
		return c < 0
	}
	return c > 0
}

func (r *reader) Lookup(_ context.Context, refs ...store.Ref) ([]*store.Attempt, error) {
	list := make([]*store.Attempt, len(refs))
	for i, ref := range refs {
		if at := slices.IndexFunc(r.events, func(e event) bool { return e.Ref() == ref }); at >= 0 {
			a := r.events[at].Attempt
			list[i] = &a
		}
	}
	return list, nil
}

// messageHash returns a hash that identifies the message of an attempt.
func messageHash(d *bounce.Delivery) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%v\x00%s", d.QueueID, d.SenderKnown, d.Sender)
	return h.Sum64()
}

func (r *reader) Refusals(_ context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	return func(yield func(*store.Refusal, error) bool) {
		known := make(map[store.Traits]*store.Traits)
		for e := range r.failures(f) {
			if f.Guesses && e.Confidence != bounce.Guess {
				continue
			}
			template, _ := bounce.Split(e.Response)
			t := store.Traits{
				Source: e.Source, SenderDomain: e.SenderDomain, NullSender: e.SenderKnown && e.Sender == "", RecipientDomain: e.RecipientDomain,
				Forwarded: store.Forwarded(&e.Delivery),
				RelayHost: e.RelayHost, RelayIP: e.RelayIP, RelayPort: e.RelayPort,
				Outcome: e.Outcome, Code: e.Code, Stage: e.Stage, Untried: e.Untried, Template: template, Verdict: e.Verdict,
			}
			if known[t] == nil {
				known[t] = &t
			}
			x := store.Refusal{
				Traits: known[t], Offset: e.Offset, N: e.N, Time: e.Time, Recipient: e.Recipient, Message: messageHash(&e.Delivery),
				DeliveredBefore: e.before, DeliveredAfter: e.after,
			}
			if !yield(&x, nil) {
				return
			}
		}
	}
}

func (r *reader) Delivered(_ context.Context, streams []store.Stream, limit int) ([]store.History, error) {
	out := make([]store.History, len(streams))
	for i, covered := range store.Cover(streams, r.pieces(), limit) {
		s, h := &streams[i], &out[i]
		h.Covered = covered
		for e := range r.selected(store.Filter{Outcomes: []bounce.Outcome{bounce.Delivered}}) {
			in := slices.ContainsFunc(s.Domains, func(name string) bool { return strings.EqualFold(name, e.RecipientDomain) }) || slices.ContainsFunc(s.Relays, func(name string) bool {
				return e.RelayHost == name || strings.HasSuffix(e.RelayHost, "."+name)
			})
			if in && slices.ContainsFunc(covered, func(p store.Span) bool { return !e.Time.Before(p.First) && !e.Time.After(p.Last) }) {
				h.Deliveries = append(h.Deliveries, store.Delivered{Source: e.Source, Offset: e.Offset, Time: e.Time, Message: messageHash(&e.Delivery), SenderDomain: e.SenderDomain})
			}
		}
	}
	return out, nil
}

// pieces divides the attempts of each source, in the order of their lines.
func (r *reader) pieces() (all []*store.Piece) {
	var ends []*store.Piece
	for i := range r.sources {
		var list []*event
		for j := range r.events {
			if e := &r.events[j]; e.Source == r.sources[i].ID && e.N == 0 {
				list = append(list, e)
			}
		}
		slices.SortStableFunc(list, func(a, b *event) int { return cmp.Compare(a.Offset, b.Offset) })
		var last *store.Piece
		for part := range slices.Chunk(list, store.PieceRows) {
			if len(part) < store.PieceRows {
				break
			}
			last = &store.Piece{Since: part[0].Time.Unix(), Until: part[0].Time.Unix()}
			for _, e := range part {
				last.Since, last.Until = min(last.Since, e.Time.Unix()), max(last.Until, e.Time.Unix())
			}
			all = append(all, last)
		}
		ends = append(ends, store.NewPiece(&r.sources[i], last))
	}
	return append(all, ends...)
}

func (r *reader) Recipients(_ context.Context, f store.Filter, limit int) iter.Seq2[*store.Recipient, error] {
	return func(yield func(*store.Recipient, error) bool) {
		var list []*store.Recipient
		known := make(map[string]*store.Recipient)
		for e := range r.failures(f) {
			if e.Outcome == bounce.Soft && e.Code < 500 {
				continue
			}
			x := known[e.Recipient]
			if x == nil {
				x = &store.Recipient{Address: e.Recipient, Domain: e.RecipientDomain}
				for _, at := range r.delivered[ascii.Lower(e.Recipient)] {
					if at.After(x.LastDelivered) {
						x.LastDelivered = at
					}
				}
			}
			since := e.Time.After(x.LastDelivered)
			if f.Undelivered && !since {
				continue
			}
			if known[e.Recipient] == nil {
				known[e.Recipient] = x
				list = append(list, x)
			}
			note(x, e, since)
		}
		if limit > 0 {
			slices.SortFunc(list, compareFailures)
			list = list[:min(len(list), limit)]
		}
		for _, x := range list {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// note counts a failure of a recipient.
func note(x *store.Recipient, e *event, since bool) {
	i := slices.IndexFunc(x.Faults, func(y store.Fault) bool {
		return y.Outcome == e.Outcome && y.Code == e.Code && y.Enhanced == e.Enhanced && y.Local == e.Local && y.Verdict == e.Verdict
	})
	if i < 0 {
		i = len(x.Faults)
		x.Faults = append(x.Faults, store.Fault{Outcome: e.Outcome, Code: e.Code, Enhanced: e.Enhanced, Local: e.Local, Verdict: e.Verdict, First: e.Time})
	}
	y := &x.Faults[i]
	y.Attempts++
	y.Last, y.Response = e.Time, e.Response
	if since {
		if y.Since++; y.Since == 1 {
			y.FirstSince = e.Time
		}
	}
}

// compareFailures sorts the recipients with the most failures to the front, and among equals those
// with the latest last failure.
func compareFailures(a, b *store.Recipient) int {
	sum := func(x *store.Recipient) (n int64, last time.Time) {
		for i := range x.Faults {
			n += x.Faults[i].Attempts
			if x.Faults[i].Last.After(last) {
				last = x.Faults[i].Last
			}
		}
		return n, last
	}
	n, last := sum(a)
	m, end := sum(b)
	return cmp.Or(cmp.Compare(m, n), end.Compare(last), strings.Compare(a.Address, b.Address))
}

func (r *reader) Queue(_ context.Context, f store.Filter, limit int) ([]store.Queued, error) {
	list := []store.Queued{}
	for i := range r.queue {
		first, last := &r.queue[i][0], &r.queue[i][1]
		if !last.matches(&f) || len(f.Recipients) > 0 && !slices.ContainsFunc(f.Recipients, func(a string) bool { return ascii.Lower(a) == ascii.Lower(last.Recipient) }) || !f.QueuedBefore.IsZero() && !first.Time.Before(f.QueuedBefore) {
			continue
		}
		q := store.Queued{Attempt: last.Attempt, FirstSoft: first.Time}
		if at := first.Arrived(); !at.IsZero() {
			q.Arrived = whole(at)
		}
		if list = append(list, q); len(list) == limit {
			break
		}
	}
	return list, nil
}
