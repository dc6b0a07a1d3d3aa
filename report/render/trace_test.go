package render

import (
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestTraceNamesWhoActs holds that a trace advises what explain and the dashboard advise: it knows a
// fault of this server from one of the receiver's.
func TestTraceNamesWhoActs(t *testing.T) {
	attempt := func(recipient, detail string) store.Attempt {
		return store.Attempt{
			Delivery: bounce.Delivery{Time: time.Unix(0, 0), QueueID: "4A1B2C3D4E", Recipient: recipient, Outcome: bounce.Soft, Response: "no"},
			Verdict:  bounce.Verdict{Reason: bounce.SystemError, Detail: detail, Scope: bounce.ScopeSender, Confidence: bounce.NamedCause},
		}
	}
	theirs := attempt("d@three.example", "")
	theirs.Scope, theirs.Reason = bounce.ScopeRemote, bounce.Connection
	got := Trace([]store.Attempt{theirs, attempt("a@one.example", ""), attempt("b@two.example", "own-store"), attempt("c@two.example", "own-store")}, nil, time.UTC)
	if n := strings.Count(got, "who acts: You: "); n != 2 {
		t.Errorf("%d times you:\n%s", n, got)
	}
	for _, want := range []string{"A 4xx of theirs: wait.", "Your own mail store", "who acts: The receiving side"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not in it once:\n%s", want, got)
		}
	}
}
