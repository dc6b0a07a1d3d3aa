package problem

import (
	"cmp"
	"context"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// A moment is a time in nanoseconds since 1970; 0: none. There may be half a million
// hits.
type moment int64

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(t.UnixNano())
}

func (m moment) time() (t time.Time) {
	if m != 0 {
		t = time.Unix(0, int64(m)).UTC()
	}
	return t
}

func (m moment) add(d time.Duration) moment { return m + moment(d) }
func (m moment) sub(o moment) time.Duration { return time.Duration(m - o) }

// A hit is one refusal.
type hit struct {
	*alike
	id                 int64
	offset             int64
	at                 moment
	message, recipient uint64
	before             moment // the recipient's last delivery before, where that proves something
	since              bool   // it took mail since
	valid              bool   // known to be, before or since
	took               bool   // it took mail, whatever was said of it later
	hard               bool   // the MTA gave up and returned the message
}

// An alike is what many hits have in common.
type alike struct {
	source           string
	template         string
	sender, provider string
	domain           string // of the recipient
	unnamed          bool   // the relay has no name: the provider is the domain
	smarthost        bool   // and who refused is told by the text
	passed           bool   // the text may hold another host's answer
	relayIP          string
	reason           bounce.Reason
	detail           string
	stage            bounce.Stage

	pile *pile // where it goes, once that is known
	n    int   // see kinds
}

// A sample is a refusal that is shown with its words.
type sample struct {
	Evidence
	id        int64
	template  string
	relayIP   string
	addresses []string // ours that it names, and our DKIM selectors
	selectors []string
}

// read finds what the words of a sample name.
func (x *sample) read() {
	template, args := bounce.Split(x.Text)
	for _, a := range bounce.NamedAddresses(bounce.Template{Text: template, Args: args}, x.relayIP) {
		x.addresses = append(x.addresses, a.String())
	}
	x.selectors = bounce.NamedSelectors(x.Text)
}

// A pile is the refusals that may have one cause, in the order of time.
type pile struct {
	key      string // what it is about, for who announces it
	named    bool   // a reply names the cause
	sender   string // "": any
	provider string // of a silent pile
	domain   string // of the recipients, where a filter or nobody known answers for them
	n        int    // of hits
	hits     []*hit
	samples  []sample
	seen     map[string]bool // templates
	forward  bool            // mail that was forwarded
}

// A gathering is all of them.
type gathering struct {
	f     store.Filter
	o     Thresholds
	named map[string]*pile
	pairs map[string]*pile // that name no cause, by sender domain and provider
	hits  int
	last  moment // of all attempts there are, or the end of the period

	since, until moment         // the period; the end is not in it
	slabs        [][]hit        // all hits, in order; the last is not full
	common       map[int]*alike // by store.Refusal.Alike
}

