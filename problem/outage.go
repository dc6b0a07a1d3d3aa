package problem

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
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

// An outage is a fault of the sending side itself: nobody refuses the mail, but it does not leave,
// or does not reach the mailboxes. A failure is one kind of evidence of an outage. Each kind is
// proven in its own way. Proven runs with the same cause are one outage.

// An evidence is the way in which a failure points to its cause.
type evidence uint8

const (
	// stated: the MTA or its relay host says that the sending side is at fault (scope sender,
	// details "own-…", "login" and the like). A few messages are enough.
	stated evidence = iota
	// silent: no host answered. Many unrelated domains fail in the same way, and no mail reaches
	// any other domain in that time. A single domain or provider that is down is no outage.
	silent
	// notFound: according to the reply, the DNS does not know the recipient's domain. It is proven
	// like silent, or by many such domains that took mail earlier or later.
	notFound
	// denied: this server or its mail store does not know a recipient who took mail before.
	denied
	// filtered: a next hop of this side refuses the message for what it is, and many others; see
	// ownrefusal.go.
	filtered
	// unsent: this server itself cannot send the message, and many others; see ownrefusal.go.
	unsent
	// unrelayed: one host refuses to relay mail to many unrelated domains, and takes no other mail.
	unrelayed
	// absent: this server knows no recipient of a domain, and never took mail for that domain.
	absent
	// noRoute: the operating system has no route to an address of the receiver, mostly an IPv6
	// address. No packet left this server. Several domains are enough, even if mail to others
	// leaves by IPv4. If no mail leaves, it is proven like silent.
	noRoute
	// unrouted: no Exim router accepted the address, and the address is not known to have taken
	// mail. This proves nothing by itself; see moveOthers.
	unrouted
	// insecure: no TLS session that this server accepts, with the hosts of one domain. Without a
	// policy, it sends the mail in plaintext then.
	insecure
	// vanished: the DNS does not know the recipient's domain, which took mail before; see findGone.
	vanished
	// broken: the connection broke off while the message was sent; see midmessage.go.
	broken
	// relayed: the relay host takes next to none of the mail that it took before; see relayhost.go.
	relayed
	// unowned: the relay host, or this server, takes next to nothing of one sender domain of which it took mail
	// before, and takes that of others; see unowned.go.
	unowned
	// overQuota: this server or its mail store says that a mailbox which took mail before is full.
	overQuota
	// unreturned: no host answered for a notification of this server, which waits.
	unreturned
	// disowned: the domain's server does not know a recipient, and takes no mail; see findLapses.
	disowned

	evidenceKinds = iota
)

// The causes of outages, as the field Cause names them.
const (
	causeResolver = "resolver"
	causeNetwork  = "network"
	causeRelay    = "relay"
	causeLogin    = "login"
	causeAccount  = "account"
	causeFilter   = "next_hop"
	causeStore    = "mail_store"
	causeHost     = "host"
	causeRoute    = "route"
	causeLoop     = "loop"
	causeTLS      = "tls_policy"
	causeRouter   = "router"
	causeQuota    = "own_quota"
	causeNotices  = "notifications"
	// causeAddresses: the domains do not exist and never took mail.
	causeAddresses = "addresses"
)

// outageCauses are all causes of outages, in the order in which equal outages are shown.
var outageCauses = [...]string{
	causeResolver, causeNetwork, causeRelay, causeLogin, causeFilter, causeStore, causeHost, causeRoute, causeLoop, causeRouter, causeTLS, causeAccount, causeQuota, causeNotices, causeAddresses,
}

// The thresholds of outages. A higher value means fewer outages, unless stated otherwise.
const (
	outageDomains   = 5                // unrelated domains that must fail in a silent outage; also the messages that must leave before it has ended
	outageMessages  = 3                // messages not delivered within outagePassing
	outageMany      = 10               // messages that are proof even without a known recipient
	outageShare     = 0.01             // of the messages of the same time; fewer than outageMany and below this share is only watched
	outageThrough   = 0.05             // of the failures: as many messages may be delivered in an outage; higher: more outages
	outageLasts     = 10 * time.Minute // minimum duration, unless mail is returned
	outagePassing   = 15 * time.Minute // a failure that is delivered within this time only waited for a restart
	outageOneSource = 0.9              // of the replies must name the same host or provider before it is blamed
	outageFurther   = 4                // the past is read this many times further back if an outage began before the first failure read
	outageGap       = time.Hour        // without a failure ends a burst of unknown domains; higher: fewer bursts, each compared with more mail
	outageReached   = 0.9              // of the recipients of the failed mail, at most, must be reached before it has ended; the others may be gone
	outageKnown     = 0.05             // of the messages of the same time, to known domains that are not found: such domains do expire
	outageDenied    = 0.5              // of the messages to a domain whose mailboxes are denied while it takes others
	noticesLeast    = 50               // notifications of this server that wait, at least
	noticesTo       = 20               // recipients of them, at least
	waitingTried    = 8 * time.Hour    // a message that waits is tried again within this time: Exim's default is 6 hours; lower: those that wait are left out
	outageFiltered  = 0.5              // of the messages that a content filter receives
	outageFilters   = 0.25             // of the messages before that: a filter that always refused this share is no outage; lower: fewer outages
)

// The limits of the search for outages (see limits.go).
const (
	failuresKept = 100_000 // of one cause, 100 bytes each, the newest
	runsKept     = 20      // of one cause, the newest
	failureTexts = 32      // failures of one run whose texts are read
	domainsAsked = 100     // domains of one run with denied mailboxes for which deliveries are looked up; those with the most failures
)

// A failure is a failed attempt that may be part of an outage.
type failure struct {
	*store.Traits
	ref           store.Ref
	at            moment
	before, after moment // the recipient's last delivery before the failure, and the first after it; 0: none
	message       uint64 // store.Refusal.Message
	recipient     uint64 // a hash of the address
	address       string // of a recipient who took mail before or afterwards
	unit          string // the registered domain of the recipient; its subdomains count as the same unit
	evidence      evidence
}

func (x *failure) hard() bool { return x.Outcome == bounce.Hard }

// passed reports whether the mail was delivered soon after.
func (x *failure) passed() bool {
	if x.evidence == unowned || x.hard() && (x.evidence == filtered || x.evidence == unsent) { // other mail to the recipient was
		return false
	}
	return x.after != 0 && x.after.sub(x.at) < outagePassing
}

