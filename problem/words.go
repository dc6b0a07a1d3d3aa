package problem

import (
	"cmp"
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

// A wording holds the texts of a problem with one cause. In its summary {who} and {mail} stand for
// the mail, {at} for the providers, and {what} for the detail.
type wording struct {
	cause, summary                            string
	firstCheck, otherExplanation, disprovedBy string
}

// namedWords are for refusals that name their cause.
var namedWords = map[bounce.Reason]wording{
	bounce.AuthFailure: {
		cause: causeAuthentication, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "SPF, DKIM and DMARC of the sender domain: do the records name the addresses that send, is every stream signed, do the domains align?",
		otherExplanation: "Mail that was forwarded by others fails SPF without a fault of yours; look whether only forwarded recipients are hit.",
		disprovedBy:      "A delivery to the same provider from the same sender domain and address while the refusals go on.",
	},
	bounce.SenderRejected: {
		cause: causeSender, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "The sender domain in the DNS, from outside: does it exist, has it an MX or address record, and does its server take mail to the sender's address (a callout asks it)? A name of this host only (root@localhost, .local) is not known to others: Postfix myorigin, smtp_generic_maps; Exim qualify_domain, rewriting.",
		otherExplanation: "A resolver of the receivers that fails for a while, or a domain that expired and is registered again.",
		disprovedBy:      "Mail of the same sender domain that these providers take meanwhile.",
	},
	bounce.RDNSHelo: {
		cause: causeIP, summary: "{who} is refused at {at}: the sending address has no fitting name (PTR, HELO)",
		firstCheck:       "The PTR record of the sending address, for IPv6 too, the forward record of that name, and smtp_helo_name or primary_hostname.",
		otherExplanation: "A resolver of the receiver that fails for a while.",
		disprovedBy:      "The PTR and its forward record being right as seen from outside.",
	},
	bounce.Blocklist: {
		cause: causeIP, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "The list's own look-up page for the sending address or domain; then what was sent: a broken form, a stolen password, a bad list.",
		otherExplanation: "A receiver whose resolver the list refuses answers as if everybody were listed.",
		disprovedBy:      "The list not showing the address.",
	},
	bounce.Reputation: { // or the provider's own blocklist
		cause: causeReputation, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "Volume, complaints and bounces of the last days, then SPF, DKIM and DMARC, then the provider's own form.",
		otherExplanation: "A new address or domain has no reputation yet: send less, and steadily.",
		disprovedBy:      "Deliveries to the same provider going on at the usual rate.",
	},
	bounce.ContentSpam: { // see content.go
		cause: causeContent, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "Whose messages these are: one newsletter, one login? Then the message and its links (look the linked domains up on the URL blocklists), the list (did all its readers ask for it?), and List-Unsubscribe.",
		otherExplanation: "A stolen password or a form that sends spam; or a bad reputation of the sender domain, which some providers call spam.",
		disprovedBy:      "The same message to the same provider, taken when it is sent by hand; then it is the number of messages.",
	},
	bounce.ContentRejected: { // see content.go
		cause: causeContent, summary: "{who} is refused at {at}: {what}",
		firstCheck:       "What the reply names: a header or the MIME structure, or an attachment. Then the program that writes these messages, and what changed here just before: a milter, a gateway, a signature, a type of file. Send again what was returned, mended.",
		otherExplanation: "A false alarm of the provider's scanner, or a virus on a computer here.",
		disprovedBy:      "The same message to the same provider, taken when it is sent unchanged.",
	},
}

// ownListCheck is the first check if a provider's own list has the sending address.
const ownListCheck = "The provider's own list: ask it to remove the sending address, by the form or address that the reply names, and send again what was returned. Then why it was listed: volume, complaints and bounces of the days before, a stolen password, a form."

// otherFromWords are for mail that fails DMARC for the domain of its From:, which is not the sender
// domain: see from.go.
var otherFromWords = wording{
	cause: causeAuthentication, summary: "{who} is refused at {at}: {what}",
	firstCheck:       "The list or forwarder that sends this mail: it keeps the author's From: and breaks DKIM. Let it rewrite From: if the author's domain has a DMARC policy of reject or quarantine (Mailman: dmarc_mitigate_action, munge), or send the message on unchanged, so that DKIM passes. The records of the sender domain do not matter. Only if the From: domain is yours: its DKIM signature and its DMARC record.",
	otherExplanation: "A program that writes mail in the name of a domain that has not allowed it, such as a web form with the visitor's address in From:, or forged mail that is sent on.",
	disprovedBy:      "Mail with a From: of the sender domain that is refused in the same way.",
}

// forwardedWords are for mail that was forwarded and failed authentication.
var forwardedWords = wording{
	cause: causeAuthentication, summary: "Forwarded {mail} is refused at {at}: {what}",
	firstCheck:       "Whether the mail is forwarded unchanged and with a rewritten sender (SRS), so that DKIM survives and SPF passes for a domain of yours.",
	otherExplanation: "The original sender's own SPF, DKIM or DMARC is broken, and nothing here is.",
	disprovedBy:      "The same refusals for mail that was not forwarded.",
}

// unrewrittenWords are for forwarded mail whose senders are no longer rewritten.
var unrewrittenWords = wording{
	cause: causeRewriting, summary: "{forwarded}",
	firstCheck:       "The program that rewrites the senders of forwarded mail (SRS): does it run, and is it still configured (Postfix: postsrsd, and sender_canonical_maps and recipient_canonical_maps; Exim: srs_encode in the router or transport that forwards; cPanel, Plesk: the setting SRS)? Send again what was returned.",
	otherExplanation: "Mail of other people's lists, whose senders were rewritten elsewhere before.",
	disprovedBy:      "Rewritten senders (SRS0=) of mail that is forwarded meanwhile.",
}

// forwardedSpamWords are for forwarded mail that is refused for a bad reputation or as spam.
var forwardedSpamWords = wording{
	cause: causeForwarding, summary: "{forwarded}",
	firstCheck:       "The mailboxes that forward: filter spam before it is forwarded, or let the provider fetch them (POP, IMAP) instead; a rewritten sender (SRS) and ARC help little against content.",
	otherExplanation: "The reputation of the sending address is bad for another reason, and only forwarded mail goes to this provider.",
	disprovedBy:      "The same refusals for mail that was not forwarded.",
}

// silentWords are for refusals that name no cause, by the cause that guessCause derives from their
// spread.
var silentWords = map[string]wording{
	causeAuthentication: {
		firstCheck:       "SPF, DKIM and DMARC of the sender domain; then whether a domain blocklist has it.",
		otherExplanation: "Something that all these messages carry, such as a link, is judged spam.",
		disprovedBy:      "Other messages of the same sender domain reaching these providers, or another sender domain refused there.",
	},
	causeIP: {
		firstCheck:       "The sending address: blocklists, its PTR record, and whether mail goes out by IPv6 or by a new address; then the provider's own form.",
		otherExplanation: "A fault at the provider itself, that will pass.",
		disprovedBy:      "Mail of some sender domain reaching the same provider from the same address meanwhile.",
	},
	causeUnknown: {
		firstCheck:       "SPF, DKIM and DMARC of the sender domain; then blocklists of the sending address.",
		otherExplanation: "One message judged spam, or a rule of the recipients' own.",
		disprovedBy:      "Other messages of the same sender domain reaching the same provider.",
	},
}

// Checks for refusals that name no cause that can be checked, of several sender domains.
const (
	// oneReceiverCheck is for mail to one recipient domain.
	oneReceiverCheck = "Ask the postmaster of the receiver, by another way than mail, which rule it is: only its domain is concerned. Then the sending address: blocklists, its PTR record, and whether mail goes out by IPv6 or by a new address. Send again what was returned."
	// allSpamCheck is for mail that is all called spam.
	allSpamCheck = "What all this mail has in common, for it is called spam whoever writes: the sending address (blocklists, its PTR record), a footer, signature or link that each message has; then ask the receiver, by its form or by another way than mail."
)

const spamSummary = "{who} to recipients known to be valid is refused at {at}: {what}"

const silentSummary = "{who} to recipients known to be valid is refused at {at}, and no cause is named"

const unprovenSummary = "{who} is refused at {at}, and no cause is named"

// words returns the wording for an incident with this reason, detail and cause.
func (in *incident) words(reason bounce.Reason, detail, cause string) wording {
	if !in.named() {
		w := silentWords[cause]
		w.cause, w.summary = cause, silentSummary
		if in.unproven {
			w.summary = unprovenSummary
		}
		several := cause == causeIP
		counts := countTraits(in.all)
		if several && len(domainsOfTraits(counts)) == 1 {
			w.firstCheck = oneReceiverCheck
		}
		if in.callsSpam() {
			w.summary, w.firstCheck = spamSummary, namedWords[bounce.ContentSpam].firstCheck
			if several {
				w.firstCheck = allSpamCheck
			}
		}
		return w
	}
	w := namedWords[reason]
	if in.standing() {
		w = namedWords[bounce.Reputation]
		if reason == bounce.Blocklist || in.firstStage() != bounce.NoReason {
			w.firstCheck = ownListCheck
		}
	}
	if len(in.froms) > 0 {
		w = otherFromWords
	}
	if in.forwarded {
		w = forwardedWords
	}
	if in.spam {
		w = forwardedSpamWords
	}
	if in.unrewritten {
		w = unrewrittenWords
	}
	if reason == bounce.Blocklist && isDomainList(detail) {
		w.cause = causeReputation
	}
	return w
}

// callsSpam reports whether most replies of an incident without a named cause call the mail spam.
func (in *incident) callsSpam() bool {
	spam, all := 0, 0
	for _, c := range countTraits(in.all) {
		if all += c.n; c.Reason == bounce.ContentSpam {
			spam += c.n
		}
	}
	return !in.named() && in.level == Likely && float64(spam) >= spamShare*float64(all)
}

// spamShare is the minimum share of the refusals that call the mail spam, if the title does.
const spamShare = 0.75

// actionsShare is the minimum share of the refusals that know the same actions; lower: the check of an
// incident is more often about some of its refusals only.
const actionsShare = 0.75

// actionsOf returns the actions that the details of refusals for a reason know, if most know the same;
// else "".
func actionsOf(counts []traitCount, reason bounce.Reason) string {
	all := 0
	n := map[string]int{}
	for _, c := range counts {
		if c.Reason == reason {
			all += c.n
			n[strings.Join(judge.DetailActions(c.Verdict), " ")] += c.n
		}
	}
	for do := range n {
		if float64(n[do]) >= actionsShare*float64(all) {
			return do
		}
	}
	return ""
}

// addressesOf returns the distinct addresses of the recipients of some refusals, in order. The
// result is never nil, so that JSON has a list.
func addressesOf(refusals []*refusal, seen *counter, of func(*refusal) bool) []string {
	list := []string{}
	seen.each(refusals, func(r *refusal) (uint64, bool) { return r.recipient, of(r) }, func(r *refusal) { list = append(list, r.address) })
	slices.Sort(list)
	return list
}

// problem describes an incident as a Problem.
func (in *incident) problem(o Thresholds, seen *counter) Problem {
	counts := countTraits(in.refusals)
	all := countTraits(in.all)
	s := spreadOf(all)
	// One incident keeps one name, so its reason is the reason of its first day.
	say := countTraits(between(in.all, in.began, in.began.add(o.Window)))
	if in.named() { // see absorb and joinVague
		silent := func(c traitCount) bool {
			return c.Reason.HidesCause() && c.Reason != in.keys[0].reason && !in.forwarded || in.isVague(c)
		}
		if say = slices.DeleteFunc(say, silent); len(say) == 0 {
			say = slices.DeleteFunc(slices.Clone(all), silent)
		}
	}
	reason := commonest(say, func(c traitCount) bounce.Reason { return c.Reason })
	detail := commonest(say, func(c traitCount) string { return c.Detail })
	cause, why := in.guessCause(s)
	w := in.words(reason, detail, cause)
	if do := actionsOf(say, reason); do != "" && in.named() && !in.spam && !in.forwarded && len(in.froms) == 0 {
		w.firstCheck = do
	}
	p := Problem{
		Level: in.level, Reason: reason, Detail: detail, Cause: w.cause, Effect: EffectRefused,
		SenderDomains: s.senders, Providers: s.providers, Domains: domainsOfTraits(counts),
		Since: in.refusals[0].at.time(), Until: in.refusals[len(in.refusals)-1].at.time(), Ongoing: in.ongoing, EndUnknown: in.ongoing && in.unknown, Before: in.before, Onset: in.onset, Everybody: in.everybody,
		Attempts: int64(len(in.refusals)), Messages: seen.count(in.refusals, anyMessage),
		Recipients: seen.count(in.refusals, anyRecipient), Returned: seen.count(in.refusals, lostMessage), Hours: []Hour{},
		Evidence: in.evidence(), Addresses: in.namedMost(func(x *sample) []string { return x.addresses }),
		FirstCheck: w.firstCheck, OtherExplanation: w.otherExplanation, DisprovedBy: w.disprovedBy,
		Reasons: map[bounce.Reason]int64{}, keys: in.keys, Origins: in.origins, FromDomains: in.froms,
	}
	p.Waiting = seen.count(in.refusals, harmedMessage) - p.Returned
	p.Returned, p.Expired = p.Returned+in.expiredOnly(), len(in.expired)
	p.prompt, p.delayed, p.peak = seen.count(in.all, lateMessage) < IncidentLeast, in.delayed(seen), in.peak()
	var at store.Stream
	from(&at, in.refusals)
	p.refusedAt = &store.Destination{Relays: at.Relays, Domains: at.Domains}
	if relays := distinctTraits(counts, func(c traitCount) string { return ascii.Lower(c.RelayHost) }); len(relays) == 1 {
		p.relay = relays[0]
	}
	if in.defers() && p.Returned == 0 {
		p.Effect = EffectDeferred
	}
	for _, c := range counts {
		p.Reasons[c.Reason] += int64(c.n)
	}
	p.Older = seen.count(between(in.all, in.began, in.refusals[0].at), anyMessage) + p.Messages - seen.count(between(in.all, in.began, in.refusals[len(in.refusals)-1].at+1), anyMessage)
	for _, r := range in.refusals {
		p.Hours = countHour(p.Hours, r.at)
	}
	if began := in.began.time(); began.Before(p.Since) {
		p.FirstHeard = began
	}
	p.ValidRecipients = addressesOf(in.refusals, seen, func(r *refusal) bool { return r.took })
	p.ValidBefore = addressesOf(in.refusals, seen, func(r *refusal) bool { return r.took && r.before != 0 })
	p.Why = in.why(&p, s, why, o)
	if !p.Ongoing {
		p.Ended, p.EndedAt = in.ended(), in.endedAt.time()
		p.untried = in.endedAt == 0
	}
	what := in.what(reason, detail, len(s.providers))
	p.Summary = in.summary(&p, w, what)
	p.Short, p.Title = in.titles(all, what)
	if in.spam {
		mail := "forwarded mail"
		if len(in.originals) == 1 {
			mail = "mail forwarded from " + in.originals[0]
		}
		does := EffectRefused
		if in.defers() {
			does = EffectDeferred
		}
		p.Title = mail + " is " + does + " as spam at " + strings.Join(provider.Names(p.Providers), ", ")
		if in.unrewritten {
			when := "no longer"
			if !in.rewrote {
				when = "not"
			}
			at := "many providers" // their names would differ each day
			if len(p.Providers) <= namesShown {
				at = nameSome(provider.Names(p.Providers), "", "")
			}
			p.Title = mail + ", whose senders are " + when + " rewritten (SRS), is " + does + " at " + at
		}
		p.Short, p.homemade = p.Title, true
		p.SenderDomains = []string{} // the senders are strangers
	}
	if p.Reason == bounce.AuthFailure {
		p.selectors = in.namedMost(func(x *sample) []string { return x.selectors })
	}
	p.Scan = nextCommand(&p)
	if in.spam || len(in.froms) > 0 || in.content() && p.Reason == bounce.ContentRejected {
		p.Scan = "bouncelog report --reason " + p.Reason.String()
	}
	return p
}

func (in *incident) summary(p *Problem, w wording, what string) string {
	if in.spam {
		return in.forwardedSummary(p)
	}
	from := ""
	switch n := len(p.SenderDomains); {
	case n == 0:
	case n <= SendersNamed:
		from = " from " + strings.Join(p.SenderDomains, ", ")
	default:
		from = fmt.Sprintf(" from %d sender domains", n)
	}
	at := strings.Join(provider.Names(p.Providers), ", ")
	if len(p.Providers) > SendersNamed {
		at = fmt.Sprintf("%d providers", len(p.Providers))
	}
	text := w.summary
	if p.Effect == EffectDeferred {
		text = strings.Replace(text, " is refused ", " is deferred ", 1)
	}
	if len(in.froms) > 0 {
		from = strings.TrimPrefix(in.withFrom(strings.TrimPrefix(from, " from ")), "mail")
	}
	return strings.NewReplacer("{who}", "Mail"+from, "{mail}", "mail"+from, "{at}", at, "{what}", what).Replace(text)
}

// titles returns the names of refusals without and with their cause. They have no figures, which
// would differ each day. The names are in the order of the harm in the first hour, and later ones in
// that of their first refusals: so a title that was told stays.
func (in *incident) titles(all []traitCount, what string) (short, title string) {
	firstHour := countTraits(between(in.all, in.began, in.began.add(time.Hour)))
	providers := worstOf(firstHour, all, func(c traitCount) string { return c.provider })
	verb := " refuse"
	if in.defers() {
		verb = " defer"
	}
	if len(providers) <= 1 {
		verb += "s"
	}
	verb += " "
	mail := nameSome(worstOf(firstHour, all, func(c traitCount) string { return c.SenderDomain }), "our mail", "")
	if len(in.froms) > 0 {
		mail = in.withFrom(mail)
	}
	short = nameSome(provider.Names(providers), "the receiver", "others") + verb + mail
	return short, short + ": " + cmp.Or(what, "no cause named")
}

// defers reports whether the receivers only defer the mail: in the first day of an incident, which
// gives it its name, each reply is a 4xx and the MTA tries again.
func (in *incident) defers() bool {
	return !slices.ContainsFunc(between(in.all, in.began, in.began.add(24*time.Hour)), func(r *refusal) bool { return r.hard || r.Code >= 500 })
}

// namesShown is how many providers or sender domains a title names.
const namesShown = 3

// worstOf returns distinct values of traits, without "". Values of the first hour come first,
// ordered by lost and then by refused mail of that hour; later values follow in their order. It
// returns at most namesShown+1 values.
func worstOf(firstHour, all []traitCount, of func(traitCount) string) (list []string) {
	lost, refused := map[string]int{}, map[string]int{}
	for _, c := range firstHour {
		refused[of(c)] += c.n
		if c.Outcome == bounce.Hard {
			lost[of(c)] += c.n
		}
	}
	delete(refused, "")
	list = slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(lost[b], lost[a]), cmp.Compare(refused[b], refused[a]), strings.Compare(a, b))
	})
	for _, c := range all {
		if v := of(c); v != "" && len(list) <= namesShown && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list[:min(len(list), namesShown+1)]
}

