package store

import (
	"context"
	"iter"

	"bouncelog/bounce"
)

// An Exporter is a Reader that hands out everything that is stored, with the ledger's
// conclusions, so that another engine can store it unchanged.
type Exporter interface {
	Reader
	// ExportAttempts yields the attempts whose lines begin at or after the byte that from
	// says of their source (by Source.ID; 0 where it does not name it): source after
	// source, those of one source in the order of their lines.
	ExportAttempts(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
	// ExportEnds yields, in any order, the other events of lines from there on: recipients
	// that expired with their message, pairs that are no longer pending, ends of messages.
	ExportEnds(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
}

// A Receiver copies one host's logs from another store. The copy may be interrupted
// anywhere and resumed, also after more was stored. Nothing is visible before all of it
// is, positions included. It returns the number of new attempts.
type Receiver interface {
	Receive(ctx context.Context, from Exporter, agent string) (attempts int64, err error)
}

// An Entry is an attempt, or an event of earlier attempts or of a message. It is valid
// until the next one is asked for.
type Entry struct {
	Kind   EntryKind
	Source string // Source.ID of the line that says so
	Offset int64  // the byte at which that line begins

	Attempt Attempt // of an EntryOver the first soft failure of the pair

	First         bool // the first attempt of its message
	FirstToDomain bool // the first of its message to the domain
	// Pair: a delivery ended a pair, a soft failure began one, or a hard failure expired.
	Pair bool
	// PairSource and PairOffset name the first soft failure of the pair of a soft one.
	// PairOffset is -1 where it is not of one, or only one in between of a pair.
	PairSource string
	PairOffset int64

	End bounce.End // EntryEnd
}

// An EntryKind says what an Entry is.
type EntryKind int

// The kinds of entries.
const (
	EntryAttempt EntryKind = iota
	EntryExpired           // an attempt that a line about the message stands for
	EntryOver              // a pair is pending no longer
	EntryEnd               // a message ended
)