// causeOf returns the cause of an outage to which a failed attempt points, and the kind of
// evidence. The cause is "" if there is none. valid is Thresholds.Valid.
func causeOf(r *store.Refusal, valid time.Duration) (cause string, e evidence) {
	if r.Confidence == bounce.Guess {
		return "", 0
	}
	if r.Code == 0 && !r.NullSender && r.Reason == bounce.Connection && strings.Contains(r.Template, "etwork is unreachable") && // ENETUNREACH
		(r.Detail == "" || r.Detail == "own-network") {
		return causeNetwork, noRoute
	}
	if r.NullSender && r.Code == 0 && r.Outcome == bounce.Soft && r.Scope == bounce.ScopeRemote && (r.Reason == bounce.Connection || r.Reason == bounce.DNSRouting) {
		return causeNotices, unreturned
	}
	switch r.Detail {
	case "own-network": // of a notification
		return "", 0
	case "own-hop":
		return causeFilter, stated
	case "own-store":
		return causeStore, stated
	case "own-route":
		return causeRoute, stated
	case "own-loop":
		return causeLoop, stated
	case "own-tls-policy":
		return causeTLS, stated
	case "own-address":
		return causeNetwork, stated
	case "own-account", "own-limit", "account-limit", "account-locked", "identity":
		return causeAccount, stated
	case "login", "sasl-mechanism", "wrapper-mode":
		if r.Code != 0 && !atOthers(r.Traits) && !provider.Submits(r.RelayPort) {
			return causeFilter, stated // a gateway of this side that took the mail without a login
		}
		if r.Stage > bounce.StageAuth && r.Code != 0 && !provider.Submits(r.RelayPort) {
			return causeLogin, unrelayed // any server that mail goes to may use these words
		}
		return causeLogin, stated
	case judge.DetailContentFilter:
		return causeFilter, filtered
	case "line-length", "smtputf8", "transport-limit":
		if r.Code != 0 || r.Outcome != bounce.Hard || r.NullSender {
			return "", 0
		}
		return causeHost, unsent
	case judge.DetailOwnQuota:
		if r.NullSender || !tookBefore(r, valid) {
			return "", 0
		}
		return causeQuota, overQuota
	case "own-mailbox", "own-relay", "own-table":
		switch {
		case r.Outcome != bounce.Hard:
			return "", 0
		case !tookBefore(r, valid) && r.Detail == "own-table" && !r.NullSender:
			return causeRouter, absent
		case !tookBefore(r, valid):
			return "", 0
		case r.Detail == "own-table" && r.RelayHost == "": // no transport was reached
			return causeRouter, denied
		}
		return causeStore, denied
	}
	switch {
	case judge.OwnDetail(r.Detail) && r.Scope == bounce.ScopeSender:
		return causeHost, stated
	case r.Reason == bounce.RelayDenied && !atOthers(r.Traits):
		return causeFilter, stated
	case r.Reason == bounce.RelayDenied && provider.Submits(r.RelayPort):
		return causeLogin, stated
	case r.Reason == bounce.RateLimited && provider.Submits(r.RelayPort) && limitsAccount(r.Template):
		return causeAccount, stated
	case r.Reason == bounce.RelayDenied && r.Code != 0 && !r.NullSender:
		return causeLogin, unrelayed
	case r.Reason == bounce.TLS && r.Code == 0 && !r.NullSender: // after STARTTLS: this server gives up
		return causeTLS, silent
	case r.Reason == bounce.Connection && r.Code == 0 && !r.NullSender && r.Detail == "" && r.Stage >= bounce.StageData && atOthers(r.Traits):
		return causeNetwork, broken
	case r.Code != 0 || r.NullSender || r.Detail != "" && r.Detail != "unrouteable" || r.Stage > bounce.StageHelo:
	case r.Reason == bounce.DNSRouting && r.Scope == bounce.ScopeRemote:
		return causeResolver, silent
	case r.Reason == bounce.Connection && r.Scope == bounce.ScopeRemote:
		return causeNetwork, silent
	case (r.Reason == bounce.DomainInvalid || r.Reason == bounce.UserUnknown) && r.RelayHost == "" && r.Outcome == bounce.Hard:
		if strings.Contains(r.Template, "ame service error") || strings.Contains(r.Template, "non-existent hosts") {
			return causeResolver, notFound // Postfix's and Exim's words for a DNS answer
		}
		// These are the MTA's own words for an address that it accepted before; the DNS is not
		// involved.
		if tookBefore(r, valid) {
			return causeRouter, denied
		}
		return causeRouter, unrouted
	}
	return "", 0
}

// limitsAccount reports whether a reply about a rate limits the mail of an account, rather than
// connections or the mail to a recipient.
func limitsAccount(template string) bool {
	text := strings.ToLower(template)
	holds := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	return holds("limit", "quota", "credit", "too much mail", "too many messages") && holds("account", "user", "sending", "hour", "dai", "day", "your") &&
		!holds("connection", "recipient", "contact")
}

// tookBefore reports whether the recipient took mail within valid before the attempt.
func tookBefore(r *store.Refusal, valid time.Duration) bool {
	return !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < valid
}

// outageReasons are the reasons of the attempts for which causeOf returns a cause.
var outageReasons = bounce.Reasons(func(r bounce.Reason) bool {
	switch r {
	case bounce.DNSRouting, bounce.Connection, bounce.SystemError, bounce.RelayDenied, bounce.TLS, bounce.ProtocolError, bounce.RateLimited,
		bounce.SenderRejected, bounce.Policy, bounce.Unknown, bounce.DomainInvalid, bounce.UserUnknown, bounce.MailboxDisabled,
		bounce.ContentSpam, bounce.ContentRejected, bounce.MessageTooLarge, bounce.RecipientRestricted, bounce.MailboxFull:
		return true
	}
	return false
})

// An outageSearch holds the failures of a period, by cause.
type outageSearch struct {
	s       store.Reader
	f       store.Filter
	o       Thresholds
	from    moment // failures are read from then on; 0: all
	first   moment // time of the first attempt in the store
	last    moment // time of the last attempt in the store, or the end of the period
	end     moment // see newest.end
	relays  nextHops
	hosts   map[string]bool // see newest.hosts
	causes  map[string][]failure
	theirs  map[string][]lapse // by cause: see theirCauses
	unowned [][]failure        // runs of one sender domain each
	limits  limitCount         // see floodedMailboxes
	seed    maphash.Seed
	reached *reached
	own     map[string]bool // keyed by relay name: see takenByOthers
	gone    *expiries
	took    map[string]bool // domains that took mail, in lower case; true: at a server of others; nil: not read yet
}

// findOutages finds the faults of the sending side among the failed attempts that match f. If an
// outage already goes on at the first failure that was read, findOutages reads more of the past.
func findOutages(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, newest newest, reached *reached, gone *expiries, rows bool) ([]Problem, error) {
	for back := o.Quiet(); ; back = min(outageFurther*back, o.Past) {
		w := &outageSearch{s: s, f: f, o: o, end: newest.end, relays: newest.relays, hosts: newest.hosts, causes: map[string][]failure{}, theirs: map[string][]lapse{}, limits: limitCount{}, seed: gone.seed, reached: reached, gone: gone, own: map[string]bool{}}
		if !f.Since.IsZero() {
			w.from = momentOf(f.Since.Add(-back))
		}
		found, err := w.find(ctx, rows)
		if err != nil || w.from == 0 || back >= o.Past || !slices.ContainsFunc(found, func(p Problem) bool {
			return p.Level != Watch && momentOf(p.Began()).sub(w.from) < o.Window
		}) {
			return found, err
		}
	}
}

// find finds the outages among the failures since w.from.
func (w *outageSearch) find(ctx context.Context, rows bool) (found []Problem, err error) {
	if err := w.read(ctx); err != nil || w.last == 0 {
		return nil, err
	}
	for _, step := range [...]func(context.Context) error{w.findUnowned, w.findRelayHosts, w.moveOthers, w.findGone, w.findLapses} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, cause := range slices.Concat(outageCauses[:], theirCauses) {
		of := w.outages
		if theirs(cause) {
			of = w.lapsed
		}
		outages, err := of(ctx, cause)
		if err == nil && (cause == causeResolver || cause == causeNetwork) {
			outages, err = w.ofOneHost(ctx, cause, outages)
		}
		if err != nil {
			return nil, err
		}
		for _, x := range outages {
			p := x.problem()
			if err := cmp.Or(x.search, w).measure(ctx, x, p); err != nil {
				return nil, err
			}
			if rows {
				p.rows = x.rows(w.last)
			}
			found = append(found, *p)
		}
	}
	flooded, err := w.floodedMailboxes(ctx, rows)
	return append(found, flooded...), err
}

