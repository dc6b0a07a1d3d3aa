// Package store defines the data that bouncelog keeps and the questions about it, in neutral types.
// The engines are subpackages; store/sqlite is the default. SQL is used only there.
//
// A [Store] keeps the attempts of batches ([Batch]), which a [Writer] stores. A [Reader] answers
// questions about one moment: its answers agree with each other, whatever is stored meanwhile. An
// attempt is identified by its [Ref], selected by a [Filter], and counted by [Dimension].
//
// Features that only some engines have are interfaces of their own, which a caller finds by a type
// assertion: [Pruner], [StrayTimePruner], [Rejudger], [Checker], [QuickChecker], [Backuper],
// [Describer], [SQL], [Noter], [Swapper], [Watcher], [Guard], [Exporter], [Receiver], [PeriodReader].
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
	// ErrReplaced is returned for a database open for writing whose path no longer leads to its
	// file.
	ErrReplaced = errors.New("the database was removed or replaced") // exit status 1
	// ErrFollowed is returned if another process follows logs into the database.
	ErrFollowed = errors.New("another bouncelog follows logs into this database") // exit status 11
	// ErrAway is returned if an engine does not answer or stops answering; a retry may succeed.
	ErrAway = errors.New("the database does not answer") // exit status 11
	// ErrTooMany is returned if a dictionary is full: further ids would not fit where they are
	// stored.
	ErrTooMany = errors.New("the database is full") // exit status 1
)

// A Store keeps delivery attempts. One Writer writes at a time; any number of Readers may read at
// the same time. Its methods may be called from several goroutines.
type Store interface {
	// Read returns a Reader of the last commit.
	Read(ctx context.Context) (Reader, error)
	// Write returns a Writer.
	Write(ctx context.Context) (Writer, error)

	Close() error
}

// A Writer stores batches. One goroutine uses it. After an error of Append or Commit, the Writer
// has rolled back everything appended since the last Commit. The caller then appends it again, or
// reads the logs again from where Resume says. Close it.
type Writer interface {
	// Resume returns the positions and queued messages with which reading resumes. It is called when
	// everything appended is committed or rolled back.
	Resume(ctx context.Context) (*Resume, error)
	// Append stores a batch. The caller may reuse the batch after the call. Lines before the
	// position of their source are left out, so a batch may be appended twice.
	Append(ctx context.Context, b *Batch) error
	// Commit makes everything appended since the last Commit visible together: rows, positions,
	// queued messages and counts.
	Commit(ctx context.Context) error
	// Rollback drops everything appended since the last Commit.
	Rollback() error

	Close() error // rolls back
}

