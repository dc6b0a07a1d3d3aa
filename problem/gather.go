package problem

import (
	"cmp"
	"context"
	"hash/maphash"
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

// A moment is a time in microseconds since 1970; 0: none. There may be half a million
// hits. Nanoseconds would end in 2262, and a log can hold any stamp.
type moment int64

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(t.UnixMicro())
}

func (m moment) time() (t time.Time) {
	if m != 0 {
		t = time.UnixMicro(int64(m)).UTC()
	}
	return t
}

func (m moment) add(d time.Duration) moment { return m + moment(d/time.Microsecond) }

// sub is at most as long as a Duration can be.
func (m moment) sub(o moment) time.Duration {
	const longest = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(min(max(int64(m-o), -longest), longest)) * time.Microsecond
}

// A hit is one refusal.
type hit struct {
	*alike
	offset    int64
	at        moment
	message   uint64
	recipient uint64 // a hash of the address
	address   string
	before    moment // the recipient's last delivery before, where that proves something
	since     bool   // it took mail since
	valid     bool   // known to be, before or since
	took      bool   // it took mail, whatever was said of it later
	hard      bool   // the MTA gave up and returned the message
}

// An alike is what many hits have in common.
type alike struct {
	*store.Traits
	provider  string
	unnamed   bool // the relay has no name: the provider is the domain
	smarthost bool // and who refused is told by the text
	passed    bool // the text may hold another host's answer

	pile *pile // where it goes, once that is known
	n    int   // see kinds
}

// A sample is a refusal that is shown with its words.
type sample struct {
	Evidence
	template  string
	relayIP   string
	addresses []string // ours that it names, and our DKIM selectors
	selectors []string
	original  string // the address that it was forwarded from
}

// read finds what the words of a sample name.
func (x *sample) read() {
	template, args := bounce.Split(x.Text)
	for _, a := range bounce.NamedAddresses(bounce.Template{Text: template, Args: args}, x.relayIP) {
		x.addresses = append(x.addresses, a.String())
	}
	x.selectors = bounce.NamedSelectors(x.Text)
}

// ref names the sample's attempt. (No line about a sender stands for several.)
func (s *sample) ref() store.Ref {
	return store.Ref{Time: s.Time.Unix(), Source: s.Source, Offset: s.Offset}
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
	relay string // the provider that most mail goes through, once relayKnown
	last  moment // of all attempts there are, or the end of the period

	relayKnown bool

	since, until moment  // the period; the end is not in it
	slabs        [][]hit // all hits, in order; the last is not full
	common       map[*store.Traits]*alike
	seed         maphash.Seed
	tries        map[[2]uint64]int // of a message to a recipient that got a 4xx
}

// gather reads the refusals that match f, and those of the past that they are held
// against. It is nil where f leaves none.
func gather(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) (*gathering, error) {
	suspect, ok := f.Restrict(store.Suspect)
	if !ok {
		return nil, nil
	}
	g := &gathering{
		f: f, o: o, named: map[string]*pile{}, pairs: map[string]*pile{},
		since: math.MinInt64, until: math.MaxInt64, common: map[*store.Traits]*alike{},
		seed: maphash.MakeSeed(), tries: map[[2]uint64]int{},
	}
	all, err := s.Span(ctx, store.Filter{})
	if err != nil || all.IsZero() {
		return nil, err
	}
	g.last = momentOf(all.Last)
	if !f.Until.IsZero() {
		g.until = momentOf(f.Until)
		g.last = min(g.last, g.until)
	}
	if !f.Since.IsZero() {
		g.since = momentOf(f.Since)
		suspect.Since = f.Since.Add(-o.Past)
	}
	part := make([]store.Refusal, 0, refusalsAtOnce)
	for r, err := range s.Refusals(ctx, suspect) {
		if err != nil {
			return nil, err
		}
		if r.NullSender || r.Detail == "receiver-dnsbl-error" {
			// Our own notifications go to whatever address a spammer forged; and
			// a list that refuses the receiver's resolver lists nobody.
			continue
		}
		if part = append(part, *r); len(part) < cap(part) {
			continue
		}
		if err := g.addAll(ctx, s, part); err != nil {
			return nil, err
		}
		if part = part[:0]; g.hits >= hitsAtMost {
			break
		}
	}
	if err := g.addAll(ctx, s, part); err != nil {
		return nil, err
	}
	g.tries = nil
	g.deal()
	return g, nil
}

// refusalsAtOnce is how many refusals are put on their piles at once: the texts that
// this needs are read together.
const refusalsAtOnce = 512

