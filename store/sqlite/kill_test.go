package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/store/storetest"
)

const childEnv = "BOUNCELOG_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const killAttempts = 30_000

func killTraffic() *storetest.Traffic {
	t := storetest.NewTraffic(42)
	t.PerSecond = 2
	return t
}

// child stores the traffic in batches of random size, several per commit, starting at the position
// in the database.
func child(path string) error {
	ctx := context.Background()
	d, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	w, err := d.Write(ctx)
	if err != nil {
		return err
	}
	from, err := w.Resume(ctx)
	if err != nil {
		return err
	}
	sources := from.Sources
	stored := int64(0)
	if len(sources) > 0 {
		stored = sources[0].Offset
	}
	t := killTraffic()
	for n := int64(0); n < killAttempts; {
		b := t.Batch(min(20+rand.IntN(800), int(killAttempts-n)))
		n = b.Sources[0].Attempts
		if b.Sources[0].Offset <= stored {
			continue
		}
		if err := w.Append(ctx, b); err != nil {
			return err
		}
		if rand.IntN(3) == 0 || n >= killAttempts {
			if err := w.Commit(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.Close(), d.Close())
}

// TestKill kills a process that stores batches, at random moments, until all is stored. The
// database must then be the same as without kills. It kills 10 times, or as often as
// BOUNCELOG_KILLS says.
func TestKill(t *testing.T) {
	kills := 10
	if s := os.Getenv("BOUNCELOG_KILLS"); s != "" {
		var err error
		kills, err = strconv.Atoi(s)
		must(t, err)
	} else if testing.Short() {
		t.Skip("short")
	}
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	start := time.Now()
	undisturbed := dir + "/undisturbed.db"
	run := func(path string, limit time.Duration) (killed bool) {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == -1 {
			return true
		}
		must(t, err)
		return false
	}
	if run(undisturbed, time.Minute) {
		t.Fatal("the undisturbed run took too long")
	}
	whole := time.Since(start)
	want := open(t, undisturbed, Options{ReadOnly: true})
	wantDump, wantTotals := dump(t, want), totals(t, want)

	done := 0
	for round := 0; done < kills; round++ {
		path := fmt.Sprintf("%s/killed%d.db", dir, round)
		// About ten kills until all is stored.
		for done < kills && run(path, rand.N(whole/4)) {
			done++
		}
		for run(path, time.Minute) {
		}
		d := open(t, path, Options{ReadOnly: true})
		if diff := cmp.Diff(wantTotals, totals(t, d)); diff != "" {
			t.Errorf("Totals (-undisturbed +killed):\n%s", diff)
		}
		if diff := cmp.Diff(wantDump, dump(t, d)); diff != "" {
			t.Errorf("rows (-undisturbed +killed):\n%.3000s", diff)
		}
		sound(t, d)
		d.Close()
		if t.Failed() {
			break
		}
	}
	t.Logf("%d kills", done)
}
