package report

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/store"
)

// The limits of what is believed of an address's own fault. One refusal may be a fact;
// the same refusal of everybody at once mostly is a table or a resolver that failed.
const (
	refusedTogether = 3                // addresses of one domain that were refused: no longer one person who left
	leftTogether    = 2                // of these, all of which took mail before
	refusedOfMany   = 5                // times as many that were taken: some who left, over hours
	goneTogether    = 2                // domains that the DNS did not find while nothing was delivered
	unansweredOf    = 10               // times as many deliveries as domains that the DNS did not answer for: it works
	nearby          = 10 * time.Minute // what is nearer belongs together
	refusedForDays  = 72 * time.Hour   // a table is mended before that, over a weekend too
	relayShare      = 0.5              // of the attempts, from which on one relay may be a smarthost
	relayDomains    = 3                // that a smarthost takes mail for, at least
	relaysTried     = 4                // of those that take most
	lookedAtMost    = 2000             // stretches that are looked for, see stretches
	askedAtMost     = 200              // questions about single moments or domains, the newest or largest first
	daysAtMost      = 60               // that are looked through for the last mail that a domain took
	readAtMost      = 1000             // deliveries read to find one that went to another's server
)

// doubts are what speaks against the faults that ownFault takes for the addresses'.
type doubts map[statement]string

// A statement is what was answered about an address: a store.Fault, however much of it a
// question selects.
type statement struct {
	address  string // in lower case
	code     uint16
	enhanced bounce.EnhancedCode
	local    bool
	bounce.Verdict
}

func statementOf(h *store.Recipient, x *store.Fault) statement {
	return statement{ascii.Lower(h.Address), x.Code, x.Enhanced, x.Local, x.Verdict}
}

// A claim is a fault that is the address's own, if it is true.
type claim struct {
	*store.Recipient
	*store.Fault
	domain string // in lower case
	relay  string // the smarthost that stated it; "": the server of the domain, or unknown
}

// times are when it was claimed, of which the first and the last time are known.
func (c *claim) times() [2]time.Time { return [2]time.Time{c.FirstSince, c.Fault.Last} }

// add notes why a claim is not believed.
func (d doubts) add(c *claim, why string) { d[statementOf(c.Recipient, c.Fault)] = why }

// has reports whether a claim is not believed.
func (d doubts) has(c *claim) bool { return d.doubt(c.Recipient, c.Fault) != "" }

// doubt says why a fault of an address's own is not believed; "": it is.
func (d doubts) doubt(h *store.Recipient, x *store.Fault) string { return d[statementOf(h, x)] }

// doubtsOf looks up what speaks for the addresses and domains of recipients.
//
// Invariant: a fault without a doubt was stated about the address by a server that is not
// this side's own, or by the DNS about its domain, while nothing shows that the one who
// stated it, or the way to ask, was broken.
func doubtsOf(ctx context.Context, s store.Reader, f store.Filter, all []store.Recipient) (doubts, error) {
	d := doubts{}
	var dns, said, stores []*claim
	asked := map[string]bool{} // domains
	for i := range all {
		for j := range all[i].Faults {
			x := &all[i].Faults[j]
			if !ownFault(x) || x.Since == 0 {
				continue
			}
			c := &claim{Recipient: &all[i], Fault: x, domain: ascii.Lower(all[i].Domain)}
			switch {
			case x.Local && x.Reason == bounce.DomainInvalid:
				dns = append(dns, c)
				asked[c.domain] = true
			case x.Local, x.Detail == judge.DetailOwnTable:
				d.add(c, ownWord(c))
			case x.Detail == judge.DetailOwnRelay:
				d.add(c, "only your own content filter, gateway or relay says so; it does not pass on what the domain's server said")
			case x.Detail == judge.DetailOwnMailbox:
				stores = append(stores, c)
				asked[c.domain] = true
			default:
				said = append(said, c)
				asked[c.domain] = true
			}
		}
	}
	if len(asked) == 0 {
		return d, nil
	}
	e := &evidence{ctx: ctx, s: s, f: store.Filter{Since: f.Since, Until: f.Until, Host: f.Host, MTA: f.MTA}, took: map[string]bool{}, sends: map[string]bool{}, servers: map[string]int{}, last: map[string]time.Time{}}
	if err := e.domains(asked, len(dns) > 0); err != nil {
		return nil, err
	}
	d.stores(e, stores)
	own, err := e.ownDomains(asked)
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Concat(dns, said, stores) {
		if own[c.domain] && !d.has(c) {
			d.add(c, "in a domain of your own, which logins of this server send from: correct the address where it is used, or your user table")
		}
	}
	if err := e.smarthost(said); err != nil {
		return nil, err
	}
	for _, c := range slices.Concat(dns, said) {
		switch {
		case c.Reason == bounce.DomainInvalid && e.took[c.domain]:
			d.add(c, "said not to be there, but its domain took mail in the period")
		case c.Local && e.sends[c.domain]:
			d.add(c, "said not to be there, but mail of its domain was sent in the period")
		}
	}
	for _, doubt := range [...]func(*evidence, []*claim) error{d.tookEarlier, d.resolver, d.resolverMeanwhile} {
		if err := doubt(e, dns); err != nil {
			return nil, err
		}
	}
	if err := e.lookBack(slices.Concat(dns, said)); err != nil {
		return nil, err
	}
	if err := d.relayedMeanwhile(e, said); err != nil {
		return nil, err
	}
	for _, c := range said {
		if err := d.relayed(e, c); err != nil {
			return nil, err
		}
	}
	if err := d.moved(e, said); err != nil {
		return nil, err
	}
	for _, c := range dns { // of a router that took no address the DNS may know nothing
		if !judge.NamesDNS(c.Response) {
			said = append(said, c)
		}
	}
	return d, d.together(e, said)
}

