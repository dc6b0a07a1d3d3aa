package bounce

import (
	"net/netip"
	"strings"
)

// A template is a response with whatever varies from one reply to the next
// replaced by a token, so that the same cause yields the same template. The
// tokens are
//
//	{addr}   an address, or a bare word in angle brackets
//	{ip}     an IP address (those of 127.0.0.0/24 and 127.255.255.0/24 stay:
//	         they are the answers of DNS blocklists)
//	{host}   a host or domain name (those of well-known blocklists stay)
//	{id}     a queue id, session id, hexadecimal or base64 word
//	{n}      a number
//	{brace}  a brace of the response itself
//
// Reply codes and enhanced status codes stay, and so do URLs, but for what
// varies in their path. Only a token starts with a brace, so a response
// cannot pretend to hold one.
const (
	TokenAddr  = "{addr}"
	TokenIP    = "{ip}"
	TokenHost  = "{host}"
	TokenID    = "{id}"
	TokenN     = "{n}"
	TokenBrace = "{brace}"
)

// Split splits a response into its template, in which everything that varies from one reply to the
// next (addresses, IP addresses, host names, session ids, numbers) is replaced by a token, and the
// replaced parts, in order, as one string. Join(Split(response)) is response, byte for byte, for
// every string.
func Split(response string) (template, args string) {
	t, a := AppendSplit(make([]byte, 0, len(response)+16), nil, response)
	return string(t), string(a)
}

// Opening returns the text of an accepting response before its first word that may vary: most begin
// alike and continue with an id. It costs less than Split, which is for responses of which every
// word counts. The template that Split makes of a response has the same opening.
func Opening(response string) string {
	i := 0
	if len(response) >= 3 && ReplyCode(response[:3]) != 0 && (len(response) == 3 || response[3] == ' ') {
		i = 3
		end := min(4, len(response))
		for end < len(response) && response[end] != ' ' {
			end++
		}
		if _, ok := ParseEnhanced(response[min(4, len(response)):end]); ok {
			i = end
		}
	}
	last := i // end of the last word that does not vary
	for i < len(response) {
		for i < len(response) && response[i] == ' ' {
			i++
		}
		start := i
		if i < len(response) && response[i] == '(' {
			i++
		}
		for i < len(response) && class[response[i]]&clLetter != 0 && response[i] < 0x80 {
			i++
		}
		if i-start >= 16 { // an id of letters
			break
		}
		w := response[start:i]
		for i < len(response) && strings.IndexByte(",.;:!)", response[i]) >= 0 {
			i++
		}
		if i < len(response) && response[i] != ' ' {
			break // a host name, an address, an id
		}
		last = i
		if w == "as" || w == "id" {
			break // what follows is an id, and may look like a word
		}
	}
	return response[:last]
}

// A Template is a split response: the part that identifies it, and the parts that vary.
type Template struct {
	Text string // see Split; of a delivered attempt the Opening only
	Args string // the parts replaced in Text
	// Situation is what a verdict on the template depends on besides the codes: the speaker and the
	// next hop, in the words of package judge; empty before the reply is judged.
	Situation string
}

// TemplateOf splits the response of an attempt.
func TemplateOf(d *Delivery) Template {
	if d.Outcome == Delivered {
		return Template{Text: Opening(d.Response)}
	}
	text, args := Split(d.Response)
	return Template{Text: text, Args: args}
}

// AppendSplit is Split for callers with buffers of their own: it appends the template and the
// arguments to them.
func AppendSplit(template, args []byte, response string) (t, a []byte) {
	s := splitter{in: response, t: template, a: args, a0: len(args)}
	s.run()
	return s.t, s.a
}

// Join is the inverse of Split. For a pair that Split did not make it returns some string.
func Join(template, args string) string {
	if strings.IndexByte(template, '{') < 0 {
		return template
	}
	b := make([]byte, 0, len(template)+len(args))
	for {
		i := strings.IndexByte(template, '{')
		if i < 0 {
			break
		}
		b = append(b, template[:i]...)
		template = template[i:]
		switch tok := LeadingToken(template); tok {
		case "":
			b = append(b, '{')
			template = template[1:]
		case TokenBrace:
			b = append(b, '{')
			template = template[len(tok):]
		default:
			var arg string
			arg, args, _ = strings.Cut(args, " ")
			b = append(b, arg...)
			template = template[len(tok):]
		}
	}
	return string(append(b, template...))
}

