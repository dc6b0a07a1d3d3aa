package redact

import (
	"regexp"
	"strings"
	"unicode"
)

// replyWords are words of replies that also occur in the place of a name, or as a local part. They
// name no person, and a reply without them is useless.
var replyWords = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(`8-bit a abuse access account accounts activity address addresses admin administrative administratively administrator after alias all allow allowed
		already an and any anti-spam any are as assistance at attempting attempts authenticated authentication authorization automatic bad be because been before being billing
		blocked blocking bounce bounces bouncing bulk but by can cannot case check checking class clients closed commands command complaints compliance concurrent configuration connection
		connections contact content could customer customers daily data database days deferred delivery denied destination details did directory disabled disk do does doesn domain
		domain-name domains doubt due dynamic e-mail each either email emails entry error errors everyone example excessive exceeded exceeding exceeds exist exists expired
		explanation failed failing failure few file files first for format forwarding found from full further gatewaying get global greylisting group guidelines has have hello
		help here host hostmaster hosts how id if ignored in inactive inbound incoming info information instructions internal into invalid ip is isn issues it its known later lda
		limit limited limits line list lists local locked log login look lookup mail mailbox mailboxes mailer mailer-daemon mailing mails maximum may maximal memory message messages
		minutes more moved must name need network new news newsletter next no no-reply non-existent none noreply not notification now number of off office ok on once one only
		open or other our out outbound outgoing over overquota owner part path per permanent permission permissions please policies policy possible postmaster prohibited
		protection quota rate rcpt reached reason reasons receipt receive received receiving recipient recipients refused reject rejected relay relaying remediation remote
		removal remove reply reputation request required reset restricted retry return review rfc root sales second seconds security see send sender senders sending sent sequence
		server service services session setting several sha size smtp so some something space spam spammers spamming specific status still storage store such support suspend
		suspended suspicious system table temporarily temporary test than thread that the their them then there these they this those time timeout times to too transaction try type
		typos unable unauthenticated unavailable unknown unless unsolicited until up us use used user username users using valid validation verification verify violates
		violating violation virtual virus viruses was we webmaster were what when where which who whom will with within without yet you your`) {
		m[w] = true
	}
	return m
}()

// isReplyWord reports whether a word is a word of replies, a number, or a host name.
func isReplyWord(word string) bool {
	lower := strings.ToLower(word)
	if replyWords[lower] || strings.IndexFunc(word, unicode.IsLetter) < 0 {
		return true
	}
	for part := range strings.FieldsFuncSeq(lower, func(r rune) bool { return r == '-' || r == '_' || r == '\'' || r == '\u2019' }) {
		if !replyWords[part] && part != "t" && part != "s" {
			return hostName.MatchString(lower)
		}
	}
	return true
}

// hostName matches a name of at least three labels, or with a top-level domain for examples.
var hostName = regexp.MustCompile(`^(?:[a-z0-9-]+\.){2,}[a-z-]{2,}$|\.(?:com|net|org|edu|gov|example|test|invalid|[a-z]{2})$`)
