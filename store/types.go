package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
)

// An Attempt is a delivery attempt with its verdict. A store does not keep its Delays, Size and
// ClientHost. It keeps the SASLUser of the client that submitted the message, or else the ClientIP.
// For a delivery it may drop both, the Warning, the text of the MessageID, and the variable parts of
// the Response.
//
// A deferral without an attempt (Untried) has the Verdict of the last attempt made, since no relay
// was contacted. This is the last attempt of its message to the recipient. If there is none, it is
// the last attempt to the recipient that the same Exim deferred. If there is none either, it is the
// last to the recipient's domain whose verdict does not require the recipient to act
// (bounce.ScopeRecipient). The latter two apply only if Exim has made no delivery there since, and
// a store may forget them if they were not the last attempt of a queued message. If no attempt is
// known, the Verdict is the one that was appended.
type Attempt struct {
	bounce.Delivery
	bounce.Verdict
	// Template is the template of the Response, for Append: see bounce.TemplateOf. If its text is
	// empty, Append computes it. Attempts that are read have none.
	Template bounce.Template
	N        int64 // see Ref
}

// RoundDelay returns a delay as every engine stores it, in seconds: to a hundredth, from 100 s on to
// a second, at most a billion; -1: not known.
func RoundDelay(d float64) float64 {
	switch hundredths := math.Round(d * 100); {
	case !(d >= 0):
		return -1
	case hundredths < 100*100:
		return hundredths / 100
	}
	return math.Round(min(d, 1e9))
}

// Ref returns the Ref of the attempt.
func (a *Attempt) Ref() Ref { return Ref{a.Time.Unix(), a.Source, a.Offset, a.N} }

// MessageKey returns the key of the attempt's message.
func (a *Attempt) MessageKey() MessageKey {
	return MessageKey{a.Host, a.MTA, a.Instance, a.QueueID}
}

// Pair returns the pair of the attempt.
func (a *Attempt) Pair() Pair { return Pair{a.MessageKey(), ascii.Lower(a.Recipient)} }

// A Batch is the result of reading a stretch of log.
type Batch struct {
	Attempts []Attempt // in the order of their logs
	Expiries []bounce.Expiry
	Ends     []bounce.End     // of messages
	Sources  []Source         // each source read since the last batch, with its new position
	Opened   []bounce.Message // messages learnt of or changed since the last batch and still queued
	Closed   []MessageKey     // messages that left the queue since the last batch
	Skipped  []Skipped        // to be added to the stored counts
	Unparsed []Unparsed
}

// An Event is a line about a whole message: an Expiry or an End.
type Event struct {
	Offset int64
	Expiry *bounce.Expiry // nil: an End
	End    *bounce.End
}

