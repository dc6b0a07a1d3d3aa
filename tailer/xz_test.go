package tailer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// xzBlocks compresses text into one stream of blocks of size bytes each.
func xzBlocks(t testing.TB, text string, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{BlockSize: size, DictCap: 1 << 16}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// askFor makes the nth block (from 0) of an xz file ask for the dictionary whose
// size is coded as code (The .xz File Format 1.1.0, section 5.3.1), with the
// header's checksum made right again.
func askFor(t testing.TB, file []byte, n int, code byte) []byte {
	t.Helper()
	file = bytes.Clone(file)
	for i := 0; i+12 <= len(file); i += 4 {
		h := file[i:]
		size := (int(h[0]) + 1) * 4
		if h[0] == 0 || size > len(h) || h[1] != 0 || h[2] != 0x21 || h[3] != 1 {
			continue
		}
		if sum := h[size-4 : size]; binary.LittleEndian.Uint32(sum) == crc32.ChecksumIEEE(h[:size-4]) {
			if n--; n < 0 {
				h[4] = code
				binary.LittleEndian.PutUint32(sum, crc32.ChecksumIEEE(h[:size-4]))
				return file
			}
		}
	}
	t.Fatal("no such block")
	return nil
}

// No block of any stream may ask for more than maxWindow, wherever it stands.
func TestXZMemory(t *testing.T) {
	const (
		allowed = 32 // 256 MiB
		refused = 33 // 384 MiB
		largest = 40 // 4 GiB - 1
	)
	lines := numbered(1, 3000)
	small := xzBlocks(t, join(lines), 1<<30)
	blocks := xzBlocks(t, join(lines), 100_000)
	padding := make([]byte, 8)
	for _, test := range []struct {
		name string
		file []byte
		ok   bool
	}{
		{"first block", askFor(t, small, 0, largest), false},
		{"second block", askFor(t, blocks, 1, largest), false},
		{"third block, just too much", askFor(t, blocks, 2, refused), false},
		{"last block", askFor(t, blocks, 3, largest), false},
		{"second stream", slicesOf(small, askFor(t, small, 0, largest)), false},
		{"behind padding", slicesOf(small, padding, askFor(t, small, 0, refused)), false},
		{"behind an empty stream", slicesOf(xzBlocks(t, "", 1), askFor(t, small, 0, largest)), false},
		{"second block of the third stream", slicesOf(small, blocks, padding, askFor(t, blocks, 1, largest)), false},
		{"as much as allowed", slicesOf(small, askFor(t, blocks, 2, allowed)), true},
		{"nothing odd", slicesOf(blocks, padding, small, xzBlocks(t, "", 1)), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, string(test.file))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, _, err := readAll(t, nil, ReadOptions{}, path)
			runtime.ReadMemStats(&after)
			if test.ok {
				if err != nil || len(got)%len(lines) != 0 || len(got) == 0 {
					t.Fatalf("%d lines, error %v", len(got), err)
				}
				return
			}
			if !errors.Is(err, ErrMemory) {
				t.Errorf("%d lines, error %v, want ErrMemory", len(got), err)
			}
			if asked := after.TotalAlloc - before.TotalAlloc; asked > maxWindow {
				t.Errorf("%d MiB were allocated", asked>>20)
			}
			// What comes before the block is read.
			if want := lines[:min(len(got), len(lines))]; len(got) > 0 {
				sameLines(t, got[:len(want)], want)
			}
		})
	}
}

// The other kinds: zstd has a window in each frame, which is refused wherever it
// stands; what a gzip member or a bzip2 stream may ask for is fixed by its format.
func TestZstdMemory(t *testing.T) {
	lines := numbered(1, 3000)
	good := []byte(compressed(t, KindZstd, join(lines)))
	magic := []byte("\x28\xb5\x2f\xfd")
	window := slicesOf(magic, []byte{0x00, 21 << 3}, []byte{1, 0, 0})                  // 2 GiB (RFC 8878, section 3.1.1.1.2)
	single := slicesOf(magic, []byte{0xa0}, []byte{0, 0, 0, 0x40}, []byte{0x03, 0, 2}) // one segment of 1 GiB
	skipped := slicesOf([]byte("\x50\x2a\x4d\x18"), []byte{0xff, 0xff, 0xff, 0x7f})    // a frame of 2 GiB to be skipped, cut short
	for _, test := range []struct {
		name string
		file []byte
		want error
	}{
		{"window of the first frame", window, ErrMemory},
		{"window of the second frame", slicesOf(good, window), ErrMemory},
		{"segment of the third frame", slicesOf(good, good, single), ErrMemory},
		{"frame to be skipped", slicesOf(good, skipped), ErrTruncated},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, string(test.file))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := readAll(t, nil, ReadOptions{}, path)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if asked := after.TotalAlloc - before.TotalAlloc; asked > maxWindow {
				t.Errorf("%d MiB were allocated", asked>>20)
			}
		})
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// FuzzXZ reads a file with the xzReader and with the library's: both find the same
// in it, or both find it damaged.
func FuzzXZ(f *testing.F) {
	for _, size := range []int64{7, 1000, 1 << 20} {
		f.Add(xzBlocks(f, strings.Repeat("a line of a log\n", 30), size))
	}
	small := xzBlocks(f, "one\ntwo\n", 4)
	f.Add(slicesOf(small, make([]byte, 4), small))
	f.Add(askFor(f, small, 1, 40))
	f.Add(small[:len(small)-5])
	f.Fuzz(func(t *testing.T, file []byte) {
		read := func(z io.Reader, err error) ([]byte, error) {
			if err != nil {
				return nil, err
			}
			return io.ReadAll(io.LimitReader(z, 1<<20))
		}
		ours, err := newXZReader(bufio.NewReader(bytes.NewReader(file)))
		got, err := read(ours, err)
		if errors.Is(err, ErrMemory) {
			return
		}
		theirs, lerr := xz.NewReader(bytes.NewReader(file))
		want, lerr := read(theirs, lerr)
		if err == io.ErrUnexpectedEOF && lerr == nil && bytes.Equal(got, want) {
			return // it takes a file for whole that ends between two blocks
		}
		if (err == nil) != (lerr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q and error %v; the library reads %q and error %v", got, err, want, lerr)
		}
	})
}
