package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestSettled appends logs that have not moved for days. A query must not list them, and a moment
// must not change when one of them moves later.
func TestSettled(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	d, want := open(t, node, ""), memory.Open()
	bs := traffic(16, 4, 300)
	put := func(b *store.Batch) {
		t.Helper()
		storetest.Append(t, d, b)
		storetest.Append(t, want, b)
	}
	put(bs[0])
	put(bs[1])
	must(t, d.conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO source SELECT * REPLACE (seq - %d AS seq, first_seen - %[1]d AS first_seen) FROM source", uint64(3*day))))
	must(t, d.conn.Exec(t.Context(), fmt.Sprintf("DELETE FROM source WHERE first_seen > (SELECT max(seq) - %d FROM source)", uint64(day))))
	before, err := d.Read(t.Context())
	must(t, err)
	defer before.Close()
	wantBefore, err := want.Read(t.Context())
	must(t, err)
	defer wantBefore.Close()
	if sql := before.(*reader).visible(); strings.Contains(sql, bs[0].Sources[0].ID) {
		t.Errorf("a question names a log that has not moved for days: %s", sql)
	}
	same(t, want, d, store.Filter{})
	for _, b := range bs[2:] {
		put(b)
		must(t, d.conn.Exec(t.Context(), "OPTIMIZE TABLE source FINAL"))
		same(t, want, d, store.Filter{})
		storetest.SameRows(t, wantBefore, before, store.Filter{})
	}
}
