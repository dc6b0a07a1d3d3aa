package problem

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// A flood is an account that suddenly sends many times its usual volume, much of it to addresses
// that do not exist. Most often a password is stolen or a form is abused. An account is a login. It
// can also be the envelope sender of mail that a client in the own network or a program of this host
// submits without a login: a form, or a content filter, which hides logins. It is the client itself if
// its mail has many senders: a computer with a virus.
//
// A store keeps the login and the client for failed attempts only, but the envelope sender for all.
// So a flood is proven by the account's returned mail and by all mail of its sender addresses; if
// these are many (forged), by all mail of their domains. A newsletter also has many recipients and
// a large volume, but few of its addresses are invalid. A blocklisting or a bad reputation refuses
// much mail, but the volume does not grow.

// causeFlood is the cause of floods, as the field Cause names it.
const causeFlood = "flood"

// The thresholds of floods, for one account on consecutive days (UTC). A higher value means fewer
// floods.
const (
	floodReturned = 50   // recipients returned on a day, at least
	floodTimes    = 10   // times the account's usual returned recipients of a day
	floodVolume   = 5    // times its senders' usual messages of a day
	floodHour     = 3    // returned recipients of an hour of the flood, at least, and floodTimes the usual number of an hour
	floodOver     = 4    // hours without such an hour that end a flood, while the log goes on; higher: later
	floodFrom     = 1000 // sender addresses of a client by which its mail is read, those with the most returned recipients
	floodSenders  = 3    // sender addresses of the account, at most; if there are more, they are forged, and their domains are counted
	floodDomains  = 20   // recipient domains with returned recipients
	floodShare    = 0.25 // returned recipients as a share of those reached or returned
	floodInvalid  = 0.10 // the same for recipients returned because the address is at fault
	floodPast     = 3    // days in the store before the flood; with fewer, the next two limits apply and the volume does not count
	floodMost     = 0.4  // as floodShare, for a short past
	floodBurst    = 6    // hours with half of the returned mail, for a short past; higher: more floods

	floodsWeighed   = 10      // accounts whose returned mail is read, those with the most first
	floodRecipients = 100_000 // recipients counted for one flood
	floodForged     = 200_000 // returned recipients of clients in the own network whose senders are counted; those of the last whole days
	floodMail       = 100_000 // attempts read of the sender addresses of one flood, on its days and again before: about a second
)

// floodAttempts is the number of failed attempts of an account that are read, the first of its days.
var floodAttempts = 50_000 // a variable for tests

// floodReasons are the reasons for which a receiver refuses a flood. Failures of the sending side
// and of authentication are not among them: they refuse all mail alike.
var floodReasons = bounce.Reasons(func(r bounce.Reason) bool {
	switch r {
	case bounce.ContentSpam, bounce.Policy, bounce.Reputation, bounce.RateLimited, bounce.SenderRejected, bounce.Unknown:
		return true
	}
	return r.AboutAddress()
})

// A flood is an account that may flood, and the findings about it.
type flood struct {
	account
	from     map[string]int64 // of a client: returned recipients by sender, lower case; at most floodFrom senders
	days     []int            // consecutive, in days since 1970
	daily    []int64          // recipients returned on each of these days
	returned int64            // on all of them
	atFault  int64            // of these, because the address is at fault
	usual    float64          // recipients usually returned to the account on a day
	short    bool             // the store covers fewer than floodPast earlier days
	cut      bool             // a part of the period was not read

	// Mail returned to the account that was read: on these days, and in the part of them that is in
	// the period.
	whole, shown     returns
	invalid          int64           // attempts with a reason about the address
	denied           int64           // of these, those that a remote host refused
	local            int64           // attempts of mail that a program of this host submitted
	addresses        map[string]bool // of senders, lower case; incomplete if more than floodSenders
	senders, domains map[string]bool // domains of senders, and of recipients
	providers        map[string]bool
	texts            []*store.Attempt // texts of some attempts of the period
	rows             []row

	// Its mail that is tried in the period, after the flood, and what of it waits at the end.
	left  returns
	waits map[pair]bool

	effects map[string]*effect // refusals of its mail, by provider

	volume
}

// An effect is what one provider refused or deferred of the mail of a flood. It is no incident of
// its own.
type effect struct {
	messages    map[uint64]bool // as store.Refusal.Message
	first, last moment
}

// note adds a refusal of the flood's mail to its effects.
func (c *flood) note(r *refusal) {
	e := c.effects[r.provider]
	if e == nil {
		if len(c.effects) >= setSize {
			return
		}
		e = &effect{messages: map[uint64]bool{}, first: r.at}
		c.effects[r.provider] = e
	}
	e.first, e.last = min(e.first, r.at), max(e.last, r.at)
	e.messages[r.message] = true
}

// few reports whether the senders are few enough to be the account's own.
func (c *flood) few() bool { return len(c.addresses) <= floodSenders }

