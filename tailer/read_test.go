package tailer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func compressed(t testing.TB, kind, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case KindGzip:
		w = gzip.NewWriter(&b)
	case KindZstd:
		w, err = zstd.NewWriter(&b)
	case KindXZ:
		w, err = xz.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// bzipped is "first\nsecond\n" as bzip2(1) 1.0.8 compresses it: the standard
// library can only read the format.
const bzipped = "BZh91AY&SY\x67\x62\xd4\x8d\x00\x00\x02\xc1\x80\x00\x10\x0f\x21\x9c\x00\x20\x00\x22\x00\x69\x90\x80\x69\xa6\x89\x56\x16\x03\xc6\xd6\xf8\xbb\x92\x29\xc2\x84\x83\x3b\x16\xa4\x68"

func TestReadPlain(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"lines", "one\ntwo\n", []string{"one", "two"}},
		{"last without end", "one\ntwo", []string{"one", "two"}},
		{"only one, without end", "one", []string{"one"}},
		{"CRLF stays", "one\r\ntwo\r\n", []string{"one\r", "two\r"}},
		{"empty lines", "\n\none\n\n", []string{"", "", "one", ""}},
		{"NUL and what is not UTF-8", "a\x00b\xff\xfe\nGr\xfc\xdfe\n", []string{"a\x00b\xff\xfe", "Gr\xfc\xdfe"}},
		{"a hole before the first line", strings.Repeat("\x00", 3*blockSize+5) + "one\ntwo\n", []string{"one", "two"}},
		{"only a hole", strings.Repeat("\x00", 1000), nil},
		{"a line of 3 MB", "one\n" + strings.Repeat("x", 3<<20) + "\ntwo\n", []string{"one", strings.Repeat("x", 3<<20), "two"}},
		{"longer than a block", join(numbered(1, 10000)), numbered(1, 10000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, test.text)
			got, pos := mustRead(t, nil, path)
			sameLines(t, got, test.want)
			if len(got) > 0 && (len(pos) != 1 || pos[0].Offset != int64(len(test.text))) {
				t.Errorf("positions %+v, want one at %d", pos, len(test.text))
			}
			// Again yields nothing.
			if again, _ := mustRead(t, pos, path); len(again) > 0 {
				t.Errorf("read again: %d lines", len(again))
			}
		})
	}
}

func TestReadGrown(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\ntwo\n")
	_, pos := mustRead(t, nil, path)
	appendTo(t, path, "three\n")
	got, _ := mustRead(t, pos, path)
	sameLines(t, got, []string{"three"})
}

func TestReadGrownWithinLine(t *testing.T) {
	for _, test := range []struct{ name, first, more, want string }{
		{"the rest of the line", "one\ntw", "o\nthree\n", "three"},
		{"only its end", "one\ntwo", "\nthree\n", "three"},
		{"the first line", "on", "e\nthree\n", "one|three"}, // then it has another name
		{"the first line's end", "one", "\nthree\n", "three"},
		{"not yet ended", "one\ntw", "o thr", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, test.first)
			_, pos := mustRead(t, nil, path)
			appendTo(t, path, test.more)
			got, pos2 := mustRead(t, pos, path)
			if strings.Join(got, "|") != test.want {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if test.want != "" {
				pos = pos2
				appendTo(t, path, "four\n")
			} else {
				appendTo(t, path, "ee\nfour\n")
			}
			got, _ = mustRead(t, pos, path)
			sameLines(t, got, []string{"four"})
		})
	}
}

func TestReadOtherNames(t *testing.T) {
	text := join(numbered(1, 2000))
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	write(t, path, text)
	_, pos := mustRead(t, nil, path)
	for name, stored := range map[string]string{
		"mail.log.1":       text,
		"mail.log.2.gz":    compressed(t, KindGzip, text),
		"mail.log.3.xz":    compressed(t, KindXZ, text),
		"mail.log.4.zst":   compressed(t, KindZstd, text),
		"plain.gz":         text, // the name says nothing
		"shorter.log":      text[:strings.Index(text[5000:], "\n")+5001],
		"one-line.log":     text[:strings.Index(text, "\n")+1],
		"shorter.gz":       compressed(t, KindGzip, text[:strings.Index(text[5000:], "\n")+5001]),
		"within-a-line.gz": compressed(t, KindGzip, text[:5010]),
	} {
		t.Run(name, func(t *testing.T) {
			other := filepath.Join(dir, name)
			write(t, other, stored)
			if got, _ := mustRead(t, pos, other); len(got) > 0 {
				t.Errorf("%d lines, want none: %.80q", len(got), got[0])
			}
			// What is shorter may be another log: it is told.
			var told []EventKind
			err := Read(t.Context(), []string{other}, pos, ReadOptions{Event: func(e Event) { told = append(told, e.Kind) }}, func(*Chunk) error { return nil })
			if want := slices.Contains([]string{"shorter.log", "one-line.log", "shorter.gz", "within-a-line.gz"}, name); err != nil || want != slices.Contains(told, EventCopy) {
				t.Errorf("told %v (%v)", told, err)
			}
		})
	}
	t.Run("longer", func(t *testing.T) {
		other := filepath.Join(dir, "longer.gz")
		write(t, other, compressed(t, KindGzip, text+"one more\n"))
		got, _ := mustRead(t, pos, other)
		sameLines(t, got, []string{"one more"})
	})
}

