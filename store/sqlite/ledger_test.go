package sqlite

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestWaitingOwnsItsTexts stores a soft failure whose queue id and client are substrings of a long
// line. The ledger must copy them, so that it does not keep the line in memory.
func TestWaitingOwnsItsTexts(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	line := strings.Repeat("1rXyZ0-000abc-DE 2001:db8::7 ", 1000)
	storetest.Append(t, d, &store.Batch{
		Attempts: []store.Attempt{{Delivery: bounce.Delivery{
			Source: "a", Time: time.Unix(1.7e9, 0), Host: "mx1", MTA: bounce.Exim, QueueID: line[:16], ClientIP: line[17:28],
			Recipient: "a@b.example", RecipientDomain: "b.example", Outcome: bounce.Soft, Code: 450, Response: "450 later",
		}}},
		Sources: []store.Source{{ID: "a", Offset: 1}},
	})
	held := func(v any) bool {
		s, ok := v.(string)
		if !ok || s == "" {
			t.Errorf("%v is no text", v)
		}
		at := func(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }
		return at(s) >= at(line) && at(s) < at(line)+uintptr(len(line))
	}
	if len(d.w.queued) != 1 {
		t.Fatalf("%d messages wait, want 1", len(d.w.queued))
	}
	for _, m := range d.w.queued {
		if held(m.queue) || held(m.pairs[0].client) {
			t.Error("a part of the line is remembered")
		}
	}
}
