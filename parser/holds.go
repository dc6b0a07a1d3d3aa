package parser

import (
	"bytes"
	"strings"
)

// holdsDelivery reports whether a line holds the parts of a delivery line, in any wrapper.
func holdsDelivery(line []byte) bool {
	if holdsPlainly(line) {
		return true
	}
	for range maxNested {
		if !holdsEscapes(line) {
			return false
		}
		var buf []byte
		if line = unescapeJSON(line, &buf); bytes.IndexByte(line, 0) >= 0 {
			line = bytes.ReplaceAll(line, []byte{0}, nil) // of UTF-16
		}
		if holdsPlainly(line) {
			return true
		}
	}
	return false
}

// unparsedDelivery returns the kind of a text that is not read: Unparsed if it holds a delivery, else
// Skipped.
func unparsedDelivery(text []byte) Kind {
	if holdsDelivery(text) {
		return Unparsed
	}
	return Skipped
}

// holdsEscapes reports whether b holds backslash escapes (JSON, Markdown) of characters that need
// none. JSON within JSON escapes the backslash.
func holdsEscapes(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			return false
		}
		if c := b[i+1]; c == 'u' || c == '<' || c == '=' || c == '>' || c == '*' || c == '-' {
			return true
		}
		b = b[i+1:]
	}
}

// holdsPlainly is holdsDelivery for text in which no escapes hide the words or the punctuation.
func holdsPlainly(line []byte) bool {
	if i := eximIDIn(line); i >= 0 && eximGrammar().anywhere.Match(line[i:]) {
		return true // if the first match fails, the later ones fail too
	}
	for rest := line; ; {
		i := bytes.IndexByte(rest, '=')
		if i < 0 {
			return false
		}
		if i >= 2 && rest[i-1] == 'o' && rest[i-2] == 't' && bracket(rest[i+1:]) > 0 {
			return bytes.Contains(rest[i:], []byte("status=")) || isBroken(line)
		}
		rest = rest[i+1:]
	}
}

// eximIDIn returns the index of the first Exim message id in b, or -1.
func eximIDIn(b []byte) int {
	for at := 6; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], '-')
		if i < 0 {
			break
		}
		if at += i; looksEximID(b[at-6:]) {
			return at - 6
		}
	}
	return -1
}

// holdsEximID reports whether b holds an Exim message id.
func holdsEximID(b []byte) bool { return eximIDIn(b) >= 0 }

// holdsSign reports whether b holds an Exim message id or an address in a field of any name.
func holdsSign(b []byte) bool {
	if holdsEximID(b) {
		return true
	}
	for {
		i := bytes.IndexByte(b, '=')
		if i < 0 || bracket(b[i+1:]) > 0 {
			return i >= 0
		}
		b = b[i+1:]
	}
}

// looksEximID is a cheap test for the ids that eximID reads; b[6] must be a hyphen.
func looksEximID(b []byte) bool {
	return len(b) >= 16 && (b[13] == '-' || len(b) >= 23 && b[18] == '-') && alnum[b[0]] && alnum[b[5]] && alnum[b[7]]
}

// bracket returns the length of a "<" that begins a value, or 0. It also recognises the escapes of
// JSON, HTML, URLs and quoted-printable, including quoted-printable's escape of the equals sign
// before it.
func bracket(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '<':
		return 1
	case '\\', '&', '%':
		return escapedBracket(b)
	case '3':
		if hasPrefix(b, "3D<") {
			return 3
		}
	}
	return 0
}

// escapedBracket returns the length of an escaped "<" at the start of b, or 0.
func escapedBracket(b []byte) int {
	n := 0
	for n < len(b) && b[n] == '\\' {
		n++
	}
	switch rest := b[n:]; {
	case n > 0 && hasPrefix(rest, "u003") && len(rest) >= 5 && rest[4]|0x20 == 'c':
		return n + 5
	case n > 0 && hasPrefix(rest, "u0026"):
		n += 5
	case n == 0 && hasPrefix(rest, "&"):
		n++
	case n > 0:
		return 0
	}
	if n > 0 {
		for hasPrefix(b[n:], "amp;") { // escaped twice
			n += len("amp;")
		}
		for _, e := range entities {
			if name := e.text[1:]; e.char == '<' && len(b) >= n+len(name) && strings.EqualFold(string(b[n:n+len(name)]), name) {
				return n + len(name)
			}
		}
	}
	if len(b) >= 3 && b[0] == '%' && b[1] == '3' && b[2]|0x20 == 'c' {
		return 3
	}
	return 0
}

// isBroken reports whether a line of quoted-printable text continues on the next one.
func isBroken(line []byte) bool {
	return len(line) > 0 && line[len(line)-1] == '=' && bytes.Contains(line, []byte("=3D"))
}