// Events returns the events of a batch by source, in the order of their lines. They point into the
// batch.
func (b *Batch) Events() map[string][]Event {
	events := make(map[string][]Event)
	for i := range b.Expiries {
		e := &b.Expiries[i]
		events[e.Source] = append(events[e.Source], Event{Offset: e.Offset, Expiry: e})
	}
	for i := range b.Ends {
		e := &b.Ends[i]
		events[e.Source] = append(events[e.Source], Event{Offset: e.Offset, End: e})
	}
	for _, list := range events {
		slices.SortStableFunc(list, func(a, b Event) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	return events
}

// Clone copies a batch and its lists.
func (b *Batch) Clone() Batch {
	c := *b
	c.Attempts, c.Expiries, c.Ends, c.Sources = slices.Clone(b.Attempts), slices.Clone(b.Expiries), slices.Clone(b.Ends), slices.Clone(b.Sources)
	c.Opened, c.Closed, c.Skipped, c.Unparsed = slices.Clone(b.Opened), slices.Clone(b.Closed), slices.Clone(b.Skipped), slices.Clone(b.Unparsed)
	return c
}

// CheckPositions returns an error if a batch holds an attempt of a source but not the source's
// position.
func (b *Batch) CheckPositions() error {
	known := make(map[string]bool, len(b.Sources))
	for i := range b.Sources {
		known[b.Sources[i].ID] = true
	}
	for i := range b.Attempts {
		if !known[b.Attempts[i].Source] {
			return fmt.Errorf("a batch holds an attempt of a source whose position it does not hold: %q", b.Attempts[i].Source)
		}
	}
	return nil
}

// A MessageKey identifies a queued message. Without an MTA it is only a QueueID, of any host and
// instance.
type MessageKey struct {
	Host     string
	MTA      bounce.MTA
	Instance string
	QueueID  string
}

// EndedMessage returns the key of the message that ended.
func EndedMessage(e *bounce.End) MessageKey {
	return MessageKey{e.Host, e.MTA, e.Instance, e.QueueID}
}

// A Pair is one recipient of one message, over all attempts.
type Pair struct {
	Message   MessageKey
	Recipient string // in lower case
}

// A Source is one log: a file under all its names and compressions, or a journal.
type Source struct {
	ID     string // stable name derived from the content (see package tailer)
	Path   string // last known path
	Offset int64  // first byte not yet stored, after decompression; a journal's: entries stored
	State  string // of package tailer, opaque to others

	First, Last time.Time // times of its lines; Last also lets the parser infer the year when reading resumes

	// Counts so far: Lines = Delivery + Queue + Rejected + Skipped + Unparsed + Blank.
	Lines    int64 // complete lines read
	Delivery int64 // lines with delivery attempts
	Attempts int64 // delivery attempts in them
	Repeated int64 // the part of Attempts that is from "message repeated n times"
	Queue    int64 // lines about messages in the queue (arrival, expiry, removal)
	Rejected int64 // lines about mail that this server refused (inbound)
	Skipped  int64 // lines that are not about deliveries
	Unparsed int64 // lines that look like a delivery but were not understood
	Blank    int64 // empty lines
}

// Resume holds the positions and queued messages with which reading resumes.
type Resume struct {
	Sources  []Source         // every source ever read, in the order of first reading
	Messages []bounce.Message // still queued; last opened first
}

// Coverage counts the lines of the logs by kind.
type Coverage struct {
	Sources  []Source   // as in Resume
	Skipped  []Skipped  // the most lines first
	Unparsed []Unparsed // a sample
}

// Skipped is a number of lines that are not about deliveries.
type Skipped struct {
	Program string // postfix/smtpd, dovecot, …; "": the line has no header
	Lines   int64
}

// Unparsed is a line that looks like a delivery but was not understood.
type Unparsed struct {
	Source string
	Offset int64
	Time   time.Time
	Text   string // cut at 1,000 bytes
}

// Counts are defined in the section "How we count" of the documentation. Hand-offs and probes are
// counted only in their own fields.
type Counts struct {
	Attempts  int64 // Delivered + Soft + Hard
	Delivered int64
	Soft      int64
	Hard      int64 // the expired included

	// (message, recipient) pairs by their state. A pair whose first attempt was soft is counted as
	// Recovered, Pending or Expired too.
	Recovered int64 // soft, later delivered
	Pending   int64 // soft, last seen still queued
	Expired   int64 // given up at the end of the queue lifetime

	// Messages is the number of distinct messages with an attempt that counts. A message is counted
	// in the cell of its first attempt; with a filter or dimension for the destination (domain,
	// relay), in the cell of its first attempt to each domain. With a filter for recipients, a
	// queue id or a Message-ID, and by sender, login or client, the distinct messages of each cell
	// are counted.
	Messages int64

	NullHard int64 // of Hard: with the null sender, which are bounces of our own notifications
	NullSoft int64
	Handoff  int64
	// Discarded, of Handoff: a content filter, an alias or a transport of this server took the
	// message and discarded it (bounce.Discarded). Messages discarded as a whole are not included:
	// see Reader.Discarded.
	Discarded int64
	Probe     int64
	Soft5xx   int64 // of Soft: the reply was a 5xx (such as a 554 greeting, which Postfix defers)
}

// A Tally holds the counts of some attempts.
type Tally struct {
	Counts
	Reasons map[bounce.Reason]int64 // failed attempts by reason; nil if there are none
}

// Add adds other counts.
func (t *Tally) Add(o *Tally) {
	t.Attempts += o.Attempts
	t.Delivered += o.Delivered
	t.Soft += o.Soft
	t.Hard += o.Hard
	t.Recovered += o.Recovered
	t.Pending += o.Pending
	t.Expired += o.Expired
	t.Messages += o.Messages
	t.NullHard += o.NullHard
	t.NullSoft += o.NullSoft
	t.Handoff += o.Handoff
	t.Discarded += o.Discarded
	t.Probe += o.Probe
	t.Soft5xx += o.Soft5xx
	if t.Reasons == nil && len(o.Reasons) > 0 {
		t.Reasons = make(map[bounce.Reason]int64, len(o.Reasons))
	}
	for r, n := range o.Reasons {
		t.Reasons[r] += n
	}
}

// A Cell is the tally of one combination of values.
type Cell struct {
	Keys [MaxDimensions]string // in the order of the dimensions in the call of Count
	Tally
}

// A Reply is a reply to failed attempts, with its verdict.
type Reply struct {
	MTA      bounce.MTA
	Status   string
	Outcome  bounce.Outcome
	Code     uint16
	Enhanced bounce.EnhancedCode
	Stage    bounce.Stage
	Local    bool
	Untried  bool   // no relay was contacted: the verdict is that of an earlier attempt
	Template string // the text without its variable parts (bounce.Split)
	bounce.Verdict
	Attempts int64
}

// A Refusal is a failed attempt without its texts.
type Refusal struct {
	*Traits   // shared by refusals with the same traits; not to be changed
	Offset    int64
	N         int64 // see Ref
	Time      time.Time
	Recipient string
	Message   uint64 // a hash: the same for all attempts of a message, in Delivered too

	// The last delivery to the recipient before the attempt, and the first one after it, in any log;
	// zero: none. Times are whole seconds, and logs of several hosts do not tell an order within a
	// second. A delivery in the second of the attempt is therefore both.
	DeliveredBefore, DeliveredAfter time.Time
}

// Ref names the attempt.
func (r *Refusal) Ref() Ref { return Ref{r.Time.Unix(), r.Source, r.Offset, r.N} }

// Traits are properties that many refusals share.
type Traits struct {
	Source string

	SenderDomain    string
	NullSender      bool
	RecipientDomain string
	// Forwarded: the mail was sent to an address in another domain and forwarded, or its sender was
	// rewritten for forwarding (SRS).
	Forwarded bool

	RelayHost, RelayIP string
	RelayPort          uint16

	Outcome  bounce.Outcome
	Code     uint16
	Stage    bounce.Stage
	Untried  bool   // no relay was contacted: see Attempt
	Template string // of the response; see bounce.Split
	bounce.Verdict
}

// Forwarded reports whether an attempt is for forwarded mail: see Traits.
func Forwarded(d *bounce.Delivery) bool {
	return Rewritten(d.Sender) || d.OriginalRecipient != "" && ascii.Lower(d.OriginalRecipient[strings.LastIndexByte(d.OriginalRecipient, '@')+1:]) != d.RecipientDomain
}

// Rewritten reports whether a sender was rewritten for forwarding (SRS).
func Rewritten(sender string) bool {
	return len(sender) > 5 && (strings.EqualFold(sender[:4], "SRS0") || strings.EqualFold(sender[:4], "SRS1")) && strings.IndexByte("=+-", sender[4]) >= 0
}

// A Stream is the mail to some relays or domains in a period.
type Stream struct {
	Relays  []string // suffixes of the relay's host name, at a label
	Domains []string // of the recipients
	Span
	Around []time.Time // the deliveries nearest to these times are read first
}

// A History holds the deliveries of a stream.
type History struct {
	Covered    []Span // the completely read spans of the stream, sorted; deliveries outside are left out
	Deliveries []Delivered
}

// Delivered is a delivery.
type Delivered struct {
	Source       string // Source.ID
	Offset       int64
	Time         time.Time
	Message      uint64 // see Refusal
	SenderDomain string
}

// Ref names the attempt. N is 0, since a line that delivers holds one attempt.
func (d *Delivered) Ref() Ref { return Ref{Time: d.Time.Unix(), Source: d.Source, Offset: d.Offset} }

// A Recipient is an address with permanent failures, and its history.
type Recipient struct {
	Address string
	Domain  string
	// LastDelivered is the last known delivery, before or after the failures, to the address in any
	// case of letters; zero: none. If no failure came in between, it may be up to a day too early.
	LastDelivered time.Time
	// Faults has one element for each combination of the fields up to the Verdict, sorted by their
	// first failures in the order of Reader.Attempts.
	Faults []Fault
}

// A Fault holds the permanent failures of one recipient with the same reply.
type Fault struct {
	Outcome  bounce.Outcome // Hard, or Soft despite a 5xx
	Code     uint16
	Enhanced bounce.EnhancedCode
	Local    bool
	bounce.Verdict
	Attempts    int64
	Since       int64 // of Attempts: those after the last delivery
	First, Last time.Time
	FirstSince  time.Time // the first after the last delivery; zero if Since is 0
	Response    string    // of the last, in the order of Reader.Attempts
}

// Queued is a recipient of a message that is still queued.
type Queued struct {
	// Attempt is the last attempt; if none was made, the last deferral without an attempt.
	Attempt
	Arrived   time.Time // when the message arrived in the queue; zero: not known
	FirstSoft time.Time // time of the first deferral
}

// Since returns when the waiting began: when the message arrived, if that is known.
func (q *Queued) Since() time.Time {
	if q.Arrived.IsZero() {
		return q.FirstSoft
	}
	return q.Arrived
}

// A Fact describes one property of a database.
type Fact struct {
	What  string
	Value any // string, int64 or time.Time
}