// outages returns the outages with one cause. Runs with different kinds of evidence are one outage
// if less than a window lies between them.
func (w *outageSearch) outages(ctx context.Context, cause string) ([]*outage, error) {
	runs, err := w.runs(ctx, cause)
	if err != nil {
		return nil, err
	}
	type proof struct{ cause, domain string } // the reported cause; the sender domain whose mail alone is refused
	proven := map[proof][][]failure{}
	for _, run := range runs[max(len(runs)-runsKept, 0):] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		told, run, err := w.prove(ctx, cause, run)
		if err != nil {
			return nil, err
		}
		if told != "" {
			of := proof{cause: told}
			if run[0].evidence == unowned {
				of.domain = ascii.Lower(run[0].SenderDomain)
			}
			proven[of] = append(proven[of], run)
		}
	}
	var list []*outage
	for _, of := range slices.SortedFunc(maps.Keys(proven), func(a, b proof) int {
		return cmp.Or(strings.Compare(a.cause, b.cause), strings.Compare(a.domain, b.domain))
	}) {
		for _, run := range w.joined(proven[of]) {
			x, err := w.outage(ctx, of.cause, run)
			if err != nil {
				return nil, err
			}
			if x != nil {
				x.found = cause
				list = append(list, x)
			}
		}
	}
	return list, nil
}

// joined joins runs with the same cause if less than a window lies between them.
func (w *outageSearch) joined(runs [][]failure) (out [][]failure) {
	for _, group := range w.together(runs) {
		run := group[0]
		if len(group) > 1 {
			run = slices.Concat(group...)
			slices.SortStableFunc(run, byRef)
			run = slices.CompactFunc(run, func(a, b failure) bool { return a.ref == b.ref })
		}
		out = append(out, run)
	}
	return out
}

// together splits runs into those with less than a window between one and the next.
func (w *outageSearch) together(runs [][]failure) (groups [][][]failure) {
	slices.SortStableFunc(runs, func(a, b []failure) int { return cmp.Compare(a[0].at, b[0].at) })
	var last moment
	for _, run := range runs {
		if n := len(groups); n > 0 && run[0].at.sub(last) < w.o.Window {
			groups[n-1] = append(groups[n-1], run)
		} else {
			groups = append(groups, [][]failure{run})
			last = 0
		}
		last = max(last, lastOf(run))
	}
	return groups
}

// byRef compares failures by time, then by their places in the logs.
func byRef(a, b failure) int {
	return cmp.Or(cmp.Compare(a.at, b.at), a.ref.Compare(b.ref))
}

// lastOf returns the time of the last failure of a run.
func lastOf(run []failure) (last moment) {
	for i := range run {
		last = max(last, run[i].at)
	}
	return last
}

// read reads the failures. Without any that w.f selects, w.last stays 0.
func (w *outageSearch) read(ctx context.Context) error {
	f, ok := w.f.Restrict(outageReasons)
	if !ok {
		return nil
	}
	all, err := w.s.Span(ctx, store.Filter{})
	if err != nil || all.IsZero() {
		return err
	}
	w.first, w.last = momentOf(all.First), momentOf(all.Last)
	if !f.Until.IsZero() {
		w.last = min(w.last, momentOf(f.Until))
	}
	f.Since = w.from.time() // an outage may have begun before the period
	f.Own = true
	units := map[string]string{}
	for r, err := range w.s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		if !store.MayBeOwn(r.Code, &r.Verdict) { // one engine yields such failures and another does not
			continue
		}
		w.reached.note(r)
		w.limits.add(r)
		cause, e := causeOf(r, w.o.Valid)
		if cause == "" || r.Untried {
			continue
		}
		unit, known := units[r.RecipientDomain]
		if !known {
			unit = provider.OfHost(r.RecipientDomain)
			if len(units) < setSize {
				units[r.RecipientDomain] = unit
			}
		}
		list := w.causes[cause]
		if len(list) == failuresKept { // the newest failures matter
			list = append(list[:0], list[failuresKept/2:]...)
		}
		w.causes[cause] = append(list, w.failureOf(r, e, unit))
	}
	return nil
}

// failureOf makes a failure of a failed attempt.
func (w *outageSearch) failureOf(r *store.Refusal, e evidence, unit string) failure {
	x := failure{
		Traits: r.Traits, ref: r.Ref(), at: momentOf(r.Time), before: momentOf(r.DeliveredBefore), after: momentOf(r.DeliveredAfter),
		message: r.Message, recipient: maphash.String(w.seed, r.Recipient), unit: unit, evidence: e,
	}
	if tookBefore(r, w.o.Valid) || x.after != 0 {
		x.address = r.Recipient
	}
	return x
}

// runs splits the failures with one cause into possible outages. The runs of each kind of evidence
// are in the order of time.
func (w *outageSearch) runs(ctx context.Context, cause string) (runs [][]failure, err error) {
	of := func(kinds ...evidence) (list []failure) {
		for _, x := range w.causes[cause] {
			if slices.Contains(kinds, x.evidence) {
				list = append(list, x)
			}
		}
		return list
	}
	for _, e := range [...]evidence{stated, relayed, denied, noRoute} {
		runs = append(runs, w.byWindow(of(e))...)
	}
	if cause == causeAccount {
		runs = append(runs, w.unowned...)
	}
	returned, err := w.returned(ctx, of(filtered, unsent))
	if err != nil {
		return nil, err
	}
	runs = append(runs, returned...)
	for _, run := range w.byWindow(of(unrelayed)) {
		parts, err := w.refusing(ctx, run)
		if err != nil {
			return nil, err
		}
		runs = append(runs, parts...)
	}
	for _, run := range w.byWindow(of(absent)) {
		parts, err := w.unserved(ctx, run)
		if err != nil {
			return nil, err
		}
		runs = append(runs, parts...)
	}
	runs = append(runs, w.fullMailboxes(of(overQuota))...)
	if run := w.waitingNotices(of(unreturned)); run != nil {
		runs = append(runs, run)
	}
	brokenOff, err := w.brokenOff(ctx, of(broken))
	if err != nil {
		return nil, err
	}
	runs = append(runs, brokenOff...)
	unanswered := of(silent, notFound, noRoute)
	dead, err := w.dead(ctx, unanswered)
	if err != nil {
		return nil, err
	}
	runs = append(runs, dead...)
	if cause == causeTLS {
		parts, err := w.insecureDomains(ctx, of(silent))
		if err != nil {
			return nil, err
		}
		runs = append(runs, parts...)
	}
	if cause == causeResolver {
		known, err := w.knownDomains(ctx, unanswered)
		if err != nil {
			return nil, err
		}
		runs = append(runs, known...)
	}
	return runs, nil
}

// fullMailboxes returns the runs of the mailboxes of this server that are full and got enough mail since.
func (w *outageSearch) fullMailboxes(list []failure) (runs [][]failure) {
	mailboxes := map[uint64][]failure{}
	for _, x := range list {
		mailboxes[x.recipient] = append(mailboxes[x.recipient], x)
	}
	for _, mailbox := range mailboxes {
		for _, run := range w.byWindow(mailbox) {
			if messagesOf(run) >= outageMany {
				runs = append(runs, run)
			}
		}
	}
	slices.SortFunc(runs, func(a, b []failure) int { return byRef(a[0], b[0]) })
	return runs
}

