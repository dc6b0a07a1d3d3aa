// Package ascii folds the letters A to Z, and nothing else.
//
// Addresses, domains and host names are the same where they differ in the case of these
// letters alone (RFC 5321 section 2.4, RFC 4343). The folding of Unicode makes others
// the same too: the small letter of U+212A KELVIN SIGN is k. Whoever may choose an
// address could choose one that folds to somebody else's.
package ascii

// Lower is s with A to Z in lower case.
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
