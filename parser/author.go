package parser

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Whether an inner line is believed depends on its author. If its wrapper names a program, a
// container, a unit, an application or a logger, that name decides. A mail server is believed. A
// shipper or a container engine tells nothing about the author. Any other program may have logged a
// stranger's text.

// An author is the information about the writer of a line that a name gives.
type author uint8

const (
	nobody     author = iota // a shipper, a container engine, a number: the author is not known
	mailServer               // an MTA, or a container with one
	another                  // another program
)

// authorWords are the words in names. mta: names of MTAs, anywhere in a name. mail: names of
// machines that send mail, as the last word that is not neutral. neutral: words without meaning.
var authorWords = sync.OnceValue(func() (w struct{ mta, mail, neutral *regexp.Regexp }) {
	w.mta = regexp.MustCompile(`^(?:postfix|exim|e?smtpd?)$`)
	w.mail = regexp.MustCompile(`^(?:e?mail(?:er|in|out|hub|host|server|service|gateway|gw|relay|box|log)?|mx|mta|msa|relay|smarthost|dms|postal|mailu|iredmail|modoboa)$`)
	w.neutral = regexp.MustCompile(`^(?:.|r?sys(?:log|tem)d?|logd?s?|journald?|docker(?:d|ized)?|podman|libpod|conmon|containerd?s?|crio?|kube(?:let|rnetes)?|k8s|pods?|nomad|` +
		`td|agent|fluent(?:d|bit)?|bit|vector|promtail|alloy|loki|(?:file)?beat|logstash|logspout|graylog|otel(?:col)?|collector|forward(?:er)?|ng|` +
		`supervisord?|runit|svlogd|multilog|tail|file|input|source|std(?:out|err)|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|alert|emerg|fatal|` +
		`apps?|worker|main|service|svc|server|host|gateway|in|out|(?:in|out)bound|prod(?:uction)?|staging|test|dev|default|local|primary|secondary|backup|` +
		`var|usr|opt|s?bin|lib|libexec|run|slice|scope|session|init|mon|tue|wed|thu|fri|sat|sun)$`)
	return w
})

// authorOf returns the author of a line after a name. A word consists of letters and digits. Digits
// at its ends are ignored, as is the host of a container ("mail.1.k3j2@node2").
func authorOf(name string) author {
	name, _, _ = strings.Cut(name, "@")
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !isWordRune(r) })
	known := authorWords()
	for _, word := range words {
		if known.mta.MatchString(strings.TrimRight(word, "0123456789")) {
			return mailServer
		}
	}
	for i := len(words) - 1; i >= 0; i-- {
		switch word := strings.TrimRight(words[i], "0123456789"); {
		case known.mail.MatchString(word):
			return mailServer
		case word != "" && !known.neutral.MatchString(word) && !isHash(words[i], i > 0):
			return another
		}
	}
	return nobody
}

func isWordRune(r rune) bool { return r >= 0x80 || alnum[r] }

// isHash reports whether a word is a container's id, or the end of a name that an engine generated:
// letters mixed with digits, or the consonants of Kubernetes.
func isHash(word string, made bool) bool {
	const digits, hex, consonants, shortest = "0123456789", "0123456789abcdef", "bcdfghjklmnpqrstvwxz", 5
	isHex, isMixed := strings.Trim(word, hex) == "", strings.ContainsAny(strings.TrimRight(word, digits), digits)
	return len(word) >= shortest && (isHex && strings.ContainsAny(word, digits) || made && (isMixed || strings.Trim(word, consonants) == ""))
}

// authors are the authors that the fields of an object give for its text.
type authors [5]author

// If there are several names, the most exact one that gives an author decides.
const (
	ofEngine = iota // the container that an engine names; its program is a tag
	ofProgram
	ofContainer
	ofUnit // also pods
	ofApplication
)

// name adds a name of a rank.
func (a *authors) name(rank int, name []byte, p *Parser) {
	prog := p.programs.get(name)
	is := prog.author
	if rank <= ofUnit && (prog.daemon != notPostfix || prog.exim) {
		is = mailServer
	}
	a[rank] = max(a[rank], is)
}

// who returns the author according to all names.
func (a *authors) who() author {
	for _, is := range a {
		if is != nobody {
			return is
		}
	}
	return nobody
}

// authorBefore returns the author that the words before an inner line name. A word after a time is
// the host, except directly before an object, where it is a shipper's tag. A word with a colon
// directly before the line is the name of a file.
func (p *Parser) authorBefore(b []byte, isObject bool) author {
	who, hostNext := nobody, false
	for len(b) > 0 {
		if _, n := scanStamp(b); n > 0 {
			b, hostNext = b[n:], true
			continue
		}
		if b[0] == '{' {
			end := bytes.IndexByte(b, '}')
			if end < 0 {
				return another
			}
			who = max(who, p.labels(b[1:end]))
			b = b[end+1:]
			continue
		}
		if _, n := scanStamp(b[1:]); n > 0 && !alnum[b[0]] {
			b = b[1:]
			continue
		}
		if n := pri(b); n > 0 {
			b = b[n:]
			continue
		}
		n := 0
		for n < len(b) && b[n] > ' ' && b[n] != '|' && b[n] != ',' && b[n] != ';' && b[n] != '{' {
			n++
		}
		if n == 0 {
			b = b[1:]
			continue
		}
		word := b[:n]
		b = b[n:]
		plain := isHostName(word)
		switch {
		case isLogger(word):
			if authorOf(string(word)) != mailServer {
				return another
			}
			who, hostNext = mailServer, false
		case isLevel(word) && bytes.IndexByte(word, '.') < 0: // the name of a logger follows
			hostNext = false
		case plain && isZoneOrDay(word):
		case len(b) == 0 && !isObject && (word[n-1] == ':' || word[n-1] == '-'):
		case hostNext && plain && (len(bytes.TrimRight(b, " ")) > 0 || !isObject):
			hostNext = false
		case bytes.ContainsFunc(word, isWordRune):
			hostNext = false
			if name, _, isProcess := bytes.Cut(word, []byte("[")); isProcess && len(name) > 0 {
				word = name
			}
			who = max(who, p.programs.get(bytes.TrimRight(word, ":")).author)
		}
	}
	return who
}

// isLogger reports whether a word is the name of a logger with a level, which libraries write
// before a message: "production.INFO:", "INFO:shop.forms:". A facility of syslog is not one (RFC
// 5424 section 6.2.1).
func isLogger(word []byte) bool {
	name, isEnd := bytes.CutSuffix(word, []byte(":"))
	if level, logger, ok := bytes.Cut(name, []byte(":")); isEnd && ok && isLevelName(bytes.ToLower(level)) {
		return len(logger) > 0 && !allDigits(logger)
	}
	name, level, ok := bytes.Cut(name, []byte("."))
	if !ok || !isLevelName(bytes.ToLower(level)) {
		return false
	}
	switch string(name) {
	case "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp":
		return false
	}
	return len(name) != len("local0") || !bytes.HasPrefix(name, []byte("local")) || !isDigit(name[5])
}

// labels returns the author that the labels of a stream name: app="mail", pod="mail-0".
func (p *Parser) labels(b []byte) author {
	var o object
	for len(b) > 0 {
		label, rest, _ := bytes.Cut(b, []byte(","))
		key, value, _ := bytes.Cut(label, []byte("="))
		o.field(bytes.TrimSpace(key), bytes.Trim(value, " \""), p)
		b = rest
	}
	return o.authors.who()
}