// waitingNotices returns the failures of the notifications of this server that wait at the end, if they are
// many and nearly all mail that reaches no host: a fault of the network or of the resolver stops other mail
// too.
func (w *outageSearch) waitingNotices(list []failure) (run []failure) {
	first, last := map[uint64]moment{}, map[uint64]moment{}
	for i := range list {
		x := &list[i]
		if first[x.message] == 0 {
			first[x.message] = x.at
		}
		if last[x.message] = x.at; x.after != 0 {
			first[x.message] = x.at // its recipient was reached since
		}
	}
	messages, recipients := map[uint64]bool{}, map[uint64]bool{}
	for _, x := range list {
		if at := last[x.message]; w.end.sub(at) < waitingTried && at.sub(first[x.message]) >= time.Hour {
			run = append(run, x)
			messages[x.message], recipients[x.recipient] = true, true
		}
	}
	if len(messages) < noticesLeast || len(recipients) < noticesTo {
		return nil
	}
	others := 0
	for _, cause := range [...]string{causeNetwork, causeResolver} {
		for _, x := range w.causes[cause] {
			if x.at >= run[0].at && x.at <= run[len(run)-1].at {
				others++
			}
		}
	}
	if float64(len(run)) < mostlyShare*float64(len(run)+others) {
		return nil
	}
	return run
}

// insecureDomains returns the runs of failed TLS sessions with the hosts of domains that take no mail
// meanwhile: those of a domain with enough of them and, for the same reply at the same time, of others with
// fewer. Many domains that took mail before need not have enough each.
func (w *outageSearch) insecureDomains(ctx context.Context, list []failure) (runs [][]failure, err error) {
	domains := map[string][]failure{}
	for _, x := range list {
		x.evidence = insecure
		domains[x.RecipientDomain] = append(domains[x.RecipientDomain], x)
	}
	groups := map[string][][]failure{} // runs of one domain each, by template
	for _, domain := range slices.Sorted(maps.Keys(domains)) {
		for _, run := range w.byWindow(domains[domain]) {
			if newOutage(causeTLS, run).proves(w.o) || slices.ContainsFunc(run, func(x failure) bool { return x.before != 0 }) {
				groups[run[0].Template] = append(groups[run[0].Template], run)
			}
		}
	}
	asked := 0
	for _, template := range slices.Sorted(maps.Keys(groups)) {
		for _, group := range w.together(groups[template]) {
			if !w.insecure(group) {
				continue
			}
			var untaken [][]failure
			for _, run := range group {
				if asked++; asked > domainsAsked {
					break
				}
				f := w.during(run)
				f.Domain = run[0].RecipientDomain
				c, err := w.total(ctx, f)
				if err != nil {
					return nil, err
				}
				if c.Delivered == 0 {
					untaken = append(untaken, run)
				}
			}
			if w.insecure(untaken) {
				runs = append(runs, w.joined(untaken)...)
			}
		}
	}
	return runs, nil
}

// insecure reports whether the runs of some domains are enough for an outage: that of one domain, or those
// of many.
func (w *outageSearch) insecure(runs [][]failure) bool {
	return slices.ContainsFunc(runs, func(run []failure) bool { return newOutage(causeTLS, run).proves(w.o) }) || unrelated(slices.Concat(runs...))
}

// dead returns the runs of failures during which no mail reached anybody.
func (w *outageSearch) dead(ctx context.Context, list []failure) (dead [][]failure, err error) {
	runs := slices.DeleteFunc(split(list, w.reachedBetween(list)), func(run []failure) bool {
		return !unrelated(run) || w.reached.interrupts(run)
	})
	if len(runs) == 0 {
		return nil, nil
	}
	f := w.f
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	periods := make([]store.Span, len(runs))
	for i, run := range runs {
		periods[i] = store.Span{First: run[0].at.time(), Last: run[len(run)-1].at.time()}
	}
	counts, err := store.CountPeriods(ctx, w.s, f, periods, store.ByHour, store.ByRelay)
	if err != nil {
		return nil, err
	}
	others, err := w.takenByOthers(ctx, f, periods, counts, 1)
	if err != nil {
		return nil, err
	}
	for i, run := range runs {
		for _, part := range w.withoutDeliveries(run, counts[i], others[i]) { // an intermittent fault is one outage
			if n := len(dead); n > 0 && part[0].at.sub(dead[n-1][len(dead[n-1])-1].at) < w.o.Window {
				dead[n-1] = append(slices.Clip(dead[n-1]), part...)
			} else {
				dead = append(dead, part)
			}
		}
	}
	return dead, nil
}

// knownDomains returns the runs of failures in which many domains are not found although they took
// mail. A run is a burst or, if no burst stands out, all failures of a window.
func (w *outageSearch) knownDomains(ctx context.Context, list []failure) (runs [][]failure, err error) {
	if !unrelated(list) {
		return nil, nil
	}
	if err := w.readDomains(ctx); err != nil {
		return nil, err
	}
	var known []failure
	for _, x := range list {
		if w.knows(&x) {
			known = append(known, x)
		}
	}
	for _, gap := range [...]time.Duration{outageGap, w.o.Window} {
		for _, run := range split(known, func(a, b *failure) bool { return b.at.sub(a.at) >= gap }) {
			if !unrelated(run) {
				continue
			}
			n := float64(messagesOf(run))
			most := n/outageKnown - n // messages that may have arrived
			if float64(w.reached.least(run)) > most {
				continue // 0.7 s for nine runs among ten million attempts, if they are counted
			}
			arrived, err := w.delivered(ctx, w.during(run), int64(most))
			if err != nil {
				return nil, err
			}
			if float64(arrived) <= most {
				runs = append(runs, run)
			}
		}
		if len(runs) > 0 {
			break
		}
	}
	return runs, nil
}

// readDomains reads, once, which domains took mail in the period or in the window before the first
// failure that names a domain. where is the second dimension of the counts: store.ByRelay tells
// whether the server belongs to others, and has more cells to read.
func (w *outageSearch) readDomains(ctx context.Context, where ...store.Dimension) error {
	if w.took != nil {
		return nil
	}
	w.took = map[string]bool{}
	f := w.f
	f.Outcomes, f.Reasons, f.Since = []bounce.Outcome{bounce.Delivered}, nil, w.last.time()
	for _, cause := range [...]string{causeResolver, causeRouter} {
		if list := w.causes[cause]; len(list) > 0 && list[0].at.time().Before(f.Since) {
			f.Since = list[0].at.time()
		}
	}
	f.Since = f.Since.Add(-w.o.Window)
	cells, err := w.s.Count(ctx, f, append(where, store.ByDomain)...)
	if err != nil {
		return err
	}
	var others map[string]bool
	if len(where) > 0 {
		if others, err = w.mostTakenByOthers(ctx, f, cells, 0, math.MaxInt64); err != nil {
			return err
		}
	}
	for i := range cells {
		if c := &cells[i]; c.Delivered > 0 && len(w.took) < setSize {
			domain := ascii.Lower(c.Keys[len(where)])
			w.took[domain] = w.took[domain] || others[c.Keys[0]]
		}
	}
	return nil
}

