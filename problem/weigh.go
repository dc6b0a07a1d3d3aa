package problem

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// An incident is refusals that probably have one cause.
type incident struct {
	level   string
	keys    []string
	named   bool
	forward bool
	spam    bool   // forwarded, and refused for what it is
	hits    []*hit // in the period
	all     []*hit // from its beginning
	past    []*hit // on the same piles, before it began
	samples []sample
	joined  []*incident // that have become part of it
	froms   map[string]bool
	streams []int // which histories tell what was delivered

	began, until moment // first and last refusal; began may lie before the period

	before, onset *Tried
	ongoing       bool
	taken         int    // messages of its senders taken after the last refusal
	endedAt       moment // the first of them
	others        int    // sender domains without a refusal whose mail was taken meanwhile
}

// weigh makes incidents of the piles: of those that name a cause, of those that
// stand out from what was delivered, and of what is left.
func (g *gathering) weigh(ctx context.Context, s store.Reader) ([]*incident, error) {
	var named []*incident
	for _, p := range sortedPiles(g.named) {
		for _, part := range chains(p.hits, g.o.Quiet()) {
			level := Confirmed
			if p.forward {
				level = Watch // our forwarding, not our mail
			}
			if in := g.incident(level, p, part); in != nil {
				in.forwardedSpam(p)
				named = append(named, in)
			}
		}
	}
	named = merge(named, g.o.Window, false)

	pairs, providers := g.candidates()
	streams := g.streams(named, pairs, providers)
	histories, err := s.Delivered(ctx, streams, deliveriesRead)
	if err != nil {
		return nil, err
	}

	var likely []*incident
	used := map[*pile][]bool{} // hits that are in an incident
	for _, c := range slices.Concat(pairs, providers) {
		if c.stream >= len(histories) || c.stream < 0 {
			continue
		}
		c.leaveOut(used)
		for _, run := range g.runs(c, &histories[c.stream]) {
			if in := g.incident(Likely, c.pile, c.take(run, used)); in != nil {
				in.streams = []int{c.stream}
				likely = append(likely, in)
			}
		}
	}
	likely = merge(likely, g.o.Window, true)

	all := slices.Concat(named, likely)
	for _, in := range all {
		g.measure(in, histories)
	}
	return append(all, g.watched(used)...), nil
}

func sortedPiles(piles map[string]*pile) []*pile {
	list := make([]*pile, 0, len(piles))
	for _, key := range slices.Sorted(maps.Keys(piles)) {
		list = append(list, piles[key])
	}
	return list
}

// incident makes one of some hits of a pile, both in the order of time; nil where none is
// in the period.
func (g *gathering) incident(level string, p *pile, hits []*hit) *incident {
	if len(hits) == 0 {
		return nil
	}
	in := &incident{
		level: level, keys: []string{p.key}, named: p.named, forward: p.forward,
		began: hits[0].at, until: hits[len(hits)-1].at, all: hits,
	}
	if in.hits = between(hits, g.since, g.until); len(in.hits) == 0 {
		return nil
	}
	in.past = between(p.hits, in.began.add(-g.o.Past)+1, in.began)
	for _, s := range p.samples {
		if at := momentOf(s.Time); at >= in.began && at <= in.until && g.inPeriod(at) {
			in.samples = append(in.samples, s)
		}
	}
	return in
}

// forwardedSpam marks an incident of a bad reputation in which all that was refused is
// forwarded mail: what others sent is judged, and not what is sent from here.
func (in *incident) forwardedSpam(p *pile) {
	if in.hits[0].Reason != bounce.Reputation || len(in.hits) < 2 || slices.ContainsFunc(in.all, func(h *hit) bool { return !h.Forwarded }) {
		return
	}
	in.forward, in.spam, in.level = true, true, Likely
	in.keys = []string{p.key + " forwarded"}
}

// merge makes one of incidents that have the provider in common (or the sender
// domain too, where across is set) and began within a window of each other; or where
// the one goes on when the other begins, and is about so many sender domains
// already that it is nobody's own.
func merge(list []*incident, window time.Duration, across bool) []*incident {
	for { // two that have become larger may have something in common now
		n := len(list)
		if list = mergeOnce(list, window, across); len(list) == n {
			return list
		}
	}
}

