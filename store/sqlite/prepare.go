package sqlite

import (
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// prepared holds the values of an attempt that can be computed without the database.
type prepared struct {
	recipient, sender, route, reply uint64 // hashes
	message                         int64  // secret.messageHash
	template                        bounce.Template
}

// prepare hashes the names of an attempt, and splits its reply.
func (s *secret) prepare(a *store.Attempt, p *prepared) {
	k := s.hash
	p.recipient = k.address(a.Recipient, a.RecipientDomain)
	if a.SenderKnown {
		p.sender = k.address(a.Sender, a.SenderDomain)
	}
	p.message = s.messageHash(a.MessageID)
	p.route = k.route(a.RecipientDomain, a.RelayHost, a.RelayIP, a.RelayPort)

	p.template = a.Template
	if p.template.Text == "" {
		p.template = bounce.TemplateOf(&a.Delivery)
	}
	if s.pseudonym != nil {
		// The template is made from the scrubbed text, since a token of a template may hide a part
		// of a name.
		d := a.Delivery
		d.Response = s.scrub(d.Response, s.names(&d))
		situation := p.template.Situation
		p.template = bounce.TemplateOf(&d)
		p.template.Situation = situation
	}
	h := k.add(k.add(k.add(12, p.template.Text), a.Host), a.TLS)
	h = k.add(k.add(k.add(k.add(h, string(a.MTA)), a.Instance), a.Agent), a.Status)
	h = k.num(h, uint64(a.Outcome)<<56|uint64(a.Stage)<<48|uint64(a.Code)<<32|uint64(a.Enhanced))
	h = k.num(h, uint64(bit(a.Local)))
	p.reply = k.add(h, p.template.Situation)
	if a.Disposal != "" {
		p.reply = k.add(p.reply, string(a.Disposal))
	}
}

// shorten removes from a response the text that its row and its template repeat. The view
// deliveries and lengthen restore it.
func (s *secret) shorten(a *bounce.Delivery, p *prepared) string {
	names := s.names(a)
	response := s.scrub(store.Clean(a.Response, store.MaxResponse), names)
	short, mark := response, ""
	// A template that was cut may end within a token. Join and the view would restore different
	// texts from it.
	if t := p.template; strings.Count(t.Text, "{") <= maxTokens && store.Clean(t.Text, store.MaxResponse) == t.Text && bounce.Join(t.Text, t.Args) == response {
		short, mark = t.Args, "\x05"
	}
	for _, r := range [...]struct{ old, mark string }{{a.Recipient, "\x01"}, {a.RelayHost, "\x02"}, {a.RelayIP, "\x03"}, {a.Sender, "\x04"}} {
		if len(r.old) > 3 && len(r.old) <= store.MaxWord && s.scrub(store.Clean(r.old, store.MaxName), names) == r.old {
			short = strings.ReplaceAll(short, r.old, r.mark)
		}
	}
	return mark + short
}

// maxTokens is the largest number of tokens of a template that completes a response. The view replaces one
// token after the other: 4000 of them, which a stranger may write, take it a third of a second.
const maxTokens = 64

// lengthen is the inverse of secret.shorten.
func lengthen(s string, d *bounce.Delivery) string {
	for i := range len(s) {
		if c := s[i]; c < '\t' {
			var b strings.Builder
			b.WriteString(s[:i])
			for _, c := range []byte(s[i:]) {
				switch c {
				case 1:
					b.WriteString(d.Recipient)
				case 2:
					b.WriteString(d.RelayHost)
				case 3:
					b.WriteString(d.RelayIP)
				case 4:
					b.WriteString(d.Sender)
				default:
					b.WriteByte(c)
				}
			}
			return b.String()
		}
	}
	return s
}