// nameSome joins up to namesShown names. If there are more, it names the first and says that there
// are others.
func nameSome(names []string, none, others string) string {
	switch n := len(names); {
	case n == 0:
		return none
	case n == 1:
		return names[0]
	case n <= namesShown:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	case others == "":
		return "many sender domains"
	}
	return strings.Join(names[:namesShown-1], ", ") + " and " + others
}

// what names the subject of the replies in a few words: the authentication that fails, the list
// with the address, or the reputation; providers is the number of providers that refuse. It is "" for
// other reasons.
func (in *incident) what(reason bounce.Reason, detail string, providers int) string {
	switch {
	case reason == bounce.AuthFailure && detail == "":
		return "authentication does not pass"
	case reason == bounce.AuthFailure && detail == "spf-dkim":
		return "SPF and DKIM do not pass"
	case reason == bounce.AuthFailure && detail == "alignment":
		return "its From domain is not aligned"
	case reason == bounce.AuthFailure && detail == "temperror":
		return "its SPF, DKIM or DMARC records could not be looked up"
	case reason == bounce.AuthFailure:
		return strings.ToUpper(detail) + " does not pass"
	case reason == bounce.SenderRejected:
		return "the sender's address is not accepted"
	case in.standing():
		list := "listed on its own blocklist"
		if providers > 1 {
			list = "listed on their own blocklists"
		}
		switch first := in.firstStage(); {
		case first == bounce.Blocklist:
			return list + ", then bad reputation"
		case first == bounce.Reputation:
			return "bad reputation, then " + list
		case reason == bounce.Blocklist:
			return list
		}
		return "bad reputation"
	case reason == bounce.Blocklist:
		return "listed by " + cmp.Or(detail, "a blocklist")
	case reason == bounce.RDNSHelo:
		return "no matching PTR or HELO name"
	case reason == bounce.ContentRejected && in.content():
		return "content refused"
	case in.content(), in.callsSpam():
		return "called spam"
	}
	return ""
}

