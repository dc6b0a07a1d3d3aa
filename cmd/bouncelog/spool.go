package main

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// A spool writes to a pipe or a terminal and does not wait for a slow reader. A command has a read
// transaction open until it has printed its answer; if a pager kept it open, the daemon's write-ahead
// log could not be reset. Output that the reader does not take waits in memory, beyond spoolMemory in
// an unnamed file; beyond spoolFile the command waits. One goroutine writes to the spool; another,
// which the first Write starts, writes to the pipe. Before hold is called, Write writes to the pipe
// itself: a command without a database may wait.
//
// As long as the reader keeps up, Write waits for it, so that standard output and standard error stay
// in order.
type spool struct {
	to   *os.File
	held bool

	mu      sync.Mutex
	more    sync.Cond // there is something to hand on, or nothing more will come
	empty   chan struct{}
	memory  []byte   // the oldest of what waits
	file    *os.File // the rest, from taken to given
	given   int64
	taken   int64
	resting int // bytes that are being handed on
	slow    bool
	started bool
	closed  bool
	err     error
}

const (
	spoolMemory = 1 << 20
	spoolFile   = 1 << 30
	// spoolPatience is how long Write waits for a reader before it treats it as slow.
	spoolPatience = 500 * time.Millisecond
)

// spooled returns a spool for standard output if its reader may be slow, and a function that waits
// until everything is written or ctx ends.
func spooled(stdout io.Writer) (io.Writer, func(ctx context.Context) error) {
	f, ok := stdout.(*os.File)
	if ok {
		st, err := f.Stat()
		ok = err == nil && !st.Mode().IsRegular()
	}
	if !ok {
		return stdout, func(context.Context) error { return nil }
	}
	s := &spool{to: f, empty: make(chan struct{}, 1)}
	s.more.L = &s.mu
	return s, s.drain
}

// Fd returns the descriptor of the underlying file, for callers that ask whether it is a terminal.
func (s *spool) Fd() uintptr { return s.to.Fd() }

// hold starts spooling. Call it before the database is read.
func (s *spool) hold() { s.held = true }

func (s *spool) Stat() (os.FileInfo, error) { return s.to.Stat() }

func (s *spool) Write(p []byte) (int, error) {
	if !s.held {
		return s.to.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		go s.handOn()
	}
	if s.err == nil {
		s.err = s.put(p)
	}
	if s.err != nil {
		return 0, s.err
	}
	s.more.Signal()
	for s.given-s.taken > spoolFile && s.err == nil {
		s.mu.Unlock()
		<-s.empty
		s.mu.Lock()
	}
	if s.slow = s.slow && s.waiting(); s.slow {
		return len(p), s.err
	}
	late := time.NewTimer(spoolPatience)
	defer late.Stop()
	for s.waiting() && s.err == nil && !s.slow {
		s.mu.Unlock()
		select {
		case <-s.empty:
		case <-late.C:
			s.slow = true // no other goroutine looks at it
		}
		s.mu.Lock()
	}
	return len(p), s.err
}

// waiting reports whether anything has not been written yet.
func (s *spool) waiting() bool {
	return len(s.memory) > 0 || s.given > s.taken || s.resting > 0
}

func (s *spool) put(p []byte) error {
	if s.given == s.taken && len(s.memory)+len(p) <= spoolMemory {
		s.memory = append(s.memory, p...)
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "bouncelog")
		if err != nil {
			return err
		}
		os.Remove(f.Name())
		s.file = f
	}
	n, err := s.file.WriteAt(p, s.given)
	s.given += int64(n)
	return err
}

// handOn writes the spooled data in order, until no more will come.
func (s *spool) handOn() {
	var b []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		switch {
		case len(s.memory) > 0:
			b, s.memory = s.memory, b[:0]
		case s.given > s.taken:
			b = slices.Grow(b[:0], 64<<10)[:min(64<<10, s.given-s.taken)]
			if _, s.err = s.file.ReadAt(b, s.taken); s.err != nil {
				continue
			}
			if s.taken += int64(len(b)); s.taken == s.given {
				s.given, s.taken = 0, 0
				s.err = s.file.Truncate(0)
			}
		case s.closed:
			return
		default:
			s.more.Wait()
			continue
		}
		s.resting = len(b)
		s.mu.Unlock()
		_, err := s.to.Write(b)
		s.mu.Lock()
		s.resting = 0
		if s.err == nil {
			s.err = err
		}
		select {
		case s.empty <- struct{}{}:
		default:
		}
	}
}

// drain waits until everything has been written.
func (s *spool) drain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Signal()
	for s.waiting() && s.err == nil {
		s.mu.Unlock()
		select {
		case <-s.empty:
		case <-ctx.Done():
			s.mu.Lock()
			return ctx.Err()
		}
		s.mu.Lock()
	}
	if s.file != nil {
		s.file.Close()
	}
	return s.err
}
