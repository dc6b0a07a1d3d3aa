package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDatabaseReplaced removes and replaces the database of a daemon: it says so, reads
// into what is there then what the logs on disk still hold, and ends well.
func TestDatabaseReplaced(t *testing.T) {
	for what, replace := range map[string]func(t *testing.T, db, other string) error{
		"removed": func(_ *testing.T, db, _ string) error { return os.Remove(db) },
		"removed with its log": func(_ *testing.T, db, _ string) error {
			os.Remove(db + "-wal")
			os.Remove(db + "-shm")
			return os.Remove(db)
		},
		"replaced":    func(_ *testing.T, db, other string) error { return os.Rename(other, db) },
		"log removed": func(_ *testing.T, db, _ string) error { return os.Remove(db + "-wal") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			log, db, other := filepath.Join(dir, "mail.log"), filepath.Join(dir, "follow.db"), filepath.Join(dir, "other.db")
			writeLog(t, log, 0, 300)
			bouncelog(t, exitOK, "import", "--db", other, log) // an older copy
			if err := os.Rename(log, log+".1"); err != nil {
				t.Fatal(err)
			}
			writeLog(t, log, 300, 600)
			p := start(t, "follow", "--pseudonymize", "--db", db, log)
			eventually(t, "all stored", func() bool { return count(t, db) == 1200 })
			if err := replace(t, db, other); err != nil {
				t.Fatal(err)
			}
			eventually(t, "noticed", func() bool { return strings.Contains(p.said(), "was removed or replaced") })
			writeLog(t, log, 600, 900)
			eventually(t, "going on", func() bool { return strings.Contains(p.said(), "going on with what is there now") })
			eventually(t, "stored all that is on disk", func() bool { return count(t, db) == 1800 })
			if what == "removed" {
				if out, _ := bouncelog(t, exitOK, "db", "info", "--db", db); !strings.Contains(out, "pseudonyms") {
					t.Errorf("the database that was made in its place:\n%s", out)
				}
			}
			p.Process.Signal(syscall.SIGTERM)
			p.end(t)
			contents(t, db)
			if n := strings.Count(p.said(), "was removed or replaced"); n != 1 {
				t.Errorf("said %d times:\n%s", n, p.said())
			}
		})
	}
}