func TestReadDifferent(t *testing.T) {
	lines := numbered(1, 100)
	text := join(lines)
	for _, test := range []struct {
		name  string
		other []string
	}{
		{"first line", append([]string{"another"}, lines[1:]...)},
		{"second line", append([]string{lines[0], "another"}, lines[2:]...)},
		{"behind the head", append(append([]string{}, lines[:99]...), strings.Repeat("another one ", 20))},
		{"short, other second line", []string{lines[0], "x"}},
	} {
		for _, kind := range []string{KindFile, KindGzip} {
			t.Run(test.name+" "+kind, func(t *testing.T) {
				dir := t.TempDir()
				a, b := filepath.Join(dir, "mail.log"), filepath.Join(dir, "other.log")
				write(t, a, text)
				_, pos := mustRead(t, nil, a)
				stored := join(test.other)
				if kind == KindGzip {
					stored = compressed(t, kind, stored)
				}
				write(t, b, stored)
				got, both := mustRead(t, pos, b)
				sameLines(t, got, test.other)
				if len(both) != 2 {
					t.Errorf("positions %+v, want two", both)
				}
				// Both are known now, each by its own name.
				for _, path := range []string{a, b} {
					if got, _ := mustRead(t, both, path); len(got) > 0 {
						t.Errorf("%s again: %d lines", path, len(got))
					}
				}
				appendTo(t, a, "grown\n")
				got, _ = mustRead(t, both, a)
				sameLines(t, got, []string{"grown"})
			})
		}
	}
}

