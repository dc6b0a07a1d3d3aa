package report

import (
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// QueueLifetime is the time before a period whose deferrals are read for the mail that waits in it.
// MTAs retry for a shorter time by default (Postfix: 5 days, maximal_queue_lifetime).
const QueueLifetime = 7 * 24 * time.Hour

// Undelivered follows the recipients of messages through attempts that come in the order of time,
// each until the message is delivered to it or given up. K identifies a recipient of a message.
type Undelivered[K comparable] struct {
	Waiting map[K]*Wait
	ended   map[K]bool
}

// A Wait is a recipient of a message that was deferred and waits for the next attempt.
type Wait struct {
	First time.Time // first deferral
	Last  store.Ref // last deferral

	domain string // of the recipient
	relay  string // of the last deferral
}

// NewUndelivered returns an Undelivered without attempts.
func NewUndelivered[K comparable]() *Undelivered[K] {
	return &Undelivered[K]{map[K]*Wait{}, map[K]bool{}}
}

// Add adds an attempt.
func (u *Undelivered[K]) Add(k K, outcome bounce.Outcome, at time.Time, ref store.Ref) {
	w := u.Waiting[k]
	switch {
	case outcome != bounce.Soft:
		delete(u.Waiting, k)
		u.ended[k] = true // the last deferral, of the same second, may follow
	case u.ended[k]:
	case w == nil:
		u.Waiting[k] = &Wait{First: at.UTC(), Last: ref}
	default:
		w.Last = ref
	}
}
