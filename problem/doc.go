// Package problem finds failures of delivery that are probably not the recipients' fault: refusals
// for failing authentication, a bad reputation or a blocklist; refusals without a named cause that
// stand out from the deliveries; and outages of the sending side itself. [Find] finds the problems
// of a period; an [Announcer] announces each new problem in a log.
//
// # Glossary
//
//   - refusal: a failed attempt that may be about the sending side (store.Refusal). It is named if
//     the reply names a cause (bounce.Reason.NamesCause), else silent.
//   - traits: common properties of many refusals, including the provider that answered.
//   - provider: the organisation that answers for a recipient (package internal/provider).
//   - stream: the refusals that may have one cause, in the order of time. A named stream has one
//     reason, with a blocklist, a provider or a sender domain; a silent stream has one sender
//     domain and one provider. A shared stream joins all silent streams of one provider, or of one
//     sender domain.
//   - history: the deliveries of a stream, as far as the store read them.
//   - event: a message of a stream, delivered or refused. Events in order are a timeline.
//   - stretch: the time from the first to the last refusal of a part of a timeline in which
//     refusals stand out.
//   - run: consecutive failures of the sending side.
//   - incident: refusals with one cause, from their onset to the last; a [Problem] is an incident
//     in words.
//   - vague: an incident whose replies name no cause, or none that can be checked. It joins one that
//     names its cause if both refuse the same mail at the same time.
//   - relay host: the server of others that takes all mail of this one, or that it logs in to.
//   - lapse: a run of failures of one domain that took mail before: the receiver is at fault. In a
//     partial lapse, it takes other mail meanwhile.
//   - denial: a time in which a mailbox provider calls many more recipients unknown than usual.
//   - part: hosts or one domain of a provider that take nothing while it takes other mail.
//   - expiry: a recipient of a message that was given up at the end of the queue lifetime.
//   - onset: the first refusal of an incident; it may lie before the requested period.
//   - claimed: a silent refusal is claimed if it is part of an incident. Unclaimed ones are
//     watched.
//   - valid: a recipient who took mail before the refusal, within Thresholds.Valid, or since.
//
// # From refusals to problems
//
//	store.Refusals ─> streams ─┬─ named: split by gaps (onset.go), called spam (content.go) ─┐
//	 (stream.go)               └─ silent: stretches against history (fault.go, unproven.go) ─┤
//	                                                                                         v
//	merge (incident.go) ─> separate (separate.go) ─> join unnamed (unnamed.go) ─> measure (incident.go)
//	─> join vague (vague.go)
//	─> ends (end.go, later.go, samekind.go, settled.go), expiries (expired.go), senders (mostly.go, from.go)
//	─> words (cause.go, words.go)
//
//	store.Refusals ─> failures by cause ─┬─ of this side: runs (outage.go, relayhost.go, onehost.go) ──┬─> words
//	                                     │    returned here (ownrefusal.go), of one sender domain      │   (outage_words.go)
//	                                     │    (unowned.go), broken off after DATA (midmessage.go)      │
//	                                     ├─ of one mailbox: floods (onemailbox.go) ────────────────────┤
//	                                     └─ of a receiver: lapses of domains (receiver.go, partial.go),│
//	                                          denials of providers (denial.go) ────────────────────────┘
//
// Package report finds in its table of providers which of them, or which part, takes nothing or throttles.
// This package describes them (unreached.go, throttled.go).
//
// # Changing a threshold
//
// The thresholds that users may set are in [Thresholds], with their defaults; a change also affects
// the flags (cmd/bouncelog/thresholds.go) and docs/incidents.md. The limits of memory and time are
// in limits.go, the constants of the statistics at the top of fault.go, those of outages at the top
// of outage.go. The comment of each gives its unit and its effect. Then run
//
//	go test ./problem ./bench/problem
//
// The tables of alarm_test.go and outage_test.go hold which logs must and must not raise an alarm;
// bench/problem measures false alarms and missed faults (bench/problem/README.md has the commands
// for large runs).
package problem