// A volume is the mail of the senders of a flood.
type volume struct {
	tried                    int64   // messages
	arrived, failed, waiting int64   // recipients reached, returned, and with queued mail
	usualTried               float64 // usual messages of a day
	final                    map[pair]bool
	more                     bool // not all was read
}

// A pair is a hash of a message and a recipient of it.
type pair uint64

// messageHash returns a hash of the message of an attempt.
func messageHash(a *store.Attempt, seed maphash.Seed) uint64 {
	return maphash.String(seed, a.Host+"\x00"+a.Instance+"\x00"+a.QueueID)
}

func pairOf(a *store.Attempt, seed maphash.Seed) pair {
	return pair(maphash.String(seed, a.Host+"\x00"+a.Instance+"\x00"+a.QueueID+"\x00"+ascii.Lower(a.Recipient)))
}

// A Sent counts the mail of an account since its flood began, by recipients of messages: each once,
// however often it was tried.
type Sent struct {
	Recipients int64 `json:"recipients"` // the sum of the others
	Delivered  int64 `json:"delivered"`
	Returned   int64 `json:"returned"`
	Waiting    int64 `json:"waiting"` // deferred, and neither delivered nor returned by the end of the period
	// Least: there is more mail than was read.
	Least bool `json:"least,omitempty"`
	// Domains: the sender addresses are forged, so all mail of their domains counts.
	Domains bool `json:"domains,omitempty"`
}

// sent returns the counts of the account's mail.
func (c *flood) sent() *Sent {
	return &Sent{c.arrived + c.failed + c.waiting, c.arrived, c.failed, c.waiting, c.more, !c.few()}
}

// returns counts returned mail.
type returns struct {
	attempts             int64
	reasons              map[bounce.Reason]int64
	first, last          time.Time // of the hours with at least floodHour; last is zero if there is none
	hourBegan            time.Time // first attempt of the last hour
	messages, recipients map[uint64]bool
	hours                []Hour
}

// A floodSearch looks for floods in the period and in its past.
type floodSearch struct {
	s   store.Reader
	f   store.Filter
	o   Thresholds
	all store.Span // span of the store
	end moment     // see newest.end

	seed maphash.Seed
	rows bool // keep the rows behind the figures

	counted    int  // first day of which returned mail was counted
	submitters bool // the log has the login or the client of any returned mail; else its lines may be missing
	found      []*flood
	own        map[store.Ref]*flood // failed attempts of the floods' mail
}