// knows reports whether the recipient's domain took mail (see readDomains).
func (w *outageSearch) knows(x *failure) bool {
	_, took := w.took[ascii.Lower(x.RecipientDomain)]
	return took || x.address != ""
}

// moveOthers reclassifies the failures of Exim's routers that concern many domains of others. Exim
// says "Unrouteable address" also if the DNS does not know a domain.
func (w *outageSearch) moveOthers(ctx context.Context) error {
	list := w.causes[causeRouter]
	if !unrelated(list) {
		return nil
	}
	if err := w.readDomains(ctx, store.ByRelay); err != nil {
		return err
	}
	var own, others []failure
	for _, x := range list {
		if w.took[ascii.Lower(x.RecipientDomain)] {
			x.evidence = notFound
			others = append(others, x)
		} else {
			own = append(own, x)
		}
	}
	if unrelated(others) {
		w.causes[causeRouter] = own
		others = append(others, w.causes[causeResolver]...)
		slices.SortStableFunc(others, func(a, b failure) int { return cmp.Compare(a.at, b.at) })
		w.causes[causeResolver] = others
	}
	return nil
}

// messagesOf counts the messages of a run.
func messagesOf(run []failure) int {
	messages := map[uint64]bool{}
	for i := range run {
		messages[run[i].message] = true
	}
	return len(messages)
}

// split splits failures between two neighbours for which cut returns true. The parts share their
// memory, without room to append.
func split(list []failure, cut func(a, b *failure) bool) (parts [][]failure) {
	start := 0
	for i := range list {
		if i > 0 && cut(&list[i-1], &list[i]) {
			parts = append(parts, slices.Clip(list[start:i]))
			start = i
		}
	}
	if start < len(list) {
		parts = append(parts, slices.Clip(list[start:]))
	}
	return parts
}

// byWindow splits failures wherever a window passed without one.
func (w *outageSearch) byWindow(list []failure) [][]failure {
	return split(list, func(a, b *failure) bool { return b.at.sub(a.at) >= w.o.Window })
}

// reachedBetween returns a function that reports whether, between two failures, mail reached a
// recipient of any of the failures, or any host answered. It saves a query to the store for most
// runs (on a log of 13 hours, for all 39).
func (w *outageSearch) reachedBetween(list []failure) func(a, b *failure) bool {
	reached := slices.Clone(w.reached.answered)
	if w.f.Host != "" { // another host may have reached the recipients
		list = nil
	}
	for i := range list {
		for _, t := range [...]moment{list[i].before, list[i].after} {
			if t != 0 {
				reached = append(reached, t)
			}
		}
	}
	slices.Sort(reached)
	reached = slices.Compact(reached)
	return func(a, b *failure) bool {
		i, _ := slices.BinarySearch(reached, a.at)
		return i < len(reached) && reached[i] < b.at
	}
}

// unrelated reports whether a run has at least outageDomains messages to as many unrelated domains.
func unrelated(run []failure) bool {
	units, messages := map[string]bool{}, map[uint64]bool{}
	for i := range run {
		x := &run[i]
		messages[x.message] = true
		units[x.unit] = true
		if len(units) >= outageDomains && len(messages) >= outageDomains {
			return true
		}
	}
	return false
}

// withoutDeliveries returns the parts of a run in which no mail reached anybody. The cells count the
// deliveries of its time by hour and relay, and others has the relays of others. It returns the
// whole run if almost no mail was delivered. Otherwise it returns the parts in whole hours without
// a delivery, as far as their messages are unrelated. A message that also failed while other mail
// was delivered does not count: its retries prove nothing new.
func (w *outageSearch) withoutDeliveries(run []failure, cells []store.Cell, others map[string]bool) (parts [][]failure) {
	through := int64(0)
	flows := map[string]bool{} // hours with a delivery
	for i := range cells {
		if c := &cells[i]; c.Delivered > 0 && others[c.Keys[1]] {
			through += c.Delivered
			flows[c.Keys[0]] = true
		}
	}
	if float64(through) <= outageThrough*float64(len(run)) {
		return [][]failure{run}
	}
	var quiet []failure
	again := map[uint64]bool{} // messages that failed while other mail was delivered
	for i := range run {
		if flows[hourKey(run[i].at.time())] {
			again[run[i].message] = true
		} else {
			quiet = append(quiet, run[i])
		}
	}
	flowed := func(a, b *failure) bool {
		for t := a.at.hour(); t.Before(b.at.time()); t = t.Add(time.Hour) {
			if flows[hourKey(t)] || t.Sub(a.at.time()) > w.o.Window {
				return true
			}
		}
		return false
	}
	for _, part := range split(quiet, flowed) {
		fresh := slices.DeleteFunc(slices.Clone(part), func(x failure) bool { return again[x.message] })
		if unrelated(fresh) {
			parts = append(parts, part)
		}
	}
	return parts
}

// hourLayout is the layout of the keys of the cells of store.ByHour.
const hourLayout = "2006-01-02T15:00Z"

// hourKey is the key of an hour in the cells of store.ByHour.
func hourKey(t time.Time) string { return t.UTC().Format(hourLayout) }

// during returns a filter for all attempts in the time of a run.
func (w *outageSearch) during(run []failure) store.Filter {
	f := w.f
	f.Outcomes, f.Reasons = nil, nil
	f.Since, f.Until = run[0].at.time(), run[len(run)-1].at.time().Add(time.Second)
	return f
}

// total counts the attempts that match f.
func (w *outageSearch) total(ctx context.Context, f store.Filter) (store.Counts, error) {
	all, err := store.CountAll(ctx, w.s, f)
	return all.Counts, err
}

// delivered counts the attempts that match f and delivered mail to others. If there are more than
// enough, the result is a lower bound that is enough.
func (w *outageSearch) delivered(ctx context.Context, f store.Filter, enough int64) (n int64, err error) {
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	cells, err := w.s.Count(ctx, f, store.ByRelay)
	if err != nil {
		return 0, err
	}
	others, err := w.mostTakenByOthers(ctx, f, cells, 0, enough)
	if err != nil {
		return 0, err
	}
	for i := range cells {
		if others[cells[i].Keys[0]] {
			n += cells[i].Delivered
		}
	}
	return n, nil
}

// An outage is a proven run and the findings about it.
type outage struct {
	cause    string
	found    string        // the cause that its failures were read for
	host     string        // the mail host that fails, if others deliver
	search   *outageSearch // the search for its mail; nil: that for the mail of all hosts
	believed bool          // the recipients are unknown for good: see lapse
	partial  bool          // the same
	denial   *Denial       // of a lapse of an operator; nil: of one domain
	refusing string        // of a partial lapse: the host that refuses, if another one takes mail
	kinds    [evidenceKinds]bool
	run      []failure        // from its onset to its last failure
	period   []failure        // failures in the requested period, at least one
	texts    []*store.Attempt // texts of its first day; they determine its name
	shown    []*store.Attempt // texts of the period

	expired []expiry // in the period, of messages that failed in the run

	messages, recipients, returned map[uint64]bool // returned: messages that were given up
	valid                          map[uint64]bool // recipients who took mail before or afterwards
	units                          map[string]bool
	sent                           int       // messages other than notifications
	lasting                        int       // messages that were not delivered soon after
	knownDomains                   int       // not found now, though they took mail
	mailboxes                      []string  // in place of counted: the recipients, of full mailboxes of this server
	returner                       *returner // of messages that are refused for their sender, or that this server cannot send: that sender or its domain, in place of counted; nil: several
	counted                        []string  // the recipients' domains that tried, arrived and its end are about; none: all mail
	beside                         int64     // of full mailboxes of this server: all messages of the same time
	tried                          int64     // messages of the same time that the cause concerns, including the failed ones
	selected                       bool      // the search is about the mail to a domain, by a relay or of a sender domain
	nothing                        bool      // no mail at all is delivered on its first day
	arrived                        int64     // of the tried messages; deliveries to the own mail store count if the cause concerns it
}

