package parser

import (
	"bytes"

	"bouncelog/bounce"
)

// The text fields of an entry.
const (
	fieldID = iota
	fieldMessageID
	fieldSender
	fieldClientHost
	fieldClientIP
	fieldSASL
	numFields
)

// A queued is the entry of one message. Its text is in buf.
type queued struct {
	hash     uint64
	host     string
	instance string
	mta      bounce.MTA

	buf    []byte
	fields [numFields]struct{ off, n uint16 }
	time   int64
	size   int64

	self         int32 // its number
	log          int32 // the parser that read it; 0: an earlier process did
	next         int32 // in the hash chain, or in the chain of unused entries
	older, newer int32

	senderKnown bool
	frozen      bool
	passed      bool // on to another entry: see hop.go
	deferred    bool // an attempt was deferred, or may have been before the entry was restored
	changed     bool // since the last call of Changes
	listed      bool // in Queue.dirty
	reported    bool // as opened, by Changes
	inUse       bool
}

// is reports whether a field has the value v.
func (e *queued) is(field int, v []byte) bool {
	return bytes.Equal(e.value(field), v)
}

// value returns a field's value, which is valid until the entry changes.
func (e *queued) value(field int) []byte {
	f := e.fields[field]
	return e.buf[f.off : f.off+f.n]
}

// field returns a field's value in a copy of the entry's buffer.
func (e *queued) field(text string, field int) string {
	f := e.fields[field]
	return text[f.off : f.off+f.n]
}
