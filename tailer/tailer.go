// Package tailer turns log files into whole lines with an exact position. A
// caller that stores lines and position in one transaction has every line
// exactly once: across rotation, truncation, restarts, kill -9 and compression.
//
// [Read] reads files to their end; [Follow] catches up and goes on until its
// context ends. Both pass [Chunk]s to a function: stretches of whole lines.
//
// A source is known by its content, not by its name: its [Source.ID] is made from
// its first line. So mail.log, later mail.log.1, later mail.log.2.gz, is one source,
// and a copy of it yields nothing new. docs/following.md lists the guarantees and
// their limits.
//
// The way of a byte, and the types that own it:
//
//	name  mail.log                 mail.log.1       mail.log.2.gz      -, journal:
//	         |                         |                  |                 |
//	logFile  |  one a followed name: looks at the name, lists its siblings  |
//	         v                         v                  v                 |
//	generation  live               generation  old     job                  |
//	         |  an open file           |                  |                 |
//	         v                         |                  |                 |
//	readAhead  a goroutine: reads      |                  |                 |
//	         |  on, then waits         |                  |                 |
//	         v                         v                  v                 v
//	blockReader                    blockReader         stream            feed
//	   pread a block, cut it at       (the same)        gzip, xz, zstd,   standard input,
//	   its last line feed, prove                        bzip2, UTF-16     journalctl
//	   that the file still has it                         |                 |
//	         |                         |                  |                 |
//	         +-------- block ----------+------------------+-----------------+
//	                                   v
//	entry    one a source, in the sourceSet: its identity and the offset behind the
//	         |  last line emitted. All files with that content share it, so that
//	         |  a line comes once, whichever of them has it first.
//	         v
//	deliver  leaves out what lies before the offset, moves the offset
//	         |
//	         v
//	emit(Chunk{Data, Position})
//
// Offsets count bytes of content: after decompression and decoding, from the file's
// first byte, a leading hole or byte order mark included.
//
// Below [Follow], one goroutine, the follower's, owns all logFiles, generations and
// entries, and calls emit. A readAhead and a stream each own their reader in
// their own goroutine, and pass blocks over a channel. A journal has entries with
// cursors instead of bytes with offsets: its feed emits chunks by itself.
package tailer

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"time"
)

// The kinds of sources.
const (
	KindFile    = "file"
	KindGzip    = "gzip"
	KindXZ      = "xz"
	KindZstd    = "zstd"
	KindBzip2   = "bzip2"
	KindUTF16   = "utf-16" // a text in UTF-16 with a byte order mark, as Windows writes it
	KindStdin   = "stdin"
	KindJournal = "journal"
)

// A Source is one log: a file in all its names and compressions, a journal,
// or what came on standard input.
type Source struct {
	ID       string    // stable, made from the content; "journal:NAMESPACE" for a journal
	Path     string    // the name it was read under
	Kind     string    // one of the Kind constants: its storage, not its content
	Modified time.Time // of the file, when it was opened; zero: none
	Size     int64     // bytes of the file as it is stored, when it was opened; 0: not known
}

// A Position is the place up to which a source has been read. Store it in the
// same transaction as the results of the lines before it, and pass it to the
// next Read or Follow.
type Position struct {
	ID     string // of the source
	Path   string // where it was last seen
	Offset int64  // first byte not yet read, after decompression; a journal's: entries read
	State  string // opaque: finds the place again
}

// A Chunk is a stretch of whole lines of one source, proven to be in the file
// at Offset.
type Chunk struct {
	Source *Source
	// Offset is that of Data[0], after decompression. A journal's is the
	// number of entries before Data.
	Offset int64
	// Data holds whole lines, each ended by "\n". The last one has none if a
	// finished file ends without one, or if the line is longer than MaxLine:
	// the rest of such a line is skipped.
	// It is valid until emit returns.
	Data     []byte
	Position Position // after Data
	// Behind counts the bytes of this source that are known to be unread
	// after Data: 0 when caught up, -1 if that is not known.
	Behind int64
}

// Lines yields the lines of a chunk without their "\n", each with its offset.
// In a journal's chunk the offset counts entries.
func (c *Chunk) Lines() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		off, data := c.Offset, c.Data
		step := int64(0)
		if c.Source != nil && c.Source.Kind == KindJournal {
			step = 1
		}
		for len(data) > 0 {
			i := bytes.IndexByte(data, '\n')
			next := i + 1
			if i < 0 {
				i, next = len(data), len(data)
			}
			if !yield(off, data[:i:i]) {
				return
			}
			if step > 0 {
				off += step
			} else {
				off += int64(next)
			}
			data = data[next:]
		}
	}
}

// The errors of inputs. They are wrapped in a [PathError], as are errors of
// package os such as [fs.ErrNotExist] and [fs.ErrPermission].
var (
	ErrTruncated = errors.New("compressed file is cut short")
	ErrCorrupt   = errors.New("compressed file is damaged")
	ErrDirectory = errors.New("is a directory")
	ErrReplaced  = errors.New("truncated or replaced while it was read")
	ErrMemory    = errors.New("compressed file needs too much memory")
	ErrDiffers   = errors.New("begins like a log that is known, but differs from it; it can be read as a file, not as a stream")
)

// A PathError says what could not be read, or not to its end.
type PathError struct {
	Path   string
	Offset int64 // bytes after decompression that could be read
	Err    error
}

func (e *PathError) Error() string {
	if e.Offset > 0 {
		return fmt.Sprintf("%s: %v (after %d bytes)", e.Path, e.Err, e.Offset)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *PathError) Unwrap() error { return e.Err }

// An EventKind says what sort of thing happened.
type EventKind string

// The kinds of events.
const (
	EventStarted   EventKind = "started"   // a file is being followed
	EventRotated   EventKind = "rotated"   // the name refers to a new file
	EventTruncated EventKind = "truncated" // the file was emptied or replaced in place
	EventMissing   EventKind = "missing"   // no file has the name
	EventDenied    EventKind = "denied"    // it cannot be opened or read
	EventRegained  EventKind = "regained"  // it can be read again
	EventLost      EventKind = "lost"      // lines were destroyed before they could be read, or may have been
	EventStalled   EventKind = "stalled"   // the following library missed lines; they were read without it
	EventCut       EventKind = "cut"       // a line longer than MaxLine was cut
	EventDiffers   EventKind = "differs"   // a known file was altered before its position; it is read as a new one
	EventCopy      EventKind = "copy"      // a file begins like a longer one that is known, and is not read
	EventJournal   EventKind = "journal"   // journalctl ended or complained; it is started again
)

// An Event is something an admin may want to know.
type Event struct {
	Kind   EventKind
	Path   string
	ID     string // of the source, where known
	Offset int64  // position in it; 0 for events without one
	Text   string // in words
	Err    error  // nil: none
}

// String is a line for a log.
func (e Event) String() string {
	s := fmt.Sprintf("%s: %s", e.Path, e.Kind)
	if e.Text != "" {
		s = e.Path + ": " + e.Text
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// DefaultMaxLine is the length at which lines are cut, in bytes.
const DefaultMaxLine = 4 << 20

// blockSize is the number of bytes read at a time.
const blockSize = 256 << 10
