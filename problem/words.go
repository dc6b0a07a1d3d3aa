package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
)

// A wording is what a problem of one kind says. In its summary {who} is the
// mail, {at} the providers and {what} the detail, or else unnamed.
type wording struct {
	cause, summary, unnamed                   string
	firstCheck, otherExplanation, disprovedBy string
}

var problemWords = map[bounce.Reason]wording{
	bounce.AuthFailure: {
		cause: "authentication", summary: "{who} is refused at {at}: {what} does not pass", unnamed: "authentication",
		firstCheck:       "SPF, DKIM and DMARC of the sender domain: do the records name the addresses that send, is every stream signed, do the domains align?",
		otherExplanation: "Mail that was forwarded by others fails SPF without a fault of yours; look whether only forwarded recipients are hit.",
		disprovedBy:      "A delivery to the same provider from the same sender domain and address while the refusals go on.",
	},
	bounce.RDNSHelo: {
		cause: "ip", summary: "{who} is refused at {at}: the sending address has no fitting name (PTR, HELO)",
		firstCheck:       "The PTR record of the sending address, for IPv6 too, the forward record of that name, and smtp_helo_name or primary_hostname.",
		otherExplanation: "A resolver of the receiver that fails for a while.",
		disprovedBy:      "The PTR and its forward record being right as seen from outside.",
	},
	bounce.Blocklist: {
		cause: "ip", summary: "{who} is refused at {at}: listed by {what}", unnamed: "a blocklist",
		firstCheck:       "The list's own look-up page for the sending address or domain; then what was sent: a broken form, a stolen password, a bad list.",
		otherExplanation: "A receiver whose resolver the list refuses answers as if everybody were listed.",
		disprovedBy:      "The list not showing the address.",
	},
	bounce.Reputation: {
		cause: "reputation", summary: "{who} is refused at {at}: reputation of the address or domain",
		firstCheck:       "Volume, complaints and bounces of the last days, then SPF, DKIM and DMARC, then the provider's own form.",
		otherExplanation: "A new address or domain has no reputation yet: send less, and steadily.",
		disprovedBy:      "Deliveries to the same provider going on at the usual rate.",
	},
}

// domainLists are those that list domains: what is listed is a name that was sent,
// not the address that sent it.
var domainLists = []string{"spamhaus-dbl", "uribl", "surbl", "invaluement-uri", "sem-uri", "sem-fresh"}

// forwardedWords are for mail that was forwarded and failed authentication.
var forwardedWords = wording{
	cause: "authentication", summary: "Forwarded {mail} is refused at {at}: {what} does not pass", unnamed: "authentication",
	firstCheck:       "Whether the mail is forwarded unchanged and with a rewritten sender (SRS), so that DKIM survives and SPF passes for a domain of yours.",
	otherExplanation: "The original sender's own SPF, DKIM or DMARC is broken, and nothing here is.",
	disprovedBy:      "The same refusals for mail that was not forwarded.",
}

// forwardedSpamWords are for forwarded mail that is refused for a bad reputation.
var forwardedSpamWords = wording{
	cause: "forwarding", summary: "{forwarded}",
	firstCheck:       "The mailboxes that forward: filter spam before it is forwarded, or let the provider fetch them (POP, IMAP) instead; a rewritten sender (SRS) and ARC help little against content.",
	otherExplanation: "The reputation of the sending address is bad for another reason, and only forwarded mail goes to this provider.",
	disprovedBy:      "The same refusals for mail that was not forwarded.",
}

// silentWords are for refusals that name no cause, by the cause that who is hit
// points to.
var silentWords = map[string]wording{
	"authentication": {
		firstCheck:       "SPF, DKIM and DMARC of the sender domain; then whether a domain blocklist has it.",
		otherExplanation: "Something that all these messages carry, such as a link, is judged spam.",
		disprovedBy:      "Other messages of the same sender domain reaching these providers, or another sender domain refused there.",
	},
	"ip": {
		firstCheck:       "The sending address: blocklists, its PTR record, and whether mail goes out by IPv6 or by a new address; then the provider's own form.",
		otherExplanation: "A fault at the provider itself, that will pass.",
		disprovedBy:      "Mail of some sender domain reaching the same provider from the same address meanwhile.",
	},
	"unknown": {
		firstCheck:       "SPF, DKIM and DMARC of the sender domain; then blocklists of the sending address.",
		otherExplanation: "One message judged spam, or a rule of the recipients' own.",
		disprovedBy:      "Other messages of the same sender domain reaching the same provider.",
	},
}

