package tailer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"runtime"

	"github.com/ulikunitz/xz/lzma"
)

// An xzReader decompresses an .xz file (The .xz File Format 1.1.0) of any number of
// streams and blocks. The library decompresses the LZMA2 data of each block; the
// container is read here, since the library's own reader allocates whatever
// dictionary a block asks for, up to 4 GiB, and keeps a record of every block until
// its stream ends. Here no block gets a dictionary larger than maxWindow, and
// nothing grows with the number of blocks.
//
// A guard in front of the library's reader would not do: that does not skip what a
// chunk of LZMA2 holds behind its last byte, so the two could be made to disagree on
// where the next block begins.
type xzReader struct {
	r    *xzCounter
	sum  func() hash.Hash // of this stream: makes the checksum of a block; nil: it has none
	flag [2]byte          // of this stream, which its footer repeats

	block *lzma.Reader2 // nil between two blocks
	check hash.Hash     // of what the block holds; nil: none
	want  [2]int64      // sizes in the block's header: compressed, uncompressed; -1: not there
	begun int64         // where the block's data begins, in bytes of the file
	head  int64         // length of the block's header
	size  int64         // of what the block has yielded

	records hash.Hash // the sizes of the blocks of this stream, as its index lists them
	blocks  uint64    // of this stream
	err     error
}

var errXZ = errors.New("not built like an xz file")

// An xzCounter counts the bytes read.
type xzCounter struct {
	r *bufio.Reader
	n int64
}

func (c *xzCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *xzCounter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// take reads n bytes that have to be there.
func (c *xzCounter) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// newXZReader reads r, from the header of its first stream on.
func newXZReader(r *bufio.Reader) (*xzReader, error) {
	x := &xzReader{r: &xzCounter{r: r}}
	if err := x.stream(); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.next()
			continue
		}
		n, err := x.block.Read(p)
		x.size += int64(n)
		if x.check != nil {
			x.check.Write(p[:n])
		}
		if x.want[1] >= 0 && x.size > x.want[1] {
			err = errXZ
		}
		if err == io.EOF {
			err = x.endBlock()
		}
		x.err = err
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// stream reads a stream's header (section 2.1.1).
func (x *xzReader) stream() error {
	h, err := x.r.take(12)
	if err != nil {
		return err
	}
	if string(h[:6]) != "\xfd7zXZ\x00" || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return errXZ
	}
	x.flag = [2]byte(h[6:8])
	switch x.flag {
	case [2]byte{0, 0}:
		x.sum = nil
	case [2]byte{0, 1}:
		x.sum = func() hash.Hash { return crc32.NewIEEE() }
	case [2]byte{0, 4}:
		x.sum = func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }
	case [2]byte{0, 10}:
		x.sum = sha256.New
	default:
		return errXZ
	}
	x.records, x.blocks = sha256.New(), 0
	return nil
}

