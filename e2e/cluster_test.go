//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/clickhouse"
	"bouncelog/store/storetest"
)

// TestCluster runs the contract of every engine on three nodes, one shard each. One of its tests puts
// some thousand questions with all kinds of filters, which takes many minutes on one machine: set
// BOUNCELOG_CLUSTER=1 for it.
func TestCluster(t *testing.T) {
	node := chnode.Start(t, 3)[0]
	databases := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		if strings.HasPrefix(path.Base(t.Name()), "Answers") && os.Getenv("BOUNCELOG_CLUSTER") == "" {
			t.Skip("set BOUNCELOG_CLUSTER=1 for the questions with all kinds of filters")
		}
		databases++
		d, err := clickhouse.Open(t.Context(), fmt.Sprintf("clickhouse://%s/test%d?cluster=%s", node.Address(), databases, chnode.Cluster), clickhouse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	})
}
