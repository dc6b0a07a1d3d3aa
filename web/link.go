package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bouncelog/internal/ascii"
)

// A scope limits what a visitor may see. The zero value allows everything.
type scope struct {
	domain string    // of the senders, lower case; "": of all
	until  time.Time // expiry of a link
	base   string    // prefix of its URLs
}

// KeyLength is the minimum length of the key of links in bytes.
const KeyLength = 32

// A claim is the content of a link.
type claim struct {
	Domain string `json:"d"`
	Until  int64  `json:"u"` // Unix seconds
}

// errLink reports an invalid link. It gives no reason, so that trying links reveals nothing.
var errLink = errors.New("the link is not valid, or has expired")

// Link returns the path of a link to the mail of one sender domain that is valid until a time. It
// is signed (HMAC-SHA-256, RFC 2104) and not stored: a new key invalidates all links.
func Link(key []byte, senderDomain string, until time.Time) (string, error) {
	if len(key) < KeyLength {
		return "", errors.New("the key of links is too short")
	}
	payload, err := json.Marshal(claim{ascii.Lower(senderDomain), until.Unix()})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(payload)
	return "/link/" + text + "." + base64.RawURLEncoding.EncodeToString(sign(key, text)) + "/", nil
}

// sign returns the signature of a claim. The prefix separates it from other uses of the key.
func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("bouncelog link 1 " + text))
	return mac.Sum(nil)
}

// readLink verifies a link and returns its scope.
func readLink(key []byte, token string, now time.Time) (scope, error) {
	text, signature, ok := strings.Cut(token, ".")
	if len(key) < KeyLength || !ok || len(token) > 2048 {
		return scope{}, errLink
	}
	got, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(got, sign(key, text)) {
		return scope{}, errLink
	}
	payload, err := base64.RawURLEncoding.DecodeString(text)
	var c claim
	if err != nil || json.Unmarshal(payload, &c) != nil || c.Domain == "" {
		return scope{}, errLink
	}
	until := time.Unix(c.Until, 0)
	if !now.Before(until) {
		return scope{}, errLink
	}
	return scope{domain: c.Domain, until: until, base: "/link/" + token}, nil
}
