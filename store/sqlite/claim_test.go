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
