package problem

import (
	"cmp"
	"context"
	"hash/maphash"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/store"
)

// A key identifies the subject of a stream, an incident or an outage. An empty field matches any
// value.
type key struct {
	what      subject
	reason    bounce.Reason // of a named stream
	detail    string        // the blocklist; the cause of an outage
	sender    string        // sender domain; login or client of a flood
	provider  string
	domain    string // recipient domain, if each customer of the provider has its own rules
	forwarded bool   // only forwarded mail
}

// A subject is the kind of subject that a key identifies.
type subject uint8

const (
	namedStream  subject = iota + 1
	silentStream         // one sender domain, one provider
	sharedStream         // all silent streams of a provider, of a sender domain, or of one at a hosted filter
	watchedRest          // the refusals at a provider that no incident claims
	outageOf
	floodOf
	unreached // see Unreached
)

// String returns the text of the key that the Announcer stores. Different keys have different
// texts.
func (k key) String() string {
	at := k.provider
	if k.domain != "" || k.what != silentStream {
		at += "/" + k.domain
	}
	switch k.what {
	case silentStream:
		return k.sender + " " + at
	case sharedStream:
		switch {
		case k.sender != "" && k.provider != "":
			return "from " + k.sender + " at " + k.provider
		case k.sender != "":
			return "from " + k.sender
		}
		return "any " + at
	case watchedRest:
		return "watch " + at
	case outageOf:
		if k.sender != "" { // see unowned.go
			return "outage " + k.detail + " " + k.sender
		}
		return "outage " + k.detail
	case floodOf:
		return "flood " + k.sender
	case unreached:
		return "unreached " + k.provider
	}
	text := k.reason.String()
	switch {
	case k.reason == bounce.AuthFailure && !k.forwarded, k.reason == bounce.SenderRejected:
		text += " " + k.sender
	case k.reason == bounce.Blocklist:
		text += " " + k.detail
	case k.reason == bounce.Reputation, ofContent(k.reason):
		text += " " + k.provider
		if k.sender != "" {
			text += " " + k.sender + " " + k.domain
		}
	}
	if k.forwarded {
		text += " forwarded"
		if k.reason == bounce.AuthFailure && k.detail != "" { // see lostRewriting
			text += " " + k.detail
		}
	}
	return text
}

// A stream is a list of refusals that may have one cause, in the order of time.
type stream struct {
	key       key
	n         int    // number of refusals, before they are assigned
	last      moment // last refusal
	dropped   bool   // see dropStreams
	refusals  []*refusal
	samples   []sample
	templates map[string]bool // templates with a sample
	history   int             // index of the history for comparison; -1: none
}

func newStream(k key) *stream { return &stream{key: k, templates: map[string]bool{}, history: -1} }

// sorted returns streams in the order of their keys' texts.
func sorted(streams map[key]*stream) []*stream {
	byText := make(map[string]*stream, len(streams))
	for k, s := range streams {
		byText[k.String()] = s
	}
	list := make([]*stream, 0, len(streams))
	for _, text := range slices.Sorted(maps.Keys(byText)) {
		list = append(list, byText[text])
	}
	return list
}

// count counts a refusal that will be in the stream, and makes a sample of it if its wording is
// new. A named stream takes fewer and fewer samples of further wordings. Most silent streams stay
// small and are never shown, so their first two refusals are no samples (see readTexts).
func (s *stream) count(r *refusal) {
	s.n++
	s.last = r.at
	named := s.key.what == namedStream
	if !named && s.n < 3 || len(s.samples) >= samplesKept {
		return
	}
	if s.templates[r.Template] && (s.n&(s.n-1) != 0 || !named && s.n < 64) {
		return
	}
	s.templates[r.Template] = true
	s.samples = append(s.samples, r.sampled())
}

