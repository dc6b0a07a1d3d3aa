package parser

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"bouncelog/bounce"
)

// warnings are the last lines of a log in which an MTA speaks of a fault of its own. What stands
// just before a delivery that failed often says more than its reason:
//
//	postfix/qmgr[98]: warning: connect to transport private/amavis: Connection refused
//	postfix/error[99]: 4F2C9: to=<…>, relay=none, … status=deferred (mail transport unavailable)
//
// A warning belongs to a failed attempt
//   - of the process that logged it (Postfix), or of the message that it names (Exim);
//   - of a command that another process of the same agent could not run;
//   - that Postfix's queue manager put off by itself, since a transport or a service failed: then
//     another process has logged it;
//   - of Exim's next seconds, where it names no message, as the lines of a panic may.
//
// Of several, the newest of the greatest weight is taken. They are not stored: where reading is
// resumed, nothing is known of what stands before.
type warnings struct {
	ring [16]warning
	n    int // ever noted
}

type warning struct {
	at                      int64 // Unix time
	host, program, instance string
	mta                     bounce.MTA
	daemon                  daemon
	pid                     uint32 // of the process, until it goes on with another message; 0: not known
	id                      string // queue id of the message that it is about; "" not known
	weight                  int
	text                    string // "": none
}

const (
	maxWarning = 300 // bytes of its text
	// warningReach is how long a warning is remembered, in seconds. For as long Postfix leaves a
	// transport alone that failed (transport_retry_time), and warns of it no more.
	warningReach = 60
	// panicReach is how long, in seconds, a warning counts that names neither the process nor the
	// message that fails.
	panicReach = 5
)

// ofPostfix notes a message that begins with a word of msg(3): those of daemons that mail goes out
// by. What smtpd(8) and the like warn of is the clients' doing.
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
		bytes.Contains(msg, []byte(" is unavailable. ")): // a table, by the first look-up (dict_surrogate(3))
		weight = 2
	case !hasPrefix(msg, "warning: "):
		return
	case prog.agent != "master" && !bytes.Contains(msg, []byte("see a previous ")): // else the one before says why
		weight = 1
	}
	ws.note(warning{
		host: host, program: prog.name, instance: prog.instance, mta: bounce.Postfix, daemon: prog.daemon, pid: pidOf(h.pid), weight: weight,
	}, h.message, r)
}

// ofExim notes a message of Exim's main log, with the id of a message or without, if it tells of a
// fault of this server, or of TLS with a host. What Exim says of clients begins otherwise.
func (ws *warnings) ofExim(host string, id, msg []byte, r *Result) {
	if len(msg) < 10 {
		return
	}
	if hasPrefix(msg, "H=") {
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

// note keeps a warning in the place of the oldest.
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

// attach gives an attempt the warning that belongs to it, if there is one.
func (ws *warnings) attach(d *bounce.Delivery, prog *program, digits []byte) {
	now, pid := d.Time.Unix(), pidOf(digits)
	if now-ws.ring[(ws.n-1)%len(ws.ring)].at > warningReach {
		return
	}
	if !mayBeOurs(d) {
		for i := range ws.ring { // nearly all attempts, so that no more is looked at of each
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

// precedes reports whether a warning belongs to an attempt of which it is that old, in seconds.
func (w *warning) precedes(d *bounce.Delivery, prog *program, pid uint32, age int64) bool {
	switch {
	case w.mta != d.MTA || w.host != d.Host:
		return false
	case w.mta == bounce.Exim:
		return w.id == d.QueueID || w.id == "" && d.Local && -panicReach <= age && age <= panicReach
	case w.ofProcess(d, prog, pid):
		return true
	case w.program == prog.name && strings.HasPrefix(d.Response, "Command died with "): // in a process of its own
		return w.weight == 2 && -panicReach <= age && age <= panicReach
	}
	return suspended(d) && w.instance == prog.instance && w.daemon != cleanupDaemon &&
		(d.Response != "mail transport unavailable" || w.daemon == qmgrDaemon) // in these words it cannot be reached
}

// ofProcess reports whether the process that warned has gone on to this attempt, and to no other
// message since. An attempt without a process id is that of "last message repeated".
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

// pidOf is a process id; 0: there is none.
func pidOf(digits []byte) (pid uint32) {
	for _, c := range digits {
		pid = pid*10 + uint32(c-'0')
	}
	return pid
}

// suspended reports an attempt that Postfix's queue manager has error(8) put off, since it cannot
// do its own work: not since a host failed before.
func suspended(d *bounce.Delivery) bool {
	return d.Outcome == bounce.Soft && d.Local && (d.Agent == "error" || d.Agent == "retry" || d.Agent == "qmgr") &&
		!strings.HasPrefix(d.Response, "delivery temporarily suspended: ")
}

// mayBeOurs reports an attempt that may have failed by a fault of this server: no remote server
// refused it, but for a login or TLS.
func mayBeOurs(d *bounce.Delivery) bool {
	failed := (d.Outcome == bounce.Soft || d.Outcome == bounce.Hard) && !d.Untried
	return failed && (d.Local || d.Stage == bounce.StageAuth || d.Stage == bounce.StageTLS || d.RelayIP == "" || d.RelayIP == "127.0.0.1" || d.RelayIP == "::1")
}
