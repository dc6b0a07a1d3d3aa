package problem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/judge"
	"bouncelog/store"
)

// The causes of failures of one domain that took mail before. The receiver is at fault, whatever the
// replies accuse.
const (
	causeGone   = "domain_not_found"  // the DNS does not know the domain any more
	causeTable  = "user_table"        // the domain refuses its recipients as unknown
	causeHosted = "domain_not_hosted" // the domain's server refuses to relay its mail
	causeFull   = "storage_full"      // the mailboxes of all its recipients are full
	causeClosed = "mail_refused"      // it refuses all mail for another reason of its own
)

// theirCauses are the causes of outages that are the fault of the receiver.
var theirCauses = []string{causeGone, causeTable, causeHosted, causeFull, causeClosed}

// theirs reports whether a cause is the fault of the receiver.
func theirs(cause string) bool { return slices.Contains(theirCauses, cause) }

const (
	theirsLasts  = time.Hour          // minimum time from the first failure to the last: a newsletter finds people who left, or dead domains, at once; lower: more incidents
	tableDomains = 500                // domains whose deliveries are counted by the hour, those with the most unknown recipients
	fewDomains   = 2000               // domains with fewer refusals whose unknown recipients count for their operator; each has a few attempts to read
	tableHours   = 2                  // from the hour of the last delivery to that of the next, or to the end
	relayDomains = 3                  // that a relay host takes mail for, besides most of all mail; higher: more incidents
	waitsLast    = 5 * time.Hour      // minimum time if mail is deferred, or is refused for what it is: restarts and greylisting take less, as does a large message to many; lower: more incidents
	tableLasts   = 3 * 24 * time.Hour // a lost table is repaired by then; later refusals are believed
)

// findGone finds the domains of others that took mail and that the DNS does not know now, while it
// knows other domains. Their failures are no longer evidence against this server. Exim says
// "Unrouteable address" for that.
func (w *outageSearch) findGone(ctx context.Context) error {
	byDomain := map[string][]failure{}
	var all []failure
	for _, cause := range [...]string{causeResolver, causeRouter} {
		for _, x := range w.causes[cause] {
			if x.RelayHost == "" && (x.evidence == notFound || x.evidence == unrouted || x.evidence == denied && x.Reason == bounce.DomainInvalid) {
				domain := ascii.Lower(x.RecipientDomain)
				byDomain[domain] = append(byDomain[domain], x)
				all = append(all, x)
			}
		}
	}
	maps.DeleteFunc(byDomain, func(_ string, list []failure) bool { return newOutage(causeGone, list).lasting < outageMessages })
	if len(byDomain) == 0 {
		return nil
	}
	domains := slices.Sorted(maps.Keys(byDomain))
	domains = domains[:min(len(domains), domainsAsked)]
	f := w.f
	f.Outcomes, f.Reasons, f.Domain, f.Domains = []bounce.Outcome{bounce.Delivered}, nil, "", domains
	if !f.Since.IsZero() {
		f.Since = f.Since.Add(-w.o.Past)
	}
	cells, err := w.s.Count(ctx, f, store.ByRelay, store.ByDomain)
	if err != nil {
		return err
	}
	others, err := w.mostTakenByOthers(ctx, f, cells, 0, math.MaxInt64)
	if err != nil {
		return err
	}
	took := map[string]bool{}
	for i := range cells {
		if c := &cells[i]; c.Delivered > 0 && others[c.Keys[0]] {
			took[ascii.Lower(c.Keys[1])] = true
		}
	}
	runs, err := w.untaken(ctx, byDomain, domains)
	if err != nil {
		return err
	}
	blamed := map[store.Ref]bool{}
	for _, domain := range domains {
		if !took[domain] {
			continue
		}
		for _, run := range runs[domain] {
			x := newOutage(causeGone, run)
			if x.lasting < outageMessages || lastOf(run).sub(run[0].at) < theirsLasts || w.unknownDomains(all, run) >= outageDomains {
				continue
			}
			before := w.f
			before.Outcomes, before.Reasons, before.Domain = []bounce.Outcome{bounce.Delivered}, nil, domain
			before.Since, before.Until = run[0].at.add(-w.o.Past).time(), run[0].at.time()
			last, err := w.s.Span(ctx, before)
			if err != nil {
				return err
			}
			during := w.during(run)
			during.Domain = domain
			c, err := w.total(ctx, during)
			if err != nil {
				return err
			}
			if last.IsZero() || c.Delivered > 0 {
				continue
			}
			for i := range run {
				run[i].evidence = vanished
				blamed[run[i].ref] = true
			}
			w.theirs[causeGone] = append(w.theirs[causeGone], lapse{run: run})
		}
	}
	for _, cause := range [...]string{causeResolver, causeRouter} {
		w.causes[cause] = slices.DeleteFunc(w.causes[cause], func(x failure) bool { return blamed[x.ref] })
	}
	return nil
}