// A refusalSearch holds the refusals of a period and of its past, by stream.
type refusalSearch struct {
	s store.Reader
	f store.Filter
	o Thresholds

	floods *floodSearch // whose refusals are left out

	since, until moment // the period; until is exclusive
	from         moment // start of the refusals that were read
	first        moment // time of the first attempt in the store
	last         moment // time of the last attempt in the store, or the end of the period
	end          moment // see newest.end

	named, silent map[key]*stream
	traits        map[*store.Traits]*traits
	coarse        map[coarse]*traits
	hosts         map[string]string // by recipient domain: see findProvider; "": not known
	slabs         [][]refusal       // all refusals; those of store.Suspect first, in the order of time; only the last slab has room
	n             int               // number of refusals in slabs
	seed          maphash.Seed

	retries map[[2]uint64]int // 4xx replies so far, by message and recipient; nil when all are read

	sendersAsked int                      // see refusedMostly
	originsAsked int                      // see ofOneOrigin
	taken        map[string]map[int]int64 // messages taken, by sender domain and day; nil: not read yet

	relay      string // the provider that most mail goes through, once relayKnown; "": none
	relayKnown bool
}

// readRefusals reads the refusals that match f, and the past refusals for comparison. It returns
// nil if f selects none or the store is empty.
func readRefusals(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, seed maphash.Seed, reached *reached, floods *floodSearch) (*refusalSearch, error) {
	if _, ok := f.Restrict(refusedReasons); !ok {
		return nil, nil
	}
	x := &refusalSearch{
		s: s, f: f, o: o, floods: floods, since: math.MinInt64, until: math.MaxInt64, from: math.MinInt64,
		named: map[key]*stream{}, silent: map[key]*stream{}, traits: map[*store.Traits]*traits{}, coarse: map[coarse]*traits{}, hosts: map[string]string{},
		seed: seed, retries: map[[2]uint64]int{},
	}
	all, err := s.Span(ctx, store.Filter{})
	if err != nil || all.IsZero() {
		return nil, err
	}
	x.first, x.last = momentOf(all.First), momentOf(all.Last)
	if !f.Until.IsZero() {
		x.until = momentOf(f.Until)
		x.last = min(x.last, x.until)
	}
	if !f.Since.IsZero() {
		x.since = momentOf(f.Since)
		f.Since = f.Since.Add(-o.Past)
		x.from = momentOf(f.Since)
	}
	for _, reasons := range [...][]bounce.Reason{store.Suspect, {bounce.SenderRejected, bounce.ContentRejected}} { // a store may keep the first group separately
		if f, ok := f.Restrict(reasons); ok {
			if err := x.read(ctx, f, reached); err != nil {
				return nil, err
			}
		}
	}
	// The words of other replies suggest a reason that is not the sender's; to this search they name
	// no cause.
	if f, ok := f.Restrict(addressReasons); ok {
		f.Guesses = true
		if err := x.read(ctx, f, reached); err != nil {
			return nil, err
		}
	}
	x.retries = nil
	x.assign()
	return x, nil
}

// addressReasons are the reasons of the other refusals.
var addressReasons = bounce.Reasons(func(r bounce.Reason) bool { return !slices.Contains(refusedReasons, r) })

// refusedReasons are the reasons of the refusals that a search reads.
var refusedReasons = bounce.Reasons(func(r bounce.Reason) bool { return r.RefusesSender() || r == bounce.ContentRejected })

// read adds the refusals that f selects to their streams.
func (x *refusalSearch) read(ctx context.Context, f store.Filter, reached *reached) (err error) {
	if f.Since, err = newestKept(ctx, x.s, f); err != nil {
		return err
	}
	x.from = max(x.from, momentOf(f.Since))
	part := make([]store.Refusal, 0, refusalsAtOnce)
	for r, err := range x.s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		reached.note(r)
		if r.NullSender || r.Untried || r.Detail == "receiver-dnsbl-error" || r.Detail == judge.DetailContentFilter {
			// This skips four kinds. Notifications of this server go to any address that a spammer
			// forged. A blocklist that refuses the receiver's resolver lists nobody. If no host
			// answered, the previous attempt is the evidence. This server's own filter is no
			// receiver (see outage.go).
			continue
		}
		if part = append(part, *r); len(part) < cap(part) {
			continue
		}
		if err := x.addAll(ctx, part); err != nil {
			return err
		}
		part = part[:0]
	}
	return x.addAll(ctx, part)
}

