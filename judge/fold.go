package judge

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"bouncelog/bounce"
)

// maxFold bounds how many bytes of a text are examined. Exim cuts replies at 4,096 bytes, syslog
// lines at 2,000; a cause is in the first few hundred.
const maxFold = 4096

// In folded text a token is one byte.
const (
	foldAddr byte = iota + 1
	foldIP
	foldHost
	foldID
	foldN
	foldURL // an URL; its own text is in folded.urls
)

// folded is a template prepared for matching: lower case, without accents, lines joined without the
// reply codes at their starts, one blank between words and at both ends. URLs are stored
// separately.
type folded struct {
	text, urls []byte
	code       string              // the reply code, if the text starts with one
	enhanced   bounce.EnhancedCode // the code that followed it
}

func (f *folded) reset() {
	f.text, f.urls = append(f.text[:0], ' '), append(f.urls[:0], ' ')
	f.code, f.enhanced = "", 0
}

// set folds a template.
func (f *folded) set(t string) {
	f.reset()
	if len(t) > maxFold {
		t = t[:maxFold]
	}
	code := ""
	if u := strings.TrimLeft(t, "#\"' "); bounce.ReplyCode(u) != 0 {
		t = u
	}
	if bounce.ReplyCode(t) != 0 {
		code = t[:3]
		f.code = code
		t = f.skipCode(t, true)
	} else if e, n := leadingEnhanced(t); n > 0 {
		f.enhanced = e
		t = t[n:]
	}
	var pending []byte // of a multibyte letter that is written in octal
	word := true       // at the start of a word
	for len(t) > 0 {
		c := t[0]
		if b, ok := bounce.LeadingOctal(t); ok {
			pending = append(pending, b)
			t = t[4:]
			if len(pending) < utf8.UTFMax && !utf8.FullRune(pending) {
				continue
			}
			f.letters(string(pending))
			pending = pending[:0]
			word = false
			continue
		}
		if len(pending) > 0 {
			f.letters(string(pending))
			pending = pending[:0]
		}
		switch {
		case c <= ' ' || c == 0x7f:
			f.blank()
			t = t[1:]
			word = true
			continue
		case c == '\\' && len(t) > 1 && (t[1] == 'n' || t[1] == 'r' || t[1] == 't'):
			f.blank()
			t = t[2:]
			word = true
			continue
		case c == '{':
			tok := bounce.LeadingToken(t)
			if n := len(tok); n > 0 {
				f.text = append(f.text, foldToken(tok))
				t = t[n:]
				word = false
				continue
			}
		}
		if word && code != "" && strings.HasPrefix(t, code) && bounce.ReplyCode(t) != 0 && len(t) > 3 {
			// The code again: a reply of several lines.
			if rest := f.skipCode(t, false); len(rest) < len(t) {
				t = rest
				continue
			}
		}
		word = false
		if c >= utf8.RuneSelf {
			_, n := utf8.DecodeRuneInString(t)
			f.letters(t[:n])
			t = t[n:]
			continue
		}
		if n := urlLen(t, f.text); n > 0 {
			f.text = append(f.text, foldURL)
			f.url(t[:n])
			t = t[n:]
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c == '`' {
			c = '\''
		}
		f.text = append(f.text, c)
		t = t[1:]
		word = c == '(' || c == '[' || c == '"'
	}
	if len(pending) > 0 {
		f.letters(string(pending))
	}
	f.blank()
	f.urls = append(f.urls, ' ')
	f.dropCourtesies()
	f.dropNotAtFault()
	if f.enhanced == 0 { // qmail: "(#5.1.1)"
		if i := bytes.IndexByte(f.text, '#'); i >= 0 {
			f.enhanced, _ = leadingEnhanced(string(f.text[i:min(i+16, len(f.text))]))
		}
	}
}

// frames are the words that servers write before a cause: "sender address rejected: …", "sender
// verify failed: …".
var frames = [][]byte{[]byte("rejected: "), []byte("failed: "), []byte(" policy - "), []byte(" policy: "), []byte(" violation - "), []byte(" violation: "), []byte(" policy. "), []byte(" policy reasons. "), []byte(" policy violation. ")}

// toCause reduces the text to the cause, which follows the last frame, and reports whether there is
// one. In the MTA's own words "failed:" is not a frame. The frames that name a policy count only if
// nothing but a policy was found.
func (f *folded) toCause(local, policy bool) bool {
	start := 0
	for i, frame := range frames {
		if local && i > 0 || !policy && i > 1 {
			break
		}
		if i := bytes.LastIndex(f.text, frame); i >= 0 {
			start = max(start, i+len(frame))
		}
	}
	if start == 0 || len(f.text)-start < 10 {
		return false
	}
	f.text = append(f.text[:1], f.text[start:]...)
	return true
}

// courtesies are phrases that name spam without calling anything spam.
var courtesies = [][]byte{
	[]byte("to best protect our users from spam and phishing"),
	[]byte("to best protect our users from spam"),
	[]byte("to protect our users from spam"),
	[]byte("to protect users from spam"),
	[]byte("to reduce the amount of spam sent to gmail"),
	[]byte("for more information on our anti-spam policy"),
	[]byte("to prevent spam"),
}

func (f *folded) dropCourtesies() {
	if !bytes.Contains(f.text, []byte(" spam")) {
		return
	}
	for _, c := range courtesies {
		if i := bytes.Index(f.text, c); i >= 0 {
			f.text = append(f.text[:i], f.text[i+len(c):]...)
		}
	}
}

// mechanisms are the names of methods that authenticate a message.
var mechanisms = [][]byte{[]byte("spf"), []byte("dkim"), []byte("dmarc")}

func namesMechanism(b []byte) bool {
	return slices.ContainsFunc(mechanisms, func(m []byte) bool { return bytes.Contains(b, m) })
}

// notAtFault matches statements about a mechanism that did not fail, from the mechanism's name on.
var notAtFault = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:(spf|dkim|dmarc)( (check|test|validation|verification|result))? ?[:=] ?(pass|bestguesspass|ok)\b|dmarc ?[:=] ?none\b` +
		`|(spf|dkim|dmarc)( (check|checks|test|validation|verification|lookup|signature|result))?( was| were| is|:|=)?[ =]?(skipped|passed|bypassed|succeeded|disabled|ignored|ok\b|pass( or not|[,;)])|not (checked|performed|evaluated|tested|the (cause|reason|problem)))` +
		`|(spf|dkim|dmarc)(_[a-z]+)*_(pass|valid|allow|none|na|signed|au|ef)\b)`) // symbols of filters
})

// dropNotAtFault removes statements about mechanisms that did not fail.
func (f *folded) dropNotAtFault() {
	for _, m := range mechanisms {
		for at := 0; ; {
			i := bytes.Index(f.text[at:], m)
			if i < 0 {
				break
			}
			at += i
			start := at // start of the symbol
			if start >= 2 && f.text[start-1] == '_' && (f.text[start-2] == 't' || f.text[start-2] == 'r') {
				start -= 2
			}
			if n := 0; !isWord(f.text[start-1]) && f.text[start-1] != '_' {
				if n = len(notAtFault().Find(f.text[at:min(at+80, len(f.text))])); n > 0 {
					f.text = append(f.text[:start], f.text[at+n:]...)
					at = start
					continue
				}
			}
			at += len(m)
		}
	}
}

// advices are words that begin advice to a sender.
var advices = [][]byte{
	[]byte("make sure"), []byte("ensure "), []byte("check your "), []byte("check that "), []byte("check the "), []byte("verify that "), []byte("verify your "),
	[]byte("more information "), []byte("learn more "), []byte("read more "), []byte("tip: "), []byte("recommend"), []byte("consider "), []byte("should "), []byte("publish "), []byte("set up "), []byte("configure "), []byte("implement"),
}

// dropAdvice removes advice on setting up a mechanism, from its first word to the end of the
// sentence. It reports whether there was any and some text remains.
func (f *folded) dropAdvice() bool {
	for _, a := range advices {
		for from := 0; ; {
			start := bytes.Index(f.text[from:], a)
			if start < 0 {
				break
			}
			start += from
			end := start
			for end < len(f.text)-1 && (f.text[end] != '.' && f.text[end] != ';' || f.text[end+1] != ' ') {
				end++
			}
			if rest := len(f.text) - (end - start); rest < 12 || !namesMechanism(f.text[start:end]) {
				from = start + len(a)
				continue
			}
			f.text = append(f.text[:start], f.text[end:]...)
			return true
		}
	}
	return false
}

// asides match the results of mechanisms, in brackets or without, and the words in brackets that
// mean that one failed.
var asides = sync.OnceValue(func() [2]*regexp.Regexp {
	return [2]*regexp.Regexp{
		regexp.MustCompile(`[\[(][^\])]*\b(spf|dkim|dmarc)\b[^\])]*\b(none|neutral|pass|ok|domain)\b[^\])]*[\])]|\b(spf|dkim) ?[:=] ?(none|neutral)\b`),
		regexp.MustCompile(`fail|reject|invalid|error|violat|\b(not|no|bad|missing|must|policy)\b`),
	}
})

// dropAside removes the results of mechanisms none of which failed, and reports whether there were
// any.
func (f *folded) dropAside() bool {
	before := len(f.text)
	f.text = asides()[0].ReplaceAllFunc(f.text, func(b []byte) []byte {
		if asides()[1].Match(b) {
			return b
		}
		return nil
	})
	return len(f.text) < before
}

// skipCode returns the text after the reply code at the start of t, and after the enhanced code, if
// there is one.
func (f *folded) skipCode(t string, first bool) string {
	rest := t[3:]
	if rest == "" {
		return ""
	}
	if rest[0] == '\\' {
		return rest
	}
	if !first && rest[0] != '-' { // "550 messages" is not a repeated code
		if e, n := leadingEnhanced(rest[1:]); n > 0 && e == f.enhanced {
			return rest[1+n:]
		}
		if f.enhanced != 0 || len(f.text) > 1 && f.text[len(f.text)-1] != ' ' {
			return t
		}
		return rest[1:]
	}
	rest = rest[1:]
	if e, n := leadingEnhanced(rest); n > 0 {
		if first {
			f.enhanced = e
		}
		rest = rest[n:]
	}
	return rest
}

// leadingEnhanced reads an enhanced code at the start of s, after optional blanks, a parenthesis, a
// bracket or #. n is the index of its end.
func leadingEnhanced(s string) (e bounce.EnhancedCode, n int) {
	i := 0
	for i < len(s) && i < 8 && (s[i] == ' ' || s[i] == '#' || s[i] == '(' || s[i] == '[') {
		i++
	}
	if e, n = bounce.LeadingEnhanced(s[i:]); n == 0 {
		return 0, 0
	}
	return e, i + n
}

func foldToken(tok string) byte {
	switch tok {
	case bounce.TokenAddr:
		return foldAddr
	case bounce.TokenIP:
		return foldIP
	case bounce.TokenHost:
		return foldHost
	case bounce.TokenID:
		return foldID
	case bounce.TokenN:
		return foldN
	}
	return '{'
}

func (f *folded) blank() {
	if f.text[len(f.text)-1] != ' ' {
		f.text = append(f.text, ' ')
	}
}

// letters appends non-ASCII bytes, folded.
func (f *folded) letters(s string) {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			r = rune(s[0]) // ISO 8859-1
		}
		s = s[n:]
		f.text = foldRune(f.text, r)
	}
}

// foldRune appends a letter in lower case and without its accent.
func foldRune(b []byte, r rune) []byte {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			r |= 0x20
		}
		return append(b, byte(r))
	case r == 0xa0 || r >= 0x2000 && r <= 0x200b || r == 0x3000:
		return append(b, ' ')
	case r == '‘' || r == '’' || r == '´':
		return append(b, '\'')
	case r == '“' || r == '”' || r == '«' || r == '»' || r == '„':
		return append(b, '"')
	case r == '–' || r == '—' || r == '‑':
		return append(b, '-')
	}
	r = unicode.ToLower(r)
	if s, ok := accents[r]; ok {
		return append(b, s...)
	}
	return utf8.AppendRune(b, r)
}

var accents = func() map[rune]string {
	m := map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ı': "i", 'ё': "е"}
	for _, s := range []string{
		"aàáâãäåāăą", "cçćč", "dď", "eèéêëēėęě", "gğ", "iìíîïī", "lľ", "nñńň", "oòóôõöőō",
		"rřŕ", "sśšş", "tťţ", "uùúûüūůűų", "yýÿ", "zźżž",
	} {
		base := s[:1]
		for _, r := range s[1:] {
			m[r] = base
		}
	}
	return m
}()

// urlLen returns the length of the URL at the start of t, or 0; before is the preceding text.
func urlLen(t string, before []byte) int {
	n := 0
	switch {
	case hasPrefixFold(t, "http"):
		for _, p := range [...]string{"http://", "https://"} {
			if hasPrefixFold(t, p) {
				n = len(p)
			}
		}
		if n > 0 && n < len(t) && t[n] == ' ' { // some servers write "http:// example.com/…"
			n++
		}
	case isWord(t[0]) && !inHost(before[len(before)-1]):
		k := 0
		for k < len(t) && inHost(t[k]) {
			k++
		}
		if k < len(t) && t[k] == '/' && k+1 < len(t) && bounce.IsHostName(t[:k]) {
			n = k
		}
	}
	if n == 0 {
		return 0
	}
	for n < len(t) && (!endsURL(t[n])) {
		n++
	}
	for n > 0 && strings.IndexByte(",;.:!?'*", t[n-1]) >= 0 {
		n--
	}
	return n
}

// isWord reports whether b is a letter, a digit, or part of a non-ASCII letter.
func isWord(b byte) bool {
	return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b >= utf8.RuneSelf
}

// inHost reports whether b may be part of a host name.
func inHost(b byte) bool { return isWord(b) || b == '.' || b == '-' || b == '_' }

// endsURL reports whether a URL in a template ends before b. Braces belong to tokens.
func endsURL(b byte) bool {
	return b <= ' ' || b == 0x7f || strings.IndexByte("<>\"()[]\\", b) >= 0
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// url appends a URL in lower case with folded tokens.
func (f *folded) url(u string) {
	for len(u) > 0 {
		if u[0] == '{' {
			if tok := bounce.LeadingToken(u); tok != "" {
				f.urls = append(f.urls, foldToken(tok))
				u = u[len(tok):]
				continue
			}
		}
		c := u[0]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		f.urls = append(f.urls, c)
		u = u[1:]
	}
	f.urls = append(f.urls, ' ')
}

// foldLiteral folds a rule's literal in the same way as templates.
func foldLiteral(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c == '{' || c == '`' || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s))
	for len(s) > 0 {
		if s[0] == '{' {
			if tok := bounce.LeadingToken(s); tok != "" {
				b = append(b, foldToken(tok))
				s = s[len(tok):]
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(s)
		b = foldRune(b, r)
		s = s[n:]
	}
	return string(b)
}