// newOutage counts the messages and recipients of a run.
func newOutage(cause string, run []failure) *outage {
	x := &outage{
		cause: cause, run: run, messages: map[uint64]bool{}, recipients: map[uint64]bool{}, returned: map[uint64]bool{},
		valid: map[uint64]bool{}, units: map[string]bool{},
	}
	lasting, sent := map[uint64]bool{}, map[uint64]bool{}
	for i := range run {
		a := &run[i]
		if !a.NullSender {
			sent[a.message] = true
		}
		x.messages[a.message], x.recipients[a.recipient], x.units[a.unit] = true, true, true
		x.kinds[a.evidence] = true
		if a.address != "" {
			x.valid[a.recipient] = true
		}
		if a.hard() {
			x.returned[a.message] = true
		}
		if !a.passed() {
			lasting[a.message] = true
		}
	}
	x.lasting, x.sent = len(lasting), len(sent)
	return x
}

// alive reports whether the evidence of an outage is that known domains are not found, rather than
// that no mail is delivered.
func (x *outage) alive() bool {
	return x.cause == causeResolver && x.knownDomains >= outageDomains && float64(x.arrived) > outageThrough*float64(len(x.run))
}

// proves reports whether a run is by itself enough for an outage.
func (x *outage) proves(o Thresholds) bool {
	lasted := x.run[len(x.run)-1].at.sub(x.run[0].at)
	if x.lasting < outageMessages || lasted < outageLasts && len(x.returned) < outageMessages {
		return false
	}
	several := len(x.units) >= outageMessages
	switch {
	case x.kinds[denied]:
		return len(x.recipients) >= o.Recipients
	case x.onlyNoRoute():
		return len(x.units) > 1 && len(x.recipients) >= o.Recipients
	case x.kinds[filtered], x.kinds[unsent]: // see returned
		return len(x.messages) >= outageMany
	case x.cause == causeLogin:
		return several || provider.Submits(x.run[0].RelayPort) || x.run[0].RelayHost == ""
	case outageKinds[x.cause].unrelated:
		least := outageMany
		switch x.cause {
		case causeFilter: // see namesOwnHop
			least = outageMessages
		case causeLoop:
			if len(x.recipients) >= o.Recipients {
				least = outageDomains
			}
		}
		return several || len(x.valid) >= o.Recipients || len(x.recipients) >= outageDomains && len(x.messages) >= outageMany || x.domain() != "" && x.sent >= least
	}
	return true
}

// onlyNoRoute reports whether a missing route of the operating system is the only evidence of an
// outage.
func (x *outage) onlyNoRoute() bool { return x.kinds[noRoute] && !x.kinds[silent] }

// domain returns the domain of an outage whose cause may be that domain's own records. It is "" if
// there are several domains, or if recipients who took mail show that the records were right.
func (x *outage) domain() string {
	here := x.kinds[absent] && !x.kinds[denied] && !x.kinds[notFound]
	if !here && !outageKinds[x.cause].unrelated || len(x.valid) > 0 {
		return ""
	}
	return x.oneDomain()
}

// oneDomain returns the common domain of all recipients, or "" if there are several.
func (x *outage) oneDomain() string {
	for i := range x.run {
		if x.run[i].RecipientDomain != x.run[0].RecipientDomain {
			return ""
		}
	}
	return x.run[0].RecipientDomain
}

// level returns the level of an outage.
func (x *outage) level() string {
	share := float64(len(x.messages)) / float64(x.tried)
	switch {
	case x.kinds[unreturned]:
		return Likely
	case x.kinds[overQuota]:
		if float64(len(x.messages)) < outageShare*float64(x.beside) { // a large server always has some
			return Watch
		}
		return Confirmed
	case len(x.messages) < outageMany && share < outageShare, len(x.recipients) == 1 && share < 0.5:
		return Watch
	case x.kinds[stated], x.kinds[unowned], x.kinds[relayed] && x.cause == causeAccount:
		return Confirmed
	}
	return Likely
}

// prove returns the reported cause of a run and the failures that prove it. The cause is "" if the
// run is no outage.
func (w *outageSearch) prove(ctx context.Context, cause string, run []failure) (told string, proof []failure, err error) {
	kind := run[0].evidence
	x := newOutage(cause, run)
	if !x.proves(w.o) {
		return "", nil, nil
	}
	if kind == denied {
		if run, err = w.deniedAt(ctx, run); err != nil || len(run) == 0 {
			return "", nil, err
		}
		if x = newOutage(cause, run); !x.proves(w.o) {
			return "", nil, nil
		}
	}
	switch {
	case cause == causeResolver && !slices.ContainsFunc(run, func(x failure) bool { return x.evidence == silent || w.knows(&x) }):
		// Many unknown domains and little other mail may be a list with old addresses.
		if len(x.messages) < outageMany || lastOf(run).sub(run[0].at) < outageLasts {
			return "", nil, nil
		}
		// A resolver that says so of domains that exist would say so of one of those that usually get mail, too.
		if len(w.took) >= outageDomains {
			return causeAddresses, run, nil
		}
	case cause == causeFilter && x.domain() != "":
		texts, err := w.lookUp(ctx, run)
		if err != nil || !namesOwnHop(texts) { // a parked domain's MX may be localhost
			return "", nil, err
		}
	case cause == causeNetwork && slices.ContainsFunc(run, func(x failure) bool { return x.evidence == silent }):
		texts, err := w.lookUp(ctx, run)
		if err == nil {
			cause, err = w.oneHop(ctx, texts)
		}
		return cause, run, err
	}
	return cause, run, nil
}

// deniedAt returns the failures of a run at domains whose mailboxes this server no longer knows.
// Such a domain takes no mail at all, or takes less than it refuses, to several recipients, or its
// recipients take mail again later.
func (w *outageSearch) deniedAt(ctx context.Context, run []failure) ([]failure, error) {
	domains := map[string][]failure{}
	for _, x := range run {
		domains[x.RecipientDomain] = append(domains[x.RecipientDomain], x)
	}
	gone := map[string]bool{}
	most := slices.SortedFunc(maps.Keys(domains), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(domains[b]), len(domains[a])), strings.Compare(a, b))
	})
	for _, domain := range most[:min(len(most), domainsAsked)] {
		list := domains[domain]
		recipients, back := map[uint64]bool{}, map[uint64]bool{}
		for i := range list {
			recipients[list[i].recipient] = true
			if list[i].after != 0 && !list[i].passed() {
				back[list[i].recipient] = true
			}
		}
		f := w.during(list)
		f.Domain = domain
		c, err := w.total(ctx, f)
		if err != nil {
			return nil, err
		}
		n := float64(messagesOf(list))
		gone[domain] = c.Delivered == 0 || len(back) >= w.o.Recipients ||
			len(recipients) >= outageDomains && n >= outageDenied*(n+float64(c.Delivered))
	}
	return slices.DeleteFunc(slices.Clone(run), func(x failure) bool { return !gone[x.RecipientDomain] }), nil
}

