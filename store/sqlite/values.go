package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// ipValue returns an IP address as it is stored: an IPv4 address as a number, which takes half the
// space.
func ipValue(s string) any {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		b := a.As4()
		return int64(binary.BigEndian.Uint32(b[:]))
	}
	return null(store.Clean(s, store.MaxWord))
}

// ipText is the inverse of ipValue.
func ipText(v driver.Value) string {
	if n, ok := v.(int64); ok {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	return str(v)
}

// packHex returns the bytes of a lower-case hexadecimal text, and any other text unchanged.
func packHex(s string) any {
	if len(s) >= 8 && !strings.ContainsFunc(s, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') }) {
		if b, err := hex.DecodeString(s); err == nil {
			return b
		}
	}
	return s
}

// queueValue returns a queue id as it is stored. A hexadecimal one is stored as the number with the
// digit 1 in front, which takes half the space; any other as text.
func queueValue(s string) any {
	if n, ok := queueNumber(s); ok {
		return n
	}
	return store.Clean(s, store.MaxWord)
}

func queueNumber(s string) (n int64, ok bool) {
	if len(s) < 5 || len(s) > 14 {
		return 0, false
	}
	n = 1
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'A' <= c && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// queueText is the inverse of queueValue.
func queueText(v driver.Value) string {
	switch v := v.(type) {
	case int64:
		return strings.ToUpper(strconv.FormatInt(v, 16))[1:]
	case string:
		return v
	}
	return ""
}

func codeValue(n uint16) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// split returns the local part of an address with this domain.
func split(a, domain string) (local string) {
	if domain == "" {
		return a
	}
	if n := len(a) - len(domain); n > 0 && a[n-1] == '@' && a[n:] == domain {
		return a[:n-1]
	}
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		return a[:i]
	}
	return a
}

// join is the inverse of split.
func join(local, domain string) string {
	if domain == "" {
		return local
	}
	return local + "@" + domain
}

// own copies a text, which would otherwise keep all lines read with it in memory.
func own(v any) any {
	if s, ok := v.(string); ok {
		return strings.Clone(s)
	}
	return v
}

func sorted[K int64 | uint32, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func unix(at int64) time.Time { return time.Unix(at, 0).UTC() }

func str(v driver.Value) string {
	s, _ := v.(string)
	return s
}

func num(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func isFailed(o bounce.Outcome) bool { return o == bounce.Soft || o == bounce.Hard }

func when(v driver.Value) time.Time {
	n, ok := v.(int64)
	if !ok {
		return time.Time{}
	}
	return unix(n)
}

// idList returns a list of ids as JSON.
func idList(ids []int64) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String() + "]"
}
