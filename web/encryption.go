package web

import "strings"

// An encryption is how an attempt was encrypted, according to the log.
type encryption int

const (
	notSaid   encryption = iota
	inClear              // without TLS
	encrypted            // with any certificate
	verified             // with a certificate that DANE or the policy verified
	notKept              // the policy was violated, so nothing was sent
	kinds                // number of kinds
)

// encryptionOf derives the encryption from bounce.Delivery.TLS.
func encryptionOf(tls string) encryption {
	tls, _, _ = strings.Cut(tls, "/")
	switch {
	case tls == "" || strings.HasSuffix(tls, "?"):
		return notSaid
	case strings.Contains(tls, "!"):
		return notKept
	}
	if _, reached, ok := strings.Cut(tls, ":"); ok {
		tls = reached
	}
	switch tls {
	case "none":
		return inClear
	case "dane", "dane-only", "half-dane", "verify", "secure", "fingerprint":
		return verified
	}
	return encrypted
}

// String returns the word for an encryption in a URL.
func (e encryption) String() string {
	return [...]string{"unknown", "clear", "encrypted", "verified", "violated"}[e]
}
