package parser

import (
	"strings"
	"unicode/utf8"

	"bouncelog/bounce"
)

// replyCode is the three-digit reply code (RFC 5321 section 4.2) that s begins
// with, or 0. The code may be the whole of s.
func replyCode(s string) uint16 {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' {
		return 0
	}
	return uint16(s[0]-'0')*100 + uint16(s[1]-'0')*10 + uint16(s[2]-'0')
}

// enhancedCode is the enhanced status code (RFC 3463) that follows the reply
// code in a reply, or 0.
func enhancedCode(reply string) bounce.EnhancedCode {
	if replyCode(reply) == 0 || len(reply) < 4 {
		return 0
	}
	e, _ := leadingEnhanced(strings.TrimLeft(reply[4:], " "))
	return e
}

// leadingEnhanced reads an enhanced status code at the start of s; n is its
// length.
func leadingEnhanced(s string) (e bounce.EnhancedCode, n int) {
	if len(s) < 5 || s[1] != '.' || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return 0, 0
	}
	var part [2]int
	n = 2
	for i := range part {
		start := n
		for n < len(s) && n < start+3 && isDigit(s[n]) {
			part[i] = part[i]*10 + int(s[n]-'0')
			n++
		}
		if n == start || i == 0 && (n == len(s) || s[n] != '.') {
			return 0, 0
		}
		if i == 0 {
			n++
		}
	}
	if n < len(s) && (isDigit(s[n]) || s[n] == '.') {
		return 0, 0
	}
	return bounce.Enhanced(int(s[0]-'0'), part[0], part[1]), n
}

// joinReply joins the lines of a multi-line reply (RFC 5321 section 4.2.1),
// given as "550-5.7.1 a 550-5.7.1 b 550 5.7.1 c", into one: "550 5.7.1 a b c".
func joinReply(s string) string {
	if len(s) < 4 || s[3] != '-' || replyCode(s) == 0 {
		return s
	}
	code, rest := s[:3], s[4:]
	_, n := leadingEnhanced(rest)
	enhanced := rest[:n]
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(code)
	for first, last := true, false; ; first = false {
		line, end := rest, -1
		if !last {
			if end, last = nextReplyLine(rest, code); end >= 0 {
				line = rest[:end]
			}
		}
		line = strings.Trim(line, " ")
		if !first && n > 0 {
			if after, ok := strings.CutPrefix(line, enhanced); ok && (after == "" || after[0] == ' ') {
				line = strings.TrimLeft(after, " ")
			}
		}
		if line != "" {
			b.WriteByte(' ')
			b.WriteString(line)
		}
		if end < 0 {
			return b.String()
		}
		rest = rest[min(end+5, len(rest)):] // after " 550-"
	}
}

// nextReplyLine finds " 550-" or " 550 " (or " 550" at the end), which begins
// the next line of a reply; last reports the second and third.
func nextReplyLine(s, code string) (i int, last bool) {
	for i = 0; i+4 <= len(s); i++ {
		j := strings.IndexByte(s[i:], ' ')
		if j < 0 {
			break
		}
		i += j
		if len(s) < i+4 || s[i+1:i+4] != code {
			continue
		}
		if len(s) == i+4 || s[i+4] == ' ' {
			return i, true
		}
		if s[i+4] == '-' {
			return i, false
		}
	}
	return -1, false
}

// unprint undoes what Exim's string_printing does to a remote's text: line
// ends, written as \n, become blanks, so that joinReply understands them; other
// escapes stay but those of bytes beyond ASCII, if they make UTF-8.
func unprint(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	high := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			b = append(b, c)
			continue
		}
		switch {
		case s[i+1] == 'n':
			b = append(b, ' ')
			i++
		case s[i+1] == '\\':
			b = append(b, '\\')
			i++
		case i+3 < len(s) && (s[i+1] == '2' || s[i+1] == '3') && s[i+2]-'0' < 8 && s[i+3]-'0' < 8:
			b = append(b, s[i+1]<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			high = true
			i += 3
		default:
			b = append(b, c)
		}
	}
	if high && !utf8.Valid(b) {
		return strings.ReplaceAll(s, `\n`, " ")
	}
	return string(b)
}

// decimal reads a number of digits with at most one point.
func decimal(s string) (f float64, ok bool) {
	if s == "" || len(s) > 16 {
		return 0, false
	}
	n, i := int64(0), 0
	for i < len(s) && isDigit(s[i]) {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if i == len(s) {
		return float64(n), true
	}
	if s[i] != '.' {
		return 0, false
	}
	scale := int64(1)
	for i++; i < len(s) && isDigit(s[i]); i++ {
		n = n*10 + int64(s[i]-'0')
		scale *= 10
	}
	if i < len(s) {
		return 0, false
	}
	if n == 0 { // as in most delays: a division takes long
		return 0, true
	}
	return float64(n) / float64(scale), true
}

// Reply takes apart a remote server's reply, one line or several with the code
// repeated: the reply code and the enhanced status code, 0 where there is none,
// and the text in the form of Delivery.Response.
func Reply(text string) (code uint16, enhanced bounce.EnhancedCode, response string) {
	response = joinReply(strings.TrimSpace(text))
	return replyCode(response), enhancedCode(response), response
}