// filtersMost reports whether a content filter refuses most of its mail during a run, and refused
// much less before.
func (w *outageSearch) filtersMost(ctx context.Context, run []failure) (bool, error) {
	began, until := run[0].at, lastOf(run)
	taken, err := w.passed(ctx, run, began, until.add(time.Second))
	n := float64(messagesOf(run))
	if err != nil || n < outageFiltered*(n+float64(taken)) {
		return false, err
	}
	since := began.add(-w.o.Past)
	before, err := w.passed(ctx, run, since, began)
	if err != nil {
		return false, err
	}
	earlier := slices.DeleteFunc(slices.Clone(w.causes[causeFilter]), func(x failure) bool {
		return x.evidence != filtered || x.RelayHost != run[0].RelayHost || x.at < since || x.at >= began
	})
	refused := float64(messagesOf(earlier))
	if refused+float64(before) < outageMany { // the log begins with the run: then almost nothing may pass
		return n >= outageOneSource*(n+float64(taken)), nil
	}
	return refused < outageFilters*(refused+float64(before)), nil
}

// passed counts the mail that the next hops of a run took. If one has no address, it counts all
// deliveries.
func (w *outageSearch) passed(ctx context.Context, run []failure, since, until moment) (n int64, err error) {
	hosts := map[string]bool{}
	for i := range run {
		hosts[run[i].RelayHost] = true
	}
	if hosts[""] {
		hosts = map[string]bool{"": true}
	}
	f := w.during(run)
	f.Since, f.Until = since.time(), until.time()
	for host := range hosts {
		f.Relay = cmp.Or(host, w.f.Relay)
		c, err := w.total(ctx, f)
		if err != nil {
			return 0, err
		}
		n += c.Delivered + c.Handoff
	}
	return n, nil
}

// some returns failureTexts ascending indexes below n. They are not evenly spaced, since mail may
// go to the same hosts in turn.
func some(n int) (list []int) {
	for i := range min(n, failureTexts) {
		if room := n / failureTexts; room > 1 {
			list = append(list, i*n/failureTexts+i*(i+1)/2%room)
		} else {
			list = append(list, i*n/min(n, failureTexts))
		}
	}
	return list
}

// lookUp reads the texts of some failures.
func (w *outageSearch) lookUp(ctx context.Context, list []failure) ([]*store.Attempt, error) {
	var refs []store.Ref
	for _, i := range some(len(list)) {
		refs = append(refs, list[i].ref)
	}
	return w.s.Lookup(ctx, refs...)
}

// outage makes an outage of a run. It returns nil if no failure is in the period.
func (w *outageSearch) outage(ctx context.Context, cause string, run []failure) (*outage, error) {
	x := newOutage(cause, run)
	for _, a := range run {
		if (w.f.Since.IsZero() || a.at >= momentOf(w.f.Since)) && (w.f.Until.IsZero() || a.at < momentOf(w.f.Until)) {
			x.period = append(x.period, a)
		}
	}
	if len(x.period) == 0 {
		return nil, nil
	}
	var err error
	if x.expired, err = w.expiredOf(ctx, run); err != nil {
		return nil, err
	}
	firstDay, _ := slices.BinarySearchFunc(run, run[0].at.add(w.o.Window), func(a failure, t moment) int { return cmp.Compare(a.at, t) })
	if x.texts, err = w.lookUp(ctx, run[:firstDay]); err != nil {
		return nil, err
	}
	if x.shown = x.texts; len(x.period) < len(run) || firstDay < len(run) {
		if x.shown, err = w.lookUp(ctx, x.period); err != nil {
			return nil, err
		}
	}
	if x.returns() && x.kinds[filtered] {
		x.arrived, err = w.passed(ctx, run, run[0].at, lastOf(run).add(time.Second))
		x.tried = int64(len(x.messages)) + x.arrived
		return x, err
	}
	if x.returns() && x.kinds[unsent] {
		if err := w.findSenders(ctx, x); err != nil {
			return nil, err
		}
	}
	if x.kinds[unowned] {
		one := returnerOf(&run[0])
		x.returner = &one
	}
	if domain := x.domain(); theirs(cause) {
		x.counted = domainsOf(run)
	} else if domain != "" {
		x.counted = []string{domain}
	}
	if x.kinds[overQuota] {
		x.mailboxes = x.addresses()
		all, err := w.total(ctx, w.during(run))
		if err != nil {
			return nil, err
		}
		x.beside = all.Messages
	}
	if err := w.weigh(ctx, x); err != nil {
		return nil, err
	}
	if len(x.counted) == 0 && x.arrived > 0 && (x.kinds[stated] || x.kinds[insecure] || x.kinds[denied]) && len(x.recipients) >= w.o.Recipients { // other mail takes another way
		if domains := domainsOf(run); len(domains) <= namesShown || x.kinds[insecure] { // else they are not named
			x.counted = domains
			err = w.weigh(ctx, x)
		}
	}
	known := map[string]bool{}
	for i := range run {
		if w.knows(&run[i]) {
			known[run[i].unit] = true
		}
	}
	x.knownDomains = len(known)
	f := &w.f
	x.selected = f.Domain != "" || len(f.Domains) > 0 || f.SenderDomain != "" || f.Relay != "" || f.RelayIP != ""
	if x.nothing = x.isAll(); !x.nothing && firstDay < len(run) && err == nil {
		day := newOutage(cause, run[:firstDay])
		day.counted, day.selected, day.returner = x.counted, x.selected, x.returner
		err = w.weigh(ctx, day)
		x.nothing = day.isAll()
	}
	return x, err
}

