package store

import (
	"context"
	"iter"

	"bouncelog/bounce"
)

// An Exporter is a Reader that hands out all that is kept, with what was concluded from it,
// so that another engine can take it over as it is.
type Exporter interface {
	Reader
	// ExportAttempts yields the attempts whose lines begin at or after the byte that from
	// says of their source (by Source.ID; 0 where it does not name it): source after
	// source, those of one source in the order of their lines.
	ExportAttempts(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
	// ExportEnds yields, in any order, what else lines from there on said: who expired
	// with a message, which pairs are pending no longer, and what became of messages.
	ExportEnds(ctx context.Context, from map[string]int64) iter.Seq2[*Entry, error]
}

// A Receiver takes over what another store keeps of one host's logs. It may be broken off
// anywhere and called again, also when there is more to take over. Nothing is visible
// before all of it is, positions included. It returns how many attempts were new.
type Receiver interface {
	Receive(ctx context.Context, from Exporter, agent string) (attempts int64, err error)
}

// An Entry is an attempt, or what a line said about earlier attempts or a message. It is
// good until the next is asked for.
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
	EntryEnd               // what became of a message as a whole
)