// untaken splits the failures of each domain wherever a window passed without one and the domain took
// mail in that time: at a weekend, nobody may write to it.
func (w *outageSearch) untaken(ctx context.Context, byDomain map[string][]failure, domains []string) (map[string][][]failure, error) {
	runs := map[string][][]failure{}
	f := w.f
	f.Outcomes, f.Reasons, f.Domain, f.Domains = []bounce.Outcome{bounce.Delivered}, nil, "", nil
	for _, domain := range domains {
		list := byDomain[domain]
		slices.SortStableFunc(list, func(a, b failure) int { return cmp.Compare(a.at, b.at) })
		if runs[domain] = w.byWindow(list); len(runs[domain]) < 2 {
			continue
		}
		if since := list[0].at.hour(); len(f.Domains) == 0 || since.Before(f.Since) {
			f.Since = since
		}
		f.Domains = append(f.Domains, domain)
	}
	if len(f.Domains) == 0 {
		return runs, nil
	}
	cells, err := w.s.Count(ctx, f, store.ByHour, store.ByDomain)
	if err != nil {
		return nil, err
	}
	took := map[string][]time.Time{} // hours
	for i := range cells {
		if at, err := time.Parse(hourLayout, cells[i].Keys[0]); err == nil && cells[i].Delivered > 0 {
			domain := ascii.Lower(cells[i].Keys[1])
			took[domain] = append(took[domain], at)
		}
	}
	for _, domain := range f.Domains {
		runs[domain] = split(byDomain[domain], func(a, b *failure) bool {
			return b.at.sub(a.at) >= w.o.Window && slices.ContainsFunc(took[domain], func(hour time.Time) bool {
				return hour.Add(time.Hour).After(a.at.time()) && !hour.After(b.at.time())
			})
		})
	}
	return runs, nil
}

// unknownDomains counts the unrelated domains that took mail and are not found in the time of a run.
func (w *outageSearch) unknownDomains(all, run []failure) int {
	units := map[string]bool{}
	for i := range all {
		x := &all[i]
		if x.address != "" && x.at >= run[0].at.add(-outageGap) && x.at <= lastOf(run).add(outageGap) {
			units[x.unit] = true
		}
	}
	return len(units)
}

// A lapse is a run of failures of one domain that took mail before.
type lapse struct {
	run      []failure
	believed bool // it lasts for longer than tableLasts
	partial  bool // the domain took other mail meanwhile: see partial.go
	denial   *Denial
}

// lapseCauses are the reasons for which a domain refuses all its recipients if one thing of its own is
// broken, each with the cause to which it points. Reasons that are about the sender are the subject of
// refusals (stream.go), deferrals for a reason of the receiver that of report/unreached.go.
var lapseCauses = map[bounce.Reason]string{
	bounce.UserUnknown:         causeTable,
	bounce.MailboxDisabled:     causeTable,
	bounce.RelayDenied:         causeHosted,
	bounce.MailboxFull:         causeFull,
	bounce.RecipientRestricted: causeClosed,
	bounce.BadAddress:          causeClosed,
	bounce.MessageTooLarge:     causeClosed,
	bounce.ContentRejected:     causeClosed,
	bounce.DNSRouting:          causeClosed,
	bounce.SystemError:         causeClosed,
	bounce.TLS:                 causeClosed,
	bounce.ProtocolError:       causeClosed,
}

// lapseReasons are the reasons of lapseCauses.
var lapseReasons = bounce.Reasons(func(r bounce.Reason) bool { return lapseCauses[r] != "" })