// findFloods finds the accounts that flood among the attempts that match f, or that flooded in the
// past that refusals are compared with. It finds none if f selects by recipient, relay or reason,
// since shares of such a selection prove nothing.
func findFloods(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, end moment, rows bool) (*floodSearch, error) {
	x := &floodSearch{s: s, f: f, o: o, end: end, seed: maphash.MakeSeed(), rows: rows, own: map[store.Ref]*flood{}}
	if f.Domain != "" || f.Relay != "" || f.RelayIP != "" || len(f.Reasons) > 0 || len(f.Outcomes) > 0 || len(f.Recipients) > 0 || f.QueueID != "" || f.MessageID != "" || f.Original != "" {
		return x, nil
	}
	var err error
	if x.all, err = s.Span(ctx, store.Filter{}); err != nil || x.all.IsZero() {
		return x, err
	}
	logins, senders, err := x.returned(ctx)
	if err != nil {
		return nil, err
	}
	senders = ofHost(senders, logins)
	list := append(x.candidates(logins, ofLogin), x.candidates(senders, ofSender)...)
	for _, c := range x.candidates(senders, ofClient) {
		if c.readFrom(senders) {
			list = append(list, c)
		}
	}
	list = slices.DeleteFunc(list, func(c *flood) bool { return !c.possible() })
	before := func(c *flood) int { // the period
		if dayTime(c.days[len(c.days)-1] + 1).After(f.Since) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b *flood) int { // a client before its senders: see partOf
		return cmp.Or(cmp.Compare(before(a), before(b)), cmp.Compare(b.returned, a.returned))
	})
	list = list[:min(len(list), floodsWeighed)]
	if err := x.read(ctx, list); err != nil {
		return nil, err
	}
	for _, c := range list {
		if c.whole.last.IsZero() || slices.ContainsFunc(x.found, c.partOf) {
			continue
		}
		is, err := x.isFlood(ctx, c)
		if err != nil {
			return nil, err
		}
		if !is {
			continue
		}
		x.found = append(x.found, c)
		if err := x.readOwn(ctx, c); err != nil {
			return nil, err
		}
		if len(c.waits) > 0 {
			if err := x.readLeft(ctx, c); err != nil {
				return nil, err
			}
		}
		if c.few() && !c.shown.last.IsZero() {
			if err := x.countWaiting(ctx, c); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

// readOwn reads the failed attempts of the messages that an account sent in the hours of its flood,
// with the later attempts of these messages. A search for refusals leaves them out: see of.
func (x *floodSearch) readOwn(ctx context.Context, c *flood) error {
	f := x.f
	f.Since, f.Outcomes = c.whole.first.Truncate(time.Hour), []bounce.Outcome{bounce.Soft, bounce.Hard}
	f = mailOf(f, c)
	over := c.whole.last.Truncate(time.Hour).Add(time.Hour)
	sent := map[uint64]bool{}
	for a, err := range x.s.Attempts(ctx, f, store.Page{Limit: floodMail}) {
		if err != nil {
			return err
		}
		if c.kind != ofLogin && accountOf(a, c.kind) != c.account {
			continue
		}
		message := messageHash(a, x.seed)
		if a.Time.Before(over) {
			sent[message] = true
		}
		if !sent[message] {
			continue
		}
		x.own[a.Ref()] = c
		if c.shown.last.IsZero() && !a.Time.Before(x.f.Since) {
			c.leave(a, x.seed, x.rows)
		}
	}
	return nil
}

// leave adds a failed attempt of the period to the mail that a flood left in the queue.
func (c *flood) leave(a *store.Attempt, seed maphash.Seed, rows bool) {
	if c.waits == nil {
		c.waits = map[pair]bool{}
	}
	c.left.add(a, seed, 1)
	if c.waits[pairOf(a, seed)] = true; a.Outcome == bounce.Hard {
		delete(c.waits, pairOf(a, seed))
	}
	if rows {
		c.rows = append(c.rows, row{Ref: a.Ref(), message: messageHash(a, seed), recipient: maphash.String(seed, a.Recipient), hard: a.Outcome == bounce.Hard})
	}
	if len(c.texts) < evidenceShown {
		copied := *a
		c.texts = append(c.texts, &copied)
	}
}

// readLeft finds which of the mail that a flood left in the queue was delivered or returned in the
// period. If the senders are forged, only the failed attempts tell.
func (x *floodSearch) readLeft(ctx context.Context, c *flood) error {
	if !c.few() {
		return nil
	}
	f := x.f
	f.Outcomes = final
	_, _, err := x.readAddresses(ctx, c, f, store.Page{Limit: floodMail}, func(a *store.Attempt) bool {
		delete(c.waits, pairOf(a, x.seed))
		return true
	})
	return err
}

// of returns the flood whose effect a refusal is, or nil. A public blocklist and a missing name are
// about the sending address, whoever sends: they remain after the flood, and are incidents.
func (x *floodSearch) of(from *store.Refusal, c *traits) *flood {
	if c.Reason == bounce.RDNSHelo || c.Reason == bounce.Blocklist && !provider.Is(c.provider, c.Detail) {
		return nil
	}
	return x.own[from.Ref()]
}

// problems returns the floods of the period, and the earlier ones whose mail waits and was tried in it.
func (x *floodSearch) problems() (list []Problem) {
	for _, c := range x.found {
		switch {
		case !c.shown.last.IsZero():
			list = append(list, c.problem(x))
		case len(c.waits) >= IncidentLeast:
			list = append(list, c.leftover(x))
		}
	}
	return list
}

// beside says of an incident which floods the same providers refused meanwhile, if it leaves out
// their messages: see of.
func (x *floodSearch) beside(p *Problem) (text string) {
	if reason := p.keys[0].reason; reason == bounce.RDNSHelo || reason == bounce.Blocklist {
		return ""
	}
	since, until := momentOf(p.Began()).add(-x.o.Window), momentOf(p.Until).add(x.o.Window)
	for _, c := range x.found {
		if slices.ContainsFunc(p.Providers, func(name string) bool {
			e := c.effects[name]
			return e != nil && e.first < until && e.last > since
		}) {
			text += " The flood of " + c.label() + " was refused there too; its messages do not count here."
		}
	}
	return text
}

func dayOf(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }

func dayTime(day int) time.Time { return time.Unix(int64(day)*24*60*60, 0).UTC() }

// past returns the first whole day of the past with which a day is compared, and the number of its
// days.
func (x *floodSearch) past(day int) (first, days int) {
	first = max(day-int(x.o.Past/(24*time.Hour)), dayOf(x.all.First.Add(24*time.Hour-time.Second)), min(x.counted, day))
	return first, day - first
}

// returned counts returned recipients by day. It counts by the login or client that submitted the
// mail, both in one query, which reads every failure of the past. If a client in the own network or
// the programs of this host had enough returned on a day, it also counts by sender and client. Of a
// sender's mail without a client, a part may have a login (see ofHost).
func (x *floodSearch) returned(ctx context.Context) (logins, senders []store.Cell, err error) {
	f := x.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, floodReasons
	if !f.Since.IsZero() {
		f.Since = dayTime(dayOf(f.Since) - int(x.o.Past/(24*time.Hour)))
		x.counted = dayOf(f.Since)
	}
	if logins, err = x.s.Count(ctx, f, store.BySASLUser, store.ByClient, store.ByDay); err != nil {
		return nil, nil, err
	}
	x.submitters = slices.ContainsFunc(logins, func(c store.Cell) bool { return c.Keys[0] != "" || c.Keys[1] != "" })
	many, own := false, map[string]int64{}
	for i := range logins {
		if c := &logins[i]; c.Keys[0] == "" && ownClient(c.Keys[1]) {
			many = many || c.Hard >= floodReturned
			own[c.Keys[2]] += c.Hard
		}
	}
	sum := int64(0)
	for _, day := range slices.Backward(slices.Sorted(maps.Keys(own))) {
		if sum += own[day]; sum > floodForged {
			at, err := time.Parse(time.DateOnly, day)
			if err != nil {
				return nil, nil, err
			}
			f.Since = later(f.Since, at.Add(24*time.Hour))
			break
		}
	}
	if many {
		senders, err = x.s.Count(ctx, f, store.BySender, store.ByClient, store.ByDay)
	}
	return logins, senders, err
}

// ofHost limits the counts by sender of mail without a client. A part of it may have been submitted
// with logins: at most as much as the programs of this host submitted on that day is theirs.
func ofHost(senders, logins []store.Cell) []store.Cell {
	local := map[string]int64{}
	for i := range logins {
		if c := &logins[i]; c.Keys[0] == "" && c.Keys[1] == "" {
			local[c.Keys[2]] += c.Hard
		}
	}
	for i := range senders {
		if c := &senders[i]; c.Keys[1] == "" {
			c.Hard = min(c.Hard, local[c.Keys[2]])
		}
	}
	return senders
}

// candidates finds the days on which an account had much more mail returned than before. The first
// key of the cells is the login or the sender, the second the client.
func (x *floodSearch) candidates(cells []store.Cell, kind accountKind) (list []*flood) {
	type count struct{ all, atFault int64 }
	accounts := map[string]map[int]count{} // returned recipients by day
	for i := range cells {
		account, client := cells[i].Keys[0], cells[i].Keys[1]
		day, err := time.Parse(time.DateOnly, cells[i].Keys[2])
		if err != nil || account == "" || kind != ofLogin && (account == "<>" || !ownClient(client)) {
			continue
		}
		switch kind {
		case ofSender:
			account = ascii.Lower(account)
		case ofClient:
			if account = client; !otherHost(client) {
				continue
			}
		}
		if accounts[account] == nil {
			accounts[account] = map[int]count{}
		}
		n := accounts[account][dayOf(day)]
		n.all += cells[i].Hard
		for reason, of := range cells[i].Reasons {
			if reason.AboutAddress() {
				n.atFault += of
			}
		}
		accounts[account][dayOf(day)] = n
	}
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		returned := accounts[name]
		var c *flood
		for _, day := range slices.Sorted(maps.Keys(returned)) {
			n := returned[day].all
			first, days := x.past(day)
			if n < floodReturned {
				continue
			}
			before := int64(0)
			for d, m := range returned {
				if (d >= first || days < floodPast) && d < day && (c == nil || c.short && c.days[len(c.days)-1] != day-1 || !slices.Contains(c.days, d)) {
					before += m.all
				}
			}
			usual := float64(before) / float64(max(days, 1))
			if float64(n) < floodTimes*usual {
				continue
			}
			if c == nil || c.days[len(c.days)-1] != day-1 {
				c = &flood{account: account{name, kind}, usual: usual, short: days < floodPast}
				list = append(list, c)
			}
			c.days = append(c.days, day)
			c.daily = append(c.daily, n)
			c.returned += n
			c.atFault += returned[day].atFault
		}
	}
	return list
}

// possible reports whether an account can flood according to its counts by day. isFlood needs the
// same, but reads the account's mail for that: in a store of few days, where many accounts have
// mail returned from the first day on, 50,000 rows for nothing (0.4 s).
func (c *flood) possible() bool {
	most := int64(0) // of the returned mail of floodBurst hours
	for i, n := range c.daily {
		if i > 0 {
			n += c.daily[i-1]
		}
		most = max(most, n)
	}
	return float64(c.atFault) >= floodInvalid*float64(c.returned) && (!c.short || 2*most >= c.returned)
}

// ownClient reports whether a client is in the own network, or is a program of this host (""). Mail
// that strangers submit is for the mailboxes here, and forwarded from there.
func ownClient(client string) bool {
	return client == "" || bounce.OwnNetwork(client)
}

// otherHost reports whether a client in the own network is another host than this one.
func otherHost(client string) bool {
	ip, err := netip.ParseAddr(client)
	return err == nil && !ip.IsLoopback()
}

// readFrom finds the senders of a client that floods. It reports whether they are so many that the
// client is the account: with few senders, or one with most of the mail, the sender is.
func (c *flood) readFrom(cells []store.Cell) bool {
	c.from = map[string]int64{}
	for i := range cells {
		day, err := time.Parse(time.DateOnly, cells[i].Keys[2])
		if sender := ascii.Lower(cells[i].Keys[0]); err == nil && cells[i].Keys[1] == c.name && sender != "" && sender != "<>" && slices.Contains(c.days, dayOf(day)) {
			c.from[sender] += cells[i].Hard
		}
	}
	senders := slices.SortedFunc(maps.Keys(c.from), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.from[b], c.from[a]), strings.Compare(a, b))
	})
	for _, sender := range senders[min(len(senders), floodFrom):] {
		delete(c.from, sender)
	}
	return len(senders) > floodSenders && 2*c.from[senders[0]] < c.returned
}