// A Reader answers questions about one moment. Several goroutines may use it, and a goroutine that
// iterates over an answer may ask another question. An iteration ends with the first error. A
// pointer that it yields is valid until the next one is yielded. Close it.
type Reader interface {
	// Coverage returns the counts of lines, and a sample of the unparsed ones.
	Coverage(ctx context.Context) (*Coverage, error)

	// Span returns the times of the first and the last attempt that match f; zero if there are
	// none.
	Span(ctx context.Context, f Filter) (Span, error)
	// Count counts the attempts that match f: all together, or for each combination of values of up
	// to three dimensions. Cells are unordered; empty cells are left out.
	Count(ctx context.Context, f Filter, by ...Dimension) ([]Cell, error)
	// Replies counts the failed attempts (soft and hard) that match f by reply; unordered.
	Replies(ctx context.Context, f Filter) ([]Reply, error)

	// Attempts yields the attempts that match f, sorted by time. Attempts of one second are sorted by
	// source, in the order in which the sources were first seen, then by Offset and N. The order in
	// which batches were stored changes nothing.
	Attempts(ctx context.Context, f Filter, p Page) iter.Seq2[*Attempt, error]
	// Lookup returns the attempts with these refs, in their order; nil for one that is not stored,
	// or no longer.
	Lookup(ctx context.Context, refs ...Ref) ([]*Attempt, error)
	// Refusals yields the failed attempts that match f, sorted by time. It leaves out their texts,
	// since there may be very many.
	Refusals(ctx context.Context, f Filter) iter.Seq2[*Refusal, error]
	// Delivered lists deliveries of some streams, about limit of them in total. Cover chooses them:
	// those of the first stream first, and those nearest to its times. The answers are in the order
	// of the streams.
	Delivered(ctx context.Context, streams []Stream, limit int) ([]History, error)

	// Ends lists how messages ended, sorted by time.
	Ends(ctx context.Context, messages ...MessageKey) ([]bounce.End, error)

	// Discarded counts the messages that a filter of this server discarded as a whole
	// (bounce.MessageDiscarded). The log does not name their recipients. Only the times, Host, MTA
	// and QueueID of f apply; a filter by anything else selects no message.
	Discarded(ctx context.Context, f Filter) (int64, error)

	// Recipients yields the recipients of the failed attempts that match f and are hard or have a
	// 5xx reply. If limit is not 0, it yields the recipients with the most such attempts, in that
	// order; among equals, those with the latest last attempt.
	Recipients(ctx context.Context, f Filter, limit int) iter.Seq2[*Recipient, error]
	// Queue lists the recipients of messages that are still queued and whose last attempt matches
	// f, the longest queued first. limit 0 means all.
	Queue(ctx context.Context, f Filter, limit int) ([]Queued, error)

	Close() error
}

// A Noter stores small values for callers. Each is set in its own transaction.
type Noter interface {
	// Note returns the value of a key; nil: not set.
	Note(ctx context.Context, key string) ([]byte, error)
	SetNote(ctx context.Context, key string, value []byte) error
}

// A Swapper is a Noter whose values several processes may change. SwapNote sets a value to new if
// it is old (nil: not set), and reports whether it did.
type Swapper interface {
	Noter
	SwapNote(ctx context.Context, key string, old, new []byte) (bool, error)
}

// A Pruner removes the attempts before a time and returns their number.
type Pruner interface {
	Prune(ctx context.Context, before time.Time) (int64, error)
}

// A StrayTimePruner removes the attempts with a time that is impossible at now: before 1990, or
// after the end (UTC) of the next day. It returns their number.
type StrayTimePruner interface {
	PruneStrayTimes(ctx context.Context, now time.Time) (int64, error)
}

// A Rejudger judges each distinct stored reply again, in the situation stored with it
// (bounce.Template.Situation). It returns how many have a new verdict.
type Rejudger interface {
	Rejudge(ctx context.Context, judge func(d *bounce.Delivery, situation string) bounce.Verdict) (int64, error)
}

// A Checker looks for damage and returns a sentence for each finding.
type Checker interface {
	Check(ctx context.Context) ([]string, error)
}

// A QuickChecker runs the cheap checks for damage. Its error is ErrDamaged with a description.
type QuickChecker interface {
	QuickCheck(ctx context.Context) error
}

// A Backuper copies the database to a new file.
type Backuper interface {
	Backup(ctx context.Context, path string) error
}

// A Guard watches the files of a database open for writing. Its methods are cheap and may be called
// from any goroutine.
type Guard interface {
	// Trouble returns a problem that threatens the database now. It is ErrReplaced, after which
	// nothing more is stored and the database has to be opened again, or a warning for the
	// administrator. Nil: no problem.
	Trouble() error
	// Pseudonymized reports whether local parts are stored as pseudonyms.
	Pseudonymized() bool
}

// A Describer describes the database for people.
type Describer interface {
	Describe(ctx context.Context) ([]Fact, error)
}

// SQL is an engine that accepts SQL.
type SQL interface {
	// Query runs one read-only statement on the public views.
	Query(ctx context.Context, sql string) (Rows, error)
	// Schema returns the SQL of tables, indexes and views.
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
