package store

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
)

// A Filter selects attempts. Empty fields select everything.
type Filter struct {
	Since, Until time.Time // Since ≤ time < Until
	Domain       string    // of the recipient
	Domains      []string  // as well as Domain: of the recipient, any of them
	SenderDomain string
	Senders      []string     // envelope senders, any of them; case does not matter
	Logins       []string     // that handed in the message, any of them; only failed attempts have one
	Relay        string       // suffix of the relay's host name, at a label
	RelayIP      string       // of the relay
	To           *Destination // nil: any
	Host         string
	MTA          bounce.MTA
	Outcomes     []bounce.Outcome
	Reasons      []bounce.Reason
	// Recipients (any of them), QueueID and MessageID select the attempts of an address or message;
	// the case of an address does not matter. MessageID finds every attempt of the message, even if
	// its text is not stored.
	Recipients []string
	QueueID    string
	MessageID  string
	// Original is the original recipient, before aliases and forwarding (RFC 3461 section 4.2, as
	// the MTA logs it). Case does not matter.
	Original string

	// Undelivered, for Reader.Recipients: only failures after the last delivery to
	// the recipient.
	Undelivered bool
	// Own, for Reader.Refusals: the caller needs only refusals that may be faults of the sending
	// side. An engine may leave out those for which MayBeOwn is false.
	Own bool
	// Known, for Reader.Refusals: the caller needs only refusals with DeliveredBefore. An engine may leave
	// out the others.
	Known bool
	// NoHistory, for Reader.Refusals: the caller does not need DeliveredBefore and DeliveredAfter. An
	// engine may leave them out.
	NoHistory bool
	// Guesses, for Reader.Refusals: only refusals whose reason is a guess (bounce.Guess).
	Guesses bool
	// QueuedBefore, for Reader.Queue: only recipients whose first deferral was before this time.
	QueuedBefore time.Time
}

// A Destination is a set of relays, and of domains for mail that reached no relay. Mail counts to a
// provider in this way.
type Destination struct {
	Relays  []string // suffixes of the relay's host name, at a label
	Domains []string // of the recipients; "": recipients without a domain
}

// AtRelay reports whether a relay's host name equals name or is below it, as Filter.Relay and
// Destination.Relays select. Case does not matter.
func AtRelay(host, name string) bool {
	host, name = ascii.Lower(host), strings.TrimPrefix(ascii.Lower(name), ".")
	return host == name || strings.HasSuffix(host, "."+name)
}

// RecipientDomains returns Domain and Domains together; none: any domain.
func (f *Filter) RecipientDomains() []string {
	if f.Domain == "" {
		return f.Domains
	}
	return append(slices.Clip(f.Domains), f.Domain)
}

// OfMessages reports whether f selects only by properties of a whole message: the time, the logging
// host, the MTA and the queue id.
func (f Filter) OfMessages() bool {
	return f.Domain == "" && len(f.Domains) == 0 && f.SenderDomain == "" && len(f.Senders) == 0 && len(f.Logins) == 0 && f.Relay == "" && f.RelayIP == "" && f.To == nil && len(f.Outcomes) == 0 && len(f.Reasons) == 0 &&
		len(f.Recipients) == 0 && f.MessageID == "" && f.Original == ""
}

// Everybody reports whether f selects only by time, outcome and reason, so that the attempts are
// those of all senders, recipients, hosts and relays.
func (f Filter) Everybody() bool {
	f.Outcomes, f.Reasons = nil, nil
	return f.OfMessages() && f.Host == "" && f.MTA == "" && f.QueueID == "" && !f.Undelivered && !f.Own && !f.Known && !f.Guesses && f.QueuedBefore.IsZero()
}

// Always returns f without Since and Until.
func (f Filter) Always() *Filter {
	f.Since, f.Until = time.Time{}, time.Time{}
	return &f
}

// Within returns f restricted to a period in place of Since and Until.
func (f Filter) Within(p Span) Filter {
	f.Since, f.Until = p.First, p.Last.Add(time.Second)
	return f
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

// Suspect are the reasons of refusals that may be about the sending side; Faults are the reasons
// that are about the recipient. Reports query these often, so a store may index them.
var (
	Suspect = bounce.Reasons(bounce.Reason.AboutSender)
	Faults  = bounce.Reasons(bounce.Reason.AboutAddress)
)

// MayBeOwn reports whether a failed attempt with this reply code (0: none) and verdict may be due
// to a fault of the sending side: no relay answered, the rule names a detail, the relay requires a
// login, or the relay limits the rate.
func MayBeOwn(code uint16, v *bounce.Verdict) bool {
	return code == 0 || v.Detail != "" || v.Reason == bounce.RelayDenied || v.Reason == bounce.RateLimited
}

// A Dimension is a property by which attempts are counted.
type Dimension string

// The dimensions, and the values of their keys.
const (
	ByDomain       Dimension = "domain" // of the recipient
	BySenderDomain Dimension = "sender-domain"
	ByRelay        Dimension = "relay" // host name as logged; "": no relay was contacted
	ByReason       Dimension = "reason"
	ByDetail       Dimension = "detail" // of the verdict; "": none
	ByRecipient    Dimension = "recipient"
	ByHost         Dimension = "host"
	ByDay          Dimension = "day"  // 2026-11-22, UTC
	ByHour         Dimension = "hour" // 2026-11-22T14:00Z

	// These are stored for failed attempts only; other attempts do not count.
	BySender   Dimension = "sender"    // envelope sender; "<>": the null sender; "": not known
	BySASLUser Dimension = "sasl-user" // the login that handed in the message, or ""
	ByClient   Dimension = "client"    // IP address of the client that handed in the message without a login, or ""
)

// MaxDimensions is the largest number of dimensions of Count.
const MaxDimensions = 3

// A Page is a part of a long answer. The zero value is the whole answer.
type Page struct {
	Limit  int  // at most this many; 0: all
	Newest bool // the newest first
	After  Ref  // begin after this attempt; zero: from the start
	Times  bool // the caller needs only the times: an engine may leave out everything else
}

// A Ref identifies an attempt, in every database that holds it, and gives its place in the order of
// time.
type Ref struct {
	Time   int64  // Unix seconds
	Source string // Source.ID
	Offset int64  // of the byte at which its line begins
	// N distinguishes the attempts of one line; 0 for most. A line that expires a message is an
	// attempt for each pending recipient; for these N is 1 + the offset of the recipient's first
	// attempt.
	N int64
}

// Compare compares two attempts by time, source, Offset and N.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Time, o.Time), strings.Compare(r.Source, o.Source), cmp.Compare(r.Offset, o.Offset), cmp.Compare(r.N, o.N))
}

// A Span is a period of time in whole seconds, both ends included.
type Span struct{ First, Last time.Time }

// IsZero reports whether the span is empty.
func (s Span) IsZero() bool { return s.First.IsZero() }
