package sqlite

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

func open(t testing.TB, path string, o Options) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// reading returns a reader of a store, which is closed at the end of the test.
func reading(t testing.TB, s store.Store) store.Reader {
	t.Helper()
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()+"/log.db", Options{}) })
}

func TestTemporary(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, "", Options{Temporary: true}) })
}

// TestForgets closes a Writer of a temporary database, which clears the cached dictionaries, and
// then continues to append.
func TestForgets(t *testing.T) {
	d, want := open(t, "", Options{Temporary: true}), open(t, filepath.Join(t.TempDir(), "f.db"), Options{})
	tr := storetest.NewTraffic(1)
	for range 3 {
		b := tr.Batch(1000)
		storetest.Append(t, d, b)
		storetest.Append(t, want, b)
		must(t, storetest.Put(t.Context(), d)) // closes a Writer
		if n := d.w.addresses.known.n; n != 0 {
			t.Errorf("%d addresses are remembered", n)
		}
		if diff := cmp.Diff(totals(t, want), totals(t, d)); diff != "" {
			t.Errorf("-kept +forgotten:\n%s", diff)
		}
	}
	sound(t, d)
	must(t, d.Close())
	if _, err := d.Write(t.Context()); err == nil {
		t.Error("closed: no error")
	}
}

// sound fails the test if Check reports a problem.
func sound(t testing.TB, d *DB) {
	t.Helper()
	problems, err := d.Check(t.Context())
	must(t, err)
	for _, p := range problems {
		t.Error("check:", p)
	}
}

// same checks that two databases hold the same data, and that the second is sound.
func same(t testing.TB, want, got *DB) {
	t.Helper()
	if diff := cmp.Diff(totals(t, want), totals(t, got)); diff != "" {
		t.Errorf("Totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
		t.Errorf("rows (-want +got):\n%.3000s", diff)
	}
	sound(t, got)
}

// histories compares the stored history of each address with the attempts.
func histories(t testing.TB, d *DB) {
	t.Helper()
	n, err := d.w.c.Number(layoutSQL(`WITH delivered AS (SELECT recipient, min(at) AS first, max(at) AS last FROM delivery GROUP BY recipient),
			failed AS (SELECT a.recipient, max(a.at) AS last FROM failure AS a JOIN reply AS r ON r.id = a.reply WHERE r.kind < $UNCOUNTED GROUP BY a.recipient)
		SELECT count(*) FROM address AS a LEFT JOIN failing AS h ON h.id = a.id
			LEFT JOIN delivered AS d ON d.recipient = a.id LEFT JOIN failed AS f ON f.recipient = a.id
		WHERE max(a.first, 0) <> coalesce(d.first, 0) OR max(a.last, 0) NOT BETWEEN coalesce(d.last - $DAY_SECONDS, 0) AND coalesce(d.last, 0)
			OR f.last <> coalesce(d.last, 0) AND (h.at IS NOT NULL) <> (f.last > coalesce(d.last, 0))`))
	must(t, err)
	if n != 0 {
		t.Errorf("the histories of %d addresses are not those of the rows", n)
	}
}

func totals(t testing.TB, d *DB) store.Counts {
	t.Helper()
	return storetest.Totals(t, d, store.Filter{})
}

// ask calls fn with a Reader.
func ask(t testing.TB, d *DB, fn func(r store.Reader)) {
	t.Helper()
	r, err := d.Read(t.Context())
	must(t, err)
	fn(r)
	must(t, r.Close())
}

// attempts returns the attempts that match f.
func attempts(t testing.TB, d *DB, f store.Filter) (list []store.Attempt) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		for a, err := range r.Attempts(t.Context(), f, store.Page{}) {
			must(t, err)
			list = append(list, *a)
		}
	})
	return list
}

// countBy counts all attempts by one dimension.
func countBy(t testing.TB, d *DB, by store.Dimension) (list []store.Cell) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		var err error
		list, err = r.Count(t.Context(), store.Filter{}, by)
		must(t, err)
	})
	return list
}

// coverage returns the coverage of the logs.
func coverage(t testing.TB, d *DB) (c *store.Coverage) {
	t.Helper()
	ask(t, d, func(r store.Reader) {
		var err error
		c, err = r.Coverage(t.Context())
		must(t, err)
	})
	return c
}