// findLapses finds the domains whose servers refuse recipients who took mail before, while the domain
// takes no mail at all, or which refuse and take their mail in turn.
func (w *outageSearch) findLapses(ctx context.Context) error {
	f, ok := w.f.Restrict(lapseReasons)
	if !ok {
		return nil
	}
	f.Since, f.Outcomes = w.from.time(), []bounce.Outcome{bounce.Hard, bounce.Soft}
	cells, err := w.s.Count(ctx, f, store.ByDomain)
	if err != nil {
		return err
	}
	slices.SortFunc(cells, func(a, b store.Cell) int { return cmp.Compare(b.Hard+b.Soft, a.Hard+a.Soft) })
	most, few := f, []string{}
	most.Domain, most.Domains = "", nil
	for _, c := range cells {
		switch {
		case c.Hard+c.Soft >= int64(max(outageMessages, w.o.Recipients)):
			if len(most.Domains) < tableDomains {
				most.Domains = append(most.Domains, c.Keys[0])
			}
		case len(few) < fewDomains && slices.ContainsFunc(denialReasons, func(r bounce.Reason) bool { return c.Reasons[r] > 0 }):
			few = append(few, c.Keys[0])
		}
	}
	valid, unknown, err := w.refusedValid(ctx, most, few)
	if err != nil {
		return err
	}
	if err := w.findDenials(ctx, f, unknown, valid); err != nil || len(valid) == 0 {
		return err
	}
	if err := w.findPartial(ctx, valid); err != nil {
		return err
	}
	took := w.reached.domainsIn(slices.Collect(maps.Keys(valid)), f.Since, f.Until)
	for _, whole := range [...]bool{false, true} {
		if err := w.readTook(ctx, took, w.withValid(took, valid), whole); err != nil {
			return err
		}
	}
	silent := w.withValid(took, valid)
	var found []*lapse
	for _, s := range silent[:min(len(silent), domainsAsked)] {
		l, err := w.refusedAll(ctx, f, &s)
		if err != nil {
			return err
		}
		if l != nil {
			found = append(found, l)
		}
	}
	for _, l := range found {
		if l.ofHost(found) {
			continue
		}
		cause, err := w.causeOfLapse(ctx, l.run)
		if err != nil {
			return err
		}
		if cause != "" {
			w.theirs[cause] = append(w.theirs[cause], *l)
		}
	}
	return nil
}

// ofHost reports whether a lapse for a reason that any host may give, as one of the message, is a fault of a
// large provider or of a host that refuses other domains at the same time, as a relay host of this side
// does. Those are found as such (outage.go, report/unreached.go).
func (l *lapse) ofHost(found []*lapse) bool {
	host := provider.OfHost(l.run[0].RelayHost)
	if waits, content := countWaits(l.run); 2*(waits+content) <= len(l.run) {
		return false
	}
	return provider.Page(host) != "" || slices.ContainsFunc(found, func(o *lapse) bool {
		return o.run[0].RecipientDomain != l.run[0].RecipientDomain && provider.OfHost(o.run[0].RelayHost) == host && o.run[0].at <= lastOf(l.run) && lastOf(o.run) >= l.run[0].at
	})
}

// causeOfLapse returns the cause to which most failures of a lapse point, or "" if a relay host of this
// side refuses the mail.
func (w *outageSearch) causeOfLapse(ctx context.Context, run []failure) (string, error) {
	count := map[string]int{}
	for i := range run {
		count[lapseCauses[run[i].Reason]]++
	}
	cause := slices.MaxFunc(theirCauses, func(a, b string) int { return cmp.Compare(count[a], count[b]) }) // the first of equals
	if cause == causeHosted {
		if own, err := w.relayHost(ctx, deniedRelaying(run)); own || err != nil {
			return "", err
		}
	}
	return cause, nil
}

// A silence is a time in which a domain took no mail; see silences.
type silence struct {
	domain string
	store.Span
	refused []validRefusal // in its hours
	full    map[uint64]time.Time
}

// A validRefusal is the refusal of a recipient who took mail before. Lists are in the order of time.
type validRefusal struct {
	at            time.Time
	before, after time.Time // the recipient's last delivery before and the first after it; zero: none
	recipient     uint64
	failure       failure
}

