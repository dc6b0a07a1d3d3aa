package parser

import (
	"time"

	"bouncelog/bounce"
)

// A Kind is the subject of a line.
type Kind uint8

// The kinds of lines. Together they account for every line.
const (
	// Blank lines are empty.
	Blank Kind = iota
	// Attempt lines report delivery attempts, which are in Result.Deliveries.
	Attempt
	// Expiry lines end a message's life in the queue: Result.Expiry.
	Expiry
	// Queued lines are about a queued message (arrival, removal, notification, failure of one of
	// several mail exchangers), but have no outcome.
	Queued
	// Reject lines are about mail that was refused before it was queued.
	Reject
	// Skipped lines are about something else.
	Skipped
	// Unparsed lines look like a delivery but are not understood.
	Unparsed
)

// A Result is the outcome of Parse for one line.
type Result struct {
	// Time of the line, UTC. A line without a stamp has the time of the line before; the time is
	// zero if there is none.
	Time time.Time
	// Doubted reports whether the stamp is not believed: more than a day later than now, or before
	// 1990. Time is then set as for a line without a stamp.
	Doubted bool
	// Program that logged the line ("postfix/smtp"); empty if the line names none.
	Program string
	// Deliveries are the reported attempts, for the kind Attempt: one, or as many as a syslog
	// daemon says it left out, or those of several lines inside this one. Each has its own offset.
	// The next call of Parse reuses the slice; the strings in it remain valid.
	Deliveries []bounce.Delivery
	// Text is the text that is not understood, for the kind Unparsed, if the line only ends it: the
	// text of an object over several lines. It is valid until the next call.
	Text []byte
	// Repeated is n if the line says that a line is repeated n times.
	Repeated int
	// Expiry is set for the kind Expiry.
	Expiry bounce.Expiry
	// End is set if a line of the kind Queued, or a line inside one of another kind, reports the
	// end of a message as a whole; else its Event is empty. The completion of a message without
	// deferred attempts is not reported. The strings are copies.
	End bounce.End
}

// reset clears the result for the next line.
func (r *Result) reset() {
	r.Deliveries = r.Deliveries[:0]
	r.Repeated = 0
	r.Doubted = false
	r.Text = nil
	if r.End.Event != "" {
		r.End = bounce.End{}
	}
}

// merge adds the result of another line inside the same line and returns the kind of both. If one
// result cannot hold both, neither is reported: the line is not understood.
func (r *Result) merge(kind Kind, o *Result, other Kind) Kind {
	if r.Time.IsZero() {
		r.Time = o.Time
	}
	r.Program, r.Doubted, r.Repeated = o.Program, r.Doubted || o.Doubted, r.Repeated+o.Repeated
	tells := func(k Kind) bool { return k == Attempt || k == Expiry }
	switch {
	case kind == Unparsed || other == Unparsed || r.End.Event != "" && o.End.Event != "":
		kind = Unparsed
	case kind == Attempt && other == Attempt:
		for _, d := range o.Deliveries {
			// The offset identifies an attempt.
			d.Offset = max(d.Offset, r.Deliveries[len(r.Deliveries)-1].Offset+1)
			r.Deliveries = append(r.Deliveries, d)
		}
	case tells(kind) && tells(other):
		kind = Unparsed
	case tells(other):
		r.Deliveries, r.Expiry = append(r.Deliveries, o.Deliveries...), o.Expiry
		kind = other
	case !tells(kind) && (other == Reject || other == Queued && kind != Reject || kind == Blank):
		kind = other
	}
	if o.End.Event != "" {
		r.End = o.End
	}
	if kind == Unparsed {
		r.Deliveries, r.End = r.Deliveries[:0], bounce.End{}
	}
	return kind
}

// first makes room for the first delivery.
func (r *Result) first() *bounce.Delivery {
	if cap(r.Deliveries) == 0 {
		r.Deliveries = make([]bounce.Delivery, 0, 4)
	}
	r.Deliveries = r.Deliveries[:1]
	r.Deliveries[0] = bounce.Delivery{}
	return &r.Deliveries[0]
}
