//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/clickhouse"
	"bouncelog/store/storetest"
)

// TestCluster puts the questions of every engine to three nodes, one shard each. Those about weeks
// take many minutes: set BOUNCELOG_CLUSTER=1 for them.
func TestCluster(t *testing.T) {
	node := chnode.Start(t, 3)[0]
	databases := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		if path.Base(t.Name()) == "AnswersOfWeeks" && os.Getenv("BOUNCELOG_CLUSTER") == "" {
			t.Skip("set BOUNCELOG_CLUSTER=1 to ask about weeks too")
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
