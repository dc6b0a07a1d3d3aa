package parser

import (
	"encoding/binary"
	"math/bits"
)

func isDigit(c byte) bool { return c-'0' < 10 }

var alnum = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	return t
}()

// allAlnum reports whether b holds only letters and digits. One branch for all bytes instead of one
// per byte takes a third of the time.
func allAlnum(b []byte) bool {
	var other uint8
	for ; len(b) > 4; b = b[4:] {
		other |= notAlnum[b[0]] | notAlnum[b[1]] | notAlnum[b[2]] | notAlnum[b[3]]
	}
	for _, c := range b {
		other |= notAlnum[c]
	}
	return other == 0
}

var notAlnum = func() (t [256]uint8) {
	for c := range t {
		if !alnum[c] {
			t[c] = 1
		}
	}
	return t
}()

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0
}

// leadingDigits counts the digits at the start of b.
func leadingDigits(b []byte) int {
	n := 0
	if len(b) >= 8 {
		// For a digit, XOR leaves 0 to 9. Only for 10 and above does the sum, or the byte itself,
		// have its highest bit set. A carry changes only the bytes after the first non-digit.
		x := binary.LittleEndian.Uint64(b) ^ 0x3030303030303030
		if x = (x + 0x7676767676767676 | x) & 0x8080808080808080; x != 0 {
			return bits.TrailingZeros64(x) / 8
		}
		n = 8
	}
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

// digits reads a number of digits, eight at a time.
func digits(b []byte) (n int, ok bool) {
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b) ^ 0x3030303030303030
		if (x+0x7676767676767676|x)&0x8080808080808080 != 0 { // as in leadingDigits
			return 0, false
		}
		x = x*10 + x>>8 // each second byte is a number of two digits
		x = (x&0x000000ff000000ff*(100+1000000<<32) + x>>16&0x000000ff000000ff*(1+10000<<32)) >> 32
		n = n*1e8 + int(x)
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// lastDigits returns the digits at the end of b.
func lastDigits(b []byte) []byte {
	i := len(b)
	for i > 0 && isDigit(b[i-1]) {
		i--
	}
	return b[i:]
}

// lower returns an ASCII letter in lower case, and any other byte unchanged.
func lower(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold is strings.EqualFold for ASCII letters only: no other letter is equal to one of them.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// hasPrefix is bytes.HasPrefix for a constant, which lets the compiler compare whole words.
func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// cutPrefix is bytes.CutPrefix for a constant.
func cutPrefix(b []byte, prefix string) (after []byte, found bool) {
	if hasPrefix(b, prefix) {
		return b[len(prefix):], true
	}
	return b, false
}

var addressByte = alnumAnd(".:%-_")

// alnumAnd is the set of letters, digits and some other ASCII characters.
func alnumAnd(others string) (set [256]bool) {
	set = alnum
	for i := range len(others) {
		set[others[i]] = true
	}
	return set
}

// isHostName reports whether b may be a host's name or address.
func isHostName(b []byte) bool {
	for _, c := range b {
		if !addressByte[c] {
			return false
		}
	}
	return len(b) > 0
}

// trimSpace cuts off blanks and control characters at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	return trimBreaks(b)
}

func trimBreaks(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}
