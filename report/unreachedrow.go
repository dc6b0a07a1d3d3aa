package report

import (
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// An unreachedRow is a provider to which most mail may not be delivered.
type unreachedRow struct {
	*ProviderRow
	// name is the domain of the mail if all of it is for one, else the name of the provider. A server that
	// is dead all day has no name in the log of that day.
	name       string
	to         *store.Destination      // its relays and domains; nil: the domain name
	failed     map[string]int64        // attempts that failed for a reason of theirs, by the recipients' domain
	relayless  map[string]int64        // those of them that reached no relay
	store.Span                         // span of its failures in the period
	little     bool                    // too little mail is undelivered for an incident, unless the provider died
	past       bool                    // it may be an incident with the mail of the days before: see mayGoOn
	takes      bool                    // it took mail around the period
	hours      []store.Cell            // around the period; see courseOf
	detail     string                  // most frequent detail of its main reason in the period
	most       int64                   // number of failures with that detail
	reasons    map[bounce.Reason]int64 // failures in the period, by reason
	back       time.Time               // when it took mail again, of one that died; see returned
	taken      int64                   // messages taken since back
	retried    int                     // until back: see problem.Queue.Retried
	part       *partOf                 // nil: the row is a whole provider
	older      int64                   // of a part: the mail that waits at the end of the period, at most
}

// A partOf is a part of a provider: the hosts below a suffix of their names, with the recipient domain if it
// is the only one; or a recipient domain.
type partOf struct {
	suffix, domain string
	cells          []*store.Cell
	domains        map[string]int64 // attempts by recipient domain
}

// theirs are the reasons of failures on the receiving side, if it was contacted. A rate limit is the
// receiver's trouble only if it stopped all mail: see problem.Unreached.Stalled.
var theirs = bounce.Reasons(func(r bounce.Reason) bool {
	return r == bounce.RateLimited || r != bounce.Expired && judge.ReasonText(r).Scope == bounce.ScopeRemote
})

// theirs are the reasons of the failures of a row. Greylisting counts only if it never ends, and a reason
// that lies with this side only if the provider takes nothing: see problem.Unreached.Dead.
func (x *unreachedRow) theirs() []bounce.Reason {
	if !slices.Contains(theirs, x.Reason) {
		return append(slices.Clone(theirs), x.Reason)
	}
	return theirs
}

// meant returns the reason of the failures of a row. Exim returns mail at once, as expired, if all hosts have failed
// for long: the reason is that of the failures before.
func (x *unreachedRow) meant() (most bounce.Reason) {
	if x.Reason != bounce.Expired {
		return x.Reason
	}
	n := map[bounce.Reason]int64{}
	for i := range x.hours {
		for _, reason := range theirs {
			n[reason] += x.hours[i].Reasons[reason]
		}
	}
	most = bounce.Expired
	for _, reason := range theirs {
		if n[reason] > n[most] {
			most = reason
		}
	}
	return most
}

// losing are the reasons for which the mail of a row is given up: what expires failed for one of theirs.
func (x *unreachedRow) losing() []bounce.Reason {
	return append(slices.Clone(x.theirs()), bounce.Expired)
}

// anyReason reports whether a provider or a part of one that takes nothing may be an incident for a reason
// that is neither its own nor the recipients'.
func (x *unreachedRow) anyReason() bool {
	return x.asks() && (x.part != nil || max(x.lost(), x.Failed) >= markLeast)
}

// asks reports whether the failures of a provider have such a reason.
func (x *unreachedRow) asks() bool {
	refuses := x.Mark == MarkRefuses || x.Mark == MarkFails || x.Mark == MarkTakes
	return (x.part != nil || refuses) && (problem.AsksSender(x.Reason) || x.Reason == bounce.MailboxFull)
}

// mayGoOn reports whether a provider with little undelivered mail may be an incident for such a reason together
// with the mail of the days before: one that goes on, or has ended in the period.
func (x *unreachedRow) mayGoOn() bool {
	return x.part == nil && x.Mark != MarkPartly && (problem.AsksSender(x.Reason) || x.Reason == bounce.MailboxFull) && !x.anyReason() && x.lost() > 0
}

// The minimum number of recipients whose mail a provider does not take.
const (
	fullLeast = 10 // of a provider whose storage may be full
	partLeast = 5  // of a part of a provider, or of one with little mail a day, for a reason of this side: one recipient may forward, or have a rule
)

// recipientsLeast returns the minimum number of recipients of an incident; 0: any.
func (x *unreachedRow) recipientsLeast() int {
	switch {
	case x.Reason == bounce.MailboxFull:
		return fullLeast
	case (x.part != nil || x.past) && problem.AsksSender(x.Reason):
		return partLeast
	}
	return 0
}

// failuresOf counts the failures on the provider's side.
func (x *unreachedRow) failuresOf(c *store.Cell) (failures int64) {
	for _, reason := range x.theirs() {
		failures += c.Reasons[reason]
	}
	return failures
}

// undelivered returns the messages that the incident concerns: of one that is over those that failed
// at first, too.
func (x *unreachedRow) undelivered() int64 {
	if x.back.IsZero() {
		return x.lost()
	}
	return x.Failed
}
