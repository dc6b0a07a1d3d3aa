package clickhouse

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"bouncelog/internal/chnode"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// TestGrants checks users with the rights of etc/fleet/grants.sql: an agent may insert, but not
// change or delete; a reader may query everything and insert nothing.
func TestGrants(t *testing.T) {
	text, err := os.ReadFile("../../etc/fleet/grants.sql")
	must(t, err)
	granted := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^(GRANT .*) TO (\w+);$`).FindAllStringSubmatch(string(text), -1) {
		granted[m[2]] = append(granted[m[2]], m[1])
	}
	readOnly := 0
	if strings.Contains(string(text), "bouncelog_reader SETTINGS readonly = 2") {
		readOnly = 2
	}
	for name, options := range map[string]string{"node": "", "cluster": "?cluster=" + chnode.Cluster} {
		t.Run(name, func(t *testing.T) { testGrants(t, granted, readOnly, options) })
	}
}

func testGrants(t *testing.T, granted map[string][]string, readOnly int, options string) {
	node := chnode.Start(t, 2, chnode.User{Name: "owner", Grants: granted["bouncelog_owner"]},
		chnode.User{Name: "mx1", Grants: granted["bouncelog_agent"]}, chnode.User{Name: "reader", Grants: granted["bouncelog_reader"], ReadOnly: readOnly})[0]
	as := func(user string, o Options) *DB {
		t.Helper()
		d, err := Open(t.Context(), Scheme+user+"@"+node.Address()+"/bouncelog"+options, o)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	owner, agent, reader := as("owner", Options{}), as("mx1", Options{}), as("reader", Options{ReadOnly: true})
	want := memory.Open()
	bs := traffic(18, 3, 200)
	for _, b := range bs {
		storetest.Append(t, agent, b)
		storetest.Append(t, want, b)
	}
	same(t, want, reader, store.Filter{})
	if _, err := reader.Describe(t.Context()); err != nil {
		t.Errorf("a reader: %v", err)
	}
	swapped, err := agent.SwapNote(t.Context(), "key", nil, []byte("value"))
	if err != nil || !swapped {
		t.Errorf("an agent notes: %v, %v", swapped, err)
	}
	for _, sql := range []string{"DROP TABLE attempt", "TRUNCATE TABLE source", "DELETE FROM attempt WHERE 1", "ALTER TABLE attempt DROP PARTITION 20260302", "CREATE TABLE x (n UInt8) ENGINE = Memory"} {
		for user, d := range map[string]*DB{"an agent": agent, "a reader": reader} {
			if err := d.conn.Exec(t.Context(), sql); err == nil {
				t.Errorf("%s may %s", user, sql)
			}
		}
	}
	if err := reader.conn.Exec(t.Context(), "INSERT INTO source (id) VALUES ('x')"); err == nil {
		t.Error("a reader may insert")
	}
	if _, err := owner.Prune(t.Context(), bs[2].Attempts[0].Time.AddDate(1, 0, 0)); err != nil {
		t.Errorf("the owner prunes: %v", err)
	}
}
