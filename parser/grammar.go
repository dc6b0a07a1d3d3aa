package parser

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"bouncelog/bounce"
)

// The grammar of the lines, as regular expressions, applied one after the
// other from the left. This is the specification; the scanners in postfix.go
// and exim.go do the same many times faster, and fuzz tests compare them.

// quoted is a quoted string of RFC 5321 section 4.1.2.
const quoted = `"(?:[^"\\]|\\.)*"`

// postfixGrammar is what Postfix's log_adhoc writes:
//
//	QUEUEID: to=<R>, orig_to=<O>, relay=…, conn_use=2, delay=…, delays=a/b/c/d, dsn=x.y.z, status=word (text)
var postfixGrammar = sync.OnceValue(func() (g struct {
	queueID, to, origTo, relay, field, status     *regexp.Regexp
	relayHost, said, refused, saslSaid, inReplyTo *regexp.Regexp
},
) {
	// An address ends at the first ">" that the next field follows, and not
	// within a quoted local part.
	address := `(?:<((?:` + quoted + `)?.*?)>|([^<, ][^, ]*)), (?:relay=|orig_to=)`
	server := `[^\[]*\[[^\]]*\](?::[0-9]*)?`
	g.queueID = regexp.MustCompile(`^([0-9A-Za-z]{5,25}): ?`)
	g.to = regexp.MustCompile(`(?s)^to=` + address)
	g.origTo = regexp.MustCompile(`(?s)^orig_to=` + address)
	g.relay = regexp.MustCompile(`(?s)^relay=([^,]*), .`)
	g.field = regexp.MustCompile(`^([a-z_]+)=([^, ]*),? `)
	g.status = regexp.MustCompile(`(?s)^status=([A-Za-z-]+)(?: \((.*?)\)? *| *)$`)

	g.relayHost = regexp.MustCompile(`(?s)^([^\[]*)\[(.*)\](?::([0-9]{1,5})$)?`)
	g.said = regexp.MustCompile(`(?s)^host ` + server + ` said: (.*)$`)
	g.saslSaid = regexp.MustCompile(`(?s)^SASL authentication failed; server ` + server + ` said: (.*)$`)
	g.refused = regexp.MustCompile(`(?s)^host ` + server + ` refused to talk to me: (.*)$`)
	g.inReplyTo = regexp.MustCompile(`(?s)^(.*) \(in reply to (.*?)(?: command)?\)$`)
	return g
})

// referencePostfix reads the message of a delivery agent by the grammar.
func referencePostfix(msg string) (id string, f postfixFields, ok bool) {
	g := postfixGrammar()
	m := g.queueID.FindStringSubmatch(msg)
	if m == nil {
		return "", f, false
	}
	if id = m[1]; id == "NOQUEUE" {
		return "", f, false
	}
	s := msg[len(m[0]):]
	address := func(re *regexp.Regexp) (string, bool) {
		m := re.FindStringSubmatchIndex(s)
		if m == nil {
			return "", false
		}
		a := ""
		if m[2] >= 0 {
			a = s[m[2]:m[3]]
			s = s[m[3]+len(">, "):]
		} else {
			a = s[m[4]:m[5]]
			s = s[m[5]+len(", "):]
		}
		return a, true
	}
	if f.to, ok = address(g.to); !ok {
		return "", f, false
	}
	if strings.HasPrefix(s, "orig_to=") {
		if f.origTo, ok = address(g.origTo); !ok {
			return "", f, false
		}
	}
	if m = g.relay.FindStringSubmatch(s); m == nil {
		return "", f, false
	}
	f.relay = m[1]
	s = s[len("relay=")+len(m[1])+len(", "):]
	for range maxFields {
		if m = g.status.FindStringSubmatch(s); m != nil {
			f.status, f.text = m[1], m[2]
			return id, f, true
		}
		if m = g.field.FindStringSubmatch(s); m == nil || m[1] == "status" {
			return "", f, false
		}
		switch m[1] {
		case "delay":
			f.delay = m[2]
		case "delays":
			f.delays = m[2]
		case "tls":
			f.tls = m[2]
		case "dsn":
			f.dsn = m[2]
		}
		s = s[len(m[0]):]
	}
	return "", f, false
}

// referenceReply reads the text of a status by the grammar: the remote's
// reply and the stage, or ok false where the text is the MTA's own.
func referenceReply(text string) (reply string, stage bounce.Stage, ok bool) {
	g := postfixGrammar()
	text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	if m := g.said.FindStringSubmatch(text); m != nil {
		reply = m[1]
	} else if m := g.saslSaid.FindStringSubmatch(text); m != nil {
		reply, stage = m[1], bounce.StageAuth
	} else if m := g.refused.FindStringSubmatch(text); m != nil {
		reply, stage = m[1], bounce.StageConnect
		if strings.Contains(reply, "elo command rejected") {
			stage = bounce.StageHelo
		}
	} else {
		return "", 0, false
	}
	if m := g.inReplyTo.FindStringSubmatch(reply); m != nil {
		if s := smtpStage(m[2]); s != bounce.NoStage {
			reply, stage = m[1], s
		}
	}
	return reply, stage, true
}

