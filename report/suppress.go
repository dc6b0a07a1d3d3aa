package report

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/store"
)

// A SuppressionList holds the addresses that should not be mailed again, and the addresses that a
// tool which looks only at 5xx would also have suppressed.
type SuppressionList struct {
	Suppress []Suppression `json:"suppress"`
	Spared   []Spared      `json:"spared"`
}

// A Suppression is an address with a permanent fault of the address that took no mail since.
type Suppression struct {
	Recipient     string              `json:"recipient"`
	Reason        bounce.Reason       `json:"reason"` // reason of the last fault
	Failures      int64               `json:"failures"`
	Since         time.Time           `json:"since"` // the first fault after the last delivery
	Last          time.Time           `json:"last"`
	LastDelivered *time.Time          `json:"last_delivered,omitempty"`
	Code          uint16              `json:"code,omitempty"`
	Enhanced      bounce.EnhancedCode `json:"enhanced,omitzero"`
	Response      string              `json:"response,omitempty"` // reply of the last fault
	// Answers are the AnswerIDs of the faults that count, if others of the address are doubted.
	Answers []string `json:"-"`
}

// Spared is an address with a 5xx or returned mail that is not to be suppressed.
type Spared struct {
	Recipient     string        `json:"recipient"`
	Why           string        `json:"why"`
	Reason        bounce.Reason `json:"reason"`   // reason of the last failure
	Failures      int64         `json:"failures"` // all failures that a simple tool would count
	Last          time.Time     `json:"last"`
	LastDelivered *time.Time    `json:"last_delivered,omitempty"`
	Response      string        `json:"response,omitempty"`
}

// Suppressions returns the addresses with at least least faults since their last delivery among the
// failures in s that match f. A fault is a permanent failure of the address itself: a missing or
// closed mailbox, an impossible address or domain, and no doubt about it (see doubts). Nothing else
// suppresses an address, whatever its reply code.
func Suppressions(ctx context.Context, s store.Reader, f store.Filter, least int64) (*SuppressionList, error) {
	list := &SuppressionList{Suppress: []Suppression{}, Spared: []Spared{}}
	all, err := recipientsOf(ctx, s, f)
	if err != nil {
		return nil, err
	}
	// The evidence against a fault may lie outside the selection of f.
	others := all
	if whole := (store.Filter{Since: f.Since, Until: f.Until, Host: f.Host, MTA: f.MTA}); !f.OfMessages() || f.QueueID != "" {
		whole.Outcomes, whole.Reasons = []bounce.Outcome{bounce.Hard}, store.Faults
		if others, err = recipientsOf(ctx, s, whole); err != nil {
			return nil, err
		}
	}
	d, err := doubtsOf(ctx, s, f, others)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if x, ok := suppression(&all[i], max(least, 1), d); ok {
			list.Suppress = append(list.Suppress, x)
		} else {
			list.Spared = append(list.Spared, spared(&all[i], max(least, 1), d))
		}
	}
	slices.SortFunc(list.Suppress, func(a, b Suppression) int { return compareAddresses(a.Recipient, b.Recipient) })
	slices.SortFunc(list.Spared, func(a, b Spared) int { return compareAddresses(a.Recipient, b.Recipient) })
	return list, nil
}

// recipientsOf reads the recipients of the permanent failures that f selects. Addresses that differ
// only in the case of A to Z are one mailbox in practice, and one key in a map.
func recipientsOf(ctx context.Context, s store.Reader, f store.Filter) (all []store.Recipient, err error) {
	places := map[string]int{}
	for h, err := range s.Recipients(ctx, f, 0) {
		if err != nil {
			return nil, err
		}
		folded := ascii.Lower(h.Address)
		if i, known := places[folded]; known {
			all[i].Faults = append(all[i].Faults, h.Faults...)
			if h.LastDelivered.After(all[i].LastDelivered) {
				all[i].LastDelivered = h.LastDelivered
			}
			continue
		}
		places[folded] = len(all)
		all = append(all, *h)
	}
	return all, nil
}

