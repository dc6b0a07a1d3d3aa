package tailer

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// An endless reader yields one byte for ever, as /dev/zero does.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// sparse makes a file of two texts with a hole of a terabyte between them.
func sparse(t *testing.T, path, before, behind string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const hole = 1 << 40
	if _, err := f.WriteString(before); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(behind), int64(len(before))+hole); err != nil {
		t.Skipf("no file of a terabyte here: %v", err)
	}
}

// interrupted reads path once and ends the context while that goes on. Read must
// return at once, with the context's error.
func interrupted(t *testing.T, stdin io.Reader, path string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Read(ctx, []string{path}, nil, ReadOptions{Stdin: stdin}, func(*Chunk) error { return nil })
	}()
	select {
	case err := <-done:
		t.Fatalf("ended by itself: %v", err)
	case <-time.After(20 * time.Millisecond): // it is at work, or about to be: both must end
	}
	cancel()
	select {
	case err := <-done:
		if err != context.Canceled {
			t.Errorf("error %v, want that of the context", err)
		}
	case <-time.After(deadline):
		t.Fatal("does not end")
	}
}

// What is waited for, or never ends, does not keep Read from ending.
func TestReadInterrupted(t *testing.T) {
	pipe := func(t *testing.T, text string) io.Reader {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close(); r.Close() })
		io.WriteString(w, text)
		return r
	}
	t.Run("idle pipe", func(t *testing.T) { interrupted(t, pipe(t, ""), "-") })
	t.Run("idle pipe behind a line", func(t *testing.T) { interrupted(t, pipe(t, "one\n"), "-") })
	t.Run("idle pipe behind half a line", func(t *testing.T) { interrupted(t, pipe(t, "one\ntw"), "-") })
	t.Run("endless line", func(t *testing.T) { interrupted(t, endless('x'), "-") })
	t.Run("endless NUL", func(t *testing.T) { interrupted(t, endless(0), "-") })
	t.Run("device", func(t *testing.T) { interrupted(t, nil, "/dev/zero") })
	t.Run("compressed NUL", func(t *testing.T) {
		r, w := io.Pipe()
		defer r.Close()
		go func() {
			z := gzip.NewWriter(w)
			io.Copy(z, endless(0))
		}()
		interrupted(t, r, "-")
	})
	t.Run("named pipe without a writer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
		interrupted(t, nil, path)
		if w, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			w.Close() // lets the open end that was given up
		}
	})
	t.Run("hole within a line", func(t *testing.T) {
		path := newLog(t)
		sparse(t, path, "one\ntw", "o\n")
		interrupted(t, nil, path)
	})
}

func TestFollowInterrupted(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		sparse(t, path, "one\ntw", "o\n")
		f := follow(t, nil, o, path)
		f.until("the first line", func() bool { return len(f.lines) > 0 && f.lines[0] == "one" })
		f.stop() // the next one, cut, may have come, too
	})
}

// A hole at the beginning is skipped, not read.
func TestLargeHole(t *testing.T) {
	path := newLog(t)
	sparse(t, path, "", "one\ntwo\n")
	got, pos := mustRead(t, nil, path)
	sameLines(t, got, []string{"one", "two"})
	appendTo(t, path, "three\n")
	f := follow(t, pos, FollowOptions{}, path)
	f.want("three")
	f.stop("three")
	// A hole up to the end: there is nothing yet.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if got, _ := mustRead(t, nil, path); len(got) > 0 {
		t.Errorf("got %d lines", len(got))
	}
}