// refusedValid returns the refusals of recipients who took mail before, by domain, for domains with
// enough such recipients; most domains have none. It also counts the recipients called unknown, of the
// domains in few as well: those have too few refusals of their own, but an operator may have many such domains.
func (w *outageSearch) refusedValid(ctx context.Context, f store.Filter, few []string) (map[string][]validRefusal, Unknowns, error) {
	list, unknown, providers, lone := map[string][]validRefusal{}, Unknowns{}, map[string]string{}, map[string]bool{}
	for _, domain := range few {
		lone[ascii.Lower(domain)] = true
	}
	only := func(keep func(bounce.Reason) bool) store.Filter {
		f := f
		f.Reasons = slices.DeleteFunc(slices.Clone(f.Reasons), func(r bounce.Reason) bool { return !keep(r) })
		f.Known = true
		return f
	}
	unknowns := only(func(r bounce.Reason) bool { return slices.Contains(denialReasons, r) })
	unknowns.Known, unknowns.Domains = false, slices.Concat(f.Domains, few)
	full := only(func(r bounce.Reason) bool { return r == bounce.MailboxFull })
	full.Domains = slices.DeleteFunc(slices.Clone(f.Domains), largeProvider) // see disowns
	others := only(func(r bounce.Reason) bool { return r != bounce.MailboxFull && !slices.Contains(denialReasons, r) })
	for _, f := range [...]store.Filter{unknowns, full, others} {
		if len(f.Domains) == 0 || len(f.Reasons) == 0 {
			continue
		}
		for r, err := range w.s.Refusals(ctx, f) {
			if err != nil {
				return nil, nil, err
			}
			if denies(r) {
				name, known := providers[r.RelayHost]
				if !known {
					name = provider.OfHost(r.RelayHost)
					providers[r.RelayHost] = name
				}
				unknown.Add(name, r.Time)
			}
			domain := ascii.Lower(r.RecipientDomain)
			if lone[domain] {
				continue
			}
			w.reached.noteDomain(r)
			if tookBefore(r, w.o.Valid) && disowns(r) {
				x := w.failureOf(r, disowned, provider.OfHost(domain))
				list[domain] = append(list[domain], validRefusal{r.Time, r.DeliveredBefore, r.DeliveredAfter, x.recipient, x})
			}
		}
	}
	for _, refused := range list {
		slices.SortStableFunc(refused, func(a, b validRefusal) int { return a.at.Compare(b.at) })
	}
	w.dropFew(list)
	return list, unknown, nil
}

// dropFew removes the domains with too few recipients.
func (w *outageSearch) dropFew(list map[string][]validRefusal) {
	maps.DeleteFunc(list, func(_ string, refused []validRefusal) bool { return distinct(refused) < w.o.Recipients })
}

// readTook adds the other hours in which the domains of some silences took mail: from the first refusal
// of a silence to the last, or in the whole silence. After the former, hardly a silence is left for the
// latter: on ten million attempts 0.5 s, and 2.9 s if all hours of all domains are counted.
func (w *outageSearch) readTook(ctx context.Context, took domainHours, silent []silence, whole bool) error {
	if len(silent) == 0 {
		return nil
	}
	f := w.f
	f.Outcomes, f.Reasons, f.Domain, f.Domains = []bounce.Outcome{bounce.Delivered}, nil, "", nil
	var periods []store.Span
	for _, s := range silent {
		f.Domains = append(f.Domains, s.domain)
		p := store.Span{First: s.refused[0].at, Last: s.refused[len(s.refused)-1].at}
		if whole {
			p = store.Span{First: later(w.from.time(), s.First), Last: s.Last}
			if p.Last.IsZero() {
				p.Last = w.last.time()
			}
			if !f.Until.IsZero() && !p.Last.Before(f.Until) {
				p.Last = f.Until.Add(-time.Second)
			}
		}
		periods = append(periods, p)
	}
	f.Domains = slices.Compact(f.Domains) // silences are in the order of domains
	counts, err := store.CountPeriods(ctx, w.s, f, joinedPeriods(periods), store.ByHour, store.ByDomain)
	if err != nil {
		return err
	}
	for _, c := range slices.Concat(counts...) {
		if at, err := time.Parse(hourLayout, c.Keys[0]); err == nil && c.Delivered > 0 {
			took.add(ascii.Lower(c.Keys[1]), hourOf(at))
		}
	}
	return nil
}

// joinedPeriods sorts periods and joins those that overlap.
func joinedPeriods(list []store.Span) (out []store.Span) {
	slices.SortFunc(list, func(a, b store.Span) int { return a.First.Compare(b.First) })
	for _, p := range list {
		if n := len(out); n > 0 && !p.First.After(out[n-1].Last) {
			if p.Last.After(out[n-1].Last) {
				out[n-1].Last = p.Last
			}
			continue
		}
		out = append(out, p)
	}
	return out
}