// ownWord is why what this server itself says of an address is not believed.
func ownWord(c *claim) string {
	switch {
	case c.Reason == bounce.BadAddress:
		return "only this server itself says that the address is malformed: correct it where it was entered"
	case !c.LastDelivered.IsZero():
		return "took mail before, and this server itself says now that it is not there: look at its tables and routers"
	}
	return "only this server itself says so: it takes itself for the domain's final destination (Postfix: mydestination, virtual_mailbox_domains; Exim: local_domains)"
}

// stores doubts what mail stores of one's own say of one's own mailboxes. One address alone in the whole period, which never took mail, is no sign
// of a table that was lost, where nothing shows that the domain is one's own.
func (d doubts) stores(e *evidence, claims []*claim) {
	refused := map[*store.Recipient]bool{}
	for _, c := range claims {
		refused[c.Recipient] = true
	}
	for _, c := range claims {
		switch {
		case !c.LastDelivered.IsZero():
			d.add(c, "took mail before, and only your own mail store says now that it is not there: look at its user table")
		case len(refused) > 1:
			d.add(c, fmt.Sprintf("only your own mail store says so, of %d addresses: look at its user table", len(refused)))
		case e.took[c.domain]:
			d.add(c, "in a domain of your own, which takes mail: correct the address where it is used, or the user table of your mail store")
		}
	}
}

// resolver doubts what the DNS said of several domains where no delivery shortly before
// and after shows that the resolver worked.
func (d doubts) resolver(e *evidence, claims []*claim) error {
	type absence struct {
		at time.Time
		*claim
	}
	var list []absence
	for _, c := range claims {
		if !d.has(c) {
			for _, at := range c.times() {
				list = append(list, absence{at, c})
			}
		}
	}
	slices.SortFunc(list, func(a, b absence) int { return b.at.Compare(a.at) }) // newest first
	believed := map[*claim]bool{}
	doubted := map[*claim]int{}
	for asked := 0; len(list) > 0; asked++ {
		// A group is all between two deliveries to servers of others.
		var before time.Time
		var n int
		if asked < askedAtMost {
			since, found := list[0].at.Add(-separate[len(separate)-1]), false
			if slices.ContainsFunc(list, func(x absence) bool { return x.domain != list[0].domain && !x.at.Before(since) }) {
				var err error
				if since, found, err = e.deliveredBefore(list[0].at); err != nil {
					return err
				}
			}
			if n = slices.IndexFunc(list, func(x absence) bool { return x.at.Before(since) }); n < 0 {
				n = len(list)
			}
			if found {
				before = since
			}
		} else { // how it was then is not looked up
			for _, x := range list {
				believed[x.claim] = true
			}
			break
		}
		group := list[:n]
		list = list[n:]
		gone := map[string]bool{}
		for _, x := range group {
			gone[x.domain] = true
		}
		ok := len(gone) < goneTogether
		if !ok && !before.IsZero() {
			var err error
			if ok, err = e.deliveredWithin(group[0].at, before.Add(nearby+time.Second)); err != nil {
				return err
			}
		}
		for _, x := range group {
			if ok {
				believed[x.claim] = true
			} else {
				doubted[x.claim] = max(doubted[x.claim], len(gone))
			}
		}
	}
	for c, n := range doubted {
		if !believed[c] {
			d.add(c, fmt.Sprintf("%d domains were not found at once and no mail got out shortly before and after: a fault of this server (its resolver) is likely", n))
		}
	}
	return nil
}

