package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxNested bounds the depth of nested objects that are read.
const maxNested = 8

// closingQuote returns the index of the quote that ends the JSON string whose first byte is at i,
// or -1.
func closingQuote(b []byte, i int) int {
next:
	if rest := b[i:]; len(rest) >= 24 {
		// Most strings are so short that a call of IndexByte would take longer than three words.
		const ones, quotes, high = 0x0101010101010101, 0x2222222222222222, 0x8080808080808080
		for n := 0; n < 24; n += 8 {
			x := binary.LittleEndian.Uint64(rest[n:n+8]) ^ quotes
			if x = (x - ones) &^ x & high; x != 0 {
				i += n + bits.TrailingZeros64(x)/8
				goto found
			}
		}
	}
	if n := bytes.IndexByte(b[i:], '"'); n >= 0 {
		i += n
	} else {
		return -1
	}
found:
	if b[i-1] == '\\' {
		n := i // the index of the first backslash before the quote
		for b[n-1] == '\\' {
			n--
		}
		if (i-n)%2 != 0 {
			i++
			goto next
		}
	}
	return i
}

// endOfNumber returns the end of the number at index i, or -1.
func endOfNumber(b []byte, i int) int {
	if i == len(b) || b[i] != '-' && !isDigit(b[i]) {
		return -1
	}
	for i < len(b) && (isDigit(b[i]) || b[i] == '.' || b[i] == '-') {
		i++
	}
	return i
}

// valueSize returns the length of the JSON value at the start of b, or 0 if it does not end.
func valueSize(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '"':
			end := closingQuote(b, i+1)
			if end < 0 {
				return 0
			}
			if i = end; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i // after a number
			} else if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i // after a number
			}
		}
	}
	return 0
}

// unescapeJSON unescapes a JSON string (RFC 8259 section 7). Tabs and backspaces become blanks.
func unescapeJSON(v []byte, buf *[]byte) []byte {
	next := bytes.IndexByte(v, '\\')
	if next < 0 {
		return v
	}
	if next == len(v)-2 && v[next+1] == 'n' {
		return v[:next] // only the line feed at the end, as docker writes it
	}
	at := len(*buf)
	b := *buf
	for i := 0; i < len(v); i++ {
		if next = bytes.IndexByte(v[i:], '\\'); next < 0 || i+next+1 == len(v) {
			b = append(b, v[i:]...)
			break
		}
		b = append(b, v[i:i+next]...)
		i += next
		i++
		switch v[i] {
		case 'n', 'f':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't', 'b':
			b = append(b, ' ')
		case 'u':
			if i+4 >= len(v) {
				return append(b, v[i-1:]...)[at:]
			}
			c, ok := hexRune(v[i+1 : i+5])
			if !ok {
				b = append(b, '\\', 'u')
				continue
			}
			i += 4
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, v[i])
		}
	}
	*buf = b
	return b[at:]
}

// hexRune returns the character with the given hexadecimal digits.
func hexRune(digits []byte) (r rune, ok bool) {
	for _, c := range digits {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20-'a' < 6:
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendEscaped appends text as it is escaped in a JSON string.
func appendEscaped(b, text []byte) []byte {
	start := 0 // of the bytes that need no escape
	for i, c := range text {
		if !escapedByte[c] {
			continue
		}
		if b = append(b, text[start:i]...); c < ' ' {
			c = ' '
		} else {
			b = append(b, '\\')
		}
		b, start = append(b, c), i+1
	}
	return append(b, text[start:]...)
}

// escapedByte is the set of bytes that appendEscaped changes.
var escapedByte = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c == '"' || c == '\\'
	}
	return set
}()
