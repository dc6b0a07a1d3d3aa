package store

import (
	"context"
	"iter"
	"time"

	"bouncelog/bounce"
)

// Suspect are the reasons of refusals that may be about us, Faults those that are
// the recipient's: reports ask for these again and again, and a store may keep them
// apart.
var (
	Suspect = bounce.Reasons(bounce.Reason.AboutSender)
	Faults  = bounce.Reasons(bounce.Reason.AboutAddress)
)

// A FlagStore answers what the search for problems asks (see "Problems" in
// docs/counting.md). It reads numbers where Rejections reads texts: there may be
// a hundred thousand refusals, and the words of a few are wanted.
type FlagStore interface {
	// Refusals yields the failed attempts (soft and hard) that match f, in the
	// order of time.
	Refusals(ctx context.Context, f Filter) iter.Seq2[*Refusal, error]
	// Responses are what was answered to the refusals with these ids, in their
	// order.
	Responses(ctx context.Context, ids []int64) ([]string, error)
	// Recipients are the addresses of the recipients of some refusals, in their
	// order.
	Recipients(ctx context.Context, recipients []uint64) ([]string, error)
	// FailureTimes says when the recipients of some refusals failed as f
	// selects; those that did not are left out. A recipient may be named more than
	// once.
	FailureTimes(ctx context.Context, f Filter, recipients iter.Seq[uint64]) (map[uint64][]time.Time, error)
	// FlowHistories reads what was delivered in each flow, the nearest to its
	// times first, and of all flows together not much more than so many rows:
	// the first flows are served first. The answers are in the flows' order.
	FlowHistories(ctx context.Context, flows []Flow, rows int) ([]FlowHistory, error)

	// Announced says what was announced, and until when it was last seen.
	Announced(ctx context.Context) (map[string]time.Time, error)
	// Announce replaces all of that in a transaction of its own.
	Announce(ctx context.Context, all map[string]time.Time) error
}

// A Refusal is a failed attempt without its texts.
type Refusal struct {
	ID        int64 // see Responses
	Alike     int   // two refusals with the same number differ in nothing but ID, Offset, Time, Message, Recipient and what was delivered
	Source    string
	Offset    int64
	Time      time.Time
	Message   uint64 // the same for all attempts of one message, here and in FlowDelivery
	Recipient uint64 // the same for all attempts at one address

	SenderDomain    string
	NullSender      bool
	RecipientDomain string
	// Forwarded: the mail was for an address in another domain and sent on, or
	// its sender was rewritten for that (SRS).
	Forwarded bool

	RelayHost, RelayIP string
	RelayPort          uint16

	Outcome  bounce.Outcome
	Code     uint16
	Stage    bounce.Stage
	Template string // of the response; see bounce.Split
	bounce.Verdict

	DeliveredBefore time.Time // last delivery to the recipient before the attempt; zero: none
	DeliveredAfter  time.Time // first delivery to the recipient after the attempt; zero: none

	// Attempt reads all there is. It may be called until the next refusal is
	// asked for.
	Attempt func() (Attempt, error)
}

// A Flow is the mail to some relays or domains in a stretch of time.
type Flow struct {
	Relays  []string // suffixes of the relay's host name, at a label
	Domains []string // of the recipients
	Since   time.Time
	Until   time.Time
	Around  []time.Time // what is wanted first, where not all can be read
}

// A FlowHistory is what was delivered in a flow.
type FlowHistory struct {
	Read       []Period // what was read of it, in order; deliveries outside are left out
	Deliveries []FlowDelivery
}

// A Period is a stretch of time, both ends included, in whole seconds.
type Period struct{ Since, Until time.Time }

// A FlowDelivery is a delivered attempt.
type FlowDelivery struct {
	Time         time.Time
	Message      uint64
	SenderDomain string
}
