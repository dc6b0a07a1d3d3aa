package sqlite

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bouncelog/store/storetest"
)

func filled(t *testing.T, path string) *DB {
	t.Helper()
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.5
	for range 5 {
		must(t, d.Append(t.Context(), tr.Batch(1000)))
	}
	return d
}

// views are the views of the database with their columns.
func views(t *testing.T, d *DB) map[string][]string {
	t.Helper()
	rows, err := d.Query(t.Context(), "SELECT v.name, c.name FROM sqlite_schema AS v JOIN pragma_table_info(v.name) AS c WHERE v.type = 'view' ORDER BY v.name, c.cid")
	must(t, err)
	defer rows.Close()
	out := make(map[string][]string)
	for {
		row, err := rows.Next()
		if err == io.EOF {
			return out
		}
		must(t, err)
		out[row[0].(string)] = append(out[row[0].(string)], row[1].(string))
	}
}

// TestSchemaDocumented compares docs/schema.md and etc/datasette.json with the
// views, both ways.
func TestSchemaDocumented(t *testing.T) {
	want := views(t, open(t, "", Options{Temporary: true}))
	if len(want) != 10 {
		t.Errorf("%d views, want 10", len(want))
	}
	text, err := os.ReadFile("../../docs/schema.md")
	must(t, err)
	got := make(map[string][]string)
	column := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.+) \\|$")
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		for _, m := range column.FindAllStringSubmatch(body, -1) {
			got[name] = append(got[name], m[1])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/schema.md (-views +documented):\n%s", diff)
	}

	var meta struct {
		Databases map[string]struct {
			Tables map[string]struct{ Columns map[string]string }
		}
	}
	b, err := os.ReadFile("../../etc/datasette.json")
	must(t, err)
	must(t, json.Unmarshal(b, &meta))
	inMeta := make(map[string][]string)
	for name, table := range meta.Databases["bouncelog"].Tables {
		for c := range table.Columns {
			inMeta[name] = append(inMeta[name], c)
		}
		slices.Sort(inMeta[name])
	}
	for _, cs := range want {
		slices.Sort(cs)
	}
	if diff := cmp.Diff(want, inMeta); diff != "" {
		t.Errorf("etc/datasette.json (-views +described):\n%s", diff)
	}
}

// TestQueries runs the examples of docs/queries.md, with our SQLite and, where
// there is one, the sqlite3 shell's, while the database is open for writing.
func TestQueries(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := filled(t, path)
	text, err := os.ReadFile("../../docs/queries.md")
	must(t, err)
	blocks := strings.Split(string(text), "```sql\n")[1:]
	if len(blocks) != 10 {
		t.Errorf("%d queries, want 10", len(blocks))
	}
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Log("no sqlite3 shell to try them in")
	}
	for _, block := range blocks {
		sql, _, _ := strings.Cut(block, "```")
		rows, err := d.Query(t.Context(), sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		n := 0
		for {
			if _, err := rows.Next(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v", sql, err)
				break
			}
			n++
		}
		rows.Close()
		if n == 0 {
			t.Errorf("%s: no rows", sql)
		}
		if shell == "" {
			continue
		}
		out, err := exec.Command(shell, "-readonly", "-bail", "-json", path, sql).Output()
		if err != nil {
			t.Errorf("%s: the shell: %v", sql, err)
			continue
		}
		var list []map[string]any
		if err := json.Unmarshal(out, &list); err != nil || len(list) != n {
			t.Errorf("%s: the shell has %d rows (%v), want %d", sql, len(list), err, n)
		}
	}
}
