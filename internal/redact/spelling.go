package redact

import (
	"encoding/base64"
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A reply may spell a name in many ways: in another case, with other separators, without accents,
// in full-width letters, encoded as in URLs, quoted-printable, HTML or C, and in several layers of
// these. The name and the text are both folded for comparison, and the text is decoded layer by
// layer.

// maxLayers is how many times a character may be encoded: "%252540" is an "@".
const maxLayers = 3

// Name replaces each spelling of a name in a text by another text, if it is a whole word. A
// name that is also a word of replies is replaced in quotes and brackets only.
func Name(text, name, replacement string) string {
	want := strings.Trim(foldText(name), " ")
	if len(want) < 2 {
		return text
	}
	letters := len(want) - strings.Count(want, " ")
	isWord := replyWords[strings.ToLower(name)] || letters < 2
	isWhole := strings.Contains(want, " ") && letters >= 8 // no word of any language contains it
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < 0x80 && strings.IndexByte("%=&\\", c) < 0 && lowerByte(c) != want[0] || !utf8.RuneStart(c) || !isWhole && !begins(text, i, letters) {
			continue
		}
		end := i + spells(text[i:], want, letters)
		if end == i || !isWhole && end < len(text) && continues(text[end-1], text[end], letters) || partOfLocal(text, i, end) {
			continue
		}
		if i > 0 && text[i-1] == '{' && end < len(text) && text[end] == '}' {
			continue // a token of a template
		}
		if isWord && !(i > 0 && strings.IndexByte("\"'`<(", text[i-1]) >= 0 && end < len(text) && strings.IndexByte("\"'`>)", text[end]) >= 0) {
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(replacement)
		done, i = end, end-1
	}
	b.WriteString(text[done:])
	return replaceBase64(b.String(), want, replacement)
}

// spells returns the length in bytes of the spelling of a folded name at the beginning of a text;
// 0: the text does not begin with the name.
func spells(text, name string, letters int) int {
	const maxSeparators, fewLetters = 3, 6
	i := 0
	for len(name) > 0 {
		separator := name[0] == ' '
		n := read(text[i:], func(r rune) bool {
			is := foldRune(r)
			if separator || is == " " {
				return separator && is == " "
			}
			if !strings.HasPrefix(name, is) {
				return false
			}
			name = name[len(is):]
			return true
		})
		switch {
		case n == 0 && !separator, i == 0 && n == 0:
			return 0
		case separator:
			if n == 0 && letters < fewLetters {
				return 0
			}
			for k := 0; n > 0 && k < maxSeparators; k++ {
				i += n
				n = read(text[i:], func(r rune) bool { return foldRune(r) == " " })
			}
			name = name[1:]
		default:
			i += n
		}
	}
	for {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !unicode.Is(unicode.Mn, r) {
			return i
		}
		i += n
	}
}

// read decodes the first character of a text with more and more layers until take accepts it. It
// returns the size of the character in the text, or 0.
func read(text string, take func(rune) bool) int {
	for layer := range maxLayers + 1 {
		r, n := character(text, layer)
		if n == 0 {
			break
		}
		if take(r) {
			return n
		}
	}
	return 0
}

// character decodes the first character of a text that is encoded in this many layers. It returns
// the character and its size in the text, or 0.
func character(text string, layers int) (r rune, size int) {
	if layers == 0 {
		if r, size = utf8.DecodeRuneInString(text); r == utf8.RuneError && size == 1 {
			r = rune(text[0])
		}
		return r, size
	}
	r, isByte, size := uncoded(text, layers)
	if !isByte || r < 0x80 {
		return r, size
	}
	buf := []byte{byte(r)}
	end := size
	for !utf8.FullRune(buf) {
		next, isByte, n := uncoded(text[end:], layers)
		if n == 0 || !isByte {
			return r, size // a character of ISO 8859-1
		}
		buf, end = append(buf, byte(next)), end+n
	}
	if whole, _ := utf8.DecodeRune(buf); whole != utf8.RuneError {
		return whole, end
	}
	return r, size
}

// uncoded decodes the beginning of a text through the layers. It returns a byte or a character, and
// its size in the text, or 0.
func uncoded(text string, layers int) (r rune, isByte bool, size int) {
	var c rune
	n := 0
	if layers > 1 {
		c, _, n = uncoded(text, layers-1)
	} else if len(text) > 0 {
		c, n = rune(text[0]), 1
	}
	if n == 0 {
		return 0, false, 0
	}
	rest := text[n:]
	switch c {
	case '%', '=':
		if v, ok := number(rest, 2, 16); ok {
			return v, true, n + 2
		}
	case '+':
		return ' ', false, n
	case '&':
		const longest = len("CounterClockwiseContourIntegral;")
		if end := strings.IndexByte(rest[:min(len(rest), longest)], ';'); end > 0 {
			is := html.UnescapeString("&" + rest[:end+1])
			if r, k := utf8.DecodeRuneInString(is); k == len(is) {
				return r, false, n + end + 1
			}
		}
	case '\\':
		if v, ok := number(rest, 3, 8); ok && v < 0x100 {
			return v, true, n + 3
		}
		if strings.HasPrefix(rest, "x") {
			if v, ok := number(rest[1:], 2, 16); ok {
				return v, true, n + 3
			}
		}
		if strings.HasPrefix(rest, "u") {
			if v, ok := number(rest[1:], 4, 16); ok {
				return v, false, n + 5
			}
		}
		if len(rest) > 0 {
			r, k := utf8.DecodeRuneInString(rest)
			return r, false, n + k
		}
	}
	return 0, false, 0
}

// number parses a number of this many digits.
func number(s string, digits, base int) (v rune, ok bool) {
	if len(s) < digits {
		return 0, false
	}
	for i := range digits {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if s[i] < 'A' {
			d = int(s[i]) - '0'
		}
		if d < 0 || d >= base {
			return 0, false
		}
		v = v*rune(base) + rune(d)
	}
	return v, true
}

// foldText folds a text for the comparison of names.
func foldText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if is := foldRune(r); is != " " || !strings.HasSuffix(b.String(), " ") {
			b.WriteString(is)
		}
	}
	return b.String()
}

