package parser

import "bytes"

// entities are the character references that HTML is escaped with (those of html/template,
// of Python's html.escape, of PHP's htmlspecialchars and of browsers).
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

// entity is the character that b begins with a reference to, and the length of that, or 0.
func entity(b []byte) (c byte, n int) {
	for _, e := range entities {
		if len(b) >= len(e.text) && bytes.EqualFold(b[:len(e.text)], []byte(e.text)) {
			return e.char, len(e.text)
		}
	}
	return 0, 0
}

// isEscapedHTML reports text whose angle brackets are escaped as HTML wants it, all of
// them. A line in which a stranger wrote a character reference into an address or a reply
// has others.
func isEscapedHTML(b []byte) bool {
	if bytes.IndexByte(b, '&') < 0 || bytes.IndexByte(b, '<') >= 0 || bytes.IndexByte(b, '>') >= 0 {
		return false
	}
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
