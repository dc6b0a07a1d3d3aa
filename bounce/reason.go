package bounce

import "fmt"

// A Reason is the cause of a failed delivery attempt.
type Reason uint8

// The reasons. NoReason is the reason of an attempt that did not fail. Databases store the numbers,
// and judge/guess.bin has a weight for each: add a new reason at the end, and move none.
const (
	NoReason Reason = iota
	UserUnknown
	MailboxDisabled
	MailboxFull
	RecipientRestricted
	BadAddress
	DomainInvalid
	DNSRouting
	Connection
	Expired
	Greylisted
	RateLimited
	SystemError
	MessageTooLarge
	ContentSpam
	ContentRejected
	Blocklist
	Reputation
	AuthFailure
	RDNSHelo
	SenderRejected
	RelayDenied
	TLS
	Policy
	ProtocolError
	Unknown
	reasonsEnd // one more than the last
)

// NumReasons is the number of reasons, NoReason included.
const NumReasons = int(reasonsEnd)

var reasonNames = [...]string{
	"", "user_unknown", "mailbox_disabled", "mailbox_full", "recipient_restricted", "bad_address",
	"domain_invalid", "dns_routing", "connection", "expired", "greylisted", "rate_limited",
	"system_error", "message_too_large", "content_spam", "content_rejected", "blocklist", "reputation",
	"auth_failure", "rdns_helo", "sender_rejected", "relay_denied", "tls", "policy", "protocol_error",
	"unknown",
}

func (r Reason) String() string { return name(reasonNames[:], int(r)) }

// ParseReason is the inverse of String. ok is false for any other word.
func ParseReason(s string) (r Reason, ok bool) {
	i, ok := index(reasonNames[:], s)
	return Reason(i), ok
}

// MarshalText writes the reason's word.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// NamesCause reports whether the reason names something about the sending
// server or its domain that the receiver refuses by: authentication, a host name,
// a blocklist, a reputation. One such reply is a problem by itself.
func (r Reason) NamesCause() bool {
	switch r {
	case AuthFailure, RDNSHelo, Blocklist, Reputation:
		return true
	}
	return false
}

// HidesCause reports whether receivers give the reason when they refuse by one of the causes of
// NamesCause without naming it. Only many such replies to recipients who otherwise take mail are a
// problem.
func (r Reason) HidesCause() bool {
	switch r {
	case Policy, ContentSpam, Unknown:
		return true
	}
	return false
}

// AboutSender reports whether a refusal with this reason is, or may be, about the
// sending server or its domain and not about this recipient or this message.
func (r Reason) AboutSender() bool { return r.NamesCause() || r.HidesCause() }

// RefusesSender reports whether the reason means that a provider takes no mail from this sender,
// whoever it is for: AboutSender, or the sender's address is refused. It decides whether a provider
// blocks us.
func (r Reason) RefusesSender() bool { return r.AboutSender() || r == SenderRejected }

// SparesAddress reports whether the reason is about the sending side's identity, access or rate.
// However often it occurs, it is no ground to stop mailing the address.
func (r Reason) SparesAddress() bool {
	switch r {
	case RateLimited, SenderRejected, RelayDenied, TLS:
		return true
	}
	return r.NamesCause()
}

// AboutAddress reports whether the reason is a fault of the recipient's address, which should not
// be mailed again as it is.
func (r Reason) AboutAddress() bool {
	switch r {
	case UserUnknown, MailboxDisabled, BadAddress, DomainInvalid:
		return true
	}
	return false
}

// NoMailbox reports whether the reason means that a well-formed address at an existing domain has
// no mailbox, or no longer has one. It invalidates the proof of an earlier delivery.
func (r Reason) NoMailbox() bool { return r == UserUnknown || r == MailboxDisabled }

// Reasons returns the reasons of failures for which is returns true, as in Reasons(Reason.AboutSender),
// in the order of their numbers; nil selects all.
func Reasons(is func(Reason) bool) (list []Reason) {
	for r := NoReason + 1; r < reasonsEnd; r++ {
		if is == nil || is(r) {
			list = append(list, r)
		}
	}
	return list
}

// A Scope is the party that has to act.
type Scope uint8

// The scopes. NobodyActs ("none") means that nothing can be done but wait.
const (
	NoScope Scope = iota
	ScopeRecipient
	ScopeSender
	ScopeMessage
	ScopeRemote
	NobodyActs
)

var scopeNames = [...]string{"", "recipient", "sender", "message", "remote", "none"}

func (s Scope) String() string { return name(scopeNames[:], int(s)) }

// ParseScope is the inverse of String. ok is false for any other word.
func ParseScope(w string) (s Scope, ok bool) {
	i, ok := index(scopeNames[:], w)
	return Scope(i), ok
}

// MarshalText writes the scope's word.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Scope) UnmarshalText(text []byte) error {
	scope, ok := ParseScope(string(text))
	if !ok {
		return fmt.Errorf("%q is no scope", text)
	}
	*s = scope
	return nil
}

// Confidence is how sure a verdict is.
type Confidence uint8

// From the surest to the least sure.
const (
	NoConfidence Confidence = iota
	NamedCause              // the text names the cause
	ProviderCode            // the code has a documented meaning at this provider
	GeneralText             // wording in common use
	CodeOnly                // nothing but the reply code or enhanced status code to go by
	Guess                   // no rule knows the wording; its words suggest the reason
)

var confidenceNames = [...]string{"", "named", "provider", "text", "code", "guess"}

func (c Confidence) String() string { return name(confidenceNames[:], int(c)) }

// ParseConfidence is the inverse of String. ok is false for any other word.
func ParseConfidence(s string) (c Confidence, ok bool) {
	i, ok := index(confidenceNames[:], s)
	return Confidence(i), ok
}

// MarshalText writes the confidence's word.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// A Verdict is the judgement on a reply. The zero Verdict is that of an attempt that did not fail.
type Verdict struct {
	Reason     Reason
	Detail     string // spf, dkim, dmarc, ptr, spamhaus-zen…; empty where the text does not say
	Scope      Scope
	Rule       string // id of the rule that decided
	Confidence Confidence
}