// addAll puts refusals on their piles.
func (g *gathering) addAll(ctx context.Context, s store.Reader, part []store.Refusal) error {
	list := make([]*alike, len(part))
	var refs []store.Ref
	for i := range part {
		// A smarthost's 2xx proves nothing, and who refused is told by the text.
		c := g.alike(part[i].Traits)
		if c.passed && !c.smarthost {
			// At port 25 a stranger may quote whom he likes.
			if err := g.findRelay(ctx, s); err != nil {
				return err
			}
			c.passed = c.provider == g.relay
		}
		list[i] = c
		if list[i].smarthost || list[i].passed {
			refs = append(refs, part[i].Ref())
		}
	}
	texts, err := s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	for i := range part {
		if g.hits >= hitsAtMost {
			return nil
		}
		c := list[i]
		if c.smarthost || c.passed {
			if texts[0] != nil {
				c = c.answeredBy(texts[0].Response)
			}
			texts = texts[1:]
		}
		g.add(&part[i], c)
	}
	return nil
}

// findRelay finds the relay that most mail goes through, if there is one: a smarthost
// that listens on port 25.
func (g *gathering) findRelay(ctx context.Context, s store.Reader) error {
	if g.relayKnown {
		return nil
	}
	g.relayKnown = true
	f := g.f
	f.Outcomes, f.Reasons = nil, nil
	cells, err := s.Count(ctx, f, store.ByRelay)
	if err != nil {
		return err
	}
	var all int64
	n := map[string]int64{}
	for i := range cells {
		if host := cells[i].Keys[0]; outside(host) {
			all += cells[i].Attempts
			n[provider.OfHost(host)] += cells[i].Attempts
		}
	}
	for name, of := range n {
		if 2*of > all {
			g.relay = name
		}
	}
	return nil
}

// alike finds what refusals with these traits have in common.
func (g *gathering) alike(t *store.Traits) *alike {
	c := g.common[t]
	if c != nil {
		return c
	}
	c = &alike{Traits: t, provider: provider.Of(&bounce.Delivery{RelayHost: t.RelayHost, RecipientDomain: t.RecipientDomain})}
	c.unnamed = t.RelayHost == ""
	c.smarthost, c.passed = provider.Submits(t.RelayPort), passedOn(t.Template)
	if len(g.common) >= hitsAtMost {
		clear(g.common)
	}
	g.common[t] = c
	return c
}

// answeredBy is c with who refused as the text tells it.
func (c *alike) answeredBy(text string) *alike {
	own := *c
	if host := provider.NamedHost(text); host != "" && provider.OfHost(host) != own.provider {
		own.smarthost, own.provider, own.unnamed = true, provider.OfHost(host), false
	} else if own.smarthost {
		own.provider, own.unnamed = c.RecipientDomain, true
	}
	own.pile = nil
	return &own
}

// add puts a refusal on its pile.
func (g *gathering) add(r *store.Refusal, c *alike) {
	h := g.hit()
	*h = hit{
		alike: c, offset: r.Offset, at: momentOf(r.Time), message: r.Message,
		recipient: g.hash(r.Recipient), address: r.Recipient, hard: r.Outcome == bounce.Hard,
	}
	if !c.smarthost {
		if !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < g.o.Valid {
			h.before, h.valid = momentOf(r.DeliveredBefore), true
		}
		h.since = !r.DeliveredAfter.IsZero()
		h.valid = h.valid || h.since
		h.took = h.valid
	}
	p := g.pile(r, h)
	if p == nil {
		return
	}
	p.n++
	g.hits++
	p.sample(h)
}

