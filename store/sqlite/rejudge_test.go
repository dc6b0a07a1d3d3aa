package sqlite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

func TestRejudge(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 1
	for range 5 {
		storetest.Append(t, d, tr.Batch(1000))
	}
	before := totals(t, d)
	judged := 0
	judge := func(d *bounce.Delivery, _ string) bounce.Verdict {
		judged++
		if strings.Contains(d.Response, "Greylisted") {
			return bounce.Verdict{Reason: bounce.RateLimited, Detail: "new", Scope: bounce.ScopeRemote, Rule: "test", Confidence: bounce.ProviderCode}
		}
		if strings.Contains(d.Response, "retry timeout") {
			return bounce.Verdict{Reason: bounce.Unknown}
		}
		return bounce.Verdict{Reason: bounce.Policy}
	}
	changed, err := d.Rejudge(t.Context(), judge)
	must(t, err)
	if changed == 0 || judged > 200 {
		t.Errorf("changed %d, judged %d", changed, judged)
	}
	sound(t, d)
	after := totals(t, d)
	if after.Expired >= before.Expired {
		t.Errorf("Expired = %d, was %d", after.Expired, before.Expired)
	}
	after.Expired = before.Expired
	if after != before {
		t.Errorf("Totals = %+v, want %+v", after, before)
	}
	var names []string
	for _, g := range countBy(t, d, store.ByReason) {
		names = append(names, g.Keys[0])
	}
	slices.Sort(names)
	if want := []string{"", "expired", "policy", "rate_limited", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("reasons %q, want %q", names, want)
	}
	if changed, err = d.Rejudge(t.Context(), judge); err != nil || changed != 0 {
		t.Errorf("the second time: %d, %v", changed, err)
	}
	// A deferral without an attempt takes the verdict of the attempt before it.
	n, err := d.w.c.Number("SELECT count(*) FROM reply AS r JOIN reply AS l ON l.id = r.last_try WHERE r.rule IS l.rule AND r.detail IS 'new'")
	must(t, err)
	if n == 0 {
		t.Error("no deferral without an attempt has the new verdict")
	}
	if n, err = d.w.c.Number("SELECT count(*) FROM reply AS r JOIN reply AS l ON l.id = r.last_try WHERE r.kind <> l.kind OR r.rule IS NOT l.rule"); err != nil || n != 0 {
		t.Errorf("%d deferrals without an attempt have another verdict than the attempt before, %v", n, err)
	}
	// Later attempts get the new verdict too.
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

// TestRejudgeSituation checks that Rejudge uses the stored situation.
func TestRejudgeSituation(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	a := store.Attempt{
		Delivery: bounce.Delivery{
			Source: "log", Time: time.Unix(1e9, 0), QueueID: "1", Recipient: "a@b.example", RecipientDomain: "b.example", RelayHost: "mx.b.example",
			Outcome: bounce.Soft, Response: "not now",
		},
		Template: bounce.Template{Text: "not now", Situation: "behind a filter"},
	}
	storetest.Append(t, d, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: 10}}})
	var got string
	_, err := d.Rejudge(t.Context(), func(_ *bounce.Delivery, situation string) bounce.Verdict {
		got = situation
		return bounce.Verdict{}
	})
	must(t, err)
	if got != a.Template.Situation {
		t.Errorf("judged in the situation %q, want %q", got, a.Template.Situation)
	}
}
