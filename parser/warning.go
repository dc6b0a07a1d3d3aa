package parser

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"bouncelog/bounce"
)

// warnings are the last lines of a log in which an MTA reports a fault of its own. The line just
// before a failed delivery often says more than its reason:
//
//	postfix/qmgr[98]: warning: connect to transport private/amavis: Connection refused
//	postfix/error[99]: 4F2C9: to=<…>, relay=none, … status=deferred (mail transport unavailable)
//
// A warning belongs to a failed attempt if it is
//
//   - of the same process (Postfix), or names the same message (Exim);
//   - about a command that another process of the same agent could not run;
//   - of another Postfix process, and the queue manager deferred the mail by itself because a transport
//     or a service failed;
//   - of Exim, names no message, as a panic message may, and is at most a few seconds apart.
//
// If several match, the newest of those with the greatest weight is taken. Warnings are not stored:
// when reading is resumed, earlier ones are unknown.
type warnings struct {
	ring [16]warning
	n    int // number ever recorded
}

type warning struct {
	at                      int64 // Unix time
	host, program, instance string
	mta                     bounce.MTA
	daemon                  daemon
	pid                     uint32 // of the process, until it logs another message; 0: not known
	id                      string // queue id of its message; "": not known
	weight                  int
	text                    string // "": none
}

const (
	maxWarning = 300 // bytes of its text
	// warningReach is how long a warning is remembered, in seconds. Postfix does not use a failed
	// transport, and repeats no warning, for the same time (transport_retry_time).
	warningReach = 60
	// panicReach is the largest distance, in seconds, of an attempt from a warning that names
	// neither the process nor the message.
	panicReach = 5
)

// ofPostfix records a message that begins with a word of msg(3), if it is from a daemon for
// outgoing mail. The warnings of smtpd(8) and similar daemons are caused by clients.
func (ws *warnings) ofPostfix(host string, prog *program, h *header, r *Result) {
	switch prog.daemon {
	case deliveryAgent, qmgrDaemon, cleanupDaemon, bounceDaemon:
	case otherDaemon:
		switch prog.agent {
		case "master", "trivial-rewrite", "proxymap", "tlsproxy", "tlsmgr", "scache", "verify":
		default:
			return
		}
	default:
		return
	}
	weight := 0
	switch msg := h.message; {
	case hasPrefix(msg, "fatal: "), hasPrefix(msg, "panic: "), hasPrefix(msg, "error: "),
		ofTable(msg):
		weight = 2
	case !hasPrefix(msg, "warning: "):
		return
	case prog.agent != "master" && !bytes.Contains(msg, []byte("see a previous ")): // else the previous warning has the cause
		weight = 1
	}
	ws.note(warning{
		host: host, program: prog.name, instance: prog.instance, mta: bounce.Postfix, daemon: prog.daemon, pid: pidOf(h.pid), weight: weight,
	}, h.message, r)
}

// ofTable reports whether a message says that a table cannot be opened (dict_surrogate(3)):
//
//	warning: hash:/etc/postfix/transport is unavailable. open database /etc/postfix/transport.db: …
//
// The name of a table has no space, so that a remote server's text after other words is not taken.
func ofTable(msg []byte) bool {
	rest, ok := bytes.CutPrefix(msg, []byte("warning: "))
	table, after, _ := bytes.Cut(rest, []byte(" "))
	return ok && bytes.IndexByte(table, ':') > 0 && hasPrefix(after, "is unavailable. ")
}

// ofExim records a message of Exim's main log, with or without a message id, if it reports a fault
// of this server or, with an id, of TLS with a host. A line about a host without an id is about a
// client.
func (ws *warnings) ofExim(host string, id, msg []byte, r *Result) {
	if len(msg) < 10 {
		return
	}
	if hasPrefix(msg, "H=") {
		if len(id) == 0 {
			return
		}
		after := bytes.TrimLeft(msg[bytes.IndexByte(msg, ']')+1:], ":0123456789 ")
		if !hasPrefix(after, "TLS ") && !hasPrefix(after, "a TLS session ") && !hasPrefix(after, "failure while setting up TLS") {
			return
		}
	} else {
		first, rest := msg[0]|0x20, msg[1:]
		switch {
		case first == 'w' && hasPrefix(rest, "arning: "), first == 'f' && hasPrefix(rest, "ailed "),
			first == 'u' && hasPrefix(rest, "nable to "), first == 't' && hasPrefix(rest, "ainted "),
			first == 'c' && (hasPrefix(rest, "annot ") || hasPrefix(rest, "ould not ") || hasPrefix(rest, "ouldn't ")),
			first == 'e' && hasPrefix(rest, "xim configuration error"), first == 'd' && hasPrefix(rest, "KIM: message could not be signed"):
		default:
			return
		}
	}
	ws.note(warning{host: host, program: "exim", mta: bounce.Exim, id: string(id)}, msg, r)
}

