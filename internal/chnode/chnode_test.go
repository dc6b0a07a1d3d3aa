package chnode

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func ask(t *testing.T, n *Node, sql string) string {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/?query=%s", n.HTTP, url.QueryEscape(sql)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %s", sql, err, body)
	}
	return strings.TrimSpace(string(body))
}

// TestNodes holds that two nodes run, know each other and keep what they had stored
// when they are killed.
func TestNodes(t *testing.T) {
	nodes := Start(t, 2)
	if got := ask(t, nodes[1], "SELECT count() FROM clusterAllReplicas('"+Cluster+"', system.one)"); got != "2" {
		t.Errorf("the cluster has %s nodes, want 2", got)
	}
	nodes[0].Stop()
	nodes[0].Run(t)
	if got := ask(t, nodes[0], "SELECT 1"); got != "1" {
		t.Errorf("SELECT 1 = %s after a restart", got)
	}
}
