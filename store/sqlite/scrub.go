package sqlite

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// With pseudonyms, every text of a log is scrubbed before it is stored. Replies quote addresses and
// bare names in many ways, and an unparsed line may hold anything. Scrubbing replaces three things:
// the names in the attempt's addresses, in any spelling; the text before an "@"; and words in
// places where names are expected.

// names returns the local parts and logins of an attempt without pseudonyms, cleaned as for
// storage, the longest first.
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
			add(local[:i]) // a server may omit the extension
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return slices.Compact(names)
}

// scrub replaces personal names in a text if the database uses pseudonyms. names are names known to
// be involved; see secret.names. Scrubbing a text twice changes nothing more.
func (s *secret) scrub(text string, names []string) string {
	if s.pseudonym == nil {
		return text
	}
	for _, name := range names {
		text = store.ReplaceName(text, unquote(name), s.local(name))
	}
	text = encodedWord.ReplaceAllStringFunc(text, func(word string) string { // it may hold a name
		at := encodedWord.FindStringSubmatchIndex(word)
		return word[:at[2]] + s.local(word[at[2]:at[3]]) + word[at[3]:]
	})
	text = store.ReplaceInPaths(text, s.local)
	return store.ReplaceAnnounced(s.scrubAddresses(text), s.local) // replaced names stay
}

// encodedWord is text in base64 (RFC 2047 section 2).
var encodedWord = regexp.MustCompile(`=\?[\w-]+\?[Bb]\?([A-Za-z0-9+/]+=*)\?=`)

// scrubAddresses replaces the text before each "@", in any encoding.
func (s *secret) scrubAddresses(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		at := store.At(text[i:])
		if at == 0 {
			continue
		}
		end := i
		if coded := text[i] != '@'; coded {
			end = len(strings.TrimRight(text[:i], " ")) // "name (at) domain"
		}
		start := max(end, done)
		switch {
		case start > done && text[start-1] == '"':
			start = quoteStart(text, done, start-1)
		case text[i] != '@':
			for start > done && store.Atext(text[start-1]) && strings.IndexByte("=&?/", text[start-1]) < 0 {
				start--
			}
		default:
			for start > done && store.Atext(text[start-1]) {
				start--
			}
		}
		if start < end {
			local := text[start:end]
			if text[i] != '@' {
				local = store.Decoded(local)
			}
			b.WriteString(text[done:start])
			b.WriteString(s.local(local))
			done = end
		}
		i += at - 1
	}
	b.WriteString(text[done:])
	return b.String()
}

// quoteStart returns the start of the quoted string that ends with the quote at end, but not before
// from. It returns end if there is no such string.
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

// shape returns an unparsed line as it is stored.
func (s *secret) shape(line string) string {
	if s.pseudonym == nil {
		return line
	}
	return store.Shape(line)
}

// by returns the login that acted on a whole message, as it is stored. Logins of the system stay
// unchanged.
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
