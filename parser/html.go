package parser

import "bytes"

// entities are the character references that HTML escapers write (html/template, Python's
// html.escape, PHP's htmlspecialchars, browsers).
var entities = [...]struct {
	text string
	char byte
}{
	{"&lt;", '<'},
	{"&gt;", '>'},
	{"&amp;", '&'},
	{"&quot;", '"'},
	{"&apos;", '\''},
	{"&nbsp;", ' '},
	{"&#60;", '<'},
	{"&#62;", '>'},
	{"&#38;", '&'},
	{"&#34;", '"'},
	{"&#39;", '\''},
	{"&#039;", '\''},
	{"&#43;", '+'},
	{"&#x3c;", '<'},
	{"&#x3e;", '>'},
	{"&#x26;", '&'},
	{"&#x22;", '"'},
	{"&#x27;", '\''},
	{"&#x2f;", '/'},
}

// entity returns the character of the reference at the start of b, and the reference's length, or
// 0.
func entity(b []byte) (c byte, n int) {
	for _, e := range entities {
		if len(b) >= len(e.text) && bytes.EqualFold(b[:len(e.text)], []byte(e.text)) {
			return e.char, len(e.text)
		}
	}
	return 0, 0
}

// textOfHTML returns the text that a browser shows for a line of HTML. It returns false if the line
// is not HTML: in HTML, every angle bracket outside tags is a character reference. A line in which
// a stranger wrote a reference into an address or a reply also has unescaped brackets.
func (p *Parser) textOfHTML(line []byte) (text []byte, ok bool) {
	if !holdsReference(line) {
		return nil, false
	}
	b := p.untagged[:0]
	for rest := line; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			b = append(b, rest...)
			break
		}
		n := tag(rest[i:])
		if n == 0 {
			return nil, false
		}
		b = append(b, rest[:i]...)
		if hasPrefix(rest[i:], "</td>") || hasPrefix(rest[i:], "</th>") {
			b = append(b, ' ')
		}
		rest = rest[i+n:]
	}
	p.untagged = b
	if bytes.IndexByte(b, '>') >= 0 {
		return nil, false
	}
	p.unescaped = unescapeHTML(p.unescaped[:0], trimSpace(b))
	return p.unescaped, true
}

// holdsReference reports whether b holds a reference to an angle bracket.
func holdsReference(b []byte) bool {
	for i := 0; ; i++ {
		j := bytes.IndexByte(b[i:], '&')
		if j < 0 {
			return false
		}
		i += j
		if c, _ := entity(b[i:]); c == '<' || c == '>' {
			return true
		}
	}
}

// tag returns the length of the tag at the start of b, or 0. A tag with an attribute does not
// count, because an attribute could hide a stranger's text.
func tag(b []byte) int {
	const longest = 16
	i := 1
	if i < len(b) && b[i] == '/' {
		i++
	}
	first := i
	for i < len(b) && i < longest && alnum[b[i]] {
		i++
	}
	if i == first {
		return 0
	}
	for i < len(b) && (b[i] == ' ' || b[i] == '/') {
		i++
	}
	if i == len(b) || b[i] != '>' {
		return 0
	}
	return i + 1
}

// isHTML reports whether textOfHTML accepts a line.
func (p *Parser) isHTML(line []byte) bool {
	_, ok := p.textOfHTML(line)
	return ok
}

// unescapeHTML appends text to buf without its character references.
func unescapeHTML(buf, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return append(buf, text...)
		}
		buf, text = append(buf, text[:i]...), text[i:]
		c, n := entity(text)
		if n == 0 {
			c, n = '&', 1
		}
		buf, text = append(buf, c), text[n:]
	}
}
