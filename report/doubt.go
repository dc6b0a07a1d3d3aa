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

// doubtsOf collects the doubts about the addresses and domains of recipients.
//
// Invariant: a fault without a doubt was stated about the address by a server of others, or by the
// DNS about its domain, and nothing shows that this server or the DNS was broken at the time.
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
			case x.Confidence == bounce.Guess:
				d.add(c, "no rule knows the reply; that it is about the address is a guess")
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
			case forATime(c):
				d.add(c, "the reply says that the mailbox is closed for a time")
			case anotherAddress(c):
				d.add(c, "the reply is about another address, to which the recipient's server seems to forward")
			default:
				said = append(said, c)
				asked[c.domain] = true
			}
		}
	}
	if len(asked) == 0 {
		return d, nil
	}
	e := &evidence{ctx: ctx, s: s, f: store.Filter{Since: f.Since, Until: f.Until, Host: f.Host, MTA: f.MTA}, took: map[string]bool{}, sends: map[string]bool{}, servers: map[string]map[string]bool{}, attempts: map[string]int64{}, last: map[string]time.Time{}, before: map[int64]*store.Attempt{}}
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
	if err := d.strangers(e, said); err != nil {
		return nil, err
	}
	if err := d.denied(e, said); err != nil {
		return nil, err
	}
	for _, c := range dns { // the DNS may not be the source of an address that no router accepted
		if !judge.NamesDNS(c.Response) {
			said = append(said, c)
		}
	}
	return d, d.together(e, said)
}

// forATime reports whether a reply says that a mailbox is closed for a time only.
func forATime(c *claim) bool {
	reply := strings.ToLower(c.Response)
	return c.Reason == bounce.MailboxDisabled && slices.ContainsFunc([]string{
		"tempor", "vorübergehend", "zeitweilig", "provisoire", "momentan", "for the moment", "tijdelijk", "tymczasow", "временно",
		"again later", "try later", "retry later", "tomorrow",
	}, func(w string) bool { return strings.Contains(reply, w) })
}

// anotherAddress reports whether a reply is about an address that is not the recipient's: it names
// one after the codes, a colon or a word for it, and the recipient's nowhere. An address to ask for
// help does not count. A server may write the recipient's address with a host name of its own and
// without an extension.
func anotherAddress(c *claim) (another bool) {
	own, _, _ := strings.Cut(ascii.Lower(c.Address), "@")
	base, _, _ := strings.Cut(own, "+")
	before := ":"
	for word := range strings.FieldsSeq(ascii.Lower(c.Response)) {
		address := strings.TrimRight(word, ">)]}\"',;:.!?")
		local, domain, _ := strings.Cut(address[strings.LastIndexAny(address, "<([{\"'=:")+1:], "@")
		switch {
		case local == "" || !bounce.IsHostName(domain):
		case (local == own || local == base) && provider.OfHost(domain) == provider.OfHost(c.domain):
			return false
		case slices.Contains([]string{"postmaster", "hostmaster", "abuse", "support", "help", "helpdesk"}, local):
		case strings.HasSuffix(before, ":"), before[0] == '4', before[0] == '5', slices.Contains([]string{"user", "recipient", "address", "account", "mailbox"}, before):
			another = true
		}
		before = word
	}
	return another
}

// ownWord returns why a statement by this server itself about an address is doubted.
func ownWord(c *claim) string {
	switch {
	case c.Reason == bounce.BadAddress:
		return "only this server itself says that the address is malformed: correct it where it was entered"
	case !c.LastDelivered.IsZero():
		return "took mail before, and this server itself says now that it is not there: look at its tables and routers"
	}
	return "only this server itself says so: it takes itself for the domain's final destination (Postfix: mydestination, virtual_mailbox_domains; Exim: local_domains)"
}

// stores doubts the statements of the own mail stores about the own mailboxes. A single address in
// the whole period that never took mail is no sign of a lost table, unless its domain is known to
// be the own.
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