func TestReadKinds(t *testing.T) {
	lines := numbered(1, 9000)
	text := join(lines)
	for _, kind := range []string{KindGzip, KindXZ, KindZstd} {
		t.Run(kind, func(t *testing.T) {
			path := newLog(t)
			write(t, path, compressed(t, kind, text))
			got, pos := mustRead(t, nil, path)
			sameLines(t, got, lines)
			if pos[0].Offset != int64(len(text)) {
				t.Errorf("offset %d, want %d", pos[0].Offset, len(text))
			}
			// From the middle.
			half := pos
			plain := path + ".half"
			write(t, plain, join(lines[:7777]))
			_, half = mustRead(t, nil, plain)
			got, _ = mustRead(t, half, path)
			sameLines(t, got, lines[7777:])
		})
		t.Run(kind+" of several parts", func(t *testing.T) {
			path := newLog(t)
			write(t, path, compressed(t, kind, text[:100001])+compressed(t, kind, text[100001:]))
			got, _ := mustRead(t, nil, path)
			sameLines(t, got, lines)
		})
	}
	t.Run(KindBzip2, func(t *testing.T) {
		path := newLog(t)
		write(t, path, bzipped+bzipped)
		got, _ := mustRead(t, nil, path)
		sameLines(t, got, []string{"first", "second", "first", "second"})
	})
	t.Run("empty gzip", func(t *testing.T) {
		path := newLog(t)
		write(t, path, compressed(t, KindGzip, ""))
		if got, _ := mustRead(t, nil, path); len(got) > 0 {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a text that only begins like bzip2", func(t *testing.T) {
		path := newLog(t)
		write(t, path, "BZh9 is a version\n")
		got, _ := mustRead(t, nil, path)
		sameLines(t, got, []string{"BZh9 is a version"})
	})
	t.Run("last line without end", func(t *testing.T) {
		path := newLog(t)
		write(t, path, compressed(t, KindGzip, "one\ntwo"))
		got, pos := mustRead(t, nil, path)
		sameLines(t, got, []string{"one", "two"})
		if got, _ := mustRead(t, pos, path); len(got) > 0 {
			t.Errorf("again: %q", got)
		}
	})
	t.Run("hole", func(t *testing.T) {
		path := newLog(t)
		text := strings.Repeat("\x00", 100000) + "one\ntwo\n"
		write(t, path, compressed(t, KindGzip, text))
		got, pos := mustRead(t, nil, path)
		sameLines(t, got, []string{"one", "two"})
		write(t, path+".1", text)
		if got, _ := mustRead(t, pos, path+".1"); len(got) > 0 {
			t.Errorf("uncompressed: %q", got)
		}
	})
}

// Cut short at each of many places: whole lines only, an error that tells, and
// later the rest.
func TestReadCutShort(t *testing.T) {
	lines := numbered(1, 3000)
	for _, kind := range []string{KindGzip, KindXZ, KindZstd} {
		whole := compressed(t, kind, join(lines))
		for _, part := range []int{1, 2, 5, 8, 9} {
			path := newLog(t)
			write(t, path, whole[:len(whole)*part/10])
			got, pos, err := readAll(t, nil, ReadOptions{}, path)
			var pe *PathError
			if !errors.As(err, &pe) || !errors.Is(err, ErrTruncated) || pe.Path != path {
				t.Fatalf("%s at %d/10: error %v, want a PathError with ErrTruncated", kind, part, err)
			}
			sameLines(t, got, lines[:len(got)])
			if len(got) > 0 && pe.Offset != pos[0].Offset {
				t.Errorf("%s: error at %d, position %d", kind, pe.Offset, pos[0].Offset)
			}
			if kind == KindGzip && part == 9 && len(got) < len(lines)/2 {
				t.Errorf("%s at 9/10: only %d of %d lines", kind, len(got), len(lines))
			}
			write(t, path, whole)
			rest, _ := mustRead(t, pos, path)
			sameLines(t, append(got, rest...), lines)
		}
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	write(t, good, "one\n")
	damaged := filepath.Join(dir, "damaged.gz")
	z := []byte(compressed(t, KindGzip, join(numbered(1, 3000))))
	for i := len(z) / 2; i < len(z)/2+20; i++ {
		z[i] ^= 0x55
	}
	write(t, damaged, string(z))
	greedy := filepath.Join(dir, "greedy.xz")
	write(t, greedy, string(askFor(t, []byte(compressed(t, KindXZ, "one\n")), 0, 38))) // a dictionary of 2 GiB
	for _, test := range []struct {
		path string
		want error
	}{
		{filepath.Join(dir, "missing"), fs.ErrNotExist},
		{dir, ErrDirectory},
		{damaged, ErrCorrupt},
		{greedy, ErrMemory},
	} {
		got, _, err := readAll(t, nil, ReadOptions{}, test.path, good)
		var pe *PathError
		if !errors.Is(err, test.want) || !errors.As(err, &pe) || pe.Path != test.path {
			t.Errorf("%s: error %v, want %v", test.path, err, test.want)
		}
		if len(got) == 0 || got[len(got)-1] != "one" {
			t.Errorf("%s: the other file was not read", test.path)
		}
	}
	// An error of emit ends it.
	stop := errors.New("stop")
	if err := Read(context.Background(), []string{good}, nil, ReadOptions{}, func(*Chunk) error { return stop }); err != stop {
		t.Errorf("error %v, want that of emit", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Read(ctx, []string{good, good + "x"}, nil, ReadOptions{}, func(*Chunk) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if err := Read(context.Background(), []string{good}, []Position{{ID: "x", State: "nonsense"}}, ReadOptions{}, nil); err == nil {
		t.Error("no error of a position that is none")
	}
}

func TestReadStdin(t *testing.T) {
	for _, stored := range []string{"one\ntwo", compressed(t, KindGzip, "one\ntwo"), ""} {
		got, pos, err := readAll(t, nil, ReadOptions{Stdin: strings.NewReader(stored)}, "-")
		if err != nil {
			t.Fatal(err)
		}
		if stored == "" {
			sameLines(t, got, nil)
			continue
		}
		sameLines(t, got, []string{"one", "two"})
		got, _, err = readAll(t, pos, ReadOptions{Stdin: strings.NewReader("one\ntwo\nthree\n")}, "-")
		if err != nil {
			t.Fatal(err)
		}
		sameLines(t, got, []string{"three"})
	}
}

// A stream cannot be read again as what it turns out to be.
func TestReadStdinDiffers(t *testing.T) {
	lines := numbered(1, 100)
	_, pos, err := readAll(t, nil, ReadOptions{Stdin: strings.NewReader(join(lines))}, "-")
	if err != nil {
		t.Fatal(err)
	}
	lines[98] = strings.Replace(lines[98], "bounced", "BOUNCED", 1)
	_, _, err = readAll(t, pos, ReadOptions{Stdin: strings.NewReader(join(lines))}, "-")
	if !errors.Is(err, ErrDiffers) {
		t.Errorf("error %v, want ErrDiffers", err)
	}
}

func TestReadLongLine(t *testing.T) {
	long := strings.Repeat("abcdefghij", 1000)
	for _, text := range []string{"one\n" + long + "\ntwo\n", long + "\ntwo\n" + long, "one\n" + long} {
		for _, kind := range []string{KindFile, KindGzip} {
			path := newLog(t)
			if kind == KindGzip {
				write(t, path, compressed(t, kind, text))
			} else {
				write(t, path, text)
			}
			var want []string
			for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
				want = append(want, line[:min(len(line), 1500)])
			}
			got, pos, err := readAll(t, nil, ReadOptions{MaxLine: 1500}, path)
			if err != nil {
				t.Fatal(err)
			}
			sameLines(t, got, want)
			if again, _, _ := readAll(t, pos, ReadOptions{MaxLine: 1500}, path); len(again) > 0 {
				t.Errorf("again: %.50q", again)
			}
		}
	}
}

func TestReadOldestFirst(t *testing.T) {
	dir := t.TempDir()
	lines := numbered(1, 4)
	for i, name := range []string{"mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"} {
		text := lines[i] + "\n"
		if strings.HasSuffix(name, ".gz") {
			text = compressed(t, KindGzip, text)
		}
		write(t, filepath.Join(dir, name), text)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"))
	got, _ := mustRead(t, nil, paths...)
	sameLines(t, got, lines)
}

func TestReadProgress(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, join(numbered(1, 5000)))
	write(t, b, compressed(t, KindGzip, join(numbered(6000, 20000))))
	var size int64
	for _, path := range []string{a, b} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	last, calls := int64(-1), 0
	_, _, err := readAll(t, nil, ReadOptions{Progress: func(read, total int64) {
		if read < last || total != size {
			t.Errorf("progress %d of %d after %d, want a total of %d", read, total, last, size)
		}
		last = read
		calls++
	}}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if last != size || calls < 4 {
		t.Errorf("progress ends at %d of %d after %d calls", last, size, calls)
	}
}

func BenchmarkRead(b *testing.B) {
	text := join(numbered(1, 400000))
	for _, kind := range []string{KindFile, KindGzip, KindZstd, KindXZ} {
		b.Run(kind, func(b *testing.B) {
			path := newLog(b)
			if kind == KindFile {
				write(b, path, text)
			} else {
				write(b, path, compressed(b, kind, text))
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				lines := 0
				err := Read(context.Background(), []string{path}, nil, ReadOptions{}, func(c *Chunk) error {
					for range c.Lines() {
						lines++
					}
					return nil
				})
				if err != nil || lines != 400000 {
					b.Fatal(lines, err)
				}
			}
		})
	}
}

// TestReadPieces stops behind each chunk of a log that is read in several
// blocks, and goes on from its position: the pieces that a block is handed out
// in must be as good as blocks of their own.
func TestReadPieces(t *testing.T) {
	lines := numbered(0, 60_000)
	for i := range lines {
		lines[i] += strings.Repeat(" x", 20+i%17)
	}
	lines[40_000] = strings.Repeat("long ", blockSize/4)
	text := join(lines)
	if len(text) < 2*aheadSize {
		t.Fatalf("%d bytes are too few", len(text))
	}
	for _, kind := range []string{KindFile, KindGzip} {
		path := newLog(t)
		stored := text
		if kind == KindGzip {
			stored = compressed(t, kind, text)
		}
		write(t, path, stored)
		var positions []Position
		var got bytes.Buffer
		if err := Read(t.Context(), []string{path}, nil, ReadOptions{}, func(c *Chunk) error {
			if len(c.Data) > aheadSize || len(c.Data) > 2*blockSize && !bytes.Contains(c.Data, []byte("long ")) {
				t.Errorf("%s: %d bytes at %d", kind, len(c.Data), c.Offset)
			}
			got.Write(c.Data)
			positions = append(positions, c.Position)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got.String() != text {
			t.Fatalf("%s: %d bytes differ from the %d written", kind, got.Len(), len(text))
		}
		if len(positions) < 8 {
			t.Fatalf("%s: only %d chunks", kind, len(positions))
		}
		for i, p := range positions {
			if testing.Short() && i%8 != 0 {
				continue
			}
			var rest bytes.Buffer
			if err := Read(t.Context(), []string{path}, []Position{p}, ReadOptions{}, func(c *Chunk) error {
				rest.Write(c.Data)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if rest.String() != text[p.Offset:] {
				t.Errorf("%s: from %d on %d bytes, want %d", kind, p.Offset, rest.Len(), len(text)-int(p.Offset))
			}
		}
	}
}
