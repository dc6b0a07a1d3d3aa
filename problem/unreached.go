package problem

import (
	"fmt"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
)

// causeProvider is the Cause of the Problem of an Unreached.
const causeProvider = "provider"

// Unreached is a provider to which most mail is not delivered, for a reason of the provider: no
// connection, no DNS. The sending side is not at fault, but has to know. If the provider takes nothing,
// the reason may be one of the sending side or of its messages. Detail tells if the next hop is the
// sending side's own. Package report finds an Unreached in its table of providers.
type Unreached struct {
	Provider string // of a part: its only domain, or the suffix of its hosts
	Name     string // common name of the provider, or what names the part
	Part     *Part  // nil: it is the whole provider
	Reason   bounce.Reason
	Detail   string // the detail of Reason
	Cause    string // reason and detail in words
	Why      string
	Check    string
	Command  string // command that shows its failures

	FirstHeard   time.Time // the first failure if it lies before the period, else zero
	Since, Until time.Time // the first and the last failure, in the period
	Ongoing      bool
	Ended        string // in words
	EndedAt      time.Time

	Attempts int64                   // failed attempts
	Reasons  map[bounce.Reason]int64 // the same by reason
	Lost     int                     // messages not delivered, once for each recipient
	Returned int                     // those of Lost that were returned
	Waiting  int                     // those of Lost that wait
	Late     bool                    // all of Lost was delivered later
	AtOnce   bool                    // most mail of the period was returned without a try
	Older    int                     // those of Lost that were first tried before the period
	Tried    int                     // messages, once for each recipient
	// Share is the share of Lost in all mail of the period.
	Share float64
	// Died: the provider took mail before the failures began, and none since. Failed counts the
	// messages since then, including those before the period. Usual is the number of hours, in the
	// time since, in which the provider usually takes mail; 0 if that is not known.
	Died   bool
	Failed int
	Usual  int
	// UsualAlike: it is derived from several days of the same kind (weekdays or the weekend), not from
	// a few of any kind.
	UsualAlike bool
	// UsualMessages is the largest number of messages in these hours on one of the earlier days,
	// UsualLeast the smallest.
	UsualMessages, UsualLeast int
	Queue                     *Queue // of a provider that died; nil: not known
	Retried                   int    // of a provider that died: see Queue.Retried
}

// A Part is the part of a provider that takes nothing while the provider takes other mail: some of its
// hosts, or one of its domains.
type Part struct {
	Of      string // the provider
	Name    string // its common name
	Hosts   string // suffix of the hosts' names; "": a domain
	Domains int    // recipient domains of its mail in the period
	Failing int    // those of Domains whose mail failed
	Hours   int    // in which the messages were first tried that failed
}

// A Queue is the mail that a provider did not take since its failures began, once for each
// recipient.
type Queue struct {
	Waiting   int       `json:"waiting"`
	Oldest    time.Time `json:"oldest,omitzero"` // the first attempt of the oldest that waits
	GivenUp   int       `json:"given_up"`
	FirstLost time.Time `json:"first_lost,omitzero"` // when the first was given up
	Retried   int       `json:"-"`                   // tried again GreylistingMost after the first attempt
}

// When a provider that died is an incident, however little mail goes there: after deadFor without a
// delivery, or if it usually takes mail in at least deadHours hours of such a time, or at least
// deadMessages messages in DeadLeast or longer. In hours, since mail comes in batches. By chance, none of
// five hours has a delivery once in 150 times. Restarts and upgrades of a receiver take less. Higher:
// later.
const (
	deadFor      = 24 * time.Hour
	deadHours    = 5
	deadMessages = 5
)

// DeadLeast is the minimum time without a delivery of a provider that died: the hours in which it
// usually takes mail are whole ones.
const DeadLeast = deadHours * time.Hour

// When a provider that died has stalled: many messages failed, none was taken, and it usually takes
// mail in several hours of such a time. Greylisting takes less than an hour. Higher: later.
const (
	stallLeast = 20 // messages
	stallHours = 2  // that usually have a delivery
	stallTimes = 2  // times as many messages as usual may be a burst that the receiver slows down
)

// StallLeast is the minimum time without a delivery of a provider that has stalled.
const StallLeast = stallHours * time.Hour

// Stalled reports whether a provider takes nothing of the usual mail for some hours.
func (u *Unreached) Stalled() bool {
	return u.Died && u.Failed >= stallLeast && u.Usual >= stallHours && u.Failed <= stallTimes*u.UsualMessages
}

// GreylistingMost is the time after the first attempt of a message within which greylisting ends.
const GreylistingMost = greylisted