// distinct returns the number of distinct recipients.
func distinct(list []validRefusal) int {
	seen := map[uint64]bool{}
	for _, r := range list {
		seen[r.recipient] = true
	}
	return len(seen)
}

// withValid returns the silences in whose hours enough recipients who took mail before are refused,
// in the order of domains and of time. More hours make silences shorter, and no silence longer: those of
// some hours hold those of all.
func (w *outageSearch) withValid(took domainHours, valid map[string][]validRefusal) (list []silence) {
	for _, domain := range slices.Sorted(maps.Keys(valid)) {
		full := map[uint64]time.Time{} // when a mailbox was full for the first time
		for _, r := range valid[domain] {
			if r.failure.Reason == bounce.MailboxFull && full[r.recipient].IsZero() {
				full[r.recipient] = r.at
			}
		}
		for _, s := range w.silences(took[domain]) {
			byTime := func(r validRefusal, at time.Time) int { return r.at.Compare(at) }
			refused := valid[domain]
			if !s.Last.IsZero() {
				n, _ := slices.BinarySearchFunc(refused, s.Last.Add(time.Hour), byTime)
				refused = refused[:n]
			}
			n, _ := slices.BinarySearchFunc(refused, s.First, byTime)
			x := silence{domain, s, nil, full}
			for _, r := range refused[n:] {
				if !x.wasFull(&r.failure) {
					x.refused = append(x.refused, r)
				}
			}
			if distinct(x.refused) >= w.o.Recipients {
				list = append(list, x)
			}
		}
	}
	return list
}

// wasFull reports whether a failure is that of a mailbox that was full before the silence.
func (s *silence) wasFull(x *failure) bool {
	at := s.full[x.recipient]
	return x.Reason == bounce.MailboxFull && !at.IsZero() && at.Before(s.First)
}

// disowns reports whether a refusal with a reason of lapseCauses is that of a domain of others. A large
// provider has full mailboxes every day. A relay host that quotes the domain's server when it calls a recipient
// unknown asks that server before it takes mail.
func disowns(r *store.Refusal) bool {
	switch {
	case r.Reason == bounce.MailboxFull && largeProvider(r.RecipientDomain),
		r.Outcome != bounce.Hard && judge.ReasonText(r.Reason).Scope == bounce.ScopeRemote:
		return false
	}
	return r.Code != 0 && !r.NullSender && !r.Untried && r.Confidence != bounce.Guess && !judge.OwnDetail(r.Detail) && (r.Reason != bounce.RelayDenied || r.Detail == "") && atOthers(r.Traits) &&
		(!provider.Submits(r.RelayPort) || lapseCauses[r.Reason] == causeTable && quotesAnother(r.Template))
}

// largeProvider reports whether a domain is a large mailbox provider's.
func largeProvider(domain string) bool {
	name := provider.OfHost(domain)
	return provider.Name(name) != name
}

// silences returns the times in which a domain took no mail, from the hour of a delivery to that of
// the next. First is zero if no delivery is known before, Last if there is none after.
func (w *outageSearch) silences(took map[int64]bool) (list []store.Span) {
	var from time.Time
	add := func(until time.Time) {
		end := until
		if end.IsZero() {
			end = w.last.time()
		}
		if from.IsZero() || end.Sub(from) >= tableHours*time.Hour {
			list = append(list, store.Span{First: from, Last: until})
		}
		from = until
	}
	for _, hour := range slices.Sorted(maps.Keys(took)) {
		add(hourTime(hour))
	}
	add(time.Time{})
	return list
}

