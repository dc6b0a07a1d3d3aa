package judge

import (
	"slices"
	"strings"

	"bouncelog/bounce"
)

// A Line is the subject of a log line that reports no delivery attempt.
type Line uint8

// The subjects that are explained without a verdict.
const (
	LineOther     Line = iota // none of the others
	LineInbound               // mail from outside that this server refused
	LineSubmitted             // mail of a logged-in user, refused
	LineArrived               // a message came into the queue
	LineQueued                // something else about a queued message
	LineCompleted             // all recipients of a message are done
	LineRemoved               // somebody removed a message from the queue
	LineFrozen                // a message is held
	LineThawed                // a message is no longer held
	LineDiscarded             // a filter discarded a message

	// Warnings. Most precede the line of a delivery and explain why it failed.
	LineWarning         // of this server; none of the others
	LineWarningResolver // its resolver, or the name servers of others
	LineWarningTable    // a table or database
	LineWarningService  // one of its services, filters or commands
	LineWarningTLS      // its own TLS: keys, policy, library
	LineWarningSetup    // its configuration
	LineWarningHost     // its disk, memory or permissions
	LineCertificate     // another server's certificate fails a check
	LineClient          // a client that connected
)

// ExplainLine explains a log line that reports no delivery attempt. It has no outcome and no
// reason, because nothing bounced. A warning has a scope, because it shows who is responsible for
// the next failed delivery.
func ExplainLine(l Line) Explanation {
	if int(l) >= len(lineTexts) {
		l = LineOther
	}
	t := lineTexts[l]
	return Explanation{Title: t.Title, Meaning: t.Meaning, Do: t.Do, Also: t.Also, Turn: t.Retry, Verdict: bounce.Verdict{Scope: t.Scope}}
}

