package problem

import (
	"context"
	"math"
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// This file takes back the end of an incident if mail of another kind shows it: a newsletter is refused, or
// all mail of one of two hosts, and afterwards the letters of the office are taken, or the mail of the other
// host. The next newsletter will be refused again.

const (
	kindRefused = 200   // refused messages of an incident that are looked up, at most; 20 µs each
	kindTaken   = 200   // messages taken during the incident, likewise
	kindSince   = 1_000 // messages taken since, likewise
	kindAsked   = 20    // incidents of a search; the end of others is believed
)

// kinds are the properties in which the refused mail may differ from the other mail of the same sender
// domains: the mail host or the instance of its MTA, and the sender.
var kinds = [...]func(a *store.Attempt) string{
	func(a *store.Attempt) string { return a.Host + " " + a.Instance },
	func(a *store.Attempt) string { return likeSender(a.Sender) },
}

// likeSender returns what the senders of one program have in common if each recipient or message has a
// sender of its own (VERP, BATV): the domain, and the beginning of the local part.
func likeSender(sender string) string {
	local, domain := sender, ""
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		local, domain = sender[:at], sender[at:]
	}
	local, domain = ascii.Lower(local), ascii.Lower(domain)
	if tag, rest, ok := strings.Cut(local, "="); ok && (tag == "prvs" || tag == "msprvs1") {
		if _, local, ok = strings.Cut(rest, "="); !ok {
			local = rest
		}
	}
	if i := strings.IndexAny(local, "+=0123456789"); i >= 0 {
		local = local[:i]
	}
	return strings.TrimRight(local, "-_.") + domain
}

// A sampled holds messages of which some were looked up.
type sampled struct {
	found []*store.Attempt
	scale float64 // messages for one that was looked up
}

// count estimates how many of all the messages are such.
func (s *sampled) count(is func(*store.Attempt) bool) (n float64) {
	for _, a := range s.found {
		if is(a) {
			n += s.scale
		}
	}
	return n
}

// keep leaves out the others.
func (s *sampled) keep(is func(*store.Attempt) bool) {
	s.found = slices.DeleteFunc(s.found, func(a *store.Attempt) bool { return !is(a) })
}

// sample looks up at most so many of some messages, evenly spaced.
func (x *refusalSearch) sample(ctx context.Context, refs []store.Ref, most int) (s sampled, err error) {
	n := len(refs)
	for i := range min(n, most) {
		refs[i] = refs[i*n/min(n, most)]
	}
	refs = refs[:min(n, most)]
	found, err := x.s.Lookup(ctx, refs...)
	s.found = slices.DeleteFunc(found, func(a *store.Attempt) bool { return a == nil })
	s.scale = float64(n) / float64(max(len(s.found), 1))
	return s, err
}

// holdEnds takes back the ends of incidents if the mail taken since is of another kind than the refused
// mail, and so little is of that kind that it shows no end.
func (x *refusalSearch) holdEnds(ctx context.Context, list []*incident, histories []store.History) error {
	asked := 0
	for _, in := range list {
		if in.endedAt == 0 || len(in.refusals) == 0 || in.level == Watch || in.spam || asked >= kindAsked {
			continue
		}
		var refusals, during, since []store.Ref
		seen := map[uint64]bool{}
		for _, r := range in.compared(in.all) {
			if !seen[r.message] {
				seen[r.message] = true
				refusals = append(refusals, r.ref())
			}
		}
		if len(refusals) < mostlyMessages {
			continue
		}
		for _, d := range in.deliveries(histories) {
			if at := momentOf(d.Time); !seen[d.Message] && at >= in.began && at <= in.lasted {
				seen[d.Message] = true
				during = append(during, d.Ref())
			}
		}
		for i := range in.taken {
			since = append(since, in.taken[i].Ref())
		}
		asked++
		if err := x.holdEnd(ctx, in, refusals, during, since); err != nil {
			return err
		}
	}
	return nil
}

// holdEnd is holdEnds for one incident. The refs are those of its refused messages, and of those taken during
// it and since.
func (x *refusalSearch) holdEnd(ctx context.Context, in *incident, refusals, during, since []store.Ref) error {
	refused, err := x.sample(ctx, refusals, kindRefused)
	if err != nil {
		return err
	}
	took, err := x.sample(ctx, during, kindTaken)
	if err != nil {
		return err
	}
	later, err := x.sample(ctx, since, kindSince)
	if err != nil {
		return err
	}
	every := func(*store.Attempt) bool { return true }
	all, read := refused.count(every)+took.count(every), len(later.found)
	for _, of := range kinds {
		n := map[string]int{}
		for _, a := range refused.found {
			n[of(a)]++
		}
		kind, count := most(n)
		if float64(count) < mostlyShare*float64(len(refused.found)) {
			continue
		}
		same := func(a *store.Attempt) bool { return of(a) == kind }
		other := func(a *store.Attempt) bool { return of(a) != kind }
		if r := refused.count(other); r > originTaken*(r+took.count(other)) {
			continue // other mail is refused, too
		}
		refused.keep(same)
		took.keep(same)
		later.keep(same)
	}
	if len(later.found) == read {
		return nil
	}
	needed := math.Ceil(float64(in.needed) * (refused.count(every) + took.count(every)) / all)
	in.more = in.more || later.scale > 1
	if later.count(every) >= max(needed, 2) {
		in.endedAt = momentOf(later.found[0].Time)
	} else {
		in.ongoing, in.endedAt, in.otherKind = x.end.sub(in.until) < x.o.Quiet(), 0, true
	}
	proof := map[store.Ref]bool{}
	for _, a := range later.found {
		proof[a.Ref()] = true
	}
	in.taken = slices.DeleteFunc(in.taken, func(d store.Delivered) bool { return !proof[d.Ref()] })
	return nil
}