// tookEarlier doubts what the DNS said of domains that took mail before the period.
func (d doubts) tookEarlier(e *evidence, claims []*claim) error {
	if e.f.Since.IsZero() {
		return nil
	}
	took := map[string]bool{}
	for _, c := range claims {
		earlier, asked := took[c.domain]
		if !asked && len(took) < askedAtMost && !d.has(c) {
			last, err := e.delivery(store.Filter{Domain: c.domain}, time.Time{}, e.f.Since, true)
			if err != nil {
				return err
			}
			earlier = !last.IsZero()
			took[c.domain] = earlier
		}
		if earlier && !d.has(c) {
			d.add(c, "said not to be there, but its domain took mail before the period")
		}
	}
	return nil
}

// resolverMeanwhile doubts what the DNS said of a domain while it did not answer for others
// that take mail.
func (d doubts) resolverMeanwhile(e *evidence, claims []*claim) error {
	asked := 0
	for _, c := range claims {
		failed := 0
		for _, at := range c.times() {
			if asked++; asked > askedAtMost || d.has(c) {
				failed = 0
				break
			}
			n, err := e.unanswered(c.domain, at)
			if err != nil {
				return err
			}
			if failed = n; n < goneTogether {
				break
			}
		}
		if failed >= goneTogether {
			d.add(c, fmt.Sprintf("the DNS did not answer for %d other domains, which take mail, within %d minutes: a fault of this server (its resolver) is likely", failed, int(nearby.Minutes())))
		}
	}
	return nil
}

// unanswered is for how many domains that take mail, other than one, the DNS did not answer
// near a moment; 0 where that is a small part of the mail.
func (e *evidence) unanswered(domain string, at time.Time) (int, error) {
	f := e.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Soft}, []bounce.Reason{bounce.DNSRouting}
	f.Since, f.Until = at.Add(-nearby), at.Add(nearby+time.Second)
	take := map[string]bool{} // by the registered domain
	n := 0
	for r, err := range e.s.Refusals(e.ctx, f) {
		if err != nil {
			return 0, err
		}
		if n++; n > readAtMost {
			break
		}
		unit := provider.OfHost(r.RecipientDomain)
		if r.Code == 0 && r.Scope == bounce.ScopeRemote && !r.Untried && unit != provider.OfHost(domain) {
			take[unit] = take[unit] || e.took[ascii.Lower(r.RecipientDomain)] || !r.DeliveredBefore.IsZero() || !r.DeliveredAfter.IsZero()
		}
	}
	n = 0
	for _, takes := range take {
		if takes {
			n++
		}
	}
	if n < goneTogether {
		return 0, nil
	}
	f.Outcomes, f.Reasons = nil, nil
	all, err := store.CountAll(e.ctx, e.s, f)
	if all.Delivered > int64(unansweredOf*n) { // a busy server always meets some
		n = 0
	}
	return n, err
}

// A serving is from the first to the last day on which one server took mail for a domain, and
// how much.
type serving struct {
	first, last time.Time
	n           int64
}

// serverOf names who took or refused mail: a host, or a large provider with all of its hosts.
func serverOf(relay string) string {
	if name := provider.OfHost(relay); provider.Page(name) != "" {
		return name
	}
	return ascii.Lower(relay)
}

