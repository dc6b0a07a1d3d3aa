package problem

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/store"
)

// The levels of a problem, the most certain first.
const (
	// Confirmed: a reply names the cause, or the MTA or its relay host says that the
	// sending side is at fault.
	Confirmed = "confirmed"
	// Likely: conspicuous refusals, without a named cause, of recipients known to be valid; an
	// outage that no reply names; forwarded spam.
	Likely = "likely"
	// Watch: weaker evidence. Watch raises no alarm.
	Watch = "watch"
)

// The effects of a problem on its mail.
const (
	EffectRefused = "refused"
	// EffectDeferred: on the first day each reply was a 4xx, and the MTA tries again; nothing was
	// returned in the period.
	EffectDeferred     = "deferred"
	EffectReturned     = "returned"      // of a flood, or of a receiver at fault
	EffectNotDelivered = "not delivered" // no reply refused it
	EffectDelayed      = "delayed"       // no reply refused it, and all recipients took mail later; if a route is missing, most
)

// A Problem is one incident that is probably not the recipients' fault. Its figures are for the
// requested period, unless stated otherwise.
type Problem struct {
	// ID names the incident: it is the same in each search that finds its onset.
	ID      string `json:"id"`
	Level   string `json:"level"`
	Summary string `json:"summary"` // one sentence, without a full stop
	// Title is the name of the problem everywhere. It has no figures and no full stop. Short is the
	// title without the cause.
	Title  string        `json:"title"`
	Short  string        `json:"-"`
	Reason bounce.Reason `json:"reason,omitzero"`
	Detail string        `json:"detail,omitempty"`
	// Cause is authentication, sender, reputation, ip, forwarding, rewriting, unknown, flood or mailbox_flood, or the
	// cause of an outage (see outageCauses and theirCauses).
	Cause string `json:"cause"`
	Why   string `json:"why"` // the grounds of the level and of the cause
	// Effect is what happens to the mail: see EffectRefused.
	Effect string `json:"effect"`

	// SenderDomains were refused and Providers refused them, since the onset. Domains are the
	// recipients' domains.
	SenderDomains []string `json:"sender_domains"`
	Domains       []string `json:"domains"`
	Providers     []string `json:"providers"`
	// FromDomains are domains of others in the From: header of refused mail that this side sent on, as
	// some replies name them, the most often named first.
	FromDomains []string `json:"from_domains,omitempty"`
	// Addresses are the addresses of the sending side that the replies name, the most often named
	// first.
	Addresses []string `json:"addresses"`

	// Since and Until are the first and the last refusal of the period.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// FirstHeard is the onset if that lies before the period, else zero.
	FirstHeard time.Time `json:"first_heard,omitzero"`
	Ongoing    bool      `json:"ongoing"`
	// EndUnknown: the deliveries since were not read, so an ongoing problem may have ended.
	EndUnknown bool `json:"end_unknown,omitempty"`
	// Background: the problem is of a kind that every server has every day, and raises no alarm.
	Background bool      `json:"-"`
	Ended      string    `json:"ended,omitempty"`       // in words
	EndedAt    time.Time `json:"ended_at,omitzero"`     // the first message taken after the last refusal
	Before     *Tried    `json:"before,omitempty"`      // the messages before the onset; nil: not known
	Onset      *Tried    `json:"since_onset,omitempty"` // the messages from the onset to the last refusal; nil: not known

	// Part is the suffix of the names of the hosts that take nothing, if the provider takes other mail;
	// "": the whole provider.
	Part string `json:"-"`

	// Origins are the hosts and instances that sent the messages of Onset, if only some are refused.
	Origins []Origin `json:"origins,omitempty"`

	// Sender is the sender of most refused messages; nil: none is, or it is not known. See findMostly.
	Sender *Mostly `json:"sender,omitempty"`

	// Everybody is like Onset, for the messages of all senders to these providers.
	Everybody *Tried `json:"-"`

	Attempts int64 `json:"attempts"` // refused
	Messages int   `json:"messages"` // refused
	// Older counts refused messages that were refused before the period too. Messages does not
	// include them.
	Older int `json:"-"`
	// Returned counts the messages that were given up: their mail is lost.
	Returned int `json:"returned"`
	// Expired counts the recipients of messages of Returned that were given up at the end of the queue
	// lifetime.
	Expired int `json:"-"`
	// Waiting counts the messages that were not given up, and of which nothing tells that they were
	// delivered by the end of the period: their recipients took no mail since.
	Waiting         int      `json:"waiting"`
	Queue           *Queue   `json:"queue,omitempty"` // only of a provider that takes no mail any more
	Sent            *Sent    `json:"sent,omitempty"`  // only of a flood
	Recipients      int      `json:"recipients"`
	ValidRecipients []string `json:"valid_recipients"`
	// ValidBefore are those of ValidRecipients who took mail before they were refused.
	ValidBefore []string `json:"valid_before"`

	// Hours are the hours of the period with a refusal, in the order of time.
	Hours []Hour `json:"hours"`

	Evidence         []Evidence `json:"evidence"`
	FirstCheck       string     `json:"first_check"`
	OtherExplanation string     `json:"other_explanation"`
	DisprovedBy      string     `json:"disproved_by"`
	Scan             string     `json:"scan"` // the command for the next check

	// Reasons counts Attempts by reason.
	Reasons map[bounce.Reason]int64 `json:"-"`

	prompt    bool    // retries delivered all messages but two before they were late
	delayed   bool    // see incident.delayed
	untried   bool    // see Untried
	throttled bool    // see Throttled
	believed  bool    // see outage.believed
	peak      float64 // see incident.peak
	rows      rows
	keys      []key
	selectors []string
	hops      []string
	homemade  bool
	asked     bool                   // of a receiver's failure: its replies ask this side to act
	relay     string                 // the one host that refused all of it; "": several, or none
	refusedAt *store.Destination     // the relays and domains that refused; nil: of no receiver
	failedTo  map[domainReason]int64 // failures of an outage
}

