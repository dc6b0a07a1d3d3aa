package judge

import "bouncelog/bounce"

// A Line is what a log line that reports no delivery attempt is about.
type Line uint8

// The lines that are explained without a verdict.
const (
	LineOther     Line = iota // none of the others
	LineInbound               // mail from outside that this server refused
	LineSubmitted             // mail of somebody who had logged in, refused
	LineArrived               // a message came into the queue
	LineQueued                // something else about a queued message
	LineCompleted             // nothing of a message is left in the queue
	LineRemoved               // somebody took a message out of the queue
	LineFrozen                // a message is held
	LineThawed                // a message is no longer held
	LineDiscarded             // a filter threw a message away
)

// ExplainLine says what a log line is about that reports no delivery attempt. It
// has no outcome and no verdict: nothing came back.
func ExplainLine(l Line) Explanation {
	if int(l) >= len(lineTexts) {
		l = LineOther
	}
	t := lineTexts[l]
	return Explanation{Title: t.Title, Meaning: t.Meaning, Do: t.Do, Also: t.Also, Turn: t.Retry}
}

// lineTexts are the words; Retry says who acts.
var lineTexts = [...]Text{
	LineOther: {
		Title:   "no delivery",
		Meaning: "This log line is about something else than the delivery of a message: nothing was delivered, put off or returned.",
		Do:      []string{"Look for a line with status= (Postfix) or with =>, == or ** (Exim) for the same message."},
		Retry:   "Nobody: no action is needed.",
	},
	LineInbound: {
		Title:   "refused by this server: inbound mail",
		Meaning: "This mail server refused mail from outside. Nothing of yours came back, and what the line says of an address or a list is about the client that wanted in.",
		Do: []string{
			"Unwanted mail: nothing.",
			"Wanted mail: the line names the restriction (Postfix: smtpd_*_restrictions, postscreen, a milter; Exim: an ACL); exempt the client there, or tell its postmaster.",
		},
		Retry: "The other server: it keeps the message (4xx) or returns it to its sender (5xx).",
	},
	LineSubmitted: {
		Title:   "refused by this server: mail of your own user",
		Meaning: "This mail server refused mail that a user of its own handed in. It never came into the queue.",
		Do:      []string{"The line names the restriction and the login: check whether the user may send with that sender address and to that recipient."},
		Retry:   "You: the user got an error message and asks you.",
	},
	LineArrived: {
		Title:   "message taken",
		Meaning: "A message came into the queue of this server. What became of it stands in later lines with the same id.",
		Do:      []string{"bouncelog trace ID shows its whole course."},
		Retry:   "This server: it delivers the message.",
	},
	LineQueued: {
		Title:   "about a queued message",
		Meaning: "The line is about a message in the queue of this server and reports no delivery attempt.",
		Do:      []string{"bouncelog trace ID shows its whole course."},
		Retry:   "This server: it goes on with the message.",
	},
	LineCompleted: {
		Title:   "message completed",
		Meaning: "Nothing of this message is left in the queue: every recipient was delivered, returned or given up before.",
		Do:      []string{"bouncelog trace ID shows what became of each recipient."},
		Retry:   "Nobody: it is done.",
	},
	LineRemoved: {
		Title:   "message removed by hand",
		Meaning: "Somebody took this message out of the queue (exim -Mrm, postsuper -d). Recipients that were still waiting got nothing, and the sender got no notification.",
		Do:      []string{"Nothing, if it was meant so."},
		Retry:   "Nobody: it is done.",
	},
	LineFrozen: {
		Title:   "frozen: held in the queue",
		Meaning: "The message stays in the queue and is not tried until somebody acts, or until timeout_frozen_after or ignore_bounce_errors_after ends it. Mostly it is a notification that can be neither delivered nor returned, since its sender is empty.",
		Do: []string{
			"exim -Mvl ID shows why. exim -Mt ID thaws it, exim -M ID tries it at once, exim -Mrm ID removes it. Postfix: postsuper -H ID releases it.",
			"Many frozen notifications: the server sends them to forged senders. Refuse bad recipients in the SMTP session instead of bouncing later.",
		},
		Retry: "You, if the message matters; otherwise it is removed in time.",
	},
	LineThawed: {
		Title:   "no longer frozen",
		Meaning: "The message is no longer held: the next queue run tries it.",
		Do:      []string{"bouncelog trace ID shows what comes of it."},
		Retry:   "This server: it retries.",
	},
	LineDiscarded: {
		Title:   "discarded by this server",
		Meaning: "A filter or an access rule of this server threw the message away. Nobody gets it, and nobody was told.",
		Do:      []string{"If it was wanted: look at the filter or the rule that the line names (header_checks, a milter, an ACL, a system filter)."},
		Retry:   "Nobody: it is gone.",
	},
}

// EndLine is the line for what became of a message as a whole.
func EndLine(e bounce.EndEvent) Line {
	switch e {
	case bounce.MessageCompleted:
		return LineCompleted
	case bounce.MessageRemoved:
		return LineRemoved
	case bounce.MessageFrozen:
		return LineFrozen
	case bounce.MessageThawed:
		return LineThawed
	case bounce.MessageDiscarded:
		return LineDiscarded
	}
	return LineQueued
}
