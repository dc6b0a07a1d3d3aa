package sqlite

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestManyLogs reads a period from the rows of many logs, and checks that the condition still lists
// the spans that may hold rows of it.
func TestManyLogs(t *testing.T) {
	want, got := memory.Open(), open(t, t.TempDir()+"/log.db", Options{})
	const sources = 48
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range sources {
		id := fmt.Sprintf("log%d", i)
		b := &store.Batch{Sources: []store.Source{{ID: id, Path: "/var/log/" + id, Offset: 1000, Lines: 3, Delivery: 3, Attempts: 3}}}
		for n := range 3 {
			a := store.Attempt{Delivery: bounce.Delivery{
				Source: id, Offset: int64(100 * n), Time: begin.Add(time.Duration(i)*time.Hour + time.Duration(n)*time.Minute), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
				QueueID: fmt.Sprintf("%X", 0xA000+10*i+n), Recipient: "a@d.example", RecipientDomain: "d.example", RelayHost: "mx.d.example", Status: "sent", Outcome: bounce.Delivered, Code: 250, Response: "250 ok", Delay: -1,
			}}
			if n == 2 {
				a.Outcome, a.Status, a.Code, a.Response, a.Verdict = bounce.Hard, "bounced", 550, "550 no", bounce.Verdict{Reason: bounce.UserUnknown}
			}
			b.Attempts = append(b.Attempts, a)
		}
		storetest.Append(t, want, b)
		storetest.Append(t, got, b)
	}
	a, b := reading(t, want), reading(t, got)
	for _, f := range []store.Filter{
		{Since: begin.Add(7 * time.Hour), Until: begin.Add(9 * time.Hour)},
		{Since: begin.Add(40 * time.Hour), Outcomes: []bounce.Outcome{bounce.Delivered}},
		{Until: begin.Add(2 * time.Hour), Outcomes: []bounce.Outcome{bounce.Hard}},
	} {
		storetest.Same(t, a, b, f)
	}
	if inSpans(make([]span, sources+1)) == "" {
		t.Errorf("a period in one of %d logs is looked for in all rows", sources)
	}
}

// TestAttemptsInPieces checks that attempts are sorted by time, page by page too, whether their
// rows are sorted in memory or, if there are too many, by SQLite.
func TestAttemptsInPieces(t *testing.T) {
	defer func(n int) { heldAtMost = n }(heldAtMost)
	want, got := memory.Open(), open(t, t.TempDir()+"/log.db", Options{})
	tr := storetest.NewTraffic(7)
	for range 2 {
		b := tr.Batch(chunkRows)
		storetest.Append(t, want, b)
		storetest.Append(t, got, b)
	}
	a, b := reading(t, want), reading(t, got)
	refs := func(r store.Reader, f store.Filter, p store.Page) (list []store.Ref) {
		for x, err := range r.Attempts(t.Context(), f, p) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, x.Ref())
		}
		return list
	}
	for _, held := range []int{heldAtMost, 3000, 0} {
		heldAtMost = held
		for _, f := range []store.Filter{{}, {Outcomes: []bounce.Outcome{bounce.Hard}}, {SenderDomain: "sender0.example", Outcomes: []bounce.Outcome{bounce.Delivered}}} {
			all := refs(a, f, store.Page{})
			for _, p := range []store.Page{{}, {Newest: true}, {Limit: 2500, Newest: true}, {Limit: 2500, After: all[len(all)/3]}, {After: all[len(all)/3], Newest: true}} {
				if diff := gocmp.Diff(refs(a, f, p), refs(b, f, p)); diff != "" {
					t.Fatalf("%d held, %v, %+v: -want +got:\n%s", held, f, p, diff)
				}
			}
		}
	}
}
