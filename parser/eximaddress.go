package parser

import "strings"

// Exim shows a recipient in its internal form (string_log_address in deliver.c): the local part
// without its quotes and backslashes and often in lower case, "@", the domain; for a local
// delivery, the local part alone. Ancestors of a redirected address may follow in parentheses. Then
// the original address follows in angle brackets, complete and with its quotes, unless the two are
// the same:
//
//	lise@bigmail.test: user unknown@evil.test <"lise@bigmail.test: User unknown"@evil.test> R=…
//
// A stranger chooses the local part, so the text before the brackets may imitate anything: a
// shorter address, its parent, fields, a reply. After it, a remote server chooses the words of its
// reply. Two rules prevent both kinds of forgery:
//
//   - A quoted address in brackets whose unquoted form is all the text before it is the recipient.
//   - If any other quoted address on the line names the address that was read, the line is not
//     understood: either a router has changed the local part (cut off a suffix), or it is a forgery.
//
// An address that is not quoted holds no blank, no colon and no bracket.

// An eximAddress is the recipient of a delivery line, unchanged.
type eximAddress struct {
	address, parent string
}

// scanAddress reads the address and its parent and returns the rest. It returns false if another
// mailbox may be meant.
func (f *eximAddress) scanAddress(s string) (rest string, ok bool) {
	var tops []quotedTop
	first := nextParent(s, 0)
	if first >= 0 {
		if tops, ok = quotedTops(s, first); !ok {
			return "", false
		}
		for i := range tops {
			if t := &tops[i]; t.shown {
				f.address, f.parent = t.recipient()
				return t.rest, t.alone(tops) && !mayQuote(s[:t.at]) && !namesParent(t.rest)
			}
		}
	}
	for len(s) > 0 && s[0] == ' ' {
		if s = s[1:]; len(tops) > 0 {
			return "", false // it may be part of the address
		}
	}
	if rest, ok = f.shownAddress(s); !ok || first >= 0 && namesParent(rest) {
		return rest, false
	}
	if len(tops) == 0 {
		f.address = strings.TrimRight(f.address, " ")
		return rest, notMailbox(f.address) || f.parent != "" || plausible(f.address)
	}
	to, original := f.recipient()
	for i := range tops {
		if t := &tops[i]; t.names(to) || original != t.address && t.names(original) || f.parent == t.address && !plainAddress(f.address) && !notMailbox(f.address) {
			return "", false
		}
	}
	return rest, true
}

// plausible reports whether Exim can show an address in this form if no address in brackets
// follows: it holds a blank only if it is quoted, and it is not in brackets itself.
func plausible(address string) bool {
	return address != "" && address[0] != '<' && (strings.IndexByte(address, ' ') < 0 || isQuoted(address))
}

// A quotedTop is an address in angle brackets whose local part is quoted.
type quotedTop struct {
	at      int    // index of the blank before the bracket
	address string // unchanged
	local   string // without its quotes
	domain  string
	rest    string // the text after the bracket

	shown    bool   // the text before it is its unquoted form
	redirect string // the domain of that form, if it differs
}

// maxTops bounds the number of quoted addresses that are examined. An honest line has one, and a
// few more if a reply names some.
const maxTops = 16

// quotedTops returns the quoted addresses in brackets from index i on. It returns false if there
// are too many.
func quotedTops(s string, i int) (tops []quotedTop, ok bool) {
	for tries := 0; ; {
		if b := s[i+2:]; isQuoted(b) {
			if tries++; tries > maxTops {
				return nil, false
			}
			t := quotedTop{at: i}
			end, at, _ := mailbox(b)
			if end > 0 && end < len(b) && b[end] == '>' {
				t.address, t.domain, t.local, t.rest = b[:end], b[at+1:end], unquote(b[:at]), b[end+1:]
				if eximFollows(t.rest) {
					t.shown, t.redirect = t.isShown(s[:i])
				}
			} else {
				t.local = unquote(b) // cut, or not an address: it may still name one
			}
			tops = append(tops, t)
		}
		if i = nextParent(s, i+2); i < 0 {
			return tops, true
		}
	}
}

// isQuoted returns the result quoted of mailbox without searching for the end.
func isQuoted(s string) bool {
	i := 0
	for i < len(s) && localByte[s[i]] {
		i++
	}
	return i < len(s) && (s[i] == '"' || s[i] == '\\')
}

// nextParent returns the index of the next " <" from i on, or -1. It searches for "<", because
// nearly every "<" follows a blank, while all lines have blanks.
func nextParent(s string, i int) int {
	for {
		j := strings.IndexByte(s[i:], '<')
		if j < 0 {
			return -1
		}
		if i += j; i > 0 && s[i-1] == ' ' {
			return i - 1
		}
		i++
	}
}