func mergeOnce(list []*incident, window time.Duration, across bool) []*incident {
	slices.SortStableFunc(list, func(a, b *incident) int { return cmp.Compare(a.began, b.began) })
	var out []*incident
	at := map[string][]*incident{} // by what they have in common
	common := func(kinds []kind) (keys []string) {
		for _, p := range tracked(kinds, func(k kind) string { return k.provider }) {
			keys = append(keys, "at "+p)
		}
		if across {
			for _, s := range senders(kinds) {
				keys = append(keys, "from "+s)
			}
		}
		return keys
	}
next:
	for _, in := range list {
		reason := in.hits[0].Reason
		kinds := kinds(in.hits)
		keys := common(kinds)
		in.froms = map[string]bool{}
		for _, k := range kinds {
			in.froms[k.SenderDomain] = true
		}
		if !in.forward && (!in.named || reason == bounce.AuthFailure) {
			for _, key := range keys {
				for _, t := range at[key] {
					if in.began.sub(t.began) < window || in.began <= t.until && len(t.froms) >= manySenders {
						t.join(in)
						for _, k := range keys {
							if !slices.Contains(at[k], t) {
								at[k] = append(at[k], t)
							}
						}
						continue next
					}
				}
			}
			for _, key := range keys {
				at[key] = append(at[key], in)
			}
		}
		out = append(out, in)
	}
	for _, in := range out {
		in.gatherJoined()
	}
	return out
}

// gatherJoined takes over what the joined incidents hold.
func (in *incident) gatherJoined() {
	if len(in.joined) == 0 {
		return
	}
	var hits, all, past int
	for _, j := range in.joined {
		hits, all, past = hits+len(j.hits), all+len(j.all), past+len(j.past)
	}
	in.hits, in.past = slices.Grow(in.hits, hits), slices.Grow(in.past, past)
	in.all = append(make([]*hit, 0, len(in.all)+all), in.all...)
	for _, j := range in.joined {
		in.hits = append(in.hits, j.hits...)
		in.all = append(in.all, j.all...)
		in.past = append(in.past, j.past...)
		in.samples = append(in.samples, j.samples...)
	}
	in.joined = nil
	inOrder(in.hits)
	sortSamples(in.samples)
}

func sortSamples(list []sample) {
	slices.SortStableFunc(list, func(a, b sample) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset))
	})
}

func (in *incident) join(other *incident) {
	maps.Copy(in.froms, other.froms)
	in.keys = append(in.keys, other.keys...)
	in.joined = append(in.joined, other)
	for _, f := range other.streams {
		if !slices.Contains(in.streams, f) {
			in.streams = append(in.streams, f)
		}
	}
	in.until = max(in.until, other.until)
}

// A candidate is a pile that may be a likely incident: of one sender domain at one
// provider, or of all of them there.
type candidate struct {
	*pile
	of     []*pile // where it is made of others'
	from   []int   // which of them each hit is from
	nth    []int   // and which hit of it
	stream int     // -1: not weighed
}

// candidates are the piles that reach the thresholds of recipients and messages,
// those that stand out most first.
func (g *gathering) candidates() (pairs, providers []*candidate) {
	var seen counter
	enough := func(hits []*hit) bool {
		return len(hits) >= g.o.Recipients && seen.count(hits, ofValid) >= g.o.Recipients && seen.count(hits, ofMessage) >= g.o.Messages
	}
	together := map[string]*candidate{}
	for _, p := range sortedPiles(g.pairs) {
		inOrder(p.hits)
		if enough(p.hits) {
			c := &candidate{pile: p, of: []*pile{p}, stream: -1}
			for i := range p.hits {
				c.from, c.nth = append(c.from, 0), append(c.nth, i)
			}
			pairs = append(pairs, c)
		}
		key := p.provider + "/" + p.domain
		c := together[key]
		if c == nil {
			c = &candidate{pile: &pile{key: "any " + key, provider: p.provider, domain: p.domain}, stream: -1}
			together[key] = c
		}
		for i := range p.hits {
			c.from, c.nth = append(c.from, len(c.of)), append(c.nth, i)
		}
		c.of = append(c.of, p)
		c.hits = append(c.hits, p.hits...)
		c.samples = append(c.samples, p.samples...)
	}
	for _, key := range slices.Sorted(maps.Keys(together)) {
		if c := together[key]; len(c.of) > 1 && enough(c.hits) {
			order := make([]int, len(c.hits))
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.hits[a].at, c.hits[b].at) })
			hits, from, nth := make([]*hit, len(order)), make([]int, len(order)), make([]int, len(order))
			for i, j := range order {
				hits[i], from[i], nth[i] = c.hits[j], c.from[j], c.nth[j]
			}
			c.hits, c.from, c.nth = hits, from, nth
			providers = append(providers, c)
		}
	}
	for _, list := range [...][]*candidate{pairs, providers} {
		score := make(map[*candidate]float64, len(list))
		for _, c := range list {
			_, _, score[c] = burst(c.hits, g.o.Past)
		}
		slices.SortStableFunc(list, func(a, b *candidate) int { return cmp.Compare(score[b], score[a]) })
	}
	return pairs[:min(len(pairs), weighedAtMost)], providers[:min(len(providers), weighedAtMost)]
}

