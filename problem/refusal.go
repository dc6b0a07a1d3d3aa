package problem

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// A refusal is a failed attempt that may be about the sending side. There may be
// refusalsKept of them, so it holds no text: see sample.
type refusal struct {
	*traits
	offset    int64 // of its line in Source
	at        moment
	message   uint64 // store.Refusal.Message
	recipient uint64 // a hash of the address
	address   string
	before    moment // the recipient's last delivery before, where it proves the address; 0: none
	since     bool   // the recipient took mail afterwards
	valid     bool   // before or since: the address is known to be valid
	took      bool   // as valid, whatever was said of the mailbox in between
	hard      bool   // the MTA gave up and returned the message
	claimed   bool   // it is part of a likely incident
}

// traits are what many refusals have in common. They are shared: findings about them are
// made once.
type traits struct {
	*store.Traits
	provider  string
	noRelay   bool // the relay has no name: the provider is the recipient's domain
	smarthost bool // the relay only passes mail on: its reply says who refused
	quotes    bool // the reply may hold another host's answer, and the relay is believed
	asked     bool // where noRelay: the provider was looked for (see findProvider)

	stream *stream // that such refusals are in, once it is known
	n      int     // see countTraits
}

// newTraits finds what is the same for all refusals with these traits.
func newTraits(t *store.Traits) *traits {
	return &traits{
		Traits:   t,
		provider: provider.Of(&bounce.Delivery{RelayHost: t.RelayHost, RecipientDomain: t.RecipientDomain}),
		noRelay:  t.RelayHost == "", smarthost: provider.Submits(t.RelayPort), quotes: quotesAnother(t.Template),
	}
}

// answeredBy returns c with the provider that the text of a reply names as the one that
// refused.
func (c *traits) answeredBy(text string) *traits {
	own := *c
	if host := provider.NamedHost(text); host != "" && provider.OfHost(host) != own.provider {
		own.smarthost, own.provider, own.noRelay = true, provider.OfHost(host), false
	} else if own.smarthost {
		own.provider, own.noRelay = c.RecipientDomain, true
	}
	own.stream = nil
	return &own
}

// quotesAnother reports whether a template may hold another host's answer.
func quotesAnother(template string) bool {
	return strings.Contains(template, " said: ") || strings.Contains(template, "host {host} [{ip}]: ")
}

// A sample is a refusal that is shown with its text.
type sample struct {
	Evidence
	template  string
	provider  string
	relayIP   string
	addresses []string // of the sending side, as the text names them
	selectors []string // DKIM selectors of the sending side, as the text names them
	original  string   // the address that the mail was forwarded from
}

// sampled makes a sample of a refusal, without its text yet: see readTexts.
func (r *refusal) sampled() sample {
	return sample{Evidence: Evidence{Source: r.Source, Offset: r.offset, Time: r.at.time(), Text: r.Template}, template: r.Template, provider: r.provider, relayIP: r.RelayIP}
}

// ref names the sample's attempt. (N is 0: a line about a refusal stands for one attempt.)
func (s *sample) ref() store.Ref {
	return store.Ref{Time: s.Time.Unix(), Source: s.Source, Offset: s.Offset}
}

// setText takes over what the text of the attempt says.
func (s *sample) setText(a *store.Attempt) {
	s.Text, s.Warning, s.original = a.Response, a.Warning, a.OriginalRecipient
	template, args := bounce.Split(s.Text)
	for _, ip := range bounce.NamedAddresses(bounce.Template{Text: template, Args: args}, s.relayIP) {
		s.addresses = append(s.addresses, ip.String())
	}
	s.selectors = bounce.NamedSelectors(s.Text)
}

func sortSamples(list []sample) {
	slices.SortStableFunc(list, func(a, b sample) int { return a.byPlace(&b.Evidence) })
}

// readTexts reads the texts of the incidents' samples; an incident without one gets that
// of its first refusal.
func readTexts(ctx context.Context, s store.Reader, incidents []*incident) error {
	added := 0
	var refs []store.Ref
	index := map[store.Ref]int{} // in refs, from 1
	for _, in := range incidents {
		if len(in.samples) == 0 {
			in.samples = []sample{in.refusals[0].sampled()}
			if added++; added > textsRead {
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
				x.setText(texts[n-1])
			}
		}
	}
	return nil
}

// dropRelays removes the addresses that mail was ever handed to, until the end of f's period, from
// those that the replies name as ours: whoever answers may name any.
func dropRelays(ctx context.Context, s store.Reader, f store.Filter, incidents []*incident) error {
	took := map[string]bool{}
	for _, in := range incidents {
		for i := range in.samples {
			x := &in.samples[i]
			for _, ip := range x.addresses {
				if _, asked := took[ip]; asked || len(took) == addressesAsked {
					continue
				}
				span, err := s.Span(ctx, store.Filter{Until: f.Until, RelayIP: ip, Outcomes: []bounce.Outcome{bounce.Delivered}})
				if err != nil {
					return err
				}
				took[ip] = !span.IsZero()
			}
			x.addresses = slices.DeleteFunc(x.addresses, func(ip string) bool { t, asked := took[ip]; return t || !asked })
		}
	}
	return nil
}

