package problem

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// An outage is a fault of the sending side itself: nobody refuses the mail, it does not
// get away, or not into the mailboxes. Two kinds of evidence show one.
//
// The MTA or its relay says so (scope sender, details "own-…", "login" and the like):
// then some messages are enough. Or many domains that have nothing to do with each other
// fail in the same way before anybody spoke, and no mail reaches any other meanwhile:
// a single domain that is down, or a single provider, is no outage.

// The causes of outages, as the field cause names them.
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
)

// outageCauses are all of them, in the order in which equal ones are shown.
var outageCauses = [...]string{
	causeResolver, causeNetwork, causeRelay, causeLogin, causeFilter, causeStore, causeHost, causeRoute, causeLoop, causeRouter, causeTLS, causeAccount,
}

const (
	outageDomains   = 5                // unrelated ones that fail, where nobody says that it is ours
	outageMessages  = 3                // that did not pass by themselves
	outageMany      = 10               // messages that prove something without a known recipient
	outageShare     = 0.01             // of the mail of its time; fewer than outageMany and this are watched only
	outageThrough   = 0.05             // of the mail of its time may get through all the same
	outageLasts     = 10 * time.Minute // at least, unless mail is returned
	outagePassing   = 15 * time.Minute // what is delivered so soon waited for a restart
	failuresKept    = 100_000          // of one cause, the newest
	takenKept       = 500_000          // times at which mail was taken
	outageRunsKept  = 20               // of one cause
	outageSamples   = 32               // texts read of one run
	outageOneSource = 0.9              // of the texts that name one host or provider
)

// An outageKind is what is said of outages with one cause.
type outageKind struct {
	place string // where the mail fails; {hop}: the hosts that the texts name
	inner bool   // it is about mail that comes in, too
	// unrelated: only several recipient domains show that it is ours.
	unrelated                           bool
	firstCheck, otherExplanation, proof string
}

