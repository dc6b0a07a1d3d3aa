package clickhouse

import (
	"fmt"
	"sync/atomic"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

var databases atomic.Int64

// open makes a database of its own on a node.
func open(t testing.TB, n *chnode.Node, options string) *DB {
	t.Helper()
	return openNamed(t, n, fmt.Sprintf("test%d", databases.Add(1)), options)
}

func openNamed(t testing.TB, n *chnode.Node, name, options string) *DB {
	t.Helper()
	d, err := Open(t.Context(), Scheme+n.Address()+"/"+name+options, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestStore(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, node, "") })
}
