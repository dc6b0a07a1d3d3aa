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
	mostlyOthers   = 5    // of their messages that fail otherwise meanwhile, at least, if they show that there are other clients
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
	to := f.To
	if to == nil {
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
		if !p.Homemade() && !p.isOf(c.Keys[0]) {
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
		name, n := most(clients)
		if n == 0 || float64(n) < mostlyShare*float64(all) {
			return nil
		}
		f.To, f.Reasons = to, nil
		one, err := p.oneOfClients(ctx, s, f, name, n, all)
		if one {
			p.Sender = &Mostly{Client: name, Messages: n, Of: all}
		}
		return err
	}
	return nil
}

// isOf reports whether an address is of a sender domain that was refused.
func (p *Problem) isOf(sender string) bool {
	at := strings.LastIndexByte(sender, '@')
	return at >= 0 && slices.Contains(p.SenderDomains, ascii.Lower(sender[at+1:]))
}

// oneOfClients reports whether other clients, too, hand in mail of the senders of a problem: a store knows the client
// of a message only if it failed. Of all refused messages, n are those of the client.
func (p *Problem) oneOfClients(ctx context.Context, s store.Reader, f store.Filter, client string, n, all int) (bool, error) {
	cells, err := s.Count(ctx, f, store.BySender, store.ByClient)
	others, own := -all, -n
	for i := range cells {
		if c := &cells[i]; p.isOf(c.Keys[0]) {
			if others += int(c.Messages); c.Keys[1] == client {
				own += int(c.Messages)
			}
		}
	}
	return others >= mostlyOthers && float64(own) < mostlyShare*float64(others), err
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
