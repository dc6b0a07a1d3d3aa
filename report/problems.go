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
	"bouncelog/store"
)

// The levels of a problem.
const (
	// Confirmed: a reply names the cause.
	Confirmed = "confirmed"
	// Likely: repeated refusals without a named cause, to recipients known to be valid.
	Likely = "likely"
	// Watch: less than that.
	Watch = "watch"
)

// A Problem is one incident that probably is not the recipient's fault.
type Problem struct {
	Level   string        `json:"level"`
	Summary string        `json:"summary"`
	Reason  bounce.Reason `json:"reason,omitzero"`
	Detail  string        `json:"detail,omitempty"`
	Cause   string        `json:"cause"` // authentication, reputation, ip, unknown

	SenderDomains []string `json:"sender_domains"`
	Domains       []string `json:"domains"`   // of the recipients
	Providers     []string `json:"providers"` // who refused

	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	Attempts        int64    `json:"attempts"`
	Messages        int      `json:"messages"`
	Recipients      int      `json:"recipients"`
	ValidRecipients []string `json:"valid_recipients"`

	Evidence         []Evidence `json:"evidence"`
	FirstCheck       string     `json:"first_check"`
	OtherExplanation string     `json:"other_explanation"`
	DisprovedBy      string     `json:"disproved_by"`
	Scan             string     `json:"scan"`
}

// Evidence is a log line that a problem rests on.
type Evidence struct {
	Source string    `json:"source"`
	Offset int64     `json:"offset"`
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
}

// The thresholds of the likely level (see docs/counting.md).
const (
	validDays       = 90             // a delivery this long ago still proves an address
	window          = 24 * time.Hour // the days that an incident's share is taken of
	likelyValid     = 3              // recipients known to be valid before the incident began
	likelyMessages  = 2              // different messages
	likelyShare     = 0.10           // of what was tried
	incidentGap     = 24 * time.Hour // without a refusal: another incident
	manySenders     = 3              // more sender domains than this share one cause: it is not theirs alone
	evidenceShown   = 3              // log lines a problem names
	trackedAtMost   = 100_000        // members of a set, so that a flood of rejections cannot fill the memory
	incidentsAtMost = 10_000
	weighedAtMost   = 50 // incidents that are held against the past, the largest first
)

// An incident gathers failed attempts that probably have one cause.
type incident struct {
	reason       bounce.Reason
	details      map[string]int64
	senders      map[string]bool
	domains      map[string]bool
	providers    map[string]bool
	since, until time.Time
	attempts     int64
	messages     map[string]bool
	recipients   map[string]bool
	valid        map[string]time.Time // recipients known to be valid, and their last delivery before; zero: only after
	evidence     []Evidence
}

func newIncident(reason bounce.Reason) *incident {
	return &incident{
		reason: reason, details: map[string]int64{}, senders: map[string]bool{}, domains: map[string]bool{},
		providers: map[string]bool{}, messages: map[string]bool{}, recipients: map[string]bool{}, valid: map[string]time.Time{},
	}
}

func note(set map[string]bool, member string) {
	if len(set) < trackedAtMost {
		set[member] = true
	}
}

func (in *incident) add(r *store.Rejection, valid bool) {
	if in.attempts == 0 || r.Time.Before(in.since) {
		in.since = r.Time
	}
	if r.Time.After(in.until) {
		in.until = r.Time
	}
	in.attempts++
	if r.Verdict.Detail != "" {
		in.details[r.Verdict.Detail]++
	}
	if r.SenderDomain != "" {
		note(in.senders, r.SenderDomain)
	}
	note(in.domains, r.RecipientDomain)
	note(in.providers, Provider(&r.Delivery))
	note(in.messages, r.QueueID)
	note(in.recipients, r.Recipient)
	if valid && len(in.valid) < trackedAtMost {
		if _, known := in.valid[r.Recipient]; !known {
			in.valid[r.Recipient] = r.DeliveredBefore
		}
	}
	if len(in.evidence) < evidenceShown {
		in.evidence = append(in.evidence, Evidence{r.Source, r.Offset, r.Time, r.Response})
	}
}

// Provider is who answered for a recipient: the registered domain of the
// relay (google.com for every gmail-smtp-in.l.google.com), so that company
// domains count with the provider that hosts them; without a relay the
// recipient's domain.
func Provider(d *bounce.Delivery) string {
	if d.RelayHost == "" || strings.HasPrefix(d.RelayHost, "[") || d.RelayHost == d.RelayIP {
		return d.RecipientDomain
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(d.RelayHost, ".")), ".")
	n := 2
	if len(labels) > 2 && len(labels[len(labels)-1]) == 2 && len(labels[len(labels)-2]) <= 3 {
		n = 3 // example.co.uk, example.ne.jp
	}
	return strings.Join(labels[max(0, len(labels)-n):], ".")
}