var outageKinds = map[string]outageKind{
	causeResolver: {
		place:            "at the DNS look-up: the resolver does not answer",
		firstCheck:       "The resolver of this server: /etc/resolv.conf (and its copy in /var/spool/postfix/etc), whether the name server that it names answers, and whether port 53 is open.",
		otherExplanation: "The network of this server was down, and the name server is behind it.", proof: "A look-up of one of these domains from this server that answers.",
	},
	causeNetwork: {
		place:            "on the way out: no connection to any of the receivers",
		firstCheck:       "Outgoing port 25 from this server (firewall, hosting provider, router): nc -v gmail-smtp-in.l.google.com 25; then its routes and addresses, IPv6 too (Postfix: inet_protocols, smtp_bind_address; Exim: disable_ipv6, interface).",
		otherExplanation: "An outage of the network in between.", proof: "A connection to port 25 of one of these receivers from this server.",
	},
	causeRelay: {
		place:            "at the relay host {hop}",
		firstCheck:       "The relay host and its port (Postfix: relayhost, transport_maps; Exim: route_list, dc_smarthost): does the name lead where it should, is the port open from here, does the provider name another?",
		otherExplanation: "The relay host itself is down.", proof: "Mail that the relay host takes meanwhile.",
	},
	causeLogin: {
		place:            "at the login to the relay host {hop}",
		firstCheck:       "User name and password for the relay host (Postfix: smtp_sasl_auth_enable, smtp_sasl_password_maps and whether postmap was run, smtp_sasl_security_options; Exim: client authenticators, passwd.client).",
		otherExplanation: "The provider locked the account, or wants another port or a password of its own for the program.", proof: "Mail that the relay host takes meanwhile.",
	},
	causeAccount: {
		place:            "at a limit or suspension of the sending account",
		firstCheck:       "The account's limit, suspension or verified senders (with the relay, or in the panel of this server), and what used the limit up: a stolen password, a form, a forwarder.",
		otherExplanation: "A mailing that was larger than usual.", proof: "Mail of the same senders that is taken.",
	},
	causeFilter: {
		place: "at the next hop of this server, {hop}", unrelated: true,
		firstCheck:       "The service at that address and port (content filter, proxy, relay): does it run and listen (ss -ltnp)? Postfix: content_filter, transport_maps, relayhost, master.cf; Exim: route_list, hosts.",
		otherExplanation: "The domains' MX records name a private address.", proof: "Mail that passes that hop meanwhile.",
	},
	causeStore: {
		place: "at the mail store {hop}", inner: true,
		firstCheck:       "The mail store (Dovecot, Cyrus): does it run, is the socket or address there that mailbox_transport, virtual_transport or Exim's LMTP transport names, and may the mail server open it?",
		otherExplanation: "A container that was stopped or renamed.", proof: "Mail that the store takes meanwhile.",
	},
	causeHost: {
		place: "at this server itself", inner: true,
		firstCheck:       "The warning just before these lines in the mail log; then disk space, the owner and permissions of spool and mailboxes, and the service, table or command that is named (Postfix: master.cf, postfix check; Exim: paniclog, exim -bt).",
		otherExplanation: "An upgrade that changed a path, a user or a rule (AppArmor, SELinux).", proof: "Mail that takes the same way meanwhile.",
	},
	causeRoute: {
		place: "at a next hop that is not found, {hop}", unrelated: true, inner: true,
		firstCheck:       "The name of the next hop: a typing error in relayhost, transport_maps, content_filter or mailbox_transport (Exim: route_list, hosts)? Else whether the resolver of this server knows it.",
		otherExplanation: "The domains have one mail exchanger whose name is gone.", proof: "A look-up of that name from this server that answers.",
	},
	causeLoop: {
		place: "in a loop: their MX is this server, which does not know the domain as its own", unrelated: true, inner: true,
		firstCheck:       "mydestination, virtual_mailbox_domains, relay_domains and proxy_interfaces (Exim: local_domains, relay_to_domains): is the domain named there, and is its table readable?",
		otherExplanation: "The domain moved away, and its MX record still names this server.", proof: "Mail to the domain that is delivered meanwhile.",
	},
	causeRouter: {
		place: "in this server's own routing, for recipients who took mail before", inner: true,
		firstCheck:       "The routers and tables of this server: exim -bt ADDRESS (a router that is missing, local_domains), postmap -q ADDRESS TABLE (virtual_mailbox_maps, virtual_alias_maps, relay_recipient_maps).",
		otherExplanation: "The domain, or these mailboxes, were removed on purpose.", proof: "Mail to the domain that is delivered meanwhile.",
	},
	causeTLS: {
		place:            "at the TLS policy of this server",
		firstCheck:       "smtp_tls_security_level and smtp_tls_policy_maps (Exim: hosts_require_tls): which level do they ask for with these destinations, and is there a proxy that strips STARTTLS?",
		otherExplanation: "The receivers do not offer TLS to this address only.", proof: "Mail to the same receivers that is taken with TLS.",
	},
}

// A failure is one failed attempt of an outage.
type failure struct {
	*store.Traits
	ref                store.Ref
	at                 moment
	before, after      moment // the recipient's deliveries; 0: none
	message, recipient uint64
	unit               string // the registered domain of the recipient
}

func (x *failure) hard() bool { return x.Outcome == bounce.Hard }

// passed reports whether the message only waited for a moment.
func (x *failure) passed() bool { return x.after != 0 && x.after.sub(x.at) < outagePassing }

// causeOf is the cause of outage that a failed attempt points to; "": none.
func causeOf(r *store.Refusal, valid time.Duration) string {
	switch r.Detail {
	case "own-hop":
		return causeFilter
	case "own-store":
		return causeStore
	case "own-route":
		return causeRoute
	case "own-loop":
		return causeLoop
	case "own-tls-policy":
		return causeTLS
	case "own-address":
		return causeNetwork
	case "own-account", "own-limit", "account-limit", "identity":
		return causeAccount
	case "login", "sasl-mechanism", "wrapper-mode":
		return causeLogin
	}
	switch {
	case strings.HasPrefix(r.Detail, "own-") && r.Scope == bounce.ScopeSender:
		return causeHost
	case r.Reason == bounce.RelayDenied && provider.Submits(r.RelayPort):
		return causeLogin
	case r.Code != 0 || r.NullSender || r.Detail != "" || r.Stage > bounce.StageHelo:
	case r.Reason == bounce.DNSRouting && r.Scope == bounce.ScopeRemote:
		return causeResolver
	case r.Reason == bounce.Connection && r.Scope == bounce.ScopeRemote:
		return causeNetwork
	case (r.Reason == bounce.DomainInvalid || r.Reason == bounce.UserUnknown) && r.RelayHost == "" && r.Outcome == bounce.Hard:
		// The MTA's own words for an address that it took before; the DNS says nothing.
		if !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < valid && !strings.Contains(r.Template, "ame service error") {
			return causeRouter
		}
	}
	return ""
}

