package tailer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a compressed file may ask for, in bytes.
// xz -9 needs 64 MiB, zstd --ultra 128 MiB.
const maxWindow = 256 << 20

// kindOf returns how a file is stored, from its first bytes.
func kindOf(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b\x08")): // RFC 1952, section 2.3.1
		return KindGzip
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return KindXZ
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")): // RFC 8878, section 3.1.1
		return KindZstd
	case len(magic) >= magicLen && bytes.HasPrefix(magic, []byte("BZh")) &&
		(string(magic[4:]) == "1AY&SY" || string(magic[4:]) == "\x17\x72\x45\x38\x50\x90"):
		return KindBzip2
	case isUTF16(magic):
		return KindUTF16
	}
	return KindFile
}

// magicLen is the number of bytes that kindOf needs.
const magicLen = 10

// decompress returns the content of r. The kind is that of kindOf. Every kind continues after the
// end of a member, frame or stream with the next one.
func decompress(r *bufio.Reader, kind string) (io.Reader, func(), error) {
	nothing := func() {}
	switch kind {
	case KindGzip:
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case KindXZ:
		z, err := newXZReader(r)
		return z, nothing, err
	case KindZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nothing, err
		}
		return z, z.Close, nil
	case KindBzip2:
		return bzip2.NewReader(r), nothing, nil
	}
	return r, nothing, nil
}

// streamError returns the error of a compressed file in the words of this package.
func streamError(err error) error {
	var ioErr *inputError
	switch {
	case err == nil, errors.As(err, &ioErr), errors.Is(err, ErrMemory):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: %v", ErrMemory, err)
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return ErrTruncated
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, err)
}

// An input counts the bytes read and keeps the errors of the underlying reader apart from those of
// the decompressor.
type input struct {
	r     io.Reader
	count func(n int)
}

type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	if in.count != nil {
		in.count(n)
	}
	if err != nil && err != io.EOF {
		err = &inputError{err}
	}
	return n, err
}

// A stream reads whole lines of an input that can only be read in order: a compressed file, a pipe.
// A goroutine reads ahead.
type stream struct {
	kind string
	base int64  // length of leading NUL bytes and of a byte order mark
	head []byte // the content's first bytes, at most headMax

	r     io.Reader // all of the content, behind base
	free  func()
	early bool // pass on lines as they come, not only full blocks
	whole bool // a last line without end is none yet
	max   int

	decoded bool // from UTF-16

	reuse bool // a block may be overwritten when the one after it has been taken

	blocks chan block
	err    error // why blocks was closed; io.EOF at the end
	short  bool  // blocks was closed before the place where reading resumes
	cancel context.CancelFunc
	wake   func() // called after each block, and at the end; may be nil
}

// newStream reads the beginning of r. With early, lines are wanted as soon as they come: it waits
// for the first line only.
func newStream(ctx context.Context, r io.Reader, count func(int), early bool, maxLine int) (*stream, error) {
	in := bufio.NewReaderSize(&input{r: r, count: count}, 64<<10)
	magic, err := in.Peek(1)
	if len(magic) == 1 && strings.IndexByte("\x1f\xfd\x28B\xff\xfe", magic[0]) >= 0 {
		magic, err = in.Peek(magicLen)
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	s := &stream{kind: kindOf(magic), early: early, max: maxLine}
	z, free, err := decompress(in, s.kind)
	if err != nil {
		free()
		return nil, streamError(err)
	}
	s.free = free
	if s.kind != KindFile {
		z, s.decoded = decodeUTF16(z)
	}
	// The beginning: enough of it to tell which source this is.
	first := make([]byte, 0, 4*headMax)
	for {
		if err := ctx.Err(); err != nil {
			free()
			return nil, err
		}
		n, rerr := z.Read(first[len(first):cap(first)])
		first = first[:len(first)+n]
		if len(first) > 0 && first[0] == 0 {
			rest := bytes.TrimLeft(first, "\x00")
			s.base += int64(len(first) - len(rest))
			first = first[:copy(first, rest)]
		}
		if rerr != nil {
			z = &failed{rerr}
		}
		if rerr != nil || len(first) >= headMax || early && bytes.IndexByte(first, '\n') >= 0 {
			break
		}
	}
	if rest, marked := bytes.CutPrefix(first, byteOrderMark); marked {
		s.base += int64(len(byteOrderMark))
		first = rest
	}
	s.r = io.MultiReader(bytes.NewReader(first), z)
	s.head = bytes.Clone(first[:min(len(first), headMax)])
	return s, nil
}

// failed returns the error that ended reading.
type failed struct{ err error }

func (f *failed) Read([]byte) (int, error) { return 0, f.err }

// streamBufs is the number of buffers in turn: one block is in use, the others wait, the next is
// being read.
const streamBufs = 3

// aheadSize is how much is decompressed at a time, in bytes. Passing a block on and waking its
// receiver costs as much as reading a fair part of a block.
const aheadSize = 4 * blockSize

// start reads from off on. The bytes before it must end with tail, or next returns errReplaced.
// With open, the rest of a line is left out too.
func (s *stream) start(off int64, open bool, tail digest) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.blocks = make(chan block, 2)
	if s.reuse {
		s.blocks = make(chan block, streamBufs-2)
	}
	go func() {
		s.err = s.read(ctx, off, open, tail)
		close(s.blocks)
		if s.wake != nil {
			s.wake()
		}
	}()
}

