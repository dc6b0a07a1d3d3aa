// Package store says what bouncelog keeps and what can be asked of it, in neutral
// types. The engines are its subpackages: store/sqlite is the default. No SQL
// stands outside of them.
//
// A [Store] keeps the attempts of batches ([Batch]), which a [Writer] stores. A [Reader]
// answers questions about one moment: whatever is stored meanwhile, its answers agree.
// An attempt is named by its [Ref], selected by a [Filter], and counted by [Dimension].
//
// What only some engines can do are interfaces of their own, which a caller asks for
// by a type assertion: [Pruner], [StrayTimePruner], [Rejudger], [Checker], [QuickChecker], [Backuper], [Describer],
// [SQL], [Noter], [Swapper], [Watcher], [Guard], [Exporter], [Receiver].
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"bouncelog/bounce"
)

// Errors that callers tell apart. Engines wrap them with the operation that failed.
var (
	ErrMissing = errors.New("no such database")               // exit status 10
	ErrLocked  = errors.New("database is locked")             // exit status 11
	ErrForeign = errors.New("not a bouncelog database")       // exit status 12
	ErrNewer   = errors.New("database of a newer bouncelog")  // exit status 12
	ErrDamaged = errors.New("database is damaged")            // exit status 1
	ErrFull    = errors.New("no space left for the database") // exit status 1
	// ErrReplaced is a database whose file, open for writing, is no longer what its path leads to.
	ErrReplaced = errors.New("the database was removed or replaced") // exit status 1
	// ErrFollowed is a database that another process follows logs into.
	ErrFollowed = errors.New("another bouncelog follows logs into this database") // exit status 11
	// ErrAway is an engine that does not answer or breaks off; a retry may succeed.
	ErrAway = errors.New("the database does not answer") // exit status 11
	// ErrTooMany is a dictionary that is full: its ids would no longer fit where they are kept.
	ErrTooMany = errors.New("the database is full") // exit status 1
)

// A Store keeps delivery attempts. One Writer writes at a time; any number of Readers
// may read meanwhile. Its methods may be called from several goroutines.
type Store interface {
	// Read returns a Reader of the last commit.
	Read(ctx context.Context) (Reader, error)
	// Write returns a Writer.
	Write(ctx context.Context) (Writer, error)

	Close() error
}

// A Writer stores batches, for one goroutine. After an error of Append or Commit
// nothing is stored that was appended since the last Commit, and the Writer has rolled
// it back: append it again, or read the logs again from where Reader.Resume says.
// Close it.
type Writer interface {
	// Append takes in a batch, which belongs to the caller again when it returns. Lines
	// before the position of their source are left out, so a batch may come twice.
	Append(ctx context.Context, b *Batch) error
	// Commit makes everything appended since the last one visible together: rows,
	// positions, queued messages and counts.
	Commit(ctx context.Context) error
	// Rollback drops everything appended since the last Commit.
	Rollback() error

	Close() error // drops it too
}