// LeadingToken returns the token at the start of a template's rest, or "".
func LeadingToken(s string) string {
	for _, tok := range [...]string{TokenAddr, TokenIP, TokenHost, TokenID, TokenN, TokenBrace} {
		if strings.HasPrefix(s, tok) {
			return tok
		}
	}
	return ""
}

// Classes of bytes.
const (
	clDelim = 1 << iota // ends a word
	clLetter
	clDigit
	clHex
	clJoin    // joins the parts of a host name or a session id: . _ -
	clURLEnd  // ends an URL
	clTrailer // does not end an URL, when it is followed by the URL's end
	clOther   // within a word, but neither a letter nor a digit
)

var class = func() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case b <= ' ' || b == 0x7f:
			c[i] = clDelim | clURLEnd
		case b >= '0' && b <= '9':
			c[i] = clDigit | clHex
		case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z':
			c[i] = clLetter
			if b|0x20 <= 'f' {
				c[i] |= clHex
			}
		case b >= 0x80:
			c[i] = clLetter
		}
	}
	for _, b := range "<>\"()[]{}" {
		c[b] = clDelim | clURLEnd
	}
	for _, b := range ",;" {
		c[b] = clDelim | clTrailer
	}
	for _, b := range ".:!?'*" {
		c[b] |= clTrailer
	}
	for _, b := range "._-" {
		c[b] |= clJoin
	}
	c['\\'] = clDelim | clURLEnd
	for i := range c {
		if c[i]&(clDelim|clLetter|clDigit) == 0 {
			c[i] |= clOther
		}
	}
	return c
}()

// Kinds of bytes, for splitter.prose.
const (
	proseWord  = iota // part of a word that nothing is replaced in
	proseEnd          // ends a word, and stays
	proseDot          // part of such a word if the word ends with it
	proseOther        // has to be looked at
)

var prose = func() (p [256]uint8) {
	for i := range p {
		switch b := byte(i); {
		case b == '.' || b == ':':
			p[i] = proseDot
		case class[b]&(clDigit|clJoin) != 0 || strings.IndexByte("@/=\\{<\"", b) >= 0:
			p[i] = proseOther
		case class[b]&clDelim != 0:
			p[i] = proseEnd
		}
	}
	return p
}()

type splitter struct {
	in   string
	t, a []byte
	a0   int    // where this response's arguments start
	code string // the reply code the response starts with
	long bool   // take no short cuts; for the tests
}

// cut replaces in[i:j] by a token.
func (s *splitter) cut(tok string, i, j int) {
	s.t = append(s.t, tok...)
	if len(s.a) > s.a0 {
		s.a = append(s.a, ' ')
	}
	s.a = append(s.a, s.in[i:j]...)
}

func (s *splitter) run() {
	in := s.in
	i := 0
	if ReplyCode(in) != 0 {
		s.code = in[:3]
		if enhancedFollows(in) { // as it does in nearly every reply
			s.t = append(s.t, in[:10]...)
			i = 10
		}
	}
	for i < len(in) {
		if !s.long {
			if i = s.prose(i); i == len(in) {
				break
			}
		}
		c := in[i]
		if class[c]&clDelim != 0 && !octal(in, i) {
			switch c {
			case '{':
				s.t = append(s.t, TokenBrace...)
			case '<':
				s.t = append(s.t, c)
				if j := bracketed(in, i+1); j > 0 {
					s.cut(TokenAddr, i+1, j)
					i = j
					continue
				}
			case '"':
				s.t = append(s.t, c)
				if j := quotedUser(in, i); j > 0 {
					s.cut(TokenAddr, i+1, j)
					i = j
					continue
				}
			case '\\': // a line end as Exim writes it; what follows is a new word
				s.t = append(s.t, c)
				if i+1 < len(in) && (in[i+1] == 'n' || in[i+1] == 'r' || in[i+1] == 't') {
					i++
					s.t = append(s.t, in[i])
				}
			default:
				s.t = append(s.t, c)
			}
			i++
			continue
		}
		// A word: up to the next delimiter. Most are letters only and short.
		j, seen, at, slashes := i, uint8(0), -1, -1
		for j < len(in) {
			b := in[j]
			cl := class[b]
			if cl&(clDelim|clOther) == 0 {
				seen |= cl
				j++
				continue
			}
			if cl&clDelim != 0 {
				if !octal(in, j) {
					break
				}
				j += 4
				seen |= clLetter | clOther
				continue
			}
			seen |= cl
			switch b {
			case '@':
				at = j
			case '/':
				if slashes < 0 && j > i && (in[j-1] == ':' && j+1 < len(in) && in[j+1] == '/' || bareURL(in[i:j])) {
					slashes = j
				}
			}
			j++
		}
		switch {
		case slashes >= 0:
			i = s.url(i, slashes)
		case at > i:
			s.address(i, at, j)
			i = j
		case seen&(clDigit|clJoin) == 0 && !hexColons(in[i:j]) && (j-i < 8 || j-i < 16 && !s.afterID()):
			s.t = append(s.t, in[i:j]...)
			i = j
		case seen&clOther == 0 && !s.long: // no IP address, no host name
			if seen&clLetter == 0 && j-i > 4 && j-i < 16 && !s.afterID() {
				s.cut(TokenN, i, j)
			} else {
				s.compound(i, j)
			}
			i = j
		default:
			s.word(i, j)
			i = j
		}
	}
}

