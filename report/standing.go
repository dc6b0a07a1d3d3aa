package report

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Since returns when the waiting began.
func (p *Pending) Since() time.Time {
	if p.Arrived != nil {
		return *p.Arrived
	}
	return p.FirstSoft
}

// waitingCounted is the maximum number of waiting recipients counted one by one, if the counts do
// not give their number.
const waitingCounted = 1000

func (r *Report) pending(ctx context.Context, s store.Reader, o Options) ([]Pending, error) {
	top := lesser(o.Top)
	l := List{Section: SectionPending}
	most := top
	counted := r.waits.known && !r.Filter.partly()
	if counted {
		l.Total = int(r.waits.total)
	} else if top > 0 {
		most = max(top, waitingCounted) + 1
	}
	f := o.Filter
	// The start of the waiting is not limited: the longest comes first.
	f.QueuedBefore, f.Since, f.Until = f.Until, time.Time{}, time.Time{}
	var list []store.Queued
	var err error
	if counted && r.Past() {
		list, err = queuedThen(ctx, s, r.waits.list[:min(len(r.waits.list), cmp.Or(top, math.MaxInt))])
	} else {
		list, err = s.Queue(ctx, f, most)
	}
	if err != nil {
		return nil, err
	}
	if !counted {
		if l.Total = len(list); most > 0 && len(list) == most {
			l.Total, l.Least = most-1, true
		}
	}
	if top > 0 {
		list = list[:min(top, len(list))]
	}
	l.Shown = len(list)
	l.Total = max(l.Total, l.Shown)
	r.note(o, l)
	keys := make([]store.MessageKey, len(list))
	for i := range list {
		keys[i] = list[i].MessageKey()
	}
	ends, err := s.Ends(ctx, keys...)
	if err != nil {
		return nil, err
	}
	byMessage := map[store.MessageKey][]bounce.End{}
	for _, e := range ends {
		if asOf := r.queueTime(); asOf.Before(r.AsOf) && !e.Time.Before(asOf) {
			continue
		}
		k := store.EndedMessage(&e)
		byMessage[k] = append(byMessage[k], e)
	}
	rows := make([]Pending, 0, len(list))
	for i := range list {
		w := &list[i]
		p := Pending{
			Recipient: w.Recipient, QueueID: w.QueueID, Host: w.Host, Arrived: optional(w.Arrived), FirstSoft: w.FirstSoft.UTC(),
			LastTry: w.Time.UTC(), Relay: w.RelayHost, Reason: w.Reason, Code: w.Code, Response: w.Response,
			Frozen: held(endsOf(&w.Attempt, byMessage[keys[i]])),
		}
		if w.SenderKnown {
			p.Sender = &w.Sender
		}
		rows = append(rows, p)
	}
	return rows, nil
}

// QueueThen returns the mail that waited at the end of a past period, the oldest first; nil if that is not
// known.
func (r *Report) QueueThen(ctx context.Context, s store.Reader) ([]store.Queued, error) {
	if r.waits == nil {
		return nil, nil
	}
	return queuedThen(ctx, s, r.waits.list)
}

// queuedThen returns mail that waited at the end of a past period.
func queuedThen(ctx context.Context, s store.Reader, waits []*Wait) (list []store.Queued, err error) {
	for part := range slices.Chunk(waits, waitedAtOnce) {
		refs := make([]store.Ref, len(part))
		for i := range part {
			refs[i] = part[i].Last
		}
		found, err := s.Lookup(ctx, refs...)
		if err != nil {
			return nil, err
		}
		for i, a := range found {
			if a != nil {
				list = append(list, store.Queued{Attempt: *a, Arrived: a.Arrived(), FirstSoft: part[i].First})
			}
		}
	}
	return list, nil
}

const (
	standsOutLeast = 20  // hard failures
	standsOutShare = 0.3 // of all hard failures
)

// StandsOut reports whether one of several senders has far more than its share of the returned
// mail.
func (c *SenderCount) StandsOut() bool {
	return c.Hard >= standsOutLeast && c.Share >= standsOutShare
}

// manyFailures is the number of failures from which counting them one by one would delay a report
// that did not request it.
const manyFailures = 100_000

