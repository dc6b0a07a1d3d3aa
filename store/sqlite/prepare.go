package sqlite

import (
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