// firstStage returns, for a provider's own judgement of the sending address, the reason of its replies
// before they changed to the other one of bounce.Blocklist and bounce.Reputation, in its first day, which
// gives it its name. It is NoReason if they did not change once.
func (in *incident) firstStage() bounce.Reason {
	if !in.standing() {
		return bounce.NoReason
	}
	var began, until [bounce.NumReasons]moment
	n := map[bounce.Reason]map[uint64]bool{bounce.Blocklist: {}, bounce.Reputation: {}}
	for _, r := range between(in.all, in.began, in.began.add(24*time.Hour)) {
		if n[r.Reason] == nil {
			continue
		}
		if len(n[r.Reason]) == 0 {
			began[r.Reason] = r.at
		}
		until[r.Reason] = r.at
		n[r.Reason][r.message] = true
	}
	switch {
	case len(n[bounce.Blocklist]) < IncidentLeast || len(n[bounce.Reputation]) < IncidentLeast:
	case until[bounce.Blocklist] < began[bounce.Reputation]:
		return bounce.Blocklist
	case until[bounce.Reputation] < began[bounce.Blocklist]:
		return bounce.Reputation
	}
	return bounce.NoReason
}

// forwardedSummary returns from and to how many addresses the mail was forwarded, as far as the
// texts were read.
func (in *incident) forwardedSummary(p *Problem) string {
	from := ""
	switch n := len(in.originals); {
	case n == 1:
		from = " from " + in.originals[0]
	case n > 1 && in.allOriginals:
		from = " from " + addresses(n)
	case n > 1:
		from = " from at least " + addresses(n)
	}
	taken := ""
	if in.others > 0 {
		taken = "; other mail to the same provider is taken"
	}
	refused := "All " + table.Count(int64(p.Messages), "message")
	if in.own > 0 {
		refused = fmt.Sprintf("%d of %s", p.Messages, table.Count(int64(p.Messages+in.own), "message"))
	}
	return fmt.Sprintf("%s refused at %s were forwarded%s to %s%s", refused, strings.Join(provider.Names(p.Providers), ", "), from, addresses(p.Recipients), taken)
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// why returns the grounds of the level and of the cause. causeWhy is the ground of a guessed cause.
func (in *incident) why(p *Problem, s spread, causeWhy string, o Thresholds) string {
	valid := fmt.Sprintf("%d of %s took mail before", len(p.ValidBefore), table.Count(int64(p.Recipients), "recipient"))
	switch {
	case in.unrewritten:
		before := "Before, this server rewrote the senders, and far fewer such messages were refused."
		if !in.rewrote {
			before = "Before, far fewer such messages were refused."
		}
		return fmt.Sprintf("The mail was forwarded with the addresses of %s as senders, for which this server may not send. %s", table.Count(int64(len(s.senders)), "strange domain"), before)
	case in.spam:
		say := "name a bad reputation"
		if p.Reason == bounce.ContentSpam {
			say = "call the messages spam"
		}
		return fmt.Sprintf("The replies %s, and what they refuse was forwarded for others, from %s%s.", say, table.Count(int64(len(s.senders)), "sender domain"), in.othersText())
	case in.forwarded:
		return "The replies name the cause, and the mail was for another domain and sent on, so it is not about the sender's own set-up."
	case in.named():
		why := "The replies name the cause"
		if len(p.ValidBefore) > 0 {
			why += ", and " + valid
		}
		switch {
		case len(in.froms) > 0:
			why += ", and the domain that does not pass is not the sender domain: it is that of the From: header"
		case p.Reason == bounce.AuthFailure && len(s.senders) == 1 && len(s.providers) > 1:
			why += fmt.Sprintf(". One sender domain is refused at %d providers%s: its records or its signing", len(s.providers), in.othersText())
		case p.Reason == bounce.AuthFailure && len(s.senders) > 1 && len(in.histories) > 0 && in.others < len(s.senders):
			why += fmt.Sprintf(". %d sender domains are refused%s: look for what they have in common, an address that sends or the signing", len(s.senders), in.othersText())
		}
		return why + "." + in.vagueText()
	case in.unproven:
		return fmt.Sprintf("Many messages get the same reply%s, and other mail to the same domains is taken. %s", in.beforeText(), causeWhy)
	case in.level == Likely:
		return fmt.Sprintf("%s, and then were refused in %s%s. %s", valid, table.Count(int64(p.Messages), "message"), in.beforeText(), causeWhy)
	}
	missing := "nothing says that it is more than chance"
	switch {
	case len(p.ValidBefore) < o.Recipients:
		missing = fmt.Sprintf("fewer than %d of the recipients took mail before", o.Recipients)
	case p.Messages < o.Messages:
		missing = "one message may be judged spam"
	}
	were := "recipients known to be valid were"
	if len(p.ValidRecipients) == 1 {
		were = "recipient known to be valid was"
	}
	return fmt.Sprintf("%d %s refused in %s, but %s.", len(p.ValidRecipients), were, table.Count(int64(p.Messages), "message"), missing)
}

// beforeText returns how much was refused before the onset, or "" if that is not known.
func (in *incident) beforeText() string {
	if in.before == nil || in.before.Tried == 0 {
		return ""
	}
	return fmt.Sprintf(", where %d of %d were refused before", in.before.Refused, in.before.Tried)
}

// ended returns in words how an incident ended.
func (in *incident) ended() string {
	if len(in.taken) > 0 && in.endedAt != 0 {
		least := ""
		if in.more {
			least = "at least "
		}
		return fmt.Sprintf("%s%s taken since", least, table.Count(int64(len(in.taken)), "message"))
	}
	if in.otherKind {
		return "no refusal since, and too little mail of the same host or sender to tell"
	}
	return "no refusal since, and too little mail to tell"
}

// evidence returns the samples to show, in the order of time. It prefers the first of each wording. If
// the From: domain is at fault, a sample names it, if any does.
func (in *incident) evidence() []Evidence {
	samples := in.samples
	if name := slices.DeleteFunc(slices.Clone(samples), func(x sample) bool { return !in.namesFrom(x.Text) }); len(name) > 0 {
		samples = name
	}
	list := []Evidence{}
	shown := func(x *sample) bool {
		return slices.ContainsFunc(list, func(e Evidence) bool { return e.Source == x.Source && e.Offset == x.Offset })
	}
	seen := map[string]bool{} // templates
	for _, again := range [...]bool{false, true} {
		for i := range samples {
			x := &samples[i]
			if len(list) < evidenceShown && (!seen[x.template] || again && !shown(x)) {
				seen[x.template] = true
				list = append(list, x.Evidence)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Evidence) int { return a.byPlace(&b) })
	return list
}

// namedMost returns up to addressesShown names from the samples, the most frequent first.
func (in *incident) namedMost(names func(*sample) []string) []string {
	n := map[string]int{}
	for i := range in.samples {
		for _, a := range names(&in.samples[i]) {
			n[a]++
		}
	}
	list := make([]string, 0, len(n))
	for a := range n {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a, b)) })
	return list[:min(len(list), addressesShown)]
}

