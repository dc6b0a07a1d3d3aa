package sqlite

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/store"
)

// With pseudonyms no text of a log is stored before it was scrubbed: replies quote
// addresses and bare names in many ways, and a line that was not understood may hold
// anything. Three things are looked for: whatever stands before an "@"; the names that the
// attempt is about, in any quoting; and what follows the words that announce a name.

// names are the local parts, logins included, that an attempt is about, as they are stored
// but for the pseudonym; the longest first.
func (s *secret) names(a *bounce.Delivery) []string {
	if s.pseudonym == nil {
		return nil
	}
	var names []string
	add := func(local string) {
		local = store.Clean(local, store.MaxName)
		if len(local) > 1 && !isPseudonym(local, 'p') {
			names = append(names, local)
		}
	}
	for _, whole := range [...]string{a.Recipient, a.OriginalRecipient, a.Sender, a.SASLUser} {
		local := whole
		if i := strings.LastIndexByte(whole, '@'); i >= 0 {
			local = whole[:i]
		}
		add(local)
		if i := strings.IndexAny(local, "+@%!"); i > 0 {
			add(local[:i]) // a server may leave the extension away
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return slices.Compact(names)
}

// scrub replaces what names people in a text, where pseudonyms are wanted. Names are those
// that are known to be in question; see names. A text that was scrubbed stays as it is.
func (s *secret) scrub(text string, names []string) string {
	if s.pseudonym == nil {
		return text
	}
	for _, name := range names {
		text = s.scrubName(text, name)
	}
	text = encodedWord.ReplaceAllStringFunc(text, func(word string) string { // may hold a name
		at := encodedWord.FindStringSubmatchIndex(word)
		return word[:at[2]] + s.local(word[at[2]:at[3]]) + word[at[3]:]
	})
	text = store.ReplaceInPaths(text, s.local)
	return s.scrubAnnounced(s.scrubAddresses(text)) // what was replaced stays
}

// encodedWord is text in base64 (RFC 2047 section 2).
var encodedWord = regexp.MustCompile(`=\?[\w-]+\?[Bb]\?([A-Za-z0-9+/]+=*)\?=`)

// scrubAddresses replaces what stands before each "@", which may be written as in a URL.
func (s *secret) scrubAddresses(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		at := text[i] == '@'
		coded := !at && (strings.HasPrefix(text[i:], "%40") || strings.HasPrefix(text[i:], "=40"))
		if !at && !coded {
			continue
		}
		start := i
		switch {
		case start > done && text[start-1] == '"':
			start = quoteStart(text, done, start-1)
		case coded:
			for start > done && atext(text[start-1]) && strings.IndexByte("=&?/", text[start-1]) < 0 {
				start--
			}
		default:
			for start > done && atext(text[start-1]) {
				start--
			}
		}
		b.WriteString(text[done:start])
		local := text[start:i]
		if coded {
			local = decoded(local)
		}
		b.WriteString(s.local(local))
		done = i
	}
	b.WriteString(text[done:])
	return b.String()
}

// quoteStart is where the quoted string begins that ends with the quote at end; not before
// from. It is end where none does.
func quoteStart(text string, from, end int) int {
	for i := end - 1; i >= max(from, end-store.MaxName); i-- {
		if text[i] != '"' {
			continue
		}
		slashes := 0
		for i-1-slashes >= from && text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		if slashes == 1 && end > 0 && text[end-1] == '\\' { // both are escaped: \"name\"@
			return i - 1
		}
	}
	return end
}

// scrubName replaces a name wherever it stands by itself: in either case, in quotes or
// without, coded as in URLs, in quoted-printable, or with backslashes.
func (s *secret) scrubName(text, name string) string {
	stands := s.local(name)
	want := unquote(name)
	if want == "" {
		return text
	}
	quotedOnly := len(want) < 2 || commonWords[strings.ToLower(want)]
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if !boundary(text, i) {
			continue
		}
		end := i + matchName(text[i:], want)
		if end == i || end < len(text) && wordByte(text[end]) {
			continue
		}
		if longerLocal(text, i, end) {
			continue // another address: see scrubAddresses
		}
		if i > 0 && text[i-1] == '{' && end < len(text) && text[end] == '}' {
			continue // a token of a template
		}
		if quotedOnly && !(i > 0 && strings.IndexByte("\"'`<(", text[i-1]) >= 0 && end < len(text) && strings.IndexByte("\"'`>)", text[end]) >= 0) {
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(stands)
		done, i = end, end-1
	}
	b.WriteString(text[done:])
	return b.String()
}

// longerLocal reports whether text[start:end] is a part of an unquoted local part.
func longerLocal(text string, start, end int) bool {
	at := end
	for at < len(text) && atext(text[at]) {
		at++
	}
	return at < len(text) && text[at] == '@' && (at > end || start > 0 && atext(text[start-1]))
}

// commonWords are local parts that are words of replies too: they name no person, and
// without them a reply says nothing any more.
var commonWords = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(`a an and are as at be by do does for from has i id in is it mx no not of off ok on or our re smtp so the this to up us was we you your
		abuse account address admin administrator billing bounce bounces contact data domain error hello help host hostmaster info invalid list lists local mail
		mailbox mailer-daemon message messages name network news newsletter no-reply noreply office postmaster quota recipient reject rejected remote reply
		root sales security sender server service spam support system test unknown user webmaster`) {
		m[w] = true
	}
	return m
}()

