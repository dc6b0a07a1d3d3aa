package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"

	"github.com/google/go-cmp/cmp"
)

func TestPrune(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{KeepMessageIDs: true})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.02 // days
	for range 20 {
		storetest.Append(t, d, tr.Batch(1000))
	}
	var span store.Span
	ask(t, d, func(r store.Reader) {
		var err error
		span, err = r.Span(t.Context(), store.Filter{})
		must(t, err)
	})
	cut := span.First.Add(span.Last.Sub(span.First) / 2)
	day := cut.Truncate(24 * time.Hour)
	keep := storetest.Totals(t, d, store.Filter{Since: day})
	size := fileSize(t, d, path)

	removed, err := d.Prune(t.Context(), cut)
	must(t, err)
	if removed < 5000 {
		t.Errorf("removed %d attempts", removed)
	}
	sound(t, d)
	// Pairs pending since before the prune are no longer counted.
	got := totals(t, d)
	if diff := cmp.Diff(keep, got); diff != "" {
		t.Errorf("Totals (-since the day +left):\n%s", diff)
	}
	if left := fileSize(t, d, path); left > size*3/4 {
		t.Errorf("%d bytes are left of %d", left, size)
	}
	// The source is kept, and more of it can be appended.
	sources := coverage(t, d).Sources
	if len(sources) != 1 {
		t.Errorf("Sources = %+v", sources)
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
	if removed, err = d.Prune(t.Context(), span.Last.Add(1000*time.Hour)); err != nil || removed == 0 {
		t.Errorf("Prune of all = %d, %v", removed, err)
	}
	sound(t, d)
	if got := totals(t, d); got != (store.Counts{}) {
		t.Errorf("Totals = %+v, want none", got)
	}
	for _, table := range []string{"address", "name", "route", "reply", "text", "message_id", "pair", "pending", "recovery", "failing", "original", "warning", "delivery_message", "chunk"} {
		if n, err := d.w.c.Number("SELECT count(*) FROM " + table); err != nil || n != 0 {
			t.Errorf("%s: %d rows are left (%v)", table, n, err)
		}
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

// TestPruneOfTwoLogs prunes a database written from two logs in turn, so that rows were inserted
// between others and have moved. No copy of a pruned name may be left in free space of a page.
func TestPruneOfTwoLogs(t *testing.T) {
	for _, size := range [...]int{1, 3, 10, 40} { // rows of one log in a commit
		path := t.TempDir() + "/log.db"
		d := open(t, path, Options{})
		var offsets [2]int64
		n := 0
		add := func(at time.Time, name string) {
			for log := range offsets {
				id := fmt.Sprintf("log%d", log)
				var b store.Batch
				for range size {
					n++
					offsets[log] += 200
					who := fmt.Sprintf("%s%06d", name, n)
					a := store.Attempt{Delivery: bounce.Delivery{
						Source: id, Offset: offsets[log], Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp", QueueID: fmt.Sprintf("%X", n),
						Sender: who + "s@sender.example", SenderDomain: "sender.example", SenderKnown: true, Recipient: who + "@rcpt.example", RecipientDomain: "rcpt.example",
						MessageID: "<" + who + "m@sender.example>", SASLUser: who + "u", RelayHost: "mx.rcpt.example", RelayIP: "192.0.2.25", RelayPort: 25,
						Outcome: bounce.Hard, Status: "bounced", Code: 550, Response: "550 no " + who + strings.Repeat(" and more", n%30),
						Warning: "postfix/local: warning: no /home/" + who,
					}}
					a.Reason, a.Template = bounce.UserUnknown, bounce.TemplateOf(&a.Delivery)
					b.Attempts = append(b.Attempts, a)
					b.Unparsed = append(b.Unparsed, store.Unparsed{Source: id, Offset: offsets[log] + 100, Time: at, Text: "what is to=<" + who + ">" + strings.Repeat(" and more", n%50)})
					b.Opened = append(b.Opened, bounce.Message{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: fmt.Sprintf("O%X", n), Time: at, Sender: who + "o@sender.example"})
					if n%3 > 0 {
						b.Closed = append(b.Closed, store.MessageKey{Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: fmt.Sprintf("O%X", max(1, n-7*size))})
					}
				}
				b.Sources = []store.Source{{ID: id, Offset: offsets[log] + 200}}
				storetest.Append(t, d, &b)
			}
		}
		day := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
		for n < 600 {
			add(day, "zqn")
		}
		for n < 800 {
			add(day.AddDate(0, 0, 4), "stays")
		}
		removed, err := d.Prune(t.Context(), day.AddDate(0, 0, 2))
		must(t, err)
		if removed < 600 {
			t.Errorf("removed %d attempts", removed)
		}
		sound(t, d)
		d.Close()
		content, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Contains(content, []byte("stays000")) {
			t.Error("nothing is left")
		}
		found := regexp.MustCompile(`.{0,20}zqn[0-9]{6}.{0,20}`).FindAll(content, -1)
		if len(found) > 0 {
			t.Errorf("%d rows in a commit: %d pruned names are left, as %q", size, len(found), found[0])
		}
	}
}

// TestStrayTimes stores, between other attempts, some with the times of a wrong clock, as older
// versions did. Check must name them, and removing them must leave the same contents as without
// them.
func TestStrayTimes(t *testing.T) {
	dir := t.TempDir()
	d, without := open(t, dir+"/log.db", Options{}), open(t, dir+"/without.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.02
	stray := int64(0)
	for i := range 8 {
		b := tr.Batch(500)
		storetest.Append(t, without, b)
		s := storetest.NewTraffic(uint64(100 + i)).Batch(50)
		for j := range s.Attempts {
			a := &s.Attempts[j]
			a.Time = [...]time.Time{
				time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1989, 12, 31, 23, 0, 0, 0, time.UTC), time.Now().Add(72 * time.Hour),
				time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
			}[j%5]
			a.Source, a.QueueID = fmt.Sprintf("stray%d", i), fmt.Sprintf("%05X", 0xE0000+i*100+j)
			// The stray attempts share recipients with the others.
			a.Recipient, a.RecipientDomain = b.Attempts[j].Recipient, b.Attempts[j].RecipientDomain
		}
		stray += int64(len(s.Attempts))
		s.Expiries, s.Ends = nil, nil
		s.Sources[0].ID = fmt.Sprintf("stray%d", i)
		s.Sources[0].Last = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
		storetest.Append(t, d, s)
		storetest.Append(t, d, b)
	}
	problems, err := d.Check(t.Context())
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0], "before 1990 or after tomorrow") || !strings.Contains(problems[0], fmt.Sprint(": ", stray)) {
		t.Errorf("Check: %q, %v", problems, err)
	}
	removed, err := d.PruneStrayTimes(t.Context(), time.Now())
	if err != nil || removed != stray {
		t.Errorf("PruneStrayTimes = %d, %v, want %d", removed, err, stray)
	}
	sound(t, d)
	histories(t, d)
	for _, s := range coverage(t, d).Sources {
		if s.Last.After(time.Now()) {
			t.Errorf("%s: the last line is of %v", s.ID, s.Last)
		}
	}
	ask(t, d, func(r store.Reader) {
		span, err := r.Span(t.Context(), store.Filter{})
		if err != nil || span.First.Year() != 2026 || span.Last.After(time.Now()) {
			t.Errorf("Span: %v, %v", span, err)
		}
	})
	if a, b := totals(t, without), totals(t, d); a.Attempts != b.Attempts || a.Delivered != b.Delivered || a.Hard != b.Hard {
		t.Errorf("%+v, without strays %+v", b, a)
	}
	for table, sql := range map[string]string{
		"deliveries": "SELECT max(last) FROM address", "recoveries": "SELECT max(at) FROM recovery", "failures": "SELECT max(at) FROM failing", "chunks": "SELECT max(until) FROM chunk",
	} {
		if n, err := d.w.c.Number(sql); err != nil || n >= latest(time.Now()) {
			t.Errorf("%s: up to %d, %v", table, n, err)
		}
	}
	if removed, err = d.PruneStrayTimes(t.Context(), time.Now()); err != nil || removed != 0 {
		t.Errorf("once more: %d, %v", removed, err)
	}
	storetest.Append(t, d, tr.Batch(1000))
	sound(t, d)
}

func fileSize(t testing.TB, d *DB, path string) int64 {
	t.Helper()
	if !d.w.q.Cut(0) {
		t.Fatal("the write-ahead log is in use")
	}
	st, err := os.Stat(path)
	must(t, err)
	return st.Size()
}