// expiredOf returns the expired mail that a run had last failed.
func (w *outageSearch) expiredOf(ctx context.Context, run []failure) (list []expiry, err error) {
	all, err := w.gone.all(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	last := map[[2]uint64]moment{}
	for i := range run {
		last[run[i].pair()] = run[i].at
	}
	for i := range all {
		if at, failed := last[all[i].pair()]; failed && all[i].follows(at, w.o.Window) {
			list = append(list, all[i])
		}
	}
	return list, nil
}

// isAll reports whether all mail fails.
func (x *outage) isAll() bool {
	return !x.selected && x.arrived == 0 && int64(len(x.messages)) == x.tried && len(x.counted)+len(x.mailboxes) == 0 && x.returner == nil
}

// about restricts f to the mail that the figures of an outage are about.
func (x *outage) about(f store.Filter) store.Filter {
	if len(x.counted) > 0 { // f selects these domains, since the failures matched it
		f.Domain, f.Domains = "", x.counted
	}
	if len(x.mailboxes) > 0 {
		f.Recipients = x.mailboxes
	}
	if x.returner != nil {
		f = x.returner.about(f)
	}
	return f
}

// weigh counts the mail in the time of an outage.
func (w *outageSearch) weigh(ctx context.Context, x *outage) (err error) {
	f := w.during(x.run)
	f = x.about(f)
	if !x.kind().inner {
		x.arrived, err = w.delivered(ctx, f, math.MaxInt64)
		x.tried = int64(len(x.messages)) + x.arrived
		return err
	}
	c, err := w.total(ctx, f)
	x.tried, x.arrived = max(c.Messages, int64(len(x.messages))), c.Delivered
	return err
}

// oneHop returns the cause of failed connections: causeRelay if they are to the relay host of most
// mail, causeNetwork if they are to many hosts, and "" if one provider is down.
func (w *outageSearch) oneHop(ctx context.Context, texts []*store.Attempt) (string, error) {
	at, replies, named := hops(texts)
	if named == 0 {
		return causeNetwork, nil
	}
	providers := map[string]int{}
	for h, n := range replies {
		providers[provider.OfHost(h.host)] += n
	}
	one := provider.OfHost(at[0].host)
	if float64(providers[one]) < outageOneSource*float64(named) {
		if len(providers) < outageMessages {
			return "", nil
		}
		return causeNetwork, nil
	}
	switch at[0].port {
	case "", "24", "25":
	default:
		return causeRelay, nil
	}
	f := w.f
	f.Outcomes, f.Reasons, f.Since, f.Until = nil, nil, time.Time{}, time.Time{}
	cells, err := w.s.Count(ctx, f, store.ByRelay)
	if err != nil {
		return "", err
	}
	others, err := w.mostTakenByOthers(ctx, f, cells, 0, math.MaxInt64)
	if err != nil {
		return "", err
	}
	var all, here int64
	for i := range cells {
		if c := &cells[i]; others[c.Keys[0]] {
			all += c.Delivered
			if provider.OfHost(c.Keys[0]) == one {
				here += c.Delivered
			}
		}
	}
	if all > 0 && here*2 > all {
		return causeRelay, nil
	}
	return "", nil
}

// measure counts the attempts before and during an outage, and reports whether it has ended. It has
// ended if recipients of the failed mail were reached since or, unless the cause concerns the own
// mail store, if other mail left: more than in a lull of a partial outage (see Course). It has also ended
// if all its mail was delivered and no lull was as long as the present one.
func (w *outageSearch) measure(ctx context.Context, x *outage, p *Problem) error {
	began, until := x.run[0].at, x.run[len(x.run)-1].at
	p.Onset = &Tried{Refused: len(x.messages), Tried: int(x.tried), Since: began.time(), Until: until.time()}
	f := w.during(x.run)
	f.Since, f.Until = began.time().Add(-w.o.Past), began.time()
	f = x.about(f)
	before, err := w.total(ctx, f)
	if err != nil {
		return err
	}
	if before.Messages > 0 {
		p.Before = &Tried{Tried: int(before.Messages), Since: f.Since, Until: began.time().Add(-time.Second)}
		messages := map[uint64]bool{}
		for _, a := range w.causes[x.found] {
			if a.at < began && a.at >= momentOf(f.Since) && (x.returner == nil || a.evidence == x.run[0].evidence && ascii.Lower(a.SenderDomain) == x.returner.domain) && (len(x.counted) == 0 || slices.Contains(x.counted, a.RecipientDomain)) && (len(x.mailboxes) == 0 || x.recipients[a.recipient]) {
				messages[a.message] = true
			}
		}
		p.Before.Refused = min(len(messages), p.Before.Tried)
		if x.denial != nil {
			unknown := f
			unknown.Outcomes, unknown.Reasons = []bounce.Outcome{bounce.Hard}, denialReasons
			if before, err = w.total(ctx, unknown); err != nil {
				return err
			}
			p.Before.Refused = int(before.Hard)
		}
	}

	reached, meanwhile := map[uint64]bool{}, false
	var first moment
	for i := range x.run {
		a := &x.run[i]
		meanwhile = meanwhile || a.after != 0 && a.after <= until
		if a.after > until && a.after <= w.last && !x.returns() && x.returner == nil { // other mail to them is taken all the time
			reached[a.recipient] = true
			if first == 0 || a.after < first {
				first = a.after
			}
		}
	}
	var c Course
	c.Mixed(x.arrived, float64(len(x.messages))/float64(max(x.tried, 1)))
	least := max(outageMessages, int(c.Needed()))
	if x.kinds[stated] && !meanwhile && len(x.messages) >= outageMany { // other mail passed, that to these recipients did not
		least = int((&Course{}).Needed())
	}
	ended := !x.partial && len(reached) >= min(least, int(math.Ceil(outageReached*float64(len(x.recipients)))))
	left := !x.kind().inner && !x.onlyNoRoute() && !x.kinds[broken] || x.returner != nil // else other mail leaves all the time: by IPv4, to others, small messages
	since := f
	since.Since, since.Until = until.time().Add(time.Second), w.last.time().Add(time.Second)
	if !ended && left {
		least := c.Needed()
		if !theirs(x.cause) {
			least = max(least, outageDomains)
		}
		n, err := w.takenSince(ctx, x, since, least)
		if err != nil {
			return err
		}
		ended = n >= least
	}
	late := len(x.expired) == 0 && !slices.ContainsFunc(x.run, func(a failure) bool { return a.hard() || a.after == 0 || a.after > w.last })
	settled := !ended && late && w.last.sub(until) > max(settledAfter, longestGap(x.run))
	if ended && left {
		t, err := w.firstTaken(ctx, since, x.returns())
		if err != nil {
			return err
		}
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	p.Ongoing = !ended && !settled && w.end.sub(until) < w.o.Quiet()
	waiting := map[uint64]bool{}
	for i := range x.period {
		if a := &x.period[i]; !a.hard() && (a.after == 0 || a.after > w.last) && !x.returned[a.message] {
			waiting[a.message] = true
		}
	}
	p.Waiting = len(waiting)
	if !p.Ongoing && late || x.onlyNoRoute() && p.Returned == 0 && 2*p.Waiting < p.Messages { // a retry takes another route
		p.Effect = EffectDelayed
	}
	switch {
	case ended && len(reached) > 0:
		p.Ended = fmt.Sprintf("%s reached since", table.Count(int64(len(reached)), "recipient"))
	case ended:
		p.Ended = "other mail has got through since"
	case settled:
		p.Ended = "all its mail was delivered since"
	case !p.Ongoing:
		p.Ended, p.untried = "no failure since, and too little mail to tell", true
	}
	if (ended || settled) && first != 0 {
		p.EndedAt = first.time()
	}
	return nil
}

// takenSince counts the mail that f selects and that the cause of an outage would have stopped. If it is more
// than enough, the result is a lower bound that is enough.
func (w *outageSearch) takenSince(ctx context.Context, x *outage, f store.Filter, enough int64) (int64, error) {
	switch {
	case !x.returns():
		return w.delivered(ctx, f, enough)
	case x.kinds[filtered]:
		n, err := w.passed(ctx, x.run, momentOf(f.Since), momentOf(f.Until))
		return n / returnedPasses, err
	}
	n, err := w.delivered(ctx, f, returnedPasses*enough)
	return n / returnedPasses, err
}

// longestGap returns the longest time between two failures of a run.
func longestGap(run []failure) (gap time.Duration) {
	for i := 1; i < len(run); i++ {
		gap = max(gap, run[i].at.sub(run[i-1].at))
	}
	return gap
}

// takenRead is the number of deliveries that are read to find the first one to others.
const takenRead = 1000

// firstTaken returns when the first mail that f selects was delivered to others or, if own is set, to a server
// of this side; 0: not known.
func (w *outageSearch) firstTaken(ctx context.Context, f store.Filter, own bool) (moment, error) {
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	for a, err := range w.s.Attempts(ctx, f, store.Page{Limit: takenRead}) {
		if err != nil {
			return 0, err
		}
		if own || !judge.OwnRelay(a.RelayHost) && !judge.OwnServer(&a.Delivery) {
			return momentOf(a.Time), nil
		}
	}
	return 0, nil
}
