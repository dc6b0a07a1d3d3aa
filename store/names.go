package store

import (
	"regexp"
	"strings"
)

// filePath is the path of a file of two components or more, which may be a mailbox.
var filePath = regexp.MustCompile(`(?:^|[\s"'<(\[|=:])(?:/[^/\s"'<>()\[\]:;,{}]+){2,}`)

// ReplaceInPaths replaces the components of the paths of files in a text, but those that are
// known to name no person.
func ReplaceInPaths(text string, name func(string) string) string {
	return filePath.ReplaceAllStringFunc(text, func(path string) string {
		parts := strings.Split(path, "/")
		for i := 1; i < len(parts); i++ {
			if is := strings.TrimRight(parts[i], "."); !systemNames[is] {
				parts[i] = name(is) + parts[i][len(is):]
			}
		}
		return strings.Join(parts, "/")
	})
}

// systemNames are directories and programs of mail servers.
var systemNames = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(`Maildir bin cur cyrus deliver dev dovecot dovecot-lda etc exim exim4 home inbox lib lib64 libexec lmtp local log mail maildir
		mailbox mailman mbox mnt new null opt postfix private procmail queue root run sbin sendmail share spool srv tmp usr users var virtual vmail`) {
		m[w] = true
	}
	return m
}()

var (
	syslogHead = regexp.MustCompile(`^\S+(?: +\S+){1,4}?\[\d+\]: `)
	fieldNames = regexp.MustCompile(`\b(?:to|orig_to|relay|delay|delays|dsn|status|from|size|nrcpt|conn_use|tls|client|sasl_method|sasl_username|message-id|sender|[A-Z]{1,3})=`)
)

// Shape is a line of the log that was not understood without its words: where a name stands in
// it, nobody knows. What the syslog daemon wrote in front of it and the names of its fields stay.
func Shape(line string) string {
	head := syslogHead.FindString(line)
	if strings.ContainsAny(head, "@<>\"*") {
		head = ""
	}
	b := []byte(head)
	rest := line[len(head):]
	done := 0
	mask := func(part string) {
		for _, r := range part {
			switch {
			case r >= 0x80, 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
				b = append(b, 'x')
			case '0' <= r && r <= '9':
				b = append(b, '0')
			default:
				b = append(b, byte(r))
			}
		}
	}
	for _, at := range fieldNames.FindAllStringIndex(rest, -1) {
		mask(rest[done:at[0]])
		b = append(b, rest[at[0]:at[1]]...)
		done = at[1]
	}
	mask(rest[done:])
	return string(b)
}
