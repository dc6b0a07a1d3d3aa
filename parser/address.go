package parser

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// domainOf is the part after the last "@" (RFC 5321 section 4.1.2 lets the
// local part hold others, quoted), as it stands; empty for a bare local name.
func domainOf(addr string) string {
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		return addr[i+1:]
	}
	return ""
}

// normal returns an address with its domain in lower case and A-labels (RFC
// 5890), and the domain. The local part is left alone: its case may matter
// (RFC 5321 section 2.4).
func normal(addr string) (address, domain string) {
	i := len(addr) - 1
	normal := true
	for i >= 0 && addr[i] != '@' {
		normal = normal && plain[addr[i]]
		i--
	}
	if i < 0 {
		return addr, ""
	}
	d := addr[i+1:]
	if normal {
		return addr, d
	}
	if n := NormalDomain(d); n != d {
		return addr[:i+1] + n, n
	}
	return addr, d
}

// NormalDomain is a domain in lower case, in A-labels if it can be.
func NormalDomain(d string) string {
	if !utf8.ValidString(d) {
		b := []byte(d)
		for i, c := range b {
			if c-'A' < 26 {
				b[i] = c + 'a' - 'A'
			}
		}
		return string(b)
	}
	for i := 0; i < len(d) && len(d) <= 1024; i++ {
		if d[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(d); err == nil {
				d = a
			}
			break
		}
	}
	return strings.ToLower(d)
}

// plain are the bytes that stand in a normal domain.
var plain = func() (t [256]bool) {
	for c := range 0x80 {
		t[c] = c < 'A' || c > 'Z'
	}
	return t
}()

// endOfAddress is the index of the ">" that ends an address in angle
// brackets, of which s is what follows the "<". A ">" within a quoted local
// part does not count (RFC 5321 section 4.1.2). It is -1 where there is none.
func endOfAddress(s string) int {
	i := 0
	if len(s) > 0 && s[0] == '"' {
		if j := endOfQuoted(s); j > 0 {
			i = j
		}
	}
	if j := strings.IndexByte(s[i:], '>'); j >= 0 {
		return i + j
	}
	return -1
}

// endOfQuoted is the index after the quote that closes the quoted string at
// the start of s, or 0.
func endOfQuoted(s string) int {
	// Few quoted strings hold a backslash.
	i := 1 + strings.IndexByte(s[1:], '"')
	if i == 0 {
		return 0
	}
	j := strings.IndexByte(s[:i], '\\')
	if j < 0 {
		return i + 1
	}
	for i = j; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
