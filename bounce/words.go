package bounce

import (
	"fmt"
	"strconv"
)

// MTA is the mail transfer agent that wrote a line.
type MTA string

// The MTAs whose logs are read.
const (
	Postfix MTA = "postfix"
	Exim    MTA = "exim"
)

// An Outcome is how an attempt ended. The MTA decides it, not the reply code.
type Outcome uint8

// The outcomes. Hand-offs (to a content filter or another instance of this host, or the expansion of
// an alias) and probes (address verification) are not deliveries to the recipient's domain and are not
// counted as such. Databases store the numbers: add
// a new outcome at the end, and move none.
const (
	NoOutcome Outcome = iota
	Delivered
	Soft // the MTA will try again
	Hard // the MTA gave up and returned the message
	Handoff
	Probe
)

var outcomeNames = [...]string{"", "delivered", "soft", "hard", "handoff", "probe"}

func (o Outcome) String() string { return name(outcomeNames[:], int(o)) }

// ParseOutcome is the inverse of String. ok is false for any other word.
func ParseOutcome(s string) (o Outcome, ok bool) {
	i, ok := index(outcomeNames[:], s)
	return Outcome(i), ok
}

// MarshalText writes the outcome's word.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Stage is the place in the SMTP dialogue (RFC 5321 section 3) at which an
// attempt ended.
type Stage uint8

// The stages in the order of the dialogue.
const (
	NoStage Stage = iota
	StageConnect
	StageHelo
	StageTLS
	StageAuth
	StageMail
	StageRcpt
	StageData
	StageEOM // end of message: the reply to the final dot
)

var stageNames = [...]string{"", "connect", "helo", "tls", "auth", "mail", "rcpt", "data", "eom"}

func (s Stage) String() string { return name(stageNames[:], int(s)) }

// ParseStage is the inverse of String. ok is false for any other word.
func ParseStage(w string) (s Stage, ok bool) {
	i, ok := index(stageNames[:], w)
	return Stage(i), ok
}

// MarshalText writes the stage's word.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An EnhancedCode is an enhanced status code (RFC 3463 section 2): class (2,
// 4 or 5), subject and detail (up to three digits each). The zero value
// means none.
type EnhancedCode uint32

// Enhanced makes the code class.subject.detail.
func Enhanced(class, subject, detail int) EnhancedCode {
	return EnhancedCode(class*1_000_000 + subject*1000 + detail)
}

// Class returns the first part: 2 (success), 4 (persistent transient failure), 5 (permanent
// failure); 0 without a code.
func (e EnhancedCode) Class() int { return int(e / 1_000_000) }

// Subject returns the second part (RFC 3463 section 3).
func (e EnhancedCode) Subject() int { return int(e / 1000 % 1000) }

// Detail returns the third part.
func (e EnhancedCode) Detail() int { return int(e % 1000) }

func (e EnhancedCode) String() string {
	if e == 0 {
		return ""
	}
	return strconv.Itoa(e.Class()) + "." + strconv.Itoa(e.Subject()) + "." + strconv.Itoa(e.Detail())
}

// MarshalText writes the code with its dots.
func (e EnhancedCode) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("?%d", i)
}

func index(names []string, s string) (int, bool) {
	for i, n := range names {
		if n == s {
			return i, true
		}
	}
	return 0, false
}
