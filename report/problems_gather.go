package report

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A hit is one refusal.
type hit struct {
	source             string
	offset             int64
	template           string
	at                 time.Time
	message, recipient uint64
	sender, provider   string
	domain             string // of the recipient
	unnamed            bool   // the relay has no name: the provider is the domain
	reason             bounce.Reason
	detail             string
	stage              bounce.Stage
	before             time.Time // the recipient's last delivery before, where that proves something
	since              bool      // it took mail since
	valid              bool      // known to be, before or since
	address            string    // of the recipient, where valid
}

// A sample is a refusal with its words.
type sample struct {
	Evidence
	template  string
	addresses []string
}

// A pile is the refusals that may have one cause, in the order of time.
type pile struct {
	key      string // what it is about, for who announces it
	named    bool   // a reply names the cause
	sender   string // "": any
	provider string // of a silent pile
	domain   string // of the recipients, where a filter or nobody known answers for them
	hits     []hit
	samples  []sample
	seen     map[string]bool // templates
	forward  bool            // mail that was forwarded
}

// A gathering is all of them.
type gathering struct {
	f     store.Filter
	o     FlagOptions
	named map[string]*pile
	pairs map[string]*pile // that name no cause, by sender domain and provider
	hits  int
	last  time.Time // of all attempts there are, or the end of the period
}