// ScanFlagged is the command that scans all domains and addresses in the problems of a report.
const ScanFlagged = "bouncelog scan --flagged"

// plain reports whether a name has no character with a meaning in a shell or a flag.
func plain(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" && !strings.HasPrefix(name, "-")
}

// nextCommand returns the command for the next check: the DNS check of the sender domains and of
// the sending addresses, or ScanFlagged if there are many. If a problem names neither, the command
// explains the reply. Names with characters that have a meaning in a shell are left out.
func nextCommand(p *Problem) string {
	words := []string{}
	for _, d := range p.SenderDomains {
		if plain(d) && len(words) < SendersNamed {
			words = append(words, d)
		}
	}
	if len(p.SenderDomains) > SendersNamed {
		return ScanFlagged
	}
	for _, ip := range p.Addresses[:min(len(p.Addresses), SendersNamed)] {
		words = append(words, "--ip", ip)
	}
	if len(words) > 0 {
		return "bouncelog scan " + strings.Join(words, " ")
	}
	code := "550"
	if len(p.Evidence) > 0 {
		text := p.Evidence[0].Text
		if first, rest, _ := strings.Cut(text, " "); len(first) == 3 && (first[0] == '4' || first[0] == '5') && strings.Trim(first, "0123456789") == "" {
			code = first
			if enhanced, _, _ := strings.Cut(rest, " "); len(enhanced) <= 9 && strings.Count(enhanced, ".") == 2 && strings.Trim(enhanced, "0123456789.") == "" {
				code += " " + enhanced
			}
		}
	}
	return "bouncelog explain " + code
}