// prose copies, from i on, whole words that are letters and delimiters that stay, as most of a
// reply is. It returns the position where more must be done: at the start of a word, at a
// delimiter, or at the end.
func (s *splitter) prose(i int) int {
	in := s.in
	start, word := i, i // of the part not copied yet, and of the current word
	for ; i < len(in); i++ {
		switch prose[in[i]] {
		case proseWord:
			continue
		case proseDot:
			if i+1 == len(in) || prose[in[i+1]] == proseEnd {
				continue
			}
			i = word
		case proseEnd:
			if i-word < 5 || i-word < 16 && !mayAfterID(in[:word]) {
				word = i + 1
				continue
			}
			i = word
		default:
			i = word
		}
		break
	}
	if i == len(in) && i-word >= 5 && (i-word >= 16 || mayAfterID(in[:word])) {
		i = word
	}
	s.t = append(s.t, in[start:i]...)
	return i
}

// mayAfterID reports whether a response that begins with this may have a template for which afterID
// is true.
func mayAfterID(before string) bool {
	n := len(before)
	return n >= 3 && before[n-1] == ' ' && (before[n-2] == 's' || before[n-2] == 'd')
}

// octal reports whether in[i:] begins with a byte as Exim writes it: \ooo.
func octal(in string, i int) bool {
	if in[i] != '\\' {
		return false
	}
	_, ok := LeadingOctal(in[i:])
	return ok
}

// LeadingOctal reads a byte written as Exim does, \ooo, at the start of s.
func LeadingOctal(s string) (b byte, ok bool) {
	if len(s) > 3 && s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7' {
		return (s[1]-'0')<<6 | (s[2]-'0')<<3 | s[3] - '0', true
	}
	return 0, false
}

// enhancedFollows reports whether s is a reply code, an enhanced status code of
// five characters, and more.
func enhancedFollows(s string) bool {
	return len(s) > 10 && s[3] == ' ' && (s[4] == '2' || s[4] == '4' || s[4] == '5') && s[5] == '.' && class[s[6]]&clDigit != 0 &&
		s[7] == '.' && class[s[8]]&clDigit != 0 && s[9] == ' '
}

// bracketed returns the end of the address in angle brackets that starts at i, or 0 if the brackets
// hold no address but a host name, a URL or several words.
func bracketed(in string, i int) int {
	dot, at := false, false
	for j := i; j < len(in) && j-i < 320; j++ {
		switch c := in[j]; {
		case c == '>':
			if j == i || dot && !at || in[i:j] == "CR" || in[i:j] == "LF" || in[i:j] == "CRLF" {
				return 0
			}
			return j
		case c <= ' ' || c == '<' || c == '{' || c == '/' && in[j-1] == ':':
			return 0
		case c == '.':
			dot = true
		case c == '@':
			at = true
		}
	}
	return 0
}

// quotedUser returns the end of the word in quotes at i if it follows the word "user", or 0.
func quotedUser(in string, i int) int {
	before := strings.TrimRight(in[max(0, i-8):i], ": ")
	if !strings.HasSuffix(before, "user") {
		return 0
	}
	for j := i + 1; j < len(in) && j-i < 320; j++ {
		switch c := in[j]; {
		case c == '"' && j > i+1:
			return j
		case c <= ' ' || c == '"' || c == '{':
			return 0
		}
	}
	return 0
}