// foldRune folds a character for the comparison of names: to a lower-case letter without accents,
// to nothing for an accent, to a space for a separator of name parts.
func foldRune(r rune) string {
	switch {
	case r < 0x80:
		if strings.IndexByte(" ._-+", byte(r)) >= 0 {
			return " "
		}
		return string(unicode.ToLower(r))
	case unicode.Is(unicode.Mn, r):
		return ""
	}
	switch unicode.ToLower(r) {
	case 'ß':
		return "ss"
	case 'ı':
		return "i"
	case 'ł':
		return "l"
	case 'ø':
		return "o"
	case 'đ':
		return "d"
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'ς':
		return "σ"
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(string(r)) {
		if r != utf8.RuneError && !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// replaceBase64 replaces each word whose base64 decoding contains a spelling of a name by replacement.
func replaceBase64(text, name, replacement string) string {
	const fewest = 5
	if len(name) < fewest {
		return text
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && (wordByte(text[i]) && text[i] < 0x80 || text[i] == '+' || text[i] == '/') {
			i++
		}
		if i-start < fewest*4/3 || strings.ToLower(text[start+1:i]) == text[start+1:i] && strings.IndexFunc(text[start:i], unicode.IsDigit) < 0 { // an ordinary word
			i = max(i, start+1)
			continue
		}
		word := text[start:i]
		if is, err := base64.RawStdEncoding.DecodeString(word[:len(word)-len(word)%4%2]); err == nil && strings.Contains(foldText(string(is)), name) {
			b.WriteString(text[done:start])
			b.WriteString(replacement)
			done = i
		}
	}
	return b.String() + text[done:]
}

// begins reports whether a word may begin at text[i].
func begins(text string, i, letters int) bool {
	if i == 0 || !continues(text[i-1], text[i], letters) {
		return true
	}
	const longest = len("%252540")
	for n := 3; n <= min(i, longest); n++ { // after an encoded character
		if strings.IndexByte("%=&\\", text[i-n]) < 0 {
			continue
		}
		for layers := 1; layers <= maxLayers; layers++ {
			if r, size := character(text[i-n:], layers); size == n && !unicode.IsLetter(r) {
				return true
			}
		}
	}
	return false
}

// continues reports whether b continues the word of a. Next to a name of at least five letters, a
// number is a separate word.
func continues(a, b byte, letters int) bool {
	const few = 5
	if letters >= few && isDigit(a) != isDigit(b) {
		return false
	}
	return wordByte(a) && wordByte(b)
}

// partOfLocal reports whether text[start:end] is a part of an unquoted local part.
func partOfLocal(text string, start, end int) bool {
	at := end
	for at < len(text) && Atext(text[at]) {
		at++
	}
	return at < len(text) && text[at] == '@' && (at > end || start > 0 && Atext(text[start-1]))
}

// At returns the length of the spelling of "@" at the beginning of a text, in any encoding; 0:
// none. An encoded "@" counts only before a domain.
func At(text string) int {
	if len(text) == 0 || strings.IndexByte("@%=&\\([", text[0]) < 0 && text[0] < 0x80 {
		return 0
	}
	if text[0] == '@' {
		return 1
	}
	isAt := func(r rune) bool { return foldRune(r) == "@" }
	n := read(text, isAt)
	for _, word := range [...]string{"(at)", "[at]"} {
		if len(text) > len(word) && strings.EqualFold(text[:len(word)], word) {
			n = len(word)
			n += len(text[n:]) - len(strings.TrimLeft(text[n:], " "))
		}
	}
	domain := n
	for domain < len(text) && (wordByte(text[domain]) || text[domain] == '-') {
		domain++
	}
	if n == 0 || domain == n || domain+1 >= len(text) || text[domain] != '.' || !wordByte(text[domain+1]) {
		return 0
	}
	return n
}

// Atext reports whether c may occur in an unquoted local part (RFC 5322 section 3.2.3).
func Atext(c byte) bool {
	return wordByte(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func wordByte(c byte) bool {
	return c >= 0x80 || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Decoded returns a text with its encodings decoded.
func Decoded(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := character(s, 1)
		if n < len("%20") {
			r, n = character(s, 0)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}