// between returns those of refusals in the order of time that are in [since, until). The
// answer shares their memory, without room to append.
func between(list []*refusal, since, until moment) []*refusal {
	byTime := func(r *refusal, t moment) int { return cmp.Compare(r.at, t) }
	from, _ := slices.BinarySearchFunc(list, since, byTime)
	to, _ := slices.BinarySearchFunc(list, until, byTime)
	return slices.Clip(list[from:to])
}

// sortByTime sorts refusals by time, stably. They are a few sorted lists one behind
// the other, which are merged two by two: a list that is sorted costs one pass.
func sortByTime(list []*refusal) {
	var sorted [][]*refusal
	start := 0
	for i := 1; i <= len(list); i++ {
		if i == len(list) || list[i].at < list[i-1].at {
			sorted = append(sorted, list[start:i])
			start = i
		}
	}
	if len(sorted) < 2 {
		return
	}
	from, to := list, make([]*refusal, len(list))
	for len(sorted) > 1 {
		rest, half := to, sorted[:0]
		for i := 0; i < len(sorted); i += 2 {
			a, b := sorted[i], []*refusal(nil)
			if i+1 < len(sorted) {
				b = sorted[i+1]
			}
			n := len(a) + len(b)
			mergeByTime(rest[:n], a, b)
			half, rest = append(half, rest[:n]), rest[n:]
		}
		sorted, from, to = half, to, from
	}
	copy(list, from)
}

// mergeByTime fills out, which is as long as a and b together, with both in order.
func mergeByTime(out, a, b []*refusal) {
	for i := range out {
		if len(b) == 0 || len(a) > 0 && a[0].at <= b[0].at {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
}

// splitByGap sorts refusals and splits them where there was none for a gap or longer.
func splitByGap(list []*refusal, gap time.Duration) (parts [][]*refusal) {
	sortByTime(list)
	start := 0
	for i := range list {
		if i > 0 && list[i].at.sub(list[i-1].at) >= gap {
			parts = append(parts, list[start:i])
			start = i
		}
	}
	if start < len(list) {
		parts = append(parts, list[start:])
	}
	return parts
}

// A counter counts different values of refusals. It is an open hash table whose memory is
// used again: maps took a third of the time of a search with many refusals.
type counter struct{ slots []uint64 } // 0: free

// count returns the number of different values; of returns that of one refusal, and
// whether it counts.
func (c *counter) count(list []*refusal, of func(*refusal) (value uint64, ok bool)) (n int) {
	c.each(list, of, func(*refusal) { n++ })
	return n
}

// each calls do with the first refusal of each value.
func (c *counter) each(list []*refusal, of func(*refusal) (value uint64, ok bool), do func(*refusal)) {
	size := 1 << bits.Len(uint(2*len(list)))
	if size > len(c.slots) {
		c.slots = make([]uint64, size)
	}
	slots := c.slots[:size]
	clear(slots)
	zero := false
	for _, r := range list {
		n, ok := of(r)
		if !ok {
			continue
		}
		if n == 0 && !zero {
			zero = true
			do(r)
		}
		i := n * 0x9e3779b97f4a7c15 >> 32 & uint64(size-1)
		for slots[i] != n && slots[i] != 0 {
			i = (i + 1) & uint64(size-1)
		}
		if slots[i] != n {
			slots[i] = n
			do(r)
		}
	}
}

// The values that a counter may count.
func validRecipient(r *refusal) (uint64, bool) { return r.recipient, r.valid }
func anyRecipient(r *refusal) (uint64, bool)   { return r.recipient, true }
func anyMessage(r *refusal) (uint64, bool)     { return r.message, true }
func lostMessage(r *refusal) (uint64, bool)    { return r.message, r.hard }

// traitCount counts the refusals with the same traits.
type traitCount struct {
	*traits
	n int
}

// countTraits counts refusals by their traits, in the order in which those come first.
// There are a few thousand where there may be a hundred thousand refusals, so what can be
// found in the traits is looked for there.
func countTraits(refusals []*refusal) []traitCount {
	var list []traitCount
	for _, r := range refusals {
		if r.n == 0 {
			list = append(list, traitCount{traits: r.traits})
		}
		r.n++
	}
	for i := range list {
		c := &list[i]
		c.n, c.traits.n = c.traits.n, 0
	}
	return list
}

// distinctTraits returns the different values of traits in order, without "", at most
// setSize; never nil, so that JSON has a list.
func distinctTraits(counts []traitCount, of func(traitCount) string) []string {
	set := map[string]bool{}
	for _, c := range counts {
		if v := of(c); v != "" && len(set) < setSize {
			set[v] = true
		}
	}
	list := make([]string, 0, len(set))
	for v := range set {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

func sendersOf(counts []traitCount) []string {
	return distinctTraits(counts, func(c traitCount) string { return c.SenderDomain })
}

func providersOf(counts []traitCount) []string {
	return distinctTraits(counts, func(c traitCount) string { return c.provider })
}

// commonest returns the value that most refusals have; of equally common ones the first
// in order. The zero value does not count.
func commonest[K cmp.Ordered](counts []traitCount, of func(traitCount) K) (most K) {
	n := map[K]int{}
	for _, c := range counts {
		n[of(c)] += c.n
	}
	var zero K
	for k, c := range n {
		if k != zero && (c > n[most] || most == zero || c == n[most] && k < most) {
			most = k
		}
	}
	return most
}
