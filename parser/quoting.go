package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode"

	"bouncelog/bounce"
)

// Lines copied from programs, wikis and word processors have quotes round them and no-break spaces.

// closing maps an opening quote to the closing one.
var closing = map[string]string{"\"": "\"", "'": "'", "`": "`", "\u201c": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019", "\u00ab": "\u00bb"}

// mayBeQuoted is a cheap test for lines that unquote, typewritten and misread change.
func mayBeQuoted(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	c, head := line[0], line[:min(len(line), headerWidth)]
	return c >= 0x80 || c == '"' || c == '\'' || c == '`' ||
		bytes.IndexByte(head, 0xc2) >= 0 || bytes.Contains(head, []byte("M-BM- ")) || bytes.IndexByte(head, 0xe2) >= 0 || bytes.IndexByte(head, 0xe3) >= 0 // see isWideBlank
}

// endsCopied reports whether a line whose last two bytes are a and b may end with text that
// trimCopied cuts off.
func endsCopied(a, b byte) bool {
	return b == '>' && (a|0x20 == 'r' || a == '/') || b == 'M' && a == '^' || b == '$' && a == 'M'
}

// trimCopied cuts off the text that a copy leaves at the end of a line: the line break of HTML, and
// a carriage return as editors and cat -A show it.
func trimCopied(line []byte) []byte {
	for {
		n := len(line)
		for _, end := range [...]string{"^M", "^M$", "<br>", "<br/>", "<br />"} {
			if at := len(line) - len(end); at > 0 && strings.EqualFold(string(line[at:]), end) {
				line = trimBreaks(line[:at])
			}
		}
		if len(line) == n {
			return line
		}
	}
}

// headerWidth is the approximate length of the times at the beginning of a line.
const headerWidth = len("2026-11-23T09:47:06.123456+01:00  ")

// unquote returns the text between the quotes at both ends of a line. A comma may follow the
// closing quote. A JSON string is unescaped.
func (p *Parser) unquote(line []byte) (text []byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte(","))
	for _, n := range [...]int{1, 2, 3} {
		if len(line) <= 2*n {
			break
		}
		end, known := closing[string(line[:n])]
		if !known || !bytes.HasSuffix(line, []byte(end)) {
			continue
		}
		if n == 1 && line[0] == '"' && closingQuote(line, 1) == len(line)-1 {
			p.plainer = p.plainer[:0]
			if cap(p.plainer) < len(line) {
				p.plainer = make([]byte, 0, len(line))
			}
			text, lost := p.oneLine(trimSpace(unescapeJSON(line[1:len(line)-1], &p.plainer)))
			return text, !lost
		}
		return trimSpace(line[n : len(line)-len(end)]), true
	}
	return nil, false
}

// record converts a record that Fluent Bit's output "stdout" prints to a line of JSON: [0] TAG:
// [[TIME, {}], {"log":"…"}], or {"log"=>"…"}. The second format escapes nothing, so in a record
// with several fields the end of a field is not known.
func (p *Parser) record(line []byte) (text []byte, ok bool) {
	const arrow, end = `"=>"`, `"}]`
	number, rest, _ := bytes.Cut(line, []byte("] "))
	tag, rest, found := bytes.Cut(rest, []byte(": ["))
	if len(number) < 2 || number[0] != '[' || !allDigits(number[1:]) || !found || bytes.IndexByte(tag, ' ') >= 0 || !bytes.HasSuffix(rest, []byte(end)) {
		return nil, false
	}
	at, rest, _ := bytes.Cut(bytes.TrimLeft(rest, "["), []byte(", "))
	rest = bytes.TrimPrefix(rest, []byte("{}], "))
	b := append(append(append(p.recordText[:0], at...), ' '), tag...)
	if i := bytes.IndexByte(rest, ':'); i > 0 && rest[i-1] == '"' && bytes.IndexByte(rest[2:i-1], '"') < 0 { // this format is escaped
		p.recordText = append(append(b, '\t'), rest[:len(rest)-1]...)
		return p.recordText, true
	}
	key, value, found := bytes.Cut(bytes.TrimSuffix(rest, []byte(end)), []byte(arrow))
	if _, n := scanStamp(at); !found || n < len(at) || len(key) < 3 || string(key[:2]) != `{"` || bytes.IndexByte(key[2:], '"') >= 0 || bytes.Contains(value, []byte(`"=>`)) {
		return nil, false
	}
	b = append(append(append(b, "\t{\""...), key[2:]...), `":"`...)
	p.recordText = append(appendEscaped(b, value), `"}`...)
	return p.recordText, true
}

// isOctal reports whether b begins with a non-ASCII byte in octal, like \303.
func isOctal(b []byte) bool {
	return len(b) > 3 && b[0] == '\\' && (b[1] == '2' || b[1] == '3') && b[2]-'0' < 8 && b[3]-'0' < 8
}

// holdsVis reports whether s holds a character of several bytes that unvis decodes. Domains are in
// lower case.
func holdsVis(s string) bool {
	for i := 0; i+6 <= len(s); i++ {
		if s[i] == '\\' && i+8 <= len(s) && isOctal([]byte(s[i:i+4])) && isOctal([]byte(s[i+4:i+8])) {
			return true
		}
		if s[i]|0x20 == 'm' && s[i+1] == '-' && s[i+2]|0x20-'b' < 'u'-'b' && s[i+3]|0x20 == 'm' && s[i+4] == '-' && (s[i+5] == '^' || s[i+5] < '@') {
			return true
		}
	}
	return false
}

