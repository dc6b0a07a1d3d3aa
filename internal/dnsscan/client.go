package dnsscan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// The defaults of a Client.
const (
	DefaultTimeout     = 3 * time.Second
	DefaultConcurrency = 8
)

const (
	tries         = 2        // rounds over the servers for a question without an answer
	udpSize       = 1232     // bytes of an answer that fit into any packet (DNS flag day 2020)
	aliasesAtMost = 8        // CNAME records followed for a name
	strayAtMost   = 64       // datagrams that do not belong to the question
	recordsAtMost = 200      // records of one answer that are looked at
	cacheAtMost   = 16 << 20 // bytes of answers that are kept
	silentAtMost  = 3        // questions without any answer after which a dead server is left alone
)

// ErrNoServer means that no DNS server answered at all.
var ErrNoServer = errors.New("no DNS server answers")

// A Client queries recursive DNS servers. It sends each query once and keeps the answer. Its
// methods may be called from several goroutines; its fields must not change after the first query.
type Client struct {
	Servers     []string      // address and port of each; asked in this order
	Timeout     time.Duration // of one try at one server; 0: DefaultTimeout
	Concurrency int           // questions under way at once; 0: DefaultConcurrency

	mu      sync.Mutex
	slots   chan struct{}
	cache   map[question]*entry
	kept    int    // bytes of the answers in the cache
	asked   int    // questions put to the servers
	heard   bool   // one of them was answered
	served  bool   // one of them was not refused
	silent  int    // questions without an answer
	lastErr string // how the last unanswered question failed
}

// SystemServers returns the servers of a file in the form of resolv.conf(5).
func SystemServers(path string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, err
	}
	if len(conf.Servers) == 0 {
		return nil, fmt.Errorf("%s names no server", path)
	}
	servers := make([]string, 0, len(conf.Servers))
	for _, s := range conf.Servers {
		servers = append(servers, net.JoinHostPort(s, conf.Port))
	}
	return servers, nil
}

// ParseServer reads a server's address, with or without a port: 192.0.2.1,
// 192.0.2.1:5353, 2001:db8::1, [2001:db8::1]:53.
func ParseServer(s string) (string, error) {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(ip.String(), "53"), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return "", fmt.Errorf("%q is not the address of a DNS server", s)
	}
	return ap.String(), nil
}

// Err returns an error if the servers are of no use: none answered any query (ErrNoServer), or all
// refused every query. It is nil before the first query.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.heard && c.silent > 0:
		return fmt.Errorf("%w: %s", ErrNoServer, c.lastErr)
	case c.heard && !c.served:
		return fmt.Errorf("%s refuses to answer", strings.Join(c.Servers, ", "))
	}
	return nil
}

type question struct {
	name string // lower case, with the final dot
	kind uint16
}

type entry struct {
	done chan struct{}
	msg  *dns.Msg
	err  error
}

// A lookupError means that a query was not answered. That a name or a record does not exist is an
// answer.
type lookupError struct {
	name, kind, why string
}

func (e *lookupError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.name, e.kind, e.why)
}

// An answer holds the records of a name.
type answer struct {
	records   []dns.RR // of the type asked for
	aliases   []string // the CNAME chain that led there
	none      bool     // there is no such name
	validated bool     // the server says that it validated all of it with DNSSEC (AD bit)
}

// ask looks a name up and follows aliases.
func (c *Client) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	a := answer{validated: true}
	name = strings.ToLower(dns.Fqdn(name))
	fail := func(why string) (answer, error) {
		return answer{}, &lookupError{strings.TrimSuffix(name, "."), dns.TypeToString[kind], why}
	}
	if !askable(name) {
		return fail("not a name that can be asked for")
	}
	seen := []string{name}
	for {
		m, err := c.query(ctx, question{name, kind})
		if err != nil {
			return fail(err.Error())
		}
		a.validated = a.validated && m.AuthenticatedData
		moved := false
	chain:
		for {
			target := ""
			for _, rr := range m.Answer[:min(len(m.Answer), 4*recordsAtMost)] {
				h := rr.Header()
				if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
					continue
				}
				if h.Rrtype == kind {
					if len(a.records) < recordsAtMost {
						a.records = append(a.records, rr)
					}
				} else if cname, ok := rr.(*dns.CNAME); ok && target == "" {
					target = strings.ToLower(cname.Target)
				}
			}
			switch {
			case len(a.records) > 0 || target == "":
				break chain
			case slices.Contains(seen, target):
				return fail("the CNAME records run in a circle")
			case len(seen) > aliasesAtMost:
				return fail("too many CNAME records in a row")
			}
			seen = append(seen, target)
			a.aliases = append(a.aliases, strings.TrimSuffix(target, "."))
			name, moved = target, true
		}
		a.none = m.Rcode == dns.RcodeNameError
		// A server that does recursion has followed the chain to its end.
		if len(a.records) > 0 || !moved || a.none || m.RecursionAvailable || !askable(name) {
			return a, nil
		}
	}
}

