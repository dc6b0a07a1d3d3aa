package tailer

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

const bom = "\xef\xbb\xbf"

// utf16Text encodes text as PowerShell does, with a byte order mark.
func utf16Text(text string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// Logs in the encodings of Windows yield the same lines as in UTF-8.
func TestReadEncodings(t *testing.T) {
	lines := numbered(1, 3000)
	lines[7] = "Nov 23 09:00:07 mx1 postfix/smtp[42]: 4T00000008z: to=<jürgen@bücher.test>, 䰀ਊ \U0001f4e7" // has the byte of a line end within a character
	more := numbered(3001, 3010)
	for _, test := range []struct {
		name   string
		encode func(text string) string
		kind   string
	}{
		{"UTF-8 with a mark", func(s string) string { return bom + s }, KindFile},
		{"UTF-16 of Windows", func(s string) string { return utf16Text(s, binary.LittleEndian) }, KindUTF16},
		{"UTF-16, the other way round", func(s string) string { return utf16Text(s, binary.BigEndian) }, KindUTF16},
		{"UTF-8 with a mark, compressed", func(s string) string { return compressed(t, KindGzip, bom+s) }, KindGzip},
		{"UTF-16, compressed", func(s string) string { return compressed(t, KindXZ, utf16Text(s, binary.LittleEndian)) }, KindXZ},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, test.encode(join(lines)))
			r := newRecorder(t, nil)
			err := Read(t.Context(), []string{path}, nil, ReadOptions{}, func(c *Chunk) error {
				if c.Source.Kind != test.kind {
					t.Errorf("kind %q, want %q", c.Source.Kind, test.kind)
				}
				return r.emit(c)
			})
			if err != nil {
				t.Fatal(err)
			}
			sameLines(t, r.lines, lines)
			// Grown, and under another name: positions hold.
			write(t, path+".1", test.encode(join(lines)+join(more)))
			got, pos := mustRead(t, r.positions(), path+".1")
			sameLines(t, got, more)
			got, _ = mustRead(t, pos, path, path+".1")
			sameLines(t, got, nil)
			// From standard input.
			got, _, err = readAll(t, nil, ReadOptions{Stdin: strings.NewReader(test.encode(join(lines)))}, "-")
			if err != nil {
				t.Fatal(err)
			}
			sameLines(t, got, lines)
		})
	}
	t.Run("UTF-16 of UTF-8", func(t *testing.T) {
		// The same content is the same source, however it is encoded.
		path := newLog(t)
		write(t, path, join(lines))
		_, pos := mustRead(t, nil, path)
		write(t, path+".txt", utf16Text(join(lines)+"new\n", binary.LittleEndian))
		got, _ := mustRead(t, pos, path+".txt")
		sameLines(t, got, []string{"new"})
	})
	for name, text := range map[string]string{
		"UTF-16 without a mark": utf16Text("one\n", binary.LittleEndian)[2:],
		"UTF-32":                "\xff\xfe\x00\x00o\x00\x00\x00\n\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, text)
			got, _ := mustRead(t, nil, path)
			if strings.Join(got, "\n") != strings.TrimRight(text, "\n") {
				t.Errorf("got %q of %q", got, text) // as it is: whoever looks sees that it is no text
			}
		})
	}
	for name, text := range map[string]string{
		"nothing but a mark":         bom,
		"a part of a mark":           bom[:2],
		"nothing but a mark, UTF-16": "\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, text)
			if got, _, err := readAll(t, nil, ReadOptions{}, path); err != nil || len(got) > 0 && got[0] != text {
				t.Errorf("got %q, error %v", got, err)
			}
		})
	}
	t.Run("half a character", func(t *testing.T) {
		path := newLog(t)
		text := utf16Text("one\ntwo", binary.LittleEndian)
		write(t, path, text[:len(text)-1])
		got, _ := mustRead(t, nil, path)
		if len(got) != 2 || got[0] != "one" {
			t.Errorf("got %q", got)
		}
	})
}

func TestFollowEncodings(t *testing.T) {
	t.Run("UTF-8 with a mark", func(t *testing.T) {
		readers(t, func(t *testing.T, o FollowOptions) {
			path := newLog(t)
			write(t, path, bom[:2])
			f := follow(t, nil, o, path)
			f.until("idle", func() bool { return f.idle > 0 })
			appendTo(t, path, bom[2:]+"one\n")
			f.want("one")
			appendTo(t, path, "two\n")
			f.want("one", "two")
			pos := f.stop("one", "two")
			rename(t, path, path+".1")
			appendTo(t, path+".1", "three\n")
			write(t, path, "four\n")
			f = follow(t, pos, o, path)
			f.want("three", "four")
			f.stop("three", "four")
		})
	})
	// It cannot be read from the middle, so it is read anew when it has changed, and
	// a line waits for its end.
	t.Run("UTF-16", func(t *testing.T) {
		readers(t, func(t *testing.T, o FollowOptions) {
			path := newLog(t)
			text := utf16Text("one\ntwo\nthree\n", binary.LittleEndian)
			write(t, path, text[:2+2*6+1])
			f := follow(t, nil, o, path)
			f.want("one")
			appendTo(t, path, text[2+2*6+1:2+2*10])
			f.want("one", "two")
			appendTo(t, path, text[2+2*10:])
			f.want("one", "two", "three")
			pos := f.stop("one", "two", "three")
			appendTo(t, path, utf16Text("four\n", binary.LittleEndian)[2:])
			f = follow(t, pos, o, path)
			f.want("four")
			f.stop("four")
		})
	})
}

// FuzzUTF16 decodes like package utf16, in whatever pieces the text comes, but for
// half a character at the end.
func FuzzUTF16(f *testing.F) {
	f.Add([]byte(utf16Text("one\n\U0001f4e7\n", binary.LittleEndian)), true)
	f.Add([]byte("\xfe\xff\x00a\xd8\x3d"), false)
	f.Add([]byte("\xff\xfe\x00\xdc\x3d\xd8\x3d\xd8\xe7\xdca"), true)
	f.Fuzz(func(t *testing.T, text []byte, pieces bool) {
		var in io.Reader = strings.NewReader(string(text))
		if pieces {
			in = iotest.OneByteReader(in)
		}
		r, decoded := decodeUTF16(in)
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !decoded {
			if string(got) != string(text) {
				t.Fatalf("got %q of %q", got, text)
			}
			return
		}
		var order binary.ByteOrder = binary.LittleEndian
		if text[0] == 0xfe {
			order = binary.BigEndian
		}
		var units []uint16
		for b := text[2:]; len(b) >= 2; b = b[2:] {
			units = append(units, order.Uint16(b))
		}
		if n := len(units); n > 0 && units[n-1]&0xfc00 == 0xd800 {
			units = units[:n-1]
		}
		if want := string(utf16.Decode(units)); string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
