// Package store says what bouncelog keeps and what can be asked of it, in
// neutral types. The engines are its subpackages: store/sqlite is the default.
// No SQL stands outside of them.
package store

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"bouncelog/bounce"
)

// Errors that callers tell apart. Engines wrap them with what was being done.
var (
	ErrMissing = errors.New("no such database")              // exit status 10
	ErrLocked  = errors.New("database is locked")            // exit status 11
	ErrForeign = errors.New("not a bouncelog database")      // exit status 12
	ErrNewer   = errors.New("database of a newer bouncelog") // exit status 12
	ErrDamaged = errors.New("database is damaged")           // exit status 1
	// ErrTakenBack: with batches that had been appended before; see Batch.More
	// and Batch.Ahead. What caused it is wrapped too.
	ErrTakenBack = errors.New("what was stored last was taken back")
	// ErrOvertaken is such a cause: another process has stored something.
	ErrOvertaken = errors.New("another process has written meanwhile")
	ErrFull      = errors.New("no space left for the database") // exit status 1
	// ErrTooMany is a dictionary that is full: its ids would no longer fit where they are kept.
	ErrTooMany = errors.New("the database is full") // exit status 1
)

// A Store keeps delivery attempts. One process writes at a time; any number
// may read meanwhile. Its methods may be called from several goroutines.
type Store interface {
	// Append stores a batch: rows, positions, open messages and counts
	// become visible together or not at all (see Batch.More).
	Append(ctx context.Context, b *Batch) error
	// Prepare does the part of Append that needs no database. Who has a batch
	// ready while another is being appended may call it first; Append does
	// what was not done.
	Prepare(b *Batch)

	// Sources lists every source ever read, with the position up to which
	// it is stored, in the order in which they were first seen.
	Sources(ctx context.Context) ([]Source, error)
	// OpenMessages yields the messages that were still queued when the last
	// batch was stored, those that were opened last first.
	OpenMessages(ctx context.Context) iter.Seq2[bounce.Message, error]

	// Span is the time of the first and the last attempt that match f; both
	// zero where none does.
	Span(ctx context.Context, f Filter) (first, last time.Time, err error)
	// Totals counts the attempts that match f.
	Totals(ctx context.Context, f Filter) (Counts, error)
	// Groups counts the attempts that match f, grouped; unordered.
	Groups(ctx context.Context, f Filter, by By) ([]Group, error)
	// FailedBy counts the failed attempts that match f by the envelope sender, by who
	// logged in, and by the address of the client, as Groups does one by one: Soft,
	// Hard, Attempts and Reasons only.
	FailedBy(ctx context.Context, f Filter) (senders, users, clients []Group, err error)
	// Attempts yields single attempts that match f, in the order of time.
	Attempts(ctx context.Context, f Filter) iter.Seq2[Attempt, error]
	// Rejections yields the failed attempts (soft and hard) that match f, in
	// the order of time, each with what is known of its recipient.
	Rejections(ctx context.Context, f Filter) iter.Seq2[Rejection, error]
	// Routes counts the attempts that match f by the recipient's domain and
	// the relay; unordered.
	Routes(ctx context.Context, f Filter) ([]Route, error)
	// Replies counts the failed attempts that match f by what was answered,
	// for those replies only that want says; unordered.
	Replies(ctx context.Context, f Filter, want func(*Reply) bool) ([]Reply, error)
	// Histories yields the recipients of the failed attempts that match f and
	// are hard or were answered with a 5xx: all of them, or where n is not 0
	// the n with the most such attempts.
	Histories(ctx context.Context, f Filter, n int) iter.Seq2[History, error]
	// Waiting lists the recipients of messages that were still queued when the
	// last batch was stored, the longest queued first, n at most (0: all):
	// those deferred before f.Until whose last attempt matches the rest of f.
	// f.Since does not count: what waits since longer is what is looked for.
	Waiting(ctx context.Context, f Filter, n int) ([]Waiting, error)
	FlagStore

	// Skipped counts the lines that are not about deliveries, by program.
	Skipped(ctx context.Context) ([]Skipped, error)
	// Unparsed lists the kept sample of the lines that look like a delivery
	// and were not understood.
	Unparsed(ctx context.Context) ([]Unparsed, error)

	// Query runs one read-only statement on the public views.
	Query(ctx context.Context, sql string) (Rows, error)

	Close() error
}

// An Attempt is a delivery attempt with the judgement on it. A store keeps of
// who handed the message in the SASLUser, or else the ClientIP; of those that
// delivered it may forget that, the MessageID, and of the Response what varies.
type Attempt struct {
	bounce.Delivery
	bounce.Verdict
	// Template is the Response taken apart, for Append: see bounce.TemplateOf.
	// Where its text is empty Append makes it; attempts that are read have none.
	Template bounce.Template
}