// greyMany is the minimum number of messages that are greylisted for longer than GreylistingMost to make
// an incident, whatever is known of the usual hours. Higher: later.
const greyMany = 10

// The minimum numbers of messages that a part of a provider does not take, in deadHours hours or more, to make an
// incident, whatever is known of the usual hours: its provider takes other mail, at any time of the day. Higher:
// later.
const (
	PartLeast   = 5 // to partDomains domains or more
	partMany    = 10
	partDomains = outageDomains
)

// PartFails reports whether so many messages of a part of a provider, to so many domains, are enough for an incident.
func PartFails(messages int64, domains int) bool {
	return messages >= partMany || messages >= PartLeast && domains >= partDomains
}

// partDead reports whether a part of a provider takes nothing while the provider takes other mail.
func (u *Unreached) partDead(lasted time.Duration) bool {
	return u.Part != nil && u.Died && PartFails(int64(u.Failed), u.Part.Failing) && u.Part.Hours >= deadHours && lasted >= DeadLeast
}

// Dead reports whether a provider died, and not just now. A rate limit is no such evidence, unless
// it stops the usual mail, or all mail for deadFor. Greylisting is none until
// messages were tried for longer than it takes.
func (u *Unreached) Dead() bool {
	if u.Reason == bounce.Greylisted && (u.Retried < IncidentLeast || u.Retried >= greyMany) {
		return u.Died && u.Retried >= greyMany
	}
	began := u.Since
	if !u.FirstHeard.IsZero() {
		began = u.FirstHeard
	}
	lasted := u.Until.Sub(began)
	missed := u.UsualAlike && u.UsualLeast >= deadMessages && lasted >= DeadLeast
	if u.Reason == bounce.RateLimited {
		return u.Stalled() || u.Died && u.Failed >= deadMessages && (lasted >= deadFor || missed && u.Failed <= stallTimes*u.UsualMessages)
	}
	return u.Stalled() || u.partDead(lasted) || u.Died && u.Failed >= IncidentLeast && (lasted >= deadFor || u.Usual >= deadHours && u.UsualAlike || missed)
}