// askable reports whether a name can be queried as it is: its labels and its length are allowed,
// and no byte is special to the library.
func askable(name string) bool {
	if name == "." {
		return true
	}
	if len(name) > 254 || !strings.HasSuffix(name, ".") {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			if b := label[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`\"();@$`, b) >= 0 {
				return false
			}
		}
	}
	return true
}

// query sends a query to the servers, or returns the kept answer.
func (c *Client) query(ctx context.Context, q question) (*dns.Msg, error) {
	c.mu.Lock()
	if c.cache == nil {
		c.cache = map[question]*entry{}
		n := c.Concurrency
		if n <= 0 {
			n = DefaultConcurrency
		}
		c.slots = make(chan struct{}, n)
	}
	if e := c.cache[q]; e != nil {
		c.mu.Unlock()
		select {
		case <-e.done:
			return e.msg, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e := &entry{done: make(chan struct{})}
	c.cache[q] = e
	c.mu.Unlock()

	defer close(e.done)
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		e.err = ctx.Err()
		return nil, e.err
	}
	e.msg, e.err = c.servers(ctx, q)
	if e.msg != nil {
		c.mu.Lock()
		// Only the answer is kept, and not without limit.
		e.msg.Ns, e.msg.Extra = nil, nil
		if c.kept += e.msg.Len(); c.kept > cacheAtMost {
			c.kept -= e.msg.Len()
			delete(c.cache, q)
		}
		c.mu.Unlock()
	}
	return e.msg, e.err
}

// servers queries one server after the other until one answers.
func (c *Client) servers(ctx context.Context, q question) (*dns.Msg, error) {
	c.mu.Lock()
	c.asked++
	dead := !c.heard && c.silent >= silentAtMost
	c.mu.Unlock()
	if dead {
		return nil, ErrNoServer
	}
	var failed, silence error
	for range tries {
		for _, server := range c.Servers {
			m, err := c.exchange(ctx, server, q)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				silence = fmt.Errorf("%s: %s", server, reason(err))
				continue
			}
			c.mu.Lock()
			c.heard = true
			c.served = c.served || m.Rcode != dns.RcodeRefused
			c.mu.Unlock()
			if m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError {
				return m, nil
			}
			failed = fmt.Errorf("%s: %s", server, dns.RcodeToString[m.Rcode])
		}
		if failed != nil {
			return nil, failed // it was answered; asking again changes nothing
		}
	}
	if silence == nil {
		silence = errors.New("there is no server to ask")
	}
	c.mu.Lock()
	c.silent++
	c.lastErr = silence.Error()
	c.mu.Unlock()
	return nil, silence
}

