package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
)

// An Attempt is a delivery attempt with its verdict. Of the client that handed the message
// in, a store keeps the SASLUser or else the ClientIP. Of a delivery it may drop both, the Warning, the text of
// the MessageID, and the variable parts of the Response.
//
// A deferral without an attempt (Untried) has the Verdict of the last attempt that was
// made, since nobody was spoken to. That is the last one of its message to the recipient;
// where there is none, the last that the same Exim deferred to the recipient, or, where
// it is not for the recipient to act (bounce.ScopeRecipient), to the recipient's domain,
// unless it has delivered there since. A store may forget the
// latter where no message that is queued was deferred so last. Where it knows none the
// Verdict is the one that was appended.
type Attempt struct {
	bounce.Delivery
	bounce.Verdict
	// Template is the Response taken apart, for Append: see bounce.TemplateOf.
	// Where its text is empty Append makes it; attempts that are read have none.
	Template bounce.Template
	N        int64 // see Ref
}

// Ref names the attempt.
func (a *Attempt) Ref() Ref { return Ref{a.Time.Unix(), a.Source, a.Offset, a.N} }

// A Batch is what one stretch of log yielded.
type Batch struct {
	Attempts []Attempt // in the order of their log
	Expiries []bounce.Expiry
	Ends     []bounce.End     // of messages
	Sources  []Source         // each source read since the last batch, with its new position
	Opened   []bounce.Message // messages learnt of or changed since the last batch and still queued
	Closed   []MessageKey     // messages that left the queue since the last batch
	Skipped  []Skipped        // to be added to the counts so far
	Unparsed []Unparsed
}

// An Event is a line of a batch about a message as a whole: an Expiry or an End.
type Event struct {
	Offset int64
	Expiry *bounce.Expiry // nil: an End
	End    *bounce.End
}

// Events are those of a batch by source, in the order of their lines. They point into the
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

// CheckPositions returns an error where a batch holds an attempt of a source, but not how
// far that has been read.
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

// A MessageKey names a queued message. Without an MTA it is a QueueID alone, of any host and instance.
type MessageKey struct {
	Host     string
	MTA      bounce.MTA
	Instance string
	QueueID  string
}

// A Source is one log: a file in all its names and compressions, a journal.
type Source struct {
	ID     string // stable name made from the content (see package tailer)
	Path   string // where it was last seen
	Offset int64  // first byte not yet stored, after decompression; a journal's: entries stored
	State  string // of package tailer, opaque to others

	First, Last time.Time // of its lines; Last also lets the parser infer the year on resuming

	// Counts so far; they add up: Lines = Delivery + Queue +
	// Rejected + Skipped + Unparsed + Blank.
	Lines    int64 // whole lines read
	Delivery int64 // of these, lines with delivery attempts
	Attempts int64 // delivery attempts in them
	Repeated int64 // of these, how many came from "message repeated n times"
	Queue    int64 // lines about messages in the queue (arrival, expiry, removal)
	Rejected int64 // lines about mail that this server refused (inbound)
	Skipped  int64 // lines that are not about deliveries
	Unparsed int64 // lines that look like a delivery and were not understood
	Blank    int64 // empty lines
}

// Resume holds the positions and queued messages with which reading resumes.
type Resume struct {
	Sources  []Source         // every source ever read, in the order in which they were first seen
	Messages []bounce.Message // still queued; those that were opened last first
}

// Coverage counts the lines of the logs by kind.
type Coverage struct {
	Sources  []Source   // as in Resume
	Skipped  []Skipped  // the most lines first
	Unparsed []Unparsed // a sample
}

// Skipped counts lines that are not about deliveries.
type Skipped struct {
	Program string // postfix/smtpd, dovecot, …; "" where the line has no header
	Lines   int64
}

// Unparsed is a line that looks like a delivery and was not understood.
type Unparsed struct {
	Source string
	Offset int64
	Time   time.Time
	Text   string // cut at 1,000 bytes
}

