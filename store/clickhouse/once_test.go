package clickhouse

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// traffic returns consecutive batches of attempts.
func traffic(seed uint64, batches, size int) (bs []*store.Batch) {
	tr := storetest.NewTraffic(seed)
	for range batches {
		bs = append(bs, tr.Batch(size))
	}
	return bs
}

// joined returns one batch made of consecutive batches.
func joined(bs ...*store.Batch) *store.Batch {
	b := &store.Batch{Sources: bs[len(bs)-1].Sources}
	for _, x := range bs {
		b.Attempts = slices.Concat(b.Attempts, x.Attempts)
		b.Expiries = slices.Concat(b.Expiries, x.Expiries)
		b.Ends = slices.Concat(b.Ends, x.Ends)
		b.Skipped = slices.Concat(b.Skipped, x.Skipped)
	}
	return b
}

// abandon writes the rows of a batch without the position, like an agent killed between the two.
func abandon(t *testing.T, d *DB, b *store.Batch) {
	t.Helper()
	d.beforePositions = func() error { return errKilled }
	defer func() { d.beforePositions = nil }()
	if err := storetest.Put(t.Context(), d, b); !errors.Is(err, errKilled) {
		t.Fatalf("abandoned: %v", err)
	}
}

var errKilled = errors.New("killed")

// TestKilledBeforePosition kills agents between rows and position. They then read the same lines in
// other batches. The abandoned rows must not be visible, and must count once after they are read
// again.
func TestKilledBeforePosition(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d, want := open(t, node, ""), memory.Open()
	bs := traffic(11, 6, 300)
	bs[0].Skipped, bs[3].Skipped = []store.Skipped{{Program: "dovecot", Lines: 3}}, []store.Skipped{{Program: "dovecot", Lines: 4}}
	abandon(t, d, joined(bs[:3]...))
	same(t, want, d, store.Filter{})
	put := func(b *store.Batch) {
		t.Helper()
		storetest.Append(t, d, b)
		storetest.Append(t, want, b)
	}
	put(bs[0])
	same(t, want, d, store.Filter{})
	abandon(t, d, joined(bs[1:5]...))
	same(t, want, d, store.Filter{})
	put(joined(bs[1:3]...))
	abandon(t, d, bs[3])
	must(t, d.conn.Exec(t.Context(), "OPTIMIZE TABLE attempt FINAL")) // a merge keeps one of the copies
	same(t, want, d, store.Filter{})
	put(joined(bs[3:]...))
	must(t, d.conn.Exec(t.Context(), "OPTIMIZE TABLE attempt FINAL"))
	same(t, want, d, store.Filter{})
	r, err := d.Read(t.Context())
	must(t, err)
	c, err := r.Coverage(t.Context())
	must(t, err)
	if want := []store.Skipped{{Program: "dovecot", Lines: 7}}; !slices.Equal(c.Skipped, want) {
		t.Errorf("skipped %v, want %v", c.Skipped, want)
	}
	if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("Check: %q, %v", problems, err)
	}
}

// TestTwoAgents runs two agents on one log by mistake, each with its own batches and one ahead of
// the other.
func TestTwoAgents(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d, want := open(t, node, ""), memory.Open()
	other := openNamed(t, node, d.options.Auth.Database, "")
	bs := traffic(12, 6, 200)
	storetest.Append(t, d, bs[0], bs[1])
	storetest.Append(t, other, joined(bs[:3]...))
	abandon(t, other, joined(bs[3:]...))
	storetest.Append(t, d, bs[2], bs[3])
	storetest.Append(t, other, joined(bs[3:5]...))
	storetest.Append(t, d, bs[4], bs[5])
	storetest.Append(t, want, bs...)
	same(t, want, d, store.Filter{})
}

// TestAway stops the engine while an agent writes. The error must be ErrAway, and the same batch
// must be stored once the engine is back.
func TestAway(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d, want := open(t, node, ""), memory.Open()
	bs := traffic(13, 2, 200)
	storetest.Append(t, d, bs[0])
	node.Stop()
	if err := storetest.Put(t.Context(), d, bs[1]); !errors.Is(err, store.ErrAway) {
		t.Errorf("stored while the engine was away: %v", err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, store.ErrAway) {
		t.Errorf("read while the engine was away: %v", err)
	}
	node.Run(t)
	storetest.Append(t, d, bs[1])
	storetest.Append(t, want, bs...)
	same(t, want, d, store.Filter{})
}

// TestShardDown stops one of three nodes: queries must fail, never return fewer rows.
func TestShardDown(t *testing.T) {
	nodes := chnode.Start(t, 3)
	d, want := open(t, nodes[0], "?cluster="+chnode.Cluster), memory.Open()
	bs := traffic(14, 3, 500)
	storetest.Append(t, d, bs[:2]...)
	storetest.Append(t, want, bs[:2]...)
	same(t, want, d, store.Filter{})
	for i, n := range nodes {
		var rows uint64
		one := openNamed(t, n, d.options.Auth.Database, "?cluster="+chnode.Cluster)
		must(t, one.conn.QueryRow(t.Context(), "SELECT count() FROM attempt_local").Scan(&rows))
		if rows < 200 {
			t.Errorf("node %d holds %d rows of some 1000", i, rows)
		}
	}
	nodes[2].Stop()
	if r, err := d.Read(t.Context()); err == nil {
		if cells, err := r.Count(t.Context(), store.Filter{}); err == nil {
			t.Errorf("a shard is down, and the count is %v", cells)
		}
	}
	if err := storetest.Put(t.Context(), d, bs[2]); !errors.Is(err, store.ErrAway) {
		t.Errorf("a shard is down, and a batch was stored: %v", err)
	}
	nodes[2].Run(t)
	again(t, func() error { return storetest.Put(t.Context(), d, bs[2]) })
	storetest.Append(t, want, bs[2])
	same(t, want, d, store.Filter{})
}

// again retries like a daemon while the engine does not answer.
func again(t *testing.T, do func() error) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrAway) {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestAddress checks the options of an address.
func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"clickhouse://mx1@ch.example.net/bouncelog":             "ch.example.net:9440 TLS",
		"clickhouse://mx1@ch.example.net:9000/b?secure=false":   "ch.example.net:9000 plain",
		"clickhouse://127.0.0.1":                                "127.0.0.1:9000 plain",
		"clickhouse://[::1]:9001/b":                             "[::1]:9001 plain",
		"clickhouse://localhost/b?secure=true":                  "localhost:9440 TLS",
		"clickhouse://a.example,b.example:9441/b?cluster=fleet": "a.example:9440,b.example:9441 TLS",
		"clickhouse://mx1:geheim@ch.example.net/b":              "error",
		"clickhouse://ch.example.net/b?secure=maybe":            "error",
		"clickhouse://ch.example.net/b?colour=red":              "error",
		"clickhouse:///b":                                       "error",
	} {
		got := "error"
		d, err := parse(address, Options{Password: "geheim"})
		if err == nil {
			got = strings.Join(d.options.Addr, ",") + " plain"
			if d.options.TLS != nil {
				got = strings.Join(d.options.Addr, ",") + " TLS"
			}
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the password is in %q", address, err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%v)", address, got, want, err)
		}
	}
}
