package problem

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/report"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

// TestLarge makes the database FLAG_DB, where it is missing, of FLAG_ROWS attempts in
// 30 days: 60 sender domains to 500 providers; of 1,000 attempts 30 fail, 2 of them
// refused without a cause, 1 for reputation; and on the last day one sender domain is refused
// at one large provider. Then it says how long the search for problems takes.
func TestLarge(t *testing.T) {
	path := os.Getenv("FLAG_DB")
	if path == "" {
		t.Skip("FLAG_DB names no database")
	}
	if _, err := os.Stat(path); err != nil {
		rows, err := strconv.Atoi(env("FLAG_ROWS", "10000000"))
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1))
		b := &store.Batch{}
		for i := range rows {
			b.Attempts = append(b.Attempts, largeAttempt(r, i, rows))
			if len(b.Attempts) == 20_000 || i == rows-1 {
				at := b.Attempts[len(b.Attempts)-1].Time
				n := int64(i + 1)
				b.Sources = []store.Source{{ID: "large", Path: "large", Offset: n * 100, First: simBegin, Last: at, Lines: n, Delivery: n, Attempts: n}}
				if err := storetest.Put(t.Context(), db, b); err != nil {
					t.Fatal(err)
				}
				b = &store.Batch{}
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := db.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	span, err := r.Span(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name string
		o    report.Options
	}{
		{"problems of all", report.Options{Sections: []string{report.SectionProblems}}},
		{"problems of the last day", report.Options{Filter: store.Filter{Since: span.Last.Add(-simDay)}, Sections: []string{report.SectionProblems}}},
		{"the other sections of all", report.Options{Sections: []string{report.SectionTotals, report.SectionDomains, report.SectionReasons, report.SectionRecipients, report.SectionUnparsed}}},
	} {
		least := time.Hour
		levels := map[string]int{}
		for range 3 {
			began := time.Now()
			rep, err := report.Build(t.Context(), r, x.o)
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, time.Since(began))
			clear(levels)
			for _, p := range rep.Problems {
				levels[p.Level]++
			}
		}
		t.Logf("%s: %v, %v", x.name, least.Round(time.Millisecond), levels)
	}
}

func largeAttempt(r *rand.Rand, i, rows int) store.Attempt {
	const month = 30 * simDay
	provider := int(500 * r.Float64() * r.Float64() * r.Float64())
	sender := int(60 * r.Float64() * r.Float64())
	at := simBegin.Add(time.Duration(float64(month) * float64(i) / float64(rows)))
	a := store.Attempt{Delivery: bounce.Delivery{
		Source: "large", Offset: int64(i) * 100, Time: at.Truncate(time.Second), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
		QueueID: fmt.Sprintf("%010X", 0x1000000000+int64(i)*7919), Sender: fmt.Sprintf("a%d@s%d.example", r.IntN(50), sender), SenderDomain: fmt.Sprintf("s%d.example", sender), SenderKnown: true,
		RecipientDomain: fmt.Sprintf("d%d.example", provider*40+r.IntN(40)),
		RelayHost:       fmt.Sprintf("mx%d.p%d.example", r.IntN(4), provider), RelayIP: fmt.Sprintf("198.51.%d.%d", provider%256, r.IntN(4)), RelayPort: 25,
		Status: "sent", Outcome: bounce.Delivered, Code: 250, Delay: 1, Response: "250 2.0.0 Ok",
	}}
	a.Recipient = fmt.Sprintf("u%d@%s", int(200*r.Float64()*r.Float64()), a.RecipientDomain)
	fail := func(code uint16, text string, v bounce.Verdict) {
		a.Status, a.Outcome, a.Code, a.Response, a.Verdict, a.Stage = "bounced", bounce.Hard, code, text, v, bounce.StageEOM
		v.Rule = "large"
	}
	switch n := r.IntN(1000); {
	case n < 2, sender == 5 && provider == 0 && at.Sub(simBegin) > month-6*time.Hour:
		fail(550, "550 5.7.1 Message refused", bounce.Verdict{Reason: bounce.Policy, Scope: bounce.ScopeSender, Confidence: bounce.GeneralText})
	case n < 3:
		fail(550, "550 5.7.1 Poor reputation of 203.0.113.25", bounce.Verdict{Reason: bounce.Reputation, Scope: bounce.ScopeSender, Confidence: bounce.NamedCause})
	case n < 30:
		fail(550, "550 5.1.1 User unknown", bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient, Confidence: bounce.NamedCause})
	}
	return a
}