// A domainReason is a recipient domain, in lower case, and a reason.
type domainReason struct {
	domain string
	reason bounce.Reason
}

// Homemade reports whether the sending side itself is at fault, whatever the receivers say: an
// outage, a flood or forwarded spam.
func (p *Problem) Homemade() bool { return p.homemade }

// Outage reports whether the sending side itself is at fault and nobody refused the mail.
func (p *Problem) Outage() bool { return p.homemade && len(p.Providers) == 0 }

// Remains reports whether the cause remains when the mail ends: after a flood, the password is still
// stolen; the next issue of a newsletter will be called spam again.
func (p *Problem) Remains() bool { return p.Cause == causeFlood || p.Cause == causeContent }

// Untried reports whether a problem counts as ended only since no mail of its kind was refused for a while: too
// little was taken to tell.
func (p *Problem) Untried() bool { return p.untried }

// SendAgain reports whether the returned mail has to be sent again when the problem has ended: mail that was
// taken shows the end, and it was neither a flood nor called spam nor sent to corrupted addresses.
func (p *Problem) SendAgain() bool {
	return !p.EndedAt.IsZero() && !p.Remains() && p.Cause != causeForwarding && p.Cause != causeAddresses && p.Detail != judge.DetailOutboundSpam
}

// OfSenders reports whether the fault is one of some sender domains or messages: receivers take other
// mail.
func (p *Problem) OfSenders() bool {
	return p.Cause == causeAuthentication || p.Cause == causeSender || p.Cause == causeContent || p.Cause == causeMailbox
}

// Hops are the failing hosts, addresses or sockets of an outage, as the replies name them, by
// provider.
func (p *Problem) Hops() []string { return p.hops }

// Concerns reports whether p is about a provider, or is an outage that affects mail to it.
func (p *Problem) Concerns(provider string) bool {
	return p.At(provider) || p.Outage() && slices.Contains(p.Domains, provider)
}

// At reports whether p is about a provider: refusals there, or an outage whose failing hop it is.
func (p *Problem) At(provider string) bool {
	return slices.Contains(p.Providers, provider) || p.Outage() && slices.Contains(p.hops, provider)
}

// NamedReasons returns the reason of a problem, and the others that name a cause in the period.
func (p *Problem) NamedReasons() []bounce.Reason {
	list := []bounce.Reason{p.Reason}
	for _, reason := range slices.Sorted(maps.Keys(p.Reasons)) {
		if reason != p.Reason && reason.NamesCause() {
			list = append(list, reason)
		}
	}
	return list
}

// FailedTo counts the failures of an outage, in the period, at a recipient domain in lower case, for
// some reasons.
func (p *Problem) FailedTo(domain string, reasons []bounce.Reason) (n int64) {
	for _, reason := range reasons {
		n += p.failedTo[domainReason{domain, reason}]
	}
	return n
}

// Valid returns the number of recipients known to be valid.
func (p *Problem) Valid() int { return len(p.ValidRecipients) }