// dump returns the rollup tables as text, with ids replaced by names.
func dump(t testing.TB, d *DB) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for name, sql := range map[string]string{
		"route": `SELECT group_concat(x, char(10)) FROM (SELECT (c.key >> $PERIOD_SHIFT) || ' ' || n.text || ' ' || coalesce(h.text, '') || ' ' || coalesce(r.ip, '') || ' ' || (c.key & $KIND_MASK) || ': ' ||
			c.n || ' ' || c.messages || ' ' || c.pairs || ' ' || c.nulls || ' ' || c.retry AS x FROM rollup_route AS c JOIN route AS r ON r.id = c.key >> $DIM_SHIFT & $MAX_ID
			JOIN name AS n ON n.id = r.domain LEFT JOIN name AS h ON h.id = r.host ORDER BY x)`,
		"deliveries": `SELECT group_concat(x, char(10)) FROM (SELECT time || ' ' || coalesce(queue_id, '') || ' ' || recipient || ' ' || offset || ' ' || outcome || ' ' || response || ' ' || coalesce(message_id, '') AS x
			FROM deliveries ORDER BY x)`,
	} {
		c, done, err := d.readConn(t.Context())
		must(t, err)
		v, err := c.One(layoutSQL(sql))
		done()
		must(t, err)
		out[name] = str(v)
	}
	return out
}

// TestReopen closes and opens the database between batches, and expects the same contents as in a
// database that stayed open.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	whole := open(t, dir+"/whole.db", Options{})
	tr, again := storetest.NewTraffic(1), storetest.NewTraffic(1)
	tr.PerSecond, again.PerSecond = 0.003, 0.003 // days
	for i := range 20 {
		storetest.Append(t, whole, tr.Batch(300))
		d := open(t, dir+"/parts.db", Options{})
		storetest.Append(t, d, again.Batch(300))
		if i == 10 {
			sound(t, d)
		}
		histories(t, d)
		must(t, d.Close())
	}
	parts := open(t, dir+"/parts.db", Options{ReadOnly: true})
	same(t, whole, parts)
	sound(t, whole)
	histories(t, whole)
}

func TestKeepMessageIDs(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{KeepMessageIDs: true})
	b := storetest.NewTraffic(1).Batch(300)
	storetest.Append(t, d, b)
	for _, a := range b.Attempts {
		n := 0
		for _, x := range attempts(t, d, store.Filter{MessageID: a.MessageID}) {
			if x.MessageID == a.MessageID && x.Recipient == a.Recipient {
				n++
			}
		}
		if n == 0 {
			t.Fatalf("%s of %s is not found", a.MessageID, a.Recipient)
		}
	}
	sound(t, d)
}

// TestMessageHash finds every attempt of a message by its Message-ID: in full chunks, in a partial
// one, and after the database was reopened.
func TestMessageHash(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	want := make(map[string]int)
	var ids []string
	for range 3 {
		b := tr.Batch(chunkRows / 2)
		for i := range b.Attempts {
			id := b.Attempts[i].MessageID
			if want[id]++; i%500 == 0 {
				ids = append(ids, id)
			}
		}
		storetest.Append(t, d, b)
		must(t, d.Close())
		d = open(t, path, Options{})
		for _, id := range ids {
			n := 0
			for _, a := range attempts(t, d, store.Filter{MessageID: id}) {
				if a.MessageID != id {
					t.Errorf("an attempt of %q instead of %q", a.MessageID, id)
				}
				if a.Status != "expired" {
					n++
				}
			}
			if n != want[id] {
				t.Errorf("%d attempts of %q, want %d", n, id, want[id])
			}
		}
	}
	sound(t, d)
}

// TestEndsAndTLS reads the ends of messages and the TLS results from the views.
func TestEndsAndTLS(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.2
	ends, tls := make(map[string]int64), make(map[string]int64)
	for range 3 {
		b := tr.Batch(3000)
		storetest.Append(t, d, b)
		for _, e := range b.Ends {
			ends[string(e.Event)]++
		}
		for i := range b.Attempts {
			if x := b.Attempts[i].TLS; x != "" {
				tls[x]++
			}
		}
	}
	read := func(sql string) map[string]int64 {
		got := make(map[string]int64)
		must(t, d.w.c.Each(func(row []driver.Value) error {
			got[str(row[0])] = num(row[1])
			return nil
		}, sql))
		return got
	}
	if got := read("SELECT event, count(*) FROM message_ends GROUP BY 1"); len(ends) != 4 || !maps.Equal(got, ends) {
		t.Errorf("ends %v, want %v", got, ends)
	}
	if got := read("SELECT tls, count(*) FROM deliveries WHERE tls IS NOT NULL GROUP BY 1"); len(tls) != 3 || !maps.Equal(got, tls) {
		t.Errorf("TLS results %v, want %v", got, tls)
	}
	states := read("SELECT 'state ' || state, count(*) FROM pair GROUP BY 1")
	for _, state := range []int{removed, discarded, completed} {
		if states[fmt.Sprint("state ", state)] == 0 {
			t.Errorf("no pair of state %d: %v", state, states)
		}
	}
	sound(t, d)
}

