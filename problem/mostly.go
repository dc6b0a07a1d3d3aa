package problem

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// Mostly names the sender that most refused messages of a problem come from: one newsletter, one account, or one
// program. Of a limit at the relay host, it is the sender that used the limit up. The counts are
// messages, as in Problem.Messages.
type Mostly struct {
	Address  string `json:"address,omitempty"` // envelope sender
	Login    string `json:"login,omitempty"`   // that handed them in, from several addresses
	Client   string `json:"client,omitempty"`  // that handed them in without a login, from several addresses, if other mail of these senders is taken
	Messages int    `json:"messages"`
	Of       int    `json:"of"`
}

const (
	mostlyShare    = 0.8  // of the refused messages, at least, that are one sender's
	mostlyMessages = 10   // refused messages of a problem, at least: fewer may be one sender's by chance
	mostlyCounted  = 1.25 // refused messages that the store counts, as a multiple of the problem's, at most: more are other mail
	mostlyTaken    = 0.1  // of the messages of the same senders, at least, that are taken while those of a client are refused
	mostlyAsked    = 20   // problems whose senders are counted, one query each; others name no sender
)

// findMostly names the senders of the shown refusals, the first of a list.
func findMostly(ctx context.Context, s store.Reader, f store.Filter, list []Problem) error {
	asked := 0
	for i := range list {
		p := &list[i]
		if p.Background || p.Homemade() && p.Cause != causeAccount || p.refusedAt == nil || p.Messages < mostlyMessages || asked == mostlyAsked {
			continue
		}
		asked++
		if err := p.findMostly(ctx, s, f); err != nil {
			return err
		}
	}
	return nil
}

// findMostly counts the refused messages by sender, login and client. The incident itself holds only the
// domains of its senders.
func (p *Problem) findMostly(ctx context.Context, s store.Reader, f store.Filter) error {
	f = f.Within(store.Span{First: p.Since, Last: p.Until})
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	f.Reasons = nil
	for reason := range p.Reasons {
		f.Reasons = append(f.Reasons, reason)
	}
	slices.Sort(f.Reasons)
	if f.To == nil {
		f.To = p.refusedAt
	}
	cells, err := s.Count(ctx, f, store.BySender, store.BySASLUser, store.ByClient)
	if err != nil {
		return err
	}
	all := 0
	senders, logins, clients := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range cells {
		c := &cells[i]
		if at := strings.LastIndexByte(c.Keys[0], '@'); !p.Homemade() && (at < 0 || !slices.Contains(p.SenderDomains, ascii.Lower(c.Keys[0][at+1:]))) {
			continue // another incident's
		}
		n := int(c.Messages)
		all += n
		senders[c.Keys[0]] += n
		logins[c.Keys[1]] += n
		clients[c.Keys[2]] += n
	}
	if float64(all) > mostlyCounted*float64(p.Messages) {
		return nil
	}
	if name, n := most(senders); n > 0 && float64(n) >= mostlyShare*float64(all) {
		p.Sender = &Mostly{Address: name, Messages: n, Of: all}
	} else if name, n := most(logins); n > 0 && float64(n) >= mostlyShare*float64(all) {
		p.Sender = &Mostly{Login: name, Messages: n, Of: all}
	} else if t := p.Onset; t != nil && float64(t.Tried-t.Refused) >= mostlyTaken*float64(t.Tried) {
		if name, n := most(clients); n > 0 && float64(n) >= mostlyShare*float64(all) {
			p.Sender = &Mostly{Client: name, Messages: n, Of: all}
		}
	}
	return nil
}

// most returns the name with the greatest count, without "".
func most(n map[string]int) (name string, count int) {
	for k, v := range n {
		if k != "" && (v > count || v == count && cmp.Less(k, name)) {
			name, count = k, v
		}
	}
	return name, count
}
