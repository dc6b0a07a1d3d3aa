package tailer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"
)

// A block is a number of whole lines that a reader passes on.
type block struct {
	from int64  // where reading began; less than off where the rest of a cut line was skipped
	off  int64  // of data[0]
	data []byte // empty where something was only skipped
	open bool   // the last line has no "\n": it was cut, or its file ends so
	head []byte // the first bytes of the content, at most headMax, none behind this block
	tail digest // of what endOf gives of the content up to the end of data
	size int64  // of the file, -1 where unknown

	event *Event // to be reported with it
}

func (b *block) end() int64 { return b.off + int64(len(b.data)) }

// cut removes about blockSize of whole lines from the front of b and returns them. It returns false
// if b is no longer than that: b itself is then the last piece.
func (b *block) cut(base int64) (front block, ok bool) {
	if len(b.data) <= blockSize+blockSize/2 {
		return block{}, false
	}
	i := bytes.LastIndexByte(b.data[:blockSize], '\n') + 1
	if i < tailMax {
		return block{}, false // a line that is longer than a block
	}
	front = *b
	front.data, front.open = b.data[:i:i], false
	front.tail = digestOf(endOf(front.data))
	front.head = b.head[:min(int64(len(b.head)), front.end()-base)]
	b.from, b.off, b.data, b.event = front.end(), front.end(), b.data[i:], nil
	return front, true
}

// pieces splits b into pieces of about blockSize.
func (b *block) pieces(base int64) iter.Seq[block] {
	return func(yield func(block) bool) {
		for {
			front, more := b.cut(base)
			if !more {
				yield(*b)
				return
			}
			if !yield(front) {
				return
			}
		}
	}
}

var (
	errNone     = errors.New("no whole line there")             // blockReader.next: nothing to read now
	errReplaced = errors.New("content is not that read before") // the file was truncated or rewritten
)

// A blockReader reads whole lines of an open regular file, from a position on, and
// proves that they are there: after each read the file must still begin with
// the bytes it began with, have the last bytes that were read before where they
// were, and reach behind the bytes read. A file that was truncated and written again begins
// differently; an edited one has other bytes there.
//
// Reading is by position (pread): a blockReader shares its descriptor with anybody.
type blockReader struct {
	f    *os.File
	base int64  // length of the leading hole
	head []byte // the content's first bytes, at most headMax
	off  int64  // first unread byte
	tail digest // of the bytes before it
	open bool   // off is within a line that was already emitted
	max  int    // longest line

	idleSize int64 // size and time at which no whole line followed off
	idleTime time.Time

	reuse bool // each block may overwrite the one before
	buf   []byte
}

// newBlockReader reads f on from where e was left. head is what the content begins with,
// behind base.
func newBlockReader(f *os.File, base int64, head []byte, e *entry, maxLine int) *blockReader {
	return &blockReader{f: f, base: base, head: head, off: e.offset, tail: e.tail, open: e.open, max: maxLine}
}

// buffer returns a buffer for n bytes.
func (p *blockReader) buffer(n int64) []byte {
	if !p.reuse {
		return make([]byte, n)
	}
	if n > int64(cap(p.buf)) {
		p.buf = make([]byte, n)
	}
	return p.buf[:n]
}

