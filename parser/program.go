package parser

import (
	"encoding/binary"
	"path"
	"slices"
	"strings"
)

// A program is the meaning of the program name in a header.
type program struct {
	name     string
	instance string // of Postfix: the text before the first slash
	agent    string // the text after the last slash; empty if it is not a Postfix program
	daemon   daemon
	exim     bool
	author   author
}

// A daemon is a kind of Postfix program whose lines have the same forms.
type daemon uint8

const (
	notPostfix    daemon = iota
	deliveryAgent        // smtp(8), lmtp(8), local(8), virtual(8), pipe(8), error(8), discard(8)
	qmgrDaemon           // qmgr(8)
	cleanupDaemon        // cleanup(8)
	smtpdDaemon          // smtpd(8)
	pickupDaemon         // pickup(8)
	bounceDaemon         // bounce(8), defer(8), trace(8)
	superCommand         // postsuper(1)
	otherDaemon
)

// programs caches the few program names that nearly all lines have. Its size is fixed.
type programs struct {
	slots       [256]*program
	mailServers []string
}

// known returns the program of that name if it is cached.
func (c *programs) known(name []byte) *program {
	if p := c.slots[slot(name)]; p != nil && p.name == string(name) {
		return p
	}
	return nil
}

// get returns the program of that name.
func (c *programs) get(name []byte) *program {
	if len(name) == 0 {
		return &noProgram
	}
	if p := c.known(name); p != nil {
		return p
	}
	p := newProgram(string(name))
	if p.author == another && slices.ContainsFunc(c.mailServers, func(pattern string) bool {
		is, _ := path.Match(pattern, p.name)
		return is
	}) {
		p.author = mailServer
	}
	if len(name) <= 255 {
		c.slots[slot(name)] = p
	}
	return p
}

// slot hashes the length and the last eight bytes of a name, in which Postfix's programs differ.
func slot(name []byte) uint8 {
	n := len(name)
	h := uint64(n)
	if n >= 8 {
		h ^= binary.LittleEndian.Uint64(name[n-8:])
	} else {
		for _, c := range name {
			h = h<<8 ^ uint64(c)
		}
	}
	return uint8(h * 0x9e3779b97f4a7c15 >> 56)
}

var noProgram program

// newProgram identifies the program by its name. Postfix's programs log as "syslog_name/program";
// the syslog name is "postfix", or has a service's name ("postfix/submission/smtpd"), or is another
// instance's ("postfix-out").
func newProgram(name string) *program {
	if strings.ContainsAny(name, "\"'=(){}<>\\|\u00a0") {
		return &program{name: name, author: authorOf(name)} // part of a wrapper
	}
	p := &program{name: name, exim: isEximProgram(name), author: authorOf(name)}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		p.agent = name[i+1:]
		p.daemon = postfixDaemon(p.agent)
		p.instance, _, _ = strings.Cut(name, "/")
	} else if p.daemon = postfixDaemon(name); p.daemon != notPostfix || strings.Contains(name, "postfix") {
		p.agent, p.instance = name, name
		if p.daemon != notPostfix {
			p.instance = "" // a shipper has cut the syslog name off
		}
	}
	return p
}

// postfixDaemon identifies Postfix's programs by the last part of the syslog name.
func postfixDaemon(name string) daemon {
	switch name {
	case "smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard", "relay":
		return deliveryAgent
	case "qmgr", "nqmgr", "oqmgr":
		return qmgrDaemon
	case "cleanup":
		return cleanupDaemon
	case "smtpd", "qmqpd":
		return smtpdDaemon
	case "pickup":
		return pickupDaemon
	case "bounce", "defer", "trace":
		return bounceDaemon
	case "postsuper":
		return superCommand
	case "postscreen", "anvil", "scache", "master", "verify", "tlsproxy", "tlsmgr", "dnsblog", "proxymap",
		"trivial-rewrite", "flush", "showq", "spawn", "postlogd", "postdrop", "sendmail", "postqueue",
		"postfix-script", "postalias", "postmap", "postcat", "postmulti", "posttls-finger":
		return otherDaemon
	}
	return notPostfix
}

// isEximProgram reports whether b is a name under which Exim logs through syslog: exim, exim4, and
// names that administrators choose (syslog_processname).
func isEximProgram(b string) bool {
	for i := 0; i+4 <= len(b); i++ {
		if b[i]|0x20 == 'e' && b[i+1]|0x20 == 'x' && b[i+2]|0x20 == 'i' && b[i+3]|0x20 == 'm' {
			return true
		}
	}
	return false
}