const silentSummary = "{who} to recipients known to be valid is refused at {at}, and no cause is named"

// words chooses the wording.
func (in *incident) words(reason bounce.Reason, detail, cause string) wording {
	if !in.named {
		w := silentWords[cause]
		w.cause, w.summary = cause, silentSummary
		return w
	}
	w := problemWords[reason]
	if in.forward {
		w = forwardedWords
	}
	if in.spam {
		w = forwardedSpamWords
	}
	if reason == bounce.Blocklist && slices.Contains(domainLists, detail) {
		w.cause = "reputation"
	}
	return w
}

// A shape is who is hit where.
type shape struct {
	senders, providers []string
	early, late        int // stages: connect and helo; end of message
	all                int
}

func shapeOf(kinds []kind) shape {
	s := shape{senders: senders(kinds), providers: tracked(kinds, func(k kind) string { return k.provider })}
	for _, k := range kinds {
		switch k.Stage {
		case bounce.StageConnect, bounce.StageHelo:
			s.early += k.n
		case bounce.StageEOM:
			s.late += k.n
		}
		s.all += k.n
	}
	return s
}

// cause says what is likely at fault where no reply names it, and why.
func (in *incident) cause(s shape) (cause, why string) {
	switch {
	case in.level == Watch:
		return "unknown", ""
	case s.early > s.all/2:
		return "ip", "The refusals come before a sender is named, so they are about the address that connects."
	case len(s.senders) > 1 && in.others < len(s.senders):
		if len(s.providers) == 1 {
			return "ip", fmt.Sprintf("%s are refused at one provider%s, which points to the address that sends.", table.Count(int64(len(s.senders)), "sender domain"), in.othersText())
		}
		return "ip", fmt.Sprintf("%s are refused at %d providers%s, which points to the address that sends.", table.Count(int64(len(s.senders)), "sender domain"), len(s.providers), in.othersText())
	case len(s.senders) == 1 && len(s.providers) > 1:
		return "authentication", fmt.Sprintf("One sender domain is refused at %d providers%s, which points to its SPF, DKIM or DMARC, or to a domain blocklist.", len(s.providers), in.othersText())
	case len(s.senders) == 1:
		why = "One sender domain is refused at one provider" + in.othersText()
		if s.late > s.all/2 {
			return "unknown", why + ". The refusal comes after DATA: check DKIM alignment, reputation at this provider, and the content."
		}
		return "unknown", why + ": its alignment or its reputation there."
	}
	return "unknown", fmt.Sprintf("%s are refused, and %s are not.", table.Count(int64(len(s.senders)), "sender domain"), table.Count(int64(in.others), "other"))
}

// othersText says what became of the other sender domains' mail.
func (in *incident) othersText() string {
	switch {
	case len(in.streams) == 0:
		return ""
	case in.others == 0:
		return ", and no other's mail was taken there meanwhile"
	}
	return fmt.Sprintf(", while mail of %s was taken there", table.Count(int64(in.others), "other"))
}

