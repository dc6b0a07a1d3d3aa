package clickhouse

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestReplacedRow stores copies of rows whose columns outside of the key differ, as an agent does
// that reads a log again with newer rules. The first copy holds: a condition must not hide it and
// so show the other one. The settings move conditions before FINAL.
func TestReplacedRow(t *testing.T) {
	d := open(t, chnode.Start(t, 1)[0], "")
	at := time.Unix(1772409600, 0).UTC()
	rows := func(change func(a *store.Attempt)) *store.Batch {
		b := &store.Batch{Sources: []store.Source{{ID: "log", Offset: 100_000}}}
		for i, o := range []bounce.Outcome{bounce.Delivered, bounce.Soft, bounce.Hard} {
			a := store.Attempt{Delivery: bounce.Delivery{
				Source: "log", Offset: int64(100 * i), Time: at.Add(time.Duration(i) * time.Hour), Host: "mx1", MTA: bounce.Postfix, QueueID: "Q", Status: "old",
				Sender: "old@sender.example", SenderDomain: "sender.example", SenderKnown: true, OriginalRecipient: "old@dest.example", SASLUser: "old", MessageID: "old@id.example",
				Recipient: "rcpt@dest.example", RecipientDomain: "dest.example", RelayHost: "old.dest.example", RelayIP: "192.0.2.1", Outcome: o,
			}}
			if o != bounce.Delivered {
				a.Code, a.Response = 550, "old"
				a.Verdict = bounce.Verdict{Reason: bounce.UserUnknown, Rule: "user-unknown", Detail: "old"}
			}
			change(&a)
			b.Attempts = append(b.Attempts, a)
		}
		return b
	}
	abandon(t, d, rows(func(*store.Attempt) {}))
	storetest.Append(t, d, rows(func(a *store.Attempt) {
		a.Status, a.Sender, a.SenderDomain, a.OriginalRecipient, a.SASLUser, a.MessageID = "new", "new@new.example", "new.example", "new@dest.example", "new", "new@id.example"
		a.RelayHost, a.RelayIP, a.MTA = "new.dest.example", "192.0.2.2", bounce.Exim
		if a.Outcome != bounce.Delivered {
			a.Code, a.Verdict = 421, bounce.Verdict{Reason: bounce.RateLimited, Rule: "rate-limited", Detail: "new", Confidence: bounce.Guess}
		}
	}))
	var copies uint64
	must(t, d.conn.QueryRow(t.Context(), "SELECT count() FROM attempt").Scan(&copies))
	if copies != 6 {
		t.Fatalf("%d rows are stored, want 6 that are not merged", copies)
	}
	r, err := d.Read(t.Context())
	must(t, err)
	defer r.Close()
	within := store.Span{First: at, Last: at.Add(24 * time.Hour)}
	for _, c := range []struct {
		old, new store.Filter
		want     int64
	}{
		{store.Filter{}, store.Filter{Host: "mx2"}, 3},
		{store.Filter{SenderDomain: "sender.example"}, store.Filter{SenderDomain: "new.example"}, 3},
		{store.Filter{Senders: []string{"old@sender.example"}}, store.Filter{Senders: []string{"new@new.example"}}, 3},
		{store.Filter{Logins: []string{"old"}}, store.Filter{Logins: []string{"new"}}, 2},
		{store.Filter{Relay: "old.dest.example"}, store.Filter{Relay: "new.dest.example"}, 3},
		{store.Filter{RelayIP: "192.0.2.1"}, store.Filter{RelayIP: "192.0.2.2"}, 3},
		{store.Filter{To: &store.Destination{Relays: []string{"old.dest.example"}}}, store.Filter{To: &store.Destination{Relays: []string{"new.dest.example"}}}, 3},
		{store.Filter{MTA: bounce.Postfix}, store.Filter{MTA: bounce.Exim}, 3},
		{store.Filter{Reasons: []bounce.Reason{bounce.UserUnknown}}, store.Filter{Reasons: []bounce.Reason{bounce.RateLimited}}, 2},
		{store.Filter{MessageID: "old@id.example"}, store.Filter{MessageID: "new@id.example"}, 3},
		{store.Filter{Original: "old@dest.example"}, store.Filter{Original: "new@dest.example"}, 3},
		{store.Filter{Recipients: []string{"rcpt@dest.example"}, RelayIP: "192.0.2.1"}, store.Filter{Recipients: []string{"rcpt@dest.example"}, RelayIP: "192.0.2.2"}, 3},
	} {
		for _, x := range []struct {
			f    store.Filter
			want int64
		}{{c.old, c.want}, {c.new, 0}} {
			count, err := store.CountAll(t.Context(), r, x.f)
			must(t, err)
			periods, err := store.CountPeriods(t.Context(), r, x.f, []store.Span{within})
			must(t, err)
			pages := []int64{0, 0}
			for i, p := range []store.Page{{}, {Limit: 10, Newest: true}} {
				for a, err := range r.Attempts(t.Context(), x.f, p) {
					must(t, err)
					if pages[i]++; a.Status != "old" {
						t.Errorf("%+v: a row that was replaced is read", x.f)
					}
				}
			}
			if count.Attempts != x.want || pages[0] != x.want || pages[1] != x.want {
				t.Errorf("%+v: %d are counted, %v are read, want %d", x.f, count.Attempts, pages, x.want)
			}
			if n := len(periods[0]); (n > 0) != (x.want > 0) {
				t.Errorf("%+v: %d cells in a period", x.f, n)
			}
			refused := int64(0)
			for _, err := range r.Refusals(t.Context(), x.f) {
				must(t, err)
				refused++
			}
			if want := min(x.want, 2); refused != want {
				t.Errorf("%+v: %d refusals, want %d", x.f, refused, want)
			}
		}
	}
	for _, err := range r.Refusals(t.Context(), store.Filter{Guesses: true}) {
		t.Errorf("a refusal with a verdict that was replaced: %v", err)
	}
	list, err := r.Lookup(t.Context(), store.Ref{Time: at.Unix(), Source: "log"})
	must(t, err)
	if list[0] == nil || list[0].Status != "old" {
		t.Errorf("looked up: %+v", list[0])
	}
}
