//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/clickhouse"
	"bouncelog/store/storetest"
)

// TestCluster puts the questions of every engine to three nodes, a shard each.
func TestCluster(t *testing.T) {
	node := chnode.Start(t, 3)[0]
	databases := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		databases++
		d, err := clickhouse.Open(t.Context(), fmt.Sprintf("clickhouse://%s/test%d?cluster=%s", node.Address(), databases, chnode.Cluster), clickhouse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	})
}