// servings are those of the domains of some claims that more than one server took mail for.
// They are read day by day, the newest first: all deliveries of one domain cost as much as a day.
func (e *evidence) servings(claims []*claim) (map[string]map[string]serving, error) {
	list := map[string]map[string]serving{}
	var first, last time.Time
	for _, c := range claims {
		if e.servers[c.domain] < 2 {
			continue
		}
		list[c.domain] = map[string]serving{}
		if first.IsZero() || c.FirstSince.Before(first) {
			first = c.FirstSince
		}
		if c.Fault.Last.After(last) {
			last = c.Fault.Last
		}
	}
	f := e.f
	for day, n := dayOf(last.Add(refusedForDays)), 0; len(list) > 0 && n < daysAtMost && day.After(first.Add(-2*refusedForDays)); n++ {
		f.Since, f.Until = day, day.AddDate(0, 0, 1)
		f.Domains = slices.Collect(maps.Keys(list))
		cells, err := e.s.Count(e.ctx, f, store.ByDomain, store.ByRelay)
		if err != nil {
			return nil, err
		}
		for i := range cells {
			servers := list[ascii.Lower(cells[i].Keys[0])]
			if servers == nil || cells[i].Delivered == 0 {
				continue
			}
			name := serverOf(cells[i].Keys[1])
			x := servers[name]
			if x.last.IsZero() {
				x.last = day
			}
			x.first = day
			x.n += cells[i].Delivered
			servers[name] = x
		}
		day = day.AddDate(0, 0, -1)
	}
	return list, nil
}

// A move is a domain whose mail may have begun to go to a server.
type move struct{ domain, server string }

// began reports whether a server may have taken the place of the others of its domain on the first day on
// which it took mail.
func began(servers map[string]serving, server string) bool {
	now, took := servers[server]
	since, before := time.Time{}, int64(0) // the last day of the domain's mail to other servers, and how much
	for name, old := range servers {
		if name != server {
			before += old.n
			if old.last.After(since) {
				since = old.last
			}
		}
	}
	return took && min(before, now.n) >= refusedTogether && !since.After(now.first)
}

// moves are the servers that may have taken the place of others: by days, and then by the hours
// of their first day, counted at once, since mostly servers take turns.
func (e *evidence) moves(claims []*claim, servings map[string]map[string]serving) (map[move]bool, error) {
	days := map[time.Time][]string{} // domains
	list := map[move]bool{}
	for _, c := range claims {
		for server, x := range servings[c.domain] {
			if began(servings[c.domain], server) && !list[move{c.domain, server}] {
				list[move{c.domain, server}] = true
				if !slices.Contains(days[x.first], c.domain) {
					days[x.first] = append(days[x.first], c.domain)
				}
			}
		}
	}
	for day, domains := range days {
		f := e.f
		f.Outcomes, f.Domains, f.Since, f.Until = []bounce.Outcome{bounce.Delivered}, domains, day, day.AddDate(0, 0, 1)
		cells, err := e.s.Count(e.ctx, f, store.ByDomain, store.ByRelay, store.ByHour)
		if err != nil {
			return nil, err
		}
		first := map[move]string{} // hours
		for i := range cells {
			k := move{ascii.Lower(cells[i].Keys[0]), serverOf(cells[i].Keys[1])}
			if hour := cells[i].Keys[2]; first[k] == "" || hour < first[k] {
				first[k] = hour
			}
		}
		for i := range cells {
			domain, server := ascii.Lower(cells[i].Keys[0]), serverOf(cells[i].Keys[1])
			for other, x := range servings[domain] {
				if k := (move{domain, other}); other != server && x.first.Equal(day) && cells[i].Keys[2] > first[k] {
					delete(list, k)
				}
			}
		}
	}
	return list, nil
}

// moved doubts what a server said of an address in the first days in which the domain's mail
// went to it, and no more to the one before: its user table may not be complete.
func (d doubts) moved(e *evidence, claims []*claim) error {
	servings, err := e.servings(claims)
	if err != nil {
		return err
	}
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return d.has(c) || c.relay != "" || len(servings[c.domain]) < 2 })
	claims = claims[:min(len(claims), askedAtMost)]
	moves, err := e.moves(claims, servings)
	if err != nil {
		return err
	}
	type change struct {
		at    time.Time
		whole bool
	}
	changes := map[move]change{}
	may := func(c *claim, server string) bool {
		x := servings[c.domain][server]
		return moves[move{c.domain, server}] && c.Fault.Last.Sub(x.first.AddDate(0, 0, 1)) < refusedForDays
	}
	claims = slices.DeleteFunc(claims, func(c *claim) bool {
		for server := range servings[c.domain] {
			if may(c, server) {
				return false
			}
		}
		return true
	})
	relays, err := e.statedBy(claims)
	if err != nil {
		return err
	}
	for _, c := range claims {
		relay := relays[c]
		k := move{c.domain, serverOf(relay)}
		if judge.OwnRelay(relay) || !may(c, k.server) {
			continue
		}
		x, known := changes[k]
		if !known {
			if x.at, x.whole, err = e.change(k.domain, k.server, servings[c.domain][k.server]); err != nil {
				return err
			}
			changes[k] = x
		}
		if x.whole && c.Fault.Last.Sub(x.at) < refusedForDays {
			d.add(c, "refused by a server to which the mail of the domain had gone for less than three days: its user table may not have been complete")
		}
	}
	return nil
}

