package report

import (
	"cmp"
	"context"
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

// A SuppressionList is the addresses that should not be mailed again, and
// beside them those that whoever goes by "5xx" alone would have struck off too.
type SuppressionList struct {
	Suppress []Suppression `json:"suppress"`
	Spared   []Spared      `json:"spared"`
}

// A Suppression is an address with a permanent fault of its own that has taken
// no mail since.
type Suppression struct {
	Recipient     string              `json:"recipient"`
	Reason        bounce.Reason       `json:"reason"` // of the last of the faults
	Failures      int64               `json:"failures"`
	Since         time.Time           `json:"since"` // the first fault after the last delivery
	Last          time.Time           `json:"last"`
	LastDelivered *time.Time          `json:"last_delivered,omitempty"`
	Code          uint16              `json:"code,omitempty"`
	Enhanced      bounce.EnhancedCode `json:"enhanced,omitzero"`
	Response      string              `json:"response,omitempty"` // of the last fault
}

// Spared is an address that met a 5xx or had mail returned, and is not to be
// suppressed.
type Spared struct {
	Recipient     string        `json:"recipient"`
	Why           string        `json:"why"`
	Reason        bounce.Reason `json:"reason"`   // of the last of the failures
	Failures      int64         `json:"failures"` // all that a careless tool would count
	Last          time.Time     `json:"last"`
	LastDelivered *time.Time    `json:"last_delivered,omitempty"`
	Response      string        `json:"response,omitempty"`
}

// Suppressions asks s for the addresses with at least least faults since their
// last delivery among the failures that match f. A fault is a failure that is
// permanent and the address's own: no such mailbox, a closed one, an address or
// a domain that cannot be, and nothing speaks against it (see doubts). Nothing else
// suppresses an address, whatever its reply code.
func Suppressions(ctx context.Context, s store.Reader, f store.Filter, least int64) (*SuppressionList, error) {
	list := &SuppressionList{Suppress: []Suppression{}, Spared: []Spared{}}
	// Addresses that differ in the case of A to Z only are one mailbox in practice,
	// and one key in a map.
	places := map[string]int{}
	var all []store.Recipient
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
	d, err := doubtsOf(ctx, s, f, all)
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

// compareAddresses sorts by domain, then local part.
func compareAddresses(a, b string) int {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	return cmp.Or(strings.Compare(a[i+1:], b[j+1:]), strings.Compare(a, b))
}

// ownFault reports whether the recipient's address itself is at fault, for good.
func ownFault(x *store.Fault) bool {
	return x.Outcome == bounce.Hard && x.Reason.AboutAddress() &&
		(x.Scope == bounce.ScopeRecipient || x.Scope == bounce.NoScope)
}

// doubts are what speaks against a fault that ownFault takes for the address's: that
// the domain is there after all, or that the server that says so is this one, and broken.
type doubts struct {
	took  map[string]bool // domains that took mail in the period, in lower case
	sends map[string]bool // domains that mail of the period came from
	dead  map[int64]bool  // hours (since 1970) in which many domains were gone at once, and no mail got out
}

const (
	deadDomains = 5 // that are said not to be there in one hour: more than chance, where no mail gets out
	askedAtMost = 100
)

// doubtsOf looks up what speaks for the domains of recipients.
func doubtsOf(ctx context.Context, s store.Reader, f store.Filter, all []store.Recipient) (*doubts, error) {
	d := &doubts{took: map[string]bool{}, sends: map[string]bool{}, dead: map[int64]bool{}}
	gone := map[int64]map[string]bool{}
	asked := map[string]bool{} // domains
	for i := range all {
		for j := range all[i].Faults {
			x := &all[i].Faults[j]
			if !ownFault(x) || x.Reason != bounce.DomainInvalid && !x.Local {
				continue
			}
			domain := ascii.Lower(all[i].Domain)
			asked[domain] = true
			if x.Local && x.Reason == bounce.DomainInvalid {
				hour := x.Last.Unix() / 3600
				if gone[hour] == nil {
					gone[hour] = map[string]bool{}
				}
				gone[hour][domain] = true
			}
		}
	}
	if len(asked) == 0 {
		return d, nil
	}
	f.Outcomes, f.Reasons, f.Recipients, f.Undelivered = nil, nil, nil, false
	f.QueueID, f.MessageID = "", ""
	for _, by := range [...]store.Dimension{store.ByDomain, store.BySenderDomain} {
		cells, err := s.Count(ctx, f, by)
		if err != nil {
			return nil, err
		}
		for i := range cells {
			name := ascii.Lower(cells[i].Keys[0])
			switch {
			case !asked[name] || name == "":
			case by == store.ByDomain:
				d.took[name] = d.took[name] || cells[i].Delivered > 0
			default:
				d.sends[name] = d.sends[name] || cells[i].Delivered > 0
			}
		}
	}
	hours := make([]int64, 0, len(gone))
	for hour, domains := range gone {
		if len(domains) >= deadDomains {
			hours = append(hours, hour)
		}
	}
	slices.Sort(hours)
	f.Domain = "" // whether any mail got out
	for _, hour := range hours[max(len(hours)-askedAtMost, 0):] {
		f.Since, f.Until = time.Unix(hour*3600, 0).UTC(), time.Unix(hour*3600+3600, 0).UTC()
		cells, err := s.Count(ctx, f, store.ByRelay)
		if err != nil {
			return nil, err
		}
		d.dead[hour] = !slices.ContainsFunc(cells, func(c store.Cell) bool { return c.Delivered > 0 && c.Keys[0] != "" })
	}
	return d, nil
}

// doubt says why a fault of an address's own is not believed; "": it is.
func (d *doubts) doubt(h *store.Recipient, x *store.Fault) string {
	domain := ascii.Lower(h.Domain)
	switch {
	case x.Reason == bounce.DomainInvalid && d.took[domain]:
		return "said not to be there, but its domain took mail in the period"
	case x.Reason == bounce.DomainInvalid && x.Local && d.sends[domain]:
		return "said not to be there, but mail of its domain was sent in the period"
	case x.Reason == bounce.DomainInvalid && x.Local && d.dead[x.Last.Unix()/3600]:
		return "many domains were not found at once and no mail got out: a fault of this server"
	case x.Local && x.Reason.NoMailbox() && !h.LastDelivered.IsZero():
		return "took mail before, and this server itself says now that it is not there: look at its tables and routers"
	}
	return ""
}

func suppression(h *store.Recipient, least int64, d *doubts) (s Suppression, ok bool) {
	s = Suppression{Recipient: h.Address, LastDelivered: optional(h.LastDelivered)}
	for i := range h.Faults {
		x := &h.Faults[i]
		if !ownFault(x) || x.Since == 0 || d.doubt(h, x) != "" {
			continue
		}
		s.Failures += x.Since
		if s.Since.IsZero() || x.FirstSince.Before(s.Since) {
			s.Since = x.FirstSince
		}
		if !x.Last.Before(s.Last) {
			s.Last, s.Reason, s.Code, s.Enhanced, s.Response = x.Last, x.Reason, x.Code, x.Enhanced, x.Response
		}
	}
	return s, s.Failures >= least
}

// spared says why an address is not suppressed.
func spared(h *store.Recipient, least int64, d *doubts) Spared {
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
