package parser

import "bytes"

// A bare message is a line of an MTA without its header.

// mayBegin reports whether the message of a program that is not an MTA's may itself be a line of an
// MTA, or the header may not be a header at all.
func mayBegin(h *header) bool {
	m := h.message
	if len(m) < 12 {
		return len(m) == 4 && string(m) == "MAIN" || hasPrefix(m, "removed")
	}
	switch m[0] {
	case '{', '<', '"':
		return true
	case 't':
		if hasPrefix(m, "to=<") {
			return true
		}
	case 'f':
		if hasPrefix(m, "from=<") {
			return true
		}
	case 'c':
		if hasPrefix(m, "client=") {
			return true
		}
	case 'm':
		if hasPrefix(m, "message-id=") {
			return true
		}
	case 'u':
		if hasPrefix(m, "uid=") {
			return true
		}
	}
	if m[6] == '-' && holdsEximID(m[:min(len(m), 24)]) {
		return true
	}
	if !isDigit(m[0]) {
		// The name of a month, one or two blanks, the day.
		i := bytes.IndexByte(m[:min(len(m), 14)], ' ')
		if i < 2 || i+3 > len(m) || !isDigit(m[i+1]) && (m[i+1] != ' ' || !isDigit(m[i+2])) {
			return false
		}
	}
	_, n := scanStamp(m)
	return n > 0
}

// beginsLine reports whether a line of an MTA could begin here, after a stamp of n bytes or without
// one.
func beginsLine(b []byte, n int) bool {
	if n > 0 {
		return true
	}
	if !alnum[b[0]] && b[0] < 0x80 {
		return false
	}
	i := bytes.IndexByte(b[:min(len(b), 128)], ' ')
	if i < 3 {
		return false
	}
	if b[i-1] == ':' || b[i-1] == ')' {
		return true
	}
	if len(b) > 16 && b[6] == '-' {
		return true
	}
	// "host program[pid]: "
	next := b[i+1:]
	j := bytes.IndexByte(next[:min(len(next), 128)], ' ')
	return j > 0 && next[j-1] == ':'
}

// isBare reports whether b is an MTA's message without a header. It overwrites h.
func isBare(b []byte, h *header) bool {
	*h = header{message: b}
	if _, rest, ok := eximID(b); ok {
		return len(rest) > 1 && eximFlag(rest) != "" || string(rest) == "Completed"
	}
	_, rest, ok := queueID(b)
	if !ok {
		return false
	}
	for _, word := range [...]string{"to=<", "from=<", "client=", "message-id=", "uid="} {
		if hasPrefix(rest, word) {
			return true
		}
	}
	return string(rest) == "removed"
}
