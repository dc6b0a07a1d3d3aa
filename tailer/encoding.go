package tailer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// byteOrderMark may begin a text in UTF-8 (RFC 3629 section 6). It is no part of the first line.
var byteOrderMark = []byte("\xef\xbb\xbf")

// isUTF16 reports whether a text begins with a byte order mark of UTF-16 (RFC 2781,
// section 3.2), and not with one of UTF-32.
func isUTF16(begin []byte) bool {
	return bytes.HasPrefix(begin, []byte("\xfe\xff")) ||
		bytes.HasPrefix(begin, []byte("\xff\xfe")) && !bytes.HasPrefix(begin, []byte("\xff\xfe\x00\x00"))
}

// decodeUTF16 returns r in UTF-8 without its byte order mark if it is in UTF-16, and whether it is.
// Offsets then count bytes of UTF-8, as they count bytes after decompression.
func decodeUTF16(r io.Reader) (io.Reader, bool) {
	in := bufio.NewReaderSize(r, 64<<10)
	begin, _ := in.Peek(4)
	if !isUTF16(begin) {
		return in, false
	}
	u := &utf16Reader{r: in, order: binary.LittleEndian}
	if begin[0] == 0xfe {
		u.order = binary.BigEndian
	}
	in.Discard(2)
	return u, true
}

// A utf16Reader decodes UTF-16. A surrogate without its other half becomes U+FFFD.
// An incomplete character at the end is left out: in a growing file it is still being
// written, and the bytes before an offset must not change.
type utf16Reader struct {
	r     *bufio.Reader
	order binary.ByteOrder
	text  []byte // decoded, not read yet
	buf   []byte
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.text) == 0 {
		if err := u.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.text)
	u.text = u.text[n:]
	return n, nil
}

// decode decodes the bytes in the buffer, at least one character.
func (u *utf16Reader) decode() error {
	if _, err := u.r.Peek(2); err != nil {
		return err
	}
	in, _ := u.r.Peek(u.r.Buffered())
	unit := func(i int) rune { return rune(u.order.Uint16(in[i:])) }
	u.buf = u.buf[:0]
	i := 0
	for ; i+2 <= len(in); i += 2 {
		c := unit(i)
		if utf16.IsSurrogate(c) && c < 0xdc00 { // the first half
			if i+4 > len(in) {
				break
			}
			if pair := utf16.DecodeRune(c, unit(i+2)); pair != utf8.RuneError {
				c = pair
				i += 2
			}
		}
		u.buf = utf8.AppendRune(u.buf, c) // another surrogate becomes U+FFFD
	}
	if i == 0 { // half a character
		_, err := u.r.Peek(4)
		return err
	}
	u.r.Discard(i)
	u.text = u.buf
	return nil
}