// change is when the mail of a domain began to go to a server, and whether on the rest of that
// day none went to another; x is when the server took mail.
func (e *evidence) change(domain, server string, x serving) (at time.Time, whole bool, err error) {
	if at, err = e.delivery(store.Filter{Domain: domain, Relay: server}, x.first, x.last.AddDate(0, 0, 1), false); err != nil {
		return at, false, err
	}
	f := store.Filter{Host: e.f.Host, MTA: e.f.MTA, Domain: domain, Outcomes: []bounce.Outcome{bounce.Delivered}, Since: at, Until: x.first.AddDate(0, 0, 1)}
	for _, limit := range [...]int{4, readAtMost} { // where servers take turns the next few deliveries show it; to read all 30 of a day reads the day
		for a, err := range e.s.Attempts(e.ctx, f, store.Page{Limit: limit}) {
			if err != nil {
				return at, false, err
			}
			if serverOf(a.RelayHost) != server {
				return at, false, nil
			}
		}
	}
	return at, true, nil
}

// statedBy are the relays that stated some claims first, asked for at once.
func (e *evidence) statedBy(claims []*claim) (map[*claim]string, error) {
	relays := map[*claim]string{}
	of := map[string][]*claim{} // by address
	f := store.Filter{Outcomes: []bounce.Outcome{bounce.Hard}}
	for _, c := range claims {
		address := ascii.Lower(c.Address)
		if of[address] == nil {
			f.Recipients = append(f.Recipients, address)
		}
		of[address] = append(of[address], c)
		if f.Since.IsZero() || c.FirstSince.Before(f.Since) {
			f.Since = c.FirstSince
		}
		if until := c.FirstSince.Add(time.Second); until.After(f.Until) {
			f.Until = until
		}
	}
	if len(claims) == 0 {
		return relays, nil
	}
	for a, err := range e.s.Attempts(e.ctx, f, store.Page{}) {
		if err != nil {
			return nil, err
		}
		for _, c := range of[ascii.Lower(a.Recipient)] {
			if _, known := relays[c]; !known && !a.Time.Before(c.FirstSince) && a.Time.Before(c.FirstSince.Add(time.Second)) {
				relays[c] = a.RelayHost
			}
		}
	}
	return relays, nil
}

// hosted reports whether the smarthost that stated a claim answers for its domain, or
// passes on what another server said.
func (c *claim) hosted() bool {
	return c.relay != "" && (provider.OfHost(c.domain) == c.relay || provider.NamedHost(c.Response) != "")
}

// relayedMeanwhile doubts what a smarthost says for itself of many domains while it takes
// no mail for any.
func (d doubts) relayedMeanwhile(e *evidence, claims []*claim) error {
	byRelay := map[string][]*claim{}
	for _, c := range claims {
		if c.relay != "" && !c.hosted() {
			byRelay[c.relay] = append(byRelay[c.relay], c)
		}
	}
	for relay, list := range byRelay {
		doubted, err := e.stretches(list, store.Filter{Relay: relay}, (*stretch).atRelay)
		if err != nil {
			return err
		}
		for c, x := range doubted {
			if !d.has(c) {
				d.add(c, fmt.Sprintf("only your smarthost says so, for itself, of %d domains in a time in which it took no mail: ask who runs it", len(x.domains)))
			}
		}
	}
	return nil
}

// relayed doubts what a smarthost says for itself of an address in a domain that it has
// taken no mail for since.
func (d doubts) relayed(e *evidence, c *claim) error {
	if d.has(c) || c.relay == "" && c.Detail != judge.DetailSmarthost || c.hosted() {
		return nil
	}
	last, err := e.lastTook(c.domain, []*claim{c})
	if err == nil && last.Before(c.FirstSince) {
		d.add(c, "only your smarthost says so, for itself, and it has taken no mail for the domain since: ask who runs it")
	}
	return err
}

