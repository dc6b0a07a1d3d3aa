package sqlite

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/redact"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A secret holds the keys of a database, for its hashes and its pseudonyms.
type secret struct {
	hash      hasher
	pseudonym *hasher // nil: addresses are stored unchanged
}

// readSecret reads the keys; a new database has none.
func readSecret(c *sqlite3.Conn) (s secret, found bool, err error) {
	for _, key := range [...]struct {
		name string
		use  func(hasher)
	}{
		{"hash_key", func(h hasher) { s.hash, found = h, true }},
		{"pseudonym_key", func(h hasher) { s.pseudonym = &h }},
	} {
		v, err := c.One("SELECT value FROM meta WHERE key = ?", key.name)
		if err != nil {
			return s, false, err
		}
		if b, ok := v.([]byte); ok {
			key.use(newHasher(b))
		}
	}
	return s, found, nil
}

// makeSecret reads the keys, and creates them in a new database.
func makeSecret(c *sqlite3.Conn, pseudonymize bool) (secret, error) {
	s, found, err := readSecret(c)
	if err != nil || found {
		return s, err
	}
	if err := c.Run("INSERT INTO meta VALUES ('hash_key', ?)", newKey()); err != nil {
		return s, err
	}
	if pseudonymize {
		if err := c.Run("INSERT INTO meta VALUES ('pseudonym_key', ?)", newKey()); err != nil {
			return s, err
		}
	}
	s, _, err = readSecret(c)
	return s, err
}

// folded returns the hash by which an address is looked up, ignoring case.
func (s *secret) folded(local string, domain int64) uint64 {
	return s.hash.num(s.hash.add(1, ascii.Lower(local)), uint64(domain))
}

// messageHash returns the hash by which the attempts of a message are found; 0 without a
// Message-ID. It hashes the Message-ID as it is stored, so that a query may name the Message-ID or
// its pseudonym.
func (s *secret) messageHash(id string) int64 {
	if id == "" {
		return 0
	}
	return max(int64(s.hash.add(40, s.messageID(id))&math.MaxInt64), 1)
}

// local returns a local part as it is stored. A pseudonym stays unchanged, since the senders of
// queued messages are read back from the database.
func (s *secret) local(part string) string {
	part = store.Clean(part, store.MaxName)
	if s.pseudonym == nil || part == "" {
		return part
	}
	if is := unquote(part); isPseudonym(is, 'p') {
		return is
	}
	return fmt.Sprintf("p%013x", s.pseudonym.add(7, part)>>12)
}

// isPseudonym reports whether s is already a pseudonym of a kind.
func isPseudonym(s string, kind byte) bool {
	return len(s) == 14 && s[0] == kind && strings.Trim(s[1:], "0123456789abcdef") == ""
}

// address returns an address, or a name without a domain, as it is stored.
func (s *secret) address(whole string) string {
	whole = store.Clean(whole, 2*store.MaxName)
	if s.pseudonym == nil {
		return whole
	}
	if i := strings.LastIndexByte(whole, '@'); i >= 0 {
		return s.local(whole[:i]) + whole[i:]
	}
	return s.local(whole)
}

// login returns a login as it is stored. Text after the first "@" does not name a person.
func (s *secret) login(user string) string {
	user = store.Clean(user, store.MaxName)
	if s.pseudonym == nil {
		return user
	}
	local, rest, isAddress := strings.Cut(user, "@")
	if user = s.local(local); isAddress {
		user += "@" + rest
	}
	return user
}

// messageID returns a Message-ID as it is stored. It may contain the author's name.
func (s *secret) messageID(id string) string {
	id = store.Clean(id, store.MaxName)
	if s.pseudonym == nil || id == "" {
		return id
	}
	left, right := id, ""
	if i := strings.LastIndexByte(id, '@'); i >= 0 {
		left, right = id[:i], id[i:]
	}
	if left == "" || isPseudonym(left, 'm') {
		return id
	}
	return fmt.Sprintf("m%013x%s", s.pseudonym.add(8, left)>>12, right)
}

// unquote returns the meaning of a local part: without the quotes and backslashes of a quoted
// string (RFC 5321 section 4.1.2).
func unquote(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' && i+1 < len(local)-1 {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

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
		text = redact.Name(text, unquote(name), s.local(name))
	}
	text = encodedWord.ReplaceAllStringFunc(text, func(word string) string { // it may hold a name
		at := encodedWord.FindStringSubmatchIndex(word)
		return word[:at[2]] + s.local(word[at[2]:at[3]]) + word[at[3]:]
	})
	text = redact.Paths(text, s.local)
	return redact.Announced(s.scrubAddresses(text), s.local) // replaced names stay
}

// encodedWord is text in base64 (RFC 2047 section 2).
var encodedWord = regexp.MustCompile(`=\?[\w-]+\?[Bb]\?([A-Za-z0-9+/]+=*)\?=`)

// scrubAddresses replaces the text before each "@", in any encoding.
func (s *secret) scrubAddresses(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		at := redact.At(text[i:])
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
			for start > done && redact.Atext(text[start-1]) && strings.IndexByte("=&?/", text[start-1]) < 0 {
				start--
			}
		default:
			for start > done && redact.Atext(text[start-1]) {
				start--
			}
		}
		if start < end {
			local := text[start:end]
			if text[i] != '@' {
				local = redact.Decoded(local)
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
	return redact.Shape(line)
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