// bareURL reports whether w, the word before a slash, is the host of an
// URL without a scheme.
func bareURL(w string) bool {
	w = strings.TrimLeft(w, "'*=:#")
	return IsHostName(w)
}

// address replaces the address in in[i:j]; its last @ is at at.
func (s *splitter) address(i, at, j int) {
	in := s.in
	start := i
	if k := strings.LastIndexAny(in[i:at], ":'`*"); k >= 0 {
		start = i + k + 1
	} else if k := strings.IndexByte(in[i:at], '='); k > 0 && k <= 8 && lettersOnly(in[i:i+k]) {
		start = i + k + 1
	}
	end := j
	for end > at+1 && (class[in[end-1]]&clTrailer != 0 || in[end-1] == '-' || in[end-1] == '`' || in[end-1] == '=') {
		end--
	}
	if k := strings.IndexAny(in[at:end], ":/?&"); k > 0 { // user@host:port, mailto:user@host?subject=
		end = at + k
	}
	if start >= at {
		s.word(i, j)
		return
	}
	s.t = append(s.t, in[i:start]...)
	s.cut(TokenAddr, start, end)
	s.word(end, j)
}

func lettersOnly(s string) bool {
	for i := range len(s) {
		if class[s[i]]&clLetter == 0 {
			return false
		}
	}
	return true
}

// word copies in[i:j], which holds neither an address nor a URL, and replaces the parts that vary.
func (s *splitter) word(i, j int) {
	in := s.in
	for i < j {
		c := in[i]
		if c == '\\' { // octal
			k := min(i+4, j)
			s.t = append(s.t, in[i:k]...)
			i = k
			continue
		}
		if class[c]&(clLetter|clDigit) == 0 && c != ':' {
			s.t = append(s.t, c)
			i++
			continue
		}
		if k := ip(in, i, j); k > 0 {
			if loopback(in[i:k]) {
				s.t = append(s.t, in[i:k]...)
			} else {
				s.cut(TokenIP, i, k)
			}
			i = k
			continue
		}
		if c == ':' {
			s.t = append(s.t, c)
			i++
			continue
		}
		k := i
		for k < j && class[in[k]]&(clLetter|clDigit|clJoin) != 0 &&
			(class[in[k]]&clJoin == 0 || k+1 < j && class[in[k+1]]&clJoin == 0) {
			k++
		}
		end := k
		for end > i+1 && class[in[end-1]]&clJoin != 0 {
			end--
		}
		i = s.compound(i, end)
	}
}

// ip returns the end of the IP address at in[i:j], or 0.
func ip(in string, i, j int) int {
	if class[in[i]]&clHex == 0 && in[i] != ':' {
		return 0
	}
	k, colons, dots, letters := i, 0, 0, false
	for k < j && (class[in[k]]&clHex != 0 || in[k] == ':' || in[k] == '.') {
		switch {
		case in[k] == ':':
			if dots == 3 && colons == 0 && !letters { // 192.0.2.1:25
				goto four
			}
			colons++
		case in[k] == '.':
			dots++
		case class[in[k]]&clDigit == 0:
			letters = true
		}
		k++
	}
four:
	if k < j && (class[in[k]]&(clLetter|clDigit) != 0 || in[k] == '_' || in[k] == '-' && colons == 0 && k+1 < j && class[in[k+1]]&clLetter != 0) {
		return 0
	}
	for k > i && (in[k-1] == '.' || in[k-1] == ':' && !strings.HasSuffix(in[i:k], "::")) {
		k--
	}
	if k-i < 3 || colons == 0 && (dots < 3 || letters) || colons == 1 || k-i > 45 {
		return 0
	}
	if colons == 0 {
		if !dotted(in[i:k]) {
			return 0
		}
		return k
	}
	if a, err := netip.ParseAddr(in[i:k]); err != nil || !a.Is6() {
		return 0
	}
	return k
}

// dotted reports whether s is an IPv4 address.
func dotted(s string) bool {
	parts, n, digits := 0, 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if digits == 0 || digits > 3 || n > 255 {
				return false
			}
			parts++
			n, digits = 0, 0
			continue
		}
		n = n*10 + int(s[i]-'0')
		digits++
	}
	return parts == 4
}

// loopback reports whether an address is an answer of DNS blocklists (RFC 5782 section 2.1): it
// identifies the list.
func loopback(s string) bool {
	return strings.HasPrefix(s, "127.0.0.") || strings.HasPrefix(s, "127.255.255.")
}

