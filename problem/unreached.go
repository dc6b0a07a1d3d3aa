package problem

import (
	"fmt"
	"strings"
	"time"

	"bouncelog/bounce"
)

// causeProvider is the cause of what an Unreached is about.
const causeProvider = "provider"

// Unreached is a provider that most mail is not delivered to, for a reason of its own: no
// connection, no DNS. It is no fault of the sending side, which has to know of it all the
// same; where Detail says that the next hop is one's own, it is said so. Package report finds it by its table of providers.
type Unreached struct {
	Provider string
	Name     string // of the provider, as people call it
	Reason   bounce.Reason
	Detail   string // of Reason
	Cause    string // both in words
	Why      string
	Check    string
	Command  string // that shows its failures

	FirstHeard   time.Time // the first failure, where that lies before the period; else zero
	Since, Until time.Time // the first and the last failure of the period
	Ongoing      bool
	Ended        string // how, in words
	EndedAt      time.Time

	Attempts int64 // failed
	Lost     int   // messages not delivered, once for each recipient
	Returned int   // of them
	Tried    int   // messages, once for each recipient
	// Share is that of Lost in all mail of the period.
	Share float64
	// Died: it took mail before the failures began, and none since. Failed is the number of messages
	// since then, also before the period.
	Died   bool
	Failed int
}

// deadFor is how long a provider that died must take no mail for an incident, however little goes there.
const deadFor = 24 * time.Hour

// dead reports whether a provider died and took no mail for deadFor.
func (u *Unreached) dead() bool {
	began := u.Since
	if !u.FirstHeard.IsZero() {
		began = u.FirstHeard
	}
	return u.Died && u.Failed >= IncidentLeast && u.Until.Sub(began) >= deadFor
}

// Problem puts it into words.
func (u *Unreached) Problem() Problem {
	short := u.Name + " does not take our mail"
	if ownDetail(u.Detail) { // it was not asked
		short = "mail to " + u.Name + " does not leave this side"
	}
	p := Problem{
		Level: Likely, Reason: u.Reason, Detail: u.Detail, Cause: causeProvider, Why: u.Why,
		Summary:       fmt.Sprintf("%d of %d messages to %s are not delivered: %s", u.Lost, u.Tried, u.Name, u.Cause),
		SenderDomains: []string{}, Domains: []string{}, Providers: []string{u.Provider}, Addresses: []string{},
		FirstHeard: u.FirstHeard, Since: u.Since, Until: u.Until, Ongoing: u.Ongoing, Ended: u.Ended, EndedAt: u.EndedAt,
		Onset:    &Tried{Refused: u.Lost, Tried: u.Tried, Since: u.Since, Until: u.Until},
		Attempts: u.Attempts, Messages: u.Lost, Returned: u.Returned,
		ValidRecipients: []string{}, ValidBefore: []string{}, Hours: []Hour{}, Evidence: []Evidence{},
		FirstCheck: u.Check, Scan: u.Command,
		keys:  []key{{what: unreached, provider: u.Provider}},
		Short: short, Title: short + ": " + u.Cause,
	}
	p.ID = p.id()
	p.Background = !u.dead() && (p.few() || p.Theirs() && perDay(u.Lost, u.Until.Sub(u.Since)) <= noisePerDay && u.Share < noiseShare)
	if u.dead() && p.Theirs() {
		name := u.Provider
		if !plain(name) {
			name = "DOMAIN"
		}
		p.FirstCheck = "Whether its mail exchanger has moved or is gone: dig " + name + " MX, and a connection to port 25 there. If it stays so, tell the recipients another way: what waits is returned when its time in the queue is over."
		p.Why = strings.TrimSpace(p.Why + " It took mail before, and none since these failures began.")
	}
	return p
}

// Theirs reports whether the problem is an Unreached of mail that did leave this side.
func (p *Problem) Theirs() bool { return p.Unreached() && !ownDetail(p.Detail) }

// Unreached reports whether the problem is a provider's that takes no mail for a reason of
// its own; see the type.
func (p *Problem) Unreached() bool { return p.Cause == causeProvider }