// together doubts refusals of many addresses at a domain while it takes none: all since
// its last mail, unless that holds for days, and those between two deliveries.
func (d doubts) together(e *evidence, claims []*claim) error {
	byDomain := map[string][]*claim{}
	for _, c := range claims {
		if !d.has(c) {
			byDomain[c.domain] = append(byDomain[c.domain], c)
		}
	}
	var groups [][]*claim
	for _, list := range byDomain {
		if addresses(list) >= refusedTogether || addresses(tookBefore(list)) >= leftTogether {
			groups = append(groups, list)
		}
	}
	slices.SortFunc(groups, func(a, b []*claim) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a[0].domain, b[0].domain))
	})
	for _, list := range groups[:min(len(groups), askedAtMost)] {
		if err := d.since(e, list); err != nil {
			return err
		}
		if err := d.meanwhile(e, list); err != nil {
			return err
		}
	}
	return nil
}

// meanwhile doubts the refusals of a domain that took mail later, but none near them. A
// large provider of mailboxes is believed of addresses that took no mail before: a server
// that sends it little has long stretches with dead addresses only.
func (d doubts) meanwhile(e *evidence, claims []*claim) error {
	domain := claims[0].domain
	last, err := e.lastTook(domain, claims)
	if err != nil {
		return err
	}
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return d.has(c) || c.FirstSince.After(last) })
	doubted, err := e.stretches(claims, store.Filter{Domain: domain}, (*stretch).atDomain)
	large := provider.Page(provider.OfHost(domain)) != ""
	for c, x := range doubted {
		if large && c.LastDelivered.IsZero() {
			continue
		}
		if c.LastDelivered.IsZero() {
			d.add(c, fmt.Sprintf("%d addresses of the domain were refused in a time in which it took no mail: its user table may have been at fault", len(x.addresses)))
		} else {
			d.add(c, fmt.Sprintf("took mail before, and was refused with %s in a time in which the domain took no mail: its user table may have been at fault", table.Count(int64(len(x.addresses)-1), "other")))
		}
	}
	return err
}

// addresses is how many addresses claims are about.
func addresses(claims []*claim) int {
	seen := map[*store.Recipient]bool{}
	for _, c := range claims {
		seen[c.Recipient] = true
	}
	return len(seen)
}

// tookBefore are the claims about addresses that took mail before.
func tookBefore(claims []*claim) (list []*claim) {
	for _, c := range claims {
		if !c.LastDelivered.IsZero() {
			list = append(list, c)
		}
	}
	return list
}

// since doubts the refusals of a domain since it took mail last.
func (d doubts) since(e *evidence, claims []*claim) error {
	// Mostly too little was refused on the last day and since, whenever on that day the domain took mail.
	day := e.days[claims[0].domain]
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return c.FirstSince.Before(day) })
	if addresses(claims) < refusedTogether && addresses(tookBefore(claims)) < leftTogether {
		return nil
	}
	last, err := e.lastTook(claims[0].domain, claims)
	if err != nil {
		return err
	}
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return !c.FirstSince.After(last) })
	n := addresses(claims)
	if n < refusedTogether {
		claims = tookBefore(claims)
		if n = addresses(claims); n < leftTogether {
			return nil
		}
	}
	first, end, took := claims[0].FirstSince, claims[0].Fault.Last, false
	for _, c := range claims {
		if c.FirstSince.Before(first) {
			first = c.FirstSince
		}
		if c.Fault.Last.After(end) {
			end = c.Fault.Last
		}
		took = took || !c.LastDelivered.IsZero()
	}
	works := false // no address that is known to be good is among them, and others take mail
	if !took && !last.IsZero() {
		burst := end.Sub(first) <= nearby
		if works = burst && first.Sub(last) <= nearby; !works {
			// Whole days, which are counted already; from first on there is nothing.
			f := e.f
			f.Domain, f.Since, f.Until = claims[0].domain, dayOf(first).AddDate(0, 0, -1), dayOf(first).AddDate(0, 0, 1)
			all, err := store.CountAll(e.ctx, e.s, f)
			if err != nil {
				return err
			}
			works = burst && all.Delivered >= int64(n) || all.Delivered >= int64(refusedOfMany*n)
		}
	}
	if end.Sub(first) < refusedForDays && !works {
		for _, c := range claims {
			if c.Local {
				d.add(c, fmt.Sprintf("no router took %s of the domain, and nothing was delivered there since: look at the routers (exim -bt ADDRESS, local_domains)", table.Count(int64(n), "address")))
			} else {
				d.add(c, fmt.Sprintf("%s of the domain were refused, and it has taken no mail since: its user table may be at fault", table.Count(int64(n), "address")))
			}
		}
	}
	return nil
}