// compareAddresses sorts by domain, then local part.
func compareAddresses(a, b string) int {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	return cmp.Or(strings.Compare(a[i+1:], b[j+1:]), strings.Compare(a, b))
}

func suppression(h *store.Recipient, least int64, d doubts) (s Suppression, ok bool) {
	s = Suppression{Recipient: h.Address, LastDelivered: optional(h.LastDelivered)}
	doubted := false
	for i := range h.Faults {
		x := &h.Faults[i]
		if !ownFault(x) || x.Since == 0 {
			continue
		}
		if d.doubt(h, x) != "" {
			doubted = true
			continue
		}
		s.Answers = append(s.Answers, answerID(x.Code, x.Enhanced, x.Local, &x.Verdict))
		s.Failures += x.Since
		if s.Since.IsZero() || x.FirstSince.Before(s.Since) {
			s.Since = x.FirstSince
		}
		if !x.Last.Before(s.Last) {
			s.Last, s.Reason, s.Code, s.Enhanced, s.Response = x.Last, x.Reason, x.Code, x.Enhanced, x.Response
		}
	}
	if !doubted {
		s.Answers = nil
	}
	return s, s.Failures >= least
}

// AnswerID identifies the answer of a failed attempt: a store.Fault without its address, counts and
// times.
func AnswerID(a *store.Attempt) string { return answerID(a.Code, a.Enhanced, a.Local, &a.Verdict) }

func answerID(code uint16, enhanced bounce.EnhancedCode, local bool, v *bounce.Verdict) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %t %s %q %s %q %s", code, enhanced, local, v.Reason, v.Detail, v.Scope, v.Rule, v.Confidence))
	return hex.EncodeToString(sum[:6])
}

// spared says why an address is not suppressed.
func spared(h *store.Recipient, least int64, d doubts) Spared {
	s := Spared{Recipient: h.Address, LastDelivered: optional(h.LastDelivered)}
	var last *store.Fault
	var own, since int64
	doubt := ""
	for i := range h.Faults {
		x := &h.Faults[i]
		s.Failures += x.Attempts
		if why := d.doubt(h, x); ownFault(x) && x.Since > 0 && why != "" {
			doubt = why
		} else if ownFault(x) {
			own += x.Attempts
			since += x.Since
		}
		if last == nil || !x.Last.Before(last.Last) {
			last = x
		}
	}
	s.Last, s.Reason, s.Response = last.Last, last.Reason, last.Response
	switch {
	case doubt != "" && since == 0:
		s.Why = doubt
	case own > 0 && since == 0:
		s.Why = "took mail again since"
	case own > 0:
		s.Why = fmt.Sprintf("%s of its own since the last delivery, fewer than %d", table.Count(since, "fault"), least)
	case last.Outcome == bounce.Soft && last.Reason.AboutAddress():
		s.Why = "the mail is still tried"
	case last.Outcome == bounce.Soft:
		s.Why = "the mail is still tried; " + sparedWords(last)
	default:
		s.Why = sparedWords(last)
	}
	return s
}

func sparedWords(x *store.Fault) string {
	switch x.Reason {
	case bounce.MailboxFull:
		return "mailbox full, which may pass"
	case bounce.RecipientRestricted:
		return "refuses this sender, may take mail from others"
	case bounce.Policy:
		return "refused by policy, not because of the address"
	case bounce.RelayDenied:
		if x.Detail == "" { // else a login
			return "relaying denied: a fault of its server or of this side, not of the address"
		}
	case bounce.Expired:
		return "time for retries ran out"
	case bounce.Unknown:
		return "the reply names no cause"
	}
	switch {
	case x.Reason.SparesAddress() || x.Scope == bounce.ScopeSender:
		return "about the sender: " + judge.ReasonText(x.Reason).Title
	case x.Scope == bounce.ScopeMessage:
		return "about the message: " + judge.ReasonText(x.Reason).Title
	}
	return "trouble on the way: " + judge.ReasonText(x.Reason).Title
}