// leaveOut drops the hits that are in an incident already.
func (c *candidate) leaveOut(used map[*pile][]bool) {
	if c.sender != "" {
		return // it comes first, and its hits are the pile's own
	}
	n := 0
	for i := range c.hits {
		if u := used[c.of[c.from[i]]]; u != nil && u[c.nth[i]] {
			continue
		}
		c.hits[n], c.from[n], c.nth[n] = c.hits[i], c.from[i], c.nth[i]
		n++
	}
	c.hits, c.from, c.nth = c.hits[:n], c.from[:n], c.nth[:n]
}

// A run is a stretch of time in which refusals stand out.
type run struct{ since, until moment }

// take marks the hits of a run as used.
func (c *candidate) take(r run, used map[*pile][]bool) (hits []*hit) {
	for i, h := range c.hits {
		if h.at < r.since || h.at > r.until {
			continue
		}
		p := c.of[c.from[i]]
		if used[p] == nil {
			used[p] = make([]bool, len(p.hits))
		}
		if !used[p][c.nth[i]] {
			used[p][c.nth[i]] = true
			hits = append(hits, h)
		}
	}
	return hits
}

// streams says what is to be read of what was delivered: for the candidates, since
// they depend on it, then for the incidents that are there already.
func (g *gathering) streams(named []*incident, pairs, providers []*candidate) (streams []store.Stream) {
	index := map[string]int{}
	for _, c := range slices.Concat(pairs, providers) {
		key := c.provider + "/" + c.domain
		i, ok := index[key]
		if !ok {
			if len(index) >= weighedAtMost {
				continue
			}
			i = len(streams)
			index[key] = i
			f := store.Stream{Relays: []string{c.provider}, Span: store.Span{First: c.hits[0].at.add(-g.o.Past).time(), Last: g.last.time()}}
			if c.domain != "" {
				f.Relays, f.Domains = nil, []string{c.domain}
			}
			streams = append(streams, f)
		}
		c.stream = i
		f := &streams[i]
		if since := c.hits[0].at.add(-g.o.Past).time(); since.Before(f.First) {
			f.First = since
		}
		since, until, _ := burst(c.hits, g.o.Past)
		for _, at := range [...]moment{since, until, c.hits[len(c.hits)-1].at} {
			t := at.time()
			if len(f.Around) < 8 && !slices.Contains(f.Around, t) {
				f.Around = append(f.Around, t)
			}
		}
	}
	for _, in := range named {
		f := store.Stream{Span: store.Span{First: in.began.add(-g.o.Past).time(), Last: g.last.time()}, Around: []time.Time{in.began.time(), in.until.time()}}
		for _, k := range kinds(in.hits) {
			list, name := &f.Relays, k.provider
			if k.unnamed {
				list = &f.Domains
			}
			if !slices.Contains(*list, name) {
				*list = append(*list, name)
			}
			if len(f.Relays)+len(f.Domains) > streamProviders {
				break
			}
		}
		if len(f.Relays)+len(f.Domains) <= streamProviders && len(streams) < 2*weighedAtMost {
			in.streams = []int{len(streams)}
			streams = append(streams, f)
		}
	}
	return streams
}