// evidence is what the store knows of other mail.
type evidence struct {
	ctx     context.Context
	s       store.Reader
	f       store.Filter // by period, host and MTA only
	took    map[string]bool
	sends   map[string]bool
	servers map[string]int       // how many took mail for a domain
	last    map[string]time.Time // see lastTook
	days    map[string]time.Time // the last day on which each domain took mail
	exact   int                  // of last, how many are known to the second
	looked  int                  // for stretches
}

// dayOf is the beginning of the day (UTC) of a moment.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// lookBack finds the last day on which each domain of some claims took mail. Of each day
// the deliveries are counted already; those of a domain in all days are not.
func (e *evidence) lookBack(claims []*claim) error {
	e.days = map[string]time.Time{}
	wanted := map[string]bool{}
	var first, last time.Time
	for _, c := range claims {
		if !e.took[c.domain] {
			continue
		}
		wanted[c.domain] = true
		if first.IsZero() || c.FirstSince.Before(first) {
			first = c.FirstSince
		}
		if c.Fault.Last.After(last) {
			last = c.Fault.Last
		}
	}
	f := e.f
	for day, n := dayOf(last), 0; len(wanted) > 0 && n < daysAtMost && !day.Before(dayOf(first).AddDate(0, 0, -1)); n++ {
		f.Since = day
		if e.f.Since.After(day) {
			f.Since = e.f.Since
		}
		f.Domains = slices.Collect(maps.Keys(wanted))
		cells, err := e.s.Count(e.ctx, f, store.ByDomain)
		if err != nil {
			return err
		}
		for i := range cells {
			if name := ascii.Lower(cells[i].Keys[0]); cells[i].Delivered > 0 && wanted[name] {
				e.days[name] = day
				delete(wanted, name)
			}
		}
		f.Until, day = day, day.AddDate(0, 0, -1)
		if !e.f.Since.IsZero() && !f.Until.After(e.f.Since) {
			break
		}
	}
	return nil
}

// domains finds out which of some domains took mail and, where that is wanted, from which
// mail came.
func (e *evidence) domains(asked map[string]bool, sends bool) error {
	for _, by := range [...][]store.Dimension{{store.ByDomain, store.ByRelay}, {store.BySenderDomain}} {
		if by[0] == store.BySenderDomain && !sends {
			break
		}
		cells, err := e.s.Count(e.ctx, e.f, by...)
		if err != nil {
			return err
		}
		for i := range cells {
			name := ascii.Lower(cells[i].Keys[0])
			switch {
			case !asked[name] || name == "" || cells[i].Delivered == 0:
			case by[0] == store.ByDomain:
				e.took[name] = true
				e.servers[name]++
			default:
				e.sends[name] = true
			}
		}
	}
	return nil
}

// ownDomains are those of some domains that people with a login of the same domain send from, as
// far as a message with such a login failed. A provider of mailboxes is none: a login may be
// named after an address there.
func (e *evidence) ownDomains(asked map[string]bool) (map[string]bool, error) {
	may := func(sender string) bool {
		return asked[sender] && sender != "" && provider.Page(provider.OfHost(sender)) == ""
	}
	f := e.f
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	cells, err := e.s.Count(e.ctx, f, store.BySenderDomain)
	// Mostly none of them sends; to count by login reads every failure.
	if err != nil || !slices.ContainsFunc(cells, func(c store.Cell) bool { return may(ascii.Lower(c.Keys[0])) }) {
		return nil, err
	}
	cells, err = e.s.Count(e.ctx, f, store.BySASLUser, store.BySenderDomain)
	own := map[string]bool{}
	for i := range cells {
		login, sender := ascii.Lower(cells[i].Keys[0]), ascii.Lower(cells[i].Keys[1])
		if may(sender) && strings.HasSuffix(login, "@"+sender) {
			own[sender] = true
		}
	}
	return own, err
}