// gather reads the refusals that match f, and those of the past that they are held
// against. It is nil where f leaves none.
func gather(ctx context.Context, s store.Store, f store.Filter, o Thresholds) (*gathering, error) {
	suspect, ok := f.Restrict(store.Suspect)
	if !ok {
		return nil, nil
	}
	g := &gathering{
		f: f, o: o, named: map[string]*pile{}, pairs: map[string]*pile{},
		since: math.MinInt64, until: math.MaxInt64, common: map[int]*alike{},
	}
	_, last, err := s.Span(ctx, store.Filter{})
	if err != nil || last.IsZero() {
		return nil, err
	}
	g.last = momentOf(last)
	if !f.Until.IsZero() {
		g.until = momentOf(f.Until)
		g.last = min(g.last, g.until)
	}
	if !f.Since.IsZero() {
		g.since = momentOf(f.Since)
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
	g.deal()
	return g, nil
}

// add puts a refusal on its pile.
func (g *gathering) add(r *store.Refusal, tries map[[2]uint64]int) error {
	c := g.common[r.Alike]
	if c == nil {
		c = &alike{
			source: r.Source, template: r.Template, sender: r.SenderDomain, domain: r.RecipientDomain,
			relayIP: r.RelayIP, reason: r.Reason, detail: r.Detail, stage: r.Stage,
		}
		c.provider = provider.Of(&bounce.Delivery{RelayHost: r.RelayHost, RecipientDomain: r.RecipientDomain})
		c.unnamed = r.RelayHost == ""
		c.smarthost, c.passed = provider.Submits(r.RelayPort), passedOn(r.Template)
		if len(g.common) >= hitsAtMost {
			clear(g.common)
		}
		g.common[r.Alike] = c
	}
	// A smarthost's 2xx proves nothing, and who refused is told by the text.
	if c.smarthost || c.passed {
		a, err := r.Attempt()
		if err != nil {
			return err
		}
		own := *c
		if host := provider.NamedHost(a.Response); host != "" && provider.OfHost(host) != own.provider {
			own.smarthost, own.provider, own.unnamed = true, provider.OfHost(host), false
		} else if own.smarthost {
			own.provider, own.unnamed = r.RecipientDomain, true
		}
		own.pile = nil
		c = &own
	}
	h := g.hit()
	*h = hit{alike: c, id: r.ID, offset: r.Offset, at: momentOf(r.Time), message: r.Message, recipient: r.Recipient, hard: r.Outcome == bounce.Hard}
	if !c.smarthost {
		if !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < g.o.Valid {
			h.before, h.valid = momentOf(r.DeliveredBefore), true
		}
		h.since = !r.DeliveredAfter.IsZero()
		h.valid = h.valid || h.since
		h.took = h.valid
	}
	p := g.pile(r, h, tries)
	if p == nil {
		return nil
	}
	p.n++
	g.hits++
	p.sample(h)
	return nil
}

// slabSize is for how many hits room is made at a time.
const slabSize = 1024

// hit is room for the next.
func (g *gathering) hit() *hit {
	if g.hits == len(g.slabs)*slabSize {
		g.slabs = append(g.slabs, make([]hit, slabSize))
	}
	return &g.slabs[g.hits/slabSize][g.hits%slabSize]
}

// deal puts the hits on their piles, now that it is known how many each gets.
func (g *gathering) deal() {
	room := make([]*hit, g.hits)
	for _, piles := range [...]map[string]*pile{g.named, g.pairs} {
		for _, p := range piles {
			p.hits, room = room[:0:p.n], room[p.n:]
		}
	}
	for h := range g.all() {
		h.pile.hits = append(h.pile.hits, h)
	}
}

// all yields the hits.
func (g *gathering) all() iter.Seq[*hit] {
	return func(yield func(*hit) bool) {
		for i := range g.hits {
			if !yield(&g.slabs[i/slabSize][i%slabSize]) {
				return
			}
		}
	}
}

// passing is how soon mail is taken that was only delayed.
const passing = 4 * time.Hour

// passedOn tells whether a template may hold another host's answer.
func passedOn(template string) bool {
	return strings.Contains(template, " said: ") || strings.Contains(template, "host {host} [{ip}]: ")
}

// pile finds the pile of a refusal; nil where it is on none.
func (g *gathering) pile(r *store.Refusal, h *hit, tries map[[2]uint64]int) *pile {
	if !r.Reason.NamesCause() && !g.silent(r, h, tries) {
		return nil
	}
	if h.pile == nil {
		h.pile = g.pileOf(r, h)
	}
	return h.pile
}

func (g *gathering) pileOf(r *store.Refusal, h *hit) *pile {
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
	answers := h.provider
	domain := ""
	if provider.IsFilter(h.provider) || h.unnamed {
		answers, domain = h.provider+"/"+h.domain, h.domain
	}
	p := in(g.pairs, h.sender+" "+answers)
	if p != nil {
		p.sender, p.provider, p.domain = h.sender, h.provider, domain
	}
	return p
}

// silent tells whether a refusal that names no cause counts.
func (g *gathering) silent(r *store.Refusal, h *hit, tries map[[2]uint64]int) bool {
	if r.Forwarded || h.smarthost || h.sender == "" || !refusal(r) {
		return false
	}
	if r.Code < 500 {
		// A 4xx says no only when it says so again and for long: else it is
		// what greylisting looks like, whatever its words.
		if !r.DeliveredAfter.IsZero() && r.DeliveredAfter.Sub(r.Time) < passing {
			return false
		}
		if len(tries) >= trackedAtMost {
			clear(tries)
		}
		again := [2]uint64{h.message, h.recipient}
		if tries[again]++; tries[again] < 2 {
			return false
		}
	}
	return true
}

// refusal tells whether an attempt ended in a 550 or 554, or a 4xx twin of
// them, whose text names no cause: what a failing authentication looks like
// when the provider does not say so.
func refusal(r *store.Refusal) bool {
	if !r.Reason.HidesCause() {
		return false
	}
	switch r.Code {
	case 550, 554, 450, 451, 421:
		return true
	}
	return false
}

// sample notes of which refusals the words are kept: of each new wording, and of ever
// fewer of the others.
func (p *pile) sample(h *hit) {
	n := p.n
	if !p.named && n < 3 {
		return // there are many small piles; see recall
	}
	if len(p.samples) >= samplesAtMost || p.seen[h.template] && (n&(n-1) != 0 || !p.named && n < 64) {
		return
	}
	p.seen[h.template] = true
	p.samples = append(p.samples, h.sampled())
}

// sampled is a hit without its words yet.
func (h *hit) sampled() sample {
	return sample{Evidence{h.source, h.offset, h.at.time(), h.template}, h.id, h.template, h.relayIP, nil, nil}
}

// recall reads the words of the samples, for incidents of which none was kept those
// of the first line.
func recall(ctx context.Context, s store.Store, incidents []*incident) error {
	n := 0
	var ids []int64
	index := map[int64]int{}
	for _, in := range incidents {
		if len(in.samples) == 0 {
			in.samples = []sample{in.hits[0].sampled()}
			if n++; n > recalledAtMost {
				continue
			}
		}
		for i := range in.samples {
			if id := in.samples[i].id; index[id] == 0 {
				ids = append(ids, id)
				index[id] = len(ids)
			}
		}
	}
	texts, err := s.Responses(ctx, ids)
	if err != nil {
		return err
	}
	for _, in := range incidents {
		for i := range in.samples {
			x := &in.samples[i]
			if n := index[x.id]; n > 0 {
				x.Text = texts[n-1]
				x.read()
			}
		}
	}
	return nil
}

// dropUnknown takes from the recipients known to be valid those who were said to
// be unknown between their last delivery and the refusal.
func (g *gathering) dropUnknown(ctx context.Context, s store.Store) error {
	proven := func(yield func(*hit) bool) {
		for h := range g.all() {
			if h.before != 0 && g.inPeriod(h.at) && !yield(h) {
				return
			}
		}
	}
	var from, to moment
	for h := range proven {
		if from == 0 || h.before < from {
			from = h.before
		}
		to = max(to, h.at)
	}
	if to == 0 {
		return nil
	}
	f := g.f
	f.Since, f.Until = from.time(), to.time()
	f.Outcomes, f.Reasons = nil, bounce.Reasons(bounce.Reason.NoMailbox)
	f.SenderDomain, f.Relay, f.QueueID, f.MessageID = "", "", "", ""
	times, err := s.FailureTimes(ctx, f, func(yield func(uint64) bool) {
		for h := range proven {
			if !yield(h.recipient) {
				return
			}
		}
	})
	if err != nil || len(times) == 0 {
		return err
	}
	for h := range g.all() {
		unknown := func(t time.Time) bool { return momentOf(t) > h.before && momentOf(t) < h.at }
		if h.before != 0 && slices.ContainsFunc(times[h.recipient], unknown) {
			h.before, h.valid = 0, h.since
		}
	}
	return nil
}

func (g *gathering) inPeriod(t moment) bool { return g.since <= t && t < g.until }

// between are those of some hits, in the order of time, that are in a stretch of it;
// the end is not in it.
func between(hits []*hit, since, until moment) []*hit {
	at := func(h *hit, t moment) int { return cmp.Compare(h.at, t) }
	from, _ := slices.BinarySearchFunc(hits, since, at)
	to, _ := slices.BinarySearchFunc(hits, until, at)
	return slices.Clip(hits[from:to])
}

// inOrder sorts hits by time; equal ones stay as they are. They are a few lists in
// order, one behind the other, which are merged two by two.
func inOrder(hits []*hit) {
	var runs [][]*hit
	start := 0
	for i := 1; i <= len(hits); i++ {
		if i == len(hits) || hits[i].at < hits[i-1].at {
			runs = append(runs, hits[start:i])
			start = i
		}
	}
	if len(runs) < 2 {
		return
	}
	from, to := hits, make([]*hit, len(hits))
	for len(runs) > 1 {
		rest, half := to, runs[:0]
		for i := 0; i < len(runs); i += 2 {
			a, b := runs[i], []*hit(nil)
			if i+1 < len(runs) {
				b = runs[i+1]
			}
			n := len(a) + len(b)
			mergeHits(rest[:n], a, b)
			half, rest = append(half, rest[:n]), rest[n:]
		}
		runs, from, to = half, to, from
	}
	copy(hits, from)
}

// mergeHits makes one list in order of two, in out.
func mergeHits(out, a, b []*hit) {
	for i := range out {
		if len(b) == 0 || len(a) > 0 && a[0].at <= b[0].at {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
}

// chains parts hits where there was none for so long.
func chains(hits []*hit, gap time.Duration) (parts [][]*hit) {
	inOrder(hits)
	start := 0
	for i := range hits {
		if i > 0 && hits[i].at.sub(hits[i-1].at) >= gap {
			parts = append(parts, hits[start:i])
			start = i
		}
	}
	if start < len(hits) {
		parts = append(parts, hits[start:])
	}
	return parts
}

// A counter tells how many different values some hits have. Its memory is used again.
type counter struct{ slots []uint64 } // 0: free

// values are the different values; of says which it takes of a hit.
func (c *counter) values(hits []*hit, of func(*hit) (uint64, bool)) []uint64 {
	var list []uint64
	c.each(hits, of, func(n uint64) { list = append(list, n) })
	return list
}

// count is how many there are.
func (c *counter) count(hits []*hit, of func(*hit) (uint64, bool)) (n int) {
	c.each(hits, of, func(uint64) { n++ })
	return n
}

func (c *counter) each(hits []*hit, of func(*hit) (uint64, bool), do func(uint64)) {
	size := 1 << bits.Len(uint(2*len(hits)))
	if size > len(c.slots) {
		c.slots = make([]uint64, size)
	}
	slots := c.slots[:size]
	clear(slots)
	zero := false
	for _, h := range hits {
		n, ok := of(h)
		if !ok {
			continue
		}
		if n == 0 && !zero {
			zero = true
			do(0)
		}
		i := n * 0x9e3779b97f4a7c15 >> 32 & uint64(size-1)
		for slots[i] != n && slots[i] != 0 {
			i = (i + 1) & uint64(size-1)
		}
		if slots[i] != n {
			slots[i] = n
			do(n)
		}
	}
}

// What may be counted.
func ofValid(h *hit) (recipient uint64, ok bool) { return h.recipient, h.valid }
func ofMessage(h *hit) (uint64, bool)            { return h.message, true }

func senders(kinds []kind) []string { return tracked(kinds, func(k kind) string { return k.sender }) }

// A kind is what n hits have in common.
type kind struct {
	*alike
	n int
}

// kinds are what some hits are made of, in the order in which they come first: a few
// thousand, where there may be a hundred thousand hits.
func kinds(hits []*hit) []kind {
	var list []kind
	for _, h := range hits {
		if h.n == 0 {
			list = append(list, kind{alike: h.alike})
		}
		h.n++
	}
	for i := range list {
		k := &list[i]
		k.n, k.alike.n = k.alike.n, 0
	}
	return list
}

// commonest is the value that most hits have; the first in order of those that
// are equally common.
func commonest[K cmp.Ordered](kinds []kind, of func(kind) K) (most K) {
	n := map[K]int{}
	for _, k := range kinds {
		n[of(k)] += k.n
	}
	var zero K
	for k, c := range n {
		if k != zero && (c > n[most] || most == zero || c == n[most] && k < most) {
			most = k
		}
	}
	return most
}
