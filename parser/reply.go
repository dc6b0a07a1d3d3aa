package parser

import (
	"strings"
	"unicode/utf8"
)

// unprint reverses Exim's string_printing of a remote server's text: line ends, written as \n,
// become blanks, so that bounce.JoinReply understands them. Other escapes stay, except those of
// non-ASCII bytes that form UTF-8.
func unprint(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	high := false
	for i := 0; i < len(s); i++ {
		n := strings.IndexByte(s[i:], '\\')
		if n < 0 {
			n = len(s) - i
		}
		b = append(b, s[i:i+n]...)
		if i += n; i+1 >= len(s) {
			b = append(b, s[i:]...)
			break
		}
		switch {
		case s[i+1] == 'n':
			b = append(b, ' ')
			i++
		case s[i+1] == '\\':
			b = append(b, '\\')
			i++
		case i+3 < len(s) && (s[i+1] == '2' || s[i+1] == '3') && s[i+2]-'0' < 8 && s[i+3]-'0' < 8:
			b = append(b, s[i+1]<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			high = true
			i += 3
		default:
			b = append(b, '\\')
		}
	}
	if high && !utf8.Valid(b) {
		return strings.ReplaceAll(s, `\n`, " ")
	}
	return string(b)
}

// decimal reads a number of digits with at most one point.
func decimal(s string) (f float64, ok bool) {
	if s == "" || len(s) > 16 {
		return 0, false
	}
	n, i := int64(0), 0
	for i < len(s) && isDigit(s[i]) {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if i == len(s) {
		return float64(n), true
	}
	if s[i] != '.' {
		return 0, false
	}
	scale := int64(1)
	for i++; i < len(s) && isDigit(s[i]); i++ {
		n = n*10 + int64(s[i]-'0')
		scale *= 10
	}
	if i < len(s) {
		return 0, false
	}
	if n == 0 { // the case of most delays: a division is slow
		return 0, true
	}
	return float64(n) / float64(scale), true
}