// smarthost notes on claims the relay that stated them, where one takes most mail and is
// neither known as a provider of mailboxes nor serves a few domains only.
func (e *evidence) smarthost(claims []*claim) error {
	if len(claims) == 0 {
		return nil
	}
	f := e.f
	cells, err := e.s.Count(e.ctx, f, store.ByRelay)
	if err != nil {
		return err
	}
	var total int64
	attempts := map[string]int64{}
	for i := range cells {
		if host := cells[i].Keys[0]; !judge.OwnRelay(host) {
			attempts[provider.OfHost(host)] += cells[i].Attempts
			total += cells[i].Attempts
		}
	}
	for range relaysTried {
		relay, most := "", int64(0)
		for name, n := range attempts {
			if n > most || n == most && name < relay {
				relay, most = name, n
			}
		}
		if relay == "" || float64(most) < relayShare*float64(total) || provider.Page(relay) != "" {
			return nil
		}
		f.Relay = relay
		if cells, err = e.s.Count(e.ctx, f, store.ByDomain); err != nil {
			return err
		}
		domains := 0
		for i := range cells {
			if provider.OfHost(ascii.Lower(cells[i].Keys[0])) != relay {
				domains++
			}
		}
		if domains >= relayDomains {
			break
		}
		// A mail store of one's own, which the log shows by its name only, or one large domain.
		delete(attempts, relay)
		total -= most
		f.Relay = ""
	}
	if f.Relay == "" {
		return nil
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, store.Faults
	stated := map[string]bool{} // addresses
	for h, err := range e.s.Recipients(e.ctx, f, 0) {
		if err != nil {
			return err
		}
		stated[ascii.Lower(h.Address)] = true
	}
	for _, c := range claims {
		if stated[ascii.Lower(c.Address)] {
			c.relay = f.Relay
		}
	}
	return nil
}

// lastTook is when a domain took mail last; zero: not at all, or long before it was
// refused. Of very many domains, the end of that day; where all claims are older than the day,
// its beginning.
func (e *evidence) lastTook(domain string, claims []*claim) (time.Time, error) {
	day, ok := e.days[domain]
	if !ok {
		return time.Time{}, nil
	}
	if !slices.ContainsFunc(claims, func(c *claim) bool { return !c.FirstSince.Before(day) }) {
		return day, nil
	}
	if last, known := e.last[domain]; known {
		return last, nil
	}
	if e.exact++; e.exact > askedAtMost {
		return day.AddDate(0, 0, 1), nil
	}
	last, err := e.delivery(store.Filter{Domain: domain}, day, e.f.Until, true)
	e.last[domain] = last
	return last, err
}

// separate are how far back a delivery is looked for that separates two domains that the
// DNS did not find, the next one first: a store may read all of that time.
var separate = [...]time.Duration{nearby, 2 * time.Hour, 24 * time.Hour}

// deliveredBefore is the last delivery to a server of others before a moment. Where none
// is found at is how far it was looked for.
func (e *evidence) deliveredBefore(moment time.Time) (at time.Time, found bool, err error) {
	f := e.f
	f.Until = moment
	for _, back := range separate {
		f.Since = moment.Add(-back)
		if at, found, err = e.elsewhere(f); found || err != nil {
			return at, found, err
		}
	}
	return at, false, nil
}

// deliveredWithin reports whether there is a delivery to a server of others from one
// moment on and before another.
func (e *evidence) deliveredWithin(from, until time.Time) (bool, error) {
	f := e.f
	f.Since, f.Until = from, until
	_, found, err := e.elsewhere(f)
	return found, err
}

// elsewhere is the last delivery that f selects and that went to a server of others. Where
// none is found at is how far the deliveries were read.
func (e *evidence) elsewhere(f store.Filter) (at time.Time, found bool, err error) {
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	for _, limit := range [...]int{4, readAtMost} { // mostly it is the last
		n := 0
		for a, err := range e.s.Attempts(e.ctx, f, store.Page{Limit: limit, Newest: true}) {
			if err != nil {
				return time.Time{}, false, err
			}
			if judge.OtherServer(&a.Delivery) {
				return a.Time, true, nil
			}
			at = a.Time
			n++
		}
		if n < limit {
			return f.Since, false, nil
		}
	}
	return at, false, nil
}
