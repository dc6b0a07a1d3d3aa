package problem

import (
	"context"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// The thresholds below which refusals are background, and no incident (docs/incidents.md).
const (
	noisePerDay = 20.0 // messages
	noiseShare  = 0.05 // of the messages to the same providers, or of the messages of the same senders there
	noiseTried  = 20   // minimum of messages of the same senders that allow a judgement
	noiseSame   = 0.25 // share of these messages
	// lateAfter is the time from a deferral to the delivery, from which mail is late. Lower: a burst of mail
	// that a provider takes at the second try is an incident.
	lateAfter = time.Hour
)

// IncidentLeast is the minimum number of messages in an incident.
const IncidentLeast = 3

// manyReaders is the minimum number of recipients of fewer messages, at senderProviders providers or more, that make
// an incident of failing authentication or a refused sender: a post to a list is one message, and each of these
// providers refuses it by itself.
const manyReaders = 10

// A usualMail is the mail of all senders in the period of f, by provider. It is counted on first
// use: most searches never need it.
type usualMail struct {
	ctx  context.Context
	s    store.Reader
	f    store.Filter
	sent map[string]int64 // messages
	span store.Span
}

// tried estimates the mail of all senders to the providers of a problem during the problem, if
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

// isBackground reports whether every server has such a problem every day: one or two messages, or a
// few a day, at a provider that takes the rest, from changing sender domains, or that retries
// delivered soon. An outage of the own side is never background.
func (p *Problem) isBackground(usual *usualMail) (bool, error) {
	if p.Level == Watch || p.few() {
		return true, nil
	}
	if p.refusesReaders() {
		return false, nil
	}
	if p.Level != Confirmed {
		return false, nil
	}
	if t := p.Onset; p.prompt && t != nil && 2*t.Refused < t.Tried {
		return true, nil
	}
	refused, lasted := p.Messages, p.Until.Sub(p.Since)
	if t := p.Onset; t != nil && t.Refused > refused { // the same on each day of the problem
		refused, lasted = t.Refused, t.Until.Sub(t.Since)
	}
	if max(perDay(refused, lasted), perDay(p.Messages, p.Until.Sub(p.Since))) > noisePerDay {
		return false, nil
	}
	if p.delayed {
		return true, nil
	}
	same, known := 0.0, false
	if t := p.Onset; t != nil && t.Tried >= noiseTried {
		same, known = float64(t.Refused)/float64(t.Tried), true
	}
	if known && same < noiseShare {
		return true, nil
	}
	// If each sender was refused about once, the senders were selected by their refusals, so their
	// other mail proves nothing. All mail to the same providers does.
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

// delayed reports whether retries delivered most messages of an incident soon, and the others are
// less than an incident, or less than that a day.
func (in *incident) delayed(seen *counter) bool {
	lasting := seen.count(in.all, lastingMessage)
	return lasting < IncidentLeast || 2*lasting < seen.count(in.all, anyMessage) && perDay(lasting, in.until.sub(in.began)) < IncidentLeast
}

// peak returns the largest number of messages per day from the onset of an incident to one of its
// refusals.
func (in *incident) peak() (most float64) {
	messages := map[uint64]bool{}
	for _, r := range in.all {
		messages[r.message] = true
		most = max(most, perDay(len(messages), r.at.sub(in.began)))
	}
	return most
}

// endedBefore reports whether an incident ended before a period, so that its refusals in the period are
// strays. A flood's mail may wait for days.
func (p *Problem) endedBefore(since time.Time) bool {
	return p.Cause != causeFlood && !p.Ongoing && !p.EndedAt.IsZero() && p.EndedAt.Before(since)
}

// perDay returns n per day, for at least one day.
func perDay(n int, d time.Duration) float64 { return float64(n) * 24 / max(d.Hours(), 24) }

// refusesReaders reports whether several providers refuse the records or the domain of a sender for many recipients,
// in however few messages.
func (p *Problem) refusesReaders() bool {
	return p.Level == Confirmed && (p.Cause == causeAuthentication || p.Cause == causeSender) && len(p.Providers) >= senderProviders && p.Recipients >= manyReaders
}

// few reports whether less than an incident was refused. The period may hold only the end of a
// larger problem. So a problem is not few if an incident was refused on each day since its onset,
// and that was most mail of the same senders or many messages a day; nor if it was refused on each day
// up to some time, and all mail of these senders up to the last refusal. A receiver at fault may take other
// mail.
func (p *Problem) few() bool {
	if p.Homemade() || p.Messages >= IncidentLeast || p.refusesReaders() {
		return false
	}
	t := p.Onset
	if t == nil || t.Refused < IncidentLeast {
		return true
	}
	daily := perDay(t.Refused, t.Until.Sub(t.Since))
	if t.Refused == t.Tried { // an incident once, and no mail was taken until its last refusal
		daily = max(daily, p.peak)
	}
	return daily < IncidentLeast || 2*t.Refused <= t.Tried && daily <= noisePerDay && !theirs(p.Cause)
}