// newestKept returns f.Since, or the start of the hour since which at most refusalsKept failed
// attempts match f. To read more costs seconds, and dropOldest would drop the excess. It queries
// only counts by time and reason, which cost next to nothing; dropOldest enforces the limit in any
// case.
func newestKept(ctx context.Context, s store.Reader, f store.Filter) (time.Time, error) {
	if !f.Everybody() {
		return f.Since, nil
	}
	hours := f // whole hours are counted already
	if !f.Since.IsZero() {
		hours.Since = f.Since.Truncate(time.Hour)
	}
	if !f.Until.IsZero() {
		hours.Until = f.Until.Truncate(time.Hour).Add(time.Hour)
	}
	cells, err := s.Count(ctx, hours, store.ByHour)
	if err != nil {
		return f.Since, err
	}
	slices.SortFunc(cells, func(a, b store.Cell) int { return strings.Compare(b.Keys[0], a.Keys[0]) })
	n := int64(0)
	for i := range cells {
		if n += cells[i].Soft + cells[i].Hard; n <= int64(refusalsKept) {
			continue
		}
		since, err := time.Parse(hourLayout, cells[max(i-1, 0)].Keys[0])
		if err != nil || since.Before(f.Since) {
			return f.Since, nil
		}
		return since, nil
	}
	return f.Since, nil
}

// refusalsAtOnce is the number of refusals added together: their texts are looked up in one query.
const refusalsAtOnce = 512

// addAll adds refusals to their streams.
func (x *refusalSearch) addAll(ctx context.Context, part []store.Refusal) error {
	list := make([]*traits, len(part))
	var refs []store.Ref
	for i := range part {
		c := x.traitsOf(part[i].Traits)
		if c.quotes && !c.smarthost {
			// Only the relay of most mail is trusted: on port 25 a stranger may quote any host.
			if err := x.findRelay(ctx); err != nil {
				return err
			}
			c.quotes = c.provider == x.relay
		}
		if c.noRelay && x.traits[c.Traits] != nil && !c.asked {
			if err := x.findProvider(ctx, c); err != nil {
				return err
			}
		}
		list[i] = c
		if c.smarthost || c.quotes {
			refs = append(refs, part[i].Ref())
		}
	}
	texts, err := x.s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	for i := range part {
		c := list[i]
		if c.smarthost || c.quotes {
			if texts[0] != nil {
				c = c.answeredBy(texts[0].Response)
			}
			texts = texts[1:]
		}
		x.add(&part[i], c)
	}
	return nil
}

// findRelay finds the provider that relays more than half of the mail, if there is one: a smarthost
// that listens on port 25.
func (x *refusalSearch) findRelay(ctx context.Context) error {
	if x.relayKnown {
		return nil
	}
	x.relayKnown = true
	f := x.f
	f.Outcomes, f.Reasons = nil, nil
	relay, err := mostRelayed(ctx, x.s, f)
	x.relay = relay
	return err
}

// mostRelayed returns the provider of the relays of more than half of the attempts that f selects,
// except servers of this side; "" if there is none.
func mostRelayed(ctx context.Context, s store.Reader, f store.Filter) (string, error) {
	cells, err := s.Count(ctx, f, store.ByRelay)
	if err != nil {
		return "", err
	}
	var all int64
	n := map[string]int64{}
	for i := range cells {
		if host := cells[i].Keys[0]; !judge.OwnRelay(host) {
			all += cells[i].Attempts
			n[provider.OfHost(host)] += cells[i].Attempts
		}
	}
	for name, attempts := range n {
		if 2*attempts > all {
			return name, nil
		}
	}
	return "", nil
}