// partOf reports whether most returned mail of a sender is a client's whose flood was found.
func (c *flood) partOf(client *flood) bool {
	return c.kind == ofSender && 2*client.from[c.name] > c.returned
}

// during returns a filter for some days, at most to the end of the period.
func (x *floodSearch) during(first, last int) store.Filter {
	f := x.f
	f.Since, f.Until = dayTime(first), dayTime(last+1)
	if !x.f.Until.IsZero() && x.f.Until.Before(f.Until) {
		f.Until = x.f.Until
	}
	return f
}

// An account is the subject of a flood.
type account struct {
	name string
	kind accountKind
}

// An accountKind says what the name of an account is.
type accountKind uint8

const (
	ofLogin  accountKind = iota
	ofSender             // an envelope sender, lower case
	ofClient             // the IP address of a client in the own network
)

// accountOf returns the account of a kind that submitted a message; its name is "" if there is none.
func accountOf(a *store.Attempt, kind accountKind) account {
	switch {
	case kind == ofLogin:
		return account{a.SASLUser, kind}
	case a.SASLUser != "" || !ownClient(a.ClientIP):
		return account{"", kind}
	case kind == ofClient:
		return account{a.ClientIP, kind}
	}
	return account{ascii.Lower(a.Sender), kind}
}

// mailOf makes a filter select the mail of accounts of one kind. It may select other mail too: see
// accountOf.
func mailOf(f store.Filter, accounts ...*flood) store.Filter {
	var names []string
	for _, c := range accounts {
		if c.kind == ofClient {
			names = slices.AppendSeq(names, maps.Keys(c.from))
		} else {
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); accounts[0].kind == ofLogin {
		f.Logins = names
	} else {
		f.Senders = names
	}
	return f
}

// label names an account in a text. Logins and senders are in angle brackets, by which report
// --redact finds them.
func (c *account) label() string {
	if c.kind == ofClient {
		return c.name
	}
	return "<" + c.name + ">"
}

// read reads the mail returned to accounts on the days of their floods. Floods of the same days are
// read together.
func (x *floodSearch) read(ctx context.Context, list []*flood) error {
	type days struct{ first, last int }
	groups := map[days]map[account]*flood{}
	for _, c := range list {
		c.addresses, c.senders, c.domains, c.providers = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
		c.effects = map[string]*effect{}
		k := days{c.days[0], c.days[len(c.days)-1]}
		if groups[k] == nil {
			groups[k] = map[account]*flood{}
		}
		groups[k][c.account] = c
	}
	for k, group := range groups {
		f := x.during(k.first, k.last)
		f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, floodReasons
		before := f // the period
		f.Since = later(f.Since, x.f.Since)
		if x.f.Since.Before(f.Until) {
			before.Until = x.f.Since
		}
		for _, f := range [...]store.Filter{before, f} {
			if !f.Since.Before(f.Until) {
				continue
			}
			for _, kind := range [...]accountKind{ofLogin, ofSender, ofClient} {
				if err := x.readAccounts(ctx, f, group, kind); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readAccounts reads the mail that f selects and that was returned to the accounts of a kind.
func (x *floodSearch) readAccounts(ctx context.Context, f store.Filter, group map[account]*flood, kind accountKind) error {
	var list []*flood
	for who, c := range group {
		if who.kind == kind {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil
	}
	read, n, page := map[*flood]int{}, 0, store.Page{Limit: floodAttempts * len(list)}
	for a, err := range x.s.Attempts(ctx, mailOf(f, list...), page) {
		if err != nil {
			return err
		}
		n++
		if c := group[accountOf(a, kind)]; c != nil && read[c] < floodAttempts {
			read[c]++
			c.add(a, x.seed, !a.Time.Before(x.f.Since), x.rows)
		}
	}
	for _, c := range list {
		c.cut = read[c] == floodAttempts || n == page.Limit
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// add adds a failed attempt of a flood, which may be in the period. It keeps its row if rows is set.
func (c *flood) add(a *store.Attempt, seed maphash.Seed, inPeriod, rows bool) {
	hour := int(max(floodHour, floodTimes*c.usual/24))
	c.whole.add(a, seed, hour)
	if inPeriod {
		c.shown.add(a, seed, hour)
		if rows {
			c.rows = append(c.rows, row{Ref: a.Ref(), message: messageHash(a, seed), recipient: maphash.String(seed, a.Recipient), hard: true})
		}
		if len(c.texts) < evidenceShown {
			copied := *a
			c.texts = append(c.texts, &copied)
		}
	}
	if a.Reason.AboutAddress() && a.Confidence != bounce.Guess {
		c.invalid++
		if !a.Local {
			c.denied++
		}
	}
	if a.SASLUser == "" && a.ClientIP == "" {
		c.local++
	}
	if c.few() {
		c.addresses[ascii.Lower(a.Sender)] = true
	}
	for _, to := range [...]struct {
		set   map[string]bool
		value string
	}{{c.senders, a.SenderDomain}, {c.domains, a.RecipientDomain}, {c.providers, provider.Of(&a.Delivery)}} {
		if len(to.set) < setSize {
			to.set[to.value] = true
		}
	}
}

// add adds a failed attempt; attempts come in the order of time. The flood goes on in an hour with
// at least hourly returned recipients; returned mail before and after such hours is usual.
func (r *returns) add(a *store.Attempt, seed maphash.Seed, hour int) {
	if r.messages == nil {
		r.first, r.messages, r.recipients, r.reasons = a.Time, map[uint64]bool{}, map[uint64]bool{}, map[bounce.Reason]int64{}
	}
	r.attempts++
	r.reasons[a.Reason]++
	r.hours = countHour(r.hours, momentOf(a.Time))
	n := r.hours[len(r.hours)-1].Refused
	if n == 1 {
		r.hourBegan = a.Time
	}
	if n >= hour {
		if r.last.IsZero() {
			r.first = r.hourBegan
		}
		r.last = a.Time
	}
	r.messages[messageHash(a, seed)] = true
	if len(r.recipients) < floodRecipients {
		r.recipients[maphash.String(seed, a.Recipient)] = true
	}
}

// isFlood compares the mail returned to an account with all mail of its senders.
func (x *floodSearch) isFlood(ctx context.Context, c *flood) (is bool, err error) {
	if c.whole.attempts < floodReturned || len(c.domains) < floodDomains {
		return false, nil
	}
	if float64(c.denied) < floodInvalid*float64(c.whole.attempts) || c.short && !c.burst() {
		return false, nil // to read the account's other mail would cost much; a resolver or a table of this side finds no address at all
	}
	if c.few() {
		err = x.countAddresses(ctx, c)
	} else {
		err = x.countDomains(ctx, c)
	}
	if err != nil {
		return false, err
	}
	c.tried = max(c.tried, int64(len(c.whole.messages)))
	final, returned := float64(c.arrived+c.failed), float64(min(c.whole.attempts, c.failed))
	switch {
	case float64(c.invalid) < floodInvalid*final, returned < c.share()*final:
		return false, nil
	case c.short:
		return true, nil
	case c.few():
		if err := x.countPast(ctx, c); err != nil {
			return false, err
		}
	}
	// On its first day a flood is compared with whole usual days. For an account with much mail
	// this would delay the alarm by hours, if the returned mail alone did not show the flood.
	days := float64(len(c.days))
	return float64(c.tried)/days >= floodVolume*c.usualTried || float64(len(c.whole.messages))/days >= c.usualTried, nil
}

// share returns the minimum share of returned mail in a flood.
func (c *flood) share() float64 {
	if c.short {
		return floodMost
	}
	return floodShare
}

// countDomains counts the mail of the sender domains of a flood.
func (x *floodSearch) countDomains(ctx context.Context, c *flood) error {
	first, days := x.past(c.days[0])
	f := x.during(c.days[0], c.days[len(c.days)-1])
	f.Since = dayTime(min(first, c.days[0]))
	if len(c.senders) == 1 {
		for d := range c.senders {
			f.SenderDomain = d
		}
	}
	cells, err := x.s.Count(ctx, f, store.BySenderDomain, store.ByDay)
	for i := range cells {
		cell := &cells[i]
		day, err := time.Parse(time.DateOnly, cell.Keys[1])
		if err != nil || !c.senders[cell.Keys[0]] {
			continue
		}
		if dayOf(day) < c.days[0] {
			c.usualTried += float64(cell.Messages) / float64(days)
		} else {
			c.tried += cell.Messages
			c.arrived += cell.Delivered
			c.failed += cell.Hard
			c.waiting += cell.Pending
		}
	}
	return err
}

// countAddresses counts the mail of the sender addresses of a flood since it began. It counts at
// most the first floodMail attempts, and stops as soon as so much mail has arrived that the
// returned share is too small for a flood (ten accounts among 9.6 million attempts: 0.9 s, without
// the stop 9 s).
func (x *floodSearch) countAddresses(ctx context.Context, c *flood) error {
	f := x.during(c.days[0], c.days[len(c.days)-1])
	f.Since, f.Outcomes = later(f.Since, c.whole.first), final
	c.final = map[pair]bool{}
	messages, end, err := x.readAddresses(ctx, c, f, store.Page{Limit: floodMail}, func(a *store.Attempt) bool {
		if a.Outcome == bounce.Delivered {
			c.arrived++
		} else {
			c.failed++
		}
		c.final[pairOf(a, x.seed)] = true
		return float64(c.whole.attempts) >= c.share()*float64(c.arrived+c.whole.attempts)
	})
	c.tried, c.more = int64(messages), !end.IsZero()
	return err
}

// countWaiting counts the queued mail of the sender addresses of a flood, by at most the first
// floodMail deferrals.
func (x *floodSearch) countWaiting(ctx context.Context, c *flood) error {
	f := x.during(c.days[0], c.days[len(c.days)-1])
	f.Since, f.Outcomes = later(f.Since, c.whole.first), []bounce.Outcome{bounce.Soft}
	deferred := map[pair]bool{}
	_, end, err := x.readAddresses(ctx, c, f, store.Page{Limit: floodMail}, func(a *store.Attempt) bool {
		if k := pairOf(a, x.seed); !c.final[k] {
			deferred[k] = true
		}
		return true
	})
	c.waiting, c.more = int64(len(deferred)), c.more || !end.IsZero()
	return err
}

// countPast counts the earlier mail of the sender addresses of a flood: at most the last floodMail
// attempts, and the days that they cover.
func (x *floodSearch) countPast(ctx context.Context, c *flood) error {
	first, _ := x.past(c.days[0])
	f := x.f
	f.Since, f.Until, f.Outcomes = dayTime(first), dayTime(c.days[0]), final
	messages, end, err := x.readAddresses(ctx, c, f, store.Page{Limit: floodMail, Newest: true}, func(*store.Attempt) bool { return true })
	since := later(f.Since, end)
	c.usualTried = float64(messages) * 24 / max(f.Until.Sub(since).Hours(), 1)
	return err
}

// final are the outcomes after which mail is no longer in the queue.
var final = []bounce.Outcome{bounce.Delivered, bounce.Hard}

// readAddresses reads the attempts that f selects of the sender addresses of a flood while each
// returns true. It returns the number of messages. If the page ended before the mail, it also
// returns the time of the last attempt read.
func (x *floodSearch) readAddresses(ctx context.Context, c *flood, f store.Filter, p store.Page, each func(*store.Attempt) bool) (messages int, end time.Time, err error) {
	f.Senders = slices.DeleteFunc(slices.Sorted(maps.Keys(c.addresses)), func(a string) bool { return a == "" })
	if len(f.Senders) == 0 { // the null sender: notifications
		return 0, end, nil
	}
	seen, n := map[uint64]bool{}, 0
	for a, err := range x.s.Attempts(ctx, f, p) {
		if err != nil {
			return 0, end, err
		}
		if n++; n == p.Limit {
			end = a.Time
		}
		seen[messageHash(a, x.seed)] = true
		if !each(a) {
			break
		}
	}
	return len(seen), end, nil
}

// burst reports whether half of the returned mail came within floodBurst hours.
func (c *flood) burst() bool {
	hours := c.whole.hours
	for i := range hours {
		n := 0
		for _, h := range hours[i:] {
			if h.Time.Sub(hours[i].Time) < floodBurst*time.Hour {
				n += h.Refused
			}
		}
		if 2*int64(n) >= c.whole.attempts {
			return true
		}
	}
	return false
}

// mayBeList reports whether a mailing to an old list explains a flood as well as a stolen password:
// no mail was refused as spam or for the sender, and there is one sender domain.
func (c *flood) mayBeList() bool {
	return c.kind == ofLogin && c.invalid == c.whole.attempts && len(c.senders) == 1
}

// fromHost reports whether programs of this host submitted the mail of a flood, as far as the log has who
// submitted mail: see floodSearch.submitters.
func (c *flood) fromHost() bool { return c.kind == ofSender && 2*c.local > c.whole.attempts }

// problem describes a flood as a Problem.
func (c *flood) problem(x *floodSearch) Problem {
	reason := bounce.NoReason
	for _, r := range slices.Sorted(maps.Keys(c.whole.reasons)) {
		if c.whole.reasons[r] > c.whole.reasons[reason] {
			reason = r
		}
	}
	list := func(set map[string]bool) []string {
		l := slices.Sorted(maps.Keys(set))
		return append([]string{}, slices.DeleteFunc(l, func(s string) bool { return s == "" })...)
	}
	who, by, check := "The account "+c.label(), "sasl-user", "Whether its password was stolen: change it, end its sessions, and look at where it logged in from; then remove what is still queued of it (postqueue -p, exim -bp)."
	switch c.kind {
	case ofClient:
		who, by = "The client "+c.label(), "client"
		check = "What runs on " + c.name + ", which hands this mail in from the own network without a login: a virus, or an abused form or script. Disconnect it, or let this server take its mail only with a login; then remove what is still queued of its mail (postqueue -p, exim -bp)."
	case ofSender:
		who, by = "The sender "+c.label(), "sender"
		check = "Who hands this mail in, from the own network and without a login: behind a content filter the account of that address (change its password, end its sessions), else the form, script or computer that sends. Then remove what is still queued of it (postqueue -p, exim -bp)."
		switch {
		case c.fromHost() && !x.submitters:
			check = "Who hands this mail in: the log has no login and no client of any returned message, as if the lines of smtpd(8) were missing. So it may be an account whose password was stolen (change it, end its sessions), or a form, script or program on this server (Postfix logs its user, pickup: uid=; Exim too, U=). Then remove what is still queued of its mail (postqueue -p, exim -bp)."
		case c.fromHost():
			check = "Which form, script or program on this server sends as this address, without a login: Postfix logs its user (pickup: uid=), Exim too (U=). Close it, then remove what is still queued of its mail (postqueue -p, exim -bp)."
		}
	}
	of := "mail from its sender addresses"
	if !c.few() {
		of = "mail from its sender domains, whoever else writes from them,"
	}
	over := floodOver * time.Hour
	if c.cut { // the end is not known
		over = x.o.Window
	}
	p := Problem{
		Level: Likely, Reason: reason, Cause: causeFlood, Effect: EffectReturned,
		SenderDomains: list(c.senders), Domains: list(c.domains), Providers: list(c.providers), Addresses: []string{},
		Since: c.shown.first, Until: c.shown.last, Ongoing: x.end.sub(momentOf(c.shown.last)) < over,
		Attempts: c.shown.attempts, Messages: len(c.shown.messages), Returned: len(c.shown.messages), Recipients: len(c.shown.recipients),
		ValidRecipients: []string{}, ValidBefore: []string{}, Hours: c.shown.hours, Evidence: evidenceOf(c.texts),
		Summary: fmt.Sprintf("%s sends many times its usual: mail to %s in %s was returned, %d of them because the address is invalid",
			who, table.Count(c.whole.attempts, "recipient"), table.Count(int64(len(c.domains)), "domain"), c.invalid),
		Why: fmt.Sprintf("It had %.0f returned recipients a day before, and %s was %.0f messages a day, now %d; %d of the recipients were reached.",
			c.usual, of, c.usualTried, c.tried/int64(len(c.days)), c.arrived),
		FirstCheck: check, OtherExplanation: "A mailing to a list that is old, bought or mistyped.",
		DisprovedBy: "The owner of the account, who meant to send this mail.",
		Scan:        "bouncelog report --by " + by + " --sort hard",
		Reasons:     c.shown.reasons,
		Sent:        c.sent(),
		rows:        rows{failures: c.rows},
		keys:        []key{{what: floodOf, sender: c.name}},
		Short:       strings.ToLower(who[:1]) + who[1:] + " sends a flood of mail", homemade: true,
	}
	if c.whole.first.Before(p.Since) {
		p.FirstHeard = c.whole.first
	}
	p.Title = p.Short
	if c.fromHost() && x.submitters {
		p.Title += ": a form, script or program on this server"
	}
	if c.short {
		p.Summary = strings.Replace(p.Summary, "sends many times its usual", "sends much mail that is returned", 1)
		p.Why = fmt.Sprintf("Of %s %d recipients were reached meanwhile. There are fewer than %d days before to compare with.", of, c.arrived, floodPast)
	}
	p.Why += c.effectsText()
	if c.mayBeList() {
		p.FirstCheck = "Ask the owner whether a mailing to an old list was meant: then take the returned addresses off it (bouncelog suppress). If not, the password was stolen: change it, end its sessions, look at where it logged in from, and remove what is still queued of it (postqueue -p, exim -bp)."
		p.OtherExplanation = "A stolen password."
		p.Title += ": a mailing to an old list, or a stolen password"
	}
	if !p.Ongoing {
		p.Ended = "since then no more of its mail is returned than usual"
		if c.waiting > 0 && c.few() {
			p.Ended += fmt.Sprintf("; mail of it to %s waits", table.Count(c.waiting, "recipient"))
		}
	}
	return p
}

// leftover describes an earlier flood by its mail that waits in the queue and was tried in the period.
func (c *flood) leftover(x *floodSearch) Problem {
	waiting := int64(len(c.waits))
	c.shown = c.left
	p := c.problem(x)
	p.Ongoing, p.EndedAt, p.Sent = false, c.whole.last, nil
	p.Waiting, p.Returned, p.Effect = int(waiting), 0, EffectDeferred
	p.Ended = fmt.Sprintf("mail of it to %s waits, and was tried %s in this period", table.Count(waiting, "recipient"), table.Count(c.left.attempts, "time"))
	return p
}

// effectsText says which providers refused or deferred mail of the flood, those with the most
// messages first.
func (c *flood) effectsText() string {
	messages := map[uint64]bool{}
	for _, e := range c.effects {
		maps.Copy(messages, e.messages)
	}
	if len(messages) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(c.effects), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(c.effects[b].messages), len(c.effects[a].messages)), strings.Compare(a, b))
	})
	return fmt.Sprintf(" %s refused or deferred %s of it: an effect of the flood, and no incident of its own.",
		nameSome(provider.Names(names), "", "others"), table.Count(int64(len(messages)), "message"))
}
