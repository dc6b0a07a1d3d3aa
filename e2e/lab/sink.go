//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A host is one mail host of the fake internet. It accepts everything but
// what its rules, read from sinks.tsv, say otherwise.
type host struct {
	name, addr string
	opts       []string // EHLO keywords; also LMTP (an LMTP server) and RELAY=ADDRESS (a content filter that passes mail on)
	rules      []rule
	cert       *tls.Certificate

	mu    sync.Mutex
	tries map[string]int // how often a "@first N" rule has fired, by client+sender+recipient
}

// A rule answers one stage of the session. Stages: connect, ehlo, starttls,
// mail (match is on the sender), rcpt, data and eom (end of message; match
// is on any accepted recipient; on an LMTP host on each; "from:PATTERN" is on
// the sender instead). A pattern is one of path.Match, for the local part.
type rule struct {
	stage, match, answer string
	first                int // only the first so many tries; 0: always
}

// loadSinks reads the table: host, address, stage, match, answer. A row with
// stage "host" declares a host; the others add rules to it. Answers may hold
// \n, \t and \xNN and the fields %r recipient, %d its domain, %s sender,
// %D its domain, %c client address. They may start with "@first N", and be
// "@drop" (close the connection), "@hang" (never answer), "@garbage" or
// "@long N TEXT" (N lines of TEXT, each with the code that TEXT starts with).
func loadSinks(file string) ([]*host, error) {
	var hosts []*host
	byName := map[string]*host{}
	err := readLines(file, func(line string) error {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			return nil
		}
		c := strings.Split(line, "\t")
		if len(c) != 5 {
			return fmt.Errorf("%d columns, want 5", len(c))
		}
		if c[2] == "host" {
			h := &host{name: c[0], addr: c[1], opts: strings.Fields(c[4]), tries: map[string]int{}}
			hosts, byName[c[0]] = append(hosts, h), h
			return nil
		}
		h := byName[c[0]]
		if h == nil {
			return fmt.Errorf("no host %s yet", c[0])
		}
		r, err := parseRule(c[2], c[3], c[4])
		if err != nil {
			return err
		}
		h.rules = append(h.rules, r)
		return nil
	})
	return hosts, err
}

func parseRule(stage, match, answer string) (rule, error) {
	r := rule{stage: stage, match: match, answer: answer}
	if rest, ok := strings.CutPrefix(r.answer, "@first "); ok {
		num, text, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(num)
		if err != nil {
			return r, fmt.Errorf("@first: %w", err)
		}
		r.first, r.answer = n, text
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(r.answer, `"`, `\"`) + `"`)
	if err != nil {
		return r, fmt.Errorf("answer: %w", err)
	}
	r.answer = text
	if rest, ok := strings.CutPrefix(r.answer, "@long "); ok {
		num, text, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(num)
		if err != nil || len(text) < 4 {
			return r, fmt.Errorf("bad %q", r.answer)
		}
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("%s-%s (line %d)", text[:3], text[4:], i+1)
		}
		lines[n-1] = text
		r.answer = strings.Join(lines, "\n")
	}
	return r, nil
}

func (h *host) serve() error {
	if slices.Contains(h.opts, "STARTTLS") {
		cert, err := selfSigned(h.name)
		if err != nil {
			return err
		}
		h.cert = cert
	}
	addr := h.addr
	if !strings.Contains(addr, ":") {
		addr += ":25"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				log.Printf("%s: %v", h.name, err)
				return
			}
			go (&session{h: h, conn: c}).run()
		}
	}()
	return nil
}

func (h *host) lmtp() bool { return slices.Contains(h.opts, "LMTP") }

// find gives the answer of the first rule for this stage that matches who (or
// the sender) and is not used up.
func (h *host) find(stage, who, sender, key string) (string, bool) {
	for i, r := range h.rules {
		if r.stage != stage {
			continue
		}
		pattern, whose := r.match, who
		if p, ok := strings.CutPrefix(r.match, "from:"); ok {
			pattern, whose = p, sender
		}
		local, _, _ := strings.Cut(whose, "@")
		if ok, _ := path.Match(pattern, local); !ok && pattern != "*" {
			continue
		}
		if r.first > 0 {
			k := fmt.Sprint(i, " ", key)
			h.mu.Lock()
			h.tries[k]++
			used := h.tries[k] > r.first
			h.mu.Unlock()
			if used {
				continue
			}
		}
		return r.answer, true
	}
	return "", false
}