// lineTexts are the texts by Line; Retry says who acts.
var lineTexts = [...]Text{
	LineOther: {
		Title:   "no delivery",
		Meaning: "This log line is about something else than the delivery of a message: nothing was delivered, put off or returned.",
		Do:      []string{"Look for a line with status= (Postfix) or with =>, == or ** (Exim) for the same message."},
		Retry:   "Nobody: no action is needed.",
	},
	LineInbound: {
		Title:   "refused by this server: inbound mail",
		Meaning: "This mail server refused mail from outside. Nothing of yours came back, and what the line says of an address or a list is about the client that wanted in.",
		Do: []string{
			"Unwanted mail: nothing.",
			"Wanted mail: the line names the restriction (Postfix: smtpd_*_restrictions, postscreen, a milter; Exim: an ACL); exempt the client there, or tell its postmaster.",
		},
		Retry: "The other server: it keeps the message (4xx) or returns it to its sender (5xx).",
	},
	LineSubmitted: {
		Title:   "refused by this server: mail of your own user",
		Meaning: "This mail server refused mail that a user of its own handed in. It never came into the queue.",
		Do:      []string{"The line names the restriction and the login: check whether the user may send with that sender address and to that recipient."},
		Retry:   "You: the user got an error message and asks you.",
	},
	LineArrived: {
		Title:   "message taken",
		Meaning: "A message came into the queue of this server. What became of it stands in later lines with the same id.",
		Do:      []string{"bouncelog trace ID shows its whole course."},
		Retry:   "This server: it delivers the message.",
	},
	LineQueued: {
		Title:   "about a queued message",
		Meaning: "The line is about a message in the queue of this server and reports no delivery attempt.",
		Do:      []string{"bouncelog trace ID shows its whole course."},
		Retry:   "This server: it goes on with the message.",
	},
	LineCompleted: {
		Title:   "message completed",
		Meaning: "Nothing of this message is left in the queue: every recipient was delivered, returned or given up before.",
		Do:      []string{"bouncelog trace ID shows what became of each recipient."},
		Retry:   "Nobody: it is done.",
	},
	LineRemoved: {
		Title:   "message removed by hand",
		Meaning: "Somebody took this message out of the queue (exim -Mrm, postsuper -d). Recipients that were still waiting got nothing, and the sender got no notification.",
		Do:      []string{"Nothing, if it was meant so."},
		Retry:   "Nobody: it is done.",
	},
	LineFrozen: {
		Title:   "frozen: held in the queue",
		Meaning: "The message stays in the queue and is not tried until somebody acts, or until timeout_frozen_after or ignore_bounce_errors_after ends it. Mostly it is a notification that can be neither delivered nor returned, since its sender is empty.",
		Do: []string{
			"exim -Mvl ID shows why. exim -Mt ID thaws it, exim -M ID tries it at once, exim -Mrm ID removes it. Postfix: postsuper -H ID releases it.",
			"Many frozen notifications: the server sends them to forged senders. Refuse bad recipients in the SMTP session instead of bouncing later.",
		},
		Retry: "You, if the message matters; otherwise it is removed in time.",
	},
	LineThawed: {
		Title:   "no longer frozen",
		Meaning: "The message is no longer held: the next queue run tries it.",
		Do:      []string{"bouncelog trace ID shows what comes of it."},
		Retry:   "This server: it retries.",
	},
	LineDiscarded: {
		Title:   "discarded by this server",
		Meaning: "A filter or an access rule of this server threw the message away. Nobody gets it, and nobody was told.",
		Do:      []string{"If it was wanted: look at the filter or the rule that the line names (header_checks, a milter, an ACL, a system filter)."},
		Retry:   "Nobody: it is gone.",
	},
	LineWarning: {
		Title:   "warning of this server",
		Meaning: "This server warns of itself. The warning mostly stands just before the delivery that failed because of it, and says more than the reason there.",
		Do:      []string{"Read it together with the line after it that has status= for the same process: the number in brackets after the daemon's name."},
		Retry:   turnWarning,
	},
	LineWarningResolver: {
		Title: "warning of this server: a name was not found", Scope: bounce.ScopeSender,
		Meaning: "This server asked the DNS for a name and got none. If it is the same for many names, its resolver is at fault; if for one, the name in its configuration, or the name servers of that domain.",
		Do: []string{
			"Ask the resolver from this server (dig NAME), for this name and for another. Postfix reads the copy of resolv.conf below its queue directory where it runs chrooted.",
			"The name of a blocklist: it may refuse queries of public resolvers; run a resolver of your own.",
		},
		Retry: turnWarning,
		Also:  "One domain whose name servers do not answer.",
	},
	LineWarningTable: {
		Title: "warning of this server: a table or database", Scope: bounce.ScopeSender,
		Meaning: "This server could not read a table, or its database did not answer. Mail is put off with words such as \"table lookup problem\", or treated as if the table were empty.",
		Do: []string{
			"Try the table: postmap -q KEY TYPE:FILE with the names of the line; Exim: exim -be with the lookup.",
			"A database: see whether it runs and takes the login. A file: run postmap again, and check its owner and permissions; the type has to be there (postconf -m).",
		},
		Retry: turnWarning,
	},
	LineWarningService: {
		Title: "warning of this server: a service of its own", Scope: bounce.ScopeSender,
		Meaning: "A service, filter or command of this server does not answer or ends with an error. Mail that needs it waits.",
		Do: []string{
			"See whether the service that the line names runs: a milter or policy server by its own log, a daemon of Postfix by the line just before (fatal:, exit status).",
			"Compare its socket or port with main.cf and master.cf (postfix check); a path without a leading / is below the queue directory. Exim: av_scanner, spamd_address, and the transport.",
		},
		Retry: turnWarning,
	},
	LineWarningTLS: {
		Title: "warning of this server: its own TLS", Scope: bounce.ScopeSender,
		Meaning: "This server speaks of its own TLS: a key, a certificate, a policy table or the library. With a policy that asks for TLS, mail then waits.",
		Do: []string{
			"Check the file, table or parameter that the line names (postconf -n, and postmap -q DOMAIN for smtp_tls_policy_maps). Exim: tls_certificate, tls_privatekey and their owner.",
			"A library error during a session: the other side may speak only what this one does not; compare with posttls-finger DOMAIN.",
		},
		Retry: turnWarning,
	},
	LineWarningSetup: {
		Title: "warning of this server: its configuration", Scope: bounce.ScopeSender,
		Meaning: "This server warns of its own configuration. A host that greets with this server's name, or a domain that leads back to it, is a route of your own that goes in a circle.",
		Do: []string{
			"Check the parameter that the line names (postconf -n, postfix check; Exim: exim -bV).",
			"A circle: compare myhostname, relayhost, transport_maps and the MX records with mydestination, virtual_mailbox_domains and relay_domains.",
		},
		Retry: turnWarning,
	},
	LineWarningHost: {
		Title: "warning of this server: disk, memory or permissions", Scope: bounce.ScopeSender,
		Meaning: "This server could not write or open a file, or ran out of disk space, memory or processes. Mail waits, and none is taken from outside.",
		Do: []string{
			"Check the space and the inodes of the queue's and the mailboxes' disk (df, df -i).",
			"Check the owner and the permissions of the file that the line names, and SELinux or AppArmor.",
		},
		Retry: turnWarning,
	},
	LineCertificate: {
		Title:   "certificate not trusted",
		Meaning: "The other server's certificate did not pass a check. Unless a policy asks for it (the levels verify, secure and dane), the mail is sent all the same, encrypted.",
		Do: []string{
			"Nothing, unless a delivery line says that the certificate was not accepted: then see who asks for the check (smtp_tls_policy_maps, DANE, MTA-STS).",
			"It is said of every server: the issuers are missing here; set smtp_tls_CAfile or smtp_tls_CApath.",
		},
		Retry: "Nobody, if the mail was sent; else whoever asks for the check.",
	},
	LineClient: {
		Title:   "about a client that connected",
		Meaning: "The line is about a client that connected to this server: its name, its login or its commands. It is about no delivery of yours.",
		Do:      []string{"Nothing. Many failed logins from one address: an attack on passwords (fail2ban, smtpd_client_auth_rate_limit)."},
		Retry:   "Nobody: no action is needed.",
		Also:    "A user of your own who mistyped a password.",
	},
}