// Problem describes u as a Problem.
func (u *Unreached) Problem() Problem {
	short := u.Name + " does not take our mail"
	if judge.OwnDetail(u.Detail) { // the provider was not contacted
		short = "mail to " + u.Name + " does not leave this side"
	}
	// refuses: most was returned at once, with a 5xx reply, and not at the end of the queue lifetime.
	refuses := 2*(u.Returned-int(u.Reasons[bounce.Expired])) > u.Lost
	replies := AsksSender(u.Reason) || u.Reason == bounce.RateLimited || u.Reason == bounce.MailboxFull || u.Reason == bounce.SystemError || u.Reason == bounce.Greylisted
	defers := u.Dead() && replies && !refuses
	switch {
	case defers:
		short = u.Name + " defers all our mail"
	case u.Dead() && replies:
		short = u.Name + " refuses all our mail"
	}
	cause, why := u.Cause, u.Why
	switch u.Reason {
	case bounce.Greylisted:
		cause, why = "greylisting that never ends", "It defers each attempt as if it were the first: it keeps no record of them, or each comes from another address."
	case bounce.MailboxFull:
		cause, why = "it says that the mailboxes are full", "Its replies say so of all recipients, so a store or a quota of its own is full."
	case bounce.RateLimited: // too much mail of ours would be no such incident: see Stalled
		cause, why = "it says that it is busy", "Its replies speak of too much mail, but this is no more than usual, and none is taken."
	}
	p := Problem{
		Level: Likely, Reason: u.Reason, Detail: u.Detail, Cause: causeProvider, Effect: EffectNotDelivered, Why: why,
		Summary:       fmt.Sprintf("%d of %d messages to %s are not delivered: %s", u.Lost, u.Tried, u.Name, cause),
		SenderDomains: []string{}, Domains: []string{}, Providers: []string{u.Provider}, Addresses: []string{},
		FirstHeard: u.FirstHeard, Since: u.Since, Until: u.Until, Ongoing: u.Ongoing, Ended: u.Ended, EndedAt: u.EndedAt,
		Onset:    &Tried{Refused: u.Lost, Tried: u.Tried, Since: u.Since, Until: u.Until},
		Attempts: u.Attempts, Reasons: u.Reasons, Messages: u.Lost, Older: u.Older, Returned: u.Returned, Waiting: u.Waiting, Queue: u.Queue,
		ValidRecipients: []string{}, ValidBefore: []string{}, Hours: []Hour{}, Evidence: []Evidence{},
		FirstCheck: u.Check, Scan: u.Command,
		keys:  []key{{what: unreached, provider: u.Provider}},
		Short: short, Title: short + ": " + cause,
	}
	if u.Late {
		p.Effect = EffectDelayed
		p.Summary = fmt.Sprintf("%d of %d messages to %s were delayed: %s", u.Lost, u.Tried, u.Name, cause)
	}
	if u.Part != nil && u.Part.Hosts != "" {
		p.Part, p.Providers = u.Part.Hosts, []string{u.Part.Of}
	}
	p.ID = p.id()
	begun := u.Lost // messages of the period
	if !u.Died {
		begun -= u.Older
	}
	p.Background = !u.Dead() && (p.few() || p.Theirs() && perDay(begun, u.Until.Sub(u.Since)) <= noisePerDay && u.Share < noiseShare)
	switch {
	case u.Reason == bounce.Greylisted:
		p.FirstCheck = "Whether all attempts come from one address of this server: several outgoing addresses, or IPv4 and IPv6 in turn, begin the greylisting again each time. If they do, tell the recipients' postmaster, by another way than mail; what waits is returned when its time in the queue is over."
	case AsksSender(u.Reason):
		p.FirstCheck = strings.TrimSpace("What the reply asks for, and what was changed here just before (bouncelog explain LINE). " + u.Check)
	case u.Dead() && replies && refuses:
		p.FirstCheck = "Whether others see the same (the provider's status page, lists of postmasters), and what its reply asks for. Send again what was returned once it takes mail."
	case defers:
		p.FirstCheck = "Whether others see the same (the provider's status page, lists of postmasters). The mail server tries again by itself; if it stays so, tell the recipients another way, for what waits is returned when its time in the queue is over."
	case u.Dead() && p.Theirs():
		name := u.Provider
		if !plain(name) {
			name = "DOMAIN"
		}
		where := "Whether its mail exchanger has moved or is gone: dig " + name + " MX, and a connection to port 25 there."
		if p.Part != "" {
			where = "A connection to port 25 of these hosts, from here and from elsewhere, and whether others see the same (the provider's status page, lists of postmasters)."
		}
		p.FirstCheck = where + " If it stays so, tell the recipients another way: what waits is returned when its time in the queue is over."
		if u.AtOnce {
			p.FirstCheck = where + " This server returns new mail at once, since all hosts have failed for long (Exim: exinext DOMAIN shows when it tries again). Tell the recipients another way, and send again what was returned once a connection is made."
		}
	}
	if u.Dead() && !judge.OwnDetail(u.Detail) {
		p.Why = strings.TrimSpace(p.Why + " It took mail before, and none since these failures began.")
	}
	if u.Part != nil {
		p.Why = strings.TrimSpace(p.Why + " " + u.Part.others())
	}
	return p
}

// others says that the provider takes other mail.
func (p *Part) others() string {
	if p.Domains == 1 {
		return "Its mail exchangers are those of " + p.Name + ", which takes other mail."
	}
	return "These hosts receive the mail of " + table.Count(int64(p.Domains), "domain") + ". Other mail to " + p.Name + " is taken."
}

// AsksSender reports whether the sending side has to act on a provider that takes nothing for a reason. A
// rate limit that stops the usual mail is no matter of its rate.
func AsksSender(reason bounce.Reason) bool {
	scope := judge.ReasonText(reason).Scope
	return reason != bounce.RateLimited && (scope == bounce.ScopeSender || scope == bounce.ScopeMessage)
}

// Theirs reports whether the problem is an Unreached that the provider has to mend: the mail left the
// sending side, and the reply asks nothing of it.
func (p *Problem) Theirs() bool {
	return p.Unreached() && !judge.OwnDetail(p.Detail) && !AsksSender(p.Reason) && !(p.throttled && p.Reason == bounce.RateLimited)
}

// WhoActs returns who has to act on a problem.
func (p *Problem) WhoActs() bounce.Scope {
	scope := judge.ReasonText(p.Reason).Scope
	switch {
	case p.Theirs(), theirs(p.Cause) && !p.asked && !p.believed:
		return bounce.ScopeRemote
	case p.asked, p.Unreached(), p.Homemade(), scope == bounce.NoScope, p.Cause != causeUnknown:
		return bounce.ScopeSender
	}
	return scope
}

// Unreached reports whether the problem is a provider that takes no mail for a reason of its own;
// see the type.
func (p *Problem) Unreached() bool { return p.Cause == causeProvider }
