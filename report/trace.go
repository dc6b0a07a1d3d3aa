package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/when"
	"bouncelog/store"
)

// traceAtMost limits the output for an address that receives all mail.
const traceAtMost = 10_000

// Trace finds the attempts for a word. It tries the word first as what it resembles (an address, a
// queue id or a Message-ID), then as the others. It returns at most limit attempts, the newest, in
// the order of time; 0: 10,000.
func Trace(ctx context.Context, r store.Reader, f store.Filter, word string, limit int) ([]store.Attempt, error) {
	if limit == 0 {
		limit = traceAtMost
	}
	id := BareID(word)
	tries := []store.Filter{f, f, f, f}
	tries[0].QueueID, tries[1].Recipients, tries[2].Original, tries[3].MessageID = word, []string{id}, id, id
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
		if try.Recipients != nil { // mail to the address, and mail to it that was forwarded
			passed, err := attempts(ctx, r, tries[i+1], limit)
			if err != nil {
				return nil, err
			}
			list = mergeAttempts(list, passed, limit)
		}
		if try.MessageID != "" {
			// Only some attempts may have the id, so take the whole message.
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

// mergeAttempts merges two lists in the order of time, without duplicates.
func mergeAttempts(a, b []store.Attempt, limit int) []store.Attempt {
	all := append(a, b...)
	slices.SortStableFunc(all, func(x, y store.Attempt) int {
		return x.Ref().Compare(y.Ref())
	})
	all = slices.CompactFunc(all, func(x, y store.Attempt) bool { return x.Ref() == y.Ref() })
	return all[max(len(all)-limit, 0):]
}

// Ends returns the ends of the messages of some attempts.
func Ends(ctx context.Context, r store.Reader, attempts []store.Attempt) ([]bounce.End, error) {
	var keys []store.MessageKey
	for i := range attempts {
		if k := attempts[i].MessageKey(); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return r.Ends(ctx, keys...)
}

// BareID returns an address or a Message-ID without its angle brackets.
func BareID(word string) string { return strings.TrimSuffix(strings.TrimPrefix(word, "<"), ">") }

func attempts(ctx context.Context, r store.Reader, f store.Filter, limit int) (list []store.Attempt, err error) {
	for a, err := range r.Attempts(ctx, f, store.Page{Newest: true, Limit: limit}) {
		if err != nil {
			return nil, err
		}
		list = append(list, *a)
	}
	slices.Reverse(list)
	return list, nil
}

// shareMessageIDs copies a known Message-ID to the other attempts of its message: the store keeps
// it with failures only.
func shareMessageIDs(list []store.Attempt) {
	ids := map[store.MessageKey]string{}
	for _, a := range list {
		if a.MessageID != "" {
			ids[a.MessageKey()] = a.MessageID
		}
	}
	for i := range list {
		if a := &list[i]; a.MessageID == "" {
			a.MessageID = ids[a.MessageKey()]
		}
	}
}

// An Ending is the end of one recipient of a message.
type Ending struct {
	// State is delivered, returned, dropped (a bounce that is not returned), expired, queued,
	// frozen, removed, completed, discarded, quarantined, bounced, handed_on or probed.
	State string
	Words string
}

// Endings returns an Ending for each attempt that is the last of its message and recipient, and nil
// for the others.
func Endings(attempts []store.Attempt, ends []bounce.End) []*Ending {
	places := map[store.Pair][]int{}
	for i := range attempts {
		k := attempts[i].Pair()
		places[k] = append(places[k], i)
	}
	out := make([]*Ending, len(attempts))
	for _, list := range places {
		last := list[len(list)-1]
		out[last] = endingOf(attempts, list, endsOf(&attempts[last], ends))
	}
	return out
}

// endsOf returns the ends of an attempt's message at or after the attempt: a queue id is reused.
func endsOf(a *store.Attempt, ends []bounce.End) (list []bounce.End) {
	for _, e := range ends {
		if store.EndedMessage(&e) == a.MessageKey() && !e.Time.Before(a.Time.Truncate(time.Second)) {
			list = append(list, e)
		}
	}
	return list
}

func endingOf(attempts []store.Attempt, list []int, ends []bounce.End) *Ending {
	first, last := &attempts[list[0]], &attempts[list[len(list)-1]]
	soft, tried := 0, 0 // deferrals; those that were attempts
	var reasons []string
	for _, i := range list {
		if a := &attempts[i]; a.Outcome == bounce.Soft {
			soft++
			if !a.Untried {
				tried++
			}
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
	if tried > 1 {
		before += fmt.Sprintf(" %d times", tried)
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
		if a := last; a.SenderKnown && a.Sender == "" {
			e.State, e.Words = "dropped", "not returned, since its sender is null: no bounce is sent for a bounce"
			if held(ends) {
				e.State, e.Words = "frozen", "not returned, since its sender is null: frozen in the queue until somebody acts"
			}
		}
		if last.Reason == bounce.Expired {
			e.State, e.Words = "expired", "given up when the time in the queue had run out, "+when.Span(last.Time.Sub(first.Time))+" after the first try"
		}
	case bounce.Soft:
		e.State, e.Words = "queued", before+"; still queued as far as the log goes"
		if state, words := endWords(ends); state != "" {
			e.State, e.Words = state, before+"; "+words
			return e
		}
		if last.Status == "SOFTBOUNCE" {
			e.Words = "refused for good, kept in the queue by soft_bounce; still queued as far as the log goes"
		}
		return e
	case bounce.Handoff:
		e.State, e.Words = "handed_on", "handed on; what became of it stands under another queue id"
		switch last.Disposal {
		case bounce.Discarded:
			e.State, e.Words = "discarded", "discarded by your own "+discarder(last)+": nobody gets it"
		case bounce.Quarantined:
			e.State, e.Words = "quarantined", "held back by your own filter, in its quarantine"
		case bounce.Bounced:
			e.State, e.Words = "bounced", "refused by your own filter, which notified the sender"
		}
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

// discarder names what discarded a message. A content filter has an address, or is a program that
// pipe(8) runs; otherwise a rule of the MTA did it (:blackhole:, discard(8), /dev/null).
func discarder(a *store.Attempt) string {
	if a.RelayIP != "" || a.Agent == "pipe" {
		return "filter"
	}
	return "server's rules"
}

// held reports whether a message is frozen at the end.
func held(ends []bounce.End) bool {
	frozen := false
	for _, e := range ends {
		switch e.Event {
		case bounce.MessageFrozen:
			frozen = true
		case bounce.MessageThawed:
			frozen = false
		}
	}
	return frozen
}

// endWords describes the end of a recipient that was deferred last; "" if nothing is known.
func endWords(ends []bounce.End) (state, words string) {
	by := func(e *bounce.End) string {
		if e.By == "" {
			return ""
		}
		return " by " + e.By
	}
	for i := range ends {
		switch e := &ends[i]; e.Event {
		case bounce.MessageRemoved:
			return "removed", "then the message was removed from the queue" + by(e) + ": neither delivered nor returned"
		case bounce.MessageDiscarded:
			return "discarded", "then the message was discarded by a filter: neither delivered nor returned"
		case bounce.MessageCompleted:
			return "completed", "then the message left the queue; the log does not say how it ended"
		}
	}
	if held(ends) {
		return "frozen", "frozen in the queue until somebody acts"
	}
	return "", ""
}

// Sentence describes one attempt in a sentence.
func Sentence(a *store.Attempt) string {
	s := destination(a) + ": " + inWords(a)
	if a.Code >= 500 && a.Outcome == bounce.Soft {
		s += ", though the reply is a 5xx"
	}
	return s
}

// Origin describes the origin of a message, as far as it is known.
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

// destination names the recipient and the relay of an attempt.
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
		if a.Untried {
			return "not tried: the time for the next try had not come"
		}
		return "deferred, will be tried again"
	case bounce.Hard:
		if a.Reason == bounce.Expired {
			return "given up: the time in the queue ran out"
		}
		if a.SenderKnown && a.Sender == "" {
			return "given up, and not returned: the sender is null"
		}
		return "returned to the sender"
	case bounce.Handoff:
		switch {
		case a.Disposal == bounce.Discarded && discarder(a) != "filter":
			return "discarded by a rule of this server"
		case a.Disposal != "":
			return "handed to a filter of this server: " + string(a.Disposal)
		}
		return "handed on (" + a.Status + ")"
	case bounce.Probe:
		return "address verification: " + a.Status
	}
	return a.Status
}
