package sqlite

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

const claimEnv = "BOUNCELOG_TEST_CLAIM"

// TestClaim checks that only one process at a time can claim a database, under any of its names,
// and that a killed process does not keep its claim.
func TestClaim(t *testing.T) {
	if path := os.Getenv(claimEnv); path != "" { // the other process
		if _, err := TakeClaim(path); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("claimed\n")
		select {}
	}
	dir := t.TempDir()
	path, link := filepath.Join(dir, "test.db"), filepath.Join(dir, "link.db")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestClaim$")
	cmd.Env = append(os.Environ(), claimEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "claimed\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for _, name := range []string{path, link} {
		_, err := TakeClaim(name)
		if !errors.Is(err, store.ErrFollowed) || !strings.Contains(err.Error(), "process "+strconv.Itoa(cmd.Process.Pid)) {
			t.Errorf("%s: beside another: %v", name, err)
		}
	}
	if c, err := TakeClaim(filepath.Join(dir, "other.db")); err != nil {
		t.Errorf("another database: %v", err)
	} else if err := c.Release(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	c, err := TakeClaim(path)
	if err != nil {
		t.Fatalf("after one that was killed: %v", err)
	}
	if _, err := TakeClaim(path); !errors.Is(err, store.ErrFollowed) {
		t.Errorf("twice: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
	if c, err = TakeClaim(path); err != nil {
		t.Fatalf("after it was released: %v", err)
	}
	c.Release()
}

// TestStrangersLog opens a database whose write-ahead log is written by a process that has another
// file open.
func TestStrangersLog(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("no /proc/locks")
	}
	dir := t.TempDir()
	path, other := dir+"/log.db", dir+"/other.db"
	x := open(t, other, Options{})
	storetest.Append(t, x, storetest.NewTraffic(2).Batch(3000))
	want := totals(t, x)
	must(t, x.Close())
	d := open(t, path, Options{})
	storetest.Append(t, d, storetest.NewTraffic(1).Batch(3000))
	must(t, os.Rename(other, path))
	for _, o := range []Options{{}, {ReadOnly: true}} {
		if x, err := Open(t.Context(), path, o); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "was here before") {
			t.Errorf("%+v: %v", o, err)
			if x != nil {
				x.Close()
			}
		}
	}
	must(t, d.Close()) // it has noticed the replacement
	x = open(t, path, Options{})
	sound(t, x)
	if got := totals(t, x); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
