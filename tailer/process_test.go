package tailer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What only a process of its own can show: kill -9, and another user.

func child(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "TAILER_TEST_CHILD="+mode)
	cmd.Stderr = os.Stderr
	return cmd
}

// A record is what killChild commits, by one write: lines and positions.
type record struct {
	Lines     []string
	Positions []Position
}

func killChild() {
	path, store := os.Args[1], os.Args[2]
	_, known := committed(store)
	out, err := os.OpenFile(store, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		panic(err)
	}
	var r record
	err = Follow(context.Background(), []string{path}, known, FollowOptions{
		Idle: func(int64) error {
			if len(r.Lines) == 0 {
				return nil
			}
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			r = record{}
			// The end of a write that was cut off is told by the next line end.
			_, err = out.Write(append(append([]byte{'\n'}, text...), '\n'))
			return err
		},
	}, func(c *Chunk) error {
		for _, line := range c.Lines() {
			r.Lines = append(r.Lines, string(line))
		}
		r.Positions = append(r.Positions, c.Position)
		return nil
	})
	panic(err)
}

// committed reads what killChild has committed.
func committed(store string) (lines []string, known []Position) {
	text, err := os.ReadFile(store)
	if err != nil {
		return nil, nil
	}
	last := map[string]Position{}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var r record
		if json.Unmarshal(sc.Bytes(), &r) != nil {
			continue
		}
		lines = append(lines, r.Lines...)
		for _, p := range r.Positions {
			last[p.ID] = p
		}
	}
	for _, p := range last {
		known = append(known, p)
	}
	return lines, known
}

func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	path, store := filepath.Join(dir, "mail.log"), filepath.Join(dir, "store")
	lines := numbered(1, 4000)
	done := make(chan error, 1)
	written := 0
	writer := func(n int) {
		for range n {
			appendTo(t, path, lines[written]+"\n")
			written++
			if written%7 == 0 {
				time.Sleep(100 * time.Microsecond) // so that it lasts longer than a kill
			}
		}
		done <- nil
	}
	for i := range 20 {
		cmd := child(t, "kill", path, store)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%4 == 3 { // rotated, with the oldest compressed
			for n := 8; n > 0; n-- {
				os.Rename(fmt.Sprintf("%s.%d.gz", path, n), fmt.Sprintf("%s.%d.gz", path, n+1))
			}
			if text, err := os.ReadFile(path + ".1"); err == nil {
				write(t, path+".2.gz", compressed(t, KindGzip, string(text)))
			}
			rename(t, path, path+".1")
		}
		go writer(200)
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	cmd := child(t, "kill", path, store)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var got []string
	for end := time.Now().Add(deadline); time.Now().Before(end) && len(got) < len(lines); time.Sleep(5 * time.Millisecond) {
		got, _ = committed(store)
	}
	sameLines(t, got, lines)
}

// permissionChild follows a log as a user who may not always read it.
func permissionChild() {
	if err := syscall.Setregid(65534, 65534); err != nil {
		panic(err)
	}
	if err := syscall.Setreuid(65534, 65534); err != nil {
		panic(err)
	}
	err := Follow(context.Background(), []string{os.Args[1]}, nil, FollowOptions{
		Event: func(e Event) { fmt.Println("event", e.Kind) },
	}, func(c *Chunk) error {
		for _, line := range c.Lines() {
			fmt.Println("line", string(line))
		}
		return nil
	})
	panic(err)
}

func TestPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	dir, err := os.MkdirTemp("", "tailer") // t.TempDir's parent is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	mode := func(path string, m os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	mode(dir, 0o755)
	path := filepath.Join(dir, "mail.log")
	write(t, path, "one\n")
	mode(path, 0)
	cmd := child(t, "permission", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	stuck := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	sc := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		for sc.Scan() {
			if sc.Text() == want {
				return
			}
		}
		t.Fatalf("%q does not come", want)
	}
	expect("event denied")
	mode(path, 0o644)
	expect("line one")
	// Lost while it is open: it goes on.
	mode(path, 0)
	appendTo(t, path, "two\n")
	expect("line two")
	// The next one cannot be opened, and is rotated away before it can.
	rename(t, path, path+".1")
	write(t, path, "")
	mode(path, 0)
	expect("event denied")
	appendTo(t, path, "three\n")
	rename(t, path, path+".2")
	write(t, path, "four\n")
	expect("line four")
	mode(path+".2", 0o644)
	expect("line three")
}