// Selectors are the DKIM selectors of the sending side that the replies name, the most
// often named first.
func (p *Problem) Selectors() []string { return p.selectors }

// Keys returns the keys of the subjects of a problem, at least one. A problem continues an earlier
// one if they share a key and less than a day passed between them.
func (p *Problem) Keys() []string {
	list := make([]string, len(p.keys))
	for i, k := range p.keys {
		list[i] = k.String()
	}
	return list
}

// Continues reports whether two problems have a subject in common: see Keys.
func (p *Problem) Continues(o *Problem) bool {
	return slices.ContainsFunc(p.keys, func(k key) bool { return slices.Contains(o.keys, k) })
}

// id computes Problem.ID.
func (p *Problem) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", p.keys[0], p.Began().Unix()))
	return hex.EncodeToString(sum[:6])
}

// Began returns the time of the onset.
func (p *Problem) Began() time.Time {
	if p.FirstHeard.IsZero() {
		return p.Since
	}
	return p.FirstHeard
}

// Tried counts the messages of the senders to the providers of a problem that were delivered or
// refused in a stretch of time. It counts only deliveries that were read.
type Tried struct {
	Refused int       `json:"refused"`
	Tried   int       `json:"tried"` // includes Refused
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

// usualChance is the probability below which a number of refusals is not due to chance.
const usualChance = 1e-2

// ByChance reports whether chance explains the number of refused messages at a usual share of
// refusals. The first and the last refusal do not count, since they define the stretch.
func (t *Tried) ByChance(share float64) bool {
	return tail(t.Refused-2, t.Tried-2, share) >= usualChance
}

// An Hour counts the refused attempts of one hour.
type Hour struct {
	Time    time.Time `json:"time"` // its start, UTC
	Refused int       `json:"refused"`
}

// countHour adds a refused attempt. Attempts are added in the order of time.
func countHour(list []Hour, at moment) []Hour {
	hour := at.hour()
	if n := len(list); n > 0 && list[n-1].Time.Equal(hour) {
		list[n-1].Refused++
		return list
	}
	return append(list, Hour{hour, 1})
}

// Evidence is a log line that supports a problem.
type Evidence struct {
	Source string    `json:"source"` // store.Source.ID
	Offset int64     `json:"offset"` // of the line's first byte
	Time   time.Time `json:"time"`
	Text   string    `json:"text"` // the reply
	// Warning is what the MTA logged just before (bounce.Delivery.Warning).
	Warning string `json:"warning,omitempty"`
}

// byPlace orders log lines by time, then by source and offset.
func (e *Evidence) byPlace(o *Evidence) int {
	return cmp.Or(e.Time.Compare(o.Time), strings.Compare(e.Source, o.Source), cmp.Compare(e.Offset, o.Offset))
}

// Find finds the problems among the failed attempts that match f. They are ordered by level, the
// highest first, then by recipients known to be valid, then by attempts.
func Find(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	return search(ctx, s, f, o, wanted{floods: true, outages: true})
}

// FindRows is like Find, and keeps the rows behind the figures: see Problem.Rows.
func FindRows(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	found, err := search(ctx, s, f, o, wanted{floods: true, outages: true, rows: true})
	keepRows(found)
	return found, err
}

// FindAgain finds what became of some problems among the failed attempts that match f. It is like
// Find, but names no Problem.Sender, and may leave out problems of a kind that none of these is: floods,
// and failures on the sending side.
func FindAgain(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, of []Problem) ([]Problem, error) {
	return search(ctx, s, f, o, wanted{
		floods:  slices.ContainsFunc(of, func(p Problem) bool { return p.Cause == causeFlood || !p.homemade }), // refusals of floods are left out
		outages: slices.ContainsFunc(of, func(p Problem) bool { return p.homemade && p.Cause != causeFlood || theirs(p.Cause) }),
		again:   true,
	})
}

// wanted says what a search finds beside refusals, whether it keeps the rows behind the figures, and whether
// it only follows known problems.
type wanted struct{ floods, outages, rows, again bool }

func search(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, w wanted) ([]Problem, error) {
	o = o.withDefaults()
	newest, err := readNewest(ctx, s, f)
	if err != nil {
		return nil, err
	}
	end, reached, gone := newest.end, newReached(f), newExpiries(s, f)
	floods := &floodSearch{}
	if w.floods {
		if floods, err = findFloods(ctx, s, f, o, end, w.rows); err != nil {
			return nil, err
		}
	}
	refused, err := findRefusals(ctx, s, f, o, end, reached, gone, floods, w.rows)
	if err != nil {
		return nil, err
	}
	var own []Problem
	if w.outages {
		if own, err = findOutages(ctx, s, f, o, newest, reached, gone, w.rows); err != nil {
			return nil, err
		}
	}
	refused = slices.DeleteFunc(refused, func(p Problem) bool {
		return slices.ContainsFunc(own, func(q Problem) bool { return q.coversAtRelay(&p) })
	})
	found := append(append(append([]Problem{}, own...), floods.problems()...), refused...)
	usual := &usualMail{ctx: ctx, s: s, f: f}
	for i := range found {
		found[i].ID = found[i].id()
		if found[i].Background, err = found[i].isBackground(usual); err != nil {
			return nil, err
		}
		found[i].Background = found[i].Background || found[i].endedBefore(f.Since)
	}
	rank := map[string]int{Confirmed: 0, Likely: 1, Watch: 2}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), cmp.Compare(b.Valid(), a.Valid()),
			cmp.Compare(b.Attempts, a.Attempts), a.Since.Compare(b.Since), strings.Compare(a.Summary, b.Summary))
	})
	if w.again {
		return found, nil
	}
	return found, findMostly(ctx, s, f, found)
}