// compound copies or replaces in[i:j], which consists of letters, digits, dots, underscores and
// hyphens and starts and ends with a letter or a digit. It returns where it stopped, which may be
// after j.
func (s *splitter) compound(i, j int) int {
	in := s.in
	w := in[i:j]
	if class[w[0]]&clDigit != 0 {
		if len(w) > 4 && w[3] == '-' && ReplyCode(w) != 0 && (s.code == "" || s.code == w[:3]) { // 550-5.7.1, a line that goes on
			s.t = append(s.t, w[:4]...)
			return i + 4
		}
		if _, ok := ParseEnhanced(w); ok {
			s.t = append(s.t, w...)
			return j
		}
		if len(w) == 3 && (w == s.code || s.code == "" && codeBefore(in, j)) {
			s.t = append(s.t, w...)
			return j
		}
	}
	after := s.afterID() || len(w) >= 16 && strings.HasPrefix(in[j:], " Saved") // Dovecot's session id
	if !after && IsHostName(w) {
		if listName(w) {
			s.t = append(s.t, w...)
		} else {
			s.cut(TokenHost, i, j)
		}
		return j
	}
	if after && len(w) >= 5 || idLike(w) {
		for j < len(in) && (class[in[j]]&(clLetter|clDigit|clJoin) != 0 || in[j] == '/' || in[j] == '+' || in[j] == '=' || in[j] == '~') {
			j++
		}
		for class[in[j-1]]&clJoin != 0 {
			j--
		}
		s.cut(TokenID, i, j)
		return j
	}
	if shortCode(w) {
		s.t = append(s.t, w...)
		return j
	}
	for k := 0; k < len(w); { // letters stay, numbers go
		if class[w[k]]&clDigit == 0 {
			s.t = append(s.t, w[k])
			k++
			continue
		}
		m := k
		for m < len(w) && (class[w[m]]&clDigit != 0 || w[m] == '.' && m+1 < len(w) && class[w[m+1]]&clDigit != 0) {
			m++
		}
		if rfcNumber(w[k:m]) {
			s.t = append(s.t, w[k:m]...)
		} else {
			s.cut(TokenN, i+k, i+m)
		}
		k = m
	}
	return j
}

// rfcNumber reports whether n is the number of a standard that replies name:
// "5322.From", "RFC 2821".
func rfcNumber(n string) bool {
	switch n {
	case "821", "822", "1123", "2142", "2821", "2822", "5321", "5322", "7208", "7489", "7505":
		return true
	}
	return false
}

// codeBefore reports whether a blank and an enhanced code follow at in[j:], as after a reply code.
func codeBefore(in string, j int) bool {
	return j+5 < len(in) && in[j] == ' ' && class[in[j+1]]&clDigit != 0 && in[j+2] == '.' && class[in[j+3]]&clDigit != 0
}

// afterID reports whether the template so far ends in words that introduce an id, even if the id
// looks like a word.
func (s *splitter) afterID() bool {
	n := len(s.t)
	if n < 3 || s.t[n-1] != ' ' && s.t[n-1] != '=' || s.t[n-2] != 'd' && s.t[n-2] != 's' {
		return false
	}
	t := s.t[max(0, n-10):n]
	return hasSuffix(t, "queued as ") || hasSuffix(t, " id=") || hasSuffix(t, " id ") || hasSuffix(t, "(id=")
}

func hasSuffix(b []byte, s string) bool {
	return len(b) >= len(s) && string(b[len(b)-len(s):]) == s
}

// IsHostName reports whether w looks like a host or domain name: labels and a
// top-level domain. "rejected.See" and "RESOLVER.ADR.RecipNotFound" do not.
func IsHostName(w string) bool {
	dot := strings.LastIndexByte(w, '.')
	if dot < 1 || len(w)-dot < 3 {
		return false
	}
	tld := w[dot+1:]
	lower, upper := false, false
	for i := range len(tld) {
		switch c := tld[i]; {
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= 'A' && c <= 'Z':
			upper = true
		case c == '-' || c >= '0' && c <= '9': // xn--p1ai
			if !strings.HasPrefix(tld, "xn--") {
				return false
			}
		case c < 0x80:
			return false
		}
	}
	if lower && upper || upper && len(tld) > 5 {
		return false
	}
	for i := range dot {
		if c := w[i]; class[c]&(clLetter|clDigit|clJoin) == 0 || c == '.' && (i == 0 || w[i-1] == '.') {
			return false
		}
	}
	return w[dot-1] != '.'
}

