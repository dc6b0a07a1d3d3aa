package sqlite

import (
	"fmt"
	"math"
	"strings"

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
	return s.hash.num(s.hash.add(1, fold(local)), uint64(domain))
}

func fold(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return lower(s)
		}
	}
	return s
}

// lower converts ASCII letters to lower case, as SQLite does.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
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