// strays is the number of messages stamped ahead of all others, by a wrong clock, that end no
// problem. strayAttempts limits their attempts that are read.
const (
	strays        = 2
	strayAttempts = 1000
)

// A newest tells what the newest attempts of the log show: the end of the search, the relays and the
// hosts that log.
type newest struct {
	// end is the time up to which the log shows whether a problem goes on: the time of the newest
	// message without the strays, or the end of the period. If the log has only strays, it is the time
	// of the newest.
	end    moment
	relays nextHops
	hosts  map[string]bool
}

// readNewest reads the newest attempts.
func readNewest(ctx context.Context, s store.Reader, f store.Filter) (n newest, err error) {
	messages := map[[3]string]bool{}
	n.hosts = map[string]bool{}
	read := 0
	for a, err := range s.Attempts(ctx, store.Filter{}, store.Page{Limit: strayAttempts, Newest: true}) {
		if err != nil {
			return n, err
		}
		if len(messages) <= strays {
			messages[[...]string{a.Host, a.Instance, a.QueueID}] = true
			if len(messages) == 1 || len(messages) > strays {
				n.end = momentOf(a.Time)
			}
		}
		n.relays.note(&a.Delivery)
		n.hosts[a.Host] = true
		if read++; len(messages) > strays && (read >= hopsRead || n.relays.n >= hopsNoted) {
			break
		}
	}
	if !f.Until.IsZero() {
		n.end = min(n.end, momentOf(f.Until))
	}
	return n, nil
}

// Searched returns the reasons of the failed attempts that Find examines. Without a new attempt
// with such a reason, Find finds nothing new.
func Searched() []bounce.Reason {
	return bounce.Reasons(func(r bounce.Reason) bool {
		return slices.Contains(refusedReasons, r) || slices.Contains(outageReasons, r) || slices.Contains(lapseReasons, r) || slices.Contains(floodReasons, r)
	})
}

// findRefusals finds the problems that appear as refusals by receivers. Refusals of floods are their
// effects, and no problems.
func findRefusals(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, end moment, reached *reached, gone *expiries, floods *floodSearch, rows bool) ([]Problem, error) {
	x, err := readRefusals(ctx, s, f, o, gone.seed, reached, floods)
	if err != nil || x == nil {
		return nil, err
	}
	x.end = end
	if err := x.dropUnknownMailboxes(ctx); err != nil {
		return nil, err
	}
	incidents, histories, err := x.incidents(ctx)
	if err != nil {
		return nil, err
	}
	if err := x.findExpired(ctx, incidents, gone); err != nil {
		return nil, err
	}
	if err := readTexts(ctx, s, incidents); err != nil {
		return nil, err
	}
	if err := dropRelays(ctx, s, f, incidents); err != nil {
		return nil, err
	}
	for _, in := range incidents {
		if err := in.readFroms(ctx, s, in.began.add(o.Window)); err != nil {
			return nil, err
		}
		if err := x.findOrigins(ctx, in, histories); err != nil {
			return nil, err
		}
	}
	var found []Problem
	var seen counter
	for _, in := range incidents {
		p := in.problem(o, &seen)
		p.Why += floods.beside(&p)
		if rows {
			p.rows = x.rowsOf(in, histories)
		}
		found = append(found, p)
	}
	return found, nil
}
