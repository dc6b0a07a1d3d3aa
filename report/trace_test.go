package report

import (
	"testing"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Recipients of a message that differ in the case of A to Z are one; a look-alike
// letter makes two.
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
		got := Endings([]store.Attempt{attempt(c.first, bounce.Soft), attempt(c.second, bounce.Delivered)})
		if (got[0] == nil) != c.one || got[1] == nil {
			t.Errorf("%s and %s: %v", c.first, c.second, got)
		}
	}
}