// next returns the next whole lines, and io.EOF after the last.
func (s *stream) next(ctx context.Context) (block, error) {
	select {
	case b, ok := <-s.blocks:
		if ok {
			return b, nil
		}
		return block{}, s.err
	case <-ctx.Done():
		return block{}, ctx.Err()
	}
}

// poll is next without waiting; ready is false if nothing has come yet.
func (s *stream) poll() (b block, ready bool, err error) {
	select {
	case b, ok := <-s.blocks:
		if ok {
			return b, true, nil
		}
		return block{}, true, s.err
	default:
		return block{}, false, nil
	}
}

// stop ends reading. It waits for the goroutine only where that cannot block.
func (s *stream) stop() {
	if s.cancel == nil {
		s.free()
		return
	}
	s.cancel()
	go func() {
		for range s.blocks {
		}
		s.free()
	}()
}

// A passage is the way through the content of a stream.
type passage struct {
	base, pos int64  // of the first and the next byte
	head      []byte // the content's first bytes, at most headMax
	last      []byte // the last bytes before pos, at most tailMax
}

// move moves over p. The passage may keep a part of p: see own.
func (w *passage) move(p []byte) {
	w.pos += int64(len(p))
	if n := headMax - len(w.head); n > 0 && w.pos-w.base > int64(len(w.head)) {
		from := max(int64(len(w.head))-(w.pos-int64(len(p))-w.base), 0)
		w.head = append(w.head, p[from:min(int64(len(p)), from+int64(n))]...)
	}
	if len(p) >= tailMax {
		w.last = p[len(p)-tailMax:]
	} else {
		w.last = append(append(make([]byte, 0, 2*tailMax), w.last...), p...)
		w.last = w.last[max(0, len(w.last)-tailMax):]
	}
}

// own copies what the passage keeps, since the caller will write over it.
func (w *passage) own() { w.last = bytes.Clone(w.last) }

// endsWith reports whether the content up to here ends with a tail.
func (w *passage) endsWith(tail digest) bool {
	return len(w.last) >= tail.n && digestOf(w.last[len(w.last)-tail.n:]) == tail
}

// send passes on a block that ends here.
func (s *stream) send(ctx context.Context, w *passage, b block) error {
	b.head = w.head[:min(int64(len(w.head)), b.end()-w.base)]
	b.tail, b.size = digestOf(endOf(w.last)), -1
	select {
	case s.blocks <- b:
		if s.wake != nil {
			s.wake()
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// skip reads up to a place. The bytes before it must end with tail.
func (s *stream) skip(ctx context.Context, w *passage, start int64, tail digest) error {
	buf := make([]byte, blockSize)
	for w.pos < start {
		n, err := s.r.Read(buf[:min(int64(len(buf)), start-w.pos)])
		w.move(buf[:n])
		w.own()
		if err != nil && w.pos < start {
			if s.short = err == io.EOF; !s.short {
				err = streamError(err)
			}
			return err // a shorter copy of a known log
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if start > w.base && tail.n > 0 && !w.endsWith(tail) {
		return errReplaced
	}
	return nil
}

// fill reads until a buffer with n bytes is full, or, if lines are passed on early, holds a new end
// of a line. It returns the number of bytes in the buffer.
func (s *stream) fill(buf []byte, n int) (_ int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = s.r.Read(buf[n:])
		n += m
		if s.early && m > 0 && bytes.IndexByte(buf[n-m:n], '\n') >= 0 {
			break
		}
	}
	return n, err
}

func (s *stream) read(ctx context.Context, start int64, open bool, tail digest) error {
	w := &passage{base: s.base, pos: s.base, head: append(make([]byte, 0, headMax), s.head...)}
	if err := s.skip(ctx, w, start, tail); err != nil {
		return err
	}
	from := w.pos
	var carry []byte // read, but not a whole line yet
	size := min(blockSize, s.max)
	if s.reuse {
		size = min(aheadSize, s.max)
	}
	var bufs [streamBufs][]byte
	turn := 0
	for {
		want := max(size, min(2*len(carry), s.max))
		buf := bufs[turn]
		if buf = buf[:cap(buf)]; len(buf) < want {
			buf = make([]byte, want)
			if s.reuse {
				bufs[turn] = buf
			}
		}
		buf = buf[:want]
		n, err := s.fill(buf, copy(buf, carry))
		buf = buf[:n]
		if open {
			i := bytes.IndexByte(buf, '\n')
			if i < 0 {
				w.move(buf)
				w.own()
				buf = nil
			} else {
				w.move(buf[:i+1])
				w.own()
				buf, open = buf[i+1:], false
			}
		}
		i := bytes.LastIndexByte(buf, '\n') + 1
		b := block{from: from, off: w.pos, data: buf[:i:i], open: open}
		switch {
		case i == 0 && len(buf) >= s.max: // a line that is too long
			b.data, open, b.open = buf, true, true
			i = len(buf)
		case err == io.EOF && len(buf) > i && !s.whole: // the last line has no end
			if i > 0 {
				w.move(b.data)
				if err := s.send(ctx, w, b); err != nil {
					return err
				}
				b = block{from: w.pos, off: w.pos}
			}
			b.data, b.open = buf[i:], true
			i = len(buf)
		}
		if len(b.data) > 0 || err != nil && w.pos > from {
			w.move(b.data)
			if err := s.send(ctx, w, b); err != nil {
				return err
			}
			from = w.pos
			turn = (turn + 1) % streamBufs
		}
		carry = buf[i:]
		if err == io.EOF {
			return err
		}
		if err != nil {
			return streamError(err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
