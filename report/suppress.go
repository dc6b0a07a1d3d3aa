package report

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Forms that only a suppression list has.
const (
	FormatList    Format = "list"    // one address a line
	FormatPostfix Format = "postfix" // access(5) map, for check_recipient_access
	FormatExim    Format = "exim"    // file for Exim's lsearch lookup
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
// a domain that cannot be. Nothing else suppresses an address, whatever its
// reply code.
func Suppressions(ctx context.Context, s store.Store, f store.Filter, least int64) (*SuppressionList, error) {
	list := &SuppressionList{Suppress: []Suppression{}, Spared: []Spared{}}
	// Addresses that differ in case only are one mailbox in practice, and one
	// key in a map.
	places := map[string]int{}
	var all []store.History
	for h, err := range s.Histories(ctx, f, 0) {
		if err != nil {
			return nil, err
		}
		folded := strings.ToLower(h.Recipient)
		if i, known := places[folded]; known {
			all[i].Faults = append(all[i].Faults, h.Faults...)
			if h.LastDelivered.After(all[i].LastDelivered) {
				all[i].LastDelivered = h.LastDelivered
			}
			continue
		}
		places[folded] = len(all)
		all = append(all, h)
	}
	for i := range all {
		if x, ok := suppression(&all[i], max(least, 1)); ok {
			list.Suppress = append(list.Suppress, x)
		} else {
			list.Spared = append(list.Spared, spared(&all[i], max(least, 1)))
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

// ownFault tells whether the recipient's address itself is at fault, for good.
func ownFault(x *store.Fault) bool {
	return x.Outcome == bounce.Hard && slices.Contains(recipientFaults, x.Reason) &&
		(x.Scope == bounce.ScopeRecipient || x.Scope == bounce.NoScope)
}

func suppression(h *store.History, least int64) (s Suppression, ok bool) {
	s = Suppression{Recipient: h.Recipient, LastDelivered: when(h.LastDelivered)}
	for i := range h.Faults {
		x := &h.Faults[i]
		if !ownFault(x) || x.Since == 0 {
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
func spared(h *store.History, least int64) Spared {
	s := Spared{Recipient: h.Recipient, LastDelivered: when(h.LastDelivered)}
	var last *store.Fault
	var own, since int64
	for i := range h.Faults {
		x := &h.Faults[i]
		s.Failures += x.Attempts
		if ownFault(x) {
			own += x.Attempts
			since += x.Since
		}
		if last == nil || !x.Last.Before(last.Last) {
			last = x
		}
	}
	s.Last, s.Reason, s.Response = last.Last, last.Reason, last.Response
	switch {
	case own > 0 && since == 0:
		s.Why = "took mail again since"
	case own > 0:
		s.Why = fmt.Sprintf("%s of its own since the last delivery, fewer than %d", number(since, "fault"), least)
	case last.Outcome == bounce.Soft && slices.Contains(recipientFaults, last.Reason):
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
	case bounce.Blocklist, bounce.Reputation, bounce.AuthFailure, bounce.RDNSHelo, bounce.SenderRejected, bounce.RelayDenied, bounce.TLS, bounce.RateLimited:
		return "about the sender: " + bounce.ReasonText(x.Reason).Title
	case bounce.Policy:
		return "policy, no word of the address"
	case bounce.Expired:
		return "time for retries ran out"
	case bounce.Unknown:
		return "the reply names no cause"
	}
	switch x.Scope {
	case bounce.ScopeMessage:
		return "about the message: " + bounce.ReasonText(x.Reason).Title
	case bounce.ScopeSender:
		return "about the sender: " + bounce.ReasonText(x.Reason).Title
	}
	return "trouble on the way: " + bounce.ReasonText(x.Reason).Title
}

var (
	suppressColumns = []Column{
		{Name: "recipient", Flex: true},
		{Name: "reason"},
		{Name: "failures", Number: true},
		{Name: "since"},
		{Name: "last"},
		{Name: "last_delivered"},
		{Name: "code", Number: true},
		{Name: "enhanced"},
		{Name: "response", Flex: true},
	}
	sparedColumns = []Column{
		{Name: "recipient", Flex: true},
		{Name: "why", Flex: true},
		{Name: "reason"},
		{Name: "failures", Number: true},
		{Name: "last"},
		{Name: "last_delivered"},
		{Name: "response", Flex: true},
	}
)

func orNil(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

func (s *Suppression) cells() []any {
	var code any
	if s.Code != 0 {
		code = int(s.Code)
	}
	return []any{s.Recipient, s.Reason.String(), s.Failures, s.Since, s.Last, orNil(s.LastDelivered), code, s.Enhanced.String(), s.Response}
}

func (s *Spared) cells() []any {
	return []any{s.Recipient, s.Why, s.Reason.String(), s.Failures, s.Last, orNil(s.LastDelivered), s.Response}
}

// A SuppressOptions says how a suppression list is to look.
type SuppressOptions struct {
	WriteOptions
	WhyNot   bool           // the spared instead of the suppressed
	Spared   int            // of the spared, how many stand below the table; 0: all
	Location *time.Location // of times in a table; nil: time.Local
	NoHeader bool
}

// Write renders the list. Left tells how many addresses a form that is read by
// other programs (list, postfix, exim) left out, because they hold characters
// that could break it; JSON and CSV have them.
func (l *SuppressionList) Write(w io.Writer, f Format, o SuppressOptions) (left int, err error) {
	switch f {
	case FormatList, FormatPostfix, FormatExim:
		return l.writeMap(w, f, o)
	case FormatTable:
		return 0, l.writeTable(w, o)
	case FormatJSON:
		var v any = l
		if o.WhyNot {
			v = struct {
				Spared []Spared `json:"spared"`
			}{l.Spared}
		}
		raw, err := marshal(v, "  ")
		if err != nil {
			return 0, err
		}
		_, err = w.Write(append(raw, '\n'))
		return 0, err
	case FormatNDJSON:
		return 0, l.writeNDJSON(w, o)
	}
	columns := suppressColumns
	if o.WhyNot {
		columns = sparedColumns
	}
	rw := NewRowWriter(w, f, columns)
	rw.NoHeader = o.NoHeader
	for i := range l.Suppress {
		if !o.WhyNot {
			if err := rw.Row(l.Suppress[i].cells()); err != nil {
				return 0, err
			}
		}
	}
	for i := range l.Spared {
		if o.WhyNot {
			if err := rw.Row(l.Spared[i].cells()); err != nil {
				return 0, err
			}
		}
	}
	return 0, rw.Close()
}

func (l *SuppressionList) writeNDJSON(w io.Writer, o SuppressOptions) error {
	b := bufio.NewWriter(w)
	row := func(list string, v any) error {
		raw, err := MarshalJSON(v)
		if err == nil {
			_, err = fmt.Fprintf(b, `{"list":%q,%s`+"\n", list, raw[1:])
		}
		return err
	}
	for i := range l.Suppress {
		if !o.WhyNot {
			if err := row("suppress", &l.Suppress[i]); err != nil {
				return err
			}
		}
	}
	for i := range l.Spared {
		if err := row("spared", &l.Spared[i]); err != nil {
			return err
		}
	}
	return b.Flush()
}

// plainAddress returns an address as maps are looked up by, in lower case.
// ok is false for one that is no local@domain or holds characters that mean
// something in a map or in a list of addresses (blanks, quotes, colons,
// control characters, a # at its start): nothing of it could be looked up
// safely.
func plainAddress(a string) (plain string, ok bool) {
	i := strings.LastIndexByte(a, '@')
	if i <= 0 || i == len(a)-1 || !utf8.ValidString(a) || a[0] == '#' {
		return "", false
	}
	for _, r := range a[:i] {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r):
		case r >= 0xa0 && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) && !hidden(r):
		default:
			return "", false
		}
	}
	for _, r := range a[i+1:] {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_') {
			return "", false
		}
	}
	return strings.ToLower(a), true
}

func (l *SuppressionList) writeMap(w io.Writer, f Format, o SuppressOptions) (left int, err error) {
	b := bufio.NewWriter(w)
	if !o.NoHeader {
		switch f {
		case FormatPostfix:
			b.WriteString("# For check_recipient_access; run postmap on it. Made by bouncelog suppress.\n")
		case FormatExim:
			b.WriteString("# For a lookup of type lsearch. Made by bouncelog suppress.\n")
		}
	}
	seen := make(map[string]bool)
	address := func(a string) string {
		plain, ok := plainAddress(a)
		if !ok {
			left++
			return ""
		}
		if seen[plain] { // differs in case only
			return ""
		}
		seen[plain] = true
		return plain
	}
	if o.WhyNot {
		for i := range l.Spared {
			if a := address(l.Spared[i].Recipient); a != "" {
				b.WriteString(a + "\n")
			}
		}
		return left, b.Flush()
	}
	for i := range l.Suppress {
		s := &l.Suppress[i]
		a := address(s.Recipient)
		if a == "" {
			continue
		}
		since := s.Since.UTC().Format(time.DateOnly)
		switch f {
		case FormatPostfix:
			fmt.Fprintf(b, "%s 550 5.1.1 not mailed any more: %s since %s\n", a, s.Reason, since)
		case FormatExim:
			fmt.Fprintf(b, "%s: %s since %s\n", a, s.Reason, since)
		default:
			b.WriteString(a + "\n")
		}
	}
	return left, b.Flush()
}

func (l *SuppressionList) writeTable(w io.Writer, o SuppressOptions) error {
	loc := o.Location
	if loc == nil {
		loc = time.Local
	}
	stamp := func(t *time.Time) any {
		if t == nil {
			return "never"
		}
		return t.In(loc).Format("2006-01-02 15:04")
	}
	b := bufio.NewWriter(w)
	bold := func(s string) string {
		if o.Colour {
			return "\x1b[1m" + s + "\x1b[0m"
		}
		return s
	}
	if !o.WhyNot {
		fmt.Fprintf(b, "%s\n", bold("To be mailed no more: "+number(int64(len(l.Suppress)), "address")))
		if len(l.Suppress) > 0 {
			t := &Table{Columns: []Column{{Name: "recipient", Flex: true}, {Name: "reason"}, {Name: "failures", Number: true}, {Name: "since"}, {Name: "last delivered"}}}
			for i := range l.Suppress {
				s := &l.Suppress[i]
				t.Rows = append(t.Rows, []any{s.Recipient, s.Reason.String(), s.Failures, stamp(&s.Since), stamp(s.LastDelivered)})
			}
			if err := t.writeText(b, o.Width, true); err != nil {
				return err
			}
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintf(b, "%s\n", bold("Spared, though they met a 5xx: "+number(int64(len(l.Spared)), "address")))
	shown := l.Spared
	if !o.WhyNot && o.Spared > 0 && len(shown) > o.Spared {
		shown = shown[:o.Spared]
	}
	if len(shown) > 0 {
		t := &Table{Columns: []Column{{Name: "recipient", Flex: true}, {Name: "failures", Number: true}, {Name: "last delivered"}, {Name: "why not", Flex: true}}}
		for i := range shown {
			s := &shown[i]
			t.Rows = append(t.Rows, []any{s.Recipient, s.Failures, stamp(s.LastDelivered), s.Why})
		}
		if err := t.writeText(b, o.Width, true); err != nil {
			return err
		}
	}
	if more := len(l.Spared) - len(shown); more > 0 {
		fmt.Fprintf(b, "and %d more (--why-not)\n", more)
	}
	return b.Flush()
}