// A session is one connection to a host.
type session struct {
	h      *host
	conn   net.Conn
	rd     *bufio.Reader
	helo   string
	sender string
	rcpts  []string
	tls    bool
}

// run talks SMTP or LMTP until the client quits, a rule ends the session, or
// 60 seconds have passed.
func (s *session) run() {
	defer func() { s.conn.Close() }()
	s.conn.SetDeadline(time.Now().Add(60 * time.Second))
	s.rd = bufio.NewReader(s.conn)
	if a, ok := s.h.find("connect", "", "", s.client()); ok {
		if !s.say(a, "") || a[0] == '4' || a[0] == '5' {
			return
		}
	} else if !s.say("220 "+s.h.name+" ESMTP", "") {
		return
	}
	for {
		line, err := s.rd.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		ok := true
		switch strings.ToUpper(verb) {
		case "EHLO", "LHLO":
			s.helo = arg
			ok = s.stage("ehlo", "", s.ehlo())
		case "HELO":
			s.helo = arg
			ok = s.stage("ehlo", "", "250 "+s.h.name)
		case "STARTTLS":
			ok = s.startTLS()
		case "MAIL":
			s.sender, s.rcpts = address(arg), nil
			if limit, _ := strconv.Atoi(s.h.value("SIZE")); limit > 0 && sizeParam(arg) > limit {
				ok = s.say("552 5.3.4 Message size exceeds fixed limit", "")
			} else {
				ok = s.stage("mail", s.sender, "250 2.1.0 Ok")
			}
		case "RCPT":
			r := address(arg)
			if a, hit := s.h.find("rcpt", r, s.sender, s.key(r)); hit {
				ok = s.say(a, r)
			} else {
				s.rcpts = append(s.rcpts, r)
				ok = s.say("250 2.1.5 Ok", r)
			}
		case "DATA":
			ok = s.data()
		case "BDAT": // as CHUNKING has it; Exim uses it where it is offered
			ok = s.bdat(arg)
		case "RSET", "NOOP":
			ok = s.say("250 2.0.0 Ok", "")
		case "QUIT":
			s.say("221 2.0.0 Bye", "")
			return
		default:
			ok = s.say("502 5.5.2 Error: command not recognized", "")
		}
		if !ok {
			return
		}
	}
}

func (s *session) client() string {
	ip, _, _ := net.SplitHostPort(s.conn.RemoteAddr().String())
	return ip
}

// key names one try for "@first": the EHLO name tells the MTAs apart.
func (s *session) key(rcpt string) string { return s.helo + " " + s.sender + " " + rcpt }

// stage says what the rules have for this stage, or dflt.
func (s *session) stage(stage, who, dflt string) bool {
	if a, ok := s.h.find(stage, who, s.sender, s.key("")); ok {
		return s.say(a, "")
	}
	return s.say(dflt, "")
}

// say sends an answer. It reports false where the session is over: after an
// error, a 421, or an action that ends it.
func (s *session) say(answer, rcpt string) bool {
	switch answer {
	case "@drop":
		return false
	case "@hang":
		time.Sleep(15 * time.Second) // the client's own time-outs are shorter
		return false
	case "@garbage":
		answer = "this is not an SMTP reply\r\n\x16\x03\x01 neither is this"
	}
	domain := func(a string) string { return a[strings.LastIndexByte(a, '@')+1:] }
	answer = strings.NewReplacer("%r", rcpt, "%d", domain(rcpt), "%s", s.sender,
		"%D", domain(s.sender), "%c", s.client(), "\n", "\r\n").Replace(answer)
	_, err := s.conn.Write([]byte(answer + "\r\n"))
	return err == nil && !strings.HasPrefix(answer, "421")
}

func (s *session) ehlo() string {
	lines := []string{s.h.name}
	for _, o := range s.h.opts {
		if o == "LMTP" || strings.HasPrefix(o, "RELAY=") || o == "STARTTLS" && s.tls {
			continue
		}
		lines = append(lines, strings.ReplaceAll(o, "=", " "))
	}
	return "250-" + strings.Join(lines[:len(lines)-1], "\n250-") + "\n250 " + lines[len(lines)-1]
}