// isShown reports whether the text before the bracket is the address without its quotes. domain is
// the domain of that text if a router has changed it.
func (t *quotedTop) isShown(before string) (ok bool, domain string) {
	n := len(t.local)
	if n == 0 || len(before) < n || !equalFold(before[:n], t.local) {
		return false, ""
	}
	before = before[n:]
	if strings.HasPrefix(before, "@") {
		domain = before[1:]
		if i := strings.IndexByte(domain, ' '); i >= 0 {
			domain = domain[:i]
		}
		if domain == "" {
			return false, ""
		}
		before = before[1+len(domain):]
		if equalFold(domain, t.domain) {
			domain = ""
		}
	}
	return before == "" || endOfAncestors(before) == len(before), domain
}

// recipient returns the address to count and the original one.
func (t *quotedTop) recipient() (to, original string) {
	local := t.address[:len(t.address)-len(t.domain)-1]
	if plainLocal(t.local) {
		local = t.local // its quotes were not necessary
	}
	if t.redirect == "" {
		return local + "@" + t.domain, ""
	}
	return local + "@" + t.redirect, t.address
}

// alone reports whether no other quoted address has its unquoted form before its bracket or names
// this address.
func (t *quotedTop) alone(tops []quotedTop) bool {
	for i := range tops {
		if o := &tops[i]; o.at != t.at && (o.shown || o.names(t.local)) {
			return false
		}
	}
	return true
}

// names reports whether the local part contains the address.
func (t *quotedTop) names(address string) bool {
	n := len(address)
	if n == 0 || n > len(t.local) {
		return false
	}
	first := lower(address[0])
	for i := 0; i+n <= len(t.local); i++ {
		if lower(t.local[i]) == first && equalFold(t.local[i:i+n], address) {
			return true
		}
	}
	return false
}

// mayQuote reports whether the line may quote a remote server after s: s holds a field and after it
// a message or a quoted value.
func mayQuote(s string) bool {
	for i := 0; ; {
		j := strings.IndexByte(s[i:], ' ')
		if j < 0 {
			return false
		}
		i += j + 1
		if n := fieldName(s[i:]); n > 0 {
			return strings.Contains(s[i:], ": ") || strings.Contains(s[i:], `="`)
		}
	}
}

// shownAddress reads the address and its parent if no quoted address follows its own unquoted form.
func (f *eximAddress) shownAddress(s string) (rest string, ok bool) {
	if s == "" {
		return "", false
	}
	i := strings.IndexByte(s, ' ')
	if i > 1 && s[i-1] != ':' && fieldName(s[i+1:]) > 0 && !notMailbox(s) && strings.IndexByte(s[:i], '"') < 0 && strings.IndexByte(s[:i], '\\') < 0 {
		f.address = s[:i]
		return s[i:], true
	}
	if notMailbox(s) {
		// Commands may hold text that looks like a field: the parent decides.
		for i := 0; ; {
			j := strings.Index(s[i:], " <")
			if j < 0 {
				break
			}
			i += j
			if parent, rest, ok := eximParent(s[i+1:]); ok {
				f.address, f.parent = s[:i], parent
				return rest, true
			}
			i += 2
		}
	} else if end, _, quoted := mailbox(s); quoted {
		// An address that is not yet split into local part and domain is shown complete.
		if end == 0 || !eximFollows(s[end:]) && !strings.HasPrefix(s[end:], " <") {
			return "", false
		}
		f.address, rest = s[:end], s[end:]
		if parent, after, ok := eximParent(strings.TrimPrefix(rest, " ")); ok {
			f.parent, rest = parent, after
		}
		return rest, true
	}
	// If no known text follows, the first blank after an "@", or else the first blank, ends the
	// address.
	first, at, whole := -1, false, false
	for i := range len(s) {
		switch s[i] {
		case ':':
			if i > 0 && (i+1 == len(s) || s[i+1] == ' ') {
				f.address = s[:i]
				return s[i:], true
			}
		case ' ':
			next := s[i+1:]
			if strings.HasPrefix(next, "<") {
				if parent, rest, ok := eximParent(next); ok {
					f.address, f.parent = s[:i], parent
					return rest, true
				}
			}
			if strings.HasPrefix(next, "(") {
				// The other ancestors (log selector +all_parents), or a comment.
				if j := endOfAncestors(s[i:]); j > 0 {
					after := s[i+j:]
					if parent, rest, ok := eximParent(strings.TrimPrefix(after, " ")); ok {
						f.address, f.parent = s[:i], parent
						return rest, true
					}
					if eximFollows(after) {
						f.address = s[:i]
						return after, true
					}
				}
			}
			if eximFollows(s[i:]) {
				f.address = s[:i]
				return s[i:], true
			}
			if first < 0 || at && !whole {
				first, whole = i, at
			}
		case '@':
			at = true
		}
	}
	if first >= 0 { // no known text follows
		f.address = s[:first]
		return s[first:], f.address != ""
	}
	f.address = s
	return "", true
}

