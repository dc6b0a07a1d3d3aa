package parser

import (
	"regexp"
	"strconv"
	"strings"

	"bouncelog/bounce"
)

// The reference readers for the fuzz tests of the scanners. They apply the grammar word by word.

// referencePostfix reads a delivery agent's message with the grammar.
func referencePostfix(msg string) (id string, f postfixFields, ok bool) {
	g := postfixGrammar()
	m := g.queueID.FindStringSubmatch(msg)
	if m == nil {
		return "", f, false
	}
	if id = m[1]; id == "NOQUEUE" {
		return "", f, false
	}
	s := msg[len(m[0]):]
	address := func(re *regexp.Regexp) (string, bool) {
		m := re.FindStringSubmatchIndex(s)
		if m == nil {
			return "", false
		}
		a := ""
		if m[2] >= 0 {
			a = s[m[2]:m[3]]
			s = s[m[3]+len(">, "):]
		} else {
			a = s[m[4]:m[5]]
			s = s[m[5]+len(", "):]
		}
		return a, true
	}
	if f.to, ok = address(g.to); !ok {
		return "", f, false
	}
	if strings.HasPrefix(s, "orig_to=") {
		if f.origTo, ok = address(g.origTo); !ok {
			return "", f, false
		}
	}
	if m = g.relay.FindStringSubmatch(s); m == nil {
		return "", f, false
	}
	f.relay = m[1]
	s = s[len("relay=")+len(m[1])+len(", "):]
	for range maxFields {
		if m = g.status.FindStringSubmatch(s); m != nil {
			f.status, f.text = m[1], m[2]
			return id, f, true
		}
		if m = g.field.FindStringSubmatch(s); m == nil || m[1] == "status" {
			return "", f, false
		}
		switch m[1] {
		case "delay":
			f.delay = m[2]
		case "delays":
			f.delays = m[2]
		case "tls":
			f.tls = m[2]
		case "dsn":
			f.dsn = m[2]
		}
		s = s[len(m[0]):]
	}
	return "", f, false
}

// referenceReply reads the text of a status with the grammar. It returns the remote server's reply
// and the stage; ok is false if the text is the MTA's own.
func referenceReply(text string) (reply string, stage bounce.Stage, ok bool) {
	g := postfixGrammar()
	text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	if m := g.said.FindStringSubmatch(text); m != nil {
		reply = m[1]
	} else if m := g.saslSaid.FindStringSubmatch(text); m != nil {
		reply, stage = m[1], bounce.StageAuth
	} else if m := g.refused.FindStringSubmatch(text); m != nil {
		reply, stage = m[1], bounce.StageConnect
		if strings.Contains(reply, "elo command rejected") {
			stage = bounce.StageHelo
		}
	} else {
		return "", 0, false
	}
	if m := g.inReplyTo.FindStringSubmatch(reply); m != nil {
		if s := smtpStage(m[2]); s != bounce.NoStage {
			reply, stage = m[1], s
		}
	}
	return reply, stage, true
}

// referenceExim reads the text after a line's flag with the grammar.
func referenceExim(flag, s string) (f eximFields, ok bool) {
	g := eximGrammar()
	re := g.delivered
	switch flag {
	case "**":
		re = g.failed
	case "==":
		re = g.deferred
	}
	m := re.FindStringSubmatch(s)
	if m == nil {
		return f, false
	}
	if f.address, f.parent = m[1], m[2]; f.address == "" {
		f.address, f.parent = m[3], m[4]
	}
	fields := m[5]
	switch flag {
	case "**":
		f.message = m[6]
	case "==":
		f.errno, _ = strconv.Atoi(m[6])
		fields += m[7]
		f.message = m[8]
	}
	for _, field := range g.field.FindAllString(fields, -1) {
		name, v, hasValue := strings.Cut(field[1:], "=")
		if !hasValue {
			continue
		}
		if name == "H" {
			i := strings.LastIndexByte(v, '[')
			host, _, _ := strings.Cut(strings.Trim(v[:i], " "), " ")
			ip, port, _ := strings.Cut(v[i+1:], "]")
			n, err := strconv.ParseUint(strings.Trim(port, ":*"), 10, 16)
			if err != nil {
				n = 0
			}
			if f.host == "" && f.ip == "" {
				f.host, f.ip, f.port = host, ip, uint16(n)
			}
			continue
		}
		if v[0] == '"' || v[0] == '<' {
			v = v[1 : len(v)-1]
		}
		switch name {
		case "R":
			f.router = v
		case "T":
			f.transport = v
		case "F":
			if !f.hasSender {
				f.sender, f.hasSender = v, true
			}
		case "S":
			f.size, _ = strconv.ParseInt(v, 10, 64)
		case "C":
			f.confirmation = v
		case "X":
			f.cipher = v
		case "CV":
			f.verified = v
		case "QT":
			f.queueTime = v
		case "DT":
			f.deliveryTime = v
		}
	}
	return f, true
}
