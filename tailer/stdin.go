package tailer

import "io"

// A stdinFeed follows standard input.
type stdinFeed struct {
	f     *follower
	ready chan *stream // opened, with its beginning read
	err   error        // why ready was closed
	s     *stream
	entry *entry
	src   *Source
	ended bool
}

func newStdinFeed(f *follower) *stdinFeed {
	in := &stdinFeed{f: f, ready: make(chan *stream, 1), src: &Source{Path: "-", Kind: KindStdin}}
	stdin, maxLine := f.o.Stdin, f.maxLine
	go func() {
		s, err := newStream(f.ctx, stdin, nil, true, maxLine)
		if err != nil {
			in.err = err
			close(in.ready)
		} else {
			s.wake = f.wakeUp
			in.ready <- s
		}
		f.wakeUp()
	}()
	return in
}

func (in *stdinFeed) step() (busy bool, err error) {
	if in.ended {
		return false, nil
	}
	if in.s == nil {
		select {
		case s, ok := <-in.ready:
			if !ok {
				in.ended = true
				return false, &PathError{Path: "-", Err: in.err}
			}
			in.open(s)
		default:
			return false, nil
		}
	}
	for range 8 {
		b, ready, err := in.s.poll()
		switch {
		case !ready:
			return false, nil
		case err == io.EOF:
			in.ended = true
			return true, nil
		case err == errReplaced:
			in.ended = true
			return false, &PathError{Path: "-", Err: ErrDiffers}
		case err != nil:
			in.ended = true
			return false, &PathError{Path: "-", Err: err}
		}
		if err := in.f.deliver(in.entry, in.src, b, -1); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (in *stdinFeed) open(s *stream) {
	in.s = s
	if len(s.head) == 0 {
		s.start(s.base, false, digest{})
		return
	}
	in.entry = in.f.sources.find(s.base, s.head, func(int64, int) []byte { return nil }, nil)
	if in.entry == nil {
		in.entry = in.f.sources.add(s.base, s.head, "-")
	}
	s.start(in.entry.offset, in.entry.open, in.entry.tail)
}

func (in *stdinFeed) done() bool { return in.ended }

func (in *stdinFeed) close() {
	if in.s != nil {
		in.s.stop()
	}
}
