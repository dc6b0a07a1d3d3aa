//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// Each recipient of the scenario must be in the made-up world, or be absent
// from it on purpose.
func TestScenarioFitsWorld(t *testing.T) {
	zones, err := loadZones("world/zones.db")
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := loadSinks("world/sinks.tsv")
	if err != nil {
		t.Fatal(err)
	}
	listening := map[string]bool{}
	for _, h := range hosts {
		listening[strings.TrimSuffix(h.addr, ":24")] = true
	}
	msgs, err := loadScenario()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	rcpts := 0
	for _, m := range msgs {
		if seen[m.id] {
			t.Errorf("message %s is there twice", m.id)
		}
		seen[m.id] = true
		for _, r := range m.rcpts {
			rcpts++
			e := event{rcpt: r.addr}
			domain := e.domain() + "."
			switch r.stage {
			case "connect", "helo", "tls", "mail", "rcpt", "data", "eom":
			default:
				continue // local, refused, or DNS trouble: what is missing is the point
			}
			q := new(dns.Msg)
			zones.answer(q, domain, dns.TypeMX)
			ok := r.category == "network" // nobody may be listening
			for _, rr := range q.Answer {
				if mx, is := rr.(*dns.MX); is {
					a := new(dns.Msg)
					zones.answer(a, mx.Mx, dns.TypeA)
					for _, rr := range a.Answer {
						if a, is := rr.(*dns.A); is && listening[a.A.String()] {
							ok = true
						}
					}
				}
			}
			for _, rr := range zones.rrs[domain] { // no MX: the address itself
				if a, is := rr.(*dns.A); is && listening[a.A.String()] {
					ok = true
				}
			}
			if !ok {
				t.Errorf("%s: nobody listens for %s", m.id, r.addr)
			}
		}
	}
	if rcpts < 150 {
		t.Errorf("only %d recipients", rcpts)
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		name, log string
		want      map[string]counts
	}{
		{"recovered", `
Nov 23 14:44:58 mx1 postfix/smtp[1]: A1: to=<a@x.test>, relay=m[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host m said: 450 4.2.0 grey)
Nov 23 14:45:58 mx1 postfix/smtp[1]: A1: to=<a@x.test>, relay=m[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)
Nov 23 14:45:58 mx1 postfix/qmgr[1]: A1: removed`, map[string]counts{"x.test": {delivered: 1, soft: 1, recovered: 1}}},
		{"expired and pending", `
Nov 23 14:44:58 mx1 postfix/smtp[1]: A1: to=<a@x.test>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to m: Connection refused)
Nov 23 14:44:58 mx1 postfix/smtp[1]: A2: to=<b@x.test>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to m: Connection refused)
Nov 23 14:45:58 mx1 postfix/qmgr[1]: A1: from=<s@y.test>, status=expired, returned to sender`, map[string]counts{"x.test": {soft: 2, hard: 1, expired: 1, pending: 1}}},
		{"hand-off, alias and probe", `
Nov 23 14:44:58 mx1 postfix/smtp[1]: A1: to=<a@x.test>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from MTA)
Nov 23 14:44:58 mx1 postfix/local[1]: A2: to=<l@x.test>, relay=local, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (forwarded as A3)
Nov 23 14:44:58 mx1 postfix/smtp[1]: A4: to=<a@x.test>, relay=m[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=undeliverable (host m said: 550 no)`, map[string]counts{}},
		{"a reply that imitates a line", `
Nov 23 14:44:58 mx1 postfix/smtp[1]: A1: to=<a@x.test>, relay=m[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host m said: 550 no), to=<v@x.test>, relay=none, delay=0, dsn=2.0.0, status=sent (250 Ok)`, map[string]counts{"x.test": {hard: 1}}},
		{"Exim", `
2026-11-23 14:45:00 1xVVHw-0005Om-0C == |/bin/false <P@x.test> R=aliases T=pipe defer (0): Child process failed
2026-11-23 14:45:00 1xVVHw-0005Om-0C == b@bücher.test routing defer (-52): retry time not reached
2026-11-23 14:45:01 1xVVHw-0005Om-0C ** b@bücher.test: retry timeout exceeded
2026-11-23 14:45:01 1xVVHw-0005Om-0C => :blackhole: <c@y.test> R=fixed`, map[string]counts{"x.test": {soft: 1, pending: 1}, "xn--bcher-kva.test": {soft: 1, hard: 1, expired: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]counts{}
			for d, c := range count(read(strings.Split(tt.log, "\n"))) {
				got[d] = *c
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// A cut of a sample log that asks for everything in it is the whole log again.
func TestCut(t *testing.T) {
	msgs, err := loadScenario()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range msgs {
		ids = append(ids, m.id)
	}
	for _, name := range []string{"postfix-rfc3164.log", "postfix-rfc3339.log", "postfix-longids.log", "exim-mainlog.log", "exim-all.log", "exim-syslog.log", "postfix-3.11.log", "exim-4.100.log", "exim-4.100-all.log"} {
		var want, got bytes.Buffer
		err := readLines("../../testdata/"+name, func(l string) error { want.WriteString(l + "\n"); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := cut(&got, "../../testdata/"+name, ids); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s: -log +cut\n%.2000s", name, diff)
		}
	}
}
