package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
	"bouncelog/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// TestOthersWrite lets another process store batches between the commits of a Writer, then appends
// a batch that does not fit. The Writer must clear its cached dictionaries and lose nothing that
// was committed.
func TestOthersWrite(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d, other, alone := open(t, path, Options{}), open(t, path, Options{}), open(t, t.TempDir()+"/alone.db", Options{})
	tr, others := storetest.NewTraffic(1), storetest.NewTraffic(2)
	others.Source = "another"
	w, err := d.Write(t.Context())
	must(t, err)
	for range 4 {
		b, theirs := tr.Batch(100), others.Batch(100)
		must(t, w.Append(t.Context(), b))
		must(t, w.Commit(t.Context()))
		storetest.Append(t, other, theirs)
		storetest.Append(t, alone, b, theirs)
	}
	must(t, w.Close())
	if diff := cmp.Diff(totals(t, alone), totals(t, d)); diff != "" {
		t.Errorf("Totals (-undisturbed +others):\n%s", diff)
	}
	sound(t, d)

	before := totals(t, d)
	pages, err := d.w.c.Number("PRAGMA page_count")
	must(t, err)
	must(t, d.w.c.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+4)))
	b := tr.Batch(3000)
	if err := storetest.Put(t.Context(), d, b); !errors.Is(err, store.ErrFull) {
		t.Errorf("error = %v, want ErrFull", err)
	}
	if got := totals(t, d); got != before {
		t.Errorf("Totals = %+v, want %+v", got, before)
	}
	must(t, d.w.c.Exec("PRAGMA max_page_count = 1000000"))
	storetest.Append(t, d, b)
	sound(t, d)
}

// TestTwoWriters checks that an import and the daemon may write side by side: each of two open
// databases stores what the other has not stored.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	one, two := open(t, path, Options{}), open(t, path, Options{})
	for i := range 20 {
		db, source := one, "daemon"
		if i%2 == 1 {
			db, source = two, "import"
		}
		b := &store.Batch{Sources: []store.Source{{ID: source, Path: source, Offset: int64(i+1) * 1000, Lines: 1, Delivery: 1, Attempts: 1}}}
		b.Attempts = append(b.Attempts, store.Attempt{
			Delivery: bounce.Delivery{
				Source: source, Offset: int64(i) * 1000, Time: time.Unix(1_790_000_000+int64(i), 0), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix",
				Agent: "smtp", QueueID: fmt.Sprintf("A%09d", i), Recipient: fmt.Sprintf("u%d@d%d.example", i, i), RecipientDomain: fmt.Sprintf("d%d.example", i),
				RelayHost: fmt.Sprintf("mx.d%d.example", i), Status: "bounced", Outcome: bounce.Hard, Code: 550, Response: fmt.Sprintf("550 refusal of the kind %c", 'a'+i), Delay: 1,
			},
			Verdict: bounce.Verdict{Reason: bounce.Policy, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.CodeOnly},
		})
		storetest.Append(t, db, b)
	}
	problems, err := one.Check(t.Context())
	must(t, err)
	if len(problems) > 0 {
		t.Fatalf("the check finds %q", problems)
	}
	groups := countBy(t, two, store.ByDomain)
	if len(groups) != 20 {
		t.Errorf("%d domains are stored, want 20", len(groups))
	}
}

// TestFull fills a small file system.
func TestFull(t *testing.T) {
	dir := t.TempDir() + "/small"
	must(t, os.Mkdir(dir, 0o755))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a tmpfs (%v): run as root", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	d := open(t, dir+"/log.db", Options{})
	defer d.Close()
	tr := storetest.NewTraffic(1)
	for range 100 {
		before := totals(t, d)
		b := tr.Batch(500)
		err := storetest.Put(t.Context(), d, b)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("Append = %v, want ErrFull", err)
		}
		if got := totals(t, d); got != before {
			t.Errorf("Totals = %+v, want %+v as before", got, before)
		}
		sound(t, d)
		// With space available again, the same batch is stored.
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"))
		storetest.Append(t, d, b)
		sound(t, d)
		return
	}
	t.Fatal("the file system never was full")
}

func TestLocked(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{BusyTimeout: 30 * time.Millisecond})
	tr := storetest.NewTraffic(1)
	storetest.Append(t, d, tr.Batch(100))
	before := totals(t, d)
	other, err := sqlite3.Open("file:" + path)
	must(t, err)
	defer other.Close()
	must(t, other.Exec("BEGIN IMMEDIATE"))
	b := tr.Batch(100)
	for range 2 {
		if err := storetest.Put(t.Context(), d, b); !errors.Is(err, store.ErrLocked) {
			t.Fatalf("Append = %v, want ErrLocked", err)
		}
	}
	// Readers are not affected.
	if got := totals(t, d); got != before {
		t.Errorf("Totals = %+v, want %+v", got, before)
	}
	must(t, other.Exec("ROLLBACK"))
	storetest.Append(t, d, b)
	if got := totals(t, d); got.Attempts <= before.Attempts {
		t.Errorf("%d attempts, want more than %d", got.Attempts, before.Attempts)
	}
	sound(t, d)
}