// findProvider finds the provider of refusals whose relay is unknown, such as refusals in the
// greeting. It is the provider that receives most mail to the recipient's domain. So a hosted
// domain counts with its host however it refuses.
func (x *refusalSearch) findProvider(ctx context.Context, c *traits) error {
	c.asked = true
	name, known := x.hosts[c.RecipientDomain]
	if !known {
		if len(x.hosts) >= hostsAsked || c.RecipientDomain == "" {
			return nil
		}
		f := x.f
		f.Outcomes, f.Reasons, f.Since, f.Until, f.Domain = nil, nil, time.Time{}, time.Time{}, c.RecipientDomain
		cells, err := x.s.Count(ctx, f, store.ByRelay)
		if err != nil {
			return err
		}
		n := map[string]int64{}
		for i := range cells {
			if host := cells[i].Keys[0]; !judge.OwnRelay(host) {
				n[provider.OfHost(host)] += cells[i].Attempts
			}
		}
		for host, attempts := range n {
			if name == "" || attempts > n[name] || attempts == n[name] && host < name {
				name = host
			}
		}
		x.hosts[c.RecipientDomain] = name
	}
	if name != "" {
		c.provider, c.noRelay = name, false
	}
	return nil
}

// traitsOf returns the shared traits of refusals with these store traits.
func (x *refusalSearch) traitsOf(t *store.Traits) *traits {
	c := x.traits[t]
	if c == nil {
		c = newTraits(t)
		if len(x.traits) < traitsKept {
			x.traits[t] = c
		}
	}
	return c
}

// bounded returns c. If traitsKept others are known, it returns traits in c's stream without the
// fields for which a flood can invent any number of values; of the providers, only the first are
// kept.
func (x *refusalSearch) bounded(c *traits) *traits {
	if x.traits[c.Traits] != nil || len(x.traits) < traitsKept {
		return c
	}
	k := coarse{c.stream, c.Source, c.SenderDomain, c.provider, c.Outcome, c.Reason}
	if x.coarse[k] == nil && len(x.coarse) >= traitsKept {
		k.provider = ""
	}
	one := x.coarse[k]
	if one == nil {
		one = &traits{stream: c.stream, provider: strings.Clone(k.provider), smarthost: c.smarthost, Traits: &store.Traits{
			Source: strings.Clone(c.Source), SenderDomain: strings.Clone(c.SenderDomain), Outcome: c.Outcome, Code: c.Code, Stage: c.Stage, Forwarded: c.Forwarded, Verdict: c.Verdict,
		}}
		if len(x.coarse) < 2*traitsKept {
			x.coarse[k] = one
		}
	}
	return one
}

// coarse identifies traits that are kept without their details.
type coarse struct {
	stream                   *stream
	source, sender, provider string
	outcome                  bounce.Outcome
	reason                   bounce.Reason
}

// add adds a refusal to its stream, if it has one.
func (x *refusalSearch) add(from *store.Refusal, c *traits) {
	r := x.next()
	*r = refusal{
		traits: c, offset: from.Offset, at: momentOf(from.Time), message: from.Message,
		recipient: x.hash(from.Recipient), address: from.Recipient, hard: from.Outcome == bounce.Hard,
	}
	r.reached = !from.DeliveredAfter.IsZero() && momentOf(from.DeliveredAfter) < x.until
	if !c.smarthost { // the 2xx of a smarthost proves nothing
		if !from.DeliveredBefore.IsZero() && from.Time.Sub(from.DeliveredBefore) < x.o.Valid {
			r.before, r.valid = momentOf(from.DeliveredBefore), true
		}
		r.since = !from.DeliveredAfter.IsZero()
		r.valid = r.valid || r.since
		r.took = r.valid
		r.mended = delayed(from) && !r.hard
		r.soon = r.mended && from.DeliveredAfter.Sub(from.Time) < lateAfter
	}
	if c := x.floods.of(from, c); c != nil {
		c.note(r)
		return
	}
	switch {
	case c.Reason.NamesCause():
	case c.Reason == bounce.SenderRejected && !x.countsSender(from, r):
		return
	case c.Reason == bounce.ContentRejected && !countsRejected(r):
		return
	case c.Reason != bounce.SenderRejected && c.Reason != bounce.ContentRejected && !x.countsSilent(from, r):
		return
	}
	if r.stream == nil || r.stream.dropped { // once for each traits
		r.stream = x.streamOf(c)
	}
	r.stream.count(r)
	r.traits = x.bounded(c)
	if !r.took {
		r.address = "" // only addresses known to be valid are named
	}
	if x.n++; x.n >= refusalsKept {
		x.dropOldest()
	}
}