// blocks yields the lines up to the end of the file. The next block overwrites a block, so that the
// processor's caches still hold it while it is used. The last value is an error: errNone at the
// end.
func (p *blockReader) blocks() iter.Seq2[block, error] {
	p.reuse = true
	return func(yield func(block, error) bool) {
		for {
			b, err := p.next()
			if err == errNone {
				b, err = p.rest()
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// next returns the next whole lines, about blockSize of them. It returns errNone if there are none,
// errReplaced if the file has another file's content.
func (p *blockReader) next() (block, error) {
	fi, err := p.f.Stat()
	if err != nil {
		return block{}, err
	}
	size := fi.Size()
	switch {
	case size < p.off:
		return block{}, errReplaced
	case size == p.idleSize && fi.ModTime().Equal(p.idleTime):
		return block{}, errNone
	case size == p.off:
		return block{}, p.proveUnchanged(fi)
	}
	b := block{from: p.off, off: p.off, open: p.open}
	for n := min(blockSize, p.max); ; {
		buf := p.buffer(min(int64(n), size-b.off))
		m, err := p.f.ReadAt(buf, b.off)
		if err != nil && err != io.EOF {
			return block{}, err
		}
		if buf = buf[:m]; m == 0 {
			break
		}
		if b.open { // the rest of a line emitted before
			i := bytes.IndexByte(buf, '\n')
			if i < 0 {
				if b.off += int64(m); b.off-b.from >= skipMax {
					break
				}
				continue
			}
			b.off += int64(i) + 1
			buf, b.open = buf[i+1:], false
		}
		if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
			b.data = buf[: i+1 : i+1]
			break
		}
		if len(buf) >= p.max {
			b.data, b.open = buf[:p.max:p.max], true
			break
		}
		if b.off+int64(len(buf)) >= size {
			break // a line being written
		}
		n = min(max(2*n, blockSize), p.max)
	}
	return b, p.finish(&b, size, fi.ModTime())
}

// proveUnchanged checks that a file that was written to and did not grow still has the bytes that
// were read: it may have been truncated and have grown to the same length. It returns errNone if it
// has them.
func (p *blockReader) proveUnchanged(fi os.FileInfo) error {
	b := block{from: p.off, off: p.off, open: p.open}
	return p.finish(&b, fi.Size(), fi.ModTime())
}

// rest returns the bytes after the last whole line, as a line.
func (p *blockReader) rest() (block, error) {
	fi, err := p.f.Stat()
	if err != nil {
		return block{}, err
	}
	n := min(fi.Size()-p.off, int64(p.max))
	if p.open || n <= 0 {
		return block{}, errNone
	}
	b := block{from: p.off, off: p.off, data: make([]byte, n), open: true}
	m, err := p.f.ReadAt(b.data, p.off)
	if err != nil && err != io.EOF {
		return block{}, err
	}
	if b.data = b.data[:m]; m == 0 || b.data[m-1] == '\n' {
		return block{}, errNone
	}
	return b, p.finish(&b, fi.Size(), fi.ModTime())
}

// finish checks b and moves the position to its end.
func (p *blockReader) finish(b *block, size int64, modified time.Time) error {
	end := b.end()
	if err := p.prove(b, end); err != nil {
		return err
	}
	if end == p.off {
		p.idleSize, p.idleTime = size, modified
		return errNone
	}
	p.off, p.open, p.tail = end, b.open, b.tail
	b.size = size
	return nil
}

// prove checks that the bytes up to end are those of the file read before, and sets the state of
// b's position.
func (p *blockReader) prove(b *block, end int64) error {
	if t := min(end-p.base, tailMax); int64(len(b.data)) >= t {
		b.tail = digestOf(endOf(b.data))
	} else {
		before := make([]byte, t)
		if _, err := p.f.ReadAt(before, end-t); err == io.EOF {
			return errReplaced
		} else if err != nil {
			return err
		}
		b.tail = digestOf(endOf(before))
	}
	// The bytes read before must still precede it.
	if before := make([]byte, p.tail.n); p.tail.n > 0 {
		if _, err := p.f.ReadAt(before, p.off-int64(len(before))); err == io.EOF {
			return errReplaced
		} else if err != nil {
			return err
		}
		if digestOf(before) != p.tail {
			return errReplaced
		}
	}
	// Last, since everything above must have come from the file that begins
	// like this.
	head := make([]byte, min(end-p.base, headMax))
	if len(head) < len(p.head) {
		head = make([]byte, len(p.head))
	}
	if _, err := p.f.ReadAt(head, p.base); err == io.EOF {
		return errReplaced
	} else if err != nil {
		return err
	}
	if !bytes.HasPrefix(head, p.head) {
		return errReplaced
	}
	fi, err := p.f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() < end {
		return errReplaced
	}
	if len(head) > len(p.head) {
		p.head = head
	}
	b.head = p.head[:min(int64(len(p.head)), end-p.base)]
	return nil
}

// check reports whether the file that was read before has the bytes want at an offset, and moves to
// their end. Lines that another reader brought are checked in this way.
func (p *blockReader) check(want []byte) (block, error) {
	b := block{from: p.off, off: p.off, data: make([]byte, len(want))}
	if _, err := p.f.ReadAt(b.data, p.off); err == io.EOF {
		return b, errReplaced
	} else if err != nil {
		return b, err
	}
	if !bytes.Equal(b.data, want) {
		return b, errReplaced
	}
	fi, err := p.f.Stat()
	if err != nil {
		return b, err
	}
	return b, p.finish(&b, fi.Size(), fi.ModTime())
}

// skipMax bounds how much of the rest of a cut line is skipped at once, in bytes, so that reading
// can be stopped in between.
const skipMax = 64 << 20

// readHead reads the beginning of a plain file: the length of what precedes its content, and the
// first bytes of the content. A hole can precede it, if a writer did not notice a truncation, and a
// byte order mark. known is the part of that length that is known already.
func readHead(ctx context.Context, f *os.File, known int64) (base int64, head []byte, err error) {
	base, head, err = skipHole(ctx, f, known)
	if err != nil || !bytes.HasPrefix(head, byteOrderMark) {
		return base, head, err
	}
	base += int64(len(byteOrderMark))
	head, err = readAt(f, headMax, base)
	return base, head, err
}

// readAt reads n bytes at off, or fewer if the file ends before.
func readAt(f *os.File, n int, off int64) ([]byte, error) {
	b := make([]byte, n)
	n, err := f.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

func skipHole(ctx context.Context, f *os.File, known int64) (base int64, head []byte, err error) {
	head, err = readAt(f, headMax, 0)
	if err != nil || len(head) == 0 || head[0] != 0 {
		return 0, head, err
	}
	base = known
	buf := make([]byte, blockSize)
	for {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		base = holeEnd(f, base)
		n, err := f.ReadAt(buf, base)
		if err != nil && err != io.EOF {
			return 0, nil, err
		}
		rest := bytes.TrimLeft(buf[:n], "\x00")
		base += int64(n - len(rest))
		if n == 0 || len(rest) > 0 {
			break
		}
	}
	head, err = readAt(f, headMax, base)
	return base, head, err
}
