//go:build linux

package main

import (
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// An event is what one log line says of a message in the queue. The reading
// here is deliberately naive, and shares nothing with bouncelog's parser: it
// is what the parser is compared with.
type event struct {
	what       string // delivered, soft, hard, handoff or probe; expired or removed (the message, no recipient); frozen
	qid        string
	rcpt, orig string // orig: before aliasing
	gaveUp     bool   // hard because the queue lifetime ended (Exim)
	discarded  bool   // "delivered" to nobody (Postfix's discard(8), Exim's :blackhole:): counts as no attempt
	dsn        string // Postfix
	line       string
}

// A reading is one log, read.
type reading struct {
	events []event
	qids   map[string][]string // queue ids by message id
}

var (
	pfDelivery = regexp.MustCompile(` ([0-9A-Za-z]+): to=<(.*?)>, (?:orig_to=<(.*?)>, )?relay=(.*?), .*?dsn=([0-9.]+), status=([\w-]+) \((.*)`)
	pfExpired  = regexp.MustCompile(`/qmgr\[\d+\]: ([0-9A-Za-z]+): from=<.*>, status=expired, returned to sender$`)
	pfRemoved  = regexp.MustCompile(`/qmgr\[\d+\]: ([0-9A-Za-z]+): removed$`)
	pfMessage  = regexp.MustCompile(`/cleanup\[\d+\]: ([0-9A-Za-z]+): message-id=<(.*)>$`)

	exID       = `([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))`
	exDelivery = regexp.MustCompile(`^[^"]*? ` + exID + ` (=>|->|==|\*\*) (.*)`)
	exMessage  = regexp.MustCompile(` ` + exID + ` <= .* id=(\S+)`)
	exEnd      = regexp.MustCompile(` ` + exID + ` (Completed|Frozen)`)
	exTail     = regexp.MustCompile(` (?:R|T|H|F|P)=|: | (?:routing )?defer(?:[ :]|$)`)
)

func read(lines []string) reading {
	r := reading{qids: map[string][]string{}}
	for _, l := range lines {
		if m := pfMessage.FindStringSubmatch(l); m != nil {
			r.qids[m[2]] = append(r.qids[m[2]], m[1])
		} else if m := exMessage.FindStringSubmatch(l); m != nil {
			r.qids[m[2]] = append(r.qids[m[2]], m[1])
		} else if m := pfExpired.FindStringSubmatch(l); m != nil {
			r.events = append(r.events, event{what: "expired", qid: m[1], line: l})
		} else if m := pfRemoved.FindStringSubmatch(l); m != nil {
			r.events = append(r.events, event{what: "removed", qid: m[1], line: l})
		} else if m := pfDelivery.FindStringSubmatch(l); m != nil {
			r.events = append(r.events, postfixEvent(m, l))
		} else if m := exDelivery.FindStringSubmatch(l); m != nil {
			r.events = append(r.events, eximEvent(m, l))
		} else if m := exEnd.FindStringSubmatch(l); m != nil {
			what := map[string]string{"Completed": "removed", "Frozen": "frozen"}[m[2]]
			r.events = append(r.events, event{what: what, qid: m[1], line: l})
		}
	}
	return r
}

func postfixEvent(m []string, line string) event {
	e := event{qid: m[1], rcpt: m[2], orig: m[3], dsn: m[5], discarded: strings.Contains(line, "/discard["), line: line}
	switch relay, status, text := m[4], m[6], m[7]; {
	case strings.HasSuffix(status, "deliverable"): // and undeliverable
		e.what = "probe"
	case status == "sent" && (strings.HasPrefix(relay, "127.0.0.1[") || strings.HasPrefix(text, "forwarded as ")):
		e.what = "handoff"
	default:
		e.what = map[string]string{"sent": "delivered", "deferred": "soft", "bounced": "hard"}[status]
	}
	return e
}

func eximEvent(m []string, line string) event {
	e := event{qid: m[1], line: line}
	who := m[3]
	if to, ok := strings.CutPrefix(who, ":blackhole: <"); ok {
		who, _, _ = strings.Cut(to, ">")
		e.discarded = true
	}
	if i := exTail.FindStringIndex(who); i != nil {
		who = who[:i[0]]
	}
	who = strings.TrimSuffix(who, " ") // "user@domain : message"
	e.rcpt = who
	if addr, parent, ok := strings.Cut(who, " <"); ok {
		e.rcpt, e.orig = addr, strings.TrimSuffix(parent, ">")
	}
	switch m[2] {
	case "==":
		e.what = "soft"
	case "**":
		e.what = "hard"
		e.gaveUp = strings.HasSuffix(line, ": retry timeout exceeded") || strings.Contains(line, " have been failing for a long time")
	default:
		e.what = "delivered"
	}
	return e
}

// isFor reports whether the event is about this recipient.
func (e *event) isFor(rcpt string) bool {
	return e.rcpt != "" && (fold(e.rcpt) == fold(rcpt) || fold(e.orig) == fold(rcpt))
}

// domain is the recipient's, in A-labels.
func (e *event) domain() string {
	addr := e.rcpt
	if !strings.Contains(addr, "@") || strings.HasPrefix(addr, "|") { // a local user, a command
		addr = e.orig
	}
	d := strings.ToLower(addr[strings.LastIndexByte(addr, '@')+1:])
	if a, err := idna.ToASCII(d); err == nil {
		return a
	}
	return d
}

// fold makes addresses comparable: each MTA has its own way to write some.
func fold(addr string) string {
	addr = strings.ReplaceAll(addr, `\`, "")
	return strings.ToLower(strings.ReplaceAll(addr, `"`, ""))
}
