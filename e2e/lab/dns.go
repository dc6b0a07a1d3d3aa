//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// zones answers every question authoritatively from one zone file. Two
// comments in that file are directives, each for a name and all below it:
//
//	;@servfail NAME   answer SERVFAIL
//	;@timeout NAME    do not answer at all
type zones struct {
	rrs      map[string][]dns.RR // by lower-case owner name
	servfail []string
	timeout  []string
}

func loadZones(path string) (*zones, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z := &zones{rrs: map[string][]dns.RR{}}
	zp := dns.NewZoneParser(f, ".", path)
	zp.SetDefaultTTL(60)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		name := strings.ToLower(rr.Header().Name)
		z.rrs[name] = append(z.rrs[name], rr)
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	err = readLines(path, func(line string) error {
		switch w := strings.Fields(line); {
		case len(w) < 2:
		case w[0] == ";@servfail":
			z.servfail = append(z.servfail, dns.Fqdn(w[1]))
		case w[0] == ";@timeout":
			z.timeout = append(z.timeout, dns.Fqdn(w[1]))
		}
		return nil
	})
	return z, err
}

func (z *zones) serve(addr string) error {
	for _, network := range []string{"udp", "tcp"} {
		up := make(chan error, 1)
		s := &dns.Server{
			Addr: addr, Net: network, Handler: z,
			NotifyStartedFunc: func() { up <- nil },
		}
		go func() { up <- s.ListenAndServe() }()
		if err := <-up; err != nil {
			return fmt.Errorf("dns %s %s: %w", network, addr, err)
		}
	}
	return nil
}

func (z *zones) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		return
	}
	name := strings.ToLower(q.Question[0].Name)
	if below(name, z.timeout) {
		return
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	if below(name, z.servfail) {
		m.Rcode = dns.RcodeServerFailure
	} else {
		z.answer(m, name, q.Question[0].Qtype)
	}
	if err := w.WriteMsg(m); err != nil {
		log.Printf("dns: %v", err)
	}
}

// answer fills in the records for name, following CNAMEs, or NXDOMAIN, or
// an empty answer where the name exists with other types only.
func (z *zones) answer(m *dns.Msg, name string, qtype uint16) {
	for hops := 0; hops < 8; hops++ {
		var cname string
		for _, rr := range z.rrs[name] {
			if t := rr.Header().Rrtype; t == qtype || t == dns.TypeCNAME || qtype == dns.TypeANY {
				m.Answer = append(m.Answer, rr)
				if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
					cname = strings.ToLower(c.Target)
				}
			}
		}
		if cname == "" {
			break
		}
		name = cname
	}
	if len(m.Answer) == 0 {
		if !z.exists(name) {
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 5},
			Ns:  "ns.test.", Mbox: "hostmaster.test.", Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 5,
		}}
	}
}

// exists reports whether name, or a name below it, owns a record.
func (z *zones) exists(name string) bool {
	if len(z.rrs[name]) > 0 {
		return true
	}
	for owner := range z.rrs {
		if strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

func below(name string, tops []string) bool {
	for _, t := range tops {
		if name == t || strings.HasSuffix(name, "."+t) {
			return true
		}
	}
	return false
}