// gather reads the refusals that match f, and those of the past that they are held
// against. It is nil where f leaves none.
func gather(ctx context.Context, s store.Store, f store.Filter, o FlagOptions) (*gathering, error) {
	suspect := f
	suspect.Reasons = both(f.Reasons, []bounce.Reason{
		bounce.AuthFailure, bounce.RDNSHelo, bounce.Blocklist, bounce.Reputation,
		bounce.Policy, bounce.ContentSpam, bounce.Unknown,
	})
	if len(suspect.Reasons) == 0 {
		return nil, nil
	}
	g := &gathering{f: f, o: o, named: map[string]*pile{}, pairs: map[string]*pile{}}
	_, last, err := s.Span(ctx, store.Filter{})
	if err != nil || last.IsZero() {
		return nil, err
	}
	g.last = last
	if !f.Until.IsZero() && f.Until.Before(last) {
		g.last = f.Until
	}
	if !f.Since.IsZero() {
		suspect.Since = f.Since.Add(-o.Past)
	}
	tries := map[[2]uint64]int{} // of a message to a recipient that got a 4xx
	for r, err := range s.Refusals(ctx, suspect) {
		if err != nil {
			return nil, err
		}
		if r.NullSender || r.Detail == "receiver-dnsbl-error" {
			// Our own notifications go to whatever address a spammer forged; and
			// a list that refuses the receiver's resolver lists nobody.
			continue
		}
		if g.hits >= hitsAtMost {
			break
		}
		if err := g.add(r, tries); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// add puts a refusal on its pile.
func (g *gathering) add(r *store.Refusal, tries map[[2]uint64]int) error {
	h := hit{
		source: r.Source, offset: r.Offset, template: r.Template, at: r.Time, message: r.Message, recipient: r.Recipient, sender: r.SenderDomain, domain: r.RecipientDomain,
		reason: r.Reason, detail: r.Detail, stage: r.Stage,
	}
	h.provider = Provider(&bounce.Delivery{RelayHost: r.RelayHost, RelayIP: r.RelayIP, RecipientDomain: r.RecipientDomain})
	h.unnamed = r.RelayHost == "" || strings.HasPrefix(r.RelayHost, "[") || r.RelayHost == r.RelayIP
	// A smarthost's 2xx proves nothing, and who refused is told by the text.
	smarthost := submits(r.RelayPort)
	if smarthost || passedOn(r.Template) {
		a, err := r.Attempt()
		if err != nil {
			return err
		}
		if host := namedHost(a.Response); host != "" && registered(host) != h.provider {
			smarthost, h.provider, h.unnamed = true, registered(host), false
		} else if smarthost {
			h.provider, h.unnamed = r.RecipientDomain, true
		}
	}
	if !smarthost {
		if !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < g.o.Valid {
			h.before, h.valid = r.DeliveredBefore, true
		}
		h.since = !r.DeliveredAfter.IsZero()
		h.valid = h.valid || h.since
	}

	p := g.pile(r, &h, smarthost, tries)
	if p == nil {
		return nil
	}
	if h.valid {
		h.address = r.Address
	}
	g.hits++
	p.hits = append(p.hits, h)
	return p.sample(r)
}

// passing is how soon mail is taken that was only delayed.
const passing = 4 * time.Hour

// passedOn tells whether a template may hold another host's answer.
func passedOn(template string) bool {
	return strings.Contains(template, " said: ") || strings.Contains(template, "host {host} [{ip}]: ")
}

// pile finds the pile of a refusal; nil where it is on none.
func (g *gathering) pile(r *store.Refusal, h *hit, smarthost bool, tries map[[2]uint64]int) *pile {
	in := func(piles map[string]*pile, key string) *pile {
		p := piles[key]
		if p == nil && len(g.named)+len(g.pairs) < pilesAtMost {
			p = &pile{key: key, seen: map[string]bool{}}
			piles[key] = p
		}
		return p
	}
	name := r.Reason.String()
	switch r.Reason {
	case bounce.AuthFailure:
		key := name + " " + h.sender
		if r.Forwarded {
			key = name + " forwarded"
		}
		p := in(g.named, key)
		if p != nil {
			p.named, p.sender, p.forward = true, h.sender, r.Forwarded
		}
		return p
	case bounce.RDNSHelo, bounce.Blocklist, bounce.Reputation:
		switch r.Reason {
		case bounce.Blocklist:
			name += " " + r.Detail
		case bounce.Reputation:
			name += " " + h.provider
		}
		p := in(g.named, name)
		if p != nil {
			p.named = true
		}
		return p
	}
	if r.Forwarded || smarthost || h.sender == "" || !refusal(r) {
		return nil
	}
	if r.Code < 500 {
		// A 4xx says no only when it says so again and for long: else it is
		// what greylisting looks like, whatever its words.
		if !r.DeliveredAfter.IsZero() && r.DeliveredAfter.Sub(r.Time) < passing {
			return nil
		}
		if len(tries) >= trackedAtMost {
			clear(tries)
		}
		again := [2]uint64{h.message, h.recipient}
		if tries[again]++; tries[again] < 2 {
			return nil
		}
	}
	answers := h.provider
	domain := ""
	if isFilter(h.provider) || h.unnamed {
		answers, domain = h.provider+"/"+h.domain, h.domain
	}
	p := in(g.pairs, h.sender+" "+answers)
	if p != nil {
		p.sender, p.provider, p.domain = h.sender, h.provider, domain
	}
	return p
}

// refusal tells whether an attempt ended in a 550 or 554, or a 4xx twin of
// them, whose text names no cause: what a failing authentication looks like
// when the provider does not say so.
func refusal(r *store.Refusal) bool {
	switch r.Reason {
	case bounce.Policy, bounce.ContentSpam, bounce.Unknown:
	default:
		return false
	}
	switch r.Code {
	case 550, 554, 450, 451, 421:
		return true
	}
	return false
}

// sample keeps the words of each new wording, and of ever fewer of the others:
// to read them takes longer than all the rest.
func (p *pile) sample(r *store.Refusal) error {
	n := len(p.hits)
	if len(p.samples) >= samplesAtMost || p.seen[r.Template] && (n&(n-1) != 0 || !p.named && n < 64) {
		return nil
	}
	a, err := r.Attempt()
	if err != nil {
		return err
	}
	p.seen[r.Template] = true
	p.samples = append(p.samples, sample{Evidence{r.Source, r.Offset, r.Time, a.Response}, r.Template, ownAddresses(a.Response, r.RelayIP)})
	return nil
}

// recall reads the words of incidents of which no sample was kept: the first line.
func recall(ctx context.Context, s store.Store, incidents []*incident) error {
	n := 0
	for _, in := range incidents {
		if len(in.samples) > 0 {
			continue
		}
		h := &in.hits[0]
		one := sample{Evidence{h.source, h.offset, h.at, h.template}, h.template, nil}
		if n++; n <= recalledAtMost {
			f := store.Filter{Since: h.at, Until: h.at.Add(time.Second), Reasons: []bounce.Reason{h.reason}}
			for r, err := range s.Refusals(ctx, f) {
				if err != nil {
					return err
				}
				if r.Source != h.source || r.Offset != h.offset {
					continue
				}
				a, err := r.Attempt()
				if err != nil {
					return err
				}
				one.Text, one.addresses = a.Response, ownAddresses(a.Response, r.RelayIP)
				break
			}
		}
		in.samples = []sample{one}
	}
	return nil
}

// dropUnknown takes from the recipients known to be valid those who were said to
// be unknown between their last delivery and the refusal. Only those on whom
// something depends are asked for.
func (g *gathering) dropUnknown(ctx context.Context, s store.Store) error {
	wanted := map[uint64]bool{}
	var from, to time.Time
	visit := func(do func(*hit)) {
		for _, p := range g.named {
			for i := range p.hits {
				do(&p.hits[i])
			}
		}
		for _, p := range g.pairs {
			if len(p.hits) < g.o.Recipients {
				continue // watched at most
			}
			for i := range p.hits {
				do(&p.hits[i])
			}
		}
	}
	visit(func(h *hit) {
		if h.before.IsZero() || !g.inPeriod(h.at) || len(wanted) >= trackedAtMost {
			return
		}
		wanted[h.recipient] = true
		if from.IsZero() || h.before.Before(from) {
			from = h.before
		}
		if h.at.After(to) {
			to = h.at
		}
	})
	if len(wanted) == 0 {
		return nil
	}
	f := g.f
	f.Since, f.Until = from, to
	f.Outcomes, f.Reasons = nil, []bounce.Reason{bounce.UserUnknown, bounce.MailboxDisabled}
	f.SenderDomain, f.Relay, f.QueueID, f.MessageID = "", "", "", ""
	list := make([]uint64, 0, len(wanted))
	for r := range wanted {
		list = append(list, r)
	}
	slices.Sort(list)
	times, err := s.FailureTimes(ctx, f, list)
	if err != nil {
		return err
	}
	if len(times) == 0 {
		return nil
	}
	visit(func(h *hit) {
		if h.before.IsZero() {
			return
		}
		for _, t := range times[h.recipient] {
			if t.After(h.before) && t.Before(h.at) {
				h.before, h.valid = time.Time{}, h.since
				return
			}
		}
	})
	return nil
}

func (g *gathering) inPeriod(t time.Time) bool {
	return !t.Before(g.f.Since) && (g.f.Until.IsZero() || t.Before(g.f.Until))
}

// chains parts hits where there was none for so long.
func chains(hits []hit, gap time.Duration) (parts [][]hit) {
	slices.SortStableFunc(hits, func(a, b hit) int { return a.at.Compare(b.at) })
	start := 0
	for i := range hits {
		if i > 0 && hits[i].at.Sub(hits[i-1].at) >= gap {
			parts = append(parts, hits[start:i])
			start = i
		}
	}
	if start < len(hits) {
		parts = append(parts, hits[start:])
	}
	return parts
}

// distinct counts the different values of some hits.
func distinct[K comparable](hits []hit, of func(*hit) (K, bool)) int {
	set := make(map[K]struct{})
	for i := range hits {
		if k, ok := of(&hits[i]); ok {
			set[k] = struct{}{}
		}
	}
	return len(set)
}

func validRecipients(hits []hit) int {
	return distinct(hits, func(h *hit) (uint64, bool) { return h.recipient, h.valid })
}

func messages(hits []hit) int {
	return distinct(hits, func(h *hit) (uint64, bool) { return h.message, true })
}

func senders(hits []hit) int {
	return distinct(hits, func(h *hit) (string, bool) { return h.sender, h.sender != "" })
}

// commonest is the value that most hits have; the first in order of those that
// are equally common.
func commonest[K cmp.Ordered](hits []hit, of func(*hit) K) (most K) {
	n := map[K]int{}
	for i := range hits {
		n[of(&hits[i])]++
	}
	var zero K
	for k, c := range n {
		if k != zero && (c > n[most] || most == zero || c == n[most] && k < most) {
			most = k
		}
	}
	return most
}