// refusedAll returns the refusals by a domain within a silence, if enough recipients took mail
// before. f selects refusals.
func (w *outageSearch) refusedAll(ctx context.Context, f store.Filter, s *silence) (*lapse, error) {
	var l lapse
	domain := s.domain
	taken := w.f
	taken.Outcomes, taken.Reasons, taken.Domain = []bounce.Outcome{bounce.Delivered}, nil, domain
	f.Domain = domain
	if !s.First.IsZero() {
		taken.Since, taken.Until = s.First, s.First.Add(time.Hour)
		span, err := w.s.Span(ctx, taken)
		if err != nil {
			return nil, err
		}
		f.Since = span.Last
	}
	if !s.Last.IsZero() {
		taken.Since, taken.Until = s.Last, s.Last.Add(time.Hour)
		span, err := w.s.Span(ctx, taken)
		if err != nil {
			return nil, err
		}
		f.Until = span.First
	}
	recipients, valid := map[uint64]bool{}, map[uint64]bool{}
	for r, err := range w.s.Refusals(ctx, f) {
		if err != nil {
			return nil, err
		}
		if !disowns(r) {
			continue
		}
		x := w.failureOf(r, disowned, provider.OfHost(domain))
		if s.wasFull(&x) {
			continue
		}
		l.run = append(l.run, x)
		l.believed = x.at.sub(l.run[0].at) >= tableLasts
		recipients[x.recipient] = true
		if tookBefore(r, w.o.Valid) {
			valid[x.recipient] = true
		}
	}
	if len(valid) < w.o.Recipients || !lasts(l.run) || 2*len(valid) < len(recipients) {
		return nil, nil
	}
	return &l, nil
}

// countWaits counts the failures of a run that defer mail, unless a store is full, and those that refuse
// messages for what they are.
func countWaits(run []failure) (waits, content int) {
	for i := range run {
		switch {
		case judge.ReasonText(run[i].Reason).Scope == bounce.ScopeMessage:
			content++
		case !run[i].hard() && run[i].Reason != bounce.MailboxFull:
			waits++
		}
	}
	return waits, content
}

// lasts reports whether the failures of a lapse have enough messages, and last long enough.
func lasts(run []failure) bool {
	waits, content := countWaits(run)
	messages, least := outageMessages, theirsLasts
	if 2*(waits+content) > len(run) {
		least = waitsLast
	}
	if 2*content > len(run) {
		messages = outageMany
	}
	return lastOf(run).sub(run[0].at) >= least && messagesOf(run) >= messages
}

// deniedRelaying returns the failures of a run whose servers refuse to relay.
func deniedRelaying(run []failure) []failure {
	return slices.DeleteFunc(slices.Clone(run), func(x failure) bool { return x.Reason != bounce.RelayDenied })
}

// relayHost reports whether the server that refuses to relay the mail of a run is the relay host of
// this server, and not the domain's own: most mail goes there, to several domains, or it refuses
// several other domains at the same time.
func (w *outageSearch) relayHost(ctx context.Context, run []failure) (bool, error) {
	refuses := provider.OfHost(run[0].RelayHost)
	if provider.Page(refuses) != "" {
		return false, nil
	}
	units := map[string]bool{}
	for _, x := range w.causes[causeLogin] {
		if x.evidence == unrelayed && provider.OfHost(x.RelayHost) == refuses && x.at >= run[0].at.add(-outageGap) && x.at <= lastOf(run).add(outageGap) {
			units[x.unit] = true
		}
	}
	if len(units) >= outageDomains {
		return true, nil
	}
	f := w.during(run)
	f.Since, f.Domain, f.Domains = f.Since.Add(-w.o.Past), "", nil
	most, err := mostRelayed(ctx, w.s, f)
	if err != nil || most != refuses {
		return false, err
	}
	f.Relay = most
	cells, err := w.s.Count(ctx, f, store.ByDomain)
	return len(cells) >= relayDomains, err
}

// lapsed returns the outages of a cause that is the receiver's fault, one for each domain and run.
func (w *outageSearch) lapsed(ctx context.Context, cause string) (list []*outage, err error) {
	for _, l := range w.theirs[cause] {
		x, err := w.outage(ctx, cause, l.run)
		if err != nil {
			return nil, err
		}
		if x != nil {
			x.found, x.believed, x.partial, x.denial = cause, l.believed && cause == causeTable, l.partial, l.denial
			if x.partial && x.denial == nil {
				if x.refusing, err = w.refusingHost(ctx, l.run); err != nil {
					return nil, err
				}
			}
			list = append(list, x)
		}
	}
	return list, nil
}

// whyTheirs returns the grounds of a lapse.
func (x *outage) whyTheirs() string {
	if x.cause == causeGone {
		return "The domain took mail before these failures and none during them, and the DNS finds other domains."
	}
	if x.denial != nil {
		return x.denial.why()
	}
	if x.partial {
		return fmt.Sprintf("%d recipients who took mail before are refused, and their mail is taken again in between.", len(x.valid))
	}
	return fmt.Sprintf("%d of the %d refused recipients took mail before, and the domain took no mail at all in that time.", len(x.valid), len(x.recipients))
}
