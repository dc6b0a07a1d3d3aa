//go:build linux

package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ourAddr is where the MTAs listen for the outside world.
const ourAddr = "203.0.113.25"

// inject sends one phase of the scenario to every instance, all instances at
// once, and appends what is expected to the file expected.
func inject(phase, expected string) error {
	all, err := loadScenario()
	if err != nil {
		return err
	}
	var msgs []*message
	for _, m := range all {
		if m.phase == phase {
			msgs = append(msgs, m)
		}
	}
	if len(msgs) == 0 {
		return fmt.Errorf("the scenario has no phase %q", phase)
	}
	if err := writeExpected(expected, msgs); err != nil {
		return err
	}
	return sendAll(msgs, 0)
}

// injectFlow sends n numbered messages to every instance, about 25 a second.
// Each third one bounces.
func injectFlow(n int) error {
	msgs := make([]*message, n)
	for i := range msgs {
		rcpt := "ok@plain.test"
		if i%3 == 1 {
			rcpt = "nouser@plain.test"
		}
		id := fmt.Sprintf("flow-%d", i)
		msgs[i] = &message{id: id, via: "smtp", sender: id + "@sender.test", rcpts: []recipient{{addr: rcpt}}}
	}
	return sendAll(msgs, 40*time.Millisecond)
}

// injectPairs sends a message to every instance for each line of a file, in
// order: the sender, a tab, the recipient. Where one is refused, so it is.
func injectPairs(file string) error {
	var msgs []*message
	err := readLines(file, func(line string) error {
		sender, rcpt, ok := strings.Cut(line, "\t")
		if !ok {
			return fmt.Errorf("no tab in %q", line)
		}
		id := fmt.Sprintf("pair-%d", len(msgs))
		msgs = append(msgs, &message{id: id, via: "smtp", sender: sender, rcpts: []recipient{{addr: rcpt}}})
		return nil
	})
	if err != nil {
		return err
	}
	return sendAll(msgs, 20*time.Millisecond)
}

// sendAll sends the messages to each instance in turn, with a pause after each.
func sendAll(msgs []*message, pause time.Duration) error {
	errs := make([]error, len(instances))
	var wg sync.WaitGroup
	for i, in := range instances {
		wg.Go(func() {
			for _, m := range msgs {
				if !m.goesTo(in) {
					continue
				}
				if err := m.inject(in); err != nil {
					errs[i] = errors.Join(errs[i], fmt.Errorf("%s: %s: %w", in.name, m.id, err))
				}
				time.Sleep(pause) // the rate
			}
		})
	}
	wg.Wait()
	log.Printf("sent %d messages to each of %d MTAs", len(msgs), len(instances))
	return errors.Join(errs...)
}

// goesTo reports whether the scenario has the message sent to this instance.
func (m *message) goesTo(in instance) bool {
	via, _, _ := strings.Cut(m.via, ":")
	if special[via] != "" && in.name != "postfix" {
		return false
	}
	return m.rcpts[0].want == nil || m.rcpts[0].want[in.kind] != outcome{}
}

func writeExpected(file string, msgs []*message) error {
	var b strings.Builder
	if _, err := os.Stat(file); err != nil {
		b.WriteString("#" + strings.Join(expectedColumns, "\t") + "\n")
	}
	for _, in := range instances {
		for _, m := range msgs {
			if !m.goesTo(in) {
				continue
			}
			for _, r := range m.rcpts {
				w := r.want[in.kind]
				fmt.Fprintln(&b, strings.Join([]string{
					in.name, m.messageID(in), m.id, m.sender, r.addr,
					w.first, w.final, r.stage, r.code, r.enh, w.dsn, r.category, w.text,
				}, "\t"))
			}
		}
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(b.String()); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// inject gives the message to the instance. That the instance refuses it is
// no error: some of the scenario is about that.
func (m *message) inject(in instance) error {
	text := m.text(in)
	via, from, _ := strings.Cut(m.via, ":")
	if via == "sendmail" {
		cmd := exec.Command(in.sendmail[0], append(in.sendmail[1:], "-i", "-f", m.sender, m.rcpts[0].addr)...)
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(text, "\r\n", "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("sendmail: %w: %s", err, out)
		}
		return nil
	}
	s := submission{addr: special[via], helo: "client.lab.test", sender: m.sender, text: []byte(text)}
	if s.addr == "" {
		s.addr = net.JoinHostPort("127.0.0.1", in.port)
	}
	if from != "" {
		s.localIP, s.helo = net.ParseIP(from), "outside.other.test"
		if special[via] == "" {
			s.addr = net.JoinHostPort(ourAddr, in.port)
		}
	}
	_, s.utf8 = m.opt("utf8")
	for _, r := range m.rcpts {
		s.rcpts = append(s.rcpts, r.addr)
	}
	_, err := s.send()
	if refused := new(textproto.Error); errors.As(err, &refused) {
		return nil
	}
	return err
}

// A submission is one message to be sent by SMTP.
type submission struct {
	addr    string // of the server
	localIP net.IP // nil: any
	helo    string
	sender  string
	rcpts   []string
	text    []byte
	utf8    bool // SMTPUTF8
}

// send gives the server's answer to the end of the message. A refusal is a
// *textproto.Error.
func (s *submission) send() (answer string, err error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if s.localIP != nil {
		d.LocalAddr = &net.TCPAddr{IP: s.localIP}
	}
	conn, err := d.Dial("tcp", s.addr)
	if err != nil {
		return "", err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	c := textproto.NewConn(conn)
	defer c.Close()
	mail := fmt.Sprintf("MAIL FROM:<%s> SIZE=%d", s.sender, len(s.text))
	if s.utf8 {
		mail += " SMTPUTF8"
	}
	cmds := []string{"", "EHLO " + s.helo, mail}
	for _, r := range s.rcpts {
		cmds = append(cmds, "RCPT TO:<"+r+">")
	}
	for _, cmd := range append(cmds, "DATA") {
		if cmd != "" {
			if err := c.PrintfLine("%s", cmd); err != nil {
				return "", err
			}
		}
		code, msg, err := c.ReadResponse(0)
		if err != nil {
			return "", fmt.Errorf("%s: %w", cmd, err)
		}
		if code >= 400 {
			c.PrintfLine("QUIT")
			return "", &textproto.Error{Code: code, Msg: msg}
		}
	}
	w := c.DotWriter()
	if _, err := w.Write(s.text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	code, msg, err := c.ReadResponse(0)
	if err != nil {
		return "", err
	}
	c.PrintfLine("QUIT")
	if code >= 400 {
		return "", &textproto.Error{Code: code, Msg: msg}
	}
	return fmt.Sprintf("%d %s", code, msg), nil
}

func (m *message) text(in instance) string {
	subject := "lab message " + m.id
	if s, ok := m.opt("subject"); ok {
		subject = s
	}
	var b strings.Builder
	if _, ok := m.opt("dkim"); ok {
		b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=sel;\r\n" +
			"\th=from:subject; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n")
	}
	fmt.Fprintf(&b, "Date: %s\r\nFrom: <%s>\r\nTo: undisclosed-recipients:;\r\nSubject: %s\r\nMessage-ID: <%s>\r\n\r\n",
		time.Now().Format(time.RFC1123Z), m.sender, subject, m.messageID(in))
	b.WriteString("A message of the mail lab.\r\n")
	if s, ok := m.opt("size"); ok {
		for n, _ := strconv.Atoi(s); b.Len() < n; {
			b.WriteString("Padding, padding, and then some more of the same padding.\r\n")
		}
	}
	return b.String()
}
