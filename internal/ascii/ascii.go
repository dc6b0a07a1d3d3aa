// Package ascii changes the case of the letters A to Z and of no other characters.
//
// Addresses, domains and host names are equal if they differ only in the case of these letters (RFC
// 5321 section 2.4, RFC 4343). Unicode case folding makes more names equal: the lower case of
// U+212A KELVIN SIGN is k. An attacker could then choose an address that folds to somebody else's.
package ascii

// Lower returns s with A to Z in lower case.
func Lower(s string) string {
	for i := range len(s) {
		if upper(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				if upper(b[i]) {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