// dropOldest drops the older half of the refusals.
func (x *refusalSearch) dropOldest() {
	n := len(x.slabs) / 2
	for _, slab := range x.slabs[:n] {
		for i := range slab {
			slab[i].stream.n--
		}
	}
	x.slabs = slices.Delete(x.slabs, 0, n)
	x.n -= n * slabSize
}

// hash returns a number for an address, in this search.
func (x *refusalSearch) hash(address string) uint64 { return maphash.String(x.seed, address) }

// slabSize is the number of refusals allocated together.
const slabSize = 1024

// next returns room for a refusal. The caller keeps it by raising n.
func (x *refusalSearch) next() *refusal {
	if x.n == len(x.slabs)*slabSize {
		x.slabs = append(x.slabs, make([]refusal, slabSize))
	}
	return &x.slabs[x.n/slabSize][x.n%slabSize]
}

// all yields the refusals of each stream in the order of time.
func (x *refusalSearch) all() iter.Seq[*refusal] {
	return func(yield func(*refusal) bool) {
		for i := range x.n {
			if r := &x.slabs[i/slabSize][i%slabSize]; !r.stream.dropped && !yield(r) {
				return
			}
		}
	}
}

// assign distributes the refusals to the streams once the size of each stream is known. All lists
// are parts of one array.
func (x *refusalSearch) assign() {
	for _, streams := range [...]map[key]*stream{x.named, x.silent} {
		for _, s := range streams {
			s.n = 0
		}
	}
	for r := range x.all() { // counted anew: a stream that was dropped and came back has its refusals of before, too
		r.stream.n++
	}
	room := make([]*refusal, x.n)
	for _, streams := range [...]map[key]*stream{x.named, x.silent} {
		for _, s := range streams {
			s.refusals, room = room[:0:s.n], room[s.n:]
		}
	}
	for r := range x.all() {
		r.stream.refusals = append(r.stream.refusals, r)
	}
}

// dropStreams drops the half of the streams with the fewest refusals. If they have equally many, it drops those whose
// last refusal is newer: the traits of the older ones are kept, so that a flood stays one incident.
func (x *refusalSearch) dropStreams() {
	list := slices.AppendSeq(slices.Collect(maps.Values(x.named)), maps.Values(x.silent))
	slices.SortFunc(list, func(a, b *stream) int {
		if c := cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(b.last, a.last)); c != 0 {
			return c
		}
		return strings.Compare(a.key.String(), b.key.String())
	})
	for _, s := range list[:(len(list)+1)/2] {
		s.dropped = true
		delete(x.named, s.key)
		delete(x.silent, s.key)
	}
}

// customer returns the recipient domain of refusals if each customer of their provider has its own rules.
func customer(c *traits) string {
	if provider.IsFilter(c.provider) || c.noRelay {
		return c.RecipientDomain
	}
	return ""
}

