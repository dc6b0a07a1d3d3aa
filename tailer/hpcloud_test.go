//go:build linux

package tailer

import (
	"os"
	"strings"
	"testing"
	"time"
)

// newTestReadAhead returns a readAhead over path, from its end on, that is not running.
func newTestReadAhead(t *testing.T, path string) *readAhead {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if !libraryWorks(f) {
		t.Skip("the following library cannot be used here")
	}
	_, head, err := readHead(t.Context(), f, 0)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return &readAhead{
		blockReader: blockReader{f: f, head: head, off: fi.Size(), max: DefaultMaxLine},
		path:        path, wake: func() {}, out: make(chan block, 1000), quit: make(chan struct{}),
	}
}

// The library itself brings lines, and comes back when it should.
func TestLibrary(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	p := newTestReadAhead(t, path)
	type ended struct{ ok, stalled bool }
	done := make(chan ended, 1)
	run := func() {
		ok, stalled := p.followLibrary()
		done <- ended{ok, stalled}
	}
	end := func(want ended) {
		t.Helper()
		select {
		case got := <-done:
			if got != want {
				t.Fatalf("ended with %+v, want %+v", got, want)
			}
		case <-time.After(deadline):
			t.Fatal("the library is not left")
		}
	}
	go run()
	var got string
	lines := numbered(1, 300)
	for i := range 30 {
		appendTo(t, path, join(lines[i*10:i*10+10]))
		for len(got) < len(join(lines[:i*10+10])) {
			select {
			case b := <-p.out:
				if b.off != int64(len("one\n")+len(got)) {
					t.Fatalf("block at %d, want %d", b.off, len("one\n")+len(got))
				}
				got += string(b.data)
			case <-time.After(deadline):
				t.Fatal("no lines")
			}
		}
	}
	if got != join(lines) {
		t.Fatal("lines differ")
	}
	// Truncated: reading by blocks has to find out.
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	end(ended{ok: true})
	if _, err := p.next(); err != errReplaced {
		t.Errorf("next after truncation: %v", err)
	}
	// Much at once, with no line end: not for the library.
	write(t, path, "one\n")
	p = newTestReadAhead(t, path)
	go run()
	appendTo(t, path, strings.Repeat("x", 2*libraryMax))
	end(ended{ok: true})
	// Told to stop, with lines on their way.
	write(t, path, "one\n")
	p = newTestReadAhead(t, path)
	go run()
	appendTo(t, path, join(lines))
	close(p.quit)
	end(ended{})
}

// Whatever the library says, only what stands in the file counts.
func TestCheck(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	p := newTestReadAhead(t, path)
	appendTo(t, path, "two\nthree\n")
	for _, said := range []string{"tw\n", "twO\n", "two\nthree\nfour\n", "three\n"} {
		if _, err := p.check([]byte(said)); err != errReplaced {
			t.Errorf("check(%q): %v, want errReplaced", said, err)
		}
	}
	b, err := p.check([]byte("two\n"))
	if err != nil || string(b.data) != "two\n" || b.off != 4 {
		t.Errorf("check: %+v, %v", b, err)
	}
	// The same bytes in another file.
	write(t, path, "ONE\ntwo\nthree\n")
	if _, err := p.check([]byte("three\n")); err != errReplaced {
		t.Errorf("check after the file was written again: %v", err)
	}
}

// A log for which the library has no room is waited on without it.
func TestLibraryIsFull(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	p := newTestReadAhead(t, path)
	p.poll, p.done, p.room = time.Millisecond, make(chan struct{}), make(chan struct{}, 1)
	p.library = make(chan struct{}, 1)
	p.library <- struct{}{}
	go p.run()
	for _, line := range []string{"two\n", "three\n"} {
		appendTo(t, path, line)
		select {
		case b := <-p.out:
			if string(b.data) != line {
				t.Errorf("got %q", b.data)
			}
		case <-time.After(deadline):
			t.Fatal("no line")
		}
	}
	p.stop()
	if len(p.library) != 1 {
		t.Error("gave back what it did not take")
	}
}
