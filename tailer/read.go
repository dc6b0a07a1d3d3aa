package tailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// ReadOptions are the options of Read. The zero value is usable.
type ReadOptions struct {
	Stdin    io.Reader               // what "-" reads; nil: os.Stdin
	MaxLine  int                     // longer lines are cut, in bytes; 0: DefaultMaxLine
	Progress func(read, total int64) // of the bytes as they are stored; total counts regular files. Called from this goroutine
	Event    func(Event)             // what an admin may want to know
}

// Read reads each path once, from where known says it was left, and hands
// whole lines to emit, the oldest rotation of each log first. A file may be
// compressed by gzip, xz, zstd or bzip2, recognised by its first bytes, not by
// its name; "-" is standard input.
//
// Content that is already known yields nothing, whatever name it has.
//
// The end of a file ends its last line: the bytes behind the last "\n" are handed
// out as a line, and its position remembers that it had no end. When
// the file has grown since, the next Read or Follow skips what follows up to
// the next "\n", since that belongs to the line already emitted. A
// compressed file that is cut short is different: what follows its last "\n" is
// left for when the whole file is there.
//
// What cannot be read is left out: the errors, each a *PathError, come joined at
// the end. An error of emit or of ctx ends Read at once.
func Read(ctx context.Context, paths []string, known []Position, o ReadOptions, emit func(*Chunk) error) error {
	l, err := newSourceSet(known)
	if err != nil {
		return err
	}
	r := &reader{ctx: ctx, sources: l, maxLine: o.MaxLine, event: o.Event, emit: emit}
	r.defaults()
	paths = inOrder(paths)
	var total, done int64
	for _, path := range paths {
		if fi, err := os.Stat(path); path != "-" && err == nil && fi.Mode().IsRegular() {
			total += fi.Size()
		}
	}
	if o.Progress != nil {
		r.progress = func(n int64) {
			done += n
			o.Progress(done, max(done, total))
		}
		o.Progress(0, total)
	}
	var errs []error
	for _, path := range paths {
		var err error
		if path == "-" {
			stdin := o.Stdin
			if stdin == nil {
				stdin = os.Stdin
			}
			err = r.readStream(&Source{Path: "-", Kind: KindStdin}, stdin)
		} else {
			err = r.readPath(path)
		}
		var pe *PathError
		switch {
		case err == nil:
		case errors.As(err, &pe) && ctx.Err() != nil:
			return ctx.Err() // it could not be read because of that
		case errors.As(err, &pe):
			errs = append(errs, pe)
		default:
			return err
		}
	}
	return errors.Join(errs...)
}

// A reader is the common part of Read and Follow: the known sources, and the
// function that emits their lines.
type reader struct {
	ctx      context.Context // of the one call of Read or Follow that it serves
	live     bool            // it serves Follow
	sources  *sourceSet
	maxLine  int
	event    func(Event)
	progress func(n int64) // called with bytes read from files
	emit     func(*Chunk) error
	emitted  int64 // chunks
}

func (r *reader) defaults() {
	if r.maxLine <= 0 {
		r.maxLine = DefaultMaxLine
	}
	if r.event == nil {
		r.event = func(Event) {}
	}
	if r.progress == nil {
		r.progress = func(int64) {}
	}
}

// deliver emits the part of b that is not known yet.
func (r *reader) deliver(e *entry, src *Source, b block, behind int64) error {
	if b.end() <= e.offset {
		return nil
	}
	if b.off < e.offset { // another file with the same content was ahead
		b.data = b.data[e.offset-b.off:]
		b.off = e.offset
	}
	e.offset, e.open, e.path = b.end(), b.open, src.Path
	e.setHead(b.head)
	e.tail = b.tail
	e.addLines(b.data)
	if len(b.data) == 0 { // only the rest of a line was skipped
		return nil
	}
	if len(b.data) >= r.maxLine && b.open {
		r.event(Event{Kind: EventCut, Path: src.Path, ID: e.id, Offset: b.off, Text: fmt.Sprintf(
			"the line at byte %d is longer than %d bytes: what it holds behind them is not read", b.off, r.maxLine)})
	}
	r.emitted++
	src.ID = e.id
	return r.emit(&Chunk{Source: src, Offset: b.off, Data: b.data, Position: e.position(), Behind: behind})
}

// readPath reads a file to its end.
func (r *reader) readPath(path string) error {
	fi, err := os.Stat(path)
	if err == nil && fi.IsDir() {
		err = ErrDirectory
	}
	if err != nil {
		return &PathError{Path: path, Err: bare(err)}
	}
	f, err := r.open(path, fi)
	if err != nil {
		return &PathError{Path: path, Err: bare(err)}
	}
	defer f.Close()
	src := &Source{Path: path, Kind: KindFile, Modified: fi.ModTime(), Size: fi.Size()}
	if !fi.Mode().IsRegular() {
		src.Modified, src.Size = time.Time{}, 0
		return r.readStream(src, f)
	}
	magic := make([]byte, magicLen)
	n, err := f.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return &PathError{Path: path, Err: bare(err)}
	}
	if src.Kind = kindOf(magic[:n]); src.Kind != KindFile {
		return r.readCompressed(src, f)
	}
	return r.readPlain(src, f)
}

// open opens the file at path, which fi describes. Opening a named pipe waits for its writer.
func (r *reader) open(path string, fi os.FileInfo) (*os.File, error) {
	if fi.Mode()&os.ModeNamedPipe == 0 {
		return os.Open(path)
	}
	return await(r.ctx, func() (*os.File, error) { return os.Open(path) }, func(f *os.File) { f.Close() })
}