// TestBounded stores more programs and unparsed lines than the database keeps.
func TestBounded(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	const batches, each = 5, 600
	for i := range int64(batches) {
		b := &store.Batch{Sources: []store.Source{{ID: "s", Offset: (i + 1) * each}}}
		for j := range int64(each) {
			n := i*each + j
			b.Skipped = append(b.Skipped, store.Skipped{Program: fmt.Sprint("invented", n), Lines: 2}, store.Skipped{Program: "postfix/smtpd", Lines: 1})
			b.Unparsed = append(b.Unparsed, store.Unparsed{Source: "s", Offset: n, Text: fmt.Sprint("line ", n)})
		}
		storetest.Append(t, d, b)
	}
	c := coverage(t, d)
	skipped, unparsed := c.Skipped, c.Unparsed
	lines := make(map[string]int64)
	for _, s := range skipped {
		lines[s.Program] = s.Lines
	}
	const programs = 2000 - 2 // without "(others)" and postfix/smtpd
	if len(skipped) != 2000 || lines["postfix/smtpd"] != batches*each || lines["(others)"] != 2*(batches*each-programs) {
		t.Errorf("%d programs, %d lines of postfix/smtpd, %d of others", len(skipped), lines["postfix/smtpd"], lines["(others)"])
	}
	if len(unparsed) != 1000 {
		t.Errorf("%d lines that were not understood, want 1000", len(unparsed))
	}
	sound(t, d)
}

// TestCheckpoints stores many small batches. Without checkpoints between them the write-ahead log
// would grow to many times this size.
func TestCheckpoints(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	var largest int64
	for range 1000 {
		storetest.Append(t, d, tr.Batch(20))
		st, err := os.Stat(path + "-wal")
		must(t, err)
		largest = max(largest, st.Size())
	}
	if largest > 100<<20 {
		t.Errorf("the write-ahead log grew to %d bytes", largest)
	}
	t.Logf("%d bytes", largest)
	sound(t, d)
}

// TestAcceptedReplies stores responses of accepted mail with the same beginning. They must share
// one row, even after the database was reopened.
func TestAcceptedReplies(t *testing.T) {
	path := t.TempDir() + "/log.db"
	n := int64(0)
	batch := func(responses ...string) *store.Batch {
		b := new(store.Batch)
		for _, r := range responses {
			n++
			b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
				Source: "a", Offset: n, Time: time.Unix(1.7e9+n, 0), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%05X", n),
				Recipient: "a@b.example", RecipientDomain: "b.example", Outcome: bounce.Delivered, Status: "sent", Response: r,
			}})
		}
		b.Sources = []store.Source{{ID: "a", Offset: n + 1}}
		return b
	}
	d := open(t, path, Options{})
	storetest.Append(t, d, batch("250 2.0.0 Ok: queued as 4XyZ1a", "250 2.0.0 Ok: queued as ABCDEF", "250 2.0.0 Ok: queued as 4XyZ1a by x1", "250 ok"))
	must(t, d.Close())
	d = open(t, path, Options{})
	storetest.Append(t, d, batch("250 2.0.0 Ok: queued as 9A8B7C", "250 ok"))
	var got []string
	for _, a := range attempts(t, d, store.Filter{}) {
		got = append(got, a.Response)
	}
	const queued = "250 2.0.0 Ok: queued as {id}"
	if diff := cmp.Diff([]string{queued, queued, queued, "250 ok", queued, "250 ok"}, got); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	rows, err := d.w.c.Number("SELECT count(*) FROM reply")
	must(t, err)
	if rows != 2 {
		t.Errorf("%d rows of replies, want 2", rows)
	}
}

// TestSpans checks that consecutive chunks are read as one span: each span runs a statement, and
// some statements are slow to start.
func TestSpans(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	b := storetest.NewTraffic(1).Batch(12 * chunkRows)
	storetest.Append(t, d, b)
	c, done, err := d.readConn(t.Context())
	must(t, err)
	defer done()
	n := len(b.Attempts)
	q, err := new(counting).query(c, store.Filter{Since: b.Attempts[n/4].Time, Until: b.Attempts[3*n/4].Time})
	must(t, err)
	spans, _, err := q.spans(c)
	must(t, err)
	if all, err := c.Number("SELECT count(*) FROM chunk"); err != nil || all < 10 || len(spans) > 2 {
		t.Errorf("%d spans of %d chunks; %v", len(spans), all, err)
	}
}
