package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestHosts has four hosts that log 20 attempts, or one, an hour for a day. Then one busy host and
// one quiet host are silent for three hours.
func TestHosts(t *testing.T) {
	s := memory.Open()
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	now := start.Add(27 * time.Hour)
	log := func(agent string, perHour, hours int) {
		b := new(store.Batch)
		id := agent + "/log"
		for i := range hours * perHour {
			b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
				Source: id, Offset: int64(100 * i), Time: start.Add(time.Duration(i) * time.Hour / time.Duration(perHour)), Host: agent, MTA: bounce.Postfix,
				QueueID: fmt.Sprintf("%X", 0xA00000+i), Recipient: "a@x.example", RecipientDomain: "x.example", Outcome: bounce.Delivered, Status: "sent", Delay: -1,
			}})
		}
		last := b.Attempts[len(b.Attempts)-1]
		n := int64(len(b.Attempts))
		b.Sources = []store.Source{{ID: id, Path: "/var/log/mail.log", Offset: last.Offset + 100, First: start, Last: last.Time, Lines: n, Delivery: n, Attempts: n}}
		storetest.Append(t, s, b)
	}
	log("mx1", 20, 27)
	log("mx2", 1, 24)
	log("mx7", 20, 24)
	log("mx8", 20, 27)
	build := func(f store.Filter, now time.Time) *Report {
		t.Helper()
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rep, err := Build(t.Context(), r, Options{Filter: f, Now: now, Live: true, Location: time.UTC, Sections: []string{SectionVerdict, SectionTotals}})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	rep := build(store.Filter{}, now)
	var got []string
	for _, h := range rep.Hosts {
		got = append(got, fmt.Sprintf("%s %s silent=%v expected=%d", h.Name, h.Quiet(), h.Silent, h.Expected))
	}
	want := []string{"mx2 4 h 0 min silent=false expected=3", "mx7 3 h 3 min silent=true expected=60", "mx1 3 min silent=false expected=0", "mx8 3 min silent=false expected=0"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v := rep.Verdict; v.Status != StatusSilent || !strings.HasPrefix(v.Sentence, "mx7 has sent nothing for 3 h 3 min. No incident") {
		t.Errorf("%s: %s", v.Status, v.Sentence)
	}
	// After two days all hosts are silent: that is a silence of the log, not of a host.
	if v := build(store.Filter{}, now.Add(48*time.Hour)).Verdict; v.Silence == nil || len(v.SilentHosts) > 0 {
		t.Errorf("all are silent: %s", v.Sentence)
	}
	// The report of one host depends on its own log.
	if one := build(store.Filter{Host: "mx7"}, now); !one.AsOf.Equal(start.Add(24*time.Hour-3*time.Minute)) || one.Hosts != nil {
		t.Errorf("of mx7: as of %v, hosts %v", one.AsOf, one.Hosts)
	}
}