// A Batch is what one stretch of log yielded.
type Batch struct {
	Attempts []Attempt // in the order of their log
	Expiries []bounce.Expiry
	Sources  []Source         // each source read since the last batch, with its new position
	Opened   []bounce.Message // messages learnt of or changed since the last batch and still queued
	Closed   []MessageKey     // messages that left the queue since the last batch
	Skipped  []Skipped        // to be added to the counts so far
	Unparsed []Unparsed

	// More says that another batch follows at once, as when a whole log is
	// read: this one may become visible together with that. Where that fails,
	// both are lost (ErrTakenBack).
	More bool
	// Ahead says that Append need not wait until this batch is visible. Where
	// it fails in the end, the next Append says so (ErrTakenBack). It counts
	// where More is not set.
	Ahead bool

	Prepared any // by Prepare, for Append; the same batch filled again may keep it
}

// A MessageKey names a queued message.
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
	State  string // what package tailer wants to find again, opaque to others

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

// A Filter selects attempts. Empty fields select everything.
type Filter struct {
	Since, Until time.Time // Since ≤ time < Until
	Domain       string    // of the recipient
	SenderDomain string
	Relay        string // suffix of the relay's host name, at a label
	Host         string
	MTA          bounce.MTA
	Outcomes     []bounce.Outcome
	Reasons      []bounce.Reason
	// Recipient, QueueID and MessageID select what happened to one of them;
	// the case of a recipient's letters does not matter.
	Recipient string
	QueueID   string
	MessageID string
}

// Restrict returns f for these reasons only. ok is false where f selects none of them.
func (f Filter) Restrict(reasons []bounce.Reason) (restricted Filter, ok bool) {
	if len(f.Reasons) == 0 {
		f.Reasons = reasons
	} else {
		f.Reasons = slices.DeleteFunc(slices.Clone(reasons), func(r bounce.Reason) bool { return !slices.Contains(f.Reasons, r) })
	}
	return f, len(f.Reasons) > 0
}

// By is what attempts are grouped by.
type By string

// The groupings.
const (
	ByDomain       By = "domain"
	BySenderDomain By = "sender-domain"
	ByRelay        By = "relay"
	ByReason       By = "reason"
	ByRecipient    By = "recipient"
	ByHost         By = "host"
	ByDay          By = "day"
	ByHour         By = "hour"

	// Of failed attempts only, those that say so.
	BySender   By = "sender"    // envelope sender
	BySASLUser By = "sasl-user" // who logged in to hand the message in
	ByClient   By = "client"    // IP address of a client that handed it in without logging in
)

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

	Messages int64 // distinct messages with an attempt that counts
	NullHard int64 // of Hard: with the null sender, bounces of our own notifications
	NullSoft int64
	Handoff  int64
	Probe    int64
	Soft5xx  int64 // of Soft: the reply was a 5xx all the same (a 554 greeting that Postfix defers)
}

// A Tally is what some attempts add up to.
type Tally struct {
	Counts
	Reasons map[bounce.Reason]int64 // failed attempts by reason; nil where there are none
}

// Add adds what others add up to.
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
	t.Probe += o.Probe
	t.Soft5xx += o.Soft5xx
	if t.Reasons == nil && len(o.Reasons) > 0 {
		t.Reasons = make(map[bounce.Reason]int64, len(o.Reasons))
	}
	for r, n := range o.Reasons {
		t.Reasons[r] += n
	}
}

// A Group is the tally of one key.
type Group struct {
	Key string
	Tally
}

// A Rejection is a failed attempt with what is known of its recipient.
type Rejection struct {
	Attempt
	DeliveredBefore time.Time // last delivery to the recipient before the attempt; zero: none
	DeliveredAfter  time.Time // first delivery to the recipient after the attempt; zero: none
}

// A Route is the tally of one domain through one relay. A message is counted
// in the first of its routes to the domain.
type Route struct {
	Domain string
	Relay  string // host name as logged; "" where none was spoken to
	Tally
}

// A Reply is what was answered to failed attempts, with the judgement on it.
type Reply struct {
	MTA      bounce.MTA
	Status   string
	Outcome  bounce.Outcome
	Code     uint16
	Enhanced bounce.EnhancedCode
	Stage    bounce.Stage
	Local    bool
	Template string // the text without what varies (bounce.Split)
	bounce.Verdict
	Attempts int64
}

// A History is what is known of a recipient with permanent failures.
type History struct {
	Recipient       string
	RecipientDomain string
	// LastDelivered is the last delivery known, be it before the failures or
	// after, however the letters of the address were written; zero: none. Where no failure came in between, it may be up to a
	// day too early.
	LastDelivered time.Time
	Faults        []Fault // by what was answered, in the order of their first
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

// Waiting is a recipient of a message that is still queued.
type Waiting struct {
	Attempt             // the last one: what it waits for
	Arrived   time.Time // when the message came into the queue; zero: not known
	FirstSoft time.Time // when it was deferred first
}

// Rows is the result of a query. Close it.
type Rows interface {
	Columns() []string
	// Next returns the next row, or io.EOF. The values are nil, int64,
	// float64, string or []byte.
	Next() ([]any, error)
	Close() error
}
