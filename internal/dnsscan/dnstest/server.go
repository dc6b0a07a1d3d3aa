// Package dnstest is a DNS server for tests: on loopback, over UDP and TCP, from
// a zone text, and as faulty or dishonest as a test wants it to be.
package dnstest

import (
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// A Server answers questions until it is closed.
type Server struct {
	Addr string // address and port

	mu    sync.Mutex
	asked map[string]int
	rrs   map[string][]dns.RR // by lower-case owner
	odd   map[string]string   // how the answers for a name misbehave
	up    []*dns.Server
}

// Start serves a zone text in the form of RFC 1035 section 5, whose names are
// all below the root. Lines of the form
//
//	;@ WORD NAME
//
// make the answers for NAME and all below it (* is everything) odd: servfail, refused, notimp;
// silent (no answer); truncated (a UDP answer is always cut short); notcp (cut
// short, and nothing over TCP); otherid, otherquestion (only such answers),
// forged (such answers, with other records, before the right one), garbage
// (bytes that are no message); noedns (FORMERR to EDNS); signed (the AD bit),
// unsigned (below a signed name); noRA (no recursion is offered).
func Start(zone string) (*Server, error) {
	s := &Server{asked: map[string]int{}, rrs: map[string][]dns.RR{}, odd: map[string]string{}}
	zp := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	zp.SetDefaultTTL(60)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		name := strings.ToLower(rr.Header().Name)
		s.rrs[name] = append(s.rrs[name], rr)
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	for line := range strings.Lines(zone) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == ";@" {
			s.odd[dns.Fqdn(strings.ToLower(words[2]))] = words[1]
		}
	}
	// TCP and UDP need the same port, which may be taken for one of them.
	var failed error
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			failed = err
			l.Close()
			continue
		}
		s.Addr = l.Addr().String()
		for _, one := range []*dns.Server{{Listener: l, Handler: s}, {PacketConn: p, Handler: s}} {
			up := make(chan struct{})
			one.NotifyStartedFunc = func() { close(up) }
			go one.ActivateAndServe()
			<-up
			s.up = append(s.up, one)
		}
		return s, nil
	}
	return nil, failed
}

// Close ends the server.
func (s *Server) Close() {
	for _, one := range s.up {
		one.Shutdown()
	}
}

// Asked is how often a question such as "example.test. TXT" was put.
func (s *Server) Asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

// Questions are the different questions that were put.
func (s *Server) Questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for q := range s.asked {
		list = append(list, q)
	}
	slices.Sort(list)
	return list
}

// oddity returns how the answers for a name misbehave.
func (s *Server) oddity(name string) string {
	for {
		if word, ok := s.odd[name]; ok {
			return word
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok || rest == "" {
			return s.odd["*."]
		}
		name = rest
	}
}

// ServeDNS answers one question.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		return
	}
	name, kind := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	s.mu.Lock()
	s.asked[name+" "+dns.TypeToString[kind]]++
	s.mu.Unlock()

	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	odd := s.oddity(name)
	switch odd {
	case "servfail":
		m.Rcode = dns.RcodeServerFailure
	case "refused":
		m.Rcode = dns.RcodeRefused
	case "notimp":
		m.Rcode = dns.RcodeNotImplemented
	case "silent":
		return
	case "noRA":
		m.RecursionAvailable = false
	case "signed":
		m.AuthenticatedData = q.AuthenticatedData || q.IsEdns0() != nil && q.IsEdns0().Do()
	case "noedns":
		if q.IsEdns0() != nil {
			w.WriteMsg(new(dns.Msg).SetRcodeFormatError(q))
			return
		}
	case "garbage":
		w.Write([]byte{1, 2, 3})
		w.Write(make([]byte, 400))
		return
	case "notcp":
		if !udp {
			w.Close()
			return
		}
	}
	if m.Rcode == dns.RcodeSuccess {
		s.answer(m, name, kind)
	}
	switch odd {
	case "otherid", "otherquestion", "forged":
		for i := range 3 {
			lie := m.Copy()
			lie.Answer = nil
			if kind == dns.TypeTXT {
				lie.Answer = []dns.RR{&dns.TXT{
					Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60},
					Txt: []string{"v=spf1 +all"},
				}}
			}
			if i%2 == 0 && odd != "otherquestion" || odd == "otherid" {
				lie.Id++
			} else {
				lie.Question[0].Name = "other." + q.Question[0].Name
			}
			w.WriteMsg(lie)
		}
		if odd != "forged" {
			return
		}
	case "truncated", "notcp":
		if udp {
			m.Truncated, m.Answer = true, nil
		}
	}
	if udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// answer fills in the records for a name, over CNAMEs and wildcards.
func (s *Server) answer(m *dns.Msg, name string, kind uint16) {
	for range 20 {
		rrs, exists := s.records(name)
		target := ""
		for _, rr := range rrs {
			h := rr.Header()
			if h.Rrtype != kind && h.Rrtype != dns.TypeCNAME {
				continue
			}
			rr = dns.Copy(rr)
			rr.Header().Name = name
			m.Answer = append(m.Answer, rr)
			if c, ok := rr.(*dns.CNAME); ok && kind != dns.TypeCNAME {
				target = strings.ToLower(c.Target)
			}
		}
		if target == "" || !m.RecursionAvailable {
			if !exists {
				m.Rcode = dns.RcodeNameError
			}
			return
		}
		name = target
	}
}

// records are those of a name, and whether it or one below it exists.
func (s *Server) records(name string) ([]dns.RR, bool) {
	if rrs := s.rrs[name]; rrs != nil {
		return rrs, true
	}
	for owner := range s.rrs {
		if strings.HasSuffix(owner, "."+name) {
			return nil, true
		}
	}
	for rest := name; rest != ""; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		if rrs := s.rrs["*."+after]; rrs != nil {
			return rrs, true
		}
		rest = after
	}
	return nil, false
}