// Counts are the numbers of section "How we count" of the documentation.
// Hand-offs and probes are in none but their own.
type Counts struct {
	Attempts  int64 // Delivered + Soft + Hard
	Delivered int64
	Soft      int64
	Hard      int64 // the expired included

	// (message, recipient) pairs by their state; those that met a soft
	// failure first are counted as Recovered, Pending or Expired too.
	Recovered int64 // soft, later delivered
	Pending   int64 // soft, last seen still queued
	Expired   int64 // given up because the time for retries had run out

	// Messages is distinct messages with an attempt that counts. A message counts
	// where its first attempt does: in the cell of that, and of a filter or
	// dimension of where mail went (domain, relay) its first to each domain. With a
	// filter for recipients, a queue id or a Message-ID, and by sender, login or
	// client, the messages in each cell are told apart one by one.
	Messages int64

	NullHard int64 // of Hard: with the null sender, bounces of our own notifications
	NullSoft int64
	Handoff  int64
	// Discarded, of Handoff: a content filter, an alias or a transport of one's own took the
	// message and threw it away (bounce.Discarded). Messages that are discarded as a whole are not here: see
	// Reader.Discarded.
	Discarded int64
	Probe     int64
	Soft5xx   int64 // of Soft: the reply was a 5xx all the same (a 554 greeting that Postfix defers)
}

// A Tally is the counts of some attempts.
type Tally struct {
	Counts
	Reasons map[bounce.Reason]int64 // failed attempts by reason; nil where there are none
}

// Add adds the counts of others.
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
	Keys [MaxDimensions]string // in the order in which the dimensions were asked for
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
	Untried  bool   // nobody was spoken to: the judgement is that on an attempt before
	Template string // the text without what varies (bounce.Split)
	bounce.Verdict
	Attempts int64
}

// A Refusal is a failed attempt without its texts.
type Refusal struct {
	*Traits   // shared by refusals that have all of them in common; not to be changed
	Offset    int64
	N         int64 // see Ref
	Time      time.Time
	Recipient string
	Message   uint64 // a hash: the same for all attempts of one message, also in Delivered

	DeliveredBefore time.Time // last delivery to the recipient before the attempt; zero: none
	DeliveredAfter  time.Time // first delivery to the recipient after the attempt; zero: none
}

// Ref names the attempt.
func (r *Refusal) Ref() Ref { return Ref{r.Time.Unix(), r.Source, r.Offset, r.N} }

// Traits are what many refusals have in common.
type Traits struct {
	Source string

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
	Untried  bool   // nobody was spoken to: see Attempt
	Template string // of the response; see bounce.Split
	bounce.Verdict
}

// Forwarded reports whether an attempt is one of forwarded mail: see Traits.
func Forwarded(d *bounce.Delivery) bool {
	return Rewritten(d.Sender) || d.OriginalRecipient != "" && ascii.Lower(d.OriginalRecipient[strings.LastIndexByte(d.OriginalRecipient, '@')+1:]) != d.RecipientDomain
}

// Rewritten reports whether a sender was rewritten for forwarding (SRS).
func Rewritten(sender string) bool {
	return len(sender) > 5 && (strings.EqualFold(sender[:4], "SRS0") || strings.EqualFold(sender[:4], "SRS1")) && strings.IndexByte("=+-", sender[4]) >= 0
}

// A Stream is the mail to some relays or domains in a stretch of time.
type Stream struct {
	Relays  []string // suffixes of the relay's host name, at a label
	Domains []string // of the recipients
	Span
	Around []time.Time // the deliveries nearest to these times are read first
}

// A History is the deliveries of a stream.
type History struct {
	Covered    []Span // the parts of the stream that were read, in order; deliveries outside are left out
	Deliveries []Delivered
}

// Delivered is an attempt that delivered.
type Delivered struct {
	Time         time.Time
	Message      uint64 // see Refusal
	SenderDomain string
}

// A Recipient is an address with permanent failures, and its history.
type Recipient struct {
	Address string
	Domain  string
	// LastDelivered is the last delivery known, be it before the failures or
	// after, however the letters of the address were written; zero: none. Where no
	// failure came in between, it may be up to a day too early.
	LastDelivered time.Time
	Faults        []Fault // by reply, in the order of their first failures
}

// A Fault is the permanent failures of one recipient with one answer.
type Fault struct {
	Outcome  bounce.Outcome // Hard, or Soft in spite of a 5xx
	Code     uint16
	Enhanced bounce.EnhancedCode
	Local    bool
	bounce.Verdict
	Attempts    int64
	Since       int64 // of Attempts: after the last delivery
	First, Last time.Time
	FirstSince  time.Time // the first after the last delivery; zero where Since is 0
	Response    string    // of the last
}

// Queued is a recipient of a message that is still queued.
type Queued struct {
	// Attempt is the last attempt; where none was made, the last deferral without an attempt.
	Attempt
	Arrived   time.Time // when the message came into the queue; zero: not known
	FirstSoft time.Time // when it was deferred first
}

// A Fact describes one property of a database.
type Fact struct {
	What  string
	Value any // string, int64 or time.Time
}
