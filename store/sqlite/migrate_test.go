package sqlite

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

var update = flag.Bool("update", false, "write testdata/schema-N.db of the present schema anew")

func released() *store.Batch {
	t := storetest.NewTraffic(77)
	t.PerSecond = 0.05
	return t.Batch(150)
}

// TestReleasedSchemas opens a database of every released schema, migrates it and reads it.
func TestReleasedSchemas(t *testing.T) {
	now := fmt.Sprintf("testdata/schema-%d.db", schemaVersion)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		os.Remove(now)
		d := open(t, now, Options{})
		storetest.Append(t, d, released())
		must(t, d.w.c.Exec("VACUUM"))
		must(t, d.Close())
	}
	files, err := filepath.Glob("testdata/schema-*.db")
	must(t, err)
	if len(files) != schemaVersion {
		t.Errorf("%d files, want one for each of %d schemas", len(files), schemaVersion)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		path := t.TempDir() + "/log.db"
		must(t, os.WriteFile(path, b, 0o640))
		d := open(t, path, Options{})
		sound(t, d)
		want := open(t, "", Options{Temporary: true})
		storetest.Append(t, want, released())
		if got, want := totals(t, d), totals(t, want); got != want {
			t.Errorf("%s: Totals = %+v, want %+v", file, got, want)
		}
		if got, want := len(views(t, d)), len(views(t, want)); got != want {
			t.Errorf("%s: %d views, want %d", file, got, want)
		}
	}
}

// TestMigrate migrates from this schema to a later one. A copy is kept, and a failing step changes
// nothing.
func TestMigrate(t *testing.T) {
	first, err := migrations.ReadFile("migrations/00001_first.sql")
	must(t, err)
	next := func(sql string) Options {
		return Options{version: schemaVersion + 1, migrations: fstest.MapFS{
			"migrations/00001_first.sql": {Data: first},
			"migrations/00002_next.sql":  {Data: []byte("-- +goose Up\n" + sql)},
		}}
	}
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	storetest.Append(t, d, released())
	want := totals(t, d)
	must(t, d.Close())

	o := next("PRAGMA user_version = 2; ALTER TABLE source ADD COLUMN more TEXT;")
	o.ReadOnly = true
	if _, err := Open(t.Context(), path, o); err == nil {
		t.Error("an old database was opened for reading")
	}
	o = next("PRAGMA user_version = 2;\nDELETE FROM delivery;\nSELECT nonsense;")
	if _, err := Open(t.Context(), path, o); err == nil {
		t.Error("a migration that fails: no error")
	}
	d = open(t, path, Options{})
	if got := totals(t, d); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	sound(t, d)
	must(t, d.Close())

	d = open(t, path, next("PRAGMA user_version = 2;\nALTER TABLE source ADD COLUMN more TEXT;"))
	if got := totals(t, d); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	if _, err := d.w.c.Number("SELECT count(more) FROM source"); err != nil {
		t.Error(err)
	}
	must(t, d.Close())
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("error = %v, want ErrNewer", err)
	}
	kept := open(t, path+".schema-1", Options{ReadOnly: true})
	if got := totals(t, kept); got != want {
		t.Errorf("Totals of the copy = %+v, want %+v", got, want)
	}
}

// TestOpenTwice creates one database from several connections at the same moment. They must wait
// for one another.
func TestOpenTwice(t *testing.T) {
	path := t.TempDir() + "/log.db"
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			d, err := Open(t.Context(), path, Options{})
			if err == nil {
				err = d.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		must(t, <-errs)
	}
	sound(t, open(t, path, Options{}))
}
