package dnsscan

import (
	"fmt"
	"strings"
)

// A tag is one name=value of a record.
type tag struct{ name, value string }

// tags reads the tag-list of a DKIM key or of a DMARC, MTA-STS or TLS-RPT
// record (RFC 6376 section 3.2, RFC 9989 section 4.7, RFC 8461 section 3.1).
// The second result says, in words, what does not belong there; the tags that
// could be read are returned all the same, the first of each name.
func tags(txt string) (list []tag, faults []string) {
	const atMost, faultsAtMost = 50, 10
	parts := strings.Split(txt, ";")
	if len(parts) > 2*atMost {
		faults = append(faults, fmt.Sprintf("it has %d parts", len(parts)))
		parts = parts[:2*atMost]
	}
	for i, part := range parts {
		if len(faults) >= faultsAtMost {
			break
		}
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			if i != len(parts)-1 {
				faults = append(faults, "there is nothing between two semicolons")
			}
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimRight(name, " \t\r\n"), strings.TrimLeft(value, " \t\r\n")
		switch {
		case !ok:
			faults = append(faults, quote(part)+" is not of the form name=value")
			continue
		case !tagName(name):
			faults = append(faults, quote(name)+" is not the name of a tag")
			continue
		case has(list, name):
			faults = append(faults, "the tag "+name+" occurs twice")
			continue
		}
		if len(list) < atMost {
			list = append(list, tag{name, value})
		}
	}
	return list, faults
}

func tagName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || (s[i] < '0' || s[i] > '9') && s[i] != '_' && s[i] != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func has(list []tag, name string) bool {
	_, ok := lookup(list, name)
	return ok
}

func lookup(list []tag, name string) (string, bool) {
	for _, t := range list {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}
