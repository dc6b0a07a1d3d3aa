package clickhouse

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

var databases atomic.Int64

// open opens a new database on a node.
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

// TestErrorText checks that the error of a server that queried another server does not contain the
// other's stack.
func TestErrorText(t *testing.T) {
	d := &DB{name: "clickhouse://ch.example.net/bouncelog"}
	err := d.wrap("read", &clickhouse.Exception{Code: 999, Message: "Received from ch2.example.net:9000. Session expired. Stack trace:\n\n0. ? @ 0x1c8fa4b3: While executing Remote"})
	if !errors.Is(err, store.ErrAway) || !strings.HasSuffix(err.Error(), "Session expired.") {
		t.Errorf("%v", err)
	}
}
