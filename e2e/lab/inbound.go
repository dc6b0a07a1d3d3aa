//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-milter"
)

// servePolicy is a Postfix policy service. The sender's local part decides:
// policy-reject..., policy-defer..., anything else passes.
func servePolicy(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go policyConn(c)
		}
	}()
	return nil
}

func policyConn(c net.Conn) {
	defer c.Close()
	action := "DUNNO"
	for sc := bufio.NewScanner(c); sc.Scan(); {
		line := sc.Text()
		if line == "" { // end of one request
			if _, err := fmt.Fprintf(c, "action=%s\n\n", action); err != nil {
				return
			}
			action = "DUNNO"
			continue
		}
		if s, ok := strings.CutPrefix(line, "sender="); ok {
			switch {
			case strings.HasPrefix(s, "policy-reject"):
				action = "REJECT SPF fail - not authorized: see http://spf.lab.test/why"
			case strings.HasPrefix(s, "policy-defer"):
				action = "DEFER_IF_PERMIT Greylisted, please try again"
			}
		}
	}
}

// milt rejects or defers at the end of the message, as the sender says.
type milt struct {
	milter.NoOpMilter
	sender string
}

func (m *milt) MailFrom(from string, _ *milter.Modifier) (milter.Response, error) {
	m.sender = from
	return milter.RespContinue, nil
}

func (m *milt) Body(_ *milter.Modifier) (milter.Response, error) {
	switch {
	case strings.HasPrefix(m.sender, "milter-reject"):
		return milter.NewResponseStr('y', "550 5.7.1 rejected by DMARC policy for "+m.sender), nil
	case strings.HasPrefix(m.sender, "milter-defer"):
		return milter.NewResponseStr('y', "451 4.7.1 try again later, content scanner busy"), nil
	}
	return milter.RespAccept, nil
}

func serveMilter(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := &milter.Server{NewMilter: func() milter.Milter { return &milt{} }}
	go s.Serve(ln)
	return nil
}
