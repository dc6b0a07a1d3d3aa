// Package problem finds failures of delivery that are probably not the recipients'
// fault: refusals for failing authentication, a bad reputation or a blocklist, refusals
// without a named cause that stand out from what was delivered, and outages of the
// sending side itself. [Find] answers for a period; an [Announcer] tells a log when a
// problem begins.
//
// # Glossary
//
//   - refusal: a failed attempt that may be about the sending side (store.Refusal).
//     It is named where the reply names a cause (bounce.Reason.NamesCause), else silent.
//   - traits: what many refusals have in common, the provider that answered included.
//   - provider: who answers for a recipient (package internal/provider).
//   - stream: the refusals that may have one cause, in the order of time. A named stream
//     has one reason, with a blocklist, a provider or a sender domain; a silent stream
//     has one sender domain and one provider. A shared stream is all silent streams of
//     one provider, or of one sender domain, together.
//   - history: what was delivered in a stream, as far as the store read it.
//   - event: a message of a stream, delivered or refused. Events in order are a timeline.
//   - stretch: from the first to the last refusal of a part of a timeline in which
//     refusals stand out.
//   - run: failures of the sending side that follow one another.
//   - incident: refusals with one cause from their onset to their last; a [Problem] is an
//     incident in words.
//   - onset: the first refusal of an incident; it may lie before the period asked for.
//   - claimed: a silent refusal that is part of an incident. What nobody claims is watched.
//   - valid: a recipient that took mail before the refusal, within Thresholds.Valid, or since.
//
// # From refusals to problems
//
//	store.Refusals ─> streams ─┬─ named: split by gaps ────────────────┐
//	 (stream.go)               │                                       ├─> merge ─> measure ─> words
//	                           └─ silent: stretches against history ───┘  (incident.go)    (cause.go, words.go)
//	                                      (fault.go)
//	store.Refusals ─> failures by cause ─> runs ─> words
//	                  (outage.go)                  (outage_words.go)
//
// # To change a threshold
//
// What users may set is in [Thresholds], with its defaults; flags and documentation follow
// cmd/bouncelog/thresholds.go and docs/counting.md. Bounds of memory and time are in
// limits.go, the constants of the statistics at the top of fault.go, those of outages at
// the top of outage.go; each says its unit and its effect. Then run
//
//	go test ./problem ./bench/problem
//
// The tables of alarm_test.go and outage_test.go hold what must and what must not raise an
// alarm; bench/problem measures false alarms and missed faults (bench/problem/README.md
// has the commands for large runs).
package problem