// tracked are the different values of some hits in order, bounded; never nil, so
// that JSON has a list.
func tracked(kinds []kind, of func(kind) string) []string {
	set := map[string]bool{}
	for _, k := range kinds {
		if v := of(k); v != "" && len(set) < trackedAtMost {
			set[v] = true
		}
	}
	list := make([]string, 0, len(set))
	for v := range set {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

// addressesOf are the addresses of the recipients of some hits, in order, each once.
func addressesOf(hits []*hit, seen *counter, of func(*hit) bool) []string {
	list := []string{}
	seen.each(hits, func(h *hit) (uint64, bool) { return h.recipient, of(h) }, func(h *hit) { list = append(list, h.address) })
	slices.Sort(list)
	return list
}

// problem puts an incident into words.
func (in *incident) problem(o Thresholds, seen *counter) Problem {
	kinds := kinds(in.hits)
	s := shapeOf(kinds)
	reason := commonest(kinds, func(k kind) bounce.Reason { return k.Reason })
	detail := commonest(kinds, func(k kind) string { return k.Detail })
	cause, why := in.cause(s)
	w := in.words(reason, detail, cause)
	p := Problem{
		Level: in.level, Reason: reason, Detail: detail, Cause: w.cause,
		SenderDomains: s.senders, Providers: s.providers, Domains: tracked(kinds, func(k kind) string { return k.RecipientDomain }),
		Since: in.hits[0].at.time(), Until: in.hits[len(in.hits)-1].at.time(), Ongoing: in.ongoing, Before: in.before, Onset: in.onset,
		Attempts: int64(len(in.hits)), Messages: seen.count(in.hits, ofMessage),
		Recipients: seen.count(in.hits, func(h *hit) (uint64, bool) { return h.recipient, true }),
		Returned:   seen.count(in.hits, func(h *hit) (uint64, bool) { return h.message, h.hard }), Hours: in.hours(),
		Evidence: in.evidence(), Addresses: in.namedMost(func(x *sample) []string { return x.addresses }),
		FirstCheck: w.firstCheck, OtherExplanation: w.otherExplanation, DisprovedBy: w.disprovedBy,
		keys: in.keys,
	}
	if began := in.began.time(); began.Before(p.Since) {
		p.FirstHeard = began
	}
	p.ValidRecipients = addressesOf(in.hits, seen, func(h *hit) bool { return h.took })
	p.ValidBefore = addressesOf(in.hits, seen, func(h *hit) bool { return h.took && h.before != 0 })
	p.Why = in.why(&p, s, why, o)
	if !p.Ongoing {
		p.Ended, p.EndedAt = in.ended(), in.endedAt.time()
	}
	p.Summary = in.summary(&p, w)
	if in.spam {
		p.short = "forwarded spam is refused at " + strings.Join(p.Providers, ", ")
		p.SenderDomains = []string{} // strangers'
	}
	if p.Reason == bounce.AuthFailure {
		p.selectors = in.namedMost(func(x *sample) []string { return x.selectors })
	}
	p.Scan = nextCommand(&p)
	return p
}

func (in *incident) summary(p *Problem, w wording) string {
	if in.spam {
		return in.forwardedSummary(p)
	}
	from := ""
	switch n := len(p.SenderDomains); {
	case n == 0:
	case n <= manySenders:
		from = " from " + strings.Join(p.SenderDomains, ", ")
	default:
		from = fmt.Sprintf(" from %d sender domains", n)
	}
	at := strings.Join(p.Providers, ", ")
	if len(p.Providers) > manySenders {
		at = fmt.Sprintf("%d providers", len(p.Providers))
	}
	what := cmp.Or(p.Detail, w.unnamed)
	if p.Reason == bounce.AuthFailure && p.Detail != "" {
		what = strings.ToUpper(what)
	}
	return strings.NewReplacer("{who}", "Mail"+from, "{mail}", "mail"+from, "{at}", at, "{what}", what).Replace(w.summary)
}

// forwardedSummary says whose mail was forwarded to whom, as far as the samples name it.
func (in *incident) forwardedSummary(p *Problem) string {
	originals := map[string]bool{}
	for i := range in.samples {
		if from := in.samples[i].original; from != "" {
			originals[from] = true
		}
	}
	from := ""
	if n := len(originals); n > 0 {
		from = " from " + addresses(n)
		if n > 1 && len(in.samples) < len(in.hits) {
			from = " from at least " + addresses(n)
		}
	}
	taken := ""
	if in.others > 0 {
		taken = "; other mail to the same provider is taken"
	}
	return fmt.Sprintf("All %s refused at %s were forwarded%s to %s%s", table.Count(int64(p.Messages), "message"), strings.Join(p.Providers, ", "), from, addresses(p.Recipients), taken)
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// why says what the level and the cause rest on.
func (in *incident) why(p *Problem, s shape, shapeWhy string, o Thresholds) string {
	valid := fmt.Sprintf("%d of %s took mail before", len(p.ValidBefore), table.Count(int64(p.Recipients), "recipient"))
	switch {
	case in.spam:
		return fmt.Sprintf("The replies name a bad reputation, and all that they refuse was sent on for others, from %s%s.", table.Count(int64(len(s.senders)), "sender domain"), in.othersText())
	case in.forward:
		return "The replies name the cause, and the mail was for another domain and sent on, so it is not about the sender's own set-up."
	case in.named:
		why := "The replies name the cause"
		if len(p.ValidBefore) > 0 {
			why += ", and " + valid
		}
		switch {
		case p.Reason == bounce.AuthFailure && len(s.senders) == 1 && len(s.providers) > 1:
			why += fmt.Sprintf(". One sender domain is refused at %d providers%s: its records or its signing", len(s.providers), in.othersText())
		case p.Reason == bounce.AuthFailure && len(s.senders) > 1 && len(in.streams) > 0 && in.others < len(s.senders):
			why += fmt.Sprintf(". %d sender domains are refused%s: look for what they have in common, an address that sends or the signing", len(s.senders), in.othersText())
		}
		return why + "."
	case in.level == Likely:
		return fmt.Sprintf("%s, and then were refused in %s%s. %s", valid, table.Count(int64(p.Messages), "message"), newText(in), shapeWhy)
	}
	missing := "nothing says that it is more than chance"
	switch {
	case len(p.ValidBefore) < o.Recipients:
		missing = fmt.Sprintf("fewer than %d of the recipients took mail before", o.Recipients)
	case p.Messages < o.Messages:
		missing = "one message may be judged spam"
	}
	return fmt.Sprintf("%d recipients known to be valid were refused in %s, but %s.", len(p.ValidRecipients), table.Count(int64(p.Messages), "message"), missing)
}

func newText(in *incident) string {
	if in.before == nil || in.before.Tried == 0 {
		return ""
	}
	return fmt.Sprintf(", where %d of %d were refused before", in.before.Refused, in.before.Tried)
}

// ended says how an incident ended.
func (in *incident) ended() string {
	if in.taken > 0 && in.endedAt != 0 {
		return fmt.Sprintf("%s taken since, none refused", table.Count(int64(in.taken), "message"))
	}
	return "no refusal since, and too little mail to tell"
}

// hours counts the refusals of the period by the hour.
func (in *incident) hours() []Hour {
	list := []Hour{}
	for _, h := range in.hits { // in the order of time
		at := h.at.time().UTC().Truncate(time.Hour)
		if n := len(list); n > 0 && list[n-1].Time.Equal(at) {
			list[n-1].Refused++
		} else {
			list = append(list, Hour{at, 1})
		}
	}
	return list
}

// evidence are the log lines that a problem rests on: the first, and those that
// read otherwise.
func (in *incident) evidence() []Evidence {
	list := []Evidence{}
	seen := map[string]bool{}
	for _, again := range [...]bool{false, true} {
		for _, s := range in.samples {
			if len(list) < evidenceShown && (!seen[s.template] || again && !slices.ContainsFunc(list, func(e Evidence) bool {
				return e.Source == s.Source && e.Offset == s.Offset
			})) {
				seen[s.template] = true
				list = append(list, s.Evidence)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Evidence) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset))
	})
	return list
}

// namedMost are what the samples name, the most often named first.
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

// ScanFlagged is the command that scans what all problems of a report name.
const ScanFlagged = "bouncelog scan --flagged"

// nextCommand is what looks further: the DNS check of the sender domains and of
// the addresses that were named as theirs; of many, ScanFlagged finds them. Where
// nothing of ours is named, it explains the reply. Words that a shell might take
// for more than a word are left out.
func nextCommand(p *Problem) string {
	words := []string{}
	for _, d := range p.SenderDomains {
		if strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" && !strings.HasPrefix(d, "-") && len(words) < manySenders {
			words = append(words, d)
		}
	}
	if len(p.SenderDomains) > manySenders {
		return ScanFlagged
	}
	for _, ip := range p.Addresses[:min(len(p.Addresses), manySenders)] {
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
