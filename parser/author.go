package parser

import (
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
