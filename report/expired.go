package report

import (
	"context"

	"bouncelog/bounce"
	"bouncelog/store"
)

const (
	expiredCounted = 10_000 // maximum number of expired recipients whose last failure is looked up
	softRead       = 50_000 // maximum number of temporary failures read for that
)

// A pair is one recipient of one message.
type pair struct {
	message   uint64 // as store.Refusal.Message
	recipient string
}

func pairOf(r *store.Refusal) pair { return pair{r.Message, r.Recipient} }

// lastTemporary fills in the reasons of the last deferral of expired mail.
func lastTemporary(ctx context.Context, s store.Reader, f store.Filter, rows []ReasonCount) error {
	var expired *ReasonCount
	var soft int64
	for i := range rows {
		soft += rows[i].Soft
		if rows[i].Reason == bounce.Expired {
			expired = &rows[i]
		}
	}
	if expired == nil || expired.Hard > expiredCounted || soft > softRead {
		return nil
	}
	f.NoHistory = true
	before := f
	before.Reasons, before.Outcomes = nil, []bounce.Outcome{bounce.Soft}
	if !f.Since.IsZero() {
		before.Since = f.Since.Add(-QueueLifetime)
	}
	if n, err := store.CountAll(ctx, s, before); err != nil || n.Soft > softRead {
		return err
	}
	last := make(map[pair]bounce.Reason, expired.Hard)
	ended := f
	ended.Reasons = []bounce.Reason{bounce.Expired}
	for r, err := range s.Refusals(ctx, ended) {
		if err != nil {
			return err
		}
		last[pairOf(r)] = bounce.NoReason
	}
	for r, err := range s.Refusals(ctx, before) { // in the order of time
		if err != nil {
			return err
		}
		p := pairOf(r)
		if _, gone := last[p]; gone {
			last[p] = r.Reason
		}
	}
	for _, reason := range last {
		if reason == bounce.NoReason {
			continue
		}
		if expired.Last == nil {
			expired.Last = map[string]int64{}
		}
		expired.Last[reason.String()]++
	}
	return nil
}