// reason returns, in a few words, why an exchange failed.
func reason(err error) string {
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		return "no answer in time"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// exchange queries one server over UDP, and over TCP if the answer does not fit (RFC 7766 section
// 5).
func (c *Client) exchange(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	m.SetEdns0(udpSize, false)
	m.AuthenticatedData = true // asks for the AD bit (RFC 6840 section 5.7)
	r, err := c.once(ctx, "udp", server, m)
	if err == nil && (r.Rcode == dns.RcodeFormatError || r.Rcode == dns.RcodeNotImplemented) {
		m.Extra = nil // a server from before EDNS (RFC 6891 section 7)
		m.Id = dns.Id()
		r, err = c.once(ctx, "udp", server, m)
	}
	if err == nil && r.Truncated {
		m.Id = dns.Id()
		r, err = c.once(ctx, "tcp", server, m)
		if err != nil {
			err = fmt.Errorf("the answer was cut short, and over TCP: %s", reason(err))
		}
	}
	return r, err
}

// once sends a query over one socket and waits for its answer. It ignores whatever does not belong
// to the query: another server's reply, or a forged one.
func (c *Client) once(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	socket, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &dns.Conn{Conn: socket}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	if network == "tcp" {
		r, err := conn.ReadMsg()
		if err == nil && !belongs(r, q) {
			err = errors.New("the answer belongs to another question")
		}
		return r, err
	}
	// Not conn.ReadMsg here: it gives up at the first datagram that is not a
	// message, and anybody can send one.
	buf := make([]byte, 8192)
	for range strayAtMost {
		n, err := socket.Read(buf)
		if err != nil {
			return nil, err
		}
		r := new(dns.Msg)
		if r.Unpack(buf[:n]) == nil && belongs(r, q) {
			return r, nil
		}
	}
	return nil, errors.New("nothing but answers to other questions")
}

// belongs reports whether r answers q (RFC 5452 section 9.1).
func belongs(r, q *dns.Msg) bool {
	if r.Id != q.Id || !r.Response || r.Opcode != q.Opcode {
		return false
	}
	if len(r.Question) == 0 {
		return r.Rcode == dns.RcodeFormatError || r.Rcode == dns.RcodeNotImplemented
	}
	a, b := r.Question[0], q.Question[0]
	return len(r.Question) == 1 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// txt returns the TXT records of a name, with the strings of each record joined (RFC 7208 section
// 3.3).
func (c *Client) txt(ctx context.Context, name string) ([]string, answer, error) {
	a, err := c.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, a, err
	}
	var list []string
	for _, rr := range a.records {
		if t, ok := rr.(*dns.TXT); ok {
			list = append(list, unescape(strings.Join(t.Txt, "")))
		}
	}
	return list, a, nil
}

// unescape removes the escapes that the library puts into texts.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}

// addresses returns the addresses of a name, IPv4 first. It is an error if one of the two queries
// is not answered and the other has no address.
func (c *Client) addresses(ctx context.Context, name string) ([]netip.Addr, answer, error) {
	var list []netip.Addr
	four, err4 := c.ask(ctx, name, dns.TypeA)
	six, err6 := c.ask(ctx, name, dns.TypeAAAA)
	for _, rr := range four.records {
		if a, ok := rr.(*dns.A); ok {
			if ip, ok := netip.AddrFromSlice(a.A.To4()); ok {
				list = append(list, ip)
			}
		}
	}
	for _, rr := range six.records {
		if a, ok := rr.(*dns.AAAA); ok {
			if ip, ok := netip.AddrFromSlice(a.AAAA.To16()); ok {
				list = append(list, ip)
			}
		}
	}
	if len(list) == 0 {
		if err := errors.Join(err4, err6); err != nil {
			if err4 != nil {
				err = err4
			}
			return nil, answer{}, err
		}
	}
	both := four
	if err4 != nil {
		both = six
	}
	both.validated = err4 == nil && err6 == nil && four.validated && six.validated
	return list, both, nil
}

// spfResolver makes a Client the resolver of the SPF library.
type spfResolver struct{ *Client }

func notFound(name string) error {
	return &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}

func failed(err error) error {
	var e *lookupError
	if errors.As(err, &e) && e.why == "not a name that can be asked for" {
		return notFound(e.name)
	}
	return &net.DNSError{Err: err.Error(), IsTemporary: true}
}

func (c spfResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	list, _, err := c.txt(ctx, name)
	if err != nil {
		return nil, failed(err)
	}
	if len(list) == 0 {
		return nil, notFound(name)
	}
	return list, nil
}

func (c spfResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := c.ask(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, failed(err)
	}
	var list []*net.MX
	for _, rr := range a.records {
		if mx, ok := rr.(*dns.MX); ok {
			list = append(list, &net.MX{Host: mx.Mx, Pref: mx.Preference})
		}
	}
	if len(list) == 0 {
		return nil, notFound(name)
	}
	return list, nil
}

func (c spfResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	ips, _, err := c.addresses(ctx, name)
	if err != nil {
		return nil, failed(err)
	}
	if len(ips) == 0 {
		return nil, notFound(name)
	}
	list := make([]net.IPAddr, 0, len(ips))
	for _, ip := range ips {
		list = append(list, net.IPAddr{IP: ip.AsSlice()})
	}
	return list, nil
}

func (c spfResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, notFound(addr)
	}
	names, _, err := c.names(ctx, ip)
	if err != nil {
		return nil, failed(err)
	}
	if len(names) == 0 {
		return nil, notFound(addr)
	}
	return names[:min(len(names), 10)], nil // RFC 7208 section 4.6.4
}

// names returns the names in the PTR records of an address.
func (c *Client) names(ctx context.Context, ip netip.Addr) ([]string, answer, error) {
	a, err := c.ask(ctx, reverse(ip)+arpa(ip), dns.TypePTR)
	if err != nil {
		return nil, a, err
	}
	var list []string
	for _, rr := range a.records {
		if ptr, ok := rr.(*dns.PTR); ok {
			list = append(list, strings.ToLower(strings.TrimSuffix(ptr.Ptr, ".")))
		}
	}
	return list, a, nil
}

func arpa(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "in-addr.arpa"
	}
	return "ip6.arpa"
}

// reverse returns the octets or nibbles of an address from the last to the first, each followed by
// a dot (RFC 1035 section 3.5, RFC 3596 section 2.5, RFC 5782 sections 2.1 and 2.4).
func reverse(ip netip.Addr) string {
	ip = ip.Unmap()
	var b strings.Builder
	raw := ip.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if ip.Is4() {
			fmt.Fprintf(&b, "%d.", raw[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", raw[i]&15, raw[i]>>4)
		}
	}
	return b.String()
}
