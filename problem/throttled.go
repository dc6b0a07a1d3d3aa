package problem

import (
	"fmt"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
)

// Throttled is a provider that defers a large part of the usual mail for hours and takes it later. Package
// report finds it in the course of the provider's mail.
type Throttled struct {
	Provider string // or the domain, if all mail is for one
	Name     string // common name
	Reason   bounce.Reason
	Command  string // command that shows its deferrals

	FirstHeard   time.Time // the first deferral if it lies before the period, else zero
	Since, Until time.Time // the first and the last deferral, in the period
	Ongoing      bool
	EndedAt      time.Time

	Attempts int64 // deferred
	Deferred int   // messages
	Tried    int   // messages, those of Deferred included
	Returned int   // messages
	Waiting  int   // messages
	// Share is the share of deferred attempts since the first deferral, Usual the share before.
	Share, Usual float64
}

// Throttled reports whether the problem is a provider that throttles; see the type.
func (p *Problem) Throttled() bool { return p.throttled }

// Problem describes t as a Problem.
func (t *Throttled) Problem() Problem {
	short, cause := t.Name+" defers part of our mail", "its server has trouble"
	check := "Whether others see the same (the provider's status page, lists of postmasters). The mail server tries again by itself, and what waits is delivered later."
	if t.Reason == bounce.RateLimited {
		cause = "rate limit"
		check = "How many connections and messages at a time this server sends to it. " + judge.ReasonText(t.Reason).Do[0] + " What waits is delivered later; nothing has to be sent again."
	}
	p := Problem{
		Level: Likely, Reason: t.Reason, Cause: causeProvider, Effect: EffectDeferred, throttled: true,
		Why:           fmt.Sprintf("It has deferred %.0f %% of the attempts since then, and deferred %.1f %% before. There is no more mail than usual.", 100*t.Share, 100*t.Usual),
		Summary:       fmt.Sprintf("%d of %d messages to %s are deferred: %s", t.Deferred, t.Tried, t.Name, cause),
		SenderDomains: []string{}, Domains: []string{}, Providers: []string{t.Provider}, Addresses: []string{},
		FirstHeard: t.FirstHeard, Since: t.Since, Until: t.Until, Ongoing: t.Ongoing, EndedAt: t.EndedAt,
		Onset:    &Tried{Refused: t.Deferred, Tried: t.Tried, Since: t.Since, Until: t.Until},
		Attempts: t.Attempts, Reasons: map[bounce.Reason]int64{t.Reason: t.Attempts}, Messages: t.Deferred, Returned: t.Returned, Waiting: t.Waiting,
		ValidRecipients: []string{}, ValidBefore: []string{}, Hours: []Hour{}, Evidence: []Evidence{},
		FirstCheck: check, Scan: t.Command,
		keys:  []key{{what: unreached, provider: t.Provider}},
		Short: short, Title: short + ": " + cause,
	}
	if !t.Ongoing {
		p.Ended = "its mail is taken again"
	}
	p.ID = p.id()
	return p
}