// hash stands for an address.
func (g *gathering) hash(address string) uint64 { return maphash.String(g.seed, address) }

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
func (g *gathering) pile(r *store.Refusal, h *hit) *pile {
	if !r.Reason.NamesCause() && !g.silent(r, h) {
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
		key := name + " " + h.SenderDomain
		if r.Forwarded {
			key = name + " forwarded"
		}
		p := in(g.named, key)
		if p != nil {
			p.named, p.sender, p.forward = true, h.SenderDomain, r.Forwarded
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
		answers, domain = h.provider+"/"+h.RecipientDomain, h.RecipientDomain
	}
	p := in(g.pairs, h.SenderDomain+" "+answers)
	if p != nil {
		p.sender, p.provider, p.domain = h.SenderDomain, h.provider, domain
	}
	return p
}

// silent tells whether a refusal that names no cause counts.
func (g *gathering) silent(r *store.Refusal, h *hit) bool {
	if r.Forwarded || h.smarthost || h.SenderDomain == "" || !refusal(r) {
		return false
	}
	if r.Code < 500 {
		// A 4xx says no only when it says so again and for long: else it is
		// what greylisting looks like, whatever its words.
		if !r.DeliveredAfter.IsZero() && r.DeliveredAfter.Sub(r.Time) < passing {
			return false
		}
		if len(g.tries) >= trackedAtMost {
			clear(g.tries)
		}
		again := [2]uint64{h.message, h.recipient}
		if g.tries[again]++; g.tries[again] < 2 {
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
	if len(p.samples) >= samplesAtMost || p.seen[h.Template] && (n&(n-1) != 0 || !p.named && n < 64) {
		return
	}
	p.seen[h.Template] = true
	p.samples = append(p.samples, h.sampled())
}

// sampled is a hit without its words yet.
func (h *hit) sampled() sample {
	return sample{Evidence{h.Source, h.offset, h.at.time(), h.Template}, h.Template, h.RelayIP, nil, nil, ""}
}

// recall reads the words of the samples, for incidents of which none was kept those
// of the first line.
func recall(ctx context.Context, s store.Reader, incidents []*incident) error {
	n := 0
	var refs []store.Ref
	index := map[store.Ref]int{} // from 1
	for _, in := range incidents {
		if len(in.samples) == 0 {
			in.samples = []sample{in.hits[0].sampled()}
			if n++; n > recalledAtMost {
				continue
			}
		}
		for i := range in.samples {
			if ref := in.samples[i].ref(); index[ref] == 0 {
				refs = append(refs, ref)
				index[ref] = len(refs)
			}
		}
	}
	texts, err := s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	for _, in := range incidents {
		for i := range in.samples {
			x := &in.samples[i]
			if n := index[x.ref()]; n > 0 && texts[n-1] != nil {
				x.Text, x.original = texts[n-1].Response, texts[n-1].OriginalRecipient
				x.read()
			}
		}
	}
	return nil
}

// dropUnknown takes from the recipients known to be valid those who were said to
// be unknown between their last delivery and the refusal.
func (g *gathering) dropUnknown(ctx context.Context, s store.Reader) error {
	proven := func(yield func(*hit) bool) {
		for h := range g.all() {
			if h.before != 0 && g.inPeriod(h.at) && !yield(h) {
				return
			}
		}
	}
	var from, to moment
	f := g.f
	f.Recipients = nil
	times := map[uint64][]moment{}
	for h := range proven {
		if from == 0 || h.before < from {
			from = h.before
		}
		to = max(to, h.at)
		if _, known := times[h.recipient]; !known {
			times[h.recipient] = nil
			f.Recipients = append(f.Recipients, h.address)
		}
	}
	if to == 0 {
		return nil
	}
	f.Since, f.Until = from.time(), to.time()
	f.Outcomes, f.Reasons = nil, bounce.Reasons(bounce.Reason.NoMailbox)
	f.SenderDomain, f.Relay, f.QueueID, f.MessageID = "", "", "", ""
	unknown := 0
	for r, err := range s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		unknown++
		who := g.hash(r.Recipient)
		times[who] = append(times[who], momentOf(r.Time))
	}
	if unknown == 0 {
		return nil
	}
	for h := range g.all() {
		between := func(t moment) bool { return t > h.before && t < h.at }
		if h.before != 0 && slices.ContainsFunc(times[h.recipient], between) {
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

// count is how many there are; of says which value it takes of a hit.
func (c *counter) count(hits []*hit, of func(*hit) (uint64, bool)) (n int) {
	c.each(hits, of, func(*hit) { n++ })
	return n
}

// each calls do with the first hit of each value.
func (c *counter) each(hits []*hit, of func(*hit) (uint64, bool), do func(*hit)) {
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
			do(h)
		}
		i := n * 0x9e3779b97f4a7c15 >> 32 & uint64(size-1)
		for slots[i] != n && slots[i] != 0 {
			i = (i + 1) & uint64(size-1)
		}
		if slots[i] != n {
			slots[i] = n
			do(h)
		}
	}
}

// What may be counted.
func ofValid(h *hit) (recipient uint64, ok bool) { return h.recipient, h.valid }
func ofMessage(h *hit) (uint64, bool)            { return h.message, true }

func senders(kinds []kind) []string {
	return tracked(kinds, func(k kind) string { return k.SenderDomain })
}

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