// eximGrammar is what Exim's specification says of delivery lines (chapter
// "Log files"). Exim's writers are many, so the scanner forgives more than
// this; of a line that matches, the two read the same, unless it names a quoted
// address in brackets: eximaddress.go says what holds then.
var eximGrammar = sync.OnceValue(func() (g struct {
	id, delivered, failed, deferred, field, anywhere *regexp.Regexp
},
) {
	g.anywhere = regexp.MustCompile(`[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})[ \t]+(?:=>|->|>>|\*>|\*\*|==)[ \t]`)
	g.id = regexp.MustCompile(`^([0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}) (=>|->|>>|\*>|\*\*|==) `)
	// user@domain, or a bare local name, a pipe, a file, or :blackhole:, with
	// the address that it was made of.
	address := `(?:(` + quoted + `@[^\s:<>"]+|[^\s"\\|/>:<(][^\s<>"\\]*[^\s:<>"\\]|[^\s"\\|/>:<(])(?: <((?:` + quoted + `)?[^<>\s"]+)>)?` +
		`|([|/>][^<>]*|:blackhole:) <((?:` + quoted + `)?[^<>\s"]+)>)`
	// H=name [address]:port, NAME="quoted", NAME=<address>, NAME=word
	named := ` H=(?:[^\s\[\]=:]+ )?(?:\([^()\s]*\) |DS )?\[[0-9A-Za-z.:]{1,64}\](?::[0-9]{1,5})?\*?` +
		`| [A-GI-Z][A-Z0-9]{0,11}=` + quoted +
		`| [A-GI-Z][A-Z0-9]{0,11}=<(?:` + quoted + `)?[^<>\s"]*>` +
		`| [A-GI-Z][A-Z0-9]{0,11}=[^\s"<:](?:\S*[^\s:])?`
	field := named + `| [A-Z]+\*?` // a flag: L, K, TFO*
	fields := `((?:(?:` + named + `)(?:` + field + `)*)?)`
	g.delivered = regexp.MustCompile(`^` + address + fields + `$`)
	g.failed = regexp.MustCompile(`^` + address + fields + ` ?: (.*)$`)
	g.deferred = regexp.MustCompile(`^` + address + fields + `(?: routing)? defer(?: \((-?[0-9]{1,6})\))?` + fields + `: (.*)$`)
	g.field = regexp.MustCompile(field)
	return g
})

// wrapperGrammar is what may stand before a line of an MTA's, and be nothing
// but a wrapper: the marks of a quotation, the names of files, containers and
// hosts, levels, times and numbers, brackets and labels, and at the end a
// program. It makes no difference between letters, nor between digits
// (isWrapper counts on that).
var wrapperGrammar = sync.OnceValue(func() *regexp.Regexp {
	const (
		marks     = `(?:<[0-9]{1,3}>)?[ \t|>+*-]*`
		separator = `(?:[ \t|:,>-]+|$)`
		number    = `[0-9][0-9TZ:.,/+-]*`
		bracket   = `\[[^\[\]"=<>]*\]`
		labels    = `\{[^{}<>]*\}`
		letters   = `[^\x00-\x20"'=<>(){}\[\]|:;,?&!$^\\]+`
		program   = letters + `(?:\[[0-9]*\])?: ?`
		other     = `(?:(?:` + number + `|` + bracket + `|` + labels + `)` + separator + `)*`
		// A colon that a blank follows ends a program, and that stands last.
		name = letters + `(?::|[ \t|,>-]+)`
	)
	return regexp.MustCompile(`^` + marks + other + `(?:` + name + other + `){0,5}(?:` + program + `|` + bracket + `:? ?)?$`)
})

// referenceExim reads what follows the flag of a line by the grammar.
func referenceExim(flag, s string) (f eximFields, ok bool) {
	g := eximGrammar()
	re := g.delivered
	switch flag {
	case "**":
		re = g.failed
	case "==":
		re = g.deferred
	}
	m := re.FindStringSubmatch(s)
	if m == nil {
		return f, false
	}
	if f.address, f.parent = m[1], m[2]; f.address == "" {
		f.address, f.parent = m[3], m[4]
	}
	fields := m[5]
	switch flag {
	case "**":
		f.message = m[6]
	case "==":
		f.errno, _ = strconv.Atoi(m[6])
		fields += m[7]
		f.message = m[8]
	}
	for _, field := range g.field.FindAllString(fields, -1) {
		name, v, hasValue := strings.Cut(field[1:], "=")
		if !hasValue {
			continue
		}
		if name == "H" {
			i := strings.LastIndexByte(v, '[')
			host, _, _ := strings.Cut(strings.Trim(v[:i], " "), " ")
			ip, port, _ := strings.Cut(v[i+1:], "]")
			n, err := strconv.ParseUint(strings.Trim(port, ":*"), 10, 16)
			if err != nil {
				n = 0
			}
			if f.host == "" && f.ip == "" {
				f.host, f.ip, f.port = host, ip, uint16(n)
			}
			continue
		}
		if v[0] == '"' || v[0] == '<' {
			v = v[1 : len(v)-1]
		}
		switch name {
		case "R":
			f.router = v
		case "T":
			f.transport = v
		case "F":
			if !f.hasSender {
				f.sender, f.hasSender = v, true
			}
		case "S":
			f.size, _ = strconv.ParseInt(v, 10, 64)
		case "C":
			f.confirmation = v
		case "QT":
			f.queueTime = v
		case "DT":
			f.deliveryTime = v
		}
	}
	return f, true
}
