package problem

import (
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/table"
)

// The causes of incidents in the field Cause; the causes of outages are in outage.go.
const (
	causeAuthentication = "authentication" // SPF, DKIM or DMARC of the sender domain
	causeSender         = "sender"         // the sender domain does not exist, or accepts no mail itself
	causeReputation     = "reputation"     // of the sending address or of a domain
	causeIP             = "ip"             // the sending address: its name, a blocklist
	causeContent        = "content"        // the messages are called spam
	causeForwarding     = "forwarding"     // mail written by others is forwarded
	causeRewriting      = "rewriting"      // senders of forwarded mail are no longer rewritten (SRS)
	causeUnknown        = "unknown"
)

// A spread counts the senders, providers and stages of refusals. It points to the cause if no reply
// names one.
type spread struct {
	senders, providers []string
	early, late, all   int // refusals at connect and helo; at the end of the message; all
}

func spreadOf(counts []traitCount) spread {
	s := spread{senders: sendersOf(counts), providers: providersOf(counts)}
	for _, c := range counts {
		switch c.Stage {
		case bounce.StageConnect, bounce.StageHelo:
			s.early += c.n
		case bounce.StageEOM:
			s.late += c.n
		}
		s.all += c.n
	}
	return s
}

// guessCause returns the likely cause if no reply names one, and its grounds.
func (in *incident) guessCause(s spread) (cause, why string) {
	senders := table.Count(int64(len(s.senders)), "sender domain")
	switch {
	case in.level == Watch:
		return causeUnknown, ""
	case s.early > s.all/2:
		return causeIP, "The refusals come before a sender is named, so they are about the address that connects."
	case len(s.senders) > 1 && in.others < len(s.senders):
		at := "one provider"
		if n := len(s.providers); n != 1 {
			at = fmt.Sprintf("%d providers", n)
		}
		return causeIP, fmt.Sprintf("%s are refused at %s%s, which points to the address that sends.", senders, at, in.othersText())
	case len(s.senders) == 1 && len(s.providers) > 1:
		return causeAuthentication, fmt.Sprintf("One sender domain is refused at %d providers%s, which points to its SPF, DKIM or DMARC, or to a domain blocklist.", len(s.providers), in.othersText())
	case len(s.senders) == 1:
		why = "One sender domain is refused at one provider" + in.othersText()
		if s.late > s.all/2 {
			return causeUnknown, why + ". The refusal comes after DATA: check DKIM alignment, reputation at this provider, and the content."
		}
		return causeUnknown, why + ": its alignment or its reputation there."
	}
	return causeUnknown, fmt.Sprintf("%s are refused, and %s are not.", senders, table.Count(int64(in.others), "other"))
}

// othersText describes the mail of the other sender domains, or returns "" if it is not known.
func (in *incident) othersText() string {
	switch {
	case len(in.histories) == 0:
		return ""
	case in.others == 0:
		return ", and no other's mail was taken there meanwhile"
	}
	return fmt.Sprintf(", while mail of %s was taken there", table.Count(int64(in.others), "other"))
}

// domainLists are blocklists of domains: a listing names a domain that was sent, not the sending
// address.
var domainLists = []string{"spamhaus-dbl", "uribl", "surbl", "invaluement-uri", "sem-uri", "sem-fresh"}

func isDomainList(detail string) bool { return slices.Contains(domainLists, detail) }

// listOf returns the blocklist that stands for a listing. Spamhaus's ZEN answers for its lists of
// addresses (SBL, CSS, XBL, PBL), and some receivers name only Spamhaus: one listing, one look-up
// page.
func listOf(detail string) string {
	if strings.HasPrefix(detail, "spamhaus-") && !isDomainList(detail) {
		return "spamhaus"
	}
	return detail
}
