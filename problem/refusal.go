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

// A refusal is a failed attempt that may be about the sending side. Up to refusalsKept are in
// memory, so a refusal holds no text: see sample.
type refusal struct {
	*traits
	offset    int64 // of its line in Source
	at        moment
	message   uint64 // as store.Refusal.Message
	recipient uint64 // a hash of the address
	address   string
	before    moment // the recipient's last delivery before the refusal, if it proves the address; 0: none
	since     bool   // the recipient took mail afterwards
	valid     bool   // before or since: the address is known to be valid
	took      bool   // as valid, even if the mailbox was said to be unknown in between
	hard      bool   // the MTA gave up and returned the message
	expired   bool   // the message expired in the period: see findExpired
	mended    bool   // the recipient took mail soon afterwards: see delayed
	soon      bool   // likewise, within lateAfter
	reached   bool   // the recipient took mail afterwards, until the end of the period, if only from a smarthost
	claimed   bool   // part of a likely incident
}

// traits are common properties of many refusals. They are shared, so that each is evaluated once.
type traits struct {
	*store.Traits
	provider  string
	noRelay   bool // the relay has no name: the provider is the recipient's domain
	smarthost bool // the relay only passes mail on: its reply says who refused
	quotes    bool // the reply may hold another host's answer, and the relay is believed
	asked     bool // where noRelay: the provider was looked for (see findProvider)

	stream *stream // stream of these refusals, once it is known
	n      int     // see countTraits
}

// newTraits derives the common properties of all refusals with these store traits.
func newTraits(t *store.Traits) *traits {
	if t.Confidence == bounce.Guess { // a guess is no statement: the reply names no cause
		silent := *t
		silent.Reason, silent.Detail = bounce.Unknown, ""
		t = &silent
	}
	return &traits{
		Traits:   t,
		provider: provider.Of(&bounce.Delivery{RelayHost: t.RelayHost, RecipientDomain: t.RecipientDomain}),
		noRelay:  t.RelayHost == "", smarthost: provider.Submits(t.RelayPort), quotes: quotesAnother(t.Template),
	}
}

// answeredBy returns c with the provider that refused according to the text of the reply.
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

// A sample is a refusal whose text is shown.
type sample struct {
	Evidence
	template  string
	provider  string
	relayIP   string
	addresses []string // of the sending side, in the text
	selectors []string // DKIM selectors of the sending side, in the text
	original  string   // address from which the mail was forwarded
}

// ref returns the Ref of the refusal's attempt. N is 0, since the log line of a refusal holds one
// attempt.
func (r *refusal) ref() store.Ref {
	return store.Ref{Time: r.at.time().Unix(), Source: r.Source, Offset: r.offset}
}

// sampled makes a sample of a refusal. readTexts adds its text.
func (r *refusal) sampled() sample {
	return sample{Evidence: Evidence{Source: r.Source, Offset: r.offset, Time: r.at.time(), Text: r.Template}, template: r.Template, provider: r.provider, relayIP: r.RelayIP}
}

// ref returns the Ref of the sample's attempt.
func (s *sample) ref() store.Ref {
	return store.Ref{Time: s.Time.Unix(), Source: s.Source, Offset: s.Offset}
}

// setText fills the sample from the text of the attempt.
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

// unsampled returns the first refusal of an incident in the period if no sample is of its kind: of the
// reason that gives an incident its name, if any is.
func (in *incident) unsampled() *refusal {
	if len(in.samples) == 0 {
		return in.refusals[0]
	}
	if !in.named() {
		return nil
	}
	is := func(t *traits) bool { return t.Reason == in.keys[0].reason && t.Template != "" } // see bounded
	templates := map[string]bool{}
	for _, c := range countTraits(in.refusals) {
		if is(c.traits) {
			templates[c.Template] = true
		}
	}
	i := slices.IndexFunc(in.refusals, func(r *refusal) bool { return is(r.traits) })
	if i < 0 || slices.ContainsFunc(in.samples, func(x sample) bool { return templates[x.template] }) {
		return nil
	}
	return in.refusals[i]
}

// readTexts reads the texts of the incidents' samples, and adds those that are missing.
func readTexts(ctx context.Context, s store.Reader, incidents []*incident) error {
	added := 0
	var refs []store.Ref
	index := map[store.Ref]int{} // index in refs, from 1
	for _, in := range incidents {
		if r := in.unsampled(); r != nil {
			in.samples = slices.Insert(in.samples, 0, r.sampled())
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

// dropRelays removes relay addresses from the addresses that the replies name as ours. A relay is
// any address that received mail before the end of f's period. A remote host may name any address.
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

// between returns the refusals in [since, until) of a list in the order of time. The result shares
// the memory of the list, without room to append.
func between(list []*refusal, since, until moment) []*refusal {
	byTime := func(r *refusal, t moment) int { return cmp.Compare(r.at, t) }
	from, _ := slices.BinarySearchFunc(list, since, byTime)
	to, _ := slices.BinarySearchFunc(list, until, byTime)
	return slices.Clip(list[from:to])
}

// sortByTime sorts refusals by time, stably. The input consists of a few consecutive sorted lists,
// which are merged in pairs; a sorted input costs one pass.
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

// mergeByTime merges a and b, in the order of time, into out, which has the length of both.
func mergeByTime(out, a, b []*refusal) {
	for i := range out {
		if len(b) == 0 || len(a) > 0 && a[0].at <= b[0].at {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
}

// splitByGap sorts refusals and splits them at each gap of at least the given duration.
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

// A counter counts distinct values of refusals. It is an open hash table that reuses its memory:
// maps took a third of the time of a search with many refusals.
type counter struct{ slots []uint64 } // 0: free

// count returns the number of distinct values. of returns the value of one refusal, and whether it
// counts.
func (c *counter) count(list []*refusal, of func(*refusal) (value uint64, ok bool)) (n int) {
	c.each(list, of, func(*refusal) { n++ })
	return n
}

// each calls do with the first refusal of each distinct value.
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

// The functions that select the values for a counter.
func validRecipient(r *refusal) (uint64, bool) { return r.recipient, r.valid }
func anyRecipient(r *refusal) (uint64, bool)   { return r.recipient, true }
func anyMessage(r *refusal) (uint64, bool)     { return r.message, true }
func lateMessage(r *refusal) (uint64, bool)    { return r.message, !r.soon || r.expired }
func lastingMessage(r *refusal) (uint64, bool) { return r.message, !r.mended || r.expired }
func lostMessage(r *refusal) (uint64, bool)    { return r.message, r.hard || r.expired }
func harmedMessage(r *refusal) (uint64, bool)  { return r.message, r.hard || r.expired || !r.reached }

// traitCount counts the refusals with the same traits.
type traitCount struct {
	*traits
	n int
}

// countTraits counts refusals by their traits, in the order of first appearance. A hundred thousand
// refusals have only a few thousand traits, so properties of the traits are evaluated on this list.
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

// distinctTraits returns the distinct values of traits in order, without "", at most setSize. The
// result is never nil, so that JSON has a list.
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

func domainsOfTraits(counts []traitCount) []string {
	return distinctTraits(counts, func(c traitCount) string { return c.RecipientDomain })
}

func templatesOf(counts []traitCount) []string {
	return distinctTraits(counts, func(c traitCount) string { return c.Template })
}

// commonest returns the most frequent value of the refusals; among equals the smallest. The zero
// value does not count.
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
