package problem

import (
	"context"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// What is refused less than this is no incident (docs/counting.md).
const (
	noisePerDay = 20.0 // messages
	noiseShare  = 0.05 // of the messages to the same providers, or of the same senders there
	noiseTried  = 20   // messages of the same senders, at least, that say something
	noiseSame   = 0.25 // of them
)

// IncidentLeast is how many messages make an incident.
const IncidentLeast = 3

// A usualMail is the mail of everybody in the period of f, by provider. It is counted when it is
// first asked for: most searches never ask.
type usualMail struct {
	ctx  context.Context
	s    store.Reader
	f    store.Filter
	sent map[string]int64 // messages
	span store.Span
}

// tried is what everybody tried at the providers of a problem in as much time as it lasted, where
// their deliveries were not read.
func (u *usualMail) tried(p *Problem, refused int, lasted time.Duration) (*Tried, error) {
	if u.sent == nil {
		f := store.Filter{Since: u.f.Since, Until: u.f.Until, Host: u.f.Host, MTA: u.f.MTA}
		cells, err := u.s.Count(u.ctx, f, store.ByDomain, store.ByRelay)
		if err == nil {
			u.span, err = u.s.Span(u.ctx, f)
		}
		if err != nil {
			return nil, err
		}
		u.sent = map[string]int64{}
		for i := range cells {
			c := &cells[i]
			u.sent[provider.Of(&bounce.Delivery{RecipientDomain: c.Keys[0], RelayHost: c.Keys[1]})] += c.Messages
		}
	}
	sent := 0.0
	for _, name := range p.Providers {
		sent += float64(u.sent[name])
	}
	sent *= min(max(lasted.Hours(), 24)/max(u.span.Last.Sub(u.span.First).Hours(), 24), 1)
	return &Tried{Refused: refused, Tried: max(int(sent), refused)}, nil
}

// isBackground reports whether a problem is of the kind that every server has every day: one or two
// messages, or few a day, at a provider that takes the rest, now of this sender domain, now of
// that. An outage of our own is none of it.
func (p *Problem) isBackground(usual *usualMail) (bool, error) {
	if p.Level == Watch || p.few() {
		return true, nil
	}
	if p.Level != Confirmed {
		return false, nil
	}
	refused, lasted := p.Messages, p.Until.Sub(p.Since)
	if t := p.Onset; t != nil && t.Refused > refused { // it is the same on each of its days
		refused, lasted = t.Refused, t.Until.Sub(t.Since)
	}
	if max(perDay(refused, lasted), perDay(p.Messages, p.Until.Sub(p.Since))) > noisePerDay {
		return false, nil
	}
	same, known := 0.0, false
	if t := p.Onset; t != nil && t.Tried >= noiseTried {
		same, known = float64(t.Refused)/float64(t.Tried), true
	}
	if known && same < noiseShare {
		return true, nil
	}
	// Senders that were each refused about once were chosen for that: what their other mail met
	// says nothing, but what all mail to the same providers met does.
	spread := len(p.SenderDomains) > 1 && refused < 2*len(p.SenderDomains)
	if !spread && refused >= IncidentLeast && !(known && same < noiseSame) {
		return false, nil
	}
	t := p.Everybody
	if t == nil {
		var err error
		if t, err = usual.tried(p, refused, lasted); err != nil {
			return false, err
		}
	}
	return t.ByChance(noiseShare), nil
}

// perDay is a number a day, of at least one day.
func perDay(n int, d time.Duration) float64 { return float64(n) * 24 / max(d.Hours(), 24) }

// few reports whether less than an incident was refused. The period may be the end of one: since its
// onset most of the same senders' mail is refused and as much a day as makes an incident, or many messages a day.
func (p *Problem) few() bool {
	if p.Homemade() || p.Messages >= IncidentLeast {
		return false
	}
	t := p.Onset
	if t == nil || t.Refused < IncidentLeast {
		return true
	}
	daily := perDay(t.Refused, t.Until.Sub(t.Since))
	return daily < IncidentLeast || 2*t.Refused <= t.Tried && daily <= noisePerDay
}
