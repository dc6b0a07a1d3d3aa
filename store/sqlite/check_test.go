package sqlite

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

func TestCheckFinds(t *testing.T) {
	file := t.TempDir() + "/log.db"
	d := open(t, file, Options{})
	tr := storetest.NewTraffic(1)
	tr.PerSecond = 0.003 // days
	storetest.Append(t, d, tr.Batch(2000))
	tr = storetest.NewTraffic(2)
	tr.Source, tr.PerSecond = "second", 1
	storetest.Append(t, d, tr.Batch(2000))
	sound(t, d)
	must(t, d.Close())
	whole, err := os.ReadFile(file)
	must(t, err)
	for _, damage := range []string{
		"UPDATE rollup_route SET n = n + 1 WHERE key = (SELECT min(key) FROM rollup_route)",
		"DELETE FROM rollup_total",
		"UPDATE rollup_total SET n = n - 1 WHERE key = (SELECT min(key) FROM rollup_total)",
		"DELETE FROM rollup_sender WHERE key = (SELECT max(key) FROM rollup_sender)",
		"UPDATE rollup_origin SET pairs = pairs - 1",
		"DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery)",
		"PRAGMA foreign_keys = OFF; DELETE FROM route WHERE id = 3",
		"DELETE FROM address WHERE id = 1",
		"DELETE FROM name_key WHERE key & $MAX_ID = 1",
		"DELETE FROM pending",
		"UPDATE pair SET state = $STATE_PENDING WHERE state = 1",
		"DELETE FROM text",
		"UPDATE warning SET text = 99999",
		"UPDATE source SET position = 5",
		"DELETE FROM failure WHERE id = (SELECT min(id) FROM pair)",
		"DELETE FROM refusal WHERE id = (SELECT max(id) FROM refusal)",
		"UPDATE fault SET recipient = recipient + 1 WHERE id = (SELECT min(id) FROM fault)",
		"INSERT INTO fault SELECT id, at, recipient, reply, before FROM refusal LIMIT 1",
		"UPDATE refusal SET original = 1 WHERE original IS NULL",
		"UPDATE message_end SET origin = 99 WHERE id = (SELECT min(id) FROM message_end)",
		"UPDATE message_end SET id = (77 << $OFFSET_BITS) | 1 WHERE id = (SELECT min(id) FROM message_end)",
	} {
		path := t.TempDir() + "/log.db"
		must(t, os.WriteFile(path, whole, 0o600))
		d := open(t, path, Options{})
		must(t, d.w.c.Exec(layoutSQL(damage)))
		problems, err := d.Check(t.Context())
		must(t, err)
		if len(problems) == 0 {
			t.Errorf("Check does not notice: %s", damage)
		}
	}
}

func TestDamaged(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	storetest.Append(t, d, storetest.NewTraffic(1).Batch(3000))
	root, err := d.w.c.Number("SELECT pgno FROM dbstat WHERE name = 'delivery' AND pagetype = 'leaf' LIMIT 1 OFFSET 3")
	if err != nil { // built without dbstat
		root, err = d.w.c.Number("SELECT rootpage FROM sqlite_schema WHERE name = 'delivery'")
	}
	must(t, err)
	size, err := d.w.c.Number("PRAGMA page_size")
	must(t, err)
	must(t, d.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), (root-1)*size)
	must(t, err)
	must(t, f.Close())
	d = open(t, path, Options{})
	var found error
	r, err := d.Read(t.Context())
	must(t, err)
	for _, err := range r.Attempts(t.Context(), store.Filter{}, store.Page{}) {
		if err != nil {
			found = err
		}
	}
	must(t, r.Close())
	if !errors.Is(found, store.ErrDamaged) {
		t.Errorf("reading a damaged page: %v, want ErrDamaged", found)
	}
	problems, err := d.Check(t.Context())
	if len(problems) == 0 {
		t.Errorf("Check found nothing (%v)", err)
	}
	// The batches already stored are still there.
	if got := totals(t, d); got.Attempts < 2500 {
		t.Errorf("Totals = %+v", got)
	}
}