// note replaces the oldest warning by a new one.
func (ws *warnings) note(w warning, msg []byte, r *Result) {
	if r.Time.IsZero() {
		return
	}
	if n := maxWarning; len(msg) > n {
		for n > maxWarning-utf8.UTFMax && !utf8.RuneStart(msg[n]) {
			n--
		}
		msg = msg[:n]
	}
	w.at, w.text = r.Time.Unix(), w.program[:min(len(w.program), maxField)]+": "+string(msg)
	ws.ring[ws.n%len(ws.ring)] = w
	ws.n++
}

// attach adds to an attempt the warning that belongs to it, if there is one.
func (ws *warnings) attach(d *bounce.Delivery, prog *program, digits []byte) {
	now, pid := d.Time.Unix(), pidOf(digits)
	if now-ws.ring[(ws.n-1)%len(ws.ring)].at > warningReach {
		return
	}
	if !mayBeOurs(d) {
		for i := range ws.ring { // the path of nearly all attempts: it does no other work
			if w := &ws.ring[i]; w.pid == pid && pid != 0 {
				w.ofProcess(d, prog, pid)
			}
		}
		return
	}
	var found *warning
	for i := 1; i <= min(ws.n, len(ws.ring)); i++ {
		w := &ws.ring[(ws.n-i)%len(ws.ring)]
		age := now - w.at
		if age > warningReach {
			break
		}
		if age >= -warningReach && w.precedes(d, prog, pid, age) && (found == nil || w.weight > found.weight) {
			found = w
		}
	}
	if found != nil {
		d.Warning = found.text
	}
}

// precedes reports whether a warning belongs to an attempt; age is the time between the two, in
// seconds.
func (w *warning) precedes(d *bounce.Delivery, prog *program, pid uint32, age int64) bool {
	switch {
	case w.mta != d.MTA || w.host != d.Host:
		return false
	case w.mta == bounce.Exim:
		return w.id == d.QueueID || w.id == "" && d.Local && -panicReach <= age && age <= panicReach
	case w.ofProcess(d, prog, pid):
		return true
	case w.program == prog.name && strings.HasPrefix(d.Response, "Command died with "): // the command's process is another one
		return w.weight == 2 && -panicReach <= age && age <= panicReach
	}
	return suspended(d) && w.instance == prog.instance && w.daemon != cleanupDaemon &&
		(w.daemon != deliveryAgent || w.weight == 2) && // a delivery agent that only warns, perhaps of what a remote server said, has not failed
		(d.Response != "mail transport unavailable" || w.daemon == qmgrDaemon) // "mail transport unavailable" means that the service cannot be reached
}

// ofProcess reports whether the process that logged the warning made this attempt and has handled
// no other message since. An attempt without a process id comes from "last message repeated".
func (w *warning) ofProcess(d *bounce.Delivery, prog *program, pid uint32) bool {
	if w.pid == 0 || w.program != prog.name || w.host != d.Host || pid != 0 && pid != w.pid {
		return false
	}
	switch {
	case w.id == "" && pid != 0:
		w.id = strings.Clone(d.QueueID)
	case w.id != d.QueueID && pid != 0:
		w.pid = 0
	}
	return w.pid != 0 && w.id == d.QueueID
}

// pidOf converts a process id; 0 means none.
func pidOf(digits []byte) (pid uint32) {
	for _, c := range digits {
		pid = pid*10 + uint32(c-'0')
	}
	return pid
}

// suspended reports whether Postfix's queue manager let error(8) defer the attempt because it
// cannot do its own work, and not because a host failed before.
func suspended(d *bounce.Delivery) bool {
	return d.Outcome == bounce.Soft && d.Local && (d.Agent == "error" || d.Agent == "retry" || d.Agent == "qmgr") &&
		!strings.HasPrefix(d.Response, "delivery temporarily suspended: ")
}

// mayBeOurs reports whether a fault of this server may have caused the failure: no remote server
// refused the attempt, except for a login or TLS.
func mayBeOurs(d *bounce.Delivery) bool {
	failed := (d.Outcome == bounce.Soft || d.Outcome == bounce.Hard) && !d.Untried
	return failed && (d.Local || d.Stage == bounce.StageAuth || d.Stage == bounce.StageTLS || d.RelayIP == "" || d.RelayIP == "127.0.0.1" || d.RelayIP == "::1")
}
