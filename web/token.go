package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

// sessions admits one visitor with the token, and then every visitor with the cookie issued for it.
// Both live as long as the process.
type sessions struct {
	mu     sync.Mutex
	token  []byte // hash; nil once it was used
	cookie []byte // hash; nil once used
}

const cookieName = "bouncelog"

// NewToken returns a token that cannot be guessed.
func NewToken() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func hashed(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

func newSessions(token string) *sessions { return &sessions{token: hashed(token)} }

// redeem consumes the token and returns the value of the cookie for it.
func (x *sessions) redeem(token string) (value string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.token == nil || subtle.ConstantTimeCompare(hashed(token), x.token) != 1 {
		return "", false
	}
	value = NewToken()
	x.token, x.cookie = nil, hashed(value)
	return value, true
}

func (x *sessions) known(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cookie != nil && subtle.ConstantTimeCompare(hashed(c.Value), x.cookie) == 1
}

// admit refuses a visitor with neither the token nor the cookie. A link carries its own proof. Without
// a token, x is nil and admits everyone.
func (x *sessions) admit(next http.Handler) http.Handler {
	if x == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x.known(r) || strings.HasPrefix(r.URL.Path, "/link/") || strings.HasPrefix(r.URL.Path, "/static/") {
			next.ServeHTTP(w, r)
			return
		}
		if token := r.URL.Query().Get("token"); token != "" {
			if value, ok := x.redeem(token); ok {
				// No Secure: the token is for the loopback interface, without TLS.
				http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
				u := *r.URL
				q := u.Query()
				q.Del("token")
				u.RawQuery = q.Encode()
				// It redirects to a path, never to another host: "//evil.example" would be one.
				http.Redirect(w, r, "/"+strings.TrimLeft(u.RequestURI(), "/"), http.StatusSeeOther)
				return
			}
		}
		http.Error(w, "bouncelog needs the token that 'bouncelog serve' printed at its start, which is good once; start it again for a new one", http.StatusUnauthorized)
	})
}