// burst is where hits come closer together than they do over the past: its first and
// its last, and how much it stands out. What was delivered is not known yet.
func burst(hits []*hit, past time.Duration) (since, until moment, score float64) {
	span := max(hits[len(hits)-1].at.sub(hits[0].at), past)
	usual := float64(span) / float64(len(hits)) / 4
	sum, start := 0.0, 0
	for i := range hits {
		if i > 0 {
			sum -= float64(hits[i].at.sub(hits[i-1].at)) / usual
		}
		if sum <= 0 {
			sum, start = 0, i
		}
		if hits[i].valid {
			sum++
		}
		if sum > score || i == 0 {
			since, until, score = hits[start].at, hits[i].at, sum
		}
	}
	return since, until, score
}

// An event is a message that was taken or refused.
type event struct {
	at         moment
	last       moment // refusal of it
	refused    bool
	recipients int
}

// timeline is what became of the messages in a stretch of time. One of which a
// recipient was refused counts as refused, whatever became of the others.
func timeline(hits []*hit, deliveries []store.Delivered, sender string, p store.Span) []event {
	var events []event
	since, until := momentOf(p.First), momentOf(p.Last)
	within := func(h *hit) bool { return h.at >= since && h.at <= until }
	n := 0
	for _, h := range hits {
		if within(h) {
			n++
		}
	}
	seen := make(map[uint64]int, n) // which event it is, from 1
	type pair struct{ message, recipient uint64 }
	counted := make(map[pair]bool, n)
	for _, h := range hits {
		if !within(h) {
			continue
		}
		if seen[h.message] == 0 {
			events = append(events, event{at: h.at, refused: true})
			seen[h.message] = len(events)
		}
		events[seen[h.message]-1].last = h.at
		if who := (pair{h.message, h.recipient}); !counted[who] {
			counted[who] = true
			events[seen[h.message]-1].recipients++
		}
	}
	for i := range deliveries {
		d := &deliveries[i]
		if sender != "" && d.SenderDomain != sender {
			continue
		}
		at := momentOf(d.Time)
		if at < since || at > until {
			continue
		}
		n := seen[d.Message]
		if n == 0 {
			events = append(events, event{at: at})
			n = len(events)
			seen[d.Message] = n
		}
		if !events[n-1].refused {
			events[n-1].recipients++
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

// runs finds where a candidate's refusals stand out from what was delivered.
func (g *gathering) runs(c *candidate, history *store.History) (found []run) {
	if len(c.hits) < g.o.Recipients || c.sender == "" && len(senders(kinds(c.hits))) < 2 {
		return nil
	}
	for _, p := range history.Covered {
		events := timeline(c.hits, history.Deliveries, c.sender, p)
		for _, r := range g.search(c, events, 0, len(events), segmentsAtMost) {
			r.until = lasts(c.hits, r, g.o.Quiet(), events, p)
			found = append(found, r)
		}
	}
	return found
}

// lasts is the last refusal of a run: also of a message that is in it already, and
// where what was read ends with the run, the last without a window between; after
// that nothing is known.
func lasts(hits []*hit, r run, quiet time.Duration, events []event, p store.Span) moment {
	in := map[uint64]bool{}
	until := r.until
	open := events[len(events)-1].at <= r.until
	end := momentOf(p.Last)
	for i := range hits {
		h := hits[i]
		switch {
		case h.at < r.since:
		case h.at <= r.until:
			in[h.message] = true
		case in[h.message], open && h.at > end && h.at.sub(until) < quiet:
			until = h.at
		}
	}
	return until
}

// search looks for runs in events[lo:hi].
func (g *gathering) search(c *candidate, events []event, lo, hi, depth int) []run {
	i, j := steepest(events[lo:hi])
	if i == j || depth == 0 {
		return nil
	}
	i, j = i+lo, j+lo
	r, ok := g.stands(c, events, i, j, float64(len(events))/float64(j-i))
	if !ok {
		r, ok = g.window(c, events, lo, hi)
	}
	if !ok {
		return nil
	}
	end := j
	for end < hi && events[end].at <= r.until {
		end++
	}
	start := i
	for start > lo && events[start-1].at >= r.since {
		start--
	}
	return slices.Concat(g.search(c, events, lo, start, depth-1), []run{r}, g.search(c, events, end, hi, depth-1))
}

// steepest is the stretch events[i:j] in which refusals stand out most: the
// greatest sum of log-likelihood ratios, of one in four refused to what is usual
// here. It is empty where nothing is refused.
func steepest(events []event) (i, j int) {
	const fault = 0.25
	refused := 0
	for _, e := range events {
		if e.refused {
			refused++
		}
	}
	if refused == 0 {
		return 0, 0
	}
	usual := min(float64(refused)/float64(len(events)+1), 0.05)
	up, down := math.Log(fault/usual), math.Log((1-fault)/(1-usual))
	best, sum, start := 0.0, 0.0, 0
	for k, e := range events {
		if sum <= 0 {
			sum, start = 0, k
		}
		if e.refused {
			sum += up
		} else {
			sum += down
		}
		if sum > best {
			best, i, j = sum, start, k+1
		}
	}
	return i, j
}

// stands tells whether events[i:j] are a fault: enough of the messages, enough
// recipients known to be valid before, and new against the past. tries is among how
// many stretches this one was picked, which makes chance likelier.
func (g *gathering) stands(c *candidate, events []event, i, j int, tries float64) (r run, ok bool) {
	var now, past sum
	for _, e := range events[i:j] {
		now.add(e)
		if e.refused {
			if r.since == 0 {
				r.since = e.at
			}
			r.until = max(r.until, e.last)
		}
	}
	if now.refused < g.o.Messages || float64(now.refused) < g.o.Share*float64(now.n) {
		return r, false
	}
	for h := i - 1; h >= 0 && r.since.sub(events[h].at) < g.o.Past; h-- {
		past.add(events[h])
	}
	if g.o.Chance < 1 {
		if past.n == past.refused { // the log may have started inside the fault
			return r, false
		}
		chance := tries * tail(now.refused, now.n, (float64(past.refused)+0.5)/(float64(past.n)+1))
		if past.n < shortPast && past.refused == 0 {
			// A few messages prove little, but their recipients do. So reckoned, three
			// who took mail and then are all refused are just enough.
			chance = min(chance, tail(now.refusedWeight, now.weight, 0.3/(float64(past.weight)+1)))
		}
		if chance >= g.o.Chance {
			return r, false
		}
	}
	return r, g.enough(c.hits, r)
}

// enough tells whether in some window of a run there are the recipients, known to be
// valid before the run began, and the messages.
func (g *gathering) enough(hits []*hit, r run) bool {
	recipients, messages := map[uint64]int{}, map[uint64]int{}
	count := func(set map[uint64]int, key uint64, by int) {
		if set[key] += by; set[key] == 0 {
			delete(set, key)
		}
	}
	change := func(h *hit, by int) {
		count(messages, h.message, by)
		if h.before != 0 && h.before < r.since {
			count(recipients, h.recipient, by)
		}
	}
	first := -1
	for i := range hits {
		if hits[i].at < r.since || hits[i].at > r.until {
			continue
		}
		if first < 0 {
			first = i
		}
		change(hits[i], 1)
		for hits[i].at.sub(hits[first].at) >= g.o.Window {
			change(hits[first], -1)
			first++
		}
		if len(recipients) >= g.o.Recipients && len(messages) >= g.o.Messages {
			return true
		}
	}
	return false
}

// shortPast is below how many messages the past is told by their recipients.
const shortPast = 20

// A sum is of events: the messages, and their recipients, of whom no message counts
// more than three, since they are refused together.
type sum struct{ n, refused, weight, refusedWeight int }

func (s *sum) add(e event) {
	w := min(e.recipients, 3)
	s.n++
	s.weight += w
	if e.refused {
		s.refused++
		s.refusedWeight += w
	}
}

// window looks for a whole window (a day) that stands out by itself, as a fault does
// that hits a part of the mail, evenly.
func (g *gathering) window(c *candidate, events []event, lo, hi int) (r run, ok bool) {
	windows := 1 + float64(events[len(events)-1].at.sub(events[0].at))/float64(g.o.Window)
	i := lo
	for j := lo; j < hi; j++ {
		for events[j].at.sub(events[i].at) >= g.o.Window {
			i++
		}
		if !events[j].refused {
			continue
		}
		if one, stands := g.stands(c, events, i, j+1, windows); stands {
			if !ok {
				r, ok = one, true
			}
			r.until = one.until
		} else if ok && events[j].at.sub(r.until) >= g.o.Window {
			break
		}
	}
	return r, ok
}

// tail is the probability of k or more of n where each has the probability p.
func tail(k, n int, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	term := math.Exp(lg(n) - lg(k) - lg(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += term
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
		if term < sum*1e-9 && float64(i) > float64(n)*p {
			break
		}
	}
	return min(sum, 1)
}

// measure counts what was tried before an incident began, while it lasted, and
// after its last refusal.
func (g *gathering) measure(in *incident, histories []store.History) {
	in.ongoing = g.last.sub(in.until) < g.o.Quiet()
	if len(in.streams) == 0 {
		return
	}
	from := map[string]bool{}
	for _, k := range kinds(in.hits) {
		from[k.SenderDomain] = true
	}
	var own []store.Delivered
	others := map[string]bool{}
	began, until := in.began.time(), in.until.time()
	at, ok := covered(in.streams, histories, began)
	end, endOK := covered(in.streams, histories, until)
	for _, f := range in.streams {
		for _, d := range histories[f].Deliveries {
			if from[d.SenderDomain] {
				own = append(own, d)
			} else if d.SenderDomain != "" && !d.Time.Before(began) && !d.Time.After(until) {
				others[d.SenderDomain] = true
			}
		}
	}
	in.others = len(others)
	count := func(hits []*hit, since, until time.Time) *Tried {
		t := &Tried{Since: since, Until: until}
		for _, e := range timeline(hits, own, "", store.Span{First: since, Last: until}) {
			t.Tried++
			if e.refused {
				t.Refused++
			}
		}
		return t
	}
	if ok {
		since := began.Add(-g.o.Past)
		if at.First.After(since) {
			since = at.First
		}
		if until := began.Add(-time.Second); since.Before(until) {
			in.before = count(in.past, since, until) // the others came later
		}
		if at.Last.Before(until) {
			until = at.Last
		}
		in.onset = count(slices.Concat(in.past, in.all), began, until)
	}
	if !endOK {
		return
	}
	seen := map[uint64]bool{}
	for _, d := range own {
		t := momentOf(d.Time)
		if t <= in.until || d.Time.After(end.Last) || t > g.last {
			continue
		}
		if in.endedAt == 0 || t < in.endedAt {
			in.endedAt = t
		}
		seen[d.Message] = true
	}
	in.taken = len(seen)
	// As many taken in a row would be rare, were it still going on.
	share := 0.5
	if in.onset != nil && in.onset.Tried > 0 {
		share = min(float64(in.onset.Refused)/float64(in.onset.Tried), 0.9)
	}
	if math.Pow(1-share, float64(in.taken)) < 0.01 {
		in.ongoing = false
	} else {
		in.endedAt = 0
	}
}

// covered is the stretch around t that was read in all of some streams.
func covered(streams []int, histories []store.History, t time.Time) (p store.Span, ok bool) {
	for n, f := range streams {
		found := false
		for _, r := range histories[f].Covered {
			if t.Before(r.First) || t.After(r.Last) {
				continue
			}
			found = true
			if n == 0 || r.First.After(p.First) {
				p.First = r.First
			}
			if n == 0 || r.Last.Before(p.Last) {
				p.Last = r.Last
			}
		}
		if !found {
			return p, false
		}
	}
	return p, len(streams) > 0
}

// watched makes incidents of what is left: refusals of recipients known to be
// valid, by provider.
func (g *gathering) watched(used map[*pile][]bool) (out []*incident) {
	byProvider := map[string]*pile{}
	for _, p := range sortedPiles(g.pairs) {
		key := "watch " + p.provider + "/" + p.domain
		to := byProvider[key]
		if to == nil {
			to = &pile{key: key}
			byProvider[key] = to
		}
		for i, h := range p.hits {
			if h.valid && (used[p] == nil || !used[p][i]) && g.inPeriod(h.at) {
				to.hits = append(to.hits, h)
			}
		}
		if len(to.samples) < samplesAtMost {
			to.samples = append(to.samples, p.samples...)
		}
	}
	for _, p := range sortedPiles(byProvider) {
		sortSamples(p.samples)
		for _, part := range chains(p.hits, g.o.Quiet()) {
			if in := g.incident(Watch, p, part); in != nil {
				in.ongoing = g.last.sub(in.until) < g.o.Quiet()
				out = append(out, in)
			}
		}
	}
	return out
}