func (r *Report) senders(ctx context.Context, s store.Reader, o Options) (*Senders, error) {
	out := &Senders{}
	f := o.Filter
	all, err := store.CountAll(ctx, s, f)
	if err != nil {
		return nil, err
	}
	if !r.Named && all.Soft+all.Hard > manyFailures && r.Period.Last != nil {
		if day := r.Period.Last.Truncate(time.Hour).Add(-23 * time.Hour); day.After(f.Since) {
			f.Since = day
			out.Since = &day
			if all, err = store.CountAll(ctx, s, f); err != nil {
				return nil, err
			}
		}
	}
	cells, err := s.Count(ctx, f, store.BySender, store.BySASLUser, store.ByClient)
	if err != nil {
		return nil, err
	}
	l := List{Section: SectionSenders}
	for i, list := range [...]*[]SenderCount{&out.Senders, &out.SASLUsers, &out.Clients} {
		groups := merged(cells, func(c *store.Cell) string { return c.Keys[i] })
		rows := senderCounts(groups, all.Hard)
		shown := rows
		if top := lesser(o.Top); top > 0 {
			shown = rows[:min(len(rows), top)]
		}
		*list = slices.Clip(shown)
		l.Shown += len(shown)
		l.Total += len(rows)
	}
	r.note(o, l)
	return out, nil
}

func senderCounts(groups []store.Cell, hard int64) []SenderCount {
	rows := make([]SenderCount, 0, min(len(groups), 1000))
	for _, g := range groups {
		if g.Keys[0] == "" || g.Keys[0] == nullSender || g.Soft+g.Hard == 0 {
			continue // unknown, or the null sender, which the totals show separately
		}
		c := SenderCount{Key: g.Keys[0], Failed: g.Soft + g.Hard, Soft: g.Soft, Hard: g.Hard, Reason: mainReason(g.Reasons)}
		if hard > 0 {
			c.Share = float64(g.Hard) / float64(hard)
		}
		rows = append(rows, c)
	}
	slices.SortFunc(rows, func(a, b SenderCount) int {
		return cmp.Or(cmp.Compare(b.Hard, a.Hard), cmp.Compare(b.Failed, a.Failed), strings.Compare(a.Key, b.Key))
	})
	return rows
}

// The kinds of contradictions, in the order of the checks.
const (
	kindSoftBounce = "soft_bounce"
	kindGreeting   = "greeting_5xx"
	kindSoft5xx    = "soft_5xx"
	kindHard4xx    = "hard_4xx"
	kindCodes      = "codes_differ"
)

var contradictionWords = map[string]string{
	kindSoftBounce: "soft_bounce is on here: Postfix keeps in the queue what was refused for good, until it expires. Turn it off, or the senders learn of it days later.",
	kindGreeting:   "A 5xx in place of a greeting: the server does not talk to us at all, and the mail stays queued, silent, until it expires.",
	kindSoft5xx:    "Refused for good by the other side, but kept in the queue by this MTA.",
	kindHard4xx:    "Only refused for now by the other side, but returned by this MTA: look at its retry and transport settings.",
	kindCodes:      "The reply code and the enhanced code disagree about trying again; the MTA went by the reply code.",
}

func contradictionOf(r *store.Reply) string {
	class := r.Enhanced.Class()
	switch {
	case r.Status == "SOFTBOUNCE":
		return kindSoftBounce
	case r.Outcome == bounce.Soft && r.Code >= 500 && r.Stage == bounce.StageConnect:
		return kindGreeting
	case r.Outcome == bounce.Soft && r.Code >= 500:
		return kindSoft5xx
	case r.Outcome == bounce.Hard && r.Code >= 400 && r.Code < 500 && r.Reason != bounce.Expired:
		return kindHard4xx
	case r.Reason != bounce.Expired && r.Code >= 400 && (class == 4 || class == 5) && int(r.Code)/100 != class:
		return kindCodes
	}
	return ""
}

const contradictionsShown = 3 // replies of each kind, unless all are requested

func (r *Report) contradictions(o Options, list []store.Reply) []Contradiction {
	found := []Contradiction{}
	shown := contradictionsShown
	if o.Top == 0 {
		shown = 0
	}
	l := List{Section: SectionContradictions}
	for _, kind := range []string{kindSoftBounce, kindGreeting, kindSoft5xx, kindHard4xx, kindCodes} {
		c := Contradiction{Kind: kind, Meaning: contradictionWords[kind]}
		texts := map[string]int64{}
		for i := range list {
			if contradictionOf(&list[i]) == kind {
				c.Attempts += list[i].Attempts
				texts[list[i].Template] += list[i].Attempts
			}
		}
		for _, t := range topTexts(texts, shown) {
			c.Replies = append(c.Replies, ContradictoryReply{t.Text, t.Attempts})
		}
		if c.Attempts > 0 {
			found = append(found, c)
		}
		l.Shown += len(c.Replies)
		l.Total += len(texts)
	}
	r.note(o, l)
	return found
}

// topTexts returns the n most frequent texts; 0: all.
func topTexts(texts map[string]int64, n int) []UnknownReplyText {
	list := []UnknownReplyText{}
	for text, count := range texts {
		list = append(list, UnknownReplyText{Text: text, Attempts: count})
	}
	slices.SortFunc(list, func(a, b UnknownReplyText) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Text, b.Text))
	})
	if n == 0 {
		return list
	}
	return list[:min(n, len(list))]
}