// A Reader answers questions about one moment. Several goroutines may ask it, and
// one that iterates over an answer may ask something else meanwhile. An iteration
// ends with the first error. A pointer that it yields is good until the next is asked
// for. Close it.
type Reader interface {
	// Resume returns the positions and queued messages with which reading resumes.
	Resume(ctx context.Context) (*Resume, error)
	// Coverage returns the counts of lines, and a sample of those not understood.
	Coverage(ctx context.Context) (*Coverage, error)

	// Span is from the first to the last attempt that matches f; zero where
	// none does.
	Span(ctx context.Context, f Filter) (Span, error)
	// Count counts the attempts that match f: all together, or for each
	// combination of values of up to three dimensions; unordered. A cell in
	// which nothing counts is left out.
	Count(ctx context.Context, f Filter, by ...Dimension) ([]Cell, error)
	// Replies counts the failed attempts (soft and hard) that match f by reply; unordered.
	Replies(ctx context.Context, f Filter) ([]Reply, error)

	// Attempts yields the attempts that match f in the order of time, those of
	// one second in an order that stays the same.
	Attempts(ctx context.Context, f Filter, p Page) iter.Seq2[*Attempt, error]
	// Lookup finds the attempts that refs name, in their order; nil for one that
	// is not there (any more).
	Lookup(ctx context.Context, refs ...Ref) ([]*Attempt, error)
	// Refusals yields the failed attempts that match f in the order of time,
	// without their texts: there may be very many.
	Refusals(ctx context.Context, f Filter) iter.Seq2[*Refusal, error]
	// Delivered lists the deliveries of some streams, about limit of them altogether:
	// those of the first stream first, and those nearest to its times. Cover chooses them. The answers are in the order of the streams.
	Delivered(ctx context.Context, streams []Stream, limit int) ([]History, error)

	// Ends lists how messages ended, in the order of time.
	Ends(ctx context.Context, messages ...MessageKey) ([]bounce.End, error)

	// Discarded counts the messages that a filter of one's own threw away as a whole
	// (bounce.MessageDiscarded), whose recipients the log does not name. Of f count
	// the times, the Host, the MTA and the QueueID; a filter by anything else selects
	// none.
	Discarded(ctx context.Context, f Filter) (int64, error)

	// Recipients yields the recipients of the failed attempts that match f and
	// are hard or were answered with a 5xx. Where limit is not 0, they are those
	// with the most such attempts, in that order, and of equals those whose last
	// is the latest.
	Recipients(ctx context.Context, f Filter, limit int) iter.Seq2[*Recipient, error]
	// Queue lists the recipients of messages that are still queued and whose last
	// attempt matches f, the longest queued first; limit 0: all.
	Queue(ctx context.Context, f Filter, limit int) ([]Queued, error)

	// Note returns the value of a key; nil: there is none (see Noter).
	Note(ctx context.Context, key string) ([]byte, error)

	Close() error
}

// A Noter keeps small values for callers. Each is set in its own transaction.
type Noter interface {
	SetNote(ctx context.Context, key string, value []byte) error
}

// A Swapper is a Noter whose values several processes may change: SwapNote sets a value to new
// if it is old (nil: there is none), and reports whether it did.
type Swapper interface {
	Noter
	SwapNote(ctx context.Context, key string, old, new []byte) (bool, error)
}

// A Pruner removes the attempts before a time and returns their number.
type Pruner interface {
	Prune(ctx context.Context, before time.Time) (int64, error)
}

// A StrayTimePruner removes the attempts whose time cannot be, seen from now: before 1990, or
// more than a day, and the rest of that day (UTC), ahead. It returns their number.
type StrayTimePruner interface {
	PruneStrayTimes(ctx context.Context, now time.Time) (int64, error)
}

// A Rejudger judges the stored replies again, each distinct one once and in the situation
// stored with it (bounce.Template.Situation). It returns how many have another verdict.
type Rejudger interface {
	Rejudge(ctx context.Context, judge func(d *bounce.Delivery, situation string) bounce.Verdict) (int64, error)
}

// A Checker looks for damage and returns a sentence for each that it found.
type Checker interface {
	Check(ctx context.Context) ([]string, error)
}

// A QuickChecker makes the cheap checks for damage. Its error is ErrDamaged with a description.
type QuickChecker interface {
	QuickCheck(ctx context.Context) error
}

// A Backuper copies the database to a file that is not there yet.
type Backuper interface {
	Backup(ctx context.Context, path string) error
}

// A Guard looks after the files of a database that is open for writing. Its methods are
// cheap and may be called from any goroutine.
type Guard interface {
	// Trouble returns what threatens the database now: ErrReplaced, after which nothing more
	// is stored and the database has to be opened again; or a warning for the administrator.
	// Nil: all is well.
	Trouble() error
	// Pseudonymized reports whether local parts are stored as pseudonyms.
	Pseudonymized() bool
}

// A Describer describes the database, for people.
type Describer interface {
	Describe(ctx context.Context) ([]Fact, error)
}

// SQL is asked in its own language.
type SQL interface {
	// Query runs one read-only statement on the public views.
	Query(ctx context.Context, sql string) (Rows, error)
	// Schema is the SQL of tables, indexes and views.
	Schema(ctx context.Context) (string, error)
}

// Rows is the result of a query. Close it.
type Rows interface {
	Columns() []string
	// Next returns the next row, or io.EOF. The values are nil, int64,
	// float64, string or []byte.
	Next() ([]any, error)
	Close() error
}

// CountAll counts the attempts that match f, all together. Its errors are those of r.
func CountAll(ctx context.Context, r Reader, f Filter) (t Tally, err error) {
	cells, err := r.Count(ctx, f)
	for i := range cells {
		t.Add(&cells[i].Tally)
	}
	return t, err
}