// recipient returns the address of the line and the original one. For pipes, files, :blackhole: and
// bare local names it returns only the original one.
func (f *eximAddress) recipient() (to, original string) {
	if f.parent == "" {
		return f.address, ""
	}
	if f.address == "" || notMailbox(f.address) || strings.IndexByte(f.address, '@') < 0 {
		return f.parent, ""
	}
	return f.address, f.parent
}

// notMailbox reports whether s is one of the words that Exim shows in place of an address: a pipe,
// a file, an automatic reply, :blackhole:.
func notMailbox(s string) bool {
	return s != "" && (s[0] == '|' || s[0] == '/' || s[0] == '>' || s[0] == ':')
}

// maxParent and maxAncestors bound, in bytes, the search for the end of "<parent>" and of
// "(ancestor, …)". An address has at most 320 bytes (RFC 5321 section 4.5.3.1), a redirection at
// most 100 generations.
const (
	maxParent    = 1 << 10
	maxAncestors = 1 << 12
)

// eximParent reads "<address>" if the text after it can continue a line.
func eximParent(s string) (parent, rest string, ok bool) {
	if len(s) < 2 || s[0] != '<' {
		return "", "", false
	}
	s = s[1:]
	if end, _, _ := mailbox(s[:min(len(s), 4*maxParent)]); end > 0 && end < len(s) && s[end] == '>' && eximFollows(s[end+1:]) {
		return s[:end], s[end+1:], true
	}
	window := s[:min(len(s), maxParent)]
	i := 0
	if s[0] == '"' {
		i = endOfQuoted(window)
	}
	for range 8 {
		j := strings.IndexByte(window[i:], '>')
		if j < 0 {
			return "", "", false
		}
		i += j
		if rest := s[i+1:]; eximFollows(rest) {
			// With another bracket inside, the first one belongs to an address without its quotes.
			return s[:i], rest, s[0] == '"' || !strings.Contains(s[:i], "<")
		}
		i++
	}
	return "", "", false
}

// namesParent reports whether s, the text after an address, holds an unquoted address in brackets
// with fields after it. A reply does not name an address in this form, and the real address may be
// all the text before it.
func namesParent(s string) bool {
	for i := 0; ; i++ {
		j := strings.Index(s[i:], "> ")
		if i += j; j < 0 || i+3 >= len(s) {
			return false
		}
		if s[i+3] == '=' && strings.IndexByte("RTFP", s[i+2]) >= 0 {
			window := s[max(0, i-maxParent):i]
			if k := strings.LastIndexByte(window, '<'); k > 0 && window[k-1] == ' ' && !strings.ContainsAny(window[k:], " \"\\") {
				return true
			}
		}
	}
}

// endOfAncestors returns the index after " (address, address)" or any other comment in parentheses
// at the start of s, or 0.
func endOfAncestors(s string) int {
	if !strings.HasPrefix(s, " (") {
		return 0
	}
	window := s[:min(len(s), maxAncestors)]
	for i := 2; ; {
		end, _, _ := mailbox(window[i:])
		i += end
		switch {
		case end == 0 || i == len(window):
		case window[i] == ')':
			return i + 1
		case strings.HasPrefix(window[i:], ", "):
			i += 2
			continue
		}
		break
	}
	return 1 + strings.IndexByte(window, ')')
}

// eximFollows reports whether s can follow an address: it begins with a field, the colon before the
// message, or a deferral.
func eximFollows(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == ':' {
		return len(s) == 1 || s[1] == ' '
	}
	if s[0] != ' ' {
		return false
	}
	s = s[1:]
	if s == "" {
		return true
	}
	if s[0] == ':' {
		return len(s) == 1 || s[1] == ' '
	}
	if s[0] == 'd' || s[0] == 'r' {
		_, ok := cutDefer(s)
		return ok
	}
	return fieldName(s) > 0
}

// fieldName returns the length of the name of a field ("R=", "QT=") and its equals sign at the
// start of s, or 0.
func fieldName(s string) int {
	if len(s) > 1 && s[1] == '=' { // as most fields
		if s[0]-'A' < 26 {
			return 2
		}
		return 0
	}
	i := 0
	for i < len(s) && i < 12 && (s[i]-'A' < 26 || i > 0 && isDigit(s[i])) {
		i++
	}
	if i > 0 && i < len(s) && s[i] == '=' {
		return i + 1
	}
	return 0
}

// cutDefer cuts off "defer" or "routing defer", which begins the text of a deferral.
func cutDefer(s string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(strings.TrimPrefix(s, "routing "), "defer")
	return rest, ok && (rest == "" || rest[0] == ':' || rest[0] == ' ')
}
