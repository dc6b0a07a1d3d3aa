package parser

import (
	"regexp"
	"sync"
)

// The grammar of the lines, as regular expressions that are applied in order from left to right. It
// is the specification. The scanners in postfix.go and exim.go do the same many times faster, and
// fuzz tests compare the two. Only wrapperGrammar and eximGrammar's anywhere run on logs, on few
// lines.

// quoted is a quoted string (RFC 5321 section 4.1.2).
const quoted = `"(?:[^"\\]|\\.)*"`

// postfixGrammar describes the lines of Postfix's log_adhoc:
//
//	QUEUEID: to=<R>, orig_to=<O>, relay=…, conn_use=2, delay=…, delays=a/b/c/d, dsn=x.y.z, status=word (text)
var postfixGrammar = sync.OnceValue(func() (g struct {
	queueID, to, origTo, relay, field, status     *regexp.Regexp
	relayHost, said, refused, saslSaid, inReplyTo *regexp.Regexp
},
) {
	// An address ends at the first ">" before the next field that is not within a quoted local
	// part.
	address := `(?:<((?:` + quoted + `)?.*?)>|([^<, ][^, ]*)), (?:relay=|orig_to=)`
	server := `[^\[]*\[[^\]]*\](?::[0-9]*)?`
	g.queueID = regexp.MustCompile(`^([0-9A-Za-z]{5,25}):[ \t]*`)
	g.to = regexp.MustCompile(`(?s)^to=` + address)
	g.origTo = regexp.MustCompile(`(?s)^orig_to=` + address)
	g.relay = regexp.MustCompile(`(?s)^relay=([^,]*), .`)
	g.field = regexp.MustCompile(`^([a-z_]+)=([^, ]*),? `)
	g.status = regexp.MustCompile(`(?s)^status=([A-Za-z-]+)(?: \((.*?)(?:\)[` + regexp.QuoteMeta(statusTail) + `]*)? *| *)$`)

	g.relayHost = regexp.MustCompile(`(?s)^([^\[]*)\[(.*)\](?::([0-9]{1,5})$)?`)
	g.said = regexp.MustCompile(`(?s)^host ` + server + ` said: (.*)$`)
	g.saslSaid = regexp.MustCompile(`(?s)^SASL authentication failed; server ` + server + ` said: (.*)$`)
	g.refused = regexp.MustCompile(`(?s)^host ` + server + ` refused to talk to me: (.*)$`)
	g.inReplyTo = regexp.MustCompile(`(?s)^(.*) \(in reply to (.*?)(?: command)?\)$`)
	return g
})

// eximGrammar describes delivery lines according to Exim's specification (chapter "Log files").
// Many parts of Exim write them, so the scanner is more lenient. If a line matches, both read the
// same, unless it names a quoted address in brackets: for these see eximaddress.go.
var eximGrammar = sync.OnceValue(func() (g struct {
	id, delivered, failed, deferred, field, anywhere *regexp.Regexp
},
) {
	const bracket = `(?:&|\\+u0026)(?:amp;)*(?:gt|#62|#[xX]3[eE]);|\\+u003[eE]` // in HTML, in JSON
	const blank = `(?:[ \t\p{Zs},;"]|M-BM- |(?:&|\\+u0026)(?:amp;)*nbsp;|\\+(?:t|u00[aA]0|u0009))`
	g.anywhere = regexp.MustCompile(`[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})[\])}>:;,|]*` + blank +
		`+(?:(?:[=>*-]|=3D|` + bracket + `)(?:>|` + bracket + `)|\*\*|==|=3D=3D)` + blank)
	g.id = regexp.MustCompile(`^([0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}) (=>|->|>>|\*>|\*\*|==) `)
	// user@domain, a bare local name, a pipe, a file, or :blackhole:, with the original address.
	domain := `(?:\[[^\x00-\x20<>\]]*\]|[^\x00-\x20\x7f<>()@,;:\\"\[\]]+)`
	address := `(?:(` + quoted + `@` + domain + `|[^\s"\\|/>:<(][^\s<>"\\]*[^\s:<>"\\]|[^\s"\\|/>:<(])(?: <((?:` + quoted + `)?[^<>\s"]+)>)?` +
		`|([|/>](?:[^<>]*[^<> ])?|:blackhole:) +<((?:` + quoted + `)?[^<>\s"]+)>)`
	// H=name [address]:port, NAME="quoted", NAME=<address>, NAME=word
	named := ` H=(?:[^\s\[\]=:]+ )?(?:\([^()\s]*\) |DS )?\[[0-9A-Za-z.:]{1,64}\](?::[0-9]{1,5})?\*?` +
		`| [A-GI-Z][A-Z0-9]{0,11}=` + quoted +
		`| [A-GI-Z][A-Z0-9]{0,11}=<(?:` + quoted + `)?[^<>\s"\\]*>` +
		`| [A-GI-Z][A-Z0-9]{0,11}=[^\s"<:](?:\S*[^\s:])?`
	field := named + `| [A-Z]+\*?` // a flag: L, K, TFO*
	fields := `((?:(?:` + named + `)(?:` + field + `)*)?)`
	g.delivered = regexp.MustCompile(`^` + address + fields + `$`)
	g.failed = regexp.MustCompile(`^` + address + fields + ` ?: (.*)$`)
	g.deferred = regexp.MustCompile(`^` + address + fields + `(?: routing)? defer(?: \((-?[0-9]{1,6})\))?` + fields + `: (.*)$`)
	g.field = regexp.MustCompile(field)
	return g
})

// wrapperGrammar describes the text before an MTA's line that is nothing but a wrapper: the marks
// of a quotation, the names of files, containers and hosts, levels, times and numbers, brackets and
// labels, and at the end a program. It does not distinguish letters from each other, nor digits
// (isWrapper relies on that).
var wrapperGrammar = sync.OnceValue(func() *regexp.Regexp {
	const (
		marks     = `(?:<[0-9]{1,3}>)?[ \t|>+*#/-]*`
		separator = `(?:[ \t|:,>-]+|$)`
		number    = `[0-9][0-9TZ:.,/+-]*`
		bracket   = `\[[^\[\]"=<>]*\]`
		labels    = `\{[^{}<>]*\}`
		letters   = `[^\x00-\x20"'=<>(){}\[\]|:;,?&!$^\\]+`
		program   = letters + `(?:` + bracket + `)?: ?(?:[|,;] ?)?`
		other     = `(?:(?:` + number + `|` + bracket + `|` + labels + `)` + separator + `)*`
		// The path of a file on Windows, in the output of findstr.
		path = `(?:(?:` + letters + `:?)?\\[^\x00-\x20"'=<>(){}\[\]|:;,?&!$^]+:)?`
		// A colon with a blank after it ends a program, which comes last.
		name = letters + `(?::|[ \t|,>-]+)`
	)
	return regexp.MustCompile(`^` + marks + path + other + `(?:` + name + other + `){0,5}(?:` + program + `|` + bracket + `:? ?)?$`)
})

// statusTail are the characters that an editor, program source or cat -A may leave after the
// bracket that ends a delivery line.
const statusTail = " $\"'`,;|\\]}*"
