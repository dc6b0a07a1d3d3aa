package problem

import (
	"context"
	"hash/maphash"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// An expiry is a recipient of a message that the MTA gave up at the end of the queue lifetime.
type expiry struct {
	ref                store.Ref
	at                 moment
	message, recipient uint64 // as in a refusal or failure with the same seed
}

// expiries are the expiries of a period, which are read when they are first asked for.
type expiries struct {
	s    store.Reader
	f    store.Filter
	seed maphash.Seed
	list []expiry // in the order of time, the newest failuresKept
	read bool
}

func newExpiries(s store.Reader, f store.Filter) *expiries {
	return &expiries{s: s, f: f, seed: maphash.MakeSeed()}
}

// all returns the expiries.
func (x *expiries) all(ctx context.Context) ([]expiry, error) {
	f, ok := x.f.Restrict([]bounce.Reason{bounce.Expired})
	if x.read || !ok {
		return x.list, nil
	}
	f.NoHistory = true
	for r, err := range x.s.Refusals(ctx, f) {
		if err != nil {
			return nil, err
		}
		if len(x.list) == failuresKept {
			x.list = append(x.list[:0], x.list[failuresKept/2:]...)
		}
		x.list = append(x.list, expiry{ref: r.Ref(), at: momentOf(r.Time), message: r.Message, recipient: maphash.String(x.seed, r.Recipient)})
	}
	x.read = true
	return x.list, nil
}

// follows reports whether the failure at a time was the last one before an expiry: it is within a
// window, since a queue tries each message at least once a day.
func (e *expiry) follows(at moment, window time.Duration) bool { return e.at.sub(at).Abs() < window }

func (e *expiry) pair() [2]uint64 { return [...]uint64{e.message, e.recipient} }

func (e *expiry) row() row {
	return row{Ref: e.ref, message: e.message, recipient: e.recipient, hard: true}
}

// findExpired gives each incident the mail of the period that expired after the incident's refusals.
func (x *refusalSearch) findExpired(ctx context.Context, incidents []*incident, gone *expiries) error {
	list, err := gone.all(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	type place struct {
		at moment
		in *incident
	}
	last := make(map[[2]uint64]place, len(list)) // of the last refusals
	for i := range list {
		last[list[i].pair()] = place{}
	}
	for _, in := range incidents {
		for _, r := range between(in.all, list[0].at.add(-x.o.Window), x.until) {
			k := [...]uint64{r.message, r.recipient}
			if p, ok := last[k]; ok && r.at >= p.at {
				last[k] = place{r.at, in}
			}
		}
	}
	expired := map[*incident]map[uint64]bool{} // messages
	for i := range list {
		e := &list[i]
		in := last[e.pair()].in
		if in == nil || !e.follows(last[e.pair()].at, x.o.Window) {
			continue
		}
		in.expired = append(in.expired, *e)
		if expired[in] == nil {
			expired[in] = map[uint64]bool{}
		}
		expired[in][e.message] = true
	}
	for in, messages := range expired {
		for _, r := range in.all {
			r.expired = messages[r.message]
		}
	}
	return nil
}

// expiredOnly counts the messages of an incident that expired in the period and were last refused
// before it.
func (in *incident) expiredOnly() int {
	if len(in.expired) == 0 {
		return 0
	}
	messages := map[uint64]bool{}
	for i := range in.expired {
		messages[in.expired[i].message] = true
	}
	for _, r := range in.refusals {
		delete(messages, r.message)
	}
	return len(messages)
}
