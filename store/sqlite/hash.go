package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"strings"
)

// A hasher is a keyed 64-bit hash. The key is created with the database and stored in it, so that
// nobody can choose addresses that collide.
type hasher struct{ a, b uint64 }

func newHasher(key []byte) hasher {
	var k [16]byte
	copy(k[:], key)
	return hasher{binary.LittleEndian.Uint64(k[:8]) | 1, binary.LittleEndian.Uint64(k[8:]) | 1}
}

func newKey() []byte {
	k := make([]byte, 32)
	rand.Read(k) // never fails
	return k
}

// add adds s to the hash h. It includes the length, so that ("ab", "c") and ("a", "bc") differ.
func (k hasher) add(h uint64, s string) uint64 { return addTo(k, h, s) }

func addTo[S string | []byte](k hasher, h uint64, s S) uint64 {
	n := len(s)
	h ^= uint64(n) * 0x9e3779b97f4a7c15
	switch {
	case n >= 8:
		end := s[n-8:] // the last bytes overlap bytes already added
		for len(s) > 8 {
			h = k.mix(h, load64(s))
			s = s[8:]
		}
		return k.mix(h, load64(end))
	case n >= 4:
		return k.mix(h, load32(s)|load32(s[n-4:])<<32)
	case n > 0:
		return k.mix(h, uint64(s[0])|uint64(s[n/2])<<8|uint64(s[n-1])<<16)
	}
	return k.mix(h, 0)
}

// load64 and load32 return the first 8 and 4 bytes as a number; the compiler makes one load of each.
func load64[S string | []byte](s S) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32[S string | []byte](s S) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// address returns the hash of an address and its domain.
func (k hasher) address(whole, domain string) uint64 {
	h := k.add(10, whole)
	if domain == "" || !strings.HasSuffix(whole, domain) {
		h = k.add(h, domain)
	}
	return h
}

// route returns the hash of a recipient's domain and a relay.
func (k hasher) route(domain, host, ip string, port uint16) uint64 {
	return k.num(k.add(k.add(k.add(11, domain), host), ip), uint64(port))
}

func (k hasher) num(h, n uint64) uint64 { return k.mix(h, n) }

func (k hasher) mix(h, w uint64) uint64 {
	hi, lo := bits.Mul64(h^w^k.a, k.b^bits.RotateLeft64(w, 32))
	return hi ^ lo ^ h
}
