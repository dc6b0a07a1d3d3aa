package store

import (
	"strings"
	"unicode/utf8"
)

// Largest lengths of stored texts, in bytes.
const (
	MaxResponse = 16 << 10
	MaxName     = 1 << 10 // domains, host names, local parts, message ids
	MaxWord     = 255
)

// Clean makes a text valid for any reader of a database: valid UTF-8, no control character below
// tab, at most limit bytes. A clean text is returned unchanged.
func Clean(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	s = strings.ToValidUTF8(cut(s, limit), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < '\t' {
			return utf8.RuneError
		}
		return r
	}, s)
	return cut(s, limit) // a replacement character is longer than what it replaces
}

// cut cuts a text to at most limit bytes, between two characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if utf8.RuneStart(s[len(s)-i]) {
			if !utf8.FullRuneInString(s[len(s)-i:]) {
				s = s[:len(s)-i]
			}
			break
		}
	}
	return s
}

// plain reports whether s contains only ASCII from tab to DEL. It checks eight bytes at a time: an
// attempt has about fifteen texts, nearly all of them plain.
func plain(s string) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | // one load
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (w|(w-9*each))&top != 0 { // subtracting 9 sets the top bit of the lowest byte below 9
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i]-9 >= 0x80-9 {
			return false
		}
	}
	return true
}