// idLike reports whether w is a session id, a queue id, hexadecimal or base64.
func idLike(w string) bool {
	if len(w) < 5 {
		return false
	}
	letters, digits, hex, changes, cases, run, longest, lower, lowers := 0, 0, 0, 0, 0, 0, 0, 0, 0
	var last, lastCase uint8
	for i := range len(w) {
		c := w[i]
		k := class[c] & (clLetter | clDigit)
		switch {
		case k == clDigit:
			digits++
			run++
			longest = max(longest, run)
		case k == clLetter:
			letters++
			run = 0
			if c >= 'a' && c <= 'z' {
				lower++
				if lastCase == 0 || lastCase < 'a' {
					lowers++
				}
			}
			if lastCase != 0 && (c^lastCase)&0x20 != 0 && c < 0x80 && lastCase < 0x80 {
				cases++
			}
			lastCase = c
		default:
			run = 0
			lastCase = 0
			continue // a joint is no change
		}
		if class[c]&clHex != 0 {
			hex++
		}
		if last != 0 && k != last {
			changes++
		}
		last = k
		if changes >= 1 && (longest >= 5 || changes >= 2 && digits >= 2) {
			return true
		}
	}
	// Words joined in CamelCase have long runs of small letters, base64 has not.
	mixed := cases >= 4 && lower < 3*lowers
	if digits == 0 {
		return len(w) >= 16 && mixed && strings.IndexByte(w, '.') < 0
	}
	if letters == 0 {
		return false
	}
	return len(w) >= 8 && hex == len(w) && digits >= 2 ||
		len(w) >= 10 && mixed ||
		len(w) >= 14 && changes >= 2 && cases >= 3
}

// shortCode reports whether w is letters and then a few digits, as providers
// number their answers: TSS04, S3140, OFR_506, LPN105_4.
func shortCode(w string) bool {
	i := 0
	for i < len(w) && (class[w[i]]&clLetter != 0 || w[i] == '_' || w[i] == '-') {
		i++
	}
	if i == 0 || i > 12 || i == len(w) {
		return i == len(w)
	}
	return len(w)-i <= 8 && !strings.ContainsFunc(w[i:], func(r rune) bool { return (r < '0' || r > '9') && r != '_' }) && longestRun(w[i:]) <= 4
}

func longestRun(s string) int {
	n, longest := 0, 0
	for i := range len(s) {
		if class[s[i]]&clDigit != 0 {
			n++
			longest = max(longest, n)
		} else {
			n = 0
		}
	}
	return longest
}

// url copies the URL in the word at i, whose first slash is at slash, and replaces the variable
// parts of its path. It returns the end of the URL.
func (s *splitter) url(i, slash int) int {
	in := s.in
	start := i
	if in[slash-1] == ':' { // with a scheme: the letters before the colon
		start = slash - 1
		for start > i && class[in[start-1]]&clLetter != 0 {
			start--
		}
	} else {
		for class[in[start]]&(clLetter|clDigit) == 0 {
			start++
		}
	}
	s.t = append(s.t, in[i:start]...)
	end := slash
	for end < len(in) && class[in[end]]&clURLEnd == 0 {
		end++
	}
	for end > slash+1 && class[in[end-1]]&clTrailer != 0 {
		end--
	}
	p := slash
	if in[slash-1] == ':' {
		p = min(slash+2, end)
		for p < end && in[p] != '/' && in[p] != '?' && in[p] != '#' {
			p++
		}
	}
	s.t = append(s.t, in[start:p]...)
	query := false
	for p < end {
		if in[p] == '?' {
			query = true
		}
		if class[in[p]]&(clLetter|clDigit|clJoin) == 0 && in[p] != '@' && in[p] != '%' && in[p] != '+' {
			if k := ip(in, p, end); in[p] == ':' && k > 0 {
				s.cut(TokenIP, p, k)
				p = k
				continue
			}
			s.t = append(s.t, in[p])
			p++
			continue
		}
		if k := ip(in, p, end); k > 0 {
			s.cut(TokenIP, p, k)
			p = k
			continue
		}
		k, kind := p, uint8(0)
		for k < end && (class[in[k]]&(clLetter|clDigit|clJoin) != 0 || in[k] == '@' || in[k] == '%' || in[k] == '+') {
			kind |= class[in[k]]
			if in[k] == '@' || in[k] == '%' {
				kind |= clDelim
			}
			k++
		}
		switch w := in[p:k]; {
		case kind&clDelim != 0: // an address, or percent-encoded
			s.cut(TokenID, p, k)
		case kind&clDigit == 0 && k-p <= 32 && (in[p-1] != '=' || !IsHostName(w)),
			kind&clDigit != 0 && kind&clLetter == 0 && k-p <= 9 && s.page(),
			kind&clDigit != 0 && kind&clLetter != 0 && k-p <= 16 && pageName(w, query):
			s.t = append(s.t, w...)
		default:
			s.cut(TokenID, p, k)
		}
		p = k
	}
	return end
}