// problems finds what probably is not the recipients' fault among the failed
// attempts that match f.
func problems(ctx context.Context, s store.Store, f store.Filter) ([]Problem, error) {
	type pair struct{ sender, provider string }
	named := map[string][]*incident{} // by what is named
	silent := map[pair][]*incident{}  // 550/554 that name no cause
	n := 0
	current := func(list []*incident, t time.Time, reason bounce.Reason) ([]*incident, *incident) {
		if len(list) > 0 && t.Sub(list[len(list)-1].until) < incidentGap {
			return list, list[len(list)-1]
		}
		if n++; n > incidentsAtMost {
			return list, nil
		}
		in := newIncident(reason)
		return append(list, in), in
	}

	suspect := f
	suspect.Reasons = both(f.Reasons, []bounce.Reason{
		bounce.AuthFailure, bounce.RDNSHelo, bounce.Blocklist, bounce.Reputation,
		bounce.Policy, bounce.ContentSpam, bounce.Unknown,
	})
	if len(suspect.Reasons) == 0 {
		return []Problem{}, nil
	}
	for r, err := range s.Rejections(ctx, suspect) {
		if err != nil {
			return nil, err
		}
		if r.SenderKnown && r.Sender == "" {
			continue // our own notifications go to whatever address a spammer forged
		}
		valid := !r.DeliveredBefore.IsZero() && r.Time.Sub(r.DeliveredBefore) < validDays*24*time.Hour ||
			!r.DeliveredAfter.IsZero()
		switch {
		case r.Verdict.Detail == "receiver-dnsbl-error":
			// the receiver's own resolver is refused by the list: nobody is listed
		case r.Reason == bounce.AuthFailure, r.Reason == bounce.RDNSHelo,
			r.Reason == bounce.Blocklist, r.Reason == bounce.Reputation:
			key := r.Reason.String()
			switch r.Reason {
			case bounce.Blocklist:
				key += " " + r.Verdict.Detail
			case bounce.Reputation:
				key += " " + Provider(&r.Delivery)
			}
			var in *incident
			named[key], in = current(named[key], r.Time, r.Reason)
			if in != nil {
				in.add(&r, valid)
			}
		case valid && refusal(&r.Attempt):
			key := pair{r.SenderDomain, Provider(&r.Delivery)}
			var in *incident
			silent[key], in = current(silent[key], r.Time, r.Reason)
			if in != nil {
				in.add(&r, valid)
			}
		}
	}

	var all []*incident
	for _, list := range named {
		all = append(all, list...)
	}
	for _, list := range silent {
		all = append(all, list...)
	}
	if err := dropUnknown(ctx, s, f, all); err != nil {
		return nil, err
	}

	found := []Problem{}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		for _, in := range named[key] {
			found = append(found, in.problem(Confirmed))
		}
	}
	type candidate struct {
		sender string
		*incident
	}
	var candidates []candidate
	for key, list := range silent {
		for _, in := range list {
			switch {
			case len(in.valid) == 0:
			case len(in.valid) >= likelyValid && len(in.messages) >= likelyMessages && key.sender != "":
				candidates = append(candidates, candidate{key.sender, in})
			default:
				found = append(found, in.problem(Watch))
			}
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(len(b.valid), len(a.valid)), a.since.Compare(b.since), strings.Compare(a.sender, b.sender))
	})
	for i, c := range candidates {
		level := Watch
		if i < weighedAtMost {
			var err error
			if level, err = likely(ctx, s, c.sender, c.incident); err != nil {
				return nil, err
			}
		}
		found = append(found, c.problem(level))
	}
	rank := map[string]int{Confirmed: 0, Likely: 1, Watch: 2}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), cmp.Compare(len(b.ValidRecipients), len(a.ValidRecipients)),
			cmp.Compare(b.Attempts, a.Attempts), a.Since.Compare(b.Since), strings.Compare(a.Summary, b.Summary))
	})
	return found, nil
}

// both is what stands in both lists; an empty first list stands for everything.
func both(some, others []bounce.Reason) []bounce.Reason {
	if len(some) == 0 {
		return others
	}
	return slices.DeleteFunc(slices.Clone(others), func(r bounce.Reason) bool { return !slices.Contains(some, r) })
}