func (s *session) startTLS() bool {
	a, ok := s.h.find("starttls", "", s.sender, s.key(""))
	if s.h.cert == nil && !ok {
		return s.say("502 5.5.1 Error: command not implemented", "")
	}
	if ok && a != "@garbage" {
		return s.say(a, "")
	}
	if !s.say("220 2.0.0 Ready to start TLS", "") {
		return false
	}
	if ok { // a reply where the client waits for the handshake, then the end
		s.say(a, "")
		return false
	}
	c := tls.Server(s.conn, &tls.Config{Certificates: []tls.Certificate{*s.h.cert}})
	if err := c.Handshake(); err != nil {
		return false
	}
	s.conn, s.rd, s.tls = c, bufio.NewReader(c), true
	return true
}

func (s *session) data() bool {
	if len(s.rcpts) == 0 {
		return s.say("554 5.5.1 Error: no valid recipients", "")
	}
	for _, r := range s.rcpts {
		if a, ok := s.h.find("data", r, s.sender, s.key(r)); ok {
			return s.say(a, r)
		}
	}
	if !s.say("354 End data with <CR><LF>.<CR><LF>", "") {
		return false
	}
	var text bytes.Buffer
	for {
		line, err := s.rd.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.TrimRight(line, "\r\n") == "." {
			break
		}
		text.WriteString(strings.TrimPrefix(line, ".")) // RFC 5321 section 4.5.2
	}
	if next := s.h.value("RELAY"); next != "" {
		return s.pass(next, text.Bytes())
	}
	return s.endOfMessage()
}

// pass gives the message to the next server, as a content filter does, and
// that server's answer to the client.
func (s *session) pass(next string, text []byte) bool {
	answer, err := (&submission{addr: next, helo: s.h.name, sender: s.sender, rcpts: s.rcpts, text: text}).send()
	if err != nil {
		return s.say("451 4.5.0 from MTA(smtp:["+next+"]): "+err.Error(), "")
	}
	host, port, _ := net.SplitHostPort(next)
	return s.say(fmt.Sprintf("250 2.0.0 from MTA(smtp:[%s]:%s): %s", host, port, answer), "")
}

// bdat takes one chunk of the message.
func (s *session) bdat(arg string) bool {
	num, last, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || len(s.rcpts) == 0 {
		return false
	}
	if _, err := io.CopyN(io.Discard, s.rd, n); err != nil {
		return false
	}
	if !strings.EqualFold(last, "LAST") {
		return s.say("250 2.0.0 Ok, more", "")
	}
	return s.endOfMessage()
}

// endOfMessage answers for the message, on an LMTP host for each recipient.
func (s *session) endOfMessage() bool {
	id := fmt.Sprintf("%X", time.Now().UnixNano()&0xffffffffff)
	queued := "250 2.0.0 Ok: queued as " + id
	if s.h.lmtp() { // one answer for each recipient
		for _, r := range s.rcpts {
			a, ok := s.h.find("eom", r, s.sender, s.key(r))
			if !ok {
				a = "250 2.0.0 <%r> " + id + " Saved"
			}
			if !s.say(a, r) {
				return false
			}
		}
		return true
	}
	for _, r := range s.rcpts {
		if a, ok := s.h.find("eom", r, s.sender, s.key(r)); ok {
			return s.say(a, r)
		}
	}
	return s.say(queued, "")
}

// value gives the value of an option KEY=VALUE.
func (h *host) value(key string) string {
	for _, o := range h.opts {
		if v, ok := strings.CutPrefix(o, key+"="); ok {
			return v
		}
	}
	return ""
}

func sizeParam(arg string) int {
	for _, w := range strings.Fields(arg) {
		if v, ok := strings.CutPrefix(strings.ToUpper(w), "SIZE="); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// address takes the mailbox out of "FROM:<a@b> SIZE=1".
func address(arg string) string {
	_, a, _ := strings.Cut(arg, "<")
	if i := strings.LastIndexByte(a, '>'); i >= 0 {
		a = a[:i]
	}
	return a
}

// selfSigned makes a fresh certificate that nobody trusts.
func selfSigned(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
