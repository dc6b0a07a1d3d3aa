package report

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Recipients of a message that differ only in the case of A to Z are one; a look-alike letter makes
// two.
func TestEndings(t *testing.T) {
	attempt := func(recipient string, outcome bounce.Outcome) store.Attempt {
		return store.Attempt{Delivery: bounce.Delivery{Host: "mx1", Instance: "postfix", QueueID: "4A1B2C3D4E", Recipient: recipient, Outcome: outcome}}
	}
	for _, c := range []struct {
		first, second string
		one           bool
	}{
		{"frank@mail.example", "Frank@mail.example", true},
		{"frank@mail.example", "fran\u212a@mail.example", false}, // KELVIN SIGN
	} {
		got := Endings([]store.Attempt{attempt(c.first, bounce.Soft), attempt(c.second, bounce.Delivered)}, nil)
		if (got[0] == nil) != c.one || got[1] == nil {
			t.Errorf("%s and %s: %v", c.first, c.second, got)
		}
	}
}

// TestEndingsOfMessages holds that the end of a whole message applies to the recipients that were
// still waiting.
func TestEndingsOfMessages(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	attempt := func(outcome bounce.Outcome, change func(*store.Attempt)) store.Attempt {
		a := store.Attempt{Delivery: bounce.Delivery{
			Time: at, Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: "1aaaaa-000001-AA", Recipient: "a@rcpt.example", Outcome: outcome, Delay: -1,
			Sender: "s@own.example", SenderKnown: true,
		}}
		if change != nil {
			change(&a)
		}
		return a
	}
	end := func(event bounce.EndEvent, after time.Duration) bounce.End {
		return bounce.End{Host: "mx1", MTA: bounce.Exim, Instance: "exim", QueueID: "1aaaaa-000001-AA", Time: at.Add(after), Event: event, By: "root"}
	}
	null := func(a *store.Attempt) { a.Sender = "" }
	filter := func(reply string) func(*store.Attempt) {
		return func(a *store.Attempt) { a.Response, a.Disposal = reply, bounce.DisposalOf(reply) }
	}
	for _, c := range []struct {
		name  string
		last  store.Attempt
		ends  []bounce.End
		state string
	}{
		{"still tried", attempt(bounce.Soft, nil), nil, "queued"},
		{"removed", attempt(bounce.Soft, nil), []bounce.End{end(bounce.MessageRemoved, time.Hour)}, "removed"},
		{"frozen", attempt(bounce.Soft, nil), []bounce.End{end(bounce.MessageFrozen, time.Hour)}, "frozen"},
		{"thawed", attempt(bounce.Soft, nil), []bounce.End{end(bounce.MessageFrozen, time.Hour), end(bounce.MessageThawed, 2*time.Hour)}, "queued"},
		{"completed", attempt(bounce.Soft, nil), []bounce.End{end(bounce.MessageCompleted, time.Hour)}, "completed"},
		{"an earlier message with the same id", attempt(bounce.Soft, nil), []bounce.End{end(bounce.MessageRemoved, -time.Hour)}, "queued"},
		{"delivered", attempt(bounce.Delivered, nil), []bounce.End{end(bounce.MessageCompleted, 0)}, "delivered"},
		{"returned", attempt(bounce.Hard, nil), []bounce.End{end(bounce.MessageCompleted, 0)}, "returned"},
		{"a bounce", attempt(bounce.Hard, null), nil, "dropped"},
		{"a bounce that is frozen", attempt(bounce.Hard, null), []bounce.End{end(bounce.MessageFrozen, 0)}, "frozen"},
		{"handed on", attempt(bounce.Handoff, filter("250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4A1B2C3D4F")), nil, "handed_on"},
		{"discarded", attempt(bounce.Handoff, filter("250 2.7.0 Ok, discarded, id=04711-02 - spam")), nil, "discarded"},
	} {
		if got := Endings([]store.Attempt{c.last}, c.ends)[0]; got == nil || got.State != c.state {
			t.Errorf("%s: %+v, want %s", c.name, got, c.state)
		}
	}
}

// TestUntriedInTrace holds that a deferral without an attempt is described as such, and not counted
// as a try.
func TestUntriedInTrace(t *testing.T) {
	a := store.Attempt{Delivery: bounce.Delivery{QueueID: "1aaaaa-000001-AA", Recipient: "a@rcpt.example", Outcome: bounce.Soft, Delay: -1}, Verdict: bounce.Verdict{Reason: bounce.Reputation}}
	b := a
	b.Untried = true
	list := []store.Attempt{a, a, b, b, b}
	if got, want := Endings(list, nil)[4].Words, "deferred (reputation) 2 times; still queued as far as the log goes"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Endings(list[3:], nil)[1].Words, "deferred (reputation); still queued as far as the log goes"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := inWords(&b); got != "not tried: the time for the next try had not come" {
		t.Error(got)
	}
}