// turnWarning is the text on who acts on a warning of this server.
const turnWarning = "You: it is your own server that warns. The delivery lines after it say what became of the mail."

// warnings classify the warnings of Postfix and Exim by words in them, in lower case; the first
// match counts. In a daemon that talks to clients, some warnings are about the client.
var warnings = [...]struct {
	line   Line
	client bool
	words  []string
}{
	{LineWarningService, false, []string{"saslauthd", "authentication mechanisms"}},
	{LineWarningResolver, false, []string{"rbl lookup error", "resolv.conf"}},
	{LineWarningHost, false, []string{
		"disk space", "free space", "no space left", "read-only file system", "cannot allocate memory", "out of memory", "too many open files",
		"fork failed", "main log file", "reject log file", "panic log file",
	}},
	{LineWarningTLS, false, []string{"cert/key setup"}},
	{LineWarningSetup, false, []string{
		"configuration error", "configuration file", "greeted me with my own hostname", "loops back to myself", "relayhost configuration", "in both ", "bad parameter", "unused parameter",
		"undefined parameter", "overriding earlier entry", "missing '=' after attribute name", "myhostname", "not owned by",
	}},
	{LineWarningTLS, true, []string{"tls library"}},
	{LineWarningTLS, false, []string{"tls policy", "tlsmgr", "disabling tls", "rsa certificate", "private key", "dnssec", "tls_"}},
	{LineWarningService, false, []string{
		"milter", "private/", "public/", "subsystem", "policy server", "bad command startup", "exit status", "killed by signal",
		"problem talking to", "timeout on ", "acl condition: ", "clamd", "spamd", "crashed with signal",
	}},
	{LineWarningTable, false, []string{
		"mysql", "pgsql", "ldap", "sqlite", "lookup error", "lookup problem", "lookup failed", " lookup of ", "database ", "dictionary type",
		"is older than source file", "gave defer", "open dictionary", "hints database", "/db/",
	}},
	{LineWarningHost, true, []string{"permission denied"}},
	{LineClient, true, []string{"tls error on connection from", "dkim: d=", "authenticator failed", "smtp connection from", "unexpected disconnection"}},
	{LineWarningResolver, true, []string{"name service error", "name or service not known", "name resolution"}},
}

// WarningLine returns the subject of a Postfix warning. daemon is smtp, qmgr, …; text is the text
// after "warning: ".
func WarningLine(daemon, text string) Line {
	inbound := daemon == "smtpd" || daemon == "postscreen" || daemon == "dnsblog"
	l, client := warningOf(text)
	switch {
	case inbound && (client || l == LineOther):
		return LineClient
	case l == LineOther:
		return LineWarning
	}
	return l
}

// EximLine returns the subject of a line of Exim's main log or panic log that is not about the
// progress of a message: a warning, a client, or another subject.
func EximLine(text string) Line {
	l, _ := warningOf(text)
	text = strings.ToLower(text)
	if l == LineOther && slices.ContainsFunc([]string{"failed", "cannot ", "unable to ", "error", "panic", "warning: "}, func(s string) bool { return strings.Contains(text, s) }) {
		return LineWarning
	}
	return l
}

// warningOf returns the Line of the first matching entry of warnings, or LineOther. client reports
// whether it is about the client if the daemon talks to one.
func warningOf(text string) (l Line, client bool) {
	text = strings.ToLower(text)
	for i := range warnings {
		w := &warnings[i]
		if slices.ContainsFunc(w.words, func(s string) bool { return strings.Contains(text, s) }) {
			return w.line, w.client
		}
	}
	return LineOther, false
}

// EndLine returns the Line for the end of a message as a whole.
func EndLine(e bounce.EndEvent) Line {
	switch e {
	case bounce.MessageCompleted:
		return LineCompleted
	case bounce.MessageRemoved:
		return LineRemoved
	case bounce.MessageFrozen:
		return LineFrozen
	case bounce.MessageThawed:
		return LineThawed
	case bounce.MessageDiscarded:
		return LineDiscarded
	}
	return LineQueued
}
