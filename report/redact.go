package report

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"bouncelog/internal/ascii"
	"bouncelog/internal/redact"
	"bouncelog/problem"
	"bouncelog/store"
)

// Redact makes the report safe to publish. A keyed hash replaces the local part of every address
// and every login name, also in reply texts and log lines. Domains stay. Each run uses a new random
// key and discards it. So an address has the same hash throughout one report, but nobody can find
// the address by trial or compare two reports.
func (r *Report) Redact() error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("redact: %w", err)
	}
	d := &redactor{key: key}
	d.report(r)
	return nil
}

type redactor struct {
	key    []byte
	locals []string // local parts and logins that fill a field
}

var redactedName = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (d *redactor) hash(s string) string {
	m := hmac.New(sha256.New, d.key)
	m.Write([]byte(ascii.Lower(s)))
	return "r-" + redactedName.EncodeToString(m.Sum(nil)[:6])
}

// address redacts a text that is entirely an address or a login.
func (d *redactor) address(a string) string {
	if a == "" {
		return ""
	}
	local, domain := a, ""
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		local, domain = a[:i], a[i:]
	}
	if local = strings.Trim(local, `"`); len(local) >= 3 {
		d.locals = append(d.locals, local)
	}
	return d.hash(local+domain) + domain
}

// sender redacts the sender of most messages of a problem.
func (d *redactor) sender(m *problem.Mostly) {
	if m != nil {
		m.Address, m.Login = d.address(m.Address), d.address(m.Login)
	}
}

// text redacts in free text the addresses, the local parts known from other fields, and names at
// typical places.
func (d *redactor) text(s string) string {
	s = d.addresses(s)
	for _, local := range d.locals {
		s = redact.Name(s, local, d.hash(local))
	}
	name := func(name string) string {
		if redacted().MatchString(name) || strings.HasPrefix(name, "{") {
			return name
		}
		return d.hash(name)
	}
	s = redact.Announced(s, name)
	if strings.HasPrefix(s, "bouncelog ") { // a command contains paths of this host's logs
		return s
	}
	return redact.Paths(s, name)
}

// all redacts every text in v.
func (d *redactor) all(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(d.text(v.String()))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			d.all(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			d.all(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type() != reflect.TypeFor[time.Time]() {
				d.all(v.Field(i))
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if v.MapIndex(k).Kind() == reflect.String {
				v.SetMapIndex(k, reflect.ValueOf(d.text(v.MapIndex(k).String())).Convert(v.Type().Elem()))
			}
		}
	}
}

var redacted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^r-[a-z2-7]{10}$`) })

// addresses redacts every local part in s: the text before an @, in any encoding.
func (d *redactor) addresses(s string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); i++ {
		at := redact.At(s[i:])
		if at == 0 {
			continue
		}
		end := len(strings.TrimRight(s[:i], " "))
		if s[i] == '@' {
			end = i
		}
		start := max(localStart(s, end, s[i] != '@'), done)
		domain := i + at
		for domain < len(s) && domainByte(s[domain]) {
			domain++
		}
		if start < end && !redacted().MatchString(s[start:end]) {
			local := strings.Trim(s[start:end], `"`)
			if s[i] != '@' {
				local = redact.Decoded(local)
			}
			b.WriteString(s[done:start])
			b.WriteString(d.hash(local + "@" + strings.TrimRight(s[i+at:domain], ".")))
			done = end
		}
		i += at - 1
	}
	b.WriteString(s[done:])
	return b.String()
}

func domainByte(c byte) bool {
	return c >= 0x80 || c == '.' || c == '-' || c == '_' || c == '[' || c == ']' || c == ':' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// localStart returns the start of the local part that ends before s[at]. Before an encoded @, the
// local part may be the value of a URL's parameter.
func localStart(s string, at int, coded bool) int {
	if at > 0 && s[at-1] == '"' { // quoted: go back to the opening quote
		for j := at - 2; j >= 0; j-- {
			if s[j] == '"' && (j == 0 || s[j-1] != '\\') {
				return j
			}
		}
	}
	for j := at; j > 0; {
		r, n := utf8.DecodeLastRuneInString(s[:j])
		if coded && strings.ContainsRune("=&?/", r) || unicode.IsSpace(r) || strings.ContainsRune(`<>()[],;"`, r) || r == ':' && !strings.Contains(s[j:at], ":") {
			return j
		}
		j -= n
	}
	return 0
}

func (d *redactor) report(r *Report) {
	// Fields that are entirely an address come first: they give the words to look for.
	for i := range r.Recipients {
		r.Recipients[i].Recipient = d.address(r.Recipients[i].Recipient)
	}
	for i := range r.Pending {
		p := &r.Pending[i]
		p.Recipient = d.address(p.Recipient)
		if p.Sender != nil {
			sender := d.address(*p.Sender)
			p.Sender = &sender
		}
	}
	if r.Senders != nil {
		for i := range r.Senders.Senders {
			r.Senders.Senders[i].Key = d.address(r.Senders.Senders[i].Key)
		}
		for i := range r.Senders.SASLUsers {
			r.Senders.SASLUsers[i].Key = d.address(r.Senders.SASLUsers[i].Key)
		}
	}
	for i := range r.Changes {
		if m := r.Changes[i].Mail; m != nil {
			m.Sender, m.Recipient = d.address(m.Sender), d.address(m.Recipient)
		}
	}
	switch r.By {
	case store.ByRecipient, store.BySender, store.BySASLUser:
		for i := range r.Groups {
			r.Groups[i].Key = d.address(r.Groups[i].Key)
		}
	}
	if v := r.Verdict; v != nil {
		for _, list := range [...][]Incident{v.Act, v.Ended, v.EndedBefore, v.Later} {
			for i := range list {
				list[i].ID = d.hash(list[i].ID)
				d.sender(list[i].Sender)
			}
		}
	}
	for i := range r.Problems {
		r.Problems[i].ID = d.hash(r.Problems[i].ID) // a guessed login could be proven by the id, and the id would lead to other reports
		d.sender(r.Problems[i].Sender)
		for j := range r.Problems[i].ValidRecipients {
			r.Problems[i].ValidRecipients[j] = d.address(r.Problems[i].ValidRecipients[j])
		}
	}
	// Then the texts.
	d.all(reflect.ValueOf(r.Problems)) // all texts of a problem
	d.all(reflect.ValueOf(r.Verdict))
	d.all(reflect.ValueOf(r.Lists))
	for i := range r.Recipients {
		r.Recipients[i].Response = d.text(r.Recipients[i].Response)
	}
	for i := range r.Pending {
		r.Pending[i].Response = d.text(r.Pending[i].Response)
	}
	for i := range r.Contradictions {
		for j := range r.Contradictions[i].Replies {
			r.Contradictions[i].Replies[j].Text = d.text(r.Contradictions[i].Replies[j].Text)
		}
	}
	if c := r.Unparsed; c != nil {
		for i := range c.Sample {
			c.Sample[i].Text = redact.Shape(c.Sample[i].Text)
		}
		for i := range c.Reasons {
			c.Reasons[i].Text = d.text(c.Reasons[i].Text)
		}
	}
}
