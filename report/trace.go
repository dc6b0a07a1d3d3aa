package report

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/when"
	"bouncelog/store"
)

// traceAtMost bounds what is printed of an address that gets all the mail.
const traceAtMost = 10_000

// Trace finds the attempts that a word is about: it is taken as what it looks like, an
// address, a queue id or a Message-ID, and then as the others. At most limit attempts
// are returned; 0: 10,000.
func Trace(ctx context.Context, r store.Reader, f store.Filter, word string, limit int) ([]store.Attempt, error) {
	if limit == 0 {
		limit = traceAtMost
	}
	id := BareID(word)
	tries := []store.Filter{f, f, f}
	tries[0].QueueID, tries[1].Recipients, tries[2].MessageID = word, []string{id}, id
	for i, try := range tries {
		if i == 0 && strings.Contains(word, "@") {
			continue
		}
		list, err := attempts(ctx, r, try, limit)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		if try.MessageID != "" {
			// The id may be known of some attempts only: take the whole message.
			f.QueueID, f.Host = list[0].QueueID, list[0].Host
			if list, err = attempts(ctx, r, f, limit); err != nil {
				return nil, err
			}
		}
		shareMessageIDs(list)
		return list, nil
	}
	return nil, nil
}

// BareID is an address or a Message-ID without its angle brackets.
func BareID(word string) string { return strings.TrimSuffix(strings.TrimPrefix(word, "<"), ">") }

func attempts(ctx context.Context, r store.Reader, f store.Filter, limit int) (list []store.Attempt, err error) {
	for a, err := range r.Attempts(ctx, f, store.Page{Limit: limit}) {
		if err != nil {
			return nil, err
		}
		list = append(list, *a)
	}
	return list, nil
}

// shareMessageIDs gives each attempt the Message-ID that is known of another
// attempt of its message: the store keeps it with the failures only.
func shareMessageIDs(list []store.Attempt) {
	type message struct{ host, instance, queueID string }
	ids := map[message]string{}
	for _, a := range list {
		if a.MessageID != "" {
			ids[message{a.Host, a.Instance, a.QueueID}] = a.MessageID
		}
	}
	for i := range list {
		if a := &list[i]; a.MessageID == "" {
			a.MessageID = ids[message{a.Host, a.Instance, a.QueueID}]
		}
	}
}

// An Ending is what became of one recipient of a message.
type Ending struct {
	State string // delivered, returned, expired, queued, handed_on, probed
	Words string
}

// Endings gives each attempt that is the last of its message and recipient how
// it ended; nil for the others.
func Endings(attempts []store.Attempt) []*Ending {
	type pair struct{ host, instance, queueID, recipient string }
	places := map[pair][]int{}
	for i := range attempts {
		a := &attempts[i]
		k := pair{a.Host, a.Instance, a.QueueID, ascii.Lower(a.Recipient)}
		places[k] = append(places[k], i)
	}
	out := make([]*Ending, len(attempts))
	for _, list := range places {
		last := list[len(list)-1]
		out[last] = endingOf(attempts, list)
	}
	return out
}

func endingOf(attempts []store.Attempt, list []int) *Ending {
	first, last := &attempts[list[0]], &attempts[list[len(list)-1]]
	soft := 0
	var reasons []string
	for _, i := range list {
		if a := &attempts[i]; a.Outcome == bounce.Soft {
			soft++
			if r := a.Reason.String(); r != "" && !slices.Contains(reasons, r) {
				reasons = append(reasons, r)
			}
		}
	}
	before := ""
	switch {
	case soft > 0 && len(reasons) == 1 && reasons[0] == bounce.Greylisted.String():
		before = "greylisted"
	case soft > 0:
		before = "deferred"
		if len(reasons) > 0 {
			before += " (" + strings.Join(reasons, ", ") + ")"
		}
	}
	if soft > 1 {
		before += fmt.Sprintf(" %d times", soft)
	}
	// Since when: the delay counts from the message's arrival.
	took := last.Time.Sub(first.Time)
	if arrived := last.Arrived(); !arrived.IsZero() {
		took = last.Time.Sub(arrived)
	}
	after := " after " + when.Span(took)
	e := &Ending{}
	switch last.Outcome {
	case bounce.Delivered:
		e.State, e.Words = "delivered", "delivered"+after
	case bounce.Hard:
		e.State, e.Words = "returned", "returned to the sender"+after
		if last.Reason == bounce.Expired {
			e.State, e.Words = "expired", "given up when the time in the queue had run out, "+when.Span(last.Time.Sub(first.Time))+" after the first try"
		}
	case bounce.Soft:
		e.State, e.Words = "queued", before+"; still queued as far as the log goes"
		if last.Status == "SOFTBOUNCE" {
			e.Words = "refused for good, kept in the queue by soft_bounce; still queued as far as the log goes"
		}
		return e
	case bounce.Handoff:
		e.State, e.Words = "handed_on", "handed on; what became of it stands under another queue id"
		return e
	case bounce.Probe:
		e.State, e.Words = "probed", "only the address was verified, no mail was sent"
		return e
	}
	if before != "" {
		e.Words = before + ", then " + e.Words
	}
	return e
}

// Sentence says what happened in one attempt.
func Sentence(a *store.Attempt) string {
	s := destination(a) + ": " + inWords(a)
	if a.Code >= 500 && a.Outcome == bounce.Soft {
		s += ", though the reply is a 5xx"
	}
	return s
}

// Origin says where a message came from, as far as that is known.
func Origin(a *store.Attempt) string {
	s := ""
	switch {
	case a.SenderKnown && a.Sender == "":
		s = " from the null sender (a notification)"
	case a.SenderKnown:
		s = " from <" + a.Sender + ">"
	}
	if a.MessageID != "" {
		s += ", Message-ID <" + a.MessageID + ">"
	}
	if a.Host != "" {
		s += ", on " + a.Host
	}
	return s
}

// destination says whom an attempt was for, and who was spoken to.
func destination(a *store.Attempt) string {
	s := "to <" + a.Recipient + ">"
	if a.OriginalRecipient != "" {
		s += " (for <" + a.OriginalRecipient + ">)"
	}
	switch {
	case a.RelayHost != "" && a.RelayIP != "":
		s += " at " + a.RelayHost + " [" + a.RelayIP + "]"
	case a.RelayHost != "":
		s += " at " + a.RelayHost
	case a.Agent != "":
		s += " by " + a.Agent
	}
	return s
}

func inWords(a *store.Attempt) string {
	switch a.Outcome {
	case bounce.Delivered:
		return "delivered"
	case bounce.Soft:
		return "deferred, will be tried again"
	case bounce.Hard:
		if a.Reason == bounce.Expired {
			return "given up: the time in the queue ran out"
		}
		return "returned to the sender"
	case bounce.Handoff:
		return "handed on (" + a.Status + ")"
	case bounce.Probe:
		return "address verification: " + a.Status
	}
	return a.Status
}