// told reports whether a failure says by itself that the sending side is at fault.
func (x *failure) told(cause string) bool {
	return cause != causeResolver && cause != causeNetwork && cause != causeRouter || x.Scope == bounce.ScopeSender
}

// outageReasons are the reasons of attempts that causeOf knows.
var outageReasons = bounce.Reasons(func(r bounce.Reason) bool {
	switch r {
	case bounce.DNSRouting, bounce.Connection, bounce.SystemError, bounce.RelayDenied, bounce.TLS, bounce.ProtocolError, bounce.RateLimited,
		bounce.SenderRejected, bounce.Policy, bounce.Unknown, bounce.DomainInvalid, bounce.UserUnknown:
		return true
	}
	return false
})

// An outageSearch looks for outages.
type outageSearch struct {
	s      store.Reader
	f      store.Filter
	o      Thresholds
	last   moment // of all attempts there are, or the end of the period
	causes map[string][]failure
	seed   maphash.Seed
	// When recipients of others' servers took mail, as far as the failed attempts say so.
	// They do not say whose mail that was: it is noted where everybody's is asked for.
	taken     []moment
	everybody bool
}

// outages finds the faults of the sending side among the failed attempts that match f.
func outages(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	w := &outageSearch{s: s, f: f, o: o, causes: map[string][]failure{}, seed: maphash.MakeSeed()}
	w.everybody = reflect.DeepEqual(f, store.Filter{Since: f.Since, Until: f.Until, Outcomes: f.Outcomes, Reasons: f.Reasons})
	ok, err := w.read(ctx)
	if err != nil || !ok {
		return nil, err
	}
	var found []Problem
	for _, cause := range outageCauses {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		runs, err := w.runs(ctx, cause)
		if err != nil {
			return nil, err
		}
		for _, run := range runs[max(len(runs)-outageRunsKept, 0):] {
			p, err := w.problem(ctx, cause, run)
			if err != nil {
				return nil, err
			}
			if p != nil {
				found = append(found, *p)
			}
		}
	}
	return found, nil
}

// read reads the failures. It reports whether there may be an outage.
func (w *outageSearch) read(ctx context.Context) (bool, error) {
	f, ok := w.f.Restrict(outageReasons)
	if !ok {
		return false, nil
	}
	all, err := w.s.Span(ctx, store.Filter{})
	if err != nil || all.IsZero() {
		return false, err
	}
	w.last = momentOf(all.Last)
	if !f.Until.IsZero() {
		w.last = min(w.last, momentOf(f.Until))
	}
	if !f.Since.IsZero() {
		f.Since = f.Since.Add(-w.o.Quiet()) // it may have begun before
	}
	units := map[string]string{}
	n := 0
	for r, err := range w.s.Refusals(ctx, f) {
		if err != nil {
			return false, err
		}
		w.note(r)
		cause := causeOf(r, w.o.Valid)
		if cause == "" {
			continue
		}
		n++
		unit, known := units[r.RecipientDomain]
		if !known {
			unit = provider.OfHost(r.RecipientDomain)
			if len(units) < trackedAtMost {
				units[r.RecipientDomain] = unit
			}
		}
		list := w.causes[cause]
		if len(list) == failuresKept { // what is newest matters
			list = append(list[:0], list[failuresKept/2:]...)
		}
		w.causes[cause] = append(list, failure{
			Traits: r.Traits, ref: r.Ref(), at: momentOf(r.Time), before: momentOf(r.DeliveredBefore), after: momentOf(r.DeliveredAfter),
			message: r.Message, recipient: maphash.String(w.seed, r.Recipient), unit: unit,
		})
	}
	slices.Sort(w.taken)
	w.taken = slices.Compact(w.taken)
	return n > 0, nil
}

// note notes when the recipient of a failed attempt took mail.
func (w *outageSearch) note(r *store.Refusal) {
	if !w.everybody || len(w.taken) >= takenKept || !outside(r.RelayHost) {
		return
	}
	for _, t := range [...]time.Time{r.DeliveredBefore, r.DeliveredAfter} {
		if !t.IsZero() {
			w.taken = append(w.taken, momentOf(t))
		}
	}
}

