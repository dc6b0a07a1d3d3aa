package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir+"/log.db", Options{})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(2000))
	want := totals(t, d)
	// The writer is in the middle of a batch.
	must(t, d.w.c.Exec("BEGIN IMMEDIATE; DELETE FROM delivery"))
	must(t, d.Backup(t.Context(), dir+"/copy.db"))
	must(t, d.w.c.Exec("ROLLBACK"))
	if err := d.Backup(t.Context(), dir+"/copy.db"); err == nil {
		t.Error("a backup was overwritten")
	}
	c := open(t, dir+"/copy.db", Options{ReadOnly: true})
	sound(t, c)
	if got := totals(t, c); got != want {
		t.Errorf("Totals of the backup = %+v, want %+v", got, want)
	}
	names, _ := filepath.Glob(dir + "/*.part*")
	if len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// TestRestore restores a copy over a database whose writer was killed, so that its write-ahead log
// is left.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	path, copied := dir+"/log.db", dir+"/copy.db"
	d := open(t, path, Options{})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(3000))
	must(t, d.Backup(t.Context(), copied))
	want := totals(t, d)
	must(t, d.Close())

	// A process that is killed leaves its log.
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir+"/killed.db")
	must(t, cmd.Start())
	for {
		if st, err := os.Stat(dir + "/killed.db-wal"); err == nil && st.Size() > 1<<20 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := Restore(t.Context(), dir+"/killed.db", copied); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("beside a process that writes: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	must(t, os.Chmod(dir+"/killed.db", 0o600))
	kept, err := Restore(t.Context(), dir+"/killed.db", copied)
	must(t, err)
	x := open(t, dir+"/killed.db", Options{})
	sound(t, x)
	if got := totals(t, x); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	storetest.Append(t, x, tr.Batch(1000))
	sound(t, x)
	must(t, x.Close())
	if st, err := os.Stat(dir + "/killed.db"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	// The old database is complete, too.
	x = open(t, kept, Options{})
	sound(t, x)
	must(t, x.Close())

	// The database may be missing, with a stray log.
	must(t, os.WriteFile(dir+"/new.db-wal", []byte("of another"), 0o600))
	kept, err = Restore(t.Context(), dir+"/new.db", copied)
	if err != nil || kept != "" {
		t.Errorf("%q, %v", kept, err)
	}
	x = open(t, dir+"/new.db", Options{})
	sound(t, x)
	if names, _ := filepath.Glob(copied + "?*"); names != nil {
		t.Errorf("beside the copy: %q", names)
	}
}