// streamOf returns the stream of refusals with these traits.
func (x *refusalSearch) streamOf(c *traits) *stream {
	k := key{what: namedStream, reason: c.Reason}
	streams := x.named
	switch c.Reason {
	case bounce.AuthFailure:
		if k.forwarded = c.Forwarded; !c.Forwarded {
			k.sender = c.SenderDomain
		}
	case bounce.SenderRejected:
		k.sender = c.SenderDomain
	case bounce.RDNSHelo:
	case bounce.Blocklist:
		if provider.Is(c.provider, c.Detail) { // a provider's own list means a bad reputation at that provider
			k.reason, k.provider = bounce.Reputation, c.provider
			break
		}
		k.detail = listOf(c.Detail)
	case bounce.Reputation:
		k.provider = c.provider
	case bounce.ContentRejected:
		k.sender, k.provider, k.domain = c.SenderDomain, c.provider, customer(c)
	default:
		if c.Forwarded { // see forwarded.go
			k.provider, k.forwarded = c.provider, true
			break
		}
		k = key{what: silentStream, sender: c.SenderDomain, provider: c.provider, domain: customer(c)}
		streams = x.silent
	}
	s := streams[k]
	if s == nil {
		if len(x.named)+len(x.silent) >= streamsKept {
			x.dropStreams()
		}
		s = newStream(k)
		streams[k] = s
	}
	return s
}

// greylisted is the time within which delayed mail is accepted.
const greylisted = 4 * time.Hour

// delayed reports whether the recipient took mail so soon after a 4xx that the 4xx only delayed it.
func delayed(r *store.Refusal) bool {
	return r.Code < 500 && !r.DeliveredAfter.IsZero() && r.DeliveredAfter.Sub(r.Time) < greylisted
}

// countsSilent reports whether a refusal without a named cause counts. A 4xx counts from the second
// one of a message to a recipient, if the mail was not accepted soon after. Otherwise it looks like
// greylisting, whatever its words.
func (x *refusalSearch) countsSilent(from *store.Refusal, r *refusal) bool {
	if r.Forwarded && r.Reason != bounce.ContentSpam || r.smarthost || r.SenderDomain == "" || !r.Reason.HidesCause() || !refusesMail(r.Code) {
		return false
	}
	if r.Code >= 500 {
		return true
	}
	if delayed(from) {
		return false
	}
	if len(x.retries) >= setSize {
		clear(x.retries)
	}
	pair := [2]uint64{r.message, r.recipient}
	x.retries[pair]++
	return x.retries[pair] > 1
}

// refusesMail reports whether receivers use a reply code to refuse failing authentication or a bad
// reputation without saying so: 550, 554 and the corresponding 4xx codes.
func refusesMail(code uint16) bool {
	switch code {
	case 550, 554, 450, 451, 421:
		return true
	}
	return false
}

// dropUnknownMailboxes removes recipients from those known to be valid if a reply between their
// last delivery and the refusal said that the mailbox is unknown.
func (x *refusalSearch) dropUnknownMailboxes(ctx context.Context) error {
	proven := func(yield func(*refusal) bool) {
		for r := range x.all() {
			if r.before != 0 && (x.inPeriod(r.at) || r.stream.key.what == silentStream) && !yield(r) {
				return
			}
		}
	}
	var from, to moment
	f := x.f
	f.Recipients = nil
	unknown := map[uint64][]moment{} // times of such replies, by recipient
	for r := range proven {
		if from == 0 || r.before < from {
			from = r.before
		}
		to = max(to, r.at)
		if _, known := unknown[r.recipient]; !known {
			unknown[r.recipient] = nil
			f.Recipients = append(f.Recipients, r.address)
		}
	}
	if to == 0 {
		return nil
	}
	f.Since, f.Until = from.time(), to.time()
	f.Outcomes, f.Reasons = nil, bounce.Reasons(bounce.Reason.NoMailbox)
	f.SenderDomain, f.Relay, f.QueueID, f.MessageID, f.NoHistory = "", "", "", "", true
	n := 0
	for r, err := range x.s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		if r.Confidence == bounce.Guess {
			continue
		}
		n++
		recipient := x.hash(r.Recipient)
		unknown[recipient] = append(unknown[recipient], momentOf(r.Time))
	}
	if n == 0 {
		return nil
	}
	for r := range x.all() {
		between := func(t moment) bool { return t > r.before && t < r.at }
		if r.before != 0 && slices.ContainsFunc(unknown[r.recipient], between) {
			r.before, r.valid = 0, r.since
		}
	}
	return nil
}

func (x *refusalSearch) inPeriod(t moment) bool { return x.since <= t && t < x.until }