// next reads what comes between two blocks, up to the next block's header. It
// returns io.EOF at the file's end.
func (x *xzReader) next() error {
	for {
		b, err := x.r.take(1)
		if err != nil {
			return err
		}
		if b[0] != 0 {
			return x.startBlock((int64(b[0]) + 1) * 4)
		}
		if err := x.index(); err != nil {
			return err
		}
		for { // stream padding (section 2.2)
			b, err := x.r.r.Peek(4)
			if err != nil {
				if err == io.EOF && len(b) > 0 {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			if string(b) != "\x00\x00\x00\x00" {
				break
			}
			x.r.take(4)
		}
		if err := x.stream(); err != nil {
			return err
		}
	}
}

// startBlock reads the rest of a block's header (section 3.1), which is size bytes
// long, of which the first has been read. The only filter is LZMA2; the others are
// for programs.
func (x *xzReader) startBlock(size int64) error {
	rest, err := x.r.take(size - 1)
	if err != nil {
		return err
	}
	h := append([]byte{byte(size/4 - 1)}, rest...)
	sum := len(h) - 4
	if crc32.ChecksumIEEE(h[:sum]) != binary.LittleEndian.Uint32(h[sum:]) {
		return errXZ
	}
	flags, fields := h[1], h[2:sum]
	for i, bit := range []byte{0x40, 0x80} {
		x.want[i] = -1
		if flags&bit == 0 {
			continue
		}
		v, n := binary.Uvarint(fields)
		if n <= 0 || v > 1<<62 {
			return errXZ
		}
		x.want[i], fields = int64(v), fields[n:]
	}
	if flags&^0xc0 != 0 || len(fields) < 3 || fields[0] != 0x21 || fields[1] != 1 || fields[2] > 40 {
		return errXZ
	}
	// Section 5.3.1: the dictionary's size is (2 | bits&1) << (bits/2 + 11).
	bits := fields[2]
	window := uint64(2|bits&1) << (bits/2 + 11)
	if window > maxWindow {
		return ErrMemory
	}
	if x.begun > 0 && window >= maxWindow/8 {
		runtime.GC() // or the dictionaries of several blocks would be there at once
	}
	x.begun, x.head, x.size, x.check = x.r.n, size, 0, nil
	if x.sum != nil {
		x.check = x.sum()
	}
	x.block, err = lzma.Reader2Config{DictCap: int(window)}.NewReader2(x.r)
	return err
}

// endBlock reads what comes behind a block's data (sections 3.3 and 3.4).
func (x *xzReader) endBlock() error {
	if !x.block.EOS() {
		return io.ErrUnexpectedEOF
	}
	x.block = nil
	packed := x.r.n - x.begun
	if x.want[0] >= 0 && packed != x.want[0] || x.want[1] >= 0 && x.size != x.want[1] {
		return errXZ
	}
	padding, err := x.r.take(-packed & 3)
	if err != nil {
		return err
	}
	var want []byte
	if x.check != nil {
		want = x.check.Sum(nil)
		if x.check.Size() < sha256.Size { // a CRC, stored with its lowest byte first
			for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
				want[i], want[j] = want[j], want[i]
			}
		}
	}
	sum, err := x.r.take(int64(len(want)))
	if err != nil {
		return err
	}
	if len(bytes.Trim(padding, "\x00")) > 0 || !bytes.Equal(sum, want) {
		return errXZ
	}
	x.record(uint64(x.head+packed)+uint64(len(want)), uint64(x.size))
	x.blocks++
	return nil
}

func (x *xzReader) record(sizes ...uint64) {
	for _, size := range sizes {
		x.records.Write(binary.LittleEndian.AppendUint64(nil, size))
	}
}

// index reads the rest of a stream's index (section 4), whose first byte has been
// read, and the stream's footer (section 2.1.2).
func (x *xzReader) index() error {
	begun := x.r.n - 1
	crc := crc32.NewIEEE()
	crc.Write([]byte{0})
	in := &teeBytes{r: x.r, w: crc}
	blocks, err := binary.ReadUvarint(in)
	if err != nil {
		return unexpected(err)
	}
	if blocks != x.blocks {
		return errXZ
	}
	want := x.records.Sum(nil)
	x.records.Reset()
	for range blocks {
		for range 2 {
			size, err := binary.ReadUvarint(in)
			if err != nil {
				return unexpected(err)
			}
			x.record(size)
		}
	}
	for (x.r.n-begun)&3 != 0 {
		b, err := in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if b != 0 {
			return errXZ
		}
	}
	size := x.r.n - begun + 4
	f, err := x.r.take(4 + 12)
	if err != nil {
		return err
	}
	sum, f := f[:4], f[4:]
	if !bytes.Equal(want, x.records.Sum(nil)) || binary.LittleEndian.Uint32(sum) != crc.Sum32() ||
		binary.LittleEndian.Uint32(f) != crc32.ChecksumIEEE(f[4:10]) ||
		(int64(binary.LittleEndian.Uint32(f[4:]))+1)*4 != size ||
		[2]byte(f[8:10]) != x.flag || string(f[10:]) != "YZ" {
		return errXZ
	}
	return nil
}

// teeBytes writes each byte that is read from r to w.
type teeBytes struct {
	r io.ByteReader
	w io.Writer
}

func (t *teeBytes) ReadByte() (byte, error) {
	b, err := t.r.ReadByte()
	if err == nil {
		t.w.Write([]byte{b})
	}
	return b, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
