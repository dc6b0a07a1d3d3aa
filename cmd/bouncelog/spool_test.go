package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// TestSpool writes much more than a pipe takes to a reader that rests, then lets it read.
func TestSpool(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w, drain := spooled(to)
	w.(*spool).hold()
	var want bytes.Buffer
	write := func(from, to int) {
		for i := from; i < to; i++ {
			line := fmt.Appendf(nil, "%d %0100d\n", i, i*i)
			want.Write(line)
			if n, err := w.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	write(0, 50_000)
	s := w.(*spool)
	s.mu.Lock() // the pipe takes what it can meanwhile
	memory, file := int64(len(s.memory)), s.given-s.taken
	s.mu.Unlock()
	if memory > spoolMemory || file < 2<<20 {
		t.Errorf("%d bytes wait in memory, %d in the file", memory, file)
	}
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(from)
		got <- b
	}()
	write(50_000, 60_000)
	if err := errors.Join(drain(t.Context()), to.Close()); err != nil {
		t.Error(err)
	}
	if b := <-got; !bytes.Equal(b, want.Bytes()) {
		t.Errorf("%d bytes came, %d were written, or they differ", len(b), want.Len())
	}
}

// TestSpoolInterrupted ends the wait for a reader that never reads.
func TestSpoolInterrupted(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	w, drain := spooled(to)
	w.(*spool).hold()
	if _, err := w.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := drain(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSpoolBroken tells the writer that nobody reads any more.
func TestSpoolBroken(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from.Close()
	w, drain := spooled(to)
	w.(*spool).hold()
	if _, err := w.Write([]byte("x")); err == nil {
		err = drain(t.Context())
		if err == nil {
			t.Error("no error")
		}
	}
}

// TestSpoolPlain leaves alone what is no pipe.
func TestSpoolPlain(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{f, new(bytes.Buffer)} {
		if got, _ := spooled(w); got != w {
			t.Errorf("%T is spooled", w)
		}
	}
}