// resolver doubts DNS answers about several domains if no delivery shortly before or after shows
// that the resolver worked.
func (d doubts) resolver(e *evidence, claims []*claim) error {
	type absence struct {
		at time.Time
		*claim
	}
	var list []absence
	for _, c := range claims {
		if !d.has(c) && !judge.NullMX(c.Response) { // a resolver that does not work knows no null MX
			for _, at := range c.times() {
				list = append(list, absence{at, c})
			}
		}
	}
	slices.SortFunc(list, func(a, b absence) int { return b.at.Compare(a.at) }) // newest first
	believed := map[*claim]bool{}
	doubted := map[*claim]int{}
	for asked := 0; len(list) > 0; asked++ {
		// A group holds all claims between two deliveries to servers of others.
		var before time.Time
		var n int
		if asked < askedAtMost {
			since, found := list[0].at.Add(-separate[len(separate)-1]), false
			if slices.ContainsFunc(list, func(x absence) bool { return x.domain != list[0].domain && !x.at.Before(since) }) {
				var err error
				if _, known := e.before[list[0].at.Unix()]; !known {
					var next []time.Time // newest first
					for _, x := range list {
						if n := len(next); n == 0 || x.at.Before(next[n-1]) {
							if next = append(next, x.at); n+1 == askedTogether {
								break
							}
						}
					}
					if err = e.readBefore(next); err != nil {
						return err
					}
				}
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
		} else { // the time before is not looked up
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

// tookEarlier doubts DNS answers about domains that took mail before the period.
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

// resolverMeanwhile doubts a DNS answer about a domain if, at the same time, the DNS did not answer
// for other domains that take mail.
func (d doubts) resolverMeanwhile(e *evidence, claims []*claim) error {
	var list []*notFound
	of := map[*claim][]*notFound{}
	for _, c := range claims {
		if d.has(c) || judge.NullMX(c.Response) || len(of) == askedAtMost {
			continue
		}
		for _, at := range c.times() {
			of[c] = append(of[c], &notFound{refusal: refusal{at, c}, take: map[string]bool{}})
		}
		list = append(list, of[c]...)
	}
	slices.SortStableFunc(list, func(a, b *notFound) int { return a.at.Compare(b.at) })
	for len(list) > 0 { // each day of failures is one question: to a server, many questions cost more than many rows
		n := 1
		for n < len(list) && list[n].at.Sub(list[n-1].at) <= 24*time.Hour {
			n++
		}
		if err := e.unanswered(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	failed := map[*claim]int{}
	for i := range 2 { // the first time, then the last one
		var asked []*claim
		var near []store.Span
		for _, c := range claims {
			if of[c] == nil || i > 0 && (failed[c] < goneTogether || of[c][i].at.Equal(of[c][0].at)) {
				continue
			}
			x := of[c][i]
			if failed[c] = trues(x.take); failed[c] >= goneTogether {
				asked = append(asked, c)
				near = append(near, store.Span{First: x.at.Add(-nearby), Last: x.at.Add(nearby)})
			}
		}
		f := e.f
		f.Outcomes = []bounce.Outcome{bounce.Delivered}
		cells, err := store.CountPeriods(e.ctx, e.s, f, near)
		if err != nil {
			return err
		}
		for j, c := range asked {
			var delivered int64
			for k := range cells[j] {
				delivered += cells[j][k].Delivered
			}
			if delivered > int64(unansweredOf*failed[c]) { // a busy server always has some
				failed[c] = 0
			}
		}
	}
	for _, c := range claims {
		if failed[c] >= goneTogether {
			d.add(c, fmt.Sprintf("the DNS did not answer for %d other domains, which take mail, within %d minutes: a fault of this server (its resolver) is likely", failed[c], int(nearby.Minutes())))
		}
	}
	return nil
}

// A notFound is what is nearby of a time at which a domain was not found: the other domains that the DNS did
// not answer for, and whether they take mail, from the first readAtMost failures.
type notFound struct {
	refusal
	read int
	take map[string]bool // by the registered domain
}

// unanswered reads the domains that the DNS did not answer for, near times in their order.
func (e *evidence) unanswered(list []*notFound) error {
	f := e.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Soft}, []bounce.Reason{bounce.DNSRouting}
	f.Since, f.Until = list[0].at.Add(-nearby), list[len(list)-1].at.Add(nearby+time.Second)
	for r, err := range e.s.Refusals(e.ctx, f) { // in the order of time
		if err != nil {
			return err
		}
		for len(list) > 0 && (!r.Time.Before(list[0].at.Add(nearby+time.Second)) || list[0].read == readAtMost) {
			list = list[1:]
		}
		if len(list) == 0 {
			break
		}
		unit := provider.OfHost(r.RecipientDomain)
		for _, x := range list {
			if r.Time.Before(x.at.Add(-nearby)) {
				break
			}
			if x.read++; r.Code == 0 && r.Scope == bounce.ScopeRemote && !r.Untried && unit != provider.OfHost(x.domain) {
				x.take[unit] = x.take[unit] || e.took[ascii.Lower(r.RecipientDomain)] || !r.DeliveredBefore.IsZero() || !r.DeliveredAfter.IsZero()
			}
		}
	}
	return nil
}

// A serving holds the first and the last day on which one server took mail for a domain, and the
// amount.
type serving struct {
	first, last time.Time
	n           int64
}

// serverOf names the server that took or refused mail: a host, or a large provider with all its
// hosts.
func serverOf(relay string) string {
	if name := provider.OfHost(relay); provider.Page(name) != "" {
		return name
	}
	return ascii.Lower(relay)
}

// servings returns the servings of those domains of some claims that have more than one server. It
// reads day by day, the newest first: all deliveries of one domain cost as much as a day.
func (e *evidence) servings(claims []*claim) (map[string]map[string]serving, error) {
	list := map[string]map[string]serving{}
	var first, last time.Time
	for _, c := range claims {
		if trues(e.servers[c.domain]) < 2 {
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

// A move is a domain whose mail may have moved to a server.
type move struct{ domain, server string }

// began reports whether a server may have replaced the others of its domain on the first day on
// which it took mail.
func began(servers map[string]serving, server string) bool {
	now, took := servers[server]
	since, before := time.Time{}, int64(0) // last day and amount of the domain's mail to other servers
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

// moves returns the servers that may have replaced others. It filters them by day, and then by the
// hours of their first day, which one query counts, since mostly servers take turns.
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

// moved doubts a server's statement about an address in the first days after the domain's mail
// moved to it from another server: its user table may be incomplete.
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

// strangers doubts the statement of a server that takes no mail of a domain which takes mail at
// another: the mail may have gone the wrong way. A route is repaired within days.
func (d doubts) strangers(e *evidence, claims []*claim) error {
	take := map[string]map[string]bool{} // by domain: the operators of its servers, and whether they take mail
	for domain, relays := range e.servers {
		take[domain] = map[string]bool{}
		for relay, took := range relays {
			if name := provider.OfHost(relay); !judge.OwnRelay(relay) && name != e.relay {
				take[domain][name] = take[domain][name] || took
			}
		}
	}
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool {
		n := trues(take[c.domain]) // some operators take mail, and some do not
		return d.has(c) || c.relay != "" || c.Fault.Last.Sub(c.FirstSince) >= refusedForDays || n == 0 || n == len(take[c.domain])
	})
	relays, err := e.statedBy(claims[:min(len(claims), askedAtMost)])
	for c, relay := range relays {
		if took, tried := take[c.domain][provider.OfHost(relay)]; tried && !took {
			d.add(c, fmt.Sprintf("refused by %s, which has taken no mail for the domain, while another server takes it: check your route (Postfix: transport_maps; Exim: route_list), and the domain's MX", relay))
		}
	}
	return err
}

// trues returns how many values of m are true.
func trues(m map[string]bool) (n int) {
	for _, is := range m {
		if is {
			n++
		}
	}
	return n
}

// change returns when the mail of a domain began to go to a server, and whether none went to
// another server for the rest of that day. x holds the days on which the server took mail.
func (e *evidence) change(domain, server string, x serving) (at time.Time, whole bool, err error) {
	if at, err = e.delivery(store.Filter{Domain: domain, Relay: server}, x.first, x.last.AddDate(0, 0, 1), false); err != nil {
		return at, false, err
	}
	f := store.Filter{Host: e.f.Host, MTA: e.f.MTA, Domain: domain, Outcomes: []bounce.Outcome{bounce.Delivered}, Since: at, Until: x.first.AddDate(0, 0, 1)}
	for _, limit := range [...]int{4, readAtMost} { // if servers take turns, the next few deliveries show it; to read all 30 of a day would read the whole day
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

// statedBy returns the relays that first stated some claims, read in one query.
func (e *evidence) statedBy(claims []*claim) (map[*claim]string, error) {
	relays := map[*claim]string{}
	of := map[string][]*claim{} // claims by address
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

// hosted reports whether the smarthost that stated a claim hosts its domain or relays the statement
// of another server.
func (c *claim) hosted() bool {
	return c.relay != "" && (provider.OfHost(c.domain) == c.relay || provider.NamedHost(c.Response) != "")
}

// relayedMeanwhile doubts a smarthost's own statements about many domains if it takes no mail for
// any domain at that time.
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

// relayed doubts a smarthost's own statement about an address if it took no mail for the domain
// since.
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

// together doubts refusals of many addresses at a domain that takes no mail: all since its last
// mail, unless that lasts for days, and those between two deliveries.
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

// meanwhile doubts the refusals of a domain that took mail later, but none near them. A large
// mailbox provider is trusted about addresses that took no mail before: a server that sends it
// little mail has long stretches with invalid addresses only.
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

// addresses returns the number of addresses in some claims.
func addresses(claims []*claim) int {
	seen := map[*store.Recipient]bool{}
	for _, c := range claims {
		seen[c.Recipient] = true
	}
	return len(seen)
}

// tookBefore returns the claims about addresses that took mail before.
func tookBefore(claims []*claim) (list []*claim) {
	for _, c := range claims {
		if !c.LastDelivered.IsZero() {
			list = append(list, c)
		}
	}
	return list
}

// since doubts the refusals of a domain since its last delivery.
func (d doubts) since(e *evidence, claims []*claim) error {
	// Mostly too few addresses were refused on the last day and since, whenever on that day the
	// domain took mail.
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
	works := false // no address known to be valid is among them, and other addresses take mail
	if !took && !last.IsZero() {
		burst := end.Sub(first) <= nearby
		if works = burst && first.Sub(last) <= nearby; !works {
			// Whole days are counted already, and no delivery follows first.
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

// dayOf returns the start of the day (UTC) of a moment.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// lookBack finds the last day on which each domain of some claims took mail. It goes day by day:
// the deliveries of a day are counted already, those of a domain on all days are not.
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

// domains finds which of some domains took mail and, if sends is set, which sent mail. It counts the
// attempts by relay.
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
			if by[0] == store.ByDomain {
				e.attempts[cells[i].Keys[1]] += cells[i].Attempts
			}
			if !asked[name] || name == "" {
				continue
			}
			if by[0] == store.ByDomain {
				if e.servers[name] == nil {
					e.servers[name] = map[string]bool{}
				}
				relay := ascii.Lower(cells[i].Keys[1])
				e.servers[name][relay] = e.servers[name][relay] || cells[i].Delivered > 0
			}
			switch {
			case cells[i].Delivered == 0:
			case by[0] == store.ByDomain:
				e.took[name] = true
			default:
				e.sends[name] = true
			}
		}
	}
	return nil
}

// ownDomains returns the domains from which users with a login of the same domain send, as far as a
// message with such a login failed. Mailbox providers are excluded: a login may be named after an
// address there.
func (e *evidence) ownDomains(asked map[string]bool) (map[string]bool, error) {
	may := func(sender string) bool {
		return asked[sender] && sender != "" && provider.Page(provider.OfHost(sender)) == ""
	}
	f := e.f
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	cells, err := e.s.Count(e.ctx, f, store.BySenderDomain)
	// Mostly none of the domains sends mail; to count by login reads every failure.
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

// smarthost sets the relay of the claims that a smarthost stated. A smarthost takes most mail, is
// no known mailbox provider and serves more than a few domains.
func (e *evidence) smarthost(claims []*claim) error {
	if len(claims) == 0 {
		return nil
	}
	f := e.f
	var total int64
	attempts := map[string]int64{}
	for host, n := range e.attempts {
		if !judge.OwnRelay(host) {
			attempts[provider.OfHost(host)] += n
			total += n
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
		cells, err := e.s.Count(e.ctx, f, store.ByDomain)
		if err != nil {
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
		// The relay is one large domain, or an own mail store that the log shows only by name.
		delete(attempts, relay)
		total -= most
		f.Relay = ""
	}
	if e.relay = f.Relay; f.Relay == "" {
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

// lastTook returns the time of a domain's last delivery. It is zero if there is none, or if it was
// long before the refusals. For very many domains it is the end of that day or, if all claims are
// older than the day, its start.
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

// separate holds the lengths of time in which to look for a delivery between two domains that the
// DNS did not find, the shortest first: a store may have to read all deliveries of that time.
var separate = [...]time.Duration{nearby, 2 * time.Hour, 24 * time.Hour}

// readBefore reads the last delivery near each of some moments, and before it, to any server.
func (e *evidence) readBefore(moments []time.Time) error {
	var visits []store.Visit
	for _, at := range moments {
		visits = append(visits, store.Visit{Any: true, Span: store.Span{First: at.Add(-nearby), Last: at.Add(-time.Second)}})
	}
	f := e.f
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	list, err := store.NewestAt(e.ctx, e.s, f, visits)
	for i, a := range list {
		e.before[moments[i].Unix()] = a
	}
	return err
}

// deliveredBefore returns the time of the last delivery to a server of others before a moment of
// readBefore. If it finds none, at is the time back to which it looked.
func (e *evidence) deliveredBefore(moment time.Time) (at time.Time, found bool, err error) {
	lengths := separate[:]
	switch a := e.before[moment.Unix()]; {
	case a == nil: // none is near
		lengths = lengths[1:]
	case judge.OtherServer(&a.Delivery):
		return a.Time, true, nil
	}
	f := e.f
	f.Until = moment
	for _, back := range lengths {
		f.Since = moment.Add(-back)
		if at, found, err = e.elsewhere(f); found || err != nil {
			return at, found, err
		}
	}
	return at, false, nil
}

// deliveredWithin reports whether mail was delivered to a server of others in [from, until).
func (e *evidence) deliveredWithin(from, until time.Time) (bool, error) {
	f := e.f
	f.Since, f.Until = from, until
	_, found, err := e.elsewhere(f)
	return found, err
}

// elsewhere returns the time of the last delivery that f selects to a server of others. If it finds
// none, at is the time back to which it read.
func (e *evidence) elsewhere(f store.Filter) (at time.Time, found bool, err error) {
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	for _, limit := range [...]int{4, readAtMost} { // mostly the last one qualifies
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

func ownFault(x *store.Fault) bool { return OwnFault(x.Outcome, &x.Verdict) }

// OwnFault reports whether a failure is permanent and lies with the recipient's address.
func OwnFault(o bounce.Outcome, v *bounce.Verdict) bool {
	return o == bounce.Hard && v.Reason.AboutAddress() && (v.Scope == bounce.ScopeRecipient || v.Scope == bounce.NoScope)
}