// matchName returns how many bytes of text spell name, in any coding; 0: it begins otherwise.
func matchName(text, name string) int {
	i := 0
	for n := 0; n < len(name); n++ {
		if i >= len(text) {
			return 0
		}
		if r, size := utf8.DecodeRuneInString(name[n:]); r >= 0x80 && r != utf8.RuneError {
			is, read := codedRune(text[i:])
			if unicode.ToLower(is) != unicode.ToLower(r) {
				return 0
			}
			i, n = i+read, n+size-1
			continue
		}
		if a, b := lowerByte(text[i]), lowerByte(name[n]); a == b || separator(a) && separator(b) {
			i++
			continue
		}
		c, size := codedByte(text[i:])
		if c = lowerByte(c); size == 0 || c != lowerByte(name[n]) && !(separator(c) && separator(name[n])) {
			return 0
		}
		i += size
	}
	return i
}

// codedRune returns the character that text begins with, in any coding, and its size in text.
func codedRune(text string) (r rune, size int) {
	var b []byte
	for len(b) < utf8.UTFMax && !utf8.FullRune(b) && size < len(text) {
		c, n := codedByte(text[size:])
		if n == 0 {
			c, n = text[size], 1
		}
		b = append(b, c)
		size += n
	}
	r, _ = utf8.DecodeRune(b)
	return r, size
}

// codedByte returns a byte and how many bytes code it; 0: none does.
func codedByte(text string) (c byte, size int) {
	if len(text) >= 3 && (text[0] == '%' || text[0] == '=') {
		hi, lo := hexDigit(text[1]), hexDigit(text[2])
		if hi >= 0 && lo >= 0 {
			return byte(hi<<4 | lo), 3
		}
	}
	if len(text) >= 4 && text[0] == '\\' && '0' <= text[1] && text[1] <= '3' && '0' <= text[2] && text[2] <= '7' && '0' <= text[3] && text[3] <= '7' {
		return (text[1]-'0')<<6 | (text[2]-'0')<<3 | text[3] - '0', 4
	}
	if len(text) >= 2 && text[0] == '\\' {
		return text[1], 2
	}
	if len(text) >= 1 && text[0] == '+' {
		return ' ', 1
	}
	return 0, 0
}

// separator reports whether c may stand for another such character: "John Smith" is
// john.smith somewhere else.
func separator(c byte) bool { return strings.IndexByte(" ._-+", c) >= 0 }

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// decoded is a text without its coding as in URLs.
func decoded(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if c, size := codedByte(s); size == 3 {
			b.WriteByte(c)
			s = s[size:]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// boundary reports whether a word may begin at text[i].
func boundary(text string, i int) bool {
	if i == 0 || !wordByte(text[i-1]) {
		return true
	}
	if i >= 3 {
		if _, size := codedByte(text[i-3:]); size == 3 {
			return true
		}
	}
	return false
}

func wordByte(c byte) bool {
	return c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// announced are the words that a name follows: in quotes or brackets, at the end of the text, or
// before the words that say that there is nobody of that name.
var announced = [...]*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(?:user|username|mailbox|account|recipient|login|alias|addressee|person|name|member)(?: unknown| is| name| not found| id)*[\s:=]*["'` + "`" + `<(\[]+([^"'` + "`" + `<>()\[\]{}@]{2,64})["'` + "`" + `>)\]]`),
	regexp.MustCompile(`(?i)\b(?:unknown|no such|invalid|unrouteable|nonexistent) (?:local )?(?:user|username|mailbox|account|recipient|address|person)\s*:\s*([^\s"'<>(){}@:;,]{2,64})`),
	regexp.MustCompile(`(?i)\b(?:user|username|mailbox|account|recipient)\s+([^\s"'<>(){}@:;,]{2,64})\s+(?:is |was )?(?:unknown|not found|not known|does not exist|doesn't exist|not exist|over quota|disabled|suspended|inactive)\b`),
}

func (s *secret) scrubAnnounced(text string) string {
	for _, r := range announced {
		found := r.FindAllStringSubmatchIndex(text, -1)
		if found == nil {
			continue
		}
		var b strings.Builder
		done := 0
		for _, at := range found {
			name := text[at[2]:at[3]]
			if commonWords[strings.ToLower(strings.Trim(name, "."))] {
				continue
			}
			b.WriteString(text[done:at[2]])
			b.WriteString(s.local(name))
			done = at[3]
		}
		b.WriteString(text[done:])
		text = b.String()
	}
	return text
}

// shape is a line of the log that was not understood, as it is stored.
func (s *secret) shape(line string) string {
	if s.pseudonym == nil {
		return line
	}
	return store.Shape(line)
}

// atext reports whether c may stand in an unquoted local part (RFC 5322 3.2.3).
func atext(c byte) bool {
	return c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

// by is who did something with a message as a whole, as it is stored: a login, unless it is
// one of the system's.
func (s *secret) by(who string) string {
	who = store.Clean(who, store.MaxName)
	switch {
	case s.pseudonym == nil, who == "root", who == "postsuper", who == "cleanup", strings.HasPrefix(who, "-"):
		return who
	case strings.ContainsAny(who, " <>@\"'"):
		return s.scrub(who, nil)
	}
	return s.local(who)
}
