package clickhouse

import (
	"context"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

func FuzzEngines(f *testing.F) {
	node := chnode.Start(f, 1)[0]
	storetest.Fuzz(f, 12, func(t *testing.T) store.Store {
		d := open(t, node, "")
		t.Cleanup(func() { drop(t, d) })
		return d
	})
}

// same checks that the same attempts are visible in both.
func same(t testing.TB, want, got store.Store, f store.Filter) {
	t.Helper()
	w, err := want.Read(t.Context())
	must(t, err)
	defer w.Close()
	g, err := got.Read(t.Context())
	must(t, err)
	defer g.Close()
	storetest.SameRows(t, w, g, f)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// drop removes the database of a test.
func drop(t testing.TB, d *DB) {
	t.Helper()
	must(t, d.conn.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+identifier(d.options.Auth.Database)))
}