// interrupted reports whether mail was taken in each hour in which a run has failures,
// and more of it than an outage leaves, by what the failed attempts themselves say. That
// answers for 19 of 20 runs, of which there are some hundreds a day, what the store is
// asked for else: it took half of the time of a report.
func (w *outageSearch) interrupted(run []failure) bool {
	first, last := run[0].at, run[len(run)-1].at
	from, _ := slices.BinarySearch(w.taken, first)
	to, _ := slices.BinarySearch(w.taken, last+1)
	taken := w.taken[from:to]
	if float64(len(taken)) <= outageThrough*float64(len(run)) {
		return false
	}
	for i := range run {
		begins := momentOf(run[i].at.time().Truncate(time.Hour))
		if j, _ := slices.BinarySearch(taken, begins); j == len(taken) || taken[j] >= begins.add(time.Hour) {
			return false
		}
	}
	return true
}

// runs parts the failures of one cause into stretches of time that may each be an
// outage.
func (w *outageSearch) runs(ctx context.Context, cause string) ([][]failure, error) {
	list := w.causes[cause]
	var told, silent []failure
	for _, x := range list {
		if x.told(cause) {
			told = append(told, x)
		} else {
			silent = append(silent, x)
		}
	}
	runs := parted(told, func(a, b *failure) bool { return b.at.sub(a.at) >= w.o.Window })
	if cause == causeRouter {
		return parted(silent, func(a, b *failure) bool { return b.at.sub(a.at) >= w.o.Window }), nil
	}
	// Mail got through between two failures where a recipient of either was delivered to.
	var flow []moment
	for i := range silent {
		for _, t := range [...]moment{silent[i].before, silent[i].after} {
			if t != 0 {
				flow = append(flow, t)
			}
		}
	}
	slices.Sort(flow)
	flow = slices.Compact(flow)
	between := func(a, b *failure) bool {
		i, _ := slices.BinarySearch(flow, a.at)
		return i < len(flow) && flow[i] < b.at
	}
	var dead [][]failure
	for _, run := range parted(silent, between) {
		if !unrelated(run) {
			continue
		}
		stretches, err := w.stretches(ctx, run)
		if err != nil {
			return nil, err
		}
		dead = append(dead, stretches...)
	}
	// A fault that comes and goes is one.
	for i, run := range dead {
		if n := len(runs); i > 0 && run[0].at.sub(runs[n-1][len(runs[n-1])-1].at) < w.o.Window {
			runs[n-1] = append(slices.Clip(runs[n-1]), run...)
		} else {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// parted parts failures where cut holds of two that follow each other.
func parted(list []failure, cut func(a, b *failure) bool) (parts [][]failure) {
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

// unrelated reports whether failures are of new messages to many domains that have
// nothing in common: what is tried again and again proves nothing new.
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

// stretches are the parts of a run in which no mail got through to anybody: all of it,
// or else whole hours.
func (w *outageSearch) stretches(ctx context.Context, run []failure) ([][]failure, error) {
	if w.interrupted(run) {
		return nil, nil
	}
	f := w.window(run)
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	cells, err := w.s.Count(ctx, f, store.ByHour, store.ByRelay)
	if err != nil {
		return nil, err
	}
	through := int64(0)
	flows := map[string]bool{}
	for i := range cells {
		if c := &cells[i]; c.Delivered > 0 && outside(c.Keys[1]) {
			through += c.Delivered
			flows[c.Keys[0]] = true
		}
	}
	if float64(through) <= outageThrough*float64(len(run)) {
		return [][]failure{run}, nil
	}
	hour := func(x *failure) string { return x.at.time().UTC().Format("2006-01-02T15:00Z") }
	quiet := slices.DeleteFunc(slices.Clone(run), func(x failure) bool { return flows[hour(&x)] })
	var parts [][]failure
	seen := map[uint64]bool{} // messages that failed in an hour in which other mail got through
	for i := range run {
		if flows[hour(&run[i])] {
			seen[run[i].message] = true
		}
	}
	for _, part := range parted(quiet, func(a, b *failure) bool {
		for t := a.at.time().UTC().Truncate(time.Hour); t.Before(b.at.time()); t = t.Add(time.Hour) {
			if flows[t.Format("2006-01-02T15:00Z")] {
				return true
			}
			if t.Sub(a.at.time()) > w.o.Window {
				return true
			}
		}
		return false
	}) {
		fresh := slices.DeleteFunc(slices.Clone(part), func(x failure) bool { return seen[x.message] })
		if unrelated(fresh) {
			parts = append(parts, part)
		}
	}
	return parts, nil
}

// window selects all attempts in the time of a run.
func (w *outageSearch) window(run []failure) store.Filter {
	f := w.f
	f.Outcomes, f.Reasons = nil, nil
	f.Since, f.Until = run[0].at.time(), run[len(run)-1].at.time().Add(time.Second)
	return f
}

// delivered counts what was delivered to others.
func (w *outageSearch) delivered(ctx context.Context, f store.Filter) (n int64, err error) {
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	cells, err := w.s.Count(ctx, f, store.ByRelay)
	for i := range cells {
		if outside(cells[i].Keys[0]) {
			n += cells[i].Delivered
		}
	}
	return n, err
}

// outside reports whether a relay is another's: it has a name or a public address.
func outside(relay string) bool {
	return relay != "" && relay != "localhost" && !strings.HasPrefix(relay, "127.") && relay != "::1" && !strings.HasPrefix(relay, "/")
}

// hopOf finds the host that the MTA's own words name.
var hopOf = regexp.MustCompile(`(?:connect to |with |host |name=)([A-Za-z0-9._:-]{1,255})(?:\[([A-Za-z0-9._:/-]{1,255})\])?(?::(\d{1,5}))?`)

// A hop is a host with its port, as far as they are known.
type hop struct{ host, port string }

func (h hop) String() string {
	if h.port != "" && h.port != "25" {
		return h.host + ":" + h.port
	}
	return h.host
}

// hops are the hosts that failures met, the most often met first, with how many texts
// name each.
func hops(run []failure, texts []*store.Attempt) (list []hop, n map[hop]int, named int) {
	n = map[hop]int{}
	for _, a := range texts {
		if a == nil {
			continue
		}
		h := hop{host: a.RelayHost}
		if a.RelayPort != 0 {
			h.port = fmt.Sprint(a.RelayPort)
		}
		if m := hopOf.FindStringSubmatch(a.Response); m != nil && (h.host == "" || a.Code == 0 && strings.HasPrefix(a.Response, "connect to ")) {
			h = hop{m[1], m[3]}
			if strings.HasPrefix(m[2], "/") {
				h = hop{host: m[2]}
			}
		}
		if h.host == "" {
			continue
		}
		named++
		n[h]++
	}
	for h := range n {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b hop) int {
		return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a.host, b.host), strings.Compare(a.port, b.port))
	})
	return list, n, named
}

// errorWords are the system's words for what failed; nothing else of a text that others
// may have written gets into a summary.
var errorWords = []string{
	"connection refused", "connection timed out", "operation timed out", "no route to host", "network is unreachable", "host is unreachable",
	"no such file or directory", "permission denied", "no space left on device", "disk quota exceeded", "read-only file system", "cannot assign requested address",
	"host not found, try again", "host not found", "unrouteable address", "mail transport unavailable", "unknown mail transport error", "mail system configuration error",
	"loops back to myself", "authentication failed", "connection reset by peer",
}

func errorWord(texts []*store.Attempt) string {
	n := map[string]int{}
	most := ""
	for _, a := range texts {
		if a == nil {
			continue
		}
		lower := strings.ToLower(a.Response)
		for _, word := range errorWords {
			if strings.Contains(lower, word) {
				if n[word]++; n[word] > n[most] {
					most = word
				}
				break
			}
		}
	}
	return most
}

// problem puts a run into words; nil where it is no outage.
func (w *outageSearch) problem(ctx context.Context, cause string, run []failure) (*Problem, error) {
	kind := outageKinds[cause]
	messages, recipients, units, valid, returned, lasting := map[uint64]bool{}, map[uint64]bool{}, map[string]bool{}, map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	told := false
	for i := range run {
		x := &run[i]
		messages[x.message], recipients[x.recipient], units[x.unit] = true, true, true
		told = told || x.told(cause)
		if x.before != 0 || x.after != 0 {
			valid[x.recipient] = true
		}
		if x.hard() {
			returned[x.message] = true
		}
		if !x.passed() {
			lasting[x.message] = true
		}
	}
	lasted := run[len(run)-1].at.sub(run[0].at)
	if len(lasting) < outageMessages || lasted < outageLasts && len(returned) < outageMessages {
		return nil, nil
	}
	several := len(units) >= outageMessages
	switch {
	case cause == causeTLS && !several,
		cause == causeLogin && !several && !provider.Submits(run[0].RelayPort) && run[0].RelayHost != "",
		kind.unrelated && !several && len(valid) < w.o.Recipients && (len(recipients) < outageDomains || len(messages) < outageMany),
		cause == causeRouter && len(recipients) < w.o.Recipients:
		return nil, nil
	}
	period := slices.DeleteFunc(slices.Clone(run), func(x failure) bool {
		return !w.f.Since.IsZero() && x.at < momentOf(w.f.Since) || !w.f.Until.IsZero() && x.at >= momentOf(w.f.Until)
	})
	if len(period) == 0 {
		return nil, nil
	}

	var refs []store.Ref
	for i := 0; i < len(period); i += max(len(period)/outageSamples, 1) {
		refs = append(refs, period[i].ref)
	}
	texts, err := w.s.Lookup(ctx, refs...)
	if err != nil {
		return nil, err
	}
	at, met, named := hops(run, texts)
	if cause == causeNetwork && !told {
		if cause, err = w.oneHop(ctx, at, met, named); err != nil || cause == "" {
			return nil, err
		}
		kind = outageKinds[cause]
	}

	window := w.window(run)
	if cause == causeRouter {
		// The domain takes no mail at all; else it is these mailboxes.
		for unit := range units {
			f := window
			f.Domain = unit
			if cells, err := w.s.Count(ctx, f); err != nil || len(cells) > 0 && cells[0].Delivered > 0 {
				return nil, err
			}
		}
	}
	cells, err := w.s.Count(ctx, window)
	if err != nil {
		return nil, err
	}
	tried, arrived := int64(len(messages)), int64(0)
	if len(cells) > 0 {
		tried, arrived = max(cells[0].Messages, tried), cells[0].Delivered
	}
	if !kind.inner {
		if arrived, err = w.delivered(ctx, window); err != nil {
			return nil, err
		}
		tried = int64(len(messages)) + arrived
	}
	level := Likely
	if told {
		level = Confirmed
	}
	if share := float64(len(messages)) / float64(tried); len(messages) < outageMany && share < outageShare || len(recipients) == 1 && share < 0.5 {
		level = Watch
	}

	first, last := &period[0], &period[len(period)-1]
	p := &Problem{
		Level: level, Reason: first.Reason, Detail: first.Detail, Cause: cause,
		SenderDomains: []string{}, Providers: []string{}, Addresses: []string{}, ValidRecipients: []string{}, ValidBefore: []string{}, Evidence: []Evidence{},
		Since: first.at.time(), Until: last.at.time(), Attempts: int64(len(period)), Messages: len(messages), Recipients: len(recipients), Returned: len(returned),
		FirstCheck: kind.firstCheck, OtherExplanation: kind.otherExplanation, DisprovedBy: kind.proof,
		keys: []string{"outage " + cause},
	}
	if run[0].at < first.at {
		p.FirstHeard = run[0].at.time()
	}
	p.Domains = distinct(period, func(x *failure) string { return x.RecipientDomain })
	p.Hours = hoursOf(period)
	p.evidence(texts)
	if err := w.course(ctx, p, kind, run, int(tried)); err != nil {
		return nil, err
	}

	place := kind.place
	if names := nameHops(at); names != "" {
		place = strings.ReplaceAll(place, "{hop}", names)
	} else {
		place = strings.NewReplacer(", {hop}", "", " {hop}", "").Replace(place)
	}
	if word := errorWord(texts); word != "" {
		place += " (" + word + ")"
	}
	to := table.Count(int64(len(p.Domains)), "domain")
	if len(p.Domains) == 1 {
		to = p.Domains[0]
	}
	p.Summary = fmt.Sprintf("%d of %s to %s fail %s", len(messages), table.Count(tried, "message"), to, place)
	p.short = fmt.Sprintf("mail to %s fails %s", to, place)
	if arrived == 0 && int64(len(messages)) == tried {
		begin := "Nothing goes out: "
		if kind.inner {
			begin = "Nothing is delivered: "
		}
		p.Summary, p.short = begin+p.Summary, begin+p.short
	}
	switch {
	case cause == causeRouter:
		p.Why = fmt.Sprintf("%s took mail before, this server itself gives up their mail now, and nothing to the domain is delivered meanwhile.", table.Count(int64(len(valid)), "recipient"))
	case told:
		p.Why = "The mail server, or the relay host that it logs in to, says so itself: no receiver was at fault."
	default:
		p.Why = fmt.Sprintf("%d domains that have nothing to do with each other fail in the same way, and %s to others was delivered meanwhile.", len(units), cmp.Or(noneOf(arrived), "nothing"))
	}
	p.Scan = "bouncelog report --reason " + p.Reason.String()
	return p, nil
}

func noneOf(n int64) string {
	if n == 0 {
		return ""
	}
	return "only " + table.Count(n, "message")
}

// oneHop names the cause where connections fail: to the relay host that our mail goes
// through, to many (the network), or, "", to one provider that is down.
func (w *outageSearch) oneHop(ctx context.Context, at []hop, met map[hop]int, named int) (string, error) {
	if named == 0 {
		return causeNetwork, nil
	}
	providers := map[string]int{}
	for h, n := range met {
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
	var all, here int64
	for i := range cells {
		if c := &cells[i]; outside(c.Keys[0]) {
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

// course tells what was tried before an outage, while it lasted, and whether it has
// ended: mail that failed got through since, or where it is about all mail, any.
func (w *outageSearch) course(ctx context.Context, p *Problem, kind outageKind, run []failure, tried int) error {
	began, until := run[0].at.time(), run[len(run)-1].at.time()
	p.Onset = &Tried{Refused: p.Messages, Tried: tried, Since: began, Until: until}
	f := w.window(run)
	f.Since, f.Until = began.Add(-w.o.Past), began
	cells, err := w.s.Count(ctx, f)
	if err != nil {
		return err
	}
	if len(cells) > 0 && cells[0].Messages > 0 {
		p.Before = &Tried{Tried: int(cells[0].Messages), Since: f.Since, Until: began.Add(-time.Second)}
		messages := map[uint64]bool{}
		for _, x := range w.causes[p.Cause] {
			if x.at < run[0].at && x.at >= momentOf(f.Since) {
				messages[x.message] = true
			}
		}
		p.Before.Refused = min(len(messages), p.Before.Tried)
	}

	through := map[uint64]bool{}
	var first moment
	recipients := map[uint64]bool{}
	for i := range run {
		x := &run[i]
		recipients[x.recipient] = true
		if x.after > run[len(run)-1].at && x.after <= w.last {
			through[x.recipient] = true
			if first == 0 || x.after < first {
				first = x.after
			}
		}
	}
	ended := len(through) >= min(outageMessages, len(recipients))
	if !ended && !kind.inner {
		f.Since, f.Until = until.Add(time.Second), w.last.time().Add(time.Second)
		n, err := w.delivered(ctx, f)
		if err != nil {
			return err
		}
		ended = n >= outageDomains
	}
	p.Ongoing = !ended && w.last.sub(run[len(run)-1].at) < w.o.Quiet()
	switch {
	case ended && first != 0:
		p.Ended, p.EndedAt = fmt.Sprintf("%s reached since", table.Count(int64(len(through)), "recipient")), first.time()
	case ended:
		p.Ended = "other mail gets through since"
	case !p.Ongoing:
		p.Ended = "no failure since, and too little mail to tell"
	}
	return nil
}

// evidence takes log lines that read differently, then any.
func (p *Problem) evidence(texts []*store.Attempt) {
	seen := map[string]bool{}
	for _, a := range texts {
		if a == nil {
			continue
		}
		if template, _ := bounce.Split(a.Response); !seen[template] && len(p.Evidence) < evidenceShown {
			seen[template] = true
			p.Evidence = append(p.Evidence, Evidence{a.Source, a.Offset, a.Time, a.Response})
		}
	}
}

// nameHops names up to two hosts.
func nameHops(list []hop) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].String()
	case 2:
		return list[0].String() + " and " + list[1].String()
	}
	return fmt.Sprintf("%s and %d others", list[0], len(list)-1)
}

func distinct(run []failure, of func(*failure) string) []string {
	set := map[string]bool{}
	list := []string{}
	for i := range run {
		if v := of(&run[i]); v != "" && !set[v] && len(set) < trackedAtMost {
			set[v] = true
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

func hoursOf(run []failure) []Hour {
	list := []Hour{}
	for i := range run {
		at := run[i].at.time().UTC().Truncate(time.Hour)
		if n := len(list); n > 0 && list[n-1].Time.Equal(at) {
			list[n-1].Refused++
		} else {
			list = append(list, Hour{at, 1})
		}
	}
	return list
}
