package store

import (
	"context"
	"iter"

	"bouncelog/bounce"
)

// An Exporter is a Reader that exports all stored data with the state derived by its ledger, so
// that another engine can store the data unchanged.
type Exporter interface {
	Reader
	// Resume returns the positions and queued messages of the Reader's moment.
	Resume(ctx context.Context) (*Resume, error)
	// ExportAttempts yields the attempts from an offset on for each source. from maps Source.ID to
	// the offset; 0 if it is missing. Attempts are grouped by source, in the order of their lines.
	ExportAttempts(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
	// ExportEnds yields the other events of lines from these offsets on, in any order: recipients
	// that expired with their message, pairs that are no longer pending, ends of messages.
	ExportEnds(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
}

// A Receiver copies the logs of one host from another store. A copy may be interrupted at any time
// and resumed, even after more was stored. Nothing of it is visible before it is complete,
// positions included. It returns the number of new attempts.
type Receiver interface {
	Receive(ctx context.Context, from Exporter, agent string) (attempts int64, err error)
}

// An Entry is an attempt, or a later event of an attempt or message. It is valid until the next one
// is yielded.
type Entry struct {
	Kind   EntryKind
	Source string // Source.ID of the line that logged it
	Offset int64  // the byte at which that line begins

	Attempt Attempt // of an EntryOver: the first soft failure of the pair

	First         bool // the first attempt of its message
	FirstToDomain bool // the first of its message to the domain
	// Pair: a delivery ended a pair, a soft failure began one, or a hard failure expired one.
	Pair bool
	// PairSource and PairOffset name the first soft failure of a soft failure's pair. PairOffset is
	// -1 if the soft failure belongs to no pair, or is neither the first nor the last of its pair.
	PairSource string
	PairOffset int64

	End bounce.End // EntryEnd
}

// An EntryKind is the kind of an Entry.
type EntryKind int

// The kinds of entries.
const (
	EntryAttempt EntryKind = iota
	EntryExpired           // an attempt added by a line about the message
	EntryOver              // a pair is no longer pending
	EntryEnd               // a message ended
)
