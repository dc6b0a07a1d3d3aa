package bounce

import "strings"

// ReplyCode returns the three-digit reply code (RFC 5321 section 4.2) at the start of s, or 0. A
// blank, the hyphen of a reply that continues, a backslash (a line end as Exim writes it) or
// nothing must follow the code.
func ReplyCode(s string) uint16 {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' && s[3] != '\\' {
		return 0
	}
	return uint16(s[0]-'0')*100 + uint16(s[1]-'0')*10 + uint16(s[2]-'0')
}

// LeadingEnhanced reads an enhanced status code (RFC 3463 section 2) at the very start of s; n is
// its length, 0 without one. A full stop may follow it; a letter, a digit or a further part may
// not.
func LeadingEnhanced(s string) (e EnhancedCode, n int) {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
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
	if n < len(s) && class[s[n]]&(clLetter|clDigit) != 0 ||
		n+1 < len(s) && s[n] == '.' && class[s[n+1]]&(clLetter|clDigit) != 0 {
		return 0, 0
	}
	return Enhanced(int(s[0]-'0'), part[0], part[1]), n
}

// ParseEnhanced parses "5.1.1". ok is false for a class other than 2, 4 and 5, or a part of more
// than three digits.
func ParseEnhanced(s string) (e EnhancedCode, ok bool) {
	e, n := LeadingEnhanced(s)
	if n == 0 || n != len(s) {
		return 0, false
	}
	return e, true
}

// ReplyEnhanced returns the enhanced status code that follows the reply code in
// a reply, or 0.
func ReplyEnhanced(reply string) EnhancedCode {
	if ReplyCode(reply) == 0 || len(reply) < 4 {
		return 0
	}
	e, _ := LeadingEnhanced(strings.TrimLeft(reply[4:], " "))
	return e
}

// ParseReply splits a remote server's reply, of one line or of several with the code repeated: the
// reply code and the enhanced status code (0 without one), and the text in the form of
// Delivery.Response.
func ParseReply(text string) (code uint16, enhanced EnhancedCode, response string) {
	response = JoinReply(strings.TrimSpace(text))
	return ReplyCode(response), ReplyEnhanced(response), response
}

// JoinReply joins the lines of a multi-line reply (RFC 5321 4.2.1), given as
// "550-5.7.1 a 550-5.7.1 b 550 5.7.1 c", into one: "550 5.7.1 a b c". Any other
// text is returned as it is.
func JoinReply(s string) string {
	if len(s) < 4 || s[3] != '-' || ReplyCode(s) == 0 {
		return s
	}
	code, rest := s[:3], s[4:]
	_, n := LeadingEnhanced(rest)
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

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// A Disposal is what our own side did with a message that it accepted and did not pass on: a
// content filter, or the MTA by an alias, a filter or a transport that discards. "" is none.
type Disposal string

// The disposals.
const (
	Discarded   Disposal = "discarded"   // thrown away: nobody gets it
	Quarantined Disposal = "quarantined" // kept back, for somebody to look at
	Bounced     Disposal = "bounced"     // returned to the sender by the filter
)

// DisposalOf returns what our own content filter reports in its reply about a message that it did
// not pass on: amavisd-new's "250 2.7.0 Ok, discarded, id=… - spam", "250 2.5.0 Ok, id=…,
// DISCARD(bounce.suppressed)", "…, BOUNCE".
func DisposalOf(text string) Disposal {
	switch {
	case strings.Contains(text, "queued as "), strings.Contains(text, " from MTA("):
		return ""
	case strings.Contains(text, ", discarded"), strings.Contains(text, ", DISCARD"):
		return Discarded
	case strings.Contains(text, ", quarantined"), strings.Contains(text, ", QUARANTINE"):
		return Quarantined
	case strings.Contains(text, ", BOUNCE"):
		return Bounced
	}
	return ""
}
