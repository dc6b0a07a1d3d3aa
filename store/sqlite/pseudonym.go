package sqlite

import (
	"fmt"
	"math"
	"strings"

	"bouncelog/internal/sqlite3"
)

// A secret is the keys of a database: of its hashes, and of its pseudonyms.
type secret struct {
	hash      hasher
	pseudonym *hasher // nil: addresses as they are
}

// readSecret reads the keys; both are missing in a new database.
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

// makeSecret reads the keys, and makes them in a new database.
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

// folded is the hash by which an address is looked up: recipients are asked
// for without regard to case.
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

// lower folds ASCII, as SQLite does.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// messageHash is the hash by which the attempts of a message are found; 0 without a message
// id.
func (s *secret) messageHash(id string) int64 {
	if id == "" {
		return 0
	}
	return max(int64(s.hash.add(40, clean(id, maxName))&math.MaxInt64), 1)
}

// local is a local part as it is stored.
func (s *secret) local(part string) string {
	part = clean(part, maxName)
	if s.pseudonym == nil || part == "" {
		return part
	}
	h := s.pseudonym.add(7, part)
	return fmt.Sprintf("p%013x", h>>12)
}

// scrub replaces the local parts in a text, where they have to be.
func (s *secret) scrub(text string) string {
	if s.pseudonym == nil {
		return text
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		start := at
		for start > 0 && atext(text[start-1]) {
			start--
		}
		b.WriteString(text[:start])
		b.WriteString(s.local(text[start:at]))
		b.WriteByte('@')
		text = text[at+1:]
	}
}

// atext reports whether c may stand in an unquoted local part (RFC 5322 3.2.3).
func atext(c byte) bool {
	return c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}
