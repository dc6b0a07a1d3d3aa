package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

func filled(t *testing.T, path string) *DB {
	t.Helper()
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.5
	for range 5 {
		storetest.Append(t, d, tr.Batch(1000))
	}
	return d
}

// views returns the views of the database with their columns.
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

// TestSchemaDocumented compares docs/schema.md and etc/datasette.json with the views, in both
// directions.
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

// TestQueries runs the examples of docs/queries.md while the database is open for writing, with the
// built-in SQLite and with the sqlite3 shell if it is installed.
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

// TestFormatDocumented checks that docs/format.md names every table, and the limits and bits of
// layout.go.
func TestFormatDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/format.md")
	must(t, err)
	text := string(b)
	d := open(t, "", Options{Temporary: true})
	must(t, d.w.c.Each(func(row []driver.Value) error {
		if name := str(row[0]); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("table %s is not there", name)
		}
		return nil
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"))
	thousands := func(n int64) string {
		s := fmt.Sprint(n)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	}
	for what, want := range map[string]string{
		"sources": "| sources | " + thousands(maxSources) + " |",
		"ids":     thousands(maxID) + " | error",
		"time":    "1970 to " + time.Unix(maxTime, 0).UTC().Format(time.DateOnly),
		"texts":   fmt.Sprintf("| %s, %s, %d bytes |", thousands(store.MaxResponse), thousands(store.MaxName), store.MaxWord),
		"offset":  fmt.Sprintf("offset of the line (%d)", offsetBits),
		"hash":    fmt.Sprintf("bits 63–%d of the hash", 64-dictHashBits),
		"id":      fmt.Sprintf("id of the row (%d)", idBits),
		"period":  fmt.Sprintf("hour or day (%d)", 63-periodShift),
		"kind":    fmt.Sprintf("kind(%d)", kindBits),
		"reason":  fmt.Sprintf("reason (%d)", reasonBits),
		"flags":   fmt.Sprintf("flags (%d)", flagBits),
		"fine":    "up to " + thousands(maxFine) + " hundredths",
		"coarse":  "seconds plus " + thousands(coarseBase),
		"chunk":   thousands(chunkRows) + " attempts",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q is not there", what, want)
		}
	}
}
