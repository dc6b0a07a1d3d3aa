package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

// file returns a database of store/sqlite.
func file(t *testing.T) *sqlite.DB {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "file.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// exporter reads a database as it is now, and fails after a number of entries; 0: never.
type exporter struct {
	store.Exporter
	left int
}

func (x *exporter) limit(entries iter.Seq2[*store.Entry, error]) iter.Seq2[*store.Entry, error] {
	return func(yield func(*store.Entry, error) bool) {
		for e, err := range entries {
			if x.left--; x.left == 0 {
				yield(nil, errKilled)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (x *exporter) ExportAttempts(ctx context.Context, from map[string]int64) iter.Seq2[*store.Entry, error] {
	return x.limit(x.Exporter.ExportAttempts(ctx, from))
}

func (x *exporter) ExportEnds(ctx context.Context, from map[string]int64) iter.Seq2[*store.Entry, error] {
	return x.limit(x.Exporter.ExportEnds(ctx, from))
}

// receive copies s, and fails after a number of entries.
func receive(t *testing.T, d *DB, s store.Store, agent string, after int) (int64, error) {
	t.Helper()
	r, err := s.Read(t.Context())
	must(t, err)
	defer r.Close()
	return d.Receive(t.Context(), &exporter{r.(store.Exporter), after}, agent)
}

// TestReceive copies a growing database with all kinds of events, in runs that are killed in many
// places. The visible contents must be those of the other database at the end of the last complete
// run.
func TestReceive(t *testing.T) {
	receivedAtOnce = 64
	t.Cleanup(func() { receivedAtOnce = 20_000 })
	node := chnode.Start(t, 1)[0]
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tr := storetest.NewTraffic(20 + seed)
			tr.Hosts, tr.PerSecond = 1+int(seed%3), []float64{5, 0.002}[seed]
			// In SQLite the last delivery may be up to a day early: see
			// store.Recipient.LastDelivered.
			want, lite, d := memory.Open(), file(t), open(t, node, "")
			for round := range 3 {
				b := tr.Batch(300)
				b.Skipped = []store.Skipped{{Program: "dovecot", Lines: 3}}
				b.Unparsed = []store.Unparsed{{Source: b.Sources[0].ID, Offset: b.Sources[0].Offset - 1, Text: "?"}}
				storetest.Append(t, lite, b)
				storetest.Append(t, want, b)
				for _, after := range []int{1, 70, 200, 250} {
					_, err := receive(t, d, lite, "", after)
					if err != nil && !errors.Is(err, errKilled) {
						t.Fatal(err)
					}
					if round == 0 && err != nil {
						if c := storetest.Totals(t, d, store.Filter{}); c != (store.Counts{}) {
							t.Fatalf("a part is visible: %+v", c)
						}
					}
				}
				d.beforePositions = func() error { return errKilled }
				if _, err := receive(t, d, lite, "", 0); err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				d.beforePositions = nil
				_, err := receive(t, d, lite, "", 0)
				must(t, err)
				if n, err := receive(t, d, lite, "", 0); n != 0 || err != nil {
					t.Errorf("once more: %d attempts, %v", n, err)
				}
				same(t, want, d, store.Filter{})
				sameState(t, lite, d)
				if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
					t.Errorf("Check: %q, %v", problems, err)
				}
			}
			// Append to the copy, as a daemon does that was given its address.
			b := tr.Batch(300)
			storetest.Append(t, want, b)
			storetest.Append(t, d, b)
			same(t, want, d, store.Filter{})
			one := b.Attempts[len(b.Attempts)/2]
			same(t, want, d, store.Filter{Domain: one.RecipientDomain, Since: one.Time})
		})
	}
}

func must2(t *testing.T) func(int64, error) {
	return func(n int64, err error) {
		t.Helper()
		must(t, err)
		if n == 0 {
			t.Fatal("nothing was new")
		}
	}
}

// sameState checks that both return the same logs and queued messages.
func sameState(t *testing.T, want, got store.Store) {
	t.Helper()
	var states [2]*store.Resume
	var covered [2]*store.Coverage
	for i, s := range []store.Store{want, got} {
		r, err := s.Read(t.Context())
		must(t, err)
		defer r.Close()
		states[i] = resume(t, s)
		covered[i], err = r.Coverage(t.Context())
		must(t, err)
	}
	if diff := cmp.Diff(states[0], states[1]); diff != "" {
		t.Errorf("positions and queue (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(covered[0], covered[1]); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}
}

// resume returns what a Writer resumes with.
func resume(t *testing.T, s store.Store) *store.Resume {
	t.Helper()
	w, err := s.Write(t.Context())
	must(t, err)
	defer w.Close()
	from, err := w.Resume(t.Context())
	must(t, err)
	return from
}

// TestReceiveAgent copies the logs of a file for an agent. Lines without a host belong to the
// agent, and messages that have left the queue since an earlier run are closed.
func TestReceiveAgent(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	lite, d := file(t), open(t, node, "")
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	attempt := func(offset int64, queue string, o bounce.Outcome) store.Attempt {
		return store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: offset, Time: at.Add(time.Duration(offset) * time.Second), MTA: bounce.Exim, Instance: "exim", QueueID: queue,
			Recipient: "a@rcpt.example", RecipientDomain: "rcpt.example", Outcome: o, Status: o.String(), Delay: -1, MessageID: "m" + queue + "@x.example",
		}}
	}
	message := func(queue string) bounce.Message {
		return bounce.Message{MTA: bounce.Exim, Instance: "exim", QueueID: queue, Time: at}
	}
	storetest.Append(t, lite, &store.Batch{
		Attempts: []store.Attempt{attempt(10, "q1", bounce.Soft), attempt(20, "q2", bounce.Soft), attempt(30, "q3", bounce.Delivered)},
		Sources:  []store.Source{{ID: "log", Offset: 40}}, Opened: []bounce.Message{message("q1"), message("q2")},
	})
	must2(t)(receive(t, d, lite, "mx1", 0))
	storetest.Append(t, lite, &store.Batch{
		Attempts: []store.Attempt{attempt(50, "q1", bounce.Delivered)}, Sources: []store.Source{{ID: "log", Offset: 60}},
		Closed: []store.MessageKey{{MTA: bounce.Exim, Instance: "exim", QueueID: "q1"}},
	})
	must2(t)(receive(t, d, lite, "mx1", 0))
	m := message("q2")
	m.Host = "mx1"
	if diff := cmp.Diff(&store.Resume{Sources: []store.Source{{ID: "mx1/log", Offset: 60}}, Messages: []bounce.Message{m}}, resume(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := storetest.Totals(t, d, store.Filter{Host: "mx1"})
	if want := (store.Counts{Attempts: 4, Delivered: 2, Soft: 2, Recovered: 1, Pending: 1, Messages: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestReceivePruned copies a database from which the days were pruned in which some messages began.
func TestReceivePruned(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	lite, d := file(t), open(t, node, "")
	tr := storetest.NewTraffic(31)
	tr.PerSecond = 0.002
	b := tr.Batch(1000)
	storetest.Append(t, lite, b)
	if n, err := lite.Prune(t.Context(), b.Attempts[500].Time); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	must2(t)(receive(t, d, lite, "", 0))
	want, got := storetest.Totals(t, lite, store.Filter{}), storetest.Totals(t, d, store.Filter{})
	if want != got {
		t.Errorf("%+v, want %+v", got, want)
	}
	refs := func(s store.Store) (list []store.Ref) {
		r, err := s.Read(t.Context())
		must(t, err)
		defer r.Close()
		for a, err := range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
			must(t, err)
			list = append(list, a.Ref())
		}
		return list
	}
	if !slices.Equal(refs(lite), refs(d)) {
		t.Error("not the same attempts")
	}
}
