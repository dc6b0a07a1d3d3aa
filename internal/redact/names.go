// Package redact finds names of people in texts of logs, in whatever spelling, and replaces them: in a
// database with pseudonyms, and in a report with --redact.
package redact

import (
	"regexp"
	"slices"
	"strings"
)

// filePath matches the path of a file with at least two components, which may be a mailbox.
var filePath = regexp.MustCompile(`(?:^|[\s"'<(\[|=:])(?:/[^/\s"'<>()\[\]:;,{}]+){2,}`)

// Paths replaces the components of file paths in a text, except those known to name no
// person.
func Paths(text string, name func(string) string) string {
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

// systemNames are names of directories and programs of mail servers.
var systemNames = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(`Maildir bin cur cyrus deliver dev dovecot dovecot-lda etc exim exim4 home inbox lib lib64 libexec lmtp local log mail maildir
		mailbox mailman mbox mnt new null opt postfix private procmail queue root run sbin sendmail share spool srv tmp usr users var virtual vmail`) {
		m[w] = true
	}
	return m
}()

// announced match the places in which a name is expected: after a word for a person, with or
// without quotes or brackets; and after "for" and "of", unless a word of replies follows.
var announced = [...]*regexp.Regexp{
	regexp.MustCompile(`(?i)^(?:user|username|sasl_username|mailbox|account|recipient|login|alias|addressee|person|name|member|orig_to|from|to|for)(?: unknown| is| name| not found| id)*[\s:=]*["'` + "`" + `<(\[]+([^"'` + "`" + `<>()\[\]{}@]{2,64})["'` + "`" + `>)\]]`),
	regexp.MustCompile(`(?i)^(?:unknown|no such|invalid|unrouteable|nonexistent) (?:local )?(?:user|username|mailbox|account|recipient|address|person)\s*:\s*([^\s"'<>(){}@:;,]{2,64})`),
	regexp.MustCompile(`(?i)^(?:(?:user|username|mailbox|account|recipient|login|alias|addressee|person|member|inbox|maildir)(?:\s+(?:of|for|named?|called|id))?|for|of)\s+([^\s"'` + "`" + `<>(){}\[\]@:;,!?=/\\]{2,64})(?:[\s:;,!?)]|$)`),
	regexp.MustCompile(`(?i)^(?:user|username|sasl_username|login|uid)=([^\s"'<>(){}@:;,]{2,64})(?:[\s:;,]|$)`),
}

// announcing are the words that such places begin with.
var announcing = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(`user username sasl_username mailbox account recipient login alias addressee person name member orig_to from to for of inbox maildir uid
		unknown no invalid unrouteable nonexistent`) {
		m[w] = true
	}
	return m
}()

// Announced replaces the names in the places of a text in which names are expected.
func Announced(text string, name func(string) string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		end := i
		for end < len(text) && (wordByte(text[end]) || text[end] == '_') {
			end++
		}
		if end == i || end-i > len("sasl_username") || !announcing[strings.ToLower(text[i:end])] {
			i = end
			continue
		}
		for _, r := range announced {
			at := r.FindStringSubmatchIndex(text[i:])
			if at == nil {
				continue
			}
			is := strings.Trim(text[i+at[2]:i+at[3]], ".-*")
			if slices.ContainsFunc(strings.Fields(is), isReplyWord) {
				continue
			}
			start := i + at[2] + strings.Index(text[i+at[2]:i+at[3]], is)
			b.WriteString(text[done:start])
			b.WriteString(name(is))
			done = start + len(is)
			end = done
			break
		}
		i = end
	}
	return b.String() + text[done:]
}

var (
	syslogHead = regexp.MustCompile(`^\S+(?: +\S+){1,4}?\[\d+\]: `)
	fieldNames = regexp.MustCompile(`\b(?:to|orig_to|relay|delay|delays|dsn|status|from|size|nrcpt|conn_use|tls|client|sasl_method|sasl_username|message-id|sender|[A-Z]{1,3})=`)
)

// Shape returns an unparsed line with its letters and digits masked, since a name may be anywhere
// in it. The syslog header and the names of fields stay.
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