// pageName reports whether a part of an URL that holds letters and digits
// looks like the name of a page (HT204137, 554rtrbl.html) rather than an id.
func pageName(w string, query bool) bool {
	if query || strings.HasPrefix(w, "SBL") {
		return shortCode(w) && len(w) <= 8
	}
	digits, changes := 0, 0
	for i := range len(w) {
		d := class[w[i]] & clDigit
		if d != 0 {
			digits++
		}
		if i > 0 && d != class[w[i-1]]&clDigit {
			changes++
		}
	}
	return digits <= 6 && changes <= 2
}

// page reports whether the template so far ends in words that precede the number of a help page.
func (s *splitter) page() bool {
	t := s.t[max(0, len(s.t)-8):]
	return hasSuffix(t, "answer=") || hasSuffix(t, "answer/") || hasSuffix(t, "inkid=") || hasSuffix(t, "inkID=") || hasSuffix(t, "inkId=")
}

// hexColons reports whether w might be an IPv6 address of letters and colons.
func hexColons(w string) bool {
	colon := false
	for i := range len(w) {
		if w[i] == ':' {
			if colon {
				return true
			}
			colon = true
		}
	}
	return false
}

// listName reports whether a host name is that of a well-known blocklist, or a name below one: such
// names tell why a message was refused.
func listName(w string) bool {
	dot := strings.LastIndexByte(w, '.')
	if dot < 3 || len(w) > 64 {
		return false
	}
	k := strings.LastIndexByte(w[:dot], '.')
	var buf [64]byte
	b := buf[:copy(buf[:], w[k+1:])]
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return listDomains[string(b)]
}

var listDomains = map[string]bool{
	"spamhaus.org": true, "spamhaus.net": true, "spamcop.net": true, "sorbs.net": true, "barracudacentral.org": true,
	"barracudanetworks.com": true, "uceprotect.net": true, "surbl.org": true, "uribl.com": true, "abuseat.org": true,
	"mailspike.net": true, "mailspike.org": true, "invaluement.com": true, "senderscore.com": true, "senderscore.org": true,
	"cloudmark.com": true, "cobion.com": true, "junkemailfilter.com": true, "njabl.org": true, "dsbl.org": true,
	"ordb.org": true, "mail-abuse.org": true, "mail-abuse.com": true, "manitu.net": true, "backscatterer.org": true, "spfbl.net": true,
	"surriel.com": true, "spamrats.com": true, "nordspam.com": true, "0spam.org": true, "rfc-ignorant.org": true,
	"rfc-clueless.org": true, "ahbl.org": true, "gbudb.net": true, "spamrl.com": true, "fortiguard.com": true, "fortinet.com": true,
	"mimecast.org": true, "proofpoint.com": true, "talosintelligence.com": true, "senderbase.org": true, "trendmicro.com": true,
	"unsubscore.com": true, "lashback.com": true, "abusix.zone": true, "abusix.com": true, "hostkarma.com": true,
	"msrbl.net": true, "dnswl.org": true, "blocklist.de": true, "s5h.net": true, "interserver.net": true,
	"anti-spam.org": true, "orbitrbl.com": true, "spamdomains.com": true,
	"openspf.org": true, "openspf.net": true, "spamcannibal.org": true, "swinog.ch": true, "inps.de": true,
	"emailbasura.org": true, "ascams.com": true, "imp.ch": true, "habeas.com": true,
	"returnpath.net": true, "validity.com": true, "mxtoolbox.com": true, "spameatingmonkey.net": true,
	"drbl.org": true, "spamhaus.com": true,
}