// dropUnknown takes the recipients out of the known valid ones who were said
// to be unknown between their last delivery and the incident.
func dropUnknown(ctx context.Context, s store.Store, f store.Filter, incidents []*incident) error {
	candidates := map[string][]*incident{}
	for _, in := range incidents {
		for recipient, before := range in.valid {
			if !before.IsZero() {
				candidates[recipient] = append(candidates[recipient], in)
			}
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	f.Reasons = []bounce.Reason{bounce.UserUnknown, bounce.MailboxDisabled}
	for r, err := range s.Rejections(ctx, f) {
		if err != nil {
			return err
		}
		for _, in := range candidates[r.Recipient] {
			if before := in.valid[r.Recipient]; r.Time.After(before) && r.Time.Before(in.since) {
				delete(in.valid, r.Recipient)
			}
		}
	}
	return nil
}

// refusal tells whether an attempt ended in a 550 or 554, or a 4xx twin of
// them, whose text names no cause: what a failing authentication looks like
// when the provider does not say so.
func refusal(a *store.Attempt) bool {
	switch a.Reason {
	case bounce.Policy, bounce.ContentSpam, bounce.Unknown:
	default:
		return false
	}
	switch a.Code {
	case 550, 554, 450, 451, 421:
		return true
	}
	return false
}

// likely weighs an incident of one sender domain at one provider: new, since
// enough of the recipients took mail before it began, and a good share of what
// was sent. What was sent from here to there is not counted by itself; it is no
// more than what the sender domain sent, and what those domains got.
func likely(ctx context.Context, s store.Store, sender string, in *incident) (string, error) {
	before := 0
	for _, delivered := range in.valid {
		if !delivered.IsZero() && delivered.Before(in.since) {
			before++
		}
	}
	if before < likelyValid { // the log may have started inside the fault
		return Watch, nil
	}
	// Whole days, since the store has these at hand.
	f := store.Filter{Since: in.since.Truncate(window), Until: in.until.Truncate(window).Add(window)}
	f.SenderDomain = sender
	sent, err := s.Totals(ctx, f)
	if err != nil {
		return "", err
	}
	f.SenderDomain = ""
	var got int64
	for domain := range in.domains {
		f.Domain = domain
		c, err := s.Totals(ctx, f)
		if err != nil {
			return "", err
		}
		if got += c.Attempts; got >= sent.Attempts {
			break
		}
	}
	if float64(in.attempts) < likelyShare*float64(min(sent.Attempts, got)) {
		return Watch, nil
	}
	return Likely, nil
}

// members are a set's members in order; never nil, so that JSON has a list.
func members[V any](set map[string]V) []string {
	list := slices.AppendSeq(make([]string, 0, len(set)), maps.Keys(set))
	slices.Sort(list)
	return list
}

// A wording is what a problem of one reason says. In its summary {who} is the
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

// silentWords are for refusals that name no cause.
var silentWords = wording{
	cause: "unknown", summary: "{who} to recipients known to be valid is refused at {at}, and no cause is named",
	firstCheck:       "SPF, DKIM and DMARC of the sender domain; then blocklists of the sending address.",
	otherExplanation: "One message judged spam, or a rule of the recipients' own.",
	disprovedBy:      "Other messages of the same sender domain reaching the same provider.",
}

func (in *incident) problem(level string) Problem {
	p := Problem{
		Level: level, Reason: in.reason,
		SenderDomains: members(in.senders), Domains: members(in.domains),
		Providers: members(in.providers),
		Since:     in.since.UTC(), Until: in.until.UTC(), Attempts: in.attempts, Messages: len(in.messages),
		Recipients: len(in.recipients), ValidRecipients: members(in.valid), Evidence: in.evidence,
	}
	var most int64
	for _, detail := range slices.Sorted(maps.Keys(in.details)) {
		if in.details[detail] > most {
			most, p.Detail = in.details[detail], detail
		}
	}
	who := "Mail"
	switch len(p.SenderDomains) {
	case 0:
	case 1, 2, manySenders:
		who = "Mail from " + strings.Join(p.SenderDomains, ", ")
	default:
		who = fmt.Sprintf("Mail from %d sender domains", len(p.SenderDomains))
	}
	at := strings.Join(p.Providers, ", ")
	if len(p.Providers) > manySenders {
		at = fmt.Sprintf("%d providers", len(p.Providers))
	}
	words, named := problemWords[in.reason]
	if !named {
		words = silentWords
	}
	what := p.Detail
	if what == "" {
		what = words.unnamed
	}
	if in.reason == bounce.AuthFailure {
		what = strings.ToUpper(what)
	}
	p.Summary = strings.NewReplacer("{who}", who, "{at}", at, "{what}", what).Replace(words.summary)
	p.Cause, p.FirstCheck, p.OtherExplanation, p.DisprovedBy = words.cause, words.firstCheck, words.otherExplanation, words.disprovedBy
	if len(p.SenderDomains) > 0 {
		p.Scan = "bouncelog scan " + strings.Join(p.SenderDomains[:min(len(p.SenderDomains), manySenders)], " ")
	} else {
		p.Scan = "bouncelog scan --flagged"
	}
	return p
}
