package store

import (
	"slices"
	"time"

	"bouncelog/bounce"
)

// A Filter selects attempts. Empty fields select everything.
type Filter struct {
	Since, Until time.Time // Since ≤ time < Until
	Domain       string    // of the recipient
	Domains      []string  // as well as Domain: of the recipient, any of them
	SenderDomain string
	Senders      []string     // envelope senders, any of them; the case of letters does not matter
	Relay        string       // suffix of the relay's host name, at a label
	RelayIP      string       // of the relay
	To           *Destination // nil: any
	Host         string
	MTA          bounce.MTA
	Outcomes     []bounce.Outcome
	Reasons      []bounce.Reason
	// Recipients (any of them), QueueID and MessageID select what happened to
	// them; the case of an address's letters does not matter. MessageID finds every
	// attempt of the message, also one whose text is not kept.
	Recipients []string
	QueueID    string
	MessageID  string
	// Original is the recipient before aliases and forwarding (RFC 3461 section 4.2's
	// original recipient, as the MTA logs it); case does not matter.
	Original string

	// Undelivered, for Reader.Recipients: only failures after the last delivery to
	// the recipient.
	Undelivered bool
	// Own, for Reader.Refusals: the caller looks for faults of the sending side only. An
	// engine may leave out what MayBeOwn says cannot be one.
	Own bool
	// QueuedBefore, for Reader.Queue: only recipients whose first deferral was before that.
	QueuedBefore time.Time
}

// A Destination is where mail goes: to any of the relays, or, where no relay was reached, to any
// of the domains. That is how mail counts to a provider.
type Destination struct {
	Relays  []string // suffixes of the relay's host name, at a label
	Domains []string // of the recipients; "": those without a domain
}

// RecipientDomains are Domain and Domains; none: of any.
func (f *Filter) RecipientDomains() []string {
	if f.Domain == "" {
		return f.Domains
	}
	return append(slices.Clip(f.Domains), f.Domain)
}

// OfMessages reports whether f selects by properties of a whole message only: the time,
// the logging host, the MTA and the queue id.
func (f Filter) OfMessages() bool {
	return f.Domain == "" && len(f.Domains) == 0 && f.SenderDomain == "" && len(f.Senders) == 0 && f.Relay == "" && f.RelayIP == "" && f.To == nil && len(f.Outcomes) == 0 && len(f.Reasons) == 0 &&
		len(f.Recipients) == 0 && f.MessageID == "" && f.Original == ""
}

// Everybody reports whether f selects by nothing but time, outcome and reason: the attempts
// are those of all senders, recipients, hosts and relays.
func (f Filter) Everybody() bool {
	f.Outcomes, f.Reasons = nil, nil
	return f.OfMessages() && f.Host == "" && f.MTA == "" && f.QueueID == "" && !f.Undelivered && !f.Own && f.QueuedBefore.IsZero()
}

// Restrict returns f restricted to some reasons. ok is false if f selects none of them.
func (f Filter) Restrict(reasons []bounce.Reason) (restricted Filter, ok bool) {
	if len(f.Reasons) == 0 {
		f.Reasons = reasons
	} else {
		f.Reasons = slices.DeleteFunc(slices.Clone(reasons), func(r bounce.Reason) bool { return !slices.Contains(f.Reasons, r) })
	}
	return f, len(f.Reasons) > 0
}

// Suspect are the reasons of refusals that may be about the sending side, Faults those
// that are the recipient's. Reports ask for these often, so a store may index them.
var (
	Suspect = bounce.Reasons(bounce.Reason.AboutSender)
	Faults  = bounce.Reasons(bounce.Reason.AboutAddress)
)

// MayBeOwn reports whether a failed attempt with this reply code (0: none) and verdict may
// be due to a fault of the sending side: nobody answered, the rule that judged it names a
// detail, a relay wants a login, or it limits how much it takes.
func MayBeOwn(code uint16, v *bounce.Verdict) bool {
	return code == 0 || v.Detail != "" || v.Reason == bounce.RelayDenied || v.Reason == bounce.RateLimited
}

// A Dimension is what attempts are counted by.
type Dimension string

// The dimensions, and the values of their keys.
const (
	ByDomain       Dimension = "domain" // of the recipient
	BySenderDomain Dimension = "sender-domain"
	ByRelay        Dimension = "relay" // host name as logged; "" where none was spoken to
	ByReason       Dimension = "reason"
	ByDetail       Dimension = "detail" // of the verdict; "": none
	ByRecipient    Dimension = "recipient"
	ByHost         Dimension = "host"
	ByDay          Dimension = "day"  // 2026-11-22, UTC
	ByHour         Dimension = "hour" // 2026-11-22T14:00Z

	// These are kept for failed attempts only; others do not count.
	BySender   Dimension = "sender"    // envelope sender; "<>": the null sender; "": not known
	BySASLUser Dimension = "sasl-user" // who logged in to hand the message in, or ""
	ByClient   Dimension = "client"    // IP address of a client that handed it in without logging in, or ""
)

// MaxDimensions is how many dimensions Count takes.
const MaxDimensions = 3

// A Page is a part of a long answer. The zero value is all of it.
type Page struct {
	Limit  int  // at most so many; 0: all
	Newest bool // the newest first
	After  Ref  // the page begins after this one; zero: from the start
	Times  bool // the caller wants the times only: an engine may leave out all else
}

// A Ref names an attempt, in every database that holds it, and is its place in the
// order of time.
type Ref struct {
	Time   int64  // Unix seconds
	Source string // Source.ID
	Offset int64  // at which its line begins
	// N tells apart the attempts that one line stands for; 0 for most. A line that
	// ends a message stands for each recipient that was still tried: 1 + the offset
	// of the recipient's first attempt.
	N int64
}

// A Span is a stretch of time, both ends included, in whole seconds.
type Span struct{ First, Last time.Time }

// IsZero reports whether there is none.
func (s Span) IsZero() bool { return s.First.IsZero() }