// await returns the result of get, or the error of ctx if that ends before. get then continues
// alone and its result is dropped.
func await[T any](ctx context.Context, get func() (T, error), drop func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := get()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				drop(r.v)
			}
		}()
		var none T
		return none, ctx.Err()
	}
}

// bare returns the cause of an *fs.PathError, since *PathError names the path itself.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// openPlain finds the source of f and returns a reader at its position. It returns nils if there is
// nothing to read yet. With lenient, a line without an end counts as one.
func (r *reader) openPlain(f *os.File, path string, lenient bool) (*entry, *blockReader, error) {
	base, head, err := readHead(r.ctx, f, 0)
	if err != nil {
		return nil, nil, err
	}
	return r.placePlain(f, path, base, head, lenient)
}

// placePlain is openPlain for a file whose beginning has been read already.
func (r *reader) placePlain(f *os.File, path string, base int64, head []byte, lenient bool) (*entry, *blockReader, error) {
	if _, whole := firstLine(head); len(head) == 0 || !whole && !lenient {
		return nil, nil, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	e := r.sources.find(base, head, func(off int64, n int) []byte {
		tail := make([]byte, n)
		if _, err := f.ReadAt(tail, off-int64(n)); err != nil {
			return nil
		}
		return tail
	}, nil)
	if e == nil || fi.Size() < e.offset {
		if was := r.edited(f, path, base, head, e); was != nil {
			e = was
		}
	}
	if err := r.ctx.Err(); err != nil {
		return nil, nil, err
	}
	if e == nil {
		altered := r.sources.ids[baseID(head)]
		e = r.sources.add(base, head, path)
		if altered {
			r.event(Event{Kind: EventDiffers, Path: path, ID: e.id, Text: "begins like a known file but differs from it; it is read from its beginning"})
		}
	}
	return e, newBlockReader(f, base, head, e, r.maxLine), nil
}

func (r *reader) readPlain(src *Source, f *os.File) error {
	e, p, err := r.openPlain(f, src.Path, true)
	if err != nil {
		return &PathError{Path: src.Path, Err: bare(err)}
	}
	if e == nil {
		r.progress(src.Size)
		return nil
	}
	r.progress(min(p.off, src.Size))
	offset, headLen := p.off, int64(len(p.head))
	for b, err := range p.blocks() {
		if err == errReplaced {
			// A file that begins like p's head and is shorter than what is
			// known of it is a shorter copy.
			if fi, err := f.Stat(); err == nil && fi.Size() < e.offset && fi.Size() >= headLen {
				r.shorter(src, e)
				return nil
			}
			err = ErrReplaced
		}
		if err == errNone {
			return nil
		}
		if err != nil {
			return &PathError{Path: src.Path, Offset: offset, Err: bare(err)}
		}
		offset = b.end()
		r.progress(b.end() - b.from)
		if err := r.deliver(e, src, b, max(0, b.size-b.end())); err != nil {
			return err
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// shorter reports that nothing of a file is read. That it is a copy follows from its first
// bytes alone: logs that begin with the same long text look like that too.
func (r *reader) shorter(src *Source, e *entry) {
	r.event(Event{Kind: EventCopy, Path: src.Path, ID: e.id, Text: fmt.Sprintf(
		"begins with the same %d bytes as a longer log that was read, and is taken for a copy of its beginning: nothing of it is read", e.head.n)})
}

// readCompressed reads a compressed file to its end.
func (r *reader) readCompressed(src *Source, f *os.File) error {
	not := map[*entry]bool{}
	var count, told atomic.Int64 // bytes read in all attempts
	for {
		count.Store(0)
		s, err := newStream(r.ctx, io.NewSectionReader(f, 0, 1<<62), func(n int) { count.Add(int64(n)) }, false, r.maxLine)
		if err != nil {
			return &PathError{Path: src.Path, Err: bare(err)}
		}
		again, err := r.drainStream(src, s, not, func() {
			if n := count.Load(); n > told.Load() {
				r.progress(n - told.Swap(n))
			}
		})
		s.stop()
		if err != nil || again == nil {
			return err
		}
		not[again] = true
	}
}

func (r *reader) readStream(src *Source, in io.Reader) error {
	s, err := await(r.ctx, func() (*stream, error) { return newStream(r.ctx, in, nil, false, r.maxLine) }, (*stream).stop)
	if err != nil {
		return &PathError{Path: src.Path, Err: bare(err)}
	}
	defer s.stop()
	again, err := r.drainStream(src, s, nil, func() {})
	if again != nil {
		err = &PathError{Path: src.Path, Err: ErrDiffers}
	}
	return err
}

// drainStream emits the lines of s. If s turns out to be another source than its beginning
// suggests, that source is returned and must be read again.
func (r *reader) drainStream(src *Source, s *stream, not map[*entry]bool, progress func()) (again *entry, err error) {
	if len(s.head) == 0 {
		s.start(s.base, false, digest{})
		if _, err := s.next(r.ctx); err != io.EOF {
			return nil, &PathError{Path: src.Path, Err: bare(err)}
		}
		return nil, nil
	}
	e := r.sources.find(s.base, s.head, func(int64, int) []byte { return nil }, not)
	if e == nil {
		e = r.sources.add(s.base, s.head, src.Path)
	}
	s.reuse = !s.early
	s.start(e.offset, e.open, e.tail)
	for {
		b, err := s.next(r.ctx)
		progress()
		switch {
		case err == io.EOF:
			if s.short {
				r.shorter(src, e)
			}
			return nil, nil
		case err == errReplaced:
			return e, nil
		case err != nil:
			return nil, &PathError{Path: src.Path, Offset: e.offset, Err: bare(err)}
		}
		for piece := range b.pieces(s.base) {
			if err := r.deliver(e, src, piece, -1); err != nil {
				return nil, err
			}
			if err := r.ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
}