// spoiltByVis reports whether an address shows non-ASCII bytes as cat -v, less or vis(3) do, and is
// none as it stands. If it is one, it is not decoded: mM-CM-6bel.example is a domain, too, and
// anybody may send mail to it to have another one suppressed.
func spoiltByVis(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || address[0] == '"' || !holdsVis(address) {
		return false
	}
	return !plainLocal(address[:at]) || !bounce.IsHostName(address[at+1:])
}

// invisible are zero-width characters at the beginning of a copied text.
var invisible = []string{"\ufeff", "\u200b", "\u200e", "\u200f", "\u2060", "\u202a", "\u202c"}

// typewritten replaces no-break spaces in a line by blanks and removes invisible characters at its
// start. It returns false if the line's header has neither, because the text after the header may
// be a stranger's.
func (p *Parser) typewritten(line []byte) (text []byte, ok bool) {
	text = line
	for i := 0; i < len(invisible); i++ {
		if rest, found := bytes.CutPrefix(text, []byte(invisible[i])); found {
			text, i = rest, -1
		}
	}
	if shown := []byte("M-BM- "); bytes.Contains(text[:min(len(text), headerWidth)], shown) { // by cat -v
		p.plainer = append(p.plainer[:0], bytes.ReplaceAll(text, shown, []byte(" "))...)
		return trimSpace(p.plainer), true
	}
	if bytes.ContainsFunc(text[:min(len(text), headerWidth)], isWideBlank) {
		p.plainer = appendBlanked(p.plainer[:0], text)
		return trimSpace(p.plainer), true
	}
	return text, len(text) < len(line)
}

// appendBlanked appends text with blanks for its non-ASCII ones. If these are no-break spaces only, as nearly
// always, it takes a third of the instructions of bytes.Map.
func appendBlanked(b, text []byte) []byte {
	const first, last = 0xe1, 0xe3 // bytes of the other ones
	if bytes.IndexByte(text, first) >= 0 || bytes.IndexByte(text, first+1) >= 0 || bytes.IndexByte(text, last) >= 0 {
		return append(b, bytes.Map(func(r rune) rune {
			if isWideBlank(r) {
				return ' '
			}
			return r
		}, text)...)
	}
	b = append(b, text...)
	n := 0
	for i := 0; i < len(text); i++ {
		for len(text)-i >= 8 { // most words are ASCII
			x := binary.LittleEndian.Uint64(text[i:])
			binary.LittleEndian.PutUint64(b[n:], x)
			ascii := bits.TrailingZeros64(x&0x8080808080808080) / 8
			i, n = i+ascii, n+ascii
			if ascii < 8 {
				break
			}
		}
		if i == len(text) {
			break
		}
		c := text[i]
		if c == 0xc2 && i+1 < len(text) && text[i+1] == 0xa0 {
			c = ' '
			i++
		}
		b[n] = c
		n++
	}
	return b[:n]
}

// isWideBlank reports whether r is a non-ASCII blank, which word processors insert.
func isWideBlank(r rune) bool {
	return r == '\u00a0' || r > '\u00a0' && unicode.Is(unicode.Zs, r)
}

// mayShowMarkup is a cheap test for showsMarkup. It takes one branch for all bytes.
func mayShowMarkup(to string) bool {
	var marks uint8
	rest := to
	for ; len(rest) > 4; rest = rest[4:] {
		marks |= markup[rest[0]] | markup[rest[1]] | markup[rest[2]] | markup[rest[3]]
	}
	for i := range len(rest) {
		marks |= markup[rest[i]]
	}
	if marks == hyphen {
		for at := 1; at < len(to); at++ {
			i := strings.IndexByte(to[at:], '-')
			if i < 0 {
				return false
			}
			if at += i; to[at-1]|0x20 == 'm' {
				return true
			}
		}
		return false
	}
	return marks != 0
}

// markup has a bit for each byte that is in every recipient for which showsMarkup returns true.
var markup = func() (set [256]uint8) {
	for c := range set {
		if c >= 0x80 || strings.IndexByte("[:*`\\", byte(c)) >= 0 {
			set[c] = 1
		}
	}
	set['-'] = hyphen // only behind an m
	return set
}()

const hyphen = 2

// closingMark returns the mark that closes an opening one: the bracket, or the mark itself.
func closingMark(c byte) byte {
	if c == '[' {
		return ']'
	}
	return c
}

// showsMarkup reports whether a recipient holds one of these: a terminal sequence as cat -v and
// less show it, usually the colour of a match; the link that a mail program made of the address;
// the marks of Markdown round it; or a zero-width character, at which word processors may break a
// line.
func showsMarkup(ds []bounce.Delivery) bool {
	for i := range ds {
		to := ds[i].Recipient
		if !mayShowMarkup(to) {
			continue
		}
		if spoiltByVis(to) || strings.ContainsFunc(to, func(r rune) bool { return r > 0x7f && (r == '\u00ad' || unicode.Is(unicode.Cf, r)) }) || strings.Contains(to, "](mailto:") ||
			len(to) > 2 && (to[0] == '*' || to[0] == '`' || to[0] == '[') && to[len(to)-1] == closingMark(to[0]) {
			return true
		}
		if at := strings.IndexByte(to, '['); at >= 2 && (to[at-1] == '^' || to[at-2:at] == "^[" || at >= 3 && strings.EqualFold(to[at-3:at], "esc")) {
			return true
		}
		if i := strings.IndexByte(to, ':'); i > 0 {
			if i = strings.Index(to, "mailto:"); i > 0 && (to[i-1] == '<' || to[i-1] == '(') {
				return true
			}
		}
	}
	return false
}
