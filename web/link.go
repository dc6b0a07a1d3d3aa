package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"bouncelog/internal/ascii"
)

// A scope is what a visitor may see. The zero value is everything.
type scope struct {
	domain string    // of the senders, lower case; "": of all
	until  time.Time // when a link ends
	base   string    // of its URLs
}

// allows reports whether a screen is shown in a scope. A link leaves out what is known
// from other senders' mail (suppress), names logins and clients, or is about the logs.
func (in scope) allows(screen string) bool {
	if in.domain == "" {
		return true
	}
	switch screen {
	case "", "now", "incidents", "providers", "domains", "queue", "trace", "replies", "attempts":
		return true
	}
	return false
}

// KeyLength is how long the key of links is at least, in bytes.
const KeyLength = 32

// A claim is what a link grants.
type claim struct {
	Domain string `json:"d"`
	Until  int64  `json:"u"` // Unix seconds
}

// errLink says that a link is not good. It does not say why: who tries links learns
// nothing.
var errLink = errors.New("the link is not valid, or has expired")

// Link is the path of a link that shows what became of the mail of one sender domain
// until a time. It is signed (HMAC-SHA-256, RFC 2104) and kept nowhere: a new key ends
// all links.
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

// sign is the signature of a claim. The prefix keeps it apart from anything else that
// might be signed with the key.
func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("bouncelog link 1 " + text))
	return mac.Sum(nil)
}

// readLink checks a link and says what it grants.
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

// serveLink shows a page in the scope of a link.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) {
	in, err := readLink(s.o.Key, r.PathValue("token"), s.o.Now())
	if err != nil {
		http.Error(w, errLink.Error(), http.StatusForbidden)
		return
	}
	s.servePage(w, r, in, r.PathValue("path"))
}
